// From what was measured on a device to the tree of a result (docs/RESULT_FORMAT.md): what stands there as it was found.
// What follows from raw arrays is result_derive.h's.
#ifndef QM_BENCH_RESULT_BUILD_H
#define QM_BENCH_RESULT_BUILD_H

#include "bench/device_run.h"
#include "record/node.h"

// The result, without hash. `ordinal`: 2 and up for further devices of the same name and API, else 0. The caller
// destroys it; NULL without memory.
QM_MUST_USE struct qm_node *qm_result_build(const struct qm_prepared *prepared, const struct qm_device_run *run,
                                            unsigned ordinal);

// The raw arrays of a run, for qm_samples_write (samples.h); they stay the run's.
void qm_result_raw(const struct qm_prepared *prepared, const struct qm_device_run *run, struct qm_raw *out);

#endif
