// Sustained rates: windows by hand, and simulated runs whose truth is known.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "score/sustained.h"
#include "test/near.h"

enum {
    BLOCKS_MAX = 8000,
    PROBES_MAX = 700
};

enum shape {
    STEADY,
    STEP,     // 100 to 70
    LINEAR,   // 1 a second until 70
    SAWTOOTH, // at once to 70, up to 90 within 10 s, and so on
    DRIFT     // 3 in 30 s, from the start
};

struct run {
    enum shape shape;
    double sd, correlation; // of windows
    double seconds, onset_s;
    double probe_share; // how much of the fall the probe sees: 1 if the clock fell, 0 if it did not
    bool no_probe;
};

static double begin_ns[BLOCKS_MAX], wall_ns[BLOCKS_MAX], probe_at_ns[PROBES_MAX], probe_ns[PROBES_MAX];

static double level(const struct run *run, double at)
{
    double since = at - run->onset_s;
    if (run->shape == DRIFT)
        return 100.0 - 0.1 * at;
    if (run->shape == STEADY || since < 0.0)
        return 100.0;
    return run->shape == STEP     ? 70.0
           : run->shape == LINEAR ? fmax(70.0, 100.0 - since)
                                  : 70.0 + 2.0 * fmod(since, 10.0);
}

// Blocks of 10 units, a probe of 20 ms after each second. `truth` becomes the true rate of the last third.
static struct qm_sustained_samples simulate(const struct run *run, uint64_t seed, double *truth)
{
    struct qm_random random;
    qm_random_seed(&random, seed, 20);
    size_t blocks = 0, probes = 0;
    double noise = qm_random_normal(&random), now = 0.0, next = 1.0, units = 0.0, busy = 0.0;
    while (now < run->seconds) {
        double rate = level(run, now) * (1.0 + run->sd * noise) * (1.0 + 0.005 * qm_random_normal(&random));
        assert_true(blocks < BLOCKS_MAX);
        begin_ns[blocks] = now * 1e9;
        wall_ns[blocks++] = 10.0 / rate * 1e9;
        if (now > run->seconds * 2.0 / 3.0) {
            units += 10.0;
            busy += 10.0 / level(run, now);
        }
        now += 10.0 / rate;
        if (now >= next) {
            double fall = 100.0 / level(run, now) - 1.0;
            noise =
                run->correlation * noise + sqrt(1.0 - run->correlation * run->correlation) * qm_random_normal(&random);
            probe_at_ns[probes] = now * 1e9;
            probe_ns[probes] = 2e7 * (1.0 + run->probe_share * fall) * (1.0 + 0.01 * qm_random_normal(&random));
            now += probe_ns[probes++] * 1e-9;
            next += 1.0;
        }
    }
    if (truth)
        *truth = units / busy;
    return (struct qm_sustained_samples){.count = blocks,
                                         .begin_ns = begin_ns,
                                         .wall_ns = wall_ns,
                                         .units = 10.0,
                                         .probe_count = run->no_probe ? 0 : probes,
                                         .probe_at_ns = probe_at_ns,
                                         .probe_ns = probe_ns};
}

static void make(const struct run *run, uint64_t seed, struct qm_sustained *out, double *truth)
{
    const struct qm_bootstrap bootstrap = {seed, 199, 950};
    const struct qm_sustained_params params = QM_SUSTAINED_DEFAULT(&bootstrap);
    struct qm_sustained_samples samples = simulate(run, seed, truth);
    assert_int_equal(qm_sustained_make(&samples, &params, out), QM_OK);
}

