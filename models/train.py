"""Trains the built-in model on windows that tools/emit_windows draws. See README.md beside this file.

    train.py WORK_DIRECTORY EMITTER [--key value ...]

Schedule: warm-up, constant rate, linear decay to zero (WSD). Windows of 128 positions at first, of 512 from
`switch_step` on. Hidden matrices are trained with Muon (momentum, orthogonalised), everything else with Adam. Matrix
products run in bfloat16 (autocast), weights and optimiser state are float32. Loss is taken on scored positions only.

WORK_DIRECTORY/control.json, where it exists, replaces switch_step, decay_start and decay_steps while training runs, so
that the decay can be started when time is short; every change is written to the log. The defaults below are what the
log of qmark-3m comes to. Restarting with the same directory goes on from the last checkpoint.
"""
import argparse
import json
import os
import sys
import time

import numpy as np
import torch
import torch.distributed
import torch.multiprocessing
import torch.nn.functional as F

import evaluate
import llama
import windows


def orthogonalise(g):
    """Newton-Schulz iteration towards the nearest matrix whose singular values are about 1 (Jordan et al., Muon)."""
    x = g.bfloat16()
    tall = x.shape[0] > x.shape[1]
    x = x.t() if tall else x
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        a = x @ x.t()
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * (a @ a)) @ x
    return (x.t() if tall else x).float()


class Muon:
    def __init__(self, parameters, momentum, decay):
        self.parameters, self.momentum, self.decay = parameters, momentum, decay
        self.state = [torch.zeros_like(p) for p in parameters]

    @torch.no_grad()
    def step(self, rate):
        for p, m in zip(self.parameters, self.state):
            m.lerp_(p.grad, 1 - self.momentum)
            update = orthogonalise(p.grad.lerp(m, self.momentum))
            p.mul_(1 - rate * self.decay).add_(update, alpha=-rate * 0.2 * max(p.shape) ** 0.5)


def weights_of(tokens, plan):
    """The weight of the loss at each position, by the task of the example that it lies in."""
    tag = (tokens >= 2) & (tokens < 8)
    start = torch.where(tag, torch.arange(tokens.shape[1]).expand_as(tokens), torch.zeros_like(tokens)).cummax(1)[0]
    task = tokens.gather(1, start)
    weight = torch.ones(tokens.shape)
    weight[task == 2] = plan["add_weight"]
    weight[task == 6] = plan["fact_weight"]
    return weight


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("work")
    parser.add_argument("emitter")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2, help="share the batch; one thread each")
    parser.add_argument("--batch_tokens", type=int, default=8192)
    parser.add_argument("--rate", type=float, default=4e-3, help="Muon; update RMS is 0.2 of it")
    parser.add_argument("--adam_rate", type=float, default=3e-3)
    parser.add_argument("--decay", type=float, default=0.05)
    parser.add_argument("--optimiser", choices=("muon", "adam"), default="muon")
    parser.add_argument("--warmup", type=int, default=200)
    parser.add_argument("--switch_step", type=int, default=1100)
    parser.add_argument("--decay_start", type=int, default=1500)
    parser.add_argument("--decay_steps", type=int, default=380)
    parser.add_argument("--add_weight", type=int, default=1, help="weight of the loss on addition")
    parser.add_argument("--fact_weight", type=int, default=1, help="weight of the loss on facts")
    parser.add_argument("--evaluate_every", type=int, default=1000)
    parser.add_argument("--stop", type=int, default=1 << 30, help="stop at this step, for trials")
    return parser.parse_args()


