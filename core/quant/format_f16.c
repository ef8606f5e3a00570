// f16: binary16, to nearest even. What lies beyond the largest finite number is refused, not made infinite or clamped.
#include "base/numeric.h"
#include "quant/format_codecs.h"

#define LARGEST 65504.0f

static enum qm_status encode(const float *values, uint32_t columns, void *codes, void *scales)
{
    (void)scales;
    uint16_t *out = codes;
    for (uint32_t i = 0; i < columns; i++) {
        if (values[i] > LARGEST || values[i] < -LARGEST)
            return QM_FAIL(QM_INVALID, "column %u is %g, beyond 65504, the largest of float16; use scheme f32", i,
                           (double)values[i]);
        out[i] = qm_half_from_float(values[i]);
    }
    return QM_OK;
}

static void decode(const void *codes, const void *scales, uint32_t columns, float *values)
{
    (void)scales;
    for (uint32_t i = 0; i < columns; i++)
        values[i] = qm_float_from_half(((const uint16_t *)codes)[i]);
}

// The step is the distance to the next number away from zero; no value lies further than half of it from its code.
static double exact(const void *codes, const void *scales, uint32_t i, double *step)
{
    (void)scales;
    uint16_t code = ((const uint16_t *)codes)[i];
    uint16_t magnitude = code & 0x7fff;
    double here = (double)qm_float_from_half(magnitude);
    if (magnitude >= 0x7bff) // the next one is no number
        *step = here - (double)qm_float_from_half((uint16_t)(magnitude - 1));
    else
        *step = (double)qm_float_from_half((uint16_t)(magnitude + 1)) - here;
    return code & 0x8000 ? -here : here;
}

static bool is_valid(const void *codes, const void *scales, uint32_t columns)
{
    (void)scales;
    return qm_halves_are_finite(codes, columns);
}

const struct qm_weight_codec qm_codec_f16 = {
    .format = QM_WEIGHT_F16,
    .code_dtype = QM_DTYPE_F16,
    .code_bits = 16,
    .column_multiple = 1,
    .encode = encode,
    .decode = decode,
    .exact = exact,
    .is_valid = is_valid,
};
