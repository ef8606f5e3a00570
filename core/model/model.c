#include "model/model.h"
#include "model/padding.h"
#include "model/weights.h"
#include "sys/file.h"
#include "sys/parallel.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG_FILE "config.json"
#define CONFIG_BYTES_MAX ((size_t)1 << 20)

// Finds the tensor of a weight, checks dtype and shape, and converts it into `values`, as it is in the file.
static enum qm_status read_weight(const struct qm_weights *file, const struct qm_model_config *config,
                                  const struct qm_model_tensor *weight, float *values)
{
    char name[QM_WEIGHT_NAME_BYTES + 8], found[QM_SHAPE_TEXT_BYTES], wanted[QM_SHAPE_TEXT_BYTES];
    uint32_t rows, columns;
    qm_role_own_shape(config, weight->role, &rows, &columns);
    uint64_t shape[2] = {rows, columns};
    bool is_vector = qm_role_is_vector(weight->role);
    snprintf(name, sizeof(name), "%s%s", weight->name, qm_role_name_ending(weight->role));
    qm_shape_text(is_vector ? 1 : 2, is_vector ? shape + 1 : shape, wanted);
    const struct qm_weights_entry *entry = qm_weights_find(file, name);
    if (!entry)
        return QM_FAIL(QM_INVALID, "%s: tensor '%s': missing; config.json asks for it with shape %s", file->file, name,
                       wanted);
    qm_shape_text(entry->tensor->rank, entry->tensor->shape, found);
    if (strcmp(found, wanted) != 0)
        return QM_FAIL(QM_INVALID, "%s: tensor '%s': shape %s; config.json makes it %s", entry->shard->file, name,
                       found, wanted);
    return qm_weights_floats(entry, 0, (size_t)rows * columns, values);
}

