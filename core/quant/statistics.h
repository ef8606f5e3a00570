// Statistics of each channel of a linear layer's input X [rows][width], and of pairs of channels.
//
// Per channel j: the largest |x_j|, the sum of |x_j| and the sum of x_j^2; on request H = sum over rows of x x^T, which
// GPTQ needs. Sums are in double, over rows in the order in which they were observed. Every number is summed by one
// thread, so that threads cannot matter. Products of two floats are exact in double.
#ifndef QM_QUANT_STATISTICS_H
#define QM_QUANT_STATISTICS_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct qm_channel_statistics {
    uint32_t width;         // channels; 0: nothing was observed, and the pointers are NULL
    uint64_t rows;          // tokens
    float *amax;            // [width]
    double *sum_magnitudes; // [width]
    double *sum_squares;    // [width]
    double *products;       // [width][width], row-major, or NULL. Only the upper triangle with the diagonal is valid:
        // products[i * width + j] for i <= j; the rest is 0. qm_statistics_read_products mirrors it.
};

// Sets up zeros. The caller frees with qm_statistics_free, which also takes what was never set up but is all zero.
// QM_INVALID for a width of 0; QM_OUT_OF_MEMORY.
QM_MUST_USE enum qm_status qm_statistics_begin(struct qm_channel_statistics *statistics, uint32_t width,
                                               bool has_products);
void qm_statistics_free(struct qm_channel_statistics *statistics);

// Adds values [rows][width], all finite.
void qm_statistics_add(struct qm_channel_statistics *statistics, const float *values, size_t rows);

// Adds the sums of `from`, of the same width and with products if `into` has them, to those of `into`: parts merged in
// their order give the same bits each time, but not those of one run over all rows.
QM_MUST_USE enum qm_status qm_statistics_merge(struct qm_channel_statistics *into,
                                               const struct qm_channel_statistics *from);

// A copy of its own, as if each channel had been divided by divisors[j] before it was observed (all above 0, finite).
// The largest magnitudes are rounded up to floats, so that none is understated. `divisors` NULL: a plain copy.
QM_MUST_USE enum qm_status qm_statistics_copy_divided(const struct qm_channel_statistics *from, const float *divisors,
                                                      struct qm_channel_statistics *out);

// The largest magnitude of all channels.
float qm_statistics_amax(const struct qm_channel_statistics *statistics);

// The whole symmetric H [width][width] into `products`. QM_INVALID if it was not collected.
QM_MUST_USE enum qm_status qm_statistics_read_products(const struct qm_channel_statistics *statistics,
                                                       double *products);

#endif
