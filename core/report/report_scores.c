// The sixth section: what stands behind the accuracy of each scheme.
#include "report/report_sections.h"

#include "record/node.h"
#include "record/result.h"
#include "report/show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PIVOT_SCHEMES = 12, // beside each other in a table of tasks
    TASKS_MAX = 60,
    FORMATS_MAX = 40, // rows of one artifact
    ARTIFACTS_MAX = 120,
};

static bool is_scored(const struct qm_node *scheme)
{
    return qm_result_row_is_ok(scheme) && qm_node_is_mapping(qm_node_child(scheme, "accuracy"));
}

// ---- Tails --------------------------------------------------------------------------------------------------------

static const struct qm_node *detail_of(const struct qm_node *scheme, const char *metric)
{
    const struct qm_node *details = qm_node_get(scheme, "accuracy.details");
    for (size_t i = 0; i < qm_node_count(details); i++)
        if (strcmp(qm_node_text_at(qm_node_at(details, i), "metric", ""), metric) == 0)
            return qm_node_at(details, i);
    return NULL;
}

static void tails_row(struct qm_report *report, struct qm_html_table *table, size_t index, const struct qm_node *scheme)
{
    static const char *const percentiles[] = {"kl_divergence_p50", "kl_divergence_p90", "kl_divergence_p99"};
    const struct qm_node *kl = qm_node_get(scheme, "accuracy.kl_divergence");
    qm_html_table_row(table, (int)index, NULL);
    qm_report_cells_of(table, report, index, scheme);
    if (!is_scored(scheme)) {
        if (qm_result_row_is_ok(scheme))
            qm_html_cell_span(table, "why", "accuracy: not measured");
        else
            qm_report_cell_reason(table, scheme);
        return;
    }
    qm_report_cell_kl(table, scheme);
    for (size_t i = 0; i < sizeof(percentiles) / sizeof(percentiles[0]); i++) {
        const struct qm_node *detail = detail_of(scheme, percentiles[i]);
        if (!detail && i == 2)
            qm_report_cell_value(table, qm_node_child(kl, "p99"), "not measured");
        else
            qm_report_cell_estimate(table, detail, "value", "not measured");
    }
    qm_report_cell_estimate(table, detail_of(scheme, "kl_divergence_p99.9"), "value", "not measured");
    qm_report_cell_value(table, qm_node_child(kl, "max"), "not measured");
    qm_report_cell_share(table, detail_of(scheme, "kl_divergence_over_0.1"), "value", "not measured");
    qm_report_cell_share(table, qm_node_get(scheme, "accuracy.rms_delta_p"), "value", "not measured");
    qm_report_cell_estimate(table, qm_node_get(scheme, "accuracy.decode"), "kl_divergence_mean", "not measured");
    qm_report_cell_value(table, qm_node_get(scheme, "accuracy.backend_check.kl_divergence_mean"), "not measured");
    qm_report_cell_value(table, qm_node_get(scheme, "accuracy.backend_check.bound"), "undisclosed");
    qm_report_cell_value(table, qm_node_get(scheme, "accuracy.tokens"), "undisclosed");
}

static void tails(struct qm_report *report)
{
    static const char *const titles[] = {
        "KL mean, nats", "median",   "p90",       "p99",       "p99.9",
        "largest",       "over 0.1", "RMS of dp", "decode KL", "KL to reference backend",
        "its bound",     "tokens"};
    struct qm_html_table table;
    qm_html_table_begin(&table, report->out, ++report->tables, "Tails: how divergence from fp32 is spread over tokens",
                        "sortable");
    qm_html_table_column(&table, "result", 0);
    qm_html_table_column(&table, "scheme", 0);
    for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++)
        qm_html_table_column(&table, titles[i], QM_HTML_RIGHT);
    qm_report_rows(report, &table, tails_row);
    qm_html_table_end(&table);
}

// ---- Tasks --------------------------------------------------------------------------------------------------------

