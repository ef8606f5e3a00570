// What the rules over samples in the order of time share: quantiles, correlation, slopes, moving blocks, the onset of a fall.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "score/onset.h"
#include "score/ordered.h"
#include "test/near.h"

static void quantiles(void **state)
{
    (void)state;
    assert_near(qm_normal_exceeded_by(0.025), 1.959964, 5e-4);
    assert_near(qm_normal_exceeded_by(0.001), 3.090232, 5e-4);
    assert_near(qm_normal_exceeded_by(0.4), 0.253347, 5e-4);
    assert_near(qm_student_quantile(qm_normal_quantile(950), 10.0), 2.228139, 1e-3); // tables of Student's t
    assert_near(qm_student_quantile(qm_normal_quantile(990), 30.0), 2.749996, 1e-3);
    assert_near(qm_student_quantile(qm_normal_quantile(900), 5.0), 2.015048, 1e-2);
    assert_near(qm_student_quantile(qm_normal_quantile(950), 2.0), 4.302653, 0.1);

    double values[] = {9.0, 1.0, 4.0, 2.0}, room[4], median, mad;
    qm_median_mad(values, 4, room, &median, &mad);
    assert_near(median, 3.0, 0.0);
    assert_near(mad, 1.5, 0.0); // distances 6, 2, 1, 1
    assert_near(values[0], 9.0, 0.0);

    struct qm_random random;
    qm_random_seed(&random, 60, 0);
    double sum = 0.0, squares = 0.0, beyond = 0.0;
    for (int i = 0; i < 100000; ++i) {
        double z = qm_random_normal(&random);
        sum += z;
        squares += z * z;
        beyond += fabs(z) > 1.959964;
    }
    assert_near(sum / 1e5, 0.0, 0.01);
    assert_near(squares / 1e5, 1.0, 0.015);
    assert_near(beyond / 1e5, 0.05, 0.003);
}

static void ar1(struct qm_random *random, double rho, double *values, size_t count)
{
    double noise = qm_random_normal(random);
    for (size_t i = 0; i < count; ++i) {
        values[i] = noise;
        noise = rho * noise + sqrt(1.0 - rho * rho) * qm_random_normal(random);
    }
}

static void correlation_and_slope(void **state)
{
    (void)state;
    enum {
        COUNT_OF = 40,
        RUNS = 2000
    };
    static const double rhos[] = {0.0, 0.3, 0.6};
    struct qm_random random;
    qm_random_seed(&random, 61, 0);
    double at[COUNT_OF], values[COUNT_OF], room[COUNT_OF];
    for (size_t i = 0; i < COUNT_OF; ++i)
        at[i] = (double)i;
    for (size_t r = 0; r < COUNT(rhos); ++r) {
        double mean = 0.0;
        int held = 0;
        for (int run = 0; run < RUNS; ++run) {
            struct qm_slope slope;
            ar1(&random, rhos[r], values, COUNT_OF);
            for (size_t i = 0; i < COUNT_OF; ++i)
                values[i] = 5.0 + 0.25 * at[i] + 0.5 * values[i];
            qm_slope_fit(at, values, COUNT_OF, qm_normal_quantile(950), room, &slope);
            held += slope.low <= 0.25 && 0.25 <= slope.high;
            mean += slope.correlation / RUNS;
        }
        print_message("correlation %.1f of 40: estimated %.3f; interval of the slope holds it in %.1f %%\n", rhos[r],
                      mean, 100.0 * held / RUNS);
        assert_near(mean, rhos[r], 0.05);
        assert_in_range(held, RUNS * 90 / 100, RUNS * 98 / 100);
    }
    double flat[COUNT_OF] = {0};
    assert_near(qm_autocorrelation(flat, COUNT_OF, 1), 0.0, 0.0);
    assert_near(qm_autocorrelation(at, 5, 1), 0.0, 0.0);
}

