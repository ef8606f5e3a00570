#include "bench/worker_serve.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/worker_fault.h"
#include "sys/file.h"

void qm_worker_server_close(struct qm_worker_server *kept)
{
    qm_server_destroy(&kept->server);
    free(kept->requests);
    free(kept->stream);
    free(kept->begins);
    *kept = (struct qm_worker_server){0};
}

static uint32_t word_at(const json_t *list, size_t index)
{
    return (uint32_t)json_integer_value(json_array_get(list, index));
}

static uint32_t word_of(const json_t *request, const char *key)
{
    return (uint32_t)json_integer_value(json_object_get(request, key));
}

static enum qm_status copy_words(const json_t *list, uint32_t **out, size_t *count)
{
    *count = json_array_size(list);
    *out = calloc(*count + 1, sizeof(**out));
    if (!*out)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for %zu tokens", *count);
    for (size_t i = 0; i < *count; ++i)
        (*out)[i] = word_at(list, i);
    return QM_OK;
}

enum qm_status qm_worker_requests(struct qm_worker_server *kept, const json_t *request)
{
    const json_t *prompts = json_object_get(request, "prompts"), *outputs = json_object_get(request, "outputs");
    size_t count = json_array_size(prompts);
    qm_worker_server_close(kept);
    if (count == 0 || count > QM_DEPLOYMENT_REQUESTS_MAX || json_array_size(outputs) != count)
        return QM_FAIL(QM_INVALID, "%zu prompts and %zu outputs are no requests", count, json_array_size(outputs));
    kept->requests = calloc(count, sizeof(*kept->requests));
    if (!kept->requests)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for %zu requests", count);
    for (size_t i = 0; i < count; ++i)
        kept->requests[i] = (struct qm_request){word_at(prompts, i), word_at(outputs, i)};
    QM_TRY(copy_words(json_object_get(request, "stream"), &kept->stream, &kept->params.prompts.count));
    QM_TRY(copy_words(json_object_get(request, "begins"), &kept->begins, &kept->params.prompts.begin_count));
    kept->params.prompts.stream = kept->stream;
    kept->params.prompts.begins = kept->begins;
    kept->params.rows = word_of(request, "rows");
    kept->params.serving = (struct qm_serving_params){.requests = kept->requests,
                                                      .count = (uint32_t)count,
                                                      .concurrency = word_of(request, "concurrency"),
                                                      .chunk_tokens = word_of(request, "chunk")};
    return QM_OK;
}

static enum qm_status find_server(struct qm_worker_server *kept, const struct qm_server_params *params)
{
    if (!kept->requests)
        return QM_FAIL(QM_INVALID, "there are no requests to serve");
    if (kept->server && kept->params.network == params->network)
        return QM_OK;
    qm_server_destroy(&kept->server);
    kept->params.engine = params->engine;
    kept->params.network = params->network;
    kept->params.limit_ns = params->limit_ns;
    kept->params.most_dispatches = params->most_dispatches;
    return qm_server_create(&kept->params, &kept->server);
}

// The caller's hooks, with a fault that may be planted.
struct planted {
    const struct qm_server_hooks *hooks;
    const char *scheme;
    bool is_timed;
};

static uint64_t planted_now(void *context)
{
    const struct planted *planted = context;
    return planted->hooks->now(planted->hooks->context);
}

static void planted_spend(void *context, double operations)
{
    const struct planted *planted = context;
    if (planted->hooks->spend)
        planted->hooks->spend(planted->hooks->context, operations);
}

static bool planted_is_wrong(void *context)
{
    const struct planted *planted = context;
    return qm_fault_is_wrong_serve(planted->scheme, planted->is_timed);
}

static void set_word(json_t *answer, const char *key, uint64_t word)
{
    char text[24];
    snprintf(text, sizeof(text), "%016" PRIx64, word);
    json_object_set_new(answer, key, json_string(text));
}

static enum qm_status check(struct qm_worker_server *kept, const struct qm_server_hooks *hooks, json_t *answer,
                            struct qm_served *served)
{
    double *kl = NULL;
    size_t count = 0;
    QM_TRY(qm_server_check(kept->server, hooks, served, &kl, &count));
    json_t *list = json_array();
    json_object_set_new(answer, "kl", list);
    for (size_t i = 0; i < count; ++i)
        json_array_append_new(list, json_real(kl[i]));
    free(kl);
    return QM_OK;
}

static enum qm_status run_timed(struct qm_worker_server *kept, const struct qm_server_hooks *hooks, const char *path,
                                json_t *answer, struct qm_served *served)
{
    size_t count = kept->params.serving.count;
    struct qm_request_times *times = calloc(count, sizeof(*times));
    if (!times)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for the times of %zu requests", count);
    enum qm_status status = qm_server_run(kept->server, hooks, times, served);
    if (status == QM_OK)
        status = qm_file_append(path, times, count * sizeof(*times));
    json_object_set_new(answer, "pass_ns", json_integer((json_int_t)qm_server_pass_ns(kept->server)));
    free(times);
    return status;
}

enum qm_status qm_worker_serve(struct qm_worker_server *kept, const struct qm_server_params *params,
                               const struct qm_server_hooks *hooks, const char *scheme, const json_t *request,
                               json_t *answer)
{
    const char *path = json_string_value(json_object_get(request, "times"));
    struct planted planted = {.hooks = hooks, .scheme = scheme, .is_timed = path != NULL};
    const struct qm_server_hooks own = {
        .now = planted_now, .spend = planted_spend, .is_wrong = planted_is_wrong, .context = &planted};
    struct qm_served served = {0};
    QM_TRY(find_server(kept, params));
    QM_TRY(path ? run_timed(kept, &own, path, answer, &served) : check(kept, &own, answer, &served));
    set_word(answer, "passes", served.passes);
    set_word(answer, "tokens", served.tokens);
    set_word(answer, "checksums", served.checksums);
    return QM_OK;
}
