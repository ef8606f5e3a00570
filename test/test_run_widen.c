// `qmark run` with --widen and --fit as a user starts it: rows of widening, a wrong factor, what does not fit.
#define FOLDER QM_BINARY_DIR "/test-run-widen"
#include "test/run_program.h"

static void expect_widened(const struct qm_node *result, const char *scheme)
{
    const struct qm_node *row = row_of(result, scheme);
    double mean = 0, value = 0;
    expect_whole(result, scheme);
    assert_true(qm_node_double_at(row, "widening.kl_to_narrow.mean", &mean) && mean > 0 && mean < 1e-3);
    assert_true(qm_node_double_at(row, "widening.kl_to_narrow.high", &value) && value >= mean);
    assert_true(qm_node_double_at(row, "widening.before_timing.mean", &value) && value < 1e-3);
    assert_true(qm_node_double_at(row, "widening.random_codes.ratio", &value) && value > 0.1 && value < 10);
    assert_true(qm_node_double_at(row, "widening.random_codes.low", &value));
    uint64_t part = 0, all = 0;
    assert_true(qm_node_read_u64(qm_node_get(row, "widening.before_timing.tokens"), &part) == QM_OK);
    assert_true(qm_node_read_u64(qm_node_get(row, "widening.kl_to_narrow.tokens"), &all) == QM_OK);
    assert_true(part > 0 && part < all); // one window of two before timing
}

static uint64_t number_at(const struct qm_node *node, const char *path)
{
    uint64_t number = 0;
    if (qm_node_read_u64(qm_node_get(node, path), &number) != QM_OK)
        fail_msg("%s: %s", path, qm_error_text());
    return number;
}

static void test_widened(void **state)
{
    (void)state;
    need(pocl_id);
    struct child child;
    run_profile(&child, pocl_id, NULL);
    expect_code(&child, 0);
    struct qm_node *narrow = need_result("opencl");
    assert_null(qm_node_get(row_of(narrow, "w8a8"), "widening"));
    release(&child);
    run_profile_with(&child, pocl_id, NULL, "--widen", "2");
    expect_code(&child, 0);
    struct qm_node *wide = need_result("opencl");
    expect_widened(wide, "f16");
    expect_widened(wide, "w8a8");
    assert_int_equal(number_at(wide, "model.widen"), 2);
    assert_int_equal(number_at(wide, "profile.widen"), 2);
    assert_int_equal(number_at(row_of(wide, "w8a8"), "throughput.0.widen"), 2);
    uint64_t weights = number_at(narrow, "model.parameters"), wide_weights = number_at(wide, "model.weights_on_device");
    assert_int_equal(number_at(narrow, "model.weights_on_device"), weights);
    assert_true(wide_weights > 3 * weights && wide_weights < 4 * weights); // head and embedding grow by 2 only
    assert_true(number_at(row_of(wide, "w8a8"), "memory.weights_bytes") > wide_weights);
    assert_true(number_at(row_of(wide, "w8a8"), "memory.total_bytes") <
                2 * number_at(row_of(wide, "w8a8"), "memory.weights_bytes")); // nothing of the narrow one is in it
    expect_text(child.output, "widen: 2 (");
    expect_text(child.output, "KL to narrow");
    struct qm_comparison comparison;
    assert_int_equal(qm_compare(narrow, wide, &comparison), QM_OK);
    assert_int_equal(comparison.verdict, QM_NOT_COMPARABLE);
    qm_comparison_free(&comparison);
    qm_node_destroy(&narrow);
    qm_node_destroy(&wide);
    release(&child);
}

static void test_wrong_widening(void **state)
{
    (void)state;
    need(pocl_id);
    struct child child;
    run_profile_with(&child, pocl_id, (const char *const[]){"QM_FAULT=wrong-widen=1", NULL}, "--widen", "2");
    expect_code(&child, 4);
    struct qm_node *result = need_result("opencl");
    expect_not_ok(result, "f16", "wrong", "widened 2 times it is another model than the narrow one on the same device");
    expect_not_ok(result, "w8a8", "wrong",
                  "widened 2 times it is another model than the narrow one on the same device");
    qm_node_destroy(&result);
    release(&child);
}

// 90 MB: weights of 10 MB at width 1 and 39 MB at 2, caches and what passes compute in; at 4 the weights are 150 MB.
static void test_fit(void **state)
{
    (void)state;
    need(pocl_id);
    struct child child;
    run_profile_with(&child, pocl_id, (const char *const[]){"QM_FAULT=memory=90000000", NULL}, "--fit", NULL);
    expect_code(&child, 0);
    struct qm_node *result = need_result("opencl");
    expect_widened(result, "w8a8");
    assert_int_equal(number_at(result, "model.widen"), 2);
    assert_string_equal(qm_node_text_at(result, "profile.widen", ""), "fit");
    expect_text(qm_node_text_at(result, "model.fit", ""), "widen 4: ");
    expect_text(child.output, "as wide as it fits; widen 4: ");
    qm_node_destroy(&result);
    release(&child);
}

static void test_too_wide(void **state)
{
    (void)state;
    need(pocl_id);
    struct child child;
    run_profile_with(&child, pocl_id, (const char *const[]){"QM_FAULT=memory=60000000", NULL}, "--widen", "4");
    expect_code(&child, 5);
    struct qm_node *result = need_result("opencl");
    expect_not_ok(result, "f16", "failed", "f16 with widen 4 takes ");
    expect_not_ok(result, "f16", "failed", "use a smaller widen");
    qm_node_destroy(&result);
    release(&child);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_widened),
        cmocka_unit_test(test_wrong_widening),
        cmocka_unit_test(test_fit),
        cmocka_unit_test(test_too_wide),
    };
    return cmocka_run_group_tests(tests, group_setup, NULL);
}
