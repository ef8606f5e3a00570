#include "cli/options.h"
#include "cli/verbs.h"
#include "record/claim.h"
#include "record/node.h"
#include "record/result_set.h"
#include "report/show.h"
#include "report/show_export.h"

#include <stdio.h>
#include <stdlib.h>

static int by_order(const void *a, const void *b)
{
    const struct qm_result_entry *x = a, *y = b;
    return (x->order > y->order) - (x->order < y->order);
}

static enum qm_status show_tables(const struct qm_result_set *set, struct qm_show_style style)
{
    for (size_t i = 0; i < set->count; i++) {
        style.is_changed = !set->entries[i].is_intact;
        qm_claim_tidy(
            set->entries[i].result); // a stranger's texts must not steer the terminal; the hash was looked at before
        if (i > 0)
            fputc('\n', stdout);
        QM_TRY(qm_show_result(set->entries[i].result, &style, stdout));
    }
    return QM_OK;
}

static int show_json(struct qm_result_set *set)
{
    struct qm_node *root = qm_node_new_mapping();
    struct qm_node *list = qm_node_add_sequence(root, "results");
    for (size_t i = 0; i < set->count; i++) {
        struct qm_node *row = qm_node_append_mapping(list);
        qm_node_set_text(row, "file", set->entries[i].path);
        qm_node_set_bool(row, "intact", set->entries[i].is_intact);
        qm_node_set_node(row, "result", set->entries[i].result);
        set->entries[i].result = NULL; // the list has it
    }
    return qm_verb_print_json(&root);
}

static enum qm_status show_rows(const struct qm_result_set *set, enum qm_form form)
{
    struct qm_export export;
    qm_show_export_begin(&export, form, stdout);
    for (size_t i = 0; i < set->count; i++)
        QM_TRY(qm_show_export(&export, &set->entries[i]));
    for (size_t i = 0; i < set->count && form == QM_FORM_MARKDOWN; i++)
        qm_show_export_sentences(&set->entries[i], stdout);
    return QM_OK;
}

int qm_verb_show(int argc, char **argv)
{
    const char *print = NULL;
    bool as_json = false;
    bool done = false;
    struct qm_show_style style = qm_show_style_of(1);
    const struct qm_option options[] = {
        {"points", QM_OPTION_FLAG, &style.with_points, NULL, "list every point of throughput as well"},
        {"sustained", QM_OPTION_FLAG, &style.with_sustained, NULL,
         "list the sustained runs as well: burst, last third, throttling, telemetry"},
        {"kernels", QM_OPTION_FLAG, &style.with_kernels, NULL,
         "list the device's ceilings as well, and every kernel with its share of them"},
        {"tasks", QM_OPTION_FLAG, &style.with_tasks, NULL, "list exact match of every task and difficulty as well"},
        {"details", QM_OPTION_FLAG, &style.with_details, NULL,
         "list percentiles, tails, calibration and greedy decoding as well"},
        {"print", QM_OPTION_TEXT, &print, QM_FORM_WORDS, "table if not given; docs/EXPORTS.md has the columns"},
        {"json", QM_OPTION_FLAG, &as_json, NULL, "the same as --print json: the results, whole"},
    };
    const struct qm_command command = {.verb = "show",
                                       .operands = "RESULT|DIR...",
                                       .operands_min = 1,
                                       .operands_max = 1000,
                                       .meaning = "Print results as tables, with what they disclose.",
                                       .details = "",
                                       .options = options,
                                       .option_count = sizeof(options) / sizeof(options[0])};
    const char **files = NULL;
    size_t count = 0;
    enum qm_status status = qm_command_parse(&command, argc, argv, &files, &count, &done);
    if (status != QM_OK)
        return qm_verb_fail(status);
    if (done)
        return QM_EXIT_OK;
    struct qm_result_set set;
    enum qm_form form = as_json ? QM_FORM_JSON : QM_FORM_TABLE;
    if (as_json && print)
        status = QM_FAIL(QM_INVALID, "show: --print and --json at once; choose one");
    else if (print)
        status = qm_form_find(print, &form);
    if (status == QM_OK)
        status = qm_result_set_load(files, count, &set);
    if (status != QM_OK)
        return qm_verb_fail(status);
    qsort(set.entries, set.count, sizeof(*set.entries), by_order);
    int code = QM_EXIT_OK;
    if (form == QM_FORM_JSON)
        code = show_json(&set);
    else
        status = form == QM_FORM_TABLE ? show_tables(&set, style) : show_rows(&set, form);
    qm_result_set_free(&set);
    return status == QM_OK ? code : qm_verb_fail(status);
}
