// The second and third section: what speed costs on each device, and devices side by side.
#include "report/report_sections.h"

#include "record/node.h"
#include "record/result.h"
#include "report/show.h"
#include "report/show_speed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- The trade ----------------------------------------------------------------------------------------------------

static void cell_gain(struct qm_html_table *table, const struct qm_node *scheme, const char *phase,
                      const char *baseline)
{
    const struct qm_node *gain = qm_show_gain(scheme, phase);
    bool is_baseline = strcmp(qm_node_text_at(scheme, "name", ""), baseline) == 0;
    if (is_baseline || !gain)
        qm_report_cell_value(table, NULL, is_baseline ? "baseline" : "not measured");
    else
        qm_report_cell_estimate(table, gain, "ratio", "not measured");
}

static void cell_rate(struct qm_html_table *table, const struct qm_node *scheme, const char *phase)
{
    const struct qm_node *point = qm_show_point(scheme, phase);
    if (point)
        qm_report_cell_estimate(table, point, "rate_tokens_per_s", "not measured");
    else
        qm_report_cell_value(table, NULL, "not measured");
}

static void cell_memory(struct qm_html_table *table, const struct qm_node *scheme)
{
    uint64_t bytes = 0;
    char text[QM_SHOW_NUMBER_BYTES];
    if (!qm_node_u64_at(scheme, "memory.total_bytes", &bytes)) {
        qm_report_cell_value(table, qm_node_get(scheme, "memory.total_bytes"), "not measured");
        return;
    }
    snprintf(text, sizeof(text), "%.1f", (double)bytes / 1048576.0);
    qm_html_cell_number(table, text);
}

static void cell_verdict(struct qm_html_table *table, const struct qm_node *scheme)
{
    const char *verdict = qm_node_text_at(scheme, "accuracy.acceptance.verdict", "not stated");
    qm_html_cell_open(table, strcmp(verdict, "pass") == 0 ? "yes" : strcmp(verdict, "fail") == 0 ? "no" : "notes");
    qm_html_text(table->out, verdict);
    qm_html_cell_close(table);
}

static void trade_row(struct qm_report *report, struct qm_html_table *table, size_t index, const struct qm_node *scheme)
{
    const char *baseline = qm_node_text_at(qm_report_result(report, index), "profile.baseline", "");
    const struct qm_node *accuracy = qm_node_child(scheme, "accuracy");
    char sustained[QM_SHOW_SUSTAINED_BYTES];
    bool is_ok = qm_result_row_is_ok(scheme);
    qm_html_table_row(table, (int)index, is_ok ? NULL : "not-ok");
    qm_report_cells_of(table, report, index, scheme);
    if (!is_ok) {
        qm_report_cell_reason(table, scheme);
        return;
    }
    qm_report_cell_kl(table, scheme);
    cell_gain(table, scheme, "decode", baseline);
    cell_gain(table, scheme, "prefill", baseline);
    qm_report_cell_share(table, qm_node_get(accuracy, "top1_agreement"), "value", "not measured");
    qm_report_cell_estimate(table, qm_node_get(accuracy, "perplexity.ratio"), "value", "not measured");
    qm_report_cell_share(table, qm_node_get(accuracy, "exact_match"), "value", "not measured");
    cell_verdict(table, scheme);
    cell_rate(table, scheme, "decode");
    cell_rate(table, scheme, "prefill");
    qm_show_sustained_cell(scheme, sustained);
    qm_html_cell(table, sustained);
    cell_memory(table, scheme);
}

