#include "quant/scheme.h"
#include "record/node.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// One row per format, in the order of the enumerations.
static const struct qm_format_info weight_formats[QM_WEIGHT_FORMAT_COUNT] = {
    [QM_WEIGHT_F32] = {"f32", "float32", "IEEE 754 binary32", "none", 32, 0, true},
    [QM_WEIGHT_F16] = {"f16", "float16", "IEEE 754 binary16", "none", 16, 0, true},
    [QM_WEIGHT_W8] = {"w8", "int8", "two's complement, symmetric, -127 to 127, round to nearest even, never clipped",
                      "one float32 per output row, rounded up", 8, 0, false},
    [QM_WEIGHT_W4G32] = {"w4", "int4", "two's complement, symmetric, -7 to 7, round to nearest even, never clipped",
                         "one float16 per 32 values of a row, rounded up", 4, 32, false},
};

static const struct qm_format_info activation_formats[QM_ACTIVATION_FORMAT_COUNT] = {
    [QM_ACTIVATION_F32] = {"f32", "float32", "IEEE 754 binary32", "none", 32, 0, true},
    [QM_ACTIVATION_F16] = {"a16", "float16", "IEEE 754 binary16", "none", 16, 0, true},
    [QM_ACTIVATION_A8] = {"a8", "int8", "two's complement, symmetric, -127 to 127, round to nearest even, saturating",
                          "one float32 per token, or per tensor when static", 8, 0, false},
};

static const struct qm_format_info kv_formats[QM_KV_FORMAT_COUNT] = {
    [QM_KV_F32] = {"kv32", "float32", "IEEE 754 binary32", "none", 32, 0, true},
    [QM_KV_F16] = {"kv16", "float16", "IEEE 754 binary16", "none", 16, 0, true},
    [QM_KV_KV8] = {"kv8", "int8", "two's complement, symmetric, -127 to 127, round to nearest even, never clipped",
                   "one float32 per token and head, rounded up", 8, 0, false},
    [QM_KV_KV4] = {"kv4", "int4", "two's complement, symmetric, -7 to 7, round to nearest even, never clipped",
                   "one float32 per token and head, rounded up", 4, 0, false},
};

static const struct {
    const char *name;
    const char *parameters;
    const char *meaning;
} calibrators[QM_CALIBRATOR_COUNT] = {
    [QM_CALIBRATOR_NONE] = {"none", "", "nothing is calibrated: scales come from the values themselves, at run time"},
    [QM_CALIBRATOR_ABSMAX] = {"absmax", "largest absolute value",
                              "the largest absolute value seen over the calibration set becomes 127"},
    [QM_CALIBRATOR_PERCENTILE] =
        {"percentile", "percentile 99.99 of absolute values",
         "the 99.99th percentile of absolute values becomes 127 and what lies above is clipped"},
    [QM_CALIBRATOR_MSE] = {"mse", "least mean squared error over 2048 bins",
                           "the threshold with the least mean squared error becomes 127"},
    [QM_CALIBRATOR_ENTROPY] = {"entropy", "least Kullback-Leibler divergence, 2048 bins, 128 levels",
                               "the threshold with the least Kullback-Leibler divergence becomes 127"},
    [QM_CALIBRATOR_SMOOTHQUANT] = {"smoothquant", "alpha searched for each input in 0.30 to 0.90 by 0.05",
                                   "channels are divided so that weights take part of their range, then absmax"},
    [QM_CALIBRATOR_AWQ] = {"awq", "", "activation-aware weight scaling"},
    [QM_CALIBRATOR_GPTQ] = {"gptq", "", "column-wise error propagation"},
    [QM_CALIBRATOR_IMATRIX] = {"imatrix", "", "rounding weighted by mean squares of the input"},
};

static const char *const stock_names[] = {
    "f32",
    "f16",
    "w8a16",
    "w8a16-kv8",
    "w8a16-kv4",
    "w8a8",
    "w8a8-kv8",
    "w8a8-kv4",
    "w8a8-static",
    "w8a8-static-kv8",
    "w8a8-static-kv4",
    "w8a8-static-percentile",
    "w8a8-static-percentile-kv8",
    "w8a8-static-percentile-kv4",
    "w4a16-g32",
    "w4a16-g32-kv8",
    "w4a16-g32-kv4",
    "w4a8-g32",
    "w4a8-g32-kv8",
    "w4a8-g32-kv4",
};

