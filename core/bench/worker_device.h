// What a worker puts between itself and its device's function table: it counts the time that kernels take to compile, and,
// for tests, delays every run by a share of its time.
#ifndef QM_BENCH_WORKER_DEVICE_H
#define QM_BENCH_WORKER_DEVICE_H

#include "backends/backend.h"

struct qm_compile_time {
    uint64_t ns;
    uint32_t kernels;
};

// From here on kernels of the device are timed as they are created. One device per process. `delay` is the share of its
// wall time that every run is held back by, 0 for none.
void qm_worker_device_watch(struct qm_device *device, double delay);
void qm_worker_device_compile_time(struct qm_compile_time *out);

#endif
