// What a model is made of: reading config.json, and the roles, names and shapes that follow from it.
#include "base/numeric.h"
#include "model/model.h"
#include "record/node.h"

#include <jansson.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARCHITECTURE "LlamaForCausalLM"
#define LIMIT_WIDTH 65536u // hidden, intermediate, heads * head_dim
#define LIMIT_LAYERS 1024u
#define LIMIT_VOCABULARY 1048576u
#define LIMIT_CONTEXT 1048576u

enum scope {
    MODEL,
    LAYER
};
enum kind {
    TABLE,
    NORM,
    LINEAR
};

// The order of the rows within a scope is the order of weights; see qm_weight_at.
static const struct {
    const char *name;
    const char *weight; // behind "model.layers.L." for weights of a layer
    enum scope scope;
    enum kind kind;
} roles[QM_ROLE_COUNT] = {
    [QM_ROLE_EMBEDDING] = {"embedding", "model.embed_tokens", MODEL, TABLE},
    [QM_ROLE_INPUT_NORM] = {"input_norm", "input_layernorm", LAYER, NORM},
    [QM_ROLE_Q] = {"q", "self_attn.q_proj", LAYER, LINEAR},
    [QM_ROLE_K] = {"k", "self_attn.k_proj", LAYER, LINEAR},
    [QM_ROLE_V] = {"v", "self_attn.v_proj", LAYER, LINEAR},
    [QM_ROLE_O] = {"o", "self_attn.o_proj", LAYER, LINEAR},
    [QM_ROLE_POST_NORM] = {"post_norm", "post_attention_layernorm", LAYER, NORM},
    [QM_ROLE_GATE] = {"gate", "mlp.gate_proj", LAYER, LINEAR},
    [QM_ROLE_UP] = {"up", "mlp.up_proj", LAYER, LINEAR},
    [QM_ROLE_DOWN] = {"down", "mlp.down_proj", LAYER, LINEAR},
    [QM_ROLE_FINAL_NORM] = {"final_norm", "model.norm", MODEL, NORM},
    [QM_ROLE_HEAD] = {"head", "lm_head", MODEL, LINEAR},
};

#define ROLES_PER_LAYER (QM_ROLE_DOWN - QM_ROLE_INPUT_NORM + 1)

const char *qm_role_name(enum qm_role role)
{
    return roles[role].name;
}

bool qm_role_is_linear(enum qm_role role)
{
    return roles[role].kind == LINEAR;
}

bool qm_role_is_norm(enum qm_role role)
{
    return roles[role].kind == NORM;
}

bool qm_role_is_per_layer(enum qm_role role)
{
    return roles[role].scope == LAYER;
}

void qm_role_weight_name(enum qm_role role, uint32_t layer, char name[QM_WEIGHT_NAME_BYTES])
{
    if (roles[role].scope == LAYER)
        snprintf(name, QM_WEIGHT_NAME_BYTES, "model.layers.%" PRIu32 ".%s", layer, roles[role].weight);
    else
        snprintf(name, QM_WEIGHT_NAME_BYTES, "%s", roles[role].weight);
}

void qm_role_shape(const struct qm_model_config *config, enum qm_role role, uint32_t *rows, uint32_t *columns)
{
    uint32_t query = config->heads * config->head_dim, cache = config->kv_heads * config->head_dim;
    *rows = 1;
    *columns = config->hidden;
    if (role == QM_ROLE_EMBEDDING || role == QM_ROLE_HEAD)
        *rows = config->vocabulary;
    else if (role == QM_ROLE_Q)
        *rows = query;
    else if (role == QM_ROLE_K || role == QM_ROLE_V)
        *rows = cache;
    else if (role == QM_ROLE_GATE || role == QM_ROLE_UP)
        *rows = config->intermediate;
    else if (role == QM_ROLE_O || role == QM_ROLE_DOWN)
        *rows = config->hidden;
    if (role == QM_ROLE_O)
        *columns = query;
    else if (role == QM_ROLE_DOWN)
        *columns = config->intermediate;
}

