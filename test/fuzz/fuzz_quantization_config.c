// libFuzzer target: bytes up to the first 0 are read as a config.json with a quantization_config, what follows as a safetensors
// file whose tensors it groups. What is accepted has values that can all be read, or a refusal of one line; what is refused has
// one line that names the file.
//
//   tools/fuzz.sh 60 quantization_config
#include "model/quantized_sets.h"
#include "model/weights.h"
#include "quant/format.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    VALUES_MAX = 1 << 16 // of a weight: more is slow and says nothing new
};

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_refusal(void)
{
    require(strncmp(qm_error_text(), "fuzz:", 5) == 0 && !strchr(qm_error_text(), '\n'));
}

static void check_accepted(const struct qm_quantization *how)
{
    char words[QM_QUANTIZATION_LINE_BYTES];
    require(how->bits >= 2 && how->bits <= 8 && how->row_block >= 1);
    require(how->text && strlen(how->text) <= QM_QUANTIZATION_TEXT_MAX);
    for (const char *c = how->text; *c; c++)
        require(*c >= ' ' && *c < 0x7f);
    qm_quantization_words(how, words);
    require(strlen(words) < sizeof(words) && !strchr(words, '\n'));
}

// The same as it is: whatever format holds it gives values that are as far from the floats as their rounding.
static void take_own_rows(const struct qm_weights_entry *entry, const float *values)
{
    const uint32_t rows = (uint32_t)entry->tensor->shape[0], columns = (uint32_t)entry->tensor->shape[1];
    const size_t count = (size_t)rows * columns;
    enum qm_weight_format format = qm_weights_own_format(entry);
    require(format < QM_WEIGHT_FORMAT_COUNT);
    struct qm_own_format with = {.weights = format}, again;
    char name[QM_OWN_FORMAT_NAME_BYTES];
    with.activations = qm_quantized_own_activations(entry->quantized, format, &with.is_static);
    require(qm_formats_multiply(format, with.activations));
    require(!with.is_static || qm_quantized_input_scale(entry->quantized) > 0);
    qm_own_format_name(&with, name);
    require(qm_own_format_find(name, &again) && again.activations == with.activations &&
            again.is_static == with.is_static);
    struct qm_encoded own = {.codes = malloc(qm_format_code_bytes(format, rows, columns)),
                             .scales = malloc(qm_format_scale_bytes(format, rows, columns) + 1),
                             .tensor_scale = 1};
    float *decoded = malloc(count * sizeof(*decoded));
    require(own.codes && own.scales && decoded);
    require(qm_weights_own_rows(entry, 0, rows, own.codes, own.scales) == QM_OK);
    qm_format_decode(format, &own, rows, columns, decoded);
    for (size_t i = 0; i < count; i++) {
        float off = decoded[i] > values[i] ? decoded[i] - values[i] : values[i] - decoded[i];
        float size = values[i] < 0 ? -values[i] : values[i];
        require(off <= size * 0x1p-8f + 0x1p-25f);
    }
    free(own.codes);
    free(own.scales);
    free(decoded);
}

static void read_values(const struct qm_weights *weights)
{
    for (size_t i = 0; i < weights->count; i++) {
        const struct qm_weights_entry *entry = &weights->entries[i];
        uint64_t count = qm_weights_value_count(entry);
        if (!entry->quantized || count > VALUES_MAX)
            continue;
        float *values = malloc((size_t)count * sizeof(*values));
        require(values != NULL);
        if (qm_weights_floats(entry, 0, (size_t)count, values) == QM_OK) {
            volatile float sum = 0;
            for (uint64_t v = 0; v < count; v++) {
                require(values[v] - values[v] == 0); // finite
                sum += values[v];
            }
            take_own_rows(entry, values);
            require(qm_weights_floats(entry, (size_t)count / 2, (size_t)(count - count / 2), values) == QM_OK);
        } else {
            check_refusal();
        }
        free(values);
    }
}

static void read_file(const uint8_t *bytes, size_t count, const struct qm_quantization *how)
{
    struct qm_weights weights = {0};
    weights.shards = calloc(1, sizeof(*weights.shards));
    require(weights.shards != NULL);
    if (qm_tensors_view(bytes, count, "fuzz", weights.shards) == QM_OK) {
        const struct qm_tensors *shard = weights.shards;
        weights.shard_count = 1;
        weights.file = strdup("fuzz");
        weights.entries = calloc(shard->count + 1, sizeof(*weights.entries));
        require(weights.file && weights.entries);
        for (; weights.count < shard->count; weights.count++) // sorted by name, as entries are
            weights.entries[weights.count] =
                (struct qm_weights_entry){.tensor = &shard->tensors[weights.count], .shard = shard};
        if (qm_quantized_group(&weights, how) == QM_OK)
            read_values(&weights);
        else
            check_refusal();
    }
    qm_weights_close(&weights);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *zero = memchr(data, 0, size);
    size_t count = zero ? (size_t)(zero - data) : size;
    struct qm_quantization how;
    if (qm_quantization_parse(data, count, "fuzz", &how) != QM_OK) {
        check_refusal();
        require(!how.text && how.method == QM_QUANTIZATION_NONE);
        return 0;
    }
    if (how.method != QM_QUANTIZATION_NONE)
        check_accepted(&how);
    if (how.method != QM_QUANTIZATION_NONE && zero)
        read_file(zero + 1, size - count - 1, &how);
    qm_quantization_free(&how);
    return 0;
}
