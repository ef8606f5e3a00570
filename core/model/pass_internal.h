// A pass as pass.c builds it and pass_run.c runs it.
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

#endif
