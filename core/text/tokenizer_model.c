// The tokens of a tokenizer.json: vocabulary, merges, added tokens.
#include "text/tokenizer_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLACE_BYTES 64

// Vocabulary and merges ----------------------------------------------------------------------------------------------

static enum qm_status read_token(struct qm_tokenizer_reader *reader, uint32_t key)
{
    const struct qm_json *json = &reader->json;
    struct qm_vocabulary *vocabulary = &reader->tokenizer->bpe.vocabulary;
    const char *text = qm_json_text(json, key);
    size_t count = json->values[key].length, other_count = 0;
    uint32_t id = 0;
    if (!qm_json_whole(json, key + 1, QM_TOKEN_ID_MAX, &id))
        return QM_FAIL(QM_INVALID, "%s: model.vocab: the id of '%.*s' must be a whole number from 0 to %u",
                       reader->file, QM_QUOTED(json, key), QM_TOKEN_ID_MAX);
    if (qm_vocabulary_find(vocabulary, text, count) != QM_TOKEN_NONE)
        return QM_FAIL(QM_INVALID, "%s: model.vocab: '%.*s' stands twice; remove one of the two", reader->file,
                       QM_QUOTED(json, key));
    if (qm_vocabulary_has(vocabulary, id)) {
        const char *other = qm_vocabulary_text(vocabulary, id, &other_count);
        return QM_FAIL(QM_INVALID, "%s: model.vocab: id %u is given to '%.*s' and to '%.*s'; give each its own",
                       reader->file, id, (int)(other_count < QM_QUOTED_BYTES ? other_count : QM_QUOTED_BYTES), other,
                       QM_QUOTED(json, key));
    }
    return qm_vocabulary_add(vocabulary, reader->file, id, text, count, QM_TOKEN_OF_MODEL);
}

static enum qm_status read_vocabulary(struct qm_tokenizer_reader *reader, uint32_t at)
{
    const struct qm_json *json = &reader->json;
    if (!qm_json_is(json, at, QM_JSON_OBJECT))
        return QM_FAIL(QM_INVALID, "%s: model: 'vocab' must be an object of texts and their ids", reader->file);
    uint32_t key = at + 1;
    for (uint32_t i = 0; i < json->values[at].length; i++) {
        QM_TRY(read_token(reader, key));
        key = json->values[key + 1].next;
    }
    return QM_OK;
}

struct span {
    const char *text;
    size_t count;
};

// The two sides of "a b" or ["a", "b"]; *is_comment: a version line of the older form, which counts as none.
static bool sides_of(const struct qm_json *json, uint32_t at, struct span sides[2], bool *is_comment)
{
    static const char comment[] = "#version";
    const struct qm_json_value *value = &json->values[at];
    *is_comment = false;
    if (value->kind == QM_JSON_LIST) {
        if (value->length != 2 || !qm_json_is(json, at + 1, QM_JSON_TEXT) || !qm_json_is(json, at + 2, QM_JSON_TEXT))
            return false;
        for (uint32_t i = 0; i < 2; i++)
            sides[i] = (struct span){qm_json_text(json, at + 1 + i), json->values[at + 1 + i].length};
        return true;
    }
    if (value->kind != QM_JSON_TEXT)
        return false;
    const char *text = qm_json_text(json, at);
    *is_comment = value->length >= sizeof(comment) - 1 && memcmp(text, comment, sizeof(comment) - 1) == 0;
    const char *blank = memchr(text, ' ', value->length);
    if (*is_comment || !blank)
        return *is_comment;
    sides[0] = (struct span){text, (size_t)(blank - text)};
    sides[1] = (struct span){blank + 1, value->length - sides[0].count - 1};
    return !memchr(sides[1].text, ' ', sides[1].count);
}

static enum qm_status no_such_token(const struct qm_tokenizer_reader *reader, uint32_t index, const struct span *token)
{
    return QM_FAIL(QM_INVALID, "%s: model.merges[%u]: '%.*s' is not in the vocabulary; add it there or drop the merge",
                   reader->file, index, (int)(token->count < QM_QUOTED_BYTES ? token->count : QM_QUOTED_BYTES),
                   token->text);
}