size_t qm_weight_count(const struct qm_model_config *config)
{
    return (size_t)config->layers * ROLES_PER_LAYER + 3;
}

size_t qm_weight_index(const struct qm_model_config *config, enum qm_role role, uint32_t layer)
{
    if (roles[role].scope == LAYER)
        return 1 + (size_t)layer * ROLES_PER_LAYER + (size_t)(role - QM_ROLE_INPUT_NORM);
    if (role == QM_ROLE_EMBEDDING)
        return 0;
    return qm_weight_count(config) - (role == QM_ROLE_HEAD ? 1 : 2);
}

void qm_weight_at(const struct qm_model_config *config, size_t index, enum qm_role *role, uint32_t *layer)
{
    size_t count = qm_weight_count(config);
    *layer = 0;
    if (index == 0) {
        *role = QM_ROLE_EMBEDDING;
    } else if (index + 2 >= count) {
        *role = index + 1 == count ? QM_ROLE_HEAD : QM_ROLE_FINAL_NORM;
    } else {
        *layer = (uint32_t)((index - 1) / ROLES_PER_LAYER);
        *role = (enum qm_role)(QM_ROLE_INPUT_NORM + (index - 1) % ROLES_PER_LAYER);
    }
}

enum qm_status qm_model_config_check(const struct qm_model_config *config, const char *file)
{
    if (config->head_dim != QM_HEAD_DIM)
        return QM_FAIL(QM_UNSUPPORTED, "%s: 'head_dim' is %" PRIu32 "; the kernels are made for %d, use such a model",
                       file, config->head_dim, QM_HEAD_DIM);
    const struct {
        const char *key;
        uint32_t value, most, multiple;
    } numbers[] = {
        {"hidden_size", config->hidden, LIMIT_WIDTH, 32},
        {"intermediate_size", config->intermediate, LIMIT_WIDTH, 32},
        {"num_hidden_layers", config->layers, LIMIT_LAYERS, 1},
        {"num_attention_heads", config->heads, LIMIT_WIDTH / QM_HEAD_DIM, 1},
        {"num_key_value_heads", config->kv_heads, LIMIT_WIDTH / QM_HEAD_DIM, 1},
        {"vocab_size", config->vocabulary, LIMIT_VOCABULARY, 1},
        {"max_position_embeddings", config->context, LIMIT_CONTEXT, 1},
    };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (numbers[i].value < 1 || numbers[i].value > numbers[i].most)
            return QM_FAIL(QM_INVALID, "%s: '%s' is %" PRIu32 "; it must be between 1 and %" PRIu32, file,
                           numbers[i].key, numbers[i].value, numbers[i].most);
        if (numbers[i].value % numbers[i].multiple != 0)
            return QM_FAIL(QM_UNSUPPORTED,
                           "%s: '%s' is %" PRIu32 "; the kernels need a multiple of %" PRIu32 ", use such a model",
                           file, numbers[i].key, numbers[i].value, numbers[i].multiple);
    }
    if (config->heads % config->kv_heads != 0)
        return QM_FAIL(QM_INVALID,
                       "%s: 'num_key_value_heads' is %" PRIu32 "; it must divide num_attention_heads, %" PRIu32, file,
                       config->kv_heads, config->heads);
    if (!(config->norm_epsilon > 0 && config->norm_epsilon < 1))
        return QM_FAIL(QM_INVALID, "%s: 'rms_norm_eps' is %g; it must be between 0 and 1, such as 1e-6", file,
                       (double)config->norm_epsilon);
    if (!(config->rope_theta > 1 && config->rope_theta < 1e12))
        return QM_FAIL(QM_INVALID, "%s: 'rope_theta' is %g; it must be above 1, such as 10000", file,
                       config->rope_theta);
    return QM_OK;
}

