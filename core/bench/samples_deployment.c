#include "bench/samples_deployment.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/prepare_deployment.h"
#include "bench/samples_tensors.h"
#include "bench/server.h"

enum {
    NAME_BYTES = QM_TENSOR_NAME_BYTES_MAX + 1
};

#define LARGEST_NS 1e18 // thirty years

static enum qm_status refuse(const struct qm_tensors *file, const char *name, const char *what)
{
    return QM_FAIL(QM_INVALID, "%s: tensor '%.160s': %s", file->file, name, what);
}

static enum qm_status need(const struct qm_tensors *file, const char *name, uint64_t words,
                           const struct qm_tensor **out)
{
    *out = qm_tensors_find(file, name);
    if (!*out)
        return refuse(file, name, "missing; run again with this qmark");
    if ((*out)->dtype != QM_DTYPE_U32 || (*out)->rank != 1 || (*out)->shape[0] != words)
        return QM_FAIL(QM_INVALID, "%s: tensor '%.160s': expected %" PRIu64 " of U32", file->file, name, words);
    return QM_OK;
}

// Those that the profile describes by themselves are drawn again.
static enum qm_status check_requests(const struct qm_tensors *file, const char *name, const struct qm_profile *profile,
                                     struct qm_requests *own)
{
    const struct qm_deployment *plan = &profile->deployment;
    struct qm_requests drawn;
    for (uint32_t i = 0; i < own->count; ++i) {
        const struct qm_request *request = &own->requests[i];
        if (request->prompt_tokens == 0 || request->prompt_tokens > QM_DEPLOYMENT_TOKENS_MAX ||
            request->output_tokens == 0 || request->output_tokens > QM_DEPLOYMENT_TOKENS_MAX)
            return QM_FAIL(QM_INVALID, "%s: tensor '%.160s': request %" PRIu32 " is none", file->file, name, i);
    }
    qm_requests_hash(own);
    if (own->prompt_tokens + own->output_tokens > QM_DEPLOYMENT_TOKENS_OF_RUN_MAX)
        return refuse(file, name, "more tokens than are served at most");
    if (strcmp(own->sha256, plan->sha256) != 0)
        return refuse(file, name, "other requests than the profile's, by their hash");
    if (plan->has_trace)
        return QM_OK;
    QM_TRY(qm_deployment_requests(plan, 2 * QM_DEPLOYMENT_TOKENS_MAX, NULL, &drawn)); // checks the hash
    qm_requests_free(&drawn);
    return QM_OK;
}

enum qm_status qm_samples_read_requests(const struct qm_tensors *file, const struct qm_profile *profile,
                                        struct qm_requests *own)
{
    static const char name[] = "deployment.requests";
    const struct qm_tensor *tensor = NULL;
    uint32_t count = profile->deployment.requests;
    if (!profile->has_deployment || !qm_tensors_find(file, name))
        return QM_OK;
    if (count == 0 || count > QM_DEPLOYMENT_REQUESTS_MAX)
        return refuse(file, name, "the profile does not say of how many");
    QM_TRY(need(file, name, 2 * (uint64_t)count, &tensor));
    own->requests = calloc(count, sizeof(*own->requests));
    if (!own->requests)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for samples", file->file);
    memcpy(own->requests, tensor->data, count * sizeof(*own->requests)); // little-endian: prompt, output
    own->count = count;
    return check_requests(file, name, profile, own);
}

static enum qm_status check_times(const struct qm_tensors *file, const char *name, const struct qm_requests *requests,
                                  const struct qm_deployment_run *own)
{
    for (size_t i = 0; i < own->rounds * requests->count; ++i) {
        const struct qm_request_times *times = &own->times[i];
        bool has_several = requests->requests[i % requests->count].output_tokens > 1;
        if (!(times->start_ns >= 0 && times->end_ns < LARGEST_NS && times->first_token_ns > times->start_ns &&
              (has_several ? times->end_ns > times->first_token_ns : times->end_ns == times->first_token_ns)))
            return QM_FAIL(QM_INVALID,
                           "%s: tensor '%.160s': the times of request %zu are no start, first token and end",
                           file->file, name, i);
    }
    return QM_OK;
}

