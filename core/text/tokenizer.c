#include "text/tokenizer_internal.h"

#include <stdlib.h>
#include <string.h>

void qm_tokenizer_destroy(struct qm_tokenizer **tokenizer)
{
    struct qm_tokenizer *gone = *tokenizer;
    *tokenizer = NULL;
    if (!gone)
        return;
    qm_added_set_free(&gone->added);
    qm_added_set_free(&gone->added_normalized);
    qm_normalizers_free(&gone->normalizers);
    qm_splits_free(&gone->splits);
    qm_decoders_free(&gone->decoders);
    qm_pieces_free(&gone->pieces);
    qm_unigram_free(&gone->unigram);
    qm_bpe_free(&gone->bpe);
    free(gone->repaired.data);
    free(gone->file);
    free(gone);
}

// What it is ---------------------------------------------------------------------------------------------------------

const char *qm_tokenizer_kind(const struct qm_tokenizer *tokenizer)
{
    const struct qm_pieces *pieces = &tokenizer->pieces;
    if (tokenizer->has_pieces && pieces->is_unigram)
        return pieces->byte_fallback ? "SentencePiece unigram with byte fallback" : "SentencePiece unigram";
    if (tokenizer->has_pieces)
        return pieces->byte_fallback ? "SentencePiece BPE with byte fallback" : "SentencePiece BPE";
    if (tokenizer->has_unigram)
        return tokenizer->bpe.byte_fallback ? "unigram with byte fallback" : "unigram";
    return tokenizer->bpe.is_word_level   ? "words"
           : tokenizer->bpe.is_byte_level ? "byte-level BPE"
           : tokenizer->bpe.byte_fallback ? "BPE with byte fallback"
                                          : "BPE";
}

const char *qm_tokenizer_sha256(const struct qm_tokenizer *tokenizer)
{
    return tokenizer->sha256;
}

size_t qm_tokenizer_size(const struct qm_tokenizer *tokenizer)
{
    return tokenizer->bpe.vocabulary.id_count;
}

size_t qm_tokenizer_holes(const struct qm_tokenizer *tokenizer)
{
    return tokenizer->bpe.vocabulary.id_count - tokenizer->token_count;
}

const char *qm_tokenizer_remark(const struct qm_tokenizer *tokenizer)
{
    return tokenizer->remark;
}

bool qm_tokenizer_id(const struct qm_tokenizer *tokenizer, const char *text, size_t bytes, uint32_t *id)
{
    *id = qm_vocabulary_find(&tokenizer->bpe.vocabulary, text, bytes);
    return *id != QM_TOKEN_NONE;
}

const char *qm_tokenizer_text(const struct qm_tokenizer *tokenizer, uint32_t id, size_t *bytes)
{
    *bytes = 0;
    if (!qm_vocabulary_has(&tokenizer->bpe.vocabulary, id))
        return NULL;
    return qm_vocabulary_text(&tokenizer->bpe.vocabulary, id, bytes);
}

bool qm_tokenizer_is_special(const struct qm_tokenizer *tokenizer, uint32_t id)
{
    const struct qm_vocabulary *vocabulary = &tokenizer->bpe.vocabulary;
    return qm_vocabulary_has(vocabulary, id) && (vocabulary->tokens[id].flags & QM_TOKEN_SPECIAL);
}

bool qm_tokenizer_begin_id(const struct qm_tokenizer *tokenizer, uint32_t *id)
{
    *id = tokenizer->prefix_count > 0 ? tokenizer->prefix[0] : QM_TOKEN_NONE;
    return tokenizer->prefix_count > 0;
}

bool qm_tokenizer_end_id(const struct qm_tokenizer *tokenizer, uint32_t *id)
{
    *id = tokenizer->suffix_count > 0 ? tokenizer->suffix[tokenizer->suffix_count - 1] : QM_TOKEN_NONE;
    return tokenizer->suffix_count > 0;
}

// Text to ids --------------------------------------------------------------------------------------------------------

void qm_tokens_free(struct qm_tokens *tokens)
{
    free(tokens->ids);
    *tokens = (struct qm_tokens){0};
}

enum qm_status qm_tokens_add(struct qm_tokens *tokens, const uint32_t *ids, size_t count)
{
    if (tokens->capacity - tokens->count < count) {
        size_t capacity = 2 * tokens->capacity + count + 64;
        uint32_t *grown = realloc(tokens->ids, capacity * sizeof(*grown));
        if (!grown)
            return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %zu tokens; close other programs or use shorter texts",
                           capacity);
        tokens->ids = grown;
        tokens->capacity = capacity;
    }
    for (size_t i = 0; i < count; i++) // a few
        tokens->ids[tokens->count + i] = ids[i];
    tokens->count += count;
    return QM_OK;
}

struct encoding {
    struct qm_tokenizer *tokenizer;
    struct qm_tokens *out;
    struct qm_pattern_budget budget;
    bool special_is_text;
    bool is_begin; // of the part that is normalized now
};

static enum qm_status encode_word(void *context, const char *text, size_t count)
{
    struct encoding *encoding = context;
    if (encoding->tokenizer->has_unigram)
        return qm_tokenizer_encode_unigram(encoding->tokenizer, text, count, encoding->out);
    return qm_bpe_encode(&encoding->tokenizer->bpe, text, count, encoding->out);
}

static enum qm_status split_normalized(void *context, const struct qm_added_token *token, const char *text,
                                       size_t count, bool is_begin)
{
    struct encoding *encoding = context;
    if (token)
        return qm_tokens_add(encoding->out, &token->id, 1);
    return qm_split_text(&encoding->tokenizer->splits, text, count, is_begin && encoding->is_begin, &encoding->budget,
                         encode_word, context);
}

