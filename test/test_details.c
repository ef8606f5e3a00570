// The distribution of divergences and what else a summary's details tell: against values worked by hand and by a program
// of a few lines of Python (its numbers stand here), on degenerate scores, and against simulated truth.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/numeric.h"
#include "base/random.h"
#include "score/counts.h"
#include "score/details.h"
#include "score/summary.h"
#include "test/score_assert.h"

static struct qm_token_scores *scores_of(size_t count)
{
    struct qm_token_scores *scores;
    assert_int_equal(qm_token_scores_create(count, &scores), QM_OK);
    return scores;
}

static struct qm_details compute(const struct qm_token_scores *scores, uint32_t sequences)
{
    struct qm_details details;
    const struct qm_details_params params = {scores, sequences, NULL, NULL, 0, QM_BOOTSTRAP_DEFAULT};
    if (qm_details_compute(&params, &details) != QM_OK)
        fail_msg("%s", qm_error_text());
    return details;
}

// --- tokens ---

static void confidence_by_hand(void **state)
{
    (void)state;
    struct qm_token_score s;
    const struct qm_token_place place = {0};
    assert_int_equal(qm_token_score((const float[]){0, 0}, (const float[]){0, 1}, 2, 0, &place, &s), QM_OK);
    assert_near(s.confidence, 0.7310585786300049, 1e-15); // e / (1 + e)
    assert_near(s.confidence_reference, 0.5, 0);
    assert_int_equal(qm_token_score((const float[]){5}, (const float[]){-3}, 1, 0, &place, &s), QM_OK);
    assert_true(s.confidence == 1.0 && s.confidence_reference == 1.0);
}

static void source_by_hand(void **state)
{
    (void)state;
    const struct qm_token_place place = {.sequence = 1, .window = 2, .position = 3};
    const uint32_t tokens[] = {2, 0};
    const double probabilities[] = {0.75, 0.25};
    struct qm_token_source source = {tokens, probabilities, 2};
    double kl;
    // q is uniform over 4: KL = ln 4 - H = ln 4 + 0.75 ln 0.75 + 0.25 ln 0.25.
    assert_int_equal(qm_token_source_kl(&source, (const float[]){9, 9, 9, 9}, 4, "device", &place, &kl), QM_OK);
    assert_near(kl, 0.8239592165010822, 1e-15);
    // All of q's mass where the source has it, in its proportion: ln 3 apart, the rest e^-200.
    assert_int_equal(qm_token_source_kl(&source, (const float[]){0, -200, 1.0986123f, -200}, 4, "device", &place, &kl),
                     QM_OK);
    assert_near(kl, 0.0, 1e-14);
    // A model that is sure of the wrong token.
    assert_int_equal(qm_token_source_kl(&source, (const float[]){0, 1e4f, 0, 0}, 4, "device", &place, &kl), QM_OK);
    assert_near(kl, 1e4 - 0.5623351446188083, 1e-10);

    assert_int_equal(qm_token_source_kl(&source, (const float[]){0, 1}, 2, "device", &place, &kl), QM_INVALID);
    assert_int_equal(qm_token_source_kl(&source, (const float[]){0, 1}, 0, "device", &place, &kl), QM_INVALID);
    assert_int_equal(qm_token_source_kl(&source, (const float[]){0, NAN, 0, 0}, 4, "device", &place, &kl),
                     QM_WRONG_RESULT);
    assert_non_null(strstr(qm_error_text(), "token 1 at window 2, position 3 (sequence 1) from the device is NaN"));
    const double bad[][2] = {{0.75, 0.5}, {1, 0}, {0.5, (double)NAN}, {-0.5, 1.5}};
    for (size_t i = 0; i < COUNT(bad); ++i) {
        source.probabilities = bad[i];
        assert_int_equal(qm_token_source_kl(&source, (const float[]){0, 0, 0}, 3, "device", &place, &kl), QM_INVALID);
    }
    source.probabilities = probabilities;
    struct qm_token_scores *s = scores_of(2);
    const float uniform[4] = {1, 1, 1, 1}, sure[4] = {0, 1e4f, 0, 0};
    assert_int_equal(qm_token_scores_set_source(s, 1, &source, uniform, sure, 4, &place), QM_OK);
    assert_near(s->source_kl_reference[1], 0.8239592165010822, 1e-15);
    assert_near(s->source_kl[1], 1e4 - 0.5623351446188083, 1e-10);
    assert_true(s->has_source[1] == 1 && s->has_source[0] == 0);
    assert_int_equal(qm_token_scores_set_source(s, 2, &source, uniform, sure, 4, &place), QM_INVALID);
    qm_token_scores_destroy(&s);
}

