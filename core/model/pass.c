#include "model/pass_internal.h"

#include <math.h> // sqrt, which IEEE 754 rounds correctly; nothing else
#include <stdlib.h>
#include <string.h>

#include "base/numeric.h"

static struct qm_binding whole(struct qm_buffer *buffer, uint64_t words)
{
    return (struct qm_binding){buffer, 0, words * 4};
}

// Adds a dispatch of a variant. `parameters` is the kernel's structure, all words.
static enum qm_status add(struct qm_pass *pass, const char *name, const void *parameters,
                          const struct qm_binding *bindings)
{
    if (pass->count == pass->capacity)
        return QM_FAIL(QM_FAILED, "a pass has more than %zu dispatches", pass->capacity);
    const struct qm_kernel_variant *variant = NULL;
    struct qm_kernel *kernel = NULL;
    QM_TRY(qm_engine_kernel(pass->network->engine, name, &variant, &kernel));
    struct qm_dispatch *dispatch = &pass->dispatches[pass->count++];
    memset(dispatch, 0, sizeof(*dispatch));
    dispatch->kernel = kernel;
    memcpy(dispatch->bindings, bindings, variant->binding_count * sizeof(*bindings));
    memcpy(dispatch->parameters, parameters, variant->parameter_count * sizeof(uint32_t));
    qm_kernel_groups(variant, dispatch->parameters, dispatch->groups);
    for (int d = 0; d < 3; ++d) {
        if (dispatch->groups[d] > pass->network->engine->params.device->info->max_groups[d])
            return QM_FAIL(QM_UNSUPPORTED, "%s takes %u workgroups, and the device allows %u", variant->name,
                           dispatch->groups[d], pass->network->engine->params.device->info->max_groups[d]);
    }
    return QM_OK;
}

static uint64_t rows_of(const struct qm_pass *pass, uint32_t width)
{
    return (uint64_t)pass->rows * width;
}

static struct qm_rows side_by_side(struct qm_buffer *buffer, uint32_t width)
{
    return (struct qm_rows){buffer, 0, width};
}

// Rows that lie side by side.
static struct qm_binding window(struct qm_rows rows, uint64_t words)
{
    return (struct qm_binding){rows.buffer, 4 * (uint64_t)rows.from, words * 4};
}

// Where in a buffer a second array can begin, behind `words`: at an offset that every driver takes.
static uint32_t behind(uint64_t words)
{
    return (uint32_t)((words + QM_PART_ROWS - 1) / QM_PART_ROWS * QM_PART_ROWS);
}

static enum qm_status add_norm(struct qm_pass *pass, const struct qm_network_weight *gain)
{
    struct qm_engine *e = pass->network->engine;
    uint32_t hidden = e->config.hidden;
    struct qm_rmsnorm_parameters p = {pass->rows, hidden, 1.0f / (float)e->config.own.hidden, e->config.norm_epsilon};
    struct qm_binding bindings[] = {whole(e->x, rows_of(pass, hidden)), whole(gain->parts[0].buffer, hidden),
                                    whole(e->normed, rows_of(pass, hidden))};
    return add(pass, "rmsnorm", &p, bindings);
}

// Each head on its own; rows of heads that lie side by side.
static enum qm_status add_head_norm(struct qm_pass *pass, const struct qm_network_weight *gain, uint32_t heads,
                                    struct qm_buffer *from, struct qm_rows to)
{
    const struct qm_model_config *c = &pass->network->engine->config;
    struct qm_rmsnorm_parameters p = {pass->rows * heads, c->head_dim, 1.0f / (float)c->own.head_dim, c->norm_epsilon};
    uint64_t count = rows_of(pass, heads * c->head_dim);
    return add(pass, "rmsnorm", &p,
               (struct qm_binding[]){whole(from, count), whole(gain->parts[0].buffer, c->head_dim), window(to, count)});
}

