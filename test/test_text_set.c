// A user's text as windows: which tokens are scored, beside llama-perplexity's rule written again, and what is refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "sys/file.h"
#include "test/byte_encoder.h"
#include "workload/text_set.h"
#include "workload/token_hash.h"

static struct byte_encoder plain = {0}, begins = {.adds_begin = true};

static struct qm_text_set *make(const char *text, size_t bytes, struct byte_encoder *bytes_encoder,
                                const struct qm_text_set_params *params)
{
    struct qm_text_set *set = NULL;
    const struct qm_text_encoder encoder = {encode_bytes, bytes_encoder};
    if (qm_text_set_create(text, bytes, "t.txt", &encoder, params, &set) != QM_OK)
        fail_msg("%s", qm_error_text());
    return set;
}

static void refused(const char *text, size_t bytes, struct byte_encoder *bytes_encoder,
                    const struct qm_text_set_params *params, const char *words)
{
    struct qm_text_set *set = (struct qm_text_set *)1;
    const struct qm_text_encoder encoder = {encode_bytes, bytes_encoder};
    assert_int_not_equal(qm_text_set_create(text, bytes, "t.txt", &encoder, params, &set), QM_OK);
    assert_null(set);
    if (!strstr(qm_error_text(), words) || strchr(qm_error_text(), '\n'))
        fail_msg("expected '%s' in '%s'", words, qm_error_text());
}

static char text[5000]; // no two places alike

static int setup(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)('!' + (i * i + i / 7) % 90);
    return 0;
}

// By default every token but the first is scored once, and has n - stride tokens before it.
static void test_every_token_once(void **state)
{
    (void)state;
    static const struct {
        size_t bytes;
        uint32_t n, stride;
    } cases[] = {{5000, 64, 0}, {5000, 64, 63},   {5000, 64, 1}, {100, 99, 7}, {100, 100, 50},
                 {99, 100, 50}, {2, 100, 0},      {64, 64, 32},  {65, 64, 32}, {96, 64, 32},
                 {97, 64, 32},  {4097, 512, 100}, {1000, 8, 0},  {1000, 9, 0}};
    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        const struct qm_text_set_params params = {.window_tokens = cases[c].n, .stride = cases[c].stride};
        uint32_t step = cases[c].stride ? cases[c].stride : cases[c].n / 2;
        struct qm_text_set *set = make(text, cases[c].bytes, &plain, &params);
        static uint8_t times[5000];
        static uint32_t tokens[5000];
        memset(times, 0, sizeof(times));
        assert_int_equal(set->token_count, cases[c].bytes);
        assert_int_equal(set->length, cases[c].bytes < cases[c].n ? cases[c].bytes : cases[c].n);
        for (uint32_t w = 0; w < set->window_count; w++) {
            const struct qm_text_window *window = &set->windows[w];
            assert_true(window->start + set->length <= set->token_count);
            assert_true(window->scored_count > 0);
            qm_text_set_window(set, w, tokens);
            for (uint32_t p = window->scored_first; p < window->scored_first + window->scored_count; p++) {
                assert_true(p + 1 < set->length);
                assert_int_equal(tokens[p + 1], (unsigned char)text[window->start + p + 1] + 3);
                if (w > 0)
                    assert_true(p + 1 >= set->length - step);
                times[window->start + p + 1]++;
            }
        }
        assert_int_equal(times[0], 0);
        for (size_t i = 1; i < cases[c].bytes; i++)
            assert_int_equal(times[i], 1);
        assert_int_equal(set->scored, cases[c].bytes - 1);
        assert_int_equal(set->tokens_unused, 0);
        qm_text_set_destroy(&set);
        assert_null(set);
    }
}

