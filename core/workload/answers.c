#include "workload/answers.h"

#include <math.h> // isfinite and fabs, which are exact everywhere
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const match_names[QM_MATCH_COUNT] = {"exact", "normalised", "numeric", "regex", "choice"};

const char *qm_match_name(enum qm_match match)
{
    return (unsigned)match < QM_MATCH_COUNT ? match_names[match] : "?";
}

enum qm_status qm_match_find(const char *name, enum qm_match *out)
{
    *out = QM_MATCH_EXACT;
    for (int i = 0; i < QM_MATCH_COUNT; i++)
        if (strcmp(name, match_names[i]) == 0) {
            *out = (enum qm_match)i;
            return QM_OK;
        }
    if (strcmp(name, "normalized") == 0) {
        *out = QM_MATCH_NORMALISED;
        return QM_OK;
    }
    return QM_FAIL(QM_INVALID, "no rule '%.40s'; expected exact, normalised, numeric, regex or choice", name);
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static void trim(const char **text, size_t *bytes)
{
    while (*bytes > 0 && is_blank(**text)) {
        ++*text;
        --*bytes;
    }
    while (*bytes > 0 && is_blank((*text)[*bytes - 1]))
        --*bytes;
}

static bool is_equal(const char *text, size_t bytes, const char *answer)
{
    size_t count = strlen(answer);
    trim(&text, &bytes);
    trim(&answer, &count);
    return bytes == count && memcmp(text, answer, count) == 0;
}

// ---- Normalised -----------------------------------------------------------------------------------------------------

// The code of two or three bytes that are a character, and how many they are; 1 for everything else, which is passed on.
static size_t read_code(const unsigned char *at, size_t left, uint32_t *code)
{
    *code = *at;
    if (*at >= 0xc2 && *at < 0xe0 && left > 1 && (at[1] & 0xc0) == 0x80) {
        *code = (uint32_t)(*at & 0x1f) << 6 | (at[1] & 0x3f);
        return 2;
    }
    if (*at >= 0xe0 && *at < 0xf0 && left > 2 && (at[1] & 0xc0) == 0x80 && (at[2] & 0xc0) == 0x80) {
        *code = (uint32_t)(*at & 0x0f) << 12 | (uint32_t)(at[1] & 0x3f) << 6 | (at[2] & 0x3f);
        return 3;
    }
    return 1;
}

// Both forms of these letters have two bytes.
static uint32_t lower(uint32_t code)
{
    if ((code >= 0xc0 && code <= 0xde && code != 0xd7) || (code >= 0x391 && code <= 0x3a9 && code != 0x3a2) ||
        (code >= 0x410 && code <= 0x42f))
        return code + 0x20;
    return code >= 0x400 && code <= 0x40f ? code + 0x50 : code;
}

static bool is_wide_blank(uint32_t code)
{
    return code == 0x85 || code == 0xa0 || (code >= 0x2000 && code <= 0x200a) || code == 0x2028 || code == 0x2029 ||
           code == 0x202f || code == 0x205f || code == 0x3000;
}

static bool is_punctuation(char c)
{
    return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
}

static bool is_article(const char *word, size_t bytes)
{
    return (bytes == 1 && word[0] == 'a') || (bytes == 2 && memcmp(word, "an", 2) == 0) ||
           (bytes == 3 && memcmp(word, "the", 3) == 0);
}

// Ends the word that began at `word`: an article goes, and so does a word of nothing.
static char *end_word(char *word, char *to, bool keeps_articles)
{
    if (to == word || (!keeps_articles && is_article(word, (size_t)(to - word))))
        return word;
    *to++ = ' ';
    return to;
}

char *qm_answer_normalise(const char *text, size_t bytes, bool keeps_articles)
{
    char *result = malloc(bytes + 2), *to = result, *word = result;
    if (!result)
        return NULL;
    for (size_t i = 0; i < bytes;) {
        uint32_t code;
        size_t length = read_code((const unsigned char *)text + i, bytes - i, &code);
        char c = text[i];
        if ((length == 1 && is_blank(c)) || (length > 1 && is_wide_blank(code))) {
            to = word = end_word(word, to, keeps_articles);
        } else if (length == 2) {
            code = lower(code);
            *to++ = (char)(0xc0 | code >> 6);
            *to++ = (char)(0x80 | (code & 0x3f));
        } else if (length == 3) {
            memcpy(to, text + i, 3);
            to += 3;
        } else if (!is_punctuation(c)) {
            *to++ = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
        }
        i += length;
    }
    to = end_word(word, to, keeps_articles);
    if (to > result)
        to--; // the blank behind the last word
    *to = '\0';
    return result;
}

static enum qm_status judge_normalised(const char *const *answers, size_t count, const char *text, size_t bytes,
                                       bool *is_right)
{
    enum qm_status status = QM_OK;
    char *own = qm_answer_normalise(text, bytes, false);
    for (size_t i = 0; own && i < count && !*is_right && status == QM_OK; i++) {
        char *answer = qm_answer_normalise(answers[i], strlen(answers[i]), false);
        if (answer) // zero bytes, which a generated text may hold, end it for both
            *is_right = strcmp(own, answer) == 0;
        else
            status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory to judge an answer");
        free(answer);
    }
    if (!own)
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory to judge an answer");
    free(own);
    return status;
}

// ---- Numeric --------------------------------------------------------------------------------------------------------

enum {
    NUMBER_BYTES = 512 // no number that means anything is longer
};

static size_t digits(const char *text, size_t bytes, size_t at)
{
    size_t end = at;
    while (end < bytes && is_digit(text[end]))
        end++;
    return end - at;
}

// Puts a number that begins at `at` (a digit, or a point before one) into `kept` without its commas; returns its end.
// `kept` is empty where it is too long.
static size_t scan_number(const char *text, size_t bytes, size_t at, char kept[NUMBER_BYTES])
{
    size_t used = 0, end = at, count = digits(text, bytes, at);
#define KEEP(from, many)                                                                                               \
    do {                                                                                                               \
        for (size_t k = 0; k < (many); k++, used++)                                                                    \
            if (used < NUMBER_BYTES - 1)                                                                               \
                kept[used] = text[(from) + k];                                                                         \
    } while (0)
    KEEP(end, count);
    end += count;
    if (count >= 1 && count <= 3)
        while (end < bytes && text[end] == ',' && digits(text, bytes, end + 1) == 3) {
            KEEP(end + 1, 3);
            end += 4;
        }
    if (end + 1 < bytes && text[end] == '.' && is_digit(text[end + 1])) {
        count = digits(text, bytes, end + 1);
        KEEP(end, count + 1);
        end += count + 1;
    }
    if (end + 1 < bytes && (text[end] == 'e' || text[end] == 'E')) {
        size_t sign = text[end + 1] == '+' || text[end + 1] == '-';
        count = digits(text, bytes, end + 1 + sign);
        if (count > 0) {
            KEEP(end, 1 + sign + count);
            end += 1 + sign + count;
        }
    }
#undef KEEP
    kept[used < NUMBER_BYTES ? used : 0] = '\0';
    return end;
}

// Whether a minus sign stands before `at`, with a sign of money between.
static bool is_negative(const char *text, size_t at)
{
    if (at >= 1 && text[at - 1] == '$')
        at -= 1;
    else if (at >= 2 && memcmp(text + at - 2, "\xc2\xa3", 2) == 0)
        at -= 2;
    else if (at >= 3 && memcmp(text + at - 3, "\xe2\x82\xac", 3) == 0)
        at -= 3;
    size_t sign = at >= 1 && text[at - 1] == '-' ? 1 : at >= 3 && memcmp(text + at - 3, "\xe2\x88\x92", 3) == 0 ? 3 : 0;
    if (sign == 0)
        return false;
    char before = at > sign ? text[at - sign - 1] : ' ';
    return !is_digit(before) && !is_letter(before) && before != ')';
}

bool qm_answer_number(const char *text, size_t bytes, double *out)
{
    bool is_found = false;
    *out = 0;
    for (size_t i = 0; i < bytes;) {
        bool has_point = text[i] == '.' && i + 1 < bytes && is_digit(text[i + 1]) && (i == 0 || !is_digit(text[i - 1]));
        if (!is_digit(text[i]) && !has_point) {
            i++;
            continue;
        }
        char kept[NUMBER_BYTES];
        size_t end = scan_number(text, bytes, i, kept);
        double value = *kept ? strtod(kept, NULL) : INFINITY;
        if (isfinite(value)) {
            *out = is_negative(text, i) ? -value : value;
            is_found = true;
        }
        i = end;
    }
    return is_found;
}

static bool judge_numeric(double tolerance, const char *const *answers, size_t count, const char *text, size_t bytes)
{
    double own, answer;
    if (!qm_answer_number(text, bytes, &own))
        return false;
    for (size_t i = 0; i < count; i++)
        if (qm_answer_number(answers[i], strlen(answers[i]), &answer) && fabs(own - answer) <= tolerance)
            return true;
    return false;
}

// ---- All rules ------------------------------------------------------------------------------------------------------

static bool judge_exact(const char *const *answers, size_t count, const char *text, size_t bytes)
{
    for (size_t i = 0; i < count; i++)
        if (is_equal(text, bytes, answers[i]))
            return true;
    return false;
}

enum qm_status qm_answer_judge(const struct qm_answer_rule *rule, const char *const *answers, size_t count,
                               const char *text, size_t bytes, enum qm_judgement *out)
{
    bool is_right = false;
    size_t first, length;
    *out = QM_ANSWER_WRONG;
    switch (rule->match) {
    case QM_MATCH_EXACT:
        is_right = judge_exact(answers, count, text, bytes);
        break;
    case QM_MATCH_NORMALISED:
        QM_TRY(judge_normalised(answers, count, text, bytes, &is_right));
        break;
    case QM_MATCH_NUMERIC:
        is_right = judge_numeric(rule->tolerance, answers, count, text, bytes);
        break;
    case QM_MATCH_REGEX: {
        enum qm_answer_pattern_outcome outcome = qm_answer_pattern_find(rule->pattern, text, bytes, &first, &length);
        if (outcome == QM_ANSWER_PATTERN_GAVE_UP) {
            *out = QM_ANSWER_UNJUDGED;
            return QM_OK;
        }
        is_right = outcome == QM_ANSWER_PATTERN_FOUND && judge_exact(answers, count, text + first, length);
        break;
    }
    default:
        return QM_FAIL(QM_INVALID, "rule '%s' judges no text; compare the likelihoods of the choices",
                       qm_match_name(rule->match));
    }
    *out = is_right ? QM_ANSWER_RIGHT : QM_ANSWER_WRONG;
    return QM_OK;
}

size_t qm_stop_find(const char *text, size_t bytes, const char *const *stops, size_t count, bool *found)
{
    size_t end = bytes;
    *found = false;
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(stops[i]);
        // Only what begins before the first one so far matters.
        const char *at = length > 0 && length <= bytes ? memmem(text, bytes, stops[i], length) : NULL;
        if (at && (!*found || (size_t)(at - text) < end)) {
            end = (size_t)(at - text);
            *found = true;
        }
    }
    return end;
}

