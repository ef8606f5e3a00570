// The model repeated: its logits are the narrow model's, through every kind of format and on every device; a wrong
// factor shows; what is larger than a binding lies in parts; random codes are legal and do not repeat; and the widest
// model that fits is what allocation says.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/fit.h"
#include "bench/reference.h"
#include "kernel/kernels.h"
#include "model/engine.h"
#include "model/random_weight.h"
#include "model/room.h"
#include "model/tasks.h"
#include "quant/layout.h"
#include "score/tokens.h"
#include "test/native/native.h"

enum {
    TOKENS = 40,
    STEPS = 4,
    FIRST_STEP = 32, // decode goes over what prefill has seen
    ROWS = TOKENS + STEPS
};

#define CACHE QM_BINARY_DIR "/test-widen"

static struct qm_model *model;
static struct qm_evaluation *calibration;

static void check(enum qm_status status)
{
    if (status != QM_OK)
        fail_msg("%s (%s)", qm_error_text(), qm_error_place());
}

static struct qm_artifact *make_artifact(const char *name, struct qm_scheme *scheme)
{
    struct qm_artifact *artifact = NULL;
    char path[QM_PATH_BYTES];
    check(qm_scheme_parse(name, scheme));
    check(qm_reference_artifact(&(struct qm_reference_params){.model = model, .cache_directory = CACHE}, scheme,
                                calibration, &artifact, path));
    return artifact;
}

static const char *tile_of(const struct qm_device *device)
{
    return device->info->api[0] == 'r' ? "narrow" : qm_kernel_tile(device->info, (uint64_t)16 << 20);
}

static struct qm_engine_params engine_params(struct qm_device *device, uint32_t widen)
{
    return (struct qm_engine_params){.device = device,
                                     .tile = tile_of(device),
                                     .config = model->config,
                                     .widen = widen,
                                     .rows = TOKENS,
                                     .sequences = 1,
                                     .slots = 1};
}

