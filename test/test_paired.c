// Answers of two passes: the six kinds of change, McNemar's exact test against a sum of whole numbers, and the interval of
// the difference against its own definition, against published numbers and against simulated truth.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "record/node.h"
#include "test/near.h"
#include "workload/disclosure.h"
#include "workload/paired.h"

static void test_changes(void **state)
{
    (void)state;
    const enum qm_judgement yes = QM_ANSWER_RIGHT, no = QM_ANSWER_WRONG, none = QM_ANSWER_UNJUDGED;
    const struct qm_paired_answer answers[] = {
        {yes, yes, true}, {yes, yes, false}, {no, no, true},    {no, no, false},   {no, yes, false}, {no, yes, false},
        {yes, no, false}, {none, no, true},  {none, yes, true}, {no, none, false}, {yes, yes, true}, {yes, yes, true},
    };
    struct qm_paired_summary summary;
    assert_int_equal(qm_paired_summarize(answers, COUNT(answers), 950, &summary), QM_OK);
    assert_int_equal(summary.examples, 12);
    assert_int_equal(summary.changes[QM_CHANGE_NONE], 5);
    assert_int_equal(summary.changes[QM_CHANGE_LOST], 3);
    assert_int_equal(summary.changes[QM_CHANGE_GAINED], 1);
    assert_int_equal(summary.changes[QM_CHANGE_OTHER_RIGHT], 1);
    assert_int_equal(summary.changes[QM_CHANGE_OTHER_WRONG], 2);
    assert_int_equal(summary.flips, 4);
    assert_int_equal(summary.changed, 7);
    assert_int_equal(summary.unjudged, 2);
    assert_int_equal(summary.unjudged_reference, 1);
    assert_int_equal(summary.counts.both, 4);
    assert_int_equal(summary.counts.neither, 4);
    assert_near(summary.accuracy.value, 5.0 / 12, 1e-15);
    assert_near(summary.accuracy_reference.value, 7.0 / 12, 1e-15);
    assert_near(summary.ratio.value, 5.0 / 7, 1e-15);
    assert_near(summary.difference.value, -2.0 / 12, 1e-15);
    assert_near(summary.p_value, 0.625, 1e-15); // 2 (1 + 4) / 16
    assert_int_equal(summary.accuracy.state, QM_ESTIMATE_INTERVAL);
    struct qm_node *node = qm_node_new_mapping();
    qm_workload_disclose_changes(&summary, node);
    assert_string_equal(qm_node_text_at(node, "right_to_wrong", ""), "3");
    assert_string_equal(qm_node_text_at(node, "p_value", ""), "0.625");
    qm_node_destroy(&node);
    // Few examples have numbers and no intervals, none have neither.
    assert_int_equal(qm_paired_summarize(answers, 9, 950, &summary), QM_OK);
    assert_int_equal(summary.accuracy.state, QM_ESTIMATE_POINT);
    assert_int_equal(summary.difference.state, QM_ESTIMATE_POINT);
    assert_int_equal(qm_paired_summarize(NULL, 0, 950, &summary), QM_OK);
    assert_int_equal(summary.accuracy.state, QM_ESTIMATE_NOT_MEASURED);
    assert_int_equal(summary.difference.state, QM_ESTIMATE_NOT_MEASURED);
    assert_true(summary.p_value == 1.0);
    assert_int_equal(qm_paired_summarize(answers, 12, 94, &summary), QM_INVALID);
    assert_string_equal(qm_answer_change_name(QM_CHANGE_LOST), "right to wrong");
}

static void test_mcnemar(void **state)
{
    (void)state;
    for (uint32_t n = 0; n <= 50; n++)
        for (uint32_t b = 0; b <= n; b++) {
            uint64_t coefficient = 1, below = 0; // C(n, j) is below 2^53 here
            for (uint32_t j = 0; j <= (b < n - b ? b : n - b); j++) {
                below += coefficient;
                coefficient = coefficient * (n - j) / (j + 1);
            }
            double p = 2.0 * (double)below / ldexp(1.0, (int)n);
            assert_near(qm_mcnemar_exact(b, n - b), p < 1.0 ? p : 1.0, 1e-12);
        }
    // 1 and 7: bronchial reactivity before and after a transplantation (Bentur et al., Chest 119, 2001), as in Fagerland,
    // Lydersen and Laake, "Recommended tests and confidence intervals for paired binomial proportions", 2014.
    assert_near(qm_mcnemar_exact(1, 7), 0.0703125, 1e-15);
    assert_true(qm_mcnemar_exact(1000000, 1000000) == 1.0);
    // Fourteen standard deviations apart: some 1e-45.
    double p = qm_mcnemar_exact(1010000, 990000);
    assert_true(p > 0.0 && p < 1e-40);
    assert_true(qm_mcnemar_exact(0, UINT32_MAX) == 0.0); // below any double
}

