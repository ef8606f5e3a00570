#include "model/host_pass.h"

#include <stdlib.h>
#include <string.h>

#include "model/host_attention.h"
#include "model/host_rows.h"
#include "model/padding.h"
#include "sys/parallel.h"

// All activations are [tokens][width]. The two halves of a layer, attention and the MLP, use the same memory one after
// the other.
struct qm_host_pass {
    struct qm_host_pass_params params;
    size_t tokens;
    uint32_t layers_done;
    float *x;      // the residual stream
    float *normed; // what products read
    float *room;   // q, k, v, attention's output; or gate and up
    float *rotary; // tables, from position 0 on
    uint32_t q_width, kv_width;
};

static uint64_t room_width(const struct qm_host_weights *w)
{
    uint64_t attention = (uint64_t)(w->config.heads + 2 * w->config.kv_heads) * w->head_dim + w->attention;
    uint64_t mlp = 2 * (uint64_t)w->intermediate;
    return attention > mlp ? attention : mlp;
}

uint64_t qm_host_pass_token_bytes(const struct qm_host_weights *weights)
{
    return (2 * (uint64_t)weights->hidden + room_width(weights)) * sizeof(float);
}

uint64_t qm_host_pass_thread_bytes(const struct qm_host_weights *weights, uint32_t window_tokens)
{
    (void)weights;
    return qm_host_attention_thread_bytes(window_tokens);
}

static enum qm_status read_embedding(struct qm_host_pass *pass)
{
    struct qm_host_weights *weights = pass->params.weights;
    const uint32_t hidden = weights->hidden;
    const float scale = qm_model_embedding_scale(&weights->config, 1);
    const bool has_positions = qm_architecture_has(weights->config.architecture, QM_ROLE_POSITIONS);
    for (size_t t = 0; t < pass->tokens; ++t) {
        uint32_t token = pass->params.tokens[t];
        const float *row;
        if (token >= weights->config.vocabulary)
            return QM_FAIL(QM_INVALID, "token %u at window %zu, position %zu is outside the vocabulary of %u", token,
                           t / pass->params.window_tokens, t % pass->params.window_tokens, weights->config.vocabulary);
        QM_TRY(qm_host_weights_rows(weights, QM_ROLE_EMBEDDING, 0, token, 1, &row));
        float *x = pass->x + t * hidden;
        for (uint32_t i = 0; i < hidden; ++i)
            x[i] = row[i] * scale;
        if (!has_positions)
            continue;
        uint32_t position = pass->params.position + (uint32_t)(t % pass->params.window_tokens);
        QM_TRY(qm_host_weights_rows(weights, QM_ROLE_POSITIONS, 0, position, 1, &row));
        for (uint32_t i = 0; i < hidden; ++i)
            x[i] += row[i];
    }
    return QM_OK;
}

static size_t rotary_values(const struct qm_host_pass *pass) // of a table
{
    return ((size_t)pass->params.position + pass->params.window_tokens) * pass->params.weights->head_dim;
}

static enum qm_status make_rotary_table(struct qm_host_pass *pass)
{
    const struct qm_host_weights *weights = pass->params.weights;
    uint32_t half = weights->head_dim / 2, turned = weights->config.own.head_dim / 2;
    double *frequencies = malloc((half + 1) * sizeof(*frequencies));
    if (!frequencies)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a rotary table");
    for (uint32_t table = 0; table < qm_model_rope_tables(&weights->config); ++table) {
        for (uint32_t i = 0; i < turned; ++i)
            frequencies[i] = qm_model_rope_frequency(&weights->config, table, i);
        qm_host_rotary_table(pass->rotary + table * rotary_values(pass),
                             pass->params.position + pass->params.window_tokens, half, turned, frequencies);
    }
    free(frequencies);
    return QM_OK;
}

