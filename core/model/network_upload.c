// Weights on their way to a device: in how many parts, as what they lie there.
#include "model/engine_internal.h"

#include <stdlib.h>
#include <string.h>

#include "quant/layout.h"
#include "sys/heartbeat.h"
#include "sys/host.h"

// How often a weight's outputs and inputs are repeated in a widened model. Only the token ids are not.
static struct qm_layout_shape widened_shape(const struct qm_engine *engine, const struct qm_artifact_tensor *tensor)
{
    bool has_token_rows =
        tensor->role == QM_ROLE_HEAD || tensor->role == QM_ROLE_EMBEDDING || tensor->role == QM_ROLE_POSITIONS;
    bool is_of_head = (tensor->role == QM_ROLE_Q_NORM || tensor->role == QM_ROLE_K_NORM) &&
                      !qm_architecture_info(engine->config.architecture)->has_wide_head_norm;
    bool has_one_row = qm_role_is_vector(tensor->role);
    return (struct qm_layout_shape){tensor->rows, tensor->columns, has_token_rows || has_one_row ? 1 : engine->widen,
                                    is_of_head ? 1 : engine->widen};
}

static enum qm_status upload(struct qm_network *network, const void *data, size_t bytes, struct qm_buffer **out)
{
    struct qm_device *device = network->engine->params.device;
    qm_heartbeat_note("upload of %s", network->scheme.name);
    QM_TRY(device->fns->buffer_create(device, bytes, out));
    return network->engine->params.is_trial ? QM_OK : device->fns->buffer_write(device, *out, 0, data, bytes);
}

// Rows repeated along their columns: the embedding's, gains, static scales of activations.
static enum qm_status upload_repeated(struct qm_network *network, const void *data, size_t row_bytes, uint32_t rows,
                                      uint32_t widen, struct qm_buffer **out)
{
    size_t padded = ((size_t)rows * row_bytes * widen + 3) / 4 * 4;
    if (widen == 1 && padded == rows * row_bytes)
        return upload(network, data, padded, out);
    char *repeated = calloc(1, padded);
    if (!repeated)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory to repeat %zu bytes", row_bytes);
    for (uint32_t row = 0; row < rows; ++row)
        for (uint32_t copy = 0; copy < widen; ++copy)
            memcpy(repeated + ((size_t)row * widen + copy) * row_bytes, (const char *)data + row * row_bytes,
                   row_bytes);
    enum qm_status status = upload(network, repeated, padded, out);
    free(repeated);
    return status;
}

static uint32_t log2_steps(uint32_t values) // of 32
{
    uint32_t shift = 0;
    while (values >= 64u << shift)
        ++shift;
    return shift;
}

static enum qm_status upload_activation_scales(struct qm_network *network, const struct qm_artifact_tensor *tensor,
                                               struct qm_network_weight *weight)
{
    uint32_t count = tensor->activation_scale_count;
    weight->has_activation_groups = count > 1 || tensor->activations == QM_ACTIVATION_A4;
    if (count == 0)
        return QM_OK;
    weight->activation_scale_count = count;
    if (count > 1)
        weight->activation_shift = log2_steps(tensor->columns / count);
    return upload_repeated(network, tensor->activation_scales, count * sizeof(float), 1, network->engine->widen,
                           &weight->activation_scales);
}

// ---- Parts --------------------------------------------------------------------------------------------------------

uint32_t qm_weight_part_rows(uint32_t rows, uint32_t parts)
{
    uint32_t some = (rows + parts - 1) / parts;
    some = (some + QM_PART_ROWS - 1) / QM_PART_ROWS * QM_PART_ROWS;
    return parts > 1 && some < rows ? some : rows;
}

// Bytes that the first `rows` rows take in a buffer of their own. Linear weights are repacked; the others lie as they are.
static enum qm_status part_bytes(const struct qm_artifact_tensor *tensor, const struct qm_layout_shape *whole,
                                 uint32_t rows, uint32_t *scale_offset_words, uint64_t *bytes)
{
    struct qm_layout layout;
    if (!qm_role_is_linear(tensor->role)) {
        *scale_offset_words = 0;
        *bytes = ((uint64_t)tensor->code_bytes / tensor->rows * rows * whole->widen_k + 3) / 4 * 4;
        return QM_OK;
    }
    const struct qm_layout_shape shape = {rows < whole->n ? rows : whole->n, whole->k,
                                          rows < whole->n ? 1 : rows / whole->n, whole->widen_k};
    QM_TRY(qm_layout_plan(tensor->format, &shape, &layout));
    *scale_offset_words = (uint32_t)layout.scale_offset_words;
    *bytes = layout.bytes;
    return QM_OK;
}

