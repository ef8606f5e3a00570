// From what was measured on a device to the tree of a result (docs/RESULT_FORMAT.md): what stands there as it was found.
// What follows from raw arrays is result_derive.h's.
#ifndef QM_BENCH_RESULT_BUILD_H
#define QM_BENCH_RESULT_BUILD_H

#include "bench/device_run.h"
#include "bench/result_derive.h"
#include "bench/result_disclosure.h"
#include "record/node.h"
#include "sys/file.h"

// The result, without hash. `ordinal`: 2 and up for further devices of the same name and API, else 0. The caller
// destroys it; NULL without memory.
QM_MUST_USE struct qm_node *qm_result_build(const struct qm_prepared *prepared, const struct qm_device_run *run,
                                            unsigned ordinal);

// A scheme's row as far as it follows from raw arrays, profile, device and, where there is one, the artifact. A run adds
// what it found besides; qmark verify (verify.h) compares.
struct qm_result_scheme {
    const struct qm_raw *raw;
    size_t index;
    const struct qm_derived *derived;
    const struct qm_artifact *artifact; // or an outline; NULL where it could not be made
    struct qm_disclosed_sets sets;
    const struct qm_node *device; // `device` of the result
    const char *status, *reason;
};
struct qm_node *qm_result_add_scheme(struct qm_node *list, const struct qm_result_scheme *parts);

// `run.class`: "standard" for a stock profile, fixed tiles and a released build, else "custom". `source` is what a result
// has under qmark.source; qm_result_source tells this build's.
const char *qm_result_class(const struct qm_profile *profile, const char *source);
const char *qm_result_source(void);

// The raw arrays of a run, for qm_samples_stage (samples.h); they stay the run's.
void qm_result_raw(const struct qm_prepared *prepared, const struct qm_device_run *run, struct qm_raw *out);

// The result and its samples, written into the directory, both or neither; `*result` (owned by the caller, also where writing
// failed) and `path` say what and where. An interrupted run without a complete row replaces no older result: `path` is "".
QM_MUST_USE enum qm_status qm_result_write_run(const struct qm_prepared *prepared, const struct qm_device_run *run,
                                               unsigned ordinal, const char *directory, struct qm_node **result,
                                               char path[QM_PATH_BYTES]);

#endif
