#include "model/engine_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/numeric.h"
#include "model/need.h"
#include "model/room.h"
#include "sys/heartbeat.h"

enum qm_status qm_engine_kernel(struct qm_engine *engine, const char *name, const struct qm_kernel_variant **variant,
                                struct qm_kernel **kernel)
{
    const struct qm_kernel_variant *found = qm_kernel_find(name, engine->params.tile);
    if (!found)
        return QM_FAIL(QM_UNSUPPORTED, "there is no kernel variant %s", name);
    *variant = found;
    for (size_t i = 0; i < engine->kernel_count; ++i) {
        if (engine->kernels[i].variant == found) {
            *kernel = engine->kernels[i].kernel;
            return QM_OK;
        }
    }
    if (engine->kernel_count == engine->kernel_capacity) {
        size_t capacity = engine->kernel_capacity ? 2 * engine->kernel_capacity : 32;
        struct qm_engine_kernel *grown = realloc(engine->kernels, capacity * sizeof(*grown));
        if (!grown)
            return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for %zu kernels", capacity);
        engine->kernels = grown;
        engine->kernel_capacity = capacity;
    }
    struct qm_device *device = engine->params.device;
    qm_heartbeat_note("compilation of kernel %s", name);
    QM_TRY(device->fns->kernel_create(device, qm_kernel_planted(found), kernel));
    engine->kernels[engine->kernel_count++] = (struct qm_engine_kernel){found, *kernel};
    return QM_OK;
}

const struct qm_model_config *qm_engine_config(const struct qm_engine *engine)
{
    return &engine->config;
}

// The configuration as it is on the device.
static enum qm_status device_config(const struct qm_engine_params *params, struct qm_model_config *out)
{
    QM_TRY(qm_model_config_widen(&params->config, params->widen ? params->widen : 1, out));
    if (params->context > out->context)
        return QM_FAIL(QM_INVALID, "%u positions exceed the model's context of %u", params->context, out->context);
    out->context = params->context ? params->context : out->context;
    return QM_OK;
}

uint64_t qm_engine_largest_read_bytes(const struct qm_engine_params *params)
{
    struct qm_model_config widened;
    const struct qm_model_config *c = &widened;
    if (device_config(params, &widened) != QM_OK)
        return UINT64_MAX;
    uint64_t wide = c->intermediate > c->vocabulary ? c->intermediate : c->vocabulary;
    uint64_t heads = c->attention;
    wide = wide > heads ? wide : heads;
    uint64_t high = heads > c->hidden ? heads : c->hidden; // a matrix has at most these sides, its columns in panels
    uint64_t matrix = (wide + 15) / 16 * 16 * high * 4, most = params->device->info->max_binding_bytes;
    matrix = matrix < most ? matrix : most; // larger ones lie in parts
    uint64_t activations = (uint64_t)params->rows * (wide > high ? wide : high) * 4;
    uint64_t cache =
        (uint64_t)params->sequences * c->kv_heads * c->context * c->head_dim * 4 * 2; // keys and values of a layer
    uint64_t largest = matrix > activations ? matrix : activations;
    return largest > cache ? largest : cache;
}

// ---- The rotary table ---------------------------------------------------------------------------------------------
// From +, -, *, / and qm_exp/qm_log alone, so that every machine has the same table: libm's sine may differ in the last
// bit from one machine to the next. Angles up to the context are reduced by 2 pi in two parts, then Taylor's series.

