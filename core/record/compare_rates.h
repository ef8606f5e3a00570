// How much faster one of two comparable results is: the ratio of two independent rates.
//
// Ratio = rate of B / rate of A. Its interval joins those of both on the scale of the logarithm (MOVER, Zou and Donner,
// "Construction of confidence limits about effect measures", Statistics in Medicine 27, 2008):
//   ln low  = ln ratio - sqrt((ln b - ln b_low)^2 + (ln a_high - ln a)^2)
//   ln high = ln ratio + sqrt((ln b_high - ln b)^2 + (ln a - ln a_low)^2)
// It knows how rates scattered within the two runs and nothing of what changes between runs (clocks, heat, other load,
// the layout of memory), so that two runs of one program may lie apart by more than it says. Runs that are repeated, as
// 'qmark gate' takes them, show that.
//
// Both rates are by the same timer: by the device's where both points are, else by the host's clock, of which a point
// whose rate is the device's has no interval. Nothing here has a speed without its accuracy.
#ifndef QM_RECORD_COMPARE_RATES_H
#define QM_RECORD_COMPARE_RATES_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>

struct qm_node;
struct qm_comparison;

struct qm_rate {
    double value; // tokens per second; above 0
    bool has_interval;
    double low, high; // above 0; only with has_interval
};

struct qm_rate_pair {
    size_t scheme;               // in qm_comparison.schemes
    const struct qm_node *a, *b; // the points in the results, or the sustained runs: phase, batch, prompt or depth
    bool is_sustained;           // both were steady
    bool is_deployment;          // output tokens of requests that were served; nothing of the above
    const char *timer;           // "device" or "wall"; static
    struct qm_rate rate_a, rate_b;
    struct qm_rate ratio; // rate_b / rate_a
};

// The formula above; without interval where a side has none.
struct qm_rate qm_rate_over(const struct qm_rate *b, const struct qm_rate *a);

// Fills `rates` of a comparison for every point that a comparable scheme has on both sides, in the order of the first
// result, then for its sustained run where both are steady and of one work, and for requests that both served: a rate of
// whole rounds, without an interval.
QM_MUST_USE enum qm_status qm_compare_add_rates(struct qm_comparison *comparison);

// "What the ratios know and what not", one line for below a table of them.
extern const char qm_rate_pair_note[];

#endif