// --- details ---

enum {
    TOKENS = 600,
    SEQUENCES = 40
};

// Integers only, so that another program can make the same.
static struct qm_token_scores *made_up(uint8_t *is_answer, uint32_t *set)
{
    struct qm_token_scores *s = scores_of(TOKENS);
    for (uint32_t i = 0; i < TOKENS; ++i) {
        s->sequence[i] = (i * i + 3 * i) / 7 % SEQUENCES;
        s->kl[i] = (double)(i * 7919 % 1009) / 1009;
        s->nll[i] = 1 + (double)(i * 104729 % 997) / 997;
        s->nll_reference[i] = 1 + (double)(i * 104729 % 997) / 1024 + (double)(i * 37 % 11) / 16;
        s->confidence[i] = (double)(i * 389 % 607 + 1) / 608;
        s->confidence_reference[i] = (double)((i * 211 % 601 + 1) / 4 * 4) / 604;
        s->hit[i] = i % 29 != 0 && i % 3 != 0;
        s->hit_reference[i] = i % 83 != 0;
        s->same_top[i] = i % 7 != 0;
        s->has_source[i] = s->sequence[i] % 4 == 1;
        s->source_kl[i] = s->has_source[i] ? (double)(i * 17 % 101) / 101 : 0;
        s->source_kl_reference[i] = s->has_source[i] ? (double)(i * 17 % 101) / 128 : 0;
    }
    for (uint32_t q = 0; q < SEQUENCES; ++q) {
        is_answer[q] = q % 3 != 0;
        set[q] = q % 3;
    }
    return s;
}

