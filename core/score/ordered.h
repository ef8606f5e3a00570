// Samples in the order of time: what the rules of sustained rates, series, timers and stopping share.
//
// Successive samples of a machine resemble each other, so that n of them say less than n independent ones. Where that
// matters the functions here take the noise for an AR(1) process: e_i = rho e_(i-1) + fresh noise. Everything is +, -, *,
// /, sqrt, qm_exp and qm_log in a fixed order. No function checks its input: numbers must be finite, counts as stated.
#ifndef QM_SCORE_ORDERED_H
#define QM_SCORE_ORDERED_H

#include "score/counts.h"
#include "score/ratio.h"

// Sorts from the smallest to the largest.
void qm_values_sort(double *values, size_t count);
// Their sum, in order, over their number; 0 where there are none.
double qm_values_mean(const double *values, size_t count);
// The median of sorted values (count >= 1): the middle one, or the mean of the two in the middle.
double qm_sorted_median(const double *sorted, size_t count);
// The median of `values`, and the median of their distances from it (MAD). `room` holds `count` doubles.
void qm_median_mad(const double *values, size_t count, double *room, double *median, double *mad);
// 1.4826 MAD is the standard deviation of a normal distribution.
#define QM_MAD_TO_SD 1.4826022185056018

// A draw from the standard normal distribution by Marsaglia's polar method; one of the two it gives is thrown away.
double qm_random_normal(struct qm_random *random);

// The value that a share `above` (0 < above < 0.5) of draws from the standard normal distribution exceeds, within 4.5e-4
// (Abramowitz and Stegun 26.2.23). The exact two-sided ones are in counts.h.
double qm_normal_exceeded_by(double above);
// The quantile of Student's t with `freedom` (>= 1, need not be whole) degrees of freedom where the normal distribution
// has `z`, by its expansion in 1/freedom (Abramowitz and Stegun 26.7.5); some 2 % too low for 2 degrees.
double qm_student_quantile(double z, double freedom);

// Correlation of neighbours in `residuals` whose mean (fitted = 1) or straight line (fitted = 2) was taken off. The
// plain estimate r is too low in short lists because the fit follows the noise; to first order E r = rho - (1 + 3
// rho)/n after a mean and rho - (2 + 4 rho)/n after a line (Marriott and Pope, Biometrika 41, 1954; Stine and Shaman,
// Annals of Statistics 17, 1989), which is solved for rho. 0 where there are fewer than 8 values or no spread. Within
// -0.95 .. 0.95.
double qm_autocorrelation(const double *residuals, size_t count, int fitted);

// The straight line of least squares through (at[i], values[i]), with the interval of its slope. As in Santer et al.
// ("Statistical significance of trends and trend differences in layer-average atmospheric temperature time series",
// JGR 105, 2000) n values with correlation rho count as n_e = n (1 - rho)/(1 + rho) independent ones (rho below 0 counts
// as 0): both for the variance of residuals, sum e^2/(n_e - 2), and for the degrees of freedom n_e - 2. For n_e below 3
// n_e is 3.
struct qm_slope {
    double slope, low, high; // per unit of `at`
    double mean;             // of the values
    double sd;               // of the residuals, sqrt(sum e^2/(n - 2))
    double correlation;      // rho
};
// `z` is the normal quantile of the interval's confidence. `room` holds `count` (>= 3) doubles and has the residuals
// afterwards; not all `at` may be equal.
void qm_slope_fit(const double *at, const double *values, size_t count, double z, double *room, struct qm_slope *slope);

// sum of numerators / sum of denominators over pieces in the order of time, with the interval of a moving block
// bootstrap (Kunsch, Annals of Statistics 17, 1989): a resample puts together ceil(n/l) runs of l consecutive pieces that
// begin anywhere from 0 to n - l, drawn with qm_random_seed(seed, stream 0), and cuts the last run so that n pieces are
// there. Length of a run, with rho the correlation of the pieces' quotients:
//
//   l = 1.5 max(n^(1/3), (sqrt(6) rho / (1 - rho^2))^(2/3) n^(1/3)), rounded up, at most n/4
//
// which is the length of least error for the variance of a mean of AR(1) (Carlstein, Annals of Statistics 14, 1986),
// and half as much again, for intervals want longer runs than variances: with 40 pieces and rho 0.5 they hold the truth
// in 92 % of cases instead of 89 %. The
// interval is widened on the scale of the logarithm as in ratio.h, with n/l for the number of blocks. POINT for fewer
// than 16 pieces, NOT_MEASURED for none. All numbers are above 0.
enum {
    QM_MOVING_PIECES_MIN = 16
};
QM_MUST_USE enum qm_status qm_moving_ratio(const double *numerators, const double *denominators, size_t count,
                                           const struct qm_bootstrap *bootstrap, struct qm_estimate *ratio);

// The slope that is the median of the slopes of all pairs with different `at` (Theil 1950, Sen 1968), with the
// distribution-free interval from Kendall's statistic: of N sorted slopes the ones of rank (N - C)/2 and (N + C)/2 + 1,
// C = z sqrt(n (n-1) (2n+5) / 18). Up to 29 % of wild values do not move it far. Above QM_THEIL_SEN_MAX points it takes
// every k-th with the smallest k that suffices. `count` >= 3. QM_INVALID if all `at` are equal.
enum {
    QM_THEIL_SEN_MAX = 1000
};
QM_MUST_USE enum qm_status qm_theil_sen(const double *at, const double *values, size_t count,
                                        uint32_t confidence_permille, struct qm_estimate *slope);

#endif
