// The host's pass against PyTorch's logits of every architecture, from memory and from files, by OpenBLAS and by own loops;
// its products at odd sizes; what it shows to a calibration.
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

#include "base/numeric.h"
#include "base/random.h"
#include "model/engine.h"
#include "model/host_pass.h"
#include "model/weights_arrange.h"
#include "quant/smooth.h"
#include "sys/parallel.h"
#include "test/tiny_model.h"

enum {
    TOKENS = 80,
    WINDOWS = 3
};

static const double TOLERANCE = 1e-4; // as in test_architectures.c

static json_t *data;

static void check(enum qm_status status)
{
    if (status != QM_OK)
        fail_msg("%s", qm_error_text());
}

static void *zeros(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    assert_non_null(memory);
    return memory;
}

static const json_t *entry_at(size_t index)
{
    return json_array_get(json_object_get(data, "models"), index);
}

// ---- Products -------------------------------------------------------------------------------------------------------

static float random_float(struct qm_random *random)
{
    return (float)(int32_t)(qm_random_u64(random) >> 40) * 0x1p-24f - 0.5f;
}

// One product of random numbers with strides beyond its rows; what lies between is not touched.
static void check_product(const struct qm_blas *blas, bool alone, size_t m, size_t n, size_t k, bool plain, bool adds)
{
    struct qm_random random;
    qm_random_seed(&random, m * 1000003 + n * 1009 + k, plain);
    size_t a_stride = k + 3, b_rows = plain ? k : n, b_stride = (plain ? n : k) + 5, c_stride = n + 2;
    float *a = zeros(m * a_stride, sizeof(*a)), *b = zeros(b_rows * b_stride, sizeof(*b));
    float *c = zeros(m * c_stride, sizeof(*c)), *before = zeros(m * c_stride, sizeof(*c));
    for (size_t i = 0; i < m * a_stride; ++i)
        a[i] = random_float(&random);
    for (size_t i = 0; i < b_rows * b_stride; ++i)
        b[i] = random_float(&random);
    for (size_t i = 0; i < m * c_stride; ++i)
        c[i] = before[i] = adds ? random_float(&random) : NAN;
    struct qm_host_product product = {.m = m,
                                      .n = n,
                                      .k = k,
                                      .a = a,
                                      .a_stride = a_stride,
                                      .b = b,
                                      .b_stride = b_stride,
                                      .c = c,
                                      .c_stride = c_stride,
                                      .scale = 0.25f,
                                      .adds = adds,
                                      .b_is_plain = plain};
    if (alone) {
        qm_host_multiply_begin(blas);
        qm_host_multiply_alone(blas, &product);
        qm_host_multiply_end(blas);
    } else {
        qm_host_multiply(blas, &product);
    }
    for (size_t i = 0; i < m; ++i)
        for (size_t j = 0; j < c_stride; ++j) {
            float found = c[i * c_stride + j], was = before[i * c_stride + j];
            if (j >= n) {
                assert_memory_equal(&found, &was, sizeof(found));
                continue;
            }
            double sum = 0;
            for (size_t x = 0; x < k; ++x)
                sum += (double)a[i * a_stride + x] * (double)b[plain ? x * b_stride + j : j * b_stride + x];
            double wanted = 0.25 * sum + (adds ? (double)was : 0);
            if (!(fabs((double)found - wanted) <= 1e-6 * sqrt((double)k) + 1e-7))
                fail_msg("%zu x %zu x %zu, plain %d, adds %d, at %zu, %zu: %.9g, not %.9g", m, n, k, plain, adds, i, j,
                         (double)found, wanted);
        }
    free(a);
    free(b);
    free(c);
    free(before);
}

