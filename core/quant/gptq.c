#include "quant/gptq.h"
#include "quant/moments.h"
#include "quant/row_tiles.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    BLOCK = 128, // columns whose errors go to the rest of the row at once
    CHUNK = 512, // columns of the rest that all rows of a tile take before the next
    FACTORINGS_MAX = 16,
};

// What all rows share. Arrays in the order of the sweep have a position p; order[p] is its column.
struct sweep {
    const struct qm_gptq_params *params;
    const char *name;
    const float *weights;
    uint32_t columns;
    const struct qm_grid *grid;
    uint32_t *order;
    double *factor;     // [K][K] by position: m above the diagonal
    double *pivots;     // d by position
    double *importance; // d by column
    double lambda;
    const double *moments;
    int32_t *codes;
    struct qm_grid_parameters *parameters;
    struct row_seen {
        double error;
        uint32_t clipped;
    } * seen; // by row
};

// ---- The factors ----------------------------------------------------------------------------------------------------

// The element for columns j and k, whichever is the larger.
static double moment(const double *moments, uint32_t columns, uint32_t j, uint32_t k)
{
    return j <= k ? moments[(size_t)j * columns + k] : moments[(size_t)k * columns + j];
}

static double diagonal(const struct sweep *sweep, uint32_t column)
{
    return sweep->moments[(size_t)column * sweep->columns + column];
}

// Of two inputs the one with the larger diagonal first; of equal ones that on the left. A merge sort from below: its
// order does not hang on a library's.
static void sort_by_diagonal(const struct sweep *sweep, uint32_t *scratch)
{
    uint32_t *from = sweep->order, *to = scratch, count = sweep->columns;
    for (uint64_t width = 1; width < count; width *= 2) {
        for (uint64_t begin = 0; begin < count; begin += 2 * width) {
            uint64_t left = begin, middle = begin + width < count ? begin + width : count, right = middle;
            uint64_t end = begin + 2 * width < count ? begin + 2 * width : count;
            for (uint64_t i = begin; i < end; i++) {
                bool take_left =
                    left < middle && (right >= end || diagonal(sweep, from[left]) >= diagonal(sweep, from[right]));
                to[i] = take_left ? from[left++] : from[right++];
            }
        }
        uint32_t *swap = from;
        from = to;
        to = swap;
    }
    if (from != sweep->order)
        memcpy(sweep->order, from, count * sizeof(*from));
}

static void set_order(struct sweep *sweep, uint32_t *scratch)
{
    for (uint32_t k = 0; k < sweep->columns; k++)
        sweep->order[k] = k;
    if (sweep->params->act_order)
        sort_by_diagonal(sweep, scratch);
}

// H + lambda I in the order of the sweep; a dead input has `mean` on the diagonal and nothing beside it.
static void set_matrix(const struct sweep *sweep, double mean)
{
    for (uint32_t p = 0; p < sweep->columns; p++) {
        double *row = sweep->factor + (size_t)p * sweep->columns;
        bool is_dead = !(diagonal(sweep, sweep->order[p]) > 0);
        for (uint32_t q = p + 1; q < sweep->columns; q++) {
            bool is_alone = is_dead || !(diagonal(sweep, sweep->order[q]) > 0);
            row[q] = is_alone ? 0 : moment(sweep->moments, sweep->columns, sweep->order[p], sweep->order[q]);
        }
        row[p] = (is_dead ? mean : diagonal(sweep, sweep->order[p])) + sweep->lambda;
    }
}

static enum qm_status factor(struct sweep *sweep, double *scratch, struct qm_gptq_record *record)
{
    double sum = 0;
    for (uint32_t k = 0; k < sweep->columns; k++) {
        sum += diagonal(sweep, k);
        record->dead += !(diagonal(sweep, k) > 0);
    }
    uint32_t live = sweep->columns - record->dead;
    double mean = live > 0 ? sum / live : 1;
    record->damping = sweep->params->damping;
    for (;;) {
        sweep->lambda = record->damping * mean;
        set_matrix(sweep, mean);
        record->factorings++;
        uint32_t failed = qm_moments_factor(sweep->factor, sweep->columns, sweep->pivots, scratch);
        if (failed == sweep->columns)
            break;
        if (record->factorings == FACTORINGS_MAX)
            return QM_FAIL(QM_INVALID,
                           "tensor '%s': second moments are not positive definite at input %" PRIu32
                           ", even with damping %g; they are no sums of squares",
                           sweep->name, sweep->order[failed], record->damping);
        record->damping = record->damping > 0 ? record->damping * 10 : 1e-6;
    }
    qm_moments_invert(sweep->factor, sweep->columns, scratch);
    for (uint32_t p = 0; p < sweep->columns; p++)
        sweep->importance[sweep->order[p]] = sweep->pivots[p];
    return QM_OK;
}