// T(d) of the header, from constrained likelihood by a search over the remaining parameter.
static double score_by_search(double n, double b, double c, double d)
{
    double low = d < 0 ? -d : 0, high = (1 - d) / 2; // share of c; that of b is d more
    for (int i = 0; i < 300; i++) {
        double left = low + (high - low) * 0.382, right = low + (high - low) * 0.618, value[2];
        for (int k = 0; k < 2; k++) {
            double pc = k ? right : left, pb = pc + d, rest = 1 - pb - pc;
            value[k] =
                (b > 0 ? b * log(pb) : 0) + (c > 0 ? c * log(pc) : 0) + (n - b - c > 0 ? (n - b - c) * log(rest) : 0);
        }
        if (value[0] < value[1])
            low = left;
        else
            high = right;
    }
    double pc = (low + high) / 2;
    return (b - c - n * d) / sqrt(n * (2 * pc + d - d * d));
}

static void test_difference(void **state)
{
    (void)state;
    static const struct qm_paired_counts cases[] = {{1, 1, 7, 12},  {80, 3, 9, 8}, {950, 12, 20, 18},
                                                    {10, 5, 5, 10}, {0, 6, 1, 5},  {900, 1, 0, 99}};
    const double z = 1.959963984540054;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct qm_paired_counts *k = &cases[i];
        double n = (double)(k->both + k->scheme_only + k->reference_only + k->neither);
        double b = (double)k->scheme_only, c = (double)k->reference_only;
        struct qm_estimate interval = qm_paired_difference(k, 950);
        assert_int_equal(interval.state, QM_ESTIMATE_INTERVAL);
        assert_near(interval.value, (b - c) / n, 1e-15);
        assert_near(score_by_search(n, b, c, interval.low), z, 1e-4);
        assert_near(score_by_search(n, b, c, interval.high), -z, 1e-4);
        // Zero is outside exactly where McNemar's test with the normal distribution says so.
        bool is_told = fabs(b - c) / sqrt(b + c) > z;
        assert_int_equal(interval.low > 0 || interval.high < 0, is_told);
        // Swapped sides turn it over.
        const struct qm_paired_counts swapped = {k->both, k->reference_only, k->scheme_only, k->neither};
        struct qm_estimate other = qm_paired_difference(&swapped, 950);
        assert_near(other.low, -interval.high, 1e-12);
        assert_near(other.high, -interval.low, 1e-12);
    }
    // The table of Fagerland et al. has -0.517 to -0.026 for the first.
    struct qm_estimate published = qm_paired_difference(&cases[0], 950);
    assert_near(published.low, -0.517, 6e-4);
    assert_near(published.high, -0.026, 6e-4);
    // Without a single flip: as wide as the number of examples says.
    const struct qm_paired_counts equal = {90, 0, 0, 10};
    struct qm_estimate none = qm_paired_difference(&equal, 950);
    assert_near(none.high, z * z / (100 + z * z), 1e-9);
    assert_near(none.low, -none.high, 1e-9);
    const struct qm_paired_counts all = {0, 20, 0, 0};
    assert_near(qm_paired_difference(&all, 950).high, 1.0, 1e-9);
}

static void test_coverage(void **state)
{
    (void)state;
    struct qm_random random;
    qm_random_seed(&random, 5, 0);
    const double gained = 0.03, lost = 0.06;
    int held = 0, trials = 1500;
    for (int t = 0; t < trials; t++) {
        struct qm_paired_counts counts = {0};
        for (int i = 0; i < 150; i++) {
            double draw = qm_random_unit(&random);
            if (draw < gained)
                counts.scheme_only++;
            else if (draw < gained + lost)
                counts.reference_only++;
            else
                counts.both++;
        }
        struct qm_estimate interval = qm_paired_difference(&counts, 950);
        held += interval.low <= gained - lost && gained - lost <= interval.high;
    }
    assert_true(held > 0.94 * trials && held < 0.965 * trials);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_mcnemar),
        cmocka_unit_test(test_difference),
        cmocka_unit_test(test_coverage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
