// The host's reference as a run has it: rows in the cache by content, resumed after an interruption, damaged files, and the
// comparison with the reference backend.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <math.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/random.h"
#include "bench/reference_host.h"
#include "model/host_pass.h"
#include "sys/process.h"
#include "test/remove_tree.h"
#include "test/tiny_model.h"

enum {
    WINDOWS = 5,
    TOKENS = 30,
    SCORED = 37,
    MODEL = 2 // of the tiny ones: nothing even
};

static json_t *data;
static char cache[] = "/tmp/qmark-host-XXXXXX";
static struct qm_model *model;
static struct qm_evaluation evaluation;
static uint32_t tokens[WINDOWS][TOKENS + 1];
static struct qm_scored_token scored[SCORED];

static void check(enum qm_status status)
{
    if (status != QM_OK)
        fail_msg("%s", qm_error_text());
}

// The calls of the progress, and the one at which the user interrupts (0: none).
static unsigned calls, interrupt_at;
static char last_text[256];
static double last_fraction;
static bool must_rise; // within one run of the host's

static void progress(void *context, const char *what, double fraction)
{
    (void)context;
    if (must_rise && calls > 0 && !(fraction >= last_fraction))
        fail_msg("from %g back to %g: %s", last_fraction, fraction, what);
    snprintf(last_text, sizeof(last_text), "%s", what);
    assert_true(fraction >= 0 && fraction <= 1 + 1e-9);
    last_fraction = fraction;
    if (++calls == interrupt_at)
        raise(SIGINT);
}

static struct qm_reference_params params_in(const char *folder, char path[QM_PATH_BYTES])
{
    check(qm_path_join(path, cache, folder));
    return (struct qm_reference_params){.model = model, .cache_directory = path, .progress = progress};
}

// Two windows at a time: chunks of 2, 2 and 1.
static struct qm_reference_host_options options_for(uint32_t most)
{
    struct qm_reference_host_options options = qm_reference_host_options(131, SCORED);
    assert_int_equal(options.keep.most, 0); // a set of this size is kept whole, unless somebody asks
    struct qm_host_weights weights;
    check(qm_host_weights_open(&model->config, model, NULL, &weights));
    options.activation_bytes = 2 * TOKENS * qm_host_pass_token_bytes(&weights) + 100;
    qm_host_weights_close(&weights);
    options.part_bytes = 3000; // several files a chunk
    options.keep.most = most;
    options.state_ns = 0; // after every layer
    options.blas = NULL;
    return options;
}

static struct qm_reference_rows *make(const char *folder, uint32_t dense,
                                      const struct qm_reference_host_options *options)
{
    char path[QM_PATH_BYTES];
    struct qm_reference_params params = params_in(folder, path);
    struct qm_reference_rows *rows = NULL;
    calls = 0;
    must_rise = true;
    check(qm_reference_host_rows(&params, &evaluation, dense, options, &rows));
    must_rise = false;
    return rows;
}

static void assert_same(const struct qm_reference_rows *a, const struct qm_reference_rows *b)
{
    assert_int_equal(a->scored_count, b->scored_count);
    assert_int_equal(a->dense_windows, b->dense_windows);
    for (size_t i = 0; i < a->scored_count; ++i) {
        const struct qm_reference_row *x = &a->scored[i], *y = &b->scored[i];
        assert_int_equal(x->count, y->count);
        assert_int_equal(x->target, y->target);
        assert_memory_equal(x->logits, y->logits, x->count * sizeof(float));
        if (x->ids)
            assert_memory_equal(x->ids, y->ids, x->count * sizeof(uint32_t));
        assert_memory_equal(&x->residual, &y->residual, sizeof(double));
        assert_memory_equal(&x->log_sum, &y->log_sum, sizeof(double));
    }
    for (uint32_t t = 0; t < a->dense_windows * TOKENS; ++t)
        assert_memory_equal(a->dense[t], b->dense[t], model->config.vocabulary * sizeof(float));
}

