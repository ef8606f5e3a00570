#include "model/quantization_config.h"
#include "base/text.h"
#include "model/json_bound.h"

#include <jansson.h>

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GROUP_SIZE_MAX (1 << 24)

struct reader {
    const char *file, *place; // the key that the object stands under, for messages
    const json_t *object;
};

// One value of a key that decides how files are read, and the values that can be.
struct choice {
    const char *key, *value, *known;
};

static bool is_absent(const json_t *value)
{
    return !value || json_is_null(value);
}

static const json_t *get(const struct reader *reader, const char *key)
{
    const json_t *value = json_object_get(reader->object, key);
    return is_absent(value) ? NULL : value;
}

// The first of two names that is there: programs renamed keys.
static const json_t *get_either(const struct reader *reader, const char **key, const char *other)
{
    const json_t *value = get(reader, *key);
    if (value)
        return value;
    value = get(reader, other);
    *key = value ? other : *key;
    return value;
}

static enum qm_status refuse(const struct reader *reader, const struct choice *choice)
{
    char clean[64];
    snprintf(clean, sizeof(clean), "%s", choice->value);
    qm_text_clean(clean);
    return QM_FAIL(QM_UNSUPPORTED, "%s: '%s.%s' is %s; %s can be read, use such a model or the one it was made of",
                   reader->file, reader->place, choice->key, clean, choice->known);
}

// In words, so that a refusal can name any value.
static void describe(const json_t *value, char *text, size_t capacity)
{
    char *dumped =
        value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(15)) : NULL;
    snprintf(text, capacity, "%s", dumped ? dumped : "not there");
    free(dumped);
}

static enum qm_status read_flag(const struct reader *reader, const char *key, bool otherwise, bool *out)
{
    const json_t *value = get(reader, key);
    *out = value ? json_is_true(value) : otherwise;
    if (value && !json_is_boolean(value))
        return QM_FAIL(QM_INVALID, "%s: '%s.%s' is neither true nor false; make it one of them", reader->file,
                       reader->place, key);
    return QM_OK;
}

// A text, or NULL for one that is not there.
static enum qm_status read_text(const struct reader *reader, const char *key, const char **out)
{
    const json_t *value = get(reader, key);
    *out = json_string_value(value);
    if (value && !*out)
        return QM_FAIL(QM_INVALID, "%s: '%s.%s' is no text; correct it", reader->file, reader->place, key);
    return QM_OK;
}

// The value must say what is said here, or nothing.
static enum qm_status expect_text(const struct reader *reader, const char *key, const char *wanted)
{
    const char *text;
    QM_TRY(read_text(reader, key, &text));
    return !text || strcmp(text, wanted) == 0 ? QM_OK : refuse(reader, &(struct choice){key, text, wanted});
}

// Nothing, or an empty list or mapping, or false.
static enum qm_status expect_nothing(const struct reader *reader, const char *key, const char *known)
{
    const json_t *value = get(reader, key);
    char text[64];
    if (!value || json_is_false(value) || (json_is_object(value) && json_object_size(value) == 0) ||
        (json_is_array(value) && json_array_size(value) == 0))
        return QM_OK;
    describe(value, text, sizeof(text));
    return refuse(reader, &(struct choice){key, text, known});
}

// `widths` is a mask of the numbers of bits that can be read, 1 << bits; `known` says them.
static enum qm_status read_bits(const struct reader *reader, const char *key, const char *other, uint32_t widths,
                                const char *known, uint32_t *out)
{
    const json_t *value = get_either(reader, &key, other);
    char text[64];
    json_int_t bits = json_integer_value(value);
    *out = (uint32_t)bits;
    if (!value || !json_is_integer(value) || bits < 1)
        return QM_FAIL(QM_INVALID, "%s: '%s.%s' is %s; give it a whole number: %s can be read", reader->file,
                       reader->place, key, value ? "no such number" : "not there", known);
    if (bits <= 8 && (widths >> bits & 1) != 0)
        return QM_OK;
    describe(value, text, sizeof(text));
    return refuse(reader, &(struct choice){key, text, known});
}

