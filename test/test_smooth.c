// SmoothQuant and the outlier variant: both keep a model's function, the variant breaks static scales of activations, and
// SmoothQuant repairs them.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/numeric.h"
#include "base/random.h"
#include "kernel/kernels.h"
#include "model/engine.h"
#include "model/outliers.h"
#include "model/tasks.h"
#include "quant/smooth.h"
#include "score/tokens.h"
#include "sys/parallel.h"

#define CHECK(call)                                                                                                    \
    do {                                                                                                               \
        if ((call) != QM_OK)                                                                                           \
            fail_msg("%s", qm_error_text());                                                                           \
    } while (0)

static const struct qm_calibration_set set = {.name = "a set"};

// A small random model, with a tied head and query heads that share key heads ------------------------------------------

static struct qm_model *make_model(uint64_t seed)
{
    struct qm_random random;
    struct qm_model *model = calloc(1, sizeof(*model));
    assert_non_null(model);
    model->config = (struct qm_model_config){.own = {64, 96, 64},
                                             .hidden = 64,
                                             .intermediate = 96,
                                             .layers = 2,
                                             .heads = 4,
                                             .kv_heads = 2,
                                             .head_dim = 64,
                                             .attention = 256,
                                             .vocabulary = 48,
                                             .context = 64,
                                             .norm_epsilon = 1e-5f,
                                             .rope_theta = 10000,
                                             .tied_head = true};
    snprintf(model->sha256, sizeof(model->sha256), "made for a test");
    model->tensor_count = qm_weight_count(&model->config);
    model->tensors = calloc(model->tensor_count, sizeof(*model->tensors));
    model->values = calloc(1 << 18, sizeof(*model->values));
    qm_random_seed(&random, seed, 0);
    size_t at = 0;
    for (size_t i = 0; i < model->tensor_count; i++) {
        struct qm_model_tensor *t = &model->tensors[i];
        qm_weight_at(&model->config, i, &t->role, &t->layer);
        qm_role_weight_name(t->role, t->layer, t->name);
        qm_role_shape(&model->config, t->role, &t->rows, &t->columns);
        t->values = model->values + at;
        if (t->role == QM_ROLE_HEAD) {
            t->values = model->values;
            break;
        }
        for (size_t v = 0; v < (size_t)t->rows * t->columns; v++, at++) {
            float value = (float)(qm_random_unit(&random) - 0.5) * 0.5f;
            model->values[at] = qm_role_is_vector(t->role) ? value + (v % 13 == 5 ? 20.0f : 1.0f) : value;
        }
    }
    model->parameters = at;
    assert_true(at <= 1 << 18);
    return model;
}

// Runs a scheme's artifact of the model over windows of tokens on the reference backend. Logits [windows][tokens]
// [vocabulary], for the caller to free; or NULL and what was observed, if there is a calibration.
static float *run(const struct qm_model *model, const struct qm_artifact *artifact, const struct qm_scheme *scheme,
                  const uint32_t *tokens, uint32_t windows, uint32_t count, struct qm_calibration *calibration)
{
    const struct qm_model_config *c = &model->config;
    struct qm_device_info info;
    struct qm_device *device = NULL;
    struct qm_engine *engine = NULL;
    struct qm_network *network = NULL;
    struct qm_pass *pass = NULL;
    struct qm_timing timing = {0};
    size_t found = 0, each = (size_t)count * c->vocabulary;
    float *logits = calibration ? NULL : calloc(windows * each, sizeof(*logits));
    CHECK(qm_backend_reference.enumerate(&info, 1, &found));
    CHECK(qm_backend_reference.open(&info, &(struct qm_open_params){0}, &device));
    CHECK(qm_engine_create(
        &(struct qm_engine_params){
            .device = device, .tile = "narrow", .config = *c, .rows = count, .sequences = windows, .slots = 1},
        &engine));
    CHECK(qm_engine_write_tokens(engine, tokens, windows));
    CHECK(qm_network_create(engine, artifact, scheme, &network));
    CHECK(qm_pass_create(network, &(struct qm_pass_params){1, count, 0, 1}, &pass));
    for (uint32_t w = 0; w < windows; w++) {
        const struct qm_pass_start start = {0, w};
        if (calibration) {
            CHECK(qm_pass_observe(pass, &start, calibration));
            continue;
        }
        CHECK(qm_pass_run(pass, &start, 1, &(struct qm_run_policy){0, 1}, &timing));
        CHECK(qm_pass_read_logits(pass, logits + w * each));
    }
    qm_pass_destroy(&pass);
    qm_network_destroy(&network);
    qm_engine_destroy(&engine);
    device->fns->destroy(&device);
    return logits;
}

