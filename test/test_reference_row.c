// Scores against a reference of which the likeliest tokens alone were kept: what is exact stays exact, and the true KL
// divergence lies in the bracket, which closes as more is kept.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>

#include "base/random.h"
#include "score/ordered.h"
#include "score/reference_row.h"

enum {
    VOCABULARY_MOST = 4099
};

static const struct qm_token_place place = {1, 2, 3};
static float reference[VOCABULARY_MOST], device[VOCABULARY_MOST];
static uint32_t ids[VOCABULARY_MOST];
static float kept[VOCABULARY_MOST];

static void check(enum qm_status status)
{
    if (status != QM_OK)
        fail_msg("%s", qm_error_text());
}

// Logits of several shapes: from flat to what a language model is sure of; and a device that differs by noise, by a few
// tokens, or altogether.
static void draw(uint64_t seed, uint32_t vocabulary, int shape, int noise)
{
    static const double spreads[] = {0, 0.5, 3, 8, 30};
    struct qm_random random;
    qm_random_seed(&random, seed, (uint64_t)(shape * 10 + noise));
    for (uint32_t v = 0; v < vocabulary; ++v) {
        reference[v] = (float)(spreads[shape] * qm_random_normal(&random));
        double moved = noise == 0   ? 0
                       : noise == 1 ? 0.05 * qm_random_normal(&random)
                       : noise == 2 ? (qm_random_below(&random, 50) == 0 ? 12 * qm_random_normal(&random) : 0)
                                    : 5 * qm_random_normal(&random);
        device[v] = noise == 4 ? (float)(8 * qm_random_normal(&random)) : reference[v] + (float)moved;
    }
    if (shape == 3) // a clear winner
        reference[qm_random_below(&random, vocabulary)] += 20;
}

static void near(double a, double b, const char *what)
{
    if (!(fabs(a - b) <= 1e-11 * (1 + fabs(b))))
        fail_msg("%s is %.17g, not %.17g", what, a, b);
}

// The width of the bracket.
static double check_one(uint32_t vocabulary, uint32_t target, const struct qm_reference_keep *keep)
{
    struct qm_reference_row row;
    struct qm_token_score wanted, found;
    double high;
    check(qm_token_score(reference, device, vocabulary, target, &place, &wanted));
    check(qm_reference_row_make(reference, vocabulary, target, keep, &place, ids, kept, &row));
    assert_true(qm_reference_row_is_valid(&row, vocabulary));
    assert_true(row.count >= 1 && row.count <= keep->most && row.count <= vocabulary);
    assert_true(row.residual <= keep->mass + 1e-12 || row.count == keep->most || row.count == vocabulary);
    check(qm_reference_row_score(&row, device, vocabulary, target, &place, &found, &high));
    near(found.nll, wanted.nll, "nll");
    near(found.nll_reference, wanted.nll_reference, "nll_reference");
    near(found.delta_p, wanted.delta_p, "delta_p");
    near(found.confidence, wanted.confidence, "confidence");
    near(found.confidence_reference, wanted.confidence_reference, "confidence_reference");
    assert_int_equal(found.same_top, wanted.same_top);
    assert_int_equal(found.hit, wanted.hit);
    assert_int_equal(found.hit_reference, wanted.hit_reference);
    double slack = 1e-11 * (1 + wanted.kl);
    if (!(found.kl <= wanted.kl + slack && wanted.kl <= high + slack && found.kl >= 0))
        fail_msg("KL %.17g is not in [%.17g, %.17g]; %u of %u kept", wanted.kl, found.kl, high, row.count, vocabulary);
    if (row.count == vocabulary) {
        near(found.kl, wanted.kl, "kl with all kept");
        near(high, wanted.kl, "its upper end");
    }
    return high - found.kl;
}

static void test_bracket(void **state)
{
    (void)state;
    static const uint32_t vocabularies[] = {1, 2, 7, 130, 513, VOCABULARY_MOST};
    size_t open_brackets = 0;
    for (size_t i = 0; i < sizeof(vocabularies) / sizeof(vocabularies[0]); ++i)
        for (int shape = 0; shape < 5; ++shape)
            for (int noise = 0; noise < 5; ++noise) {
                const uint32_t vocabulary = vocabularies[i];
                draw(i + 1, vocabulary, shape, noise);
                for (uint32_t target = 0; target < vocabulary; target += vocabulary / 2 + 1) {
                    double before = INFINITY;
                    for (uint32_t most = 1; most < 4 * vocabulary; most *= 2) {
                        double width = check_one(vocabulary, target, &(struct qm_reference_keep){0, most});
                        if (!(width <= before * (1 + 1e-9) + 1e-11))
                            fail_msg("with %u kept the bracket is %.17g wide, with half of that %.17g", most, width,
                                     before);
                        open_brackets += width > 1e-3;
                        before = width;
                    }
                    assert_true(before <= 1e-10); // all of it was kept at last
                    check_one(vocabulary, target, &(struct qm_reference_keep){1e-3, vocabulary});
                    check_one(vocabulary, target, &(struct qm_reference_keep){0.5, vocabulary});
                }
            }
    assert_true(open_brackets > 100);
}

