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
    uint row = QM_ROW;
    if (row < rows) {
        uint base = row * vocabulary;
        float maximum = -3.0e38f;
        for (uint v = QM_LANE_INDEX; v < vocabulary; v += QM_UINT(QM_LANES))
            maximum = QM_MAX(maximum, logits[base + v]);
        QM_REDUCE_MAX(maximum)
        if (QM_LANE_INDEX == 0u) {
            uint best = vocabulary - 1u;
            for (uint v = vocabulary; v > 0u; --v)
                best = logits[base + v - 1u] == maximum ? v - 1u : best;
            result[row] = best;
        }
    }
#endif
