#include "bench/reference_device.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/reference_session.h"
#include "bench/reference_work.h"
#include "model/engine.h"
#include "model/host_pass.h"
#include "sys/process.h"

enum {
    VERSION = 1, // of the files: a higher one computes anew
    SHAPE = 64
};
#define SAMPLE_KIND "qmsampl1"
#define CHECK_KIND "qmcheck2"

struct work {
    struct qm_reference_work common;
    const struct qm_device_entry *device;
    struct qm_reference_device_facts facts;
    struct qm_reference_session *session; // NULL until something must be computed
    const float *logits;                  // of the window at hand
};

// ---- The device -----------------------------------------------------------------------------------------------------

static enum qm_status open_session(struct work *work)
{
    const struct qm_reference_params *params = work->common.params;
    struct qm_reference_session_params session = {
        .reference = params, .device = work->device, .evaluation = work->common.evaluation};
    struct qm_scheme f32;
    struct qm_artifact *artifact = NULL;
    char path[QM_PATH_BYTES];
    // Before the model is written in f32, which may take as much of the disk.
    QM_TRY(qm_reference_session_check_memory(&session));
    QM_TRY(qm_scheme_parse("f32", &f32));
    QM_TRY(qm_reference_artifact(params, &f32, NULL, &artifact, path)); // f32 is not calibrated
    session.artifact_path = path;
    enum qm_status status = qm_reference_session_open(&session, &work->session);
    qm_artifact_destroy(&artifact);
    return status;
}

// The shape of the passes, of which there are not to be as many as lengths of examples.
static uint32_t pass_tokens(const struct work *work, const struct qm_reference_chunk *chunk, bool is_whole)
{
    const uint32_t all = work->common.evaluation->set.window_tokens;
    const uint32_t tokens = (chunk->tokens + SHAPE - 1) / SHAPE * SHAPE;
    return is_whole || tokens > all ? all : tokens;
}

static enum qm_status run_window(struct work *work, uint32_t window, uint32_t tokens)
{
    if (!work->session)
        QM_TRY(open_session(work));
    if (qm_interrupted())
        return QM_FAIL(QM_INTERRUPTED, "interrupted; the reference goes on at window %u", window + 1);
    enum qm_status status = qm_reference_session_run(work->session, window, tokens, &work->logits);
    return status == QM_INTERRUPTED
               ? QM_FAIL(QM_INTERRUPTED, "interrupted; the reference goes on at window %u", window + 1)
               : status;
}

static enum qm_status source_logits(void *context, const uint32_t *tokens, size_t count, float *logits)
{
    const struct work *work = context;
    const size_t vocabulary = work->common.vocabulary;
    for (size_t i = 0; i < count; ++i)
        memcpy(logits + i * vocabulary, work->logits + tokens[i] * vocabulary, vocabulary * sizeof(*logits));
    return QM_OK;
}

static double source_cost(void *context, size_t count)
{
    (void)context;
    (void)count;
    return 0; // the window's run is all that it costs
}

// ---- The sample -----------------------------------------------------------------------------------------------------

static uint32_t sample_tokens(const struct qm_evaluation *evaluation)
{
    uint32_t tokens = evaluation->set.window_tokens;
    return tokens < QM_REFERENCE_SAMPLE_TOKENS ? tokens : QM_REFERENCE_SAMPLE_TOKENS;
}

// Position `i` of the sample: evenly over the window, the last one the window's last.
static uint32_t sample_position(const struct qm_evaluation *evaluation, uint32_t i)
{
    uint64_t tokens = evaluation->set.window_tokens;
    return (uint32_t)((i + 1) * tokens / sample_tokens(evaluation) - 1);
}

static uint32_t sample_windows(const struct qm_evaluation *evaluation)
{
    return evaluation->set.windows < QM_REFERENCE_SAMPLE_WINDOWS ? evaluation->set.windows
                                                                 : QM_REFERENCE_SAMPLE_WINDOWS;
}

