#include "bench/reference_work.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sys/parallel.h"
#include "sys/process.h"

enum {
    LOGITS_LEAST = 1 << 25, // floats that logits are computed into where the source has less room to give
    KEPT_MOST = 1 << 23,    // tokens that are kept of positions whose logits are in memory, together
};
#define PART_KIND "qmrows01"

// ---- Plan -----------------------------------------------------------------------------------------------------------

struct qm_reference_chunk qm_reference_chunk_at(const struct qm_reference_work *work, uint32_t index)
{
    const struct qm_evaluation *evaluation = work->evaluation;
    struct qm_reference_chunk chunk = {.index = index,
                                       .windows = index > 0 ? work->chunk_windows : work->first_windows};
    if (index > 0)
        chunk.first_window = work->first_windows + (index - 1) * work->chunk_windows;
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
    chunk.tokens = chunk.dense_windows > 0 ? evaluation->set.window_tokens : 1;
    for (size_t i = chunk.first_scored; i < chunk.first_scored + chunk.scored; ++i)
        if (evaluation->scored[i].position >= chunk.tokens)
            chunk.tokens = evaluation->scored[i].position + 1;
    return chunk;
}

void qm_reference_work_key(struct qm_reference_work *work, const char *engine, int version)
{
    const struct qm_reference_params *params = work->params;
    const struct qm_evaluation *evaluation = work->evaluation;
    const struct qm_reference_keep *keep = &work->options->keep;
    char config[QM_MODEL_CONFIG_TEXT_BYTES], text[640];
    struct qm_hash hash;
    qm_model_config_text(&params->model->config, config);
    qm_hash_begin(&hash);
    qm_hash_add_text(&hash, params->model->sha256);
    qm_hash_add_text(&hash, params->model->variant ? params->model->variant : "");
    qm_hash_add_text(&hash, config);
    qm_hash_add_text(&hash, evaluation->sha256);
    snprintf(text, sizeof(text),
             "fp32 %s reference %d, %" PRIu32 " windows of %" PRIu32 ", %" PRIu32 " dense, %" PRIu32 " and %" PRIu32
             " at a time, mass %.17g, most %" PRIu32 ", %" PRIu64 " bytes a file",
             engine, version, evaluation->set.windows, evaluation->set.window_tokens, work->dense_windows,
             work->first_windows, work->chunk_windows, keep->mass, keep->most, work->options->part_bytes);
    qm_hash_add_text(&hash, text);
    for (size_t i = 0; i < evaluation->scored_count; ++i) {
        const struct qm_scored_token *token = &evaluation->scored[i];
        const uint32_t words[] = {token->window, token->position, token->target};
        qm_hash_add(&hash, words, sizeof(words));
    }
    qm_hash_end(&hash, work->key);
}

enum qm_status qm_reference_work_directory(struct qm_reference_work *work)
{
    char host[QM_PATH_BYTES];
    QM_TRY(qm_path_join(host, work->params->cache_directory, "host"));
    QM_TRY(qm_path_join(work->directory, host, work->key));
    return qm_directory_make(work->directory);
}

void qm_reference_work_tell(const struct qm_reference_work *work, const char *unit, uint32_t first, uint32_t end,
                            uint32_t at, uint32_t of)
{
    if (!work->params->progress)
        return;
    char what[160];
    snprintf(what, sizeof(what),
             "fp32 reference, windows %" PRIu32 " to %" PRIu32 " of %" PRIu32 ", %s %" PRIu32 " of %" PRIu32, first + 1,
             end, work->evaluation->set.windows, unit, at, of);
    work->params->progress(work->params->progress_context, what, work->total > 0 ? work->done / work->total : 0);
}

// ---- Logits and rows ------------------------------------------------------------------------------------------------

