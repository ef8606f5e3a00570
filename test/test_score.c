// Scores of tokens, summaries with intervals, verdicts, ratios of timings: against values worked by hand, against an
// independent implementation of the bootstrap (in Python; its numbers stand here), and against simulated truth.
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/numeric.h"
#include "score/acceptance.h"
#include "score/ratio.h"
#include "score/summary.h"
#include "score/tokens.h"
#include "test/score_assert.h"

static struct qm_token_score score(const float *reference, const float *logits, uint32_t vocabulary, uint32_t target)
{
    struct qm_token_score out;
    const struct qm_token_place place = {0};
    assert_int_equal(qm_token_score(reference, logits, vocabulary, target, &place, &out), QM_OK);
    return out;
}

// --- tokens ---

static void token_by_hand(void **state)
{
    (void)state;
    // p = (1/2, 1/2), q = (1, e) / (1 + e): KL = ln((1 + e) / 2) - 1/2.
    struct qm_token_score s = score((const float[]){0, 0}, (const float[]){0, 1}, 2, 0);
    assert_near(s.kl, 0.12011450695827752, 1e-15);
    assert_near(s.nll, 1.3132616875182228, 1e-15);
    assert_near(s.nll_reference, 0.6931471805599453, 1e-15);
    assert_near(s.delta_p, 0.2689414213699951 - 0.5, 1e-15);
    assert_int_equal(s.same_top, 0); // a tie goes to the lower index
    assert_int_equal(s.hit, 0);
    assert_int_equal(s.hit_reference, 1);

    // p = softmax(1, 2, 3), q reversed: the log-sum-exps cancel and KL = 2 (p_2 - p_0).
    s = score((const float[]){1, 2, 3}, (const float[]){3, 2, 1}, 3, 2);
    assert_near(s.kl, 2.0 * (0.6652409557748219 - 0.09003057317038046), 1e-15);
    assert_near(s.nll, 2.4076059644443806, 1e-15);
    assert_near(s.nll_reference, 0.4076059644443806, 1e-15);
    assert_near(s.delta_p, 0.09003057317038046 - 0.6652409557748219, 1e-15);
    assert_int_equal(s.hit_reference, 1);

    // One token only: certain.
    s = score((const float[]){5}, (const float[]){-3}, 1, 0);
    assert_true(s.kl == 0 && s.nll == 0 && s.nll_reference == 0 && s.delta_p == 0 && s.same_top && s.hit);

    // A small difference keeps its digits: KL = ln cosh(x/2) = x^2/8 - x^4/192.
    double x = (double)1e-3f;
    s = score((const float[]){0, 0}, (const float[]){0, 1e-3f}, 2, 1);
    assert_near(s.kl, x * x / 8 - x * x * x * x / 192, 2e-16);
}

static void token_against_libm(void **state)
{
    (void)state;
    enum {
        V = 257
    };
    float a[V], b[V];
    struct qm_random random;
    qm_random_seed(&random, 1, 2);
    for (int round = 0; round < 50; ++round) {
        double scale = round % 5 == 0 ? 50.0 : 8.0;
        for (int v = 0; v < V; ++v) {
            a[v] = (float)((qm_random_unit(&random) - 0.5) * scale);
            b[v] = a[v] + (float)((qm_random_unit(&random) - 0.5) * 0.3);
        }
        uint32_t t = qm_random_below(&random, V);
        long double sa = 0, sb = 0, kl = 0;
        for (int v = 0; v < V; ++v) {
            sa += expl((long double)a[v]);
            sb += expl((long double)b[v]);
        }
        for (int v = 0; v < V; ++v) {
            long double p = expl((long double)a[v]) / sa, q = expl((long double)b[v]) / sb;
            kl += p * (logl(p) - logl(q));
        }
        struct qm_token_score s = score(a, b, V, t);
        assert_near(s.kl, (double)kl, 1e-14);
        assert_near(s.nll, (double)(logl(sb) - (long double)b[t]), 1e-13);
        assert_near(s.delta_p, (double)(expl((long double)b[t]) / sb - expl((long double)a[t]) / sa), 1e-15);
        // A constant added to all logits changes nothing, and the same logits have no divergence at all.
        struct qm_token_score same = score(a, a, V, t);
        assert_true(same.kl == 0.0 && same.delta_p == 0.0 && same.nll == same.nll_reference && same.same_top);
        double alone;
        const struct qm_token_place place = {0};
        assert_int_equal(qm_token_kl(a, b, V, "one", "other", &place, &alone), QM_OK);
        assert_true(alone == s.kl);
    }
}

static void token_extremes(void **state)
{
    (void)state;
    struct qm_token_score s = score((const float[]){1e4f, -1e4f}, (const float[]){-1e4f, 1e4f}, 2, 0);
    assert_true(s.kl == 20000.0 && s.nll == 20000.0 && s.nll_reference == 0.0 && s.delta_p == -1.0);
    s = score((const float[]){FLT_MAX, -FLT_MAX}, (const float[]){-FLT_MAX, FLT_MAX}, 2, 0);
    assert_near(s.kl / (2.0 * (double)FLT_MAX), 1.0, 1e-15);
    assert_near(s.nll / (2.0 * (double)FLT_MAX), 1.0, 1e-15);
    s = score((const float[]){1e4f, -1e4f, 0}, (const float[]){1e4f, -1e4f, 0}, 3, 1);
    assert_true(s.kl == 0.0 && s.nll == 20000.0 && s.nll_reference == 20000.0);
}

