// How near a device's logits are to those of the reference backend, which runs the same artifact by its formulas.
//
// They differ by the order of float sums, and by what rounding makes of it: a value near a tie of a grid (binary16, int8
// or int4 codes) may fall the other way and move by a whole step. What that does to a row is what quantization itself does
// to it, only rarer. So the yardstick is at hand: the divergence of the reference backend, for this scheme, from the fp32
// model on the same rows ("own"). A device must be nearer to the reference than a fraction of that. The mean is coarse,
// for few rows carry most of it, and where one of them falls the other way it may be half of the own mean; so the mean of
// all rows only must not exceed the own one, and that of the body, the rows but the worst in a hundred, is held to a
// quarter. The median notices whatever touches every row a little. Floors stand where the scheme's own divergence is next
// to nothing. docs/METHOD.md has the figures behind the constants.
//
// That fraction is the built-in model's. Of any other model it is measured what rounding alone does (bench/sensitivity.h):
// where that is known ("shaken"), each bound is at least twice the same figure of it. The factor is for what devices add
// beyond the shake: fused multiply-adds, and sums of thousands of terms.
#ifndef QM_SCORE_AGREEMENT_H
#define QM_SCORE_AGREEMENT_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct qm_agreement {
    double *device, *own; // [count] KL(reference backend || device), KL(fp32 || reference backend); nats
    double *shaken;       // [count] KL(reference backend || reference backend, shaken); all 0 where it was not measured
    size_t count, capacity;
    double worst;
    uint32_t worst_window, worst_position;
};

struct qm_agreement_verdict {
    double mean, mean_bound; // max(floor, own mean); floor 1e-5, in float32 throughout 1e-8
    double body,
        body_bound; // mean without the worst count / 100 rows: max(floor, the same of the own / 4); floors as above
    double median, median_bound; // max(floor, own median / 10); floor 1e-6, in float32 throughout 1e-10
    bool agrees;                 // all within their bounds; true without rows
};

QM_MUST_USE enum qm_status qm_agreement_add(struct qm_agreement *agreement, double device_kl, double own_kl,
                                            double shaken_kl, uint32_t window, uint32_t position);

// Over all rows added so far. `is_float32`: activations and cache are, so that nothing is rounded to a grid.
QM_MUST_USE enum qm_status qm_agreement_judge(const struct qm_agreement *agreement, bool is_float32,
                                              struct qm_agreement_verdict *out);

// Sets `agrees` anew, after a caller has changed a bound.
void qm_agreement_decide(struct qm_agreement_verdict *verdict);

// Frees the rows; the structure is as if new.
void qm_agreement_clear(struct qm_agreement *agreement);

#endif
