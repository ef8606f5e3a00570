// What a directory of Hugging Face's says of its quantization.
#include "model/disclosure_internal.h"

#include "model/disclosure.h"
#include "model/json_bound.h"
#include "model/safetensors.h"
#include "record/node.h"
#include "sys/file.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_BYTES_MAX ((size_t)4 << 20)
#define CONFIG_TEXT_MAX ((size_t)16 << 10) // of quantization_config, to be told whole
#define TEXT_BYTES 4096

struct reader {
    const char *directory;
    struct qm_node *claim;
    json_t *config;           // config.json, owned
    json_t *other;            // of a file of its own, owned; NULL: none
    const json_t *quantized;  // quantization_config, within one of the two; NULL: none
    const char *quantized_in; // the file
    char method[64];          // as it stands there; "" where it is not told
};

static enum qm_status load(const char *directory, const char *name, json_t **out)
{
    char path[QM_PATH_BYTES];
    void *bytes = NULL;
    size_t count = 0;
    json_error_t error;
    *out = NULL;
    QM_TRY(qm_path_join(path, directory, name));
    if (!qm_file_exists(path))
        return QM_OK;
    QM_TRY(qm_file_read(path, FILE_BYTES_MAX, &bytes, &count));
    enum qm_status status = QM_OK;
    if (!qm_json_is_bounded(bytes, count))
        status = QM_FAIL(QM_INVALID, "%s: more than %u values; this is no configuration", path, QM_JSON_VALUES_MAX);
    else if (!(*out = json_loadb(bytes, count, JSON_REJECT_DUPLICATES, &error)))
        status = QM_FAIL(QM_INVALID, "%s:%d: %s; expected a JSON object", path, error.line, error.text);
    else if (!json_is_object(*out))
        status = QM_FAIL(QM_INVALID, "%s:1: no object; expected a JSON object", path);
    free(bytes);
    return status;
}

// ---- Values ---------------------------------------------------------------------------------------------------------

static const json_t *first_of(const json_t *object, const char *const *keys)
{
    for (; *keys; keys++) {
        const json_t *value = json_object_get(object, *keys);
        if (value && !json_is_null(value))
            return value;
    }
    return NULL;
}
#define FIRST(object, ...) first_of(object, (const char *const[]){__VA_ARGS__, NULL})

// A value on one line: texts as they are, lists with commas, all else as JSON. Cut off at `size`.
static const char *text_of(const json_t *value, char *out, size_t size)
{
    out[0] = '\0';
    if (json_is_string(value)) {
        snprintf(out, size, "%s", json_string_value(value));
    } else if (json_is_array(value)) {
        size_t index, used = 0;
        const json_t *item;
        json_array_foreach(value, index, item)
        {
            char text[256];
            used +=
                (size_t)snprintf(out + used, size - used, "%s%s", index ? ", " : "", text_of(item, text, sizeof(text)));
            if (used >= size)
                break;
        }
    } else if (value) {
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        snprintf(out, size, "%s", text ? text : "");
        free(text);
    }
    return out;
}

static void set_value(struct qm_node *mapping, const char *key, const json_t *value)
{
    char text[TEXT_BYTES];
    if (json_is_integer(value) && json_integer_value(value) >= 0)
        qm_node_set_u64(mapping, key, (uint64_t)json_integer_value(value));
    else if (value && !json_is_null(value))
        qm_disclose_text(mapping, key, text_of(value, text, sizeof(text)));
}

// ---- Formats of weights, activations and cache ----------------------------------------------------------------------

// "int4", "float8", "nf4" of what holds bits and a type in one of the ways that programs have; "" where it is not told.
static void format_of(const json_t *q, char *out, size_t size)
{
    char type[64] = "", bits[32] = "";
    const json_t *kind = FIRST(q, "type", "fmt", "data_format", "weights_dtype", "weight_dtype", "w_dtype");
    const json_t *width = FIRST(q, "num_bits", "bits", "w_bit", "nbits", "wbits", "weight_bits");
    out[0] = '\0';
    if (json_is_true(json_object_get(q, "load_in_4bit")))
        kind = FIRST(q, "bnb_4bit_quant_type");
    else if (json_is_true(json_object_get(q, "load_in_8bit")) || json_is_true(json_object_get(q, "_load_in_8bit")))
        snprintf(out, size, "int8");
    if (out[0])
        return;
    if (json_is_string(kind))
        text_of(kind, type, sizeof(type));
    if (json_is_integer(width))
        text_of(width, bits, sizeof(bits));
    if (type[0] && bits[0] && !strpbrk(type, "0123456789"))
        snprintf(out, size, "%s%s", type, bits);
    else if (type[0])
        snprintf(out, size, "%s", type);
    else if (bits[0])
        snprintf(out, size, "int%s", bits);
}

