// `qmark reproduce`: the decision by simulation, claims of two trees, and the program as a buyer starts it, on a simulated
// clock: a result that holds, one that claims too much, one of another card, another artifact, a file that is none.
#define FOLDER QM_BINARY_DIR "/test-reproduce"
#include "test/run_program.h"

#include <math.h>

#include "base/numeric.h"
#include "base/random.h"
#include "score/gate_rows.h"
#include "score/repeated.h"
#include "score/reproduce.h"

// ---- The decision -----------------------------------------------------------------------------------------------------

enum {
    TRIALS = 1000,
    CLAIMS = 6,
    CLAIMS_MAX = 12
};

static double normal(struct qm_random *random)
{
    double sum = -6;
    for (int i = 0; i < 12; ++i)
        sum += qm_random_unit(random);
    return sum;
}

struct world {
    double shortfall; // the claimed speed is so much above the truth
    double within;    // ln of a run's number: noise of its own
    double of_run;    // ... and what a run does to all numbers alike
    size_t claims, runs;
};

struct outcome {
    size_t verdicts[3];  // of claims
    size_t any_false;    // results with a claim that does not hold
    size_t all_hold;     // results
    size_t told, needed; // claims that cannot be told with a number of runs, and the sum of those
};

static struct outcome simulate(const struct world *world, uint64_t seed)
{
    struct qm_random random;
    struct outcome out = {{0}, 0, 0, 0, 0};
    const struct qm_repeated_params params = {
        .false_alarm = 0.01, .minimum_effect = 0.05, .tolerance = 0.1, .claims = world->claims};
    qm_random_seed(&random, seed, 0);
    for (int trial = 0; trial < TRIALS; ++trial) {
        struct qm_repeated_claim claims[CLAIMS_MAX];
        struct qm_repeated_spread spread;
        double runs[QM_REPEATED_RUNS_MAX], claimed = world->of_run * normal(&random);
        size_t before = out.verdicts[QM_REPEATED_DOES_NOT_HOLD], held = out.verdicts[QM_REPEATED_HOLDS];
        for (size_t k = 0; k < world->runs; ++k)
            runs[k] = world->of_run * normal(&random);
        for (size_t i = 0; i < world->claims; ++i) {
            claims[i].claimed = qm_log(1 + world->shortfall) + claimed + world->within * normal(&random);
            claims[i].claimed_error = claims[i].error = world->within;
            for (size_t k = 0; k < world->runs; ++k)
                claims[i].runs[k] = runs[k] + world->within * normal(&random);
        }
        qm_repeated_spread_of(claims, world->claims, world->runs, &spread);
        for (size_t i = 0; i < world->claims; ++i) {
            struct qm_repeated_judgement judgement;
            qm_repeated_judge(&claims[i], &spread, world->runs, &params, &judgement);
            ++out.verdicts[judgement.verdict];
            out.told += judgement.runs_needed > 0;
            out.needed += judgement.runs_needed;
        }
        out.any_false += out.verdicts[QM_REPEATED_DOES_NOT_HOLD] > before;
        out.all_hold += out.verdicts[QM_REPEATED_HOLDS] == held + world->claims;
    }
    return out;
}

static void test_honest_results_hold(void **state)
{
    (void)state;
    struct outcome o = simulate(&(struct world){0, 0.005, 0, CLAIMS, 3}, 1);
    assert_true(o.all_hold >= TRIALS * 95 / 100);
    assert_int_equal(o.any_false, 0);
    o = simulate(&(struct world){0, 0.005, 0, CLAIMS_MAX, 3}, 2);
    assert_true(o.all_hold >= TRIALS * 95 / 100);
    o = simulate(&(struct world){0, 0.005, 0, 2, 3}, 3);
    assert_true(o.all_hold >= TRIALS * 95 / 100);
}

