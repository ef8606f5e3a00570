// What of a result follows from times: `throughput`, `gain`, `latency_bounded` and `sustained` of a scheme, and `timing`,
// what the device's clock and noise are worth. As with result_derive.h, a run and `qmark verify` both go through here.
#ifndef QM_BENCH_RESULT_SPEED_H
#define QM_BENCH_RESULT_SPEED_H

#include "bench/raw.h"
#include "record/node.h"

// Compares the device's times of long blocks with the host's, into raw->timer; before anything below. A device timer that
// is void is not used: rates, gains and latencies are then by the host's clock.
QM_MUST_USE enum qm_status qm_speed_judge_timer(struct qm_raw *raw);

// Adds `throughput`, `gain`, `latency_bounded` and `sustained`, of a scheme that is ok.
void qm_speed_add_scheme(struct qm_node *row, const struct qm_raw *raw, size_t scheme);

// `sustained` alone: a mapping, or the words (result_sustained.c).
void qm_speed_add_sustained(struct qm_node *row, const struct qm_raw *raw, size_t scheme);

// Whether every gain over the baseline at a point is known to the profile's precision, and the widest half-width there is,
// relative (0 where there is none): by score/stop.h, over every two blocks, there and back, by the host's clock. What ends
// the rounds of a run, and what a result says ended them.
QM_MUST_USE enum qm_status qm_speed_is_known(const struct qm_profile *profile, const struct qm_point_run *baseline,
                                             const struct qm_point_run *scheme, bool *is_known);

// Adds `timing` to the result: noise floor, device clock against the host's, host time per submission, order of turns.
void qm_speed_add_timing(struct qm_node *root, const struct qm_raw *raw);

#endif
