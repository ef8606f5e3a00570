#!/bin/sh
# Measures how fast the fp32 reference of a model of real size is computed, beside what OpenBLAS's products alone take, and
# the peak of the memory: test/reference_rate.c for 360 million weights in BF16 with a vocabulary of 32,000.
#
#   tools/reference_rate.sh [BUILD [DIRECTORY [WINDOWS [TOKENS]]]]     BUILD: a build folder, build by default
#
# Without a directory the model is made (720 MB in the folder for temporary files) and removed again. Exit 1 where the rate is
# below half of the products', or the memory above the files and 1 GB.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
build=${1:-$root/build}
cmake --build "$build" --target qm_make_model qm_reference_rate >&2
if [ $# -gt 1 ]; then
    shift
    exec "$build/qm_reference_rate" "$@"
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$build/qm_make_model" "$work/model" --hidden 1024 --layers 24 --heads 16 --kv-heads 8 --intermediate 4096 --vocab 32000
"$build/qm_reference_rate" "$work/model"
