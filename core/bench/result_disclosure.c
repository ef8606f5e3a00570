#include "bench/result_disclosure.h"

#include <stdio.h>
#include <string.h>

#include "quant/weight_calibrator.h"

// ---- Precision -----------------------------------------------------------------------------------------------------

static struct qm_node *add_format(struct qm_node *precision, const char *key, const struct qm_format_info *info)
{
    struct qm_node *node = qm_node_add_mapping(precision, key);
    qm_node_set_text(node, "format", info->title);
    qm_node_set_text(node, "storage", info->storage);
    qm_node_set_text(node, "scales", info->scales);
    qm_node_set_text(node, "error", info->error);
    qm_node_set_u64(node, "bits", info->bits);
    if (!info->is_float)
        qm_node_set_u64(node, "group_size", info->group_size);
    if (info->is_storage_only)
        qm_node_set_text(node, "storage_only", "storage format only: decoded to float by the kernels");
    return node;
}

// Of scheme `file`: what the formats are stands in the rows of the tensors, if the model is at hand.
static void add_own_format(struct qm_node *precision)
{
    struct qm_node *node = qm_node_add_mapping(precision, "weights");
    qm_node_set_text(node, "format", "the model file's own");
    qm_node_set_text(node, "storage", "codes and scales as the file has them, each tensor in its own format");
    qm_node_set_text(node, "scales", "the file's, as each format has them");
    qm_node_set_text(node, "error", "undisclosed: the file does not say what its tensors were before");
    qm_node_set_text(node, "bits", "not stated");
}

static const char *arithmetic_of(const struct qm_scheme *scheme)
{
    bool is_integer = scheme->activations == QM_ACTIVATION_A8 || scheme->activations == QM_ACTIVATION_A4;
    return is_integer ? scheme->is_own ? "where activations are integers: products of integers, sums int32 within a "
                                         "scale's block, float32 "
                                         "across blocks; elsewhere products and sums float32, as the rest of the model"
                                       : "products of integers, sums int32 within a scale's block, float32 across "
                                         "blocks; the rest of the "
                                         "model float32"
                      : "products and sums float32 (multiply-adds may contract); the rest of the model float32";
}

// ---- Tensors -------------------------------------------------------------------------------------------------------

static bool is_same_kind(const struct qm_artifact_tensor *a, const struct qm_artifact_tensor *b)
{
    return a->format == b->format && a->activations == b->activations && a->bound == b->bound &&
           !a->activation_scale_count == !b->activation_scale_count;
}

// Adds ", down_proj" where all layers have the kind, else ", layers.0.mlp.down_proj" for each that does. Such names are
// patterns of a scheme, too.
static void add_names(char *names, size_t capacity, const struct qm_artifact *artifact,
                      const struct qm_artifact_tensor *kind, enum qm_role role)
{
    uint32_t layers = qm_role_is_per_layer(role) ? artifact->config.layers : 1, count = 0;
    for (uint32_t layer = 0; layer < layers; layer++)
        count += is_same_kind(qm_artifact_weight(artifact, role, layer), kind);
    for (uint32_t layer = 0; layer < layers && count > 0; layer++) {
        const struct qm_artifact_tensor *tensor = qm_artifact_weight(artifact, role, layer);
        const char *last = strrchr(tensor->name, '.'), *first = strchr(tensor->name, '.');
        size_t used = strlen(names);
        if (!is_same_kind(tensor, kind))
            continue;
        const char *name = count == layers && last ? last + 1 : first ? first + 1 : tensor->name;
        snprintf(names + used, capacity - used, "%s%s", used ? ", " : "", name);
        if (count == layers)
            return;
    }
}

