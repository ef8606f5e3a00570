// Artifacts as files, and directories of them.
#include "quant/artifact_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID_FILE_BYTES_MAX 1024

static void drop_written(void *context, const void *bytes, size_t count)
{
    qm_artifact_drop_bytes(context, bytes, count);
}

enum qm_status qm_artifact_save(const struct qm_artifact *artifact, const char *path)
{
    enum qm_status status = QM_OK;
    struct qm_artifact_parts parts = {0};
    char config[QM_MODEL_CONFIG_TEXT_BYTES];
    char *calibration = qm_artifact_calibration_text(artifact), *record = qm_artifact_record_text(artifact);
    char *formats = artifact->scheme.is_own ? qm_artifact_formats_text(artifact) : NULL;
    if (!calibration || !record || (artifact->scheme.is_own && !formats))
        QM_GUARD(QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for its metadata", path));
    qm_model_config_text(&artifact->config, config);
    const struct qm_tensor_text metadata[] = {
        {"qmark_artifact", QM_ARTIFACT_VERSION},
        {"id", artifact->id},
        {"scheme", artifact->scheme.name},
        {"scheme_sha256", artifact->scheme_sha256},
        {"model_sha256", artifact->model_sha256},
        {"config", config},
        {"calibration", calibration},
        {"record", record},
        {"formats", formats}, // the last, which other schemes do not have
    };
    size_t count = sizeof(metadata) / sizeof(metadata[0]) - (formats ? 0 : 1);
    QM_GUARD(qm_artifact_list(artifact, &parts));
    QM_GUARD(qm_safetensors_write_from(path, parts.tensors, parts.count, metadata, count, drop_written,
                                       (void *)(uintptr_t)artifact));
done:
    qm_artifact_parts_free(&parts);
    free(calibration);
    free(record);
    free(formats);
    return status;
}

// Loading ------------------------------------------------------------------------------------------------------------

static enum qm_status read_text(const struct qm_tensors *file, const char *key, const char **out)
{
    *out = qm_tensors_text(file, key);
    if (!*out)
        return QM_FAIL(QM_INVALID, "%s: metadata '%s' is missing; this is no artifact of qmark, build one", file->file,
                       key);
    return QM_OK;
}

static bool is_sha256(const char *text)
{
    return strlen(text) == QM_HASH_TEXT_BYTES - 1 && strspn(text, "0123456789abcdef") == QM_HASH_TEXT_BYTES - 1;
}

// Like read_text; copies a hash.
static enum qm_status read_hash(const struct qm_tensors *file, const char *key, char out[QM_HASH_TEXT_BYTES])
{
    const char *text;
    QM_TRY(read_text(file, key, &text));
    if (!is_sha256(text))
        return QM_FAIL(QM_INVALID, "%s: metadata '%s' is no SHA-256 of 64 digits; build the artifact again", file->file,
                       key);
    memcpy(out, text, QM_HASH_TEXT_BYTES);
    return QM_OK;
}

static enum qm_status read_config(const struct qm_tensors *file, struct qm_model_config *out)
{
    const char *text;
    char canonical[QM_MODEL_CONFIG_TEXT_BYTES];
    QM_TRY(read_text(file, "config", &text));
    QM_TRY(qm_model_config_parse(text, strlen(text), file->file, out));
    qm_model_config_text(out, canonical);
    if (strcmp(canonical, text) != 0)
        return QM_FAIL(QM_INVALID, "%s: metadata 'config' is not as qmark writes it; build the artifact again",
                       file->file);
    return QM_OK;
}

enum qm_status qm_artifact_load_config(const char *path, struct qm_model_config *out)
{
    struct qm_tensors file;
    QM_TRY(qm_tensors_map(path, &file));
    enum qm_status status = read_config(&file, out);
    if (status == QM_OK)
        status = qm_file_map_check(&file.map, path);
    qm_tensors_free(&file);
    return status;
}

// The formats of scheme `file`; *list is what they point to.
static enum qm_status read_formats(const struct qm_tensors *file, const struct qm_model_config *config,
                                   struct qm_own_formats *own, struct qm_own_format **list)
{
    const char *text;
    QM_TRY(read_text(file, "formats", &text));
    QM_TRY(qm_artifact_parse_formats(text, file->file, config, list));
    qm_own_formats_set(own, *list, qm_weight_count(config));
    return QM_OK;
}

enum qm_status qm_artifact_load_formats(const char *path, struct qm_own_formats **out)
{
    enum qm_status status = QM_OK;
    struct qm_tensors file;
    struct qm_model_config config;
    struct qm_own_formats own;
    struct qm_own_format *list = NULL;
    *out = NULL;
    QM_TRY(qm_tensors_map(path, &file));
    if (!qm_tensors_text(&file, "formats"))
        goto done;
    QM_GUARD(read_config(&file, &config));
    if (qm_weight_count(&config) > file.count)
        QM_GUARD(QM_FAIL(QM_INVALID, "%s: %zu tensors; its config needs at least %zu, build the artifact again", path,
                         file.count, qm_weight_count(&config)));
    QM_GUARD(read_formats(&file, &config, &own, &list));
    QM_GUARD(qm_file_map_check(&file.map, path));
    *out = malloc(sizeof(**out) + own.count * sizeof(*list)); // one piece, so that one free() is enough
    if (!*out)
        QM_GUARD(QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for the formats of its weights", path));
    **out = own;
    memcpy(*out + 1, list, own.count * sizeof(*list));
    (*out)->of = (const struct qm_own_format *)(const void *)(*out + 1);
done:
    free(list);
    qm_tensors_free(&file);
    return status;
}

// What the metadata says the artifact is; fills everything that follows from it.
static enum qm_status read_identity(const struct qm_tensors *file, struct qm_artifact *artifact)
{
    const char *version, *name;
    char claimed[QM_HASH_TEXT_BYTES];
    struct qm_model_config config;
    struct qm_scheme scheme;
    QM_TRY(read_text(file, "qmark_artifact", &version));
    if (strcmp(version, QM_ARTIFACT_VERSION) != 0)
        return QM_FAIL(QM_UNSUPPORTED,
                       "%s: an artifact of another version than " QM_ARTIFACT_VERSION
                       "; build it again with this qmark",
                       file->file);
    QM_TRY(read_hash(file, "id", artifact->id));
    QM_TRY(read_hash(file, "model_sha256", artifact->model_sha256));
    QM_TRY(read_hash(file, "scheme_sha256", claimed));
    QM_TRY(read_text(file, "scheme", &name));
    enum qm_status status = qm_scheme_parse(name, &scheme);
    if (status != QM_OK) {
        qm_error_prefix("%s: metadata 'scheme': ", file->file);
        return status;
    }
    QM_TRY(read_config(file, &config));
    if (qm_weight_count(&config) > file->count) // before memory is asked for
        return QM_FAIL(QM_INVALID, "%s: %zu tensors; its config needs at least %zu, build the artifact again",
                       file->file, file->count, qm_weight_count(&config));
    struct qm_own_format *list = NULL;
    struct qm_own_formats own;
    if (scheme.is_own)
        QM_TRY(read_formats(file, &config, &own, &list));
    qm_scheme_bind(&scheme, &own);
    status = qm_artifact_plan(artifact, &scheme, &config);
    free(list); // the artifact has its own
    QM_TRY(status);
    if (strcmp(artifact->scheme_sha256, claimed) != 0)
        return QM_FAIL(QM_INVALID, "%s: metadata 'scheme_sha256' is not that of scheme %s; build the artifact again",
                       file->file, scheme.name);
    return QM_OK;
}

static enum qm_status check_values(const struct qm_tensors *file, const struct qm_artifact_tensor *tensor)
{
    uint32_t row;
    if (!qm_format_is_valid(tensor->format, &tensor->encoded, tensor->rows, tensor->columns, &row))
        return QM_FAIL(QM_INVALID,
                       "%s: tensor '%s': row %u has a code or scale that %s does not have; build the artifact "
                       "again",
                       file->file, tensor->name, row, qm_weight_format_info(tensor->format)->name);
    return QM_OK;
}

static enum qm_status read_activation_scales(struct qm_artifact *artifact, const struct qm_tensor *part,
                                             struct qm_artifact_tensor *tensor)
{
    tensor->activation_scales = part->data;
    for (uint32_t i = 0; i < tensor->activation_scale_count; i++) {
        float scale = tensor->activation_scales[i];
        if (!(scale >= 0 && scale <= 0x1.fffffep127f))
            return QM_FAIL(QM_INVALID, "%s: tensor '%s': %g; it must be finite and not negative", artifact->file->file,
                           part->name, (double)scale);
    }
    if (artifact->activations) { // of `file` nothing was calibrated here
        size_t index = qm_input_index(artifact->config.layers, qm_input_of_role(tensor->role), tensor->layer);
        artifact->activations->inputs[index].scale = tensor->activation_scales[0];
    }
    // Weights that read one input read one conversion of it.
    for (const struct qm_artifact_tensor *other = artifact->tensors; other < tensor; other++)
        if (other->activation_scale_count > 0 && other->layer == tensor->layer &&
            qm_input_of_role(other->role) == qm_input_of_role(tensor->role) &&
            (other->activation_scale_count != tensor->activation_scale_count ||
             memcmp(other->activation_scales, tensor->activation_scales, part->bytes) != 0))
            return QM_FAIL(QM_INVALID,
                           "%s: tensor '%s': other scales than those of '%s', which reads the same input; build the "
                           "artifact again",
                           artifact->file->file, part->name, other->name);
    return QM_OK;
}

// Scales of keys and values. The limits are those of what calibration gives (qm_cache_scale_of); within them the reciprocal,
// which the kernels multiply by, is a normal float.
static enum qm_status read_cache_scale(const struct qm_artifact *artifact, const struct qm_tensor *part, float *out)
{
    memcpy(out, part->data, sizeof(*out));
    if (!(*out >= 0x1p-116f && *out <= 0x1p120f))
        return QM_FAIL(
            QM_INVALID,
            "%s: tensor '%s': %g; a scale of the cache is above 0 and finite, from 2^-116 to 2^120; build the "
            "artifact again",
            artifact->file->file, part->name, (double)*out);
    return QM_OK;
}

// Takes the next of the plan's tensors from the file.
static enum qm_status take(const struct qm_artifact *artifact, const struct qm_artifact_parts *parts, size_t *next,
                           const struct qm_tensor **found)
{
    const struct qm_tensor *part = &parts->tensors[(*next)++];
    return qm_tensors_require(artifact->file, part->name, part->dtype, part->rank, part->shape, found);
}

// The tensors of the file must be those of the plan; points the weights at them.
static enum qm_status read_tensors(struct qm_artifact *artifact)
{
    enum qm_status status = QM_OK;
    struct qm_artifact_parts parts;
    const struct qm_tensor *found;
    size_t next = 0;
    QM_TRY(qm_artifact_list(artifact, &parts));
    for (size_t i = 0; i < artifact->tensor_count; i++) {
        struct qm_artifact_tensor *tensor = &artifact->tensors[i];
        QM_GUARD(take(artifact, &parts, &next, &found));
        // The reader keeps its own memory, which nobody writes to; the type is that of encoding.
        tensor->encoded = (struct qm_encoded){.codes = (void *)(uintptr_t)found->data, .tensor_scale = 1};
        if (tensor->scale_bytes > 0) {
            QM_GUARD(take(artifact, &parts, &next, &found));
            tensor->encoded.scales = (void *)(uintptr_t)found->data;
        }
        if (qm_weight_codec(tensor->format)->has_tensor_scale) {
            QM_GUARD(take(artifact, &parts, &next, &found));
            memcpy(&tensor->encoded.tensor_scale, found->data, sizeof(float));
            if (!(tensor->encoded.tensor_scale >= 0 && tensor->encoded.tensor_scale <= 0x1.fffffep127f))
                QM_GUARD(QM_FAIL(QM_INVALID, "%s: tensor '%s': %g; it must be finite and not negative",
                                 artifact->file->file, found->name, (double)tensor->encoded.tensor_scale));
        }
        QM_GUARD(check_values(artifact->file, tensor));
        qm_artifact_drop(artifact, tensor);
        if (tensor->activation_scale_count > 0) {
            QM_GUARD(take(artifact, &parts, &next, &found));
            QM_GUARD(read_activation_scales(artifact, found, tensor));
        }
    }
    for (uint32_t layer = 0; artifact->cache_scales && layer < artifact->config.layers; layer++)
        for (int cached = 0; cached < QM_CACHED_COUNT; cached++) {
            QM_GUARD(take(artifact, &parts, &next, &found));
            QM_GUARD(read_cache_scale(artifact, found, &artifact->cache_scales[layer][cached]));
        }
    if (artifact->file->count != parts.count)
        QM_GUARD(QM_FAIL(QM_INVALID, "%s: %zu tensors; scheme %s has %zu for this model, build the artifact again",
                         artifact->file->file, artifact->file->count, artifact->scheme.name, parts.count));
done:
    qm_artifact_parts_free(&parts);
    return status;
}

enum qm_status qm_artifact_load(const char *path, struct qm_artifact **out)
{
    uint64_t bytes;
    *out = NULL;
    QM_TRY(qm_file_size(path, &bytes));
    return qm_artifact_load_as(path, bytes > QM_ARTIFACT_MAP_BYTES, out);
}

enum qm_status qm_artifact_load_as(const char *path, bool is_mapped, struct qm_artifact **out)
{
    enum qm_status status = QM_OK;
    char id[QM_HASH_TEXT_BYTES];
    *out = NULL;
    struct qm_artifact *artifact = calloc(1, sizeof(*artifact));
    if (artifact)
        artifact->file = calloc(1, sizeof(*artifact->file));
    if (!artifact || !artifact->file)
        QM_GUARD(QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for an artifact", path));
    QM_GUARD(is_mapped ? qm_tensors_map(path, artifact->file) : qm_tensors_load(path, artifact->file));
    QM_GUARD(read_identity(artifact->file, artifact));
    QM_GUARD(qm_artifact_parse_calibration(qm_tensors_text(artifact->file, "calibration"), path, artifact));
    QM_GUARD(qm_artifact_parse_record(qm_tensors_text(artifact->file, "record"), path, artifact));
    QM_GUARD(read_tensors(artifact));
    QM_GUARD(qm_artifact_compute_id(artifact, id));
    QM_GUARD(qm_artifact_check_unchanged(artifact));
    if (strcmp(id, artifact->id) != 0)
        QM_GUARD(QM_FAIL(QM_INVALID,
                         "%s: its content has id %.12s..., not %.12s... as it says; the file was changed or "
                         "damaged, build the artifact again",
                         path, id, artifact->id));
    qm_artifact_count_bytes(artifact);
    *out = artifact;
    artifact = NULL;
done:
    qm_artifact_destroy(&artifact);
    return status;
}

// Directories of artifacts -------------------------------------------------------------------------------------------

enum qm_status qm_artifact_path(const char *directory, const char *id, char path[QM_PATH_BYTES])
{
    char name[QM_HASH_TEXT_BYTES + 16];
    snprintf(name, sizeof(name), "%.64s.safetensors", id);
    return qm_path_join(path, directory, name);
}

// The file that holds the id of what was made of a model for a scheme with a calibration set.
static enum qm_status key_path(const char *directory, const char *model_sha256, const struct qm_model_config *config,
                               const struct qm_scheme *scheme, const char *calibration_sha256, char path[QM_PATH_BYTES])
{
    char text[QM_HASH_TEXT_BYTES], name[QM_HASH_TEXT_BYTES + 8];
    struct qm_hash hash;
    qm_hash_begin(&hash);
    qm_hash_add_text(&hash, "qmark_artifact " QM_ARTIFACT_VERSION);
    qm_hash_add_text(&hash, model_sha256);
    qm_scheme_artifact_hash(scheme, text);
    qm_hash_add_text(&hash, text);
    qm_hash_add_text(&hash, qm_scheme_is_calibrated(scheme) && calibration_sha256 ? calibration_sha256 : "");
    if (qm_model_config_is_padded(config)) { // one model may be padded in several ways
        char padded[QM_MODEL_CONFIG_TEXT_BYTES];
        qm_model_config_text(config, padded);
        qm_hash_add_text(&hash, padded);
    }
    qm_hash_end(&hash, text);
    snprintf(name, sizeof(name), "%s.id", text);
    return qm_path_join(path, directory, name);
}

enum qm_status qm_artifact_store(const struct qm_artifact *artifact, const char *directory)
{
    char path[QM_PATH_BYTES], key[QM_PATH_BYTES], line[QM_HASH_TEXT_BYTES + 1];
    const char *set = artifact->activations ? artifact->activations->set.sha256 : NULL;
    QM_TRY(qm_directory_make(directory));
    QM_TRY(qm_artifact_path(directory, artifact->id, path));
    QM_TRY(key_path(directory, artifact->model_sha256, &artifact->config, &artifact->scheme, set, key));
    QM_TRY(qm_artifact_save(artifact, path));
    int length = snprintf(line, sizeof(line), "%s\n", artifact->id);
    return qm_file_write(key, line, (size_t)length);
}

// Whether a loaded artifact is the one that was asked for: two calibration sets may have given one id.
static bool is_wanted(const struct qm_artifact *artifact, const char *model_sha256, const struct qm_scheme *scheme,
                      const char *calibration_sha256)
{
    if (strcmp(artifact->model_sha256, model_sha256) != 0 || !qm_scheme_same_artifact(&artifact->scheme, scheme))
        return false;
    return !artifact->activations || !calibration_sha256 ||
           strcmp(artifact->activations->set.sha256, calibration_sha256) == 0;
}

enum qm_status qm_artifact_find(const char *directory, const char *model_sha256, const struct qm_model_config *config,
                                const struct qm_scheme *scheme, const char *calibration_sha256,
                                struct qm_artifact **out)
{
    char key[QM_PATH_BYTES], path[QM_PATH_BYTES];
    void *bytes;
    size_t count;
    *out = NULL;
    QM_TRY(key_path(directory, model_sha256, config, scheme, calibration_sha256, key));
    if (!qm_file_exists(key) || qm_file_read(key, ID_FILE_BYTES_MAX, &bytes, &count) != QM_OK)
        return QM_OK;
    char *id = bytes;
    id[strcspn(id, "\n")] = '\0';
    bool known = is_sha256(id) && qm_artifact_path(directory, id, path) == QM_OK && qm_file_exists(path);
    free(bytes);
    if (!known || qm_artifact_load(path, out) != QM_OK)
        return QM_OK; // the cache is not as it should be: the caller builds the artifact again
    if (!is_wanted(*out, model_sha256, scheme, calibration_sha256))
        qm_artifact_destroy(out);
    return QM_OK;
}
