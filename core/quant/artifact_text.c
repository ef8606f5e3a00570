// The JSON texts in an artifact's metadata: how it was calibrated, and what was seen while it was encoded.
#include "quant/artifact_internal.h"

#include <jansson.h>

#include <stdlib.h>
#include <string.h>

#define WRITE_FLAGS (JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(17))

static char *write_text(json_t *object)
{
    char *text = object ? json_dumps(object, WRITE_FLAGS) : NULL;
    json_decref(object);
    return text;
}

// Those that divide the channels of inputs: what they chose is kept.
static bool scales_channels(enum qm_calibrator method)
{
    return method == QM_CALIBRATOR_SMOOTHQUANT || method == QM_CALIBRATOR_AWQ;
}

char *qm_artifact_calibration_text(const struct qm_artifact *artifact)
{
    const struct qm_activation_scales *a = artifact->activations;
    if (!a) // nothing was calibrated by data
        return write_text(json_pack("{s:s}", "method", qm_calibrator_name(artifact->scheme.calibrator)));
    json_t *inputs = json_array();
    for (size_t i = 0; i < a->count; i++) {
        const struct qm_activation_scale *input = &a->inputs[i];
        json_t *object =
            json_pack("{s:f, s:f, s:I, s:I}", "amax", (double)input->amax, "threshold", (double)input->threshold,
                      "count", (json_int_t)input->count, "clipped", (json_int_t)input->clipped);
        if (scales_channels(a->method)) {
            json_object_set_new(object, "alpha", json_real(input->alpha));
            json_object_set_new(object, "divisor_min", json_real((double)input->divisor_min));
            json_object_set_new(object, "divisor_max", json_real((double)input->divisor_max));
        }
        json_array_append_new(inputs, object);
    }
    json_t *object = json_pack("{s:s, s:s, s:{s:s, s:s, s:I, s:I}, s:f, s:o}", "method", qm_calibrator_name(a->method),
                               "parameters", qm_calibrator_parameters(a->method), "set", "name", a->set.name, "sha256",
                               a->set.sha256, "windows", (json_int_t)a->set.windows, "tokens",
                               (json_int_t)a->set.tokens, "clipped_fraction", a->clipped_fraction, "inputs", inputs);
    if (a->cache) {
        json_t *cache = json_array();
        for (uint32_t layer = 0; layer < a->layers; layer++)
            json_array_append_new(cache, json_pack("{s:f, s:f}", "k_amax", (double)a->cache[layer].of[QM_CACHED_KEYS],
                                                   "v_amax", (double)a->cache[layer].of[QM_CACHED_VALUES]));
        json_object_set_new(object, "cache", cache);
    }
    return write_text(object);
}

char *qm_artifact_record_text(const struct qm_artifact *artifact)
{
    json_t *object = json_object();
    for (size_t i = 0; i < artifact->tensor_count; i++) {
        const struct qm_weight_record *r = &artifact->tensors[i].record;
        json_object_set_new(object, artifact->tensors[i].name,
                            json_pack("{s:f, s:f, s:f, s:f, s:f, s:I, s:I, s:I}", "scale_min", r->scale_min,
                                      "scale_max", r->scale_max, "worst_steps", r->worst_steps, "worst_error",
                                      r->worst_error, "rms_error", r->rms_error, "zero_scales",
                                      (json_int_t)r->zero_scales, "clipped", (json_int_t)r->clipped, "bytes",
                                      (json_int_t)r->bytes));
    }
    return write_text(object);
}

char *qm_artifact_formats_text(const struct qm_artifact *artifact)
{
    json_t *object = json_object();
    for (size_t i = 0; i < artifact->tensor_count; i++) {
        const struct qm_artifact_tensor *tensor = &artifact->tensors[i];
        char name[QM_OWN_FORMAT_NAME_BYTES];
        if (!qm_role_is_linear(tensor->role))
            continue;
        qm_own_format_name(&artifact->own.of[i], name);
        json_object_set_new(object, tensor->name, json_string(name));
    }
    return write_text(object);
}

// Reading: sets *ok to false where something is missing or of another kind ---------------------------------------------

static double real_at(const json_t *object, const char *key, bool *ok)
{
    const json_t *value = json_object_get(object, key);
    *ok = *ok && json_is_number(value);
    return json_number_value(value);
}

static uint64_t count_at(const json_t *object, const char *key, bool *ok)
{
    const json_t *value = json_object_get(object, key);
    *ok = *ok && json_is_integer(value) && json_integer_value(value) >= 0;
    return *ok ? (uint64_t)json_integer_value(value) : 0;
}

// A float as it was written; anything beyond their range is refused.
static float float_at(const json_t *object, const char *key, bool *ok)
{
    double value = real_at(object, key, ok);
    *ok = *ok && value >= 0 && value <= 0x1.fffffep127;
    return *ok ? (float)value : 0;
}

static void text_at(const json_t *object, const char *key, char *out, size_t capacity, bool *ok)
{
    const char *text = json_string_value(json_object_get(object, key));
    *ok = *ok && text && strlen(text) < capacity;
    if (*ok)
        memcpy(out, text, strlen(text) + 1);
}

