// The whole model on every device against the reference backend running the same artifact: prefill and decode, every
// kind of scheme, checksums that repeat.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/engine.h"
#include "model/tasks.h"
#include "test/each_device.h"

enum {
    TOKENS = 96,
    SEQUENCES = 3,
    STEPS = 8
};

static struct qm_model *model;

struct run {
    float *prefill; // [TOKENS][vocabulary] of sequence 1
    float *decode;  // [STEPS][vocabulary] of sequence 1, from position 64 on
    uint64_t checksums[SEQUENCES];
};

static void run_free(struct run *run)
{
    free(run->prefill);
    free(run->decode);
}

static void run_on(struct qm_device *device, const char *tile, const struct qm_artifact *artifact,
                   const struct qm_scheme *scheme, uint32_t batch, struct run *out)
{
    const struct qm_model_config *c = &model->config;
    struct qm_engine *engine = NULL;
    struct qm_network *network = NULL;
    struct qm_pass *prefill = NULL, *decode = NULL;
    struct qm_engine_params params = {
        .device = device, .tile = tile, .config = *c, .rows = TOKENS, .sequences = SEQUENCES, .slots = STEPS};
    struct qm_timing timing = {0};
    const struct qm_run_policy policy = {7, 2};
    if (qm_engine_create(&params, &engine) != QM_OK || qm_network_create(engine, artifact, scheme, &network) != QM_OK ||
        qm_pass_create(network, &(struct qm_pass_params){1, TOKENS, 0, 1}, &prefill) != QM_OK ||
        qm_pass_create(network, &(struct qm_pass_params){batch, 1, 1, 0}, &decode) != QM_OK)
        fail_msg("%s: %s", device->info->id, qm_error_text());
    uint32_t *tokens = calloc((size_t)SEQUENCES * (c->context + 1), sizeof(*tokens));
    for (uint32_t s = 0; s < SEQUENCES; ++s) {
        struct qm_window window;
        qm_window_generate(QM_SPLIT_EVALUATION, QM_SEED_EVALUATION, s, TOKENS, &window);
        for (uint32_t p = 0; p <= TOKENS; ++p)
            tokens[s * (c->context + 1) + p] = window.tokens[p];
    }
    assert_int_equal(qm_engine_write_tokens(engine, tokens, SEQUENCES), QM_OK);
    free(tokens);
    out->prefill = calloc((size_t)TOKENS * c->vocabulary, sizeof(float));
    out->decode = calloc((size_t)STEPS * c->vocabulary, sizeof(float));
    float *batch_logits = calloc((size_t)batch * c->vocabulary, sizeof(float));

    if (qm_pass_run(prefill, &(struct qm_pass_start){0, 0}, SEQUENCES, &policy, &timing) != QM_OK)
        fail_msg("%s: %s", device->info->id, qm_error_text());
    assert_int_equal(qm_pass_read_checksums(prefill, SEQUENCES, out->checksums), QM_OK);
    uint64_t again = 0;
    assert_int_equal(qm_pass_run(prefill, &(struct qm_pass_start){0, 1}, 1, &policy, &timing), QM_OK);
    assert_int_equal(qm_pass_read_checksums(prefill, 1, &again), QM_OK);
    assert_true(again == out->checksums[1]);
    assert_int_equal(qm_pass_read_logits(prefill, out->prefill), QM_OK);
    uint64_t fold = 0;
    for (uint32_t row = 0; row < TOKENS; ++row)
        fold = qm_checksum_fold(fold, qm_checksum_row(out->prefill + (size_t)row * c->vocabulary, c->vocabulary));
    assert_true(fold == out->checksums[1]);

    uint32_t first = batch == 1 ? 1 : 0;
    for (uint32_t step = 0; step < STEPS; ++step) {
        assert_int_equal(qm_pass_run(decode, &(struct qm_pass_start){64 + step, first}, 1, &policy, &timing), QM_OK);
        assert_int_equal(qm_pass_read_logits(decode, batch_logits), QM_OK);
        memcpy(out->decode + (size_t)step * c->vocabulary, batch_logits + (size_t)(1 - first) * c->vocabulary,
               c->vocabulary * sizeof(float));
    }
    uint64_t steps_checksums[STEPS];
    assert_int_equal(qm_pass_run(decode, &(struct qm_pass_start){64, first}, STEPS, &policy, &timing), QM_OK);
    assert_int_equal(qm_pass_read_checksums(decode, STEPS, steps_checksums), QM_OK);
    assert_int_equal(qm_pass_read_logits(decode, batch_logits), QM_OK);
    assert_memory_equal(batch_logits + (size_t)(1 - first) * c->vocabulary,
                        out->decode + (size_t)(STEPS - 1) * c->vocabulary, c->vocabulary * sizeof(float));
    free(batch_logits);
    qm_pass_destroy(&prefill);
    qm_pass_destroy(&decode);
    qm_network_destroy(&network);
    qm_engine_destroy(&engine);
}