enum qm_status qm_report_trade(struct qm_report *report)
{
    static const char *const titles[] = {"KL to fp32, nats", "decode gain", "prefill gain", "top-1 agreement",
                                         "perplexity ratio", "exact match", "acceptance",   "decode t/s",
                                         "prefill t/s",      "sustained",   "memory MiB"};
    static const unsigned flags[] = {1, 1, 1, 1, 1, 1, 0, 1, 1, 0, 1};
    struct qm_html_table table;
    qm_report_section_begin(report, "trade", 2, "The trade",
                            "What each scheme gains in speed over the baseline of its own device, and what it costs in "
                            "accuracy, both with their intervals. A scheme that is wrong, failed or was not scored has "
                            "no mark and no speed; the table says why.");
    QM_TRY(qm_report_pictures(report, QM_PICTURE_TRADE, 1));
    qm_html_table_begin(&table, report->out, ++report->tables, "Every scheme on every device", "sortable");
    qm_html_table_column(&table, "result", 0);
    qm_html_table_column(&table, "scheme", 0);
    for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++)
        qm_html_table_column(&table, titles[i], flags[i]);
    qm_report_rows(report, &table, trade_row);
    qm_html_table_end(&table);
    qm_report_beware(report, "a gain is over the baseline of the same device, so that gains of two devices say nothing "
                             "of which is faster. A small divergence on this evaluation set is no promise for another "
                             "task.");
    qm_report_section_end(report);
    return QM_OK;
}

// ---- Side by side -------------------------------------------------------------------------------------------------

static const struct qm_compare_scheme_key *key_of(const struct qm_compare_key *key, const char *name)
{
    for (size_t i = 0; i < key->count; i++)
        if (strcmp(key->schemes[i].name, name) == 0)
            return &key->schemes[i];
    return NULL;
}

static const struct qm_node *scheme_of(const struct qm_node *result, const char *name)
{
    const struct qm_node *schemes = qm_node_child(result, "schemes");
    for (size_t i = 0; i < qm_node_count(schemes); i++)
        if (strcmp(qm_node_text_at(qm_node_at(schemes, i), "name", ""), name) == 0)
            return qm_node_at(schemes, i);
    return NULL;
}

static size_t first_of_group(const struct qm_report *report, size_t group)
{
    for (size_t i = 0; i < report->set->count; i++)
        if (report->groups[i] == group)
            return i;
    return 0;
}

static size_t group_size(const struct qm_report *report, size_t group)
{
    size_t count = 0;
    for (size_t i = 0; i < report->set->count; i++)
        count += report->groups[i] == group;
    return count;
}

static void side_row(struct qm_report *report, struct qm_html_table *table, size_t index, const struct qm_node *scheme)
{
    char sustained[QM_SHOW_SUSTAINED_BYTES];
    qm_html_table_row(table, (int)index, NULL);
    qm_html_cell_head(table, qm_node_text_at(scheme, "name", "?"));
    qm_html_cell_open(table, "d");
    qm_html_short(table->out, report->labels[index], 60);
    qm_html_cell_close(table);
    qm_report_cell_kl(table, scheme);
    cell_rate(table, scheme, "decode");
    cell_rate(table, scheme, "prefill");
    qm_show_sustained_cell(scheme, sustained);
    qm_html_cell(table, sustained);
}

// The rows of one group: those of one scheme stand together, and only where the schemes' own keys agree, too.
static void group_table(struct qm_report *report, size_t group)
{
    struct qm_html_table table;
    size_t first = first_of_group(report, group);
    const struct qm_compare_key *key = &report->keys[first];
    size_t shown = key->count < QM_REPORT_SCHEMES ? key->count : QM_REPORT_SCHEMES;
    char caption[120];
    snprintf(caption, sizeof(caption), "Comparable rows of %zu results, by scheme", group_size(report, group));
    qm_html_table_begin(&table, report->out, ++report->tables, caption, "sortable");
    qm_html_table_column(&table, "scheme", 0);
    qm_html_table_column(&table, "result", 0);
    qm_html_table_column(&table, "KL to fp32, nats", QM_HTML_RIGHT);
    qm_html_table_column(&table, "decode t/s", QM_HTML_RIGHT);
    qm_html_table_column(&table, "prefill t/s", QM_HTML_RIGHT);
    qm_html_table_column(&table, "sustained", 0);
    for (size_t s = 0; s < shown; s++) {
        for (size_t i = first; i < report->set->count; i++) {
            const struct qm_compare_scheme_key *own =
                report->groups[i] == group ? key_of(&report->keys[i], key->schemes[s].name) : NULL;
            if (own && memcmp(own->own, key->schemes[s].own, sizeof(own->own)) == 0)
                side_row(report, &table, i, scheme_of(qm_report_result(report, i), own->name));
        }
    }
    if (key->count > shown)
        qm_report_row_left(&table, report, first, key->count - shown);
    qm_html_table_end(&table);
}

