// Every architecture against PyTorch in float64, on the reference and on the drivers: tiny models with that architecture's
// weights, odd sizes among them, whose logits tools/architecture_logits.py has written. And the same models quantized, on
// drivers against the reference, prefill and decode: heads of 128, padded ones, windows and biases in every kind of cache.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>
#include <math.h>

#include "model/engine.h"
#include "test/each_device.h"
#include "test/tiny_model.h"

enum {
    TOKENS = 80,
    FIRST_STEP = 40, // of decode; from there to the end
};

// Logits are up to 4 or so; an error of the function (a window one too wide, a pair of the rotary embedding by its
// neighbour) is above 1e-2.
static const double TOLERANCE = 1e-4;

static json_t *data;

static void *zeros(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    assert_non_null(memory);
    return memory;
}

// Logits [TOKENS][vocabulary] of one prefill, and of decode from FIRST_STEP on, at the same places of *decoded.
static void run_on(struct qm_device *device, const char *tile, const struct qm_model *model,
                   const struct qm_artifact *artifact, const struct qm_scheme *scheme, const json_t *entry,
                   float *logits, float *decoded)
{
    const struct qm_model_config *c = &model->config;
    struct qm_engine *engine = NULL;
    struct qm_network *network = NULL;
    struct qm_pass *prefill = NULL, *decode = NULL;
    struct qm_timing timing = {0};
    const struct qm_run_policy policy = {0, 1};
    struct qm_engine_params params = {
        .device = device, .tile = tile, .config = *c, .rows = TOKENS, .sequences = 1, .slots = 1};
    uint32_t *tokens = zeros(c->context + 1, sizeof(*tokens));
    for (size_t p = 0; p < TOKENS; ++p)
        tokens[p] = (uint32_t)json_integer_value(json_array_get(json_object_get(entry, "tokens"), p));
    if (qm_engine_create(&params, &engine) != QM_OK || qm_network_create(engine, artifact, scheme, &network) != QM_OK ||
        qm_pass_create(network, &(struct qm_pass_params){1, TOKENS, 0, 0}, &prefill) != QM_OK ||
        qm_pass_create(network, &(struct qm_pass_params){1, 1, 1, 0}, &decode) != QM_OK ||
        qm_engine_write_tokens(engine, tokens, 1) != QM_OK ||
        qm_pass_run(prefill, &(struct qm_pass_start){0, 0}, 1, &policy, &timing) != QM_OK ||
        qm_pass_read_logits(prefill, logits) != QM_OK)
        fail_msg("%s: %s", device->info->id, qm_error_text());
    for (uint32_t p = FIRST_STEP; p < TOKENS; ++p)
        if (qm_pass_run(decode, &(struct qm_pass_start){p, 0}, 1, &policy, &timing) != QM_OK ||
            qm_pass_read_logits(decode, decoded + (size_t)p * c->vocabulary) != QM_OK)
            fail_msg("%s: %s", device->info->id, qm_error_text());
    free(tokens);
    qm_pass_destroy(&prefill);
    qm_pass_destroy(&decode);
    qm_network_destroy(&network);
    qm_engine_destroy(&engine);
}

static void check_pytorch(const char *where, const json_t *entry, uint32_t vocabulary, const float *logits,
                          const float *decoded)
{
    const json_t *row;
    size_t index;
    double worst = 0;
    json_array_foreach(json_object_get(entry, "logits"), index, row)
    {
        size_t position = (size_t)json_integer_value(json_object_get(row, "position"));
        for (uint32_t v = 0; v < vocabulary; ++v) {
            double wanted = json_number_value(json_array_get(json_object_get(row, "values"), v));
            double error = fabs((double)logits[position * vocabulary + v] - wanted);
            worst = error > worst ? error : worst;
            if (position >= FIRST_STEP) {
                error = fabs((double)decoded[position * vocabulary + v] - wanted);
                worst = error > worst ? error : worst;
            }
        }
    }
    print_message("%-12s %-60s worst %.1e\n", where, json_string_value(json_object_get(entry, "title")), worst);
    assert_true(worst <= TOLERANCE);
}

struct check {
    const struct qm_model *model;
    const struct qm_artifact *artifact;
    const struct qm_scheme *scheme;
    const json_t *entry;
    float *reference, *reference_decoded; // of the same artifact
};

