// A deployment's requests served by the built-in model on every device: requests of odd lengths at mixed depths give, token
// by token, what each gives alone; every run gives the same; clocks are read where they should be; lies are caught.
#include "test/each_device.h"

#include <math.h>
#include <stdio.h>

#include "bench/server.h"
#include "model/tasks.h"

#define BUILT_IN QM_SOURCE_DIR "/models/qmark-3m"
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum {
    WINDOWS = 3,
    WINDOW_TOKENS = 32,
    ROWS = 56,
    SEQUENCES = 4,
    CONTEXT = 64
};

static struct qm_model *model;
static uint32_t stream[WINDOWS * WINDOW_TOKENS], begins[WINDOWS];

// Prompts beyond a chunk and beyond a window, of a whole chunk, of one token; outputs of one token; more than places.
static const struct qm_request requests[] = {{1, 1}, {40, 8}, {17, 1}, {5, 6}, {33, 3}, {16, 2}};

struct stage {
    struct qm_engine *engine;
    struct qm_network *network;
    struct qm_server_params params;
    struct qm_server *server;
};

struct subject {
    const struct qm_artifact *artifact;
    const struct qm_scheme *scheme;
    double bound; // of the mean divergence between a request that is served and the same alone
};

static void stage_open(struct qm_device *device, const char *tile, const struct subject *subject, uint32_t concurrency,
                       struct stage *out)
{
    const struct qm_engine_params params = {.device = device,
                                            .tile = tile,
                                            .config = model->config,
                                            .context = CONTEXT,
                                            .rows = ROWS,
                                            .sequences = SEQUENCES,
                                            .slots = 1};
    *out = (struct stage){0};
    if (qm_engine_create(&params, &out->engine) != QM_OK ||
        qm_network_create(out->engine, subject->artifact, subject->scheme, &out->network) != QM_OK)
        fail_msg("%s: %s", device->info->id, qm_error_text());
    out->params = (struct qm_server_params){.engine = out->engine,
                                            .network = out->network,
                                            .serving = {requests, COUNT(requests), concurrency, 16},
                                            .prompts = {stream, COUNT(stream), begins, COUNT(begins)},
                                            .rows = ROWS,
                                            .limit_ns = 200000000};
    if (qm_server_create(&out->params, &out->server) != QM_OK)
        fail_msg("%s: %s", device->info->id, qm_error_text());
}

static void stage_close(struct stage *stage)
{
    qm_server_destroy(&stage->server);
    qm_network_destroy(&stage->network);
    qm_engine_destroy(&stage->engine);
}

static void with_subject(const char *name, double bound, void (*body)(const struct subject *subject))
{
    struct qm_scheme scheme;
    struct qm_artifact *artifact = NULL;
    assert_int_equal(qm_scheme_parse(name, &scheme), QM_OK);
    assert_int_equal(qm_artifact_build(&(struct qm_artifact_params){.model = model, .scheme = &scheme}, &artifact),
                     QM_OK);
    body(&(struct subject){artifact, &scheme, bound});
    qm_artifact_destroy(&artifact);
}

static void with_native(const char *name, void (*body)(struct qm_device *device, const struct subject *subject))
{
    struct qm_device *device = NULL;
    struct qm_scheme scheme;
    struct qm_artifact *artifact = NULL;
    assert_int_equal(qm_native_device_open(&device), QM_OK);
    assert_int_equal(qm_scheme_parse(name, &scheme), QM_OK);
    assert_int_equal(qm_artifact_build(&(struct qm_artifact_params){.model = model, .scheme = &scheme}, &artifact),
                     QM_OK);
    body(device, &(struct subject){artifact, &scheme, 0});
    qm_artifact_destroy(&artifact);
    device->fns->destroy(&device);
}

// ---- What is served ---------------------------------------------------------------------------------------------------

static struct qm_served check_served(const struct stage *stage, const char *who, const struct subject *subject)
{
    struct qm_served served;
    double *kl = NULL, mean = 0, most = 0;
    size_t count = 0, tokens = 0;
    if (qm_server_check(stage->server, NULL, &served, &kl, &count) != QM_OK)
        fail_msg("%s, %s: %s", who, subject->scheme->name, qm_error_text());
    for (size_t i = 0; i < COUNT(requests); ++i)
        tokens += requests[i].output_tokens;
    assert_int_equal(count, tokens); // so few requests are compared one and all
    for (size_t i = 0; i < count; ++i) {
        mean += kl[i] / (double)count;
        most = kl[i] > most ? kl[i] : most;
    }
    free(kl);
    print_message("%-14s %-22s %zu tokens, KL to the same alone: mean %.2g, most %.2g\n", who, subject->scheme->name,
                  count, mean, most);
    if (!(mean <= subject->bound))
        fail_msg("%s, %s: mean %g, bound %g", who, subject->scheme->name, mean, subject->bound);
    return served;
}

static bool wrong_fifth(void *context)
{
    return ++*(int *)context == 5;
}

