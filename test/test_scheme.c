// Scheme names: the stock ones, canonical forms, refusals and identity.
#include "quant/scheme.h"
#include "record/node.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct qm_scheme parsed(const char *text)
{
    struct qm_scheme scheme;
    if (qm_scheme_parse(text, &scheme) != QM_OK)
        fail_msg("%s", qm_error_text());
    return scheme;
}

static void test_stock(void **state)
{
    (void)state;
    size_t count = 0;
    char hashes[64][QM_HASH_TEXT_BYTES];
    for (; qm_scheme_stock_name(count); count++) {
        struct qm_scheme scheme = parsed(qm_scheme_stock_name(count));
        assert_string_equal(scheme.name, qm_scheme_stock_name(count)); // names are canonical
        qm_scheme_hash(&scheme, hashes[count]);
        for (size_t i = 0; i < count; i++)
            assert_string_not_equal(hashes[i], hashes[count]);
    }
    assert_int_equal(count, 20);
}

static void test_structure(void **state)
{
    (void)state;
    struct qm_scheme scheme = parsed("w4a16-g32-kv8");
    assert_int_equal(scheme.weights, QM_WEIGHT_W4G32);
    assert_int_equal(scheme.activations, QM_ACTIVATION_F16);
    assert_int_equal(scheme.group_size, 32);
    assert_int_equal(scheme.kv, QM_KV_KV8);
    assert_false(scheme.is_static);
    assert_int_equal(scheme.calibrator, QM_CALIBRATOR_NONE);
    scheme = parsed("w8a8-static-percentile");
    assert_true(scheme.is_static);
    assert_int_equal(scheme.calibrator, QM_CALIBRATOR_PERCENTILE);
    assert_int_equal(scheme.kv, QM_KV_F16);
    assert_int_equal(parsed("f32").kv, QM_KV_F32);
    assert_int_equal(parsed("f32").activations, QM_ACTIVATION_F32);
    assert_int_equal(parsed("f16").kv, QM_KV_F16);
    assert_int_equal(parsed("w8a8-static").calibrator, QM_CALIBRATOR_ABSMAX);
}

static void test_canonical(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"w8a8-static-absmax", "w8a8-static"},
        {"w8a8-kv16", "w8a8"},
        {"f32-kv32", "f32"},
        {"f32-kv16", "f32-kv16"},
        {"f16-kv8", "f16-kv8"},
        {"w4a8-g32-static-kv4", "w4a8-g32-static-kv4"},
        {"w4a16-g128-asym-gptq-actorder-kv8-first4-last32+lm_head=f16+*.0.*=w8a8-g64",
         "w4a16-g128-asym-gptq-actorder-kv8-first4-last32+lm_head=f16+*.0.*=w8a8-g64"},
        {"e4m3af8-static-percentile", "e4m3af8-static-percentile"},
        {"w8a8-static64-smoothquant", "w8a8-static64-smoothquant"},
        {"mxfp6e3m2a16", "mxfp6e3m2a16"},
        {"q4_ka8", "q4_ka8"},
        {"w8a16-kivi4", "w8a16-kivi4"},
        {"w8a16-kivi2-first4-last32", "w8a16-kivi2-first4-last32"},
        {"f32-kve4m3", "f32-kve4m3"},
        {"w8a8-kve5m2-last8", "w8a8-kve5m2-last8"},
        {"f32-kve4m3s", "f32-kve4m3s"},
        {"w8a8-static-absmax-kve4m3s-first4", "w8a8-static-kve4m3s-first4"},
        {"w4a16-g32-gptq-kve5m2s+lm_head=f16", "w4a16-g32-gptq-kve5m2s+lm_head=f16"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_string_equal(parsed(rows[i][0]).name, rows[i][1]);
}

#define TEN "wwwwwwwwww"
#define LONG "w8a8" TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

