// Reading config.json, by the row of its architecture.
#include "base/numeric.h"
#include "base/text.h"
#include "model/model.h"

#include <jansson.h>

#include <inttypes.h>
#include <math.h> // sqrt, which IEEE 754 rounds correctly
#include <stdio.h>
#include <string.h>

struct reader {
    const char *file;
    const json_t *root;
    const struct qm_architecture_info *info; // NULL: not known yet
};

// Keys that an architecture has under another name. Ours are read of it as well, for its text has them.
static const struct {
    const char *architecture, *key, *theirs;
} others[] = {
    {"GPT2LMHeadModel", "hidden_size", "n_embd"},
    {"GPT2LMHeadModel", "num_hidden_layers", "n_layer"},
    {"GPT2LMHeadModel", "num_attention_heads", "n_head"},
    {"GPT2LMHeadModel", "max_position_embeddings", "n_positions"},
    {"GPT2LMHeadModel", "intermediate_size", "n_inner"},
    {"GPT2LMHeadModel", "rms_norm_eps", "layer_norm_epsilon"},
    {"Starcoder2ForCausalLM", "rms_norm_eps", "norm_epsilon"},
};

// What a key is called in this file.
static const char *key_in_file(const struct reader *reader, const char *key)
{
    for (size_t i = 0; reader->info && i < sizeof(others) / sizeof(others[0]); i++)
        if (strcmp(others[i].architecture, reader->info->name) == 0 && strcmp(others[i].key, key) == 0)
            return json_object_get(reader->root, key) ? key : others[i].theirs;
    return key;
}

static bool is_absent(const json_t *value)
{
    return !value || json_is_null(value);
}

// `otherwise` 0: the key must be there.
static enum qm_status read_number(const struct reader *reader, const char *ours, uint32_t otherwise, uint32_t *out)
{
    const char *key = key_in_file(reader, ours);
    const json_t *value = json_object_get(reader->root, key);
    if (is_absent(value)) {
        *out = otherwise;
        return otherwise ? QM_OK
                         : QM_FAIL(QM_INVALID, "%s: '%s' is missing; give it a whole number", reader->file, key);
    }
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 1 || number > INT32_MAX)
        return QM_FAIL(QM_INVALID, "%s: '%s' is no whole number between 1 and %d; correct it", reader->file, key,
                       INT32_MAX);
    *out = (uint32_t)number;
    return QM_OK;
}

static enum qm_status read_real(const struct reader *reader, const json_t *object, const char *key, double otherwise,
                                double *out)
{
    const json_t *value = json_object_get(object, key);
    *out = otherwise;
    if (is_absent(value))
        return QM_OK;
    if (!json_is_number(value))
        return QM_FAIL(QM_INVALID, "%s: '%s' is no number; make it one such as %g", reader->file, key, otherwise);
    *out = json_number_value(value);
    return QM_OK;
}

static enum qm_status read_flag(const struct reader *reader, const char *key, bool otherwise, bool *out)
{
    const json_t *value = json_object_get(reader->root, key);
    *out = is_absent(value) ? otherwise : json_is_true(value);
    if (!is_absent(value) && !json_is_boolean(value))
        return QM_FAIL(QM_INVALID, "%s: '%s' is neither true nor false; make it one of them", reader->file, key);
    return QM_OK;
}

