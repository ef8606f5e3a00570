// Oddities of a list of samples: by hand, and how often each is named where it is and where it is not.
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
#include "score/series.h"
#include "test/near.h"

enum {
    SAMPLES_MAX = 1000
};
static double values[SAMPLES_MAX];

static struct qm_series describe(size_t count)
{
    struct qm_series series;
    assert_int_equal(qm_series_describe(values, count, &series), QM_OK);
    return series;
}

static const char *text_of(const struct qm_series *series)
{
    static char text[QM_SERIES_TEXT_BYTES];
    qm_series_text(series, text, sizeof(text));
    return text;
}

static void by_hand(void **state)
{
    (void)state;
    struct qm_series series = describe(0);
    assert_string_equal(text_of(&series), "too few samples to tell");
    for (size_t i = 0; i < 100; ++i)
        values[i] = 1e6 + 1e3 * (double)(i * 37 % 20);
    series = describe(100);
    assert_string_equal(text_of(&series), "none");
    assert_int_equal(series.count, 100);
    assert_near(series.median, 1.0095e6, 1.0);
    values[50] = 3.13e6;
    values[70] = 1.5e6;
    series = describe(100);
    assert_string_equal(text_of(&series), "2 outliers, up to 3.1x the median");
    values[20] = 0.5e6;
    series = describe(100);
    assert_int_equal(series.outliers_low, 1);
    assert_string_equal(text_of(&series), "3 outliers, up to 3.1x the median, down to 0.5x the median");
    values[0] = 2.02e6;
    series = describe(100);
    assert_true(series.is_first_slow);
    assert_non_null(strstr(text_of(&series), "the first sample took 2x the median"));

    for (size_t i = 0; i < 100; ++i)
        values[i] = (i * 37 % 10 < 3 ? 1.31e6 : 1.02e6) + 1e3 * ((double)(i * 53 % 11) - 5.0);
    series = describe(100);
    assert_string_equal(text_of(&series), "two modes: 1.02 ms (70 %) and 1.31 ms (30 %)");
    assert_near(series.shares[0] + series.shares[1], 1.0, 1e-12);

    for (size_t i = 0; i < 50; ++i) // most are equal: MAD is 0
        values[i] = i % 10 == 3 ? 1010.0 : 1000.0;
    series = describe(50);
    assert_int_equal(series.outliers_high, 5);
    for (size_t i = 0; i < 50; ++i)
        values[i] = 1000.0;
    series = describe(50);
    assert_string_equal(text_of(&series), "none");
    for (size_t i = 0; i < 40; ++i) // two values, and a clock's ticks
        values[i] = i % 3 ? 52000.0 : 67000.0;
    series = describe(40);
    assert_string_equal(text_of(&series), "two modes: 52 us (65 %) and 67 us (35 %)");
    for (size_t i = 0; i < 40; ++i)
        values[i] = i % 3 ? 52000.0 : 53000.0;
    series = describe(40);
    assert_false(series.has_modes);

    for (size_t i = 0; i < 100; ++i)
        values[i] = 1e9 * (1.0 + 0.001 * (double)i + 0.004 * (double)(i * 37 % 10));
    series = describe(100);
    assert_true(series.has_drift);
    assert_near(series.drift, 0.099 / 1.02, 0.005);
    assert_non_null(strstr(text_of(&series), "drift of +9.8 % from first to last"));

    char tiny[6];
    qm_series_text(&series, tiny, sizeof(tiny));
    assert_int_equal(strlen(tiny), 5);
    values[3] = 0.0;
    assert_int_equal(qm_series_describe(values, 10, &series), QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "sample 3"));
}

enum kind {
    NORMAL,
    LOGNORMAL,
    STUDENT, // three degrees of freedom
    SLOW,    // 5 % are slower by up to 15 standard deviations
    TICKS,   // a clock that ticks every standard deviation
    EXPONENTIAL,
    UNIFORM,
    MODES,      // 30 % 5 standard deviations above
    MODES_BELOW // 30 % below
};
static const char *const names[] = {"normal",      "lognormal", "Student's t, 3", "5 % slow",  "ticks",
                                    "exponential", "uniform",   "30 % above",     "30 % below"};

static double draw(struct qm_random *random, enum kind kind)
{
    double z = qm_random_normal(random), u = qm_random_unit(random), squares = 0.0;
    switch (kind) {
    case NORMAL:
        return 1e6 * (1.0 + 0.02 * z);
    case LOGNORMAL:
        return 1e6 * exp(0.3 * z);
    case STUDENT:
        for (int i = 0; i < 3; ++i) {
            double other = qm_random_normal(random);
            squares += other * other;
        }
        return 1e6 * exp(0.02 * z / sqrt(squares / 3.0));
    case SLOW:
        return 1e6 * (1.0 + 0.02 * (u < 0.05 ? 3.0 + 5.0 * fabs(z) : z));
    case TICKS:
        return 1e6 * (1.0 + 0.02 * floor(z + 0.5));
    case EXPONENTIAL:
        return 1e6 * (1.0 - 0.05 * log(1.0 - u));
    case UNIFORM:
        return 1e6 * (1.0 + 0.1 * u);
    case MODES:
        return 1e6 * (1.0 + 0.02 * (u < 0.3 ? 5.0 + z : z));
    default:
        return 1e6 * (1.0 + 0.02 * (u < 0.3 ? z : 5.0 + z));
    }
}

