// Which models can be run: one row an architecture, and what a layer of it has.
#ifndef QM_MODEL_ARCHITECTURE_H
#define QM_MODEL_ARCHITECTURE_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct qm_model_config;

enum qm_architecture {
    QM_ARCHITECTURE_LLAMA = 0,
    QM_ARCHITECTURE_MISTRAL, // attention sees a window
    QM_ARCHITECTURE_QWEN2,   // q, k and v have biases; the upper layers may have a window
    QM_ARCHITECTURE_QWEN3,   // q and k go through RMSNorm, each head on its own
    QM_ARCHITECTURE_COUNT,
};

// What a weight is for. Linear weights are [rows = outputs][columns = inputs], as Hugging Face has them; vectors are
// [1][values]. The order within a layer is that of models and artifacts.
enum qm_role {
    QM_ROLE_EMBEDDING = 0, // model.embed_tokens [vocabulary][hidden]
    QM_ROLE_INPUT_NORM,    // model.layers.L.input_layernorm [hidden]
    QM_ROLE_Q,             // model.layers.L.self_attn.q_proj [heads * head_dim][hidden]
    QM_ROLE_K,             // model.layers.L.self_attn.k_proj [kv_heads * head_dim][hidden]
    QM_ROLE_V,             // model.layers.L.self_attn.v_proj [kv_heads * head_dim][hidden]
    QM_ROLE_O,             // model.layers.L.self_attn.o_proj [hidden][attention]
    QM_ROLE_POST_NORM,     // model.layers.L.post_attention_layernorm [hidden]
    QM_ROLE_GATE,          // model.layers.L.mlp.gate_proj [intermediate][hidden]
    QM_ROLE_UP,            // model.layers.L.mlp.up_proj [intermediate][hidden]
    QM_ROLE_DOWN,          // model.layers.L.mlp.down_proj [hidden][intermediate]
    QM_ROLE_Q_BIAS,        // model.layers.L.self_attn.q_proj.bias [heads * head_dim]
    QM_ROLE_K_BIAS,        // model.layers.L.self_attn.k_proj.bias [kv_heads * head_dim]
    QM_ROLE_V_BIAS,        // model.layers.L.self_attn.v_proj.bias [kv_heads * head_dim]
    QM_ROLE_Q_NORM,        // model.layers.L.self_attn.q_norm [head_dim], the same for every head
    QM_ROLE_K_NORM,        // model.layers.L.self_attn.k_norm [head_dim]
    QM_ROLE_FINAL_NORM,    // model.norm [hidden]
    QM_ROLE_HEAD,          // lm_head [vocabulary][hidden]
    QM_ROLE_COUNT,
};

struct qm_architecture_info {
    const char *name;          // in `architectures` of config.json
    const char *title;         // for people
    uint32_t roles;            // those it has, 1 << role
    uint32_t usual_kv_heads;   // num_key_value_heads where it is absent; 0: num_attention_heads
    uint32_t usual_head_dim;   // head_dim where it is absent; 0: hidden_size / num_attention_heads
    uint32_t usual_context;    // max_position_embeddings where it is absent
    uint32_t usual_window;     // sliding_window where it is absent; 0: none
    bool has_window;           // it reads sliding_window
    const char *window_switch; // the flag that must be true for it; NULL: none
};

const struct qm_architecture_info *qm_architecture_info(enum qm_architecture architecture);
bool qm_architecture_has(enum qm_architecture architecture, enum qm_role role);
// By its name in config.json. QM_UNSUPPORTED with those that can be run; `file` for the message.
QM_MUST_USE enum qm_status qm_architecture_find(const char *name, const char *file, enum qm_architecture *out);

#endif
