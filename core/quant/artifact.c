#include "quant/artifact.h"
#include "quant/artifact_internal.h"
#include "quant/weight_calibrator.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STORAGE_ALIGNMENT 8u
#define HASH_PIECE ((size_t)8 << 20)

// Linear weights are in the scheme's formats, the embedding in float16 (float32 in scheme f32), norms in float32.
static enum qm_status plan_formats(const struct qm_scheme *scheme, size_t index, struct qm_artifact_tensor *tensor)
{
    tensor->format = QM_WEIGHT_F32;
    tensor->activations = QM_ACTIVATION_F32;
    if (scheme->is_own && qm_role_is_linear(tensor->role)) {
        tensor->format = scheme->own->of[index].weights;
        if (tensor->format >= QM_WEIGHT_FORMAT_COUNT)
            return QM_FAIL(
                QM_INVALID,
                "scheme %s: tensor '%s': no format has it as the model's file has it; use other schemes, which "
                "quantize its values anew",
                scheme->name, tensor->name);
        tensor->activations =
            scheme->is_own_floats ? qm_own_activations(tensor->format) : scheme->own->of[index].activations;
        if (!qm_formats_multiply(tensor->format, tensor->activations))
            return QM_FAIL(QM_INVALID, "scheme %s: tensor '%s': no kernel multiplies it so; build the artifact again",
                           scheme->name, tensor->name);
    } else if (qm_role_is_linear(tensor->role))
        qm_scheme_formats_of(scheme, tensor->name, &tensor->format, &tensor->activations);
    else if (tensor->role == QM_ROLE_EMBEDDING && scheme->weights != QM_WEIGHT_F32)
        tensor->format = QM_WEIGHT_F16;
    return QM_OK;
}

// A copy of the formats that `file` stands for, which lives as long as the artifact.
static enum qm_status take_own_formats(struct qm_artifact *artifact)
{
    const struct qm_own_formats *own = artifact->scheme.own;
    if (!artifact->scheme.is_own)
        return QM_OK;
    if (!own || !own->of || own->count != artifact->tensor_count)
        return QM_FAIL(
            QM_INVALID,
            "scheme %s runs the codes of a model that somebody quantized, and this one has floats; use schemes "
            "such as f16 or w8a16",
            artifact->scheme.name);
    artifact->own_list = malloc(own->count * sizeof(*artifact->own_list));
    if (!artifact->own_list)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the formats of %zu weights", own->count);
    memcpy(artifact->own_list, own->of, own->count * sizeof(*artifact->own_list));
    artifact->own = *own;
    artifact->own.of = artifact->own_list;
    artifact->scheme.own = &artifact->own;
    return QM_OK;
}

// Whether a weight's activations have scales from calibration, or from the file.
static bool is_static(const struct qm_scheme *scheme, size_t index, const struct qm_artifact_tensor *tensor)
{
    bool is_so = scheme->is_own ? scheme->own->of[index].is_static : scheme->is_static;
    return is_so && qm_role_is_linear(tensor->role) &&
           (tensor->activations == QM_ACTIVATION_A8 || tensor->activations == QM_ACTIVATION_F8);
}

enum qm_status qm_artifact_check_patterns(const struct qm_scheme *scheme, const struct qm_model_config *config)
{
    for (size_t i = 0; i < scheme->override_count; i++) {
        bool matches = false;
        for (size_t t = 0; !matches && t < qm_weight_count(config); t++) {
            char name[QM_WEIGHT_NAME_BYTES];
            enum qm_role role;
            uint32_t layer;
            qm_weight_at(config, t, &role, &layer);
            qm_role_weight_name(role, layer, name);
            matches = qm_role_is_linear(role) && qm_scheme_pattern_matches(scheme->overrides[i].pattern, name);
        }
        if (!matches)
            return QM_FAIL(QM_INVALID,
                           "scheme %s: '%s' matches no linear weight of the model; use a pattern such as lm_head, "
                           "*.down_proj or layers.0.*",
                           scheme->name, scheme->overrides[i].pattern);
    }
    return QM_OK;
}

