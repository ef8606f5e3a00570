#!/usr/bin/env python3
"""Whole quantized Hugging Face folders as other programs read them, for test/test_quantized_models.c.

    tools/quantized_evidence.py LLAMA LLAMA_LOGITS PROGRAMS WORK OUT     needs PyTorch 2.1 or later (Debian 13: python3-torch)

LLAMA is llama.cpp's source, with convert_hf_to_gguf.py; LLAMA_LOGITS the program made of tools/llama_logits.c, which says how.
PROGRAMS has checkouts AutoAWQ, AutoGPTQ, GPTQModel and compressed-tensors. In WORK the folders and GGUF files stay; OUT gets
the data (test/data/quantized_models.json).

No program of ours packs anything here: the tensors of a folder (words of codes and zeros, scales, tables of groups) are a hash of
the model's and the tensor's name, which the test makes again, and what they stand for is what others make of them:

- the code of the program whose format it is, where there is one: AutoGPTQ's QuantLinear.forward, of the unit matrix, for gptq;
  GPTQModel's dequantize_weight for gptq_v2; AutoAWQ's dequantize_gemm; compressed-tensors' decompress_weight. They multiply in
  the scales' type, so that the product is rounded to it. Called with the same scales in float32, they give it exactly;
- llama.cpp's conversion, of the folders that it reads. It multiplies in float32.

Both must agree to the bit: the float32 values as they are, and rounded to the scales' type. Logits are llama.cpp's, of the values in
the scales' type as a folder of float32, which it converts; `dequantized` of tools/llama_logits.c.

The programs' functions are taken out of their files and run as they are; what they import beside PyTorch is not there and not
needed. Of llama.cpp's conversion the vocabulary is left out, and AutoConfig, which transformers has, so that it reads config.json.
"""
import __future__
import ast
import hashlib
import json
import math
import os
import subprocess
import sys
import types

import numpy as np
import torch

SOURCE = ("llama.cpp v0.5.0 (de3ff81) with gcc 12.2, x86-64 with AVX2, OpenBLAS 0.3.29; AutoGPTQ 0.8.0.dev0 (9f7d370), GPTQModel "
          "7.3.4 (f4c327a), AutoAWQ 0.2.9 (88e4c76), compressed-tensors 0.12.2-23 (52792be), each on PyTorch %s; "
          "tools/quantized_evidence.py, tools/llama_logits.c")
TOKENS, POSITIONS, VOCABULARY = 40, [1, 39], 64
MASK = (1 << 64) - 1
DTYPES = {"I8": np.int8, "I32": np.int32, "I64": np.int64, "F8_E4M3": np.uint8, "F16": np.float16, "F32": np.float32}
TORCH = {"I8": torch.int8, "I32": torch.int32, "I64": torch.int64, "F8_E4M3": torch.float8_e4m3fn, "F16": torch.float16,
         "BF16": torch.bfloat16, "F32": torch.float32}

BASE = {"hidden_act": "silu", "max_position_embeddings": 64, "vocab_size": VOCABULARY, "num_hidden_layers": 2}
LLAMA = dict(BASE, architectures=["LlamaForCausalLM"], model_type="llama", hidden_size=256, intermediate_size=384,
             num_attention_heads=4, num_key_value_heads=2, head_dim=64, rms_norm_eps=1e-5, rope_theta=10000.0,
             tie_word_embeddings=False)
QWEN2 = dict(BASE, architectures=["Qwen2ForCausalLM"], model_type="qwen2", hidden_size=128, intermediate_size=256,
             num_attention_heads=2, num_key_value_heads=1, head_dim=64, rms_norm_eps=1e-6, rope_theta=1000000.0,
             tie_word_embeddings=True)
QWEN3 = dict(BASE, architectures=["Qwen3ForCausalLM"], model_type="qwen3", hidden_size=128, intermediate_size=256,
             num_attention_heads=2, num_key_value_heads=1, head_dim=128, rms_norm_eps=1e-6, rope_theta=1000000.0,
             tie_word_embeddings=False)


