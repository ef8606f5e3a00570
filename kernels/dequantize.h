// dequantize: y[n][k] = multiplier * (w_scale[n][k's block] * code[n][k] + w_offset[n][k's block]), row-major float32, from
// the panels that weights.h describes.
//
// None to three roundings, by the format: none for f32, f16 and bf16, one for integers with one scale; the multiplier, where
// it is no power of two, and the offset add one each. One invocation per 8 k of QM_VW columns.
#include "weights.h"
#ifndef QM_BODY
#define QM_BUFFERS                                                                                                     \
    QM_IN4(0, weights)                                                                                                 \
    QM_OUT4(1, result)
#define QM_PARAMETERS                                                                                                  \
    QM_U32(k)                                                                                                          \
    QM_U32(n)                                                                                                          \
    QM_U32(scale_offset)                                                                                               \
    QM_U32(weight_shift)                                                                                               \
    QM_F32(multiplier)
#define QM_LOCALS
#else
    uint unit = QM_GROUP_X * QM_UINT(QM_WORKGROUP_X) + QM_LOCAL_X;
    uint column = QM_GROUP_Y * QM_UINT(QM_VW);
    uint steps = k / 32u;
    if (unit < k / 8u && column < n) {
        const int v = 0;
        uint panel = column / QM_PANEL;
        uint step = unit / 4u;
        uint base = (panel * steps + step) * (QM_CODE_WORDS * QM_PANEL) + column % QM_PANEL;
        QM_DECODE_EIGHT(base, QM_INT(unit % 4u))
#if defined(QM_WEIGHT_GROUPS)
        QM_SCALES(steps, step, (unit % 4u) / (QM_UINT(QM_BLOCK_K) / 8u))
#elif defined(QM_WEIGHT_CHANNEL_SCALE)
        qm_fv scale = QM_FV_BITS(QM_LOAD_UV(weights, scale_offset + column));
#else
        qm_fv scale = QM_FV(1.0f);
#endif
        qm_fv factor = QM_FV(multiplier);
        // The factor comes first: twice a weight may be beyond the largest float.
#if defined(QM_WEIGHT_OFFSET)
#define QM_VALUE_OF(w) ((w) * QM_FV(QM_WEIGHT_FACTOR) * scale + offset) * factor
#else
#define QM_VALUE_OF(w) (w) * QM_FV(QM_WEIGHT_FACTOR) * scale * factor
#endif
        qm_fv x0 = QM_VALUE_OF(w0), x1 = QM_VALUE_OF(w1), x2 = QM_VALUE_OF(w2), x3 = QM_VALUE_OF(w3), x4 = QM_VALUE_OF(w4),
              x5 = QM_VALUE_OF(w5), x6 = QM_VALUE_OF(w6), x7 = QM_VALUE_OF(w7);
#if defined(QM_STORE_TRANSPOSED)
        if (column + QM_UINT(QM_VW) <= n)
            QM_STORE_TRANSPOSED(result, column * k + unit * 8u, k, x0, x1, x2, x3, x4, x5, x6, x7)
        else
#endif
        QM_UNROLL for (int lane = 0; lane < QM_VW; ++lane) {
            if (column + QM_UINT(lane) < n) {
                uint to = (column + QM_UINT(lane)) * k + unit * 8u;
                QM_STORE4(result, to, QM_U4_FROM_F4(QM_F4(QM_LANE(x0, lane), QM_LANE(x1, lane), QM_LANE(x2, lane), QM_LANE(x3, lane))));
                QM_STORE4(result, to + 4u, QM_U4_FROM_F4(QM_F4(QM_LANE(x4, lane), QM_LANE(x5, lane), QM_LANE(x6, lane), QM_LANE(x7, lane))));
            }
        }
    }
#endif
