#include "record/audit.h"
#include "record/claim.h"
#include "record/node.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static void add_gap(struct qm_audit_row *row, struct qm_gap gap)
{
    if (row->gap_count < QM_AUDIT_GAPS_MAX)
        row->gaps[row->gap_count++] = gap;
    if (row->level == QM_DISCLOSED)
        row->level = QM_PARTLY;
    row->is_enough = row->is_enough && gap.is_minor;
}

static void lacks(struct qm_audit_row *row, const char *title, const char *follows)
{
    add_gap(row, (struct qm_gap){.title = title, .follows = follows});
}

static void contradicts(struct qm_audit_row *row, const char *title, const char *follows)
{
    add_gap(row, (struct qm_gap){.title = title, .follows = follows, .kind = QM_GAP_CONTRADICTION});
}

static void falls_short(struct qm_audit_row *row, const char *title, const char *follows)
{
    add_gap(row, (struct qm_gap){.title = title, .follows = follows, .kind = QM_GAP_SHORT});
}

static bool begins_with_any(const char *text, const char *const *words)
{
    for (; text && *words; words++)
        if (strncasecmp(text, *words, strlen(*words)) == 0)
            return true;
    return false;
}

static bool holds_any(const char *text, const char *const *words)
{
    for (; text && *text; text++)
        if (begins_with_any(text, words))
            return true;
    return false;
}

// What is told and what is missing of a component's keys.
static void audit_keys(struct qm_audit_row *row, const struct qm_node *value)
{
    size_t told = 0;
    const struct qm_component *component = row->component;
    row->level = QM_DISCLOSED;
    row->is_enough = true;
    for (const struct qm_component_key *key = component->keys; key->path; key++) {
        bool tells = qm_component_tells(component, key, value);
        told += tells;
        if (!tells && (key->flags & QM_KEY_FULL))
            add_gap(row, (struct qm_gap){
                             .title = key->title, .follows = key->follows, .is_minor = !(key->flags & QM_KEY_GRADE)});
    }
    // A sentence, a label or a key that the table does not ask for is better than nothing, and no more.
    if (told > 0)
        return;
    const char *text = qm_node_text(value);
    bool says_something = text && !qm_component_is_silent(text) && strcmp(text, "none") != 0;
    for (size_t i = 0; i < qm_node_count(value); i++) {
        const struct qm_node *child = qm_node_at(value, i);
        says_something = says_something || (qm_node_text(child) && !qm_component_is_silent(qm_node_text(child)));
    }
    row->level = says_something ? QM_PARTLY : QM_UNDISCLOSED;
    row->is_enough = false;
}

// ---- What presence alone does not show ------------------------------------------------------------------------------

// Whether any item of a list has a number there, and whether any has it with an interval around it. A number outside
// its own interval sets `is_outside`.
static void scan_numbers(const struct qm_node *list, const char *key, bool *has_number, bool *has_interval,
                         bool *is_outside)
{
    *has_number = *has_interval = *is_outside = false;
    for (size_t i = 0; i < qm_node_count(list); i++) {
        const struct qm_node *item = qm_node_at(list, i);
        double value = 0;
        double low = 0;
        double high = 0;
        if (!qm_node_double_at(item, key, &value))
            continue;
        *has_number = true;
        if (!qm_node_double_at(item, "low", &low) || !qm_node_double_at(item, "high", &high))
            continue;
        *has_interval = true;
        *is_outside = *is_outside || value < low || value > high;
    }
}

static void audit_accuracy(struct qm_audit_row *row, const struct qm_node *accuracy)
{
    bool has_number;
    bool has_interval;
    bool is_outside;
    const struct qm_node *metrics = qm_node_child(accuracy, "metrics");
    scan_numbers(metrics, "value", &has_number, &has_interval, &is_outside);
    if (!has_number && qm_node_count(metrics) > 0)
        lacks(row, "a number of accuracy", "the speed may have cost any amount of accuracy");
    else if (has_number && !has_interval)
        lacks(row, "intervals of accuracy", "a loss cannot be told from chance");
    if (is_outside)
        contradicts(row, "a number outside its own interval", "one of the two is wrong");
}

