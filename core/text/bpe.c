#include "text/bpe.h"
#include "base/random.h"
#include "text/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NO_SYMBOL UINT32_MAX
#define CACHED_WORDS 65536u // 4 MiB
#define JOIN_BITS 1048576u  // 128 KiB
#define FIRST_CHARACTERS 0x3000u

struct qm_symbol {
    uint32_t id; // QM_TOKEN_NONE: merged into the one before
    uint32_t before, after;
};

struct qm_candidate {
    uint64_t order; // rank << 32 | place of the left symbol
    uint32_t id;    // what the merge gives
};

struct qm_cached_word {
    uint8_t bytes, tokens; // bytes 0: free
    char text[QM_CACHED_WORD_BYTES];
    uint32_t ids[QM_CACHED_WORD_TOKENS];
};
_Static_assert(sizeof(struct qm_cached_word) == 64, "a cache line each");

// Bytes as characters ------------------------------------------------------------------------------------------------

static bool is_printed(uint32_t byte)
{
    return (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xff && byte != 0xad);
}

uint32_t qm_byte_character(unsigned char byte)
{
    if (is_printed(byte))
        return byte;
    // 0 to 32, 127 to 160 and 173 follow each other from U+0100 on.
    return 0x100 + (byte <= 0x20 ? byte : byte < 0xad ? byte - 0x7fu + 33 : 67u);
}

int qm_character_byte(uint32_t character)
{
    if (character < 0x100)
        return is_printed(character) ? (int)character : -1;
    if (character > 0x143)
        return -1;
    uint32_t place = character - 0x100;
    return (int)(place <= 0x20 ? place : place < 67 ? place - 33 + 0x7f : 0xad);
}

// Merges -------------------------------------------------------------------------------------------------------------

static size_t merge_slot(const struct qm_bpe *bpe, uint64_t pair)
{
    size_t mask = bpe->merge_slots - 1, slot = (size_t)qm_random_mix(pair ^ bpe->vocabulary.seed) & mask;
    while (bpe->merges[slot].pair != pair && bpe->merges[slot].pair != UINT64_MAX)
        slot = (slot + 1) & mask;
    return slot;
}

static const struct qm_merge *find_merge(const struct qm_bpe *bpe, uint32_t left, uint32_t right)
{
    if (bpe->merge_count == 0)
        return NULL;
    const struct qm_merge *merge = &bpe->merges[merge_slot(bpe, (uint64_t)left << 32 | right)];
    return merge->pair == UINT64_MAX ? NULL : merge;
}

static enum qm_status out_of_memory(const struct qm_bpe *bpe)
{
    return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory to encode with it; close other programs or use shorter texts",
                   bpe->file);
}

enum qm_status qm_bpe_add_merge(struct qm_bpe *bpe, uint32_t left, uint32_t right, uint32_t rank, uint32_t id)
{
    if (2 * (bpe->merge_count + 1) > bpe->merge_slots) {
        size_t slots = bpe->merge_slots ? 2 * bpe->merge_slots : 1024, old_slots = bpe->merge_slots;
        struct qm_merge *merges = malloc(slots * sizeof(*merges)), *old = bpe->merges;
        if (!merges)
            return out_of_memory(bpe);
        memset(merges, 0xff, slots * sizeof(*merges));
        bpe->merges = merges;
        bpe->merge_slots = slots;
        for (size_t i = 0; i < old_slots; i++)
            if (old[i].pair != UINT64_MAX)
                merges[merge_slot(bpe, old[i].pair)] = old[i];
        free(old);
    }
    uint64_t pair = (uint64_t)left << 32 | right;
    struct qm_merge *merge = &bpe->merges[merge_slot(bpe, pair)];
    bpe->merge_count += merge->pair == UINT64_MAX;
    *merge = (struct qm_merge){pair, rank, id};
    return QM_OK;
}

// Of the model's own vocabulary: what was only added is found in texts before words are made.
static uint32_t find_token(const struct qm_bpe *bpe, const char *text, size_t count)
{
    uint32_t id = qm_vocabulary_find(&bpe->vocabulary, text, count);
    if (id != QM_TOKEN_NONE && !(bpe->vocabulary.tokens[id].flags & QM_TOKEN_OF_MODEL))
        return QM_TOKEN_NONE;
    return id;
}

// Where no merge reaches across ----------------------------------------------------------------------------------------

static size_t join_bit(const struct qm_bpe *bpe, uint32_t before, uint32_t after)
{
    return (size_t)qm_random_mix(((uint64_t)before << 32 | after) ^ bpe->vocabulary.seed) & (JOIN_BITS - 1);
}

