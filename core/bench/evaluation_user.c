#include "bench/evaluation_user.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "workload/source.h"
#include "workload/text_documents.h"
#include "workload/token_hash.h"

enum qm_set_kind qm_user_set_kind(const char *path)
{
    struct qm_source source;
    bool is_text =
        qm_source_find(path, &source) != QM_OK || source.kind == QM_SOURCE_TEXT; // reading says what is wrong
    qm_source_free(&source);
    return is_text ? QM_SET_TEXT : QM_SET_EXAMPLES;
}

// ---- Rows -----------------------------------------------------------------------------------------------------------

static enum qm_status begin_set(const struct qm_user_set_params *params, enum qm_set_kind kind, uint32_t windows,
                                uint32_t longest, struct qm_evaluation **out)
{
    struct qm_evaluation *evaluation = *out = calloc(1, sizeof(*evaluation));
    if (!evaluation)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for its windows", params->path);
    evaluation->set = (struct qm_profile_set){.kind = kind, .sets = 1, .stride = params->stride};
    evaluation->set.is_compatible = params->is_compatible;
    evaluation->set.windows = windows > params->windows_least ? windows : params->windows_least;
    evaluation->set.window_tokens = longest > params->tokens_least ? longest : params->tokens_least;
    QM_TRY(qm_evaluation_allocate(evaluation, windows));
    evaluation->lengths = calloc(evaluation->set.windows + (size_t)1, sizeof(*evaluation->lengths));
    if (!evaluation->lengths)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for its windows", params->path);
    for (uint32_t s = 0; s < windows; ++s) {
        evaluation->cell[s] = evaluation->graded_cell[s] = QM_CELL_NONE;
        evaluation->is_answer[s] = kind == QM_SET_EXAMPLES;
    }
    return QM_OK;
}

static uint32_t *row_of(struct qm_evaluation *evaluation, uint32_t window)
{
    return evaluation->tokens + (size_t)window * (evaluation->set.window_tokens + 1);
}

// Of a row whose first `count` tokens are there.
static void fill_row(struct qm_evaluation *evaluation, uint32_t window, uint32_t count)
{
    uint32_t *row = row_of(evaluation, window);
    for (uint32_t p = count; p <= evaluation->set.window_tokens; ++p)
        row[p] = row[p - count];
    evaluation->lengths[window] = count;
}

static void add_scored(struct qm_evaluation *evaluation, uint32_t window, uint32_t first, uint32_t count)
{
    const uint32_t *row = qm_evaluation_tokens(evaluation, window);
    for (uint32_t p = first; p < first + count; ++p)
        evaluation->scored[evaluation->scored_count++] = (struct qm_scored_token){window, p, row[p + 1], window};
}

// Rows beyond the file's own.
static void repeat_rows(struct qm_evaluation *evaluation)
{
    size_t bytes = ((size_t)evaluation->set.window_tokens + 1) * sizeof(*evaluation->tokens);
    for (uint32_t w = evaluation->sequence_count; w < evaluation->set.windows; ++w)
        memcpy(row_of(evaluation, w), row_of(evaluation, w - evaluation->sequence_count), bytes);
}

static enum qm_status end_set(const struct qm_user_set_params *params, struct qm_evaluation *evaluation)
{
    repeat_rows(evaluation);
    if (evaluation->scored_count == 0)
        return QM_FAIL(QM_INVALID, "%s: no token of it can be scored; give a longer text", params->path);
    if (evaluation->scored_count > UINT32_MAX)
        return QM_FAIL(QM_INVALID, "%s: %zu tokens to score; use a part of the file", params->path,
                       evaluation->scored_count);
    evaluation->set.scored_tokens = (uint32_t)evaluation->scored_count;
    evaluation->set.file_windows = evaluation->sequence_count;
    memcpy(evaluation->set.sha256, evaluation->sha256, sizeof(evaluation->sha256));
    qm_evaluation_set_name(QM_SPLIT_EVALUATION, &evaluation->set, evaluation->name);
    return QM_OK;
}

// ---- Text -----------------------------------------------------------------------------------------------------------

