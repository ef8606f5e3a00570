#!/usr/bin/env python3
"""What llama.cpp makes of GGUF files, as data for test/test_llama_cpp.c and tools/gguf_checkpoint.sh.

    tools/llama_cpp_evidence.py LLAMA_LOGITS WORK OUT [STORIES]      from the top of the repository; needs Python alone

LLAMA_LOGITS is the program made of tools/llama_logits.c, which says how and what its three arithmetics are. In WORK the GGUF
files stay. OUT gets models.json, and stories260k.json if STORIES names the folder with stories260K.bin and tok512.bin
(docs/MODELS.md).

models.json: small models whose weights are a hash of their tensor's name and their index, and the built-in model, each as
float32 and in types that qmark reads (the first and the last in TYPES), as llama-quantize --pure makes it. Of each file: SHA-256
of the tensors' bytes, of the floats that ggml's to_float makes of each tensor, logits and perplexity (dequantized), and the mean
KL divergence from the float32 file's logits in each arithmetic. That `dequantized` is that is checked: the same file made float32
again must give the same logits in `rounded`, where all products are then float32. Where an MLP has GELU, ggml-cpu was built
without GGML_GELU_FP16 (in ggml-cpu/vec.h), a table that rounds it to float16.

stories260k.json: perplexities of the stories in the manner of llama-perplexity, and the divergence over the scored tokens.
"""
import array
import hashlib
import json
import math
import os
import struct
import subprocess
import sys

TYPES = ["Q8_0", "Q4_0", "Q4_1", "Q4_K", "Q5_K", "Q6_K", "F16", "BF16"]
BUILT_IN, WINDOWS, WINDOW_TOKENS = "models/qmark-3m", 2, 256
SOURCE = ("llama.cpp v0.5.0 (ggml 0.25.1), gcc 12.2, x86-64 with AVX2, OpenBLAS 0.3.21; tools/llama_logits.c, "
          "tools/llama_cpp_evidence.py; models with GELU: ggml-cpu without GGML_GELU_FP16")
AGREE = 5e-4  # of logits, as the check of the arithmetic; activations rounded to 8 bits move them by 1e-2 and more
RANDOM = [
    {"architecture": "llama", "hidden": 256, "inner": 512, "heads": 4, "keys": 2, "width": 64, "tied": False,
     "theta": 50000.0, "epsilon": 1e-5, "types": TYPES},
    {"architecture": "qwen2", "hidden": 256, "inner": 256, "heads": 8, "keys": 2, "width": 32, "tied": True,
     "theta": 10000.0, "epsilon": 1e-6, "types": ["Q8_0", "Q4_K", "BF16"]},
    {"architecture": "qwen3", "hidden": 256, "inner": 256, "heads": 4, "keys": 1, "width": 128, "tied": False,
     "theta": 1000000.0, "epsilon": 1e-6, "types": ["Q4_1", "Q6_K", "F16"]},
    # Windows are narrower than the tokens, caps as low as scores and logits are; but llama.cpp passes over Phi-3's window.
    {"architecture": "gemma", "hidden": 256, "inner": 256, "heads": 2, "keys": 1, "width": 256, "tied": True,
     "epsilon": 1e-6, "types": ["Q4_0"]},
    {"architecture": "gemma2", "hidden": 256, "inner": 512, "heads": 4, "keys": 2, "width": 64, "tied": True,
     "epsilon": 1e-6, "types": ["Q8_0", "Q4_K"],
     "more": {"attention.sliding_window": 11, "attn_logit_softcapping": 2.0, "final_logit_softcapping": 1.5}},
    {"architecture": "gemma3", "hidden": 256, "inner": 256, "heads": 2, "keys": 1, "width": 128, "tied": True,
     "theta": 100000.0, "epsilon": 1e-6, "types": ["Q6_K", "Q4_K"],
     "more": {"attention.sliding_window": 13, "attention.sliding_window_pattern": 2, "rope.freq_base_swa": 100.0,
              "rope.scaling.type": "linear", "rope.scaling.factor": 4.0}},
    {"architecture": "phi3", "hidden": 256, "inner": 512, "heads": 4, "keys": 2, "width": 64, "tied": False,
     "theta": 10000.0, "epsilon": 1e-5, "types": ["Q8_0", "Q4_K"], "more": {"attention.sliding_window": 64}},
    {"architecture": "olmo2", "hidden": 256, "inner": 256, "heads": 4, "keys": 2, "width": 64, "tied": False,
     "theta": 500000.0, "epsilon": 1e-6, "types": ["Q4_0", "Q5_0"]},
    {"architecture": "gpt2", "hidden": 256, "inner": 512, "heads": 4, "keys": 4, "width": 64, "tied": True,
     "epsilon": 1e-5, "types": ["Q8_0", "Q4_K"]},
    {"architecture": "starcoder2", "hidden": 256, "inner": 256, "heads": 4, "keys": 2, "width": 64, "tied": True,
     "theta": 100000.0, "epsilon": 1e-5, "types": ["Q5_K"]},
]
NORMS_BEHIND, LAYER_NORM = ("gemma2", "gemma3", "olmo2"), ("gpt2", "starcoder2")
LAYERS, VOCABULARY, CONTEXT, TOKENS = 2, 96, 128, 40
POSITIONS = [0, 1, 20, 39]


