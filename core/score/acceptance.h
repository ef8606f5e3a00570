// Acceptance: do the measured numbers keep the bounds that the profile states? pass, fail or inconclusive.
//
// A bound is judged by the interval, not by the estimate, so that luck decides neither way:
//
//   upper bound (value <= bound)   pass if high <= bound;  fail if low > bound;   else inconclusive
//   lower bound (value >= bound)   pass if low >= bound;   fail if high < bound;  else inconclusive
//
// (Non-inferiority testing, as for MLPerf's "99 % of fp32" read with an interval.) Not measured or without an interval
// is inconclusive. Out of range (above 1.79e308) fails an upper bound and is inconclusive for a lower one.
// Where the fp32 reference was kept in part (reference_row.h), a number of KL divergence is a lower bound, and the truth may
// be higher by so much; then `high` above is that of the interval and this added. So pass takes the upper bound, fail the
// lower one, and what lies between them is inconclusive for that reason.
// Where exact_match_ratio against a lower bound is inconclusive, the text tells how many graded examples would do.
// Overall: fail if any fails, else inconclusive if any is, else pass. No criteria at all is no pass: "not stated".
#ifndef QM_SCORE_ACCEPTANCE_H
#define QM_SCORE_ACCEPTANCE_H

#include "score/summary.h"

enum qm_bound_side {
    QM_BOUND_UPPER, // value <= bound
    QM_BOUND_LOWER, // value >= bound
};

enum qm_verdict {
    QM_VERDICT_NOT_STATED = 0, // there was nothing to judge
    QM_VERDICT_PASS,
    QM_VERDICT_FAIL,
    QM_VERDICT_INCONCLUSIVE,
};

// "not stated", "pass", "fail", "inconclusive".
const char *qm_verdict_name(enum qm_verdict verdict);

struct qm_criterion {
    enum qm_metric metric;
    enum qm_bound_side side;
    double bound; // finite
};

// By how much KL divergences may be above what was measured, for what the fp32 reference left out; both 0 where it was kept
// whole.
struct qm_left_out {
    double mean;    // of the mean over the scored tokens
    double largest; // of any one token, and so of any percentile
};

// What of that a metric may be off by: 0 of any that is not of KL divergence.
double qm_left_out_of(const struct qm_left_out *left_out, enum qm_metric metric);

enum {
    QM_VERDICT_TEXT_BYTES = 320
};

struct qm_criterion_verdict {
    enum qm_verdict verdict;
    char text[QM_VERDICT_TEXT_BYTES]; // "kl_divergence_mean 0.0123 [0.0118, 0.0129] <= 0.05: pass"
};

// Judges one number, which may be higher by `left_out`, against one bound; `name` (at most 60 bytes are shown) stands in the
// text. The numbers are printed
// with 3 significant digits or as many more as it takes (up to 17) for different numbers to look different and for the
// printed ends to be on the same side of the printed bound as the true ones, so that a line never contradicts itself.
struct qm_criterion_verdict qm_criterion_judge(const char *name, enum qm_bound_side side, double bound,
                                               const struct qm_estimate *estimate, double left_out);

// Judges `count` criteria against a summary, of which `left_out` (NULL: nothing) was left out: verdicts[count], owned by
// the caller, and the overall verdict.
// QM_INVALID for a metric that does not exist or a bound that is not finite.
QM_MUST_USE enum qm_status qm_acceptance_judge(const struct qm_criterion *criteria, size_t count,
                                               const struct qm_summary *summary, const struct qm_left_out *left_out,
                                               struct qm_criterion_verdict *verdicts, enum qm_verdict *overall);

// Whether exact match is not inferior to the reference's: exact_match_ratio >= `threshold` (above 0), judged as above.
// *needed: graded examples that would decide in 4 cases of 5, 0 where none would (noninferiority.h).
enum qm_verdict qm_acceptance_non_inferiority(const struct qm_summary *summary, double threshold, uint64_t *needed);

// The overall verdict of any list of verdicts. NOT_STATED ones are skipped.
enum qm_verdict qm_verdict_overall(const struct qm_criterion_verdict *verdicts, size_t count);

#endif