const struct qm_format_info *qm_weight_format_info(enum qm_weight_format format)
{
    return &weight_formats[format];
}

const struct qm_format_info *qm_activation_format_info(enum qm_activation_format format)
{
    return &activation_formats[format];
}

const struct qm_format_info *qm_kv_format_info(enum qm_kv_format format)
{
    return &kv_formats[format];
}

const char *qm_calibrator_name(enum qm_calibrator calibrator)
{
    return calibrators[calibrator].name;
}

const char *qm_calibrator_parameters(enum qm_calibrator calibrator)
{
    return calibrators[calibrator].parameters;
}

const char *qm_scheme_stock_name(size_t index)
{
    return index < sizeof(stock_names) / sizeof(stock_names[0]) ? stock_names[index] : NULL;
}

static enum qm_kv_format default_kv(enum qm_weight_format weights)
{
    return weights == QM_WEIGHT_F32 ? QM_KV_F32 : QM_KV_F16;
}

// Appends to a name that has room for every combination of parts.
QM_PRINTF(2, 3) static void append(char name[QM_SCHEME_NAME_BYTES], const char *format, ...)
{
    size_t used = strlen(name);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(name + used, QM_SCHEME_NAME_BYTES - used, format, arguments);
    va_end(arguments);
}

void qm_scheme_set_name(struct qm_scheme *scheme)
{
    const struct qm_format_info *weights = &weight_formats[scheme->weights];
    scheme->name[0] = '\0';
    append(scheme->name, "%s", weights->name);
    if (!weights->is_float)
        append(scheme->name, "%s", activation_formats[scheme->activations].name);
    if (scheme->group_size > 0)
        append(scheme->name, "-g%" PRIu32, scheme->group_size);
    if (scheme->is_static)
        append(scheme->name, "-static");
    if (scheme->calibrator > QM_CALIBRATOR_ABSMAX) // absmax goes without saying
        append(scheme->name, "-%s", calibrators[scheme->calibrator].name);
    if (scheme->kv != default_kv(scheme->weights))
        append(scheme->name, "-%s", kv_formats[scheme->kv].name);
}

// The words between dashes, in place.
struct words {
    char text[QM_SCHEME_NAME_BYTES];
    const char *word[8];
    size_t count;
};

static enum qm_status split(const char *text, struct words *words)
{
    size_t length = strlen(text);
    words->count = 0;
    if (length == 0)
        return QM_FAIL(QM_INVALID, "a scheme without a name; use one such as w8a8 or w4a16-g32");
    if (length >= sizeof(words->text))
        return QM_FAIL(QM_INVALID, "scheme '%.40s...' is longer than any; use one such as w8a8 or w4a16-g32", text);
    memcpy(words->text, text, length + 1);
    char *rest = words->text;
    while (rest) {
        if (words->count == sizeof(words->word) / sizeof(words->word[0]))
            return QM_FAIL(QM_INVALID, "scheme '%s' has too many parts; use one such as w4a16-g32-kv8", text);
        words->word[words->count++] = rest;
        rest = strchr(rest, '-');
        if (rest)
            *rest++ = '\0';
    }
    return QM_OK;
}

// "f32", "f16" or a weight format with an activation format behind it, "w8a16".
static enum qm_status parse_formats(const char *word, const char *text, struct qm_scheme *scheme)
{
    for (size_t w = 0; w < QM_WEIGHT_FORMAT_COUNT; w++) {
        const struct qm_format_info *weights = &weight_formats[w];
        size_t length = strlen(weights->name);
        if (strncmp(word, weights->name, length) != 0)
            continue;
        scheme->weights = (enum qm_weight_format)w;
        if (weights->is_float && !word[length]) {
            scheme->activations = weights->bits == 32 ? QM_ACTIVATION_F32 : QM_ACTIVATION_F16;
            return QM_OK;
        }
        for (size_t a = QM_ACTIVATION_F16; !weights->is_float && a < QM_ACTIVATION_FORMAT_COUNT; a++)
            if (strcmp(word + length, activation_formats[a].name) == 0) {
                scheme->activations = (enum qm_activation_format)a;
                return QM_OK;
            }
        if (!weights->is_float)
            return QM_FAIL(QM_INVALID, "scheme '%s': no activations are called '%s'; use %sa16 or %sa8", text,
                           word + length, weights->name, weights->name);
    }
    return QM_FAIL(QM_INVALID,
                   "scheme '%s': no formats are called '%s'; use f32, f16, w8a16, w8a8, w4a16-g32 or w4a8-g32", text,
                   word);
}

