#!/usr/bin/env python3
"""Makes test/data/formats/*.txt: every code of a format and its exact value, for test/test_formats.c.

Values are computed with fractions from the formats' definitions, and the standards' own tables of special values are
asserted below, so that a file is either what the standard says or not written. Nothing of qmark's code is used.

    tools/make_format_tables.py test/data/formats
"""

import sys
from fractions import Fraction
from pathlib import Path

OFP8 = "OCP 8-bit Floating Point Specification (OFP8), revision 1.0, 2023: the table of exponent parameters and values"
MX = "OCP Microscaling Formats (MX) Specification, version 1.0, 2023, the tables of element and scale formats"
FNUZ = "LLVM's APFloat ({}), after Noune et al. 2022, arXiv:2206.02915"
IEEE = "IEEE 754-2019, section 3.4"
INF, NAN = "inf", "nan"


def two(exponent):
    return Fraction(2) ** exponent


def small_float(code, exponent_bits, mantissa_bits, bias, specials):
    """The value of a code as (sign, magnitude); the magnitude is a fraction, "inf" or "nan"."""
    mantissa = code % 2**mantissa_bits
    exponent = code >> mantissa_bits & (2**exponent_bits - 1)
    sign = code >> (exponent_bits + mantissa_bits)
    top = exponent == 2**exponent_bits - 1
    if specials == "ieee" and top:
        return sign, INF if mantissa == 0 else NAN
    if specials == "fn" and top and mantissa == 2**mantissa_bits - 1:
        return sign, NAN
    if specials == "fnuz" and sign and exponent == 0 and mantissa == 0:
        return sign, NAN
    fraction = Fraction(mantissa, 2**mantissa_bits)
    if exponent == 0:
        return sign, fraction * two(1 - bias)
    return sign, (1 + fraction) * two(exponent - bias)


def integer(code, bits):
    value = code - 2**bits if code >= 2 ** (bits - 1) else code
    return int(value < 0), Fraction(abs(value))


def text(sign, magnitude):
    """A C hexadecimal float, or inf, -inf, nan."""
    if magnitude == NAN:
        return NAN
    lead = "-" if sign else ""
    if magnitude == INF:
        return lead + INF
    if magnitude == 0:
        return lead + "0"
    exponent = 0
    while magnitude.denominator != 1:
        magnitude, exponent = magnitude * 2, exponent - 1
    odd = magnitude.numerator
    while odd % 2 == 0:
        odd, exponent = odd // 2, exponent + 1
    return f"{lead}{odd:#x}p{exponent:+d}"


def anchors_of(codes, values):
    """What the standards' tables name, from the finite codes without a sign."""
    positive = [values[c][1] for c in codes if not values[c][0] and values[c][1] not in (INF, NAN)]
    assert positive == sorted(positive), "codes are in the order of their values"
    return positive


def check(name, values, mantissa_bits, largest, least_normal, largest_subnormal, least_subnormal, nans, infinities):
    positive = anchors_of(sorted(values), values)
    assert positive[-1] == largest, name
    if mantissa_bits:
        assert positive[0] == 0 and positive[1] == least_subnormal, name
        assert positive[2**mantissa_bits - 1] == largest_subnormal, name
        assert positive[2**mantissa_bits] == least_normal, name
    assert [c for c in sorted(values) if values[c][1] == NAN] == nans, name
    assert [c for c in sorted(values) if values[c][1] == INF] == infinities, name


def minifloat(name, source, exponent_bits, mantissa_bits, bias, specials, largest, least_normal, largest_subnormal,
              least_subnormal, nans, infinities, note="", signed=True):
    bits = exponent_bits + mantissa_bits + signed
    values = {c: small_float(c, exponent_bits, mantissa_bits, bias, specials) for c in range(2**bits)}
    check(name, values, mantissa_bits, largest, least_normal, largest_subnormal, least_subnormal, nans, infinities)
    lines = [f"{exponent_bits} bits of exponent, bias {bias}, {mantissa_bits} of mantissa" +
             ("" if signed else ", no sign"),
             f"largest {text(0, Fraction(largest))}, least normal {text(0, Fraction(least_normal))}, "
             f"largest subnormal {text(0, Fraction(largest_subnormal))}, "
             f"least subnormal {text(0, Fraction(least_subnormal))}",
             "NaN: " + (", ".join(f"{c:#04x}" for c in nans) or "none") + "; infinity: " +
             (", ".join(f"{c:#04x}" for c in infinities) or "none")]
    if note:
        lines.append(note)
    return name, source, lines, values


