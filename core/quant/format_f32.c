// f32: the values as they are.
#include "quant/format_codecs.h"

#include <string.h>

static enum qm_status encode(const float *values, uint32_t columns, void *codes, void *scales)
{
    (void)scales;
    memcpy(codes, values, (size_t)columns * sizeof(float));
    return QM_OK;
}

static void decode(const void *codes, const void *scales, uint32_t columns, float *values)
{
    (void)scales;
    memcpy(values, codes, (size_t)columns * sizeof(float));
}

static double exact(const void *codes, const void *scales, uint32_t i, double *step)
{
    (void)scales;
    *step = 0;
    return (double)((const float *)codes)[i];
}

static bool is_valid(const void *codes, const void *scales, uint32_t columns)
{
    (void)scales;
    return qm_floats_are_finite(codes, columns);
}

const struct qm_weight_codec qm_codec_f32 = {
    .format = QM_WEIGHT_F32,
    .code_dtype = QM_DTYPE_F32,
    .code_bits = 32,
    .column_multiple = 1,
    .encode = encode,
    .decode = decode,
    .exact = exact,
    .is_valid = is_valid,
};
