// What of a result follows from its raw arrays and its profile: summaries, and the nodes `accuracy` and
// `widening`; what follows from times is result_speed.h's. A run and `qmark verify` both go through here, so that whatever is written is recomputed by the
// code that wrote it.
#ifndef QM_BENCH_RESULT_DERIVE_H
#define QM_BENCH_RESULT_DERIVE_H

#include "bench/raw.h"
#include "record/node.h"

// KL(widened || narrow): bounds of its mean and its median, and the latter.
struct qm_widening_verdict {
    double mean_bound, median, median_bound;
};

// What is computed of one scheme. NULL where there is nothing to compute it from.
struct qm_derived {
    struct qm_summary *summary;          // of the scores, with graded cells; without it there is no accuracy
    struct qm_summary *cells;            // the same with all cells
    struct qm_summary *decode;           // of the decode scores
    struct qm_summary *before, *all;     // of the widening: the windows before timing, and all
    struct qm_details details;           // of the scores
    struct qm_agreement_verdict check;   // against the reference backend
    struct qm_widening_verdict widening; // over the most tokens that there are; means nothing without `before`
};

// What `accuracy.reference` says where the model was quantized by somebody and no --reference was given.
#define QM_RESULT_NO_REFERENCE "no reference given"
// Of such a model: all that compares with a reference is "not measured" (qm_summary_forget_reference).
void qm_derived_forget_reference(struct qm_derived *derived);

// ---- Parts, for a run that judges while it measures -----------------------------------------------------------------

QM_MUST_USE enum qm_status qm_derive_accuracy(const struct qm_evaluation *evaluation,
                                              const struct qm_bootstrap *bootstrap,
                                              const struct qm_token_scores *scores, struct qm_derived *out);
// Of the decode scores, or of the first `tokens` scores of a widening: no cells, no details.
QM_MUST_USE enum qm_status qm_derive_plain(const struct qm_evaluation *evaluation, const struct qm_bootstrap *bootstrap,
                                           const struct qm_token_scores *scores, size_t tokens,
                                           struct qm_summary **out);
// Logits against the reference backend's; see score/agreement.h. The bound of the body is doubled where the model is
// widened: its sums have more terms than the reference's (docs/METHOD.md).
QM_MUST_USE enum qm_status qm_derive_check(const struct qm_scheme *scheme, uint32_t widen,
                                           const struct qm_agreement *agreement, struct qm_agreement_verdict *out);
// Over `tokens` tokens, whose divergences are `kl`; `own_kl` is what the scheme itself costs on them. docs/METHOD.md,
// Widening.
QM_MUST_USE enum qm_status qm_derive_widening(const struct qm_scheme *scheme, const double *own_kl, const double *kl,
                                              size_t tokens, struct qm_widening_verdict *out);

// ---- Everything -----------------------------------------------------------------------------------------------------

// All of one scheme. *out is zeroed on failure; qm_derived_free may be called on a zeroed one.
QM_MUST_USE enum qm_status qm_derive_scheme(const struct qm_raw *raw, size_t scheme, struct qm_derived *out);
void qm_derived_free(struct qm_derived *derived);

// Adds `accuracy` to a scheme's row: a mapping, or the words.
void qm_derive_add_accuracy(struct qm_node *row, const struct qm_raw *raw, size_t scheme,
                            const struct qm_derived *derived);

#endif
