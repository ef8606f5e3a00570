// The oracle: every kernel in plain C with double accumulators, written from the formulas that head kernels/*.h, not
// from their bodies. Deterministic on every machine: no libm but the correctly rounded sqrt, no contraction, a partition
// that does not show in the result.
#ifndef QM_BACKENDS_REFERENCE_ORACLE_H
#define QM_BACKENDS_REFERENCE_ORACLE_H

#include "backends/backend.h"

// One dispatch. Buffers are host memory at the bindings' offsets; parameters in the kernel's order.
struct qm_oracle_call {
    const struct qm_kernel_variant *variant;
    void *buffers[QM_MAX_BINDINGS];
    uint64_t sizes[QM_MAX_BINDINGS];
    const uint32_t *parameters;
    const uint32_t *step; // position, sequence, slot
};

typedef enum qm_status (*qm_oracle_function)(const struct qm_oracle_call *call);

// The function for a kernel's name ("matmul"); NULL if there is none.
qm_oracle_function qm_oracle_find(const char *kernel);

enum qm_status qm_oracle_product(const struct qm_oracle_call *call); // matmul and matvec
enum qm_status qm_oracle_dequantize(const struct qm_oracle_call *call);
enum qm_status qm_oracle_attention(const struct qm_oracle_call *call);
enum qm_status qm_oracle_kv_write(const struct qm_oracle_call *call);

// Whether a variant is defined with `name`, as in qm_oracle_has(v, "QM_WEIGHT_W8").
bool qm_oracle_has(const struct qm_kernel_variant *variant, const char *name);

// A device in host memory whose dispatches `execute` carries out; the reference backend and the tests' C target are
// both made of it. `info` must live as long as the device.
enum qm_status qm_host_device_open(const struct qm_device_info *info,
                                   enum qm_status (*execute)(const struct qm_oracle_call *call,
                                                             const uint32_t groups[3]),
                                   struct qm_device **out);

#endif
