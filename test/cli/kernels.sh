# shellcheck shell=bash
# Kernels alone, on the oracle with a simulated clock, so that the numbers are the same everywhere; and what is refused: exit
# code 2 and one line. No driver is asked.
export QM_CACHE_DIR=$PWD/cache
export VK_DRIVER_FILES=none VK_ICD_FILENAMES=none OCL_ICD_VENDORS=none OCL_ICD_FILENAMES=none
export QM_SIMULATE=speed=10,noise=0.01,overhead_us=5
qm kernels --help
# Time that was really taken is in nothing that is printed but the last line.
kernels() {
    qm kernels --device reference --progress none --row-ms 1 "$@" | sed 's/, in [0-9]* s$/, in a while/'
}
kernels --shape 1x48x64,3x48x64 --format w4-f16,w8-a8 --kernel matmul,matvec,dequantize --out one.json
kernels --shape 3x48x64 --format f32-f32 --kernel matmul --print csv | cut -d, -f 1-23
kernels --rows 1,2,4,8,16 --model 1b --layer kv --kernel matmul --format w8a8 --print md --out one.md | sed 's/^# Kernels, 20.*/# Kernels, DATE/'
sed -n 3p one.md
# Against the sweep of before: what is there again, and what is not.
kernels --shape 3x48x64 --format w4-f16 --kernel matmul,dequantize --compare one.json | sed -n '/^against/,$p'
# A tier that the device has not is no failure; a shape that is too large is one, and others go on.
kernels --shape 3x48x64 --format w8-a8 --kernel matmul --tier base,texel
kernels --shape 3x48x64,16777216x4096x16384 --format f32-f32 --kernel matmul --print csv | cut -d , -f 3,10,15-17 |
    sed 's/has room for.*;/has room for ...;/'
# Nothing begins after the time limit, and every row is there.
qm kernels --device reference --progress none --row-ms 3000 --seconds 1 --kernel matmul --format f32-f32 \
    --shape 256x1024x1024,3x48x64 | grep '^  3x48x64\|exit'
kernels --kernel rmsnorm,rope,attention --model 1b --rows 1 --context 20 --kv kv8
QM_FAULT=crash=sweep kernels --shape 1x48x64 --format f16-f16 --kernel matvec | sed 's/ (.*//; s/file:.*//'

export QM_SIMULATE=
qm kernels --shape 1x2
qm kernels --shape 0x48x64
qm kernels --shape 3x48x99999999999
qm kernels --shape 3x48x65 --format w4-f16
qm kernels --shape 3x48x96 --format w4-f16-g64
qm kernels --format w4-f61
qm kernels --format w4-f16 --scheme w4a16
qm kernels --kernel matmull
qm kernels --model 9b
qm kernels --layer upp
qm kernels --tier tex
qm kernels --tile narow
qm kernels --rows 0
qm kernels --context 1
qm kernels --row-ms 0
qm kernels --print yaml
qm kernels --out sweep.yaml
qm kernels --compare missing.json
printf '{"kind": "kernels"}' >no-rows.json
qm kernels --compare no-rows.json
qm kernels --profile quick
qm kernels --profile "$DATA/../../profiles/quick.yaml"
qm kernels --device nothing --progress none
