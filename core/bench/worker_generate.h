// The worker's verbs `generate` and `likelihood` (worker.h): JSON around generate.h.
#ifndef QM_BENCH_WORKER_GENERATE_H
#define QM_BENCH_WORKER_GENERATE_H

#include <jansson.h>

#include "bench/generate.h"

// Kept from one request to the next; all zero at first.
struct qm_worker_generator {
    struct qm_generator *generator;
    const struct qm_network *network; // that it is of
};

// `params` is of the request's scheme, `scheme` its name. A request for another scheme than the last one's lets its passes go.
QM_MUST_USE enum qm_status qm_worker_generate(struct qm_worker_generator *kept,
                                              const struct qm_generator_params *params, const char *scheme,
                                              const json_t *request, json_t *answer);
QM_MUST_USE enum qm_status qm_worker_likelihood(struct qm_worker_generator *kept,
                                                const struct qm_generator_params *params, const json_t *request,
                                                json_t *answer);
void qm_worker_generator_close(struct qm_worker_generator *kept);

#endif
