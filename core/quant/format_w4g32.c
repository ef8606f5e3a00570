// w4g32: int4, symmetric, one binary16 scale per 32 values along the input.
//
// -8 is not used, so that the range is symmetric and every value of a group is within half a step of a code.
#include "base/numeric.h"
#include "quant/format_codecs.h"

#define LARGEST 7
#define GROUP 32u
#define SCALE_MAX 65504.0f
#define SCALE_MIN_BITS 0x0400u // 2^-14, the smallest normal binary16

static enum qm_status find_scale(const float *values, uint32_t first, uint16_t *scale)
{
    float amax = qm_absolute_max(values, GROUP);
    *scale = 0;
    if (!(amax > 0))
        return QM_OK;
    float wanted = qm_float_round_up((double)amax / LARGEST);
    if (wanted > SCALE_MAX)
        return QM_FAIL(QM_INVALID,
                       "columns %u to %u reach %g; a float16 scale holds at most 458528, use scheme w8a16 or f32",
                       first, first + GROUP - 1, (double)amax);
    *scale = qm_half_round_up(wanted);
    if (*scale < SCALE_MIN_BITS)
        *scale = SCALE_MIN_BITS;
    return QM_OK;
}

static enum qm_status encode(const float *values, uint32_t columns, void *codes, void *scales)
{
    uint8_t *out = codes;
    uint16_t *out_scales = scales;
    for (uint32_t first = 0; first < columns; first += GROUP) {
        uint16_t bits;
        QM_TRY(find_scale(values + first, first, &bits));
        out_scales[first / GROUP] = bits;
        double scale = (double)qm_float_from_half(bits);
        for (uint32_t i = first; i < first + GROUP; i += 2) {
            int low = scale > 0 ? (int)qm_round_even((double)values[i] / scale) : 0;
            int high = scale > 0 ? (int)qm_round_even((double)values[i + 1] / scale) : 0;
            out[i / 2] = (uint8_t)((low & 15) | (high & 15) << 4);
        }
    }
    return QM_OK;
}

static int code_at(const void *codes, uint32_t i)
{
    int nibble = ((const uint8_t *)codes)[i / 2] >> (i % 2 * 4) & 15;
    return nibble < 8 ? nibble : nibble - 16;
}

static void decode(const void *codes, const void *scales, uint32_t columns, float *values)
{
    const uint16_t *in = scales;
    for (uint32_t i = 0; i < columns; i++)
        values[i] = (float)code_at(codes, i) * qm_float_from_half(in[i / GROUP]);
}

static double exact(const void *codes, const void *scales, uint32_t i, double *step)
{
    *step = (double)qm_float_from_half(((const uint16_t *)scales)[i / GROUP]);
    return *step * code_at(codes, i);
}

static bool is_valid(const void *codes, const void *scales, uint32_t columns)
{
    const uint16_t *halves = scales;
    bool ok = qm_halves_are_finite(halves, columns / GROUP);
    for (uint32_t group = 0; ok && group < columns / GROUP; group++)
        ok = (halves[group] & 0x8000u) == 0;
    for (uint32_t i = 0; ok && i < columns; i++)
        ok = code_at(codes, i) >= -LARGEST;
    return ok;
}

const struct qm_weight_codec qm_codec_w4g32 = {
    .format = QM_WEIGHT_W4G32,
    .code_dtype = QM_DTYPE_U8,
    .code_bits = 4,
    .has_scales = true,
    .scale_dtype = QM_DTYPE_F16,
    .group = GROUP,
    .column_multiple = GROUP,
    .encode = encode,
    .decode = decode,
    .exact = exact,
    .is_valid = is_valid,
};
