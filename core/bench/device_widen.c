// What a widened model adds to a run: how wide a model the device holds, the same schemes as they are beside it, the
// divergence of the one from the other, and the product on random codes.
#include "bench/device_run_internal.h"
#include "bench/result_derive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum qm_status qm_session_fit(struct qm_session *session)
{
    const struct qm_profile *profile = session->profile;
    json_t *request = qm_session_engine_request(session, "fit"), *schemes = json_array(), *passes = json_array();
    for (size_t s = 0; s < session->prepared->scheme_count; ++s) {
        const struct qm_prepared_scheme *prepared = &session->prepared->schemes[s];
        if (prepared->status == QM_OK)
            json_array_append_new(
                schemes, json_pack("{s:s, s:s}", "scheme", prepared->scheme.name, "artifact", prepared->artifact_path));
    }
    json_array_append_new(passes, json_pack("{s:I, s:I}", "batch", (json_int_t)1, "tokens",
                                            (json_int_t)session->prepared->evaluation->set.window_tokens));
    for (size_t i = 0; i < profile->prefill_count; ++i)
        json_array_append_new(passes, json_pack("{s:I, s:I}", "batch", (json_int_t)profile->prefill[i].batch, "tokens",
                                                (json_int_t)profile->prefill[i].prompt));
    for (size_t b = 0; b < session->batch_count; ++b)
        json_array_append_new(
            passes, json_pack("{s:I, s:I}", "batch", (json_int_t)session->batches[b], "tokens", (json_int_t)1));
    json_object_set_new(request, "schemes", schemes);
    json_object_set_new(request, "passes", passes);
    json_object_set_new(request, "most", json_integer(QM_PROFILE_WIDEN_MAX));
    qm_session_tell(session, "how wide a model fits", 0);
    json_t *answer = NULL;
    QM_TRY(qm_session_ask(session, request, &answer));
    const char *reason = json_string_value(json_object_get(answer, "reason"));
    session->run->widen = (uint32_t)json_integer_value(json_object_get(answer, "widen"));
    snprintf(session->run->fit_reason, sizeof(session->run->fit_reason), "%s",
             reason && reason[0] ? reason : "the widest that is built");
    json_decref(answer);
    return QM_OK;
}

enum qm_status qm_session_load_narrow(struct qm_session *session)
{
    json_t *answer = NULL;
    bool has_engine = false;
    for (size_t s = 0; s < session->run->scheme_count; ++s) {
        const struct qm_prepared_scheme *prepared = &session->prepared->schemes[s];
        if (session->run->schemes[s].status != QM_OK)
            continue;
        if (!has_engine) {
            json_t *request = qm_session_engine_request(session, "engine");
            json_object_set_new(request, "artifact", json_string(prepared->artifact_path));
            json_object_set_new(request, "narrow", json_true());
            QM_TRY(qm_session_ask(session, request, &answer));
            json_decref(answer);
            has_engine = true;
        }
        enum qm_status status =
            qm_session_ask(session,
                           json_pack("{s:s, s:s, s:s, s:b}", "do", "load", "scheme", prepared->scheme.name, "artifact",
                                     prepared->artifact_path, "narrow", 1),
                           &answer);
        if (status == QM_OK) {
            json_decref(answer);
            continue;
        }
        qm_session_fail(session, s, status);
        if (!qm_client_is_alive(session->client))
            return status;
    }
    return QM_OK;
}

enum qm_status qm_session_judge_widening(struct qm_session *session, size_t scheme, size_t tokens,
                                         struct qm_summary **summary)
{
    struct qm_scheme_run *run = &session->run->schemes[scheme];
    const struct qm_token_scores *scores = run->widening.scores; // of which `tokens` are scored so far
    struct qm_widening_verdict verdict = {0};
    QM_TRY(qm_derive_plain(session->prepared->evaluation, &session->profile->bootstrap, scores, tokens, summary));
    QM_TRY(
        qm_derive_widening(&session->prepared->schemes[scheme].scheme, run->scores->kl, scores->kl, tokens, &verdict));
    run->widening.bound = verdict.mean_bound;
    double mean = (*summary)->metrics[QM_METRIC_KL_MEAN].value;
    if (tokens > 0 && !(mean <= verdict.mean_bound && verdict.median <= verdict.median_bound))
        return QM_FAIL(QM_WRONG_RESULT,
                       "widened %u times it is another model than the narrow one on the same device: KL mean %.3g "
                       "nats over %zu tokens, bound %.3g, median %.3g, bound %.3g",
                       session->run->widen, mean, tokens, verdict.mean_bound, verdict.median, verdict.median_bound);
    return QM_OK;
}

static enum qm_status time_random(struct qm_session *session, size_t scheme)
{
    const struct qm_prepared_scheme *prepared = &session->prepared->schemes[scheme];
    struct qm_widening_run *widening = &session->run->schemes[scheme].widening;
    json_t *answer = NULL;
    QM_TRY(qm_session_ask(session,
                          json_pack("{s:s, s:s, s:s}", "do", "random", "scheme", prepared->scheme.name, "artifact",
                                    prepared->artifact_path),
                          &answer));
    enum qm_status status = QM_OK;
    const json_t *tiled = json_object_get(answer, "tiled_ns"), *random = json_object_get(answer, "random_ns");
    size_t pairs = json_array_size(tiled);
    widening->tiled_ns = calloc(pairs + 1, sizeof(double));
    widening->random_ns = calloc(pairs + 1, sizeof(double));
    if (!widening->tiled_ns || !widening->random_ns) {
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory for times");
        goto done;
    }
    widening->rows = (uint32_t)json_integer_value(json_object_get(answer, "rows"));
    widening->columns = (uint32_t)json_integer_value(json_object_get(answer, "columns"));
    widening->products = (uint32_t)json_integer_value(json_object_get(answer, "products"));
    widening->has_device_time = json_is_true(json_object_get(answer, "has_device_time"));
    widening->pairs = pairs;
    for (size_t i = 0; i < pairs; ++i) {
        widening->tiled_ns[i] = (double)json_integer_value(json_array_get(tiled, i));
        widening->random_ns[i] = (double)json_integer_value(json_array_get(random, i));
    }
done:
    json_decref(answer);
    return status;
}

enum qm_status qm_session_time_random(struct qm_session *session)
{
    for (size_t s = 0; s < session->run->scheme_count; ++s) {
        if (session->run->schemes[s].status != QM_OK)
            continue;
        char what[QM_SCHEME_NAME_BYTES + 32];
        snprintf(what, sizeof(what), "%s on random codes", session->prepared->schemes[s].scheme.name);
        qm_session_tell(session, what, 0);
        enum qm_status status = time_random(session, s);
        if (status != QM_OK) {
            qm_session_fail(session, s, status);
            if (!qm_client_is_alive(session->client))
                return status;
        }
    }
    return QM_OK;
}

void qm_widening_run_clear(struct qm_widening_run *widening)
{
    qm_token_scores_destroy(&widening->scores);
    qm_summary_destroy(&widening->before);
    qm_summary_destroy(&widening->all);
    free(widening->tiled_ns);
    free(widening->random_ns);
}
