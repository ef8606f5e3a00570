// A worker that runs the fp32 model on a device, window by window, for the reference (reference_device.h).
#ifndef QM_BENCH_REFERENCE_SESSION_H
#define QM_BENCH_REFERENCE_SESSION_H

#include "bench/devices.h"
#include "bench/reference.h"

struct qm_reference_session;

struct qm_reference_session_params {
    const struct qm_reference_params *reference; // its on_device, cache and progress; must stay
    const struct qm_device_entry *device;
    const struct qm_evaluation *evaluation;
    const char *artifact_path; // of f32
};

// Opens the device, checks it by the self-test and uploads the model. QM_OUT_OF_MEMORY with the bytes where it is too large, and
// QM_UNSUPPORTED where the device lacks what it takes; QM_WRONG_RESULT where the self-test says so.
QM_MUST_USE enum qm_status qm_reference_session_open(const struct qm_reference_session_params *params,
                                                     struct qm_reference_session **out);
// Runs a window. *logits: [window_tokens][vocabulary], mapped, valid until the next call; their checksum is the one that
// the device gave.
QM_MUST_USE enum qm_status qm_reference_session_run(struct qm_reference_session *session, uint32_t window,
                                                    const float **logits);
void qm_reference_session_close(struct qm_reference_session **session); // NULL is allowed

// Bytes that the f32 model takes on a device for windows of so many tokens; QM_INVALID or another status where it cannot be made.
QM_MUST_USE enum qm_status qm_reference_session_bytes(const struct qm_model_config *config, uint32_t window_tokens,
                                                      uint64_t *bytes);

#endif
