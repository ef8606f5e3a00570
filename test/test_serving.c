// The schedule of continuous batching: by hand, and its laws over shapes that nobody would choose.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "workload/serving.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum {
    REQUESTS_MAX = 40,
    SLOTS_MAX = 64
};

// "P3@0.0" a prompt's pass of 3 tokens of request 0 in slot 0, "D 1.0 2.1" a decode pass of request 1 in slot 0 and so on;
// a '*' behind a row that ends its request.
static void write_schedule(const struct qm_serving_params *params, char *text, size_t capacity)
{
    struct qm_serving *serving = NULL;
    struct qm_serving_pass pass;
    size_t used = 0;
    text[0] = '\0';
    assert_int_equal(qm_serving_begin(params, &serving), QM_OK);
    while (qm_serving_next(serving, &pass)) {
        if (pass.is_prefill)
            used += (size_t)snprintf(text + used, capacity - used, "%sP%u@%u.%u%s", used ? "|" : "", pass.tokens,
                                     pass.rows->request, pass.rows->slot, pass.rows->is_last ? "*" : "");
        else
            used += (size_t)snprintf(text + used, capacity - used, "%sD", used ? "|" : "");
        for (uint32_t i = 0; !pass.is_prefill && i < pass.batch; ++i)
            used += (size_t)snprintf(text + used, capacity - used, " %u.%u%s", pass.rows[i].request, pass.rows[i].slot,
                                     pass.rows[i].is_last ? "*" : "");
        assert_true(used < capacity);
    }
    qm_serving_end(&serving);
    assert_null(serving);
}

static void expect(const struct qm_request *requests, uint32_t count, uint32_t concurrency, uint32_t chunk,
                   const char *expected)
{
    char text[1000];
    const struct qm_serving_params params = {requests, count, concurrency, chunk};
    write_schedule(&params, text, sizeof(text));
    assert_string_equal(text, expected);
}

static void test_by_hand(void **state)
{
    (void)state;
    // Three at a time: the second ends with its prompt, so that the fourth comes before anything is decoded.
    static const struct qm_request four[] = {{3, 3}, {5, 1}, {2, 2}, {4, 2}};
    expect(four, 4, 3, 4, "P3@0.0|P4@1.1|P1@1.1*|P2@2.1|P4@3.2|D 0.0 2.1* 3.2*|D 0.0*");
    // One at a time: each alone.
    expect(four, 4, 1, 100, "P3@0.0|D 0.0|D 0.0*|P5@1.0*|P2@2.0|D 2.0*|P4@3.0|D 3.0*");
    // More slots than requests.
    expect(four, 2, 9, 100, "P3@0.0|P5@1.1*|D 0.0|D 0.0*");
    // A slot in the middle is taken again, and rows stay in the order of slots.
    static const struct qm_request five[] = {{1, 4}, {1, 2}, {1, 4}, {2, 3}};
    expect(five, 4, 3, 1, "P1@0.0|P1@1.1|P1@2.2|D 0.0 1.1* 2.2|P1@3.1|P1@3.1|D 0.0 3.1 2.2|D 0.0* 3.1* 2.2*");
    static const struct qm_request one[] = {{1, 1}};
    expect(one, 1, 1, 1, "P1@0.0*");
}