static void test_false_claims_do_not_hold(void **state)
{
    (void)state;
    struct outcome o = simulate(&(struct world){0.15, 0.005, 0, CLAIMS, 3}, 4);
    assert_true(o.any_false >= TRIALS * 95 / 100);
    assert_true(o.verdicts[QM_REPEATED_DOES_NOT_HOLD] >= TRIALS * CLAIMS * 95 / 100);
    assert_int_equal(o.verdicts[QM_REPEATED_HOLDS], 0);
}

// Runs that differ by more than they say of themselves, alike in all claims: a driver on a busy machine. Nothing is called
// false that is true; a true shortfall of the minimum effect is the worst case that is none.
static void test_noise_makes_no_false_claims(void **state)
{
    (void)state;
    static const struct world worlds[] = {
        {0, 0.02, 0, CLAIMS, 3},        {0, 0.005, 0.03, CLAIMS, 3}, {0, 0.005, 0.1, CLAIMS, 3},
        {0, 0.05, 0.05, CLAIMS_MAX, 3}, {0, 0.02, 0.05, 1, 3},       {0, 0.02, 0.02, 2, 8},
    };
    for (size_t i = 0; i < sizeof(worlds) / sizeof(worlds[0]); ++i) {
        struct world world = worlds[i];
        struct outcome o = simulate(&world, 10 + i);
        if (o.any_false > TRIALS * 15 / 1000)
            fail_msg("world %zu: %zu honest results of %d are called false", i, o.any_false, TRIALS);
        world.shortfall = 0.05;
        o = simulate(&world, 20 + i);
        if (o.any_false > TRIALS * 3 / 100)
            fail_msg("world %zu: %zu results at the edge of %d are called false", i, o.any_false, TRIALS);
    }
}

// What cannot be told says how much longer it would take, and so much longer tells.
static void test_how_many_runs(void **state)
{
    (void)state;
    struct world world = {0, 0.02, 0, CLAIMS, 3};
    struct outcome o = simulate(&world, 30);
    size_t untold = o.verdicts[QM_REPEATED_CANNOT_BE_TOLD];
    assert_true(untold > TRIALS * CLAIMS / 10);
    assert_true(o.told > untold / 4);
    size_t mean = o.needed / o.told;
    assert_true(mean > 3 && mean <= 20);
    world.runs = mean;
    o = simulate(&world, 31);
    if (o.verdicts[QM_REPEATED_CANNOT_BE_TOLD] * 10 > untold * 7)
        fail_msg("%zu untold from 3 runs, and %zu from %zu", untold, o.verdicts[QM_REPEATED_CANNOT_BE_TOLD], mean);
    // With 20 % between single runs, no number of runs here makes the one that was claimed better.
    world = (struct world){0, 0.2, 0, CLAIMS, 20};
    o = simulate(&world, 32);
    assert_true(o.told * 10 < o.verdicts[QM_REPEATED_CANNOT_BE_TOLD]);
}

