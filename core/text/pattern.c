#include "text/pattern.h"
#include "sys/host.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JIT_STACK_BYTES_MAX ((size_t)1 << 20)
#define CALLS_BETWEEN_CLOCKS 64u
#define WINDOW_STEPS (1u << 26) // begins that are tried at once, times what is left of the text
#define WINDOW_BYTES_MIN 16u

struct qm_pattern {
    char *name;    // "FILE: PLACE", for messages
    char *literal; // or NULL
    size_t literal_bytes;
    pcre2_code *code;
    pcre2_match_data *match;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
    bool has_jit;
};

static enum qm_status out_of_memory(const char *file, const char *place)
{
    return QM_FAIL(QM_OUT_OF_MEMORY, "%s: %s: no memory for its pattern; close other programs and try again", file,
                   place);
}

static enum qm_status new_pattern(const char *file, const char *place, struct qm_pattern **out)
{
    *out = calloc(1, sizeof(**out));
    size_t bytes = strlen(file) + strlen(place) + 3;
    if (*out)
        (*out)->name = malloc(bytes);
    if (!*out || !(*out)->name) {
        qm_pattern_destroy(out);
        return out_of_memory(file, place);
    }
    snprintf((*out)->name, bytes, "%s: %s", file, place);
    return QM_OK;
}

enum qm_status qm_pattern_literal(const char *file, const char *place, const char *text, size_t count,
                                  struct qm_pattern **out)
{
    *out = NULL;
    if (count == 0 || count > QM_PATTERN_BYTES_MAX)
        return QM_FAIL(QM_INVALID, "%s: %s: a pattern of %zu bytes; 1 to %d can be used", file, place, count,
                       QM_PATTERN_BYTES_MAX);
    QM_TRY(new_pattern(file, place, out));
    (*out)->literal = malloc(count);
    if (!(*out)->literal) {
        qm_pattern_destroy(out);
        return out_of_memory(file, place);
    }
    memcpy((*out)->literal, text, count);
    (*out)->literal_bytes = count;
    return QM_OK;
}

// PCRE2 counts newlines as \n, as Oniguruma does, whatever it was built with.
static pcre2_code *compile(const char *text, size_t count, int *error, size_t *offset)
{
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (!context) {
        *error = PCRE2_ERROR_NOMEMORY;
        return NULL;
    }
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)text, count,
                      PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C | PCRE2_USE_OFFSET_LIMIT, error,
                      offset, context);
    pcre2_compile_context_free(context);
    return code;
}

bool qm_pattern_is_script(const char *name)
{
    char text[96];
    int error = 0;
    size_t offset = 0;
    int length = snprintf(text, sizeof(text), "\\p{sc:%s}", name);
    if (length < 0 || (size_t)length >= sizeof(text))
        return false;
    pcre2_code *code = compile(text, (size_t)length, &error, &offset);
    pcre2_code_free(code);
    return code != NULL;
}

static enum qm_status compile_pattern(const char *file, const char *place, const struct qm_bytes *text,
                                      struct qm_pattern *pattern)
{
    int error = 0;
    size_t offset = 0;
    pattern->code = compile(text->data, text->count, &error, &offset);
    if (!pattern->code && error == PCRE2_ERROR_NOMEMORY)
        return out_of_memory(file, place);
    if (!pattern->code) {
        char message[200] = "";
        pcre2_get_error_message(error, (PCRE2_UCHAR *)message, sizeof(message));
        return QM_FAIL(QM_INVALID, "%s: %s: the pattern is no regular expression: %s; see '%.40s'", file, place,
                       message, text->data + (offset < text->count ? offset : 0));
    }
    pattern->match = pcre2_match_data_create(1, NULL);
    pattern->context = pcre2_match_context_create(NULL);
    if (!pattern->match || !pattern->context)
        return out_of_memory(file, place);
    pcre2_set_match_limit(pattern->context, QM_PATTERN_MATCH_LIMIT);
    pcre2_set_heap_limit(pattern->context, QM_PATTERN_HEAP_KIB);
    pcre2_set_depth_limit(pattern->context, QM_PATTERN_DEPTH_LIMIT);
    pattern->has_jit = pcre2_jit_compile(pattern->code, PCRE2_JIT_COMPLETE) == 0;
    if (pattern->has_jit)
        pattern->stack = pcre2_jit_stack_create(1u << 15, JIT_STACK_BYTES_MAX, NULL);
    pattern->has_jit = pattern->stack != NULL;
    if (pattern->has_jit)
        pcre2_jit_stack_assign(pattern->context, NULL, pattern->stack);
    return QM_OK;
}

enum qm_status qm_pattern_regex(const char *file, const char *place, const char *text, size_t count,
                                struct qm_pattern **out)
{
    struct qm_bytes translated = {0};
    *out = NULL;
    if (count > QM_PATTERN_BYTES_MAX)
        return QM_FAIL(QM_INVALID, "%s: %s: a pattern of %zu bytes; at most %d can be used", file, place, count,
                       QM_PATTERN_BYTES_MAX);
    enum qm_status status = QM_OK;
    QM_GUARD(qm_pattern_translate(file, place, text, count, &translated));
    QM_GUARD(qm_bytes_add(&translated, "", 1)); // ends it, for messages
    translated.count--;
    QM_GUARD(new_pattern(file, place, out));
    QM_GUARD(compile_pattern(file, place, &translated, *out));
done:
    if (status != QM_OK)
        qm_pattern_destroy(out);
    free(translated.data);
    return status;
}