static void test_products(void **state)
{
    (void)state;
    static const size_t sizes[][3] = {{1, 1, 1},    {1, 17, 3},   {3, 5, 7},     {4, 16, 256},   {5, 15, 257},
                                      {9, 33, 300}, {2, 100, 64}, {300, 19, 31}, {257, 48, 513}, {6, 1, 1000}};
    const struct qm_blas *ways[] = {NULL, qm_blas_find()};
    for (size_t way = 0; way < 2; ++way) {
        if (way == 1 && !ways[1])
            print_message("OpenBLAS is not here: own loops alone are looked at\n");
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]) && (way == 0 || ways[1]); ++i)
            for (int bits = 0; bits < 8; ++bits)
                check_product(ways[way], bits & 1, sizes[i][0], sizes[i][1], sizes[i][2], bits & 2, bits & 4);
    }
}

// What is no OpenBLAS is none, and does no harm.
static void test_other_libraries(void **state)
{
    (void)state;
    struct qm_blas blas;
    assert_false(qm_blas_open("libqmark-is-not-there.so.0", &blas));
    assert_false(qm_blas_open("libm.so.6", &blas));
    assert_string_equal(qm_host_multiply_name(NULL), "own loops");
    if (qm_blas_find()) {
        print_message("%s\n", qm_blas_find()->name);
        assert_non_null(strstr(qm_blas_find()->name, "OpenBLAS"));
        assert_null(strchr(qm_blas_find()->name, '\n'));
    }
}

static double ulps(double a, double b)
{
    double unit = nextafter(fabs(b), INFINITY) - fabs(b);
    return fabs(a - b) / unit;
}

static void test_exponentials(void **state)
{
    (void)state;
    struct qm_random random;
    double x[1001], e[1001];
    qm_random_seed(&random, 7, 0);
    for (int scale = 0; scale < 4; ++scale) {
        static const double scales[] = {1e-9, 1, 40, 1400};
        for (size_t i = 0; i < 1001; ++i)
            x[i] = fmin((double)(int64_t)(qm_random_u64(&random) >> 1) * 0x1p-62 - 1, 0.4) * scales[scale];
        x[0] = 0;
        x[1] = -708.0;
        x[2] = -709.0;
        x[3] = -1e300;
        qm_exp_many(x, 1001, e);
        for (size_t i = 0; i < 1001; ++i) {
            if (x[i] < -708.0)
                assert_true(e[i] == 0);
            else if (!(ulps(e[i], qm_exp(x[i])) <= 4))
                fail_msg("e^%.17g is %.17g, not %.17g", x[i], e[i], qm_exp(x[i]));
        }
        assert_true(e[0] == 1);
    }
}

// ---- Logits ---------------------------------------------------------------------------------------------------------

// Three windows: the entry's tokens, other ones, and the first again. Logits of all their tokens.
static float *run_windows(struct qm_host_weights *weights, const struct qm_blas *blas, const json_t *entry,
                          uint32_t windows, struct qm_calibration *calibration)
{
    const uint32_t vocabulary = weights->config.vocabulary;
    uint32_t tokens[WINDOWS * TOKENS], index[WINDOWS * TOKENS];
    struct qm_host_pass *pass = NULL;
    float *logits = zeros((size_t)windows * TOKENS * vocabulary, sizeof(*logits));
    for (uint32_t i = 0; i < windows * TOKENS; ++i) {
        uint32_t p = i % TOKENS;
        tokens[i] = (uint32_t)json_integer_value(json_array_get(json_object_get(entry, "tokens"), p));
        if (i / TOKENS == 1)
            tokens[i] = (tokens[i] * 5 + 3) % vocabulary;
        index[i] = i;
    }
    check(qm_host_pass_create(&(struct qm_host_pass_params){.weights = weights,
                                                            .blas = blas,
                                                            .tokens = tokens,
                                                            .windows = windows,
                                                            .window_tokens = TOKENS,
                                                            .calibration = calibration},
                              &pass));
    while (qm_host_pass_layers_done(pass) < weights->config.layers)
        check(qm_host_pass_layer(pass));
    if (calibration)
        check(qm_host_pass_observe_head(pass));
    check(qm_host_pass_logits(pass, index, (size_t)windows * TOKENS, logits));
    qm_host_pass_destroy(&pass);
    return logits;
}

