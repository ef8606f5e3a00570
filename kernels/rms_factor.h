// What rmsnorm.h and norm_activations.h multiply a row with: declares `factor`, 1 / sqrt(mean of the squares + epsilon) of
// the row of x that begins at `base`. Sum of squares in float32, in four interleaved sums per lane (of a vector, too), never
// contracted: both kernels have the same bits.
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
#if defined(QM_BY_VECTORS)
#define QM_ADD_SQUARES(at, i)                                                                                          \
    {                                                                                                                  \
        qm_fv values = QM_LOAD_FV(x, base + (at));                                                                     \
        squares[i] = qm_sum_of_v(squares[i], values * values);                                                         \
    }
#define QM_ADD_SQUARE(at) rest = qm_sum_of(rest, x[base + (at)] * x[base + (at)]);
#define QM_SQUARES(sum)                                                                                                \
    {                                                                                                                  \
        qm_fv squares[4] = {QM_FV(0.0f), QM_FV(0.0f), QM_FV(0.0f), QM_FV(0.0f)};                                       \
        float rest = 0.0f;                                                                                             \
        QM_ALL_VECTORS(width, QM_ADD_SQUARES, QM_ADD_SQUARE)                                                           \
        sum = QM_LANES_SUM((squares[0] + squares[1]) + (squares[2] + squares[3])) + rest;                              \
    }
#else
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
#endif
