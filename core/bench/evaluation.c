#include "bench/evaluation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "record/node.h"
#include "sys/file.h"
#include "workload/token_hash.h"

void qm_evaluation_hash_token(struct qm_hash *hash, uint32_t token, bool is_scored)
{
    qm_token_hash_add(hash, token, is_scored);
}

void qm_evaluation_hash(struct qm_evaluation *evaluation)
{
    struct qm_hash hash;
    const uint32_t length = evaluation->set.window_tokens;
    size_t scored = 0;
    qm_hash_begin(&hash);
    for (uint32_t w = 0; w < evaluation->set.windows; ++w) {
        const uint32_t *tokens = qm_evaluation_tokens(evaluation, w);
        for (uint32_t p = 0; p <= length; ++p) {
            const struct qm_scored_token *next = &evaluation->scored[scored];
            bool is_scored = scored < evaluation->scored_count && next->window == w && next->position == p;
            qm_evaluation_hash_token(&hash, tokens[p], is_scored);
            scored += is_scored;
        }
    }
    qm_hash_end(&hash, evaluation->sha256);
}

const uint32_t *qm_evaluation_tokens(const struct qm_evaluation *evaluation, uint32_t window)
{
    return evaluation->tokens + (size_t)window * (evaluation->set.window_tokens + 1);
}

enum qm_status qm_evaluation_allocate(struct qm_evaluation *evaluation, uint32_t sequence_count)
{
    const struct qm_profile_set *set = &evaluation->set;
    evaluation->sequence_count = sequence_count;
    evaluation->tokens = calloc((size_t)set->windows * (set->window_tokens + 1), sizeof(*evaluation->tokens));
    evaluation->scored = calloc((size_t)set->windows * set->window_tokens, sizeof(*evaluation->scored));
    evaluation->cell = calloc(sequence_count + 1, sizeof(*evaluation->cell));
    evaluation->graded_cell = calloc(sequence_count + 1, sizeof(*evaluation->graded_cell));
    evaluation->is_answer = calloc(sequence_count + 1, sizeof(*evaluation->is_answer));
    evaluation->set_of = calloc(sequence_count + 1, sizeof(*evaluation->set_of));
    if (!evaluation->tokens || !evaluation->scored || !evaluation->cell || !evaluation->graded_cell ||
        !evaluation->is_answer || !evaluation->set_of)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a set of %u windows", set->windows);
    return QM_OK;
}

static enum qm_status read_grading(struct qm_evaluation *evaluation, const char *model_directory)
{
    char path[QM_PATH_BYTES];
    QM_TRY(qm_path_join(path, model_directory, "grading.json"));
    if (!qm_file_exists(path))
        return QM_OK;
    struct qm_node *root = NULL;
    QM_TRY(qm_node_load_yaml(path, &qm_node_profile_limits, &root));
    const struct qm_node *cells = qm_node_get(root, "cells");
    for (size_t i = 0; i < qm_node_count(cells); ++i) {
        const struct qm_node *row = qm_node_at(cells, i);
        const char *task = qm_node_text_at(row, "task", ""), *difficulty = qm_node_text_at(row, "difficulty", "");
        bool is_graded = false;
        if (!qm_node_bool_at(row, "graded", &is_graded))
            is_graded = false;
        for (uint32_t c = 0; c < evaluation->cell_count; ++c) {
            struct qm_cell *cell = &evaluation->cells[c];
            if (strcmp(qm_task_name(cell->task), task) == 0 &&
                strcmp(qm_task_difficulty_name(cell->task, cell->difficulty), difficulty) == 0)
                cell->is_graded = is_graded;
        }
    }
    qm_node_destroy(&root);
    return QM_OK;
}

static uint32_t find_cell(const struct qm_evaluation *evaluation, const struct qm_example *example)
{
    for (uint32_t c = 0; c < evaluation->cell_count; ++c) {
        if (evaluation->cells[c].task == example->task && evaluation->cells[c].difficulty == example->difficulty)
            return c;
    }
    return QM_CELL_NONE;
}

