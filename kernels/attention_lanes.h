// The body of `attention` for drivers that run invocations one after another: the lanes of a vector are QM_VW queries of one
// sequence and kv head, tokens come in blocks of 16.
//
// A query is a (row, head); those of a kv head are numbered row by row. Keys and values of a block are unpacked once for all
// queries, in private memory, vectors side by side: place p holds value QM_KV_PLACE(p). Scores are sums over places one
// after another; a block's largest score joins the running maximum, then its weights are taken, token after token. A lane
// whose query must not see a token has weight 0 there: what is in the cache has to be finite.
#define QM_TOKENS 16
#define QM_FEW 4
#if defined(QM_KV_F32)
#define QM_KV_PLACE(p) (p)
#define QM_KV_STAGE(to, at, from)                                                                                      \
    QM_UNROLL for (int i = 0; i < QM_HEAD; i += QM_VW)                                                                 \
        QM_PRIVATE_STORE(to, (at) + QM_UINT(i), QM_FV_BITS(QM_LOAD_UV(cache, (from) + QM_UINT(i))))
#elif defined(QM_KV_F16)
#define QM_KV_PLACE(p) (p)
#define QM_KV_STAGE(to, at, from)                                                                                      \
    QM_UNROLL for (int i = 0; i < QM_HEAD / 2; i += 8)                                                                 \
        QM_PRIVATE_STORE(to, (at) + QM_UINT(2 * i), QM_LOAD_HALF16(cache, (from) + QM_UINT(i)))
#elif defined(QM_KV_KV4)
#define QM_KV_PLACE(p) (((p) & ~31u) + 8u * ((p) & 3u) + (((p) >> 2) & 7u))
#define QM_KV_STAGE(to, at, from)                                                                                      \
    QM_UNROLL for (int i = 0; i < QM_HEAD / 8; i += 4) {                                                               \
        qm_i4 words = QM_I4_FROM_U4(QM_LOAD4(cache, (from) + QM_UINT(i)));                                             \
        QM_UNROLL for (int j = 0; j < 8; ++j)                                                                          \
            QM_PRIVATE_STORE4(to, (at) + QM_UINT(8 * i + 4 * j), QM_F4_FROM_I4((words << (28 - 4 * j)) >> 28))         \
    }
#else // bytes
#define QM_KV_PLACE(p) (((p) & ~63u) + 4u * ((p) & 15u) + (((p) >> 4) & 3u))
#if defined(QM_KV_KV8)
#define QM_KV_LANES(top) QM_FV_FROM_IV(QM_IV_FROM_UV(top) >> 24)
#elif defined(QM_KV_E4M3)
#define QM_KV_LANES(top) QM_E4M3_OF(qm_small, top)
#else
#define QM_KV_LANES(top) qm_half_high(top & 0xff000000u)
#endif
#define QM_KV_STAGE(to, at, from)                                                                                      \
    QM_UNROLL for (int i = 0; i < QM_HEAD / 4; i += QM_VW) {                                                           \
        qm_uv words = QM_LOAD_UV(cache, (from) + QM_UINT(i));                                                          \
        QM_UNROLL for (int byte = 0; byte < 4; ++byte) {                                                               \
            qm_uv top = words << QM_UINT(24 - 8 * byte);                                                               \
            QM_PRIVATE_STORE(to, (at) + QM_UINT(4 * i + QM_VW * byte), QM_KV_LANES(top))                               \
        }                                                                                                              \
    }