static enum qm_status parse_group_size(const char *word, const char *text, struct qm_scheme *scheme)
{
    const struct qm_format_info *weights = &weight_formats[scheme->weights];
    size_t digits = strspn(word + 1, "0123456789");
    if (digits == 0 || digits > 6 || word[1 + digits])
        return QM_FAIL(QM_INVALID, "scheme '%s': '%s' is no group size; use g32", text, word);
    unsigned long size = strtoul(word + 1, NULL, 10);
    if (weights->group_size == 0)
        return QM_FAIL(QM_INVALID, "scheme '%s': group_size %lu; %s weights have no groups, leave '-%s' out", text,
                       size, weights->name, word);
    if (size != weights->group_size)
        return QM_FAIL(QM_INVALID,
                       "scheme '%s': group_size %lu; %s weights come in groups of %" PRIu32 ", use g%" PRIu32, text,
                       size, weights->name, weights->group_size, weights->group_size);
    scheme->group_size = weights->group_size;
    return QM_OK;
}

// The rank of a part after the formats, so that the order is one; 0 for a word that is no part.
enum part {
    PART_NONE,
    PART_GROUP,
    PART_ASYMMETRIC,
    PART_STATIC,
    PART_CALIBRATOR,
    PART_KV
};

static enum part parse_part(const char *word, struct qm_scheme *scheme)
{
    if (word[0] == 'g' && word[1] >= '0' && word[1] <= '9')
        return PART_GROUP;
    if (strcmp(word, "asym") == 0)
        return PART_ASYMMETRIC;
    if (strcmp(word, "static") == 0) {
        scheme->is_static = true;
        return PART_STATIC;
    }
    for (size_t c = QM_CALIBRATOR_ABSMAX; c < QM_CALIBRATOR_AWQ; c++) // from AWQ on: of weights, not built in yet
        if (strcmp(word, calibrators[c].name) == 0) {
            scheme->calibrator = (enum qm_calibrator)c;
            return PART_CALIBRATOR;
        }
    for (size_t k = 0; k < QM_KV_FORMAT_COUNT; k++)
        if (strcmp(word, kv_formats[k].name) == 0) {
            scheme->kv = (enum qm_kv_format)k;
            return PART_KV;
        }
    return PART_NONE;
}

enum qm_status qm_scheme_parse(const char *text, struct qm_scheme *out)
{
    struct words words = {0};
    struct qm_scheme scheme = {0};
    *out = scheme;
    QM_TRY(split(text, &words));
    const char *formats = words.word[0] ? words.word[0] : "";
    QM_TRY(parse_formats(formats, text, &scheme));
    const struct qm_format_info *weights = &weight_formats[scheme.weights];
    scheme.kv = default_kv(scheme.weights);
    enum part last = PART_NONE;
    for (size_t i = 1; i < words.count; i++) {
        const char *word = words.word[i];
        enum part part = parse_part(word, &scheme);
        if (part == PART_NONE)
            return QM_FAIL(QM_INVALID,
                           "scheme '%s': '%s' is no part of a scheme; use g32, static, percentile, kv8 or kv4", text,
                           word);
        if (part == PART_ASYMMETRIC)
            return QM_FAIL(QM_INVALID, "scheme '%s': asymmetric formats are not built in; leave '-asym' out", text);
        if (part <= last)
            return QM_FAIL(QM_INVALID,
                           "scheme '%s': '%s' stands %s; the order is WEIGHTS ACTIVATIONS -gN -static -CALIBRATOR -kvF",
                           text, word, part == last ? "twice" : "too late");
        if (part == PART_GROUP)
            QM_TRY(parse_group_size(word, text, &scheme));
        last = part;
    }
    if (weights->group_size > 0 && scheme.group_size == 0)
        return QM_FAIL(QM_INVALID, "scheme '%s' names no group size; use %s-g%" PRIu32, text, formats,
                       weights->group_size);
    if (scheme.is_static && scheme.activations != QM_ACTIVATION_A8)
        return QM_FAIL(QM_INVALID, "scheme '%s': static is for int8 activations; leave it out or use w8a8-static",
                       text);
    if (scheme.calibrator != QM_CALIBRATOR_NONE && !scheme.is_static)
        return QM_FAIL(QM_INVALID,
                       "scheme '%s': calibrator %s finds static scales; write '-static-%s', or leave it out", text,
                       calibrators[scheme.calibrator].name, calibrators[scheme.calibrator].name);
    if (scheme.is_static && scheme.calibrator == QM_CALIBRATOR_NONE)
        scheme.calibrator = QM_CALIBRATOR_ABSMAX;
    qm_scheme_set_name(&scheme);
    *out = scheme;
    return QM_OK;
}

