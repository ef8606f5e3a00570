// Roles, names and shapes that follow from a configuration; padding, widening; the configuration as text.
#include "base/numeric.h"
#include "model/model.h"
#include "record/node.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LIMIT_WIDTH 65536u // hidden, intermediate, heads * head_dim
#define LIMIT_LAYERS 1024u
#define LIMIT_VOCABULARY 1048576u
#define LIMIT_CONTEXT (1u << 24)
#define LIMIT_HEAD 128u

enum scope {
    MODEL,
    LAYER
};
enum kind {
    TABLE,
    NORM,
    BIAS,
    LINEAR
};

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
    [QM_ROLE_Q_BIAS] = {"q_bias", "self_attn.q_proj.bias", LAYER, BIAS},
    [QM_ROLE_K_BIAS] = {"k_bias", "self_attn.k_proj.bias", LAYER, BIAS},
    [QM_ROLE_V_BIAS] = {"v_bias", "self_attn.v_proj.bias", LAYER, BIAS},
    [QM_ROLE_Q_NORM] = {"q_norm", "self_attn.q_norm", LAYER, NORM},
    [QM_ROLE_K_NORM] = {"k_norm", "self_attn.k_norm", LAYER, NORM},
    [QM_ROLE_FINAL_NORM] = {"final_norm", "model.norm", MODEL, NORM},
    [QM_ROLE_HEAD] = {"head", "lm_head", MODEL, LINEAR},
};

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

bool qm_role_is_vector(enum qm_role role)
{
    return roles[role].kind == NORM || roles[role].kind == BIAS;
}

