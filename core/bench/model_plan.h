// What a model will need: each scheme of a profile in the run that the profile describes, and whether a device has room for it,
// all of it before anything is made.
#ifndef QM_BENCH_MODEL_PLAN_H
#define QM_BENCH_MODEL_PLAN_H

#include "bench/devices.h"
#include "bench/profile.h"
#include "model/need.h"

struct qm_model_plan_scheme {
    enum qm_status status; // not QM_OK: the scheme cannot be made of this model, and `reason` says why
    char reason[320];
    struct qm_need need;    // in the profile's run
    double token_bytes;     // of the cache, for a token more
    uint64_t run_bytes;     // weights, cache and scratch
    double bits_per_weight; // of linear weights, as in the artifact
};

struct qm_model_plan {
    uint32_t window_tokens, sequences, rows;                     // that a run has on the device at one time
    uint32_t context;                                            // positions of each sequence
    struct qm_model_plan_scheme schemes[QM_PROFILE_SCHEMES_MAX]; // the profile's
    uint64_t all_bytes;                                          // all schemes side by side, as a run has them
};

// `requests` are those of the profile's deployment, or NULL.
void qm_model_plan_make(const struct qm_profile *profile, const struct qm_requests *requests,
                        const struct qm_model_config *config, struct qm_model_plan *out);

// What a device has for it: the heap that its driver names, of a device on the processor not more than the system has left. 0:
// unknown.
uint64_t qm_model_plan_room(const struct qm_device_entry *device);

enum qm_plan_fit {
    QM_PLAN_UNKNOWN,
    QM_PLAN_FITS,
    QM_PLAN_MEMORY,  // it has not so much memory
    QM_PLAN_BINDING, // one binding cannot hold the largest part
};
enum qm_plan_fit qm_model_plan_fit(const struct qm_model_plan_scheme *scheme, const struct qm_device_entry *device,
                                   uint64_t room);
// Tokens that a cache holds beside a scheme that fits.
uint64_t qm_model_plan_tokens(const struct qm_model_plan_scheme *scheme, uint64_t room);

#endif
