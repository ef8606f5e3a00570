#include "bench/clock_probe.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/kernels.h"
#include "sys/host.h"

enum {
    TRIPS = 60000, // below the 65,535 at which some drivers end loops
    INPUTS = 19,   // of kernels/selftest.h, whose loop this is
    OUTPUTS = 16,
    INVOCATIONS = 32,
    REPEATS_MAX = 256,
    TARGET_NS = 2000000
};

// The same loop in C, for the reference backend, which is the processor and has no such kernel.
static uint32_t loop_on_host(void)
{
    volatile uint32_t seed = 12345; // so that no compiler answers in advance
    uint32_t state = seed, trips = 0;
    for (int repeat = 0; repeat < 10; ++repeat) {
        trips = 0;
        for (uint32_t i = 0; i < TRIPS; ++i) {
            state = state * 1664525u + 1013904223u;
            trips += 1u + (state == 0x5eed5eedu ? seed : 0u);
        }
    }
    return trips;
}

struct qm_clock_probe {
    bool is_host;
    struct qm_device *device;
    struct qm_buffer *inputs, *outputs, *step;
    struct qm_kernel *kernel;
    struct qm_program *program;
    uint32_t repeats;
};

void qm_clock_probe_destroy(struct qm_clock_probe **probe)
{
    struct qm_clock_probe *p = *probe;
    if (!p)
        return;
    p->device->fns->program_destroy(p->device, &p->program);
    p->device->fns->kernel_destroy(p->device, &p->kernel);
    p->device->fns->buffer_destroy(p->device, &p->inputs);
    p->device->fns->buffer_destroy(p->device, &p->outputs);
    p->device->fns->buffer_destroy(p->device, &p->step);
    free(p);
    *probe = NULL;
}

static enum qm_status run_once(struct qm_clock_probe *p, uint64_t *ns)
{
    struct qm_run_policy policy = {.repeats_per_submission = p->repeats};
    struct qm_timing timing = {0};
    QM_TRY(p->device->fns->run(p->device, p->program, p->repeats, &policy, &timing));
    *ns = timing.wall_ns;
    return QM_OK;
}

enum qm_status qm_clock_probe_run(struct qm_clock_probe *probe, uint64_t *ns)
{
    uint32_t trips = 0;
    *ns = UINT64_MAX;
    for (int i = 0; i < 3; ++i) {
        uint64_t one = qm_clock_ns();
        if (probe->is_host) {
            trips = loop_on_host();
            one = qm_clock_ns() - one;
        } else {
            QM_TRY(run_once(probe, &one));
        }
        *ns = one < *ns ? one : *ns;
    }
    if (!probe->is_host)
        QM_TRY(probe->device->fns->buffer_read(probe->device, probe->outputs, 0, &trips, sizeof(trips)));
    if (trips != TRIPS)
        return QM_FAIL(QM_WRONG_RESULT, "the clock probe's loop of %d trips ran %u", TRIPS, trips);
    return QM_OK;
}

static enum qm_status create(struct qm_clock_probe *p)
{
    struct qm_device *device = p->device;
    uint32_t inputs[INPUTS] = {[0] = TRIPS, [7] = 0x3f800000u, [8] = 0x3f800000u, [9] = 0x3f800000u, [17] = 12345};
    uint64_t ns = 0;
    QM_TRY(device->fns->kernel_create(device, qm_kernel_find("selftest", "narrow"), &p->kernel));
    QM_TRY(device->fns->buffer_create(device, sizeof(inputs), &p->inputs));
    QM_TRY(device->fns->buffer_create(device, INVOCATIONS * OUTPUTS * sizeof(uint32_t), &p->outputs));
    QM_TRY(device->fns->buffer_create(device, QM_STEP_WORDS * sizeof(uint32_t), &p->step));
    QM_TRY(device->fns->buffer_write(device, p->inputs, 0, inputs, sizeof(inputs)));
    struct qm_dispatch dispatch = {
        .kernel = p->kernel,
        .bindings = {{p->inputs, 0, sizeof(inputs)}, {p->outputs, 0, INVOCATIONS * OUTPUTS * sizeof(uint32_t)}},
        .parameters = {INVOCATIONS},
        .groups = {1, 1, 1}};
    struct qm_program_params params = {&dispatch, 1, p->step};
    QM_TRY(device->fns->program_create(device, &params, &p->program));
    p->repeats = 1;
    QM_TRY(qm_clock_probe_run(p, &ns));
    uint64_t repeats = TARGET_NS / (ns ? ns : 1) + 1;
    p->repeats = repeats > REPEATS_MAX ? REPEATS_MAX : (uint32_t)repeats;
    return QM_OK;
}

enum qm_status qm_clock_probe_create(struct qm_device *device, struct qm_clock_probe **out)
{
    *out = NULL;
    struct qm_clock_probe *probe = calloc(1, sizeof(*probe));
    if (!probe)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the clock probe");
    probe->device = device;
    probe->is_host = strcmp(device->info->api, "reference") == 0;
    enum qm_status status = probe->is_host ? QM_OK : create(probe);
    if (status != QM_OK)
        qm_clock_probe_destroy(&probe);
    *out = probe;
    return status;
}
