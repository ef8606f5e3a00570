// What passes do at once gives the bits of what they did one after the other: on every driver, of kernels and of whole models.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/selftest.h"
#include "kernel_arguments.h"
#include "model/engine.h"
#include "model/need.h"
#include "test/each_device.h"
#include "test/odd_shapes.h"
#include "test/one_kernel.h"
#include "test/random_model.h"

// ---- Kernels ------------------------------------------------------------------------------------------------------

enum {
    ROWS_MOST = 7,
    WIDTH_MOST = 1056,
    VALUES = ROWS_MOST * WIDTH_MOST,
    WORDS = 3 * VALUES + 64
};

// Kernels of one device, each compiled once.
static struct {
    const struct qm_kernel_variant *variant;
    struct qm_kernel *kernel;
} compiled[96];
static size_t compiled_count;

static void forget_kernels(struct qm_device *device)
{
    while (compiled_count > 0)
        device->fns->kernel_destroy(device, &compiled[--compiled_count].kernel);
}

static void run_kernel(struct qm_device *device, const char *name, const char *tile, const void *parameters,
                       size_t parameter_bytes, const uint32_t *step, const struct one_binding bindings[QM_MAX_BINDINGS])
{
    const struct qm_kernel_variant *variant = qm_kernel_find(name, tile);
    uint32_t words[QM_MAX_PARAMETERS] = {0};
    size_t i = 0;
    assert_non_null(variant);
    assert_int_equal(variant->parameter_count * 4, parameter_bytes);
    memcpy(words, parameters, parameter_bytes);
    while (i < compiled_count && compiled[i].variant != variant)
        ++i;
    assert_true(i < COUNT(compiled));
    if (i == compiled_count) {
        CHECK(device->fns->kernel_create(device, variant, &compiled[i].kernel));
        compiled[compiled_count++].variant = variant;
    }
    CHECK(run_one_kernel(device, variant, compiled[i].kernel, words, step, bindings));
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
    run_kernel(device, name, tile, &p, sizeof(p), NULL,
               (struct one_binding[QM_MAX_BINDINGS]){
                   {floats, WORDS}, {codes[0], WORDS}, {factors[0], WORDS}, {static_scales, WORDS}});
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
            run_kernel(device, "rmsnorm", tile, &norm, sizeof(norm), NULL,
                       (struct one_binding[QM_MAX_BINDINGS]){{x, WORDS}, {gain, WORDS}, {floats, WORDS}});
            convert(device, tile, kinds[k], s);
            snprintf(name, sizeof(name), "norm_activations-%s", kinds[k]);
            run_kernel(device, name, tile, &fused, sizeof(fused), NULL,
                       (struct one_binding[QM_MAX_BINDINGS]){
                           {x, WORDS}, {gain, WORDS}, {codes[1], WORDS}, {factors[1], WORDS}});
            expect_equal(device, name, s);

            // Gate and up side by side, and one after the other.
            struct qm_swiglu_parameters swiglu = {s->rows * s->width, s->width, i == 1 ? s->width : 2 * s->width,
                                                  i == 1 ? s->rows * s->width : s->width};
            struct qm_swiglu_activations_parameters both = {s->rows,           s->width,       s->is_static,          0,
                                                            swiglu.row_stride, swiglu.up_from, 2 * s->rows * s->width};
            prepare(s);
            run_kernel(device, "swiglu", tile, &swiglu, sizeof(swiglu), NULL,
                       (struct one_binding[QM_MAX_BINDINGS]){{x, WORDS}, {floats, WORDS}});
            convert(device, tile, kinds[k], s);
            snprintf(name, sizeof(name), "swiglu_activations-%s", kinds[k]);
            run_kernel(device, name, tile, &both, sizeof(both), NULL,
                       (struct one_binding[QM_MAX_BINDINGS]){
                           {x, WORDS}, {codes[1], WORDS}, {factors[1], WORDS}, {static_scales, WORDS}});
            expect_equal(device, name, s);
        }
    }
    forget_kernels(device);
    print_message("  %-12s %s\n", device->info->driver_name, tile);
}

static void test_kernels(void **state)
{
    (void)state;
    with_each_device(false, check_kernels, NULL);
}

// ---- Odd shapes, every tile ---------------------------------------------------------------------------------------

// Where a comparison is made, and how many were.
struct at {
    struct qm_device *device;
    const char *tile, *shape;
    size_t compared;
};

