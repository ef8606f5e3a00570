// What a model's own files say of how they were quantized, for results and for `qmark model --json`.
#ifndef QM_BENCH_RESULT_QUANTIZATION_H
#define QM_BENCH_RESULT_QUANTIZATION_H

#include "model/model.h"
#include "record/node.h"

// Adds `quantization` to `node`, unless the files' weights are floats. What the files do not tell is `undisclosed`.
void qm_result_add_quantization(struct qm_node *node, const struct qm_model *model);

#endif
