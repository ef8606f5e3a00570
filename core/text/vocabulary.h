// Tokens by id and by text.
#ifndef QM_TEXT_VOCABULARY_H
#define QM_TEXT_VOCABULARY_H

#include "base/status.h"
#include "text/utf8.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QM_TOKEN_NONE UINT32_MAX
#define QM_TOKEN_ID_MAX 4194303u // an id above it is refused: tables of ids have a row for each below

enum {
    QM_TOKEN_OF_MODEL = 1, // the model's own vocabulary has it
    QM_TOKEN_ADDED = 2,
    QM_TOKEN_SPECIAL = 4,
};

struct qm_token {
    uint32_t begin, bytes; // in texts
    uint8_t flags;         // 0: no token has this id
};

// Zeroed it is empty, but for the seed.
struct qm_vocabulary {
    uint64_t seed; // of the table, drawn when it is made: a file cannot know which of its texts fall together
    struct qm_bytes texts;
    struct qm_token *tokens; // by id
    size_t id_count;         // highest id + 1
    size_t token_capacity;
    uint32_t *slots; // ids by text, open addressing; QM_TOKEN_NONE is free
    size_t slot_count, used;
    size_t longest; // bytes of a text
};

// Sets the seed.
void qm_vocabulary_begin(struct qm_vocabulary *vocabulary);
void qm_vocabulary_free(struct qm_vocabulary *vocabulary);
// The id of a text, or QM_TOKEN_NONE.
uint32_t qm_vocabulary_find(const struct qm_vocabulary *vocabulary, const char *text, size_t count);
// Adds a token whose text and id are both new, and at most QM_TOKEN_ID_MAX; the caller has looked.
QM_MUST_USE enum qm_status qm_vocabulary_add(struct qm_vocabulary *vocabulary, const char *file, uint32_t id,
                                             const char *text, size_t count, uint8_t flags);
bool qm_vocabulary_has(const struct qm_vocabulary *vocabulary, uint32_t id);
const char *qm_vocabulary_text(const struct qm_vocabulary *vocabulary, uint32_t id,
                               size_t *count); // of one that is there

// A hash of bytes that depends on the seed throughout.
uint64_t qm_vocabulary_hash(uint64_t seed, const char *text, size_t count);

#endif
