// Roles of weights: their names and shapes, which of them a configuration has, and in what order.
#include "model/model.h"

#include <inttypes.h>
#include <stdio.h>

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
    [QM_ROLE_POSITIONS] = {"positions", "model.embed_positions", MODEL, TABLE},
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
    [QM_ROLE_O_BIAS] = {"o_bias", "self_attn.o_proj.bias", LAYER, BIAS},
    [QM_ROLE_UP_BIAS] = {"up_bias", "mlp.up_proj.bias", LAYER, BIAS},
    [QM_ROLE_DOWN_BIAS] = {"down_bias", "mlp.down_proj.bias", LAYER, BIAS},
    [QM_ROLE_INPUT_NORM_BIAS] = {"input_norm_bias", "input_layernorm.bias", LAYER, BIAS},
    [QM_ROLE_POST_NORM_BIAS] = {"post_norm_bias", "post_attention_layernorm.bias", LAYER, BIAS},
    [QM_ROLE_ATTENTION_NORM] = {"attention_norm", "attention_output_layernorm", LAYER, NORM},
    [QM_ROLE_MLP_NORM] = {"mlp_norm", "mlp_output_layernorm", LAYER, NORM},
    [QM_ROLE_FINAL_NORM] = {"final_norm", "model.norm", MODEL, NORM},
    [QM_ROLE_FINAL_NORM_BIAS] = {"final_norm_bias", "model.norm.bias", MODEL, BIAS},
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

enum qm_role qm_role_bias(enum qm_role role)
{
    switch (role) {
    case QM_ROLE_Q:
        return QM_ROLE_Q_BIAS;
    case QM_ROLE_K:
        return QM_ROLE_K_BIAS;
    case QM_ROLE_V:
        return QM_ROLE_V_BIAS;
    case QM_ROLE_O:
        return QM_ROLE_O_BIAS;
    case QM_ROLE_UP:
        return QM_ROLE_UP_BIAS;
    case QM_ROLE_DOWN:
        return QM_ROLE_DOWN_BIAS;
    case QM_ROLE_INPUT_NORM:
        return QM_ROLE_INPUT_NORM_BIAS;
    case QM_ROLE_POST_NORM:
        return QM_ROLE_POST_NORM_BIAS;
    case QM_ROLE_FINAL_NORM:
        return QM_ROLE_FINAL_NORM_BIAS;
    default:
        return QM_ROLE_COUNT;
    }
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
    bool is_wide = qm_architecture_info(config->architecture)->has_wide_head_norm;
    *rows = 1;
    *columns = sizes->hidden;
    switch (role) {
    case QM_ROLE_EMBEDDING:
    case QM_ROLE_HEAD:
        *rows = config->vocabulary;
        break;
    case QM_ROLE_POSITIONS:
        *rows = config->context;
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
        *columns = is_wide ? query : sizes->head_dim;
        break;
    case QM_ROLE_K_NORM:
        *columns = is_wide ? key : sizes->head_dim;
        break;
    case QM_ROLE_UP_BIAS:
        *columns = sizes->intermediate;
        break;
    default: // norms and biases of the stream
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

// Roles below `end` that the configuration has, of a layer or of the model.
static size_t count_roles(const struct qm_model_config *config, enum scope scope, int end)
{
    size_t count = 0;
    for (int role = 0; role < end; ++role)
        count += roles[role].scope == scope && qm_architecture_has(config->architecture, (enum qm_role)role);
    return count;
}

size_t qm_weight_count(const struct qm_model_config *config)
{
    return (size_t)config->layers * count_roles(config, LAYER, QM_ROLE_COUNT) +
           count_roles(config, MODEL, QM_ROLE_COUNT);
}

size_t qm_weight_index(const struct qm_model_config *config, enum qm_role role, uint32_t layer)
{
    size_t before = count_roles(config, MODEL, (int)role), per_layer = count_roles(config, LAYER, QM_ROLE_COUNT);
    if (roles[role].scope == LAYER)
        return before + (size_t)layer * per_layer + count_roles(config, LAYER, (int)role);
    return before + (role >= QM_ROLE_FINAL_NORM ? (size_t)config->layers * per_layer : 0);
}

void qm_weight_at(const struct qm_model_config *config, size_t index, enum qm_role *role, uint32_t *layer)
{
    size_t before = count_roles(config, MODEL, QM_ROLE_INPUT_NORM);
    size_t per_layer = count_roles(config, LAYER, QM_ROLE_COUNT), in_layers = (size_t)config->layers * per_layer;
    bool is_of_layer = index >= before && index - before < in_layers;
    size_t left = index;
    *layer = is_of_layer ? (uint32_t)((index - before) / per_layer) : 0;
    if (is_of_layer)
        left = (index - before) % per_layer;
    else if (index >= before)
        left = index - in_layers;
    enum scope scope = is_of_layer ? LAYER : MODEL;
    int at = 0;
    while (roles[at].scope != scope || !qm_architecture_has(config->architecture, (enum qm_role)at) || left-- > 0)
        ++at;
    *role = (enum qm_role)at;
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
