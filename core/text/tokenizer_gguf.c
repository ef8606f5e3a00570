#include "text/tokenizer_gguf.h"

#include "text/gguf_patterns.h"
#include "text/tokenizer_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define KEY "tokenizer.ggml."
#define USUAL_BEGIN 1 // of `llama`
#define USUAL_END 2
#define USUAL_UNKNOWN 0
#define USUAL_END_T5 1
#define USUAL_UNKNOWN_T5 2

struct reader {
    const struct qm_gguf *gguf;
    struct qm_tokenizer *tokenizer;
    const struct qm_gguf_value *tokens, *scores, *types; // the latter two may be NULL
    uint32_t unknown_id;
    uint32_t
        control_ids[4]; // of begin and ends, control tokens whatever type the file gives them; QM_TOKEN_NONE: not named
};

// Values -----------------------------------------------------------------------------------------------------------------

static bool is_text(const struct qm_gguf_value *value, const char *text)
{
    return value && value->kind == QM_GGUF_STRING && value->count == strlen(text) &&
           memcmp(value->bytes, text, (size_t)value->count) == 0;
}

static bool is_list_of_strings(const struct qm_gguf_value *value)
{
    uint64_t at = 0, count = 0;
    const uint8_t *bytes = NULL;
    return value && value->kind == QM_GGUF_ARRAY &&
           (value->count == 0 || qm_gguf_next_string(value, &at, &bytes, &count));
}

// An array of a number for each token, or NULL.
static enum qm_status find_numbers(const struct reader *reader, const char *key, const struct qm_gguf_value **out)
{
    double number = 0;
    uint64_t at = 0;
    *out = qm_gguf_find(reader->gguf, key);
    if (!*out)
        return QM_OK;
    if ((*out)->kind != QM_GGUF_ARRAY || (*out)->count != reader->tokens->count ||
        !qm_gguf_next_number(*out, &at, &number))
        return QM_FAIL(QM_INVALID, "%s: '%s' must be a list of %" PRIu64 " numbers, one for each of '" KEY "tokens'",
                       reader->gguf->file, key, reader->tokens->count);
    return QM_OK;
}

static enum qm_status find_tokens(struct reader *reader)
{
    reader->tokens = qm_gguf_find(reader->gguf, KEY "tokens");
    if (!is_list_of_strings(reader->tokens) || reader->tokens->count == 0 || reader->tokens->count > QM_TOKEN_ID_MAX)
        return QM_FAIL(QM_INVALID, "%s: '" KEY "tokens' must be a list of 1 to %u texts", reader->gguf->file,
                       QM_TOKEN_ID_MAX);
    QM_TRY(find_numbers(reader, KEY "scores", &reader->scores));
    return find_numbers(reader, KEY "token_type", &reader->types);
}

static enum qm_status find_control(struct reader *reader)
{
    static const char *const keys[4] = {KEY "bos_token_id", KEY "eos_token_id", KEY "eot_token_id", KEY "eom_token_id"};
    for (size_t i = 0; i < 4; i++) {
        reader->control_ids[i] = QM_TOKEN_NONE;
        QM_TRY(qm_gguf_u32(reader->gguf, keys[i], &reader->control_ids[i], NULL));
    }
    return QM_OK;
}

// Tokens -----------------------------------------------------------------------------------------------------------------

struct token {
    uint32_t id;
    const char *text;
    size_t bytes;
    uint8_t type; // of enum qm_piece_type
    float score;
};

static enum qm_status check_text(const struct reader *reader, const struct token *token)
{
    if (qm_utf8_valid(token->text, token->bytes) < token->bytes)
        return QM_FAIL(QM_INVALID, "%s: '" KEY "tokens' has as %u a text that is not UTF-8; convert the model anew",
                       reader->gguf->file, token->id);
    return QM_OK;
}

// Looked for in texts before they are cut. Of `gpt2` also what no text of bytes gives: those of users.
static enum qm_status add_to_set(struct reader *reader, const struct token *token)
{
    struct qm_added_token added = {.text = (char *)(uintptr_t)token->text,
                                   .bytes = token->bytes,
                                   .id = token->id,
                                   .is_special = token->type != QM_PIECE_USER_DEFINED};
    if (token->bytes > QM_ADDED_BYTES_MAX)
        return QM_FAIL(QM_UNSUPPORTED,
                       "%s: '" KEY "tokens' has as %u one of %zu bytes that is looked for in texts; at most %d "
                       "are supported",
                       reader->gguf->file, token->id, token->bytes, QM_ADDED_BYTES_MAX);
    if (reader->tokenizer->added.count == QM_ADDED_TOKENS_MAX)
        return QM_FAIL(QM_UNSUPPORTED, "%s: more than %d control tokens; at most so many are supported",
                       reader->gguf->file, QM_ADDED_TOKENS_MAX);
    return qm_added_set_add(&reader->tokenizer->added, &added);
}

