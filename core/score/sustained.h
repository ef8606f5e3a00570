// The rate that holds, and the one that does not: a contiguous run of blocks of one scheme, cut into windows.
//
// Time. Window w covers the seconds [w W, (w + 1) W) since the start of the run. A block that spans a border gives each
// side its share of units and of time. Between blocks lie gaps in which the probe runs, telemetry is read or the host
// works; they are no work of the scheme. The rate of a window is therefore its units over the time its blocks took in
// it (busy time), so that the probe does not lower it; units over W, the wall rate, stands beside it. A window
// without busy time is a hole: it is kept and tagged, and has no rate. The rest at the end, if shorter than half a
// window, belongs to the last window. No sample is dropped.
//
// W is params.window_s, or twice the median block where that is longer, in whole multiples of window_s: windows shorter
// than a block would repeat one number.
//
// Burst: the blocks that begin before burst_s, units over their busy time. Sustained: the windows that begin in the
// last third of the run, the same. Both intervals are moving block bootstraps (ordered.h; pieces are blocks and
// windows). Blocks of 2 s say nothing of how one second differs from the next, so the burst's interval is made at least
// as wide as that of a mean of burst_s of windows with the noise and correlation of those before the onset (below), or
// without an onset of the last third; it has none where these are fewer than 10. The interval of ratio = sustained /
// burst joins the two on the scale of the logarithm (MOVER, Zou and Donner, "Construction of confidence limits about
// effect measures", Statistics in Medicine 27, 2008): low = ln ratio - sqrt((ln s - ln s_low)^2 + (ln b_high - ln
// b)^2), high alike.
//
// Steady. A span of windows has a slope with a 95 % interval that accounts for autocorrelation (qm_slope_fit). Change =
// slope * slope_span_s / mean: how much the rate changes over slope_span_s, relative to the span's mean. The run is
// steady from window t if the change from t to the end of the run has its interval wholly within +-slope_limit, and no
// one of the consecutive spans of slope_span_s counted back from the end to t has its interval wholly outside (at a
// confidence that holds for all spans together, by Bonferroni). t is the first such window, and at the latest the first
// of the last third, for what is called sustained must be steady. The interval is over all that follows t and not over
// one span alone, because 30 windows with noise of 1 % have an interval of +-1.3 %, in which a limit of 1 % can never
// be confirmed.
//   Not steady: from no t, and in the last third the change, or one of the spans, is wholly outside the limits (Bonferroni
//               over these).
//   Undecidable: neither; the noise is too large for the length. `noise` says how large, `seconds_needed` how long a run
//               with this noise would have to be for an interval of half the limit: its half-width goes with
//               length^-1.5.
//   Too short: less than seconds_min. All numbers that there are, are given.
//
// Throttling. onset.h finds where the windows' rates begin to fall. The probe, a fixed multiply-add loop, tells whether the
// clock did: with p = ln of the probe's median after over its median before, its standard error e (1.2533 * 1.4826 MAD /
// sqrt(n) of each side), and f = ln(before/after) of the rates:
//   clock       p - 2 e > 0 and p >= f/2
//   partly      p - 2 e > 0, and p from f/10 to f/2
//   not clock   p + 2 e < f/2, and none of the above: the rate fell and the probe did not (memory, other load)
//   unknown     fewer than 6 probes, or too noisy
// A side has its first or last 3 probes at least, also where the fall begins at once or lasts to the end.
#ifndef QM_SCORE_SUSTAINED_H
#define QM_SCORE_SUSTAINED_H

#include "score/onset.h"

struct qm_sustained_samples {
    size_t count;           // blocks, in the order of time
    const double *begin_ns; // [count] since the start of the run; blocks do not overlap
    const double *wall_ns;  // [count] how long each took on the host's clock; at least 1
    double units;           // tokens per block; above 0
    size_t probe_count;
    const double *probe_at_ns; // [probe_count] since the start of the run
    const double *probe_ns;    // [probe_count] above 0
    size_t throttled_count;    // seconds of window_s that telemetry covers; more than the run has are ignored
    const uint8_t *throttled;  // [throttled_count] not 0: telemetry said so in that window; NULL: no telemetry
};

struct qm_sustained_params {
    double burst_s, window_s, seconds_min, slope_span_s, slope_limit;
    const struct qm_bootstrap
        *bootstrap; // its seed serves the search for the onset as well; its confidence all intervals
};
#define QM_SUSTAINED_DEFAULT(bootstrap_) ((struct qm_sustained_params){2.0, 1.0, 120.0, 30.0, 0.01, (bootstrap_)})

enum qm_window_tag {
    QM_WINDOW_EMPTY = 1,               // a hole: no rate
    QM_WINDOW_THROTTLED_TELEMETRY = 2, // telemetry said so
    QM_WINDOW_THROTTLED_PROBE = 4, // mean of its probes above 1.05 of the median in the burst (of the first 3 at least)
};

struct qm_sustained_window {
    double begin_s, length_s;
    double units, busy_s;
    double rate;      // units / busy_s; 0 in a hole
    double wall_rate; // units / length_s
    uint32_t tags;
};

enum qm_sustained_state {
    QM_SUSTAINED_TOO_SHORT = 0,
    QM_SUSTAINED_STEADY,
    QM_SUSTAINED_UNDECIDABLE,
    QM_SUSTAINED_NOT_STEADY,
};

enum qm_throttle_cause {
    QM_THROTTLE_NONE = 0, // no onset
    QM_THROTTLE_CLOCK,
    QM_THROTTLE_PARTLY_CLOCK,
    QM_THROTTLE_NOT_CLOCK,
    QM_THROTTLE_UNKNOWN,
};

struct qm_sustained {
    size_t window_count;
    struct qm_sustained_window *windows; // owned: qm_sustained_free
    double window_s, seconds;            // W, and the end of the last block
    double busy_share;                   // busy time / time
    enum qm_sustained_state state;
    double steady_from_s;                   // of QM_SUSTAINED_STEADY; else 0
    double change, change_low, change_high; // over slope_span_s, of the span from steady_from_s, else of the last third
    double noise;                           // relative standard deviation of windows around the line of the last third
    double correlation;                     // of neighbouring windows there
    double seconds_needed;                  // of QM_SUSTAINED_UNDECIDABLE; else 0
    struct qm_estimate burst, rate;         // units per second
    struct qm_estimate wall_rate;           // of the last third, all gaps counted; POINT
    struct qm_estimate ratio;               // rate / burst
    struct qm_estimate p5, p50, p95; // of the windows' rates in the last third: POINT, nearest rank; p5, p95 from 20 on
    struct qm_onset onset;           // indices into the windows that have a rate
    double onset_s;                  // begin of the first window that fell; only if onset.found
    enum qm_throttle_cause cause;
    double probe_slowdown; // after / before the onset; 0 where unknown
    size_t tagged_telemetry, tagged_probe, holes;
};

// QM_INVALID names the block, probe or parameter that is wrong, as for more than 20,000 windows. On failure nothing is owned.
QM_MUST_USE enum qm_status qm_sustained_make(const struct qm_sustained_samples *samples,
                                             const struct qm_sustained_params *params, struct qm_sustained *out);
// Frees the windows; all zero afterwards.
void qm_sustained_free(struct qm_sustained *sustained);

// "none", "clock", "partly the clock", "not the clock", "unknown".
const char *qm_throttle_cause_name(enum qm_throttle_cause cause);

#endif
