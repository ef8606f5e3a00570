#include "bench/reference_host.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/reference_file.h"
#include "model/host_pass.h"
#include "sys/host.h"
#include "sys/parallel.h"
#include "sys/process.h"

enum {
    VERSION = 1,            // of the arithmetic and of the files: a higher one computes anew
    LOGITS_LEAST = 1 << 25, // floats that logits are computed into where the pass has less room to give
    KEPT_MOST = 1 << 23,    // tokens that are kept of positions whose logits are in memory, together
};
#define PART_KIND "qmrows01"
#define STATE_KIND "qmstate1"

struct chunk {
    uint32_t index, first_window, windows;
    size_t first_scored, scored; // indices of the evaluation's scored tokens
    uint32_t dense_windows;
};

struct work {
    const struct qm_reference_params *params;
    const struct qm_reference_host_options *options;
    const struct qm_evaluation *evaluation;
    const struct qm_weights *files; // NULL: values in memory
    struct qm_host_weights weights;
    uint32_t dense_windows, chunk_windows, chunks;
    char key[QM_HASH_TEXT_BYTES];
    char directory[QM_PATH_BYTES];
    char engine[QM_REFERENCE_ENGINE_BYTES];
    // Progress: operations that are done, and of them those of this run, which took so long.
    double total, done, done_now;
    uint64_t begin_ns;
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
    return fit < 1 ? 1 : fit < windows ? (uint32_t)fit : windows;
}

static struct chunk chunk_at(const struct work *work, uint32_t index)
{
    const struct qm_evaluation *evaluation = work->evaluation;
    struct chunk chunk = {.index = index, .first_window = index * work->chunk_windows, .windows = work->chunk_windows};
    uint32_t left = evaluation->set.windows - chunk.first_window, end;
    chunk.windows = left < chunk.windows ? left : chunk.windows;
    end = chunk.first_window + chunk.windows;
    while (chunk.first_scored < evaluation->scored_count &&
           evaluation->scored[chunk.first_scored].window < chunk.first_window)
        ++chunk.first_scored;
    while (chunk.first_scored + chunk.scored < evaluation->scored_count &&
           evaluation->scored[chunk.first_scored + chunk.scored].window < end)
        ++chunk.scored;
    if (work->dense_windows > chunk.first_window)
        chunk.dense_windows = (work->dense_windows < end ? work->dense_windows : end) - chunk.first_window;
    return chunk;
}

static double chunk_operations(const struct work *work, const struct chunk *chunk)
{
    const uint32_t tokens = work->evaluation->set.window_tokens;
    return qm_host_pass_operations(&work->weights, chunk->windows, tokens,
                                   chunk->scored + (size_t)chunk->dense_windows * tokens);
}

// All that the rows follow from, but for rounding.
static void make_key(struct work *work)
{
    const struct qm_reference_params *params = work->params;
    const struct qm_evaluation *evaluation = work->evaluation;
    const struct qm_reference_keep *keep = &work->options->keep;
    char config[QM_MODEL_CONFIG_TEXT_BYTES], text[320];
    struct qm_hash hash;
    qm_model_config_text(&params->model->config, config);
    qm_hash_begin(&hash);
    qm_hash_add_text(&hash, params->model->sha256);
    qm_hash_add_text(&hash, params->model->variant ? params->model->variant : "");
    qm_hash_add_text(&hash, config);
    qm_hash_add_text(&hash, evaluation->sha256);
    snprintf(text, sizeof(text),
             "fp32 host reference %d, %" PRIu32 " windows of %" PRIu32 ", %" PRIu32 " dense, %" PRIu32
             " at a time, mass %.17g, most %" PRIu32 ", %" PRIu64 " bytes a file",
             VERSION, evaluation->set.windows, evaluation->set.window_tokens, work->dense_windows, work->chunk_windows,
             keep->mass, keep->most, work->options->part_bytes);
    qm_hash_add_text(&hash, text);
    for (size_t i = 0; i < evaluation->scored_count; ++i) {
        const struct qm_scored_token *token = &evaluation->scored[i];
        const uint32_t words[] = {token->window, token->position, token->target};
        qm_hash_add(&hash, words, sizeof(words));
    }
    qm_hash_end(&hash, work->key);
}

static enum qm_status make_directory(struct work *work)
{
    char host[QM_PATH_BYTES];
    QM_TRY(qm_path_join(host, work->params->cache_directory, "host"));
    QM_TRY(qm_path_join(work->directory, host, work->key));
    return qm_directory_make(work->directory);
}