static double worst_to_pytorch(const json_t *entry, uint32_t vocabulary, const float *logits)
{
    const json_t *row;
    size_t index;
    double worst = 0;
    json_array_foreach(json_object_get(entry, "logits"), index, row)
    {
        size_t position = (size_t)json_integer_value(json_object_get(row, "position"));
        for (uint32_t v = 0; v < vocabulary; ++v) {
            double wanted = json_number_value(json_array_get(json_object_get(row, "values"), v));
            worst = fmax(worst, fabs((double)logits[position * vocabulary + v] - wanted));
        }
    }
    return worst;
}

static void check_logits(struct qm_host_weights *weights, const char *from, const struct qm_blas *blas,
                         const json_t *entry)
{
    const uint32_t vocabulary = weights->config.vocabulary;
    const size_t window = (size_t)TOKENS * vocabulary;
    float *one = run_windows(weights, blas, entry, 1, NULL), *all = run_windows(weights, blas, entry, WINDOWS, NULL);
    double worst = worst_to_pytorch(entry, vocabulary, one), apart = 0, other = 0;
    for (size_t i = 0; i < window; ++i) {
        apart = fmax(apart, fabs((double)all[i] - (double)one[i]));
        apart = fmax(apart, fabs((double)all[2 * window + i] - (double)one[i]));
        other = fmax(other, fabs((double)all[window + i] - (double)one[i]));
    }
    print_message("%-9s %-10.10s %-60s worst %.1e, among others %.1e\n", from, qm_host_multiply_name(blas),
                  json_string_value(json_object_get(entry, "title")), worst, apart);
    assert_true(worst <= TOLERANCE);
    assert_true(apart <= 2e-5); // a window among others is what it is alone, but for the order of sums
    assert_true(other > 0.1);
    free(one);
    free(all);
}

static void test_pytorch(void **state)
{
    (void)state;
    const struct qm_blas *ways[] = {NULL, qm_blas_find()};
    size_t count = json_array_size(json_object_get(data, "models"));
    assert_int_equal(count, 14);
    for (size_t i = 0; i < count; ++i) {
        struct qm_model *model = make_model(entry_at(i), 32), *wide = make_model(entry_at(i), 256);
        struct qm_weights files;
        struct qm_host_weights weights;
        check(qm_weights_open(directory, &files));
        check(qm_weights_arrange(&files, &model->config));
        for (int way = 0; way < (ways[1] ? 2 : 1); ++way) {
            check(qm_host_weights_open(&model->config, model, NULL, &weights));
            check_logits(&weights, "memory", ways[way], entry_at(i));
            qm_host_weights_close(&weights);
            check(qm_host_weights_open(&wide->config, wide, NULL, &weights));
            check_logits(&weights, "padded", ways[way], entry_at(i));
            qm_host_weights_close(&weights);
            check(qm_host_weights_open(&model->config, NULL, &files, &weights));
            check_logits(&weights, "files", ways[way], entry_at(i));
            qm_host_weights_close(&weights);
        }
        check(qm_weights_check(&files));
        qm_weights_close(&files);
        qm_model_destroy(&model);
        qm_model_destroy(&wide);
    }
}

// What an architecture has of its own, each told wrong by little: the logits must say so, or the comparison says nothing.
enum fault {
    SCORE_CAP,
    LOGIT_CAP,
    WINDOW_WIDER,
    WINDOW_NARROWER,
    OTHER_LAYERS,
    SCORE_WIDTH,
    LOCAL_THETA,
    GLOBAL_SCALING,
    ONE_DIVISOR,
    ATTENTION_FACTOR,
    ONE_GAIN, // is what the file has, without 1
    ONE_BIAS,
    ONE_POSITION,
    EPSILON,
};

