#include "bench/reference_host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/reference_work.h"
#include "model/host_pass.h"
#include "sys/host.h"
#include "sys/process.h"

enum {
    VERSION = 1 // of the arithmetic and of the files: a higher one computes anew
};
#define STATE_KIND "qmstate1"

struct work {
    struct qm_reference_work common;
    struct qm_host_weights weights;
    struct qm_host_pass *pass; // of the chunk at hand
};

struct qm_reference_host_options qm_reference_host_options(uint32_t vocabulary, size_t scored)
{
    struct qm_reference_host_options options = {.blas = qm_blas_find(),
                                                .activation_bytes = QM_REFERENCE_HOST_BYTES,
                                                .part_bytes = QM_REFERENCE_PART_BYTES,
                                                .state_ns = QM_REFERENCE_STATE_NS,
                                                .check_bytes_max = qm_host_available_bytes() / 2};
    if ((double)vocabulary * (double)scored * sizeof(float) > QM_REFERENCE_DENSE_BYTES)
        options.keep = QM_REFERENCE_KEEP;
    const char *most = getenv("QM_REFERENCE_TOP_K");
    char *end = NULL;
    long wanted = most ? strtol(most, &end, 10) : 0;
    if (wanted > 0 && wanted < INT32_MAX && *end == '\0')
        options.keep = (struct qm_reference_keep){.mass = 0, .most = (uint32_t)wanted};
    return options;
}

bool qm_reference_is_on_host(const struct qm_model *model)
{
    const char *wanted = getenv("QM_REFERENCE");
    if (wanted && strcmp(wanted, "host") == 0)
        return true;
    if (wanted && strcmp(wanted, "backend") == 0)
        return false;
    return model->parameters > QM_REFERENCE_HOST_PARAMETERS;
}

// ---- Plan -----------------------------------------------------------------------------------------------------------

static uint32_t chunk_windows(const struct qm_host_weights *weights, uint64_t bytes, uint32_t windows,
                              uint32_t window_tokens)
{
    uint64_t of_window = qm_host_pass_token_bytes(weights) * window_tokens;
    uint64_t fit = of_window > 0 ? bytes / of_window : 1;
    uint32_t count = fit < windows ? (uint32_t)fit : windows;
    return count < 1 ? 1 : count;
}

static double chunk_operations(const struct work *work, const struct qm_reference_chunk *chunk)
{
    return qm_host_pass_operations(&work->weights, chunk->windows, chunk->tokens,
                                   chunk->scored + (size_t)chunk->dense_windows * chunk->tokens);
}

// The first `window_tokens` of each window.
static void copy_tokens(const struct qm_evaluation *evaluation, uint32_t first, uint32_t windows, size_t window_tokens,
                        uint32_t *tokens)
{
    for (uint32_t w = 0; w < windows; ++w)
        memcpy(tokens + w * window_tokens, qm_evaluation_tokens(evaluation, first + w),
               window_tokens * sizeof(*tokens));
}

// ---- Layers ---------------------------------------------------------------------------------------------------------

struct state {
    uint32_t chunk, layers;
    uint64_t count;
};

static enum qm_status save_state(const struct work *work, const struct qm_reference_chunk *chunk,
                                 struct qm_host_pass *pass)
{
    char path[QM_PATH_BYTES];
    struct qm_reference_bytes bytes = {0};
    size_t count;
    const float *values = qm_host_pass_residual(pass, &count);
    const struct state state = {chunk->index, qm_host_pass_layers_done(pass), count};
    enum qm_status status = QM_OK;
    QM_GUARD(qm_path_join(path, work->common.directory, "state"));
    QM_GUARD(qm_reference_bytes_begin(&bytes, STATE_KIND, work->common.key));
    QM_GUARD(qm_reference_bytes_add(&bytes, &state, sizeof(state)));
    QM_GUARD(qm_reference_bytes_add(&bytes, values, count * sizeof(*values)));
    QM_GUARD(qm_reference_bytes_write(&bytes, path));
done:
    qm_reference_bytes_free(&bytes);
    return status;
}

static void load_state(const struct work *work, const struct qm_reference_chunk *chunk, struct qm_host_pass *pass)
{
    char path[QM_PATH_BYTES];
    struct qm_reference_file file;
    struct state state;
    size_t count;
    float *values = qm_host_pass_residual(pass, &count);
    size_t limit = count * sizeof(*values) + sizeof(state) + 1024;
    if (qm_path_join(path, work->common.directory, "state") != QM_OK ||
        !qm_reference_file_open(path, STATE_KIND, work->common.key, limit, &file))
        return;
    if (qm_reference_file_copy(&file, &state, sizeof(state)) && state.chunk == chunk->index &&
        state.layers <= work->weights.config.layers && state.count == count &&
        qm_reference_file_copy(&file, values, count * sizeof(*values)) && qm_file_map_check(&file.map, path) == QM_OK)
        qm_host_pass_set_layers_done(pass, state.layers);
    qm_reference_file_close(&file);
}