static void sine_and_cosine(double angle, double *sine, double *cosine)
{
    const double two_pi_high = 0x1.921fb54400000p+2, two_pi_low = 0x1.0b4611a626331p-32;
    double turns = qm_round_even(angle / (two_pi_high + two_pi_low));
    double r = (angle - turns * two_pi_high) - turns * two_pi_low; // in [-pi, pi]
    double quarter = qm_round_even(r * 0x1.45f306dc9c883p-1);      // 2 / pi
    double s = r - quarter * 0x1.921fb54442d18p+0;
    double square = s * s, sine_sum = 1.0, cosine_sum = 1.0;
    for (int i = 19; i >= 3; i -= 2)
        sine_sum = 1.0 - sine_sum * square / (double)(i * (i - 1));
    for (int i = 18; i >= 2; i -= 2)
        cosine_sum = 1.0 - cosine_sum * square / (double)(i * (i - 1));
    sine_sum *= s;
    switch ((int)quarter & 3) {
    case 0:
        *sine = sine_sum;
        *cosine = cosine_sum;
        break;
    case 1:
        *sine = cosine_sum;
        *cosine = -sine_sum;
        break;
    case 2:
        *sine = -sine_sum;
        *cosine = -cosine_sum;
        break;
    default:
        *sine = -cosine_sum;
        *cosine = sine_sum;
    }
}

// One table behind the other, each where a binding can begin.
static uint64_t rope_table_words(const struct qm_model_config *config)
{
    uint64_t words = (uint64_t)config->context * config->head_dim;
    return qm_model_rope_tables(config) > 1 ? (words + QM_PART_ROWS - 1) / QM_PART_ROWS * QM_PART_ROWS : words;
}

static enum qm_status write_rope_table(struct qm_engine *engine)
{
    const struct qm_model_config *config = &engine->config;
    uint32_t head = config->head_dim;
    size_t count = (size_t)config->context * head;
    enum qm_status status = QM_OK;
    float *table = malloc(count * sizeof(*table));
    if (!table)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for the rotary table");
    struct qm_device *device = engine->params.device;
    for (uint32_t t = 0; t < qm_model_rope_tables(config) && status == QM_OK; ++t) {
        for (uint32_t i = 0; i < head / 2; ++i) {
            // What a head was padded with is not turned.
            double frequency = i < config->own.head_dim / 2 ? qm_model_rope_frequency(config, t, i) : 0;
            for (uint32_t position = 0; position < config->context; ++position) {
                double sine, cosine;
                sine_and_cosine(position * frequency, &sine, &cosine);
                table[(size_t)position * head + i] = (float)cosine;
                table[(size_t)position * head + head / 2 + i] = (float)sine;
            }
        }
        status = device->fns->buffer_write(device, engine->rope_table, rope_table_words(config) * t * sizeof(*table),
                                           table, count * sizeof(*table));
    }
    free(table);
    return status;
}

// What attention does not write of its rows, the padding, is read by the product behind it.
static enum qm_status clear(struct qm_device *device, struct qm_buffer *buffer, uint64_t words)
{
    float *zeros = calloc(words, sizeof(*zeros));
    if (!zeros)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for %llu zeros", (unsigned long long)words);
    enum qm_status status = device->fns->buffer_write(device, buffer, 0, zeros, words * 4);
    free(zeros);
    return status;
}

// ---- The engine ---------------------------------------------------------------------------------------------------

struct sized_buffer {
    struct qm_buffer **buffer;
    uint64_t words; // 0: it is not needed
};

enum {
    BUFFERS = 18
};

// Every buffer of an engine with its size; bytes of all of them.
static uint64_t list_buffers(struct qm_engine *engine, struct sized_buffer out[BUFFERS])
{
    const struct qm_model_config *c = &engine->config;
    const struct qm_engine_params *params = &engine->params;
    uint64_t rows = params->rows, query = (uint64_t)c->heads * c->head_dim, key = (uint64_t)c->kv_heads * c->head_dim;
    bool has_head_norm = qm_architecture_has(c->architecture, QM_ROLE_Q_NORM);
    uint64_t widest = c->intermediate > c->attention ? c->intermediate : c->attention, bytes = 0;
    widest = c->hidden > widest ? c->hidden : widest;
    const struct sized_buffer all[BUFFERS] = {
        {&engine->step, QM_STEP_WORDS},
        {&engine->tokens, (uint64_t)params->sequences * (c->context + 1)},
        {&engine->rope_table, rope_table_words(c) * qm_model_rope_tables(c)},
        {&engine->x, rows * c->hidden},
        {&engine->normed, rows * c->hidden},
        {&engine->codes, rows * widest / 2},     // binary16 is the widest that is packed
        {&engine->scales, rows * (widest / 32)}, // of groups of 32 channels at most
        {&engine->q, rows * query},
        {&engine->qkv, rows * (query + 2 * key) + 2 * QM_PART_ROWS}, // each may begin at an offset
        {&engine->raw_q, has_head_norm ? rows * query : 0},
        {&engine->raw_k, has_head_norm ? rows * key : 0},
        {&engine->attended, rows * c->attention},
        {&engine->projected, rows * c->hidden},
        {&engine->gate_up, rows * 3 * c->intermediate + 2 * QM_PART_ROWS},
        {&engine->logits, rows * c->vocabulary},
        {&engine->log_probabilities, rows},
        {&engine->argmaxes, rows},
        {&engine->checksums, rows * params->slots},
    };
    memcpy(out, all, sizeof(all));
    for (size_t i = 0; i < BUFFERS; ++i)
        bytes += out[i].words * 4;
    return bytes;
}

