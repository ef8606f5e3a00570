"""Turns a training checkpoint into the model directory: weights, tokenizer, grading table, model card, log.

    package.py WORK_DIRECTORY EMITTER MODEL_DIRECTORY [--windows N]

Exact match is measured in float32 on the default evaluation set. A cell (task, difficulty) is graded where exact match
lies between 60 and 98 %: below, the model has not learnt it; above, there is nothing to lose that could be seen.
"""
import argparse
import datetime
import hashlib
import json
import os
import shutil
import subprocess

import torch

import evaluate
import llama
import windows

LOW, HIGH, FEWEST = 0.60, 0.98, 100


def set_hash(emitter, split, count):
    data = subprocess.run([emitter, split, "default", "0", str(count), "512"], stdout=subprocess.PIPE, check=True)
    return hashlib.sha256(data.stdout).hexdigest()


def grade(exact, examples):
    share = exact / examples
    if share < LOW:
        return False, "not learnt: below 60 %"
    if share > HIGH:
        return False, "saturated: above 98 %"
    if examples < FEWEST:
        return False, f"fewer than {FEWEST} examples"
    return True, "between 60 and 98 %"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("work")
    parser.add_argument("emitter")
    parser.add_argument("out")
    parser.add_argument("--windows", type=int, default=256)
    o = parser.parse_args()
    s = torch.load(os.path.join(o.work, "checkpoint.pt"), map_location="cpu")
    model = llama.Llama()
    model.load_state_dict(s["model"])
    model.eval()
    with open(os.path.join(o.work, "train.log"), encoding="utf-8") as f:
        log = f.read()
    finished = "# finished at step" in "".join(log.splitlines()[-3:])
    hashes = llama.export(model, o.out, windows.read_vocabulary(o.emitter))
    shutil.copyfile(os.path.join(o.work, "train.log"), os.path.join(o.out, "train.log"))
    found = evaluate.evaluate(model, o.emitter, o.windows)
    entropy = windows.read_entropy_nats(o.emitter)
    source = found["cells"][("source", "order 2")]
    source_loss = source["loss"] / source["tokens"]
    cells, rows = [], []
    for (task, difficulty), c in found["cells"].items():
        if task == "source":
            continue
        graded, reason = grade(c["exact"], c["examples"])
        cells.append({"task": task, "difficulty": difficulty, "examples": c["examples"], "exact": c["exact"],
                      "exact_match": round(c["exact"] / c["examples"], 6), "graded": graded, "reason": reason})
        rows.append(f"| {task} | {difficulty} | {c['examples']} | {100 * c['exact'] / c['examples']:.1f} % | "
                    f"{100 * c['right'] / c['tokens']:.2f} % | {'yes' if graded else 'no: ' + reason.split(':')[0]} |")
    grading = {"schema": 1, "model_sha256": hashes["model.safetensors"],
               "evaluation": {"split": "evaluation", "seed": "default", "windows": o.windows, "length": 512,
                              "scored_tokens": found["tokens"], "loss_nats": round(found["loss_nats"], 6)},
               "band": [LOW, HIGH],
               "source": {"entropy_nats": entropy, "loss_nats": round(source_loss, 6), "tokens": source["tokens"]},
               "cells": cells}
    with open(os.path.join(o.out, "grading.json"), "w", encoding="utf-8") as f:
        f.write(json.dumps(grading, indent=2) + "\n")
    parameters = sum(p.numel() for p in model.parameters())
    size = os.path.getsize(os.path.join(o.out, "model.safetensors"))
    nl = "\n"
    draft = "" if finished else ("\n**Draft: an intermediate checkpoint for development. Its weights, hashes and grades "
                                 "will be replaced.**\n")
    card = f"""# qmark-3m
{draft}
The built-in model of qmark: a Llama-architecture model of {parameters:,} parameters that solves generated tasks whose
answers are exact. It exists so that the loss from quantization can be measured against a known truth with a model that
every device can run; it speaks no natural language and is of no use for anything else.

| | |
|---|---|
| architecture | LlamaForCausalLM: RMSNorm (eps 1e-5), rotate-half RoPE (theta 10000), grouped-query attention, SwiGLU, untied head, no biases |
| shape | hidden 256, intermediate 768, 4 layers, 4 heads, 2 key-value heads, head_dim 64, vocabulary 512, context 512 |
| parameters | {parameters:,}, float32, {size:,} bytes |
| trained on | {s['trained']:,} tokens in {s['step']:,} steps, each window seen once |
| licence | that of this repository |
| made | {datetime.date.today().isoformat()} |

## Data
Tokens come from qmark's own generators (`core/model/tasks.h` describes every task and encoding): addition, sorting,
copying, key-value recall, memorised facts, and a Markov source of known entropy. The tokenizer is a list of words
separated by white space. About half of all positions are scored (answers and source symbols); the loss was taken on
those only.

Splits: an example belongs to one split by a hash of its question (14/16 training, 1/16 calibration, 1/16 evaluation),
whatever the seed of the set; no example is in two splits. Facts are the exception: they are the same in all splits,
because a fact that was never seen cannot be known. `test/test_tasks.c` checks both.

| set | seed | windows of 512 | SHA-256 of what `emit_windows SPLIT default 0 N 512` writes |
|---|---|---|---|
| evaluation | `QM_SEED_EVALUATION` | {o.windows} | `{set_hash(o.emitter, 'evaluation', o.windows)}` |
| calibration | `QM_SEED_CALIBRATION` | 128 | `{set_hash(o.emitter, 'calibration', 128)}` |

## Accuracy in float32
Exact match: every answer token is the argmax, given the true tokens before it. {o.windows} windows of the default
evaluation set, {found['tokens']:,} scored tokens, mean loss {found['loss_nats']:.4f} nats. Graded are the cells between
60 and 98 % (`grading.json`); in the others a loss from quantization would be hidden or drowned.

| task | difficulty | examples | exact match | right tokens | graded |
|---|---|---|---|---|---|
{nl.join(rows)}

Source: entropy {entropy:.6f} nats per symbol; the model's loss is {source_loss:.6f} nats on {source['tokens']:,}
symbols, so it is {source_loss - entropy:.4f} nats above the lowest loss possible.

## Training
The loss weights of the last stage were chosen after looking at exact match on the default evaluation set; no example of it
was trained on (facts apart). An evaluation set of another seed is free of even that.

`models/train.py` ({s['seconds'] / 60:.0f} minutes on two cores of a CPU with bfloat16 instructions, shared with other
work); settings in the first line of `train.log`, which holds every later change of the schedule and the loss every 50
steps. The first 800 steps ran in one process of two threads, the rest in two processes of one thread that share each
batch. From step 1880 on, with the rate raised to half and falling again, addition and facts have more
weight in the loss (`add_weight`, `fact_weight` in the log), the rest having been learnt by then; addition did not
follow, and its weight went back to 1. Hidden matrices: Muon; embedding,
head and norms: AdamW; warm-up, constant rate, linear decay to zero; windows of 128 positions, then of 512. Matrix
products in bfloat16, weights and optimiser state in float32. Seeds are fixed; sums over threads are not ordered, so a
second training gives an equally good model, not the same bytes. Those of this one are:

| file | SHA-256 |
|---|---|
{nl.join(f"| {name} | `{value}` |" for name, value in sorted(hashes.items()))}
"""
    with open(os.path.join(o.out, "README.md"), "w", encoding="utf-8") as f:
        f.write(card)
    print(evaluate.table(found))
    print("\n".join(f"{c['task']} {c['difficulty']}: {'graded' if c['graded'] else c['reason']}" for c in cells))


if __name__ == "__main__":
    main()
