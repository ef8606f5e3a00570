// Rounding of weights to nearest, with the range of each group chosen: absmax, MSE, imatrix.
//
// Codes of few bits are often better spent on a range that is narrower than the values': the few beyond it are clipped,
// the many within it get finer steps. The search takes, for each group, the shrink of the range with the least
//
//   sum over j of importance_j (x_j - Q(x_j))^2
//
// out of 1.00, 0.95, ..., 0.25 and then of the eight hundredths around the best of these; of equal ones the largest.
// Importance is
//   1 for all j                          method mse; no data is needed
//   H_jj = sum over tokens of x_j^2      method imatrix: expected squared error of the layer's output if its inputs were
//                                        uncorrelated (llama.cpp, examples/imatrix: "sum of squared activations")
//   H_jj / s_j^2                         after AWQ's scales s (quant/awq.h): the same for the weights as scaled
// Importances only matter relative to each other within a group. Where all are 0 the range is not shrunk.
#ifndef QM_QUANT_CLIP_H
#define QM_QUANT_CLIP_H

#include "base/status.h"
#include "quant/grid.h"

#include <stdint.h>

enum qm_range {
    QM_RANGE_ABSMAX = 0, // no search: the whole range
    QM_RANGE_MSE,        // the search above
};

const char *qm_range_name(enum qm_range range); // "absmax", "mse"

// The parameters of one group of `count` finite values. `importance` [count] may be NULL for 1. `shrink`, if not NULL, is
// the one taken, 1 for absmax. Fails as the grid's fit does.
QM_MUST_USE enum qm_status qm_range_fit(enum qm_range range, const struct qm_grid *grid, const float *values,
                                        const double *importance, uint32_t count, struct qm_grid_parameters *parameters,
                                        double *shrink);

// The smallest and the largest representable value.
void qm_range_ends(const struct qm_grid *grid, const struct qm_grid_parameters *parameters, double *low, double *high);

// What was seen when a matrix was rounded.
struct qm_clip_record {
    uint64_t clipped;       // values outside their group's range
    uint64_t shrunk;        // groups whose range is not the whole one
    double smallest_shrink; // 1 where none is shrunk
    double error;           // sum over rows and columns of importance_j (w - Q(w))^2
};

// Rounds weights [rows][columns]. `importance` [columns] is the same for all rows, NULL for 1. codes int32
// [rows][columns], parameters [rows][groups], groups = qm_grid_groups; `record` may be NULL. `name` is the tensor's,
// for messages. QM_INVALID for a weight that is not finite, an importance that is not finite or below 0, and what the
// format cannot hold. Rows in parallel; the same bits for any number of threads.
QM_MUST_USE enum qm_status qm_clip_quantize(enum qm_range range, const char *name, const float *weights, uint32_t rows,
                                            uint32_t columns, const double *importance, const struct qm_grid *grid,
                                            int32_t *codes, struct qm_grid_parameters *parameters,
                                            struct qm_clip_record *record);

#endif
