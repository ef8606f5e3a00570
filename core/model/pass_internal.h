// A pass as pass.c and pass_attention.c build it and pass_run.c runs it.
#ifndef QM_MODEL_PASS_INTERNAL_H
#define QM_MODEL_PASS_INTERNAL_H

#include "model/engine_internal.h"

// Rows of floats in a buffer: where the first begins, and how far apart they are.
struct qm_rows {
    struct qm_buffer *buffer;
    uint32_t from, stride;
};

// Where the input of linear weights, or what goes into the cache, stands before dispatch `before`.
struct qm_tap {
    size_t before;
    struct qm_rows rows;
    uint32_t width;
    uint32_t layer;
    bool is_cached; // `cached` says what it is, else `input`
    enum qm_input input;
    enum qm_cached cached;
};

// Taps of a layer: its inputs, its keys and its values.
enum {
    QM_TAPS_PER_LAYER = 4 + QM_CACHED_COUNT
};

struct qm_pass {
    struct qm_network *network;
    struct qm_pass_params params;
    uint32_t rows;
    bool keeps_inputs; // every input of a product is written as floats, for taps
    struct qm_dispatch *dispatches;
    size_t count, capacity;
    struct qm_tap *taps;
    size_t tap_count;
    struct qm_program *program;
    // While it is built: what the products to come read, and as what it lies in the engine's `codes`.
    struct {
        struct qm_rows values;
        const struct qm_network_weight *converted_for; // NULL: not converted yet
    } input;
};

// A pass that is built and not recorded: with taps, at which its inputs stand as floats. NULL where it fails.
QM_MUST_USE enum qm_status qm_pass_build(struct qm_network *network, const struct qm_pass_params *params,
                                         bool keeps_inputs, struct qm_pass **out);

static inline struct qm_binding qm_whole(struct qm_buffer *buffer, uint64_t words)
{
    return (struct qm_binding){buffer, 0, words * 4};
}

static inline uint64_t qm_rows_of(const struct qm_pass *pass, uint32_t width)
{
    return (uint64_t)pass->rows * width;
}

static inline struct qm_rows qm_side_by_side(struct qm_buffer *buffer, uint32_t width)
{
    return (struct qm_rows){buffer, 0, width};
}

// Rows that lie side by side.
static inline struct qm_binding qm_window(struct qm_rows rows, uint64_t words)
{
    return (struct qm_binding){rows.buffer, 4 * (uint64_t)rows.from, words * 4};
}

// Where in a buffer a second array can begin, behind `words`: at an offset that every driver takes.
static inline uint32_t qm_behind(uint64_t words)
{
    return (uint32_t)((words + QM_PART_ROWS - 1) / QM_PART_ROWS * QM_PART_ROWS);
}

static inline const struct qm_network_weight *qm_weight_of(const struct qm_network *network, enum qm_role role,
                                                           uint32_t layer)
{
    return &network->weights[qm_weight_index(&network->engine->config, role, layer)];
}

// Adds a dispatch of a variant. `parameters` is the kernel's structure, all words.
QM_MUST_USE enum qm_status qm_pass_add(struct qm_pass *pass, const char *name, const void *parameters,
                                       const struct qm_binding *bindings);
// Where the input of products, or what went into a cache, stands now: a calibration point.
void qm_pass_add_tap(struct qm_pass *pass, struct qm_rows rows, uint32_t width, uint32_t layer, struct qm_tap what);
// The product of the input and a weight at `to`, rows as far apart as it has outputs, or added to what is there.
QM_MUST_USE enum qm_status qm_pass_add_product(struct qm_pass *pass, const struct qm_network_weight *weight,
                                               struct qm_rows to, bool is_added);
QM_MUST_USE enum qm_status qm_pass_add_bias(struct qm_pass *pass, const struct qm_network_weight *bias,
                                            struct qm_rows values);
// From the input of q, k and v to e->attended (pass_attention.c).
QM_MUST_USE enum qm_status qm_pass_add_attention(struct qm_pass *pass, uint32_t layer);

#endif
