// The worker's verb `tune` (worker.h): JSON around tune.h.
#ifndef QM_BENCH_WORKER_TUNE_H
#define QM_BENCH_WORKER_TUNE_H

#include <jansson.h>

#include "bench/tune.h"
#include "bench/tune_store.h"

QM_MUST_USE enum qm_status qm_worker_tune(struct qm_device *device, const struct qm_capability *capabilities,
                                          size_t capability_count, const json_t *request, json_t *answer);

// The other side: what is to be asked, and what was answered. The entry gets all but its shapes and its date.
json_t *qm_tune_request(const struct qm_kernel_item *items, size_t count, uint64_t limit_ns);
QM_MUST_USE enum qm_status qm_tune_answer(const json_t *answer, struct qm_tuned_entry *out);

#endif
