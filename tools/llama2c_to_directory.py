#!/usr/bin/env python3
"""Makes a Hugging Face directory of a checkpoint in llama2.c's first format (export.py --version 0; stories*.bin).

    tools/llama2c_to_directory.py CHECKPOINT.bin DIRECTORY [TOKENIZER.bin]

Writes config.json and model.safetensors, and tokenizer.json if the tokenizer (tok512.bin and the like) is given. Needs
Python alone. Exit: 0, 2 with one line on what is wrong.

The checkpoint: seven int32 (dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, seq_len), of which vocab_size is
negative where the classifier has values of its own; then float32, little-endian, in the order of `parts` below. Its rotary
embedding turns neighbouring rows of a head, 2i and 2i + 1; Hugging Face's turns row i and row i + half. So rows of wq and
wk change places.

The tokenizer: an int32, the longest token's bytes; then for each token a float32 score, an int32 length and its bytes.
Whichever pair of neighbours makes the token of the highest score is merged first.
"""
import json
import os
import struct
import sys

EPSILON, THETA = 1e-5, 10000.0  # of llama2.c; no file has them
MOST_VOCABULARY = 1 << 22
BYTE_TOKENS = range(3, 259)


class Refused(Exception):
    pass


def parts(c):
    """(name, layers, rows, columns) in the order of the file; columns 0: a vector. None as name: not needed."""
    dim, inner, layers, head = c["dim"], c["hidden_dim"], c["n_layers"], c["dim"] // c["n_heads"]
    keys, layer = c["n_kv_heads"] * head, "model.layers.%d."
    table = [
        ("model.embed_tokens.weight", 1, c["vocab_size"], dim),
        (layer + "input_layernorm.weight", layers, dim, 0),
        (layer + "self_attn.q_proj.weight", layers, dim, dim),
        (layer + "self_attn.k_proj.weight", layers, keys, dim),
        (layer + "self_attn.v_proj.weight", layers, keys, dim),
        (layer + "self_attn.o_proj.weight", layers, dim, dim),
        (layer + "post_attention_layernorm.weight", layers, dim, 0),
        (layer + "mlp.gate_proj.weight", layers, inner, dim),
        (layer + "mlp.down_proj.weight", layers, dim, inner),
        (layer + "mlp.up_proj.weight", layers, inner, dim),
        ("model.norm.weight", 1, dim, 0),
        (None, 1, c["seq_len"] * head, 0),  # cosines and sines
    ]
    return table + ([] if c["is_tied"] else [("lm_head.weight", 1, c["vocab_size"], dim)])


