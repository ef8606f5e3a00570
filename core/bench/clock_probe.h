// A fixed amount of arithmetic whose time tells the processor's clock where no sensor does: chains of integer
// multiply-adds, each waiting for the one before, in one workgroup. It reads no memory to speak of, so that it slows down
// with the clock and with nothing else but other work on the same units.
#ifndef QM_BENCH_CLOCK_PROBE_H
#define QM_BENCH_CLOCK_PROBE_H

#include "backends/backend.h"

struct qm_clock_probe;

// Sizes the probe once, by measurement, to some 2 ms. The caller destroys it before the device.
QM_MUST_USE enum qm_status qm_clock_probe_create(struct qm_device *device, struct qm_clock_probe **out);
void qm_clock_probe_destroy(struct qm_clock_probe **probe);

// The shortest of three runs by the host's clock, in nanoseconds. QM_WRONG_RESULT where the loop did not run its trips.
QM_MUST_USE enum qm_status qm_clock_probe_run(struct qm_clock_probe *probe, uint64_t *ns);

#endif
