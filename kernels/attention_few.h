// The part of attention_lanes.h for a few queries, as decode has them: they come one after another, and the lanes of a vector
// are QM_VW tokens of a block while scores are taken, then QM_VW places of a value. A score is summed over places QM_VW apart
// first, then over the lanes as a tree.
    float query[QM_FEW * QM_HEAD], sum[QM_FEW * QM_HEAD], maximum[QM_FEW], weight_sum[QM_FEW];
    uint begin = 0xffffffffu, end = 0u; // of any query
    for (uint number = 0u; number < queries; ++number) {
        uint row = first_row + number / heads_each, position = QM_ROW_POSITION(row);
        uint from = (row * heads + kv_head * heads_each + number % heads_each) * QM_HEAD_VALUES;
        begin = QM_MIN(begin, position - QM_MIN(window - 1u, position));
        end = QM_MAX(end, position + 1u);
        for (uint p = 0u; p < QM_HEAD_VALUES; ++p) {
            query[number * QM_HEAD_VALUES + p] = q[from + QM_KV_PLACE(p)] * score_scale;
            sum[number * QM_HEAD_VALUES + p] = 0.0f;
        }
        maximum[number] = -3.0e38f;
        weight_sum[number] = 0.0f;
    }
    float k_staged[QM_TOKENS * QM_HEAD], v_staged[QM_TOKENS * QM_HEAD], k_factor[QM_TOKENS], v_factor[QM_TOKENS];
    float numbers[QM_TOKENS], weights[QM_TOKENS];
    for (uint t = 0u; t < QM_UINT(QM_TOKENS); ++t) {
        numbers[t] = QM_FLOAT(t);
        k_factor[t] = v_factor[t] = 1.0f;
    }
    for (uint first = begin; first < end; first += QM_UINT(QM_TOKENS)) {
        for (uint t = 0u; t < QM_UINT(QM_TOKENS); ++t) {
            uint slot = first_slot + QM_MIN(first + t, end - 1u);
            QM_KV_STAGE(k_staged, t * QM_HEAD_VALUES, k_base + slot * QM_KV_WORDS)
            QM_KV_STAGE(v_staged, t * QM_HEAD_VALUES, v_base + slot * QM_KV_WORDS)
#if defined(QM_KV_SCALED)
            k_factor[t] = QM_BITS_FLOAT(QM_LOAD1(cache, k_scale_base + slot));
            v_factor[t] = QM_BITS_FLOAT(QM_LOAD1(cache, v_scale_base + slot));
#elif defined(QM_KV_FLOAT8)
            k_factor[t] = k_scale;
            v_factor[t] = v_scale;
#endif
        }
        qm_fv token = QM_PRIVATE_LOAD(numbers, 0u) + QM_FLOAT(QM_INT(first));
        for (uint number = 0u; number < queries; ++number) {
            uint position = QM_ROW_POSITION(first_row + number / heads_each), at = number * QM_HEAD_VALUES;
            float first_seen = QM_FLOAT(QM_INT(position - QM_MIN(window - 1u, position))), last_seen = QM_FLOAT(QM_INT(position));
            qm_fv part[QM_TOKENS];
            QM_UNROLL for (int t = 0; t < QM_TOKENS; ++t) {
                part[t] = QM_FV(0.0f);
                QM_UNROLL for (int i = 0; i < QM_HEAD; i += QM_VW)
                    part[t] += QM_PRIVATE_LOAD(query, at + QM_UINT(i)) * QM_PRIVATE_LOAD(k_staged, QM_UINT(t * QM_HEAD + i));
            }
            QM_UNROLL for (int pairs = QM_TOKENS / 2; pairs > 0; pairs /= 2) {
                QM_UNROLL for (int i = 0; i < pairs; ++i)
                    part[i] = QM_EVENS(part[2 * i], part[2 * i + 1]) + QM_ODDS(part[2 * i], part[2 * i + 1]);
            }
            // 1 where the query sees the token, else 0.
            qm_fv seen = QM_MIN(QM_MAX(QM_MIN(last_seen - token, token - first_seen) + 1.0f, 0.0f), 1.0f);
            qm_fv score = part[0] * QM_PRIVATE_LOAD(k_factor, 0u);
            if (score_cap > 0.0f)
                score = qm_capped_v(score, score_cap, cap_inverse);
            score = QM_MIN(score, seen * 3.1e38f - 3.0e38f);
            float larger = QM_MAX(maximum[number], QM_LANES_MAX(score)), keep = qm_exp(maximum[number] - larger);
            qm_fv weight = qm_exp_v(score - larger) * seen;
            maximum[number] = larger;
            weight_sum[number] = weight_sum[number] * keep + QM_LANES_SUM(weight);
            QM_PRIVATE_STORE(weights, 0u, weight * QM_PRIVATE_LOAD(v_factor, 0u))
            QM_UNROLL for (int i = 0; i < QM_HEAD; i += QM_VW) {
                qm_fv even = QM_PRIVATE_LOAD(sum, at + QM_UINT(i)) * keep, odd = QM_FV(0.0f);
                QM_UNROLL for (int t = 0; t < QM_TOKENS; t += 2) {
                    even += QM_PRIVATE_LOAD(v_staged, QM_UINT(t * QM_HEAD + i)) * weights[t];
                    odd += QM_PRIVATE_LOAD(v_staged, QM_UINT((t + 1) * QM_HEAD + i)) * weights[t + 1];
                }
                QM_PRIVATE_STORE(sum, at + QM_UINT(i), even + odd)
            }
        }
    }
    for (uint number = 0u; number < queries; ++number) {
        uint row = first_row + number / heads_each;
        uint to = row * result_stride + (kv_head * heads_each + number % heads_each) * QM_HEAD_VALUES;
        float inverse = qm_reciprocal(weight_sum[number]);
        for (uint p = 0u; p < QM_HEAD_VALUES; ++p)
            result[to + QM_KV_PLACE(p)] = sum[number * QM_HEAD_VALUES + p] * inverse;
    }
