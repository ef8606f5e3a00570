// The second moments of a linear layer's input, H = sum over tokens of x x^T, and what calibrators do with them.
//
// A layer gives y = W x. With errors E = Q - W in its weights, the squared error of its output, summed over the calibration
// tokens and the rows, is the sum of |E x|^2 = trace(E H E^T). H is double [K][K], row-major; K is the number of inputs.
// Only its upper triangle is read. Everything is in double, in an order that no number of threads changes.
#ifndef QM_QUANT_MOMENTS_H
#define QM_QUANT_MOMENTS_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

// QM_INVALID, naming the channels, where the upper triangle has a value that is not finite or the diagonal one below 0.
QM_MUST_USE enum qm_status qm_moments_check(const char *name, const double *moments, uint32_t columns);

// H prepared for the sum e^T H e = sum over k of e_k y_k, y_k = sum over j <= k of e_j u_jk: u_kk = H_kk, u_jk = 2 H_jk
// for j < k, else 0. Half of the products of e^T H e as it stands. [K][K]; the caller frees it; NULL without memory.
double *qm_moments_fold(const double *moments, uint32_t columns);
// e^T H e of `count` rows of errors [count][K] into sums[count]. `scratch` has room for count * K. count K^2 / 2 products.
void qm_moments_sums(const double *folded, uint32_t columns, const double *errors, uint32_t count, double *scratch,
                     double *sums);

// trace(E H E^T), the rows' sums added in their order. Costs rows K^2 / 2 products and K^2 doubles.
QM_MUST_USE enum qm_status qm_moments_error(const double *moments, uint32_t columns, const double *errors,
                                            uint32_t rows, double *error);

// The factors A = N D N^T of a symmetric positive definite matrix: N upper triangular with ones on the diagonal, D
// diagonal. In place, upper triangle only: above the diagonal of `matrix` stands N afterwards, `pivots` is D. Returns K,
// or the index of the first pivot (from the last downwards) that is at most 2^-40 of its diagonal element: then the
// matrix is not positive definite, or so near to it that the factors would be rounding errors. K^3 / 3 products.
// `scratch` has room for (QM_MOMENTS_PANEL + 1) * K.
#define QM_MOMENTS_PANEL 32u
uint32_t qm_moments_factor(double *matrix, uint32_t columns, double *pivots, double *scratch);

// M = N^-1 in place of N, above the diagonal as well: the inverse of A is M^T D^-1 M, so that row k of M is row k of the
// upper Cholesky factor of the inverse, divided by its diagonal element. K^3 / 6 products. `scratch` has room for
// QM_MOMENTS_BATCH * K.
#define QM_MOMENTS_BATCH 256u
void qm_moments_invert(double *matrix, uint32_t columns, double *scratch);

// values[i] += coefficients[0] rows[0][i] + ... + coefficients[count - 1] rows[count - 1][i], added in that order, for
// i < length; rows lie `stride` apart.
void qm_rows_add(double *values, uint32_t length, const double *coefficients, const double *rows, size_t stride,
                 uint32_t count);

#endif
