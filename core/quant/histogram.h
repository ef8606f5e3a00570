// Histograms of magnitudes, and the clipping thresholds that are found in them.
//
// Counts are in 2,048 equal bins over [0, 2^e), where e is the smallest exponent (at least -24) with every |x| < 2^e;
// when e grows, bins merge in pairs, which loses nothing against having begun with the larger e. Only counts and a
// maximum are kept, so that the same values in any order, batches and parts give the same histogram and threshold.
//
// A threshold is the magnitude that becomes the largest code, L = 127; what lies above is clipped to it:
//   absmax      the largest magnitude seen; nothing is clipped
//   percentile  the upper edge of the first bin with which at least 99.99 % of the values (zeros included) are counted
//   mse         of the upper edges of all bins, the one with the least sum over bins b of count_b (Q(c_b) - c_b)^2,
//               where c_b is the bin's middle, s = threshold / L and Q(c) = s min(L, round_even(c / s)); of equal ones
//               the largest
//   entropy     the search of TensorRT's histogram calibrator (Migacz, "8-bit inference with TensorRT", GTC 2017): for each i from 128 to the last bin in use, P is the first
//               i bins with the count of all further ones added to the last, Q the first i bins averaged over their
//               non-empty ones within each of 128 equal levels (bin b belongs to level floor(128 b / i)); the threshold
//               is the upper edge of bin i - 1 for the i with the least Kullback-Leibler divergence of P from Q, both
//               normalized, infinite where Q is 0 and P is not; of equal ones the largest. Bin 0 counts as bin 1, so
//               that exact zeros do not decide.
// Where the edge found is not below the largest magnitude, that is the threshold. In double, with the logarithm of
// base/numeric.h and sums in the order of the bins: the same bits on every machine.
#ifndef QM_QUANT_HISTOGRAM_H
#define QM_QUANT_HISTOGRAM_H

#include "base/status.h"
#include "quant/scheme.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QM_HISTOGRAM_BINS 2048
#define QM_HISTOGRAM_EXPONENT_MIN (-24)

struct qm_histogram {
    uint64_t count; // values
    float amax;     // largest magnitude
    int exponent;   // bins are over [0, 2^exponent)
    uint64_t bins[QM_HISTOGRAM_BINS];
};

void qm_histogram_begin(struct qm_histogram *histogram);
// Adds `rows` runs of `width` values, each run `stride` values after the one before. All must be finite.
void qm_histogram_add(struct qm_histogram *histogram, const float *values, size_t rows, size_t width, size_t stride);
// Adds what `from` has counted.
void qm_histogram_merge(struct qm_histogram *into, const struct qm_histogram *from);

struct qm_histogram_threshold {
    float threshold;
    uint64_t clipped; // values at or above the threshold where that is below amax, else 0
};

// Whether a calibrator finds thresholds in histograms: absmax, percentile, mse and entropy.
bool qm_calibrator_has_threshold(enum qm_calibrator calibrator);
// The threshold; `calibrator` must be one of those. Of an empty histogram it is 0.
void qm_histogram_find_threshold(const struct qm_histogram *histogram, enum qm_calibrator calibrator,
                                 struct qm_histogram_threshold *out);

#endif
