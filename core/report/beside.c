// Somebody's claim beside a claim of our own.
#include "record/claim.h"
#include "record/components.h"
#include "record/node.h"
#include "report/statement.h"
#include "report/table.h"

#include <string.h>

struct rows {
    struct qm_beside *rows;
    size_t count;
};

static struct qm_beside *add(struct rows *rows, const char *what, const char *claimed, const char *ours)
{
    static struct qm_beside spare; // where there is no room; nobody looks at it
    struct qm_beside *row = rows->count < QM_BESIDE_MAX ? &rows->rows[rows->count++] : &spare;
    *row = (struct qm_beside){.means = ""};
    snprintf(row->what, sizeof(row->what), "%s", what);
    snprintf(row->claimed, sizeof(row->claimed), "%s", claimed);
    snprintf(row->ours, sizeof(row->ours), "%s", ours);
    qm_utf8_trim(row->what);
    qm_utf8_trim(row->claimed);
    qm_utf8_trim(row->ours);
    return row;
}

static const char *text_of(const struct qm_node *claim, const char *path)
{
    const char *text = qm_node_text_at(claim, path, NULL);
    return qm_component_is_silent(text) ? "undisclosed" : text;
}

// A mapping, or the text that stands in its place.
static const char *text_or_key(const struct qm_node *claim, const char *path, const char *key)
{
    const struct qm_node *node = qm_node_get(claim, path);
    return qm_node_is_mapping(node) ? text_of(node, key) : text_of(claim, path);
}

static void add_texts(struct rows *rows, const char *what, const char *claimed, const char *ours)
{
    add(rows, what, claimed, ours)->means = strcmp(claimed, "undisclosed") == 0 ? "" // nothing to hold against ours
                                            : strcmp(claimed, ours) == 0        ? "same words"
                                                                                : "other words";
}

// What a claimed number means beside our interval.
static const char *judge(const struct qm_node *claimed, const struct qm_node *ours, const char *key)
{
    double value = 0;
    double low = 0;
    double high = 0;
    if (!qm_node_double_at(claimed, key, &value) || !qm_node_double_at(ours, "low", &low) ||
        !qm_node_double_at(ours, "high", &high))
        return "";
    return value < low ? "below our interval" : value > high ? "above our interval" : "within our interval";
}

static struct qm_beside *add_estimates(struct rows *rows, const char *what, const struct qm_node *claimed,
                                       const struct qm_node *ours, const char *key)
{
    struct qm_text left = {0};
    struct qm_text right = {0};
    qm_fact_estimate(&left, claimed, key);
    qm_fact_estimate(&right, ours, key);
    struct qm_beside *row = add(rows, what, qm_text_bytes(&left), qm_text_bytes(&right));
    row->means = judge(claimed, ours, key);
    qm_text_free(&left);
    qm_text_free(&right);
    return row;
}

static const struct qm_node *find_metric(const struct qm_node *claim, const char *name)
{
    const struct qm_node *metrics = qm_node_get(claim, "accuracy.metrics");
    for (size_t i = 0; i < qm_node_count(metrics); i++)
        if (strcmp(qm_node_text_at(qm_node_at(metrics, i), "metric", ""), name) == 0)
            return qm_node_at(metrics, i);
    return NULL;
}

// Those that the claim has, and the few that every result has.
static void add_accuracy(struct rows *rows, const struct qm_node *claim, const struct qm_node *ours)
{
    static const char *const always[] = {"kl_divergence_mean", "perplexity_ratio", "top1_agreement",
                                         "exact_match_ratio"};
    const struct qm_node *metrics = qm_node_get(claim, "accuracy.metrics");
    for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
        add_estimates(rows, always[i], find_metric(claim, always[i]), find_metric(ours, always[i]), "value");
    for (size_t i = 0; i < qm_node_count(metrics) && i < QM_BESIDE_MAX / 4; i++) {
        const char *name = qm_node_text_at(qm_node_at(metrics, i), "metric", "");
        bool is_shown = false;
        for (size_t k = 0; k < sizeof(always) / sizeof(always[0]); k++)
            is_shown = is_shown || strcmp(always[k], name) == 0;
        if (!is_shown)
            add_estimates(rows, name, qm_node_at(metrics, i), find_metric(ours, name), "value");
    }
}

static bool same_text(const struct qm_node *a, const struct qm_node *b, const char *key)
{
    return strcmp(qm_node_text_at(a, key, ""), qm_node_text_at(b, key, "")) == 0;
}

// The claim's item about the same point; where it names no such point, one about the same phase, or its only one.
static const struct qm_node *find_point(const struct qm_node *list, const struct qm_node *like)
{
    const struct qm_node *phase = NULL;
    for (size_t i = 0; i < qm_node_count(list); i++) {
        const struct qm_node *item = qm_node_at(list, i);
        if (!same_text(item, like, "phase"))
            continue;
        if (same_text(item, like, "batch") && same_text(item, like, "prompt") && same_text(item, like, "depth"))
            return item;
        phase = phase ? phase : item;
    }
    if (phase)
        return phase;
    return qm_node_count(list) == 1 && !qm_node_child(qm_node_at(list, 0), "phase") ? qm_node_at(list, 0) : NULL;
}

