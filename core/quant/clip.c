#include "quant/clip.h"
#include "quant/row_tiles.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
    WHOLE = 100, // a range in hundredths
    SMALLEST = 25,
    COARSE = 5
};

const char *qm_range_name(enum qm_range range)
{
    return range == QM_RANGE_MSE ? "mse" : "absmax";
}

struct search {
    const struct qm_grid *grid;
    const float *values;
    const double *importance;
    uint32_t count;
    struct qm_grid_parameters best;
    double best_error;
    int best_percent; // 0 before the first
    // The parameters tried last. Stored scales are coarse, so that neighbouring shrinks often give the same ones.
    struct qm_grid_parameters last;
    double last_error;
};

static double error_of(const struct search *search, const struct qm_grid_parameters *parameters)
{
    double sum = 0;
    for (uint32_t i = 0; i < search->count; i++) {
        double represented, value = (double)search->values[i];
        search->grid->nearest(search->grid, parameters, value, &represented);
        double error = (value - represented) * (value - represented);
        sum += search->importance ? search->importance[i] * error : error;
    }
    return sum;
}

static enum qm_status try_percent(struct search *search, int percent)
{
    struct qm_grid_parameters parameters;
    QM_TRY(search->grid->fit(search->grid, search->values, search->count, (double)percent / WHOLE, &parameters));
    bool is_first = search->best_percent == 0;
    if (is_first || memcmp(parameters.stored, search->last.stored, sizeof(parameters.stored)) != 0) {
        search->last = parameters;
        search->last_error = error_of(search, &parameters);
    }
    bool is_equal = !(search->last_error < search->best_error) && !(search->last_error > search->best_error);
    if (is_first || search->last_error < search->best_error || (is_equal && percent > search->best_percent)) {
        search->best = parameters;
        search->best_error = search->last_error;
        search->best_percent = percent;
    }
    return QM_OK;
}

enum qm_status qm_range_fit(enum qm_range range, const struct qm_grid *grid, const float *values,
                            const double *importance, uint32_t count, struct qm_grid_parameters *parameters,
                            double *shrink)
{
    if (shrink)
        *shrink = 1;
    if (range == QM_RANGE_ABSMAX)
        return grid->fit(grid, values, count, 1, parameters);
    struct search search = {.grid = grid, .values = values, .importance = importance, .count = count};
    for (int percent = WHOLE; percent >= SMALLEST; percent -= COARSE)
        QM_TRY(try_percent(&search, percent));
    int middle = search.best_percent;
    for (int percent = middle + COARSE - 1; percent > middle - COARSE; percent--)
        if (percent < WHOLE && percent > SMALLEST && percent != middle)
            QM_TRY(try_percent(&search, percent));
    *parameters = search.best;
    if (shrink)
        *shrink = (double)search.best_percent / WHOLE;
    return QM_OK;
}

void qm_range_ends(const struct qm_grid *grid, const struct qm_grid_parameters *parameters, double *low, double *high)
{
    const double far = 0x1p200; // beyond every float, and finite when divided by the smallest
    grid->nearest(grid, parameters, -far, low);
    grid->nearest(grid, parameters, far, high);
}

struct row_seen {
    double error, smallest_shrink;
    uint32_t clipped, shrunk;
};

struct clip_work {
    enum qm_range range;
    const char *name;
    const float *weights;
    uint32_t columns;
    const double *importance;
    const struct qm_grid *grid;
    int32_t *codes;
    struct qm_grid_parameters *parameters;
    struct row_seen *seen;
};

static void round_group(const struct clip_work *work, const float *values, uint32_t first, uint32_t count,
                        const struct qm_grid_parameters *parameters, int32_t *codes, struct row_seen *seen)
{
    double low, high;
    qm_range_ends(work->grid, parameters, &low, &high);
    for (uint32_t i = 0; i < count; i++) {
        double value = (double)values[i], represented;
        codes[i] = work->grid->nearest(work->grid, parameters, value, &represented);
        double error = (value - represented) * (value - represented);
        seen->error += work->importance ? work->importance[first + i] * error : error;
        seen->clipped += value < low || value > high;
    }
}

static enum qm_status round_rows(void *context, uint32_t first_row, uint32_t row_count)
{
    const struct clip_work *work = context;
    uint32_t groups = qm_grid_groups(work->grid, work->columns);
    for (uint32_t row = first_row; row < first_row + row_count; row++) {
        const float *values = work->weights + (size_t)row * work->columns;
        struct qm_grid_parameters *parameters = work->parameters + (size_t)row * groups;
        struct row_seen seen = {.smallest_shrink = 1};
        for (uint32_t first = 0, end; first < work->columns; first = end, parameters++) {
            end = qm_grid_group_end(work->grid, work->columns, first);
            double shrink;
            enum qm_status status =
                qm_range_fit(work->range, work->grid, values + first,
                             work->importance ? work->importance + first : NULL, end - first, parameters, &shrink);
            if (status != QM_OK) {
                qm_error_prefix("tensor '%s': row %" PRIu32 ", group at column %" PRIu32 ": ", work->name, row, first);
                return status;
            }
            seen.shrunk += shrink < 1;
            seen.smallest_shrink = shrink < seen.smallest_shrink ? shrink : seen.smallest_shrink;
            round_group(work, values + first, first, end - first, parameters,
                        work->codes + (size_t)row * work->columns + first, &seen);
        }
        work->seen[row] = seen;
    }
    return QM_OK;
}

static enum qm_status check_importance(const char *name, const double *importance, uint32_t columns)
{
    for (uint32_t j = 0; importance && j < columns; j++)
        if (!(importance[j] >= 0) || importance[j] - importance[j] != 0)
            return QM_FAIL(QM_INVALID,
                           "tensor '%s': importance of input %" PRIu32 " is %g; it must be finite and not below 0",
                           name, j, importance[j]);
    return QM_OK;
}

enum qm_status qm_clip_quantize(enum qm_range range, const char *name, const float *weights, uint32_t rows,
                                uint32_t columns, const double *importance, const struct qm_grid *grid, int32_t *codes,
                                struct qm_grid_parameters *parameters, struct qm_clip_record *record)
{
    QM_TRY(qm_rows_check_finite(name, weights, rows, columns));
    QM_TRY(check_importance(name, importance, columns));
    enum qm_status status = QM_OK;
    struct row_seen *seen = calloc(rows, sizeof(*seen));
    if (!seen)
        return QM_FAIL(QM_OUT_OF_MEMORY, "tensor '%s': no memory to round %" PRIu32 " rows", name, rows);
    struct clip_work work = {range, name, weights, columns, importance, grid, codes, parameters, seen};
    QM_GUARD(qm_row_tiles(rows, round_rows, &work));
    struct qm_clip_record sums = {.smallest_shrink = 1};
    for (uint32_t row = 0; row < rows; row++) {
        sums.clipped += seen[row].clipped;
        sums.shrunk += seen[row].shrunk;
        sums.error += seen[row].error;
        if (seen[row].smallest_shrink < sums.smallest_shrink)
            sums.smallest_shrink = seen[row].smallest_shrink;
    }
    if (record)
        *record = sums;
done:
    free(seen);
    return status;
}
