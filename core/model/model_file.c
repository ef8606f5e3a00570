#include "model/model_file.h"

#include "model/padding.h"
#include "model/quantized_sets.h"
#include "quant/calibrate.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NAME_BYTES = QM_WEIGHT_NAME_BYTES + 8,
    PIECE = 1 << 22 // values that are looked at together
};

static void name_of(enum qm_role role, uint32_t layer, char name[NAME_BYTES])
{
    char weight[QM_WEIGHT_NAME_BYTES];
    qm_role_weight_name(role, layer, weight);
    snprintf(name, NAME_BYTES, "%s%s", weight, qm_role_name_ending(role));
}

// What of the files is a weight: a tied head is the embedding.
static enum qm_role role_in_file(const struct qm_model_config *config, enum qm_role role)
{
    return role == QM_ROLE_HEAD && config->tied_head ? QM_ROLE_EMBEDDING : role;
}

// The tensor of a weight, its type and shape checked.
static enum qm_status find(const struct qm_weights *file, const struct qm_model_config *config, enum qm_role role,
                           uint32_t layer, const struct qm_weights_entry **out)
{
    char name[NAME_BYTES], found[QM_SHAPE_TEXT_BYTES], wanted[QM_SHAPE_TEXT_BYTES];
    uint32_t rows, columns;
    qm_role_own_shape(config, role, &rows, &columns);
    uint64_t shape[2] = {rows, columns};
    bool is_vector = qm_role_is_vector(role);
    name_of(role, layer, name);
    qm_shape_text(is_vector ? 1 : 2, is_vector ? shape + 1 : shape, wanted);
    const struct qm_weights_entry *entry = *out = qm_weights_find(file, name);
    if (!entry)
        return QM_FAIL(QM_INVALID, "%s: tensor '%s': missing; config.json asks for it with shape %s", file->file, name,
                       wanted);
    qm_shape_text(entry->tensor->rank, entry->tensor->shape, found);
    if (strcmp(found, wanted) != 0)
        return QM_FAIL(QM_INVALID, "%s: tensor '%s': shape %s; config.json makes it %s", entry->shard->file, name,
                       found, wanted);
    return qm_weights_check_dtype(entry);
}

// ---- Headers --------------------------------------------------------------------------------------------------------

// Tensors that files hold although they are no weights: tables that old versions saved.
static bool is_surplus_allowed(const char *name, const struct qm_architecture_info *info)
{
    const char *const endings[] = {".rotary_emb.inv_freq", info->surplus, info->surplus_too};
    size_t length = strlen(name);
    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        size_t tail = endings[i] ? strlen(endings[i]) : length;
        if (length > tail && strcmp(name + length - tail, endings[i]) == 0)
            return true;
    }
    return false;
}

// AutoGPTQ once gave every layer that it quantized a bias, of zeros where the model has none.
static bool is_zero_bias(const struct qm_weights *file, const struct qm_weights_entry *entry)
{
    const char *ending = ".bias", *bytes = entry->tensor->data;
    size_t length = strlen(entry->tensor->name), tail = strlen(ending), i = 0;
    if (!file->quantized || length <= tail || strcmp(entry->tensor->name + length - tail, ending) != 0)
        return false;
    while (i < entry->tensor->bytes && bytes[i] == 0)
        ++i;
    return i == entry->tensor->bytes;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, b);
}

static enum qm_status check_surplus(const struct qm_weights *file, const struct qm_model_config *all)
{
    size_t count = qm_weight_count(all);
    char(*names)[NAME_BYTES] = calloc(count, sizeof(*names));
    if (!names)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for names", file->file);
    for (size_t w = 0; w < count; w++) {
        enum qm_role role;
        uint32_t layer;
        qm_weight_at(all, w, &role, &layer);
        name_of(role, layer, names[w]);
    }
    qsort(names, count, sizeof(*names), compare_names);
    enum qm_status status = QM_OK;
    for (size_t i = 0; status == QM_OK && i < file->count; i++) {
        const char *name = file->entries[i].tensor->name;
        if (!is_surplus_allowed(name, qm_architecture_info(all->architecture)) &&
            !is_zero_bias(file, &file->entries[i]) && !bsearch(name, names, count, sizeof(*names), compare_names))
            status = QM_FAIL(
                QM_INVALID, "%s: tensor '%s': no part of a %s of %" PRIu32 " layers; use a model without it",
                file->entries[i].shard->file, name, qm_architecture_info(all->architecture)->title, all->layers);
    }
    free(names);
    return status;
}

