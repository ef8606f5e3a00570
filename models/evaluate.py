"""Loss and exact match of a model on windows of the built-in tasks.

    evaluate.py MODEL_DIRECTORY EMITTER [WINDOWS] [SEED]
"""
import json
import sys
from collections import OrderedDict

import torch
import torch.nn.functional as F

import llama
import windows


@torch.no_grad()
def evaluate(model, emitter, count, seed="default", split="evaluation", length=512, batch=8):
    """Returns {"tokens", "loss_nats", "cells": {(task, difficulty): {...}}}, computed in float32.

    An example is an exact match when the argmax is right at each of its scored positions, given the true tokens before.
    """
    tokens, scored = windows.read_windows(emitter, split, seed, 0, count, length)
    examples = windows.read_examples(emitter, split, seed, 0, count, length)
    tokens, scored = torch.from_numpy(tokens), torch.from_numpy(scored)
    right = torch.zeros(count, length, dtype=torch.bool)
    loss = torch.zeros(count, length, dtype=torch.float64)
    for at in range(0, count, batch):
        logits = model(tokens[at:at + batch, :-1])
        target = tokens[at:at + batch, 1:]
        right[at:at + batch] = logits.argmax(-1) == target
        loss[at:at + batch] = F.cross_entropy(logits.transpose(1, 2), target, reduction="none").double()
    cells = OrderedDict()
    for window, task, difficulty, first, n in examples:
        mask = scored[window, first:first + n]
        cell = cells.setdefault((task, difficulty), {"examples": 0, "exact": 0, "tokens": 0, "right": 0, "loss": 0.0})
        hits = right[window, first:first + n][mask]
        cell["examples"] += 1
        cell["exact"] += int(hits.all())
        cell["tokens"] += int(mask.sum())
        cell["right"] += int(hits.sum())
        cell["loss"] += float(loss[window, first:first + n][mask].sum())
    order = ["add", "sort", "copy", "recall", "fact", "source"]
    tiers = ["common", "uncommon", "rare"]
    key = lambda c: (order.index(c[0]), tiers.index(c[1]) if c[1] in tiers else int("0" + c[1].split()[0])
                     if c[1][0].isdigit() else 0)
    return {"windows": count, "tokens": int(scored.sum()), "positions": count * length,
            "loss_nats": float(loss[scored].mean()),
            "cells": OrderedDict((c, cells[c]) for c in sorted(cells, key=key))}


def table(result):
    lines = [f"{'task':8} {'difficulty':12} {'examples':>8} {'exact %':>8} {'token %':>8} {'loss nats':>9}"]
    for (task, difficulty), c in result["cells"].items():
        lines.append(f"{task:8} {difficulty:12} {c['examples']:8d} {100 * c['exact'] / c['examples']:8.2f} "
                     f"{100 * c['right'] / c['tokens']:8.2f} {c['loss'] / c['tokens']:9.4f}")
    lines.append(f"{result['windows']} windows, {result['tokens']} scored tokens, loss {result['loss_nats']:.4f} nats")
    return "\n".join(lines)


if __name__ == "__main__":
    found = evaluate(llama.load(sys.argv[1]), sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 256,
                     sys.argv[4] if len(sys.argv) > 4 else "default")
    print(table(found))