enum qm_status qm_artifact_plan(struct qm_artifact *artifact, const struct qm_scheme *scheme,
                                const struct qm_model_config *config)
{
    QM_TRY(qm_artifact_check_patterns(scheme, config));
    artifact->config = *config;
    artifact->scheme = *scheme;
    // The KV format is no part of an artifact that has no scales for it: it gets the one that goes without saying, in the
    // name as well.
    if (qm_kv_calibrated_largest(scheme->kv) == 0)
        artifact->scheme.kv = scheme->weights == QM_WEIGHT_F32 ? QM_KV_F32 : QM_KV_F16;
    artifact->scheme.kv_first = artifact->scheme.kv_last = 0;
    qm_scheme_set_name(&artifact->scheme);
    qm_scheme_artifact_hash(&artifact->scheme, artifact->scheme_sha256);
    artifact->tensor_count = qm_weight_count(config);
    QM_TRY(take_own_formats(artifact));
    artifact->tensors = calloc(artifact->tensor_count, sizeof(*artifact->tensors));
    if (!artifact->tensors)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a table of %zu weights", artifact->tensor_count);
    for (size_t i = 0; i < artifact->tensor_count; i++) {
        struct qm_artifact_tensor *tensor = &artifact->tensors[i];
        qm_weight_at(config, i, &tensor->role, &tensor->layer);
        qm_role_weight_name(tensor->role, tensor->layer, tensor->name);
        qm_role_shape(config, tensor->role, &tensor->rows, &tensor->columns);
        QM_TRY(plan_formats(scheme, i, tensor));
        if (tensor->columns % qm_format_column_multiple(tensor->format) != 0)
            return QM_FAIL(QM_INVALID,
                           "scheme %s: tensor '%s' has K = %" PRIu32 ", which groups of %" PRIu32
                           " do not divide; use smaller groups",
                           scheme->name, tensor->name, tensor->columns, qm_format_column_multiple(tensor->format));
        tensor->code_bytes = qm_format_code_bytes(tensor->format, tensor->rows, tensor->columns);
        tensor->scale_bytes = qm_format_scale_bytes(tensor->format, tensor->rows, tensor->columns);
        if (is_static(scheme, i, tensor)) {
            uint32_t group = scheme->activation_group ? scheme->activation_group : tensor->columns;
            if (tensor->columns % group != 0)
                return QM_FAIL(QM_INVALID,
                               "scheme %s: tensor '%s' has %" PRIu32 " channels, which groups of %" PRIu32
                               " do not divide; use -static or smaller groups",
                               scheme->name, tensor->name, tensor->columns, group);
            tensor->activation_scale_count = tensor->columns / group;
        }
        tensor->bound = !qm_role_is_linear(tensor->role) ? QM_BOUND_HALF_STEP
                        : scheme->is_own                 ? QM_BOUND_OWN
                                                         : qm_weight_bound(scheme, tensor->format);
    }
    if (qm_kv_calibrated_largest(scheme->kv) == 0)
        return QM_OK;
    artifact->cache_scales = calloc(config->layers, sizeof(*artifact->cache_scales));
    if (!artifact->cache_scales)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for scales of %" PRIu32 " caches", config->layers);
    return QM_OK;
}

void qm_artifact_count_bytes(struct qm_artifact *artifact)
{
    artifact->bytes = artifact->weight_bytes = 0;
    for (size_t i = 0; i < artifact->tensor_count; i++) {
        const struct qm_artifact_tensor *tensor = &artifact->tensors[i];
        uint64_t bytes = tensor->code_bytes + tensor->scale_bytes +
                         (qm_weight_codec(tensor->format)->has_tensor_scale ? sizeof(float) : 0);
        artifact->bytes += bytes + tensor->activation_scale_count * sizeof(float);
        artifact->weight_bytes += qm_role_is_linear(tensor->role) ? bytes : 0;
    }
    if (artifact->cache_scales)
        artifact->bytes += artifact->config.layers * sizeof(*artifact->cache_scales);
}

// The tensors of a file ----------------------------------------------------------------------------------------------

static struct qm_tensor *add_part(struct qm_artifact_parts *parts, const char *weight, const char *part,
                                  enum qm_dtype dtype, size_t bytes, const void *data)
{
    struct qm_tensor *tensor = &parts->tensors[parts->count];
    char *name = parts->names[parts->count++];
    snprintf(name, QM_PART_NAME_BYTES, "%s%s", weight, part);
    *tensor = (struct qm_tensor){.name = name, .dtype = dtype, .bytes = bytes, .data = data};
    return tensor;
}

