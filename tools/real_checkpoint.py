#!/usr/bin/env python3
"""Logits and perplexities of a published checkpoint from PyTorch in float64, as data for test/test_real_checkpoint.c.

    tools/real_checkpoint.py FOLDER OUT.json        needs Debian's python3-torch

FOLDER has stories260K.bin and tok512.bin (docs/MODELS.md says where they come from). The transformer, the tokenizer and the
windows here are implementations of their own, from llama2.c's definitions: the rotary embedding turns neighbouring values,
as complex numbers, so that the conversion to Hugging Face's order is tested too. Texts are what the model itself tells
(seeded). Logits of a small made model, whose weights are a hash of their index, are for a test without the checkpoint.
"""
import hashlib
import json
import math
import os
import struct
import sys

import numpy
import torch

BEGIN, END, BYTES = 1, 2, 3
STORIES, STORY_TOKENS, SEED = 8, 256, 260000
POSITIONS = {0: [0, 1, 17, 100], 3: [2, 63, 64, 150], 7: [5, 90, 128]}  # whose logits are kept, by story
WINDOW = 256
MADE = {"dim": 48, "hidden_dim": 100, "n_layers": 2, "n_heads": 6, "n_kv_heads": 3, "vocab_size": -96, "seq_len": 64}
MADE_POSITIONS = [0, 1, 30, 63]


