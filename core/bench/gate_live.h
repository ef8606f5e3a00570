// The live gate: one device with two environments (two builds of its driver, say), each in a worker of its own, whose
// passes take turns in blocks A B B A or B A A B, so that heat and other work hit both alike. Both are opened several times, now
// A first and now B (score/gate.h says why).
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

// Opens both sides, verifies and scores each, then times every scheme and point of the profile in turns, for an even share of
// the profile's gate.seconds. The same again, gate.openings times in all, without what was verified and scored. It does not
// end before: an end that looks at how far parts differ would come where they differ too little by chance. Rows of speed go
// into `out->report`; what else is judged is in the runs of the first time. A scheme that fails later on has its reason in
// its rows of speed. Not QM_OK only where nothing could be measured at all; the runs are there as far as they came.
QM_MUST_USE enum qm_status qm_gate_live_run(const struct qm_gate_live_params *params, struct qm_gate_live *out);
void qm_gate_live_free(struct qm_gate_live *live);

// ---- The measurement alone, for whatever gives times ---------------------------------------------------------------

struct qm_gate_source {
    void *context;
    // One pass of side 0 or 1; `block` is the number of the block of four that it belongs to. Its time in ns.
    enum qm_status (*pass)(void *context, unsigned side, size_t block, double *ns);
    uint64_t (*now_ns)(void *context);
};

// One part: blocks of four passes until `seconds` are over, two blocks at least; which side begins a block is drawn from
// `seed`. out->b_first is the caller's.
QM_MUST_USE enum qm_status qm_gate_measure(const struct qm_gate_source *source, double seconds, uint64_t seed,
                                           struct qm_gate_part *out);

#endif
