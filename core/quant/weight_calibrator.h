// One weight of a calibrated scheme: from floats to codes by the scheme's calibrator.
//
//   none, absmax, percentile, entropy, smoothquant   ranges by absmax (what these choose is elsewhere)
//   mse       the range of each group searched (clip.h); data-free
//   imatrix   likewise, errors weighted by the mean squares of the input's channels; ggml's blocks by their own search
//   awq       likewise, of the weights as scaled, whose statistics are those of the scaled inputs
//   gptq      codes column by column (gptq.h), ranges searched; damping 0.01; with or without act-order
// Formats without scales are rounded to nearest whatever the calibrator.
#ifndef QM_QUANT_WEIGHT_CALIBRATOR_H
#define QM_QUANT_WEIGHT_CALIBRATOR_H

#include "quant/format.h"
#include "quant/statistics.h"

// Encodes a matrix into `out` and records what was seen. `statistics` are those of the input that the weight reads; NULL
// for calibrators without data. QM_INVALID names the tensor that cannot be encoded.
QM_MUST_USE enum qm_status qm_weight_calibrate(const struct qm_scheme *scheme, enum qm_weight_format format,
                                               const char *name, const float *values, uint32_t rows, uint32_t columns,
                                               const struct qm_channel_statistics *statistics, struct qm_encoded *out,
                                               struct qm_weight_record *record);

// The bound that holds of the errors of such a weight.
enum qm_bound qm_weight_bound(const struct qm_scheme *scheme, enum qm_weight_format format);

// Whether the scheme's calibrator reads H, the products of pairs of channels.
bool qm_scheme_needs_products(const struct qm_scheme *scheme);

#endif
