#include "model/architecture.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>

#define BIT(role) (1u << QM_ROLE_##role)
#define DECODER                                                                                                        \
    (BIT(EMBEDDING) | BIT(INPUT_NORM) | BIT(Q) | BIT(K) | BIT(V) | BIT(O) | BIT(POST_NORM) | BIT(GATE) | BIT(UP) |     \
     BIT(DOWN) | BIT(FINAL_NORM) | BIT(HEAD))

#define NORMS_BEHIND (BIT(ATTENTION_NORM) | BIT(MLP_NORM))
#define HEAD_NORMS (BIT(Q_NORM) | BIT(K_NORM))
#define ALL_BIASES                                                                                                     \
    (BIT(Q_BIAS) | BIT(K_BIAS) | BIT(V_BIAS) | BIT(O_BIAS) | BIT(UP_BIAS) | BIT(DOWN_BIAS) | BIT(INPUT_NORM_BIAS) |    \
     BIT(POST_NORM_BIAS) | BIT(FINAL_NORM_BIAS))
// What is no key of an architecture's config.json.
#define NO_CAPS .usual_score_cap = -1, .usual_logit_cap = -1

#define LAYER "model.layers.#."
static const struct qm_weight_source phi3[] = {
    {QM_ROLE_Q, LAYER "self_attn.qkv_proj.weight", false}, {QM_ROLE_K, LAYER "self_attn.qkv_proj.weight", false},
    {QM_ROLE_V, LAYER "self_attn.qkv_proj.weight", false}, {QM_ROLE_GATE, LAYER "mlp.gate_up_proj.weight", false},
    {QM_ROLE_UP, LAYER "mlp.gate_up_proj.weight", false},  {0}};
static const struct qm_weight_source olmo2[] = {
    {QM_ROLE_ATTENTION_NORM, LAYER "post_attention_layernorm.weight", false},
    {QM_ROLE_MLP_NORM, LAYER "post_feedforward_layernorm.weight", false},
    {0}};
static const struct qm_weight_source gemma2[] = {
    {QM_ROLE_ATTENTION_NORM, LAYER "post_attention_layernorm.weight", false},
    {QM_ROLE_POST_NORM, LAYER "pre_feedforward_layernorm.weight", false},
    {QM_ROLE_MLP_NORM, LAYER "post_feedforward_layernorm.weight", false},
    {0}};
static const struct qm_weight_source gpt2[] = {{QM_ROLE_EMBEDDING, "wte.weight", false},
                                               {QM_ROLE_POSITIONS, "wpe.weight", false},
                                               {QM_ROLE_INPUT_NORM, "h.#.ln_1.weight", false},
                                               {QM_ROLE_INPUT_NORM_BIAS, "h.#.ln_1.bias", false},
                                               {QM_ROLE_Q, "h.#.attn.c_attn.weight", true},
                                               {QM_ROLE_K, "h.#.attn.c_attn.weight", true},
                                               {QM_ROLE_V, "h.#.attn.c_attn.weight", true},
                                               {QM_ROLE_Q_BIAS, "h.#.attn.c_attn.bias", false},
                                               {QM_ROLE_K_BIAS, "h.#.attn.c_attn.bias", false},
                                               {QM_ROLE_V_BIAS, "h.#.attn.c_attn.bias", false},
                                               {QM_ROLE_O, "h.#.attn.c_proj.weight", true},
                                               {QM_ROLE_O_BIAS, "h.#.attn.c_proj.bias", false},
                                               {QM_ROLE_POST_NORM, "h.#.ln_2.weight", false},
                                               {QM_ROLE_POST_NORM_BIAS, "h.#.ln_2.bias", false},
                                               {QM_ROLE_UP, "h.#.mlp.c_fc.weight", true},
                                               {QM_ROLE_UP_BIAS, "h.#.mlp.c_fc.bias", false},
                                               {QM_ROLE_DOWN, "h.#.mlp.c_proj.weight", true},
                                               {QM_ROLE_DOWN_BIAS, "h.#.mlp.c_proj.bias", false},
                                               {QM_ROLE_FINAL_NORM, "ln_f.weight", false},
                                               {QM_ROLE_FINAL_NORM_BIAS, "ln_f.bias", false},
                                               {0}};