static void test_edges(void **state)
{
    (void)state;
    const struct qm_repeated_params params = {
        .false_alarm = 0.01, .minimum_effect = 0.05, .tolerance = 0.1, .claims = 1};
    struct qm_repeated_claim claim = {.claimed = 1, .runs = {0.5}};
    struct qm_repeated_spread spread;
    struct qm_repeated_judgement j;
    qm_repeated_spread_of(&claim, 1, 1, &spread);
    qm_repeated_judge(&claim, &spread, 1, &params, &j); // one run, however slow
    assert_int_equal(j.verdict, QM_REPEATED_CANNOT_BE_TOLD);
    assert_int_equal(j.runs_needed, 3);
    claim = (struct qm_repeated_claim){.claimed = 1, .claimed_error = 0.3, .runs = {1.1, 1.9, 1.01}};
    qm_repeated_spread_of(&claim, 1, 3, &spread);
    qm_repeated_judge(&claim, &spread, 3, &params, &j); // noisy, and each of them reached it
    assert_int_equal(j.verdict, QM_REPEATED_HOLDS);
    claim.runs[2] = 0.99;
    qm_repeated_judge(&claim, &spread, 3, &params, &j);
    assert_int_equal(j.verdict, QM_REPEATED_CANNOT_BE_TOLD);
    claim = (struct qm_repeated_claim){.claimed = 1, .runs = {0.97, 0.97, 0.97}}; // without any noise
    qm_repeated_spread_of(&claim, 1, 3, &spread);
    qm_repeated_judge(&claim, &spread, 3, &params, &j);
    assert_int_equal(j.verdict, QM_REPEATED_HOLDS);
    assert_float_equal(j.ratio, 0.970446, 1e-6);
    // The analysis of variance by hand: deviations of both claims are -1, 0, 1, all of it the runs'.
    struct qm_repeated_claim two[2] = {{.runs = {1, 2, 3}}, {.runs = {4, 5, 6}}};
    qm_repeated_spread_of(two, 2, 3, &spread);
    assert_float_equal(spread.variance, 1, 1e-12);
    assert_float_equal(spread.freedom, 2, 1e-12);
    two[1] = (struct qm_repeated_claim){.runs = {6, 5, 4}}; // none of it is: mean square of the rest 2, times 1/2
    qm_repeated_spread_of(two, 2, 3, &spread);
    assert_float_equal(spread.variance, 1, 1e-12);
    assert_float_equal(spread.freedom, 2, 1e-12);
    struct qm_repeated_params wrong = params;
    wrong.tolerance = 0.04;
    assert_int_equal(qm_repeated_params_check(&wrong), QM_INVALID);
}

// ---- Claims of trees --------------------------------------------------------------------------------------------------

static void narrow(struct qm_node *list, const char *key)
{
    for (size_t i = 0; i < qm_node_count(list); ++i) {
        double value = 0;
        assert_true(qm_node_double_at(qm_node_at(list, i), key, &value));
        qm_node_set_double(qm_node_at(list, i), "low", value * 0.99);
        qm_node_set_double(qm_node_at(list, i), "high", value * 1.01);
    }
}

// Measured, but for the width of its intervals of speed: 1 %.
static struct qm_node *load_example(void)
{
    struct qm_node *result = NULL;
    if (qm_result_load(QM_SOURCE_DIR "/test/data/result-pocl.yaml", &result, NULL) != QM_OK)
        fail_msg("%s", qm_error_text());
    struct qm_node *list = qm_node_child(result, "schemes");
    for (size_t i = 0; i < qm_node_count(list); ++i) {
        narrow(qm_node_child(qm_node_at(list, i), "throughput"), "rate_tokens_per_s");
        narrow(qm_node_child(qm_node_at(list, i), "gain"), "ratio");
    }
    return result;
}

static struct qm_node *scheme_of(struct qm_node *result, const char *name)
{
    struct qm_node *list = qm_node_child(result, "schemes");
    for (size_t i = 0; i < qm_node_count(list); ++i) {
        if (strcmp(qm_node_text_at(qm_node_at(list, i), "name", ""), name) == 0)
            return qm_node_at(list, i);
    }
    fail_msg("no scheme %s", name);
    return NULL;
}

static void scale(struct qm_node *mapping, const char *key, double factor)
{
    double value = 0;
    assert_true(qm_node_double_at(mapping, key, &value));
    qm_node_set_double(mapping, key, value * factor);
}

static void scale_rates(struct qm_node *scheme, double factor)
{
    struct qm_node *points = qm_node_child(scheme, "throughput");
    assert_true(qm_node_count(points) > 0);
    for (size_t i = 0; i < qm_node_count(points); ++i) {
        scale(qm_node_at(points, i), "rate_tokens_per_s", factor);
        scale(qm_node_at(points, i), "low", factor);
        scale(qm_node_at(points, i), "high", factor);
    }
}

