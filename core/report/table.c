#include "report/table.h"
#include "base/text.h"
#include "report/facts.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS_MAX 24
#define GAP 2 // blanks between columns

struct cell {
    char *text; // owned; NULL is empty
    bool is_span;
};

struct qm_table {
    bool failed;
    size_t column_count;
    char *titles[COLUMNS_MAX]; // owned
    bool right[COLUMNS_MAX], kept[COLUMNS_MAX];
    struct cell *cells; // rows of COLUMNS_MAX
    size_t row_count;
    size_t row_capacity;
    size_t next; // column of the next cell
};

struct qm_table *qm_table_create(void)
{
    return calloc(1, sizeof(struct qm_table));
}

void qm_table_destroy(struct qm_table **table)
{
    struct qm_table *t = *table;
    *table = NULL;
    if (!t)
        return;
    for (size_t i = 0; i < t->row_count * COLUMNS_MAX; i++)
        free(t->cells[i].text);
    for (size_t i = 0; i < t->column_count; i++)
        free(t->titles[i]);
    free(t->cells);
    free(t);
}

void qm_table_column(struct qm_table *table, const char *title, bool is_right_aligned)
{
    if (!table)
        return;
    char *copy = table->column_count < COLUMNS_MAX ? strdup(title) : NULL;
    if (!copy) {
        table->failed = true;
        return;
    }
    table->titles[table->column_count] = copy;
    table->right[table->column_count++] = is_right_aligned;
}

void qm_table_keep(struct qm_table *table)
{
    if (table && table->column_count > 0)
        table->kept[table->column_count - 1] = true;
}

void qm_table_row(struct qm_table *table)
{
    if (!table)
        return;
    if (table->row_count == table->row_capacity) {
        size_t capacity = table->row_capacity ? table->row_capacity * 2 : 16;
        struct cell *grown = realloc(table->cells, capacity * COLUMNS_MAX * sizeof(*grown));
        if (!grown) {
            table->failed = true;
            return;
        }
        table->cells = grown;
        table->row_capacity = capacity;
    }
    memset(&table->cells[table->row_count * COLUMNS_MAX], 0, COLUMNS_MAX * sizeof(struct cell));
    table->row_count++;
    table->next = 0;
}

static void add_cell(struct qm_table *table, bool is_span, const char *format, va_list arguments)
{
    if (!table || table->failed)
        return;
    char *text = NULL;
    if (table->row_count == 0 || table->next >= table->column_count || vasprintf(&text, format, arguments) < 0) {
        table->failed = true;
        return;
    }
    qm_text_clean(text);
    table->cells[(table->row_count - 1) * COLUMNS_MAX + table->next++] = (struct cell){text, is_span};
}

void qm_table_cell(struct qm_table *table, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add_cell(table, false, format, arguments);
    va_end(arguments);
}

void qm_table_span(struct qm_table *table, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add_cell(table, true, format, arguments);
    va_end(arguments);
}

// The next character; malformed bytes count as one each.
static uint32_t next_character(const char **text)
{
    const unsigned char *at = (const unsigned char *)*text;
    size_t length = at[0] < 0x80 ? 1 : at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : at[0] >= 0xc0 ? 2 : 1;
    uint32_t code = length == 1 ? at[0] : at[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            *text += 1;
            return '?';
        }
        code = code << 6 | (at[i] & 0x3f);
    }
    *text += length;
    return code;
}

size_t qm_text_columns(const char *text)
{
    static const struct {
        uint32_t first, last;
        size_t columns;
    } ranges[] = {
        {0x0300, 0x036f, 0}, {0x200b, 0x200f, 0}, {0x20d0, 0x20ff, 0},   {0xfe00, 0xfe0f, 0},   {0x1100, 0x115f, 2},
        {0x2e80, 0x303e, 2}, {0x3041, 0xa4cf, 2}, {0xac00, 0xd7a3, 2},   {0xf900, 0xfaff, 2},   {0xfe30, 0xfe6f, 2},
        {0xff00, 0xff60, 2}, {0xffe0, 0xffe6, 2}, {0x1f300, 0x1f64f, 2}, {0x1f900, 0x1f9ff, 2}, {0x20000, 0x3fffd, 2},
    };
    size_t columns = 0;
    while (*text) {
        uint32_t code = next_character(&text);
        size_t width = 1;
        for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
            if (code >= ranges[i].first && code <= ranges[i].last)
                width = ranges[i].columns;
        columns += width;
    }
    return columns;
}

static void pad(FILE *file, const char *with, size_t count)
{
    while (count-- > 0)
        fputs(with, file);
}

// The columns of one part, in order: those that every part has as far as they come before its own, then its own.
struct part {
    size_t columns[COLUMNS_MAX];
    size_t count, repeated;
    bool is_first;
};

// What runs on over the columns after `start`. Where a terminal has no room it goes on in the next line, in the first part of a
// table; in later ones, which say it again, it is cut.
static void write_span(const char *text, size_t start, unsigned columns, bool is_first, FILE *file)
{
    const size_t least = 16, width = qm_text_columns(text);
    size_t room = columns > start ? columns - start : 0;
    struct qm_text lines = {0};
    if (columns == 0 || width <= room) {
        fputs(text, file);
        return;
    }
    if (room < least) { // of a terminal that is all taken by the columns before
        fputs("\n    ", file);
        start = 4;
        room = columns > start + least ? columns - start : least;
    }
    qm_text_wrap(&lines, text, room - (is_first ? 0 : 3), 0);
    for (const char *c = qm_text_bytes(&lines); *c; c++) {
        if (*c == '\n' && !is_first) {
            fputs(" ..", file);
            break;
        }
        fputc(*c, file);
        if (*c == '\n')
            pad(file, " ", start);
    }
    qm_text_free(&lines);
}