static void copy_tokens(const struct qm_evaluation *evaluation, uint32_t first, uint32_t windows, uint32_t *tokens)
{
    const size_t window_tokens = evaluation->set.window_tokens;
    for (uint32_t w = 0; w < windows; ++w)
        memcpy(tokens + w * window_tokens, qm_evaluation_tokens(evaluation, first + w),
               window_tokens * sizeof(*tokens));
}

// ---- Progress -------------------------------------------------------------------------------------------------------

static void tell(const struct work *work, const char *unit, uint32_t first, uint32_t end, uint32_t at, uint32_t of)
{
    if (!work->params->progress)
        return;
    char what[200], left[48] = "";
    double seconds = (double)(qm_clock_ns() - work->begin_ns) * 1e-9;
    if (work->done_now > 0 && seconds > 2) {
        double rest_s = (work->total - work->done) * seconds / work->done_now;
        if (rest_s >= 90)
            snprintf(left, sizeof(left), ", about %.0f min left", rest_s / 60);
        else
            snprintf(left, sizeof(left), ", about %.0f s left", rest_s);
    }
    snprintf(what, sizeof(what),
             "fp32 reference, windows %" PRIu32 " to %" PRIu32 " of %" PRIu32 ", %s %" PRIu32 " of %" PRIu32 "%s",
             first + 1, end, work->evaluation->set.windows, unit, at, of, left);
    work->params->progress(work->params->progress_context, what, work->total > 0 ? work->done / work->total : 0);
}

static void add_done(struct work *work, double operations)
{
    work->done += operations;
    work->done_now += operations;
}

// ---- Layers ---------------------------------------------------------------------------------------------------------

struct state {
    uint32_t chunk, layers;
    uint64_t count;
};

static enum qm_status save_state(const struct work *work, const struct chunk *chunk, struct qm_host_pass *pass)
{
    char path[QM_PATH_BYTES];
    struct qm_reference_bytes bytes = {0};
    size_t count;
    const float *values = qm_host_pass_residual(pass, &count);
    const struct state state = {chunk->index, qm_host_pass_layers_done(pass), count};
    enum qm_status status = QM_OK;
    QM_GUARD(qm_path_join(path, work->directory, "state"));
    QM_GUARD(qm_reference_bytes_begin(&bytes, STATE_KIND, work->key));
    QM_GUARD(qm_reference_bytes_add(&bytes, &state, sizeof(state)));
    QM_GUARD(qm_reference_bytes_add(&bytes, values, count * sizeof(*values)));
    QM_GUARD(qm_reference_bytes_write(&bytes, path));
done:
    qm_reference_bytes_free(&bytes);
    return status;
}

static void load_state(const struct work *work, const struct chunk *chunk, struct qm_host_pass *pass)
{
    char path[QM_PATH_BYTES];
    struct qm_reference_file file;
    struct state state;
    size_t count;
    float *values = qm_host_pass_residual(pass, &count);
    size_t limit = count * sizeof(*values) + sizeof(state) + 1024;
    if (qm_path_join(path, work->directory, "state") != QM_OK ||
        !qm_reference_file_open(path, STATE_KIND, work->key, limit, &file))
        return;
    if (qm_reference_file_copy(&file, &state, sizeof(state)) && state.chunk == chunk->index &&
        state.layers <= work->weights.config.layers && state.count == count &&
        qm_reference_file_copy(&file, values, count * sizeof(*values)) && qm_file_map_check(&file.map, path) == QM_OK)
        qm_host_pass_set_layers_done(pass, state.layers);
    qm_reference_file_close(&file);
}

static enum qm_status run_layers(struct work *work, const struct chunk *chunk, struct qm_host_pass *pass)
{
    const uint32_t layers = work->weights.config.layers, end = chunk->first_window + chunk->windows;
    const double of_layer =
        qm_host_pass_operations(&work->weights, chunk->windows, work->evaluation->set.window_tokens, 0) / layers;
    load_state(work, chunk, pass);
    uint32_t saved = qm_host_pass_layers_done(pass);
    uint64_t saved_ns = qm_clock_ns();
    work->done += of_layer * saved;
    while (qm_host_pass_layers_done(pass) < layers) {
        uint32_t done = qm_host_pass_layers_done(pass);
        tell(work, "layer", chunk->first_window, end, done + 1, layers);
        if (qm_interrupted()) {
            if (done > saved)
                QM_TRY(save_state(work, chunk, pass));
            return QM_FAIL(QM_INTERRUPTED, "interrupted; the reference goes on at layer %u of windows %u to %u",
                           done + 1, chunk->first_window + 1, end);
        }
        QM_TRY(qm_host_pass_layer(pass));
        add_done(work, of_layer);
        if (qm_clock_ns() - saved_ns >= work->options->state_ns) {
            QM_TRY(save_state(work, chunk, pass));
            saved = done + 1;
            saved_ns = qm_clock_ns();
        }
    }
    return QM_OK;
}

