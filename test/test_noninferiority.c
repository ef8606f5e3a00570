// Non-inferiority of exact match: the interval of the ratio against a likelihood that was maximised by search (in
// Python; its numbers stand here), against simulated truth, and on sets that are too small or too uniform.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "score/acceptance.h"
#include "score/noninferiority.h"
#include "test/score_assert.h"

static void intervals_against_search(void **state)
{
    (void)state;
    static const struct {
        struct qm_paired_counts counts;
        double value, low, high;
    } cases[] = {
        {{80, 3, 9, 8}, 83.0 / 89, 0.8472168726763911, 1.0107784001297528},
        {{380, 0, 0, 20}, 1.0, 0.989992069036793, 1.0101091021597213},
        {{950, 12, 20, 18}, 962.0 / 970, 0.9793885442972258, 1.0033965626234946},
        {{6, 5, 1, 0}, 11.0 / 7, 0.8971820398786771, 2.992626847320824},
        {{9, 0, 3, 0}, 0.75, 0.4676946650664342, 1.0701215668986679},
        {{0, 6, 1, 5}, 6.0, 0.9488321290510218, 37.94137961580785},
        {{0, 4, 3, 5}, 4.0 / 3, 0.3341487019194399, 5.320319269731545},
    };
    for (size_t i = 0; i < COUNT(cases); ++i) {
        struct qm_estimate ratio = qm_paired_ratio(&cases[i].counts, 950);
        assert_estimate(&ratio, cases[i].value, cases[i].low, cases[i].high, 1e-5);
        // Swapping scheme and reference turns the interval over.
        const struct qm_paired_counts c = cases[i].counts;
        const struct qm_paired_counts swapped = {c.both, c.reference_only, c.scheme_only, c.neither};
        struct qm_estimate other = qm_paired_ratio(&swapped, 950);
        assert_near(other.low * ratio.high, 1.0, 1e-9);
        assert_near(other.high * ratio.low, 1.0, 1e-9);
        struct qm_estimate wide = qm_paired_ratio(&c, 990), narrow = qm_paired_ratio(&c, 900);
        assert_true(wide.low < ratio.low && ratio.low < narrow.low);
        assert_true(wide.high > ratio.high && ratio.high > narrow.high);
    }
}

// Sets without a single difference must not prove anything that their size does not.
static void no_difference_is_no_proof(void **state)
{
    (void)state;
    const double z2 = 1.959963984540054 * 1.959963984540054;
    const uint32_t sizes[] = {10, 100, 1000, 1000000};
    for (size_t i = 0; i < COUNT(sizes); ++i) {
        const struct qm_paired_counts equal = {sizes[i], 0, 0, 7};
        struct qm_estimate ratio = qm_paired_ratio(&equal, 950);
        double m = (double)sizes[i];
        assert_estimate(&ratio, 1.0, m / (m + z2), (m + z2) / m, 1e-9);
    }
    // 380 examples are one or two short of 0.99; 381 do, and 3,838 for 0.999.
    struct qm_paired_counts counts = {380, 0, 0, 0};
    assert_true(qm_paired_ratio(&counts, 950).low < 0.99);
    counts.both = 381;
    assert_true(qm_paired_ratio(&counts, 950).low > 0.99);
    assert_true(qm_paired_ratio(&counts, 950).low < 0.999);
    counts.both = 3838;
    assert_true(qm_paired_ratio(&counts, 950).low > 0.999);
}

