#include "workload/text_set.h"

#include "workload/lines.h"
#include "workload/text_documents.h"
#include "workload/token_hash.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static enum qm_status check_params(const struct qm_text_set_params *params, const char *name)
{
    uint32_t n = params->window_tokens;
    if (n < QM_TEXT_WINDOW_TOKENS_MIN || n > QM_TEXT_WINDOW_TOKENS_MAX)
        return QM_FAIL(QM_INVALID, "%s: windows of %" PRIu32 " tokens; expected %d to %d", name, n,
                       QM_TEXT_WINDOW_TOKENS_MIN, QM_TEXT_WINDOW_TOKENS_MAX);
    if (params->stride >= n)
        return QM_FAIL(QM_INVALID,
                       "%s: a stride of %" PRIu32 " with windows of %" PRIu32 " tokens; expected less, so "
                       "that every token has some before it",
                       name, params->stride, n);
    if (params->has_begin && params->vocabulary > 0 && params->begin >= params->vocabulary)
        return QM_FAIL(QM_INVALID,
                       "%s: the begin token is %" PRIu32 " and the model has %" PRIu32
                       " tokens; use the tokenizer of this model",
                       name, params->begin, params->vocabulary);
    return QM_OK;
}

// One text's tokens behind those that are there; `count` of them.
static enum qm_status encode(struct qm_text_set *set, const char *text, size_t bytes, const char *name,
                             const struct qm_text_encoder *encoder, size_t *count)
{
    const size_t before = set->token_count;
    uint32_t most = set->params.vocabulary > 0 ? set->params.vocabulary - 1 : QM_TOKEN_HASHED_MAX;
    QM_TRY(qm_text_encoder_append(encoder, text, bytes, &set->tokens, &set->token_count));
    *count = set->token_count - before;
    for (size_t i = 0; i < *count; i++)
        if (set->tokens[before + i] > most)
            return QM_FAIL(QM_INVALID,
                           "%s: token %zu of the text is %" PRIu32 " and the model has %" PRIu32
                           " tokens; use the tokenizer of this model",
                           name, i, set->tokens[before + i], most + 1);
    if (*count < 2)
        return QM_FAIL(QM_INVALID, "%s: the text has %zu tokens; expected 2 at least, one of them to predict", name,
                       *count);
    return QM_OK;
}

// How many windows, of how many tokens, every how many.
struct layout {
    size_t windows;
    uint32_t length, step;
};

static enum qm_status lay_out(const struct qm_text_set *set, const char *name, size_t count, struct layout *out)
{
    const struct qm_text_set_params *params = &set->params;
    uint32_t n = params->window_tokens;
    size_t windows_before = set->window_count;
    if (params->compat == QM_TEXT_LLAMA_PERPLEXITY) {
        out->length = n + params->stride / 2;
        if (count < 2 * (size_t)out->length)
            return QM_FAIL(QM_INVALID,
                           "%s: the text has %zu tokens and llama-perplexity asks for two chunks, %zu"
                           "; use a longer text or a smaller window",
                           name, count, 2 * (size_t)out->length);
        out->step = params->stride > 0 ? params->stride : n;
        out->windows = params->stride > 0 ? (count - out->length + params->stride - 1) / params->stride : count / n;
    } else {
        out->length = count < n ? (uint32_t)count : n;
        out->step = params->stride > 0 ? params->stride : n / 2;
        out->windows = 1 + (count - out->length + out->step - 1) / out->step;
    }
    if (params->windows_most > 0 && windows_before + out->windows > params->windows_most)
        out->windows = params->windows_most - windows_before;
    uint32_t longest = out->length > set->length ? out->length : set->length;
    size_t windows = windows_before + out->windows;
    if (windows > QM_TEXT_WINDOWS_MAX || windows * longest > QM_TEXT_INPUT_TOKENS_MAX)
        return QM_FAIL(QM_INVALID,
                       "%s: %zu windows of %" PRIu32 " tokens are more than a run takes (%d windows, %d tokens)"
                       "; use a larger stride, or limit the number of windows",
                       name, windows, longest, QM_TEXT_WINDOWS_MAX, QM_TEXT_INPUT_TOKENS_MAX);
    return QM_OK;
}

// Of the text whose tokens are the last `count`.
static void place_windows(struct qm_text_set *set, const struct layout *layout, size_t count)
{
    bool is_compat = set->params.compat == QM_TEXT_LLAMA_PERPLEXITY;
    uint32_t length = layout->length;
    size_t seen = 1; // the next token that was no target; the first never is
    size_t base = set->token_count - count, end = 0;
    for (size_t w = 0; w < layout->windows; w++) {
        struct qm_text_window *window = &set->windows[set->window_count++];
        size_t start = w * layout->step;
        window->length = length;
        if (is_compat) {
            window->scored_first = set->params.stride > 0 ? length - set->params.stride - 1 : length / 2;
            window->scored_count = length - 1 - window->scored_first;
        } else {
            if (start + length > count)
                start = count - length;
            window->scored_first = (uint32_t)(seen - 1 - start);
            window->scored_count = length - 1 - window->scored_first;
            seen = start + length;
        }
        window->start = base + start;
        set->scored += window->scored_count;
        end = start + length;
    }
    set->length = layout->windows > 0 && length > set->length ? length : set->length;
    set->tokens_unused += count - end;
}