// Symmetric or not, in the words of programs: `sym`, `symmetric`, or its opposite `zero_point`.
static const char *storage_of(const json_t *q)
{
    const json_t *symmetric = FIRST(q, "sym", "symmetric", "is_symmetric");
    const json_t *zero_point = FIRST(q, "zero_point");
    if (json_is_boolean(symmetric))
        return json_is_true(symmetric) ? "symmetric" : "asymmetric, with zero points";
    if (json_is_boolean(zero_point))
        return json_is_true(zero_point) ? "asymmetric, with zero points" : "symmetric";
    return NULL;
}

static void scales_of(const json_t *q, char *out, size_t size)
{
    const json_t *group = FIRST(q, "group_size", "q_group_size", "weight_group_size");
    const json_t *block = FIRST(q, "weight_block_size", "block_structure");
    const char *strategy = json_string_value(json_object_get(q, "strategy"));
    char text[128];
    out[0] = '\0';
    if (json_is_integer(group) && json_integer_value(group) > 0)
        snprintf(out, size, "one per %" JSON_INTEGER_FORMAT " values of a row", json_integer_value(group));
    else if (json_is_integer(group) && !strategy)
        snprintf(out, size, "one per row");
    else if (json_is_array(block))
        snprintf(out, size, "one per block of %s values", text_of(block, text, sizeof(text)));
    else if (strategy)
        snprintf(out, size, "one per %s", strcmp(strategy, "channel") == 0 ? "row" : strategy);
    size_t used = strlen(out);
    const json_t *dynamic = json_object_get(q, "dynamic");
    if (json_is_boolean(dynamic) && used + 16 < size)
        snprintf(out + used, size - used, "%s%s", used ? ", " : "", json_is_true(dynamic) ? "dynamic" : "static");
    else if (json_is_string(dynamic) && used + 16 < size)
        snprintf(out + used, size - used, "%s%.8s", used ? ", " : "", json_string_value(dynamic));
}

// One tensor kind of the mapping that tells of it; null there means that it is not quantized.
static void tell_kind(struct qm_node *precision, const char *key, const json_t *q)
{
    char text[256];
    if (!q)
        return;
    struct qm_node *node = qm_node_child(precision, key);
    if (!qm_node_is_mapping(node))
        node = qm_node_add_mapping(precision, key);
    if (json_is_null(q)) {
        qm_node_set_text(node, "format", "not quantized");
        qm_node_set_text(node, "storage", "none");
        qm_node_set_text(node, "scales", "none");
        return;
    }
    format_of(q, text, sizeof(text));
    qm_disclose_text(node, "format", text);
    qm_disclose_text(node, "storage", storage_of(q));
    scales_of(q, text, sizeof(text));
    qm_disclose_text(node, "scales", text);
    const json_t *group = FIRST(q, "group_size", "q_group_size", "weight_group_size");
    const json_t *bits = FIRST(q, "num_bits", "bits", "w_bit", "nbits", "wbits", "weight_bits");
    if (json_is_integer(group) && json_integer_value(group) > 0)
        qm_node_set_u64(node, "group_size", (uint64_t)json_integer_value(group));
    if (json_is_integer(bits) && json_integer_value(bits) > 0)
        qm_node_set_u64(node, "bits", (uint64_t)json_integer_value(bits));
}

// Several groups of layers with schemes of their own: each as it stands.
static void tell_groups(struct qm_node *precision, const json_t *groups)
{
    const char *name;
    json_t *group;
    size_t count = json_object_size(groups);
    json_object_foreach((json_t *)groups, name, group)
    {
        const json_t *weights = json_object_get(group, "weights"), *input = json_object_get(group, "input_activations");
        if (count == 1) {
            tell_kind(precision, "weights", weights);
            tell_kind(precision, "activations", input);
            return;
        }
        char text[TEXT_BYTES], key[80];
        snprintf(key, sizeof(key), "%.64s", name);
        qm_disclose_text(qm_node_child(precision, "weights"), key, text_of(weights, text, sizeof(text)));
        qm_disclose_text(precision, key, text_of(input, text, sizeof(text)));
    }
    if (count > 1)
        qm_node_set_textf(qm_node_child(precision, "weights"), "format", "%zu groups of layers, each its own", count);
}

