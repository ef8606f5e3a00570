#include "bench/device_run_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/client_answers.h"
#include "bench/request.h"
#include "bench/tune_store.h"
#include "kernel/configure.h"
#include "sys/file.h"
#include "sys/host.h"

static void tell(struct qm_session *session, const char *what, double units, const struct qm_device_live *live)
{
    session->done += units;
    snprintf(session->stage, sizeof(session->stage), "%.*s", (int)strcspn(what, ","), what);
    if (session->params->live)
        *session->params->live = *live;
    if (session->params->progress)
        session->params->progress(session->params->progress_context, what,
                                  session->total > 0 ? session->done / session->total : 0);
}

void qm_session_tell(struct qm_session *session, const char *what, double units)
{
    tell(session, what, units, &(struct qm_device_live){0});
}

void qm_session_tell_rate(struct qm_session *session, const char *what, double units, size_t scheme, double tokens,
                          double ns)
{
    const struct qm_summary *summary = session->run->schemes[scheme].summary;
    const struct qm_estimate *kl = summary ? &summary->metrics[QM_METRIC_KL_MEAN] : NULL;
    struct qm_device_live live = {.has_rate = ns > 0, .rate_tokens_per_s = ns > 0 ? tokens / ns * 1e9 : 0};
    live.has_accuracy = kl && (kl->state == QM_ESTIMATE_POINT || kl->state == QM_ESTIMATE_INTERVAL);
    live.kl_mean = live.has_accuracy ? kl->value : 0;
    tell(session, what, units, &live);
}

// While the worker works, progress tells on what.
static void tell_sign(void *context, const char *at)
{
    struct qm_session *session = context;
    char what[sizeof(session->stage) + 200];
    snprintf(what, sizeof(what), "%s%s%s", session->stage, session->stage[0] ? ", " : "", at);
    if (session->params->progress)
        session->params->progress(session->params->progress_context, what,
                                  session->total > 0 ? session->done / session->total : 0);
}

static void free_points(struct qm_scheme_run *scheme)
{
    for (size_t i = 0; i < scheme->point_count; ++i) {
        free(scheme->points[i].device_ns);
        free(scheme->points[i].wall_ns);
        free(scheme->points[i].step_ns);
        free(scheme->points[i].expected);
    }
    free(scheme->points);
    scheme->points = NULL;
    scheme->point_count = 0;
}

void qm_session_fail(struct qm_session *session, size_t scheme, enum qm_status status)
{
    struct qm_scheme_run *run = &session->run->schemes[scheme];
    if (run->status != QM_OK)
        return;
    run->status = status;
    snprintf(run->reason, sizeof(run->reason), "%s", qm_error_text());
    free_points(run);
}

uint32_t qm_session_base(const struct qm_session *session, uint32_t batch)
{
    for (size_t i = 0; i < session->batch_count; ++i) {
        if (session->batches[i] == batch)
            return session->bases[i];
    }
    return 0;
}

enum qm_status qm_session_tokens(struct qm_session *session, uint32_t first_window, uint32_t count, uint32_t base)
{
    const struct qm_evaluation *evaluation = session->prepared->evaluation;
    json_t *answer = NULL, *rows = qm_client_token_lists(qm_evaluation_tokens(evaluation, first_window), count,
                                                         evaluation->set.window_tokens + 1);
    QM_TRY(qm_session_ask(
        session, json_pack("{s:s, s:I, s:o}", "do", "tokens", "base", (json_int_t)base, "tokens", rows), &answer));
    json_decref(answer);
    return QM_OK;
}

enum qm_status qm_session_ask(struct qm_session *session, json_t *request, json_t **answer)
{
    return qm_client_ask(session->client, qm_client_timeout_s(), request, answer);
}

enum qm_status qm_session_run(struct qm_session *session, size_t scheme, uint32_t batch, uint32_t tokens,
                              uint32_t position, uint32_t sequence, uint32_t repeats, const char *logits,
                              json_t **answer)
{
    json_t *request = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I}", "do", "run", "scheme",
                                session->prepared->schemes[scheme].scheme.name, "batch", (json_int_t)batch, "tokens",
                                (json_int_t)tokens, "position", (json_int_t)position, "sequence", (json_int_t)sequence,
                                "repeats", (json_int_t)repeats);
    if (request && logits)
        json_object_set_new(request, "logits", json_string(logits));
    return qm_session_ask(session, request, answer);
}

