// A GGUF file's metadata as a configuration: what config.json would have, given to its reader.
#include <jansson.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "model/gguf_model.h"
#include "model/gguf_rope.h"

static const struct {
    const char *name;       // general.architecture
    const char *class_name; // in config.json
    const char *windowed;   // that of a file whose attention sees a window; NULL: the same
    uint32_t odd_layers;    // so many: scores are divided by the root of hidden / heads, in place of the heads' width
} architectures[] = {
    {"llama", "LlamaForCausalLM", "MistralForCausalLM", 0},
    {"qwen2", "Qwen2ForCausalLM", NULL, 0},
    {"qwen3", "Qwen3ForCausalLM", NULL, 0},
    {"phi3", "Phi3ForCausalLM", NULL, 0},
    {"olmo2", "Olmo2ForCausalLM", NULL, 0},
    {"gemma", "GemmaForCausalLM", NULL, 0},
    {"gemma2", "Gemma2ForCausalLM", NULL, 46}, // of 27 billion parameters: query_pre_attn_scalar is in no GGUF file
    {"gemma3", "Gemma3ForCausalLM", NULL, 62}, // likewise
    {"gpt2", "GPT2LMHeadModel", NULL, 0},
    {"starcoder2", "Starcoder2ForCausalLM", NULL, 0},
};

#define ATTENTION_FACTOR "rope.scaling.attn_factor"
#define WINDOW "attention.sliding_window"
#define WINDOW_MEANS "attention that sees a window"
#define PATTERN "attention.sliding_window_pattern"

// Keys behind the architecture's name that change the function, where they are there and neither 0 nor `harmless`.
static const struct {
    const char *key, *means;
    double harmless;
} differences[] = {
    {"expert_count", "a mixture of experts", 0},
    {"attention.clamp_kqv", "clipped queries, keys and values", 0},
    {"attention.scale", "attention scores of another scale", 0},
    {"logit_scale", "scaled logits", 1},
    {"residual_scale", "scaled residuals", 1},
    {"embedding_scale", "a scaled embedding", 1},
};

struct source {
    const struct qm_gguf *gguf;
    const char *architecture;
    const struct qm_architecture_info *info;
    json_t *config;
};

static void key_of(const struct source *from, const char *name, char key[QM_GGUF_KEY_BYTES_MAX + 1])
{
    snprintf(key, QM_GGUF_KEY_BYTES_MAX + 1, "%s.%s", from->architecture, name);
}

static enum qm_status missing(const struct source *from, const char *key)
{
    return QM_FAIL(QM_INVALID, "%s: '%s' is missing; every model of %s has it", from->gguf->file, key,
                   from->architecture);
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
        return missing(from, key);
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
        return missing(from, key);
    if (is_there)
        json_object_set_new(from->config, as, json_real(number));
    return QM_OK;
}

