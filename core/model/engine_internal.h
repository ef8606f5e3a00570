// Shared by engine.c (kernels, memory, upload) and pass.c (programs).
#ifndef QM_MODEL_ENGINE_INTERNAL_H
#define QM_MODEL_ENGINE_INTERNAL_H

#include "model/engine.h"

#include "kernel/kernels.h"
#include "kernel_arguments.h"

enum {
    QM_ENGINE_KERNELS_MAX = 64,
    QM_NETWORK_VARIANTS_MAX = 24
};

struct qm_engine {
    struct qm_engine_params params;
    struct {
        const struct qm_kernel_variant *variant;
        struct qm_kernel *kernel;
    } kernels[QM_ENGINE_KERNELS_MAX]; // compiled so far
    size_t kernel_count;

    struct qm_buffer *step, *tokens, *rope_table;
    // Scratch of params.rows rows.
    struct qm_buffer *x, *normed, *codes, *scales, *q, *k, *v, *attended, *projected, *gate, *up, *gated;
    struct qm_buffer *logits, *log_probabilities, *argmaxes, *checksums;
};

struct qm_network_weight {
    struct qm_buffer *buffer;
    uint64_t bytes;
    uint32_t rows, columns, scale_offset_words;
    float activation_scale; // static schemes
};

struct qm_network {
    struct qm_engine *engine;
    struct qm_scheme scheme;
    size_t weight_count; // as in the artifact, qm_weight_index
    struct qm_network_weight *weights;
    struct qm_buffer **caches;                           // one per layer: K codes, K scales, V codes, V scales
    uint64_t cache_bytes;                                // of one layer
    uint32_t k_base, k_scale_base, v_base, v_scale_base; // in words
    char variant_names[QM_NETWORK_VARIANTS_MAX][40];
    const char *variants[QM_NETWORK_VARIANTS_MAX + 1];
};

// The kernel for a variant's name under the engine's tile, compiled on first use.
QM_MUST_USE enum qm_status qm_engine_kernel(struct qm_engine *engine, const char *name,
                                            const struct qm_kernel_variant **variant, struct qm_kernel **kernel);

#endif
