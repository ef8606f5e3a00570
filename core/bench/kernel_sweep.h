// A sweep of kernels alone over devices (`qmark kernels`): runs the rows of a plan on each device, in a worker of its own,
// and puts what came of it into a tree. docs/KERNEL_SWEEP.md has its keys.
//
// The devices of all APIs take turns: a row is made and checked on each, then timed in QM_SWEEP_ROUNDS rounds, there and
// back, so that what disturbs the machine for a while disturbs all of them. A worker that crashes, hangs or loses its device
// costs its own row, and a new one goes on with the next.
#ifndef QM_BENCH_KERNEL_SWEEP_H
#define QM_BENCH_KERNEL_SWEEP_H

#include "base/status.h"
#include "bench/devices.h"
#include "bench/kernel_plan.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct qm_node;

enum {
    QM_SWEEP_ROUNDS = 5,
    QM_SWEEP_SAMPLES_MAX = 60, // of a row
    QM_SWEEP_RESTARTS_MAX = 8, // of a device's worker
};
#define QM_SWEEP_LABEL "kernel only: no model accuracy"

struct qm_kernel_sweep_params {
    const struct qm_kernel_plan *plan;
    const struct qm_kernel_plan_item *items;
    size_t item_count;
    const struct qm_device_list *devices;
    const char *cache_dir;       // of compiled kernels; NULL: none
    uint64_t ceilings_budget_ns; // of each device; 0: they are not measured, and there are no shares
    void (*progress)(void *context, const char *what, double fraction);
    void *progress_context;
};

// What the rows came to, for the exit code.
struct qm_kernel_sweep_tally {
    size_t ok, wrong, failed, unsupported, not_run;
    bool is_interrupted;
};

// *out is the tree, with a row of every item on every device, whatever happened to it; the caller destroys it. Fails only
// without memory.
QM_MUST_USE enum qm_status qm_kernel_sweep_run(const struct qm_kernel_sweep_params *params, struct qm_node **out,
                                               struct qm_kernel_sweep_tally *tally);

// What follows from the samples of a row: median_ns, p5_ns, p95_ns, rates, and the share of the ceiling that its bound_ns
// is. Public for tests; the row has samples_ns, operations and bytes.
struct qm_kernel_summary {
    double median_ns, p5_ns, p95_ns;
};
void qm_kernel_summarize(const double *samples, size_t count, struct qm_kernel_summary *out);

#endif
