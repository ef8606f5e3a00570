#include "cli/sweep.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/sweep.h"
#include "cli/progress.h"
#include "cli/verbs.h"
#include "record/node.h"
#include "report/table.h"
#include "sys/host.h"
#include "sys/process.h"

#define BACKEND_WORDS "accuracy of the reference backend, not of a device"

static double seconds(const struct qm_sweep_row *row)
{
    return row->collecting_s + row->building_s;
}

static void estimate_cell(struct qm_table *table, const char *before, const struct qm_estimate *estimate, int digits)
{
    switch (estimate->state) {
    case QM_ESTIMATE_INTERVAL:
        qm_table_cell(table, "%s%.*g [%.*g, %.*g]", before, digits, estimate->value, digits, estimate->low, digits,
                      estimate->high);
        break;
    case QM_ESTIMATE_POINT:
        qm_table_cell(table, "%s%.*g, no interval", before, digits, estimate->value);
        break;
    default:
        qm_table_cell(table, "%s", qm_estimate_state_name(estimate->state));
    }
}

static bool is_told_apart(const struct qm_ranked *ranked)
{
    return ranked->over_best.state == QM_ESTIMATE_INTERVAL && ranked->over_best.low > 0;
}

static void row_cells(struct qm_table *table, const struct qm_sweep_row *row)
{
    const struct qm_ranked *ranked = &row->ranked;
    qm_table_row(table);
    if (row->status != QM_OK)
        qm_table_cell(table, "failed");
    else if (ranked->rank_first == ranked->rank_last)
        qm_table_cell(table, "%" PRIu32, ranked->rank_first);
    else
        qm_table_cell(table, "%" PRIu32 "-%" PRIu32, ranked->rank_first, ranked->rank_last);
    qm_table_cell(table, "%s", row->scheme.name);
    if (row->windows > 0) {
        qm_table_cell(table, "%" PRIu32, row->windows);
        qm_table_cell(table, "%" PRIu64, row->tokens);
    } else {
        qm_table_cell(table, "none");
        qm_table_cell(table, "none");
    }
    if (row->status != QM_OK) {
        qm_table_span(table, "%s", row->reason);
        return;
    }
    qm_table_cell(table, "%.2f", seconds(row));
    qm_table_cell(table, "%.2f", row->collecting_s);
    qm_table_cell(table, "%" PRIu64, row->bytes);
    estimate_cell(table, "", &row->kl, 3);
    if (ranked->is_best)
        qm_table_cell(table, "best");
    else
        estimate_cell(table, is_told_apart(ranked) ? "+" : "= best, +", &ranked->over_best, 3);
    estimate_cell(table, "", &row->perplexity_ratio, 5);
}

static void print_head(const struct qm_sweep *sweep, const struct qm_preparation *p)
{
    printf("%s: %zu calibrators, ranked by KL divergence from fp32; " BACKEND_WORDS "\n", sweep->scheme.name,
           sweep->method_count);
    printf("scored:     %" PRIu64 " tokens of %" PRIu32 " sequences in %" PRIu32 " windows (%s)\n",
           sweep->scored_tokens, sweep->sequences, p->evaluation->set.windows, p->evaluation->name);
    printf("calibrated: windows of %" PRIu32 " tokens (%s); no example but facts is in both sets\n",
           p->calibration->set.window_tokens, p->calibration->name);
    printf("time s:     on this machine, once; collecting is one run for all calibrators, with all that any needs\n");
    printf("over best:  paired, the same tokens; '= best' where the interval holds 0. A range of ranks: not told "
           "apart\n\n");
}

static int print_table(const struct qm_sweep *sweep, const struct qm_preparation *p)
{
    static const struct {
        const char *title;
        bool is_right;
    } columns[] = {{"rank", true},       {"calibrator", false},      {"windows", true}, {"tokens", true},
                   {"time s", true},     {"of it collecting", true}, {"bytes", true},   {"KL mean", false},
                   {"over best", false}, {"PPL ratio", false}};
    int code = QM_EXIT_OK;
    struct qm_table *table = qm_table_create();
    for (size_t c = 0; c < sizeof(columns) / sizeof(columns[0]); ++c)
        qm_table_column(table, columns[c].title, columns[c].is_right);
    for (size_t i = 0; i < sweep->row_count; ++i) {
        row_cells(table, &sweep->rows[i]);
        if (sweep->rows[i].status != QM_OK)
            code = qm_exit_of(sweep->rows[i].status);
    }
    print_head(sweep, p);
    enum qm_status status = qm_table_write(table, stdout, 0, false);
    qm_table_destroy(&table);
    const struct qm_sweep_row *cheapest = qm_sweep_cheapest(sweep);
    if (cheapest) {
        printf("\nleast time of those not told apart from the best: %s", cheapest->scheme.name);
        if (cheapest->windows > 0)
            printf(", %" PRIu32 " windows", cheapest->windows);
        printf(", %.2f s\n", seconds(cheapest));
    }
    return status == QM_OK ? code : qm_verb_fail(status);
}

static void set_estimate(struct qm_node *row, const char *key, const struct qm_estimate *estimate)
{
    const bool has_value = estimate->state == QM_ESTIMATE_POINT || estimate->state == QM_ESTIMATE_INTERVAL;
    struct qm_node *node = qm_node_add_mapping(row, key);
    if (has_value)
        qm_node_set_double(node, "value", estimate->value);
    else
        qm_node_set_text(node, "value", qm_estimate_state_name(estimate->state));
    if (estimate->state == QM_ESTIMATE_INTERVAL) {
        qm_node_set_double(node, "low", estimate->low);
        qm_node_set_double(node, "high", estimate->high);
    } else {
        qm_node_set_text(node, "low", qm_estimate_state_name(estimate->state));
        qm_node_set_text(node, "high", qm_estimate_state_name(estimate->state));
    }
}