static enum qm_status read_merge(struct qm_tokenizer_reader *reader, uint32_t at, uint32_t index, uint32_t *rank,
                                 struct qm_bytes *both)
{
    struct qm_bpe *bpe = &reader->tokenizer->bpe;
    struct span sides[2];
    uint32_t ids[3];
    bool is_comment = false;
    if (!sides_of(&reader->json, at, sides, &is_comment))
        return QM_FAIL(QM_INVALID,
                       "%s: model.merges[%u] is no merge; expected two tokens as \"a b\" or as [\"a\", \"b\"]",
                       reader->file, index);
    if (is_comment)
        return QM_OK;
    both->count = 0;
    for (size_t i = 0; i < 2; i++) {
        ids[i] = qm_vocabulary_find(&bpe->vocabulary, sides[i].text, sides[i].count);
        if (ids[i] == QM_TOKEN_NONE)
            return no_such_token(reader, index, &sides[i]);
        QM_TRY(qm_bytes_add(both, sides[i].text, sides[i].count));
    }
    ids[2] = qm_vocabulary_find(&bpe->vocabulary, both->data, both->count);
    if (ids[2] == QM_TOKEN_NONE)
        return no_such_token(reader, index, &(struct span){both->data, both->count});
    return qm_bpe_add_merge(bpe, ids[0], ids[1], (*rank)++, ids[2]);
}

static enum qm_status read_merges(struct qm_tokenizer_reader *reader, uint32_t at)
{
    const struct qm_json *json = &reader->json;
    struct qm_bytes both = {0};
    enum qm_status status = QM_OK;
    uint32_t item = at + 1, rank = 0;
    if (!qm_json_is(json, at, QM_JSON_LIST))
        return QM_FAIL(QM_INVALID, "%s: model: 'merges' must be a list", reader->file);
    QM_TRY(qm_bytes_reserve(&both, 1));
    for (uint32_t i = 0; i < json->values[at].length && status == QM_OK; i++) {
        status = read_merge(reader, item, i, &rank, &both);
        item = json->values[item].next;
    }
    free(both.data);
    return status;
}

// The model ----------------------------------------------------------------------------------------------------------

static enum qm_status check_type(const struct qm_tokenizer_reader *reader, uint32_t model)
{
    uint32_t type = QM_JSON_NONE, merges = QM_JSON_NONE;
    QM_TRY(qm_reader_member(reader, model, "model", "type", &type));
    QM_TRY(qm_reader_member(reader, model, "model", "merges", &merges));
    if (qm_json_equals(&reader->json, type, "BPE") || (qm_json_is_null(&reader->json, type) && merges != QM_JSON_NONE))
        return QM_OK;
    reader->tokenizer->bpe.is_word_level = qm_json_equals(&reader->json, type, "WordLevel");
    reader->tokenizer->has_unigram = qm_json_equals(&reader->json, type, "Unigram");
    if (reader->tokenizer->bpe.is_word_level || reader->tokenizer->has_unigram)
        return QM_OK;
    if (!qm_json_is(&reader->json, type, QM_JSON_TEXT))
        return QM_FAIL(QM_INVALID, "%s: model: 'type' must be a text; BPE, Unigram and WordLevel work", reader->file);
    return QM_FAIL(QM_UNSUPPORTED,
                   "%s: model: type '%.*s' is not supported; BPE works (byte-level as of GPT-2, Llama 3 and Qwen, and "
                   "with byte fallback as of Llama 2 and Mistral), Unigram, and WordLevel",
                   reader->file, QM_QUOTED(&reader->json, type));
}

// Refuses what would change ids and is not built.
static enum qm_status check_unsupported(const struct qm_tokenizer_reader *reader, uint32_t model)
{
    static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    uint32_t at = QM_JSON_NONE;
    for (size_t i = 0; i < 2; i++) {
        QM_TRY(qm_reader_member(reader, model, "model", affixes[i], &at));
        if (!qm_json_is_null(&reader->json, at) && !qm_json_equals(&reader->json, at, ""))
            return QM_FAIL(QM_UNSUPPORTED, "%s: model: '%s' is not supported; null and \"\" are", reader->file,
                           affixes[i]);
    }
    QM_TRY(qm_reader_member(reader, model, "model", "dropout", &at));
    bool is_zero = qm_json_is(&reader->json, at, QM_JSON_NUMBER);
    for (uint32_t i = 0; is_zero && i < reader->json.values[at].length; i++)
        is_zero = strchr("0.", qm_json_text(&reader->json, at)[i]) != NULL;
    if (!qm_json_is_null(&reader->json, at) && !is_zero)
        return QM_FAIL(QM_UNSUPPORTED, "%s: model: 'dropout' makes ids a matter of chance; null and 0 are supported",
                       reader->file);
    return QM_OK;
}

static enum qm_status read_unknown(struct qm_tokenizer_reader *reader, uint32_t model)
{
    struct qm_bpe *bpe = &reader->tokenizer->bpe;
    uint32_t at = QM_JSON_NONE;
    QM_TRY(qm_reader_member(reader, model, "model", "unk_token", &at));
    bpe->unknown_id = QM_TOKEN_NONE;
    bpe->has_unknown = !qm_json_is_null(&reader->json, at);
    if (!bpe->has_unknown)
        return QM_OK;
    if (!qm_json_is(&reader->json, at, QM_JSON_TEXT))
        return QM_FAIL(QM_INVALID, "%s: model: 'unk_token' must be a text or null", reader->file);
    bpe->unknown_id =
        qm_vocabulary_find(&bpe->vocabulary, qm_json_text(&reader->json, at), reader->json.values[at].length);
    return QM_OK;
}