enum qm_status qm_model_config_widen(const struct qm_model_config *config, uint32_t r, struct qm_model_config *out)
{
    *out = *config;
    uint32_t widest = config->hidden > config->intermediate ? config->hidden : config->intermediate;
    widest = widest > config->heads * QM_HEAD_DIM ? widest : config->heads * QM_HEAD_DIM;
    if (r == 0 || r > LIMIT_WIDTH / widest)
        return QM_FAIL(QM_INVALID, "widen %" PRIu32 " makes the widest layer more than %d values; use at most %" PRIu32,
                       r, (int)LIMIT_WIDTH, (uint32_t)(LIMIT_WIDTH / widest));
    out->hidden *= r;
    out->intermediate *= r;
    out->heads *= r;
    out->kv_heads *= r;
    return QM_OK;
}

static uint64_t count_values(const struct qm_model_config *config, bool only_linear)
{
    uint64_t count = 0;
    for (int role = 0; role < QM_ROLE_COUNT; ++role) {
        uint32_t rows, columns;
        qm_role_shape(config, (enum qm_role)role, &rows, &columns);
        if (roles[role].kind == LINEAR || !only_linear)
            count += (uint64_t)rows * columns * (roles[role].scope == LAYER ? config->layers : 1);
    }
    return count;
}

uint64_t qm_model_config_weights(const struct qm_model_config *config)
{
    return count_values(config, false);
}

uint64_t qm_model_config_linear_weights(const struct qm_model_config *config)
{
    return count_values(config, true);
}

void qm_model_config_text(const struct qm_model_config *config, char text[QM_MODEL_CONFIG_TEXT_BYTES])
{
    char epsilon[QM_DOUBLE_TEXT_BYTES], theta[QM_DOUBLE_TEXT_BYTES];
    qm_double_text((double)config->norm_epsilon, epsilon);
    qm_double_text(config->rope_theta, theta);
    snprintf(text, QM_MODEL_CONFIG_TEXT_BYTES,
             "{\"architectures\":[\"" ARCHITECTURE "\"],\"head_dim\":%" PRIu32 ",\"hidden_size\":%" PRIu32
             ",\"intermediate_size\":%" PRIu32 ",\"max_position_embeddings\":%" PRIu32
             ",\"num_attention_heads\":%" PRIu32 ",\"num_hidden_layers\":%" PRIu32 ",\"num_key_value_heads\":%" PRIu32
             ",\"rms_norm_eps\":%s,\"rope_theta\":%s,\"tie_word_embeddings\":%s,\"vocab_size\":%" PRIu32 "}",
             config->head_dim, config->hidden, config->intermediate, config->context, config->heads, config->layers,
             config->kv_heads, epsilon, theta, config->tied_head ? "true" : "false", config->vocabulary);
}

// Reading config.json ---------------------------------------------------------------------------------------------

struct reader {
    const char *file;
    const json_t *root;
};

static bool is_absent(const json_t *value)
{
    return !value || json_is_null(value);
}