static enum qm_status add_bias(struct qm_pass *pass, const struct qm_network_weight *bias, struct qm_rows values)
{
    uint64_t count = rows_of(pass, bias->columns);
    struct qm_bias_parameters p = {(uint32_t)count, bias->columns};
    return add(pass, "bias", &p,
               (struct qm_binding[]){window(values, count), whole(bias->parts[0].buffer, bias->columns)});
}

// Where the input of products, or what went into a cache, stands now: a calibration point.
static void add_tap(struct qm_pass *pass, struct qm_rows rows, uint32_t width, uint32_t layer, struct qm_tap what)
{
    what.before = pass->count;
    what.rows = rows;
    what.width = width;
    what.layer = layer;
    pass->taps[pass->tap_count++] = what;
}

// What the products that follow read. Each of them converts it when it needs to.
static void set_input(struct qm_pass *pass, struct qm_rows values, uint32_t layer, enum qm_input input)
{
    add_tap(pass, values, values.stride, layer, (struct qm_tap){.input = input});
    pass->input.values = values;
    pass->input.converted_for = NULL;
}

static uint32_t values_per_word(enum qm_activation_format format)
{
    static const uint32_t counts[QM_ACTIVATION_FORMAT_COUNT] = {
        [QM_ACTIVATION_F32] = 1, [QM_ACTIVATION_F16] = 2, [QM_ACTIVATION_BF16] = 2,
        [QM_ACTIVATION_A8] = 4,  [QM_ACTIVATION_F8] = 4,  [QM_ACTIVATION_A4] = 8};
    return counts[format];
}

static uint32_t activation_groups(const struct qm_network_weight *weight)
{
    return weight->has_activation_groups ? weight->columns / 32 >> weight->activation_shift : 1;
}

static struct qm_binding codes_of(const struct qm_pass *pass, const struct qm_network_weight *weight)
{
    return whole(pass->network->engine->codes, rows_of(pass, weight->columns) / values_per_word(weight->activations));
}

static struct qm_binding scales_of(const struct qm_pass *pass, const struct qm_network_weight *weight)
{
    return whole(pass->network->engine->scales, rows_of(pass, activation_groups(weight)));
}

static struct qm_binding static_scales_of(const struct qm_pass *pass, const struct qm_network_weight *weight)
{
    const struct qm_engine *e = pass->network->engine;
    return weight->activation_scales ? whole(weight->activation_scales, weight->activation_scale_count * e->widen)
                                     : whole(e->rope_table, 1);
}

// Turns the input into what the weight is multiplied with, unless it is already.
static enum qm_status convert_input(struct qm_pass *pass, const struct qm_network_weight *weight)
{
    const struct qm_network_weight *other = pass->input.converted_for;
    uint32_t width = weight->columns;
    char name[QM_VARIANT_NAME_BYTES];
    if (weight->activations == QM_ACTIVATION_F32 || (other && qm_weight_has_conversion_of(weight, other)))
        return QM_OK;
    pass->input.converted_for = weight;
    struct qm_activations_parameters p = {pass->rows, width, weight->activation_scales != NULL,
                                          weight->activation_shift};
    struct qm_binding bindings[] = {window(pass->input.values, rows_of(pass, width)), codes_of(pass, weight),
                                    scales_of(pass, weight), static_scales_of(pass, weight)};
    qm_weight_conversion_name(weight, "activations", name);
    return add(pass, name, &p, bindings);
}

