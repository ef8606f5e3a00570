// The gate's decision: quantiles against printed tables, each verdict at its edge, and its promises by simulation with
// noise that was recorded on real drivers.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/numeric.h"
#include "base/random.h"
#include "bench/gate_live.h"
#include "score/gate.h"
#include "sys/file.h"

static const struct qm_gate_params two_rows = {
    .false_alarm = 0.0005, .minimum_effect = 0.02, .tolerance = 0.05, .rows = 2};

static void test_quantiles(void **state)
{
    (void)state;
    // Fisher and Yates, "Statistical Tables", table III (two-sided there), and the normal distribution's common ones.
    assert_float_equal(qm_student_inverse(0.025, 1), 12.7062, 1e-4);
    assert_float_equal(qm_student_inverse(0.025, 4), 2.7764, 1e-4);
    assert_float_equal(qm_student_inverse(0.0005, 4), 8.6103, 1e-4);
    assert_float_equal(qm_student_inverse(0.0005, 7), 5.4079, 1e-4);
    assert_float_equal(qm_student_inverse(0.005, 30), 2.7500, 1e-4);
    assert_float_equal(qm_student_inverse(0.025, 100000), 1.9600, 1e-4);
    assert_float_equal(qm_normal_inverse(0.975), 1.959963985, 1e-8);
    assert_float_equal(qm_normal_inverse(0.0005), -3.290526731, 1e-8);
    for (size_t n = 1; n < 60; ++n)
        assert_float_equal(qm_student_tail(qm_student_inverse(0.003, n), n), 0.003, 1e-10);
}

// The values as parts, A and B first in turns of two.
static enum qm_status judge(const double *x, size_t count, const struct qm_gate_params *params, struct qm_gate_row *row)
{
    struct qm_gate_part parts[200] = {{0}};
    for (size_t i = 0; i < count; ++i)
        parts[i] = (struct qm_gate_part){x[i], i % 4 == 1 || i % 4 == 2, 10};
    return qm_gate_judge_parts(parts, count, params, row);
}

// `count` values around `mean`, half of them `spread` above it and half below.
static void fill(double *values, size_t count, double mean, double spread)
{
    for (size_t i = 0; i < count; ++i)
        values[i] = mean + (i % 2 == 0 ? spread : -spread);
}

static void test_verdicts(void **state)
{
    (void)state;
    double x[200];
    struct qm_gate_row row;
    fill(x, 200, 0, 0.05);
    assert_int_equal(judge(x, 200, &two_rows, &row), QM_OK);
    assert_int_equal(row.verdict, QM_GATE_PASS);
    assert_true(row.low > 0.95 && row.low < 1 && row.high > 1 && row.detectable < 0.05);
    fill(x, 200, -0.05, 0.05); // slower, beyond doubt
    assert_int_equal(judge(x, 200, &two_rows, &row), QM_OK);
    assert_int_equal(row.verdict, QM_GATE_REGRESSED);
    fill(x, 200, 0.05, 0.05); // faster is no regression
    assert_int_equal(judge(x, 200, &two_rows, &row), QM_OK);
    assert_int_equal(row.verdict, QM_GATE_PASS);
    fill(x, 200, -0.019, 0.01); // beyond doubt, and smaller than what counts
    assert_int_equal(judge(x, 200, &two_rows, &row), QM_OK);
    assert_true(row.high < 1);
    assert_int_equal(row.verdict, QM_GATE_PASS);
    fill(x, 200, -0.03, 0.2); // anything
    assert_int_equal(judge(x, 200, &two_rows, &row), QM_OK);
    assert_int_equal(row.verdict, QM_GATE_INCONCLUSIVE);
    assert_true(row.detectable > 0.05 && row.times_as_many > 1);
    fill(x, 7, -0.5, 0.001); // too few for anything
    assert_int_equal(judge(x, 7, &two_rows, &row), QM_OK);
    assert_int_equal(row.verdict, QM_GATE_INCONCLUSIVE);
    assert_true(isinf(row.detectable) && isinf(row.high));
    x[3] = NAN;
    assert_int_equal(judge(x, 20, &two_rows, &row), QM_INVALID);
}

