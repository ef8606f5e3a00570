#include "model/pass_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/numeric.h"

enum qm_status qm_pass_add(struct qm_pass *pass, const char *name, const void *parameters,
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

// Rows of the stream's width normed by the gain (and bias) of a role, into `normed`.
static enum qm_status add_norm(struct qm_pass *pass, enum qm_role role, uint32_t layer, struct qm_buffer *from)
{
    struct qm_engine *e = pass->network->engine;
    const struct qm_model_config *c = &e->config;
    const struct qm_network_weight *gain = qm_weight_of(pass->network, role, layer);
    const uint64_t count = qm_rows_of(pass, c->hidden);
    const float inverse = 1.0f / (float)c->own.hidden;
    if (!qm_architecture_info(c->architecture)->has_layer_norm) {
        struct qm_rmsnorm_parameters p = {pass->rows, c->hidden, inverse, c->norm_epsilon};
        return qm_pass_add(pass, "rmsnorm", &p,
                           (struct qm_binding[]){qm_whole(from, count), qm_whole(gain->parts[0].buffer, c->hidden),
                                                 qm_whole(e->normed, count)});
    }
    const struct qm_network_weight *bias = qm_weight_of(pass->network, qm_role_bias(role), layer);
    struct qm_layernorm_parameters p = {.rows = pass->rows,
                                        .width = c->hidden,
                                        .stretch = c->hidden / e->widen,
                                        .counted = c->own.hidden / e->widen,
                                        .inverse_count = inverse,
                                        .epsilon = c->norm_epsilon};
    return qm_pass_add(pass, "layernorm", &p,
                       (struct qm_binding[]){qm_whole(from, count), qm_whole(gain->parts[0].buffer, c->hidden),
                                             qm_whole(bias->parts[0].buffer, c->hidden), qm_whole(e->normed, count)});
}

enum qm_status qm_pass_add_bias(struct qm_pass *pass, const struct qm_network_weight *bias, struct qm_rows values)
{
    uint64_t count = qm_rows_of(pass, bias->columns);
    struct qm_bias_parameters p = {(uint32_t)count, bias->columns};
    return qm_pass_add(pass, "bias", &p,
                       (struct qm_binding[]){qm_window(values, count), qm_whole(bias->parts[0].buffer, bias->columns)});
}

void qm_pass_add_tap(struct qm_pass *pass, struct qm_rows rows, uint32_t width, uint32_t layer, struct qm_tap what)
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
    qm_pass_add_tap(pass, values, values.stride, layer, (struct qm_tap){.input = input});
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
    return qm_whole(pass->network->engine->codes,
                    qm_rows_of(pass, weight->columns) / values_per_word(weight->activations));
}

static struct qm_binding scales_of(const struct qm_pass *pass, const struct qm_network_weight *weight)
{
    return qm_whole(pass->network->engine->scales, qm_rows_of(pass, activation_groups(weight)));
}

static struct qm_binding static_scales_of(const struct qm_pass *pass, const struct qm_network_weight *weight)
{
    const struct qm_engine *e = pass->network->engine;
    return weight->activation_scales ? qm_whole(weight->activation_scales, weight->activation_scale_count * e->widen)
                                     : qm_whole(e->rope_table, 1);
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
    struct qm_binding bindings[] = {qm_window(pass->input.values, qm_rows_of(pass, width)), codes_of(pass, weight),
                                    scales_of(pass, weight), static_scales_of(pass, weight)};
    qm_weight_conversion_name(weight, "activations", name);
    return qm_pass_add(pass, name, &p, bindings);
}

