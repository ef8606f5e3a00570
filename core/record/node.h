// An ordered tree of mappings, sequences and scalar texts: what profiles, results and all JSON output are made of.
//
// Every node knows the file and line it was read from, so that a message can say where. Scalars are kept as the text
// that was written; readers turn them into numbers. A tree has one root and every node has one owner: destroying the
// root destroys all of it.
//
// Builders never abort and need no check of their own: without memory (or when used on a node of the wrong kind, or
// with a number that is not finite) they mark the root, return NULL where they return a node, and accept NULL as a
// node to build on. Ask qm_node_ok() once, at the end.
#ifndef QM_RECORD_NODE_H
#define QM_RECORD_NODE_H

#include "base/hash.h"
#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct qm_node;

enum qm_node_kind {
    QM_NODE_TEXT,
    QM_NODE_MAPPING,
    QM_NODE_SEQUENCE,
};

// Building --------------------------------------------------------------------------------------------------------

QM_MUST_USE struct qm_node *qm_node_new_mapping(void); // NULL without memory
QM_MUST_USE struct qm_node *qm_node_new_sequence(void);
// Only for roots. Sets the caller's pointer to NULL; NULL is allowed.
void qm_node_destroy(struct qm_node **node);
// A deep copy, as a root; file and lines are kept. NULL without memory, or for NULL.
QM_MUST_USE struct qm_node *qm_node_copy(const struct qm_node *node);
// False if the tree could not be built as asked, and for NULL.
bool qm_node_ok(const struct qm_node *root);

// Entries of a mapping. Setting a key that is there replaces its value, in its place. Texts are copied and must be
// UTF-8; NULL as a text is written as `undisclosed`. A number is written with the fewest digits that read back to the
// same double; where there is no finite number, set a word instead, such as "undisclosed" or "not measured".
void qm_node_set_text(struct qm_node *mapping, const char *key, const char *text);
void qm_node_set_textf(struct qm_node *mapping, const char *key, const char *format, ...) QM_PRINTF(3, 4);
void qm_node_set_u64(struct qm_node *mapping, const char *key, uint64_t value);
void qm_node_set_double(struct qm_node *mapping, const char *key, double value);
void qm_node_set_bool(struct qm_node *mapping, const char *key, bool value);
// Takes a root and owns it from here on, even when it cannot be added.
void qm_node_set_node(struct qm_node *mapping, const char *key, struct qm_node *child);
struct qm_node *qm_node_add_mapping(struct qm_node *mapping, const char *key);
struct qm_node *qm_node_add_sequence(struct qm_node *mapping, const char *key);
// Removes an entry if it is there.
void qm_node_remove(struct qm_node *mapping, const char *key);

// Items of a sequence.
void qm_node_append_text(struct qm_node *sequence, const char *text);
void qm_node_append_u64(struct qm_node *sequence, uint64_t value);
void qm_node_append_double(struct qm_node *sequence, double value);
void qm_node_append_node(struct qm_node *sequence, struct qm_node *child); // as qm_node_set_node
struct qm_node *qm_node_append_mapping(struct qm_node *sequence);
struct qm_node *qm_node_append_sequence(struct qm_node *sequence);

// Looking ---------------------------------------------------------------------------------------------------------

enum qm_node_kind qm_node_kind(const struct qm_node *node); // NULL is QM_NODE_TEXT
bool qm_node_is_mapping(const struct qm_node *node);        // false for NULL, as the next
bool qm_node_is_sequence(const struct qm_node *node);
bool qm_node_is_text(const struct qm_node *node);
// Written as a number, true or false without quotes.
bool qm_node_is_number(const struct qm_node *node);
bool qm_node_is_bool(const struct qm_node *node);

// The node at a path such as "schemes.0.accuracy.kl_divergence": keys, or positions in sequences, between dots. NULL
// if there is none. `node` may be NULL. qm_node_child takes one key as it is, dots and all.
struct qm_node *qm_node_get(const struct qm_node *node, const char *path);
struct qm_node *qm_node_child(const struct qm_node *mapping, const char *key);
// Entries or items; 0 for a scalar and for NULL.
size_t qm_node_count(const struct qm_node *node);
struct qm_node *qm_node_at(const struct qm_node *node, size_t index); // value of an entry, or item; NULL beyond
const char *qm_node_key_at(const struct qm_node *mapping, size_t index);
const char *qm_node_key(const struct qm_node *node); // its key in its mapping, or NULL

