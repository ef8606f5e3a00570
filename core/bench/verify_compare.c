#include "bench/verify_internal.h"
#include "record/result.h"
#include "record/result_checks.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RELATIVE 1e-9 // what docs/METHOD.md promises of numbers that are recomputed

enum {
    PATH_BYTES = 512
};

// ---- Findings -------------------------------------------------------------------------------------------------------

// Copies a text without what drives a terminal: control characters, those of ISO 6429 beyond 0x80, and marks that turn
// the order of characters. What is cut ends at a whole character.
static void set_plain(char out[QM_VERIFY_TEXT_BYTES], const char *text)
{
    size_t used = 0;
    while (*text && used + 8 < QM_VERIFY_TEXT_BYTES) {
        unsigned char c = (unsigned char)*text;
        size_t length = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
        if (strnlen(text, length) < length)
            break;
        unsigned char second = length > 1 ? (unsigned char)text[1] : 0;
        unsigned char third = length > 2 ? (unsigned char)text[2] : 0;
        bool is_control = c < 0x20 || c == 0x7f || (c >= 0x80 && c < 0xc2) || c > 0xf4 || (c == 0xc2 && second < 0xa0);
        bool is_mark = c == 0xe2 && ((second == 0x80 && (third >= 0xaa || (third >= 0x8b && third <= 0x8f))) ||
                                     (second == 0x81 && third >= 0xa0 && third <= 0xaf));
        if (is_control || is_mark) {
            out[used++] = '?';
        } else {
            memcpy(out + used, text, length);
            used += length;
        }
        text += length;
    }
    if (*text) {
        memcpy(out + used, "...", 3);
        used += 3;
    }
    out[used] = '\0';
}

static struct qm_verify_finding *add(struct qm_verify_state *state, struct qm_verify_finding **list, size_t *count)
{
    if ((*count & (*count - 1)) == 0) { // full: room for twice as many
        struct qm_verify_finding *more = realloc(*list, (*count ? 2 * *count : 1) * sizeof(**list));
        if (!more) {
            state->no_memory = true;
            return NULL;
        }
        *list = more;
    }
    return &(*list)[(*count)++];
}

void qm_verify_differs(struct qm_verify_state *state, const char *path, const char *is, const char *should,
                       const char *why)
{
    struct qm_verification *out = state->out;
    struct qm_verify_finding *finding = add(state, &out->differences, &out->difference_count);
    if (!finding)
        return;
    set_plain(finding->path, path);
    set_plain(finding->is, is);
    set_plain(finding->should, should);
    set_plain(finding->why, why);
}

void qm_verify_skip(struct qm_verify_state *state, const char *table_path, const char *why)
{
    struct qm_verification *out = state->out;
    struct qm_verify_finding *finding = add(state, &out->unchecked, &out->unchecked_count);
    if (!finding)
        return;
    memset(finding, 0, sizeof(*finding));
    set_plain(finding->path, table_path);
    set_plain(finding->why, why);
}

bool qm_verify_skips(const struct qm_verify_state *state, const char *table_path)
{
    for (size_t i = 0; i < state->out->unchecked_count; i++) {
        const char *path = state->out->unchecked[i].path;
        size_t length = strlen(path);
        if (strncmp(path, table_path, length) == 0 &&
            (table_path[length] == '\0' || table_path[length] == '.' || table_path[length] == '['))
            return true;
    }
    return false;
}

// ---- Trees ----------------------------------------------------------------------------------------------------------

struct place {
    char path[PATH_BYTES];  // "schemes[w8a8].throughput[0].low"
    char table[PATH_BYTES]; // "schemes[].throughput[].low"
};

static void extend(const struct place *place, const char *key, const char *item, struct place *out)
{
    if (item) {
        snprintf(out->path, sizeof(out->path), "%.400s[%.100s]", place->path, item);
        snprintf(out->table, sizeof(out->table), "%.400s[]", place->table);
    } else {
        const char *dot = place->path[0] ? "." : "";
        key = key ? key : "";
        snprintf(out->path, sizeof(out->path), "%.340s%s%.160s", place->path, dot, key);
        snprintf(out->table, sizeof(out->table), "%.340s%s%.160s", place->table, dot, key);
    }
}

static void describe(const struct qm_node *node, char text[QM_VERIFY_TEXT_BYTES])
{
    if (!node)
        snprintf(text, QM_VERIFY_TEXT_BYTES, "absent");
    else if (qm_node_is_mapping(node))
        snprintf(text, QM_VERIFY_TEXT_BYTES, "a mapping");
    else if (qm_node_is_sequence(node))
        snprintf(text, QM_VERIFY_TEXT_BYTES, "%zu items", qm_node_count(node));
    else
        snprintf(text, QM_VERIFY_TEXT_BYTES, "%s", qm_node_text(node));
}

