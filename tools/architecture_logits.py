#!/usr/bin/env python3
"""Logits of tiny models of every architecture from PyTorch in float64, as data for test/test_architectures.c.

    tools/architecture_logits.py OUT.json       needs Debian's python3-torch

The weights are a hash of their names, which the test makes again; only the configurations, tokens and logits are kept, and
of architectures whose files have tensors of their own what those are. Every function here is written from the definition of
the architecture's class in Hugging Face's transformers.
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

# Architectures with tensors of their own: their files' names, shapes and kinds go to OUT.json as well.
OTHERS = [
    ("Phi-3, fused projections, a window of 19", dict(
        LLAMA, architectures=["Phi3ForCausalLM"], hidden_size=96, intermediate_size=104, num_hidden_layers=2,
        num_attention_heads=6, num_key_value_heads=2, sliding_window=19)),
    ("OLMo 2, norms behind, heads normed together", dict(
        LLAMA, architectures=["Olmo2ForCausalLM"], hidden_size=120, intermediate_size=90, num_hidden_layers=2,
        num_attention_heads=6, num_key_value_heads=3, rope_theta=500000.0)),
    ("Gemma, one key head of 256", dict(
        architectures=["GemmaForCausalLM"], hidden_activation="gelu_pytorch_tanh", hidden_act="gelu", hidden_size=64,
        intermediate_size=100, num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=1, head_dim=256,
        max_position_embeddings=128, vocab_size=131, rms_norm_eps=1e-6)),
    ("Gemma 2, caps, windows of 11 in every second layer", dict(
        architectures=["Gemma2ForCausalLM"], hidden_activation="gelu_pytorch_tanh", hidden_size=72,
        intermediate_size=136, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, head_dim=32,
        query_pre_attn_scalar=20, sliding_window=11, attn_logit_softcapping=3.0, final_logit_softcapping=2.5,
        max_position_embeddings=128, vocab_size=131, rms_norm_eps=1e-6)),
    ("Gemma 3, two rotary embeddings, heads of 160", dict(
        architectures=["Gemma3ForCausalLM"], hidden_activation="gelu_pytorch_tanh", hidden_size=80,
        intermediate_size=96, num_hidden_layers=4, num_attention_heads=2, num_key_value_heads=1, head_dim=160,
        query_pre_attn_scalar=100, sliding_window=13, sliding_window_pattern=3, rope_theta=100000.0,
        rope_local_base_freq=100.0, rope_scaling={"rope_type": "linear", "factor": 4.0}, tie_word_embeddings=False,
        max_position_embeddings=128, vocab_size=131, rms_norm_eps=1e-6)),
    ("GPT-2, nothing but n_embd, n_head, n_layer", dict(
        architectures=["GPT2LMHeadModel"], n_embd=60, n_head=3, n_layer=2, n_positions=128, n_inner=None,
        activation_function="gelu_new", vocab_size=131, layer_norm_epsilon=1e-5)),
    ("StarCoder2, biases, grouped queries, a window of 29", dict(
        architectures=["Starcoder2ForCausalLM"], hidden_act="gelu_pytorch_tanh", hidden_size=96, intermediate_size=100,
        num_hidden_layers=2, num_attention_heads=6, num_key_value_heads=2, sliding_window=29, use_bias=True,
        norm_epsilon=1e-5, rope_theta=10000.0, tie_word_embeddings=False, max_position_embeddings=128,
        vocab_size=131)),
    ("Phi-3, longrope within its first context", dict(
        LLAMA, architectures=["Phi3ForCausalLM"], hidden_size=96, intermediate_size=104, num_hidden_layers=2,
        num_attention_heads=6, num_key_value_heads=2, sliding_window=262144, max_position_embeddings=2048,
        original_max_position_embeddings=96, rope_scaling={
            "type": "longrope", "short_factor": [1.0, 1.05, 1.1, 1.25, 1.5, 2.0, 2.5, 3.0],
            "long_factor": [1.0, 2.0, 4.0, 8.0, 16.0, 24.0, 32.0, 40.0]})),
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


class File:
    """Tensors of a file by their names, made as they are asked for; `tensors` is what the test writes again."""

    def __init__(self):
        self.tensors = []

    def note(self, name, shape, kind):
        entry = [name, list(shape), kind]
        if entry not in self.tensors:
            self.tensors.append(entry)

    def linear(self, name, rows, columns):
        self.note(name, [rows, columns], "linear")
        return linear(name, rows, columns)

    def gain(self, name, width):
        self.note(name, [width], "gain")
        return gain(name, width)

    def plain(self, name, width):
        self.note(name, [width], "plain")
        return hashed(name, width)


def causal(q, k, v, scale, window=None, cap=None):
    """q [heads][tokens][head], k and v [groups][tokens][head]; to [tokens][heads * head]."""
    heads, count, head = q.shape
    k, v = (t.repeat_interleave(heads // k.shape[0], 0) for t in (k, v))
    scores = q @ k.transpose(1, 2) * scale
    if cap:
        scores = torch.tanh(scores / cap) * cap
    distance = torch.arange(count)[:, None] - torch.arange(count)[None, :]
    seen = distance >= 0
    if window:
        seen = seen & (distance < window)
    return (torch.softmax(scores.masked_fill(~seen, -math.inf), -1) @ v).transpose(0, 1).reshape(count, heads * head)


def split(x, heads):
    return x.reshape(x.shape[0], heads, -1).transpose(0, 1)


def angles_of(theta, head, count, factor=1.0):
    f = theta ** (-torch.arange(0, head, 2, dtype=torch.float64) / head) / factor
    return torch.arange(count, dtype=torch.float64)[:, None] * f


def sizes(config):
    heads = config["num_attention_heads"]
    return (config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"], heads,
            config["num_key_value_heads"], config.get("head_dim", config["hidden_size"] // heads))


def silu(x):
    return x / (1 + torch.exp(-x))


def gelu(x):
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def phi3(config, tokens, file):
    hidden, inner, layers, heads, groups, head = sizes(config)
    eps, count = config["rms_norm_eps"], len(tokens)
    x = file.linear("model.embed_tokens.weight", config["vocab_size"], hidden)[torch.tensor(tokens)]
    scaling = config.get("rope_scaling", {})
    original = config.get("original_max_position_embeddings", config["max_position_embeddings"])
    assert count <= original
    angles = angles_of(config["rope_theta"], head, count,
                       torch.tensor(scaling.get("short_factor", [1.0]), dtype=torch.float64))
    longer = config["max_position_embeddings"] / original
    factor = math.sqrt(1 + math.log(longer) / math.log(original)) if longer > 1 else 1.0
    for layer in range(layers):
        at = f"model.layers.{layer}."
        h = norm(x, file.gain(at + "input_layernorm.weight", hidden), eps)
        qkv = h @ file.linear(at + "self_attn.qkv_proj.weight", (heads + 2 * groups) * head, hidden).T
        q, k, v = qkv.split([heads * head, groups * head, groups * head], -1)
        y = causal(factor * turn(split(q, heads), angles), factor * turn(split(k, groups), angles), split(v, groups),
                   head**-0.5, config.get("sliding_window"))
        x = x + y @ file.linear(at + "self_attn.o_proj.weight", hidden, heads * head).T
        h = norm(x, file.gain(at + "post_attention_layernorm.weight", hidden), eps)
        gate, up = (h @ file.linear(at + "mlp.gate_up_proj.weight", 2 * inner, hidden).T).chunk(2, -1)
        x = x + (up * silu(gate)) @ file.linear(at + "mlp.down_proj.weight", hidden, inner).T
    x = norm(x, file.gain("model.norm.weight", hidden), eps)
    return x @ file.linear("lm_head.weight", config["vocab_size"], hidden).T


def olmo2(config, tokens, file):
    hidden, inner, layers, heads, groups, head = sizes(config)
    eps, count = config["rms_norm_eps"], len(tokens)
    x = file.linear("model.embed_tokens.weight", config["vocab_size"], hidden)[torch.tensor(tokens)]
    angles = angles_of(config["rope_theta"], head, count)
    for layer in range(layers):
        at = f"model.layers.{layer}."
        q = x @ file.linear(at + "self_attn.q_proj.weight", heads * head, hidden).T
        k = x @ file.linear(at + "self_attn.k_proj.weight", groups * head, hidden).T
        v = x @ file.linear(at + "self_attn.v_proj.weight", groups * head, hidden).T
        q = norm(q, file.gain(at + "self_attn.q_norm.weight", heads * head), eps)
        k = norm(k, file.gain(at + "self_attn.k_norm.weight", groups * head), eps)
        y = causal(turn(split(q, heads), angles), turn(split(k, groups), angles), split(v, groups), head**-0.5)
        y = y @ file.linear(at + "self_attn.o_proj.weight", hidden, heads * head).T
        x = x + norm(y, file.gain(at + "post_attention_layernorm.weight", hidden), eps)
        gate = silu(x @ file.linear(at + "mlp.gate_proj.weight", inner, hidden).T)
        up = x @ file.linear(at + "mlp.up_proj.weight", inner, hidden).T
        y = (gate * up) @ file.linear(at + "mlp.down_proj.weight", hidden, inner).T
        x = x + norm(y, file.gain(at + "post_feedforward_layernorm.weight", hidden), eps)
    x = norm(x, file.gain("model.norm.weight", hidden), eps)
    return x @ file.linear("lm_head.weight", config["vocab_size"], hidden).T


def gemma(config, tokens, file):
    """All three: what a generation has beside the first is asked for by its number."""
    number = {"GemmaForCausalLM": 1, "Gemma2ForCausalLM": 2, "Gemma3ForCausalLM": 3}[config["architectures"][0]]
    hidden, inner, layers, heads, groups, head = sizes(config)
    eps, count = config["rms_norm_eps"], len(tokens)

    def plus_one(x, name, width):
        return norm(x, 1 + file.plain(name, width), eps)

    table = file.linear("model.embed_tokens.weight", config["vocab_size"], hidden)
    x = table[torch.tensor(tokens)] * math.sqrt(hidden)
    theta, factor = config.get("rope_theta", 10000.0), config.get("rope_scaling", {}).get("factor", 1.0)
    everywhere = angles_of(theta, head, count, factor)
    nearby = angles_of(config["rope_local_base_freq"], head, count) if number == 3 else everywhere
    scale = config["query_pre_attn_scalar"]**-0.5 if number > 1 else head**-0.5
    for layer in range(layers):
        at = f"model.layers.{layer}."
        is_local = {1: False, 2: layer % 2 == 0, 3: (layer + 1) % config.get("sliding_window_pattern", 6) != 0}[number]
        h = plus_one(x, at + "input_layernorm.weight", hidden)
        q = split(h @ file.linear(at + "self_attn.q_proj.weight", heads * head, hidden).T, heads)
        k = split(h @ file.linear(at + "self_attn.k_proj.weight", groups * head, hidden).T, groups)
        v = split(h @ file.linear(at + "self_attn.v_proj.weight", groups * head, hidden).T, groups)
        if number == 3:
            q = plus_one(q, at + "self_attn.q_norm.weight", head)
            k = plus_one(k, at + "self_attn.k_norm.weight", head)
        angles = nearby if is_local else everywhere
        y = causal(turn(q, angles), turn(k, angles), v, scale, config["sliding_window"] if is_local else None,
                   config.get("attn_logit_softcapping"))
        y = y @ file.linear(at + "self_attn.o_proj.weight", hidden, heads * head).T
        x = x + (plus_one(y, at + "post_attention_layernorm.weight", hidden) if number > 1 else y)
        before = "pre_feedforward_layernorm" if number > 1 else "post_attention_layernorm"
        h = plus_one(x, at + before + ".weight", hidden)
        gate = gelu(h @ file.linear(at + "mlp.gate_proj.weight", inner, hidden).T)
        up = h @ file.linear(at + "mlp.up_proj.weight", inner, hidden).T
        y = (gate * up) @ file.linear(at + "mlp.down_proj.weight", hidden, inner).T
        x = x + (plus_one(y, at + "post_feedforward_layernorm.weight", hidden) if number > 1 else y)
    x = plus_one(x, "model.norm.weight", hidden)
    if not config.get("tie_word_embeddings", True):
        table = file.linear("lm_head.weight", config["vocab_size"], hidden)
    out = x @ table.T
    cap = config.get("final_logit_softcapping")
    return torch.tanh(out / cap) * cap if cap else out


def layer_norm(x, file, name, width, eps):
    centred = x - x.mean(-1, keepdim=True)
    deviation = torch.sqrt((centred**2).mean(-1, keepdim=True) + eps)
    return centred / deviation * file.gain(name + ".weight", width) + file.plain(name + ".bias", width)


def gpt2(config, tokens, file):
    hidden, heads, eps = config["n_embd"], config["n_head"], config["layer_norm_epsilon"]
    inner, count = config["n_inner"] or 4 * hidden, len(tokens)

    def convolved(x, name, inputs, outputs):  # Conv1D: [inputs][outputs]
        return x @ file.linear(name + ".weight", inputs, outputs) + file.plain(name + ".bias", outputs)

    table = file.linear("transformer.wte.weight", config["vocab_size"], hidden)
    x = table[torch.tensor(tokens)] + file.linear("transformer.wpe.weight", config["n_positions"], hidden)[:count]
    for layer in range(config["n_layer"]):
        at = f"transformer.h.{layer}."
        file.note(at + "attn.bias", [1, 1, 4, 4], "linear")  # the causal mask, which old files hold
        h = layer_norm(x, file, at + "ln_1", hidden, eps)
        q, k, v = convolved(h, at + "attn.c_attn", hidden, 3 * hidden).split(hidden, -1)
        y = causal(split(q, heads), split(k, heads), split(v, heads), (hidden // heads)**-0.5)
        x = x + convolved(y, at + "attn.c_proj", hidden, hidden)
        h = layer_norm(x, file, at + "ln_2", hidden, eps)
        x = x + convolved(gelu(convolved(h, at + "mlp.c_fc", hidden, inner)), at + "mlp.c_proj", inner, hidden)
    return layer_norm(x, file, "transformer.ln_f", hidden, eps) @ table.T


def starcoder2(config, tokens, file):
    hidden, inner, layers, heads, groups, head = sizes(config)
    eps, count = config["norm_epsilon"], len(tokens)

    def project(x, name, rows, columns):
        return x @ file.linear(name + ".weight", rows, columns).T + file.plain(name + ".bias", rows)

    x = file.linear("model.embed_tokens.weight", config["vocab_size"], hidden)[torch.tensor(tokens)]
    angles = angles_of(config["rope_theta"], head, count)
    for layer in range(layers):
        at = f"model.layers.{layer}."
        h = layer_norm(x, file, at + "input_layernorm", hidden, eps)
        q = split(project(h, at + "self_attn.q_proj", heads * head, hidden), heads)
        k = split(project(h, at + "self_attn.k_proj", groups * head, hidden), groups)
        v = split(project(h, at + "self_attn.v_proj", groups * head, hidden), groups)
        y = causal(turn(q, angles), turn(k, angles), v, head**-0.5, config.get("sliding_window"))
        x = x + project(y, at + "self_attn.o_proj", hidden, heads * head)
        h = layer_norm(x, file, at + "post_attention_layernorm", hidden, eps)
        x = x + project(gelu(project(h, at + "mlp.c_fc", inner, hidden)), at + "mlp.c_proj", hidden, inner)
    x = layer_norm(x, file, "model.norm", hidden, eps)
    return x @ file.linear("lm_head.weight", config["vocab_size"], hidden).T


FUNCTIONS = {"Phi3ForCausalLM": phi3, "Olmo2ForCausalLM": olmo2, "GemmaForCausalLM": gemma, "Gemma2ForCausalLM": gemma,
             "Gemma3ForCausalLM": gemma, "GPT2LMHeadModel": gpt2, "Starcoder2ForCausalLM": starcoder2}


def main():
    models = []
    for title, config in MODELS:
        tokens = [(7 * i * i + 3 * i + 5) % config["vocab_size"] for i in range(TOKENS)]
        values = logits(config, tokens)
        models.append({"title": title, "config": config, "tokens": tokens,
                       "logits": [{"position": p, "values": [float("%.9g" % v) for v in values[p].tolist()]}
                                  for p in POSITIONS]})
    for title, config in OTHERS:
        tokens = [(7 * i * i + 3 * i + 5) % config["vocab_size"] for i in range(TOKENS)]
        file = File()
        values = FUNCTIONS[config["architectures"][0]](config, tokens, file)
        models.append({"title": title, "config": config, "tokens": tokens, "tensors": file.tensors,
                       "logits": [{"position": p, "values": [float("%.9g" % v) for v in values[p].tolist()]}
                                  for p in POSITIONS]})
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        lines = [json.dumps(m) for m in models]
        file.write('{"source": "PyTorch %s, float64, tools/architecture_logits.py",\n"models": [\n%s\n]}\n' % (
            torch.__version__, ",\n".join(lines)))


if __name__ == "__main__":
    main()