static void plant(enum fault fault, struct qm_model *model)
{
    struct qm_model_config *c = &model->config;
    switch (fault) {
    case SCORE_CAP:
        c->score_cap *= 1.05;
        break;
    case LOGIT_CAP:
        c->logit_cap *= 1.01;
        break;
    case WINDOW_WIDER:
        ++c->window;
        break;
    case WINDOW_NARROWER:
        --c->window;
        break;
    case OTHER_LAYERS:
        ++c->window_every;
        break;
    case SCORE_WIDTH:
        c->score_width = 0;
        break;
    case LOCAL_THETA:
        c->local_theta *= 1.1;
        break;
    case GLOBAL_SCALING:
        c->rope_scaling = QM_ROPE_PLAIN;
        break;
    case ONE_DIVISOR:
        c->rope_divisors[2] *= 1.05;
        break;
    case ATTENTION_FACTOR:
        c->rope_attention *= 1.01;
        break;
    case ONE_GAIN:
        for (uint32_t i = 0; i < c->own.hidden; ++i)
            qm_model_values(model, QM_ROLE_POST_NORM, 1)[i] -= 1;
        break;
    case ONE_BIAS:
        qm_model_values(model, QM_ROLE_DOWN_BIAS, 1)[3] += 0.1f;
        break;
    case ONE_POSITION:
        qm_model_values(model, QM_ROLE_POSITIONS, 0)[30 * c->hidden + 5] += 0.1f;
        break;
    case EPSILON:
        c->norm_epsilon *= 1000;
        break;
    }
}

static double worst_error(struct qm_host_weights *weights, const json_t *entry)
{
    uint32_t vocabulary = weights->config.vocabulary;
    float *logits = run_windows(weights, NULL, entry, 1, NULL);
    const json_t *row;
    size_t index;
    double worst = 0;
    json_array_foreach(json_object_get(entry, "logits"), index, row)
    {
        size_t position = (size_t)json_integer_value(json_object_get(row, "position"));
        for (uint32_t v = 0; v < vocabulary; ++v)
            worst = fmax(worst, fabs((double)logits[position * vocabulary + v] -
                                     json_number_value(json_array_get(json_object_get(row, "values"), v))));
    }
    free(logits);
    return worst;
}

static void test_planted_faults(void **state)
{
    (void)state;
    static const struct {
        size_t entry; // 6 Phi-3, 7 OLMo 2, 8 Gemma, 9 Gemma 2, 10 Gemma 3, 11 GPT-2, 12 StarCoder2, 13 longrope
        enum fault fault;
        const char *name;
    } faults[] = {{6, WINDOW_WIDER, "a window one wider"},
                  {6, WINDOW_NARROWER, "a window one narrower"},
                  {8, ONE_GAIN, "a gain that is not added to 1"},
                  {9, SCORE_CAP, "another cap of scores"},
                  {9, LOGIT_CAP, "another cap of logits"},
                  {9, WINDOW_WIDER, "a window one wider"},
                  {9, OTHER_LAYERS, "windows in other layers"},
                  {9, SCORE_WIDTH, "scores divided by the root of the head's width"},
                  {10, LOCAL_THETA, "another base of near layers"},
                  {10, GLOBAL_SCALING, "frequencies that are not divided"},
                  {10, OTHER_LAYERS, "windows in other layers"},
                  {11, ONE_POSITION, "another position"},
                  {11, ONE_BIAS, "another bias"},
                  {11, EPSILON, "another epsilon"},
                  {12, WINDOW_NARROWER, "a window one narrower"},
                  {12, ONE_BIAS, "another bias"},
                  {13, GLOBAL_SCALING, "frequencies that are not divided, no factor"},
                  {13, ONE_DIVISOR, "another divisor of one frequency"},
                  {13, ATTENTION_FACTOR, "another factor of queries and keys"}};
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); ++i) {
        struct qm_model *model = make_model(entry_at(faults[i].entry), 32);
        struct qm_host_weights weights;
        check(qm_host_weights_open(&model->config, model, NULL, &weights));
        assert_true(worst_error(&weights, entry_at(faults[i].entry)) <= TOLERANCE);
        qm_host_weights_close(&weights);
        plant(faults[i].fault, model);
        check(qm_host_weights_open(&model->config, model, NULL, &weights));
        double worst = worst_error(&weights, entry_at(faults[i].entry));
        print_message("%-52s %-48s worst %.1e\n",
                      json_string_value(json_object_get(entry_at(faults[i].entry), "title")), faults[i].name, worst);
        assert_true(worst > 5 * TOLERANCE);
        qm_host_weights_close(&weights);
        qm_model_destroy(&model);
    }
}

