// The reference backend against PyTorch in float64: logits of the built-in model, kept as data by
// tools/pytorch_logits.py. The one place where the whole chain (weights, RoPE, attention, norms) is held to somebody
// else's implementation.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <math.h>

#include "base/numeric.h"
#include "model/engine.h"
#include "model/tasks.h"
#include "sys/file.h"

#define DATA QM_SOURCE_DIR "/test/data/pytorch_logits.json"
#define AGAIN "; write it again: tools/pytorch_logits.py models/qmark-3m EMITTER " DATA

// Logits of the float32 scheme pass some 30 roundings of 2^-24 relative to values of about 20 in each of four layers;
// measured: the worst of 3,072 is 5.6e-6. An error of the function itself (another epsilon, RoPE by pairs, a
// target that is off by one) is above 1e-2.
static const double TOLERANCE = 2e-4;

static float *reference_logits(const struct qm_model *model, const struct qm_window *window)
{
    const struct qm_model_config *c = &model->config;
    struct qm_scheme scheme;
    struct qm_artifact *artifact = NULL;
    struct qm_device_info info;
    struct qm_device *device = NULL;
    struct qm_engine *engine = NULL;
    struct qm_network *network = NULL;
    struct qm_pass *pass = NULL;
    size_t count = 0;
    struct qm_timing timing = {0};
    uint32_t *tokens = calloc(c->context + 1, sizeof(*tokens));
    float *logits = calloc((size_t)window->length * c->vocabulary, sizeof(*logits));
    assert_non_null(tokens);
    assert_non_null(logits);
    for (uint32_t p = 0; p <= window->length; ++p)
        tokens[p] = window->tokens[p];
    if (qm_scheme_parse("f32", &scheme) != QM_OK ||
        qm_artifact_build(&(struct qm_artifact_params){.model = model, .scheme = &scheme, .activations = NULL},
                          &artifact) != QM_OK ||
        qm_backend_reference.enumerate(&info, 1, &count) != QM_OK ||
        qm_backend_reference.open(&info, &(struct qm_open_params){0}, &device) != QM_OK ||
        qm_engine_create(
            &(struct qm_engine_params){
                .device = device, .tile = "narrow", .config = *c, .rows = window->length, .sequences = 1, .slots = 1},
            &engine) != QM_OK ||
        qm_network_create(engine, artifact, &scheme, &network) != QM_OK ||
        qm_pass_create(network, &(struct qm_pass_params){1, window->length, 0, 0}, &pass) != QM_OK ||
        qm_engine_write_tokens(engine, tokens, 1) != QM_OK ||
        qm_pass_run(pass, &(struct qm_pass_start){0, 0}, 1, &(struct qm_run_policy){0, 1}, &timing) != QM_OK ||
        qm_pass_read_logits(pass, logits) != QM_OK)
        fail_msg("%s", qm_error_text());
    qm_pass_destroy(&pass);
    qm_network_destroy(&network);
    qm_engine_destroy(&engine);
    device->fns->destroy(&device);
    qm_artifact_destroy(&artifact);
    free(tokens);
    return logits;
}

static double log_sum_exp(const float *logits, uint32_t count)
{
    double top = logits[0], sum = 0;
    for (uint32_t v = 1; v < count; ++v)
        top = logits[v] > top ? logits[v] : top;
    for (uint32_t v = 0; v < count; ++v)
        sum += qm_exp(logits[v] - top);
    return top + qm_log(sum);
}

