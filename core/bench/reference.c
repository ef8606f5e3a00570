#include "bench/reference.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/reference_device.h"
#include "bench/reference_host.h"
#include "kernel/kernels.h"
#include "model/engine.h"
#include "model/safetensors.h"
#include "quant/awq_scales.h"
#include "quant/smooth.h"
#include "quant/weight_calibrator.h"
#include "sys/host.h"
#include "sys/process.h"

static void tell(const struct qm_reference_params *params, const char *what, double fraction)
{
    if (params->progress)
        params->progress(params->progress_context, what, fraction);
}

// A network on the reference backend with one pass of a whole window; everything to take down again.
struct oracle {
    struct qm_device *device;
    struct qm_engine *engine;
    struct qm_network *network;
    struct qm_pass *pass;
};

static void oracle_close(struct oracle *oracle)
{
    qm_pass_destroy(&oracle->pass);
    qm_network_destroy(&oracle->network);
    qm_engine_destroy(&oracle->engine);
    if (oracle->device)
        oracle->device->fns->destroy(&oracle->device);
}

static enum qm_status oracle_open(const struct qm_artifact *artifact, const struct qm_scheme *scheme,
                                  uint32_t window_tokens, struct oracle *out)
{
    *out = (struct oracle){0};
    if (window_tokens > artifact->config.context)
        return QM_FAIL(QM_INVALID, "windows of %u tokens exceed the model's context of %u; make window_tokens smaller",
                       window_tokens, artifact->config.context);
    enum qm_status status = QM_OK;
    struct qm_device_info info;
    size_t count = 0;
    QM_GUARD(qm_backend_reference.enumerate(&info, 1, &count));
    QM_GUARD(qm_backend_reference.open(&info, &(struct qm_open_params){0}, &out->device));
    QM_GUARD(qm_engine_create(&(struct qm_engine_params){.device = out->device,
                                                         .tile = "narrow",
                                                         .config = artifact->config,
                                                         .context = window_tokens,
                                                         .rows = window_tokens,
                                                         .sequences = 1,
                                                         .slots = 1},
                              &out->engine));
    QM_GUARD(qm_network_create(out->engine, artifact, scheme, &out->network));
    QM_GUARD(qm_pass_create(out->network, &(struct qm_pass_params){1, window_tokens, 0, 0}, &out->pass));
done:
    if (status != QM_OK)
        oracle_close(out);
    return status;
}

static enum qm_status oracle_set_window(const struct oracle *oracle, const struct qm_evaluation *set, uint32_t window)
{
    uint32_t context = qm_engine_config(oracle->engine)->context;
    uint32_t *tokens = calloc((size_t)context + 1, sizeof(*tokens));
    if (!tokens)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for tokens");
    memcpy(tokens, qm_evaluation_tokens(set, window), (set->set.window_tokens + 1) * sizeof(*tokens));
    enum qm_status status = qm_engine_write_tokens(oracle->engine, tokens, 1);
    free(tokens);
    return status;
}

// ---- Artifacts ----------------------------------------------------------------------------------------------------

// Where the artifacts of a large model are made: beside those that are kept. NULL: in memory.
static const char *scratch_of(const struct qm_reference_params *params, char directory[QM_PATH_BYTES])
{
    bool is_large = params->model->values == NULL && params->cache_directory;
    if (!is_large || qm_path_join(directory, params->cache_directory, "artifacts") != QM_OK ||
        qm_directory_make(directory) != QM_OK)
        return NULL;
    return directory;
}

static void tell_encoding(void *context, double fraction)
{
    tell(context, "quantizing", fraction);
}

static enum qm_status build(const struct qm_reference_params *params, struct qm_artifact_params *artifact,
                            struct qm_artifact **out)
{
    char directory[QM_PATH_BYTES];
    artifact->scratch_directory = scratch_of(params, directory);
    artifact->progress = artifact->scratch_directory ? tell_encoding : NULL; // else it is done at once
    artifact->progress_context = (void *)(uintptr_t)params;
    return qm_artifact_build(artifact, out);
}