// The row of the same task and difficulty in another scheme, which has it at the same place as a rule.
static const struct qm_node *task_like(const struct qm_node *tasks, size_t place, const struct qm_node *like)
{
    for (size_t i = 0; i < qm_node_count(tasks) && i <= TASKS_MAX; i++) {
        const struct qm_node *row = qm_node_at(tasks, i == 0 ? place : i - 1);
        if (strcmp(qm_node_text_at(row, "task", ""), qm_node_text_at(like, "task", "?")) == 0 &&
            strcmp(qm_node_text_at(row, "difficulty", ""), qm_node_text_at(like, "difficulty", "?")) == 0)
            return row;
    }
    return NULL;
}

static void task_rows(struct qm_html_table *table, size_t index, const struct qm_node *const *schemes, size_t count,
                      bool only_graded)
{
    const struct qm_node *tasks = qm_node_get(schemes[0], "accuracy.tasks");
    for (size_t t = 0; t < qm_node_count(tasks) && t < TASKS_MAX; t++) {
        const struct qm_node *task = qm_node_at(tasks, t);
        bool is_graded = false;
        char text[200];
        if ((!qm_node_bool_at(task, "graded", &is_graded) || !is_graded) && only_graded)
            continue;
        snprintf(text, sizeof(text), "%.80s, %.80s", qm_node_text_at(task, "task", "?"),
                 qm_node_text_at(task, "difficulty", "?"));
        qm_html_table_row(table, (int)index, NULL);
        qm_html_cell_head(table, text);
        qm_report_cell_value(table, qm_node_child(task, "examples"), "?");
        qm_html_cell(table, is_graded ? "yes" : "no");
        qm_report_cell_share(table, qm_node_child(task, "reference"), "", "not measured");
        for (size_t s = 0; s < count; s++) {
            const struct qm_node *own = task_like(qm_node_get(schemes[s], "accuracy.tasks"), t, task);
            qm_report_cell_share(table, own, "value", "not measured");
        }
    }
}

static void tasks_of(struct qm_report *report, size_t index)
{
    const struct qm_node *list[QM_REPORT_SCHEMES], *scored[QM_REPORT_SCHEMES];
    size_t left = 0, count = qm_report_schemes(qm_report_result(report, index), list, &left), scored_count = 0;
    char caption[QM_REPORT_LABEL_BYTES + 80];
    for (size_t i = 0; i < count; i++)
        if (is_scored(list[i]) && qm_node_count(qm_node_get(list[i], "accuracy.tasks")) > 0)
            scored[scored_count++] = list[i];
    for (size_t from = 0; from < scored_count; from += PIVOT_SCHEMES) {
        size_t now = scored_count - from < PIVOT_SCHEMES ? scored_count - from : PIVOT_SCHEMES;
        struct qm_html_table table;
        snprintf(caption, sizeof(caption), "Exact match by task and difficulty%s: %s",
                 report->is_large ? ", of graded tasks" : "", report->labels[index]);
        qm_html_table_begin(&table, report->out, ++report->tables, caption, "sortable");
        qm_html_table_column(&table, "task, difficulty", 0);
        qm_html_table_column(&table, "examples", QM_HTML_RIGHT);
        qm_html_table_column(&table, "graded", 0);
        qm_html_table_column(&table, "fp32", QM_HTML_RIGHT);
        for (size_t s = 0; s < now; s++)
            qm_html_table_column(&table, qm_node_text_at(scored[from + s], "name", "?"), QM_HTML_RIGHT);
        task_rows(&table, index, scored + from, now, report->is_large);
        qm_html_table_end(&table);
    }
}

// ---- Answers to a user's examples -----------------------------------------------------------------------------------