// What the keys of other architectures stand for, as Hugging Face's transformers names them: a key that is set, and says more
// than that nothing is to be done, is a difference to what can be run.
static const struct {
    const char *key, *means;
} differences[] = {
    {"num_local_experts", "a mixture of experts"},
    {"num_experts", "a mixture of experts"},
    {"n_routed_experts", "a mixture of experts"},
    {"kv_lora_rank", "latent attention"},
    {"attn_logit_softcapping", "capped attention scores"},
    {"final_logit_softcapping", "capped logits"},
    {"logit_scale", "scaled logits"},
    {"embedding_multiplier", "a scaled embedding"},
    {"residual_multiplier", "scaled residuals"},
    {"layer_norm_eps", "LayerNorm in place of RMSNorm"},
    {"layer_norm_epsilon", "LayerNorm in place of RMSNorm"},
    {"n_embd", "GPT-2's sizes and positions"},
    {"position_embedding_type", "positions that are no rotary embedding"},
    {"alibi", "positions by attention bias"},
    {"parallel_attn", "attention beside the MLP"},
    {"use_parallel_residual", "attention beside the MLP"},
    {"partial_rotary_factor", "a rotary embedding of a part of each head"},
    {"rotary_pct", "a rotary embedding of a part of each head"},
    {"clip_qkv", "clipped queries, keys and values"},
    {"state_size", "a state space in place of attention"},
    {"num_nextn_predict_layers", "further predicting layers"},
    {"encoder_layers", "an encoder"},
    {"vision_config", "images beside text"},
    {"attention_bias", "biases of attention"},
    {"mlp_bias", "biases of the MLP"},
};

static void list_differences(const struct reader *reader, char *text, size_t capacity)
{
    size_t used = 0;
    const json_t *act = json_object_get(reader->root, "hidden_act");
    text[0] = '\0';
    if (!act)
        act = json_object_get(reader->root, "hidden_activation");
    if (json_is_string(act) && strcmp(json_string_value(act), "silu") != 0)
        used = (size_t)snprintf(text, capacity, "%.32s in place of silu", json_string_value(act));
    for (size_t i = 0; i < sizeof(differences) / sizeof(differences[0]); i++) {
        const json_t *value = json_object_get(reader->root, differences[i].key);
        bool says_nothing = is_absent(value) || json_is_false(value) ||
                            (json_is_number(value) && (json_number_value(value) == 0 || json_number_value(value) == 1));
        if (says_nothing || strstr(text, differences[i].means) || used + 100 > capacity)
            continue;
        used += (size_t)snprintf(text + used, capacity - used, "%s%s ('%s')", used ? ", " : "", differences[i].means,
                                 differences[i].key);
    }
    qm_text_clean(text);
}

static enum qm_status read_architecture(const struct reader *reader, enum qm_architecture *out)
{
    const json_t *list = json_object_get(reader->root, "architectures");
    const char *name = json_string_value(json_array_get(list, 0));
    if (!name || json_array_size(list) != 1)
        return QM_FAIL(
            QM_INVALID,
            "%s: 'architectures' does not name one architecture; it should be [\"LlamaForCausalLM\"] or the like",
            reader->file);
    enum qm_status status = qm_architecture_find(name, reader->file, out);
    char text[400], known[512];
    if (status != QM_UNSUPPORTED)
        return status;
    list_differences(reader, text, sizeof(text));
    snprintf(known, sizeof(known), "%s", qm_error_text());
    return text[0] ? QM_FAIL(status, "%s; its config.json has %s", known, text) : status;
}

// Flags that would change the function, unless they have the value that goes without saying.
static const struct {
    const char *architecture; // NULL: all
    const char *key;
    bool value;
    const char *means;
} flags[] = {
    {NULL, "attention_bias", false, "of the biases only those that an architecture always has can be run"},
    {NULL, "mlp_bias", false, "of the biases only those that an architecture always has can be run"},
    {"Starcoder2ForCausalLM", "use_bias", true, "a StarCoder2 without biases cannot be run"},
    {"GPT2LMHeadModel", "scale_attn_weights", true, "scores are divided by the root of the heads' width"},
    {"GPT2LMHeadModel", "scale_attn_by_inverse_layer_idx", false, "scores are not divided by the layer's number"},
    {"GPT2LMHeadModel", "add_cross_attention", false, "there is no attention to an encoder"},
    {"Gemma3ForCausalLM", "use_bidirectional_attention", false, "attention sees what is before a token"},
};

