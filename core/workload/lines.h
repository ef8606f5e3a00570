// A file of lines, one after the other, and JSON in one of them: what the readers of examples and of traces share.
#ifndef QM_WORKLOAD_LINES_H
#define QM_WORKLOAD_LINES_H

#include "base/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

// Whether the bytes are UTF-8 (RFC 3629); zero bytes are.
bool qm_bytes_are_utf8(const void *text, size_t count);

struct qm_lines {
    const char *name, *text; // the file's name, its bytes
    size_t bytes, most;      // of the file; of a line
    size_t at, number;       // where the next line begins; the number of the latest, from 1
    bool is_in_list;         // qm_lines_next_entry has begun
};

// Begins before the first line; a UTF-8 byte order mark is passed over.
struct qm_lines qm_lines_begin(const char *name, const void *text, size_t bytes, size_t most);
// The next line that is not blank, without its line feed; *line is NULL behind the last. QM_INVALID for one that is too
// long.
QM_MUST_USE enum qm_status qm_lines_next(struct qm_lines *lines, const char **line, size_t *bytes);
// Whether the file is a JSON list of objects, which may go over many lines, in place of lines.
bool qm_lines_are_list(const struct qm_lines *lines);
// The next entry of such a list, an object; *entry is NULL behind the last. Its line's number is the one where it begins. QM_INVALID
// for what is no object, for one that is too long, and for a list that does not end or is followed by something.
QM_MUST_USE enum qm_status qm_lines_next_entry(struct qm_lines *lines, const char **entry, size_t *bytes);
// Fails with QM_INVALID and "file:line: " before the text.
QM_MUST_USE enum qm_status qm_lines_invalid(const struct qm_lines *lines, const char *format, ...) QM_PRINTF(2, 3);

// Parses the latest line, which must hold one JSON object without duplicate keys, nested at most `depth` deep: counted
// before the parser, which recurses, sees it. The caller calls json_decref.
QM_MUST_USE enum qm_status qm_lines_json(const struct qm_lines *lines, const char *line, size_t bytes, size_t depth,
                                         json_t **out);

#endif