def hashed(index):
    z = (index + 1) * 0x9E3779B97F4A7C15 & (1 << 64) - 1
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & (1 << 64) - 1
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & (1 << 64) - 1
    return ((z ^ (z >> 31)) >> 40) * 2.0 ** -24 - 0.5


def random_values(name, count):
    """A quarter of hashed() from the 64-bit FNV-1a of the name on; of norms 1 more. float32, rounded once."""
    at, base = 0xCBF29CE484222325, 1.0 if "norm" in name else 0.0
    for byte in name.encode():
        at = (at ^ byte) * 0x100000001B3 & (1 << 64) - 1
    return array.array("f", (hashed((at + i) & (1 << 64) - 1) * 0.25 + base for i in range(count)))


# ---- GGUF -----------------------------------------------------------------------------------------------------------

def text(value):
    return struct.pack("<Q", len(value.encode())) + value.encode()


def kind_of(value):
    return {str: 8, int: 4, float: 6, list: 9}[type(value)]


def packed(value):
    if isinstance(value, list):
        kind = {str: 8, int: 5, float: 6}[type(value[0])]
        return struct.pack("<IQ", kind, len(value)) + b"".join(packed(element) for element in value)
    return text(value) if isinstance(value, str) else struct.pack("<I" if isinstance(value, int) else "<f", value)


def write_gguf(path, metadata, tensors):
    """tensors: (name, rows, columns, array of float32); rows 0: a vector."""
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    for key, value in metadata.items():
        head += text(key) + struct.pack("<I", kind_of(value))
        head += packed(value)
    at = 0
    for name, rows, columns, values in tensors:
        sizes = [columns, rows] if rows else [columns]
        head += text(name) + struct.pack("<I%dQIQ" % len(sizes), len(sizes), *sizes, 0, at)
        at += (len(values) * 4 + 31) // 32 * 32
    with open(path, "wb") as file:
        file.write(head + bytes(-len(head) % 32))
        for _, _, _, values in tensors:
            file.write(values.tobytes() + bytes(-len(values) * 4 % 32))


def skip_value(data, at, kind):
    sizes = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
    if kind == 8:
        return at + 8 + struct.unpack_from("<Q", data, at)[0]
    if kind == 9:
        element, count = struct.unpack_from("<IQ", data, at)
        at += 12
        for _ in range(count if element == 8 else 0):
            at = skip_value(data, at, 8)
        return at if element == 8 else at + count * sizes[element]
    return at + sizes[kind]


def tensor_bytes(path, sizes):
    """{name: bytes}; sizes are {name: bytes in the file}, by ggml."""
    data = open(path, "rb").read()
    tensors, values = struct.unpack_from("<QQ", data, 8)
    at, places = 24, {}
    for _ in range(values):
        at = skip_value(data, at, 8)
        at = skip_value(data, at + 4, struct.unpack_from("<I", data, at)[0])
    for _ in range(tensors):
        end = skip_value(data, at, 8)
        name = data[at + 8:end].decode()
        rank = struct.unpack_from("<I", data, end)[0]
        places[name] = struct.unpack_from("<Q", data, end + 4 + 8 * rank + 4)[0]
        at = end + 4 + 8 * rank + 12
    begin = (at + 31) // 32 * 32
    return {name: data[begin + place:begin + place + sizes[name]] for name, place in places.items()}


# ---- Programs -------------------------------------------------------------------------------------------------------

