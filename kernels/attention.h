// attention: causal, grouped-query, over the quantized cache.
//
// For query head h of a row at position p, with kv head g = h / (heads / kv_heads):
//   s_j = score_scale * sum over d of q[d] k_j[d],  j = max(0, p + 1 - window)..p (window 0: from 0)
//   y[d] = sum over j of softmax(s)_j * v_j[d]
// k_j and v_j are what the cache holds of token j: scale * code (kv8, kv4), k_scale * and v_scale * the number (e4m3,
// e5m2), minimum + scale * code (kivi4, kivi2; of keys scale and minimum are the channel's in the block of 32 tokens).
// With QM_KV_EXACT a query at p reads token j in binary16 instead if j < exact_first, or j > p - exact_last, or (kivi)
// j / 32 == p / 32. That depends on (p, j) alone, so that prefill and decode are the same function. It needs exact_first <=
// exact_length, and exact_length == context where exact_last > 0 or for kivi.
// Where score_cap is not 0, s_j becomes score_cap tanh(s_j / score_cap) (capped.h; cap_inverse is 1 / score_cap), and its error
// 2^-20 score_cap more. Heads of QM_HEAD values; q is [rows][heads][QM_HEAD], y likewise with result_stride floats between rows. Softmax online (running maximum), in float32, qm_exp. QM_SPLIT invocations
// share the positions of one (row, head), and are merged in their order. QM_QUERIES: attention_lanes.h, but for QM_KV_EXACT.
// Bound: |error| <= (positions + 256) 2^-23 * max |v| + what the scores' error QM_HEAD / 64 * 2^-20 * max |s| does to the weights; of
// minimum + scale * code, |minimum| + |scale * code| stands for the magnitude.
#include "capped.h"
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
    QM_F32(score_scale)                                                                                                \
    QM_F32(k_scale)                                                                                                    \
    QM_F32(v_scale)                                                                                                    \
    QM_U32(k_exact_base)                                                                                               \
    QM_U32(v_exact_base)                                                                                               \
    QM_U32(exact_length)                                                                                               \
    QM_U32(exact_first)                                                                                                \
    QM_U32(exact_last)                                                                                                 \
    QM_U32(window)                                                                                                     \
    QM_U32(result_stride)                                                                                              \
    QM_F32(score_cap)                                                                                                  \
    QM_F32(cap_inverse)
#if QM_SPLIT > 1
#define QM_LOCALS QM_LOCAL_U32(partials, QM_SPLIT * 66) // of 64 values at a time
#else
#define QM_LOCALS
#endif

#define QM_QUADS (QM_HEAD / 4)
#if !defined(QM_HOST)
// Four values from the i-th part of four words.
#define QM_KV_BYTE(word, shift) QM_FLOAT(QM_INT((word) << (shift)) >> 24)
#define QM_KV_NIBBLE(word, shift) QM_FLOAT(QM_INT((word) << (shift)) >> 28)
#if defined(QM_KV_F16) || defined(QM_KV_EXACT)
QM_FUNCTION qm_f4 qm_kv_halves(qm_f4 even, qm_f4 odd, int first)
{
    return QM_F4(QM_LANE(even, first), QM_LANE(odd, first), QM_LANE(even, first + 1), QM_LANE(odd, first + 1));
}
#define QM_KV_HALVES(words, i) qm_kv_halves(qm_half_low4(words), qm_half_high4(words), 2 * (i))
#endif
#if defined(QM_KV_F32)
QM_FUNCTION qm_f4 qm_kv_floats(qm_u4 words)
{
    return QM_F4(QM_BITS_FLOAT(QM_LANE(words, 0)), QM_BITS_FLOAT(QM_LANE(words, 1)), QM_BITS_FLOAT(QM_LANE(words, 2)),
                 QM_BITS_FLOAT(QM_LANE(words, 3)));
}
#define QM_KV_PER_LOAD 1 // groups of four values in four words
#define QM_KV_VALUES(words, i) qm_kv_floats(words)
#elif defined(QM_KV_F16)
#define QM_KV_PER_LOAD 2
#define QM_KV_VALUES(words, i) QM_KV_HALVES(words, i)
#elif defined(QM_KV_KV8)
QM_FUNCTION qm_f4 qm_kv_bytes(uint word)
{
    return QM_F4(QM_KV_BYTE(word, 24), QM_KV_BYTE(word, 16), QM_KV_BYTE(word, 8), QM_KV_BYTE(word, 0));
}
#define QM_KV_PER_LOAD 4
#define QM_KV_VALUES(words, i) qm_kv_bytes(QM_LANE(words, i))
#elif defined(QM_KV_FLOAT8)
// Four vectors of the words' bytes, lowest first; the i-th lanes are the i-th word's values.
QM_FUNCTION qm_f4 qm_kv_lanes(qm_f4 a, qm_f4 b, qm_f4 c, qm_f4 d, int i)
{
    return QM_F4(QM_LANE(a, i), QM_LANE(b, i), QM_LANE(c, i), QM_LANE(d, i));
}
#define QM_KV_PER_LOAD 4
#if defined(QM_KV_E4M3)
#define QM_KV_BYTES(top) QM_E4M3_OF(qm_small_4, top)
#define QM_KV_VALUES(words, i)                                                                                         \
    qm_kv_lanes(QM_KV_BYTES((words) << 24), QM_KV_BYTES((words) << 16), QM_KV_BYTES((words) << 8), QM_KV_BYTES(words), i)
