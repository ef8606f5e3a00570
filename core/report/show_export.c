#include "report/show_export.h"

#include <string.h>

#include "record/node.h"
#include "record/result.h"
#include "report/sentence.h"
#include "report/show.h"

static const char *const columns[] = {
    "file",
    "intact",
    "device",
    "api",
    "device_type",
    "driver",
    "driver_version",
    "model",
    "widen",
    "profile",
    "class",
    "result_sha256",
    "scheme",
    "status",
    "reason",
    "accuracy",
    "kl_mean_nats_per_token",
    "kl_mean_low_nats_per_token",
    "kl_mean_high_nats_per_token",
    "top1_agreement_fraction",
    "top1_agreement_low_fraction",
    "top1_agreement_high_fraction",
    "exact_match_fraction",
    "exact_match_low_fraction",
    "exact_match_high_fraction",
    "acceptance",
    "kind",
    "phase",
    "batch",
    "prompt_tokens",
    "depth_tokens",
    "tier",
    "timer",
    "rate_tokens_per_s",
    "rate_low_tokens_per_s",
    "rate_high_tokens_per_s",
    "baseline",
    "gain_over_baseline",
    "gain_over_baseline_low",
    "gain_over_baseline_high",
    "latency_p50_ms",
    "latency_p95_ms",
    "latency_p99_ms",
    "steady",
    "sustained_over_burst",
    "sustained_over_burst_low",
    "sustained_over_burst_high",
    "memory_total_bytes",
};

