// What a result says of a user's files: hashes, counts and lengths (workload/disclosure.h).
#ifndef QM_BENCH_RESULT_WORKLOAD_H
#define QM_BENCH_RESULT_WORKLOAD_H

#include "bench/device_run.h"
#include "record/node.h"

#define QM_RESULT_EMBEDDED_BYTES_MAX ((size_t)1 << 20)

// Adds `workload` where a set is a user's; nothing otherwise. QM_INVALID where texts are to be embedded and are too long,
// QM_OUT_OF_MEMORY.
QM_MUST_USE enum qm_status qm_result_add_workload(struct qm_node *root, const struct qm_prepared *prepared);

#endif
