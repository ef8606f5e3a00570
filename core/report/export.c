#include "report/export.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "record/node.h"

void qm_export_begin(struct qm_export *export, enum qm_form form, const char *const *columns, size_t count, FILE *file)
{
    *export = (struct qm_export){.form = form, .file = file, .columns = columns, .column_count = count};
    if (form == QM_FORM_CSV) {
        for (size_t i = 0; i < count; i++)
            fprintf(file, "%s%s", i ? "," : "", columns[i]);
        fputc('\n', file);
    } else if (form == QM_FORM_MARKDOWN) {
        for (size_t i = 0; i < count; i++)
            fprintf(file, "| %s ", columns[i]);
        fputs("|\n", file);
        for (size_t i = 0; i < count; i++)
            fputs("|---", file);
        fputs("|\n", file);
    }
}

static void write_csv_cell(const char *text, bool is_number, FILE *file)
{
    bool is_quoted = strpbrk(text, ",\"\n\r") != NULL;
    fputs(is_quoted ? "\"" : "", file);
    fputs(!is_number && *text && strchr("=+-@", *text) ? "'" : "", file);
    for (; *text; text++) {
        fputs(*text == '"' ? "\"" : "", file);
        fputc(*text, file);
    }
    fputs(is_quoted ? "\"" : "", file);
}

// For JSON a row is written as it is, but for its texts.
static enum qm_status write_json_row(const struct qm_export *export, const struct qm_node *row)
{
    struct qm_node *clean = qm_node_new_mapping();
    for (size_t i = 0; i < export->column_count; i++) {
        const struct qm_node *cell = qm_node_child(row, export->columns[i]);
        char *text = qm_node_text(cell) ? strdup(qm_node_text(cell)) : NULL;
        if (text && !qm_node_is_number(cell) && !qm_node_is_bool(cell)) {
            qm_text_clean(text);
            qm_node_set_text(clean, export->columns[i], text);
        } else if (text) {
            qm_node_set_node(clean, export->columns[i], qm_node_copy(cell));
        }
        free(text);
    }
    enum qm_status status = qm_export_json_line(clean, export->file);
    qm_node_destroy(&clean);
    return status;
}

static enum qm_status write_row(const struct qm_export *export, const struct qm_node *row)
{
    if (!qm_node_ok(row))
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a row; close other programs and try again");
    if (export->form == QM_FORM_JSONL)
        return write_json_row(export, row);
    for (size_t i = 0; i < export->column_count; i++) {
        const struct qm_node *cell = qm_node_child(row, export->columns[i]);
        char *text = strdup(qm_node_text(cell) ? qm_node_text(cell) : "");
        if (!text)
            return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a row; close other programs and try again");
        qm_text_clean(text);
        if (export->form == QM_FORM_CSV) {
            fputs(i ? "," : "", export->file);
            write_csv_cell(text, qm_node_is_number(cell), export->file);
        } else {
            fputs("| ", export->file);
            qm_export_markdown(text, export->file);
            fputc(' ', export->file);
        }
        free(text);
    }
    fputs(export->form == QM_FORM_CSV ? "\n" : "|\n", export->file);
    return QM_OK;
}

enum qm_status qm_export_row(const struct qm_export *export, struct qm_node *row, qm_export_short *short_of)
{
    struct qm_node *own = export->form == QM_FORM_MARKDOWN ? short_of(row) : NULL;
    enum qm_status status = write_row(export, own ? own : row);
    qm_node_destroy(&own);
    qm_node_destroy(&row);
    return status;
}

void qm_export_markdown(const char *text, FILE *file)
{
    for (const char *c = text; *c; c++) {
        if (*c == '\n')
            fputs(c[1] ? "<br>" : "", file);
        else if (strchr("|`*_[\\~", *c))
            fprintf(file, "\\%c", *c);
        else if (*c == '<')
            fputs("&lt;", file);
        else if (*c == '&')
            fputs("&amp;", file);
        else if (strncmp(c, "://", 3) == 0) // which some make a link of
            fputs("&#58;", file);
        else
            fputc(*c, file);
    }
}

// On one line: line ends stand between values alone, for in texts they are escaped.
enum qm_status qm_export_json_line(const struct qm_node *node, FILE *file)
{
    char *text = NULL;
    QM_TRY(qm_node_write_json(node, &text));
    for (const char *at = text; *at; ++at) {
        if (*at != '\n')
            fputc(*at, file);
        else
            at += strspn(at + 1, " ");
    }
    fputc('\n', file);
    free(text);
    return QM_OK;
}