// ---- The sweep ------------------------------------------------------------------------------------------------------

// A tile of rows at work: arrays [count][K] by position.
struct tile {
    uint32_t row, count;
    double *targets; // complete up to the block at work
    double *steps;   // q - t of positions that are done
    float *values;   // of one group
    double *ends;    // [count][groups][2]: the smallest and the largest representable value
};

static uint32_t group_of(const struct sweep *sweep, uint32_t column)
{
    return sweep->grid->group ? column / sweep->grid->group : 0;
}

// Fits the group that begins at column `first` to `count` values.
static enum qm_status fit_group(const struct sweep *sweep, const struct tile *tile, uint32_t i, uint32_t first,
                                const double *values, uint32_t count)
{
    uint32_t groups = qm_grid_groups(sweep->grid, sweep->columns), group = group_of(sweep, first), row = tile->row + i;
    struct qm_grid_parameters *parameters = &sweep->parameters[(size_t)row * groups + group];
    enum qm_status status = QM_OK;
    for (uint32_t k = 0; k < count && status == QM_OK; k++) {
        tile->values[k] = (float)values[k];
        if (tile->values[k] - tile->values[k] != 0)
            status =
                QM_FAIL(QM_INVALID, "the target of column %" PRIu32 " is %g; raise the damping", first + k, values[k]);
    }
    if (status == QM_OK)
        status = qm_range_fit(sweep->params->range, sweep->grid, tile->values, sweep->importance + first, count,
                              parameters, NULL);
    if (status != QM_OK) {
        qm_error_prefix("tensor '%s': row %" PRIu32 ", group at column %" PRIu32 ": ", sweep->name, row, first);
        return status;
    }
    double *ends = tile->ends + 2 * ((size_t)i * groups + group);
    qm_range_ends(sweep->grid, parameters, &ends[0], &ends[1]);
    return QM_OK;
}

// Rounds position p of one row, and carries its error to the other positions of the block.
static void round_position(const struct sweep *sweep, const struct tile *tile, uint32_t i, uint32_t p,
                           uint32_t block_end)
{
    uint32_t column = sweep->order[p], row = tile->row + i, columns = sweep->columns;
    uint32_t groups = qm_grid_groups(sweep->grid, columns), group = group_of(sweep, column);
    const struct qm_grid_parameters *parameters = &sweep->parameters[(size_t)row * groups + group];
    const double *ends = tile->ends + 2 * ((size_t)i * groups + group);
    double *targets = tile->targets + (size_t)i * columns, represented;
    double target = targets[p], weight = (double)sweep->weights[(size_t)row * columns + column];
    sweep->codes[(size_t)row * columns + column] = sweep->grid->nearest(sweep->grid, parameters, target, &represented);
    double error = weight - represented, residual = target - represented;
    double step = tile->steps[(size_t)i * columns + p] = -residual;
    // A dead input has no part in the error of the output.
    if (diagonal(sweep, column) > 0)
        sweep->seen[row].error += sweep->pivots[p] * (residual * residual) - sweep->lambda * (error * error);
    sweep->seen[row].clipped += target < ends[0] || target > ends[1];
    qm_rows_add(targets + p + 1, block_end - p - 1, &step, sweep->factor + (size_t)p * columns + p + 1, columns, 1);
}

// Blocks end where groups do, so that a group's targets are complete when it is fitted.
static uint32_t block_end_of(const struct sweep *sweep, uint32_t begin)
{
    uint32_t end = begin + BLOCK, group = sweep->grid->group;
    if (!sweep->params->act_order && group > 0 && group <= BLOCK)
        end = begin + BLOCK / group * group;
    else if (!sweep->params->act_order && group > 0 && end > qm_grid_group_end(sweep->grid, sweep->columns, begin))
        end = qm_grid_group_end(sweep->grid, sweep->columns, begin);
    return end < sweep->columns ? end : sweep->columns;
}

static enum qm_status sweep_block(const struct sweep *sweep, const struct tile *tile, uint32_t begin, uint32_t end)
{
    uint32_t columns = sweep->columns, group = sweep->grid->group;
    for (uint32_t p = begin; p < end; p++) {
        bool begins_group = !sweep->params->act_order && (group > 0 ? p % group == 0 : p == 0);
        for (uint32_t i = 0; i < tile->count; i++) {
            if (begins_group)
                QM_TRY(fit_group(sweep, tile, i, p, tile->targets + (size_t)i * columns + p,
                                 qm_grid_group_end(sweep->grid, columns, p) - p));
            round_position(sweep, tile, i, p, end);
        }
    }
    for (uint32_t p = end; p < columns; p += CHUNK) {
        uint32_t chunk = columns - p < CHUNK ? columns - p : CHUNK;
        for (uint32_t i = 0; i < tile->count; i++)
            qm_rows_add(tile->targets + (size_t)i * columns + p, chunk, tile->steps + (size_t)i * columns + begin,
                        sweep->factor + (size_t)begin * columns + p, columns, end - begin);
    }
    return QM_OK;
}