# ---- Tensors that are a hash ----------------------------------------------------------------------------------------

def hashes(model, tensor, count):
    """Splitmix64 from the 64-bit FNV-1a of "MODEL/TENSOR"."""
    at = 0xCBF29CE484222325
    for byte in ("%s/%s" % (model, tensor)).encode():
        at = (at ^ byte) * 0x100000001B3 & MASK
    with np.errstate(over="ignore"):
        z = np.uint64(at) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def rounded(values, dtype):
    """float32 as they are kept in a type: to nearest even; of bfloat16 its bits."""
    if dtype == "BF16":
        bits = values.astype(np.float32).view(np.uint32).astype(np.uint64)
        return ((bits + 0x7fff + ((bits >> np.uint64(16)) & np.uint64(1))) >> np.uint64(16)).astype(np.uint16)
    return values.astype(DTYPES[dtype])


def size_of(text, inputs, outputs):
    """A size of a shape: a number, or "K" (inputs) or "N" (outputs) times a number through a number, such as "K*3/32"."""
    base, times, through = text[0], 1, 1
    if base not in "KN":
        return int(text)
    if "*" in text:
        times = int(text[2:].split("/")[0])
    if "/" in text:
        through = int(text.split("/")[1])
    return -(-(inputs if base == "K" else outputs) * times // through)


def filled(model, name, dtype, shape, fill, inputs, outputs):
    """What a tensor of a set has. Fills: "words" and "bytes", any bits; "e4m3", bytes that are numbers; "fields:B:L", words of
    fields of B bits, each below L; "same:W", one word; "scale:E", between 2^-(E+1) and 2^-(E-1); "groups:G", inputs in groups of
    G in an order of their own; "order:G", in the row's; "shape"."""
    count = math.prod(shape)
    kind, *numbers = fill.split(":")
    numbers = [int(number) for number in numbers]
    z = hashes(model, name, count)
    if kind == "words":
        values = (z >> np.uint64(32)).astype(np.uint32).view(np.int32)
    elif kind in ("bytes", "e4m3"):
        values = (z >> np.uint64(56)).astype(np.uint8)
        values ^= ((values & 127) == 127).astype(np.uint8) if kind == "e4m3" else np.uint8(0)
        values = values.view(DTYPES[dtype])
    elif kind == "fields":
        bits, below = numbers
        fields = ((hashes(model, name, count * (32 // bits)) >> np.uint64(32)) % np.uint64(below)).reshape(count, -1)
        words = sum(fields[:, i] << np.uint64(bits * i) for i in range(32 // bits))
        values = words.astype(np.uint32).view(np.int32)
    elif kind == "same":
        values = np.full(count, numbers[0], np.uint32).view(np.int32)
    elif kind == "scale":
        unit = (1 + (z >> np.uint64(41)).astype(np.float64) * 2.0 ** -23).astype(np.float32)
        values = rounded(np.ldexp(unit, -numbers[0] - (z & np.uint64(1)).astype(np.int32)), dtype)
    elif kind == "groups":
        values = ((np.arange(count) * 37 + 11) % count // numbers[0]).astype(np.int32)
    elif kind == "order":
        values = (np.arange(count) // numbers[0]).astype(np.int32)
    else:
        assert kind == "shape"
        values = np.array([outputs, inputs], DTYPES[dtype])
    return np.ascontiguousarray(values.reshape(shape))


def plain(model, name, shape, dtype):
    """Of embedding, head, norms and biases: between -1/8 and 1/8, of norms 1 more."""
    unit = (hashes(model, name, math.prod(shape)) >> np.uint64(40)).astype(np.float32) * np.float32(2.0 ** -24)
    values = (unit - np.float32(0.5)) * np.float32(0.25) + np.float32(1.0 if "norm" in name else 0.0)
    return rounded(values, dtype).reshape(shape)


def linears(c):
    """(name, inputs, outputs, has a bias) of every weight that is quantized."""
    queries, keys = c["num_attention_heads"] * c["head_dim"], c["num_key_value_heads"] * c["head_dim"]
    hidden, inner, biased = c["hidden_size"], c["intermediate_size"], c["model_type"] == "qwen2"
    for layer in range(c["num_hidden_layers"]):
        at = "model.layers.%d." % layer
        for part, inputs, outputs in (("q", hidden, queries), ("k", hidden, keys), ("v", hidden, keys), ("o", queries, hidden)):
            yield at + "self_attn.%s_proj" % part, inputs, outputs, biased and part != "o"
        for part, inputs, outputs in (("gate", hidden, inner), ("up", hidden, inner), ("down", inner, hidden)):
            yield at + "mlp.%s_proj" % part, inputs, outputs, False


def tensors_of(model):
    """{name: (dtype, array)} of the folder; `sets` {module: {ending: (dtype, array)}} of its quantized weights alone."""
    c, out, sets = model["config"], {}, {}
    kept = {"model.embed_tokens.weight": (VOCABULARY, c["hidden_size"]), "model.norm.weight": (c["hidden_size"],)}
    if not c["tie_word_embeddings"]:
        kept["lm_head.weight"] = (VOCABULARY, c["hidden_size"])
    for layer in range(c["num_hidden_layers"]):
        at = "model.layers.%d." % layer
        for part in ("input_layernorm", "post_attention_layernorm"):
            kept[at + part + ".weight"] = (c["hidden_size"],)
        for part in ("q", "k") if c["model_type"] == "qwen3" else ():
            kept[at + "self_attn.%s_norm.weight" % part] = (c["head_dim"],)
    for name, inputs, outputs, has_bias in linears(c):
        if has_bias:
            kept[name + ".bias"] = (outputs,)
        for ending, dtype, shape, fill in model["parts"]:
            sizes = tuple(size_of(size, inputs, outputs) for size in shape)
            array_of = filled(model["name"], name + ending, dtype, sizes, fill, inputs, outputs)
            out[name + ending] = sets.setdefault(name, {})[ending] = (dtype, array_of)
    for name, shape in kept.items():
        out[name] = (model["floats"], plain(model["name"], name, shape, model["floats"]))
    return out, sets


def write_folder(folder, config, tensors):
    header, data = {}, b""
    os.makedirs(folder, exist_ok=True)
    for name in sorted(tensors):
        dtype, values = tensors[name]
        piece = values.tobytes()
        header[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": [len(data), len(data) + len(piece)]}
        data += piece
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    with open(folder + "/model.safetensors", "wb") as file:
        file.write(len(head).to_bytes(8, "little") + head + data)
    with open(folder + "/config.json", "w") as file:
        json.dump(config, file)
    return hashlib.sha256(data).hexdigest()


# ---- The programs ---------------------------------------------------------------------------------------------------

def taken_out(path, names, namespace):
    """Functions, classes, constants and methods (as Class.name) of a file, compiled as they stand there into a namespace."""
    body = ast.parse(open(path).read()).body
    for name in names:
        scope, found = body, None
        for part in name.split("."):
            found = next(node for node in scope if getattr(node, "name", None) == part or
                         isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == part)
            scope = getattr(found, "body", [])
        code = compile(ast.Module([found], []), path, "exec", __future__.annotations.compiler_flag)
        exec(code, namespace)
    return namespace


def tensor(part, scales_as=None):
    dtype, values = part
    values = torch.from_numpy(values)
    values = values.view(TORCH[dtype]) if values.dtype != TORCH[dtype] else values
    return values.to(scales_as) if scales_as and dtype in ("F16", "BF16", "F32") else values


class Programs:
    def __init__(self, folder):
        sys.modules["transformers"] = types.ModuleType("transformers")  # of AutoGPTQ, which packs with it and reads without
        gptq = folder + "/AutoGPTQ/auto_gptq/nn_modules/qlinear/qlinear_cuda.py"
        self.gptq = {"__name__": "qlinear_cuda"}
        exec(compile(open(gptq).read(), gptq, "exec"), self.gptq)
        self.v2 = taken_out(folder + "/GPTQModel/gptqmodel/nn_modules/qlinear/__init__.py",
                            ["_torch_right_shift", "_torch_left_shift", "PackableQuantLinear.dequantize_weight",
                             "PackableQuantLinear._init_wf_unsqueeze_buffers", "PackableQuantLinear._dequantize_from_codes"],
                            {"t": torch})
        self.awq = taken_out(folder + "/AutoAWQ/awq/utils/packing_utils.py",
                             ["AWQ_REVERSE_ORDER", "unpack_awq", "reverse_awq_order", "dequantize_gemm"], {"torch": torch})
        at = folder + "/compressed-tensors/src/compressed_tensors/"
        arguments = {"group_size": None, "block_structure": None, "symmetric": True}
        common = {"torch": torch, "ceil": math.ceil, "calculate_range": lambda args, device: (None, None),  # of quantizing
                  "Enum": __import__("enum").Enum,
                  "QuantizationArgs": lambda **given: types.SimpleNamespace(**dict(arguments, **given))}
        taken_out(at + "quantization/quant_args.py", ["QuantizationStrategy"], common)
        taken_out(at + "quantization/lifecycle/forward.py", ["_dequantize", "_process_quantization", "dequantize"], common)
        compressors = at + "compressors/quantized_compressors/"
        self.packed = taken_out(compressors + "pack_quantized.py",
                                ["unpack_from_int32", "PackedQuantizationCompressor.decompress_weight"], dict(common))
        self.naive = taken_out(compressors + "naive_quantized.py", ["NaiveQuantizationCompressor.decompress_weight"],
                               dict(common))

    def auto_gptq(self, how, parts, exact):
        as_type = torch.float32 if exact else None
        scales = tensor(parts[".scales"], as_type)
        inputs, outputs = parts[".g_idx"][1].size, scales.shape[1]
        module = self.gptq["QuantLinear"](how["bits"], how["group_size"], inputs, outputs, False, weight_dtype=scales.dtype)
        for name in ("qweight", "qzeros", "g_idx"):
            setattr(module, name, tensor(parts["." + name]))
        module.scales = scales
        return module.forward(torch.eye(inputs, dtype=scales.dtype)).T

    def gptq_model(self, how, parts, exact):
        class Module:
            bits, pack_dtype_bits, planar, enable_wf_unsqueeze = how["bits"], 32, False, True
            pack_factor, maxq = 32 // how["bits"], 2 ** how["bits"] - 1
            dequant_dtype = torch.int16 if how["bits"] == 8 else torch.int8

            def __init__(self):
                self._buffers = {}
            def _wf_device(self):
                return torch.device("cpu")
            def register_buffer(self, name, value, persistent):
                setattr(self, name, value)

        for name in ("dequantize_weight", "_init_wf_unsqueeze_buffers", "_dequantize_from_codes"):
            setattr(Module, name, self.v2[name])
        module = Module()
        for name in ("qweight", "qzeros", "g_idx", "scales"):
            setattr(module, name, tensor(parts["." + name], torch.float32 if exact else None))
        return module.dequantize_weight().T

    def auto_awq(self, how, parts, exact):
        return self.awq["dequantize_gemm"](tensor(parts[".qweight"]), tensor(parts[".qzeros"]),
                                           tensor(parts[".scales"], torch.float32 if exact else None), how["bits"],
                                           how["group_size"]).T

    def compressed(self, how, parts, exact):
        weights = how["config_groups"]["group_0"]["weights"]
        data = {name[1:]: tensor(part, torch.float32 if exact and name == ".weight_scale" else None)
                for name, part in parts.items()}
        program = self.packed if how["format"] == "pack-quantized" else self.naive
        return program["decompress_weight"](None, data, types.SimpleNamespace(**weights))


def dequantized(programs, how, parts, exact):
    """([N][K] of float32 in numpy, the program) or (None, None) where no program of the format's own is here."""
    name = {"gptq": "AutoGPTQ", "awq": "AutoAWQ", "compressed-tensors": "compressed-tensors"}.get(how["quant_method"])
    if name == "AutoGPTQ" and how["checkpoint_format"] == "gptq_v2":
        name = "GPTQModel"
    function = {"AutoGPTQ": programs.auto_gptq, "GPTQModel": programs.gptq_model, "AutoAWQ": programs.auto_awq,
                "compressed-tensors": programs.compressed, None: None}[name]
    return (function(how, parts, exact).float().contiguous().numpy(), name) if function else (None, None)


# ---- llama.cpp ------------------------------------------------------------------------------------------------------

CONVERT = """
import json, sys, types
stub = types.ModuleType("transformers")
class AutoConfig:
    @staticmethod
    def from_pretrained(*unused, **alike):
        raise OSError("not installed")
stub.AutoConfig = AutoConfig
sys.modules["transformers"] = stub
sys.path.insert(0, sys.argv.pop(1))
import convert_hf_to_gguf as program
class_of = program.get_model_class
def without_vocabulary(self):
    self._set_vocab_none()
    self.gguf_writer.add_vocab_size(self.hparams["vocab_size"])
def get_model_class(*of, **how):
    kind = class_of(*of, **how)
    kind.set_vocab = without_vocabulary
    return kind
program.get_model_class = get_model_class
refused = {}
folders = sys.argv[1:]
for folder in folders:
    sys.argv = ["convert_hf_to_gguf.py", folder, "--outtype", "f32", "--outfile", folder + ".gguf"]
    try:
        program.main()
    except Exception as error:
        refused[folder] = "%s: %s" % (type(error).__name__, error)
print(json.dumps(refused))
"""


def run(*command):
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return done.returncode, done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")


def convert(llama, folders):
    """Makes FOLDER.gguf of each; {folder: why not} of those that it refuses."""
    code, said = run(sys.executable, "-c", CONVERT, llama, *folders)
    if code != 0:
        sys.exit("the conversion: " + said[-2000:])
    return json.loads(next(line for line in said.splitlines() if line.startswith("{")))


def gguf_values(llama, path, c):
    """{module: [N][K]} of a converted file, rows of queries and keys of Llama in the order that Hugging Face has."""
    if llama + "/gguf-py" not in sys.path:
        sys.path.insert(0, llama + "/gguf-py")
    import gguf
    names = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
             "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
    out = {}
    for entry in gguf.GGUFReader(path).tensors:
        part = entry.name.split(".")
        if part[0] != "blk" or part[2] not in names or part[3] != "weight":
            continue
        assert entry.tensor_type == gguf.GGMLQuantizationType.F32
        values = np.array(entry.data, np.float32).reshape(tuple(int(n) for n in entry.shape[::-1]))
        if c["model_type"] == "llama" and part[2] in ("attn_q", "attn_k"):
            values = values.reshape(-1, c["head_dim"] // 2, 2, values.shape[1]).swapaxes(1, 2).reshape(values.shape)
        out["model.layers.%s.%s" % (part[1], names[part[2]])] = np.ascontiguousarray(values)
    return out


def logits_of(program, path, tokens, work):
    with open(work + "/tokens.txt", "w") as file:
        file.write(" ".join(map(str, tokens)) + "\n")
    code, said = run(program, path, work + "/tokens.txt", work + "/logits.f32", "dequantized")
    if code != 0:
        sys.exit("%s: %s" % (path, said[-2000:]))
    return np.fromfile(work + "/logits.f32", np.float32).reshape(len(tokens), VOCABULARY)


# ---- Models ---------------------------------------------------------------------------------------------------------

def gptq(name, shape, bits, group, zeros, version="gptq", act_order=False, scales="F16", exponent=7):
    size = group if group > 0 else 1 << 20
    parts = [(".qweight", "I32", ["K*%d/32" % bits, "N"], "words"),
             (".qzeros", "I32", ["K/%d" % size, "N*%d/32" % bits], zeros),
             (".scales", scales, ["K/%d" % size, "N"], "scale:%d" % exponent),
             (".g_idx", "I32", ["K"], ("groups:%d" if act_order else "order:%d") % size)]
    how = {"quant_method": "gptq", "bits": bits, "group_size": group, "desc_act": act_order, "sym": zeros.startswith("same"),
           "damp_percent": 0.01, "checkpoint_format": version, "pack_dtype": "int32"}
    return {"name": name, "shape": shape, "how": how, "parts": parts, "floats": scales}


def awq(name, shape, group):
    parts = [(".qweight", "I32", ["K", "N/8"], "words"), (".qzeros", "I32", ["K/%d" % group, "N/8"], "words"),
             (".scales", "F16", ["K/%d" % group, "N"], "scale:7")]
    how = {"quant_method": "awq", "bits": 4, "group_size": group, "zero_point": True, "version": "gemm"}
    return {"name": name, "shape": shape, "how": how, "parts": parts, "floats": "F16"}


def compressed(name, shape, form, bits, strategy, scales, group=None, zeros=None, order=None, is_float=False, block=None,
               exponent=7):
    across = "K/%d" % group if group else "1"
    wide = {"tensor": ["1"], "channel": ["N", "1"], "group": ["N", across],
            "block": ["N/%d" % block[0], "K/%d" % block[1]] if block else None}[strategy]
    parts = [(".weight_packed", "I32", ["N", "K*%d/32" % bits], "words"), (".weight_shape", "I64", ["2"], "shape")]
    if form != "pack-quantized":
        parts = [(".weight", "F8_E4M3", ["N", "K"], "e4m3") if is_float else (".weight", "I8", ["N", "K"], "bytes")]
    parts.append((".weight_scale", scales, wide, "scale:%d" % exponent))
    if zeros:
        parts.append((".weight_zero_point", "I32", ["N*%d/32" % bits, across], zeros) if zeros == "words" else
                     (".weight_zero_point", "I8", wide, zeros))
    if order == "group":
        parts.append((".weight_g_idx", "I32", ["K"], "groups:%d" % group))
    weights = {"num_bits": bits, "type": "float" if is_float else "int", "symmetric": not zeros, "group_size": group,
               "strategy": strategy, "block_structure": block, "dynamic": False, "observer": "minmax", "actorder": order}
    activations = {"num_bits": 8, "type": weights["type"], "symmetric": True, "strategy": "token", "dynamic": True}
    how = {"quant_method": "compressed-tensors", "format": form, "quantization_status": "compressed", "ignore": ["lm_head"],
           "config_groups": {"group_0": {"weights": weights, "targets": ["Linear"], "output_activations": None,
                                         "input_activations": None if form == "pack-quantized" else activations}}}
    return {"name": name, "shape": shape, "how": how, "parts": parts, "floats": scales}


def fp8(name, shape, block=None):
    how = {"quant_method": "fp8", "activation_scheme": "dynamic", "fmt": "e4m3"}
    if block:
        how["weight_block_size"] = block
    sizes = ["N/%d" % block[0], "K/%d" % block[1]] if block else ["1"]
    parts = [(".weight", "F8_E4M3", ["N", "K"], "e4m3"), (".weight_scale_inv", "F32", sizes, "scale:11")]
    return {"name": name, "shape": shape, "how": how, "parts": parts, "floats": "BF16"}


MODELS = [
    gptq("gptq-4-g128-sym", LLAMA, 4, 128, "same:%d" % 0x77777777),
    gptq("gptq-4-g32", QWEN2, 4, 32, "fields:4:15"),
    gptq("gptq-4-g64-v2", QWEN3, 4, 64, "words", version="gptq_v2"),
    gptq("gptq-4-g32-act-order", LLAMA, 4, 32, "words", act_order=True, scales="BF16"),
    gptq("gptq-4-row-sym", LLAMA, 4, -1, "same:%d" % 0x77777777),
    gptq("gptq-8-g32-sym", QWEN2, 8, 32, "same:%d" % 0x7f7f7f7f, exponent=10),
    gptq("gptq-8-g64-act-order", QWEN3, 8, 64, "words", act_order=True, exponent=10),
    gptq("gptq-2-g64-v2", LLAMA, 2, 64, "words", version="gptq_v2", exponent=5),
    gptq("gptq-3-g128", LLAMA, 3, 128, "words", exponent=6),
    gptq("gptq-3-g32-v2", QWEN2, 3, 32, "words", version="gptq_v2", exponent=6),
    awq("awq-g128", LLAMA, 128),
    awq("awq-g64", QWEN3, 64),
    awq("awq-g32", QWEN2, 32),
    compressed("pack-4-g128", LLAMA, "pack-quantized", 4, "group", "BF16", group=128),
    compressed("pack-4-g32-zeros", QWEN2, "pack-quantized", 4, "group", "F16", group=32, zeros="words", order="weight"),
    compressed("pack-4-channel", QWEN3, "pack-quantized", 4, "channel", "F16"),
    compressed("pack-4-g32-act-order", LLAMA, "pack-quantized", 4, "group", "BF16", group=32, zeros="words", order="group"),
    compressed("pack-8-g64", LLAMA, "pack-quantized", 8, "group", "F16", group=64, exponent=10),
    compressed("int-8-channel", LLAMA, "int-quantized", 8, "channel", "BF16", exponent=10),
    compressed("int-8-channel-zeros", QWEN2, "int-quantized", 8, "channel", "F32", zeros="bytes", exponent=10),
    compressed("int-8-tensor", QWEN3, "int-quantized", 8, "tensor", "F16", exponent=10),
    compressed("naive-8-channel", QWEN2, "naive-quantized", 8, "channel", "F32", exponent=10),
    compressed("float-8-channel", LLAMA, "float-quantized", 8, "channel", "BF16", is_float=True, exponent=11),
    compressed("float-8-tensor", QWEN2, "float-quantized", 8, "tensor", "F32", is_float=True, exponent=11),
    compressed("float-8-blocks", QWEN3, "float-quantized", 8, "block", "BF16", is_float=True, block=[64, 32], exponent=11),
    compressed("naive-e4m3-channel", QWEN3, "naive-quantized", 8, "channel", "F16", is_float=True, exponent=11),
    fp8("fp8-tensor", QWEN2),
    fp8("fp8-blocks-128", LLAMA, block=[128, 128]),
    fp8("fp8-blocks-96x80", LLAMA, block=[96, 80]),
]


def digits(values):
    return hashlib.sha256(values.tobytes()).hexdigest()[:16]


def same(what, a, b):
    if a.shape != b.shape or a.tobytes() != b.tobytes():
        sys.exit("%s: %d values differ" % (what, int((a != b).sum()) if a.shape == b.shape else -1))


def as_kept(values, dtype):
    bits = rounded(values, dtype)
    return (bits.astype(np.uint32) << 16).view(np.float32) if dtype == "BF16" else bits.astype(np.float32)


def prepare(model, programs, work):
    """Writes the folder, and as folders of floats what the format's own program makes of it."""
    model = dict(model, config=dict(model["shape"], quantization_config=model["how"]), folder="%s/%s" % (work, model["name"]))
    model["tensors"], model["sets"] = tensors_of(model)
    model["data_sha256"] = write_folder(model["folder"], model["config"], model["tensors"])
    model["made"] = [model["folder"]]
    for ending, exact in (("-floats", False), ("-exact", True)):
        values = {name: dequantized(programs, model["how"], parts, exact) for name, parts in model["sets"].items()}
        model["own"] = next(iter(values.values()))[1]
        if not model["own"]:
            continue
        floats = {name: ("F32", as_floats(part)) for name, part in model["tensors"].items()
                  if not any(name.startswith(module + ".") and name != module + ".bias" for module in model["sets"])}
        floats.update({name + ".weight": ("F32", part) for name, (part, _) in values.items()})
        write_folder(model["folder"] + ending, model["shape"], floats)
        model["made"].append(model["folder"] + ending)
        model[ending] = {name: part for name, (part, _) in values.items()}
    return model


def examine(model, refused, llama, program, work):
    name, folder, config = model["name"], model["folder"], model["config"]
    scales = next(dtype for ending, dtype, _, _ in model["parts"] if "scale" in ending)
    wrong = [path for path in model["made"][1:] if path in refused]
    if wrong or not model["own"] and folder in refused:
        sys.exit("%s: %s" % (name, refused))
    converted = {ending: gguf_values(llama, folder + ending + ".gguf", config) for ending in ("", "-floats", "-exact")
                 if folder + ending in model["made"] and folder + ending not in refused}
    for ending in ("-floats", "-exact") if model["own"] else ():  # nothing is lost on the way to the logits
        for module, values in model[ending].items():
            same("%s, %s: converted" % (name, module), converted[ending][module], values)
    if folder not in refused:
        for module, values in converted[""].items():
            same("%s, %s: llama.cpp" % (name, module), values, model.get("-exact", converted[""])[module])
    values, exact = (model.get(ending, converted.get("")) for ending in ("-floats", "-exact"))
    for module in values:
        same("%s, %s: rounded" % (name, module), as_kept(exact[module], scales), values[module])
    is_rounded = any(values[module].tobytes() != exact[module].tobytes() for module in values)
    tokens = [int(z % VOCABULARY) for z in hashes(name, "tokens", TOKENS)]
    kept = folder + ("-floats" if model["own"] else "")
    rows = logits_of(program, kept + ".gguf", tokens, work)
    readers = ([model["own"]] if model["own"] else []) + ([] if folder in refused else ["llama.cpp"])
    out = {"name": name, "read_by": readers, "config": config, "floats": model["floats"], "parts": model["parts"],
           "data_sha256": model["data_sha256"], "values_sha256": {module: digits(part) for module, part in values.items()},
           "tokens": tokens, "logits": at_positions(rows)}
    said = ""
    if is_rounded:
        exactly = logits_of(program, folder + ("-exact" if folder in refused else "") + ".gguf", tokens, work)
        out.update(exact_sha256={module: digits(part) for module, part in exact.items()}, exact_logits=at_positions(exactly))
        said = ", beside the exact product's %.1e" % abs(rows - exactly).max()
    print("%-22s %s; logits up to %.2f%s%s" % (name, " and ".join(readers), abs(rows).max(), said, "; llama.cpp: " + refused[folder]
                                               if folder in refused else ""), flush=True)
    return out


def at_positions(rows):
    return [{"position": p, "values": [float("%.8g" % v) for v in rows[p]]} for p in POSITIONS]


def as_floats(part):
    dtype, values = part
    return (values.astype(np.uint32) << 16).view(np.float32) if dtype == "BF16" else values.astype(np.float32)


def main():
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    llama, program, folder, work, out = (os.path.abspath(path) for path in sys.argv[1:])
    torch.set_num_threads(1)
    os.makedirs(work, exist_ok=True)
    programs = Programs(folder)
    models = [prepare(model, programs, work) for model in MODELS]
    refused = convert(llama, [path for model in models for path in model["made"]])
    data = {"source": SOURCE % torch.__version__.split("+")[0],
            "models": [examine(model, refused, llama, program, work) for model in models]}
    with open(out, "w") as file:
        json.dump(data, file, separators=(",", ":"))
        file.write("\n")


main()
