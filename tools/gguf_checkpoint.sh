#!/bin/bash
# Scores GGUF files of a published checkpoint with `qmark run`, as llama-perplexity would, and holds their perplexities against
# those that llama.cpp gave for the same bytes (test/data/gguf/stories260k.json): docs/MODELS.md, "Against llama.cpp".
#
#   tools/gguf_checkpoint.sh FOLDER [DEVICE...]      pocl unless told otherwise
#
# FOLDER has the files that tools/llama_cpp_evidence.py leaves in its WORK: stories260K-f32.gguf, -q8_0.gguf, -q4_0.gguf and
# others. Those that are not there are named and left out; of these three none may be. Each is read with its own vocabulary.
# QMARK names the program; ./qmark otherwise. Exit: 0, or 1 where a perplexity is further away than 0.1 %.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
folder=${1:?"usage: tools/gguf_checkpoint.sh FOLDER [DEVICE...]"}
shift
[ $# -gt 0 ] || set -- pocl
program=${QMARK:-$root/qmark}
data=$root/test/data/gguf/stories260k.json
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 - "$root/test/data/stories260k.json" "$work/stories.txt" <<'END_PYTHON'
import json, sys
data = json.load(open(sys.argv[1]))
open(sys.argv[2], "w").write("\n".join(story["text"] for story in data["stories"]))
END_PYTHON
cat >"$work/scored.yaml" <<'END_YAML'
extends: quick
name: scored
title: scores of a GGUF file, with little timing
schemes: [f32]
baseline: f32
prefill: [{batch: 1, prompt: 128}]
decode: [{batch: 1, depth: 64, steps: 8}]
timing: {repeats: 3, seconds: 0}
sustained: {phase: none}
END_YAML
failed=0
for type in f32 f16 bf16 q8_0 q4_0 q4_1; do
    file=$folder/stories260K-$type.gguf
    if [ ! -f "$file" ]; then
        echo "$type: $file is not there"
        case $type in f32 | q8_0 | q4_0) failed=1 ;; esac
        continue
    fi
    for device in "$@"; do
        "$program" run --profile "$work/scored.yaml" --model "$file" \
            --eval "$work/stories.txt" --eval-window 256 --compat llama-perplexity --device "$device" \
            --out "$work/$type-$device" --progress none --json >"$work/$type-$device.json"
        python3 - "$work/$type-$device.json" "$data" "$file" "$device" <<'END_PYTHON' || failed=1
import hashlib, json, os, sys
result, path, device = json.load(open(sys.argv[1]))[0], sys.argv[3], sys.argv[4]
kept = next(f for f in json.load(open(sys.argv[2]))["files"] if f["file"] == os.path.basename(path))
if hashlib.sha256(open(path, "rb").read()).hexdigest() != kept["sha256"]:
    sys.exit("%s: its SHA-256 is not that of the file which llama.cpp scored" % path)
wanted = kept["perplexity"]["dequantized"]
value = next(row["accuracy"]["perplexity"]["value"] for row in result["schemes"] if row["name"] == "f32")
difference = abs(value / wanted - 1)
print("%s, %s: perplexity %.6f; llama.cpp %.6f, differs by %.1e" % (kept["type"], device, value, wanted, difference))
sys.exit(difference > 1e-3)
END_PYTHON
    done
done
exit $failed