// -1 stands for a whole row.
static enum qm_status read_group_size(const struct reader *reader, const char *key, const char *other, bool is_needed,
                                      uint32_t *out)
{
    const json_t *value = get_either(reader, &key, other);
    json_int_t size = value ? json_integer_value(value) : -1;
    *out = size > 0 ? (uint32_t)size : 0;
    if (is_needed && !value)
        return QM_FAIL(QM_INVALID, "%s: '%s.%s' is not there; give the inputs that share a scale, -1 for a whole row",
                       reader->file, reader->place, key);
    if (value && (!json_is_integer(value) || size == 0 || size < -1 || size > GROUP_SIZE_MAX))
        return QM_FAIL(QM_INVALID, "%s: '%s.%s' is no whole number from 1 to %d, nor -1; correct it", reader->file,
                       reader->place, key, GROUP_SIZE_MAX);
    return QM_OK;
}

static void keep_words(const char *words, char *out, size_t capacity)
{
    snprintf(out, capacity, "%s", words);
    qm_text_clean(out);
}

// ---- The methods ----------------------------------------------------------------------------------------------------

static void read_dataset(const struct reader *reader, struct qm_quantization *out)
{
    const json_t *value = get(reader, "dataset");
    if (json_is_string(value))
        keep_words(json_string_value(value), out->dataset, sizeof(out->dataset));
    else if (json_is_array(value) && json_array_size(value) > 0)
        snprintf(out->dataset, sizeof(out->dataset), "%zu texts of its own", json_array_size(value));
}

static enum qm_status read_gptq(const struct reader *reader, struct qm_quantization *out)
{
    const char *key = "checkpoint_format", *format;
    bool is_marlin;
    out->packing = QM_PACKING_DOWN;
    out->is_rounded_to_type = true;
    QM_TRY(read_bits(reader, "bits", "bits", 1u << 2 | 1u << 3 | 1u << 4 | 1u << 8, "2, 3, 4 and 8", &out->bits));
    QM_TRY(read_group_size(reader, "group_size", "group_size", true, &out->group_size));
    QM_TRY(read_flag(reader, "desc_act", false, &out->is_act_order));
    QM_TRY(read_flag(reader, "sym", true, &out->is_symmetric));
    (void)get_either(reader, &key, "format");
    QM_TRY(read_text(reader, key, &format));
    format = format ? format : "gptq";
    if (strcmp(format, "gptq") != 0 && strcmp(format, "gptq_v2") != 0)
        return refuse(reader, &(struct choice){key, format, "gptq and gptq_v2"});
    QM_TRY(read_flag(reader, "is_marlin_format", false, &is_marlin));
    if (is_marlin)
        return refuse(reader, &(struct choice){"is_marlin_format", "true", "false"});
    QM_TRY(expect_text(reader, "pack_dtype", "int32"));
    QM_TRY(expect_nothing(reader, "dynamic", "one format for all modules"));
    snprintf(out->format, sizeof(out->format), "%s", format);
    out->is_zero_less_one = strcmp(format, "gptq") == 0;
    read_dataset(reader, out);
    const json_t *damp = get(reader, "damp_percent");
    if (json_is_number(damp))
        snprintf(out->damp, sizeof(out->damp), "%.9g", json_number_value(damp));
    return QM_OK;
}

static enum qm_status read_awq(const struct reader *reader, struct qm_quantization *out)
{
    const char *version;
    bool has_zeros;
    out->is_rounded_to_type = true;
    QM_TRY(read_bits(reader, "bits", "w_bit", 1u << 4, "4", &out->bits));
    QM_TRY(read_group_size(reader, "group_size", "q_group_size", true, &out->group_size));
    QM_TRY(read_flag(reader, "zero_point", true, &has_zeros));
    if (!has_zeros)
        return refuse(reader, &(struct choice){"zero_point", "false", "true"});
    QM_TRY(read_text(reader, "version", &version));
    bool is_gemv = version && (strcmp(version, "gemv") == 0 || strcmp(version, "GEMV") == 0);
    if (version && !is_gemv && strcmp(version, "gemm") != 0 && strcmp(version, "GEMM") != 0)
        return refuse(reader, &(struct choice){"version", version, "gemm and gemv"});
    QM_TRY(expect_text(reader, "backend", "autoawq"));
    if (is_gemv && out->group_size != 32 && out->group_size != 64 && out->group_size < 128) {
        char size[16] = "-1";
        if (out->group_size > 0)
            snprintf(size, sizeof(size), "%" PRIu32, out->group_size);
        return refuse(reader, &(struct choice){"group_size", size, "of version gemv 32, 64, 128 and more"});
    }
    out->packing = is_gemv ? QM_PACKING_AWQ_ROWS : QM_PACKING_AWQ;
    snprintf(out->format, sizeof(out->format), "%s", is_gemv ? "gemv" : "gemm");
    read_dataset(reader, out);
    return QM_OK;
}