// The last character of one token and the first one of another; false if one has none.
static bool characters_between(const struct qm_bpe *bpe, uint32_t left, uint32_t right, uint32_t *before,
                               uint32_t *after)
{
    size_t left_bytes = 0, right_bytes = 0;
    const char *left_text = qm_vocabulary_text(&bpe->vocabulary, left, &left_bytes);
    const char *right_text = qm_vocabulary_text(&bpe->vocabulary, right, &right_bytes);
    if (left_bytes == 0 || right_bytes == 0)
        return false;
    const char *last = qm_utf8_before(left_text, left_text + left_bytes);
    return qm_utf8_character((const unsigned char *)last, (size_t)(left_text + left_bytes - last), before) > 0 &&
           qm_utf8_character((const unsigned char *)right_text, right_bytes, after) > 0;
}

static enum qm_status find_joins(struct qm_bpe *bpe)
{
    if (bpe->is_byte_level || bpe->ignore_merges)
        return QM_OK;
    bpe->joins = calloc(JOIN_BITS / 64, sizeof(*bpe->joins));
    bpe->is_token = calloc(FIRST_CHARACTERS, 1);
    if (!bpe->joins || !bpe->is_token)
        return out_of_memory(bpe);
    for (uint32_t code = 0; code < FIRST_CHARACTERS; code++) {
        char text[4];
        bpe->is_token[code] = find_token(bpe, text, qm_utf8_write(code, text)) != QM_TOKEN_NONE;
    }
    for (size_t i = 0; i < bpe->merge_slots; i++) {
        uint64_t pair = bpe->merges[i].pair;
        uint32_t before = 0, after = 0;
        if (pair == UINT64_MAX)
            continue;
        if (!characters_between(bpe, (uint32_t)(pair >> 32), (uint32_t)pair, &before, &after))
            return QM_OK; // a token without a text
        size_t bit = join_bit(bpe, before, after);
        bpe->joins[bit / 64] |= (uint64_t)1 << (bit % 64);
    }
    bpe->cuts = true;
    return QM_OK;
}

enum qm_status qm_bpe_finish(struct qm_bpe *bpe)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        char text[8];
        bpe->byte_ids[byte] = find_token(bpe, text, qm_utf8_write(qm_byte_character((unsigned char)byte), text));
        snprintf(text, sizeof(text), "<0x%02X>", byte);
        bpe->fallback_ids[byte] = find_token(bpe, text, 6);
    }
    bpe->cache = calloc(CACHED_WORDS, sizeof(*bpe->cache));
    return bpe->cache ? find_joins(bpe) : out_of_memory(bpe);
}

void qm_bpe_free(struct qm_bpe *bpe)
{
    qm_vocabulary_free(&bpe->vocabulary);
    free(bpe->merges);
    free(bpe->cache);
    free(bpe->joins);
    free(bpe->is_token);
    free(bpe->symbols);
    free(bpe->queue);
    free(bpe->mapped.data);
    *bpe = (struct qm_bpe){0};
}

// Characters ---------------------------------------------------------------------------------------------------------

static enum qm_status reserve_symbols(struct qm_bpe *bpe, size_t more)
{
    if (bpe->symbol_capacity - bpe->symbol_count >= more)
        return QM_OK;
    size_t capacity = 2 * bpe->symbol_capacity + more + 64;
    struct qm_symbol *grown = realloc(bpe->symbols, capacity * sizeof(*grown));
    if (!grown)
        return out_of_memory(bpe);
    bpe->symbols = grown;
    bpe->symbol_capacity = capacity;
    return QM_OK;
}

static void add_symbol(struct qm_bpe *bpe, uint32_t id)
{
    uint32_t place = (uint32_t)bpe->symbol_count++;
    bpe->symbols[place] = (struct qm_symbol){id, place == 0 ? NO_SYMBOL : place - 1, place + 1};
}

static bool fall_back(struct qm_bpe *bpe, const char *character, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (bpe->fallback_ids[(unsigned char)character[i]] == QM_TOKEN_NONE)
            return false;
    for (size_t i = 0; i < count; i++)
        add_symbol(bpe, bpe->fallback_ids[(unsigned char)character[i]]);
    return true;
}

