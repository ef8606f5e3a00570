// The sentence that a reader may quote holds accuracy, interval and baseline, or says why there is none; cautions are
// told, and nothing of a stranger's text steers a terminal or makes a line of its own.
#include "record/node.h"
#include "record/result.h"
#include "report/sentence.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "test/stored_result.h"

// As somebody who makes the hash anew.
static void seal(struct qm_node *result)
{
    char hash[QM_HASH_TEXT_BYTES];
    assert_int_equal(qm_node_hash(result, "hash", hash), QM_OK);
    qm_node_set_text(result, "hash", hash);
}

static void says(const struct qm_node *result, void (*say)(struct qm_text *, const struct qm_node *),
                 const char *const *wanted, size_t count)
{
    struct qm_text text = {0};
    say(&text, result);
    for (size_t i = 0; i < count; i++)
        if (!strstr(qm_text_bytes(&text), wanted[i]))
            fail_msg("'%s' is not in '%s'", wanted[i], qm_text_bytes(&text));
    qm_text_free(&text);
}

#define SAYS(result, say, ...)                                                                                         \
    says(result, say, (const char *const[]){__VA_ARGS__},                                                              \
         sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static void says_not(const struct qm_node *result, void (*say)(struct qm_text *, const struct qm_node *),
                     const char *unwanted)
{
    struct qm_text text = {0};
    say(&text, result);
    if (strstr(qm_text_bytes(&text), unwanted))
        fail_msg("'%s' is in '%s'", unwanted, qm_text_bytes(&text));
    qm_text_free(&text);
}

static struct qm_node *scheme_of(const struct qm_node *result, size_t index)
{
    return qm_node_at(qm_node_child(result, "schemes"), index);
}

static void test_quote(void **state)
{
    (void)state;
    struct qm_node *result = stored_result("result-example.yaml");
    struct qm_text text = {0};
    qm_sentence_quote(&text, result);
    assert_string_equal(
        qm_text_bytes(&text),
        "On llvmpipe (LLVM 15.0.6, 256 bits) through vulkan (a stand-in in software, driver llvmpipe Mesa 22.3.6), "
        "w4a16-g32-kv8 reaches 1.43 [1.3871, 1.473] times the rate of f16 (decode) and costs, against float32, a mean "
        "KL divergence of 0.0187 [0.01683, 0.02057] nats per token and a top-1 agreement of 0.951 [0.948, 0.954] (2251 "
        "tokens of built-in, seed 31926937667174403; 95 % intervals); calibration set: none, method: absmax; "
        "sustained: not measured; model qmark-3m, widen: 1; acceptance: pass.");
    assert_true(qm_sentence_is_quotable(result));
    qm_text_free(&text);
    qm_node_destroy(&result);
    result = stored_result("result-sustained.yaml");
    SAYS(result, qm_sentence_quote, " times its burst over ", "KL divergence of ");
    qm_node_destroy(&result);
}

// The best is the fastest of those that the bounds accept, and no other.
static void test_best_is_accepted(void **state)
{
    (void)state;
    struct qm_node *result = stored_result("result-example.yaml");
    qm_node_set_text(qm_node_get(scheme_of(result, 3), "accuracy.acceptance"), "verdict", "inconclusive");
    seal(result);
    SAYS(result, qm_sentence_quote, "w8a8 reaches 1.27 [", "KL divergence of 0.00213 [");
    SAYS(result, qm_sentence_cautions,
         "acceptance is inconclusive, for a bound lies within the interval: w4a16-g32-kv8\n");
    qm_node_set_text(qm_node_get(scheme_of(result, 1), "accuracy.acceptance"), "verdict", "fail");
    seal(result);
    SAYS(result, qm_sentence_quote, "Nothing may be quoted of this result of llvmpipe (",
         "no scheme but the baseline is accepted; inconclusive: w4a16-g32-kv8; fail: w8a8.");
    assert_false(qm_sentence_is_quotable(result));
    says_not(result, qm_sentence_quote, "1.43");
    qm_node_destroy(&result);
}

static void test_gain_that_is_none(void **state)
{
    (void)state;
    struct qm_node *result = stored_result("result-example.yaml");
    struct qm_node *gain = qm_node_at(qm_node_child(scheme_of(result, 3), "gain"), 1);
    qm_node_set_double(gain, "low", 0.98);
    seal(result);
    SAYS(result, qm_sentence_quote,
         "no accepted scheme is shown to be faster than f16: w4a16-g32-kv8 reaches 1.43 [0.98, ");
    qm_node_set_text(gain, "low", "no interval");
    qm_node_set_text(gain, "high", "no interval");
    seal(result);
    SAYS(result, qm_sentence_quote, "is shown to be faster than f16: w4a16-g32-kv8 reaches 1.43 (no interval)");
    qm_node_destroy(&result);
}

static void test_nothing_to_quote(void **state)
{
    (void)state;
    struct qm_node *result = stored_result("result-example.yaml");
    qm_node_set_text(qm_node_get(result, "device"), "name", "Fastest GPU");
    SAYS(result, qm_sentence_quote, "Nothing may be quoted", "its file was changed since qmark wrote it.");
    SAYS(result, qm_sentence_cautions, "CHANGED: ");
    says_not(result, qm_sentence_quote, "1.43");
    qm_node_destroy(&result);

    result = stored_result("result-example.yaml");
    for (size_t i = 0; i < 4; i++) {
        qm_node_set_text(scheme_of(result, i), "status", "wrong");
        qm_node_set_text(scheme_of(result, i), "reason", "a bit");
    }
    seal(result);
    SAYS(result, qm_sentence_quote,
         "no scheme is ok; WRONG: f16, w8a8, w8a8-static, w4a16-g32-kv8; unsupported: w4a8-g32.");
    SAYS(result, qm_sentence_cautions, "WRONG answers came of f16, w8a8, ");
    qm_node_destroy(&result);

    result = stored_result("result-example.yaml");
    for (size_t i = 0; i < 4; i++)
        qm_node_set_text(scheme_of(result, i), "accuracy", "not measured");
    seal(result);
    SAYS(result, qm_sentence_quote, "Nothing may be quoted", "accuracy: not measured.");
    says_not(result, qm_sentence_quote, "1.43");
    SAYS(result, qm_sentence_cautions, "accuracy: not measured: f16, w8a8, w4a16-g32-kv8; ");
    qm_node_destroy(&result);
}

static void test_cautions(void **state)
{
    (void)state;
    struct qm_node *result = stored_result("result-example.yaml");
    SAYS(result, qm_sentence_cautions, "WRONG answers came of w8a8-static: ", "stand-in: this device is software",
         "the weights fit a cache",
         "no sustained run: whether the rate holds is not measured: f16, w8a8, w4a16-g32-kv8",
         "class custom: ", "as a claim, w4a16-g32-kv8 is deployment-grade, for its window of ");
    qm_node_destroy(&result);
    result = stored_result("result-sustained.yaml");
    SAYS(result, qm_sentence_cautions, "the rate did not hold: ", "throttling of ");
    qm_node_destroy(&result);
}

// A stranger's text is one line, and no thousand schemes are listed.
static void test_hostile(void **state)
{
    (void)state;
    struct qm_node *result = stored_result("result-example.yaml");
    qm_node_set_text(qm_node_get(result, "device"), "name", "GPU\x1b[2J\nCHANGED: no\xe2\x80\xae");
    struct qm_node *schemes = qm_node_child(result, "schemes");
    for (size_t i = 0; i < 1000; i++) {
        struct qm_node *copy = qm_node_copy(scheme_of(result, 2));
        qm_node_set_textf(copy, "name", "evil\n%zu", i);
        qm_node_append_node(schemes, copy);
    }
    seal(result);
    struct qm_text text = {0};
    qm_sentence_quote(&text, result);
    assert_non_null(strstr(qm_text_bytes(&text), "On GPU?[2J CHANGED: no through vulkan"));
    assert_null(strpbrk(qm_text_bytes(&text), "\n\x1b"));
    qm_text_free(&text);
    qm_sentence_cautions(&text, result);
    assert_null(strchr(qm_text_bytes(&text), '\x1b'));
    assert_null(strstr(qm_text_bytes(&text), "\nCHANGED"));
    assert_non_null(strstr(qm_text_bytes(&text), " and 993 more: do not trust"));
    qm_text_free(&text);
    qm_node_destroy(&result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quote),
        cmocka_unit_test(test_best_is_accepted),
        cmocka_unit_test(test_gain_that_is_none),
        cmocka_unit_test(test_nothing_to_quote),
        cmocka_unit_test(test_cautions),
        cmocka_unit_test(test_hostile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
