// Sweeps of calibrators: what is tried and what is refused, ranks and paired differences against values worked by hand, and
// a sweep of the built-in model whose rows are complete, sorted, and have the artifacts that a profile would get.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/sweep.h"
#include "score/summary.h"
#include "sys/file.h"
#include "test/score_assert.h"

#define CACHE QM_BINARY_DIR "/test-sweep"
#define PROFILE QM_BINARY_DIR "/test-sweep.yaml"

static struct qm_sweep sweep;

static void check(enum qm_status status)
{
    if (status != QM_OK)
        fail_msg("%s (%s)", qm_error_text(), qm_error_place());
}

// ---- The plan -------------------------------------------------------------------------------------------------------

// "w4a16-g32 0, w4a16-g32-gptq 1, ..." as planned.
static void assert_plan(const char *scheme, const char *sizes, uint32_t windows, const char *expected)
{
    char text[4096] = "";
    check(qm_sweep_plan(scheme, sizes, windows, &sweep));
    for (size_t i = 0; i < sweep.row_count; ++i)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s %u", i ? ", " : "", sweep.rows[i].scheme.name,
                 sweep.rows[i].windows);
    assert_string_equal(text, expected);
}

static void plans(void **state)
{
    (void)state;
    assert_plan("w4a16-g32", "8", 16,
                "w4a16-g32 0, w4a16-g32-mse 0, w4a16-g32-awq 8, w4a16-g32-gptq 8, w4a16-g32-gptq-actorder 8, "
                "w4a16-g32-imatrix 8");
    assert_int_equal(sweep.method_count, 6);
    // Whatever calibrator the name has: it says formats, cache and overrides.
    assert_plan("w4a16-g32-gptq-actorder-kv8+lm_head=f16", "8", 16,
                "w4a16-g32-kv8+lm_head=f16 0, w4a16-g32-mse-kv8+lm_head=f16 0, w4a16-g32-awq-kv8+lm_head=f16 8, "
                "w4a16-g32-gptq-kv8+lm_head=f16 8, w4a16-g32-gptq-actorder-kv8+lm_head=f16 8, "
                "w4a16-g32-imatrix-kv8+lm_head=f16 8");
    // Static scales make every method depend on the set, absmax included; it stands once.
    assert_plan("w8a8-static", "2", 16,
                "w8a8-static 2, w8a8-static-percentile 2, w8a8-static-mse 2, w8a8-static-entropy 2, "
                "w8a8-static-smoothquant 2, w8a8-static-awq 2, w8a8-static-gptq 2, w8a8-static-gptq-actorder 2, "
                "w8a8-static-imatrix 2");
    assert_plan("q4_ka8", "2", 16, "q4_ka8 0, q4_ka8-smoothquant 2");
    // Sizes: sorted, and by default parts of the profile's, none twice.
    assert_plan("q4_ka8", "64,4,16", 16,
                "q4_ka8 0, q4_ka8-smoothquant 4, q4_ka8-smoothquant 16, q4_ka8-smoothquant 64");
    assert_plan("q4_ka8", NULL, 64, "q4_ka8 0, q4_ka8-smoothquant 4, q4_ka8-smoothquant 16, q4_ka8-smoothquant 64");
    assert_plan("q4_ka8", NULL, 5, "q4_ka8 0, q4_ka8-smoothquant 1, q4_ka8-smoothquant 5");
    assert_plan("q4_ka8", NULL, 1, "q4_ka8 0, q4_ka8-smoothquant 1");
}

static void refused(const char *scheme, const char *sizes, const char *word)
{
    assert_int_equal(qm_sweep_plan(scheme, sizes, 16, &sweep), QM_INVALID);
    if (!strstr(qm_error_text(), word))
        fail_msg("'%s' says nothing of '%s'", qm_error_text(), word);
}

static void bad_input_is_refused(void **state)
{
    (void)state;
    refused("f16", NULL, "no choice");
    refused("f32", NULL, "no choice");
    refused("q4_ka16", NULL, "no choice");
    refused("w4a16-g33", NULL, "g32");
    refused("", NULL, "without a name");
    refused("w4a16-g32", "", "whole numbers");
    refused("w4a16-g32", "0", "whole numbers");
    refused("w4a16-g32", "4,", "whole numbers");
    refused("w4a16-g32", "4,,8", "whole numbers");
    refused("w4a16-g32", "4 8", "whole numbers");
    refused("w4a16-g32", "-4", "whole numbers");
    refused("w4a16-g32", "100001", "whole numbers");
    refused("w4a16-g32", "18446744073709551617", "whole numbers");
    refused("w4a16-g32", "4,04", "twice");
    refused("w4a16-g32", "1,2,3,4,5,6,7,8,9", "more than 8");
}

