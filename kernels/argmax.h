// argmax: y[row] = the lowest v at which logits[row][v] is greatest. Exact.
#include "rows.h"
#ifndef QM_BODY
#define QM_BUFFERS                                                                                                     \
    QM_IN(0, float, logits)                                                                                            \
    QM_OUT(1, uint, result)
#define QM_PARAMETERS                                                                                                  \
    QM_U32(rows)                                                                                                       \
    QM_U32(vocabulary)
#else
#define QM_RAISE_MAXIMUM(at) maximum = QM_MAX(maximum, logits[base + at]);
#define QM_TAKE_FROM_END(at) best = logits[base + last - (at)] == maximum ? last - (at) : best;
    uint row = QM_ROW;
    if (row < rows) {
        uint base = row * vocabulary;
        float maximum = -3.0e38f;
#if defined(QM_BY_VECTORS)
        // Each lane keeps the lowest number of those that are the maximum; the numbers of others become the largest there is.
#define QM_LOWER_NUMBERS(at, i)                                                                                        \
    lowest[i] = QM_MIN(lowest[i], (QM_LANE_NUMBERS + (at)) | ~QM_UV_FROM_IV(QM_LOAD_FV(logits, base + (at)) == maximum));
#define QM_LOWER_NUMBER(at) best = logits[base + at] == maximum ? QM_MIN(best, at) : best;
        QM_MAXIMUM_BY_VECTORS(vocabulary)
        qm_uv lowest[4] = {QM_UV(~0u), QM_UV(~0u), QM_UV(~0u), QM_UV(~0u)};
        uint best = vocabulary - 1u;
        QM_ALL_VECTORS(vocabulary, QM_LOWER_NUMBERS, QM_LOWER_NUMBER)
        result[row] = QM_MIN(best, QM_LANES_MIN_U(QM_MIN(QM_MIN(lowest[0], lowest[1]), QM_MIN(lowest[2], lowest[3]))));
#else
        QM_LANE_ELEMENTS(vocabulary, QM_RAISE_MAXIMUM)
        QM_REDUCE_MAX(maximum)
        if (QM_LANE_INDEX == 0u) {
            uint best = vocabulary - 1u, last = vocabulary - 1u;
            QM_ALL_ELEMENTS(vocabulary, QM_TAKE_FROM_END)
            result[row] = best;
        }
#endif
    }
#endif
