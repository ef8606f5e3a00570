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
        QM_ALL_ELEMENTS(vocabulary, QM_ADD_LOGIT)
        result[step_slot * rows + row] = sum;
    }
#endif