static void details_golden(void **state)
{
    (void)state;
    uint8_t is_answer[SEQUENCES];
    uint32_t set[SEQUENCES];
    struct qm_token_scores *s = made_up(is_answer, set);
    const struct qm_details_params params = {s, SEQUENCES, is_answer, set, 3, {20261123, 500, 950}};
    struct qm_details d, again;
    assert_int_equal(qm_details_compute(&params, &d), QM_OK);
    static const double expected[QM_DETAIL_COUNT] = {
        [QM_DETAIL_KL_P50] = 0.5004955401387512,
        [QM_DETAIL_KL_P90] = 0.8999008919722498,
        [QM_DETAIL_KL_P95] = 0.9484638255698712,
        [QM_DETAIL_KL_P99] = 0.9900891972249752,
        [QM_DETAIL_KL_OVER_001] = 593.0 / 600,
        [QM_DETAIL_KL_OVER_01] = 0.9,
        [QM_DETAIL_CORRELATION] = 0.8137871523472658,
        [QM_DETAIL_SOURCE_KL] = 0.47996596534653463,
        [QM_DETAIL_SOURCE_KL_REFERENCE] = 0.37872314453125,
        [QM_DETAIL_SOURCE_KL_DIFFERENCE] = 0.47996596534653463 - 0.37872314453125,
        [QM_DETAIL_CALIBRATION_ERROR] = 0.2851480263157895,
        [QM_DETAIL_CALIBRATION_ERROR_REFERENCE] = 0.4910485651214128,
        [QM_DETAIL_OVERCONFIDENCE] = -0.1426041666666667,
        [QM_DETAIL_OVERCONFIDENCE_DIFFERENCE] = 0.3484443984547461,
        [QM_DETAIL_GREEDY_IDENTICAL] = 13.0 / 18,
        [QM_DETAIL_GREEDY_FIRST_DIFFERENCE] = 3,
    };
    // Of 600 tokens 6 are beyond 99 %, too few for an interval, and not one beyond 99.9 %; five examples differ.
    static const enum qm_detail points[] = {QM_DETAIL_KL_P99, QM_DETAIL_CALIBRATION_ERROR,
                                            QM_DETAIL_CALIBRATION_ERROR_REFERENCE, QM_DETAIL_GREEDY_FIRST_DIFFERENCE};
    for (unsigned i = 0; i < QM_DETAIL_COUNT; ++i) {
        const struct qm_estimate *value = &d.values[i];
        assert_near(value->value, expected[i], 1e-13);
        bool is_point = false;
        for (size_t k = 0; k < COUNT(points); ++k)
            is_point = is_point || points[k] == i;
        assert_int_equal(value->state, i == QM_DETAIL_KL_P999 ? QM_ESTIMATE_NOT_MEASURED
                                       : is_point             ? QM_ESTIMATE_POINT
                                                              : QM_ESTIMATE_INTERVAL);
        if (value->state == QM_ESTIMATE_INTERVAL && i != QM_DETAIL_KL_OVER_1)
            assert_true(value->low <= value->value && value->value <= value->high && value->low < value->high);
    }
    assert_near(d.calibration_noise, 0.049758326319660796, 1e-14);
    assert_int_equal(d.source_tokens, 128);
    assert_int_equal(d.source_sequences, 10);
    assert_int_equal(d.greedy_examples, 18);
    assert_int_equal(d.greedy_differing, 5);
    assert_int_equal(d.greedy_first_least, 1);
    assert_near(d.greedy_tokens, 16.055555555555557, 1e-13);
    assert_int_equal(d.set_count, 3);
    const double set_kl[] = {0.49460384180565864, 0.5079956071036349, 0.498770326322358};
    for (int i = 0; i < 3; ++i)
        assert_near(d.set_kl[i], set_kl[i], 1e-14);
    assert_near(d.spread, 0.006853281166922566, 1e-14);
    assert_near(d.spread_expected, 0.011230954590021611, 1e-14);
    assert_int_equal(qm_details_compute(&params, &again), QM_OK);
    assert_memory_equal(&again, &d, sizeof(d));
    qm_token_scores_destroy(&s);
}

static void one_token_and_none(void **state)
{
    (void)state;
    struct qm_token_scores *s = scores_of(1);
    s->kl[0] = 0.25;
    s->nll[0] = s->nll_reference[0] = 2;
    s->confidence[0] = 0.75;
    s->confidence_reference[0] = 0.5;
    s->hit_reference[0] = s->same_top[0] = s->hit[0] = 1;
    struct qm_details d = compute(s, 1);
    for (int i = QM_DETAIL_KL_P50; i <= QM_DETAIL_KL_P999; ++i) // nothing is beyond it
        assert_int_equal(d.values[i].state, QM_ESTIMATE_NOT_MEASURED);
    assert_int_equal(d.values[QM_DETAIL_KL_OVER_01].state, QM_ESTIMATE_POINT);
    assert_near(d.values[QM_DETAIL_KL_OVER_01].value, 1, 0);
    assert_near(d.values[QM_DETAIL_KL_OVER_1].value, 0, 0);
    assert_int_equal(d.values[QM_DETAIL_CORRELATION].state, QM_ESTIMATE_NOT_MEASURED);
    assert_int_equal(d.values[QM_DETAIL_SOURCE_KL].state, QM_ESTIMATE_NOT_MEASURED);
    assert_near(d.values[QM_DETAIL_CALIBRATION_ERROR].value, 0.25, 0);
    assert_near(d.values[QM_DETAIL_OVERCONFIDENCE].value, -0.25, 0);
    assert_near(d.values[QM_DETAIL_OVERCONFIDENCE_DIFFERENCE].value, 0.25, 0);
    assert_int_equal(d.values[QM_DETAIL_OVERCONFIDENCE_DIFFERENCE].state, QM_ESTIMATE_POINT);
    assert_near(d.values[QM_DETAIL_GREEDY_IDENTICAL].value, 1.0, 0);
    assert_int_equal(d.values[QM_DETAIL_GREEDY_FIRST_DIFFERENCE].state, QM_ESTIMATE_NOT_MEASURED);
    assert_int_equal(d.set_count, 1);
    assert_true(d.spread == 0.0 && d.spread_expected == 0.0);
    s->count = 0;
    d = compute(s, 0);
    for (int i = 0; i < QM_DETAIL_COUNT; ++i)
        assert_int_equal(d.values[i].state, QM_ESTIMATE_NOT_MEASURED);
    qm_token_scores_destroy(&s);
}

