// The widest model that a device holds: asked of the device, by allocating it.
#ifndef QM_BENCH_FIT_H
#define QM_BENCH_FIT_H

#include "model/engine.h"

// What the device's self-test found, and what is asked for.
struct qm_fit_tiers {
    const struct qm_capability *capabilities;
    size_t count;
    const char *wanted; // "best", or a tier's name: see qm_tier_find
};

struct qm_fit_params {
    struct qm_engine_params engine; // `widen`, `tile` and `is_trial` are not looked at
    struct qm_fit_tiers tiers;
    const struct qm_scheme *schemes;
    struct qm_artifact *const *artifacts; // of each scheme
    size_t scheme_count;
    const struct qm_pass_params *passes; // that each scheme will run
    size_t pass_count;
    uint32_t most; // the widest to try, a power of two
};

enum {
    QM_FIT_REASON_BYTES = 320
};

struct qm_width_fit {
    uint32_t widen;
    uint64_t bytes;                   // of all that was allocated
    char reason[QM_FIT_REASON_BYTES]; // why the model twice as wide does not fit; "" where it was not asked for
};

// The largest power of two for which scratch memory, the weights and caches of all schemes, the same schemes not widened, a
// weight of random codes and a sixteenth for all else fit at once, within the heap that the driver names, within
// bindings, and for which every pass can be recorded. Nothing is uploaded, and all is given back. QM_OUT_OF_MEMORY or QM_UNSUPPORTED where not even 1 fits; what else fails, fails.
QM_MUST_USE enum qm_status qm_fit_find(const struct qm_fit_params *params, struct qm_width_fit *out);

// The tile with its tiers for an engine of these parameters (qm_tiers_best, qm_tiers_force). QM_UNSUPPORTED where the device
// lacks the tier that is wanted.
QM_MUST_USE enum qm_status qm_fit_tile(const struct qm_engine_params *params, const struct qm_fit_tiers *tiers,
                                       const char **tile);

#endif
