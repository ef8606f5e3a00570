// When an answer is right: rules that say the same of the same text on every machine.
//
// A generated text ends before the first stop string (qm_stop_find). What is left is compared with each expected answer;
// one that agrees is enough. "Blank" is a byte of " \t\n\v\f\r"; in normalised texts also U+0085, U+00A0, U+2000 to
// U+200A, U+2028, U+2029, U+202F, U+205F and U+3000.
//
//   exact       equal bytes, after blanks at both ends of both are taken off
//   normalised  equal after both were, in this order: put in lower case (Latin-1, Greek and Cyrillic letters; others stay);
//               rid of ASCII's 32 punctuation characters; split at blanks; rid of the words "a", "an" and "the"; joined
//               by single blanks. This is the normalisation of SQuAD's evaluation (Rajpurkar et al., "SQuAD: 100,000+
//               Questions for Machine Comprehension of Text", EMNLP 2016)
//   numeric     the last number of the text is within `tolerance` of the last number of the answer. A number is digits,
//               in groups of three between commas if there is a comma ("1,234"), with a fraction (".5", "0.50") and an
//               exponent ("1e-3") if they follow at once. A sign (+, -, U+2212) counts where no letter, digit or ')' is
//               right before it; one of $ U+20AC U+00A3 may stand between sign and digits. Fractions ("1/2") are two
//               numbers, percent signs nothing
//   regex       the first match of the pattern in the text; its first group if the pattern has one (and it took part),
//               else the whole match, is compared as exact does
//   choice      not a text: the choice whose continuation is likeliest (qm_choice_pick)
//
// Patterns are Perl's, as PCRE2 has them, over UTF-8 with Unicode's classes; bytes that are not UTF-8 never match. A
// match has a budget of steps (a step is weighed by how much text is left to scan), so that nested repeats end in under
// some seconds; what goes beyond it, or a text above 64 KiB, is QM_ANSWER_UNJUDGED, which counts as wrong and is disclosed.
#ifndef QM_WORKLOAD_ANSWERS_H
#define QM_WORKLOAD_ANSWERS_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum qm_match {
    QM_MATCH_EXACT,
    QM_MATCH_NORMALISED,
    QM_MATCH_NUMERIC,
    QM_MATCH_REGEX,
    QM_MATCH_CHOICE,
    QM_MATCH_COUNT
};

// "exact", "normalised", "numeric", "regex", "choice".
const char *qm_match_name(enum qm_match match);
// QM_INVALID with the list of names; "normalized" is understood.
QM_MUST_USE enum qm_status qm_match_find(const char *name, enum qm_match *out);

enum {
    QM_ANSWER_PATTERN_BYTES_MAX = 4096,
    QM_ANSWER_PATTERN_TEXT_BYTES_MAX = 64 << 10,
};

struct qm_answer_pattern;

// QM_INVALID with what is wrong and at which byte of the pattern. The caller destroys *out.
QM_MUST_USE enum qm_status qm_answer_pattern_create(const char *text, struct qm_answer_pattern **out);
void qm_answer_pattern_destroy(struct qm_answer_pattern **pattern);          // NULL is allowed
const char *qm_answer_pattern_text(const struct qm_answer_pattern *pattern); // as it was given

enum qm_answer_pattern_outcome {
    QM_ANSWER_PATTERN_NONE,
    QM_ANSWER_PATTERN_FOUND,
    QM_ANSWER_PATTERN_GAVE_UP, // out of steps, or the text is too long
};

// Looks for the first match; *first and *count are the place of what is compared. A pattern may be used by one thread at
// a time.
enum qm_answer_pattern_outcome qm_answer_pattern_find(const struct qm_answer_pattern *pattern, const char *text,
                                                      size_t bytes, size_t *first, size_t *count);

struct qm_answer_rule {
    enum qm_match match;
    double tolerance;                        // numeric: absolute, 0 or more
    const struct qm_answer_pattern *pattern; // regex; not owned
};

enum qm_judgement {
    QM_ANSWER_WRONG,
    QM_ANSWER_RIGHT,
    QM_ANSWER_UNJUDGED,
};

// Judges a text, which need be neither UTF-8 nor terminated, against `count` answers. Not for QM_MATCH_CHOICE
// (QM_INVALID). QM_OUT_OF_MEMORY.
QM_MUST_USE enum qm_status qm_answer_judge(const struct qm_answer_rule *rule, const char *const *answers, size_t count,
                                           const char *text, size_t bytes, enum qm_judgement *out);

// The last number of a text, as above; false where there is none (or only such as no double holds).
bool qm_answer_number(const char *text, size_t bytes, double *out);
// The normalised form, terminated, with or without articles; free() it. NULL without memory.
char *qm_answer_normalise(const char *text, size_t bytes, bool keeps_articles);

// How many bytes of the text stand before the first occurrence of any stop string; all where none occurs, and *found is
// false. Empty stop strings are passed over, as lm-evaluation-harness does with its `until`.
size_t qm_stop_find(const char *text, size_t bytes, const char *const *stops, size_t count, bool *found);

// Choices. The log-probability of a choice is the sum over its tokens. As it is: `acc` of lm-evaluation-harness
// (lm_eval/api/task.py); over its number of characters: `acc_norm`; over its number of bytes: `acc_bytes`. Over tokens
// has no counterpart there. Lengths are of the choice without the blanks at its begin, because the harness measures it
// without the delimiter.
enum qm_choice_norm {
    QM_CHOICE_SUM,
    QM_CHOICE_CHARACTERS,
    QM_CHOICE_BYTES,
    QM_CHOICE_TOKENS,
    QM_CHOICE_NORMS
};
const char *qm_choice_norm_name(enum qm_choice_norm norm); // "sum", "per character", "per byte", "per token"

struct qm_choice_score {
    double log_probability; // finite, in nats
    uint32_t tokens, characters, bytes;
};

// The index of the largest, the lowest of equals. `count` is at least 1. QM_WRONG_RESULT for a log-probability that is
// not finite, with the index.
QM_MUST_USE enum qm_status qm_choice_pick(const struct qm_choice_score *scores, size_t count, enum qm_choice_norm norm,
                                          uint32_t *out);
// Lengths of a choice's text without the blanks at its begin, both at least 1. A character is a code point; of a text that
// is not UTF-8, a byte that begins one.
void qm_choice_lengths(const char *text, uint32_t *characters, uint32_t *bytes);

#endif