static enum qm_status sweep_tile(const struct sweep *sweep, const struct tile *tile)
{
    uint32_t columns = sweep->columns;
    for (uint32_t i = 0; i < tile->count; i++) {
        const float *row = sweep->weights + (size_t)(tile->row + i) * columns;
        // The steps' place is free until the sweep.
        for (uint32_t k = 0; k < columns; k++)
            tile->steps[k] = (double)row[k];
        for (uint32_t first = 0, end; sweep->params->act_order && first < columns; first = end) {
            end = qm_grid_group_end(sweep->grid, columns, first);
            QM_TRY(fit_group(sweep, tile, i, first, tile->steps + first, end - first));
        }
        for (uint32_t p = 0; p < columns; p++)
            tile->targets[(size_t)i * columns + p] = (double)row[sweep->order[p]];
        sweep->seen[tile->row + i] = (struct row_seen){0};
    }
    for (uint32_t begin = 0, end; begin < columns; begin = end) {
        end = block_end_of(sweep, begin);
        QM_TRY(sweep_block(sweep, tile, begin, end));
    }
    return QM_OK;
}

static enum qm_status sweep_rows(void *context, uint32_t first, uint32_t count)
{
    const struct sweep *sweep = context;
    size_t values = (size_t)count * sweep->columns;
    enum qm_status status = QM_OK;
    struct tile tile = {.row = first,
                        .count = count,
                        .targets = calloc(values, sizeof(double)),
                        .steps = calloc(values, sizeof(double)),
                        .values = malloc(sweep->columns * sizeof(float)),
                        .ends =
                            malloc((size_t)count * qm_grid_groups(sweep->grid, sweep->columns) * 2 * sizeof(double))};
    if (!tile.targets || !tile.steps || !tile.values || !tile.ends)
        QM_GUARD(QM_FAIL(QM_OUT_OF_MEMORY, "tensor '%s': no memory to sweep %" PRIu32 " rows", sweep->name, count));
    QM_GUARD(sweep_tile(sweep, &tile));
done:
    free(tile.targets);
    free(tile.steps);
    free(tile.values);
    free(tile.ends);
    return status;
}

static enum qm_status check(const struct qm_gptq_params *params, const char *name, const float *weights, uint32_t rows,
                            uint32_t columns, const double *moments)
{
    if (!(params->damping >= 0) || params->damping - params->damping != 0)
        return QM_FAIL(QM_INVALID, "gptq: damping is %g; it must be finite and not below 0, such as %g",
                       params->damping, QM_GPTQ_DAMPING);
    QM_TRY(qm_rows_check_finite(name, weights, rows, columns));
    return qm_moments_check(name, moments, columns);
}

enum qm_status qm_gptq_quantize(const struct qm_gptq_params *params, const char *name, const float *weights,
                                uint32_t rows, uint32_t columns, const double *moments, const struct qm_grid *grid,
                                int32_t *codes, struct qm_grid_parameters *parameters, struct qm_gptq_record *record)
{
    QM_TRY(check(params, name, weights, rows, columns, moments));
    enum qm_status status = QM_OK;
    struct qm_gptq_record sums = {0};
    struct sweep sweep = {.params = params,
                          .name = name,
                          .weights = weights,
                          .columns = columns,
                          .grid = grid,
                          .order = calloc(columns, 2 * sizeof(uint32_t)),
                          .factor = calloc((size_t)columns * columns, sizeof(double)),
                          .pivots = calloc(columns, (2 + QM_MOMENTS_BATCH) * sizeof(double)),
                          .moments = moments,
                          .codes = codes,
                          .parameters = parameters,
                          .seen = calloc(rows, sizeof(struct row_seen))};
    if (!sweep.order || !sweep.factor || !sweep.pivots || !sweep.seen)
        QM_GUARD(
            QM_FAIL(QM_OUT_OF_MEMORY, "tensor '%s': no memory for the factors of %" PRIu32 " inputs", name, columns));
    sweep.importance = sweep.pivots + columns;
    set_order(&sweep, sweep.order + columns);
    QM_GUARD(factor(&sweep, sweep.importance + columns, &sums));
    QM_GUARD(qm_row_tiles(rows, sweep_rows, &sweep));
    for (uint32_t row = 0; row < rows; row++) {
        sums.clipped += sweep.seen[row].clipped;
        sums.error += sweep.seen[row].error;
    }
    sums.error = sums.error > 0 ? sums.error : 0; // a difference of sums may end below by rounding
    if (record)
        *record = sums;
done:
    free(sweep.order);
    free(sweep.factor);
    free(sweep.pivots);
    free(sweep.seen);
    return status;
}
