// The ratio of two medians of samples that were not taken in pairs, such as a kernel's times of today and of a file.
#ifndef QM_SCORE_MEDIANS_H
#define QM_SCORE_MEDIANS_H

#include "score/ratio.h"

// median(before) / median(after): above 1 where `after` is faster. The interval is a percentile bootstrap (ratio.h) that
// draws from both lists, resample after resample first from `before`; POINT where either has fewer than
// QM_RATIO_BLOCKS_MIN samples, NOT_MEASURED where one has none. It says how far the samples of one run each carry: what
// changes from run to run is not in it. QM_INVALID for a sample that is not finite and above 0.
QM_MUST_USE enum qm_status qm_ratio_of_medians(const double *before, size_t before_count, const double *after,
                                               size_t after_count, const struct qm_bootstrap *bootstrap,
                                               struct qm_estimate *out);

#endif