enum qm_status qm_session_run_narrow(struct qm_session *session, size_t scheme, uint32_t tokens, uint32_t repeats,
                                     const char *logits, json_t **answer)
{
    return qm_session_ask(session,
                          json_pack("{s:s, s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:s}", "do", "run", "scheme",
                                    session->prepared->schemes[scheme].scheme.name, "narrow", 1, "batch", (json_int_t)1,
                                    "tokens", (json_int_t)tokens, "position", (json_int_t)0, "sequence", (json_int_t)0,
                                    "repeats", (json_int_t)repeats, "logits", logits),
                          answer);
}

// Distinct decode batches, the largest first, each in sequences of its own: decode rewrites the cache at its depths, and
// matvec and matmul round differently, so that a batch must find what itself has written.
void qm_session_plan_sequences(struct qm_session *session)
{
    const struct qm_profile *profile = session->profile;
    session->group = 1;
    for (size_t i = 0; i < profile->prefill_count; ++i) {
        if (profile->prefill[i].batch > session->group)
            session->group = profile->prefill[i].batch;
    }
    for (size_t i = 0; i < profile->decode_count; ++i) {
        uint32_t batch = profile->decode[i].batch;
        size_t at = 0;
        while (at < session->batch_count && session->batches[at] > batch)
            ++at;
        if (at < session->batch_count && session->batches[at] == batch)
            continue;
        memmove(&session->batches[at + 1], &session->batches[at], (session->batch_count - at) * sizeof(uint32_t));
        session->batches[at] = batch;
        ++session->batch_count;
        if (batch > session->group)
            session->group = batch;
    }
    if (session->group > session->prepared->evaluation->set.windows)
        session->group = session->prepared->evaluation->set.windows;
    session->sequences = session->group;
    for (size_t i = 0; i < session->batch_count; ++i) {
        session->bases[i] = i == 0 ? 0 : session->sequences;
        session->sequences += i == 0 ? 0 : session->batches[i];
    }
    session->rows = session->context = session->prepared->evaluation->set.window_tokens; // decode stays within them
    session->slots = session->group;
    for (size_t i = 0; i < profile->prefill_count; ++i) {
        uint32_t need = profile->prefill[i].batch * profile->prefill[i].prompt;
        session->rows = need > session->rows ? need : session->rows;
    }
    if (qm_session_has_answers(session)) {
        uint32_t longest = qm_answer_longest(session->prepared->example_tokens);
        uint32_t positions = qm_answer_positions(session->prepared->questions);
        session->rows = longest > session->rows ? longest : session->rows;
        session->context = positions > session->context ? positions : session->context;
    }
    if (qm_session_has_deployment(session))
        qm_session_plan_deployment(session);
    for (size_t i = 0; i < profile->decode_count; ++i)
        session->slots = profile->decode[i].steps > session->slots ? profile->decode[i].steps : session->slots;
}

json_t *qm_session_engine_request(const struct qm_session *session, const char *verb)
{
    const struct qm_profile *profile = session->profile;
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:b}", "do", verb, "widen",
                     (json_int_t)session->run->widen, "context", (json_int_t)session->context, "rows",
                     (json_int_t)session->rows, "sequences", (json_int_t)session->sequences, "slots",
                     (json_int_t)session->slots, "limit_ns", (json_int_t)profile->submission_ms * 1000000,
                     "most_dispatches", (json_int_t)profile->dispatches_per_submission, "tier",
                     qm_profile_tier_name(profile->tier), "unfused", (int)profile->is_unfused);
}