static enum qm_status check_mlp(const struct reader *reader)
{
    static const char *const silu[] = {"silu", NULL}, *const gelu[] = {"gelu_pytorch_tanh", "gelu_new", NULL};
    const char *const *names = reader->info->mlp == QM_MLP_SILU ? silu : gelu;
    const json_t *value = json_object_get(reader->root, reader->info->mlp_key);
    const char *text = json_string_value(value);
    if (is_absent(value))
        return QM_OK;
    for (; *names; names++)
        if (text && strcmp(text, *names) == 0)
            return QM_OK;
    return QM_FAIL(QM_UNSUPPORTED, "%s: '%s' is not %s; only that can be run of %s, use such a model", reader->file,
                   reader->info->mlp_key, reader->info->mlp == QM_MLP_SILU ? silu[0] : gelu[0], reader->info->title);
}

static enum qm_status check_function(const struct reader *reader)
{
    double factor;
    bool flag;
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        if (flags[i].architecture && strcmp(flags[i].architecture, reader->info->name) != 0)
            continue;
        QM_TRY(read_flag(reader, flags[i].key, flags[i].value, &flag));
        if (flag != flags[i].value)
            return QM_FAIL(QM_UNSUPPORTED, "%s: '%s' is %s; %s, use such a model", reader->file, flags[i].key,
                           flag ? "true" : "false", flags[i].means);
    }
    QM_TRY(check_mlp(reader));
    QM_TRY(read_real(reader, reader->root, "partial_rotary_factor", 1.0, &factor));
    if (factor != 1.0)
        return QM_FAIL(QM_UNSUPPORTED, "%s: 'partial_rotary_factor' is %g; only 1 can be run, use such a model",
                       reader->file, factor);
    return QM_OK;
}

// longrope: the divisors of a short context, which is what is run. The factor on queries and keys is the same for any length; it
// follows from how much longer the context was made, where the file does not say it (Phi-3's modeling_phi3.py). Both are kept as
// the floats that a GGUF file has, so that the two files of a model are the same model.
static enum qm_status read_long_rope(const struct reader *reader, const char *key, const json_t *scaling,
                                     struct qm_model_config *out)
{
    static const char name[] = "original_max_position_embeddings";
    const json_t *divisors = json_object_get(scaling, "short_factor");
    uint32_t pairs = out->own.head_dim / 2;
    double original, usual = 1;
    if (pairs > QM_ROPE_PAIRS_MAX || !json_is_array(divisors) || json_array_size(divisors) != pairs)
        return QM_FAIL(QM_INVALID,
                       "%s: '%s': 'short_factor' is no list of %" PRIu32 " numbers, one for each pair of a head; "
                       "correct it",
                       reader->file, key, pairs);
    for (uint32_t i = 0; i < pairs; i++)
        out->rope_divisors[i] =
            (double)(float)json_number_value(json_array_get(divisors, i)); // 0, which is refused, for what is none
    QM_TRY(read_real(reader, reader->root, name, out->context, &original));
    QM_TRY(read_real(reader, scaling, name, original, &original));
    if (!(original >= 2 && original < INT32_MAX))
        return QM_FAIL(QM_INVALID,
                       "%s: '%s' is %g; it must be the context that the model was trained with, such as 4096",
                       reader->file, name, original);
    if (out->context > original)
        usual = sqrt(1 + qm_log(out->context / original) / qm_log(original));
    QM_TRY(read_real(reader, scaling, "attention_factor", usual, &out->rope_attention));
    out->rope_attention = (double)(float)out->rope_attention;
    out->rope_scaling = QM_ROPE_LONG;
    out->rope_context = (uint32_t)original;
    if (out->context > out->rope_context)
        out->context = out->rope_context;
    return QM_OK;
}