static void test_refused(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"", "without a name"},
        {"w4a16-g48", "group_size 48; w4 weights come in groups of g32, g64, g128"},
        {"w4a16", "names no group size; use w4a16-g32"},
        {"w8a8-g48", "group_size 48; w8 weights come in groups of g32"},
        {"e4m3a16-g32", "group_size 32; fp8 E4M3FN weights have no choice of groups, leave it out"},
        {"f16-g32", "have no choice of groups"},
        {"w8a4", "no kernel multiplies int8 weights with int4 activations; use w8a16"},
        {"w4a5-g32", "no activations are called 'a5'; use w4a16 or w4a8"},
        {"w8", "no activations are called ''"},
        {"int8", "no formats are called 'int8'; use f32"},
        {"f16a8", "no formats are called 'f16a8'"},
        {"w8a8-gptqx", "'gptqx' is no part of a scheme"},
        {"f16-gptq", "gptq rounds weights to a grid"},
        {"q4_ka16-awq", "awq rounds weights to a grid of scales, which Q4_K has not"},
        {"q4_ka8-imatrix", "imatrix weighs the errors of scales, and Q4_K has none to choose; leave it out"},
        {"w4a16-g32-actorder", "write '-gptq-actorder'"},
        {"w8a16-smoothquant", "smoothquant is for int8 or fp8 activations"},
        {"f16-mse", "there are none to choose"},
        {"w8a8-static48", "48 channels a scale; use a multiple of 32"},
        {"w4a16-g32+lm_head", "names no tensor and format; write one such as +lm_head=f16"},
        {"w4a16-g32+=f16", "names no tensor"},
        {"w4a16-g32+lm_head=w4a16", "names no group size"},
        {"w4a16-g32+lm_head=w8a8-static", "is more than formats"},
        {"w8a8-", "'' is no part of a scheme"},
        {"w8a8-asym", "int8 weights have no zero point; leave '-asym' out"},
        {"w8a8-percentile", "write '-static-percentile'"},
        {"w8a16-static", "static is for int8 or fp8 activations"},
        {"w8a8-kv8-static", "'static' stands too late"},
        {"w8a8-kv8-kv4", "'kv4' stands twice"},
        {"w8a8-kivi4-kve4m3", "'kve4m3' stands twice"},
        {"w8a8-kve4m3-kve4m3s", "'kve4m3s' stands twice"},
        {"w8a16-kivi3", "no cache is called 'kivi3'; use kv8, kv4, kve4m3, kve4m3s"},
        {"w8a16-kv5", "no cache is called 'kv5'"},
        {"w8a16-kvs", "no cache is called 'kvs'"},
        {"w8a16-kve4m3ss", "no cache is called 'kve4m3ss'"},
        {"w8a16-kv8s", "a cache of int8 takes no scales from calibration; use kve4m3s or kve5m2s, or kv8"},
        {"w8a16-kivi4s", "takes no scales from calibration; use kve4m3s or kve5m2s, or kivi4"},
        {"w8a16-percentile-kve4m3s", "calibrator percentile finds static scales"},
        {"w4a16-g32+lm_head=w8a8-kve4m3s", "is more than formats"},
        {"w8a16-kv8-first0", "'first0' is no number of tokens from 1 to 999,999; use one such as first32"},
        {"w8a16-kv8-first1000000", "'first1000000' is no number of tokens from 1 to 999,999"},
        {"w8a16-kve4m3s-last99999999999999999999", "is no number of tokens from 1 to 999,999"},
        {"w8a16-kv8-first", "'first' is no part of a scheme"},
        {"w8a16-kv8-first-4", "'first' is no part of a scheme"},
        {"w8a8-first4", "every token is exact in a cache of float16; leave -first and -last out"},
        {"f32-last4", "every token is exact in a cache of float32"},
        {"w4a16-g32x", "is no group size"},
        {"w4a16-g99999999999", "is no group size"},
        {"w8a8-static-static-static-static-static-static-static", "stands twice"},
        {"w8a8-a-b-c-d-e-f-g-h-i-j-k-l-m", "too many parts"},
        {"W8A8", "no formats"},
        {LONG, "longer than any"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct qm_scheme scheme;
        assert_int_equal(qm_scheme_parse(rows[i][0], &scheme), QM_INVALID);
        if (!strstr(qm_error_text(), rows[i][1]))
            fail_msg("'%s' gave: %s", rows[i][0], qm_error_text());
        assert_int_equal(scheme.name[0], '\0');
    }
}

