# shellcheck shell=bash
# A user's own text and examples: what is refused, in one line and before a device is asked; and a run of each on the reference.
QM_CACHE_DIR=$PWD/cache
export QM_CACHE_DIR
cat >tiny.yaml <<'YAML'
extends: quick
name: tiny
title: two schemes, little of each
schemes: [f16, w8a8-static]
baseline: f16
evaluation: {windows: 2, window_tokens: 16, scored_tokens: 2}
calibration: {windows: 2, window_tokens: 16}
prefill: [{batch: 1, prompt: 16}]
decode: [{batch: 2, depth: 8, steps: 2}]
timing: {warmup: 0, repeats: 3, seconds: 0}
sustained: {phase: none}
bootstrap: {resamples: 99}
YAML
printf '<add> 3 6 + 4 2 = 7 8 <sort> n03 n01 n02 = n01 n02 n03 <copy> n07 n05 n06 = n07 n05 n06 <fact> a00 b10 = f40 f21\n' >my.txt
printf '<add> 1 1 + 2 2 = 3 3 <sort> n13 n11 n12 = n11 n12 n13 <copy> n17 n15 n16 = n17 n15 n16 <fact> a19 b08 = f32 f31 <add> 5 1 + 2 3 = 7 4\n' >calib.txt
cat >my.jsonl <<'JSONL'
{"id": "sum", "prompt": "<add> 3 6 + 4 2 =", "answer": "7 8", "max_tokens": 4}
{"id": "fact", "prompt": "<fact> a00 b10 =", "answer": "f40 f21", "max_tokens": 4}
{"id": "choice", "prompt": "<sort> n03 n01 =", "choices": [" n03 n01", " n01 n03"], "answer": 1}
JSONL
run() { qm run --profile tiny.yaml --device reference --out results --progress none "$@"; }
run --eval missing.txt
: >empty.txt
run --eval empty.txt
: >empty.jsonl
run --eval empty.jsonl
printf '{"prompt": "<add> 3", "answer": "7"}\n{"promt": "x"}\n' >slip.jsonl
run --eval slip.jsonl
printf '{"prompt": "<add> 3", "answer": "7", "pattern": "(a+"}\n' >pattern.jsonl
run --eval pattern.jsonl
printf '{"prompt": "<add> 3", "answer": "7", "max_tokens": 5000}\n' >long.jsonl
run --eval long.jsonl
run --eval my.txt --eval-window 2000
run --eval my.txt --compat llama
run --eval my.jsonl --compat llama-perplexity
run --eval my.txt --embed-texts
run --eval-window 16
run --eval my.txt --calib my.txt
run --eval my.txt --calib empty.txt
printf '<add> 3 6 + 4 2 = 7 8' >few.txt
run --eval my.txt --calib few.txt
sed '/^evaluation/d' tiny.yaml >recorded.yaml
printf 'evaluation: {set: text, sha256: %064d, windows: 2, window_tokens: 16, scored_tokens: 2, stride: 0, compat: none}\n' 0 >>recorded.yaml
qm run --profile recorded.yaml --device reference --out results
qm run --profile recorded.yaml --device reference --out results --eval my.txt --calib calib.txt
# Directories, and questions in CSV.
mkdir texts mixed nothing dump
printf '<add> 3 6 + 4 2 = 7 8 <sort> n03 n01 n02 = n01 n02 n03 <copy> n07 n05 n06 = n07 n05 n06\n' >texts/a.txt
printf '<fact> a00 b10 = f40 f21\n' >texts/b.txt
printf '"<add> 3 6, or ""<add>""",7,"8, 9",B\n<sort>,n01,n02,A\n' >sums_test.csv
cp my.txt sums_test.csv mixed
run --eval mixed
run --eval nothing
run --eval texts --compat llama-perplexity
printf 'a\0b' >texts/c.txt
run --eval texts
rm texts/c.txt
ln -s ../my.txt texts/d.txt
run --eval texts
rm texts/d.txt
printf '<add>,7,8,9,E\n' >letter.csv
run --eval letter.csv
printf '<add>,7,8,A\n"<sort>,n01,n02,A\n' >quote.csv
run --eval quote.csv
echo '{"doc_id": 0, "target": "a", "arguments": [["<add>", " 7"]]}' >dump/samples_a_2024-05-01T10-00-00.jsonl
run --eval dump
[ ! -e results ] || ls results
# What a run says of them: hashes and counts, and no word.
for file in my.txt my.jsonl texts sums_test.csv; do
    rm -rf results
    "$QMARK" run --profile tiny.yaml --device reference --out results --progress none --eval "$file" --calib calib.txt >log 2>&1
    echo "$file: exit code $?"
    sed -n '/^workload:/,/^samples:/p' results/*.yaml
    sed -n '/^profile:/,/^  prefill:/p' results/*.yaml | sed -n '/evaluation:/,$p'
    grep -c -E 'n03 n01|f40 f21|a00 b10|4 2 =' results/*.yaml
    strings -n 3 results/*.safetensors | grep -c -E 'n03 n01|f40 f21|a00 b10|4 2 ='
    "$QMARK" verify results/*.yaml >log 2>&1
    echo "verify: exit code $?"
done
"$QMARK" run --profile tiny.yaml --device reference --out results --progress none --eval my.jsonl --calib calib.txt --embed-texts >log 2>&1
echo "embedded: exit code $?"
sed -n '/^  texts:/,/^[a-z]/p' results/*.yaml
qm reproduce results/*.yaml --out new --device reference
"$QMARK" reproduce results/*.yaml --out new --device reference --runs 1 --eval my.jsonl --calib calib.txt >log 2>&1
case $? in 0 | 10 | 12) echo judged ;; *) cat log ;; esac
