#include "text/pieces.h"

#include "text/tokenizer.h"

#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum qm_status qm_pieces_out_of_memory(const struct qm_pieces *pieces)
{
    return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory to encode with it; close other programs or use shorter texts",
                   pieces->file);
}

// Once all pieces are known --------------------------------------------------------------------------------------------

static enum qm_status find_bytes(struct qm_pieces *pieces)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        char text[8];
        snprintf(text, sizeof(text), "<0x%02X>", byte);
        uint32_t id = qm_vocabulary_find(pieces->vocabulary, text, 6);
        if (id != QM_TOKEN_NONE && pieces->types[id] != QM_PIECE_BYTE)
            id = QM_TOKEN_NONE;
        pieces->byte_ids[byte] = id;
        if (pieces->byte_fallback && id == QM_TOKEN_NONE)
            return QM_FAIL(QM_INVALID,
                           "%s: it has byte_fallback and no piece '%s' of the type BYTE; there must be all 256",
                           pieces->file, text);
    }
    return QM_OK;
}

static enum qm_status find_user_defined(struct qm_pieces *pieces)
{
    for (uint32_t id = 0; id < pieces->vocabulary->id_count; id++) {
        if (pieces->types[id] != QM_PIECE_USER_DEFINED)
            continue;
        size_t bytes = 0;
        const char *text = qm_vocabulary_text(pieces->vocabulary, id, &bytes);
        pieces->has_user_defined = true;
        QM_TRY(qm_prefixes_add(&pieces->user_defined, pieces->file, text, bytes, id));
    }
    return QM_OK;
}

static enum qm_status make_unigram(struct qm_pieces *pieces)
{
    struct qm_unigram *unigram = &pieces->unigram;
    size_t count = pieces->vocabulary->id_count;
    unigram->scores = calloc(count, sizeof(*unigram->scores));
    unigram->is_user_defined = calloc(count, sizeof(*unigram->is_user_defined));
    if (!unigram->scores || !unigram->is_user_defined)
        return qm_pieces_out_of_memory(pieces);
    unigram->is_single = true;
    unigram->unknown_id = pieces->unknown_id;
    unigram->lowest =
        (double)FLT_MAX; // where there is no normal piece; FLT_MIN, and not its negative, as the original has it
    unigram->highest = (double)FLT_MIN;
    unigram->texts.seed = pieces->vocabulary->seed;
    for (uint32_t id = 0; id < count; id++) {
        double score = (double)pieces->scores[id];
        uint8_t type = pieces->types[id];
        unigram->scores[id] = score;
        unigram->is_user_defined[id] = type == QM_PIECE_USER_DEFINED;
        if (type == QM_PIECE_NORMAL) {
            unigram->lowest = score < unigram->lowest ? score : unigram->lowest;
            unigram->highest = score > unigram->highest ? score : unigram->highest;
        }
        if (type != QM_PIECE_NORMAL && type != QM_PIECE_USER_DEFINED)
            continue; // what is unused is never cut out
        size_t bytes = 0;
        const char *text = qm_vocabulary_text(pieces->vocabulary, id, &bytes);
        QM_TRY(qm_prefixes_add(&unigram->texts, pieces->file, text, bytes, id));
    }
    return QM_OK;
}

enum qm_status qm_pieces_finish(struct qm_pieces *pieces)
{
    if (pieces->unknown_id == QM_TOKEN_NONE && !pieces->byte_fallback)
        return QM_FAIL(QM_INVALID, "%s: it has no unknown piece, of the type UNKNOWN; there must be one", pieces->file);
    pieces->user_defined.seed = pieces->vocabulary->seed;
    QM_TRY(find_bytes(pieces));
    QM_TRY(find_user_defined(pieces));
    if (pieces->is_unigram)
        return make_unigram(pieces);
    return qm_pieces_find_joins(pieces);
}

void qm_pieces_free(struct qm_pieces *pieces)
{
    qm_charsmap_free(&pieces->normalizer.charsmap);
    qm_charsmap_free(&pieces->denormalizer.charsmap);
    qm_prefixes_free(&pieces->user_defined);
    qm_unigram_free(&pieces->unigram);
    free(pieces->unknown_surface.data);
    free(pieces->types);
    free(pieces->scores);
    free(pieces->joins);
    free(pieces->cache);
    free(pieces->left_bytes);
    free(pieces->normalized.data);
    free(pieces->symbols);
    free(pieces->queue);
    *pieces = (struct qm_pieces){0};
}

// Normalization ----------------------------------------------------------------------------------------------------------