static void test_identity(void **state)
{
    (void)state;
    char a[QM_HASH_TEXT_BYTES];
    char b[QM_HASH_TEXT_BYTES];
    struct qm_scheme plain = parsed("w8a8");
    struct qm_scheme cached = parsed("w8a8-kv8");
    assert_false(qm_scheme_equal(&plain, &cached));
    assert_true(qm_scheme_same_artifact(&plain, &cached)); // the cache's format is in no artifact
    qm_scheme_artifact_hash(&plain, a);
    qm_scheme_artifact_hash(&cached, b);
    assert_string_equal(a, b);
    qm_scheme_hash(&plain, a);
    snprintf(plain.name, sizeof(plain.name), "another label");
    qm_scheme_hash(&plain, b);
    assert_string_equal(a, b); // a name is a label

    struct qm_node *node = qm_scheme_expand(&cached);
    assert_true(qm_node_ok(node));
    assert_string_equal(qm_node_text_at(node, "kv_cache", ""), "kv8");
    qm_node_destroy(&node);

    // Which tokens stay exact is part of what a scheme is, and of no artifact.
    struct qm_scheme kivi = parsed("w8a8-kivi4"), ends = parsed("w8a8-kivi4-first4-last32");
    assert_false(qm_scheme_equal(&kivi, &ends));
    assert_true(qm_scheme_same_artifact(&plain, &ends));
    node = qm_scheme_expand(&ends);
    assert_string_equal(qm_node_text_at(node, "kv_cache", ""), "kivi4");
    qm_node_destroy(&node);

    // Calibrated scales of the cache are in the artifact; which tokens stay exact is not.
    struct qm_scheme plain_fp8 = parsed("w8a8-kve4m3"), e4m3 = parsed("w8a8-kve4m3s"), e5m2 = parsed("w8a8-kve5m2s");
    struct qm_scheme e4m3_first = parsed("w8a8-kve4m3s-first4");
    assert_true(qm_scheme_same_artifact(&plain_fp8, &cached));
    assert_false(qm_scheme_same_artifact(&plain_fp8, &e4m3));
    assert_false(qm_scheme_same_artifact(&e5m2, &e4m3));
    assert_true(qm_scheme_same_artifact(&e4m3_first, &e4m3));
    assert_false(qm_scheme_equal(&e4m3_first, &e4m3));
    assert_false(qm_scheme_is_calibrated(&plain_fp8));
    assert_true(qm_scheme_is_calibrated(&e4m3));
    assert_int_equal(e4m3.calibrator, QM_CALIBRATOR_ABSMAX);
    assert_false(e4m3.is_static);
    assert_int_equal(parsed("w8a16-awq-kve4m3s").calibrator, QM_CALIBRATOR_AWQ);
    for (int kv = 0; kv < QM_KV_FORMAT_COUNT; kv++)
        assert_int_equal(qm_kv_calibrated_largest((enum qm_kv_format)kv), kv == QM_KV_E4M3S   ? 448
                                                                          : kv == QM_KV_E5M2S ? 57344
                                                                                              : 0);

    char text[4096];
    qm_scheme_explain(&e4m3, text, sizeof(text));
    assert_non_null(strstr(text, "the largest in the calibration set / 448, rounded up"));
    assert_non_null(strstr(text, "beyond 448 scales is clipped"));
    qm_scheme_explain(&ends, text, sizeof(text));
    assert_non_null(strstr(text, "of keys per channel and 32 tokens"));
    assert_non_null(strstr(text, "the first 4 and the last 32 tokens stay float16"));
    assert_true(qm_scheme_explain(&cached, text, sizeof(text)) < sizeof(text));
    assert_non_null(strstr(text, "KV cache     int8"));
    assert_true(qm_scheme_explain(&cached, NULL, 0) == strlen(text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stock),   cmocka_unit_test(test_structure), cmocka_unit_test(test_canonical),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_identity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