static bool is_added(uint8_t type)
{
    return type == QM_PIECE_CONTROL || type == QM_PIECE_USER_DEFINED || type == QM_PIECE_UNKNOWN;
}

static enum qm_status add_token(struct reader *reader, const struct token *token)
{
    struct qm_tokenizer *tokenizer = reader->tokenizer;
    struct qm_vocabulary *vocabulary = &tokenizer->bpe.vocabulary;
    if (tokenizer->has_pieces) {
        // Files give the type to what fills a vocabulary up, too.
        uint8_t type = token->id == reader->unknown_id   ? QM_PIECE_UNKNOWN
                       : token->type == QM_PIECE_UNKNOWN ? QM_PIECE_UNUSED
                                                         : token->type;
        QM_TRY(qm_tokenizer_add_piece(tokenizer, token->id, token->text, token->bytes, token->score, type));
    } else {
        uint32_t other = qm_vocabulary_find(vocabulary, token->text, token->bytes);
        bool is_of_model = token->type != QM_PIECE_CONTROL && token->type != QM_PIECE_USER_DEFINED;
        if (other != QM_TOKEN_NONE)
            return QM_FAIL(QM_INVALID, "%s: '" KEY "tokens' has '%.*s' as %u and as %u; a text must stand once",
                           reader->gguf->file, (int)(token->bytes < QM_QUOTED_BYTES ? token->bytes : QM_QUOTED_BYTES),
                           token->text, other, token->id);
        QM_TRY(qm_vocabulary_add(vocabulary, tokenizer->file, token->id, token->text, token->bytes,
                                 (uint8_t)((is_of_model ? QM_TOKEN_OF_MODEL : QM_TOKEN_ADDED) |
                                           (token->type == QM_PIECE_CONTROL ? QM_TOKEN_SPECIAL : 0))));
    }
    return is_added(token->type) ? add_to_set(reader, token) : QM_OK;
}

// An empty text is a hole: models are padded with them.
static enum qm_status add_tokens(struct reader *reader)
{
    uint64_t at = 0, score_at = 0, type_at = 0, bytes = 0;
    const uint8_t *text = NULL;
    struct token token = {0};
    double score = 0, type = QM_PIECE_NORMAL;
    for (; qm_gguf_next_string(reader->tokens, &at, &text, &bytes); token.id++) {
        bool has_score = !reader->scores || qm_gguf_next_number(reader->scores, &score_at, &score);
        bool has_type = !reader->types || qm_gguf_next_number(reader->types, &type_at, &type);
        token.text = (const char *)text;
        token.bytes = (size_t)bytes;
        token.type = type >= QM_PIECE_NORMAL && type <= QM_PIECE_BYTE ? (uint8_t)type : QM_PIECE_NONE;
        token.score = (float)score;
        if (!has_score || !has_type || (token.type == QM_PIECE_NONE && type != 0))
            return QM_FAIL(QM_INVALID, "%s: '" KEY "token_type' gives token %u the type %g; there are 0 to %d",
                           reader->gguf->file, token.id, type, QM_PIECE_BYTE);
        for (size_t i = 0; i < 4 && token.type == QM_PIECE_USER_DEFINED; i++)
            if (token.id == reader->control_ids[i])
                token.type = QM_PIECE_CONTROL;
        if (token.type == QM_PIECE_NONE)
            token.type = QM_PIECE_NORMAL; // 0 is "undefined", and read as llama.cpp reads it
        QM_TRY(check_text(reader, &token));
        if (bytes > 0)
            QM_TRY(add_token(reader, &token));
    }
    if (reader->tokenizer->bpe.vocabulary.used == 0)
        return QM_FAIL(QM_INVALID, "%s: all of '" KEY "tokens' are empty; there must be some", reader->gguf->file);
    reader->tokenizer->token_count = reader->tokenizer->bpe.vocabulary.used;
    return qm_added_set_finish(&reader->tokenizer->added);
}

// Byte-level BPE ---------------------------------------------------------------------------------------------------------

