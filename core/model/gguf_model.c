#include "model/gguf_model.h"

#include <jansson.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "model/gguf_rope.h"

static const struct {
    const char *name;       // general.architecture
    const char *class_name; // in config.json
    bool has_turned_rows;   // queries and keys: see qm_gguf_turned_width
    enum qm_architecture is;
} architectures[] = {
    {"llama", "LlamaForCausalLM", true, QM_ARCHITECTURE_LLAMA}, // Mistral's too
    {"qwen2", "Qwen2ForCausalLM", false, QM_ARCHITECTURE_QWEN2},
    {"qwen3", "Qwen3ForCausalLM", false, QM_ARCHITECTURE_QWEN3},
};

static const char *const names[QM_ROLE_COUNT] = {
    [QM_ROLE_EMBEDDING] = "token_embd.weight",
    [QM_ROLE_INPUT_NORM] = "attn_norm.weight",
    [QM_ROLE_Q] = "attn_q.weight",
    [QM_ROLE_K] = "attn_k.weight",
    [QM_ROLE_V] = "attn_v.weight",
    [QM_ROLE_O] = "attn_output.weight",
    [QM_ROLE_POST_NORM] = "ffn_norm.weight",
    [QM_ROLE_GATE] = "ffn_gate.weight",
    [QM_ROLE_UP] = "ffn_up.weight",
    [QM_ROLE_DOWN] = "ffn_down.weight",
    [QM_ROLE_Q_BIAS] = "attn_q.bias",
    [QM_ROLE_K_BIAS] = "attn_k.bias",
    [QM_ROLE_V_BIAS] = "attn_v.bias",
    [QM_ROLE_Q_NORM] = "attn_q_norm.weight",
    [QM_ROLE_K_NORM] = "attn_k_norm.weight",
    [QM_ROLE_FINAL_NORM] = "output_norm.weight",
    [QM_ROLE_HEAD] = "output.weight",
};

// Keys behind the architecture's name that change the function, where they are there and neither 0 nor `harmless`.
static const struct {
    const char *key, *means;
    double harmless;
} differences[] = {
    {"expert_count", "a mixture of experts", 0},
    {"attention.sliding_window", "attention that sees a window", 0},
    {"attention.causal", "", 1}, // a flag: see below
    {"attention.clamp_kqv", "clipped queries, keys and values", 0},
    {"attention.scale", "attention scores of another scale", 0},
    {"attn_logit_softcapping", "capped attention scores", 0},
    {"final_logit_softcapping", "capped logits", 0},
    {"logit_scale", "scaled logits", 1},
    {"residual_scale", "scaled residuals", 1},
    {"embedding_scale", "a scaled embedding", 1},
};

// ---- Metadata -------------------------------------------------------------------------------------------------------

struct source {
    const struct qm_gguf *gguf;
    const char *architecture;
    json_t *config;
};

static void key_of(const struct source *from, const char *name, char key[QM_GGUF_KEY_BYTES_MAX + 1])
{
    snprintf(key, QM_GGUF_KEY_BYTES_MAX + 1, "%s.%s", from->architecture, name);
}

// The number of a key, under config.json's own; 0 for `as`: it is only looked at.
static enum qm_status copy_number(const struct source *from, const char *name, const char *as, bool is_needed,
                                  uint32_t *out)
{
    char key[QM_GGUF_KEY_BYTES_MAX + 1];
    bool is_there = false;
    uint32_t number = 0;
    key_of(from, name, key);
    QM_TRY(qm_gguf_u32(from->gguf, key, &number, &is_there));
    if (!is_there && is_needed)
        return QM_FAIL(QM_INVALID, "%s: '%s' is missing; every model of %s has it", from->gguf->file, key,
                       from->architecture);
    if (is_there && as)
        json_object_set_new(from->config, as, json_integer(number));
    if (is_there && out)
        *out = number;
    return QM_OK;
}

