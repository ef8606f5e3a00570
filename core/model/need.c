#include "model/need.h"

#include <stdio.h>

#include "model/engine_internal.h"
#include "quant/layout.h"

enum {
    KEY_BLOCK = 32 // tokens, QM_KV_BLOCK of kernels/kv_format.h
};

static uint64_t align_words(uint64_t words)
{
    return (words + 63) / 64 * 64;
}

bool qm_cache_has_key_blocks(const struct qm_scheme *scheme)
{
    return scheme->kv == QM_KV_KIVI4 || scheme->kv == QM_KV_KIVI2;
}

void qm_cache_plan(const struct qm_model_config *config, const struct qm_scheme *scheme, uint32_t sequences,
                   struct qm_cache_plan *out)
{
    uint64_t context = config->context, head = config->head_dim, heads = config->kv_heads;
    bool has_blocks = qm_cache_has_key_blocks(scheme);
    bool has_scales = has_blocks || scheme->kv == QM_KV_KV8 || scheme->kv == QM_KV_KV4;
    out->codes_each = heads * context * head * qm_kv_format_info(scheme->kv)->bits / 32;
    out->v_scales_each = has_scales ? heads * context : 0;
    out->k_scales_each = has_blocks ? heads * ((context + KEY_BLOCK - 1) / KEY_BLOCK) * head : out->v_scales_each;
    uint64_t codes = align_words(sequences * out->codes_each), v_scales = align_words(sequences * out->v_scales_each),
             k_scales = align_words(sequences * out->k_scales_each);
    if (has_blocks || scheme->kv_last > 0)
        out->exact_length = config->context;
    else
        out->exact_length = scheme->kv_first < context ? scheme->kv_first : config->context;
    out->exact_each = heads * out->exact_length * head / 2;
    uint64_t exact = align_words(sequences * out->exact_each);
    uint64_t quantized = 2 * codes + k_scales + v_scales;
    out->k_base = 0;
    out->k_scale_base = codes;
    out->v_base = codes + k_scales;
    out->v_scale_base = 2 * codes + k_scales;
    out->k_exact_base = quantized;
    out->v_exact_base = quantized + exact;
    uint64_t kept = (uint64_t)scheme->kv_first + scheme->kv_last + (has_blocks ? KEY_BLOCK : 0);
    kept = kept < context ? kept : context;
    out->kept_words = quantized + 2 * sequences * heads * kept * head / 2;
    out->words = quantized + 2 * exact;
}

static void raise_binding(struct qm_need *need, uint64_t bytes, const char *of)
{
    if (bytes <= need->binding_bytes)
        return;
    need->binding_bytes = bytes;
    snprintf(need->binding_of, sizeof(need->binding_of), "%s", of);
}

// Bytes of the first `rows` rows as they lie on a device.
static enum qm_status weight_bytes(const struct qm_artifact_tensor *tensor, uint32_t rows, uint64_t *bytes)
{
    struct qm_layout layout;
    *bytes = (tensor->code_bytes / tensor->rows * rows + 3) / 4 * 4;
    if (qm_role_is_linear(tensor->role)) {
        QM_TRY(qm_layout_plan(tensor->format, &(struct qm_layout_shape){rows, tensor->columns, 1, 1}, &layout));
        *bytes = layout.bytes;
    }
    return QM_OK;
}

// Cut into as many parts as may be where one binding does not hold it; each part is padded on its own, which is as good as
// nothing.
static enum qm_status add_weight(const struct qm_artifact_tensor *tensor, struct qm_need *need)
{
    uint64_t bytes, part;
    QM_TRY(weight_bytes(tensor, tensor->rows, &bytes));
    QM_TRY(weight_bytes(tensor, qm_weight_part_rows(tensor->rows, QM_WEIGHT_PARTS_MAX), &part));
    raise_binding(need, part, tensor->name);
    need->weight_bytes += bytes + tensor->activation_scale_count * sizeof(float);
    return QM_OK;
}

enum qm_status qm_need_find(const struct qm_engine_params *params, const struct qm_scheme *scheme, struct qm_need *out)
{
    struct qm_model_config config = params->config;
    struct qm_artifact *outline = NULL;
    struct qm_cache_plan cache;
    *out = (struct qm_need){.scratch_bytes = qm_engine_scratch_bytes(params)};
    config.context = params->context ? params->context : config.context;
    qm_cache_plan(&config, scheme, params->sequences, &cache);
    out->cache_bytes = cache.words * 4 * config.layers;
    QM_TRY(qm_artifact_outline(scheme, &params->config, &outline)); // with positions of all of the model's context
    enum qm_status status = QM_OK;
    for (size_t i = 0; i < outline->tensor_count && status == QM_OK; ++i)
        status = add_weight(&outline->tensors[i], out);
    raise_binding(out, cache.words * 4, "the KV cache of a layer");
    qm_artifact_destroy(&outline);
    return status;
}
