#include "quant/format_grid.h"

static enum qm_status fit(const struct qm_grid *base, const float *values, uint32_t count, double shrink,
                          struct qm_grid_parameters *parameters)
{
    const struct qm_format_grid *grid = (const struct qm_format_grid *)base;
    return grid->codec->family->fit(grid->codec, values, count, shrink, grid->tensor_scale, parameters);
}

static int32_t nearest(const struct qm_grid *base, const struct qm_grid_parameters *parameters, double value,
                       double *represented)
{
    const struct qm_format_grid *grid = (const struct qm_format_grid *)base;
    return (int32_t)grid->codec->family->nearest(grid->codec, parameters, value, represented);
}

void qm_format_grid_begin(struct qm_format_grid *grid, enum qm_weight_format format, float tensor_scale)
{
    const struct qm_weight_codec *codec = qm_weight_codec(format);
    *grid = (struct qm_format_grid){{codec->group, fit, nearest}, codec, (double)tensor_scale};
}
