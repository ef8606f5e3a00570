#include "quant/moments.h"
#include "quant/row_tiles.h"
#include "sys/parallel.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

// Element by element: what the processor does at once is no sum, so that the bits do not depend on it.
typedef double four __attribute__((vector_size(32), aligned(8), may_alias));

static bool is_finite(double value)
{
    return value - value == 0;
}

enum qm_status qm_moments_check(const char *name, const double *moments, uint32_t columns)
{
    for (uint32_t j = 0; j < columns; j++) {
        const double *row = moments + (size_t)j * columns;
        for (uint32_t k = j; k < columns; k++)
            if (!is_finite(row[k]))
                return QM_FAIL(QM_INVALID,
                               "tensor '%s': second moment of inputs %" PRIu32 " and %" PRIu32 " is %s; calibrate on "
                               "data that gives finite activations",
                               name, j, k, row[k] != row[k] ? "not a number" : "infinite");
        if (row[j] < 0)
            return QM_FAIL(QM_INVALID, "tensor '%s': sum of squares of input %" PRIu32 " is %g; it cannot be below 0",
                           name, j, row[j]);
    }
    return QM_OK;
}

void qm_rows_add(double *values, uint32_t length, const double *coefficients, const double *rows, size_t stride,
                 uint32_t count)
{
    uint32_t row = 0;
    for (; row + 4 <= count; row += 4) {
        const double c0 = coefficients[row], c1 = coefficients[row + 1], c2 = coefficients[row + 2],
                     c3 = coefficients[row + 3];
        const double *r0 = rows + row * stride, *r1 = r0 + stride, *r2 = r1 + stride, *r3 = r2 + stride;
        uint32_t i = 0;
        for (; i + 4 <= length; i += 4) {
            four sum = *(const four *)(values + i);
            sum += c0 * *(const four *)(r0 + i);
            sum += c1 * *(const four *)(r1 + i);
            sum += c2 * *(const four *)(r2 + i);
            sum += c3 * *(const four *)(r3 + i);
            *(four *)(values + i) = sum;
        }
        for (; i < length; i++)
            values[i] = (((values[i] + c0 * r0[i]) + c1 * r1[i]) + c2 * r2[i]) + c3 * r3[i];
    }
    for (; row < count; row++) {
        const double c = coefficients[row], *r = rows + row * stride;
        uint32_t i = 0;
        for (; i + 4 <= length; i += 4)
            *(four *)(values + i) += c * *(const four *)(r + i);
        for (; i < length; i++)
            values[i] += c * r[i];
    }
}

double *qm_moments_fold(const double *moments, uint32_t columns)
{
    double *folded = calloc((size_t)columns * columns, sizeof(*folded));
    for (uint32_t j = 0; folded && j < columns; j++) {
        const double *from = moments + (size_t)j * columns;
        double *to = folded + (size_t)j * columns;
        to[j] = from[j];
        for (uint32_t k = j + 1; k < columns; k++)
            to[k] = 2 * from[k];
    }
    return folded;
}

void qm_moments_sums(const double *folded, uint32_t columns, const double *errors, uint32_t count, double *scratch,
                     double *sums)
{
    enum {
        BLOCK = 64,
        CHUNK = 512
    };
    memset(scratch, 0, (size_t)count * columns * sizeof(*scratch));
    for (uint32_t j = 0; j < columns; j += BLOCK) {
        uint32_t block = columns - j < BLOCK ? columns - j : BLOCK;
        for (uint32_t k = j; k < columns; k += CHUNK) {
            uint32_t chunk = columns - k < CHUNK ? columns - k : CHUNK;
            for (uint32_t row = 0; row < count; row++)
                qm_rows_add(scratch + (size_t)row * columns + k, chunk, errors + (size_t)row * columns + j,
                            folded + (size_t)j * columns + k, columns, block);
        }
    }
    for (uint32_t row = 0; row < count; row++) {
        const double *e = errors + (size_t)row * columns, *y = scratch + (size_t)row * columns;
        sums[row] = 0;
        for (uint32_t k = 0; k < columns; k++)
            sums[row] += e[k] * y[k];
    }
}

struct error_work {
    const double *folded, *errors;
    double *sums;
    uint32_t columns;
};

static enum qm_status sum_tile(void *context, uint32_t first, uint32_t count)
{
    struct error_work *work = context;
    double *scratch = malloc((size_t)count * work->columns * sizeof(*scratch));
    if (!scratch)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for errors of %" PRIu32 " rows", count);
    qm_moments_sums(work->folded, work->columns, work->errors + (size_t)first * work->columns, count, scratch,
                    work->sums + first);
    free(scratch);
    return QM_OK;
}

enum qm_status qm_moments_error(const double *moments, uint32_t columns, const double *errors, uint32_t rows,
                                double *error)
{
    enum qm_status status = QM_OK;
    double *folded = qm_moments_fold(moments, columns), *sums = calloc(rows, sizeof(*sums));
    if (!folded || !sums)
        QM_GUARD(QM_FAIL(QM_OUT_OF_MEMORY, "no memory for second moments of %" PRIu32 " inputs", columns));
    struct error_work work = {folded, errors, sums, columns};
    QM_GUARD(qm_row_tiles(rows, sum_tile, &work));
    *error = 0;
    for (uint32_t row = 0; row < rows; row++)
        *error += sums[row];
done:
    free(folded);
    free(sums);
    return status;
}

// One panel of columns [first, end) in `panel`, a row for each, the last column first. Row t is column m = end - 1 - t
// from its top to its diagonal: u_im = n_im d_m for i <= m.
struct factor_work {
    double *matrix;
    const double *panel;
    const double *pivots;
    uint32_t columns, first, end;
};

