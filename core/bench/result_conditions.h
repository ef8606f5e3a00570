// What stood around the device: sensors' sources, the host's conditions, caches.
#ifndef QM_BENCH_RESULT_CONDITIONS_H
#define QM_BENCH_RESULT_CONDITIONS_H

#include "bench/device_run.h"
#include "record/node.h"

// Adds `telemetry` and `conditions` to the root.
void qm_result_add_conditions(struct qm_node *root, const struct qm_device_run *run);

// The last-level cache of the device: the profile's word, else the host's where the device is a processor; 0: unknown.
uint64_t qm_result_cache_bytes(const struct qm_node *root, const struct qm_profile *profile);
// "cache-resident": the weights fit; "cold": they are more than four times as large; "between"; "undisclosed".
const char *qm_result_cache_state(uint64_t weight_bytes, uint64_t cache_bytes);

#endif