bool qm_scheme_same_artifact(const struct qm_scheme *a, const struct qm_scheme *b)
{
    return a->weights == b->weights && a->activations == b->activations && a->group_size == b->group_size &&
           a->is_static == b->is_static && a->calibrator == b->calibrator;
}

bool qm_scheme_equal(const struct qm_scheme *a, const struct qm_scheme *b)
{
    return qm_scheme_same_artifact(a, b) && a->kv == b->kv;
}

static void hash_part(struct qm_hash *hash, const char *key, const char *value)
{
    qm_hash_add_text(hash, key);
    qm_hash_add_text(hash, value);
}

// Names, never enumerators: a new row must not change the identity of the others.
static void hash_scheme(const struct qm_scheme *scheme, bool with_kv, char text[QM_HASH_TEXT_BYTES])
{
    char number[16];
    struct qm_hash hash;
    qm_hash_begin(&hash);
    hash_part(&hash, "weights", weight_formats[scheme->weights].name);
    hash_part(&hash, "activations", activation_formats[scheme->activations].name);
    snprintf(number, sizeof(number), "%" PRIu32, scheme->group_size);
    hash_part(&hash, "group_size", number);
    hash_part(&hash, "symmetric", "true");
    hash_part(&hash, "static", scheme->is_static ? "true" : "false");
    hash_part(&hash, "calibrator", calibrators[scheme->calibrator].name);
    hash_part(&hash, "calibrator_parameters", calibrators[scheme->calibrator].parameters);
    if (with_kv)
        hash_part(&hash, "kv_cache", kv_formats[scheme->kv].name);
    qm_hash_end(&hash, text);
}

void qm_scheme_hash(const struct qm_scheme *scheme, char text[QM_HASH_TEXT_BYTES])
{
    hash_scheme(scheme, true, text);
}

void qm_scheme_artifact_hash(const struct qm_scheme *scheme, char text[QM_HASH_TEXT_BYTES])
{
    hash_scheme(scheme, false, text);
}

struct qm_node *qm_scheme_expand(const struct qm_scheme *scheme)
{
    char hash[QM_HASH_TEXT_BYTES];
    struct qm_node *node = qm_node_new_mapping();
    qm_node_set_text(node, "name", scheme->name);
    qm_node_set_text(node, "weights", weight_formats[scheme->weights].name);
    qm_node_set_text(node, "activations", activation_formats[scheme->activations].name);
    qm_node_set_u64(node, "group_size", scheme->group_size);
    qm_node_set_bool(node, "symmetric", true);
    qm_node_set_bool(node, "static", scheme->is_static);
    qm_node_set_text(node, "calibrator", calibrators[scheme->calibrator].name);
    qm_node_set_text(node, "kv_cache", kv_formats[scheme->kv].name);
    qm_scheme_hash(scheme, hash);
    qm_node_set_text(node, "identity", hash);
    return node;
}

size_t qm_scheme_explain(const struct qm_scheme *scheme, char *text, size_t capacity)
{
    const struct qm_format_info *weights = &weight_formats[scheme->weights];
    const struct qm_format_info *activations = &activation_formats[scheme->activations];
    const struct qm_format_info *kv = &kv_formats[scheme->kv];
    const char *activation_scales = activations->is_float ? "none"
                                    : scheme->is_static   ? "one per tensor, fixed by calibration"
                                                          : "one per token, found at run time";
    int count = snprintf(text, capacity,
                         "scheme       %s\n"
                         "weights      %s: %s; scales: %s\n"
                         "activations  %s: %s; scales: %s\n"
                         "KV cache     %s: %s; scales: %s\n"
                         "calibrator   %s: %s\n",
                         scheme->name, weights->title, weights->storage, weights->scales, activations->title,
                         activations->storage, activation_scales, kv->title, kv->storage, kv->scales,
                         calibrators[scheme->calibrator].name, calibrators[scheme->calibrator].meaning);
    return count < 0 ? 0 : (size_t)count;
}
