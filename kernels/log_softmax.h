// log_softmax: y[row] = logits[row][t] - max - ln sum over v of e^(logits[row][v] - max), t the token that follows.
//
// The target is tokens[sequence * token_stride + position + 1], sequence and position as in embedding.h. Float32; bound
// 2^-20 * (|max| + vocabulary 2^-4 + 16).
#include "rows.h"
#ifndef QM_BODY
#define QM_BUFFERS                                                                                                     \
    QM_IN(0, float, logits)                                                                                            \
    QM_IN(1, uint, tokens)                                                                                             \
    QM_OUT(2, float, result)
#define QM_PARAMETERS                                                                                                  \
    QM_U32(rows)                                                                                                       \
    QM_U32(vocabulary)                                                                                                 \
    QM_U32(tokens_per_sequence)                                                                                        \
    QM_U32(token_stride)
#else
    uint row = QM_ROW;
    if (row < rows) {
        uint base = row * vocabulary;
        float maximum = -3.0e38f;
        for (uint v = QM_LANE_INDEX; v < vocabulary; v += QM_UINT(QM_LANES))
            maximum = QM_MAX(maximum, logits[base + v]);
        QM_REDUCE_MAX(maximum)
        float sum = 0.0f;
        for (uint v = QM_LANE_INDEX; v < vocabulary; v += QM_UINT(QM_LANES))
            sum += qm_exp(logits[base + v] - maximum);
        QM_REDUCE_ADD(sum)
        if (QM_LANE_INDEX == 0u) {
            uint sequence = QM_ROW_SEQUENCE(row);
            uint position = QM_ROW_POSITION(row);
            uint target = tokens[sequence * token_stride + position + 1u];
            result[row] = logits[base + target] - maximum - qm_log(sum);
        }
    }
#endif