void qm_pattern_destroy(struct qm_pattern **pattern)
{
    struct qm_pattern *gone = *pattern;
    *pattern = NULL;
    if (!gone)
        return;
    pcre2_match_context_free(gone->context);
    pcre2_jit_stack_free(gone->stack);
    pcre2_match_data_free(gone->match);
    pcre2_code_free(gone->code);
    free(gone->literal);
    free(gone->name);
    free(gone);
}

void qm_pattern_budget_begin(struct qm_pattern_budget *budget, size_t bytes)
{
    budget->calls = 0;
    budget->deadline_ns = qm_clock_ns() + 10000000000u + 2000u * (uint64_t)bytes;
}

static enum qm_status match_failed(const struct qm_pattern *pattern, int error)
{
    char message[200] = "";
    if (error == PCRE2_ERROR_NOMEMORY)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory to match its pattern; close other programs and try again",
                       pattern->name);
    if (error == PCRE2_ERROR_MATCHLIMIT || error == PCRE2_ERROR_HEAPLIMIT || error == PCRE2_ERROR_DEPTHLIMIT)
        return QM_FAIL(QM_INVALID,
                       "%s: its pattern takes more than %u steps or %u MiB for one match in this text; use a pattern "
                       "that does not try the same place again and again",
                       pattern->name, QM_PATTERN_MATCH_LIMIT, QM_PATTERN_HEAP_KIB / 1024);
    pcre2_get_error_message(error, (PCRE2_UCHAR *)message, sizeof(message));
    return QM_FAIL(QM_FAILED, "%s: its pattern could not be matched: %s; report this", pattern->name, message);
}

static enum qm_status check_deadline(const struct qm_pattern *pattern, const struct qm_pattern_budget *budget)
{
    if (qm_clock_ns() <= budget->deadline_ns)
        return QM_OK;
    return QM_FAIL(QM_INVALID,
                   "%s: its pattern is still not through with this text after more than 10 s; use a pattern that does "
                   "not try the same place again and again",
                   pattern->name);
}

// A match that begins at `at` or later, and at `last` at the latest.
static int match_within(struct qm_pattern *pattern, const struct qm_pattern_search *search, size_t at, size_t last)
{
    PCRE2_SPTR text = (PCRE2_SPTR)search->text;
    int result = PCRE2_ERROR_JIT_STACKLIMIT;
    pcre2_set_offset_limit(pattern->context, last);
    // The text is UTF-8 and `at` the begin of a character, which need not be checked from here to the end each time.
    if (pattern->has_jit)
        result = pcre2_jit_match(pattern->code, text, search->count, at, 0, pattern->match, pattern->context);
    if (result == PCRE2_ERROR_JIT_STACKLIMIT)
        result = pcre2_match(pattern->code, text, search->count, at, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, pattern->match,
                             pattern->context);
    return result;
}

// PCRE2's limits count the steps from one begin, and a pattern such as (?:ab)+c may go to the end of the text from each: so
// begins are tried in windows, and the clock is looked at between them.
static enum qm_status match(struct qm_pattern *pattern, const struct qm_pattern_search *search, size_t *begin,
                            size_t *end, bool *found)
{
    int result = PCRE2_ERROR_NOMATCH;
    for (size_t at = search->at; at <= search->count;) {
        size_t left = search->count - at, window = WINDOW_STEPS / (left + 1);
        window = window < WINDOW_BYTES_MIN ? WINDOW_BYTES_MIN : window;
        size_t last = left <= window ? PCRE2_UNSET : at + window;
        result = match_within(pattern, search, at, last);
        if (result != PCRE2_ERROR_NOMATCH || last == PCRE2_UNSET)
            break;
        QM_TRY(check_deadline(pattern, search->budget));
        for (at = last + 1; at < search->count && ((unsigned char)search->text[at] & 0xc0) == 0x80;)
            at++;
    }
    *found = result >= 0;
    if (result == PCRE2_ERROR_NOMATCH)
        return QM_OK;
    if (result < 0)
        return match_failed(pattern, result);
    const PCRE2_SIZE *offsets = pcre2_get_ovector_pointer(pattern->match);
    // \K could set the begin behind the end or before where the search began; it is refused, and so is what it does.
    if (offsets[0] < search->at || offsets[1] < offsets[0])
        return QM_FAIL(QM_UNSUPPORTED, "%s: its pattern matches backwards; write it without", pattern->name);
    *begin = offsets[0];
    *end = offsets[1];
    return QM_OK;
}

enum qm_status qm_pattern_next(struct qm_pattern *pattern, struct qm_pattern_search *search, size_t *begin, size_t *end,
                               bool *found)
{
    *found = false;
    while (search->at <= search->count) {
        if (pattern->literal) {
            const char *from = search->text + search->at;
            const char *place = search->count > search->at
                                    ? memmem(from, search->count - search->at, pattern->literal, pattern->literal_bytes)
                                    : NULL;
            if (!place)
                return QM_OK;
            *begin = (size_t)(place - search->text);
            *end = *begin + pattern->literal_bytes;
        } else {
            bool matched = false;
            if (++search->budget->calls % CALLS_BETWEEN_CLOCKS == 0)
                QM_TRY(check_deadline(pattern, search->budget));
            QM_TRY(match(pattern, search, begin, end, &matched));
            if (!matched)
                return QM_OK;
        }
        if (*begin == *end && search->last_end == *end + 1) {
            if (search->at == search->count)
                return QM_OK;
            search->at += qm_utf8_length((unsigned char)search->text[search->at]);
            continue;
        }
        search->at = *end;
        search->last_end = *end + 1;
        *found = true;
        return QM_OK;
    }
    return QM_OK;
}
