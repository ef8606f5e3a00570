// The part of a pass from queries, keys and values to what attention gives.
#include "model/pass_internal.h"

// Each head on its own, or all of them at once; rows of heads that lie side by side.
static enum qm_status add_head_norm(struct qm_pass *pass, const struct qm_network_weight *gain, uint32_t heads,
                                    struct qm_buffer *from, struct qm_rows to)
{
    const struct qm_model_config *c = &pass->network->engine->config;
    uint32_t together = gain->columns / c->head_dim; // heads that have one norm
    struct qm_rmsnorm_parameters p = {pass->rows * (heads / together), gain->columns,
                                      1.0f / (float)(together * c->own.head_dim), c->norm_epsilon};
    uint64_t count = qm_rows_of(pass, heads * c->head_dim);
    return qm_pass_add(pass, "rmsnorm", &p,
                       (struct qm_binding[]){qm_whole(from, count), qm_whole(gain->parts[0].buffer, gain->columns),
                                             qm_window(to, count)});
}

static enum qm_status add_key_blocks(struct qm_pass *pass, struct qm_binding cache)
{
    const struct qm_network *network = pass->network;
    const struct qm_model_config *c = &network->engine->config;
    uint32_t blocks = (pass->params.tokens + 31) / 32;
    uint32_t words = c->head_dim * qm_kv_format_info(network->scheme.kv)->bits / 32; // of a token
    struct qm_kv_block_parameters p = {.items = pass->params.batch * c->kv_heads * blocks * words,
                                       .kv_heads = c->kv_heads,
                                       .tokens_per_sequence = pass->params.tokens,
                                       .context = c->context,
                                       .base = network->k_base,
                                       .scale_base = network->k_scale_base,
                                       .exact_base = network->k_exact_base,
                                       .exact_length = network->exact_length};
    char name[QM_VARIANT_NAME_BYTES];
    qm_network_cache_name(network, "kv_block", name);
    return qm_pass_add(pass, name, &p, (struct qm_binding[]){cache});
}

// Where queries, keys and values of the pass's rows stand before the cache.
struct attention_rows {
    struct qm_rows q, k, v;
};

static struct attention_rows attention_rows_of(const struct qm_pass *pass, uint32_t layer)
{
    const struct qm_network *n = pass->network;
    struct qm_engine *e = n->engine;
    uint32_t query = e->config.heads * e->config.head_dim, key = e->config.kv_heads * e->config.head_dim;
    if (n->merged[layer][QM_MERGE_QKV].part_count > 0) {
        uint32_t all = query + 2 * key;
        return (struct attention_rows){{e->qkv, 0, all}, {e->qkv, query, all}, {e->qkv, query + key, all}};
    }
    uint32_t k_from = qm_behind(qm_rows_of(pass, query)), v_from = k_from + qm_behind(qm_rows_of(pass, key));
    struct qm_rows q = {e->params.is_unfused ? e->q : e->qkv, 0, query};
    return (struct attention_rows){q, {e->qkv, k_from, key}, {e->qkv, v_from, key}};
}

// Queries, keys and values, with what the architecture does to them before the rotary embedding.
static enum qm_status add_queries(struct qm_pass *pass, const struct attention_rows *to, uint32_t layer)
{
    struct qm_network *n = pass->network;
    struct qm_engine *e = n->engine;
    const struct qm_model_config *c = &e->config;
    const struct qm_network_weight *merged = &n->merged[layer][QM_MERGE_QKV];
    if (merged->part_count > 0)
        return qm_pass_add_product(pass, merged, to->q, false);
    bool has_norm = qm_architecture_has(c->architecture, QM_ROLE_Q_NORM);
    const struct {
        enum qm_role weight, bias;
        struct qm_rows to;
    } parts[] = {{QM_ROLE_Q, QM_ROLE_Q_BIAS, has_norm ? qm_side_by_side(e->raw_q, to->q.stride) : to->q},
                 {QM_ROLE_K, QM_ROLE_K_BIAS, has_norm ? qm_side_by_side(e->raw_k, to->k.stride) : to->k},
                 {QM_ROLE_V, QM_ROLE_V_BIAS, to->v}};
    for (int i = 0; i < 3; ++i) {
        QM_TRY(qm_pass_add_product(pass, qm_weight_of(n, parts[i].weight, layer), parts[i].to, false));
        if (qm_architecture_has(c->architecture, parts[i].bias))
            QM_TRY(qm_pass_add_bias(pass, qm_weight_of(n, parts[i].bias, layer), parts[i].to));
    }
    if (!has_norm)
        return QM_OK;
    QM_TRY(add_head_norm(pass, qm_weight_of(n, QM_ROLE_Q_NORM, layer), c->heads, e->raw_q, to->q));
    return add_head_norm(pass, qm_weight_of(n, QM_ROLE_K_NORM, layer), c->kv_heads, e->raw_k, to->k);
}

// kv_write on some of the heads.
static enum qm_status add_cache_write(struct qm_pass *pass, const char *name, const struct attention_rows *from,
                                      struct qm_kv_write_parameters p, struct qm_binding table, struct qm_binding cache)
{
    struct qm_engine *e = pass->network->engine;
    const struct qm_model_config *c = &e->config;
    uint64_t words = from->v.from + (uint64_t)(pass->rows - 1) * from->v.stride + (uint64_t)c->kv_heads * c->head_dim;
    return qm_pass_add(pass, name, &p,
                       (struct qm_binding[]){table, qm_whole(e->qkv, words),
                                             qm_whole(e->q, qm_rows_of(pass, c->heads * c->head_dim)), cache});
}