// A device that gives the reference's own logits: nothing may show, to the last bit, in any resample.
static void identical_passes(void **state)
{
    (void)state;
    uint8_t is_answer[SEQUENCES];
    uint32_t set[SEQUENCES];
    struct qm_token_scores *s = made_up(is_answer, set);
    for (size_t i = 0; i < s->count; ++i) {
        s->kl[i] = 0;
        s->nll_reference[i] = s->nll[i];
        s->confidence_reference[i] = s->confidence[i];
        s->source_kl_reference[i] = s->source_kl[i];
        s->hit_reference[i] = s->hit[i];
        s->same_top[i] = 1;
    }
    // Exact answers are few with these hits; all of them must be kept.
    memset(s->hit, 1, s->count);
    memset(s->hit_reference, 1, s->count);
    struct qm_details d = compute(s, SEQUENCES);
    assert_estimate(&d.values[QM_DETAIL_KL_P95], 0, 0, 0, 0);
    assert_estimate(&d.values[QM_DETAIL_KL_OVER_001], 0, 0, 0, 0);
    assert_int_equal(d.values[QM_DETAIL_GREEDY_FIRST_DIFFERENCE].state, QM_ESTIMATE_NOT_MEASURED);
    assert_estimate(&d.values[QM_DETAIL_CORRELATION], 1, 1, 1, 0);
    assert_estimate(&d.values[QM_DETAIL_SOURCE_KL_DIFFERENCE], 0, 0, 0, 0);
    assert_estimate(&d.values[QM_DETAIL_OVERCONFIDENCE_DIFFERENCE], 0, 0, 0, 0);
    double n = (double)d.greedy_examples, z2 = 1.959963984540054 * 1.959963984540054;
    assert_estimate(&d.values[QM_DETAIL_GREEDY_IDENTICAL], 1, n / (n + z2), 1, 1e-14);
    qm_token_scores_destroy(&s);
}

// Constants: 0.1 has no exact mean, and what rounding leaves must not become a correlation; equal confidences are one
// bin, whatever the order of hits.
static void constant_scores(void **state)
{
    (void)state;
    struct qm_token_scores *s = scores_of(300);
    for (uint32_t i = 0; i < 300; ++i) {
        s->sequence[i] = i / 3;
        s->nll[i] = 0.1;
        s->nll_reference[i] = 0.1 + (double)(i % 7);
        s->confidence[i] = s->confidence_reference[i] = 0.7;
        s->hit[i] = i < 210;
        s->hit_reference[i] = i % 10 < 7;
    }
    struct qm_details d = compute(s, 100);
    assert_int_equal(d.values[QM_DETAIL_CORRELATION].state, QM_ESTIMATE_NOT_MEASURED);
    assert_near(d.values[QM_DETAIL_CALIBRATION_ERROR].value, 0.0, 1e-13);
    assert_near(d.values[QM_DETAIL_CALIBRATION_ERROR_REFERENCE].value, 0.0, 1e-13);
    assert_int_equal(d.greedy_examples, 50); // triples that start with a tenth of 0 to 4
    // All but one token constant: some resamples lack it, so there is a value and no interval.
    s->nll[299] = 5;
    s->nll_reference[0] = 0.1;
    d = compute(s, 100);
    assert_int_equal(d.values[QM_DETAIL_CORRELATION].state, QM_ESTIMATE_POINT);
    // The largest numbers that logits give do not overflow.
    for (uint32_t i = 0; i < 300; ++i)
        s->nll[i] = s->nll_reference[i] = i % 2 ? 6.8e38 : 0;
    d = compute(s, 100);
    assert_near(d.values[QM_DETAIL_CORRELATION].value, 1, 1e-15);
    qm_token_scores_destroy(&s);
}