struct qm_reference_collector {
    const struct qm_reference_params *params;
    const struct qm_evaluation *calibration;
    bool is_on_host;              // the host's pass; what follows is then not there
    struct qm_artifact *artifact; // of f32
    struct oracle oracle;
    struct qm_calibration *collected;
    uint32_t windows; // seen
    double seconds;
};

static double seconds_since(uint64_t began_ns)
{
    return (double)(qm_clock_ns() - began_ns) * 1e-9;
}

enum qm_status qm_reference_collector_open(const struct qm_reference_params *params,
                                           const struct qm_evaluation *calibration,
                                           const struct qm_calibration_options *options,
                                           struct qm_reference_collector **out)
{
    *out = NULL;
    const uint64_t began_ns = qm_clock_ns();
    struct qm_scheme f32;
    QM_TRY(qm_scheme_parse("f32", &f32));
    enum qm_status status = QM_OK;
    struct qm_reference_collector *collector = calloc(1, sizeof(*collector));
    if (!collector)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory to calibrate");
    collector->params = params;
    collector->calibration = calibration;
    collector->collected = qm_calibration_new_with(params->model->config.layers, options);
    if (!collector->collected) {
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory to calibrate");
        goto done;
    }
    collector->is_on_host = qm_reference_is_on_host(params->model);
    if (!collector->is_on_host) {
        QM_GUARD(
            build(params, &(struct qm_artifact_params){.model = params->model, .scheme = &f32}, &collector->artifact));
        QM_GUARD(oracle_open(collector->artifact, &f32, calibration->set.window_tokens, &collector->oracle));
    }
    collector->seconds = seconds_since(began_ns);
    *out = collector;
    collector = NULL;
done:
    qm_reference_collector_close(&collector);
    return status;
}

enum qm_status qm_reference_collector_advance(struct qm_reference_collector *collector, uint32_t windows)
{
    const struct qm_evaluation *calibration = collector->calibration;
    const uint64_t began_ns = qm_clock_ns();
    windows = windows < calibration->set.windows ? windows : calibration->set.windows;
    if (collector->is_on_host && collector->windows < windows) {
        const struct qm_reference_host_options options =
            qm_reference_host_options(collector->params->model->config.vocabulary, 0);
        QM_TRY(qm_reference_host_observe(collector->params, calibration, collector->windows, windows, &options,
                                         collector->collected));
        collector->windows = windows;
    }
    for (; collector->windows < windows; ++collector->windows) {
        if (qm_interrupted())
            return QM_FAIL(QM_INTERRUPTED, "interrupted");
        tell(collector->params, "collecting", (double)collector->windows / calibration->set.windows);
        QM_TRY(oracle_set_window(&collector->oracle, calibration, collector->windows));
        QM_TRY(qm_pass_observe(collector->oracle.pass, &(struct qm_pass_start){0, 0}, collector->collected));
    }
    collector->seconds += seconds_since(began_ns);
    return QM_OK;
}

const struct qm_calibration *qm_reference_collected(const struct qm_reference_collector *collector)
{
    return collector->collected;
}

double qm_reference_collector_seconds(const struct qm_reference_collector *collector)
{
    return collector->seconds;
}

void qm_reference_collector_close(struct qm_reference_collector **collector)
{
    if (!*collector)
        return;
    oracle_close(&(*collector)->oracle);
    qm_artifact_destroy(&(*collector)->artifact);
    qm_calibration_destroy(&(*collector)->collected);
    free(*collector);
    *collector = NULL;
}

// Runs the fp32 model over the set, once.
static enum qm_status collect(const struct qm_reference_params *params, const struct qm_evaluation *calibration,
                              const struct qm_calibration_options *options, struct qm_calibration **out)
{
    struct qm_reference_collector *collector = NULL;
    enum qm_status status = QM_OK;
    QM_GUARD(qm_reference_collector_open(params, calibration, options, &collector));
    QM_GUARD(qm_reference_collector_advance(collector, calibration->set.windows));
    if (params->time)
        params->time->collecting_s = collector->seconds;
    *out = collector->collected;
    collector->collected = NULL;
done:
    qm_reference_collector_close(&collector);
    return status;
}