// The scalar's text; NULL for other kinds and for NULL. qm_node_text_at: of the node at the path, else `otherwise`.
const char *qm_node_text(const struct qm_node *node);
const char *qm_node_text_at(const struct qm_node *node, const char *path, const char *otherwise);
size_t qm_node_line(const struct qm_node *node);      // 0 when it was not read from a file
const char *qm_node_file(const struct qm_node *node); // NULL when it was not read from a file

// Typed readers. QM_INVALID, as "file:line: 'key' is "text"; expected a whole number". NULL is "a value is missing".
QM_MUST_USE enum qm_status qm_node_read_u64(const struct qm_node *node, uint64_t *out);
QM_MUST_USE enum qm_status qm_node_read_double(const struct qm_node *node, double *out); // always finite
QM_MUST_USE enum qm_status qm_node_read_bool(const struct qm_node *node, bool *out);
// The same at a path; false if there is no such node or it is not of that type.
bool qm_node_u64_at(const struct qm_node *node, const char *path, uint64_t *out);
bool qm_node_double_at(const struct qm_node *node, const char *path, double *out);
bool qm_node_bool_at(const struct qm_node *node, const char *path, bool *out);

// Fails with QM_INVALID and "file:line: " (or, for a tree that was built, "/path/to/the/node: ") before the text.
QM_MUST_USE enum qm_status qm_node_invalid(const struct qm_node *node, const char *format, ...) QM_PRINTF(2, 3);
// The node's place as a JSON pointer (RFC 6901), "/schemes/0/name"; cut off at `capacity`.
void qm_node_path(const struct qm_node *node, char *text, size_t capacity);

// Reading files ---------------------------------------------------------------------------------------------------

struct qm_node_limits {
    size_t bytes;       // a larger file is refused by its size, unread
    size_t depth;       // of nested mappings and sequences
    size_t nodes;       // values in all
    size_t alias_nodes; // values that aliases may repeat
};

extern const struct qm_node_limits qm_node_profile_limits; // 1 MiB, 16 deep, 20,000 values, 200 by aliases
extern const struct qm_node_limits qm_node_result_limits;  // 4 MiB, 16 deep, 250,000 values, 30,000 by aliases

// Reads one YAML document whose top is a mapping; JSON is read by the same functions. What is refused has one line:
// "file:line: what is wrong; what would be right". Refused are: too large, too deep, too many values, duplicate and
// empty keys, keys that are not scalars, tags, aliases beyond the budget, zero bytes and control characters, bytes that
// are not UTF-8, no content, several documents, and whatever is not YAML.
QM_MUST_USE enum qm_status qm_node_load_yaml(const char *path, const struct qm_node_limits *limits,
                                             struct qm_node **out);
// The same from memory; `name` stands for the file in messages.
QM_MUST_USE enum qm_status qm_node_parse(const void *bytes, size_t count, const char *name,
                                         const struct qm_node_limits *limits, struct qm_node **out);

// Writing ---------------------------------------------------------------------------------------------------------

// The text ends in a newline; free() it. Numbers are written with the digits that they have in the tree. Both fail
// with QM_OUT_OF_MEMORY when qm_node_ok(node) is false.
QM_MUST_USE enum qm_status qm_node_write_yaml(const struct qm_node *node, char **text);
QM_MUST_USE enum qm_status qm_node_write_json(const struct qm_node *node, char **text);

// The shortest decimal text that reads back to `value`, which must be finite.
#define QM_DOUBLE_TEXT_BYTES 32
void qm_double_text(double value, char text[QM_DOUBLE_TEXT_BYTES]);

// The content hash: SHA-256 over (path, text) of every scalar, both as bytes with a terminating zero, in this order:
// keys of a mapping by their bytes, items of a sequence as they stand. A path is a JSON pointer. An empty mapping is
// (path + "/", "{}") and an empty sequence (path + "/", "[]"). The root's entry `excluded_key` (NULL: none) is left
// out. Style, comments and the order of keys do not matter.
QM_MUST_USE enum qm_status qm_node_hash(const struct qm_node *root, const char *excluded_key,
                                        char text[QM_HASH_TEXT_BYTES]);

#endif
