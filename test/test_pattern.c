// Patterns of tokenizers: they mean under PCRE2 what they mean under Oniguruma, what cannot is refused, and none goes on for
// hours.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "text/pattern.h"
#include "text/tokenizer.h"

// A file whose words are the matches of a pattern and what lies between them, with one token a character.
static struct qm_tokenizer *parse(const char *pattern)
{
    char file[512];
    struct qm_tokenizer *tokenizer = NULL;
    snprintf(
        file, sizeof(file),
        "{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"%s\"},\"behavior\":\"Isolated\"},\"model\":{"
        "\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"1\":7},\"merges\":[]}}",
        pattern);
    if (qm_tokenizer_parse(file, strlen(file), "t.json", &tokenizer) != QM_OK)
        fail_msg("%s", qm_error_text());
    return tokenizer;
}

// The matches of a pattern in a text, each in brackets.
static void matches(const char *pattern_text, const char *text, const char *expected)
{
    struct qm_pattern *pattern = NULL;
    struct qm_pattern_budget budget;
    char out[256] = "";
    if (qm_pattern_regex("f", "p", pattern_text, strlen(pattern_text), &pattern) != QM_OK)
        fail_msg("%s", qm_error_text());
    qm_pattern_budget_begin(&budget, strlen(text));
    struct qm_pattern_search search = {.text = text, .count = strlen(text), .budget = &budget};
    for (;;) {
        size_t begin = 0, end = 0, used = strlen(out);
        bool found = false;
        assert_int_equal(qm_pattern_next(pattern, &search, &begin, &end, &found), QM_OK);
        if (!found)
            break;
        snprintf(out + used, sizeof(out) - used, "[%.*s]", (int)(end - begin), text + begin);
    }
    if (strcmp(out, expected) != 0)
        fail_msg("'%s' in '%s': expected %s, got %s", pattern_text, text, expected, out);
    qm_pattern_destroy(&pattern);
}

static void test_patterns_mean_the_same(void **state)
{
    (void)state;
    matches("\\s+",
            "a \t\xc2\x85\xe1\xa0\x8e"
            "b",
            "[ \t\xc2\x85]"); // U+180E is no White_Space
    matches("[^\\s]", "\xe1\xa0\x8e ", "[\xe1\xa0\x8e]");
    matches("[\\S]", "\xe1\xa0\x8e ", "[\xe1\xa0\x8e]");
    matches("\\w+", "e\xcc\x81_9\xc2\xb2-\xe2\x93\x90",
            "[e\xcc\x81_9\xc2\xb2][\xe2\x93\x90]"); // marks, the numbers of Latin-1
    matches("\\be",
            "e ee \xcc\x81"
            "e",
            "[e][e]");
    matches("\\h+", "xfF0g", "[fF0]");
    matches("a\\vb",
            "a\x0b"
            "b a\nb",
            "[a\x0b"
            "b]");
    matches("\\u4e2d|\\x41|\\x{42}",
            "\xe4\xb8\xad"
            "AB",
            "[\xe4\xb8\xad][A][B]");
    matches("\\p{Han}", "\xe4\xb8\xad\xe3\x83\xbc", "[\xe4\xb8\xad]"); // U+30FC has Han as an extension only by some
    matches("\\p{^L}+", "ab12", "[12]");
    matches("\\d{1,3}+", "1234567", "[1234567]"); // Ruby: a repeated {1,3}, not a possessive one
    matches("\\d{1,3}", "1234567", "[123][456][7]");
    matches("ab{,2}c", "ac abc abbc abbbc", "[ac][abc][abbc]");
    matches("x{a}|{", "x{a}{", "[x{a}][{]");
    matches("^b$", "a\nb\nc", "[b]");
    matches("(?m:a.b)|c.d", "a\nb c\nd", "[a\nb]");
    matches("(?i:'s|k)", "'S \xe2\x84\xaa'\xc5\xbf", "['S][\xe2\x84\xaa]['\xc5\xbf]");
    matches("x*", "axxb", "[][xx][]"); // an empty match behind a match counts for nothing
    matches("[\\]\\-a]+|[]b]", "]-ab]", "[]-a][b][]]");
    matches("[\\s-z]+", "a-z y", "[-z ]");
    matches("(?<=a)b|(?<n>c)\\1", "ab cc", "[b][cc]");
    static const char *const refused_patterns[] = {
        "[a[b]]",  "[a&&b]", "[[:alpha:]]", "[\\W]", "a(?i)b", "(?x: a)",     "(*UTF)a", "(?R)",   "(?1)",
        "(?(1)a)", "(?C1)",  "(?P<a>b)",    "\\K",   "\\G",    "\\X",         "\\R",     "\\g<1>", "\\Qa",
        "\\12",    "\\x80",  "\\xzz",       "\\p{}", "\\pL",   "\\p{L",       "[a",      "(a",     "a)",
        "*",       "\\",     "a{2}?",       "\\u12", "(?#a)",  "\\x{110000}", "(?<n"};
    for (size_t i = 0; i < sizeof(refused_patterns) / sizeof(refused_patterns[0]); i++) {
        struct qm_pattern *pattern = NULL;
        if (qm_pattern_regex("f", "p", refused_patterns[i], strlen(refused_patterns[i]), &pattern) != QM_UNSUPPORTED ||
            pattern || strncmp(qm_error_text(), "f: p: ", 6) != 0)
            fail_msg("'%s' is not refused as it should be: %s", refused_patterns[i], qm_error_text());
    }
    static const char *const wrong[] = {"\\p{Nonsense}", "a{5,2}", "[z-a]",
                                        "(?<=a*)b",      "\\3",    "(((a{1,999}){1,999}){1,999}){1,999}"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct qm_pattern *pattern = NULL;
        if (qm_pattern_regex("f", "p", wrong[i], strlen(wrong[i]), &pattern) != QM_INVALID || pattern)
            fail_msg("'%s' is not refused as it should be: %s", wrong[i], qm_error_text());
    }
}

