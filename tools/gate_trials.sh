#!/bin/sh
# Tries the live gate on this machine's drivers: N times with nothing changed, N times with a delay of 5 % planted in side
# B's backend, in turns, and counts the verdicts.
#
#   tools/gate_trials.sh LOG [N] [DEVICE...]     100 each on pocl and lavapipe in turns, unless told otherwise
#
# Every gate is one line in LOG; a trial that was broken off goes on where LOG ends. QMARK names the program; ./qmark
# otherwise. The last lines are the counts and whether they keep docs/GATE.md's promise.
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
evaluation: {windows: 4, window_tokens: 128, scored_tokens: 100}
prefill:
  - {batch: 1, prompt: 32}
decode:
  - {batch: 4, depth: 64, steps: 1}
sustained: {phase: none}
gate: {seconds: 15}
YAML

gate() { # gate KIND DEVICE FAULT
    "$program" gate --profile "$work/two-rows.yaml" --device "$2" --a-env QM_SIDE=A --b-env "$3" --json \
        >"$work/out.json" 2>"$work/err"
    gate_code=$?
    gate_detail=$(sed -n 's/^ *"\(speed_ratio\|detectable_slowdown\)": *\([^,]*\),*$/\2/p' "$work/out.json" | tr '\n' ' ')
    [ -n "$gate_detail" ] || gate_detail=$(tail -n 1 "$work/err")
    printf '%s %s %s %s\n' "$1" "$2" "$gate_code" "$gate_detail" >>"$log"
}

done_of() { # done_of KIND
    grep -c "^$1 " "$log"
}

while [ "$(done_of same)" -lt "$wanted" ] || [ "$(done_of slow)" -lt "$wanted" ]; do
    turn=$(done_of same)
    for i in "$@"; do # the device whose turn it is
        [ $((turn % $#)) -ne 0 ] || { device=$i; break; }
        turn=$((turn + $# - 1))
    done
    [ "$(done_of same)" -ge "$wanted" ] || gate same "$device" QM_SIDE=B
    [ "$(done_of slow)" -ge "$wanted" ] || gate slow "$device" QM_FAULT=delay=0.05
done

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