static float *run_scheme(const struct qm_model *model, const char *name, const struct qm_activation_scales *scales,
                         const uint32_t *tokens, uint32_t windows, uint32_t count, struct qm_calibration *calibration)
{
    struct qm_scheme scheme;
    struct qm_artifact *artifact = NULL;
    CHECK(qm_scheme_parse(name, &scheme));
    CHECK(qm_artifact_build(&(struct qm_artifact_params){.model = model, .scheme = &scheme, .activations = scales},
                            &artifact));
    float *logits = run(model, artifact, &scheme, tokens, windows, count, calibration);
    qm_artifact_destroy(&artifact);
    return logits;
}

enum {
    SMALL_TOKENS = 40
};
static uint32_t small_tokens[65];

static struct qm_calibration *observe_small(const struct qm_model *model)
{
    struct qm_random random;
    struct qm_calibration *c = qm_calibration_new_with(model->config.layers, NULL);
    qm_random_seed(&random, 77, 0);
    for (size_t i = 0; i < 65; i++)
        small_tokens[i] = qm_random_below(&random, model->config.vocabulary);
    run_scheme(model, "f32", NULL, small_tokens, 1, SMALL_TOKENS, c);
    return c;
}

static double relative_difference(const float *a, const float *b, size_t count)
{
    double most = 0, range = 0;
    for (size_t i = 0; i < count; i++) {
        most = fmax(most, fabs((double)a[i] - (double)b[i]));
        range = fmax(range, fabs((double)a[i]));
    }
    return most / range;
}

static uint64_t hash_values(const struct qm_model *model)
{
    uint64_t fold = 0;
    for (size_t i = 0; i < model->tensor_count; i++) {
        struct qm_model_view view;
        CHECK(qm_model_view_open(model, i, &view));
        for (size_t v = 0; v < (size_t)model->tensors[i].rows * model->tensors[i].columns; v++)
            fold = qm_random_mix(fold ^ qm_bits_from_float(view.values[v]));
        qm_model_view_close(&view);
    }
    return fold;
}

// SmoothQuant ---------------------------------------------------------------------------------------------------------

static void test_function_is_kept(void **state)
{
    (void)state;
    struct qm_model *model = make_model(1);
    struct qm_calibration *c = observe_small(model);
    uint64_t before = hash_values(model);
    float *logits = run_scheme(model, "f32", NULL, small_tokens, 1, SMALL_TOKENS, NULL);
    for (int alpha = -1; alpha <= 4; alpha++) {
        struct qm_smooth_params params = {.is_searched = alpha < 0, .alpha = alpha / 4.0};
        struct qm_smoothed *smoothed = NULL, *again = NULL;
        CHECK(qm_smooth(model, c, &params, &smoothed));
        assert_true(hash_values(model) == before);
        assert_true(hash_values(smoothed->model) != before);
        assert_string_equal(smoothed->model->sha256, model->sha256);
        assert_false(smoothed->model->config.tied_head);
        float *of_smoothed = run_scheme(smoothed->model, "f32", NULL, small_tokens, 1, SMALL_TOKENS, NULL);
        double difference = relative_difference(logits, of_smoothed, SMALL_TOKENS * model->config.vocabulary);
        assert_true(difference < 5e-5); // some roundings to float32; a channel that is off by a factor gives 1e-2
        // What is said of the new inputs, and of the cache, is what they are.
        struct qm_calibration *observed = qm_calibration_new(model->config.layers);
        run_scheme(smoothed->model, "f32", NULL, small_tokens, 1, SMALL_TOKENS, observed);
        for (int cached = 0; cached < QM_CACHED_COUNT; cached++) {
            const struct qm_channel_statistics *there, *was;
            CHECK(qm_calibration_cached(observed, 0, (enum qm_cached)cached, &there));
            CHECK(qm_calibration_cached(c, 0, (enum qm_cached)cached, &was));
            double is = (double)qm_statistics_amax(there), said = (double)smoothed->cache[0].of[cached];
            assert_true(fabs(is - said) < 1e-5 * is);
            if (cached == QM_CACHED_VALUES && alpha == 4) // the check can fail
                assert_true(fabs(is - (double)qm_statistics_amax(was)) > 0.1 * is);
        }
        for (int input = 0; input < QM_INPUT_COUNT; input++) {
            const struct qm_channel_statistics *there;
            CHECK(qm_calibration_statistics(observed, 0, (enum qm_input)input, &there));
            size_t index = qm_input_index(model->config.layers, (enum qm_input)input, 0);
            const struct qm_channel_statistics *said = &smoothed->statistics[index];
            assert_int_equal(there->width, said->width);
            for (uint32_t j = 0; j < there->width; j++)
                assert_true(fabs((double)there->amax[j] - (double)said->amax[j]) <= 1e-4 * (double)said->amax[j] &&
                            fabs(there->sum_squares[j] - said->sum_squares[j]) <= 1e-4 * said->sum_squares[j]);
        }
        qm_calibration_destroy(&observed);
        // The same bytes whatever the number of threads.
        qm_parallel_set_threads(5);
        CHECK(qm_smooth(model, c, &params, &again));
        qm_parallel_set_threads(0);
        assert_true(hash_values(again->model) == hash_values(smoothed->model));
        assert_memory_equal(again->inputs, smoothed->inputs, smoothed->count * sizeof(*smoothed->inputs));
        qm_smoothed_destroy(&again);
        qm_smoothed_destroy(&smoothed);
        free(of_smoothed);
    }
    free(logits);
    qm_calibration_destroy(&c);
    qm_model_destroy(&model);
}

