// A linear layer with the statistics of its input, drawn for tests of calibrators, and what they made of its weights.
#ifndef QM_TEST_CALIBRATOR_LAYER_H
#define QM_TEST_CALIBRATOR_LAYER_H

#include "base/hash.h"
#include "base/random.h"
#include "quant/clip.h"
#include "quant/gptq.h"
#include "test/grid_doubles.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ASSERT_OK(call)                                                                                                \
    do {                                                                                                               \
        if ((call) != QM_OK)                                                                                           \
            fail_msg("%s", qm_error_text());                                                                           \
    } while (0)

static const struct qm_grid *const grids[] = {&grid_int4_g32, &grid_int4z_g128, &grid_e2m1_g32, &grid_int4_row};
enum {
    GRIDS = sizeof(grids) / sizeof(grids[0])
};

static inline double decode(const struct qm_grid *grid, int32_t code, const struct qm_grid_parameters *parameters)
{
    static const double magnitudes[8] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
    if (grid == &grid_e2m1_g32)
        return (code & 8 ? -1 : 1) * magnitudes[code & 7] * parameters->scale;
    return (code - parameters->zero) * parameters->scale;
}

struct layer {
    uint32_t rows, columns;
    float *weights;
    double *moments, *sums; // of x x^T, of |x|
    int32_t *codes;
    struct qm_grid_parameters *parameters;
};

static inline double gauss(struct qm_random *random)
{
    double sum = 0;
    for (int i = 0; i < 12; i++)
        sum += qm_random_unit(random);
    return sum - 6;
}

static inline struct layer new_layer(uint32_t rows, uint32_t columns)
{
    struct layer layer = {rows, columns, NULL, NULL, NULL, NULL, NULL};
    layer.weights = calloc((size_t)rows * columns, sizeof(float));
    layer.moments = calloc((size_t)columns * columns, sizeof(double));
    layer.sums = calloc(columns, sizeof(double));
    layer.codes = calloc((size_t)rows * columns, sizeof(int32_t));
    layer.parameters = calloc((size_t)rows * columns, sizeof(struct qm_grid_parameters));
    assert_non_null(layer.parameters);
    return layer;
}

static inline void free_layer(struct layer *layer)
{
    free(layer->weights);
    free(layer->moments);
    free(layer->sums);
    free(layer->codes);
    free(layer->parameters);
}

static inline void observe(struct layer *layer, const double *x)
{
    uint32_t columns = layer->columns;
    for (uint32_t j = 0; j < columns; j++) {
        layer->sums[j] += fabs(x[j]);
        for (uint32_t k = 0; k < columns; k++)
            layer->moments[(size_t)j * columns + k] += x[j] * x[k];
    }
}

// Inputs: a few hidden causes that all share, noise, and magnitudes that differ by a factor of 80. Some large weights.
static inline struct layer draw_layer(uint32_t rows, uint32_t columns, uint64_t seed)
{
    enum {
        CAUSES = 8
    };
    struct layer layer = new_layer(rows, columns);
    struct qm_random random;
    qm_random_seed(&random, seed, 0);
    double *gain = calloc((2 + CAUSES) * (size_t)columns, sizeof(double)), *x = gain + columns, *mix = x + columns;
    for (uint32_t j = 0; j < columns; j++) {
        double u = qm_random_unit(&random);
        gain[j] = 8 * u * u * u + 0.1;
        for (uint32_t cause = 0; cause < CAUSES; cause++)
            mix[j * CAUSES + cause] = gauss(&random) / 3;
    }
    for (uint32_t token = 0; token < 2 * columns; token++) {
        double causes[CAUSES];
        for (uint32_t cause = 0; cause < CAUSES; cause++)
            causes[cause] = gauss(&random);
        for (uint32_t j = 0; j < columns; j++) {
            double sum = gauss(&random) / 2;
            for (uint32_t cause = 0; cause < CAUSES; cause++)
                sum += mix[j * CAUSES + cause] * causes[cause];
            x[j] = gain[j] * sum;
        }
        observe(&layer, x);
    }
    for (size_t i = 0; i < (size_t)rows * columns; i++)
        layer.weights[i] = (float)(gauss(&random) * (qm_random_below(&random, 50) == 0 ? 0.15 : 0.05));
    free(gain);
    return layer;
}

static inline const struct qm_grid_parameters *parameters_at(const struct layer *layer, const struct qm_grid *grid,
                                                             uint32_t row, uint32_t column)
{
    return &layer->parameters[(size_t)row * qm_grid_groups(grid, layer->columns) +
                              (grid->group ? column / grid->group : 0)];
}

// trace(E H E^T) as it stands.
static inline double error_of(const struct layer *layer, const struct qm_grid *grid)
{
    double sum = 0, *e = calloc(layer->columns, sizeof(*e));
    for (uint32_t row = 0; row < layer->rows; row++) {
        for (uint32_t k = 0; k < layer->columns; k++) {
            size_t at = (size_t)row * layer->columns + k;
            e[k] = decode(grid, layer->codes[at], parameters_at(layer, grid, row, k)) - (double)layer->weights[at];
        }
        for (uint32_t j = 0; j < layer->columns; j++)
            for (uint32_t k = 0; k < layer->columns; k++)
                sum += e[j] * layer->moments[(size_t)j * layer->columns + k] * e[k];
    }
    free(e);
    return sum;
}

// For what promises to read the upper triangle only.
static inline void poison_lower_triangle(struct layer *layer)
{
    for (uint32_t j = 1; j < layer->columns; j++)
        for (uint32_t k = 0; k < j; k++)
            layer->moments[(size_t)j * layer->columns + k] = NAN;
}

static inline double *diagonal_of(const struct layer *layer)
{
    double *diagonal = calloc(layer->columns, sizeof(*diagonal));
    for (uint32_t k = 0; k < layer->columns; k++)
        diagonal[k] = layer->moments[(size_t)k * layer->columns + k];
    return diagonal;
}

static inline enum qm_status gptq(struct layer *layer, const struct qm_grid *grid, struct qm_gptq_params params,
                                  struct qm_gptq_record *record)
{
    memset(layer->codes, 0xee, (size_t)layer->rows * layer->columns * sizeof(*layer->codes));
    return qm_gptq_quantize(&params, "w", layer->weights, layer->rows, layer->columns, layer->moments, grid,
                            layer->codes, layer->parameters, record);
}

static inline enum qm_status rounded(struct layer *layer, const struct qm_grid *grid, enum qm_range range,
                                     const double *importance, struct qm_clip_record *record)
{
    return qm_clip_quantize(range, "w", layer->weights, layer->rows, layer->columns, importance, grid, layer->codes,
                            layer->parameters, record);
}

static inline bool is_near(double a, double b, double relative)
{
    return fabs(a - b) <= relative * fmax(fabs(a), fabs(b));
}

static inline void refused(enum qm_status status, const char *words)
{
    assert_int_equal(status, QM_INVALID);
    if (!strstr(qm_error_text(), words) || strchr(qm_error_text(), '\n'))
        fail_msg("expected '%s', got '%s'", words, qm_error_text());
}

static inline void add_layer(struct qm_hash *hash, const struct layer *layer, const struct qm_grid *grid)
{
    for (uint32_t i = 0; i < layer->rows * qm_grid_groups(grid, layer->columns); i++) {
        qm_hash_add(hash, &layer->parameters[i].scale, sizeof(double));
        qm_hash_add(hash, &layer->parameters[i].zero, sizeof(double));
    }
    qm_hash_add(hash, layer->codes, (size_t)layer->rows * layer->columns * sizeof(int32_t));
}

#endif