// A pattern that goes to the end of the text from each of its places: each match is within PCRE2's limits.
static void test_pattern_that_goes_to_the_end(void **state)
{
    (void)state;
    const size_t count = 400000;
    char *text = malloc(count);
    struct qm_tokenizer *tokenizer = parse("(?:ab)+\\\\d");
    struct qm_tokens tokens = {0};
    for (size_t i = 0; i < count; i++)
        text[i] = i % 2 ? 'b' : 'a';
    assert_int_equal(qm_tokenizer_encode(tokenizer, text, count, NULL, &tokens), QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "after more than 10 s"));
    assert_int_equal(tokens.count, 0);
    memcpy(text + 600, "1", 1); // found beyond the first window, where the text is short
    assert_int_equal(qm_tokenizer_encode(tokenizer, text, 2000, NULL, &tokens), QM_OK);
    assert_int_equal(tokens.count, 2000);
    assert_int_equal(tokens.ids[600], 7);
    qm_tokens_free(&tokens);
    qm_tokenizer_destroy(&tokenizer);
    free(text);
}

// A pattern that tries everything ends at its limits, with one line, and not after hours.
static void test_pattern_bombs(void **state)
{
    (void)state;
    static const char *const bombs[] = {"(a+)+$", "(a|a)*b", "(?:a*)*b", "((a*)*)*c", "(.*)*x(.*)*y"};
    char text[4001];
    memset(text, 'a', 4000);
    text[4000] = '!';
    for (size_t i = 0; i < sizeof(bombs) / sizeof(bombs[0]); i++) {
        struct qm_tokenizer *tokenizer = parse(bombs[i]);
        struct qm_tokens tokens = {0};
        enum qm_status status = qm_tokenizer_encode(tokenizer, text, sizeof(text), NULL, &tokens);
        if (status != QM_OK && (status != QM_INVALID || !strstr(qm_error_text(), "again and again")))
            fail_msg("'%s': %s", bombs[i], qm_error_text());
        if (i == 0)
            assert_int_equal(status, QM_INVALID);
        qm_tokens_free(&tokens);
        qm_tokenizer_destroy(&tokenizer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_patterns_mean_the_same),
        cmocka_unit_test(test_pattern_bombs),
        cmocka_unit_test(test_pattern_that_goes_to_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
