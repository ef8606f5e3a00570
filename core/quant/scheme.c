#include "quant/scheme.h"
#include "quant/format.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// One row per format, in the order of the enumerations; weights have theirs in format_table.c.
static const struct qm_format_info activation_formats[QM_ACTIVATION_FORMAT_COUNT] = {
    [QM_ACTIVATION_F32] = {"f32", "float32", "IEEE 754 binary32", "none", "none", 32, 0, true, false, false},
    [QM_ACTIVATION_F16] = {"a16", "float16", "IEEE 754 binary16", "none",
                           "2^-11 of the value, 2^-25 where that is more", 16, 0, true, false, false},
    [QM_ACTIVATION_BF16] = {"ab16", "bfloat16", "bfloat16, round to nearest even", "none",
                            "2^-8 of the value, 2^-134 where that is more", 16, 0, true, false, true},
    [QM_ACTIVATION_A8] = {"a8", "int8", "two's complement, symmetric, -127 to 127, round to nearest even, saturating",
                          "one float32 per token; static: per tensor, or per group of channels",
                          "half of the scale; static: what lies beyond the threshold is clipped", 8, 0, false, false,
                          false},
    [QM_ACTIVATION_F8] = {"af8", "fp8 E4M3FN",
                          "OCP OFP8 E4M3 (FN: no infinity, largest 448), round to nearest even, saturating",
                          "one float32 per token; static: per tensor, or per group of channels",
                          "2^-4 of the value, 2^-10 of the scale where that is more", 8, 0, false, false, true},
    [QM_ACTIVATION_A4] = {"a4", "int4", "two's complement, symmetric, -7 to 7, round to nearest even, never clipped",
                          "one float32 per token and 32 channels", "half of the scale", 4, 32, false, false, true},
};

static const struct qm_format_info kv_formats[QM_KV_FORMAT_COUNT] = {
    [QM_KV_F32] = {"kv32", "float32", "IEEE 754 binary32", "none", "none", 32, 0, true, false, false},
    [QM_KV_F16] = {"kv16", "float16", "IEEE 754 binary16", "none", "2^-11 of the value, 2^-25 where that is more", 16,
                   0, true, false, false},
    [QM_KV_KV8] = {"kv8", "int8", "two's complement, symmetric, -127 to 127, round to nearest even, never clipped",
                   "one float32 per token and head, rounded up", "half of the scale", 8, 0, false, false, false},
    [QM_KV_KV4] = {"kv4", "int4", "two's complement, symmetric, -7 to 7, round to nearest even, never clipped",
                   "one float32 per token and head, rounded up", "half of the scale", 4, 0, false, false, false},
    [QM_KV_E4M3] = {"kve4m3", "FP8 E4M3FN",
                    "OCP OFP8 E4M3: largest 448, no infinity, round to nearest even, saturating",
                    "1 for all keys and values", "2^-4 of the value, 2^-10 where that is more; beyond 448 the rest", 8,
                    0, false, false, true},
    [QM_KV_E5M2] = {"kve5m2", "FP8 E5M2", "OCP OFP8 E5M2: largest 57,344, round to nearest even, saturating",
                    "1 for all keys and values", "2^-3 of the value, 2^-17 where that is more; beyond 57,344 the rest",
                    8, 0, false, false, true},
    [QM_KV_E4M3S] = {"kve4m3s", "FP8 E4M3FN",
                     "OCP OFP8 E4M3: largest 448, no infinity, round to nearest even, saturating",
                     "one float32 for the keys and one for the values of a layer: the largest in the calibration set / "
                     "448, rounded up",
                     "2^-4 of the value, 2^-10 of the scale where that is more; what lies beyond 448 scales is clipped",
                     8, 0, false, false, true},
    [QM_KV_E5M2S] =
        {"kve5m2s", "FP8 E5M2", "OCP OFP8 E5M2: largest 57,344, round to nearest even, saturating",
         "one float32 for the keys and one for the values of a layer: the largest in the calibration set / "
         "57,344, rounded up",
         "2^-3 of the value, 2^-17 of the scale where that is more; what lies beyond 57,344 scales is clipped", 8, 0,
         false, false, true},
    [QM_KV_KIVI4] =
        {"kivi4", "int4, asymmetric, keys per channel",
         "unsigned, 0 to 15, value = minimum + scale * code, round to nearest even; the query's own block of "
         "32 tokens is read in float16",
         "binary16 scale and minimum: of keys per channel and 32 tokens, of values per token and head",
         "half of the scale, 2^-11 of the minimum", 4, 32, false, true, true},
    [QM_KV_KIVI2] =
        {"kivi2", "int2, asymmetric, keys per channel",
         "unsigned, 0 to 3, value = minimum + scale * code, round to nearest even; the query's own block of "
         "32 tokens is read in float16",
         "binary16 scale and minimum: of keys per channel and 32 tokens, of values per token and head",
         "half of the scale, 2^-11 of the minimum", 2, 32, false, true, true},
};

