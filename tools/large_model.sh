#!/bin/sh
# A synthetic model of a size that is asked for, in shards: what `qmark model` says of it, its artifact (w4a16-g32), a short run
# over a text on a driver; with times, and with the most memory that the program and its worker took at any time.
#
#   tools/large_model.sh [PARAMETERS [DEVICE [OPTION...]]]
#
# PARAMETERS: thousands, millions and thousand millions as 20M or 1G; 1G if not given. DEVICE as --device has it; pocl if not
# given. What follows goes to `qmark run`, such as --scheme w8a8-smoothquant. QM_BUILD is the build folder, build by default;
# QM_KEEP a directory for the model, which then stays.
#
# Fails where the run does, or where the program took more memory than the model's files and 1 GB; of a worker that is without
# the buffers of its device, which a driver on the processor has in the same memory.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
build=${QM_BUILD:-$root/build}
asked=${1:-1G} device=${2:-pocl}
[ $# -lt 1 ] || shift
[ $# -lt 1 ] || shift
# shellcheck source=tools/synthetic_model.sh
. "$root/tools/synthetic_model.sh"

[ -x "$build/qm_make_model" ] || cmake --build "$build" --target qmark qm_make_model >&2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
model=${QM_KEEP:-$work/model}
QM_CACHE_DIR=$work/cache QM_DATA_DIR=$root
export QM_CACHE_DIR QM_DATA_DIR

if ! "$build/qmark" model built-in --device "$device" 2>/dev/null | grep -q "a run of"; then
    echo "no $device here: nothing is run"
    exit 77
fi

now() { date +%s.%N; }
since() { echo "$1 $(now)" | awk '{ printf "%.1f s", $2 - $1 }'; }
peak_kb() { sed -n 's/^VmHWM:[[:space:]]*\([0-9]*\) kB$/\1/p' "/proc/$1/status" 2>/dev/null || true; }

# watched NAME COMMAND...: runs it, and leaves its exit code and the peaks of it and of its workers.
watched() {
    name=$1 parent=0 worker=0 code=0
    shift
    began=$(now)
    "$@" &
    process=$!
    while kill -0 $process 2>/dev/null; do
        peak=$(peak_kb $process)
        [ "${peak:-0}" -le "$parent" ] || parent=$peak
        # shellcheck disable=SC2013 # they are numbers on one line
        for child in $(cat /proc/$process/task/*/children 2>/dev/null); do
            peak=$(peak_kb "$child")
            [ "${peak:-0}" -le "$worker" ] || worker=$peak
        done
        sleep 0.1
    done
    wait $process || code=$?
    echo "$name: exit code $code, $(since "$began")"
}

began=$(now)
synthetic_model "$build" "$model" "$asked"
bytes=$(cat "$model"/*.safetensors | wc -c)
echo "made or found: $bytes bytes in $(find "$model/" -name "*.safetensors" | wc -l) files, $(since "$began")"

# One short window: at such sizes the reference takes the time.
cat >"$work/large-model.yaml" <<'PROFILE'
extends: quick
schema: 1
name: large-model
title: one short window of a large model
schemes: [w4a16-g32]
baseline: w4a16-g32
evaluation: {windows: 1, window_tokens: 32, scored_tokens: 8}
calibration: {windows: 1, window_tokens: 32}
prefill:
  - {batch: 1, prompt: 32}
decode:
  - {batch: 1, depth: 24, steps: 4}
timing: {warmup: 1, repeats: 3, precision: 1, seconds: 0}
sustained: {phase: none, seconds: 0}
acceptance:
  at_most: {kl_divergence_mean: 10}
PROFILE

tell() { "$build/qmark" model "$model" --profile "$work/large-model.yaml" --device "$device"; }
began=$(now)
tell
echo "told in $(since "$began")"
echo

watched "the run" "$build/qmark" run --profile "$work/large-model.yaml" --model "$model" --device "$device" \
    --eval "$root/README.md" --eval-window 32 --eval-windows 1 --calib "$root/docs/KERNELS.md" --out "$work/out" "$@"
on_device=$(sed -n 's/^ *total_bytes: \([0-9]*\)$/\1/p' "$work"/out/*.yaml 2>/dev/null | sort -n | tail -n 1)
echo
tell | sed -n '/preparing it/,$p'
echo

# row WHAT KILOBYTES DEVICE_BYTES: judged by what is not the device's.
failed=0
row() {
    own=$(($2 * 1024 - $3))
    limit=$((bytes + 1000000000))
    verdict=within
    [ $own -le $limit ] || verdict="MORE THAN" failed=1
    printf '%-22s %12s of %12s bytes, %s the model and 1 GB\n' "$1" $own $limit "$verdict"
}
echo "most memory:"
row "the run" "$parent" 0
row "its worker" "$worker" "${on_device:-0}"
echo "the device's buffers: ${on_device:-unknown} bytes"
[ $code -eq 0 ] || failed=1
exit $failed