static void what_a_strangers_file_may_hold(void **state)
{
    (void)state;
    uint8_t is_answer[SEQUENCES];
    uint32_t set[SEQUENCES];
    struct qm_token_scores *s = made_up(is_answer, set);
    struct qm_details d;
    const struct qm_details_params good = {s, SEQUENCES, is_answer, set, 3, QM_BOOTSTRAP_DEFAULT};
    struct qm_details_params params = good;
    params.sequence_count = 7;
    assert_int_equal(qm_details_compute(&params, &d), QM_INVALID);
    params = good;
    params.set_count = 2;
    assert_int_equal(qm_details_compute(&params, &d), QM_INVALID);
    params.set_count = QM_DETAILS_SETS_MAX + 1;
    assert_int_equal(qm_details_compute(&params, &d), QM_INVALID);
    params = good;
    params.bootstrap.resamples = 1;
    assert_int_equal(qm_details_compute(&params, &d), QM_INVALID);
    double *const arrays[] = {
        s->kl, s->nll, s->nll_reference, s->confidence, s->confidence_reference, s->source_kl, s->source_kl_reference};
    const double bad[] = {NAN, INFINITY, -0.5};
    size_t with_source = 0;
    while (!s->has_source[with_source])
        ++with_source;
    for (size_t a = 0; a < COUNT(arrays); ++a) {
        double kept = arrays[a][with_source];
        for (size_t b = 0; b < COUNT(bad); ++b) {
            arrays[a][with_source] = bad[b];
            assert_int_equal(qm_details_compute(&good, &d), QM_INVALID);
            assert_int_equal(d.values[0].state, QM_ESTIMATE_NOT_MEASURED);
        }
        arrays[a][with_source] = kept;
    }
    uint8_t *const flags[] = {s->hit, s->hit_reference, s->same_top, s->has_source};
    for (size_t a = 0; a < COUNT(flags); ++a) {
        uint8_t kept = flags[a][3];
        flags[a][3] = 2;
        assert_int_equal(qm_details_compute(&good, &d), QM_INVALID);
        flags[a][3] = kept;
    }
    assert_int_equal(qm_details_compute(&good, &d), QM_OK);
    qm_token_scores_destroy(&s);
}

