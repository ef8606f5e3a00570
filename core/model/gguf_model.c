// A GGUF file's tensors as a model's weights: their names, which of them lie in one tensor, the order of their rows.
#include "model/gguf_model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/gguf_rope.h"

static const char *const names[QM_ROLE_COUNT] = {
    [QM_ROLE_EMBEDDING] = "token_embd.weight",
    [QM_ROLE_POSITIONS] = "position_embd.weight",
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
    [QM_ROLE_O_BIAS] = "attn_output.bias",
    [QM_ROLE_UP_BIAS] = "ffn_up.bias",
    [QM_ROLE_DOWN_BIAS] = "ffn_down.bias",
    [QM_ROLE_INPUT_NORM_BIAS] = "attn_norm.bias",
    [QM_ROLE_POST_NORM_BIAS] = "ffn_norm.bias",
    [QM_ROLE_ATTENTION_NORM] = "post_attention_norm.weight",
    [QM_ROLE_MLP_NORM] = "post_ffw_norm.weight",
    [QM_ROLE_FINAL_NORM] = "output_norm.weight",
    [QM_ROLE_FINAL_NORM_BIAS] = "output_norm.bias",
    [QM_ROLE_HEAD] = "output.weight",
};

// Tensors that are several weights, one behind the other along their outputs.
struct fusion {
    const char *name;
    enum qm_role parts[3];
    size_t count;
};
static const struct fusion attention = {"attn_qkv.weight", {QM_ROLE_Q, QM_ROLE_K, QM_ROLE_V}, 3},
                           biases = {"attn_qkv.bias", {QM_ROLE_Q_BIAS, QM_ROLE_K_BIAS, QM_ROLE_V_BIAS}, 3},
                           gated = {"ffn_up.weight", {QM_ROLE_GATE, QM_ROLE_UP}, 2};

static void name_of(const char *name, bool is_per_layer, uint32_t layer, char out[QM_GGUF_NAME_BYTES])
{
    if (is_per_layer)
        snprintf(out, QM_GGUF_NAME_BYTES, "blk.%" PRIu32 ".%s", layer, name);
    else
        snprintf(out, QM_GGUF_NAME_BYTES, "%s", name);
}

void qm_gguf_weight_name(enum qm_role role, uint32_t layer, char name[QM_GGUF_NAME_BYTES])
{
    name_of(names[role], qm_role_is_per_layer(role), layer, name);
}

// Any architecture may have queries, keys and values in one tensor, as converters are told; some never have them apart.
static const struct fusion *find_fusion(const struct qm_gguf *gguf, const struct qm_model_config *config,
                                        enum qm_role role, uint32_t layer)
{
    const enum qm_architecture a = config->architecture;
    char name[QM_GGUF_NAME_BYTES];
    const struct fusion *fusion = NULL;
    switch (role) {
    case QM_ROLE_Q:
    case QM_ROLE_K:
    case QM_ROLE_V:
        fusion = &attention;
        break;
    case QM_ROLE_Q_BIAS:
    case QM_ROLE_K_BIAS:
    case QM_ROLE_V_BIAS:
        fusion = &biases;
        break;
    case QM_ROLE_GATE:
    case QM_ROLE_UP:
        return a == QM_ARCHITECTURE_PHI3 ? &gated : NULL;
    default:
        return NULL;
    }
    qm_gguf_weight_name(role, layer, name);
    if (qm_gguf_find_tensor(gguf, name))
        return NULL;
    name_of(fusion->name, true, layer, name);
    bool is_usual = a == QM_ARCHITECTURE_PHI3 || a == QM_ARCHITECTURE_GPT2; // and missed under this name
    return is_usual || qm_gguf_find_tensor(gguf, name) ? fusion : NULL;
}

