// What a worker takes from nothing to its first token: opening, scratch memory, upload, compilation and a pass of one token.
#ifndef QM_BENCH_WORKER_START_H
#define QM_BENCH_WORKER_START_H

#include <jansson.h>

#include "model/engine.h"

struct qm_worker_start {
    uint64_t open_ns, engine_ns; // what these requests took
    uint64_t load_ns;            // reading the artifact, with compilation beside it
    uint64_t compile_ns;         // before this start's kernels
    uint32_t compiled, cached;   // likewise
    bool is_told;
};

// Loads the artifact that the worker's first network is made of, while another thread compiles what it needs; any later one
// alone. `config` is the engine's model.
QM_MUST_USE enum qm_status qm_worker_start_load(struct qm_worker_start *start, struct qm_engine *engine,
                                                const struct qm_model_config *config, const struct qm_scheme *scheme,
                                                const char *path, struct qm_artifact **out);

// After the first network of the worker was uploaded in `upload_ns`: runs one token through it, which compiles what a decode step
// needs, and puts all of it into `answer` as "start". Does nothing later on, nor where the kernels cannot be had, which
// their check will say. QM_DEVICE_LOST and QM_TIMEOUT as of any run.
QM_MUST_USE enum qm_status qm_worker_start_tell(struct qm_worker_start *start, struct qm_network *network,
                                                uint64_t upload_ns, json_t *answer);

#endif