// Two sizes above 0: outputs and inputs of a block.
static enum qm_status read_block(const struct reader *reader, const char *key, struct qm_quantization *out)
{
    const json_t *list = get(reader, key);
    json_int_t rows = json_integer_value(json_array_get(list, 0)),
               columns = json_integer_value(json_array_get(list, 1));
    if (json_array_size(list) != 2 || rows < 1 || columns < 1 || rows > GROUP_SIZE_MAX || columns > GROUP_SIZE_MAX)
        return QM_FAIL(QM_INVALID, "%s: '%s.%s' is no list of two sizes above 0; it should be one such as [128, 128]",
                       reader->file, reader->place, key);
    out->row_block = (uint32_t)rows;
    out->group_size = (uint32_t)columns;
    return QM_OK;
}

static enum qm_status read_fp8(const struct reader *reader, struct qm_quantization *out)
{
    const char *scheme;
    out->packing = QM_PACKING_E4M3;
    out->bits = 8;
    out->is_symmetric = true;
    QM_TRY(expect_text(reader, "fmt", "e4m3"));
    QM_TRY(expect_nothing(reader, "kv_cache_scheme", "a cache without"));
    QM_TRY(read_text(reader, "activation_scheme", &scheme));
    if (scheme && strcmp(scheme, "dynamic") != 0 && strcmp(scheme, "static") != 0)
        return refuse(reader, &(struct choice){"activation_scheme", scheme, "dynamic and static"});
    if (get(reader, "weight_block_size"))
        QM_TRY(read_block(reader, "weight_block_size", out));
    else
        out->is_per_tensor = true;
    bool is_static = scheme && strcmp(scheme, "static") == 0;
    // Found when it runs: programs whose kernels can do it take a scale per token, the others one for all tokens.
    out->activations = is_static                      ? QM_QUANTIZATION_ACTIVATIONS_E4M3_STATIC
                       : scheme && out->is_per_tensor ? QM_QUANTIZATION_ACTIVATIONS_E4M3
                                                      : QM_QUANTIZATION_ACTIVATIONS_OTHER;
    snprintf(out->activations_text, sizeof(out->activations_text), "E4M3FN, %s",
             !scheme              ? "how is not told"
             : is_static          ? "one scale per tensor, static"
             : out->is_per_tensor ? "one scale per token, or per tensor, dynamic"
                                  : "one scale per token and block of inputs, dynamic");
    snprintf(out->format, sizeof(out->format), "e4m3");
    return QM_OK;
}

// ---- compressed-tensors ---------------------------------------------------------------------------------------------

static enum qm_status read_strategy(const struct reader *reader, struct qm_quantization *out)
{
    const char *strategy;
    QM_TRY(read_text(reader, "strategy", &strategy));
    QM_TRY(read_group_size(reader, "group_size", "group_size", false, &out->group_size));
    if (!strategy) // as the program takes it: a group size above 0 says group
        strategy = out->group_size > 0 ? "group" : get(reader, "group_size") ? "channel" : "tensor";
    if (strcmp(strategy, "group") == 0 && out->group_size == 0)
        return QM_FAIL(QM_INVALID, "%s: '%s.group_size' is not there, and 'strategy' is group; give it", reader->file,
                       reader->place);
    if (strcmp(strategy, "group") == 0)
        return QM_OK;
    out->group_size = 0;
    out->is_per_tensor = strcmp(strategy, "tensor") == 0;
    if (strcmp(strategy, "block") == 0)
        return read_block(reader, "block_structure", out);
    if (strcmp(strategy, "channel") != 0 && !out->is_per_tensor)
        return refuse(reader, &(struct choice){"strategy", strategy, "tensor, channel, group and block"});
    return QM_OK;
}