enum qm_status qm_pass_add_product(struct qm_pass *pass, const struct qm_network_weight *weight, struct qm_rows to,
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
    uint64_t result_bytes = qm_rows_of(pass, weight->rows) * 4;
    for (uint32_t i = 0; i < weight->part_count; ++i) {
        const struct qm_weight_part *part = &weight->parts[i];
        uint64_t offset = (uint64_t)part->first * 4; // its outputs in the first row
        p.n = part->rows;
        p.scale_offset = part->scale_offset_words;
        struct qm_binding bindings[] = {{part->buffer, 0, part->bytes},
                                        is_f32 ? qm_window(pass->input.values, qm_rows_of(pass, weight->columns))
                                               : codes_of(pass, weight),
                                        qm_whole(e->scales, qm_rows_of(pass, activation_groups(weight))),
                                        {to.buffer, 4 * (uint64_t)to.from + offset, result_bytes - offset}};
        QM_TRY(qm_pass_add(pass, name, &p, bindings));
    }
    return QM_OK;
}

static enum qm_status add_product(struct qm_pass *pass, const struct qm_network_weight *weight,
                                  struct qm_buffer *result)
{
    return qm_pass_add_product(pass, weight, qm_side_by_side(result, weight->rows), false);
}

// A product that the residual stream takes up, with its bias, behind a norm where the architecture has one.
static enum qm_status add_residual(struct qm_pass *pass, enum qm_role role, enum qm_role norm, uint32_t layer)
{
    struct qm_engine *e = pass->network->engine;
    const struct qm_network_weight *weight = qm_weight_of(pass->network, role, layer);
    const enum qm_architecture architecture = e->config.architecture;
    bool has_bias = qm_architecture_has(architecture, qm_role_bias(role));
    bool has_norm = qm_architecture_has(architecture, norm);
    if (!e->params.is_unfused && !has_bias && !has_norm)
        return qm_pass_add_product(pass, weight, qm_side_by_side(e->x, weight->rows), true);
    QM_TRY(add_product(pass, weight, e->projected));
    if (has_bias)
        QM_TRY(qm_pass_add_bias(pass, qm_weight_of(pass->network, qm_role_bias(role), layer),
                                qm_side_by_side(e->projected, weight->rows)));
    if (has_norm)
        QM_TRY(add_norm(pass, norm, layer, e->projected));
    uint64_t count = qm_rows_of(pass, e->config.hidden);
    struct qm_residual_parameters p = {(uint32_t)count};
    struct qm_binding bindings[] = {qm_whole(e->x, count), qm_whole(has_norm ? e->normed : e->projected, count)};
    return qm_pass_add(pass, "residual", &p, bindings);
}

// The residual stream, normed where the architecture has that norm, as the products that follow read it.
static enum qm_status add_normed_input(struct qm_pass *pass, enum qm_role norm, uint32_t layer, enum qm_input input)
{
    struct qm_engine *e = pass->network->engine;
    uint32_t hidden = e->config.hidden;
    char name[QM_VARIANT_NAME_BYTES];
    if (!qm_architecture_has(e->config.architecture, norm)) {
        set_input(pass, qm_side_by_side(e->x, hidden), layer, input);
        return QM_OK;
    }
    const struct qm_network_weight *gain = qm_weight_of(pass->network, norm, layer);
    const struct qm_network_weight *reader = qm_weight_of(pass->network, qm_input_reader(&e->config, input), layer);
    if (pass->keeps_inputs || !qm_network_fuses_input(pass->network, input, layer)) {
        QM_TRY(add_norm(pass, norm, layer, e->x));
        set_input(pass, qm_side_by_side(e->normed, hidden), layer, input);
        return QM_OK;
    }
    struct qm_norm_activations_parameters p = {.rows = pass->rows,
                                               .width = hidden,
                                               .inverse_width = 1.0f / (float)e->config.own.hidden,
                                               .epsilon = e->config.norm_epsilon,
                                               .is_static = reader->activation_scales != NULL,
                                               .shift = reader->activation_shift};
    struct qm_binding bindings[] = {qm_whole(e->x, qm_rows_of(pass, hidden)),
                                    {gain->parts[0].buffer, 0, gain->parts[0].bytes},
                                    codes_of(pass, reader),
                                    scales_of(pass, reader)};
    pass->input.converted_for = reader;
    qm_weight_conversion_name(reader, "norm_activations", name);
    return qm_pass_add(pass, name, &p, bindings);
}

