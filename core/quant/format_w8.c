// w8: int8, symmetric, one float scale per row.
//
// scale = the smallest float that is not below amax / 127. The double quotient tells: amax has 24 bits and 127 times a
// float 31, so that the quotient is a float exactly or further from one than a double's rounding.
#include "base/numeric.h"
#include "quant/format_codecs.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define LARGEST 127
#define SCALE_MIN 0x1p-126f

static enum qm_status encode(const float *values, uint32_t columns, void *codes, void *scales)
{
    int8_t *out = codes;
    float amax = qm_absolute_max(values, columns);
    float scale = 0;
    if (amax > 0) {
        scale = qm_float_round_up((double)amax / LARGEST);
        if (scale < SCALE_MIN)
            scale = SCALE_MIN;
    }
    memcpy(scales, &scale, sizeof(scale));
    for (uint32_t i = 0; i < columns; i++)
        out[i] = scale > 0 ? (int8_t)qm_round_even((double)values[i] / (double)scale) : 0;
    return QM_OK;
}

static void decode(const void *codes, const void *scales, uint32_t columns, float *values)
{
    float scale;
    memcpy(&scale, scales, sizeof(scale));
    for (uint32_t i = 0; i < columns; i++)
        values[i] = (float)((const int8_t *)codes)[i] * scale;
}

static double exact(const void *codes, const void *scales, uint32_t i, double *step)
{
    float scale;
    memcpy(&scale, scales, sizeof(scale));
    *step = (double)scale;
    return (double)scale * ((const int8_t *)codes)[i]; // 24 and 8 bits: exact
}

static bool is_valid(const void *codes, const void *scales, uint32_t columns)
{
    float scale;
    memcpy(&scale, scales, sizeof(scale));
    bool ok = scale >= 0 && qm_floats_are_finite(&scale, 1);
    for (uint32_t i = 0; ok && i < columns; i++)
        ok = ((const int8_t *)codes)[i] >= -LARGEST &&
             fabsf((float)((const int8_t *)codes)[i] * scale) <= FLT_MAX; // a finite scale may still be too large
    return ok;
}

const struct qm_weight_codec qm_codec_w8 = {
    .format = QM_WEIGHT_W8,
    .code_dtype = QM_DTYPE_I8,
    .code_bits = 8,
    .has_scales = true,
    .scale_dtype = QM_DTYPE_F32,
    .group = 0,
    .column_multiple = 1,
    .encode = encode,
    .decode = decode,
    .exact = exact,
    .is_valid = is_valid,
};
