// Results: what one device through one API gave for one profile. docs/RESULT_FORMAT.md says what each key means; the
// table in result_table.c is where it is decided, and docs/result.schema.json is written from that.
#ifndef QM_RECORD_RESULT_H
#define QM_RECORD_RESULT_H

#include "base/status.h"
#include "record/node.h"
#include "sys/file.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    QM_RESULT_SCHEMA = 1,
    // 27 schemes with all their rows take 250 KB; the raw samples, which are much larger, lie in a file of their own.
    QM_RESULT_BYTES_MAX = 320 * 1024,
};

// Words that may stand where a number or a mapping would: what is not there has a word, never 0.00 or a missing row.
extern const char *const qm_result_words[]; // ends with NULL
bool qm_result_is_word(const char *text);

// Checks keys, types and the laws: every scheme has all components of its disclosure or a word; one that is not `ok`
// has a reason and no throughput; one with throughput has its accuracy or the words `not measured`; rates are above 0;
// a low end is not above its high end. QM_INVALID with the place and what would be right. The hash is not checked.
QM_MUST_USE enum qm_status qm_result_check(const struct qm_node *result);

// Reads and checks a result. `*is_intact` (may be NULL) tells whether its hash is that of its content.
QM_MUST_USE enum qm_status qm_result_load(const char *path, struct qm_node **out, bool *is_intact);

// Whether a row of `schemes` has the status `ok`; false for NULL.
bool qm_result_row_is_ok(const struct qm_node *scheme);
// The status of a row as people are told it: `wrong` is "WRONG"; "?" where there is none.
const char *qm_result_status_word(const struct qm_node *row);

// Sets the hash, checks, and writes the result as YAML into the directory, whole or not at all, under
// qm_result_file_name; `path` receives where. A file of that name is replaced.
QM_MUST_USE enum qm_status qm_result_write(struct qm_node *result, const char *directory, char path[QM_PATH_BYTES]);
// The same, staged: the caller commits it (sys/file.h), together with the samples that it names.
QM_MUST_USE enum qm_status qm_result_stage(struct qm_node *result, const char *directory,
                                           struct qm_staged_file *staged);

// "qmark-<device>-<api>.yaml", the device's name in lower-case letters, digits and single dashes. If `device` has the
// key `ordinal` (a second device of the same name) it comes after the name.
#define QM_RESULT_NAME_BYTES 128
void qm_result_file_name(const struct qm_node *result, char name[QM_RESULT_NAME_BYTES]);

// The JSON Schema (draft 2020-12) as a tree; the caller destroys it. NULL without memory.
QM_MUST_USE struct qm_node *qm_result_schema(void);

// The rows of the table, for tests and documents: the path ("schemes[].accuracy.tokens") and what it means. NULL
// beyond the last.
const char *qm_result_table_path(size_t index);
const char *qm_result_table_meaning(size_t index);

#endif
