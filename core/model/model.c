#include "model/model.h"
#include "model/gguf_model.h"
#include "model/model_file.h"
#include "model/quantized_sets.h"
#include "model/scaled.h"
#include "model/weights.h"
#include "model/weights_arrange.h"
#include "model/weights_known.h"
#include "sys/file.h"
#include "sys/parallel.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG_FILE "config.json"
#define CONFIG_BYTES_MAX ((size_t)1 << 20)

static enum qm_status list_weights(struct qm_model *model, const char *file)
{
    const struct qm_model_config *config = &model->config;
    size_t count = qm_weight_count(config);
    model->tensors = calloc(count, sizeof(*model->tensors));
    if (!model->tensors)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for a table of %zu weights", file, count);
    model->tensor_count = count;
    for (size_t i = 0; i < count; i++) {
        struct qm_model_tensor *weight = &model->tensors[i];
        qm_weight_at(config, i, &weight->role, &weight->layer);
        qm_role_weight_name(weight->role, weight->layer, weight->name);
        qm_role_shape(config, weight->role, &weight->rows, &weight->columns);
    }
    uint64_t head = (uint64_t)config->vocabulary * config->own.hidden;
    model->parameters = qm_model_config_own_weights(config) - (config->tied_head ? head : 0);
    return QM_OK;
}

static size_t values_of(const struct qm_model_tensor *weight)
{
    return (size_t)weight->rows * weight->columns;
}

// A tied head has its own entry, with the embedding's values.
static bool is_tied(const struct qm_model *model, size_t weight)
{
    return model->config.tied_head && model->tensors[weight].role == QM_ROLE_HEAD;
}

static enum qm_status read_all(const struct qm_weights *file, struct qm_model *model)
{
    size_t total = 0, at = 0;
    for (size_t i = 0; i < model->tensor_count; i++)
        total += is_tied(model, i) ? 0 : values_of(&model->tensors[i]);
    model->values = malloc(total * sizeof(float));
    if (!model->values)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for %zu weights as floats", file->file, total);
    qm_memory_expect_large(model->values, total * sizeof(float));
    for (size_t i = 0; i < model->tensor_count; i++) {
        struct qm_model_tensor *weight = &model->tensors[i];
        weight->values = is_tied(model, i) ? model->values : model->values + at; // the embedding comes first
        if (is_tied(model, i))
            continue;
        QM_TRY(qm_model_file_read(file, &model->config, weight, model->values + at));
        at += values_of(weight);
    }
    return QM_OK;
}

static enum qm_status read_model(const struct qm_weights *file, const struct qm_model_load_params *params,
                                 struct qm_model *model)
{
    const struct qm_model_config *config = &model->config;
    uint64_t floats = 0;
    for (size_t i = 0; i < model->tensor_count; i++)
        floats += is_tied(model, i) ? 0 : values_of(&model->tensors[i]);
    if (floats * sizeof(float) > params->whole_bytes)
        return qm_model_file_check_values(file, config);
    QM_TRY(read_all(file, model));
    return config->tied_head && qm_weights_find(file, "lm_head.weight") ? qm_model_file_check_values(file, config)
                                                                        : QM_OK;
}

// The values and the hash, which both take every byte of the files, at the same time.
struct loading {
    const struct qm_weights *file;
    const struct qm_model_load_params *params;
    const void *config;
    size_t config_bytes;
    struct qm_model *model;
    bool is_known;         // the hash
    enum qm_status status; // of the values
    atomic_bool is_failed;
};

static void load_part(void *context, size_t begin, size_t end)
{
    struct loading *loading = context;
    for (size_t part = begin; part < end; part++) {
        if (part == 0) { // the calling thread's, whose error text it sets
            loading->status = read_model(loading->file, loading->params, loading->model);
            atomic_store(&loading->is_failed, loading->status != QM_OK);
        } else if (!loading->is_known) {
            qm_weights_hash(loading->file, loading->config, loading->config_bytes, &loading->is_failed,
                            loading->model->sha256);
        }
    }
}

static bool has_blocks(const struct qm_weights *file)
{
    bool has = false;
    for (size_t i = 0; i < file->count; i++)
        has = has || (file->entries[i].gguf && file->entries[i].gguf->type->block_values > 1);
    return has;
}