static void answers(struct qm_report *report)
{
    static const char *const shares[] = {"accuracy", "reference", "difference"};
    static const char *const counts[] = {"right_to_wrong", "wrong_to_right", "unjudged", "examples"};
    static const char *const titles[] = {"right",          "fp32's right", "difference", "right to wrong",
                                         "wrong to right", "unjudged",     "examples"};
    struct qm_html_table table;
    bool is_begun = false;
    for (size_t i = 0; i < report->set->count; i++) {
        const struct qm_node *list[QM_REPORT_SCHEMES];
        size_t left = 0, count = qm_report_schemes(qm_report_result(report, i), list, &left);
        for (size_t k = 0; k < count; k++) {
            const struct qm_node *own = qm_node_get(list[k], "accuracy.answers");
            if (!qm_result_row_is_ok(list[k]) || !qm_node_is_mapping(own))
                continue;
            if (!is_begun) {
                qm_html_table_begin(&table, report->out, ++report->tables, "Answers to the user's own examples",
                                    "sortable");
                qm_html_table_column(&table, "result", 0);
                qm_html_table_column(&table, "scheme", 0);
                for (size_t t = 0; t < sizeof(titles) / sizeof(titles[0]); t++)
                    qm_html_table_column(&table, titles[t], QM_HTML_RIGHT);
                is_begun = true;
            }
            qm_html_table_row(&table, (int)i, NULL);
            qm_report_cells_of(&table, report, i, list[k]);
            for (size_t s = 0; s < 3; s++)
                qm_report_cell_share(&table, qm_node_child(own, shares[s]), "value", "not measured");
            for (size_t s = 0; s < 4; s++)
                qm_report_cell_value(&table, qm_node_child(own, counts[s]), "?");
        }
    }
    if (is_begun)
        qm_html_table_end(&table);
}

// ---- Calibration --------------------------------------------------------------------------------------------------

static const char *artifact_of(const struct qm_node *scheme)
{
    return qm_node_text_at(scheme, "artifact.id", "undisclosed");
}

static void formats_row(struct qm_report *report, struct qm_html_table *table, const char *results,
                        const struct qm_node *scheme, const struct qm_node *row)
{
    static const char *const numbers[] = {"scale_min", "scale_max", "clipped_fraction", "error_worst", "bytes"};
    qm_html_table_row(table, -1, NULL);
    qm_html_cell_head(table, qm_node_text_at(scheme, "name", "?"));
    qm_html_cell_open(table, "code");
    qm_html_textf(report->out, "%.12s", artifact_of(scheme));
    qm_html_cell_close(table);
    qm_html_cell(table, results);
    if (!row) { // of an older qmark, or of a scheme whose tensors all share one format
        const struct qm_node *method = qm_node_get(scheme, "disclosure.calibration_method");
        const char *words = qm_node_text(method);
        qm_html_cell(table, "all, in one");
        qm_report_cell_path(table, scheme, "disclosure.precision.weights.format", "undisclosed");
        qm_report_cell_value(table, qm_node_get(scheme, "disclosure.precision.weights.group_size"), "undisclosed");
        qm_report_cell_path(table, scheme, "disclosure.precision.activations.format", "undisclosed");
        qm_report_cell_path(table, scheme, "disclosure.precision.weights.error", "undisclosed");
        qm_report_cell_value(table, NULL, "undisclosed");
        qm_report_cell_value(table, NULL, "undisclosed");
        qm_report_cell_value(table, qm_node_child(method, "clipped_fraction"), words ? words : "undisclosed");
        qm_report_cell_value(table, qm_node_child(method, "error_worst"), words ? words : "undisclosed");
        qm_report_cell_value(table, qm_node_get(scheme, "memory.weights_bytes"), "undisclosed");
        return;
    }
    qm_html_cell_open(table, "w");
    qm_html_short(report->out, qm_node_text_at(row, "tensors", "undisclosed"), 120);
    qm_html_cell_close(table);
    qm_report_cell_path(table, row, "weights", "undisclosed");
    qm_report_cell_value(table, qm_node_child(row, "group_size"), "undisclosed");
    qm_report_cell_path(table, row, "activations", "-");
    qm_report_cell_path(table, row, "bound", "undisclosed");
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        qm_report_cell_value(table, qm_node_child(row, numbers[i]), "-");
}

// An artifact is the same bytes on every device, so that it has one table for all results.
struct artifact {
    const struct qm_node *scheme;
    char results[80];
    size_t last, count;
};

