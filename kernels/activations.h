// activations: turns float rows into what the products read, packed along k.
//
// F16: binary16, nearest even, two to a word; scales[row] = 1.
// A8, dynamic: scale = amax(row) * (1/127, rounded up by 2^-22), code = clamp(round_even(x * (1 / scale)), -127, 127),
//   four to a word; rows with amax < 2^-100 have scale 0 and codes 0. A8, static (is_static = 1): scale is static_scale.
// Codes, packing and scales are the same bits on every device for the same input. |x - scale * code| <=
// scale * (0.5 + 2^-14) where no clamping happened (dynamic: nowhere). `width` is a multiple of 8.
#include "rows.h"
#ifndef QM_BODY
#define QM_BUFFERS                                                                                                     \
    QM_IN(0, float, x)                                                                                                 \
    QM_OUT(1, uint, codes)                                                                                             \
    QM_OUT(2, float, scales)
#define QM_PARAMETERS                                                                                                  \
    QM_U32(rows)                                                                                                       \
    QM_U32(width)                                                                                                      \
    QM_U32(is_static)                                                                                                  \
    QM_F32(static_scale)

#if !defined(QM_HOST)
QM_FUNCTION float qm_scale_127(float amax)
{
    QM_PRECISE_SCOPE
    QM_PRECISE float scale = amax * QM_BITS_FLOAT(0x3c010206u); // 1/127 is between 0x3c010204 and 0x3c010205
    return scale;
}
QM_FUNCTION uint qm_code_127(float x, float inverse)
{
    QM_PRECISE_SCOPE
    QM_PRECISE float scaled = x * inverse;
    scaled = QM_MIN(QM_MAX(scaled, -127.0f), 127.0f);
    return QM_UINT(qm_round(scaled)) & 0xffu;
}
#endif
#else
    uint row = QM_ROW;
    if (row < rows) {
        uint base = row * width;
#if defined(QM_ACTIVATION_F16)
        for (uint i = QM_LANE_INDEX; i < width / 2u; i += QM_UINT(QM_LANES))
            codes[row * (width / 2u) + i] = qm_half_bits(x[base + 2u * i]) | (qm_half_bits(x[base + 2u * i + 1u]) << 16);
        if (QM_LANE_INDEX == 0u)
            scales[row] = 1.0f;
#else
        float scale = static_scale;
        if (is_static == 0u) {
            float amax = 0.0f;
            for (uint c = QM_LANE_INDEX; c < width; c += QM_UINT(QM_LANES))
                amax = QM_MAX(amax, QM_ABS(x[base + c]));
            QM_REDUCE_MAX(amax)
            scale = amax < 7.888609052210118e-31f ? 0.0f : qm_scale_127(amax);
        }
        float inverse = scale == 0.0f ? 0.0f : qm_reciprocal(scale);
        for (uint i = QM_LANE_INDEX; i < width / 4u; i += QM_UINT(QM_LANES)) {
            uint c = base + 4u * i;
            codes[row * (width / 4u) + i] = qm_code_127(x[c], inverse) | (qm_code_127(x[c + 1u], inverse) << 8) |
                                            (qm_code_127(x[c + 2u], inverse) << 16) |
                                            (qm_code_127(x[c + 3u], inverse) << 24);
        }
        if (QM_LANE_INDEX == 0u)
            scales[row] = scale;
#endif
    }
#endif
