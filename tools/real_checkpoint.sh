#!/bin/bash
# Scores a published checkpoint with `qmark run`, as llama-perplexity would, and holds the perplexity of f32 against PyTorch's:
# docs/MODELS.md, "A real checkpoint".
#
#   tools/real_checkpoint.sh FOLDER [DEVICE...]      FOLDER has stories260K.bin and tok512.bin; pocl unless told otherwise
#
# QMARK names the program; ./qmark otherwise. Exit: 0, or 1 where a perplexity is further away than 0.1 %.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
folder=${1:?"usage: tools/real_checkpoint.sh FOLDER [DEVICE...]"}
shift
[ $# -gt 0 ] || set -- pocl
program=${QMARK:-$root/qmark}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$root/tools/llama2c_to_directory.py" "$folder/stories260K.bin" "$work/stories260K" "$folder/tok512.bin"
wanted=$(python3 - "$root/test/data/stories260k.json" "$work/stories.txt" <<'END'
import json, sys
data = json.load(open(sys.argv[1]))
open(sys.argv[2], "w").write("\n".join(story["text"] for story in data["stories"]))
print(next(score["perplexity"] for score in data["scores"] if score["of"] == "llama-perplexity"))
END
)
cat >"$work/scored.yaml" <<'END'
extends: quick
name: scored
title: scores of a real checkpoint, with little timing
schemes: [f32, w8a16, w8a8]
baseline: f32
prefill: [{batch: 1, prompt: 128}]
decode: [{batch: 1, depth: 64, steps: 8}]
timing: {repeats: 3, seconds: 0}
sustained: {phase: none}
END
failed=0
for device in "$@"; do
    "$program" run --profile "$work/scored.yaml" --model "$work/stories260K" --eval "$work/stories.txt" --eval-window 256 \
        --compat llama-perplexity --device "$device" --out "$work/$device" --progress none --json >"$work/$device.json"
    python3 - "$work/$device.json" "$wanted" "$device" <<'END' || failed=1
import json, sys
result = json.load(open(sys.argv[1]))[0]
wanted = float(sys.argv[2])
rows = {row["name"]: row["accuracy"]["perplexity"]["value"] for row in result["schemes"]}
difference = abs(rows["f32"] / wanted - 1)
print("%s: perplexity %s; PyTorch %.6f, f32 differs by %.1e" % (
    sys.argv[3], ", ".join("%s %.6f" % (name, value) for name, value in rows.items()), wanted, difference))
sys.exit(difference > 1e-3)
END
done
exit $failed