static enum qm_status copy_real(const struct source *from, const char *name, const char *as, bool is_needed)
{
    char key[QM_GGUF_KEY_BYTES_MAX + 1];
    bool is_there = false;
    double number = 0;
    key_of(from, name, key);
    QM_TRY(qm_gguf_double(from->gguf, key, &number, &is_there));
    if (!is_there && is_needed)
        return QM_FAIL(QM_INVALID, "%s: '%s' is missing; every model of %s has it", from->gguf->file, key,
                       from->architecture);
    if (is_there)
        json_object_set_new(from->config, as, json_real(number));
    return QM_OK;
}

static enum qm_status find_architecture(const struct qm_gguf *gguf, size_t *out)
{
    const struct qm_gguf_value *value = qm_gguf_find(gguf, "general.architecture");
    char text[64] = "", known[128] = "";
    if (!value || value->kind != QM_GGUF_STRING)
        return QM_FAIL(QM_INVALID, "%s: 'general.architecture' is no text; every GGUF model has it", gguf->file);
    if (value->count < sizeof(text))
        memcpy(text, value->bytes, (size_t)value->count);
    for (size_t i = 0; i < sizeof(architectures) / sizeof(*architectures); ++i) {
        *out = i;
        if (strcmp(text, architectures[i].name) == 0)
            return QM_OK;
        snprintf(known + strlen(known), sizeof(known) - strlen(known), "%s%s", i ? ", " : "", architectures[i].name);
    }
    qm_text_clean(text);
    return QM_FAIL(QM_UNSUPPORTED, "%s: 'general.architecture' is '%s'; %s can be run, use such a model", gguf->file,
                   text, known);
}

static enum qm_status refuse_differences(const struct source *from)
{
    for (size_t i = 0; i < sizeof(differences) / sizeof(*differences); ++i) {
        char key[QM_GGUF_KEY_BYTES_MAX + 1];
        double number = 0;
        key_of(from, differences[i].key, key);
        const struct qm_gguf_value *value = qm_gguf_find(from->gguf, key);
        if (!value)
            continue;
        if (value->kind == QM_GGUF_BOOL) {
            if (value->number.u == 0)
                return QM_FAIL(QM_UNSUPPORTED, "%s: '%s' is false; only causal attention can be run, use such a model",
                               from->gguf->file, key);
            continue;
        }
        QM_TRY(qm_gguf_double(from->gguf, key, &number, NULL));
        if (number > 0 || number < 0) {
            double beyond = number - differences[i].harmless;
            if (beyond > 0 || beyond < 0)
                return QM_FAIL(QM_UNSUPPORTED, "%s: '%s' is %g: %s, which is not run; use a model without",
                               from->gguf->file, key, number, differences[i].means);
        }
    }
    return QM_OK;
}

// Of Llama 3.1 and later: the factor stands in a tensor.
static enum qm_status copy_frequencies(const struct source *from)
{
    const json_t *width = json_object_get(from->config, "head_dim"),
                 *theta = json_object_get(from->config, "rope_theta");
    struct qm_gguf_rope rope;
    QM_TRY(qm_gguf_rope_find(from->gguf, (uint32_t)json_integer_value(width), theta ? json_real_value(theta) : 10000,
                             &rope));
    if (rope.factor > 0 && json_object_get(from->config, "rope_scaling"))
        return QM_FAIL(QM_UNSUPPORTED,
                       "%s: '%s.rope.scaling.type' beside tensor '" QM_GGUF_ROPE_TENSOR
                       "': one of the two can be run, use such a model",
                       from->gguf->file, from->architecture);
    if (rope.factor > 0)
        json_object_set_new(from->config, "rope_scaling",
                            json_pack("{s:s, s:f, s:f, s:f, s:I}", "rope_type", "llama3", "factor", rope.factor,
                                      "low_freq_factor", rope.low, "high_freq_factor", rope.high,
                                      "original_max_position_embeddings", (json_int_t)rope.context));
    return QM_OK;
}

