// When to stop sampling, what stopping does to the intervals, and the smallest effect that can be seen.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "score/ordered.h"
#include "score/ratio.h"
#include "score/stop.h"
#include "test/near.h"

enum {
    BLOCKS_MAX = 256,
    PAIRS_MAX = 2 * BLOCKS_MAX
};

static enum qm_stop decide(const struct qm_stop_params *params, const double *logs, size_t count, uint64_t elapsed_ns,
                           double *width)
{
    enum qm_stop decision;
    assert_int_equal(qm_stop_decide(params, logs, count, elapsed_ns, &decision, width), QM_OK);
    return decision;
}

static void by_hand(void **state)
{
    (void)state;
    struct qm_stop_params params = QM_STOP_DEFAULT;
    double logs[PAIRS_MAX], width;
    for (size_t i = 0; i < PAIRS_MAX; ++i)
        logs[i] = i % 4 < 2 ? 0.021 : 0.019;                                  // block means of 0.021 and 0.019 in turn
    assert_int_equal(decide(&params, logs, 30, 0, &width), QM_STOP_CONTINUE); // 15 blocks: before the first look
    assert_true(width == 0.0);
    assert_int_equal(decide(&params, logs, 32, 0, &width), QM_STOP_NARROW);
    assert_near(width, 2.1314 * 0.0010328 / 4.0, 1e-5);                       // t of 15, sd, sqrt of 16
    assert_int_equal(decide(&params, logs, 33, 0, &width), QM_STOP_NARROW);   // half a block is not looked at
    assert_int_equal(decide(&params, logs, 34, 0, &width), QM_STOP_CONTINUE); // 17 blocks: between looks
    assert_near(width, 2.1314 * 0.0010328 / 4.0, 1e-5);
    assert_int_equal(decide(&params, logs, 48, 0, &width), QM_STOP_NARROW);
    params.half_width = 1e-5;
    assert_int_equal(decide(&params, logs, 48, 0, &width), QM_STOP_CONTINUE);
    assert_int_equal(decide(&params, logs, 48, 5, &width), QM_STOP_CONTINUE); // no limit of time
    params.time_limit_ns = 5;
    assert_int_equal(decide(&params, logs, 48, 4, &width), QM_STOP_CONTINUE);
    assert_int_equal(decide(&params, logs, 48, 5, &width), QM_STOP_TIME);
    assert_int_equal(decide(&params, logs, 0, 5, NULL), QM_STOP_TIME);
    assert_int_equal(decide(&params, logs, PAIRS_MAX, 5, &width), QM_STOP_MOST);
    assert_string_equal(qm_stop_name(QM_STOP_NARROW), "narrow enough");

    // The ratio itself changes nothing.
    params = QM_STOP_DEFAULT;
    double shifted[PAIRS_MAX], other;
    for (size_t i = 0; i < PAIRS_MAX; ++i)
        shifted[i] = logs[i] + 3.0;
    decide(&params, logs, 64, 0, &width);
    assert_int_equal(decide(&params, shifted, 64, 0, &other), QM_STOP_NARROW);
    assert_near(other, width, 1e-12);

    enum qm_stop decision;
    logs[3] = (double)NAN;
    assert_int_equal(qm_stop_decide(&params, logs, 40, 0, &decision, NULL), QM_INVALID);
    params.blocks_min = 3;
    assert_int_equal(qm_stop_decide(&params, shifted, 40, 0, &decision, NULL), QM_INVALID);
    params = QM_STOP_DEFAULT;
    params.confidence_permille = 800;
    assert_int_equal(qm_stop_decide(&params, shifted, 40, 0, &decision, NULL), QM_INVALID);
}

// ABBA blocks over a machine whose speed wanders as AR(1): the logarithms of two ratios each.
static void draw_block(struct qm_random *random, double sd, double rho, double *noise, double ratio, double *logs)
{
    double times[4];
    for (int i = 0; i < 4; ++i) {
        times[i] = sd * *noise;
        *noise = rho * *noise + sqrt(1.0 - rho * rho) * qm_random_normal(random);
    }
    logs[0] = log(ratio) + times[0] - times[1]; // A B
    logs[1] = log(ratio) + times[3] - times[2]; // B A
}