// Gate and up, or up alone, and what down reads of them.
static enum qm_status add_gated(struct qm_pass *pass, uint32_t layer)
{
    struct qm_network *n = pass->network;
    struct qm_engine *e = n->engine;
    uint32_t width = e->config.intermediate;
    const struct qm_network_weight *merged = &n->merged[layer][QM_MERGE_GATE_UP];
    const struct qm_network_weight *down = qm_weight_of(n, QM_ROLE_DOWN, layer);
    uint32_t up_from = merged->part_count > 0 ? width : qm_behind(qm_rows_of(pass, width));
    uint32_t stride = merged->part_count > 0 ? 2 * width : width;
    uint32_t end = up_from + (uint32_t)qm_rows_of(pass, stride) - (stride - width), gated_from = qm_behind(end);
    struct qm_rows gated = {e->gate_up, gated_from, width};
    char name[QM_VARIANT_NAME_BYTES];
    if (!qm_architecture_has(e->config.architecture, QM_ROLE_GATE)) {
        up_from = 0;
        end = (uint32_t)qm_rows_of(pass, width);
        QM_TRY(add_product(pass, qm_weight_of(n, QM_ROLE_UP, layer), e->gate_up));
        if (qm_architecture_has(e->config.architecture, QM_ROLE_UP_BIAS))
            QM_TRY(qm_pass_add_bias(pass, qm_weight_of(n, QM_ROLE_UP_BIAS, layer), qm_side_by_side(e->gate_up, width)));
    } else if (merged->part_count > 0) {
        QM_TRY(add_product(pass, merged, e->gate_up));
    } else {
        QM_TRY(add_product(pass, qm_weight_of(n, QM_ROLE_GATE, layer), e->gate_up));
        QM_TRY(qm_pass_add_product(pass, qm_weight_of(n, QM_ROLE_UP, layer),
                                   (struct qm_rows){e->gate_up, up_from, width}, false));
    }
    if (pass->keeps_inputs || !qm_network_fuses_input(n, QM_INPUT_DOWN, layer)) {
        uint64_t count = qm_rows_of(pass, width);
        struct qm_swiglu_parameters p = {(uint32_t)count, width, stride, up_from};
        QM_TRY(qm_pass_add(pass, qm_network_mlp_name(&e->config), &p,
                           (struct qm_binding[]){qm_whole(e->gate_up, end), qm_window(gated, count)}));
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
    return qm_pass_add(pass, name, &p,
                       (struct qm_binding[]){qm_whole(e->gate_up, gated_from + qm_rows_of(pass, width)),
                                             codes_of(pass, down), scales_of(pass, down),
                                             static_scales_of(pass, down)});
}

// What an architecture has of this its roles say.
static enum qm_status add_layer(struct qm_pass *pass, uint32_t layer)
{
    struct qm_engine *e = pass->network->engine;
    QM_TRY(add_normed_input(pass, QM_ROLE_INPUT_NORM, layer, QM_INPUT_ATTENTION));
    QM_TRY(qm_pass_add_attention(pass, layer));
    set_input(pass, qm_side_by_side(e->attended, e->config.attention), layer, QM_INPUT_ATTENTION_OUTPUT);
    QM_TRY(add_residual(pass, QM_ROLE_O, QM_ROLE_ATTENTION_NORM, layer));
    QM_TRY(add_normed_input(pass, QM_ROLE_POST_NORM, layer, QM_INPUT_MLP));
    QM_TRY(add_gated(pass, layer));
    return add_residual(pass, QM_ROLE_DOWN, QM_ROLE_MLP_NORM, layer);
}

// The embedding and, where the architecture has them, learned positions; a table may lie in parts.
static enum qm_status add_embedding(struct qm_pass *pass)
{
    struct qm_network *n = pass->network;
    struct qm_engine *e = n->engine;
    const struct qm_model_config *c = &e->config;
    static const enum qm_role tables[] = {QM_ROLE_EMBEDDING, QM_ROLE_POSITIONS};
    const uint32_t stride = c->context + 1;
    for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); ++t) {
        char name[QM_VARIANT_NAME_BYTES] = "embedding-positions-f32";
        if (!qm_architecture_has(c->architecture, tables[t]))
            continue;
        if (tables[t] == QM_ROLE_EMBEDDING)
            qm_network_embedding_name(n, name);
        const struct qm_network_weight *table = qm_weight_of(n, tables[t], 0);
        for (uint32_t i = 0; i < table->part_count; ++i) {
            const struct qm_weight_part *part = &table->parts[i];
            struct qm_embedding_parameters p = {.rows = pass->rows,
                                                .width = c->hidden,
                                                .tokens_per_sequence = pass->params.tokens,
                                                .token_stride = stride,
                                                .first = part->first,
                                                .count = part->rows,
                                                .multiplier = qm_model_embedding_scale(c, e->widen)};
            QM_TRY(qm_pass_add(pass, name, &p,
                               (struct qm_binding[]){qm_whole(e->tokens, (uint64_t)e->params.sequences * stride),
                                                     {part->buffer, 0, part->bytes},
                                                     qm_whole(e->x, qm_rows_of(pass, c->hidden))}));
        }
    }
    return QM_OK;
}