#else // the upper half of a binary16
#define QM_KV_VALUES(words, i)                                                                                         \
    qm_kv_lanes(qm_half_low4(((words) << 8) & 0xff00ff00u), qm_half_low4((words) & 0xff00ff00u),                       \
                qm_half_high4(((words) << 8) & 0xff00ff00u), qm_half_high4((words) & 0xff00ff00u), i)
#endif
#elif defined(QM_KV_AFFINE)
#define QM_KV_FIELD(word, at, mask) QM_FLOAT(QM_INT(((word) >> (at)) & (mask)))
QM_FUNCTION qm_f4 qm_kv_fields(uint word)
{
#if defined(QM_KV_KIVI4)
    return QM_F4(QM_KV_FIELD(word, 0, 15u), QM_KV_FIELD(word, 4, 15u), QM_KV_FIELD(word, 8, 15u),
                 QM_KV_FIELD(word, 12, 15u));
#else
    return QM_F4(QM_KV_FIELD(word, 0, 3u), QM_KV_FIELD(word, 2, 3u), QM_KV_FIELD(word, 4, 3u), QM_KV_FIELD(word, 6, 3u));
#endif
}
#if defined(QM_KV_KIVI4)
#define QM_KV_PER_LOAD 8
#define QM_KV_VALUES(words, i) qm_kv_fields(QM_LANE(words, (i) / 2) >> (16 * ((i) & 1)))
#else
#define QM_KV_PER_LOAD 16
#define QM_KV_VALUES(words, i) qm_kv_fields(QM_LANE(words, (i) / 4) >> (8 * ((i) & 3)))
#endif
#else
QM_FUNCTION qm_f4 qm_kv_nibbles(uint word)
{
    return QM_F4(QM_KV_NIBBLE(word, 28), QM_KV_NIBBLE(word, 24), QM_KV_NIBBLE(word, 20), QM_KV_NIBBLE(word, 16));
}
#define QM_KV_PER_LOAD 8
#define QM_KV_VALUES(words, i) qm_kv_nibbles(QM_LANE(words, (i) / 2) >> (16 * ((i) & 1)))
#endif
#endif
#elif defined(QM_TOKENS_EACH) && !defined(QM_KV_EXACT)
#include "attention_tokens.h"
#elif defined(QM_QUERIES) && !defined(QM_KV_EXACT)
#include "attention_lanes.h"
#else
    // QM_SPLIT == 1: an invocation is a (row, head); else a workgroup is.
#if QM_SPLIT > 1
    uint item = QM_GROUP_X;
    uint slice = QM_LOCAL_X;
#else
    uint item = QM_GROUP_X * QM_UINT(QM_WORKGROUP_X) + QM_LOCAL_X;
    uint slice = 0u;