static void add_gains(struct rows *rows, const struct qm_node *claim, const struct qm_node *ours)
{
    const struct qm_node *gains = qm_node_get(ours, "throughput_gain.gains");
    const char *word = qm_fact_accuracy_word(claim);
    for (size_t i = 0; i < qm_node_count(gains) && i < QM_BESIDE_MAX / 4; i++) {
        const struct qm_node *gain = qm_node_at(gains, i);
        struct qm_text what = {0};
        qm_text_append(&what, "gain: ");
        qm_fact_point(&what, gain);
        const struct qm_node *claimed = find_point(qm_node_get(claim, "throughput_gain.gains"), gain);
        struct qm_beside *row = add_estimates(rows, qm_text_bytes(&what), claimed, gain, "ratio");
        size_t used = strlen(row->claimed);
        if (claimed && word && used + 32 < sizeof(row->claimed))
            snprintf(row->claimed + used, sizeof(row->claimed) - used, " (accuracy: %s)", word);
        qm_text_free(&what);
    }
}

// The interval beside it is the rate's.
static void add_seconds(struct rows *rows, const struct qm_node *claimed, const struct qm_node *ours)
{
    double left = 0;
    double right = 0;
    char texts[2][32] = {"undisclosed", "undisclosed"};
    if (qm_node_double_at(claimed, "window_s", &left))
        snprintf(texts[0], sizeof(texts[0]), "%.3g", left);
    if (qm_node_double_at(ours, "window_s", &right))
        snprintf(texts[1], sizeof(texts[1]), "%.3g", right);
    add(rows, "seconds at a time", texts[0], texts[1]);
}

size_t qm_claims_beside(const struct qm_node *claim, const struct qm_node *ours, struct qm_beside out[QM_BESIDE_MAX],
                        const char **note)
{
    static const char *const tensors[] = {"weights", "activations", "kv_cache"};
    struct rows rows = {.rows = out};
    add_texts(&rows, "device", text_of(claim, "subject.device"), text_of(ours, "subject.device"));
    add_texts(&rows, "API", text_of(claim, "subject.api"), text_of(ours, "subject.api"));
    add_texts(&rows, "model", text_of(claim, "subject.model"), text_of(ours, "subject.model"));
    const char *label = text_or_key(claim, "precision", "label");
    if (strcmp(label, "undisclosed") != 0)
        add(&rows, "precision", label, text_of(ours, "subject.scheme"));
    for (size_t i = 0; i < sizeof(tensors) / sizeof(tensors[0]); i++) {
        char path[64];
        snprintf(path, sizeof(path), "precision.%s", tensors[i]);
        add_texts(&rows, tensors[i], text_or_key(claim, path, "format"), text_or_key(ours, path, "format"));
    }
    add_texts(&rows, "calibration method", text_or_key(claim, "calibration_method", "name"),
              text_or_key(ours, "calibration_method", "name"));
    add_texts(&rows, "calibration set", text_or_key(claim, "calibration_set", "name"),
              text_or_key(ours, "calibration_set", "name"));
    add_accuracy(&rows, claim, ours);
    add_texts(&rows, "baseline", text_or_key(claim, "throughput_gain.baseline", "scheme"),
              text_or_key(ours, "throughput_gain.baseline", "scheme"));
    add_gains(&rows, claim, ours);
    add_seconds(&rows, qm_node_child(claim, "sustained"), qm_node_child(ours, "sustained"));
    add_texts(&rows, "acceptance", text_or_key(claim, "acceptance", "verdict"),
              text_or_key(ours, "acceptance", "verdict"));
    bool same_device = same_text(qm_node_child(claim, "subject"), qm_node_child(ours, "subject"), "device");
    bool same_model = strcmp(text_of(claim, "subject.model_sha256"), "undisclosed") != 0 &&
                      same_text(qm_node_child(claim, "subject"), qm_node_child(ours, "subject"), "model_sha256");
    *note = same_device && same_model
                ? "same device and model: where a number lies outside our interval, one of the two does not hold"
            : same_model ? "the same model on another device: accuracy should agree, speed need not"
                         : "another or an unknown model: ours neither confirm nor refute; they show what such a trade "
                           "gives where it is measured";
    return rows.count;
}

enum qm_status qm_beside_write(const struct qm_beside *rows, size_t count, const char *note, bool is_fancy, FILE *file)
{
    struct qm_table *table = qm_table_create();
    qm_table_column(table, "", false);
    qm_table_column(table, "claimed", false);
    qm_table_column(table, "ours", false);
    qm_table_column(table, "claimed beside ours", false);
    for (size_t i = 0; i < count; i++) {
        qm_table_row(table);
        qm_table_cell(table, "%s", rows[i].what);
        qm_table_cell(table, "%s", rows[i].claimed);
        qm_table_cell(table, "%s", rows[i].ours);
        qm_table_cell(table, "%s", rows[i].means);
    }
    enum qm_status status = qm_table_write(table, file, 0, is_fancy);
    qm_table_destroy(&table);
    fprintf(file, "\n%s\n", note);
    return status;
}