// One row for each combination of formats: which tensors have it, and what was seen of their errors.
static void add_tensor_rows(struct qm_node *tensors, const struct qm_artifact *artifact)
{
    struct qm_node *list = qm_node_add_sequence(tensors, "formats");
    for (size_t i = 0; i < artifact->tensor_count; i++) {
        const struct qm_artifact_tensor *kind = &artifact->tensors[i];
        bool is_first = true;
        for (size_t j = 0; j < i; j++)
            is_first = is_first && !is_same_kind(&artifact->tensors[j], kind);
        if (!is_first)
            continue;
        char names[2048] = "";
        double worst = 0, scale_min = 0, scale_max = 0;
        uint64_t clipped = 0, values = 0, bytes = 0;
        for (int role = 0; role < QM_ROLE_COUNT; role++)
            if (qm_architecture_has(artifact->config.architecture, (enum qm_role)role))
                add_names(names, sizeof(names), artifact, kind, (enum qm_role)role);
        for (size_t j = i; j < artifact->tensor_count; j++) {
            const struct qm_artifact_tensor *tensor = &artifact->tensors[j];
            const struct qm_weight_record *r = &tensor->record;
            if (!is_same_kind(tensor, kind))
                continue;
            worst = r->worst_steps > worst ? r->worst_steps : worst;
            scale_min = r->scale_max > 0 && (scale_min <= 0 || r->scale_min < scale_min) ? r->scale_min : scale_min;
            scale_max = r->scale_max > scale_max ? r->scale_max : scale_max;
            clipped += r->clipped;
            bytes += r->bytes;
            values += (uint64_t)tensor->rows * tensor->columns;
        }
        struct qm_node *row = qm_node_append_mapping(list);
        qm_node_set_text(row, "tensors", names);
        qm_node_set_text(row, "weights", qm_weight_format_info(kind->format)->title);
        qm_node_set_u64(row, "group_size", qm_weight_format_info(kind->format)->group_size);
        if (qm_role_is_linear(kind->role))
            qm_node_set_textf(row, "activations", "%s%s", qm_activation_format_info(kind->activations)->title,
                              artifact->scheme.is_own && kind->activation_scale_count > 0 ? ", static" : "");
        qm_node_set_text(row, "bound", qm_bound_name(kind->bound));
        if (qm_weight_codec(kind->format)->scale != QM_SCALE_NONE && scale_max > 0) {
            qm_node_set_double(row, "scale_min", scale_min);
            qm_node_set_double(row, "scale_max", scale_max);
        }
        // Of the file's own codes nobody here knows what they were made of.
        if (qm_weight_codec(kind->format)->scale != QM_SCALE_NONE && scale_max > 0 && kind->bound != QM_BOUND_OWN) {
            qm_node_set_double(row, "clipped_fraction", (double)clipped / (double)values);
            qm_node_set_double(row, "error_worst", worst);
        }
        qm_node_set_u64(row, "bytes", bytes);
    }
}

// Which inputs are what; of scheme `file` whether that is what the file's own program does.
static void add_inputs(struct qm_node *tensors, const struct qm_scheme *scheme, const struct qm_disclosed_sets *sets)
{
    const struct qm_format_info *activations = qm_activation_format_info(scheme->activations);
    const char *told = scheme->is_own ? qm_node_text_at(sets->quantization, "activations", "none") : "none";
    char which[320] = "";
    if (scheme->is_own && !activations->is_float)
        snprintf(which, sizeof(which),
                 "inputs of linear layers %s%s where the file's own program has them so, else floats",
                 activations->title, scheme->own && scheme->own->is_static ? ", static scale per tensor," : "");
    else if (strcmp(told, "none") != 0)
        snprintf(which, sizeof(which), "inputs of all linear layers %s, other than the file's own program: %.160s",
                 activations->title, told);
    else
        snprintf(which, sizeof(which), "inputs of all linear layers %s", activations->title);
    char scales[64] = "";
    if (scheme->is_static && scheme->activation_group > 0)
        snprintf(scales, sizeof(scales), ", static scales per %u channels", scheme->activation_group);
    else if (scheme->is_static)
        snprintf(scales, sizeof(scales), ", static scale per tensor");
    qm_node_set_textf(tensors, "activations",
                      "%s%s%s; residual stream, norms, rotary embedding, softmax and SwiGLU float32", which, scales,
                      scheme->override_count > 0 ? " but for those under formats" : "");
}

