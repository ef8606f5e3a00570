// Grids for tests of calibrators, from the formats' definitions: int4 symmetric by 32, int4 with a zero by 128, and E2M1 by
// 32, all with scales in float16 that are rounded up.
#ifndef QM_TEST_GRID_DOUBLES_H
#define QM_TEST_GRID_DOUBLES_H

#include "base/numeric.h"
#include "quant/grid.h"

#define HALF_SMALLEST 0x1p-14f

static inline enum qm_status grid_set_scale(double wanted, struct qm_grid_parameters *parameters)
{
    *parameters = (struct qm_grid_parameters){0};
    if (!(wanted > 0))
        return QM_OK;
    float rounded = qm_float_round_up(wanted);
    if (rounded > 65504.0f)
        return QM_FAIL(QM_INVALID, "a scale of %g is beyond float16", wanted);
    rounded = rounded < HALF_SMALLEST ? HALF_SMALLEST : rounded;
    parameters->stored[0] = qm_half_round_up(rounded);
    parameters->scale = (double)qm_float_from_half((uint16_t)parameters->stored[0]);
    return QM_OK;
}

static inline void grid_ends(const float *values, uint32_t count, double *low, double *high)
{
    *low = *high = 0;
    for (uint32_t i = 0; i < count; i++) {
        *low = (double)values[i] < *low ? (double)values[i] : *low;
        *high = (double)values[i] > *high ? (double)values[i] : *high;
    }
}

static inline enum qm_status grid_fit_symmetric(const float *values, uint32_t count, double shrink, double largest,
                                                struct qm_grid_parameters *parameters)
{
    double low, high;
    grid_ends(values, count, &low, &high);
    return grid_set_scale((high > -low ? high : -low) * shrink / largest, parameters);
}

// Codes -7..7.
static inline enum qm_status grid_int4_fit(const struct qm_grid *grid, const float *values, uint32_t count,
                                           double shrink, struct qm_grid_parameters *parameters)
{
    (void)grid;
    return grid_fit_symmetric(values, count, shrink, 7, parameters);
}

static inline int32_t grid_int4_nearest(const struct qm_grid *grid, const struct qm_grid_parameters *parameters,
                                        double value, double *represented)
{
    (void)grid;
    double x = parameters->scale > 0 ? value / parameters->scale : 0;
    x = x < -7 ? -7 : x > 7 ? 7 : qm_round_even(x);
    *represented = x * parameters->scale;
    return (int32_t)x;
}

// Codes 0..15 and a zero of 0..15: scale (code - zero); 0 is always representable.
static inline enum qm_status grid_int4z_fit(const struct qm_grid *grid, const float *values, uint32_t count,
                                            double shrink, struct qm_grid_parameters *parameters)
{
    (void)grid;
    double low, high;
    grid_ends(values, count, &low, &high);
    QM_TRY(grid_set_scale((high - low) * shrink / 15, parameters));
    double zero = parameters->scale > 0 ? qm_round_even(-low * shrink / parameters->scale) : 0;
    parameters->zero = zero > 15 ? 15 : zero;
    parameters->stored[1] = (uint32_t)parameters->zero;
    return QM_OK;
}

static inline int32_t grid_int4z_nearest(const struct qm_grid *grid, const struct qm_grid_parameters *parameters,
                                         double value, double *represented)
{
    (void)grid;
    double low = -parameters->zero, high = 15 - parameters->zero;
    double x = parameters->scale > 0 ? value / parameters->scale : 0;
    x = x < low ? low : x > high ? high : qm_round_even(x);
    *represented = x * parameters->scale;
    return (int32_t)(x + parameters->zero);
}

// Magnitudes of OCP MX's E2M1 by code; the sign is bit 3.
static inline enum qm_status grid_e2m1_fit(const struct qm_grid *grid, const float *values, uint32_t count,
                                           double shrink, struct qm_grid_parameters *parameters)
{
    (void)grid;
    return grid_fit_symmetric(values, count, shrink, 6, parameters);
}

static inline int32_t grid_e2m1_nearest(const struct qm_grid *grid, const struct qm_grid_parameters *parameters,
                                        double value, double *represented)
{
    static const double magnitudes[8] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
    (void)grid;
    double x = parameters->scale > 0 ? (value < 0 ? -value : value) / parameters->scale : 0;
    int32_t code = 0;
    while (code < 7) {
        double middle = (magnitudes[code] + magnitudes[code + 1]) / 2;
        if (x < middle || (!(x > middle) && code % 2 == 0)) // ties to the even mantissa
            break;
        code++;
    }
    *represented = (value < 0 ? -magnitudes[code] : magnitudes[code]) * parameters->scale;
    return value < 0 ? code | 8 : code;
}

static const struct qm_grid grid_int4_g32 = {32, grid_int4_fit, grid_int4_nearest};
static const struct qm_grid grid_int4_row = {0, grid_int4_fit, grid_int4_nearest};
static const struct qm_grid grid_int4z_g128 = {128, grid_int4z_fit, grid_int4z_nearest};
static const struct qm_grid grid_e2m1_g32 = {32, grid_e2m1_fit, grid_e2m1_nearest};

#endif
