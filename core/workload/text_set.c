#include "workload/text_set.h"

#include "sys/file.h"
#include "workload/token_hash.h"

#include <inttypes.h>
#include <stdlib.h>

// Whether the bytes are UTF-8 (RFC 3629); zero bytes are.
static bool is_utf8(const unsigned char *bytes, size_t count)
{
    for (size_t i = 0; i < count;) {
        unsigned char lead = bytes[i];
        size_t length = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
        if (length == 0 || i + length > count)
            return false;
        uint32_t code = length == 1 ? lead : lead & (0x7fu >> length);
        for (size_t j = 1; j < length; j++) {
            if ((bytes[i + j] & 0xc0) != 0x80)
                return false;
            code = code << 6 | (bytes[i + j] & 0x3f);
        }
        if ((length == 3 && (code < 0x800 || (code >= 0xd800 && code <= 0xdfff))) ||
            (length == 4 && (code < 0x10000 || code > 0x10ffff)))
            return false;
        i += length;
    }
    return true;
}

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

static enum qm_status encode(struct qm_text_set *set, const char *text, size_t bytes, const char *name,
                             const struct qm_text_encoder *encoder)
{
    QM_TRY(encoder->encode(encoder->context, text, bytes, true, &set->tokens, &set->token_count));
    uint32_t most = set->params.vocabulary > 0 ? set->params.vocabulary - 1 : QM_TOKEN_HASHED_MAX;
    for (size_t i = 0; i < set->token_count; i++)
        if (set->tokens[i] > most)
            return QM_FAIL(QM_INVALID,
                           "%s: token %zu of the text is %" PRIu32 " and the model has %" PRIu32
                           " tokens; use the tokenizer of this model",
                           name, i, set->tokens[i], most + 1);
    if (set->token_count < 2)
        return QM_FAIL(QM_INVALID, "%s: the text has %zu tokens; expected 2 at least, one of them to predict", name,
                       set->token_count);
    return QM_OK;
}

// How many windows, of how many tokens, every how many.
struct layout {
    size_t windows;
    uint32_t length, step;
};

static enum qm_status lay_out(const struct qm_text_set *set, const char *name, struct layout *out)
{
    const struct qm_text_set_params *params = &set->params;
    uint32_t n = params->window_tokens;
    size_t count = set->token_count;
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
    if (params->windows_most > 0 && out->windows > params->windows_most)
        out->windows = params->windows_most;
    if (out->windows > QM_TEXT_WINDOWS_MAX || out->windows * out->length > QM_TEXT_INPUT_TOKENS_MAX)
        return QM_FAIL(QM_INVALID,
                       "%s: %zu windows of %" PRIu32 " tokens are more than a run takes (%d windows, %d tokens)"
                       "; use a larger stride, or limit the number of windows",
                       name, out->windows, out->length, QM_TEXT_WINDOWS_MAX, QM_TEXT_INPUT_TOKENS_MAX);
    return QM_OK;
}

static void place_windows(struct qm_text_set *set, const struct layout *layout)
{
    bool is_compat = set->params.compat == QM_TEXT_LLAMA_PERPLEXITY;
    uint32_t length = layout->length;
    size_t seen = 1; // the next token that was no target; the first never is
    for (uint32_t w = 0; w < set->window_count; w++) {
        struct qm_text_window *window = &set->windows[w];
        window->start = (size_t)w * layout->step;
        if (is_compat) {
            window->scored_first = set->params.stride > 0 ? length - set->params.stride - 1 : length / 2;
            window->scored_count = length - 1 - window->scored_first;
        } else {
            if (window->start + length > set->token_count)
                window->start = set->token_count - length;
            window->scored_first = (uint32_t)(seen - 1 - window->start);
            window->scored_count = length - 1 - window->scored_first;
            seen = window->start + length;
        }
        set->scored += window->scored_count;
    }
    const struct qm_text_window *last = &set->windows[set->window_count - 1];
    set->tokens_unused = set->token_count - (last->start + length);
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
        for (uint32_t p = 0; p < set->length; p++)
            qm_token_hash_add(&hash, tokens[p],
                              p >= window->scored_first && p - window->scored_first < window->scored_count);
    }
    qm_hash_end(&hash, set->sha256);
    free(tokens);
    return QM_OK;
}

enum qm_status qm_text_set_create(const void *text, size_t bytes, const char *name,
                                  const struct qm_text_encoder *encoder, const struct qm_text_set_params *params,
                                  struct qm_text_set **out)
{
    enum qm_status status = QM_OK;
    struct layout layout = {0};
    const char *characters = text;
    *out = NULL;
    QM_TRY(check_params(params, name));
    if (bytes == 0)
        return QM_FAIL(QM_INVALID, "%s: the file is empty; expected a text", name);
    if (bytes > QM_TEXT_BYTES_MAX)
        return QM_FAIL(QM_INVALID, "%s: %zu bytes of text; at most %zu are read, use a part of it", name, bytes,
                       QM_TEXT_BYTES_MAX);
    struct qm_text_set *set = calloc(1, sizeof(*set));
    if (!set)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for a set of windows", name);
    set->params = *params;
    qm_hash_bytes(text, bytes, set->text_sha256);
    set->is_utf8 = is_utf8(text, bytes);
    if (params->compat == QM_TEXT_LLAMA_PERPLEXITY && characters[bytes - 1] == '\n')
        bytes--;
    set->text_bytes = bytes;
    QM_GUARD(encode(set, text, bytes, name, encoder));
    QM_GUARD(lay_out(set, name, &layout));
    set->length = layout.length;
    set->window_count = (uint32_t)layout.windows;
    set->replaces_first = params->has_begin && !(params->compat == QM_TEXT_LLAMA_PERPLEXITY && params->stride > 0);
    set->windows = calloc(layout.windows, sizeof(*set->windows));
    if (!set->windows)
        QM_GUARD(QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for %zu windows", name, layout.windows));
    place_windows(set, &layout);
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
    void *bytes = NULL;
    size_t count = 0;
    *out = NULL;
    QM_TRY(qm_file_read(path, QM_TEXT_BYTES_MAX, &bytes, &count));
    enum qm_status status = qm_text_set_create(bytes, count, path, encoder, params, out);
    free(bytes);
    return status;
}

void qm_text_set_window(const struct qm_text_set *set, uint32_t index, uint32_t *tokens)
{
    const uint32_t *from = set->tokens + set->windows[index].start;
    for (uint32_t p = 0; p < set->length; p++)
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