def read_header(path, file):
    header = file.read(28)
    if header[:4] == b"24ka":
        raise Refused("%s: is of a later version of the format; export it with --version 0" % path)
    if len(header) < 28:
        raise Refused("%s: has %d bytes, and a header has 28; use the whole file" % (path, len(header)))
    keys = ("dim", "hidden_dim", "n_layers", "n_heads", "n_kv_heads", "vocab_size", "seq_len")
    c = dict(zip(keys, struct.unpack("<7i", header)))
    c["is_tied"] = c["vocab_size"] > 0
    c["vocab_size"] = abs(c["vocab_size"])
    for key in keys:
        if c[key] < 1:
            raise Refused("%s: header: %s is %d; use a checkpoint of llama2.c's version 0" % (path, key, c[key]))
    for key, divisor in (("dim", "n_heads"), ("n_heads", "n_kv_heads")):
        if c[key] % c[divisor]:
            raise Refused("%s: header: %s %d is no multiple of %s %d; use a checkpoint of llama2.c's version 0" % (
                path, key, c[key], divisor, c[divisor]))
    if c["dim"] // c["n_heads"] % 2:
        raise Refused("%s: header: heads of %d values, an odd number; use a checkpoint of llama2.c's version 0" % (
            path, c["dim"] // c["n_heads"]))
    expected = 28 + 4 * sum(layers * rows * (columns or 1) for _, layers, rows, columns in parts(c))
    size = os.fstat(file.fileno()).st_size
    if size != expected:
        raise Refused("%s: has %d bytes, its header asks for %d; use the whole file" % (path, size, expected))
    return c


def halves(rows, count, head):
    """Rows of all heads, as bytes: those that the rotary embedding turns together half a head apart."""
    size = len(rows) // count
    order = [first + 2 * i + odd for first in range(0, count, head) for odd in (0, 1) for i in range(head // 2)]
    return b"".join(rows[size * row:size * row + size] for row in order)


def write_weights(path, c, file):
    """Values stay where the file has them; the header comes first, so it is made of sizes alone."""
    header, end, head = {"__metadata__": {"format": "pt"}}, 0, c["dim"] // c["n_heads"]
    for name, layers, rows, columns in parts(c):
        for layer in range(layers if name else 0):
            size = 4 * rows * (columns or 1)
            header[name % layer if "%" in name else name] = {
                "dtype": "F32", "shape": [rows, columns] if columns else [rows], "data_offsets": [end, end + size]}
            end += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for name, layers, rows, columns in parts(c):
            for _ in range(layers):
                values = file.read(4 * rows * (columns or 1))
                if name and name.endswith(("q_proj.weight", "k_proj.weight")):
                    values = halves(values, rows, head)
                if name:
                    out.write(values)


def write_config(path, c):
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
              "hidden_size": c["dim"], "intermediate_size": c["hidden_dim"], "num_hidden_layers": c["n_layers"],
              "num_attention_heads": c["n_heads"], "num_key_value_heads": c["n_kv_heads"],
              "vocab_size": c["vocab_size"], "max_position_embeddings": c["seq_len"], "rms_norm_eps": EPSILON,
              "rope_theta": THETA, "tie_word_embeddings": c["is_tied"], "torch_dtype": "float32", "bos_token_id": 1,
              "eos_token_id": 2}
    with open(path, "w", encoding="utf-8") as file:
        json.dump(config, file, indent=2)


def read_tokenizer(path, count):
    """[(score, text)] by id, with U+2581 for a blank, as SentencePiece has it."""
    with open(path, "rb") as file:
        data = file.read(4 + 16 * 1024 * count)
    tokens, at = [], 4
    try:
        for _ in range(count):
            score, length = struct.unpack_from("<fi", data, at)
            at += 8 + length
            if length < 0 or at > len(data):
                raise struct.error
            tokens.append((score, data[at - length:at].decode("utf-8").replace(" ", "\u2581")))
    except struct.error:
        raise Refused("%s: ends within token %d; the checkpoint has %d, use its tokenizer" % (path, len(tokens), count))
    except UnicodeDecodeError:
        raise Refused("%s: token %d is not UTF-8; use the checkpoint's tokenizer" % (path, len(tokens)))
    if at != len(data):
        raise Refused("%s: goes on after token %d; use the checkpoint's tokenizer" % (path, count - 1))
    for i, name in enumerate(["<unk>", "<s>", "</s>"] + ["<0x%02X>" % i for i in range(256)]):
        text = tokens[i][1].strip("\n") if i < count else ""
        if text != name:
            raise Refused("%s: token %d should be %s; use a tokenizer of llama2.c with byte tokens" % (path, i, name))
        tokens[i] = (tokens[i][0], name)
    if len({text for _, text in tokens}) != count:
        raise Refused("%s: two tokens have one text; use the checkpoint's tokenizer" % path)
    return tokens


def write_tokenizer(path, tokens):
    ids = {text: i for i, (_, text) in enumerate(tokens)}
    pieces = {text: i for text, i in ids.items() if i >= BYTE_TOKENS.stop}
    merges = []
    for text, i in sorted(pieces.items(), key=lambda item: (-tokens[item[1]][0], item[1])):
        pairs = [(text[:cut], text[cut:]) for cut in range(1, len(text))]
        merges += sorted((pair for pair in pairs if pair[0] in pieces and pair[1] in pieces),
                         key=lambda pair: (pieces[pair[0]], pieces[pair[1]]))
    special = [{"id": i, "content": tokens[i][1], "single_word": False, "lstrip": False, "rstrip": False,
                "normalized": False, "special": True} for i in range(3)]
    begin = {"SpecialToken": {"id": "<s>", "type_id": 0}}
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": special,
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "\u2581"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]},
        "pre_tokenizer": None,
        "post_processor": {
            "type": "TemplateProcessing", "single": [begin, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [begin, {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"},
            {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
                  "vocab": ids, "merges": ["%s %s" % pair for pair in merges]}}
    with open(path, "w", encoding="utf-8") as file:
        json.dump(tokenizer, file, ensure_ascii=False, indent=1)


def main(arguments):
    if len(arguments) not in (2, 3):
        raise Refused("usage: llama2c_to_directory.py CHECKPOINT.bin DIRECTORY [TOKENIZER.bin]")
    checkpoint, directory = arguments[:2]
    with open(checkpoint, "rb") as file:
        c = read_header(checkpoint, file)
        if c["vocab_size"] > MOST_VOCABULARY:
            raise Refused("%s: header: vocab_size is %d; at most %d can be used" % (
                checkpoint, c["vocab_size"], MOST_VOCABULARY))
        tokens = read_tokenizer(arguments[2], c["vocab_size"]) if len(arguments) == 3 else None
        os.makedirs(directory, exist_ok=True)
        write_weights(os.path.join(directory, "model.safetensors"), c, file)
    write_config(os.path.join(directory, "config.json"), c)
    if tokens:
        write_tokenizer(os.path.join(directory, "tokenizer.json"), tokens)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (Refused, OSError) as error:
        print("%s" % error, file=sys.stderr)
        sys.exit(2)
