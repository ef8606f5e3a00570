// The body of `attention` for drivers that make lanes of invocations: QM_QUERIES queries of one sequence and kv head to an
// invocation, QM_TOKENS_EACH tokens to a trip, for a trip blends all that is carried through the loop by the mask of lanes, and
// what is unpacked serves all queries. Scores are summed as the other body sums them; of a trip's tokens the largest score
// joins the running maximum. Tokens that a query must not see have weight 0 there: what is in the cache has to be finite.
    uint heads_each = heads / kv_heads, units = (tokens_per_sequence * heads_each + QM_UINT(QM_QUERIES - 1)) / QM_UINT(QM_QUERIES);
    uint item = QM_GROUP_X * QM_UINT(QM_WORKGROUP_X) + QM_LOCAL_X;
    uint kv_head = item / units % kv_heads, first_row = item / units / kv_heads * tokens_per_sequence;
    if (first_row < rows) {
        uint queries = QM_MIN(tokens_per_sequence, rows - first_row) * heads_each, first_query = item % units * QM_UINT(QM_QUERIES);
        uint first_slot = (QM_ROW_SEQUENCE(first_row) * kv_heads + kv_head) * context;
        uint begin = 0xffffffffu, end = 0u; // of any of its queries
        uint oldest[QM_QUERIES], newest[QM_QUERIES];
        qm_f4 query[QM_QUERIES * QM_QUADS], sum[QM_QUERIES * QM_QUADS];
        float maximum[QM_QUERIES], weight_sum[QM_QUERIES];
        QM_UNROLL for (int e = 0; e < QM_QUERIES; ++e) {
            uint number = QM_MIN(first_query + QM_UINT(e), queries - 1u), row = first_row + number / heads_each;
            uint from = (row * heads + kv_head * heads_each + number % heads_each) * QM_HEAD_VALUES;
            newest[e] = QM_ROW_POSITION(row);
            oldest[e] = newest[e] - QM_MIN(window - 1u, newest[e]);
            begin = QM_MIN(begin, oldest[e]);
            end = QM_MAX(end, newest[e] + 1u);
            maximum[e] = -3.0e38f;
            weight_sum[e] = 0.0f;
            QM_UNROLL_HEAD for (int i = 0; i < QM_QUADS; ++i) {
                uint at = from + 4u * QM_UINT(i);
                query[e * QM_QUADS + i] = QM_F4(q[at], q[at + 1u], q[at + 2u], q[at + 3u]) * score_scale;
                sum[e * QM_QUADS + i] = QM_F4(0.0f, 0.0f, 0.0f, 0.0f);
            }
        }
        for (uint first = begin; first < end; first += QM_UINT(QM_TOKENS_EACH)) {
            uint slot[QM_TOKENS_EACH];
            float score[QM_QUERIES * QM_TOKENS_EACH], factor[QM_TOKENS_EACH];
            QM_UNROLL for (int t = 0; t < QM_TOKENS_EACH; ++t) {
                slot[t] = first_slot + QM_MIN(first + QM_UINT(t), end - 1u);
                qm_f4 products[QM_QUERIES];
                QM_UNROLL for (int e = 0; e < QM_QUERIES; ++e)
                    products[e] = QM_F4(0.0f, 0.0f, 0.0f, 0.0f);
                QM_UNROLL_HEAD for (int load = 0; load < QM_QUADS / QM_KV_PER_LOAD; ++load) {
                    qm_u4 words = QM_LOAD4(cache, k_base + slot[t] * QM_KV_WORDS + 4u * QM_UINT(load));
                    QM_UNROLL for (int i = 0; i < QM_KV_PER_LOAD; ++i) {
                        qm_f4 values = QM_KV_VALUES(words, i);
                        QM_UNROLL for (int e = 0; e < QM_QUERIES; ++e)
                            products[e] += query[e * QM_QUADS + load * QM_KV_PER_LOAD + i] * values;
                    }
                }
                factor[t] = 1.0f;
                float k_factor = 1.0f;
#if defined(QM_KV_SCALED)
                k_factor = QM_BITS_FLOAT(QM_LOAD1(cache, k_scale_base + slot[t]));
                factor[t] = QM_BITS_FLOAT(QM_LOAD1(cache, v_scale_base + slot[t]));
#elif defined(QM_KV_FLOAT8)
                k_factor = k_scale;
                factor[t] = v_scale;
#endif
                QM_UNROLL for (int e = 0; e < QM_QUERIES; ++e) {
                    float sum_of = (QM_LANE(products[e], 0) + QM_LANE(products[e], 1)) +
                                   (QM_LANE(products[e], 2) + QM_LANE(products[e], 3));
                    sum_of = sum_of * k_factor;
                    if (score_cap > 0.0f)
                        sum_of = qm_capped(sum_of, score_cap, cap_inverse);
                    bool is_seen = first + QM_UINT(t) >= oldest[e] && first + QM_UINT(t) <= newest[e];
                    score[e * QM_TOKENS_EACH + t] = is_seen ? sum_of : -3.0e38f;
                }
            }
            float keep[QM_QUERIES], weight[QM_QUERIES * QM_TOKENS_EACH];
            QM_UNROLL for (int e = 0; e < QM_QUERIES; ++e) {
                float larger = maximum[e];
                QM_UNROLL for (int t = 0; t < QM_TOKENS_EACH; ++t)
                    larger = QM_MAX(larger, score[e * QM_TOKENS_EACH + t]);
                keep[e] = qm_exp(maximum[e] - larger);
                maximum[e] = larger;
                weight_sum[e] = weight_sum[e] * keep[e];
                QM_UNROLL for (int t = 0; t < QM_TOKENS_EACH; ++t) {
                    bool is_seen = first + QM_UINT(t) >= oldest[e] && first + QM_UINT(t) <= newest[e];
                    float power = qm_exp(score[e * QM_TOKENS_EACH + t] - larger);
                    power = is_seen ? power : 0.0f;
                    weight_sum[e] += power;
                    weight[e * QM_TOKENS_EACH + t] = power * factor[t];
                }
            }
            QM_UNROLL_HEAD for (int load = 0; load < QM_QUADS / QM_KV_PER_LOAD; ++load) {
                qm_u4 words[QM_TOKENS_EACH];
                QM_UNROLL for (int t = 0; t < QM_TOKENS_EACH; ++t)
                    words[t] = QM_LOAD4(cache, v_base + slot[t] * QM_KV_WORDS + 4u * QM_UINT(load));
                QM_UNROLL for (int i = 0; i < QM_KV_PER_LOAD; ++i) {
                    qm_f4 added[QM_QUERIES];
                    QM_UNROLL for (int e = 0; e < QM_QUERIES; ++e)
                        added[e] = sum[e * QM_QUADS + load * QM_KV_PER_LOAD + i] * keep[e];
                    QM_UNROLL for (int t = 0; t < QM_TOKENS_EACH; ++t) {
                        qm_f4 values = QM_KV_VALUES(words[t], i);
                        QM_UNROLL for (int e = 0; e < QM_QUERIES; ++e)
                            added[e] += values * weight[e * QM_TOKENS_EACH + t];
                    }
                    QM_UNROLL for (int e = 0; e < QM_QUERIES; ++e)
                        sum[e * QM_QUADS + load * QM_KV_PER_LOAD + i] = added[e];
                }
            }
        }
        QM_UNROLL for (int e = 0; e < QM_QUERIES; ++e) {
            if (first_query + QM_UINT(e) < queries) {
                uint number = first_query + QM_UINT(e), row = first_row + number / heads_each;
                uint to = row * result_stride + (kv_head * heads_each + number % heads_each) * QM_HEAD_VALUES;
                float inverse = qm_reciprocal(weight_sum[e]);
                QM_UNROLL_HEAD for (int i = 0; i < QM_QUADS; ++i) {
                    QM_UNROLL for (int lane = 0; lane < 4; ++lane)
                        result[to + QM_UINT(4 * i + lane)] = QM_LANE(sum[e * QM_QUADS + i], lane) * inverse;
                }
            }
        }
    }