static enum qm_status read_weights(const struct reader *reader, const char *format, struct qm_quantization *out)
{
    const char *type, *order = NULL;
    bool is_dynamic, is_float, is_packed = strcmp(format, "pack-quantized") == 0;
    const json_t *actorder = get(reader, "actorder");
    QM_TRY(read_text(reader, "type", &type));
    is_float = type && strcmp(type, "float") == 0;
    if (type && !is_float && strcmp(type, "int") != 0)
        return refuse(reader, &(struct choice){"type", type, "int and float"});
    if (is_packed && is_float)
        return refuse(reader, &(struct choice){"type", "float in format pack-quantized", "int there"});
    if (strcmp(format, "int-quantized") == 0 && is_float)
        return refuse(reader, &(struct choice){"type", "float in format int-quantized", "int there"});
    if (strcmp(format, "float-quantized") == 0 && !is_float)
        return refuse(reader, &(struct choice){"type", "int in format float-quantized", "float there"});
    QM_TRY(read_bits(reader, "num_bits", "num_bits", is_packed ? 1u << 4 | 1u << 8 : 1u << 8,
                     is_packed ? "4 and 8" : "8", &out->bits));
    QM_TRY(read_flag(reader, "symmetric", true, &out->is_symmetric));
    if (is_float && !out->is_symmetric)
        return refuse(reader, &(struct choice){"symmetric", "false for floats", "true"});
    QM_TRY(read_flag(reader, "dynamic", false, &is_dynamic));
    if (is_dynamic)
        return refuse(reader, &(struct choice){"dynamic", "true for weights", "false"});
    QM_TRY(read_strategy(reader, out));
    if (out->row_block > 1 && !is_float)
        return refuse(reader, &(struct choice){"strategy", "block for integers", "tensor, channel and group"});
    if (json_is_boolean(actorder)) // older files: true is by group
        order = json_is_true(actorder) ? "group" : NULL;
    else
        QM_TRY(read_text(reader, "actorder", &order));
    out->is_act_order = order && (strcmp(order, "group") == 0 || strcmp(order, "dynamic") == 0);
    if (order && !out->is_act_order && strcmp(order, "weight") != 0 && strcmp(order, "static") != 0)
        return refuse(reader, &(struct choice){"actorder", order, "group (dynamic) and weight (static)"});
    out->packing = is_packed ? QM_PACKING_ACROSS : is_float ? QM_PACKING_E4M3 : QM_PACKING_INT8;
    return QM_OK;
}

static enum qm_status read_activations(const struct reader *reader, struct qm_quantization *out)
{
    const char *type, *strategy;
    bool is_symmetric, is_dynamic;
    char bits[16];
    const json_t *dynamic = get(reader, "dynamic");
    QM_TRY(read_text(reader, "type", &type));
    QM_TRY(read_text(reader, "strategy", &strategy));
    QM_TRY(read_flag(reader, "symmetric", true, &is_symmetric));
    is_dynamic = json_is_true(dynamic);
    describe(get(reader, "num_bits"), bits, sizeof(bits));
    bool is_float = type && strcmp(type, "float") == 0, is_token = strategy && strcmp(strategy, "token") == 0;
    bool is_static = !dynamic || json_is_false(dynamic), is_tensor = !strategy || strcmp(strategy, "tensor") == 0;
    bool is_plain = is_symmetric && strcmp(bits, "8") == 0;
    if (is_plain && is_dynamic && is_token)
        out->activations = is_float ? QM_QUANTIZATION_ACTIVATIONS_E4M3 : QM_QUANTIZATION_ACTIVATIONS_INT8;
    else if (is_plain && is_static && is_tensor)
        out->activations = is_float ? QM_QUANTIZATION_ACTIVATIONS_E4M3_STATIC : QM_QUANTIZATION_ACTIVATIONS_INT8_STATIC;
    else
        out->activations = QM_QUANTIZATION_ACTIVATIONS_OTHER;
    char words[QM_QUANTIZATION_WORDS_BYTES];
    snprintf(words, sizeof(words), "%.16s of %s bits, %s, per %.16s, %s", type ? type : "int", bits,
             is_symmetric ? "symmetric" : "asymmetric", strategy ? strategy : "tensor",
             is_dynamic ? "dynamic" : "static");
    keep_words(words, out->activations_text, sizeof(out->activations_text));
    return QM_OK;
}

// What decides how a group is read; the whole structure but for texts that this part does not set.
static bool is_same(const struct qm_quantization *a, const struct qm_quantization *b)
{
    return a->packing == b->packing && a->bits == b->bits && a->group_size == b->group_size &&
           a->row_block == b->row_block && a->is_per_tensor == b->is_per_tensor && a->is_symmetric == b->is_symmetric &&
           a->is_act_order == b->is_act_order && a->activations == b->activations &&
           strcmp(a->activations_text, b->activations_text) == 0;
}

