#!/usr/bin/env python3
"""Quantized weights as their programs pack them, and the values that they stand for, for test/test_quantized_weights.c.

    tools/make_quantized_directories.py > test/data/quantized_weights.json      needs Debian's python3-numpy
    tools/make_quantized_directories.py --seeds test/fuzz/corpus/quantization_config

A program of its own beside qmark's reader: codes are drawn, packed step by step as AutoGPTQ (QuantLinear.pack), AutoAWQ
(WQLinear_GEMM.from_linear, WQLinear_GEMV.from_linear) and compressed-tensors (pack_to_int32) do it, and dequantized from the codes before they were
packed, in numpy's float16 where those programs compute in PyTorch's. bfloat16, which numpy lacks, is float32 rounded to
nearest even; E4M3FN is written out from OCP OFP8.
"""
import base64
import json
import sys

import numpy as np

rng = np.random.default_rng(9)
DTYPES = {"int32": "I32", "int64": "I64", "int8": "I8", "uint8": "F8_E4M3", "float16": "F16", "float32": "F32",
          "uint16": "BF16"}


def text(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def tensor(array):
    return {"dtype": DTYPES[str(array.dtype)], "shape": list(array.shape), "data": text(array)}


def case(name, config, tensors, values):
    return {"name": name, "config": {"quantization_config": config}, "shape": list(values.shape),
            "tensors": {"m." + key: tensor(value) for key, value in tensors.items()},
            "values": text(values.astype(np.float32))}


def bf16_bits(values):
    """float32 to the 16 bits of the nearest bfloat16, ties to even."""
    bits = values.astype(np.float32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7fff + ((bits >> np.uint64(16)) & np.uint64(1))) >> np.uint64(16)).astype(np.uint16)


