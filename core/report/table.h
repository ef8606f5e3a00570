// Tables of text with aligned columns, for terminals and pipes.
//
// Cells are UTF-8, cleaned of what steers a terminal (base/text.h), and measured in terminal columns. Building never fails visibly: without memory the table is marked,
// and qm_table_write says so.
#ifndef QM_REPORT_TABLE_H
#define QM_REPORT_TABLE_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct qm_table;

struct qm_table *qm_table_create(void); // NULL without memory, which all functions accept
void qm_table_destroy(struct qm_table **table);

void qm_table_column(struct qm_table *table, const char *title, bool is_right_aligned);
// Begins a row; cells that are not given stay empty.
void qm_table_row(struct qm_table *table);
void qm_table_cell(struct qm_table *table, const char *format, ...) QM_PRINTF(2, 3);
// A cell that runs on over the columns after it and widens none.
void qm_table_span(struct qm_table *table, const char *format, ...) QM_PRINTF(2, 3);

// The latest column stands in every part of a table that is written in parts, from its own part on.
void qm_table_keep(struct qm_table *table);

// A table wider than `columns` (0: no limit) is written in parts one below the other, each with the first column and
// those that were kept; where not even such a part fits, each row as a paragraph of "title: cell" lines. No line is longer
// than `columns` then.
// `is_fancy`: a line under the titles instead of dashes, which a terminal shows and a pipe need not carry.
QM_MUST_USE enum qm_status qm_table_write(const struct qm_table *table, FILE *file, unsigned columns, bool is_fancy);

// Terminal columns that UTF-8 text takes: 2 for wide East Asian characters, 0 for combining ones.
size_t qm_text_columns(const char *text);

#endif