#endif
#if defined(QM_QUERIES) // as many groups as the other body takes
    for (; item < rows * heads; item += QM_GROUPS_X * QM_UINT(QM_WORKGROUP_X)) {
#else
    if (item < rows * heads) {
#endif
        uint row = item / heads, head = item % heads;
        uint sequence = QM_ROW_SEQUENCE(row);
        uint position = QM_ROW_POSITION(row);
        uint first_slot = (sequence * kv_heads + head / (heads / kv_heads)) * context;
        qm_f4 query[QM_QUADS];
        qm_f4 sum[QM_QUADS];
        QM_UNROLL_HEAD for (int i = 0; i < QM_QUADS; ++i) {
            uint from = item * QM_HEAD_VALUES + 4u * QM_UINT(i);
            query[i] = QM_F4(q[from], q[from + 1u], q[from + 2u], q[from + 3u]) * score_scale;
            sum[i] = QM_F4(0.0f, 0.0f, 0.0f, 0.0f);
        }
        float maximum = -3.0e38f, weight_sum = 0.0f;
        // From begin to end the tokens are quantized, before and behind them exact.
        uint end = position + 1u, oldest = position - QM_MIN(window - 1u, position), begin = oldest;
#if defined(QM_KV_EXACT)
        end = QM_MAX(end - QM_MIN(exact_last, end), oldest);
#if defined(QM_KV_AFFINE)
        end = QM_MIN(end, QM_MAX(position / QM_KV_BLOCK * QM_KV_BLOCK, oldest));
#endif
        begin = QM_MIN(QM_MAX(exact_first, oldest), end);
#endif
#if defined(QM_KV_AFFINE)
        uint blocks = (context + QM_KV_BLOCK - 1u) / QM_KV_BLOCK;
        uint block_scales = k_scale_base + first_slot / context * blocks * QM_HEAD_VALUES;
        for (uint block = begin / QM_KV_BLOCK; block * QM_KV_BLOCK < end; ++block) {
            // sum of q (minimum + scale code) = sum of q minimum + sum of (q scale) code.
            qm_f4 multiplier[QM_QUADS];
            qm_f4 offsets = QM_F4(0.0f, 0.0f, 0.0f, 0.0f);
            QM_UNROLL_HEAD for (int i = 0; i < QM_QUADS; ++i) {
                qm_u4 pairs = QM_LOAD4(cache, block_scales + block * QM_HEAD_VALUES + 4u * QM_UINT(i));
                multiplier[i] = query[i] * qm_half_low4(pairs);
                offsets += query[i] * qm_half_high4(pairs);
            }
            uint block_end = QM_MIN(block * QM_KV_BLOCK + QM_KV_BLOCK, end);
            for (uint j = QM_MAX(block * QM_KV_BLOCK, begin) + slice; j < block_end; j += QM_UINT(QM_SPLIT)) {
                qm_f4 products = offsets;
#define QM_KV_FACTOR(i) multiplier[i]
#else
        {
            for (uint j = begin + slice; j < end; j += QM_UINT(QM_SPLIT)) {
                qm_f4 products = QM_F4(0.0f, 0.0f, 0.0f, 0.0f);
#define QM_KV_FACTOR(i) query[i]
#endif
                uint slot = first_slot + j;
                uint k_at = k_base + slot * QM_KV_WORDS, v_at = v_base + slot * QM_KV_WORDS;
                QM_UNROLL_HEAD for (int load = 0; load < QM_QUADS / QM_KV_PER_LOAD; ++load) {
                    qm_u4 words = QM_LOAD4(cache, k_at + 4u * QM_UINT(load));
                    QM_UNROLL for (int i = 0; i < QM_KV_PER_LOAD; ++i)
                        products += QM_KV_FACTOR(load * QM_KV_PER_LOAD + i) * QM_KV_VALUES(words, i);
                }
                float score = (QM_LANE(products, 0) + QM_LANE(products, 1)) + (QM_LANE(products, 2) + QM_LANE(products, 3));
#if defined(QM_KV_SCALED)
                score *= QM_BITS_FLOAT(QM_LOAD1(cache, k_scale_base + slot));
#elif defined(QM_KV_FLOAT8)
                score *= k_scale;
#endif
                if (score_cap > 0.0f)
                    score = qm_capped(score, score_cap, cap_inverse);
                float larger = QM_MAX(maximum, score);
                float keep = qm_exp(maximum - larger);
                float weight = qm_exp(score - larger);
                maximum = larger;
                weight_sum = weight_sum * keep + weight;
#if defined(QM_KV_SCALED)
                weight *= QM_BITS_FLOAT(QM_LOAD1(cache, v_scale_base + slot));
#elif defined(QM_KV_FLOAT8)
                weight *= v_scale;
#elif defined(QM_KV_AFFINE)
                uint pair = QM_LOAD1(cache, v_scale_base + slot);
                float offset = weight * qm_half_value(pair >> 16);
                weight *= qm_half_value(pair & 0xffffu);
#endif
                QM_UNROLL_HEAD for (int load = 0; load < QM_QUADS / QM_KV_PER_LOAD; ++load) {
                    qm_u4 words = QM_LOAD4(cache, v_at + 4u * QM_UINT(load));
                    QM_UNROLL for (int i = 0; i < QM_KV_PER_LOAD; ++i) {
                        int at = load * QM_KV_PER_LOAD + i;
                        sum[at] = sum[at] * keep + QM_KV_VALUES(words, i) * weight;
#if defined(QM_KV_AFFINE)
                        sum[at] += QM_F4(offset, offset, offset, offset);
#endif
                    }
                }
            }
        }
#if defined(QM_KV_EXACT)
        uint first_exact = first_slot / context * exact_length;
        uint before = begin - oldest;
        for (uint i = slice; i < before + (position + 1u - end); i += QM_UINT(QM_SPLIT)) {
            uint at = (first_exact + (i < before ? oldest + i : i - before + end)) * QM_HEAD_HALF;
            qm_f4 products = QM_F4(0.0f, 0.0f, 0.0f, 0.0f);
            QM_UNROLL_HEAD for (int load = 0; load < QM_QUADS / 2; ++load) {
                qm_u4 words = QM_LOAD4(cache, k_exact_base + at + 4u * QM_UINT(load));
                products += query[2 * load] * QM_KV_HALVES(words, 0) + query[2 * load + 1] * QM_KV_HALVES(words, 1);
            }
            float score = (QM_LANE(products, 0) + QM_LANE(products, 1)) + (QM_LANE(products, 2) + QM_LANE(products, 3));
            if (score_cap > 0.0f)
                score = qm_capped(score, score_cap, cap_inverse);
            float larger = QM_MAX(maximum, score);
            float keep = qm_exp(maximum - larger);
            float weight = qm_exp(score - larger);
            maximum = larger;
            weight_sum = weight_sum * keep + weight;
            QM_UNROLL_HEAD for (int load = 0; load < QM_QUADS / 2; ++load) {
                qm_u4 words = QM_LOAD4(cache, v_exact_base + at + 4u * QM_UINT(load));
                sum[2 * load] = sum[2 * load] * keep + QM_KV_HALVES(words, 0) * weight;
                sum[2 * load + 1] = sum[2 * load + 1] * keep + QM_KV_HALVES(words, 1) * weight;
            }
        }
#endif
        uint to = row * result_stride + head * QM_HEAD_VALUES;
#if QM_SPLIT > 1
        uint mine = slice * 66u;
        partials[mine] = QM_FLOAT_BITS(maximum);
        partials[mine + 1u] = QM_FLOAT_BITS(weight_sum);
        QM_UNROLL for (int part = 0; part < QM_HEAD / 64; ++part) {
            QM_UNROLL for (int i = 0; i < 16; ++i) {
                QM_UNROLL for (int lane = 0; lane < 4; ++lane)
                    partials[mine + 2u + QM_UINT(4 * i + lane)] = QM_FLOAT_BITS(QM_LANE(sum[16 * part + i], lane));
            }
            QM_BARRIER;
            float total_maximum = -3.0e38f, total_weight = 0.0f;
            for (uint s = 0u; s < QM_UINT(QM_SPLIT); ++s)
                total_maximum = QM_MAX(total_maximum, QM_BITS_FLOAT(partials[s * 66u]));
            for (uint s = 0u; s < QM_UINT(QM_SPLIT); ++s)
                total_weight +=
                    QM_BITS_FLOAT(partials[s * 66u + 1u]) * qm_exp(QM_BITS_FLOAT(partials[s * 66u]) - total_maximum);
            float inverse = qm_reciprocal(total_weight);
            for (uint d = slice; d < 64u; d += QM_UINT(QM_SPLIT)) {
                float value = 0.0f;
                for (uint s = 0u; s < QM_UINT(QM_SPLIT); ++s)
                    value += QM_BITS_FLOAT(partials[s * 66u + 2u + d]) *
                             qm_exp(QM_BITS_FLOAT(partials[s * 66u]) - total_maximum);
                result[to + QM_UINT(64 * part) + d] = value * inverse;
            }
#if QM_HEAD > 64
            QM_BARRIER;
#endif
        }
#else
        float inverse = qm_reciprocal(weight_sum);
        QM_UNROLL_HEAD for (int i = 0; i < QM_QUADS; ++i) {
            QM_UNROLL for (int lane = 0; lane < 4; ++lane)
                result[to + QM_UINT(4 * i + lane)] = QM_LANE(sum[i], lane) * inverse;
        }
#endif
    }
#endif
