// What a widened model adds to a run: how wide a model the device holds, the same schemes as they are beside it, the
// divergence of the one from the other, and the product on random codes.
#include "bench/device_run_internal.h"

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

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static enum qm_status find_median(const double *values, size_t count, double *out)
{
    double *sorted = malloc((count + 1) * sizeof(*sorted));
    if (!sorted)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a median");
    memcpy(sorted, values, count * sizeof(*sorted));
    qsort(sorted, count, sizeof(*sorted), compare_doubles);
    *out = count > 0 ? sorted[count / 2] : 0;
    free(sorted);
    return QM_OK;
}

// Whether nothing but what is stored is rounded: then no value can fall to the other side of a coarse tie.
static bool is_float(const struct qm_scheme *scheme)
{
    return scheme->activations <= QM_ACTIVATION_BF16 && scheme->kv <= QM_KV_F16 && scheme->override_count == 0;
}

#define LARGEST_MEAN 1e-3   // far below what any format of 8 bits costs
#define LARGEST_MEDIAN 1e-5 // what touches every row a little

// Wide sums have more terms and round more. Where activations or cache become codes of a few bits, a value near a tie
// then falls the other way, and others after it; that costs in proportion to what the scheme itself costs.
static enum qm_status find_bounds(struct qm_session *session, size_t scheme, size_t tokens, double *mean,
                                  double *median)
{
    const struct qm_scheme_run *run = &session->run->schemes[scheme];
    double own = 0, own_median = 0;
    *mean = LARGEST_MEAN;
    *median = LARGEST_MEDIAN;
    if (is_float(&session->prepared->schemes[scheme].scheme) || tokens == 0)
        return QM_OK;
    for (size_t i = 0; i < tokens; ++i)
        own += run->scores->kl[i] / (double)tokens;
    QM_TRY(find_median(run->scores->kl, tokens, &own_median));
    *mean = own / 2 > *mean ? own / 2 : *mean;
    *median = own_median / 10 > *median ? own_median / 10 : *median;
    return QM_OK;
}

enum qm_status qm_session_judge_widening(struct qm_session *session, size_t scheme, size_t tokens,
                                         struct qm_summary **summary)
{
    struct qm_scheme_run *run = &session->run->schemes[scheme];
    const struct qm_evaluation *evaluation = session->prepared->evaluation;
    struct qm_token_scores scored = *run->widening.scores; // those so far
    struct qm_summary_params params = {
        .scores = &scored, .sequence_count = evaluation->sequence_count, .bootstrap = session->profile->bootstrap};
    double median = 0, median_bound = 0;
    scored.count = tokens;
    QM_TRY(qm_summary_create(&params, summary));
    QM_TRY(find_bounds(session, scheme, tokens, &run->widening.bound, &median_bound));
    QM_TRY(find_median(scored.kl, tokens, &median));
    double mean = (*summary)->metrics[QM_METRIC_KL_MEAN].value;
    if (tokens > 0 && !(mean <= run->widening.bound && median <= median_bound))
        return QM_FAIL(QM_WRONG_RESULT,
                       "widened %u times it is another model than the narrow one on the same device: KL mean %.3g "
                       "nats over %zu tokens, bound %.3g, median %.3g, bound %.3g",
                       session->run->widen, mean, tokens, run->widening.bound, median, median_bound);
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
