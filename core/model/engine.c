#include "model/engine_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/numeric.h"
#include "quant/layout.h"

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
    if (engine->kernel_count == QM_ENGINE_KERNELS_MAX)
        return QM_FAIL(QM_FAILED, "more than %d kernels in one engine", QM_ENGINE_KERNELS_MAX);
    struct qm_device *device = engine->params.device;
    QM_TRY(device->fns->kernel_create(device, qm_kernel_planted(found), kernel));
    engine->kernels[engine->kernel_count].variant = found;
    engine->kernels[engine->kernel_count++].kernel = *kernel;
    return QM_OK;
}

uint64_t qm_engine_largest_read_bytes(const struct qm_engine_params *params)
{
    const struct qm_model_config *c = &params->config;
    uint64_t wide = c->intermediate > c->vocabulary ? c->intermediate : c->vocabulary;
    uint64_t heads = (uint64_t)c->heads * 64;
    wide = wide > heads ? wide : heads;
    uint64_t high = heads > c->hidden ? heads : c->hidden; // a matrix has at most these sides, its columns in panels
    uint64_t matrix = (wide + 15) / 16 * 16 * high * 4;
    uint64_t activations = (uint64_t)params->rows * (wide > high ? wide : high) * 4;
    uint64_t cache = (uint64_t)params->sequences * c->kv_heads * c->context * 64 * 4 * 2; // keys and values of a layer
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

static enum qm_status write_rope_table(struct qm_engine *engine)
{
    const struct qm_model_config *config = &engine->params.config;
    size_t count = (size_t)config->context * QM_HEAD_DIM;
    float *table = malloc(count * sizeof(*table));
    if (!table)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for the rotary table");
    for (uint32_t i = 0; i < QM_HEAD_DIM / 2; ++i) {
        double frequency = qm_exp(-qm_log(config->rope_theta) * (2.0 * i / QM_HEAD_DIM));
        for (uint32_t position = 0; position < config->context; ++position) {
            double sine, cosine;
            sine_and_cosine(position * frequency, &sine, &cosine);
            table[(size_t)position * QM_HEAD_DIM + i] = (float)cosine;
            table[(size_t)position * QM_HEAD_DIM + QM_HEAD_DIM / 2 + i] = (float)sine;
        }
    }
    struct qm_device *device = engine->params.device;
    enum qm_status status = device->fns->buffer_write(device, engine->rope_table, 0, table, count * sizeof(*table));
    free(table);
    return status;
}

// ---- The engine ---------------------------------------------------------------------------------------------------

enum qm_status qm_engine_create(const struct qm_engine_params *params, struct qm_engine **out)
{
    *out = NULL;
    struct qm_engine *engine = calloc(1, sizeof(*engine));
    if (!engine)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for an engine");
    engine->params = *params;
    struct qm_device *device = params->device;
    const struct qm_model_config *c = &params->config;
    uint64_t rows = params->rows, attention_width = (uint64_t)c->heads * QM_HEAD_DIM;
    uint64_t widest = c->intermediate > attention_width ? c->intermediate : attention_width;
    widest = c->hidden > widest ? c->hidden : widest;
    const struct {
        struct qm_buffer **buffer;
        uint64_t words;
    } sizes[] = {
        {&engine->step, QM_STEP_WORDS},
        {&engine->tokens, (uint64_t)params->sequences * (c->context + 1)},
        {&engine->rope_table, (uint64_t)c->context * QM_HEAD_DIM},
        {&engine->x, rows * c->hidden},
        {&engine->normed, rows * c->hidden},
        {&engine->codes, rows * widest / 2}, // binary16 is the widest that is packed
        {&engine->scales, rows},
        {&engine->q, rows * attention_width},
        {&engine->k, rows * c->kv_heads * QM_HEAD_DIM},
        {&engine->v, rows * c->kv_heads * QM_HEAD_DIM},
        {&engine->attended, rows * attention_width},
        {&engine->projected, rows * c->hidden},
        {&engine->gate, rows * c->intermediate},
        {&engine->up, rows * c->intermediate},
        {&engine->gated, rows * c->intermediate},
        {&engine->logits, rows * c->vocabulary},
        {&engine->log_probabilities, rows},
        {&engine->argmaxes, rows},
        {&engine->checksums, rows * params->slots},
    };
    enum qm_status status = QM_OK;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); ++i)
        QM_GUARD(device->fns->buffer_create(device, sizes[i].words * 4, sizes[i].buffer));
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
    struct qm_buffer **buffers[] = {&e->step,
                                    &e->tokens,
                                    &e->rope_table,
                                    &e->x,
                                    &e->normed,
                                    &e->codes,
                                    &e->scales,
                                    &e->q,
                                    &e->k,
                                    &e->v,
                                    &e->attended,
                                    &e->projected,
                                    &e->gate,
                                    &e->up,
                                    &e->gated,
                                    &e->logits,
                                    &e->log_probabilities,
                                    &e->argmaxes,
                                    &e->checksums};
    for (size_t i = 0; i < sizeof(buffers) / sizeof(buffers[0]); ++i)
        device->fns->buffer_destroy(device, buffers[i]);
    free(e);
    *engine = NULL;
}

