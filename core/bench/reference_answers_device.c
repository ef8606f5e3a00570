// The fp32 answers of models of real size by the device that computes their reference (reference_device.h).
#include <stdio.h>

#include "bench/reference_answers_internal.h"
#include "bench/reference_session.h"

enum {
    SEQUENCES = 16,
    ROWS = 512
};

static enum qm_status generate(void *context, const struct qm_generate_request *request, uint32_t steps, uint32_t *ids)
{
    const struct qm_client_scheme scheme = qm_reference_session_scheme(context);
    return qm_client_generate(&scheme, request, steps, ids);
}

static enum qm_status weigh(void *context, const struct qm_generate_request *request, const uint32_t *first,
                            double *log_probabilities)
{
    const struct qm_client_scheme scheme = qm_reference_session_scheme(context);
    return qm_client_weigh(&scheme, request, first, log_probabilities);
}

static void tell(void *context, uint32_t done, uint32_t count)
{
    qm_reference_session_tell(context, "reference answers on a device", (double)done / count);
}

enum qm_status qm_reference_answers_by_device(const struct qm_reference_params *params,
                                              const struct qm_answer_questions *questions, struct qm_generated **out)
{
    const struct qm_device_entry *device = params->on_device->devices;
    const uint32_t longest = qm_answer_longest(questions->tokens);
    struct qm_answer_source source = {.generate = generate,
                                      .weigh = weigh,
                                      .tell = tell,
                                      .sequences = SEQUENCES,
                                      .rows = longest > ROWS ? longest : ROWS};
    struct qm_reference_session_params session = {.reference = params,
                                                  .device = device,
                                                  .rows = source.rows,
                                                  .positions = qm_answer_positions(questions),
                                                  .sequences = SEQUENCES};
    struct qm_reference_session *worker = NULL;
    struct qm_scheme f32;
    struct qm_artifact *artifact = NULL;
    char path[QM_PATH_BYTES];
    enum qm_status status = QM_OK;
    *out = NULL;
    QM_GUARD(qm_reference_session_check_memory(&session));
    QM_GUARD(qm_scheme_parse("f32", &f32));
    QM_GUARD(qm_reference_artifact(params, &f32, NULL, &artifact, path)); // f32 is not calibrated
    session.artifact_path = path;
    QM_GUARD(qm_reference_session_open(&session, &worker));
    source.context = worker;
    tell(worker, 0, 1);
    QM_GUARD(qm_answers_generate(questions, &source, out));
done:
    if (status != QM_OK && status != QM_INTERRUPTED)
        qm_error_prefix("the fp32 answers on %s, %s: ", device->id, device->name);
    qm_reference_session_close(&worker);
    qm_artifact_destroy(&artifact);
    if (status == QM_OUT_OF_MEMORY || status == QM_UNSUPPORTED) { // of what was asked for: exit code 2
        char text[512];
        snprintf(text, sizeof(text), "%s", qm_error_text());
        return QM_FAIL(QM_INVALID, "%s; leave out --reference-on-device for the host's, or name another device", text);
    }
    return status;
}
