// A deployment's requests, served by each scheme after all else (server.h). First without a clock: what comes of that is
// checked, and every timed run must give the same tokens and checksums. Then in rounds, in which the schemes take turns,
// every second one in the reverse order.
#include "bench/device_run_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/result_deployment.h"
#include "bench/server.h"
#include "sys/file.h"

bool qm_session_has_deployment(const struct qm_session *session)
{
    return session->prepared->requests && !(session->params && session->params->only_times);
}

static struct qm_serving_params serving_of(const struct qm_session *session)
{
    return qm_serving_of(session->profile, session->prepared->requests);
}

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

void qm_session_plan_deployment(struct qm_session *session)
{
    const struct qm_serving_params serving = serving_of(session);
    uint32_t slots = serving.concurrency < serving.count ? serving.concurrency : serving.count, longest = 0;
    for (uint32_t i = 0; i < serving.count; ++i) {
        const struct qm_request *request = &serving.requests[i];
        longest = larger(longest, request->prompt_tokens);
        session->context = larger(session->context, request->prompt_tokens + request->output_tokens - 1);
    }
    session->sequences = larger(session->sequences, slots);
    session->rows = larger(session->rows, slots);
    session->rows = larger(session->rows, longest < serving.chunk_tokens ? longest : serving.chunk_tokens);
    session->rows = larger(session->rows, qm_server_sample_rows(serving.requests, serving.count));
}

enum {
    TOKENS_OF_UNIT = 256 // served ones are worth a window that is scored, roughly
};

double qm_session_deployment_units(const struct qm_session *session)
{
    const struct qm_requests *requests = session->prepared->requests;
    return (double)(session->profile->deployment.rounds + 1) *
           (double)(1 + (requests->prompt_tokens + requests->output_tokens) / TOKENS_OF_UNIT);
}

void qm_deployment_run_clear(struct qm_deployment_run *run)
{
    free(run->times);
    free(run->pass_ns);
    free(run->check_kl);
    *run = (struct qm_deployment_run){0};
}

// ---- Asking ---------------------------------------------------------------------------------------------------------

// The set's windows one behind the other, each without what fills it up.
static void add_prompts(const struct qm_evaluation *evaluation, json_t *request)
{
    json_t *stream = json_array(), *begins = json_array();
    for (uint32_t w = 0; w < evaluation->set.windows; ++w) {
        const uint32_t *tokens = qm_evaluation_tokens(evaluation, w);
        uint32_t own = evaluation->lengths ? evaluation->lengths[w] : evaluation->set.window_tokens;
        if (own == 0)
            continue;
        json_array_append_new(begins, json_integer((json_int_t)json_array_size(stream)));
        for (uint32_t p = 0; p < own; ++p)
            json_array_append_new(stream, json_integer(tokens[p]));
    }
    json_object_set_new(request, "stream", stream);
    json_object_set_new(request, "begins", begins);
}

static enum qm_status send_requests(struct qm_session *session)
{
    const struct qm_serving_params serving = serving_of(session);
    json_t *prompts = json_array(), *outputs = json_array(), *answer = NULL;
    for (uint32_t i = 0; i < serving.count; ++i) {
        json_array_append_new(prompts, json_integer(serving.requests[i].prompt_tokens));
        json_array_append_new(outputs, json_integer(serving.requests[i].output_tokens));
    }
    json_t *request = json_pack("{s:s, s:o, s:o, s:I, s:I, s:I}", "do", "requests", "prompts", prompts, "outputs",
                                outputs, "concurrency", (json_int_t)serving.concurrency, "chunk",
                                (json_int_t)serving.chunk_tokens, "rows", (json_int_t)session->rows);
    if (request)
        add_prompts(session->prepared->evaluation, request);
    QM_TRY(qm_session_ask(session, request, &answer));
    json_decref(answer);
    return QM_OK;
}

static void tell(struct qm_session *session, size_t scheme, const char *how)
{
    char what[QM_SCHEME_NAME_BYTES + 96];
    snprintf(what, sizeof(what), "serving requests with %s, %s", session->prepared->schemes[scheme].scheme.name, how);
    qm_session_tell(session, what,
                    qm_session_deployment_units(session) / (double)(session->profile->deployment.rounds + 1));
}

static uint64_t word_of(const json_t *answer, const char *key)
{
    const char *text = json_string_value(json_object_get(answer, key));
    return text ? strtoull(text, NULL, 16) : 0;
}

static json_t *new_request(const struct qm_session *session, size_t scheme)
{
    return json_pack("{s:s, s:s}", "do", "serve", "scheme", session->prepared->schemes[scheme].scheme.name);
}

// ---- Checked --------------------------------------------------------------------------------------------------------

static enum qm_status judge(struct qm_session *session, size_t scheme)
{
    struct qm_scheme_run *run = &session->run->schemes[scheme];
    struct qm_agreement_verdict verdict;
    QM_TRY(qm_deployment_check(&run->deployment, &run->verdict, &verdict));
    if (verdict.agrees)
        return QM_OK;
    return QM_FAIL(
        QM_WRONG_RESULT,
        "served requests differ from the same requests alone: KL mean %.3g nats, bound %.3g, without the worst "
        "1 %% %.3g, bound %.3g, median %.3g, bound %.3g, over %zu tokens",
        verdict.mean, verdict.mean_bound, verdict.body, verdict.body_bound, verdict.median, verdict.median_bound,
        run->deployment.check_count);
}

