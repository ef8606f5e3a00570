// The answers that changed against fp32's, for people: on standard output and in no file.
#ifndef QM_CLI_FLIPS_H
#define QM_CLI_FLIPS_H

#include <stdio.h>

#include "bench/device_run.h"
#include "report/show.h"

// A table of every answer of every scheme that is not fp32's: the example's id, what came of it, what was expected, fp32's
// answer and the scheme's, each cut to a few words. Nothing where no examples were asked.
QM_MUST_USE enum qm_status qm_show_flips(const struct qm_prepared *prepared, const struct qm_device_run *run,
                                         const struct qm_show_style *style, FILE *file);

#endif
