// The claim that a result supports: each component is copied from where the result has it, with the result's own keys,
// so that what a later version discloses more is claimed as well.
#include "record/claim.h"
#include "record/components.h"
#include "record/result.h"

#include <stdio.h>
#include <string.h>

static void copy_text(struct qm_node *to, const char *key, const struct qm_node *from, const char *path)
{
    const struct qm_node *node = qm_node_get(from, path);
    if (qm_node_is_text(node))
        qm_node_set_node(to, key, qm_node_copy(node)); // a number stays one
    else
        qm_node_set_text(to, key, "undisclosed");
}

// A component as the result has it; the word undisclosed where it has none.
static void copy_component(struct qm_node *claim, enum qm_component_id id, const struct qm_node *from)
{
    if (from)
        qm_node_set_node(claim, qm_components[id].name, qm_node_copy(from));
    else
        qm_node_set_text(claim, qm_components[id].name, "undisclosed");
}

static void add_subject(struct qm_node *claim, const struct qm_node *result, const struct qm_node *scheme)
{
    struct qm_node *subject = qm_node_add_mapping(claim, "subject");
    copy_text(subject, "device", result, "device.name");
    copy_text(subject, "device_type", result, "device.type");
    copy_text(subject, "api", result, "device.api");
    qm_node_set_textf(subject, "driver", "%s %s", qm_node_text_at(result, "device.driver", "undisclosed"),
                      qm_node_text_at(result, "device.driver_version", ""));
    copy_text(subject, "model", result, "model.name");
    copy_text(subject, "model_sha256", result, "model.sha256");
    copy_text(subject, "parameters", result, "model.parameters");
    copy_text(subject, "widen", result, "model.widen");
    if (strcmp(qm_node_text_at(result, "model.widen", "1"), "1") != 0) {
        copy_text(subject, "weights_on_device", result, "model.weights_on_device");
        copy_text(subject, "operations_per_token", result, "model.operations_per_token");
    }
    copy_text(subject, "scheme", scheme, "name");
    copy_text(subject, "identity", scheme, "identity");
    copy_text(subject, "artifact", scheme, "artifact.id");
    copy_text(subject, "profile", result, "profile.name");
    copy_text(subject, "class", result, "run.class");
}

// ---- Accuracy -----------------------------------------------------------------------------------------------------

static bool is_one_of(const char *key, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(key, *words) == 0)
            return true;
    return false;
}

static struct qm_node *append_metric(struct qm_node *metrics, const char *name, const struct qm_node *value)
{
    struct qm_node *row = qm_node_append_mapping(metrics);
    qm_node_set_text(row, "metric", name);
    qm_node_set_node(row, "value", qm_node_copy(value));
    return row;
}

static void copy_beside(struct qm_node *row, const struct qm_node *estimate)
{
    static const char *const keys[] = {"low", "high", "reference", "examples"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        const struct qm_node *node = qm_node_child(estimate, keys[i]);
        if (qm_node_is_text(node))
            qm_node_set_node(row, keys[i], qm_node_copy(node));
    }
}

// Every estimate of a result's accuracy as one row: perplexity.ratio is perplexity_ratio, kl_divergence.p99
// kl_divergence_p99, decode.kl_divergence_mean decode_kl_divergence_mean. An interval that stands in a mapping without
// `value` or `mean` belongs to its first number.
static void add_metrics(struct qm_node *metrics, const struct qm_node *holder, const char *prefix, int depth)
{
    static const char *const beside[] = {"low", "high", "reference", "examples", "tokens", "sequences", NULL};
    static const char *const others[] = {"tasks", "bootstrap", "backend_check", "acceptance", NULL};
    char name[128];
    bool has_interval = qm_node_child(holder, "low") == NULL;
    for (size_t i = 0; i < qm_node_count(holder) && depth < 4; i++) {
        const struct qm_node *child = qm_node_at(holder, i);
        const char *key = qm_node_key_at(holder, i);
        if (is_one_of(key, beside) || is_one_of(key, others))
            continue;
        const bool is_value = strcmp(key, "value") == 0;
        snprintf(name, sizeof(name), "%.63s%s%.63s", prefix, *prefix && !is_value ? "_" : "", is_value ? "" : key);
        qm_utf8_trim(name);
        if (qm_node_is_mapping(child)) {
            add_metrics(metrics, child, name, depth + 1);
        } else if (qm_node_is_number(child) || qm_result_is_word(qm_node_text(child))) {
            struct qm_node *row = append_metric(metrics, name, child);
            if (!has_interval && depth > 0)
                copy_beside(row, holder);
            has_interval = true;
        }
    }
}

