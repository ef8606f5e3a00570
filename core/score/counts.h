// Intervals that follow from counts alone, without resampling: of a share, and of a median.
//
// A share of k in n independent trials: Wilson's score interval (Wilson, "Probable inference, the law of succession, and
// statistical inference", 1927), the shares p at which |k / n - p| is z sqrt(p (1 - p) / n):
//
//   (k + z^2 / 2 +- z sqrt(k (n - k) / n + z^2 / 4)) / (n + z^2)
//
// It does not shrink to nothing where all trials end alike, as a bootstrap does: 149 of 149 give 0.975 at least (95 %).
//
// A median of n independent values: sorted, at most k - 1 lie below it with the probability of at most k - 1 heads in n
// throws of a coin, whatever their distribution. So [x_k, x_(n + 1 - k)] holds the median with at least the confidence c if
// P(Bin(n, 1/2) <= k - 1) <= (1 - c) / 2 (David and Nagaraja, "Order Statistics", chapter 7.1). Where values repeat, as
// positions do, it holds it more often. At 95 % there is such a k from 6 values on.
#ifndef QM_SCORE_COUNTS_H
#define QM_SCORE_COUNTS_H

#include <stdint.h>

// z: how many standard deviations to both sides hold 90, 95 or 99 % of a normal distribution.
double qm_normal_quantile(uint32_t confidence_permille);

// The interval of a share, from 0 to 1. `count` is at least 1 and `hits` at most `count`.
void qm_share_interval(uint32_t hits, uint32_t count, uint32_t confidence_permille, double *low, double *high);

// The largest such k, from 1; 0 where `count` is too small. `confidence_permille` is below 1000.
uint32_t qm_median_rank(uint32_t count, uint32_t confidence_permille);

#endif
