// The worker's verb `sweep` (worker.h): JSON around kernel_problem.h and ceilings.h.
#ifndef QM_BENCH_WORKER_SWEEP_H
#define QM_BENCH_WORKER_SWEEP_H

#include <jansson.h>

#include "bench/kernel_problem.h"
#include "bench/simulate.h"

struct qm_worker_sweep {
    struct qm_kernel_bench *bench;     // made by the first item
    struct qm_kernel_problem *problem; // the item at hand
    double work;                       // its operations, or bytes where it has none: what a simulated clock goes by
    struct qm_simulation *simulation;  // not owned; NULL: times are the device's
    const struct qm_capability *capabilities; // not owned; as the self-test left them
    size_t capability_count;
};

QM_MUST_USE enum qm_status qm_worker_sweep(struct qm_worker_sweep *worker, struct qm_device *device,
                                           const json_t *request, json_t *answer);
void qm_worker_sweep_close(struct qm_worker_sweep *worker);

// The other side: an item as a request.
json_t *qm_kernel_item_json(const struct qm_kernel_item *item);
void qm_kernel_item_read(const json_t *request, struct qm_kernel_item *out);

#endif
