// Scores of single tokens: what a device's logits say of one position beside the logits of the fp32 reference.
//
// For one scored position with vocabulary size V, logits a[V] of the reference, b[V] of the device and target token t,
// with log-sum-exp L(x) = max x + ln(sum of exp(x_v - max x)), p = exp(a - L(a)) and q = exp(b - L(b)):
//
//   nll            = L(b) - b_t                               nats     -ln q_t
//   nll_reference  = L(a) - a_t                               nats     -ln p_t
//   kl             = sum over v of p_v (ln p_v - ln q_v)      nats     KL(reference || device), the whole vocabulary
//   delta_p        = q_t - p_t                                         in -1 .. 1
//   same_top       = argmax a == argmax b
//   hit            = argmax b == t,  hit_reference = argmax a == t
//   confidence     = max over v of q_v,  confidence_reference = max over v of p_v
//
// Where the text itself was drawn from a distribution s that is known (the built-in model's Markov source):
//
//   source_kl      = sum over v with s_v > 0 of s_v (ln s_v - ln q_v)      nats     KL(source || device)
//   source_kl_reference, the same with p
//
// They do not depend on the token that happened to be drawn, and so vary less than nll less the source's entropy.
//
// The names and definitions are those of llama.cpp's `perplexity --kl-divergence`, but for two things that it does to
// save room: its reference is stored in 16 bits, and its sum leaves out tokens with ln p <= -16. Here both sides are
// fp32 and nothing is left out. All sums are in double, in rising order of v, with qm_exp and qm_log: the same logits
// give the same scores on every machine. A KL divergence that rounding makes negative (some 1e-16) is set to 0;
// identical logits give exactly 0. argmax is the lowest index of the largest logit.
//
// A logit that is not finite is the device's error, not a score: QM_WRONG_RESULT, with the place in the text. So is a
// reference that is not finite; the text tells which.
#ifndef QM_SCORE_TOKENS_H
#define QM_SCORE_TOKENS_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

// Where a scored token stands. `sequence` is the index of the example (document) in the evaluation set: the unit that
// was drawn independently, and so the unit of the bootstrap. A window may pack several.
struct qm_token_place {
    uint32_t sequence, window, position;
};

// The scores of one token; see above.
struct qm_token_score {
    double kl, nll, nll_reference, delta_p;
    double confidence, confidence_reference; // above 0, up to 1
    uint8_t same_top, hit, hit_reference;    // 0 or 1
};

// The scores of a whole pass: arrays of `count` elements each, owned by the structure. Element i of all arrays is the
// i-th scored token; the order is the caller's and must be the same in passes that are compared. The arrays are plain
// so that they can be written to and read from a samples file as they are.
struct qm_token_scores {
    size_t count;
    double *kl, *nll, *nll_reference, *delta_p;
    double *confidence, *confidence_reference;
    double *source_kl, *source_kl_reference; // numbers where has_source is 1; set by qm_token_scores_set_source
    uint8_t *same_top, *hit, *hit_reference, *has_source;
    uint32_t *sequence, *window, *position, *target;
};

// Makes room for `count` tokens, all zero. *out is NULL on failure (QM_OUT_OF_MEMORY).
QM_MUST_USE enum qm_status qm_token_scores_create(size_t count, struct qm_token_scores **out);
// Frees *scores and sets it to NULL; NULL is allowed.
void qm_token_scores_destroy(struct qm_token_scores **scores);

// Scores one token. `reference` and `logits` have `vocabulary` (>= 1) elements; they may be the same array. `place` is
// used for the text of an error only. QM_INVALID if target >= vocabulary, QM_WRONG_RESULT for a logit that is not
// finite; *out is all zero then.
QM_MUST_USE enum qm_status qm_token_score(const float *reference, const float *logits, uint32_t vocabulary,
                                          uint32_t target, const struct qm_token_place *place,
                                          struct qm_token_score *out);

// Scores one token into element `index` (below count, else QM_INVALID). Different elements may be set by different
// threads at once.
QM_MUST_USE enum qm_status qm_token_scores_set(struct qm_token_scores *scores, size_t index, const float *reference,
                                               const float *logits, uint32_t vocabulary, uint32_t target,
                                               const struct qm_token_place *place);

// Puts a score that was made otherwise (reference_row.h) into element `index`.
QM_MUST_USE enum qm_status qm_token_scores_put(struct qm_token_scores *scores, size_t index,
                                               const struct qm_token_score *score, uint32_t target,
                                               const struct qm_token_place *place);

// The distribution that a text was drawn from: `count` tokens, all different, and their probabilities, above 0, of sum 1.
struct qm_token_source {
    const uint32_t *tokens;
    const double *probabilities;
    uint32_t count;
};

// KL(source || softmax(logits)) in nats, as above; never below 0. QM_INVALID for a token outside the vocabulary or
// probabilities that are none; QM_WRONG_RESULT for a logit that is not finite, of `name`.
QM_MUST_USE enum qm_status qm_token_source_kl(const struct qm_token_source *source, const float *logits,
                                              uint32_t vocabulary, const char *name, const struct qm_token_place *place,
                                              double *kl);

// Sets source_kl, source_kl_reference and has_source of element `index`. Threads as above.
QM_MUST_USE enum qm_status qm_token_scores_set_source(struct qm_token_scores *scores, size_t index,
                                                      const struct qm_token_source *source, const float *reference,
                                                      const float *logits, uint32_t vocabulary,
                                                      const struct qm_token_place *place);

// KL(p || q) in nats from two arrays of logits, as above, for any two sources: the logits of two devices, for instance.
// `p_name` and `q_name` say whose they are in the text of an error.
QM_MUST_USE enum qm_status qm_token_kl(const float *p_logits, const float *q_logits, uint32_t vocabulary,
                                       const char *p_name, const char *q_name, const struct qm_token_place *place,
                                       double *kl);

#endif