// Neither the number of threads nor where the pass was put down and taken up again changes a bit.
static void test_same_bits(void **state)
{
    (void)state;
    struct qm_model *model = make_model(entry_at(3), 32);
    struct qm_host_weights weights;
    const size_t count = (size_t)WINDOWS * TOKENS * model->config.vocabulary;
    check(qm_host_weights_open(&model->config, model, NULL, &weights));
    float *first = run_windows(&weights, NULL, entry_at(3), WINDOWS, NULL);
    for (unsigned threads = 1; threads <= 3; ++threads) {
        qm_parallel_set_threads(threads);
        float *again = run_windows(&weights, NULL, entry_at(3), WINDOWS, NULL);
        assert_memory_equal(first, again, count * sizeof(*first));
        free(again);
    }
    qm_parallel_set_threads(0);
    uint32_t tokens[TOKENS], index[TOKENS];
    for (uint32_t p = 0; p < TOKENS; ++p) {
        tokens[p] = (uint32_t)json_integer_value(json_array_get(json_object_get(entry_at(3), "tokens"), p));
        index[p] = p;
    }
    const struct qm_host_pass_params params = {
        .weights = &weights, .tokens = tokens, .windows = 1, .window_tokens = TOKENS};
    struct qm_host_pass *begun = NULL, *resumed = NULL;
    check(qm_host_pass_create(&params, &begun));
    check(qm_host_pass_layer(begun));
    check(qm_host_pass_create(&params, &resumed));
    size_t values;
    const float *saved = qm_host_pass_residual(begun, &values);
    memcpy(qm_host_pass_residual(resumed, &values), saved, values * sizeof(*saved));
    qm_host_pass_set_layers_done(resumed, 1);
    float *logits[2];
    for (int i = 0; i < 2; ++i) {
        struct qm_host_pass *pass = i ? resumed : begun;
        logits[i] = zeros((size_t)TOKENS * model->config.vocabulary, sizeof(float));
        while (qm_host_pass_layers_done(pass) < model->config.layers)
            check(qm_host_pass_layer(pass));
        check(qm_host_pass_logits(pass, index, TOKENS, logits[i]));
    }
    assert_memory_equal(logits[0], logits[1], (size_t)TOKENS * model->config.vocabulary * sizeof(float));
    free(logits[0]);
    free(logits[1]);
    free(first);
    qm_host_pass_destroy(&begun);
    qm_host_pass_destroy(&resumed);
    qm_host_weights_close(&weights);
    qm_model_destroy(&model);
}

static void test_bad_input(void **state)
{
    (void)state;
    struct qm_model *model = make_model(entry_at(0), 32);
    struct qm_model_config config = model->config;
    struct qm_weights files;
    struct qm_host_weights weights;
    struct qm_host_pass *pass = NULL;
    uint32_t tokens[256] = {0};
    check(qm_host_weights_open(&model->config, model, NULL, &weights));
    tokens[5] = config.vocabulary;
    struct qm_host_pass_params params = {.weights = &weights, .tokens = tokens, .windows = 2, .window_tokens = 4};
    assert_int_equal(qm_host_pass_create(&params, &pass), QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "window 1, position 1"));
    assert_null(pass);
    params.window_tokens = config.context + 1;
    params.windows = 1;
    assert_int_equal(qm_host_pass_create(&params, &pass), QM_INVALID);
    qm_host_weights_close(&weights);
    // Files that are not of the configuration.
    check(qm_weights_open(directory, &files));
    config.own.intermediate += 1;
    assert_int_equal(qm_host_weights_open(&config, NULL, &files, &weights), QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "mlp.gate_proj.weight"));
    qm_host_weights_close(&weights);
    config = model->config;
    config.architecture = QM_ARCHITECTURE_QWEN3;
    assert_int_equal(qm_host_weights_open(&config, NULL, &files, &weights), QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "q_norm"));
    qm_host_weights_close(&weights);
    qm_weights_close(&files);
    qm_model_destroy(&model);
}