static void windows_by_hand(void **state)
{
    (void)state;
    const struct qm_bootstrap bootstrap = QM_BOOTSTRAP_DEFAULT;
    struct qm_sustained_params params = QM_SUSTAINED_DEFAULT(&bootstrap);
    // 0 to 0.4, 0.5 to 0.9, a probe until 1.0 that delays, 0.95 to 1.35 over the border, a hole, 3.2 to 3.6.
    double begins[] = {0.0, 5e8, 9.5e8, 3.2e9}, walls[] = {4e8, 4e8, 4e8, 4e8};
    uint8_t throttled[] = {0, 1, 0, 0, 1};
    struct qm_sustained_samples samples = {
        .count = 4, .begin_ns = begins, .wall_ns = walls, .units = 8, .throttled = throttled, .throttled_count = 5};
    struct qm_sustained out;
    assert_int_equal(qm_sustained_make(&samples, &params, &out), QM_OK);
    assert_int_equal(out.state, QM_SUSTAINED_TOO_SHORT);
    assert_int_equal(out.window_count, 4);
    assert_near(out.windows[0].busy_s, 0.85, 1e-12);
    assert_near(out.windows[0].units, 17.0, 1e-12); // 8 + 8 + an eighth of the third block
    assert_near(out.windows[0].rate, 20.0, 1e-9);
    assert_near(out.windows[0].wall_rate, 17.0, 1e-9);
    assert_near(out.windows[1].units, 7.0, 1e-12);
    assert_near(out.windows[1].rate, 20.0, 1e-9);
    assert_int_equal(out.windows[1].tags, QM_WINDOW_THROTTLED_TELEMETRY);
    assert_int_equal(out.windows[2].tags, QM_WINDOW_EMPTY);
    assert_int_equal(out.holes, 1);
    assert_near(out.windows[3].length_s, 0.6, 1e-12);
    assert_int_equal(out.windows[3].tags, 0);
    assert_int_equal(out.tagged_telemetry, 1);
    assert_near(out.busy_share, 1.6 / 3.6, 1e-12);
    assert_near(out.burst.value, 20.0, 1e-9);
    assert_int_equal(out.burst.state, QM_ESTIMATE_POINT);
    qm_sustained_free(&out);

    // A rest of less than half a window belongs to the last one.
    samples.count = 3;
    assert_int_equal(qm_sustained_make(&samples, &params, &out), QM_OK);
    assert_int_equal(out.window_count, 1);
    assert_near(out.windows[0].units, 24.0, 1e-12);
    assert_near(out.windows[0].length_s, 1.35, 1e-12);
    qm_sustained_free(&out);

    // Blocks of 5 s: windows of 10 s.
    static double slow_begins[40], slow_walls[40];
    for (int i = 0; i < 40; ++i) {
        slow_begins[i] = 5e9 * i;
        slow_walls[i] = 5e9;
    }
    samples = (struct qm_sustained_samples){.count = 40, .begin_ns = slow_begins, .wall_ns = slow_walls, .units = 1};
    assert_int_equal(qm_sustained_make(&samples, &params, &out), QM_OK);
    assert_near(out.window_s, 10.0, 1e-12);
    assert_int_equal(out.window_count, 20);
    assert_int_equal(out.state, QM_SUSTAINED_UNDECIDABLE); // 7 windows in the last third have no slope
    assert_near(out.rate.value, 0.2, 1e-12);
    qm_sustained_free(&out);
    assert_null(out.windows);
}

static void bad_input(void **state)
{
    (void)state;
    const struct qm_bootstrap bootstrap = QM_BOOTSTRAP_DEFAULT, bad = {0, 5, 950};
    struct qm_sustained_params params = QM_SUSTAINED_DEFAULT(&bootstrap);
    double begins[] = {0.0, 1e9}, walls[] = {5e8, 5e8}, probes[] = {1e6};
    struct qm_sustained_samples samples = {.count = 2, .begin_ns = begins, .wall_ns = walls, .units = 1};
    struct qm_sustained out;
    samples.count = 0;
    assert_int_equal(qm_sustained_make(&samples, &params, &out), QM_OK);
    assert_int_equal(out.state, QM_SUSTAINED_TOO_SHORT);
    assert_int_equal(out.rate.state, QM_ESTIMATE_NOT_MEASURED);
    samples.count = 2;
    begins[1] = 4e8; // overlaps
    assert_int_equal(qm_sustained_make(&samples, &params, &out), QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "block 1"));
    begins[1] = 1e300;
    assert_int_equal(qm_sustained_make(&samples, &params, &out), QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "20,000 windows"));
    begins[1] = 1e9;
    walls[0] = 0.0;
    assert_int_equal(qm_sustained_make(&samples, &params, &out), QM_INVALID);
    walls[0] = 5e8;
    samples.units = (double)NAN;
    assert_int_equal(qm_sustained_make(&samples, &params, &out), QM_INVALID);
    samples.units = 1.0;
    samples.probe_count = 1;
    samples.probe_at_ns = probes;
    samples.probe_ns = probes;
    probes[0] = -1.0;
    assert_int_equal(qm_sustained_make(&samples, &params, &out), QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "probe 0"));
    samples.probe_count = 0;
    params.window_s = 0.0;
    assert_int_equal(qm_sustained_make(&samples, &params, &out), QM_INVALID);
    params = QM_SUSTAINED_DEFAULT(&bad);
    assert_int_equal(qm_sustained_make(&samples, &params, &out), QM_INVALID);
    assert_null(out.windows);
}

