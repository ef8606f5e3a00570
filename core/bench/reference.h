// What the reference backend is asked for before any device is: artifacts (with calibration where a scheme needs it),
// the fp32 model's logits, and the logits of each scheme's own artifact, against which devices are verified. All of it
// is deterministic, and kept in the cache directory by content.
#ifndef QM_BENCH_REFERENCE_H
#define QM_BENCH_REFERENCE_H

#include "bench/evaluation.h"
#include "bench/reference_rows.h"
#include "model/model.h"
#include "quant/artifact.h"

// Told what is being done, for progress; `fraction` is 0..1 of that step.
typedef void (*qm_progress)(void *context, const char *what, double fraction);

// What an artifact cost: seconds by the host's monotonic clock.
struct qm_reference_time {
    bool is_cached;      // it was not made; both are 0
    double collecting_s; // the fp32 model over the calibration set; 0 where the run of another scheme served
    double building_s;   // what the calibrator did with it, rounding, bounds and hashes
};

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
    struct qm_reference_time *time;                 // of the artifact that was asked for; may be NULL
    const struct qm_reference_on_device *on_device; // who computes the rows of a model of real size; NULL: the host
};

// The fp32 reference by a device in place of the host (reference_device.h).
struct qm_device_entry;
struct qm_reference_on_device {
    const struct qm_device_entry *devices; // tried in this order
    size_t device_count;
    const char *scratch_path; // a file that may be written, read and removed
    uint64_t limit_ns;        // of a submission, by measurement; 0: no limit
    uint32_t most_dispatches; // of a submission; 0: no limit
    const char *tier;         // as in a profile; NULL: the best
};

// The artifact of a scheme, from the cache or built and stored; `path` is the file that workers load. Static schemes
// are calibrated by running the fp32 model over `calibration`.
QM_MUST_USE enum qm_status qm_reference_artifact(const struct qm_reference_params *params,
                                                 const struct qm_scheme *scheme,
                                                 const struct qm_evaluation *calibration, struct qm_artifact **out,
                                                 char path[QM_PATH_BYTES]);

// The same without the cache, from what was collected over `calibration`; without calibration `collected` may be NULL.
QM_MUST_USE enum qm_status qm_reference_build(const struct qm_reference_params *params, const struct qm_scheme *scheme,
                                              const struct qm_evaluation *calibration,
                                              const struct qm_calibration *collected, struct qm_artifact **out);

// The fp32 model over a calibration set with collectors at every input, so many windows now and more later: what is
// collected after n windows is what a set of n windows gives, to the bit. A model of real size goes through the host's pass
// (reference_host.h), for which that holds but for rounding. `params` and `calibration` must stay.
struct qm_reference_collector;
QM_MUST_USE enum qm_status qm_reference_collector_open(const struct qm_reference_params *params,
                                                       const struct qm_evaluation *calibration,
                                                       const struct qm_calibration_options *options,
                                                       struct qm_reference_collector **out);
// Goes on until the first `windows` windows were seen.
QM_MUST_USE enum qm_status qm_reference_collector_advance(struct qm_reference_collector *collector, uint32_t windows);
const struct qm_calibration *qm_reference_collected(const struct qm_reference_collector *collector);
// In all so far, from loading the weights on.
double qm_reference_collector_seconds(const struct qm_reference_collector *collector);
void qm_reference_collector_close(struct qm_reference_collector **collector);

// Logits [windows][window_tokens][vocabulary] of the first `windows` windows, of `artifact` with the scheme's KV format,
// by the reference backend; free() them.
QM_MUST_USE enum qm_status qm_reference_logits(const struct qm_reference_params *params,
                                               const struct qm_artifact *artifact, const struct qm_scheme *scheme,
                                               const struct qm_evaluation *evaluation, uint32_t windows,
                                               float **logits);

// The same, computed in any case and kept nowhere but in `logits`.
QM_MUST_USE enum qm_status qm_reference_compute_logits(const struct qm_reference_params *params,
                                                       const struct qm_artifact *artifact,
                                                       const struct qm_scheme *scheme,
                                                       const struct qm_evaluation *evaluation, uint32_t windows,
                                                       float *logits);

// Logits of the fp32 model over the whole set, from the cache or computed and stored; free() them.
QM_MUST_USE enum qm_status qm_reference_fp32_logits(const struct qm_reference_params *params,
                                                    const struct qm_evaluation *evaluation, float **logits);

// The fp32 model as devices are scored against it, with the logits of the first `dense_windows` windows whole: by the reference
// backend as above, or, for a model of real size, by the host's pass (reference_host.h) or params->on_device. The caller destroys it.
QM_MUST_USE enum qm_status qm_reference_fp32_rows(const struct qm_reference_params *params,
                                                  const struct qm_evaluation *evaluation, uint32_t dense_windows,
                                                  struct qm_reference_rows **out);

// Adds what a scheme's calibrator needs to the options of a run that several schemes share.
void qm_reference_add_options(const struct qm_scheme *scheme, struct qm_calibration_options *options);

#endif