struct check {
    const struct qm_artifact *artifact;
    const struct qm_scheme *scheme;
    const struct run *reference; // of the same artifact
};

static void check_device(struct qm_device *device, const char *tile, const void *context)
{
    const struct check *check = context;
    const struct qm_scheme *scheme = check->scheme;
    uint32_t vocabulary = model->config.vocabulary;
#ifdef __SANITIZE_ADDRESS__
    const uint32_t most = strcmp(device->info->api, "native") == 0 ? SEQUENCES : 1;
#else
    const uint32_t most = SEQUENCES;
#endif
    for (uint32_t batch = 1; batch <= most; batch += 2) {
        struct run run = {0};
        run_on(device, tile, check->artifact, scheme, batch, &run);
        double prefill = mean_logits_kl(check->reference->prefill, run.prefill, vocabulary, 0, TOKENS);
        double decode = mean_logits_kl(check->reference->decode, run.decode, vocabulary, 0, STEPS);
        // Rounding ties that fall the other way move a code; see docs/METHOD.md.
        double bound = scheme->activations == QM_ACTIVATION_A8 ? 2e-3 : scheme->kv >= QM_KV_KV8 ? 2e-4 : 1e-6;
        print_message("%-12s %-7s %-18s batch %u: KL(reference || device) prefill %.2e decode %.2e\n",
                      device->info->driver_name, tile, scheme->name, batch, prefill, decode);
        assert_true(prefill <= bound && decode <= bound);
        run_free(&run);
    }
}

// Scales from one window, for schemes that need them. What goes into the cache is seen on its way there.
static struct qm_activation_scales *calibrate(void)
{
    const struct qm_model_config *c = &model->config;
    const struct qm_calibration_set set = {.name = "one window", .windows = 1, .tokens = TOKENS};
    struct qm_calibration *collectors = qm_calibration_new(c->layers);
    struct qm_activation_scales *scales = NULL;
    struct qm_scheme f32;
    struct qm_artifact *artifact = NULL;
    struct qm_device_info info;
    struct qm_device *device = NULL;
    struct qm_engine *engine = NULL;
    struct qm_network *network = NULL;
    struct qm_pass *pass = NULL;
    struct qm_window window;
    size_t count = 0;
    uint32_t *tokens = calloc(c->context + 1, sizeof(*tokens));
    qm_window_generate(QM_SPLIT_CALIBRATION, QM_SEED_EVALUATION, 0, TOKENS, &window);
    for (uint32_t p = 0; p <= TOKENS; ++p)
        tokens[p] = window.tokens[p];
    if (qm_scheme_parse("f32", &f32) != QM_OK ||
        qm_artifact_build(&(struct qm_artifact_params){.model = model, .scheme = &f32}, &artifact) != QM_OK ||
        qm_backend_reference.enumerate(&info, 1, &count) != QM_OK ||
        qm_backend_reference.open(&info, &(struct qm_open_params){0}, &device) != QM_OK ||
        qm_engine_create(
            &(struct qm_engine_params){
                .device = device, .tile = "narrow", .config = *c, .rows = TOKENS, .sequences = 1, .slots = 1},
            &engine) != QM_OK ||
        qm_network_create(engine, artifact, &f32, &network) != QM_OK ||
        qm_pass_create(network, &(struct qm_pass_params){1, TOKENS, 0, 0}, &pass) != QM_OK ||
        qm_engine_write_tokens(engine, tokens, 1) != QM_OK ||
        qm_pass_observe(pass, &(struct qm_pass_start){0, 0}, collectors) != QM_OK ||
        qm_calibration_scales(collectors, QM_CALIBRATOR_ABSMAX, &set, &scales) != QM_OK)
        fail_msg("%s", qm_error_text());
    free(tokens);
    qm_pass_destroy(&pass);
    qm_network_destroy(&network);
    qm_engine_destroy(&engine);
    device->fns->destroy(&device);
    qm_artifact_destroy(&artifact);
    qm_calibration_destroy(&collectors);
    return scales;
}