// What the text begins with, and what that becomes; `used` bytes of it.
static const char *normalize_begin(const struct qm_piece_normalizer *normalizer, const struct qm_prefixes *user_defined,
                                   const char *text, size_t count, size_t *used, size_t *bytes)
{
    uint32_t code = 0;
    *used = user_defined ? qm_prefixes_longest(user_defined, text, count, NULL) : 0;
    *bytes = *used;
    if (*used > 0)
        return text;
    struct qm_charsmap_match match = qm_charsmap_find(&normalizer->charsmap, text, count, false);
    *used = match.bytes;
    *bytes = match.text_bytes;
    if (*used > 0)
        return match.text;
    *used = *bytes = qm_utf8_character((const unsigned char *)text, count, &code);
    if (*used > 0)
        return text;
    *used = 1; // within a character, of which the map has taken the begin
    *bytes = 3;
    return "\xef\xbf\xbd";
}

static enum qm_status add_normalized(const struct qm_piece_normalizer *normalizer, const char *text, size_t count,
                                     struct qm_bytes *out)
{
    while (normalizer->escapes && count > 0) {
        const char *blank = memchr(text, ' ', count);
        size_t bytes = blank ? (size_t)(blank - text) : count;
        QM_TRY(qm_bytes_add(out, text, bytes));
        if (!blank)
            return QM_OK;
        QM_TRY(qm_bytes_add(out, QM_PIECE_MARK, QM_PIECE_MARK_BYTES));
        text += bytes + 1;
        count -= bytes + 1;
    }
    return qm_bytes_add(out, text, count);
}

enum qm_status qm_pieces_normalize(const struct qm_piece_normalizer *normalizer, const struct qm_prefixes *user_defined,
                                   const char *text, size_t count, size_t most, struct qm_bytes *out)
{
    const char *blank = normalizer->escapes ? QM_PIECE_MARK : " ";
    const size_t begin = out->count, blank_bytes = normalizer->escapes ? QM_PIECE_MARK_BYTES : 1;
    size_t used = 0, bytes = 0;
    bool was_blank = normalizer->removes_extra;
    while (normalizer->removes_extra && count > 0) {
        const char *became = normalize_begin(normalizer, user_defined, text, count, &used, &bytes);
        if (bytes != 1 || *became != ' ')
            break;
        text += used;
        count -= used;
    }
    if (count == 0)
        return QM_OK;
    if (normalizer->adds_prefix && !normalizer->at_end)
        QM_TRY(qm_bytes_add(out, blank, blank_bytes));
    while (count > 0) {
        const char *became = normalize_begin(normalizer, user_defined, text, count, &used, &bytes);
        text += used;
        count -= used;
        for (; was_blank && bytes > 0 && *became == ' '; bytes--)
            became++;
        if (bytes > 0) {
            QM_TRY(add_normalized(normalizer, became, bytes, out));
            was_blank = normalizer->removes_extra && became[bytes - 1] == ' ';
        }
        if (out->count - begin > most)
            return QM_FAIL(QM_INVALID, "a text grows beyond %zu bytes when it is normalized; cut it into shorter texts",
                           most);
    }
    while (normalizer->removes_extra && out->count - begin >= blank_bytes &&
           memcmp(out->data + out->count - blank_bytes, blank, blank_bytes) == 0)
        out->count -= blank_bytes;
    return normalizer->adds_prefix && normalizer->at_end ? qm_bytes_add(out, blank, blank_bytes) : QM_OK;
}

// Encoding ---------------------------------------------------------------------------------------------------------------

enum qm_status qm_pieces_add(const struct qm_pieces *pieces, const char *text, size_t count, uint32_t id,
                             bool *was_unknown, struct qm_tokens *out)
{
    bool is_unknown = id == QM_TOKEN_NONE || id == pieces->unknown_id;
    bool joins_unknown = is_unknown && *was_unknown;
    *was_unknown = is_unknown;
    if (!is_unknown)
        return qm_tokens_add(out, &id, 1);
    for (size_t i = 0; pieces->byte_fallback && i < count; i++)
        QM_TRY(qm_tokens_add(out, &pieces->byte_ids[(unsigned char)text[i]], 1));
    return pieces->byte_fallback || joins_unknown ? QM_OK : qm_tokens_add(out, &pieces->unknown_id, 1);
}

static enum qm_status add_cut(const struct qm_pieces *pieces, const char *text, size_t count,
                              const struct qm_unigram_end *ends, struct qm_tokens *out)
{
    bool was_unknown = false;
    for (size_t begin = 0, end = 0; begin < count; begin = end) {
        end = ends[begin].next;
        QM_TRY(qm_pieces_add(pieces, text + begin, end - begin, ends[end].id, &was_unknown, out));
    }
    return QM_OK;
}

enum qm_status qm_pieces_encode(struct qm_pieces *pieces, const char *text, size_t count, size_t most,
                                struct qm_tokens *out)
{
    struct qm_unigram_end *ends = NULL;
    pieces->normalized.count = 0;
    QM_TRY(qm_pieces_normalize(&pieces->normalizer, pieces->has_user_defined ? &pieces->user_defined : NULL, text,
                               count, most, &pieces->normalized));
    if (pieces->normalized.count == 0)
        return QM_OK;
    if (!pieces->is_unigram)
        return qm_pieces_join(pieces, pieces->normalized.data, pieces->normalized.count, out);
    QM_TRY(qm_unigram_cut(&pieces->unigram, pieces->normalized.data, pieces->normalized.count, &ends));
    return add_cut(pieces, pieces->normalized.data, pieces->normalized.count, ends, out);
}

