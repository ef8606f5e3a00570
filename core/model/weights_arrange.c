#include "model/weights_arrange.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NAME_BYTES = QM_WEIGHT_NAME_BYTES + 8
};

// One role of a layer, with all that lie in the same tensor of the file.
struct place {
    const struct qm_weight_source *source;
    char name[NAME_BYTES]; // of the tensor in the file
    uint32_t rows, columns;
    uint64_t before, all; // outputs of the tensor before these, and of the whole tensor
    bool is_vector;
};

static const struct qm_weight_source *source_of(const struct qm_architecture_info *info, enum qm_role role)
{
    for (const struct qm_weight_source *source = info->sources; source && source->name; source++)
        if (source->role == role)
            return source;
    return NULL;
}

static void name_of(const char *pattern, const char *prefix, uint32_t layer, char name[NAME_BYTES])
{
    const char *number = strchr(pattern, '#');
    if (number)
        snprintf(name, NAME_BYTES, "%s%.*s%" PRIu32 "%s", prefix, (int)(number - pattern), pattern, layer, number + 1);
    else
        snprintf(name, NAME_BYTES, "%s%s", prefix, pattern);
}

static bool find_place(const struct qm_model_config *config, const char *prefix, enum qm_role role, uint32_t layer,
                       struct place *out)
{
    const struct qm_architecture_info *info = qm_architecture_info(config->architecture);
    *out = (struct place){.source = source_of(info, role), .is_vector = qm_role_is_vector(role)};
    if (!out->source)
        return false;
    name_of(out->source->name, prefix, layer, out->name);
    qm_role_own_shape(config, role, &out->rows, &out->columns);
    for (const struct qm_weight_source *other = info->sources; other->name; other++) {
        uint32_t rows, columns;
        if (strcmp(other->name, out->source->name) != 0)
            continue;
        qm_role_own_shape(config, other->role, &rows, &columns);
        uint64_t outputs = out->is_vector ? columns : rows;
        out->before += other < out->source ? outputs : 0;
        out->all += outputs;
    }
    return true;
}

static enum qm_status check_shape(const struct qm_weights *weights, const struct place *place,
                                  const struct qm_weights_entry *entry)
{
    char found[QM_SHAPE_TEXT_BYTES], wanted[QM_SHAPE_TEXT_BYTES];
    uint64_t shape[2] = {place->all, place->columns};
    if (place->source->is_transposed) {
        shape[0] = place->columns;
        shape[1] = place->all;
    }
    qm_shape_text(place->is_vector ? 1 : 2, shape, wanted);
    if (!entry)
        return QM_FAIL(QM_INVALID, "%s: tensor '%s': missing; config.json asks for it with shape %s", weights->file,
                       place->name, wanted);
    if (entry->quantized &&
        (place->all != (place->is_vector ? place->columns : place->rows) || place->source->is_transposed))
        return QM_FAIL(
            QM_UNSUPPORTED,
            "%s: tensor '%s': is quantized, and several weights or turned over; such can be read as floats alone, use "
            "the model that it was made of",
            entry->shard->file, place->name);
    qm_shape_text(entry->tensor->rank, entry->tensor->shape, found);
    if (strcmp(found, wanted) != 0)
        return QM_FAIL(QM_INVALID, "%s: tensor '%s': shape %s; config.json makes it %s", entry->shard->file,
                       place->name, found, wanted);
    return qm_weights_check_dtype(entry);
}

// The weights that have sources, beside those that stay as they are.
struct arrangement {
    struct qm_tensor *tensors;
    char (*names)[NAME_BYTES];
    struct qm_weights_entry *entries;
    bool *is_taken; // of the file's entries
    size_t count, entry_count;
};

