// Is a device's timer to be trusted? Two questions: does it tick as its driver says, and does it time what it claims to?
//
// Pace. Pairs of (host clock, device ticks) read together. Ticks have valid_bits and wrap; a difference is taken modulo
// 2^valid_bits, so that pairs must be less than one wrap apart (36 bits of 1 ns: 68 s). The slope of device time (ticks
// times the period the driver states) on host time is that of Theil and Sen with its interval (ordered.h), for some pairs are
// always read late: the thread was away between the two readings. The true period is the stated one over the slope.
//   good         the slope is 1 within 0.5 %, with its whole interval
//   other pace   steady, but of another period than stated: use the measured one (1.0 for 41.667 was seen)
//   undecidable  the interval of the slope is not on one side of the 0.5 %; take pairs for longer
//   void         stands still, runs backwards, has no bits, or goes at another pace in the second half than in the first
//   too few      fewer than 10 pairs or less than 1 s
//
// Blocks. Long submissions timed by both clocks: device time from its timestamps, wall time from submitting to the end of
// waiting. What the host does is in wall time only, so that device time can be less and never be more:
//   void   the median of device/wall is above 1 + limit: it timed what did not happen
//   void   the median is below 1 - limit, and the slope b of wall = a + b device (Theil and Sen) is beyond 1 +- limit with
//          its whole interval: each further second of wall time is less than a second of device time, and no fixed overhead
//          of the host explains that
//   good   otherwise, where the median is within 1 +- limit, or the interval of b within 1 +- 2 limit
//   undecidable  the median is below 1 - limit and b is not known well enough, as with blocks of one length only
// a is the host's overhead per submission: the median of wall - b device, with an interval that joins the uncertainty of
// that median, 1.96 * 1.2533 * 1.4826 MAD / sqrt(n), and half the width of the slope's interval times the median device
// time, by the root of their squares. With blocks of one length b is not known and a is taken for b = 1.
#ifndef QM_SCORE_TIMER_H
#define QM_SCORE_TIMER_H

#include "score/ratio.h"

enum qm_timer_state {
    QM_TIMER_TOO_FEW = 0,
    QM_TIMER_GOOD,
    QM_TIMER_OTHER_PACE,
    QM_TIMER_UNDECIDABLE,
    QM_TIMER_VOID,
};

enum {
    QM_TIMER_REASON_BYTES = 240,
    QM_TIMER_PAIRS_MIN = 10,
    QM_TIMER_BLOCKS_MIN = 8
};
#define QM_TIMER_SPAN_MIN_NS 1e9
#define QM_TIMER_PACE_LIMIT 0.005

// "too few samples", "good", "other pace", "undecidable", "void".
const char *qm_timer_state_name(enum qm_timer_state state);

struct qm_timer_pairs {
    size_t count;
    const uint64_t *host_ns; // never falling
    const uint64_t *ticks;   // bits above valid_bits are ignored
    uint32_t valid_bits;     // 0 .. 64
    double period_ns;        // of a tick, as the driver states it; 1 for a timer in ns; above 0
};

struct qm_timer_pace {
    enum qm_timer_state state;
    struct qm_estimate ratio;           // true period / stated period, with the interval of 95 %
    double standard_error;              // of the ratio: a quarter of the interval, more exactly its width / (2 * 1.96)
    double period_ns;                   // measured: ratio * stated
    double residual_sd_ns;              // of device time around the line
    double offset_ns;                   // median of device time - slope * host time, both since their first pair
    double seconds;                     // of host time from the first to the last pair
    char reason[QM_TIMER_REASON_BYTES]; // in plain words, unless good
};

// QM_INVALID for pairs in the wrong order or a wrap apart, bits above 64, or a period that is no number above 0.
QM_MUST_USE enum qm_status qm_timer_pace(const struct qm_timer_pairs *pairs, struct qm_timer_pace *out);

struct qm_timer_blocks {
    size_t count;
    const double *device_ns; // [count] not below 0
    const double *wall_ns;   // [count] above 0; each one submission and one wait
    double block_ns_min;     // blocks with less wall time are left to the host's noise and not looked at: 50e6
    double limit;            // 0.05; above 0, below 0.5
};

struct qm_timer_check {
    enum qm_timer_state state; // never QM_TIMER_OTHER_PACE
    size_t used;               // blocks that are long enough
    double ratio;              // median of device / wall
    struct qm_estimate slope;  // b; NOT_MEASURED where blocks have one length: the longest below 1.5 times the shortest
    struct qm_estimate overhead_ns; // a
    char reason[QM_TIMER_REASON_BYTES];
};

QM_MUST_USE enum qm_status qm_timer_check(const struct qm_timer_blocks *blocks, struct qm_timer_check *out);

#endif