#endif
// 1 where a lane's query sees the token, else 0.
#define QM_SEEN(token) QM_MIN(QM_MAX(QM_MIN(last_seen - (token), (token) - first_seen) + 1.0f, 0.0f), 1.0f)
    uint heads_each = heads / kv_heads;
    uint blocks = (tokens_per_sequence * heads_each + QM_UINT(QM_VW - 1)) / QM_UINT(QM_VW);
    uint first_query = QM_GROUP_X % blocks * QM_UINT(QM_VW), kv_head = QM_GROUP_X / blocks % kv_heads;
    uint first_row = QM_GROUP_X / blocks / kv_heads * tokens_per_sequence;
    uint queries = QM_MIN(tokens_per_sequence, rows - first_row) * heads_each; // of the sequence
    uint lanes = QM_MIN(queries - QM_MIN(first_query, queries), QM_UINT(QM_VW));
    uint first_slot = (QM_ROW_SEQUENCE(first_row) * kv_heads + kv_head) * context;

    if (queries <= QM_UINT(QM_FEW)) {
        if (first_query == 0u) {
#include "attention_few.h"
        }
    } else {
    // Lanes without a query do as the first one, with scores of 0, and store nothing.
    float query[QM_HEAD * QM_VW], sum[QM_HEAD * QM_VW], earliest[QM_VW], latest[QM_VW];
    uint begin = 0xffffffffu, end = 0u, begin_all = 0u, end_all = 0xffffffffu; // of any query, and of all of them
    for (uint i = 0u; i < QM_UINT(QM_HEAD * QM_VW); ++i) {
        query[i] = 0.0f;
        sum[i] = 0.0f;
    }
    for (uint lane = 0u; lane < QM_UINT(QM_VW); ++lane) {
        uint number = first_query + (lane < lanes ? lane : 0u), row = first_row + number / heads_each;
        uint position = QM_ROW_POSITION(row), oldest = position - QM_MIN(window - 1u, position);
        begin = QM_MIN(begin, oldest);
        begin_all = QM_MAX(begin_all, oldest);
        end = QM_MAX(end, position + 1u);
        end_all = QM_MIN(end_all, position + 1u);
        earliest[lane] = QM_FLOAT(QM_INT(oldest));
        latest[lane] = QM_FLOAT(QM_INT(position));
        uint from = (row * heads + kv_head * heads_each + number % heads_each) * QM_HEAD_VALUES;
        for (uint p = 0u; p < QM_HEAD_VALUES && lane < lanes; ++p)
            query[p * QM_UINT(QM_VW) + lane] = q[from + QM_KV_PLACE(p)] * score_scale;
    }
    qm_fv first_seen = QM_PRIVATE_LOAD(earliest, 0u), last_seen = QM_PRIVATE_LOAD(latest, 0u);
    qm_fv maximum = QM_FV(-3.0e38f), weight_sum = QM_FV(0.0f);
    float staged[QM_TOKENS * QM_HEAD], token_scale[QM_TOKENS];
    for (uint first = begin; first < end; first += QM_UINT(QM_TOKENS)) {
        for (uint t = 0u; t < QM_UINT(QM_TOKENS); ++t) {
            uint slot = first_slot + QM_MIN(first + t, end - 1u);
            QM_KV_STAGE(staged, t * QM_HEAD_VALUES, k_base + slot * QM_KV_WORDS)
#if defined(QM_KV_SCALED)
            token_scale[t] = QM_BITS_FLOAT(QM_LOAD1(cache, k_scale_base + slot));
#elif defined(QM_KV_FLOAT8)
            token_scale[t] = k_scale;
#endif
        }
        qm_fv weight[QM_TOKENS];
        QM_UNROLL for (int t = 0; t < QM_TOKENS; ++t)
            weight[t] = QM_FV(0.0f);
        for (uint p = 0u; p < QM_HEAD_VALUES; ++p) {
            qm_fv values = QM_PRIVATE_LOAD(query, p * QM_UINT(QM_VW));
            QM_UNROLL for (int t = 0; t < QM_TOKENS; ++t)
                weight[t] += values * staged[QM_UINT(t * QM_HEAD) + p];
        }
        bool is_whole = first >= begin_all && first + QM_UINT(QM_TOKENS) <= end_all;
        qm_fv larger = maximum;
        QM_UNROLL for (int t = 0; t < QM_TOKENS; ++t) {
#if defined(QM_KV_SCALED) || defined(QM_KV_FLOAT8)
            weight[t] = weight[t] * token_scale[t];
#endif
            if (score_cap > 0.0f)
                weight[t] = qm_capped_v(weight[t], score_cap, cap_inverse);
            if (!is_whole)
                weight[t] = QM_MIN(weight[t], QM_SEEN(QM_FLOAT(QM_INT(first) + t)) * 3.1e38f - 3.0e38f);
            larger = QM_MAX(larger, weight[t]);
        }
        qm_fv keep = qm_exp_v(maximum - larger);
        maximum = larger;
        weight_sum = weight_sum * keep;
        for (uint t = 0u; t < QM_UINT(QM_TOKENS); ++t) {
            uint slot = first_slot + QM_MIN(first + t, end - 1u);
            QM_KV_STAGE(staged, t * QM_HEAD_VALUES, v_base + slot * QM_KV_WORDS)
#if defined(QM_KV_SCALED)
            token_scale[t] = QM_BITS_FLOAT(QM_LOAD1(cache, v_scale_base + slot));
#elif defined(QM_KV_FLOAT8)
            token_scale[t] = v_scale;
#endif
        }
        QM_UNROLL for (int t = 0; t < QM_TOKENS; ++t) {
            weight[t] = qm_exp_v(weight[t] - larger);
            if (!is_whole)
                weight[t] = weight[t] * QM_SEEN(QM_FLOAT(QM_INT(first) + t));
            weight_sum += weight[t];
#if defined(QM_KV_SCALED) || defined(QM_KV_FLOAT8)
            weight[t] = weight[t] * token_scale[t];
#endif
        }
        for (uint p = 0u; p < QM_HEAD_VALUES; ++p) {
            qm_fv values = QM_PRIVATE_LOAD(sum, p * QM_UINT(QM_VW)) * keep;
            QM_UNROLL for (int t = 0; t < QM_TOKENS; ++t)
                values += weight[t] * staged[QM_UINT(t * QM_HEAD) + p];
            QM_PRIVATE_STORE(sum, p * QM_UINT(QM_VW), values)
        }
    }
    QM_PRIVATE_STORE(latest, 0u, weight_sum)
    for (uint lane = 0u; lane < lanes; ++lane) {
        uint number = first_query + lane, row = first_row + number / heads_each;
        uint to = row * result_stride + (kv_head * heads_each + number % heads_each) * QM_HEAD_VALUES;
        float inverse = qm_reciprocal(latest[lane]);
        for (uint p = 0u; p < QM_HEAD_VALUES; ++p)
            result[to + QM_KV_PLACE(p)] = sum[p * QM_UINT(QM_VW) + lane] * inverse;
    }
    }
