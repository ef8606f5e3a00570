// One dispatch of a kernel over words that a test has.
#ifndef QM_TEST_ONE_KERNEL_H
#define QM_TEST_ONE_KERNEL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "backends/backend.h"
#include "kernel/kernels.h"

// A binding: its words before the dispatch, then after it.
struct one_binding {
    uint32_t *words;
    size_t count;
};

// Runs `compiled`, or what it compiles from `variant` where that is NULL. `step` may be NULL: zeros.
static inline enum qm_status run_one_kernel(struct qm_device *device, const struct qm_kernel_variant *variant,
                                            const struct qm_kernel *compiled, const uint32_t *parameters,
                                            const uint32_t *step_words,
                                            const struct one_binding bindings[QM_MAX_BINDINGS])
{
    const struct qm_device_fns *fns = device->fns;
    const struct qm_run_policy policy = {0, 1};
    struct qm_buffer *buffers[QM_MAX_BINDINGS] = {NULL}, *step = NULL;
    struct qm_dispatch dispatch = {0};
    struct qm_kernel *kernel = NULL;
    struct qm_program *program = NULL;
    struct qm_timing timing = {0};
    enum qm_status status;
    if (!compiled)
        QM_GUARD(fns->kernel_create(device, variant, &kernel));
    dispatch.kernel = compiled ? compiled : kernel;
    memcpy(dispatch.parameters, parameters, variant->parameter_count * sizeof(*parameters));
    qm_kernel_groups(variant, dispatch.parameters, dispatch.groups);
    for (uint32_t i = 0; i < variant->binding_count; ++i) {
        uint64_t bytes = (uint64_t)bindings[i].count * 4;
        QM_GUARD(fns->buffer_create(device, bytes, &buffers[i]));
        QM_GUARD(fns->buffer_write(device, buffers[i], 0, bindings[i].words, bytes));
        dispatch.bindings[i] = (struct qm_binding){buffers[i], 0, bytes};
    }
    QM_GUARD(fns->buffer_create(device, QM_STEP_WORDS * 4, &step));
    if (step_words)
        QM_GUARD(fns->buffer_write(device, step, 0, step_words, QM_STEP_WORDS * 4));
    QM_GUARD(fns->program_create(device, &(struct qm_program_params){&dispatch, 1, step}, &program));
    QM_GUARD(fns->run(device, program, 1, &policy, &timing));
    for (uint32_t i = 0; i < variant->binding_count; ++i)
        QM_GUARD(fns->buffer_read(device, buffers[i], 0, bindings[i].words, (uint64_t)bindings[i].count * 4));
done:
    fns->program_destroy(device, &program);
    fns->buffer_destroy(device, &step);
    for (uint32_t i = 0; i < QM_MAX_BINDINGS; ++i)
        fns->buffer_destroy(device, &buffers[i]);
    fns->kernel_destroy(device, &kernel);
    return status;
}

#endif
