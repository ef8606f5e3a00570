// Rows for programs and for documents: CSV, JSON lines, a table of Markdown. What they mean: docs/EXPORTS.md.
#ifndef QM_REPORT_EXPORT_H
#define QM_REPORT_EXPORT_H

#include <stddef.h>
#include <stdio.h>

#include "report/form.h"

struct qm_node;

struct qm_export {
    enum qm_form form; // QM_FORM_CSV, QM_FORM_JSONL or QM_FORM_MARKDOWN
    FILE *file;
    const char *const *columns; // names with their units
    size_t column_count;
};

// Writes the names of the columns, where the form has a line of them. `columns` must stay.
void qm_export_begin(struct qm_export *export, enum qm_form form, const char *const *columns, size_t count, FILE *file);

// A row from a mapping with the columns' names as keys; of one that it lacks the cell stays empty, and JSON has no such key.
// Texts are cleaned (base/text.h). CSV is as in RFC 4180 with '\n' at the end of a line, and what a spreadsheet would take
// for a formula begins with an apostrophe. Nothing of a text is markup in Markdown, where a row has fewer columns, for people to
// read: `short_of` makes those of it. The row is destroyed.
typedef struct qm_node *qm_export_short(const struct qm_node *row);
QM_MUST_USE enum qm_status qm_export_row(const struct qm_export *export, struct qm_node *row,
                                         qm_export_short *short_of);

// A text within a paragraph or a cell of Markdown: what would be markup is taken for what it is; a line break is <br>, none
// at the end.
void qm_export_markdown(const char *text, FILE *file);

// A tree as JSON on one line.
QM_MUST_USE enum qm_status qm_export_json_line(const struct qm_node *node, FILE *file);

#endif