static enum qm_status read_word_level(struct qm_tokenizer_reader *reader, uint32_t at)
{
    uint32_t vocabulary = QM_JSON_NONE;
    QM_TRY(qm_reader_check_keys(reader, at, "model", "type vocab unk_token"));
    QM_TRY(qm_reader_member(reader, at, "model", "vocab", &vocabulary));
    QM_TRY(read_vocabulary(reader, vocabulary));
    return read_unknown(reader, at);
}

enum qm_status qm_tokenizer_read_model(struct qm_tokenizer_reader *reader, uint32_t at)
{
    struct qm_bpe *bpe = &reader->tokenizer->bpe;
    uint32_t vocabulary = QM_JSON_NONE, merges = QM_JSON_NONE;
    if (!qm_json_is(&reader->json, at, QM_JSON_OBJECT))
        return QM_FAIL(QM_INVALID, "%s: 'model' must be an object; this is no tokenizer.json", reader->file);
    QM_TRY(check_type(reader, at));
    if (reader->tokenizer->bpe.is_word_level)
        return read_word_level(reader, at);
    if (reader->tokenizer->has_unigram)
        return qm_tokenizer_read_unigram(reader, at);
    QM_TRY(qm_reader_check_keys(reader, at, "model",
                                "type dropout unk_token continuing_subword_prefix end_of_word_suffix fuse_unk "
                                "byte_fallback ignore_merges vocab merges"));
    QM_TRY(check_unsupported(reader, at));
    QM_TRY(qm_reader_bool(reader, at, "model", "fuse_unk", false, &bpe->fuses_unknown));
    QM_TRY(qm_reader_bool(reader, at, "model", "byte_fallback", false, &bpe->byte_fallback));
    QM_TRY(qm_reader_bool(reader, at, "model", "ignore_merges", false, &bpe->ignore_merges));
    QM_TRY(qm_reader_member(reader, at, "model", "vocab", &vocabulary));
    QM_TRY(qm_reader_member(reader, at, "model", "merges", &merges));
    QM_TRY(read_vocabulary(reader, vocabulary));
    QM_TRY(read_merges(reader, merges));
    return read_unknown(reader, at);
}

// Added tokens -------------------------------------------------------------------------------------------------------

struct added {
    uint32_t content; // index of its value
    bool is_normalized;
    struct qm_added_token token;
};

static enum qm_status read_added(struct qm_tokenizer_reader *reader, uint32_t at, const char *place, struct added *out)
{
    const struct qm_json *json = &reader->json;
    struct qm_added_token *token = &out->token;
    uint32_t id = QM_JSON_NONE;
    *out = (struct added){0};
    QM_TRY(qm_reader_check_keys(reader, at, place, "id content single_word lstrip rstrip normalized special"));
    QM_TRY(qm_reader_text(reader, at, place, "content", &out->content));
    QM_TRY(qm_reader_member(reader, at, place, "id", &id));
    if (!qm_json_whole(json, id, QM_TOKEN_ID_MAX, &token->id))
        return QM_FAIL(QM_INVALID, "%s: %s: 'id' must be a whole number from 0 to %u", reader->file, place,
                       QM_TOKEN_ID_MAX);
    token->bytes = json->values[out->content].length;
    if (token->bytes > QM_ADDED_BYTES_MAX)
        return QM_FAIL(QM_UNSUPPORTED, "%s: %s: a content of %zu bytes; at most %d are supported", reader->file, place,
                       token->bytes, QM_ADDED_BYTES_MAX);
    QM_TRY(qm_reader_bool(reader, at, place, "single_word", false, &token->is_word));
    QM_TRY(qm_reader_bool(reader, at, place, "lstrip", false, &token->takes_left));
    QM_TRY(qm_reader_bool(reader, at, place, "rstrip", false, &token->takes_right));
    QM_TRY(qm_reader_bool(reader, at, place, "special", false, &token->is_special));
    return qm_reader_bool(reader, at, place, "normalized", !token->is_special, &out->is_normalized);
}