// ---- Logits and rows ------------------------------------------------------------------------------------------------

struct making {
    const struct work *work;
    const struct qm_scored_token *tokens;
    const float *logits; // [count][vocabulary]
    uint32_t *ids;       // [count][most]
    float *kept;
    struct qm_reference_row *rows;
    atomic_int status;
    char error[512]; // of one that failed
    atomic_flag has_error;
};

static void make_rows(void *context, size_t begin, size_t end)
{
    struct making *m = context;
    const struct qm_reference_keep *keep = &m->work->options->keep;
    const uint32_t vocabulary = m->work->weights.config.vocabulary;
    for (size_t i = begin; i < end; ++i) {
        const struct qm_scored_token *token = &m->tokens[i];
        const struct qm_token_place place = {token->sequence, token->window, token->position};
        const float *logits = m->logits + i * vocabulary;
        if (keep->most == 0) {
            m->rows[i] = (struct qm_reference_row){.count = vocabulary, .logits = logits, .target = token->target};
            continue;
        }
        enum qm_status status = qm_reference_row_make(logits, vocabulary, token->target, keep, &place,
                                                      m->ids + i * keep->most, m->kept + i * keep->most, &m->rows[i]);
        if (status != QM_OK && !atomic_flag_test_and_set(&m->has_error)) {
            snprintf(m->error, sizeof(m->error), "%s", qm_error_text());
            atomic_store(&m->status, (int)status);
        }
    }
}

