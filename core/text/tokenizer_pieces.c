// What the readers of pieces, of a tokenizer.model and of a GGUF file, have in common.
#include "text/tokenizer_internal.h"

#include <stdlib.h>
#include <string.h>

enum qm_status qm_tokenizer_begin_pieces(struct qm_tokenizer *tokenizer, uint32_t count)
{
    struct qm_pieces *pieces = &tokenizer->pieces;
    tokenizer->has_pieces = true;
    pieces->vocabulary = &tokenizer->bpe.vocabulary;
    pieces->file = tokenizer->file;
    pieces->unknown_id = QM_TOKEN_NONE;
    pieces->types = calloc((size_t)count + 1, sizeof(*pieces->types));
    pieces->scores = calloc((size_t)count + 1, sizeof(*pieces->scores));
    if (!pieces->types || !pieces->scores)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for %u pieces; close other programs and try again",
                       tokenizer->file, count);
    return QM_OK;
}

static enum qm_status check_piece(const struct qm_tokenizer *tokenizer, uint32_t id, const char *text, size_t bytes,
                                  float score, uint64_t type)
{
    const char *file = tokenizer->file;
    int shown = (int)(bytes < QM_QUOTED_BYTES ? bytes : QM_QUOTED_BYTES);
    if (bytes == 0 || bytes > QM_PIECE_BYTES_MAX)
        return QM_FAIL(QM_INVALID, "%s: pieces[%u] has %zu bytes; 1 to %d are supported", file, id, bytes,
                       QM_PIECE_BYTES_MAX);
    if (memchr(text, '\0', bytes))
        return QM_FAIL(QM_INVALID, "%s: pieces[%u] has a zero byte in it; there is none in a model that was trained",
                       file, id);
    if (type < QM_PIECE_NORMAL || type > QM_PIECE_BYTE)
        return QM_FAIL(QM_INVALID, "%s: pieces[%u], '%.*s', is of type %llu; there are types 1 to %d", file, id, shown,
                       text, (unsigned long long)type, QM_PIECE_BYTE);
    if (!(score - score == 0))
        return QM_FAIL(QM_INVALID, "%s: pieces[%u], '%.*s', has a score that is no finite number", file, id, shown,
                       text);
    if (type == QM_PIECE_BYTE && qm_piece_byte(text, bytes) < 0)
        return QM_FAIL(QM_INVALID, "%s: pieces[%u], '%.*s', is of the type BYTE; its text must be <0x00> to <0xFF>",
                       file, id, shown, text);
    if (type == QM_PIECE_UNKNOWN && tokenizer->pieces.unknown_id != QM_TOKEN_NONE)
        return QM_FAIL(QM_INVALID,
                       "%s: pieces[%u], '%.*s', is of the type UNKNOWN, as pieces[%u] is; there must be one", file, id,
                       shown, text, tokenizer->pieces.unknown_id);
    uint32_t other = qm_vocabulary_find(&tokenizer->bpe.vocabulary, text, bytes);
    if (other != QM_TOKEN_NONE)
        return QM_FAIL(QM_INVALID, "%s: pieces[%u], '%.*s', stands there as pieces[%u] before; a text must stand once",
                       file, id, shown, text, other);
    return QM_OK;
}

enum qm_status qm_tokenizer_add_piece(struct qm_tokenizer *tokenizer, uint32_t id, const char *text, size_t bytes,
                                      float score, uint64_t type)
{
    struct qm_pieces *pieces = &tokenizer->pieces;
    QM_TRY(check_piece(tokenizer, id, text, bytes, score, type));
    uint8_t flags =
        (uint8_t)(QM_TOKEN_OF_MODEL | (type == QM_PIECE_CONTROL || type == QM_PIECE_UNKNOWN ? QM_TOKEN_SPECIAL : 0));
    pieces->types[id] = (uint8_t)type;
    pieces->scores[id] = score;
    if (type == QM_PIECE_UNKNOWN)
        pieces->unknown_id = id;
    return qm_vocabulary_add(&tokenizer->bpe.vocabulary, tokenizer->file, id, text, bytes, flags);
}
