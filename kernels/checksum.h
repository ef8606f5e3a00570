// checksum: y[step_slot * rows + row] = sum over v of (bits(logits[row][v]) xor (v * 2654435769)) * 2246822507, mod 2^32.
//
// An integer sum: independent of the order, exact, and changed by any change of a single logit (the factor is odd). The
// host computes the same from the logits that it scores. One invocation per row.
#include "rows.h"
#ifndef QM_BODY
#define QM_BUFFERS                                                                                                     \
    QM_IN(0, uint, logits)                                                                                             \
    QM_OUT(1, uint, result)
#define QM_PARAMETERS                                                                                                  \
    QM_U32(rows)                                                                                                       \
    QM_U32(vocabulary)
#else
#define QM_ADD_LOGIT(at) sum += (logits[base + at] ^ ((at)*2654435769u)) * 2246822507u;
    uint row = QM_GROUP_X * QM_UINT(QM_WORKGROUP_X) + QM_LOCAL_X;
    if (row < rows) {
        uint base = row * vocabulary, sum = 0u;
#if defined(QM_BY_VECTORS)
        // The factor of all is taken out of the sum.
#define QM_ADD_LOGITS(at, i) sums[i] += QM_LOAD_UV(logits, base + (at)) ^ (numbers + (at)*2654435769u);
        qm_uv sums[4] = {QM_UV(0u), QM_UV(0u), QM_UV(0u), QM_UV(0u)}, numbers = QM_LANE_NUMBERS * 2654435769u;
        QM_ALL_VECTORS(vocabulary, QM_ADD_LOGITS, QM_ADD_LOGIT)
        sum += QM_LANES_SUM_U((sums[0] + sums[1]) + (sums[2] + sums[3])) * 2246822507u;
#else
        QM_ALL_ELEMENTS(vocabulary, QM_ADD_LOGIT)
#endif
        result[step_slot * rows + row] = sum;
    }
#endif
