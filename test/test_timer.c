// Timers of devices: their pace against the host's clock, and their times of long blocks against wall time.
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
#include "score/timer.h"
#include "test/near.h"

enum {
    PAIRS = 60,
    BLOCKS = 40
};

struct clock {
    uint32_t bits;
    double stated_ns, true_ns; // period of a tick
    double flip_ns;            // from the middle on; 0: as before
    double late_ns;            // what a tenth of the readings is late by
    double jitter_ns;
    double gap_ns; // between pairs
    uint64_t start;
};

static struct qm_timer_pace pace_of(const struct clock *clock, uint64_t seed, enum qm_status expected)
{
    static uint64_t host[PAIRS], ticks[PAIRS];
    struct qm_random random;
    struct qm_timer_pace pace;
    qm_random_seed(&random, seed, 0);
    double device = 0.0, before = 0.0;
    for (size_t i = 0; i < PAIRS; ++i) {
        double at = clock->gap_ns * (double)i;
        device += (at - before) / (clock->flip_ns > 0.0 && i > PAIRS / 2 ? clock->flip_ns : clock->true_ns);
        before = at;
        double read = at + clock->jitter_ns * fabs(qm_random_normal(&random)) +
                      (qm_random_below(&random, 10) == 0 ? clock->late_ns : 0.0);
        host[i] = UINT64_C(1000000000000) + (uint64_t)read;
        if (i > 0 && host[i] < host[i - 1])
            host[i] = host[i - 1];
        ticks[i] = clock->start + (uint64_t)device;
        if (clock->bits < 64)
            ticks[i] &= (UINT64_C(1) << clock->bits) - 1;
    }
    struct qm_timer_pairs pairs = {PAIRS, host, ticks, clock->bits, clock->stated_ns};
    assert_int_equal(qm_timer_pace(&pairs, &pace), expected);
    return pace;
}

