#include "model/model.h"
#include "base/numeric.h"
#include "model/padding.h"
#include "model/safetensors.h"
#include "sys/file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG_FILE "config.json"
#define WEIGHTS_FILE "model.safetensors"
#define CONFIG_BYTES_MAX ((size_t)1 << 20)

static enum qm_status read_weights_file(const char *directory, const char *path, void **bytes, size_t *count)
{
    char index[QM_PATH_BYTES];
    QM_TRY(qm_path_join(index, directory, WEIGHTS_FILE ".index.json"));
    if (!qm_file_exists(path) && qm_file_exists(index))
        return QM_FAIL(QM_UNSUPPORTED, "%s: the weights are in several files; save the model as one " WEIGHTS_FILE,
                       index);
    return qm_file_read(path, QM_SAFETENSORS_FILE_MAX, bytes, count);
}

// Exact for all three types.
static float value_at(const struct qm_tensor *tensor, size_t i)
{
    const unsigned char *data = tensor->data;
    uint32_t word;
    uint16_t half;
    if (tensor->dtype == QM_DTYPE_F32) {
        memcpy(&word, data + 4 * i, sizeof(word));
        return qm_float_from_bits(word);
    }
    memcpy(&half, data + 2 * i, sizeof(half));
    return tensor->dtype == QM_DTYPE_F16 ? qm_float_from_half(half) : qm_float_from_bits((uint32_t)half << 16);
}

static bool is_finite(float value)
{
    return (qm_bits_from_float(value) & 0x7f800000u) != 0x7f800000u;
}

// Finds the tensor of a weight, checks dtype and shape, and converts it into `values`, as it is in the file.
static enum qm_status read_weight(const struct qm_tensors *file, const struct qm_model_config *config,
                                  const struct qm_model_tensor *weight, float *values)
{
    char name[QM_WEIGHT_NAME_BYTES + 8], found[QM_SHAPE_TEXT_BYTES], wanted[QM_SHAPE_TEXT_BYTES];
    uint32_t rows, columns;
    qm_role_own_shape(config, weight->role, &rows, &columns);
    uint64_t shape[2] = {rows, columns};
    bool is_vector = qm_role_is_vector(weight->role);
    snprintf(name, sizeof(name), "%s%s", weight->name, qm_role_name_ending(weight->role));
    qm_shape_text(is_vector ? 1 : 2, is_vector ? shape + 1 : shape, wanted);
    const struct qm_tensor *tensor = qm_tensors_find(file, name);
    if (!tensor)
        return QM_FAIL(QM_INVALID, "%s: tensor '%s': missing; config.json asks for it with shape %s", file->file, name,
                       wanted);
    qm_shape_text(tensor->rank, tensor->shape, found);
    if (strcmp(found, wanted) != 0)
        return QM_FAIL(QM_INVALID, "%s: tensor '%s': shape %s; config.json makes it %s", file->file, name, found,
                       wanted);
    if (tensor->dtype != QM_DTYPE_F32 && tensor->dtype != QM_DTYPE_F16 && tensor->dtype != QM_DTYPE_BF16)
        return QM_FAIL(QM_UNSUPPORTED, "%s: tensor '%s': dtype %s; a model's weights must be F32, F16 or BF16",
                       file->file, name, qm_dtype_name(tensor->dtype));
    size_t count = (size_t)rows * columns;
    for (size_t i = 0; i < count; i++) {
        values[i] = value_at(tensor, i);
        if (!is_finite(values[i]))
            return QM_FAIL(QM_INVALID, "%s: tensor '%s': value %zu is %s; every weight must be finite", file->file,
                           name, i, values[i] != values[i] ? "not a number" : "infinite");
    }
    return QM_OK;
}

// Tensors that files hold although they are no weights: tables that old versions saved.
static bool is_surplus_allowed(const char *name)
{
    const char *ending = ".rotary_emb.inv_freq";
    size_t length = strlen(name), tail = strlen(ending);
    return length > tail && strcmp(name + length - tail, ending) == 0;
}

static enum qm_status check_surplus(const struct qm_tensors *file, const struct qm_model *model)
{
    size_t wanted = model->tensor_count - (model->config.tied_head ? 1 : 0);
    if (model->config.tied_head && qm_tensors_find(file, "lm_head.weight"))
        wanted++;
    if (file->count == wanted)
        return QM_OK;
    for (size_t i = 0; i < file->count; i++) {
        char name[QM_WEIGHT_NAME_BYTES + 8];
        bool found = is_surplus_allowed(file->tensors[i].name);
        for (size_t w = 0; !found && w < model->tensor_count; w++) {
            snprintf(name, sizeof(name), "%s%s", model->tensors[w].name, qm_role_name_ending(model->tensors[w].role));
            found = strcmp(name, file->tensors[i].name) == 0;
        }
        if (!found)
            return QM_FAIL(QM_UNSUPPORTED,
                           "%s: tensor '%s': no part of a %s of %" PRIu32 " layers; use a model without it", file->file,
                           file->tensors[i].name, qm_architecture_info(model->config.architecture)->title,
                           model->config.layers);
    }
    return QM_OK;
}

// The weight padded into `values`; `scratch` has room for one as it is in the file.
static enum qm_status read_padded(const struct qm_tensors *file, const struct qm_model_config *config,
                                  const struct qm_model_tensor *weight, float *scratch, float *values)
{
    bool is_padded = qm_model_config_is_padded(config);
    QM_TRY(read_weight(file, config, weight, is_padded ? scratch : values));
    if (is_padded)
        qm_weight_pad(config, weight->role, scratch, values);
    return QM_OK;
}