// Adds what a character becomes. *is_pending: an unknown one waits for the next known one, so that neighbours can be
// fused; bytes that stand for a character do not end the wait, so they come first. That is the original's order.
static enum qm_status add_character(struct qm_bpe *bpe, uint32_t id, const char *character, size_t count,
                                    bool *is_pending)
{
    QM_TRY(reserve_symbols(bpe, count + 1));
    if (id != QM_TOKEN_NONE) {
        if (*is_pending)
            add_symbol(bpe, bpe->unknown_id);
        *is_pending = false;
        add_symbol(bpe, id);
        return QM_OK;
    }
    if (bpe->byte_fallback && fall_back(bpe, character, count))
        return QM_OK;
    if (!bpe->has_unknown)
        return QM_OK;
    if (bpe->unknown_id == QM_TOKEN_NONE)
        return QM_FAIL(
            QM_INVALID,
            "%s: a text has the character '%.*s', for which there is no token, and 'unk_token' is not in the "
            "vocabulary; add it there",
            bpe->file, (int)count, character);
    if (*is_pending && !bpe->fuses_unknown)
        add_symbol(bpe, bpe->unknown_id);
    *is_pending = true;
    return QM_OK;
}

static enum qm_status make_symbols(struct qm_bpe *bpe, const char *word, size_t count)
{
    bool is_pending = false;
    bpe->symbol_count = 0;
    for (size_t i = 0; i < count;) {
        char character[4];
        size_t length = 1;
        if (bpe->is_byte_level) {
            unsigned char byte = (unsigned char)word[i];
            size_t bytes = qm_utf8_write(qm_byte_character(byte), character);
            QM_TRY(add_character(bpe, bpe->byte_ids[byte], character, bytes, &is_pending));
        } else {
            length = qm_utf8_length((unsigned char)word[i]);
            QM_TRY(add_character(bpe, find_token(bpe, word + i, length), word + i, length, &is_pending));
        }
        i += length;
    }
    QM_TRY(reserve_symbols(bpe, 1));
    if (is_pending)
        add_symbol(bpe, bpe->unknown_id);
    if (bpe->symbol_count > 0)
        bpe->symbols[bpe->symbol_count - 1].after = NO_SYMBOL;
    return QM_OK;
}

// The queue, a binary heap -------------------------------------------------------------------------------------------

