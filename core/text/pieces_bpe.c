// Pairs of pieces, by the score of what they become. A text is one word to SentencePiece, blanks and all; it is cut first where
// no piece reaches across: between two characters that lie side by side in none of them. Words are then short, and known again.
#include "base/random.h"
#include "text/pieces.h"
#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#define NO_SYMBOL UINT32_MAX
#define JOIN_BITS 1048576u  // 128 KiB
#define CACHED_WORDS 65536u // 4 MiB
#define CACHED_BYTES 30
#define CACHED_TOKENS 8

struct qm_piece_symbol {
    uint32_t begin, bytes; // in the text; bytes 0: joined to the one before
    uint32_t before, after;
};

struct qm_piece_pair {
    float score;
    uint32_t left;  // place of the left symbol
    uint32_t bytes; // of both
};

struct qm_cached_pieces {
    uint8_t bytes, tokens; // bytes 0: free
    char text[CACHED_BYTES];
    uint32_t ids[CACHED_TOKENS];
};
_Static_assert(sizeof(struct qm_cached_pieces) == 64, "a cache line each");

// Where no piece reaches across ------------------------------------------------------------------------------------------

static bool is_found(uint8_t type)
{
    return type == QM_PIECE_NORMAL || type == QM_PIECE_USER_DEFINED || type == QM_PIECE_UNUSED;
}

static size_t join_bit(const struct qm_pieces *pieces, uint32_t before, uint32_t after)
{
    return (size_t)qm_random_mix(((uint64_t)before << 32 | after) ^ pieces->vocabulary->seed) & (JOIN_BITS - 1);
}

// Whether a side of a piece can come to be: a character, or a piece.
static bool is_side(const struct qm_pieces *pieces, const char *text, size_t count)
{
    uint32_t id = qm_vocabulary_find(pieces->vocabulary, text, count);
    return count <= qm_utf8_length((unsigned char)text[0]) || (id != QM_TOKEN_NONE && is_found(pieces->types[id]));
}

static bool can_be_joined(const struct qm_pieces *pieces, uint32_t id)
{
    size_t bytes = 0;
    const char *text = qm_vocabulary_text(pieces->vocabulary, id, &bytes);
    for (size_t i = qm_utf8_length((unsigned char)text[0]); i < bytes; i += qm_utf8_length((unsigned char)text[i]))
        if (is_side(pieces, text, i) && is_side(pieces, text + i, bytes - i))
            return true;
    return false;
}

// Files mark what fills a vocabulary up as unused; of those that no two pieces make nothing has to be remembered.
static enum qm_status find_unused(struct qm_pieces *pieces)
{
    bool can = false;
    for (uint32_t id = 0; id < pieces->vocabulary->id_count && !can; id++)
        can = pieces->types[id] == QM_PIECE_UNUSED && can_be_joined(pieces, id);
    if (!can)
        return QM_OK;
    pieces->left_bytes = calloc(pieces->vocabulary->id_count, sizeof(*pieces->left_bytes));
    return pieces->left_bytes ? QM_OK : qm_pieces_out_of_memory(pieces);
}

enum qm_status qm_pieces_find_joins(struct qm_pieces *pieces)
{
    QM_TRY(find_unused(pieces));
    pieces->joins = calloc(JOIN_BITS / 64, sizeof(*pieces->joins));
    pieces->cache = calloc(CACHED_WORDS, sizeof(*pieces->cache));
    if (!pieces->joins || !pieces->cache)
        return qm_pieces_out_of_memory(pieces);
    for (uint32_t id = 0; id < pieces->vocabulary->id_count; id++) {
        if (!is_found(pieces->types[id]))
            continue;
        size_t bytes = 0;
        const char *text = qm_vocabulary_text(pieces->vocabulary, id, &bytes);
        uint32_t before = 0, code = 0;
        for (size_t i = 0; i < bytes; before = code) {
            size_t length = qm_utf8_character((const unsigned char *)text + i, bytes - i, &code);
            if (i > 0) {
                size_t bit = join_bit(pieces, before, code);
                pieces->joins[bit / 64] |= (uint64_t)1 << (bit % 64);
            }
            i += length > 0 ? length : 1; // the readers take UTF-8 alone
        }
    }
    return QM_OK;
}

// Symbols ----------------------------------------------------------------------------------------------------------------

