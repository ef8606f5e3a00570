// JSON (RFC 8259) as a tape: every value is one entry of an array, in the order of the file, and texts are decoded where
// they stand. A tokenizer.json is a mapping of hundreds of thousands of entries; so it costs 16 bytes a value beside the
// file itself, and reading needs no recursion.
//
// Texts may hold zero bytes (\u0000), unlike those of record/node.h. Refused, as "FILE:LINE: what is wrong; ...", are bytes
// that are not UTF-8, lone surrogates, nesting beyond QM_JSON_DEPTH_MAX, more than QM_JSON_VALUES_MAX values, anything after
// the value, and what is not JSON. Keys that stand twice are refused where they are looked for (qm_json_member).
#ifndef QM_TEXT_JSON_H
#define QM_TEXT_JSON_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QM_JSON_DEPTH_MAX 32
#define QM_JSON_VALUES_MAX 8388608u

enum qm_json_kind {
    QM_JSON_NULL,
    QM_JSON_FALSE,
    QM_JSON_TRUE,
    QM_JSON_NUMBER, // begin and length: as written
    QM_JSON_TEXT,   // begin and length: decoded
    QM_JSON_LIST,   // length: items
    QM_JSON_OBJECT, // length: members, each two values: key and value
};

struct qm_json_value {
    uint32_t kind, begin, length;
    uint32_t next; // index of the value behind this one and all within it
};

struct qm_json {
    const char *file; // for messages; the caller's, must outlive this
    char *bytes;      // the file, its texts decoded in place
    struct qm_json_value *values;
    size_t count;
};

// Takes a copy of the bytes, which may be at most 2^32 - 2. `out` is zeroed on failure.
QM_MUST_USE enum qm_status qm_json_parse(const char *bytes, size_t count, const char *file, struct qm_json *out);
void qm_json_free(struct qm_json *json);

// Values are named by their index; 0 is the whole. The first item, or key, of a list or object that is not empty is at + 1.
#define QM_JSON_NONE UINT32_MAX // no such value

const char *qm_json_text(const struct qm_json *json, uint32_t at);                // not ended by a zero
bool qm_json_is(const struct qm_json *json, uint32_t at, enum qm_json_kind kind); // false for QM_JSON_NONE
bool qm_json_is_null(const struct qm_json *json, uint32_t at);                    // true for QM_JSON_NONE
bool qm_json_equals(const struct qm_json *json, uint32_t at, const char *text);   // a text, and that one
// A whole number from 0 to `largest`, written without fraction and exponent.
bool qm_json_whole(const struct qm_json *json, uint32_t at, uint32_t largest, uint32_t *out);
// The member of an object, or QM_JSON_NONE (as for what is no object). `place` is what to call the object in the message
// that a key stands twice.
QM_MUST_USE enum qm_status qm_json_member(const struct qm_json *json, uint32_t object, const char *place,
                                          const char *key, uint32_t *out);

#endif