// The same bytes from every compiler and machine, from statistics that are no device's.
static void test_golden(void **state)
{
    (void)state;
    static float values[30 * 256];
    struct qm_model *model = make_model(5), *variant = NULL;
    struct qm_calibration *c = qm_calibration_new(model->config.layers);
    struct qm_smoothed *smoothed = NULL;
    struct qm_random random;
    char text[64];
    qm_random_seed(&random, 6, 0);
    for (uint32_t layer = 0; layer < model->config.layers; layer++)
        for (int input = 0; input < QM_INPUT_COUNT; input++) {
            uint32_t width = input == QM_INPUT_ATTENTION_OUTPUT ? 256 : input == QM_INPUT_DOWN ? 96 : 64;
            for (size_t i = 0; i < 30 * (size_t)width; i++)
                values[i] = (float)(qm_random_unit(&random) - 0.5) * (float)(1 + i % width);
            CHECK(qm_calibration_observe_rows(c, layer, (enum qm_input)input, values, 30, width));
        }
    CHECK(qm_model_inject_outliers(model, &variant));
    CHECK(qm_smooth(variant, c, &(struct qm_smooth_params){.is_searched = true}, &smoothed));
    snprintf(text, sizeof(text), "%016llx %016llx", (unsigned long long)hash_values(variant),
             (unsigned long long)hash_values(smoothed->model));
    assert_string_equal(text, "9eb6dab5510d57ce 09ae44ede6c36714");
    qm_smoothed_destroy(&smoothed);
    qm_calibration_destroy(&c);
    qm_model_destroy(&variant);
    qm_model_destroy(&model);
}

