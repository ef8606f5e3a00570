// Weights as an architecture's files have them, put in order: under the names that roles have (model.h), each a tensor of its
// own, [outputs][inputs], gains that are added to 1 as 1 + them. Values stay where they are in the mapped files; a tensor
// that was cut out of a larger one is a part of its bytes, and one that lies turned over is turned as it is taken.
#ifndef QM_MODEL_WEIGHTS_ARRANGE_H
#define QM_MODEL_WEIGHTS_ARRANGE_H

#include "model/model.h"
#include "model/weights.h"

// Of opened weights that were not arranged before, with the configuration of all layers that the files have. GGUF files are in
// order. QM_INVALID for a tensor that the architecture has under another name and that is missing or has another shape, by
// the name that it should have in the file, QM_UNSUPPORTED for a quantized one that would have to be cut or turned. Tensors that are no part of the architecture stay as they are, for
// qm_model_file_check to refuse.
QM_MUST_USE enum qm_status qm_weights_arrange(struct qm_weights *weights, const struct qm_model_config *config);

#endif