static void token_not_finite(void **state)
{
    (void)state;
    const struct qm_token_place place = {.sequence = 17, .window = 3, .position = 41};
    const float bad[] = {NAN, INFINITY, -INFINITY};
    const char *const words[] = {"NaN", "infinity", "-infinity"};
    for (size_t i = 0; i < COUNT(bad); ++i) {
        float good[4] = {0, 1, 2, 3}, logits[4] = {0, 1, bad[i], 3};
        struct qm_token_score out = {.kl = 1};
        assert_int_equal(qm_token_score(good, logits, 4, 0, &place, &out), QM_WRONG_RESULT);
        assert_non_null(strstr(qm_error_text(), "token 2 at window 3, position 41 (sequence 17) from the device"));
        assert_non_null(strstr(qm_error_text(), words[i]));
        assert_true(out.kl == 0.0);
        assert_int_equal(qm_token_score(logits, good, 4, 0, &place, &out), QM_WRONG_RESULT);
        assert_non_null(strstr(qm_error_text(), "reference"));
        double kl;
        assert_int_equal(qm_token_kl(good, logits, 4, "llvmpipe", "PoCL", &place, &kl), QM_WRONG_RESULT);
        assert_non_null(strstr(qm_error_text(), "PoCL"));
    }
    float good[2] = {0, 1};
    struct qm_token_score out;
    assert_int_equal(qm_token_score(good, good, 2, 2, &place, &out), QM_INVALID);
    assert_int_equal(qm_token_score(good, good, 0, 0, &place, &out), QM_INVALID);
}

static void token_arrays(void **state)
{
    (void)state;
    struct qm_token_scores *scores;
    const struct qm_token_place place = {.sequence = 5, .window = 6, .position = 7};
    assert_int_equal(qm_token_scores_create(2, &scores), QM_OK);
    assert_int_equal(qm_token_scores_set(scores, 1, (const float[]){0, 0}, (const float[]){0, 1}, 2, 0, &place), QM_OK);
    assert_near(scores->kl[1], 0.12011450695827752, 1e-15);
    assert_int_equal(scores->hit_reference[1], 1);
    assert_int_equal(scores->sequence[1], 5);
    assert_int_equal(scores->window[1], 6);
    assert_int_equal(scores->position[1], 7);
    assert_int_equal(scores->target[1], 0);
    assert_true(scores->kl[0] == 0.0);
    assert_int_equal(qm_token_scores_set(scores, 2, (const float[]){0}, (const float[]){0}, 1, 0, &place), QM_INVALID);
    qm_token_scores_destroy(&scores);
    assert_null(scores);
    qm_token_scores_destroy(&scores);
    assert_int_equal(qm_token_scores_create(0, &scores), QM_OK);
    qm_token_scores_destroy(&scores);
}

// --- the bootstrap ---

static void percentiles_by_hand(void **state)
{
    (void)state;
    struct qm_cluster_value values[200];
    uint32_t weights[200];
    for (uint32_t i = 0; i < 200; ++i) {
        values[i] = (struct qm_cluster_value){(double)(i * 77 % 200 + 1), i}; // 1 .. 200, shuffled
        weights[i] = 1;
    }
    qm_cluster_values_sort(values, 200);
    assert_true(qm_cluster_percentile(values, 200, weights, 200, 990) == 198.0);
    assert_true(qm_cluster_percentile(values, 200, weights, 200, 991) == 199.0); // rank ceil(198.2)
    assert_true(qm_cluster_percentile(values, 200, weights, 200, 1000) == 200.0);
    assert_true(qm_cluster_percentile(values, 200, weights, 200, 500) == 100.0);
    assert_true(qm_cluster_percentile(values, 200, weights, 200, 0) == 1.0);
    // Weights as repeated values: 10, 10, 10, 20, 30 has median 10 and p80 20.
    struct qm_cluster_value three[3] = {{30, 0}, {20, 1}, {10, 2}};
    const uint32_t repeats[3] = {1, 1, 3};
    assert_true(qm_cluster_percentile(three, 3, repeats, 5, 500) == 10.0);
    assert_true(qm_cluster_percentile(three, 3, repeats, 5, 800) == 20.0);
    assert_true(qm_cluster_percentile(three, 3, repeats, 5, 801) == 30.0);
    const uint32_t without[3] = {0, 1, 3};
    assert_true(qm_cluster_percentile(three, 3, without, 4, 1000) == 20.0);
}

static void bootstrap_settings(void **state)
{
    (void)state;
    const struct qm_bootstrap standard = QM_BOOTSTRAP_DEFAULT;
    assert_int_equal(qm_bootstrap_check(&standard), QM_OK);
    assert_int_equal(qm_bootstrap_check(&(struct qm_bootstrap){1, 98, 950}), QM_INVALID);
    assert_int_equal(qm_bootstrap_check(&(struct qm_bootstrap){1, 1000001, 950}), QM_INVALID);
    assert_int_equal(qm_bootstrap_check(&(struct qm_bootstrap){1, 2000, 999}), QM_INVALID);
    assert_int_equal(qm_bootstrap_check(&(struct qm_bootstrap){1, 198, 990}), QM_INVALID);
    assert_int_equal(qm_bootstrap_check(&(struct qm_bootstrap){1, 199, 990}), QM_OK);
    // Ranks 50 and 1,951 of 2,000.
    double statistics[2000], low, high;
    for (int i = 0; i < 2000; ++i)
        statistics[i] = (double)(i * 1001 % 2000 + 1);
    qm_bootstrap_interval(&standard, statistics, &low, &high);
    assert_true(low == 50.0 && high == 1951.0);
    // A draw has as many clusters as there are.
    uint32_t weights[7], sum = 0;
    struct qm_random random;
    qm_random_seed(&random, 3, 0);
    qm_bootstrap_draw(&random, 7, weights);
    for (int i = 0; i < 7; ++i)
        sum += weights[i];
    assert_int_equal(sum, 7);
}

