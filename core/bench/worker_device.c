#include "bench/worker_device.h"

#include "sys/host.h"

static struct qm_device_fns watched, plain;
static struct qm_compile_time compile_time;
static double delay_share;

static enum qm_status timed_kernel_create(struct qm_device *device, const struct qm_kernel_variant *variant,
                                          struct qm_kernel **out)
{
    uint64_t begin_ns = qm_clock_ns();
    enum qm_status status = plain.kernel_create(device, variant, out);
    compile_time.ns += qm_clock_ns() - begin_ns;
    ++compile_time.kernels;
    return status;
}

// Waits without giving the processor away, as slow code would.
static enum qm_status delayed_run(struct qm_device *device, struct qm_program *program, uint32_t repeats,
                                  const struct qm_run_policy *policy, struct qm_timing *timing)
{
    uint64_t begin_ns = qm_clock_ns();
    enum qm_status status = plain.run(device, program, repeats, policy, timing);
    uint64_t took_ns = qm_clock_ns() - begin_ns, wait_ns = (uint64_t)((double)took_ns * delay_share);
    while (qm_clock_ns() - begin_ns < took_ns + wait_ns) {
    }
    timing->wall_ns += wait_ns;
    for (uint32_t i = 0; i < repeats && timing->repeat_wall_ns; ++i)
        timing->repeat_wall_ns[i] += wait_ns / repeats;
    return status;
}

void qm_worker_device_watch(struct qm_device *device, double delay)
{
    plain = watched = *device->fns;
    watched.kernel_create = timed_kernel_create;
    delay_share = delay;
    if (delay > 0)
        watched.run = delayed_run;
    device->fns = &watched;
}

void qm_worker_device_compile_time(struct qm_compile_time *out)
{
    *out = compile_time;
}
