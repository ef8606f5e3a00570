// One row of a sweep on a device: a kernel at a shape as large as real layers have, checked on a sample of its outputs and
// timed.
//
// Products and `dequantize` have weights of pieces (kernel_weights.h) and any size: where a weight is more than one binding
// holds it lies in parts, each a dispatch of its own, as a model's weight does. Checked are up to 8 rows times 8 panels of
// 16 outputs, corners and the borders of parts among them, each of K terms, against the reference backend, which sums in
// double from the decoded weights and the activations as they are stored; sums of int8 products must be equal to the bit,
// for all scales are powers of two. Every other output must have been written with a finite number and nothing around them.
// A shape that fits no tile is checked as a whole besides, with integers: there every term counts. Other kernels have the
// cases of kernel_check.h, and all of their outputs are checked; of `attention` where that would take too long some rows.
#ifndef QM_BENCH_KERNEL_PROBLEM_H
#define QM_BENCH_KERNEL_PROBLEM_H

#include "backends/backend.h"
#include "base/hash.h"
#include "base/status.h"
#include "bench/ceilings.h"
#include "kernel/configure.h"
#include "quant/scheme.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    QM_PROBLEM_PARTS_MAX = 64,
    QM_PROBLEM_NAME_BYTES = 32,
    QM_PROBLEM_TEXT_BYTES = 600,
};

// What is asked. A kernel takes what it needs, as in struct qm_case_shape.
struct qm_kernel_item {
    char name[QM_PROBLEM_NAME_BYTES]; // "matmul-w4-f16": the variant without its tile
    enum qm_weight_format weights;    // of those that the kernel decodes; QM_WEIGHT_FORMAT_COUNT: the table's first
    uint32_t rows, n, k, kv_heads, position;
    char tier[12];                    // "base", "texel", ...; "": the best that the device proved
    char tile[48];                    // "narrow", ...; "": that of the tier for the device
    char settings[QM_SETTINGS_BYTES]; // what is changed of its definitions (kernel/configure.h); "": nothing
};

// What it came to. Plain data.
struct qm_kernel_row {
    const struct qm_kernel_variant *variant; // NULL where none was found
    char shape[80];
    char format_title[QM_PROBLEM_NAME_BYTES]; // of the weights: "int4, 32"; "" without
    enum qm_status status;                    // QM_OK, QM_WRONG_RESULT, QM_UNSUPPORTED, ...
    char reason[QM_PROBLEM_TEXT_BYTES];
    // The output whose error is the largest part of its bound. Both 0 where everything was equal.
    double error, bound;
    bool is_exact;    // compared by its bits
    uint64_t checked; // outputs that were compared; all of them where it is `outputs`
    uint64_t outputs;
    double operations, bytes;                // of the formula; 0 operations where the rate is counted in bytes
    enum qm_ceiling_kind arithmetic, memory; // what bounds it
    uint32_t parts;                          // that the weight lies in
    uint32_t dispatch_rows; // rows of a dispatch, where they were split to keep to 200 ms a submission; else 0
    uint64_t weight_bytes;
    uint64_t compile_ns; // 0: it was compiled for another shape
    char kernel_hash[QM_HASH_TEXT_BYTES], binary_hash[QM_HASH_TEXT_BYTES];
    struct qm_kernel_statistics statistics;
};

struct qm_kernel_problem;
struct qm_kernel_bench; // a device, with what it compiled

struct qm_kernel_bench_params {
    struct qm_device *device;                 // not owned
    const struct qm_capability *capabilities; // as the self-test left them, not owned: tiers are of those that work
    size_t capability_count;
    uint64_t seed;
    uint64_t submission_ns; // a dispatch that takes longer is split by rows; 0: 200 ms, and never on a processor
};
QM_MUST_USE enum qm_status qm_kernel_bench_create(const struct qm_kernel_bench_params *params,
                                                  struct qm_kernel_bench **out);
void qm_kernel_bench_destroy(struct qm_kernel_bench **bench); // after its problems

// Chooses the variant, makes the data, compiles, runs and checks. QM_OK as soon as there is an answer, whatever it is
// (row->status): *out is NULL where that is not QM_OK. Else the device failed for good.
QM_MUST_USE enum qm_status qm_kernel_problem_create(struct qm_kernel_bench *bench, const struct qm_kernel_item *item,
                                                    struct qm_kernel_problem **out, struct qm_kernel_row *row);
// Times it for about `ns`, once at least and `most` times at most: samples[i] is one run of all its dispatches, in
// nanoseconds. The first call looks how many runs make a sample of 1 ms.
QM_MUST_USE enum qm_status qm_kernel_problem_time(struct qm_kernel_problem *problem, uint64_t ns, size_t most,
                                                  double *samples, size_t *count, uint32_t *batch, bool *device_time);
void qm_kernel_problem_destroy(struct qm_kernel_problem **problem);

#endif