// The scales and the predicted error of the head, and the shared scales of V, from the definitions.
static void test_scales_by_hand(void **state)
{
    (void)state;
    struct qm_model *model = make_model(2);
    struct qm_calibration *c = observe_small(model);
    const struct qm_channel_statistics *s, *attended;
    struct qm_smoothed *smoothed = NULL;
    CHECK(qm_calibration_statistics(c, 0, QM_INPUT_HEAD, &s));
    CHECK(qm_calibration_statistics(c, 1, QM_INPUT_ATTENTION_OUTPUT, &attended));
    struct qm_model *changed = NULL;
    CHECK(qm_smooth(model, c, &(struct qm_smooth_params){.alpha = 0.7}, &smoothed));
    CHECK(qm_model_copy(smoothed->model, &changed));
    const struct qm_model_tensor *head = qm_model_weight(model, QM_ROLE_HEAD, 0);
    const struct qm_model_tensor *new_head = qm_model_weight(changed, QM_ROLE_HEAD, 0);
    const struct qm_smoothed_input *said = &smoothed->inputs[8];
    double scales[64], from_inputs = 0, weight_steps = 0, squares = 0, most = 0, smallest = INFINITY;
    for (uint32_t j = 0; j < 64; j++) {
        double weight = 0;
        for (uint32_t n = 0; n < head->rows; n++)
            weight = fmax(weight, fabs((double)head->values[n * 64 + j]));
        scales[j] = pow((double)s->amax[j], 0.7) / pow(weight, 1 - 0.7);
        smallest = fmin(smallest, scales[j]);
        double gain = (double)qm_model_weight(model, QM_ROLE_FINAL_NORM, 0)->values[j];
        double new_gain = (double)qm_model_weight(changed, QM_ROLE_FINAL_NORM, 0)->values[j];
        assert_true(fabs(gain / new_gain / scales[j] - 1) < 1e-6);
        for (uint32_t n = 0; n < head->rows; n++)
            assert_true(fabs((double)new_head->values[n * 64 + j] - scales[j] * (double)head->values[n * 64 + j]) <=
                        1e-6 * fabs((double)new_head->values[n * 64 + j]));
        most = fmax(most, (double)s->amax[j] / scales[j]);
    }
    for (uint32_t n = 0; n < head->rows; n++) {
        double row = 0;
        for (uint32_t j = 0; j < 64; j++)
            row = fmax(row, fabs((double)head->values[n * 64 + j]) * scales[j]);
        weight_steps += row / 127 * (row / 127);
    }
    for (uint32_t j = 0; j < 64; j++) {
        double mean = s->sum_squares[j] / SMALL_TOKENS / (scales[j] * scales[j]), weights = 0;
        for (uint32_t n = 0; n < head->rows; n++)
            weights += pow((double)head->values[n * 64 + j] * scales[j], 2);
        from_inputs += fmin(most / 127 * (most / 127) / 12, mean) * weights;
        squares += mean;
    }
    assert_true(fabs(said->predicted / (from_inputs + weight_steps / 12 * squares) - 1) < 1e-6);
    assert_true(fabs((double)said->scale_min / smallest - 1) < 1e-6);
    assert_true(said->is_smoothed && said->alpha == 0.7 && said->unknown == 0);

    const struct qm_model_tensor *o = qm_model_weight(model, QM_ROLE_O, 1);
    for (uint32_t channel = 0; channel < 128; channel++) { // query heads 0 and 1 read key head 0, 2 and 3 read 1
        double input = 0, weight = 0;
        for (uint32_t q = 0; q < 2; q++) {
            uint32_t column = (channel / 64 * 2 + q) * 64 + channel % 64;
            input = fmax(input, (double)attended->amax[column]);
            for (uint32_t n = 0; n < o->rows; n++)
                weight = fmax(weight, fabs((double)o->values[n * o->columns + column]));
        }
        double scale = pow(input, 0.7) / pow(weight, 1 - 0.7);
        double value = (double)qm_model_weight(model, QM_ROLE_V, 1)->values[channel * 64 + 3];
        double divided = (double)qm_model_weight(changed, QM_ROLE_V, 1)->values[channel * 64 + 3];
        // The column of v is multiplied for its own input as well: compare two columns' worth through the norm's gain.
        double gain = (double)qm_model_weight(model, QM_ROLE_INPUT_NORM, 1)->values[3];
        double new_gain = (double)qm_model_weight(changed, QM_ROLE_INPUT_NORM, 1)->values[3];
        assert_true(fabs(value / divided * (gain / new_gain) / scale - 1) < 1e-5);
    }

    // The search takes the best of the grid.
    struct qm_smoothed *searched = NULL;
    CHECK(qm_smooth(model, c, &(struct qm_smooth_params){.is_searched = true}, &searched));
    double least[9];
    for (size_t i = 0; i < 9; i++)
        least[i] = INFINITY;
    for (int step = 6; step <= 18; step++) {
        qm_smoothed_destroy(&smoothed);
        CHECK(qm_smooth(model, c, &(struct qm_smooth_params){.alpha = step / 20.0}, &smoothed));
        for (size_t i = 0; i < 9; i++)
            least[i] = fmin(least[i], smoothed->inputs[i].predicted);
    }
    const size_t independent[] = {QM_INPUT_ATTENTION_OUTPUT, QM_INPUT_DOWN, 8}; // of what other inputs get
    for (size_t i = 0; i < 3; i++) {
        assert_true(fabs(searched->inputs[independent[i]].predicted / least[independent[i]] - 1) < 1e-12);
        assert_true(searched->inputs[independent[i]].predicted < searched->inputs[independent[i]].predicted_without);
    }
    qm_model_destroy(&changed);
    qm_smoothed_destroy(&searched);
    qm_smoothed_destroy(&smoothed);
    qm_calibration_destroy(&c);
    qm_model_destroy(&model);
}