// The calibrator of activations' thresholds: those that choose weights leave them at absmax.
static enum qm_calibrator threshold_method(const struct qm_scheme *scheme)
{
    switch (scheme->calibrator) {
    case QM_CALIBRATOR_PERCENTILE:
    case QM_CALIBRATOR_MSE:
    case QM_CALIBRATOR_ENTROPY:
        return scheme->calibrator;
    default:
        return QM_CALIBRATOR_ABSMAX;
    }
}

// The model as a calibrator that scales channels leaves it; *out stays NULL for the others.
static enum qm_status scale_channels(const struct qm_model *model, const struct qm_scheme *scheme,
                                     const struct qm_calibration *collectors, struct qm_smoothed **out)
{
    struct qm_smooth_params smooth = {.is_searched = true};
    if (scheme->calibrator == QM_CALIBRATOR_AWQ) {
        smooth.choose = qm_awq_choose;
        smooth.choose_context = scheme;
        smooth.is_left_out[QM_INPUT_ATTENTION_OUTPUT] = true;
    } else if (scheme->calibrator != QM_CALIBRATOR_SMOOTHQUANT) {
        return QM_OK;
    }
    return qm_smooth(model, collectors, &smooth, out);
}

// A calibrated scheme's artifact from what was collected.
static enum qm_status build_calibrated(const struct qm_reference_params *params, const struct qm_scheme *scheme,
                                       const struct qm_evaluation *calibration, const struct qm_calibration *collectors,
                                       struct qm_artifact **out)
{
    enum qm_status status = QM_OK;
    struct qm_smoothed *smoothed = NULL;
    struct qm_activation_scales *scales = NULL;
    uint32_t layers = params->model->config.layers;
    const struct qm_channel_statistics **statistics = calloc(4 * (size_t)layers + 1, sizeof(const void *));
    struct qm_calibration_set set = {.windows = calibration->set.windows,
                                     .tokens = (uint64_t)calibration->set.windows * calibration->set.window_tokens};
    snprintf(set.name, sizeof(set.name), "%s", calibration->name);
    snprintf(set.sha256, sizeof(set.sha256), "%s", calibration->sha256);
    if (!statistics)
        QM_GUARD(QM_FAIL(QM_OUT_OF_MEMORY, "no memory to calibrate"));
    QM_GUARD(scale_channels(params->model, scheme, collectors, &smoothed));
    if (smoothed) {
        QM_GUARD(qm_smoothed_scales(smoothed, &set, &scales));
        if (scheme->activation_group > 0)
            QM_GUARD(qm_smoothed_add_groups(smoothed, scheme->activation_group, scales));
    } else {
        QM_GUARD(qm_calibration_scales(collectors, threshold_method(scheme), &set, &scales));
        if (scheme->activation_group > 0)
            QM_GUARD(qm_calibration_add_groups(collectors, scheme->activation_group, scales));
    }
    scales->method = scheme->calibrator;
    for (size_t i = 0; i < scales->count; ++i) {
        enum qm_input input = i + 1 == scales->count ? QM_INPUT_HEAD : (enum qm_input)(i % 4);
        statistics[i] = smoothed ? &smoothed->statistics[i] : NULL;
        if (!smoothed)
            QM_GUARD(qm_calibration_statistics(collectors, (uint32_t)(i / 4), input, &statistics[i]));
    }
    QM_GUARD(build(params,
                   &(struct qm_artifact_params){.model = smoothed ? smoothed->model : params->model,
                                                .scheme = scheme,
                                                .activations = scales,
                                                .statistics = statistics},
                   out));
done:
    free(statistics);
    qm_activation_scales_destroy(&scales);
    qm_smoothed_destroy(&smoothed);
    return status;
}

void qm_reference_add_options(const struct qm_scheme *scheme, struct qm_calibration_options *options)
{
    options->has_products = options->has_products || qm_scheme_needs_products(scheme);
    // Groups of channels are powers of two times 32 in practice; the greatest common divisor serves all of them.
    for (uint32_t group = scheme->activation_group; group > 0;) {
        uint32_t rest = options->group % group;
        options->group = group;
        group = rest;
    }
}

