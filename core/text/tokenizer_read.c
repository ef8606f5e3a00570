// The whole of a tokenizer.json; its parts are read by tokenizer_model.c and tokenizer_steps.c.
#include "sys/file.h"
#include "text/tokenizer_internal.h"

#include <stdlib.h>
#include <string.h>

static bool is_word_of(const char *words, const char *text, size_t count)
{
    while (*words) {
        size_t length = strcspn(words, " ");
        if (length == count && memcmp(words, text, count) == 0)
            return true;
        words += length + (words[length] == ' ');
    }
    return false;
}

enum qm_status qm_reader_check_keys(const struct qm_tokenizer_reader *reader, uint32_t object, const char *place,
                                    const char *keys)
{
    const struct qm_json *json = &reader->json;
    uint32_t at = object + 1;
    if (!qm_json_is(json, object, QM_JSON_OBJECT))
        return QM_FAIL(QM_INVALID, "%s: %s is no object; expected one with the keys %s", reader->file, place, keys);
    for (uint32_t i = 0; i < json->values[object].length; i++) {
        if (!is_word_of(keys, qm_json_text(json, at), json->values[at].length))
            return QM_FAIL(QM_UNSUPPORTED, "%s: %s: key '%.*s' is not known; the keys that are: %s", reader->file,
                           place, QM_QUOTED(json, at), keys);
        at = json->values[at + 1].next;
    }
    return QM_OK;
}

enum qm_status qm_reader_member(const struct qm_tokenizer_reader *reader, uint32_t object, const char *place,
                                const char *key, uint32_t *out)
{
    return qm_json_member(&reader->json, object, place, key, out);
}

enum qm_status qm_reader_bool(const struct qm_tokenizer_reader *reader, uint32_t object, const char *place,
                              const char *key, bool otherwise, bool *out)
{
    uint32_t at = QM_JSON_NONE;
    *out = otherwise;
    QM_TRY(qm_reader_member(reader, object, place, key, &at));
    if (qm_json_is_null(&reader->json, at))
        return QM_OK;
    *out = qm_json_is(&reader->json, at, QM_JSON_TRUE);
    if (!*out && !qm_json_is(&reader->json, at, QM_JSON_FALSE))
        return QM_FAIL(QM_INVALID, "%s: %s: '%s' must be true or false", reader->file, place, key);
    return QM_OK;
}

enum qm_status qm_reader_text(const struct qm_tokenizer_reader *reader, uint32_t object, const char *place,
                              const char *key, uint32_t *out)
{
    QM_TRY(qm_reader_member(reader, object, place, key, out));
    if (!qm_json_is(&reader->json, *out, QM_JSON_TEXT))
        return QM_FAIL(QM_INVALID, "%s: %s: '%s' must be a text", reader->file, place, key);
    return QM_OK;
}

static enum qm_status read_remark(struct qm_tokenizer_reader *reader)
{
    static const char *const remarks[] = {"", "truncation is not applied", "padding is not applied",
                                          "truncation and padding are not applied"};
    uint32_t truncation = QM_JSON_NONE, padding = QM_JSON_NONE;
    QM_TRY(qm_reader_member(reader, 0, "the file", "truncation", &truncation));
    QM_TRY(qm_reader_member(reader, 0, "the file", "padding", &padding));
    reader->tokenizer->remark = remarks[(qm_json_is_null(&reader->json, truncation) ? 0 : 1) +
                                        (qm_json_is_null(&reader->json, padding) ? 0 : 2)];
    return QM_OK;
}

static enum qm_status read_all(struct qm_tokenizer_reader *reader)
{
    // Added tokens need the normalizer, and the template needs all tokens.
    static const struct {
        const char *key;
        enum qm_status (*read)(struct qm_tokenizer_reader *reader, uint32_t at);
    } parts[] = {
        {"model", qm_tokenizer_read_model},
        {"normalizer", qm_tokenizer_read_normalizer},
        {"pre_tokenizer", qm_tokenizer_read_pre_tokenizer},
        {"decoder", qm_tokenizer_read_decoder},
        {"added_tokens", qm_tokenizer_read_added},
        {"post_processor", qm_tokenizer_read_post_processor},
    };
    uint32_t at = QM_JSON_NONE;
    QM_TRY(qm_reader_check_keys(reader, 0, "the file",
                                "version truncation padding added_tokens normalizer pre_tokenizer post_processor "
                                "decoder model"));
    QM_TRY(qm_reader_member(reader, 0, "the file", "version", &at));
    if (!qm_json_is_null(&reader->json, at) && !qm_json_equals(&reader->json, at, "1.0"))
        return QM_FAIL(QM_UNSUPPORTED, "%s: 'version' is not \"1.0\", the one version that can be read", reader->file);
    QM_TRY(read_remark(reader));
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        QM_TRY(qm_reader_member(reader, 0, "the file", parts[i].key, &at));
        QM_TRY(parts[i].read(reader, at));
    }
    return qm_bpe_finish(&reader->tokenizer->bpe);
}

enum qm_status qm_tokenizer_new(const char *file, struct qm_tokenizer **out)
{
    *out = calloc(1, sizeof(**out));
    if (*out)
        (*out)->file = strdup(file);
    if (!*out || !(*out)->file) {
        qm_tokenizer_destroy(out);
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for a tokenizer; close other programs and try again", file);
    }
    qm_vocabulary_begin(&(*out)->bpe.vocabulary);
    (*out)->bpe.file = (*out)->file;
    (*out)->normalizers.most = 2 * QM_TEXT_BYTES_MAX;
    (*out)->remark = "";
    return QM_OK;
}

enum qm_status qm_tokenizer_parse(const void *bytes, size_t count, const char *file, struct qm_tokenizer **out)
{
    struct qm_tokenizer_reader reader = {.file = file};
    enum qm_status status = QM_OK;
    *out = NULL;
    if (count > QM_TOKENIZER_FILE_BYTES_MAX)
        return QM_FAIL(QM_INVALID, "%s: %zu bytes; at most %zu can be read", file, count, QM_TOKENIZER_FILE_BYTES_MAX);
    QM_TRY(qm_json_parse(bytes, count, file, &reader.json));
    QM_GUARD(qm_tokenizer_new(file, &reader.tokenizer));
    qm_hash_bytes(bytes, count, reader.tokenizer->sha256);
    QM_GUARD(read_all(&reader));
done:
    qm_json_free(&reader.json);
    if (status != QM_OK)
        qm_tokenizer_destroy(&reader.tokenizer);
    *out = reader.tokenizer;
    return status;
}

enum qm_status qm_tokenizer_load(const char *path, struct qm_tokenizer **out)
{
    void *bytes = NULL;
    size_t count = 0;
    *out = NULL;
    QM_TRY(qm_file_read(path, QM_TOKENIZER_FILE_BYTES_MAX, &bytes, &count));
    enum qm_status status = qm_tokenizer_parse(bytes, count, path, out);
    free(bytes);
    return status;
}