// ---- Ranks ----------------------------------------------------------------------------------------------------------

enum {
    SEQUENCES = 40,
    TOKENS_EACH = 3,
    TOKENS = SEQUENCES * TOKENS_EACH
};

// A pass whose token i has the divergence common + own, where `common` differs widely between sequences.
static struct qm_token_scores *pass_of(double own, double (*extra)(uint32_t sequence))
{
    struct qm_token_scores *scores = NULL;
    check(qm_token_scores_create(TOKENS, &scores));
    for (uint32_t i = 0; i < TOKENS; ++i) {
        scores->sequence[i] = i / TOKENS_EACH;
        scores->position[i] = i;
        scores->kl[i] = 0.1 + (double)(scores->sequence[i] % 10) + own + (extra ? extra(scores->sequence[i]) : 0);
        scores->nll[i] = scores->nll_reference[i] = 1;
        scores->confidence[i] = scores->confidence_reference[i] = 0.5;
    }
    return scores;
}

static double alternating(uint32_t sequence)
{
    return sequence % 2 ? 0.02 : -0.02;
}

static void ranks_by_hand(void **state)
{
    (void)state;
    struct qm_token_scores *passes[] = {pass_of(0.01, NULL), pass_of(0, NULL), pass_of(0.0001, alternating),
                                        pass_of(0.01, NULL), pass_of(1, NULL)};
    struct qm_ranked ranked[5];
    const struct qm_bootstrap bootstrap = QM_BOOTSTRAP_DEFAULT;
    check(qm_ranking_make((const struct qm_token_scores *const *)passes, 5, SEQUENCES, &bootstrap, ranked));
    assert_true(ranked[1].is_best);
    assert_near(ranked[1].kl, 4.6, 1e-12);
    assert_estimate(&ranked[1].over_best, 0, 0, 0, 0);
    // A difference that is the same in every sequence is known to the last bits, though each mean is vague.
    assert_estimate(&ranked[0].over_best, 0.01, 0.01, 0.01, 1e-12);
    assert_estimate(&ranked[4].over_best, 1, 1, 1, 1e-12);
    // One that changes its sign is not: 0.02 / sqrt(40) is its error.
    assert_int_equal(ranked[2].over_best.state, QM_ESTIMATE_INTERVAL);
    assert_near(ranked[2].over_best.value, 0.0001, 1e-12);
    assert_near(ranked[2].over_best.high - ranked[2].over_best.low, 2 * 1.96 * 0.02 / sqrt(40), 0.002);
    static const uint32_t first[] = {3, 1, 1, 3, 5}, last[] = {4, 2, 2, 4, 5};
    for (size_t i = 0; i < 5; ++i) {
        assert_int_equal(ranked[i].rank_first, first[i]);
        assert_int_equal(ranked[i].rank_last, last[i]);
        assert_int_equal(ranked[i].is_best, i == 1);
    }
    // The interval of a pass against one that has no divergence is that of the pass in the summary: the same draws.
    struct qm_token_scores *none = pass_of(0, NULL);
    memset(none->kl, 0, TOKENS * sizeof(*none->kl));
    const struct qm_token_scores *two[] = {passes[2], none};
    check(qm_ranking_make(two, 2, SEQUENCES, &bootstrap, ranked));
    struct qm_summary *summary = NULL;
    check(qm_summary_create(
        &(struct qm_summary_params){.scores = passes[2], .sequence_count = SEQUENCES, .bootstrap = bootstrap},
        &summary));
    const struct qm_estimate *mean = &summary->metrics[QM_METRIC_KL_MEAN];
    assert_estimate(&ranked[0].over_best, mean->value, mean->low, mean->high, 1e-12);
    qm_summary_destroy(&summary);
    qm_token_scores_destroy(&none);
    for (size_t i = 0; i < 5; ++i)
        qm_token_scores_destroy(&passes[i]);
}