static enum qm_status add_symbol(struct qm_pieces *pieces, size_t begin, size_t bytes)
{
    if (pieces->symbol_count == pieces->symbol_capacity) {
        size_t capacity = 2 * pieces->symbol_capacity + 64;
        struct qm_piece_symbol *grown = realloc(pieces->symbols, capacity * sizeof(*grown));
        if (!grown)
            return qm_pieces_out_of_memory(pieces);
        pieces->symbols = grown;
        pieces->symbol_capacity = capacity;
    }
    uint32_t place = (uint32_t)pieces->symbol_count++;
    pieces->symbols[place] =
        (struct qm_piece_symbol){(uint32_t)begin, (uint32_t)bytes, place == 0 ? NO_SYMBOL : place - 1, place + 1};
    return QM_OK;
}

static enum qm_status make_symbols(struct qm_pieces *pieces, const char *word, size_t count)
{
    pieces->symbol_count = 0;
    for (size_t i = 0; i < count;) {
        size_t length = qm_utf8_length((unsigned char)word[i]);
        QM_TRY(add_symbol(pieces, i, length));
        i += length;
    }
    pieces->symbols[pieces->symbol_count - 1].after = NO_SYMBOL;
    return QM_OK;
}

// The queue, a binary heap: the highest score first, of equal ones the leftmost ------------------------------------------

static bool comes_before(const struct qm_piece_pair *a, const struct qm_piece_pair *b)
{
    return a->score > b->score || (a->score == b->score && a->left < b->left);
}

