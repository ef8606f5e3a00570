// Products of float matrices on the host, for the fp32 reference at real sizes: OpenBLAS, else loops of our own.
//
// Sums are in float32, in an order of the library's or the loops' own: two ways to compute one model differ by rounding, and
// either is checked against the reference backend, whose sums are in double (bench/reference_host.h).
#ifndef QM_MODEL_HOST_PRODUCT_H
#define QM_MODEL_HOST_PRODUCT_H

#include "sys/blas.h"

#include <stdbool.h>
#include <stddef.h>

// c = scale a b' (added to what stands in c where `adds`): a is [m][k]; b [n][k], as weights lie, or [k][n] where
// `b_is_plain`; c [m][n]. Strides are floats from row to row. Each number is below 2^31.
struct qm_host_product {
    size_t m, n, k;
    const float *a;
    size_t a_stride;
    const float *b;
    size_t b_stride;
    float *c;
    size_t c_stride;
    float scale; // 0 counts as 1
    bool adds, b_is_plain;
};

// On all cores. `blas` NULL: own loops.
void qm_host_multiply(const struct qm_blas *blas, const struct qm_host_product *product);

// On the calling thread alone, for callers that share out their products themselves: between qm_host_multiply_begin and
// qm_host_multiply_end, which one thread calls while no other multiplies.
void qm_host_multiply_begin(const struct qm_blas *blas);
void qm_host_multiply_alone(const struct qm_blas *blas, const struct qm_host_product *product);
void qm_host_multiply_end(const struct qm_blas *blas);

// What is told in results: "OpenBLAS 0.3.21 ...", "own loops".
const char *qm_host_multiply_name(const struct qm_blas *blas);

#endif