const char *qm_role_name_ending(enum qm_role role)
{
    return roles[role].kind == BIAS ? "" : ".weight";
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

struct sizes {
    uint32_t hidden, intermediate, head_dim, attention;
};

static void shape_of(const struct qm_model_config *config, const struct sizes *sizes, enum qm_role role, uint32_t *rows,
                     uint32_t *columns)
{
    uint32_t query = config->heads * sizes->head_dim, key = config->kv_heads * sizes->head_dim;
    *rows = 1;
    *columns = sizes->hidden;
    switch (role) {
    case QM_ROLE_EMBEDDING:
    case QM_ROLE_HEAD:
        *rows = config->vocabulary;
        break;
    case QM_ROLE_Q:
        *rows = query;
        break;
    case QM_ROLE_K:
    case QM_ROLE_V:
        *rows = key;
        break;
    case QM_ROLE_O:
        *rows = sizes->hidden;
        *columns = sizes->attention;
        break;
    case QM_ROLE_GATE:
    case QM_ROLE_UP:
        *rows = sizes->intermediate;
        break;
    case QM_ROLE_DOWN:
        *rows = sizes->hidden;
        *columns = sizes->intermediate;
        break;
    case QM_ROLE_Q_BIAS:
        *columns = query;
        break;
    case QM_ROLE_K_BIAS:
    case QM_ROLE_V_BIAS:
        *columns = key;
        break;
    case QM_ROLE_Q_NORM:
    case QM_ROLE_K_NORM:
        *columns = sizes->head_dim;
        break;
    default: // norms of the stream
        break;
    }
}

void qm_role_shape(const struct qm_model_config *config, enum qm_role role, uint32_t *rows, uint32_t *columns)
{
    const struct sizes sizes = {config->hidden, config->intermediate, config->head_dim, config->attention};
    shape_of(config, &sizes, role, rows, columns);
}

void qm_role_own_shape(const struct qm_model_config *config, enum qm_role role, uint32_t *rows, uint32_t *columns)
{
    const struct qm_model_sizes *own = &config->own;
    const struct sizes sizes = {own->hidden, own->intermediate, own->head_dim, config->heads * own->head_dim};
    shape_of(config, &sizes, role, rows, columns);
}

static bool is_of_layer(const struct qm_model_config *config, int role)
{
    return roles[role].scope == LAYER && qm_architecture_has(config->architecture, (enum qm_role)role);
}

// Weights of a layer whose roles come before `end`.
static size_t layer_weights(const struct qm_model_config *config, int end)
{
    size_t count = 0;
    for (int role = 0; role < end; ++role)
        count += is_of_layer(config, role);
    return count;
}

size_t qm_weight_count(const struct qm_model_config *config)
{
    return (size_t)config->layers * layer_weights(config, QM_ROLE_COUNT) + 3;
}

size_t qm_weight_index(const struct qm_model_config *config, enum qm_role role, uint32_t layer)
{
    if (roles[role].scope == LAYER)
        return 1 + (size_t)layer * layer_weights(config, QM_ROLE_COUNT) + layer_weights(config, (int)role);
    if (role == QM_ROLE_EMBEDDING)
        return 0;
    return qm_weight_count(config) - (role == QM_ROLE_HEAD ? 1 : 2);
}

void qm_weight_at(const struct qm_model_config *config, size_t index, enum qm_role *role, uint32_t *layer)
{
    size_t per_layer = layer_weights(config, QM_ROLE_COUNT), count = (size_t)config->layers * per_layer + 3;
    *layer = 0;
    if (index == 0) {
        *role = QM_ROLE_EMBEDDING;
    } else if (index + 2 >= count) {
        *role = index + 1 == count ? QM_ROLE_HEAD : QM_ROLE_FINAL_NORM;
    } else {
        *layer = (uint32_t)((index - 1) / per_layer);
        size_t left = (index - 1) % per_layer;
        int at = 0;
        while (!is_of_layer(config, at) || left-- > 0)
            ++at;
        *role = (enum qm_role)at;
    }
}

static uint32_t round_up(uint32_t value, uint32_t multiple)
{
    return (value + multiple - 1) / multiple * multiple;
}

void qm_model_config_pad(struct qm_model_config *config, uint32_t multiple)
{
    config->hidden = round_up(config->own.hidden, multiple);
    config->intermediate = round_up(config->own.intermediate, multiple);
    config->head_dim = round_up(config->own.head_dim, 64);
    config->attention = round_up(config->heads * config->head_dim, multiple);
}

bool qm_model_config_is_padded(const struct qm_model_config *config)
{
    return config->hidden != config->own.hidden || config->intermediate != config->own.intermediate ||
           config->head_dim != config->own.head_dim || config->attention != config->heads * config->head_dim;
}

void qm_model_config_padding_text(const struct qm_model_config *config, char text[QM_PADDING_TEXT_BYTES])
{
    const struct {
        const char *key;
        uint32_t own, padded;
    } sizes[] = {{"hidden_size", config->own.hidden, config->hidden},
                 {"intermediate_size", config->own.intermediate, config->intermediate},
                 {"head_dim", config->own.head_dim, config->head_dim},
                 {"attention output", config->heads * config->head_dim, config->attention}};
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        if (sizes[i].own != sizes[i].padded)
            used += (size_t)snprintf(text + used, QM_PADDING_TEXT_BYTES - used, "%s%s %" PRIu32 " as %" PRIu32,
                                     used ? ", " : "", sizes[i].key, sizes[i].own, sizes[i].padded);
}

static enum qm_status check_padding(const struct qm_model_config *config, const char *file)
{
    const struct {
        const char *key;
        uint32_t own, padded, multiple;
    } sizes[] = {
        {"hidden_size", config->own.hidden, config->hidden, 32},
        {"intermediate_size", config->own.intermediate, config->intermediate, 32},
        {"head_dim", config->own.head_dim, config->head_dim, 64},
        {"attention_width", config->heads * config->head_dim, config->attention, 32},
    };
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint32_t most = i == 2 ? LIMIT_HEAD : LIMIT_WIDTH;
        if (sizes[i].padded < sizes[i].own || sizes[i].padded % sizes[i].multiple != 0 || sizes[i].padded > most)
            return QM_FAIL(QM_INVALID,
                           "%s: '%s' of %" PRIu32 " is padded to %" PRIu32 "; that must be a multiple of %" PRIu32
                           ", at least as much, and at most %" PRIu32,
                           file, sizes[i].key, sizes[i].own, sizes[i].padded, sizes[i].multiple, most);
    }
    return QM_OK;
}

static enum qm_status check_rope(const struct qm_model_config *config, const char *file)
{
    if (!(config->rope_theta > 1 && config->rope_theta < 1e12))
        return QM_FAIL(QM_INVALID, "%s: 'rope_theta' is %g; it must be above 1, such as 10000", file,
                       config->rope_theta);
    if (config->rope_scaling != QM_ROPE_PLAIN && !(config->rope_factor >= 1 && config->rope_factor <= 1e6))
        return QM_FAIL(QM_INVALID, "%s: 'factor' of the rope scaling is %g; it must be 1 or more, such as 8", file,
                       config->rope_factor);
    if (config->rope_scaling == QM_ROPE_LLAMA3 &&
        !(config->rope_low > 0 && config->rope_high > config->rope_low && config->rope_high <= 1e6 &&
          config->rope_context >= 1 && config->rope_context <= LIMIT_CONTEXT))
        return QM_FAIL(QM_INVALID,
                       "%s: 'low_freq_factor' %g, 'high_freq_factor' %g and 'original_max_position_embeddings' %" PRIu32
                       " do not go together; Llama 3.1 has 1, 4 and 8192",
                       file, config->rope_low, config->rope_high, config->rope_context);
    return QM_OK;
}

