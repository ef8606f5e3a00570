#include "workload/deployment_result.h"

#include "score/counts.h"

#include <inttypes.h>
#include <math.h> // isfinite
#include <stdlib.h>
#include <string.h>

static enum qm_status check_times(const struct qm_request *request, const struct qm_request_times *times, size_t index)
{
    bool is_finite = isfinite(times->start_ns) && isfinite(times->first_token_ns) && isfinite(times->end_ns);
    if (!is_finite || !(times->first_token_ns > times->start_ns) || times->end_ns < times->first_token_ns ||
        (request->output_tokens > 1 && !(times->end_ns > times->first_token_ns)))
        return QM_FAIL(QM_INVALID,
                       "request %zu: its times are no start, first token and end in this order; measure it again",
                       index);
    if (request->output_tokens == 0)
        return QM_FAIL(QM_INVALID, "request %zu has no output; expected one token at least", index);
    return QM_OK;
}

enum qm_status qm_deployment_judge(const struct qm_deployment *deployment, const struct qm_request *requests,
                                   const struct qm_request_times *times, size_t count,
                                   const struct qm_bootstrap *bootstrap, struct qm_deployment_result *out)
{
    enum qm_status status = QM_OK;
    uint64_t outputs = 0, prompts = 0;
    size_t several = 0; // requests with two tokens or more
    memset(out, 0, sizeof(*out));
    if (count == 0 || count > QM_DEPLOYMENT_REQUESTS_MAX)
        return QM_FAIL(QM_INVALID, "times of %zu requests; expected 1 to %d", count, QM_DEPLOYMENT_REQUESTS_MAX);
    QM_TRY(qm_bootstrap_check(bootstrap));
    double *first = malloc(2 * count * sizeof(*first)), *token = first + count;
    if (!first)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the latencies of %zu requests", count);
    double begin = times[0].start_ns, end = times[0].end_ns;
    for (size_t i = 0; i < count; i++) {
        const struct qm_request_times *own = &times[i];
        QM_GUARD(check_times(&requests[i], own, i));
        begin = own->start_ns < begin ? own->start_ns : begin;
        end = own->end_ns > end ? own->end_ns : end;
        first[i] = own->first_token_ns - own->start_ns;
        bool is_first = first[i] <= deployment->first_token_ms * 1e6, is_token = true;
        if (requests[i].output_tokens > 1) {
            token[several] = (own->end_ns - own->first_token_ns) / (double)(requests[i].output_tokens - 1);
            is_token = token[several++] <= deployment->token_ms * 1e6;
        }
        out->within_first_token += is_first;
        out->within_token += is_token;
        out->within += is_first && is_token;
        outputs += requests[i].output_tokens;
        prompts += requests[i].prompt_tokens;
    }
    out->requests = (uint32_t)count;
    out->seconds = (end - begin) * 1e-9;
    out->requests_per_s = (double)count / out->seconds;
    out->output_tokens_per_s = (double)outputs / out->seconds;
    out->tokens_per_s = (double)(outputs + prompts) / out->seconds;
    out->within_per_s = (double)out->within / out->seconds;
    QM_GUARD(qm_latency_percentiles(first, count, 1, bootstrap, &out->first_token));
    if (several > 0)
        QM_GUARD(qm_latency_percentiles(token, several, 1, bootstrap, &out->token));
    out->share_within = (struct qm_estimate){.state = QM_ESTIMATE_POINT, .value = (double)out->within / (double)count};
    if (count >= QM_SCORE_SEQUENCES_MIN) {
        out->share_within.state = QM_ESTIMATE_INTERVAL;
        qm_share_interval(out->within, (uint32_t)count, bootstrap->confidence_permille, &out->share_within.low,
                          &out->share_within.high);
    }
done:
    if (status != QM_OK)
        memset(out, 0, sizeof(*out));
    free(first);
    return status;
}
