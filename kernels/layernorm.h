// layernorm: y[row][c] = gain[c] * (x[row][c] - mean) / sqrt(variance + epsilon) + bias[c], mean and variance (of all, not of a
// sample) over the values of the row that count.
//
// Rows of `width` floats, in stretches of `stretch` of which the first `counted` count: others are padding, which a gain and a
// bias of 0 keep 0 (several stretches are a widened model's). inverse_count is 1 / the number of those that count. Sums in
// float32, lane by lane; the root by qm_inverse_root. With n = width / 4 + 16, s = sqrt(variance + epsilon) and A = mean of |x|:
// |error| <= 2^-24 (|gain| / s (4 n A + n |x - mean|) + 4 (|y| + |bias|)).
#include "rows.h"
#ifndef QM_BODY
#define QM_BUFFERS                                                                                                     \
    QM_IN(0, float, x)                                                                                                 \
    QM_IN(1, float, gain)                                                                                              \
    QM_IN(2, float, bias)                                                                                              \
    QM_OUT(3, float, result)
#define QM_PARAMETERS                                                                                                  \
    QM_U32(rows)                                                                                                       \
    QM_U32(width)                                                                                                      \
    QM_U32(stretch)                                                                                                    \
    QM_U32(counted)                                                                                                    \
    QM_F32(inverse_count)                                                                                              \
    QM_F32(epsilon)
#else
    uint row = QM_ROW;
    if (row < rows) {
        uint base = row * width;
        // In four sums, as many as rmsnorm has.
        float s0 = 0.0f, s1 = 0.0f, s2 = 0.0f, s3 = 0.0f;
        for (uint from = base; from < base + width; from += stretch) {
            uint c = QM_LANE_INDEX * 4u;
            for (; c + 3u < counted; c += QM_UINT(QM_LANES) * 4u) {
                s0 += x[from + c];
                s1 += x[from + c + 1u];
                s2 += x[from + c + 2u];
                s3 += x[from + c + 3u];
            }
            for (; c < counted; ++c) // less than four are left, of one lane
                s0 += x[from + c];
        }
        float sum = (s0 + s1) + (s2 + s3);
        QM_REDUCE_ADD(sum)
        float mean = sum * inverse_count;
        s0 = s1 = s2 = s3 = 0.0f;
        for (uint from = base; from < base + width; from += stretch) {
            uint c = QM_LANE_INDEX * 4u;
            for (; c + 3u < counted; c += QM_UINT(QM_LANES) * 4u) {
                float d0 = x[from + c] - mean, d1 = x[from + c + 1u] - mean, d2 = x[from + c + 2u] - mean,
                      d3 = x[from + c + 3u] - mean;
                s0 += d0 * d0;
                s1 += d1 * d1;
                s2 += d2 * d2;
                s3 += d3 * d3;
            }
            for (; c < counted; ++c) {
                float d0 = x[from + c] - mean;
                s0 += d0 * d0;
            }
        }
        float squares = (s0 + s1) + (s2 + s3);
        QM_REDUCE_ADD(squares)
        float factor = qm_inverse_root(qm_sum_of(squares * inverse_count, epsilon));
        for (uint c = QM_LANE_INDEX; c < width; c += QM_UINT(QM_LANES))
            result[base + c] = (x[base + c] - mean) * factor * gain[c] + bias[c];
    }
#endif
