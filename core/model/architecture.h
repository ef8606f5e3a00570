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
    QM_ARCHITECTURE_MISTRAL,    // attention sees a window
    QM_ARCHITECTURE_QWEN2,      // q, k and v have biases; the upper layers may have a window
    QM_ARCHITECTURE_QWEN3,      // q and k go through RMSNorm, each head on its own
    QM_ARCHITECTURE_PHI3,       // Llama's, with q, k and v in one tensor of the file, and gate and up
    QM_ARCHITECTURE_OLMO2,      // norms behind attention and MLP in place of before; q and k normed over all heads
    QM_ARCHITECTURE_GEMMA,      // gains are added to 1, GELU, the embedding is scaled
    QM_ARCHITECTURE_GEMMA2,     // norms before and behind, capped scores and logits, every second layer has a window
    QM_ARCHITECTURE_GEMMA3,     // Gemma 2 with normed heads in place of caps, two rotary embeddings
    QM_ARCHITECTURE_GPT2,       // LayerNorm, learned positions, biases, an MLP without gate
    QM_ARCHITECTURE_STARCODER2, // the same with a rotary embedding, grouped queries and a window
    QM_ARCHITECTURE_COUNT,
};

// What a weight is for. Linear weights are [rows = outputs][columns = inputs], as Hugging Face has them; vectors are
// [1][values]. The order within a layer is that of models and artifacts. The names are Llama's, and here every
// architecture's; where its files have others, its row says which (struct qm_weight_source).
enum qm_role {
    QM_ROLE_EMBEDDING = 0,   // model.embed_tokens [vocabulary][hidden]
    QM_ROLE_POSITIONS,       // model.embed_positions [context][hidden], added to the embedding
    QM_ROLE_INPUT_NORM,      // model.layers.L.input_layernorm [hidden]
    QM_ROLE_Q,               // model.layers.L.self_attn.q_proj [heads * head_dim][hidden]
    QM_ROLE_K,               // model.layers.L.self_attn.k_proj [kv_heads * head_dim][hidden]
    QM_ROLE_V,               // model.layers.L.self_attn.v_proj [kv_heads * head_dim][hidden]
    QM_ROLE_O,               // model.layers.L.self_attn.o_proj [hidden][attention]
    QM_ROLE_POST_NORM,       // model.layers.L.post_attention_layernorm [hidden], of what the MLP reads
    QM_ROLE_GATE,            // model.layers.L.mlp.gate_proj [intermediate][hidden]
    QM_ROLE_UP,              // model.layers.L.mlp.up_proj [intermediate][hidden]
    QM_ROLE_DOWN,            // model.layers.L.mlp.down_proj [hidden][intermediate]
    QM_ROLE_Q_BIAS,          // model.layers.L.self_attn.q_proj.bias [heads * head_dim]
    QM_ROLE_K_BIAS,          // model.layers.L.self_attn.k_proj.bias [kv_heads * head_dim]
    QM_ROLE_V_BIAS,          // model.layers.L.self_attn.v_proj.bias [kv_heads * head_dim]
    QM_ROLE_Q_NORM,          // model.layers.L.self_attn.q_norm [head_dim], the same for every head, or of all heads
    QM_ROLE_K_NORM,          // model.layers.L.self_attn.k_norm [head_dim], likewise
    QM_ROLE_O_BIAS,          // model.layers.L.self_attn.o_proj.bias [hidden]
    QM_ROLE_UP_BIAS,         // model.layers.L.mlp.up_proj.bias [intermediate]
    QM_ROLE_DOWN_BIAS,       // model.layers.L.mlp.down_proj.bias [hidden]
    QM_ROLE_INPUT_NORM_BIAS, // model.layers.L.input_layernorm.bias [hidden]
    QM_ROLE_POST_NORM_BIAS,  // model.layers.L.post_attention_layernorm.bias [hidden]
    QM_ROLE_ATTENTION_NORM,  // model.layers.L.attention_output_layernorm [hidden], of what o gives
    QM_ROLE_MLP_NORM,        // model.layers.L.mlp_output_layernorm [hidden], of what down gives
    QM_ROLE_FINAL_NORM,      // model.norm [hidden]
    QM_ROLE_FINAL_NORM_BIAS, // model.norm.bias [hidden]
    QM_ROLE_HEAD,            // lm_head [vocabulary][hidden]
    QM_ROLE_COUNT,
};

// Where a weight lies in a file that has another name for it. Several in a row of the same tensor lie there one after the
// other, along its outputs.
struct qm_weight_source {
    enum qm_role role;
    const char *name;   // whole, with ".weight"; '#' stands for the layer
    bool is_transposed; // [inputs][outputs]
};

// What the MLP does to its inner values.
enum qm_mlp_function {
    QM_MLP_SILU = 0, // g / (1 + e^-g)
    QM_MLP_GELU, // g / 2 (1 + tanh(sqrt(2 / pi) (g + 0.044715 g^3))), which transformers calls gelu_pytorch_tanh, gelu_new
};

// A row: what a layer of the architecture has beside the roles, and what goes without saying in its config.json.
struct qm_architecture_info {
    const char *name;  // in `architectures` of config.json
    const char *title; // for people
    uint32_t roles;    // those it has, 1 << role; without a gate the MLP's function is of up

    bool has_layer_norm;     // LayerNorm (the mean is taken off, a bias added) in place of RMSNorm
    bool has_wide_head_norm; // q and k are normed over all heads at once
    bool has_no_rotary;      // positions are QM_ROLE_POSITIONS
    bool scales_embedding;   // by the float next to sqrt(hidden_size)
    bool adds_one;           // gains are 1 + the file's
    enum qm_mlp_function mlp;

    const struct qm_weight_source *sources; // ends with a name of NULL; NULL: all names are Llama's
    const char *prefix;                     // what the names of files may all begin with, and may not; NULL: nothing
    const char *surplus;                    // ending of tensors that are no weights, NULL: none
    const char *surplus_too;

    const char *mlp_key;     // where config.json names the MLP's function
    uint32_t usual_inner;    // intermediate_size where it is absent, in hidden_size; 0: it must be there
    uint32_t usual_kv_heads; // num_key_value_heads where it is absent; 0: num_attention_heads
    uint32_t usual_head_dim; // head_dim where it is absent; 0: hidden_size / num_attention_heads
    uint32_t usual_context;  // max_position_embeddings where it is absent
    uint32_t usual_window;   // sliding_window where it is absent; 0: none
    uint32_t
        usual_window_every;    // of so many layers the last one sees everything, unless config.json says more; 0: none
    double usual_epsilon;      // of norms
    double usual_theta;        // rope_theta
    double usual_local_theta;  // of layers with a window; 0: as the others
    double usual_score_cap;    // attn_logit_softcapping; below 0: there is no such key
    double usual_logit_cap;    // final_logit_softcapping; likewise
    double usual_score_width;  // query_pre_attn_scalar; 0: there is no such key, scores are divided by sqrt(head_dim)
    bool usual_tied;           // tie_word_embeddings where it is absent
    bool has_window;           // it reads sliding_window
    const char *window_switch; // the flag that must be true for it; NULL: none
};

const struct qm_architecture_info *qm_architecture_info(enum qm_architecture architecture);
bool qm_architecture_has(enum qm_architecture architecture, enum qm_role role);
// By its name in config.json. QM_UNSUPPORTED with those that can be run; `file` for the message.
QM_MUST_USE enum qm_status qm_architecture_find(const char *name, const char *file, enum qm_architecture *out);

#endif
