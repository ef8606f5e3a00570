#!/usr/bin/env python3
"""Logits of tiny models of every architecture from PyTorch in float64, as data for test/test_architectures.c.

    tools/architecture_logits.py OUT.json       needs Debian's python3-torch

The weights are a hash of their names, which the test makes again; only the configurations, tokens and logits are kept.
"""
import json
import math
import sys

import numpy
import torch

TOKENS = 80
POSITIONS = [0, 1, 30, 79]
LLAMA = {"architectures": ["LlamaForCausalLM"], "hidden_act": "silu", "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
         "max_position_embeddings": 128, "tie_word_embeddings": False, "vocab_size": 131}
MODELS = [
    ("Llama, heads of 8, inner size of no multiple of 32, tied", dict(
        LLAMA, hidden_size=64, intermediate_size=172, num_hidden_layers=3, num_attention_heads=8, num_key_value_heads=4,
        tie_word_embeddings=True)),
    ("Llama 3, heads of 128, scaled frequencies", dict(
        LLAMA, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        head_dim=128, rope_theta=500000.0,
        rope_scaling={"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                      "original_max_position_embeddings": 64})),
    ("Llama, nothing even, frequencies divided", dict(
        LLAMA, hidden_size=100, intermediate_size=90, num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=1,
        head_dim=48, rope_scaling={"type": "linear", "factor": 4.0})),
    ("Mistral, a window of 24", dict(
        LLAMA, architectures=["MistralForCausalLM"], hidden_size=128, intermediate_size=224, num_hidden_layers=3,
        num_attention_heads=4, num_key_value_heads=2, head_dim=32, sliding_window=24)),
    ("Qwen2, biases, a window in the upper layer", dict(
        LLAMA, architectures=["Qwen2ForCausalLM"], hidden_size=112, intermediate_size=160, num_hidden_layers=2,
        num_attention_heads=7, num_key_value_heads=1, rope_theta=1000000.0, tie_word_embeddings=True,
        use_sliding_window=True, sliding_window=17, max_window_layers=1)),
    ("Qwen3, queries and keys normed", dict(
        LLAMA, architectures=["Qwen3ForCausalLM"], hidden_size=96, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=128, rope_theta=1000000.0, rms_norm_eps=1e-6)),
]


def hashed(name, count):
    """Multiples of 2^-24 in [-1/2, 1/2): splitmix64 of the name's FNV-1a hash and the index."""
    seed = 0xcbf29ce484222325
    for byte in name.encode():
        seed = ((seed ^ byte) * 0x100000001b3) % 2**64
    with numpy.errstate(over="ignore"):
        z = numpy.uint64(seed) + (numpy.arange(count, dtype=numpy.uint64) + numpy.uint64(1)) * numpy.uint64(0x9e3779b97f4a7c15)
        z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xbf58476d1ce4e5b9)
        z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94d049bb133111eb)
        z = z ^ (z >> numpy.uint64(31))
    return torch.from_numpy((z >> numpy.uint64(40)).astype(numpy.float64) / 2**24 - 0.5)


def linear(name, rows, columns):
    return (hashed(name, rows * columns) * 0.5).reshape(rows, columns)


def gain(name, width):
    return 1 + hashed(name, width)


def norm(x, weight, epsilon):
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + epsilon) * weight


def frequencies(config, head):
    f = config["rope_theta"] ** (-torch.arange(0, head, 2, dtype=torch.float64) / head)
    scaling = config.get("rope_scaling")
    if not scaling:
        return f
    if scaling.get("type") == "linear":
        return f / scaling["factor"]
    # Llama 3.1: by the wavelength.
    old, low, high = (scaling[k] for k in ("original_max_position_embeddings", "low_freq_factor", "high_freq_factor"))
    out = []
    for value in f.tolist():
        length = 2 * math.pi / value
        if length < old / high:
            out.append(value)
        elif length > old / low:
            out.append(value / scaling["factor"])
        else:
            smooth = (old / length - low) / (high - low)
            out.append((1 - smooth) * value / scaling["factor"] + smooth * value)
    return torch.tensor(out, dtype=torch.float64)


def turn(x, angles):
    """x [heads][positions][head], angles [positions][head / 2]."""
    cos, sin = torch.cat([angles.cos()] * 2, -1), torch.cat([angles.sin()] * 2, -1)
    half = x.shape[-1] // 2
    return x * cos + torch.cat([-x[..., half:], x[..., :half]], -1) * sin


def logits(config, tokens):
    hidden, heads, groups = (config[k] for k in ("hidden_size", "num_attention_heads", "num_key_value_heads"))
    head, eps = config.get("head_dim", hidden // heads), config["rms_norm_eps"]
    kind, count = config["architectures"][0], len(tokens)
    table = linear("model.embed_tokens.weight", config["vocab_size"], hidden)
    x = table[torch.tensor(tokens)]
    angles = torch.arange(count, dtype=torch.float64)[:, None] * frequencies(config, head)
    distance = torch.arange(count)[:, None] - torch.arange(count)[None, :]
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        h = norm(x, gain(at + "input_layernorm.weight", hidden), eps)

        def project(part, n):
            y = h @ linear(f"{at}self_attn.{part}_proj.weight", n * head, hidden).T
            if kind.startswith("Qwen2"):
                y = y + hashed(f"{at}self_attn.{part}_proj.bias", n * head)
            return y.reshape(count, n, head).transpose(0, 1)

        q, k, v = project("q", heads), project("k", groups), project("v", groups)
        if kind.startswith("Qwen3"):
            q = norm(q, gain(at + "self_attn.q_norm.weight", head), eps)
            k = norm(k, gain(at + "self_attn.k_norm.weight", head), eps)
        q, k = turn(q, angles), turn(k, angles)
        k, v = (t.repeat_interleave(heads // groups, 0) for t in (k, v))
        scores = q @ k.transpose(1, 2) / math.sqrt(head)
        seen = distance >= 0
        window = config.get("sliding_window")
        if window and layer >= config.get("max_window_layers", 0):
            seen = seen & (distance < window)
        scores = scores.masked_fill(~seen, -math.inf)
        y = (torch.softmax(scores, -1) @ v).transpose(0, 1).reshape(count, heads * head)
        x = x + y @ linear(at + "self_attn.o_proj.weight", hidden, heads * head).T
        h = norm(x, gain(at + "post_attention_layernorm.weight", hidden), eps)
        inner = config["intermediate_size"]
        gate, up = (h @ linear(f"{at}mlp.{part}_proj.weight", inner, hidden).T for part in ("gate", "up"))
        x = x + (torch.nn.functional.silu(gate) * up) @ linear(at + "mlp.down_proj.weight", hidden, inner).T
    x = norm(x, gain("model.norm.weight", hidden), eps)
    if not config["tie_word_embeddings"]:
        table = linear("lm_head.weight", config["vocab_size"], hidden)
    return x @ table.T


def main():
    models = []
    for title, config in MODELS:
        tokens = [(7 * i * i + 3 * i + 5) % config["vocab_size"] for i in range(TOKENS)]
        values = logits(config, tokens)
        models.append({"title": title, "config": config, "tokens": tokens,
                       "logits": [{"position": p, "values": [float("%.9g" % v) for v in values[p].tolist()]}
                                  for p in POSITIONS]})
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        lines = [json.dumps(m) for m in models]
        file.write('{"source": "PyTorch %s, float64, tools/architecture_logits.py",\n"models": [\n%s\n]}\n' % (
            torch.__version__, ",\n".join(lines)))


if __name__ == "__main__":
    main()