enum qm_status qm_artifact_list(const struct qm_artifact *artifact, struct qm_artifact_parts *out)
{
    size_t capacity = 4 * artifact->tensor_count + QM_CACHED_COUNT * (size_t)artifact->config.layers;
    *out = (struct qm_artifact_parts){0};
    out->tensors = calloc(capacity, sizeof(*out->tensors));
    out->names = calloc(capacity, sizeof(*out->names));
    if (!out->tensors || !out->names) {
        qm_artifact_parts_free(out);
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a table of %zu tensors", capacity);
    }
    for (size_t i = 0; i < artifact->tensor_count; i++) {
        const struct qm_artifact_tensor *weight = &artifact->tensors[i];
        const struct qm_weight_codec *codec = qm_weight_codec(weight->format);
        struct qm_tensor *part = add_part(out, weight->name, qm_role_name_ending(weight->role), codec->code_dtype,
                                          weight->code_bytes, weight->encoded.codes);
        qm_format_code_shape(weight->format, weight->rows, weight->columns, part->shape);
        part->rank = 2;
        if (qm_role_is_vector(weight->role)) { // as in Hugging Face
            part->shape[0] = part->shape[1];
            part->rank = 1;
        }
        if (weight->scale_bytes > 0) {
            part = add_part(out, weight->name, ".scale", qm_format_scale_dtype(weight->format), weight->scale_bytes,
                            weight->encoded.scales);
            part->rank = qm_format_scale_shape(weight->format, weight->rows, weight->columns, part->shape);
        }
        if (codec->has_tensor_scale) {
            part = add_part(out, weight->name, ".tensor_scale", QM_DTYPE_F32, sizeof(float),
                            &weight->encoded.tensor_scale);
            part->rank = 1;
            part->shape[0] = 1;
        }
        if (weight->activation_scale_count > 0) {
            part = add_part(out, weight->name, ".activation_scale", QM_DTYPE_F32,
                            weight->activation_scale_count * sizeof(float), weight->activation_scales);
            part->rank = 1;
            part->shape[0] = weight->activation_scale_count;
        }
    }
    for (uint32_t layer = 0; artifact->cache_scales && layer < artifact->config.layers; layer++)
        for (int cached = 0; cached < QM_CACHED_COUNT; cached++) {
            char attention[QM_WEIGHT_NAME_BYTES];
            snprintf(attention, sizeof(attention), "model.layers.%" PRIu32 ".self_attn", layer);
            struct qm_tensor *part = add_part(out, attention, cached == QM_CACHED_KEYS ? ".k_scale" : ".v_scale",
                                              QM_DTYPE_F32, sizeof(float), &artifact->cache_scales[layer][cached]);
            part->rank = 1;
            part->shape[0] = 1;
        }
    return QM_OK;
}

void qm_artifact_parts_free(struct qm_artifact_parts *parts)
{
    free(parts->tensors);
    free(parts->names);
    *parts = (struct qm_artifact_parts){0};
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct qm_tensor *)a)->name, ((const struct qm_tensor *)b)->name);
}

enum qm_status qm_artifact_compute_id(const struct qm_artifact *artifact, char id[QM_HASH_TEXT_BYTES])
{
    struct qm_artifact_parts parts;
    char config[QM_MODEL_CONFIG_TEXT_BYTES], shape[QM_SHAPE_TEXT_BYTES];
    struct qm_hash hash;
    QM_TRY(qm_artifact_list(artifact, &parts));
    qsort(parts.tensors, parts.count, sizeof(*parts.tensors), by_name);
    qm_hash_begin(&hash);
    for (size_t i = 0; i < parts.count; i++) {
        const struct qm_tensor *part = &parts.tensors[i];
        qm_shape_text(part->rank, part->shape, shape);
        qm_hash_add_text(&hash, part->name);
        qm_hash_add_text(&hash, qm_dtype_name(part->dtype));
        qm_hash_add_text(&hash, shape);
        for (size_t at = 0; at < part->bytes; at += HASH_PIECE) {
            size_t some = part->bytes - at < HASH_PIECE ? part->bytes - at : HASH_PIECE;
            qm_hash_add(&hash, (const char *)part->data + at, some);
            qm_artifact_drop_bytes(artifact, (const char *)part->data + at, some);
        }
    }
    qm_model_config_text(&artifact->config, config);
    qm_hash_add_text(&hash, artifact->scheme_sha256);
    qm_hash_add_text(&hash, config);
    qm_hash_end(&hash, id);
    qm_artifact_parts_free(&parts);
    return QM_OK;
}