def run(*command):
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode != 0:
        sys.exit("%s: exit code %d\n%s" % (" ".join(map(str, command)), done.returncode, done.stderr.decode()[-2000:]))
    return done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")


def quantize(program, source, path, kind):
    run(program, "--quantize", source, path, kind)


def floats(path):
    values = array.array("f")
    values.frombytes(open(path, "rb").read())
    return values


def logits(program, path, windows, work, arithmetic="dequantized"):
    """[token][vocabulary] of all windows."""
    with open(work + "/tokens.txt", "w") as file:
        file.writelines(" ".join(map(str, window)) + "\n" for window in windows)
    run(program, path, work + "/tokens.txt", work + "/logits.f32", arithmetic)
    values, count = floats(work + "/logits.f32"), sum(map(len, windows))
    width = len(values) // count
    return [values[i * width:(i + 1) * width] for i in range(count)]


def worst(a, b):
    return max(abs(x - y) for row, other in zip(a, b) for x, y in zip(row, other))


def log_softmax(row):
    top = max(row)
    total = top + math.log(math.fsum(math.exp(x - top) for x in row))
    return [x - total for x in row]


def mean_kl(reference, rows):
    """Of the scored positions, in nats; both are log-probabilities."""
    return math.fsum(math.exp(p) * (p - q) for a, b in zip(reference, rows) for p, q in zip(a, b)) / len(rows)


def at_scored(rows, windows, scored):
    """Log-probabilities of the scored positions of all windows."""
    begins = [sum(map(len, windows[:i])) for i in range(len(windows))]
    return [log_softmax(rows[begin + p]) for begin, positions in zip(begins, scored) for p in positions]


def perplexity(soft, windows, scored):
    wanted = [window[p + 1] for window, positions in zip(windows, scored) for p in positions]
    return math.exp(-math.fsum(row[token] for row, token in zip(soft, wanted)) / len(wanted))


def file_facts(program, path, work):
    """({name: digits of the hash of its floats}, hash of all bytes, {name: type})"""
    lines = run(program, "--values", path, work + "/values.f32").splitlines()
    values, at, digits, sizes, kinds = floats(work + "/values.f32"), 0, {}, {}, {}
    for line in lines:
        name, kind, count, size = line.split()
        digits[name] = hashlib.sha256(values[at:at + int(count)].tobytes()).hexdigest()[:16]
        sizes[name], kinds[name], at = int(size), kind, at + int(count)
    data, whole = tensor_bytes(path, sizes), hashlib.sha256()
    for name in sorted(data):
        whole.update(data[name])
    return digits, whole.hexdigest(), kinds


# ---- models.json ----------------------------------------------------------------------------------------------------

def tensor_list(m):
    queries, keys, gguf = m["heads"] * m["width"], m["keys"] * m["width"], m["architecture"]
    hidden, inner, vocabulary_size = m["hidden"], m["inner"], m.get("vocabulary", VOCABULARY)
    biased, out = gguf in LAYER_NORM, [("token_embd.weight", vocabulary_size, hidden)]

    def norm(name):
        return [(name + ".weight", 0, hidden)] + ([(name + ".bias", 0, hidden)] if biased else [])

    def linear(name, rows, columns, with_bias):
        return [(name + ".weight", rows, columns)] + ([(name + ".bias", 0, rows)] if with_bias else [])

    if gguf == "gpt2":
        out.append(("position_embd.weight", m.get("context", CONTEXT), hidden))
    for i in range(m.get("layers", LAYERS)):
        b = "blk.%d." % i
        if gguf != "olmo2":
            out += norm(b + "attn_norm")
        if gguf in ("phi3", "gpt2"):
            out += linear(b + "attn_qkv", queries + 2 * keys, hidden, biased)
        else:
            with_bias = biased or gguf == "qwen2"
            out += (linear(b + "attn_q", queries, hidden, with_bias) + linear(b + "attn_k", keys, hidden, with_bias) +
                    linear(b + "attn_v", keys, hidden, with_bias))
        if gguf in ("qwen3", "gemma3"):
            out += [(b + "attn_q_norm.weight", 0, m["width"]), (b + "attn_k_norm.weight", 0, m["width"])]
        if gguf == "olmo2":
            out += [(b + "attn_q_norm.weight", 0, queries), (b + "attn_k_norm.weight", 0, keys)]
        out += linear(b + "attn_output", hidden, queries, biased)
        if gguf in NORMS_BEHIND:
            out += norm(b + "post_attention_norm") + norm(b + "post_ffw_norm")
        if gguf != "olmo2":
            out += norm(b + "ffn_norm")
        if gguf not in ("phi3", "gpt2", "starcoder2"):
            out += linear(b + "ffn_gate", inner, hidden, False)
        out += linear(b + "ffn_up", 2 * inner if gguf == "phi3" else inner, hidden, biased)
        out += linear(b + "ffn_down", hidden, inner, biased)
    out += norm("output_norm")
    return out if m["tied"] else out + [("output.weight", vocabulary_size, hidden)]


