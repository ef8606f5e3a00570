// How near is near enough: verdicts over rows, by hand.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "score/agreement.h"

static struct qm_agreement_verdict judge(struct qm_agreement *rows, bool is_float32)
{
    struct qm_agreement_verdict v;
    assert_int_equal(qm_agreement_judge(rows, is_float32, &v), QM_OK);
    return v;
}

static void add(struct qm_agreement *rows, size_t count, double device, double own)
{
    for (size_t i = 0; i < count; i++)
        assert_int_equal(qm_agreement_add(rows, device, own, 0, 0, (uint32_t)i), QM_OK);
}

static void test_empty(void **state)
{
    (void)state;
    struct qm_agreement rows = {0};
    assert_true(judge(&rows, false).agrees);
    qm_agreement_clear(&rows);
}

// A correct device of a coarse scheme: nearly all rows equal, one flipped by a rounding at a place that is unsure.
static void test_one_flip(void **state)
{
    (void)state;
    struct qm_agreement rows = {0};
    add(&rows, 511, 1e-14, 0.2);
    assert_int_equal(qm_agreement_add(&rows, 12, 8, 0, 0, 508), QM_OK);
    struct qm_agreement_verdict v = judge(&rows, false);
    assert_true(v.agrees);
    assert_true(fabs(v.mean - 12.0 / 512) < 1e-9);
    assert_true(fabs(v.mean_bound - (511 * 0.2 + 8) / 512) < 1e-12);
    assert_true(v.body < 1e-13 && fabs(v.body_bound - 0.05) < 1e-12); // neither side's worst five
    assert_true(v.median == 1e-14 && fabs(v.median_bound - 0.02) < 1e-15);
    assert_true(rows.worst == 12 && rows.worst_position == 508);
    qm_agreement_clear(&rows);
}

// Wrong a little everywhere: the mean would pass, the median does not.
static void test_little_everywhere(void **state)
{
    (void)state;
    struct qm_agreement rows = {0};
    add(&rows, 500, 1e-4, 1e-5);
    add(&rows, 12, 1e-4, 5);
    struct qm_agreement_verdict v = judge(&rows, false);
    assert_true(v.mean < v.mean_bound && v.median > v.median_bound && !v.agrees);
    qm_agreement_clear(&rows);
}

// Wrong in a part: most rows are equal, and the mean tells.
static void test_much_in_places(void **state)
{
    (void)state;
    struct qm_agreement rows = {0};
    add(&rows, 384, 1e-14, 1e-3);
    add(&rows, 128, 0.5, 1e-3);
    struct qm_agreement_verdict v = judge(&rows, false);
    assert_true(v.median < v.median_bound && v.mean > v.mean_bound && v.body > v.body_bound && !v.agrees);
    qm_agreement_clear(&rows);
}

// int8 keys beside an outlier, as two drivers gave them: three rows of 512 at places that are unsure have half of the own
// mean. Thirty of them are no rounding; and what few rows lose must not exceed what the scheme itself does.
static void test_few_flips(void **state)
{
    (void)state;
    struct qm_agreement rows = {0};
    add(&rows, 509, 1e-6, 4e-3);
    add(&rows, 3, 0.75, 1.4);
    struct qm_agreement_verdict v = judge(&rows, false);
    assert_true(v.agrees && v.mean > v.mean_bound / 4);
    qm_agreement_clear(&rows);
    add(&rows, 482, 1e-6, 4e-3);
    add(&rows, 30, 0.05, 1.4);
    v = judge(&rows, false);
    assert_true(v.mean < v.mean_bound && v.body < v.body_bound && v.agrees);
    qm_agreement_clear(&rows);
    add(&rows, 482, 1e-6, 4e-3);
    add(&rows, 30, 0.75, 1.4);
    v = judge(&rows, false);
    assert_true(v.mean < v.mean_bound && v.body > v.body_bound && !v.agrees);
    qm_agreement_clear(&rows);
    add(&rows, 509, 1e-6, 4e-3);
    add(&rows, 3, 5, 1.4);
    v = judge(&rows, false);
    assert_true(v.mean > v.mean_bound && v.body < v.body_bound && !v.agrees);
    qm_agreement_clear(&rows);
}

// fp32 has no divergence of its own; what binary16 may do, float32 may not.
// What rounding alone does to a model widens the bounds, and no further than twice that.
static void test_shaken(void **state)
{
    (void)state;
    struct qm_agreement rows = {0};
    for (uint32_t i = 0; i < 512; i++)
        assert_int_equal(qm_agreement_add(&rows, 1e-4, 5e-4, 6e-5, 0, i), QM_OK);
    struct qm_agreement_verdict v = judge(&rows, false);
    assert_true(v.agrees);
    assert_true(fabs(v.median_bound - 1.2e-4) < 1e-12 && fabs(v.body_bound - 1.25e-4) < 1e-12);
    qm_agreement_clear(&rows);
    for (uint32_t i = 0; i < 512; i++)
        assert_int_equal(qm_agreement_add(&rows, 1.3e-4, 5e-4, 6e-5, 0, i), QM_OK);
    assert_false(judge(&rows, false).agrees);
    qm_agreement_clear(&rows);
    for (uint32_t i = 0; i < 512; i++)
        assert_int_equal(qm_agreement_add(&rows, 1e-4, 5e-4, 0, 0, i), QM_OK); // not measured: a tenth of the own
    assert_false(judge(&rows, false).agrees);
    qm_agreement_clear(&rows);
}

static void test_floors(void **state)
{
    (void)state;
    struct qm_agreement rows = {0};
    add(&rows, 512, 5e-7, 0);
    assert_true(judge(&rows, false).agrees);
    assert_false(judge(&rows, true).agrees);
    qm_agreement_clear(&rows);
    assert_true(rows.count == 0 && rows.device == NULL);
    add(&rows, 3, (double)NAN, 0);
    assert_false(judge(&rows, false).agrees);
    qm_agreement_clear(&rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_one_flip),
        cmocka_unit_test(test_little_everywhere),
        cmocka_unit_test(test_much_in_places),
        cmocka_unit_test(test_few_flips),
        cmocka_unit_test(test_shaken),
        cmocka_unit_test(test_floors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
