#include "quant/statistics.h"
#include "base/numeric.h"
#include "sys/parallel.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum qm_status qm_statistics_begin(struct qm_channel_statistics *statistics, uint32_t width, bool has_products)
{
    *statistics = (struct qm_channel_statistics){0};
    if (width == 0)
        return QM_FAIL(QM_INVALID, "statistics: an input of no channels; give rows of one value or more");
    struct qm_channel_statistics made = {.width = width};
    made.amax = calloc(width, sizeof(*made.amax));
    made.sum_magnitudes = calloc(width, sizeof(*made.sum_magnitudes));
    made.sum_squares = calloc(width, sizeof(*made.sum_squares));
    if (has_products)
        made.products = calloc((size_t)width * width, sizeof(*made.products));
    if (!made.amax || !made.sum_magnitudes || !made.sum_squares || (has_products && !made.products)) {
        qm_statistics_free(&made);
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for statistics of %" PRIu32 " channels%s", width,
                       has_products ? " and of all pairs; a calibrator other than gptq needs none of pairs" : "");
    }
    *statistics = made;
    return QM_OK;
}

void qm_statistics_free(struct qm_channel_statistics *statistics)
{
    free(statistics->amax);
    free(statistics->sum_magnitudes);
    free(statistics->sum_squares);
    free(statistics->products);
    *statistics = (struct qm_channel_statistics){0};
}

struct rows {
    struct qm_channel_statistics *statistics;
    const float *values;
    size_t count;
};

static void add_channels(void *context, size_t begin, size_t end)
{
    const struct rows *rows = context;
    struct qm_channel_statistics *s = rows->statistics;
    for (size_t row = 0; row < rows->count; row++) {
        const float *values = rows->values + row * s->width;
        for (size_t j = begin; j < end; j++) {
            float magnitude = values[j] < 0 ? -values[j] : values[j];
            s->amax[j] = magnitude > s->amax[j] ? magnitude : s->amax[j];
            s->sum_magnitudes[j] += (double)magnitude;
            s->sum_squares[j] += (double)magnitude * (double)magnitude;
        }
    }
}

static void add_products_of(const struct rows *rows, size_t i)
{
    size_t width = rows->statistics->width;
    double *sums = rows->statistics->products + i * width;
    for (size_t row = 0; row < rows->count; row++) {
        const float *values = rows->values + row * width;
        double factor = (double)values[i];
        for (size_t j = i; j < width; j++)
            sums[j] += factor * (double)values[j];
    }
}

// Row i of the triangle together with row width - 1 - i, so that every pair is as long.
static void add_products(void *context, size_t begin, size_t end)
{
    const struct rows *rows = context;
    size_t width = rows->statistics->width;
    for (size_t pair = begin; pair < end; pair++) {
        add_products_of(rows, pair);
        if (width - 1 - pair != pair)
            add_products_of(rows, width - 1 - pair);
    }
}

void qm_statistics_add(struct qm_channel_statistics *statistics, const float *values, size_t rows)
{
    struct rows all = {statistics, values, rows};
    qm_parallel_for(statistics->width, add_channels, &all);
    if (statistics->products)
        qm_parallel_for(((size_t)statistics->width + 1) / 2, add_products, &all);
    statistics->rows += rows;
}

static void add_all(double *into, const double *from, size_t count)
{
    for (size_t i = 0; i < count; i++)
        into[i] += from[i];
}

enum qm_status qm_statistics_merge(struct qm_channel_statistics *into, const struct qm_channel_statistics *from)
{
    size_t width = into->width;
    if (from->width != width)
        return QM_FAIL(QM_INVALID, "statistics of %" PRIu32 " and %zu channels; merge those of one input", from->width,
                       width);
    if (into->products && !from->products)
        return QM_FAIL(QM_INVALID, "statistics without pairs of channels cannot be merged into some with them; collect "
                                   "both alike");
    for (size_t j = 0; j < width; j++)
        into->amax[j] = from->amax[j] > into->amax[j] ? from->amax[j] : into->amax[j];
    add_all(into->sum_magnitudes, from->sum_magnitudes, width);
    add_all(into->sum_squares, from->sum_squares, width);
    if (into->products)
        add_all(into->products, from->products, width * width);
    into->rows += from->rows;
    return QM_OK;
}

enum qm_status qm_statistics_copy_divided(const struct qm_channel_statistics *from, const float *divisors,
                                          struct qm_channel_statistics *out)
{
    size_t width = from->width;
    QM_TRY(qm_statistics_begin(out, from->width, from->products != NULL));
    out->rows = from->rows;
    for (size_t i = 0; i < width; i++) {
        double divisor = divisors ? (double)divisors[i] : 1;
        out->amax[i] = qm_float_round_up((double)from->amax[i] / divisor);
        out->sum_magnitudes[i] = from->sum_magnitudes[i] / divisor;
        out->sum_squares[i] = from->sum_squares[i] / (divisor * divisor);
        for (size_t j = i; from->products && j < width; j++)
            out->products[i * width + j] =
                from->products[i * width + j] / (divisor * (divisors ? (double)divisors[j] : 1));
    }
    return QM_OK;
}

float qm_statistics_amax(const struct qm_channel_statistics *statistics)
{
    float amax = 0;
    for (uint32_t j = 0; j < statistics->width; j++)
        amax = statistics->amax[j] > amax ? statistics->amax[j] : amax;
    return amax;
}

enum qm_status qm_statistics_read_products(const struct qm_channel_statistics *statistics, double *products)
{
    size_t width = statistics->width;
    if (!statistics->products)
        return QM_FAIL(QM_INVALID, "statistics hold no products of pairs of channels; collect them with the others");
    for (size_t i = 0; i < width; i++)
        for (size_t j = i; j < width; j++)
            products[i * width + j] = products[j * width + i] = statistics->products[i * width + j];
    return QM_OK;
}
