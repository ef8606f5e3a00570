// A weight format as a grid (grid.h), for calibrators that choose codes and ranges themselves.
#ifndef QM_QUANT_FORMAT_GRID_H
#define QM_QUANT_FORMAT_GRID_H

#include "quant/format.h"
#include "quant/grid.h"

struct qm_format_grid {
    struct qm_grid base; // first, so that a pointer to it is one to the whole
    const struct qm_weight_codec *codec;
    double tensor_scale;
};

// Not for blocks. `tensor_scale` is qm_format_tensor_scale's of the matrix. Codes are as qm_format_put_code takes them.
void qm_format_grid_begin(struct qm_format_grid *grid, enum qm_weight_format format, float tensor_scale);

#endif
