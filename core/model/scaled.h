// A model that is another one with channels scaled: rows of its weights divided, columns multiplied (quant/smooth.h). Its
// values are nowhere: a view (qm_model_view_open) takes the other's and scales them, so that it takes no more memory than
// that one, however large. A copy (qm_model_copy) has them in memory.
//
// value = float(float(w / divisor of its row) * factor of its column), products and quotients in double. A vector is divided
// value by value. A view fails with QM_INVALID where a value would no longer be finite, by tensor and index.
#ifndef QM_MODEL_SCALED_H
#define QM_MODEL_SCALED_H

#include "model/model.h"

// Begins with nothing scaled. `of` must outlive it; a head that is tied there has values of its own here, as in a copy.
// Hash and variant are the other's. The caller destroys it with qm_model_destroy.
QM_MUST_USE enum qm_status qm_model_scale(const struct qm_model *of, struct qm_model **out);

// Sets what a weight's rows (of a vector: its values) are divided by, or its columns multiplied with; the numbers are copied.
// In place of what was set before.
QM_MUST_USE enum qm_status qm_model_set_divisors(struct qm_model *model, enum qm_role role, uint32_t layer,
                                                 const float *divisors);
QM_MUST_USE enum qm_status qm_model_set_factors(struct qm_model *model, enum qm_role role, uint32_t layer,
                                                const float *factors);

// For qm_model_view_open and qm_model_destroy.
QM_MUST_USE enum qm_status qm_scaled_view_open(const struct qm_model *model, size_t weight, struct qm_model_view *out);
void qm_scaling_destroy(struct qm_model_scaling *scaling);

#endif