// How often a simulated run gets each state.
static void count_states(const struct run *run, int runs, int counts[4])
{
    memset(counts, 0, 4 * sizeof(*counts));
    for (int i = 0; i < runs; ++i) {
        struct qm_sustained out;
        make(run, (uint64_t)i, &out, NULL);
        ++counts[out.state];
        qm_sustained_free(&out);
    }
    print_message(
        "shape %d, noise %4.1f %%, correlation %.1f, %.0f s: steady %d, undecidable %d, not steady %d of %d\n",
        run->shape, 100.0 * run->sd, run->correlation, run->seconds, counts[QM_SUSTAINED_STEADY],
        counts[QM_SUSTAINED_UNDECIDABLE], counts[QM_SUSTAINED_NOT_STEADY], runs);
}

static void steadiness(void **state)
{
    (void)state;
    int counts[4];
    count_states(&(struct run){.sd = 0.01, .seconds = 125}, 100, counts);
    assert_true(counts[QM_SUSTAINED_STEADY] >= 95);
    count_states(&(struct run){.sd = 0.01, .correlation = 0.5, .seconds = 125}, 100, counts);
    assert_true(counts[QM_SUSTAINED_STEADY] >= 95);
    count_states(&(struct run){.sd = 0.1, .seconds = 125}, 100, counts);
    assert_true(counts[QM_SUSTAINED_UNDECIDABLE] >= 95 && counts[QM_SUSTAINED_STEADY] == 0);
    count_states(&(struct run){.sd = 0.1, .correlation = 0.5, .seconds = 125}, 100, counts);
    assert_true(counts[QM_SUSTAINED_UNDECIDABLE] >= 90 && counts[QM_SUSTAINED_STEADY] == 0);
    count_states(&(struct run){.sd = 0.03, .correlation = 0.5, .seconds = 300}, 50, counts); // longer settles it
    assert_true(counts[QM_SUSTAINED_STEADY] >= 47);
    count_states(&(struct run){.shape = DRIFT, .sd = 0.01, .seconds = 125}, 100, counts);
    assert_true(counts[QM_SUSTAINED_NOT_STEADY] >= 95 && counts[QM_SUSTAINED_STEADY] == 0);
    count_states(&(struct run){.shape = DRIFT, .sd = 0.03, .correlation = 0.5, .seconds = 125}, 100, counts);
    assert_int_equal(counts[QM_SUSTAINED_STEADY], 0);
    count_states(&(struct run){.shape = SAWTOOTH, .sd = 0.01, .seconds = 125, .onset_s = 30}, 30, counts);
    assert_int_equal(counts[QM_SUSTAINED_STEADY], 0);
    count_states(&(struct run){.shape = STEP, .sd = 0.01, .seconds = 125, .onset_s = 50}, 100, counts);
    assert_true(counts[QM_SUSTAINED_STEADY] >= 95); // after the step
    count_states(&(struct run){.sd = 0.01, .seconds = 60}, 10, counts);
    assert_int_equal(counts[QM_SUSTAINED_TOO_SHORT], 10);

    // From when, and what noise is told.
    struct qm_sustained out;
    make(&(struct run){.shape = STEP, .sd = 0.01, .seconds = 125, .onset_s = 50}, 5, &out, NULL);
    assert_int_equal(out.state, QM_SUSTAINED_STEADY);
    assert_near(out.steady_from_s, 50.0, 3.0);
    assert_true(out.change_low >= -0.01 && out.change_high <= 0.01);
    assert_near(out.noise, 0.01, 0.004);
    assert_true(out.seconds_needed == 0.0);
    qm_sustained_free(&out);
    make(&(struct run){.sd = 0.1, .seconds = 125}, 6, &out, NULL);
    assert_int_equal(out.state, QM_SUSTAINED_UNDECIDABLE);
    assert_near(out.noise, 0.1, 0.03);
    assert_in_range((int)out.seconds_needed, 200, 500);
    qm_sustained_free(&out);
}