// The product's result at `to`, rows as far apart as it has outputs, or added to what is there.
static enum qm_status add_product_to(struct qm_pass *pass, const struct qm_network_weight *weight, struct qm_rows to,
                                     bool is_added)
{
    struct qm_engine *e = pass->network->engine;
    bool is_f32 = weight->activations == QM_ACTIVATION_F32;
    char name[QM_VARIANT_NAME_BYTES];
    QM_TRY(convert_input(pass, weight));
    // As many rows as a tile of matvec decodes a weight for; at least two, which read it twice.
    qm_weight_product_name(weight, "matvec", name);
    if (pass->rows > qm_kernel_definition(qm_kernel_find(name, e->params.tile), "QM_TILE_ROWS", 2))
        qm_weight_product_name(weight, "matmul", name);
    struct qm_matmul_parameters p = {.rows = pass->rows,
                                     .k = weight->columns,
                                     .result_stride = weight->rows,
                                     .multiplier = weight->multiplier,
                                     .weight_shift = weight->weight_shift,
                                     .activation_shift = weight->activation_shift,
                                     .is_added = is_added};
    uint64_t result_bytes = rows_of(pass, weight->rows) * 4;
    for (uint32_t i = 0; i < weight->part_count; ++i) {
        const struct qm_weight_part *part = &weight->parts[i];
        uint64_t offset = (uint64_t)part->first * 4; // its outputs in the first row
        p.n = part->rows;
        p.scale_offset = part->scale_offset_words;
        struct qm_binding bindings[] = {{part->buffer, 0, part->bytes},
                                        is_f32 ? window(pass->input.values, rows_of(pass, weight->columns))
                                               : codes_of(pass, weight),
                                        whole(e->scales, rows_of(pass, activation_groups(weight))),
                                        {to.buffer, 4 * (uint64_t)to.from + offset, result_bytes - offset}};
        QM_TRY(add(pass, name, &p, bindings));
    }
    return QM_OK;
}

static enum qm_status add_product(struct qm_pass *pass, const struct qm_network_weight *weight,
                                  struct qm_buffer *result)
{
    return add_product_to(pass, weight, side_by_side(result, weight->rows), false);
}

// A product that the residual stream takes up.
static enum qm_status add_residual(struct qm_pass *pass, const struct qm_network_weight *weight)
{
    struct qm_engine *e = pass->network->engine;
    if (!e->params.is_unfused)
        return add_product_to(pass, weight, side_by_side(e->x, weight->rows), true);
    QM_TRY(add_product(pass, weight, e->projected));
    uint64_t count = rows_of(pass, e->config.hidden);
    struct qm_residual_parameters p = {(uint32_t)count};
    struct qm_binding bindings[] = {whole(e->x, count), whole(e->projected, count)};
    return add(pass, "residual", &p, bindings);
}

static const struct qm_network_weight *weight_of(const struct qm_network *network, enum qm_role role, uint32_t layer)
{
    return &network->weights[qm_weight_index(&network->engine->config, role, layer)];
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
    return add(pass, name, &p, (struct qm_binding[]){cache});
}