static enum qm_status copy_scaling(const struct source *from)
{
    char key[QM_GGUF_KEY_BYTES_MAX + 1], text[32] = "";
    double factor = 0;
    key_of(from, "rope.scaling.type", key);
    const struct qm_gguf_value *value = qm_gguf_find(from->gguf, key);
    if (value && value->kind == QM_GGUF_STRING && value->count < sizeof(text))
        memcpy(text, value->bytes, (size_t)value->count);
    if (!value || strcmp(text, "none") == 0)
        return QM_OK;
    if (strcmp(text, "linear") != 0) {
        qm_text_clean(text);
        return QM_FAIL(QM_UNSUPPORTED, "%s: '%s' is '%s'; none and linear can be run, use such a model",
                       from->gguf->file, key, text);
    }
    key_of(from, "rope.scaling.factor", key);
    QM_TRY(qm_gguf_double(from->gguf, key, &factor, NULL));
    json_object_set_new(from->config, "rope_scaling", json_pack("{s:s, s:f}", "rope_type", "linear", "factor", factor));
    return QM_OK;
}

// Heads whose keys, values and turned part have one width.
static enum qm_status copy_heads(const struct source *from)
{
    uint32_t hidden = 0, heads = 0, width, other;
    QM_TRY(copy_number(from, "embedding_length", "hidden_size", true, &hidden));
    QM_TRY(copy_number(from, "attention.head_count", "num_attention_heads", true, &heads));
    json_object_set_new(from->config, "num_key_value_heads", json_integer(heads));
    QM_TRY(copy_number(from, "attention.head_count_kv", "num_key_value_heads", false, NULL));
    width = heads > 0 && hidden % heads == 0 ? hidden / heads : 0; // 0: refused below where nothing else is said
    QM_TRY(copy_number(from, "attention.key_length", NULL, false, &width));
    static const char *const same[] = {"attention.value_length", "rope.dimension_count"};
    for (size_t i = 0; i < sizeof(same) / sizeof(*same); ++i) {
        other = width;
        QM_TRY(copy_number(from, same[i], NULL, false, &other));
        if (other != width)
            return QM_FAIL(QM_UNSUPPORTED,
                           "%s: '%s.%s' is %" PRIu32 " and keys have %" PRIu32
                           " values a head; only heads of one width can be run, use such a model",
                           from->gguf->file, from->architecture, same[i], other, width);
    }
    if (width > 0)
        json_object_set_new(from->config, "head_dim", json_integer(width));
    return QM_OK;
}

static enum qm_status fill(const struct source *from)
{
    const struct qm_gguf_tensor *embedding = qm_gguf_find_tensor(from->gguf, names[QM_ROLE_EMBEDDING]);
    if (!embedding || embedding->rank != 2)
        return QM_FAIL(QM_INVALID, "%s: no tensor '%s' of two dimensions; every model has it", from->gguf->file,
                       names[QM_ROLE_EMBEDDING]);
    json_object_set_new(from->config, "vocab_size", json_integer((json_int_t)embedding->shape[0]));
    json_object_set_new(from->config, "tie_word_embeddings",
                        json_boolean(!qm_gguf_find_tensor(from->gguf, names[QM_ROLE_HEAD])));
    QM_TRY(refuse_differences(from));
    QM_TRY(copy_heads(from));
    QM_TRY(copy_number(from, "feed_forward_length", "intermediate_size", true, NULL));
    QM_TRY(copy_number(from, "block_count", "num_hidden_layers", true, NULL));
    QM_TRY(copy_number(from, "context_length", "max_position_embeddings", true, NULL));
    QM_TRY(copy_real(from, "attention.layer_norm_rms_epsilon", "rms_norm_eps", true));
    QM_TRY(copy_real(from, "rope.freq_base", "rope_theta", false));
    QM_TRY(copy_scaling(from));
    return copy_frequencies(from);
}