static struct qm_artifact *build(const char *name, struct qm_scheme *scheme)
{
    struct qm_artifact *artifact = NULL;
    struct qm_artifact_params params = {.model = model, .scheme = scheme};
    struct qm_activation_scales *scales = NULL;
    if (qm_scheme_parse(name, scheme) != QM_OK)
        fail_msg("%s", qm_error_text());
    if (qm_scheme_is_calibrated(scheme))
        params.activations = scales = calibrate();
    if (qm_artifact_build(&params, &artifact) != QM_OK)
        fail_msg("%s", qm_error_text());
    qm_activation_scales_destroy(&scales);
    return artifact;
}

// On every driver; `is_short`: on one of each API, unless QM_TEST_FULL is set. What caches differ by is a kernel's arithmetic,
// which test_kernels tries on every driver.
static void check_scheme_on(const char *name, bool is_short)
{
#ifdef __SANITIZE_ADDRESS__
    is_short = true; // the drivers are not sanitized
#endif
    is_short = is_short && !getenv("QM_TEST_FULL");
    struct qm_scheme scheme;
    struct qm_artifact *artifact = build(name, &scheme);
    struct qm_device_info info;
    struct qm_device *device = NULL;
    size_t count = 0;
    assert_int_equal(qm_backend_reference.enumerate(&info, 1, &count), QM_OK);
    assert_int_equal(qm_backend_reference.open(&info, &(struct qm_open_params){0}, &device), QM_OK);
    struct run reference = {0};
    run_on(device, "narrow", artifact, &scheme, 1, &reference);
    device->fns->destroy(&device);
    with_each_device(is_short, check_device, &(struct check){artifact, &scheme, &reference});
    run_free(&reference);
    qm_artifact_destroy(&artifact);
}

static void check_scheme(const char *name)
{
    check_scheme_on(name, false);
}

static void test_f32(void **state)
{
    (void)state;
    check_scheme("f32");
}
static void test_f16(void **state)
{
    (void)state;
    check_scheme("f16");
}
static void test_w8a16_kv8(void **state)
{
    (void)state;
    check_scheme("w8a16-kv8");
}
static void test_w8a8(void **state)
{
    (void)state;
    check_scheme("w8a8");
}
static void test_w4a16(void **state)
{
    (void)state;
    check_scheme("w4a16-g32");
}
static void test_w4a8_kv4(void **state)
{
    (void)state;
    check_scheme("w4a8-g32-kv4");
}

// Every format of the cache, and exact tokens at both ends.
static void test_caches(void **state)
{
    (void)state;
    check_scheme_on("w8a16-kve4m3-last5", true);
    check_scheme_on("w8a16-kve4m3s-first2", true);
    check_scheme_on("w8a16-kve5m2s", true);
    check_scheme_on("w8a16-kivi4-first4", true);
}