// The next cut: whole copies of the narrow rows while there are several in a part, so that all parts have the same words;
// then pieces of a copy. 0: there is none.
static uint32_t next_cut(const struct qm_layout_shape *whole, uint32_t rows, uint32_t *pieces)
{
    if (rows > whole->n)
        return rows / whole->n % 2 == 0 && whole->widen_n / (rows / whole->n) < QM_WEIGHT_PARTS_MAX ? rows / 2 : 0;
    uint32_t copies = whole->widen_n;
    for (uint32_t cut; ++*pieces * copies <= QM_WEIGHT_PARTS_MAX;)
        if ((cut = qm_weight_part_rows(whole->n, *pieces)) < rows)
            return cut;
    return 0;
}

static enum qm_status fail_binding(const struct qm_engine *engine, const struct qm_artifact_tensor *tensor,
                                   bool is_part, uint64_t bytes, uint64_t most)
{
    return QM_FAIL(QM_UNSUPPORTED, "%s%s takes %llu bytes in one binding, and %s allows %llu; use %s",
                   is_part ? "a part of " : "", tensor->name, (unsigned long long)bytes,
                   engine->params.device->info->name, (unsigned long long)most,
                   engine->widen > 1 ? "a smaller widen" : "a narrower format for it, or another device");
}

static enum qm_status list_parts(const struct qm_artifact_tensor *tensor, const struct qm_layout_shape *whole,
                                 uint32_t rows, struct qm_network_weight *weight)
{
    weight->part_count = 0;
    weight->bytes = 0;
    for (uint32_t copy = 0; copy<weight->rows; copy += rows> whole->n ? rows : whole->n)
        for (uint32_t first = 0; first < whole->n; first += rows) {
            struct qm_weight_part *part = &weight->parts[weight->part_count++];
            *part = (struct qm_weight_part){.first = copy + first, .rows = rows};
            if (rows < whole->n && whole->n - first < rows)
                part->rows = whole->n - first;
            QM_TRY(part_bytes(tensor, whole, part->rows, &part->scale_offset_words, &part->bytes));
            weight->bytes += part->bytes;
        }
    return QM_OK;
}

enum qm_status qm_network_plan_weight(const struct qm_network *network, const struct qm_artifact_tensor *tensor,
                                      struct qm_network_weight *weight)
{
    const struct qm_engine *engine = network->engine;
    const struct qm_device_info *info = engine->params.device->info;
    uint64_t most =
        info->max_binding_bytes < info->max_allocation_bytes ? info->max_binding_bytes : info->max_allocation_bytes;
    const struct qm_layout_shape whole = widened_shape(engine, tensor);
    weight->rows = tensor->rows * whole.widen_n;
    weight->columns = tensor->columns * whole.widen_k;
    uint32_t rows = weight->rows, pieces = 1;
    for (;;) {
        uint64_t bytes = 0;
        uint32_t unused;
        enum qm_status status = part_bytes(tensor, &whole, rows, &unused, &bytes);
        if (status == QM_OK && bytes <= most)
            break;
        uint32_t cut = next_cut(&whole, rows, &pieces);
        if (cut == 0)
            return status != QM_OK ? status : fail_binding(engine, tensor, rows < weight->rows, bytes, most);
        rows = cut;
    }
    QM_TRY(list_parts(tensor, &whole, rows, weight));
    for (uint32_t part = 1; part < weight->part_count && qm_role_is_linear(tensor->role); ++part)
        if ((uint64_t)weight->parts[part].first * 4 % info->buffer_offset_alignment != 0)
            return QM_FAIL(QM_UNSUPPORTED,
                           "%s is more than one binding of %s holds, and a part from output %u on does not fit its "
                           "offsets in steps of %u bytes; use %s",
                           tensor->name, info->name, weight->parts[part].first, info->buffer_offset_alignment,
                           engine->widen > 1 ? "a smaller widen" : "another device");
    return QM_OK;
}

void qm_weight_part_source(const struct qm_artifact_tensor *tensor, const struct qm_network_weight *weight,
                           uint32_t part, struct qm_layout_shape *shape, struct qm_encoded *encoded)
{
    uint32_t rows = weight->parts[part].rows, first = weight->parts[part].first % tensor->rows;
    *shape = (struct qm_layout_shape){rows < tensor->rows ? rows : tensor->rows, tensor->columns,
                                      rows < tensor->rows ? 1 : rows / tensor->rows, weight->columns / tensor->columns};
    *encoded = tensor->encoded;
    encoded->codes = (char *)encoded->codes + first * qm_format_code_bytes(tensor->format, 1, tensor->columns);
    if (encoded->scales)
        encoded->scales = (char *)encoded->scales + first * qm_format_scale_bytes(tensor->format, 1, tensor->columns);
}

// ---- Upload -------------------------------------------------------------------------------------------------------

