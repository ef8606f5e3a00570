#include "quant/awq.h"
#include "base/numeric.h"
#include "quant/moments.h"
#include "quant/row_tiles.h"

#include <inttypes.h>
#include <math.h> // sqrt, which IEEE 754 rounds correctly on every machine
#include <stdlib.h>

#define SMALLEST_MEAN 1e-4 // of the largest

static double ratio_of(uint32_t index)
{
    return (double)index / QM_AWQ_CANDIDATES;
}

// m_j, for a sum above 0.
static double magnitude(double sum, double largest)
{
    double part = sum / largest;
    return part > SMALLEST_MEAN ? part : SMALLEST_MEAN;
}

void qm_awq_candidate(const double *absolute_sums, uint32_t columns, uint32_t index, float *scales)
{
    double largest_sum = 0, smallest = 1, ratio = ratio_of(index);
    for (uint32_t j = 0; j < columns; j++)
        largest_sum = absolute_sums[j] > largest_sum ? absolute_sums[j] : largest_sum;
    for (uint32_t j = 0; j < columns; j++) {
        double m = absolute_sums[j] > 0 ? magnitude(absolute_sums[j], largest_sum) : 1;
        smallest = m < smallest ? m : smallest;
    }
    // The largest m is 1, and so is its power.
    double middle = sqrt(qm_exp(ratio * qm_log(smallest)));
    for (uint32_t j = 0; j < columns; j++)
        scales[j] = absolute_sums[j] > 0
                        ? (float)(qm_exp(ratio * qm_log(magnitude(absolute_sums[j], largest_sum))) / middle)
                        : 1;
}

void qm_awq_importance(const double *moments, const float *scales, uint32_t columns, double *importance)
{
    for (uint32_t j = 0; j < columns; j++)
        importance[j] = moments[(size_t)j * columns + j] / ((double)scales[j] * (double)scales[j]);
}

struct loss_work {
    const struct qm_awq_matrix *matrix;
    uint32_t columns;
    const float *scales;
    const double *folded;
    double *sums; // by row
};

// The errors of one row, in units of the weights as they were.
static enum qm_status row_errors(const struct loss_work *work, uint32_t row, float *scaled, double *errors)
{
    const struct qm_grid *grid = work->matrix->grid;
    const float *weights = work->matrix->weights + (size_t)row * work->columns;
    for (uint32_t j = 0; j < work->columns; j++)
        scaled[j] = weights[j] * work->scales[j];
    for (uint32_t first = 0, end; first < work->columns; first = end) {
        end = qm_grid_group_end(grid, work->columns, first);
        struct qm_grid_parameters parameters;
        enum qm_status status = qm_rows_check_finite(work->matrix->name, scaled + first, 1, end - first);
        if (status == QM_OK) {
            status = grid->fit(grid, scaled + first, end - first, 1, &parameters);
            if (status != QM_OK)
                qm_error_prefix("tensor '%s': row %" PRIu32 ", group at column %" PRIu32 ": ", work->matrix->name, row,
                                first);
        }
        QM_TRY(status);
        for (uint32_t j = first; j < end; j++) {
            double represented;
            grid->nearest(grid, &parameters, (double)scaled[j], &represented);
            errors[j] = represented / (double)work->scales[j] - (double)weights[j];
        }
    }
    return QM_OK;
}

static enum qm_status loss_of_rows(void *context, uint32_t first, uint32_t count)
{
    const struct loss_work *work = context;
    size_t values = (size_t)count * work->columns;
    enum qm_status status = QM_OK;
    float *scaled = malloc(work->columns * sizeof(*scaled));
    double *errors = malloc(2 * values * sizeof(*errors));
    if (!scaled || !errors)
        QM_GUARD(QM_FAIL(QM_OUT_OF_MEMORY, "tensor '%s': no memory for errors of %" PRIu32 " rows", work->matrix->name,
                         count));
    for (uint32_t i = 0; i < count; i++)
        QM_GUARD(row_errors(work, first + i, scaled, errors + (size_t)i * work->columns));
    qm_moments_sums(work->folded, work->columns, errors, count, errors + values, work->sums + first);
done:
    free(scaled);
    free(errors);
    return status;
}

static enum qm_status loss_of(const struct qm_awq_matrix *matrices, size_t count, uint32_t columns, const float *scales,
                              const double *folded, double *sums, double *loss)
{
    *loss = 0;
    for (size_t i = 0; i < count; i++) {
        struct loss_work work = {&matrices[i], columns, scales, folded, sums};
        QM_TRY(qm_row_tiles(matrices[i].rows, loss_of_rows, &work));
        for (uint32_t row = 0; row < matrices[i].rows; row++)
            *loss += sums[row];
    }
    return QM_OK;
}

static enum qm_status check(const struct qm_awq_matrix *matrices, size_t count, uint32_t columns,
                            const double *absolute_sums, const double *moments)
{
    const char *name = count > 0 ? matrices[0].name : "";
    for (size_t i = 0; i < count; i++)
        QM_TRY(qm_rows_check_finite(matrices[i].name, matrices[i].weights, matrices[i].rows, columns));
    for (uint32_t j = 0; j < columns; j++)
        if (!(absolute_sums[j] >= 0) || absolute_sums[j] - absolute_sums[j] != 0)
            return QM_FAIL(QM_INVALID,
                           "tensor '%s': sum of magnitudes of input %" PRIu32
                           " is %g; it must be finite and not below 0",
                           name, j, absolute_sums[j]);
    return qm_moments_check(name, moments, columns);
}

enum qm_status qm_awq_search(const struct qm_awq_matrix *matrices, size_t count, uint32_t columns,
                             const double *absolute_sums, const double *moments, float *scales,
                             struct qm_awq_record *record)
{
    QM_TRY(check(matrices, count, columns, absolute_sums, moments));
    enum qm_status status = QM_OK;
    struct qm_awq_record seen = {0};
    uint32_t rows = 1;
    for (size_t i = 0; i < count; i++)
        rows = matrices[i].rows > rows ? matrices[i].rows : rows;
    double *folded = qm_moments_fold(moments, columns), *sums = calloc(rows, sizeof(*sums));
    if (!folded || !sums)
        QM_GUARD(QM_FAIL(QM_OUT_OF_MEMORY, "no memory for second moments of %" PRIu32 " inputs", columns));
    for (uint32_t i = 0; i < QM_AWQ_CANDIDATES; i++) {
        qm_awq_candidate(absolute_sums, columns, i, scales);
        QM_GUARD(loss_of(matrices, count, columns, scales, folded, sums, &seen.loss[i]));
        if (seen.loss[i] < seen.loss[seen.candidate])
            seen.candidate = i;
    }
    qm_awq_candidate(absolute_sums, columns, seen.candidate, scales);
    seen.ratio = ratio_of(seen.candidate);
    if (record)
        *record = seen;
done:
    free(folded);
    free(sums);
    return status;
}
