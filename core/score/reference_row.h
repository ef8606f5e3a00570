// What is kept of the fp32 reference at one scored position, and scores against it.
//
// With a vocabulary of some thousand tokens all logits are kept, and scores are those of tokens.h. With 32,000 to 152,000
// a set of usual size would take tens of gigabytes, and almost all of it would be of tokens whose probabilities add up to
// next to nothing. So only the likeliest tokens are kept: as few as leave at most `mass` of the probability out, but at
// most `most`. The target counts as kept wherever it stands. Of the rest R two sums are kept, with p of the reference:
//
//   residual           r = sum over R of p_v
//   residual_entropy   e = sum over R of p_v ln p_v
//
// All scores but one follow from that exactly: nll of the target, its probability, argmax, confidence. Of the KL
// divergence the kept tokens' part does, and what is missing is x = sum over R of p_v (ln p_v - ln q_v), with q of the
// device, which is known everywhere. It lies between
//
//   x >= r ln(r / sum over R of q_v)              the log-sum inequality (Cover and Thomas, "Elements of Information
//                                                 Theory", theorem 2.7.1): R lumped into one token
//   x >= e - r max over R of ln q_v               for -sum p_v ln q_v is a mean of -ln q_v over R, with weights p_v of
//   x <= e - r min over R of ln q_v               sum r, and so between its ends times r
//
// The first two have equality where p and q are proportional on R, or q is equal there; the last two where all of R is one
// token. `kl` of a score is the larger of the lower bounds, and `kl_high` beside it is the upper one: the true value lies
// in [kl, kl_high], whose width is at most r times the range of ln q over R.
//
// Logits are kept as they are, in float32; sums are in double, in QM_REFERENCE_LANES sums over v modulo that number, each in
// rising order, with qm_exp_many and qm_log: the same logits give the same rows and scores on every machine.
#ifndef QM_SCORE_REFERENCE_ROW_H
#define QM_SCORE_REFERENCE_ROW_H

#include "score/tokens.h"

#include <stdbool.h>

enum {
    QM_REFERENCE_LANES = 8
};

// What to keep.
struct qm_reference_keep {
    double mass;   // probability that may be left out, 0 to 1
    uint32_t most; // tokens; 0: all, without ids
};

struct qm_reference_row {
    uint32_t count; // tokens that are kept
    const uint32_t
        *ids; // [count], rising; NULL: logits[v] is that of token v, `count` is the vocabulary, and what follows is 0
    const float *logits; // [count]
    uint32_t top;        // argmax; the lowest of equal ones
    float top_logit;
    uint32_t target;
    float target_logit;
    double log_sum; // ln of the sum of e^(logit - top_logit) over the vocabulary
    double residual, residual_entropy;
};

// Makes a row from all logits; `keep->most` is above 0. Writes at most min(most, vocabulary) elements of `ids` and `kept`,
// which out points to. QM_WRONG_RESULT for a logit that is not finite, QM_INVALID for a target outside the vocabulary.
QM_MUST_USE enum qm_status qm_reference_row_make(const float *logits, uint32_t vocabulary, uint32_t target,
                                                 const struct qm_reference_keep *keep,
                                                 const struct qm_token_place *place, uint32_t *ids, float *kept,
                                                 struct qm_reference_row *out);

// Whether the numbers of a row that was read from a file can be such: ids rising and below the vocabulary, sums in range.
bool qm_reference_row_is_valid(const struct qm_reference_row *row, uint32_t vocabulary);

// Scores one token against a row, as qm_token_score; *kl_high as above, equal to out->kl where all logits were kept. The row's
// target is `target`, else QM_INVALID.
QM_MUST_USE enum qm_status qm_reference_row_score(const struct qm_reference_row *row, const float *logits,
                                                  uint32_t vocabulary, uint32_t target,
                                                  const struct qm_token_place *place, struct qm_token_score *out,
                                                  double *kl_high);

#endif