static void check_device(struct qm_device *device, const char *tile, const void *context)
{
    const struct subject *subject = context;
    const char *who = device->info->driver_name;
    struct stage stage;
    struct qm_request_times times[COUNT(requests)];
    struct qm_served again;
    int passes = 0;
    stage_open(device, tile, subject, 3, &stage);
    const struct qm_served served = check_served(&stage, who, subject);
    for (int round = 0; round < 2; ++round) {
        assert_int_equal(qm_server_run(stage.server, NULL, times, &again), QM_OK);
        assert_memory_equal(&again, &served, sizeof(served)); // to the bit
    }
    for (size_t i = 0; i < COUNT(requests); ++i) {
        assert_true(times[i].start_ns >= 0 && times[i].first_token_ns > times[i].start_ns);
        assert_true(requests[i].output_tokens == 1 ? times[i].end_ns == times[i].first_token_ns
                                                   : times[i].end_ns > times[i].first_token_ns);
    }
    // One other token in one pass is seen, and leaves nothing behind.
    const struct qm_server_hooks wrong = {.is_wrong = wrong_fifth, .context = &passes};
    assert_int_equal(qm_server_run(stage.server, &wrong, NULL, &again), QM_OK);
    assert_int_equal(again.passes, served.passes);
    assert_true(again.checksums != served.checksums);
    assert_int_equal(qm_server_run(stage.server, NULL, NULL, &again), QM_OK);
    assert_memory_equal(&again, &served, sizeof(served));
    stage_close(&stage);
}

static void on_each_device(const struct subject *subject)
{
    with_each_device(false, check_device, subject);
}

static void on_one_of_each(const struct subject *subject)
{
    with_each_device(true, check_device, subject);
}

static void test_f16(void **state)
{
    (void)state;
    with_subject("f16", 1e-5, on_each_device);
}

// Keys in blocks of tokens, and the last ones exact: what a row sees depends on its own position.
static void test_kivi(void **state)
{
    (void)state;
    with_subject("w4a16-g32-kivi4", 1e-3, on_one_of_each);
}

static void serve_other_places(struct qm_device *device, const struct subject *subject)
{
    static const uint32_t places[] = {1, 2, SEQUENCES};
    const struct subject bounded = {subject->artifact, subject->scheme, 1e-6};
    for (size_t i = 0; i < COUNT(places); ++i) {
        struct stage stage;
        char who[32];
        snprintf(who, sizeof(who), "native, %u places", places[i]);
        stage_open(device, "narrow", &bounded, places[i], &stage);
        (void)check_served(&stage, who, &bounded);
        stage_close(&stage);
    }
}

static void test_places(void **state)
{
    (void)state;
    with_native("f32", serve_other_places);
}

// ---- Clocks -----------------------------------------------------------------------------------------------------------

static uint64_t count_now(void *context)
{
    return *(uint64_t *)context;
}

static void count_spend(void *context, double operations)
{
    assert_true(operations > 0);
    *(uint64_t *)context += 1000;
}

// A thousand nanoseconds a pass, and none between.
static void serve_by_count(struct qm_device *device, const struct subject *subject)
{
    static const struct qm_request few[] = {{3, 2}, {2, 1}, {4, 2}};
    static const struct qm_request_times expected[] = {{0, 1000, 4000}, {0, 2000, 2000}, {2000, 3000, 4000}};
    struct qm_request_times times[COUNT(few)];
    struct stage stage;
    struct qm_served served;
    uint64_t clock = 70000;
    const struct qm_server_hooks hooks = {.now = count_now, .spend = count_spend, .context = &clock};
    stage_open(device, "narrow", subject, 2, &stage);
    qm_server_destroy(&stage.server);
    stage.params.serving = (struct qm_serving_params){few, COUNT(few), 2, 4};
    assert_int_equal(qm_server_create(&stage.params, &stage.server), QM_OK);
    assert_int_equal(qm_server_run(stage.server, &hooks, times, &served), QM_OK);
    assert_int_equal(served.passes, 4); // the third request takes the place of the second before anything is decoded
    assert_int_equal(qm_server_pass_ns(stage.server), 4000); // nothing is between them by this clock
    for (size_t i = 0; i < COUNT(few); ++i)
        if (times[i].start_ns != expected[i].start_ns || times[i].first_token_ns != expected[i].first_token_ns ||
            times[i].end_ns != expected[i].end_ns)
            fail_msg("request %zu: start %g, first token %g, end %g", i, times[i].start_ns, times[i].first_token_ns,
                     times[i].end_ns);
    stage_close(&stage);
}

static void test_clock(void **state)
{
    (void)state;
    with_native("f16", serve_by_count);
}

// ---- Devices that lie, and requests that do not fit -------------------------------------------------------------------

static struct qm_device_fns honest, lying;
static int lie; // of 1: a logit is infinite; 2: argmaxes are one beside; 3: a logit is another

static enum qm_status lying_read(struct qm_device *device, struct qm_buffer *buffer, uint64_t offset, void *bytes,
                                 uint64_t size)
{
    QM_TRY(honest.buffer_read(device, buffer, offset, bytes, size));
    bool is_row = size == (uint64_t)model->config.vocabulary * 4;
    if (lie == 1 && is_row)
        ((float *)bytes)[7] = INFINITY;
    if (lie == 2 && !is_row)
        ((uint32_t *)bytes)[size / 4 - 1] ^= 1;
    if (lie == 3 && is_row)
        ((float *)bytes)[7] -= 1;
    return QM_OK;
}