static enum qm_status run_layers(struct work *work, const struct qm_reference_chunk *chunk, struct qm_host_pass *pass)
{
    const uint32_t layers = work->weights.config.layers, end = chunk->first_window + chunk->windows;
    const double of_layer = qm_host_pass_operations(&work->weights, chunk->windows, chunk->tokens, 0) / layers;
    load_state(work, chunk, pass);
    uint32_t saved = qm_host_pass_layers_done(pass);
    uint64_t saved_ns = qm_clock_ns();
    work->common.done += of_layer * saved;
    while (qm_host_pass_layers_done(pass) < layers) {
        uint32_t done = qm_host_pass_layers_done(pass);
        qm_reference_work_tell(&work->common, "layer", chunk->first_window, end, done + 1, layers);
        if (qm_interrupted()) {
            if (done > saved)
                QM_TRY(save_state(work, chunk, pass));
            return QM_FAIL(QM_INTERRUPTED, "interrupted; the reference goes on at layer %u of windows %u to %u",
                           done + 1, chunk->first_window + 1, end);
        }
        QM_TRY(qm_host_pass_layer(pass));
        work->common.done += of_layer;
        if (qm_clock_ns() - saved_ns >= work->common.options->state_ns) {
            QM_TRY(save_state(work, chunk, pass));
            saved = done + 1;
            saved_ns = qm_clock_ns();
        }
    }
    return QM_OK;
}

// ---- Logits ---------------------------------------------------------------------------------------------------------

static enum qm_status source_logits(void *context, const uint32_t *tokens, size_t count, float *logits)
{
    return qm_host_pass_logits(((struct work *)context)->pass, tokens, count, logits);
}

static float *source_room(void *context, size_t *count)
{
    return qm_host_pass_room(((struct work *)context)->pass, count);
}

static double source_cost(void *context, size_t count)
{
    return qm_host_pass_operations(&((struct work *)context)->weights, 0, 1, count);
}

// ---- Chunks ---------------------------------------------------------------------------------------------------------

static enum qm_status compute_chunk(struct work *work, const struct qm_reference_chunk *chunk,
                                    struct qm_reference_rows *rows)
{
    const uint32_t window_tokens = chunk->tokens;
    char path[QM_PATH_BYTES];
    enum qm_status status = QM_OK;
    uint32_t *tokens = malloc((size_t)chunk->windows * window_tokens * sizeof(*tokens));
    if (!tokens)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for tokens");
    copy_tokens(work->common.evaluation, chunk->first_window, chunk->windows, window_tokens, tokens);
    QM_GUARD(qm_host_pass_create(&(struct qm_host_pass_params){.weights = &work->weights,
                                                               .blas = work->common.options->blas,
                                                               .tokens = tokens,
                                                               .windows = chunk->windows,
                                                               .window_tokens = window_tokens},
                                 &work->pass));
    QM_GUARD(run_layers(work, chunk, work->pass));
    status = qm_reference_chunk_make(&work->common, chunk, rows);
    if (status == QM_INTERRUPTED) {
        QM_GUARD(save_state(work, chunk, work->pass));
        status = QM_FAIL(QM_INTERRUPTED, "interrupted; the reference goes on at the logits of windows %u to %u",
                         chunk->first_window + 1, chunk->first_window + chunk->windows);
    }
    QM_GUARD(status);
    QM_GUARD(qm_path_join(path, work->common.directory, "state"));
    QM_GUARD(qm_file_remove(path));
done:
    qm_host_pass_destroy(&work->pass);
    free(tokens);
    return status;
}

static enum qm_status make_chunk(struct work *work, uint32_t index, struct qm_reference_rows *rows)
{
    const struct qm_reference_chunk chunk = qm_reference_chunk_at(&work->common, index);
    bool is_there;
    // Whether all is there is found first, for layers cost more than reading; rows that are taken twice are the same.
    QM_TRY(qm_reference_chunk_load(&work->common, &chunk, rows, &is_there));
    if (is_there) {
        work->common.done += chunk_operations(work, &chunk);
        return QM_OK;
    }
    return compute_chunk(work, &chunk, rows);
}

// Windows that are needed whole have a chunk of their own where the others are much shorter, which examples are beside the points
// of a profile: one more reading of the weights, and a fraction of the products.
static void plan_chunks(struct work *work)
{
    struct qm_reference_work *common = &work->common;
    const struct qm_evaluation *evaluation = common->evaluation;
    const uint32_t all = evaluation->set.window_tokens;
    uint32_t longest = 1, left;
    for (size_t i = 0; i < evaluation->scored_count; ++i)
        if (evaluation->scored[i].window >= common->dense_windows && evaluation->scored[i].position >= longest)
            longest = evaluation->scored[i].position + 1;
    if (longest <= all / 2 && common->dense_windows <= common->chunk_windows) {
        common->first_windows = common->dense_windows;
        common->chunk_windows =
            chunk_windows(&work->weights, common->options->activation_bytes, evaluation->set.windows, longest);
    }
    left = evaluation->set.windows > common->first_windows ? evaluation->set.windows - common->first_windows : 0;
    common->chunks = 1 + (left + common->chunk_windows - 1) / common->chunk_windows;
}

