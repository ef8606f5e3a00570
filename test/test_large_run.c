// Large models on devices: an engine for fewer positions than the model has, and weights that one binding does not hold.
#include "model/need.h"
#include "quant/artifact.h"
#include "test/each_device.h"
#include "test/random_model.h"

enum {
    TOKENS = 24,
    CONTEXT = 131072
};

// ---- The context of a run -------------------------------------------------------------------------------------------

struct given {
    const struct qm_artifact *artifact;
    const struct qm_scheme *scheme;
    const char *scaling; // NULL: weights are cut, each part padded on its own, and bytes are not compared
};

// Drivers round the size of a buffer up; the oracle does not.
static void expect_bytes(const struct qm_device *device, uint64_t taken, uint64_t said)
{
    bool is_exact = strcmp(device->info->api, "reference") == 0;
    if (taken < said || taken > said + (is_exact ? 0 : 64 * 256))
        fail_msg("%s: %llu bytes were taken, %llu said", device->info->id, (unsigned long long)taken,
                 (unsigned long long)said);
}

static void assert_any_value(const float *values, size_t count)
{
    bool is_any = false;
    for (size_t i = 0; i < count; ++i)
        is_any = is_any || values[i] != 0;
    assert_true(is_any);
}

// Prefill and a step of decode; returns the dispatches of prefill.
static uint32_t run(struct qm_device *device, const char *tile, const struct given *given,
                    const struct qm_model_config *config, uint32_t context, float *logits)
{
    struct qm_engine *engine = NULL;
    struct qm_network *network = NULL;
    struct qm_pass *prefill = NULL, *decode = NULL;
    struct qm_timing timing = {0};
    struct qm_memory before = {0}, engine_only = {0}, after = {0};
    const struct qm_run_policy policy = {0, 1};
    const uint32_t vocabulary = config->vocabulary;
    uint32_t tokens[TOKENS + 1];
    const struct qm_engine_params params = {.device = device,
                                            .tile = tile,
                                            .config = *config,
                                            .context = context,
                                            .rows = TOKENS,
                                            .sequences = 1,
                                            .slots = 1};
    for (uint32_t i = 0; i <= TOKENS; ++i)
        tokens[i] = (i * 29 + 3) % vocabulary;
    device->fns->memory(device, &before);
    CHECK(qm_engine_create(&params, &engine));
    assert_int_equal(qm_engine_config(engine)->context, TOKENS);
    device->fns->memory(device, &engine_only);
    CHECK(qm_network_create(engine, given->artifact, given->scheme, &network));
    device->fns->memory(device, &after);
    // What was said before that it takes is what it took.
    struct qm_need need;
    CHECK(qm_need_find(&params, given->scheme, &need));
    expect_bytes(device, engine_only.buffers_bytes - before.buffers_bytes, need.scratch_bytes);
    if (given->scaling) {
        expect_bytes(device, after.buffers_bytes - engine_only.buffers_bytes, need.weight_bytes + need.cache_bytes);
        assert_true(after.buffers_bytes - before.buffers_bytes < (uint64_t)8 << 20);
    }
    CHECK(qm_engine_write_tokens(engine, tokens, 1));
    CHECK(qm_pass_create(network, &(struct qm_pass_params){1, TOKENS, 0, 0}, &prefill));
    CHECK(qm_pass_create(network, &(struct qm_pass_params){1, 1, 1, 0}, &decode));
    CHECK(qm_pass_run(prefill, &(struct qm_pass_start){0, 0}, 1, &policy, &timing));
    CHECK(qm_pass_read_logits(prefill, logits));
    CHECK(qm_pass_run(decode, &(struct qm_pass_start){TOKENS - 1, 0}, 1, &policy, &timing));
    CHECK(qm_pass_read_logits(decode, logits + (size_t)TOKENS * vocabulary));
    // A position more than the run has said.
    assert_int_equal(qm_pass_run(decode, &(struct qm_pass_start){TOKENS, 0}, 1, &policy, &timing), QM_INVALID);
    uint32_t dispatches = qm_pass_dispatches(prefill);
    qm_pass_destroy(&prefill);
    qm_pass_destroy(&decode);
    qm_network_destroy(&network);
    qm_engine_destroy(&engine);
    return dispatches;
}

