// The unigram model of a tokenizer.json: a list of texts, whose places are their ids, with their scores.
#include "text/tokenizer_internal.h"

#include <stdlib.h>
#include <string.h>

#define NUMBER_BYTES 64

static bool read_score(const struct qm_json *json, uint32_t at, double *out)
{
    char text[NUMBER_BYTES];
    size_t length = json->values[at].length;
    if (length >= sizeof(text))
        return false;
    memcpy(text, qm_json_text(json, at), length);
    text[length] = '\0';
    *out = strtod(text, NULL);
    return *out - *out == 0;
}

static enum qm_status read_token(struct qm_tokenizer_reader *reader, uint32_t at, uint32_t id)
{
    const struct qm_json *json = &reader->json;
    struct qm_unigram *unigram = &reader->tokenizer->unigram;
    struct qm_vocabulary *vocabulary = &reader->tokenizer->bpe.vocabulary;
    if (!qm_json_is(json, at, QM_JSON_LIST) || json->values[at].length != 2 ||
        !qm_json_is(json, at + 1, QM_JSON_TEXT) || !qm_json_is(json, at + 2, QM_JSON_NUMBER))
        return QM_FAIL(QM_INVALID, "%s: model.vocab[%u] must be a text and its score, [\"a\", -1.5]", reader->file, id);
    const char *text = qm_json_text(json, at + 1);
    size_t count = json->values[at + 1].length;
    if (count == 0 || count > QM_PIECE_BYTES_MAX)
        return QM_FAIL(QM_INVALID, "%s: model.vocab[%u] has %zu bytes; 1 to %d are supported", reader->file, id, count,
                       QM_PIECE_BYTES_MAX);
    if (!read_score(json, at + 2, &unigram->scores[id]))
        return QM_FAIL(QM_INVALID, "%s: model.vocab[%u]: the score of '%.*s' is no finite number", reader->file, id,
                       QM_QUOTED(json, at + 1));
    if (qm_vocabulary_find(vocabulary, text, count) != QM_TOKEN_NONE)
        return QM_FAIL(QM_INVALID, "%s: model.vocab[%u]: '%.*s' stands twice; remove one of the two", reader->file, id,
                       QM_QUOTED(json, at + 1));
    if (id == 0 || unigram->scores[id] < unigram->lowest)
        unigram->lowest = unigram->scores[id];
    QM_TRY(qm_prefixes_add(&unigram->texts, reader->file, text, count, id));
    return qm_vocabulary_add(vocabulary, reader->file, id, text, count, QM_TOKEN_OF_MODEL);
}

enum qm_status qm_tokenizer_read_unigram(struct qm_tokenizer_reader *reader, uint32_t at)
{
    const struct qm_json *json = &reader->json;
    struct qm_bpe *bpe = &reader->tokenizer->bpe;
    struct qm_unigram *unigram = &reader->tokenizer->unigram;
    uint32_t vocabulary = QM_JSON_NONE, unknown = QM_JSON_NONE;
    QM_TRY(qm_reader_check_keys(reader, at, "model", "type unk_id vocab byte_fallback"));
    QM_TRY(qm_reader_bool(reader, at, "model", "byte_fallback", false, &bpe->byte_fallback));
    QM_TRY(qm_reader_member(reader, at, "model", "vocab", &vocabulary));
    QM_TRY(qm_reader_member(reader, at, "model", "unk_id", &unknown));
    if (!qm_json_is(json, vocabulary, QM_JSON_LIST) || json->values[vocabulary].length > QM_TOKEN_ID_MAX)
        return QM_FAIL(QM_INVALID, "%s: model: 'vocab' must be a list of texts with their scores", reader->file);
    uint32_t count = json->values[vocabulary].length, item = vocabulary + 1;
    unigram->scores = calloc((size_t)count + 1, sizeof(*unigram->scores));
    if (!unigram->scores)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for %u tokens; close other programs and try again",
                       reader->file, count);
    unigram->texts.seed = bpe->vocabulary.seed;
    for (uint32_t id = 0; id < count; id++) {
        QM_TRY(read_token(reader, item, id));
        item = json->values[item].next;
    }
    bpe->unknown_id = QM_TOKEN_NONE;
    if (!qm_json_is_null(json, unknown) &&
        (!qm_json_whole(json, unknown, QM_TOKEN_ID_MAX, &bpe->unknown_id) || bpe->unknown_id >= count))
        return QM_FAIL(QM_INVALID, "%s: model: 'unk_id' must be the place of a token in 'vocab', or null",
                       reader->file);
    unigram->unknown_id = bpe->unknown_id;
    return QM_OK;
}

// A stretch of the word: a token, or what is unknown, as its bytes or as one token.
static enum qm_status add_stretch(const struct qm_bpe *bpe, const char *text, size_t count, struct qm_tokens *out)
{
    uint32_t id = qm_vocabulary_find(&bpe->vocabulary, text, count);
    bool has_bytes = bpe->byte_fallback;
    if (id != QM_TOKEN_NONE && (bpe->vocabulary.tokens[id].flags & QM_TOKEN_OF_MODEL))
        return qm_tokens_add(out, &id, 1);
    for (size_t i = 0; has_bytes && i < count; i++)
        has_bytes = bpe->fallback_ids[(unsigned char)text[i]] != QM_TOKEN_NONE;
    for (size_t i = 0; has_bytes && i < count; i++)
        QM_TRY(qm_tokens_add(out, &bpe->fallback_ids[(unsigned char)text[i]], 1));
    if (has_bytes)
        return QM_OK;
    if (bpe->unknown_id == QM_TOKEN_NONE)
        return QM_FAIL(QM_INVALID,
                       "%s: a text has '%.*s', for which there is no token, and 'unk_id' is not set; set it", bpe->file,
                       (int)(count < QM_QUOTED_BYTES ? count : QM_QUOTED_BYTES), text);
    return qm_tokens_add(out, &bpe->unknown_id, 1);
}

enum qm_status qm_tokenizer_encode_unigram(struct qm_tokenizer *tokenizer, const char *word, size_t count,
                                           struct qm_tokens *out)
{
    const struct qm_bpe *bpe = &tokenizer->bpe;
    struct qm_unigram_end *ends = NULL;
    size_t unknown = 0; // where the unknown ones in a row begin that are one
    bool is_pending = false;
    QM_TRY(qm_unigram_cut(&tokenizer->unigram, word, count, &ends));
    for (size_t begin = 0, end = 0; begin < count; begin = end) {
        end = ends[begin].next;
        if (bpe->unknown_id != QM_TOKEN_NONE && ends[end].id == bpe->unknown_id) {
            unknown = is_pending ? unknown : begin;
            is_pending = true;
            continue;
        }
        if (is_pending)
            QM_TRY(add_stretch(bpe, word + unknown, begin - unknown, out));
        is_pending = false;
        QM_TRY(add_stretch(bpe, word + begin, end - begin, out));
    }
    return is_pending ? add_stretch(bpe, word + unknown, count - unknown, out) : QM_OK;
}