static void moving_ratio(void **state)
{
    (void)state;
    enum {
        PIECES = 60,
        RUNS = 800
    };
    const struct qm_bootstrap bootstrap = QM_BOOTSTRAP_DEFAULT;
    double over[PIECES], under[PIECES], noise[PIECES];
    struct qm_estimate ratio;
    for (size_t i = 0; i < PIECES; ++i) {
        over[i] = 6.0;
        under[i] = i % 2 ? 2.0 : 4.0;
    }
    assert_int_equal(qm_moving_ratio(over, under, PIECES, &bootstrap, &ratio), QM_OK);
    assert_near(ratio.value, 2.0, 1e-12); // not the mean of 3 and 1.5
    assert_true(ratio.low <= 2.0 && 2.0 <= ratio.high);
    assert_int_equal(qm_moving_ratio(over, under, QM_MOVING_PIECES_MIN - 1, &bootstrap, &ratio), QM_OK);
    assert_int_equal(ratio.state, QM_ESTIMATE_POINT);
    assert_int_equal(qm_moving_ratio(over, under, 0, &bootstrap, &ratio), QM_OK);
    assert_int_equal(ratio.state, QM_ESTIMATE_NOT_MEASURED);
    under[1] = 5e-324;
    over[1] = 1e308;
    assert_int_equal(qm_moving_ratio(over + 1, under + 1, 1, &bootstrap, &ratio), QM_OK);
    assert_int_equal(ratio.state, QM_ESTIMATE_OUT_OF_RANGE);

    static const double rhos[] = {0.0, 0.5, 0.7};
    struct qm_random random;
    qm_random_seed(&random, 62, 0);
    for (size_t r = 0; r < COUNT(rhos); ++r) {
        int held = 0;
        for (int run = 0; run < RUNS; ++run) {
            ar1(&random, rhos[r], noise, PIECES);
            for (size_t i = 0; i < PIECES; ++i) {
                over[i] = 1.0;
                under[i] = 1.0 + 0.05 * noise[i];
            }
            const struct qm_bootstrap seeded = {(uint64_t)run, 199, 950};
            assert_int_equal(qm_moving_ratio(over, under, PIECES, &seeded, &ratio), QM_OK);
            held += ratio.low <= 1.0 && 1.0 <= ratio.high;
        }
        print_message("moving blocks, 60 pieces of correlation %.1f: coverage %.1f %%\n", rhos[r], 100.0 * held / RUNS);
        assert_in_range(held, RUNS * 89 / 100, RUNS * 98 / 100);
    }
}

static void onset(void **state)
{
    (void)state;
    double rates[100];
    struct qm_onset found;
    struct qm_random random;
    qm_random_seed(&random, 63, 0);
    for (size_t i = 0; i < 100; ++i)
        rates[i] = 50.0;
    assert_int_equal(qm_onset_find(rates, 100, 1, &found), QM_OK);
    assert_false(found.found);
    for (size_t i = 37; i < 100; ++i)
        rates[i] = 40.0; // no noise at all
    assert_int_equal(qm_onset_find(rates, 100, 1, &found), QM_OK);
    assert_true(found.found && !found.is_ramp);
    assert_int_equal(found.first, 37);
    assert_near(found.before, 50.0, 1e-9);
    assert_near(found.after, 40.0, 1e-9);
    for (size_t i = 0; i < 100; ++i) // flat to 30, then down until 60
        rates[i] = 50.0 -
                   10.0 * (i < 30    ? 0.0
                           : i >= 60 ? 1.0
                                     : (double)(i - 30) / 30.0) +
                   0.2 * qm_random_normal(&random);
    assert_int_equal(qm_onset_find(rates, 100, 1, &found), QM_OK);
    assert_true(found.found && found.is_ramp);
    assert_near((double)found.first, 31.0, 3.0);
    assert_near((double)found.last, 60.0, 3.0);
    for (size_t i = 0; i < 100; ++i) // a rise is no throttling
        rates[i] = (i < 50 ? 40.0 : 50.0) + 0.2 * qm_random_normal(&random);
    assert_int_equal(qm_onset_find(rates, 100, 1, &found), QM_OK);
    assert_false(found.found);
    for (size_t i = 0; i < 100; ++i) // 1 % is found and too small to be told
        rates[i] = (i < 50 ? 50.0 : 49.5) + 0.01 * qm_random_normal(&random);
    assert_int_equal(qm_onset_find(rates, 100, 1, &found), QM_OK);
    assert_false(found.found);
    assert_true(found.share <= QM_ONSET_SHARE);
    assert_int_equal(qm_onset_find(rates, QM_ONSET_WINDOWS_MIN - 1, 1, &found), QM_OK);
    assert_false(found.found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantiles),
        cmocka_unit_test(correlation_and_slope),
        cmocka_unit_test(moving_ratio),
        cmocka_unit_test(onset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