static void differ(struct qm_verify_state *state, const struct place *place, const struct qm_node *is,
                   const struct qm_node *should)
{
    char is_text[QM_VERIFY_TEXT_BYTES], should_text[QM_VERIFY_TEXT_BYTES], why[QM_VERIFY_TEXT_BYTES];
    const struct qm_result_check_rule *rule = qm_result_check_of(place->table);
    describe(is, is_text);
    describe(should, should_text);
    snprintf(why, sizeof(why), "it follows from %s", rule->why);
    qm_verify_differs(state, place->path, is_text, should_text, why);
}

static bool is_whole(const char *text)
{
    return text[strspn(text, "-0123456789")] == '\0';
}

// Numbers to 1e-9, whole ones and texts exactly.
static bool is_equal(const struct qm_node *is, const struct qm_node *should)
{
    const char *a = qm_node_text(is), *b = qm_node_text(should);
    double x = 0, y = 0;
    if (strcmp(a, b) == 0)
        return qm_node_is_number(is) == qm_node_is_number(should);
    if (!qm_node_is_number(is) || !qm_node_is_number(should) || (is_whole(a) && is_whole(b)) ||
        qm_node_read_double(is, &x) != QM_OK || qm_node_read_double(should, &y) != QM_OK)
        return false;
    return fabs(x - y) <= RELATIVE * fmax(fabs(x), fabs(y));
}

static size_t count_scalars(const struct qm_node *node)
{
    if (qm_node_is_text(node))
        return 1;
    size_t count = 0;
    for (size_t i = 0; i < qm_node_count(node); i++)
        count += count_scalars(qm_node_at(node, i));
    return count;
}

static bool is_checked(const struct qm_verify_state *state, const char *table_path)
{
    enum qm_result_check check = qm_result_check_of(table_path)->check;
    if (check == QM_CHECK_RAW || check == QM_CHECK_RELATED)
        return false;
    if (check >= QM_CHECK_SAMPLES && !state->samples)
        return false;
    if (check == QM_CHECK_BUILD && !state->same_build)
        return false;
    return !qm_verify_skips(state, table_path);
}

// Whether it is a key of the table, or of the profile, whose keys have a table of their own.
static bool is_known(const char *table_path)
{
    if (strncmp(table_path, "profile.", strlen("profile.")) == 0)
        return true;
    for (size_t i = 0; qm_result_table_path(i); i++)
        if (strcmp(qm_result_table_path(i), table_path) == 0)
            return true;
    return false;
}

// A key that stands there and was not recomputed.
static void judge_surplus(struct qm_verify_state *state, const struct place *place, const struct qm_node *is)
{
    // Other versions may write keys that this one does not know; this one's own it knows.
    if (is_checked(state, place->table) && (is_known(place->table) || state->same_build))
        differ(state, place, is, NULL);
    else
        state->out->raw += count_scalars(is);
}

static void compare(struct qm_verify_state *state, const struct place *place, const struct qm_node *is,
                    const struct qm_node *should)
{
    struct place below;
    bool is_own_checked = is_checked(state, place->table);
    if (qm_node_kind(is) != qm_node_kind(should)) {
        if (is_own_checked)
            differ(state, place, is, should);
        return;
    }
    if (qm_node_is_text(is)) {
        if (!is_own_checked) {
            state->out->raw++;
            return;
        }
        state->out->compared++;
        if (!is_equal(is, should))
            differ(state, place, is, should);
        return;
    }
    if (qm_node_is_sequence(is)) {
        if (is_own_checked && qm_node_count(is) != qm_node_count(should))
            differ(state, place, is, should);
        for (size_t i = 0; i < qm_node_count(is) && i < qm_node_count(should); i++) {
            char number[24];
            snprintf(number, sizeof(number), "%zu", i);
            const char *name =
                strcmp(place->table, "schemes") == 0 ? qm_node_text_at(qm_node_at(should, i), "name", number) : number;
            extend(place, NULL, name, &below);
            compare(state, &below, qm_node_at(is, i), qm_node_at(should, i));
        }
        return;
    }
    for (size_t i = 0; i < qm_node_count(should); i++) {
        const char *key = qm_node_key_at(should, i);
        extend(place, key, NULL, &below);
        if (!qm_node_child(is, key) && is_checked(state, below.table) && is_known(below.table))
            differ(state, &below, NULL, qm_node_at(should, i));
    }
    for (size_t i = 0; i < qm_node_count(is); i++) {
        const char *key = qm_node_key_at(is, i);
        const struct qm_node *other = qm_node_child(should, key);
        extend(place, key, NULL, &below);
        if (other)
            compare(state, &below, qm_node_at(is, i), other);
        else
            judge_surplus(state, &below, qm_node_at(is, i));
    }
}

void qm_verify_compare(struct qm_verify_state *state, const struct qm_node *expected)
{
    struct place root = {"", ""};
    compare(state, &root, state->result, expected);
}