enum qm_status qm_reference_build(const struct qm_reference_params *params, const struct qm_scheme *scheme,
                                  const struct qm_evaluation *calibration, const struct qm_calibration *collected,
                                  struct qm_artifact **out)
{
    const uint64_t began_ns = qm_clock_ns();
    struct qm_artifact_params plain = {.model = params->model, .scheme = scheme};
    enum qm_status status = qm_scheme_is_calibrated(scheme)
                                ? build_calibrated(params, scheme, calibration, collected, out)
                                : build(params, &plain, out);
    if (params->time)
        params->time->building_s = seconds_since(began_ns);
    return status;
}

static enum qm_status calibrate(const struct qm_reference_params *params, const struct qm_scheme *scheme,
                                const struct qm_evaluation *calibration, struct qm_artifact **out)
{
    if (!qm_scheme_is_calibrated(scheme))
        return qm_reference_build(params, scheme, calibration, NULL, out);
    struct qm_calibration *own = NULL, **kept = params->collected ? params->collected : &own;
    struct qm_calibration_options options = params->options;
    qm_reference_add_options(scheme, &options);
    enum qm_status status = *kept ? QM_OK : collect(params, calibration, &options, kept);
    if (status == QM_OK)
        status = qm_reference_build(params, scheme, calibration, *kept, out);
    qm_calibration_destroy(&own);
    return status;
}

enum qm_status qm_reference_artifact(const struct qm_reference_params *params, const struct qm_scheme *scheme,
                                     const struct qm_evaluation *calibration, struct qm_artifact **out,
                                     char path[QM_PATH_BYTES])
{
    *out = NULL;
    char directory[QM_PATH_BYTES];
    QM_TRY(qm_path_join(directory, params->cache_directory, "artifacts"));
    bool is_calibrated = qm_scheme_is_calibrated(scheme);
    QM_TRY(qm_artifact_find(directory, params->model->sha256, &params->model->config, scheme,
                            is_calibrated ? calibration->sha256 : NULL, out));
    if (params->time)
        *params->time = (struct qm_reference_time){.is_cached = *out != NULL};
    if (!*out) {
        enum qm_status status = calibrate(params, scheme, calibration, out);
        if (status == QM_OK)
            status = qm_artifact_store(*out, directory);
        if (status == QM_OK)
            status = qm_artifact_path(directory, (*out)->id, path);
        if (status == QM_OK && (*out)->scratch.bytes) { // the file that is kept takes the scratch file's place
            qm_artifact_destroy(out);
            status = qm_artifact_load(path, out);
        }
        if (status != QM_OK)
            qm_artifact_destroy(out);
        return status;
    }
    return qm_artifact_path(directory, (*out)->id, path);
}

// ---- Logits -------------------------------------------------------------------------------------------------------

static enum qm_status logits_path(const struct qm_reference_params *params, const struct qm_artifact *artifact,
                                  const struct qm_scheme *scheme, const struct qm_evaluation *evaluation,
                                  uint32_t windows, char path[QM_PATH_BYTES])
{
    char directory[QM_PATH_BYTES], name[QM_HASH_TEXT_BYTES + 32], text[384], key[QM_HASH_TEXT_BYTES];
    char identity[QM_HASH_TEXT_BYTES]; // the KV format alone would not tell which tokens stay exact
    qm_scheme_hash(scheme, identity);
    snprintf(text, sizeof(text), "%s %s %s %u %s", artifact->id, identity, evaluation->sha256, windows, QM_VERSION);
    qm_hash_bytes(text, strlen(text), key);
    snprintf(name, sizeof(name), "%s.safetensors", key);
    QM_TRY(qm_path_join(directory, params->cache_directory, "reference"));
    QM_TRY(qm_directory_make(directory));
    return qm_path_join(path, directory, name);
}

// A cached file that does not fit is computed anew; why it does not is of no use to anybody.
static bool load_cached(const char *path, const uint64_t shape[3], float *logits, size_t count)
{
    struct qm_tensors tensors = {0};
    const struct qm_tensor *tensor = NULL;
    bool is_loaded = false;
    if (qm_file_exists(path) && qm_tensors_load(path, &tensors) == QM_OK) {
        if (qm_tensors_require(&tensors, "logits", QM_DTYPE_F32, 3, shape, &tensor) == QM_OK) {
            memcpy(logits, tensor->data, count * sizeof(*logits));
            is_loaded = true;
        }
        qm_tensors_free(&tensors);
    }
    return is_loaded;
}

