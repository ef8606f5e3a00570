// The forms in which verbs print rows: for people, and for programs.
#ifndef QM_REPORT_FORM_H
#define QM_REPORT_FORM_H

#include "base/status.h"

enum qm_form {
    QM_FORM_TABLE,
    QM_FORM_MARKDOWN,
    QM_FORM_CSV,
    QM_FORM_JSON,
    QM_FORM_JSONL, // an object a line
    QM_FORM_COUNT
};

// What a verb that takes all of them has as the argument of its option.
#define QM_FORM_WORDS "table|md|csv|json|jsonl"

// By a name ("table", "md", "csv", "json", "jsonl"), QM_INVALID with the list for others; by a file's ending (.txt is a
// table), likewise.
QM_MUST_USE enum qm_status qm_form_find(const char *name, enum qm_form *out);
QM_MUST_USE enum qm_status qm_form_of_path(const char *path, enum qm_form *out);

#endif
