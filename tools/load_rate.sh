#!/bin/sh
# Measures how fast a model of real size is loaded, beside what reading its files from the page cache takes: the table of
# test/load_rate.c for 1.24 thousand million weights in shards, as BF16, F16 and F32.
#
#   tools/load_rate.sh [BUILD [DIRECTORY]]      BUILD: a build folder, build by default; DIRECTORY: a model of yours
#
# Without a directory the model is made (2.5 and 4.9 GB in the folder for temporary files) and removed again. It prints
# and judges nothing.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
build=${1:-$root/build}
cmake --build "$build" --target qm_make_model qm_load_rate >&2
if [ $# -gt 1 ]; then
    exec "$build/qm_load_rate" "$2"
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for dtype in BF16 F16 F32; do
    begin=$(date +%s)
    "$build/qm_make_model" "$work/$dtype" --dtype $dtype
    echo "made in $(($(date +%s) - begin)) s"
    "$build/qm_load_rate" "$work/$dtype"
    rm -r "${work:?}/$dtype"
done