// A scheme that is overconfident by a known amount, on a reference that is calibrated: the interval of the difference
// must hold the truth; calibration errors stand out of their noise where there is one, and only there. And sets that
// differ by more than their sequences do show it in the spread.
static void simulated_truth(void **state)
{
    (void)state;
    enum {
        TRIALS = 200,
        EXAMPLES = 300
    };
    int covered = 0;
    double spread = 0, expected = 0, apart = 0, error = 0, error_reference = 0, noise = 0;
    struct qm_random random;
    qm_random_seed(&random, 12, 0);
    for (unsigned trial = 0; trial < TRIALS; ++trial) {
        struct qm_token_scores *s = scores_of(EXAMPLES * 4);
        uint32_t set[EXAMPLES];
        struct qm_details d;
        for (uint32_t i = 0; i < EXAMPLES * 4; ++i) {
            uint32_t q = i / 4;
            set[q] = q % 3;
            double confidence = 0.3 + 0.5 * qm_random_unit(&random);
            s->sequence[i] = q;
            s->confidence_reference[i] = confidence;
            s->confidence[i] = confidence + 0.15;
            s->hit[i] = qm_random_unit(&random) < confidence;
            s->hit_reference[i] = qm_random_unit(&random) < confidence;
            s->nll[i] = s->nll_reference[i] = 1;
            s->kl[i] = qm_random_unit(&random);
        }
        const struct qm_details_params params = {s, EXAMPLES, NULL, set, 3, {trial, 399, 950}};
        assert_int_equal(qm_details_compute(&params, &d), QM_OK);
        const struct qm_estimate *difference = &d.values[QM_DETAIL_OVERCONFIDENCE_DIFFERENCE];
        covered += difference->low <= 0.15 && 0.15 <= difference->high;
        error += d.values[QM_DETAIL_CALIBRATION_ERROR].value / TRIALS;
        error_reference += d.values[QM_DETAIL_CALIBRATION_ERROR_REFERENCE].value / TRIALS;
        noise += d.calibration_noise / TRIALS;
        spread += d.spread * d.spread / TRIALS;
        expected += d.spread_expected * d.spread_expected / TRIALS;
        for (uint32_t i = 0; i < EXAMPLES * 4; ++i)
            s->kl[i] += 0.2 * set[s->sequence[i]];
        assert_int_equal(qm_details_compute(&params, &d), QM_OK);
        apart += d.spread / d.spread_expected > 5;
        qm_token_scores_destroy(&s);
    }
    print_message(
        "calibration error %.4f, of the calibrated reference %.4f, noise %.4f; overconfidence covered in %.1f %%\n",
        error, error_reference, noise, 100.0 * covered / TRIALS);
    assert_in_range(covered, TRIALS * 91 / 100, TRIALS * 99 / 100);
    assert_near(error, 0.15, 0.01);
    assert_near(error_reference / noise, 1.0, 0.15);
    print_message("spread between sets of one kind %.4f, expected %.4f; sets that differ are told in %.0f of %d\n",
                  sqrt(spread), sqrt(expected), apart, TRIALS);
    assert_true(spread / expected > 0.75 && spread / expected < 1.33);
    assert_in_range((unsigned)apart, TRIALS * 95 / 100, TRIALS);
}

enum {
    COVERED_SEQUENCES = 300,
    COVERED_TOKENS = 8 // of a sequence
};

// Tokens of a sequence that copy one value half of the time: KL exponential, so that every percentile and tail is known;
// likelihoods of correlation 1/2; a source from which the scheme is 0.02 nats further away; and answers that the device
// leaves in three cases of ten, at token 1 to 8 with chances that have their median at 3.
static struct qm_token_scores *known_truth(struct qm_random *random)
{
    static const uint8_t first_of_20[] = {1, 1, 1, 1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 6, 7, 8, 8};
    struct qm_token_scores *s = scores_of((size_t)COVERED_SEQUENCES * COVERED_TOKENS);
    for (uint32_t q = 0, i = 0; q < COVERED_SEQUENCES; ++q) {
        double common = -qm_log(1.0 - qm_random_unit(random)), shared = qm_random_unit(random);
        uint32_t first = qm_random_unit(random) < 0.3 ? first_of_20[qm_random_below(random, 20)] : 0;
        for (uint32_t t = 1; t <= COVERED_TOKENS; ++t, ++i) {
            s->sequence[i] = q;
            s->kl[i] = qm_random_below(random, 2) ? common : -qm_log(1.0 - qm_random_unit(random));
            double likely = qm_random_below(random, 2) ? shared : qm_random_unit(random);
            s->nll[i] = likely + qm_random_unit(random);
            s->nll_reference[i] = likely + qm_random_unit(random);
            s->has_source[i] = q % 2;
            s->source_kl_reference[i] = qm_random_unit(random);
            s->source_kl[i] = s->source_kl_reference[i] + 0.04 * shared;
            s->hit_reference[i] = 1;
            s->same_top[i] = t < first || first == 0 || qm_random_below(random, 2);
            if (t == first)
                s->same_top[i] = 0;
        }
    }
    return s;
}

