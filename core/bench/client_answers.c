#include "bench/client_answers.h"

json_t *qm_client_token_lists(const uint32_t *tokens, uint32_t lists, uint32_t length)
{
    json_t *all = json_array();
    for (uint32_t i = 0; i < lists; ++i) {
        json_t *list = json_array();
        for (uint32_t p = 0; p < length; ++p)
            json_array_append_new(list, json_integer(tokens[(size_t)i * length + p]));
        json_array_append_new(all, list);
    }
    return all;
}

// {"do": verb, "scheme": .., "tokens": [[..] ..], "position": ..}; NULL without memory.
static json_t *new_request(const struct qm_client_scheme *asked, const char *verb,
                           const struct qm_generate_request *request)
{
    json_t *lists = qm_client_token_lists(request->tokens, request->batch, request->count);
    return json_pack("{s:s, s:s, s:o, s:I}", "do", verb, "scheme", asked->scheme, "tokens", lists, "position",
                     (json_int_t)request->position);
}

enum qm_status qm_client_generate(const struct qm_client_scheme *asked, const struct qm_generate_request *request,
                                  uint32_t steps, uint32_t *ids)
{
    json_t *answer = NULL, *message = new_request(asked, "generate", request);
    if (message)
        json_object_set_new(message, "steps", json_integer(steps));
    QM_TRY(qm_client_ask(asked->client, asked->timeout_s, message, &answer));
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

enum qm_status qm_client_weigh(const struct qm_client_scheme *asked, const struct qm_generate_request *request,
                               const uint32_t *first, double *log_probabilities)
{
    json_t *answer = NULL, *message = new_request(asked, "likelihood", request), *firsts = json_array();
    for (uint32_t b = 0; b < request->batch; ++b)
        json_array_append_new(firsts, json_integer(first[b]));
    if (message)
        json_object_set_new(message, "first", firsts);
    else
        json_decref(firsts);
    QM_TRY(qm_client_ask(asked->client, asked->timeout_s, message, &answer));
    const json_t *list = json_object_get(answer, "log_probabilities");
    enum qm_status status = QM_OK;
    if (json_array_size(list) != request->batch)
        status = QM_FAIL(QM_FAILED, "the worker gave no likelihood for each of %u sequences", request->batch);
    for (uint32_t b = 0; b < request->batch && status == QM_OK; ++b)
        log_probabilities[b] = json_number_value(json_array_get(list, b));
    json_decref(answer);
    return status;
}