// What only the order of opening makes is no difference of the sides, and widens no interval.
static void test_order_of_opening(void **state)
{
    (void)state;
    struct qm_gate_part parts[16], plain[16];
    struct qm_gate_row row, without;
    for (size_t i = 0; i < 16; ++i) {
        bool b_first = i % 4 == 1 || i % 4 == 2;
        double noise = i % 8 < 4 ? 0.01 : -0.01;
        plain[i] = (struct qm_gate_part){noise, b_first, 10};
        parts[i] = (struct qm_gate_part){noise + (b_first ? -0.04 : 0.04), b_first, 10};
    }
    assert_int_equal(qm_gate_judge_parts(plain, 16, &two_rows, &without), QM_OK);
    assert_int_equal(qm_gate_judge_parts(parts, 16, &two_rows, &row), QM_OK);
    assert_int_equal(row.verdict, QM_GATE_PASS);
    assert_true(fabs(row.ratio - 1) < 1e-12);
    assert_true(fabs(row.standard_error - without.standard_error) < 1e-12);
    // s^2 is 16 0.01^2 / 14, of 8 parts of each kind; 14 degrees of freedom.
    assert_true(fabs(row.standard_error - 0.5 * 0.01 * sqrt(16.0 / 14) * sqrt(1.0 / 8 + 1.0 / 8)) < 1e-12);
    assert_true(fabs(qm_log(row.high) / row.standard_error - qm_student_inverse(0.00025, 14)) < 1e-6);
    // Openings of the kinds need not be equally many; of one kind alone nothing can be said.
    assert_int_equal(qm_gate_judge_parts(parts, 11, &two_rows, &row), QM_OK);
    assert_true(row.ratio > 0.97 && row.ratio < 1.03 && isfinite(row.high));
    for (size_t i = 0; i < 16; ++i)
        parts[i].b_first = false;
    assert_int_equal(qm_gate_judge_parts(parts, 16, &two_rows, &row), QM_OK);
    assert_int_equal(row.verdict, QM_GATE_INCONCLUSIVE);
}

static void test_runs(void **state)
{
    (void)state;
    const double base[] = {4.600, 4.603, 4.598, 4.601, 4.599, 4.602};
    double slow[] = {4.54}, same[] = {4.6005};
    struct qm_gate_row row;
    assert_int_equal(qm_gate_judge_runs(base, 6, slow, 1, &two_rows, &row), QM_OK);
    assert_int_equal(row.verdict, QM_GATE_REGRESSED);
    assert_int_equal(qm_gate_judge_runs(base, 6, same, 1, &two_rows, &row), QM_OK);
    assert_int_equal(row.verdict, QM_GATE_PASS);
    // Four runs do not say how runs differ, however far off the new one is.
    assert_int_equal(qm_gate_judge_runs(base, 4, slow, 1, &two_rows, &row), QM_OK);
    assert_int_equal(row.verdict, QM_GATE_INCONCLUSIVE);
    assert_int_equal(qm_gate_judge_runs(base, 6, slow, 0, &two_rows, &row), QM_OK);
    assert_int_equal(row.verdict, QM_GATE_INCONCLUSIVE);
}

static void test_params(void **state)
{
    (void)state;
    struct qm_gate_params p = two_rows;
    struct qm_gate_row row;
    p.tolerance = 0.01;
    assert_int_equal(judge(NULL, 0, &p, &row), QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "above minimum_effect"));
    p = two_rows;
    p.rows = 0;
    assert_int_equal(qm_gate_params_check(&p), QM_INVALID);
    p = two_rows;
    p.false_alarm = 0.5;
    assert_int_equal(qm_gate_params_check(&p), QM_INVALID);
}

// ---- A thousand gates -----------------------------------------------------------------------------------------------

// Times of passes of one kind, one after another, as factors of their median: real runs (test/data/noise/README.md).
struct noise {
    double *factors;
    size_t count;
};

static struct noise read_noise(const char *name)
{
    char path[512];
    void *bytes = NULL;
    size_t size = 0;
    struct noise noise = {.factors = calloc(20000, sizeof(double))};
    snprintf(path, sizeof(path), "%s/test/data/noise/%s", QM_SOURCE_DIR, name);
    assert_int_equal(qm_file_read(path, 1 << 20, &bytes, &size), QM_OK);
    double square = 0, mean = 0;
    for (char *at = bytes, *end = NULL; noise.count < 20000; at = end) {
        double value = strtod(at, &end);
        if (end == at)
            break;
        noise.factors[noise.count++] = qm_log(value);
    }
    free(bytes);
    assert_true(noise.count >= 1000);
    // Scaled to 10 % standard deviation, shape and order as recorded.
    for (size_t i = 0; i < noise.count; ++i)
        mean += noise.factors[i] / (double)noise.count;
    for (size_t i = 0; i < noise.count; ++i)
        square += (noise.factors[i] - mean) * (noise.factors[i] - mean) / (double)noise.count;
    for (size_t i = 0; i < noise.count; ++i)
        noise.factors[i] = qm_exp((noise.factors[i] - mean) * 0.1 / sqrt(square));
    return noise;
}

// A machine with a clock: a pass takes its time times the noise of that moment, a drift, and in some stretches a second
// speed (the bimodal times that a processor with two clock domains gives).
struct machine {
    const struct noise *noise;
    struct qm_random random;
    size_t at;
    double now_s, drift_per_s, second_speed;
    int is_second;
};