// Why a result stands apart from the largest group: the first difference that is fatal.
static enum qm_status apart_row(struct qm_report *report, struct qm_html_table *table, size_t index, size_t against)
{
    struct qm_comparison comparison;
    QM_TRY(qm_compare(qm_report_result(report, against), qm_report_result(report, index), &comparison));
    const struct qm_difference *first = comparison.count > 0 ? &comparison.differences[0] : NULL;
    bool is_fatal = first && first->class == QM_DIFFERENCE_FATAL;
    qm_html_table_row(table, (int)index, NULL);
    qm_html_cell_head(table, report->labels[index]);
    qm_html_cell_open(table, "w");
    if (is_fatal)
        qm_html_text(table->out, first->why);
    else if (comparison.pair == QM_NOT_COMPARABLE)
        qm_html_text(table->out, "no scheme that both have is ok and comparable");
    else
        qm_html_text(table->out, "comparable with this one, but not with each of its group");
    qm_html_cell_close(table);
    qm_html_cell_open(table, "code");
    qm_html_short(table->out, is_fatal ? first->path : "", 60);
    qm_html_cell_close(table);
    qm_html_cell_open(table, "w");
    if (is_fatal) {
        qm_html_short(table->out, first->b, 24);
        qm_text_append(table->out, " in place of ");
        qm_html_short(table->out, first->a, 24);
    }
    qm_html_cell_close(table);
    qm_comparison_free(&comparison);
    return QM_OK;
}

static enum qm_status apart(struct qm_report *report, size_t largest)
{
    struct qm_html_table table;
    size_t against = first_of_group(report, largest);
    qm_html_table_begin(&table, report->out, ++report->tables, "Results that stand apart, and why", "stack");
    qm_html_table_column(&table, "result", 0);
    qm_html_table_column(&table, "why", QM_HTML_WRAP);
    qm_html_table_column(&table, "field", 0);
    qm_html_table_column(&table, "what it says", QM_HTML_WRAP);
    for (size_t i = 0; i < report->set->count; i++)
        if (report->groups[i] != largest)
            QM_TRY(apart_row(report, &table, i, against));
    qm_html_table_end(&table);
    qm_text_append(report->out,
                   "<p class=\"left\">Held against result <b>%zu</b>, the first of the largest group.</p>\n",
                   against + 1);
    return QM_OK;
}

enum qm_status qm_report_vendors(struct qm_report *report)
{
    size_t largest = 0, tables = 0;
    qm_report_section_begin(report, "vendors", 3, "Devices side by side",
                            "Rates stand beside each other only where every field that decides agrees: model, width, "
                            "protocol, sets, artifact, tiles. What does not agree stands apart, with the reason.");
    QM_TRY(qm_report_pictures(report, QM_PICTURE_VENDORS, 1));
    for (size_t g = 0; g < report->group_count; g++) {
        if (group_size(report, g) > group_size(report, largest))
            largest = g;
        if (group_size(report, g) < 2)
            continue;
        group_table(report, g);
        tables++;
    }
    if (tables == 0)
        qm_text_append(report->out, "<p>No two results of this report may stand side by side.</p>\n");
    if (report->group_count > 1)
        QM_TRY(apart(report, largest));
    qm_report_beware(report, "a faster device at a scheme that fails its acceptance is no faster at the task. "
                             "Intervals know the scatter within a run and nothing of what changes between runs.");
    qm_report_section_end(report);
    return QM_OK;
}