enum qm_status qm_evaluation_create_cells(struct qm_evaluation *evaluation)
{
    if (qm_profile_set_is_users(&evaluation->set))
        return QM_OK;
    for (int pass = 0; pass < 2; ++pass) {
        uint32_t count = 0;
        for (int task = 0; task < QM_TASK_COUNT; ++task) {
            for (uint32_t d = 0; d < qm_task_difficulty_count((enum qm_task)task); ++d, ++count) {
                if (pass == 1)
                    evaluation->cells[count] = (struct qm_cell){(enum qm_task)task, d, false};
            }
        }
        evaluation->cell_count = count;
        if (pass == 0) {
            evaluation->cells = calloc(count, sizeof(*evaluation->cells));
            if (!evaluation->cells)
                return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for an evaluation set");
        }
    }
    return QM_OK;
}

uint32_t qm_evaluation_windows_of_set(const struct qm_profile_set *set)
{
    return set->sets > 1 ? set->windows / set->sets : set->windows;
}

static void list_scored(struct qm_evaluation *evaluation)
{
    uint32_t first_sequence = 0;
    for (uint32_t w = 0; w < evaluation->set.windows; ++w) {
        const struct qm_window *window = &evaluation->windows[w];
        for (uint32_t e = 0; e < window->example_count; ++e) {
            const struct qm_example *example = &window->examples[e];
            uint32_t sequence = first_sequence + e;
            evaluation->cell[sequence] = find_cell(evaluation, example);
            evaluation->is_answer[sequence] = example->task != QM_TASK_SOURCE;
            evaluation->set_of[sequence] = w / qm_evaluation_windows_of_set(&evaluation->set);
            evaluation->graded_cell[sequence] =
                evaluation->cell[sequence] != QM_CELL_NONE && evaluation->cells[evaluation->cell[sequence]].is_graded
                    ? evaluation->cell[sequence]
                    : QM_CELL_NONE;
            for (uint32_t p = example->first; p < (uint32_t)example->first + example->count && p < window->length;
                 ++p) {
                if (window->scored[p])
                    evaluation->scored[evaluation->scored_count++] =
                        (struct qm_scored_token){w, p, window->tokens[p + 1], sequence};
            }
        }
        first_sequence += window->example_count;
    }
}

void qm_evaluation_set_name(enum qm_split split, const struct qm_profile_set *set, char name[QM_EVALUATION_NAME_BYTES])
{
    const char *kind = split == QM_SPLIT_CALIBRATION ? "calibration" : "evaluation";
    if (qm_profile_set_is_users(set))
        snprintf(name, QM_EVALUATION_NAME_BYTES, "%s",
                 set->kind == QM_SET_EXAMPLES ? "the user's examples"
                 : set->is_compatible         ? "the user's text, as llama-perplexity cuts it"
                                              : "the user's text");
    else if (set->sets > 1)
        snprintf(name, QM_EVALUATION_NAME_BYTES, "built-in %s, %u seeds from %llu", kind, set->sets,
                 (unsigned long long)set->seed);
    else
        snprintf(name, QM_EVALUATION_NAME_BYTES, "built-in %s, seed %llu", kind, (unsigned long long)set->seed);
}

enum qm_status qm_evaluation_create(enum qm_split split, const struct qm_profile_set *set, const char *model_directory,
                                    struct qm_evaluation **out)
{
    *out = NULL;
    enum qm_status status = QM_OK;
    struct qm_evaluation *evaluation = calloc(1, sizeof(*evaluation));
    if (!evaluation)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for an evaluation set");
    evaluation->set = *set;
    qm_evaluation_set_name(split, set, evaluation->name);
    evaluation->windows = calloc(set->windows, sizeof(*evaluation->windows));
    if (!evaluation->windows) {
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %u windows", set->windows);
        goto done;
    }
    uint32_t sequences = 0;
    for (uint32_t w = 0; w < set->windows; ++w) {
        // A set is what its seed gives alone.
        qm_window_generate(split, set->seed + w / qm_evaluation_windows_of_set(set),
                           w % qm_evaluation_windows_of_set(set), set->window_tokens, &evaluation->windows[w]);
        sequences += evaluation->windows[w].example_count;
    }
    QM_GUARD(qm_evaluation_allocate(evaluation, sequences));
    for (uint32_t w = 0; w < set->windows; ++w) {
        for (uint32_t p = 0; p <= set->window_tokens; ++p)
            evaluation->tokens[(size_t)w * (set->window_tokens + 1) + p] = evaluation->windows[w].tokens[p];
    }
    QM_GUARD(qm_evaluation_create_cells(evaluation));
    QM_GUARD(read_grading(evaluation, model_directory));
    list_scored(evaluation);
    qm_evaluation_hash(evaluation);
    if (evaluation->scored_count < set->scored_tokens) {
        status =
            QM_FAIL(QM_INVALID, "%u windows of %u tokens hold %zu scored tokens, and %u are asked for; raise windows",
                    set->windows, set->window_tokens, evaluation->scored_count, set->scored_tokens);
        goto done;
    }
    *out = evaluation;
    evaluation = NULL;
done:
    qm_evaluation_destroy(&evaluation);
    return status;
}

