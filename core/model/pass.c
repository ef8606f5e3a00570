#include "model/engine_internal.h"

#include <math.h> // sqrt, which IEEE 754 rounds correctly; nothing else
#include <stdlib.h>
#include <string.h>

#include "base/numeric.h"

// Where the input of linear weights, or what goes into the cache, stands in a buffer: before dispatch `before`.
struct tap {
    size_t before;
    struct qm_buffer *buffer;
    size_t count; // floats
    uint32_t layer;
    bool is_cached; // `cached` says what it is, else `input`
    enum qm_input input;
    enum qm_cached cached;
};

// Taps of a layer: its inputs, its keys and its values.
enum {
    TAPS_PER_LAYER = 4 + QM_CACHED_COUNT
};

struct qm_pass {
    struct qm_network *network;
    struct qm_pass_params params;
    uint32_t rows;
    struct qm_dispatch *dispatches;
    size_t count, capacity;
    struct tap *taps;
    size_t tap_count;
    struct qm_program *program;
    // While it is built: what the products to come read, and as what it lies in the engine's `codes`.
    struct {
        struct qm_buffer *values;
        const struct qm_network_weight *converted_for; // NULL: not converted yet
    } input;
};

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

static enum qm_status add_norm(struct qm_pass *pass, const struct qm_network_weight *gain)
{
    struct qm_engine *e = pass->network->engine;
    uint32_t hidden = e->config.hidden;
    struct qm_rmsnorm_parameters p = {pass->rows, hidden, 1.0f / (float)e->config.own.hidden, e->config.norm_epsilon};
    struct qm_binding bindings[] = {whole(e->x, rows_of(pass, hidden)), whole(gain->parts[0].buffer, hidden),
                                    whole(e->normed, rows_of(pass, hidden))};
    return add(pass, "rmsnorm", &p, bindings);
}

// Each head on its own.
static enum qm_status add_head_norm(struct qm_pass *pass, const struct qm_network_weight *gain, uint32_t heads,
                                    struct qm_buffer *from, struct qm_buffer *to)
{
    const struct qm_model_config *c = &pass->network->engine->config;
    struct qm_rmsnorm_parameters p = {pass->rows * heads, c->head_dim, 1.0f / (float)c->own.head_dim, c->norm_epsilon};
    uint64_t count = rows_of(pass, heads * c->head_dim);
    return add(pass, "rmsnorm", &p,
               (struct qm_binding[]){whole(from, count), whole(gain->parts[0].buffer, c->head_dim), whole(to, count)});
}

static enum qm_status add_bias(struct qm_pass *pass, const struct qm_network_weight *bias, struct qm_buffer *values)
{
    uint64_t count = rows_of(pass, bias->columns);
    struct qm_bias_parameters p = {(uint32_t)count, bias->columns};
    return add(pass, "bias", &p,
               (struct qm_binding[]){whole(values, count), whole(bias->parts[0].buffer, bias->columns)});
}

// What the products that follow read: marks it as a calibration point. Each of them converts it when it needs to.
static void set_input(struct qm_pass *pass, struct qm_buffer *values, uint32_t width, uint32_t layer,
                      enum qm_input input)
{
    pass->taps[pass->tap_count++] = (struct tap){
        .before = pass->count, .buffer = values, .count = rows_of(pass, width), .layer = layer, .input = input};
    pass->input.values = values;
    pass->input.converted_for = NULL;
}