static enum qm_status serve_checked(struct qm_session *session, size_t scheme)
{
    struct qm_deployment_run *run = &session->run->schemes[scheme].deployment;
    json_t *answer = NULL;
    tell(session, scheme, "checked");
    QM_TRY(qm_session_ask(session, new_request(session, scheme), &answer));
    const json_t *list = json_object_get(answer, "kl");
    enum qm_status status = QM_OK;
    run->tokens = word_of(answer, "tokens");
    run->checksums = word_of(answer, "checksums");
    run->check_count = json_array_size(list);
    run->check_kl = calloc(run->check_count + 1, sizeof(*run->check_kl));
    if (!run->check_kl)
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %zu divergences", run->check_count);
    else if (run->check_count == 0)
        status = QM_FAIL(QM_FAILED, "the worker compared no request that it served");
    for (size_t i = 0; i < run->check_count && status == QM_OK; ++i)
        run->check_kl[i] = json_number_value(json_array_get(list, i));
    json_decref(answer);
    QM_TRY(status);
    return judge(session, scheme);
}

// ---- Timed ----------------------------------------------------------------------------------------------------------

// Appends the times that the worker left.
static enum qm_status keep_times(struct qm_session *session, struct qm_deployment_run *run, double pass_ns)
{
    void *bytes = NULL;
    size_t requests = session->prepared->requests->count, size = requests * sizeof(*run->times), count = 0;
    QM_TRY(qm_file_read(session->params->scratch_path, size, &bytes, &count));
    struct qm_request_times *grown = realloc(run->times, (run->rounds + 1) * size);
    enum qm_status status = QM_OK;
    if (grown)
        run->times = grown;
    double *passes = realloc(run->pass_ns, (run->rounds + 1) * sizeof(*passes));
    if (passes) {
        run->pass_ns = passes;
        passes[run->rounds] = pass_ns;
    }
    if (!grown || !passes)
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the times of %zu requests", requests);
    else if (count != size)
        status = QM_FAIL(QM_FAILED, "the worker left %zu bytes of times where %zu were expected", count, size);
    else
        memcpy(run->times + run->rounds++ * requests, bytes, size);
    free(bytes);
    return status;
}

static enum qm_status serve_timed(struct qm_session *session, size_t scheme, uint32_t round)
{
    struct qm_deployment_run *run = &session->run->schemes[scheme].deployment;
    const char *path = session->params->scratch_path;
    char how[48];
    json_t *answer = NULL, *request = new_request(session, scheme);
    snprintf(how, sizeof(how), "round %" PRIu32 " of %" PRIu32, round + 1, session->profile->deployment.rounds);
    tell(session, scheme, how);
    if (request)
        json_object_set_new(request, "times", json_string(path));
    enum qm_status status = qm_file_remove(path);
    if (status != QM_OK) {
        json_decref(request);
        return status;
    }
    QM_TRY(qm_session_ask(session, request, &answer));
    uint64_t tokens = word_of(answer, "tokens"), checksums = word_of(answer, "checksums");
    double pass_ns = (double)json_integer_value(json_object_get(answer, "pass_ns"));
    json_decref(answer);
    if (tokens != run->tokens || checksums != run->checksums)
        return QM_FAIL(
            QM_WRONG_RESULT,
            "requests served against the clock gave other logits than the same requests when they were checked: "
            "round %" PRIu32 ", tokens %016" PRIx64 ", expected %016" PRIx64 ", checksums %016" PRIx64
            ", expected %016" PRIx64,
            round + 1, tokens, run->tokens, checksums, run->checksums);
    return keep_times(session, run, pass_ns);
}

// A scheme that fails goes no further. Not QM_OK where the worker has ended.
static enum qm_status settle(struct qm_session *session, size_t scheme, enum qm_status status)
{
    if (status == QM_OK)
        return QM_OK;
    qm_session_fail(session, scheme, status);
    return status == QM_INTERRUPTED || !qm_client_is_alive(session->client) ? status : QM_OK;
}

enum qm_status qm_session_serve(struct qm_session *session)
{
    size_t count = session->run->scheme_count;
    if (!qm_session_has_deployment(session))
        return QM_OK;
    QM_TRY(send_requests(session));
    for (size_t s = 0; s < count; ++s)
        if (session->run->schemes[s].status == QM_OK)
            QM_TRY(settle(session, s, serve_checked(session, s)));
    for (uint32_t round = 0; round < session->profile->deployment.rounds; ++round) {
        for (size_t i = 0; i < count; ++i) {
            size_t s = round % 2 == 0 ? i : count - 1 - i;
            if (session->run->schemes[s].status == QM_OK)
                QM_TRY(settle(session, s, serve_timed(session, s, round)));
        }
    }
    return QM_OK;
}