// Decoding ---------------------------------------------------------------------------------------------------------------

static enum qm_status add_text(const char *text, size_t count, struct qm_bytes *out)
{
    while (count > 0) {
        const char *mark = memmem(text, count, QM_PIECE_MARK, QM_PIECE_MARK_BYTES);
        size_t bytes = mark ? (size_t)(mark - text) : count;
        QM_TRY(qm_bytes_add(out, text, bytes));
        if (!mark)
            return QM_OK;
        QM_TRY(qm_bytes_add(out, " ", 1));
        text += bytes + QM_PIECE_MARK_BYTES;
        count -= bytes + QM_PIECE_MARK_BYTES;
    }
    return QM_OK;
}

// Adds a row of bytes; of those that are no character each becomes U+FFFD.
static enum qm_status add_row(struct qm_bytes *row, struct qm_bytes *out)
{
    for (size_t i = 0; i < row->count;) {
        uint32_t code = 0;
        size_t length = qm_utf8_character((const unsigned char *)row->data + i, row->count - i, &code);
        QM_TRY(qm_bytes_add(out, length > 0 ? row->data + i : "\xef\xbf\xbd", length > 0 ? length : 3));
        i += length > 0 ? length : 1;
    }
    row->count = 0;
    return QM_OK;
}

int qm_piece_byte(const char *text, size_t count)
{
    static const char digits[] = "0123456789ABCDEF";
    if (count != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>')
        return -1;
    const char *high = memchr(digits, text[3], 16), *low = memchr(digits, text[4], 16);
    return high && low ? (int)(16 * (high - digits) + (low - digits)) : -1;
}

// A piece that is no byte. *drops_mark: whether a mark at its begin is the blank that was put before the text.
static enum qm_status add_piece(const struct qm_pieces *pieces, uint32_t id, bool skip_control, bool *drops_mark,
                                struct qm_bytes *out)
{
    const struct qm_piece_normalizer *normalizer = &pieces->normalizer;
    uint8_t type = pieces->types[id];
    size_t bytes = 0;
    const char *text = qm_vocabulary_text(pieces->vocabulary, id, &bytes);
    if (type == QM_PIECE_CONTROL)
        return skip_control ? QM_OK : qm_bytes_add(out, text, bytes);
    if (type == QM_PIECE_UNKNOWN)
        return qm_bytes_add(out, pieces->unknown_surface.data, pieces->unknown_surface.count);
    if (*drops_mark && (normalizer->adds_prefix || normalizer->removes_extra) && bytes >= QM_PIECE_MARK_BYTES &&
        memcmp(text, QM_PIECE_MARK, QM_PIECE_MARK_BYTES) == 0) {
        text += QM_PIECE_MARK_BYTES;
        bytes -= QM_PIECE_MARK_BYTES;
        *drops_mark = normalizer->removes_extra; // all of them, or the first
    }
    return add_text(text, bytes, out);
}

static enum qm_status decode(const struct qm_pieces *pieces, const uint32_t *ids, size_t count, bool skip_control,
                             size_t most, struct qm_bytes *row, struct qm_bytes *out)
{
    const size_t begin = out->count;
    bool drops_mark = true;
    for (size_t i = 0; i < count; i++) {
        size_t bytes = 0;
        if (!qm_vocabulary_has(pieces->vocabulary, ids[i]))
            continue;
        if (pieces->types[ids[i]] == QM_PIECE_BYTE) {
            const char *text = qm_vocabulary_text(pieces->vocabulary, ids[i], &bytes);
            char byte = (char)qm_piece_byte(text, bytes);
            QM_TRY(qm_bytes_add(row, &byte, 1));
        } else {
            QM_TRY(add_row(row, out));
            drops_mark = drops_mark && out->count == begin;
            QM_TRY(add_piece(pieces, ids[i], skip_control, &drops_mark, out));
        }
        if (out->count - begin > most)
            return QM_FAIL(QM_INVALID, "the decoded text has more than %zu bytes; decode fewer tokens at once", most);
    }
    return add_row(row, out);
}

enum qm_status qm_pieces_decode(struct qm_pieces *pieces, const uint32_t *ids, size_t count, bool skip_control,
                                size_t most, struct qm_bytes *out)
{
    struct qm_bytes row = {0}, text = {0};
    enum qm_status status = QM_OK;
    if (pieces->denormalizer.charsmap.unit_count == 0) {
        status = decode(pieces, ids, count, skip_control, most, &row, out);
        free(row.data);
        return status;
    }
    QM_GUARD(decode(pieces, ids, count, skip_control, most, &row, &text));
    QM_GUARD(qm_pieces_normalize(&pieces->denormalizer, NULL, text.data, text.count, most, out));
done:
    free(row.data);
    free(text.data);
    return status;
}
