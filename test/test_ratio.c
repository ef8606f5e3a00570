// Throughput: gains of paired samples, rates and latencies, against values worked by hand and simulated truth.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/numeric.h"
#include "score/ratio.h"
#include "test/score_assert.h"

static double normal(struct qm_random *random)
{
    double sum = -6.0;
    for (int i = 0; i < 12; ++i)
        sum += qm_random_unit(random);
    return sum;
}

static void gain_by_hand(void **state)
{
    (void)state;
    const struct qm_bootstrap bootstrap = QM_BOOTSTRAP_DEFAULT;
    double baseline[20], scheme[20];
    struct qm_estimate gain;
    for (int i = 0; i < 20; ++i) {
        scheme[i] = 1e6 * (1 + i % 7); // the machine's speed wanders, the pairs do not
        baseline[i] = 2.0 * scheme[i];
    }
    assert_int_equal(qm_ratio_paired(baseline, scheme, 20, 1, &bootstrap, &gain), QM_OK);
    assert_estimate(&gain, 2, 2, 2, 1e-14);
    assert_int_equal(qm_ratio_paired(baseline, scheme, QM_RATIO_BLOCKS_MIN, 1, &bootstrap, &gain), QM_OK);
    assert_int_equal(gain.state, QM_ESTIMATE_INTERVAL);
    assert_int_equal(qm_ratio_paired(baseline, scheme, QM_RATIO_BLOCKS_MIN - 1, 1, &bootstrap, &gain), QM_OK);
    assert_int_equal(gain.state, QM_ESTIMATE_POINT);
    assert_near(gain.value, 2.0, 1e-14);
    assert_true(gain.low == 0.0 && gain.high == 0.0);
    assert_int_equal(qm_ratio_paired(baseline, scheme, 20, 3, &bootstrap, &gain), QM_OK); // 7 blocks
    assert_int_equal(gain.state, QM_ESTIMATE_POINT);
    assert_int_equal(qm_ratio_paired(baseline, scheme, 0, 1, &bootstrap, &gain), QM_OK);
    assert_int_equal(gain.state, QM_ESTIMATE_NOT_MEASURED);
    scheme[3] = 0.0;
    assert_int_equal(qm_ratio_paired(baseline, scheme, 20, 1, &bootstrap, &gain), QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "sample 3"));
    assert_int_equal(qm_ratio_paired(baseline, baseline, 20, 0, &bootstrap, &gain), QM_INVALID);
    baseline[0] = (double)NAN;
    assert_int_equal(qm_ratio_paired(baseline, scheme, 1, 1, &bootstrap, &gain), QM_INVALID);
    assert_int_equal(gain.state, QM_ESTIMATE_NOT_MEASURED);
    baseline[0] = 1e300;
    scheme[0] = 1e-300;
    assert_int_equal(qm_ratio_paired(baseline, scheme, 1, 1, &bootstrap, &gain), QM_OK);
    assert_int_equal(gain.state, QM_ESTIMATE_OUT_OF_RANGE);

    // Computed in Python, as the golden summary.
    for (int i = 0; i < 20; ++i) {
        baseline[i] = 1000 + i * 37 % 101;
        scheme[i] = 700 + i * 53 % 97;
    }
    assert_int_equal(qm_ratio_paired(baseline, scheme, 20, 2, &(struct qm_bootstrap){7, 2000, 950}, &gain), QM_OK);
    assert_estimate(&gain, 1.4120268987961999, 1.3967210590632095, 1.426879155689182, 1e-12);
}

// Few pairs with normal noise: the widened interval holds the truth about 95 times in 100.
static void coverage_of_gain(void **state)
{
    (void)state;
    enum {
        TRIALS = 1000
    };
    static const size_t blocks[] = {8, 12, 30};
    struct qm_random random;
    qm_random_seed(&random, 77, 0);
    for (size_t b = 0; b < COUNT(blocks); ++b) {
        int held = 0;
        for (int trial = 0; trial < TRIALS; ++trial) {
            double baseline[30], scheme[30];
            struct qm_estimate gain;
            for (size_t i = 0; i < blocks[b]; ++i) {
                baseline[i] = 1.3e6 * exp(0.02 * normal(&random));
                scheme[i] = 1e6 * exp(0.02 * normal(&random));
            }
            const struct qm_bootstrap bootstrap = {(uint64_t)trial, 399, 950};
            assert_int_equal(qm_ratio_paired(baseline, scheme, blocks[b], 1, &bootstrap, &gain), QM_OK);
            held += gain.low <= 1.3 && 1.3 <= gain.high;
        }
        print_message("coverage of 95 %% of the gain over %zu pairs: %.1f %%\n", blocks[b], 100.0 * held / TRIALS);
        assert_in_range(held, TRIALS * 92 / 100, TRIALS * 98 / 100);
    }
}