def bf16_values(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


def e4m3(code):
    sign, exponent, mantissa = -1.0 if code & 128 else 1.0, code >> 3 & 15, code & 7
    return sign * (mantissa / 8 * 2.0 ** -6 if exponent == 0 else (1 + mantissa / 8) * 2.0 ** (exponent - 7))


# ---- GPTQ -----------------------------------------------------------------------------------------------------------

def gptq_words(rows, bits):
    """[count][n] integers into 32-bit words down the first axis. Of 3 bits, 32 integers fill 3 words: 10 and two bits of
    the next; its third bit, 10 and one bit of the next; its other two, and 10."""
    rows = rows.astype(np.uint64)
    words = []
    i = 0
    while i < len(rows):
        if bits != 3:
            word = np.zeros(rows.shape[1], np.uint64)
            for j in range(32 // bits):
                word |= rows[i + j] << np.uint64(bits * j)
            words.append(word)
            i += 32 // bits
            continue
        first, second, third = (np.zeros(rows.shape[1], np.uint64) for _ in range(3))
        for j in range(10):
            first |= rows[i + j] << np.uint64(3 * j)
            second |= rows[i + 11 + j] << np.uint64(3 * j + 1)
            third |= rows[i + 22 + j] << np.uint64(3 * j + 2)
        first |= (rows[i + 10] << np.uint64(30)) & np.uint64(0xffffffff)
        second |= rows[i + 10] >> np.uint64(2) & np.uint64(1)
        second |= (rows[i + 21] << np.uint64(31)) & np.uint64(0xffffffff)
        third |= rows[i + 21] >> np.uint64(1) & np.uint64(3)
        words += [first, second, third]
        i += 32
    return np.stack(words).astype(np.uint32).view(np.int32)


def gptq(name, bits, group_size, inputs, outputs, act_order=False, version="gptq", symmetric=False):
    size = inputs if group_size == -1 else group_size
    groups = -(-inputs // size)
    codes = rng.integers(0, 2 ** bits, (inputs, outputs))
    low = 1 if version == "gptq" else 0
    zeros = rng.integers(low, 2 ** bits, (groups, outputs))
    if symmetric:
        zeros[:] = 2 ** (bits - 1)
    scales = (rng.uniform(0.0005, 0.05, (groups, outputs))).astype(np.float16)
    scales[0, 0] = np.float16(3e-7)  # a subnormal
    group_of = np.arange(inputs) // size
    if act_order:
        group_of = rng.permutation(group_of)
    # scales[g_idx] * (weight - zeros[g_idx]): an integer times a float16 is a float16
    values = scales[group_of] * (codes - zeros[group_of]).astype(np.float16)
    assert values.dtype == np.float16
    stored = zeros - 1 if version == "gptq" else zeros
    config = {"quant_method": "gptq", "bits": bits, "group_size": group_size, "desc_act": act_order, "sym": symmetric,
              "damp_percent": 0.01, "checkpoint_format": version, "dataset": "c4"}
    tensors = {"qweight": gptq_words(codes, bits), "qzeros": np.ascontiguousarray(gptq_words(stored.T, bits).T),
               "scales": scales, "g_idx": group_of.astype(np.int32)}
    return case(name, config, tensors, values.T)


# ---- AWQ ------------------------------------------------------------------------------------------------------------

def awq_words(integers):
    order = [0, 2, 4, 6, 1, 3, 5, 7]
    words = np.zeros((integers.shape[0], integers.shape[1] // 8), np.uint32)
    for column in range(words.shape[1]):
        for i in range(8):
            words[:, column] |= integers[:, column * 8 + order[i]].astype(np.uint32) << np.uint32(4 * i)
    return words.view(np.int32)


def awq(name, group_size, inputs, outputs, old_keys=False):
    size = inputs if group_size == -1 else group_size
    codes = rng.integers(0, 16, (inputs, outputs))
    zeros = rng.integers(0, 16, (inputs // size, outputs))
    scales = rng.uniform(0.0005, 0.05, zeros.shape).astype(np.float16)
    values = (codes - np.repeat(zeros, size, 0)).astype(np.float16) * np.repeat(scales, size, 0)
    assert values.dtype == np.float16
    config = {"quant_method": "awq", "bits": 4, "group_size": group_size, "zero_point": True, "version": "gemm"}
    if old_keys:
        config = {"quant_method": "awq", "w_bit": 4, "q_group_size": group_size, "zero_point": True, "version": "GEMM"}
    return case(name, config, {"qweight": awq_words(codes), "qzeros": awq_words(zeros), "scales": scales}, values.T)


# Along the inputs, and along the groups, whose number is rounded up to what the program's kernel loads at once.
def gemv(name, group_size, inputs, outputs):
    groups = inputs // group_size
    multiple = {32: 4, 64: 2}.get(group_size, 1)
    width = -(-(-(-groups // 8)) // multiple) * multiple
    codes = rng.integers(0, 16, (outputs, inputs))
    zeros = rng.integers(0, 16, (outputs, groups))
    scales = np.zeros((outputs, 8 * width), np.float16)
    scales[:, :groups] = rng.uniform(0.0005, 0.05, zeros.shape).astype(np.float16)
    values = (codes - np.repeat(zeros, group_size, 1)).astype(np.float16) * np.repeat(scales[:, :groups], group_size, 1)
    assert values.dtype == np.float16
    qweight = np.zeros((outputs, inputs // 8), np.uint32)
    for k in range(inputs):
        qweight[:, k // 8] |= codes[:, k].astype(np.uint32) << np.uint32(4 * (k % 8))
    qzeros = np.zeros((outputs, width), np.uint32)
    for group in range(groups):
        qzeros[:, group // 8] |= zeros[:, group].astype(np.uint32) << np.uint32(4 * (group % 8))
    config = {"quant_method": "awq", "bits": 4, "group_size": group_size, "zero_point": True, "version": "gemv"}
    return case(name, config, {"qweight": qweight.view(np.int32), "qzeros": qzeros.view(np.int32), "scales": scales}, values)


# ---- compressed-tensors ---------------------------------------------------------------------------------------------

def pack_to_int32(values, bits, axis):
    """Signed integers less their lowest, so many to a word along an axis, zeros where the last word has room."""
    values = np.moveaxis(values + 2 ** (bits - 1), axis, 0).astype(np.uint32)
    per_word = 32 // bits
    words = np.zeros((-(-len(values) // per_word),) + values.shape[1:], np.uint32)
    for i, row in enumerate(values):
        words[i // per_word] |= row << np.uint32(bits * (i % per_word))
    return np.ascontiguousarray(np.moveaxis(words, 0, axis)).view(np.int32)


def scale_and_times(kind, shape, low=0.0005, high=0.05):
    """Scales of a type as they are stored, and the product with them as that type has it."""
    drawn = rng.uniform(low, high, shape).astype(np.float32)
    if kind == "bf16":
        bits = bf16_bits(drawn)
        return bits, lambda numbers, spread: bf16_values(bf16_bits(numbers.astype(np.float32) * spread(bf16_values(bits))))
    scales = drawn.astype(np.float16 if kind == "f16" else np.float32)
    return scales, lambda numbers, spread: numbers.astype(scales.dtype) * spread(scales)


def compressed(name, form, bits, strategy, inputs, outputs, kind, group_size=None, symmetric=True, zeros_as=None,
               act_order=False, activations=None, is_float=False):
    size = group_size or inputs
    low, high = -2 ** (bits - 1), 2 ** (bits - 1)
    shape = (1,) if strategy == "tensor" else (outputs, inputs // size)
    scales, times = scale_and_times(kind, shape)
    group_of = np.arange(inputs) // size
    tensors = {"weight_scale": scales}
    if act_order:
        group_of = rng.permutation(group_of)
        tensors["weight_g_idx"] = group_of.astype(np.int32)

    def spread(values):
        return values if strategy == "tensor" else values[:, group_of]

    if is_float:
        codes = rng.integers(0, 256, (outputs, inputs))
        codes[(codes & 127) == 127] = 5  # no NaN
        numbers = np.vectorize(e4m3)(codes)
    else:
        codes = rng.integers(low, high, (outputs, inputs))
        numbers = codes
    if not symmetric:
        zeros = rng.integers(low, high, shape)
        tensors["weight_zero_point"] = pack_to_int32(zeros, bits, 0) if zeros_as == "packed" else zeros.astype(np.int8)
        numbers = codes - spread(zeros)
    if form == "pack-quantized":
        tensors["weight_packed"] = pack_to_int32(codes, bits, 1)
        tensors["weight_shape"] = np.array([outputs, inputs], np.int64)
    else:
        tensors["weight"] = codes.astype(np.uint8 if is_float else np.int8)
    if activations and not activations["dynamic"]:
        tensors["input_scale"] = np.array([0.125], np.float32)
    weights = {"num_bits": bits, "type": "float" if is_float else "int", "symmetric": symmetric, "group_size": group_size,
               "strategy": strategy, "block_structure": None, "dynamic": False, "observer": "minmax",
               "actorder": "group" if act_order else None}
    config = {"quant_method": "compressed-tensors", "format": form, "quantization_status": "compressed",
              "kv_cache_scheme": None, "ignore": ["lm_head"], "global_compression_ratio": 1.5,
              "config_groups": {"group_0": {"weights": weights, "input_activations": activations,
                                            "output_activations": None, "targets": ["Linear"]}}}
    return case(name, config, tensors, times(numbers, spread))


def fp8(name, outputs, inputs, block=None):
    codes = rng.integers(0, 256, (outputs, inputs))
    codes[(codes & 127) == 127] = 5
    numbers = np.vectorize(e4m3)(codes).astype(np.float32)
    config = {"quant_method": "fp8", "activation_scheme": "dynamic"}
    if block:
        shape = (-(-outputs // block[0]), -(-inputs // block[1]))
        scales = rng.uniform(0.0005, 0.05, shape).astype(np.float32)
        values = numbers * np.repeat(np.repeat(scales, block[0], 0)[:outputs], block[1], 1)[:, :inputs]
        config.update(weight_block_size=list(block), fmt="e4m3")
        return case(name, config, {"weight": codes.astype(np.uint8), "weight_scale_inv": scales}, values)
    scale = np.float32(0.0371)
    return case(name, config, {"weight": codes.astype(np.uint8), "weight_scale": np.array(scale)}, numbers * scale)


INT8 = {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "token", "dynamic": True, "group_size": None}
FP8 = dict(INT8, type="float")
FP8_STATIC = dict(FP8, strategy="tensor", dynamic=False)

CASES = [
    gptq("gptq 4 bits, groups of 32", 4, 32, 96, 40),
    gptq("gptq 4 bits, symmetric, groups of 128, act-order", 4, 128, 256, 8, act_order=True, symmetric=True),
    gptq("gptq 4 bits, a shorter last group, act-order", 4, 64, 96, 16, act_order=True),
    gptq("gptq 4 bits, one group, v2", 4, -1, 64, 24, version="gptq_v2"),
    gptq("gptq 3 bits, groups of 32", 3, 32, 96, 32),
    gptq("gptq 3 bits, act-order, v2", 3, 32, 64, 64, act_order=True, version="gptq_v2"),
    gptq("gptq 2 bits, groups of 16", 2, 16, 64, 48),
    gptq("gptq 8 bits, groups of 64", 8, 64, 128, 12),
    awq("awq, groups of 32", 32, 96, 40),
    awq("awq, groups of 128, old keys", 128, 128, 16, old_keys=True),
    awq("awq, one group", -1, 64, 24),
    compressed("pack-quantized int4, groups of 32, bfloat16", "pack-quantized", 4, "group", 96, 7, "bf16", 32),
    compressed("pack-quantized int4, channel, float16", "pack-quantized", 4, "channel", 50, 9, "f16"),
    compressed("pack-quantized int4, asymmetric, zeros packed", "pack-quantized", 4, "group", 64, 13, "f16", 32,
               symmetric=False, zeros_as="packed"),
    compressed("pack-quantized int4, asymmetric, zeros as int8, act-order", "pack-quantized", 4, "group", 64, 5, "bf16", 16,
               symmetric=False, zeros_as="int8", act_order=True),
    compressed("pack-quantized int8, groups of 32", "pack-quantized", 8, "group", 64, 11, "bf16", 32),
    compressed("int-quantized int8, channel, bfloat16, int8 activations", "int-quantized", 8, "channel", 37, 11, "bf16",
               activations=INT8),
    compressed("int-quantized int8, channel, asymmetric, float32", "int-quantized", 8, "channel", 40, 6, "f32",
               symmetric=False),
    compressed("naive-quantized int8, one scale", "naive-quantized", 8, "tensor", 33, 5, "f16"),
    compressed("float-quantized, channel, bfloat16", "float-quantized", 8, "channel", 64, 9, "bf16", activations=FP8,
               is_float=True),
    compressed("float-quantized, one scale, static activations", "float-quantized", 8, "tensor", 48, 3, "f32",
               activations=FP8_STATIC, is_float=True),
    compressed("naive-quantized E4M3, channel, float16", "naive-quantized", 8, "channel", 20, 15, "f16", is_float=True),
    fp8("fp8, one scale", 11, 40),
    fp8("fp8, blocks of 16 x 32", 37, 80, block=(16, 32)),
    gemv("awq gemv, groups of 32", 32, 288, 16),
    gemv("awq gemv, groups of 64", 64, 192, 24),
    gemv("awq gemv, groups of 128", 128, 1152, 8),
]



def write_seeds(folder):
    """config.json, a 0, and a safetensors file, as test/fuzz/fuzz_quantization_config.c reads them."""
    for number, one in enumerate(CASES):
        header, data = {}, b""
        for name, part in one["tensors"].items():
            piece = base64.b64decode(part["data"])
            header[name] = {"dtype": part["dtype"], "shape": part["shape"], "data_offsets": [len(data), len(data) + len(piece)]}
            data += piece
        head = json.dumps(header, separators=(",", ":")).encode()
        with open(f"{folder}/case{number:02}", "wb") as out:
            out.write(json.dumps(one["config"], separators=(",", ":")).encode() + b"\0" + len(head).to_bytes(8, "little") +
                      head + data)


if len(sys.argv) == 3 and sys.argv[1] == "--seeds":
    write_seeds(sys.argv[2])
    sys.exit()
json.dump({"source": "tools/make_quantized_directories.py, numpy " + np.__version__, "cases": CASES}, sys.stdout, indent=0)
print()