// The model as if its context were the window, and with all its positions.
static void check_device(struct qm_device *device, const char *tile, const void *context)
{
    const struct given *given = context;
    const struct qm_model_config *c = &given->artifact->config;
    struct qm_model_config narrow = *c;
    size_t count = (size_t)(TOKENS + 1) * c->vocabulary;
    float *expected = calloc(count, sizeof(*expected)), *logits = calloc(count, sizeof(*logits));
    assert_true(expected && logits);
    narrow.context = TOKENS;
    run(device, tile, given, &narrow, 0, expected);
    run(device, tile, given, c, TOKENS, logits);
    print_message("%s, %s, rope %s: %d of %d positions\n", device->info->id, given->scheme->name, given->scaling,
                  TOKENS, CONTEXT);
    assert_memory_equal(logits, expected, count * sizeof(*logits));
    assert_any_value(expected, count);
    free(expected);
    free(logits);
}

static void test_context(void **state)
{
    (void)state;
    static const char linear[] = ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":4.0}",
                      llama3[] = ",\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8.0,\"low_freq_factor\":1.0,"
                                 "\"high_freq_factor\":4.0,\"original_max_position_embeddings\":8192}";
    const struct kind scaled[] = {
        {"LlamaForCausalLM", false, QM_DTYPE_BF16, 64, 96, 48, 77, "", "plain"},
        {"LlamaForCausalLM", false, QM_DTYPE_BF16, 64, 96, 64, 77, linear, "linear"},
        {"LlamaForCausalLM", true, QM_DTYPE_BF16, 100, 172, 64, 77, llama3, "llama3"},
    };
    static const char *const schemes[] = {"f32", "w8a8-kv8", "w4a16-g32-kivi4"};
    for (size_t k = 0; k < sizeof(scaled) / sizeof(scaled[0]); ++k) {
        struct qm_scheme scheme;
        struct qm_artifact *artifact = NULL;
        struct qm_device_info info;
        struct qm_device *device = NULL;
        struct qm_engine *engine = NULL;
        size_t count = 0;
        write_model(&scaled[k], CONTEXT, -1);
        struct qm_model *model = load(0, 32, 0);
        CHECK(qm_scheme_parse(schemes[k], &scheme));
        CHECK(qm_artifact_build(&(struct qm_artifact_params){.model = model, .scheme = &scheme}, &artifact));
        const struct given given = {artifact, &scheme, scaled[k].scaling};
        CHECK(qm_backend_reference.enumerate(&info, 1, &count));
        CHECK(qm_backend_reference.open(&info, &(struct qm_open_params){0}, &device));
        check_device(device, "narrow", &given);
        const struct qm_engine_params params = {.device = device,
                                                .tile = "narrow",
                                                .config = artifact->config,
                                                .context = CONTEXT + 1,
                                                .rows = 1,
                                                .sequences = 1,
                                                .slots = 1};
        expect_refusal(qm_engine_create(&params, &engine), "131073 positions exceed the model's context of 131072");
        assert_null(engine);
        device->fns->destroy(&device);
        with_each_device(true, check_device, &given);
        qm_artifact_destroy(&artifact);
        qm_model_destroy(&model);
    }
}

// ---- What a scheme needs --------------------------------------------------------------------------------------------

