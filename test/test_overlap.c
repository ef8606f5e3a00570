// Overlap of two sets: beside a search of everything against everything, short items, repeats, many runs, and words.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "record/node.h"
#include "workload/disclosure.h"
#include "workload/overlap.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct qm_overlap find(const struct qm_token_span *calibration, size_t calibration_count,
                              const struct qm_token_span *evaluation, size_t evaluation_count, uint32_t n,
                              uint8_t *is_hit)
{
    struct qm_overlap overlap;
    if (qm_overlap_find(calibration, calibration_count, evaluation, evaluation_count, n, is_hit, &overlap) != QM_OK)
        fail_msg("%s", qm_error_text());
    return overlap;
}

// Whether `length` tokens stand anywhere in the set.
static bool stands_in(const uint32_t *tokens, size_t length, const struct qm_token_span *set, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t at = 0; at + length <= set[i].count; at++)
            if (memcmp(set[i].tokens + at, tokens, length * sizeof(*tokens)) == 0)
                return true;
    return false;
}

static void test_against_all_pairs(void **state)
{
    (void)state;
    struct qm_random random;
    qm_random_seed(&random, 1, 0);
    static uint32_t tokens[2][40][60];
    struct qm_token_span sets[2][40];
    for (int trial = 0; trial < 200; trial++) {
        uint32_t n = 1 + qm_random_below(&random, 8), alphabet = 1 + qm_random_below(&random, 6);
        for (int s = 0; s < 2; s++)
            for (int i = 0; i < 40; i++) {
                size_t count = qm_random_below(&random, qm_random_below(&random, 60) + 1);
                for (size_t k = 0; k < count; k++)
                    tokens[s][i][k] = qm_random_below(&random, alphabet) * 0x10001;
                sets[s][i] = (struct qm_token_span){tokens[s][i], count};
            }
        uint8_t is_hit[40];
        struct qm_overlap overlap = find(sets[0], 40, sets[1], 40, n, is_hit);
        uint64_t items = 0, hits = 0, shorter = 0, runs = 0, shared = 0;
        for (int i = 0; i < 40; i++) {
            const struct qm_token_span *item = &sets[1][i];
            size_t length = item->count < n ? item->count : n, own = 0;
            for (size_t at = 0; item->count > 0 && at + length <= item->count; at++) {
                runs++;
                own += stands_in(item->tokens + at, length, sets[0], 40);
            }
            items += item->count > 0;
            shorter += item->count > 0 && item->count < n;
            hits += own > 0;
            shared += own;
            assert_int_equal(is_hit[i], own > 0);
        }
        assert_int_equal(overlap.items, items);
        assert_int_equal(overlap.short_items, shorter);
        assert_int_equal(overlap.overlapping, hits);
        assert_int_equal(overlap.runs, runs);
        assert_int_equal(overlap.shared_runs, shared);
        assert_true(overlap.share == (items ? (double)hits / (double)items : 0));
    }
}

