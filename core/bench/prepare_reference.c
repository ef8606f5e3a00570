#include "bench/prepare_reference.h"

#include <inttypes.h>

#include "sys/file.h"

// What makes two files one model, quantized or not. What else they say (names, frequencies of the rotary embedding) is theirs: a
// reference that computes another function has a divergence that nobody overlooks.
static enum qm_status check_shapes(const struct qm_model_config *model, const struct qm_model_config *reference,
                                   const char *path)
{
    const struct {
        const char *key;
        uint32_t model, reference;
    } sizes[] = {
        {"vocab_size", model->vocabulary, reference->vocabulary},
        {"hidden_size", model->own.hidden, reference->own.hidden},
        {"intermediate_size", model->own.intermediate, reference->own.intermediate},
        {"num_hidden_layers", model->layers, reference->layers},
        {"num_attention_heads", model->heads, reference->heads},
        {"num_key_value_heads", model->kv_heads, reference->kv_heads},
        {"head_dim", model->own.head_dim, reference->own.head_dim},
    };
    if (model->architecture != reference->architecture)
        return QM_FAIL(QM_INVALID, "--reference %s: is a %s, and the model is a %s; name the model that it was made of",
                       path, qm_architecture_info(reference->architecture)->title,
                       qm_architecture_info(model->architecture)->title);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); ++i)
        if (sizes[i].model != sizes[i].reference)
            return QM_FAIL(QM_INVALID,
                           "--reference %s: '%s' is %" PRIu32 ", and the model's is %" PRIu32
                           "; name the model that it was made of",
                           path, sizes[i].key, sizes[i].reference, sizes[i].model);
    return QM_OK;
}

enum qm_status qm_preparation_read_reference(const struct qm_preparation_params *params,
                                             struct qm_preparation *preparation)
{
    const char *path = params->reference;
    if (!path)
        return QM_OK;
    if (!preparation->is_users_model)
        return QM_FAIL(QM_INVALID, "--reference %s: the built-in model is its own reference; leave it out", path);
    const struct qm_model_load_params load = {.multiple = 32,
                                              .layers = (uint32_t)params->layers,
                                              .cache_directory = params->cache_directory,
                                              .whole_bytes = QM_MODEL_WHOLE_BYTES};
    enum qm_status status = qm_model_load_with(path, &load, &preparation->reference_model);
    if (status == QM_UNSUPPORTED)
        status = QM_INVALID; // as of the model
    if (status != QM_OK) {
        qm_error_prefix("--reference ");
        return status;
    }
    if (qm_model_is_quantized(preparation->reference_model))
        return QM_FAIL(
            QM_INVALID,
            "--reference %s: somebody quantized it, so that it is no reference; name the F16, BF16 or F32 model "
            "that the quantized one was made of",
            path);
    const struct qm_model_config *config = &preparation->reference_model->config;
    QM_TRY(check_shapes(&preparation->model->config, config, path));
    if (config->context < preparation->profile.evaluation.window_tokens)
        return QM_FAIL(QM_INVALID,
                       "--reference %s: windows of %u tokens exceed its context of %" PRIu32
                       "; make window_tokens smaller",
                       path, preparation->profile.evaluation.window_tokens, config->context);
    return QM_OK;
}
