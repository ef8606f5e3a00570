// activations: turns float rows into what the products read, packed along k.
//
// F16: binary16, nearest even, two to a word. BF16 likewise.
// A8: code = clamp(round_even(x * (1 / scale)), -127, 127), four to a word. F8: E4M3FN of x * (1 / scale), to nearest even,
//   saturating, four to a word. A4: -7..7, eight to a word. Dynamic (is_static = 0): scale = amax * (1 / largest, rounded up
//   by 2^-22), largest being 127, 448 or 7; amax < 2^-100 gives scale 0 and codes 0. Static: scales are static_scales.
//   amax is over the row, and there is one scale a row; with QM_ACTIVATION_GROUPS over 32 * 2^shift values, and there is
//   one per row and group (static: one per group, the same for every row).
// Codes, packing and scales are the same bits on every device for the same input. Integers: |x - scale * code| <= scale *
// (0.5 + 2^-14) where no clamping happened (dynamic: nowhere). F8: 2^-4 |x| + 2^-10 scale. `width` is a multiple of 32.
//
// norm_activations.h and swiglu_activations.h are this kernel too, with values that are computed where these are loaded:
// they say what QM_ROW_BEGIN does once a row, and what QM_VALUE(c) and QM_STATIC_SCALE(group) of the row are. A lane reads no
// other values than those that it converts, QM_UNIT side by side.
#include "quantize.h"
#include "rows.h"
#ifndef QM_BODY
// QM_BY_VECTORS: f16, bf16 and a8 as vectors of QM_VW values. (For the host: which bindings may be read as texels.)
#if defined(QM_BY_VECTORS) && !defined(QM_ACTIVATION_F8) && !defined(QM_ACTIVATION_A4)
#define QM_CODES_BY_VECTORS
#endif
#if defined(QM_BY_VECTORS) || defined(QM_HOST)
#define QM_BUFFERS                                                                                                     \
    QM_IN4(0, x)                                                                                                       \
    QM_OUT4(1, codes)                                                                                                  \
    QM_OUT(2, float, scales)                                                                                           \
    QM_IN(3, float, static_scales)
#else
#define QM_BUFFERS                                                                                                     \
    QM_IN(0, float, x)                                                                                                 \
    QM_OUT(1, uint, codes)                                                                                             \
    QM_OUT(2, float, scales)                                                                                           \
    QM_IN(3, float, static_scales)
#endif
#define QM_PARAMETERS                                                                                                  \
    QM_U32(rows)                                                                                                       \
    QM_U32(width)                                                                                                      \
    QM_U32(is_static)                                                                                                  \
    QM_U32(shift)

#if defined(QM_ACTIVATION_F8)
#define QM_INVERSE_LARGEST QM_INVERSE_448
#define QM_ONE_CODE(value) qm_e4m3_code(value, inverse)
#define QM_CODE_BITS 8u
#elif defined(QM_ACTIVATION_A4)
#define QM_INVERSE_LARGEST QM_INVERSE_7
#define QM_ONE_CODE(value) (qm_integer_code(value, inverse, 7.0f) & 0xfu)
#define QM_CODE_BITS 4u
#else
#define QM_INVERSE_LARGEST QM_INVERSE_127
#define QM_ONE_CODE(value) (qm_integer_code(value, inverse, 127.0f) & 0xffu)
#define QM_CODE_BITS 8u
#endif
#define QM_PER_WORD (32u / QM_CODE_BITS)
#if defined(QM_ACTIVATION_F16) || defined(QM_ACTIVATION_BF16)
#define QM_UNIT 2u
#elif defined(QM_ACTIVATION_GROUPS)
#define QM_UNIT (32u << shift)
#else
#define QM_UNIT QM_PER_WORD
#endif

