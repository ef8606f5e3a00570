// Estimates with intervals: the bootstrap and the percentiles that all scores and timings share, the throughput gain
// of paired timing samples, rates and latencies.
//
// Everything here is recomputable: +, -, *, /, sqrt and qm_exp/qm_log in a fixed order, and draws from qm_random with a
// recorded seed. The same input gives the same result on another machine (to the bit where the compiler does not
// contract multiply-adds, and to 1e-9 in any case).
//
// Bootstrap. A *cluster* is what was drawn or measured independently of the rest: a sequence for scores, a block of
// consecutive pairs for timings. One resample draws as many clusters as there are, with replacement, and recomputes the
// statistic from the per-cluster sums of the drawn ones (a ratio estimator: sum of values / sum of counts, so that
// clusters may differ in size). From the R sorted statistics the interval of confidence c takes, with
// k = floor((R + 1)(1 - c) / 2), the k-th smallest and the k-th largest: the percentile interval (Efron and Tibshirani,
// "An Introduction to the Bootstrap", chapter 13). With R = 2,000 and c = 95 %, k = 50. All resamples of one call come
// from qm_random_seed(seed, stream 0), resample after resample, one qm_random_below per drawn cluster.
//
// Percentile. The q-th percentile of n values is the smallest value that at least q % of all values do not exceed: the
// value of rank ceil(q n / 100) of the sorted list (nearest rank; nothing is interpolated). q is given in permille and
// the rank is computed in integers.
#ifndef QM_SCORE_RATIO_H
#define QM_SCORE_RATIO_H

#include "base/random.h"
#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

// Below these counts a number or its interval is not measured; see the functions.
enum {
    QM_SCORE_SEQUENCES_MIN = 10,     // sequences for an interval of a score
    QM_RATIO_BLOCKS_MIN = 8,         // blocks of timing samples for an interval
    QM_PERCENTILE_BEYOND_MIN = 1,    // samples at or above a percentile for its value: 20 samples for p95, 100 for p99
    QM_PERCENTILE_INTERVAL_MIN = 10, // the same for its interval: 200 samples for p95, 1,000 for p99
};

enum qm_estimate_state {
    QM_ESTIMATE_NOT_MEASURED = 0, // there is no number: value, low and high are 0 and mean nothing
    QM_ESTIMATE_POINT,            // `value` is a number; there is too little to give an interval (low and high are 0)
    QM_ESTIMATE_INTERVAL,         // all three are numbers. low <= high; `value` is between them but in odd cases
    QM_ESTIMATE_OUT_OF_RANGE,     // measured, and above 1.79e308 (perplexity of nonsense); no number is given
};

// A number with its interval. Look at `state` first. All zero is a valid "not measured".
struct qm_estimate {
    enum qm_estimate_state state;
    double value, low, high;
};

// "not measured", "no interval", "interval", "out of range".
const char *qm_estimate_state_name(enum qm_estimate_state state);

// What a result records, and `verify` needs, to compute an interval again.
struct qm_bootstrap {
    uint64_t seed;
    uint32_t resamples;           // 99 .. 1,000,000
    uint32_t confidence_permille; // 900, 950 or 990; (resamples + 1)(1 - c)/2 must be at least 1
};
#define QM_BOOTSTRAP_GENERATOR "xoshiro256**" // its name in a result: base/random.h
#define QM_BOOTSTRAP_SEED UINT64_C(0x716D61726B0004)
#define QM_BOOTSTRAP_DEFAULT ((struct qm_bootstrap){QM_BOOTSTRAP_SEED, 2000, 950})

// QM_INVALID if a field is out of its range.
QM_MUST_USE enum qm_status qm_bootstrap_check(const struct qm_bootstrap *bootstrap);

// One resample: weights[c], for each of `clusters` (>= 1) clusters, becomes the number of times it was drawn.
void qm_bootstrap_draw(struct qm_random *random, uint32_t clusters, uint32_t *weights);

// The percentile interval of `bootstrap->resamples` statistics, which are sorted in place and must be numbers.
// `bootstrap` must have passed qm_bootstrap_check.
void qm_bootstrap_interval(const struct qm_bootstrap *bootstrap, double *statistics, double *low, double *high);

// A value and the cluster that it belongs to.
struct qm_cluster_value {
    double value;
    uint32_t cluster;
};

// Sorts from the largest value to the smallest. The values must be numbers.
void qm_cluster_values_sort(struct qm_cluster_value *values, size_t count);

// The percentile of values sorted by qm_cluster_values_sort, each counting weights[its cluster] times. `permille` is
// 0 .. 1000 (0 the smallest, 1000 the largest value). `total` is the sum of weights over all values, at least 1.
double qm_cluster_percentile(const struct qm_cluster_value *values, size_t count, const uint32_t *weights,
                             uint64_t total, uint32_t permille);

// Samples of time: one number per timed unit of work, in nanoseconds, in the order of measurement. All must be finite
// and above 0; else QM_INVALID naming the index. `block` is how many consecutive samples (or pairs) were taken together
// and are therefore one cluster; the last block may be smaller. 1 says that each stands for itself. The arrays stay the
// caller's.
//
// Small numbers of blocks: the percentile interval is too narrow there, because it lacks the factor n/(n-1) in the
// variance and uses the normal distribution for Student's t (8 blocks: about 89 % coverage for 95 %). On the scale of
// the logarithm its ends are therefore moved away from the estimate by sqrt(n/(n-1)) t(n-1)/z, in the spirit of the
// expanded percentile interval of Hesterberg ("What Teachers Should Know About the Bootstrap", 2015); t by its
// expansion in 1/(n-1) (Abramowitz and Stegun 26.7.5). The factor is 1.29 for 8 blocks and 1.04 for 50.

// Throughput gain of a scheme over a baseline, measured in interleaved pairs on one device, each pair doing the same
// work twice: r_i = ln(baseline_ns[i] / scheme_ns[i]), gain = exp(mean r), above 1 where the scheme is faster; interval
// by bootstrap of mean r over blocks. POINT below QM_RATIO_BLOCKS_MIN blocks, NOT_MEASURED without a pair.
QM_MUST_USE enum qm_status qm_ratio_paired(const double *baseline_ns, const double *scheme_ns, size_t count,
                                           size_t block, const struct qm_bootstrap *bootstrap,
                                           struct qm_estimate *gain);

// Rate in units per second: count * units / (sum of ns * 1e-9), where each sample did `units` of work (tokens, bytes,
// operations; above 0); interval by bootstrap of the mean time over blocks. POINT and NOT_MEASURED as above.
QM_MUST_USE enum qm_status qm_rate(const double *sample_ns, size_t count, size_t block, double units,
                                   const struct qm_bootstrap *bootstrap, struct qm_estimate *rate);

// Percentiles of latency, in nanoseconds. NOT_MEASURED where fewer than QM_PERCENTILE_BEYOND_MIN of the samples are
// expected beyond the percentile, (1 - q) n (p50: 2 samples, p95: 20, p99: 100); POINT below QM_PERCENTILE_INTERVAL_MIN
// of them or below QM_RATIO_BLOCKS_MIN blocks. The interval is the percentile interval as it is, not widened.
struct qm_latency {
    struct qm_estimate p50, p95, p99;
};
QM_MUST_USE enum qm_status qm_latency_percentiles(const double *sample_ns, size_t count, size_t block,
                                                  const struct qm_bootstrap *bootstrap, struct qm_latency *latency);

#endif
