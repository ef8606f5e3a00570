#include "score/ordered.h"

#include "base/numeric.h"
#include "score/counts.h"

#include <math.h> // isfinite, fabs, floor, ceil and sqrt, which are exact everywhere
#include <stdlib.h>

static int rising(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

void qm_values_sort(double *values, size_t count)
{
    if (count)
        qsort(values, count, sizeof(*values), rising);
}

double qm_values_mean(const double *values, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; ++i)
        sum += values[i];
    return count ? sum / (double)count : 0;
}

double qm_sorted_median(const double *sorted, size_t count)
{
    return count % 2 ? sorted[count / 2] : 0.5 * (sorted[count / 2 - 1] + sorted[count / 2]);
}

void qm_median_mad(const double *values, size_t count, double *room, double *median, double *mad)
{
    for (size_t i = 0; i < count; ++i)
        room[i] = values[i];
    qm_values_sort(room, count);
    *median = qm_sorted_median(room, count);
    for (size_t i = 0; i < count; ++i)
        room[i] = fabs(values[i] - *median);
    qm_values_sort(room, count);
    *mad = qm_sorted_median(room, count);
}

double qm_random_normal(struct qm_random *random)
{
    for (;;) {
        double u = 2.0 * qm_random_unit(random) - 1.0, v = 2.0 * qm_random_unit(random) - 1.0;
        double s = u * u + v * v;
        if (s > 0.0 && s < 1.0)
            return u * sqrt(-2.0 * qm_log(s) / s);
    }
}

double qm_normal_exceeded_by(double above)
{
    double t = sqrt(-2.0 * qm_log(above));
    return t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308)));
}

double qm_student_quantile(double z, double freedom)
{
    double v = freedom;
    double z2 = z * z, z3 = z2 * z, z5 = z3 * z2, z7 = z5 * z2, z9 = z7 * z2;
    return z + (z3 + z) / (4.0 * v) + (5.0 * z5 + 16.0 * z3 + 3.0 * z) / (96.0 * v * v) +
           (3.0 * z7 + 19.0 * z5 + 17.0 * z3 - 15.0 * z) / (384.0 * v * v * v) +
           (79.0 * z9 + 776.0 * z7 + 1482.0 * z5 - 1920.0 * z3 - 945.0 * z) / (92160.0 * v * v * v * v);
}

double qm_autocorrelation(const double *residuals, size_t count, int fitted)
{
    if (count < 8)
        return 0.0;
    double squares = 0.0, products = 0.0;
    for (size_t i = 0; i < count; ++i)
        squares += residuals[i] * residuals[i];
    for (size_t i = 1; i < count; ++i)
        products += residuals[i] * residuals[i - 1];
    if (!(squares > 0.0))
        return 0.0;
    double n = (double)count, lift = fitted == 1 ? 1.0 : 2.0, stretch = fitted == 1 ? 3.0 : 4.0;
    double rho = (products / squares + lift / n) / (1.0 - stretch / n);
    return rho > 0.95 ? 0.95 : rho < -0.95 ? -0.95 : rho;
}

void qm_slope_fit(const double *at, const double *values, size_t count, double z, double *room, struct qm_slope *slope)
{
    double n = (double)count, middle = 0.0, mean = 0.0, spread = 0.0, product = 0.0, squares = 0.0;
    for (size_t i = 0; i < count; ++i) {
        middle += at[i];
        mean += values[i];
    }
    middle /= n;
    mean /= n;
    for (size_t i = 0; i < count; ++i) {
        spread += (at[i] - middle) * (at[i] - middle);
        product += (at[i] - middle) * (values[i] - mean);
    }
    double b = product / spread;
    for (size_t i = 0; i < count; ++i) {
        room[i] = values[i] - mean - b * (at[i] - middle);
        squares += room[i] * room[i];
    }
    double rho = qm_autocorrelation(room, count, 2), counted = rho > 0.0 ? rho : 0.0;
    double effective = n * (1.0 - counted) / (1.0 + counted);
    if (effective < 3.0)
        effective = 3.0;
    double error = sqrt(squares / (effective - 2.0) / spread);
    double half = qm_student_quantile(z, effective - 2.0) * error;
    *slope = (struct qm_slope){.slope = b,
                               .low = b - half,
                               .high = b + half,
                               .mean = mean,
                               .sd = sqrt(squares / (n - 2.0)),
                               .correlation = rho};
}

// The length of a run of the moving block bootstrap. `room` holds `count` doubles.
static size_t run_length(const double *numerators, const double *denominators, size_t count, double *room)
{
    double mean = 0.0;
    for (size_t i = 0; i < count; ++i) {
        room[i] = numerators[i] / denominators[i];
        mean += room[i];
    }
    mean /= (double)count;
    for (size_t i = 0; i < count; ++i)
        room[i] -= mean;
    double rho = fabs(qm_autocorrelation(room, count, 1));
    double factor = 2.449489742783178 * rho / (1.0 - rho * rho);
    double third = qm_log((double)count) / 3.0;
    double stretch = factor > 1.0 ? qm_log(factor) * 2.0 / 3.0 : 0.0;
    double length = ceil(1.5 * qm_exp(third + stretch) - 1e-9);
    size_t most = count / 4;
    return length > (double)most ? most : (size_t)length;
}

