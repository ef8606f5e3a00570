// The lines of lm-evaluation-harness: a list of requests, in one of two forms.
#include "workload/examples_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The i-th of a list, or the entry `prefix` + i of a mapping; NULL beyond.
static const json_t *nth(const json_t *value, const char *prefix, size_t i)
{
    char key[32];
    if (json_is_array(value))
        return json_array_get(value, i);
    snprintf(key, sizeof(key), "%s%zu", prefix, i);
    return json_object_get(value, key);
}

static size_t size_of(const json_t *value)
{
    return json_is_array(value) ? json_array_size(value) : json_object_size(value);
}

static enum qm_status read_request(const struct qm_examples_line *line, const json_t *arguments, size_t index,
                                   const char **context, const json_t **second)
{
    const json_t *request = nth(arguments, "gen_args_", index);
    const json_t *text = nth(request, "arg_", 0);
    *second = nth(request, "arg_", 1);
    if (!request || size_of(request) != 2 || !*second)
        return qm_lines_invalid(line->lines,
                                "request %zu of 'arguments' has no two arguments; expected a context with settings "
                                "or with a continuation, of the tasks generate_until and multiple_choice",
                                index);
    if (!json_is_string(text))
        return qm_lines_invalid(line->lines,
                                "the context of request %zu of 'arguments' is no text; expected a dump that was made "
                                "without a chat's list of messages",
                                index);
    return qm_line_keep(line, json_string_value(text), context);
}

static enum qm_status read_settings(const struct qm_examples_line *line, const json_t *settings,
                                    struct qm_user_example *example)
{
    const json_t *sample = json_object_get(settings, "do_sample"), *heat = json_object_get(settings, "temperature");
    static const char *const names[] = {"max_gen_toks", "max_new_tokens", "max_tokens"};
    const char *name = names[0];
    const json_t *most = NULL;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && !most; i++) {
        name = names[i];
        most = json_object_get(settings, name);
    }
    example->asks_sampling = json_is_true(sample) || (!sample && json_is_number(heat) && json_number_value(heat) > 0);
    QM_TRY(qm_line_stops(line, "until", json_object_get(settings, "until"), example));
    return most ? qm_line_max_tokens(line, name, most, example) : QM_OK;
}

// Of acc_mutual_info: the second half of the requests asks for the same continuations without a context, which tells how likely
// they are by themselves. Answers are judged without.
static size_t conditional_count(const json_t *arguments, size_t count)
{
    if (count % 2 != 0 || count < 2 * QM_EXAMPLE_CHOICES_MIN)
        return count;
    for (size_t i = 0; i < count; i++) {
        const json_t *request = nth(arguments, "gen_args_", i), *other = nth(arguments, "gen_args_", i % (count / 2));
        const json_t *context = nth(request, "arg_", 0);
        bool is_empty = json_is_string(context) && json_string_length(context) == 0;
        if (is_empty != (i >= count / 2) || !json_equal(nth(request, "arg_", 1), nth(other, "arg_", 1)))
            return count;
    }
    return count / 2;
}

static enum qm_status read_choices(const struct qm_examples_line *line, const json_t *arguments, size_t count,
                                   struct qm_user_example *example)
{
    count = conditional_count(arguments, count);
    if (count < QM_EXAMPLE_CHOICES_MIN || count > QM_EXAMPLE_CHOICES_MAX)
        return qm_lines_invalid(line->lines,
                                "'arguments' has %zu continuations; expected %d to %d, of which one is right", count,
                                QM_EXAMPLE_CHOICES_MIN, QM_EXAMPLE_CHOICES_MAX);
    struct qm_user_choice *choices = qm_line_room(line, count * sizeof(*choices));
    if (!choices)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s:%zu: no memory for %zu choices", line->lines->name, line->lines->number,
                       count);
    size_t empty = 0;
    for (size_t i = 0; i < count; i++) {
        const json_t *continuation = NULL;
        QM_TRY(read_request(line, arguments, i, &choices[i].prompt, &continuation));
        if (!json_is_string(continuation) || json_string_length(continuation) == 0)
            return qm_lines_invalid(line->lines,
                                    "the continuation of request %zu of 'arguments' is no text of 1 byte at least", i);
        QM_TRY(qm_line_keep(line, json_string_value(continuation), &choices[i].text));
        empty += *choices[i].prompt == '\0';
        if (i > 0 && strcmp(choices[i].prompt, choices[0].prompt) == 0)
            choices[i].prompt = choices[0].prompt;
    }
    if (empty > 0)
        return qm_lines_invalid(line->lines,
                                "%zu of %zu requests have an empty context; expected all contexts, or those of "
                                "acc_mutual_info behind all others",
                                empty, count);
    example->prompt = choices[0].prompt;
    example->choices = choices;
    example->choice_count = (uint32_t)count;
    return QM_OK;
}

enum qm_status qm_line_read_arguments(const struct qm_examples_line *line, const json_t *arguments,
                                      struct qm_user_example *example)
{
    size_t count = size_of(arguments);
    const json_t *second = NULL;
    if (count == 0)
        return qm_lines_invalid(line->lines,
                                "'arguments' holds no request; expected a list of them, as --log_samples writes it");
    QM_TRY(read_request(line, arguments, 0, &example->prompt, &second));
    if (json_is_string(second))
        return read_choices(line, arguments, count, example);
    if (!json_is_object(second))
        return qm_lines_invalid(line->lines,
                                "the second argument of request 0 is neither settings nor a continuation; expected one "
                                "of them");
    if (count > 1)
        return qm_lines_invalid(line->lines, "%zu requests that generate; expected one in a line", count);
    return read_settings(line, second, example);
}

