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

static uint32_t length_at(const struct qm_requests *requests, uint32_t index, bool is_output)
{
    return is_output ? requests->requests[index].output_tokens : requests->requests[index].prompt_tokens;
}

static void add_lengths(struct qm_node *node, const char *key, const struct qm_requests *requests, bool is_output)
{
    uint32_t least = UINT32_MAX, most = 0;
    for (uint32_t i = 0; i < requests->count; ++i) {
        uint32_t length = length_at(requests, i, is_output);
        least = length < least ? length : least;
        most = length > most ? length : most;
    }
    uint64_t sum = is_output ? requests->output_tokens : requests->prompt_tokens;
    struct qm_node *lengths = qm_node_add_mapping(node, key);
    qm_node_set_u64(lengths, "least", least);
    qm_node_set_double(lengths, "mean", (double)sum / requests->count);
    qm_node_set_u64(lengths, "most", most);
}

static void add_requests(struct qm_node *workload, const struct qm_requests *requests)
{
    struct qm_node *node = qm_node_add_mapping(workload, "deployment");
    qm_node_set_u64(node, "requests", requests->count);
    qm_node_set_u64(node, "left_out", requests->left_out);
    add_lengths(node, "prompt_tokens", requests, false);
    add_lengths(node, "output_tokens", requests, true);
}

enum qm_status qm_result_add_workload(struct qm_node *root, const struct qm_prepared *prepared)
{
    if (!prepared->evaluation_file && !prepared->calibration_file && !prepared->requests)
        return QM_OK;
    struct qm_node *workload = qm_node_add_mapping(root, "workload");
    if (prepared->evaluation_file)
        QM_TRY(add_file(workload, "evaluation", prepared->evaluation_file));
    if (prepared->calibration_file)
        QM_TRY(add_file(workload, "calibration", prepared->calibration_file));
    if (prepared->overlap_found)
        qm_workload_disclose_overlap(prepared->overlap_found, qm_node_add_mapping(workload, "overlap"));
    if (prepared->requests)
        add_requests(workload, prepared->requests);
    if (prepared->embeds_texts && prepared->examples)
        QM_TRY(qm_workload_embed_examples(prepared->examples, QM_RESULT_EMBEDDED_BYTES_MAX, "texts", workload));
    return QM_OK;
}