static enum qm_status no_such_token(const struct reader *reader, uint32_t index, const char *text, size_t bytes)
{
    return QM_FAIL(QM_INVALID,
                   "%s: '" KEY "merges' has as %u one of '%.*s', which is no token; add it or drop the merge",
                   reader->gguf->file, index, (int)(bytes < QM_QUOTED_BYTES ? bytes : QM_QUOTED_BYTES), text);
}

// "a b". The blank is looked for behind the first byte: a side may be one.
static enum qm_status add_merge(struct reader *reader, uint32_t index, const char *text, size_t bytes,
                                struct qm_bytes *both)
{
    struct qm_bpe *bpe = &reader->tokenizer->bpe;
    const char *blank = bytes > 1 ? memchr(text + 1, ' ', bytes - 1) : NULL;
    if (!blank)
        return QM_FAIL(QM_INVALID, "%s: '" KEY "merges' has as %u '%.*s'; expected two tokens with a blank between",
                       reader->gguf->file, index, (int)(bytes < QM_QUOTED_BYTES ? bytes : QM_QUOTED_BYTES), text);
    size_t left_bytes = (size_t)(blank - text), right_bytes = bytes - left_bytes - 1;
    uint32_t left = qm_vocabulary_find(&bpe->vocabulary, text, left_bytes);
    uint32_t right = qm_vocabulary_find(&bpe->vocabulary, blank + 1, right_bytes);
    if (left == QM_TOKEN_NONE)
        return no_such_token(reader, index, text, left_bytes);
    if (right == QM_TOKEN_NONE)
        return no_such_token(reader, index, blank + 1, right_bytes);
    both->count = 0;
    QM_TRY(qm_bytes_add(both, text, left_bytes));
    QM_TRY(qm_bytes_add(both, blank + 1, right_bytes));
    uint32_t id = qm_vocabulary_find(&bpe->vocabulary, both->data, both->count);
    if (id == QM_TOKEN_NONE)
        return no_such_token(reader, index, both->data, both->count);
    return qm_bpe_add_merge(bpe, left, right, index, id);
}

static enum qm_status add_merges(struct reader *reader)
{
    const struct qm_gguf_value *merges = qm_gguf_find(reader->gguf, KEY "merges");
    struct qm_bytes both = {0};
    const uint8_t *text = NULL;
    uint64_t at = 0, bytes = 0;
    enum qm_status status = QM_OK;
    if (!is_list_of_strings(merges))
        return QM_FAIL(QM_INVALID, "%s: '" KEY "merges' must be a list of texts", reader->gguf->file);
    for (uint32_t i = 0; status == QM_OK && qm_gguf_next_string(merges, &at, &text, &bytes); i++)
        status = check_text(reader, &(struct token){.id = i, .text = (const char *)text, .bytes = (size_t)bytes});
    at = 0;
    for (uint32_t i = 0; status == QM_OK && qm_gguf_next_string(merges, &at, &text, &bytes); i++)
        status = add_merge(reader, i, (const char *)text, (size_t)bytes, &both);
    free(both.data);
    return status;
}

static enum qm_status find_pattern(const struct reader *reader, const struct qm_gguf_pattern **out)
{
    const struct qm_gguf_value *pre = qm_gguf_find(reader->gguf, KEY "pre");
    char list[QM_GGUF_PATTERN_NAMES_BYTES];
    const char *name = pre ? (const char *)pre->bytes : "default";
    size_t bytes = pre ? (size_t)pre->count : strlen(name);
    if (pre && pre->kind != QM_GGUF_STRING)
        return QM_FAIL(QM_INVALID, "%s: '" KEY "pre' must be a text", reader->gguf->file);
    *out = qm_gguf_pattern_find(name, bytes);
    if (!*out)
        return QM_FAIL(QM_UNSUPPORTED,
                       "%s: '" KEY "pre' is '%.*s', by which texts cannot be cut; those that work: %s; or put "
                       "the model's tokenizer.json beside the file",
                       reader->gguf->file, (int)(bytes < QM_QUOTED_BYTES ? bytes : QM_QUOTED_BYTES), name,
                       qm_gguf_pattern_names(list, sizeof(list)));
    return QM_OK;
}