#if !defined(QM_HOST)
QM_FUNCTION uint qm_bf16_bits(float value)
{
    uint bits = QM_FLOAT_BITS(value);
    return (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
}
#if defined(QM_BY_VECTORS)
QM_FUNCTION qm_uv qm_bf16_bits_v(qm_fv value)
{
    qm_uv bits = QM_UV_BITS(value);
    return (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
}
QM_FUNCTION qm_uv qm_half_bits_v(qm_fv x)
{
    QM_TO_HALF(qm_fv, qm_uv, QM_UV_BITS, QM_FV_BITS)
}
QM_FUNCTION qm_uv qm_byte_codes(qm_fv x, float inverse)
{
    return qm_integer_codes(x, inverse, 127.0f) & 0xffu;
}
#endif
#endif
#elif defined(QM_CODES_BY_VECTORS)
#include "activations_vectors.h"
#else
#ifndef QM_VALUE
#define QM_ROW_BEGIN uint base = row * width;
#define QM_VALUE(c) x[base + (c)]
#define QM_STATIC_SCALE(group) static_scales[group]
#endif
    uint row = QM_ROW;
    if (row < rows) {
        QM_ROW_BEGIN
#if defined(QM_ACTIVATION_F16) || defined(QM_ACTIVATION_BF16)
#if defined(QM_ACTIVATION_F16)
#define QM_16_BITS(value) qm_half_bits(value)
#else
#define QM_16_BITS(value) qm_bf16_bits(value)
#endif
        for (uint i = QM_LANE_FIRST(width / 2u); i < QM_LANE_END(width / 2u); i += QM_LANE_STRIDE)
            codes[row * (width / 2u) + i] = QM_16_BITS(QM_VALUE(2u * i)) | (QM_16_BITS(QM_VALUE(2u * i + 1u)) << 16);
        if (QM_LANE_INDEX == 0u)
            scales[row] = 1.0f;
#else
#if defined(QM_ACTIVATION_GROUPS)
        // A group is one lane's.
        uint groups = width / QM_UNIT;
        for (uint group = QM_LANE_FIRST(groups); group < QM_LANE_END(groups); group += QM_LANE_STRIDE) {
            uint first_word = group * (QM_UNIT / QM_PER_WORD), end_word = first_word + QM_UNIT / QM_PER_WORD, word_stride = 1u;
            uint amax = 0u; // magnitudes are in the order of their bits, and the largest integer needs no order of floats
            for (uint c = group * QM_UNIT; c < (group + 1u) * QM_UNIT; ++c)
                amax = QM_MAX(amax, QM_FLOAT_BITS(QM_VALUE(c)) & 0x7fffffffu);
            float scale = qm_scale_of(QM_BITS_FLOAT(amax), QM_INVERSE_LARGEST);
            if (is_static != 0u)
                scale = QM_STATIC_SCALE(group);
            scales[row * groups + group] = scale;
#else
        {
            uint words = width / QM_PER_WORD, first_word = QM_LANE_FIRST(words), end_word = QM_LANE_END(words),
                 word_stride = QM_LANE_STRIDE;
            float scale;
            if (is_static == 0u) {
                uint bits = 0u; // magnitudes are in the order of their bits
#define QM_RAISE(c) bits = QM_MAX(bits, QM_FLOAT_BITS(QM_VALUE(c)) & 0x7fffffffu);
                QM_LANE_VALUES(width, QM_UNIT, QM_RAISE)
                float amax = QM_BITS_FLOAT(bits);
                QM_REDUCE_MAX(amax)
                scale = qm_scale_of(amax, QM_INVERSE_LARGEST);
            } else {
                scale = QM_STATIC_SCALE(0u); // nothing need be there otherwise
            }
            if (QM_LANE_INDEX == 0u)
                scales[row] = scale;
#endif
            float inverse = qm_inverse_scale(scale);
            for (uint i = first_word; i < end_word; i += word_stride) {
                uint word = 0u;
                for (uint j = 0u; j < QM_PER_WORD; ++j)
                    word |= QM_ONE_CODE(QM_VALUE(QM_PER_WORD * i + j)) << (QM_CODE_BITS * j);
                codes[row * (width / QM_PER_WORD) + i] = word;
            }
        }
#endif
    }
#endif
