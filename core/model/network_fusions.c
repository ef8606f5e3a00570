// What a network's passes do at once: conversions in the kernel that makes an input, and weights that read the same input in
// one buffer, so that they are one product. A layout on the device only: artifacts know nothing of it.
#include "model/engine_internal.h"

#include <stdlib.h>

#include "base/numeric.h"
#include "sys/heartbeat.h"

enum {
    READERS = 3,
    SCALE_ALIGNMENT_WORDS = QM_SCALE_ALIGNMENT / 4
};

struct readers {
    enum qm_role roles[READERS];
    size_t count;
};

static struct readers readers_of(const struct qm_model_config *config, enum qm_input input)
{
    static const struct readers all[QM_INPUT_COUNT] = {
        [QM_INPUT_ATTENTION] = {{QM_ROLE_Q, QM_ROLE_K, QM_ROLE_V}, 3},
        [QM_INPUT_ATTENTION_OUTPUT] = {{QM_ROLE_O}, 1},
        [QM_INPUT_MLP] = {{QM_ROLE_GATE, QM_ROLE_UP}, 2},
        [QM_INPUT_DOWN] = {{QM_ROLE_DOWN}, 1},
        [QM_INPUT_HEAD] = {{QM_ROLE_HEAD}, 1},
    };
    struct readers readers = {0};
    for (size_t i = 0; i < all[input].count; ++i)
        if (qm_architecture_has(config->architecture, all[input].roles[i]))
            readers.roles[readers.count++] = all[input].roles[i];
    return readers;
}

enum qm_role qm_input_reader(const struct qm_model_config *config, enum qm_input input)
{
    return readers_of(config, input).roles[0];
}

static const struct qm_network_weight *weight_of(const struct qm_network *network, enum qm_role role, uint32_t layer)
{
    return &network->weights[qm_weight_index(&network->engine->config, role, layer)];
}

bool qm_weight_has_conversion_of(const struct qm_network_weight *weight, const struct qm_network_weight *other)
{
    return weight->activations == other->activations && weight->has_activation_groups == other->has_activation_groups &&
           weight->activation_shift == other->activation_shift &&
           !weight->activation_scales == !other->activation_scales;
}

// Whether a kernel makes the input and converts it, too: of RMSNorm and of SwiGLU there is one.
static bool has_fused_maker(const struct qm_model_config *config, enum qm_input input)
{
    static const enum qm_role makers[QM_INPUT_COUNT] = {[QM_INPUT_ATTENTION] = QM_ROLE_INPUT_NORM,
                                                        [QM_INPUT_ATTENTION_OUTPUT] = QM_ROLE_COUNT,
                                                        [QM_INPUT_MLP] = QM_ROLE_POST_NORM,
                                                        [QM_INPUT_DOWN] = QM_ROLE_GATE,
                                                        [QM_INPUT_HEAD] = QM_ROLE_FINAL_NORM};
    const struct qm_architecture_info *info = qm_architecture_info(config->architecture);
    return qm_architecture_has(config->architecture, makers[input]) &&
           (input == QM_INPUT_DOWN ? info->mlp == QM_MLP_SILU : !info->has_layer_norm);
}

bool qm_network_fuses_input(const struct qm_network *network, enum qm_input input, uint32_t layer)
{
    const struct qm_model_config *config = &network->engine->config;
    const struct readers readers = readers_of(config, input);
    const struct qm_network_weight *first = weight_of(network, readers.roles[0], layer);
    bool fuses = !network->engine->params.is_unfused && has_fused_maker(config, input) &&
                 first->activations != QM_ACTIVATION_F32;
    for (size_t i = 1; i < readers.count; ++i)
        fuses = fuses && qm_weight_has_conversion_of(weight_of(network, readers.roles[i], layer), first);
    return fuses;
}

// ---- Merged weights -----------------------------------------------------------------------------------------------

static enum qm_input input_of(enum qm_merge merge)
{
    return merge == QM_MERGE_QKV ? QM_INPUT_ATTENTION : QM_INPUT_MLP;
}

static const struct qm_artifact_tensor *tensor_of(const struct qm_network *network, const struct qm_artifact *artifact,
                                                  enum qm_role role, uint32_t layer)
{
    return &artifact->tensors[qm_weight_index(&network->engine->config, role, layer)];
}

// One product takes both: equal but in their rows, and whole panels.
static bool can_follow(const struct qm_artifact_tensor *tensor, const struct qm_artifact_tensor *first)
{
    return tensor->format == first->format && tensor->activations == first->activations &&
           tensor->columns == first->columns && tensor->rows % QM_PANEL_ROWS == 0 &&
           qm_bits_from_float(tensor->encoded.tensor_scale) == qm_bits_from_float(first->encoded.tensor_scale) &&
           tensor->activation_scale_count == first->activation_scale_count;
}

// A tensor's part of a merged buffer, in words.
struct section {
    size_t code_words, scale_words;
};

static enum qm_status section_of(const struct qm_artifact_tensor *tensor, struct section *out)
{
    struct qm_layout layout;
    QM_TRY(qm_layout_plan(tensor->format, &(struct qm_layout_shape){tensor->rows, tensor->columns, 1, 1}, &layout));
    *out = (struct section){layout.code_words, layout.words - layout.scale_offset_words};
    return QM_OK;
}