enum qm_status qm_model_config_check(const struct qm_model_config *config, const char *file)
{
    const struct {
        const char *key;
        uint32_t value, most;
    } numbers[] = {
        {"hidden_size", config->own.hidden, LIMIT_WIDTH},
        {"intermediate_size", config->own.intermediate, LIMIT_WIDTH},
        {"num_hidden_layers", config->layers, LIMIT_LAYERS},
        {"num_attention_heads", config->heads, LIMIT_WIDTH / 64},
        {"num_key_value_heads", config->kv_heads, LIMIT_WIDTH / 64},
        {"vocab_size", config->vocabulary, LIMIT_VOCABULARY},
        {"max_position_embeddings", config->context, LIMIT_CONTEXT},
    };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (numbers[i].value < 1 || numbers[i].value > numbers[i].most)
            return QM_FAIL(QM_INVALID, "%s: '%s' is %" PRIu32 "; it must be between 1 and %" PRIu32, file,
                           numbers[i].key, numbers[i].value, numbers[i].most);
    if (config->own.head_dim % 2 != 0 || config->own.head_dim < 2 || config->own.head_dim > LIMIT_HEAD)
        return QM_FAIL(QM_UNSUPPORTED,
                       "%s: 'head_dim' is %" PRIu32 "; the kernels take even ones from 2 to %u, use such a model", file,
                       config->own.head_dim, LIMIT_HEAD);
    QM_TRY(check_padding(config, file));
    if (config->heads % config->kv_heads != 0)
        return QM_FAIL(QM_INVALID,
                       "%s: 'num_key_value_heads' is %" PRIu32 "; it must divide num_attention_heads, %" PRIu32, file,
                       config->kv_heads, config->heads);
    if (!(config->norm_epsilon > 0 && config->norm_epsilon < 1))
        return QM_FAIL(QM_INVALID, "%s: 'rms_norm_eps' is %g; it must be between 0 and 1, such as 1e-6", file,
                       (double)config->norm_epsilon);
    return check_rope(config, file);
}

enum qm_status qm_model_config_widen(const struct qm_model_config *config, uint32_t r, struct qm_model_config *out)
{
    *out = *config;
    uint32_t widest = config->hidden > config->intermediate ? config->hidden : config->intermediate;
    widest = widest > config->attention ? widest : config->attention;
    if (widest == 0)
        return QM_FAIL(QM_INVALID, "a model of no size cannot be widened");
    if (r == 0 || r > LIMIT_WIDTH / widest)
        return QM_FAIL(QM_INVALID, "widen %" PRIu32 " makes the widest layer more than %d values; use at most %" PRIu32,
                       r, (int)LIMIT_WIDTH, (uint32_t)(LIMIT_WIDTH / widest));
    if (r > 1 && config->attention != config->heads * config->head_dim)
        return QM_FAIL(QM_UNSUPPORTED,
                       "widen %" PRIu32 ": %" PRIu32 " heads of %" PRIu32 " values are padded to %" PRIu32
                       " for the schemes' groups, and copies of them would not lie side by side; use smaller groups",
                       r, config->heads, config->head_dim, config->attention);
    out->hidden *= r;
    out->own.hidden *= r;
    out->intermediate *= r;
    out->own.intermediate *= r;
    out->heads *= r;
    out->kv_heads *= r;
    out->attention *= r;
    return QM_OK;
}

enum counted {
    ALL,
    IN_PRODUCTS,
    OWN
};

static uint64_t count_values(const struct qm_model_config *config, enum counted counted)
{
    uint64_t count = 0;
    for (int i = 0; i < QM_ROLE_COUNT; ++i) {
        enum qm_role role = (enum qm_role)i;
        uint32_t rows, columns;
        if (counted == OWN)
            qm_role_own_shape(config, role, &rows, &columns);
        else
            qm_role_shape(config, role, &rows, &columns);
        if (qm_architecture_has(config->architecture, role) && (roles[i].kind == LINEAR || counted != IN_PRODUCTS))
            count += (uint64_t)rows * columns * (roles[i].scope == LAYER ? config->layers : 1);
    }
    return count;
}

