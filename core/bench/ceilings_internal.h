// What the files that measure ceilings share; see ceilings.h.
#ifndef QM_BENCH_CEILINGS_INTERNAL_H
#define QM_BENCH_CEILINGS_INTERNAL_H

#include "bench/ceilings.h"

enum {
    QM_CEILING_ROUNDS_LEAST = 3,
    QM_CEILING_ROUNDS_MOST = 48
};

struct qm_ceilings_work {
    struct qm_device *device;
    struct qm_ceilings *out;
    struct qm_buffer *step;
    uint64_t budget_ns, max_bytes;
    uint32_t trips;
    size_t done; // kinds
    const struct qm_ceilings_params *params;
};

// One candidate: a kernel and the dispatch of it that is timed.
struct qm_ceiling_probe {
    const struct qm_kernel_variant *variant;
    struct qm_kernel *kernel;
    struct qm_program *program;
    struct qm_dispatch dispatch;
    double work;             // operations or bytes of the dispatch
    double last_ns, best_ns; // of the dispatch as it is recorded; best_ns 0: not timed
    bool device_time;
    uint32_t samples;
    bool is_out; // cannot be had, or too slow to go on with
};

// Compiles probe->variant, or a wrong stand-in where a test planted one (kernel/kernels.h).
QM_MUST_USE enum qm_status qm_ceiling_probe_create(struct qm_ceilings_work *work,
                                                   const struct qm_kernel_variant *variant,
                                                   struct qm_ceiling_probe *probe);
void qm_ceiling_probe_destroy(struct qm_ceilings_work *work, struct qm_ceiling_probe *probe);
// Records the dispatch anew, as it is now: parameters, groups and bindings are the caller's. Earlier times are forgotten.
QM_MUST_USE enum qm_status qm_ceiling_probe_record(struct qm_ceilings_work *work, struct qm_ceiling_probe *probe);
// Runs it once and keeps the time.
QM_MUST_USE enum qm_status qm_ceiling_probe_sample(struct qm_ceilings_work *work, struct qm_ceiling_probe *probe);

// Whether it is what a device with that tile runs of the kernel.
bool qm_ceiling_suits(const struct qm_kernel_variant *variant, const char *tile);

// How long a sample of one of `candidates` should be at least, with `share` of the budget for all.
double qm_ceiling_sample_ns(const struct qm_ceilings_work *work, double share, size_t candidates);
// Whether round number `round` of a kind that began at `began_ns` is still to be run.
bool qm_ceiling_goes_on(const struct qm_ceilings_work *work, double share, uint64_t began_ns, uint32_t round);
// Whether the kind is asked for, which is told.
bool qm_ceiling_begins(struct qm_ceilings_work *work, enum qm_ceiling_kind kind);

// Keeps status and error text as the answer; returns QM_OK unless the device is gone.
QM_MUST_USE enum qm_status qm_ceiling_answer(struct qm_ceiling *ceiling, enum qm_status status);
// Takes the probe's rate if it is the best so far.
void qm_ceiling_offer(struct qm_ceiling *ceiling, const struct qm_ceiling_probe *probe, double rate);

QM_MUST_USE enum qm_status qm_ceilings_arithmetic(struct qm_ceilings_work *work);
QM_MUST_USE enum qm_status qm_ceilings_memory(struct qm_ceilings_work *work);

#endif