// The first layers alone are another model, and so is what somebody else's quantization left of one: another hash, and words
// for it.
static void disclose_changes(struct qm_model *model)
{
    struct qm_hash hash;
    bool is_part = model->config.layers != model->layers_in_file;
    bool is_decoded = model->file->quantized || has_blocks(model->file);
    size_t used = 0;
    if (!is_part && !is_decoded)
        return;
    if (is_part)
        used = (size_t)snprintf(model->layers_text, sizeof(model->layers_text),
                                "the first %" PRIu32 " of %" PRIu32 " layers", model->config.layers,
                                model->layers_in_file);
    if (is_decoded && model->file->quantized)
        snprintf(model->layers_text + used, sizeof(model->layers_text) - used,
                 "%sdequantized from the %s codes of its files", used ? ", " : "",
                 qm_quantization_method_name(model->quantization.method));
    else if (is_decoded)
        snprintf(model->layers_text + used, sizeof(model->layers_text) - used,
                 "%sdequantized from the blocks of its GGUF file", used ? ", " : "");
    model->variant = model->layers_text;
    qm_hash_begin(&hash);
    qm_hash_add_text(&hash, model->sha256);
    qm_hash_add_text(&hash, model->layers_text);
    qm_hash_end(&hash, model->sha256);
}

static enum qm_status choose_layers(const struct qm_model_load_params *params, const char *file, struct qm_model *model)
{
    struct qm_model_config *config = &model->config;
    model->layers_in_file = config->layers;
    if (params->layers > config->layers)
        return QM_FAIL(QM_INVALID, "%s: 'num_hidden_layers' is %" PRIu32 ", and %" PRIu32 " were asked for; use fewer",
                       file, config->layers, params->layers);
    config->layers = params->layers ? params->layers : config->layers;
    if (config->window_from >= config->layers) // none of the layers that are left has a window
        config->window = config->window_from = 0;
    return QM_OK;
}

enum qm_status qm_model_load_with(const char *directory, const struct qm_model_load_params *params,
                                  struct qm_model **out)
{
    enum qm_status status = QM_OK;
    char config_path[QM_PATH_BYTES];
    void *config = NULL;
    size_t config_bytes = 0;
    bool is_gguf = qm_weights_is_gguf(directory);
    *out = NULL;
    if (!is_gguf)
        QM_TRY(qm_weights_check_layout(directory)); // before what a directory of another layout lacks
    if (is_gguf)
        snprintf(config_path, sizeof(config_path), "%s", directory);
    else
        QM_TRY(qm_path_join(config_path, directory, CONFIG_FILE));
    struct qm_model *model = calloc(1, sizeof(*model));
    if (model)
        model->file = calloc(1, sizeof(*model->file));
    if (!model || !model->file)
        QM_GUARD(QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for a model", directory));
    if (is_gguf) { // which is its own configuration
        QM_GUARD(qm_weights_open(directory, model->file));
        QM_GUARD(qm_gguf_model_config(model->file->gguf, &model->config));
    } else {
        QM_GUARD(qm_file_read(config_path, CONFIG_BYTES_MAX, &config, &config_bytes));
        QM_GUARD(qm_model_config_parse(config, config_bytes, config_path, &model->config));
        QM_GUARD(qm_quantization_parse(config, config_bytes, config_path, &model->quantization));
    }
    QM_GUARD(choose_layers(params, config_path, model));
    qm_model_config_pad(&model->config, params->multiple);
    QM_GUARD(qm_model_config_check(&model->config, config_path));
    if (!is_gguf) {
        struct qm_model_config all = model->config;
        all.layers = model->layers_in_file;
        QM_GUARD(qm_weights_open(directory, model->file));
        if (model->quantization.method != QM_QUANTIZATION_NONE) {
            QM_GUARD(qm_quantized_group(model->file, &model->quantization));
            model->quantized_values = model->file->quantized->values;
        }
        QM_GUARD(qm_weights_arrange(model->file, &all));
    }
    QM_GUARD(list_weights(model, directory));
    // Before memory is asked for, so that a config.json with large numbers costs nothing.
    QM_GUARD(qm_model_file_check(model->file, &model->config, model->layers_in_file));
    model->file_bytes = model->file->bytes;
    model->file_count = model->file->shard_count;
    if (!params->only_headers) {
        struct loading loading = {
            .file = model->file, .params = params, .config = config, .config_bytes = config_bytes, .model = model};
        loading.is_known = qm_weights_known(model->file, config, config_bytes, params->cache_directory, model->sha256);
        qm_parallel_for(2, load_part, &loading);
        QM_GUARD(loading.status);
        QM_GUARD(qm_weights_check(model->file));
        if (!loading.is_known)
            qm_weights_note(model->file, config, config_bytes, params->cache_directory, model->sha256);
        disclose_changes(model);
    }
    QM_GUARD(qm_model_file_own_formats(model->file, &model->config, &model->own));
    if (model->values && !model->own) {
        qm_weights_close(model->file);
        free(model->file);
        model->file = NULL;
    }
    *out = model;
    model = NULL;
done:
    qm_model_destroy(&model);
    free(config);
    return status;
}

enum qm_status qm_model_load(const char *directory, uint32_t multiple, struct qm_model **out)
{
    const struct qm_model_load_params params = {.multiple = multiple, .whole_bytes = QM_MODEL_WHOLE_BYTES};
    return qm_model_load_with(directory, &params, out);
}

enum qm_status qm_model_view_open(const struct qm_model *model, size_t weight, struct qm_model_view *out)
{
    const struct qm_model_tensor *tensor = &model->tensors[weight];
    if (model->scaling)
        return qm_scaled_view_open(model, weight, out);
    *out = (struct qm_model_view){.values = tensor->values};
    if (tensor->values)
        return QM_OK;
    out->own = malloc(values_of(tensor) * sizeof(*out->own));
    if (!out->own)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the %zu values of '%s' as floats", values_of(tensor),
                       tensor->name);
    qm_memory_expect_large(out->own, values_of(tensor) * sizeof(*out->own));
    enum qm_status status = qm_model_file_read(model->file, &model->config, tensor, out->own);
    out->values = out->own;
    if (status != QM_OK)
        qm_model_view_close(out);
    return status;
}

