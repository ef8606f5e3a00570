// What a scheme takes on a device, from configuration and scheme alone: the plan that networks are made by (engine.c), asked
// before there is a device, an artifact or memory.
#ifndef QM_MODEL_NEED_H
#define QM_MODEL_NEED_H

#include "model/engine.h"

// A layer's part of the KV cache, in words: K codes, K scales, V codes, V scales, then positions that are kept in binary16.
struct qm_cache_plan {
    uint64_t k_base, k_scale_base, v_base, v_scale_base, k_exact_base, v_exact_base;
    uint32_t exact_length; // positions below it are kept in binary16 besides their codes; 0: none
    // What a sequence takes of each of the six; its part begins at base + sequence * that.
    uint64_t codes_each, k_scales_each, v_scales_each, exact_each;
    uint64_t words;      // of all
    uint64_t kept_words; // what a cache that is never moved back needs of them (struct qm_network_memory)
};

// `sequences` times config->context positions.
void qm_cache_plan(const struct qm_model_config *config, const struct qm_scheme *scheme, uint32_t sequences,
                   struct qm_cache_plan *out);
bool qm_cache_has_key_blocks(
    const struct qm_scheme *scheme); // keys are quantized in blocks of tokens, as KIVI has them

struct qm_need {
    uint64_t weight_bytes;  // with their scales, as laid out on a device
    uint64_t cache_bytes;   // of all layers
    uint64_t scratch_bytes; // what passes compute in, tokens and rotary table
    // The least that one binding must hold, weights being cut into parts, and of what: a weight's name or "the KV cache of a
    // layer".
    uint64_t binding_bytes;
    char binding_of[QM_WEIGHT_NAME_BYTES];
};

// For an engine of these parameters, not widened, whose `device` and `tile` are not looked at. What fails is that the scheme
// cannot be made of this model: the text says why.
QM_MUST_USE enum qm_status qm_need_find(const struct qm_engine_params *params, const struct qm_scheme *scheme,
                                        struct qm_need *out);

#endif