static struct qm_node *find_metric(const struct qm_node *metrics, const char *name)
{
    for (size_t i = 0; i < qm_node_count(metrics); i++) {
        struct qm_node *row = qm_node_at(metrics, i);
        if (strcmp(qm_node_text_at(row, "metric", ""), name) == 0)
            return row;
    }
    return NULL;
}

// Percentiles have their intervals in the list of details.
static void add_details(struct qm_node *metrics, const struct qm_node *details)
{
    for (size_t i = 0; i < qm_node_count(details); i++) {
        const struct qm_node *detail = qm_node_at(details, i), *value = qm_node_child(detail, "value");
        const char *name = qm_node_text_at(detail, "metric", "?");
        struct qm_node *row = find_metric(metrics, name);
        if (!row && qm_node_is_text(value))
            row = append_metric(metrics, name, value);
        if (row && !qm_node_child(row, "low"))
            copy_beside(row, detail);
    }
}

static void add_tasks(struct qm_node *metrics, const struct qm_node *tasks)
{
    for (size_t i = 0; i < qm_node_count(tasks); i++) {
        const struct qm_node *task = qm_node_at(tasks, i);
        bool is_graded = false;
        char name[128];
        snprintf(name, sizeof(name), "exact_match of %s, %s", qm_node_text_at(task, "task", "?"),
                 qm_node_text_at(task, "difficulty", "?"));
        qm_utf8_trim(name);
        if (qm_node_bool_at(task, "graded", &is_graded) && is_graded && qm_node_is_text(qm_node_child(task, "value")))
            copy_beside(append_metric(metrics, name, qm_node_child(task, "value")), task);
    }
}

static void add_accuracy(struct qm_node *claim, const struct qm_node *scheme)
{
    const struct qm_node *from = qm_node_child(scheme, "accuracy");
    if (!qm_node_is_mapping(from)) {
        qm_node_set_text(claim, "accuracy", "not measured");
        return;
    }
    struct qm_node *accuracy = qm_node_add_mapping(claim, "accuracy");
    qm_node_set_text(accuracy, "reference", "the same model in float32, on the same tokens");
    const struct qm_node *set = qm_node_get(scheme, "disclosure.evaluation_set");
    if (set)
        qm_node_set_node(accuracy, "evaluation_set", qm_node_copy(set));
    copy_text(accuracy, "tokens", from, "tokens");
    copy_text(accuracy, "confidence", from, "bootstrap.confidence");
    if (qm_node_child(from, "bootstrap"))
        qm_node_set_node(accuracy, "bootstrap", qm_node_copy(qm_node_child(from, "bootstrap")));
    struct qm_node *metrics = qm_node_add_sequence(accuracy, "metrics");
    add_metrics(metrics, from, "", 0);
    add_details(metrics, qm_node_child(from, "details"));
    add_tasks(metrics, qm_node_child(from, "tasks"));
}

// ---- Speed --------------------------------------------------------------------------------------------------------

static void copy_keys(struct qm_node *to, const struct qm_node *from, const char *const *keys)
{
    for (; *keys; keys++)
        if (qm_node_child(from, *keys))
            qm_node_set_node(to, *keys, qm_node_copy(qm_node_child(from, *keys)));
}

static void add_rate(struct qm_node *to, const struct qm_node *point)
{
    static const char *const keys[] = {"phase", "batch", "prompt", "depth", "tier", "timer", "protocol", NULL};
    static const char *const ends[] = {"low", "high", NULL};
    copy_keys(to, point, keys);
    copy_text(to, "rate", point, "rate_tokens_per_s");
    copy_keys(to, point, ends);
    qm_node_set_text(to, "unit", "tokens/s");
}