struct judged {
    struct qm_node *record, *runs[3];
    struct qm_reproduce_params params;
    struct qm_reproduction found;
};

static void begin_judged(struct judged *judged)
{
    *judged = (struct judged){.record = load_example(), .params = qm_reproduce_defaults()};
    static const double factors[3] = {1.002, 0.997, 1.001};
    for (size_t k = 0; k < 3; ++k) {
        judged->runs[k] = load_example();
        struct qm_node *list = qm_node_child(judged->runs[k], "schemes");
        for (size_t s = 0; s < qm_node_count(list); ++s)
            scale_rates(qm_node_at(list, s), factors[(k + s) % 3]);
    }
}

static void judge(struct judged *judged)
{
    const struct qm_node *runs[3] = {judged->runs[0], judged->runs[1], judged->runs[2]};
    qm_reproduction_free(&judged->found);
    if (qm_reproduce_judge(judged->record, runs, 3, &judged->params, &judged->found) != QM_OK)
        fail_msg("%s", qm_error_text());
}

static void end_judged(struct judged *judged)
{
    qm_reproduction_free(&judged->found);
    qm_node_destroy(&judged->record);
    for (size_t k = 0; k < 3; ++k)
        qm_node_destroy(&judged->runs[k]);
}

static const struct qm_reproduced_claim *claim_of(const struct judged *judged, const char *scheme,
                                                  enum qm_reproduced_kind kind, const char *part)
{
    for (size_t i = 0; i < judged->found.count; ++i) {
        const struct qm_reproduced_claim *row = &judged->found.rows[i];
        if (strcmp(row->scheme, scheme) == 0 && row->kind == kind && strstr(row->what, part))
            return row;
    }
    return NULL;
}

static void expect_reason(const struct judged *judged, const char *scheme, enum qm_reproduced_kind kind,
                          const char *part, const char *text)
{
    const struct qm_reproduced_claim *row = claim_of(judged, scheme, kind, part);
    if (!row)
        fail_msg("%s has no %s claim of '%s'", scheme, qm_reproduced_kind_name(kind), part);
    else
        expect_text(row->reason, text);
}

static void expect_verdict(const struct judged *judged, const char *scheme, enum qm_reproduced_kind kind,
                           const char *part, enum qm_repeated_verdict verdict)
{
    const struct qm_reproduced_claim *row = claim_of(judged, scheme, kind, part);
    if (!row)
        fail_msg("%s has no %s claim of '%s'", scheme, qm_reproduced_kind_name(kind), part);
    else if (row->verdict != verdict)
        fail_msg("%s, %s: %s (%s), expected %s", scheme, row->what, qm_repeated_verdict_name(row->verdict), row->reason,
                 qm_repeated_verdict_name(verdict));
}

static void test_same_result(void **state)
{
    (void)state;
    struct judged judged;
    begin_judged(&judged);
    judge(&judged);
    assert_int_equal(qm_reproduction_exit_code(&judged.found), QM_EXIT_OK);
    assert_int_equal(judged.found.of[QM_REPEATED_HOLDS], judged.found.count);
    assert_true(judged.found.is_same_device);
    expect_text(judged.found.summary, "claims hold on this card.");
    assert_non_null(claim_of(&judged, "w8a8", QM_REPRODUCED_RATE, "decode batch 1 depth 64"));
    assert_null(claim_of(&judged, "f16", QM_REPRODUCED_GAIN, "")); // over itself
    for (size_t i = 0; i < judged.found.count; ++i)                // accuracy beside every speed
        assert_true(judged.found.rows[i].kl_claimed >= 0 && judged.found.rows[i].kl_here >= 0);
    end_judged(&judged);
}