// Rows of `count` scored tokens from their logits, at the end of `bytes`.
static enum qm_status add_rows(const struct work *work, const struct qm_scored_token *tokens, size_t count,
                               const float *logits, struct qm_reference_bytes *bytes)
{
    const size_t most = work->options->keep.most;
    struct making m = {.work = work, .tokens = tokens, .logits = logits, .has_error = ATOMIC_FLAG_INIT};
    enum qm_status status = QM_OK;
    atomic_init(&m.status, QM_OK);
    m.rows = calloc(count, sizeof(*m.rows));
    m.ids = malloc(count * most * sizeof(*m.ids) + 1);
    m.kept = malloc(count * most * sizeof(*m.kept) + 1);
    if (!m.rows || !m.ids || !m.kept)
        QM_GUARD(QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the reference of %zu tokens", count));
    qm_parallel_for(count, make_rows, &m);
    if (atomic_load(&m.status) != QM_OK)
        QM_GUARD(QM_FAIL((enum qm_status)atomic_load(&m.status), "%s", m.error));
    for (size_t i = 0; i < count; ++i)
        QM_GUARD(qm_reference_bytes_add_row(bytes, &m.rows[i]));
done:
    free(m.rows);
    free(m.ids);
    free(m.kept);
    return status;
}

// Logits of a chunk's tokens go into files of some size each: first those of the scored tokens, as rows, then those of the
// dense windows.
struct part {
    uint32_t index;
    bool is_dense;
    size_t first, count; // of the chunk's scored tokens, or of its dense windows' tokens
};

static size_t tokens_in_part(const struct work *work, bool is_dense)
{
    const struct qm_reference_keep whole = {0, 0};
    uint64_t bytes = qm_reference_row_bytes(is_dense ? &whole : &work->options->keep, work->weights.config.vocabulary);
    return bytes < work->options->part_bytes ? (size_t)(work->options->part_bytes / bytes) : 1;
}

// The part behind `part`, which is zeroed before the first; false behind the last.
static bool next_part(const struct work *work, const struct chunk *chunk, struct part *part)
{
    const size_t dense = (size_t)chunk->dense_windows * work->evaluation->set.window_tokens;
    const size_t end = part->first + part->count;
    bool is_first = part->count == 0;
    part->index += !is_first;
    part->first = end;
    if (!part->is_dense && end == chunk->scored) {
        part->is_dense = true;
        part->first = 0;
    }
    size_t left = (part->is_dense ? dense : chunk->scored) - part->first, most = tokens_in_part(work, part->is_dense);
    part->count = left < most ? left : most;
    return part->count > 0;
}

static enum qm_status part_path(const struct work *work, const struct chunk *chunk, const struct part *part,
                                char path[QM_PATH_BYTES])
{
    char name[48];
    snprintf(name, sizeof(name), "rows-%" PRIu32 "-%" PRIu32, chunk->index, part->index);
    return qm_path_join(path, work->directory, name);
}

struct part_head {
    char engine[QM_REFERENCE_ENGINE_BYTES];
    uint32_t chunk, part;
    uint64_t count;
};

// The part's rows from its file, which the rows hold from here on; false where it is not there or not that part.
static bool take_part(const struct work *work, const struct chunk *chunk, const struct part *part,
                      struct qm_reference_file *file, struct qm_reference_rows *rows)
{
    const uint32_t vocabulary = work->weights.config.vocabulary, window_tokens = work->evaluation->set.window_tokens;
    struct part_head head;
    if (!qm_reference_file_copy(file, &head, sizeof(head)) || head.chunk != chunk->index || head.part != part->index ||
        head.count != part->count || !memchr(head.engine, '\0', sizeof(head.engine)))
        return false;
    for (size_t i = part->first; i < part->first + part->count; ++i) {
        struct qm_reference_row row;
        if (!qm_reference_file_take_row(file, vocabulary, &row))
            return false;
        if (part->is_dense) {
            rows->dense[(size_t)chunk->first_window * window_tokens + i] = row.logits;
            continue;
        }
        rows->scored[chunk->first_scored + i] = row;
        if (row.target != work->evaluation->scored[chunk->first_scored + i].target)
            return false;
    }
    // Where parts were computed by different means, because a run was resumed elsewhere.
    if (rows->engine[0] == '\0')
        memcpy(rows->engine, head.engine, sizeof(rows->engine));
    else if (strcmp(rows->engine, head.engine) != 0)
        snprintf(rows->engine, sizeof(rows->engine), "host, several libraries");
    return qm_reference_file_is_taken(file);
}

static enum qm_status load_part(const struct work *work, const struct chunk *chunk, const struct part *part,
                                struct qm_reference_rows *rows, bool *is_there)
{
    char path[QM_PATH_BYTES];
    struct qm_reference_file file;
    const struct qm_reference_keep whole = {0, 0};
    const uint64_t of_row =
        qm_reference_row_bytes(part->is_dense ? &whole : &work->options->keep, work->weights.config.vocabulary);
    enum qm_status status = QM_OK;
    QM_TRY(part_path(work, chunk, part, path));
    *is_there = qm_reference_file_open(path, PART_KIND, work->key, part->count * of_row + 4096, &file) &&
                take_part(work, chunk, part, &file, rows);
    if (*is_there)
        status = qm_reference_rows_hold(rows, &file.map, path);
    qm_reference_file_close(&file);
    return status;
}

// Computes a part's logits, as many at a time as there is room for, and writes it.
static enum qm_status make_part(struct work *work, const struct chunk *chunk, const struct part *part,
                                struct qm_host_pass *pass, float *logits, size_t most, uint32_t *tokens)
{
    const struct qm_scored_token *scored = work->evaluation->scored + chunk->first_scored;
    const uint32_t vocabulary = work->weights.config.vocabulary, window_tokens = work->evaluation->set.window_tokens;
    const uint32_t end = chunk->first_window + chunk->windows;
    const size_t all = chunk->scored + (size_t)chunk->dense_windows * window_tokens;
    char path[QM_PATH_BYTES];
    struct qm_reference_bytes bytes = {0};
    struct part_head head;
    enum qm_status status = QM_OK;
    memset(&head, 0, sizeof(head));
    snprintf(head.engine, sizeof(head.engine), "%s", work->engine);
    head.chunk = chunk->index;
    head.part = part->index;
    head.count = part->count;
    QM_GUARD(qm_reference_bytes_begin(&bytes, PART_KIND, work->key));
    QM_GUARD(qm_reference_bytes_add(&bytes, &head, sizeof(head)));
    for (size_t done = 0, some; done < part->count; done += some) {
        size_t first = part->first + done;
        some = part->count - done < most ? part->count - done : most;
        if (!part->is_dense && work->options->keep.most > 0 && some > KEPT_MOST / work->options->keep.most)
            some = KEPT_MOST / work->options->keep.most + 1;
        tell(work, "logits of token", chunk->first_window, end,
             (uint32_t)(first + 1 + (part->is_dense ? chunk->scored : 0)), (uint32_t)all);
        if (qm_interrupted())
            QM_GUARD(QM_FAIL(QM_INTERRUPTED, "interrupted"));
        for (size_t i = 0; i < some; ++i)
            tokens[i] = part->is_dense ? (uint32_t)(first + i)
                                       : (scored[first + i].window - chunk->first_window) * window_tokens +
                                             scored[first + i].position;
        QM_GUARD(qm_host_pass_logits(pass, tokens, some, logits));
        if (part->is_dense)
            for (size_t i = 0; i < some; ++i)
                QM_GUARD(qm_reference_bytes_add_row(
                    &bytes, &(struct qm_reference_row){.count = vocabulary, .logits = logits + i * vocabulary}));
        else
            QM_GUARD(add_rows(work, scored + first, some, logits, &bytes));
        add_done(work, qm_host_pass_operations(&work->weights, 0, window_tokens, some));
    }
    if (work->files) // nothing counts that came from files that changed
        QM_GUARD(qm_weights_check(work->files));
    QM_GUARD(part_path(work, chunk, part, path));
    QM_GUARD(qm_reference_bytes_write(&bytes, path));
done:
    qm_reference_bytes_free(&bytes);
    return status;
}

// ---- Chunks ---------------------------------------------------------------------------------------------------------

// Those of the chunk's parts that are not there.
static enum qm_status make_parts(struct work *work, const struct chunk *chunk, struct qm_host_pass *pass,
                                 struct qm_reference_rows *rows)
{
    const uint32_t vocabulary = work->weights.config.vocabulary;
    enum qm_status status = QM_OK;
    size_t room;
    float *logits = qm_host_pass_room(pass, &room), *own = NULL;
    size_t wanted = tokens_in_part(work, false) > tokens_in_part(work, true) ? tokens_in_part(work, false)
                                                                             : tokens_in_part(work, true);
    wanted = wanted < LOGITS_LEAST / vocabulary ? wanted * vocabulary : LOGITS_LEAST;
    wanted = wanted < vocabulary ? vocabulary : wanted;
    if (room < wanted) {
        room = wanted;
        logits = own = malloc(room * sizeof(*own));
    }
    uint32_t *tokens = malloc((room / vocabulary) * sizeof(*tokens));
    if (!logits || !tokens)
        QM_GUARD(QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the logits of %zu tokens", room / vocabulary));
    for (struct part part = {0}; next_part(work, chunk, &part);) {
        bool is_there = false;
        QM_GUARD(load_part(work, chunk, &part, rows, &is_there));
        if (is_there) {
            work->done += qm_host_pass_operations(&work->weights, 0, work->evaluation->set.window_tokens, part.count);
            continue;
        }
        QM_GUARD(make_part(work, chunk, &part, pass, logits, room / vocabulary, tokens));
        QM_GUARD(load_part(work, chunk, &part, rows, &is_there));
        if (!is_there)
            QM_GUARD(QM_FAIL(QM_WRONG_RESULT,
                             "the fp32 reference of windows %u to %u has a logit that is not finite, or cannot be read "
                             "back from %s",
                             chunk->first_window + 1, chunk->first_window + chunk->windows, work->directory));
    }
done:
    free(tokens);
    free(own);
    return status;
}

static enum qm_status compute_chunk(struct work *work, const struct chunk *chunk, struct qm_reference_rows *rows)
{
    const uint32_t window_tokens = work->evaluation->set.window_tokens;
    char path[QM_PATH_BYTES];
    struct qm_host_pass *pass = NULL;
    enum qm_status status = QM_OK;
    uint32_t *tokens = malloc((size_t)chunk->windows * window_tokens * sizeof(*tokens));
    if (!tokens)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for tokens");
    copy_tokens(work->evaluation, chunk->first_window, chunk->windows, tokens);
    QM_GUARD(qm_host_pass_create(&(struct qm_host_pass_params){.weights = &work->weights,
                                                               .blas = work->options->blas,
                                                               .tokens = tokens,
                                                               .windows = chunk->windows,
                                                               .window_tokens = window_tokens},
                                 &pass));
    QM_GUARD(run_layers(work, chunk, pass));
    status = make_parts(work, chunk, pass, rows);
    if (status == QM_INTERRUPTED) {
        QM_GUARD(save_state(work, chunk, pass));
        status = QM_FAIL(QM_INTERRUPTED, "interrupted; the reference goes on at the logits of windows %u to %u",
                         chunk->first_window + 1, chunk->first_window + chunk->windows);
    }
    QM_GUARD(status);
    QM_GUARD(qm_path_join(path, work->directory, "state"));
    QM_GUARD(qm_file_remove(path));
done:
    qm_host_pass_destroy(&pass);
    free(tokens);
    return status;
}

static enum qm_status make_chunk(struct work *work, uint32_t index, struct qm_reference_rows *rows)
{
    const struct chunk chunk = chunk_at(work, index);
    bool is_there = true;
    // Whether all is there is found first, for layers cost more than reading; rows that are taken twice are the same.
    for (struct part part = {0}; is_there && next_part(work, &chunk, &part);)
        QM_TRY(load_part(work, &chunk, &part, rows, &is_there));
    if (is_there) {
        work->done += chunk_operations(work, &chunk);
        return QM_OK;
    }
    return compute_chunk(work, &chunk, rows);
}

// What turned out to be wrong is not to be found again.
static void remove_parts(const struct work *work)
{
    for (uint32_t c = 0; c < work->chunks; ++c) {
        const struct chunk chunk = chunk_at(work, c);
        char path[QM_PATH_BYTES];
        for (struct part part = {0}; next_part(work, &chunk, &part);)
            if (part_path(work, &chunk, &part, path) != QM_OK || qm_file_remove(path) != QM_OK)
                return;
    }
}

// ---- The whole --------------------------------------------------------------------------------------------------------

static enum qm_status begin(const struct qm_reference_params *params, const struct qm_evaluation *evaluation,
                            const struct qm_reference_host_options *options, struct work *work)
{
    *work = (struct work){.params = params, .evaluation = evaluation, .options = options, .begin_ns = qm_clock_ns()};
    if (evaluation->set.windows == 0)
        return QM_FAIL(QM_INVALID, "%s: no windows", evaluation->name);
    snprintf(work->engine, sizeof(work->engine), "host, %s", qm_host_multiply_name(options->blas));
    // A large model's values are in its files alone.
    work->files = options->files ? options->files : params->model->values ? NULL : params->model->file;
    QM_TRY(
        qm_host_weights_open(&params->model->config, work->files ? NULL : params->model, work->files, &work->weights));
    work->chunk_windows = chunk_windows(&work->weights, options->activation_bytes, evaluation->set.windows,
                                        evaluation->set.window_tokens);
    work->chunks = (evaluation->set.windows + work->chunk_windows - 1) / work->chunk_windows;
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
    work.dense_windows = dense_windows < 1 ? 1 : dense_windows;
    if (work.dense_windows > evaluation->set.windows)
        work.dense_windows = evaluation->set.windows;
    make_key(&work);
    QM_GUARD(make_directory(&work));
    QM_GUARD(qm_reference_rows_create(evaluation, work.dense_windows, &rows));
    rows->keep = options->keep;
    for (uint32_t c = 0; c < work.chunks; ++c) {
        const struct chunk chunk = chunk_at(&work, c);
        work.total += chunk_operations(&work, &chunk);
    }
    for (uint32_t c = 0; c < work.chunks; ++c)
        QM_GUARD(make_chunk(&work, c, rows));
    status = qm_reference_host_check(params, evaluation, options, work.directory, work.key, rows);
    if (status == QM_WRONG_RESULT)
        remove_parts(&work);
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
    tokens = malloc((size_t)work.chunk_windows * window_tokens * sizeof(*tokens));
    if (!tokens)
        QM_GUARD(QM_FAIL(QM_OUT_OF_MEMORY, "no memory for tokens"));
    for (; first < end; first += work.chunk_windows) {
        uint32_t windows = end - first < work.chunk_windows ? end - first : work.chunk_windows;
        copy_tokens(set, first, windows, tokens);
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
    if (work.files)
        QM_GUARD(qm_weights_check(work.files));
done:
    qm_host_pass_destroy(&pass);
    qm_host_weights_close(&work.weights);
    free(tokens);
    return status;
}