// llama-perplexity: chunks one after the other, the second half scored, the begin token in place of each chunk's first.
static void test_llama_perplexity(void **state)
{
    (void)state;
    for (uint32_t n = 31; n <= 33; n++) {
        const struct qm_text_set_params params = {
            .window_tokens = n, .compat = QM_TEXT_LLAMA_PERPLEXITY, .has_begin = true, .begin = 1, .vocabulary = 300};
        struct qm_text_set *set = make(text, 1000, &begins, &params);
        uint32_t tokens[64];
        assert_int_equal(set->token_count, 1001); // with the begin token
        assert_int_equal(set->window_count, 1001 / n);
        assert_int_equal(set->scored, (uint64_t)(1001 / n) * (n - n / 2 - 1));
        assert_int_equal(set->tokens_unused, 1001 % n);
        for (uint32_t w = 0; w < set->window_count; w++) {
            assert_int_equal(set->windows[w].start, (size_t)w * n);
            assert_int_equal(set->windows[w].scored_first, n / 2);
            assert_int_equal(set->windows[w].scored_first + set->windows[w].scored_count - 1, n - 2);
            qm_text_set_window(set, w, tokens);
            assert_int_equal(tokens[0], 1);
            for (uint32_t p = 1; p < n; p++)
                assert_int_equal(tokens[p], set->tokens[(size_t)w * n + p]);
        }
        qm_text_set_destroy(&set);
    }
    // One line feed at the end is left out, and no more.
    const struct qm_text_set_params params = {.window_tokens = 8, .compat = QM_TEXT_LLAMA_PERPLEXITY};
    struct qm_text_set *set = make("abcdefghijklmnopq\n\n", 19, &plain, &params);
    assert_int_equal(set->token_count, 18);
    assert_int_equal(set->text_bytes, 18);
    assert_int_equal(set->window_count, 2);
    qm_text_set_destroy(&set);
    refused(text, 15, &plain, &params, "the text has 15 tokens and llama-perplexity asks for two chunks, 16");
}

// Its strided form, whose loop stands here again.
static void test_llama_perplexity_stride(void **state)
{
    (void)state;
    const uint32_t n = 64, stride = 24;
    const struct qm_text_set_params params = {
        .window_tokens = n, .stride = stride, .compat = QM_TEXT_LLAMA_PERPLEXITY, .has_begin = true, .begin = 1};
    struct qm_text_set *set = make(text, 999, &begins, &params);
    int chunk = (int)(n + stride / 2), count = (1000 - chunk + (int)stride - 1) / (int)stride;
    assert_int_equal(set->length, chunk);
    assert_int_equal(set->window_count, count);
    assert_false(set->replaces_first);
    for (int i = 0; i < count; i++) {
        assert_int_equal(set->windows[i].start, i * (int)stride);
        assert_int_equal(set->windows[i].scored_first, chunk - (int)stride - 1);
        assert_int_equal(set->windows[i].scored_count, stride);
    }
    qm_text_set_destroy(&set);
}

static void test_hash(void **state)
{
    (void)state;
    // By hand: 10 tokens, one window, all but the last position scored.
    const struct qm_text_set_params params = {.window_tokens = 16};
    struct qm_text_set *set = make("abcdefghij", 10, &plain, &params), *other = NULL;
    unsigned char words[40];
    for (uint32_t p = 0; p < 10; p++) {
        const unsigned char word[4] = {(unsigned char)('a' + p + 3), 0, p < 9, 0};
        memcpy(words + (size_t)4 * p, word, 4);
    }
    char expected[QM_HASH_TEXT_BYTES];
    qm_hash_bytes(words, sizeof(words), expected);
    assert_string_equal(set->sha256, expected);
    qm_hash_bytes("abcdefghij", 10, expected);
    assert_string_equal(set->text_sha256, expected);
    // The marks are in it, the text's own hash is not.
    const struct qm_text_set_params other_params = {.window_tokens = 8};
    other = make("abcdefghij", 10, &plain, &other_params);
    assert_string_not_equal(set->sha256, other->sha256);
    assert_string_equal(set->text_sha256, other->text_sha256);
    qm_text_set_destroy(&set);
    qm_text_set_destroy(&other);
    // A large token is not a small one that is scored.
    char hashes[4][QM_HASH_TEXT_BYTES];
    const struct {
        uint32_t token;
        bool is_scored;
    } pairs[4] = {{5, true}, {0x10005, false}, {0x20005, false}, {0x10005, true}};
    for (int i = 0; i < 4; i++) {
        struct qm_hash hash;
        qm_hash_begin(&hash);
        qm_token_hash_add(&hash, pairs[i].token, pairs[i].is_scored);
        qm_hash_end(&hash, hashes[i]);
        for (int k = 0; k < i; k++)
            assert_string_not_equal(hashes[i], hashes[k]);
    }
}