static enum qm_status hash_windows(struct qm_text_set *set)
{
    struct qm_hash hash;
    uint32_t *tokens = malloc(set->length * sizeof(*tokens));
    if (!tokens)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a window of %" PRIu32 " tokens", set->length);
    qm_hash_begin(&hash);
    for (uint32_t w = 0; w < set->window_count; w++) {
        const struct qm_text_window *window = &set->windows[w];
        qm_text_set_window(set, w, tokens);
        for (uint32_t p = 0; p < window->length; p++)
            qm_token_hash_add(&hash, tokens[p],
                              p >= window->scored_first && p - window->scored_first < window->scored_count);
    }
    qm_hash_end(&hash, set->sha256);
    free(tokens);
    return QM_OK;
}

static enum qm_status add_text(struct qm_text_set *set, const char *text, size_t bytes, const char *name,
                               const struct qm_text_encoder *encoder)
{
    struct layout layout = {0};
    size_t count = 0;
    if (bytes == 0)
        return QM_FAIL(QM_INVALID, "%s: the file is empty; expected a text", name);
    if (bytes > QM_TEXT_BYTES_MAX)
        return QM_FAIL(QM_INVALID, "%s: %zu bytes of text; at most %zu are read, use a part of it", name, bytes,
                       QM_TEXT_BYTES_MAX);
    set->is_utf8 = set->is_utf8 && qm_bytes_are_utf8(text, bytes);
    if (set->params.compat == QM_TEXT_LLAMA_PERPLEXITY && text[bytes - 1] == '\n')
        bytes--;
    set->text_bytes += bytes;
    set->documents++;
    QM_TRY(encode(set, text, bytes, name, encoder, &count));
    QM_TRY(lay_out(set, name, count, &layout));
    struct qm_text_window *grown =
        realloc(set->windows, (set->window_count + layout.windows + 1) * sizeof(*set->windows));
    if (!grown)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for %zu windows", name, layout.windows);
    set->windows = grown;
    place_windows(set, &layout, count);
    return QM_OK;
}

static enum qm_status begin(const struct qm_text_set_params *params, const char *name, struct qm_text_set **out)
{
    QM_TRY(check_params(params, name));
    *out = calloc(1, sizeof(**out));
    if (!*out)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for a set of windows", name);
    (*out)->params = *params;
    (*out)->is_utf8 = true;
    (*out)->replaces_first = params->has_begin && !(params->compat == QM_TEXT_LLAMA_PERPLEXITY && params->stride > 0);
    return QM_OK;
}

enum qm_status qm_text_set_create(const void *text, size_t bytes, const char *name,
                                  const struct qm_text_encoder *encoder, const struct qm_text_set_params *params,
                                  struct qm_text_set **out)
{
    struct qm_text_set *set = NULL;
    enum qm_status status = QM_OK;
    *out = NULL;
    QM_GUARD(begin(params, name, &set));
    qm_hash_bytes(text, bytes, set->text_sha256);
    QM_GUARD(add_text(set, text, bytes, name, encoder));
    QM_GUARD(hash_windows(set));
    *out = set;
    set = NULL;
done:
    qm_text_set_destroy(&set);
    return status;
}

enum qm_status qm_text_set_load(const char *path, const struct qm_text_encoder *encoder,
                                const struct qm_text_set_params *params, struct qm_text_set **out)
{
    struct qm_text_documents texts;
    struct qm_text_set *set = NULL;
    enum qm_status status = QM_OK;
    *out = NULL;
    QM_GUARD(qm_text_documents_load(path, &texts));
    QM_GUARD(begin(params, path, &set));
    set->is_directory = texts.is_directory;
    memcpy(set->text_sha256, texts.sha256, sizeof(set->text_sha256));
    if (texts.is_directory && params->compat == QM_TEXT_LLAMA_PERPLEXITY)
        QM_GUARD(QM_FAIL(QM_INVALID, "%s: llama-perplexity scores one text; give a file, or leave --compat out", path));
    for (size_t i = 0; i < texts.count; i++)
        QM_GUARD(add_text(set, texts.documents[i].bytes, texts.documents[i].count, texts.documents[i].name, encoder));
    QM_GUARD(hash_windows(set));
    *out = set;
    set = NULL;
done:
    qm_text_documents_free(&texts);
    qm_text_set_destroy(&set);
    return status;
}

void qm_text_set_window(const struct qm_text_set *set, uint32_t index, uint32_t *tokens)
{
    const uint32_t *from = set->tokens + set->windows[index].start;
    for (uint32_t p = 0; p < set->windows[index].length; p++)
        tokens[p] = from[p];
    if (set->replaces_first)
        tokens[0] = set->params.begin;
}

void qm_text_set_destroy(struct qm_text_set **set)
{
    if (!*set)
        return;
    free((*set)->tokens);
    free((*set)->windows);
    free(*set);
    *set = NULL;
}
