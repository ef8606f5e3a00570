#include "bench/reference_session.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/need.h"
#include "sys/file.h"
#include "sys/file_map.h"

struct qm_reference_session {
    struct qm_reference_session_params params;
    struct qm_client *client;
    struct qm_file_map map; // of the latest window's logits and log-probabilities
    uint32_t vocabulary;
    double fraction; // of the work, that progress told last
};

// Of an evaluation: a window at a time.
static struct qm_reference_session_params with_defaults(const struct qm_reference_session_params *params)
{
    struct qm_reference_session_params out = *params;
    if (out.evaluation) {
        out.rows = out.positions = out.evaluation->set.window_tokens;
        out.sequences = 1;
    }
    return out;
}

static void tell_sign(void *context, const char *at)
{
    const struct qm_reference_session *session = context;
    const struct qm_reference_params *reference = session->params.reference;
    char what[320];
    snprintf(what, sizeof(what), "fp32 reference on %s, %s", session->params.device->id, at);
    if (reference->progress)
        reference->progress(reference->progress_context, what, session->fraction);
}

static enum qm_status ask(struct qm_reference_session *session, json_t *request, json_t **answer)
{
    return qm_client_ask(session->client, qm_client_timeout_s(), request, answer);
}

static enum qm_status ask_plainly(struct qm_reference_session *session, json_t *request)
{
    json_t *answer = NULL;
    QM_TRY(ask(session, request, &answer));
    json_decref(answer);
    return QM_OK;
}

static enum qm_status check_selftest(struct qm_reference_session *session)
{
    json_t *answer = NULL;
    QM_TRY(ask(session, json_pack("{s:s}", "do", "selftest"), &answer));
    const json_t *found = json_object_get(answer, "selftest");
    const char *status = json_string_value(json_object_get(found, "status")),
               *reason = json_string_value(json_object_get(found, "reason"));
    enum qm_status judged = !status || strcmp(status, "wrong") != 0
                                ? QM_OK
                                : QM_FAIL(QM_WRONG_RESULT, "self-test: %.200s", reason ? reason : "wrong");
    json_decref(answer);
    return judged;
}

static enum qm_status open_device(struct qm_reference_session *session)
{
    const struct qm_reference_params *reference = session->params.reference;
    const struct qm_reference_on_device *on = reference->on_device;
    QM_TRY(qm_client_start(NULL, &session->client));
    qm_client_on_sign(session->client, tell_sign, session);
    const struct qm_reference_session_params *p = &session->params;
    QM_TRY(ask_plainly(session, json_pack("{s:s, s:s, s:b, s:I, s:I, s:s}", "do", "open", "device", p->device->id,
                                          "debug", 0, "attempt", (json_int_t)0, "opening", (json_int_t)0, "cache",
                                          reference->cache_directory)));
    QM_TRY(check_selftest(session));
    QM_TRY(
        ask_plainly(session, json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:s}", "do", "engine", "widen",
                                       (json_int_t)1, "context", (json_int_t)p->positions, "rows", (json_int_t)p->rows,
                                       "sequences", (json_int_t)p->sequences, "slots", (json_int_t)1, "limit_ns",
                                       (json_int_t)on->limit_ns, "most_dispatches", (json_int_t)on->most_dispatches,
                                       "tier", on->tier ? on->tier : "best", "artifact", p->artifact_path)));
    return ask_plainly(session, json_pack("{s:s, s:s, s:s}", "do", "load", "scheme", "f32", "artifact",
                                          session->params.artifact_path));
}

enum qm_status qm_reference_session_open(const struct qm_reference_session_params *params,
                                         struct qm_reference_session **out)
{
    *out = NULL;
    struct qm_reference_session *session = calloc(1, sizeof(*session));
    if (!session)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory to open a device");
    session->params = with_defaults(params);
    session->vocabulary = params->reference->model->config.vocabulary;
    enum qm_status status = open_device(session);
    if (status == QM_OK)
        *out = session;
    else
        qm_reference_session_close(&session);
    return status;
}

