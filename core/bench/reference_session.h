// A worker that runs the fp32 model on a device, window by window, for the reference (reference_device.h).
#ifndef QM_BENCH_REFERENCE_SESSION_H
#define QM_BENCH_REFERENCE_SESSION_H

#include "bench/client_answers.h"
#include "bench/devices.h"
#include "bench/reference.h"

struct qm_reference_session;

struct qm_reference_session_params {
    const struct qm_reference_params *reference; // its on_device, cache and progress; must stay
    const struct qm_device_entry *device;
    const struct qm_evaluation *evaluation; // whose windows are run; NULL: none are, and the next three say what is
    uint32_t rows, positions, sequences;    // most tokens of a pass, positions of a sequence, sequences side by side
    const char *artifact_path;              // of f32
};

// Opens the device, checks it by the self-test and uploads the model. QM_OUT_OF_MEMORY with the bytes where it is too large, and
// QM_UNSUPPORTED where the device lacks what it takes; QM_WRONG_RESULT where the self-test says so.
QM_MUST_USE enum qm_status qm_reference_session_open(const struct qm_reference_session_params *params,
                                                     struct qm_reference_session **out);
// Runs the first `tokens` of a window. *logits: [tokens][vocabulary], mapped, valid until the next call; their checksum is the
// one that the device gave.
QM_MUST_USE enum qm_status qm_reference_session_run(struct qm_reference_session *session, uint32_t window,
                                                    uint32_t tokens, const float **logits);
// Progress, with which the worker's signs of life go on.
void qm_reference_session_tell(struct qm_reference_session *session, const char *what, double fraction);
// For generation and likelihoods (client_answers.h), valid as long as the session.
struct qm_client_scheme qm_reference_session_scheme(const struct qm_reference_session *session);
void qm_reference_session_close(struct qm_reference_session **session); // NULL is allowed

// Whether the model in f32 fits what the device's driver says that it has; QM_OUT_OF_MEMORY with the bytes else. Before anything is
// written or opened.
QM_MUST_USE enum qm_status qm_reference_session_check_memory(const struct qm_reference_session_params *params);

#endif
