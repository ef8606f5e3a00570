// Generation and likelihoods by the host's pass, on tiny models of every architecture: with a cache of keys and values it is the
// pass over the whole text as one window. And the fp32 answers that come of it, beside the reference backend's.
#include "test/asking.h"

#include <math.h>
#include <unistd.h>

#include "bench/host_generate.h"
#include "bench/reference_answers_internal.h"
#include "model/weights_arrange.h"
#include "test/remove_tree.h"
#include "test/tiny_model.h"

enum {
    SEQUENCES = 3,
    POSITIONS = 79,
    STEPS = 24,
    PROMPT_MOST = 48
};

// What a token that was generated may lie below the likeliest one by the other order of sums, in nats.
static const double ROUNDING = 1e-4;

static json_t *data;

static void check(enum qm_status status)
{
    if (status != QM_OK)
        fail_msg("%s", qm_error_text());
}

static const json_t *entry_at(size_t index)
{
    return json_array_get(json_object_get(data, "models"), index);
}

static struct qm_host_generator *generator_of(struct qm_host_weights *weights, const struct qm_blas *blas)
{
    struct qm_host_generator *generator = NULL;
    check(qm_host_generator_create(
        &(struct qm_host_generator_params){
            .weights = weights, .blas = blas, .sequences = SEQUENCES, .positions = POSITIONS},
        &generator));
    return generator;
}

static void fill(uint32_t *tokens, const json_t *entry, uint32_t count, uint32_t vocabulary)
{
    for (uint32_t b = 0; b < SEQUENCES; ++b)
        for (uint32_t p = 0; p < count; ++p)
            tokens[b * count + p] =
                ((uint32_t)json_integer_value(json_array_get(json_object_get(entry, "tokens"), p)) * (2 * b + 1) + b) %
                vocabulary;
}

// Prompts of `count` tokens with what follows: the same at once and in two requests, and what the whole text says.
static double check_prompts(struct qm_host_weights *weights, const struct qm_blas *blas, const json_t *entry,
                            uint32_t count)
{
    uint32_t tokens[SEQUENCES * PROMPT_MOST], ids[SEQUENCES * STEPS], part[SEQUENCES * STEPS], last[SEQUENCES];
    uint32_t text[PROMPT_MOST + STEPS];
    const uint32_t first_steps = 5, vocabulary = weights->config.vocabulary;
    struct qm_host_generator *generator = generator_of(weights, blas);
    struct qm_generate_request request = {.batch = SEQUENCES, .count = count, .tokens = tokens};
    double worst = 0, below = 0, sum = 0;
    fill(tokens, entry, count, vocabulary);
    check(qm_host_generate(generator, &request, STEPS, ids));
    check(qm_host_generate(generator, &request, first_steps, part));
    for (uint32_t b = 0; b < SEQUENCES; ++b) {
        assert_memory_equal(part + (size_t)b * first_steps, ids + (size_t)b * STEPS, first_steps * sizeof(*ids));
        last[b] = part[b * first_steps + first_steps - 1];
    }
    const struct qm_generate_request rest = {
        .batch = SEQUENCES, .count = 1, .position = count + first_steps - 1, .tokens = last};
    check(qm_host_generate(generator, &rest, STEPS - first_steps, part));
    for (uint32_t b = 0; b < SEQUENCES; ++b) {
        assert_memory_equal(part + (size_t)b * (STEPS - first_steps), ids + (size_t)b * STEPS + first_steps,
                            (STEPS - first_steps) * sizeof(*ids));
        memcpy(text, tokens + (size_t)b * count, count * sizeof(*text));
        memcpy(text + count, ids + (size_t)b * STEPS, STEPS * sizeof(*text));
        check(qm_host_follow(weights, blas, text, count + STEPS, count, &below, &sum));
        worst = fmax(worst, below);
        assert_true(sum < 0);
        text[count + STEPS / 2] ^= 1; // one that was not chosen, and what follows it
        check(qm_host_follow(weights, blas, text, count + STEPS, count, &below, &sum));
        assert_true(below > 1e-3);
    }
    qm_host_generator_destroy(&generator);
    return worst;
}

