#include "report/html.h"

#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- Text ---------------------------------------------------------------------------------------------------------

static const char *entity_of(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

static void escape(struct qm_text *out, const char *clean)
{
    while (*clean) {
        size_t plain = strcspn(clean, "&<>\"'");
        if (plain > 0)
            qm_text_append(out, "%.*s", (int)plain, clean);
        clean += plain;
        if (*clean)
            qm_text_append(out, "%s", entity_of(*clean++));
    }
}

void qm_html_text(struct qm_text *out, const char *text)
{
    char local[512];
    size_t length = text ? strlen(text) : 0;
    char *copy = length < sizeof(local) ? local : malloc(length + 1);
    if (!copy) {
        out->failed = true;
        return;
    }
    memcpy(copy, text ? text : "", length + 1);
    qm_text_clean(copy);
    escape(out, copy);
    if (copy != local)
        free(copy);
}

void qm_html_textf(struct qm_text *out, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    qm_html_text(out, text);
}

void qm_html_short(struct qm_text *out, const char *text, size_t most)
{
    size_t bytes = 0, count = 0;
    text = text ? text : "";
    for (; text[bytes] && count < most; count++) {
        bytes++;
        while (((unsigned char)text[bytes] & 0xc0) == 0x80)
            bytes++;
    }
    if (!text[bytes]) {
        qm_html_text(out, text);
        return;
    }
    qm_text_append(out, "<span title=\"");
    qm_html_textf(out, "%.1000s", text);
    qm_text_append(out, "\">");
    qm_html_textf(out, "%.*s", (int)(bytes < 1000 ? bytes : 1000), text);
    qm_text_append(out, "&hellip;</span>");
}

void qm_html_element(struct qm_text *out, const char *tag, const char *class, const char *text)
{
    if (class)
        qm_text_append(out, "<%s class=\"%s\">", tag, class);
    else
        qm_text_append(out, "<%s>", tag);
    qm_html_text(out, text);
    qm_text_append(out, "</%s>", tag);
}

void qm_html_lines(struct qm_text *out, const char *lines, bool as_list)
{
    const char *tag = as_list ? "li" : "p";
    while (*lines) {
        size_t length = strcspn(lines, "\n");
        char *line = strndup(lines, length);
        if (!line)
            out->failed = true;
        else if (length > 0)
            qm_html_element(out, tag, NULL, line);
        free(line);
        lines += length + (lines[length] == '\n');
    }
}

// ---- Tables -------------------------------------------------------------------------------------------------------

void qm_html_table_begin(struct qm_html_table *table, struct qm_text *out, unsigned id, const char *caption,
                         const char *class)
{
    *table = (struct qm_html_table){.out = out, .id = id};
    qm_text_append(out,
                   "\n<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-labelledby=\"t%u\">"
                   "<table class=\"%s\"><caption id=\"t%u\">",
                   id, class, id);
    qm_html_text(out, caption);
    qm_text_append(out, "</caption>\n<thead><tr>");
}

void qm_html_table_column(struct qm_html_table *table, const char *title, unsigned flags)
{
    const char *class = flags & QM_HTML_RIGHT ? " class=\"n\"" : flags & QM_HTML_WRAP ? " class=\"w\"" : "";
    qm_text_append(table->out, "<th scope=\"col\"%s%s>", class, flags & QM_HTML_UNSORTED ? " data-u" : "");
    qm_html_text(table->out, title);
    qm_text_append(table->out, "</th>");
    table->columns++;
}

static void end_row(struct qm_html_table *table)
{
    if (table->is_open)
        qm_text_append(table->out, "</tr>\n");
    else
        qm_text_append(table->out, "</tr></thead>\n<tbody>\n");
    table->is_open = false;
}

void qm_html_table_row(struct qm_html_table *table, int device, const char *class)
{
    end_row(table);
    table->is_open = true;
    table->cell = 0;
    qm_text_append(table->out, "<tr");
    if (device >= 0)
        qm_text_append(table->out, " data-d=\"%d\"", device);
    if (class)
        qm_text_append(table->out, " class=\"%s\"", class);
    qm_text_append(table->out, ">");
}

void qm_html_cell_head(struct qm_html_table *table, const char *text)
{
    qm_text_append(table->out, "<th scope=\"row\">");
    qm_html_short(table->out, text, 60);
    qm_text_append(table->out, "</th>");
    table->cell++;
}

void qm_html_cell(struct qm_html_table *table, const char *text)
{
    qm_html_cell_open(table, NULL);
    qm_html_text(table->out, text);
    qm_html_cell_close(table);
}

void qm_html_cellf(struct qm_html_table *table, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    qm_html_cell(table, text);
}

void qm_html_cell_number(struct qm_html_table *table, const char *text)
{
    qm_html_cell_open(table, "n");
    qm_html_element(table->out, "b", NULL, text);
    qm_html_cell_close(table);
}

void qm_html_cell_span(struct qm_html_table *table, const char *class, const char *text)
{
    size_t left = table->columns > table->cell ? table->columns - table->cell : 1;
    qm_text_append(table->out, "<td colspan=\"%zu\" class=\"%s\">", left, class);
    qm_html_text(table->out, text);
    qm_html_cell_close(table);
}

void qm_html_cell_open(struct qm_html_table *table, const char *class)
{
    if (class)
        qm_text_append(table->out, "<td class=\"%s\">", class);
    else
        qm_text_append(table->out, "<td>");
    table->cell++;
}

void qm_html_cell_close(struct qm_html_table *table)
{
    qm_text_append(table->out, "</td>");
}

void qm_html_table_end(struct qm_html_table *table)
{
    end_row(table);
    qm_text_append(table->out, "</tbody></table></div>\n");
}