// The residual stream normed, as the products that follow read it.
static enum qm_status add_normed_input(struct qm_pass *pass, enum qm_role norm, uint32_t layer, enum qm_input input)
{
    struct qm_engine *e = pass->network->engine;
    const struct qm_network_weight *gain = weight_of(pass->network, norm, layer);
    const struct qm_network_weight *reader = weight_of(pass->network, qm_input_reader(input), layer);
    uint32_t hidden = e->config.hidden;
    char name[QM_VARIANT_NAME_BYTES];
    if (pass->keeps_inputs || !qm_network_fuses_input(pass->network, input, layer)) {
        QM_TRY(add_norm(pass, gain));
        set_input(pass, side_by_side(e->normed, hidden), layer, input);
        return QM_OK;
    }
    struct qm_norm_activations_parameters p = {.rows = pass->rows,
                                               .width = hidden,
                                               .inverse_width = 1.0f / (float)e->config.own.hidden,
                                               .epsilon = e->config.norm_epsilon,
                                               .is_static = reader->activation_scales != NULL,
                                               .shift = reader->activation_shift};
    struct qm_binding bindings[] = {whole(e->x, rows_of(pass, hidden)),
                                    {gain->parts[0].buffer, 0, gain->parts[0].bytes},
                                    codes_of(pass, reader),
                                    scales_of(pass, reader)};
    pass->input.converted_for = reader;
    qm_weight_conversion_name(reader, "norm_activations", name);
    return add(pass, name, &p, bindings);
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
    uint32_t k_from = behind(rows_of(pass, query)), v_from = k_from + behind(rows_of(pass, key));
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
        return add_product_to(pass, merged, to->q, false);
    bool has_norm = qm_architecture_has(c->architecture, QM_ROLE_Q_NORM);
    const struct {
        enum qm_role weight, bias;
        struct qm_rows to;
    } parts[] = {{QM_ROLE_Q, QM_ROLE_Q_BIAS, has_norm ? side_by_side(e->raw_q, to->q.stride) : to->q},
                 {QM_ROLE_K, QM_ROLE_K_BIAS, has_norm ? side_by_side(e->raw_k, to->k.stride) : to->k},
                 {QM_ROLE_V, QM_ROLE_V_BIAS, to->v}};
    for (int i = 0; i < 3; ++i) {
        QM_TRY(add_product_to(pass, weight_of(n, parts[i].weight, layer), parts[i].to, false));
        if (qm_architecture_has(c->architecture, parts[i].bias))
            QM_TRY(add_bias(pass, weight_of(n, parts[i].bias, layer), parts[i].to));
    }
    if (!has_norm)
        return QM_OK;
    QM_TRY(add_head_norm(pass, weight_of(n, QM_ROLE_Q_NORM, layer), c->heads, e->raw_q, to->q));
    return add_head_norm(pass, weight_of(n, QM_ROLE_K_NORM, layer), c->kv_heads, e->raw_k, to->k);
}

// kv_write on some of the heads.
static enum qm_status add_cache_write(struct qm_pass *pass, const char *name, const struct attention_rows *from,
                                      struct qm_kv_write_parameters p, struct qm_binding cache)
{
    struct qm_engine *e = pass->network->engine;
    const struct qm_model_config *c = &e->config;
    uint64_t words = from->v.from + (uint64_t)(pass->rows - 1) * from->v.stride + (uint64_t)c->kv_heads * c->head_dim;
    return add(pass, name, &p,
               (struct qm_binding[]){whole(e->rope_table, (uint64_t)c->context * c->head_dim), whole(e->qkv, words),
                                     whole(e->q, rows_of(pass, c->heads * c->head_dim)), cache});
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
    if (!is_fused) {
        struct qm_binding table = whole(e->rope_table, (uint64_t)c->context * c->head_dim);
        struct qm_rope_parameters rope_q = {pass->rows, c->heads, pass->params.tokens},
                                  rope_k = {pass->rows, c->kv_heads, pass->params.tokens};
        struct qm_binding k = window(from->k, rows_of(pass, from->k.stride));
        QM_TRY(add(pass, rope_name, &rope_q,
                   (struct qm_binding[]){table, whole(e->q, rows_of(pass, c->heads * c->head_dim))}));
        QM_TRY(add(pass, rope_name, &rope_k, (struct qm_binding[]){table, k}));
    }
    if (is_fused && !has_blocks) {
        QM_TRY(add_cache_write(pass, write_name, from, all, cache));
    } else { // keys of blocks: all of them exact, codes of whole blocks
        QM_TRY(add_cache_write(pass, has_blocks ? exact_name : write_name, from, keys, cache));
        if (has_blocks)
            QM_TRY(add_key_blocks(pass, cache));
        QM_TRY(add_cache_write(pass, write_name, from, values, cache));
    }
    uint32_t width = c->kv_heads * c->head_dim;
    add_tap(pass, from->k, width, layer, (struct qm_tap){.is_cached = true, .cached = QM_CACHED_KEYS});
    add_tap(pass, from->v, width, layer, (struct qm_tap){.is_cached = true, .cached = QM_CACHED_VALUES});
    return QM_OK;
}