static enum qm_status read_scaling(const struct reader *reader, const char *key, const json_t *scaling,
                                   struct qm_model_config *out)
{
    const char *type = json_string_value(json_object_get(scaling, "rope_type"));
    if (!type) // older files
        type = json_string_value(json_object_get(scaling, "type"));
    double original;
    if (!json_is_object(scaling) || !type)
        return QM_FAIL(QM_INVALID, "%s: '%s' has no 'rope_type'; it should be default, linear, llama3 or longrope",
                       reader->file, key);
    if (strcmp(type, "default") == 0)
        return QM_OK;
    if (strcmp(type, "longrope") == 0 || strcmp(type, "su") == 0) // its first name
        return read_long_rope(reader, key, scaling, out);
    if (strcmp(type, "linear") != 0 && strcmp(type, "llama3") != 0) {
        char clean[40];
        snprintf(clean, sizeof(clean), "%s", type);
        qm_text_clean(clean);
        return QM_FAIL(QM_UNSUPPORTED,
                       "%s: '%s' is of type %s; default, linear, llama3 and longrope can be run, use such a model",
                       reader->file, key, clean);
    }
    out->rope_scaling = type[1] == 'i' ? QM_ROPE_LINEAR : QM_ROPE_LLAMA3;
    QM_TRY(read_real(reader, scaling, "factor", 0, &out->rope_factor));
    if (out->rope_scaling == QM_ROPE_LINEAR)
        return QM_OK;
    QM_TRY(read_real(reader, scaling, "low_freq_factor", 0, &out->rope_low));
    QM_TRY(read_real(reader, scaling, "high_freq_factor", 0, &out->rope_high));
    QM_TRY(read_real(reader, scaling, "original_max_position_embeddings", 0, &original));
    out->rope_context = original >= 1 && original < INT32_MAX ? (uint32_t)original : 0; // 0: refused by the check
    return QM_OK;
}

// rope_theta and rope_scaling stand at the top or, in newer files, in rope_parameters.
static enum qm_status read_rope(const struct reader *reader, struct qm_model_config *out)
{
    const json_t *parameters = json_object_get(reader->root, "rope_parameters");
    const json_t *scaling = json_object_get(reader->root, "rope_scaling");
    QM_TRY(read_real(reader, reader->root, "rope_theta", reader->info->usual_theta, &out->rope_theta));
    QM_TRY(read_real(reader, reader->root, "rope_local_base_freq", reader->info->usual_local_theta, &out->local_theta));
    if (reader->info->usual_local_theta <= 0)
        out->local_theta = 0;
    // Where kinds of layers have rotary embeddings of their own.
    if (out->local_theta > 0 && json_is_object(json_object_get(parameters, "full_attention"))) {
        const json_t *local = json_object_get(parameters, "sliding_attention");
        if (json_is_object(local))
            QM_TRY(read_real(reader, local, "rope_theta", out->local_theta, &out->local_theta));
        parameters = json_object_get(parameters, "full_attention");
    }
    if (!is_absent(scaling))
        QM_TRY(read_scaling(reader, "rope_scaling", scaling, out));
    if (is_absent(parameters))
        return QM_OK;
    if (is_absent(scaling))
        QM_TRY(read_scaling(reader, "rope_parameters", parameters, out));
    return read_real(reader, parameters, "rope_theta", out->rope_theta, &out->rope_theta);
}

// Whether a layer has a window, of those that say what each is. QM_UNSUPPORTED for what is neither.
static enum qm_status read_layer_type(const struct reader *reader, const json_t *types, size_t index, bool *slides)
{
    const char *text = json_string_value(json_array_get(types, index));
    *slides = text && strcmp(text, "sliding_attention") == 0;
    if (!text || (!*slides && strcmp(text, "full_attention") != 0))
        return QM_FAIL(
            QM_UNSUPPORTED,
            "%s: 'layer_types': layer %zu; full_attention and sliding_attention can be run, use such a model",
            reader->file, index);
    return QM_OK;
}