// CACHE/folder/host/KEY/name; there is one key.
static const char *kept_file(const char *folder, const char *name)
{
    static char path[QM_PATH_BYTES];
    char host[QM_PATH_BYTES + 16];
    struct qm_name_list keys = {0};
    snprintf(host, sizeof(host), "%s/%s/host", cache, folder);
    check(qm_directory_list(host, &keys));
    assert_int_equal(keys.count, 1);
    snprintf(path, sizeof(path), "%.2000s/%s/%s", host, keys.names[0], name);
    qm_name_list_free(&keys);
    return path;
}

// ---- Tests ----------------------------------------------------------------------------------------------------------

// Against the reference backend over the whole set, which computes window by window.
static void test_equals_the_backend(void **state)
{
    (void)state;
    char path[QM_PATH_BYTES];
    struct qm_reference_params params = params_in("equal", path);
    struct qm_reference_host_options options = options_for(0);
    const uint32_t vocabulary = model->config.vocabulary;
    float *logits = NULL;
    double worst = 0;
    struct qm_reference_rows *rows = make("equal", 3, &options);
    check(qm_reference_fp32_logits(&params, &evaluation, &logits));
    assert_string_equal(rows->engine, "host, own loops");
    assert_int_equal(rows->checked_tokens, QM_REFERENCE_CHECKED_TOKENS);
    assert_true(rows->difference > 0 && rows->difference < 1e-4);
    for (size_t i = 0; i < rows->scored_count; ++i) {
        const float *row = logits + ((size_t)scored[i].window * TOKENS + scored[i].position) * vocabulary;
        assert_null(rows->scored[i].ids);
        for (uint32_t v = 0; v < vocabulary; ++v)
            worst = fmax(worst, fabs((double)row[v] - (double)rows->scored[i].logits[v]));
    }
    for (uint32_t w = 0; w < 3; ++w)
        for (size_t j = 0; j < (size_t)TOKENS * vocabulary; ++j)
            worst = fmax(worst, fabs((double)rows->dense[w * TOKENS + j / vocabulary][j % vocabulary] -
                                     (double)logits[(size_t)w * TOKENS * vocabulary + j]));
    print_message("worst difference to the reference backend %.1e, as disclosed %.1e\n", worst, rows->difference);
    assert_true(worst <= 1e-4);
    qm_reference_rows_destroy(&rows);
    // The same as rows of the backend's logits.
    check(qm_reference_rows_of_logits(&evaluation, vocabulary, logits, &rows));
    assert_string_equal(rows->engine, "reference backend");
    const size_t at = (size_t)scored[SCORED - 1].window * TOKENS + scored[SCORED - 1].position;
    assert_true(rows->scored[SCORED - 1].logits == rows->dense[at]);
    qm_reference_rows_destroy(&rows);
}

// With OpenBLAS where it is, from the model's files, and of a model that is in its files alone: the same rows but for rounding.
static void test_other_ways(void **state)
{
    (void)state;
    struct qm_weights files;
    struct qm_model *in_memory = model, *large = NULL;
    check(qm_weights_open(directory, &files));
    check(qm_model_load_with(directory, &(struct qm_model_load_params){.multiple = 32, .whole_bytes = 1}, &large));
    assert_null(large->values);
    struct qm_reference_host_options options = options_for(0);
    struct qm_reference_rows *own = make("own", 1, &options);
    static const char *const ways[] = {"blas", "files", "large"};
    for (int way = 0; way < 3; ++way) {
        options = options_for(0);
        options.blas = way == 0 ? qm_blas_find() : NULL;
        options.files = way == 1 ? &files : NULL;
        model = way == 2 ? large : in_memory;
        struct qm_reference_rows *rows = make(ways[way], 1, &options);
        model = in_memory;
        assert_int_equal(strncmp(rows->engine, "host, ", 6), 0);
        assert_int_equal(rows->checked_tokens, QM_REFERENCE_CHECKED_TOKENS);
        for (size_t i = 0; i < rows->scored_count; ++i)
            for (uint32_t v = 0; v < model->config.vocabulary; ++v)
                assert_true(fabs((double)rows->scored[i].logits[v] - (double)own->scored[i].logits[v]) <= 5e-5);
        qm_reference_rows_destroy(&rows);
    }
    qm_reference_rows_destroy(&own);
    qm_weights_close(&files);
    qm_model_destroy(&large);
}

