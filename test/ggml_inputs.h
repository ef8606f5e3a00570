// The blocks that test_ggml.c and the maker of test/data/ggml/blocks.txt draw: the same floats on every machine, since
// only integers are drawn and what is done with them in float is rounded by IEEE 754 alone.
//
// Block number b of a format of n values: qm_random_seed(seed 20240, stream n * 2^32 + b), and the kind is b % 16.
#ifndef QM_TEST_GGML_INPUTS_H
#define QM_TEST_GGML_INPUTS_H

#include "base/numeric.h"
#include "base/random.h"

#include <stdbool.h>

#define GGML_INPUT_KINDS 16u

static inline float ggml_power(int exponent) // 2^exponent, a normal number
{
    return qm_float_from_bits((uint32_t)(exponent + 127) << 23);
}

// Four 16-bit integers added: about normal, within +-1, standard deviation 0.29.
static inline float ggml_bell(struct qm_random *random)
{
    uint64_t bits = qm_random_u64(random);
    int32_t sum = (int32_t)((bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48)) - 131070;
    return (float)sum * 0x1p-17f;
}

static inline float ggml_finite(struct qm_random *random, uint32_t least_exponent, uint32_t exponents)
{
    uint32_t exponent = least_exponent + qm_random_below(random, exponents);
    return qm_float_from_bits((qm_random_u32(random) & 0x807fffffu) | exponent << 23);
}

static inline int ggml_between(struct qm_random *random, int least, int most)
{
    return least + (int)qm_random_below(random, (uint32_t)(most - least + 1));
}

static inline void ggml_draw_block(uint32_t number, float *values, uint32_t n)
{
    struct qm_random random;
    qm_random_seed(&random, 20240, (uint64_t)n << 32 | number);
    float unit = ggml_power(ggml_between(&random, -20, 4)), base = ggml_finite(&random, 90, 60);
    uint32_t outlier = qm_random_below(&random, n), pick = qm_random_u32(&random);
    static const float tie_peaks[] = {127, 8, 7.5f, 7, 15, 32, 31, 63};
    // Around where binary16 scales overflow, where they become subnormal, and where they vanish; and where 1 / d does.
    static const float limits[] = {65520.0f * 127, 65520.0f * 8,   65520.0f * 15,  65520.0f * 945, 65520.0f * 4096,
                                   0x1p-14f * 127, 0x1p-24f * 8,   0x1p-25f * 127, 0x1p-24f * 945, 0x1p-24f * 4096,
                                   0x1p-128f * 8,  0x1p-128f * 15, 1e-15f,         0x1p-128f * 127};
    for (uint32_t i = 0; i < n; i++) {
        float bell = ggml_bell(&random);
        uint32_t bits = qm_random_u32(&random);
        switch (number % GGML_INPUT_KINDS) {
        case 0: // like weights
            values[i] = bell * unit;
            break;
        case 1: // all equal, of either sign
            values[i] = base;
            break;
        case 2: // zeros of both signs; in some blocks one number
            values[i] = i == outlier && pick % 4 == 0 ? bell * unit : bits & 1 ? -0.0f : 0.0f;
            break;
        case 3: // one outlier
            values[i] = bell * unit * (i == outlier ? ggml_power((int)(pick % 24)) : 1.0f);
            break;
        case 4: // subnormal
            values[i] = qm_float_from_bits((bits & 0x80000000u) | (bits & 0x7fffffu) >> pick % 23);
            break;
        case 5: // huge
            values[i] = ggml_finite(&random, 200, 55);
            break;
        case 6: // any finite bits
            values[i] = ggml_finite(&random, 0, 255);
            break;
        case 7: // halves of steps, of a largest value that makes the step a power of two
            values[i] = i == outlier ? tie_peaks[pick % 8] * unit * (pick & 8 ? -1.0f : 1.0f)
                                     : (float)((int)(bits % 31) - 15) * 0.5f * unit;
            break;
        case 8: // + and - the largest
            values[i] = (bits & 1 ? 1.0f : -1.0f) * (pick % 8 == 0 ? 0x1.fffffep127f : base);
            break;
        case 9: // signs in turn, nearly one magnitude
            values[i] = (i % 2 ? -1.0f : 1.0f) * qm_float_from_bits(qm_bits_from_float(unit) + bits % 4);
            break;
        case 10: // a range of a few units in the last place
            values[i] = qm_float_from_bits(qm_bits_from_float(base) + bits % (1 + pick % 64));
            break;
        case 11: // mostly zeros
            values[i] = bits % 16 == 0 ? bell * unit : 0.0f;
            break;
        case 12: // not negative
            values[i] = bell < 0 ? -bell * unit : bell * unit;
            break;
        case 13: // not positive, away from zero
            values[i] = (bell < 0 ? bell : -bell) * unit - (float)(pick % 3) * unit;
            break;
        case 14: // at the limits of scales
            values[i] = limits[pick % 14] *
                        (i == outlier ? 1.0f + (float)((int)(pick >> 8 & 255) - 128) * 0x1p-20f : 2.0f * bell) *
                        (pick & 0x10000 ? -1.0f : 1.0f);
            if (!(values[i] <= 0x1.fffffep127f && values[i] >= -0x1.fffffep127f))
                values[i] = 0;
            break;
        default: // magnitudes over many powers of two
            values[i] = ggml_finite(&random, 100, 30);
            break;
        }
    }
}

// Whether ggml converts floats to int8_t that it does not hold, which C leaves undefined: where 1 / d overflows, or d does.
// d as q8_0, q4_0 and q4_1 have it, in float: the largest magnitude, or the range, divided by `largest_code`.
static inline bool ggml_is_undefined(const float *values, uint32_t n, bool has_minimum, float largest_code)
{
    float least = values[0], most = values[0];
    for (uint32_t i = 0; i < n; i++) {
        least = values[i] < least ? values[i] : least;
        most = values[i] > most ? values[i] : most;
    }
    float amax = most > -least ? most : -least;
    float d = (has_minimum ? most - least : amax) / largest_code;
    return d != 0 && (d > 0x1.fffffep127f || 1.0f / d > 0x1.fffffep127f);
}

// Any bytes, as a block to decode.
static inline void ggml_draw_bytes(uint32_t number, uint8_t *block, uint32_t bytes)
{
    struct qm_random random;
    qm_random_seed(&random, 20241, (uint64_t)bytes << 32 | number);
    for (uint32_t i = 0; i < bytes; i++)
        block[i] = (uint8_t)qm_random_u32(&random);
}

// NaNs as one, since machines make different ones; else the bits.
static inline void ggml_plain_nans(float *values, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (values[i] != values[i])
            values[i] = qm_float_from_bits(0x7fc00000u);
}

#endif