uint64_t qm_engine_scratch_bytes(const struct qm_engine_params *params)
{
    struct qm_engine engine = {.params = *params};
    struct sized_buffer unused[BUFFERS];
    return device_config(params, &engine.config) == QM_OK ? list_buffers(&engine, unused) : UINT64_MAX;
}

enum qm_status qm_engine_create(const struct qm_engine_params *params, struct qm_engine **out)
{
    *out = NULL;
    struct qm_engine *engine = calloc(1, sizeof(*engine));
    if (!engine)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for an engine");
    engine->params = *params;
    engine->widen = params->widen ? params->widen : 1;
    struct qm_device *device = params->device;
    enum qm_status status = device_config(params, &engine->config);
    if (status != QM_OK) {
        free(engine);
        return status;
    }
    const struct qm_model_config *c = &engine->config;
    struct sized_buffer sizes[BUFFERS];
    uint64_t scratch_bytes = list_buffers(engine, sizes);
    QM_GUARD(qm_device_check_room(device, params->is_trial, scratch_bytes, "what passes compute in"));
    for (size_t i = 0; i < BUFFERS; ++i)
        if (sizes[i].words > 0)
            QM_GUARD(device->fns->buffer_create(device, sizes[i].words * 4, sizes[i].buffer));
    if (c->attention != c->heads * c->head_dim)
        QM_GUARD(clear(device, engine->attended, (uint64_t)params->rows * c->attention));
    QM_GUARD(write_rope_table(engine));
    *out = engine;
    engine = NULL;
done:
    qm_engine_destroy(&engine);
    return status;
}

void qm_engine_destroy(struct qm_engine **engine)
{
    struct qm_engine *e = *engine;
    if (!e)
        return;
    struct qm_device *device = e->params.device;
    for (size_t i = 0; i < e->kernel_count; ++i)
        device->fns->kernel_destroy(device, &e->kernels[i].kernel);
    free(e->kernels);
    struct qm_buffer **buffers[] = {&e->step,      &e->tokens,   &e->rope_table, &e->x,
                                    &e->normed,    &e->codes,    &e->scales,     &e->q,
                                    &e->qkv,       &e->raw_q,    &e->raw_k,      &e->attended,
                                    &e->projected, &e->gate_up,  &e->logits,     &e->log_probabilities,
                                    &e->argmaxes,  &e->checksums};
    for (size_t i = 0; i < sizeof(buffers) / sizeof(buffers[0]); ++i)
        device->fns->buffer_destroy(device, buffers[i]);
    free(e);
    *engine = NULL;
}

enum qm_status qm_engine_write_tokens(struct qm_engine *engine, const uint32_t *tokens, uint32_t count)
{
    struct qm_device *device = engine->params.device;
    return device->fns->buffer_write(device, engine->tokens, 0, tokens,
                                     (uint64_t)count * (engine->config.context + 1) * 4);
}