static void check_device(struct qm_device *device, const char *tile, const void *context)
{
    const struct check *check = context;
    uint32_t vocabulary = check->model->config.vocabulary;
    float *logits = zeros((size_t)TOKENS * vocabulary, sizeof(*logits));
    float *decoded = zeros((size_t)TOKENS * vocabulary, sizeof(*decoded));
    run_on(device, tile, check->model, check->artifact, check->scheme, check->entry, logits, decoded);
    if (check->scheme->weights == QM_WEIGHT_F32)
        check_pytorch(device->info->driver_name, check->entry, vocabulary, logits, decoded);
    double prefill = mean_logits_kl(check->reference, logits, vocabulary, 0, TOKENS);
    double decode = mean_logits_kl(check->reference_decoded, decoded, vocabulary, FIRST_STEP, TOKENS);
    // A code of two bits that falls on the other side of a tie moves a third of its range.
    double bound = check->scheme->activations == QM_ACTIVATION_A8 ? 2e-3
                   : check->scheme->kv == QM_KV_KIVI2             ? 1e-3
                   : check->scheme->kv >= QM_KV_KV8               ? 5e-4
                                                                  : 1e-6;
    print_message("%-12s %-7s %-22s KL(reference || device) prefill %.2e decode %.2e\n", device->info->driver_name,
                  tile, check->scheme->name, prefill, decode);
    assert_true(prefill <= bound && decode <= bound);
    free(logits);
    free(decoded);
}

// `everywhere`: on every driver; else on one of each API.
static void check_scheme(const char *name, const json_t *entry, uint32_t multiple, bool everywhere)
{
    struct qm_model *model = make_model(entry, multiple);
    size_t values = (size_t)TOKENS * model->config.vocabulary, count = 0;
    struct qm_scheme scheme;
    struct qm_artifact *artifact = NULL, *again = NULL;
    struct qm_device_info info;
    struct qm_device *device = NULL;
    struct check check = {model, NULL, &scheme, entry, zeros(values, sizeof(float)), zeros(values, sizeof(float))};
    // From the file, as workers have it.
    if (qm_scheme_parse(name, &scheme) != QM_OK ||
        qm_artifact_build(&(struct qm_artifact_params){.model = model, .scheme = &scheme}, &artifact) != QM_OK ||
        qm_artifact_save(artifact, in_directory("artifact.safetensors")) != QM_OK ||
        qm_artifact_load(in_directory("artifact.safetensors"), &again) != QM_OK ||
        qm_artifact_check(again, model) != QM_OK || qm_backend_reference.enumerate(&info, 1, &count) != QM_OK ||
        qm_backend_reference.open(&info, &(struct qm_open_params){0}, &device) != QM_OK)
        fail_msg("%s", qm_error_text());
    check.artifact = again;
    run_on(device, "narrow", model, again, &scheme, entry, check.reference, check.reference_decoded);
    device->fns->destroy(&device);
    if (scheme.weights == QM_WEIGHT_F32)
        check_pytorch("reference", entry, model->config.vocabulary, check.reference, check.reference_decoded);
    with_each_device(!everywhere, check_device, &check);
    free(check.reference);
    free(check.reference_decoded);
    qm_artifact_destroy(&artifact);
    qm_artifact_destroy(&again);
    qm_model_destroy(&model);
}

static const json_t *entry_at(size_t index)
{
    return json_array_get(json_object_get(data, "models"), index);
}

static void test_pytorch(void **state)
{
    (void)state;
    for (size_t i = 0; i < json_array_size(json_object_get(data, "models")); ++i)
        // Heads of 128, biases, caps, LayerNorm with learned positions: on every driver.
        check_scheme("f32", entry_at(i), 32, i == 1 || i == 4 || i == 9 || i == 11);
}

// What groups need beyond 32: padding of everything that a group runs along.
static void test_wider_padding(void **state)
{
    (void)state;
    check_scheme("f32", entry_at(0), 128, false);
    check_scheme("w4a16-g128", entry_at(2), 128, false);
    check_scheme("w8a8", entry_at(4), 256, false);
}

static void test_caches(void **state)
{
    (void)state;
    check_scheme("w4a16-g32-kv8", entry_at(1), 32, false);
    check_scheme("w8a16-kivi4-first4", entry_at(1), 32, false);
    check_scheme("w8a16-kve4m3-last5", entry_at(5), 32, false);
    check_scheme("w8a16-kv4-first3-last7", entry_at(3), 32, false);
    check_scheme("w8a16-kivi2", entry_at(3), 32, false);
}

// Heads of 256, caps, two rotary embeddings, LayerNorm and norms behind, with codes and in every kind of cache.
static void test_quantized(void **state)
{
    (void)state;
    check_scheme("w4a16-g32-kv4", entry_at(6), 32, false);
    check_scheme("w8a8", entry_at(7), 32, false);
    check_scheme("w8a16-kivi4-first4", entry_at(8), 32, false);
    check_scheme("w8a16-kv8-last7", entry_at(9), 32, false);
    check_scheme("w8a16-kve4m3-last5", entry_at(10), 32, false);
    check_scheme("w8a8", entry_at(11), 256, false);
    check_scheme("w4a16-g32-kv8", entry_at(12), 32, false);
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
    static const char *const files[] = {"config.json", "model.safetensors", "artifact.safetensors"};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); ++i)
        unlink(in_directory(files[i]));
    return rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pytorch), cmocka_unit_test(test_wider_padding),
                                       cmocka_unit_test(test_caches), cmocka_unit_test(test_quantized)};
    return cmocka_run_group_tests(tests, begin, end);
}