// Logits [ROWS][vocabulary]: of prefill, and of decode at FIRST_STEP and after.
static float *logits_of(struct qm_device *device, uint32_t widen, const struct qm_artifact *artifact,
                        const struct qm_scheme *scheme)
{
    struct qm_engine_params params = engine_params(device, widen);
    struct qm_engine *engine = NULL;
    struct qm_network *network = NULL;
    struct qm_pass *prefill = NULL, *decode = NULL;
    struct qm_timing timing = {0};
    const struct qm_run_policy policy = {0, 1};
    struct qm_window window;
    uint32_t vocabulary = model->config.vocabulary;
    uint32_t *tokens = calloc(model->config.context + 1, sizeof(*tokens));
    float *logits = calloc((size_t)ROWS * vocabulary, sizeof(*logits));
    assert_non_null(logits);
    check(qm_engine_create(&params, &engine));
    check(qm_network_create(engine, artifact, scheme, &network));
    check(qm_pass_create(network, &(struct qm_pass_params){1, TOKENS, 0, 1}, &prefill));
    check(qm_pass_create(network, &(struct qm_pass_params){1, 1, 1, 0}, &decode));
    qm_window_generate(QM_SPLIT_EVALUATION, QM_SEED_EVALUATION, 0, TOKENS, &window);
    for (uint32_t p = 0; p <= TOKENS; ++p)
        tokens[p] = window.tokens[p];
    check(qm_engine_write_tokens(engine, tokens, 1));
    check(qm_pass_run(prefill, &(struct qm_pass_start){0, 0}, 1, &policy, &timing));
    check(qm_pass_read_logits(prefill, logits));
    for (uint32_t step = 0; step < STEPS; ++step) {
        check(qm_pass_run(decode, &(struct qm_pass_start){FIRST_STEP + step, 0}, 1, &policy, &timing));
        check(qm_pass_read_logits(decode, logits + (size_t)(TOKENS + step) * vocabulary));
    }
    qm_pass_destroy(&prefill);
    qm_pass_destroy(&decode);
    qm_network_destroy(&network);
    qm_engine_destroy(&engine);
    free(tokens);
    return logits;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double mean_kl(const float *p, const float *q, double *median)
{
    double sum = 0, kl[ROWS];
    for (uint32_t row = 0; row < ROWS; ++row) {
        struct qm_token_place place = {0, 0, row};
        size_t at = (size_t)row * model->config.vocabulary;
        check(qm_token_kl(p + at, q + at, model->config.vocabulary, "the first", "the other", &place, &kl[row]));
        sum += kl[row];
    }
    qsort(kl, ROWS, sizeof(*kl), compare_doubles);
    *median = kl[ROWS / 2];
    return sum / ROWS;
}

static void check_width(struct qm_device *device, uint32_t widen, const struct qm_artifact *artifact,
                        const struct qm_scheme *scheme, const float *narrow, const float *fp32)
{
    float *wide = logits_of(device, widen, artifact, scheme);
    double median, own_median, kl = mean_kl(wide, narrow, &median), own = mean_kl(fp32, narrow, &own_median);
    print_message("%-12s %-22s widen %2u: KL(widened || narrow) %.2e, median %.2e, own %.2e\n",
                  device->info->driver_name, scheme->name, widen, kl, median, own);
    // Floats are summed in another order; where they are then rounded to codes, a tie may fall the other way, which in
    // so few rows may be the whole mean. What is wrong in general shows in the median.
    if (scheme->activations == QM_ACTIVATION_F32)
        assert_true(kl <= 1e-8);
    assert_true(own < 3); // narrow and widened are not both nonsense
    assert_true(kl <= (own / 4 > 1e-3 ? own / 4 : 1e-3));
    assert_true(median <= 1e-5);
    free(wide);
}

// The schemes of the list at `widen`, and those that stand for a way to sum at twice that.
static void check_device(struct qm_device *device, const char *const *names, size_t count, uint32_t widen)
{
    float *fp32 = NULL;
    for (size_t i = 0; i < count; ++i) {
        struct qm_scheme scheme;
        struct qm_artifact *artifact = make_artifact(names[i], &scheme);
        float *narrow = logits_of(device, 1, artifact, &scheme);
        if (!fp32) {
            fp32 = malloc((size_t)ROWS * model->config.vocabulary * sizeof(*fp32));
            assert_non_null(fp32);
            memcpy(fp32, narrow, (size_t)ROWS * model->config.vocabulary * sizeof(*fp32));
        }
        check_width(device, widen, artifact, &scheme, narrow, fp32);
        if (count < 10 && widen >= 4 && i % 3 == 0)
            check_width(device, 2 * widen, artifact, &scheme, narrow, fp32);
        free(narrow);
        qm_artifact_destroy(&artifact);
    }
    free(fp32);
}

static struct qm_device *open_native(void)
{
    struct qm_device *device = NULL;
    check(qm_native_device_open(&device));
    return device;
}

// Formats whose groups lie within a row's narrow columns, whose blocks are as long as the narrow columns, without groups;
// with zeros and tensor scales; all kinds of activations and caches.
static const char *const schemes[] = {"f32", // first: what the others cost is beside it
                                      "f16",
                                      "bf16",
                                      "w8a8",
                                      "w8a8-static",
                                      "w8a8-static32",
                                      "w8a8-smoothquant",
                                      "e4m3af8",
                                      "mxfp6e2m3a16",
                                      "nvfp4a16",
                                      "w4a16-g32",
                                      "w4a16-g128-asym-kv8",
                                      "w4a8-g128-kv4",
                                      "w4a4-g32",
                                      "w3a16-g64",
                                      "w2a16-g32-asym",
                                      "q8_0a16",
                                      "q4_0a8",
                                      "q5_0a16",
                                      "q4_ka16",
                                      "q5_ka16",
                                      "q6_ka8",
                                      "w4a16-g32+lm_head=f16+*.down_proj=w8a8"};

static void test_native(void **state)
{
    (void)state;
    struct qm_device *device = open_native();
    check_device(device, schemes, sizeof(schemes) / sizeof(schemes[0]), 2);
    device->fns->destroy(&device);
}

// The oracle, in double: here the narrow and the wide model differ by float rounding of what is stored alone.
static void test_oracle(void **state)
{
    (void)state;
    static const char *const few[] = {"f32", "w4a16-g32"};
    struct qm_device_info info;
    struct qm_device *device = NULL;
    size_t count = 0;
    check(qm_backend_reference.enumerate(&info, 1, &count));
    check(qm_backend_reference.open(&info, &(struct qm_open_params){0}, &device));
    check_device(device, few, 2, 2);
    device->fns->destroy(&device);
}

// One driver of each API, whose products are those of test_kernels: what is new is how weights are tiled, so that a format
// of each layout is enough. QM_TEST_FULL=1 takes every scheme on every driver of QM_TEST_DRIVERS.
static void test_drivers(void **state)
{
    (void)state;
    static const char *const few[] = {"f32", "w8a8", "nvfp4a16", "w4a16-g32", "w4a8-g128-kv4", "q4_ka16"};
    const char *wanted = getenv("QM_TEST_DRIVERS");
    bool is_full = getenv("QM_TEST_FULL") != NULL;
    size_t tried = 0;
    for (const struct qm_backend *const *backend = &qm_backends[1]; *backend; ++backend) {
        static struct qm_device_info infos[16];
        size_t count = 0;
        if ((*backend)->enumerate(infos, 16, &count) != QM_OK) {
            print_message("%s skipped: %s\n", (*backend)->name, qm_error_text());
            continue;
        }
        for (size_t i = 0; i < count && i < 16; ++i) {
            struct qm_device *device = NULL;
            if (!strstr("lavapipe pocl", infos[i].driver_name) && !is_full)
                continue;
            if (wanted && !strstr(wanted, infos[i].driver_name))
                continue;
            check((*backend)->open(&infos[i], &(struct qm_open_params){.cache_dir = CACHE}, &device));
            if (is_full)
                check_device(device, schemes, sizeof(schemes) / sizeof(schemes[0]), 4);
            else
                check_device(device, few, sizeof(few) / sizeof(few[0]), 4);
            device->fns->destroy(&device);
            ++tried;
        }
    }
    if (tried == 0)
        skip();
}

// One product in 29 with the factor of another width: more than any scheme's bound.
static void test_wrong_factor_shows(void **state)
{
    (void)state;
    struct qm_device *device = open_native();
    static const char *const names[] = {"f32", "w4a16-g32", "w2a16-g32-asym"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); ++i) {
        struct qm_scheme scheme;
        struct qm_artifact *artifact = make_artifact(names[i], &scheme);
        float *narrow = logits_of(device, 1, artifact, &scheme);
        size_t up = qm_weight_index(&model->config, QM_ROLE_UP, 2);
        artifact->tensors[up].encoded.tensor_scale *= 2;
        float *wide = logits_of(device, 2, artifact, &scheme);
        double median, kl = mean_kl(wide, narrow, &median);
        print_message("%-24s one product with 2/r: KL %.2e, median %.2e\n", names[i], kl, median);
        assert_true(kl > 1e-2 && median > 1e-4);
        free(narrow);
        free(wide);
        qm_artifact_destroy(&artifact);
    }
    device->fns->destroy(&device);
}