static void paces(void **state)
{
    (void)state;
    struct clock clock = {.bits = 64, .stated_ns = 1, .true_ns = 1, .jitter_ns = 2000, .late_ns = 5e6, .gap_ns = 3e7};
    int held = 0, good = 0;
    for (uint64_t seed = 0; seed < 200; ++seed) {
        struct qm_timer_pace pace = pace_of(&clock, seed, QM_OK);
        good += pace.state == QM_TIMER_GOOD;
        held += pace.ratio.low <= 1.0 && 1.0 <= pace.ratio.high;
        assert_near(pace.ratio.value, 1.0, 1e-5); // though some readings are 5 ms late
        assert_true(pace.standard_error > 0.0 && pace.standard_error < 1e-5);
    }
    print_message("pace: good in %d, interval holds the truth in %d of 200\n", good, held);
    assert_int_equal(good, 200);
    assert_in_range(held, 184, 200);

    // 36 bits of 52.08 ns wrap after an hour; begun shortly before.
    clock = (struct clock){.bits = 36,
                           .stated_ns = 52.0833,
                           .true_ns = 52.0833,
                           .jitter_ns = 2000,
                           .gap_ns = 3e7,
                           .start = (UINT64_C(1) << 36) - 10000};
    struct qm_timer_pace pace = pace_of(&clock, 1, QM_OK);
    assert_int_equal(pace.state, QM_TIMER_GOOD);
    assert_near(pace.ratio.value, 1.0, 1e-4);
    assert_near(pace.seconds, 1.77, 0.01);
    assert_true(pace.residual_sd_ns > 500.0 && pace.residual_sd_ns < 5000.0);
    assert_string_equal(pace.reason, "");

    // The driver says 1 ns, the truth is 41.667.
    clock = (struct clock){.bits = 64, .stated_ns = 1, .true_ns = 41.6667, .jitter_ns = 2000, .gap_ns = 3e7};
    pace = pace_of(&clock, 2, QM_OK);
    assert_int_equal(pace.state, QM_TIMER_OTHER_PACE);
    assert_near(pace.period_ns, 41.6667, 0.01);
    assert_non_null(strstr(pace.reason, "41.66"));
    clock.true_ns = 1.01; // off by 1 %
    pace = pace_of(&clock, 3, QM_OK);
    assert_int_equal(pace.state, QM_TIMER_OTHER_PACE);
    clock.true_ns = 1.003; // within 0.5 %
    pace = pace_of(&clock, 3, QM_OK);
    assert_int_equal(pace.state, QM_TIMER_GOOD);
    clock.jitter_ns = 3e7; // readings that late tell nothing
    pace = pace_of(&clock, 3, QM_OK);
    assert_int_equal(pace.state, QM_TIMER_UNDECIDABLE);

    clock =
        (struct clock){.bits = 64, .stated_ns = 1, .true_ns = 1, .flip_ns = 41.6667, .jitter_ns = 2000, .gap_ns = 3e7};
    pace = pace_of(&clock, 4, QM_OK);
    assert_int_equal(pace.state, QM_TIMER_VOID);
    assert_non_null(strstr(pace.reason, "changes its pace"));
    clock = (struct clock){.bits = 64, .stated_ns = 1, .true_ns = 1e30, .gap_ns = 3e7};
    pace = pace_of(&clock, 5, QM_OK);
    assert_int_equal(pace.state, QM_TIMER_VOID);
    assert_non_null(strstr(pace.reason, "stands still"));
    clock = (struct clock){.bits = 0, .stated_ns = 1, .true_ns = 1, .gap_ns = 3e7};
    pace = pace_of(&clock, 5, QM_OK);
    assert_int_equal(pace.state, QM_TIMER_VOID);
    clock = (struct clock){.bits = 64, .stated_ns = 1, .true_ns = 1, .gap_ns = 1e6}; // 59 ms in all
    assert_int_equal(pace_of(&clock, 6, QM_OK).state, QM_TIMER_TOO_FEW);
    clock = (struct clock){.bits = 24, .stated_ns = 1, .true_ns = 1, .gap_ns = 3e7}; // wraps after 17 ms
    pace_of(&clock, 7, QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "wraps after"));
    clock.bits = 65;
    pace_of(&clock, 7, QM_INVALID);
    clock.bits = 64;
    clock.stated_ns = 0;
    pace_of(&clock, 7, QM_INVALID);

    uint64_t host[10], ticks[10];
    for (size_t i = 0; i < 10; ++i) {
        host[i] = UINT64_C(200000000) * i;
        ticks[i] = UINT64_C(1) << 40;
        ticks[i] += i == 6 ? 0 : host[i];
    }
    struct qm_timer_pairs pairs = {10, host, ticks, 64, 1};
    assert_int_equal(qm_timer_pace(&pairs, &pace), QM_OK);
    assert_int_equal(pace.state, QM_TIMER_VOID);
    assert_non_null(strstr(pace.reason, "backwards"));
    host[5] = 0;
    assert_int_equal(qm_timer_pace(&pairs, &pace), QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "pair 5"));
}

struct blocks {
    double overhead_ns, share; // wall = overhead + truth, device = share * truth
    double shortest_ns, longest_ns;
    double noise_ns; // of the host, never below 0
};

static struct qm_timer_check check_of(const struct blocks *blocks, uint64_t seed)
{
    static double device[BLOCKS], wall[BLOCKS];
    struct qm_random random;
    struct qm_timer_check check;
    qm_random_seed(&random, seed, 0);
    for (size_t i = 0; i < BLOCKS; ++i) {
        double truth = blocks->shortest_ns + (blocks->longest_ns - blocks->shortest_ns) * (double)(i % 8) / 7.0;
        truth *= 1.0 + 0.01 * qm_random_normal(&random);
        device[i] = blocks->share * truth;
        wall[i] = truth + blocks->overhead_ns + blocks->noise_ns * fabs(qm_random_normal(&random));
    }
    struct qm_timer_blocks input = {BLOCKS, device, wall, 50e6, 0.05};
    assert_int_equal(qm_timer_check(&input, &check), QM_OK);
    return check;
}

