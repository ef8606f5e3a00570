// The parent's side of a worker (worker.h): starts it, asks, waits, and turns its answers into statuses.
#ifndef QM_BENCH_CLIENT_H
#define QM_BENCH_CLIENT_H

#include <jansson.h>

#include "base/status.h"

#include <stdint.h>

struct qm_client;

// Starts a worker: this program again, with the hidden verb `worker`.
QM_MUST_USE enum qm_status qm_client_start(const char *const *environment, struct qm_client **out);

// The longest that a worker may be on one and the same thing. QM_WORKER_TIMEOUT_S is for tests of a driver that hangs.
double qm_client_timeout_s(void);

// Sends `request` (taken, as json_pack gives it) and waits for the answer, which the caller releases with json_decref.
// An answer that is not ok gives its status and text, and no answer. These are final for this client, and the worker is
// killed:
//   QM_DEVICE_LOST  the worker ended, or said that its device is lost (qm_client_lost_device)
//   QM_TIMEOUT      it said for `timeout_s` that it works on one and the same thing, or nothing at all for 15 s
//                   (`timeout_s` where that is less); the text says on what it was
//   QM_FAILED       what it wrote cannot be read, or answers nothing that was asked
//   QM_INTERRUPTED  after Ctrl-C
QM_MUST_USE enum qm_status qm_client_ask(struct qm_client *client, double timeout_s, json_t *request, json_t **answer);

// Called with what the worker works on, each second while an answer is waited for.
void qm_client_on_sign(struct qm_client *client, void (*on_sign)(void *context, const char *at), void *context);

// Whether the worker itself said that its device is lost, which a new worker may survive.
int qm_client_lost_device(const struct qm_client *client);

// Whether the worker still answers.
int qm_client_is_alive(const struct qm_client *client);

// Asks it to quit and ends it. NULL is fine.
void qm_client_end(struct qm_client **client);

#endif
