// The worker's verbs `kernels` and `ceilings` (worker.h): JSON around kernel_check.h and ceilings.h.
#ifndef QM_BENCH_WORKER_KERNELS_H
#define QM_BENCH_WORKER_KERNELS_H

#include <jansson.h>

#include "backends/backend.h"
#include "model/model.h"
#include "record/node.h"

QM_MUST_USE enum qm_status qm_worker_kernels(struct qm_device *device, const struct qm_model_config *config,
                                             const char *tile, const json_t *request, json_t *answer);
QM_MUST_USE enum qm_status qm_worker_ceilings(struct qm_device *device, const json_t *request, json_t *answer);

// A tree as JSON, null where it cannot be. Destroys the tree.
json_t *qm_worker_json(struct qm_node *node);

#endif