static void expect_bits(struct at *at, const char *what, const uint32_t *fused, const uint32_t *apart, size_t count)
{
    for (size_t i = 0; i < count; ++i) {
        if (fused[i] != apart[i])
            fail_msg(
                "%s on %s %s: %s, QM_TEST_SEED=%llu: word %zu of %zu is 0x%08x, and 0x%08x of the kernels one by one",
                what, at->device->info->driver_name, at->tile, at->shape, (unsigned long long)odd_seed, i, count,
                fused[i], apart[i]);
    }
    ++at->compared;
}

static uint32_t *copy_of(const struct qm_case_buffer *buffer)
{
    uint32_t *copy = malloc(buffer->count * sizeof(*copy));
    assert_non_null(copy);
    memcpy(copy, buffer->words, buffer->count * sizeof(*copy));
    return copy;
}

static struct qm_kernel_case *case_of(struct at *at, const char *name, uint32_t number, bool is_static)
{
    const struct name *n = find_name(name);
    struct qm_kernel_case *c = NULL;
    assert_non_null(n);
    const struct qm_case_shape shape = shape_of(n, n->draw->first + number % n->draw->count);
    CHECK(qm_kernel_case_create(name, at->tile, &shape, is_static ? QM_CASE_STATIC : QM_CASE_RANDOM, &c));
    at->shape = c->shape;
    return c;
}

// The case as it is; its buffers' words are then what it gave.
static void run_fused(struct at *at, const char *name, struct qm_kernel_case *c)
{
    struct one_binding bindings[QM_MAX_BINDINGS] = {{NULL, 0}};
    for (uint32_t i = 0; i < c->buffer_count; ++i)
        bindings[i] = (struct one_binding){c->buffers[i].words, c->buffers[i].count};
    run_kernel(at->device, name, at->tile, c->parameters, qm_kernel_find(name, at->tile)->parameter_count * 4, c->step,
               bindings);
}

// rmsnorm or swiglu, then activations.
static void check_rows(struct at *at, bool is_norm, const char *kind, uint32_t number)
{
    bool is_static = number % 2 == 1 && !strstr(kind, "f16") && strcmp(kind, "a4") != 0;
    char name[40], conversion[40];
    snprintf(name, sizeof(name), "%s_activations-%s", is_norm ? "norm" : "swiglu", kind);
    snprintf(conversion, sizeof(conversion), "activations-%s", kind);
    struct qm_kernel_case *c = case_of(at, name, number, is_static);
    const uint32_t first = is_norm ? 2 : 1; // the binding of codes; scales follow
    uint32_t *apart[2] = {copy_of(&c->buffers[first]), copy_of(&c->buffers[first + 1])};
    uint32_t rows = c->parameters[0], width = c->parameters[1], shift;
    size_t values = (size_t)rows * width, groups = c->buffers[first + 1].count / rows;
    uint32_t *rows_apart = calloc(values, sizeof(*rows_apart)), *scales;
    if (is_norm) {
        struct qm_norm_activations_parameters p;
        memcpy(&p, c->parameters, sizeof(p));
        struct qm_rmsnorm_parameters norm = {rows, width, p.inverse_width, p.epsilon};
        run_kernel(at->device, "rmsnorm", at->tile, &norm, sizeof(norm), NULL,
                   (struct one_binding[QM_MAX_BINDINGS]){
                       {c->buffers[0].words, c->buffers[0].count}, {c->buffers[1].words, width}, {rows_apart, values}});
        shift = p.shift;
        scales = c->buffers[1].words + width;
    } else {
        struct qm_swiglu_activations_parameters p;
        memcpy(&p, c->parameters, sizeof(p));
        struct qm_swiglu_parameters swiglu = {rows * width, width, p.row_stride, p.up_from};
        run_kernel(
            at->device, "swiglu", at->tile, &swiglu, sizeof(swiglu), NULL,
            (struct one_binding[QM_MAX_BINDINGS]){{c->buffers[0].words, c->buffers[0].count}, {rows_apart, values}});
        shift = p.shift;
        scales = c->buffers[3].words;
    }
    struct qm_activations_parameters p = {rows, width, is_static, shift};
    run_kernel(at->device, conversion, at->tile, &p, sizeof(p), NULL,
               (struct one_binding[QM_MAX_BINDINGS]){{rows_apart, values},
                                                     {apart[0], c->buffers[first].count},
                                                     {apart[1], c->buffers[first + 1].count},
                                                     {scales, groups}});
    run_fused(at, name, c);
    expect_bits(at, name, c->buffers[first].words, apart[0], c->buffers[first].count);
    expect_bits(at, name, c->buffers[first + 1].words, apart[1], c->buffers[first + 1].count);
    free(apart[0]);
    free(apart[1]);
    free(rows_apart);
    qm_kernel_case_destroy(&c);
}