// What `qmark tune` found for the device, where the profile wants it.
static enum qm_status find_tuned(struct qm_session *session)
{
    struct qm_device_info info = {0};
    struct qm_tuned tuned;
    char directory[QM_PATH_BYTES], path[QM_PATH_BYTES];
    size_t ignored = 0;
    if (!session->profile->is_tuned)
        return QM_OK;
    QM_TRY(qm_cache_directory(directory));
    QM_TRY(qm_path_join(path, directory, QM_TUNED_FILE));
    if (qm_tuned_load(path, &tuned) != QM_OK) {
        fprintf(stderr, "%s: %s; no kernel is tuned\n", session->run->id, qm_error_text());
        return QM_OK;
    }
    const json_t *node = session->run->info;
    snprintf(info.api, sizeof(info.api), "%s", qm_request_text(node, "api"));
    snprintf(info.name, sizeof(info.name), "%s", qm_request_text(node, "name"));
    snprintf(info.driver, sizeof(info.driver), "%s", qm_request_text(node, "driver_version"));
    enum qm_status status = qm_tuned_text(&tuned, &info, &session->run->tuned, &ignored);
    qm_tuned_free(&tuned);
    if (status == QM_OK) // for what this process says of the kernels
        status = qm_kernel_tuned_set(session->run->tuned);
    if (status == QM_OK && ignored > 0)
        fprintf(stderr,
                "%s: %zu tuned kernels are of another driver or of kernels that have changed, and are ignored; 'qmark "
                "tune' finds them anew\n",
                session->run->id, ignored);
    return status;
}

static enum qm_status open_engine(struct qm_session *session)
{
    const char *artifact = NULL;
    for (size_t s = 0; s < session->prepared->scheme_count && !artifact; ++s) {
        if (session->prepared->schemes[s].status == QM_OK)
            artifact = session->prepared->schemes[s].artifact_path;
    }
    if (!artifact)
        return QM_FAIL(QM_FAILED, "no scheme could be prepared");
    if (session->profile->is_fit)
        QM_TRY(qm_session_fit(session));
    json_t *answer = NULL, *request = qm_session_engine_request(session, "engine");
    if (request)
        json_object_set_new(request, "artifact", json_string(artifact));
    QM_TRY(find_tuned(session));
    if (request && session->run->tuned && session->run->tuned[0])
        json_object_set_new(request, "tuned", json_string(session->run->tuned));
    QM_TRY(qm_session_ask(session, request, &answer));
    const char *tile = json_string_value(json_object_get(answer, "tile"));
    snprintf(session->run->tile, sizeof(session->run->tile), "%s", tile ? tile : "");
    json_decref(answer);
    return QM_OK;
}

static enum qm_status open_device(struct qm_session *session)
{
    json_t *answer = NULL;
    json_t *request = json_pack("{s:s, s:s, s:b, s:I, s:I}", "do", "open", "device", session->params->device, "debug",
                                session->params->is_debug, "attempt", (json_int_t)session->attempt->number, "opening",
                                (json_int_t)session->attempt->opening);
    if (request && session->params->cache_directory)
        json_object_set_new(request, "cache", json_string(session->params->cache_directory));
    QM_TRY(qm_client_ask(session->client, qm_client_timeout_s(), request, &answer));
    session->run->info = json_incref(json_object_get(answer, "info"));
    json_decref(answer);
    qm_session_tell(session, "self-test", 0);
    QM_TRY(qm_session_ask(session, json_pack("{s:s}", "do", "selftest"), &answer));
    session->run->selftest = json_incref(json_object_get(answer, "selftest"));
    json_decref(answer);
    return QM_OK;
}

bool qm_scheme_run_uses(const struct qm_scheme_run *scheme, const char *variant_name)
{
    size_t index;
    json_t *variant;
    json_array_foreach(scheme->variants, index, variant)
    {
        if (strcmp(json_string_value(variant), variant_name) == 0)
            return true;
    }
    return false;
}

// Those that the schemes use: what nothing runs need not be compiled.
static json_t *list_kernels(const struct qm_session *session)
{
    json_t *names = json_array();
    for (size_t s = 0; s < session->run->scheme_count; ++s) {
        size_t index;
        json_t *name;
        json_array_foreach(session->run->schemes[s].variants, index, name)
        {
            bool is_new = true;
            for (size_t i = 0; i < json_array_size(names); ++i)
                is_new = is_new && !json_equal(json_array_get(names, i), name);
            if (is_new)
                json_array_append(names, name);
        }
    }
    return names;
}

