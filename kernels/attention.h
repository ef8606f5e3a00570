// attention: causal, grouped-query, over the quantized cache.
//
// For query head h of a row at position p, with kv head g = h / (heads / kv_heads):
//   s_j = score_scale * k_scale_j * sum over d of q[d] k_j[d],  j = 0..p
//   y[d] = sum over j of softmax(s)_j * v_scale_j * v_j[d]
// heads of 64; q and y are [rows][heads][64]. Softmax online (running maximum), in float32, qm_exp. QM_SPLIT invocations
// share the positions of one (row, head), j = slice, slice + QM_SPLIT, ..., and are merged in the order of slices.
// Bound: |error| <= (positions + 256) 2^-23 * max |v| + what the scores' error 2^-20 * max |s| does to the weights.
#include "kv_format.h"
#ifndef QM_BODY
#ifndef QM_SPLIT
#define QM_SPLIT 1
#endif
#define QM_BUFFERS                                                                                                     \
    QM_IN(0, float, q)                                                                                                 \
    QM_IN4(1, cache)                                                                                                   \
    QM_OUT(2, float, result)
#define QM_PARAMETERS                                                                                                  \
    QM_U32(rows)                                                                                                       \
    QM_U32(heads)                                                                                                      \
    QM_U32(kv_heads)                                                                                                   \
    QM_U32(tokens_per_sequence)                                                                                        \
    QM_U32(context)                                                                                                    \
    QM_U32(k_base)                                                                                                     \
    QM_U32(k_scale_base)                                                                                               \
    QM_U32(v_base)                                                                                                     \
    QM_U32(v_scale_base)                                                                                               \
    QM_F32(score_scale)
#if QM_SPLIT > 1
#define QM_LOCALS QM_LOCAL_U32(partials, QM_SPLIT * 66)
#else
#define QM_LOCALS
#endif

#if !defined(QM_HOST)
// Four values from the i-th part of four words.
#define QM_KV_BYTE(word, shift) QM_FLOAT(QM_INT((word) << (shift)) >> 24)
#define QM_KV_NIBBLE(word, shift) QM_FLOAT(QM_INT((word) << (shift)) >> 28)
#if defined(QM_KV_F32)
QM_FUNCTION qm_f4 qm_kv_floats(qm_u4 words)
{
    return QM_F4(QM_BITS_FLOAT(QM_LANE(words, 0)), QM_BITS_FLOAT(QM_LANE(words, 1)), QM_BITS_FLOAT(QM_LANE(words, 2)),
                 QM_BITS_FLOAT(QM_LANE(words, 3)));
}
#define QM_KV_PER_LOAD 1 // groups of four values in four words
#define QM_KV_VALUES(words, i) qm_kv_floats(words)
#elif defined(QM_KV_F16)
QM_FUNCTION qm_f4 qm_kv_halves(qm_f4 even, qm_f4 odd, int first)
{
    return QM_F4(QM_LANE(even, first), QM_LANE(odd, first), QM_LANE(even, first + 1), QM_LANE(odd, first + 1));
}
#define QM_KV_PER_LOAD 2
#define QM_KV_VALUES(words, i) qm_kv_halves(qm_half_low4(words), qm_half_high4(words), 2 * (i))
#elif defined(QM_KV_KV8)
QM_FUNCTION qm_f4 qm_kv_bytes(uint word)
{
    return QM_F4(QM_KV_BYTE(word, 24), QM_KV_BYTE(word, 16), QM_KV_BYTE(word, 8), QM_KV_BYTE(word, 0));
}
#define QM_KV_PER_LOAD 4
#define QM_KV_VALUES(words, i) qm_kv_bytes(QM_LANE(words, i))
#else
QM_FUNCTION qm_f4 qm_kv_nibbles(uint word)
{
    return QM_F4(QM_KV_NIBBLE(word, 28), QM_KV_NIBBLE(word, 24), QM_KV_NIBBLE(word, 20), QM_KV_NIBBLE(word, 16));
}
#define QM_KV_PER_LOAD 8
#define QM_KV_VALUES(words, i) qm_kv_nibbles(QM_LANE(words, (i) / 2) >> (16 * ((i) & 1)))
#endif
#endif
#else
    // QM_SPLIT == 1: an invocation is a (row, head); else a workgroup is.
#if QM_SPLIT > 1
    uint item = QM_GROUP_X;
    uint slice = QM_LOCAL_X;
#else
    uint item = QM_GROUP_X * QM_UINT(QM_WORKGROUP_X) + QM_LOCAL_X;
    uint slice = 0u;