// Building -----------------------------------------------------------------------------------------------------------

static enum qm_status copy_activations(const struct qm_activation_scales *from, struct qm_artifact *artifact)
{
    const struct qm_scheme *scheme = &artifact->scheme;
    if (!from)
        return QM_FAIL(QM_INVALID, "scheme %s needs a calibration; calibrate the model first", scheme->name);
    if (from->method != scheme->calibrator)
        return QM_FAIL(QM_INVALID, "scheme %s wants calibrator %s; these activation scales are from %s", scheme->name,
                       qm_calibrator_name(scheme->calibrator), qm_calibrator_name(from->method));
    if (from->layers != artifact->config.layers)
        return QM_FAIL(QM_INVALID,
                       "activation scales for %" PRIu32 " layers; the model has %" PRIu32 ", calibrate that one",
                       from->layers, artifact->config.layers);
    struct qm_activation_scales *copy = malloc(sizeof(*copy));
    if (copy) {
        *copy = *from;
        copy->cache = NULL; // see copy_cache
        copy->inputs = malloc(copy->count * sizeof(*copy->inputs));
        if (copy->inputs) {
            memcpy(copy->inputs, from->inputs, copy->count * sizeof(*copy->inputs));
            for (size_t i = 0; i < copy->count; i++)
                copy->inputs[i].groups = NULL; // they end in the tensors
        } else
            qm_activation_scales_destroy(&copy);
    }
    if (!copy)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %zu activation scales", from->count);
    artifact->activations = copy;
    return QM_OK;
}

// The scales of the cache from its maxima, which are kept beside those of the inputs.
static enum qm_status copy_cache(const struct qm_activation_scales *from, struct qm_artifact *artifact)
{
    uint32_t layers = artifact->config.layers;
    if (!from->cache)
        return QM_FAIL(QM_INVALID,
                       "scheme %s needs keys and values seen over a calibration set; calibrate the model with them",
                       artifact->scheme.name);
    artifact->activations->cache = malloc(layers * sizeof(*from->cache));
    if (!artifact->activations->cache)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for scales of %" PRIu32 " caches", layers);
    memcpy(artifact->activations->cache, from->cache, layers * sizeof(*from->cache));
    for (uint32_t layer = 0; layer < layers; layer++)
        for (int cached = 0; cached < QM_CACHED_COUNT; cached++)
            artifact->cache_scales[layer][cached] =
                qm_cache_scale_of(from->cache[layer].of[cached], qm_kv_calibrated_largest(artifact->scheme.kv));
    return QM_OK;
}

static size_t aligned(size_t bytes)
{
    return (bytes + STORAGE_ALIGNMENT - 1) / STORAGE_ALIGNMENT * STORAGE_ALIGNMENT;
}

// Static scales of a weight's activations, one for all channels or one a group, for the format that they are in.
static enum qm_status put_activation_scales(const struct qm_artifact_params *params, struct qm_artifact *artifact,
                                            struct qm_artifact_tensor *tensor, float *to)
{
    tensor->activation_scales = to;
    if (artifact->scheme.is_own)
        return qm_model_own_activation_scale(params->model, (size_t)(tensor - artifact->tensors), to);
    size_t index = qm_input_index(artifact->config.layers, qm_input_of_role(tensor->role), tensor->layer);
    const struct qm_activation_scale *input = &params->activations->inputs[index];
    uint32_t count = tensor->activation_scale_count;
    if (count > 1 && (!input->groups || input->group_count != count))
        return QM_FAIL(QM_INVALID, "scheme %s needs a threshold for each of %" PRIu32 " groups of channels of '%s'",
                       artifact->scheme.name, count, tensor->name);
    for (uint32_t i = 0; i < count; i++) {
        float threshold = count > 1 ? input->groups[i].threshold : input->threshold;
        to[i] = tensor->activations == QM_ACTIVATION_F8 ? qm_activation_scale_of(threshold, 448)
                                                        : qm_activation_scale_for(threshold);
    }
    artifact->activations->inputs[index].scale = to[0];
    return QM_OK;
}

