// One device through one API: verify, score, time. The parent's schedule; the work is a worker's (worker.h).
//
// Order: self-test; upload of every scheme; each kernel against the oracle; prefill of the whole evaluation set and
// teacher-forced decode, both scored; logits against the reference backend running the same artifact; then timed
// passes, schemes interleaved, each ending in a checksum that must be that of the scored pass. Of a widened model only the
// first group of windows is scored before timing and the rest at the end, both beside the narrow model's (device_widen.c).
#ifndef QM_BENCH_DEVICE_RUN_H
#define QM_BENCH_DEVICE_RUN_H

#include <jansson.h>

#include "bench/evaluation.h"
#include "bench/profile.h"
#include "bench/reference.h"
#include "quant/artifact.h"
#include "score/agreement.h"
#include "score/details.h"
#include "score/summary.h"

// What is prepared before any device: one per scheme of the profile, in its order.
struct qm_prepared_scheme {
    struct qm_scheme scheme;
    struct qm_artifact *artifact;
    char artifact_path[QM_PATH_BYTES];
    struct qm_reference_time time; // of the artifact
    float *own_reference;  // logits of this artifact by the reference backend, [verify_windows][tokens][vocabulary]
    enum qm_status status; // not QM_OK: could not be prepared, and `reason` says why
    char reason[512];
};

struct qm_prepared {
    const struct qm_profile *profile;
    const struct qm_model *model;
    const char *model_directory;
    const struct qm_evaluation *evaluation;
    const struct qm_evaluation *calibration;
    uint32_t overlap; // examples of `evaluation` that stand in `calibration`, too
    struct qm_prepared_scheme schemes[QM_PROFILE_SCHEMES_MAX];
    size_t scheme_count;
    const float *reference; // of the fp32 model, [windows][tokens][vocabulary]
    uint32_t verify_windows;
};

// A point of throughput.
struct qm_point_run {
    bool is_decode;
    uint32_t batch, tokens; // of a pass and sequence: the prompt, or 1
    uint32_t batch_asked;   // by the profile: larger where that did not fit and a smaller one is allowed
    uint32_t depth, steps;  // decode
    bool has_device_time;
    size_t count;      // timed blocks: a pass of prefill, `steps` steps of decode
    double *device_ns; // [count]
    double *wall_ns;   // [count]
    double *step_ns;   // decode: [count * steps] latencies, device time where there is
    uint32_t dispatches, dispatches_per_submission, repeats_per_submission;
    bool is_verified;   // the pass after the timed ones gave the scored checksum, too
    double operations;  // of one pass
    uint64_t *expected; // checksums of the scored passes: per window for prefill of whole windows, else of one block
    size_t expected_count;
};

// A widened scheme beside the same scheme as it is, on the same device.
struct qm_widening_run {
    // Of each scored token, with the widened logits as the reference: kl is KL(widened || narrow).
    struct qm_token_scores *scores;
    struct qm_summary *before, *all; // of the windows that were scored before timing; of the whole set
    double bound;                    // of the mean; beyond it the scheme is wrong
    // Matvec of the largest weight, tiled as it is and with random codes, in turns (model/random_weight.h).
    uint32_t rows, columns, products;
    bool has_device_time;
    size_t pairs;
    double *tiled_ns, *random_ns; // [pairs]
};

struct qm_scheme_run {
    enum qm_status status; // QM_OK, QM_WRONG_RESULT, QM_UNSUPPORTED, QM_INTERRUPTED; else failed
    char reason[512];
    uint64_t weight_bytes, cache_bytes;
    struct qm_token_scores *scores, *decode_scores; // of the whole set; of the decode points of full groups
    size_t decode_scored;
    struct qm_summary *summary, *cells, *decode_summary;
    struct qm_details details;     // of `scores`
    struct qm_agreement agreement; // of logits with own_reference, over all rows compared
    struct qm_agreement_verdict verdict;
    struct qm_point_run *points; // prefill points, then decode points, as in the profile
    size_t point_count;
    json_t *variants;                // names, as the worker gave them
    struct qm_widening_run widening; // all zero unless the model is widened
};

struct qm_device_run {
    char id[24];
    char tile[16];    // of its kernels; "" where it did not come so far
    json_t *info;     // as qm_device_node
    json_t *selftest; // as qm_selftest_node; NULL if it was not reached
    json_t *kernels;  // reports, as the worker gave them
    uint64_t peak_bytes, log_count;
    uint32_t widen;
    char fit_reason[320]; // where the width was found: why not twice as wide; else ""
    struct qm_scheme_run schemes[QM_PROFILE_SCHEMES_MAX];
    size_t scheme_count;
    uint32_t retries;       // the device was lost so often, and all was begun anew
    char retry_reason[320]; // why, the last time
    bool was_interrupted;
    char late_reason[320]; // what ended the worker after every row was complete; else ""
    char started[32], finished[32];
};

struct qm_device_run_params {
    const struct qm_prepared *prepared;
    const char *device;          // id
    const char *cache_directory; // for pipelines and binaries
    const char *scratch_path;    // a file that may be written, read and removed
    bool is_debug;
    // Fraction done of this device and what is going on; may be NULL.
    qm_progress progress;
    void *progress_context;
};

// Measures. QM_OK whenever there is something to report, rows that failed or were interrupted included; the status of a
// device that could not even be opened otherwise. A device that is lost is tried once more from the beginning. The caller
// destroys *out.
QM_MUST_USE enum qm_status qm_device_run(const struct qm_device_run_params *params, struct qm_device_run **out);
void qm_device_run_destroy(struct qm_device_run **run);

// Whether the scheme's passes use a kernel variant, by its name without tile; false where the scheme was never loaded.
bool qm_scheme_run_uses(const struct qm_scheme_run *scheme, const char *variant_name);

#endif
