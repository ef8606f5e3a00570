// What a quantized model's files say of their own quantization, and what they lack: model.disclosure of a result, in words.
#ifndef QM_REPORT_MODEL_FACTS_H
#define QM_REPORT_MODEL_FACTS_H

#include "report/facts.h"

// "quantized by X; licence mit; ..." and "who quantized it; licence; ...", each on one line without an end. Both stay empty where
// the result has nothing of it: the model's files hold floats.
void qm_fact_model_files(struct qm_text *told, struct qm_text *lacking, const struct qm_node *result);

#endif
