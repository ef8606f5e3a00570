// Traces of requests: CSV with a heading, or JSON lines.
#include "workload/deployment.h"
#include "workload/lines.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum {
    COLUMNS_MAX = 256,
    JSON_DEPTH_MAX = 16,
};

// Names of the prompt's and of the output's length.
static const char *const names[][2] = {
    {"prompt_tokens", "output_tokens"},
    {"ContextTokens", "GeneratedTokens"},
    {"Request tokens", "Response tokens"},
    {"input_length", "output_length"},
};

struct reader {
    struct qm_lines lines;
    uint32_t context;
    size_t columns[2]; // of a CSV file
    struct qm_requests *out;
    size_t room;
};

static enum qm_status add(struct reader *reader, uint64_t prompt, uint64_t output)
{
    struct qm_requests *out = reader->out;
    if (prompt == 0 || output == 0) {
        out->left_out++;
        return QM_OK;
    }
    if (prompt > QM_DEPLOYMENT_TOKENS_MAX || output > QM_DEPLOYMENT_TOKENS_MAX || prompt + output > reader->context)
        return qm_lines_invalid(&reader->lines,
                                "a request of %" PRIu64 " + %" PRIu64 " tokens and the context is %" PRIu32
                                "; take out what is longer",
                                prompt, output, reader->context);
    if (out->count == QM_DEPLOYMENT_REQUESTS_MAX)
        return qm_lines_invalid(&reader->lines, "more than %d requests; set 'requests'", QM_DEPLOYMENT_REQUESTS_MAX);
    if (out->count == reader->room) {
        size_t room = reader->room > 0 ? 2 * reader->room : 256;
        struct qm_request *grown = realloc(out->requests, room * sizeof(*grown));
        if (!grown)
            return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for %zu requests", reader->lines.name, room);
        out->requests = grown;
        reader->room = room;
    }
    out->requests[out->count++] = (struct qm_request){(uint32_t)prompt, (uint32_t)output};
    return QM_OK;
}

// ---- CSV ------------------------------------------------------------------------------------------------------------

// The next field, without quotes around it and blanks at its ends; commas inside quotes do not end it. *at is behind its
// comma, or NULL at the end.
static void next_field(const char **at, const char *end, const char **field, size_t *bytes)
{
    const char *from = *at, *to = from;
    bool is_quoted = false;
    while (to < end && (is_quoted || *to != ',')) {
        is_quoted = is_quoted != (*to == '"');
        to++;
    }
    *at = to < end ? to + 1 : NULL;
    while (from < to && (*from == ' ' || *from == '\t'))
        from++;
    while (to > from && (to[-1] == ' ' || to[-1] == '\t' || to[-1] == '\r'))
        to--;
    if (to - from >= 2 && *from == '"' && to[-1] == '"') {
        from++;
        to--;
    }
    *field = from;
    *bytes = (size_t)(to - from);
}

static bool is_name(const char *field, size_t bytes, const char *name)
{
    return strlen(name) == bytes && memcmp(field, name, bytes) == 0;
}

static enum qm_status read_heading(struct reader *reader, const char *line, size_t bytes)
{
    size_t found[COUNT(names)][2], column = 0;
    const char *field;
    size_t length;
    memset(found, 0, sizeof(found)); // 0: none; else the column's number + 1
    for (const char *at = line; at; column++) {
        if (column == COLUMNS_MAX)
            return qm_lines_invalid(&reader->lines, "more than %d columns; expected a trace's", COLUMNS_MAX);
        next_field(&at, line + bytes, &field, &length);
        for (size_t i = 0; i < COUNT(names); i++)
            for (size_t k = 0; k < 2; k++)
                if (is_name(field, length, names[i][k])) {
                    if (found[i][k])
                        return qm_lines_invalid(&reader->lines, "two columns '%s'; expected one", names[i][k]);
                    found[i][k] = column + 1;
                }
    }
    for (size_t i = 0; i < COUNT(names); i++)
        if (found[i][0] && found[i][1]) {
            reader->columns[0] = found[i][0] - 1;
            reader->columns[1] = found[i][1] - 1;
            return QM_OK;
        }
    return qm_lines_invalid(&reader->lines,
                            "the heading has no columns prompt_tokens and output_tokens (or ContextTokens and "
                            "GeneratedTokens, Request tokens and Response tokens); name them so");
}