static void add_gain(struct qm_node *claim, const struct qm_node *result, const struct qm_node *scheme)
{
    static const char *const keys[] = {"phase", "batch", "prompt", "depth", "ratio", "low", "high", NULL};
    const struct qm_node *from = qm_node_child(scheme, "gain");
    const struct qm_node *points = qm_node_child(scheme, "throughput");
    struct qm_node *gain = qm_node_add_mapping(claim, "throughput_gain");
    qm_node_set_text(gain, "statistic", "geometric mean over rounds, each with a block of both");
    copy_text(gain, "protocol", result, "profile.timing.protocol");
    struct qm_node *baseline = qm_node_add_mapping(gain, "baseline");
    copy_text(baseline, "scheme", result, "profile.baseline");
    static const char *const same[] = {"device", "api", "model", "protocol"};
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
        qm_node_set_text(baseline, same[i], "same");
    if (qm_node_count(from) > 0) {
        struct qm_node *gains = qm_node_add_sequence(gain, "gains");
        for (size_t i = 0; i < qm_node_count(from); i++)
            copy_keys(qm_node_append_mapping(gains), qm_node_at(from, i), keys);
    } else {
        qm_node_set_text(gain, "gains", "not measured");
    }
    struct qm_node *rates = qm_node_add_sequence(gain, "rates");
    for (size_t i = 0; i < qm_node_count(points); i++)
        add_rate(qm_node_append_mapping(rates), qm_node_at(points, i));
}

// Seconds that all timed passes of a point took together; 0 where that cannot be told.
static double window_of(const struct qm_node *point)
{
    double passes = 0;
    double batch = 0;
    double prompt = 1;
    double rate = 0;
    if (!qm_node_double_at(point, "passes", &passes) || !qm_node_double_at(point, "batch", &batch) ||
        !qm_node_double_at(point, "rate_tokens_per_s", &rate) || rate <= 0)
        return 0;
    if (strcmp(qm_node_text_at(point, "phase", ""), "prefill") == 0 && !qm_node_double_at(point, "prompt", &prompt))
        return 0;
    return passes * batch * prompt / rate;
}

static void add_sustained(struct qm_node *claim, const struct qm_node *scheme)
{
    const struct qm_node *points = qm_node_child(scheme, "throughput");
    const struct qm_node *longest = NULL;
    const struct qm_node *run = qm_node_child(scheme, "sustained"), *rate = qm_node_child(run, "rate");
    if (qm_node_is_mapping(run) && (!rate || qm_node_is_number(rate))) { // a run too short for a rate tells nothing
        copy_component(claim, QM_COMPONENT_SUSTAINED, qm_node_child(scheme, "sustained"));
        return;
    }
    for (size_t i = 0; i < qm_node_count(points); i++)
        if (window_of(qm_node_at(points, i)) > window_of(longest))
            longest = qm_node_at(points, i);
    if (!longest) {
        qm_node_set_text(claim, "sustained", "not measured");
        return;
    }
    struct qm_node *sustained = qm_node_add_mapping(claim, "sustained");
    qm_node_set_text(sustained, "statement",
                     "no steady state was looked for: the longest window is the time of all "
                     "passes of one point, in turns with other schemes");
    add_rate(sustained, longest);
    qm_node_set_double(sustained, "window_s", window_of(longest));
    qm_node_set_text(sustained, "steady", "too short");
    if (qm_node_child(longest, "latency_ms"))
        qm_node_set_node(sustained, "latency_ms", qm_node_copy(qm_node_child(longest, "latency_ms")));
    qm_node_set_text(sustained, "burst_rate", "not measured");
    qm_node_set_text(sustained, "throttling", "not measured");
}

// ---- All ----------------------------------------------------------------------------------------------------------