enum qm_status qm_model_file_check(const struct qm_weights *file, const struct qm_model_config *config, uint32_t layers)
{
    struct qm_model_config all = *config;
    all.layers = layers;
    QM_TRY(check_surplus(file, &all));
    for (size_t w = 0; w < qm_weight_count(config); w++) {
        const struct qm_weights_entry *entry;
        enum qm_role role;
        uint32_t layer;
        qm_weight_at(config, w, &role, &layer);
        QM_TRY(find(file, config, role_in_file(config, role), layer, &entry));
    }
    return QM_OK;
}

// ---- Values ---------------------------------------------------------------------------------------------------------

enum qm_status qm_model_file_read(const struct qm_weights *file, const struct qm_model_config *config,
                                  const struct qm_model_tensor *weight, float *values)
{
    const struct qm_weights_entry *entry;
    uint32_t rows, columns;
    enum qm_role role = role_in_file(config, weight->role);
    QM_TRY(find(file, config, role, weight->layer, &entry));
    qm_role_own_shape(config, role, &rows, &columns);
    size_t count = (size_t)rows * columns;
    bool is_padded = rows != weight->rows || columns != weight->columns;
    float *own = is_padded ? malloc(count * sizeof(*own)) : values;
    if (!own)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for %zu weights as floats", file->file, count);
    enum qm_status status = qm_weights_floats(entry, 0, count, own);
    if (status == QM_OK && is_padded)
        qm_weight_pad(config, role, own, values);
    if (is_padded)
        free(own);
    QM_TRY(qm_file_map_check(&entry->shard->map, entry->shard->file)); // of a file that was cut off anything is said
    return status;
}

// ---- Codes ----------------------------------------------------------------------------------------------------------

// Weights that read one input read one conversion of it: where their files' scales differ, all of them take floats.
static void join_static(const struct qm_model_config *config, const float *scales, struct qm_own_format *of)
{
    size_t count = qm_weight_count(config);
    for (size_t a = 0; a < count; a++)
        for (size_t b = 0; b < count; b++) {
            enum qm_role role, other;
            uint32_t layer, other_layer;
            if (!of[a].is_static || scales[b] <= 0 || scales[a] == scales[b])
                continue;
            qm_weight_at(config, a, &role, &layer);
            qm_weight_at(config, b, &other, &other_layer);
            if (layer == other_layer && qm_input_of_role(role) == qm_input_of_role(other))
                of[a] = (struct qm_own_format){of[a].weights, qm_own_activations(of[a].weights), false};
        }
}

static enum qm_status list_own_formats(const struct qm_weights *file, const struct qm_model_config *config,
                                       struct qm_own_format *of, float *scales, bool *is_quantized)
{
    for (size_t w = 0; w < qm_weight_count(config); w++) {
        const struct qm_weights_entry *entry;
        enum qm_role role;
        uint32_t layer;
        qm_weight_at(config, w, &role, &layer);
        of[w] = (struct qm_own_format){.weights = QM_WEIGHT_FORMAT_COUNT};
        if (!qm_role_is_linear(role))
            continue;
        QM_TRY(find(file, config, role_in_file(config, role), layer, &entry));
        of[w].weights = qm_weights_own_format(entry);
        of[w].activations = entry->quantized
                                ? qm_quantized_own_activations(entry->quantized, of[w].weights, &of[w].is_static)
                                : qm_own_activations(of[w].weights);
        scales[w] = of[w].is_static ? qm_quantized_input_scale(entry->quantized) : 0;
        *is_quantized = *is_quantized ||
                        (of[w].weights < QM_WEIGHT_FORMAT_COUNT && !qm_weight_format_info(of[w].weights)->is_float);
    }
    join_static(config, scales, of);
    return QM_OK;
}

enum qm_status qm_model_file_own_formats(const struct qm_weights *file, const struct qm_model_config *config,
                                         struct qm_own_formats **out)
{
    size_t count = qm_weight_count(config);
    bool is_quantized = file->quantized != NULL; // also where its floats stand in for what no format has
    *out = NULL;
    struct qm_own_formats *own = calloc(1, sizeof(*own) + count * sizeof(*own->of));
    float *scales = calloc(count + 1, sizeof(*scales));
    enum qm_status status =
        own && scales ? QM_OK
                      : QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for the formats of %zu weights", file->file, count);
    if (status == QM_OK) {
        struct qm_own_format *of = (struct qm_own_format *)(void *)(own + 1);
        status = list_own_formats(file, config, of, scales, &is_quantized);
        if (status == QM_OK)
            qm_own_formats_set(own, of, count);
    }
    free(scales);
    if (status == QM_OK && is_quantized)
        *out = own;
    else
        free(own);
    return status;
}

