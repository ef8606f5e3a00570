// The accuracy of a pass, in numbers with intervals: from the scores of its tokens to perplexity, KL divergence and the
// rest, and the paired comparison of two passes.
//
// With n tokens, and sums over all of them in the order of sequences (within a sequence, in the order of tokens):
//
//   kl_divergence_mean     sum kl / n                                  nats per token
//   kl_divergence_p99      99th percentile of kl over tokens           nats; nearest rank, see ratio.h
//   kl_divergence_max      largest kl                                  nats
//   perplexity             exp(sum nll / n)
//   perplexity_reference   exp(sum nll_reference / n)
//   perplexity_ratio       exp(sum (nll - nll_reference) / n)          device over reference, paired
//   top1_agreement         sum same_top / n                            0 .. 1
//   rms_delta_p            sqrt(sum delta_p^2 / n)                     0 .. 1
//   exact_match            examples all of whose tokens are hits / graded examples
//   exact_match_reference  the same with the reference's hits
//   exact_match_ratio      exact_match / exact_match_reference
//
// (Definitions of llama.cpp's perplexity tool; exact match under teacher forcing; see tokens.h for the scores.)
//
// Every interval is a percentile bootstrap over sequences as ratio.h describes: tokens of one sequence are correlated,
// so that resampling tokens would make every interval too narrow. Each resample serves all metrics. Fewer than
// QM_SCORE_SEQUENCES_MIN sequences (for exact match: graded examples) give a POINT. So does a resample in which a
// statistic is undefined (no example of the cell drawn). The one exception is exact_match_ratio, on which acceptance
// rests: a bootstrap of it has width 0 where the scheme and the reference miss the same examples, so its interval is
// that of a score test (noninferiority.h).
//
// What an interval does not say. The maximum of a resample never exceeds the observed maximum: the interval of
// kl_divergence_max shows how much rests on a few sequences, and is no bound on what other text would give. Where
// every example (or none) is a hit, all resamples agree and the interval has width 0; with m examples a rate of misses
// of 3 / m is still within 95 % (the rule of three), so read it beside the number of examples.
#ifndef QM_SCORE_SUMMARY_H
#define QM_SCORE_SUMMARY_H

#include "score/noninferiority.h"
#include "score/ratio.h"
#include "score/tokens.h"

enum qm_metric {
    QM_METRIC_KL_MEAN,
    QM_METRIC_KL_P99,
    QM_METRIC_KL_MAX,
    QM_METRIC_PERPLEXITY,
    QM_METRIC_PERPLEXITY_REFERENCE,
    QM_METRIC_PERPLEXITY_RATIO,
    QM_METRIC_TOP1_AGREEMENT,
    QM_METRIC_RMS_DELTA_P,
    QM_METRIC_EXACT_MATCH,
    QM_METRIC_EXACT_MATCH_REFERENCE,
    QM_METRIC_EXACT_MATCH_RATIO,
    QM_METRIC_COUNT
};

// The name of the table above; static. "?" for a number that is no metric.
const char *qm_metric_name(enum qm_metric metric);
// "nats" or "".
const char *qm_metric_unit(enum qm_metric metric);
// QM_INVALID with the list of names where there is no such metric.
QM_MUST_USE enum qm_status qm_metric_find(const char *name, enum qm_metric *metric);

// The cell of a sequence that is not graded.
#define QM_CELL_NONE UINT32_MAX

// What is summarized. `scores->sequence[i]` must be below sequence_count. `cell` (may be NULL: nothing is graded) gives
// for each sequence the cell of its task and difficulty, below cell_count, or QM_CELL_NONE. Sequences without a scored
// token do not take part. All pointers stay the caller's and are not kept.
struct qm_summary_params {
    const struct qm_token_scores *scores;
    uint32_t sequence_count;
    const uint32_t *cell;
    uint32_t cell_count;
    struct qm_bootstrap bootstrap;
};

// Exact match of one cell.
struct qm_cell_summary {
    uint32_t examples, hits, hits_reference;
    struct qm_estimate exact_match, exact_match_reference, ratio;
};

struct qm_summary {
    uint64_t tokens;
    uint32_t sequences;            // with at least one token
    struct qm_bootstrap bootstrap; // as given
    struct qm_estimate metrics[QM_METRIC_COUNT];
    struct qm_paired_counts graded; // all graded examples
    uint32_t cell_count;
    struct qm_cell_summary *cells; // cell_count of them, owned
};

// *out is NULL on failure: QM_INVALID (an index out of range, a score that no fp32 logits give, bad bootstrap
// settings), QM_OUT_OF_MEMORY. No tokens at all: every metric is "not measured". 30,000 tokens in 3,000 sequences with
// 2,000 resamples take about 0.1 s on one core.
QM_MUST_USE enum qm_status qm_summary_create(const struct qm_summary_params *params, struct qm_summary **out);
// Where there is no reference to speak of: whatever compares with one is "not measured" from here on, here and in all cells.
// Perplexity and exact match stay.
void qm_summary_forget_reference(struct qm_summary *summary);
// Frees *summary and sets it to NULL; NULL is allowed.
void qm_summary_destroy(struct qm_summary **summary);

// A mean over tokens and its standard error over sequences, without resampling. With D_s the sum and n_s the number of
// the values in sequence s, S sequences, N tokens: mean m = sum D_s / N and
//   standard_error = sqrt(S / (S - 1) * sum (D_s - m n_s)^2) / N
// (the linearized ratio estimator; Cochran, "Sampling Techniques", chapter 6). has_error is 0 below 2 sequences and
// standard_error is then 0 and means nothing. tokens == 0: the mean means nothing either.
struct qm_cluster_mean {
    double mean, standard_error;
    uint64_t tokens;
    uint32_t sequences;
    uint8_t has_error;
};

// Of any values, one per token: such as KL divergences between two devices' logits, from qm_token_kl.
QM_MUST_USE enum qm_status qm_cluster_mean(const double *values, const uint32_t *sequence, size_t count,
                                           uint32_t sequence_count, struct qm_cluster_mean *out);

// The paired difference mean kl(a) - mean kl(b) of two passes over the same tokens, with its standard error: the test
// of agreement between devices. QM_INVALID naming the first token that is not the same (sequence, window, position,
// target) or a count that differs.
QM_MUST_USE enum qm_status qm_paired_kl(const struct qm_token_scores *a, const struct qm_token_scores *b,
                                        uint32_t sequence_count, struct qm_cluster_mean *out);

#endif
