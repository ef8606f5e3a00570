// Evaluation sets and what a result says of their details: several sets are what their seeds give alone, the source is the
// one that drew the text, and every row is of the format, whatever was measured.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/numeric.h"
#include "bench/evaluation.h"
#include "bench/result_details.h"
#include "record/result.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MODEL QM_SOURCE_DIR "/models/qmark-3m"

static void assert_near(double value, double expected, double tolerance)
{
    if (!(fabs(value - expected) <= tolerance))
        fail_msg("%.17g is not %.17g within %g", value, expected, tolerance);
}

static struct qm_evaluation *evaluation_of(uint64_t seed, uint32_t windows, uint32_t sets)
{
    const struct qm_profile_set set = {.seed = seed, .windows = windows, .window_tokens = 512, .sets = sets};
    struct qm_evaluation *evaluation = NULL;
    if (qm_evaluation_create(QM_SPLIT_EVALUATION, &set, MODEL, &evaluation) != QM_OK)
        fail_msg("%s", qm_error_text());
    return evaluation;
}

static void sets_are_what_their_seeds_give(void **state)
{
    (void)state;
    struct qm_evaluation *all = evaluation_of(41, 6, 3);
    assert_string_equal(all->name, "built-in evaluation, 3 seeds from 41");
    assert_int_equal(qm_evaluation_windows_of_set(&all->set), 2);
    uint32_t sequence = 0;
    size_t scored = 0;
    for (uint32_t k = 0; k < 3; ++k) {
        struct qm_evaluation *one = evaluation_of(41 + k, 2, 1);
        assert_string_not_equal(one->sha256, all->sha256);
        assert_memory_equal(one->windows, all->windows + 2 * k, 2 * sizeof(*one->windows));
        for (uint32_t q = 0; q < one->sequence_count; ++q, ++sequence) {
            assert_int_equal(all->set_of[sequence], k);
            assert_int_equal(one->set_of[q], 0);
            assert_int_equal(all->cell[sequence], one->cell[q]);
            assert_int_equal(all->is_answer[sequence], one->is_answer[q]);
        }
        scored += one->scored_count;
        qm_evaluation_destroy(&one);
    }
    assert_int_equal(sequence, all->sequence_count);
    assert_int_equal(scored, all->scored_count);
    qm_evaluation_destroy(&all);
    // One set, said or not, is the set that it always was: the hash stands in results of earlier versions.
    struct qm_evaluation *said = evaluation_of(31926937667174403, 6, 1),
                         *unsaid = evaluation_of(31926937667174403, 6, 0);
    assert_string_equal(said->sha256, unsaid->sha256);
    assert_string_equal(said->name, unsaid->name);
    assert_string_equal(said->sha256, "efcce8f10c1c933b29a2d81fe5e76a6b275819d0b56112a546bea9377b9cb177");
    qm_evaluation_destroy(&said);
    qm_evaluation_destroy(&unsaid);
}

// Every scored token of the source is one that the source can draw, as often as it says; a source that is one position off
// gives most of them no probability at all.
// Sets of one seed share all but facts, of two splits nothing; of a part only that part counts.
static void sets_overlap(void **state)
{
    (void)state;
    const struct qm_profile_set calibration_set = {.seed = 41, .windows = 6, .window_tokens = 512};
    struct qm_evaluation *all = evaluation_of(41, 6, 1), *part = evaluation_of(41, 2, 1), *calibration = NULL;
    assert_int_equal(qm_evaluation_create(QM_SPLIT_CALIBRATION, &calibration_set, MODEL, &calibration), QM_OK);
    uint32_t own = 0, shared = 0, of_part = 0, apart = 1, facts = 0;
    for (uint32_t q = 0; q < all->sequence_count; ++q)
        facts += all->cells[all->cell[q]].task == QM_TASK_FACT;
    assert_int_equal(qm_evaluation_overlap(all, all, &own), QM_OK);
    assert_true(own > 50 && own + facts == all->sequence_count);
    assert_int_equal(qm_evaluation_overlap(all, part, &shared), QM_OK);
    assert_int_equal(qm_evaluation_overlap(part, all, &of_part), QM_OK);
    assert_true(shared > 10 && shared == of_part && shared < own);
    assert_int_equal(qm_evaluation_overlap(all, calibration, &apart), QM_OK);
    assert_int_equal(apart, 0);
    qm_evaluation_destroy(&all);
    qm_evaluation_destroy(&part);
    qm_evaluation_destroy(&calibration);
}