static void test_accuracy(void **state)
{
    (void)state;
    struct judged judged;
    begin_judged(&judged);
    struct qm_node *kl = qm_node_get(scheme_of(judged.record, "w8a8"), "accuracy.kl_divergence");
    double value = 0;
    assert_true(qm_node_double_at(kl, "mean", &value));
    double errors[3] = {1e-9, 1e-9, 1e-9};
    judged.params.paired_errors = errors;
    qm_node_set_double(kl, "mean", value / 1.019); // a little better than here
    judge(&judged);
    expect_verdict(&judged, "w8a8", QM_REPRODUCED_ACCURACY, "KL", QM_REPEATED_HOLDS);
    qm_node_set_double(kl, "mean", value / 1.1);
    judge(&judged);
    expect_verdict(&judged, "w8a8", QM_REPRODUCED_ACCURACY, "KL", QM_REPEATED_DOES_NOT_HOLD);
    assert_int_equal(qm_reproduction_exit_code(&judged.found), QM_EXIT_REGRESSED);
    errors[1] = value; // per-token scores say that such a difference is noise
    judge(&judged);
    expect_verdict(&judged, "w8a8", QM_REPRODUCED_ACCURACY, "KL", QM_REPEATED_HOLDS);
    errors[1] = 1e-9;
    qm_node_set_double(kl, "mean", 10 * value); // better than claimed
    judge(&judged);
    expect_verdict(&judged, "w8a8", QM_REPRODUCED_ACCURACY, "KL", QM_REPEATED_HOLDS);
    qm_node_set_text(qm_node_get(scheme_of(judged.runs[0], "w8a8"), "accuracy.acceptance"), "verdict", "inconclusive");
    judge(&judged);
    expect_verdict(&judged, "w8a8", QM_REPRODUCED_ACCURACY, "acceptance", QM_REPEATED_CANNOT_BE_TOLD);
    assert_int_equal(qm_reproduction_exit_code(&judged.found), QM_EXIT_INCONCLUSIVE);
    end_judged(&judged);
}

static void set_left_out(struct qm_node *result, double left_out)
{
    struct qm_node *disclosure = qm_node_child(scheme_of(result, "w8a8"), "disclosure");
    struct qm_node *reference = qm_node_child(disclosure, "reference");
    if (!reference)
        reference = qm_node_add_mapping(disclosure, "reference");
    qm_node_set_double(reference, "kl_left_out", left_out);
}

static enum qm_gate_verdict gate_accuracy(const struct judged *judged, char *text, size_t capacity)
{
    const struct qm_node *a = judged->record, *b = judged->runs[0];
    struct qm_gate_report report = {0};
    struct qm_gate_params params = {.false_alarm = 0.0005, .minimum_effect = 0.02, .tolerance = 0.05, .rows = 1};
    enum qm_gate_verdict verdict = QM_GATE_NOT_COMPARABLE;
    assert_int_equal(qm_gate_add_results(&report, &(struct qm_gate_results){&a, 1}, &(struct qm_gate_results){&b, 1},
                                         &params, false),
                     QM_OK);
    for (size_t i = 0; i < report.count; ++i) {
        if (report.findings[i].kind != QM_GATE_ACCURACY || strcmp(report.findings[i].row, "w8a8") != 0)
            continue;
        verdict = report.findings[i].verdict;
        snprintf(text, capacity, "%s", report.findings[i].text);
    }
    qm_gate_report_free(&report);
    return verdict;
}

