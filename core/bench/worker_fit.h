// The worker's verb `fit` (worker.h): JSON around fit.h.
#ifndef QM_BENCH_WORKER_FIT_H
#define QM_BENCH_WORKER_FIT_H

#include <jansson.h>

#include "bench/fit.h"

// `params` has the engine's and the tiers; schemes, artifacts and passes come from the request.
QM_MUST_USE enum qm_status qm_worker_fit(struct qm_fit_params *params, json_t *request, json_t *answer);

#endif
