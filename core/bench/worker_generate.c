#include "bench/worker_generate.h"

#include <stdlib.h>

#include "bench/worker_fault.h"

void qm_worker_generator_close(struct qm_worker_generator *kept)
{
    qm_generator_destroy(&kept->generator);
    kept->network = NULL;
}

static enum qm_status find_generator(struct qm_worker_generator *kept, const struct qm_generator_params *params)
{
    if (kept->generator && kept->network == params->network)
        return QM_OK;
    qm_worker_generator_close(kept);
    QM_TRY(qm_generator_create(params, &kept->generator));
    kept->network = params->network;
    return QM_OK;
}

// `tokens`, lists of one length, into an array that the caller frees.
static enum qm_status read_tokens(const json_t *request, struct qm_generate_request *out, uint32_t **tokens)
{
    const json_t *lists = json_object_get(request, "tokens");
    size_t batch = json_array_size(lists), count = json_array_size(json_array_get(lists, 0));
    if (batch == 0 || count == 0 || batch > UINT32_MAX || count > UINT32_MAX)
        return QM_FAIL(QM_INVALID, "'tokens' are no lists of tokens");
    *tokens = calloc(batch * count, sizeof(**tokens));
    if (!*tokens)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for %zu tokens", batch * count);
    for (size_t b = 0; b < batch; ++b) {
        const json_t *list = json_array_get(lists, b);
        if (json_array_size(list) != count)
            return QM_FAIL(QM_INVALID, "'tokens' are lists of different lengths");
        for (size_t i = 0; i < count; ++i)
            (*tokens)[b * count + i] = (uint32_t)json_integer_value(json_array_get(list, i));
    }
    *out = (struct qm_generate_request){.batch = (uint32_t)batch,
                                        .count = (uint32_t)count,
                                        .position = (uint32_t)json_integer_value(json_object_get(request, "position")),
                                        .tokens = *tokens};
    return QM_OK;
}

enum qm_status qm_worker_generate(struct qm_worker_generator *kept, const struct qm_generator_params *params,
                                  const char *scheme, const json_t *request, json_t *answer)
{
    struct qm_generate_request asked = {0};
    uint32_t *tokens = NULL, *ids = NULL, steps = (uint32_t)json_integer_value(json_object_get(request, "steps"));
    enum qm_status status = QM_OK;
    qm_fault_answers(scheme);
    QM_GUARD(find_generator(kept, params));
    QM_GUARD(read_tokens(request, &asked, &tokens));
    if (steps == 0 || steps > qm_engine_config(params->engine)->context) {
        status = QM_FAIL(QM_INVALID, "%u tokens cannot be generated", steps);
        goto done;
    }
    ids = calloc((size_t)asked.batch * steps, sizeof(*ids));
    if (!ids) {
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for %u tokens", steps);
        goto done;
    }
    QM_GUARD(qm_generate(kept->generator, &asked, steps, ids, NULL));
    if (qm_fault_is_wrong_answer(scheme))
        ids[0] ^= 1u;
    json_t *lists = json_array();
    json_object_set_new(answer, "ids", lists);
    for (uint32_t b = 0; b < asked.batch; ++b) {
        json_t *list = json_array();
        json_array_append_new(lists, list);
        for (uint32_t i = 0; i < steps; ++i)
            json_array_append_new(list, json_integer(ids[(size_t)b * steps + i]));
    }
done:
    free(tokens);
    free(ids);
    return status;
}

enum qm_status qm_worker_likelihood(struct qm_worker_generator *kept, const struct qm_generator_params *params,
                                    const json_t *request, json_t *answer)
{
    struct qm_generate_request asked = {0};
    uint32_t *tokens = NULL, *first = NULL;
    double *sums = NULL;
    const json_t *firsts = json_object_get(request, "first");
    enum qm_status status = QM_OK;
    QM_GUARD(find_generator(kept, params));
    QM_GUARD(read_tokens(request, &asked, &tokens));
    if (json_array_size(firsts) != asked.batch) {
        status = QM_FAIL(QM_INVALID, "'first' is no list of a number for each sequence");
        goto done;
    }
    first = calloc(asked.batch, sizeof(*first));
    sums = calloc(asked.batch, sizeof(*sums));
    if (!first || !sums) {
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for %u likelihoods", asked.batch);
        goto done;
    }
    for (uint32_t b = 0; b < asked.batch; ++b)
        first[b] = (uint32_t)json_integer_value(json_array_get(firsts, b));
    QM_GUARD(qm_generate_weigh(kept->generator, &asked, first, sums));
    json_t *list = json_array();
    json_object_set_new(answer, "log_probabilities", list);
    for (uint32_t b = 0; b < asked.batch; ++b)
        json_array_append_new(list, json_real(sums[b]));
done:
    free(tokens);
    free(first);
    free(sums);
    return status;
}
