// Large random weights, made quickly: a pool of short pieces of rows is encoded once, and each row of the weight is put
// together from pieces of it, chosen by a hash of where they stand. So every code and every scale is one that the format
// has, any part of the weight can be made on its own, and no row is a copy of another.
#ifndef QM_BENCH_KERNEL_WEIGHTS_H
#define QM_BENCH_KERNEL_WEIGHTS_H

#include "base/status.h"
#include "quant/format.h"
#include "quant/layout.h"

struct qm_kernel_weights {
    enum qm_weight_format format;
    uint32_t k;
    uint64_t seed;
    float tensor_scale;  // what products are multiplied by
    uint32_t unit;       // columns of a piece
    uint32_t code_words; // of a piece
    uint32_t scale_bytes;
    uint32_t *codes; // [pieces][code_words], as a device has them
    uint8_t *scales; // [pieces][scale_bytes], likewise
    float *
        row_scales; // [pieces], of formats with one a row; else NULL. Powers of two, so that products of int8 are exact
    double *squares; // [pieces], sum of (|scale code| + |offset|)^2; without the scale where rows have one
};

// QM_INVALID where k is not a multiple of what the format takes.
QM_MUST_USE enum qm_status qm_kernel_weights_create(enum qm_weight_format format, uint32_t k, uint64_t seed,
                                                    struct qm_kernel_weights *out);
void qm_kernel_weights_free(struct qm_kernel_weights *weights);

// Rows [first, first + rows) as a weight of their own: `words` has room for qm_layout_plan's, of `rows` and k. `first` is a
// multiple of QM_PANEL_ROWS.
QM_MUST_USE enum qm_status qm_kernel_weights_fill(const struct qm_kernel_weights *weights, uint32_t first,
                                                  uint32_t rows, uint32_t *words);

// The norm of |scale code| + |offset| along a row, the tensor's scale not counted: what a product's bound is made of.
double qm_kernel_weights_norm(const struct qm_kernel_weights *weights, uint32_t row);
// Not less than the |scale code| + |offset| of one weight.
double qm_kernel_weights_magnitude(const struct qm_kernel_weights *weights, uint32_t row, uint32_t column);

#endif
