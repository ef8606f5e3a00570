#include "report/history.h"
#include "base/text.h"
#include "record/node.h"
#include "record/result.h"
#include "report/facts.h"
#include "report/table.h"

#include <stdlib.h>
#include <string.h>

#define INTERVAL_BYTES 128
#define HASH_DIGITS 12

// "VALUE [LOW, HIGH]", the value alone without an interval.
static void show_estimate(const struct qm_node *holder, const char *key, char text[INTERVAL_BYTES])
{
    char value[QM_SHOW_NUMBER_BYTES];
    char low[QM_SHOW_NUMBER_BYTES];
    char high[QM_SHOW_NUMBER_BYTES];
    qm_show_number(qm_node_child(holder, key), value);
    qm_show_number(qm_node_child(holder, "low"), low);
    qm_show_number(qm_node_child(holder, "high"), high);
    if (qm_node_is_number(qm_node_child(holder, "low")) && qm_node_is_number(qm_node_child(holder, "high")))
        snprintf(text, INTERVAL_BYTES, "%s [%s, %s]", value, low, high);
    else
        snprintf(text, INTERVAL_BYTES, "%s", value);
}

static void add_accuracy(struct qm_table *table, const struct qm_node *row)
{
    char text[INTERVAL_BYTES];
    const struct qm_node *divergence = qm_node_get(row, "accuracy.kl_divergence");
    if (!divergence) {
        qm_table_cell(table, "accuracy: not measured");
        return;
    }
    show_estimate(divergence, "mean", text);
    qm_table_cell(table, "%s", text);
}

// "WRONG: reason" of a row that has no speed.
static void show_failure(const struct qm_node *row, char text[INTERVAL_BYTES])
{
    snprintf(text, INTERVAL_BYTES, "%.20s: %.90s", qm_result_status_word(row),
             qm_node_text_at(row, "reason", "undisclosed"));
}

static void add_hash(struct qm_table *table, const struct qm_node *result)
{
    const char *intact = qm_node_text_at(result, "intact", "false");
    qm_table_cell(table, "%.*s%s", HASH_DIGITS, qm_node_text_at(result, "hash", "?"),
                  strcmp(intact, "true") == 0 ? "" : " CHANGED");
}

// ---- List ---------------------------------------------------------------------------------------------------------

static void add_rate(struct qm_table *table, const struct qm_node *scheme, const char *phase)
{
    char text[INTERVAL_BYTES];
    const struct qm_node *point = qm_node_child(scheme, phase);
    if (!point) {
        qm_table_cell(table, "-");
        return;
    }
    show_estimate(point, "rate_tokens_per_s", text);
    qm_table_cell(table, "%s", text);
}

static void add_row(struct qm_table *table, const struct qm_node *result, const struct qm_node *scheme)
{
    char text[INTERVAL_BYTES];
    qm_table_row(table);
    qm_table_cell(table, "%.20s", qm_node_text_at(result, "started", "?"));
    add_hash(table, result);
    qm_table_cell(table, "%.40s", qm_node_text_at(result, "device_name", "?"));
    qm_table_cell(table, "%.20s", qm_node_text_at(result, "api", "?"));
    qm_table_cell(table, "%.40s", qm_node_text_at(result, "driver_version", "?"));
    qm_table_cell(table, "%.60s", qm_node_text_at(scheme, "name", "?"));
    add_accuracy(table, scheme);
    if (qm_result_row_is_ok(scheme)) {
        add_rate(table, scheme, "prefill");
        add_rate(table, scheme, "decode");
    } else {
        show_failure(scheme, text);
        qm_table_span(table, "%s", text);
    }
}

enum qm_status qm_history_list_write(const struct qm_node *list, const struct qm_show_style *style, FILE *file)
{
    const struct qm_node *results = qm_node_child(list, "results");
    if (qm_node_count(results) == 0) {
        fprintf(file, "no result in the history fits\n");
        return QM_OK;
    }
    struct qm_table *table = qm_table_create();
    qm_table_column(table, "started", false);
    qm_table_column(table, "hash", false);
    qm_table_column(table, "device", false);
    qm_table_column(table, "API", false);
    qm_table_column(table, "driver version", false);
    qm_table_column(table, "scheme", false);
    qm_table_keep(table);
    qm_table_column(table, "KL mean", false);
    qm_table_keep(table); // no part of a wide table has a speed without it
    qm_table_column(table, "prefill t/s", false);
    qm_table_column(table, "decode t/s", false);
    for (size_t i = 0; i < qm_node_count(results); i++) {
        const struct qm_node *result = qm_node_at(results, i);
        const struct qm_node *schemes = qm_node_child(result, "schemes");
        for (size_t k = 0; k < qm_node_count(schemes); k++)
            add_row(table, result, qm_node_at(schemes, k));
    }
    enum qm_status status = qm_table_write(table, file, style->columns, style->is_fancy);
    qm_table_destroy(&table);
    return status;
}

// ---- Trend --------------------------------------------------------------------------------------------------------

struct range {
    double low, high;
    size_t count;
};

static void widen(struct range *range, double value)
{
    range->low = range->count == 0 || value < range->low ? value : range->low;
    range->high = range->count == 0 || value > range->high ? value : range->high;
    range->count++;
}