void qm_disclosure_add_precision(struct qm_node *disclosure, const struct qm_scheme *scheme,
                                 const struct qm_artifact *artifact, const struct qm_disclosed_sets *sets)
{
    const struct qm_format_info *weights = qm_weight_format_info(scheme->weights);
    const struct qm_format_info *activations = qm_activation_format_info(scheme->activations);
    struct qm_node *precision = qm_node_add_mapping(disclosure, "precision");
    if (scheme->is_own)
        add_own_format(precision);
    else
        add_format(precision, "weights", weights);
    add_format(precision, "activations", activations);
    add_format(precision, "kv_cache", qm_kv_format_info(scheme->kv));
    qm_node_set_text(precision, "arithmetic", arithmetic_of(scheme));

    struct qm_node *tensors = qm_node_add_mapping(disclosure, "tensors");
    if (scheme->is_own)
        qm_node_set_text(tensors, "weights",
                         "all linear layers and lm_head as the model's file has them; embedding float16, of the file's "
                         "values; norm gains float32");
    else
        qm_node_set_textf(tensors, "weights", "all linear layers and lm_head %s%s; embedding %s; norm gains float32",
                          weights->title, scheme->override_count > 0 ? " but for those under formats" : "",
                          scheme->weights == QM_WEIGHT_F32 ? "float32" : "float16");
    add_inputs(tensors, scheme, sets);
    char exact[96] = "";
    const char *cache_scales =
        qm_kv_calibrated_largest(scheme->kv) > 0 ? ", static scale for the keys and for the values of a layer" : "";
    if (scheme->kv_first + scheme->kv_last > 0)
        snprintf(exact, sizeof(exact), "; the first %u and the last %u tokens float16", scheme->kv_first,
                 scheme->kv_last);
    qm_node_set_textf(tensors, "kv_cache", "keys (after the rotary embedding) and values %s%s%s",
                      qm_kv_format_info(scheme->kv)->title, cache_scales, exact);
    if (artifact)
        add_tensor_rows(tensors, artifact);
}

// ---- Calibration ---------------------------------------------------------------------------------------------------

static void add_set(struct qm_node *disclosure, const struct qm_disclosed_sets *sets)
{
    if (!sets->calibration) {
        qm_node_set_text(disclosure, "calibration_set", "none");
        return;
    }
    struct qm_node *set = qm_node_add_mapping(disclosure, "calibration_set");
    qm_node_set_text(set, "name", sets->calibration->name);
    qm_node_set_text(set, "sha256", sets->calibration->sha256);
    qm_node_set_u64(set, "sequences", sets->calibration->windows);
    qm_node_set_u64(set, "tokens", sets->calibration->tokens);
    if (sets->overlap > 0)
        qm_node_set_textf(set, "overlap", "%u of the %u examples that are scored", sets->overlap, sets->examples);
    else
        qm_node_set_text(set, "overlap", "none");
}

// How the weights' codes were found, and how the activations' scales.
static void add_name(struct qm_node *method, const struct qm_scheme *scheme)
{
    enum qm_calibrator calibrator = scheme->calibrator;
    bool chooses_weights = calibrator == QM_CALIBRATOR_MSE || calibrator >= QM_CALIBRATOR_AWQ;
    bool is_block = qm_weight_codec(scheme->weights)->scale == QM_SCALE_BLOCK;
    bool chooses_activations = calibrator == QM_CALIBRATOR_PERCENTILE || calibrator == QM_CALIBRATOR_MSE ||
                               calibrator == QM_CALIBRATOR_ENTROPY || calibrator == QM_CALIBRATOR_SMOOTHQUANT;
    const char *weights = scheme->is_own                                             ? "undisclosed"
                          : chooses_weights                                          ? qm_calibrator_name(calibrator)
                          : qm_weight_codec(scheme->weights)->scale == QM_SCALE_NONE ? "rounded to nearest"
                          : is_block                                                 ? "ggml's search"
                                                                                     : "absmax";
    const char *activations = scheme->is_static ? chooses_activations ? qm_calibrator_name(calibrator) : "absmax" : "";
    bool is_scaled = calibrator == QM_CALIBRATOR_SMOOTHQUANT && !scheme->is_static;
    qm_node_set_textf(method, "name", "weights %s%s%s%s%s%s", weights, scheme->is_act_order ? " with act-order" : "",
                      scheme->is_static ? ", activations " : "", activations,
                      is_scaled ? ", channels scaled by smoothquant" : "",
                      qm_kv_calibrated_largest(scheme->kv) > 0 ? ", cache absmax" : "");
}

