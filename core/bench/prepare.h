// Everything that a profile needs before a device is opened: model, sets, artifacts, reference logits.
#ifndef QM_BENCH_PREPARE_H
#define QM_BENCH_PREPARE_H

#include "bench/device_run.h"

struct qm_preparation {
    struct qm_profile profile;
    char model_directory[QM_PATH_BYTES];
    struct qm_model *model;
    struct qm_evaluation *evaluation, *calibration;
    uint32_t overlap; // as in struct qm_prepared
    float *reference;
    struct qm_calibration *collected; // NULL until a scheme is calibrated
    // A user's examples with --eval FILE.jsonl, else NULL.
    struct qm_tokenizer *tokenizer;
    struct qm_user_examples *examples;
    struct qm_examples_tokens *example_tokens;
    struct qm_answer_questions questions;
    struct qm_generated *reference_generated;
    struct qm_answer_run *reference_answers;
    struct qm_prepared prepared; // points into the above
};

struct qm_preparation_params {
    const char *profile;                // name or path
    const struct qm_node *profile_node; // the profile as a tree, such as a result's, in place of `profile`; may be NULL
    const char *schemes;                // list, or NULL: the profile's
    const char *model;                  // "built-in", "built-in-outliers" or a directory; NULL: the profile's
    const char *cache_directory;
    uint64_t widen; // as --widen has it: a power of two up to QM_PROFILE_WIDEN_MAX; 0: the profile's
    bool fits;      // --fit: as wide as each device holds; with neither `widen` nor a widened profile
    bool has_evaluation_seed;
    uint64_t evaluation_seed;
    bool allow_overlap;      // score examples that were calibrated on, which the result then says
    bool only_artifacts;     // for `calibrate`: no evaluation, no reference logits
    const char *exact_match; // at least so much of the reference's, such as "0.99"; NULL: the profile's bound
};

// In two steps, so that bad input is refused before anything long begins: read (profile, model, sets), then make
// (artifacts, logits). A scheme that cannot be made has its status in prepared.schemes; the rest goes on.
QM_MUST_USE enum qm_status qm_preparation_read(const struct qm_preparation_params *params, struct qm_preparation **out);
QM_MUST_USE enum qm_status qm_preparation_make(struct qm_preparation *preparation,
                                               const struct qm_preparation_params *params, qm_progress progress,
                                               void *progress_context);
void qm_preparation_destroy(struct qm_preparation **preparation);

#endif