// --- summaries ---

static struct qm_summary *summarize(const struct qm_token_scores *scores, uint32_t sequences, const uint32_t *cell,
                                    uint32_t cells, struct qm_bootstrap bootstrap)
{
    struct qm_summary *summary;
    const struct qm_summary_params params = {scores, sequences, cell, cells, bootstrap};
    if (qm_summary_create(&params, &summary) != QM_OK)
        fail_msg("%s", qm_error_text());
    return summary;
}

static void summary_by_hand(void **state)
{
    (void)state;
    // Two sequences of 3 and 1 tokens, with a hole between them; too few for an interval.
    struct qm_token_scores *s;
    assert_int_equal(qm_token_scores_create(4, &s), QM_OK);
    const double kl[] = {0.1, 0.2, 0.3, 1.0}, nll[] = {1, 2, 3, 2}, nll_reference[] = {1, 1, 2, 2};
    const double delta_p[] = {0.1, -0.1, 0.5, -0.3};
    const uint8_t same_top[] = {1, 1, 0, 1}, hit[] = {1, 1, 1, 0}, hit_reference[] = {1, 1, 1, 1};
    const uint32_t sequence[] = {0, 0, 0, 2}, cell[] = {1, 0, 1};
    memcpy(s->kl, kl, sizeof(kl));
    memcpy(s->nll, nll, sizeof(nll));
    memcpy(s->nll_reference, nll_reference, sizeof(nll_reference));
    memcpy(s->delta_p, delta_p, sizeof(delta_p));
    memcpy(s->same_top, same_top, sizeof(same_top));
    memcpy(s->hit, hit, sizeof(hit));
    memcpy(s->hit_reference, hit_reference, sizeof(hit_reference));
    memcpy(s->sequence, sequence, sizeof(sequence));
    struct qm_summary *summary = summarize(s, 3, cell, 2, QM_BOOTSTRAP_DEFAULT);
    const double expected[QM_METRIC_COUNT] = {
        [QM_METRIC_KL_MEAN] = 0.4,
        [QM_METRIC_KL_P99] = 1.0,
        [QM_METRIC_KL_MAX] = 1.0,
        [QM_METRIC_PERPLEXITY] = 7.38905609893065,             // e^2
        [QM_METRIC_PERPLEXITY_REFERENCE] = 4.4816890703380645, // e^1.5
        [QM_METRIC_PERPLEXITY_RATIO] = 1.6487212707001282,     // e^0.5
        [QM_METRIC_TOP1_AGREEMENT] = 0.75,
        [QM_METRIC_RMS_DELTA_P] = 0.3, // sqrt(0.36 / 4)
        [QM_METRIC_EXACT_MATCH] = 0.5,
        [QM_METRIC_EXACT_MATCH_REFERENCE] = 1.0,
        [QM_METRIC_EXACT_MATCH_RATIO] = 0.5,
    };
    for (int m = 0; m < QM_METRIC_COUNT; ++m) {
        assert_int_equal(summary->metrics[m].state, QM_ESTIMATE_POINT);
        assert_near(summary->metrics[m].value, expected[m], 1e-14);
    }
    assert_int_equal(summary->tokens, 4);
    assert_int_equal(summary->sequences, 2);
    assert_int_equal(summary->cells[0].examples, 0); // its only sequence has no tokens
    assert_int_equal(summary->cells[0].exact_match.state, QM_ESTIMATE_NOT_MEASURED);
    assert_int_equal(summary->cells[1].examples, 2);
    assert_int_equal(summary->cells[1].hits, 1);
    assert_int_equal(summary->cells[1].hits_reference, 2);
    qm_summary_destroy(&summary);
    assert_null(summary);

    // Nothing graded; a reference that never hits has no ratio; one sequence only; none at all.
    summary = summarize(s, 3, NULL, 9, QM_BOOTSTRAP_DEFAULT);
    assert_int_equal(summary->cell_count, 0);
    assert_int_equal(summary->metrics[QM_METRIC_EXACT_MATCH].state, QM_ESTIMATE_NOT_MEASURED);
    qm_summary_destroy(&summary);
    memset(s->hit_reference, 0, 4);
    summary = summarize(s, 3, cell, 2, QM_BOOTSTRAP_DEFAULT);
    assert_int_equal(summary->metrics[QM_METRIC_EXACT_MATCH_REFERENCE].state, QM_ESTIMATE_POINT);
    assert_int_equal(summary->metrics[QM_METRIC_EXACT_MATCH_RATIO].state, QM_ESTIMATE_NOT_MEASURED);
    qm_summary_destroy(&summary);
    memset(s->sequence, 0, 4 * sizeof(uint32_t));
    summary = summarize(s, 1, cell, 2, QM_BOOTSTRAP_DEFAULT);
    assert_int_equal(summary->metrics[QM_METRIC_KL_MEAN].state, QM_ESTIMATE_POINT);
    assert_near(summary->metrics[QM_METRIC_KL_MEAN].value, 0.4, 1e-15);
    qm_summary_destroy(&summary);
    s->nll[0] = 20000.0; // mean 5,001.75: e to it is no double
    summary = summarize(s, 1, cell, 2, QM_BOOTSTRAP_DEFAULT);
    assert_int_equal(summary->metrics[QM_METRIC_PERPLEXITY].state, QM_ESTIMATE_OUT_OF_RANGE);
    assert_int_equal(summary->metrics[QM_METRIC_PERPLEXITY_REFERENCE].state, QM_ESTIMATE_POINT);
    qm_summary_destroy(&summary);
    s->count = 0;
    summary = summarize(s, 0, NULL, 0, QM_BOOTSTRAP_DEFAULT);
    for (int m = 0; m < QM_METRIC_COUNT; ++m)
        assert_int_equal(summary->metrics[m].state, QM_ESTIMATE_NOT_MEASURED);
    qm_summary_destroy(&summary);
    s->count = 4;

    // What a stranger's file may hold.
    const struct qm_summary_params params = {s, 1, cell, 2, QM_BOOTSTRAP_DEFAULT};
    struct qm_summary_params few = params;
    few.cell_count = 1;
    assert_int_equal(qm_summary_create(&few, &summary), QM_INVALID);
    assert_null(summary);
    few.sequence_count = 0;
    assert_int_equal(qm_summary_create(&few, &summary), QM_INVALID);
    const double bad[] = {NAN, INFINITY, -1.0};
    for (size_t i = 0; i < COUNT(bad); ++i) {
        s->kl[2] = bad[i];
        assert_int_equal(qm_summary_create(&params, &summary), QM_INVALID);
        s->kl[2] = 0.0;
    }
    s->delta_p[3] = 1.5;
    assert_int_equal(qm_summary_create(&params, &summary), QM_INVALID);
    s->delta_p[3] = 0.0;
    s->hit[3] = 2;
    assert_int_equal(qm_summary_create(&params, &summary), QM_INVALID);
    qm_token_scores_destroy(&s);
}