// What the dispatch that follows puts into the cache, likewise.
static void mark_cached(struct qm_pass *pass, struct qm_buffer *values, uint32_t layer, enum qm_cached cached)
{
    uint32_t width = pass->network->engine->config.kv_heads * pass->network->engine->config.head_dim;
    pass->taps[pass->tap_count++] = (struct tap){.before = pass->count,
                                                 .buffer = values,
                                                 .count = rows_of(pass, width),
                                                 .layer = layer,
                                                 .is_cached = true,
                                                 .cached = cached};
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

// Turns the input into what the weight is multiplied with, unless it is already.
static enum qm_status convert_input(struct qm_pass *pass, const struct qm_network_weight *weight)
{
    struct qm_engine *e = pass->network->engine;
    const struct qm_network_weight *other = pass->input.converted_for;
    uint32_t width = weight->columns, static_count = weight->activation_scale_count * e->widen;
    char name[QM_VARIANT_NAME_BYTES];
    if (weight->activations == QM_ACTIVATION_F32 ||
        (other && other->activations == weight->activations && !other->activation_scales == !weight->activation_scales))
        return QM_OK;
    pass->input.converted_for = weight;
    struct qm_activations_parameters p = {pass->rows, width, weight->activation_scales != NULL,
                                          weight->activation_shift};
    struct qm_binding bindings[] = {whole(pass->input.values, rows_of(pass, width)),
                                    whole(e->codes, rows_of(pass, width) / values_per_word(weight->activations)),
                                    whole(e->scales, rows_of(pass, activation_groups(weight))),
                                    weight->activation_scales ? whole(weight->activation_scales, static_count)
                                                              : whole(e->rope_table, 1)};
    qm_weight_conversion_name(weight, name);
    return add(pass, name, &p, bindings);
}

static enum qm_status add_product(struct qm_pass *pass, const struct qm_network_weight *weight,
                                  struct qm_buffer *result)
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
                                     .activation_shift = weight->activation_shift};
    uint64_t result_bytes = rows_of(pass, weight->rows) * 4;
    for (uint32_t i = 0; i < weight->part_count; ++i) {
        const struct qm_weight_part *part = &weight->parts[i];
        uint64_t offset = (uint64_t)part->first * 4; // its outputs in the first row
        p.n = part->rows;
        p.scale_offset = part->scale_offset_words;
        struct qm_binding bindings[] = {{part->buffer, 0, part->bytes},
                                        whole(is_f32 ? pass->input.values : e->codes,
                                              rows_of(pass, weight->columns) / values_per_word(weight->activations)),
                                        whole(e->scales, rows_of(pass, activation_groups(weight))),
                                        {result, offset, result_bytes - offset}};
        QM_TRY(add(pass, name, &p, bindings));
    }
    return QM_OK;
}

static enum qm_status add_residual(struct qm_pass *pass)
{
    struct qm_engine *e = pass->network->engine;
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

static enum qm_status add_attention(struct qm_pass *pass, uint32_t layer)
{
    struct qm_network *network = pass->network;
    struct qm_engine *e = network->engine;
    const struct qm_model_config *c = &e->config;
    uint32_t tokens = pass->params.tokens;
    const float *scales = network->cache_scales[layer];
    struct qm_binding cache = {network->caches[layer], 0, network->cache_bytes};
    struct qm_binding table = whole(e->rope_table, (uint64_t)c->context * c->head_dim);
    struct qm_binding q = whole(e->q, rows_of(pass, c->heads * c->head_dim));
    struct qm_binding k = whole(e->k, rows_of(pass, c->kv_heads * c->head_dim));
    struct qm_binding v = whole(e->v, rows_of(pass, c->kv_heads * c->head_dim));

    char write_name[QM_VARIANT_NAME_BYTES], attention_name[QM_VARIANT_NAME_BYTES], rope_name[QM_VARIANT_NAME_BYTES];
    qm_network_rope_name(network, rope_name);
    qm_network_cache_name(network, "kv_write", write_name);
    qm_network_cache_name(network, "attention", attention_name);