// Examples are shorter than the windows that the points of a profile need: nothing behind the last scored position is computed,
// the window that is compared has a chunk of its own, and the rows are what they are of whole windows.
static void test_short_examples(void **state)
{
    (void)state;
    enum {
        SHORT = 9
    };
    struct qm_evaluation whole = evaluation;
    struct qm_scored_token few[SCORED];
    struct qm_reference_host_options options = options_for(0);
    size_t count = 0;
    for (size_t i = 0; i < SCORED; ++i)
        if (scored[i].window == 0 || scored[i].position < SHORT)
            few[count++] = scored[i];
    assert_true(count > 12 && few[count - 1].window == WINDOWS - 1);
    options.part_bytes = 1 << 20;
    struct qm_reference_rows *rows = make("whole", 1, &options), *shorter = NULL;
    assert_true(qm_file_exists(kept_file("whole", "rows-2-0"))); // windows two by two, and the last
    evaluation.scored = few;
    evaluation.scored_count = count;
    shorter = make("short", 1, &options);
    evaluation = whole;
    assert_true(qm_file_exists(kept_file("short", "rows-1-0")));
    assert_false(qm_file_exists(kept_file("short", "rows-2-0"))); // all short ones at once
    for (size_t i = 0, at = 0; i < count; ++i, ++at) {
        while (scored[at].window != few[i].window || scored[at].position != few[i].position)
            ++at;
        for (uint32_t v = 0; v < model->config.vocabulary; ++v)
            assert_true(fabs((double)shorter->scored[i].logits[v] - (double)rows->scored[at].logits[v]) <= 5e-5);
    }
    for (uint32_t t = 0; t < TOKENS; ++t)
        for (uint32_t v = 0; v < model->config.vocabulary; ++v)
            assert_true(fabs((double)shorter->dense[t][v] - (double)rows->dense[t][v]) <= 5e-5);
    qm_reference_rows_destroy(&rows);
    qm_reference_rows_destroy(&shorter);
}

// The second time nothing is computed, and the rows are the same; another set of positions is another reference.
static void test_cache(void **state)
{
    (void)state;
    struct qm_reference_host_options options = options_for(9);
    options.keep.mass = 0.01;
    struct qm_reference_rows *first = make("cache", 1, &options);
    assert_true(calls >= 3 * model->config.layers);
    assert_true(last_fraction == 1);
    assert_non_null(strstr(last_text, "a sample by the reference backend"));
    assert_false(qm_file_exists(kept_file("cache", "state")));
    struct qm_reference_rows *second = make("cache", 1, &options);
    assert_int_equal(calls, 0);
    assert_same(first, second);
    assert_string_equal(first->engine, second->engine);
    assert_true(first->difference == second->difference && second->checked_tokens > 0);
    for (size_t i = 0; i < SCORED; ++i) {
        assert_non_null(first->scored[i].ids);
        assert_true(first->scored[i].count <= 9);
        assert_int_equal(first->scored[i].target, scored[i].target);
    }
    qm_reference_rows_destroy(&second);
    scored[3].position -= 1;
    second = make("cache", 1, &options);
    assert_true(calls > 0);
    scored[3].position += 1;
    qm_reference_rows_destroy(&first);
    qm_reference_rows_destroy(&second);
}