static void the_source_is_the_one_that_drew(void **state)
{
    (void)state;
    struct qm_evaluation *evaluation = evaluation_of(5, 60, 4);
    double nll = 0, entropy = 0;
    size_t drawn = 0, impossible = 0;
    for (size_t i = 0; i < evaluation->scored_count; ++i) {
        const struct qm_scored_token *token = &evaluation->scored[i];
        const struct qm_cell *cell = &evaluation->cells[evaluation->cell[token->sequence]];
        struct qm_evaluation_source out;
        bool is_drawn = qm_evaluation_source(evaluation, token, &out);
        assert_int_equal(is_drawn, cell->task == QM_TASK_SOURCE);
        assert_int_equal(evaluation->is_answer[token->sequence], !is_drawn);
        if (!is_drawn)
            continue;
        double sum = 0, chance = 0;
        for (uint32_t k = 0; k < out.source.count; ++k) {
            double p = out.source.probabilities[k];
            sum += p;
            entropy -= p * qm_log(p);
            chance = out.source.tokens[k] == token->target ? p : chance;
        }
        assert_near(sum, 1, 1e-15);
        assert_true(chance > 0);
        nll -= qm_log(chance);
        ++drawn;
        // Planted: what was drawn before.
        const struct qm_scored_token before = {token->window, token->position - 1, token->target, token->sequence};
        if (i > 0 && evaluation->scored[i - 1].sequence == token->sequence) {
            bool is_possible = false;
            assert_true(qm_evaluation_source(evaluation, &before, &out));
            for (uint32_t k = 0; k < out.source.count; ++k)
                is_possible = is_possible || out.source.tokens[k] == token->target;
            impossible += !is_possible;
        }
    }
    assert_true(drawn > 4000);
    assert_near(entropy / (double)drawn, qm_source_entropy_nats(), 1e-12);
    assert_near(nll / (double)drawn, qm_source_entropy_nats(), 0.05); // some four standard errors
    assert_true(impossible > drawn / 2);
    qm_evaluation_destroy(&evaluation);
}

static const struct qm_node *row_of(const struct qm_node *accuracy, const char *metric)
{
    const struct qm_node *details = qm_node_child(accuracy, "details");
    for (size_t i = 0; i < qm_node_count(details); ++i) {
        if (strcmp(qm_node_text_at(qm_node_at(details, i), "metric", ""), metric) == 0)
            return qm_node_at(details, i);
    }
    fail_msg("there is no %s", metric);
    return NULL;
}

// The format must take it in a whole result.
static void assert_fits(struct qm_node *accuracy)
{
    struct qm_node *result = NULL;
    assert_int_equal(qm_result_load(QM_SOURCE_DIR "/test/data/result-sets.yaml", &result, NULL), QM_OK);
    struct qm_node *target = qm_node_get(result, "schemes.0.accuracy");
    qm_node_remove(target, "sets");
    for (size_t i = 0; i < qm_node_count(accuracy); ++i)
        qm_node_set_node(target, qm_node_key(qm_node_at(accuracy, i)), qm_node_copy(qm_node_at(accuracy, i)));
    if (qm_result_check(result) != QM_OK)
        fail_msg("%s", qm_error_text());
    qm_node_destroy(&result);
}