// Bindings so small that the large weights lie in two parts, in four, and in pieces of a copy: the logits keep every bit.
static void test_parts(void **state)
{
    (void)state;
    // The largest are [1536][512]: 3,145,728 bytes; 835,584 with codes of 8 bits and a scale of 2 bytes per 32. The embedding
    // has 1,048,576 and 524,288.
    static const struct {
        const char *scheme;
        uint64_t bindings[4]; // two parts; two parts; pieces of a copy, and of w8a8's embedding; less than 64 rows
    } cases[] = {{"f32", {3145727, 1572864, 1100000, 100000}}, {"w8a8-g32-kv4", {835583, 524288, 300000, 30000}}};
    struct qm_device *device = open_native();
    const struct qm_device_info *info = device->info;
    struct qm_device_info small = *info;
    for (size_t i = 0; i < 8; ++i) {
        struct qm_scheme scheme;
        struct qm_artifact *artifact = make_artifact(cases[i / 4].scheme, &scheme);
        small.max_binding_bytes = cases[i / 4].bindings[i % 4];
        if (i % 4 < 3) {
            float *whole = logits_of(device, 2, artifact, &scheme);
            device->info = &small;
            float *parts = logits_of(device, 2, artifact, &scheme);
            assert_memory_equal(parts, whole, (size_t)ROWS * model->config.vocabulary * sizeof(*whole));
            free(parts);
            free(whole);
        } else {
            struct qm_engine_params params = engine_params(device, 2);
            struct qm_engine *engine = NULL;
            struct qm_network *network = NULL;
            params.context = TOKENS; // for a cache that fits
            device->info = &small;
            check(qm_engine_create(&params, &engine));
            assert_int_equal(qm_network_create(engine, artifact, &scheme, &network), QM_UNSUPPORTED);
            assert_non_null(strstr(qm_error_text(), "a part of model.embed_tokens takes "));
            assert_non_null(strstr(qm_error_text(), "use a smaller widen"));
            qm_engine_destroy(&engine);
        }
        device->info = info;
        qm_artifact_destroy(&artifact);
    }
    device->fns->destroy(&device);
}