static void add_remarks(struct qm_node *claim, const struct qm_node *result, const struct qm_node *scheme)
{
    struct qm_node *remarks = qm_node_add_sequence(claim, "remarks");
    double mean = 0, largest = 0;
    if (qm_node_double_at(scheme, "disclosure.reference.kl_left_out", &mean) && mean > 0) {
        char text[200];
        int used =
            snprintf(text, sizeof(text),
                     "KL divergences are lower bounds, for the fp32 reference was kept in part: the mean is up to "
                     "%.3g nats higher",
                     mean);
        if (qm_node_double_at(scheme, "disclosure.reference.kl_left_out_largest", &largest) && used > 0)
            snprintf(text + used, sizeof(text) - (size_t)used, ", any percentile up to %.3g", largest);
        qm_node_append_text(remarks, text);
    }
    if (strcmp(qm_node_text_at(result, "device.type", ""), "cpu") == 0)
        qm_node_append_text(remarks, "Stand-in: this device is software on the processor; its speed says nothing of a "
                                     "GPU");
}

static enum qm_status find_scheme(const struct qm_node *result, const char *name, const struct qm_node **out)
{
    const struct qm_node *schemes = qm_node_child(result, "schemes");
    char names[256] = "";
    for (size_t i = 0; i < qm_node_count(schemes); i++) {
        const struct qm_node *scheme = qm_node_at(schemes, i);
        size_t used = strlen(names);
        snprintf(names + used, sizeof(names) - used, "%s%s", used ? ", " : "", qm_node_text_at(scheme, "name", "?"));
        if (strcmp(qm_node_text_at(scheme, "name", ""), name) != 0)
            continue;
        *out = scheme;
        if (qm_result_row_is_ok(scheme))
            return QM_OK;
        return qm_node_invalid(scheme, "scheme '%.40s' is %s (%.200s); nothing can be claimed of it, choose another",
                               name, qm_result_status_word(scheme), qm_node_text_at(scheme, "reason", "undisclosed"));
    }
    return qm_node_invalid(schemes, "no scheme '%.40s'; this result has %s", name, names);
}

enum qm_status qm_claim_from_result(const struct qm_node *result, const char *scheme_name, struct qm_node **out)
{
    const struct qm_node *scheme = NULL;
    *out = NULL;
    QM_TRY(find_scheme(result, scheme_name, &scheme));
    struct qm_node *claim = qm_node_new_mapping();
    const struct qm_node *disclosure = qm_node_child(scheme, "disclosure");
    qm_node_set_u64(claim, "claim", QM_CLAIM_SCHEMA);
    qm_node_set_textf(claim, "title", "%s on %s through %s", scheme_name,
                      qm_node_text_at(result, "device.name", "undisclosed"),
                      qm_node_text_at(result, "device.api", "undisclosed"));
    qm_node_set_textf(claim, "claimant", "qmark %s", qm_node_text_at(result, "qmark.version", "undisclosed"));
    qm_node_set_textf(claim, "source", "result of qmark run, content hash %s",
                      qm_node_text_at(result, "hash", "undisclosed"));
    copy_text(claim, "date", result, "run.finished");
    add_subject(claim, result, scheme);
    copy_component(claim, QM_COMPONENT_PRECISION, qm_node_child(disclosure, "precision"));
    copy_component(claim, QM_COMPONENT_TENSORS, qm_node_child(disclosure, "tensors"));
    copy_component(claim, QM_COMPONENT_CALIBRATION_SET, qm_node_child(disclosure, "calibration_set"));
    copy_component(claim, QM_COMPONENT_CALIBRATION_METHOD, qm_node_child(disclosure, "calibration_method"));
    add_accuracy(claim, scheme);
    add_gain(claim, result, scheme);
    add_sustained(claim, scheme);
    copy_component(claim, QM_COMPONENT_TOOL_CHAIN, qm_node_child(disclosure, "tool_chain"));
    copy_component(claim, QM_COMPONENT_ACCEPTANCE, qm_node_get(scheme, "accuracy.acceptance"));
    add_remarks(claim, result, scheme);
    qm_claim_tidy(claim);
    if (!qm_node_ok(claim)) {
        qm_node_destroy(&claim);
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a claim; close other programs and try again");
    }
    *out = claim;
    return QM_OK;
}
