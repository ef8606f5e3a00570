// What stands behind the mean KL divergence: its distribution, and what a loss does to likelihoods, to confidence, to
// greedy decoding and to the distance from the text's true source.
//
// With n tokens, i one of them; `q` of the device, `p` of the reference (tokens.h):
//
//   kl_divergence_pX         nearest rank, ratio.h: 50, 90, 95, 99 and 99.9 % of tokens have at most so much     nats
//   kl_divergence_over_X     the share of tokens with more than 0.01, 0.1 and 1 nats
//   log_likelihood_correlation   Pearson's r of nll and nll_reference over tokens; identical passes give exactly 1
//   source_kl, ..._reference     mean of source_kl and of source_kl_reference over the tokens that have a source   nats
//   source_kl_difference         the first less the second: what the scheme adds                                  nats
//   calibration_error, ..._reference   tokens sorted by confidence in QM_DETAILS_BINS bins of equal size (equal
//                            confidences in one); sum over bins of |sum of (confidence - hit)| / n
//   overconfidence           sum of (confidence - hit) / n: above 0 where the device is surer than it is right
//   overconfidence_difference    the same less that of the reference
//   greedy_identical         of the examples that the reference answers exactly: the share that the device does too
//   greedy_first_difference  of those it does not: at which scored token of the answer, from 1, it turns away first; the
//                            median (nearest rank)
//
// Calibration error is biased upwards in any finite set, for each bin's noise counts with its magnitude (Kumar, Liang
// and Ma, "Verified uncertainty calibration", 2019), and the better a model is calibrated the more. A percentile
// interval of it, or of the difference of two, lies beside the truth (test_details.c once measured 0 of 200 trials), so
// that it has none. Beside it stands `calibration_noise`, what a calibrated model with these confidences and independent tokens
// would show in the mean: sum over bins of sqrt(2 / pi * sum of confidence (1 - confidence)) / n. Overconfidence is a
// plain mean, without such bias, and has an interval; it cannot see errors that cancel between bins.
//
// Greedy decoding. Where the reference's argmax is the true token at every position of an answer, the true text IS what
// the reference decodes greedily, and teacher forcing on it is greedy decoding: the first position at which the
// device's argmax is another one is where its own continuation would leave the reference's. So over the examples that
// the reference answers exactly nothing has to be decoded freely. Examples that it does not are left out, for there
// its continuation is not at hand; so is what the caller excludes (text that was drawn by chance).
//
// Intervals are percentile bootstraps over sequences as in summary.h, from the same draws; below
// QM_SCORE_SEQUENCES_MIN sequences (source: with a source; greedy: examples taken) a POINT. So is a statistic that some
// resample cannot give. A percentile needs tokens beyond it as latencies do (ratio.h): NOT_MEASURED where fewer than
// QM_PERCENTILE_BEYOND_MIN of them are expected there, POINT below QM_PERCENTILE_INTERVAL_MIN (99.9 %: 10,000 tokens).
// Those of greedy decoding follow from counts (counts.h), so that neither no difference at all nor a single one makes an
// interval of no width.
//
// Sets. Where sequences belong to several sets that were drawn with seeds of their own, each set has its mean KL, and
// the standard deviation of these means (`spread`) is to be compared with what the scatter within sets predicts for it
// (`spread_expected`: root of the mean of their squared standard errors). A spread far above it says that sets differ
// by more than an interval within one shows.
#ifndef QM_SCORE_DETAILS_H
#define QM_SCORE_DETAILS_H

#include "score/ratio.h"
#include "score/tokens.h"

enum {
    QM_DETAILS_BINS = 15,
    QM_DETAILS_SETS_MAX = 16
};

enum qm_detail {
    QM_DETAIL_KL_P50,
    QM_DETAIL_KL_P90,
    QM_DETAIL_KL_P95,
    QM_DETAIL_KL_P99,
    QM_DETAIL_KL_P999,
    QM_DETAIL_KL_OVER_001,
    QM_DETAIL_KL_OVER_01,
    QM_DETAIL_KL_OVER_1,
    QM_DETAIL_CORRELATION,
    QM_DETAIL_SOURCE_KL,
    QM_DETAIL_SOURCE_KL_REFERENCE,
    QM_DETAIL_SOURCE_KL_DIFFERENCE,
    QM_DETAIL_CALIBRATION_ERROR,
    QM_DETAIL_CALIBRATION_ERROR_REFERENCE,
    QM_DETAIL_OVERCONFIDENCE,
    QM_DETAIL_OVERCONFIDENCE_DIFFERENCE,
    QM_DETAIL_GREEDY_IDENTICAL,
    QM_DETAIL_GREEDY_FIRST_DIFFERENCE,
    QM_DETAIL_COUNT
};

// The name of the table above, such as "kl_divergence_over_0.01"; static. "?" for a number that is no detail.
const char *qm_detail_name(enum qm_detail detail);

// All pointers stay the caller's and are not kept. Tokens of a sequence must stand in the order of their positions.
struct qm_details_params {
    const struct qm_token_scores *scores;
    uint32_t sequence_count;
    const uint8_t *is_answer; // [sequence_count]: 1 where greedy decoding makes sense; NULL: everywhere
    const uint32_t *set;      // [sequence_count]: below set_count; NULL: one set
    uint32_t set_count;       // at most QM_DETAILS_SETS_MAX
    struct qm_bootstrap bootstrap;
};

struct qm_details {
    struct qm_estimate values[QM_DETAIL_COUNT];
    double calibration_noise;
    uint64_t source_tokens;
    uint32_t source_sequences;
    // Greedy decoding: examples that the reference answers exactly, how many of them the device leaves, where the first of
    // those does (0: none), and the mean number of scored tokens of an example.
    uint32_t greedy_examples, greedy_differing, greedy_first_least;
    double greedy_tokens;
    // Sets: those with tokens. Spread and its expectation are 0 below 2 sets, or where a set has fewer than 2 sequences.
    uint32_t set_count;
    double set_kl[QM_DETAILS_SETS_MAX], spread, spread_expected;
};

// QM_INVALID (an index out of range, a score that no logits give, bad settings), QM_OUT_OF_MEMORY; *out is all zero
// then. Without tokens everything is "not measured".
QM_MUST_USE enum qm_status qm_details_compute(const struct qm_details_params *params, struct qm_details *out);

// As qm_summary_forget_reference: source_kl, calibration_error, its noise and overconfidence stay.
void qm_details_forget_reference(struct qm_details *details);

#endif