// A file that is damaged, cut off, or of another chunk is computed anew, and no other with it.
static void test_damage(void **state)
{
    (void)state;
    struct qm_reference_host_options options = options_for(5);
    struct qm_reference_rows *whole = make("damage", 2, &options);
    for (int kind = 0; kind < 5; ++kind) {
        void *bytes = NULL, *other = NULL;
        size_t count, other_count;
        check(qm_file_read(kept_file("damage", "rows-1-0"), (size_t)1 << 24, &bytes, &count));
        check(qm_file_read(kept_file("damage", "rows-0-0"), (size_t)1 << 24, &other, &other_count));
        unsigned char *at = bytes;
        switch (kind) {
        case 0:
            at[count / 2] ^= 1;
            check(qm_file_write(kept_file("damage", "rows-1-0"), bytes, count));
            break;
        case 1:
            check(qm_file_write(kept_file("damage", "rows-1-0"), bytes, count - 1));
            break;
        case 2:
            check(qm_file_write(kept_file("damage", "rows-1-0"), bytes, 0));
            break;
        case 3: // whole and with the right hash, of other windows
            check(qm_file_write(kept_file("damage", "rows-1-0"), other, other_count));
            break;
        default:
            check(qm_file_remove(kept_file("damage", "rows-1-0")));
        }
        struct qm_reference_rows *again = make("damage", 2, &options);
        assert_true(calls >= model->config.layers && calls <= model->config.layers + 4);
        assert_same(whole, again);
        qm_reference_rows_destroy(&again);
        void *mended = NULL;
        size_t mended_count;
        check(qm_file_read(kept_file("damage", "rows-1-0"), (size_t)1 << 24, &mended, &mended_count));
        assert_int_equal(mended_count, count);
        if (kind == 0)
            at[count / 2] ^= 1;
        assert_memory_equal(mended, bytes, count);
        free(mended);
        free(bytes);
        free(other);
    }
    qm_reference_rows_destroy(&whole);
}

// Numbers in a file that nobody wrote there, under a hash that is right: refused, or rows that can be scored.
static void test_hostile_numbers(void **state)
{
    (void)state;
    struct qm_reference_host_options options = options_for(6);
    struct qm_reference_rows *rows = make("hostile", 1, &options);
    qm_reference_rows_destroy(&rows);
    const uint32_t vocabulary = model->config.vocabulary;
    struct qm_random random;
    void *whole = NULL;
    size_t count, believed = 0, refused = 0;
    check(qm_file_read(kept_file("hostile", "rows-0-0"), (size_t)1 << 24, &whole, &count));
    unsigned char *bytes = malloc(count);
    float *logits = calloc(vocabulary, sizeof(*logits));
    assert_true(bytes && logits);
    qm_random_seed(&random, 5, 0);
    for (int round = 0; round < 300; ++round) {
        memcpy(bytes, whole, count);
        // Behind kind and key, before the hash: bits, words of ones, large counts.
        for (uint32_t change = 0; change <= qm_random_below(&random, 3); ++change) {
            size_t at = 72 + qm_random_below(&random, (uint32_t)(count - 72 - 64 - 4));
            if (round < 60) // the first row's numbers
                at = 72 + QM_REFERENCE_ENGINE_BYTES + 16 + 4 * qm_random_below(&random, 12);
            uint32_t word = qm_random_below(&random, 3) == 0 ? UINT32_MAX : qm_random_below(&random, UINT32_MAX);
            if (qm_random_below(&random, 2))
                bytes[at] ^= (unsigned char)(1u << qm_random_below(&random, 8));
            else
                memcpy(bytes + at, &word, sizeof(word));
        }
        char hash[QM_HASH_TEXT_BYTES];
        qm_hash_bytes(bytes, count - 64, hash);
        memcpy(bytes + count - 64, hash, 64);
        check(qm_file_write(kept_file("hostile", "rows-0-0"), bytes, count));
        rows = make("hostile", 1, &options);
        believed += calls == 0;
        refused += calls > 0;
        for (size_t i = 0; i < rows->scored_count; ++i) {
            struct qm_token_score score;
            double high;
            const struct qm_token_place place = {0, scored[i].window, scored[i].position};
            check(
                qm_reference_row_score(&rows->scored[i], logits, vocabulary, scored[i].target, &place, &score, &high));
        }
        qm_reference_rows_destroy(&rows);
    }
    print_message("%zu files were refused, %zu had other numbers that can be\n", refused, believed);
    assert_true(refused > 50 && believed > 20);
    free(whole);
    free(bytes);
    free(logits);
}

