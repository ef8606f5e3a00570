// GPTQ: rounds weights one input at a time and lets the inputs still to come make up for each rounding error.
//
// Frantar et al., GPTQ, arXiv 2210.17323. What is minimised, row by row, is the squared error of the layer's output over
// the calibration tokens, trace(E H E^T) with H = sum of x x^T and E = Q - W (quant/moments.h). With A = H + lambda I and
// targets t = w at first, for the inputs k in the order of the sweep:
//
//   q_k = the representable value nearest to t_k
//   t_m = t_m - (t_k - q_k) u_km / u_kk     for the inputs m after k, U the upper Cholesky factor of the inverse of A
//
// after which the targets are the best that inputs yet to come can do about the errors made so far. The inverse is not
// computed: with A = N D N^T, N upper triangular with ones on its diagonal and D diagonal, u_km / u_kk is m_km of
// M = N^-1. This also gives what a row costs, e A e^T = sum over k of d_k (t_k - q_k)^2 exactly for a row e of E (Chee et
// al., QuIP, arXiv 2307.13304, who show that GPTQ is this).
//
// - Damping: lambda = damping x mean of H_kk over the inputs that are not dead. If H + lambda I cannot be factored
//   (qm_moments_factor), damping is multiplied by 10 (0 becomes 1e-6) and it is tried again; the record has the one used.
//   As damping grows, M becomes I: plain rounding.
// - Dead inputs, H_kk = 0, were 0 for every calibration token. Their weights are rounded to nearest; they neither take nor
//   give errors. (The authors' code sets these weights to 0, which harms where the set was merely small.)
// - Without act_order the sweep goes from the first column to the last, and a group's parameters are fitted when the sweep
//   reaches it, to its targets t at that time. With act_order it goes by falling H_kk (of equal ones the first), and all
//   parameters are fitted to the weights before the sweep (static groups): codes stay where they are, so that the
//   stored layout is that of any other method and needs no index of groups.
#ifndef QM_QUANT_GPTQ_H
#define QM_QUANT_GPTQ_H

#include "base/status.h"
#include "quant/clip.h"
#include "quant/grid.h"

#include <stdbool.h>
#include <stdint.h>

#define QM_GPTQ_DAMPING 0.01 // the authors'

struct qm_gptq_params {
    double damping; // 0 or more
    bool act_order;
    enum qm_range
        range; // how a group's parameters are fitted; MSE weighs input k by d_k, which is what its error costs
};

struct qm_gptq_record {
    double damping;      // as used
    uint32_t factorings; // 1 if the damping asked for was enough
    uint32_t dead;       // inputs with H_kk = 0
    uint64_t clipped;    // targets outside their group's range
    double error;        // trace(E H E^T), without damping
};

// Quantizes weights [rows][columns] with H = `moments` [columns][columns], of which the upper triangle is read, into codes
// int32 [rows][columns] and parameters [rows][groups], groups = qm_grid_groups. `record` may be NULL; `name` is the
// tensor's, for messages. QM_INVALID for a weight or a moment that is not finite, a negative diagonal or damping, moments
// that no damping makes positive definite (they are not sums of squares), and what the format cannot hold.
// Costs K^3 / 2 + rows K^2 / 2 products and 8 K^2 bytes. Rows in parallel; the same bits for any number of threads.
QM_MUST_USE enum qm_status qm_gptq_quantize(const struct qm_gptq_params *params, const char *name, const float *weights,
                                            uint32_t rows, uint32_t columns, const double *moments,
                                            const struct qm_grid *grid, int32_t *codes,
                                            struct qm_grid_parameters *parameters, struct qm_gptq_record *record);

#endif