static void hostile_counts(void **state)
{
    (void)state;
    struct qm_paired_counts counts = {0};
    assert_int_equal(qm_paired_ratio(&counts, 950).state, QM_ESTIMATE_NOT_MEASURED);
    assert_int_equal(qm_paired_examples_needed(&counts, 0.99, 950), 0);
    assert_true(qm_paired_ratio_score(&counts, 0.99) == 0.0);
    counts = (struct qm_paired_counts){0, 5, 0, 40}; // the reference is never right
    assert_int_equal(qm_paired_ratio(&counts, 950).state, QM_ESTIMATE_NOT_MEASURED);
    counts = (struct qm_paired_counts){9, 0, 0, 0}; // one too few
    assert_int_equal(qm_paired_ratio(&counts, 950).state, QM_ESTIMATE_POINT);
    counts = (struct qm_paired_counts){0, 0, 40, 0}; // the scheme is never right
    struct qm_estimate ratio = qm_paired_ratio(&counts, 950);
    assert_int_equal(ratio.state, QM_ESTIMATE_INTERVAL);
    assert_true(ratio.value == 0.0 && ratio.low == 0.0 && ratio.high > 0.0 && ratio.high < 0.2);
    assert_int_equal(qm_paired_examples_needed(&counts, 0.99, 950), 40); // it has failed already
    counts = (struct qm_paired_counts){99, 0, 1, 0};                     // the threshold itself: never told
    assert_int_equal(qm_paired_examples_needed(&counts, 0.99, 950), 0);
    // Every small table: ends in order around the value, T is z and -z there, and nothing is NaN.
    for (uint32_t i = 0; i < 4 * 4 * 4 * 2; ++i) {
        counts = (struct qm_paired_counts){i & 3, i >> 2 & 3, i >> 4 & 3, 10 + 500 * (i >> 6)};
        ratio = qm_paired_ratio(&counts, 950);
        if (ratio.state != QM_ESTIMATE_INTERVAL)
            continue;
        assert_true(isfinite(ratio.low) && isfinite(ratio.high));
        assert_true(ratio.low >= 0 && ratio.low <= ratio.value && ratio.value <= ratio.high);
        assert_near(qm_paired_ratio_score(&counts, ratio.high), -1.959963984540054, 1e-6);
        if (ratio.low > 0)
            assert_near(qm_paired_ratio_score(&counts, ratio.low), 1.959963984540054, 1e-6);
    }
    const struct qm_paired_counts huge = {4000000000u, 100000000u, 100000000u, 94967295u};
    ratio = qm_paired_ratio(&huge, 950);
    assert_near(ratio.value, 1.0, 0);
    assert_true(ratio.low > 0.99998 && ratio.low < 1 && ratio.high > 1 && ratio.high < 1.00002);
}

static struct qm_paired_counts draw(struct qm_random *random, uint32_t n, double both, double scheme, double reference)
{
    struct qm_paired_counts counts = {0};
    for (uint32_t i = 0; i < n; ++i) {
        double u = qm_random_unit(random);
        if (u < both)
            ++counts.both;
        else if (u < both + scheme)
            ++counts.scheme_only;
        else if (u < both + scheme + reference)
            ++counts.reference_only;
        else
            ++counts.neither;
    }
    return counts;
}

// Where the scheme is exactly as bad as the threshold, a pass is an error: 2.5 % of sets at most, and not far below that
// (a rule that never passes is no rule). The interval holds the truth in 95 %. And sets of the size that is asked for
// pass in 80 %.
static void coverage_and_power(void **state)
{
    (void)state;
    enum {
        TRIALS = 2000
    };
    static const struct {
        double threshold, both, reference; // the scheme's own share follows from the threshold
        uint32_t examples;
    } nulls[] = {{0.99, 0.70, 0.03, 400}, {0.99, 0.75, 0.02, 3400}, {0.9, 0.60, 0.08, 200}, {0.999, 0.85, 0.01, 4000}};
    struct qm_random random;
    qm_random_seed(&random, 4, 7);
    for (size_t i = 0; i < COUNT(nulls); ++i) {
        double r = nulls[i].threshold, both = nulls[i].both, reference = nulls[i].reference;
        double scheme = r * (both + reference) - both;
        assert_true(scheme > 0);
        unsigned passes = 0, covered = 0;
        for (unsigned t = 0; t < TRIALS; ++t) {
            const struct qm_paired_counts counts = draw(&random, nulls[i].examples, both, scheme, reference);
            struct qm_estimate ratio = qm_paired_ratio(&counts, 950);
            passes += ratio.low > r;
            covered += ratio.low <= r && r <= ratio.high;
        }
        print_message("%u examples at ratio %g: passes %.2f %%, covered %.2f %%\n", nulls[i].examples, r,
                      100.0 * passes / TRIALS, 100.0 * covered / TRIALS);
        assert_in_range(passes, TRIALS * 10 / 1000, TRIALS * 37 / 1000);
        assert_in_range(covered, TRIALS * 935 / 1000, TRIALS * 965 / 1000);
    }
    static const struct {
        double threshold;
        struct qm_paired_counts seen;
    } plans[] = {{0.99, {300, 9, 9, 82}},
                 {0.99, {350, 1, 1, 48}},
                 {0.9, {100, 6, 9, 30}},
                 {0.999, {900, 3, 2, 95}},
                 {0.99, {300, 4, 11, 85}}}; // below its threshold: what is asked for makes it fail
    for (size_t i = 0; i < COUNT(plans); ++i) {
        const struct qm_paired_counts seen = plans[i].seen;
        uint64_t needed = qm_paired_examples_needed(&seen, plans[i].threshold, 950);
        double n = (double)seen.both + seen.scheme_only + seen.reference_only + seen.neither;
        assert_true((double)needed > n && needed < 20000);
        bool is_above = (double)(seen.both + seen.scheme_only) > plans[i].threshold * (seen.both + seen.reference_only);
        unsigned told = 0;
        for (unsigned t = 0; t < TRIALS / 4; ++t) {
            const struct qm_paired_counts counts =
                draw(&random, (uint32_t)needed, seen.both / n, seen.scheme_only / n, seen.reference_only / n);
            const struct qm_estimate ratio = qm_paired_ratio(&counts, 950);
            told += is_above ? ratio.low > plans[i].threshold : ratio.high < plans[i].threshold;
        }
        print_message("threshold %g: %u examples asked for, which tell in %.1f %%\n", plans[i].threshold,
                      (unsigned)needed, 100.0 * told / (TRIALS / 4));
        assert_in_range(told, TRIALS / 4 * 73 / 100, TRIALS / 4 * 87 / 100);
    }
}

