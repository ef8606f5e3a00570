// Texts by their begins: a trie whose edges lie in one table by (node, byte), so that a step costs one look-up whatever the
// number of texts.
#ifndef QM_TEXT_PREFIXES_H
#define QM_TEXT_PREFIXES_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QM_PREFIXES_NODES_MAX (1u << 24)

struct qm_prefix_edge {
    uint32_t key;   // node << 8 | byte
    uint32_t child; // 0 is free: no edge leads to the root
};

// Zeroed it is empty, but for the seed.
struct qm_prefixes {
    uint64_t seed; // of the table, as in vocabulary.h
    struct qm_prefix_edge *edges;
    size_t edge_slots, edge_count;
    uint32_t *values; // by node; QM_TOKEN_NONE where no text ends
    size_t node_count, node_capacity;
};

// Adds a text, which is not empty. QM_UNSUPPORTED beyond QM_PREFIXES_NODES_MAX; `file` is for messages.
QM_MUST_USE enum qm_status qm_prefixes_add(struct qm_prefixes *prefixes, const char *file, const char *text,
                                           size_t count, uint32_t value);
void qm_prefixes_free(struct qm_prefixes *prefixes);

// One step: the node behind `node` (0: the root) for a byte; 0 where no text goes on so.
uint32_t qm_prefixes_step(const struct qm_prefixes *prefixes, uint32_t node, unsigned char byte);
// Bytes of the longest text that `text` begins with; 0 if there is none. `value` may be NULL.
size_t qm_prefixes_longest(const struct qm_prefixes *prefixes, const char *text, size_t count, uint32_t *value);

#endif