static enum qm_status push(struct qm_bpe *bpe, uint32_t place)
{
    const struct qm_symbol *left = &bpe->symbols[place];
    const struct qm_merge *merge = find_merge(bpe, left->id, bpe->symbols[left->after].id);
    if (!merge)
        return QM_OK;
    if (bpe->queue_count == bpe->queue_capacity) {
        size_t capacity = 2 * bpe->queue_capacity + 64;
        struct qm_candidate *grown = realloc(bpe->queue, capacity * sizeof(*grown));
        if (!grown)
            return out_of_memory(bpe);
        bpe->queue = grown;
        bpe->queue_capacity = capacity;
    }
    struct qm_candidate candidate = {(uint64_t)merge->rank << 32 | place, merge->id};
    size_t at = bpe->queue_count++;
    while (at > 0 && bpe->queue[(at - 1) / 2].order > candidate.order) {
        bpe->queue[at] = bpe->queue[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    bpe->queue[at] = candidate;
    return QM_OK;
}

static struct qm_candidate pop(struct qm_bpe *bpe)
{
    struct qm_candidate first = bpe->queue[0], moved = bpe->queue[--bpe->queue_count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= bpe->queue_count)
            break;
        child += child + 1 < bpe->queue_count && bpe->queue[child + 1].order < bpe->queue[child].order;
        if (moved.order <= bpe->queue[child].order)
            break;
        bpe->queue[at] = bpe->queue[child];
        at = child;
    }
    bpe->queue[at] = moved;
    return first;
}

static enum qm_status merge_all(struct qm_bpe *bpe)
{
    struct qm_symbol *symbols = bpe->symbols;
    bpe->queue_count = 0;
    for (uint32_t place = 0; place + 1 < bpe->symbol_count; place++)
        QM_TRY(push(bpe, place));
    while (bpe->queue_count > 0) {
        struct qm_candidate best = pop(bpe);
        uint32_t place = (uint32_t)best.order;
        struct qm_symbol *left = &symbols[place];
        if (left->id == QM_TOKEN_NONE || left->after == NO_SYMBOL)
            continue;
        struct qm_symbol *right = &symbols[left->after];
        const struct qm_merge *merge = find_merge(bpe, left->id, right->id);
        if (!merge || merge->id != best.id) // one of the two has become another since
            continue;
        left->id = best.id;
        right->id = QM_TOKEN_NONE;
        left->after = right->after;
        if (left->after != NO_SYMBOL)
            symbols[left->after].before = place;
        if (left->before != NO_SYMBOL)
            QM_TRY(push(bpe, left->before));
        if (left->after != NO_SYMBOL)
            QM_TRY(push(bpe, place));
    }
    return QM_OK;
}

// Words --------------------------------------------------------------------------------------------------------------

// The whole word as one token.
static enum qm_status find_word(struct qm_bpe *bpe, const char *word, size_t count, uint32_t *id)
{
    *id = QM_TOKEN_NONE;
    if (count > bpe->vocabulary.longest)
        return QM_OK;
    if (!bpe->is_byte_level) {
        *id = find_token(bpe, word, count);
        return QM_OK;
    }
    bpe->mapped.count = 0;
    QM_TRY(qm_bytes_reserve(&bpe->mapped, 2 * count));
    for (size_t i = 0; i < count; i++)
        bpe->mapped.count +=
            qm_utf8_write(qm_byte_character((unsigned char)word[i]), bpe->mapped.data + bpe->mapped.count);
    *id = find_token(bpe, bpe->mapped.data, bpe->mapped.count);
    return QM_OK;
}

static enum qm_status encode_new(struct qm_bpe *bpe, const char *word, size_t count, struct qm_tokens *out)
{
    if (bpe->ignore_merges) {
        uint32_t id = QM_TOKEN_NONE;
        QM_TRY(find_word(bpe, word, count, &id));
        if (id != QM_TOKEN_NONE)
            return qm_tokens_add(out, &id, 1);
    }
    QM_TRY(make_symbols(bpe, word, count));
    QM_TRY(merge_all(bpe));
    for (size_t i = 0; i < bpe->symbol_count; i++)
        if (bpe->symbols[i].id != QM_TOKEN_NONE)
            QM_TRY(qm_tokens_add(out, &bpe->symbols[i].id, 1));
    return QM_OK;
}

static enum qm_status encode_cached(struct qm_bpe *bpe, const char *word, size_t count, struct qm_tokens *out)
{
    if (count > QM_CACHED_WORD_BYTES)
        return encode_new(bpe, word, count, out);
    size_t slot = (size_t)qm_vocabulary_hash(bpe->vocabulary.seed, word, count) & (CACHED_WORDS - 1);
    struct qm_cached_word *cached = &bpe->cache[slot];
    if (cached->bytes == count && memcmp(cached->text, word, count) == 0)
        return qm_tokens_add(out, cached->ids, cached->tokens);
    size_t begin = out->count;
    QM_TRY(encode_new(bpe, word, count, out));
    size_t tokens = out->count - begin;
    if (tokens > 0 && tokens <= QM_CACHED_WORD_TOKENS) {
        cached->bytes = (uint8_t)count;
        cached->tokens = (uint8_t)tokens;
        memcpy(cached->text, word, count);
        memcpy(cached->ids, out->ids + begin, tokens * sizeof(*cached->ids));
    }
    return QM_OK;
}

static enum qm_status encode_whole(const struct qm_bpe *bpe, const char *word, size_t count, struct qm_tokens *out)
{
    uint32_t id = find_token(bpe, word, count);
    if (id == QM_TOKEN_NONE)
        id = bpe->unknown_id;
    if (id == QM_TOKEN_NONE)
        return QM_FAIL(QM_INVALID, "%s: '%.*s' is no token, and 'unk_token' is none either; leave it out of the text",
                       bpe->file, (int)(count < 40 ? count : 40), word);
    return qm_tokens_add(out, &id, 1);
}

enum qm_status qm_bpe_encode(struct qm_bpe *bpe, const char *word, size_t count, struct qm_tokens *out)
{
    if (bpe->is_word_level)
        return encode_whole(bpe, word, count, out);
    size_t begin = 0;
    uint32_t before = 0;
    bool was_token = false;
    for (size_t i = 0; bpe->cuts && count > QM_CACHED_WORD_BYTES && i < count;) {
        uint32_t code = 0;
        size_t length = qm_utf8_character((const unsigned char *)word + i, count - i, &code);
        if (length == 0)
            return QM_FAIL(QM_FAILED, "a text that is not UTF-8 came to be encoded; report this");
        bool is_token =
            code < FIRST_CHARACTERS ? bpe->is_token[code] : find_token(bpe, word + i, length) != QM_TOKEN_NONE;
        if (is_token && was_token) {
            size_t bit = join_bit(bpe, before, code);
            if (!(bpe->joins[bit / 64] >> (bit % 64) & 1)) {
                QM_TRY(encode_cached(bpe, word + begin, i - begin, out));
                begin = i;
            }
        }
        before = code;
        was_token = is_token;
        i += length;
    }
    return encode_cached(bpe, word + begin, count - begin, out);
}