static enum qm_status read_bytes_bpe(struct reader *reader, bool *adds_begin)
{
    struct qm_tokenizer *tokenizer = reader->tokenizer;
    const struct qm_gguf_pattern *pattern = NULL;
    QM_TRY(find_pattern(reader, &pattern));
    tokenizer->bpe.is_byte_level = true;
    tokenizer->bpe.unknown_id = QM_TOKEN_NONE;
    tokenizer->bpe.ignore_merges = pattern->ignores_merges;
    *adds_begin = pattern->adds_begin;
    for (size_t i = 0; i < QM_GGUF_PATTERNS_MAX && pattern->expressions[i]; i++) {
        struct qm_split *split = &tokenizer->splits.steps[tokenizer->splits.count++];
        split->kind = QM_SPLIT_PATTERN;
        split->behavior = QM_SPLIT_ISOLATED;
        QM_TRY(qm_pattern_regex(reader->gguf->file, KEY "pre", pattern->expressions[i], strlen(pattern->expressions[i]),
                                &split->pattern));
    }
    tokenizer->decoders.steps[tokenizer->decoders.count++].kind = QM_DECODE_BYTE_LEVEL;
    tokenizer->has_decoder = true;
    QM_TRY(add_tokens(reader));
    QM_TRY(add_merges(reader));
    return qm_bpe_finish(&tokenizer->bpe);
}

// SentencePiece ----------------------------------------------------------------------------------------------------------

static bool has_all_bytes(const struct qm_pieces *pieces)
{
    size_t count = 0;
    for (uint32_t id = 0; id < pieces->vocabulary->id_count; id++)
        count += pieces->types[id] == QM_PIECE_BYTE;
    return count == 256;
}

static enum qm_status read_charsmap(struct reader *reader)
{
    const char *key = KEY "precompiled_charsmap";
    const struct qm_gguf_value *value = qm_gguf_find(reader->gguf, key);
    if (!value)
        return QM_OK;
    if (value->kind != QM_GGUF_ARRAY || value->element_bytes != value->count)
        return QM_FAIL(QM_INVALID, "%s: '%s' must be a list of bytes", reader->gguf->file, key);
    return qm_charsmap_read(value->bytes, (size_t)value->count, reader->gguf->file, key,
                            &reader->tokenizer->pieces.normalizer.charsmap);
}

// Sums are in 64 bits and tokens of users score 0, as llama.cpp has it.
static void set_unigram(struct qm_pieces *pieces)
{
    pieces->unigram.is_single = false;
    for (uint32_t id = 0; id < pieces->vocabulary->id_count; id++) {
        if (pieces->types[id] == QM_PIECE_USER_DEFINED)
            pieces->unigram.scores[id] = 0;
        pieces->unigram.is_user_defined[id] = false;
    }
}

static enum qm_status read_pieces(struct reader *reader, bool is_unigram)
{
    struct qm_tokenizer *tokenizer = reader->tokenizer;
    struct qm_pieces *pieces = &tokenizer->pieces;
    struct qm_piece_normalizer *normalizer = &pieces->normalizer;
    QM_TRY(qm_tokenizer_begin_pieces(tokenizer, (uint32_t)reader->tokens->count));
    if (!reader->scores)
        return QM_FAIL(QM_INVALID,
                       "%s: there is no '" KEY "scores', by which such a vocabulary cuts texts; convert the model "
                       "anew",
                       reader->gguf->file);
    reader->unknown_id = is_unigram ? USUAL_UNKNOWN_T5 : USUAL_UNKNOWN;
    QM_TRY(qm_gguf_u32(reader->gguf, KEY "unknown_token_id", &reader->unknown_id, NULL));
    pieces->is_unigram = is_unigram;
    normalizer->escapes = true;
    normalizer->adds_prefix = !is_unigram;
    QM_TRY(qm_bytes_add(&pieces->unknown_surface, " \xe2\x81\x87 ", 5));
    QM_TRY(qm_gguf_bool(reader->gguf, KEY "add_space_prefix", &normalizer->adds_prefix, NULL));
    if (is_unigram) {
        QM_TRY(qm_gguf_bool(reader->gguf, KEY "remove_extra_whitespaces", &normalizer->removes_extra, NULL));
        QM_TRY(read_charsmap(reader));
    }
    QM_TRY(add_tokens(reader));
    pieces->byte_fallback = has_all_bytes(pieces);
    QM_TRY(qm_pieces_finish(pieces));
    if (is_unigram)
        set_unigram(pieces);
    return QM_OK;
}

// Begin and end ----------------------------------------------------------------------------------------------------------