static uint32_t sample_window(const struct qm_evaluation *evaluation, uint32_t i)
{
    return i == 0 ? 0 : evaluation->set.windows - 1;
}

static bool is_sampled(const struct qm_evaluation *evaluation, uint32_t window)
{
    return window == 0 || window + 1 == evaluation->set.windows;
}

static enum qm_status sample_path(const struct work *work, uint32_t window, char path[QM_PATH_BYTES])
{
    char name[48];
    snprintf(name, sizeof(name), "sample-%" PRIu32, window);
    return qm_path_join(path, work->common.directory, name);
}

static enum qm_status write_sample(const struct work *work, uint32_t window)
{
    const struct qm_evaluation *evaluation = work->common.evaluation;
    const size_t vocabulary = work->common.vocabulary;
    char path[QM_PATH_BYTES];
    struct qm_reference_bytes bytes = {0};
    enum qm_status status = QM_OK;
    QM_GUARD(sample_path(work, window, path));
    QM_GUARD(qm_reference_bytes_begin(&bytes, SAMPLE_KIND, work->common.key));
    for (uint32_t i = 0; i < sample_tokens(evaluation); ++i)
        QM_GUARD(qm_reference_bytes_add(&bytes, work->logits + sample_position(evaluation, i) * vocabulary,
                                        vocabulary * sizeof(float)));
    QM_GUARD(qm_reference_bytes_write(&bytes, path));
done:
    qm_reference_bytes_free(&bytes);
    return status;
}

// The sample's logits [tokens][vocabulary] of a window; false where they are not there. With `logits` NULL it is only looked.
static bool read_sample(const struct work *work, uint32_t window, float *logits)
{
    const size_t bytes = (size_t)sample_tokens(work->common.evaluation) * work->common.vocabulary * sizeof(float);
    char path[QM_PATH_BYTES];
    struct qm_reference_file file;
    if (sample_path(work, window, path) != QM_OK ||
        !qm_reference_file_open(path, SAMPLE_KIND, work->common.key, bytes + 4096, &file))
        return false;
    const void *found = qm_reference_file_take(&file, bytes);
    bool is_there = found && qm_reference_file_is_taken(&file);
    if (is_there && logits)
        memcpy(logits, found, bytes);
    is_there = is_there && qm_file_map_check(&file.map, path) == QM_OK;
    qm_reference_file_close(&file);
    return is_there;
}

static void remove_all(const struct work *work)
{
    char path[QM_PATH_BYTES];
    qm_reference_parts_remove(&work->common);
    for (uint32_t i = 0; i < sample_windows(work->common.evaluation); ++i)
        if (sample_path(work, sample_window(work->common.evaluation, i), path) != QM_OK ||
            qm_file_remove(path) != QM_OK)
            return;
}

// ---- The comparison -------------------------------------------------------------------------------------------------

struct check {
    char logits[QM_HASH_TEXT_BYTES];        // the hash of the device's logits that were compared
    char engine[QM_REFERENCE_ENGINE_BYTES]; // with what
    uint32_t tokens;
    double difference;
};

// The host's pass over one window, and its logits at the sample's positions.
static enum qm_status run_host(const struct work *work, struct qm_host_weights *weights, uint32_t window, float *logits)
{
    const struct qm_evaluation *evaluation = work->common.evaluation;
    uint32_t positions[QM_REFERENCE_SAMPLE_TOKENS];
    struct qm_host_pass *pass = NULL;
    enum qm_status status = QM_OK;
    QM_GUARD(qm_host_pass_create(&(struct qm_host_pass_params){.weights = weights,
                                                               .blas = work->common.options->blas,
                                                               .tokens = qm_evaluation_tokens(evaluation, window),
                                                               .windows = 1,
                                                               .window_tokens = evaluation->set.window_tokens},
                                 &pass));
    for (uint32_t layer = 0; layer < weights->config.layers; ++layer) {
        qm_reference_work_tell(&work->common, "compared with the host, layer", window, window + 1, layer + 1,
                               weights->config.layers);
        if (qm_interrupted())
            QM_GUARD(QM_FAIL(QM_INTERRUPTED, "interrupted; the reference is there but for a comparison"));
        QM_GUARD(qm_host_pass_layer(pass));
    }
    for (uint32_t i = 0; i < sample_tokens(evaluation); ++i)
        positions[i] = sample_position(evaluation, i);
    QM_GUARD(qm_host_pass_logits(pass, positions, sample_tokens(evaluation), logits));
done:
    qm_host_pass_destroy(&pass);
    return status;
}