static const struct qm_weight_source starcoder2[] = {{QM_ROLE_UP, LAYER "mlp.c_fc.weight", false},
                                                     {QM_ROLE_UP_BIAS, LAYER "mlp.c_fc.bias", false},
                                                     {QM_ROLE_DOWN, LAYER "mlp.c_proj.weight", false},
                                                     {QM_ROLE_DOWN_BIAS, LAYER "mlp.c_proj.bias", false},
                                                     {0}};

// What is absent from a config.json has the value that its class in Hugging Face's transformers gives it (4.46; of Gemma 3,
// 4.50).
static const struct qm_architecture_info architectures[QM_ARCHITECTURE_COUNT] = {
    [QM_ARCHITECTURE_LLAMA] = {.name = "LlamaForCausalLM",
                               .title = "Llama",
                               .roles = DECODER,
                               .mlp_key = "hidden_act",
                               .usual_context = 2048,
                               .usual_epsilon = 1e-6,
                               .usual_theta = 10000,
                               NO_CAPS},
    [QM_ARCHITECTURE_MISTRAL] = {.name = "MistralForCausalLM",
                                 .title = "Mistral",
                                 .roles = DECODER,
                                 .mlp_key = "hidden_act",
                                 .usual_kv_heads = 8,
                                 .usual_context = 131072,
                                 .usual_window = 4096,
                                 .usual_epsilon = 1e-6,
                                 .usual_theta = 10000,
                                 NO_CAPS,
                                 .has_window = true},
    [QM_ARCHITECTURE_QWEN2] = {.name = "Qwen2ForCausalLM",
                               .title = "Qwen2",
                               .roles = DECODER | BIT(Q_BIAS) | BIT(K_BIAS) | BIT(V_BIAS),
                               .mlp_key = "hidden_act",
                               .usual_kv_heads = 32,
                               .usual_context = 32768,
                               .usual_window = 4096,
                               .usual_epsilon = 1e-6,
                               .usual_theta = 10000,
                               NO_CAPS,
                               .has_window = true,
                               .window_switch = "use_sliding_window"},
    [QM_ARCHITECTURE_QWEN3] = {.name = "Qwen3ForCausalLM",
                               .title = "Qwen3",
                               .roles = DECODER | HEAD_NORMS,
                               .mlp_key = "hidden_act",
                               .usual_kv_heads = 32,
                               .usual_head_dim = 128,
                               .usual_context = 32768,
                               .usual_window = 4096,
                               .usual_epsilon = 1e-6,
                               .usual_theta = 10000,
                               NO_CAPS,
                               .has_window = true,
                               .window_switch = "use_sliding_window"},
    [QM_ARCHITECTURE_PHI3] = {.name = "Phi3ForCausalLM",
                              .title = "Phi-3",
                              .roles = DECODER,
                              .sources = phi3,
                              .mlp_key = "hidden_act",
                              .usual_context = 4096,
                              .usual_epsilon = 1e-5,
                              .usual_theta = 10000,
                              NO_CAPS,
                              .has_window = true},
    [QM_ARCHITECTURE_OLMO2] = {.name = "Olmo2ForCausalLM",
                               .title = "OLMo 2",
                               .roles = (DECODER & ~(BIT(INPUT_NORM) | BIT(POST_NORM))) | NORMS_BEHIND | HEAD_NORMS,
                               .has_wide_head_norm = true,
                               .sources = olmo2,
                               .mlp_key = "hidden_act",
                               .usual_context = 2048,
                               .usual_epsilon = 1e-5,
                               .usual_theta = 10000,
                               NO_CAPS},
    [QM_ARCHITECTURE_GEMMA] = {.name = "GemmaForCausalLM",
                               .title = "Gemma",
                               .roles = DECODER,
                               .scales_embedding = true,
                               .adds_one = true,
                               .mlp = QM_MLP_GELU,
                               .mlp_key = "hidden_activation",
                               .usual_kv_heads = 16,
                               .usual_head_dim = 256,
                               .usual_context = 8192,
                               .usual_epsilon = 1e-6,
                               .usual_theta = 10000,
                               NO_CAPS,
                               .usual_tied = true},
    [QM_ARCHITECTURE_GEMMA2] = {.name = "Gemma2ForCausalLM",
                                .title = "Gemma 2",
                                .roles = DECODER | NORMS_BEHIND,
                                .scales_embedding = true,
                                .adds_one = true,
                                .mlp = QM_MLP_GELU,
                                .sources = gemma2,
                                .mlp_key = "hidden_activation",
                                .usual_kv_heads = 4,
                                .usual_head_dim = 256,
                                .usual_context = 8192,
                                .usual_window = 4096,
                                .usual_window_every = 2,
                                .usual_epsilon = 1e-6,
                                .usual_theta = 10000,
                                .usual_score_cap = 50,
                                .usual_logit_cap = 30,
                                .usual_score_width = 256,
                                .usual_tied = true,
                                .has_window = true},
    [QM_ARCHITECTURE_GEMMA3] = {.name = "Gemma3ForCausalLM",
                                .title = "Gemma 3",
                                .roles = DECODER | NORMS_BEHIND | HEAD_NORMS,
                                .scales_embedding = true,
                                .adds_one = true,
                                .mlp = QM_MLP_GELU,
                                .sources = gemma2,
                                .mlp_key = "hidden_activation",
                                .usual_kv_heads = 4,
                                .usual_head_dim = 256,
                                .usual_context = 131072,
                                .usual_window = 4096,
                                .usual_window_every = 6,
                                .usual_epsilon = 1e-6,
                                .usual_theta = 1e6,
                                .usual_local_theta = 10000,
                                .usual_score_width = 256,
                                .usual_tied = true,
                                .has_window = true},
    [QM_ARCHITECTURE_GPT2] = {.name = "GPT2LMHeadModel",
                              .title = "GPT-2",
                              .roles = (DECODER & ~BIT(GATE)) | BIT(POSITIONS) | ALL_BIASES,
                              .has_layer_norm = true,
                              .has_no_rotary = true,
                              .mlp = QM_MLP_GELU,
                              .sources = gpt2,
                              .prefix = "transformer.",
                              .surplus = ".attn.bias", // the causal mask
                              .surplus_too = ".attn.masked_bias",
                              .mlp_key = "activation_function",
                              .usual_inner = 4,
                              .usual_context = 1024,
                              .usual_epsilon = 1e-5,
                              .usual_theta = 10000,
                              NO_CAPS,
                              .usual_tied = true},
    [QM_ARCHITECTURE_STARCODER2] = {.name = "Starcoder2ForCausalLM",
                                    .title = "StarCoder2",
                                    .roles = (DECODER & ~BIT(GATE)) | ALL_BIASES,
                                    .has_layer_norm = true,
                                    .mlp = QM_MLP_GELU,
                                    .sources = starcoder2,
                                    .mlp_key = "hidden_act",
                                    .usual_kv_heads = 2,
                                    .usual_context = 4096,
                                    .usual_epsilon = 1e-5,
                                    .usual_theta = 10000,
                                    NO_CAPS,
                                    .usual_tied = true,
                                    .has_window = true},
};

const struct qm_architecture_info *qm_architecture_info(enum qm_architecture architecture)
{
    return &architectures[architecture];
}

bool qm_architecture_has(enum qm_architecture architecture, enum qm_role role)
{
    return role < QM_ROLE_COUNT && (architectures[architecture].roles >> role & 1) != 0;
}

enum qm_status qm_architecture_find(const char *name, const char *file, enum qm_architecture *out)
{
    char known[512] = "";
    size_t used = 0;
    for (int i = 0; i < QM_ARCHITECTURE_COUNT; ++i) {
        if (strcmp(name, architectures[i].name) == 0) {
            *out = (enum qm_architecture)i;
            return QM_OK;
        }
        used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s",
                                 i == 0                           ? ""
                                 : i + 1 == QM_ARCHITECTURE_COUNT ? " and "
                                                                  : ", ",
                                 architectures[i].name);
    }
    char clean[80];
    snprintf(clean, sizeof(clean), "%s", name);
    qm_text_clean(clean);
    return QM_FAIL(QM_UNSUPPORTED, "%s: 'architectures' is %s; %s can be run, use such a model", file, clean, known);
}