static void test_refused(void **state)
{
    (void)state;
    struct byte_encoder broken = {.fails = true};
    const struct qm_text_set_params good = {.window_tokens = 64};
    struct qm_text_set_params bad = good;
    refused("", 0, &plain, &good, "t.txt: the file is empty");
    refused("a", 1, &plain, &good, "the text has 1 tokens; expected 2 at least");
    refused(text, 100, &broken, &good, "the encoder is broken");
    bad.window_tokens = 7;
    refused(text, 100, &plain, &bad, "windows of 7 tokens; expected 8");
    bad = good;
    bad.stride = 64;
    refused(text, 100, &plain, &bad, "a stride of 64");
    bad = good;
    bad.vocabulary = 50;
    refused(text, 100, &plain, &bad, "and the model has 50 tokens; use the tokenizer of this model");
    bad.has_begin = true;
    bad.begin = 50;
    refused(text, 100, &plain, &bad, "the begin token is 50");
}

static void test_limits(void **state)
{
    (void)state;
    // A window a token, of a million tokens each: refused by arithmetic, before it is laid out.
    const size_t bytes = (size_t)3 << 20;
    char *large = malloc(bytes);
    assert_non_null(large);
    memset(large, 'x', bytes);
    struct qm_text_set_params params = {.window_tokens = 1 << 20, .stride = 1};
    refused(large, bytes, &plain, &params, "use a larger stride, or limit the number of windows");
    params.windows_most = 3;
    struct qm_text_set *set = make(large, bytes, &plain, &params);
    assert_int_equal(set->window_count, 3);
    assert_int_equal(set->scored, ((uint64_t)1 << 20) - 1 + 2);
    assert_int_equal(set->tokens_unused, bytes - ((size_t)1 << 20) - 2);
    qm_text_set_destroy(&set);
    free(large);
}

static void test_load(void **state)
{
    (void)state;
    char directory[] = "/tmp/qmark-test-XXXXXX", path[QM_PATH_BYTES];
    const struct qm_text_encoder encoder = {encode_bytes, &plain};
    const struct qm_text_set_params params = {.window_tokens = 8};
    struct qm_text_set *set = NULL;
    assert_non_null(mkdtemp(directory));
    assert_int_equal(qm_path_join(path, directory, "t.txt"), QM_OK);
    assert_int_equal(qm_text_set_load(path, &encoder, &params, &set), QM_INVALID);
    assert_int_equal(qm_file_write(path, "caf\xe9 au\0 lait", 13), QM_OK); // Latin-1, and a zero byte
    assert_int_equal(qm_text_set_load(path, &encoder, &params, &set), QM_OK);
    assert_false(set->is_utf8);
    assert_int_equal(set->token_count, 13);
    qm_text_set_destroy(&set);
    assert_int_equal(qm_file_write(path, "caf\xc3\xa9 au lait", 13), QM_OK);
    assert_int_equal(qm_text_set_load(path, &encoder, &params, &set), QM_OK);
    assert_true(set->is_utf8);
    qm_text_set_destroy(&set);
    assert_int_equal(qm_file_remove(path), QM_OK);
    assert_int_equal(rmdir(directory), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_token_once),
        cmocka_unit_test(test_llama_perplexity),
        cmocka_unit_test(test_llama_perplexity_stride),
        cmocka_unit_test(test_hash),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_load),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