static void add_row(struct qm_node *rows, const struct qm_sweep_row *row)
{
    struct qm_node *node = qm_node_append_mapping(rows);
    qm_node_set_text(node, "scheme", row->scheme.name);
    qm_node_set_text(node, "calibrator", qm_calibrator_name(row->scheme.calibrator));
    if (row->windows > 0) {
        qm_node_set_u64(node, "calibration_windows", row->windows);
        qm_node_set_u64(node, "calibration_tokens", row->tokens);
    } else {
        qm_node_set_text(node, "calibration_windows", "none");
        qm_node_set_text(node, "calibration_tokens", "none");
    }
    qm_node_set_text(node, "status", row->status == QM_OK ? "ok" : "failed");
    if (row->status != QM_OK) {
        qm_node_set_text(node, "reason", row->reason);
        return;
    }
    qm_node_set_double(node, "time_s", seconds(row));
    qm_node_set_double(node, "collecting_s", row->collecting_s);
    qm_node_set_double(node, "building_s", row->building_s);
    qm_node_set_u64(node, "bytes", row->bytes);
    qm_node_set_text(node, "artifact", row->artifact_id);
    set_estimate(node, "kl_divergence_mean", &row->kl);
    set_estimate(node, "over_best", &row->ranked.over_best);
    set_estimate(node, "perplexity_ratio", &row->perplexity_ratio);
    qm_node_set_bool(node, "best", row->ranked.is_best);
    qm_node_set_u64(node, "rank_first", row->ranked.rank_first);
    qm_node_set_u64(node, "rank_last", row->ranked.rank_last);
}

static int print_json(const struct qm_sweep *sweep, const struct qm_preparation *p)
{
    int code = QM_EXIT_OK;
    struct qm_node *root = qm_node_new_mapping();
    qm_node_set_text(root, "scheme", sweep->scheme.name);
    qm_node_set_text(root, "accuracy_of", "reference backend");
    struct qm_node *model = qm_node_add_mapping(root, "model");
    qm_node_set_text(model, "sha256", p->model->sha256);
    struct qm_node *evaluation = qm_node_add_mapping(root, "evaluation");
    qm_node_set_text(evaluation, "name", p->evaluation->name);
    qm_node_set_text(evaluation, "sha256", p->evaluation->sha256);
    qm_node_set_u64(evaluation, "windows", p->evaluation->set.windows);
    qm_node_set_u64(evaluation, "tokens", sweep->scored_tokens);
    qm_node_set_u64(evaluation, "sequences", sweep->sequences);
    struct qm_node *calibration = qm_node_add_mapping(root, "calibration");
    qm_node_set_text(calibration, "name", p->calibration->name);
    qm_node_set_u64(calibration, "window_tokens", p->calibration->set.window_tokens);
    const struct qm_bootstrap *bootstrap = &p->profile.bootstrap;
    struct qm_node *intervals = qm_node_add_mapping(root, "bootstrap");
    qm_node_set_text(intervals, "generator", QM_BOOTSTRAP_GENERATOR);
    qm_node_set_u64(intervals, "seed", bootstrap->seed);
    qm_node_set_u64(intervals, "resamples", bootstrap->resamples);
    qm_node_set_double(intervals, "confidence", bootstrap->confidence_permille / 1000.0);
    struct qm_node *rows = qm_node_add_sequence(root, "rows");
    for (size_t i = 0; i < sweep->row_count; ++i) {
        add_row(rows, &sweep->rows[i]);
        if (sweep->rows[i].status != QM_OK)
            code = qm_exit_of(sweep->rows[i].status);
    }
    int printed = qm_verb_print_json(&root);
    return printed == QM_EXIT_OK ? code : printed;
}

static enum qm_status check_scheme(const char *schemes)
{
    if (!schemes)
        return QM_FAIL(QM_INVALID, "calibrate: --sweep tries calibrators for one scheme; name it, as in "
                                   "--scheme w4a16-g32 --sweep");
    if (strchr(schemes, ','))
        return QM_FAIL(QM_INVALID, "calibrate: --sweep takes one scheme and '%s' is a list; sweep one after the other",
                       schemes);
    return QM_OK;
}

int qm_calibrate_sweep(const struct qm_preparation_params *params, const char *schemes, const char *sizes, bool as_json)
{
    enum qm_status status = QM_OK;
    struct qm_preparation *preparation = NULL;
    struct qm_progress_line line;
    char title[QM_SCHEME_NAME_BYTES + 16];
    int code = QM_EXIT_OK;
    struct qm_sweep *sweep = calloc(1, sizeof(*sweep));
    if (!sweep)
        return qm_verb_fail(QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a sweep"));
    QM_GUARD(check_scheme(schemes));
    QM_GUARD(qm_preparation_read(params, &preparation));
    QM_GUARD(qm_sweep_plan(schemes, sizes, preparation->profile.calibration.windows, sweep));
    qm_interrupt_watch();
    snprintf(title, sizeof(title), "sweep of %s", sweep->scheme.name);
    qm_progress_begin(&line, title, 0);
    status = qm_sweep_run(sweep, preparation, params->cache_directory, qm_progress_show, &line);
    qm_progress_end(&line);
    if (status == QM_OK)
        code = as_json ? print_json(sweep, preparation) : print_table(sweep, preparation);
done:
    qm_preparation_destroy(&preparation);
    free(sweep);
    if (status != QM_OK && qm_interrupted()) {
        fprintf(stderr, "qmark: interrupted; a sweep keeps nothing\n");
        return QM_EXIT_INTERRUPTED;
    }
    return status == QM_OK ? code : qm_verb_fail(status);
}