// Moves heads of every row between where a merged product leaves them and rows of their own.
static void move_heads(uint32_t *merged, uint32_t rows, uint32_t stride, uint32_t from, uint32_t words, uint32_t *own,
                       bool is_back)
{
    for (uint32_t row = 0; row < rows; ++row) {
        uint32_t *there = merged + (size_t)row * stride + from, *here = own + (size_t)row * words;
        memcpy(is_back ? there : here, is_back ? here : there, words * sizeof(*own));
    }
}

// rope of queries and of keys, then kv_write.
static void check_turned(struct at *at, const char *name, uint32_t number)
{
    struct qm_kernel_case *c = NULL;
    struct qm_kv_write_parameters p;
    do { // some cases turn nothing
        qm_kernel_case_destroy(&c);
        c = case_of(at, name, number++, false);
        memcpy(&p, c->parameters, sizeof(p));
    } while (!p.is_turned);
    // Angles of all kinds, where the case has quarters.
    fill(c->buffers[0].words, c->buffers[0].count, 2, number);
    const char *rope = strstr(name, "-h128") ? "rope-h128" : "rope";
    uint32_t head = strstr(name, "-h128") ? 128 : 64, q_words = p.q_heads * head, k_words = p.k_heads * head;
    uint32_t *apart = copy_of(&c->buffers[1]), *cache = copy_of(&c->buffers[3]), unused[4] = {0};
    uint32_t *q = calloc((size_t)p.rows * q_words, sizeof(*q)), *k = calloc((size_t)p.rows * k_words, sizeof(*k));
    const struct one_binding table = {c->buffers[0].words, c->buffers[0].count};
    struct qm_rope_parameters of_q = {p.rows, p.q_heads, p.tokens_per_sequence},
                              of_k = {p.rows, p.k_heads, p.tokens_per_sequence};
    move_heads(apart, p.rows, p.q_stride, 0, q_words, q, false);
    move_heads(apart, p.rows, p.kv_stride, p.k_from, k_words, k, false);
    run_kernel(at->device, rope, at->tile, &of_q, sizeof(of_q), c->step,
               (struct one_binding[QM_MAX_BINDINGS]){table, {q, (size_t)p.rows * q_words}});
    run_kernel(at->device, rope, at->tile, &of_k, sizeof(of_k), c->step,
               (struct one_binding[QM_MAX_BINDINGS]){table, {k, (size_t)p.rows * k_words}});
    move_heads(apart, p.rows, p.kv_stride, p.k_from, k_words, k, true);
    p.is_turned = 0;
    p.q_heads = 0;
    run_kernel(at->device, name, at->tile, &p, sizeof(p), c->step,
               (struct one_binding[QM_MAX_BINDINGS]){
                   table, {apart, c->buffers[1].count}, {unused, COUNT(unused)}, {cache, c->buffers[3].count}});
    run_fused(at, name, c);
    expect_bits(at, name, c->buffers[2].words, q, (size_t)p.rows * q_words);
    expect_bits(at, name, c->buffers[3].words, cache, c->buffers[3].count);
    free(apart);
    free(cache);
    free(q);
    free(k);
    qm_kernel_case_destroy(&c);
}

// A product, then residual.
static void check_added(struct at *at, const char *name, uint32_t number)
{
    struct qm_kernel_case *c = case_of(at, name, number, false);
    struct qm_matmul_parameters p;
    memcpy(&p, c->parameters, sizeof(p));
    p.is_added = 1;
    memcpy(c->parameters, &p, sizeof(p));
    p.is_added = 0;
    size_t count = c->buffers[3].count;
    uint32_t *sum = copy_of(&c->buffers[3]), *product = calloc(count, sizeof(*product));
    struct qm_residual_parameters residual = {(uint32_t)count};
    for (size_t i = 0; i < count; ++i) { // the case of an even n takes the place of what is no number
        if ((sum[i] & 0x7f800000u) == 0x7f800000u)
            sum[i] = c->buffers[3].words[i] = 0x40490fdbu + (uint32_t)i;
    }
    run_kernel(at->device, name, at->tile, &p, sizeof(p), NULL,
               (struct one_binding[QM_MAX_BINDINGS]){{c->buffers[0].words, c->buffers[0].count},
                                                     {c->buffers[1].words, c->buffers[1].count},
                                                     {c->buffers[2].words, c->buffers[2].count},
                                                     {product, count}});
    run_kernel(at->device, "residual", at->tile, &residual, sizeof(residual), NULL,
               (struct one_binding[QM_MAX_BINDINGS]){{sum, count}, {product, count}});
    run_fused(at, name, c);
    expect_bits(at, name, c->buffers[3].words, sum, count);
    free(sum);
    free(product);
    qm_kernel_case_destroy(&c);
}