static enum qm_status read_group(const struct reader *reader, const char *format, struct qm_quantization *out)
{
    char place[160];
    const struct reader weights = {reader->file, place, get(reader, "weights")},
                        activations = {reader->file, place, get(reader, "input_activations")};
    QM_TRY(expect_nothing(reader, "output_activations", "null"));
    QM_TRY(expect_text(reader, "format", format));
    if (!json_is_object(weights.object))
        return QM_FAIL(QM_INVALID, "%s: '%s.weights' is no mapping; groups whose weights are quantized can be read",
                       reader->file, reader->place);
    snprintf(place, sizeof(place), "%s.weights", reader->place);
    QM_TRY(read_weights(&weights, format, out));
    snprintf(out->activations_text, sizeof(out->activations_text), "none");
    if (!activations.object)
        return QM_OK;
    if (!json_is_object(activations.object))
        return QM_FAIL(QM_INVALID, "%s: '%s.input_activations' is no mapping; correct it", reader->file, reader->place);
    snprintf(place, sizeof(place), "%s.input_activations", reader->place);
    return read_activations(&activations, out);
}

static enum qm_status read_compressed(const struct reader *reader, struct qm_quantization *out)
{
    static const char known[] = "pack-quantized, int-quantized, float-quantized and naive-quantized";
    const json_t *groups = get(reader, "config_groups");
    const char *format, *name, *status;
    json_t *group;
    bool is_first = true;
    out->is_rounded_to_type = true;
    QM_TRY(read_text(reader, "format", &format));
    if (!format || !(strcmp(format, "pack-quantized") == 0 || strcmp(format, "int-quantized") == 0 ||
                     strcmp(format, "float-quantized") == 0 || strcmp(format, "naive-quantized") == 0))
        return refuse(reader, &(struct choice){"format", format ? format : "not there", known});
    QM_TRY(read_text(reader, "quantization_status", &status));
    if (status && strcmp(status, "compressed") != 0)
        return refuse(reader, &(struct choice){"quantization_status", status, "compressed"});
    QM_TRY(expect_nothing(reader, "kv_cache_scheme", "null"));
    QM_TRY(expect_nothing(reader, "transform_config", "an empty one"));
    const json_t *sparsity = get(reader, "sparsity_config");
    const char *sparse = json_string_value(json_object_get(sparsity, "format"));
    if (!sparse || strcmp(sparse, "dense") != 0)
        QM_TRY(expect_nothing(reader, "sparsity_config", "an empty one and dense"));
    if (!json_is_object(groups) || json_object_size(groups) == 0)
        return QM_FAIL(QM_INVALID, "%s: '%s.config_groups' is no mapping with a group; correct it", reader->file,
                       reader->place);
    const struct qm_quantization blank = *out;
    json_object_foreach((json_t *)(uintptr_t)groups, name, group)
    {
        char place[96];
        struct qm_quantization one = blank;
        snprintf(place, sizeof(place), "%s.config_groups.%.40s", reader->place, name);
        qm_text_clean(place);
        if (!json_is_object(group))
            return QM_FAIL(QM_INVALID, "%s: '%s' is no mapping; correct it", reader->file, place);
        QM_TRY(read_group(&(struct reader){reader->file, place, group}, format, &one));
        if (!is_first && !is_same(&one, out))
            return QM_FAIL(QM_UNSUPPORTED,
                           "%s: '%s' is quantized in another way than the group before; groups that are alike can be "
                           "read, use such a model",
                           reader->file, place);
        *out = one;
        is_first = false;
    }
    snprintf(out->format, sizeof(out->format), "%s", format);
    return QM_OK;
}

// ---- All of it ------------------------------------------------------------------------------------------------------

static const struct {
    const char *name;
    enum qm_status (*read)(const struct reader *reader, struct qm_quantization *out);
} methods[QM_QUANTIZATION_METHOD_COUNT] = {
    [QM_QUANTIZATION_NONE] = {"none", NULL},   [QM_QUANTIZATION_GPTQ] = {"gptq", read_gptq},
    [QM_QUANTIZATION_AWQ] = {"awq", read_awq}, [QM_QUANTIZATION_COMPRESSED] = {"compressed-tensors", read_compressed},
    [QM_QUANTIZATION_FP8] = {"fp8", read_fp8},
};

const char *qm_quantization_method_name(enum qm_quantization_method method)
{
    return methods[method].name;
}