// Of the length of a round that is left to the host.
static enum qm_status read_passes(const struct qm_tensors *file, const char *scheme, const struct qm_requests *requests,
                                  struct qm_deployment_run *own)
{
    char name[NAME_BYTES];
    const struct qm_tensor *tensor = NULL;
    snprintf(name, sizeof(name), "%.180s.deployment.pass_ns.f64", scheme);
    QM_TRY(need(file, name, 2 * (uint64_t)own->rounds, &tensor));
    own->pass_ns = malloc(tensor->bytes + 1);
    if (!own->pass_ns)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for samples", file->file);
    memcpy(own->pass_ns, tensor->data, tensor->bytes);
    for (size_t round = 0; round < own->rounds; ++round) {
        double end_ns = 0;
        for (size_t i = 0; i < requests->count; ++i) {
            const struct qm_request_times *times = &own->times[round * requests->count + i];
            end_ns = times->end_ns > end_ns ? times->end_ns : end_ns;
        }
        if (!(own->pass_ns[round] > 0 && own->pass_ns[round] <= end_ns))
            return refuse(file, name, "passes take no longer than their round, and some time");
    }
    return QM_OK;
}

static enum qm_status read_check(const struct qm_tensors *file, const char *scheme, struct qm_deployment_run *own)
{
    char name[NAME_BYTES];
    snprintf(name, sizeof(name), "%.180s.deployment.check_kl.f64", scheme);
    const struct qm_tensor *tensor = qm_tensors_find(file, name);
    if (!tensor || tensor->dtype != QM_DTYPE_U32 || tensor->rank != 1 || tensor->shape[0] == 0 ||
        tensor->shape[0] % 2 != 0)
        return refuse(file, name, "expected pairs of U32, one for each token that was compared");
    own->check_kl = malloc(tensor->bytes);
    if (!own->check_kl)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for samples", file->file);
    memcpy(own->check_kl, tensor->data, tensor->bytes);
    own->check_count = tensor->shape[0] / 2;
    for (size_t i = 0; i < own->check_count; ++i)
        if (!(own->check_kl[i] >= 0 && own->check_kl[i] < 1e39))
            return refuse(file, name, "a divergence is out of range");
    return QM_OK;
}

enum qm_status qm_samples_read_deployment(const struct qm_tensors *file, const char *scheme,
                                          const struct qm_profile *profile, const struct qm_requests *requests,
                                          struct qm_deployment_run *own)
{
    char name[NAME_BYTES];
    const struct qm_tensor *tensor = NULL;
    uint32_t tokens[QM_SAMPLES_FOLD_WORDS];
    size_t rounds = profile->deployment.rounds;
    snprintf(name, sizeof(name), "%.180s.deployment.tokens", scheme);
    if (requests->count == 0 || !qm_tensors_find(file, name))
        return QM_OK;
    QM_TRY(need(file, name, QM_SAMPLES_FOLD_WORDS, &tensor));
    memcpy(tokens, tensor->data, sizeof(tokens));
    own->tokens = tokens[0] | (uint64_t)tokens[1] << 32;
    snprintf(name, sizeof(name), "%.180s.deployment.times.f64", scheme);
    QM_TRY(need(file, name, 2 * QM_SAMPLES_TIMES_OF_REQUEST * (uint64_t)rounds * requests->count, &tensor));
    own->times = malloc(tensor->bytes + 1);
    if (!own->times)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for samples", file->file);
    memcpy(own->times, tensor->data, tensor->bytes);
    own->rounds = rounds;
    QM_TRY(check_times(file, name, requests, own));
    QM_TRY(read_passes(file, scheme, requests, own));
    return read_check(file, scheme, own);
}
