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
        QM_LANE_ELEMENTS(vocabulary, QM_RAISE_MAXIMUM)
        QM_REDUCE_MAX(maximum)
        if (QM_LANE_INDEX == 0u) {
            uint best = vocabulary - 1u, last = vocabulary - 1u;
            QM_ALL_ELEMENTS(vocabulary, QM_TAKE_FROM_END)
            result[row] = best;
        }
    }
#endif