// Every interval must hold the truth in 95 % of the trials, give or take what 300 of them leave open; that of the 99th
// percentile, with 24 of 2,400 tokens beyond it and many of those in pairs, in some 90 %. As a planted fault the same
// tokens are taken each for a sequence of its own, as if they were independent: then it must not.
static void coverage(void **state)
{
    (void)state;
    enum {
        TRIALS = 300
    };
    static const struct {
        enum qm_detail detail;
        double truth;
        unsigned at_least, at_most;
    } truths[] = {
        {QM_DETAIL_KL_P50, 0.6931471805599453, 91, 99},
        {QM_DETAIL_KL_P90, 2.302585092994046, 91, 99},
        {QM_DETAIL_KL_P95, 2.995732273553991, 91, 99},
        {QM_DETAIL_KL_P99, 4.605170185988092, 85, 99},
        {QM_DETAIL_KL_OVER_01, 0.9048374180359595, 91, 99},
        {QM_DETAIL_KL_OVER_1, 0.36787944117144233, 91, 99},
        {QM_DETAIL_CORRELATION, 0.5, 91, 99},
        {QM_DETAIL_SOURCE_KL_REFERENCE, 0.5, 91, 99},
        {QM_DETAIL_SOURCE_KL, 0.52, 91, 99},
        {QM_DETAIL_SOURCE_KL_DIFFERENCE, 0.02, 91, 99},
        {QM_DETAIL_GREEDY_IDENTICAL, 0.7, 91, 99},
        {QM_DETAIL_GREEDY_FIRST_DIFFERENCE, 3, 95, 100},
    };
    unsigned covered[COUNT(truths)] = {0}, covered_by_tokens = 0;
    struct qm_random random;
    qm_random_seed(&random, 20261124, 0);
    for (unsigned trial = 0; trial < TRIALS; ++trial) {
        struct qm_token_scores *s = known_truth(&random);
        struct qm_details d;
        struct qm_details_params params = {s, COVERED_SEQUENCES, NULL, NULL, 0, {trial, 199, 950}};
        assert_int_equal(qm_details_compute(&params, &d), QM_OK);
        for (size_t i = 0; i < COUNT(truths); ++i) {
            const struct qm_estimate *value = &d.values[truths[i].detail];
            assert_int_equal(value->state, QM_ESTIMATE_INTERVAL);
            covered[i] += value->low <= truths[i].truth && truths[i].truth <= value->high;
        }
        for (uint32_t i = 0; i < s->count; ++i)
            s->sequence[i] = i;
        params.sequence_count = (uint32_t)s->count;
        assert_int_equal(qm_details_compute(&params, &d), QM_OK);
        const struct qm_estimate *tail = &d.values[QM_DETAIL_KL_OVER_1];
        covered_by_tokens += tail->low <= truths[5].truth && truths[5].truth <= tail->high;
        qm_token_scores_destroy(&s);
    }
    for (size_t i = 0; i < COUNT(truths); ++i) {
        print_message("%s: the interval holds the truth in %.1f %%\n", qm_detail_name(truths[i].detail),
                      100.0 * covered[i] / TRIALS);
        assert_in_range(covered[i], TRIALS * truths[i].at_least / 100, TRIALS * truths[i].at_most / 100);
    }
    print_message("were tokens independent, in %.1f %%\n", 100.0 * covered_by_tokens / TRIALS);
    assert_true(covered_by_tokens < TRIALS * 88 / 100);
}

