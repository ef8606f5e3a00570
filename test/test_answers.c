// The rules of answers: what each takes for the same, where generated text ends, which choice wins, and that patterns end.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "workload/answers.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static enum qm_judgement judge_bytes(const struct qm_answer_rule *rule, const char *answer, const char *text,
                                     size_t bytes)
{
    enum qm_judgement judgement;
    if (qm_answer_judge(rule, &answer, 1, text, bytes, &judgement) != QM_OK)
        fail_msg("%s", qm_error_text());
    return judgement;
}

static enum qm_judgement judge(enum qm_match match, const char *answer, const char *text)
{
    const struct qm_answer_rule rule = {.match = match};
    return judge_bytes(&rule, answer, text, strlen(text));
}

static void test_exact(void **state)
{
    (void)state;
    assert_int_equal(judge(QM_MATCH_EXACT, "Paris", "Paris"), QM_ANSWER_RIGHT);
    assert_int_equal(judge(QM_MATCH_EXACT, " Paris\n", "\t Paris \r\n"), QM_ANSWER_RIGHT);
    assert_int_equal(judge(QM_MATCH_EXACT, "Paris", "paris"), QM_ANSWER_WRONG);
    assert_int_equal(judge(QM_MATCH_EXACT, "Paris", "Paris."), QM_ANSWER_WRONG);
    assert_int_equal(judge(QM_MATCH_EXACT, "a b", "a  b"), QM_ANSWER_WRONG);
    assert_int_equal(judge(QM_MATCH_EXACT, "", " "), QM_ANSWER_RIGHT);
    // A zero byte ends nothing.
    const struct qm_answer_rule rule = {.match = QM_MATCH_EXACT};
    assert_int_equal(judge_bytes(&rule, "Paris", "Paris\0!", 7), QM_ANSWER_WRONG);
    // One of several is enough.
    const char *const answers[] = {"two", "2"};
    enum qm_judgement judgement;
    assert_int_equal(qm_answer_judge(&rule, answers, 2, "2", 1, &judgement), QM_OK);
    assert_int_equal(judgement, QM_ANSWER_RIGHT);
    assert_int_equal(qm_answer_judge(&rule, answers, 1, "2", 1, &judgement), QM_OK);
    assert_int_equal(judgement, QM_ANSWER_WRONG);
    const struct qm_answer_rule choice = {.match = QM_MATCH_CHOICE};
    assert_int_equal(qm_answer_judge(&choice, answers, 2, "2", 1, &judgement), QM_INVALID);
}

static void test_normalised(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"The Eiffel Tower!", "eiffel tower"},
        {"  A  man,\ta plan\n", "man plan"},
        {"an the a", ""},
        {"theatre", "theatre"},
        {"U.S.A.", "usa"},
        {"well-known", "wellknown"},
        {"\xc3\x89t\xc3\xa9", "\xc3\xa9t\xc3\xa9"},               // E with an accent
        {"\xce\xa3\xce\x91", "\xcf\x83\xce\xb1"},                 // Greek
        {"\xd0\x81\xd0\x9f\xd1\x8f", "\xd1\x91\xd0\xbf\xd1\x8f"}, // Cyrillic, also the letters before A
        {"\xc3\x97", "\xc3\x97"},                                 // the sign of multiplication has no case
        {"\xe2\x82\xac"
         "5",
         "\xe2\x82\xac"
         "5"}, // not ASCII's punctuation
        {"a\xc2\xa0"
         "b\xe3\x80\x80"
         "c\xe2\x80\x82",
         "b c"},                    // wide blanks
        {"x\xff\xc3", "x\xff\xc3"}, // not UTF-8
        {"", ""},
    };
    for (size_t i = 0; i < COUNT(pairs); i++) {
        char *normal = qm_answer_normalise(pairs[i][0], strlen(pairs[i][0]), false);
        assert_string_equal(normal, pairs[i][1]);
        free(normal);
        assert_int_equal(judge(QM_MATCH_NORMALISED, pairs[i][0], pairs[i][1]), QM_ANSWER_RIGHT);
    }
    char *kept = qm_answer_normalise("The A.", 6, true);
    assert_string_equal(kept, "the a");
    free(kept);
    assert_int_equal(judge(QM_MATCH_NORMALISED, "two words", "twowords"), QM_ANSWER_WRONG);
}