// Where calibration gives the scale 1, the logits are those of the cache without; where it gives another, they are not. And
// an artifact without scales is refused.
static void test_cache_scales(void **state)
{
    (void)state;
    static const float amax[] = {448, 57344, 448.5f};
    static const char *const names[][2] = {{"w8a16-kve4m3", "w8a16-kve4m3s"},
                                           {"w8a16-kve5m2-first3", "w8a16-kve5m2s-first3"},
                                           {"w8a16-kve4m3", "w8a16-kve4m3s"}};
    struct qm_activation_scales *scales = calibrate();
    struct qm_device *device = NULL;
    assert_non_null(scales->cache);
    for (uint32_t layer = 0; layer < model->config.layers; ++layer)
        for (int cached = 0; cached < QM_CACHED_COUNT; ++cached)
            assert_true(scales->cache[layer].of[cached] > 0.1f && scales->cache[layer].of[cached] < 448);
    assert_int_equal(qm_native_device_open(&device), QM_OK);
    for (size_t i = 0; i < sizeof(amax) / sizeof(amax[0]); ++i) {
        struct qm_scheme plain, calibrated;
        struct qm_artifact *without = build(names[i][0], &plain), *with = NULL;
        struct run a = {0}, b = {0};
        for (uint32_t layer = 0; layer < model->config.layers; ++layer)
            scales->cache[layer] = (struct qm_cache_amax){{amax[i], amax[i]}};
        assert_int_equal(qm_scheme_parse(names[i][1], &calibrated), QM_OK);
        assert_int_equal(
            qm_artifact_build(
                &(struct qm_artifact_params){.model = model, .scheme = &calibrated, .activations = scales}, &with),
            QM_OK);
        run_on(device, "narrow", without, &plain, 1, &a);
        run_on(device, "narrow", with, &calibrated, 1, &b);
        assert_true((memcmp(a.checksums, b.checksums, sizeof(a.checksums)) == 0) == (i < 2));
        run_free(&a);
        run_free(&b);
        struct qm_engine *engine = NULL;
        struct qm_network *network = NULL;
        struct qm_engine_params params = {
            .device = device, .tile = "narrow", .config = model->config, .rows = 1, .sequences = 1, .slots = 1};
        assert_int_equal(qm_engine_create(&params, &engine), QM_OK);
        assert_int_equal(qm_network_create(engine, without, &calibrated, &network), QM_INVALID);
        assert_non_null(strstr(qm_error_text(), "has no scales for this cache"));
        assert_null(network);
        qm_engine_destroy(&engine);
        qm_artifact_destroy(&without);
        qm_artifact_destroy(&with);
    }
    device->fns->destroy(&device);
    qm_activation_scales_destroy(&scales);
}

// One token at a time from an empty cache gives what prefill gives, whatever the query's own block and the exact tokens
// are: which tokens a query reads exactly depends on positions alone.
static void check_decode_is_prefill(struct qm_engine *engine, const char *name, double bound)
{
    const struct qm_model_config *c = &model->config;
    struct qm_scheme scheme;
    struct qm_artifact *artifact = build(name, &scheme);
    struct qm_network *network = NULL;
    struct qm_pass *prefill = NULL, *decode = NULL;
    struct qm_timing timing = {0};
    const struct qm_run_policy policy = {0, 1};
    if (qm_network_create(engine, artifact, &scheme, &network) != QM_OK ||
        qm_pass_create(network, &(struct qm_pass_params){1, TOKENS, 0, 1}, &prefill) != QM_OK ||
        qm_pass_create(network, &(struct qm_pass_params){1, 1, 1, 0}, &decode) != QM_OK)
        fail_msg("%s: %s", name, qm_error_text());
    size_t row = c->vocabulary;
    float *whole = calloc(TOKENS * row, sizeof(*whole)), *steps = calloc(TOKENS * row, sizeof(*steps));
    // Decode first, in sequence 1; prefill of the same tokens in sequence 0.
    for (uint32_t position = 0; position < TOKENS; ++position) {
        assert_int_equal(qm_pass_run(decode, &(struct qm_pass_start){position, 1}, 1, &policy, &timing), QM_OK);
        assert_int_equal(qm_pass_read_logits(decode, steps + position * row), QM_OK);
    }
    assert_int_equal(qm_pass_run(prefill, &(struct qm_pass_start){0, 0}, 1, &policy, &timing), QM_OK);
    assert_int_equal(qm_pass_read_logits(prefill, whole), QM_OK);
    double kl = mean_logits_kl(whole, steps, model->config.vocabulary, 0, TOKENS);
    // And from the middle of a block, after a prefill of everything: nothing of the tokens behind it counts. A copy of what
    // is cached, in a sequence that nothing was run in, gives the same to the bit.
    uint32_t from = 40;
    assert_int_equal(qm_network_copy_sequences(network, 0, 2, 1), QM_OK);
    assert_int_equal(qm_pass_run(decode, &(struct qm_pass_start){from, 2}, STEPS, &policy, &timing), QM_OK);
    assert_int_equal(qm_pass_read_logits(decode, steps + row), QM_OK);
    assert_int_equal(qm_pass_run(decode, &(struct qm_pass_start){from, 0}, STEPS, &policy, &timing), QM_OK);
    assert_int_equal(qm_pass_read_logits(decode, steps), QM_OK);
    assert_memory_equal(steps, steps + row, row * sizeof(*steps));
    assert_int_equal(qm_network_copy_sequences(network, 0, 1, 2), QM_INVALID); // onto themselves
    assert_int_equal(qm_network_copy_sequences(network, 0, 2, 2), QM_INVALID); // beyond the last
    double again = mean_logits_kl(whole + (from + STEPS - 1) * row, steps, model->config.vocabulary, 0, 1);
    struct qm_network_memory memory;
    qm_network_memory(network, &memory);
    print_message("%-26s KL(prefill || decode) %.2e, from %u %.2e; cache %llu bytes, kept %llu\n", name, kl, from,
                  again, (unsigned long long)memory.cache_bytes, (unsigned long long)memory.kept_cache_bytes);
    assert_true(kl <= bound && again <= bound);
    assert_true(memory.kept_cache_bytes <= memory.cache_bytes);
    free(whole);
    free(steps);
    qm_pass_destroy(&prefill);
    qm_pass_destroy(&decode);
    qm_network_destroy(&network);
    qm_artifact_destroy(&artifact);
}