// Queries and keys turned, keys and values put into the cache.
static enum qm_status add_cached(struct qm_pass *pass, const struct attention_rows *from, uint32_t layer,
                                 struct qm_binding cache)
{
    struct qm_network *network = pass->network;
    struct qm_engine *e = network->engine;
    const struct qm_model_config *c = &e->config;
    const float *scales = network->cache_scales[layer];
    bool has_blocks = qm_network_has_key_blocks(network), is_fused = !e->params.is_unfused;
    char write_name[QM_VARIANT_NAME_BYTES], exact_name[QM_VARIANT_NAME_BYTES], rope_name[QM_VARIANT_NAME_BYTES];
    qm_network_rope_name(network, rope_name);
    qm_network_cache_name(network, "kv_write", write_name);
    qm_network_exact_keys_name(network, exact_name);
    struct qm_kv_write_parameters all = {.rows = pass->rows,
                                         .q_heads = is_fused ? c->heads : 0,
                                         .k_heads = c->kv_heads,
                                         .v_heads = c->kv_heads,
                                         .kv_heads = c->kv_heads,
                                         .is_turned = is_fused,
                                         .q_stride = from->q.stride,
                                         .kv_stride = from->k.stride,
                                         .k_from = from->k.from,
                                         .v_from = from->v.from,
                                         .tokens_per_sequence = pass->params.tokens,
                                         .context = c->context,
                                         .exact_length = network->exact_length,
                                         .k_base = has_blocks ? network->k_exact_base : network->k_base,
                                         .k_scale_base = network->k_scale_base,
                                         .k_exact_base = network->k_exact_base,
                                         .k_inverse_scale = 1.0f / scales[QM_CACHED_KEYS],
                                         .v_base = network->v_base,
                                         .v_scale_base = network->v_scale_base,
                                         .v_exact_base = network->v_exact_base,
                                         .v_inverse_scale = 1.0f / scales[QM_CACHED_VALUES]};
    struct qm_kv_write_parameters keys = all, values = all;
    keys.v_heads = values.q_heads = values.k_heads = 0;
    const uint64_t table_words = (uint64_t)c->context * c->head_dim;
    const struct qm_binding table = {
        e->rope_table, 4 * (uint64_t)qm_behind(table_words) * qm_model_rope_table(c, layer), 4 * table_words};
    if (!is_fused) {
        struct qm_rope_parameters rope_q = {pass->rows, c->heads, pass->params.tokens},
                                  rope_k = {pass->rows, c->kv_heads, pass->params.tokens};
        struct qm_binding k = qm_window(from->k, qm_rows_of(pass, from->k.stride));
        QM_TRY(qm_pass_add(pass, rope_name, &rope_q,
                           (struct qm_binding[]){table, qm_whole(e->q, qm_rows_of(pass, c->heads * c->head_dim))}));
        QM_TRY(qm_pass_add(pass, rope_name, &rope_k, (struct qm_binding[]){table, k}));
    }
    if (is_fused && !has_blocks) {
        QM_TRY(add_cache_write(pass, write_name, from, all, table, cache));
    } else { // keys of blocks: all of them exact, codes of whole blocks
        QM_TRY(add_cache_write(pass, has_blocks ? exact_name : write_name, from, keys, table, cache));
        if (has_blocks)
            QM_TRY(add_key_blocks(pass, cache));
        QM_TRY(add_cache_write(pass, write_name, from, values, table, cache));
    }
    uint32_t width = c->kv_heads * c->head_dim;
    qm_pass_add_tap(pass, from->k, width, layer, (struct qm_tap){.is_cached = true, .cached = QM_CACHED_KEYS});
    qm_pass_add_tap(pass, from->v, width, layer, (struct qm_tap){.is_cached = true, .cached = QM_CACHED_VALUES});
    return QM_OK;
}

enum qm_status qm_pass_add_attention(struct qm_pass *pass, uint32_t layer)
{
    struct qm_network *network = pass->network;
    struct qm_engine *e = network->engine;
    const struct qm_model_config *c = &e->config;
    const float *scales = network->cache_scales[layer];
    struct qm_binding cache = {network->caches[layer], 0, network->cache_bytes};
    const struct attention_rows rows = attention_rows_of(pass, layer);
    QM_TRY(add_queries(pass, &rows, layer));
    QM_TRY(add_cached(pass, &rows, layer, cache));
    char name[QM_VARIANT_NAME_BYTES];
    qm_network_cache_name(network, "attention", name);
    struct qm_attention_parameters attention = {.rows = pass->rows,
                                                .heads = c->heads,
                                                .kv_heads = c->kv_heads,
                                                .tokens_per_sequence = pass->params.tokens,
                                                .context = c->context,
                                                .k_base = network->k_base,
                                                .k_scale_base = network->k_scale_base,
                                                .v_base = network->v_base,
                                                .v_scale_base = network->v_scale_base,
                                                .score_scale = (float)qm_model_score_scale(c),
                                                .k_scale = scales[QM_CACHED_KEYS],
                                                .v_scale = scales[QM_CACHED_VALUES],
                                                .k_exact_base = network->k_exact_base,
                                                .v_exact_base = network->v_exact_base,
                                                .exact_length = network->exact_length,
                                                .exact_first = network->scheme.kv_first,
                                                .exact_last = network->scheme.kv_last,
                                                .window = qm_model_window(c, layer),
                                                .result_stride = c->attention,
                                                .score_cap = (float)c->score_cap,
                                                .cap_inverse = c->score_cap > 0 ? (float)(1 / c->score_cap) : 0};
    return qm_pass_add(pass, name, &attention,
                       (struct qm_binding[]){qm_whole(e->q, qm_rows_of(pass, c->heads * c->head_dim)), cache,
                                             qm_whole(e->attended, qm_rows_of(pass, c->attention))});
}
