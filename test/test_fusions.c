// What passes do at once gives the bits of what they did one after the other: on every driver, of kernels and of whole models.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernel_arguments.h"
#include "model/engine.h"
#include "model/need.h"
#include "test/each_device.h"
#include "test/random_model.h"

// ---- Kernels ------------------------------------------------------------------------------------------------------

enum {
    ROWS_MOST = 7,
    WIDTH_MOST = 1056,
    VALUES = ROWS_MOST * WIDTH_MOST,
    WORDS = 3 * VALUES + 64
};

struct memory {
    struct qm_buffer *buffers[QM_MAX_BINDINGS];
    uint32_t *words[QM_MAX_BINDINGS]; // before, then after
    uint32_t count;
};

static void run_kernel(struct qm_device *device, const char *name, const char *tile, const void *parameters,
                       size_t parameter_bytes, struct memory *memory)
{
    const struct qm_kernel_variant *variant = qm_kernel_find(name, tile);
    const struct qm_run_policy policy = {0, 1};
    struct qm_dispatch dispatch = {0};
    struct qm_kernel *kernel = NULL;
    struct qm_program *program = NULL;
    struct qm_buffer *step = NULL;
    struct qm_timing timing = {0};
    assert_non_null(variant);
    assert_int_equal(variant->parameter_count * 4, parameter_bytes);
    assert_int_equal(variant->binding_count, memory->count);
    CHECK(device->fns->kernel_create(device, variant, &kernel));
    CHECK(device->fns->buffer_create(device, QM_STEP_WORDS * 4, &step));
    dispatch.kernel = kernel;
    memcpy(dispatch.parameters, parameters, parameter_bytes);
    qm_kernel_groups(variant, dispatch.parameters, dispatch.groups);
    for (uint32_t i = 0; i < memory->count; ++i) {
        CHECK(device->fns->buffer_create(device, WORDS * 4, &memory->buffers[i]));
        CHECK(device->fns->buffer_write(device, memory->buffers[i], 0, memory->words[i], WORDS * 4));
        dispatch.bindings[i] = (struct qm_binding){memory->buffers[i], 0, WORDS * 4};
    }
    CHECK(device->fns->program_create(device, &(struct qm_program_params){&dispatch, 1, step}, &program));
    CHECK(device->fns->run(device, program, 1, &policy, &timing));
    for (uint32_t i = 0; i < memory->count; ++i) {
        CHECK(device->fns->buffer_read(device, memory->buffers[i], 0, memory->words[i], WORDS * 4));
        device->fns->buffer_destroy(device, &memory->buffers[i]);
    }
    device->fns->program_destroy(device, &program);
    device->fns->kernel_destroy(device, &kernel);
    device->fns->buffer_destroy(device, &step);
}

static uint32_t x[WORDS], gain[WORDS], floats[WORDS], codes[2][WORDS], factors[2][WORDS], static_scales[WORDS];

static void fill(uint32_t *words, size_t count, float size, uint64_t seed)
{
    struct qm_random random;
    qm_random_seed(&random, seed, 0);
    for (size_t i = 0; i < count; ++i) {
        float value = (float)(qm_random_unit(&random) - 0.5) * size;
        memcpy(&words[i], &value, sizeof(value));
    }
}

struct shape {
    uint32_t rows, width, own; // values of a row that count
    bool is_static;
};

static void prepare(const struct shape *s)
{
    fill(x, WORDS, 40, 1);
    fill(gain, WORDS, 2, 2);
    fill(static_scales, WORDS, 0.4f, 3);
    for (uint32_t i = 0; i < WORDS; ++i)
        static_scales[i] &= 0x7fffffffu; // a scale has no sign
    for (uint32_t row = 0; row < s->rows; ++row)
        for (uint32_t c = s->own; c < s->width; ++c)
            x[row * s->width + c] = 0;
    memcpy(gain + s->width, static_scales, (WORDS - s->width) * sizeof(*gain));
    memset(codes, 0, sizeof(codes));
    memset(factors, 0, sizeof(factors));
}

static void convert(struct qm_device *device, const char *tile, const char *kind, const struct shape *s)
{
    char name[40];
    struct qm_activations_parameters p = {s->rows, s->width, s->is_static, 0};
    snprintf(name, sizeof(name), "activations-%s", kind);
    run_kernel(device, name, tile, &p, sizeof(p),
               &(struct memory){.words = {floats, codes[0], factors[0], static_scales}, .count = 4});
}