// Codes and scales of one weight, in the storage that is planned for it.
static enum qm_status encode(const struct qm_artifact_params *params, const struct qm_artifact *artifact,
                             struct qm_artifact_tensor *tensor, const float *values)
{
    if (tensor->bound == QM_BOUND_OWN) {
        tensor->encoded.tensor_scale = 1;
        QM_TRY(qm_model_own_codes(params->model, (size_t)(tensor - artifact->tensors), tensor->encoded.codes,
                                  tensor->encoded.scales));
        return qm_format_check(tensor->format, tensor->name, values, tensor->rows, tensor->columns, &tensor->encoded,
                               tensor->bound, &tensor->record);
    }
    if (!qm_role_is_linear(tensor->role))
        return qm_format_encode(tensor->format, tensor->name, values, tensor->rows, tensor->columns,
                                &(struct qm_encode_params){QM_FIT_ABSMAX, NULL}, &tensor->encoded, &tensor->record);
    size_t input = qm_input_index(artifact->config.layers, qm_input_of_role(tensor->role), tensor->layer);
    return qm_weight_calibrate(&artifact->scheme, tensor->format, tensor->name, values, tensor->rows, tensor->columns,
                               params->statistics ? params->statistics[input] : NULL, &tensor->encoded,
                               &tensor->record);
}

static enum qm_status make_storage(const struct qm_artifact_params *params, size_t bytes, struct qm_artifact *artifact,
                                   char **out)
{
    if (params->scratch_directory) {
        QM_TRY(qm_scratch_create(params->scratch_directory, bytes, &artifact->scratch));
        *out = artifact->scratch.bytes;
        return QM_OK;
    }
    *out = artifact->storage = calloc(1, bytes);
    if (!*out)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %zu bytes of codes and scales", bytes);
    return QM_OK;
}

static enum qm_status encode_all(const struct qm_artifact_params *params, struct qm_artifact *artifact)
{
    size_t total = 0;
    for (size_t i = 0; i < artifact->tensor_count; i++)
        total += aligned(artifact->tensors[i].code_bytes) + aligned(artifact->tensors[i].scale_bytes) +
                 aligned(artifact->tensors[i].activation_scale_count * sizeof(float));
    char *at = NULL;
    QM_TRY(make_storage(params, total, artifact, &at));
    for (size_t i = 0; i < artifact->tensor_count; i++) {
        struct qm_artifact_tensor *tensor = &artifact->tensors[i];
        struct qm_model_view view;
        tensor->encoded.codes = at;
        at += aligned(tensor->code_bytes);
        tensor->encoded.scales = tensor->scale_bytes ? at : NULL;
        at += aligned(tensor->scale_bytes);
        QM_TRY(qm_model_view_open(params->model, i, &view));
        enum qm_status status = encode(params, artifact, tensor, view.values);
        qm_model_view_close(&view);
        QM_TRY(status);
        qm_artifact_drop(artifact, tensor);
        if (params->progress)
            params->progress(params->progress_context, (double)(i + 1) / (double)artifact->tensor_count);
        if (tensor->activation_scale_count > 0)
            QM_TRY(put_activation_scales(params, artifact, tensor, (float *)(void *)at));
        at += aligned(tensor->activation_scale_count * sizeof(float));
    }
    return QM_OK;
}

enum qm_status qm_artifact_build(const struct qm_artifact_params *params, struct qm_artifact **out)
{
    enum qm_status status = QM_OK;
    *out = NULL;
    struct qm_artifact *artifact = calloc(1, sizeof(*artifact));
    if (!artifact)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for an artifact");
    QM_GUARD(qm_artifact_plan(artifact, params->scheme, &params->model->config));
    memcpy(artifact->model_sha256, params->model->sha256, sizeof(artifact->model_sha256));
    if (qm_scheme_is_calibrated(params->scheme))
        QM_GUARD(copy_activations(params->activations, artifact));
    if (artifact->cache_scales)
        QM_GUARD(copy_cache(params->activations, artifact));
    QM_GUARD(encode_all(params, artifact));
    qm_artifact_count_bytes(artifact);
    QM_GUARD(qm_artifact_compute_id(artifact, artifact->id));
    *out = artifact;
    artifact = NULL;
done:
    qm_artifact_destroy(&artifact);
    return status;
}

