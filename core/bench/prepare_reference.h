// The model that another is scored against, where --reference names one.
#ifndef QM_BENCH_PREPARE_REFERENCE_H
#define QM_BENCH_PREPARE_REFERENCE_H

#include "bench/prepare.h"

// Loads it into preparation->reference_model; NULL where none is named. QM_INVALID for one that is quantized itself, that has other
// shapes or another vocabulary than the model, or a shorter context than the profile scores.
QM_MUST_USE enum qm_status qm_preparation_read_reference(const struct qm_preparation_params *params,
                                                         struct qm_preparation *preparation);

#endif
