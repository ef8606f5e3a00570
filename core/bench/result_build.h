// From what was measured on a device to the tree of a result (docs/RESULT_FORMAT.md) and the samples file beside it.
#ifndef QM_BENCH_RESULT_BUILD_H
#define QM_BENCH_RESULT_BUILD_H

#include "bench/device_run.h"
#include "record/node.h"
#include "sys/file.h"

// The result, without hash. `ordinal`: 2 and up for further devices of the same name and API, else 0. The caller
// destroys it; NULL without memory.
QM_MUST_USE struct qm_node *qm_result_build(const struct qm_prepared *prepared, const struct qm_device_run *run,
                                            unsigned ordinal);

// The commit that the program was built from, or "undisclosed".
const char *qm_result_source(void);

// Stages `NAME.samples.safetensors` (NAME as the result's file name without .yaml) into the directory: per scheme the
// per-token scores and the raw times; and names it, with its hash, in the result. The caller commits it (sys/file.h); nothing
// is staged where there are no samples.
QM_MUST_USE enum qm_status qm_samples_stage(const struct qm_prepared *prepared, const struct qm_device_run *run,
                                            struct qm_node *result, const char *directory,
                                            struct qm_staged_file *staged);

#endif