def metadata(m):
    """As convert_hf_to_gguf.py writes it: some keys are left out of some architectures."""
    gguf = m["architecture"]
    a = gguf + "."
    out = {"general.architecture": gguf, "tokenizer.ggml.model": "none",
           a + "vocab_size": m.get("vocabulary", VOCABULARY), a + "context_length": m.get("context", CONTEXT),
           a + "embedding_length": m["hidden"], a + "feed_forward_length": m["inner"],
           a + "block_count": m.get("layers", LAYERS), a + "attention.head_count": m["heads"],
           a + "attention.head_count_kv": m["keys"]}
    if gguf not in ("phi3", "gpt2", "olmo2", "starcoder2"):
        out.update({a + "attention.key_length": m["width"], a + "attention.value_length": m["width"]})
    if "theta" in m:
        out.update({a + "rope.dimension_count": m["width"], a + "rope.freq_base": m["theta"]})
    out[a + "attention.layer_norm_%sepsilon" % ("" if gguf in LAYER_NORM else "rms_")] = m["epsilon"]
    return {**out, **{a + key: value for key, value in m.get("more", {}).items()}}


NAMES = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head",
         "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
         "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "ffn_norm": "post_attention_layernorm",
         "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}


def directory_values(folder, m):
    """[(name, rows, columns, values)] of a Llama directory in F32, queries and keys in GGUF's order of rows."""
    data = open(folder + "/model.safetensors", "rb").read()
    length = struct.unpack_from("<Q", data)[0]
    entries, out = json.loads(data[8:8 + length]), []
    for name, rows, columns in tensor_list(m):
        part = name.split(".")
        full = ("model.layers.%s." % part[1] if part[0] == "blk" else "") + NAMES[part[-2]] + ".weight"
        begin, end = entries[full]["data_offsets"]
        assert entries[full]["dtype"] == "F32" and end - begin == max(rows, 1) * columns * 4
        values = array.array("f")
        values.frombytes(data[8 + length + begin:8 + length + end])
        if part[-2] in ("attn_q", "attn_k"):
            half, moved = m["width"] // 2, array.array("f")
            for row in range(rows):
                place = row % m["width"]
                source = row - place + place % 2 * half + place // 2
                moved += values[source * columns:(source + 1) * columns]
            values = moved
        out.append((name, rows, columns, values))
    return out


def built_in_windows(work):
    """Of the built-in tasks: tokens, and the positions whose next token can be known."""
    run("cc", "-std=c11", "-O2", "-Icore", "tools/emit_windows.c", "core/model/tasks.c", "core/model/token_text.c",
        "core/base/random.c", "-lm", "-o", work + "/emit_windows")
    out = subprocess.run([work + "/emit_windows", "evaluation", "default", "0", str(WINDOWS), str(WINDOW_TOKENS)],
                         stdout=subprocess.PIPE, check=True).stdout
    size = 2 * (WINDOW_TOKENS + 1) + WINDOW_TOKENS
    windows = [list(struct.unpack_from("<%dH" % WINDOW_TOKENS, out, i * size)) for i in range(WINDOWS)]
    marks = [out[(i + 1) * size - WINDOW_TOKENS:(i + 1) * size] for i in range(WINDOWS)]
    return windows, [[p for p in range(WINDOW_TOKENS - 1) if mark[p]] for mark in marks]


