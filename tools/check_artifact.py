#!/usr/bin/env python3
"""Decodes artifacts as docs/ARTIFACT.md says, without any code of qmark, and checks them.

    tools/check_artifact.py MODEL-DIRECTORY ARTIFACT.safetensors...

Of each artifact: the id over its content; of the weights named in TENSORS every decoded value against the float model's,
whose largest and root mean square difference must be what the artifact's record says was seen when it was encoded. With
smoothquant and awq the artifact is of another model: then only the id is checked, and that all values are finite. One line
an artifact; exit 1 if anything is off. Python's standard library alone.
"""
import hashlib
import json
import math
import struct
import sys

TENSORS = ("model.layers.0.self_attn.k_proj", "lm_head", "model.layers.1.mlp.down_proj")
ROWS = 24  # of each, the first


class Damage(Exception):
    pass


def read_safetensors(path):
    with open(path, "rb") as stream:
        data = stream.read()
    (size,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + size])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        tensors[name] = (entry["dtype"], entry["shape"], data[8 + size + begin : 8 + size + end])
    return tensors, metadata


# ---- Numbers --------------------------------------------------------------------------------------------------------


def half(bits):
    return struct.unpack("<e", struct.pack("<H", bits))[0]


def small_number(code, exponent_bits, mantissa_bits, bias):
    sign = -1.0 if code >> (exponent_bits + mantissa_bits) else 1.0
    exponent = code >> mantissa_bits & (1 << exponent_bits) - 1
    mantissa = code & (1 << mantissa_bits) - 1
    if exponent == 0:
        return sign * math.ldexp(mantissa, 1 - bias - mantissa_bits)
    return sign * math.ldexp((1 << mantissa_bits) + mantissa, exponent - bias - mantissa_bits)


def e4m3(code):
    if code & 0x7F == 0x7F:
        raise Damage("a code that is NaN")
    return small_number(code, 4, 3, 7)


def e5m2(code):
    if code >> 2 & 31 == 31:
        raise Damage("a code that is no number")
    return small_number(code, 5, 2, 15)


NUMBERS = {  # title in a scheme's name: bits, number
    "e4m3": (8, e4m3),
    "e5m2": (8, e5m2),
    "mxfp8": (8, e4m3),
    "mxfp6e2m3": (6, lambda code: small_number(code, 2, 3, 1)),
    "mxfp6e3m2": (6, lambda code: small_number(code, 3, 2, 3)),
    "mxfp4": (4, lambda code: small_number(code, 2, 1, 1)),
    "nvfp4": (4, lambda code: small_number(code, 2, 1, 1)),
}