// In a process of its own, for a program that was interrupted stays so: 0 where it ended as it should.
static int interrupted_child(const char *folder, unsigned at, const struct qm_reference_host_options *options)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char path[QM_PATH_BYTES];
        struct qm_reference_params params = params_in(folder, path);
        struct qm_reference_rows *rows = NULL;
        qm_interrupt_watch();
        calls = 0;
        interrupt_at = at;
        enum qm_status status = qm_reference_host_rows(&params, &evaluation, 1, options, &rows);
        _exit(status == QM_INTERRUPTED && !rows && strstr(qm_error_text(), "interrupted") ? 0
              : status == QM_OK                                                           ? 2
                                                                                          : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

// Interrupted at every place where that can be, again and again, until it is done: the bytes are those of a run that was not.
static void test_interrupted(void **state)
{
    (void)state;
    struct qm_reference_host_options options = options_for(7);
    struct qm_reference_rows *whole = make("straight", 1, &options);
    unsigned all = calls, ended = 0;
    for (int often = 0; often < 2; ++often) { // the state saved after every layer, and at the interruption alone
        options.state_ns = often ? UINT64_MAX : 0;
        const char *folder = often ? "seldom" : "often";
        int outcome = 0;
        ended = 0;
        // Each run goes a step or two further than the one before, so that none may begin anew.
        while ((outcome = interrupted_child(folder, 2 + ended % 3, &options)) == 0 && ended < 100)
            ++ended;
        assert_int_equal(outcome, 2);
        assert_true(ended >= 4 && ended <= all);
        struct qm_reference_rows *rows = make(folder, 1, &options);
        assert_int_equal(calls, 0);
        assert_same(whole, rows);
        qm_reference_rows_destroy(&rows);
        static const char *const names[] = {"rows-0-0", "rows-0-1", "rows-1-0", "rows-2-0"};
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); ++i) {
            void *a = NULL, *b = NULL;
            size_t a_count, b_count;
            check(qm_file_read(kept_file("straight", names[i]), (size_t)1 << 24, &a, &a_count));
            check(qm_file_read(kept_file(folder, names[i]), (size_t)1 << 24, &b, &b_count));
            assert_int_equal(a_count, b_count);
            assert_memory_equal(a, b, a_count);
            free(a);
            free(b);
        }
    }
    qm_reference_rows_destroy(&whole);
}

// A state that is damaged, or of another chunk, is not believed.
static void test_damaged_state(void **state)
{
    (void)state;
    struct qm_reference_host_options options = options_for(7);
    struct qm_reference_rows *whole = make("whole", 1, &options);
    assert_int_equal(interrupted_child("broken", 2, &options), 0);
    void *bytes = NULL;
    size_t count;
    check(qm_file_read(kept_file("broken", "state"), (size_t)1 << 24, &bytes, &count));
    ((unsigned char *)bytes)[count / 2] ^= 4;
    check(qm_file_write(kept_file("broken", "state"), bytes, count));
    free(bytes);
    struct qm_reference_rows *rows = make("broken", 1, &options);
    assert_same(whole, rows);
    qm_reference_rows_destroy(&rows);
    qm_reference_rows_destroy(&whole);
}

