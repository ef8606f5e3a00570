// rmsnorm: y[row][c] = gain[c] * x[row][c] / sqrt(mean over c of x[row][c]^2 + epsilon)
//
// Rows of `width` floats; inverse_width is 1 / how many of them count, for rows that are padded with zeros. Sum of squares
// as rms_factor.h has it; the root by qm_inverse_root. Bound: relative error of each output at most (width / 4 + 16) 2^-24.
#include "rms_factor.h"
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
        QM_RMS_FACTOR
#define QM_NORM(c) result[base + (c)] = x[base + (c)] * factor * gain[c];
#if defined(QM_BY_VECTORS)
#define QM_NORMS(c, i) QM_STORE_FV(result, base + (c), QM_LOAD_FV(x, base + (c)) * factor * QM_LOAD_FV(gain, c));
        QM_ALL_VECTORS(width, QM_NORMS, QM_NORM)
#else
        for (uint c = QM_LANE_INDEX; c < width; c += QM_UINT(QM_LANES)) {
            QM_NORM(c)
        }
#endif
    }
#endif
