// Everything that a profile needs before a device is opened: model, sets, artifacts, reference logits.
#ifndef QM_BENCH_PREPARE_H
#define QM_BENCH_PREPARE_H

#include "bench/device_run.h"

struct qm_preparation {
    struct qm_profile profile;
    char model_path[QM_PATH_BYTES];      // the directory or the GGUF file
    char model_directory[QM_PATH_BYTES]; // where tokenizer.json and the like are looked for
    bool is_users_model;                 // not the built-in one
    struct qm_model *model;
    struct qm_model *reference_model; // of --reference; NULL: the model is its own
    struct qm_tokenizer *tokenizer;   // of the model's directory, where a user's file asks for it; else NULL
    // Empty where the set is built in; its evaluation is then below alone.
    struct qm_user_set evaluation_file, calibration_file;
    struct qm_evaluation *evaluation, *calibration; // owned where they are built in
    struct qm_overlap overlap_found;                // between sets of which one is a user's
    uint32_t overlap;                               // as in struct qm_prepared
    struct qm_reference_rows *reference;
    struct qm_reference_rows *own_fp32;       // of the model itself; NULL where `reference` is
    struct qm_calibration *collected;         // NULL until a scheme is calibrated
    struct qm_requests requests;              // of the profile's deployment; zeroed without
    struct qm_answer_questions questions;     // the user's examples, if there are some
    struct qm_generated *reference_generated; // the fp32 model's answers, else NULL
    struct qm_answer_run *reference_answers;
    struct qm_prepared prepared; // points into the above
};

struct qm_preparation_params {
    const char *profile;                // name or path
    const struct qm_node *profile_node; // the profile as a tree, such as a result's, in place of `profile`; may be NULL
    const char *schemes;                // list, or NULL: the profile's
    const char *model;                  // "built-in", "built-in-outliers" or a directory; NULL: the profile's
    const char *
        reference; // --reference: a model of floats that `model` is scored against; NULL: `model` itself, unless it is quantized
    const char *cache_directory;
    uint64_t layers;   // only so many of the model, from the first on, without accuracy; 0: all
    uint64_t widen;    // as --widen has it: a power of two up to QM_PROFILE_WIDEN_MAX; 0: the profile's
    const char *tier;  // as --tier has it; NULL: the profile's
    const char *tiles; // likewise
    bool fits;         // --fit: as wide as each device holds; with neither `widen` nor a widened profile
    const char *evaluation_file, *calibration_file; // the user's own, in place of the built-in sets; NULL: built in
    const char *deployment_file; // a section `deployment` as a file of its own, in place of the profile's; NULL: that
    const char *compat;          // "llama-perplexity": how a text is cut and scored; NULL: the profile's
    uint64_t window_tokens;      // of a text's windows; 0: as the profile has it, and no more than the context
    uint64_t stride;             // of a text, as in text_set.h; 0: the profile's
    uint64_t windows_most;       // of the file; 0: all
    bool embeds_texts;
    bool has_evaluation_seed;
    uint64_t evaluation_seed;
    bool allow_overlap;      // score examples that were calibrated on, which the result then says
    bool only_artifacts;     // for `calibrate`: no evaluation, no reference logits
    const char *exact_match; // at least so much of the reference's, such as "0.99"; NULL: the profile's bound
    // Who computes the fp32 reference in place of the host: devices and scratch file; the rest is the profile's. NULL: the host.
    const struct qm_reference_on_device *on_device;
};

// In two steps, so that bad input is refused before anything long begins: read (profile, model, sets), then make
// (artifacts, logits). A scheme that cannot be made has its status in prepared.schemes; the rest goes on.
QM_MUST_USE enum qm_status qm_preparation_read(const struct qm_preparation_params *params, struct qm_preparation **out);
QM_MUST_USE enum qm_status qm_preparation_make(struct qm_preparation *preparation,
                                               const struct qm_preparation_params *params, qm_progress progress,
                                               void *progress_context);
// Keeps the schemes of a list, if there is one. Without it, where the profile is one of ours as it is, a model that somebody
// quantized is run in `file`, beside the baseline: what it costs and gains is asked of it as it is. `model` as --model has it.
QM_MUST_USE enum qm_status qm_preparation_choose_schemes(const char *model, const char *schemes,
                                                         struct qm_profile *profile);
// Says to every scheme `file` what it stands for in the model, which outlives the profile. QM_INVALID where that has floats.
QM_MUST_USE enum qm_status qm_preparation_bind_schemes(struct qm_profile *profile, const struct qm_model *model,
                                                       const char *name);
// What the groups of all schemes divide: the sizes of a model are padded to multiples of it, for all schemes alike.
uint32_t qm_preparation_padding(const struct qm_profile *profile);
// The directory of a model that is named as --model has it, a built-in one by its name.
QM_MUST_USE enum qm_status qm_preparation_directory(const char *name, char path[QM_PATH_BYTES]);
void qm_preparation_destroy(struct qm_preparation **preparation);

#endif