// Gives the token its place in the vocabulary, where its text may be already.
static enum qm_status add_to_vocabulary(struct qm_tokenizer_reader *reader, const char *place,
                                        const struct added *added)
{
    const struct qm_json *json = &reader->json;
    struct qm_vocabulary *vocabulary = &reader->tokenizer->bpe.vocabulary;
    const char *text = qm_json_text(json, added->content);
    uint32_t id = added->token.id, known = qm_vocabulary_find(vocabulary, text, added->token.bytes);
    uint8_t flags = (uint8_t)(QM_TOKEN_ADDED | (added->token.is_special ? QM_TOKEN_SPECIAL : 0));
    if (known != QM_TOKEN_NONE && known != id)
        return QM_FAIL(QM_INVALID, "%s: %s: '%.*s' has id %u here and %u before; give it one", reader->file, place,
                       QM_QUOTED(json, added->content), id, known);
    if (known == QM_TOKEN_NONE && qm_vocabulary_has(vocabulary, id)) {
        size_t count = 0;
        const char *other = qm_vocabulary_text(vocabulary, id, &count);
        return QM_FAIL(QM_INVALID, "%s: %s: id %u is given to '%.*s' and to '%.*s'; give each its own", reader->file,
                       place, id, (int)(count < QM_QUOTED_BYTES ? count : QM_QUOTED_BYTES), other,
                       QM_QUOTED(json, added->content));
    }
    if (known == QM_TOKEN_NONE)
        return qm_vocabulary_add(vocabulary, reader->file, id, text, added->token.bytes, flags);
    if (vocabulary->tokens[id].flags & QM_TOKEN_ADDED)
        return QM_FAIL(QM_INVALID, "%s: %s: '%.*s' stands twice among them; remove one of the two", reader->file, place,
                       QM_QUOTED(json, added->content));
    vocabulary->tokens[id].flags |= flags;
    return QM_OK;
}

static enum qm_status add_to_set(struct qm_tokenizer_reader *reader, const char *place, struct added *added)
{
    struct qm_tokenizer *tokenizer = reader->tokenizer;
    const char *text = qm_json_text(&reader->json, added->content);
    struct qm_pattern_budget budget;
    if (added->is_normalized) {
        qm_pattern_budget_begin(&budget, added->token.bytes);
        QM_TRY(qm_normalize(&tokenizer->normalizers, text, added->token.bytes, &budget, &text, &added->token.bytes));
        if (added->token.bytes == 0 || added->token.bytes > QM_ADDED_BYTES_MAX)
            return QM_FAIL(QM_UNSUPPORTED, "%s: %s: '%.*s' has %zu bytes when normalized; 1 to %d are supported",
                           reader->file, place, QM_QUOTED(&reader->json, added->content), added->token.bytes,
                           QM_ADDED_BYTES_MAX);
    }
    added->token.text = (char *)(uintptr_t)text;
    return qm_added_set_add(added->is_normalized ? &tokenizer->added_normalized : &tokenizer->added, &added->token);
}

// Special tokens come first: where two are the same text when normalized, the first one counts.
static enum qm_status read_all_added(struct qm_tokenizer_reader *reader, uint32_t at, bool of_special)
{
    const struct qm_json *json = &reader->json;
    uint32_t item = at + 1;
    for (uint32_t i = 0; i < json->values[at].length; i++) {
        char place[PLACE_BYTES];
        struct added added;
        snprintf(place, sizeof(place), "added_tokens[%u]", i);
        QM_TRY(read_added(reader, item, place, &added));
        item = json->values[item].next;
        if (added.token.is_special != of_special || added.token.bytes == 0)
            continue;
        QM_TRY(add_to_vocabulary(reader, place, &added));
        QM_TRY(add_to_set(reader, place, &added));
    }
    return QM_OK;
}

enum qm_status qm_tokenizer_read_added(struct qm_tokenizer_reader *reader, uint32_t at)
{
    struct qm_tokenizer *tokenizer = reader->tokenizer;
    struct qm_vocabulary *vocabulary = &tokenizer->bpe.vocabulary;
    if (!qm_json_is_null(&reader->json, at)) {
        if (!qm_json_is(&reader->json, at, QM_JSON_LIST))
            return QM_FAIL(QM_INVALID, "%s: 'added_tokens' must be a list", reader->file);
        if (reader->json.values[at].length > QM_ADDED_TOKENS_MAX)
            return QM_FAIL(QM_UNSUPPORTED, "%s: %u added tokens; at most %d are supported", reader->file,
                           reader->json.values[at].length, QM_ADDED_TOKENS_MAX);
        QM_TRY(read_all_added(reader, at, true));
        QM_TRY(read_all_added(reader, at, false));
    }
    QM_TRY(qm_added_set_finish(&tokenizer->added));
    QM_TRY(qm_added_set_finish(&tokenizer->added_normalized));
    if (vocabulary->used == 0)
        return QM_FAIL(QM_INVALID, "%s: there is no token in it; expected a vocabulary", reader->file);
    tokenizer->token_count = vocabulary->used;
    return QM_OK;
}
