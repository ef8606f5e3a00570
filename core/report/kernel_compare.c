// Two sweeps of kernels, row by row.
#include "report/kernel_report.h"

#include "record/node.h"
#include "score/medians.h"

#include <stdlib.h>
#include <string.h>

enum {
    SAMPLES_MAX = 1000
};

// As many rows as a sweep has, with their samples.
static const struct qm_node_limits limits = {.bytes = 64u << 20, .depth = 16, .nodes = 4000000, .alias_nodes = 0};

static const char *text_at(const struct qm_node *row, const char *key)
{
    return qm_node_text_at(row, key, "");
}

enum qm_status qm_kernel_sweep_load(const char *path, struct qm_node **out)
{
    struct qm_node *root = NULL;
    *out = NULL;
    QM_TRY(qm_node_load_yaml(path, &limits, &root));
    if (strcmp(text_at(root, "kind"), "kernels") != 0 || !qm_node_is_sequence(qm_node_get(root, "rows"))) {
        qm_node_destroy(&root);
        return QM_FAIL(QM_INVALID, "%.200s: no sweep of kernels; expected the .json that 'qmark kernels --out' writes",
                       path);
    }
    *out = root;
    return QM_OK;
}

static bool has_equal(const struct qm_node *a, const struct qm_node *b, const char *const *keys, size_t count)
{
    for (size_t i = 0; i < count; ++i)
        if (strcmp(text_at(a, keys[i]), text_at(b, keys[i])) != 0)
            return false;
    return true;
}

static bool is_same_row(const struct qm_node *a, const struct qm_node *b)
{
    static const char *const keys[] = {"kernel", "format", "weights", "shape", "api", "driver"};
    return has_equal(a, b, keys, sizeof(keys) / sizeof(keys[0]));
}

static bool is_same_tile(const struct qm_node *a, const struct qm_node *b)
{
    static const char *const keys[] = {"tier", "tile"};
    return has_equal(a, b, keys, sizeof(keys) / sizeof(keys[0]));
}

// The row of another sweep that `row` is to be compared with; NULL: none. Of another tile only where there is one row alone
// on both sides.
static const struct qm_node *find(const struct qm_node *row, const struct qm_node *own, const struct qm_node *others)
{
    const struct qm_node *found = NULL;
    size_t count = 0, count_own = 0;
    for (size_t i = 0; i < qm_node_count(others); ++i) {
        const struct qm_node *other = qm_node_at(others, i);
        if (!is_same_row(row, other))
            continue;
        if (is_same_tile(row, other))
            return other;
        found = other;
        ++count;
    }
    for (size_t i = 0; i < qm_node_count(own); ++i)
        count_own += is_same_row(row, qm_node_at(own, i));
    return count == 1 && count_own == 1 ? found : NULL;
}

static size_t samples_of(const struct qm_node *row, double samples[SAMPLES_MAX])
{
    const struct qm_node *list = qm_node_get(row, "samples_ns");
    size_t count = 0;
    for (size_t i = 0; i < qm_node_count(list) && count < SAMPLES_MAX; ++i)
        count += qm_node_read_double(qm_node_at(list, i), &samples[count]) == QM_OK;
    return count;
}

static const char *verdict_of(const struct qm_estimate *ratio)
{
    if (ratio->state != QM_ESTIMATE_INTERVAL)
        return "too few samples";
    return ratio->low > 1 ? "faster" : ratio->high < 1 ? "slower" : "no difference shown";
}

static enum qm_status compare_rows(const struct qm_node *row, const struct qm_node *other, struct qm_node *out)
{
    static double before[SAMPLES_MAX], after[SAMPLES_MAX];
    const struct qm_bootstrap bootstrap = QM_BOOTSTRAP_DEFAULT;
    struct qm_estimate ratio;
    size_t after_count = samples_of(row, after), before_count = samples_of(other, before);
    if (after_count == 0 || before_count == 0) {
        qm_node_set_textf(out, "reason", "%s: %s", after_count == 0 ? "now" : "then",
                          text_at(after_count == 0 ? row : other, "status"));
        return QM_OK;
    }
    QM_TRY(qm_ratio_of_medians(before, before_count, after, after_count, &bootstrap, &ratio));
    qm_node_set_double(out, "ratio", ratio.value);
    if (ratio.state == QM_ESTIMATE_INTERVAL) {
        qm_node_set_double(out, "low", ratio.low);
        qm_node_set_double(out, "high", ratio.high);
    }
    qm_node_set_text(out, "verdict", verdict_of(&ratio));
    if (!is_same_tile(row, other))
        qm_node_set_textf(out, "note", "tile was %s", text_at(other, "tile"));
    else if (strcmp(text_at(row, "kernel_hash"), text_at(other, "kernel_hash")) != 0)
        qm_node_set_text(out, "note", "another kernel");
    return QM_OK;
}

static struct qm_node *add_row(struct qm_node *list, const struct qm_node *row)
{
    static const char *const keys[] = {"kernel", "format", "shape", "device", "api", "driver", "tier", "tile"};
    struct qm_node *out = qm_node_append_mapping(list);
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); ++i)
        qm_node_set_text(out, keys[i], text_at(row, keys[i]));
    return out;
}

enum qm_status qm_kernel_sweep_compare(struct qm_node *sweep, const struct qm_node *before, const char *name)
{
    const struct qm_node *rows = qm_node_get(sweep, "rows"), *others = qm_node_get(before, "rows");
    struct qm_node *compared = qm_node_add_mapping(sweep, "compared");
    qm_node_set_text(compared, "file", name);
    qm_node_set_text(compared, "began", qm_node_text_at(before, "began", "undisclosed"));
    struct qm_node *list = qm_node_add_sequence(compared, "rows");
    bool *has_partner = calloc(qm_node_count(others) + 1, sizeof(*has_partner));
    enum qm_status status = has_partner ? QM_OK : QM_FAIL(QM_OUT_OF_MEMORY, "no memory to compare sweeps");
    for (size_t i = 0; status == QM_OK && i < qm_node_count(rows); ++i) {
        const struct qm_node *row = qm_node_at(rows, i), *other = find(row, rows, others);
        struct qm_node *out = add_row(list, row);
        for (size_t j = 0; other && j < qm_node_count(others); ++j)
            has_partner[j] = has_partner[j] || qm_node_at(others, j) == other;
        if (other)
            status = compare_rows(row, other, out);
        else
            qm_node_set_text(out, "reason", "no partner: it was not in that sweep");
    }
    for (size_t j = 0; status == QM_OK && j < qm_node_count(others); ++j)
        if (!has_partner[j])
            qm_node_set_text(add_row(list, qm_node_at(others, j)), "reason", "no partner: it is not in this sweep");
    free(has_partner);
    if (status == QM_OK && !qm_node_ok(sweep))
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory to compare sweeps");
    return status;
}