static enum qm_status find_architecture(const struct qm_gguf *gguf, size_t *out)
{
    const struct qm_gguf_value *value = qm_gguf_find(gguf, "general.architecture");
    char text[64] = "", known[160] = "";
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

// ---- What cannot be run ---------------------------------------------------------------------------------------------

static enum qm_status refuse(const struct source *from, const char *name, const char *means, double harmless)
{
    char key[QM_GGUF_KEY_BYTES_MAX + 1];
    double number = 0;
    key_of(from, name, key);
    QM_TRY(qm_gguf_double(from->gguf, key, &number, NULL));
    if (number > 0 || number < 0) {
        double beyond = number - harmless;
        if (beyond > 0 || beyond < 0)
            return QM_FAIL(QM_UNSUPPORTED, "%s: '%s' is %g: %s, which is not run; use a model without",
                           from->gguf->file, key, number, means);
    }
    return QM_OK;
}

static bool has_long_rope(const struct source *from)
{
    return qm_gguf_find_tensor(from->gguf, QM_GGUF_ROPE_SHORT) || qm_gguf_find_tensor(from->gguf, QM_GGUF_ROPE_LONG);
}

static enum qm_status refuse_differences(const struct source *from)
{
    char key[QM_GGUF_KEY_BYTES_MAX + 1];
    bool is_causal = true;
    for (size_t i = 0; i < sizeof(differences) / sizeof(*differences); ++i)
        QM_TRY(refuse(from, differences[i].key, differences[i].means, differences[i].harmless));
    key_of(from, "attention.causal", key);
    QM_TRY(qm_gguf_bool(from->gguf, key, &is_causal, NULL));
    if (!is_causal)
        return QM_FAIL(QM_UNSUPPORTED, "%s: '%s' is false; only causal attention can be run, use such a model",
                       from->gguf->file, key);
    return QM_OK;
}

// ---- Sizes ----------------------------------------------------------------------------------------------------------

// Heads whose keys, values and turned part have one width.
static enum qm_status copy_heads(const struct source *from, size_t which)
{
    uint32_t hidden = 0, heads = 0, layers = 0, width, other;
    QM_TRY(copy_number(from, "embedding_length", "hidden_size", true, &hidden));
    QM_TRY(copy_number(from, "attention.head_count", "num_attention_heads", true, &heads));
    QM_TRY(copy_number(from, "block_count", "num_hidden_layers", true, &layers));
    json_object_set_new(from->config, "num_key_value_heads", json_integer(heads));
    QM_TRY(copy_number(from, "attention.head_count_kv", "num_key_value_heads", false, NULL));
    width = heads > 0 && hidden % heads == 0 ? hidden / heads : 0; // 0: refused below where nothing else is said
    QM_TRY(copy_number(from, "attention.key_length", NULL, false, &width));
    static const char *const same[] = {"attention.value_length", "rope.dimension_count"};
    for (size_t i = 0; i < (from->info->has_no_rotary ? 1 : 2); ++i) {
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
    bool is_odd = layers > 0 && layers == architectures[which].odd_layers && heads > 0;
    if (from->info->usual_score_width > 0)
        json_object_set_new(from->config, "query_pre_attn_scalar", json_real(is_odd ? hidden / heads : width));
    return QM_OK;
}

// ---- Frequencies ----------------------------------------------------------------------------------------------------

// longrope: a divisor for each pair, in one tensor for short contexts and in one for long ones.
static enum qm_status copy_long_rope(const struct source *from, uint32_t width)
{
    char key[QM_GGUF_KEY_BYTES_MAX + 1];
    float divisors[QM_ROPE_PAIRS_MAX];
    double attention = 1;
    uint32_t original = 0;
    bool has, says_original;
    if (json_object_get(from->config, "rope_scaling"))
        return QM_FAIL(QM_UNSUPPORTED,
                       "%s: '%s.rope.scaling.type' beside tensor '" QM_GGUF_ROPE_SHORT
                       "': one of the two can be run, use such a model",
                       from->gguf->file, from->architecture);
    QM_TRY(qm_gguf_rope_read(from->gguf, QM_GGUF_ROPE_SHORT, width, divisors, &has));
    if (!has)
        return QM_FAIL(QM_INVALID,
                       "%s: tensor '" QM_GGUF_ROPE_SHORT "' is missing; get the file again, or its other parts",
                       from->gguf->file);
    key_of(from, ATTENTION_FACTOR, key);
    QM_TRY(qm_gguf_double(from->gguf, key, &attention, NULL));
    key_of(from, "rope.scaling.original_context_length", key);
    QM_TRY(qm_gguf_u32(from->gguf, key, &original, &says_original));
    if (!says_original)
        return missing(from, key);
    json_t *list = json_array();
    for (uint32_t i = 0; i < width / 2; ++i)
        json_array_append_new(list, json_real((double)divisors[i]));
    json_object_set_new(from->config, "rope_scaling",
                        json_pack("{s:s, s:f, s:I, s:o}", "rope_type", "longrope", "attention_factor", attention,
                                  "original_max_position_embeddings", (json_int_t)original, "short_factor", list));
    return QM_OK;
}

// Of Llama 3.1 and later: the factor stands in a tensor.
static enum qm_status copy_frequencies(const struct source *from)
{
    const json_t *width = json_object_get(from->config, "head_dim"),
                 *theta = json_object_get(from->config, "rope_theta");
    struct qm_gguf_rope rope;
    if (has_long_rope(from))
        return copy_long_rope(from, (uint32_t)json_integer_value(width));
    QM_TRY(refuse(from, ATTENTION_FACTOR, "attention scaled beside the rotary embedding's frequencies", 1));
    QM_TRY(qm_gguf_rope_find(from->gguf, (uint32_t)json_integer_value(width),
                             theta ? json_real_value(theta) : from->info->usual_theta, &rope));
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
    if (value && (strcmp(text, "none") == 0 || (strcmp(text, "longrope") == 0 && has_long_rope(from))))
        return QM_OK;
    if (value && strcmp(text, "linear") != 0) {
        qm_text_clean(text);
        return QM_FAIL(QM_UNSUPPORTED, "%s: '%s' is '%s'; none and linear can be run, use such a model",
                       from->gguf->file, key, text);
    }
    key_of(from, "rope.scaling.factor", key);
    QM_TRY(qm_gguf_double(from->gguf, key, &factor, NULL));
    if (value || factor > 0) // a factor alone is linear
        json_object_set_new(from->config, "rope_scaling",
                            json_pack("{s:s, s:f}", "rope_type", "linear", "factor", factor));
    return QM_OK;
}

static enum qm_status copy_rope(const struct source *from)
{
    QM_TRY(copy_real(from, "rope.freq_base", "rope_theta", false));
    const json_t *theta = json_object_get(from->config, "rope_theta");
    if (from->info->usual_local_theta > 0)
        QM_TRY(copy_real(from, "rope.freq_base_swa", "rope_local_base_freq", false));
    else
        QM_TRY(refuse(from, "rope.freq_base_swa", "another rotary embedding in layers with a window",
                      theta ? json_real_value(theta) : from->info->usual_theta));
    QM_TRY(copy_scaling(from));
    return copy_frequencies(from);
}

// ---- Attention ------------------------------------------------------------------------------------------------------

// Which layers have a window: of so many all but the last, or a flag for each.
static enum qm_status copy_pattern(const struct source *from)
{
    char key[QM_GGUF_KEY_BYTES_MAX + 1];
    key_of(from, PATTERN, key);
    const struct qm_gguf_value *value = qm_gguf_find(from->gguf, key);
    uint64_t at = 0, layers = (uint64_t)json_integer_value(json_object_get(from->config, "num_hidden_layers"));
    double flag;
    if (!value || value->kind != QM_GGUF_ARRAY)
        return copy_number(from, PATTERN, "sliding_window_pattern", false, NULL);
    if (value->count != layers)
        return QM_FAIL(QM_INVALID, "%s: '%s' has %" PRIu64 " values, and there are %" PRIu64 " layers; get it again",
                       from->gguf->file, key, value->count, layers);
    json_t *types = json_array();
    while (qm_gguf_next_number(value, &at, &flag))
        json_array_append_new(types, json_string(flag > 0 || flag < 0 ? "sliding_attention" : "full_attention"));
    json_object_set_new(from->config, "layer_types", types);
    return QM_OK;
}

// Architectures whose layers are told apart by their place have a pattern, and of Gemma 2 the window goes without saying.
static enum qm_status copy_window(const struct source *from, size_t which)
{
    const struct qm_architecture_info *info = from->info;
    const bool has_pattern = info->usual_window_every > 0;
    uint32_t window = has_pattern && info->usual_local_theta <= 0 ? info->usual_window : 0;
    QM_TRY(copy_number(from, WINDOW, NULL, false, &window));
    if (window > 0 && !has_pattern)
        QM_TRY(refuse(from, PATTERN, "a window in some of the layers", 1));
    if (window > 0 && architectures[which].windowed)
        json_object_set_new(from->config, "architectures", json_pack("[s]", architectures[which].windowed));
    else if (!info->has_window || info->window_switch) // of which layers a switch is would not be known
        return refuse(from, WINDOW, WINDOW_MEANS, 0);
    if (window > 0) {
        json_object_set_new(from->config, "sliding_window", json_integer(window));
        return has_pattern ? copy_pattern(from) : QM_OK;
    }
    json_object_set_new(from->config, "sliding_window", json_null());
    if (info->usual_local_theta > 0) { // every layer sees everything
        json_object_set_new(from->config, "sliding_window", json_integer(info->usual_window));
        json_object_set_new(from->config, "sliding_window_pattern", json_integer(1));
    }
    return QM_OK;
}

// A cap of 0 is none.
static enum qm_status copy_cap(const struct source *from, const char *name, double usual, const char *means)
{
    if (usual < 0)
        return refuse(from, name, means, 0);
    QM_TRY(copy_real(from, name, name, false));
    const json_t *cap = json_object_get(from->config, name);
    if (cap && !(json_real_value(cap) > 0 || json_real_value(cap) < 0))
        json_object_set_new(from->config, name, json_null());
    return QM_OK;
}

static enum qm_status fill(const struct source *from, size_t which)
{
    char embedding_name[QM_GGUF_NAME_BYTES], head[QM_GGUF_NAME_BYTES];
    qm_gguf_weight_name(QM_ROLE_EMBEDDING, 0, embedding_name);
    qm_gguf_weight_name(QM_ROLE_HEAD, 0, head);
    const struct qm_gguf_tensor *embedding = qm_gguf_find_tensor(from->gguf, embedding_name);
    if (!embedding || embedding->rank != 2)
        return QM_FAIL(QM_INVALID, "%s: no tensor '%s' of two dimensions; every model has it", from->gguf->file,
                       embedding_name);
    json_object_set_new(from->config, "vocab_size", json_integer((json_int_t)embedding->shape[0]));
    json_object_set_new(from->config, "tie_word_embeddings", json_boolean(!qm_gguf_find_tensor(from->gguf, head)));
    QM_TRY(refuse_differences(from));
    QM_TRY(copy_heads(from, which));
    QM_TRY(copy_number(from, "feed_forward_length", "intermediate_size", true, NULL));
    QM_TRY(copy_number(from, "context_length", "max_position_embeddings", true, NULL));
    QM_TRY(copy_real(from,
                     from->info->has_layer_norm ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon",
                     "rms_norm_eps", true));
    QM_TRY(copy_window(from, which));
    QM_TRY(copy_cap(from, "attn_logit_softcapping", from->info->usual_score_cap, "capped attention scores"));
    QM_TRY(copy_cap(from, "final_logit_softcapping", from->info->usual_logit_cap, "capped logits"));
    return copy_rope(from);
}

enum qm_status qm_gguf_model_config(const struct qm_gguf *gguf, struct qm_model_config *out)
{
    size_t which = 0;
    enum qm_architecture architecture;
    char *text = NULL;
    *out = (struct qm_model_config){0};
    QM_TRY(find_architecture(gguf, &which));
    QM_TRY(qm_architecture_find(architectures[which].class_name, gguf->file, &architecture));
    struct source from = {gguf, architectures[which].name, qm_architecture_info(architecture),
                          json_pack("{s:[s]}", "architectures", architectures[which].class_name)};
    enum qm_status status = QM_OK;
    QM_GUARD(fill(&from, which));
    text = json_dumps(from.config, JSON_SORT_KEYS);
    status = text ? qm_model_config_parse(text, strlen(text), gguf->file, out)
                  : QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for its configuration", gguf->file);
done:
    free(text);
    json_decref(from.config);
    return status;
}
