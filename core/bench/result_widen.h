// Rows of a result about its model's size, and about widening.
#ifndef QM_BENCH_RESULT_WIDEN_H
#define QM_BENCH_RESULT_WIDEN_H

#include "bench/result_derive.h"
#include "model/model.h"

// Adds to `model`: widen, weights on the device, operations; why not wider, where --fit chose (else "").
void qm_result_add_size(struct qm_node *model, const struct qm_model_config *config, uint32_t widen,
                        const char *fit_reason);

// Adds `widening` to a scheme's row, unless the model is as it is.
void qm_result_add_widening(struct qm_node *row, const struct qm_raw *raw, size_t scheme,
                            const struct qm_derived *derived);

#endif
