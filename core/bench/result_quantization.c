#include "bench/result_quantization.h"

void qm_result_add_quantization(struct qm_node *node, const struct qm_model *model)
{
    const struct qm_quantization *how = &model->quantization;
    char words[QM_QUANTIZATION_LINE_BYTES];
    if (how->method == QM_QUANTIZATION_NONE)
        return;
    struct qm_node *to = qm_node_add_mapping(node, "quantization");
    qm_quantization_words(how, words);
    qm_node_set_text(to, "precision", words);
    qm_node_set_text(to, "method", qm_quantization_method_name(how->method));
    qm_node_set_u64(to, "bits", how->bits);
    qm_node_set_u64(to, "group_size", how->group_size);
    qm_node_set_bool(to, "symmetric", how->is_symmetric);
    qm_node_set_bool(to, "act_order", how->is_act_order);
    qm_node_set_text(to, "activations", how->activations_text);
    qm_node_set_text(to, "calibration_set", how->dataset[0] ? how->dataset : "undisclosed");
    qm_node_set_text(to, "calibration_sequences", "undisclosed"); // no program writes how many
    qm_node_set_text(to, "damp_percent", how->damp[0] ? how->damp : "undisclosed");
    qm_node_set_u64(to, "weights", model->quantized_values);
    qm_node_set_text(to, "config", how->text);
}
