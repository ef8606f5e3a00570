// Small floats with a scale: one float a row, E8M0 a group, or E4M3 a group and a float for the tensor. See format.h.
#include "base/minifloat.h"
#include "base/numeric.h"
#include "quant/format_codecs.h"

// The exponent e of 2^e <= value < 2^(e+1), for a normal positive float.
static int exponent_of(float value)
{
    return (int)(qm_bits_from_float(value) >> 23) - 127;
}

// 2^(e - 127); 0 for e = 0, which no block of other values than zeros has.
static double e8m0_value(uint32_t e)
{
    return e == 0 ? 0 : (double)qm_float_from_bits(e << 23);
}

static enum qm_status fit(const struct qm_weight_codec *codec, const float *values, uint32_t count, double shrink,
                          double tensor_scale, struct qm_grid_parameters *out)
{
    double amax = (double)qm_absolute_max(values, count) * shrink;
    double largest = qm_minifloat_largest((enum qm_minifloat)codec->minifloat);
    *out = (struct qm_grid_parameters){0};
    if (!(amax > 0))
        return QM_OK;
    if (codec->scale == QM_SCALE_F32)
        return qm_scale_round_up(QM_SCALE_F32, amax / largest, &out->stored[0], &out->scale);
    if (codec->scale == QM_SCALE_E8M0) {
        float rounded =
            (float)amax; // amax is a float; shrunk, its rounding moves no block's exponent but at a power of two
        int e = (rounded < 0x1p-126f ? -127 : exponent_of(rounded)) - exponent_of((float)largest) + 127;
        out->stored[0] = e < 1 ? 1u : e > 254 ? 254u : (uint32_t)e;
        out->scale = e8m0_value(out->stored[0]);
        return QM_OK;
    }
    uint32_t code = qm_minifloat_nearest(QM_MINIFLOAT_E4M3FN, amax / largest / tensor_scale, true);
    out->stored[0] = code == 0 ? 1 : code; // a block that is not zero has a scale
    out->scale = qm_minifloat_value(QM_MINIFLOAT_E4M3FN, out->stored[0]) * tensor_scale;
    return QM_OK;
}

static uint32_t nearest(const struct qm_weight_codec *codec, const struct qm_grid_parameters *grid, double value,
                        double *represented)
{
    enum qm_minifloat kind = (enum qm_minifloat)codec->minifloat;
    uint32_t code = grid->scale > 0 ? qm_minifloat_nearest(kind, value / grid->scale, true) : 0;
    *represented = qm_minifloat_value(kind, code) * grid->scale;
    return code;
}

static double represented(const struct qm_weight_codec *codec, const struct qm_grid_parameters *grid, uint32_t code,
                          double *step)
{
    enum qm_minifloat kind = (enum qm_minifloat)codec->minifloat;
    uint32_t sign = 1u << (codec->code_bits - 1), magnitude = code & (sign - 1);
    double value = qm_minifloat_value(kind, magnitude), largest = qm_minifloat_largest(kind);
    double other = value < largest ? qm_minifloat_value(kind, magnitude + 1) : qm_minifloat_value(kind, magnitude - 1);
    *step = (other > value ? other - value : value - other) * grid->scale;
    return (code & sign ? -value : value) * grid->scale;
}

static bool is_code(const struct qm_weight_codec *codec, uint32_t code)
{
    enum qm_minifloat kind = (enum qm_minifloat)codec->minifloat;
    double value = qm_minifloat_value(kind, code), largest = qm_minifloat_largest(kind);
    return value <= largest && value >= -largest; // neither infinite nor not a number
}

const struct qm_codec_family qm_family_minifloat = {fit, nearest, represented, is_code, NULL, NULL, NULL};
