#include "bench/reference_rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum qm_status qm_reference_rows_create(const struct qm_evaluation *evaluation, uint32_t dense_windows,
                                        struct qm_reference_rows **out)
{
    *out = NULL;
    struct qm_reference_rows *rows = calloc(1, sizeof(*rows));
    if (rows) {
        rows->scored = calloc(evaluation->scored_count + 1, sizeof(*rows->scored));
        rows->scored_count = evaluation->scored_count;
        rows->dense = calloc((size_t)dense_windows * evaluation->set.window_tokens + 1, sizeof(*rows->dense));
        rows->dense_windows = dense_windows;
    }
    if (!rows || !rows->scored || !rows->dense) {
        qm_reference_rows_destroy(&rows);
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the reference of %zu tokens", evaluation->scored_count);
    }
    *out = rows;
    return QM_OK;
}

enum qm_status qm_reference_rows_of_logits(const struct qm_evaluation *evaluation, uint32_t vocabulary, float *logits,
                                           struct qm_reference_rows **out)
{
    const size_t window_tokens = evaluation->set.window_tokens;
    enum qm_status status = qm_reference_rows_create(evaluation, evaluation->set.windows, out);
    if (status != QM_OK) {
        free(logits);
        return status;
    }
    struct qm_reference_rows *rows = *out;
    snprintf(rows->engine, sizeof(rows->engine), "reference backend");
    rows->logits = logits;
    for (size_t t = 0; t < rows->dense_windows * window_tokens; ++t)
        rows->dense[t] = logits + t * vocabulary;
    for (size_t i = 0; i < rows->scored_count; ++i) {
        const struct qm_scored_token *token = &evaluation->scored[i];
        rows->scored[i].logits = rows->dense[token->window * window_tokens + token->position];
        rows->scored[i].count = vocabulary;
        rows->scored[i].target = token->target;
    }
    return QM_OK;
}

enum qm_status qm_reference_rows_hold(struct qm_reference_rows *rows, struct qm_file_map *map, const char *path)
{
    if (rows->part_count == rows->part_room) {
        size_t room = 2 * rows->part_room + 8;
        struct qm_reference_part *grown = realloc(rows->parts, room * sizeof(*grown));
        if (!grown)
            return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a list of %zu files", room);
        rows->parts = grown;
        rows->part_room = room;
    }
    char *copy = strdup(path);
    if (!copy)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a path");
    rows->parts[rows->part_count++] = (struct qm_reference_part){*map, copy};
    *map = (struct qm_file_map){0};
    return QM_OK;
}

enum qm_status qm_reference_rows_check(const struct qm_reference_rows *rows)
{
    for (size_t i = 0; i < rows->part_count; ++i)
        QM_TRY(qm_file_map_check(&rows->parts[i].map, rows->parts[i].path));
    return QM_OK;
}

void qm_reference_rows_destroy(struct qm_reference_rows **rows)
{
    struct qm_reference_rows *r = *rows;
    if (!r)
        return;
    for (size_t i = 0; i < r->part_count; ++i) {
        qm_file_unmap(&r->parts[i].map);
        free(r->parts[i].path);
    }
    free(r->parts);
    free(r->logits);
    free(r->dense);
    free(r->scored);
    free(r);
    *rows = NULL;
}
