#!/bin/bash
# Makes an artifact of every way to store a weight and has another program, written from docs/ARTIFACT.md, decode them.
#
#   test/run_stranger.sh BINARY FOLDER      FOLDER: for the artifacts; emptied first
set -eu
root=$(cd -- "$(dirname -- "$0")/.." && pwd -P)
binary=$1 folder=$2
command -v python3 >/dev/null || { echo "python3 is not installed"; exit 77; }
schemes=f32,f16,bf16,w8a16,w8a16-g64,w8a8-static32,w4a16-g32,w4a16-g128-asym,w3a16-g32,w3a16-g64-asym,w2a16-g32-asym
schemes+=,e4m3a16,e5m2a16,mxfp8a16,mxfp6e2m3a16,mxfp6e3m2a16,mxfp4a16,nvfp4a16,q8_0a16,q4_0a16,q4_1a16,q5_0a16,q4_ka16,q5_ka16,q6_ka16
schemes+=,w4a16-g32-awq,w4a16-g32+k_proj=w8a8+lm_head=f16
rm -rf "$folder"
export QM_DATA_DIR=$root
"$binary" calibrate --scheme $schemes --out "$folder" >/dev/null
"$root/tools/check_artifact.py" "$root/models/qmark-3m" "$folder"/artifacts/*.safetensors
# What was changed is found out: a code, whose id no longer fits.
changed=$folder/changed.safetensors
for artifact in "$folder"/artifacts/*.safetensors; do
    cp "$artifact" "$changed"
done
printf '\125' | dd of="$changed" bs=1 seek=$(($(stat -c %s "$changed") - 1000)) conv=notrunc status=none
if "$root/tools/check_artifact.py" "$root/models/qmark-3m" "$changed"; then
    echo "a changed byte was not noticed"
    exit 1
fi