static void update_row(const struct factor_work *work, uint32_t i)
{
    double coefficients[QM_MOMENTS_PANEL];
    uint32_t count = work->end - work->first;
    for (uint32_t t = 0; t < count; t++)
        coefficients[t] = -(work->panel[(size_t)t * work->columns + i] / work->pivots[work->end - 1 - t]);
    qm_rows_add(work->matrix + (size_t)i * work->columns + i, work->first - i, coefficients, work->panel + i,
                work->columns, count);
}

// Rows get shorter downwards: a long and a short one together, so that threads have the same to do.
static void update_pairs(void *context, size_t begin, size_t end)
{
    const struct factor_work *work = context;
    for (size_t pair = begin; pair < end; pair++) {
        uint32_t low = (uint32_t)pair, high = work->first - 1 - low;
        update_row(work, low);
        if (high != low)
            update_row(work, high);
    }
}

// Right-looking, by panels from the last column to the first: a_ik - sum over m > k of n_im d_m n_km, m falling.
uint32_t qm_moments_factor(double *matrix, uint32_t columns, double *pivots, double *scratch)
{
    double *panel = scratch, *diagonal = scratch + (size_t)QM_MOMENTS_PANEL * columns;
    for (uint32_t k = 0; k < columns; k++)
        diagonal[k] = matrix[(size_t)k * columns + k];
    for (uint32_t end = columns; end > 0;) {
        uint32_t count = end < QM_MOMENTS_PANEL ? end : QM_MOMENTS_PANEL, first = end - count;
        for (uint32_t t = 0; t < count; t++)
            for (uint32_t i = 0, m = end - 1 - t; i <= m; i++)
                panel[(size_t)t * columns + i] = matrix[(size_t)i * columns + m];
        for (uint32_t t = 0; t < count; t++) {
            uint32_t m = end - 1 - t;
            const double *column = panel + (size_t)t * columns;
            pivots[m] = column[m];
            if (!(pivots[m] > diagonal[m] * 0x1p-40))
                return m;
            for (uint32_t other = t + 1; other < count; other++) {
                uint32_t k = end - 1 - other;
                double coefficient = -(column[k] / pivots[m]);
                qm_rows_add(panel + (size_t)other * columns, k + 1, &coefficient, column, columns, 1);
            }
        }
        struct factor_work work = {matrix, panel, pivots, columns, first, end};
        qm_parallel_for((first + 1) / 2, update_pairs, &work);
        for (uint32_t t = 0; t < count; t++)
            for (uint32_t i = 0, m = end - 1 - t; i < m; i++)
                matrix[(size_t)i * columns + m] = panel[(size_t)t * columns + i] / pivots[m];
        end = first;
    }
    return columns;
}

// Rows of M do not depend on each other (M N = I: m_ik = - sum over i <= j < k of m_ij n_jk), and row i needs no row of N
// above i. So a batch of rows is made beside the matrix, in parallel, and takes the place of N's.
struct invert_work {
    const double *matrix;
    double *rows; // of M; up to what is done they are sums
    uint32_t columns, first, count;
};

static void invert_tile(const struct invert_work *work, uint32_t first, uint32_t count)
{
    enum {
        BLOCK = 64,
        CHUNK = 512
    };
    uint32_t columns = work->columns;
    double *rows = work->rows + (size_t)(first - work->first) * columns;
    memset(rows, 0, (size_t)count * columns * sizeof(*rows));
    for (uint32_t begin = first, end; begin < columns; begin = end) {
        end = columns - begin < BLOCK ? columns : begin + BLOCK;
        for (uint32_t i = 0; i < count; i++) {
            double *row = rows + (size_t)i * columns;
            for (uint32_t j = begin > first + i ? begin : first + i; j < end; j++) {
                row[j] = j == first + i ? 1 : -row[j];
                qm_rows_add(row + j + 1, end - j - 1, row + j, work->matrix + (size_t)j * columns + j + 1, columns, 1);
            }
        }
        for (uint32_t p = end; p < columns; p += CHUNK) {
            uint32_t chunk = columns - p < CHUNK ? columns - p : CHUNK;
            for (uint32_t i = 0; i < count; i++)
                qm_rows_add(rows + (size_t)i * columns + p, chunk, rows + (size_t)i * columns + begin,
                            work->matrix + (size_t)begin * columns + p, columns, end - begin);
        }
    }
}

static void invert_tiles(void *context, size_t begin, size_t end)
{
    const struct invert_work *work = context;
    for (size_t tile = begin; tile < end; tile++) {
        uint32_t done = (uint32_t)tile * QM_ROW_TILE, rest = work->count - done;
        invert_tile(work, work->first + done, rest < QM_ROW_TILE ? rest : QM_ROW_TILE);
    }
}

void qm_moments_invert(double *matrix, uint32_t columns, double *scratch)
{
    for (uint32_t first = 0, count; first < columns; first += count) {
        count = columns - first < QM_MOMENTS_BATCH ? columns - first : QM_MOMENTS_BATCH;
        struct invert_work work = {matrix, scratch, columns, first, count};
        qm_parallel_for((count + QM_ROW_TILE - 1) / QM_ROW_TILE, invert_tiles, &work);
        for (uint32_t i = 0; i < count; i++)
            for (uint32_t k = first + i + 1; k < columns; k++)
                matrix[(size_t)(first + i) * columns + k] = scratch[(size_t)i * columns + k];
    }
}
