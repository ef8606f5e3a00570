#include "bench/reference_rows.h"

#include <stdio.h>
#include <stdlib.h>

enum qm_status qm_reference_rows_create(const struct qm_evaluation *evaluation, uint32_t dense_windows,
                                        size_t part_count, struct qm_reference_rows **out)
{
    *out = NULL;
    struct qm_reference_rows *rows = calloc(1, sizeof(*rows));
    if (rows) {
        rows->scored = calloc(evaluation->scored_count + 1, sizeof(*rows->scored));
        rows->scored_count = evaluation->scored_count;
        rows->dense = calloc((size_t)dense_windows + 1, sizeof(*rows->dense));
        rows->dense_windows = dense_windows;
        rows->parts = calloc(part_count + 1, sizeof(*rows->parts));
        rows->part_count = part_count;
    }
    if (!rows || !rows->scored || !rows->dense || !rows->parts) {
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
    enum qm_status status = qm_reference_rows_create(evaluation, evaluation->set.windows, 1, out);
    if (status != QM_OK) {
        free(logits);
        return status;
    }
    struct qm_reference_rows *rows = *out;
    snprintf(rows->engine, sizeof(rows->engine), "reference backend");
    rows->parts[0] = logits;
    for (size_t w = 0; w < rows->dense_windows; ++w)
        rows->dense[w] = logits + w * window_tokens * vocabulary;
    for (size_t i = 0; i < rows->scored_count; ++i) {
        const struct qm_scored_token *token = &evaluation->scored[i];
        rows->scored[i].logits = logits + (token->window * window_tokens + token->position) * vocabulary;
        rows->scored[i].count = vocabulary;
        rows->scored[i].target = token->target;
    }
    return QM_OK;
}

void qm_reference_rows_destroy(struct qm_reference_rows **rows)
{
    if (!*rows)
        return;
    for (size_t i = 0; i < (*rows)->part_count && (*rows)->parts; ++i)
        free((*rows)->parts[i]);
    free((*rows)->parts);
    free((*rows)->dense);
    free((*rows)->scored);
    free(*rows);
    *rows = NULL;
}