uint64_t qm_host_cache_window_bytes(const struct qm_host_weights *weights, uint32_t positions)
{
    return 2 * sizeof(float) * weights->config.layers * (uint64_t)positions * weights->config.kv_heads *
           weights->head_dim;
}

enum qm_status qm_host_cache_create(const struct qm_host_weights *weights, uint32_t windows, uint32_t positions,
                                    struct qm_host_cache *out)
{
    *out = (struct qm_host_cache){.windows = windows,
                                  .positions = positions,
                                  .layers = weights->config.layers,
                                  .width = weights->config.kv_heads * weights->head_dim};
    size_t bytes = windows * (size_t)qm_host_cache_window_bytes(weights, positions) / 2;
    out->keys = malloc(bytes);
    out->values = malloc(bytes);
    if (out->keys && out->values)
        return QM_OK;
    qm_host_cache_free(out);
    return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for keys and values of %u tokens", windows * positions);
}

void qm_host_cache_free(struct qm_host_cache *cache)
{
    free(cache->keys);
    free(cache->values);
    *cache = (struct qm_host_cache){0};
}

static enum qm_status check_positions(const struct qm_host_pass_params *params)
{
    const uint32_t context = params->weights->config.context;
    const uint64_t end = (uint64_t)params->position + params->window_tokens;
    const struct qm_host_cache *cache = params->cache;
    if (end > context)
        return QM_FAIL(QM_INVALID, "windows of %llu tokens exceed the model's context of %u", (unsigned long long)end,
                       context);
    if (cache ? end > cache->positions || params->windows > cache->windows || params->calibration != NULL
              : params->position > 0)
        return QM_FAIL(QM_INVALID, "%u windows of %llu tokens do not fit a cache of %u with %u", params->windows,
                       (unsigned long long)end, cache ? cache->windows : 0, cache ? cache->positions : 0);
    return QM_OK;
}