static enum qm_status read_text(const struct qm_user_set_params *params, struct qm_user_set *out)
{
    const struct qm_text_set_params text = {.window_tokens = params->window_tokens,
                                            .stride = params->stride,
                                            .windows_most = params->windows_most,
                                            .compat =
                                                params->is_compatible ? QM_TEXT_LLAMA_PERPLEXITY : QM_TEXT_COMPAT_NONE,
                                            .vocabulary = params->vocabulary,
                                            .has_begin = params->has_begin,
                                            .begin = params->begin};
    QM_TRY(qm_text_set_load(params->path, params->encoder, &text, &out->text));
    const struct qm_text_set *set = out->text;
    if (set->length > params->context)
        return QM_FAIL(QM_INVALID,
                       "%s: chunks of %" PRIu32 " tokens exceed the model's context of %" PRIu32 "; use a "
                       "smaller --eval-window",
                       params->path, set->length, params->context);
    QM_TRY(begin_set(params, QM_SET_TEXT, set->window_count, set->length, &out->evaluation));
    memcpy(out->evaluation->sha256, set->sha256, sizeof(set->sha256));
    for (uint32_t w = 0; w < set->window_count; ++w) {
        qm_text_set_window(set, w, row_of(out->evaluation, w));
        fill_row(out->evaluation, w, set->windows[w].length);
        add_scored(out->evaluation, w, set->windows[w].scored_first, set->windows[w].scored_count);
    }
    out->evaluation->set.file_window_tokens = set->length;
    return end_set(params, out->evaluation);
}

// ---- Examples -------------------------------------------------------------------------------------------------------

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

// The tokens of a prompt with what should be said behind it; *first is the index of the first of the latter.
static enum qm_status encode_answer(const struct qm_user_set_params *params, const struct qm_user_example *example,
                                    const struct qm_example_sequence *prompt, uint32_t **ids, uint32_t *first,
                                    uint32_t *count)
{
    const char *answer = example->answers[0];
    size_t before = strlen(example->prompt), bytes = strlen(answer), total = 0;
    bool has_blank = is_blank(example->prompt[before - 1]) || is_blank(answer[0]);
    char *text = malloc(before + bytes + 2);
    if (!text)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s:%zu: no memory for its tokens", example->file, example->line);
    memcpy(text, example->prompt, before);
    if (!has_blank)
        text[before++] = ' ';
    memcpy(text + before, answer, bytes);
    enum qm_status status = params->encoder->encode(params->encoder->context, text, before + bytes, true, ids, &total);
    free(text);
    if (status != QM_OK) {
        qm_error_prefix("%s:%zu: ", example->file, example->line);
        return status;
    }
    if (total > params->context)
        return QM_FAIL(QM_INVALID,
                       "%s:%zu: the prompt with its answer has %zu tokens, and the model's context %" PRIu32
                       "; shorten it",
                       example->file, example->line, total, params->context);
    *count = (uint32_t)total;
    for (*first = 0; *first < prompt->count && *first + 1 < *count && prompt->tokens[*first] == (*ids)[*first];)
        ++*first;
    return QM_OK;
}

struct sequence {
    uint32_t *ids; // owned
    uint32_t first, count;
};

static void free_sequences(struct sequence *sequences, uint32_t count)
{
    for (uint32_t i = 0; sequences && i < count; ++i)
        free(sequences[i].ids);
    free(sequences);
}

static enum qm_status encode_example(const struct qm_user_set_params *params, const struct qm_user_set *set, uint32_t e,
                                     struct sequence *out)
{
    const struct qm_user_example *example = &set->examples->examples[e];
    const struct qm_example_tokens *tokens = &set->example_tokens->examples[e];
    if (tokens->choice_count == 0)
        return encode_answer(params, example, &tokens->prompt, &out->ids, &out->first, &out->count);
    const struct qm_example_sequence *right = &tokens->choices[example->right_choice];
    out->ids = malloc((right->count + (size_t)1) * sizeof(*out->ids));
    if (!out->ids)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s:%zu: no memory for its tokens", example->file, example->line);
    memcpy(out->ids, right->tokens, right->count * sizeof(*out->ids));
    out->first = right->first;
    out->count = right->count;
    return QM_OK;
}