static void test_left_out_and_unknown(void **state)
{
    (void)state;
    struct qm_model *model = make_model(3);
    qm_model_values(model, QM_ROLE_FINAL_NORM, 0)[7] = 0; // a channel of which nothing is seen
    struct qm_calibration *c = observe_small(model);
    struct qm_smoothed *smoothed = NULL;
    struct qm_activation_scales *scales = NULL;
    struct qm_smooth_params params = {.alpha = 0.5, .is_left_out = {true, true, true, true, false}};
    struct qm_model *changed = NULL;
    CHECK(qm_smooth(model, c, &params, &smoothed));
    CHECK(qm_model_copy(smoothed->model, &changed));
    for (size_t i = 0; i < model->tensor_count; i++) {
        const struct qm_model_tensor *t = &model->tensors[i];
        bool is_same = memcmp(t->values, changed->tensors[i].values, (size_t)t->rows * t->columns * 4) == 0;
        assert_true(is_same == (t->role != QM_ROLE_HEAD && t->role != QM_ROLE_FINAL_NORM));
    }
    assert_int_equal(smoothed->inputs[8].unknown, 1);
    for (uint32_t n = 0; n < 48; n++)
        assert_true(qm_model_weight(changed, QM_ROLE_HEAD, 0)->values[n * 64 + 7] ==
                    qm_model_weight(model, QM_ROLE_HEAD, 0)->values[n * 64 + 7]);
    assert_false(smoothed->inputs[0].is_smoothed);
    assert_true(smoothed->inputs[0].scale_min == 1 && smoothed->inputs[0].scale_max == 1);
    CHECK(qm_smoothed_scales(smoothed, &set, &scales));
    assert_int_equal(scales->method, QM_CALIBRATOR_SMOOTHQUANT);
    assert_int_equal(scales->inputs[0].count, SMALL_TOKENS * 64);
    struct qm_activation_scales *absmax = NULL;
    CHECK(qm_calibration_scales(c, QM_CALIBRATOR_ABSMAX, &set, &absmax));
    for (size_t i = 0; i < 8; i++)
        assert_true(scales->inputs[i].scale == absmax->inputs[i].scale);
    assert_memory_equal(scales->cache, absmax->cache, 2 * sizeof(*scales->cache)); // neither q, k, v nor o was touched
    assert_true(scales->inputs[8].scale < absmax->inputs[8].scale);
    qm_activation_scales_destroy(&absmax);
    qm_activation_scales_destroy(&scales);
    qm_model_destroy(&changed);
    qm_smoothed_destroy(&smoothed);
    qm_calibration_destroy(&c);
    qm_model_destroy(&model);
}

static void refused(const struct qm_model *model, const struct qm_calibration *c, double alpha, const char *words)
{
    struct qm_smoothed *smoothed = NULL;
    assert_int_equal(qm_smooth(model, c, &(struct qm_smooth_params){.alpha = alpha}, &smoothed), QM_INVALID);
    assert_null(smoothed);
    if (!strstr(qm_error_text(), words))
        fail_msg("expected '%s', got '%s'", words, qm_error_text());
}

