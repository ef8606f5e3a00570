#include "test/native/native.h"

#include <stdlib.h>
#include <string.h>

static struct qm_device_info native_info = {
    .api = "native",
    .id = "native",
    .name = "kernel bodies compiled as C",
    .driver = "the C compiler",
    .driver_name = "native",
    .type = QM_DEVICE_CPU,
    .max_binding_bytes = (uint64_t)1 << 40,
    .max_allocation_bytes = (uint64_t)1 << 40,
    .buffer_offset_alignment = 4,
    .max_workgroup_invocations = 1024,
    .max_parameter_bytes = 4 * QM_MAX_PARAMETERS,
    .max_groups = {UINT32_MAX, UINT32_MAX, UINT32_MAX},
};

static enum qm_status native_execute(const struct qm_oracle_call *call, const uint32_t groups[3])
{
    for (size_t i = 0; i < qm_native_kernel_count; ++i) {
        if (strcmp(qm_native_kernels[i].name, call->variant->name) != 0)
            continue;
        const void *copies[QM_MAX_BINDINGS] = {NULL};
        uint32_t *words[QM_MAX_BINDINGS] = {NULL};
        for (uint32_t b = 0; b < call->variant->binding_count; ++b) {
            words[b] = malloc(call->sizes[b]);
            if (!words[b])
                abort(); // a test's helper
            memcpy(words[b], call->buffers[b], call->sizes[b]);
            copies[b] = words[b];
        }
        struct qm_native_call native = {copies, call->parameters, call->step, groups};
        qm_native_kernels[i].function(&native);
        for (uint32_t b = 0; b < call->variant->binding_count; ++b) {
            memcpy(call->buffers[b], words[b], call->sizes[b]);
            free(words[b]);
        }
        return QM_OK;
    }
    return QM_FAIL(QM_UNSUPPORTED, "the C target has no variant %s", call->variant->name);
}

enum qm_status qm_native_device_open(struct qm_device **out)
{
    return qm_host_device_open(&native_info, native_execute, out);
}