// Scores that are made of integers only, so that other programs can make them again.
enum {
    GOLDEN_TOKENS = 600,
    GOLDEN_SEQUENCES = 40
};

static struct qm_token_scores *golden_scores(uint32_t *cell)
{
    struct qm_token_scores *s;
    assert_int_equal(qm_token_scores_create(GOLDEN_TOKENS, &s), QM_OK);
    for (uint32_t i = 0; i < GOLDEN_TOKENS; ++i) {
        s->sequence[i] = (i * i + 3 * i) / 7 % GOLDEN_SEQUENCES;
        s->kl[i] = (double)(i * 7919 % 1009) / 1009;
        s->nll[i] = 1 + (double)(i * 104729 % 997) / 997;
        s->nll_reference[i] = 1 + (double)(i * 104729 % 997) / 1024;
        s->delta_p[i] = ((double)(i * 31 % 41) - 20) / 64;
        s->same_top[i] = i % 7 != 0;
        s->hit[i] = i % 29 != 0;
        s->hit_reference[i] = i % 83 != 0;
    }
    for (uint32_t q = 0; q < GOLDEN_SEQUENCES; ++q)
        cell[q] = q % 5 ? q % 3 : QM_CELL_NONE;
    return s;
}

// The numbers were computed by a program of a few lines of Python that resamples lists of tokens, sorts each and sums
// with math.fsum: nothing of it is shared with the code under test but the definition.
static void summary_golden(void **state)
{
    (void)state;
    static const double expected[QM_METRIC_COUNT][3] = {
        {0.50023290386521302, 0.48662533070137354, 0.51332924867089369},
        {0.99008919722497524, 0.98017839444995047, 0.99702675916749262},
        {0.998017839444995, 0.99306243805748262, 0.998017839444995},
        {4.4488825793271189, 4.3876070680094639, 4.5193504902807442},
        {4.3914658850390751, 4.3325652547734474, 4.4591762191443332},
        {1.0130746078396402, 1.0127042087076181, 1.0134944815318283},
        {0.85666666666666669, 0.79207920792079212, 0.91797556719022688},
        {0.18506777509930877, 0.18290582642165906, 0.1873142235466109},
        {0.6071428571428571, 0.41379310344827586, 0.7931034482758621},
        {0.75, 0.58333333333333337, 0.90625},
        {0.80952380952380953, 0.5306501456403712, 1.2072832506911932}, // score interval, its maximum found by search
    };
    uint32_t cell[GOLDEN_SEQUENCES];
    struct qm_token_scores *s = golden_scores(cell);
    struct qm_summary *summary = summarize(s, GOLDEN_SEQUENCES, cell, 3, (struct qm_bootstrap){20261123, 500, 950});
    assert_int_equal(summary->sequences, 36);
    for (int m = 0; m < QM_METRIC_COUNT; ++m)
        assert_estimate(&summary->metrics[m], expected[m][0], expected[m][1], expected[m][2],
                        m == QM_METRIC_EXACT_MATCH_RATIO ? 1e-7 : 1e-12);
    const struct qm_cell_summary *cells = summary->cells;
    assert_int_equal(cells[0].examples, 9); // below QM_SCORE_SEQUENCES_MIN
    assert_int_equal(cells[0].exact_match.state, QM_ESTIMATE_POINT);
    assert_near(cells[0].ratio.value, 0.5, 1e-15);
    assert_int_equal(cells[1].examples, 10);
    assert_estimate(&cells[1].exact_match, 0.7, 0.375, 1.0, 1e-15);
    assert_estimate(&cells[1].ratio, 1.0, 0.5165464029044837, 1.935934493708975, 1e-7);
    assert_int_equal(cells[2].examples, 9);
    assert_int_equal(cells[2].ratio.state, QM_ESTIMATE_POINT);

    // The same again to the bit; another seed gives another interval of the same value.
    struct qm_summary *again = summarize(s, GOLDEN_SEQUENCES, cell, 3, (struct qm_bootstrap){20261123, 500, 950});
    struct qm_summary *other = summarize(s, GOLDEN_SEQUENCES, cell, 3, (struct qm_bootstrap){20261124, 500, 950});
    for (int m = 0; m < QM_METRIC_COUNT; ++m) {
        assert_true(again->metrics[m].low == summary->metrics[m].low);
        assert_true(again->metrics[m].high == summary->metrics[m].high);
        assert_true(other->metrics[m].value == summary->metrics[m].value);
    }
    assert_true(other->metrics[QM_METRIC_KL_MEAN].low != summary->metrics[QM_METRIC_KL_MEAN].low);
    qm_summary_destroy(&summary);
    qm_summary_destroy(&again);
    qm_summary_destroy(&other);
    qm_token_scores_destroy(&s);
}

