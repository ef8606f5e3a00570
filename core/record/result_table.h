// The table of a result's keys, between the checker and the writer of the JSON Schema. Claims have a table of the same
// rows (claim.c).
#ifndef QM_RECORD_RESULT_TABLE_H
#define QM_RECORD_RESULT_TABLE_H

#include <stdbool.h>

enum qm_result_type {
    QM_RESULT_TEXT,
    QM_RESULT_HASH, // 64 hexadecimal digits
    QM_RESULT_WHOLE,
    QM_RESULT_NUMBER,
    QM_RESULT_POSITIVE, // a number above 0
    QM_RESULT_BOOL,
    QM_RESULT_CHOICE,
    QM_RESULT_MAPPING,
    QM_RESULT_LIST, // of mappings
};

enum {
    QM_RESULT_OPTIONAL = 1, // may be absent
    QM_RESULT_OR_WORD = 2,  // one of qm_result_words may stand instead
};

struct qm_result_row {
    const char *path; // keys between dots; "[]" after a list, for each of its items
    enum qm_result_type type;
    int flags;
    const char *choices; // for CHOICE: "ok|wrong"
    const char *meaning;
};

extern const struct qm_result_row qm_result_rows[]; // ends with a NULL path; what holds something stands before it

struct qm_node;
// Whether a value has the row's type, or is a word where the row allows one.
bool qm_result_row_fits(const struct qm_result_row *row, const struct qm_node *node);
// "a whole number", "64 hexadecimal digits", ...
const char *qm_result_type_text(enum qm_result_type type);

#endif
