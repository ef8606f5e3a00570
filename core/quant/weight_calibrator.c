#include "quant/weight_calibrator.h"
#include "quant/format_grid.h"
#include "quant/gptq.h"

#include <inttypes.h>
#include <stdlib.h>

bool qm_scheme_needs_products(const struct qm_scheme *scheme)
{
    return scheme->calibrator == QM_CALIBRATOR_GPTQ || scheme->calibrator == QM_CALIBRATOR_AWQ;
}

// Whether there are scales to choose: ggml's blocks come from ggml's own search.
static bool has_grid(enum qm_weight_format format)
{
    enum qm_scale_kind scale = qm_weight_codec(format)->scale;
    return scale != QM_SCALE_NONE && scale != QM_SCALE_BLOCK;
}

static enum qm_fit fit_of(const struct qm_scheme *scheme)
{
    switch (scheme->calibrator) {
    case QM_CALIBRATOR_MSE:
    case QM_CALIBRATOR_AWQ:
    case QM_CALIBRATOR_IMATRIX:
        return QM_FIT_SEARCH;
    default:
        return QM_FIT_ABSMAX;
    }
}

enum qm_bound qm_weight_bound(const struct qm_scheme *scheme, enum qm_weight_format format)
{
    return scheme->calibrator == QM_CALIBRATOR_GPTQ && has_grid(format) ? QM_BOUND_NONE
                                                                        : qm_format_bound(format, fit_of(scheme));
}

static enum qm_status need_statistics(const struct qm_scheme *scheme, const char *name, uint32_t columns,
                                      const struct qm_channel_statistics *statistics)
{
    if (!statistics || statistics->width != columns)
        return QM_FAIL(QM_INVALID,
                       "tensor '%s': calibrator %s needs statistics of its %" PRIu32
                       " channels; run the model over a calibration set first",
                       name, qm_calibrator_name(scheme->calibrator), columns);
    return QM_OK;
}

static enum qm_status encode_by_gptq(const struct qm_scheme *scheme, enum qm_weight_format format, const char *name,
                                     const float *values, uint32_t rows, uint32_t columns,
                                     const struct qm_channel_statistics *statistics, struct qm_encoded *out,
                                     struct qm_weight_record *record)
{
    struct qm_format_grid grid;
    const struct qm_gptq_params params = {
        .damping = QM_GPTQ_DAMPING, .act_order = scheme->is_act_order, .range = QM_RANGE_MSE};
    enum qm_status status = QM_OK;
    out->tensor_scale = qm_format_tensor_scale(format, values, (size_t)rows * columns);
    qm_format_grid_begin(&grid, format, out->tensor_scale);
    uint32_t groups = qm_grid_groups(&grid.base, columns);
    int32_t *codes = malloc((size_t)rows * columns * sizeof(*codes));
    struct qm_grid_parameters *parameters = malloc((size_t)rows * groups * sizeof(*parameters));
    if (!codes || !parameters)
        QM_GUARD(QM_FAIL(QM_OUT_OF_MEMORY, "tensor '%s': no memory for its codes", name));
    QM_GUARD(qm_gptq_quantize(&params, name, values, rows, columns, statistics->products, &grid.base, codes, parameters,
                              NULL));
    for (uint32_t row = 0; row < rows; row++) {
        for (uint32_t group = 0; group < groups; group++)
            qm_format_put_grid(format, out, row, group, columns, &parameters[(size_t)row * groups + group]);
        for (uint32_t i = 0; i < columns; i++)
            qm_format_put_code(format, out, row, i, columns, (uint32_t)codes[(size_t)row * columns + i]);
    }
    QM_GUARD(qm_format_check(format, name, values, rows, columns, out, QM_BOUND_NONE, record));
done:
    free(codes);
    free(parameters);
    return status;
}

enum qm_status qm_weight_calibrate(const struct qm_scheme *scheme, enum qm_weight_format format, const char *name,
                                   const float *values, uint32_t rows, uint32_t columns,
                                   const struct qm_channel_statistics *statistics, struct qm_encoded *out,
                                   struct qm_weight_record *record)
{
    struct qm_encode_params params = {.fit = fit_of(scheme)};
    if (has_grid(format) && scheme->calibrator == QM_CALIBRATOR_GPTQ) {
        QM_TRY(need_statistics(scheme, name, columns, statistics));
        return encode_by_gptq(scheme, format, name, values, rows, columns, statistics, out, record);
    }
    if (has_grid(format) && (scheme->calibrator == QM_CALIBRATOR_IMATRIX || scheme->calibrator == QM_CALIBRATOR_AWQ)) {
        QM_TRY(need_statistics(scheme, name, columns, statistics));
        params.importance = statistics->sum_squares;
    }
    return qm_format_encode(format, name, values, rows, columns, &params, out, record);
}
