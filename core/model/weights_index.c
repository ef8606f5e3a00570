#include "model/weights_index.h"
#include "model/json_bound.h"
#include "model/safetensors.h"

#include <jansson.h>

#include <stdlib.h>
#include <string.h>

#define ENDING ".safetensors"

static bool ends_with(const char *text, const char *ending)
{
    size_t length = strlen(text), tail = strlen(ending);
    return length > tail && strcmp(text + length - tail, ending) == 0;
}

static bool is_plain(const char *name)
{
    for (const char *c = name; *c; c++)
        if (*c == '/' || *c == '\\' || (unsigned char)*c < ' ' || *c == 0x7f)
            return false;
    return name[0] != '.' && strlen(name) <= QM_SHARD_NAME_BYTES_MAX;
}

static enum qm_status check_shard(const char *file, const char *tensor, const json_t *value)
{
    const char *name = json_string_value(value);
    if (!name)
        return QM_FAIL(QM_INVALID,
                       "%s: tensor '%s': its file is no text; it must be a name such as \"model-1" ENDING "\"", file,
                       tensor);
    if (!is_plain(name))
        return QM_FAIL(QM_INVALID,
                       "%s: tensor '%s': its file is '%.128s'; it must be the plain name of one beside the index, "
                       "without a directory",
                       file, tensor, name);
    if (!ends_with(name, ENDING))
        return QM_FAIL(QM_INVALID,
                       "%s: tensor '%s': its file is '%.128s'; only " ENDING " files are read, since others such as "
                       "pickles can run any program when they are read",
                       file, tensor, name);
    return QM_OK;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int by_tensor(const void *a, const void *b)
{
    return strcmp(((const struct qm_weights_place *)a)->tensor, ((const struct qm_weights_place *)b)->tensor);
}

// Copies a text behind the last one; the arena has room for all of the index's texts.
static const char *keep(char **arena, const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *at = memcpy(*arena, text, bytes);
    *arena += bytes;
    return at;
}

// The names of the files, sorted and each once, copied.
static enum qm_status read_shards(const char *file, const json_t *map, char **arena, struct qm_weights_index *out)
{
    const char *tensor;
    json_t *value;
    size_t count = 0;
    // A const cast that the library's macro needs; nothing is changed.
    json_object_foreach((json_t *)(uintptr_t)map, tensor, value)
    {
        QM_TRY(qm_tensor_check_name(file, tensor));
        QM_TRY(check_shard(file, tensor, value));
        out->shards[count++] = json_string_value(value);
    }
    qsort(out->shards, count, sizeof(*out->shards), by_text);
    for (size_t i = 0; i < count; i++) {
        if (out->shard_count > 0 && strcmp(out->shards[out->shard_count - 1], out->shards[i]) == 0)
            continue;
        if (out->shard_count == QM_WEIGHTS_SHARDS_MAX)
            return QM_FAIL(QM_INVALID, "%s: names more than %d files; save the model in fewer, larger ones", file,
                           QM_WEIGHTS_SHARDS_MAX);
        out->shards[out->shard_count++] = keep(arena, out->shards[i]);
    }
    return QM_OK;
}

static enum qm_status read_map(const char *file, const json_t *map, size_t text_bytes, struct qm_weights_index *out)
{
    const char *tensor;
    json_t *value;
    size_t count = json_object_size(map);
    if (count == 0) // also of what is no object
        return QM_FAIL(QM_INVALID, "%s: no 'weight_map' from tensors to files; get the index again", file);
    // A text and its zero take no more room than the text and its quotes did.
    char *arena = malloc(text_bytes);
    out->texts = arena;
    out->places = calloc(count, sizeof(*out->places));
    out->shards = calloc(count, sizeof(*out->shards));
    if (!out->texts || !out->places || !out->shards)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for an index of %zu tensors", file, count);
    QM_TRY(read_shards(file, map, &arena, out));
    json_object_foreach((json_t *)(uintptr_t)map, tensor, value)
    {
        const char *name = json_string_value(value);
        const char **shard = bsearch(&name, out->shards, out->shard_count, sizeof(*out->shards), by_text);
        out->places[out->count++] = (struct qm_weights_place){keep(&arena, tensor), (uint32_t)(shard - out->shards)};
    }
    qsort(out->places, out->count, sizeof(*out->places), by_tensor);
    return QM_OK;
}

// Some writers make it a real number.
static enum qm_status read_total(const char *file, const json_t *metadata, struct qm_weights_index *out)
{
    const json_t *total = json_object_get(metadata, "total_size");
    double bytes = json_number_value(total);
    if (metadata && !json_is_object(metadata))
        return QM_FAIL(QM_INVALID, "%s: 'metadata' is no mapping; make it one or leave it out", file);
    if (!total)
        return QM_OK;
    if (!json_is_number(total) || !(bytes >= 0 && bytes < 0x1p53) || (double)(uint64_t)bytes != bytes)
        return QM_FAIL(QM_INVALID, "%s: 'total_size' is no whole number of bytes; correct it or leave it out", file);
    out->has_total = true;
    out->total_bytes = (uint64_t)bytes;
    return QM_OK;
}

enum qm_status qm_weights_index_parse(const void *text, size_t bytes, const char *file, struct qm_weights_index *out)
{
    enum qm_status status = QM_OK;
    json_error_t error;
    json_t *root = NULL;
    memset(out, 0, sizeof(*out));
    if (!qm_json_is_bounded(text, bytes))
        QM_GUARD(QM_FAIL(QM_INVALID, "%s: more than %u values; this is no index of a model that can be read", file,
                         QM_JSON_VALUES_MAX));
    root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        QM_GUARD(QM_FAIL(QM_INVALID, "%s:%d: no JSON: %s; correct it or get it again", file,
                         error.line > 0 ? error.line : 1, error.text));
    if (!json_is_object(root))
        QM_GUARD(QM_FAIL(QM_INVALID, "%s:1: not a mapping; it should begin with '{'", file));
    QM_GUARD(read_map(file, json_object_get(root, "weight_map"), bytes, out));
    QM_GUARD(read_total(file, json_object_get(root, "metadata"), out));
done:
    json_decref(root);
    if (status != QM_OK)
        qm_weights_index_free(out);
    return status;
}

void qm_weights_index_free(struct qm_weights_index *index)
{
    free(index->places);
    free(index->shards);
    free(index->texts);
    memset(index, 0, sizeof(*index));
}