// Products that are off by a thousandth, as of a library that is broken.
static void wrong_sgemm(int order, int a_is, int b_is, int m, int n, int k, float alpha, const float *a, int a_stride,
                        const float *b, int b_stride, float beta, float *c, int c_stride)
{
    (void)order;
    (void)a_is;
    qm_host_multiply_alone(NULL, &(struct qm_host_product){.m = (size_t)m,
                                                           .n = (size_t)n,
                                                           .k = (size_t)k,
                                                           .a = a,
                                                           .a_stride = (size_t)a_stride,
                                                           .b = b,
                                                           .b_stride = (size_t)b_stride,
                                                           .c = c,
                                                           .c_stride = (size_t)c_stride,
                                                           .scale = alpha * 1.001f,
                                                           .adds = beta > 0,
                                                           .b_is_plain = b_is == QM_BLAS_PLAIN});
}

static void no_threads(int threads)
{
    (void)threads;
}

static void test_wrong_library(void **state)
{
    (void)state;
    char path[QM_PATH_BYTES];
    struct qm_reference_params params = params_in("wrong", path);
    struct qm_reference_host_options options = options_for(0);
    const struct qm_blas blas = {wrong_sgemm, no_threads, "WrongBLAS 1.0"};
    struct qm_reference_rows *rows = NULL;
    options.blas = &blas;
    assert_int_equal(qm_reference_host_rows(&params, &evaluation, 1, &options, &rows), QM_WRONG_RESULT);
    assert_null(rows);
    assert_non_null(strstr(qm_error_text(), "WrongBLAS 1.0"));
    assert_non_null(strstr(qm_error_text(), "reference backend"));
    // Nor does it pass the second time, from the cache.
    assert_int_equal(qm_reference_host_rows(&params, &evaluation, 1, &options, &rows), QM_WRONG_RESULT);
    // It is not kept: without the library, the same cache serves.
    options = options_for(0);
    rows = make("wrong", 1, &options);
    assert_string_equal(rows->engine, "host, own loops");
    qm_reference_rows_destroy(&rows);
    // Where the memory does not allow a comparison, the rows say so.
    options = options_for(0);
    options.check_bytes_max = 1000;
    rows = make("unchecked", 1, &options);
    assert_int_equal(rows->checked_tokens, 0);
    assert_non_null(strstr(rows->unchecked, "memory"));
    qm_reference_rows_destroy(&rows);
}

// What decides who computes the reference.
static void test_choice(void **state)
{
    (void)state;
    struct qm_model large = *model;
    unsetenv("QM_REFERENCE");
    assert_false(qm_reference_is_on_host(model));
    large.parameters = QM_REFERENCE_HOST_PARAMETERS + 1;
    assert_true(qm_reference_is_on_host(&large));
    setenv("QM_REFERENCE", "backend", 1);
    assert_false(qm_reference_is_on_host(&large));
    setenv("QM_REFERENCE", "host", 1);
    assert_true(qm_reference_is_on_host(model));
    char path[QM_PATH_BYTES];
    struct qm_reference_params params = params_in("choice", path);
    struct qm_reference_rows *rows = NULL;
    check(qm_reference_fp32_rows(&params, &evaluation, 1, &rows));
    assert_int_equal(strncmp(rows->engine, "host, ", 6), 0);
    qm_reference_rows_destroy(&rows);
    setenv("QM_REFERENCE", "backend", 1);
    check(qm_reference_fp32_rows(&params, &evaluation, 1, &rows));
    assert_string_equal(rows->engine, "reference backend");
    qm_reference_rows_destroy(&rows);
    unsetenv("QM_REFERENCE");
    assert_true(qm_reference_host_options(152064, 100000).keep.most > 0);
}