// Some files keep a tied head's values a second time; they must be the same.
static enum qm_status check_tied_head(const struct qm_tensors *file, const struct qm_model *model, float *scratch,
                                      float *values)
{
    const struct qm_model_tensor *head = &model->tensors[model->tensor_count - 1];
    if (!qm_tensors_find(file, "lm_head.weight"))
        return QM_OK;
    QM_TRY(read_padded(file, &model->config, head, scratch, values));
    if (memcmp(values, head->values, (size_t)head->rows * head->columns * sizeof(float)) != 0)
        return QM_FAIL(QM_INVALID,
                       "%s: tensor 'lm_head.weight': differs from the embedding although config.json has "
                       "'tie_word_embeddings'; set that to false or leave the tensor out",
                       file->file);
    return QM_OK;
}

static enum qm_status read_model(const struct qm_tensors *file, struct qm_model *model, float **scratch)
{
    const struct qm_model_config *config = &model->config;
    size_t count = qm_weight_count(config), total = 0, at = 0, largest = 0;
    model->tensors = calloc(count, sizeof(*model->tensors));
    if (!model->tensors)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for a table of %zu weights", file->file, count);
    model->tensor_count = count;
    for (size_t i = 0; i < count; i++) {
        struct qm_model_tensor *weight = &model->tensors[i];
        qm_weight_at(config, i, &weight->role, &weight->layer);
        qm_role_weight_name(weight->role, weight->layer, weight->name);
        qm_role_shape(config, weight->role, &weight->rows, &weight->columns);
        size_t values = (size_t)weight->rows * weight->columns;
        total += values;
        largest = values > largest ? values : largest;
    }
    // Before memory is asked for, so that a config.json with large numbers costs nothing.
    QM_TRY(check_surplus(file, model));
    size_t available = 0;
    for (size_t i = 0; i < file->count; i++)
        available += file->tensors[i].bytes / 2;
    uint64_t head = (uint64_t)config->vocabulary * config->own.hidden;
    model->parameters = qm_model_config_own_weights(config) - (config->tied_head ? head : 0);
    if (model->parameters > available)
        return QM_FAIL(QM_INVALID,
                       "%s: at most %zu values; config.json asks for %" PRIu64 ", the two do not belong together",
                       file->file, available, model->parameters);
    model->values = malloc(total * sizeof(float));
    *scratch = qm_model_config_is_padded(config) ? malloc(largest * sizeof(float)) : NULL;
    if (!model->values || (!*scratch && qm_model_config_is_padded(config)))
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for %zu weights as floats", file->file, total);
    for (size_t i = 0; i < count; i++) {
        struct qm_model_tensor *weight = &model->tensors[i];
        if (weight->role == QM_ROLE_HEAD && config->tied_head) {
            weight->values = model->values; // the embedding comes first
            return check_tied_head(file, model, *scratch, model->values + at);
        }
        QM_TRY(read_padded(file, config, weight, *scratch, model->values + at));
        weight->values = model->values + at;
        at += (size_t)weight->rows * weight->columns;
    }
    return QM_OK;
}

enum qm_status qm_model_load(const char *directory, uint32_t multiple, struct qm_model **out)
{
    enum qm_status status = QM_OK;
    char config_path[QM_PATH_BYTES], weights_path[QM_PATH_BYTES];
    void *config = NULL, *weights = NULL;
    size_t config_bytes, weights_bytes;
    struct qm_tensors file = {0};
    struct qm_hash hash;
    float *scratch = NULL;
    *out = NULL;
    QM_TRY(qm_path_join(config_path, directory, CONFIG_FILE));
    QM_TRY(qm_path_join(weights_path, directory, WEIGHTS_FILE));
    struct qm_model *model = calloc(1, sizeof(*model));
    if (!model)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for a model", directory);
    QM_GUARD(qm_file_read(config_path, CONFIG_BYTES_MAX, &config, &config_bytes));
    QM_GUARD(qm_model_config_parse(config, config_bytes, config_path, &model->config));
    qm_model_config_pad(&model->config, multiple);
    QM_GUARD(qm_model_config_check(&model->config, config_path));
    QM_GUARD(read_weights_file(directory, weights_path, &weights, &weights_bytes));
    qm_hash_begin(&hash);
    qm_hash_add(&hash, weights, weights_bytes);
    qm_hash_add(&hash, config, config_bytes);
    qm_hash_end(&hash, model->sha256);
    QM_GUARD(qm_tensors_parse(&weights, weights_bytes, weights_path, &file));
    QM_GUARD(read_model(&file, model, &scratch));
    *out = model;
    model = NULL;
done:
    qm_model_destroy(&model);
    qm_tensors_free(&file);
    free(config);
    free(weights);
    free(scratch);
    return status;
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
        copy->tensors[i] = model->tensors[i];
        copy->tensors[i].values = at;
        memcpy(at, model->tensors[i].values, count * sizeof(*at));
        at += count;
    }
    if (model->config.tied_head)
        copy->parameters += (uint64_t)model->config.vocabulary * model->config.own.hidden;
    copy->config.tied_head = false;
    *out = copy;
    return QM_OK;
}

float *qm_model_values(struct qm_model *model, enum qm_role role, uint32_t layer)
{
    return model->values + (qm_model_weight(model, role, layer)->values - model->values);
}

void qm_model_destroy(struct qm_model **model)
{
    if (!*model)
        return;
    free((*model)->tensors);
    free((*model)->values);
    free(*model);
    *model = NULL;
}

const struct qm_model_tensor *qm_model_weight(const struct qm_model *model, enum qm_role role, uint32_t layer)
{
    return &model->tensors[qm_weight_index(&model->config, role, layer)];
}
