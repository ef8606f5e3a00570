// Integers with a scale: symmetric, or with a zero point. See format.h.
//
// The lowest code of two's complement is not made, so that a symmetric range is symmetric and every value of a group is
// within half a step of a code; files that other programs quantized have it, and it is a code like any other. The double quotient amax / largest tells the smallest scale that is not below it: amax
// has 24 bits and `largest` times a scale at most 31, so that the quotient is a number of the scale's type exactly or
// further from one than a double's rounding.
#include "base/numeric.h"
#include "quant/format_codecs.h"

static bool is_asymmetric(const struct qm_weight_codec *codec)
{
    return codec->scale == QM_SCALE_F16_ZERO;
}

static enum qm_status fit(const struct qm_weight_codec *codec, const float *values, uint32_t count, double shrink,
                          double tensor_scale, struct qm_grid_parameters *out)
{
    (void)tensor_scale;
    *out = (struct qm_grid_parameters){0};
    double low = 0, high = 0, range;
    if (is_asymmetric(codec)) {
        for (uint32_t i = 0; i < count; i++) {
            low = (double)values[i] < low ? (double)values[i] : low;
            high = (double)values[i] > high ? (double)values[i] : high;
        }
        range = (high - low) * shrink;
    } else {
        range = (double)qm_absolute_max(values, count) * shrink;
    }
    QM_TRY(qm_scale_round_up(codec->scale, range / codec->high, &out->stored[0], &out->scale));
    if (is_asymmetric(codec) && out->scale > 0) {
        double zero = qm_round_even(-low * shrink / out->scale);
        out->zero = zero > codec->high ? codec->high : zero;
        out->stored[1] = qm_half_from_float((float)out->zero);
    }
    return QM_OK;
}

static uint32_t mask_of(const struct qm_weight_codec *codec)
{
    return (1u << codec->code_bits) - 1;
}

static uint32_t nearest(const struct qm_weight_codec *codec, const struct qm_grid_parameters *grid, double value,
                        double *represented)
{
    // Clamped before it is rounded: calibrators ask for values of any size.
    double code = grid->scale > 0 ? value / grid->scale : 0, low = codec->low - grid->zero,
           high = codec->high - grid->zero;
    code = qm_round_even(code < low ? low : code > high ? high : code) + grid->zero;
    *represented = (code - grid->zero) * grid->scale;
    return (uint32_t)(int32_t)code & mask_of(codec);
}

static int32_t signed_code(const struct qm_weight_codec *codec, uint32_t code)
{
    bool is_negative = !is_asymmetric(codec) && code >> (codec->code_bits - 1) != 0;
    return is_negative ? (int32_t)(code | ~mask_of(codec)) : (int32_t)code;
}

static double represented(const struct qm_weight_codec *codec, const struct qm_grid_parameters *grid, uint32_t code,
                          double *step)
{
    *step = grid->scale;
    return (signed_code(codec, code) - grid->zero) * grid->scale; // 24 and 8 bits: exact
}

static bool is_code(const struct qm_weight_codec *codec, uint32_t code)
{
    return code <= mask_of(codec);
}

const struct qm_codec_family qm_family_integer = {fit, nearest, represented, is_code, NULL, NULL, NULL};
