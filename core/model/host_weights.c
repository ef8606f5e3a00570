#include "model/host_weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Of a tied head: the embedding's.
static const struct qm_weights_entry *find_entry(const struct qm_host_weights *weights, enum qm_role role,
                                                 uint32_t layer, char name[QM_WEIGHT_NAME_BYTES + 8])
{
    char plain[QM_WEIGHT_NAME_BYTES];
    if (role == QM_ROLE_HEAD && weights->config.tied_head)
        role = QM_ROLE_EMBEDDING;
    qm_role_weight_name(role, layer, plain);
    snprintf(name, QM_WEIGHT_NAME_BYTES + 8, "%s%s", plain, qm_role_name_ending(role));
    return qm_weights_find(weights->files, name);
}

// Before a pass of hours begins, not in its last layer.
static enum qm_status check_files(const struct qm_host_weights *weights)
{
    char name[QM_WEIGHT_NAME_BYTES + 8], found[QM_SHAPE_TEXT_BYTES], wanted[QM_SHAPE_TEXT_BYTES];
    for (size_t i = 0; i < qm_weight_count(&weights->config); ++i) {
        enum qm_role role;
        uint32_t layer, rows, columns;
        qm_weight_at(&weights->config, i, &role, &layer);
        qm_host_weights_shape(weights, role, &rows, &columns);
        uint64_t shape[2] = {rows, columns};
        bool is_vector = qm_role_is_vector(role);
        qm_shape_text(is_vector ? 1 : 2, is_vector ? shape + 1 : shape, wanted);
        const struct qm_weights_entry *entry = find_entry(weights, role, layer, name);
        if (!entry)
            return QM_FAIL(QM_INVALID, "%s: tensor '%s': missing; config.json asks for it with shape %s",
                           weights->files->file, name, wanted);
        qm_shape_text(entry->tensor->rank, entry->tensor->shape, found);
        if (strcmp(found, wanted) != 0)
            return QM_FAIL(QM_INVALID, "%s: tensor '%s': shape %s; config.json makes it %s", entry->shard->file, name,
                           found, wanted);
    }
    return QM_OK;
}

enum qm_status qm_host_weights_open(const struct qm_model_config *config, const struct qm_model *model,
                                    const struct qm_weights *files, struct qm_host_weights *out)
{
    *out = (struct qm_host_weights){.config = *config,
                                    .model = model,
                                    .files = files,
                                    .hidden = config->hidden,
                                    .intermediate = config->intermediate,
                                    .head_dim = config->head_dim,
                                    .attention = config->attention};
    if (model)
        return QM_OK;
    out->hidden = config->own.hidden;
    out->intermediate = config->own.intermediate;
    out->head_dim = config->own.head_dim;
    out->attention = config->heads * config->own.head_dim;
    size_t largest = QM_HOST_BLOCK_VALUES;
    for (int role = 0; role < QM_ROLE_COUNT; ++role) {
        uint32_t rows, columns;
        if (!qm_architecture_has(config->architecture, (enum qm_role)role))
            continue;
        qm_host_weights_shape(out, (enum qm_role)role, &rows, &columns);
        largest = columns > largest ? columns : largest;
    }
    QM_TRY(check_files(out));
    out->block = malloc(largest * sizeof(*out->block));
    if (!out->block)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for %zu weights as floats", files->file, largest);
    return QM_OK;
}

void qm_host_weights_close(struct qm_host_weights *weights)
{
    free(weights->block);
    *weights = (struct qm_host_weights){0};
}

void qm_host_weights_shape(const struct qm_host_weights *weights, enum qm_role role, uint32_t *rows, uint32_t *columns)
{
    if (weights->model)
        qm_role_shape(&weights->config, role, rows, columns);
    else
        qm_role_own_shape(&weights->config, role, rows, columns);
}

uint32_t qm_host_weights_rows_max(const struct qm_host_weights *weights, enum qm_role role)
{
    uint32_t rows, columns;
    qm_host_weights_shape(weights, role, &rows, &columns);
    if (weights->model || columns == 0)
        return rows;
    uint32_t most = QM_HOST_BLOCK_VALUES / columns;
    most = most < 1 ? 1 : most;
    return rows < most ? rows : most;
}

enum qm_status qm_host_weights_rows(struct qm_host_weights *weights, enum qm_role role, uint32_t layer, uint32_t first,
                                    uint32_t count, const float **values)
{
    uint32_t rows, columns;
    qm_host_weights_shape(weights, role, &rows, &columns);
    if (weights->model) {
        *values = qm_model_weight(weights->model, role, layer)->values + (size_t)first * columns;
        return QM_OK;
    }
    char name[QM_WEIGHT_NAME_BYTES + 8];
    const struct qm_weights_entry *entry = find_entry(weights, role, layer, name); // there: it was checked
    QM_TRY(qm_weights_floats(entry, (size_t)first * columns, (size_t)count * columns, weights->block));
    *values = weights->block;
    return QM_OK;
}