// A gain, and behind it the static scales of what the product behind the norm reads (kernels/norm_activations.h).
static enum qm_status upload_gain(struct qm_network *network, const struct qm_artifact *artifact, size_t index,
                                  enum qm_input input, uint32_t layer)
{
    const struct qm_artifact_tensor *gain = &artifact->tensors[index];
    const struct qm_artifact_tensor *reader = &artifact->tensors[qm_weight_index(
        &network->engine->config, qm_input_reader(&network->engine->config, input), layer)];
    size_t widen = network->weights[index].columns / gain->columns, count = gain->columns * widen;
    size_t scale_count = reader->activation_scale_count;
    float *values = malloc((count + scale_count * widen) * sizeof(*values));
    if (!values)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for %s", gain->name);
    for (size_t copy = 0; copy < widen; ++copy) {
        memcpy(values + copy * gain->columns, gain->encoded.codes, gain->columns * sizeof(*values));
        if (scale_count > 0)
            memcpy(values + count + copy * scale_count, reader->activation_scales, scale_count * sizeof(*values));
    }
    struct qm_weight_part *part = &network->weights[index].parts[0];
    part->bytes = (count + scale_count * widen) * sizeof(*values);
    enum qm_status status = upload(network, values, part->bytes, &part->buffer);
    free(values);
    return status;
}

// Row-major as it is: embedding f32 or f16, gains f32.
static enum qm_status upload_rows(struct qm_network *network, const struct qm_artifact_tensor *tensor,
                                  struct qm_network_weight *weight)
{
    size_t row_bytes = tensor->code_bytes / tensor->rows;
    for (uint32_t i = 0; i < weight->part_count; ++i) {
        struct qm_weight_part *part = &weight->parts[i];
        QM_TRY(upload_repeated(network, (const char *)tensor->encoded.codes + part->first * row_bytes, row_bytes,
                               part->rows, weight->columns / tensor->columns, &part->buffer));
    }
    return QM_OK;
}

enum qm_status qm_network_repack(struct qm_network *network, enum qm_weight_format format,
                                 const struct qm_layout_shape *shape, const struct qm_encoded *encoded, uint32_t *words)
{
    uint64_t begin_ns = qm_clock_ns();
    enum qm_status status = qm_layout_pack(format, shape, encoded, words);
    network->repack_ns += qm_clock_ns() - begin_ns;
    return status;
}

enum qm_status qm_network_upload_weight(struct qm_network *network, const struct qm_artifact *artifact, size_t index)
{
    const struct qm_artifact_tensor *tensor = &artifact->tensors[index];
    const struct qm_weight_codec *codec = qm_weight_codec(tensor->format);
    struct qm_network_weight *weight = &network->weights[index];
    enum qm_role role;
    uint32_t layer;
    qm_weight_at(&network->engine->config, index, &role, &layer);
    QM_TRY(qm_network_plan_weight(network, tensor, weight));
    weight->format = tensor->format;
    weight->activations = tensor->activations;
    if (role == QM_ROLE_INPUT_NORM || role == QM_ROLE_POST_NORM || role == QM_ROLE_FINAL_NORM)
        return upload_gain(network, artifact, index,
                           role == QM_ROLE_INPUT_NORM  ? QM_INPUT_ATTENTION
                           : role == QM_ROLE_POST_NORM ? QM_INPUT_MLP
                                                       : QM_INPUT_HEAD,
                           layer);
    if (!qm_role_is_linear(tensor->role))
        return upload_rows(network, tensor, weight);
    QM_TRY(upload_activation_scales(network, tensor, weight));
    weight->multiplier = tensor->encoded.tensor_scale / (float)network->engine->widen;
    if (codec->group > 0 && codec->scale != QM_SCALE_BLOCK)
        weight->weight_shift = log2_steps(codec->group);
    if (qm_network_merged_of(network, role, layer))
        return qm_network_upload_merged(network, artifact, index);
    uint32_t *words = malloc(weight->parts[0].bytes); // no other is larger
    if (!words)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory to repack %s", tensor->name);
    enum qm_status status = QM_OK;
    for (uint32_t i = 0; i < weight->part_count; ++i) {
        struct qm_weight_part *part = &weight->parts[i];
        struct qm_layout_shape shape;
        struct qm_encoded encoded;
        qm_weight_part_source(tensor, weight, i, &shape, &encoded);
        bool is_packed = i > 0 && part->rows >= tensor->rows; // whole copies are all alike
        if (!network->engine->params.is_trial && !is_packed)
            QM_GUARD(qm_network_repack(network, tensor->format, &shape, &encoded, words));
        QM_GUARD(upload(network, words, part->bytes, &part->buffer));
    }
done:
    free(words);
    return status;
}
