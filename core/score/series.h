// What is odd about a list of samples: named, and never taken out.
//
// All of it is on logarithms, for times are skewed and what slows a machine multiplies. The rules:
//
//   outliers     modified z of Iglewicz and Hoaglin ("How to Detect and Handle Outliers", ASQC 1993):
//                z = 0.6745 (x - median) / MAD, an outlier beyond 3.5. Where more than half of the samples are equal and
//                MAD is 0, z = (x - median) / (1.2533 mean |x - median|). In two modes, each sample is held against its own.
//   two modes    the sorted samples, a twentieth left aside at each end, are split in two where the sum of squares around the
//                two means is least, each part having at least 13 % of all samples and at least 4. D = distance of the means
//                / within-part standard deviation, pooled or root mean square of the two (Ashman, Bird and Zepf, AJ 108,
//                1994), whichever makes D less. Two modes if D > 3.6 + 20/n, and at most 13 % lie in the middle third between
//                the means, and the modes differ by 1 % and by four times the smallest step between samples (a clock's
//                tick; with two different values only, by 5 %). The limits come from simulation, docs/STATISTICS.md.
//   slow start   the first sample is an outlier on the slow side
//   drift        the line of least squares through the order, samples beyond 3.5 drawn in to 3.5; interval of 99 % that
//                accounts for autocorrelation (ordered.h); named where it excludes 0 and the change is 1 % or more
//   correlation  of neighbours around that line; named above 0.2 and above 2.576 / sqrt(n)
//
// Fewer than 8 samples have no outliers and no slow start, fewer than 20 none of the rest.
#ifndef QM_SCORE_SERIES_H
#define QM_SCORE_SERIES_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>

struct qm_series {
    size_t count;
    double median, least, most;
    size_t outliers_high, outliers_low;
    double farthest_high, farthest_low; // of the outliers: value / median; 0 without any
    bool has_modes;
    double modes[2];   // medians of the two parts, the lower one first
    double shares[2];  // of all samples; sum 1
    double separation; // D; 0 where none was computed
    bool is_first_slow;
    double first; // first sample / median of all; 0 without samples
    bool has_drift;
    double drift, drift_low, drift_high; // relative change from the first to the last sample
    bool is_correlated;
    double correlation;
};

enum {
    QM_SERIES_OUTLIER_SAMPLES_MIN = 8,
    QM_SERIES_SAMPLES_MIN = 20,
    QM_SERIES_TEXT_BYTES = 320
};

// `values` must be finite and above 0, else QM_INVALID naming the index. No samples: all zero.
QM_MUST_USE enum qm_status qm_series_describe(const double *values, size_t count, struct qm_series *out);

// The words for a result: "2 outliers, up to 3.1x the median; two modes: 1.02 ms (70 %) and 1.31 ms (30 %)", or "none", or
// "too few samples to tell". The values were nanoseconds. At most `bytes` with the final 0; QM_SERIES_TEXT_BYTES hold
// all of it.
void qm_series_text(const struct qm_series *series, char *buffer, size_t bytes);

#endif