static void audit_gain(struct qm_audit_row *row, const struct qm_node *gain)
{
    static const struct {
        const char *key;
        const char *title;
        const char *follows;
    } sides[] = {
        {"device", "a baseline on the same device", "the gain is one of the device as well"},
        {"api", "a baseline through the same API", "the gain is one of software as well"},
        {"model", "a baseline with the same model", "the gain is one of the model as well"},
        {"protocol", "a baseline by the same protocol", "the two were timed otherwise"},
    };
    static const char *const largest[] = {"up to", "max", "peak", "best", "largest", NULL};
    bool has_number;
    bool has_interval;
    bool is_outside;
    const struct qm_node *gains = qm_node_child(gain, "gains");
    const struct qm_node *baseline = qm_node_child(gain, "baseline");
    scan_numbers(gains, "ratio", &has_number, &has_interval, &is_outside);
    if (!has_number && qm_node_count(gains) > 0)
        lacks(row, "ratio over the baseline", "how much of the speed comes from precision is open");
    else if (has_number && !has_interval)
        lacks(row, "interval of the ratio", "a gain cannot be told from chance");
    if (is_outside)
        contradicts(row, "a ratio outside its own interval", "one of the two is wrong");
    for (size_t i = 0; i < sizeof(sides) / sizeof(sides[0]); i++) {
        const char *side = qm_node_text_at(baseline, sides[i].key, NULL);
        if (!qm_component_is_silent(side) && strcasecmp(side, "none") != 0 && strcasecmp(side, "same") != 0)
            falls_short(row, sides[i].title, sides[i].follows);
    }
    if (begins_with_any(qm_node_text_at(gain, "statistic", NULL), largest))
        falls_short(row, "a ratio that is not the largest of many", "most cases gain less, and how much less is open");
}

static void audit_sustained(struct qm_audit_row *row, const struct qm_node *sustained)
{
    double seconds = 0;
    const char *steady = qm_node_text_at(sustained, "steady", "yes");
    if (qm_node_double_at(sustained, "window_s", &seconds) && seconds < QM_CLAIM_SUSTAINED_S)
        add_gap(row, (struct qm_gap){.kind = QM_GAP_SHORT,
                                     .title = "a window of 120 s or more",
                                     .follows = "heat and clocks may not have settled: beyond the window nothing is "
                                                "proven",
                                     .is_minor = true});
    if (strcmp(steady, "yes") != 0 && strcmp(steady, "true") != 0 && !qm_component_is_silent(steady))
        add_gap(row, (struct qm_gap){.kind = QM_GAP_SHORT,
                                     .title = "a steady rate",
                                     .follows = "it may still have been falling when the window ended",
                                     .is_minor = true});
}

static void audit_calibration(struct qm_audit_row *row, const struct qm_node *claim)
{
    static const char *const needs_data[] = {"gptq", "awq", "smoothquant", "percentile", "entropy", "imatrix", NULL};
    const struct qm_node *method = qm_node_child(claim, "calibration_method");
    const char *name = qm_node_is_text(method) ? qm_node_text(method) : qm_node_text_at(method, "name", NULL);
    const char *set = qm_node_text_at(claim, "calibration_set", NULL);
    if (set && strcasecmp(set, "none") == 0 && holds_any(name, needs_data))
        contradicts(row, "no set, and a method that needs one", "either the method or the set is not what is told");
    const char *overlap = qm_node_text_at(claim, "calibration_set.overlap", NULL);
    if (!qm_component_is_silent(overlap) && strcasecmp(overlap, "none") != 0)
        falls_short(row, "a set apart from what is scored",
                    "scales were fitted to the text that is scored: on other text the loss may be larger");
}

// ---- Acceptance -----------------------------------------------------------------------------------------------------

// The metric of a name; perplexity_reference is the reference of perplexity.
static const struct qm_node *find_metric(const struct qm_node *claim, const char *name)
{
    const struct qm_node *metrics = qm_node_get(claim, "accuracy.metrics");
    for (size_t i = 0; i < qm_node_count(metrics); i++) {
        const struct qm_node *metric = qm_node_at(metrics, i);
        const char *own = qm_node_text_at(metric, "metric", "");
        size_t length = strlen(own);
        if (strcmp(own, name) == 0)
            return metric;
        if (length > 0 && strncmp(own, name, length) == 0 && strcmp(name + length, "_reference") == 0)
            return qm_node_child(metric, "reference");
    }
    return NULL;
}

// Judges a bound by the claim's own interval, as score/acceptance.h does; NULL where that cannot be done.
static const char *judge(const struct qm_node *claim, const struct qm_node *criterion)
{
    double low = 0;
    double high = 0;
    double bound = 0;
    const struct qm_node *metric = find_metric(claim, qm_node_text_at(criterion, "metric", ""));
    if (!qm_node_double_at(metric, "low", &low) || !qm_node_double_at(metric, "high", &high) ||
        !qm_node_double_at(criterion, "bound", &bound))
        return NULL;
    if (strcmp(qm_node_text_at(criterion, "side", ""), "at_most") == 0)
        return high <= bound ? "pass" : low > bound ? "fail" : "inconclusive";
    if (strcmp(qm_node_text_at(criterion, "side", ""), "at_least") == 0)
        return low >= bound ? "pass" : high < bound ? "fail" : "inconclusive";
    return NULL;
}