// What a network says that it takes is what the backend gave it.
static void test_memory(void **state)
{
    (void)state;
    struct qm_device *device = open_native();
    for (uint32_t widen = 1; widen <= 4; widen *= 2) {
        struct qm_engine_params params = engine_params(device, widen);
        struct qm_scheme scheme;
        struct qm_artifact *artifact = make_artifact("w4a16-g32-kv8", &scheme);
        struct qm_engine *engine = NULL;
        struct qm_network *network = NULL;
        struct qm_memory before = {0}, after = {0};
        struct qm_network_memory says;
        check(qm_engine_create(&params, &engine));
        device->fns->memory(device, &before);
        check(qm_network_create(engine, artifact, &scheme, &network));
        device->fns->memory(device, &after);
        qm_network_memory(network, &says);
        assert_int_equal(says.weight_bytes + says.cache_bytes, after.buffers_bytes - before.buffers_bytes);
        // Linear weights grow by widen squared: 4.5 bits each, the head's and the embedding's by widen only.
        struct qm_model_config widened;
        check(qm_model_config_widen(&model->config, widen, &widened));
        uint64_t linear = qm_model_config_linear_weights(&widened), all = qm_model_config_weights(&widened);
        uint64_t norms = (uint64_t)(2 * widened.layers + 1) * widened.hidden;
        uint64_t wanted = linear * 9 / 16 + (all - linear - norms) * 2 + norms * 4;
        assert_true(says.weight_bytes >= wanted && says.weight_bytes < wanted + wanted / 100);
        qm_network_destroy(&network);
        qm_engine_destroy(&engine);
        qm_artifact_destroy(&artifact);
    }
    device->fns->destroy(&device);
}

// ---- Random codes ---------------------------------------------------------------------------------------------------

static bool has_code(const struct qm_artifact_tensor *tensor, uint32_t code)
{
    for (uint32_t row = 0; row < tensor->rows; ++row)
        for (uint32_t i = 0; i < tensor->columns; ++i)
            if (qm_format_code(tensor->format, &tensor->encoded, row, i, tensor->columns) == code)
                return true;
    return false;
}

static void test_random_codes(void **state)
{
    (void)state;
    static const char *const names[] = {"f32", "w8a16", "mxfp6e2m3a16", "w3a16-g64", "w4a16-g32-asym", "nvfp4a16"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); ++i) {
        struct qm_scheme scheme;
        struct qm_artifact *artifact = make_artifact(names[i], &scheme);
        const struct qm_artifact_tensor *tensor =
            &artifact->tensors[qm_weight_index(&model->config, QM_ROLE_K, 0)]; // [128][256]
        struct qm_layout_shape shape = {tensor->rows, tensor->columns, 2, 2};
        uint32_t n = 2 * tensor->rows, k = 2 * tensor->columns;
        struct qm_layout layout;
        check(qm_layout_plan(tensor->format, &shape, &layout));
        uint32_t *words = malloc(layout.bytes), *again = malloc(layout.bytes), *tiled = malloc(layout.bytes);
        assert_true(words && again && tiled);
        memset(words, 0xa5, layout.bytes);
        check(qm_layout_pack(tensor->format, &shape, &tensor->encoded, tiled));
        check(qm_layout_pack_random(tensor->format, &shape, &tensor->encoded, 7, words));
        check(qm_layout_pack_random(tensor->format, &shape, &tensor->encoded, 7, again));
        assert_memory_equal(words, again, layout.bytes); // the seed decides
        check(qm_layout_pack_random(tensor->format, &shape, &tensor->encoded, 8, again));
        assert_memory_not_equal(words, again, layout.bytes);
        // As a weight of that size: every code is one of the narrow weight's, and rows and columns do not repeat.
        struct qm_encoded wide = {.codes = calloc(1, qm_format_code_bytes(tensor->format, n, k)),
                                  .scales = calloc(1, qm_format_scale_bytes(tensor->format, n, k) + 8),
                                  .tensor_scale = tensor->encoded.tensor_scale};
        float *values = calloc((size_t)n * k, sizeof(*values)), *narrow = calloc((size_t)n * k, sizeof(*narrow));
        assert_true(wide.codes && wide.scales && values && narrow);
        check(qm_layout_unpack(tensor->format, &(struct qm_layout_shape){n, k, 1, 1}, words, &wide));
        qm_format_decode(tensor->format, &wide, n, k, values);
        qm_format_decode(tensor->format, &tensor->encoded, tensor->rows, tensor->columns, narrow);
        size_t same = 0;
        for (uint32_t row = 0; row < n; ++row)
            for (uint32_t c = 0; c < k; ++c)
                same += row >= n / 2 && qm_format_code(tensor->format, &wide, row, c, k) ==
                                            qm_format_code(tensor->format, &wide, row - n / 2, c, k);
        for (uint32_t probe = 0; probe < 64; ++probe)
            assert_true(has_code(tensor, qm_format_code(tensor->format, &wide, probe * 37 % n, probe * 11 % k, k)));
        assert_true(same < (size_t)n * k / 5); // 1 in 8 of codes of 3 bits meet by chance
        float most = 0, most_narrow = 0;
        for (size_t at = 0; at < (size_t)n * k; ++at) {
            most = values[at] > most ? values[at] : most;
            most_narrow = narrow[at] > most_narrow ? narrow[at] : most_narrow;
        }
        assert_true(most > 0 && most <= 8 * most_narrow);
        free(values);
        free(narrow);
        free(wide.codes);
        free(wide.scales);
        free(words);
        free(again);
        free(tiled);
        qm_artifact_destroy(&artifact);
    }
}