uint64_t qm_model_config_weights(const struct qm_model_config *config)
{
    return count_values(config, ALL);
}

uint64_t qm_model_config_linear_weights(const struct qm_model_config *config)
{
    return count_values(config, IN_PRODUCTS);
}

uint64_t qm_model_config_own_weights(const struct qm_model_config *config)
{
    return count_values(config, OWN);
}

double qm_model_rope_frequency(const struct qm_model_config *config, uint32_t i)
{
    double frequency = qm_exp(-qm_log(config->rope_theta) * (2.0 * i / config->own.head_dim));
    if (config->rope_scaling == QM_ROPE_LINEAR)
        return frequency / config->rope_factor;
    if (config->rope_scaling == QM_ROPE_PLAIN)
        return frequency;
    // How many waves the original context holds: below rope_low of them a wave is long, above rope_high it is short.
    double waves = config->rope_context * frequency / 6.283185307179586;
    double share = (waves - config->rope_low) / (config->rope_high - config->rope_low);
    share = share < 0 ? 0 : share > 1 ? 1 : share;
    return (1 - share) * frequency / config->rope_factor + share * frequency;
}

struct text {
    char *to;
    size_t used;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int count = vsnprintf(text->to + text->used, QM_MODEL_CONFIG_TEXT_BYTES - text->used, format, arguments);
    va_end(arguments);
    if (count > 0 && (size_t)count < QM_MODEL_CONFIG_TEXT_BYTES - text->used)
        text->used += (size_t)count;
}

static void add_real(struct text *text, const char *key, double value)
{
    char number[QM_DOUBLE_TEXT_BYTES];
    qm_double_text(value, number);
    add(text, ",\"%s\":%s", key, number);
}

void qm_model_config_text(const struct qm_model_config *config, char text[QM_MODEL_CONFIG_TEXT_BYTES])
{
    const struct qm_architecture_info *info = qm_architecture_info(config->architecture);
    struct text t = {text, 0};
    add(&t,
        "{\"architectures\":[\"%s\"],\"head_dim\":%" PRIu32 ",\"hidden_size\":%" PRIu32
        ",\"intermediate_size\":%" PRIu32 ",\"max_position_embeddings\":%" PRIu32,
        info->name, config->own.head_dim, config->own.hidden, config->own.intermediate, config->context);
    if (config->window > 0 && config->window_from > 0)
        add(&t, ",\"max_window_layers\":%" PRIu32, config->window_from);
    add(&t, ",\"num_attention_heads\":%" PRIu32 ",\"num_hidden_layers\":%" PRIu32 ",\"num_key_value_heads\":%" PRIu32,
        config->heads, config->layers, config->kv_heads);
    if (qm_model_config_is_padded(config))
        add(&t,
            ",\"qmark_padding\":{\"attention_width\":%" PRIu32 ",\"head_dim\":%" PRIu32 ",\"hidden_size\":%" PRIu32
            ",\"intermediate_size\":%" PRIu32 "}",
            config->attention, config->head_dim, config->hidden, config->intermediate);
    add_real(&t, "rms_norm_eps", (double)config->norm_epsilon);
    if (config->rope_scaling != QM_ROPE_PLAIN) {
        char factor[QM_DOUBLE_TEXT_BYTES];
        qm_double_text(config->rope_factor, factor);
        add(&t, ",\"rope_scaling\":{\"factor\":%s", factor);
        if (config->rope_scaling == QM_ROPE_LLAMA3) {
            add_real(&t, "high_freq_factor", config->rope_high);
            add_real(&t, "low_freq_factor", config->rope_low);
            add(&t, ",\"original_max_position_embeddings\":%" PRIu32, config->rope_context);
        }
        add(&t, ",\"rope_type\":\"%s\"}", config->rope_scaling == QM_ROPE_LINEAR ? "linear" : "llama3");
    }
    add_real(&t, "rope_theta", config->rope_theta);
    if (info->has_window && (config->window > 0 || !info->window_switch)) {
        if (config->window > 0)
            add(&t, ",\"sliding_window\":%" PRIu32, config->window);
        else
            add(&t, ",\"sliding_window\":null");
    }
    add(&t, ",\"tie_word_embeddings\":%s", config->tied_head ? "true" : "false");
    if (info->window_switch && config->window > 0)
        add(&t, ",\"%s\":true", info->window_switch);
    add(&t, ",\"vocab_size\":%" PRIu32 "}", config->vocabulary);
}