static enum qm_status read_affix(const struct reader *reader, const char *id_key, const char *adds_key, uint32_t id,
                                 bool adds, uint32_t *ids, size_t *count)
{
    bool is_there = id != QM_TOKEN_NONE, is_named = false;
    QM_TRY(qm_gguf_u32(reader->gguf, id_key, &id, &is_named));
    QM_TRY(qm_gguf_bool(reader->gguf, adds_key, &adds, NULL));
    is_there = is_there || is_named;
    if (!adds || (!is_there && !qm_gguf_find(reader->gguf, adds_key)))
        return QM_OK;
    if (!is_there || !qm_vocabulary_has(&reader->tokenizer->bpe.vocabulary, id))
        return QM_FAIL(QM_INVALID, "%s: '%s' is that of no token, and '%s' asks for it; convert the model anew",
                       reader->gguf->file, id_key, adds_key);
    ids[0] = id;
    *count = 1;
    return QM_OK;
}

// Of what makes the tokenizer, so that two files of one vocabulary are known as such.
static void hash_entries(const struct qm_gguf *gguf, char sha256[QM_HASH_TEXT_BYTES])
{
    struct qm_hash hash;
    qm_hash_begin(&hash);
    for (size_t i = 0; i < gguf->value_count; i++) {
        const struct qm_gguf_value *value = &gguf->values[i];
        if (strncmp(value->key, KEY, strlen(KEY)) != 0)
            continue;
        qm_hash_add_text(&hash, value->key);
        if (value->kind == QM_GGUF_STRING || value->kind == QM_GGUF_ARRAY)
            qm_hash_add(&hash, value->bytes,
                        (size_t)(value->kind == QM_GGUF_STRING ? value->count : value->element_bytes));
        else
            qm_hash_add(&hash, &value->number, sizeof(value->number));
    }
    qm_hash_end(&hash, sha256);
}

static enum qm_status read_all(struct reader *reader)
{
    const struct qm_gguf_value *model = qm_gguf_find(reader->gguf, KEY "model");
    struct qm_tokenizer *tokenizer = reader->tokenizer;
    bool is_pairs = is_text(model, "llama"), is_unigram = is_text(model, "t5"), is_bytes = is_text(model, "gpt2");
    bool adds_begin = is_pairs;
    if (!model || model->kind != QM_GGUF_STRING)
        return QM_FAIL(QM_INVALID, "%s: there is no '" KEY "model', a text; the file has no vocabulary",
                       reader->gguf->file);
    if (!is_pairs && !is_unigram && !is_bytes)
        return QM_FAIL(QM_UNSUPPORTED,
                       "%s: '" KEY "model' is '%.*s'; gpt2, llama and t5 are supported; or put the model's "
                       "tokenizer.json beside the file",
                       reader->gguf->file, (int)(model->count < QM_QUOTED_BYTES ? model->count : QM_QUOTED_BYTES),
                       model->bytes);
    QM_TRY(find_tokens(reader));
    QM_TRY(find_control(reader));
    QM_TRY(is_bytes ? read_bytes_bpe(reader, &adds_begin) : read_pieces(reader, is_unigram));
    QM_TRY(read_affix(reader, KEY "bos_token_id", KEY "add_bos_token", is_pairs ? USUAL_BEGIN : QM_TOKEN_NONE,
                      adds_begin, tokenizer->prefix, &tokenizer->prefix_count));
    return read_affix(reader, KEY "eos_token_id", KEY "add_eos_token",
                      is_pairs     ? USUAL_END
                      : is_unigram ? USUAL_END_T5
                                   : QM_TOKEN_NONE,
                      is_unigram, tokenizer->suffix, &tokenizer->suffix_count);
}

bool qm_gguf_has_tokenizer(const struct qm_gguf *gguf)
{
    return qm_gguf_find(gguf, KEY "model") != NULL;
}

enum qm_status qm_tokenizer_of_gguf(const struct qm_gguf *gguf, struct qm_tokenizer **out)
{
    struct reader reader = {.gguf = gguf};
    *out = NULL;
    QM_TRY(qm_tokenizer_new(gguf->file, &reader.tokenizer));
    hash_entries(gguf, reader.tokenizer->sha256);
    enum qm_status status = read_all(&reader);
    if (status != QM_OK)
        qm_tokenizer_destroy(&reader.tokenizer);
    *out = reader.tokenizer;
    return status;
}

enum qm_status qm_tokenizer_load_gguf(const char *path, struct qm_tokenizer **out)
{
    struct qm_gguf gguf;
    *out = NULL;
    QM_TRY(qm_gguf_map(path, &gguf));
    enum qm_status status = qm_tokenizer_of_gguf(&gguf, out);
    if (status == QM_OK)
        status = qm_file_map_check(&gguf.map, path);
    if (status != QM_OK)
        qm_tokenizer_destroy(out);
    qm_gguf_close(&gguf);
    return status;
}