// The calibrator's parameters, and what it chose where it chooses.
static void add_parameters(struct qm_node *method, const struct qm_scheme *scheme,
                           const struct qm_activation_scales *scales)
{
    const char *parameters = qm_calibrator_parameters(scheme->calibrator);
    if (!scales || (scheme->calibrator != QM_CALIBRATOR_SMOOTHQUANT && scheme->calibrator != QM_CALIBRATOR_AWQ)) {
        qm_node_set_text(method, "parameters", parameters[0] ? parameters : "none");
        return;
    }
    const struct qm_activation_scale *first = &scales->inputs[0];
    double alpha_min = first->alpha, alpha_max = first->alpha, low = 0, high = 0;
    for (size_t i = 0; i < scales->count; ++i) {
        const struct qm_activation_scale *input = &scales->inputs[i];
        if (!(input->divisor_max > 0)) // left out
            continue;
        alpha_min = input->alpha < alpha_min ? input->alpha : alpha_min;
        alpha_max = input->alpha > alpha_max ? input->alpha : alpha_max;
        low = low <= 0 || (double)input->divisor_min < low ? (double)input->divisor_min : low;
        high = (double)input->divisor_max > high ? (double)input->divisor_max : high;
    }
    qm_node_set_textf(method, "parameters", "%s; found: %.2f to %.2f, channels divided by %.3g to %.3g", parameters,
                      alpha_min, alpha_max, low, high);
}

// Of somebody else's codes what their files name, and that the rest is not known.
static void add_own_calibration(struct qm_node *disclosure, const struct qm_node *quantization)
{
    const char *name = qm_node_text_at(quantization, "calibration_set", "undisclosed");
    if (strcmp(name, "undisclosed") == 0) {
        qm_node_set_text(disclosure, "calibration_set", name);
    } else {
        struct qm_node *set = qm_node_add_mapping(disclosure, "calibration_set");
        qm_node_set_text(set, "name", name);
        qm_node_set_text(set, "sha256", "undisclosed");
        qm_node_set_text(set, "sequences", "undisclosed");
        qm_node_set_text(set, "tokens", "undisclosed");
    }
    if (!quantization) {
        qm_node_set_text(disclosure, "calibration_method", "undisclosed");
        return;
    }
    struct qm_node *method = qm_node_add_mapping(disclosure, "calibration_method");
    qm_node_set_text(method, "name", qm_node_text_at(quantization, "method", "undisclosed"));
    qm_node_set_textf(method, "parameters", "%s; damp_percent %s",
                      qm_node_text_at(quantization, "precision", "undisclosed"),
                      qm_node_text_at(quantization, "damp_percent", "undisclosed"));
    qm_node_set_text(method, "clipped_fraction", "undisclosed");
    qm_node_set_text(method, "error_bound", "undisclosed");
    qm_node_set_text(method, "error_worst", "undisclosed");
}

void qm_disclosure_add_calibration(struct qm_node *disclosure, const struct qm_scheme *scheme,
                                   const struct qm_artifact *artifact, const struct qm_disclosed_sets *sets)
{
    const struct qm_activation_scales *scales = artifact ? artifact->activations : NULL;
    if (scheme->is_own && !sets->calibration) { // of a GGUF file what it says stands under model.file
        add_own_calibration(disclosure, sets->quantization);
        return;
    }
    add_set(disclosure, sets);
    if (qm_weight_format_info(scheme->weights)->is_float && !sets->calibration) {
        qm_node_set_text(disclosure, "calibration_method", "none");
        return;
    }
    double worst = 0;
    uint64_t clipped = 0, count = 0;
    enum qm_bound bound = QM_BOUND_HALF_STEP;
    for (size_t i = 0; artifact && i < artifact->tensor_count; ++i) {
        const struct qm_artifact_tensor *tensor = &artifact->tensors[i];
        if (!qm_role_is_linear(tensor->role))
            continue;
        worst = tensor->record.worst_steps > worst ? tensor->record.worst_steps : worst;
        bound = tensor->bound > bound ? tensor->bound : bound;
        clipped += tensor->record.clipped;
        count += (uint64_t)tensor->rows * tensor->columns;
    }
    struct qm_node *method = qm_node_add_mapping(disclosure, "calibration_method");
    add_name(method, scheme);
    add_parameters(method, scheme, scales);
    if (!artifact || scheme->is_own)
        qm_node_set_text(method, "clipped_fraction", "undisclosed");
    else
        qm_node_set_double(method, "clipped_fraction",
                           scheme->is_static ? scales ? scales->clipped_fraction : 0
                           : count > 0       ? (double)clipped / (double)count
                                             : 0);
    // In units of the step at the value; clipped values, whose fraction stands above, are not counted.
    if (bound >= QM_BOUND_NONE)
        qm_node_set_text(method, "error_bound", bound == QM_BOUND_OWN ? "undisclosed" : "none");
    else
        qm_node_set_double(method, "error_bound", 0.5);
    if (artifact && !scheme->is_own)
        qm_node_set_double(method, "error_worst", worst);
    else
        qm_node_set_text(method, "error_worst", "undisclosed");
}
