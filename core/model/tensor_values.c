#include "model/tensor_values.h"

#include <stdint.h>
#include <string.h>

#define EXPONENT 0x7f800000u // all of it set: infinite or not a number

enum {
    BLOCK = 2048 // values that stay in the nearest cache between being copied and being looked at
};

bool qm_dtype_is_float(enum qm_dtype dtype)
{
    return dtype == QM_DTYPE_F32 || dtype == QM_DTYPE_F16 || dtype == QM_DTYPE_BF16;
}

// Each converts at most BLOCK values and says whether all of them are finite. A value is looked at as it comes; where the
// first bad one stands is asked only when there is one.

static bool from_f32(const void *data, size_t count, float *out)
{
    uint32_t bad = 0;
    memcpy(out, data, count * sizeof(*out));
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &out[i], sizeof(bits));
        bad |= (bits & EXPONENT) == EXPONENT;
    }
    return bad == 0;
}

static bool from_bf16(const void *data, size_t count, float *out)
{
    uint16_t halves[BLOCK];
    uint32_t bad = 0;
    memcpy(halves, data, count * sizeof(*halves));
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = (uint32_t)halves[i] << 16;
        bad |= (bits & EXPONENT) == EXPONENT;
        memcpy(&out[i], &bits, sizeof(bits));
    }
    return bad == 0;
}

// A subnormal half is its mantissa times 2^-24, from an integer and not from a subnormal float, which some processors
// multiply slowly and some modes take for 0. Infinities and NaNs come out as something finite: they are refused.
static bool from_f16(const void *data, size_t count, float *out)
{
    uint16_t halves[BLOCK];
    uint32_t bad = 0;
    memcpy(halves, data, count * sizeof(*halves));
    for (size_t i = 0; i < count; i++) {
        uint32_t magnitude = halves[i] & 0x7fffu, sign = (uint32_t)(halves[i] & 0x8000u) << 16, small;
        float least = (float)(int32_t)magnitude * 0x1p-24f;
        memcpy(&small, &least, sizeof(small));
        uint32_t is_small = 0u - (uint32_t)(magnitude < 0x400u); // a mask: with a branch the loop stays one by one
        uint32_t bits = (small & is_small) | (((magnitude << 13) + (112u << 23)) & ~is_small) | sign;
        bad |= magnitude >= 0x7c00u;
        memcpy(&out[i], &bits, sizeof(bits));
    }
    return bad == 0;
}

// The value's bits, its sign the highest, and where its exponent is.
static uint32_t bits_at(enum qm_dtype dtype, const void *at, uint32_t *exponent)
{
    uint32_t word = 0;
    memcpy((unsigned char *)&word + sizeof(word) - qm_dtype_bytes(dtype), at, qm_dtype_bytes(dtype));
    *exponent = dtype == QM_DTYPE_F16 ? 0x7c000000u : EXPONENT;
    return word;
}

static bool is_finite(enum qm_dtype dtype, const void *at)
{
    uint32_t exponent, bits = bits_at(dtype, at, &exponent);
    return (bits & exponent) != exponent;
}

bool qm_value_is_nan(enum qm_dtype dtype, const void *at)
{
    uint32_t exponent, bits = bits_at(dtype, at, &exponent);
    return (bits & ~exponent & 0x7fffffffu) != 0;
}

size_t qm_values_to_floats(enum qm_dtype dtype, const void *data, size_t count, float *out)
{
    const unsigned char *at = data;
    size_t value_bytes = qm_dtype_bytes(dtype);
    for (size_t done = 0; done < count; done += BLOCK) {
        size_t some = count - done < BLOCK ? count - done : BLOCK;
        const unsigned char *block = at + done * value_bytes;
        bool good = dtype == QM_DTYPE_F32   ? from_f32(block, some, out + done)
                    : dtype == QM_DTYPE_F16 ? from_f16(block, some, out + done)
                                            : from_bf16(block, some, out + done);
        for (size_t i = 0; !good && i < some; i++)
            if (!is_finite(dtype, block + i * value_bytes))
                return done + i;
    }
    return count;
}