static bool read_count(const char *field, size_t bytes, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < bytes; i++) {
        if (field[i] < '0' || field[i] > '9' || i == 12)
            return false;
        *out = 10 * *out + (uint64_t)(field[i] - '0');
    }
    return bytes > 0;
}

static enum qm_status read_row(struct reader *reader, const char *line, size_t bytes)
{
    uint64_t counts[2] = {0, 0};
    bool has[2] = {false, false};
    const char *field, *at = line;
    size_t length;
    for (size_t column = 0; at && column < COLUMNS_MAX && !(has[0] && has[1]); column++) {
        next_field(&at, line + bytes, &field, &length);
        for (size_t k = 0; k < 2; k++) {
            if (column != reader->columns[k])
                continue;
            if (!read_count(field, length, &counts[k]))
                return qm_lines_invalid(&reader->lines, "column %zu is no whole number; expected a number of tokens",
                                        column + 1);
            has[k] = true;
        }
    }
    if (!has[0] || !has[1])
        return qm_lines_invalid(&reader->lines, "the line ends before column %zu; expected as many as in the heading",
                                1 + (has[0] ? reader->columns[1] : reader->columns[0]));
    return add(reader, counts[0], counts[1]);
}

// ---- JSON lines -----------------------------------------------------------------------------------------------------

static enum qm_status read_object(struct reader *reader, const json_t *object)
{
    for (size_t i = 0; i < COUNT(names); i++) {
        const json_t *prompt = json_object_get(object, names[i][0]), *output = json_object_get(object, names[i][1]);
        if (!prompt || !output)
            continue;
        if (!json_is_integer(prompt) || !json_is_integer(output) || json_integer_value(prompt) < 0 ||
            json_integer_value(output) < 0)
            return qm_lines_invalid(&reader->lines, "'%s' and '%s' must be whole numbers, 0 or more", names[i][0],
                                    names[i][1]);
        return add(reader, (uint64_t)json_integer_value(prompt), (uint64_t)json_integer_value(output));
    }
    return qm_lines_invalid(
        &reader->lines, "no keys prompt_tokens and output_tokens (or input_length and output_length); name them so");
}

static enum qm_status read_json(struct reader *reader, const char *line, size_t bytes)
{
    json_t *object = NULL;
    QM_TRY(qm_lines_json(&reader->lines, line, bytes, JSON_DEPTH_MAX, &object));
    enum qm_status status = read_object(reader, object);
    json_decref(object);
    return status;
}

// ---- Both -----------------------------------------------------------------------------------------------------------

static enum qm_status read_lines(struct reader *reader, uint32_t requests)
{
    const char *line;
    size_t bytes;
    QM_TRY(qm_lines_next(&reader->lines, &line, &bytes));
    size_t blank = 0;
    while (blank < bytes && (line[blank] == ' ' || line[blank] == '\t'))
        blank++;
    bool is_json = blank < bytes && line[blank] == '{';
    if (line && !is_json) {
        QM_TRY(read_heading(reader, line, bytes));
        QM_TRY(qm_lines_next(&reader->lines, &line, &bytes));
    }
    while (line && (requests == 0 || reader->out->count < requests)) {
        QM_TRY(is_json ? read_json(reader, line, bytes) : read_row(reader, line, bytes));
        QM_TRY(qm_lines_next(&reader->lines, &line, &bytes));
    }
    return QM_OK;
}

enum qm_status qm_trace_parse(const void *bytes, size_t count, const char *name, uint32_t requests, uint32_t context,
                              struct qm_requests *out)
{
    memset(out, 0, sizeof(*out));
    struct reader reader = {
        .lines = qm_lines_begin(name, bytes, count, QM_TRACE_LINE_MAX), .context = context, .out = out};
    enum qm_status status = QM_OK;
    QM_GUARD(read_lines(&reader, requests));
    if (out->count == 0)
        QM_GUARD(QM_FAIL(QM_INVALID, "%s: the trace holds no request with a prompt and an output; expected one a line",
                         name));
    if (out->count < requests)
        QM_GUARD(QM_FAIL(QM_INVALID,
                         "%s: the trace has %" PRIu32 " requests and %" PRIu32 " are asked for; lower 'requests'", name,
                         out->count, requests));
    qm_hash_bytes(bytes, count, out->trace_sha256);
done:
    if (status != QM_OK)
        qm_requests_free(out);
    return status;
}
