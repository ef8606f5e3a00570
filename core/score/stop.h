// When enough pairs were timed, and the smallest effect that so many could show.
//
// Stopping. Pairs come in blocks (an ABBA block has two: AB and BA). At looks that are planned beforehand, every
// `look_every` blocks from `blocks_min` on, the half-width of the interval of the mean logarithm is compared with what was
// asked for:
//
//   h = t sqrt(V / B),  V = variance of block means * (1 + rho)/(1 - rho),  t of B (1 - rho)/(1 + rho) - 1 degrees
//
// with rho the correlation of neighbouring block means (ordered.h; below 0 it counts as 0) and B the blocks. The relative
// half-width is exp(h) - 1. Nothing else is looked at: whether the rule stops does not depend on the ratio itself, so that
// stopping does not favour a fast or a slow one (fixed-width intervals: Chow and Robbins, Annals of Mathematical Statistics 36,
// 1965). What it does favour is a sample whose spread happened to be small; blocks_min keeps that small, and
// docs/STATISTICS.md has the coverage that is left. Do not stop on a verdict ("is it above 1 yet?"): that does bias.
//
// Noise floor. From an A/A list (a scheme against itself), the smallest effect that a list of n blocks with this noise shows
// in 4 cases of 5:  mde = exp((z_(1-a/2) + z_0.8) sqrt(V / n)) - 1,  V as above: the variance of block means where
// these are independent.
#ifndef QM_SCORE_STOP_H
#define QM_SCORE_STOP_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

struct qm_stop_params {
    size_t block;                 // pairs per block; at least 1
    size_t look_every;            // blocks between looks; at least 1
    size_t blocks_min;            // at least 4: the first look
    size_t blocks_max;            // at least blocks_min
    double half_width;            // relative, 0.01 for +-1 %; above 0
    uint64_t time_limit_ns;       // 0: none
    uint32_t confidence_permille; // 900, 950 or 990
};
#define QM_STOP_DEFAULT ((struct qm_stop_params){2, 8, 16, 256, 0.01, 0, 950})

enum qm_stop {
    QM_STOP_CONTINUE = 0,
    QM_STOP_NARROW, // the interval is as narrow as asked for
    QM_STOP_MOST,   // blocks_max were taken
    QM_STOP_TIME,   // the time is up
};

// "continue", "narrow enough", "most samples", "time is up".
const char *qm_stop_name(enum qm_stop stop);

// After a block: what to do, from all logarithms of ratios so far and the time since the first. Has no state: the same list
// gives the same answer, and a list cut at an earlier look gives what was decided then. Pairs of an unfinished block are not
// looked at. `half_width` (may be NULL) becomes the relative half-width at the latest look, 0 before the first.
QM_MUST_USE enum qm_status qm_stop_decide(const struct qm_stop_params *params, const double *logs, size_t count,
                                          uint64_t elapsed_ns, enum qm_stop *decision, double *half_width);

struct qm_noise_floor {
    size_t blocks;    // whole ones in the list
    double mean;      // of block means: 0 but for a bias of the order
    double low, high; // its interval; an A/A list whose interval does not hold 0 is biased
    double sd;        // of block means
    double effect;    // mde for the number of blocks that was asked for, relative: 0.012 is 1.2 %
};

// `logs` of `count` A/A pairs in blocks of `block`; `blocks` is how many the list to be judged will have (0: as many as this
// one). QM_INVALID for fewer than 4 whole blocks.
QM_MUST_USE enum qm_status qm_noise_floor(const double *logs, size_t count, size_t block, size_t blocks,
                                          uint32_t confidence_permille, struct qm_noise_floor *out);

#endif