static void serve_lies(struct qm_device *device, const struct subject *subject)
{
    static const char *const words[] = {"", "is inf", "argmax gave", "checksum of its logits"};
    struct stage stage;
    struct qm_served served;
    double *kl = NULL;
    size_t count = 0;
    honest = lying = *device->fns;
    lying.buffer_read = lying_read;
    device->fns = &lying;
    stage_open(device, "narrow", subject, 2, &stage);
    for (lie = 1; lie <= 3; ++lie) {
        assert_int_equal(qm_server_check(stage.server, NULL, &served, &kl, &count), QM_WRONG_RESULT);
        assert_null(kl);
        if (!strstr(qm_error_text(), words[lie]))
            fail_msg("expected '%s' in '%s'", words[lie], qm_error_text());
    }
    lie = 0;
    assert_int_equal(qm_server_check(stage.server, NULL, &served, &kl, &count), QM_OK);
    free(kl);
    stage_close(&stage);
    device->fns = &honest;
}

static void refuse(const struct qm_server_params *params, const char *words)
{
    struct qm_server *server = NULL;
    assert_int_equal(qm_server_create(params, &server), QM_INVALID);
    assert_null(server);
    if (!strstr(qm_error_text(), words))
        fail_msg("expected '%s' in '%s'", words, qm_error_text());
}

static void serve_bad_requests(struct qm_device *device, const struct subject *subject)
{
    static const struct qm_request long_one[] = {{CONTEXT, 2}}, last[] = {{CONTEXT, 1}},
                                   many[] = {{1, 2}, {1, 2}, {1, 2}, {1, 2}, {1, 2}};
    static const uint32_t no_token[] = {3, 512}, beyond[] = {COUNT(stream)};
    struct stage stage;
    stage_open(device, "narrow", subject, 2, &stage);
    struct qm_server_params bad = stage.params;
    bad.serving.requests = long_one;
    bad.serving.count = 1;
    refuse(&bad, "a request takes 65 positions and the context is 64");
    bad = stage.params;
    bad.serving = (struct qm_serving_params){many, COUNT(many), COUNT(many), 16};
    refuse(&bad, "does not fit an engine");
    bad = stage.params;
    bad.prompts.stream = no_token;
    bad.prompts.count = 2;
    bad.prompts.begin_count = 1;
    refuse(&bad, "token 512 is none of the model's 512");
    bad = stage.params;
    bad.prompts.begins = beyond;
    bad.prompts.begin_count = 1;
    refuse(&bad, "a prompt begins at token 96 of 96");
    bad = stage.params;
    bad.prompts.count = 0;
    refuse(&bad, "no tokens to make prompts of");
    // The last position of a context is one that can be had.
    struct qm_server *server = NULL;
    struct qm_served served;
    bad = stage.params;
    bad.serving.requests = last;
    bad.serving.count = 1;
    assert_int_equal(qm_server_create(&bad, &server), QM_OK);
    assert_int_equal(qm_server_run(server, NULL, NULL, &served), QM_OK);
    assert_int_equal(served.passes, CONTEXT / 16);
    qm_server_destroy(&server);
    stage_close(&stage);
}

static void test_lies(void **state)
{
    (void)state;
    with_native("f32", serve_lies);
}

static void test_refused(void **state)
{
    (void)state;
    with_native("f32", serve_bad_requests);
}

static void test_prompts(void **state)
{
    (void)state;
    static const uint32_t tokens[] = {10, 11, 12, 13, 14}, from[] = {0, 3};
    const struct qm_prompts prompts = {tokens, 5, from, 2};
    uint32_t out[7];
    qm_prompt_copy(&prompts, 0, out, 3);
    assert_memory_equal(out, ((uint32_t[]){10, 11, 12}), 12);
    qm_prompt_copy(&prompts, 3, out, 7); // from the second beginning, and around
    assert_memory_equal(out, ((uint32_t[]){13, 14, 10, 11, 12, 13, 14}), 28);
}

static int setup(void **state)
{
    (void)state;
    struct qm_window window;
    for (uint32_t w = 0; w < WINDOWS; ++w) {
        qm_window_generate(QM_SPLIT_EVALUATION, QM_SEED_EVALUATION, w, WINDOW_TOKENS, &window);
        begins[w] = w * WINDOW_TOKENS;
        for (uint32_t p = 0; p < WINDOW_TOKENS; ++p)
            stream[begins[w] + p] = window.tokens[p];
    }
    return qm_model_load(BUILT_IN, 32, &model) == QM_OK ? 0 : 1;
}

static int teardown(void **state)
{
    (void)state;
    qm_model_destroy(&model);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prompts), cmocka_unit_test(test_refused), cmocka_unit_test(test_lies),
        cmocka_unit_test(test_clock),   cmocka_unit_test(test_places),  cmocka_unit_test(test_f16),
        cmocka_unit_test(test_kivi),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