static void test_cache(void **state)
{
    (void)state;
    const struct qm_blas *blas = qm_blas_find();
    size_t count = json_array_size(json_object_get(data, "models"));
    assert_int_equal(count, 14);
    for (size_t i = 0; i < count; ++i) {
        static const uint32_t lengths[] = {1, 7, PROMPT_MOST};
        struct qm_model *model = make_model(entry_at(i), 32);
        struct qm_weights files;
        struct qm_host_weights weights;
        double worst = 0;
        check(qm_weights_open(directory, &files));
        check(qm_weights_arrange(&files, &model->config));
        for (int from_files = 0; from_files < 2; ++from_files) {
            check(
                qm_host_weights_open(&model->config, from_files ? NULL : model, from_files ? &files : NULL, &weights));
            for (size_t l = 0; l < 3; ++l)
                worst = fmax(worst, check_prompts(&weights, from_files ? blas : NULL, entry_at(i), lengths[l]));
            qm_host_weights_close(&weights);
        }
        qm_weights_close(&files);
        qm_model_destroy(&model);
        print_message("%-60s %.1e nats below the likeliest at most\n",
                      json_string_value(json_object_get(entry_at(i), "title")), worst);
        assert_true(worst <= ROUNDING);
    }
}

static void test_likelihoods(void **state)
{
    (void)state;
    struct qm_model *model = make_model(entry_at(1), 32);
    struct qm_host_weights weights;
    uint32_t tokens[SEQUENCES * PROMPT_MOST];
    const uint32_t first[SEQUENCES] = {1, PROMPT_MOST - 1, 11};
    double sums[SEQUENCES], below, sum;
    check(qm_host_weights_open(&model->config, model, NULL, &weights));
    struct qm_host_generator *generator = generator_of(&weights, NULL);
    struct qm_generate_request request = {.batch = SEQUENCES, .count = PROMPT_MOST, .tokens = tokens};
    fill(tokens, entry_at(1), PROMPT_MOST, weights.config.vocabulary);
    check(qm_host_generate_weigh(generator, &request, first, sums));
    for (uint32_t b = 0; b < SEQUENCES; ++b) {
        check(qm_host_follow(&weights, NULL, tokens + (size_t)b * PROMPT_MOST, PROMPT_MOST, first[b], &below, &sum));
        assert_true(fabs(sum - sums[b]) < 1e-4 && sum < -0.1);
    }
    const uint32_t wrong[SEQUENCES] = {1, PROMPT_MOST, 11};
    assert_int_equal(qm_host_generate_weigh(generator, &request, wrong, sums), QM_INVALID);
    request.position = 1;
    assert_int_equal(qm_host_generate_weigh(generator, &request, first, sums), QM_INVALID);
    qm_host_generator_destroy(&generator);
    qm_host_weights_close(&weights);
    qm_model_destroy(&model);
}

static void test_room(void **state)
{
    (void)state;
    struct qm_model *model = make_model(entry_at(0), 32);
    struct qm_host_weights weights;
    uint32_t tokens[SEQUENCES + 1] = {0}, ids[SEQUENCES * 8];
    check(qm_host_weights_open(&model->config, model, NULL, &weights));
    struct qm_host_generator *generator = generator_of(&weights, NULL);
    struct qm_generate_request request = {.batch = 1, .count = 1, .position = POSITIONS - 2, .tokens = tokens};
    check(qm_host_generate(generator, &request, 2, ids));
    assert_int_equal(qm_host_generate(generator, &request, 3, ids), QM_INVALID); // beyond the cache
    request = (struct qm_generate_request){.batch = SEQUENCES + 1, .count = 1, .tokens = tokens};
    assert_int_equal(qm_host_generate(generator, &request, 1, ids), QM_INVALID);
    tokens[0] = weights.config.vocabulary;
    request.batch = 1;
    assert_int_equal(qm_host_generate(generator, &request, 1, ids), QM_INVALID);
    // A pass without a cache begins at 0.
    struct qm_host_pass *pass = NULL;
    tokens[0] = 0;
    const struct qm_host_pass_params params = {
        .weights = &weights, .tokens = tokens, .windows = 1, .window_tokens = 1, .position = 1};
    assert_int_equal(qm_host_pass_create(&params, &pass), QM_INVALID);
    assert_null(pass);
    qm_host_generator_destroy(&generator);
    qm_host_weights_close(&weights);
    qm_model_destroy(&model);
}

