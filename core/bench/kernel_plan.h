// What a sweep of kernels runs: a profile of kernels, or what the command line says in its place, and the rows that follow.
//
// A profile is a YAML file, profiles/kernels/NAME.yaml or a path:
//   schema: 1   kind: kernels   name   title
//   models: [1b, 8b]          whose layers: 1b, 3b, 8b, 70b
//   layers: [q, kv, up, down] of their weights: q (and o, which is as large), kv (k and v), up (and gate), down, head
//   shapes: [512x4096x14336]  others: rows x outputs x inputs; dequantize leaves the rows out
//   rows: [1, 512]            of activations: tokens of a prompt, or sequences of a decode step
//   kernels: [matvec, matmul, dequantize, attention, ...]
//   formats: [w4-f16, w8a8]   of products: as variants of kernels have them, "-g64" behind for a group, or a scheme's name
//   kv: [f16, kv8]            of attention
//   tiers: [best]             best, or names of tiers     tiles: [] (those of the tier) or names
//   growth: {model: 1b, layer: up, rows: [1, 2, .. 512], sizes: [128, 256, .. 2048]}  sizes are cubes; model may be none
//   context: 1024             of attention
//   row_ms: 300               about how long a row is timed     seconds: 0   for all; 0: no limit
// All keys must be there.
//
// Of 2 to 8 rows both matvec and matmul are tried, of one matvec alone and of more matmul alone, unless only one of the two
// is among the kernels.
#ifndef QM_BENCH_KERNEL_PLAN_H
#define QM_BENCH_KERNEL_PLAN_H

#include "base/status.h"
#include "bench/kernel_problem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct qm_node;

enum {
    QM_KERNEL_PLAN_LIST_MAX = 32,
    QM_KERNEL_PLAN_WORD_BYTES = 48,
    QM_KERNEL_PLAN_ITEMS_MAX = 4096,
};

struct qm_kernel_words {
    char items[QM_KERNEL_PLAN_LIST_MAX][QM_KERNEL_PLAN_WORD_BYTES];
    size_t count;
};

struct qm_kernel_numbers {
    uint32_t items[QM_KERNEL_PLAN_LIST_MAX];
    size_t count;
};

// A format of products as it was named, and what that means.
struct qm_kernel_format {
    char name[QM_KERNEL_PLAN_WORD_BYTES];
    char parts[QM_KERNEL_PLAN_WORD_BYTES]; // "w4-f16": of the variants' names
    enum qm_weight_format weights;
};

struct qm_kernel_plan {
    char name[64], title[256];
    struct qm_kernel_words models, layers, kernels, kv, tiers, tiles;
    struct qm_kernel_format formats[QM_KERNEL_PLAN_LIST_MAX];
    size_t format_count;
    struct qm_kernel_shape {
        uint32_t rows, n, k;
    } shapes[QM_KERNEL_PLAN_LIST_MAX];
    size_t shape_count;
    struct qm_kernel_numbers rows, growth_rows, growth_sizes;
    struct qm_kernel_words growth_models, growth_layers; // one each, or none
    uint32_t context, row_ms;
    uint64_t seconds;
};

// QM_INVALID with "file:line: what is wrong; what would be right".
QM_MUST_USE enum qm_status qm_kernel_plan_load(const char *name_or_path, struct qm_kernel_plan *out);
QM_MUST_USE enum qm_status qm_kernel_plan_read(const struct qm_node *root, struct qm_kernel_plan *out);

// Puts the words of a list with commas between in place of those of a key. QM_INVALID names the option, `key`.
QM_MUST_USE enum qm_status qm_kernel_plan_set(struct qm_kernel_plan *plan, const char *key, const char *list);

// The plan as a profile, which qm_kernel_plan_read reads back; the caller destroys it. NULL without memory.
QM_MUST_USE struct qm_node *qm_kernel_plan_expand(const struct qm_kernel_plan *plan);

// A row to be.
struct qm_kernel_plan_item {
    struct qm_kernel_item item;
    char kernel[16], format[QM_KERNEL_PLAN_WORD_BYTES];
    char layer[64];  // "8b up"; "" for shapes of one's own
    char growth[64]; // rows that have the same text here are one curve: over rows, or over sizes; "" for none
};
// Every row once, in the order in which they are run. free() the list. QM_INVALID for a shape that a format does not take,
// and for a plan without a row.
QM_MUST_USE enum qm_status qm_kernel_plan_items(const struct qm_kernel_plan *plan, struct qm_kernel_plan_item **out,
                                                size_t *count);

#endif