static void modes(void **state)
{
    (void)state;
    static const size_t counts[] = {20, 30, 50, 100, 300, 1000};
    struct qm_random random;
    qm_random_seed(&random, 31, 0);
    for (size_t kind = 0; kind < COUNT(names); ++kind)
        for (size_t c = 0; c < COUNT(counts); ++c) {
            int runs = counts[c] >= 300 ? 200 : 1000, found = 0, right = 0;
            for (int run = 0; run < runs; ++run) {
                for (size_t i = 0; i < counts[c]; ++i)
                    values[i] = draw(&random, (enum kind)kind);
                struct qm_series series = describe(counts[c]);
                found += series.has_modes;
                right += series.has_modes && fabs(series.modes[0] / 1e6 - 1.0) < 0.03 &&
                         fabs(series.modes[1] / 1.1e6 - 1.0) < 0.03;
            }
            print_message("%-14s %4zu samples: two modes in %.1f %% of %d\n", names[kind], counts[c],
                          100.0 * found / runs, runs);
            if (kind <= TICKS)
                assert_true(found * 50 <= runs); // 2 %
            else if (kind < MODES)
                assert_true(found * 10 <= runs);
            else if (counts[c] >= 30)
                assert_true(right * 100 >= runs * (counts[c] == 30 ? 75 : counts[c] == 50 ? 90 : 98));
        }
    // Three in ten exactly, as a fixed pattern has it.
    int found = 0;
    for (int run = 0; run < 400; ++run) {
        for (size_t i = 0; i < 30; ++i)
            values[i] = 1e6 * (1.0 + 0.02 * ((i % 10 < 3 ? 5.0 : 0.0) + qm_random_normal(&random)));
        found += describe(30).has_modes;
    }
    print_message("9 of 30 samples above: two modes in %.1f %%\n", found / 4.0);
    assert_true(found >= 340);
}

static void outliers(void **state)
{
    (void)state;
    struct qm_random random;
    qm_random_seed(&random, 32, 0);
    size_t named = 0, planted = 0, first = 0;
    for (int run = 0; run < 200; ++run) {
        for (size_t i = 0; i < 100; ++i)
            values[i] = 1e6 * exp(0.02 * qm_random_normal(&random));
        struct qm_series series = describe(100);
        named += series.outliers_high + series.outliers_low;
        first += series.is_first_slow;
        values[40] *= 1.3;
        values[41] *= 1.5;
        series = describe(100);
        planted += series.outliers_high >= 2 && series.farthest_high > 1.4;
    }
    print_message("outliers: %.2f in 100 normal samples, two planted ones found in %zu of 200\n", (double)named / 200.0,
                  planted);
    assert_true(named <= 60 && first <= 2); // 0.05 expected in 100 of a known spread
    assert_int_equal(planted, 200);

    // In two modes the lesser one is no heap of outliers.
    size_t in_modes = 0;
    for (int run = 0; run < 100; ++run) {
        for (size_t i = 0; i < 100; ++i)
            values[i] = 1e6 * (i % 5 == 0 ? 1.3 : 1.0) * exp(0.01 * qm_random_normal(&random));
        struct qm_series series = describe(100);
        assert_true(series.has_modes);
        assert_near(series.shares[1], 0.2, 1e-12);
        in_modes += series.outliers_high + series.outliers_low;
    }
    assert_true(in_modes < 60);
}

static void drift_and_correlation(void **state)
{
    (void)state;
    static const double correlations[] = {0.0, 0.5};
    struct qm_random random;
    qm_random_seed(&random, 33, 0);
    for (size_t c = 0; c < COUNT(correlations); ++c) {
        int alarms = 0, found = 0, correlated = 0;
        double rho = correlations[c];
        for (int run = 0; run < 500; ++run) {
            double noise = qm_random_normal(&random);
            for (size_t i = 0; i < 100; ++i) {
                values[i] = 1e6 * exp(0.02 * noise);
                noise = rho * noise + sqrt(1.0 - rho * rho) * qm_random_normal(&random);
            }
            struct qm_series series = describe(100);
            alarms += series.has_drift;
            correlated += series.is_correlated;
            for (size_t i = 0; i < 100; ++i)
                values[i] *= 1.0 + 0.001 * (double)i;
            series = describe(100);
            found += series.has_drift && series.drift_low < 0.1 && series.drift_high > 0.1;
        }
        print_message("correlation %.1f: drift named in %.1f %% without and %.1f %% with one of 10 %%, correlation in "
                      "%.1f %%\n",
                      rho, alarms / 5.0, found / 5.0, correlated / 5.0);
        assert_true(alarms <= 15);
        assert_true(found >= 480);
        if (rho > 0.0)
            assert_true(correlated >= 450);
        else
            assert_true(correlated <= 15);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_hand),
        cmocka_unit_test(modes),
        cmocka_unit_test(outliers),
        cmocka_unit_test(drift_and_correlation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