static void test_random_is_timed(void **state)
{
    (void)state;
    static const char *const names[] = {"f32", "w8a8", "q4_ka16", "w4a4-g32"};
    struct qm_device *device = open_native();
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); ++i) {
        struct qm_engine_params params = engine_params(device, 2);
        struct qm_scheme scheme;
        struct qm_artifact *artifact = make_artifact(names[i], &scheme);
        struct qm_engine *engine = NULL;
        struct qm_network *network = NULL;
        struct qm_memory before = {0}, after = {0};
        struct qm_random_weight_times times;
        check(qm_engine_create(&params, &engine));
        check(qm_network_create(engine, artifact, &scheme, &network));
        device->fns->memory(device, &before);
        check(qm_network_time_random(network, artifact, 200000000, &times));
        device->fns->memory(device, &after);
        assert_int_equal(after.buffers_bytes, before.buffers_bytes);
        assert_true(after.peak_bytes >= before.buffers_bytes + times.bytes);
        assert_int_equal(times.rows, 2 * 768); // gate, the first of the largest
        assert_int_equal(times.columns, 2 * 256);
        for (int pair = 0; pair < QM_RANDOM_WEIGHT_PAIRS; ++pair)
            assert_true(times.tiled_ns[pair] > 0 && times.random_ns[pair] > 0);
        qm_network_destroy(&network);
        qm_engine_destroy(&engine);
        qm_artifact_destroy(&artifact);
    }
    device->fns->destroy(&device);
}

// ---- What fits --------------------------------------------------------------------------------------------------------

