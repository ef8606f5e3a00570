#include "bench/result_workload.h"

#include "workload/disclosure.h"

static enum qm_status add_file(struct qm_node *workload, const char *key, const struct qm_user_set *set)
{
    struct qm_node *node = qm_node_add_mapping(workload, key);
    qm_node_set_text(node, "kind", set->examples ? "examples" : "text");
    if (set->examples)
        return qm_workload_disclose_examples(set->examples, set->example_tokens, node);
    if (set->text) {
        qm_workload_disclose_text(set->text, node);
        return QM_OK;
    }
    // Calibration: all that matters of it.
    qm_node_set_text(node, "sha256", set->evaluation->sha256);
    qm_node_set_u64(node, "windows", set->evaluation->set.windows);
    qm_node_set_u64(node, "window_tokens", set->evaluation->set.window_tokens);
    return QM_OK;
}

enum qm_status qm_result_add_workload(struct qm_node *root, const struct qm_prepared *prepared)
{
    if (!prepared->evaluation_file && !prepared->calibration_file)
        return QM_OK;
    struct qm_node *workload = qm_node_add_mapping(root, "workload");
    if (prepared->evaluation_file)
        QM_TRY(add_file(workload, "evaluation", prepared->evaluation_file));
    if (prepared->calibration_file)
        QM_TRY(add_file(workload, "calibration", prepared->calibration_file));
    if (prepared->overlap_found)
        qm_workload_disclose_overlap(prepared->overlap_found, qm_node_add_mapping(workload, "overlap"));
    if (prepared->embeds_texts && prepared->examples)
        QM_TRY(qm_workload_embed_examples(prepared->examples, QM_RESULT_EMBEDDED_BYTES_MAX, "texts", workload));
    return QM_OK;
}