def stream(row, bits):
    whole = int.from_bytes(row, "little")
    return [whole >> bits * k & (1 << bits) - 1 for k in range(8 * len(row) // bits)]


def signed(code, bits):
    return (code ^ 1 << bits - 1) - (1 << bits - 1)


# ---- ggml's blocks --------------------------------------------------------------------------------------------------


def q8_0(block):
    d = half(int.from_bytes(block[:2], "little"))
    return [d * signed(q, 8) for q in block[2:]]


def nibbles(data):
    return [q & 15 for q in data] + [q >> 4 for q in data]


def q4_0(block):
    d = half(int.from_bytes(block[:2], "little"))
    return [d * (q - 8) for q in nibbles(block[2:])]


def q4_1(block):
    d, m = struct.unpack_from("<ee", block)
    return [d * q + m for q in nibbles(block[4:])]


def q5_0(block):
    d, fifth = half(int.from_bytes(block[:2], "little")), int.from_bytes(block[2:6], "little")
    return [d * ((q | (fifth >> i & 1) << 4) - 16) for i, q in enumerate(nibbles(block[6:]))]


def q4_k(block):
    d, dmin = struct.unpack_from("<ee", block)
    p = block[4:16]
    s = [p[j] & 63 for j in range(4)] + [p[8 + j] & 15 | (p[j] >> 6) << 4 for j in range(4)]
    m = [p[4 + j] & 63 for j in range(4)] + [p[8 + j] >> 4 | (p[4 + j] >> 6) << 4 for j in range(4)]
    q = [code for first in range(0, 128, 32) for code in nibbles(block[16 + first : 48 + first])]
    return [d * s[i // 32] * q[i] - dmin * m[i // 32] for i in range(256)]


def q5_k(block):
    d, dmin = struct.unpack_from("<ee", block)
    p, fifth = block[4:16], block[16:48]
    s = [p[j] & 63 for j in range(4)] + [p[8 + j] & 15 | (p[j] >> 6) << 4 for j in range(4)]
    m = [p[4 + j] & 63 for j in range(4)] + [p[8 + j] >> 4 | (p[4 + j] >> 6) << 4 for j in range(4)]
    q = [code for first in range(0, 128, 32) for code in nibbles(block[48 + first : 80 + first])]
    q = [q[i] | (fifth[i % 32] >> i // 32 & 1) << 4 for i in range(256)]
    return [d * s[i // 32] * q[i] - dmin * m[i // 32] for i in range(256)]


def q6_k(block):
    low, high, s = block[:128], block[128:192], block[192:208]
    d = half(int.from_bytes(block[208:], "little"))
    values = []
    for i in range(256):
        half_block, j = i // 128, i % 128
        nibble = low[64 * half_block + j % 64] >> (0 if j < 64 else 4) & 15
        pair = high[32 * half_block + j % 32] >> 2 * (j // 32) & 3
        values.append(d * signed(s[i // 16], 8) * ((nibble | pair << 4) - 32))
    return values


BLOCKS = {"q8_0": (34, q8_0), "q4_0": (18, q4_0), "q4_1": (20, q4_1), "q5_0": (22, q5_0), "q4_k": (144, q4_k), "q5_k": (176, q5_k), "q6_k": (210, q6_k)}

# ---- Weights --------------------------------------------------------------------------------------------------------


def decode_row(tensors, name, weights, row):
    dtype, shape, data = tensors[name + ".weight"]
    stride = len(data) // shape[0]
    codes = data[row * stride : (row + 1) * stride]
    if dtype == "F32":
        return struct.unpack("<%df" % shape[1], codes)
    if dtype == "F16":
        return struct.unpack("<%de" % shape[1], codes)
    if dtype == "BF16":
        return [struct.unpack("<f", b"\0\0" + codes[2 * k : 2 * k + 2])[0] for k in range(shape[1])]
    if weights in BLOCKS:
        size, decode = BLOCKS[weights]
        return [value for at in range(0, len(codes), size) for value in decode(codes[at : at + size])]
    scale_dtype, scale_shape, scale_data = tensors[name + ".scale"]
    per_row = len(scale_data) // scale_shape[0]
    scales = scale_data[row * per_row : (row + 1) * per_row]
    if weights in NUMBERS:
        bits, number = NUMBERS[weights]
        values = [number(code) for code in stream(codes, bits)]
        if scale_dtype == "F32":
            scale = struct.unpack("<f", scales)[0]
            return [scale * value for value in values]
        group = len(values) // len(scales)
        if weights == "nvfp4":
            whole = struct.unpack("<f", tensors[name + ".tensor_scale"][2])[0]
            steps = [whole * e4m3(scale) for scale in scales]
        else:
            steps = [math.ldexp(1, scale - 127) if scale else 0 for scale in scales]
        return [steps[k // group] * value for k, value in enumerate(values)]
    if scale_dtype == "F32":
        scale = struct.unpack("<f", scales)[0]
        return [scale * signed(code, 8) for code in codes]
    halves = struct.unpack("<%de" % (per_row // 2), scales)
    bits = 8 if dtype == "I8" else int(weights[1])
    values = stream(codes, bits)
    is_asymmetric = weights.endswith("-asym")
    groups = len(halves) // 2 if is_asymmetric else len(halves)
    group = len(values) // groups
    if is_asymmetric:
        return [halves[2 * (k // group)] * (code - halves[2 * (k // group) + 1]) for k, code in enumerate(values)]
    return [halves[k // group] * signed(code, bits) for k, code in enumerate(values)]


def weights_of(scheme, name):
    """The part of a scheme's name that says how the weight is stored."""
    import fnmatch

    base, *overrides = scheme.split("+")
    chosen = base
    for override in overrides:
        pattern, chosen_format = override.split("=")
        if fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(name, "*." + pattern):
            chosen = chosen_format
    words = chosen.split("-")
    known = sorted(list(NUMBERS) + list(BLOCKS) + ["w8", "w4", "w3", "w2", "bf16", "f16", "f32"], key=len, reverse=True)
    weights = next(word for word in known if words[0].startswith(word))
    return weights + ("-asym" if "asym" in words else "")


def check(path, model):
    tensors, metadata = read_safetensors(path)
    content = hashlib.sha256()
    for name in sorted(tensors):
        dtype, shape, data = tensors[name]
        content.update(b"%s\0%s\0%s\0" % (name.encode(), dtype.encode(), str(shape).encode()) + data)
    content.update(metadata["scheme_sha256"].encode() + b"\0" + metadata["config"].encode() + b"\0")
    if content.hexdigest() != metadata["id"]:
        raise Damage("the id is not that of the content")
    record, scheme = json.loads(metadata["record"]), metadata["scheme"]
    is_scaled = json.loads(metadata["calibration"])["method"] in ("smoothquant", "awq")
    compared = 0
    for name in TENSORS:
        rows = tensors[name + ".weight"][1][0]
        is_whole = name == TENSORS[0]
        worst, squares, count = 0.0, 0.0, 0
        original = model[name + ".weight"] if name + ".weight" in model else model["model.embed_tokens.weight"]
        columns = original[1][1]
        weights = weights_of(scheme, name)
        for row in range(rows if is_whole else min(rows, ROWS)):
            values = decode_row(tensors, name, weights, row)
            if len(values) != columns or not all(map(math.isfinite, values)):
                raise Damage(f"{name}: row {row} has {len(values)} values of {columns}, or some that are not finite")
            exact = struct.unpack_from("<%df" % columns, original[2], 4 * columns * row)
            for value, true in zip(values, exact):
                error = abs(value - true)
                worst = max(worst, error)
                squares += error * error
            count += columns
        told = record[name]
        rms = math.sqrt(squares / count)
        tolerance = 2e-6 * max(abs(x) for x in exact) + 1e-12  # decoding is rounded to float there, and not here
        is_equal = abs(worst - told["worst_error"]) <= tolerance and abs(rms - told["rms_error"]) <= tolerance
        if is_whole and not is_scaled and not is_equal:
            raise Damage(f"{name}: worst error {worst:.9g}, RMS {rms:.9g}; the record says {told['worst_error']:.9g}, "
                         f"{told['rms_error']:.9g}")
        if not is_scaled and worst > told["worst_error"] + tolerance:
            raise Damage(f"{name}: an error of {worst:.9g}; the record knows none above {told['worst_error']:.9g}")
        compared += count
    return f"{scheme}: id and {compared} values of {len(TENSORS)} weights as the page says"


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    model, _ = read_safetensors(sys.argv[1] + "/model.safetensors")
    failed = False
    for path in sys.argv[2:]:
        try:
            print(check(path, model))
        except (Damage, KeyError, ValueError, struct.error) as damage:
            print(f"{path}: {damage!r}")
            failed = True
    sys.exit(failed)


if __name__ == "__main__":
    main()