static enum qm_status check_kernels(struct qm_session *session)
{
    qm_session_tell(session, "each kernel against the oracle", 0);
    json_t *answer = NULL, *names = list_kernels(session);
    if (json_array_size(names) == 0) { // no scheme was loaded
        json_decref(names);
        return QM_OK;
    }
    QM_TRY(qm_session_ask(session,
                          json_pack("{s:s, s:b, s:I, s:I, s:o}", "do", "kernels", "quick", 1, "rows",
                                    (json_int_t)session->prepared->evaluation->set.window_tokens, "time_ns",
                                    (json_int_t)5000000, "names", names),
                          &answer));
    session->run->kernels = json_incref(json_object_get(answer, "reports"));
    json_decref(answer);
    return QM_OK;
}

// Shares of kernels are of what is measured here, a moment after them. QM_CEILINGS_MS is the time for the samples; 0: none
// are taken, as tests want it.
static enum qm_status measure_ceilings(struct qm_session *session)
{
    const char *given = getenv("QM_CEILINGS_MS");
    const json_int_t ms = given ? strtol(given, NULL, 10) : 5000;
    json_t *answer = NULL;
    if (ms <= 0 || json_array_size(session->run->kernels) == 0)
        return QM_OK;
    qm_session_tell(session, "what the device gives at best", 0);
    QM_TRY(qm_session_ask(session, json_pack("{s:s, s:I}", "do", "ceilings", "budget_ns", ms * 1000000), &answer));
    session->run->ceilings = json_incref(json_object_get(answer, "ceilings"));
    json_decref(answer);
    return QM_OK;
}

// A device that rounds, converts or computes qmark's functions otherwise gives no result at all.
static void judge_selftest(struct qm_session *session)
{
    const char *status = json_string_value(json_object_get(session->run->selftest, "status"));
    const char *reason = json_string_value(json_object_get(session->run->selftest, "reason"));
    for (size_t s = 0; status && strcmp(status, "wrong") == 0 && s < session->run->scheme_count; ++s)
        qm_session_fail(session, s, QM_FAIL(QM_WRONG_RESULT, "self-test: %s", reason ? reason : "wrong"));
}

// A scheme whose kernel is wrong, or cannot be had, gets no further.
static void judge_kernels(struct qm_session *session)
{
    size_t index;
    json_t *report;
    json_array_foreach(session->run->kernels, index, report)
    {
        const char *status = json_string_value(json_object_get(report, "status"));
        const char *name = json_string_value(json_object_get(report, "name"));
        if (!status || strcmp(status, "ok") == 0)
            continue;
        for (size_t s = 0; s < session->run->scheme_count; ++s) {
            if (qm_scheme_run_uses(&session->run->schemes[s], name)) {
                enum qm_status cause = strcmp(status, "wrong") == 0         ? QM_WRONG_RESULT
                                       : strcmp(status, "unsupported") == 0 ? QM_UNSUPPORTED
                                                                            : QM_FAILED;
                qm_session_fail(session, s,
                                QM_FAIL(cause, "kernel %s, %s: %s", name,
                                        json_string_value(json_object_get(report, "shape")),
                                        json_string_value(json_object_get(report, "reason"))));
            }
        }
    }
}

