// Between the parts of verification: verify.c builds what should stand there, verify_compare.c compares trees and keeps
// findings, verify_relations.c looks at what is bound by other keys only.
#ifndef QM_BENCH_VERIFY_INTERNAL_H
#define QM_BENCH_VERIFY_INTERNAL_H

#include "bench/samples.h"
#include "bench/verify.h"
#include "model/model.h"

struct qm_verifier {
    struct qm_model *model, *outliers; // NULL where the built-in model is not installed
    char directory[QM_PATH_BYTES];     // of the model
};

struct qm_verify_state {
    const struct qm_verifier *verifier;
    const struct qm_node *result;
    struct qm_profile *profile;
    struct qm_own_formats own[QM_PROFILE_SCHEMES_MAX]; // what `file` is bound to: a hash alone
    struct qm_verification *out;
    const struct qm_samples *samples;  // NULL: absent, or not readable
    const struct qm_model *model;      // NULL: not the built-in one
    struct qm_evaluation *evaluation;  // generated again; NULL where that takes too long
    struct qm_evaluation *calibration; // likewise
    uint32_t overlap;
    bool same_build; // the result says that this very build measured
    bool no_memory;  // a finding was lost
};

// Adds a difference. `path` is as in struct qm_verify_finding.
void qm_verify_differs(struct qm_verify_state *state, const char *path, const char *is, const char *should,
                       const char *why);
// Adds something that cannot be checked here. `path` is a row of the table, and all that lies below is passed over.
void qm_verify_skip(struct qm_verify_state *state, const char *table_path, const char *why);
bool qm_verify_skips(const struct qm_verify_state *state, const char *table_path);

// Compares what stands in the result with what should, from the roots on.
void qm_verify_compare(struct qm_verify_state *state, const struct qm_node *expected);

// Everything that is bound but not recomputed.
void qm_verify_relations(struct qm_verify_state *state);

#endif