static enum qm_status add_all(struct qm_pass *pass)
{
    struct qm_network *n = pass->network;
    struct qm_engine *e = n->engine;
    const struct qm_model_config *c = &e->config;
    uint32_t rows = pass->rows, tokens = pass->params.tokens, stride = c->context + 1;
    struct qm_binding token_table = qm_whole(e->tokens, (uint64_t)e->params.sequences * stride);
    struct qm_binding logits = qm_whole(e->logits, qm_rows_of(pass, c->vocabulary));

    QM_TRY(add_embedding(pass));
    for (uint32_t layer = 0; layer < c->layers; ++layer)
        QM_TRY(add_layer(pass, layer));
    QM_TRY(add_normed_input(pass, QM_ROLE_FINAL_NORM, 0, QM_INPUT_HEAD));
    QM_TRY(add_product(pass, qm_weight_of(n, QM_ROLE_HEAD, 0), e->logits));

    if (c->logit_cap > 0) {
        struct qm_softcap_parameters cap = {(uint32_t)qm_rows_of(pass, c->vocabulary), (float)c->logit_cap,
                                            (float)(1 / c->logit_cap)};
        QM_TRY(qm_pass_add(pass, "softcap", &cap, (struct qm_binding[]){logits}));
    }
    struct qm_log_softmax_parameters log_softmax = {rows, c->vocabulary, tokens, stride};
    QM_TRY(qm_pass_add(pass, "log_softmax", &log_softmax,
                       (struct qm_binding[]){logits, token_table, qm_whole(e->log_probabilities, rows)}));
    struct qm_argmax_parameters argmax = {rows, c->vocabulary};
    QM_TRY(qm_pass_add(pass, "argmax", &argmax, (struct qm_binding[]){logits, qm_whole(e->argmaxes, rows)}));
    struct qm_checksum_parameters checksum = {rows, c->vocabulary};
    QM_TRY(
        qm_pass_add(pass, "checksum", &checksum,
                    (struct qm_binding[]){logits, qm_whole(e->checksums, (uint64_t)e->params.rows * e->params.slots)}));
    struct qm_advance_parameters advance = {pass->params.position_increment, pass->params.sequence_increment, 1};
    return qm_pass_add(pass, "advance", &advance, (struct qm_binding[]){qm_whole(e->step, QM_STEP_HEAD_WORDS)});
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
    set_input(pass, qm_side_by_side(input, weight->columns), 0, QM_INPUT_MLP);
    if (repeats == 0) {
        QM_GUARD(convert_input(pass, weight));
        // Activations that are multiplied as they are need no conversion, and a program needs a dispatch.
        const struct qm_advance_parameters stay = {0, 0, 0};
        QM_GUARD(qm_pass_add(pass, "advance", &stay, (struct qm_binding[]){qm_whole(e->step, QM_STEP_HEAD_WORDS)}));
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
