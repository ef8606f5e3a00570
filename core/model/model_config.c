// What follows from a configuration: padding, widening, windows, frequencies; the configuration as text.
#include "base/numeric.h"
#include "model/model.h"
#include "record/node.h"

#include <inttypes.h>
#include <math.h> // sqrt, which IEEE 754 rounds correctly; nothing else
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LIMIT_WIDTH 65536u // hidden, intermediate, heads * head_dim
#define LIMIT_LAYERS 1024u
#define LIMIT_VOCABULARY 1048576u
#define LIMIT_CONTEXT (1u << 24)
#define LIMIT_HEAD 256u

static uint32_t round_up(uint32_t value, uint32_t multiple)
{
    return (value + multiple - 1) / multiple * multiple;
}

void qm_model_config_pad(struct qm_model_config *config, uint32_t multiple)
{
    config->hidden = round_up(config->own.hidden, multiple);
    config->intermediate = round_up(config->own.intermediate, multiple);
    config->head_dim = config->own.head_dim > 128 ? 256 : round_up(config->own.head_dim, 64);
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
    if (config->head_dim == 192)
        return QM_FAIL(QM_INVALID, "%s: 'head_dim' is padded to 192; that must be 64, 128 or 256", file);
    return QM_OK;
}

static enum qm_status check_attention(const struct qm_model_config *config, const char *file)
{
    const struct {
        const char *key;
        double value, usual;
    } numbers[] = {{"attn_logit_softcapping", config->score_cap, 50},
                   {"final_logit_softcapping", config->logit_cap, 30},
                   {"query_pre_attn_scalar", config->score_width, 256},
                   {"rope_local_base_freq", config->local_theta, 10000}};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (numbers[i].value < 0 || numbers[i].value > 1e12 || (numbers[i].value > 0 && numbers[i].value < 1e-3))
            return QM_FAIL(QM_INVALID, "%s: '%s' is %g; it must be above 0, such as %g", file, numbers[i].key,
                           numbers[i].value, numbers[i].usual);
    return QM_OK;
}

static enum qm_status check_long_rope(const struct qm_model_config *config, const char *file)
{
    for (uint32_t i = 0; i < config->own.head_dim / 2; i++) // LIMIT_HEAD / 2 at most
        if (!(config->rope_divisors[i] >= 1e-3 && config->rope_divisors[i] <= 1e6))
            return QM_FAIL(QM_INVALID, "%s: 'short_factor' has %g at %" PRIu32 "; it must be a divisor, such as 1.05",
                           file, config->rope_divisors[i], i);
    if (!(config->rope_attention > 0 && config->rope_attention <= 100))
        return QM_FAIL(QM_INVALID, "%s: 'attention_factor' is %g; it must be above 0, such as 1.19", file,
                       config->rope_attention);
    return QM_OK;
}

