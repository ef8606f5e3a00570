// `qmark tune`: every kernel of a plan on every device, each kernel's search in a worker, what was found kept after each.
#ifndef QM_BENCH_TUNE_RUN_H
#define QM_BENCH_TUNE_RUN_H

#include "bench/devices.h"
#include "bench/kernel_plan.h"
#include "bench/tune_store.h"

struct qm_tune_run_params {
    const struct qm_kernel_plan_item *items;
    size_t item_count;
    const struct qm_device_list *devices;
    const char *store;     // the file
    const char *cache_dir; // of compiled kernels; NULL: none
    uint64_t seconds;      // of all; 0: no limit. A kernel takes its share of what is left
    bool is_anew;          // tune what the store has already, too
    void (*progress)(void *context, const char *what, double fraction);
    void *progress_context;
    // One kernel on one device is done: what it came to, whether the store had it already, and each candidate's line (NULL
    // where there are none). May be NULL.
    void (*tell)(void *context, const struct qm_device_entry *device, const struct qm_tuned_entry *entry, bool is_kept,
                 const char *const *candidates, size_t candidate_count);
    void *context;
};

struct qm_tune_tally {
    size_t faster, same, failed, kept, left; // left: for the time was up
    bool is_interrupted;
};

// Fails only where the store cannot be written, or without memory: what a kernel came to is told. A damaged store is told on
// stderr, and made anew.
QM_MUST_USE enum qm_status qm_tune_run(const struct qm_tune_run_params *params, struct qm_tune_tally *tally);

#endif