static enum qm_status compare(const struct work *work, const float *device, float *host, double *difference)
{
    const struct qm_model *model = work->common.params->model;
    const struct qm_evaluation *evaluation = work->common.evaluation;
    const struct qm_weights *own = work->common.options->files;
    const struct qm_weights *files = own ? own : model->values ? NULL : model->file;
    const size_t vocabulary = work->common.vocabulary, tokens = sample_tokens(evaluation);
    struct qm_host_weights weights = {0};
    enum qm_status status = QM_OK;
    *difference = 0;
    QM_GUARD(qm_host_weights_open(&model->config, files ? NULL : model, files, &weights));
    for (uint32_t w = 0; w < sample_windows(evaluation); ++w) {
        QM_GUARD(run_host(work, &weights, sample_window(evaluation, w), host));
        for (size_t t = 0; t < tokens; ++t) {
            double of_row = qm_reference_difference(host + t * vocabulary, device + (w * tokens + t) * vocabulary,
                                                    (uint32_t)vocabulary);
            *difference = of_row > *difference || of_row != of_row ? of_row : *difference;
            if (of_row != of_row)
                goto done;
        }
    }
    if (files)
        QM_GUARD(qm_weights_check(files));
done:
    qm_host_weights_close(&weights);
    return status;
}

static bool load_check(const struct work *work, const char *path, const struct check *now, struct check *kept)
{
    struct qm_reference_file file;
    if (!qm_reference_file_open(path, CHECK_KIND, work->common.key, 4096, &file))
        return false;
    bool is_kept = qm_reference_file_copy(&file, kept, sizeof(*kept)) &&
                   memcmp(kept->logits, now->logits, sizeof(now->logits)) == 0 && kept->tokens == now->tokens &&
                   memchr(kept->engine, '\0', sizeof(kept->engine)) && kept->difference <= QM_REFERENCE_DIFFERENCE_MAX;
    qm_reference_file_close(&file);
    return is_kept;
}

static enum qm_status store_check(const struct work *work, const char *path, const struct check *check)
{
    struct qm_reference_bytes bytes = {0};
    enum qm_status status = QM_OK;
    QM_GUARD(qm_reference_bytes_begin(&bytes, CHECK_KIND, work->common.key));
    QM_GUARD(qm_reference_bytes_add(&bytes, check, sizeof(*check)));
    QM_GUARD(qm_reference_bytes_write(&bytes, path));
done:
    qm_reference_bytes_free(&bytes);
    return status;
}

