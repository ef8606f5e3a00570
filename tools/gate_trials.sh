#!/bin/sh
# Tries the live gate on this machine's drivers: N times with nothing changed, N times with a delay of 5 % planted in side
# B's backend, and counts the verdicts.
#
#   tools/gate_trials.sh LOG [N] [DEVICE...]     100 each, shared evenly by pocl and lavapipe, unless told otherwise
#
# Where there is a processor for each device, all devices are tried at once, each kept on a processor of its own with one
# thread; otherwise one after another. Every gate is one line in LOG; a trial that was broken off goes on where LOG ends.
# QMARK names the program; ./qmark otherwise. The last lines are the counts and whether they keep docs/GATE.md's promise.
set -u

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P) || exit 2
log=${1:?"usage: tools/gate_trials.sh LOG [N] [DEVICE...]"}
wanted=${2:-100}
shift
[ $# -gt 0 ] && shift
[ $# -gt 0 ] || set -- pocl lavapipe
program=${QMARK:-$root/qmark}
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
touch "$log" || exit 2

cat >"$work/two-rows.yaml" <<'YAML'
extends: quick
name: two-rows
title: one scheme, two rows of 15 s
schemes: [w8a8]
baseline: w8a8
evaluation: {windows: 4, window_tokens: 80, scored_tokens: 60}
prefill:
  - {batch: 1, prompt: 32}
decode:
  - {batch: 4, depth: 64, steps: 1}
sustained: {phase: none}
gate: {seconds: 15}
YAML

gate() { # gate KIND DEVICE FAULT [COMMAND BEFORE IT...]
    gate_kind=$1 gate_device=$2 gate_fault=$3
    shift 3
    "$@" "$program" gate --profile "$work/two-rows.yaml" --device "$gate_device" --a-env QM_SIDE=A --b-env "$gate_fault" \
        --json >"$work/$gate_device.json" 2>"$work/$gate_device.err"
    gate_code=$?
    gate_detail=$(sed -n 's/^ *"\(speed_ratio\|detectable_slowdown\)": *\([^,]*\),*$/\2/p' "$work/$gate_device.json" |
        tr '\n' ' ')
    [ -n "$gate_detail" ] || gate_detail=$(tail -n 1 "$work/$gate_device.err")
    printf '%s %s %s %s\n' "$gate_kind" "$gate_device" "$gate_code" "$gate_detail" >>"$log"
}

done_of() { # done_of KIND [DEVICE]
    grep -c "^$1 ${2-}" "$log"
}

trial() { # trial DEVICE [COMMAND BEFORE A GATE...]
    trial_device=$1
    shift
    while [ "$(done_of same "$trial_device")" -lt "$share" ] || [ "$(done_of slow "$trial_device")" -lt "$share" ]; do
        [ "$(done_of same "$trial_device")" -ge "$share" ] || gate same "$trial_device" QM_SIDE=B "$@"
        [ "$(done_of slow "$trial_device")" -ge "$share" ] || gate slow "$trial_device" QM_FAULT=delay=0.05 "$@"
    done
}

share=$(((wanted + $# - 1) / $#))
wanted=$((share * $#))
if command -v taskset >/dev/null && [ "$(nproc)" -ge $# ]; then
    processor=0
    for device in "$@"; do
        trial "$device" taskset -c "$processor" env LP_NUM_THREADS=1 POCL_MAX_PTHREAD_COUNT=1 &
        processor=$((processor + 1))
    done
    wait
else
    for device in "$@"; do
        trial "$device"
    done
fi

count() { # count KIND CODE
    grep -c "^$1 [^ ]* $2 " "$log"
}

echo "nothing changed: $(count same 0) PASS, $(count same 10) REGRESSED, $(count same 12) INCONCLUSIVE of $(done_of same)"
echo "5 % slower:      $(count slow 10) REGRESSED, $(count slow 0) PASS, $(count slow 12) INCONCLUSIVE of $(done_of slow)"
# A PASS of the slow side is honest only where its detectable size was above 5 %.
blind=$(awk '$1 == "slow" && $3 == 0 { worst = 0; for (i = 5; i <= NF; i += 2) if ($i > worst) worst = $i
    if (worst <= 0.05) n++ } END { print n + 0 }' "$log")
echo "PASS of the slow side with a stated detectable size of 5 % or less: $blind"
[ "$(count same 10)" -le $((wanted / 100)) ] && [ "$(count same 0)" -ge $((wanted * 9 / 10)) ] &&
    [ "$(count slow 10)" -ge $((wanted * 9 / 10)) ] && [ "$blind" -eq 0 ]