static enum qm_status add_attention(struct qm_pass *pass, uint32_t layer)
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
                                                .score_scale = (float)(1.0 / sqrt((double)c->own.head_dim)),
                                                .k_scale = scales[QM_CACHED_KEYS],
                                                .v_scale = scales[QM_CACHED_VALUES],
                                                .k_exact_base = network->k_exact_base,
                                                .v_exact_base = network->v_exact_base,
                                                .exact_length = network->exact_length,
                                                .exact_first = network->scheme.kv_first,
                                                .exact_last = network->scheme.kv_last,
                                                .window = layer >= c->window_from ? c->window : 0,
                                                .result_stride = c->attention};
    return add(pass, name, &attention,
               (struct qm_binding[]){whole(e->q, rows_of(pass, c->heads * c->head_dim)), cache,
                                     whole(e->attended, rows_of(pass, c->attention))});
}

// Gate and up, and what down reads of them.
static enum qm_status add_gated(struct qm_pass *pass, uint32_t layer)
{
    struct qm_network *n = pass->network;
    struct qm_engine *e = n->engine;
    uint32_t width = e->config.intermediate;
    const struct qm_network_weight *merged = &n->merged[layer][QM_MERGE_GATE_UP];
    const struct qm_network_weight *down = weight_of(n, QM_ROLE_DOWN, layer);
    uint32_t up_from = merged->part_count > 0 ? width : behind(rows_of(pass, width));
    uint32_t stride = merged->part_count > 0 ? 2 * width : width;
    uint32_t end = up_from + (uint32_t)rows_of(pass, stride) - (stride - width), gated_from = behind(end);
    struct qm_rows gated = {e->gate_up, gated_from, width};
    char name[QM_VARIANT_NAME_BYTES];
    if (merged->part_count > 0) {
        QM_TRY(add_product(pass, merged, e->gate_up));
    } else {
        QM_TRY(add_product(pass, weight_of(n, QM_ROLE_GATE, layer), e->gate_up));
        QM_TRY(
            add_product_to(pass, weight_of(n, QM_ROLE_UP, layer), (struct qm_rows){e->gate_up, up_from, width}, false));
    }
    if (pass->keeps_inputs || !qm_network_fuses_input(n, QM_INPUT_DOWN, layer)) {
        uint64_t count = rows_of(pass, width);
        struct qm_swiglu_parameters p = {(uint32_t)count, width, stride, up_from};
        QM_TRY(add(pass, "swiglu", &p, (struct qm_binding[]){whole(e->gate_up, end), window(gated, count)}));
        set_input(pass, gated, layer, QM_INPUT_DOWN);
        return QM_OK;
    }
    struct qm_swiglu_activations_parameters p = {.rows = pass->rows,
                                                 .width = width,
                                                 .is_static = down->activation_scales != NULL,
                                                 .shift = down->activation_shift,
                                                 .row_stride = stride,
                                                 .up_from = up_from,
                                                 .gated_from = gated_from};
    pass->input.converted_for = down;
    qm_weight_conversion_name(down, "swiglu_activations", name);
    return add(pass, name, &p,
               (struct qm_binding[]){whole(e->gate_up, gated_from + rows_of(pass, width)), codes_of(pass, down),
                                     scales_of(pass, down), static_scales_of(pass, down)});
}

static enum qm_status add_layer(struct qm_pass *pass, uint32_t layer)
{
    struct qm_network *n = pass->network;
    struct qm_engine *e = n->engine;
    QM_TRY(add_normed_input(pass, QM_ROLE_INPUT_NORM, layer, QM_INPUT_ATTENTION));
    QM_TRY(add_attention(pass, layer));
    set_input(pass, side_by_side(e->attended, e->config.attention), layer, QM_INPUT_ATTENTION_OUTPUT);
    QM_TRY(add_residual(pass, weight_of(n, QM_ROLE_O, layer)));
    QM_TRY(add_normed_input(pass, QM_ROLE_POST_NORM, layer, QM_INPUT_MLP));
    QM_TRY(add_gated(pass, layer));
    return add_residual(pass, weight_of(n, QM_ROLE_DOWN, layer));
}