def shapes(c):
    head = c["dim"] // c["n_heads"]
    layer, keys, inner = c["n_layers"], c["n_kv_heads"] * head, c["hidden_dim"]
    return {"embedding": (abs(c["vocab_size"]), c["dim"]), "attention_norm": (layer, c["dim"]),
            "q": (layer, c["dim"], c["dim"]), "k": (layer, keys, c["dim"]), "v": (layer, keys, c["dim"]),
            "o": (layer, c["dim"], c["dim"]), "inner_norm": (layer, c["dim"]), "gate": (layer, inner, c["dim"]),
            "down": (layer, c["dim"], inner), "up": (layer, inner, c["dim"]), "norm": (c["dim"],),
            "rotary": (2, c["seq_len"], head // 2),
            **({} if c["vocab_size"] > 0 else {"head": (abs(c["vocab_size"]), c["dim"])})}


class Model:
    """From float32 values in the file's order."""

    def __init__(self, c, values):
        self.c, at = c, 0
        for name, shape in shapes(c).items():
            count = math.prod(shape)
            setattr(self, name, torch.from_numpy(values[at:at + count].astype(numpy.float64)).reshape(shape))
            at += count
        assert at == len(values)
        if c["vocab_size"] > 0:
            self.head = self.embedding

    def turn(self, x):
        """x [batch][positions][heads][head]: each pair of neighbours is a complex number, turned by its position."""
        size = x.shape[-1]
        angles = torch.outer(torch.arange(x.shape[1], dtype=torch.float64),
                             10000.0 ** (-torch.arange(0, size, 2, dtype=torch.float64) / size))
        pairs = torch.view_as_complex(x.reshape(*x.shape[:-1], size // 2, 2).contiguous())
        pairs = pairs * torch.polar(torch.ones_like(angles), angles)[None, :, None, :]
        return torch.view_as_real(pairs).reshape(x.shape)

    def logits(self, tokens):
        """tokens [batch][positions] -> [batch][positions][vocabulary]."""
        c = self.c
        heads, groups = c["n_heads"], c["n_kv_heads"]
        x = self.embedding[tokens]
        batch, count, width = x.shape
        later = torch.ones(count, count, dtype=torch.bool).triu(1)

        def norm(value, gain):
            return gain * value * torch.rsqrt(value.square().mean(-1, keepdim=True) + 1e-5)

        for i in range(c["n_layers"]):
            h = norm(x, self.attention_norm[i])
            q = self.turn((h @ self.q[i].T).reshape(batch, count, heads, -1))
            k = self.turn((h @ self.k[i].T).reshape(batch, count, groups, -1))
            v = (h @ self.v[i].T).reshape(batch, count, groups, -1)
            # Query head n reads key head n / (heads / groups).
            q = q.reshape(batch, count, groups, heads // groups, -1)
            scores = torch.einsum("bpgnd,bsgd->bgnps", q, k) / math.sqrt(q.shape[-1])
            weights = torch.softmax(scores.masked_fill(later, -math.inf), -1)
            mixed = torch.einsum("bgnps,bsgd->bpgnd", weights, v).reshape(batch, count, width)
            x = x + mixed @ self.o[i].T
            h = norm(x, self.inner_norm[i])
            x = x + (torch.nn.functional.silu(h @ self.gate[i].T) * (h @ self.up[i].T)) @ self.down[i].T
        return norm(x, self.norm) @ self.head.T


class Tokenizer:
    """Blanks are as they are; the text gets one in front."""

    def __init__(self, data, count):
        self.pieces, self.scores, at = [], [], 4
        for _ in range(count):
            score, length = struct.unpack_from("<fi", data, at)
            self.pieces.append(data[at + 8:at + 8 + length])
            self.scores.append(score)
            at += 8 + length
        self.ids = {piece: i for i, piece in enumerate(self.pieces)}

    def encode(self, text):
        ids = []
        for character in " " + text:
            piece = character.encode()
            ids += [self.ids[piece]] if piece in self.ids else [BYTES + byte for byte in piece]
        while True:  # the pair of the highest score, the first of equals
            best = None
            for i in range(len(ids) - 1):
                merged = self.ids.get(self.pieces[ids[i]] + self.pieces[ids[i + 1]])
                if merged is not None and (best is None or self.scores[merged] > self.scores[best[1]]):
                    best = (i, merged)
            if best is None:
                return ids
            ids[best[0]:best[0] + 2] = [best[1]]

    def decode(self, ids):
        data = b"".join(bytes([i - BYTES]) if BYTES <= i < BYTES + 256 else self.pieces[i] for i in ids)
        return data.decode("utf-8", "ignore").removeprefix(" ")


def tell(model, tokenizer):
    """Stories from the model, at its own odds, up to where it begins another one."""
    torch.manual_seed(SEED)
    tokens = torch.full((STORIES, 1), BEGIN)
    while tokens.shape[1] < STORY_TOKENS:
        odds = torch.softmax(model.logits(tokens)[:, -1], -1)
        tokens = torch.cat([tokens, torch.multinomial(odds, 1)], 1)
    texts = []
    for row in tokens.tolist():
        row = row[1:]
        ends = [i for i, token in enumerate(row) if token in (BEGIN, END)]
        texts.append(tokenizer.decode(row[:ends[0]] if ends else row))
    return texts


def losses(model, tokens):
    """Of tokens 1 and on, each after those before it."""
    row = torch.tensor(tokens)
    return torch.nn.functional.cross_entropy(model.logits(row[None])[0, :-1], row[1:], reduction="none")


def chunks_loss(model, tokens):
    """As llama-perplexity: chunks one after the other, each with the begin token in front, their second halves scored."""
    parts = []
    for first in range(0, len(tokens) - WINDOW + 1, WINDOW):
        parts.append(losses(model, [BEGIN] + tokens[first + 1:first + WINDOW])[WINDOW // 2:])
    return torch.cat(parts)


def sliding_loss(model, tokens):
    """Windows every half window, the last one at the end of the text; every token but the first is scored once."""
    parts, done, first = [], 1, 0
    while done < len(tokens):
        first = min(first, len(tokens) - WINDOW)
        parts.append(losses(model, [BEGIN] + tokens[first + 1:first + WINDOW])[done - first - 1:])
        done, first = first + WINDOW, first + WINDOW // 2
    return torch.cat(parts)


def score(loss, **more):
    return {**more, "scored_tokens": len(loss), "mean_loss_nats": float("%.12g" % loss.mean()),
            "perplexity": float("%.12g" % loss.mean().exp())}


def kept(logits, positions):
    return [{"position": p, "values": [float("%.8g" % v) for v in logits[p].tolist()]} for p in positions]


def hashed(count):
    """Multiples of 2^-24 in [-1/2, 1/2): splitmix64 of the index."""
    with numpy.errstate(over="ignore"):
        z = (numpy.arange(count, dtype=numpy.uint64) + numpy.uint64(1)) * numpy.uint64(0x9e3779b97f4a7c15)
        z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xbf58476d1ce4e5b9)
        z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94d049bb133111eb)
        z = z ^ (z >> numpy.uint64(31))
    return (z >> numpy.uint64(40)).astype(numpy.float32) / numpy.float32(2**24) - numpy.float32(0.5)


def made():
    values, at = hashed(sum(math.prod(shape) for shape in shapes(MADE).values())), 0
    for name, shape in shapes(MADE).items():
        if name.endswith("norm"):
            values[at:at + math.prod(shape)] += 1
        at += math.prod(shape)
    tokens = [(7 * i * i + 3 * i + 5) % abs(MADE["vocab_size"]) for i in range(MADE["seq_len"])]
    logits = Model(MADE, values).logits(torch.tensor([tokens]))[0]
    return {"header": list(MADE.values()), "tokens": tokens, "logits": kept(logits, MADE_POSITIONS)}


def read(folder, name):
    with open(os.path.join(folder, name), "rb") as file:
        data = file.read()
    return data, hashlib.sha256(data).hexdigest()


def main(folder, path):
    checkpoint, checkpoint_hash = read(folder, "stories260K.bin")
    pieces, pieces_hash = read(folder, "tok512.bin")
    c = dict(zip(MADE, struct.unpack("<7i", checkpoint[:28])))
    model = Model(c, numpy.frombuffer(checkpoint, "<f4", offset=28))
    tokenizer = Tokenizer(pieces, abs(c["vocab_size"]))
    stories = []
    with torch.no_grad():
        all_losses = []
        texts = tell(model, tokenizer)
        for i, text in enumerate(texts):
            tokens = [BEGIN] + tokenizer.encode(text)
            stories.append({"text": text, "tokens": tokens, "logits": []})
            if i in POSITIONS:
                stories[-1]["logits"] = kept(model.logits(torch.tensor([tokens]))[0], POSITIONS[i])
            all_losses.append(losses(model, tokens))
        tokens = [BEGIN] + tokenizer.encode("\n".join(texts))
        scores = [score(torch.cat(all_losses), of="each story"),
                  score(chunks_loss(model, tokens), of="llama-perplexity", window_tokens=WINDOW),
                  score(sliding_loss(model, tokens), of="sliding", window_tokens=WINDOW)]
    data = {"source": "PyTorch %s, float64, tools/real_checkpoint.py" % torch.__version__,
            "checkpoint": "stories260K.bin of karpathy/tinyllamas at Hugging Face, revision cbffbc9, licence mit",
            "checkpoint_sha256": checkpoint_hash, "tokenizer_sha256": pieces_hash, "text_tokens": len(tokens),
            "scores": scores, "stories": stories, "made": made()}
    with open(path, "w", encoding="utf-8") as file:
        file.write("{%s}\n" % ",\n".join("%s: %s" % (json.dumps(k), json.dumps(v)) for k, v in data.items()))
    for row in scores:
        print("%(of)-18s %(scored_tokens)5d tokens, perplexity %(perplexity).6f" % row)


if __name__ == "__main__":
    main(*sys.argv[1:])