static void audit_acceptance(struct qm_audit_row *row, const struct qm_node *claim)
{
    const struct qm_node *criteria = qm_node_get(claim, "acceptance.criteria");
    bool all_pass = strcmp(qm_node_text_at(claim, "acceptance.verdict", ""), "pass") == 0;
    bool is_vague = false;
    bool is_unknown = false;
    bool is_false = false;
    for (size_t i = 0; i < qm_node_count(criteria); i++) {
        const struct qm_node *criterion = qm_node_at(criteria, i);
        double bound = 0;
        const char *own = judge(claim, criterion);
        const char *told = qm_node_text_at(criterion, "verdict", all_pass ? "pass" : NULL);
        is_vague =
            is_vague || !qm_node_double_at(criterion, "bound", &bound) || !qm_node_text_at(criterion, "side", NULL);
        is_unknown = is_unknown || !find_metric(claim, qm_node_text_at(criterion, "metric", ""));
        is_false =
            is_false || (own && told && strcmp(own, told) != 0) || (all_pass && told && strcmp(told, "pass") != 0);
    }
    if (is_vague)
        lacks(row, "a number and a side of every bound", "whether a bound holds cannot be judged");
    if (is_unknown)
        lacks(row, "the number that a bound is on", "whether the bound holds cannot be judged");
    if (is_false)
        contradicts(row, "a verdict that the claim's own intervals do not give",
                    "the loss is larger than the bound, "
                    "or too uncertain to say");
}

// ---- Verdict --------------------------------------------------------------------------------------------------------

static void add_reason(struct qm_audit *audit, const char *text)
{
    if (audit->reason_count < QM_AUDIT_REASONS_MAX)
        audit->reasons[audit->reason_count++] = text;
}

static bool says_speed(const struct qm_node *claim)
{
    bool has_ratio;
    bool has_rate;
    bool ignored;
    double rate = 0;
    scan_numbers(qm_node_get(claim, "throughput_gain.gains"), "ratio", &has_ratio, &ignored, &ignored);
    scan_numbers(qm_node_get(claim, "throughput_gain.rates"), "rate", &has_rate, &ignored, &ignored);
    return has_ratio || has_rate || qm_node_double_at(claim, "sustained.rate", &rate);
}

static bool names(const struct qm_node *claim, const char *path)
{
    const char *text = qm_node_text_at(claim, path, NULL);
    return !qm_component_is_silent(text) && strcasecmp(text, "none") != 0;
}

// What a claim that is deployment-grade still leaves open of its sustained rate.
static void give_limit(const struct qm_node *claim, struct qm_audit *audit)
{
    const struct qm_audit_row *row = &audit->rows[QM_COMPONENT_SUSTAINED];
    double seconds = 0;
    bool is_short = false;
    if (audit->verdict != QM_CLAIM_DEPLOYMENT_GRADE || row->level == QM_DISCLOSED ||
        !qm_node_double_at(claim, "sustained.window_s", &seconds))
        return;
    for (size_t i = 0; i < row->gap_count; i++)
        is_short = is_short || row->gaps[i].kind == QM_GAP_SHORT;
    snprintf(audit->limit, sizeof(audit->limit), "for its window of %.3g s only: %s", seconds,
             is_short ? "that the rate holds is not proven" : "its slowest answers, burst or throttling are not told");
}