static void test_smooth_refuses(void **state)
{
    (void)state;
    struct qm_model *model = make_model(4);
    struct qm_calibration *c = observe_small(model), *short_one = qm_calibration_new(1), *empty = qm_calibration_new(2);
    struct qm_calibration *narrow = qm_calibration_new(2);
    struct qm_model *variant = NULL;
    float values[32] = {1};
    refused(model, c, -0.1, "alpha -0.1; use 0 to 1");
    refused(model, c, 1.1, "alpha 1.1; use 0 to 1");
    refused(model, c, NAN, "use 0 to 1");
    refused(model, empty, 0.5, "no activation was seen");
    CHECK(qm_calibration_observe(empty, 0, QM_INPUT_ATTENTION_OUTPUT, values, 32)); // no channels are known
    refused(model, empty, 0.5, "no activation was seen");
    CHECK(qm_calibration_observe_rows(narrow, 0, QM_INPUT_ATTENTION_OUTPUT, values, 1, 32));
    refused(model, narrow, 0.5, "32 channels observed; the model has 256");
    for (int input = 0; input < QM_INPUT_COUNT; input++) {
        static float wide[256] = {1};
        uint32_t width = input == QM_INPUT_ATTENTION_OUTPUT ? 256 : input == QM_INPUT_DOWN ? 96 : 64;
        CHECK(qm_calibration_observe_rows(short_one, 0, (enum qm_input)input, wide, 1, width));
    }
    refused(model, short_one, 0.5, "layer 1");               // of a model with fewer layers
    qm_model_values(model, QM_ROLE_HEAD, 0)[64 + 5] = 3e38f; // where inputs reach 20
    refused(model, c, 1, "tensor 'lm_head.weight': value 69 would no longer be finite");
    qm_model_values(model, QM_ROLE_HEAD, 0)[64 + 5] = 0;
    for (uint32_t j = 0; j < 64; j++)
        qm_model_values(model, QM_ROLE_FINAL_NORM, 0)[j] = 3e38f;
    qm_model_values(model, QM_ROLE_HEAD, 0)[64 + 5] = 100; // the gain is divided by a hundredth
    refused(model, c, 0, "tensor 'model.norm.weight': value 5 would no longer be finite");
    assert_int_equal(qm_model_inject_outliers(model, &variant), QM_INVALID);
    assert_null(variant);
    assert_non_null(strstr(qm_error_text(), "tensor 'model.norm.weight': value "));
    qm_calibration_destroy(&c);
    qm_calibration_destroy(&short_one);
    qm_calibration_destroy(&empty);
    qm_calibration_destroy(&narrow);
    qm_model_destroy(&model);
}

// The outlier variant of the built-in model ----------------------------------------------------------------------------

enum {
    CALIBRATION_WINDOWS = 4,
    SCORED_WINDOWS = 2,
    WINDOWS = CALIBRATION_WINDOWS + SCORED_WINDOWS,
    TOKENS = 256
};

struct built_in {
    struct qm_model *model, *variant;
    uint32_t *tokens; // of all windows, those for calibration first
    struct qm_window scored[SCORED_WINDOWS];
};

static int built_in_setup(void **state)
{
    struct built_in *b = calloc(1, sizeof(*b));
    CHECK(qm_model_load(QM_SOURCE_DIR "/models/qmark-3m", 32, &b->model));
    CHECK(qm_model_inject_outliers(b->model, &b->variant));
    uint32_t stride = b->model->config.context + 1;
    b->tokens = calloc((size_t)WINDOWS * stride, sizeof(*b->tokens));
    for (uint32_t w = 0; w < WINDOWS; w++) {
        struct qm_window calibration, *window = &calibration;
        if (w >= CALIBRATION_WINDOWS)
            window = &b->scored[w - CALIBRATION_WINDOWS];
        qm_window_generate(w >= CALIBRATION_WINDOWS ? QM_SPLIT_EVALUATION : QM_SPLIT_CALIBRATION,
                           w >= CALIBRATION_WINDOWS ? QM_SEED_EVALUATION : QM_SEED_CALIBRATION, w, TOKENS, window);
        for (uint32_t p = 0; p <= TOKENS; p++)
            b->tokens[w * stride + p] = window->tokens[p];
    }
    *state = b;
    return 0;
}

static int built_in_teardown(void **state)
{
    struct built_in *b = *state;
    qm_model_destroy(&b->model);
    qm_model_destroy(&b->variant);
    free(b->tokens);
    free(b);
    return 0;
}