static void test_decode_is_prefill(void **state)
{
    (void)state;
    static const char *const names[] = {"w8a16",
                                        "w8a16-kv8",
                                        "w8a16-kv4",
                                        "w8a16-kv4-first3-last7",
                                        "w8a16-kv8-first5",
                                        "w8a16-kve4m3",
                                        "w8a16-kve4m3-last3",
                                        "w8a16-kve5m2",
                                        "w8a16-kve5m2-first1",
                                        "w8a16-kve4m3s",
                                        "w8a16-kve5m2s-last3",
                                        "w8a16-kivi4",
                                        "w8a16-kivi2",
                                        "w8a16-kivi4-first3-last40"};
    const struct qm_model_config *c = &model->config;
    struct qm_device *device = NULL;
    struct qm_engine *engine = NULL;
    assert_int_equal(qm_native_device_open(&device), QM_OK);
    struct qm_engine_params params = {
        .device = device, .tile = "narrow", .config = *c, .rows = TOKENS, .sequences = 3, .slots = STEPS};
    assert_int_equal(qm_engine_create(&params, &engine), QM_OK);
    struct qm_window window;
    qm_window_generate(QM_SPLIT_EVALUATION, QM_SEED_EVALUATION, 0, TOKENS, &window);
    uint32_t *tokens = calloc(3 * (size_t)(c->context + 1), sizeof(*tokens));
    for (uint32_t s = 0; s < 3; ++s) {
        for (uint32_t p = 0; p <= TOKENS; ++p)
            tokens[s * (size_t)(c->context + 1) + p] = window.tokens[p];
    }
    assert_int_equal(qm_engine_write_tokens(engine, tokens, 3), QM_OK);
    free(tokens);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); ++i)
        check_decode_is_prefill(engine, names[i], 1e-4);
    qm_engine_destroy(&engine);
    device->fns->destroy(&device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_f32),    cmocka_unit_test(test_f16),          cmocka_unit_test(test_w8a16_kv8),
        cmocka_unit_test(test_w8a8),   cmocka_unit_test(test_w4a16),        cmocka_unit_test(test_w4a8_kv4),
        cmocka_unit_test(test_caches), cmocka_unit_test(test_cache_scales), cmocka_unit_test(test_decode_is_prefill),
    };
    setenv("RUSTICL_ENABLE", "llvmpipe", 0);
    if (qm_model_load(QM_SOURCE_DIR "/models/qmark-3m", 32, &model) != QM_OK) {
        fprintf(stderr, "%s\n", qm_error_text());
        return 1;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    qm_model_destroy(&model);
    return failed;
}