static void note_artifact(struct artifact *list, size_t *count, const struct qm_node *scheme, size_t index)
{
    size_t i = 0;
    while (i < *count &&
           (strcmp(artifact_of(list[i].scheme), artifact_of(scheme)) != 0 ||
            strcmp(qm_node_text_at(list[i].scheme, "name", ""), qm_node_text_at(scheme, "name", "")) != 0))
        i++;
    if (i == ARTIFACTS_MAX || (i < *count && list[i].count > 0 && list[i].last == index))
        return;
    if (i == *count)
        list[(*count)++] = (struct artifact){.scheme = scheme};
    size_t used = strlen(list[i].results);
    if (used + 8 < sizeof(list[i].results))
        snprintf(list[i].results + used, sizeof(list[i].results) - used, "%s%zu", used ? ", " : "", index + 1);
    list[i].last = index;
    list[i].count++;
}

static enum qm_status calibration(struct qm_report *report)
{
    static const char *const titles[] = {"tensors",      "weights",        "group size", "activations",        "bound",
                                         "scale, least", "scale, largest", "clipped",    "worst error, steps", "bytes"};
    static const unsigned flags[] = {QM_HTML_WRAP, 0, 1, 0, 0, 1, 1, 1, 1, 1};
    struct artifact *list = calloc(ARTIFACTS_MAX + 1, sizeof(*list));
    size_t artifacts = 0;
    struct qm_html_table table;
    if (!list)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the report's calibration");
    for (size_t i = 0; i < report->set->count; i++) {
        const struct qm_node *schemes[QM_REPORT_SCHEMES];
        size_t left = 0, count = qm_report_schemes(qm_report_result(report, i), schemes, &left);
        for (size_t k = 0; k < count; k++)
            if (qm_result_row_is_ok(schemes[k]))
                note_artifact(list, &artifacts, schemes[k], i);
    }
    qm_html_table_begin(&table, report->out, ++report->tables, "Calibration, tensor by tensor", "sortable");
    qm_html_table_column(&table, "scheme", 0);
    qm_html_table_column(&table, "artifact", 0);
    qm_html_table_column(&table, "in results", 0);
    for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++)
        qm_html_table_column(&table, titles[i], flags[i]);
    for (size_t a = 0; a < artifacts; a++) {
        const struct qm_node *formats = qm_node_get(list[a].scheme, "disclosure.tensors.formats");
        size_t rows = qm_node_count(formats);
        if (rows == 0)
            formats_row(report, &table, list[a].results, list[a].scheme, NULL);
        for (size_t r = 0; r < rows && r < FORMATS_MAX; r++)
            formats_row(report, &table, list[a].results, list[a].scheme, qm_node_at(formats, r));
        if (rows > FORMATS_MAX) {
            qm_html_table_row(&table, -1, NULL);
            qm_html_cell_span(&table, "why", "more tensors than are shown here; the result lists them all");
        }
    }
    qm_html_table_end(&table);
    free(list);
    return QM_OK;
}

enum qm_status qm_report_accuracy(struct qm_report *report)
{
    qm_report_section_begin(
        report, "accuracy", 6, "What stands behind the accuracy",
        "Divergence from the fp32 reference token by token, tasks whose answers are exact, and how "
        "each tensor was calibrated. Every score is of the artifact that was timed, through the same "
        "kernels on the same device.");
    QM_TRY(qm_report_pictures(report, QM_PICTURE_ACCURACY, 2));
    tails(report);
    for (size_t i = 0; i < report->set->count; i++) {
        if (i == 1)
            qm_text_append(report->out, "<details class=\"more\"><summary>Tasks of the other results</summary>\n");
        tasks_of(report, i);
    }
    if (report->set->count > 1)
        qm_text_append(report->out, "</details>\n");
    if (report->is_large)
        qm_text_append(report->out, "<p class=\"left\">Tasks that are not graded are left out of a page of so many "
                                    "schemes; <code>qmark show --tasks</code> lists them.</p>\n");
    answers(report);
    QM_TRY(calibration(report));
    qm_report_beware(report, "an interval says how far chance goes on this evaluation set. It says nothing of other "
                             "texts. Tasks that are not graded do not count in the exact match, and a task with few "
                             "examples tells little.");
    qm_report_section_end(report);
    return QM_OK;
}