def measure(program, work, path, name, windows, scored, kinds, positions):
    """What is kept of a float32 file and of those made of it."""
    out, reference = [], None
    for kind in ["F32"] + kinds:
        file = path if kind == "F32" else "%s/%s-%s.gguf" % (work, name, kind.lower())
        if kind != "F32":
            quantize(program, path, file, kind)
        digits, data_hash, types = file_facts(program, file, work)
        rows = logits(program, file, windows, work)
        again = work + "/again.gguf"
        quantize(program, file, again, "F32")
        apart = worst(rows, logits(program, again, windows, work, "rounded"))
        if not apart <= AGREE:
            sys.exit("%s: logits of the two arithmetics differ by %g: not what dequantized weights give" % (file, apart))
        soft = at_scored(rows, windows, scored)
        reference = reference or soft
        entry = {"type": kind, "data_sha256": data_hash, "perplexity": float("%.9g" % perplexity(soft, windows, scored)),
                 "dequantized_differs": float("%.2g" % apart)}
        if kind != "F32":
            rounded = at_scored(logits(program, file, windows, work, "rounded"), windows, scored)
            usual = at_scored(logits(program, file, windows, work, "usual"), windows, scored)
            entry.update(mean_kl=float("%.9g" % mean_kl(reference, soft)),
                         mean_kl_rounded=float("%.9g" % mean_kl(reference, rounded)),
                         mean_kl_usual=float("%.9g" % mean_kl(reference, usual)))
        entry["values_sha256"] = digits
        entry["logits"] = [{"position": p, "values": [float("%.8g" % v) for v in rows[p]]}
                           for p in (positions if name != "built-in" or kind in ("F32", "Q4_K") else [])]
        print("%s %s: perplexity %.6f, KL %.4g, rounded %.4g, usual %.4g; made float32 again %.1e" % (
            name, kind, entry["perplexity"], entry.get("mean_kl", 0), entry.get("mean_kl_rounded", 0),
            entry.get("mean_kl_usual", 0), apart), flush=True)
        out.append(entry)
    return out


def models(program, work, source):
    out = []
    for m in RANDOM:
        name, path = "random-" + m["architecture"], "%s/random-%s-f32.gguf" % (work, m["architecture"])
        tensors = [(n, r, c, random_values(n, max(r, 1) * c)) for n, r, c in tensor_list(m)]
        write_gguf(path, metadata(m), tensors)
        windows = [[int((hashed(1000 + i) + 0.5) * VOCABULARY) for i in range(TOKENS)]]
        scored = [list(range(TOKENS - 1))]
        out.append({"name": name, "metadata": metadata(m), "tensors": [t[:3] for t in tensors], "windows": windows,
                    "scored": scored, "files": measure(program, work, path, name, windows, scored, m["types"], POSITIONS)})
    c = json.load(open(BUILT_IN + "/config.json"))
    m = {"architecture": "llama", "hidden": c["hidden_size"], "inner": c["intermediate_size"], "tied": False,
         "heads": c["num_attention_heads"], "keys": c["num_key_value_heads"], "width": c["head_dim"],
         "theta": c["rope_theta"], "epsilon": c["rms_norm_eps"], "layers": c["num_hidden_layers"],
         "vocabulary": c["vocab_size"], "context": c["max_position_embeddings"]}
    path, (windows, scored) = work + "/built-in-f32.gguf", built_in_windows(work)
    tensors = directory_values(BUILT_IN, m)
    write_gguf(path, metadata(m), tensors)
    out.append({"name": "built-in", "directory": BUILT_IN, "metadata": metadata(m), "tensors": [t[:3] for t in tensors],
                "windows": windows, "scored": scored,
                "files": measure(program, work, path, "built-in", windows, scored, TYPES, [200])})
    return {"source": source, "models": out}


# ---- stories260k.json -----------------------------------------------------------------------------------------------

def read_llama2c(folder):
    """(description, [(name, rows, columns, values)], tokens) of a checkpoint of llama2.c; its rows are in GGUF's order."""
    data = open(folder + "/stories260K.bin", "rb").read()
    dim, inner, layers, heads, keys, vocabulary, context = struct.unpack_from("<7i", data)
    m = {"architecture": "llama", "hidden": dim, "inner": inner, "heads": heads, "keys": keys, "width": dim // heads,
         "tied": True, "theta": 10000.0, "epsilon": 1e-5, "layers": layers, "vocabulary": vocabulary, "context": context}
    values, at, parts = array.array("f"), 0, {}
    values.frombytes(data[28:])
    for part in ("token_embd", "attn_norm", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_norm", "ffn_gate",
                 "ffn_down", "ffn_up", "output_norm"):
        for name, rows, columns in tensor_list(m):
            if name.split(".")[-2] == part:
                parts[name] = values[at:at + max(rows, 1) * columns]
                at += max(rows, 1) * columns
    data, at, tokens = open(folder + "/tok512.bin", "rb").read(), 4, []
    for _ in range(vocabulary):
        score, length = struct.unpack_from("<fi", data, at)
        tokens.append((data[at + 8:at + 8 + length], score))
        at += 8 + length
    return m, [(n, r, c, parts[n]) for n, r, c in tensor_list(m)], tokens