// A loss that lies in the tokens that were left out alone: the lower bound sees that their sum moved, the upper one more.
static void test_loss_in_the_rest(void **state)
{
    (void)state;
    struct qm_reference_row row;
    struct qm_token_score score;
    double high, truth;
    for (uint32_t v = 0; v < 1000; ++v)
        reference[v] = device[v] = v < 10 ? 10 : 5;
    for (uint32_t v = 10; v < 1000; ++v)
        device[v] = 3; // all alike: lumping loses nothing
    check(qm_reference_row_make(reference, 1000, 0, &(struct qm_reference_keep){0, 10}, &place, ids, kept, &row));
    check(qm_reference_row_score(&row, device, 1000, 0, &place, &score, &high));
    check(qm_token_kl(reference, device, 1000, "a", "b", &place, &truth));
    assert_true(truth > 0.05);
    near(score.kl, truth, "kl");
    near(high, truth, "its upper end");
    device[999] = -20; // one token that the device excludes: the bracket must allow that all of the rest was there
    check(qm_reference_row_score(&row, device, 1000, 0, &place, &score, &high));
    check(qm_token_kl(reference, device, 1000, "a", "b", &place, &truth));
    assert_true(score.kl <= truth && truth <= high && high > score.kl + 1);
}

// The fewest tokens that leave so much out, the likeliest first and of equal ones the first.
static void test_what_is_kept(void **state)
{
    (void)state;
    struct qm_reference_row row;
    static const float logits[] = {1, 5, 5, 2, 9, -3, 5};
    check(qm_reference_row_make(logits, 7, 5, &(struct qm_reference_keep){0, 3}, &place, ids, kept, &row));
    assert_int_equal(row.count, 3);
    assert_int_equal(row.ids[0], 1);
    assert_int_equal(row.ids[1], 2);
    assert_int_equal(row.ids[2], 4);
    assert_int_equal(row.top, 4);
    assert_true(row.target_logit == -3 && row.logits[2] == 9);
    // e^9 is 0.94 of the sum, each e^5 0.017.
    check(qm_reference_row_make(logits, 7, 5, &(struct qm_reference_keep){0.1, 7}, &place, ids, kept, &row));
    assert_int_equal(row.count, 1);
    check(qm_reference_row_make(logits, 7, 5, &(struct qm_reference_keep){0.05, 7}, &place, ids, kept, &row));
    assert_int_equal(row.count, 2);
    assert_int_equal(row.ids[0], 1);
}

static void test_bad_rows(void **state)
{
    (void)state;
    const struct qm_reference_keep keep = {0, 4};
    struct qm_reference_row row, changed;
    struct qm_token_score score;
    double high;
    draw(9, 130, 2, 1);
    check(qm_reference_row_make(reference, 130, 7, &keep, &place, ids, kept, &row));
    assert_int_equal(qm_reference_row_make(reference, 130, 130, &keep, &place, ids, kept, &changed), QM_INVALID);
    // Made for another target.
    assert_int_equal(qm_reference_row_score(&row, device, 130, 8, &place, &score, &high), QM_INVALID);
    device[77] = NAN;
    assert_int_equal(qm_reference_row_score(&row, device, 130, 7, &place, &score, &high), QM_WRONG_RESULT);
    assert_non_null(strstr(qm_error_text(), "token 77"));
    assert_non_null(strstr(qm_error_text(), "device"));
    reference[3] = INFINITY;
    assert_int_equal(qm_reference_row_make(reference, 130, 7, &keep, &place, ids, kept, &changed), QM_WRONG_RESULT);
    assert_non_null(strstr(qm_error_text(), "reference"));
    // Numbers that no logits give, as a file might hold them.
    reference[3] = 0;
    check(qm_reference_row_make(reference, 130, 7, &keep, &place, ids, kept, &row));
    assert_true(qm_reference_row_is_valid(&row, 130));
    uint32_t bad_ids[4];
    memcpy(bad_ids, ids, sizeof(bad_ids));
    bad_ids[2] = bad_ids[1];
    changed = row;
    changed.ids = bad_ids;
    assert_false(qm_reference_row_is_valid(&changed, 130));
    changed.ids = (const uint32_t[]){0, 1, 2, 130};
    assert_false(qm_reference_row_is_valid(&changed, 130));
    changed = row;
    changed.logits = (const float[]){0, NAN, 0, 0};
    assert_false(qm_reference_row_is_valid(&changed, 130));
    changed = row;
    changed.residual = NAN;
    assert_false(qm_reference_row_is_valid(&changed, 130));
    changed = row;
    changed.log_sum = -1;
    assert_false(qm_reference_row_is_valid(&changed, 130));
    changed = row;
    changed.residual_entropy = 1;
    assert_false(qm_reference_row_is_valid(&changed, 130));
    changed = row;
    changed.count = 0;
    assert_false(qm_reference_row_is_valid(&changed, 130));
    changed = row;
    changed.target = 130;
    assert_false(qm_reference_row_is_valid(&changed, 130));
}

// A row of all logits scores as they do, to the bit.
static void test_whole_row(void **state)
{
    (void)state;
    struct qm_token_score wanted, found;
    double high;
    draw(4, 512, 2, 1);
    const struct qm_reference_row row = {.count = 512, .logits = reference, .target = 5};
    assert_true(qm_reference_row_is_valid(&row, 512));
    check(qm_token_score(reference, device, 512, 5, &place, &wanted));
    check(qm_reference_row_score(&row, device, 512, 5, &place, &found, &high));
    assert_memory_equal(&found.kl, &wanted.kl, sizeof(found.kl));
    assert_memory_equal(&found.nll, &wanted.nll, sizeof(found.nll));
    assert_true(high == found.kl);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bracket), cmocka_unit_test(test_loss_in_the_rest),
                                       cmocka_unit_test(test_what_is_kept), cmocka_unit_test(test_bad_rows),
                                       cmocka_unit_test(test_whole_row)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
