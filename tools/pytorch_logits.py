"""Logits of a model directory from PyTorch in float64, as data for the test of the C reference.

    pytorch_logits.py MODEL_DIRECTORY EMITTER OUT.json

Window 0 of the default evaluation set, 512 positions; all logits at a few positions, 9 significant digits.
"""
import hashlib
import json
import os
import sys

import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "models"))
import llama  # noqa: E402
import windows  # noqa: E402

POSITIONS = [0, 1, 63, 200, 383, 511]


def main():
    directory, emitter, out = sys.argv[1:4]
    model = llama.load(directory).double()
    tokens, scored = windows.read_windows(emitter, "evaluation", "default", 0, 1, 512)
    with torch.no_grad():
        logits = model(torch.from_numpy(tokens[:, :-1]))[0]
    loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(tokens[0, 1:]), reduction="none")
    with open(os.path.join(directory, "model.safetensors"), "rb") as f:
        digest = hashlib.sha256(f.read()).hexdigest()
    lines = ["{",
             f'  "model_sha256": "{digest}",',
             f'  "source": "PyTorch {torch.__version__}, float64, tools/pytorch_logits.py",',
             '  "split": "evaluation", "seed": "default", "window": 0, "length": 512,',
             f'  "scored_tokens": {int(scored.sum())},',
             f'  "mean_scored_loss_nats": {float(loss[torch.from_numpy(scored[0])].mean()):.12g},',
             f'  "tokens": {json.dumps(tokens[0].tolist())},',
             '  "logits": [']
    for i, p in enumerate(POSITIONS):
        values = ", ".join(f"{v:.9g}" for v in logits[p].tolist())
        lines.append(f'    {{"position": {p}, "values": [{values}]}}' + ("," if i + 1 < len(POSITIONS) else ""))
    lines += ["  ]", "}"]
    text = "\n".join(lines) + "\n"
    json.loads(text)
    with open(out, "w", encoding="utf-8") as f:
        f.write(text)


if __name__ == "__main__":
    main()
