// A GGUF file as a model: its metadata as a configuration, its tensors as weights by role.
//
// Source of keys and names: gguf-py's constants.py, and convert_hf_to_gguf.py, in llama.cpp.
#ifndef QM_MODEL_GGUF_MODEL_H
#define QM_MODEL_GGUF_MODEL_H

#include "model/gguf.h"
#include "model/model.h"

// What the metadata says, as config.json would have it, checked (model.h). The vocabulary is the embedding's. The head is tied
// where there is no tensor for it. What no GGUF file says is as llama.cpp has it: scores of Gemma 2 and 3 are divided by the
// root of the heads' width, and of their models of 27 thousand million parameters, known by their layers, by that of
// hidden / heads. A window is as the model's own code has it; llama.cpp passes over that of Phi-3. QM_INVALID, with the file and
// its own key, for what is missing or of another kind; QM_UNSUPPORTED for other architectures, and for what would change the
// function and is not run: experts, windows of which the file does not say in which layers they are, scaled logits, other
// kinds of rotary scaling, frequencies of the file's own.
QM_MUST_USE enum qm_status qm_gguf_model_config(const struct qm_gguf *gguf, struct qm_model_config *out);

// "blk.3.attn_q.weight", where the weight has a tensor of its own; `layer` is ignored for roles that have none.
#define QM_GGUF_NAME_BYTES 64
void qm_gguf_weight_name(enum qm_role role, uint32_t layer, char name[QM_GGUF_NAME_BYTES]);

// The weight as a tensor: the file's own, or its rows of one that is several weights (queries, keys and values of one layer; of
// Phi-3 gate and up), which are whole blocks. Its name is the file's. `index` (may be NULL) gets the number of that tensor.
// QM_INVALID by tensor for one that is missing or of another shape; QM_UNSUPPORTED for vectors that cannot be cut.
QM_MUST_USE enum qm_status qm_gguf_weight_find(const struct qm_gguf *gguf, const struct qm_model_config *config,
                                               enum qm_role role, uint32_t layer, struct qm_gguf_tensor *out,
                                               size_t *index);

// Whether the file has a tensor for every weight of `config`, of its own shape, and none that is no part of such a model.
// QM_INVALID by tensor.
QM_MUST_USE enum qm_status qm_gguf_model_check(const struct qm_gguf *gguf, const struct qm_model_config *config);

// The width of the heads whose rows lie in another order than Hugging Face's; 0 for a weight whose rows do not. Of Llama's
// queries and keys files have the two values that the rotary embedding turns together side by side, where we have them half
// a head apart. Rows are whole blocks, so that nothing is encoded anew.
uint32_t qm_gguf_turned_width(const struct qm_model_config *config, enum qm_role role);
// The row of the file's tensor that is row `row` of such a weight.
uint32_t qm_gguf_turned_row(uint32_t width, uint32_t row);

#endif
