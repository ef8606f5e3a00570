// What a worker takes from nothing to its first token: opening, scratch memory, upload, compilation and a pass of one token.
#ifndef QM_BENCH_WORKER_START_H
#define QM_BENCH_WORKER_START_H

#include <jansson.h>

#include "model/engine.h"

struct qm_worker_start {
    uint64_t open_ns, engine_ns; // what these requests took
    bool is_told;
};

// After the first network of the worker was loaded in `load_ns`: runs one token through it, which compiles what a decode step
// needs, and puts all of it into `answer` as "start". Does nothing later on, nor where the kernels cannot be had, which
// their check will say. QM_DEVICE_LOST and QM_TIMEOUT as of any run.
QM_MUST_USE enum qm_status qm_worker_start_tell(struct qm_worker_start *start, struct qm_network *network,
                                                uint64_t load_ns, json_t *answer);

#endif