static void test_numeric(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double value;
    } cases[] = {
        {"The answer is 42.", 42},
        {"12 + 30 = 42", 42},
        {"1,234,567.5 dollars", 1234567.5},
        {"1,23", 23},      // no group of three
        {"1234,567", 567}, // nor this
        {"-7", -7},
        {"x = -7", -7},
        {"3-5", 5},
        {"(3)-5", 5},
        {"a-5", 5},
        {"+5", 5},
        {"\xe2\x88\x92"
         "3.25",
         -3.25}, // the minus sign
        {"-$3.50", -3.5},
        {"$-3", -3},
        {"\xe2\x82\xac"
         "20",
         20},
        {".5", 0.5},
        {"v1.2.3", 3},
        {"1e-3", 1e-3},
        {"2E5", 2e5},
        {"2e", 2},
        {"50%", 50},
        {"1/2", 2},
        {"18.", 18},
        {"007", 7},
        {"#### 1,200\n", 1200},
        {"9 then 1e999", 9}, // no double holds the last
    };
    double value;
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (!qm_answer_number(cases[i].text, strlen(cases[i].text), &value) || value != cases[i].value)
            fail_msg("'%s' gave %g, not %g", cases[i].text, value, cases[i].value);
    }
    assert_false(qm_answer_number("none", 4, &value));
    assert_false(qm_answer_number(".", 1, &value));
    assert_false(qm_answer_number("1", 0, &value));
    assert_int_equal(judge(QM_MATCH_NUMERIC, "#### 18", "so it is 18.00"), QM_ANSWER_RIGHT);
    assert_int_equal(judge(QM_MATCH_NUMERIC, "18", "17.999"), QM_ANSWER_WRONG);
    assert_int_equal(judge(QM_MATCH_NUMERIC, "18", "eighteen"), QM_ANSWER_WRONG);
    const struct qm_answer_rule rule = {.match = QM_MATCH_NUMERIC, .tolerance = 0.01};
    assert_int_equal(judge_bytes(&rule, "18", "17.995", 6), QM_ANSWER_RIGHT);
    assert_int_equal(judge_bytes(&rule, "18", "17.98", 5), QM_ANSWER_WRONG);
    // More digits than any number has.
    char *digits = malloc(100001);
    assert_non_null(digits);
    memset(digits, '1', 100000);
    digits[100000] = '\0';
    assert_false(qm_answer_number(digits, 100000, &value));
    free(digits);
}

static enum qm_judgement judge_pattern(const char *text, const char *answer, const char *generated, size_t bytes)
{
    struct qm_answer_pattern *pattern = NULL;
    if (qm_answer_pattern_create(text, &pattern) != QM_OK)
        fail_msg("%s", qm_error_text());
    assert_string_equal(qm_answer_pattern_text(pattern), text);
    const struct qm_answer_rule rule = {.match = QM_MATCH_REGEX, .pattern = pattern};
    enum qm_judgement judgement = judge_bytes(&rule, answer, generated, bytes);
    qm_answer_pattern_destroy(&pattern);
    assert_null(pattern);
    return judgement;
}

