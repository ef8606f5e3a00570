#include "model/model_tokenizer.h"

#include "model/weights.h"
#include "text/json.h"
#include "text/tokenizer_gguf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG_BYTES_MAX ((size_t)16 << 20)

static enum qm_status folder_of(const char *model, char folder[QM_PATH_BYTES], bool *is_gguf)
{
    *is_gguf = qm_weights_is_gguf(model);
    snprintf(folder, QM_PATH_BYTES, "%s", model);
    if (*is_gguf)
        qm_path_folder(model, folder);
    return QM_OK;
}

enum qm_status qm_model_tokenizer_find(const char *model, char path[QM_PATH_BYTES], bool *found)
{
    char folder[QM_PATH_BYTES], pieces[QM_PATH_BYTES];
    bool is_gguf = false;
    QM_TRY(folder_of(model, folder, &is_gguf));
    QM_TRY(qm_path_join(path, folder, "tokenizer.json"));
    *found = qm_file_exists(path);
    if (*found)
        return QM_OK;
    if (is_gguf) {
        struct qm_gguf gguf;
        QM_TRY(qm_gguf_map(model, &gguf));
        *found = qm_gguf_has_tokenizer(&gguf);
        qm_gguf_close(&gguf);
        if (*found) {
            snprintf(path, QM_PATH_BYTES, "%s", model);
            return QM_OK;
        }
    }
    QM_TRY(qm_path_join(pieces, folder, "tokenizer.model"));
    *found = qm_file_exists(pieces);
    if (*found)
        snprintf(path, QM_PATH_BYTES, "%s", pieces);
    return QM_OK;
}

// ---- A tokenizer.model ----------------------------------------------------------------------------------------------

static enum qm_status read_flag(const struct qm_json *json, const char *key, bool *out)
{
    uint32_t at = QM_JSON_NONE;
    QM_TRY(qm_json_member(json, 0, "the file", key, &at));
    if (qm_json_is_null(json, at))
        return QM_OK;
    if (!qm_json_is(json, at, QM_JSON_TRUE) && !qm_json_is(json, at, QM_JSON_FALSE))
        return QM_FAIL(QM_INVALID, "%s: '%s' must be true or false", json->file, key);
    *out = qm_json_is(json, at, QM_JSON_TRUE);
    return QM_OK;
}

static enum qm_status read_config(const char *path, bool *adds_begin, bool *adds_end)
{
    void *bytes = NULL;
    size_t count = 0;
    struct qm_json json = {0};
    enum qm_status status = QM_OK;
    if (!qm_file_exists(path))
        return QM_OK;
    QM_TRY(qm_file_read(path, CONFIG_BYTES_MAX, &bytes, &count));
    QM_GUARD(qm_json_parse(bytes, count, path, &json));
    QM_GUARD(read_flag(&json, "add_bos_token", adds_begin));
    QM_GUARD(read_flag(&json, "add_eos_token", adds_end));
done:
    qm_json_free(&json);
    free(bytes);
    return status;
}

static enum qm_status load_pieces(const char *path, struct qm_tokenizer **out)
{
    char folder[QM_PATH_BYTES], beside[QM_PATH_BYTES];
    bool adds_begin = true, adds_end = false;
    qm_path_folder(path, folder);
    QM_TRY(qm_path_join(beside, folder, "added_tokens.json"));
    if (qm_file_exists(beside))
        return QM_FAIL(QM_UNSUPPORTED,
                       "%s: tokens beside a tokenizer.model cannot be read; save the tokenizer as a "
                       "tokenizer.json",
                       beside);
    QM_TRY(qm_path_join(beside, folder, "tokenizer_config.json"));
    QM_TRY(read_config(beside, &adds_begin, &adds_end));
    return qm_tokenizer_load_pieces(path, adds_begin, adds_end, out);
}

enum qm_status qm_model_tokenizer_load(const char *path, struct qm_tokenizer **out)
{
    *out = NULL;
    if (strcmp(qm_path_name(path), "tokenizer.model") == 0)
        return load_pieces(path, out);
    return strcmp(qm_path_name(path), "tokenizer.json") == 0 ? qm_tokenizer_load(path, out)
                                                             : qm_tokenizer_load_gguf(path, out);
}

// ---- The end of an answer -------------------------------------------------------------------------------------------

static enum qm_status read_ends(const struct qm_gguf *gguf, uint32_t vocabulary, struct qm_end_tokens *out)
{
    static const char *const keys[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                       "tokenizer.ggml.eom_token_id"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); ++i) {
        uint32_t id = 0;
        bool is_there = false;
        QM_TRY(qm_gguf_u32(gguf, keys[i], &id, &is_there));
        if (is_there && id < vocabulary && !qm_end_tokens_add(out, id))
            return QM_FAIL(QM_INVALID, "%s: more than %d tokens that end an answer", gguf->file, QM_END_TOKENS_MAX);
    }
    return QM_OK;
}

enum qm_status qm_model_end_tokens(const char *model, uint32_t vocabulary, struct qm_end_tokens *out)
{
    char folder[QM_PATH_BYTES];
    bool is_gguf = false;
    struct qm_gguf gguf;
    QM_TRY(folder_of(model, folder, &is_gguf));
    QM_TRY(qm_end_tokens_load(folder, vocabulary, out));
    if (!is_gguf || out->count > 0)
        return QM_OK;
    QM_TRY(qm_gguf_map(model, &gguf));
    enum qm_status status = read_ends(&gguf, vocabulary, out);
    qm_gguf_close(&gguf);
    return status;
}
