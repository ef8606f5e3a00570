// The third target of the kernels: the same bodies, compiled as C, so that sanitizers see what they touch.
#ifndef QM_TEST_NATIVE_H
#define QM_TEST_NATIVE_H

#include "backends/reference/oracle.h"

struct qm_native_call {
    const void *const *buffers;
    const uint32_t *parameters;
    const uint32_t *step;
    const uint32_t *groups;
};

struct qm_native_kernel {
    const char *name; // the variant's
    void (*function)(const struct qm_native_call *call);
};

extern const struct qm_native_kernel qm_native_kernels[];
extern const size_t qm_native_kernel_count;

// A device that runs the C target. Every binding is copied to memory of exactly its size before a dispatch and back
// after it, so that AddressSanitizer sees the first byte out of bounds.
enum qm_status qm_native_device_open(struct qm_device **out);

#endif
