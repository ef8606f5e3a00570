// The grid of a weight format: which values a group of weights can have, as calibrators see it.
//
// A calibrator chooses parameters and codes; how they are packed into bytes is the format's own matter. Through a grid one
// calibrator serves every format: symmetric and asymmetric integers, small floats, scales of any stored type.
#ifndef QM_QUANT_GRID_H
#define QM_QUANT_GRID_H

#include "base/status.h"

#include <stdint.h>

// What a group's values share. `scale` and `zero` are the stored ones, decoded exactly; `stored` are their bits.
struct qm_grid_parameters {
    double scale;
    double zero;
    uint32_t stored[2];
};

// How values of one group (or row) become codes, once the group's scale (and zero) are chosen.
struct qm_grid {
    uint32_t group; // values along the input that share parameters; 0: the whole row

    // Chooses the parameters of a group of `count` finite values. `shrink` in (0, 1] multiplies the range (the largest
    // magnitude, or minimum to maximum) before the scale is rounded to its stored type. QM_INVALID, without a place, if
    // the format cannot hold the values.
    enum qm_status (*fit)(const struct qm_grid *grid, const float *values, uint32_t count, double shrink,
                          struct qm_grid_parameters *parameters);
    // The code of the representable value nearest to `value`, ties to even, and that value exactly. A value beyond the
    // range gets the end of the range, however far away it is; with parameters of zeros every value gets 0.
    int32_t (*nearest)(const struct qm_grid *grid, const struct qm_grid_parameters *parameters, double value,
                       double *represented);
};

// Groups in a row of `columns` values; the last one may be shorter.
static inline uint32_t qm_grid_groups(const struct qm_grid *grid, uint32_t columns)
{
    return grid->group == 0 ? 1 : columns / grid->group + (columns % grid->group != 0);
}

// The column after the last one of the group that `column` belongs to.
static inline uint32_t qm_grid_group_end(const struct qm_grid *grid, uint32_t columns, uint32_t column)
{
    if (grid->group == 0 || columns - column <= grid->group - column % grid->group)
        return columns;
    return column - column % grid->group + grid->group;
}

#endif
