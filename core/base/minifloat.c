#include "base/minifloat.h"

#include <math.h> // INFINITY and NAN only: no function of libm is called
#include <string.h>

enum specials {
    ALL_NUMBERS,
    LIKE_IEEE, // the highest exponent: infinity, NaN
    FN,        // all ones: NaN
    FNUZ,      // negative zero: NaN
};

static const struct kind {
    const char *name;
    uint32_t exponent_bits, mantissa_bits;
    int bias;
    enum specials specials;
    uint32_t largest; // code
} kinds[QM_MINIFLOAT_COUNT] = {
    [QM_MINIFLOAT_E4M3FN] = {"E4M3FN", 4, 3, 7, FN, 0x7e},
    [QM_MINIFLOAT_E4M3] = {"E4M3", 4, 3, 7, LIKE_IEEE, 0x77},
    [QM_MINIFLOAT_E4M3FNUZ] = {"E4M3FNUZ", 4, 3, 8, FNUZ, 0x7f},
    [QM_MINIFLOAT_E5M2] = {"E5M2", 5, 2, 15, LIKE_IEEE, 0x7b},
    [QM_MINIFLOAT_E5M2FNUZ] = {"E5M2FNUZ", 5, 2, 16, FNUZ, 0x7f},
    [QM_MINIFLOAT_E2M3] = {"E2M3", 2, 3, 1, ALL_NUMBERS, 0x1f},
    [QM_MINIFLOAT_E3M2] = {"E3M2", 3, 2, 3, ALL_NUMBERS, 0x1f},
    [QM_MINIFLOAT_E2M1] = {"E2M1", 2, 1, 1, ALL_NUMBERS, 0x7},
    [QM_MINIFLOAT_E8M0] = {"E8M0", 8, 0, 127, FN, 0xfe},
};

const char *qm_minifloat_name(enum qm_minifloat kind)
{
    return kinds[kind].name;
}

uint32_t qm_minifloat_bits(enum qm_minifloat kind)
{
    return kind == QM_MINIFLOAT_E8M0 ? 8 : 1 + kinds[kind].exponent_bits + kinds[kind].mantissa_bits;
}

double qm_minifloat_largest(enum qm_minifloat kind)
{
    return qm_minifloat_value(kind, kinds[kind].largest);
}

static double power_of_two(int exponent) // of a normal double
{
    uint64_t bits = (uint64_t)(exponent + 1023) << 52;
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

// The exponent e of 2^e <= value < 2^(e+1), for a normal positive double.
static int exponent_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return (int)(bits >> 52 & 0x7ff) - 1023;
}

double qm_minifloat_value(enum qm_minifloat kind, uint32_t code)
{
    const struct kind *k = &kinds[kind];
    if (kind == QM_MINIFLOAT_E8M0)
        return code == 0xff ? (double)NAN : power_of_two((int)code - k->bias);
    uint32_t sign_bit = 1u << (k->exponent_bits + k->mantissa_bits), magnitude = code & (sign_bit - 1);
    uint32_t exponent = magnitude >> k->mantissa_bits, mantissa = magnitude & ((1u << k->mantissa_bits) - 1);
    double sign = code & sign_bit ? -1.0 : 1.0;
    if (k->specials == FNUZ && code == sign_bit)
        return (double)NAN;
    if (magnitude > k->largest)
        return k->specials == LIKE_IEEE && mantissa == 0 ? sign * (double)INFINITY : (double)NAN;
    double fraction = mantissa * power_of_two(-(int)k->mantissa_bits) + (exponent > 0 ? 1.0 : 0.0);
    return sign * fraction * power_of_two((exponent > 0 ? (int)exponent : 1) - k->bias);
}

static uint32_t nan_code(const struct kind *k)
{
    uint32_t magnitude_bits = k->exponent_bits + k->mantissa_bits;
    return k->specials == ALL_NUMBERS ? 0 : k->specials == FNUZ ? 1u << magnitude_bits : (1u << magnitude_bits) - 1;
}

static uint32_t nearest_power(double value, bool saturate)
{
    if (!(value > 0))
        return value != value ? 0xff : 0;
    if (value < 0x1p-127)
        return 0;
    if (value > 0x1p127 * 1.5) // the tie goes to 0xfe, which is even
        return saturate ? 0xfe : 0xff;
    if (value > 0x1p127)
        return 0xfe;
    int exponent = exponent_of(value);
    double fraction = value / power_of_two(exponent);
    uint32_t code = (uint32_t)(exponent + 127);
    return code + (fraction > 1.5 || (!(fraction < 1.5) && code % 2 == 1));
}

uint32_t qm_minifloat_nearest(enum qm_minifloat kind, double value, bool saturate)
{
    const struct kind *k = &kinds[kind];
    if (kind == QM_MINIFLOAT_E8M0)
        return nearest_power(value, saturate);
    uint32_t magnitude_bits = k->exponent_bits + k->mantissa_bits;
    if (value != value)
        return nan_code(k);
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    uint32_t sign = (uint32_t)(bits >> 63) << magnitude_bits;
    double magnitude = bits >> 63 ? -value : value, largest = qm_minifloat_largest(kind);
    // The step at the largest number: beyond half of it more, nothing rounds to it.
    double last_step = largest - qm_minifloat_value(kind, k->largest - 1);
    double tie = largest + 0.5 * last_step; // goes up from an odd code
    if (magnitude > tie || (!(magnitude < tie) && k->largest % 2 == 1)) {
        if (saturate || k->specials == ALL_NUMBERS)
            return sign | k->largest;
        return k->specials == LIKE_IEEE ? sign | (k->largest + 1)
               : k->specials == FN      ? sign | nan_code(k)
                                        : nan_code(k);
    }
    if (magnitude >= largest)
        return sign | k->largest;
    // In units of the step at the value: an integer below 2^(mantissa_bits + 1), rounded by hand.
    int exponent = magnitude >= power_of_two(1 - k->bias) ? exponent_of(magnitude) : 1 - k->bias;
    double units = magnitude / power_of_two(exponent - (int)k->mantissa_bits);
    uint32_t whole = (uint32_t)units;
    double rest = units - whole;
    whole += rest > 0.5 || (!(rest < 0.5) && whole % 2 == 1);
    // Of a normal number `whole` has its leading one, which adds one to the exponent below.
    uint32_t code = ((uint32_t)(exponent + k->bias - 1) << k->mantissa_bits) + whole;
    return k->specials == FNUZ && code == 0 ? 0 : sign | code;
}