// All examples, as sequences; *longest is that of the longest.
static enum qm_status encode_examples(const struct qm_user_set_params *params, struct qm_user_set *set,
                                      struct sequence **out, uint32_t *longest)
{
    struct qm_examples_params reading = params->reading;
    const struct qm_example_tokens_params limits = {params->context, params->vocabulary};
    reading.examples_most = params->windows_most;
    QM_TRY(qm_user_examples_load(params->path, &reading, &set->examples));
    QM_TRY(qm_example_tokens_create(set->examples, params->encoder, &limits, &set->example_tokens));
    *longest = 0;
    *out = calloc(set->examples->count + (size_t)1, sizeof(**out));
    if (!*out)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for its tokens", params->path);
    for (uint32_t e = 0; e < set->examples->count; ++e) {
        QM_TRY(encode_example(params, set, e, &(*out)[e]));
        *longest = (*out)[e].count > *longest ? (*out)[e].count : *longest;
    }
    return QM_OK;
}

static void lay_examples(struct qm_evaluation *evaluation, const struct sequence *sequences)
{
    struct qm_hash hash;
    qm_hash_begin(&hash);
    for (uint32_t e = 0; e < evaluation->sequence_count; ++e) {
        const struct sequence *s = &sequences[e];
        if (s->count > 0)
            memcpy(row_of(evaluation, e), s->ids, s->count * sizeof(*s->ids));
        fill_row(evaluation, e, s->count);
        if (s->first > 0)
            add_scored(evaluation, e, s->first - 1, s->count - s->first);
        for (uint32_t p = 0; p < s->count; ++p)
            qm_token_hash_add(&hash, s->ids[p], s->first > 0 && p + 1 >= s->first && p + 1 < s->count);
    }
    qm_hash_end(&hash, evaluation->sha256);
}

static enum qm_status read_examples(const struct qm_user_set_params *params, struct qm_user_set *out)
{
    struct sequence *sequences = NULL;
    uint32_t longest = 0;
    enum qm_status status = QM_OK;
    QM_GUARD(encode_examples(params, out, &sequences, &longest));
    QM_GUARD(begin_set(params, QM_SET_EXAMPLES, out->examples->count, longest, &out->evaluation));
    lay_examples(out->evaluation, sequences);
    status = end_set(params, out->evaluation);
done:
    free_sequences(sequences, out->examples ? out->examples->count : 0);
    return status;
}

enum qm_status qm_user_set_read(const struct qm_user_set_params *params, struct qm_user_set *out)
{
    memset(out, 0, sizeof(*out));
    enum qm_status status =
        qm_user_set_kind(params->path) == QM_SET_TEXT ? read_text(params, out) : read_examples(params, out);
    if (status != QM_OK)
        qm_user_set_free(out);
    return status;
}

// ---- Calibration ----------------------------------------------------------------------------------------------------

// All documents one behind the other, each as the tokenizer begins a text.
static enum qm_status encode_whole_text(const struct qm_user_set_params *params, uint32_t **ids, size_t *count)
{
    struct qm_text_documents texts;
    enum qm_status status = QM_OK;
    *ids = NULL;
    *count = 0;
    QM_GUARD(qm_text_documents_load(params->path, &texts));
    for (size_t i = 0; i < texts.count; ++i) {
        const struct qm_text_document *text = &texts.documents[i];
        status = qm_text_encoder_append(params->encoder, text->bytes, text->count, ids, count);
        if (status != QM_OK) {
            qm_error_prefix("%s: ", text->name);
            goto done;
        }
    }
done:
    qm_text_documents_free(&texts);
    return status;
}