static void tell_precision(const struct reader *reader)
{
    const json_t *q = reader->quantized, *groups = json_object_get(q, "config_groups");
    struct qm_node *precision = qm_node_child(reader->claim, "precision");
    const char *scheme = json_string_value(json_object_get(q, "activation_scheme"));
    char text[256];
    set_value(precision, "label", FIRST(q, "quant_algo", "quant_method"));
    if (json_is_object(groups))
        tell_groups(precision, groups);
    else
        tell_kind(precision, "weights", q);
    struct qm_node *weights = qm_node_child(precision, "weights");
    if (!qm_node_child(weights, "format") && strstr(reader->method, "fp8"))
        qm_node_set_text(weights, "format", "float8");
    else if (!qm_node_child(weights, "format") && json_object_get(q, "quant_algo"))
        set_value(weights, "format", json_object_get(q, "quant_algo"));
    set_value(weights, "layout", FIRST(q, "checkpoint_format", "format", "version"));
    if (json_is_true(json_object_get(q, "bnb_4bit_use_double_quant")))
        qm_node_set_text(weights, "double_quantization", "scales are quantized, too");
    if (scheme) {
        struct qm_node *node = qm_node_add_mapping(precision, "activations");
        qm_disclose_text(node, "format", qm_node_text_at(weights, "format", NULL));
        qm_disclose_text(node, "scales", scheme);
    }
    const json_t *compute = FIRST(q, "bnb_4bit_compute_dtype");
    if (compute) {
        struct qm_node *node = qm_node_add_mapping(precision, "activations");
        qm_disclose_text(node, "format", text_of(compute, text, sizeof(text)));
        qm_node_set_text(node, "storage", "not quantized");
        qm_node_set_text(node, "scales", "none");
    }
    tell_kind(precision, "kv_cache", json_object_get(q, "kv_cache_scheme"));
    const json_t *cache = FIRST(q, "kv_cache_quant_algo", "kv_cache_dtype");
    if (cache)
        set_value(qm_node_add_mapping(precision, "kv_cache"), "format", cache);
}

// ---- Calibration ----------------------------------------------------------------------------------------------------

// Methods that need no data: their scales come from the weights alone.
static bool needs_no_data(const struct reader *reader)
{
    static const char *const names[] = {"bitsandbytes", "hqq", "eetq", "higgs", NULL};
    const char *scheme = json_string_value(json_object_get(reader->quantized, "activation_scheme"));
    for (const char *const *name = names; *name; name++)
        if (strcmp(reader->method, *name) == 0)
            return true;
    return strcmp(reader->method, "fp8") == 0 && scheme && strcmp(scheme, "dynamic") == 0;
}

static void tell_set(const struct reader *reader)
{
    const json_t *q = reader->quantized;
    const json_t *data = FIRST(q, "dataset", "calibration_dataset", "calib_data");
    const json_t *samples =
        FIRST(q, "nsamples", "n_samples", "num_calibration_samples", "max_calib_samples", "calib_samples");
    const json_t *length = FIRST(q, "model_seqlen", "max_calib_seq_len", "max_seq_length", "calib_seqlen", "seqlen");
    if (!data && !samples) {
        if (needs_no_data(reader))
            qm_node_set_text(reader->claim, "calibration_set", "none");
        return;
    }
    struct qm_node *set = qm_node_add_mapping(reader->claim, "calibration_set");
    if (json_is_array(data)) { // the texts themselves, perhaps
        qm_node_set_textf(set, "name", "a list of %zu texts in %s", json_array_size(data), reader->quantized_in);
        qm_node_set_u64(set, "sequences", json_array_size(data));
    } else {
        set_value(set, "name", data);
    }
    if (json_is_integer(samples))
        set_value(set, "sequences", samples);
    set_value(set, "sequence_tokens", length);
}

// Whatever the rest of the keys says, as it stands; `meta` is where GPTQModel keeps some.
static void tell_parameters(const json_t *keys, const char *name, struct qm_node *method)
{
    static const char *const told[] = {
        "quant_method",  "quant_algo",      "dataset", "calib_data",          "nsamples",           "n_samples",
        "config_groups", "kv_cache_scheme", "ignore",  "kv_cache_quant_algo", "calibration_dataset"};
    char text[TEXT_BYTES] = "";
    size_t used = 0;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)keys, key, value)
    {
        char one[512];
        bool is_told = json_is_null(value) || json_is_object(value) || json_is_array(value);
        for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++)
            is_told = is_told || strcmp(key, told[i]) == 0;
        if (is_told || used + strlen(key) + sizeof(one) + 4 > sizeof(text))
            continue;
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s %s", used ? ", " : "", key,
                                 text_of(value, one, sizeof(one)));
    }
    qm_disclose_text(method, name, text);
}

