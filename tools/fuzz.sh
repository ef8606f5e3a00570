#!/bin/sh
# Builds the fuzz targets with libFuzzer, ASan and UBSan, runs each for a while and says what came of it.
#
#   tools/fuzz.sh [SECONDS] [TARGET ...]      20 seconds; every test/fuzz/fuzz_TARGET.c
#
# A target's line has its runs, runs a second, findings, and the line coverage of the reader that it is for, from a
# replay of the corpus. Seeds lie in test/fuzz/corpus/TARGET, words in test/fuzz/TARGET.dict; what is found and what the
# corpus grows to is kept in build-fuzz/. Exit: 0, 1 with a finding or a reader below 80 %, 77 without clang or llvm.
set -u

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P) || exit 2
build=$root/build-fuzz
least=80 # percent of lines
seconds=20
case ${1-} in
'' | *[!0-9]*) ;;
*)
    seconds=$1
    shift
    ;;
esac
for tool in clang cmake ninja llvm-cov llvm-profdata; do
    command -v "$tool" >/dev/null 2>&1 || { echo "$tool is not installed"; [ "${CI-}" != true ] || exit 1; exit 77; }
done
if [ $# -eq 0 ]; then
    for source in "$root"/test/fuzz/fuzz_*.c; do
        target=${source##*/fuzz_}
        set -- "$@" "${target%.c}"
    done
fi

readers() { # readers TARGET: the files that it is to cover; none: no least coverage
    case $1 in
    deployment) echo core/workload/deployment.c core/workload/deployment_trace.c ;;
    csv) echo core/workload/csv.c core/workload/examples_csv.c ;;
    jsonl) echo core/workload/examples.c core/workload/examples_harness.c core/workload/answers.c core/workload/lines.c ;;
    tuned) echo core/bench/tune_store.c core/kernel/configure.c ;;
    artifact) echo core/quant/artifact_file.c core/quant/artifact_text.c ;;
    journal) echo core/bench/journal_read.c ;;
    kernel_plan) echo core/bench/kernel_plan.c core/bench/kernel_plan_items.c ;;
    profile) echo core/bench/profile.c core/bench/profile_measure.c ;;
    node) echo core/record/node_read.c ;;
    safetensors) echo core/model/safetensors.c core/model/json_bound.c ;;
    config) echo core/model/config_read.c core/model/model_config.c core/model/end_tokens.c ;;
    weights_index) echo core/model/weights_index.c ;;
    quantization_config) echo core/model/quantization_config.c core/model/quantized_sets.c core/model/quantized_values.c ;;
    gguf) echo core/model/gguf.c core/model/gguf_config.c core/model/gguf_model.c ;;
    gguf_vocabulary) echo core/text/tokenizer_gguf.c core/text/gguf_patterns.c ;;
    sentencepiece)
        echo core/text/protobuf.c core/text/tokenizer_sentencepiece.c core/text/tokenizer_pieces.c core/text/pieces.c \
            core/text/pieces_bpe.c core/text/unigram.c core/text/charsmap.c core/text/prefixes.c
        ;;
    tokenizer) echo core/text/json.c core/text/tokenizer_read.c core/text/tokenizer_model.c core/text/tokenizer_steps.c core/text/tokenizer_unigram.c ;;
    signature) echo core/record/sign_text.c ;;
    history) echo core/record/history_store.c core/record/history_query.c ;;
    samples) echo core/bench/samples_read.c core/bench/samples_answers.c ;;
    result) echo core/bench/verify_compare.c ;;
    compare) echo core/record/compare.c core/record/compare_key.c core/record/compare_rates.c ;;
    claim) [ ! -e "$root/core/record/claim.c" ] || echo core/record/claim.c ;;
    esac
}

programs=
for target in "$@"; do
    programs="$programs fuzz_$target"
done
mkdir -p "$build" || exit 2
# shellcheck disable=SC2086 # a list of words
if ! { cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_C_COMPILER=clang \
    -DQM_SANITIZE=fuzzer-no-link,address,undefined "-DQM_SPIRV_FROM=${QM_SPIRV_FROM-}" \
    "-DCMAKE_C_FLAGS=-fprofile-instr-generate -fcoverage-mapping" &&
    cmake --build "$build" --parallel --target $programs; } >"$build/build.log" 2>&1; then
    tail -n 20 "$build/build.log"
    exit 1
fi

export QM_DATA_DIR="$root"
cd "$build" || exit 2
fuzz_one() { # fuzz_one TARGET: its line; what is wrong leaves TARGET.failed
    target=$1
    rm -f "$build/$target.failed"
    seeds=$root/test/fuzz/corpus/$target
    more= # files that we have anyway
    longest=4096
    case $target in
    sentencepiece | gguf_vocabulary) longest=16384 ;; # 256 bytes are tokens
    history) longest=16384 ;; # the least result with a speed has 8 KiB
    claim) more=$root/profiles/claims ;;
    node) more=$root/profiles ;;
    result | samples | compare) longest=32768 ;;
    quantization_config) longest=16384 ;; # tensors lie behind it
    esac
    words=$root/test/fuzz/$target.dict
    corpus=$build/corpus-$target
    mkdir -p "$corpus" "$build/findings"
    [ -d "$seeds" ] || seeds=
    [ -e "$words" ] || words=
    LLVM_PROFILE_FILE=/dev/null "./fuzz_$target" -max_total_time="$seconds" -max_len="$longest" -timeout=10 \
        -print_final_stats=1 -artifact_prefix="$build/findings/$target-" ${words:+-dict="$words"} \
        "$corpus" ${seeds:+"$seeds"} ${more:+"$more"} </dev/null >"$build/$target.log" 2>&1
    status=$?
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$build/$target.log")
    rate=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$build/$target.log")
    findings=0
    if [ $status -ne 0 ]; then
        findings=1
        touch "$build/$target.failed"
        grep -E 'ERROR:|SUMMARY:|runtime error|Test unit written' "$build/$target.log"
    fi
    files=$(readers "$target")
    coverage=
    if [ $status -eq 0 ] && [ -n "$files" ]; then
        LLVM_PROFILE_FILE=$build/$target.profraw "./fuzz_$target" -runs=0 "$corpus" ${seeds:+"$seeds"} ${more:+"$more"} \
            </dev/null >"$build/$target-replay.log" 2>&1 || touch "$build/$target.failed"
        llvm-profdata merge -o "$target.profdata" "$target.profraw" || touch "$build/$target.failed"
        for file in $files; do
            # The columns of llvm-cov's summary: regions, functions, lines; each its number, those missed, percent.
            percent=$(llvm-cov report "./fuzz_$target" -instr-profile="$target.profdata" "$root/$file" |
                awk '$1 == "TOTAL" { sub("%", "", $10); print $10 }')
            coverage="$coverage, ${percent:-no} % of $file"
            awk -v is="${percent:-0}" -v least=$least 'BEGIN { exit !(is < least) }' && touch "$build/$target.failed"
        done
    fi
    echo "$target: ${runs:-?} runs in $seconds s, ${rate:-?} a second, $findings findings$coverage"
}

# As many at a time as there are processors: a fuzzer has one thread.
many=$(nproc)
running=0
for name in "$@"; do
    fuzz_one "$name" >"$build/$name.line" 2>&1 &
    running=$((running + 1))
    [ $((running % many)) -ne 0 ] || wait
done
wait
failed=
for name in "$@"; do
    cat "$build/$name.line"
    [ ! -e "$build/$name.failed" ] || failed=yes
done
[ -z "$failed" ] || { echo "a finding (build-fuzz/findings), or a reader with less than $least % of its lines run"; exit 1; }
