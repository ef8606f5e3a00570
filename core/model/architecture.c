#include "model/architecture.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>

#define BIT(role) (1u << QM_ROLE_##role)
#define DECODER                                                                                                        \
    (BIT(EMBEDDING) | BIT(INPUT_NORM) | BIT(Q) | BIT(K) | BIT(V) | BIT(O) | BIT(POST_NORM) | BIT(GATE) | BIT(UP) |     \
     BIT(DOWN) | BIT(FINAL_NORM) | BIT(HEAD))

// What is absent from a config.json has the value that its class in Hugging Face's transformers (4.46) gives it.
static const struct qm_architecture_info architectures[QM_ARCHITECTURE_COUNT] = {
    [QM_ARCHITECTURE_LLAMA] = {.name = "LlamaForCausalLM", .title = "Llama", .roles = DECODER, .usual_context = 2048},
    [QM_ARCHITECTURE_MISTRAL] = {.name = "MistralForCausalLM",
                                 .title = "Mistral",
                                 .roles = DECODER,
                                 .usual_kv_heads = 8,
                                 .usual_context = 131072,
                                 .usual_window = 4096,
                                 .has_window = true},
    [QM_ARCHITECTURE_QWEN2] = {.name = "Qwen2ForCausalLM",
                               .title = "Qwen2",
                               .roles = DECODER | BIT(Q_BIAS) | BIT(K_BIAS) | BIT(V_BIAS),
                               .usual_kv_heads = 32,
                               .usual_context = 32768,
                               .usual_window = 4096,
                               .has_window = true,
                               .window_switch = "use_sliding_window"},
    [QM_ARCHITECTURE_QWEN3] = {.name = "Qwen3ForCausalLM",
                               .title = "Qwen3",
                               .roles = DECODER | BIT(Q_NORM) | BIT(K_NORM),
                               .usual_kv_heads = 32,
                               .usual_head_dim = 128,
                               .usual_context = 32768,
                               .usual_window = 4096,
                               .has_window = true,
                               .window_switch = "use_sliding_window"},
};

const struct qm_architecture_info *qm_architecture_info(enum qm_architecture architecture)
{
    return &architectures[architecture];
}

bool qm_architecture_has(enum qm_architecture architecture, enum qm_role role)
{
    return (architectures[architecture].roles >> role & 1) != 0;
}

enum qm_status qm_architecture_find(const char *name, const char *file, enum qm_architecture *out)
{
    char known[256] = "";
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