static enum qm_status push(struct qm_pieces *pieces, const char *word, uint32_t left)
{
    const struct qm_piece_symbol *symbol = &pieces->symbols[left];
    uint32_t bytes = symbol->bytes + pieces->symbols[symbol->after].bytes;
    uint32_t id = qm_vocabulary_find(pieces->vocabulary, word + symbol->begin, bytes);
    if (id == QM_TOKEN_NONE || !is_found(pieces->types[id]))
        return QM_OK;
    if (pieces->left_bytes && pieces->types[id] == QM_PIECE_UNUSED)
        pieces->left_bytes[id] = symbol->bytes;
    if (pieces->queue_count == pieces->queue_capacity) {
        size_t capacity = 2 * pieces->queue_capacity + 64;
        struct qm_piece_pair *grown = realloc(pieces->queue, capacity * sizeof(*grown));
        if (!grown)
            return qm_pieces_out_of_memory(pieces);
        pieces->queue = grown;
        pieces->queue_capacity = capacity;
    }
    struct qm_piece_pair pair = {pieces->scores[id], left, bytes};
    size_t at = pieces->queue_count++;
    while (at > 0 && comes_before(&pair, &pieces->queue[(at - 1) / 2])) {
        pieces->queue[at] = pieces->queue[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    pieces->queue[at] = pair;
    return QM_OK;
}

static struct qm_piece_pair pop(struct qm_pieces *pieces)
{
    struct qm_piece_pair first = pieces->queue[0], moved = pieces->queue[--pieces->queue_count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= pieces->queue_count)
            break;
        child += child + 1 < pieces->queue_count && comes_before(&pieces->queue[child + 1], &pieces->queue[child]);
        if (!comes_before(&pieces->queue[child], &moved))
            break;
        pieces->queue[at] = pieces->queue[child];
        at = child;
    }
    pieces->queue[at] = moved;
    return first;
}

static enum qm_status join_all(struct qm_pieces *pieces, const char *word)
{
    struct qm_piece_symbol *symbols = pieces->symbols;
    pieces->queue_count = 0;
    for (uint32_t place = 0; place + 1 < pieces->symbol_count; place++)
        QM_TRY(push(pieces, word, place));
    while (pieces->queue_count > 0) {
        struct qm_piece_pair best = pop(pieces);
        struct qm_piece_symbol *left = &symbols[best.left];
        // Of a pair whose sides have grown since, or are gone, the bytes differ.
        if (left->bytes == 0 || left->after == NO_SYMBOL || left->bytes + symbols[left->after].bytes != best.bytes)
            continue;
        struct qm_piece_symbol *right = &symbols[left->after];
        left->bytes += right->bytes;
        right->bytes = 0;
        left->after = right->after;
        if (left->after != NO_SYMBOL)
            symbols[left->after].before = best.left;
        if (left->before != NO_SYMBOL)
            QM_TRY(push(pieces, word, left->before));
        if (left->after != NO_SYMBOL)
            QM_TRY(push(pieces, word, best.left));
    }
    return QM_OK;
}

// Words ------------------------------------------------------------------------------------------------------------------

// What a stretch is given: its id, or those of the two sides of an unused piece, and of theirs. A side is shorter than the whole,
// so that the depth is at most QM_PIECE_BYTES_MAX.
static enum qm_status add_stretch(const struct qm_pieces *pieces, const char *text, size_t count, bool *was_unknown,
                                  struct qm_tokens *out)
{
    uint32_t id = qm_vocabulary_find(pieces->vocabulary, text, count);
    uint32_t left =
        id != QM_TOKEN_NONE && pieces->left_bytes && pieces->types[id] == QM_PIECE_UNUSED ? pieces->left_bytes[id] : 0;
    if (left == 0)
        return qm_pieces_add(pieces, text, count, id, was_unknown, out);
    QM_TRY(add_stretch(pieces, text, left, was_unknown, out));
    return add_stretch(pieces, text + left, count - left, was_unknown, out);
}

static enum qm_status join_new(struct qm_pieces *pieces, const char *word, size_t count, bool *was_unknown,
                               struct qm_tokens *out)
{
    QM_TRY(make_symbols(pieces, word, count));
    QM_TRY(join_all(pieces, word));
    for (size_t i = 0; i < pieces->symbol_count; i++) {
        const struct qm_piece_symbol *symbol = &pieces->symbols[i];
        if (symbol->bytes > 0)
            QM_TRY(add_stretch(pieces, word + symbol->begin, symbol->bytes, was_unknown, out));
    }
    return QM_OK;
}

// Words with an unknown part are not kept: what becomes of it depends on the word before. Behind an unknown one none is, since the
// begin of it may have gone into that.
static enum qm_status join_cached(struct qm_pieces *pieces, const char *word, size_t count, bool *was_unknown,
                                  struct qm_tokens *out)
{
    if (count > CACHED_BYTES || pieces->left_bytes)
        return join_new(pieces, word, count, was_unknown, out);
    size_t slot = (size_t)qm_vocabulary_hash(pieces->vocabulary->seed, word, count) & (CACHED_WORDS - 1);
    struct qm_cached_pieces *cached = &pieces->cache[slot];
    if (cached->bytes == count && memcmp(cached->text, word, count) == 0) {
        *was_unknown = false;
        return qm_tokens_add(out, cached->ids, cached->tokens);
    }
    size_t begin = out->count;
    bool is_known = !*was_unknown;
    QM_TRY(join_new(pieces, word, count, was_unknown, out));
    size_t tokens = out->count - begin;
    is_known = is_known && tokens > 0 && tokens <= CACHED_TOKENS;
    for (size_t i = begin; is_known && i < out->count; i++)
        is_known = pieces->types[out->ids[i]] != QM_PIECE_UNKNOWN && pieces->types[out->ids[i]] != QM_PIECE_BYTE;
    if (is_known) {
        cached->bytes = (uint8_t)count;
        cached->tokens = (uint8_t)tokens;
        memcpy(cached->text, word, count);
        memcpy(cached->ids, out->ids + begin, tokens * sizeof(*cached->ids));
    }
    return QM_OK;
}

// Without unused pieces words may be joined one by one. With them they may not: how an unused piece came to be is remembered by
// its text, and what came last in the whole text counts.
enum qm_status qm_pieces_join(struct qm_pieces *pieces, const char *text, size_t count, struct qm_tokens *out)
{
    bool was_unknown = false;
    size_t begin = 0, user_defined = 0;
    uint32_t before = 0;
    for (size_t i = 0; i < count;) {
        uint32_t code = 0;
        size_t length = qm_utf8_character((const unsigned char *)text + i, count - i, &code);
        if (pieces->has_user_defined)
            user_defined = qm_prefixes_longest(&pieces->user_defined, text + i, count - i, NULL);
        if (user_defined > 0) {
            if (begin < i)
                QM_TRY(join_cached(pieces, text + begin, i - begin, &was_unknown, out));
            QM_TRY(add_stretch(pieces, text + i, user_defined, &was_unknown, out));
            i += user_defined;
            begin = i;
            continue;
        }
        if (length == 0)
            return QM_FAIL(QM_FAILED, "a text that is not UTF-8 came to be encoded; report this");
        if (begin < i && !pieces->left_bytes) {
            size_t bit = join_bit(pieces, before, code);
            if (!(pieces->joins[bit / 64] >> (bit % 64) & 1)) {
                QM_TRY(join_cached(pieces, text + begin, i - begin, &was_unknown, out));
                begin = i;
            }
        }
        before = code;
        i += length;
    }
    return begin < count ? join_cached(pieces, text + begin, count - begin, &was_unknown, out) : QM_OK;
}