static void tell_calibration(const struct reader *reader)
{
    struct qm_node *method = qm_node_add_mapping(reader->claim, "calibration_method");
    qm_disclose_text(method, "name", reader->method);
    tell_parameters(reader->quantized, "parameters", method);
    if (json_is_object(json_object_get(reader->quantized, "meta")))
        tell_parameters(json_object_get(reader->quantized, "meta"), "meta", method);
    tell_set(reader);
}

// ---- Subject --------------------------------------------------------------------------------------------------------

// The mapping at the head of a model card; NULL where there is none that can be read.
static struct qm_node *read_card(const char *directory)
{
    static const struct qm_node_limits limits = {.bytes = 64 << 10, .depth = 8, .nodes = 4000, .alias_nodes = 0};
    char path[QM_PATH_BYTES];
    void *bytes = NULL;
    size_t count = 0;
    struct qm_node *out = NULL;
    if (qm_path_join(path, directory, "README.md") != QM_OK || !qm_file_exists(path) ||
        qm_file_read(path, FILE_BYTES_MAX, &bytes, &count) != QM_OK)
        return NULL;
    const char *text = bytes, *end = strncmp(text, "---\n", 4) == 0 ? strstr(text + 4, "\n---") : NULL;
    if (end && qm_node_parse(text + 4, (size_t)(end + 1 - (text + 4)), "README.md", &limits, &out) != QM_OK)
        out = NULL;
    free(bytes);
    return out;
}

// A text, or the texts of a list.
static void set_card(struct qm_node *subject, const char *key, const struct qm_node *card, const char *name)
{
    const struct qm_node *value = qm_node_child(card, name);
    char text[TEXT_BYTES] = "";
    size_t used = 0;
    if (qm_node_is_text(value))
        snprintf(text, sizeof(text), "%s", qm_node_text(value));
    for (size_t i = 0; i < qm_node_count(value) && used < sizeof(text); i++) {
        const char *item = qm_node_text(qm_node_at(value, i));
        if (item)
            used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", used ? ", " : "", item);
    }
    if (*text)
        qm_disclose_text(subject, key, text);
}

static void tell_program(const struct reader *reader, struct qm_node *subject)
{
    const json_t *q = reader->quantized, *meta = json_object_get(q, "meta");
    const json_t *producer = json_object_get(reader->other, "producer");
    char name[256], text[320];
    set_value(subject, "program", FIRST(q, "quantizer"));
    if (FIRST(meta, "quantizer"))
        set_value(subject, "program", FIRST(meta, "quantizer"));
    if (strcmp(reader->method, "compressed-tensors") == 0 && json_is_string(json_object_get(q, "version"))) {
        snprintf(text, sizeof(text), "compressed-tensors %s",
                 text_of(json_object_get(q, "version"), name, sizeof(name)));
        qm_disclose_text(subject, "program", text);
    }
    if (json_is_object(producer)) {
        char version[64];
        snprintf(text, sizeof(text), "%s %s", text_of(json_object_get(producer, "name"), name, sizeof(name)),
                 text_of(json_object_get(producer, "version"), version, sizeof(version)));
        qm_disclose_text(subject, "program", text);
    }
}

static void tell_subject(const struct reader *reader)
{
    struct qm_node *subject = qm_node_child(reader->claim, "subject"), *card = read_card(reader->directory);
    const char *origin = json_string_value(json_object_get(reader->config, "_name_or_path"));
    qm_node_set_text(subject, "container", "a directory of Hugging Face's");
    set_value(subject, "architecture", FIRST(reader->config, "architectures", "model_type"));
    set_value(subject, "float_type", FIRST(reader->config, "torch_dtype", "dtype"));
    set_value(subject, "transformers_version", FIRST(reader->config, "transformers_version"));
    set_card(subject, "model", card, "model_name");
    set_card(subject, "quantized_by", card, "quantized_by");
    set_card(subject, "licence", card, "license");
    set_card(subject, "source_model", card, "base_model");
    if (!qm_node_child(subject, "source_model"))
        qm_disclose_text(subject, "source_model", origin);
    if (!qm_node_child(subject, "model"))
        qm_disclose_text(subject, "model", qm_node_text_at(subject, "source_model", NULL));
    tell_program(reader, subject);
    if (reader->quantized) {
        char *whole = json_dumps(reader->quantized, JSON_COMPACT);
        size_t bytes = whole ? strlen(whole) : 0;
        if (bytes <= CONFIG_TEXT_MAX)
            qm_disclose_text(subject, "quantization_config", whole);
        else
            qm_node_set_textf(subject, "quantization_config", "%zu bytes in %s", bytes, reader->quantized_in);
        free(whole);
    }
    qm_node_destroy(&card);
}

