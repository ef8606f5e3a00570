#include "workload/lines.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct qm_lines qm_lines_begin(const char *name, const void *text, size_t bytes, size_t most)
{
    size_t at = bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    return (struct qm_lines){name, text, bytes, most, at, 0};
}

enum qm_status qm_lines_invalid(const struct qm_lines *lines, const char *format, ...)
{
    char text[768];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    return QM_FAIL(QM_INVALID, "%s:%zu: %s", lines->name, lines->number, text);
}

static bool is_blank(const char *line, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r')
            return false;
    return true;
}

enum qm_status qm_lines_next(struct qm_lines *lines, const char **line, size_t *bytes)
{
    *line = NULL;
    *bytes = 0;
    while (lines->at < lines->bytes) {
        const char *from = lines->text + lines->at, *end = memchr(from, '\n', lines->bytes - lines->at);
        size_t length = end ? (size_t)(end - from) : lines->bytes - lines->at;
        lines->at += length + (end != NULL);
        lines->number++;
        if (is_blank(from, length))
            continue;
        if (length > lines->most)
            return qm_lines_invalid(lines, "a line of %zu bytes; expected %zu at most", length, lines->most);
        *line = from;
        *bytes = length;
        return QM_OK;
    }
    return QM_OK;
}

static enum qm_status check_depth(const struct qm_lines *lines, const char *line, size_t bytes, size_t most)
{
    size_t depth = 0;
    bool is_text = false;
    for (size_t i = 0; i < bytes; i++) {
        char c = line[i];
        if (is_text && c == '\\')
            i++;
        else if (c == '"')
            is_text = !is_text;
        else if (!is_text && (c == '[' || c == '{') && ++depth > most)
            return qm_lines_invalid(lines, "nested deeper than %zu; expected fewer levels", most);
        else if (!is_text && (c == ']' || c == '}') && depth > 0)
            depth--;
    }
    return QM_OK;
}

enum qm_status qm_lines_json(const struct qm_lines *lines, const char *line, size_t bytes, size_t depth, json_t **out)
{
    json_error_t error;
    bool is_cut = line + bytes == lines->text + lines->bytes; // no line feed ends it
    *out = NULL;
    QM_TRY(check_depth(lines, line, bytes, depth));
    json_t *object = json_loadb(line, bytes, JSON_REJECT_DUPLICATES, &error);
    if (!object)
        return qm_lines_invalid(lines, "no JSON at byte %d: %s; expected one object in a line%s", error.position,
                                error.text, is_cut ? " (the file may be cut short)" : "");
    if (!json_is_object(object)) {
        json_decref(object);
        return qm_lines_invalid(lines, "JSON, but no object; expected one in a line, {\"key\": ...}");
    }
    *out = object;
    return QM_OK;
}