static void test_regex(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *text, *answer;
    } right[] = {
        {"answer is (\\w+)", "The answer is yes, the answer is no", "yes"}, // the first match
        {"\\d+", "12 or 13", "12"},                                         // no group: the match
        {"(a)|b", "b", "b"},                                                // a group that took no part
        {"(?:x)(y)(z)", "xyz", "y"},                                        // the first of two groups
        {"(?i)YES", "yes", "yes"},
        {"\\w+$", "caf\xc3\xa9", "caf\xc3\xa9"}, // Unicode
        {"b.d",
         "\xff\xff"
         "bad",
         "bad"},           // bytes before it that are not UTF-8
        {"x*", "yyy", ""}, // an empty match
    };
    for (size_t i = 0; i < COUNT(right); i++)
        if (judge_pattern(right[i].pattern, right[i].answer, right[i].text, strlen(right[i].text)) != QM_ANSWER_RIGHT)
            fail_msg("'%s' does not find '%s' in '%s'", right[i].pattern, right[i].answer, right[i].text);
    assert_int_equal(judge_pattern("answer is (\\w+)", "yes", "no", 2), QM_ANSWER_WRONG);
    assert_int_equal(judge_pattern("b.d",
                                   "b\xff"
                                   "d",
                                   "b\xff"
                                   "d",
                                   3),
                     QM_ANSWER_WRONG);

    struct qm_answer_pattern *pattern = NULL;
    static const char *const bad[] = {
        "(",
        "[z-a]",
        "a{2,1}",
        "\\C",
        "(?<=a*)b",
        "\xff",
        "",
        "((((((((((((((((((((((((((((((((((("
        "((((((((((((((((((((((((((((((((((x))))))))))))))))))))))))))))))))))))))))))))))))))))))"
        ")))))))))))))"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        if (qm_answer_pattern_create(bad[i], &pattern) != QM_INVALID)
            fail_msg("'%s' was taken", bad[i]);
        assert_null(pattern);
        assert_null(strchr(qm_error_text(), '\n'));
    }
    char *wide = malloc(QM_ANSWER_PATTERN_BYTES_MAX + 2);
    assert_non_null(wide);
    memset(wide, 'a', QM_ANSWER_PATTERN_BYTES_MAX + 1);
    wide[QM_ANSWER_PATTERN_BYTES_MAX + 1] = '\0';
    assert_int_equal(qm_answer_pattern_create(wide, &pattern), QM_INVALID);
    free(wide);
    assert_int_equal(qm_answer_pattern_create("(((a{1000}){1000}){1000}){1000}", &pattern), QM_INVALID); // too large
}

// Patterns that would take until the end of the world give up, and a text that is too long is not looked at.
static void test_bombs_end(void **state)
{
    (void)state;
    static const char *const bombs[] = {"(a+)+$",        "(a|aa)+$",          "^(([a-z])+.)+[A-Z]([a-z])+$",
                                        "(a*a*)*[bc]",   "(?:(?:a+)b?)+[cd]", "(.*)*x",
                                        "(a?){64}a{64}b"};
    const size_t bytes = 30000;
    char *text = malloc(bytes);
    assert_non_null(text);
    memset(text, 'a', bytes);
    text[bytes - 1] = '!';
    size_t unjudged = 0;
    clock_t begin = clock();
    for (size_t i = 0; i < COUNT(bombs); i++) {
        enum qm_judgement judgement = judge_pattern(bombs[i], "none", text, bytes);
        assert_int_not_equal(judgement, QM_ANSWER_RIGHT);
        unjudged += judgement == QM_ANSWER_UNJUDGED;
    }
    double seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
    if (seconds > 60.0) // some 2 s, and more under sanitizers
        fail_msg("%zu patterns took %.1f s", COUNT(bombs), seconds);
    assert_true(unjudged >= 5);
    free(text);
    char *large = calloc(1, QM_ANSWER_PATTERN_TEXT_BYTES_MAX + 1);
    assert_non_null(large);
    assert_int_equal(judge_pattern("a", "a", large, QM_ANSWER_PATTERN_TEXT_BYTES_MAX + 1), QM_ANSWER_UNJUDGED);
    // What people do write is not a bomb, in a text of usual length.
    memset(large, 'x', 8000);
    memcpy(large + 7000, "the answer is 42.", 17);
    assert_int_equal(judge_pattern("(?s).*answer is (\\d+)", "42", large, 8000), QM_ANSWER_RIGHT);
    assert_int_equal(judge_pattern("(?:.*\\s)?answer is\\s+(-?[0-9.,]+[0-9])", "42", large, 8000), QM_ANSWER_RIGHT);
    free(large);
}

