// The parent's side of a worker (worker.h): starts it, asks, waits, and turns its answers into statuses.
#ifndef QM_BENCH_CLIENT_H
#define QM_BENCH_CLIENT_H

#include <jansson.h>

#include "base/status.h"

#include <stdint.h>

struct qm_client;

// Starts a worker: this program again, with the hidden verb `worker`.
QM_MUST_USE enum qm_status qm_client_start(const char *const *environment, struct qm_client **out);

// Sends `request` (taken, as json_pack gives it) and waits for the answer, which the caller releases with json_decref.
// An answer that is not ok gives its status and text, and no answer. A worker that ended gives QM_DEVICE_LOST, one that
// is silent for `timeout_s` QM_TIMEOUT; both are final for this client. QM_FAILED "interrupted" after Ctrl-C.
QM_MUST_USE enum qm_status qm_client_ask(struct qm_client *client, double timeout_s, json_t *request, json_t **answer);

// Whether the worker still answers.
int qm_client_is_alive(const struct qm_client *client);

// Asks it to quit and ends it. NULL is fine.
void qm_client_end(struct qm_client **client);

#endif
