// The worker's verb `kernels` (worker.h): JSON around kernel_check.h.
#ifndef QM_BENCH_WORKER_KERNELS_H
#define QM_BENCH_WORKER_KERNELS_H

#include <jansson.h>

#include "backends/backend.h"
#include "model/model.h"

QM_MUST_USE enum qm_status qm_worker_kernels(struct qm_device *device, const struct qm_model_config *config,
                                             const char *tile, const json_t *request, json_t *answer);

#endif