// ---- Answers --------------------------------------------------------------------------------------------------------

static char cache[] = "/tmp/qmark-host-answers-XXXXXX";

static const char lines[] =
    "{\"prompt\": \"<copy> n05 v03 n21 n12 n13 =\", \"answer\": \"n05 v03 n21 n12 n13\", \"max_tokens\": 9}\n"
    "{\"prompt\": \"<copy> n05 v03 n21 n12 n14 =\", \"answer\": \"n05\", \"max_tokens\": 20, \"stop\": [\"n12\"]}\n"
    "{\"prompt\": \"<source> m00 m01 m02 m03 m04\", \"answer\": \"m00\", \"max_tokens\": 17}\n"
    "{\"prompt\": \"<copy> n01 =\", \"answer\": \"n01\", \"max_tokens\": 1}\n"
    "{\"prompt\": \"<copy> n05 v03 n21 n12 n13 =\", \"choices\": [\" n05 v03 n21 n12 n13\", \" n05 v03 n20\"], "
    "\"answer\": 0}\n"
    "{\"prompt\": \"<copy> n05 v03 n21 n12 n14 =\", \"choices\": [\" n05 v03 n21 n12 n14\", \" n05 v03 n21\"], "
    "\"answer\": 1}\n";

static void answer(const struct qm_model *model, const struct asked *asked, const char *how, struct qm_generated **out)
{
    const struct qm_reference_params params = {.model = model, .cache_directory = cache};
    struct qm_answer_run *run = NULL;
    setenv("QM_REFERENCE", how, 1);
    check(qm_reference_answers(&params, &asked->questions, out, &run));
    unsetenv("QM_REFERENCE");
    qm_answer_run_destroy(&run);
}

static void expect_same(const struct asked *asked, const struct qm_generated *a, const struct qm_generated *b,
                        double tolerance)
{
    for (uint32_t e = 0; e < a->count; ++e) {
        assert_int_equal(a->answers[e].count, b->answers[e].count);
        assert_memory_equal(a->answers[e].ids, b->answers[e].ids, a->answers[e].count * sizeof(uint32_t));
        for (uint32_t c = 0; c < asked->examples->examples[e].choice_count; ++c)
            assert_true(fabs(a->answers[e].log_probabilities[c] - b->answers[e].log_probabilities[c]) <= tolerance);
    }
}

static void test_answers(void **state)
{
    (void)state;
    struct qm_model *model = NULL;
    struct asked asked;
    struct qm_generated *backend = NULL, *host = NULL, *again = NULL;
    check(qm_model_load(BUILT_IN, 32, &model));
    ask(lines, &asked);
    answer(model, &asked, "backend", &backend);
    answer(model, &asked, "host", &host);
    expect_same(&asked, backend, host, 1e-3);
    answer(model, &asked, "host", &again); // from the cache
    expect_same(&asked, host, again, 0);
    // The sample is looked at: of text the first example and the longest prompt, of choices likewise.
    const struct qm_reference_params params = {.model = model, .cache_directory = cache};
    check(qm_reference_answers_check(&params, &asked.questions, host));
    host->answers[0].ids[2] ^= 1;
    assert_int_equal(qm_reference_answers_check(&params, &asked.questions, host), QM_WRONG_RESULT);
    assert_non_null(strstr(qm_error_text(), "example 1 "));
    host->answers[0].ids[2] ^= 1;
    host->answers[4].log_probabilities[0] += 0.1;
    assert_int_equal(qm_reference_answers_check(&params, &asked.questions, host), QM_WRONG_RESULT);
    assert_non_null(strstr(qm_error_text(), "example 5 "));
    qm_generated_destroy(&backend);
    qm_generated_destroy(&host);
    qm_generated_destroy(&again);
    asked_free(&asked);
    qm_model_destroy(&model);
}

static int begin(void **state)
{
    (void)state;
    json_error_t error;
    data = json_load_file(TINY_MODELS, 0, &error);
    return data && mkdtemp(directory) && mkdtemp(cache) ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    json_decref(data);
    return remove_tree(directory) | remove_tree(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cache), cmocka_unit_test(test_likelihoods),
                                       cmocka_unit_test(test_room), cmocka_unit_test(test_answers)};
    return cmocka_run_group_tests(tests, begin, end);
}