static const struct {
    const char *name;
    const char *parameters;
    const char *meaning;
} calibrators[QM_CALIBRATOR_COUNT] = {
    [QM_CALIBRATOR_NONE] = {"none", "", "nothing is calibrated: scales come from the values themselves, at run time"},
    [QM_CALIBRATOR_ABSMAX] = {"absmax", "largest absolute value",
                              "the largest absolute value seen over the calibration set becomes the largest code"},
    [QM_CALIBRATOR_PERCENTILE] =
        {"percentile", "percentile 99.99 of absolute values",
         "the 99.99th percentile of absolute values becomes 127 and what lies above is clipped"},
    [QM_CALIBRATOR_MSE] = {"mse", "least squared error over a grid of thresholds",
                           "ranges of weights, and of static activations, are those with the least squared error"},
    [QM_CALIBRATOR_ENTROPY] =
        {"entropy", "least KL divergence of the 128-level histogram, 2048 bins",
         "the threshold of static activations is the one whose histogram loses least information"},
    [QM_CALIBRATOR_SMOOTHQUANT] = {"smoothquant", "alpha searched for each input in 0.30 to 0.90 by 0.05",
                                   "channels' ranges move from activations into weights before both are quantized"},
    [QM_CALIBRATOR_AWQ] = {"awq", "scale exponent searched in 0, 0.05 .. 0.95, then ranges of weights",
                           "channels that carry large activations get finer weights, then ranges are searched"},
    [QM_CALIBRATOR_GPTQ] = {"gptq", "damping 0.01 of the mean diagonal of H",
                            "weights are rounded one column after the other, the error going into those that follow"},
    [QM_CALIBRATOR_IMATRIX] = {"imatrix", "weights of errors: mean square of each input channel",
                               "ranges of weights are those with the least error as inputs weigh it"},
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

const struct qm_format_info *qm_activation_format_info(enum qm_activation_format format)
{
    return &activation_formats[format];
}

const struct qm_format_info *qm_kv_format_info(enum qm_kv_format format)
{
    return &kv_formats[format];
}

int qm_kv_calibrated_largest(enum qm_kv_format format)
{
    return format == QM_KV_E4M3S ? 448 : format == QM_KV_E5M2S ? 57344 : 0;
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

// Whether rows of the table differ by their group size alone, so that a name must say it.
static bool has_group_choice(enum qm_weight_format format)
{
    const struct qm_format_info *info = qm_weight_format_info(format);
    for (size_t w = 0; w < QM_WEIGHT_FORMAT_COUNT; w++) {
        const struct qm_format_info *other = qm_weight_format_info((enum qm_weight_format)w);
        if (strcmp(other->name, info->name) == 0 && other->group_size != info->group_size)
            return info->group_size > 0;
    }
    return false;
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

static void append_formats(char name[QM_SCHEME_NAME_BYTES], enum qm_weight_format format,
                           enum qm_activation_format activations)
{
    const struct qm_format_info *weights = qm_weight_format_info(format);
    append(name, "%s", weights->name);
    if (!weights->is_float)
        append(name, "%s", activation_formats[activations].name);
    if (has_group_choice(format))
        append(name, "-g%" PRIu32, weights->group_size);
    if (weights->is_asymmetric)
        append(name, "-asym");
}

void qm_weight_format_name(enum qm_weight_format format, char name[QM_WEIGHT_FORMAT_NAME_BYTES])
{
    const struct qm_format_info *info = qm_weight_format_info(format);
    char group[16] = "";
    if (has_group_choice(format))
        snprintf(group, sizeof(group), "-g%" PRIu32, info->group_size);
    snprintf(name, QM_WEIGHT_FORMAT_NAME_BYTES, "%s%s%s", info->name, group, info->is_asymmetric ? "-asym" : "");
}

bool qm_weight_format_find(const char *name, enum qm_weight_format *out)
{
    for (size_t w = 0; w < QM_WEIGHT_FORMAT_COUNT; w++) {
        char of_row[QM_WEIGHT_FORMAT_NAME_BYTES];
        qm_weight_format_name((enum qm_weight_format)w, of_row);
        if (strcmp(of_row, name) == 0) {
            *out = (enum qm_weight_format)w;
            return true;
        }
    }
    return false;
}

void qm_scheme_set_name(struct qm_scheme *scheme)
{
    char *name = scheme->name;
    name[0] = '\0';
    if (scheme->is_own)
        append(name, "%s", scheme->is_own_floats ? QM_SCHEME_OWN_FLOATS_NAME : QM_SCHEME_OWN_NAME);
    else
        append_formats(name, scheme->weights, scheme->activations);
    if (scheme->is_static)
        append(name, "-static");
    if (scheme->activation_group > 0)
        append(name, "%" PRIu32, scheme->activation_group);
    if (scheme->calibrator > QM_CALIBRATOR_ABSMAX) // absmax goes without saying
        append(name, "-%s", calibrators[scheme->calibrator].name);
    if (scheme->is_act_order)
        append(name, "-actorder");
    if (scheme->kv != default_kv(scheme->weights))
        append(name, "-%s", kv_formats[scheme->kv].name);
    if (scheme->kv_first > 0)
        append(name, "-first%" PRIu32, scheme->kv_first);
    if (scheme->kv_last > 0)
        append(name, "-last%" PRIu32, scheme->kv_last);
    for (size_t i = 0; i < scheme->override_count; i++) {
        append(name, "+%s=", scheme->overrides[i].pattern);
        append_formats(name, scheme->overrides[i].weights, scheme->overrides[i].activations);
    }
}

// The parts of a name, cut in place at one character.
struct parts {
    char text[QM_SCHEME_NAME_BYTES];
    const char *part[12];
    size_t count;
};

static enum qm_status cut(const char *text, char at, const char *scheme, struct parts *out)
{
    size_t length = strlen(text);
    *out = (struct parts){.count = 0};
    if (length >= sizeof(out->text))
        return QM_FAIL(QM_INVALID, "scheme '%.40s...' is longer than any; use one such as w8a8 or w4a16-g32", scheme);
    memcpy(out->text, text, length + 1);
    for (char *rest = out->text; rest;) {
        if (out->count == sizeof(out->part) / sizeof(out->part[0]))
            return QM_FAIL(QM_INVALID, "scheme '%s' has too many parts; use one such as w4a16-g32-kv8", scheme);
        out->part[out->count++] = rest;
        rest = strchr(rest, at);
        if (rest)
            *rest++ = '\0';
    }
    return QM_OK;
}

static bool starts_with_weights(const char *word, const struct qm_format_info *info)
{
    return strncmp(word, info->name, strlen(info->name)) == 0;
}

// The first row of the table whose name `word` begins with and whose rest is an activation format, or, for float formats,
// nothing. Group and zero point are not known yet.
static enum qm_status parse_formats(const char *word, const char *text, enum qm_weight_format *weights,
                                    enum qm_activation_format *activations)
{
    const struct qm_format_info *near = NULL;
    for (size_t w = 0; w < QM_WEIGHT_FORMAT_COUNT; w++) {
        const struct qm_format_info *info = qm_weight_format_info((enum qm_weight_format)w);
        if (!starts_with_weights(word, info))
            continue;
        const char *rest = word + strlen(info->name);
        *weights = (enum qm_weight_format)w;
        if (info->is_float && !*rest) {
            *activations = w == QM_WEIGHT_F32   ? QM_ACTIVATION_F32
                           : w == QM_WEIGHT_F16 ? QM_ACTIVATION_F16
                                                : QM_ACTIVATION_BF16;
            return QM_OK;
        }
        for (size_t a = QM_ACTIVATION_F16; !info->is_float && a < QM_ACTIVATION_FORMAT_COUNT; a++) {
            if (strcmp(rest, activation_formats[a].name) != 0)
                continue;
            *activations = (enum qm_activation_format)a;
            if (qm_formats_multiply(*weights, *activations))
                return QM_OK;
            return QM_FAIL(QM_INVALID, "scheme '%s': no kernel multiplies %s weights with %s activations; use %sa16",
                           text, info->title, activation_formats[a].title, info->name);
        }
        if (!info->is_float && !near)
            near = info;
    }
    if (strncmp(word, QM_SCHEME_OWN_NAME, strlen(QM_SCHEME_OWN_NAME)) == 0)
        return QM_FAIL(QM_INVALID,
                       "scheme '%s': '%s' is no format; use " QM_SCHEME_OWN_NAME ", " QM_SCHEME_OWN_FLOATS_NAME
                       ", or " QM_SCHEME_OWN_NAME "-kv8",
                       text, word);
    if (near)
        return QM_FAIL(QM_INVALID, "scheme '%s': no activations are called '%s'; use %sa16 or %sa8", text,
                       word + strlen(near->name), near->name, near->name);
    return QM_FAIL(QM_INVALID,
                   "scheme '%s': no formats are called '%s'; use f32, f16, w8a16, w8a8, w4a16-g32, e4m3a16 or file",
                   text, word);
}

// The row that has the name of `*weights` and this group size and zero point. `group` 0: none was named.
static enum qm_status choose_row(uint32_t group, bool is_asymmetric, const char *formats, const char *text,
                                 enum qm_weight_format *weights)
{
    const struct qm_format_info *wanted = qm_weight_format_info(*weights);
    char sizes[64] = "";
    bool has_same_symmetry = false;
    uint32_t some = 0;
    for (size_t w = 0; w < QM_WEIGHT_FORMAT_COUNT; w++) {
        const struct qm_format_info *row = qm_weight_format_info((enum qm_weight_format)w);
        if (strcmp(row->name, wanted->name) != 0 || row->is_asymmetric != is_asymmetric)
            continue;
        has_same_symmetry = true;
        bool is_fixed = !has_group_choice((enum qm_weight_format)w);
        if (is_fixed ? group == 0 : row->group_size == group) {
            *weights = (enum qm_weight_format)w;
            return QM_OK;
        }
        if (!is_fixed) {
            snprintf(sizes + strlen(sizes), sizeof(sizes) - strlen(sizes), "%sg%" PRIu32, *sizes ? ", " : "",
                     row->group_size);
            some = some ? some : row->group_size;
        }
    }
    if (!has_same_symmetry)
        return QM_FAIL(QM_INVALID, "scheme '%s': %s weights have no zero point; leave '-asym' out", text,
                       wanted->title);
    if (!some)
        return QM_FAIL(QM_INVALID,
                       "scheme '%s': group_size %" PRIu32 "; %s weights have no choice of groups, leave it out", text,
                       group, wanted->title);
    if (group == 0)
        return QM_FAIL(QM_INVALID, "scheme '%s' names no group size; use %s-g%" PRIu32, text, formats, some);
    return QM_FAIL(QM_INVALID, "scheme '%s': group_size %" PRIu32 "; %s weights come in groups of %s", text, group,
                   wanted->name, sizes);
}

// The number behind `prefix` in a word; fails unless it is one from 1 to 999,999.
static enum qm_status parse_count(const char *word, const char *prefix, const char *text, const char *what,
                                  uint32_t *out)
{
    const char *digits = word + strlen(prefix);
    size_t count = strspn(digits, "0123456789");
    *out = (uint32_t)strtoul(digits, NULL, 10);
    if (count == 0 || count > 6 || digits[count] || *out == 0)
        return QM_FAIL(QM_INVALID, "scheme '%s': '%s' is no %s from 1 to 999,999; use one such as %s32", text, word,
                       what, prefix);
    return QM_OK;
}

// The rank of a part after the formats, so that the order is one; PART_NONE for a word that is no part.
enum part {
    PART_NONE,
    PART_GROUP,
    PART_ASYMMETRIC,
    PART_STATIC,
    PART_CALIBRATOR,
    PART_ACT_ORDER,
    PART_KV,
    PART_FIRST,
    PART_LAST
};

static bool is_counted(const char *word, const char *prefix)
{
    size_t length = strlen(prefix);
    return strncmp(word, prefix, length) == 0 && word[length] >= '0' && word[length] <= '9';
}

static enum part part_of(const char *word)
{
    if (is_counted(word, "g"))
        return PART_GROUP;
    if (strcmp(word, "asym") == 0)
        return PART_ASYMMETRIC;
    if (strcmp(word, "static") == 0 || is_counted(word, "static"))
        return PART_STATIC;
    if (strcmp(word, "actorder") == 0)
        return PART_ACT_ORDER;
    if (is_counted(word, "first"))
        return PART_FIRST;
    if (is_counted(word, "last"))
        return PART_LAST;
    for (size_t c = QM_CALIBRATOR_ABSMAX; c < QM_CALIBRATOR_COUNT; c++)
        if (strcmp(word, calibrators[c].name) == 0)
            return PART_CALIBRATOR;
    for (size_t k = 0; k < QM_KV_FORMAT_COUNT; k++)
        if (strcmp(word, kv_formats[k].name) == 0)
            return PART_KV;
    return PART_NONE;
}

static enum qm_status take_part(enum part part, const char *word, const char *text, uint32_t *group,
                                bool *is_asymmetric, struct qm_scheme *scheme)
{
    if (scheme->is_own && part < PART_KV)
        return QM_FAIL(QM_INVALID,
                       "scheme '%s': the weights of " QM_SCHEME_OWN_NAME
                       " are as the model's file has them, and '%s' would "
                       "quantize anew; leave it out",
                       text, word);
    switch (part) {
    case PART_GROUP:
        return parse_count(word, "g", text, "group size", group);
    case PART_ASYMMETRIC:
        *is_asymmetric = true;
        return QM_OK;
    case PART_STATIC:
        scheme->is_static = true;
        if (word[strlen("static")])
            QM_TRY(parse_count(word, "static", text, "group of channels", &scheme->activation_group));
        if (scheme->activation_group % 32 != 0)
            return QM_FAIL(QM_INVALID, "scheme '%s': %" PRIu32 " channels a scale; use a multiple of 32", text,
                           scheme->activation_group);
        return QM_OK;
    case PART_CALIBRATOR:
        for (size_t c = QM_CALIBRATOR_ABSMAX; c < QM_CALIBRATOR_COUNT; c++)
            if (strcmp(word, calibrators[c].name) == 0)
                scheme->calibrator = (enum qm_calibrator)c;
        return QM_OK;
    case PART_ACT_ORDER:
        scheme->is_act_order = true;
        return QM_OK;
    case PART_FIRST:
        return parse_count(word, "first", text, "number of tokens", &scheme->kv_first);
    case PART_LAST:
        return parse_count(word, "last", text, "number of tokens", &scheme->kv_last);
    default:
        for (size_t k = 0; k < QM_KV_FORMAT_COUNT; k++)
            if (strcmp(word, kv_formats[k].name) == 0)
                scheme->kv = (enum qm_kv_format)k;
        return QM_OK;
    }
}

// A word that is no part; one that means a cache is told which there are.
static enum qm_status refuse_word(const char *word, const char *text)
{
    size_t length = strlen(word);
    for (size_t k = 0; k < QM_KV_FORMAT_COUNT && length > 0; k++)
        if (word[length - 1] == 's' && qm_kv_calibrated_largest((enum qm_kv_format)k) == 0 &&
            strlen(kv_formats[k].name) == length - 1 && strncmp(word, kv_formats[k].name, length - 1) == 0)
            return QM_FAIL(QM_INVALID,
                           "scheme '%s': a cache of %s takes no scales from calibration; use kve4m3s or kve5m2s, or %s",
                           text, kv_formats[k].title, kv_formats[k].name);
    if (strncmp(word, "kv", 2) == 0 || strncmp(word, "kivi", 4) == 0)
        return QM_FAIL(QM_INVALID,
                       "scheme '%s': no cache is called '%s'; use kv8, kv4, kve4m3, kve4m3s, kve5m2, kve5m2s, kivi4 "
                       "or kivi2",
                       text, word);
    return QM_FAIL(QM_INVALID,
                   "scheme '%s': '%s' is no part of a scheme; use g32, static, percentile, gptq, kv8 or kv4", text,
                   word);
}

static enum qm_status parse_parts(const struct parts *words, const char *text, struct qm_scheme *scheme)
{
    enum part last = PART_NONE;
    uint32_t group = 0;
    bool is_asymmetric = false;
    for (size_t i = 1; i < words->count; i++) {
        const char *word = words->part[i];
        enum part part = part_of(word);
        if (part == PART_NONE)
            return refuse_word(word, text);
        if (part <= last)
            return QM_FAIL(
                QM_INVALID,
                "scheme '%s': '%s' stands %s; the order is WEIGHTS ACTIVATIONS -gN -asym -static -CALIBRATOR "
                "-actorder -kvF -firstN -lastN",
                text, word, part == last ? "twice" : "too late");
        QM_TRY(take_part(part, word, text, &group, &is_asymmetric, scheme));
        last = part;
    }
    return choose_row(group, is_asymmetric, words->part[0], text, &scheme->weights);
}

// What a calibrator needs of the formats.
static enum qm_status check_calibrator(const struct qm_scheme *scheme, const char *text)
{
    const struct qm_weight_codec *weights = qm_weight_codec(scheme->weights);
    bool is_quantized = scheme->activations == QM_ACTIVATION_A8 || scheme->activations == QM_ACTIVATION_F8;
    bool has_grid = weights->scale != QM_SCALE_NONE && weights->scale != QM_SCALE_BLOCK;
    const char *name = calibrators[scheme->calibrator].name;
    if (scheme->is_static && !is_quantized)
        return QM_FAIL(QM_INVALID,
                       "scheme '%s': static is for int8 or fp8 activations; leave it out or use w8a8-static", text);
    if (scheme->is_act_order && scheme->calibrator != QM_CALIBRATOR_GPTQ)
        return QM_FAIL(QM_INVALID, "scheme '%s': actorder is a way of gptq; write '-gptq-actorder'", text);
    if (scheme->activations == QM_ACTIVATION_F8 && scheme->is_static &&
        (scheme->calibrator == QM_CALIBRATOR_MSE || scheme->calibrator == QM_CALIBRATOR_ENTROPY))
        return QM_FAIL(QM_INVALID,
                       "scheme '%s': %s looks for thresholds of 127 levels; use -static or -static-percentile", text,
                       name);
    switch (scheme->calibrator) {
    case QM_CALIBRATOR_ABSMAX:
    case QM_CALIBRATOR_PERCENTILE:
    case QM_CALIBRATOR_ENTROPY:
        if (!scheme->is_static)
            return QM_FAIL(QM_INVALID,
                           "scheme '%s': calibrator %s finds static scales; write '-static-%s', or leave it out", text,
                           name, name);
        return QM_OK;
    case QM_CALIBRATOR_SMOOTHQUANT:
        if (!is_quantized)
            return QM_FAIL(QM_INVALID, "scheme '%s': smoothquant is for int8 or fp8 activations; use w8a8-smoothquant",
                           text);
        return QM_OK;
    case QM_CALIBRATOR_MSE:
        return has_grid || scheme->is_static
                   ? QM_OK
                   : QM_FAIL(QM_INVALID, "scheme '%s': mse searches scales, and there are none to choose; leave it out",
                             text);
    case QM_CALIBRATOR_AWQ:
    case QM_CALIBRATOR_GPTQ:
        return has_grid ? QM_OK
                        : QM_FAIL(QM_INVALID,
                                  "scheme '%s': %s rounds weights to a grid of scales, which %s has not; leave it out",
                                  text, name, weights->info.title);
    case QM_CALIBRATOR_IMATRIX:
        return has_grid ? QM_OK
                        : QM_FAIL(QM_INVALID,
                                  "scheme '%s': imatrix weighs the errors of scales, and %s has none to choose; leave "
                                  "it out",
                                  text, weights->info.title);
    default:
        return QM_OK;
    }
}

// "lm_head=f16", "*.down_proj=w8a8-g32".
static enum qm_status parse_override(const char *part, const char *text, struct qm_scheme *scheme)
{
    struct qm_scheme formats = {0};
    struct parts words;
    const char *equals = strchr(part, '=');
    size_t length = equals ? (size_t)(equals - part) : 0;
    if (scheme->override_count == QM_SCHEME_OVERRIDES_MAX)
        return QM_FAIL(QM_INVALID, "scheme '%s' has more than %d formats of its own for tensors", text,
                       QM_SCHEME_OVERRIDES_MAX);
    if (length == 0 || length >= QM_SCHEME_PATTERN_BYTES)
        return QM_FAIL(QM_INVALID, "scheme '%s': '+%s' names no tensor and format; write one such as +lm_head=f16",
                       text, part);
    QM_TRY(cut(equals + 1, '-', text, &words));
    QM_TRY(parse_formats(words.part[0], text, &formats.weights, &formats.activations));
    QM_TRY(parse_parts(&words, text, &formats));
    if (formats.is_static || formats.calibrator != QM_CALIBRATOR_NONE || formats.kv || formats.kv_first ||
        formats.kv_last)
        return QM_FAIL(QM_INVALID, "scheme '%s': '+%s' is more than formats; write one such as +%.*s=w8a16", text, part,
                       (int)length, part);
    struct qm_scheme_override *override = &scheme->overrides[scheme->override_count++];
    memcpy(override->pattern, part, length);
    override->pattern[length] = '\0';
    override->weights = formats.weights;
    override->activations = formats.activations;
    return QM_OK;
}

enum qm_status qm_scheme_parse(const char *text, struct qm_scheme *out)
{
    struct parts additions, words;
    struct qm_scheme scheme = {0};
    *out = scheme;
    if (!*text)
        return QM_FAIL(QM_INVALID, "a scheme without a name; use one such as w8a8 or w4a16-g32");
    QM_TRY(cut(text, '+', text, &additions));
    QM_TRY(cut(additions.part[0], '-', text, &words));
    scheme.is_own_floats = strcmp(words.part[0], QM_SCHEME_OWN_FLOATS_NAME) == 0;
    scheme.is_own = scheme.is_own_floats || strcmp(words.part[0], QM_SCHEME_OWN_NAME) == 0;
    scheme.weights = QM_WEIGHT_F16;
    scheme.activations = QM_ACTIVATION_F16;
    if (!scheme.is_own)
        QM_TRY(parse_formats(words.part[0], text, &scheme.weights, &scheme.activations));
    else if (additions.count > 1)
        return QM_FAIL(QM_INVALID,
                       "scheme '%s': every tensor of " QM_SCHEME_OWN_NAME
                       " is as the model's file has it; leave '+%s' out",
                       text, additions.part[1]);
    scheme.kv = default_kv(scheme.weights);
    QM_TRY(parse_parts(&words, text, &scheme));
    if (qm_kv_format_info(scheme.kv)->is_float && scheme.kv_first + scheme.kv_last > 0)
        return QM_FAIL(
            QM_INVALID,
            "scheme '%s': every token is exact in a cache of %s; leave -first and -last out, or quantize it, as "
            "in w8a16-kv4-first4-last32",
            text, qm_kv_format_info(scheme.kv)->title);
    scheme.group_size = qm_weight_format_info(scheme.weights)->group_size;
    QM_TRY(check_calibrator(&scheme, text));
    if ((scheme.is_static || qm_kv_calibrated_largest(scheme.kv) > 0) && scheme.calibrator == QM_CALIBRATOR_NONE)
        scheme.calibrator = QM_CALIBRATOR_ABSMAX;
    for (size_t i = 1; i < additions.count; i++)
        QM_TRY(parse_override(additions.part[i], text, &scheme));
    qm_scheme_set_name(&scheme);
    *out = scheme;
    return QM_OK;
}

enum qm_status qm_scheme_with_calibrator(const struct qm_scheme *scheme, enum qm_calibrator calibrator,
                                         bool is_act_order, struct qm_scheme *out)
{
    struct qm_scheme other = *scheme;
    // As a name says it: absmax goes without saying, and without static scales there is nothing that it finds.
    other.calibrator = scheme->is_static && calibrator == QM_CALIBRATOR_NONE ? QM_CALIBRATOR_ABSMAX : calibrator;
    other.is_act_order = is_act_order;
    qm_scheme_set_name(&other);
    QM_TRY(check_calibrator(&other, other.name));
    *out = other;
    return QM_OK;
}

static bool matches_from_here(const char *pattern, const char *name)
{
    if (!*pattern)
        return !*name;
    if (*pattern == '*')
        return matches_from_here(pattern + 1, name) || (*name && matches_from_here(pattern, name + 1));
    return *pattern == *name && matches_from_here(pattern + 1, name + 1);
}

bool qm_scheme_pattern_matches(const char *pattern, const char *name)
{
    for (const char *at = name; at; at = strchr(at, '.')) {
        at += *at == '.';
        if (matches_from_here(pattern, at))
            return true;
    }
    return false;
}

void qm_scheme_formats_of(const struct qm_scheme *scheme, const char *name, enum qm_weight_format *weights,
                          enum qm_activation_format *activations)
{
    *weights = scheme->weights;
    *activations = scheme->activations;
    for (size_t i = 0; i < scheme->override_count; i++)
        if (qm_scheme_pattern_matches(scheme->overrides[i].pattern, name)) {
            *weights = scheme->overrides[i].weights;
            *activations = scheme->overrides[i].activations;
        }
}

enum qm_activation_format qm_own_activations(enum qm_weight_format format)
{
    return format == QM_WEIGHT_F32    ? QM_ACTIVATION_F32
           : format == QM_WEIGHT_BF16 ? QM_ACTIVATION_BF16
                                      : QM_ACTIVATION_F16;
}

bool qm_scheme_is_calibrated(const struct qm_scheme *scheme)
{
    switch (scheme->calibrator) {
    case QM_CALIBRATOR_SMOOTHQUANT:
    case QM_CALIBRATOR_AWQ:
    case QM_CALIBRATOR_GPTQ:
    case QM_CALIBRATOR_IMATRIX:
        return true;
    default:
        return scheme->is_static || qm_kv_calibrated_largest(scheme->kv) > 0;
    }
}

QM_PRINTF(4, 5) static void add_line(char *text, size_t capacity, size_t *used, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int count =
        vsnprintf(*used < capacity ? text + *used : NULL, *used < capacity ? capacity - *used : 0, format, arguments);
    va_end(arguments);
    *used += count > 0 ? (size_t)count : 0;
}

static void add_format(char *text, size_t capacity, size_t *used, const char *what, const struct qm_format_info *info,
                       const char *scales)
{
    add_line(text, capacity, used, "%-12s %s: %s\n", what, info->title, info->storage);
    add_line(text, capacity, used, "%-12s scales: %s\n", "", scales);
    add_line(text, capacity, used, "%-12s error of a value: %s\n", "", info->error);
    if (info->is_storage_only)
        add_line(text, capacity, used, "%-12s storage format only: kernels decode it to float\n", "");
}

size_t qm_scheme_explain(const struct qm_scheme *scheme, char *text, size_t capacity)
{
    const struct qm_format_info *weights = qm_weight_format_info(scheme->weights);
    const struct qm_format_info *activations = &activation_formats[scheme->activations];
    const struct qm_format_info *kv = &kv_formats[scheme->kv];
    size_t used = 0;
    char groups[64] = "one per tensor, fixed by calibration";
    if (scheme->activation_group > 0)
        snprintf(groups, sizeof(groups), "one per %" PRIu32 " channels, fixed by calibration",
                 scheme->activation_group);
    add_line(text, capacity, &used, "scheme       %s\n", scheme->name);
    if (scheme->is_own)
        add_line(
            text, capacity, &used,
            "weights      as the model's file has them: each linear weight in the format that somebody else quantized "
            "it to,\n             codes and scales to the bit; for GGUF files, and what else was quantized\n");
    else
        add_format(text, capacity, &used, "weights", weights, weights->scales);
    if (scheme->is_own && !scheme->own && !scheme->is_own_floats)
        add_line(text, capacity, &used,
                 "activations  as the file's own program has them where kernels do (int8, E4M3FN), else as follows\n");
    add_format(text, capacity, &used, "activations", activations,
               activations->is_float                     ? "none"
               : scheme->activations == QM_ACTIVATION_A4 ? activations->scales
               : scheme->is_static                       ? groups
                                                         : "one per token, found at run time");
    add_format(text, capacity, &used, "KV cache", kv, kv->scales);
    if (scheme->kv_first + scheme->kv_last > 0)
        add_line(text, capacity, &used,
                 "             the first %" PRIu32 " and the last %" PRIu32 " tokens stay float16\n", scheme->kv_first,
                 scheme->kv_last);
    for (size_t i = 0; i < scheme->override_count; i++)
        add_line(text, capacity, &used, "tensors      %s: weights %s, activations %s\n", scheme->overrides[i].pattern,
                 qm_weight_format_info(scheme->overrides[i].weights)->title,
                 activation_formats[scheme->overrides[i].activations].title);
    add_line(text, capacity, &used, "calibrator   %s: %s\n", calibrators[scheme->calibrator].name,
             calibrators[scheme->calibrator].meaning);
    if (*calibrators[scheme->calibrator].parameters)
        add_line(text, capacity, &used, "             %s\n", calibrators[scheme->calibrator].parameters);
    return used;
}
