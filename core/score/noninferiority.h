// Non-inferiority of exact match: is the scheme's share of right answers at least so much of fp32's, and if that cannot
// be told yet, how many examples would tell?
//
// Both answer the same examples, so that each example is one of four: both right (a), only the scheme (b), only the
// reference (c), neither (d). The ratio is R = (a + b) / (a + c). What is uncertain about it comes from b and c alone,
// and a set may well have none of either: a bootstrap then gives an interval of width 0, and ten examples would prove
// any ratio. The interval here is by inversion of the score test for the ratio of paired proportions (Nam and
// Blackwelder, "Analysis of the ratio of marginal probabilities in a matched-pair setting", Statistics in Medicine 21,
// 2002), which stays honest there: with n = a + b + c + d and u the shares that are most likely if the true ratio is R,
//
//   T(R) = (a + b - R (a + c)) / sqrt(n R (u_b + u_c))          falls as R rises
//
// u_c = s t with s = (a + b + c) / n, t the larger root of (1 + R) m t^2 - B t + c (1 - R) = 0, m = a + b + c,
// B = (1 - R^2)(a + c) + b + c, and u_b = (u_c - (1 - R) s) / R. The interval's ends are where T is z and -z of the
// confidence; with m examples that both get right and no other, its low end is m / (m + z^2).
//
// Verdict against a threshold (0.99, 0.999): pass if the low end is above it, fail if the high end is below it, else
// inconclusive. An interval of 95 % makes this a one-sided test at 2.5 %.
//
// How many examples it would take: with the shares that were seen (p), and d = p_a + p_b - R (p_a + p_c) at the
// threshold R, the number for which the test decides in 4 cases of 5 (z_0.8 = 0.8416): for a pass where d is above 0, for
// a fail where it is below.
//
//   n = ((z sqrt(R (u_b + u_c)) + z_0.8 sqrt(p_b + R^2 p_c + (1 - R)^2 p_a - d^2)) / d)^2
//
// Where d is 0, the ratio seen being the threshold itself, no number of examples like these decides.
#ifndef QM_SCORE_NONINFERIORITY_H
#define QM_SCORE_NONINFERIORITY_H

#include "score/ratio.h"

// How many examples were answered right by whom.
struct qm_paired_counts {
    uint32_t both, scheme_only, reference_only, neither;
};

// The ratio with its interval of `confidence_permille` (900, 950 or 990). NOT_MEASURED if the reference has no right
// answer, POINT below QM_SCORE_SEQUENCES_MIN examples.
struct qm_estimate qm_paired_ratio(const struct qm_paired_counts *counts, uint32_t confidence_permille);

// The score statistic T(R) of the header; `ratio` above 0. 0 without examples that anybody gets right.
double qm_paired_ratio_score(const struct qm_paired_counts *counts, double ratio);

// Thresholds that every result is judged by, whatever its profile demands: 99 % and 99.9 % of the reference's exact match,
// the two that MLPerf Inference has for quantized models.
enum {
    QM_NON_INFERIORITY_PRESETS = 2
};
extern const double qm_non_inferiority_presets[QM_NON_INFERIORITY_PRESETS];

// Graded examples that a set with the same shares needs to decide against `threshold` (above 0) in 4 cases of 5; the
// count at hand if it decides already. 0: no number does, because the ratio seen is the threshold or there is none.
uint64_t qm_paired_examples_needed(const struct qm_paired_counts *counts, double threshold,
                                   uint32_t confidence_permille);

#endif