// Every tile that the device can run. Kinds take turns; the C target has them all, and QM_TEST_FULL=1.
static void check_odd(struct qm_device *device, const char *unused, const void *context)
{
    static const char *const kinds[] = {"a8", "f16", "a8g", "bf16", "a4", "f8", "f8g"};
    static const char *const caches[] = {"kv8", "f16", "kv4x-h128", "e4m3", "kivi4", "f32-h128", "kv8x", "kivi2-h128"};
    static const char *const products[] = {"matmul-w8-a8",  "matvec-w4-a8", "matmul-f16-f16",   "matvec-f16-f16",
                                           "matmul-w4-f16", "matvec-w8-a8", "matmul-nvfp4-f16", "matvec-w8-f16"};
    // Of larger tiles norms and conversions are those of `wide`, of others the cache's are those of `narrow`.
    static const struct {
        const char *name;
        enum qm_tier tier;
        bool has_rows, has_cache;
    } tiles[] = {
        {"narrow", QM_TIER_BASE, true, true},     {"texel", QM_TIER_TEXEL, true, false},
        {"vector", QM_TIER_BASE, true, false},    {"vector8", QM_TIER_BASE, false, false},
        {"wide", QM_TIER_BASE, true, true},       {"wide+subgroup", QM_TIER_SUBGROUP, true, false},
        {"large+dot", QM_TIER_DOT, false, false}, {"compact+texel", QM_TIER_TEXEL, false, false},
    };
    const char *text = getenv("QM_TEST_TURN");
    const size_t turn = text ? strtoul(text, NULL, 10) : 0;
    bool is_native = strcmp(device->info->driver_name, "native") == 0, is_full = is_native || getenv("QM_TEST_FULL");
    struct qm_selftest selftest = {0};
    uint32_t tiers = 1;
    (void)unused;
    (void)context;
    if (!is_native) {
        CHECK(qm_selftest_run(device, &selftest));
        tiers = qm_tiers_working(selftest.capabilities, selftest.capability_count);
    }
    for (size_t t = 0; t < (is_native ? 1 : COUNT(tiles)); ++t) {
        struct at at = {.device = device, .tile = tiles[t].name};
        char name[40];
        if (!(tiers & 1u << tiles[t].tier) || (strncmp(at.tile, "vector", 6) == 0 && device->info->vector_width < 4))
            continue;
        for (size_t i = 0; i < COUNT(kinds); ++i) {
            for (uint32_t j = 0; j < 4 && tiles[t].has_rows && (is_full || i == turn % COUNT(kinds)); ++j) {
                check_rows(&at, j % 2 == 0, kinds[i], (uint32_t)i + 3 * j / 2);
            }
        }
        for (size_t i = 0; i < COUNT(caches); ++i) {
            snprintf(name, sizeof(name), "kv_write-%s", caches[i]);
            for (uint32_t j = 0; j < 2 && tiles[t].has_cache && (is_full || i == turn % COUNT(caches)); ++j)
                check_turned(&at, name, (uint32_t)(2 * i) + j);
        }
        for (size_t i = 0; i < COUNT(products); ++i) {
            for (uint32_t j = 0; j < 3 && (is_full || i / 2 == turn % (COUNT(products) / 2)); ++j)
                check_added(&at, products[i], (uint32_t)(3 * i) + j);
        }
        print_message("  %-12s %-14s %zu outputs compared\n", device->info->driver_name, at.tile, at.compared);
        assert_true(at.compared > 0);
        forget_kernels(device);
    }
}

static void test_odd_shapes(void **state)
{
    (void)state;
    list_names();
    draw_shapes();
    print_message("  QM_TEST_SEED=%llu\n", (unsigned long long)odd_seed);
    with_each_device(false, check_odd, NULL);
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
        cmocka_unit_test(test_odd_shapes),
        cmocka_unit_test(test_llama),
        cmocka_unit_test(test_others),
    };
    setenv("RUSTICL_ENABLE", "llvmpipe", 0);
    return cmocka_run_group_tests(tests, directory_setup, directory_teardown);
}