// One binding that is too small is told with both numbers, whatever lies in it.
static void test_binding(void **state)
{
    (void)state;
    struct qm_scheme scheme;
    struct qm_artifact *artifact = NULL;
    struct qm_device_info info, small;
    struct qm_device *device = NULL;
    size_t count = 0;
    const struct kind kind = {"LlamaForCausalLM", true, QM_DTYPE_F32, 64, 96, 64, 77, "", ""};
    write_model(&kind, 128, -1);
    struct qm_model *model = load(UINT64_MAX, 32, 0);
    CHECK(qm_scheme_parse("f16", &scheme));
    CHECK(qm_artifact_build(&(struct qm_artifact_params){.model = model, .scheme = &scheme}, &artifact));
    CHECK(qm_backend_reference.enumerate(&info, 1, &count));
    CHECK(qm_backend_reference.open(&info, &(struct qm_open_params){0}, &device));
    const struct qm_device_info *own = device->info;
    struct qm_engine_params params = {
        .device = device, .tile = "narrow", .config = model->config, .rows = 1, .sequences = 1, .slots = 1};
    struct qm_need need;
    CHECK(qm_need_find(&params, &scheme, &need));
    assert_true(need.binding_bytes > 8192 && need.binding_of[0]);
    small = *own;
    for (int fits = 0; fits < 2; ++fits) {
        struct qm_engine *engine = NULL;
        struct qm_network *network = NULL;
        small.max_binding_bytes = need.binding_bytes - (fits ? 0 : 1);
        device->info = &small;
        CHECK(qm_engine_create(&params, &engine));
        enum qm_status status = qm_network_create(engine, artifact, &scheme, &network);
        if (!fits) {
            char expected[QM_WEIGHT_NAME_BYTES + 64];
            assert_int_equal(status, QM_UNSUPPORTED);
            snprintf(expected, sizeof(expected), "%s takes %llu bytes", need.binding_of,
                     (unsigned long long)need.binding_bytes);
            if (!strstr(qm_error_text(), expected))
                fail_msg("'%s' and not '%s'", qm_error_text(), expected);
        } else {
            CHECK(status);
        }
        qm_network_destroy(&network);
        qm_engine_destroy(&engine);
    }
    device->info = own;
    device->fns->destroy(&device);
    qm_artifact_destroy(&artifact);
    qm_model_destroy(&model);
}

// As little as one binding must hold: the embedding and the larger weights lie in parts of 128 rows or a few times that,
// the last ones shorter, each gathered or multiplied by a dispatch of its own. The logits keep every bit.
static void check_parts(struct qm_device *device, const char *tile, const void *context)
{
    const struct given *given = context;
    const struct qm_model_config *c = &given->artifact->config;
    const struct qm_device_info *own = device->info;
    struct qm_device_info small = *own;
    size_t count = (size_t)(TOKENS + 1) * c->vocabulary;
    float *expected = calloc(count, sizeof(*expected)), *logits = calloc(count, sizeof(*logits));
    assert_true(expected && logits);
    struct qm_need need;
    CHECK(qm_need_find(
        &(struct qm_engine_params){.config = *c, .context = TOKENS, .rows = TOKENS, .sequences = 1, .slots = 1},
        given->scheme, &need));
    uint32_t whole = run(device, tile, given, c, TOKENS, expected);
    small.max_binding_bytes = need.binding_bytes;
    device->info = &small;
    uint32_t cut = run(device, tile, given, c, TOKENS, logits);
    device->info = own;
    print_message("%s, %s: bindings of %llu bytes for %s, %u dispatches and not %u\n", own->id, given->scheme->name,
                  (unsigned long long)need.binding_bytes, need.binding_of, cut, whole);
    assert_memory_equal(logits, expected, count * sizeof(*logits));
    assert_true(cut > whole + 3);
    assert_any_value(expected, count);
    free(expected);
    free(logits);
}

static void test_parts(void **state)
{
    (void)state;
    const struct kind kind = {"LlamaForCausalLM", true, QM_DTYPE_BF16, 100, 172, 48, 901, "", ""};
    static const char *const schemes[] = {"f32", "w8a8-kv8", "w3a16-g32", "q4_ka16"};
    write_model(&kind, 128, -1);
    struct qm_model *model = load(UINT64_MAX, 256, 0);
    for (size_t s = 0; s < sizeof(schemes) / sizeof(schemes[0]); ++s) {
        struct qm_scheme scheme;
        struct qm_artifact *artifact = NULL;
        struct qm_device_info info;
        struct qm_device *device = NULL;
        size_t count = 0;
        CHECK(qm_scheme_parse(schemes[s], &scheme));
        CHECK(qm_artifact_build(&(struct qm_artifact_params){.model = model, .scheme = &scheme}, &artifact));
        const struct given given = {artifact, &scheme, NULL};
        CHECK(qm_backend_reference.enumerate(&info, 1, &count));
        CHECK(qm_backend_reference.open(&info, &(struct qm_open_params){0}, &device));
        check_parts(device, "narrow", &given);
        device->fns->destroy(&device);
        with_each_device(false, check_parts, &given);
        qm_artifact_destroy(&artifact);
    }
    qm_model_destroy(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_context),
        cmocka_unit_test(test_binding),
        cmocka_unit_test(test_parts),
    };
    return cmocka_run_group_tests(tests, directory_setup, directory_teardown);
}
