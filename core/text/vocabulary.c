#include "text/vocabulary.h"
#include "base/random.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

void qm_vocabulary_begin(struct qm_vocabulary *vocabulary)
{
    *vocabulary = (struct qm_vocabulary){0};
    randombytes_buf(&vocabulary->seed, sizeof(vocabulary->seed));
}

void qm_vocabulary_free(struct qm_vocabulary *vocabulary)
{
    free(vocabulary->texts.data);
    free(vocabulary->tokens);
    free(vocabulary->slots);
    *vocabulary = (struct qm_vocabulary){0};
}

uint64_t qm_vocabulary_hash(uint64_t seed, const char *text, size_t count)
{
    uint64_t hash = qm_random_mix(seed ^ count), word = 0;
    for (; count >= sizeof(word); text += sizeof(word), count -= sizeof(word)) {
        memcpy(&word, text, sizeof(word));
        hash = qm_random_mix(hash ^ word);
    }
    word = 0;
    memcpy(&word, text, count);
    return qm_random_mix(hash ^ word);
}

const char *qm_vocabulary_text(const struct qm_vocabulary *vocabulary, uint32_t id, size_t *count)
{
    *count = vocabulary->tokens[id].bytes;
    return vocabulary->texts.data + vocabulary->tokens[id].begin;
}

bool qm_vocabulary_has(const struct qm_vocabulary *vocabulary, uint32_t id)
{
    return id < vocabulary->id_count && vocabulary->tokens[id].flags != 0;
}

// The slot of the text, or the free one where it would be.
static size_t slot_of(const struct qm_vocabulary *vocabulary, const char *text, size_t count)
{
    size_t mask = vocabulary->slot_count - 1;
    size_t slot = (size_t)qm_vocabulary_hash(vocabulary->seed, text, count) & mask;
    for (;; slot = (slot + 1) & mask) {
        uint32_t id = vocabulary->slots[slot];
        if (id == QM_TOKEN_NONE)
            return slot;
        const struct qm_token *token = &vocabulary->tokens[id];
        if (token->bytes == count && memcmp(vocabulary->texts.data + token->begin, text, count) == 0)
            return slot;
    }
}

uint32_t qm_vocabulary_find(const struct qm_vocabulary *vocabulary, const char *text, size_t count)
{
    if (vocabulary->slot_count == 0 || count > vocabulary->longest)
        return QM_TOKEN_NONE;
    return vocabulary->slots[slot_of(vocabulary, text, count)];
}

static enum qm_status out_of_memory(const char *file)
{
    return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for its vocabulary; close other programs and try again", file);
}

static enum qm_status grow_slots(struct qm_vocabulary *vocabulary, const char *file)
{
    size_t count = vocabulary->slot_count ? 2 * vocabulary->slot_count : 1024;
    uint32_t *slots = malloc(count * sizeof(*slots)), *old = vocabulary->slots;
    size_t old_count = vocabulary->slot_count;
    if (!slots)
        return out_of_memory(file);
    memset(slots, 0xff, count * sizeof(*slots));
    vocabulary->slots = slots;
    vocabulary->slot_count = count;
    for (size_t i = 0; i < old_count; i++) {
        if (old[i] == QM_TOKEN_NONE)
            continue;
        size_t bytes = 0;
        const char *text = qm_vocabulary_text(vocabulary, old[i], &bytes);
        slots[slot_of(vocabulary, text, bytes)] = old[i];
    }
    free(old);
    return QM_OK;
}

static enum qm_status grow_tokens(struct qm_vocabulary *vocabulary, const char *file, uint32_t id)
{
    if (id >= vocabulary->token_capacity) {
        size_t capacity = 2 * vocabulary->token_capacity;
        capacity = capacity > id ? capacity : (size_t)id + 1024;
        struct qm_token *grown = realloc(vocabulary->tokens, capacity * sizeof(*grown));
        if (!grown)
            return out_of_memory(file);
        memset(grown + vocabulary->token_capacity, 0, (capacity - vocabulary->token_capacity) * sizeof(*grown));
        vocabulary->tokens = grown;
        vocabulary->token_capacity = capacity;
    }
    if (vocabulary->id_count <= id)
        vocabulary->id_count = (size_t)id + 1;
    return QM_OK;
}

enum qm_status qm_vocabulary_add(struct qm_vocabulary *vocabulary, const char *file, uint32_t id, const char *text,
                                 size_t count, uint8_t flags)
{
    if (2 * (vocabulary->used + 1) > vocabulary->slot_count)
        QM_TRY(grow_slots(vocabulary, file));
    QM_TRY(grow_tokens(vocabulary, file, id));
    vocabulary->tokens[id] = (struct qm_token){(uint32_t)vocabulary->texts.count, (uint32_t)count, flags};
    enum qm_status status = qm_bytes_add(&vocabulary->texts, text, count);
    if (status != QM_OK) {
        vocabulary->tokens[id] = (struct qm_token){0};
        return status;
    }
    vocabulary->slots[slot_of(vocabulary, text, count)] = id;
    vocabulary->used++;
    if (vocabulary->longest < count)
        vocabulary->longest = count;
    return QM_OK;
}