static enum qm_status add_all(struct qm_pass *pass)
{
    struct qm_network *n = pass->network;
    struct qm_engine *e = n->engine;
    const struct qm_model_config *c = &e->config;
    uint32_t rows = pass->rows, tokens = pass->params.tokens, stride = c->context + 1;
    struct qm_binding token_table = whole(e->tokens, (uint64_t)e->params.sequences * stride);
    struct qm_binding logits = whole(e->logits, rows_of(pass, c->vocabulary));
    const struct qm_network_weight *embedding = weight_of(n, QM_ROLE_EMBEDDING, 0);

    char embedding_name[QM_VARIANT_NAME_BYTES];
    qm_network_embedding_name(n, embedding_name);

    for (uint32_t i = 0; i < embedding->part_count; ++i) {
        const struct qm_weight_part *part = &embedding->parts[i];
        struct qm_embedding_parameters embed = {rows, c->hidden, tokens, stride, part->first, part->rows};
        QM_TRY(add(
            pass, embedding_name, &embed,
            (struct qm_binding[]){token_table, {part->buffer, 0, part->bytes}, whole(e->x, rows_of(pass, c->hidden))}));
    }
    for (uint32_t layer = 0; layer < c->layers; ++layer)
        QM_TRY(add_layer(pass, layer));
    QM_TRY(add_normed_input(pass, QM_ROLE_FINAL_NORM, 0, QM_INPUT_HEAD));
    QM_TRY(add_product(pass, weight_of(n, QM_ROLE_HEAD, 0), e->logits));

    struct qm_log_softmax_parameters log_softmax = {rows, c->vocabulary, tokens, stride};
    QM_TRY(add(pass, "log_softmax", &log_softmax,
               (struct qm_binding[]){logits, token_table, whole(e->log_probabilities, rows)}));
    struct qm_argmax_parameters argmax = {rows, c->vocabulary};
    QM_TRY(add(pass, "argmax", &argmax, (struct qm_binding[]){logits, whole(e->argmaxes, rows)}));
    struct qm_checksum_parameters checksum = {rows, c->vocabulary};
    QM_TRY(add(pass, "checksum", &checksum,
               (struct qm_binding[]){logits, whole(e->checksums, (uint64_t)e->params.rows * e->params.slots)}));
    struct qm_advance_parameters advance = {pass->params.position_increment, pass->params.sequence_increment, 1};
    return add(pass, "advance", &advance, (struct qm_binding[]){whole(e->step, QM_STEP_HEAD_WORDS)});
}

static struct qm_pass *create_empty(struct qm_network *network, const struct qm_pass_params *params, size_t capacity)
{
    struct qm_pass *pass = calloc(1, sizeof(*pass));
    if (!pass)
        return NULL;
    pass->network = network;
    pass->params = *params;
    pass->rows = params->batch * params->tokens;
    pass->capacity = capacity;
    pass->dispatches = calloc(capacity, sizeof(*pass->dispatches));
    pass->taps = calloc((size_t)network->engine->config.layers * QM_TAPS_PER_LAYER + 1, sizeof(*pass->taps));
    if (!pass->dispatches || !pass->taps)
        qm_pass_destroy(&pass);
    return pass;
}

static enum qm_status record(struct qm_pass *pass)
{
    const struct qm_engine *e = pass->network->engine;
    struct qm_program_params program = {pass->dispatches, pass->count, e->step};
    return e->params.device->fns->program_create(e->params.device, &program, &pass->program);
}