// A reference that hits one example of twelve is missing from a third of all resamples: a bootstrap of the ratio would
// have no interval. The score interval has one, which no seed changes.
static void ratio_that_rests_on_one_hit(void **state)
{
    (void)state;
    uint32_t cell[12] = {0};
    struct qm_token_scores *s;
    assert_int_equal(qm_token_scores_create(12, &s), QM_OK);
    for (uint32_t i = 0; i < 12; ++i) {
        s->sequence[i] = i;
        s->hit[i] = i < 6;
        s->hit_reference[i] = i == 0;
    }
    for (uint64_t seed = 0; seed < 8; ++seed) {
        struct qm_summary *summary = summarize(s, 12, cell, 1, (struct qm_bootstrap){seed, 200, 950});
        assert_int_equal(summary->cells[0].exact_match.state, QM_ESTIMATE_INTERVAL);
        assert_int_equal(summary->cells[0].exact_match_reference.state, QM_ESTIMATE_INTERVAL);
        assert_estimate(&summary->cells[0].ratio, 6.0, 1.239295894088924, 33.27413891935842, 1e-4);
        qm_summary_destroy(&summary);
    }
    qm_token_scores_destroy(&s);
}

static void metric_names(void **state)
{
    (void)state;
    for (int m = 0; m < QM_METRIC_COUNT; ++m) {
        enum qm_metric found;
        assert_int_equal(qm_metric_find(qm_metric_name((enum qm_metric)m), &found), QM_OK);
        assert_int_equal(found, m);
    }
    enum qm_metric found;
    assert_int_equal(qm_metric_find("speed", &found), QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "no metric \"speed\": must be one of kl_divergence_mean, "));
    assert_non_null(strstr(qm_error_text(), "exact_match_ratio"));
    assert_string_equal(qm_metric_unit(QM_METRIC_KL_P99), "nats");
    assert_string_equal(qm_metric_unit(QM_METRIC_PERPLEXITY), "");
    assert_string_equal(qm_metric_name(QM_METRIC_COUNT), "?");
}

// Sequences of 1 to 8 tokens that share a level: the interval over sequences must hold the truth about 95 times in 100,
// and one that takes every token for a sequence of its own must not (which shows that the simulation can tell).
static void coverage_of_clusters(void **state)
{
    (void)state;
    enum {
        TRIALS = 500,
        SEQUENCES = 60
    };
    const double truth = 0.6; // 0.5 of the level, 0.1 of the token
    int clustered = 0, naive = 0, within_errors = 0;
    struct qm_random random;
    qm_random_seed(&random, 99, 0);
    for (int trial = 0; trial < TRIALS; ++trial) {
        struct qm_token_scores *s;
        assert_int_equal(qm_token_scores_create(SEQUENCES * 8, &s), QM_OK);
        s->count = 0;
        for (uint32_t q = 0; q < SEQUENCES; ++q) {
            double level = qm_random_unit(&random);
            uint32_t tokens = 1 + qm_random_below(&random, 8);
            for (uint32_t i = 0; i < tokens; ++i) {
                s->sequence[s->count] = q;
                s->kl[s->count++] = level + 0.2 * qm_random_unit(&random);
            }
        }
        const struct qm_bootstrap bootstrap = {(uint64_t)trial, 399, 950};
        struct qm_summary *summary = summarize(s, SEQUENCES, NULL, 0, bootstrap);
        struct qm_estimate kl = summary->metrics[QM_METRIC_KL_MEAN];
        clustered += kl.low <= truth && truth <= kl.high;
        qm_summary_destroy(&summary);
        struct qm_cluster_mean mean;
        assert_int_equal(qm_cluster_mean(s->kl, s->sequence, s->count, SEQUENCES, &mean), QM_OK);
        assert_near(mean.mean, kl.value, 1e-14);
        within_errors += fabs(mean.mean - truth) <= 2.0 * mean.standard_error;
        for (uint32_t i = 0; i < s->count; ++i)
            s->sequence[i] = i;
        summary = summarize(s, (uint32_t)s->count, NULL, 0, bootstrap);
        kl = summary->metrics[QM_METRIC_KL_MEAN];
        naive += kl.low <= truth && truth <= kl.high;
        qm_summary_destroy(&summary);
        qm_token_scores_destroy(&s);
    }
    print_message("coverage of 95 %%: over sequences %.1f %%, over tokens %.1f %%; of 2 standard errors %.1f %%\n",
                  100.0 * clustered / TRIALS, 100.0 * naive / TRIALS, 100.0 * within_errors / TRIALS);
    assert_in_range(clustered, TRIALS * 91 / 100, TRIALS * 98 / 100);
    assert_in_range(within_errors, TRIALS * 91 / 100, TRIALS * 98 / 100);
    assert_true(naive < TRIALS * 80 / 100);
}