static enum qm_status normalize(void *context, const struct qm_added_token *token, const char *text, size_t count,
                                bool is_begin)
{
    struct encoding *encoding = context;
    struct qm_tokenizer *tokenizer = encoding->tokenizer;
    if (token)
        return qm_tokens_add(encoding->out, &token->id, 1);
    if (tokenizer->has_pieces)
        return qm_pieces_encode(&tokenizer->pieces, text, count, 2 * QM_TEXT_BYTES_MAX, encoding->out);
    encoding->is_begin = is_begin;
    QM_TRY(qm_normalize(&tokenizer->normalizers, text, count, &encoding->budget, &text, &count));
    return qm_added_split(&tokenizer->added_normalized, text, count, encoding->special_is_text, split_normalized,
                          context);
}

static enum qm_status encode(struct encoding *encoding, const char *text, size_t bytes,
                             const struct qm_encode_options *options)
{
    struct qm_tokenizer *tokenizer = encoding->tokenizer;
    if (options->add_special_tokens)
        QM_TRY(qm_tokens_add(encoding->out, tokenizer->prefix, tokenizer->prefix_count));
    if (qm_utf8_valid(text, bytes) < bytes) {
        tokenizer->repaired.count = 0;
        QM_TRY(qm_bytes_add_repaired(&tokenizer->repaired, text, bytes, &encoding->out->replaced));
        text = tokenizer->repaired.data;
        bytes = tokenizer->repaired.count;
    }
    QM_TRY(qm_added_split(&tokenizer->added, text, bytes, encoding->special_is_text, normalize, encoding));
    if (options->add_special_tokens)
        QM_TRY(qm_tokens_add(encoding->out, tokenizer->suffix, tokenizer->suffix_count));
    return QM_OK;
}

enum qm_status qm_tokenizer_encode(struct qm_tokenizer *tokenizer, const char *text, size_t bytes,
                                   const struct qm_encode_options *options, struct qm_tokens *out)
{
    static const struct qm_encode_options plain = {0};
    size_t count = out->count;
    uint64_t replaced = out->replaced;
    options = options ? options : &plain;
    if (bytes > QM_TEXT_BYTES_MAX)
        return QM_FAIL(QM_INVALID, "a text of %zu bytes; at most %zu are taken at once, so cut it at ends of lines",
                       bytes, QM_TEXT_BYTES_MAX);
    struct encoding encoding = {
        .tokenizer = tokenizer, .out = out, .special_is_text = options->special_tokens_are_text};
    qm_pattern_budget_begin(&encoding.budget, bytes);
    enum qm_status status = encode(&encoding, text, bytes, options);
    if (status != QM_OK) {
        out->count = count;
        out->replaced = replaced;
    }
    return status;
}

// Ids to text --------------------------------------------------------------------------------------------------------

// What a token is decoded from, NULL if it is left out: its text, which of an added token that is normalized is the
// normalized one. Whether that is special is asked of the text, since the original does so.
static const char *text_to_decode(const struct qm_tokenizer *tokenizer, uint32_t id, bool skip_special, size_t *bytes)
{
    const char *text = qm_tokenizer_text(tokenizer, id, bytes);
    const struct qm_added_token *normalized = text ? qm_added_set_find(&tokenizer->added_normalized, id) : NULL;
    if (normalized) {
        text = normalized->text;
        *bytes = normalized->bytes;
        id = qm_vocabulary_find(&tokenizer->bpe.vocabulary, text, *bytes);
    }
    return skip_special && qm_tokenizer_is_special(tokenizer, id) ? NULL : text;
}

static enum qm_status list_texts(const struct qm_tokenizer *tokenizer, const uint32_t *ids, size_t count,
                                 bool skip_special, struct qm_text_list *out)
{
    for (size_t i = 0; i < count; i++) {
        size_t bytes = 0;
        const char *text = text_to_decode(tokenizer, ids[i], skip_special, &bytes);
        if (!text)
            continue;
        if (!tokenizer->has_decoder && out->count > 0)
            QM_TRY(qm_bytes_add(&out->bytes, " ", 1));
        QM_TRY(qm_bytes_add(&out->bytes, text, bytes));
        QM_TRY(qm_text_list_end(out));
        if (out->bytes.count > 2 * QM_TEXT_BYTES_MAX)
            return QM_FAIL(QM_INVALID, "the decoded text has more than %zu bytes; decode fewer tokens at once",
                           2 * QM_TEXT_BYTES_MAX);
    }
    return QM_OK;
}

enum qm_status qm_tokenizer_decode(struct qm_tokenizer *tokenizer, const uint32_t *ids, size_t count, bool skip_special,
                                   char **text, size_t *bytes)
{
    struct qm_text_list list = {0};
    enum qm_status status = QM_OK;
    *text = NULL;
    *bytes = 0;
    if (tokenizer->has_pieces) {
        QM_GUARD(qm_pieces_decode(&tokenizer->pieces, ids, count, skip_special, 2 * QM_TEXT_BYTES_MAX, &list.bytes));
        *bytes = list.bytes.count;
        goto end;
    }
    QM_GUARD(list_texts(tokenizer, ids, count, skip_special, &list));
    QM_GUARD(qm_decode(&tokenizer->decoders, 2 * QM_TEXT_BYTES_MAX, &list));
    *bytes = list.bytes.count;
end:
    QM_GUARD(qm_bytes_add(&list.bytes, "", 1));
    *text = list.bytes.data;
    list.bytes.data = NULL;
done:
    qm_text_list_free(&list);
    return status;
}