static enum qm_status load_schemes(struct qm_session *session)
{
    for (size_t s = 0; s < session->prepared->scheme_count; ++s) {
        const struct qm_prepared_scheme *prepared = &session->prepared->schemes[s];
        struct qm_scheme_run *run = &session->run->schemes[s];
        if (prepared->status != QM_OK) {
            qm_session_fail(session, s, QM_FAIL(prepared->status, "%s", prepared->reason));
            continue;
        }
        char what[QM_SCHEME_NAME_BYTES + 16];
        snprintf(what, sizeof(what), "loading %s", prepared->scheme.name);
        qm_session_tell(session, what, 0);
        json_t *answer = NULL;
        enum qm_status status = qm_client_ask(session->client, qm_client_timeout_s(),
                                              json_pack("{s:s, s:s, s:s}", "do", "load", "scheme",
                                                        prepared->scheme.name, "artifact", prepared->artifact_path),
                                              &answer);
        if (status != QM_OK) {
            qm_session_fail(session, s, status);
            if (!qm_client_is_alive(session->client))
                return status;
            session->lacks_memory |= status == QM_OUT_OF_MEMORY;
            continue;
        }
        run->weight_bytes = (uint64_t)json_integer_value(json_object_get(answer, "weight_bytes"));
        run->cache_bytes = (uint64_t)json_integer_value(json_object_get(answer, "cache_bytes"));
        run->repack_ns = (uint64_t)json_integer_value(json_object_get(answer, "repack_ns"));
        run->variants = json_incref(json_object_get(answer, "variants"));
        if (!session->run->start)
            session->run->start = json_incref(json_object_get(answer, "start"));
        json_decref(answer);
    }
    return QM_OK;
}

static enum qm_status create_points(struct qm_session *session)
{
    const struct qm_profile *profile = session->profile;
    for (size_t s = 0; s < session->run->scheme_count; ++s) {
        struct qm_scheme_run *run = &session->run->schemes[s];
        size_t count = profile->prefill_count + profile->decode_count;
        run->points = calloc(count ? count : 1, sizeof(*run->points));
        if (!run->points)
            return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for points");
        run->point_count = count;
        for (size_t i = 0; i < count; ++i) {
            struct qm_point_run *point = &run->points[i];
            *point = qm_point_of_profile(profile, session->prepared->profile, i);
            size_t steps = point->is_decode ? point->steps : 1;
            size_t expected = steps > session->group ? steps : session->group;
            point->expected = calloc(expected, sizeof(uint64_t));
            if (!point->expected)
                return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for points");
        }
    }
    return QM_OK;
}

static enum qm_status read_memory(struct qm_session *session)
{
    json_t *answer = NULL;
    QM_TRY(qm_session_ask(session, json_pack("{s:s}", "do", "memory"), &answer));
    if (session->run->peak_bytes == 0)
        session->run->peak_bytes = (uint64_t)json_integer_value(json_object_get(answer, "peak_bytes"));
    session->run->compile_ns = (double)json_integer_value(json_object_get(answer, "compile_ns"));
    session->run->compiled = (uint32_t)json_integer_value(json_object_get(answer, "compiled"));
    session->run->log_count = (uint64_t)json_integer_value(json_object_get(answer, "log_count"));
    json_decref(answer);
    return QM_OK;
}

// Widened, only the windows that timing repeats are scored before it, and the rest of the set at the end: that is long.
static enum qm_status score_before_timing(struct qm_session *session)
{
    QM_TRY(qm_session_score_begin(session));
    bool scores_all = !session->params->only_times && !qm_model_is_part(session->prepared->model);
    if (session->run->widen == 1 && scores_all) // the first group comes last, so that timing finds it on the device
        QM_TRY(qm_session_score_groups(session, 1, qm_session_group_count(session)));
    QM_TRY(qm_session_score_groups(session, 0, 1));
    return session->run->widen == 1 && scores_all ? qm_session_score_end(session) : QM_OK;
}

static enum qm_status score_after_timing(struct qm_session *session)
{
    if (session->run->widen == 1 || session->params->only_times)
        return QM_OK;
    QM_TRY(qm_session_time_random(session));
    QM_TRY(qm_session_score_groups(session, 1, qm_session_group_count(session)));
    return qm_session_score_end(session);
}

static enum qm_status begin(struct qm_session *session)
{
    QM_TRY(qm_client_start(session->params->environment, &session->client));
    qm_client_on_sign(session->client, tell_sign, session);
    QM_TRY(open_device(session));
    QM_TRY(qm_session_sensors_begin(session));
    enum qm_status status = open_engine(session);
    session->lacks_memory = status == QM_OUT_OF_MEMORY;
    QM_TRY(status);
    QM_TRY(create_points(session));
    QM_TRY(load_schemes(session));
    if (session->lacks_memory && session->attempt->may_shrink)
        return QM_FAIL(QM_OUT_OF_MEMORY, "a smaller batch is tried");
    if (session->run->widen > 1) {
        QM_TRY(read_memory(session)); // what stands beside the widened networks from now on is none of theirs
        QM_TRY(qm_session_load_narrow(session));
    }
    if (!session->params->only_times) {
        QM_TRY(check_kernels(session));
        QM_TRY(measure_ceilings(session));
    }
    judge_selftest(session);
    judge_kernels(session);
    return score_before_timing(session);
}

