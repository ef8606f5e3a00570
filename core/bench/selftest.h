// Whether a device keeps to what the kernels rely on, before anything is timed on it: rounding, the bits of qmark's own
// functions, the capabilities that its driver advertises, the length of loops, and its clock.
//
// The answers come from kernels/selftest.h, whose inputs lie in a buffer, so that no compiler can know them.
#ifndef QM_BENCH_SELFTEST_H
#define QM_BENCH_SELFTEST_H

#include "backends/backend.h"
#include "record/node.h"

#define QM_SELFTEST_TRIPS 70000u // more than some drivers run a loop for

struct qm_selftest {
    // QM_OK, or QM_WRONG_RESULT with the first thing that is wrong. A capability that does not work is not wrong, for no
    // kernel of the base tier needs one; neither are short loops and flushed subnormals, which are notes.
    enum qm_status status;
    char reason[256];
    // As the driver lists them, with tried, works and a detail filled in where there is a test.
    struct qm_capability capabilities[QM_MAX_CAPABILITIES];
    uint32_t capability_count;
    uint32_t loop_trips;   // of QM_SELFTEST_TRIPS; 0: not tried
    bool rounds_to_even;   // sums of floats, at ties
    bool keeps_subnormals; // products below 2^-126
    bool functions_equal;  // exp, log, reciprocal, inverse root, binary16 and rounding, to the bit
    // Device timestamps against the host's clock.
    bool has_clock;
    uint64_t clock_span_ns; // of the host's clock, at least 100 ms
    double clock_ratio;     // device time by host time
    double clock_error;     // |clock_ratio - 1|
    double clock_period_ns; // of one tick, as the host's clock sees it; 0 where the driver tells none
    char timer[160];        // the same in words
    char notes[4][192];
    uint32_t note_count;
};

// Takes about 0.2 s and the compilation of up to four small kernels. Fails only where the device does (QM_DEVICE_LOST,
// QM_OUT_OF_MEMORY, ...); what it found is in `out`.
QM_MUST_USE enum qm_status qm_selftest_run(struct qm_device *device, struct qm_selftest *out);

// `status` (ok, wrong), `reason` where it is not ok, `capabilities` (a text each), `loop_trips`, `rounding`,
// `subnormals`, `functions`, `timer`, `notes`. The caller destroys it; NULL without memory.
QM_MUST_USE struct qm_node *qm_selftest_node(const struct qm_selftest *selftest);

// "not advertised", "advertised, works: 4 signed bytes", "advertised, fails: ...", "advertised, not tried".
void qm_capability_text(const struct qm_capability *capability, char text[192]);

// Inputs 6 to 12 of set `index` and the words that come out of them, the same on every device; for the tests. False
// beyond the last set.
bool qm_selftest_set(size_t index, uint32_t inputs[7], uint32_t outputs[7]);

#endif
