#include "model/end_tokens.h"

#include <jansson.h>

#include <stdlib.h>

#include "model/json_bound.h"
#include "sys/file.h"

#define FILE_BYTES_MAX ((size_t)1 << 20)

bool qm_end_tokens_have(const struct qm_end_tokens *tokens, uint32_t id)
{
    for (uint32_t i = 0; i < tokens->count; ++i)
        if (tokens->ids[i] == id)
            return true;
    return false;
}

bool qm_end_tokens_add(struct qm_end_tokens *tokens, uint32_t id)
{
    if (qm_end_tokens_have(tokens, id))
        return true;
    if (tokens->count == QM_END_TOKENS_MAX)
        return false;
    tokens->ids[tokens->count++] = id;
    return true;
}

static enum qm_status add(const char *file, const json_t *value, uint32_t vocabulary, struct qm_end_tokens *out)
{
    json_int_t id = json_integer_value(value);
    if (!json_is_integer(value) || id < 0)
        return QM_FAIL(QM_INVALID, "%s: 'eos_token_id' is no token; make it a whole number, or null for none", file);
    if (id >= (json_int_t)vocabulary) // which is never generated
        return QM_OK;
    if (!qm_end_tokens_add(out, (uint32_t)id))
        return QM_FAIL(QM_INVALID, "%s: 'eos_token_id' has more than %d tokens; leave some out", file,
                       QM_END_TOKENS_MAX);
    return QM_OK;
}

static enum qm_status read_file(const char *directory, const char *name, uint32_t vocabulary, struct qm_end_tokens *out)
{
    char path[QM_PATH_BYTES];
    void *bytes = NULL;
    size_t count = 0;
    json_t *root = NULL;
    json_error_t error;
    enum qm_status status = QM_OK;
    QM_TRY(qm_path_join(path, directory, name));
    if (!qm_file_exists(path))
        return QM_OK;
    QM_GUARD(qm_file_read(path, FILE_BYTES_MAX, &bytes, &count));
    if (!qm_json_is_bounded(bytes, count)) {
        status = QM_FAIL(QM_INVALID, "%s: more than %u values; this is no configuration", path, QM_JSON_VALUES_MAX);
        goto done;
    }
    root = json_loadb(bytes, count, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(root)) {
        status = QM_FAIL(QM_INVALID, "%s:%d: %s; expected a JSON object", path, root ? 1 : error.line,
                         root ? "no object" : error.text);
        goto done;
    }
    const json_t *value = json_object_get(root, "eos_token_id");
    if (json_is_array(value)) {
        size_t index;
        const json_t *id;
        json_array_foreach(value, index, id) QM_GUARD(add(path, id, vocabulary, out));
    } else if (value && !json_is_null(value)) {
        QM_GUARD(add(path, value, vocabulary, out));
    }
done:
    json_decref(root);
    free(bytes);
    return status;
}

enum qm_status qm_end_tokens_load(const char *directory, uint32_t vocabulary, struct qm_end_tokens *out)
{
    *out = (struct qm_end_tokens){0};
    QM_TRY(read_file(directory, "generation_config.json", vocabulary, out));
    return out->count > 0 ? QM_OK : read_file(directory, "config.json", vocabulary, out);
}