bool qm_evaluation_source(const struct qm_evaluation *evaluation, const struct qm_scored_token *token,
                          struct qm_evaluation_source *out)
{
    if (evaluation->is_answer[token->sequence] || !evaluation->windows)
        return false;
    // The chain is of order 2, and its first two symbols are not scored: both are there.
    const uint16_t *tokens = &evaluation->windows[token->window].tokens[token->position];
    const uint32_t before = tokens[-1] - QM_TOKEN_SOURCE_SYMBOL, last = tokens[0] - QM_TOKEN_SOURCE_SYMBOL;
    uint32_t total = 0, count = 0;
    for (uint32_t symbol = 0; symbol < QM_SOURCE_SYMBOLS; ++symbol)
        total += qm_source_weight(before, last, symbol);
    for (uint32_t symbol = 0; symbol < QM_SOURCE_SYMBOLS; ++symbol) {
        uint32_t weight = qm_source_weight(before, last, symbol);
        if (weight == 0)
            continue;
        out->tokens[count] = QM_TOKEN_SOURCE_SYMBOL + symbol;
        out->probabilities[count++] = (double)weight / (double)total;
    }
    out->source = (struct qm_token_source){out->tokens, out->probabilities, count};
    return true;
}

static int compare_keys(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

// 64 bits of each example's hash, but for facts: among a million examples two fall together once in 40 million sets.
static size_t list_keys(const struct qm_evaluation *evaluation, uint64_t *keys)
{
    size_t count = 0;
    for (uint32_t w = 0; w < evaluation->set.windows; ++w) {
        const struct qm_window *window = &evaluation->windows[w];
        for (uint32_t e = 0; e < window->example_count; ++e) {
            const struct qm_example *example = &window->examples[e];
            uint64_t key = UINT64_C(0xcbf29ce484222325); // FNV-1a
            for (uint32_t i = 0; i < example->length; ++i)
                key = (key ^ window->tokens[example->start + i]) * UINT64_C(0x100000001b3);
            if (example->task != QM_TASK_FACT)
                keys[count++] = key;
        }
    }
    return count;
}

enum qm_status qm_evaluation_overlap(const struct qm_evaluation *evaluation, const struct qm_evaluation *other,
                                     uint32_t *count)
{
    *count = 0;
    uint64_t *own = calloc(evaluation->sequence_count + 1, sizeof(*own));
    uint64_t *theirs = calloc(other->sequence_count + 1, sizeof(*theirs));
    enum qm_status status = QM_OK;
    if (own && theirs) {
        size_t own_count = list_keys(evaluation, own), their_count = list_keys(other, theirs);
        qsort(theirs, their_count, sizeof(*theirs), compare_keys);
        for (size_t i = 0; i < own_count; ++i)
            *count += bsearch(&own[i], theirs, their_count, sizeof(*theirs), compare_keys) != NULL;
    } else {
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory to compare two sets");
    }
    free(own);
    free(theirs);
    return status;
}

void qm_evaluation_destroy(struct qm_evaluation **evaluation)
{
    struct qm_evaluation *e = *evaluation;
    if (!e)
        return;
    free(e->tokens);
    free(e->lengths);
    free(e->windows);
    free(e->scored);
    free(e->cell);
    free(e->graded_cell);
    free(e->is_answer);
    free(e->set_of);
    free(e->cells);
    free(e);
    *evaluation = NULL;
}
