// The sizes of layers of models that people run, for kernels alone: no model is read.
#ifndef QM_BENCH_KERNEL_SHAPES_H
#define QM_BENCH_KERNEL_SHAPES_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

// As in each model's config.json: hidden_size, intermediate_size, num_attention_heads, num_key_value_heads, head_dim,
// vocab_size.
struct qm_known_model {
    const char *name;  // "8b"
    const char *title; // "Llama 3.1 8B"
    uint32_t hidden, intermediate, heads, kv_heads, head, vocabulary;
};

extern const struct qm_known_model qm_known_models[];
extern const size_t qm_known_model_count;
const struct qm_known_model *qm_known_model_find(const char *name); // NULL: none is called so

// Outputs and inputs of a linear weight: "q" (o is the same, turned round, and as large), "kv", "up" (and gate), "down",
// "head". NULL ends the list of names.
extern const char *const qm_known_layers[];
void qm_known_layer(const struct qm_known_model *model, const char *layer, uint32_t *n, uint32_t *k);

// "512x4096x14336". QM_INVALID unless it is three whole numbers from 1 to 2^24 with x between, and below 2^36 weights.
QM_MUST_USE enum qm_status qm_shape_parse(const char *text, uint32_t *rows, uint32_t *n, uint32_t *k);

#endif