// Newer files say of each layer what it is: full ones followed by such with a window, or every so manieth of them full.
static enum qm_status read_layer_types(const struct reader *reader, struct qm_model_config *out)
{
    const json_t *types = json_object_get(reader->root, "layer_types");
    bool is_repeated = reader->info->usual_window_every > 0, slides;
    if (is_absent(types))
        return QM_OK;
    if (!json_is_array(types) || json_array_size(types) != out->layers)
        return QM_FAIL(QM_INVALID, "%s: 'layer_types' is no list of %" PRIu32 " texts; correct it", reader->file,
                       out->layers);
    uint32_t first = 0; // of the kind that ends the first run
    for (; first < out->layers; first++) {
        QM_TRY(read_layer_type(reader, types, first, &slides));
        if (slides != is_repeated)
            break;
    }
    if (is_repeated)
        out->window_every = first + 1;
    else
        out->window_from = first;
    for (uint32_t layer = first; layer < out->layers; layer++) {
        bool is_full = is_repeated ? (layer + 1) % out->window_every == 0 : layer < out->window_from;
        QM_TRY(read_layer_type(reader, types, layer, &slides));
        if (slides == is_full)
            return QM_FAIL(QM_UNSUPPORTED, "%s: 'layer_types': layer %" PRIu32 "; %s can be run, use such a model",
                           reader->file, layer,
                           is_repeated ? "full_attention in every so manieth layer"
                                       : "full_attention followed by sliding_attention");
    }
    return QM_OK;
}

static enum qm_status read_window(const struct reader *reader, struct qm_model_config *out)
{
    const struct qm_architecture_info *info = reader->info;
    const json_t *window = json_object_get(reader->root, "sliding_window");
    bool is_on = true;
    if (!info->has_window) {
        if (!is_absent(window))
            return QM_FAIL(QM_UNSUPPORTED, "%s: 'sliding_window' is set, and %s has none; use a model where it is null",
                           reader->file, info->name);
        return QM_OK;
    }
    if (info->window_switch)
        QM_TRY(read_flag(reader, info->window_switch, false, &is_on));
    if (info->usual_window_every > 0)
        QM_TRY(read_number(reader, "sliding_window_pattern", info->usual_window_every, &out->window_every));
    if (json_is_null(window) && info->usual_local_theta > 0)
        return QM_FAIL(QM_INVALID, "%s: 'sliding_window' is null, and layers of %s are told apart by it; give it",
                       reader->file, info->title);
    if (!is_on || json_is_null(window) || (!window && info->usual_window == 0)) {
        out->window_every = 0;
        return QM_OK;
    }
    QM_TRY(read_number(reader, "sliding_window", info->usual_window, &out->window));
    if (info->window_switch && !is_absent(json_object_get(reader->root, "max_window_layers"))) {
        json_int_t from = json_integer_value(json_object_get(reader->root, "max_window_layers"));
        out->window_from = from >= 0 && from <= out->layers ? (uint32_t)from : out->layers;
    }
    QM_TRY(read_layer_types(reader, out));
    if (out->window_from >= out->layers)
        out->window = out->window_from = 0;
    return QM_OK;
}

// Only texts of our own have it.
static enum qm_status read_padding(const struct reader *reader, struct qm_model_config *out)
{
    const json_t *padding = json_object_get(reader->root, "qmark_padding");
    qm_model_config_pad(out, 32);
    if (is_absent(padding))
        return QM_OK;
    const struct reader inner = {reader->file, padding, NULL};
    QM_TRY(read_number(&inner, "attention_width", 0, &out->attention));
    QM_TRY(read_number(&inner, "head_dim", 0, &out->head_dim));
    QM_TRY(read_number(&inner, "hidden_size", 0, &out->hidden));
    return read_number(&inner, "intermediate_size", 0, &out->intermediate);
}

// A cap that is null is none.
static enum qm_status read_cap(const struct reader *reader, const char *key, double usual, double *out)
{
    *out = 0;
    if (usual < 0 || json_is_null(json_object_get(reader->root, key)))
        return QM_OK;
    QM_TRY(read_real(reader, reader->root, key, usual, out));
    if (*out <= 0 && json_object_get(reader->root, key))
        return QM_FAIL(QM_INVALID, "%s: '%s' is %g; it must be above 0, or null", reader->file, key, *out);
    return QM_OK;
}