static void expect_equal(const struct qm_device *device, const char *name, const struct shape *s)
{
    if (memcmp(codes[0], codes[1], sizeof(codes[0])) != 0 || memcmp(factors[0], factors[1], sizeof(factors[0])) != 0)
        fail_msg("%s on %s: %u rows of %u: not the bits of the kernels one by one", name, device->info->driver_name,
                 s->rows, s->width);
    bool is_written = false;
    for (size_t i = 0; i < WORDS; ++i)
        is_written = is_written || codes[0][i] != 0;
    assert_true(is_written);
}

static void check_kernels(struct qm_device *device, const char *tile, const void *context)
{
    static const char *const kinds[] = {"f16", "bf16", "a8", "a8g", "f8", "f8g", "a4"};
    static const struct shape shapes[] = {{1, 96, 96, false}, {7, 192, 172, true}, {3, 1056, 1049, false}};
    char name[40];
    (void)context;
    for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); ++k) {
        for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); ++i) {
            const struct shape *s = &shapes[i];
            struct qm_rmsnorm_parameters norm = {s->rows, s->width, 1.0f / (float)s->own, 1e-5f};
            struct qm_norm_activations_parameters fused = {s->rows,      s->width,     norm.inverse_width,
                                                           norm.epsilon, s->is_static, 0};
            prepare(s);
            run_kernel(device, "rmsnorm", tile, &norm, sizeof(norm),
                       &(struct memory){.words = {x, gain, floats}, .count = 3});
            convert(device, tile, kinds[k], s);
            snprintf(name, sizeof(name), "norm_activations-%s", kinds[k]);
            run_kernel(device, name, tile, &fused, sizeof(fused),
                       &(struct memory){.words = {x, gain, codes[1], factors[1]}, .count = 4});
            expect_equal(device, name, s);

            // Gate and up side by side, and one after the other.
            struct qm_swiglu_parameters swiglu = {s->rows * s->width, s->width, i == 1 ? s->width : 2 * s->width,
                                                  i == 1 ? s->rows * s->width : s->width};
            struct qm_swiglu_activations_parameters both = {s->rows,           s->width,       s->is_static,          0,
                                                            swiglu.row_stride, swiglu.up_from, 2 * s->rows * s->width};
            prepare(s);
            run_kernel(device, "swiglu", tile, &swiglu, sizeof(swiglu),
                       &(struct memory){.words = {x, floats}, .count = 2});
            convert(device, tile, kinds[k], s);
            snprintf(name, sizeof(name), "swiglu_activations-%s", kinds[k]);
            run_kernel(device, name, tile, &both, sizeof(both),
                       &(struct memory){.words = {x, codes[1], factors[1], static_scales}, .count = 4});
            expect_equal(device, name, s);
        }
    }
    print_message("  %-12s %s\n", device->info->driver_name, tile);
}

static void test_kernels(void **state)
{
    (void)state;
    with_each_device(false, check_kernels, NULL);
}

// ---- Whole models -------------------------------------------------------------------------------------------------

enum {
    TOKENS = 37,
    SEQUENCES = 3,
    STEPS = 3
};

struct model_case {
    const struct qm_model *model;
    const struct qm_artifact *artifact;
    const struct qm_scheme *scheme;
};

struct outcome {
    float *prefill, *decode;
    uint64_t checksums[STEPS];
    uint32_t dispatches;
};

// What the backend has allocated, at its most, is what the model needs by its configuration alone, and at most 10 % more.
static void check_memory(struct qm_device *device, const struct qm_engine_params *params,
                         const struct qm_scheme *scheme)
{
    struct qm_memory memory = {0};
    struct qm_need need;
    CHECK(qm_need_find(params, scheme, &need));
    device->fns->memory(device, &memory);
    double needed = (double)(need.weight_bytes + need.cache_bytes + need.scratch_bytes);
    if ((double)memory.peak_bytes > 1.1 * needed || (double)memory.buffers_bytes < 0.98 * needed)
        fail_msg("%s, %s: %.0f bytes are needed, %llu are taken, %llu at most", device->info->driver_name, scheme->name,
                 needed, (unsigned long long)memory.buffers_bytes, (unsigned long long)memory.peak_bytes);
}