enum qm_status qm_gguf_model_config(const struct qm_gguf *gguf, struct qm_model_config *out)
{
    size_t which = 0;
    char *text = NULL;
    *out = (struct qm_model_config){0};
    QM_TRY(find_architecture(gguf, &which));
    struct source from = {gguf, architectures[which].name,
                          json_pack("{s:[s]}", "architectures", architectures[which].class_name)};
    enum qm_status status = QM_OK;
    QM_GUARD(fill(&from));
    text = json_dumps(from.config, JSON_SORT_KEYS);
    status = text ? qm_model_config_parse(text, strlen(text), gguf->file, out)
                  : QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for its configuration", gguf->file);
done:
    free(text);
    json_decref(from.config);
    return status;
}

// ---- Tensors --------------------------------------------------------------------------------------------------------

void qm_gguf_weight_name(enum qm_role role, uint32_t layer, char name[QM_GGUF_NAME_BYTES])
{
    if (qm_role_is_per_layer(role))
        snprintf(name, QM_GGUF_NAME_BYTES, "blk.%" PRIu32 ".%s", layer, names[role]);
    else
        snprintf(name, QM_GGUF_NAME_BYTES, "%s", names[role]);
}

enum qm_status qm_gguf_model_check(const struct qm_gguf *gguf, const struct qm_model_config *config)
{
    size_t expected = 0;
    for (size_t i = 0; i < qm_weight_count(config); ++i) {
        enum qm_role role;
        uint32_t layer, rows, columns;
        char name[QM_GGUF_NAME_BYTES], shape[QM_SHAPE_TEXT_BYTES];
        qm_weight_at(config, i, &role, &layer);
        if (role == QM_ROLE_HEAD && config->tied_head)
            continue;
        qm_gguf_weight_name(role, layer, name);
        qm_role_own_shape(config, role, &rows, &columns);
        const struct qm_gguf_tensor *tensor = qm_gguf_find_tensor(gguf, name);
        if (!tensor)
            return QM_FAIL(QM_INVALID, "%s: tensor '%s' is missing; get the file again, or its other parts", gguf->file,
                           name);
        bool is_vector = qm_role_is_vector(role);
        if (is_vector ? tensor->rank != 1 || tensor->shape[0] != columns
                      : tensor->rank != 2 || tensor->shape[0] != rows || tensor->shape[1] != columns) {
            qm_shape_text(tensor->rank, tensor->shape, shape);
            return QM_FAIL(QM_INVALID,
                           "%s: tensor '%s' is %s; the metadata make it %" PRIu32 " rows of %" PRIu32 " values",
                           gguf->file, name, shape, is_vector ? 1 : rows, columns);
        }
        ++expected;
    }
    // All that must be there are: what is more is found by counting, and named by looking.
    for (size_t t = 0; t < gguf->tensor_count && expected < gguf->tensor_count; ++t) {
        bool is_known = strcmp(gguf->tensors[t].name, QM_GGUF_ROPE_TENSOR) == 0; // whose values were looked at
        for (size_t i = 0; i < qm_weight_count(config) && !is_known; ++i) {
            enum qm_role role;
            uint32_t layer;
            char name[QM_GGUF_NAME_BYTES];
            qm_weight_at(config, i, &role, &layer);
            qm_gguf_weight_name(role, layer, name);
            is_known = strcmp(name, gguf->tensors[t].name) == 0;
        }
        if (!is_known)
            return QM_FAIL(
                QM_INVALID,
                "%s: tensor '%s' is no part of a model of its architecture; only whole models without additions "
                "can be run",
                gguf->file, gguf->tensors[t].name);
    }
    return QM_OK;
}

uint32_t qm_gguf_turned_width(const struct qm_model_config *config, enum qm_role role)
{
    bool is_turned = false;
    for (size_t i = 0; i < sizeof(architectures) / sizeof(*architectures); ++i)
        is_turned = is_turned || (architectures[i].is == config->architecture && architectures[i].has_turned_rows);
    return is_turned && (role == QM_ROLE_Q || role == QM_ROLE_K) ? config->own.head_dim : 0;
}

uint32_t qm_gguf_turned_row(uint32_t width, uint32_t row)
{
    uint32_t half = width / 2, within = row % width;
    return row - within + within % half * 2 + within / half;
}