// Tensors that files hold although they are no weights: tables that old versions saved.
static bool is_surplus_allowed(const char *name)
{
    const char *ending = ".rotary_emb.inv_freq";
    size_t length = strlen(name), tail = strlen(ending);
    return length > tail && strcmp(name + length - tail, ending) == 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static enum qm_status find_surplus(const struct qm_weights *file, const struct qm_model *model,
                                   char (*names)[QM_WEIGHT_NAME_BYTES + 8], const char **sorted)
{
    for (size_t w = 0; w < model->tensor_count; w++) {
        const struct qm_model_tensor *weight = &model->tensors[w];
        snprintf(names[w], sizeof(names[w]), "%s%s", weight->name, qm_role_name_ending(weight->role));
        sorted[w] = names[w];
    }
    qsort(sorted, model->tensor_count, sizeof(*sorted), compare_names);
    for (size_t i = 0; i < file->count; i++) {
        const struct qm_weights_entry *entry = &file->entries[i];
        const char *name = entry->tensor->name;
        if (!is_surplus_allowed(name) && !bsearch(&name, sorted, model->tensor_count, sizeof(*sorted), compare_names))
            return QM_FAIL(QM_INVALID, "%s: tensor '%s': no part of a %s of %" PRIu32 " layers; use a model without it",
                           entry->shard->file, name, qm_architecture_info(model->config.architecture)->title,
                           model->config.layers);
    }
    return QM_OK;
}

static enum qm_status check_surplus(const struct qm_weights *file, const struct qm_model *model)
{
    char(*names)[QM_WEIGHT_NAME_BYTES + 8] = calloc(model->tensor_count, sizeof(*names));
    const char **sorted = calloc(model->tensor_count, sizeof(*sorted));
    enum qm_status status = names && sorted ? find_surplus(file, model, names, sorted)
                                            : QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for names", file->file);
    free(names);
    free(sorted);
    return status;
}

// The weight padded into `values`; `scratch` has room for one as it is in the file.
static enum qm_status read_padded(const struct qm_weights *file, const struct qm_model_config *config,
                                  const struct qm_model_tensor *weight, float *scratch, float *values)
{
    bool is_padded = qm_model_config_is_padded(config);
    QM_TRY(read_weight(file, config, weight, is_padded ? scratch : values));
    if (is_padded)
        qm_weight_pad(config, weight->role, scratch, values);
    return QM_OK;
}

// Some files keep a tied head's values a second time; they must be the same.
static enum qm_status check_tied_head(const struct qm_weights *file, const struct qm_model *model, float *scratch,
                                      float *values)
{
    const struct qm_model_tensor *head = &model->tensors[model->tensor_count - 1];
    const struct qm_weights_entry *entry = qm_weights_find(file, "lm_head.weight");
    if (!entry)
        return QM_OK;
    QM_TRY(read_padded(file, &model->config, head, scratch, values));
    if (memcmp(values, head->values, (size_t)head->rows * head->columns * sizeof(float)) != 0)
        return QM_FAIL(QM_INVALID,
                       "%s: tensor 'lm_head.weight': differs from the embedding although config.json has "
                       "'tie_word_embeddings'; set that to false or leave the tensor out",
                       entry->shard->file);
    return QM_OK;
}

static enum qm_status read_model(const struct qm_weights *file, struct qm_model *model, float **scratch)
{
    const struct qm_model_config *config = &model->config;
    bool is_padded = qm_model_config_is_padded(config);
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
    uint64_t available = file->bytes / 2;
    uint64_t head = (uint64_t)config->vocabulary * config->own.hidden;
    model->parameters = qm_model_config_own_weights(config) - (config->tied_head ? head : 0);
    if (model->parameters > available)
        return QM_FAIL(QM_INVALID,
                       "%s: at most %" PRIu64 " values; config.json asks for %" PRIu64
                       ", the two do not belong together",
                       file->file, available, model->parameters);
    model->values = malloc(total * sizeof(float));
    *scratch = is_padded ? malloc(largest * sizeof(float)) : NULL;
    if (!model->values || (is_padded && !*scratch))
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for %zu weights as floats", file->file, total);
    qm_memory_expect_large(model->values, total * sizeof(float));
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

// The values and the hash, which both take every byte of the files, at the same time.
struct loading {
    const struct qm_weights *file;
    const void *config;
    size_t config_bytes;
    struct qm_model *model;
    float *scratch;        // owned
    enum qm_status status; // of the values
    atomic_bool is_failed;
};

static void load_part(void *context, size_t begin, size_t end)
{
    struct loading *loading = context;
    for (size_t part = begin; part < end; part++) {
        if (part == 0) { // the calling thread's, whose error text it sets
            loading->status = read_model(loading->file, loading->model, &loading->scratch);
            atomic_store(&loading->is_failed, loading->status != QM_OK);
        } else {
            qm_weights_hash(loading->file, loading->config, loading->config_bytes, &loading->is_failed,
                            loading->model->sha256);
        }
    }
}

enum qm_status qm_model_load(const char *directory, uint32_t multiple, struct qm_model **out)
{
    enum qm_status status = QM_OK;
    char config_path[QM_PATH_BYTES];
    void *config = NULL;
    size_t config_bytes;
    struct qm_weights file = {0};
    *out = NULL;
    QM_TRY(qm_weights_check_layout(directory)); // before what a directory of another layout lacks
    QM_TRY(qm_path_join(config_path, directory, CONFIG_FILE));
    struct qm_model *model = calloc(1, sizeof(*model));
    if (!model)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for a model", directory);
    QM_GUARD(qm_file_read(config_path, CONFIG_BYTES_MAX, &config, &config_bytes));
    QM_GUARD(qm_model_config_parse(config, config_bytes, config_path, &model->config));
    qm_model_config_pad(&model->config, multiple);
    QM_GUARD(qm_model_config_check(&model->config, config_path));
    QM_GUARD(qm_weights_open(directory, &file));
    struct loading loading = {.file = &file, .config = config, .config_bytes = config_bytes, .model = model};
    qm_parallel_for(2, load_part, &loading);
    free(loading.scratch);
    QM_GUARD(loading.status);
    QM_GUARD(qm_weights_check(&file));
    *out = model;
    model = NULL;
done:
    qm_model_destroy(&model);
    qm_weights_close(&file);
    free(config);
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