static void check_logits(const json_t *data, const float *logits, uint32_t vocabulary, uint32_t length)
{
    double worst = 0, low = 0, high = 0;
    size_t index, compared = 0;
    json_t *row;
    json_array_foreach(json_object_get(data, "logits"), index, row)
    {
        json_int_t position = json_integer_value(json_object_get(row, "position"));
        const json_t *values = json_object_get(row, "values");
        if (position < 0 || position >= length || json_array_size(values) != vocabulary)
            fail_msg("%s: row %zu does not fit the model%s", DATA, index, AGAIN);
        for (uint32_t v = 0; v < vocabulary; ++v) {
            double expected = json_number_value(json_array_get(values, v));
            double error = fabs((double)logits[(size_t)position * vocabulary + v] - expected);
            if (!(error <= TOLERANCE))
                fail_msg("position %lld, token %u: %.9g, PyTorch has %.9g", (long long)position, v,
                         (double)logits[(size_t)position * vocabulary + v], expected);
            worst = error > worst ? error : worst;
            low = expected < low ? expected : low;
            high = expected > high ? expected : high;
            ++compared;
        }
    }
    print_message("%zu logits from %.1f to %.1f: the worst differs by %.2g\n", compared, low, high, worst);
    assert_true(compared >= 2048);
}

static void test_pytorch(void **state)
{
    (void)state;
    json_error_t error;
    json_t *data = json_load_file(DATA, 0, &error);
    if (!data)
        fail_msg("%s: %s%s", DATA, error.text, AGAIN);
    struct qm_model *model = NULL;
    if (qm_model_load(QM_SOURCE_DIR "/models/qmark-3m", 32, &model) != QM_OK)
        fail_msg("%s", qm_error_text());
    const char *expected_hash = json_string_value(json_object_get(data, "model_sha256"));
    void *bytes = NULL;
    size_t byte_count = 0;
    char hash[QM_HASH_TEXT_BYTES];
    if (qm_file_read(QM_SOURCE_DIR "/models/qmark-3m/model.safetensors", 1u << 30, &bytes, &byte_count) != QM_OK)
        fail_msg("%s", qm_error_text());
    qm_hash_bytes(bytes, byte_count, hash);
    free(bytes);
    if (!expected_hash || strcmp(expected_hash, hash) != 0)
        fail_msg("%s is of the weights %s, models/qmark-3m has %s%s", DATA, expected_hash ? expected_hash : "?", hash,
                 AGAIN);

    uint32_t length = (uint32_t)json_integer_value(json_object_get(data, "length"));
    static struct qm_window window;
    assert_true(length > 0 && length <= model->config.context);
    qm_window_generate(QM_SPLIT_EVALUATION, QM_SEED_EVALUATION,
                       (uint64_t)json_integer_value(json_object_get(data, "window")), length, &window);
    const json_t *tokens = json_object_get(data, "tokens");
    assert_int_equal(json_array_size(tokens), length + 1);
    for (uint32_t p = 0; p <= length; ++p) {
        if (json_integer_value(json_array_get(tokens, p)) != (json_int_t)window.tokens[p])
            fail_msg("token %u of the window is %u, PyTorch saw %lld%s", p, (unsigned)window.tokens[p],
                     (long long)json_integer_value(json_array_get(tokens, p)), AGAIN);
    }
    float *logits = reference_logits(model, &window);
    uint32_t vocabulary = model->config.vocabulary;
    check_logits(data, logits, vocabulary, length);

    // The loss over scored tokens, which sees every position.
    double loss = 0;
    size_t scored = 0;
    for (uint32_t p = 0; p < length; ++p) {
        if (!window.scored[p])
            continue;
        const float *row = logits + (size_t)p * vocabulary;
        loss += log_sum_exp(row, vocabulary) - (double)row[window.tokens[p + 1]];
        ++scored;
    }
    assert_int_equal(scored, json_integer_value(json_object_get(data, "scored_tokens")));
    double expected = json_number_value(json_object_get(data, "mean_scored_loss_nats"));
    print_message("mean loss of %zu scored tokens: %.9f, PyTorch %.9f\n", scored, loss / (double)scored, expected);
    assert_true(fabs(loss / (double)scored - expected) <= 1e-5);
    free(logits);
    qm_model_destroy(&model);
    json_decref(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pytorch)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