static void ranks_of_too_little(void **state)
{
    (void)state;
    const struct qm_bootstrap bootstrap = QM_BOOTSTRAP_DEFAULT;
    struct qm_token_scores *a = pass_of(0, NULL), *b = pass_of(1, NULL);
    const struct qm_token_scores *passes[] = {a, b};
    struct qm_ranked ranked[2];
    // Nine sequences: nothing is told apart.
    a->count = b->count = 9 * TOKENS_EACH;
    check(qm_ranking_make(passes, 2, SEQUENCES, &bootstrap, ranked));
    assert_int_equal(ranked[1].over_best.state, QM_ESTIMATE_POINT);
    assert_near(ranked[1].over_best.value, 1, 1e-12);
    assert_int_equal(ranked[1].rank_first, 1);
    assert_int_equal(ranked[0].rank_last, 2);
    a->count = 0;
    assert_int_equal(qm_ranking_make(passes, 2, SEQUENCES, &bootstrap, ranked), QM_INVALID);
    a->count = TOKENS;
    assert_int_equal(qm_ranking_make(passes, 2, SEQUENCES, &bootstrap, ranked), QM_INVALID);
    b->count = TOKENS;
    ++b->target[7];
    assert_int_equal(qm_ranking_make(passes, 2, SEQUENCES, &bootstrap, ranked), QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "7"));
    assert_int_equal(qm_ranking_make(passes, 0, SEQUENCES, &bootstrap, ranked), QM_INVALID);
    qm_token_scores_destroy(&a);
    qm_token_scores_destroy(&b);
}

// ---- A sweep --------------------------------------------------------------------------------------------------------

static void write_profile(void)
{
    static const char text[] =
        "schema: 1\nextends: quick\nname: sweep\nschemes: [f16]\nbaseline: f16\n"
        "evaluation: {set: built-in, seed: 5, windows: 2, window_tokens: 128, scored_tokens: 1}\n"
        "calibration: {set: built-in, seed: 6, windows: 5, window_tokens: 128}\n"
        "prefill: [{batch: 1, prompt: 128}]\ndecode: [{batch: 1, depth: 16, steps: 8}]\n";
    check(qm_file_write(PROFILE, text, sizeof(text) - 1));
}

static const struct qm_sweep_row *row_of(const char *scheme, uint32_t windows)
{
    for (size_t i = 0; i < sweep.row_count; ++i)
        if (strcmp(sweep.rows[i].scheme.name, scheme) == 0 && sweep.rows[i].windows == windows)
            return &sweep.rows[i];
    fail_msg("there is no %s of %u windows", scheme, windows);
    return NULL;
}

struct told {
    double last;
    bool falls, is_outside;
};

static void note(void *context, const char *what, double fraction)
{
    struct told *told = context;
    (void)what;
    told->falls = told->falls || fraction < told->last;
    told->is_outside = told->is_outside || fraction < 0 || fraction > 1;
    told->last = fraction;
}