enum qm_status qm_moving_ratio(const double *numerators, const double *denominators, size_t count,
                               const struct qm_bootstrap *bootstrap, struct qm_estimate *ratio)
{
    enum qm_status status = QM_OK;
    double *sums = NULL, *statistics = NULL;
    *ratio = (struct qm_estimate){0};
    if (count == 0)
        return QM_OK;
    if (count > UINT32_MAX)
        return QM_FAIL(QM_INVALID, "%zu samples are more than can be judged", count);
    // Sums of the first i pieces, so that a run is one subtraction: numerators, then denominators.
    sums = calloc(2 * (count + 1), sizeof(*sums));
    statistics = calloc(bootstrap->resamples + count, sizeof(*statistics));
    if (!sums || !statistics) {
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the interval of %zu samples", count);
        goto done;
    }
    double *over = sums, *under = sums + count + 1;
    for (size_t i = 0; i < count; ++i) {
        over[i + 1] = over[i] + numerators[i];
        under[i + 1] = under[i] + denominators[i];
    }
    double value = over[count] / under[count];
    if (!isfinite(value) || !(value > 0.0)) {
        ratio->state = QM_ESTIMATE_OUT_OF_RANGE;
        goto done;
    }
    *ratio = (struct qm_estimate){.state = QM_ESTIMATE_POINT, .value = value};
    if (count < QM_MOVING_PIECES_MIN)
        goto done;

    size_t length = run_length(numerators, denominators, count, statistics);
    struct qm_random random;
    qm_random_seed(&random, bootstrap->seed, 0);
    for (uint32_t r = 0; r < bootstrap->resamples; ++r) {
        double top = 0.0, bottom = 0.0;
        for (size_t filled = 0; filled < count; filled += length) {
            size_t begin = qm_random_below(&random, (uint32_t)(count - length + 1));
            size_t taken = count - filled < length ? count - filled : length;
            top += over[begin + taken] - over[begin];
            bottom += under[begin + taken] - under[begin];
        }
        statistics[r] = qm_log(top / bottom);
    }
    double low, high, centre = qm_log(value);
    qm_bootstrap_interval(bootstrap, statistics, &low, &high);
    double blocks = (double)count / (double)length;
    double z = qm_normal_quantile(bootstrap->confidence_permille);
    double factor = qm_student_quantile(z, blocks - 1.0) / z * sqrt(blocks / (blocks - 1.0));
    *ratio = (struct qm_estimate){QM_ESTIMATE_INTERVAL, value, value * qm_exp(factor * (low - centre)),
                                  value * qm_exp(factor * (high - centre))};
done:
    free(sums);
    free(statistics);
    return status;
}

enum qm_status qm_theil_sen(const double *at, const double *values, size_t count, uint32_t confidence_permille,
                            struct qm_estimate *slope)
{
    *slope = (struct qm_estimate){0};
    size_t step = (count + QM_THEIL_SEN_MAX - 1) / QM_THEIL_SEN_MAX;
    size_t points = step ? (count + step - 1) / step : 0, found = 0;
    if (points < 3)
        return QM_FAIL(QM_INVALID, "a slope through %zu points: it takes 3", count);
    double *slopes = calloc(points * (points - 1) / 2, sizeof(*slopes));
    if (!slopes)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the slope of %zu points", count);
    for (size_t i = 0; i < points; ++i)
        for (size_t j = i + 1; j < points; ++j)
            if (at[i * step] != at[j * step])
                slopes[found++] = (values[j * step] - values[i * step]) / (at[j * step] - at[i * step]);
    if (found == 0) {
        free(slopes);
        return QM_FAIL(QM_INVALID, "a slope through %zu points, all at one place: they must differ", count);
    }
    qm_values_sort(slopes, found);
    double n = (double)points, all = (double)found;
    double c = qm_normal_quantile(confidence_permille) * sqrt(n * (n - 1.0) * (2.0 * n + 5.0) / 18.0);
    double lower = floor((all - c) / 2.0), upper = ceil((all + c) / 2.0) + 1.0; // ranks, counted from 1
    *slope = (struct qm_estimate){.state = QM_ESTIMATE_INTERVAL,
                                  .value = qm_sorted_median(slopes, found),
                                  .low = slopes[lower < 1.0 ? 0 : (size_t)lower - 1],
                                  .high = slopes[upper > all ? found - 1 : (size_t)upper - 1]};
    free(slopes);
    return QM_OK;
}