static enum qm_status plan(const struct qm_network *network, const struct qm_artifact *artifact, enum qm_merge merge,
                           uint32_t layer, struct qm_network_weight *out)
{
    const struct qm_engine *engine = network->engine;
    const struct qm_device_info *info = engine->params.device->info;
    const struct readers readers = readers_of(&engine->config, input_of(merge));
    if (readers.count < 2)
        return QM_OK;
    const struct qm_artifact_tensor *first = tensor_of(network, artifact, readers.roles[0], layer);
    uint64_t codes = 0, scales = 0, rows = 0;
    for (size_t i = 0; i < readers.count; ++i) {
        const struct qm_artifact_tensor *tensor = tensor_of(network, artifact, readers.roles[i], layer);
        struct section section;
        QM_TRY(section_of(tensor, &section));
        if (!can_follow(tensor, first))
            return QM_OK;
        codes += section.code_words;
        scales += section.scale_words;
        rows += tensor->rows;
    }
    uint64_t most =
        info->max_binding_bytes < info->max_allocation_bytes ? info->max_binding_bytes : info->max_allocation_bytes;
    uint64_t scale_offset = (codes + SCALE_ALIGNMENT_WORDS - 1) / SCALE_ALIGNMENT_WORDS * SCALE_ALIGNMENT_WORDS;
    uint64_t bytes = (scale_offset + scales) * 4;
    if (bytes > most || scale_offset + scales > UINT32_MAX || rows * engine->params.rows * 4 > most)
        return QM_OK;
    out->rows = (uint32_t)rows;
    out->columns = first->columns;
    out->bytes = bytes;
    out->parts[0] =
        (struct qm_weight_part){.rows = (uint32_t)rows, .scale_offset_words = (uint32_t)scale_offset, .bytes = bytes};
    out->part_count = 1;
    return engine->params.device->fns->buffer_create(engine->params.device, bytes, &out->parts[0].buffer);
}

enum qm_status qm_network_plan_merged(struct qm_network *network, const struct qm_artifact *artifact)
{
    const struct qm_engine *engine = network->engine;
    network->merged = calloc(engine->config.layers, sizeof(*network->merged));
    if (!network->merged)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for %u layers", engine->config.layers);
    if (engine->params.is_unfused || engine->widen > 1)
        return QM_OK;
    bool is_plain = !qm_architecture_has(engine->config.architecture, QM_ROLE_Q_BIAS) &&
                    !qm_architecture_has(engine->config.architecture, QM_ROLE_Q_NORM);
    for (uint32_t layer = 0; layer < engine->config.layers; ++layer) {
        if (is_plain)
            QM_TRY(plan(network, artifact, QM_MERGE_QKV, layer, &network->merged[layer][QM_MERGE_QKV]));
        QM_TRY(plan(network, artifact, QM_MERGE_GATE_UP, layer, &network->merged[layer][QM_MERGE_GATE_UP]));
    }
    return QM_OK;
}

struct qm_network_weight *qm_network_merged_of(const struct qm_network *network, enum qm_role role, uint32_t layer)
{
    for (int merge = 0; merge < QM_MERGE_COUNT; ++merge) {
        const struct readers readers = readers_of(&network->engine->config, input_of((enum qm_merge)merge));
        for (size_t i = 0; i < readers.count; ++i)
            if (readers.roles[i] == role && network->merged[layer][merge].part_count > 0)
                return &network->merged[layer][merge];
    }
    return NULL;
}

enum qm_status qm_network_upload_merged(struct qm_network *network, const struct qm_artifact *artifact, size_t index)
{
    struct qm_device *device = network->engine->params.device;
    const struct qm_artifact_tensor *tensor = &artifact->tensors[index];
    const struct qm_network_weight *weight = &network->weights[index];
    enum qm_role role;
    uint32_t layer;
    qm_weight_at(&network->engine->config, index, &role, &layer);
    struct qm_network_weight *merged = qm_network_merged_of(network, role, layer);
    const struct readers readers = readers_of(
        &network->engine->config, merged == &network->merged[layer][QM_MERGE_QKV] ? QM_INPUT_ATTENTION : QM_INPUT_MLP);
    size_t code_from = 0, scale_from = merged->parts[0].scale_offset_words;
    struct section section;
    for (size_t i = 0; readers.roles[i] != role; ++i) {
        QM_TRY(section_of(tensor_of(network, artifact, readers.roles[i], layer), &section));
        code_from += section.code_words;
        scale_from += section.scale_words;
    }
    QM_TRY(section_of(tensor, &section));
    if (code_from == 0) { // what is the same of all
        const struct qm_weight_part part = merged->parts[0];
        const uint64_t bytes = merged->bytes;
        const uint32_t rows = merged->rows;
        *merged = *weight;
        merged->parts[0] = part;
        merged->part_count = 1;
        merged->bytes = bytes;
        merged->rows = rows;
    }
    if (network->engine->params.is_trial)
        return QM_OK;
    qm_heartbeat_note("upload of %s", network->scheme.name);
    uint32_t *words = malloc(weight->parts[0].bytes);
    if (!words)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory to repack %s", tensor->name);
    enum qm_status status;
    struct qm_layout_shape shape;
    struct qm_encoded encoded;
    qm_weight_part_source(tensor, weight, 0, &shape, &encoded);
    QM_GUARD(qm_network_repack(network, tensor->format, &shape, &encoded, words));
    QM_GUARD(device->fns->buffer_write(device, merged->parts[0].buffer, code_from * 4, words, section.code_words * 4));
    if (section.scale_words > 0)
        QM_GUARD(device->fns->buffer_write(device, merged->parts[0].buffer, scale_from * 4,
                                           words + weight->parts[0].scale_offset_words, section.scale_words * 4));
done:
    free(words);
    return status;
}