enum qm_status qm_engine_write_tokens(struct qm_engine *engine, const uint32_t *tokens, uint32_t count)
{
    struct qm_device *device = engine->params.device;
    return device->fns->buffer_write(device, engine->tokens, 0, tokens,
                                     (uint64_t)count * (engine->params.config.context + 1) * 4);
}

// ---- Upload -------------------------------------------------------------------------------------------------------

static enum qm_status upload_weight(struct qm_network *network, const struct qm_artifact_tensor *tensor,
                                    struct qm_network_weight *weight)
{
    struct qm_device *device = network->engine->params.device;
    weight->rows = tensor->rows;
    weight->columns = tensor->columns;
    weight->activation_scale = tensor->has_activation_scale ? tensor->activation_scale : 0.0f;
    if (!qm_role_is_linear(tensor->role)) { // row-major as it is: embedding f32 or f16, gains f32
        weight->bytes = (tensor->code_bytes + 3) / 4 * 4;
        QM_TRY(device->fns->buffer_create(device, weight->bytes, &weight->buffer));
        return device->fns->buffer_write(device, weight->buffer, 0, tensor->codes, tensor->code_bytes / 4 * 4);
    }
    struct qm_layout layout;
    QM_TRY(qm_layout_plan(tensor->format, tensor->rows, tensor->columns, &layout));
    if (layout.bytes > device->info->max_binding_bytes)
        return QM_FAIL(QM_UNSUPPORTED, "%s takes %zu bytes in one binding, and %s allows %llu", tensor->name,
                       layout.bytes, device->info->name, (unsigned long long)device->info->max_binding_bytes);
    uint32_t *words = malloc(layout.bytes);
    if (!words)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory to repack %s", tensor->name);
    enum qm_status status =
        qm_layout_pack(tensor->format, tensor->codes, tensor->scales, tensor->rows, tensor->columns, words);
    if (status == QM_OK)
        status = device->fns->buffer_create(device, layout.bytes, &weight->buffer);
    if (status == QM_OK)
        status = device->fns->buffer_write(device, weight->buffer, 0, words, layout.bytes);
    free(words);
    weight->bytes = layout.bytes;
    weight->scale_offset_words = (uint32_t)layout.scale_offset_words;
    return status;
}

static uint32_t align_words(uint64_t words)
{
    return (uint32_t)((words + 63) / 64 * 64);
}

static enum qm_status create_caches(struct qm_network *network)
{
    static const uint32_t words_per_head[QM_KV_FORMAT_COUNT] = {
        [QM_KV_F32] = 64, [QM_KV_F16] = 32, [QM_KV_KV8] = 16, [QM_KV_KV4] = 8};
    struct qm_engine *engine = network->engine;
    const struct qm_model_config *c = &engine->params.config;
    struct qm_device *device = engine->params.device;
    uint64_t slots = (uint64_t)engine->params.sequences * c->kv_heads * c->context;
    uint64_t codes = align_words(slots * words_per_head[network->scheme.kv]);
    bool has_scales = network->scheme.kv == QM_KV_KV8 || network->scheme.kv == QM_KV_KV4;
    uint64_t scales = has_scales ? align_words(slots) : 0;
    uint64_t words = 2 * (codes + scales);
    if (words * 4 > device->info->max_binding_bytes || words > UINT32_MAX)
        return QM_FAIL(QM_UNSUPPORTED,
                       "the KV cache of a layer takes %llu bytes for %u sequences of %u tokens, and one binding of %s "
                       "holds %llu; use a smaller batch",
                       (unsigned long long)words * 4, engine->params.sequences, c->context, device->info->name,
                       (unsigned long long)device->info->max_binding_bytes);
    network->k_base = 0;
    network->k_scale_base = (uint32_t)codes;
    network->v_base = (uint32_t)(codes + scales);
    network->v_scale_base = (uint32_t)(2 * codes + scales);
    network->cache_bytes = words * 4;
    network->caches = calloc(c->layers, sizeof(struct qm_buffer *));
    if (!network->caches)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for the cache");
    for (uint32_t layer = 0; layer < c->layers; ++layer)
        QM_TRY(device->fns->buffer_create(device, words * 4, &network->caches[layer]));
    return QM_OK;
}