static void pairs_of_passes(void **state)
{
    (void)state;
    // Sums 4 and 5 over 2 and 1 tokens: mean 3, rests -2 and 2, standard error sqrt(2 / 1 * 8) / 3.
    struct qm_cluster_mean mean;
    assert_int_equal(qm_cluster_mean((const double[]){1, 5, 3}, (const uint32_t[]){0, 4, 0}, 3, 5, &mean), QM_OK);
    assert_near(mean.mean, 3.0, 0);
    assert_near(mean.standard_error, 4.0 / 3.0, 1e-15);
    assert_int_equal(mean.sequences, 2);
    assert_int_equal(mean.tokens, 3);
    assert_int_equal(mean.has_error, 1);
    assert_int_equal(qm_cluster_mean((const double[]){1, 5}, (const uint32_t[]){0, 0}, 2, 1, &mean), QM_OK);
    assert_int_equal(mean.has_error, 0);
    assert_int_equal(qm_cluster_mean(NULL, NULL, 0, 0, &mean), QM_OK);
    assert_int_equal(mean.tokens, 0);
    assert_int_equal(qm_cluster_mean((const double[]){NAN}, (const uint32_t[]){0}, 1, 1, &mean), QM_INVALID);
    assert_int_equal(qm_cluster_mean((const double[]){1}, (const uint32_t[]){1}, 1, 1, &mean), QM_INVALID);

    // Two passes that differ by a constant differ by it without error, however much their tokens vary.
    uint32_t cell[GOLDEN_SEQUENCES];
    struct qm_token_scores *a = golden_scores(cell), *b = golden_scores(cell);
    for (size_t i = 0; i < b->count; ++i)
        a->kl[i] += 0.25;
    assert_int_equal(qm_paired_kl(a, b, GOLDEN_SEQUENCES, &mean), QM_OK);
    assert_near(mean.mean, 0.25, 1e-14);
    assert_near(mean.standard_error, 0.0, 1e-14);
    assert_int_equal(qm_paired_kl(a, a, GOLDEN_SEQUENCES, &mean), QM_OK);
    assert_true(mean.mean == 0.0 && mean.standard_error == 0.0);
    b->target[77] = 1;
    assert_int_equal(qm_paired_kl(a, b, GOLDEN_SEQUENCES, &mean), QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "token 77"));
    b->count = 3;
    assert_int_equal(qm_paired_kl(a, b, GOLDEN_SEQUENCES, &mean), QM_INVALID);
    b->count = GOLDEN_TOKENS;
    qm_token_scores_destroy(&a);
    qm_token_scores_destroy(&b);
}

static void summary_is_fast(void **state)
{
    (void)state;
    enum {
        TOKENS = 30000,
        SEQUENCES = 3000,
        CELLS = 18
    };
    static uint32_t cell[SEQUENCES];
    struct qm_token_scores *s;
    struct qm_random random;
    assert_int_equal(qm_token_scores_create(TOKENS, &s), QM_OK);
    qm_random_seed(&random, 5, 0);
    for (uint32_t q = 0; q < SEQUENCES; ++q)
        cell[q] = q % 20 < CELLS ? q % 20 : QM_CELL_NONE;
    for (uint32_t i = 0; i < TOKENS; ++i) {
        s->sequence[i] = i / 10;
        s->kl[i] = qm_random_unit(&random);
        s->nll[i] = s->nll_reference[i] = 1.0;
        s->hit[i] = s->hit_reference[i] = qm_random_below(&random, 50) != 0;
    }
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    struct qm_summary *summary = summarize(s, SEQUENCES, cell, CELLS, QM_BOOTSTRAP_DEFAULT);
    clock_gettime(CLOCK_MONOTONIC, &end);
    double seconds = (double)(end.tv_sec - start.tv_sec) + 1e-9 * (double)(end.tv_nsec - start.tv_nsec);
    print_message("summary of 30,000 tokens, 18 cells, 2,000 resamples: %.3f s\n", seconds);
    assert_true(seconds < 10.0); // sanitizers and busy machines included; 0.5 s is the aim
    // Equal scores have a ratio of exactly 1 in every resample.
    assert_estimate(&summary->metrics[QM_METRIC_PERPLEXITY_RATIO], 1, 1, 1, 0);
    // Equal hits are no proof of it: m both right and nothing else leave m / (m + z^2).
    double hits = (double)summary->graded.both, z2 = 1.959963984540054 * 1.959963984540054;
    assert_true(hits > 2000 && summary->graded.scheme_only == 0 && summary->graded.reference_only == 0);
    assert_estimate(&summary->metrics[QM_METRIC_EXACT_MATCH_RATIO], 1, hits / (hits + z2), (hits + z2) / hits, 1e-12);
    qm_summary_destroy(&summary);
    qm_token_scores_destroy(&s);
}

// --- acceptance ---