enum qm_status qm_gguf_weight_find(const struct qm_gguf *gguf, const struct qm_model_config *config, enum qm_role role,
                                   uint32_t layer, struct qm_gguf_tensor *out, size_t *index)
{
    const struct fusion *fusion = find_fusion(gguf, config, role, layer);
    const bool is_vector = qm_role_is_vector(role);
    char name[QM_GGUF_NAME_BYTES], shape[QM_SHAPE_TEXT_BYTES];
    uint32_t rows, columns;
    name_of(fusion ? fusion->name : names[role], qm_role_is_per_layer(role), layer, name);
    qm_role_own_shape(config, role, &rows, &columns);
    uint64_t own = is_vector ? columns : rows, before = 0, all = fusion ? 0 : own; // outputs
    for (size_t i = 0; fusion && i < fusion->count; ++i) {
        uint32_t other_rows, other_columns;
        qm_role_own_shape(config, fusion->parts[i], &other_rows, &other_columns);
        uint64_t outputs = is_vector ? other_columns : other_rows;
        before += fusion->parts[i] < role ? outputs : 0; // they are in the order of the roles
        all += outputs;
    }
    const struct qm_gguf_tensor *tensor = qm_gguf_find_tensor(gguf, name);
    if (!tensor)
        return QM_FAIL(QM_INVALID, "%s: tensor '%s' is missing; get the file again, or its other parts", gguf->file,
                       name);
    if (is_vector ? tensor->rank != 1 || tensor->shape[0] != all
                  : tensor->rank != 2 || tensor->shape[0] != all || tensor->shape[1] != columns) {
        qm_shape_text(tensor->rank, tensor->shape, shape);
        return QM_FAIL(QM_INVALID, "%s: tensor '%s' is %s; the metadata make it %" PRIu64 " rows of %" PRIu64 " values",
                       gguf->file, name, shape, is_vector ? 1 : all, is_vector ? all : columns);
    }
    const uint64_t width = is_vector ? 1 : columns, block = tensor->type->block_values; // rows are whole blocks
    if (before * width % block != 0 || own * width % block != 0)
        return QM_FAIL(QM_UNSUPPORTED,
                       "%s: tensor '%s' is several vectors, whose ends are within blocks of %s; such are "
                       "read as floats alone, use a file that has it so",
                       gguf->file, name, tensor->type->name);
    *out = *tensor;
    out->shape[0] = own;
    out->first = before * width;
    out->data += out->first / block * tensor->type->block_bytes;
    out->bytes = own * width / block * tensor->type->block_bytes;
    if (index)
        *index = (size_t)(tensor - gguf->tensors);
    return QM_OK;
}

enum qm_status qm_gguf_model_check(const struct qm_gguf *gguf, const struct qm_model_config *config)
{
    enum qm_status status = QM_OK;
    bool *is_used = calloc(gguf->tensor_count + 1, sizeof(*is_used));
    if (!is_used)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for a list of its tensors", gguf->file);
    for (size_t i = 0; i < qm_weight_count(config); ++i) {
        enum qm_role role;
        uint32_t layer;
        struct qm_gguf_tensor tensor;
        size_t index = 0;
        qm_weight_at(config, i, &role, &layer);
        if (role == QM_ROLE_HEAD && config->tied_head)
            continue;
        QM_GUARD(qm_gguf_weight_find(gguf, config, role, layer, &tensor, &index));
        is_used[index] = true;
    }
    for (size_t t = 0; t < gguf->tensor_count; ++t)
        if (!is_used[t] && !qm_gguf_rope_is_tensor(gguf->tensors[t].name)) // whose values were looked at
            QM_GUARD(QM_FAIL(
                QM_INVALID,
                "%s: tensor '%s' is no part of a model of its architecture; only whole models without additions "
                "can be run",
                gguf->file, gguf->tensors[t].name));
done:
    free(is_used);
    return status;
}

uint32_t qm_gguf_turned_width(const struct qm_model_config *config, enum qm_role role)
{
    bool is_turned = config->architecture == QM_ARCHITECTURE_LLAMA || config->architecture == QM_ARCHITECTURE_MISTRAL;
    return is_turned && (role == QM_ROLE_Q || role == QM_ROLE_K) ? config->own.head_dim : 0;
}

uint32_t qm_gguf_turned_row(uint32_t width, uint32_t row)
{
    uint32_t half = width / 2, within = row % width;
    return row - within + within % half * 2 + within / half;
}
