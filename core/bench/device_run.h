// One device through one API: verify, score, time. The parent's schedule; the work is a worker's (worker.h).
//
// Order: self-test; upload of every scheme; each kernel against the oracle; prefill of the whole evaluation set and
// teacher-forced decode, both scored; logits against the reference backend running the same artifact; then timed
// passes, schemes interleaved, each ending in a checksum that must be that of the scored pass; then a user's examples are
// answered, and a deployment's requests are served. Of a widened model only the
// first group of windows is scored before timing and the rest at the end, both beside the narrow model's (device_widen.c).
#ifndef QM_BENCH_DEVICE_RUN_H
#define QM_BENCH_DEVICE_RUN_H

#include <jansson.h>

#include "bench/answers.h"
#include "bench/device_live.h"
#include "bench/evaluation_user.h"
#include "bench/profile.h"
#include "bench/raw.h"
#include "bench/reference.h"
#include "quant/artifact.h"
#include "sys/conditions.h"
#include "sys/telemetry.h"

// What is prepared before any device: one per scheme of the profile, in its order.
struct qm_prepared_scheme {
    struct qm_scheme scheme;
    struct qm_artifact *artifact;
    char artifact_path[QM_PATH_BYTES];
    struct qm_reference_time time; // of the artifact
    float *own_reference;  // logits of this artifact by the reference backend, [verify_windows][tokens][vocabulary]
    double *shaken_kl;     // of its rows (sensitivity.h); NULL of the built-in model, for which it is known
    enum qm_status status; // not QM_OK: could not be prepared, and `reason` says why
    char reason[512];
};

struct qm_prepared {
    const struct qm_profile *profile;
    const struct qm_model *model;
    const char *model_path;                 // directory or GGUF file; its name is the model's
    const struct qm_model *reference_model; // whose logits the model is scored against; NULL: the model's own in fp32
    const char *reference_path;             // then; its name is that model's
    bool lacks_reference; // somebody quantized the model and nobody named the one it was: nothing is said against fp32
    const struct qm_evaluation *evaluation;
    const struct qm_evaluation *calibration;
    uint32_t overlap; // examples (of a text, windows) of `evaluation` that stand in `calibration`, too
    // Of a user's files; NULL where the sets are built in.
    const struct qm_user_set *evaluation_file, *calibration_file;
    const struct qm_overlap *overlap_found;
    const struct qm_user_examples *examples; // to be answered by generation; NULL without
    const struct qm_examples_tokens *example_tokens;
    struct qm_tokenizer *tokenizer;
    bool embeds_texts;                           // the examples' texts go into the result
    const struct qm_answer_questions *questions; // the examples with how answers end; NULL: none are asked
    const struct qm_requests *requests;          // to be served; NULL: none are
    const struct qm_generated *reference_generated;
    const struct qm_answer_run *reference_answers; // of the fp32 model
    struct qm_prepared_scheme schemes[QM_PROFILE_SCHEMES_MAX];
    size_t scheme_count;
    // Of the fp32 model; where the model is a part of one, of the verified windows alone, and without scored tokens.
    const struct qm_reference_rows *reference;
    // The same of the model itself in float32, of the verified windows: what devices are judged by. Another than `reference` only
    // where that is of a model of its own, whose distance a broken device would hide in.
    const struct qm_reference_rows *own_fp32;
    uint32_t verify_windows;
};

struct qm_scheme_run {
    enum qm_status status; // QM_OK, QM_WRONG_RESULT, QM_UNSUPPORTED, QM_INTERRUPTED; else failed
    char reason[512];
    uint64_t weight_bytes, cache_bytes;
    uint64_t repack_ns; // host time that bringing the artifact into the device's layout took
    struct qm_token_scores *scores, *decode_scores; // of the whole set; of the decode points of full groups
    size_t decode_scored;
    // How far the KL divergences of `scores` may be above, by what the reference left out: their sum, and the largest.
    double kl_width, kl_width_largest;
    struct qm_summary *summary, *cells, *decode_summary;
    struct qm_details details;     // of `scores`
    struct qm_agreement agreement; // of logits with own_reference, over all rows compared
    struct qm_agreement_verdict verdict;
    struct qm_point_run *points; // prefill points, then decode points, as in the profile
    size_t point_count;
    json_t *variants;                // names, as the worker gave them
    struct qm_widening_run widening; // all zero unless the model is widened
    struct qm_sustained_run sustained;
    struct qm_generated *generated; // what it answered to a user's examples; NULL where none were asked
    struct qm_answer_run *answers;  // what came of it; NULL until all are judged
    struct qm_deployment_run deployment;
};

struct qm_device_run {
    char id[24];
    char tile[48];    // of its kernels; "" where it did not come so far
    char *tuned;      // what "+tuned" in it stands for (kernel/configure.h); NULL: nothing
    json_t *info;     // as qm_device_node
    json_t *selftest; // as qm_selftest_node; NULL if it was not reached
    json_t *kernels;  // reports, as the worker gave them
    json_t *ceilings; // as qm_ceilings_node; NULL where they were not measured
    uint64_t peak_bytes, log_count;
    double compile_ns; // all kernels that were created, from source, SPIR-V or the driver's cache
    uint32_t compiled;
    json_t *start; // from nothing to the first token, as the worker gave it (worker_start.c); NULL: not measured
    // The baseline against itself, in turns, before anything else was timed: ln of the ratio of each block.
    double *noise;
    size_t noise_count;
    // Pairs of the host's and the device's clock, one before every point and between windows.
    double *clock_host_ns, *clock_device_ns;
    size_t clock_count, clock_capacity;
    // What tells each quantity, or "unavailable: why"; "" where the device was not opened.
    char telemetry[QM_TELEMETRY_QUANTITIES][160];
    struct qm_host_conditions *before, *after; // of the host; NULL where they could not be read
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
    const char *device; // id
    // "NAME=value", set for the worker only, ends with NULL; may be NULL.
    const char *const *environment;
    const char *cache_directory; // for pipelines and binaries
    const char *scratch_path;    // a file that may be written, read and removed
    bool is_debug;
    // A repetition of a run that was whole: kernels are not checked again, and only the windows that timed passes repeat
    // are scored, for their checksums. The result has times and no accuracy.
    bool only_times;
    // Fraction done of this device and what is going on; may be NULL.
    qm_progress progress;
    void *progress_context;
    struct qm_device_live *live; // set before progress is told of it; may be NULL
};

// Measures. QM_OK whenever there is something to report, rows that failed or were interrupted included; the status of a
// device that could not even be opened otherwise. A device that is lost is tried once more from the beginning. The caller
// destroys *out.
QM_MUST_USE enum qm_status qm_device_run(const struct qm_device_run_params *params, struct qm_device_run **out);
void qm_device_run_destroy(struct qm_device_run **run);

// Whether the scheme's passes use a kernel variant, by its name without tile; false where the scheme was never loaded.
bool qm_scheme_run_uses(const struct qm_scheme_run *scheme, const char *variant_name);

#endif