static void verdicts(void **state)
{
    (void)state;
    static const struct {
        struct qm_estimate estimate;
        enum qm_bound_side side;
        double bound;
        enum qm_verdict verdict;
        const char *text;
    } cases[] = {
        {{QM_ESTIMATE_INTERVAL, 0.0123, 0.0118, 0.0129},
         QM_BOUND_UPPER,
         0.05,
         QM_VERDICT_PASS,
         "m 0.0123 [0.0118, 0.0129] <= 0.05: pass"},
        {{QM_ESTIMATE_INTERVAL, 0.0123, 0.0118, 0.0129},
         QM_BOUND_UPPER,
         0.01,
         QM_VERDICT_FAIL,
         "m 0.0123 [0.0118, 0.0129] <= 0.01: fail"},
        {{QM_ESTIMATE_INTERVAL, 0.0123, 0.0118, 0.0129},
         QM_BOUND_UPPER,
         0.012,
         QM_VERDICT_INCONCLUSIVE,
         "m 0.0123 [0.0118, 0.0129] <= 0.012: inconclusive"},
        {{QM_ESTIMATE_INTERVAL, 2, 1, 3}, QM_BOUND_UPPER, 3, QM_VERDICT_PASS, "m 2 [1, 3] <= 3: pass"},
        {{QM_ESTIMATE_INTERVAL, 2, 1, 3}, QM_BOUND_UPPER, 1, QM_VERDICT_INCONCLUSIVE, "m 2 [1, 3] <= 1: inconclusive"},
        {{QM_ESTIMATE_INTERVAL, 2, 1, 3}, QM_BOUND_LOWER, 1, QM_VERDICT_PASS, "m 2 [1, 3] >= 1: pass"},
        {{QM_ESTIMATE_INTERVAL, 2, 1, 3}, QM_BOUND_LOWER, 3, QM_VERDICT_INCONCLUSIVE, "m 2 [1, 3] >= 3: inconclusive"},
        {{QM_ESTIMATE_INTERVAL, 2, 1, 3}, QM_BOUND_LOWER, 3.5, QM_VERDICT_FAIL, "m 2 [1, 3] >= 3.5: fail"},
        // More digits where fewer would contradict the verdict or hide a difference.
        {{QM_ESTIMATE_INTERVAL, 1.0031, 1.0012, 1.00502},
         QM_BOUND_UPPER,
         1.005,
         QM_VERDICT_INCONCLUSIVE,
         "m 1.0031 [1.0012, 1.00502] <= 1.005: inconclusive"},
        {{QM_ESTIMATE_INTERVAL, 0.995, 0.98999, 1},
         QM_BOUND_LOWER,
         0.99,
         QM_VERDICT_INCONCLUSIVE,
         "m 0.995 [0.98999, 1] >= 0.99: inconclusive"},
        {{QM_ESTIMATE_INTERVAL, 1, 1, 1}, QM_BOUND_LOWER, 0.99, QM_VERDICT_PASS, "m 1 [1, 1] >= 0.99: pass"},
        {{QM_ESTIMATE_POINT, 0.5, 0, 0},
         QM_BOUND_UPPER,
         0.9,
         QM_VERDICT_INCONCLUSIVE,
         "m 0.5 [interval not measured] <= 0.9: inconclusive"},
        {{QM_ESTIMATE_NOT_MEASURED, 0, 0, 0},
         QM_BOUND_LOWER,
         0.9,
         QM_VERDICT_INCONCLUSIVE,
         "m not measured >= 0.9: inconclusive"},
        {{QM_ESTIMATE_OUT_OF_RANGE, 0, 0, 0}, QM_BOUND_UPPER, 0.9, QM_VERDICT_FAIL, "m above 1.79e308 <= 0.9: fail"},
        {{QM_ESTIMATE_OUT_OF_RANGE, 0, 0, 0},
         QM_BOUND_LOWER,
         0.9,
         QM_VERDICT_INCONCLUSIVE,
         "m above 1.79e308 >= 0.9: inconclusive"},
    };
    for (size_t i = 0; i < COUNT(cases); ++i) {
        struct qm_criterion_verdict v = qm_criterion_judge("m", cases[i].side, cases[i].bound, &cases[i].estimate, 0);
        assert_int_equal(v.verdict, cases[i].verdict);
        assert_string_equal(v.text, cases[i].text);
    }
    // What was left out is added to the upper end: pass by the highest, fail by the lowest.
    static const struct {
        double value, low, high, left_out;
        enum qm_bound_side side;
        enum qm_verdict verdict;
        const char *text;
    } in_part[] = {
        {0.02, 0.018, 0.023, 0.02, QM_BOUND_UPPER, QM_VERDICT_PASS,
         "m 0.02 [0.018, 0.023], or up to 0.02 more for what the fp32 reference left out, <= 0.05: pass"},
        {0.02, 0.018, 0.023, 0.03, QM_BOUND_UPPER, QM_VERDICT_INCONCLUSIVE,
         "m 0.02 [0.018, 0.023], or up to 0.03 more for what the fp32 reference left out, <= 0.05: inconclusive"},
        {0.02, 0.018, 0.023, 0.02701, QM_BOUND_UPPER, QM_VERDICT_INCONCLUSIVE,
         "m 0.02 [0.018, 0.023], or up to 0.02701 more for what the fp32 reference left out, <= 0.05: inconclusive"},
        {0.07, 0.06, 0.08, 0.03, QM_BOUND_UPPER, QM_VERDICT_FAIL,
         "m 0.07 [0.06, 0.08], or up to 0.03 more for what the fp32 reference left out, <= 0.05: fail"},
        {0.02, 0.018, 0.023, 0.03, QM_BOUND_LOWER, QM_VERDICT_INCONCLUSIVE,
         "m 0.02 [0.018, 0.023], or up to 0.03 more for what the fp32 reference left out, >= 0.05: inconclusive"},
        {0.02, 0.018, 0.023, 0.02, QM_BOUND_LOWER, QM_VERDICT_FAIL,
         "m 0.02 [0.018, 0.023], or up to 0.02 more for what the fp32 reference left out, >= 0.05: fail"},
        {0.02, 0.018, 0.023, -1, QM_BOUND_UPPER, QM_VERDICT_INCONCLUSIVE,
         "m 0.02 [0.018, 0.023] <= 0.05: inconclusive"},
    };
    for (size_t i = 0; i < COUNT(in_part); ++i) {
        struct qm_estimate estimate = {QM_ESTIMATE_INTERVAL, in_part[i].value, in_part[i].low, in_part[i].high};
        struct qm_criterion_verdict v = qm_criterion_judge("m", in_part[i].side, 0.05, &estimate, in_part[i].left_out);
        assert_int_equal(v.verdict, in_part[i].verdict);
        assert_string_equal(v.text, in_part[i].text);
    }
    struct qm_criterion_verdict v = qm_criterion_judge("m", QM_BOUND_UPPER, (double)NAN, &cases[0].estimate, 0);
    assert_int_equal(v.verdict, QM_VERDICT_INCONCLUSIVE);

    const enum qm_verdict pass = QM_VERDICT_PASS, fail = QM_VERDICT_FAIL, open = QM_VERDICT_INCONCLUSIVE;
    const struct qm_criterion_verdict lists[][3] = {
        {{pass, ""}, {pass, ""}, {pass, ""}},
        {{pass, ""}, {open, ""}, {pass, ""}},
        {{open, ""}, {pass, ""}, {fail, ""}},
        {{QM_VERDICT_NOT_STATED, ""}, {pass, ""}, {QM_VERDICT_NOT_STATED, ""}},
    };
    const enum qm_verdict overall[] = {pass, open, fail, pass};
    for (size_t i = 0; i < COUNT(lists); ++i)
        assert_int_equal(qm_verdict_overall(lists[i], 3), overall[i]);
    assert_int_equal(qm_verdict_overall(NULL, 0), QM_VERDICT_NOT_STATED);
    assert_string_equal(qm_verdict_name(QM_VERDICT_NOT_STATED), "not stated");
}

