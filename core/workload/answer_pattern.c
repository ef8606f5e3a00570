// Regular expressions of answers, with a bound on what a match may take.
#define PCRE2_CODE_UNIT_WIDTH 8
#include "workload/answers.h"

#include <pcre2.h>

#include <stdlib.h>
#include <string.h>

// A step is one item of the pattern tried at one place; what it scans at most is the rest of the text.
#define STEPS_MAX UINT64_C(20000000)
#define BYTES_PER_STEP 64u

enum {
    HEAP_KIB = 64 << 10,
    NESTED_MAX = 64, // parentheses
};

struct qm_answer_pattern {
    char *text;
    pcre2_code *code;
    pcre2_match_data *data;
    pcre2_match_context *context;
    uint32_t groups;
};

enum qm_status qm_answer_pattern_create(const char *text, struct qm_answer_pattern **out)
{
    enum qm_status status = QM_OK;
    int error = 0;
    PCRE2_SIZE place = 0;
    size_t length = strlen(text);
    pcre2_compile_context *options = NULL;
    *out = NULL;
    if (length == 0 || length > QM_ANSWER_PATTERN_BYTES_MAX)
        return QM_FAIL(QM_INVALID, "a pattern of %zu bytes; expected 1 to %d", length, QM_ANSWER_PATTERN_BYTES_MAX);
    struct qm_answer_pattern *pattern = calloc(1, sizeof(*pattern));
    options = pcre2_compile_context_create(NULL);
    if (!pattern || !options || !(pattern->text = strdup(text)))
        QM_GUARD(QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a pattern"));
    pcre2_set_parens_nest_limit(options, NESTED_MAX);
    // Callouts before every item are what counts the steps.
    pattern->code =
        pcre2_compile((PCRE2_SPTR)text, length,
                      PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF | PCRE2_AUTO_CALLOUT | PCRE2_NEVER_BACKSLASH_C,
                      &error, &place, options);
    if (!pattern->code) {
        char words[256] = "";
        (void)pcre2_get_error_message(error, (PCRE2_UCHAR *)words, sizeof(words));
        QM_GUARD(QM_FAIL(QM_INVALID, "the pattern does not compile at its byte %zu: %s; use Perl's syntax",
                         (size_t)place, words));
    }
    pattern->data = pcre2_match_data_create_from_pattern(pattern->code, NULL);
    pattern->context = pcre2_match_context_create(NULL);
    if (!pattern->data || !pattern->context)
        QM_GUARD(QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a pattern"));
    pcre2_set_heap_limit(pattern->context, HEAP_KIB);
    (void)pcre2_pattern_info(pattern->code, PCRE2_INFO_CAPTURECOUNT, &pattern->groups);
    *out = pattern;
    pattern = NULL;
done:
    pcre2_compile_context_free(options);
    qm_answer_pattern_destroy(&pattern);
    return status;
}

void qm_answer_pattern_destroy(struct qm_answer_pattern **pattern)
{
    if (!*pattern)
        return;
    free((*pattern)->text);
    pcre2_code_free((*pattern)->code);
    pcre2_match_data_free((*pattern)->data);
    pcre2_match_context_free((*pattern)->context);
    free(*pattern);
    *pattern = NULL;
}

const char *qm_answer_pattern_text(const struct qm_answer_pattern *pattern)
{
    return pattern->text;
}

struct budget {
    uint64_t steps;
    size_t bytes; // of the text; the block's own length is that of a part where the text is not UTF-8 throughout
};

static int count_step(pcre2_callout_block *block, void *data)
{
    struct budget *budget = data;
    size_t rest = budget->bytes > block->current_position ? budget->bytes - block->current_position : 0;
    budget->steps += 1 + rest / BYTES_PER_STEP;
    return budget->steps > STEPS_MAX ? PCRE2_ERROR_CALLOUT : 0;
}

enum qm_answer_pattern_outcome qm_answer_pattern_find(const struct qm_answer_pattern *pattern, const char *text,
                                                      size_t bytes, size_t *first, size_t *count)
{
    struct budget budget = {0, bytes};
    *first = *count = 0;
    if (bytes > QM_ANSWER_PATTERN_TEXT_BYTES_MAX)
        return QM_ANSWER_PATTERN_GAVE_UP;
    pcre2_set_callout(pattern->context, count_step, &budget);
    int found = pcre2_match(pattern->code, (PCRE2_SPTR)text, bytes, 0, 0, pattern->data, pattern->context);
    if (found == PCRE2_ERROR_NOMATCH)
        return QM_ANSWER_PATTERN_NONE;
    if (found < 0)
        return QM_ANSWER_PATTERN_GAVE_UP;
    const PCRE2_SIZE *places = pcre2_get_ovector_pointer(pattern->data);
    uint32_t group = pattern->groups > 0 && found > 1 && places[2] != PCRE2_UNSET ? 1 : 0;
    PCRE2_SIZE begin = places[2 * group], end = places[2 * group + 1];
    *first = begin;
    *count = end > begin ? end - begin : 0; // \K in a lookahead may put the begin behind the end
    return QM_ANSWER_PATTERN_FOUND;
}
