// Answers to a user's examples by each scheme, after it was timed (answers.h). They come from the networks that were timed,
// in the scheme's own weights, activations and KV format.
#include "bench/device_run_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "bench/answers.h"

struct asked {
    struct qm_session *session;
    size_t scheme;
    uint32_t told; // sequences that progress knows of
};

// {"do": verb, "scheme": .., "tokens": [[..] ..], "position": ..}; NULL without memory.
static json_t *new_request(const struct asked *asked, const char *verb, const struct qm_generate_request *request)
{
    json_t *lists = qm_session_token_lists(request->tokens, request->batch, request->count);
    return json_pack("{s:s, s:s, s:o, s:I}", "do", verb, "scheme",
                     asked->session->prepared->schemes[asked->scheme].scheme.name, "tokens", lists, "position",
                     (json_int_t)request->position);
}

static enum qm_status generate(void *context, const struct qm_generate_request *request, uint32_t steps, uint32_t *ids)
{
    const struct asked *asked = context;
    json_t *answer = NULL, *message = new_request(asked, "generate", request);
    if (message)
        json_object_set_new(message, "steps", json_integer(steps));
    QM_TRY(qm_session_ask(asked->session, message, &answer));
    const json_t *lists = json_object_get(answer, "ids");
    enum qm_status status = QM_OK;
    if (json_array_size(lists) != request->batch)
        status = QM_FAIL(QM_FAILED, "the worker gave no tokens for each of %u sequences", request->batch);
    for (uint32_t b = 0; b < request->batch && status == QM_OK; ++b) {
        const json_t *list = json_array_get(lists, b);
        if (json_array_size(list) != steps) {
            status = QM_FAIL(QM_FAILED, "the worker gave %zu tokens of the %u it was asked for", json_array_size(list),
                             steps);
            break;
        }
        for (uint32_t i = 0; i < steps; ++i) {
            json_int_t id = json_integer_value(json_array_get(list, i));
            ids[(size_t)b * steps + i] = id >= 0 && id < UINT32_MAX ? (uint32_t)id : UINT32_MAX;
        }
    }
    json_decref(answer);
    return status;
}

static enum qm_status weigh(void *context, const struct qm_generate_request *request, const uint32_t *first,
                            double *log_probabilities)
{
    const struct asked *asked = context;
    json_t *answer = NULL, *message = new_request(asked, "likelihood", request), *firsts = json_array();
    for (uint32_t b = 0; b < request->batch; ++b)
        json_array_append_new(firsts, json_integer(first[b]));
    if (message)
        json_object_set_new(message, "first", firsts);
    else
        json_decref(firsts);
    QM_TRY(qm_session_ask(asked->session, message, &answer));
    const json_t *list = json_object_get(answer, "log_probabilities");
    enum qm_status status = QM_OK;
    if (json_array_size(list) != request->batch)
        status = QM_FAIL(QM_FAILED, "the worker gave no likelihood for each of %u sequences", request->batch);
    for (uint32_t b = 0; b < request->batch && status == QM_OK; ++b)
        log_probabilities[b] = json_number_value(json_array_get(list, b));
    json_decref(answer);
    return status;
}

static void tell(void *context, uint32_t done, uint32_t count)
{
    struct asked *asked = context;
    char what[QM_SCHEME_NAME_BYTES + 80];
    snprintf(what, sizeof(what), "answers of %s, %u of %u",
             asked->session->prepared->schemes[asked->scheme].scheme.name, done, count);
    qm_session_tell(asked->session, what, done - asked->told);
    asked->told = done;
}

static enum qm_status answer_scheme(struct qm_session *session, const struct qm_answer_questions *questions,
                                    size_t scheme)
{
    struct asked asked = {.session = session, .scheme = scheme};
    struct qm_scheme_run *run = &session->run->schemes[scheme];
    const struct qm_answer_source source = {.generate = generate,
                                            .weigh = weigh,
                                            .tell = tell,
                                            .context = &asked,
                                            .sequences = session->group,
                                            .rows = session->rows};
    tell(&asked, 0, (uint32_t)qm_answer_sequences(questions->tokens));
    QM_TRY(qm_answers_generate(questions, &source, &run->generated));
    struct qm_answer_run *answers = NULL;
    QM_TRY(qm_answers_judge(questions, run->generated, &answers));
    enum qm_status status = qm_answers_compare(answers, session->prepared->reference_answers);
    if (status == QM_OK)
        run->answers = answers;
    else
        qm_answer_run_destroy(&answers);
    return status;
}

bool qm_session_has_answers(const struct qm_session *session)
{
    return session->prepared->questions && !session->params->only_times;
}

enum qm_status qm_session_answer(struct qm_session *session)
{
    if (!qm_session_has_answers(session))
        return QM_OK;
    for (size_t s = 0; s < session->run->scheme_count; ++s) {
        if (session->run->schemes[s].status != QM_OK)
            continue;
        enum qm_status status = answer_scheme(session, session->prepared->questions, s);
        if (status == QM_OK)
            continue;
        qm_session_fail(session, s, status);
        if (status == QM_INTERRUPTED || !qm_client_is_alive(session->client))
            return status;
    }
    return QM_OK;
}