// Scored, timed, verified and, where that is asked, its answers judged and its requests served: whatever ends the worker now
// takes nothing from it.
static bool is_complete(const struct qm_session *session, const struct qm_scheme_run *scheme)
{
    bool has_speed = false;
    if (qm_session_has_answers(session) && !scheme->answers)
        return false;
    if (qm_session_has_deployment(session) && scheme->deployment.rounds < session->profile->deployment.rounds)
        return false;
    for (size_t i = 0; i < scheme->point_count; ++i) {
        if (scheme->points[i].expected_count > 0 && !scheme->points[i].is_verified)
            return false;
        has_speed |= scheme->points[i].count > 0;
    }
    return (scheme->summary || qm_model_is_part(session->prepared->model)) && has_speed;
}

// The profile with no decode batch beyond the attempt's; NULL without memory.
static struct qm_profile *limited_profile(const struct qm_profile *profile, uint32_t most_batch)
{
    struct qm_profile *copy = malloc(sizeof(*copy));
    if (!copy)
        return NULL;
    *copy = *profile;
    for (size_t i = 0; i < copy->decode_count; ++i) {
        if (copy->decode[i].batch > most_batch)
            copy->decode[i].batch = most_batch;
    }
    return copy;
}

enum qm_status qm_session_begin(const struct qm_device_run_params *params, const struct qm_attempt *attempt,
                                struct qm_session *session)
{
    *session = (struct qm_session){.params = params, .prepared = params->prepared, .attempt = attempt};
    struct qm_device_run *run = session->run = calloc(1, sizeof(*run));
    session->profile = session->limited = limited_profile(params->prepared->profile, attempt->most_batch);
    if (!run || !session->limited)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a run");
    snprintf(run->id, sizeof(run->id), "%s", params->device);
    run->scheme_count = params->prepared->scheme_count;
    run->widen = params->prepared->profile->widen;
    qm_time_utc(run->started);
    qm_session_plan_sequences(session);
    size_t points = session->profile->prefill_count + session->profile->decode_count;
    uint32_t windows = params->prepared->evaluation->set.windows;
    session->total =
        (double)run->scheme_count *
        (windows + (double)points * (session->profile->repeats + 1) +
         (session->profile->sustained == QM_PROFILE_SUSTAINED_NONE ? 0 : session->profile->sustained_s) +
         (qm_session_has_answers(session) ? (double)qm_answer_sequences(params->prepared->example_tokens) : 0) +
         (qm_session_has_deployment(session) ? qm_session_deployment_units(session) : 0));
    return begin(session);
}

enum qm_status qm_session_end(struct qm_session *session, enum qm_status status, struct qm_ending *ending,
                              struct qm_device_run **out)
{
    struct qm_device_run *run = session->run;
    *out = NULL;
    *ending = (struct qm_ending){0};
    if (run && session->limited && status == QM_OK)
        status = score_after_timing(session);
    if (run && session->limited && status == QM_OK)
        status = read_memory(session);
    ending->lost_device = status == QM_DEVICE_LOST && session->client && qm_client_lost_device(session->client);
    ending->lacks_memory = session->lacks_memory;
    snprintf(ending->reason, sizeof(ending->reason), "%s", qm_error_text());
    for (size_t s = 0; run && s < run->scheme_count; ++s)
        ending->loaded += run->schemes[s].variants != NULL;
    free(session->limited);
    session->limited = NULL;
    session->profile = session->prepared->profile;
    if (!run)
        return status;
    // What ended the worker ended every row that was not complete.
    run->was_interrupted = status == QM_INTERRUPTED;
    size_t incomplete = 0;
    for (size_t s = 0; status != QM_OK && s < run->scheme_count; ++s) {
        if (is_complete(session, &run->schemes[s]))
            continue;
        incomplete += run->schemes[s].status == QM_OK;
        qm_session_fail(session, s, status);
    }
    if (status != QM_OK && status != QM_INTERRUPTED && incomplete == 0)
        memcpy(run->late_reason, ending->reason, sizeof(run->late_reason));
    qm_client_end(&session->client);
    qm_session_sensors_end(session);
    qm_time_utc(run->finished);
    if (!run->info) { // nothing is known of the device: there is no result to write
        qm_device_run_destroy(&session->run);
        return status;
    }
    *out = run;
    session->run = NULL;
    return QM_OK;
}