static void throttling(void **state)
{
    (void)state;
    static const double sds[] = {0.01, 0.03, 0.1};
    static const double correlations[] = {0.0, 0.5};
    static const enum shape shapes[] = {STEP, LINEAR, SAWTOOTH};
    for (size_t s = 0; s < COUNT(shapes); ++s)
        for (size_t n = 0; n < COUNT(sds); ++n)
            for (size_t c = 0; c < COUNT(correlations); ++c) {
                enum {
                    RUNS = 80
                };
                int near = 0, right = 0, apart = 0, clock = 0;
                for (int i = 0; i < RUNS; ++i) {
                    struct run run = {shapes[s], sds[n], correlations[c], 125.0, 20.0 + 30.0 * i / RUNS, 1.0, false};
                    struct qm_sustained out;
                    double truth;
                    make(&run, (uint64_t)(5100 + i), &out, &truth);
                    near += out.onset.found && fabs(out.onset_s - run.onset_s) <= 5.0;
                    right += fabs(out.rate.value / truth - 1.0) <= 0.02;
                    apart += out.ratio.state == QM_ESTIMATE_INTERVAL && out.ratio.high < 1.0;
                    clock += out.cause == QM_THROTTLE_CLOCK;
                    qm_sustained_free(&out);
                }
                print_message("shape %d, noise %4.1f %%, correlation %.1f: onset within 5 s %d, rate within 2 %% %d, "
                              "burst told apart %d, clock %d of %d\n",
                              shapes[s], 100.0 * sds[n], correlations[c], near, right, apart, clock, RUNS);
                if (sds[n] <= 0.03) {
                    assert_true(near >= RUNS * 95 / 100 && right >= RUNS * 95 / 100 && clock >= RUNS * 95 / 100);
                    assert_true(apart >= RUNS * 90 / 100);
                }
            }
}

static void no_false_onset(void **state)
{
    (void)state;
    static const double sds[] = {0.01, 0.03, 0.1};
    for (size_t n = 0; n < COUNT(sds); ++n) {
        enum {
            RUNS = 150
        };
        int found = 0, apart = 0;
        for (int i = 0; i < RUNS; ++i) {
            struct qm_sustained out;
            make(&(struct run){.sd = sds[n], .correlation = 0.5, .seconds = 125}, (uint64_t)(1000 + i), &out, NULL);
            found += out.onset.found;
            apart += out.ratio.high < 1.0;
            qm_sustained_free(&out);
        }
        print_message("no throttling, noise %4.1f %%: onset in %d, sustained below burst in %d of %d\n", 100.0 * sds[n],
                      found, apart, RUNS);
        assert_true(found <= RUNS * 5 / 100);
        assert_true(apart <= RUNS * 5 / 100);
    }
}

