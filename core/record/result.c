#include "record/result.h"
#include "record/result_table.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *qm_result_type_text(enum qm_result_type type)
{
    switch (type) {
    case QM_RESULT_TEXT:
    case QM_RESULT_CHOICE:
        return "a text";
    case QM_RESULT_HASH:
        return "64 hexadecimal digits";
    case QM_RESULT_WHOLE:
        return "a whole number";
    case QM_RESULT_NUMBER:
        return "a number";
    case QM_RESULT_POSITIVE:
        return "a number above 0";
    case QM_RESULT_BOOL:
        return "true or false";
    case QM_RESULT_MAPPING:
        return "a mapping";
    case QM_RESULT_LIST:
        return "a list of mappings";
    }
    return "?";
}

static bool is_choice(const char *text, const char *choices)
{
    size_t length = strlen(text);
    while (*choices) {
        size_t now = strcspn(choices, "|");
        if (now == length && strncmp(choices, text, now) == 0)
            return true;
        choices += now + (choices[now] == '|');
    }
    return false;
}

bool qm_result_row_fits(const struct qm_result_row *row, const struct qm_node *node)
{
    const char *text = qm_node_text(node);
    double number = 0;
    uint64_t whole = 0;
    if ((row->flags & QM_RESULT_OR_WORD) && qm_result_is_word(text))
        return true;
    switch (row->type) {
    case QM_RESULT_TEXT:
        return text && *text;
    case QM_RESULT_HASH:
        return text && strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
    case QM_RESULT_WHOLE:
        return qm_node_is_number(node) && qm_node_read_u64(node, &whole) == QM_OK;
    case QM_RESULT_NUMBER:
        return qm_node_is_number(node) && qm_node_read_double(node, &number) == QM_OK;
    case QM_RESULT_POSITIVE:
        return qm_node_is_number(node) && qm_node_read_double(node, &number) == QM_OK && number > 0;
    case QM_RESULT_BOOL:
        return qm_node_is_bool(node);
    case QM_RESULT_CHOICE:
        return text && is_choice(text, row->choices);
    case QM_RESULT_MAPPING:
        return qm_node_is_mapping(node);
    case QM_RESULT_LIST:
        if (!qm_node_is_sequence(node))
            return false;
        for (size_t i = 0; i < qm_node_count(node); i++)
            if (!qm_node_is_mapping(qm_node_at(node, i)))
                return false;
        return true;
    }
    return false;
}

static enum qm_status check_value(const struct qm_node *holder, const char *key, const struct qm_result_row *row)
{
    const struct qm_node *node = qm_node_child(holder, key);
    const char *or_word = row->flags & QM_RESULT_OR_WORD ? " or a word such as 'undisclosed' or 'not measured'" : "";
    if (!node && (row->flags & QM_RESULT_OPTIONAL))
        return QM_OK;
    if (!node)
        return qm_node_invalid(holder, "key '%s' is missing; expected %s%s (%s)", key, qm_result_type_text(row->type),
                               or_word, row->path);
    if (qm_result_row_fits(row, node))
        return QM_OK;
    const char *text = qm_node_text(node);
    const char *is = text ? text : qm_node_is_mapping(node) ? "a mapping" : "a list";
    if (row->type == QM_RESULT_CHOICE)
        return qm_node_invalid(node, "'%s' is '%.40s'; expected one of %s%s", key, is, row->choices, or_word);
    return qm_node_invalid(node, "'%s' is '%.40s'; expected %s%s", key, is, qm_result_type_text(row->type), or_word);
}

// Follows `path` below `node`, into every item of a list, and checks what it ends at. Where something on the way is
// absent or a word, its own row has been judged already.
static enum qm_status check_row(const struct qm_node *node, const char *path, const struct qm_result_row *row)
{
    char key[64];
    size_t length = strcspn(path, ".[");
    if (!qm_node_is_mapping(node))
        return QM_OK;
    if (length >= sizeof(key)) // no row of the table is
        return QM_OK;
    memcpy(key, path, length);
    key[length] = '\0';
    path += length;
    if (!*path)
        return check_value(node, key, row);
    const struct qm_node *child = qm_node_child(node, key);
    if (*path == '.')
        return check_row(child, path + 1, row);
    for (size_t i = 0; i < qm_node_count(child); i++)
        QM_TRY(check_row(qm_node_at(child, i), path + strlen("[]."), row));
    return QM_OK;
}

static enum qm_status check_intervals(const struct qm_node *node)
{
    double low = 0;
    double high = 0;
    if (qm_node_is_mapping(node) && qm_node_double_at(node, "low", &low) && qm_node_double_at(node, "high", &high) &&
        low > high)
        return qm_node_invalid(node, "'low' is above 'high'; expected an interval from low to high");
    for (size_t i = 0; i < qm_node_count(node); i++)
        QM_TRY(check_intervals(qm_node_at(node, i)));
    return QM_OK;
}

