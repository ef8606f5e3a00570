// A user's text and examples as an evaluation set: what is scored, what fills rows, what the hash is of, and what is refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench/evaluation_user.h"
#include "sys/file.h"
#include "test/byte_encoder.h"

static struct byte_encoder plain = {0}, begins = {.adds_begin = true};
static char folder[] = "/tmp/qmark-user-XXXXXX";

static int setup(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : 1;
}

static int teardown(void **state)
{
    (void)state;
    rmdir(folder);
    return 0;
}

static const char *write_file(const char *name, const char *text)
{
    static char path[128];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    assert_int_equal(qm_file_write(path, text, strlen(text)), QM_OK);
    return path;
}

static struct qm_user_set_params params_of(const char *path, struct byte_encoder *bytes,
                                           struct qm_text_encoder *encoder)
{
    *encoder = (struct qm_text_encoder){encode_bytes, bytes};
    return (struct qm_user_set_params){.path = path,
                                       .encoder = encoder,
                                       .vocabulary = 1000,
                                       .context = 64,
                                       .has_begin = bytes->adds_begin,
                                       .begin = 1,
                                       .window_tokens = 8,
                                       .reading = QM_EXAMPLES_DEFAULT};
}

// Where `target` is scored, "window.position" in order.
static void check_scored(const struct qm_evaluation *set)
{
    for (size_t i = 0; i < set->scored_count; ++i) {
        const struct qm_scored_token *token = &set->scored[i];
        assert_true(token->window < set->sequence_count && token->position + 1 < set->lengths[token->window]);
        assert_int_equal(token->sequence, token->window);
        assert_int_equal(token->target, qm_evaluation_tokens(set, token->window)[token->position + 1]);
        if (i > 0)
            assert_true(token->window > set->scored[i - 1].window ||
                        (token->window == set->scored[i - 1].window && token->position > set->scored[i - 1].position));
    }
}

static void read_set(const struct qm_user_set_params *params, struct qm_user_set *set)
{
    if (qm_user_set_read(params, set) != QM_OK)
        fail_msg("%s", qm_error_text());
    check_scored(set->evaluation);
}

// Points that need longer and more rows change neither what is scored nor the hash.
static void test_text(void **state)
{
    (void)state;
    struct qm_text_encoder encoder;
    struct qm_user_set set, larger;
    const char *path = write_file("a.txt", "abcdefghijklmnopqrst"); // 20 tokens
    struct qm_user_set_params params = params_of(path, &plain, &encoder);
    read_set(&params, &set);
    assert_int_equal(set.evaluation->set.kind, QM_SET_TEXT);
    assert_int_equal(set.evaluation->set.windows, 4);
    assert_int_equal(set.evaluation->set.window_tokens, 8);
    assert_int_equal(set.evaluation->scored_count, 19);
    assert_int_equal(set.evaluation->set.scored_tokens, 19);
    assert_string_equal(set.evaluation->sha256, set.text->sha256);
    params.windows_least = 7;
    params.tokens_least = 21;
    read_set(&params, &larger);
    const struct qm_evaluation *wide = larger.evaluation;
    assert_int_equal(wide->set.windows, 7);
    assert_int_equal(wide->set.window_tokens, 21);
    assert_int_equal(wide->sequence_count, 4);
    assert_int_equal(wide->scored_count, 19);
    assert_string_equal(wide->sha256, set.evaluation->sha256);
    assert_int_equal(wide->set.file_windows, 4); // what a record needs to read the same again
    assert_int_equal(wide->set.file_window_tokens, 8);
    for (uint32_t w = 0; w < 7; ++w) {
        const uint32_t *row = qm_evaluation_tokens(wide, w), *own = qm_evaluation_tokens(set.evaluation, w % 4);
        for (uint32_t p = 0; p <= 21; ++p)
            assert_int_equal(row[p], own[p % 8]);
    }
    for (size_t i = 0; i < 19; ++i)
        assert_memory_equal(&wide->scored[i], &set.evaluation->scored[i], sizeof(wide->scored[i]));
    qm_user_set_free(&set);
    qm_user_set_free(&larger);
    unlink(path);
}

static void test_compatible(void **state)
{
    (void)state;
    struct qm_text_encoder encoder;
    struct qm_user_set set;
    const char *path = write_file("a.txt", "abcdefghijklmnopqrst\n");
    struct qm_user_set_params params = params_of(path, &begins, &encoder);
    params.is_compatible = true;
    read_set(&params, &set); // 21 tokens with the begin token: two chunks, positions 4 to 6 of each
    assert_int_equal(set.evaluation->set.windows, 2);
    assert_int_equal(set.evaluation->scored_count, 6);
    assert_int_equal(set.evaluation->scored[3].window, 1);
    assert_int_equal(set.evaluation->scored[3].position, 4);
    assert_int_equal(qm_evaluation_tokens(set.evaluation, 1)[0], 1);
    qm_user_set_free(&set);
    unlink(path);
}

