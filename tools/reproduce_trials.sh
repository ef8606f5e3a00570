#!/bin/sh
# Tries `qmark reproduce` on this machine: N times a fresh result as it is, and N times the same result with all rates raised
# by 15 % and hashed again, and counts the verdicts.
#
#   tools/reproduce_trials.sh LOG [N] [DEVICE]     20 on a simulated clock, unless told otherwise
#
# DEVICE "simulated" takes the reference backend and a clock with 2 % noise, another seed each time; "pocl", "vulkan:0" and
# the like are real drivers. Every reproduction is one line in LOG: KIND NUMBER EXIT HOLD NOT UNTOLD NOT-APPLICABLE. Trials
# that were broken off go on where LOG ends. QMARK names the program; ./qmark otherwise. The last lines are the counts and
# whether they keep docs/REPRODUCE.md's promise.
set -u

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P) || exit 2
log=${1:?"usage: tools/reproduce_trials.sh LOG [N] [DEVICE]"}
wanted=${2:-20}
device=${3:-simulated}
program=${QMARK:-$root/qmark}
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
touch "$log" || exit 2

cat >"$work/tiny.yaml" <<'YAML'
extends: quick
name: tiny
title: two schemes at two points
schemes: [f16, w8a8]
baseline: f16
evaluation: {windows: 2, window_tokens: 64, scored_tokens: 30}
calibration: {windows: 2, window_tokens: 64}
prefill:
  - {batch: 1, prompt: 64}
decode:
  - {batch: 1, depth: 32, steps: 4}
timing: {seconds: 2}
sustained: {phase: none}
YAML

qmark() { # qmark SEED ARGUMENTS...
    seed=$1
    shift
    if [ "$device" = simulated ]; then
        QM_SIMULATE=noise=0.02,seed=$seed "$program" "$@" --device reference
    else
        "$program" "$@" --device "$device"
    fi
}

# All absolute rates by 15 %, with their intervals; the hash is made anew. python3-yaml is not needed: lines are changed.
raise() {
    python3 "$root/tools/raise_rates.py" "$1" 1.15
}

reproduce() { # reproduce KIND NUMBER RECORD
    qmark "$((2 * $2 + 100000))" reproduce "$3" --out "$work/new" --json >"$work/out.json" 2>"$work/err"
    code=$?
    counts=$(sed -n 's/^  "\(hold\|do_not_hold\|cannot_be_told\|not_applicable\)": *\([0-9]*\),*$/\2/p' "$work/out.json")
    [ -n "$counts" ] || counts=$(tail -n 1 "$work/err")
    # shellcheck disable=SC2086 # words, one after another
    echo "$1 $2 $code" $counts >>"$log"
}

done_of() { # done_of KIND
    grep -c "^$1 " "$log"
}

while [ "$(done_of honest)" -lt "$wanted" ] || [ "$(done_of raised)" -lt "$wanted" ]; do
    number=$(done_of honest)
    [ "$(done_of raised)" -ge "$number" ] || number=$(done_of raised)
    rm -rf "$work/record"
    qmark "$((2 * number + 1))" run --profile "$work/tiny.yaml" --out "$work/record" >"$work/out" 2>"$work/err" || {
        tail -n 3 "$work/err" >&2
        exit 2
    }
    record=$(ls "$work"/record/*.yaml)
    [ "$(done_of honest)" -gt "$number" ] || reproduce honest "$number" "$record"
    raise "$record" || exit 2
    [ "$(done_of raised)" -gt "$number" ] || reproduce raised "$number" "$record"
done

count() { # count KIND CODE
    grep -c "^$1 [0-9]* $2 " "$log"
}

echo "honest results: $(count honest 0) hold, $(count honest 10) do not, $(count honest 12) cannot be told, of $(done_of honest)"
echo "rates +15 %:    $(count raised 10) do not hold, $(count raised 0) hold, $(count raised 12) cannot be told, of $(done_of raised)"
if [ "$device" = simulated ]; then
    [ "$(count honest 0)" -ge $((wanted * 19 / 20)) ] && [ "$(count raised 10)" -ge $((wanted * 19 / 20)) ]
else
    [ "$(count honest 10)" -eq 0 ]
fi