enum qm_status qm_host_pass_create(const struct qm_host_pass_params *params, struct qm_host_pass **out)
{
    const struct qm_host_weights *weights = params->weights;
    const struct qm_model_config *config = &weights->config;
    enum qm_status status = QM_OK;
    *out = NULL;
    QM_TRY(check_positions(params));
    struct qm_host_pass *pass = calloc(1, sizeof(*pass));
    if (!pass)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a pass");
    pass->params = *params;
    pass->tokens = (size_t)params->windows * params->window_tokens;
    pass->q_width = config->heads * weights->head_dim;
    pass->kv_width = config->kv_heads * weights->head_dim;
    pass->x = malloc(pass->tokens * weights->hidden * sizeof(float));
    pass->normed = malloc(pass->tokens * weights->hidden * sizeof(float));
    pass->room = malloc(pass->tokens * room_width(weights) * sizeof(float));
    pass->rotary = malloc(rotary_values(pass) * qm_model_rope_tables(config) * sizeof(float));
    if (!pass->x || !pass->normed || !pass->room || !pass->rotary)
        QM_GUARD(QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the activations of %zu tokens", pass->tokens));
    QM_GUARD(make_rotary_table(pass));
    QM_GUARD(read_embedding(pass));
    *out = pass;
    pass = NULL;
done:
    qm_host_pass_destroy(&pass);
    return status;
}

void qm_host_pass_destroy(struct qm_host_pass **pass)
{
    if (!*pass)
        return;
    free((*pass)->x);
    free((*pass)->normed);
    free((*pass)->room);
    free((*pass)->rotary);
    free(*pass);
    *pass = NULL;
}

uint32_t qm_host_pass_layers_done(const struct qm_host_pass *pass)
{
    return pass->layers_done;
}

float *qm_host_pass_residual(struct qm_host_pass *pass, size_t *count)
{
    *count = pass->tokens * pass->params.weights->hidden;
    return pass->x;
}

float *qm_host_pass_room(struct qm_host_pass *pass, size_t *count)
{
    *count = pass->tokens * room_width(pass->params.weights);
    return pass->room;
}

void qm_host_pass_set_layers_done(struct qm_host_pass *pass, uint32_t layers)
{
    pass->layers_done = layers;
}

// ---- A layer --------------------------------------------------------------------------------------------------------

// out [count][rows of the weight] = in weight', block by block of the weight's rows.
static enum qm_status multiply(struct qm_host_pass *pass, enum qm_role role, const float *in, size_t count, float *out,
                               bool adds)
{
    struct qm_host_weights *weights = pass->params.weights;
    uint32_t rows, columns, most = qm_host_weights_rows_max(weights, role);
    qm_host_weights_shape(weights, role, &rows, &columns);
    for (uint32_t first = 0; first < rows; first += most) {
        uint32_t some = rows - first < most ? rows - first : most;
        const float *values;
        QM_TRY(qm_host_weights_rows(weights, role, pass->layers_done, first, some, &values));
        qm_host_multiply(pass->params.blas, &(struct qm_host_product){.m = count,
                                                                      .n = some,
                                                                      .k = columns,
                                                                      .a = in,
                                                                      .a_stride = columns,
                                                                      .b = values,
                                                                      .b_stride = columns,
                                                                      .c = out + first,
                                                                      .c_stride = rows,
                                                                      .adds = adds});
    }
    return QM_OK;
}

// The bias of a role, where the architecture has one.
static enum qm_status add_bias(struct qm_host_pass *pass, enum qm_role role, size_t count, uint32_t width, float *out)
{
    struct qm_host_weights *weights = pass->params.weights;
    const float *values;
    if (!qm_architecture_has(weights->config.architecture, qm_role_bias(role)))
        return QM_OK;
    QM_TRY(qm_host_weights_rows(weights, qm_role_bias(role), pass->layers_done, 0, 1, &values));
    qm_host_add_bias(out, count, width, values);
    return QM_OK;
}

// Rows of the stream's width by the norm of a role, into `normed`; of `index`ed rows where that is given. A copy where the
// architecture has no such norm.
static enum qm_status norm(struct qm_host_pass *pass, enum qm_role role, const float *x, const uint32_t *index,
                           size_t count)
{
    struct qm_host_weights *weights = pass->params.weights;
    const struct qm_model_config *config = &weights->config;
    const float *gain;
    if (!qm_architecture_has(config->architecture, role)) {
        memcpy(pass->normed, x, count * weights->hidden * sizeof(*x));
        return QM_OK;
    }
    QM_TRY(qm_host_weights_rows(weights, role, pass->layers_done, 0, 1, &gain));
    qm_host_norm(&(struct qm_host_norm){.x = x,
                                        .index = index,
                                        .count = count,
                                        .width = weights->hidden,
                                        .divisor = config->own.hidden,
                                        .epsilon = config->norm_epsilon,
                                        .takes_mean_off = qm_architecture_info(config->architecture)->has_layer_norm,
                                        .gain = gain,
                                        .out = pass->normed});
    return add_bias(pass, role, count, weights->hidden, pass->normed);
}

// A product that the stream takes up, behind its bias and the norm of what it gives.
static enum qm_status add_residual(struct qm_host_pass *pass, enum qm_role role, enum qm_role norm_role,
                                   const float *in)
{
    struct qm_host_weights *weights = pass->params.weights;
    const size_t count = pass->tokens * weights->hidden;
    if (!qm_architecture_has(weights->config.architecture, norm_role)) {
        QM_TRY(multiply(pass, role, in, pass->tokens, pass->x, true));
        return add_bias(pass, role, pass->tokens, weights->hidden, pass->x);
    }
    QM_TRY(multiply(pass, role, in, pass->tokens, pass->normed, false));
    QM_TRY(add_bias(pass, role, pass->tokens, weights->hidden, pass->normed));
    QM_TRY(norm(pass, norm_role, pass->normed, NULL, pass->tokens));
    for (size_t i = 0; i < count; ++i)
        pass->x[i] += pass->normed[i];
    return QM_OK;
}

// Queries or keys: the product, its bias, the norm of each head or of all of them.
static enum qm_status project(struct qm_host_pass *pass, enum qm_role role, enum qm_role norm_role, uint32_t heads,
                              float *out)
{
    struct qm_host_weights *weights = pass->params.weights;
    enum qm_architecture architecture = weights->config.architecture;
    const uint32_t together = qm_architecture_info(architecture)->has_wide_head_norm ? heads : 1;
    const float *values;
    QM_TRY(multiply(pass, role, pass->normed, pass->tokens, out, false));
    QM_TRY(add_bias(pass, role, pass->tokens, heads * weights->head_dim, out));
    if (norm_role != QM_ROLE_COUNT && qm_architecture_has(architecture, norm_role)) {
        QM_TRY(qm_host_weights_rows(weights, norm_role, pass->layers_done, 0, 1, &values));
        qm_host_norm(&(struct qm_host_norm){.x = out,
                                            .count = pass->tokens * (heads / together),
                                            .width = together * weights->head_dim,
                                            .divisor = together * weights->config.own.head_dim,
                                            .epsilon = weights->config.norm_epsilon,
                                            .gain = values,
                                            .out = out});
    }
    return QM_OK;
}

// What a calibration is shown: an input, or keys or values.
struct shown {
    bool is_cached;
    enum qm_input input;
    enum qm_cached cached;
    enum qm_padding padding;
    uint32_t width, device_width;
};

static enum qm_status observe_rows(struct qm_host_pass *pass, const struct shown *shown, const float *values,
                                   size_t rows, uint32_t width)
{
    struct qm_calibration *calibration = pass->params.calibration;
    if (shown->is_cached)
        return qm_calibration_observe_cached(calibration, pass->layers_done, shown->cached, values, rows, width);
    return qm_calibration_observe_rows(calibration, pass->layers_done, shown->input, values, rows, width);
}

// Collectors have the sizes on devices, whose padding files do not have.
static enum qm_status observe(struct qm_host_pass *pass, const struct shown *shown, const float *values)
{
    const struct qm_host_weights *weights = pass->params.weights;
    if (!pass->params.calibration)
        return QM_OK;
    if (weights->model || !qm_model_config_is_padded(&weights->config))
        return observe_rows(pass, shown, values, pass->tokens, shown->width);
    enum {
        ROWS = 256
    };
    float *padded = calloc((size_t)ROWS * shown->device_width, sizeof(*padded));
    enum qm_status status = padded ? QM_OK : QM_FAIL(QM_OUT_OF_MEMORY, "no memory to observe activations");
    for (size_t first = 0; first < pass->tokens && status == QM_OK; first += ROWS) {
        size_t rows = pass->tokens - first < ROWS ? pass->tokens - first : ROWS;
        for (size_t row = 0; row < rows; ++row)
            for (uint32_t i = 0; i < shown->width; ++i)
                padded[row * shown->device_width + qm_padding_place(&weights->config, shown->padding, i)] =
                    values[(first + row) * shown->width + i];
        status = observe_rows(pass, shown, padded, rows, shown->device_width);
    }
    free(padded);
    return status;
}

static enum qm_status observe_hidden(struct qm_host_pass *pass, enum qm_input input)
{
    const struct qm_host_weights *weights = pass->params.weights;
    const struct shown shown = {.input = input, .width = weights->hidden, .device_width = weights->config.hidden};
    return observe(pass, &shown, pass->normed);
}

static enum qm_status observe_cached(struct qm_host_pass *pass, const float *k, const float *v)
{
    const struct qm_model_config *config = &pass->params.weights->config;
    struct shown shown = {.is_cached = true,
                          .cached = QM_CACHED_KEYS,
                          .padding = QM_PADDING_ROTARY,
                          .width = pass->kv_width,
                          .device_width = config->kv_heads * config->head_dim};
    QM_TRY(observe(pass, &shown, k));
    shown.cached = QM_CACHED_VALUES;
    shown.padding = QM_PADDING_HEADS;
    return observe(pass, &shown, v);
}

// Puts a layer's new keys or values behind those that are there; gives where the layer's begin.
static const float *cache_rows(const struct qm_host_pass *pass, float *cached, const float *rows)
{
    const struct qm_host_cache *cache = pass->params.cache;
    const size_t width = cache->width, new_tokens = pass->params.window_tokens;
    float *layer = cached + (size_t)pass->layers_done * cache->windows * cache->positions * width;
    for (size_t w = 0; w < pass->params.windows; ++w)
        memcpy(layer + (w * cache->positions + pass->params.position) * width, rows + w * new_tokens * width,
               new_tokens * width * sizeof(*rows));
    return layer;
}

static enum qm_status run_attention(struct qm_host_pass *pass)
{
    struct qm_host_weights *weights = pass->params.weights;
    const struct qm_model_config *config = &weights->config;
    float *q = pass->room, *k = q + pass->tokens * pass->q_width, *v = k + pass->tokens * pass->kv_width;
    float *attended = v + pass->tokens * pass->kv_width;
    uint32_t half = weights->head_dim / 2, window_tokens = pass->params.window_tokens;
    QM_TRY(norm(pass, QM_ROLE_INPUT_NORM, pass->x, NULL, pass->tokens));
    QM_TRY(observe_hidden(pass, QM_INPUT_ATTENTION));
    QM_TRY(project(pass, QM_ROLE_Q, QM_ROLE_Q_NORM, config->heads, q));
    QM_TRY(project(pass, QM_ROLE_K, QM_ROLE_K_NORM, config->kv_heads, k));
    QM_TRY(project(pass, QM_ROLE_V, QM_ROLE_COUNT, config->kv_heads, v));
    const float *rotary = pass->rotary + qm_model_rope_table(config, pass->layers_done) * rotary_values(pass) +
                          (size_t)pass->params.position * weights->head_dim;
    qm_host_rotate(q, pass->tokens, config->heads, half, window_tokens, rotary);
    qm_host_rotate(k, pass->tokens, config->kv_heads, half, window_tokens, rotary);
    QM_TRY(observe_cached(pass, k, v));
    // What heads do not fill is read by the product behind them.
    if (weights->attention > pass->q_width)
        memset(attended, 0, pass->tokens * weights->attention * sizeof(*attended));
    struct qm_host_cache *cache = pass->params.cache;
    QM_TRY(qm_host_attend(pass->params.blas,
                          &(struct qm_host_attention){.q = q,
                                                      .k = cache ? cache_rows(pass, cache->keys, k) : k,
                                                      .v = cache ? cache_rows(pass, cache->values, v) : v,
                                                      .position = pass->params.position,
                                                      .kv_tokens = cache ? cache->positions : window_tokens,
                                                      .out = attended,
                                                      .windows = pass->params.windows,
                                                      .window_tokens = window_tokens,
                                                      .heads = config->heads,
                                                      .kv_heads = config->kv_heads,
                                                      .head_dim = weights->head_dim,
                                                      .out_stride = weights->attention,
                                                      .seen = qm_model_window(config, pass->layers_done),
                                                      .cap = (float)config->score_cap,
                                                      .scale = (float)qm_model_score_scale(config)}));
    const struct shown shown = {.input = QM_INPUT_ATTENTION_OUTPUT,
                                .padding = QM_PADDING_HEADS,
                                .width = weights->attention,
                                .device_width = config->attention};
    QM_TRY(observe(pass, &shown, attended));
    return add_residual(pass, QM_ROLE_O, QM_ROLE_ATTENTION_NORM, attended);
}

static enum qm_status run_mlp(struct qm_host_pass *pass)
{
    const struct qm_host_weights *weights = pass->params.weights;
    const enum qm_architecture architecture = weights->config.architecture;
    uint32_t width = weights->intermediate;
    bool has_gate = qm_architecture_has(architecture, QM_ROLE_GATE);
    float *gate = pass->room, *up = has_gate ? gate + pass->tokens * width : gate;
    QM_TRY(norm(pass, QM_ROLE_POST_NORM, pass->x, NULL, pass->tokens));
    QM_TRY(observe_hidden(pass, QM_INPUT_MLP));
    if (has_gate)
        QM_TRY(multiply(pass, QM_ROLE_GATE, pass->normed, pass->tokens, gate, false));
    QM_TRY(multiply(pass, QM_ROLE_UP, pass->normed, pass->tokens, up, false));
    QM_TRY(add_bias(pass, QM_ROLE_UP, pass->tokens, width, up));
    qm_host_gate(qm_architecture_info(architecture)->mlp == QM_MLP_GELU, gate, has_gate ? up : NULL,
                 pass->tokens * width);
    const struct shown shown = {.input = QM_INPUT_DOWN, .width = width, .device_width = weights->config.intermediate};
    QM_TRY(observe(pass, &shown, gate));
    return add_residual(pass, QM_ROLE_DOWN, QM_ROLE_MLP_NORM, gate);
}

enum qm_status qm_host_pass_layer(struct qm_host_pass *pass)
{
    QM_TRY(run_attention(pass));
    QM_TRY(run_mlp(pass));
    ++pass->layers_done;
    return QM_OK;
}

// ---- The head -------------------------------------------------------------------------------------------------------

enum qm_status qm_host_pass_logits(struct qm_host_pass *pass, const uint32_t *tokens, size_t count, float *logits)
{
    // `normed` has as many rows as there are tokens; a caller may ask for one twice.
    while (count > 0) {
        size_t some = count < pass->tokens ? count : pass->tokens;
        QM_TRY(norm(pass, QM_ROLE_FINAL_NORM, pass->x, tokens, some));
        QM_TRY(multiply(pass, QM_ROLE_HEAD, pass->normed, some, logits, false));
        if (pass->params.weights->config.logit_cap > 0)
            qm_host_cap(pass->params.weights->config.logit_cap, logits, some * pass->params.weights->config.vocabulary);
        tokens += some;
        logits += some * pass->params.weights->config.vocabulary;
        count -= some;
    }
    return QM_OK;
}

enum qm_status qm_host_pass_observe_head(struct qm_host_pass *pass)
{
    QM_TRY(norm(pass, QM_ROLE_FINAL_NORM, pass->x, NULL, pass->tokens));
    return observe_hidden(pass, QM_INPUT_HEAD);
}

double qm_host_pass_operations(const struct qm_host_weights *weights, uint32_t windows, uint32_t window_tokens,
                               size_t count)
{
    static const enum qm_role products[] = {QM_ROLE_Q,    QM_ROLE_K,  QM_ROLE_V,   QM_ROLE_O,
                                            QM_ROLE_GATE, QM_ROLE_UP, QM_ROLE_DOWN};
    const struct qm_model_config *config = &weights->config;
    double tokens = (double)windows * window_tokens, of_layer = 0;
    uint32_t rows, columns;
    for (size_t i = 0; i < sizeof(products) / sizeof(products[0]); ++i) {
        if (!qm_architecture_has(config->architecture, products[i]))
            continue;
        qm_host_weights_shape(weights, products[i], &rows, &columns);
        of_layer += 2.0 * rows * columns * tokens;
    }
    // Scores and sums over what is seen: half of a window's pairs.
    of_layer += 4.0 * config->heads * weights->head_dim * tokens * (window_tokens + 1) / 2;
    qm_host_weights_shape(weights, QM_ROLE_HEAD, &rows, &columns);
    return of_layer * config->layers + 2.0 * rows * columns * (double)count;
}