enum qm_status qm_artifact_outline(const struct qm_scheme *scheme, const struct qm_model_config *config,
                                   struct qm_artifact **out)
{
    enum qm_status status = QM_OK;
    *out = NULL;
    struct qm_artifact *artifact = calloc(1, sizeof(*artifact));
    if (!artifact)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for an artifact");
    QM_GUARD(qm_artifact_plan(artifact, scheme, config));
    for (size_t i = 0; i < artifact->tensor_count; i++) {
        struct qm_artifact_tensor *tensor = &artifact->tensors[i];
        tensor->record.bytes = tensor->code_bytes + tensor->scale_bytes +
                               (qm_weight_codec(tensor->format)->has_tensor_scale ? sizeof(float) : 0);
    }
    *out = artifact;
    artifact = NULL;
done:
    qm_artifact_destroy(&artifact);
    return status;
}

void qm_artifact_destroy(struct qm_artifact **artifact)
{
    struct qm_artifact *a = *artifact;
    if (!a)
        return;
    qm_activation_scales_destroy(&a->activations);
    if (a->file)
        qm_tensors_free(a->file);
    free(a->file);
    free(a->tensors);
    free(a->own_list);
    free(a->cache_scales);
    free(a->storage);
    qm_scratch_destroy(&a->scratch);
    free(a);
    *artifact = NULL;
}

// Using --------------------------------------------------------------------------------------------------------------

enum qm_status qm_artifact_check(const struct qm_artifact *artifact, const struct qm_model *model)
{
    char ours[QM_MODEL_CONFIG_TEXT_BYTES], theirs[QM_MODEL_CONFIG_TEXT_BYTES];
    qm_model_config_text(&artifact->config, ours);
    qm_model_config_text(&model->config, theirs);
    if (strcmp(artifact->model_sha256, model->sha256) != 0 || strcmp(ours, theirs) != 0)
        return QM_FAIL(QM_WRONG_RESULT,
                       "artifact %.12s is of model %.12s, not of %.12s; build it again from this model", artifact->id,
                       artifact->model_sha256, model->sha256);
    for (size_t i = 0; i < artifact->tensor_count; i++) {
        const struct qm_artifact_tensor *tensor = &artifact->tensors[i];
        struct qm_model_view view;
        QM_TRY(qm_model_view_open(model, i, &view));
        enum qm_status status = qm_format_check(tensor->format, tensor->name, view.values, tensor->rows,
                                                tensor->columns, &tensor->encoded, tensor->bound, NULL);
        qm_model_view_close(&view);
        QM_TRY(status);
        qm_artifact_drop(artifact, tensor);
    }
    return qm_artifact_check_unchanged(artifact);
}

void qm_artifact_drop_bytes(const struct qm_artifact *artifact, const void *bytes, size_t count)
{
    if (artifact->file)
        qm_file_map_drop(&artifact->file->map, bytes, count);
    qm_scratch_drop(&artifact->scratch, bytes, count);
}

void qm_artifact_drop(const struct qm_artifact *artifact, const struct qm_artifact_tensor *tensor)
{
    qm_artifact_drop_bytes(artifact, tensor->encoded.codes, tensor->code_bytes);
    if (tensor->encoded.scales)
        qm_artifact_drop_bytes(artifact, tensor->encoded.scales, tensor->scale_bytes);
}

enum qm_status qm_artifact_check_unchanged(const struct qm_artifact *artifact)
{
    return artifact->file && artifact->file->map.bytes ? qm_file_map_check(&artifact->file->map, artifact->file->file)
                                                       : QM_OK;
}

const struct qm_artifact_tensor *qm_artifact_weight(const struct qm_artifact *artifact, enum qm_role role,
                                                    uint32_t layer)
{
    return &artifact->tensors[qm_weight_index(&artifact->config, role, layer)];
}

void qm_artifact_decode(const struct qm_artifact_tensor *tensor, float *values)
{
    qm_format_decode(tensor->format, &tensor->encoded, tensor->rows, tensor->columns, values);
}