static void give_verdict(const struct qm_node *claim, struct qm_audit *audit)
{
    bool is_enough = true;
    bool has_contradiction = false;
    for (size_t i = 0; i < QM_COMPONENT_COUNT; i++)
        is_enough = is_enough && audit->rows[i].is_enough;
    if (!says_speed(claim))
        add_reason(audit, "no number of speed is given, so that nothing could be held against a measurement");
    if (!names(claim, "subject.device"))
        add_reason(audit, "no device is named, so that nobody can measure it there");
    if (!names(claim, "subject.model"))
        add_reason(audit, "no model is named: operations that a device could do are not what a model gets");
    if (audit->rows[QM_COMPONENT_PRECISION].level == QM_UNDISCLOSED)
        add_reason(audit, "no precision is named, so that nobody can run the same");
    if (audit->reason_count > 0) {
        audit->verdict = QM_CLAIM_NOT_CHECKABLE;
        return;
    }
    audit->verdict = is_enough ? QM_CLAIM_DEPLOYMENT_GRADE : QM_CLAIM_UPPER_BOUND;
    if (!is_enough && audit->rows[QM_COMPONENT_ACCURACY].level == QM_UNDISCLOSED)
        add_reason(audit, "the speed is told without the accuracy it cost");
    if (!is_enough && audit->rows[QM_COMPONENT_SUSTAINED].level == QM_UNDISCLOSED)
        add_reason(audit, "whether the speed holds beyond the first seconds is not told");
    for (size_t i = 0; i < QM_COMPONENT_COUNT; i++)
        for (size_t k = 0; k < audit->rows[i].gap_count; k++)
            has_contradiction = has_contradiction || audit->rows[i].gaps[k].kind == QM_GAP_CONTRADICTION;
    if (has_contradiction)
        add_reason(audit, "the claim contradicts itself");
    if (!is_enough && audit->reason_count == 0)
        add_reason(audit, "what the speed cost, or what it is over, is not fully told");
    give_limit(claim, audit);
}

void qm_audit_claim(const struct qm_node *claim, struct qm_audit *out)
{
    *out = (struct qm_audit){0};
    for (size_t i = 0; i < QM_COMPONENT_COUNT; i++) {
        out->rows[i].component = &qm_components[i];
        audit_keys(&out->rows[i], qm_node_child(claim, qm_components[i].name));
    }
    audit_accuracy(&out->rows[QM_COMPONENT_ACCURACY], qm_node_child(claim, "accuracy"));
    audit_gain(&out->rows[QM_COMPONENT_THROUGHPUT_GAIN], qm_node_child(claim, "throughput_gain"));
    audit_sustained(&out->rows[QM_COMPONENT_SUSTAINED], qm_node_child(claim, "sustained"));
    audit_calibration(&out->rows[QM_COMPONENT_CALIBRATION_SET], claim);
    audit_acceptance(&out->rows[QM_COMPONENT_ACCEPTANCE], claim);
    const struct qm_node *subject = qm_node_child(claim, "subject");
    out->is_of_files = names(claim, "subject.container");
    out->files.component = &qm_component_file;
    if (out->is_of_files)
        audit_keys(&out->files, subject);
    give_verdict(claim, out);
}

const char *qm_disclosure_level_name(enum qm_disclosure_level level)
{
    static const char *const names_of[] = {"undisclosed", "partly", "disclosed"};
    return names_of[level];
}

const char *qm_claim_verdict_name(enum qm_claim_verdict verdict)
{
    static const char *const names_of[] = {"not checkable", "upper bound only", "deployment-grade"};
    return names_of[verdict];
}

const char *qm_gap_kind_name(enum qm_gap_kind kind)
{
    static const char *const names_of[] = {"missing", "falls short of", "contradiction"};
    return names_of[kind];
}

static void fill_row(struct qm_node *node, const struct qm_audit_row *row)
{
    qm_node_set_text(node, "component", row->component->name);
    qm_node_set_text(node, "disclosure", qm_disclosure_level_name(row->level));
    qm_node_set_bool(node, "enough", row->is_enough);
    if (row->level == QM_UNDISCLOSED)
        qm_node_set_text(node, "follows", row->component->follows);
    struct qm_node *gaps = qm_node_add_sequence(node, "gaps");
    for (size_t k = 0; k < row->gap_count; k++) {
        struct qm_node *gap = qm_node_append_mapping(gaps);
        qm_node_set_text(gap, "kind", qm_gap_kind_name(row->gaps[k].kind));
        qm_node_set_text(gap, "what", row->gaps[k].title);
        qm_node_set_text(gap, "follows", row->gaps[k].follows);
    }
}

struct qm_node *qm_audit_tree(const struct qm_audit *audit)
{
    struct qm_node *root = qm_node_new_mapping();
    qm_node_set_text(root, "verdict", qm_claim_verdict_name(audit->verdict));
    struct qm_node *reasons = qm_node_add_sequence(root, "reasons");
    for (size_t i = 0; i < audit->reason_count; i++)
        qm_node_append_text(reasons, audit->reasons[i]);
    qm_node_set_text(root, "limit", audit->limit[0] ? audit->limit : "none");
    struct qm_node *components = qm_node_add_sequence(root, "components");
    for (size_t i = 0; i < QM_COMPONENT_COUNT; i++)
        fill_row(qm_node_append_mapping(components), &audit->rows[i]);
    if (audit->is_of_files)
        fill_row(qm_node_add_mapping(root, "files"), &audit->files);
    return root;
}