static enum qm_status check_rows(const struct work *work, struct qm_reference_rows *rows)
{
    const struct qm_evaluation *evaluation = work->common.evaluation;
    const uint32_t windows = sample_windows(evaluation), tokens = sample_tokens(evaluation);
    const size_t of_window = (size_t)tokens * work->common.vocabulary;
    char path[QM_PATH_BYTES];
    struct qm_hash hash;
    struct check now, kept;
    enum qm_status status = QM_OK;
    memset(&now, 0, sizeof(now));
    float *device = malloc(of_window * windows * sizeof(*device)), *host = malloc(of_window * sizeof(*host));
    if (!device || !host)
        QM_GUARD(QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the logits of %u tokens", windows * tokens));
    for (uint32_t w = 0; w < windows; ++w)
        if (!read_sample(work, sample_window(evaluation, w), device + w * of_window))
            QM_GUARD(QM_FAIL(QM_FAILED, "the sample of window %u cannot be read back from %s",
                             sample_window(evaluation, w) + 1, work->common.directory));
    qm_hash_begin(&hash);
    qm_hash_add(&hash, device, of_window * windows * sizeof(*device));
    qm_hash_end(&hash, now.logits);
    now.tokens = windows * tokens;
    snprintf(now.engine, sizeof(now.engine), "host, %s", qm_host_multiply_name(work->common.options->blas));
    QM_GUARD(qm_path_join(path, work->common.directory, "check"));
    if (load_check(work, path, &now, &kept)) {
        now = kept;
    } else {
        QM_GUARD(compare(work, device, host, &now.difference));
        if (!(now.difference <= QM_REFERENCE_DIFFERENCE_MAX))
            QM_GUARD(QM_FAIL(QM_WRONG_RESULT,
                             "it and the %s differ by %.3g nats in a log-probability of %u tokens; at most %g is "
                             "rounding. Leave out --reference-on-device, or name another device",
                             now.engine, now.difference, now.tokens, QM_REFERENCE_DIFFERENCE_MAX));
        QM_GUARD(store_check(work, path, &now));
    }
    rows->checked_tokens = now.tokens;
    rows->difference = now.difference;
    snprintf(rows->checked_with, sizeof(rows->checked_with), "%s", now.engine);
done:
    free(device);
    free(host);
    return status;
}

// ---- The whole --------------------------------------------------------------------------------------------------------

enum qm_status qm_reference_device_identify(const struct qm_reference_params *params,
                                            const struct qm_device_entry *device,
                                            struct qm_reference_device_facts *facts, char identity[QM_HASH_TEXT_BYTES])
{
    struct qm_scheme f32;
    struct qm_artifact *outline = NULL;
    struct qm_hash hash;
    char tiles[QM_HASH_TEXT_BYTES];
    QM_TRY(qm_scheme_parse("f32", &f32));
    QM_TRY(qm_artifact_outline(&f32, &params->model->config, &outline));
    enum qm_status status = qm_network_kernel_hashes(outline, &f32, facts->kernel_hash, tiles);
    qm_artifact_destroy(&outline);
    QM_TRY(status);
    snprintf(facts->name, sizeof(facts->name), "%s", device->name);
    snprintf(facts->api, sizeof(facts->api), "%s", device->api);
    snprintf(facts->driver, sizeof(facts->driver), "%s %s", device->driver, device->driver_version);
    qm_hash_begin(&hash);
    qm_hash_add_text(&hash, device->name);
    qm_hash_add_text(&hash, device->api);
    qm_hash_add_text(&hash, device->driver);
    qm_hash_add_text(&hash, device->driver_version);
    qm_hash_add_text(&hash, tiles);
    qm_hash_add_text(&hash, params->on_device->tier ? params->on_device->tier : "best");
    qm_hash_add_text(&hash, QM_VERSION);
    qm_hash_end(&hash, identity);
    return QM_OK;
}

static enum qm_status make_window(struct work *work, uint32_t window, struct qm_reference_rows *rows)
{
    const struct qm_reference_chunk chunk = qm_reference_chunk_at(&work->common, window);
    const bool is_sample = is_sampled(work->common.evaluation, window);
    bool is_there = false, has_sample = true;
    QM_TRY(qm_reference_chunk_load(&work->common, &chunk, rows, &is_there));
    if (is_sample)
        has_sample = read_sample(work, window, NULL);
    if (!is_there || !has_sample) {
        qm_reference_work_tell(&work->common, "on a device, window", window, window + 1, window + 1,
                               work->common.chunks);
        QM_TRY(run_window(work, window, pass_tokens(work, &chunk, is_sample)));
        if (is_sample)
            QM_TRY(write_sample(work, window));
        QM_TRY(qm_reference_chunk_make(&work->common, &chunk, rows));
    }
    work->common.done += 1;
    return QM_OK;
}

static enum qm_status rows_on(struct work *work, uint32_t dense_windows, struct qm_reference_rows **out)
{
    const struct qm_evaluation *evaluation = work->common.evaluation;
    struct qm_reference_rows *rows = NULL;
    char identity[QM_HASH_TEXT_BYTES], engine[QM_HASH_TEXT_BYTES + 16];
    enum qm_status status = QM_OK;
    QM_GUARD(qm_reference_device_identify(work->common.params, work->device, &work->facts, identity));
    snprintf(engine, sizeof(engine), "device %s", identity);
    snprintf(work->common.engine, sizeof(work->common.engine), "device, %.100s through %.12s", work->facts.name,
             work->facts.api);
    work->common.first_windows = work->common.chunk_windows = 1;
    work->common.chunks = evaluation->set.windows;
    work->common.total = evaluation->set.windows;
    work->common.dense_windows = dense_windows < evaluation->set.windows ? dense_windows : evaluation->set.windows;
    qm_reference_work_key(&work->common, engine, VERSION);
    QM_GUARD(qm_reference_work_directory(&work->common));
    QM_GUARD(qm_reference_rows_create(evaluation, work->common.dense_windows, &rows));
    rows->keep = work->common.options->keep;
    rows->device = work->facts;
    snprintf(rows->engine, sizeof(rows->engine), "%s", work->common.engine);
    for (uint32_t w = 0; w < work->common.chunks; ++w)
        QM_GUARD(make_window(work, w, rows));
    qm_reference_session_close(&work->session); // the device is free while the host compares
    status = check_rows(work, rows);
    if (status == QM_WRONG_RESULT)
        remove_all(work);
    QM_GUARD(status);
    *out = rows;
    rows = NULL;
done:
    qm_reference_session_close(&work->session);
    qm_reference_rows_destroy(&rows);
    return status;
}

// It lacks something that another device may have.
static bool is_passed_over(enum qm_status status)
{
    return status == QM_OUT_OF_MEMORY || status == QM_UNSUPPORTED || status == QM_UNAVAILABLE;
}

enum qm_status qm_reference_device_rows(const struct qm_reference_params *params,
                                        const struct qm_evaluation *evaluation, uint32_t dense_windows,
                                        const struct qm_reference_host_options *options, struct qm_reference_rows **out)
{
    const struct qm_reference_on_device *on = params->on_device;
    char passed_over[sizeof((*out)->passed_over)] = "";
    *out = NULL;
    if (evaluation->set.windows == 0)
        return QM_FAIL(QM_INVALID, "%s: no windows", evaluation->name);
    for (size_t i = 0; i < on->device_count; ++i) {
        struct work work = {.common = {.params = params,
                                       .options = options,
                                       .evaluation = evaluation,
                                       .source = {.logits = source_logits, .cost = source_cost, .context = &work},
                                       .vocabulary = params->model->config.vocabulary},
                            .device = &on->devices[i]};
        enum qm_status status = rows_on(&work, dense_windows, out);
        if (status == QM_OK) {
            (*out)->device_index = (uint32_t)i;
            snprintf((*out)->passed_over, sizeof((*out)->passed_over), "%s", passed_over);
            return QM_OK;
        }
        if (!is_passed_over(status)) {
            if (status != QM_INTERRUPTED)
                qm_error_prefix("the fp32 reference on %s, %s: ", on->devices[i].id, on->devices[i].name);
            return status;
        }
        size_t used = strlen(passed_over);
        snprintf(passed_over + used, sizeof(passed_over) - used, "%s%s: %.200s", used > 0 ? "; " : "",
                 on->devices[i].id, qm_error_text());
    }
    return QM_FAIL(
        QM_INVALID,
        "no device can compute the fp32 reference (%s); leave out --reference-on-device for the host's, or name "
        "another device",
        passed_over);
}
