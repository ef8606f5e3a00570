// `calibrate --sweep`: which calibrator and how large a calibration set for one scheme.
#ifndef QM_CLI_SWEEP_H
#define QM_CLI_SWEEP_H

#include <stdbool.h>

#include "bench/prepare.h"

// Plans, tries and prints. `schemes` and `sizes` are as the command line has them, NULL where it has none; `params` what
// the profile is read with. Returns an enum qm_exit.
int qm_calibrate_sweep(const struct qm_preparation_params *params, const char *schemes, const char *sizes,
                       bool as_json);

#endif
