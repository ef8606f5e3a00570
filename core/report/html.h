// The few elements that the report's page is made of. Whatever comes from a result goes through here and is text:
// nothing in it becomes an element, an attribute, an address or a style.
//
// Markup of our own is appended with qm_text_append, whose formats are literals; strings with qm_html_text or one of the
// functions below, which clean (base/text.h) and escape.
#ifndef QM_REPORT_HTML_H
#define QM_REPORT_HTML_H

#include "report/facts.h"

#include <stdbool.h>
#include <stddef.h>

// A stranger's text: one line, cleaned, escaped. It may also stand within a quoted attribute. NULL is "".
void qm_html_text(struct qm_text *out, const char *text);
// The same of what printf makes of it, at most 1,023 bytes.
void qm_html_textf(struct qm_text *out, const char *format, ...) QM_PRINTF(2, 3);
// At most `most` characters of it, then an ellipsis; the whole, up to 1,000 bytes, in the element's title.
void qm_html_short(struct qm_text *out, const char *text, size_t most);

// `<tag class="class">text</tag>`; class may be NULL. Tag and class are literals of ours.
void qm_html_element(struct qm_text *out, const char *tag, const char *class, const char *text);
// A paragraph for each line of `lines`, which qm_fact_component and the like make; as items of a list with `as_list`.
void qm_html_lines(struct qm_text *out, const char *lines, bool as_list);

// ---- Tables -------------------------------------------------------------------------------------------------------
//
// A table lies in a region of its own that scrolls and that the keyboard reaches, so that the page never scrolls
// sideways. It has a caption, and columns whose titles have a scope.

struct qm_html_table {
    struct qm_text *out;
    unsigned id;    // of the caption; counted by the caller
    size_t columns; // begun so far
    size_t cell;    // of the row
    bool is_open;   // a row is
};

enum qm_html_column {
    QM_HTML_LEFT = 0,
    QM_HTML_RIGHT = 1, // numbers
    QM_HTML_WRAP = 2,  // running text
    QM_HTML_UNSORTED = 4,
};

// `caption` is cleaned by this. `class` is ours: of one that is "sortable" the page's script adds sorting.
void qm_html_table_begin(struct qm_html_table *table, struct qm_text *out, unsigned id, const char *caption,
                         const char *class);
void qm_html_table_column(struct qm_html_table *table, const char *title, unsigned flags);
// After the columns. `device` is the number of the result that the row is of, by which the page filters; -1: of none.
void qm_html_table_row(struct qm_html_table *table, int device, const char *class);
// The title of its row: a cell that names what the row is about.
void qm_html_cell_head(struct qm_html_table *table, const char *text);
void qm_html_cell(struct qm_html_table *table, const char *text);
void qm_html_cellf(struct qm_html_table *table, const char *format, ...) QM_PRINTF(2, 3);
// Right-aligned; the page's script sorts by the number that the text begins with.
void qm_html_cell_number(struct qm_html_table *table, const char *text);
// One cell over all columns that are left of `columns` in all.
void qm_html_cell_span(struct qm_html_table *table, const char *class, const char *text);
// A cell that the caller fills with markup of its own, up to qm_html_cell_close.
void qm_html_cell_open(struct qm_html_table *table, const char *class);
void qm_html_cell_close(struct qm_html_table *table);
void qm_html_table_end(struct qm_html_table *table);

#endif