static void blocks_against_wall(void **state)
{
    (void)state;
    int good = 0, slope = 0, overhead = 0, more = 0, less = 0, large = 0;
    for (uint64_t seed = 0; seed < 100; ++seed) {
        struct qm_timer_check check = check_of(&(struct blocks){2e6, 1.0, 6e7, 2.4e8, 2e5}, seed);
        good += check.state == QM_TIMER_GOOD;
        slope += check.slope.low <= 1.0 && 1.0 <= check.slope.high;
        overhead +=
            fabs(check.overhead_ns.value - 2e6) < 5e5 && check.overhead_ns.low < 2.2e6 && check.overhead_ns.high > 2e6;
        more += check_of(&(struct blocks){2e6, 1.1, 6e7, 2.4e8, 2e5}, seed).state == QM_TIMER_VOID;
        less += check_of(&(struct blocks){2e6, 0.8, 6e7, 2.4e8, 2e5}, seed).state == QM_TIMER_VOID;
        // 30 ms of the host for each submission: far from the wall's time, and honest.
        check = check_of(&(struct blocks){3e7, 1.0, 6e7, 2.4e8, 2e5}, seed);
        large += check.state == QM_TIMER_GOOD && check.ratio < 0.95 && fabs(check.overhead_ns.value - 3e7) < 1e6;
    }
    print_message(
        "blocks, of 100: honest timer good %d, slope held %d, overhead found %d; 10 %% too long void %d, 20 %% too "
        "short void %d; 30 ms of overhead good %d\n",
        good, slope, overhead, more, less, large);
    assert_int_equal(good, 100);
    assert_true(slope >= 90 && overhead >= 95);
    assert_int_equal(more, 100);
    assert_int_equal(less, 100);
    assert_int_equal(large, 100);

    struct qm_timer_check check = check_of(&(struct blocks){0, 1.1, 6e7, 6e7, 0}, 1); // more is void at any length
    assert_int_equal(check.state, QM_TIMER_VOID);
    assert_non_null(strstr(check.reason, "1.1 times the time"));
    assert_int_equal(check.slope.state, QM_ESTIMATE_NOT_MEASURED);
    check = check_of(&(struct blocks){0, 0.8, 6e7, 6e7, 0}, 1); // one length does not tell
    assert_int_equal(check.state, QM_TIMER_UNDECIDABLE);
    check = check_of(&(struct blocks){0, 0.8, 6e7, 3e8, 0}, 1);
    assert_int_equal(check.state, QM_TIMER_VOID);
    assert_non_null(strstr(check.reason, "1.25 s on the host for each second on the device"));
    check = check_of(&(struct blocks){0, 0.0, 6e7, 3e8, 0}, 1); // stands still
    assert_int_equal(check.state, QM_TIMER_VOID);
    assert_non_null(strstr(check.reason, "the same time for blocks"));
    check = check_of(&(struct blocks){0, 1.0, 1e7, 4e7, 0}, 1); // all too short
    assert_int_equal(check.state, QM_TIMER_TOO_FEW);
    assert_int_equal(check.used, 0);

    double one[1] = {-1.0};
    struct qm_timer_blocks input = {1, one, one, 50e6, 0.05};
    assert_int_equal(qm_timer_check(&input, &check), QM_INVALID);
    input.limit = 0.7;
    assert_int_equal(qm_timer_check(&input, &check), QM_INVALID);
}

static void robust_slope(void **state)
{
    (void)state;
    double at[] = {0, 1, 2, 3, 4, 5, 6, 7}, values[] = {0, 2, 4, 600, 8, 10, 12, 14};
    struct qm_estimate slope;
    assert_int_equal(qm_theil_sen(at, values, 8, 950, &slope), QM_OK);
    assert_near(slope.value, 2.0, 1e-12);
    assert_true(slope.low <= 2.0 && slope.high >= 2.0);
    assert_int_equal(qm_theil_sen(at, values, 2, 950, &slope), QM_INVALID);
    double same[] = {1, 1, 1, 1};
    assert_int_equal(qm_theil_sen(same, values, 4, 950, &slope), QM_INVALID);
    static double many[5000], line[5000];
    for (size_t i = 0; i < 5000; ++i) {
        many[i] = (double)i;
        line[i] = 3.0 - 0.5 * (double)i;
    }
    assert_int_equal(qm_theil_sen(many, line, 5000, 950, &slope), QM_OK);
    assert_near(slope.value, -0.5, 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paces),
        cmocka_unit_test(blocks_against_wall),
        cmocka_unit_test(robust_slope),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