static void rows_of_a_result(void **state)
{
    (void)state;
    struct qm_evaluation evaluation = {.set = {.seed = 70, .sets = 2}};
    struct qm_details details = {.set_count = 0};
    // Nothing was measured: every row is there, and says so.
    struct qm_node *accuracy = qm_node_new_mapping();
    qm_result_add_details(accuracy, &evaluation, &details);
    assert_int_equal(qm_node_count(qm_node_child(accuracy, "details")), QM_DETAIL_COUNT - 2);
    for (size_t i = 0; i < QM_DETAIL_COUNT - 2; ++i) {
        const struct qm_node *row = qm_node_at(qm_node_child(accuracy, "details"), i);
        assert_string_equal(qm_node_text_at(row, "value", ""), "not measured");
        assert_null(qm_node_child(row, "low"));
    }
    assert_null(qm_node_child(accuracy, "sets"));
    assert_fits(accuracy);
    qm_node_destroy(&accuracy);

    struct qm_details *d = &details;
    d->values[QM_DETAIL_KL_P99] = (struct qm_estimate){QM_ESTIMATE_INTERVAL, 2.0 / 3, 1.0 / 3, 1e-300};
    d->values[QM_DETAIL_KL_P99].high = 12345678.901234567;
    d->values[QM_DETAIL_KL_P999] = (struct qm_estimate){.state = QM_ESTIMATE_POINT, .value = 7e-14 / 3};
    d->values[QM_DETAIL_SOURCE_KL] = (struct qm_estimate){QM_ESTIMATE_INTERVAL, 0.5, 0.25, 0.75};
    d->values[QM_DETAIL_SOURCE_KL_REFERENCE] = (struct qm_estimate){QM_ESTIMATE_INTERVAL, 0.375, 0.25, 0.75};
    d->values[QM_DETAIL_OVERCONFIDENCE] = (struct qm_estimate){QM_ESTIMATE_INTERVAL, -0.5, -0.75, -0.25};
    d->values[QM_DETAIL_OVERCONFIDENCE_DIFFERENCE] = (struct qm_estimate){QM_ESTIMATE_INTERVAL, 0.125, 0, 0.25};
    d->values[QM_DETAIL_CALIBRATION_ERROR] = (struct qm_estimate){.state = QM_ESTIMATE_POINT, .value = 0.25};
    d->values[QM_DETAIL_CALIBRATION_ERROR_REFERENCE] = (struct qm_estimate){.state = QM_ESTIMATE_POINT, .value = 0.5};
    d->calibration_noise = 0.0625;
    d->values[QM_DETAIL_GREEDY_IDENTICAL] = (struct qm_estimate){QM_ESTIMATE_INTERVAL, 1, 0.75, 1};
    d->source_tokens = 11;
    d->greedy_examples = 13;
    d->set_count = 2;
    d->set_kl[0] = 0.25;
    d->set_kl[1] = 0.5;
    d->spread = 0.125;
    d->spread_expected = 0.0625;
    accuracy = qm_node_new_mapping();
    qm_result_add_details(accuracy, &evaluation, &details);
    static const struct {
        const char *metric, *key, *text;
    } expected[] = {
        {"kl_divergence_p99", "value", "0.6666666667"},
        {"kl_divergence_p99", "low", "0.3333333333"},
        {"kl_divergence_p99", "high", "12345678.9"},
        {"kl_divergence_p99.9", "value", "2.333333333e-14"},
        {"kl_divergence_p99.9", "low", "no interval"},
        {"source_kl", "reference", "0.375"},
        {"source_kl", "tokens", "11"},
        {"overconfidence", "reference", "-0.625"},
        {"calibration_error", "reference", "0.5"},
        {"calibration_error", "noise", "0.0625"},
        {"greedy_identical", "examples", "13"},
        {"greedy_first_difference", "value", "not measured"},
    };
    for (size_t i = 0; i < COUNT(expected); ++i)
        assert_string_equal(qm_node_text_at(row_of(accuracy, expected[i].metric), expected[i].key, "absent"),
                            expected[i].text);
    assert_string_equal(qm_node_text_at(accuracy, "sets.spread", ""), "0.125");
    assert_string_equal(qm_node_text_at(accuracy, "sets.expected", ""), "0.0625");
    assert_string_equal(qm_node_text_at(accuracy, "sets.seeds.1.seed", ""), "71");
    assert_string_equal(qm_node_text_at(accuracy, "sets.seeds.1.kl_divergence_mean", ""), "0.5");
    assert_fits(accuracy);
    qm_node_destroy(&accuracy);
    // A set of one sequence has a mean and no error.
    d->spread = d->spread_expected = 0;
    accuracy = qm_node_new_mapping();
    qm_result_add_details(accuracy, &evaluation, &details);
    assert_string_equal(qm_node_text_at(accuracy, "sets.spread", ""), "not measured");
    assert_fits(accuracy);
    qm_node_destroy(&accuracy);
}

static void rows_of_exact_match(void **state)
{
    (void)state;
    static const struct {
        struct qm_paired_counts counts;
        const char *verdicts[2];
        bool is_told;
    } rows[] = {{{0, 0, 0, 0}, {"inconclusive", "inconclusive"}, false},
                {{381, 0, 0, 19}, {"pass", "inconclusive"}, true},
                {{380, 0, 0, 20}, {"inconclusive", "inconclusive"}, true},
                {{3838, 0, 0, 162}, {"pass", "pass"}, true},
                {{300, 0, 30, 70}, {"fail", "fail"}, true}};
    for (size_t i = 0; i < COUNT(rows); ++i) {
        struct qm_summary summary = {.graded = rows[i].counts, .bootstrap = QM_BOOTSTRAP_DEFAULT};
        struct qm_node *exact = qm_node_new_mapping();
        summary.metrics[QM_METRIC_EXACT_MATCH_RATIO] = qm_paired_ratio(&rows[i].counts, 950);
        qm_result_add_non_inferiority(exact, &summary);
        const struct qm_node *list = qm_node_child(exact, "non_inferiority");
        assert_int_equal(qm_node_count(list), 2);
        for (size_t k = 0; k < 2; ++k) {
            const struct qm_node *row = qm_node_at(list, k);
            uint64_t needed = 0;
            assert_string_equal(qm_node_text_at(row, "threshold", ""), k ? "0.999" : "0.99");
            assert_string_equal(qm_node_text_at(row, "verdict", ""), rows[i].verdicts[k]);
            if (!rows[i].is_told)
                assert_string_equal(qm_node_text_at(row, "examples_needed", ""), "none");
            else
                assert_true(qm_node_u64_at(row, "examples_needed", &needed) && needed >= 400);
        }
        qm_node_destroy(&exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_are_what_their_seeds_give),
        cmocka_unit_test(sets_overlap),
        cmocka_unit_test(the_source_is_the_one_that_drew),
        cmocka_unit_test(rows_of_a_result),
        cmocka_unit_test(rows_of_exact_match),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