// ---- The right choice -----------------------------------------------------------------------------------------------

// The log-likelihood of a request's answer, [-1.5, false]: numbers of older versions, texts of newer ones.
static bool read_likelihood(const json_t *answer, double *out)
{
    const json_t *value = json_is_array(answer) ? json_array_get(answer, 0) : NULL;
    if (json_is_array(value)) // `resps` has a list for each request
        value = json_array_get(value, 0);
    const char *text = json_string_value(value);
    char *end = NULL;
    *out = text ? strtod(text, &end) : json_number_value(value);
    return (text ? end != text && *end == '\0' : json_is_number(value)) && *out - *out == 0;
}

bool qm_line_choice_by_metric(const json_t *object, struct qm_user_example *example)
{
    const json_t *answers = json_object_get(object, "filtered_resps"), *metric = json_object_get(object, "acc");
    if (!answers)
        answers = json_object_get(object, "resps");
    double likeliest = 0, accuracy = json_number_value(metric);
    uint32_t best = 0, equal = 0;
    if (!json_is_array(answers) || json_array_size(answers) < example->choice_count || !json_is_number(metric))
        return false;
    for (uint32_t i = 0; i < example->choice_count; i++) {
        double likelihood;
        if (!read_likelihood(json_array_get(answers, i), &likelihood))
            return false;
        equal += i > 0 && likelihood == likeliest;
        if (i == 0 || likelihood > likeliest) {
            likeliest = likelihood;
            best = i;
            equal = 0;
        }
    }
    if (equal > 0 || !(accuracy == 1 || (accuracy == 0 && example->choice_count == 2)))
        return false;
    example->right_choice = accuracy == 1 ? best : 1 - best;
    return true;
}

// ---- Lists in Python's way ------------------------------------------------------------------------------------------

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

// Puts a character below 0x10000 down as UTF-8.
static size_t put_code(uint32_t code, char *to)
{
    if (code < 0x80) {
        to[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        to[0] = (char)(0xc0 | code >> 6);
        to[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    to[0] = (char)(0xe0 | code >> 12);
    to[1] = (char)(0x80 | (code >> 6 & 0x3f));
    to[2] = (char)(0x80 | (code & 0x3f));
    return 3;
}

// What an escape at `at` (behind its backslash) stands for; NULL for one that a printed text does not have.
static const char *read_escape(const char *at, char **to)
{
    static const char names[] = "\\'\"ntr", meanings[] = "\\'\"\n\t\r";
    const char *name = *at ? strchr(names, *at) : NULL;
    int digits = *at == 'x' ? 2 : *at == 'u' ? 4 : 0;
    if (name) {
        *(*to)++ = meanings[name - names];
        return at + 1;
    }
    uint32_t code = 0;
    at++;
    for (int i = 0; i < digits; i++, at++) {
        int digit = hex_digit(*at);
        if (digit < 0)
            return NULL;
        code = code << 4 | (uint32_t)digit;
    }
    if (digits == 0 || code == 0 || (code >= 0xd800 && code < 0xe000))
        return NULL;
    *to += put_code(code, *to);
    return at;
}

// Reads one quoted text to `to`, which has room for it; NULL where it is none.
static const char *read_quoted(const char *at, char **to)
{
    char quote = *at;
    if (quote != '\'' && quote != '"')
        return NULL;
    for (at++; *at != quote;) {
        if (*at == '\0')
            return NULL;
        if (*at == '\\') {
            at = read_escape(at + 1, to);
            if (!at)
                return NULL;
        } else {
            *(*to)++ = *at++;
        }
    }
    *(*to)++ = '\0';
    return at + 1;
}

enum qm_status qm_line_read_list_text(const struct qm_examples_line *line, const char *text,
                                      struct qm_user_example *example, bool *is_list)
{
    size_t bytes = strlen(text);
    *is_list = bytes >= 4 && text[0] == '[' && (text[1] == '\'' || text[1] == '"') && text[bytes - 1] == ']';
    if (!*is_list)
        return QM_OK;
    // An escape is never shorter than what it stands for, nor are two quotes and a comma than a zero.
    char *to = qm_line_room(line, bytes + 1);
    const char **answers = qm_line_room(line, QM_EXAMPLE_ANSWERS_MAX * sizeof(*answers));
    if (!to || !answers)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s:%zu: no memory for a list of answers", line->lines->name,
                       line->lines->number);
    uint32_t count = 0;
    for (const char *at = text + 1; count < QM_EXAMPLE_ANSWERS_MAX;) {
        answers[count++] = to;
        at = read_quoted(at, &to);
        if (at && at[0] == ',' && at[1] == ' ') {
            at += 2;
            continue;
        }
        if (!at || strcmp(at, "]") != 0)
            break;
        example->answers = answers;
        example->answer_count = count;
        return QM_OK;
    }
    return qm_lines_invalid(
        line->lines,
        "'target' begins like a list of texts and does not go on as one; expected at most %d, or a key "
        "'answers'",
        QM_EXAMPLE_ANSWERS_MAX);
}
