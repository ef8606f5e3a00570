// Answers to a user's examples by each scheme, after it was timed (answers.h). They come from the networks that were timed,
// in the scheme's own weights, activations and KV format.
#include "bench/device_run_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "bench/answers.h"
#include "bench/client_answers.h"

struct asked {
    struct qm_session *session;
    size_t scheme;
    uint32_t told; // sequences that progress knows of
};

static struct qm_client_scheme scheme_of(const struct asked *asked)
{
    return (struct qm_client_scheme){.client = asked->session->client,
                                     .timeout_s = qm_client_timeout_s(),
                                     .scheme = asked->session->prepared->schemes[asked->scheme].scheme.name};
}

static enum qm_status generate(void *context, const struct qm_generate_request *request, uint32_t steps, uint32_t *ids)
{
    const struct qm_client_scheme scheme = scheme_of(context);
    return qm_client_generate(&scheme, request, steps, ids);
}

static enum qm_status weigh(void *context, const struct qm_generate_request *request, const uint32_t *first,
                            double *log_probabilities)
{
    const struct qm_client_scheme scheme = scheme_of(context);
    return qm_client_weigh(&scheme, request, first, log_probabilities);
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