#endif
    if (item < rows * heads) {
        uint row = item / heads, head = item % heads;
        uint sequence = step_sequence + row / tokens_per_sequence;
        uint position = step_position + row % tokens_per_sequence;
        uint first_slot = (sequence * kv_heads + head / (heads / kv_heads)) * context;
        qm_f4 query[16];
        qm_f4 sum[16];
        QM_UNROLL for (int i = 0; i < 16; ++i) {
            uint from = item * 64u + 4u * QM_UINT(i);
            query[i] = QM_F4(q[from], q[from + 1u], q[from + 2u], q[from + 3u]) * score_scale;
            sum[i] = QM_F4(0.0f, 0.0f, 0.0f, 0.0f);
        }
        float maximum = -3.0e38f, weight_sum = 0.0f;
        for (uint j = slice; j <= position; j += QM_UINT(QM_SPLIT)) {
            uint slot = first_slot + j;
            uint k_at = k_base + slot * QM_KV_WORDS, v_at = v_base + slot * QM_KV_WORDS;
            qm_f4 products = QM_F4(0.0f, 0.0f, 0.0f, 0.0f);
            QM_UNROLL for (int load = 0; load < 16 / QM_KV_PER_LOAD; ++load) {
                qm_u4 words = QM_LOAD4(cache, k_at + 4u * QM_UINT(load));
                QM_UNROLL for (int i = 0; i < QM_KV_PER_LOAD; ++i)
                    products += query[load * QM_KV_PER_LOAD + i] * QM_KV_VALUES(words, i);
            }
            float score = (QM_LANE(products, 0) + QM_LANE(products, 1)) + (QM_LANE(products, 2) + QM_LANE(products, 3));
#if defined(QM_KV_SCALED)
            score *= QM_BITS_FLOAT(QM_LOAD1(cache, k_scale_base + slot));
#endif
            float larger = QM_MAX(maximum, score);
            float keep = qm_exp(maximum - larger);
            float weight = qm_exp(score - larger);
            maximum = larger;
            weight_sum = weight_sum * keep + weight;
#if defined(QM_KV_SCALED)
            weight *= QM_BITS_FLOAT(QM_LOAD1(cache, v_scale_base + slot));
#endif
            QM_UNROLL for (int load = 0; load < 16 / QM_KV_PER_LOAD; ++load) {
                qm_u4 words = QM_LOAD4(cache, v_at + 4u * QM_UINT(load));
                QM_UNROLL for (int i = 0; i < QM_KV_PER_LOAD; ++i)
                    sum[load * QM_KV_PER_LOAD + i] =
                        sum[load * QM_KV_PER_LOAD + i] * keep + QM_KV_VALUES(words, i) * weight;
            }
        }
#if QM_SPLIT > 1
        uint mine = slice * 66u;
        partials[mine] = QM_FLOAT_BITS(maximum);
        partials[mine + 1u] = QM_FLOAT_BITS(weight_sum);
        QM_UNROLL for (int i = 0; i < 16; ++i) {
            QM_UNROLL for (int lane = 0; lane < 4; ++lane)
                partials[mine + 2u + QM_UINT(4 * i + lane)] = QM_FLOAT_BITS(QM_LANE(sum[i], lane));
        }
        QM_BARRIER;
        float total_maximum = -3.0e38f, total_weight = 0.0f;
        for (uint s = 0u; s < QM_UINT(QM_SPLIT); ++s)
            total_maximum = QM_MAX(total_maximum, QM_BITS_FLOAT(partials[s * 66u]));
        for (uint s = 0u; s < QM_UINT(QM_SPLIT); ++s)
            total_weight += QM_BITS_FLOAT(partials[s * 66u + 1u]) * qm_exp(QM_BITS_FLOAT(partials[s * 66u]) - total_maximum);
        float inverse = qm_reciprocal(total_weight);
        for (uint d = slice; d < 64u; d += QM_UINT(QM_SPLIT)) {
            float value = 0.0f;
            for (uint s = 0u; s < QM_UINT(QM_SPLIT); ++s)
                value += QM_BITS_FLOAT(partials[s * 66u + 2u + d]) * qm_exp(QM_BITS_FLOAT(partials[s * 66u]) - total_maximum);
            result[item * 64u + d] = value * inverse;
        }
#else
        float inverse = qm_reciprocal(weight_sum);
        QM_UNROLL for (int i = 0; i < 16; ++i) {
            QM_UNROLL for (int lane = 0; lane < 4; ++lane)
                result[item * 64u + QM_UINT(4 * i + lane)] = QM_LANE(sum[i], lane) * inverse;
        }
#endif
    }
#endif