// `otherwise` 0: the key must be there.
static enum qm_status read_number(const struct reader *reader, const char *key, uint32_t otherwise, uint32_t *out)
{
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

// Absent or false; `tied` wants the value, the others must not be true.
static enum qm_status read_flag(const struct reader *reader, const char *key, bool *out)
{
    const json_t *value = json_object_get(reader->root, key);
    *out = json_is_true(value);
    if (!is_absent(value) && !json_is_boolean(value))
        return QM_FAIL(QM_INVALID, "%s: '%s' is neither true nor false; make it one of them", reader->file, key);
    return QM_OK;
}

static const char *printable(const char *text)
{
    for (const char *c = text; c && *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            return "?";
    return text;
}

static enum qm_status check_architecture(const struct reader *reader)
{
    const json_t *list = json_object_get(reader->root, "architectures");
    const char *name = json_string_value(json_array_get(list, 0));
    if (!name || json_array_size(list) != 1)
        return QM_FAIL(QM_INVALID,
                       "%s: 'architectures' does not name one architecture; it should be [\"" ARCHITECTURE "\"]",
                       reader->file);
    if (strcmp(name, ARCHITECTURE) != 0)
        return QM_FAIL(QM_UNSUPPORTED,
                       "%s: 'architectures' is %.64s; only " ARCHITECTURE " can be run, use such a model", reader->file,
                       printable(name));
    return QM_OK;
}

// Keys that would change the function, unless they have the value that goes without saying.
static enum qm_status check_function(const struct reader *reader)
{
    static const char *const flags[] = {"attention_bias", "mlp_bias"};
    static const char *const nulls[] = {"rope_scaling", "quantization_config", "sliding_window"};
    double factor;
    bool flag;
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        QM_TRY(read_flag(reader, flags[i], &flag));
        if (flag)
            return QM_FAIL(QM_UNSUPPORTED, "%s: '%s' is true; models with biases cannot be run, use one without",
                           reader->file, flags[i]);
    }
    for (size_t i = 0; i < sizeof(nulls) / sizeof(nulls[0]); i++)
        if (!is_absent(json_object_get(reader->root, nulls[i])))
            return QM_FAIL(QM_UNSUPPORTED, "%s: '%s' is set and cannot be honoured; use a model where it is null",
                           reader->file, nulls[i]);
    const json_t *act = json_object_get(reader->root, "hidden_act");
    if (!is_absent(act) && (!json_is_string(act) || strcmp(json_string_value(act), "silu") != 0))
        return QM_FAIL(QM_UNSUPPORTED, "%s: 'hidden_act' is not silu; only that can be run, use such a model",
                       reader->file);
    QM_TRY(read_real(reader, reader->root, "partial_rotary_factor", 1.0, &factor));
    if (factor != 1.0)
        return QM_FAIL(QM_UNSUPPORTED, "%s: 'partial_rotary_factor' is %g; only 1 can be run, use such a model",
                       reader->file, factor);
    return QM_OK;
}

// rope_theta stands at the top or, in newer files, in rope_parameters.
static enum qm_status read_rope(const struct reader *reader, double *theta)
{
    const json_t *parameters = json_object_get(reader->root, "rope_parameters");
    QM_TRY(read_real(reader, reader->root, "rope_theta", 10000.0, theta));
    if (is_absent(parameters))
        return QM_OK;
    const char *type = json_string_value(json_object_get(parameters, "rope_type"));
    if (!json_is_object(parameters) || (type && strcmp(type, "default") != 0))
        return QM_FAIL(QM_UNSUPPORTED,
                       "%s: 'rope_parameters' are not of type default; use a model without rope scaling", reader->file);
    return read_real(reader, parameters, "rope_theta", *theta, theta);
}

static enum qm_status read_config(const struct reader *reader, struct qm_model_config *out)
{
    double epsilon;
    QM_TRY(check_architecture(reader));
    QM_TRY(check_function(reader));
    QM_TRY(read_number(reader, "hidden_size", 0, &out->hidden));
    QM_TRY(read_number(reader, "intermediate_size", 0, &out->intermediate));
    QM_TRY(read_number(reader, "num_hidden_layers", 0, &out->layers));
    QM_TRY(read_number(reader, "num_attention_heads", 0, &out->heads));
    QM_TRY(read_number(reader, "num_key_value_heads", out->heads, &out->kv_heads));
    QM_TRY(read_number(reader, "vocab_size", 0, &out->vocabulary));
    QM_TRY(read_number(reader, "max_position_embeddings", 2048, &out->context));
    if (is_absent(json_object_get(reader->root, "head_dim")) && out->hidden % out->heads != 0)
        return QM_FAIL(QM_INVALID,
                       "%s: 'hidden_size' is %" PRIu32 ", no multiple of the %" PRIu32 " heads; give 'head_dim'",
                       reader->file, out->hidden, out->heads);
    uint32_t usual = out->hidden / out->heads;
    QM_TRY(read_number(reader, "head_dim", usual ? usual : 1, &out->head_dim));
    QM_TRY(read_real(reader, reader->root, "rms_norm_eps", 1e-6, &epsilon));
    QM_TRY(read_rope(reader, &out->rope_theta));
    QM_TRY(read_flag(reader, "tie_word_embeddings", &out->tied_head));
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
    struct reader reader = {file, root};
    enum qm_status status = json_is_object(root)
                                ? read_config(&reader, out)
                                : QM_FAIL(QM_INVALID, "%s:1: not a mapping; it should begin with '{'", file);
    json_decref(root);
    return status;
}