// In one line of printable ASCII: what the library leaves of it is the character delete.
static char *dump_whole(const json_t *object)
{
    static const char escaped[] = "\\u007F";
    char *dumped = json_dumps(object, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(15));
    char *text = dumped ? malloc((sizeof(escaped) - 1) * strlen(dumped) + 1) : NULL, *to = text;
    for (const char *c = dumped; text && *c; c++) {
        size_t bytes = *c == 0x7f ? sizeof(escaped) - 1 : 1;
        memcpy(to, *c == 0x7f ? escaped : c, bytes);
        to += bytes;
    }
    if (text)
        *to = '\0';
    free(dumped);
    return text;
}

static enum qm_status read_method(const struct reader *reader, bool is_compressed, struct qm_quantization *out)
{
    static const char known[] = "gptq, awq, compressed-tensors and fp8";
    const char *name;
    if (!json_is_object(reader->object))
        return QM_FAIL(QM_INVALID, "%s: '%s' is no mapping; correct it or leave it out", reader->file, reader->place);
    QM_TRY(read_text(reader, "quant_method", &name));
    if (!name && is_compressed)
        name = "compressed-tensors";
    for (int i = 1; name && i < QM_QUANTIZATION_METHOD_COUNT; i++)
        if (strcmp(name, methods[i].name) == 0)
            out->method = (enum qm_quantization_method)i;
    if (out->method == QM_QUANTIZATION_NONE)
        return refuse(reader, &(struct choice){"quant_method", name ? name : "not there", known});
    out->row_block = 1;
    snprintf(out->activations_text, sizeof(out->activations_text), "none");
    QM_TRY(methods[out->method].read(reader, out));
    out->text = dump_whole(reader->object);
    if (!out->text)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for '%s'", reader->file, reader->place);
    if (strlen(out->text) > QM_QUANTIZATION_TEXT_MAX)
        return QM_FAIL(QM_INVALID, "%s: '%s' has %zu bytes; at most %zu are read", reader->file, reader->place,
                       strlen(out->text), QM_QUANTIZATION_TEXT_MAX);
    return QM_OK;
}

enum qm_status qm_quantization_parse(const void *config, size_t bytes, const char *file, struct qm_quantization *out)
{
    json_error_t error;
    enum qm_status status = QM_OK;
    json_t *root = NULL;
    memset(out, 0, sizeof(*out));
    if (!qm_json_is_bounded(config, bytes))
        return QM_FAIL(QM_INVALID, "%s: more than %u values; this is no configuration of a model", file,
                       QM_JSON_VALUES_MAX);
    root = json_loadb(config, bytes, JSON_REJECT_DUPLICATES, &error);
    if (!root) {
        qm_text_clean(error.text);
        return QM_FAIL(QM_INVALID, "%s:%d: no JSON: %s; correct it or get it again", file,
                       error.line > 0 ? error.line : 1, error.text);
    }
    struct reader reader = {file, "quantization_config", json_object_get(root, "quantization_config")};
    bool is_compressed = is_absent(reader.object);
    if (is_compressed) {
        reader.place = "compression_config";
        reader.object = json_object_get(root, "compression_config");
    }
    if (!is_absent(reader.object))
        status = read_method(&reader, is_compressed, out);
    json_decref(root);
    if (status != QM_OK)
        qm_quantization_free(out);
    return status;
}

void qm_quantization_free(struct qm_quantization *quantization)
{
    free(quantization->text);
    memset(quantization, 0, sizeof(*quantization));
}

void qm_quantization_words(const struct qm_quantization *q, char text[QM_QUANTIZATION_LINE_BYTES])
{
    char shared[64] = "one scale per row";
    if (q->is_per_tensor)
        snprintf(shared, sizeof(shared), "one scale per tensor");
    else if (q->row_block > 1)
        snprintf(shared, sizeof(shared), "blocks of %" PRIu32 " x %" PRIu32, q->row_block, q->group_size);
    else if (q->group_size > 0)
        snprintf(shared, sizeof(shared), "groups of %" PRIu32, q->group_size);
    snprintf(text, QM_QUANTIZATION_LINE_BYTES, "%s (%s), %s%" PRIu32 " bits, %s, %s%s%s%s", methods[q->method].name,
             q->format, q->packing == QM_PACKING_E4M3 ? "E4M3FN, " : "", q->bits, shared,
             q->is_symmetric ? "symmetric" : "asymmetric", q->is_act_order ? ", act-order" : "",
             strcmp(q->activations_text, "none") == 0 ? "" : "; activations ",
             strcmp(q->activations_text, "none") == 0 ? "" : q->activations_text);
}