static void run_model(struct qm_device *device, const char *tile, const struct model_case *c, bool is_unfused,
                      struct outcome *out)
{
    const struct qm_model_config *config = &c->model->config;
    const struct qm_run_policy policy = {0, 1};
    struct qm_engine *engine = NULL;
    struct qm_network *network = NULL;
    struct qm_pass *prefill = NULL, *decode = NULL, *batch = NULL;
    struct qm_timing timing = {0};
    struct qm_engine_params params = {.device = device,
                                      .tile = tile,
                                      .config = *config,
                                      .rows = SEQUENCES * TOKENS,
                                      .sequences = SEQUENCES,
                                      .slots = STEPS,
                                      .is_unfused = is_unfused};
    size_t stride = (size_t)config->context + 1, vocabulary = config->vocabulary;
    uint32_t *tokens = calloc(SEQUENCES * stride, sizeof(*tokens));
    out->prefill = calloc(SEQUENCES * TOKENS * vocabulary, sizeof(float));
    out->decode = calloc(SEQUENCES * vocabulary, sizeof(float));
    for (size_t i = 0; i < SEQUENCES * stride; ++i)
        tokens[i] = (uint32_t)(i * 7919 % vocabulary);
    CHECK(qm_engine_create(&params, &engine));
    CHECK(qm_network_create(engine, c->artifact, c->scheme, &network));
    CHECK(qm_engine_write_tokens(engine, tokens, SEQUENCES));
    CHECK(qm_pass_create(network, &(struct qm_pass_params){SEQUENCES, TOKENS, 0, 0}, &prefill));
    CHECK(qm_pass_create(network, &(struct qm_pass_params){1, 1, 1, 0}, &decode));
    CHECK(qm_pass_create(network, &(struct qm_pass_params){SEQUENCES, 1, 1, 0}, &batch));
    CHECK(qm_pass_run(prefill, &(struct qm_pass_start){0, 0}, 1, &policy, &timing));
    CHECK(qm_pass_read_logits(prefill, out->prefill));
    CHECK(qm_pass_run(decode, &(struct qm_pass_start){TOKENS, 1}, STEPS, &policy, &timing));
    CHECK(qm_pass_read_checksums(decode, STEPS, out->checksums));
    CHECK(qm_pass_run(batch, &(struct qm_pass_start){TOKENS, 0}, STEPS, &policy, &timing));
    CHECK(qm_pass_read_logits(batch, out->decode));
    out->dispatches = qm_pass_dispatches(decode);
    free(tokens);
    check_memory(device, &params, c->scheme);
    qm_pass_destroy(&batch);
    qm_pass_destroy(&decode);
    qm_pass_destroy(&prefill);
    qm_network_destroy(&network);
    qm_engine_destroy(&engine);
}

static void check_model(struct qm_device *device, const char *tile, const void *context)
{
    const struct model_case *c = context;
    size_t vocabulary = c->model->config.vocabulary;
    struct outcome fused, apart;
    run_model(device, tile, c, false, &fused);
    run_model(device, tile, c, true, &apart);
    print_message("  %-12s %-8s %-18s %u dispatches a decode step, %u unfused\n", device->info->driver_name, tile,
                  c->scheme->name, fused.dispatches, apart.dispatches);
    assert_memory_equal(fused.prefill, apart.prefill, SEQUENCES * TOKENS * vocabulary * sizeof(float));
    assert_memory_equal(fused.decode, apart.decode, SEQUENCES * vocabulary * sizeof(float));
    assert_memory_equal(fused.checksums, apart.checksums, sizeof(fused.checksums));
    assert_true(fused.dispatches + 6 * LAYERS <= apart.dispatches);
    bool has_logits = false;
    for (size_t i = 0; i < vocabulary; ++i)
        has_logits = has_logits || fused.decode[i] != fused.decode[0];
    assert_true(has_logits);
    free(fused.prefill);
    free(fused.decode);
    free(apart.prefill);
    free(apart.decode);
}