// ---- Tensors --------------------------------------------------------------------------------------------------------

// Parts of a quantized weight, by the last part of their names, in the layouts of GPTQ and AWQ, compressed-tensors,
// bitsandbytes and of what Transformers calls fp8.
static const char *const parts[] = {"qweight",
                                    "qzeros",
                                    "scales",
                                    "g_idx",
                                    "weight_packed",
                                    "weight_scale",
                                    "weight_scale_2",
                                    "weight_scale_inv",
                                    "weight_zero_point",
                                    "weight_global_scale",
                                    "weight_g_idx",
                                    "weight_shape",
                                    "input_scale",
                                    "input_zero_point",
                                    "input_global_scale",
                                    "output_scale",
                                    "weight.absmax",
                                    "weight.quant_map",
                                    "weight.nested_absmax",
                                    "weight.nested_quant_map",
                                    "weight.quant_state.bitsandbytes__nf4",
                                    "weight.quant_state.bitsandbytes__fp4",
                                    "weight.SCB",
                                    "SCB",
                                    "weight_format"};

// The name without what makes it a part; *is_first tells whether it is the part that holds the codes.
static bool part_of(const char *name, char out[QM_TENSOR_NAME_BYTES_MAX + 1], bool *is_first)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        size_t tail = strlen(parts[i]);
        if (length <= tail + 1 || name[length - tail - 1] != '.' || strcmp(name + length - tail, parts[i]) != 0)
            continue;
        snprintf(out, QM_TENSOR_NAME_BYTES_MAX + 1, "%.*s.weight", (int)(length - tail - 1), name);
        *is_first = strcmp(parts[i], "qweight") == 0 || strcmp(parts[i], "weight_packed") == 0;
        return true;
    }
    snprintf(out, QM_TENSOR_NAME_BYTES_MAX + 1, "%s", name);
    *is_first = false;
    return false;
}

static bool is_float_type(enum qm_dtype dtype)
{
    return dtype == QM_DTYPE_F32 || dtype == QM_DTYPE_F16 || dtype == QM_DTYPE_BF16 || dtype == QM_DTYPE_F64;
}

// Of packed codes how many values they hold; 0 where nothing tells their width.
static uint64_t packed_values(uint64_t bytes, uint64_t bits)
{
    return bits > 0 && bits <= 32 ? bytes * 8 / bits : 0;
}

static enum qm_status add_file(const char *path, uint64_t bits, bool is_nibbles, struct qm_tensor_classes *classes)
{
    struct qm_tensors file;
    enum qm_status status = QM_OK;
    QM_TRY(qm_tensors_map(path, &file));
    for (size_t i = 0; i < file.count && status == QM_OK; i++) {
        const struct qm_tensor *tensor = &file.tensors[i];
        char name[QM_TENSOR_NAME_BYTES_MAX + 1];
        bool is_packed = false, is_part = part_of(tensor->name, name, &is_packed);
        size_t each = qm_dtype_bytes(tensor->dtype);
        // bitsandbytes keeps codes of 4 bits as bytes under the weight's own name.
        bool is_bytes = is_nibbles && !is_part && tensor->dtype == QM_DTYPE_U8;
        struct qm_tensor_fact fact = {.name = name,
                                      .format = qm_dtype_name(tensor->dtype),
                                      .is_float = !is_part && is_float_type(tensor->dtype),
                                      .tensors = !is_part || is_packed,
                                      .bytes = tensor->bytes};
        if (is_packed || is_bytes)
            fact.values = packed_values(tensor->bytes, bits);
        else if (!is_part)
            fact.values = each > 0 ? tensor->bytes / each : 0;
        status = qm_tensor_classes_add(classes, &fact);
    }
    qm_tensors_free(&file);
    return status;
}

static bool is_safetensors(const char *name)
{
    static const char end[] = ".safetensors";
    size_t length = strlen(name);
    return length >= sizeof(end) && strcmp(name + length - (sizeof(end) - 1), end) == 0;
}

