// What a tokenizer.json cuts or replaces text by: a regular expression, or a text as it is.
//
// The expressions are written for Oniguruma with Ruby's syntax (what Hugging Face's tokenizers uses) and run by PCRE2, UTF
// and UCP on, JIT where there is one. pattern_translate.c says what it rewrites so that they mean the same, and refuses by
// name what it cannot. An expression that explodes ends at PCRE2's limits, QM_PATTERN_MATCH_LIMIT steps a match, and a text
// at its deadline: both fail with one line, and no text is cut in a way that it should not be.
#ifndef QM_TEXT_PATTERN_H
#define QM_TEXT_PATTERN_H

#include "base/status.h"
#include "text/utf8.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QM_PATTERN_BYTES_MAX 8192
#define QM_PATTERN_MATCH_LIMIT 10000000u // PCRE2's own default
#define QM_PATTERN_HEAP_KIB 65536u
#define QM_PATTERN_DEPTH_LIMIT 250000u

struct qm_pattern;

// `place` names the pattern in messages: "pre_tokenizer 1 (Split)". Both are copied. A literal must not be empty.
QM_MUST_USE enum qm_status qm_pattern_regex(const char *file, const char *place, const char *text, size_t count,
                                            struct qm_pattern **out);
QM_MUST_USE enum qm_status qm_pattern_literal(const char *file, const char *place, const char *text, size_t count,
                                              struct qm_pattern **out);
void qm_pattern_destroy(struct qm_pattern **pattern); // NULL is allowed

// Oniguruma's expression as PCRE2's, which is added to `out`. For qm_pattern_regex and tests.
QM_MUST_USE enum qm_status qm_pattern_translate(const char *file, const char *place, const char *text, size_t count,
                                                struct qm_bytes *out);
// Whether PCRE2 knows the name of a script.
bool qm_pattern_is_script(const char *name);

// How long all matches for one text may take together; pointed to by each search of it.
struct qm_pattern_budget {
    uint64_t deadline_ns; // of qm_clock_ns()
    uint64_t calls;
};
// 10 s, and 2 us for each byte.
void qm_pattern_budget_begin(struct qm_pattern_budget *budget, size_t bytes);

// A walk over the matches in a text of UTF-8, from left to right: {.text, .count, .budget}, the rest zero.
struct qm_pattern_search {
    const char *text;
    size_t count;
    struct qm_pattern_budget *budget;
    size_t at;       // where to go on
    size_t last_end; // of the latest match, + 1; 0 before the first
};
// *found: whether there is another match, text[*begin .. *end). An empty match does not follow directly behind another.
QM_MUST_USE enum qm_status qm_pattern_next(struct qm_pattern *pattern, struct qm_pattern_search *search, size_t *begin,
                                           size_t *end, bool *found);

#endif
