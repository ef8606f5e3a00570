// rmsnorm: y[row][c] = gain[c] * x[row][c] / sqrt(mean over c of x[row][c]^2 + epsilon)
//
// Rows of `width` floats; inverse_width is 1 / how many of them count, for rows that are padded with zeros. Sum of squares in float32, in four interleaved sums per lane; the root by qm_inverse_root.
// Bound: relative error of each output at most (width / 4 + 16) 2^-24.
#include "rows.h"
#ifndef QM_BODY
#define QM_BUFFERS                                                                                                     \
    QM_IN(0, float, x)                                                                                                 \
    QM_IN(1, float, gain)                                                                                              \
    QM_OUT(2, float, result)
#define QM_PARAMETERS                                                                                                  \
    QM_U32(rows)                                                                                                       \
    QM_U32(width)                                                                                                      \
    QM_F32(inverse_width)                                                                                              \
    QM_F32(epsilon)
#else
    uint row = QM_ROW;
    if (row < rows) {
        uint base = row * width;
        float s0 = 0.0f, s1 = 0.0f, s2 = 0.0f, s3 = 0.0f;
        for (uint c = QM_LANE_INDEX * 4u; c + 3u < width; c += QM_UINT(QM_LANES) * 4u) {
            float x0 = x[base + c], x1 = x[base + c + 1u], x2 = x[base + c + 2u], x3 = x[base + c + 3u];
            s0 += x0 * x0;
            s1 += x1 * x1;
            s2 += x2 * x2;
            s3 += x3 * x3;
        }
        if (QM_LANE_INDEX == 0u) {
            for (uint c = width / 4u * 4u; c < width; ++c)
                s0 += x[base + c] * x[base + c];
        }
        float sum = (s0 + s1) + (s2 + s3);
        QM_REDUCE_ADD(sum)
        float factor = qm_inverse_root(sum * inverse_width + epsilon);
        for (uint c = QM_LANE_INDEX; c < width; c += QM_UINT(QM_LANES))
            result[base + c] = x[base + c] * factor * gain[c];
    }
#endif