// The answer is scored behind its prompt, with a blank between them where there is none; of choices, the right one.
static void test_examples(void **state)
{
    (void)state;
    struct qm_text_encoder encoder;
    struct qm_user_set set;
    const char *path = write_file("a.jsonl", "{\"prompt\":\"2+2=\",\"answer\":\"four\",\"max_tokens\":4}\n"
                                             "{\"prompt\":\"say \",\"answers\":[\"a\",\"bcd\"],\"max_tokens\":4}\n"
                                             "{\"prompt\":\"sky:\",\"choices\":[\" red\",\" blue\"],\"answer\":1}\n");
    struct qm_user_set_params params = params_of(path, &plain, &encoder);
    static const char *const rows[] = {"2+2= four", "say a", "sky: blue"};
    static const uint32_t first[] = {3, 3, 3}, count[] = {5, 1, 5};
    params.windows_least = 4;
    read_set(&params, &set);
    const struct qm_evaluation *e = set.evaluation;
    assert_int_equal(e->set.kind, QM_SET_EXAMPLES);
    assert_int_equal(e->set.windows, 4);
    assert_int_equal(e->set.window_tokens, 9);
    assert_int_equal(e->sequence_count, 3);
    size_t scored = 0;
    for (uint32_t w = 0; w < 3; ++w) {
        assert_int_equal(e->lengths[w], strlen(rows[w]));
        assert_int_equal(e->is_answer[w], 1);
        for (uint32_t p = 0; p < strlen(rows[w]); ++p)
            assert_int_equal(qm_evaluation_tokens(e, w)[p], (unsigned char)rows[w][p] + 3);
        for (uint32_t i = 0; i < count[w]; ++i, ++scored) {
            assert_int_equal(e->scored[scored].window, w);
            assert_int_equal(e->scored[scored].position, first[w] + i);
        }
    }
    assert_int_equal(e->scored_count, scored);
    assert_int_equal(e->lengths[3], 0);
    assert_memory_equal(qm_evaluation_tokens(e, 3), qm_evaluation_tokens(e, 0), 10 * sizeof(uint32_t));
    qm_user_set_free(&set);
    unlink(path);
}

// The hash is another one where a token or a mark is.
static void test_hash(void **state)
{
    (void)state;
    static const char *const files[] = {"{\"prompt\":\"ab\",\"answer\":\"cd\",\"max_tokens\":4}\n",
                                        "{\"prompt\":\"ab\",\"answer\":\"ce\",\"max_tokens\":4}\n",
                                        "{\"prompt\":\"ab c\",\"answer\":\"d\",\"max_tokens\":4}\n",
                                        "{\"prompt\":\"ab \",\"answer\":\"cd\",\"max_tokens\":4}\n"};
    struct qm_text_encoder encoder;
    char hashes[4][QM_HASH_TEXT_BYTES];
    for (int i = 0; i < 4; ++i) {
        struct qm_user_set set;
        struct qm_user_set_params params = params_of(write_file("a.jsonl", files[i]), &plain, &encoder);
        read_set(&params, &set);
        memcpy(hashes[i], set.evaluation->sha256, sizeof(hashes[i]));
        for (int j = 0; j < i; ++j)
            assert_string_not_equal(hashes[i], hashes[j]);
        qm_user_set_free(&set);
        unlink(params.path);
    }
}

static void test_calibration(void **state)
{
    (void)state;
    struct qm_text_encoder encoder;
    struct qm_user_set set;
    const char *path = write_file("c.txt", "abcdefghijklmnopqrst"); // 20: two windows of 8
    struct qm_user_set_params params = params_of(path, &plain, &encoder);
    assert_int_equal(qm_user_set_read_calibration(&params, &set), QM_OK);
    assert_int_equal(set.evaluation->set.windows, 2);
    assert_int_equal(set.evaluation->scored_count, 0);
    assert_int_equal(qm_evaluation_tokens(set.evaluation, 1)[0], 'i' + 3);
    qm_user_set_free(&set);
    params = params_of(path, &begins, &encoder); // each window begins as those that are scored
    params.windows_most = 1;
    assert_int_equal(qm_user_set_read_calibration(&params, &set), QM_OK);
    assert_int_equal(set.evaluation->set.windows, 1);
    assert_int_equal(qm_evaluation_tokens(set.evaluation, 0)[0], 1);
    qm_user_set_free(&set);
    unlink(path);
    path = write_file("c.jsonl", "{\"prompt\":\"abc\",\"answer\":\"d\",\"max_tokens\":4}\n"
                                 "{\"prompt\":\"efg\",\"answer\":\"h\",\"max_tokens\":4}\n");
    params = params_of(path, &plain, &encoder);
    params.windows_most = 1; // of windows, not of examples
    assert_int_equal(qm_user_set_read_calibration(&params, &set), QM_OK);
    for (uint32_t p = 0; p < 8; ++p)
        assert_int_equal(qm_evaluation_tokens(set.evaluation, 0)[p], (unsigned char)"abc defg"[p] + 3);
    qm_user_set_free(&set);
    unlink(path);
}

