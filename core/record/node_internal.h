// The insides of a node, shared by the files that build, read and write it.
#ifndef QM_RECORD_NODE_INTERNAL_H
#define QM_RECORD_NODE_INTERNAL_H

#include "record/node.h"

struct qm_node {
    enum qm_node_kind kind;
    bool plain;  // a scalar without quotes: may be a number, true or false
    bool failed; // on roots only
    size_t line;
    char *key;  // owned; NULL for items and roots
    char *text; // of scalars: behind the node, in its own memory
    char *file; // owned; only on the root of what was read at once, looked up through parents
    struct qm_node *parent;
    struct qm_node **children;
    size_t count;
    size_t capacity;
};

// A root of this kind, NULL without memory.
struct qm_node *qm_node_new(enum qm_node_kind kind);
// A scalar root with these bytes, which hold no zero byte.
struct qm_node *qm_node_new_scalar(const char *text, size_t count, bool plain);
// Appends a root to a mapping (which owns the key from here on) or a sequence (key NULL), without a look for the same
// key. False without memory; then child and key still belong to the caller.
bool qm_node_attach(struct qm_node *parent, char *key, struct qm_node *child);
// What JSON calls a number, and digits only.
bool qm_text_is_number(const char *text);
bool qm_text_is_whole(const char *text);

#endif