static void test_fit(void **state)
{
    (void)state;
    struct qm_device *device = open_native();
    struct qm_device_info small = *device->info;
    struct qm_scheme scheme_list[2];
    struct qm_artifact *artifacts[2] = {make_artifact("w8a16", &scheme_list[0]),
                                        make_artifact("w4a16-g32", &scheme_list[1])};
    const struct qm_pass_params passes[] = {{1, TOKENS, 0, 0}, {1, 1, 0, 0}};
    struct qm_fit_params params = {.engine = engine_params(device, 1),
                                   .tiers = {.wanted = "best"},
                                   .schemes = scheme_list,
                                   .artifacts = artifacts,
                                   .scheme_count = 2,
                                   .passes = passes,
                                   .pass_count = 2,
                                   .most = 8};
    struct qm_width_fit fit;
    device->info = &small;
    // By the sum of all: 3.2 M weights of 12.5 bits in two schemes are 5 MB, 20 MB at 2, 79 MB at 4.
    small.memory_bytes = 60 << 20;
    check(qm_fit_find(&params, &fit));
    assert_int_equal(fit.widen, 2);
    assert_true(fit.bytes > 20000000 && fit.bytes <= small.memory_bytes);
    assert_non_null(strstr(fit.reason, "widen 4: "));
    assert_non_null(strstr(fit.reason, "MiB"));
    // By a single binding, which the embedding and the caches are too small for: parts of weights would fit.
    small.memory_bytes = 0;
    small.max_binding_bytes = 700 << 10; // the cache of a layer takes 256 KiB per unit of width
    check(qm_fit_find(&params, &fit));
    assert_int_equal(fit.widen, 2);
    assert_non_null(strstr(fit.reason, "KV cache"));
    // Without limits the widest that is asked for, and no reason why not more.
    struct qm_device *other = open_native();
    device->info = other->info;
    params.most = 2;
    check(qm_fit_find(&params, &fit));
    assert_int_equal(fit.widen, 2);
    assert_string_equal(fit.reason, "");
    // Not even the model as it is.
    small = *other->info;
    small.memory_bytes = 1 << 20;
    device->info = &small;
    assert_int_equal(qm_fit_find(&params, &fit), QM_OUT_OF_MEMORY);
    device->info = other->info;
    struct qm_memory memory = {0};
    device->fns->memory(device, &memory);
    assert_int_equal(memory.buffers_bytes, 0);
    other->fns->destroy(&other);
    for (int i = 0; i < 2; ++i)
        qm_artifact_destroy(&artifacts[i]);
    device->fns->destroy(&device);
}

// Where the driver says how much is left, a network that takes more is refused before anything is allocated.
static void (*real_memory)(struct qm_device *device, struct qm_memory *out);

static void little_memory(struct qm_device *device, struct qm_memory *out)
{
    real_memory(device, out);
    out->left_bytes = 10 << 20;
}

static void test_room(void **state)
{
    (void)state;
    struct qm_device *device = open_native();
    const struct qm_device_fns *fns = device->fns;
    struct qm_device_fns little = *fns;
    struct qm_engine_params params = engine_params(device, 2);
    struct qm_engine *engine = NULL;
    struct qm_network *network = NULL;
    struct qm_memory before = {0}, after = {0};
    struct qm_scheme scheme;
    struct qm_artifact *artifact = make_artifact("w8a16", &scheme);
    check(qm_engine_create(&params, &engine));
    real_memory = fns->memory;
    little.memory = little_memory;
    fns->memory(device, &before);
    device->fns = &little;
    assert_int_equal(qm_device_room_bytes(device, false), 10 << 20);
    assert_int_equal(qm_network_create(engine, artifact, &scheme, &network), QM_OUT_OF_MEMORY);
    assert_null(network);
    assert_non_null(strstr(qm_error_text(), "w8a16 with widen 2 takes 1"));
    assert_non_null(strstr(qm_error_text(), "has room for 10485760 (10.0 MiB); use a smaller widen"));
    assert_null(strchr(qm_error_text(), '\n'));
    device->fns = fns;
    fns->memory(device, &after);
    assert_int_equal(after.buffers_bytes, before.buffers_bytes);
    assert_int_equal(after.peak_bytes, before.peak_bytes);
    qm_engine_destroy(&engine);
    qm_artifact_destroy(&artifact);
    device->fns->destroy(&device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_native),       cmocka_unit_test(test_oracle),
        cmocka_unit_test(test_drivers),      cmocka_unit_test(test_wrong_factor_shows),
        cmocka_unit_test(test_parts),        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_random_codes), cmocka_unit_test(test_random_is_timed),
        cmocka_unit_test(test_fit),          cmocka_unit_test(test_room),
    };
    const struct qm_profile_set set = {.seed = QM_SEED_CALIBRATION, .windows = 1, .window_tokens = 64};
    setenv("RUSTICL_ENABLE", "llvmpipe", 0);
    if (qm_model_load(QM_SOURCE_DIR "/models/qmark-3m", 32, &model) != QM_OK || qm_directory_make(CACHE) != QM_OK ||
        qm_evaluation_create(QM_SPLIT_CALIBRATION, &set, QM_SOURCE_DIR "/models/qmark-3m", &calibration) != QM_OK) {
        fprintf(stderr, "%s\n", qm_error_text());
        return 1;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    qm_evaluation_destroy(&calibration);
    qm_model_destroy(&model);
    return failed;
}
