// The distribution-free interval of a median.
//
// Of n independent values, sorted, at most k - 1 lie below the median with a probability that is that of at most k - 1
// heads in n throws of a coin, whatever the values' distribution. So [x_k, x_(n + 1 - k)] holds the median with at least
// the confidence c if P(Bin(n, 1/2) <= k - 1) <= (1 - c) / 2 (David and Nagaraja, "Order Statistics", chapter 7.1). Where
// values repeat, as positions do, it holds it more often. No resampling, and no assumption of size: at 95 % there is such
// a k from 6 values on.
#ifndef QM_SCORE_MEDIAN_H
#define QM_SCORE_MEDIAN_H

#include <stdint.h>

// The largest such k, from 1; 0 where `count` is too small. `confidence_permille` is below 1000.
uint32_t qm_median_rank(uint32_t count, uint32_t confidence_permille);

#endif
