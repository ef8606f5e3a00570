#include "workload/csv.h"

#include "workload/lines.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum qm_status qm_csv_begin(const char *name, const void *text, size_t bytes, struct qm_csv *out)
{
    size_t at = bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    size_t room = bytes < QM_CSV_RECORD_MAX ? bytes : QM_CSV_RECORD_MAX;
    *out = (struct qm_csv){.name = name, .text = text, .bytes = bytes, .at = at, .line = 1};
    if (memchr(text, 0, bytes) || !qm_bytes_are_utf8(text, bytes))
        return QM_FAIL(QM_INVALID, "%s: no text in UTF-8; convert it, or check that it is a CSV file", name);
    out->room = malloc(room + QM_CSV_FIELDS_MAX);
    return out->room ? QM_OK : QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory to read it", name);
}

void qm_csv_end(struct qm_csv *csv)
{
    free(csv->room);
    *csv = (struct qm_csv){0};
}

enum qm_status qm_csv_invalid(const struct qm_csv *csv, const char *format, ...)
{
    char text[768];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    return QM_FAIL(QM_INVALID, "%s:%zu: %s", csv->name, csv->record, text);
}

// Bytes of the line end at the place; 0 for none.
static size_t line_end(const struct qm_csv *csv)
{
    const char *at = csv->text + csv->at;
    size_t left = csv->bytes - csv->at;
    return left > 0 && at[0] == '\n' ? 1 : left > 1 && at[0] == '\r' && at[1] == '\n' ? 2 : 0;
}

static enum qm_status put(const struct qm_csv *csv, char **to, char c)
{
    if ((size_t)(*to - csv->room) >= QM_CSV_RECORD_MAX)
        return qm_csv_invalid(csv, "a record of more than %zu bytes; expected less", QM_CSV_RECORD_MAX);
    *(*to)++ = c;
    return QM_OK;
}

// From behind the opening quote to behind the closing one.
static enum qm_status read_quoted(struct qm_csv *csv, char **to)
{
    for (csv->at++; csv->at < csv->bytes; csv->at++) {
        char c = csv->text[csv->at];
        if (c == '"') {
            csv->at++;
            if (csv->at == csv->bytes || csv->text[csv->at] != '"')
                return QM_OK;
        }
        csv->line += c == '\n';
        QM_TRY(put(csv, to, c));
    }
    return qm_csv_invalid(csv, "a field in quotes that never ends; close it, and double each quote within");
}

static enum qm_status read_field(struct qm_csv *csv, char **to)
{
    if (csv->at < csv->bytes && csv->text[csv->at] == '"') {
        QM_TRY(read_quoted(csv, to));
        if (csv->at < csv->bytes && csv->text[csv->at] != ',' && line_end(csv) == 0)
            return qm_csv_invalid(csv, "field %zu goes on behind its closing quote; double each quote within",
                                  csv->count + 1);
        return QM_OK;
    }
    for (; csv->at < csv->bytes && csv->text[csv->at] != ',' && line_end(csv) == 0; csv->at++) {
        char c = csv->text[csv->at];
        if (c == '"')
            return qm_csv_invalid(csv, "a quote within field %zu; put quotes around it, and double those within",
                                  csv->count + 1);
        if (c == '\r')
            return qm_csv_invalid(csv, "a carriage return within field %zu; put quotes around it", csv->count + 1);
        QM_TRY(put(csv, to, c));
    }
    return QM_OK;
}

enum qm_status qm_csv_next(struct qm_csv *csv)
{
    char *to = csv->room;
    csv->count = 0;
    for (size_t end; (end = line_end(csv)) > 0; csv->line++)
        csv->at += end;
    csv->record = csv->line;
    if (csv->at == csv->bytes)
        return QM_OK;
    for (;;) {
        if (csv->count == QM_CSV_FIELDS_MAX)
            return qm_csv_invalid(csv, "more than %d fields; expected fewer", QM_CSV_FIELDS_MAX);
        csv->fields[csv->count] = to;
        QM_TRY(read_field(csv, &to));
        *to++ = '\0'; // there is room for one of each field
        csv->count++;
        if (csv->at == csv->bytes || csv->text[csv->at] != ',')
            break;
        csv->at++;
    }
    size_t end = line_end(csv);
    csv->at += end;
    csv->line += end > 0;
    return QM_OK;
}