static uint32_t largest_batch(const struct qm_profile *profile)
{
    uint32_t batch = 1;
    for (size_t i = 0; i < profile->decode_count; ++i)
        batch = profile->decode[i].batch > batch ? profile->decode[i].batch : batch;
    return batch;
}

// The next power of two below.
static uint32_t smaller_batch(uint32_t batch)
{
    uint32_t smaller = 1;
    while (smaller * 2 < batch)
        smaller *= 2;
    return smaller;
}

enum qm_status qm_device_run(const struct qm_device_run_params *params, struct qm_device_run **out)
{
    const struct qm_profile *profile = params->prepared->profile;
    uint32_t best = largest_batch(profile), retries = 0;
    size_t loaded = 0;
    char reason[320] = "";
    struct qm_attempt attempt = {.most_batch = best, .may_shrink = profile->allows_smaller_batch && best > 1};
    struct qm_ending ending;
    struct qm_session session;
    for (;;) {
        enum qm_status status = qm_session_begin(params, &attempt, &session);
        if (status == QM_OK)
            status = qm_session_time(&session);
        if (status == QM_OK)
            status = qm_session_answer(&session);
        if (status == QM_OK)
            status = qm_session_serve(&session);
        status = qm_session_end(&session, status, &ending, out);
        if (ending.lost_device && retries == 0) {
            memcpy(reason, ending.reason, sizeof(reason));
            attempt.number = ++retries;
        } else if (ending.lacks_memory && attempt.may_shrink) {
            // The largest batch with which the most schemes fit, for the others will not fit with any.
            if (ending.loaded > loaded) {
                loaded = ending.loaded;
                best = attempt.most_batch;
            }
            attempt.may_shrink = attempt.most_batch > 1;
            attempt.most_batch = attempt.may_shrink ? smaller_batch(attempt.most_batch) : best;
        } else if (status != QM_OK) {
            return status;
        } else {
            break;
        }
        qm_device_run_destroy(out);
    }
    (*out)->retries = retries;
    snprintf((*out)->retry_reason, sizeof((*out)->retry_reason), "%s", reason);
    return QM_OK;
}

void qm_device_run_destroy(struct qm_device_run **run)
{
    struct qm_device_run *r = *run;
    if (!r)
        return;
    free(r->tuned);
    for (size_t s = 0; s < r->scheme_count; ++s) {
        free_points(&r->schemes[s]);
        qm_token_scores_destroy(&r->schemes[s].scores);
        qm_token_scores_destroy(&r->schemes[s].decode_scores);
        qm_summary_destroy(&r->schemes[s].summary);
        qm_summary_destroy(&r->schemes[s].cells);
        qm_summary_destroy(&r->schemes[s].decode_summary);
        json_decref(r->schemes[s].variants);
        qm_agreement_clear(&r->schemes[s].agreement);
        qm_widening_run_clear(&r->schemes[s].widening);
        qm_sustained_run_clear(&r->schemes[s].sustained);
        qm_generated_destroy(&r->schemes[s].generated);
        qm_answer_run_destroy(&r->schemes[s].answers);
        qm_deployment_run_clear(&r->schemes[s].deployment);
    }
    free(r->before);
    free(r->after);
    free(r->noise);
    free(r->clock_host_ns);
    free(r->clock_device_ns);
    json_decref(r->info);
    json_decref(r->selftest);
    json_decref(r->start);
    json_decref(r->kernels);
    json_decref(r->ceilings);
    free(r);
    *run = NULL;
}