enum qm_status qm_engine_write_sequence(struct qm_engine *engine, uint32_t sequence, uint32_t position,
                                        const uint32_t *tokens, uint32_t count)
{
    struct qm_device *device = engine->params.device;
    uint64_t stride = (uint64_t)engine->config.context + 1;
    if (sequence >= engine->params.sequences || count == 0 || position + (uint64_t)count > stride)
        return QM_FAIL(QM_INVALID,
                       "%u tokens of sequence %u from position %u are outside of the table of %u sequences of %u",
                       count, sequence, position, engine->params.sequences, engine->config.context + 1);
    return device->fns->buffer_write(device, engine->tokens, (sequence * stride + position) * 4, tokens,
                                     (uint64_t)count * 4);
}

enum qm_status qm_engine_write_span(struct qm_engine *engine, uint32_t sequence, uint32_t position,
                                    const uint32_t *tokens, size_t count)
{
    struct qm_device *device = engine->params.device;
    uint64_t stride = (uint64_t)engine->config.context + 1, words = stride * engine->params.sequences;
    uint64_t first = sequence * stride + position;
    if (position >= stride || count == 0 || first >= words || count > words - first)
        return QM_FAIL(QM_INVALID, "%zu tokens from position %u of sequence %u on are outside of the table", count,
                       position, sequence);
    return device->fns->buffer_write(device, engine->tokens, first * 4, tokens, (uint64_t)count * 4);
}

// ---- Caches --------------------------------------------------------------------------------------------------------

bool qm_network_has_key_blocks(const struct qm_network *network)
{
    return qm_cache_has_key_blocks(&network->scheme);
}

static enum qm_status plan_caches(struct qm_network *network)
{
    const struct qm_engine *engine = network->engine;
    const struct qm_model_config *c = &engine->config;
    const struct qm_device *device = engine->params.device;
    struct qm_cache_plan plan;
    qm_cache_plan(c, &network->scheme, engine->params.sequences, &plan);
    if (plan.words * 4 > device->info->max_binding_bytes || plan.words > UINT32_MAX)
        return QM_FAIL(QM_UNSUPPORTED,
                       "the KV cache of a layer takes %llu bytes for %u sequences of %u tokens, and one binding of %s "
                       "holds %llu; use a smaller batch",
                       (unsigned long long)plan.words * 4, engine->params.sequences, c->context, device->info->name,
                       (unsigned long long)device->info->max_binding_bytes);
    network->exact_length = plan.exact_length;
    network->k_base = (uint32_t)plan.k_base;
    network->k_scale_base = (uint32_t)plan.k_scale_base;
    network->v_base = (uint32_t)plan.v_base;
    network->v_scale_base = (uint32_t)plan.v_scale_base;
    network->k_exact_base = (uint32_t)plan.k_exact_base;
    network->v_exact_base = (uint32_t)plan.v_exact_base;
    network->kept_cache_bytes = plan.kept_words * 4;
    network->cache_bytes = plan.words * 4;
    return QM_OK;
}

static enum qm_status check_room(struct qm_network *network, const struct qm_artifact *artifact)
{
    const struct qm_engine *engine = network->engine;
    uint64_t bytes = network->cache_bytes * engine->config.layers;
    for (size_t i = 0; i < artifact->tensor_count; ++i) {
        struct qm_network_weight weight = {0};
        QM_TRY(qm_network_plan_weight(network, &artifact->tensors[i], &weight));
        bytes += weight.bytes;
    }
    char what[QM_SCHEME_NAME_BYTES + 32];
    if (engine->widen > 1)
        snprintf(what, sizeof(what), "%s with widen %u", network->scheme.name, engine->widen);
    else
        snprintf(what, sizeof(what), "%s, with its cache,", network->scheme.name);
    return qm_device_check_room(engine->params.device, engine->params.is_trial, bytes, what);
}