static void a_sweep(void **state)
{
    (void)state;
    struct qm_preparation *p = NULL;
    struct told told = {0};
    const struct qm_preparation_params params = {
        .profile = PROFILE, .model = QM_SOURCE_DIR "/models/qmark-3m", .cache_directory = CACHE};
    write_profile();
    check(qm_preparation_read(&params, &p));
    check(qm_sweep_plan("w4a16-g32", "1,5", p->profile.calibration.windows, &sweep));
    check(qm_sweep_run(&sweep, p, CACHE, note, &told));
    assert_false(told.falls);
    assert_false(told.is_outside);
    assert_true(told.last > 0.9);
    assert_int_equal(sweep.row_count, 2 + 4 * 2);
    assert_int_equal(sweep.scored_tokens, p->evaluation->scored_count);
    for (size_t i = 0; i < sweep.row_count; ++i) {
        const struct qm_sweep_row *row = &sweep.rows[i];
        const bool is_free =
            row->scheme.calibrator == QM_CALIBRATOR_NONE || row->scheme.calibrator == QM_CALIBRATOR_MSE;
        print_message("%-26s %u windows, %.2f s, KL %.3g, over best %.3g [%.3g, %.3g], rank %u-%u\n", row->scheme.name,
                      row->windows, row->building_s, row->kl.value, row->ranked.over_best.value,
                      row->ranked.over_best.low, row->ranked.over_best.high, row->ranked.rank_first,
                      row->ranked.rank_last);
        assert_int_equal(row->status, QM_OK);
        assert_int_equal(row->windows == 0, is_free);
        assert_int_equal(row->tokens, 128 * (uint64_t)row->windows);
        assert_int_equal(row->collecting_s > 0, !is_free);
        assert_true(row->building_s > 0 && row->bytes > 1000000);
        assert_int_equal(row->kl.state, QM_ESTIMATE_INTERVAL);
        assert_int_equal(row->perplexity_ratio.state, QM_ESTIMATE_INTERVAL);
        assert_true(row->kl.value > 0 && row->kl.low <= row->kl.value && row->kl.value <= row->kl.high);
        // The same sums as the summary's.
        assert_near(row->ranked.kl, row->kl.value, 1e-12);
        assert_true(i == 0 || row->ranked.kl >= sweep.rows[i - 1].ranked.kl);
        assert_int_equal(row->ranked.is_best, i == 0);
        const struct qm_estimate *over = &row->ranked.over_best;
        assert_near(over->value, row->kl.value - sweep.rows[0].kl.value, 1e-12);
        assert_true(over->low <= over->value && over->value <= over->high);
        assert_true(row->ranked.rank_first >= 1 && row->ranked.rank_first <= i + 1);
        assert_true(row->ranked.rank_last >= i + 1 && row->ranked.rank_last <= sweep.row_count);
        // Nobody is told apart from the best by less than pairs can tell: they tell more than two intervals do.
        if (i > 0 && row->kl.low > sweep.rows[0].kl.high)
            assert_true(over->low > 0);
    }
    // What collecting cost rises with the size, and is the same for all calibrators.
    assert_true(row_of("w4a16-g32-awq", 5)->collecting_s > row_of("w4a16-g32-awq", 1)->collecting_s);
    assert_true(row_of("w4a16-g32-awq", 5)->collecting_s == row_of("w4a16-g32-gptq", 5)->collecting_s); // NOLINT
    // Second-order rounding beats the scales of absmax, beyond noise; and one window is not as good as five.
    assert_true(row_of("w4a16-g32-gptq", 5)->kl.value < row_of("w4a16-g32", 0)->kl.value);
    assert_true(row_of("w4a16-g32", 0)->ranked.over_best.low > 0);
    assert_true(row_of("w4a16-g32-gptq", 5)->kl.value < row_of("w4a16-g32-gptq", 1)->kl.value);
    // The cheapest of the best is one of them, and none of them costs less.
    const struct qm_sweep_row *cheapest = qm_sweep_cheapest(&sweep);
    assert_true(cheapest->ranked.over_best.low <= 0);
    assert_true(cheapest->collecting_s + cheapest->building_s <= sweep.rows[0].collecting_s + sweep.rows[0].building_s);
    // A row's artifact is the one that calibrating with such a set gives: collecting may pause.
    const struct qm_sweep_row *row = row_of("w4a16-g32-gptq", 5);
    struct qm_artifact *artifact = NULL;
    struct qm_reference_time time;
    char path[QM_PATH_BYTES];
    struct qm_reference_params reference = {.model = p->model, .cache_directory = CACHE "-fresh", .time = &time};
    char directory[QM_PATH_BYTES];
    check(qm_path_join(directory, CACHE, "artifacts"));
    check(qm_artifact_find(directory, p->model->sha256, &p->model->config, &row->scheme, p->calibration->sha256,
                           &artifact));
    assert_null(artifact); // a sweep keeps none
    for (int round = 0; round < 2; ++round) {
        check(qm_reference_artifact(&reference, &row->scheme, p->calibration, &artifact, path));
        assert_string_equal(artifact->id, row->artifact_id);
        if (round == 1)
            assert_true(time.is_cached);
        if (time.is_cached)
            assert_true(time.building_s <= 0 && time.collecting_s <= 0);
        else
            assert_true(time.building_s > 0 && time.collecting_s > 0);
        qm_artifact_destroy(&artifact);
    }
    qm_preparation_destroy(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans),         cmocka_unit_test(bad_input_is_refused),
        cmocka_unit_test(ranks_by_hand), cmocka_unit_test(ranks_of_too_little),
        cmocka_unit_test(a_sweep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