static double pass_s(struct machine *machine, double seconds)
{
    double factor = machine->noise->factors[machine->at++ % machine->noise->count];
    if (qm_random_below(&machine->random, 30) == 0)
        machine->is_second = !machine->is_second;
    factor *= 1 + machine->drift_per_s * machine->now_s;
    factor *= machine->is_second ? machine->second_speed : 1;
    machine->now_s += seconds * factor;
    return seconds * factor;
}

enum {
    PARTS = 16 // at most, as many as a live gate has
};

struct row_of_machine {
    struct machine machine;
    double b; // time of a pass of B, A's being 1
};

static enum qm_status simulated_pass(void *context, unsigned side, size_t block, double *ns)
{
    struct row_of_machine *row = context;
    (void)block;
    *ns = 1e9 * pass_s(&row->machine, 0.01 * (side ? row->b : 1));
    return QM_OK;
}

static uint64_t simulated_now(void *context)
{
    return (uint64_t)(1e9 * ((struct row_of_machine *)context)->machine.now_s);
}

// About normal: of standard deviation 1.
static double about_normal(struct qm_random *random)
{
    double sum = -6;
    for (int i = 0; i < 12; ++i)
        sum += qm_random_below(random, 1 << 24) * 0x1p-24;
    return sum;
}

// One live gate of two rows of at most 15 s. Row 1 of B is slower by `slowdown`. Whichever side was opened second is faster
// by 3 %, and each opening makes one of them faster by some 1.5 %, for as long as it lives: both were seen on the drivers
// that the noise is from. The worst verdict of the rows is the gate's.
static enum qm_gate_verdict simulate(const struct noise *noise, uint64_t seed, double drift, double second,
                                     double slowdown, double *detectable)
{
    enum qm_gate_verdict worst = QM_GATE_PASS;
    struct row_of_machine context = {.machine = {.noise = noise, .drift_per_s = drift, .second_speed = second}};
    struct qm_gate_source source = {&context, simulated_pass, simulated_now};
    struct qm_gate_part parts[2][PARTS];
    size_t counts[2] = {0, 0};
    struct qm_random luck;
    qm_random_seed(&context.machine.random, seed, 1);
    qm_random_seed(&luck, seed, 2);
    context.machine.at = qm_random_below(&context.machine.random, (uint32_t)noise->count);
    *detectable = 0;
    for (unsigned part = 0; part < PARTS; ++part) {
        bool b_first = part % 4 == 1 || part % 4 == 2;
        for (unsigned row = 0; row < 2; ++row) {
            struct qm_gate_part *to = &parts[row][counts[row]];
            double opening = qm_exp(0.015 * about_normal(&luck) + (b_first ? 0.03 : -0.03));
            context.b = (row ? 1 + slowdown : 1) * opening;
            to->b_first = b_first;
            assert_int_equal(qm_gate_measure(&source, 15.0 / PARTS, seed * 64 + part * 2 + row, to), QM_OK);
            ++counts[row];
        }
    }
    for (unsigned row = 0; row < 2; ++row) {
        struct qm_gate_row verdict;
        assert_int_equal(qm_gate_judge_parts(parts[row], counts[row], &two_rows, &verdict), QM_OK);
        worst = verdict.verdict > worst ? verdict.verdict : worst;
        *detectable = fmax(*detectable, verdict.detectable);
    }
    return worst;
}

static void test_thousand_gates(void **state)
{
    (void)state;
    static const char *const names[] = {"lavapipe.txt", "pocl.txt"};
    struct noise noises[2] = {read_noise(names[0]), read_noise(names[1])};
    unsigned false_alarms = 0, passes = 0, found = 0, blind = 0;
    double detectable = 0;
    for (uint64_t gate = 0; gate < 1000; ++gate) {
        double drift = (double)(gate % 3) * 0.005, second = gate % 2 ? 1.25 : 1;
        enum qm_gate_verdict verdict = simulate(&noises[gate / 2 % 2], gate, drift, second, 0, &detectable);
        false_alarms += verdict == QM_GATE_REGRESSED;
        passes += verdict == QM_GATE_PASS;
        verdict = simulate(&noises[gate / 2 % 2], 5000 + gate, drift, second, 0.05, &detectable);
        found += verdict == QM_GATE_REGRESSED;
        blind += verdict == QM_GATE_PASS && detectable <= 0.05;
    }
    print_message("A/A: %u REGRESSED, %u PASS of 1000; 5 %% slower: %u found, %u PASS\n", false_alarms, passes, found,
                  blind);
    assert_true(false_alarms <= 2);
    assert_true(passes >= 900);
    assert_true(found >= 950);
    assert_int_equal(blind, 0);
    free(noises[0].factors);
    free(noises[1].factors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantiles), cmocka_unit_test(test_verdicts), cmocka_unit_test(test_order_of_opening),
        cmocka_unit_test(test_runs),      cmocka_unit_test(test_params),   cmocka_unit_test(test_thousand_gates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