// Calibration by the host's pass in chunks, in steps, is what the reference backend collects.
static void test_collector(void **state)
{
    (void)state;
    char path[QM_PATH_BYTES];
    struct qm_reference_params params = params_in("collect", path);
    params.progress = NULL;
    const struct qm_calibration_options options = {.has_products = true};
    struct qm_reference_collector *host = NULL, *backend = NULL;
    setenv("QM_REFERENCE", "host", 1);
    check(qm_reference_collector_open(&params, &evaluation, &options, &host));
    setenv("QM_REFERENCE", "backend", 1);
    check(qm_reference_collector_open(&params, &evaluation, &options, &backend));
    unsetenv("QM_REFERENCE");
    static const uint32_t steps[] = {2, 5};
    for (int i = 0; i < 2; ++i) {
        check(qm_reference_collector_advance(host, steps[i]));
        check(qm_reference_collector_advance(backend, steps[i]));
        for (int input = 0; input < QM_INPUT_COUNT; ++input) {
            const struct qm_channel_statistics *a, *b;
            check(qm_calibration_statistics(qm_reference_collected(host), 1, (enum qm_input)input, &a));
            check(qm_calibration_statistics(qm_reference_collected(backend), 1, (enum qm_input)input, &b));
            assert_int_equal(a->rows, steps[i] * TOKENS);
            assert_int_equal(b->rows, a->rows);
            assert_int_equal(b->width, a->width);
            for (uint32_t c = 0; c < a->width; ++c) {
                assert_true(fabs((double)a->amax[c] - (double)b->amax[c]) <= 1e-4 * (1 + (double)b->amax[c]));
                assert_true(fabs(a->products[c] - b->products[c]) <= 1e-4 * (1 + fabs(b->products[c])));
            }
        }
    }
    assert_true(qm_calibration_has_cached(qm_reference_collected(host)));
    qm_reference_collector_close(&host);
    qm_reference_collector_close(&backend);
}

// ---- Set-up ---------------------------------------------------------------------------------------------------------

static int begin(void **state)
{
    (void)state;
    json_error_t error;
    data = json_load_file(TINY_MODELS, 0, &error);
    if (!data || !mkdtemp(directory) || !mkdtemp(cache))
        return -1;
    model = make_model(json_array_get(json_object_get(data, "models"), MODEL), 32);
    evaluation = (struct qm_evaluation){
        .name = "test", .tokens = tokens[0], .scored = scored, .scored_count = SCORED, .sequence_count = WINDOWS};
    evaluation.set.windows = WINDOWS;
    evaluation.set.window_tokens = TOKENS;
    memset(evaluation.sha256, '7', QM_HASH_TEXT_BYTES - 1);
    for (uint32_t w = 0; w < WINDOWS; ++w)
        for (uint32_t p = 0; p <= TOKENS; ++p)
            tokens[w][p] = (w * 31 + p * p * 7 + p) % model->config.vocabulary;
    for (uint32_t i = 0; i < SCORED; ++i) {
        uint32_t at = 1 + i * (WINDOWS * TOKENS - 2) / SCORED; // window 0, position 1 ... the last window
        uint32_t window = at / TOKENS, position = at % TOKENS;
        scored[i] = (struct qm_scored_token){window, position, tokens[window][position + 1], window};
    }
    return 0;
}

static int end(void **state)
{
    (void)state;
    json_decref(data);
    qm_model_destroy(&model);
    remove_tree(directory);
    return remove_tree(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_equals_the_backend),
                                       cmocka_unit_test(test_interrupted),
                                       cmocka_unit_test(test_other_ways),
                                       cmocka_unit_test(test_short_examples),
                                       cmocka_unit_test(test_cache),
                                       cmocka_unit_test(test_damage),
                                       cmocka_unit_test(test_damaged_state),
                                       cmocka_unit_test(test_wrong_library),
                                       cmocka_unit_test(test_choice),
                                       cmocka_unit_test(test_hostile_numbers),
                                       cmocka_unit_test(test_collector)};
    return cmocka_run_group_tests(tests, begin, end);
}
