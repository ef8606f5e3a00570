// Rows of a result about its model's size, and about widening.
#ifndef QM_BENCH_RESULT_WIDEN_H
#define QM_BENCH_RESULT_WIDEN_H

#include "bench/device_run.h"
#include "record/node.h"

// Adds to `model`: widen, weights on the device, operations; why not wider, where --fit chose.
void qm_result_add_size(struct qm_node *model, const struct qm_prepared *prepared, const struct qm_device_run *run);

// Adds `widening` to a scheme's row, unless the model is as it is.
void qm_result_add_widening(struct qm_node *row, const struct qm_prepared *prepared, const struct qm_device_run *run,
                            size_t scheme);

#endif