static enum qm_status damaged(const char *file, const char *key)
{
    return QM_FAIL(QM_INVALID, "%s: metadata '%s' is missing or not as qmark writes it; build the artifact again", file,
                   key);
}

enum qm_status qm_artifact_parse_calibration(const char *text, const char *file, struct qm_artifact *artifact)
{
    const struct qm_scheme *scheme = &artifact->scheme;
    json_t *object = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
    const char *method = json_string_value(json_object_get(object, "method"));
    bool ok = method && strcmp(method, qm_calibrator_name(scheme->calibrator)) == 0;
    if (ok && qm_scheme_is_calibrated(scheme)) {
        struct qm_activation_scales *a = calloc(1, sizeof(*a));
        if (a) {
            a->method = scheme->calibrator;
            a->layers = artifact->config.layers;
            a->count = 4 * (size_t)a->layers + 1;
            a->inputs = calloc(a->count, sizeof(*a->inputs));
            if (artifact->cache_scales)
                a->cache = calloc(a->layers, sizeof(*a->cache));
        }
        artifact->activations = a;
        if (!a || !a->inputs || (artifact->cache_scales && !a->cache)) {
            json_decref(object);
            return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for its activation scales", file);
        }
        const json_t *set = json_object_get(object, "set"), *inputs = json_object_get(object, "inputs");
        text_at(set, "name", a->set.name, sizeof(a->set.name), &ok);
        text_at(set, "sha256", a->set.sha256, sizeof(a->set.sha256), &ok);
        a->set.windows = count_at(set, "windows", &ok);
        a->set.tokens = count_at(set, "tokens", &ok);
        a->clipped_fraction = real_at(object, "clipped_fraction", &ok);
        ok = ok && json_array_size(inputs) == a->count;
        for (size_t i = 0; ok && i < a->count; i++) {
            const json_t *input = json_array_get(inputs, i);
            a->inputs[i].amax = float_at(input, "amax", &ok);
            a->inputs[i].threshold = float_at(input, "threshold", &ok);
            a->inputs[i].count = count_at(input, "count", &ok);
            a->inputs[i].clipped = count_at(input, "clipped", &ok);
            if (!scales_channels(a->method))
                continue;
            a->inputs[i].alpha = real_at(input, "alpha", &ok);
            a->inputs[i].divisor_min = float_at(input, "divisor_min", &ok);
            a->inputs[i].divisor_max = float_at(input, "divisor_max", &ok);
        }
        const json_t *cache = json_object_get(object, "cache");
        ok = ok && json_array_size(cache) == (a->cache ? a->layers : 0);
        for (uint32_t layer = 0; ok && a->cache && layer < a->layers; layer++) {
            a->cache[layer].of[QM_CACHED_KEYS] = float_at(json_array_get(cache, layer), "k_amax", &ok);
            a->cache[layer].of[QM_CACHED_VALUES] = float_at(json_array_get(cache, layer), "v_amax", &ok);
        }
    }
    json_decref(object);
    return ok ? QM_OK : damaged(file, "calibration");
}

enum qm_status qm_artifact_parse_record(const char *text, const char *file, struct qm_artifact *artifact)
{
    json_t *object = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
    bool ok = json_object_size(object) == artifact->tensor_count;
    for (size_t i = 0; ok && i < artifact->tensor_count; i++) {
        const json_t *entry = json_object_get(object, artifact->tensors[i].name);
        artifact->tensors[i].record = (struct qm_weight_record){
            .scale_min = real_at(entry, "scale_min", &ok),
            .scale_max = real_at(entry, "scale_max", &ok),
            .worst_steps = real_at(entry, "worst_steps", &ok),
            .worst_error = real_at(entry, "worst_error", &ok),
            .rms_error = real_at(entry, "rms_error", &ok),
            .zero_scales = count_at(entry, "zero_scales", &ok),
            .clipped = count_at(entry, "clipped", &ok),
            .bytes = count_at(entry, "bytes", &ok),
        };
    }
    json_decref(object);
    return ok ? QM_OK : damaged(file, "record");
}

enum qm_status qm_artifact_parse_formats(const char *text, const char *file, const struct qm_model_config *config,
                                         struct qm_own_format **out)
{
    json_t *object = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    size_t count = qm_weight_count(config), linear = 0;
    struct qm_own_format *list = *out = malloc(count * sizeof(*list));
    if (!list) {
        json_decref(object);
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for the formats of %zu weights", file, count);
    }
    bool ok = object != NULL;
    for (size_t i = 0; ok && i < count; i++) {
        char name[QM_WEIGHT_NAME_BYTES];
        enum qm_role role;
        uint32_t layer;
        qm_weight_at(config, i, &role, &layer);
        qm_role_weight_name(role, layer, name);
        list[i] = (struct qm_own_format){.weights = QM_WEIGHT_FORMAT_COUNT};
        if (!qm_role_is_linear(role))
            continue;
        const char *format = json_string_value(json_object_get(object, name));
        ok = format && qm_own_format_find(format, &list[i]);
        linear++;
    }
    ok = ok && json_object_size(object) == linear;
    json_decref(object);
    if (ok)
        return QM_OK;
    free(list);
    *out = NULL;
    return damaged(file, "formats");
}