static void rates_and_latencies(void **state)
{
    (void)state;
    const struct qm_bootstrap bootstrap = QM_BOOTSTRAP_DEFAULT;
    static double ns[2000];
    struct qm_estimate rate;
    for (int i = 0; i < 2000; ++i)
        ns[i] = 1e6;
    assert_int_equal(qm_rate(ns, 20, 1, 10, &bootstrap, &rate), QM_OK); // 10 units in 1 ms
    assert_estimate(&rate, 1e4, 1e4, 1e4, 1e-9);
    assert_int_equal(qm_rate(ns, 17, 2, 10, &bootstrap, &rate), QM_OK); // the last block has one sample only
    assert_estimate(&rate, 1e4, 1e4, 1e4, 1e-9);
    assert_int_equal(qm_rate(ns, 3, 1, 10, &bootstrap, &rate), QM_OK);
    assert_int_equal(rate.state, QM_ESTIMATE_POINT);
    assert_near(rate.value, 1e4, 1e-9);
    assert_int_equal(qm_rate(ns, 0, 1, 10, &bootstrap, &rate), QM_OK);
    assert_int_equal(rate.state, QM_ESTIMATE_NOT_MEASURED);
    assert_int_equal(qm_rate(ns, 20, 1, 0, &bootstrap, &rate), QM_INVALID);
    ns[1] = 3e6; // 2 units in 4 ms
    assert_int_equal(qm_rate(ns, 2, 1, 1, &bootstrap, &rate), QM_OK);
    assert_near(rate.value, 500.0, 1e-9);
    assert_int_equal(qm_rate(ns, 20, 1, 1, &bootstrap, &rate), QM_OK);
    assert_int_equal(rate.state, QM_ESTIMATE_INTERVAL);
    assert_true(rate.low < rate.value && rate.value < rate.high);

    struct qm_latency latency;
    for (int i = 0; i < 2000; ++i)
        ns[i] = (double)(i * 77 % 1000 + 1); // 1 .. 1,000 twice over
    assert_int_equal(qm_latency_percentiles(ns, 1000, 1, &bootstrap, &latency), QM_OK);
    assert_true(latency.p50.value == 500.0 && latency.p95.value == 950.0 && latency.p99.value == 990.0);
    assert_int_equal(latency.p99.state, QM_ESTIMATE_INTERVAL);
    assert_in_range((int)latency.p50.low, 460, 480); // 500 -+ 1.96 sqrt(1000) / 2 = 469 .. 531
    assert_in_range((int)latency.p50.high, 520, 540);
    assert_true(latency.p99.low < 990.0 && 990.0 < latency.p99.high);
    assert_int_equal(qm_latency_percentiles(ns, 999, 1, &bootstrap, &latency), QM_OK);
    assert_int_equal(latency.p99.state, QM_ESTIMATE_POINT);
    assert_int_equal(latency.p95.state, QM_ESTIMATE_INTERVAL);
    assert_int_equal(qm_latency_percentiles(ns, 99, 1, &bootstrap, &latency), QM_OK);
    assert_int_equal(latency.p99.state, QM_ESTIMATE_NOT_MEASURED);
    assert_int_equal(latency.p95.state, QM_ESTIMATE_POINT);
    assert_int_equal(qm_latency_percentiles(ns, 19, 1, &bootstrap, &latency), QM_OK);
    assert_int_equal(latency.p95.state, QM_ESTIMATE_NOT_MEASURED);
    assert_int_equal(latency.p50.state, QM_ESTIMATE_POINT);
    assert_int_equal(qm_latency_percentiles(ns, 1, 1, &bootstrap, &latency), QM_OK);
    assert_int_equal(latency.p50.state, QM_ESTIMATE_NOT_MEASURED);
    assert_int_equal(qm_latency_percentiles(ns, 2000, 300, &bootstrap, &latency), QM_OK); // 7 blocks
    assert_int_equal(latency.p50.state, QM_ESTIMATE_POINT);
    assert_int_equal(qm_latency_percentiles(ns, 2000, 150, &bootstrap, &latency), QM_OK); // 14, the last one short
    assert_int_equal(latency.p99.state, QM_ESTIMATE_INTERVAL);
    assert_true(latency.p50.low <= latency.p50.value && latency.p50.value <= latency.p50.high);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gain_by_hand),
        cmocka_unit_test(coverage_of_gain),
        cmocka_unit_test(rates_and_latencies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