// Scales of what a calibration sees on the reference, fused or not: the same.
static struct qm_activation_scales *observe(const struct qm_model *model, bool is_unfused)
{
    const struct qm_calibration_set set = {.name = "one window", .windows = 1, .tokens = TOKENS};
    struct qm_calibration *calibration = qm_calibration_new(model->config.layers);
    struct qm_activation_scales *scales = NULL;
    struct qm_scheme f32;
    struct qm_artifact *artifact = NULL;
    struct qm_device *device = NULL;
    struct qm_engine *engine = NULL;
    struct qm_network *network = NULL;
    struct qm_pass *pass = NULL;
    uint32_t *tokens = calloc((size_t)model->config.context + 1, sizeof(*tokens));
    for (uint32_t i = 0; i <= model->config.context; ++i)
        tokens[i] = i * 7919 % model->config.vocabulary;
    CHECK(qm_scheme_parse("f32", &f32));
    CHECK(qm_artifact_build(&(struct qm_artifact_params){.model = model, .scheme = &f32}, &artifact));
    CHECK(qm_backend_reference.open(NULL, NULL, &device));
    CHECK(qm_engine_create(&(struct qm_engine_params){.device = device,
                                                      .tile = "narrow",
                                                      .config = model->config,
                                                      .rows = TOKENS,
                                                      .sequences = 1,
                                                      .slots = 1,
                                                      .is_unfused = is_unfused},
                           &engine));
    CHECK(qm_network_create(engine, artifact, &f32, &network));
    CHECK(qm_pass_create(network, &(struct qm_pass_params){1, TOKENS, 0, 0}, &pass));
    CHECK(qm_engine_write_tokens(engine, tokens, 1));
    CHECK(qm_pass_observe(pass, &(struct qm_pass_start){0, 0}, calibration));
    CHECK(qm_calibration_scales(calibration, QM_CALIBRATOR_ABSMAX, &set, &scales));
    free(tokens);
    qm_pass_destroy(&pass);
    qm_network_destroy(&network);
    qm_engine_destroy(&engine);
    device->fns->destroy(&device);
    qm_artifact_destroy(&artifact);
    qm_calibration_destroy(&calibration);
    return scales;
}

// The first scheme on every driver, or on one of each API; the others, which differ by kernels that test_kernels here and
// test/test_kernels.c try everywhere, on the C target, unless QM_TEST_FULL is set.
static void check_schemes(const struct kind *kind, bool is_short, const char *const *names, size_t count)
{
    write_model(kind, 64, -1);
    struct qm_model *model = load((uint64_t)1 << 28, 32, LAYERS);
    struct qm_activation_scales *scales = observe(model, false), *apart = observe(model, true);
    assert_int_equal(scales->count, apart->count);
    assert_memory_equal(scales->inputs, apart->inputs, scales->count * sizeof(*scales->inputs));
    assert_memory_equal(scales->cache, apart->cache, model->config.layers * sizeof(*scales->cache));
    for (size_t i = 0; i < count; ++i) {
        struct qm_scheme scheme;
        struct qm_artifact *artifact = NULL;
        CHECK(qm_scheme_parse(names[i], &scheme));
        struct qm_artifact_params params = {
            .model = model, .scheme = &scheme, .activations = qm_scheme_is_calibrated(&scheme) ? scales : NULL};
        CHECK(qm_artifact_build(&params, &artifact));
        const struct model_case c = {model, artifact, &scheme};
        struct qm_device *native = NULL;
        if (i == 0 || getenv("QM_TEST_FULL")) {
            with_each_device(is_short, check_model, &c);
        } else {
            CHECK(qm_native_device_open(&native));
            check_model(native, "narrow", &c);
            native->fns->destroy(&native);
        }
        qm_artifact_destroy(&artifact);
    }
    qm_activation_scales_destroy(&scales);
    qm_activation_scales_destroy(&apart);
    qm_model_destroy(&model);
}

// Odd widths, several heads to a key, and every conversion.
static void test_llama(void **state)
{
    (void)state;
    static const struct kind kind = {"LlamaForCausalLM", false, QM_DTYPE_F32, 172, 300, 48, 77, "", ""};
    static const char *const names[] = {"w8a8",
                                        "f16",
                                        "f32",
                                        "bf16",
                                        "w8a8-static-kve4m3s",
                                        "e4m3af8",
                                        "w4a16-g32-kv8-first2",
                                        "w8a16-kivi4",

                                        "w4a4-g32",
                                        "w8a8+lm_head=f16+*k_proj=f16"};
    check_schemes(&kind, false, names, sizeof(names) / sizeof(names[0]));
}

// Where q, k and v cannot be one product: biases, and norms of heads.
static void test_others(void **state)
{
    (void)state;
    static const struct kind qwen2 = {"Qwen2ForCausalLM", true, QM_DTYPE_F32, 96, 160, 64, 77, "", ""};
    static const struct kind qwen3 = {"Qwen3ForCausalLM", false, QM_DTYPE_F32, 96, 160, 128, 77, "", ""};
    static const char *const names[] = {"w8a8-kv4", "f32"};
    check_schemes(&qwen2, true, names, 2);
    check_schemes(&qwen3, true, names, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kernels),
        cmocka_unit_test(test_llama),
        cmocka_unit_test(test_others),
    };
    setenv("RUSTICL_ENABLE", "llvmpipe", 0);
    return cmocka_run_group_tests(tests, directory_setup, directory_teardown);
}
