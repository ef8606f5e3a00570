"""A small Llama-architecture model in PyTorch, and its files in the layout of Hugging Face.

Plain code, no library besides PyTorch, so that it can serve as a second opinion on what qmark computes: RMSNorm,
rotate-half RoPE, grouped-query attention, SwiGLU, untied head, no biases.
"""
import hashlib
import json
import os
import struct

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 512,
    "hidden_size": 256,
    "intermediate_size": 768,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "rope_scaling": None,
    "hidden_act": "silu",
    "attention_bias": False,
    "attention_dropout": 0.0,
    "mlp_bias": False,
    "tie_word_embeddings": False,
    "initializer_range": 0.02,
    "use_cache": True,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": 1,
    "torch_dtype": "float32",
}


class RMSNorm(nn.Module):
    def __init__(self, size, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x):
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps))


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = c["num_attention_heads"], c["num_key_value_heads"], c["head_dim"]
        hidden = c["hidden_size"]
        self.q_proj = nn.Linear(hidden, self.heads * self.head_dim, bias=False)
        self.k_proj = nn.Linear(hidden, self.kv_heads * self.head_dim, bias=False)
        self.v_proj = nn.Linear(hidden, self.kv_heads * self.head_dim, bias=False)
        self.o_proj = nn.Linear(self.heads * self.head_dim, hidden, bias=False)

    @staticmethod
    def rotate(x, cos, sin):
        half = x.shape[-1] // 2
        return x * cos + torch.cat((-x[..., half:], x[..., :half]), -1) * sin

    def forward(self, x, cos, sin, mask):
        b, t, _ = x.shape
        q = self.rotate(self.q_proj(x).view(b, t, self.heads, -1).transpose(1, 2), cos, sin)
        k = self.rotate(self.k_proj(x).view(b, t, self.kv_heads, -1).transpose(1, 2), cos, sin)
        v = self.v_proj(x).view(b, t, self.kv_heads, -1).transpose(1, 2)
        groups = self.heads // self.kv_heads
        k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
        p = ((q @ k.transpose(-1, -2)) / self.head_dim ** 0.5 + mask).softmax(-1)
        return self.o_proj((p @ v).transpose(1, 2).reshape(b, t, -1))


class MLP(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.gate_proj = nn.Linear(c["hidden_size"], c["intermediate_size"], bias=False)
        self.up_proj = nn.Linear(c["hidden_size"], c["intermediate_size"], bias=False)
        self.down_proj = nn.Linear(c["intermediate_size"], c["hidden_size"], bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.input_layernorm = RMSNorm(c["hidden_size"], c["rms_norm_eps"])
        self.self_attn = Attention(c)
        self.post_attention_layernorm = RMSNorm(c["hidden_size"], c["rms_norm_eps"])
        self.mlp = MLP(c)

    def forward(self, x, cos, sin, mask):
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, mask)
        return x + self.mlp(self.post_attention_layernorm(x))


class Body(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.embed_tokens = nn.Embedding(c["vocab_size"], c["hidden_size"])
        self.layers = nn.ModuleList([Layer(c) for _ in range(c["num_hidden_layers"])])
        self.norm = RMSNorm(c["hidden_size"], c["rms_norm_eps"])


class Llama(nn.Module):
    """forward(tokens [batch, time]) gives logits [batch, time, vocabulary]."""

    def __init__(self, config=None):
        super().__init__()
        c = self.config = dict(CONFIG if config is None else config)
        self.model = Body(c)
        self.lm_head = nn.Linear(c["hidden_size"], c["vocab_size"], bias=False)
        for name, p in self.named_parameters():
            if p.dim() == 2:
                std = c["initializer_range"]
                if name.endswith(("o_proj.weight", "down_proj.weight")):
                    std /= (2 * c["num_hidden_layers"]) ** 0.5
                nn.init.normal_(p, 0.0, std)

    def tables(self, time, dtype):
        c = self.config
        position = torch.arange(time, dtype=torch.float64)[:, None]
        rate = c["rope_theta"] ** (-torch.arange(0, c["head_dim"], 2, dtype=torch.float64) / c["head_dim"])
        angle = torch.cat((position * rate, position * rate), -1)
        mask = torch.full((time, time), float("-inf"), dtype=dtype).triu(1)
        return angle.cos().to(dtype), angle.sin().to(dtype), mask

    def hidden(self, tokens):
        x = self.model.embed_tokens(tokens)
        cos, sin, mask = self.tables(tokens.shape[1], x.dtype)
        for layer in self.model.layers:
            x = layer(x, cos, sin, mask)
        return self.model.norm(x)

    def forward(self, tokens):
        return self.lm_head(self.hidden(tokens))


def write_safetensors(path, tensors, metadata=None):
    """Writes float32 tensors, sorted by name, header padded with spaces to 8 bytes. Returns the file's SHA-256."""
    header, offset, blobs = {}, 0, []
    if metadata:
        header["__metadata__"] = metadata
    for name in sorted(tensors):
        array = np.ascontiguousarray(tensors[name].detach().cpu().numpy().astype("<f4"))
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
        blobs.append(array.tobytes())
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    data = struct.pack("<Q", len(text)) + text + b"".join(blobs)
    with open(path + ".part", "wb") as f:
        f.write(data)
    os.replace(path + ".part", path)
    return hashlib.sha256(data).hexdigest()


def read_safetensors(path):
    with open(path, "rb") as f:
        size = struct.unpack("<Q", f.read(8))[0]
        header = json.loads(f.read(size))
        data = f.read()
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            assert entry["dtype"] == "F32", name
            first, last = entry["data_offsets"]
            array = np.frombuffer(data[first:last], "<f4").reshape(entry["shape"]).copy()
            tensors[name] = torch.from_numpy(array)
    return tensors


def load(directory):
    """Reads a Hugging Face directory with F32 weights."""
    with open(os.path.join(directory, "config.json"), encoding="utf-8") as f:
        model = Llama(json.load(f))
    model.load_state_dict(read_safetensors(os.path.join(directory, "model.safetensors")))
    return model.eval()


def export(model, directory, vocabulary):
    """Writes config, weights and tokenizer. Returns {file name: SHA-256}."""
    os.makedirs(directory, exist_ok=True)
    hashes = {"model.safetensors": write_safetensors(os.path.join(directory, "model.safetensors"),
                                                     model.state_dict(), {"format": "pt"})}
    special = [{"id": i, "content": t, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
                "special": True} for i, t in enumerate(vocabulary[:2])]
    tokenizer = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": special, "normalizer": None,
                 "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": None, "decoder": None,
                 "model": {"type": "WordLevel", "vocab": {t: i for i, t in enumerate(vocabulary)},
                           "unk_token": "<unk>"}}
    tokenizer_config = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 512, "unk_token": "<unk>",
                        "pad_token": "<pad>", "clean_up_tokenization_spaces": False}
    for name, content in (("config.json", model.config), ("tokenizer.json", tokenizer),
                          ("tokenizer_config.json", tokenizer_config)):
        text = json.dumps(content, indent=2) + "\n"
        with open(os.path.join(directory, name), "w", encoding="utf-8") as f:
            f.write(text)
        hashes[name] = hashlib.sha256(text.encode()).hexdigest()
    return hashes