static void test_stops(void **state)
{
    (void)state;
    const char *const stops[] = {"\n", "Q:", ""};
    bool found;
    assert_int_equal(qm_stop_find("4 Q: next\n", 10, stops, 3, &found), 2);
    assert_true(found);
    assert_int_equal(qm_stop_find("4\nQ:", 4, stops, 3, &found), 1);
    assert_int_equal(qm_stop_find("forty", 5, stops, 3, &found), 5);
    assert_false(found);
    assert_int_equal(qm_stop_find("\n", 1, stops, 1, &found), 0); // at the very begin
    assert_true(found);
    assert_int_equal(qm_stop_find("Q", 1, stops, 3, &found), 1); // half of one
    assert_int_equal(qm_stop_find("a\0Q:", 4, stops, 2, &found), 2);
    assert_int_equal(qm_stop_find("abc", 3, NULL, 0, &found), 3);
    assert_int_equal(qm_stop_find("", 0, stops, 3, &found), 0);
    assert_false(found);
}

static void test_choices(void **state)
{
    (void)state;
    // Each norm prefers another.
    const struct qm_choice_score scores[] = {{-4.0, 2, 4, 4}, {-6.0, 4, 12, 12}, {-5.0, 3, 5, 20}, {-5.4, 6, 6, 6}};
    uint32_t best;
    static const uint32_t expected[QM_CHOICE_NORMS] = {0, 1, 2, 3};
    for (int norm = 0; norm < QM_CHOICE_NORMS; norm++) {
        assert_int_equal(qm_choice_pick(scores, 4, (enum qm_choice_norm)norm, &best), QM_OK);
        assert_int_equal(best, expected[norm]);
    }
    const struct qm_choice_score equal[] = {{-2, 1, 1, 1}, {-1, 1, 1, 1}, {-1, 1, 1, 1}};
    assert_int_equal(qm_choice_pick(equal, 3, QM_CHOICE_SUM, &best), QM_OK);
    assert_int_equal(best, 1);
    struct qm_choice_score bad[] = {{-2, 1, 1, 1}, {NAN, 1, 1, 1}};
    assert_int_equal(qm_choice_pick(bad, 2, QM_CHOICE_SUM, &best), QM_WRONG_RESULT);
    assert_non_null(strstr(qm_error_text(), "choice 1"));
    bad[1].log_probability = -INFINITY;
    assert_int_equal(qm_choice_pick(bad, 2, QM_CHOICE_TOKENS, &best), QM_WRONG_RESULT);
    uint32_t characters, bytes;
    qm_choice_lengths(" caf\xc3\xa9", &characters, &bytes);
    assert_int_equal(characters, 4);
    assert_int_equal(bytes, 5);
    qm_choice_lengths("  ", &characters, &bytes);
    assert_int_equal(characters, 1);
    assert_int_equal(bytes, 1);
}

static void test_names(void **state)
{
    (void)state;
    enum qm_match match;
    for (int i = 0; i < QM_MATCH_COUNT; i++) {
        assert_int_equal(qm_match_find(qm_match_name((enum qm_match)i), &match), QM_OK);
        assert_int_equal(match, i);
    }
    assert_int_equal(qm_match_find("normalized", &match), QM_OK);
    assert_int_equal(match, QM_MATCH_NORMALISED);
    assert_int_equal(qm_match_find("fuzzy", &match), QM_INVALID);
    assert_string_equal(qm_match_name(QM_MATCH_COUNT), "?");
    assert_string_equal(qm_choice_norm_name(QM_CHOICE_BYTES), "per byte");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact),   cmocka_unit_test(test_normalised), cmocka_unit_test(test_numeric),
        cmocka_unit_test(test_regex),   cmocka_unit_test(test_bombs_end),  cmocka_unit_test(test_stops),
        cmocka_unit_test(test_choices), cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
