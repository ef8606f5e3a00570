// The live gate: one device with two environments (two builds of its driver, say), each in a worker of its own, whose
// passes take turns in blocks A B B A or B A A B, so that heat and other work hit both alike.
#ifndef QM_BENCH_GATE_LIVE_H
#define QM_BENCH_GATE_LIVE_H

#include "bench/device_run.h"
#include "score/gate_rows.h"

struct qm_gate_live_params {
    struct qm_device_run_params sides[2]; // A and B: device, environment, scratch path of each; the same `prepared`
    bool measures_again;                  // doubtful rows are measured a second time
};

// Times of both sides, for tests: what the rows are made of.
struct qm_gate_live {
    struct qm_device_run *runs[2]; // owned; NULL where a side could not be opened
    struct qm_gate_report *report; // the caller's: rows of speed are added
};

// Opens both sides, verifies and scores each, then times every scheme and point of the profile in turns until the interval
// is narrow enough or the profile's gate.seconds are over. Rows of speed go into `out->report`; what else is judged is
// in the runs. Not QM_OK only where nothing could be measured at all; the runs are there as far as they came.
QM_MUST_USE enum qm_status qm_gate_live_run(const struct qm_gate_live_params *params, struct qm_gate_live *out);
void qm_gate_live_free(struct qm_gate_live *live);

// ---- The measurement alone, for whatever gives times ---------------------------------------------------------------

struct qm_gate_source {
    void *context;
    // One pass of side 0 or 1; `block` is the number of the block of four that it belongs to. Its time in ns.
    enum qm_status (*pass)(void *context, unsigned side, size_t block, double *ns);
    uint64_t (*now_ns)(void *context);
};

// Blocks of four passes until the standard error is that of qm_gate_target_error or `seconds` are over; which side
// begins a block is drawn from `seed`. `logs` (room for `capacity` blocks) may hold `*count` already and is added to.
QM_MUST_USE enum qm_status qm_gate_measure(const struct qm_gate_source *source, const struct qm_gate_params *params,
                                           double seconds, uint64_t seed, double *logs, size_t capacity, size_t *count);

#endif