enum qm_status qm_pass_build(struct qm_network *network, const struct qm_pass_params *params, bool keeps_inputs,
                             struct qm_pass **out)
{
    *out = NULL;
    struct qm_engine *e = network->engine;
    uint64_t rows = (uint64_t)params->batch * params->tokens;
    if (rows < 1 || rows > e->params.rows || params->batch > e->params.sequences || params->tokens > e->config.context)
        return QM_FAIL(QM_INVALID,
                       "a pass of %u sequences by %u tokens does not fit an engine of %u rows, %u sequences "
                       "and a context of %u",
                       params->batch, params->tokens, e->params.rows, e->params.sequences, e->config.context);
    size_t capacity = 32 + (size_t)e->config.layers * 40;
    for (size_t i = 0; i < network->weight_count; ++i)
        capacity += network->weights[i].part_count - 1;
    struct qm_pass *pass = create_empty(network, params, capacity);
    if (!pass)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for a pass");
    pass->keeps_inputs = keeps_inputs;
    enum qm_status status = add_all(pass);
    if (status != QM_OK)
        qm_pass_destroy(&pass);
    *out = pass;
    return status;
}

enum qm_status qm_pass_create(struct qm_network *network, const struct qm_pass_params *params, struct qm_pass **out)
{
    QM_TRY(qm_pass_build(network, params, false, out));
    enum qm_status status = record(*out);
    if (status != QM_OK)
        qm_pass_destroy(out);
    return status;
}

enum qm_status qm_pass_create_product(struct qm_network *network, const struct qm_network_weight *weight,
                                      uint32_t repeats, struct qm_pass **out)
{
    *out = NULL;
    struct qm_engine *e = network->engine;
    enum qm_status status = QM_OK;
    const struct qm_pass_params params = {.batch = 1, .tokens = 1};
    struct qm_pass *pass = create_empty(network, &params, (size_t)repeats * weight->part_count + 2);
    if (!pass)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for a pass");
    struct qm_buffer *input = weight->columns == e->config.intermediate ? e->gate_up : e->x;
    set_input(pass, side_by_side(input, weight->columns), 0, QM_INPUT_MLP);
    if (repeats == 0) {
        QM_GUARD(convert_input(pass, weight));
        // Activations that are multiplied as they are need no conversion, and a program needs a dispatch.
        const struct qm_advance_parameters stay = {0, 0, 0};
        QM_GUARD(add(pass, "advance", &stay, (struct qm_binding[]){whole(e->step, QM_STEP_HEAD_WORDS)}));
    }
    pass->input.converted_for = weight;
    struct qm_buffer *result = weight->rows == e->config.hidden ? e->projected : e->gate_up;
    for (uint32_t i = 0; i < repeats; ++i)
        QM_GUARD(add_product(pass, weight, result));
    QM_GUARD(record(pass));
    *out = pass;
    pass = NULL;
done:
    qm_pass_destroy(&pass);
    return status;
}

void qm_pass_destroy(struct qm_pass **pass)
{
    struct qm_pass *p = *pass;
    if (!p)
        return;
    struct qm_device *device = p->network->engine->params.device;
    device->fns->program_destroy(device, &p->program);
    free(p->dispatches);
    free(p->taps);
    free(p);
    *pass = NULL;
}

uint32_t qm_pass_dispatches(const struct qm_pass *pass)
{
    return (uint32_t)pass->count;
}

const struct qm_dispatch *qm_pass_dispatch_list(const struct qm_pass *pass, size_t *count)
{
    *count = pass->count;
    return pass->dispatches;
}

double qm_pass_operations(const struct qm_pass *pass, uint32_t position)
{
    const struct qm_network *n = pass->network;
    const struct qm_model_config *c = &n->engine->config;
    double weights = 0;
    for (size_t i = 0; i < n->weight_count; ++i) {
        enum qm_role role;
        uint32_t layer;
        qm_weight_at(c, i, &role, &layer);
        if (qm_role_is_linear(role))
            weights += (double)n->weights[i].rows * n->weights[i].columns;
    }
    double attention = 0;
    for (uint32_t t = 0; t < pass->params.tokens; ++t)
        attention += 4.0 * (position + t + 1) * c->heads * c->head_dim * c->layers;
    return 2.0 * weights * pass->rows + attention * pass->params.batch;
}