    struct qm_rope_parameters rope_q = {pass->rows, c->heads, tokens}, rope_k = {pass->rows, c->kv_heads, tokens};
    QM_TRY(add(pass, rope_name, &rope_q, (struct qm_binding[]){table, q}));
    QM_TRY(add(pass, rope_name, &rope_k, (struct qm_binding[]){table, k}));
    struct qm_kv_write_parameters write_k = {.rows = pass->rows,
                                             .kv_heads = c->kv_heads,
                                             .tokens_per_sequence = tokens,
                                             .context = c->context,
                                             .base = network->k_base,
                                             .scale_base = network->k_scale_base,
                                             .exact_base = network->k_exact_base,
                                             .exact_length = network->exact_length,
                                             .inverse_scale = 1.0f / scales[QM_CACHED_KEYS]};
    struct qm_kv_write_parameters write_v = write_k;
    write_v.inverse_scale = 1.0f / scales[QM_CACHED_VALUES];
    write_v.base = network->v_base;
    write_v.scale_base = network->v_scale_base;
    write_v.exact_base = network->v_exact_base;
    mark_cached(pass, e->k, layer, QM_CACHED_KEYS);
    if (qm_network_has_key_blocks(network)) { // all keys exact, codes of whole blocks
        write_k.base = network->k_exact_base;
        char exact_name[QM_VARIANT_NAME_BYTES];
        qm_network_exact_keys_name(network, exact_name);
        QM_TRY(add(pass, exact_name, &write_k, (struct qm_binding[]){k, cache}));
        QM_TRY(add_key_blocks(pass, cache));
    } else {
        QM_TRY(add(pass, write_name, &write_k, (struct qm_binding[]){k, cache}));
    }
    mark_cached(pass, e->v, layer, QM_CACHED_VALUES);
    QM_TRY(add(pass, write_name, &write_v, (struct qm_binding[]){v, cache}));
    struct qm_attention_parameters attention = {.rows = pass->rows,
                                                .heads = c->heads,
                                                .kv_heads = c->kv_heads,
                                                .tokens_per_sequence = tokens,
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
    struct qm_binding attended = whole(e->attended, rows_of(pass, c->attention));
    return add(pass, attention_name, &attention, (struct qm_binding[]){q, cache, attended});
}

// Queries, keys and values, with what the architecture does to them before the rotary embedding.
static enum qm_status add_queries(struct qm_pass *pass, uint32_t layer)
{
    struct qm_network *n = pass->network;
    struct qm_engine *e = n->engine;
    const struct qm_model_config *c = &e->config;
    bool has_norm = qm_architecture_has(c->architecture, QM_ROLE_Q_NORM);
    const struct {
        enum qm_role weight, bias;
        struct qm_buffer *to;
    } parts[] = {{QM_ROLE_Q, QM_ROLE_Q_BIAS, has_norm ? e->raw_q : e->q},
                 {QM_ROLE_K, QM_ROLE_K_BIAS, has_norm ? e->raw_k : e->k},
                 {QM_ROLE_V, QM_ROLE_V_BIAS, e->v}};
    for (int i = 0; i < 3; ++i) {
        QM_TRY(add_product(pass, weight_of(n, parts[i].weight, layer), parts[i].to));
        if (qm_architecture_has(c->architecture, parts[i].bias))
            QM_TRY(add_bias(pass, weight_of(n, parts[i].bias, layer), parts[i].to));
    }
    if (!has_norm)
        return QM_OK;
    QM_TRY(add_head_norm(pass, weight_of(n, QM_ROLE_Q_NORM, layer), c->heads, e->raw_q, e->q));
    return add_head_norm(pass, weight_of(n, QM_ROLE_K_NORM, layer), c->kv_heads, e->raw_k, e->k);
}

static enum qm_status add_layer(struct qm_pass *pass, uint32_t layer)
{
    struct qm_network *n = pass->network;
    struct qm_engine *e = n->engine;
    const struct qm_model_config *c = &e->config;
    QM_TRY(add_norm(pass, weight_of(n, QM_ROLE_INPUT_NORM, layer)));
    set_input(pass, e->normed, c->hidden, layer, QM_INPUT_ATTENTION);
    QM_TRY(add_queries(pass, layer));
    QM_TRY(add_attention(pass, layer));
    set_input(pass, e->attended, c->attention, layer, QM_INPUT_ATTENTION_OUTPUT);
    QM_TRY(add_product(pass, weight_of(n, QM_ROLE_O, layer), e->projected));
    QM_TRY(add_residual(pass));
    QM_TRY(add_norm(pass, weight_of(n, QM_ROLE_POST_NORM, layer)));
    set_input(pass, e->normed, c->hidden, layer, QM_INPUT_MLP);
    QM_TRY(add_product(pass, weight_of(n, QM_ROLE_GATE, layer), e->gate));
    QM_TRY(add_product(pass, weight_of(n, QM_ROLE_UP, layer), e->up));
    uint64_t gated = rows_of(pass, c->intermediate);
    struct qm_swiglu_parameters p = {(uint32_t)gated};
    QM_TRY(add(pass, "swiglu", &p,
               (struct qm_binding[]){whole(e->gate, gated), whole(e->up, gated), whole(e->gated, gated)}));
    set_input(pass, e->gated, c->intermediate, layer, QM_INPUT_DOWN);
    QM_TRY(add_product(pass, weight_of(n, QM_ROLE_DOWN, layer), e->projected));
    return add_residual(pass);
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
    QM_TRY(add_norm(pass, weight_of(n, QM_ROLE_FINAL_NORM, 0)));
    set_input(pass, e->normed, c->hidden, 0, QM_INPUT_HEAD);
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
    pass->taps = calloc((size_t)network->engine->config.layers * TAPS_PER_LAYER + 1, sizeof(*pass->taps));
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

enum qm_status qm_pass_create(struct qm_network *network, const struct qm_pass_params *params, struct qm_pass **out)
{
    *out = NULL;
    struct qm_engine *e = network->engine;
    uint64_t rows = (uint64_t)params->batch * params->tokens;
    if (rows < 1 || rows > e->params.rows || params->batch > e->params.sequences || params->tokens > e->config.context)
        return QM_FAIL(QM_INVALID,
                       "a pass of %u sequences by %u tokens does not fit an engine of %u rows, %u sequences "
                       "and a context of %u",
                       params->batch, params->tokens, e->params.rows, e->params.sequences, e->config.context);
    enum qm_status status = QM_OK;
    size_t capacity = 32 + (size_t)e->config.layers * 40;
    for (size_t i = 0; i < network->weight_count; ++i)
        capacity += network->weights[i].part_count - 1;
    struct qm_pass *pass = create_empty(network, params, capacity);
    if (!pass)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for a pass");
    QM_GUARD(add_all(pass));
    QM_GUARD(record(pass));
    *out = pass;
    pass = NULL;
done:
    qm_pass_destroy(&pass);
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
    set_input(pass, weight->columns == e->config.intermediate ? e->gated : e->normed, weight->columns, 0, QM_INPUT_MLP);
    if (repeats == 0) {
        QM_GUARD(convert_input(pass, weight));
        // Activations that are multiplied as they are need no conversion, and a program needs a dispatch.
        const struct qm_advance_parameters stay = {0, 0, 0};
        QM_GUARD(add(pass, "advance", &stay, (struct qm_binding[]){whole(e->step, QM_STEP_HEAD_WORDS)}));
    }
    pass->input.converted_for = weight;
    struct qm_buffer *result = weight->rows == e->config.hidden ? e->projected : e->gate;
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

enum qm_status qm_pass_run(struct qm_pass *pass, const struct qm_pass_start *start, uint32_t repeats,
                           const struct qm_run_policy *policy, struct qm_timing *timing)
{
    struct qm_device *device = pass->network->engine->params.device;
    QM_TRY(qm_step_write(pass->network->engine, &pass->params, *start, repeats));
    return device->fns->run(device, pass->program, repeats, policy, timing);
}

enum qm_status qm_pass_run_each(struct qm_pass *pass, const struct qm_pass_start *starts, uint32_t repeats,
                                const struct qm_run_policy *policy, struct qm_timing *timing)
{
    struct qm_device *device = pass->network->engine->params.device;
    QM_TRY(qm_step_write_each(pass->network->engine, &pass->params, starts, repeats));
    return device->fns->run(device, pass->program, repeats, policy, timing);
}

enum qm_status qm_pass_fit_policy(struct qm_pass *pass, const struct qm_pass_start *start, uint64_t limit_ns,
                                  uint32_t most_dispatches, struct qm_run_policy *out)
{
    // Begin small: a submission that is too long may already be one that the watchdog kills.
    struct qm_run_policy trial = {.dispatches_per_submission = 4, .repeats_per_submission = 1};
    struct qm_timing timing = {0};
    QM_TRY(qm_pass_run(pass, start, 1, &trial, &timing)); // the first run may compile
    QM_TRY(qm_pass_run(pass, start, 1, &trial, &timing));
    uint64_t pass_ns = timing.wall_ns > 0 ? timing.wall_ns : 1;
    out->dispatches_per_submission = 0;
    out->repeats_per_submission = 1;
    if (pass_ns > limit_ns) {
        // Dispatches differ in length; half of the even share leaves room.
        uint64_t share = pass->count * limit_ns / pass_ns / 2;
        out->dispatches_per_submission = share > 1 ? (uint32_t)share : 1;
    } else {
        uint64_t repeats = limit_ns / pass_ns / 2;
        out->repeats_per_submission = repeats < 1 ? 1 : repeats > 16 ? 16 : (uint32_t)repeats;
    }
    if (most_dispatches > 0 &&
        (out->dispatches_per_submission == 0 || out->dispatches_per_submission > most_dispatches))
        out->dispatches_per_submission = most_dispatches;
    return QM_OK;
}

enum qm_status qm_pass_read_logits(struct qm_pass *pass, float *logits)
{
    return qm_pass_read_rows(pass, 0, pass->rows, logits);
}

enum qm_status qm_pass_read_rows(struct qm_pass *pass, uint32_t first, uint32_t count, float *logits)
{
    struct qm_engine *e = pass->network->engine;
    uint64_t row_bytes = (uint64_t)e->config.vocabulary * 4;
    if (count == 0 || first + (uint64_t)count > pass->rows)
        return QM_FAIL(QM_INVALID, "rows %u to %u of a pass of %u", first, first + count, pass->rows);
    return e->params.device->fns->buffer_read(e->params.device, e->logits, first * row_bytes, logits,
                                              count * row_bytes);
}

enum qm_status qm_pass_read_outputs(struct qm_pass *pass, float *log_probabilities, uint32_t *argmaxes)
{
    struct qm_engine *e = pass->network->engine;
    struct qm_device *device = e->params.device;
    if (log_probabilities)
        QM_TRY(device->fns->buffer_read(device, e->log_probabilities, 0, log_probabilities, (uint64_t)pass->rows * 4));
    if (argmaxes)
        QM_TRY(device->fns->buffer_read(device, e->argmaxes, 0, argmaxes, (uint64_t)pass->rows * 4));
    return QM_OK;
}

uint32_t qm_checksum_row(const float *logits, uint32_t vocabulary)
{
    uint32_t sum = 0;
    for (uint32_t v = 0; v < vocabulary; ++v)
        sum += (qm_bits_from_float(logits[v]) ^ (v * 2654435769u)) * 2246822507u;
    return sum;
}

uint64_t qm_checksum_fold(uint64_t fold, uint32_t row_checksum)
{
    return (fold ^ row_checksum) * UINT64_C(0x9E3779B97F4A7C15) + 1;
}

enum qm_status qm_pass_read_checksums(struct qm_pass *pass, uint32_t repeats, uint64_t *checksums)
{
    struct qm_engine *e = pass->network->engine;
    size_t count = (size_t)repeats * pass->rows;
    uint32_t *rows = malloc(count * sizeof(*rows));
    if (!rows)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for %zu checksums", count);
    enum qm_status status = e->params.device->fns->buffer_read(e->params.device, e->checksums, 0, rows, count * 4);
    for (uint32_t repeat = 0; status == QM_OK && repeat < repeats; ++repeat) {
        checksums[repeat] = 0;
        for (uint32_t row = 0; row < pass->rows; ++row)
            checksums[repeat] = qm_checksum_fold(checksums[repeat], rows[(size_t)repeat * pass->rows + row]);
    }
    free(rows);
    return status;
}

enum qm_status qm_pass_observe(struct qm_pass *pass, const struct qm_pass_start *start,
                               struct qm_calibration *calibration)
{
    struct qm_engine *e = pass->network->engine;
    struct qm_device *device = e->params.device;
    const struct qm_run_policy policy = {0, 1};
    enum qm_status status = QM_OK;
    struct qm_program *part = NULL;
    float *values = NULL;
    QM_GUARD(qm_step_write(e, &pass->params, *start, 1));
    size_t done_dispatches = 0;
    for (size_t i = 0; i < pass->tap_count; ++i) {
        const struct tap *tap = &pass->taps[i];
        struct qm_program_params params = {pass->dispatches + done_dispatches, tap->before - done_dispatches, e->step};
        struct qm_timing timing = {0};
        QM_GUARD(device->fns->program_create(device, &params, &part));
        QM_GUARD(device->fns->run(device, part, 1, &policy, &timing));
        device->fns->program_destroy(device, &part);
        done_dispatches = tap->before;
        free(values);
        values = malloc(tap->count * sizeof(*values));
        if (!values) {
            status = QM_FAIL(QM_OUT_OF_MEMORY, "no host memory to observe activations");
            goto done;
        }
        QM_GUARD(device->fns->buffer_read(device, tap->buffer, 0, values, tap->count * 4));
        uint32_t width = (uint32_t)(tap->count / pass->rows);
        if (tap->is_cached)
            QM_GUARD(qm_calibration_observe_cached(calibration, tap->layer, tap->cached, values, pass->rows, width));
        else
            QM_GUARD(qm_calibration_observe_rows(calibration, tap->layer, tap->input, values, pass->rows, width));
    }
done:
    if (part)
        device->fns->program_destroy(device, &part);
    free(values);
    return status;
}