// What the device gave is what arrived.
static enum qm_status check_checksum(const struct qm_reference_session *session, const json_t *answer, uint32_t window,
                                     uint32_t tokens)
{
    const char *text = json_string_value(json_array_get(json_object_get(answer, "checksums"), 0));
    const float *logits = session->map.bytes;
    uint64_t device = text ? strtoull(text, NULL, 16) : 0, host = 0;
    for (uint32_t row = 0; row < tokens; ++row)
        host = qm_checksum_fold(host, qm_checksum_row(logits + (size_t)row * session->vocabulary, session->vocabulary));
    if (device != host)
        return QM_FAIL(QM_WRONG_RESULT,
                       "window %u: the device's checksum of its logits, %016llx, is not that of the logits it gave, "
                       "%016llx",
                       window + 1, (unsigned long long)device, (unsigned long long)host);
    return QM_OK;
}

enum qm_status qm_reference_session_run(struct qm_reference_session *session, uint32_t window, uint32_t tokens,
                                        const float **logits)
{
    const struct qm_evaluation *evaluation = session->params.evaluation;
    const uint32_t *own = qm_evaluation_tokens(evaluation, window);
    const char *path = session->params.reference->on_device->scratch_path;
    const size_t expected = (size_t)tokens * (session->vocabulary + 1) * sizeof(float);
    json_t *answer = NULL;
    enum qm_status status = QM_OK;
    session->fraction = (double)window / evaluation->set.windows;
    qm_file_unmap(&session->map);
    QM_TRY(ask_plainly(session, json_pack("{s:s, s:I, s:o}", "do", "tokens", "base", (json_int_t)0, "tokens",
                                          qm_client_token_lists(own, 1, tokens + 1))));
    QM_TRY(qm_file_remove(path));
    QM_TRY(ask(session,
               json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:s}", "do", "run", "scheme", "f32", "batch",
                         (json_int_t)1, "tokens", (json_int_t)tokens, "position", (json_int_t)0, "sequence",
                         (json_int_t)0, "repeats", (json_int_t)1, "logits", path),
               &answer));
    QM_GUARD(qm_file_map(path, expected, &session->map));
    if (session->map.count != expected)
        QM_GUARD(QM_FAIL(QM_FAILED, "the worker left %zu bytes of logits where %zu were expected", session->map.count,
                         expected));
    QM_GUARD(check_checksum(session, answer, window, tokens));
    QM_GUARD(qm_file_remove(path)); // the mapping keeps it
    *logits = session->map.bytes;
done:
    json_decref(answer);
    return status;
}

void qm_reference_session_close(struct qm_reference_session **session)
{
    if (!*session)
        return;
    qm_file_unmap(&(*session)->map);
    qm_client_end(&(*session)->client);
    (void)!qm_file_remove((*session)->params.reference->on_device->scratch_path);
    free(*session);
    *session = NULL;
}

void qm_reference_session_tell(struct qm_reference_session *session, const char *what, double fraction)
{
    const struct qm_reference_params *reference = session->params.reference;
    session->fraction = fraction;
    if (reference->progress)
        reference->progress(reference->progress_context, what, fraction);
}

struct qm_client_scheme qm_reference_session_scheme(const struct qm_reference_session *session)
{
    return (struct qm_client_scheme){session->client, qm_client_timeout_s(), "f32"};
}

enum qm_status qm_reference_session_check_memory(const struct qm_reference_session_params *given)
{
    const struct qm_reference_session_params params = with_defaults(given);
    const uint64_t has = params.device->memory_bytes;
    const struct qm_engine_params engine = {.config = params.reference->model->config,
                                            .context = params.positions,
                                            .rows = params.rows,
                                            .sequences = params.sequences,
                                            .slots = 1};
    struct qm_scheme f32;
    struct qm_need need;
    QM_TRY(qm_scheme_parse("f32", &f32));
    QM_TRY(qm_need_find(&engine, &f32, &need));
    uint64_t needs = need.weight_bytes + need.cache_bytes + need.scratch_bytes;
    if (has > 0 && needs > has)
        return QM_FAIL(QM_OUT_OF_MEMORY, "f32 takes %.2f GB (%" PRIu64 " bytes), and it has %.2f GB",
                       (double)needs * 1e-9, needs, (double)has * 1e-9);
    return QM_OK;
}