static enum qm_status take_cache_scales(struct qm_network *network, const struct qm_artifact *artifact)
{
    bool is_calibrated = qm_kv_calibrated_largest(network->scheme.kv) > 0;
    uint32_t layers = network->engine->config.layers;
    if (is_calibrated && (!artifact->cache_scales || artifact->scheme.kv != network->scheme.kv))
        return QM_FAIL(QM_INVALID,
                       "scheme %s: artifact %.12s is of %s and has no scales for this cache; build the scheme's own",
                       network->scheme.name, artifact->id, artifact->scheme.name);
    network->cache_scales = calloc(layers, sizeof(*network->cache_scales));
    if (!network->cache_scales)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for scales of %u caches", layers);
    for (uint32_t layer = 0; layer < layers; ++layer)
        for (int cached = 0; cached < QM_CACHED_COUNT; ++cached)
            network->cache_scales[layer][cached] = is_calibrated ? artifact->cache_scales[layer][cached] : 1.0f;
    return QM_OK;
}

static enum qm_status create_caches(struct qm_network *network)
{
    const struct qm_model_config *c = &network->engine->config;
    struct qm_device *device = network->engine->params.device;
    network->caches = calloc(c->layers, sizeof(struct qm_buffer *));
    if (!network->caches)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for the cache");
    for (uint32_t layer = 0; layer < c->layers; ++layer)
        QM_TRY(device->fns->buffer_create(device, network->cache_bytes, &network->caches[layer]));
    return QM_OK;
}

// ---- The network --------------------------------------------------------------------------------------------------

enum qm_status qm_network_create(struct qm_engine *engine, const struct qm_artifact *artifact,
                                 const struct qm_scheme *scheme, struct qm_network **out)
{
    *out = NULL;
    enum qm_status status = QM_OK;
    struct qm_network *network = calloc(1, sizeof(*network));
    if (!network)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for a network");
    network->engine = engine;
    network->scheme = *scheme;
    network->scheme.own = NULL; // which may not live as long
    network->weights = calloc(artifact->tensor_count, sizeof(*network->weights));
    if (!network->weights) {
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for a network");
        goto done;
    }
    network->weight_count = artifact->tensor_count;
    QM_GUARD(plan_caches(network));
    QM_GUARD(take_cache_scales(network, artifact));
    QM_GUARD(check_room(network, artifact));
    QM_GUARD(qm_network_plan_merged(network, artifact));
    for (size_t i = 0; i < artifact->tensor_count; ++i) {
        QM_GUARD(qm_network_upload_weight(network, artifact, i));
        qm_artifact_drop(artifact, &artifact->tensors[i]);
    }
    QM_GUARD(qm_artifact_check_unchanged(artifact)); // what was uploaded is what was loaded
    QM_GUARD(create_caches(network));
    qm_network_list_variants(network, artifact);
    *out = network;
    network = NULL;
done:
    qm_network_destroy(&network);
    return status;
}

void qm_network_destroy(struct qm_network **network)
{
    struct qm_network *n = *network;
    if (!n)
        return;
    struct qm_device *device = n->engine->params.device;
    for (size_t i = 0; i < n->weight_count; ++i) {
        for (uint32_t part = 0; part < QM_WEIGHT_PARTS_MAX; ++part)
            device->fns->buffer_destroy(device, &n->weights[i].parts[part].buffer);
        device->fns->buffer_destroy(device, &n->weights[i].activation_scales);
    }
    for (uint32_t layer = 0; n->merged && layer < n->engine->config.layers; ++layer)
        for (int merge = 0; merge < QM_MERGE_COUNT; ++merge)
            device->fns->buffer_destroy(device, &n->merged[layer][merge].parts[0].buffer);
    for (uint32_t layer = 0; n->caches && layer < n->engine->config.layers; ++layer)
        device->fns->buffer_destroy(device, &n->caches[layer]);
    free(n->caches);
    free(n->merged);
    free(n->cache_scales);
    free(n->weights);
    free(n);
    *network = NULL;
}

void qm_network_memory(const struct qm_network *network, struct qm_network_memory *out)
{
    out->weight_bytes = 0;
    for (size_t i = 0; i < network->weight_count; ++i)
        out->weight_bytes += network->weights[i].bytes;
    out->cache_bytes = network->cache_bytes * network->engine->config.layers;
    out->repack_ns = network->repack_ns;
    out->kept_cache_bytes = network->kept_cache_bytes * network->engine->config.layers;
}
