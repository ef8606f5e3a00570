// What rmsnorm.h and norm_activations.h multiply a row with: declares `factor`, 1 / sqrt(mean of the squares + epsilon) of
// the row of x that begins at `base`. Sum of squares in float32, in four interleaved sums per lane, never contracted: both
// kernels have the same bits.
#ifndef QM_RMS_FACTOR_H
#define QM_RMS_FACTOR_H
#define QM_RMS_FACTOR                                                                                                  \
    float factor;                                                                                                      \
    {                                                                                                                  \
        float sum = 0.0f;                                                                                              \
        QM_SQUARES(sum)                                                                                                \
        QM_REDUCE_ADD(sum)                                                                                             \
        factor = qm_inverse_root(qm_sum_of(sum * inverse_width, epsilon));                                             \
    }
#define QM_SQUARES(sum)                                                                                                \
    {                                                                                                                  \
        QM_PRECISE float s0 = 0.0f, s1 = 0.0f, s2 = 0.0f, s3 = 0.0f;                                                   \
        for (uint c = QM_LANE_INDEX * 4u; c + 3u < width; c += QM_UINT(QM_LANES) * 4u) {                               \
            float x0 = x[base + c], x1 = x[base + c + 1u], x2 = x[base + c + 2u], x3 = x[base + c + 3u];               \
            s0 = qm_sum_of(s0, x0 * x0);                                                                               \
            s1 = qm_sum_of(s1, x1 * x1);                                                                               \
            s2 = qm_sum_of(s2, x2 * x2);                                                                               \
            s3 = qm_sum_of(s3, x3 * x3);                                                                               \
        }                                                                                                              \
        if (QM_LANE_INDEX == 0u) {                                                                                     \
            for (uint c = width / 4u * 4u; c < width; ++c)                                                             \
                s0 = qm_sum_of(s0, x[base + c] * x[base + c]);                                                         \
        }                                                                                                              \
        sum = (s0 + s1) + (s2 + s3);                                                                                   \
    }
#endif