static enum qm_status join_examples(const struct qm_user_set_params *params, struct qm_user_set *set, uint32_t **ids,
                                    size_t *count)
{
    struct sequence *sequences = NULL;
    struct qm_user_set_params all = *params;
    uint32_t longest = 0;
    size_t total = 0;
    enum qm_status status = QM_OK;
    all.windows_most = 0;
    QM_GUARD(encode_examples(&all, set, &sequences, &longest));
    for (uint32_t e = 0; e < set->examples->count; ++e)
        total += sequences[e].count;
    *ids = malloc((total + 1) * sizeof(**ids));
    if (!*ids)
        QM_GUARD(QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for its tokens", params->path));
    for (uint32_t e = 0; e < set->examples->count; ++e) {
        memcpy(*ids + *count, sequences[e].ids, sequences[e].count * sizeof(**ids));
        *count += sequences[e].count;
    }
done:
    free_sequences(sequences, set->examples ? set->examples->count : 0);
    return status;
}

// Tokens one behind the other, in windows. With a begin token each window begins with it, as those that are scored.
static enum qm_status cut_windows(const struct qm_user_set_params *params, enum qm_set_kind kind, const uint32_t *ids,
                                  size_t count, struct qm_evaluation **out)
{
    const uint32_t length = params->window_tokens;
    size_t windows = count / length;
    for (size_t i = 0; i < count; ++i)
        if (ids[i] >= params->vocabulary)
            return QM_FAIL(QM_INVALID,
                           "%s: token %" PRIu32 " is none of the model's %" PRIu32
                           "; the tokenizer is not this model's",
                           params->path, ids[i], params->vocabulary);
    if (windows == 0)
        return QM_FAIL(QM_INVALID,
                       "%s: %zu tokens are fewer than a window of %" PRIu32 "; give a longer text, or "
                       "shorter windows to score with --eval-window",
                       params->path, count, length);
    if (params->windows_most > 0 && windows > params->windows_most)
        windows = params->windows_most;
    struct qm_user_set_params plain = *params;
    plain.windows_least = plain.tokens_least = plain.stride = 0;
    plain.is_compatible = false;
    QM_TRY(begin_set(&plain, kind, (uint32_t)windows, length, out));
    for (uint32_t w = 0; w < windows; ++w) {
        memcpy(row_of(*out, w), ids + (size_t)w * length, length * sizeof(*ids));
        if (params->has_begin)
            row_of(*out, w)[0] = params->begin;
        fill_row(*out, w, length);
    }
    qm_evaluation_hash(*out);
    memcpy((*out)->set.sha256, (*out)->sha256, sizeof((*out)->sha256));
    qm_evaluation_set_name(QM_SPLIT_CALIBRATION, &(*out)->set, (*out)->name);
    return QM_OK;
}

enum qm_status qm_user_set_read_calibration(const struct qm_user_set_params *params, struct qm_user_set *out)
{
    enum qm_set_kind kind = qm_user_set_kind(params->path);
    uint32_t *ids = NULL;
    size_t count = 0;
    enum qm_status status = QM_OK;
    memset(out, 0, sizeof(*out));
    QM_GUARD(kind == QM_SET_TEXT ? encode_whole_text(params, &ids, &count) : join_examples(params, out, &ids, &count));
    status = cut_windows(params, kind, ids, count, &out->evaluation);
done:
    free(ids);
    if (status != QM_OK)
        qm_user_set_free(out);
    return status;
}

void qm_user_set_free(struct qm_user_set *set)
{
    qm_evaluation_destroy(&set->evaluation);
    qm_text_set_destroy(&set->text);
    qm_example_tokens_destroy(&set->example_tokens);
    qm_user_examples_destroy(&set->examples);
}

// ---- Overlap --------------------------------------------------------------------------------------------------------

static struct qm_token_span *list_spans(const struct qm_evaluation *set, size_t *count)
{
    *count = qm_profile_set_is_users(&set->set) ? set->sequence_count : set->set.windows;
    struct qm_token_span *spans = calloc(*count + 1, sizeof(*spans));
    for (uint32_t w = 0; spans && w < *count; ++w)
        spans[w] = (struct qm_token_span){qm_evaluation_tokens(set, w),
                                          set->lengths ? set->lengths[w] : set->set.window_tokens + (size_t)1};
    return spans;
}

enum qm_status qm_user_set_overlap(const struct qm_evaluation *evaluation, const struct qm_evaluation *calibration,
                                   struct qm_overlap *out)
{
    size_t scored_count = 0, calibrated_count = 0;
    struct qm_token_span *scored = list_spans(evaluation, &scored_count);
    struct qm_token_span *calibrated = list_spans(calibration, &calibrated_count);
    enum qm_status status = scored && calibrated ? qm_overlap_find(calibrated, calibrated_count, scored, scored_count,
                                                                   QM_OVERLAP_TOKENS, NULL, out)
                                                 : QM_FAIL(QM_OUT_OF_MEMORY, "no memory to compare two sets");
    free(scored);
    free(calibrated);
    return status;
}