static enum qm_status tell_tensors(const struct reader *reader)
{
    struct qm_name_list names = {0};
    struct qm_tensor_classes classes = {0};
    uint64_t bits = 0;
    enum qm_status status = QM_OK;
    qm_node_u64_at(reader->claim, "precision.weights.bits", &bits);
    bool is_nibbles = json_is_true(json_object_get(reader->quantized, "load_in_4bit"));
    if (is_nibbles)
        bits = 4;
    QM_GUARD(qm_directory_list(reader->directory, &names));
    for (size_t i = 0; i < names.count; i++) {
        char path[QM_PATH_BYTES];
        if (!is_safetensors(names.names[i]))
            continue;
        QM_GUARD(qm_path_join(path, reader->directory, names.names[i]));
        QM_GUARD(add_file(path, bits, is_nibbles, &classes));
    }
    struct qm_node *tensors = qm_node_child(reader->claim, "tensors");
    if (classes.count > 0)
        qm_disclose_tensors(reader->claim, &classes);
    else
        qm_node_append_text(qm_node_child(reader->claim, "remarks"), "no .safetensors file in the directory: what its "
                                                                     "tensors are cannot be told");
    set_value(tensors, "left_out_by_name",
              FIRST(reader->quantized, "ignore", "modules_to_not_convert", "llm_int8_skip_modules", "exclude_modules",
                    "ignored_layers"));
    set_value(tensors, "head", FIRST(reader->quantized, "lm_head"));
done:
    qm_tensor_classes_free(&classes);
    qm_name_list_free(&names);
    return status;
}

// ---- The directory --------------------------------------------------------------------------------------------------

// Where the quantization is told, if it is.
static enum qm_status find_quantization(struct reader *reader)
{
    static const char *const files[] = {"quantize_config.json", "quant_config.json", "hf_quant_config.json"};
    static const char *const keys[] = {"quantization_config", "compression_config"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]) && !reader->quantized; i++) {
        const json_t *value = json_object_get(reader->config, keys[i]);
        if (value && !json_is_null(value) && !json_is_object(value))
            return QM_FAIL(QM_INVALID, "%s/config.json: '%s' is no mapping; expected one, {\"quant_method\": ...}",
                           reader->directory, keys[i]);
        reader->quantized = json_is_object(value) ? value : NULL;
        reader->quantized_in = "config.json";
    }
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]) && !reader->other; i++) {
        QM_TRY(load(reader->directory, files[i], &reader->other));
        if (!reader->other || reader->quantized)
            continue;
        const json_t *inner = json_object_get(reader->other, "quantization");
        reader->quantized = json_is_object(inner) ? inner : reader->other;
        reader->quantized_in = files[i];
    }
    text_of(FIRST(reader->quantized, "quant_method", "quant_algo"), reader->method, sizeof(reader->method));
    if (reader->quantized && !reader->method[0] && json_object_get(reader->quantized, "desc_act"))
        snprintf(reader->method, sizeof(reader->method), "gptq"); // AutoGPTQ's own file says nothing else
    else if (reader->quantized && !reader->method[0] && json_object_get(reader->quantized, "load_in_4bit"))
        snprintf(reader->method, sizeof(reader->method), "bitsandbytes");
    return QM_OK;
}

static void tell_float(const struct reader *reader)
{
    struct qm_node *weights = qm_node_get(reader->claim, "precision.weights");
    set_value(weights, "format", FIRST(reader->config, "torch_dtype", "dtype"));
    qm_node_set_text(weights, "storage", "not quantized");
    qm_node_set_text(weights, "scales", "none");
    qm_node_set_text(reader->claim, "calibration_set", "none");
    qm_node_set_text(reader->claim, "calibration_method", "none");
}

enum qm_status qm_disclose_directory(const char *path, struct qm_node *claim)
{
    struct reader reader = {.directory = path, .claim = claim};
    enum qm_status status = QM_OK;
    QM_GUARD(load(path, "config.json", &reader.config));
    if (!reader.config)
        QM_GUARD(QM_FAIL(QM_INVALID, "%s: no config.json in it; give a model's directory, or a GGUF file by its name",
                         path));
    QM_GUARD(find_quantization(&reader));
    tell_subject(&reader);
    if (reader.quantized) {
        tell_precision(&reader);
        tell_calibration(&reader);
    } else {
        tell_float(&reader);
    }
    QM_GUARD(tell_tensors(&reader));
done:
    json_decref(reader.config);
    json_decref(reader.other);
    return status;
}
