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
#define QM_RAISE_MAXIMUM(at) maximum = QM_MAX(maximum, logits[base + at]);
#define QM_ADD_EXPONENTIAL(at) sum += qm_exp(logits[base + at] - maximum);
    uint row = QM_ROW;
    if (row < rows) {
        uint base = row * vocabulary;
        float maximum = -3.0e38f;
#if defined(QM_BY_VECTORS)
#define QM_ADD_EXPONENTIALS(at, i) sums[i] += qm_exp_v(QM_LOAD_FV(logits, base + (at)) - maximum);
        QM_MAXIMUM_BY_VECTORS(vocabulary)
        float sum = 0.0f;
        qm_fv sums[4] = {QM_FV(0.0f), QM_FV(0.0f), QM_FV(0.0f), QM_FV(0.0f)};
        QM_ALL_VECTORS(vocabulary, QM_ADD_EXPONENTIALS, QM_ADD_EXPONENTIAL)
        sum += QM_LANES_SUM((sums[0] + sums[1]) + (sums[2] + sums[3]));
#else
        QM_LANE_ELEMENTS(vocabulary, QM_RAISE_MAXIMUM)
        QM_REDUCE_MAX(maximum)
        float sum = 0.0f;
        QM_LANE_ELEMENTS(vocabulary, QM_ADD_EXPONENTIAL)
        QM_REDUCE_ADD(sum)
#endif
        if (QM_LANE_INDEX == 0u) {
            uint sequence = QM_ROW_SEQUENCE(row);
            uint position = QM_ROW_POSITION(row);
            uint target = tokens[sequence * token_stride + position + 1u];
            result[row] = logits[base + target] - maximum - qm_log(sum);
        }
    }
#endif
