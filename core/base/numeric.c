#include "base/numeric.h"
#include "base/wide.h"

#include <math.h> // INFINITY, NAN and sqrt-free classification macros only: no function of libm is called
#include <string.h>

uint32_t qm_bits_from_float(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

float qm_float_from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

uint16_t qm_half_from_float(float value)
{
    uint32_t bits = qm_bits_from_float(value);
    uint32_t sign = bits >> 16 & 0x8000u;
    uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u);
    if (magnitude >= 0x477ff000u) // 65,520 and above
        return (uint16_t)(sign | 0x7c00u);
    uint32_t exponent = magnitude >> 23;
    uint32_t shift, mantissa, base;
    if (exponent >= 113) { // normal in binary16
        mantissa = magnitude - (112u << 23);
        shift = 13;
        base = 0;
    } else { // subnormal: the leading one becomes explicit
        if (exponent < 102)
            return (uint16_t)sign; // below half of the smallest subnormal
        mantissa = (magnitude & 0x7fffffu) | 0x800000u;
        shift = 126 - exponent;
        base = 0;
    }
    uint32_t kept = mantissa >> shift;
    uint32_t rest = mantissa & ((1u << shift) - 1);
    uint32_t half = 1u << (shift - 1);
    if (rest > half || (rest == half && (kept & 1)))
        ++kept;
    return (uint16_t)(sign | (base + kept));
}

float qm_float_from_half(uint16_t bits)
{
    uint32_t sign = (uint32_t)(bits & 0x8000u) << 16;
    uint32_t exponent = bits >> 10 & 31u;
    uint32_t mantissa = bits & 0x3ffu;
    if (exponent == 31)
        return qm_float_from_bits(sign | 0x7f800000u | mantissa << 13);
    if (exponent == 0) {
        float magnitude = (float)mantissa * 0x1p-24f;
        return sign ? -magnitude : magnitude;
    }
    return qm_float_from_bits(sign | (exponent + 112) << 23 | mantissa << 13);
}

uint16_t qm_half_round_up(float value)
{
    uint16_t bits = qm_half_from_float(value);
    if (qm_float_from_half(bits) < value)
        ++bits;
    return bits;
}

float qm_float_round_up(double value)
{
    float rounded = (float)value;
    if ((double)rounded < value)
        rounded = qm_float_from_bits(qm_bits_from_float(rounded) + 1);
    return rounded;
}

double qm_round_even(double value)
{
    const double magic = 0x1.8p52;
    return (value + magic) - magic;
}

static double double_from_bits(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

// x = n ln 2 + r with |r| <= ln 2 / 2; ln 2 in two parts so that n ln2_high is exact for |n| < 2^11. Then the Taylor
// series of e^r by Horner's rule: at |r| <= 0.347 the 14th term is below 2^-58.
double qm_exp(double x)
{
    const double ln2_high = 0x1.62e42fee00000p-1, ln2_low = 0x1.a39ef35793c76p-33;
    if (x != x)
        return x;
    if (x > 709.782712893384)
        return INFINITY;
    if (x < -745.2)
        return 0.0;
    double n = qm_round_even(x * 0x1.71547652b82fep+0);
    double r = (x - n * ln2_high) - n * ln2_low;
    double sum = 1.0;
    for (int k = 14; k >= 1; --k)
        sum = 1.0 + sum * r / (double)k;
    int exponent = (int)n;
    if (exponent > 1023) // 2^1024 is out of range although the product is not
        return sum * 0x1p1023 * 2.0;
    if (exponent < -1022) // in two steps, so that subnormal results round once
        return sum * double_from_bits((uint64_t)(exponent + 54 + 1023) << 52) * 0x1p-54;
    return sum * double_from_bits((uint64_t)(exponent + 1023) << 52);
}

// As qm_exp, with 1/k! in place of divisions, and the power of two taken from the bits that rounding leaves: no branch and no
// conversion, so that the loop becomes one over vectors.
QM_WIDE void qm_exp_many(const double *x, size_t count, double *out)
{
    const double ln2_high = 0x1.62e42fee00000p-1, ln2_low = 0x1.a39ef35793c76p-33, magic = 0x1.8p52;
    for (size_t i = 0; i < count; ++i) {
        double value = x[i] < -708.0 ? -708.0 : x[i];
        double shifted = value * 0x1.71547652b82fep+0 + magic;
        double n = shifted - magic;
        double r = (value - n * ln2_high) - n * ln2_low;
        double sum = 1.0 / 6227020800.0; // 13!
        sum = sum * r + 1.0 / 479001600.0;
        sum = sum * r + 1.0 / 39916800.0;
        sum = sum * r + 1.0 / 3628800.0;
        sum = sum * r + 1.0 / 362880.0;
        sum = sum * r + 1.0 / 40320.0;
        sum = sum * r + 1.0 / 5040.0;
        sum = sum * r + 1.0 / 720.0;
        sum = sum * r + 1.0 / 120.0;
        sum = sum * r + 1.0 / 24.0;
        sum = sum * r + 1.0 / 6.0;
        sum = sum * r + 0.5;
        sum = sum * r + 1.0;
        sum = sum * r + 1.0;
        uint64_t bits;
        double power;
        memcpy(&bits, &shifted, sizeof(bits));
        bits = (bits + 1023) << 52; // the low bits of `shifted` are n
        memcpy(&power, &bits, sizeof(power));
        sum *= power;
        out[i] = x[i] < -708.0 ? 0.0 : sum;
    }
}

// x = 2^e m with m in [sqrt(1/2), sqrt(2)); ln m = 2 atanh(f), f = (m-1)/(m+1), |f| <= 0.1716, odd series to f^23.
double qm_log(double x)
{
    const double ln2_high = 0x1.62e42fee00000p-1, ln2_low = 0x1.a39ef35793c76p-33;
    if (x != x || x < 0)
        return NAN;
    if (x == 0)
        return -INFINITY;
    uint64_t bits;
    int exponent = 0;
    if (x < 0x1p-1022) {
        x *= 0x1p54;
        exponent = -54;
    }
    memcpy(&bits, &x, sizeof(bits));
    if (bits >> 52 == 2047)
        return x;
    exponent += (int)(bits >> 52) - 1023;
    double m = double_from_bits((bits & 0xfffffffffffffull) | 1023ull << 52);
    if (m > 0x1.6a09e667f3bcdp+0) {
        m *= 0.5;
        ++exponent;
    }
    double f = (m - 1.0) / (m + 1.0);
    double square = f * f;
    double sum = 0.0;
    for (int k = 23; k >= 3; k -= 2)
        sum = (sum + 1.0 / (double)k) * square;
    return (double)exponent * ln2_high + (2.0 * f + (2.0 * f * sum + (double)exponent * ln2_low));
}
