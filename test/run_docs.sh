#!/bin/bash
# Runs the commands of README.md, CONTRIBUTING.md and docs/*.md, as test/docs.py has it.
#
#   test/run_docs.sh QMARK MAKE_MODEL FOLDER [PAGE ...]      FOLDER: emptied first; all pages if none is named
#
# Each page has a copy of FOLDER/template as its current folder. There lie what pages speak of:
#
#   qmark                    a stand-in for the launcher, see below
#   my-model                 a small Llama of random weights; my.jsonl, my.txt, plan.yaml: prompts, a text, a deployment for it
#   A.yaml, B.yaml, C.yaml   results of three devices, the first with samples; result.yaml and old.yaml are A.yaml,
#                            new-result.yaml and new.yaml B.yaml; my-results/ and qmark-results/ have A.yaml, published/ C.yaml
#   cards/                   five cards, a folder each; the fifth ran another evaluation set
#   results/                 two of the cards, as two drivers
#   my-key, my-key.pub       a key, by which A.yaml is signed
#   docs/, core/, ...        the repository's, docs/ as a copy
#
# So that all of it takes a minute, and needs no GPU, the stand-in changes what it is given in three ways, and in no other:
#
#   1. The device is the reference backend, and its clock is a simulated one (core/bench/simulate.h): logits, checksums and
#      verdicts are real, and times are made up. `--device`, `--a-device` and `--b-device` are replaced.
#   2. A stock profile is replaced by a brief form of it, with a window of 32 tokens, one point of each phase and two schemes.
#      A profile of one's own, and --scheme, are taken as they are.
#   3. Nothing is read from standard input.
#
# What is still too long, or needs a driver, a network or a stranger's file, stands in test/docs_commands.txt.
set -u
root=$(cd -- "$(dirname -- "$0")/.." && pwd -P)
program=$(realpath -e "$1") make_model=$(realpath -e "$2") folder=$(realpath -m "$3") || exit 1
shift 3
command -v python3 >/dev/null || { echo "python3 is not installed"; exit 77; }
case $folder in "$root" | / | "$HOME") echo "$folder would be emptied"; exit 2 ;; esac
rm -rf "$folder"
template=$folder/template
mkdir -p "$template" "$folder/pages" "$folder/home" "$folder/brief" && cd "$template" || exit 1
export QM_DATA_DIR=$root QM_CACHE_DIR=$folder/cache HOME=$folder/home NO_COLOR=1 LC_ALL=C.UTF-8 QM_CEILINGS_MS=0
export QM_DOCS_PROGRAM=$program QM_DOCS_BRIEF=$folder/brief
export QM_SIMULATE=speed=10,noise=0.01,seed=1
unset QM_HISTORY XDG_DATA_HOME XDG_CACHE_HOME XDG_CONFIG_HOME QM_FAULT QM_PLANT_WRONG_KERNEL

for entry in "$root"/*; do
    case ${entry##*/} in
    qmark | docs | results | build* | my-* | qmark-results) ;;
    *) ln -s "$entry" . ;;
    esac
done
cp -r "$root/docs" .

# ---- the stand-in ----