// ---- Calibration ----------------------------------------------------------------------------------------------------

static void observe_on_backend(const struct qm_model *model, const json_t *entry, struct qm_calibration *calibration)
{
    struct qm_scheme f32;
    struct qm_artifact *artifact = NULL;
    struct qm_device_info info;
    struct qm_device *device = NULL;
    struct qm_engine *engine = NULL;
    struct qm_network *network = NULL;
    struct qm_pass *pass = NULL;
    size_t count = 0;
    uint32_t *tokens = zeros(model->config.context + 1, sizeof(*tokens));
    for (size_t p = 0; p < TOKENS; ++p)
        tokens[p] = (uint32_t)json_integer_value(json_array_get(json_object_get(entry, "tokens"), p));
    check(qm_scheme_parse("f32", &f32));
    check(qm_artifact_build(&(struct qm_artifact_params){.model = model, .scheme = &f32}, &artifact));
    check(qm_backend_reference.enumerate(&info, 1, &count));
    check(qm_backend_reference.open(&info, &(struct qm_open_params){0}, &device));
    check(qm_engine_create(
        &(struct qm_engine_params){
            .device = device, .tile = "narrow", .config = model->config, .rows = TOKENS, .sequences = 1, .slots = 1},
        &engine));
    check(qm_network_create(engine, artifact, &f32, &network));
    check(qm_pass_create(network, &(struct qm_pass_params){1, TOKENS, 0, 0}, &pass));
    check(qm_engine_write_tokens(engine, tokens, 1));
    check(qm_pass_observe(pass, &(struct qm_pass_start){0, 0}, calibration));
    qm_pass_destroy(&pass);
    qm_network_destroy(&network);
    qm_engine_destroy(&engine);
    device->fns->destroy(&device);
    qm_artifact_destroy(&artifact);
    free(tokens);
}

static void compare_statistics(const struct qm_channel_statistics *a, const struct qm_channel_statistics *b)
{
    assert_int_equal(a->width, b->width);
    assert_int_equal(a->rows, b->rows);
    for (uint32_t i = 0; i < a->width; ++i) {
        assert_true(fabs((double)a->amax[i] - (double)b->amax[i]) <= 2e-5 * (1 + fabs((double)a->amax[i])));
        assert_true(fabs(a->sum_squares[i] - b->sum_squares[i]) <= 1e-4 * (1 + a->sum_squares[i]));
    }
}

// The collectors see what the reference backend shows them: every input of every layer, keys, values, and the head's input.
static void test_calibration(void **state)
{
    (void)state;
    for (size_t i = 0; i < 22; ++i) {
        size_t e = 2 + i / 2;
        bool from_files = i % 2;
        struct qm_model *model = make_model(entry_at(e), 32);
        struct qm_host_weights weights;
        struct qm_calibration *host = qm_calibration_new(model->config.layers);
        struct qm_calibration *backend = qm_calibration_new(model->config.layers);
        struct qm_weights files;
        assert_true(host && backend);
        check(qm_weights_open(directory, &files));
        check(qm_weights_arrange(&files, &model->config));
        // From the files, which have no padding, and from memory, where it is.
        check(qm_host_weights_open(&model->config, from_files ? NULL : model, &files, &weights));
        free(run_windows(&weights, NULL, entry_at(e), 1, host));
        observe_on_backend(model, entry_at(e), backend);
        const struct qm_channel_statistics *of_host, *of_backend;
        for (uint32_t layer = 0; layer < model->config.layers; ++layer) {
            for (int input = 0; input < QM_INPUT_COUNT; ++input) {
                check(qm_calibration_statistics(host, layer, (enum qm_input)input, &of_host));
                check(qm_calibration_statistics(backend, layer, (enum qm_input)input, &of_backend));
                compare_statistics(of_host, of_backend);
            }
            for (int cached = 0; cached < QM_CACHED_COUNT; ++cached) {
                check(qm_calibration_cached(host, layer, (enum qm_cached)cached, &of_host));
                check(qm_calibration_cached(backend, layer, (enum qm_cached)cached, &of_backend));
                compare_statistics(of_host, of_backend);
            }
        }
        qm_calibration_destroy(&host);
        qm_calibration_destroy(&backend);
        qm_host_weights_close(&weights);
        qm_weights_close(&files);
        qm_model_destroy(&model);
    }
}