def vocabulary(tokens):
    """Metadata of SentencePiece's BPE: unknown, begin, end, 256 bytes, pieces."""
    pieces = ["<unk>", "<s>", "</s>"] + ["<0x%02X>" % i for i in range(256)]
    pieces += [piece.decode().replace(" ", "\u2581") for piece, _ in tokens[259:]]
    kinds = [2, 3, 3] + [6] * 256 + [1] * (len(tokens) - 259)
    return {"tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": pieces,
            "tokenizer.ggml.scores": [score for _, score in tokens], "tokenizer.ggml.token_type": kinds,
            "tokenizer.ggml.bos_token_id": 1, "tokenizer.ggml.eos_token_id": 2, "tokenizer.ggml.unknown_token_id": 0}


def tokens_of(program, path, line, work):
    with open(work + "/text.txt", "w") as file:
        file.write(line)
    return list(map(int, run(program, "--tokens", path, work + "/text.txt").split()))


def stories(program, work, folder, source):
    kept = json.load(open("test/data/stories260k.json"))
    m, tensors, tokens = read_llama2c(folder)
    f32, said = work + "/stories260K-f32.gguf", metadata(m)
    write_gguf(f32, {**said, **vocabulary(tokens)}, tensors)
    # As llama-perplexity cuts a text: whole windows, each begun with <s>; scored are the tokens of its second half.
    for story in kept["stories"]:
        assert tokens_of(program, f32, story["text"], work) == story["tokens"]
    text_tokens = tokens_of(program, f32, "\n".join(story["text"] for story in kept["stories"]), work)
    assert len(text_tokens) == kept["text_tokens"]
    windows = [[1] + text_tokens[i * WINDOW_TOKENS + 1:(i + 1) * WINDOW_TOKENS]
               for i in range(len(text_tokens) // WINDOW_TOKENS)]
    scored = [list(range(WINDOW_TOKENS // 2, WINDOW_TOKENS - 1))] * len(windows)
    entries, reference = [], {}
    for kind in ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1"]:
        file = "%s/stories260K-%s.gguf" % (work, kind.lower())
        if kind != "F32":
            quantize(program, f32, file, kind)
        types = file_facts(program, file, work)[2]
        other = {n.split(".")[-2]: t for n, t in types.items() if "norm" not in n and t.upper() != kind}
        entry = {"type": kind, "file": os.path.basename(file), "bytes": os.path.getsize(file),
                 "sha256": hashlib.sha256(open(file, "rb").read()).hexdigest(),
                 **({"other_types": other} if other else {}), "perplexity": {}, "mean_kl": {}}
        for arithmetic in ("dequantized", "rounded", "usual"):
            rows = logits(program, file, windows, work, arithmetic)
            soft = at_scored(rows, windows, scored)
            reference.setdefault(arithmetic, soft)
            entry["perplexity"][arithmetic] = float("%.9g" % perplexity(soft, windows, scored))
            entry["mean_kl"][arithmetic] = float("%.9g" % mean_kl(reference[arithmetic], soft))
        print("stories260K", json.dumps(entry), flush=True)
        entries.append(entry)
    return {"source": source, "checkpoint_sha256": kept["checkpoint_sha256"], "text": "test/data/stories260k.json",
            "window_tokens": WINDOW_TOKENS, "scored_tokens": sum(map(len, scored)), "files": entries}


def main():
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    program, work, out = sys.argv[1:4]
    os.makedirs(work, exist_ok=True)
    for name, make in (("models", lambda: models(program, work, SOURCE)),
                       ("stories260k", lambda: stories(program, work, sys.argv[4], SOURCE))):
        if name == "models" or len(sys.argv) == 5:
            data = make()
            with open("%s/%s.json" % (out, name), "w") as file:
                json.dump(data, file, separators=(",", ":"))
                file.write("\n")


main()
