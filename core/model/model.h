// The float model: a Hugging Face directory with config.json and weights (weights.h), as floats in memory.
//
// One architecture: LlamaForCausalLM (RMSNorm, rotary embedding by rotate_half, grouped-query attention, SwiGLU). What
// config.json may say beyond it and would change the function (rope_scaling, biases, another hidden_act, a quantization
// of its own) is refused by name, never ignored.
#ifndef QM_MODEL_MODEL_H
#define QM_MODEL_MODEL_H

#include "base/hash.h"
#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QM_HEAD_DIM 64 // the only one that the kernels know

// The keys of config.json, under shorter names.
struct qm_model_config {
    uint32_t hidden;       // hidden_size, a multiple of 32
    uint32_t intermediate; // intermediate_size, a multiple of 32
    uint32_t layers;       // num_hidden_layers
    uint32_t heads;        // num_attention_heads; heads * head_dim need not be `hidden`
    uint32_t kv_heads;     // num_key_value_heads, a divisor of `heads`; `heads` if absent
    uint32_t head_dim;     // head_dim, else hidden / heads; 64
    uint32_t vocabulary;   // vocab_size
    uint32_t context;      // max_position_embeddings; 2048 if absent
    float norm_epsilon;    // rms_norm_eps; 1e-6 if absent
    double rope_theta;     // rope_theta (or rope_parameters.rope_theta); 10000 if absent
    bool tied_head;        // tie_word_embeddings: the head has the embedding's values
};

// What a weight is for. Linear weights are [rows = outputs][columns = inputs], as Hugging Face has them.
enum qm_role {
    QM_ROLE_EMBEDDING = 0, // model.embed_tokens [vocabulary][hidden]
    QM_ROLE_INPUT_NORM,    // model.layers.L.input_layernorm [hidden], as [1][hidden]
    QM_ROLE_Q,             // model.layers.L.self_attn.q_proj [heads * head_dim][hidden]
    QM_ROLE_K,             // model.layers.L.self_attn.k_proj [kv_heads * head_dim][hidden]
    QM_ROLE_V,             // model.layers.L.self_attn.v_proj [kv_heads * head_dim][hidden]
    QM_ROLE_O,             // model.layers.L.self_attn.o_proj [hidden][heads * head_dim]
    QM_ROLE_POST_NORM,     // model.layers.L.post_attention_layernorm [hidden]
    QM_ROLE_GATE,          // model.layers.L.mlp.gate_proj [intermediate][hidden]
    QM_ROLE_UP,            // model.layers.L.mlp.up_proj [intermediate][hidden]
    QM_ROLE_DOWN,          // model.layers.L.mlp.down_proj [hidden][intermediate]
    QM_ROLE_FINAL_NORM,    // model.norm [hidden]
    QM_ROLE_HEAD,          // lm_head [vocabulary][hidden]
    QM_ROLE_COUNT,
};

#define QM_WEIGHT_NAME_BYTES 80

const char *qm_role_name(enum qm_role role); // "embedding", "q", "gate", ...
bool qm_role_is_linear(enum qm_role role);   // q, k, v, o, gate, up, down, head: what gets a scheme's weight format
bool qm_role_is_norm(enum qm_role role);
bool qm_role_is_per_layer(enum qm_role role);
// The name without ".weight": "model.layers.3.self_attn.q_proj". `layer` is ignored for roles that have none.
void qm_role_weight_name(enum qm_role role, uint32_t layer, char name[QM_WEIGHT_NAME_BYTES]);
void qm_role_shape(const struct qm_model_config *config, enum qm_role role, uint32_t *rows, uint32_t *columns);

// The order of weights in models and artifacts: embedding; for each layer input norm, q, k, v, o, post norm, gate, up,
// down; final norm; head. qm_weight_count(config) of them. qm_weight_index gives the position of one.
size_t qm_weight_count(const struct qm_model_config *config);
size_t qm_weight_index(const struct qm_model_config *config, enum qm_role role, uint32_t layer);
void qm_weight_at(const struct qm_model_config *config, size_t index, enum qm_role *role, uint32_t *layer);

// Checks what the kernels need and that nothing overflows. QM_UNSUPPORTED or QM_INVALID, "FILE: 'key' is ...; ...".
QM_MUST_USE enum qm_status qm_model_config_check(const struct qm_model_config *config, const char *file);

// The configuration with the residual stream, heads and intermediate values repeated r times; r at least 1. QM_INVALID where
// that is more than the kernels count.
QM_MUST_USE enum qm_status qm_model_config_widen(const struct qm_model_config *config, uint32_t r,
                                                 struct qm_model_config *out);

// Values of all weights as they lie on a device, a tied head counted like any other; and of those in products alone.
uint64_t qm_model_config_weights(const struct qm_model_config *config);
uint64_t qm_model_config_linear_weights(const struct qm_model_config *config);

// The configuration as JSON text with sorted keys, Hugging Face's names and no white space: the same text for equal
// configurations on every machine; part of an artifact's identity. And back, checked.
#define QM_MODEL_CONFIG_TEXT_BYTES 512
void qm_model_config_text(const struct qm_model_config *config, char text[QM_MODEL_CONFIG_TEXT_BYTES]);
QM_MUST_USE enum qm_status qm_model_config_parse(const void *bytes, size_t count, const char *file,
                                                 struct qm_model_config *out);

struct qm_model_tensor {
    char name[QM_WEIGHT_NAME_BYTES]; // without ".weight"
    enum qm_role role;
    uint32_t layer; // 0 for roles that have none
    uint32_t rows, columns;
    const float *values; // row-major, all finite
};

struct qm_model {
    struct qm_model_config config;
    char sha256[QM_HASH_TEXT_BYTES]; // of the weights' files followed by config.json, as qm_weights_hash has them
    const char *variant; // what was done to the values since, for the disclosure; NULL: nothing. Static text
    uint64_t parameters; // values in the file that count; a tied head counts once
    size_t tensor_count; // qm_weight_count(&config)
    struct qm_model_tensor *tensors; // in the order above; a tied head has its own entry, with the embedding's values
    float *values;                   // what the entries point into
};

// Loads a directory. Weights may be F32, F16 or BF16 and become floats exactly. QM_INVALID with the file's name and the
// key or tensor, for a missing or surplus tensor, a wrong shape and a value that is not finite (tensor and index named);
// QM_UNSUPPORTED for another architecture or what the kernels cannot do. The caller destroys it.
QM_MUST_USE enum qm_status qm_model_load(const char *directory, struct qm_model **out);
void qm_model_destroy(struct qm_model **model);

// A copy with values of its own, which may be changed (qm_model_values). A tied head is no longer tied in it: it has its
// own values, config.tied_head is false and `parameters` counts them. Hash and variant are the original's; whoever
// changes values sets them. The caller destroys it.
QM_MUST_USE enum qm_status qm_model_copy(const struct qm_model *model, struct qm_model **out);
// The weight's values in a model of the caller's own, to change them: rows * columns floats, row-major.
float *qm_model_values(struct qm_model *model, enum qm_role role, uint32_t layer);

// The weight of a role; `layer` is ignored for roles that have none. Never NULL for layer < config.layers.
const struct qm_model_tensor *qm_model_weight(const struct qm_model *model, enum qm_role role, uint32_t layer);

#endif
