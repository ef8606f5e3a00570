// What kernel_problem.c (data and timing) and kernel_problem_check.c share.
#ifndef QM_BENCH_KERNEL_PROBLEM_INTERNAL_H
#define QM_BENCH_KERNEL_PROBLEM_INTERNAL_H

#include "bench/kernel_cases.h"
#include "bench/kernel_check.h"
#include "bench/kernel_problem.h"
#include "bench/kernel_weights.h"
#include "kernel/kernels.h"

enum {
    QM_PROBLEM_KERNELS_MAX = 64, // that a bench keeps compiled
    QM_PROBLEM_BUFFERS = 2 * QM_PROBLEM_PARTS_MAX + QM_MAX_BINDINGS
};
#define QM_PROBLEM_GUARD_WORD 0x5e47195eu
#define QM_PROBLEM_FILL_WORD 0x7fc0a5a5u // of results, before anything is run: not a number

struct qm_kernel_bench {
    struct qm_kernel_bench_params params;
    struct {
        const struct qm_kernel_variant *variant;
        struct qm_kernel *kernel;
        uint64_t compile_ns;
        bool is_checked; // at a shape that fits no tile
    } kernels[QM_PROBLEM_KERNELS_MAX];
    size_t kernel_count;
};

// Rows [first, first + rows) of a weight.
struct qm_problem_part {
    uint32_t first, rows, scale_offset;
    uint64_t bytes;
    struct qm_buffer *weights;
    struct qm_buffer *result; // `dequantize`: of the part alone; else that of all parts, which part 0 owns
};

struct qm_kernel_problem {
    struct qm_kernel_bench *bench;
    struct qm_device *device;
    struct qm_kernel_item item;
    const struct qm_kernel_variant *right, *variant; // the table's, and what is run: another one where tests plant it
    const struct qm_kernel *kernel;
    uint64_t guard; // bytes before and behind every result

    // Products and dequantize.
    struct qm_kernel_weights weights;
    struct qm_problem_part parts[QM_PROBLEM_PARTS_MAX];
    uint32_t part_count;
    enum qm_case_activation activation;
    uint32_t activation_bits, activation_shift, activation_groups, weight_shift;
    uint32_t *activations, *activation_scales; // on the host
    double *activation_norms;                  // [rows], scales included
    struct qm_buffer *activation_buffer, *scale_buffer;
    uint32_t dispatch_rows;

    // All others.
    struct qm_kernel_case *c;
    struct qm_buffer *buffers[QM_MAX_BINDINGS];

    struct qm_buffer *step;
    struct qm_dispatch *dispatches; // of one run
    size_t dispatch_count;
    struct qm_program *program; // `batch` runs
    uint32_t batch;             // 0: it is not known how many make a sample
    double first_ns;            // of the run that was checked; 0: there was none
};

// `texel_bytes`: of the largest binding that would be read as texels. QM_UNSUPPORTED where the kernel has no such tile or tier,
// or the device's self-test did not see the tier work.
QM_MUST_USE enum qm_status qm_problem_choose(const struct qm_kernel_bench *bench, const struct qm_kernel_item *item,
                                             uint64_t texel_bytes, const struct qm_kernel_variant **out);

bool qm_problem_has_weights(const struct qm_kernel_problem *problem);
bool qm_problem_is_product(const struct qm_kernel_problem *problem);
// Buffers of `bytes` between two guards; results are filled with QM_PROBLEM_FILL_WORD.
QM_MUST_USE enum qm_status qm_problem_read(struct qm_kernel_problem *problem, struct qm_buffer *buffer,
                                           uint64_t offset_bytes, void *bytes, uint64_t size_bytes);

// Runs it once and fills what the row says of its correctness. Fails only where the device does, or without memory.
QM_MUST_USE enum qm_status qm_problem_check(struct qm_kernel_problem *problem, struct qm_kernel_row *row);

#endif
