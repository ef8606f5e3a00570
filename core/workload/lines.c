#include "workload/lines.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

bool qm_bytes_are_utf8(const void *text, size_t count)
{
    const unsigned char *bytes = text;
    for (size_t i = 0; i < count;) {
        unsigned char lead = bytes[i];
        size_t length = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
        if (length == 0 || i + length > count)
            return false;
        uint32_t code = length == 1 ? lead : lead & (0x7fu >> length);
        for (size_t j = 1; j < length; j++) {
            if ((bytes[i + j] & 0xc0) != 0x80)
                return false;
            code = code << 6 | (bytes[i + j] & 0x3f);
        }
        if ((length == 3 && (code < 0x800 || (code >= 0xd800 && code <= 0xdfff))) ||
            (length == 4 && (code < 0x10000 || code > 0x10ffff)))
            return false;
        i += length;
    }
    return true;
}

struct qm_lines qm_lines_begin(const char *name, const void *text, size_t bytes, size_t most)
{
    size_t at = bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    return (struct qm_lines){name, text, bytes, most, at, 0, false};
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

// ---- Entries of a list ----------------------------------------------------------------------------------------------

// Passes over blanks, and over line feeds, which are counted.
static void skip_blanks(struct qm_lines *lines)
{
    for (; lines->at < lines->bytes; lines->at++) {
        char c = lines->text[lines->at];
        if (c != ' ' && c != '\t' && c != '\r' && c != '\n')
            return;
        lines->number += c == '\n';
    }
}

bool qm_lines_are_list(const struct qm_lines *lines)
{
    struct qm_lines look = *lines;
    skip_blanks(&look);
    if (look.at == look.bytes || look.text[look.at] != '[')
        return false;
    look.at++;
    skip_blanks(&look);
    return look.at < look.bytes && look.text[look.at] == '{';
}

// Bytes up to the bracket that closes the one at the place; 0 where the file ends before.
static size_t object_bytes(const struct qm_lines *lines)
{
    size_t depth = 0;
    bool is_text = false;
    for (size_t i = lines->at; i < lines->bytes; i++) {
        char c = lines->text[i];
        if (is_text && c == '\\')
            i++;
        else if (c == '"')
            is_text = !is_text;
        else if (!is_text && (c == '{' || c == '['))
            depth++;
        else if (!is_text && (c == '}' || c == ']') && --depth == 0)
            return i + 1 - lines->at;
    }
    return 0;
}

static bool take(struct qm_lines *lines, char c)
{
    skip_blanks(lines);
    bool is_there = lines->at < lines->bytes && lines->text[lines->at] == c;
    lines->at += is_there;
    return is_there;
}

enum qm_status qm_lines_next_entry(struct qm_lines *lines, const char **entry, size_t *bytes)
{
    bool is_first = !lines->is_in_list;
    *entry = NULL;
    *bytes = 0;
    if (is_first) {
        lines->number = 1;
        lines->is_in_list = take(lines, '[');
    } else { // the latest entry ends here, and its lines are counted
        size_t length = object_bytes(lines);
        for (size_t i = 0; i < length; i++)
            lines->number += lines->text[lines->at + i] == '\n';
        lines->at += length;
    }
    if (take(lines, ']')) {
        skip_blanks(lines);
        return lines->at == lines->bytes
                   ? QM_OK
                   : qm_lines_invalid(lines, "something follows the list; expected its end, or one object in a line");
    }
    if (!is_first && !take(lines, ','))
        return qm_lines_invalid(lines, "the list does not go on with a comma or end; the file may be cut short");
    skip_blanks(lines);
    if (lines->at == lines->bytes || lines->text[lines->at] != '{')
        return qm_lines_invalid(lines, "an entry of the list is no object; expected {\"key\": ...}%s",
                                lines->at == lines->bytes ? " (the file may be cut short)" : "");
    *bytes = object_bytes(lines);
    if (*bytes == 0)
        return qm_lines_invalid(lines, "an entry of the list does not end; the file may be cut short");
    if (*bytes > lines->most)
        return qm_lines_invalid(lines, "an entry of %zu bytes; expected %zu at most", *bytes, lines->most);
    *entry = lines->text + lines->at;
    return QM_OK;
}

// ---- JSON -----------------------------------------------------------------------------------------------------------

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