// A block for each run, from the lowest rate to the highest; '!' for one that was not ok.
static void write_blocks(const struct qm_node *runs, FILE *file)
{
    static const char *const blocks[] = {"\xe2\x96\x81", "\xe2\x96\x82", "\xe2\x96\x83", "\xe2\x96\x84",
                                         "\xe2\x96\x85", "\xe2\x96\x86", "\xe2\x96\x87", "\xe2\x96\x88"};
    struct range rates = {0};
    struct range divergences = {0};
    double value = 0;
    bool is_any_unmeasured = false;
    for (size_t i = 0; i < qm_node_count(runs); i++) {
        const struct qm_node *run = qm_node_at(runs, i);
        if (!qm_result_row_is_ok(run))
            continue;
        if (qm_node_double_at(run, "rate_tokens_per_s", &value))
            widen(&rates, value);
        if (qm_node_double_at(run, "accuracy.kl_divergence.mean", &value))
            widen(&divergences, value);
        else
            is_any_unmeasured = true;
    }
    if (rates.count < 2)
        return;
    for (size_t i = 0; i < qm_node_count(runs); i++) {
        const struct qm_node *run = qm_node_at(runs, i);
        if (!qm_result_row_is_ok(run) || !qm_node_double_at(run, "rate_tokens_per_s", &value)) {
            fputc('!', file);
            continue;
        }
        double part = rates.high > rates.low ? (value - rates.low) / (rates.high - rates.low) : 0.5;
        int step = part >= 0 && part < 1 ? (int)(part * 8) : 7;
        fputs(blocks[step], file);
    }
    fprintf(file, "  %.4g to %.4g t/s", rates.low, rates.high);
    if (divergences.count > 0)
        fprintf(file, "; KL mean %.3g to %.3g", divergences.low, divergences.high);
    fprintf(file, "%s\n", is_any_unmeasured ? "; accuracy: not measured (of some)" : "");
}

static void add_changes(struct qm_table *table, const struct qm_node *run)
{
    char text[INTERVAL_BYTES] = "";
    const struct qm_node *changed = qm_node_child(run, "changed");
    for (size_t i = 0; i < qm_node_count(changed); i++) {
        size_t used = strlen(text);
        const char *word = qm_node_text(qm_node_at(changed, i));
        snprintf(text + used, sizeof(text) - used, "%s%s", used ? ", " : "", word ? word : "?");
    }
    qm_table_cell(table, "%s", text);
}

static void add_run(struct qm_table *table, const struct qm_node *run)
{
    char text[INTERVAL_BYTES];
    qm_table_row(table);
    qm_table_cell(table, "%.20s", qm_node_text_at(run, "started", "?"));
    add_accuracy(table, run);
    if (qm_result_row_is_ok(run))
        show_estimate(run, "rate_tokens_per_s", text);
    else
        show_failure(run, text);
    qm_table_cell(table, "%s", text);
    add_changes(table, run);
    qm_table_cell(table, "%.40s", qm_node_text_at(run, "driver_version", "?"));
    qm_table_cell(table, "%.*s", HASH_DIGITS, qm_node_text_at(run, "kernel_hash", "?"));
    add_hash(table, run);
}

static void append_part(struct qm_text *text, const struct qm_node *series, const char *key, const char *title)
{
    const char *value = qm_node_text_at(series, key, NULL);
    if (value)
        qm_text_append(text, "; %s %s", title, value);
}

static void write_title(const struct qm_node *trend, const struct qm_node *series, FILE *file)
{
    struct qm_text text = {0};
    qm_text_append(&text, "%s, %s, batch %s", qm_node_text_at(trend, "scheme", "?"),
                   qm_node_text_at(trend, "phase", "?"), qm_node_text_at(trend, "batch", "?"));
    append_part(&text, series, "prompt", "prompt");
    append_part(&text, series, "depth", "depth");
    append_part(&text, series, "protocol", "protocol");
    append_part(&text, series, "tier", "tier");
    append_part(&text, series, "widen", "widened by");
    append_part(&text, series, "model", "model");
    qm_text_append(&text, "; %s", qm_node_text_at(series, "device", "?"));
    if (text.bytes)
        qm_text_clean(text.bytes);
    fprintf(file, "%s\n", qm_text_bytes(&text));
    qm_text_free(&text);
}

enum qm_status qm_history_trend_write(const struct qm_node *trend, const struct qm_show_style *style, bool with_blocks,
                                      FILE *file)
{
    const struct qm_node *list = qm_node_child(trend, "series");
    if (qm_node_count(list) == 0)
        fprintf(file, "no run in the history has this point\n");
    for (size_t i = 0; i < qm_node_count(list); i++) {
        const struct qm_node *series = qm_node_at(list, i);
        const struct qm_node *runs = qm_node_child(series, "runs");
        if (i > 0)
            fputc('\n', file);
        write_title(trend, series, file);
        if (with_blocks)
            write_blocks(runs, file);
        struct qm_table *table = qm_table_create();
        qm_table_column(table, "started", false);
        qm_table_column(table, "KL mean", false);
        qm_table_keep(table);
        qm_table_column(table, "t/s", false);
        qm_table_column(table, "changed", false);
        qm_table_column(table, "driver version", false);
        qm_table_column(table, "kernels", false);
        qm_table_column(table, "hash", false);
        for (size_t k = 0; k < qm_node_count(runs); k++)
            add_run(table, qm_node_at(runs, k));
        enum qm_status status = qm_table_write(table, file, style->columns, style->is_fancy);
        qm_table_destroy(&table);
        QM_TRY(status);
    }
    return QM_OK;
}
