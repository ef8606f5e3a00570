// Tuning one kernel on one device: the search of tune_search.h, with candidates that are checked before they are timed.
//
// A candidate is made at every item (shape) and checked there as a sweep checks a row (kernel_problem.h): one that is wrong
// or does not compile is out. It is timed in turns with the best so far, in pairs of short samples, first one and then the
// other way round; a pair's ratio is the geometric mean over the items.
#ifndef QM_BENCH_TUNE_H
#define QM_BENCH_TUNE_H

#include "bench/kernel_problem.h"
#include "bench/tune_search.h"

enum {
    QM_TUNE_ITEMS_MAX = 4,
    QM_TUNE_PAIRS = 5,        // of a candidate
    QM_TUNE_PAIRS_FINAL = 21, // of the best against the fixed configuration
};

struct qm_tune_params {
    struct qm_device *device;                 // not owned
    const struct qm_capability *capabilities; // as the self-test left them; not owned
    size_t capability_count;
    uint64_t seed;
    const struct qm_kernel_item *items; // of one kernel's name, tier and tile, without settings
    size_t item_count;                  // 1 .. QM_TUNE_ITEMS_MAX
    uint64_t limit_ns;                  // when no further candidate is begun; 0: no limit
    // Every candidate, and what came of it; may be NULL.
    void (*tell)(void *context, const char *candidate, const struct qm_tune_trial *trial, const char *reason);
    void *context;
};

// What was tuned: the table's variant, and what was found for it.
struct qm_tuned_kernel {
    const struct qm_kernel_variant *right;
    char kernel_hash[QM_HASH_TEXT_BYTES]; // of `right`: body and fixed definitions
    struct qm_tune_found found;
};

// QM_UNSUPPORTED where the device cannot run the fixed configuration, QM_WRONG_RESULT where that is wrong; QM_INVALID where
// nothing of the kernel can be set.
QM_MUST_USE enum qm_status qm_tune_kernel(const struct qm_tune_params *params, struct qm_tuned_kernel *out);

#endif