static void test_variant_is_the_same_function(void **state)
{
    const struct built_in *b = *state;
    struct qm_model *again = NULL, *twice = NULL;
    float *logits = run_scheme(b->model, "f32", NULL, b->tokens, 1, TOKENS, NULL);
    float *of_variant = run_scheme(b->variant, "f32", NULL, b->tokens, 1, TOKENS, NULL);
    for (size_t i = 0; i < (size_t)TOKENS * b->model->config.vocabulary; i++)
        assert_true(logits[i] == of_variant[i]); // powers of two: not a bit differs
    assert_string_not_equal(b->variant->sha256, b->model->sha256);
    assert_string_equal(b->variant->variant, qm_model_outliers_recipe());
    assert_null(b->model->variant);
    CHECK(qm_model_inject_outliers(b->model, &again));
    assert_true(hash_values(again) == hash_values(b->variant));
    assert_string_equal(again->sha256, b->variant->sha256);
    CHECK(qm_model_inject_outliers(b->variant, &twice)); // another model, another hash
    assert_string_not_equal(twice->sha256, b->variant->sha256);
    qm_model_destroy(&again);
    qm_model_destroy(&twice);
    free(logits);
    free(of_variant);
}

// 3 % of the channels of every norm's output are 64 times as large, and nothing else is; keys have a pair of rows that
// is 16 times as large.
static void test_variant_has_outliers(void **state)
{
    const struct built_in *b = *state;
    uint32_t layers = b->model->config.layers;
    struct qm_calibration *plain = qm_calibration_new(layers), *odd = qm_calibration_new(layers);
    struct qm_activation_scales *plain_scales = NULL, *odd_scales = NULL;
    run_scheme(b->model, "f32", NULL, b->tokens, 1, TOKENS, plain);
    run_scheme(b->variant, "f32", NULL, b->tokens, 1, TOKENS, odd);
    CHECK(qm_calibration_scales(plain, QM_CALIBRATOR_ABSMAX, &set, &plain_scales));
    CHECK(qm_calibration_scales(odd, QM_CALIBRATOR_ABSMAX, &set, &odd_scales));
    for (size_t i = 0; i < plain_scales->count; i++) {
        enum qm_input input = i == 4 * (size_t)layers ? QM_INPUT_HEAD : (enum qm_input)(i % 4);
        const struct qm_channel_statistics *s, *t;
        CHECK(qm_calibration_statistics(plain, (uint32_t)(i / 4), input, &s));
        CHECK(qm_calibration_statistics(odd, (uint32_t)(i / 4), input, &t));
        bool is_norm = input != QM_INPUT_ATTENTION_OUTPUT && input != QM_INPUT_DOWN;
        size_t larger = 0;
        float most = 0;
        for (uint32_t j = 0; j < s->width; j++) {
            float factor = t->amax[j] == s->amax[j] ? 1.0f : 64.0f;
            assert_true(t->amax[j] == s->amax[j] * factor);
            larger += factor > 1;
            most = fmaxf(most, t->amax[j]);
        }
        assert_int_equal(larger, is_norm ? 8 : 0); // 3 % of 256
        assert_true(odd_scales->inputs[i].amax == most);
        assert_true(!is_norm || odd_scales->inputs[i].scale > 8 * plain_scales->inputs[i].scale);
    }
    for (uint32_t layer = 0; layer < layers; layer++) { // the factors are powers of two
        const float *was = plain_scales->cache[layer].of, *is = odd_scales->cache[layer].of;
        assert_true(is[QM_CACHED_VALUES] == was[QM_CACHED_VALUES]);
        assert_true(is[QM_CACHED_KEYS] > 4 * was[QM_CACHED_KEYS] && is[QM_CACHED_KEYS] <= 16 * was[QM_CACHED_KEYS]);
    }
    for (uint32_t layer = 0; layer < layers; layer++)
        for (enum qm_role role = QM_ROLE_Q; role <= QM_ROLE_K; role++) {
            const struct qm_model_tensor *s = qm_model_weight(b->model, role, layer);
            const struct qm_model_tensor *t = qm_model_weight(b->variant, role, layer);
            uint32_t rows[4 * 64] = {0}, count = 0;
            for (uint32_t r = 0; r < s->rows; r++) { // a column that is no outlier tells the row's factor
                size_t normal = 0;
                for (uint32_t j = 0; j < s->columns; j++)
                    normal += t->values[r * s->columns + j] == s->values[r * s->columns + j];
                rows[r] = normal == 0;
                count += rows[r];
            }
            assert_int_equal(count, 2 * s->rows / 64);
            for (uint32_t r = 0; r < s->rows; r++)
                assert_int_equal(rows[r], rows[r / 64 * 64 + (r + 32) % 64]);
        }
    qm_activation_scales_destroy(&plain_scales);
    qm_activation_scales_destroy(&odd_scales);
    qm_calibration_destroy(&plain);
    qm_calibration_destroy(&odd);
}