static enum qm_status read_scores(const struct reader *reader, struct qm_model_config *out)
{
    const struct qm_architecture_info *info = reader->info;
    QM_TRY(read_cap(reader, "attn_logit_softcapping", info->usual_score_cap, &out->score_cap));
    QM_TRY(read_cap(reader, "final_logit_softcapping", info->usual_logit_cap, &out->logit_cap));
    if (info->usual_score_width <= 0)
        return QM_OK;
    QM_TRY(read_real(reader, reader->root, "query_pre_attn_scalar", info->usual_score_width, &out->score_width));
    if (!(out->score_width > 0))
        return QM_FAIL(QM_INVALID, "%s: 'query_pre_attn_scalar' is %g; it must be above 0, such as 256", reader->file,
                       out->score_width);
    return QM_OK;
}

static enum qm_status read_config(struct reader *reader, struct qm_model_config *out)
{
    double epsilon;
    QM_TRY(read_architecture(reader, &out->architecture));
    const struct qm_architecture_info *info = reader->info = qm_architecture_info(out->architecture);
    QM_TRY(check_function(reader));
    QM_TRY(read_number(reader, "hidden_size", 0, &out->own.hidden));
    uint32_t inner = out->own.hidden <= INT32_MAX / 8 ? info->usual_inner * out->own.hidden : 0;
    QM_TRY(read_number(reader, "intermediate_size", inner, &out->own.intermediate));
    QM_TRY(read_number(reader, "num_hidden_layers", 0, &out->layers));
    QM_TRY(read_number(reader, "num_attention_heads", 0, &out->heads));
    QM_TRY(read_number(reader, "num_key_value_heads", info->usual_kv_heads ? info->usual_kv_heads : out->heads,
                       &out->kv_heads));
    QM_TRY(read_number(reader, "vocab_size", 0, &out->vocabulary));
    QM_TRY(read_number(reader, "max_position_embeddings", info->usual_context, &out->context));
    uint32_t usual = info->usual_head_dim;
    if (usual == 0) {
        if (is_absent(json_object_get(reader->root, "head_dim")) && out->own.hidden % out->heads != 0)
            return QM_FAIL(QM_INVALID,
                           "%s: 'hidden_size' is %" PRIu32 ", no multiple of the %" PRIu32 " heads; give 'head_dim'",
                           reader->file, out->own.hidden, out->heads);
        usual = out->own.hidden / out->heads;
    }
    QM_TRY(read_number(reader, "head_dim", usual ? usual : 1, &out->own.head_dim));
    QM_TRY(read_real(reader, reader->root, key_in_file(reader, "rms_norm_eps"), info->usual_epsilon, &epsilon));
    QM_TRY(read_rope(reader, out));
    QM_TRY(read_window(reader, out));
    QM_TRY(read_scores(reader, out));
    QM_TRY(read_flag(reader, "tie_word_embeddings", info->usual_tied, &out->tied_head));
    QM_TRY(read_padding(reader, out));
    out->norm_epsilon = epsilon > -1 && epsilon < 2 ? (float)epsilon : 2.0f; // out of range: refused by the check
    return qm_model_config_check(out, reader->file);
}

enum qm_status qm_model_config_parse(const void *bytes, size_t count, const char *file, struct qm_model_config *out)
{
    json_error_t error;
    memset(out, 0, sizeof(*out));
    json_t *root = json_loadb(bytes, count, JSON_REJECT_DUPLICATES, &error);
    if (!root) {
        for (char *c = error.text; *c; c++)
            if ((unsigned char)*c < ' ' || *c == 0x7f)
                *c = ' ';
        return QM_FAIL(QM_INVALID, "%s:%d: no JSON: %s; correct it or get it again", file,
                       error.line > 0 ? error.line : 1, error.text);
    }
    struct reader reader = {file, root, NULL};
    enum qm_status status = json_is_object(root)
                                ? read_config(&reader, out)
                                : QM_FAIL(QM_INVALID, "%s:1: not a mapping; it should begin with '{'", file);
    json_decref(root);
    return status;
}