struct making {
    const struct qm_reference_work *work;
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
    const uint32_t vocabulary = m->work->vocabulary;
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
static enum qm_status add_rows(const struct qm_reference_work *work, const struct qm_scored_token *tokens, size_t count,
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

static size_t tokens_in_part(const struct qm_reference_work *work, bool is_dense)
{
    const struct qm_reference_keep whole = {0, 0};
    uint64_t bytes = qm_reference_row_bytes(is_dense ? &whole : &work->options->keep, work->vocabulary);
    return bytes < work->options->part_bytes ? (size_t)(work->options->part_bytes / bytes) : 1;
}

// The part behind `part`, which is zeroed before the first; false behind the last.
static bool next_part(const struct qm_reference_work *work, const struct qm_reference_chunk *chunk, struct part *part)
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

static enum qm_status part_path(const struct qm_reference_work *work, const struct qm_reference_chunk *chunk,
                                const struct part *part, char path[QM_PATH_BYTES])
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
static bool take_part(const struct qm_reference_work *work, const struct qm_reference_chunk *chunk,
                      const struct part *part, struct qm_reference_file *file, struct qm_reference_rows *rows)
{
    const uint32_t vocabulary = work->vocabulary, window_tokens = work->evaluation->set.window_tokens;
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
        snprintf(rows->engine, sizeof(rows->engine), "%s", work->several ? work->several : head.engine);
    return qm_reference_file_is_taken(file);
}

static enum qm_status load_part(const struct qm_reference_work *work, const struct qm_reference_chunk *chunk,
                                const struct part *part, struct qm_reference_rows *rows, bool *is_there)
{
    char path[QM_PATH_BYTES];
    struct qm_reference_file file;
    const struct qm_reference_keep whole = {0, 0};
    const uint64_t of_row = qm_reference_row_bytes(part->is_dense ? &whole : &work->options->keep, work->vocabulary);
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
static enum qm_status make_part(struct qm_reference_work *work, const struct qm_reference_chunk *chunk,
                                const struct part *part, float *logits, size_t most, uint32_t *tokens)
{
    const struct qm_scored_token *scored = work->evaluation->scored + chunk->first_scored;
    const uint32_t vocabulary = work->vocabulary, window_tokens = work->evaluation->set.window_tokens;
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
        qm_reference_work_tell(work, "logits of token", chunk->first_window, end,
                               (uint32_t)(first + 1 + (part->is_dense ? chunk->scored : 0)), (uint32_t)all);
        if (qm_interrupted())
            QM_GUARD(QM_FAIL(QM_INTERRUPTED, "interrupted"));
        for (size_t i = 0; i < some; ++i)
            tokens[i] = part->is_dense ? (uint32_t)(first + i)
                                       : (scored[first + i].window - chunk->first_window) * chunk->tokens +
                                             scored[first + i].position;
        QM_GUARD(work->source.logits(work->source.context, tokens, some, logits));
        if (part->is_dense)
            for (size_t i = 0; i < some; ++i)
                QM_GUARD(qm_reference_bytes_add_row(
                    &bytes, &(struct qm_reference_row){.count = vocabulary, .logits = logits + i * vocabulary}));
        else
            QM_GUARD(add_rows(work, scored + first, some, logits, &bytes));
        work->done += work->source.cost(work->source.context, some);
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

enum qm_status qm_reference_chunk_load(const struct qm_reference_work *work, const struct qm_reference_chunk *chunk,
                                       struct qm_reference_rows *rows, bool *is_there)
{
    *is_there = true;
    for (struct part part = {0}; *is_there && next_part(work, chunk, &part);)
        QM_TRY(load_part(work, chunk, &part, rows, is_there));
    return QM_OK;
}

enum qm_status qm_reference_chunk_make(struct qm_reference_work *work, const struct qm_reference_chunk *chunk,
                                       struct qm_reference_rows *rows)
{
    const uint32_t vocabulary = work->vocabulary;
    enum qm_status status = QM_OK;
    size_t room = 0;
    float *logits = work->source.room ? work->source.room(work->source.context, &room) : NULL, *own = NULL;
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
            work->done += work->source.cost(work->source.context, part.count);
            continue;
        }
        QM_GUARD(make_part(work, chunk, &part, logits, room / vocabulary, tokens));
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

void qm_reference_parts_remove(const struct qm_reference_work *work)
{
    for (uint32_t c = 0; c < work->chunks; ++c) {
        const struct qm_reference_chunk chunk = qm_reference_chunk_at(work, c);
        char path[QM_PATH_BYTES];
        for (struct part part = {0}; next_part(work, &chunk, &part);)
            if (part_path(work, &chunk, &part, path) != QM_OK || qm_file_remove(path) != QM_OK)
                return;
    }
}