static float *run_scored(const struct built_in *b, const struct qm_model *model, const char *scheme,
                         const struct qm_activation_scales *scales)
{
    const uint32_t *tokens = b->tokens + (size_t)CALIBRATION_WINDOWS * (b->model->config.context + 1);
    return run_scheme(model, scheme, scales, tokens, SCORED_WINDOWS, TOKENS, NULL);
}

// Mean KL of a scheme over the scored positions, from the logits `base`.
static double loss(const struct built_in *b, const struct qm_model *model, const char *scheme,
                   const struct qm_activation_scales *scales, const float *base)
{
    size_t vocabulary = b->model->config.vocabulary, count = 0;
    float *logits = run_scored(b, model, scheme, scales);
    double sum = 0;
    for (uint32_t i = 0; i < SCORED_WINDOWS * TOKENS; i++) {
        double kl = 0;
        if (!b->scored[i / TOKENS].scored[i % TOKENS])
            continue;
        CHECK(qm_token_kl(base + i * vocabulary, logits + i * vocabulary, (uint32_t)vocabulary, "base", scheme,
                          &(struct qm_token_place){0, i / TOKENS, i % TOKENS}, &kl));
        sum += kl;
        count++;
    }
    free(logits);
    return sum / (double)count;
}

// A static step for a whole input fails on outliers; SmoothQuant repairs it, calibrated on one window and scored on
// another.
static void test_smoothquant_repairs_the_variant(void **state)
{
    const struct built_in *b = *state;
    uint32_t layers = b->model->config.layers;
    float *base = run_scored(b, b->model, "f32", NULL);
    double absmax[2], smoothed[2], searched[2], kv4[2];
    for (int v = 0; v < 2; v++) {
        const struct qm_model *model = v == 0 ? b->model : b->variant;
        struct qm_calibration *c = qm_calibration_new(layers);
        struct qm_activation_scales *scales = NULL;
        struct qm_smoothed *result = NULL;
        run_scheme(model, "f32", NULL, b->tokens, CALIBRATION_WINDOWS, TOKENS, c);
        CHECK(qm_calibration_scales(c, QM_CALIBRATOR_ABSMAX, &set, &scales));
        absmax[v] = loss(b, model, "w8a8-static", scales, base);
        qm_activation_scales_destroy(&scales);
        for (int is_searched = 0; is_searched < 2; is_searched++) {
            CHECK(qm_smooth(model, c, &(struct qm_smooth_params){.is_searched = is_searched, .alpha = 0.5}, &result));
            CHECK(qm_smoothed_scales(result, &set, &scales));
            (is_searched ? searched : smoothed)[v] = loss(b, result->model, "w8a8-static-smoothquant", scales, base);
            qm_activation_scales_destroy(&scales);
            qm_smoothed_destroy(&result);
        }
        qm_calibration_destroy(&c);
        kv4[v] = loss(b, model, "w8a16-kv4", NULL, base);
        print_message("%s: mean KL of w8a8-static %.3e, with smoothquant at 0.5 %.3e, searched %.3e; w8a16-kv4 %.3e\n",
                      v == 0 ? "model" : "variant", absmax[v], smoothed[v], searched[v], kv4[v]);
    }
    free(base);
    assert_true(absmax[1] > 50 * absmax[0]);
    assert_true(absmax[1] > 50 * smoothed[1]);
    assert_true(absmax[1] > 50 * searched[1]);
    assert_true(kv4[1] > 100 * kv4[0]); // a step for a token's whole key fails on the pair of rows as well
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_function_is_kept),     cmocka_unit_test(test_golden),
        cmocka_unit_test(test_scales_by_hand),       cmocka_unit_test(test_left_out_and_unknown),
        cmocka_unit_test(test_smooth_refuses),       cmocka_unit_test(test_variant_is_the_same_function),
        cmocka_unit_test(test_variant_has_outliers), cmocka_unit_test(test_smoothquant_repairs_the_variant),
    };
    return cmocka_run_group_tests(tests, built_in_setup, built_in_teardown);
}