// SmoothQuant changes the weights of an architecture and not what it computes: gains, biases and rows go together.
static void test_smoothed(void **state)
{
    (void)state;
    static const size_t entries[] = {4, 6, 8, 9, 10, 11, 12}; // with biases, GELU, norms behind, LayerNorm
    for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); ++i) {
        struct qm_model *model = make_model(entry_at(entries[i]), 32), *copy = NULL;
        struct qm_host_weights weights;
        struct qm_calibration *seen = qm_calibration_new(model->config.layers);
        struct qm_smoothed *smoothed = NULL;
        assert_non_null(seen);
        check(qm_host_weights_open(&model->config, model, NULL, &weights));
        free(run_windows(&weights, NULL, entry_at(entries[i]), 1, seen));
        qm_host_weights_close(&weights);
        check(qm_smooth(model, seen, &(struct qm_smooth_params){.alpha = 0.5}, &smoothed));
        check(qm_model_copy(smoothed->model, &copy));
        bool has_gate = qm_architecture_has(model->config.architecture, QM_ROLE_GATE);
        for (uint32_t layer = 0; layer < model->config.layers; ++layer) {
            assert_true(smoothed->inputs[qm_input_index(smoothed->layers, QM_INPUT_MLP, layer)].is_smoothed);
            assert_true(smoothed->inputs[qm_input_index(smoothed->layers, QM_INPUT_DOWN, layer)].is_smoothed ==
                        has_gate);
        }
        assert_true(qm_model_weight(copy, QM_ROLE_UP, 1)->values[3] !=
                    qm_model_weight(model, QM_ROLE_UP, 1)->values[3]);
        check(qm_host_weights_open(&copy->config, copy, NULL, &weights));
        double worst = worst_error(&weights, entry_at(entries[i]));
        print_message("%-60s smoothed, worst %.1e\n", json_string_value(json_object_get(entry_at(entries[i]), "title")),
                      worst);
        assert_true(worst <= TOLERANCE);
        qm_host_weights_close(&weights);
        qm_model_destroy(&copy);
        qm_smoothed_destroy(&smoothed);
        qm_calibration_destroy(&seen);
        qm_model_destroy(&model);
    }
    // What has no norm before its products is refused.
    struct qm_model *model = make_model(entry_at(7), 32);
    struct qm_calibration *seen = qm_calibration_new(model->config.layers);
    struct qm_smoothed *smoothed = NULL;
    assert_int_equal(qm_smooth(model, seen, &(struct qm_smooth_params){.alpha = 0.5}, &smoothed), QM_UNSUPPORTED);
    assert_non_null(strstr(qm_error_text(), "a layer of OLMo 2 has no norm before its products"));
    assert_null(smoothed);
    qm_calibration_destroy(&seen);
    qm_model_destroy(&model);
}

static int begin(void **state)
{
    (void)state;
    json_error_t error;
    data = json_load_file(TINY_MODELS, 0, &error);
    return data && mkdtemp(directory) ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    json_decref(data);
    unlink(in_directory("config.json"));
    unlink(in_directory("model.safetensors"));
    return rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_products),    cmocka_unit_test(test_other_libraries), cmocka_unit_test(test_exponentials),
        cmocka_unit_test(test_pytorch),     cmocka_unit_test(test_same_bits),       cmocka_unit_test(test_bad_input),
        cmocka_unit_test(test_calibration), cmocka_unit_test(test_planted_faults),  cmocka_unit_test(test_smoothed)};
    return cmocka_run_group_tests(tests, begin, end);
}