// ---- The whole --------------------------------------------------------------------------------------------------------

static enum qm_status begin(const struct qm_reference_params *params, const struct qm_evaluation *evaluation,
                            const struct qm_reference_host_options *options, struct work *work)
{
    *work = (struct work){.common = {.params = params,
                                     .options = options,
                                     .evaluation = evaluation,
                                     .source = {source_logits, source_room, source_cost, work},
                                     .vocabulary = params->model->config.vocabulary,
                                     .several = "host, several libraries"}};
    if (evaluation->set.windows == 0)
        return QM_FAIL(QM_INVALID, "%s: no windows", evaluation->name);
    snprintf(work->common.engine, sizeof(work->common.engine), "host, %s", qm_host_multiply_name(options->blas));
    // A large model's values are in its files alone.
    work->common.files = options->files ? options->files : params->model->values ? NULL : params->model->file;
    QM_TRY(qm_host_weights_open(&params->model->config, work->common.files ? NULL : params->model, work->common.files,
                                &work->weights));
    work->common.first_windows = work->common.chunk_windows = chunk_windows(
        &work->weights, options->activation_bytes, evaluation->set.windows, evaluation->set.window_tokens);
    return QM_OK;
}

enum qm_status qm_reference_host_rows(const struct qm_reference_params *params, const struct qm_evaluation *evaluation,
                                      uint32_t dense_windows, const struct qm_reference_host_options *options,
                                      struct qm_reference_rows **out)
{
    struct work work;
    struct qm_reference_rows *rows = NULL;
    enum qm_status status = QM_OK;
    *out = NULL;
    QM_GUARD(begin(params, evaluation, options, &work));
    // The first window at least, which is compared.
    work.common.dense_windows = dense_windows < 1 ? 1 : dense_windows;
    if (work.common.dense_windows > evaluation->set.windows)
        work.common.dense_windows = evaluation->set.windows;
    plan_chunks(&work);
    qm_reference_work_key(&work.common, "host", VERSION);
    QM_GUARD(qm_reference_work_directory(&work.common));
    QM_GUARD(qm_reference_rows_create(evaluation, work.common.dense_windows, &rows));
    rows->keep = options->keep;
    for (uint32_t c = 0; c < work.common.chunks; ++c) {
        const struct qm_reference_chunk chunk = qm_reference_chunk_at(&work.common, c);
        work.common.total += chunk_operations(&work, &chunk);
    }
    for (uint32_t c = 0; c < work.common.chunks; ++c)
        QM_GUARD(make_chunk(&work, c, rows));
    status = qm_reference_host_check(params, evaluation, options, work.common.directory, work.common.key, rows);
    if (status == QM_WRONG_RESULT)
        qm_reference_parts_remove(&work.common);
    QM_GUARD(status);
    *out = rows;
    rows = NULL;
done:
    qm_reference_rows_destroy(&rows);
    qm_host_weights_close(&work.weights);
    return status;
}

enum qm_status qm_reference_host_observe(const struct qm_reference_params *params, const struct qm_evaluation *set,
                                         uint32_t first, uint32_t end, const struct qm_reference_host_options *options,
                                         struct qm_calibration *calibration)
{
    const uint32_t window_tokens = set->set.window_tokens;
    struct work work;
    struct qm_host_pass *pass = NULL;
    uint32_t *tokens = NULL;
    enum qm_status status = QM_OK;
    QM_GUARD(begin(params, set, options, &work));
    tokens = malloc((size_t)work.common.chunk_windows * window_tokens * sizeof(*tokens));
    if (!tokens)
        QM_GUARD(QM_FAIL(QM_OUT_OF_MEMORY, "no memory for tokens"));
    for (; first < end; first += work.common.chunk_windows) {
        uint32_t windows = end - first < work.common.chunk_windows ? end - first : work.common.chunk_windows;
        copy_tokens(set, first, windows, window_tokens, tokens);
        QM_GUARD(qm_host_pass_create(&(struct qm_host_pass_params){.weights = &work.weights,
                                                                   .blas = options->blas,
                                                                   .tokens = tokens,
                                                                   .windows = windows,
                                                                   .window_tokens = window_tokens,
                                                                   .calibration = calibration},
                                     &pass));
        for (uint32_t layer = 0; layer < work.weights.config.layers; ++layer) {
            double done = first + windows * (double)layer / work.weights.config.layers;
            if (params->progress)
                params->progress(params->progress_context, "collecting", done / set->set.windows);
            if (qm_interrupted())
                QM_GUARD(QM_FAIL(QM_INTERRUPTED, "interrupted"));
            QM_GUARD(qm_host_pass_layer(pass));
        }
        QM_GUARD(qm_host_pass_observe_head(pass));
        qm_host_pass_destroy(&pass);
    }
    if (work.common.files)
        QM_GUARD(qm_weights_check(work.common.files));
done:
    qm_host_pass_destroy(&pass);
    qm_host_weights_close(&work.weights);
    free(tokens);
    return status;
}