static void add(struct arrangement *to, const struct qm_weights_entry *entry, const struct place *place,
                enum qm_role role, uint32_t layer)
{
    struct qm_tensor *tensor = &to->tensors[to->count];
    const size_t value_bytes = qm_dtype_bytes(entry->tensor->dtype);
    const uint64_t values = (uint64_t)place->rows * place->columns;
    char plain[QM_WEIGHT_NAME_BYTES];
    qm_role_weight_name(role, layer, plain);
    snprintf(to->names[to->count], NAME_BYTES, "%s%s", plain, qm_role_name_ending(role));
    *tensor = *entry->tensor;
    tensor->name = to->names[to->count++];
    tensor->shape[0] = place->is_vector ? place->columns : place->rows;
    tensor->shape[1] = place->columns;
    tensor->bytes = (size_t)values * value_bytes;
    const uint64_t skipped =
        place->is_vector || place->source->is_transposed ? place->before : place->before * place->columns;
    tensor->data = (const char *)entry->tensor->data + skipped * value_bytes;
    to->entries[to->entry_count++] =
        (struct qm_weights_entry){.tensor = tensor,
                                  .shard = entry->shard,
                                  .quantized = entry->quantized, // as a whole: check_shape
                                  .turned_over = place->source->is_transposed ? place->all : 0};
}

static enum qm_status take_all(const struct qm_weights *weights, const struct qm_model_config *config,
                               const char *prefix, struct arrangement *to)
{
    for (size_t i = 0; i < qm_weight_count(config); i++) {
        enum qm_role role;
        uint32_t layer;
        struct place place;
        qm_weight_at(config, i, &role, &layer);
        if (!find_place(config, prefix, role, layer, &place))
            continue;
        const struct qm_weights_entry *entry = qm_weights_find(weights, place.name);
        QM_TRY(check_shape(weights, &place, entry));
        to->is_taken[entry - weights->entries] = true;
        add(to, entry, &place, role, layer);
    }
    for (size_t i = 0; i < weights->count; i++)
        if (!to->is_taken[i])
            to->entries[to->entry_count++] = weights->entries[i];
    // Two tensors of one name: one of the file's own is called as a weight is here.
    const struct qm_weights_entry *twice = qm_weights_sort(to->entries, to->entry_count);
    if (twice)
        return QM_FAIL(QM_INVALID, "%s: tensor '%s': is there twice, once under another name; use a model without it",
                       twice->shard->file, twice->tensor->name);
    return QM_OK;
}

// Gains are named as roles are by now.
static void add_ones(struct qm_weights *weights, const struct qm_model_config *config)
{
    for (size_t i = 0; i < qm_weight_count(config); i++) {
        char plain[QM_WEIGHT_NAME_BYTES], name[NAME_BYTES];
        enum qm_role role;
        uint32_t layer;
        qm_weight_at(config, i, &role, &layer);
        if (!qm_role_is_norm(role))
            continue;
        qm_role_weight_name(role, layer, plain);
        snprintf(name, sizeof(name), "%s%s", plain, qm_role_name_ending(role));
        const struct qm_weights_entry *entry = qm_weights_find(weights, name);
        if (entry)
            weights->entries[entry - weights->entries].added = 1;
    }
}

static void arrangement_free(struct arrangement *all)
{
    free(all->tensors);
    free(all->names);
    free(all->entries);
    free(all->is_taken);
}

enum qm_status qm_weights_arrange(struct qm_weights *weights, const struct qm_model_config *config)
{
    const struct qm_architecture_info *info = qm_architecture_info(config->architecture);
    const size_t count = qm_weight_count(config);
    struct arrangement all = {0};
    char name[NAME_BYTES] = "";
    enum qm_status status = QM_OK;
    if (weights->gguf || (!info->sources && !info->adds_one))
        return QM_OK;
    if (info->prefix && info->sources)
        name_of(info->sources[0].name, info->prefix, 0, name);
    const char *prefix = name[0] && qm_weights_find(weights, name) ? info->prefix : "";
    if (info->sources) {
        all.tensors = calloc(count, sizeof(*all.tensors));
        all.names = calloc(count, sizeof(*all.names));
        all.entries = calloc(count + weights->count + 1, sizeof(*all.entries));
        all.is_taken = calloc(weights->count + 1, sizeof(*all.is_taken));
        if (!all.tensors || !all.names || !all.entries || !all.is_taken)
            QM_GUARD(QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for a list of %zu tensors", weights->file, count));
        QM_GUARD(take_all(weights, config, prefix, &all));
        free(weights->entries);
        weights->entries = all.entries;
        weights->count = all.entry_count;
        weights->arranged_tensors = all.tensors;
        weights->arranged_names = all.names;
        all = (struct arrangement){.is_taken = all.is_taken};
    }
    if (info->adds_one)
        add_ones(weights, config);
done:
    arrangement_free(&all);
    return status;
}