def tables():
    nan_e5m2 = [0x7D, 0x7E, 0x7F, 0xFD, 0xFE, 0xFF]
    yield minifloat("e4m3fn", OFP8 + " (E4M3)", 4, 3, 7, "fn", 448, two(-6), Fraction(7, 8) * two(-6), two(-9),
                    [0x7F, 0xFF], [])
    yield minifloat("e5m2", OFP8 + " (E5M2)", 5, 2, 15, "ieee", 57344, two(-14), Fraction(3, 4) * two(-14), two(-16),
                    nan_e5m2, [0x7C, 0xFC])
    yield minifloat("e2m3", MX + " (FP6 E2M3)", 2, 3, 1, "none", Fraction(15, 2), 1, Fraction(7, 8), Fraction(1, 8),
                    [], [])
    yield minifloat("e3m2", MX + " (FP6 E3M2)", 3, 2, 3, "none", 28, Fraction(1, 4), Fraction(3, 16), Fraction(1, 16),
                    [], [])
    yield minifloat("e2m1", MX + " (FP4 E2M1); also NVFP4's elements", 2, 1, 1, "none", 6, 1, Fraction(1, 2),
                    Fraction(1, 2), [], [])
    yield minifloat("ue4m3", OFP8 + " (E4M3) of codes without a sign, as NVIDIA's PTX ISA names them (ue4m3)", 4, 3, 7,
                    "fn", 448, two(-6), Fraction(7, 8) * two(-6), two(-9), [0x7F], [],
                    "NVFP4's scales: one per 16 elements, times one float32 of the tensor", signed=False)
    yield minifloat("e4m3", "IEEE 754's rules for these widths; LLVM's APFloat (Float8E4M3)", 4, 3, 7, "ieee", 240,
                    two(-6), Fraction(7, 8) * two(-6), two(-9),
                    [c | s for s in (0, 0x80) for c in range(0x79, 0x80)], [0x78, 0xF8])
    yield minifloat("e4m3fnuz", FNUZ.format("Float8E4M3FNUZ"), 4, 3, 8, "fnuz", 240, two(-7),
                    Fraction(7, 8) * two(-7), two(-10), [0x80], [])
    yield minifloat("e5m2fnuz", FNUZ.format("Float8E5M2FNUZ"), 5, 2, 16, "fnuz", 57344, two(-15),
                    Fraction(3, 4) * two(-15), two(-17), [0x80], [])
    scales = {c: (0, NAN if c == 255 else two(c - 127)) for c in range(256)}
    check("e8m0", scales, 0, two(127), None, None, None, [255], [])
    assert scales[0][1] == two(-127) and scales[127][1] == 1
    yield ("e8m0", MX + " (E8M0, the scale of all MX formats)",
           ["8 bits of exponent, bias 127, no sign, no mantissa, no zero: from 0x1p-127 to 0x1p+127", "NaN: 0xff"],
           scales)
    for bits in (2, 3, 4, 6, 8):
        values = {c: integer(c, bits) for c in range(2**bits)}
        assert values[2 ** (bits - 1)] == (1, 2 ** (bits - 1)) and values[2**bits - 1] == (1, 1)
        also = {4: "; also ggml's Q4_0, whose nibble is this plus 8", 6: ": ggml's Q6_K, whose code is this plus 32",
                8: "; also ggml's Q8_0"}.get(bits, "")
        yield f"int{bits}", "two's complement" + also, [f"from {-2 ** (bits - 1)} to {2 ** (bits - 1) - 1}"], values
    for name, source, exponent_bits, mantissa_bits, bias, anchors in (
            ("f16", IEEE + " (binary16)", 5, 10, 15,
             {0x0001: two(-24), 0x03FF: Fraction(1023, 1024) * two(-14), 0x0400: two(-14), 0x3555: Fraction(1365, 4096),
              0x3C00: 1, 0x3C01: 1 + two(-10), 0x4248: Fraction(201, 64), 0x7BFF: 65504}),
            ("bf16", "binary32 (IEEE 754-2019, section 3.4) without its lower 16 bits; Intel, BFLOAT16 Hardware Numerics "
             "Definition, 2018", 8, 7, 127,
             {0x0001: two(-133), 0x007F: Fraction(127, 128) * two(-126), 0x0080: two(-126),
              0x3EAB: Fraction(171, 512), 0x3F80: 1, 0x3F81: 1 + two(-7), 0x4049: Fraction(201, 64),
              0x7F7F: Fraction(255, 128) * two(127)})):
        values = {}
        for code, expected in anchors.items():
            values[code] = small_float(code, exponent_bits, mantissa_bits, bias, "ieee")
            assert values[code] == (0, expected), (name, code)
        infinity = (2**exponent_bits - 1) << mantissa_bits
        for code in (0, infinity, infinity | 1 << mantissa_bits - 1, infinity | 1):
            values[code] = small_float(code, exponent_bits, mantissa_bits, bias, "ieee")
        for code in list(values):
            values[code | 0x8000] = small_float(code | 0x8000, exponent_bits, mantissa_bits, bias, "ieee")
        yield name, source, ["anchors, not all codes: test_formats.c computes the others and compares these"], values


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, source, lines, values in tables():
        digits = 4 if max(values) > 255 else 2
        with open(folder / f"{name}.txt", "w", encoding="ascii", newline="\n") as file:
            for line in (f"Source: {source}.", *lines, "Made by tools/make_format_tables.py, which asserts the above. "
                         "CODE VALUE, exactly:"):
                file.write(f"# {line}\n")
            for code in sorted(values):
                file.write(f"{code:0{digits}x} {text(*values[code])}\n")


if __name__ == "__main__":
    main()