for profile in "$root"/profiles/*.yaml; do
    name=$(basename "$profile" .yaml)
    cat >"$QM_DOCS_BRIEF/$name.yaml" <<END
schema: 1
extends: quick
name: $name
schemes: [f16$([ "$name" = regression ] || echo ", w8a8")]
evaluation: {windows: 1, scored_tokens: 1, window_tokens: 32}
calibration: {windows: 1, window_tokens: 32}
prefill: [{batch: 1, prompt: 8}]
decode: [{batch: 1, depth: 8, steps: 2}]
sustained: {phase: $([ "$name" = regression ] && echo none || echo decode), seconds: 2}
bootstrap: {resamples: 99}
gate: {seconds: 0.5, openings: 8}
END
done
cat >qmark <<'END'
#!/bin/bash
verb=${1-}
case $verb in run | gate | reproduce | calibrate | model | kernels | tune) ;; *) exec "$QM_DOCS_PROGRAM" "$@" </dev/null ;; esac
shift
words=() device= profile= live=
while [ $# -gt 0 ]; do
    case $1 in
    --device | --a-device | --b-device) words+=("$1" reference) device=yes live=yes && shift ;;
    --profile)
        profile=$2
        [ -e "$QM_DOCS_BRIEF/$2.yaml" ] && profile=$QM_DOCS_BRIEF/$2.yaml
        words+=(--profile "$profile")
        shift
        ;;
    --a-env | --resume) words+=("$1") live=yes ;;
    *) words+=("$1") ;;
    esac
    shift
done
case $verb in
run | calibrate) [ -n "$profile" ] || case " ${words[*]} " in *' --resume '*) ;; *) words+=(--profile "$QM_DOCS_BRIEF/quick.yaml") ;; esac ;;
gate) [ -n "$profile" ] || [ -z "$live" ] || words+=(--profile "$QM_DOCS_BRIEF/regression.yaml") ;;
esac
case $verb in
calibrate) ;;
gate) [ -n "$device" ] || [ -z "$live" ] || words+=(--device reference) ;;
run) [ -n "$device" ] || case " ${words[*]} " in *' --resume '*) ;; *) words+=(--device reference) ;; esac ;;
*) [ -n "$device" ] || words+=(--device reference) ;;
esac
exec "$QM_DOCS_PROGRAM" "$verb" "${words[@]}" </dev/null
END
chmod +x qmark

# ---- what pages speak of ----

"$make_model" my-model --hidden 64 --intermediate 128 --layers 2 --heads 2 --kv-heads 1 --head-dim 32 --vocab 512 \
    --context 512 --tokenizer 1 || exit 1
cat >my.jsonl <<'END'
{"id": "capital", "prompt": "The capital of France is", "answer": "Paris", "match": "normalised", "stop": ["\n", "."], "max_tokens": 8}
{"id": "boil", "prompt": "Water boils at", "choices": [" 50 degrees", " 100 degrees", " 200 degrees"], "answer": 1}
END
cat docs/[A-G]*.md >my.txt
cat >plan.yaml <<'END'
requests: 6
concurrency: 2
seed: 7
prompt_tokens: {uniform: [8, 60]}
output_tokens: {uniform: [2, 6]}
bounds: {first_token_ms: 500, token_ms: 50}
END
# result SIMULATION FOLDER [ARGUMENT...]: a result as FOLDER/*.yaml
result() {
    local simulation=$1 out=$2
    shift 2
    QM_SIMULATE=$simulation ./qmark run --out "$out" "$@" >"$folder/log" 2>&1 || { cat "$folder/log"; exit 1; }
}
result speed=10,noise=0.01,seed=1 my-results
cp -r my-results qmark-results
result speed=14,noise=0.01,seed=2 b
result speed=9,noise=0.01,seed=3 published
mkdir cards
cp -r my-results cards/one
cp -r b cards/two
cp -r published cards/three
cp -r published cards/four
result speed=20,noise=0.01,seed=5 cards/five --eval-seed 5
cp my-results/*.yaml A.yaml && cp my-results/*.samples.safetensors .
cp b/*.yaml B.yaml
cp published/*.yaml C.yaml
cp A.yaml result.yaml
cp B.yaml new-result.yaml
cp A.yaml old.yaml && cp B.yaml new.yaml
rm -rf b
mkdir "$HOME/keys"
./qmark sign --new-key my-key --comment "A. Reviewer" >/dev/null || exit 1
./qmark sign A.yaml --key my-key >/dev/null || exit 1
cp my-key.pub key.pub && cp A.yaml.sig r.yaml.sig
mkdir -p results/software-drivers && cp -r cards/one results/software-drivers/pocl && cp -r cards/two results/software-drivers/lavapipe

# ---- pages ----

began=$SECONDS
"$root/test/docs.py" commands "$root" "$folder" "$@" || exit 1
[ $# -gt 0 ] || "$root/test/docs.py" workflow "$root" "$folder" || exit 1
echo "$((SECONDS - began)) s for the pages, $began s before"

# What the page on one's own model says of it.
cd "$folder/pages/docs-HOWTO-your-model.md" 2>/dev/null || exit 0
log=$folder/pages/docs-HOWTO-your-model.md.log
grep -q 'w4a16-g32-gptq' "$log" || { echo "model names no scheme"; exit 1; }
kind=$(grep -l 'kind: examples' my-results/*.yaml) || { echo "no result of examples"; exit 1; }
grep -q 'examples: 4' "$kind" || { echo "$kind does not say 'examples: 4'"; exit 1; }
if grep -E -q 'capital of France|Paris|Water boils' "$kind" || grep -a -q 'capital of France' my-results/*.safetensors; then
    echo "a text is in the result"
    exit 1
fi
grep -q 'compat: llama-perplexity' my-text/*.yaml || { echo "the text was not cut as llama-perplexity does"; exit 1; }
for words in 'requests: 12' 'within_first_token: ' 'prefill_passes: '; do
    grep -q "$words" my-traffic/*.yaml || { echo "the served requests do not say '$words'"; exit 1; }
done