static void write_row(const struct qm_table *table, const struct part *part, const size_t *widths, unsigned columns,
                      FILE *file, const struct cell *cells)
{
    size_t owed = 0, at = 0; // blanks that are written only before something; columns so far
    for (size_t i = 0; i < part->count; i++) {
        size_t column = part->columns[i];
        bool is_span = cells && cells[column].is_span;
        // What runs on over columns of an earlier part is said again, so that no row stands empty.
        for (size_t j = 1; cells && i == part->repeated && j < part->columns[i] && !is_span; j++)
            if (cells[j].is_span) {
                column = j;
                is_span = true;
            }
        const char *text = cells ? cells[column].text : table->titles[column];
        size_t width = text ? qm_text_columns(text) : 0;
        size_t room = widths[column] > width ? widths[column] - width : 0;
        bool is_right = table->right[column] && !is_span;
        if (is_span) {
            pad(file, " ", width > 0 ? owed : 0);
            write_span(text ? text : "", at + owed, columns, part->is_first, file);
            break;
        }
        if (width > 0) {
            pad(file, " ", owed + (is_right ? room : 0));
            fputs(text, file);
            at += owed + (is_right ? room : 0) + width;
            owed = is_right ? 0 : room;
        } else {
            owed += room;
        }
        owed += GAP;
    }
    fputc('\n', file);
}

static void write_part(const struct qm_table *table, const struct part *part, const size_t *widths, unsigned columns,
                       FILE *file, bool is_fancy)
{
    size_t total = 0;
    write_row(table, part, widths, columns, file, NULL);
    for (size_t i = 0; i < part->count; i++)
        total += widths[part->columns[i]] + (i > 0 ? GAP : 0);
    pad(file, is_fancy ? "\xe2\x94\x80" : "-", total);
    fputc('\n', file);
    for (size_t row = 0; row < table->row_count; row++)
        write_row(table, part, widths, columns, file, &table->cells[row * COLUMNS_MAX]);
}

// A row below the other where the terminal is too narrow for a part: its first cell, then a line "title: cell" for each of
// the others. So a speed stands with its accuracy in one paragraph.
static void write_records(const struct qm_table *table, unsigned columns, FILE *file)
{
    const size_t room = columns > 20 ? columns : 20;
    for (size_t row = 0; row < table->row_count; row++) {
        const struct cell *cells = &table->cells[row * COLUMNS_MAX];
        for (size_t i = 0; i < table->column_count; i++) {
            struct qm_text line = {0}, wrapped = {0};
            if (!cells[i].text || !*cells[i].text)
                continue;
            qm_text_append(&line, "%s%s%s", i > 0 && !cells[i].is_span ? table->titles[i] : "",
                           i > 0 && !cells[i].is_span ? ": " : "", cells[i].text + strspn(cells[i].text, " "));
            qm_text_wrap(&wrapped, qm_text_bytes(&line), room - (i > 0 ? 2 : 0), i > 0 ? 4 : 2);
            fprintf(file, "%s%s\n", i > 0 ? "  " : "", qm_text_bytes(&wrapped));
            qm_text_free(&line);
            qm_text_free(&wrapped);
        }
    }
}

// Whether each part can be as narrow as the terminal.
static bool fits(const struct qm_table *table, const size_t *widths, unsigned columns)
{
    size_t kept = widths[0] + GAP, widest = 0;
    for (size_t i = 1; i < table->column_count; i++) {
        if (table->kept[i])
            kept += widths[i] + GAP;
        else
            widest = widths[i] > widest ? widths[i] : widest;
    }
    return columns == 0 || kept + widest <= columns || table->column_count < 2;
}

enum qm_status qm_table_write(const struct qm_table *table, FILE *file, unsigned columns, bool is_fancy)
{
    size_t widths[COLUMNS_MAX] = {0};
    if (!table || table->failed || table->column_count == 0)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a table; close other programs and try again");
    for (size_t i = 0; i < table->column_count; i++) {
        widths[i] = qm_text_columns(table->titles[i]);
        for (size_t row = 0; row < table->row_count; row++) {
            const struct cell *cell = &table->cells[row * COLUMNS_MAX + i];
            size_t width = cell->text && !cell->is_span ? qm_text_columns(cell->text) : 0;
            widths[i] = width > widths[i] ? width : widths[i];
        }
    }
    if (!fits(table, widths, columns)) {
        write_records(table, columns, file);
        return QM_OK;
    }
    size_t next = 0;
    do {
        struct part part = {.is_first = next == 0};
        size_t total = 0;
        for (size_t i = 0; i < next; i++) {
            if (i == 0 || table->kept[i]) {
                total += widths[i] + GAP;
                part.columns[part.count++] = i;
            }
        }
        part.repeated = part.count;
        while (next < table->column_count &&
               (part.count < 2 || part.count == part.repeated || columns == 0 || total + widths[next] <= columns)) {
            total += widths[next] + GAP;
            part.columns[part.count++] = next++;
        }
        if (!part.is_first)
            fputc('\n', file);
        write_part(table, &part, widths, columns, file, is_fancy);
    } while (next < table->column_count);
    return QM_OK;
}