// What must hold of every schedule, whatever the lengths.
static void check_laws(const struct qm_serving_params *params)
{
    uint32_t prompted[REQUESTS_MAX] = {0}, given[REQUESTS_MAX] = {0}, slot_of[REQUESTS_MAX], begun = 0;
    uint32_t held[SLOTS_MAX], active = 0;
    uint64_t prefills = 0, decodes = 0, rows = 0, total = 0;
    struct qm_serving *serving = NULL;
    struct qm_serving_pass pass;
    struct qm_serving_counts counts;
    for (uint32_t s = 0; s < SLOTS_MAX; ++s)
        held[s] = QM_SERVING_NONE;
    assert_int_equal(qm_serving_begin(params, &serving), QM_OK);
    while (qm_serving_next(serving, &pass)) {
        assert_true(pass.batch >= 1 && pass.tokens >= 1);
        prefills += pass.is_prefill;
        decodes += !pass.is_prefill;
        rows += pass.is_prefill ? 0 : pass.batch;
        if (!pass.is_prefill) { // nobody could have begun, and nobody is left out
            assert_true(active == params->concurrency || begun == params->count);
            assert_int_equal(pass.batch, active);
            assert_int_equal(pass.tokens, 1);
        } else {
            assert_int_equal(pass.batch, 1);
            assert_true(pass.tokens <= params->chunk_tokens);
        }
        for (uint32_t i = 0; i < pass.batch; ++i) {
            const struct qm_serving_row *row = &pass.rows[i];
            const struct qm_request *request = &params->requests[row->request];
            assert_true(row->slot < params->concurrency && row->slot < SLOTS_MAX);
            assert_true(i == 0 || row->slot > pass.rows[i - 1].slot);
            if (row->is_first) {
                assert_int_equal(row->request, begun++); // first come, first served
                assert_int_equal(held[row->slot], QM_SERVING_NONE);
                held[row->slot] = row->request;
                slot_of[row->request] = row->slot;
                ++active;
            }
            assert_int_equal(held[row->slot], row->request);
            assert_int_equal(slot_of[row->request], row->slot);
            if (pass.is_prefill) {
                assert_int_equal(row->position, prompted[row->request]);
                prompted[row->request] += pass.tokens;
                assert_true(prompted[row->request] <= request->prompt_tokens);
                assert_int_equal(row->output != QM_SERVING_NONE, prompted[row->request] == request->prompt_tokens);
            } else { // reads the token that was given last
                assert_int_equal(prompted[row->request], request->prompt_tokens);
                assert_int_equal(row->position, request->prompt_tokens + given[row->request] - 1);
            }
            if (row->output != QM_SERVING_NONE)
                assert_int_equal(row->output, given[row->request]++);
            assert_int_equal(row->is_last, given[row->request] == request->output_tokens);
            if (row->is_last) {
                held[row->slot] = QM_SERVING_NONE;
                --active;
            }
        }
        assert_true(++total < 100000);
    }
    assert_int_equal(begun, params->count);
    assert_int_equal(active, 0);
    for (uint32_t i = 0; i < params->count; ++i)
        assert_int_equal(given[i], params->requests[i].output_tokens);
    qm_serving_end(&serving);
    assert_int_equal(qm_serving_count(params, &counts), QM_OK);
    assert_int_equal(counts.prefill_passes, prefills);
    assert_int_equal(counts.decode_passes, decodes);
    assert_int_equal(counts.decode_rows, rows);
    assert_true(counts.most_batch <= params->concurrency);
}

static void test_laws(void **state)
{
    (void)state;
    static const uint32_t concurrencies[] = {1, 2, 3, 7, SLOTS_MAX}, chunks[] = {1, 3, 8, 1000};
    struct qm_random random;
    struct qm_request requests[REQUESTS_MAX];
    qm_random_seed(&random, 11, 0);
    for (int round = 0; round < 20; ++round) {
        uint32_t count = 1 + qm_random_below(&random, REQUESTS_MAX);
        for (uint32_t i = 0; i < count; ++i) {
            requests[i].prompt_tokens = 1 + qm_random_below(&random, round % 2 ? 3 : 30);
            requests[i].output_tokens = 1 + qm_random_below(&random, round % 3 ? 3 : 20);
        }
        for (size_t c = 0; c < COUNT(concurrencies); ++c)
            for (size_t k = 0; k < COUNT(chunks); ++k)
                check_laws(&(struct qm_serving_params){requests, count, concurrencies[c], chunks[k]});
    }
}

static void test_counts(void **state)
{
    (void)state;
    static const struct qm_request requests[] = {{9, 1}, {4, 3}, {5, 2}};
    struct qm_serving_counts counts;
    assert_int_equal(qm_serving_count(&(struct qm_serving_params){requests, 3, 2, 4}, &counts), QM_OK);
    assert_int_equal(counts.prefill_passes, 3 + 1 + 2); // 4 + 4 + 1, 4, 4 + 1
    assert_int_equal(counts.decode_passes, 2);
    assert_int_equal(counts.decode_rows, 2 + 1);
    assert_int_equal(counts.most_batch, 2);
    assert_int_equal(counts.positions, 9);
    assert_int_equal(counts.shapes, 3); // 4 tokens, 1 token of one sequence, of two
}

static void test_refused(void **state)
{
    (void)state;
    struct qm_request requests[] = {{9, 1}, {4, 3}};
    struct qm_serving *serving = NULL;
    const struct qm_serving_params good = {requests, 2, 2, 4};
    struct qm_serving_params bad[] = {good, good, good};
    bad[0].count = 0;
    bad[1].concurrency = 0;
    bad[2].chunk_tokens = 0;
    for (size_t i = 0; i < COUNT(bad); ++i) {
        assert_int_equal(qm_serving_begin(&bad[i], &serving), QM_INVALID);
        assert_null(serving);
    }
    requests[1].output_tokens = 0;
    assert_int_equal(qm_serving_begin(&good, &serving), QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "request 1 has 4 + 0 tokens"));
    requests[1] = (struct qm_request){0, 1};
    assert_int_equal(qm_serving_begin(&good, &serving), QM_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_by_hand), cmocka_unit_test(test_laws),
                                       cmocka_unit_test(test_counts), cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
