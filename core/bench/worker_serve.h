// The worker's verbs `requests` and `serve` (worker.h): JSON around server.h.
#ifndef QM_BENCH_WORKER_SERVE_H
#define QM_BENCH_WORKER_SERVE_H

#include <jansson.h>

#include "bench/server.h"

// Kept from one request to the next; all zero at first.
struct qm_worker_server {
    struct qm_request *requests;
    uint32_t *stream, *begins;
    struct qm_server_params params; // points into the above; the network is the server's
    struct qm_server *server;
};

QM_MUST_USE enum qm_status qm_worker_requests(struct qm_worker_server *kept, const json_t *request);
// `params` has engine, network and limits, `hooks` the clock; `scheme` is the network's. Another scheme than the last one
// lets its passes go.
QM_MUST_USE enum qm_status qm_worker_serve(struct qm_worker_server *kept, const struct qm_server_params *params,
                                           const struct qm_server_hooks *hooks, const char *scheme,
                                           const json_t *request, json_t *answer);
void qm_worker_server_close(struct qm_worker_server *kept);

#endif