// ---- Choices --------------------------------------------------------------------------------------------------------

const char *qm_choice_norm_name(enum qm_choice_norm norm)
{
    static const char *const names[QM_CHOICE_NORMS] = {"sum", "per character", "per byte", "per token"};
    return (unsigned)norm < QM_CHOICE_NORMS ? names[norm] : "?";
}

static double choice_value(const struct qm_choice_score *score, enum qm_choice_norm norm)
{
    uint32_t length = norm == QM_CHOICE_CHARACTERS ? score->characters
                      : norm == QM_CHOICE_BYTES    ? score->bytes
                      : norm == QM_CHOICE_TOKENS   ? score->tokens
                                                   : 1;
    return score->log_probability / (double)(length > 0 ? length : 1);
}

enum qm_status qm_choice_pick(const struct qm_choice_score *scores, size_t count, enum qm_choice_norm norm,
                              uint32_t *out)
{
    *out = 0;
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(scores[i].log_probability))
            return QM_FAIL(QM_WRONG_RESULT, "the log-probability of choice %zu is not finite", i);
        if (choice_value(&scores[i], norm) > choice_value(&scores[*out], norm))
            *out = (uint32_t)i;
    }
    return QM_OK;
}

void qm_choice_lengths(const char *text, uint32_t *characters, uint32_t *bytes)
{
    while (is_blank(*text))
        text++;
    *characters = *bytes = 0;
    for (; *text; text++) {
        ++*bytes;
        *characters += ((unsigned char)*text & 0xc0) != 0x80;
    }
    *bytes += *bytes == 0;
    *characters += *characters == 0;
}
