#!/bin/bash
# Kills runs at random moments and lets them go on: N times a run over the reference, and PoCL where it is there, is killed
# with SIGKILL, every result that is there must be whole, and `--resume` must end it.
#
#   tools/kill_and_resume.sh [N [PROGRAM]]      3 times; the program of build-test or build
#
# QM_KILL_FOLDER is where all of it lies (a new folder in /tmp, removed at the end, if unset), QM_KILL_SEED the start of
# the random moments. Exit: 0, 1 with anything that was not whole or did not end.
set -u

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P) || exit 2
rounds=${1:-3}
program=${2-}
for place in build-test build; do
    [ -n "$program" ] || [ ! -x "$root/$place/qmark" ] || program=$root/$place/qmark
done
[ -x "$program" ] || { echo "there is no program; name it, or build it first"; exit 2; }
case $rounds in '' | *[!0-9]*) echo "N is a number of rounds"; exit 2 ;; esac
RANDOM=${QM_KILL_SEED:-$$}

folder=${QM_KILL_FOLDER-}
if [ -z "$folder" ]; then
    folder=$(mktemp -d) || exit 2
    trap 'rm -rf "$folder"' EXIT
fi
mkdir -p "$folder" || exit 2
out=$folder/out
export QM_CACHE_DIR=$folder/cache QM_DATA_DIR=$root
# Sanitizers look for leaks elsewhere.
export LSAN_OPTIONS=detect_leaks=0

cat >"$folder/kill.yaml" <<END
extends: quick
schema: 1
name: kill
title: as little as can be run
schemes: [f16, w8a8]
evaluation: {windows: 2, window_tokens: 16, scored_tokens: 2}
calibration: {windows: 2, window_tokens: 16}
prefill: [{batch: 1, prompt: 16}]
decode: [{batch: 1, depth: 8, steps: 1}]
timing: {warmup: 0, repeats: 3, seconds: 0}
sustained: {phase: none}
bootstrap: {resamples: 99}
END

devices=reference
if "$program" devices --json 2>/dev/null | grep -q '"driver": *"pocl"'; then
    devices=reference,pocl
fi

failed=0
fault() { # fault TEXT...
    echo "round $round: $*"
    failed=$((failed + 1))
}

whole=0
check_results() {
    local file
    for file in "$out"/*.yaml; do
        [ -e "$file" ] || continue
        if "$program" verify "$file" >"$folder/verify.log" 2>&1; then
            whole=$((whole + 1))
        else
            fault "$file does not verify: $(cat "$folder/verify.log")"
        fi
    done
}

# Starts the program with the arguments and kills it after a random part of the time that a whole run takes.
run_and_kill() {
    local ms=$((RANDOM * 32768 + RANDOM))
    ms=$((ms % (whole_ms + 1)))
    "$program" run --out "$out" --progress none "$@" >"$folder/log" 2>&1 </dev/null &
    local pid=$!
    sleep "$((ms / 1000)).$(printf '%03d' $((ms % 1000)))"
    kill -KILL "$pid" 2>/dev/null && kills=$((kills + 1))
    wait "$pid" 2>/dev/null
    # Workers end with their parent, a moment later.
    local tries
    for ((tries = 0; tries < 100; ++tries)); do
        pgrep -f "worker $pid\$" >/dev/null || return
        sleep 0.05
    done
    fault "a worker of $pid lives on"
}

round=0
kills=0
resumes=0
began=$(date +%s%N)
if ! "$program" run --profile "$folder/kill.yaml" --device "$devices" --out "$out" --progress none \
    >"$folder/log" 2>&1 </dev/null; then
    cat "$folder/log"
    echo "a run that nobody kills does not end well"
    exit 1
fi
rm -rf "$out"
began=$(date +%s%N)
"$program" run --profile "$folder/kill.yaml" --device "$devices" --out "$out" --progress none >/dev/null 2>&1 </dev/null
whole_ms=$((($(date +%s%N) - began) / 1000000))
expected=$(find "$out" -name '*.yaml' | wc -l)
echo "$devices: a run takes $whole_ms ms and gives $expected results"

for ((round = 1; round <= rounds; ++round)); do
    rm -rf "$out"
    run_and_kill --profile "$folder/kill.yaml" --device "$devices"
    check_results
    # The journal is the first thing that is written; killed before it there is nothing to go on with.
    if [ ! -e "$out/qmark-journal.jsonl" ]; then
        [ -z "$(find "$out" -name '*.yaml' 2>/dev/null)" ] || fault "there are results without a journal"
        "$program" run --profile "$folder/kill.yaml" --device "$devices" --out "$out" --progress none \
            >"$folder/log" 2>&1 </dev/null || fault "a new run failed: $(cat "$folder/log")"
    fi
    # Now and then what goes on is killed as well.
    while [ $((RANDOM % 3)) -eq 0 ]; do
        resumes=$((resumes + 1))
        run_and_kill --resume
        check_results
    done
    resumes=$((resumes + 1))
    "$program" run --resume --out "$out" --progress none >"$folder/log" 2>&1 </dev/null ||
        fault "resuming failed: $(cat "$folder/log")"
    check_results
    count=$(find "$out" -name '*.yaml' | wc -l)
    [ "$count" -eq "$expected" ] || fault "there are $count results in place of $expected"
    tail -n 1 "$out/qmark-journal.jsonl" | grep -q '"event":"ended"' || fault "the journal has no end"
    left=$(find "$out" -name '*.part' -o -name qmark.lock; find "$QM_CACHE_DIR" -name 'logits-*')
    [ -z "$left" ] || fault "left behind: $left"
done

echo "$rounds runs, $kills kills, $resumes resumes, $whole times a result was whole, $failed faults"
[ "$failed" -eq 0 ]