static enum qm_status check_rope(const struct qm_model_config *config, const char *file)
{
    if (!(config->rope_theta > 1 && config->rope_theta < 1e12))
        return QM_FAIL(QM_INVALID, "%s: 'rope_theta' is %g; it must be above 1, such as 10000", file,
                       config->rope_theta);
    if (config->rope_scaling == QM_ROPE_LONG)
        return check_long_rope(config, file);
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
    QM_TRY(check_attention(config, file));
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

uint32_t qm_model_window(const struct qm_model_config *config, uint32_t layer)
{
    bool sees_all = config->window_every > 0 ? (layer + 1) % config->window_every == 0 : layer < config->window_from;
    return sees_all ? 0 : config->window;
}

double qm_model_score_scale(const struct qm_model_config *config)
{
    double scale = 1 / sqrt(config->score_width > 0 ? config->score_width : config->own.head_dim);
    return config->rope_scaling == QM_ROPE_LONG ? scale * config->rope_attention * config->rope_attention : scale;
}

float qm_model_embedding_scale(const struct qm_model_config *config, uint32_t widen)
{
    bool is_scaled = qm_architecture_info(config->architecture)->scales_embedding;
    return is_scaled ? (float)sqrt((double)config->own.hidden / widen) : 1;
}

uint32_t qm_model_rope_tables(const struct qm_model_config *config)
{
    return config->local_theta > 0 ? 2 : 1;
}

uint32_t qm_model_rope_table(const struct qm_model_config *config, uint32_t layer)
{
    return config->local_theta > 0 && qm_model_window(config, layer) > 0;
}

double qm_model_rope_frequency(const struct qm_model_config *config, uint32_t table, uint32_t i)
{
    double theta = table > 0 ? config->local_theta : config->rope_theta;
    double frequency = qm_exp(-qm_log(theta) * (2.0 * i / config->own.head_dim));
    if (qm_architecture_info(config->architecture)->has_no_rotary)
        return 0;
    if (config->rope_scaling == QM_ROPE_PLAIN || table > 0)
        return frequency;
    if (config->rope_scaling == QM_ROPE_LINEAR)
        return frequency / config->rope_factor;
    if (config->rope_scaling == QM_ROPE_LONG)
        return frequency / config->rope_divisors[i];
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

// Of an architecture that has none: nothing.
static void add_cap(struct text *text, const char *key, double usual, double cap)
{
    if (usual >= 0 && cap > 0)
        add_real(text, key, cap);
    else if (usual >= 0)
        add(text, ",\"%s\":null", key);
}

static void add_long_rope(struct text *text, const struct qm_model_config *config)
{
    char number[QM_DOUBLE_TEXT_BYTES];
    qm_double_text(config->rope_attention, number);
    add(text, ",\"rope_scaling\":{\"attention_factor\":%s,\"original_max_position_embeddings\":%" PRIu32, number,
        config->rope_context);
    add(text, ",\"rope_type\":\"longrope\",\"short_factor\":[");
    for (uint32_t i = 0; i < config->own.head_dim / 2; i++) {
        qm_double_text(config->rope_divisors[i], number);
        add(text, "%s%s", i > 0 ? "," : "", number);
    }
    add(text, "]}");
}

void qm_model_config_text(const struct qm_model_config *config, char text[QM_MODEL_CONFIG_TEXT_BYTES])
{
    const struct qm_architecture_info *info = qm_architecture_info(config->architecture);
    struct text t = {text, 0};
    add(&t, "{\"architectures\":[\"%s\"]", info->name);
    add_cap(&t, "attn_logit_softcapping", info->usual_score_cap, config->score_cap);
    add_cap(&t, "final_logit_softcapping", info->usual_logit_cap, config->logit_cap);
    add(&t,
        ",\"head_dim\":%" PRIu32 ",\"hidden_size\":%" PRIu32 ",\"intermediate_size\":%" PRIu32
        ",\"max_position_embeddings\":%" PRIu32,
        config->own.head_dim, config->own.hidden, config->own.intermediate, config->context);
    if (config->window > 0 && config->window_from > 0)
        add(&t, ",\"max_window_layers\":%" PRIu32, config->window_from);
    add(&t, ",\"num_attention_heads\":%" PRIu32 ",\"num_hidden_layers\":%" PRIu32 ",\"num_key_value_heads\":%" PRIu32,
        config->heads, config->layers, config->kv_heads);
    if (qm_model_config_is_padded(config))
        add(&t,
            ",\"qmark_padding\":{\"attention_width\":%" PRIu32 ",\"head_dim\":%" PRIu32 ",\"hidden_size\":%" PRIu32
            ",\"intermediate_size\":%" PRIu32 "}",
            config->attention, config->head_dim, config->hidden, config->intermediate);
    if (info->usual_score_width > 0)
        add_real(&t, "query_pre_attn_scalar", config->score_width);
    add_real(&t, "rms_norm_eps", (double)config->norm_epsilon);
    if (info->usual_local_theta > 0)
        add_real(&t, "rope_local_base_freq", config->local_theta);
    if (config->rope_scaling == QM_ROPE_LONG)
        add_long_rope(&t, config);
    else if (config->rope_scaling != QM_ROPE_PLAIN) {
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
    if (config->window_every > 0)
        add(&t, ",\"sliding_window_pattern\":%" PRIu32, config->window_every);
    add(&t, ",\"tie_word_embeddings\":%s", config->tied_head ? "true" : "false");
    if (info->window_switch && config->window > 0)
        add(&t, ",\"%s\":true", info->window_switch);
    add(&t, ",\"vocab_size\":%" PRIu32 "}", config->vocabulary);
}