static void how_many_are_needed(void **state)
{
    (void)state;
    const struct qm_paired_counts worse = {300, 0, 9, 91}; // 0.971: more of the like would pass 0.96
    assert_true(qm_paired_examples_needed(&worse, 0.96, 950) > 400);
    const struct qm_paired_counts bad = {300, 0, 5, 95}; // 0.984: and fail 0.99
    assert_true(qm_paired_examples_needed(&bad, 0.99, 950) > 400);
    const struct qm_paired_counts much_worse = {280, 0, 29, 91}; // 0.906: it has failed
    assert_int_equal(qm_paired_examples_needed(&much_worse, 0.99, 950), 400);
    const struct qm_paired_counts enough = {4000, 0, 0, 5};
    assert_int_equal(qm_paired_examples_needed(&enough, 0.99, 950), 4005);
    // The rule of thumb of discordant share and margin, n = (1.96 + 0.84)^2 d / delta^2, for 5 % and 0.01 x 0.8.
    const struct qm_paired_counts typical = {310, 10, 10, 70};
    double thumb = 2.8016 * 2.8016 * 0.05 / (0.01 * 0.8 * 0.01 * 0.8);
    double needed = (double)qm_paired_examples_needed(&typical, 0.99, 950);
    assert_true(needed > 0.85 * thumb && needed < 1.2 * thumb);
}

// The same through a summary of tokens: one example, one token.
static void through_the_summary(void **state)
{
    (void)state;
    enum {
        EXAMPLES = 400
    };
    static uint32_t cell[EXAMPLES];
    struct qm_token_scores *scores;
    struct qm_summary *summary;
    assert_int_equal(qm_token_scores_create(EXAMPLES, &scores), QM_OK);
    for (uint32_t i = 0; i < EXAMPLES; ++i) {
        scores->sequence[i] = i;
        scores->hit[i] = i >= 20;
        scores->hit_reference[i] = i >= 20;
    }
    const struct qm_summary_params params = {scores, EXAMPLES, cell, 1, QM_BOOTSTRAP_DEFAULT};
    assert_int_equal(qm_summary_create(&params, &summary), QM_OK);
    assert_int_equal(summary->graded.both, 380);
    assert_int_equal(summary->graded.neither, 20);
    uint64_t needed;
    assert_int_equal(qm_acceptance_non_inferiority(summary, 0.9, &needed), QM_VERDICT_PASS);
    assert_int_equal(needed, 400);
    assert_int_equal(qm_acceptance_non_inferiority(summary, 0.99, &needed), QM_VERDICT_INCONCLUSIVE);
    assert_true(needed > 400 && needed < 1000);
    assert_int_equal(qm_acceptance_non_inferiority(summary, 0.999, &needed), QM_VERDICT_INCONCLUSIVE);
    assert_true(needed > 4000 && needed < 10000);
    const struct qm_criterion criterion = {QM_METRIC_EXACT_MATCH_RATIO, QM_BOUND_LOWER, 0.999};
    struct qm_criterion_verdict verdict;
    enum qm_verdict overall;
    assert_int_equal(qm_acceptance_judge(&criterion, 1, summary, NULL, &verdict, &overall), QM_OK);
    assert_int_equal(overall, QM_VERDICT_INCONCLUSIVE);
    char expected[64];
    snprintf(expected, sizeof(expected), ">= 0.999: inconclusive; %u graded examples would tell", (unsigned)needed);
    assert_non_null(strstr(verdict.text, expected));
    qm_summary_destroy(&summary);
    // A scheme that loses 40 answers of 380 fails; that takes no more examples.
    for (uint32_t i = 20; i < 60; ++i)
        scores->hit[i] = 0;
    assert_int_equal(qm_summary_create(&params, &summary), QM_OK);
    assert_int_equal(qm_acceptance_non_inferiority(summary, 0.99, &needed), QM_VERDICT_FAIL);
    assert_int_equal(needed, EXAMPLES);
    qm_summary_destroy(&summary);
    qm_token_scores_destroy(&scores);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(intervals_against_search), cmocka_unit_test(no_difference_is_no_proof),
        cmocka_unit_test(hostile_counts),           cmocka_unit_test(coverage_and_power),
        cmocka_unit_test(how_many_are_needed),      cmocka_unit_test(through_the_summary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
