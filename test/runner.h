// Runs tokens through a model on one device, pass by pass, and reads their logits: what tests against other programs' logits
// share. Include after cmocka.
#ifndef QM_TEST_RUNNER_H
#define QM_TEST_RUNNER_H

#include <jansson.h>
#include <math.h>

#include "base/numeric.h"
#include "model/engine.h"
#include "test/each_device.h"

struct runner {
    struct qm_engine *engine;
    struct qm_network *network;
    struct qm_pass *pass;
    uint32_t rows, vocabulary, context;
    float *logits; // [rows][vocabulary] of the latest run
};

static inline void *zeros(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    assert_non_null(memory);
    return memory;
}

static inline struct qm_artifact *make_artifact_of(const struct qm_model *model, const char *scheme_name)
{
    struct qm_scheme scheme;
    struct qm_artifact *artifact = NULL;
    if (qm_scheme_parse(scheme_name, &scheme) != QM_OK)
        fail_msg("%s", qm_error_text());
    qm_scheme_bind(&scheme, model->own);
    if (qm_artifact_build(&(struct qm_artifact_params){.model = model, .scheme = &scheme}, &artifact) != QM_OK)
        fail_msg("%s", qm_error_text());
    return artifact;
}

static inline void open_runner(struct qm_device *device, const char *tile, const struct qm_model *model,
                               const struct qm_artifact *artifact, const char *scheme_name, uint32_t rows,
                               struct runner *out)
{
    struct qm_scheme scheme;
    *out = (struct runner){.rows = rows, .vocabulary = model->config.vocabulary, .context = model->config.context};
    struct qm_engine_params params = {
        .device = device, .tile = tile, .config = model->config, .rows = rows, .sequences = 1, .slots = 1};
    if (qm_scheme_parse(scheme_name, &scheme) != QM_OK)
        fail_msg("%s", qm_error_text());
    qm_scheme_bind(&scheme, model->own);
    if (qm_engine_create(&params, &out->engine) != QM_OK ||
        qm_network_create(out->engine, artifact, &scheme, &out->network) != QM_OK ||
        qm_pass_create(out->network, &(struct qm_pass_params){1, rows, 0, 0}, &out->pass) != QM_OK)
        fail_msg("%s: %s", device->info->id, qm_error_text());
    out->logits = zeros((size_t)rows * out->vocabulary, sizeof(float));
}

static inline void close_runner(struct runner *runner)
{
    qm_pass_destroy(&runner->pass);
    qm_network_destroy(&runner->network);
    qm_engine_destroy(&runner->engine);
    free(runner->logits);
}

// At most `rows` tokens; what follows them is padding that no scored position sees.
static inline void run(struct runner *runner, const uint32_t *tokens, size_t count)
{
    struct qm_timing timing = {0};
    uint32_t *table = zeros(runner->context + 1, sizeof(*table));
    assert_true(count <= runner->rows);
    memcpy(table, tokens, count * sizeof(*table));
    if (qm_engine_write_tokens(runner->engine, table, 1) != QM_OK ||
        qm_pass_run(runner->pass, &(struct qm_pass_start){0, 0}, 1, &(struct qm_run_policy){0, 1}, &timing) != QM_OK ||
        qm_pass_read_logits(runner->pass, runner->logits) != QM_OK)
        fail_msg("%s", qm_error_text());
    free(table);
}

static inline double loss_at(const struct runner *runner, uint32_t position, uint32_t target)
{
    const float *row = runner->logits + (size_t)position * runner->vocabulary;
    double top = (double)row[0], sum = 0;
    for (uint32_t v = 1; v < runner->vocabulary; ++v)
        top = (double)row[v] > top ? (double)row[v] : top;
    for (uint32_t v = 0; v < runner->vocabulary; ++v)
        sum += qm_exp((double)row[v] - top);
    return top + qm_log(sum) - (double)row[target];
}

// The reference backend, then every driver.
static inline void everywhere(bool is_short,
                              void (*check)(struct qm_device *device, const char *tile, const void *context),
                              const void *context)
{
    struct qm_device_info info;
    struct qm_device *device = NULL;
    size_t count = 0;
    if (qm_backend_reference.enumerate(&info, 1, &count) != QM_OK ||
        qm_backend_reference.open(&info, &(struct qm_open_params){0}, &device) != QM_OK) {
        fail_msg("%s", qm_error_text());
    } else {
        check(device, "narrow", context);
        device->fns->destroy(&device);
    }
    with_each_device(is_short, check, context);
}

// The largest difference from `rows`, {position, values}, of the latest run's logits.
static inline double worst_logit(const struct runner *runner, const json_t *rows)
{
    json_t *row;
    size_t index;
    double worst = 0;
    json_array_foreach(rows, index, row)
    {
        size_t position = (size_t)json_integer_value(json_object_get(row, "position"));
        const json_t *values = json_object_get(row, "values");
        assert_true(position < runner->rows);
        assert_int_equal(json_array_size(values), runner->vocabulary);
        for (uint32_t v = 0; v < runner->vocabulary; ++v) {
            double error = fabs((double)runner->logits[position * runner->vocabulary + v] -
                                json_number_value(json_array_get(values, v)));
            worst = error > worst || error != error ? error : worst;
        }
    }
    return worst;
}

#endif
