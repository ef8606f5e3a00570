// AWQ's search for scales of a linear layer's inputs: those that matter most get the finer part of the codes' range.
//
// Lin et al., AWQ, arXiv 2306.00978. Weights are multiplied by s_j along the input j and activations divided by it; the
// function stays the same, but the rounding error of weight j is divided by s_j. Candidates follow the activations:
//
//   s_j = m_j^r,   m_j = max(mean |x_j| / largest mean |x|, 1e-4),   r in {0, 0.05, ..., 0.95},
//   divided by sqrt(largest s * smallest s)
//
// where an input that was 0 for every token has s = 1 and no part in the division: nothing is known of it. Inputs with equal
// sums of |x| get equal scales, so that a caller whose inputs must share a scale (those that read one row of v) gives
// them one sum. That r is taken which loses least, of equal ones the smallest:
//
//   loss(r) = sum over the matrices that read this input of trace(E H E^T),   E = Q(W diag s) diag(1/s) - W
//
// with H = sum of x x^T (quant/moments.h), so that the loss is exactly the squared error of the layer's output over the
// calibration tokens. Q rounds to nearest with the whole range of each group. r = 0 is s = 1: plain rounding. The
// authors' code floors s at 1e-4 instead of m, and takes the loss from the outputs of a block; floored m make the result
// independent of the activations' unit.
//
// Q sees the products as floats, for that is how scaled weights are kept. Folding 1/s into what gives the activations is
// the caller's; the range of each group is searched afterwards: qm_clip_quantize on the scaled weights with the
// importance H_jj / s_j^2 (qm_awq_importance).
#ifndef QM_QUANT_AWQ_H
#define QM_QUANT_AWQ_H

#include "base/status.h"
#include "quant/grid.h"

#include <stddef.h>
#include <stdint.h>

#define QM_AWQ_CANDIDATES 20

// A matrix that reads the input: q, k and v read the same, gate and up too.
struct qm_awq_matrix {
    const char *name;     // the tensor's, for messages
    const float *weights; // [rows][columns]
    uint32_t rows;
    const struct qm_grid *grid;
};

struct qm_awq_record {
    double ratio;                   // r of the one taken
    uint32_t candidate;             // its index in `loss`
    double loss[QM_AWQ_CANDIDATES]; // of r = 0.05 i; loss[0] is that of plain rounding
};

// The candidate number `index` for all inputs into scales [columns]. `absolute_sums` [columns] is the sum of |x_j| over the
// tokens (or their mean: the unit does not matter).
void qm_awq_candidate(const double *absolute_sums, uint32_t columns, uint32_t index, float *scales);

// The search. `moments` is H [columns][columns], of which the upper triangle is read. scales [columns] and `record`, which
// may be NULL, are written. QM_INVALID for weights, sums or moments that are not finite, sums or a diagonal below 0, and
// what a format cannot hold. Costs 20 (all rows) K^2 / 2 products and 8 K^2 bytes: seconds for the built-in model, about
// an hour of one core for each 10^9 weights that read 4,096 inputs. Rows in parallel; the same bits for any number of
// threads.
QM_MUST_USE enum qm_status qm_awq_search(const struct qm_awq_matrix *matrices, size_t count, uint32_t columns,
                                         const double *absolute_sums, const double *moments, float *scales,
                                         struct qm_awq_record *record);

// What an error in a scaled weight costs: importance_j = H_jj / s_j^2.
void qm_awq_importance(const double *moments, const float *scales, uint32_t columns, double *importance);

#endif