// An interval stands in its value's cell.
static const char *const markdown_columns[] = {
    "device",
    "scheme",
    "acceptance",
    "KL mean (nats per token)",
    "top-1 (fraction)",
    "exact match (fraction)",
    "point",
    "rate (tokens/s)",
    "gain over baseline",
    "sustained over burst",
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

const char *qm_show_export_column(size_t index)
{
    return index < COUNT(columns) ? columns[index] : NULL;
}

void qm_show_export_begin(struct qm_export *export, enum qm_form form, FILE *file)
{
    if (form == QM_FORM_MARKDOWN)
        qm_export_begin(export, form, markdown_columns, COUNT(markdown_columns), file);
    else
        qm_export_begin(export, form, columns, COUNT(columns), file);
}

static void copy(struct qm_node *row, const char *key, const struct qm_node *from, const char *path)
{
    const struct qm_node *node = qm_node_get(from, path);
    if (qm_node_is_text(node))
        qm_node_set_node(row, key, qm_node_copy(node));
}

// A value with its interval; a word in its place as it is.
static void copy_estimate(struct qm_node *row, const char *name, const char *unit, const struct qm_node *estimate,
                          const char *key)
{
    const char *const from[] = {key, "low", "high"}, *const ends[] = {"", "_low", "_high"};
    char text[64];
    for (size_t i = 0; i < 3; i++) {
        const struct qm_node *node = qm_node_is_mapping(estimate) ? qm_node_child(estimate, from[i])
                                     : i == 0                     ? estimate
                                                                  : NULL;
        snprintf(text, sizeof(text), "%s%s%s", name, ends[i], unit);
        if (qm_node_is_text(node))
            qm_node_set_node(row, text, qm_node_copy(node));
    }
}

static struct qm_node *begin_row(const struct qm_result_entry *entry, const struct qm_node *scheme)
{
    static const char *const paths[][2] = {
        {"device", "device.name"},
        {"api", "device.api"},
        {"device_type", "device.type"},
        {"driver", "device.driver"},
        {"driver_version", "device.driver_version"},
        {"model", "model.name"},
        {"widen", "model.widen"},
        {"profile", "profile.name"},
        {"class", "run.class"},
        {"result_sha256", "hash"},
    };
    struct qm_node *row = qm_node_new_mapping();
    qm_node_set_text(row, "file", entry->path);
    qm_node_set_bool(row, "intact", entry->is_intact);
    for (size_t i = 0; i < COUNT(paths); i++)
        copy(row, paths[i][0], entry->result, paths[i][1]);
    copy(row, "scheme", scheme, "name");
    copy(row, "status", scheme, "status");
    copy(row, "reason", scheme, "reason");
    if (!qm_result_row_is_ok(scheme))
        return row;
    const struct qm_node *accuracy = qm_node_child(scheme, "accuracy");
    const bool is_measured = qm_node_is_number(qm_node_get(accuracy, "kl_divergence.mean"));
    qm_node_set_text(row, "accuracy",
                     is_measured ? "measured" : qm_node_text_at(accuracy, "reference", "not measured"));
    if (qm_node_is_mapping(accuracy)) {
        copy_estimate(row, "kl_mean", "_nats_per_token", qm_node_child(accuracy, "kl_divergence"), "mean");
        if (!is_measured) // what there is without a reference
            copy_estimate(row, "perplexity", "", qm_node_child(accuracy, "perplexity"), "value");
        copy_estimate(row, "top1_agreement", "_fraction", qm_node_child(accuracy, "top1_agreement"), "value");
        copy_estimate(row, "exact_match", "_fraction", qm_node_child(accuracy, "exact_match"), "value");
        copy(row, "acceptance", accuracy, "acceptance.verdict");
    }
    copy(row, "memory_total_bytes", scheme, "memory.total_bytes");
    return row;
}

static bool is_same(const struct qm_node *a, const struct qm_node *b, const char *key)
{
    const char *of_b = qm_node_text_at(b, key, NULL);
    return !of_b || strcmp(qm_node_text_at(a, key, ""), of_b) == 0; // a gain without it is of all
}

static const struct qm_node *gain_of(const struct qm_node *scheme, const struct qm_node *point)
{
    const struct qm_node *gains = qm_node_child(scheme, "gain");
    for (size_t i = 0; i < qm_node_count(gains); i++) {
        const struct qm_node *gain = qm_node_at(gains, i);
        if (is_same(point, gain, "phase") && is_same(point, gain, "batch") && is_same(point, gain, "prompt") &&
            is_same(point, gain, "depth"))
            return gain;
    }
    return NULL;
}

static void set_point(struct qm_node *row, const struct qm_node *point, const char *kind, const char *rate)
{
    static const char *const percentiles[] = {"p50", "p95", "p99"};
    qm_node_set_text(row, "kind", kind);
    copy(row, "phase", point, "phase");
    copy(row, "batch", point, "batch");
    copy(row, "prompt_tokens", point, "prompt");
    copy(row, "depth_tokens", point, "depth");
    copy(row, "tier", point, "tier");
    copy(row, "timer", point, "timer");
    copy_estimate(row, "rate", "_tokens_per_s", point, rate);
    for (size_t i = 0; i < 3; i++) {
        char key[32], path[32];
        snprintf(key, sizeof(key), "latency_%s_ms", percentiles[i]);
        snprintf(path, sizeof(path), "latency_ms.%s", percentiles[i]);
        copy(row, key, point, path);
    }
}

// ---- Markdown -------------------------------------------------------------------------------------------------------

static void say_estimate(struct qm_node *to, const char *title, const struct qm_node *row, const char *name,
                         const char *unit)
{
    static const char *const ends[] = {"", "_low", "_high"};
    char key[64], text[3][QM_SHOW_NUMBER_BYTES];
    bool has[3];
    for (size_t i = 0; i < 3; i++) {
        snprintf(key, sizeof(key), "%s%s%s", name, ends[i], unit);
        has[i] = qm_node_child(row, key) != NULL;
        qm_show_number(qm_node_child(row, key), text[i]);
    }
    if (has[0] && has[1] && has[2])
        qm_node_set_textf(to, title, "%s [%s, %s]", text[0], text[1], text[2]);
    else if (has[0])
        qm_node_set_text(to, title, text[0]);
}

static struct qm_node *markdown_of(const struct qm_node *row)
{
    struct qm_node *to = qm_node_new_mapping();
    const char *status = qm_node_text_at(row, "status", "?");
    const char *key = qm_node_child(row, "prompt_tokens") ? "prompt" : "depth";
    bool is_intact = true;
    qm_node_bool_at(row, "intact", &is_intact);
    qm_node_set_textf(to, "device", "%s, %s%s", qm_node_text_at(row, "device", "?"), qm_node_text_at(row, "api", "?"),
                      is_intact ? "" : " (CHANGED)");
    qm_node_set_text(to, "scheme", qm_node_text_at(row, "scheme", "?"));
    if (strcmp(status, "ok") != 0) {
        qm_node_set_textf(to, "acceptance", "%s: %s", qm_result_status_word(row),
                          qm_node_text_at(row, "reason", "undisclosed"));
        return to;
    }
    qm_node_set_text(to, "acceptance", qm_node_text_at(row, "acceptance", "not stated"));
    if (strcmp(qm_node_text_at(row, "accuracy", ""), "measured") != 0)
        qm_node_set_text(to, "KL mean (nats per token)", "accuracy: not measured");
    else
        say_estimate(to, "KL mean (nats per token)", row, "kl_mean", "_nats_per_token");
    say_estimate(to, "top-1 (fraction)", row, "top1_agreement", "_fraction");
    say_estimate(to, "exact match (fraction)", row, "exact_match", "_fraction");
    if (!qm_node_child(row, "phase"))
        return to;
    qm_node_set_textf(to, "point", "%s%s, batch %s, %s %s",
                      strcmp(qm_node_text_at(row, "kind", ""), "sustained") == 0 ? "sustained " : "",
                      qm_node_text_at(row, "phase", "?"), qm_node_text_at(row, "batch", "?"), key,
                      qm_node_text_at(row, "prompt_tokens", qm_node_text_at(row, "depth_tokens", "?")));
    say_estimate(to, "rate (tokens/s)", row, "rate", "_tokens_per_s");
    say_estimate(to, "gain over baseline", row, "gain_over_baseline", "");
    say_estimate(to, "sustained over burst", row, "sustained_over_burst", "");
    return to;
}

void qm_show_export_sentences(const struct qm_result_entry *entry, FILE *file)
{
    struct qm_text quote = {0}, cautions = {0};
    qm_sentence_quote(&quote, entry->result);
    qm_sentence_cautions(&cautions, entry->result);
    fputs("\n> ", file);
    qm_export_markdown(qm_text_bytes(&quote), file);
    fputs("\n\n", file);
    for (char *line = cautions.bytes; line && *line;) {
        char *end = strchr(line, '\n');
        if (end)
            *end = '\0';
        fputs("- ", file);
        qm_export_markdown(line, file);
        fputc('\n', file);
        line = end ? end + 1 : line + strlen(line);
    }
    qm_text_free(&quote);
    qm_text_free(&cautions);
}

// ---- A result -------------------------------------------------------------------------------------------------------

static enum qm_status export_scheme(const struct qm_export *export, const struct qm_result_entry *entry,
                                    const struct qm_node *scheme)
{
    const bool is_ok = qm_result_row_is_ok(scheme);
    const struct qm_node *points = is_ok ? qm_node_child(scheme, "throughput") : NULL;
    const struct qm_node *sustained = is_ok ? qm_node_child(scheme, "sustained") : NULL;
    for (size_t i = 0; i < qm_node_count(points); i++) {
        struct qm_node *row = begin_row(entry, scheme);
        const struct qm_node *gain = gain_of(scheme, qm_node_at(points, i));
        set_point(row, qm_node_at(points, i), "throughput", "rate_tokens_per_s");
        copy(row, "baseline", entry->result, "profile.baseline");
        if (gain)
            copy_estimate(row, "gain_over_baseline", "", gain, "ratio");
        QM_TRY(qm_export_row(export, row, markdown_of));
    }
    if (qm_node_is_mapping(sustained)) {
        struct qm_node *row = begin_row(entry, scheme);
        set_point(row, sustained, "sustained", "rate");
        copy(row, "steady", sustained, "steady");
        copy_estimate(row, "sustained_over_burst", "", qm_node_child(sustained, "ratio_to_burst"), "value");
        return qm_export_row(export, row, markdown_of);
    }
    return qm_node_count(points) == 0 ? qm_export_row(export, begin_row(entry, scheme), markdown_of) : QM_OK;
}

enum qm_status qm_show_export(const struct qm_export *export, const struct qm_result_entry *entry)
{
    const struct qm_node *schemes = qm_node_child(entry->result, "schemes");
    for (size_t i = 0; i < qm_node_count(schemes); i++)
        QM_TRY(export_scheme(export, entry, qm_node_at(schemes, i)));
    return QM_OK;
}