def train(rank, o):
    os.makedirs(o.work, exist_ok=True)
    log = open(os.path.join(o.work, "train.log") if rank == 0 else os.devnull, "a", buffering=1, encoding="utf-8")

    def say(text):
        log.write(text + "\n")

    # One thread per process and one meeting per step: on a machine that is shared with other work this is several
    # times faster than threads, which meet after every operation.
    if o.processes > 1:
        os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
        os.environ.setdefault("MASTER_PORT", "29517")
        torch.distributed.init_process_group("gloo", rank=rank, world_size=o.processes)
    torch.set_num_threads(1)
    torch.manual_seed(o.seed)
    model = llama.Llama()
    parameters = list(model.parameters())
    matrices = [p for n, p in model.named_parameters() if p.dim() == 2 and "layers" in n] if o.optimiser == "muon" else []
    chosen = {id(p) for p in matrices}
    rest = [p for p in model.parameters() if id(p) not in chosen]
    muon = Muon(matrices, 0.95, o.decay)
    adam = torch.optim.AdamW([{"params": [p for p in rest if p.dim() == 2], "weight_decay": o.decay},
                              {"params": [p for p in rest if p.dim() == 1], "weight_decay": 0.0}],
                             lr=o.adam_rate, betas=(0.9, 0.95), eps=1e-9, foreach=True)
    step, trained, counters, seconds = 0, 0, {128: 0, 512: 0}, 0.0
    checkpoint = os.path.join(o.work, "checkpoint.pt")
    if os.path.exists(checkpoint):
        s = torch.load(checkpoint)
        model.load_state_dict(s["model"])
        adam.load_state_dict(s["adam"])
        muon.state = s["muon"]
        step, trained, counters, seconds = s["step"], s["trained"], s["counters"], s["seconds"]
        say(f"# resumed at step {step}")
    else:
        say(f"# {json.dumps({k: v for k, v in vars(o).items() if k not in ('work', 'emitter')})}")
        say(f"# parameters {sum(p.numel() for p in model.parameters())}, torch {torch.__version__}")
        say("# step, tokens, window, rate factor, loss on scored tokens (nats, mean since last line), grad norm, tokens/s")

    def save():
        if rank > 0:
            return
        torch.save({"model": model.state_dict(), "adam": adam.state_dict(), "muon": muon.state, "step": step,
                    "trained": trained, "counters": counters, "seconds": seconds}, checkpoint + ".part")
        os.replace(checkpoint + ".part", checkpoint)

    control = os.path.join(o.work, "control.json")
    plan = {"switch_step": o.switch_step, "decay_start": o.decay_start, "decay_steps": o.decay_steps,
            "add_weight": o.add_weight, "fact_weight": o.fact_weight}
    stream, losses, since, since_tokens = None, [], time.time(), 0
    while True:
        if step % 20 == 0:
            fresh = dict(plan)
            if os.path.exists(control):
                with open(control, encoding="utf-8") as f:
                    fresh.update(json.load(f))
            if o.processes > 1:  # all follow the plan that the first process has read
                agreed = torch.tensor([fresh[k] for k in sorted(fresh)])
                torch.distributed.broadcast(agreed, 0)
                fresh = dict(zip(sorted(fresh), agreed.tolist()))
            if fresh != plan:
                plan = fresh
                say(f"# step {step}: plan {json.dumps(plan)}")
        end = plan["decay_start"] + plan["decay_steps"]
        if step >= min(end, o.stop):
            break
        length = 128 if step < plan["switch_step"] else 512
        count = o.batch_tokens // length
        share = count // o.processes
        if stream is None or stream.length != length:
            if stream is not None:
                stream.close()
            stream = windows.Stream(o.emitter, "train", "default", counters[length], length)
        factor = min(1.0, (step + 1) / o.warmup, (end - step) / plan["decay_steps"])
        tokens, scored = stream.read(count)
        tokens, scored = tokens[rank * share:(rank + 1) * share], scored[rank * share:(rank + 1) * share]
        counters[length] += count
        tokens, scored = torch.from_numpy(tokens), torch.from_numpy(scored)
        with torch.autocast("cpu", torch.bfloat16):
            hidden = model.hidden(tokens[:, :-1])
            logits = model.lm_head(hidden[scored])
        loss = F.cross_entropy(logits.float(), tokens[:, 1:][scored], reduction="none")
        weight = weights_of(tokens[:, :-1], plan)[scored]
        loss = (loss * weight).sum() / weight.sum()
        loss.backward()
        if o.processes > 1:
            # Each process has about as many scored positions as the other, so the mean of means will do. The loss
            # travels along.
            flat = torch.cat([p.grad.reshape(-1) for p in parameters] + [loss.detach().reshape(1)])
            torch.distributed.all_reduce(flat)
            flat /= o.processes
            at = 0
            for p in parameters:
                p.grad.copy_(flat[at:at + p.numel()].view_as(p))
                at += p.numel()
            loss = flat[-1]
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in adam.param_groups:
            group["lr"] = o.adam_rate * factor
        adam.step()
        muon.step(o.rate * factor)
        for p in model.parameters():
            p.grad = None
        step += 1
        trained += count * length
        since_tokens += count * length
        losses.append(loss.item())
        if step % 50 == 0:
            now = time.time()
            seconds += now - since
            say(f"{step} {trained} {length} {factor:.3f} {np.mean(losses):.4f} {norm:.3f} {since_tokens / (now - since):.0f}")
            losses, since, since_tokens = [], now, 0
        if step % 100 == 0:
            save()
        if step % o.evaluate_every == 0 and rank == 0:
            say(evaluate.table(evaluate.evaluate(model, o.emitter, 24, split="calibration")).replace("\n", "\n#   "))
            since = time.time()
    if stream is not None:
        stream.close()
    save()
    say(f"# finished at step {step}, {trained} tokens, {seconds:.0f} s")
    if step >= end and rank == 0:
        hashes = llama.export(model, os.path.join(o.work, "export"), windows.read_vocabulary(o.emitter))
        say(f"# {json.dumps(hashes)}")


def main():
    o = parse()
    if o.processes == 1:
        train(0, o)
    else:
        torch.multiprocessing.spawn(train, (o,), o.processes)


if __name__ == "__main__":
    main()
