// f32, f16 and bf16: the codes are the numbers themselves, to nearest even. What lies beyond the largest finite number is
// refused, not made infinite or clamped.
#include "base/numeric.h"
#include "quant/format_codecs.h"

#define F16_LARGEST 65504.0f
#define BF16_LARGEST_BITS 0x7f7fu

static float bf16_value(uint32_t code)
{
    return qm_float_from_bits(code << 16);
}

static float f32_value(uint32_t code)
{
    return qm_float_from_bits(code);
}

static float f16_value(uint32_t code)
{
    return qm_float_from_half((uint16_t)code);
}

static enum qm_status fit(const struct qm_weight_codec *codec, const float *values, uint32_t count, double shrink,
                          double tensor_scale, struct qm_grid_parameters *out)
{
    (void)shrink;
    (void)tensor_scale;
    *out = (struct qm_grid_parameters){.scale = 1};
    float most = codec->code_bits == 32            ? 0x1.fffffep127f
                 : codec->family == &qm_family_f16 ? F16_LARGEST
                                                   : bf16_value(BF16_LARGEST_BITS);
    for (uint32_t i = 0; i < count; i++)
        if (values[i] > most || values[i] < -most)
            return QM_FAIL(QM_INVALID, "column %u is %g, beyond %.6g, the largest of %s; use scheme f32", i,
                           (double)values[i], (double)most, codec->info.title);
    return QM_OK;
}

static uint32_t f32_nearest(const struct qm_weight_codec *codec, const struct qm_grid_parameters *grid, double value,
                            double *represented)
{
    (void)codec;
    (void)grid;
    *represented = (double)(float)value;
    return qm_bits_from_float((float)value);
}

static uint32_t f16_nearest(const struct qm_weight_codec *codec, const struct qm_grid_parameters *grid, double value,
                            double *represented)
{
    (void)codec;
    (void)grid;
    uint32_t code = qm_half_from_float((float)value);
    *represented = (double)f16_value(code);
    return code;
}

static uint32_t bf16_nearest(const struct qm_weight_codec *codec, const struct qm_grid_parameters *grid, double value,
                             double *represented)
{
    (void)codec;
    (void)grid;
    uint32_t bits = qm_bits_from_float((float)value);
    uint32_t code = (bits + 0x7fffu + (bits >> 16 & 1)) >> 16;
    if ((code & 0x7fffu) > BF16_LARGEST_BITS)
        code = (code & 0x8000u) | BF16_LARGEST_BITS; // within half a step beyond the largest one
    *represented = (double)bf16_value(code);
    return code;
}

// The step is the distance to the next number away from zero; no value lies further than half of it from its code.
static double step_of(float (*value)(uint32_t), uint32_t magnitude, uint32_t largest)
{
    double here = (double)value(magnitude);
    return magnitude >= largest ? here - (double)value(magnitude - 1) : (double)value(magnitude + 1) - here;
}

static double f32_represented(const struct qm_weight_codec *codec, const struct qm_grid_parameters *grid, uint32_t code,
                              double *step)
{
    (void)codec;
    (void)grid;
    *step = 0; // every float is itself
    return (double)f32_value(code);
}

static double f16_represented(const struct qm_weight_codec *codec, const struct qm_grid_parameters *grid, uint32_t code,
                              double *step)
{
    (void)codec;
    (void)grid;
    *step = step_of(f16_value, code & 0x7fffu, 0x7bffu);
    return (double)f16_value(code);
}

static double bf16_represented(const struct qm_weight_codec *codec, const struct qm_grid_parameters *grid,
                               uint32_t code, double *step)
{
    (void)codec;
    (void)grid;
    *step = step_of(bf16_value, code & 0x7fffu, BF16_LARGEST_BITS);
    return (double)bf16_value(code);
}

static bool is_code(const struct qm_weight_codec *codec, uint32_t code)
{
    float value = codec->code_bits == 32            ? f32_value(code)
                  : codec->family == &qm_family_f16 ? f16_value(code)
                                                    : bf16_value(code);
    return (qm_bits_from_float(value) & 0x7f800000u) != 0x7f800000u;
}

const struct qm_codec_family qm_family_f32 = {fit, f32_nearest, f32_represented, is_code, NULL, NULL, NULL};
const struct qm_codec_family qm_family_f16 = {fit, f16_nearest, f16_represented, is_code, NULL, NULL, NULL};
const struct qm_codec_family qm_family_bf16 = {fit, bf16_nearest, bf16_represented, is_code, NULL, NULL, NULL};
