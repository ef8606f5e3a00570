// The parts of a scheme's disclosure that follow from its artifact alone: precision, tensors, calibration.
#ifndef QM_BENCH_RESULT_DISCLOSURE_H
#define QM_BENCH_RESULT_DISCLOSURE_H

#include "bench/device_run.h"
#include "record/node.h"

// Adds `precision` and `tensors` to a disclosure. The artifact may be NULL, where it could not be made: then `tensors` has
// no list.
void qm_disclosure_add_precision(struct qm_node *disclosure, const struct qm_prepared_scheme *prepared);
// Adds `calibration_set` and `calibration_method`.
void qm_disclosure_add_calibration(struct qm_node *disclosure, const struct qm_prepared *prepared, size_t scheme_index);

#endif
