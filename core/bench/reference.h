// What the reference backend is asked for before any device is: artifacts (with calibration where a scheme needs it),
// the fp32 model's logits, and the logits of each scheme's own artifact, against which devices are verified. All of it
// is deterministic, and kept in the cache directory by content.
#ifndef QM_BENCH_REFERENCE_H
#define QM_BENCH_REFERENCE_H

#include "bench/evaluation.h"
#include "model/model.h"
#include "quant/artifact.h"

// Told what is being done, for progress; `fraction` is 0..1 of that step.
typedef void (*qm_progress)(void *context, const char *what, double fraction);

struct qm_reference_params {
    const struct qm_model *model;
    const char *cache_directory; // made if missing
    qm_progress progress;        // may be NULL
    void *progress_context;
    // Where what the model's inputs look like over the calibration set is kept from the first scheme that needs it on, so
    // that one run serves all of them; the caller destroys it. NULL: collected for each.
    struct qm_calibration **collected;
    // What is collected beyond what the scheme at hand needs, for those that share the run (qm_reference_add_options).
    struct qm_calibration_options options;
};

// The artifact of a scheme, from the cache or built and stored; `path` is the file that workers load. Static schemes
// are calibrated by running the fp32 model over `calibration`.
QM_MUST_USE enum qm_status qm_reference_artifact(const struct qm_reference_params *params,
                                                 const struct qm_scheme *scheme,
                                                 const struct qm_evaluation *calibration, struct qm_artifact **out,
                                                 char path[QM_PATH_BYTES]);

// Logits [windows][window_tokens][vocabulary] of the first `windows` windows, of `artifact` with the scheme's KV format,
// by the reference backend; free() them.
QM_MUST_USE enum qm_status qm_reference_logits(const struct qm_reference_params *params,
                                               const struct qm_artifact *artifact, const struct qm_scheme *scheme,
                                               const struct qm_evaluation *evaluation, uint32_t windows,
                                               float **logits);

// Adds what a scheme's calibrator needs to the options of a run that several schemes share.
void qm_reference_add_options(const struct qm_scheme *scheme, struct qm_calibration_options *options);

#endif
