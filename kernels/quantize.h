// Scales and codes of values quantized on the device: activations and the cache. Same bits on every device for the same
// input: only products, sums and integers, never contracted.
#ifndef QM_QUANTIZE_H
#define QM_QUANTIZE_H

// 1 / largest, rounded up by 2 to 3 units in the last place, so that amax / scale never exceeds `largest` by more than a
// rounding.
#define QM_INVERSE_127 0x3c010206u // 1/127 is between 0x3c010204 and 0x3c010205
#define QM_INVERSE_7 0x3e124927u   // 1/7 is between 0x3e124924 and 0x3e124925
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
QM_FUNCTION uint qm_e4m3_code(float x, float inverse)
{
    QM_PRECISE_SCOPE
    QM_PRECISE float scaled = x * inverse;
    return qm_e4m3_bits(scaled);
}
#endif
#endif