// The laws that no table of types can say.
static enum qm_status check_scheme(const struct qm_node *scheme)
{
    static const char *const speeds[] = {"throughput", "gain", "sustained", "deployment"};
    const char *status = qm_node_text_at(scheme, "status", "");
    const struct qm_node *accuracy = qm_node_child(scheme, "accuracy");
    const struct qm_node *throughput = qm_node_child(scheme, "throughput");
    const struct qm_node *kernels = qm_node_child(scheme, "kernels");
    if (strcmp(status, "ok") != 0) {
        if (!qm_node_child(scheme, "reason"))
            return qm_node_invalid(scheme, "status is '%s' without a reason; add 'reason'", status);
        for (size_t i = 0; i < sizeof(speeds) / sizeof(speeds[0]); i++) {
            const struct qm_node *speed = qm_node_child(scheme, speeds[i]);
            if (qm_node_count(speed) > 0)
                return qm_node_invalid(speed, "status is '%s' and there is '%s'; a row that is not ok has no speed",
                                       status, speeds[i]);
        }
        for (size_t i = 0; strcmp(status, "wrong") == 0 && i < qm_node_count(kernels); i++) {
            const struct qm_node *kernel = qm_node_at(kernels, i);
            if (qm_node_is_number(qm_node_child(kernel, "time_us")) || qm_node_is_number(qm_node_child(kernel, "rate")))
                return qm_node_invalid(kernel,
                                       "status is 'wrong' and a kernel has a speed; remove 'time_us' and 'rate'");
        }
        return QM_OK;
    }
    if (qm_node_child(scheme, "reason"))
        return qm_node_invalid(scheme, "status is 'ok' and there is a reason; remove it or change the status");
    if (!accuracy)
        return qm_node_invalid(scheme, "no accuracy; add it, or the words 'accuracy: not measured'");
    if (!qm_node_is_mapping(accuracy) && strcmp(qm_node_text_at(scheme, "accuracy", ""), "not measured") != 0)
        return qm_node_invalid(accuracy, "'accuracy' is '%s'; expected a mapping or the words 'not measured'",
                               qm_node_text(accuracy));
    if (qm_node_count(throughput) == 0)
        return qm_node_invalid(scheme,
                               "status is 'ok' without throughput; add points, or another status with a reason");
    if (qm_node_child(scheme, "deployment") && !qm_node_is_mapping(accuracy))
        return qm_node_invalid(scheme,
                               "requests were served and there is no accuracy; add it, or leave out 'deployment'");
    if (!qm_node_child(scheme, "sustained"))
        return qm_node_invalid(scheme, "key 'sustained' is missing; add it, or the words 'sustained: not measured'");
    for (size_t i = 0; i < qm_node_count(throughput); i++) {
        const struct qm_node *point = qm_node_at(throughput, i);
        const char *key = strcmp(qm_node_text_at(point, "phase", ""), "prefill") == 0 ? "prompt" : "depth";
        if (!qm_node_child(point, key))
            return qm_node_invalid(point, "key '%s' is missing; a point of %s has it", key,
                                   qm_node_text_at(point, "phase", ""));
        if (strcmp(qm_node_text_at(point, "widen", "1"), "1") != 0 && !qm_node_child(scheme, "widening"))
            return qm_node_invalid(scheme, "a widened model has a speed and no divergence from the narrow one; add "
                                           "'widening'");
    }
    return QM_OK;
}

enum qm_status qm_result_check(const struct qm_node *result)
{
    uint64_t schema = 0;
    if (!qm_node_is_mapping(result))
        return qm_node_invalid(result, "no mapping; expected a result of qmark run");
    if (!qm_node_child(result, "schema") || !qm_node_child(result, "schemes"))
        return qm_node_invalid(result, "no result of qmark: it lacks 'schema' or 'schemes'; expected a file that qmark "
                                       "run wrote");
    QM_TRY(qm_node_read_u64(qm_node_child(result, "schema"), &schema));
    if (schema != QM_RESULT_SCHEMA)
        return qm_node_invalid(qm_node_child(result, "schema"), "'schema' is %" PRIu64 "; this qmark reads %d", schema,
                               QM_RESULT_SCHEMA);
    // Rows of schemes are looked at scheme by scheme: thousands of them do not lie in a cache.
    static const char of_schemes[] = "schemes[].";
    for (const struct qm_result_row *row = qm_result_rows; row->path; row++)
        if (strncmp(row->path, of_schemes, strlen(of_schemes)) != 0)
            QM_TRY(check_row(result, row->path, row));
    const struct qm_node *schemes = qm_node_child(result, "schemes");
    for (size_t i = 0; i < qm_node_count(schemes); i++) {
        for (const struct qm_result_row *row = qm_result_rows; row->path; row++)
            if (strncmp(row->path, of_schemes, strlen(of_schemes)) == 0)
                QM_TRY(check_row(qm_node_at(schemes, i), row->path + strlen(of_schemes), row));
        QM_TRY(check_scheme(qm_node_at(schemes, i)));
    }
    return check_intervals(schemes);
}