enum qm_status qm_reference_compute_logits(const struct qm_reference_params *params, const struct qm_artifact *artifact,
                                           const struct qm_scheme *scheme, const struct qm_evaluation *evaluation,
                                           uint32_t windows, float *logits)
{
    const size_t window_count = (size_t)evaluation->set.window_tokens * artifact->config.vocabulary;
    enum qm_status status = QM_OK;
    struct oracle oracle = {0};
    char what[QM_SCHEME_NAME_BYTES + 16];
    snprintf(what, sizeof(what), "reference %s", scheme->name);
    QM_GUARD(oracle_open(artifact, scheme, evaluation->set.window_tokens, &oracle));
    for (uint32_t w = 0; w < windows; ++w) {
        struct qm_timing timing = {0};
        if (qm_interrupted()) {
            status = QM_FAIL(QM_INTERRUPTED, "interrupted");
            goto done;
        }
        tell(params, what, (double)w / windows);
        QM_GUARD(oracle_set_window(&oracle, evaluation, w));
        QM_GUARD(qm_pass_run(oracle.pass, &(struct qm_pass_start){0, 0}, 1, &(struct qm_run_policy){0, 1}, &timing));
        QM_GUARD(qm_pass_read_logits(oracle.pass, logits + w * window_count));
    }
done:
    oracle_close(&oracle);
    return status;
}

enum qm_status qm_reference_logits(const struct qm_reference_params *params, const struct qm_artifact *artifact,
                                   const struct qm_scheme *scheme, const struct qm_evaluation *evaluation,
                                   uint32_t windows, float **logits)
{
    *logits = NULL;
    char path[QM_PATH_BYTES];
    QM_TRY(logits_path(params, artifact, scheme, evaluation, windows, path));
    const uint64_t shape[3] = {windows, evaluation->set.window_tokens, artifact->config.vocabulary};
    size_t count = windows * (size_t)shape[1] * shape[2];
    float *values = malloc(count * sizeof(*values));
    if (!values)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %zu reference logits", count);
    if (load_cached(path, shape, values, count)) {
        *logits = values;
        return QM_OK;
    }
    enum qm_status status = QM_OK;
    QM_GUARD(qm_reference_compute_logits(params, artifact, scheme, evaluation, windows, values));
    struct qm_tensor tensor = {.name = "logits",
                               .dtype = QM_DTYPE_F32,
                               .rank = 3,
                               .shape = {shape[0], shape[1], shape[2]},
                               .bytes = count * sizeof(*values),
                               .data = values};
    QM_GUARD(qm_safetensors_write(path, &tensor, 1, NULL, 0));
    *logits = values;
    values = NULL;
done:
    free(values);
    return status;
}

enum qm_status qm_reference_fp32_logits(const struct qm_reference_params *params,
                                        const struct qm_evaluation *evaluation, float **logits)
{
    *logits = NULL;
    struct qm_scheme f32;
    struct qm_artifact *artifact = NULL;
    char path[QM_PATH_BYTES];
    QM_TRY(qm_scheme_parse("f32", &f32));
    // f32 is not calibrated: the set is not looked at.
    QM_TRY(qm_reference_artifact(params, &f32, evaluation, &artifact, path));
    enum qm_status status = qm_reference_logits(params, artifact, &f32, evaluation, evaluation->set.windows, logits);
    qm_artifact_destroy(&artifact);
    return status;
}

enum qm_status qm_reference_fp32_rows(const struct qm_reference_params *params, const struct qm_evaluation *evaluation,
                                      uint32_t dense_windows, struct qm_reference_rows **out)
{
    *out = NULL;
    if (qm_reference_is_on_host(params->model)) {
        const struct qm_reference_host_options options =
            qm_reference_host_options(params->model->config.vocabulary, evaluation->scored_count);
        return params->on_device ? qm_reference_device_rows(params, evaluation, dense_windows, &options, out)
                                 : qm_reference_host_rows(params, evaluation, dense_windows, &options, out);
    }
    float *logits = NULL;
    QM_TRY(qm_reference_fp32_logits(params, evaluation, &logits));
    return qm_reference_rows_of_logits(evaluation, params->model->config.vocabulary, logits, out);
}