static void test_thirteen(void **state)
{
    (void)state;
    uint32_t long_text[40], twelve[14], thirteen[15];
    for (uint32_t i = 0; i < 40; i++)
        long_text[i] = 1000 + i;
    twelve[0] = thirteen[0] = 1;
    memcpy(twelve + 1, long_text + 5, 12 * sizeof(uint32_t));
    memcpy(thirteen + 1, long_text + 5, 13 * sizeof(uint32_t));
    twelve[13] = thirteen[14] = 2;
    const struct qm_token_span calibration = {long_text, 40};
    const struct qm_token_span evaluation[] = {{twelve, 14}, {thirteen, 15}, {long_text + 30, 3}, {NULL, 0}};
    uint8_t is_hit[4];
    struct qm_overlap overlap = find(&calibration, 1, evaluation, 4, QM_OVERLAP_TOKENS, is_hit);
    assert_int_equal(is_hit[0], 0);
    assert_int_equal(is_hit[1], 1);
    assert_int_equal(is_hit[2], 1); // all of it
    assert_int_equal(is_hit[3], 0);
    assert_int_equal(overlap.items, 3);
    assert_int_equal(overlap.short_items, 1);
    assert_int_equal(qm_overlap_refuse(&overlap, "e.jsonl", "c.txt"), QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "e.jsonl: 2 of 3 items have 13 tokens in a row that stand in c.txt; "));
    struct qm_node *node = qm_node_new_mapping();
    qm_workload_disclose_overlap(&overlap, node);
    assert_true(qm_node_ok(node));
    assert_string_equal(qm_node_text_at(node, "overlapping", ""), "2");
    qm_node_destroy(&node);
    overlap = find(&calibration, 1, evaluation, 1, QM_OVERLAP_TOKENS, NULL);
    assert_int_equal(qm_overlap_refuse(&overlap, "e", "c"), QM_OK);
    overlap = find(NULL, 0, evaluation, 4, 13, NULL);
    assert_int_equal(overlap.overlapping, 0);
    overlap = find(&calibration, 1, NULL, 0, 13, NULL);
    assert_int_equal(overlap.items, 0);
    assert_int_equal(qm_overlap_find(NULL, 0, NULL, 0, 0, NULL, &overlap), QM_INVALID);
    assert_int_equal(qm_overlap_find(NULL, 0, NULL, 0, 65, NULL, &overlap), QM_INVALID);
}

// More runs than are kept at once, most of them equal: no slower for it, and found in whichever part they are.
static void test_many_runs(void **state)
{
    (void)state;
    const size_t count = ((size_t)1 << 22) + 1000;
    uint32_t *tokens = calloc(count, sizeof(*tokens));
    assert_non_null(tokens);
    for (uint32_t i = 0; i < 20; i++)
        tokens[count - 40 + i] = 7 + i; // in the second part
    const uint32_t other[] = {9, 10, 11, 12, 13}, zeros[100] = {0};
    const struct qm_token_span evaluation = {tokens, count};
    const struct qm_token_span calibration[] = {{other, 5}, {zeros, 100}};
    struct qm_overlap overlap = find(calibration, 1, &evaluation, 1, 5, NULL);
    assert_int_equal(overlap.runs, count - 4);
    assert_int_equal(overlap.shared_runs, 1);
    overlap = find(calibration, 2, &evaluation, 1, 5, NULL);
    // All but those that reach into the 20 tokens that are not 0.
    assert_int_equal(overlap.shared_runs, 1 + (count - 4) - 24);
    free(tokens);
}

static void test_words(void **state)
{
    (void)state;
    struct qm_words *words = NULL;
    struct qm_token_span a, b, c;
    assert_int_equal(qm_words_create(&words), QM_OK);
    assert_int_equal(qm_words_add(words, "The cat, the CAT.", 17, &a), QM_OK);
    assert_int_equal(qm_words_add(words, "the cat  the\tcat", 16, &b), QM_OK);
    assert_int_equal(qm_words_add(words, "...", 3, &c), QM_OK);
    assert_int_equal(a.count, 4);
    assert_int_equal(c.count, 0);
    assert_memory_equal(a.tokens, b.tokens, 4 * sizeof(uint32_t));
    assert_int_equal(a.tokens[0], a.tokens[2]);
    assert_int_not_equal(a.tokens[0], a.tokens[1]);
    // More words than the first table holds; the numbers do not change.
    for (int i = 0; i < 5000; i++) {
        char text[32];
        int length = snprintf(text, sizeof(text), "cat w%d", i);
        assert_int_equal(qm_words_add(words, text, (size_t)length, &c), QM_OK);
        assert_int_equal(c.count, 2);
        assert_int_equal(c.tokens[0], a.tokens[1]);
        assert_int_equal(c.tokens[1], 2 + i);
    }
    qm_words_destroy(&words);
    assert_null(words);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_all_pairs),
        cmocka_unit_test(test_thirteen),
        cmocka_unit_test(test_many_runs),
        cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
