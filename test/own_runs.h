// Scheme `file` of a model on every device, beside float32 of the floats that its codes stand for. Include after cmocka.
#ifndef QM_TEST_OWN_RUNS_H
#define QM_TEST_OWN_RUNS_H

#include <stdlib.h>

#include "backends/backend.h"
#include "model/engine.h"
#include "quant/artifact.h"
#include "test/each_device.h"
#include "test/random_model.h"

static inline struct qm_artifact *build(const struct qm_model *model, const char *name)
{
    struct qm_scheme scheme;
    struct qm_artifact *artifact = NULL;
    CHECK(qm_scheme_parse(name, &scheme));
    qm_scheme_bind(&scheme, model->own);
    CHECK(qm_artifact_build(&(struct qm_artifact_params){.model = model, .scheme = &scheme}, &artifact));
    return artifact;
}

enum {
    TOKENS = 40
};

struct run {
    const struct qm_model *model;
    const struct qm_artifact *artifact;
    float *reference;
};

static inline void run_on(struct qm_device *device, const char *tile, const struct run *run, float *logits)
{
    struct qm_engine *engine = NULL;
    struct qm_network *network = NULL;
    struct qm_pass *pass = NULL;
    struct qm_timing timing = {0};
    struct qm_engine_params params = {
        .device = device, .tile = tile, .config = run->model->config, .rows = TOKENS, .sequences = 1, .slots = 1};
    uint32_t *tokens = calloc(run->model->config.context + 1, sizeof(*tokens));
    for (uint32_t i = 0; i < TOKENS; ++i)
        tokens[i] = i * 7 % run->model->config.vocabulary;
    CHECK(qm_engine_create(&params, &engine));
    CHECK(qm_network_create(engine, run->artifact, &run->artifact->scheme, &network));
    CHECK(qm_pass_create(network, &(struct qm_pass_params){1, TOKENS, 0, 0}, &pass));
    CHECK(qm_engine_write_tokens(engine, tokens, 1));
    CHECK(qm_pass_run(pass, &(struct qm_pass_start){0, 0}, 1, &(struct qm_run_policy){0, 1}, &timing));
    CHECK(qm_pass_read_logits(pass, logits));
    qm_pass_destroy(&pass);
    qm_network_destroy(&network);
    qm_engine_destroy(&engine);
    free(tokens);
}

static inline void check_device(struct qm_device *device, const char *tile, const void *context)
{
    const struct run *run = context;
    const uint32_t vocabulary = run->model->config.vocabulary;
    float *logits = malloc((size_t)TOKENS * vocabulary * sizeof(*logits));
    run_on(device, tile, run, logits);
    double kl = mean_logits_kl(run->reference, logits, vocabulary, 0, TOKENS);
    print_message("%-12s %-7s KL(reference || device) %.2e\n", device->info->driver_name, tile, kl);
    assert_true(kl <= 1e-6);
    free(logits);
}

// The largest logit must be above `least`, and no logit further than `share` of it from float32 of the same values, between which
// are the activations' halves.
static inline void check_own_on_devices(const struct qm_model *model, const char *label, double least, double share,
                                        bool is_short)
{
    struct qm_artifact *artifact = build(model, "file"), *f32 = build(model, "f32");
    struct qm_device_info info;
    struct qm_device *device = NULL;
    size_t count = 0, logits = (size_t)TOKENS * model->config.vocabulary;
    struct run run = {model, artifact, malloc(logits * sizeof(float))};
    float *floats = malloc(logits * sizeof(*floats));
    const struct run plain = {model, f32, NULL};
    CHECK(qm_backend_reference.enumerate(&info, 1, &count));
    CHECK(qm_backend_reference.open(&info, &(struct qm_open_params){0}, &device));
    run_on(device, "narrow", &run, run.reference);
    run_on(device, "narrow", &plain, floats);
    double worst = 0, largest = 0;
    for (size_t i = 0; i < logits; ++i) {
        double off = (double)floats[i] - (double)run.reference[i], size = (double)floats[i];
        worst = off > worst ? off : -off > worst ? -off : worst;
        largest = size > largest ? size : -size > largest ? -size : largest;
    }
    print_message("%s: logits up to %.2f, beside float32 of its values off by %.2e\n", label, largest, worst);
    assert_true(largest > least && worst < share * largest);
    device->fns->destroy(&device);
    with_each_device(is_short, check_device, &run);
    free(run.reference);
    free(floats);
    qm_artifact_destroy(&artifact);
    qm_artifact_destroy(&f32);
}

#endif