static void causes(void **state)
{
    (void)state;
    struct qm_sustained out;
    struct run run = {STEP, 0.01, 0.0, 125.0, 40.0, 0.0, false};
    make(&run, 1, &out, NULL);
    assert_true(out.onset.found);
    assert_int_equal(out.cause, QM_THROTTLE_NOT_CLOCK);
    assert_near(out.probe_slowdown, 1.0, 0.01);
    assert_int_equal(out.tagged_probe, 0);
    qm_sustained_free(&out);
    run.probe_share = 0.25;
    make(&run, 1, &out, NULL);
    assert_int_equal(out.cause, QM_THROTTLE_PARTLY_CLOCK);
    qm_sustained_free(&out);
    run.probe_share = 1.0;
    make(&run, 1, &out, NULL);
    assert_int_equal(out.cause, QM_THROTTLE_CLOCK);
    assert_near(out.probe_slowdown, 100.0 / 70.0, 0.02);
    assert_near(out.onset.before, 100.0, 1.0);
    assert_near(out.onset.after, 70.0, 1.0);
    assert_in_range(out.tagged_probe, 82, 87); // every window after 40 s
    assert_true((out.windows[30].tags & QM_WINDOW_THROTTLED_PROBE) == 0);
    assert_true((out.windows[60].tags & QM_WINDOW_THROTTLED_PROBE) != 0);
    assert_string_equal(qm_throttle_cause_name(out.cause), "clock");
    qm_sustained_free(&out);
    run.no_probe = true;
    make(&run, 1, &out, NULL);
    assert_true(out.onset.found);
    assert_int_equal(out.cause, QM_THROTTLE_UNKNOWN);
    assert_true(out.probe_slowdown == 0.0);
    qm_sustained_free(&out);
    run = (struct run){.sd = 0.01, .seconds = 125};
    make(&run, 1, &out, NULL);
    assert_false(out.onset.found);
    assert_int_equal(out.cause, QM_THROTTLE_NONE);
    qm_sustained_free(&out);
}

static void coverage(void **state)
{
    (void)state;
    static const double correlations[] = {0.0, 0.5};
    for (size_t c = 0; c < COUNT(correlations); ++c) {
        enum {
            RUNS = 200
        };
        int rate = 0, burst = 0, ratio = 0;
        for (int i = 0; i < RUNS; ++i) {
            struct qm_sustained out;
            make(&(struct run){.sd = 0.03, .correlation = correlations[c], .seconds = 125}, (uint64_t)(3000 + i), &out,
                 NULL);
            rate += out.rate.low <= 100.0 && 100.0 <= out.rate.high;
            burst += out.burst.low <= 100.0 && 100.0 <= out.burst.high;
            ratio += out.ratio.low <= 1.0 && 1.0 <= out.ratio.high;
            assert_true(out.p5.value <= out.p50.value && out.p50.value <= out.p95.value);
            assert_near(out.p50.value, 100.0, 5.0);
            assert_true(out.wall_rate.value < out.rate.value); // the probe takes 2 %
            assert_near(out.wall_rate.value / out.rate.value, 0.98, 0.005);
            qm_sustained_free(&out);
        }
        print_message("coverage of 95 %%, correlation %.1f: sustained %.1f, burst %.1f, ratio %.1f %%\n",
                      correlations[c], 100.0 * rate / RUNS, 100.0 * burst / RUNS, 100.0 * ratio / RUNS);
        assert_in_range(rate, RUNS * 88 / 100, RUNS);
        assert_in_range(burst, RUNS * 90 / 100, RUNS);
        assert_in_range(ratio, RUNS * 90 / 100, RUNS);
    }
}

static void recomputable(void **state)
{
    (void)state;
    struct qm_sustained a, b;
    struct run run = {LINEAR, 0.03, 0.5, 125.0, 40.0, 1.0, false};
    make(&run, 7, &a, NULL);
    make(&run, 7, &b, NULL);
    assert_true(a.rate.low == b.rate.low && a.ratio.high == b.ratio.high && a.onset.share == b.onset.share);
    assert_true(a.onset_s == b.onset_s && a.state == b.state && a.change_low == b.change_low);
    qm_sustained_free(&a);
    qm_sustained_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_by_hand), cmocka_unit_test(bad_input),      cmocka_unit_test(steadiness),
        cmocka_unit_test(throttling),      cmocka_unit_test(no_false_onset), cmocka_unit_test(causes),
        cmocka_unit_test(coverage),        cmocka_unit_test(recomputable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