void qm_model_view_close(struct qm_model_view *view)
{
    free(view->own);
    *view = (struct qm_model_view){0};
}

enum qm_status qm_model_copy(const struct qm_model *model, struct qm_model **out)
{
    size_t total = 0;
    *out = NULL;
    for (size_t i = 0; i < model->tensor_count; i++)
        total += (size_t)model->tensors[i].rows * model->tensors[i].columns;
    struct qm_model *copy = malloc(sizeof(*copy));
    if (copy) {
        *copy = *model;
        copy->file = NULL;
        copy->own = NULL;
        copy->scaling = NULL;
        copy->quantization = (struct qm_quantization){0};
        copy->variant = model->variant == model->layers_text ? copy->layers_text : model->variant;
        copy->tensors = malloc(model->tensor_count * sizeof(*copy->tensors));
        copy->values = malloc(total * sizeof(*copy->values));
    }
    if (!copy || !copy->tensors || !copy->values) {
        qm_model_destroy(&copy);
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a copy of %zu weights", total);
    }
    float *at = copy->values;
    for (size_t i = 0; i < model->tensor_count; i++) {
        size_t count = (size_t)model->tensors[i].rows * model->tensors[i].columns;
        struct qm_model_view view;
        enum qm_status status = qm_model_view_open(model, i, &view);
        if (status != QM_OK) {
            qm_model_destroy(&copy);
            return status;
        }
        copy->tensors[i] = model->tensors[i];
        copy->tensors[i].values = at;
        memcpy(at, view.values, count * sizeof(*at));
        qm_model_view_close(&view);
        at += count;
    }
    qm_model_untie(copy);
    *out = copy;
    return QM_OK;
}

void qm_model_untie(struct qm_model *model)
{
    if (model->config.tied_head)
        model->parameters += (uint64_t)model->config.vocabulary * model->config.own.hidden;
    model->config.tied_head = false;
}

float *qm_model_values(struct qm_model *model, enum qm_role role, uint32_t layer)
{
    return model->values + (qm_model_weight(model, role, layer)->values - model->values);
}

bool qm_model_is_quantized(const struct qm_model *model)
{
    return model->own || model->quantization.method != QM_QUANTIZATION_NONE;
}

bool qm_model_is_part(const struct qm_model *model)
{
    return model->config.layers < model->layers_in_file;
}

void qm_model_destroy(struct qm_model **model)
{
    if (!*model)
        return;
    if ((*model)->file)
        qm_weights_close((*model)->file);
    free((*model)->file);
    free((*model)->own);
    qm_scaling_destroy((*model)->scaling);
    qm_quantization_free(&(*model)->quantization);
    free((*model)->tensors);
    free((*model)->values);
    free(*model);
    *model = NULL;
}

const struct qm_model_tensor *qm_model_weight(const struct qm_model *model, enum qm_role role, uint32_t layer)
{
    return &model->tensors[qm_weight_index(&model->config, role, layer)];
}
