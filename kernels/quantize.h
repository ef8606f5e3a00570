// Scales and codes of values quantized on the device: activations and the cache. Same bits on every device for the same
// input: only products, sums and integers, never contracted.
#ifndef QM_QUANTIZE_H
#define QM_QUANTIZE_H

// 1 / largest, rounded up by 2 to 3 units in the last place, so that amax / scale never exceeds `largest` by more than a
// rounding.
#define QM_INVERSE_127 0x3c010206u // 1/127 is between 0x3c010204 and 0x3c010205
#define QM_INVERSE_7 0x3e124927u   // 1/7 is between 0x3e124924 and 0x3e124925
#define QM_INVERSE_15 0x3d888889u  // scales of asymmetric codes become binary16: rounding up by more would not show
#define QM_INVERSE_3 0x3eaaaaabu
#define QM_INVERSE_448 0x3b124927u // 1/448 is 1/7 of 2^-6

#if !defined(QM_HOST)
// amax * inverse; 0 below 2^-100.
QM_FUNCTION float qm_scale_of(float amax, uint inverse_largest)
{
    QM_PRECISE_SCOPE
    QM_PRECISE float scale = amax * QM_BITS_FLOAT(inverse_largest);
    return amax < 7.888609052210118e-31f ? 0.0f : scale;
}
// What values are multiplied by: 1 / scale, or 0 where that is 0.
QM_FUNCTION float qm_inverse_scale(float scale)
{
    return scale == 0.0f ? 0.0f : qm_reciprocal(scale);
}
// clamp(round_even(x * inverse), -largest, largest), two's complement.
QM_FUNCTION uint qm_integer_code(float x, float inverse, float largest)
{
    QM_PRECISE_SCOPE
    QM_PRECISE float scaled = x * inverse;
    return QM_UINT(qm_round(QM_MIN(QM_MAX(scaled, -largest), largest)));
}
#if defined(QM_BY_VECTORS)
// As that of each lane, in its low bits: what qm_round subtracts has none there.
QM_FUNCTION qm_uv qm_integer_codes(qm_fv x, float inverse, float largest)
{
    QM_PRECISE_SCOPE
    QM_PRECISE qm_fv scaled = x * inverse;
    QM_PRECISE qm_fv shifted = QM_MIN(QM_MAX(scaled, -largest), largest) + 12582912.0f;
    return QM_UV_BITS(shifted);
}
#endif
QM_FUNCTION uint qm_e4m3_code(float x, float inverse)
{
    QM_PRECISE_SCOPE
    QM_PRECISE float scaled = x * inverse;
    return qm_e4m3_bits(scaled);
}
// E5M2, as 8 bits: to nearest even, beyond 57,344 in magnitude 57,344; as qm_e4m3_bits.
QM_FUNCTION uint qm_e5m2_code(float x, float inverse)
{
    QM_PRECISE_SCOPE
    QM_PRECISE float scaled = x * inverse;
    uint bits = QM_FLOAT_BITS(scaled);
    uint sign = (bits >> 24) & 0x80u;
    QM_PRECISE float magnitude = QM_MIN(QM_BITS_FLOAT(bits & 0x7fffffffu), 57344.0f);
    uint normal = QM_FLOAT_BITS(magnitude);
    normal = ((normal + 0xfffffu + ((normal >> 21) & 1u)) >> 21) - (112u << 2);
    QM_PRECISE float shifted = magnitude + 128.0f; // 2^7: a unit in the last place is 2^-16
    uint subnormal = QM_FLOAT_BITS(shifted) & 0xfu;
    return sign | (magnitude < QM_HALF_LEAST ? subnormal : normal);
}
// Scale (low half) and minimum (high half) in binary16 of values from `least` to `most`. Zeros are positive, for which
// of two zeros is the smaller differs from device to device.
QM_FUNCTION uint qm_affine_pair(float least, float most, uint inverse_largest)
{
    QM_PRECISE_SCOPE
    uint minimum_bits = qm_half_bits(QM_MIN(QM_MAX(least, -65504.0f), 65504.0f));
    minimum_bits = minimum_bits == 0x8000u ? 0u : minimum_bits;
    QM_PRECISE float range = QM_MIN(QM_MAX(most, -65504.0f), 65504.0f) - qm_half_value(minimum_bits);
    QM_PRECISE float scale = range * QM_BITS_FLOAT(inverse_largest);
    uint scale_bits = qm_half_bits(scale);
    return (minimum_bits << 16) | (scale_bits > 0x7fffu ? 0u : scale_bits);
}
// clamp(round_even((x - minimum) * inverse), 0, largest).
QM_FUNCTION uint qm_affine_code(float x, float minimum, float inverse, float largest)
{
    QM_PRECISE_SCOPE
    QM_PRECISE float above = x - minimum;
    QM_PRECISE float scaled = above * inverse;
    return QM_UINT(qm_round(QM_MIN(QM_MAX(scaled, 0.0f), largest)));
}
#endif
#endif