// The 99th percentile is the summary's, interval included: the same draws. And ranks of medians, from binomial
// coefficients in whole numbers (Python's math.comb).
static void ranks_and_percentiles(void **state)
{
    (void)state;
    struct qm_random random;
    struct qm_details d;
    struct qm_summary *summary;
    qm_random_seed(&random, 1, 0);
    struct qm_token_scores *s = known_truth(&random);
    const struct qm_details_params params = {s, COVERED_SEQUENCES, NULL, NULL, 0, QM_BOOTSTRAP_DEFAULT};
    const struct qm_summary_params same = {s, COVERED_SEQUENCES, NULL, 0, QM_BOOTSTRAP_DEFAULT};
    assert_int_equal(qm_details_compute(&params, &d), QM_OK);
    assert_int_equal(qm_summary_create(&same, &summary), QM_OK);
    const struct qm_estimate p99 = summary->metrics[QM_METRIC_KL_P99];
    assert_estimate(&d.values[QM_DETAIL_KL_P99], p99.value, p99.low, p99.high, 0);
    assert_int_equal(d.values[QM_DETAIL_KL_P999].state, QM_ESTIMATE_POINT); // 2.4 of 2,400 tokens are beyond it
    qm_summary_destroy(&summary);
    qm_token_scores_destroy(&s);

    static const struct {
        uint32_t count, ranks[3];
    } ranks[] = {{0, {0, 0, 0}},      {1, {0, 0, 0}},          {5, {1, 0, 0}},         {6, {1, 1, 0}},
                 {8, {2, 1, 1}},      {9, {2, 2, 1}},          {20, {6, 6, 4}},        {25, {8, 8, 6}},
                 {100, {42, 40, 37}}, {1000, {474, 469, 459}}, {2001, {964, 957, 943}}};
    for (size_t i = 0; i < COUNT(ranks); ++i) {
        assert_int_equal(qm_median_rank(ranks[i].count, 900), ranks[i].ranks[0]);
        assert_int_equal(qm_median_rank(ranks[i].count, 950), ranks[i].ranks[1]);
        assert_int_equal(qm_median_rank(ranks[i].count, 990), ranks[i].ranks[2]);
    }
    // Wilson's interval of 1 in 10 and of 15 in 40, as solutions of (k / n - p)^2 n = z^2 p (1 - p).
    double low, high;
    qm_share_interval(1, 10, 950, &low, &high);
    assert_near(low, 0.017876213095072906, 1e-12);
    assert_near(high, 0.4041500267952385, 1e-12);
    qm_share_interval(15, 40, 990, &low, &high);
    assert_near(low, 0.20931328079304456, 1e-12);
    assert_near(high, 0.5762550225838515, 1e-12);
    qm_share_interval(0, 1, 900, &low, &high);
    assert_true(low == 0.0 && high > 0.7 && high < 1.0);
    for (int i = 0; i < QM_DETAIL_COUNT; ++i) {
        for (int j = 0; j < i; ++j)
            assert_string_not_equal(qm_detail_name((enum qm_detail)i), qm_detail_name((enum qm_detail)j));
    }
    assert_string_equal(qm_detail_name(QM_DETAIL_COUNT), "?");
}

static void details_are_fast(void **state)
{
    (void)state;
    struct qm_token_scores *s = scores_of(30000);
    struct qm_random random;
    qm_random_seed(&random, 5, 0);
    for (uint32_t i = 0; i < 30000; ++i) {
        s->sequence[i] = i / 10;
        s->kl[i] = qm_random_unit(&random);
        s->nll[i] = qm_random_unit(&random);
        s->nll_reference[i] = qm_random_unit(&random);
        s->confidence[i] = s->confidence_reference[i] = qm_random_unit(&random);
    }
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    compute(s, 3000);
    clock_gettime(CLOCK_MONOTONIC, &end);
    double seconds = (double)(end.tv_sec - start.tv_sec) + 1e-9 * (double)(end.tv_nsec - start.tv_nsec);
    print_message("details of 30,000 tokens in 3,000 sequences, 2,000 resamples: %.3f s\n", seconds);
    assert_true(seconds < 10.0); // sanitizers and busy machines included
    qm_token_scores_destroy(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(confidence_by_hand),    cmocka_unit_test(source_by_hand),
        cmocka_unit_test(details_golden),        cmocka_unit_test(one_token_and_none),
        cmocka_unit_test(identical_passes),      cmocka_unit_test(constant_scores),
        cmocka_unit_test(simulated_truth),       cmocka_unit_test(what_a_strangers_file_may_hold),
        cmocka_unit_test(details_are_fast),      cmocka_unit_test(coverage),
        cmocka_unit_test(ranks_and_percentiles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