static const char *weight_part(enum qm_weight_format format)
{
    static const char *const parts[QM_WEIGHT_FORMAT_COUNT] = {
        [QM_WEIGHT_F32] = "f32", [QM_WEIGHT_F16] = "f16", [QM_WEIGHT_W8] = "w8", [QM_WEIGHT_W4G32] = "w4g32"};
    return parts[format];
}

static void name_variants(struct qm_network *network)
{
    static const char *const activation_parts[QM_ACTIVATION_FORMAT_COUNT] = {
        [QM_ACTIVATION_F32] = "f32", [QM_ACTIVATION_F16] = "f16", [QM_ACTIVATION_A8] = "a8"};
    static const char *const kv_parts[QM_KV_FORMAT_COUNT] = {
        [QM_KV_F32] = "f32", [QM_KV_F16] = "f16", [QM_KV_KV8] = "kv8", [QM_KV_KV4] = "kv4"};
    const char *w = weight_part(network->scheme.weights), *a = activation_parts[network->scheme.activations];
    const char *embedding = network->scheme.weights == QM_WEIGHT_F32 ? "f32" : "f16";
    size_t count = 0;
#define ADD(...) snprintf(network->variant_names[count++], sizeof(network->variant_names[0]), __VA_ARGS__)
    // The order is that of enum variant in pass.c.
    ADD("matmul-%s-%s", w, a);
    ADD("matvec-%s-%s", w, a);
    ADD("embedding-%s", embedding);
    ADD("kv_write-%s", kv_parts[network->scheme.kv]);
    ADD("attention-%s", kv_parts[network->scheme.kv]);
    ADD("activations-%s", network->scheme.activations == QM_ACTIVATION_A8 ? "a8" : "f16");
    static const char *const plain[] = {"rmsnorm",     "rope",   "swiglu",   "residual",
                                        "log_softmax", "argmax", "checksum", "advance"};
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); ++i)
        ADD("%s", plain[i]);
    ADD("dequantize-%s", w);
#undef ADD
    for (size_t i = 0; i < count; ++i)
        network->variants[i] = network->variant_names[i];
    network->variants[count] = NULL;
}

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
    network->weights = calloc(artifact->tensor_count, sizeof(*network->weights));
    if (!network->weights) {
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for a network");
        goto done;
    }
    network->weight_count = artifact->tensor_count;
    for (size_t i = 0; i < artifact->tensor_count; ++i)
        QM_GUARD(upload_weight(network, &artifact->tensors[i], &network->weights[i]));
    QM_GUARD(create_caches(network));
    name_variants(network);
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
    for (size_t i = 0; i < n->weight_count; ++i)
        device->fns->buffer_destroy(device, &n->weights[i].buffer);
    for (uint32_t layer = 0; n->caches && layer < n->engine->params.config.layers; ++layer)
        device->fns->buffer_destroy(device, &n->caches[layer]);
    free(n->caches);
    free(n->weights);
    free(n);
    *network = NULL;
}

void qm_network_memory(const struct qm_network *network, struct qm_network_memory *out)
{
    out->weight_bytes = 0;
    for (size_t i = 0; i < network->weight_count; ++i)
        out->weight_bytes += network->weights[i].bytes;
    out->cache_bytes = network->cache_bytes * network->engine->params.config.layers;
}

const char *const *qm_network_variants(const struct qm_network *network)
{
    return network->variants;
}