static void acceptance_of_summary(void **state)
{
    (void)state;
    uint32_t cell[GOLDEN_SEQUENCES];
    struct qm_token_scores *s = golden_scores(cell);
    struct qm_summary *summary = summarize(s, GOLDEN_SEQUENCES, cell, 3, (struct qm_bootstrap){20261123, 500, 950});
    struct qm_criterion criteria[] = {
        {QM_METRIC_KL_MEAN, QM_BOUND_UPPER, 0.6},
        {QM_METRIC_PERPLEXITY_RATIO, QM_BOUND_UPPER, 1.02},
        {QM_METRIC_EXACT_MATCH_RATIO, QM_BOUND_LOWER, 0.99},
    };
    struct qm_criterion_verdict out[3];
    enum qm_verdict overall;
    assert_int_equal(qm_acceptance_judge(criteria, 2, summary, NULL, out, &overall), QM_OK);
    assert_int_equal(overall, QM_VERDICT_PASS);
    assert_string_equal(out[0].text, "kl_divergence_mean 0.5 [0.487, 0.513] <= 0.6: pass");
    assert_string_equal(out[1].text, "perplexity_ratio 1.0131 [1.0127, 1.0135] <= 1.02: pass");
    assert_int_equal(qm_acceptance_judge(criteria, 3, summary, NULL, out, &overall), QM_OK);
    assert_int_equal(overall, QM_VERDICT_INCONCLUSIVE);
    criteria[0].bound = 0.4;
    assert_int_equal(qm_acceptance_judge(criteria, 3, summary, NULL, out, &overall), QM_OK);
    assert_int_equal(overall, QM_VERDICT_FAIL);
    // Of what was left out only KL divergence knows: the mean by the mean, percentiles by the largest.
    const struct qm_left_out left_out = {.mean = 0.05, .largest = 2};
    const struct qm_criterion divergences[] = {{QM_METRIC_KL_MEAN, QM_BOUND_UPPER, 0.6},
                                               {QM_METRIC_PERPLEXITY_RATIO, QM_BOUND_UPPER, 1.02},
                                               {QM_METRIC_KL_P99, QM_BOUND_UPPER, 1.9}};
    assert_int_equal(qm_acceptance_judge(divergences, 3, summary, NULL, out, &overall), QM_OK);
    assert_int_equal(overall, QM_VERDICT_PASS);
    assert_int_equal(qm_acceptance_judge(divergences, 3, summary, &left_out, out, &overall), QM_OK);
    assert_int_equal(out[0].verdict, QM_VERDICT_PASS);
    assert_int_equal(out[1].verdict, QM_VERDICT_PASS);
    assert_int_equal(out[2].verdict, QM_VERDICT_INCONCLUSIVE);
    assert_int_equal(qm_acceptance_judge(criteria, 0, summary, NULL, out, &overall), QM_OK);
    assert_int_equal(overall, QM_VERDICT_NOT_STATED);
    criteria[1].bound = (double)INFINITY;
    assert_int_equal(qm_acceptance_judge(criteria, 3, summary, NULL, out, &overall), QM_INVALID);
    criteria[1] = (struct qm_criterion){QM_METRIC_COUNT, QM_BOUND_UPPER, 1};
    assert_int_equal(qm_acceptance_judge(criteria, 3, summary, NULL, out, &overall), QM_INVALID);
    qm_summary_destroy(&summary);
    qm_token_scores_destroy(&s);
}

// --- timings ---

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(token_by_hand),      cmocka_unit_test(token_against_libm),
        cmocka_unit_test(token_extremes),     cmocka_unit_test(token_not_finite),
        cmocka_unit_test(token_arrays),       cmocka_unit_test(percentiles_by_hand),
        cmocka_unit_test(bootstrap_settings), cmocka_unit_test(summary_by_hand),
        cmocka_unit_test(summary_golden),     cmocka_unit_test(ratio_that_rests_on_one_hit),
        cmocka_unit_test(metric_names),       cmocka_unit_test(coverage_of_clusters),
        cmocka_unit_test(pairs_of_passes),    cmocka_unit_test(summary_is_fast),
        cmocka_unit_test(verdicts),           cmocka_unit_test(acceptance_of_summary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
