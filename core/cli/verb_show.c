#include "cli/options.h"
#include "cli/verbs.h"
#include "record/claim.h"
#include "record/node.h"
#include "record/result.h"
#include "report/show.h"

#include <stdio.h>

static enum qm_status add_json(struct qm_node *list, const char *path)
{
    struct qm_node *result = NULL;
    bool is_intact = false;
    QM_TRY(qm_result_load(path, &result, &is_intact));
    struct qm_node *row = qm_node_append_mapping(list);
    qm_node_set_text(row, "file", path);
    qm_node_set_bool(row, "intact", is_intact);
    qm_node_set_node(row, "result", result);
    return QM_OK;
}

static enum qm_status show_file(const char *path, struct qm_show_style style, bool is_first)
{
    struct qm_node *result = NULL;
    bool is_intact = false;
    QM_TRY(qm_result_load(path, &result, &is_intact));
    style.is_changed = !is_intact;
    qm_claim_tidy(result); // a stranger's texts must not steer the terminal; the hash was looked at before
    if (!is_first)
        fputc('\n', stdout);
    enum qm_status status = qm_show_result(result, &style, stdout);
    qm_node_destroy(&result);
    return status;
}

int qm_verb_show(int argc, char **argv)
{
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
        {"json", QM_OPTION_FLAG, &as_json, NULL, "print the results as JSON"},
    };
    const struct qm_command command = {.verb = "show",
                                       .operands = "FILE...",
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
    if (as_json) {
        struct qm_node *root = qm_node_new_mapping();
        struct qm_node *list = qm_node_add_sequence(root, "results");
        for (size_t i = 0; i < count && status == QM_OK; i++)
            status = add_json(list, files[i]);
        if (status == QM_OK)
            return qm_verb_print_json(&root);
        qm_node_destroy(&root);
        return qm_verb_fail(status);
    }
    for (size_t i = 0; i < count; i++) {
        status = show_file(files[i], style, i == 0);
        if (status != QM_OK)
            return qm_verb_fail(status);
    }
    return QM_EXIT_OK;
}