// A mean of which the fp32 reference left something out is a range: verdicts that hold for all of it, or none.
static void test_left_out(void **state)
{
    (void)state;
    struct judged judged;
    begin_judged(&judged);
    struct qm_node *kl = qm_node_get(scheme_of(judged.record, "w8a8"), "accuracy.kl_divergence");
    double value = 0, errors[3] = {1e-9, 1e-9, 1e-9};
    assert_true(qm_node_double_at(kl, "mean", &value));
    judged.params.paired_errors = errors;
    static const struct {
        double claimed, claimed_left_out, here_left_out; // in units of what is measured here
        enum qm_repeated_verdict reproduced;
        enum qm_gate_verdict gated;
    } cases[] = {
        {1, 0.5, 0.5, QM_REPEATED_HOLDS, QM_GATE_PASS}, // the same logits
        {0.995, 0.5, 0.5, QM_REPEATED_CANNOT_BE_TOLD, QM_GATE_INCONCLUSIVE},
        {0.995, 0.001, 0.001, QM_REPEATED_HOLDS, QM_GATE_PASS},
        {0.5, 0.1, 0.1, QM_REPEATED_DOES_NOT_HOLD, QM_GATE_REGRESSED},
        {0.5, 0.8, 0.1, QM_REPEATED_CANNOT_BE_TOLD, QM_GATE_INCONCLUSIVE},
        {2, 3, 0.5, QM_REPEATED_HOLDS, QM_GATE_PASS},
        {2, 0, 3, QM_REPEATED_CANNOT_BE_TOLD, QM_GATE_INCONCLUSIVE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        char text[400] = "";
        qm_node_set_double(kl, "mean", cases[i].claimed * value);
        set_left_out(judged.record, cases[i].claimed_left_out * value);
        set_left_out(judged.runs[0], cases[i].here_left_out * value);
        judge(&judged);
        expect_verdict(&judged, "w8a8", QM_REPRODUCED_ACCURACY, "KL", cases[i].reproduced);
        enum qm_gate_verdict gated = gate_accuracy(&judged, text, sizeof(text));
        if (gated != cases[i].gated)
            fail_msg("case %zu: the gate says %s: %s", i, qm_gate_verdict_name(gated), text);
        if (gated == QM_GATE_INCONCLUSIVE) {
            expect_text(text, "the fp32 reference left out");
            expect_reason(&judged, "w8a8", QM_REPRODUCED_ACCURACY, "KL", "the fp32 reference left out");
        }
    }
    end_judged(&judged);
}

static void test_speed(void **state)
{
    (void)state;
    struct judged judged;
    begin_judged(&judged);
    scale_rates(scheme_of(judged.record, "w8a8"), 1.3);
    qm_node_set_double(qm_node_get(scheme_of(judged.record, "f16"), "memory"), "total_bytes", 1e6);
    judge(&judged);
    expect_verdict(&judged, "w8a8", QM_REPRODUCED_RATE, "decode", QM_REPEATED_DOES_NOT_HOLD);
    expect_verdict(&judged, "f16", QM_REPRODUCED_RATE, "decode", QM_REPEATED_HOLDS);
    expect_verdict(&judged, "w8a8", QM_REPRODUCED_GAIN, "decode", QM_REPEATED_HOLDS);
    expect_verdict(&judged, "f16", QM_REPRODUCED_MEMORY, "memory", QM_REPEATED_DOES_NOT_HOLD);
    judged.params.disturbance = "other processes took 50 % of the processor";
    judge(&judged); // who was not alone with the machine cannot call a speed false
    expect_verdict(&judged, "w8a8", QM_REPRODUCED_RATE, "decode", QM_REPEATED_CANNOT_BE_TOLD);
    expect_reason(&judged, "w8a8", QM_REPRODUCED_RATE, "decode", "other processes took 50 %");
    end_judged(&judged);
}

static void test_other_device(void **state)
{
    (void)state;
    struct judged judged;
    begin_judged(&judged);
    qm_node_set_text(qm_node_child(judged.record, "device"), "name", "Another card");
    scale_rates(scheme_of(judged.record, "w8a8"), 50);
    judge(&judged);
    assert_int_equal(qm_reproduction_exit_code(&judged.found), QM_EXIT_OK);
    assert_null(claim_of(&judged, "w8a8", QM_REPRODUCED_RATE, ""));
    assert_null(claim_of(&judged, "w8a8", QM_REPRODUCED_GAIN, ""));
    expect_verdict(&judged, "w8a8", QM_REPRODUCED_STATUS, "rates", QM_REPEATED_NOT_APPLICABLE);
    expect_verdict(&judged, "w8a8", QM_REPRODUCED_ACCURACY, "KL", QM_REPEATED_HOLDS);
    judged.params.is_relative = true;
    judge(&judged);
    expect_verdict(&judged, "w8a8", QM_REPRODUCED_GAIN, "decode", QM_REPEATED_HOLDS);
    end_judged(&judged);
}

static void test_not_the_same_thing(void **state)
{
    (void)state;
    struct judged judged;
    begin_judged(&judged);
    struct qm_node *w8a8 = scheme_of(judged.record, "w8a8"), *f16 = scheme_of(judged.record, "f16");
    qm_node_set_text(qm_node_child(w8a8, "artifact"), "id", "0123456789abcdef");
    qm_node_set_text(qm_node_get(f16, "disclosure.tool_chain"), "kernel_hash", "fedcba9876543210");
    judge(&judged);
    expect_verdict(&judged, "w8a8", QM_REPRODUCED_STATUS, "all", QM_REPEATED_NOT_APPLICABLE);
    expect_reason(&judged, "w8a8", QM_REPRODUCED_STATUS, "", "artifact differs (record 0123456789abcdef");
    expect_reason(&judged, "f16", QM_REPRODUCED_STATUS, "", "another version of the kernels");
    assert_int_equal(qm_reproduction_exit_code(&judged.found), QM_EXIT_OK); // the third scheme holds
    expect_verdict(&judged, "w4a8-g32-static", QM_REPRODUCED_RATE, "decode", QM_REPEATED_HOLDS);
    expect_verdict(&judged, "w4a8-g32-static", QM_REPRODUCED_GAIN, "decode", QM_REPEATED_NOT_APPLICABLE); // over f16
    // What is wrong here is so whatever else differs.
    qm_node_set_text(scheme_of(judged.runs[2], "w8a8"), "status", "wrong");
    qm_node_set_text(scheme_of(judged.runs[2], "w8a8"), "reason", "a pass gave other logits\x1b[31m");
    judge(&judged);
    expect_verdict(&judged, "w8a8", QM_REPRODUCED_STATUS, "all", QM_REPEATED_DOES_NOT_HOLD);
    expect_reason(&judged, "w8a8", QM_REPRODUCED_STATUS, "all", "WRONG here: a pass gave other logits?[31m");
    assert_int_equal(qm_reproduction_exit_code(&judged.found), QM_EXIT_WRONG);
    qm_node_set_text(qm_node_child(judged.record, "model"), "sha256", "00");
    judge(&judged);
    assert_int_equal(qm_reproduction_exit_code(&judged.found), QM_EXIT_NOT_COMPARABLE);
    expect_text(judged.found.summary, "No claim is applicable here");
    end_judged(&judged);
}

// ---- The program ------------------------------------------------------------------------------------------------------

static const char small_profile[] =
    "extends: quick\nname: small\nschemes: [f16, w8a8]\nbaseline: f16\n"
    "evaluation: {windows: 1, window_tokens: 32, scored_tokens: 4}\ncalibration: {windows: 1, window_tokens: 32}\n"
    "prefill:\n  - {batch: 1, prompt: 32}\ndecode:\n  - {batch: 1, depth: 16, steps: 2}\n"
    "timing: {seconds: 20}\nsustained: {phase: none}\nbootstrap: {resamples: 199}\n";

static const char *const clock_of_claim[] = {"QM_SIMULATE=noise=0.02,seed=5", NULL};
static const char *const clock_here[] = {"QM_SIMULATE=noise=0.02,seed=6", NULL};

static void reproduce(struct child *child, const char *record, const char *runs)
{
    const char *const arguments[] = {"reproduce", record,  "--device", "reference", "--runs",
                                     runs,        "--out", OUT,        "--json",    NULL};
    remove_all(OUT);
    start(child, clock_here, NULL, arguments);
    if (!finish(child, PATIENCE_S))
        fail_msg("no end after %d s\nstderr: %s", PATIENCE_S, child->errors);
}

static void write_record(struct qm_node *record, char path[QM_PATH_BYTES])
{
    mkdir(FOLDER "/edited", 0755);
    if (qm_result_write(record, FOLDER "/edited", path) != QM_OK)
        fail_msg("%s", qm_error_text());
}

static void test_program(void **state)
{
    (void)state;
    struct child child;
    char path[QM_PATH_BYTES];
    remove_all(FOLDER "/record");
    FILE *stream = fopen(FOLDER "/small.yaml", "w");
    assert_non_null(stream);
    assert_true(fputs(small_profile, stream) >= 0);
    fclose(stream);
    start(&child, clock_of_claim, NULL,
          (const char *const[]){"run", "--profile", FOLDER "/small.yaml", "--device", "reference", "--out",
                                FOLDER "/record", NULL});
    assert_true(finish(&child, PATIENCE_S));
    expect_code(&child, 0);
    release(&child);
    struct qm_node *record = result_of(FOLDER "/record", "reference");
    assert_non_null(record);

    write_record(record, path);
    reproduce(&child, path, "3");
    expect_code(&child, QM_EXIT_OK);
    expect_text(child.output, "\"do_not_hold\": 0");
    expect_text(child.output, "\"kind\": \"rate\"");
    release(&child);
    struct qm_node *again = result_of(OUT "/run-3", "reference"); // times and no accuracy
    assert_non_null(again);
    assert_string_equal(qm_node_text_at(row_of(again, "w8a8"), "accuracy", ""), "not measured");
    assert_string_equal(qm_node_text_at(row_of(again, "w8a8"), "status", ""), "ok");
    qm_node_destroy(&again);

    scale_rates(scheme_of(record, "f16"), 1.15);
    qm_node_set_text(qm_node_child(scheme_of(record, "w8a8"), "artifact"), "id",
                     "0000000000000000000000000000000000000000000000000000000000000000");
    write_record(record, path);
    reproduce(&child, path, "3");
    expect_code(&child, QM_EXIT_REGRESSED);
    expect_text(child.output, "the artifact differs (record 0000000000000000, here ");
    expect_text(child.output, "\"verdict\": \"does not hold\"");
    expect_text(child.output, "\"not_applicable\": 1");
    release(&child);

    qm_node_set_text(qm_node_child(record, "device"), "name", "Another card");
    write_record(record, path);
    reproduce(&child, path, "1");
    expect_code(&child, QM_EXIT_OK);
    expect_text(child.output, "another device");
    release(&child);

    stream = fopen(path, "r+"); // one letter
    assert_non_null(stream);
    char *text = read_text(path), *name = strstr(text, "Another card");
    assert_non_null(name);
    assert_int_equal(fseek(stream, name - text, SEEK_SET), 0);
    assert_int_equal(fputc('B', stream), 'B');
    fclose(stream);
    free(text);
    reproduce(&child, path, "1");
    expect_code(&child, QM_EXIT_BAD_INPUT);
    expect_text(child.errors, "its hash is not that of its content");
    assert_null(result_of(OUT, "reference"));
    release(&child);
    qm_node_destroy(&record);
}

static int folder_setup(void **state)
{
    (void)state;
    mkdir(FOLDER, 0755);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_honest_results_hold),
        cmocka_unit_test(test_false_claims_do_not_hold),
        cmocka_unit_test(test_noise_makes_no_false_claims),
        cmocka_unit_test(test_how_many_runs),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_same_result),
        cmocka_unit_test(test_accuracy),
        cmocka_unit_test(test_left_out),
        cmocka_unit_test(test_speed),
        cmocka_unit_test(test_other_device),
        cmocka_unit_test(test_not_the_same_thing),
        cmocka_unit_test(test_program),
    };
    return cmocka_run_group_tests(tests, folder_setup, NULL);
}