static void test_overlap(void **state)
{
    (void)state;
    struct qm_text_encoder encoder;
    struct qm_user_set scored, calibrated;
    struct qm_overlap overlap;
    const char *path = write_file("a.txt", "The quick brown fox jumps over the lazy dog and runs away.");
    struct qm_user_set_params params = params_of(path, &plain, &encoder);
    params.window_tokens = 20;
    params.tokens_least = 60; // what fills rows is not looked at: repeated, it would hold other runs
    read_set(&params, &scored);
    unlink(path);
    path = write_file("c.txt", "Well: the lazy dog and runs on. What a day it was, with nothing else in it at all!");
    params = params_of(path, &plain, &encoder);
    params.window_tokens = 40;
    assert_int_equal(qm_user_set_read_calibration(&params, &calibrated), QM_OK);
    unlink(path);
    assert_int_equal(qm_user_set_overlap(scored.evaluation, calibrated.evaluation, &overlap), QM_OK);
    assert_int_equal(overlap.items, scored.evaluation->sequence_count);
    assert_true(overlap.overlapping > 0 && overlap.overlapping < overlap.items);
    assert_true(overlap.shared_runs > 0 && overlap.shared_runs < overlap.runs);
    qm_user_set_free(&calibrated);
    qm_user_set_free(&scored);
}

static void refused(const char *name, const char *text, const struct qm_user_set_params *as, bool of_calibration,
                    const char *words)
{
    struct qm_text_encoder encoder;
    struct qm_user_set set;
    struct qm_user_set_params params = params_of(write_file(name, text), &plain, &encoder);
    if (as) {
        params.context = as->context;
        params.window_tokens = as->window_tokens;
        params.vocabulary = as->vocabulary;
    }
    enum qm_status status =
        of_calibration ? qm_user_set_read_calibration(&params, &set) : qm_user_set_read(&params, &set);
    assert_int_equal(status, QM_INVALID);
    assert_null(set.evaluation);
    if (!strstr(qm_error_text(), words) || !strstr(qm_error_text(), name) || strchr(qm_error_text(), '\n'))
        fail_msg("expected '%s' and '%s' in '%s'", words, name, qm_error_text());
    unlink(params.path);
}

static void test_refused(void **state)
{
    (void)state;
    const struct qm_user_set_params small = {.context = 16, .window_tokens = 32, .vocabulary = 1000},
                                    few = {.context = 64, .window_tokens = 8, .vocabulary = 100};
    refused("a.txt", "", NULL, false, "");
    refused("a.txt", "x", NULL, false, "");
    refused("a.txt", "a text of more than sixteen tokens, cut into longer chunks", &small, false,
            "exceed the model's context of 16");
    refused("a.txt", "zzzzzzzzzzzzzzzz", &few, false, "");
    refused("c.txt", "zzzzzzzzzzzzzzzz", &few, true, "token 125 is none of the model's 100");
    refused("c.txt", "short", NULL, true, "fewer than a window of 8");
    refused("a.jsonl", "", NULL, false, "");
    refused("a.jsonl", "{\"prompt\":\"2+2=\"}\n", NULL, false, "a.jsonl:1:");
    refused("a.jsonl", "{\"prompt\":\"abcdefgh\",\"answer\":\"ijklmnopq\",\"max_tokens\":2}\n", &small, false,
            "has 18 tokens, and the model's context 16");
    refused("a.jsonl", "{\"prompt\":\"abcdefghabcdefgh\",\"answer\":\"i\",\"max_tokens\":2}\n", &small, false,
            "a.jsonl:1:");
}

static void test_kind(void **state)
{
    (void)state;
    assert_int_equal(qm_user_set_kind("my.jsonl"), QM_SET_EXAMPLES);
    assert_int_equal(qm_user_set_kind("a/b.ndjson"), QM_SET_EXAMPLES);
    assert_int_equal(qm_user_set_kind("b.json"), QM_SET_EXAMPLES);
    assert_int_equal(qm_user_set_kind("my.txt"), QM_SET_TEXT);
    assert_int_equal(qm_user_set_kind("jsonl"), QM_SET_TEXT);
    assert_int_equal(qm_user_set_kind(".jsonl"), QM_SET_TEXT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),    cmocka_unit_test(test_compatible),  cmocka_unit_test(test_examples),
        cmocka_unit_test(test_hash),    cmocka_unit_test(test_calibration), cmocka_unit_test(test_overlap),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_kind),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