enum qm_status qm_model_file_own_activation_scale(const struct qm_weights *file, const struct qm_model_config *config,
                                                  const struct qm_model_tensor *weight, float *scale)
{
    const struct qm_weights_entry *entry;
    QM_TRY(find(file, config, role_in_file(config, weight->role), weight->layer, &entry));
    *scale = entry->quantized ? qm_quantized_input_scale(entry->quantized) : 0;
    if (*scale <= 0)
        return QM_FAIL(QM_INVALID, "%s: tensor '%s': its activations have no scale any more; get the files again",
                       file->file, weight->name);
    return qm_file_map_check(&entry->shard->map, entry->shard->file);
}

enum qm_status qm_model_own_activation_scale(const struct qm_model *model, size_t weight, float *scale)
{
    return qm_model_file_own_activation_scale(model->file, &model->config, &model->tensors[weight], scale);
}

enum qm_status qm_model_file_own_codes(const struct qm_weights *file, const struct qm_model_config *config,
                                       const struct qm_model_tensor *weight, void *codes, void *scales)
{
    const struct qm_weights_entry *entry;
    uint32_t rows, columns;
    enum qm_role role = role_in_file(config, weight->role);
    QM_TRY(find(file, config, role, weight->layer, &entry));
    qm_role_own_shape(config, role, &rows, &columns);
    enum qm_weight_format format = qm_weights_own_format(entry);
    bool is_padded = rows != weight->rows || columns != weight->columns;
    struct qm_encoded own = {.codes = codes, .scales = scales, .tensor_scale = 1};
    struct qm_encoded padded = own;
    size_t code_bytes = qm_format_code_bytes(format, rows, columns);
    if (is_padded) {
        QM_TRY(qm_weight_pad_check(config, weight, format, entry->shard->file));
        own.codes = malloc(code_bytes + qm_format_scale_bytes(format, rows, columns) + 1);
        own.scales = (char *)own.codes + code_bytes;
    }
    if (!own.codes)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for the codes of '%s'", file->file, weight->name);
    enum qm_status status = qm_weights_own_rows(entry, 0, rows, own.codes, own.scales);
    if (status == QM_OK && is_padded)
        qm_weight_pad_codes(config, role, format, &own, &padded);
    if (is_padded)
        free(own.codes);
    QM_TRY(qm_file_map_check(&entry->shard->map, entry->shard->file));
    return status;
}

enum qm_status qm_model_own_codes(const struct qm_model *model, size_t weight, void *codes, void *scales)
{
    return qm_model_file_own_codes(model->file, &model->config, &model->tensors[weight], codes, scales);
}

static enum qm_status check_values(const struct qm_weights_entry *entry, float *scratch)
{
    size_t count = (size_t)qm_weights_value_count(entry);
    for (size_t at = 0; at < count; at += PIECE)
        QM_TRY(qm_weights_floats(entry, at, count - at < PIECE ? count - at : PIECE, scratch));
    return QM_OK;
}

// Some files keep a tied head's values a second time; they must be the same. `scratch` has room for two pieces.
static enum qm_status check_tied_head(const struct qm_weights *file, const struct qm_model_config *config,
                                      float *scratch)
{
    const struct qm_weights_entry *head, *embedding;
    if (!config->tied_head || !qm_weights_find(file, "lm_head.weight"))
        return QM_OK;
    QM_TRY(find(file, config, QM_ROLE_HEAD, 0, &head));
    QM_TRY(find(file, config, QM_ROLE_EMBEDDING, 0, &embedding));
    size_t count = (size_t)config->vocabulary * config->own.hidden;
    for (size_t at = 0; at < count; at += PIECE) {
        size_t some = count - at < PIECE ? count - at : PIECE;
        QM_TRY(qm_weights_floats(head, at, some, scratch));
        QM_TRY(qm_weights_floats(embedding, at, some, scratch + PIECE));
        if (memcmp(scratch, scratch + PIECE, some * sizeof(*scratch)) != 0)
            return QM_FAIL(QM_INVALID,
                           "%s: tensor 'lm_head.weight': differs from the embedding although config.json has "
                           "'tie_word_embeddings'; set that to false or leave the tensor out",
                           head->shard->file);
    }
    return QM_OK;
}

enum qm_status qm_model_file_check_values(const struct qm_weights *file, const struct qm_model_config *config)
{
    float *scratch = malloc(2 * (size_t)PIECE * sizeof(*scratch));
    if (!scratch)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory to read it", file->file);
    enum qm_status status = QM_OK;
    for (size_t w = 0; status == QM_OK && w < qm_weight_count(config); w++) {
        const struct qm_weights_entry *entry;
        enum qm_role role;
        uint32_t layer;
        qm_weight_at(config, w, &role, &layer);
        if (role != role_in_file(config, role))
            continue;
        status = find(file, config, role, layer, &entry);
        if (status == QM_OK)
            status = check_values(entry, scratch);
    }
    if (status == QM_OK)
        status = check_tied_head(file, config, scratch);
    free(scratch);
    return status;
}
