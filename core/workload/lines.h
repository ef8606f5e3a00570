// A file of lines, one after the other, and JSON in one of them: what the readers of examples and of traces share.
#ifndef QM_WORKLOAD_LINES_H
#define QM_WORKLOAD_LINES_H

#include "base/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct qm_lines {
    const char *name, *text; // the file's name, its bytes
    size_t bytes, most;      // of the file; of a line
    size_t at, number;       // where the next line begins; the number of the latest, from 1
};

// Begins before the first line; a UTF-8 byte order mark is passed over.
struct qm_lines qm_lines_begin(const char *name, const void *text, size_t bytes, size_t most);
// The next line that is not blank, without its line feed; *line is NULL behind the last. QM_INVALID for one that is too
// long.
QM_MUST_USE enum qm_status qm_lines_next(struct qm_lines *lines, const char **line, size_t *bytes);
// Fails with QM_INVALID and "file:line: " before the text.
QM_MUST_USE enum qm_status qm_lines_invalid(const struct qm_lines *lines, const char *format, ...) QM_PRINTF(2, 3);

// Parses the latest line, which must hold one JSON object without duplicate keys, nested at most `depth` deep: counted
// before the parser, which recurses, sees it. The caller calls json_decref.
QM_MUST_USE enum qm_status qm_lines_json(const struct qm_lines *lines, const char *line, size_t bytes, size_t depth,
                                         json_t **out);

#endif