static void coverage_after_stopping(void **state)
{
    (void)state;
    static const struct {
        double sd, rho, width, ratio;
    } cases[] = {{0.1, 0.0, 0.02, 1.3},
                 {0.1, 0.5, 0.02, 1.3},
                 {0.1, 0.5, 0.04, 0.8},
                 {0.1, 0.9, 0.02, 1.0},
                 {0.02, 0.5, 0.005, 1.3}};
    for (size_t c = 0; c < COUNT(cases); ++c) {
        enum {
            RUNS = 600
        };
        struct qm_stop_params params = QM_STOP_DEFAULT;
        params.half_width = cases[c].width;
        int held = 0, narrow = 0;
        double blocks_taken = 0.0, bias = 0.0;
        for (int run = 0; run < RUNS; ++run) {
            double logs[PAIRS_MAX], baseline[PAIRS_MAX], scheme[PAIRS_MAX];
            struct qm_random random;
            qm_random_seed(&random, (uint64_t)run, 40 + c);
            double noise = qm_random_normal(&random);
            size_t blocks = 0;
            enum qm_stop decision = QM_STOP_CONTINUE;
            while (decision == QM_STOP_CONTINUE) {
                draw_block(&random, cases[c].sd, cases[c].rho, &noise, cases[c].ratio, logs + 2 * blocks);
                ++blocks;
                decision = decide(&params, logs, 2 * blocks, 0, NULL);
            }
            for (size_t i = 0; i < 2 * blocks; ++i) {
                scheme[i] = 1e6;
                baseline[i] = 1e6 * exp(logs[i]);
            }
            const struct qm_bootstrap bootstrap = {(uint64_t)run, 199, 950};
            struct qm_estimate gain;
            assert_int_equal(qm_ratio_paired(baseline, scheme, 2 * blocks, 2, &bootstrap, &gain), QM_OK);
            held += gain.low <= cases[c].ratio && cases[c].ratio <= gain.high;
            narrow += decision == QM_STOP_NARROW;
            blocks_taken += (double)blocks / RUNS;
            bias += (log(gain.value) - log(cases[c].ratio)) / RUNS;
        }
        print_message(
            "noise %4.1f %%, correlation %.1f, width %.1f %%: coverage %.1f %%, bias %+.3f %%, %.0f blocks, narrow "
            "in %.0f %%\n",
            100.0 * cases[c].sd, cases[c].rho, 100.0 * cases[c].width, 100.0 * held / RUNS, 100.0 * bias, blocks_taken,
            100.0 * narrow / RUNS);
        assert_true(held >= RUNS * 92 / 100);
        assert_near(bias, 0.0, cases[c].width / 10.0);
    }
}

static void noise_floor(void **state)
{
    (void)state;
    double logs[PAIRS_MAX];
    struct qm_noise_floor floor_of;
    for (size_t i = 0; i < 64; ++i)
        logs[i] = i % 4 < 2 ? 0.02 : -0.02;
    assert_int_equal(qm_noise_floor(logs, 64, 2, 0, 950, &floor_of), QM_OK);
    assert_int_equal(floor_of.blocks, 32);
    assert_near(floor_of.mean, 0.0, 1e-12);
    assert_near(floor_of.sd, 0.02 * sqrt(32.0 / 31.0), 1e-12);
    // 2.8 * 2 % / sqrt(32) is 1 %.
    assert_near(floor_of.effect, 0.01, 2e-4);
    assert_int_equal(qm_noise_floor(logs, 64, 2, 128, 950, &floor_of), QM_OK);
    assert_near(floor_of.effect, 0.005, 1e-4);
    assert_int_equal(qm_noise_floor(logs, 7, 2, 0, 950, &floor_of), QM_INVALID);

    // An effect of that size is seen in 4 cases of 5, and none where there is none in 19 of 20.
    int seen = 0, alarms = 0;
    for (int run = 0; run < 1000; ++run) {
        struct qm_random random;
        qm_random_seed(&random, (uint64_t)run, 50);
        for (size_t i = 0; i < 100; ++i)
            logs[i] = 0.03 * qm_random_normal(&random);
        assert_int_equal(qm_noise_floor(logs, 100, 1, 0, 950, &floor_of), QM_OK);
        alarms += floor_of.low > 0.0 || floor_of.high < 0.0;
        double effect = log(1.0 + floor_of.effect);
        for (size_t i = 0; i < 100; ++i)
            logs[i] = 0.03 * qm_random_normal(&random) + effect;
        assert_int_equal(qm_noise_floor(logs, 100, 1, 0, 950, &floor_of), QM_OK);
        seen += floor_of.low > 0.0;
    }
    print_message("noise floor: an effect of that size seen in %.1f %%, none seen as one in %.1f %%\n", seen / 10.0,
                  alarms / 10.0);
    assert_in_range(seen, 750, 850);
    assert_in_range(alarms, 20, 70);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_hand),
        cmocka_unit_test(coverage_after_stopping),
        cmocka_unit_test(noise_floor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
