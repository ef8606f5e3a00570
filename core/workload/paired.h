// Answers of two passes over the same examples: how many are right, and which changed against the reference (fp32).
//
// Each example is right or not with either, and the two answers are the same or not (as texts after the stop string, or
// as choices), so that it is one of six:
//
//   same           right or wrong, the same answer
//   lost           the reference is right, the scheme is not             ("right to wrong")
//   gained         the scheme is right, the reference is not             ("wrong to right")
//   other, right   both right with different answers
//   other, wrong   both wrong with different answers
//
// Flips are lost + gained ("Accuracy is Not All You Need", Dutta et al., 2024, where they show what a difference of
// accuracies hides); changed are all answers that differ.
//
//   accuracy, reference   share of right answers, Wilson's interval (score/counts.h)
//   ratio                 scheme over reference, by the score test of score/noninferiority.h
//   difference            (gained - lost) / n; interval by inversion of the score test for paired proportions (Tango,
//                         "Equivalence test and confidence interval for the difference in proportions for the
//                         paired-sample design", Statistics in Medicine 17, 1998): the d at which T(d) is z and -z,
//                         T(d) = (b - c - n d) / sqrt(n (2 q + d (1 - d))), b gained, c lost,
//                         q = (sqrt(B^2 - 4 A C) - B) / (2 A), A = 2 n, B = -b - c + (2 n - b + c) d, C = -c d (1 - d)
//   p_value               McNemar's exact test, two-sided: of b + c throws of a coin, twice the probability of at most
//                         min(b, c) heads, at most 1 (McNemar, Psychometrika 12, 1947)
//
// Below QM_SCORE_SEQUENCES_MIN examples numbers are a POINT. Answers that could not be judged are wrong (answers.h).
#ifndef QM_WORKLOAD_PAIRED_H
#define QM_WORKLOAD_PAIRED_H

#include "score/noninferiority.h"
#include "workload/answers.h"

enum qm_answer_change {
    QM_CHANGE_NONE,
    QM_CHANGE_LOST,
    QM_CHANGE_GAINED,
    QM_CHANGE_OTHER_RIGHT,
    QM_CHANGE_OTHER_WRONG,
    QM_CHANGES
};

// "same", "right to wrong", "wrong to right", "other, right", "other, wrong".
const char *qm_answer_change_name(enum qm_answer_change change);

struct qm_paired_answer {
    enum qm_judgement scheme, reference;
    bool is_same;
};
// Two answers that are the same are right or wrong together, whatever is_same says.
enum qm_answer_change qm_answer_change(const struct qm_paired_answer *answer);

struct qm_paired_summary {
    uint32_t examples;
    struct qm_paired_counts counts; // scheme_only is gained, reference_only lost
    uint32_t changes[QM_CHANGES];
    uint32_t flips, changed;
    uint32_t unjudged, unjudged_reference;
    struct qm_estimate accuracy, accuracy_reference, ratio, difference;
    double p_value; // 1 without flips
};

// `confidence_permille` is 900, 950 or 990, else QM_INVALID. Without examples every estimate is "not measured".
QM_MUST_USE enum qm_status qm_paired_summarize(const struct qm_paired_answer *answers, size_t count,
                                               uint32_t confidence_permille, struct qm_paired_summary *out);

// A share with Wilson's interval: NOT_MEASURED without examples, POINT below QM_SCORE_SEQUENCES_MIN.
struct qm_estimate qm_answer_share(uint32_t right, uint32_t count, uint32_t confidence_permille);
// The difference and the p-value above, from counts.
struct qm_estimate qm_paired_difference(const struct qm_paired_counts *counts, uint32_t confidence_permille);
double qm_mcnemar_exact(uint32_t gained, uint32_t lost);

#endif