bool qm_result_row_is_ok(const struct qm_node *scheme)
{
    return strcmp(qm_node_text_at(scheme, "status", ""), "ok") == 0;
}

const char *qm_result_status_word(const struct qm_node *row)
{
    const char *status = qm_node_text_at(row, "status", "?");
    return strcmp(status, "wrong") == 0 ? "WRONG" : status;
}

enum qm_status qm_result_load(const char *path, struct qm_node **out, bool *is_intact)
{
    char hash[QM_HASH_TEXT_BYTES];
    QM_TRY(qm_node_load_yaml(path, &qm_node_result_limits, out));
    enum qm_status status = qm_result_check(*out);
    if (status == QM_OK)
        status = qm_node_hash(*out, "hash", hash);
    if (status != QM_OK)
        qm_node_destroy(out);
    else if (is_intact)
        *is_intact = strcmp(hash, qm_node_text_at(*out, "hash", "")) == 0;
    return status;
}

// Appends the text in lower case, everything but letters and digits as single dashes.
static void append_slug(char name[QM_RESULT_NAME_BYTES], const char *text, size_t most)
{
    size_t used = strlen(name);
    size_t end = used + most;
    for (; *text && used < end && used + 1 < QM_RESULT_NAME_BYTES; text++) {
        char c = *text >= 'A' && *text <= 'Z' ? (char)(*text - 'A' + 'a') : *text;
        bool good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (good)
            name[used++] = c;
        else if (used > 0 && name[used - 1] != '-')
            name[used++] = '-';
        name[used] = '\0';
    }
    while (used > 0 && name[used - 1] == '-')
        name[--used] = '\0';
}

void qm_result_file_name(const struct qm_node *result, char name[QM_RESULT_NAME_BYTES])
{
    uint64_t ordinal = 0;
    size_t used;
    snprintf(name, QM_RESULT_NAME_BYTES, "qmark-");
    append_slug(name, qm_node_text_at(result, "device.name", "device"), 64);
    if (qm_node_u64_at(result, "device.ordinal", &ordinal)) {
        used = strlen(name);
        snprintf(name + used, QM_RESULT_NAME_BYTES - used, "-%" PRIu64, ordinal);
    }
    used = strlen(name);
    snprintf(name + used, QM_RESULT_NAME_BYTES - used, "-");
    append_slug(name, qm_node_text_at(result, "device.api", "api"), 16);
    used = strlen(name);
    snprintf(name + used, QM_RESULT_NAME_BYTES - used, ".yaml");
}

enum qm_status qm_result_stage(struct qm_node *result, const char *directory, struct qm_staged_file *staged)
{
    char hash[QM_HASH_TEXT_BYTES];
    char name[QM_RESULT_NAME_BYTES];
    char path[QM_PATH_BYTES];
    char *text = NULL;
    staged->path[0] = '\0';
    staged->is_staged = false;
    qm_node_remove(result, "hash"); // so that it stands last
    QM_TRY(qm_node_hash(result, "hash", hash));
    qm_node_set_text(result, "hash", hash);
    QM_TRY(qm_result_check(result));
    QM_TRY(qm_node_write_yaml(result, &text));
    enum qm_status status = QM_OK;
    size_t count = strlen(text);
    if (count > QM_RESULT_BYTES_MAX)
        QM_GUARD(QM_FAIL(QM_INVALID, "the result has %zu bytes; at most %d are allowed, run fewer schemes at a time",
                         count, QM_RESULT_BYTES_MAX));
    qm_result_file_name(result, name);
    QM_GUARD(qm_path_join(path, directory, name));
    QM_GUARD(qm_file_stage(path, text, count, staged));
done:
    free(text);
    return status;
}

enum qm_status qm_result_write(struct qm_node *result, const char *directory, char path[QM_PATH_BYTES])
{
    struct qm_staged_file staged;
    enum qm_status status = qm_result_stage(result, directory, &staged);
    snprintf(path, QM_PATH_BYTES, "%s", staged.path);
    QM_TRY(status);
    return qm_file_commit(&staged);
}
