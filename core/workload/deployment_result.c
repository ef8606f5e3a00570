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

// Latencies of a round go to first[i * rounds + round] and, of requests with two tokens or more, to `token` likewise. A
// request that is late for once loses its place in `kept`, a bit for each bound.
enum {
    KEPT_FIRST = 1,
    KEPT_TOKEN = 2
};

struct latencies {
    size_t rounds;
    double *first, *token;
    uint8_t *kept;
    size_t several; // requests with two tokens or more
};

static enum qm_status add_round(const struct qm_deployment *deployment, const struct qm_request *requests,
                                const struct qm_request_times *times, size_t count, size_t round,
                                struct latencies *into, double *seconds)
{
    double begin = times[0].start_ns, end = times[0].end_ns;
    into->several = 0;
    for (size_t i = 0; i < count; i++) {
        const struct qm_request_times *own = &times[i];
        QM_TRY(check_times(&requests[i], own, i));
        begin = own->start_ns < begin ? own->start_ns : begin;
        end = own->end_ns > end ? own->end_ns : end;
        double first = own->first_token_ns - own->start_ns;
        into->first[i * into->rounds + round] = first;
        if (first > deployment->first_token_ms * 1e6)
            into->kept[i] &= (uint8_t)~KEPT_FIRST;
        if (requests[i].output_tokens == 1)
            continue;
        double token = (own->end_ns - own->first_token_ns) / (double)(requests[i].output_tokens - 1);
        into->token[into->several++ * into->rounds + round] = token;
        if (token > deployment->token_ms * 1e6)
            into->kept[i] &= (uint8_t)~KEPT_TOKEN;
    }
    *seconds = (end - begin) * 1e-9;
    return QM_OK;
}

static void count_within(const struct latencies *latencies, size_t count, uint32_t confidence_permille,
                         struct qm_deployment_result *out)
{
    for (size_t i = 0; i < count; i++) {
        out->within_first_token += (latencies->kept[i] & KEPT_FIRST) != 0;
        out->within_token += (latencies->kept[i] & KEPT_TOKEN) != 0;
        out->within += latencies->kept[i] == (KEPT_FIRST | KEPT_TOKEN);
    }
    out->share_within = (struct qm_estimate){.state = QM_ESTIMATE_POINT, .value = (double)out->within / (double)count};
    if (count < QM_SCORE_SEQUENCES_MIN)
        return;
    out->share_within.state = QM_ESTIMATE_INTERVAL;
    qm_share_interval(out->within, (uint32_t)count, confidence_permille, &out->share_within.low,
                      &out->share_within.high);
}

static void find_rates(const struct qm_request *requests, size_t count, size_t rounds, struct qm_deployment_result *out)
{
    uint64_t outputs = 0, prompts = 0;
    for (size_t i = 0; i < count; i++) {
        outputs += requests[i].output_tokens;
        prompts += requests[i].prompt_tokens;
    }
    double per_round_s = out->seconds / (double)rounds;
    out->requests = (uint32_t)count;
    out->requests_per_s = (double)count / per_round_s;
    out->output_tokens_per_s = (double)outputs / per_round_s;
    out->tokens_per_s = (double)(outputs + prompts) / per_round_s;
    out->within_per_s = (double)out->within / per_round_s;
}

enum qm_status qm_deployment_judge(const struct qm_deployment *deployment, const struct qm_request *requests,
                                   const struct qm_request_times *times, size_t count, size_t rounds,
                                   const struct qm_bootstrap *bootstrap, struct qm_deployment_result *out)
{
    enum qm_status status = QM_OK;
    memset(out, 0, sizeof(*out));
    if (count == 0 || count > QM_DEPLOYMENT_REQUESTS_MAX || rounds == 0 || rounds > QM_DEPLOYMENT_ROUNDS_MAX)
        return QM_FAIL(QM_INVALID, "times of %zu requests in %zu rounds; expected 1 to %d in 1 to %d", count, rounds,
                       QM_DEPLOYMENT_REQUESTS_MAX, QM_DEPLOYMENT_ROUNDS_MAX);
    QM_TRY(qm_bootstrap_check(bootstrap));
    struct latencies latencies = {.rounds = rounds,
                                  .first = malloc(count * rounds * sizeof(double)),
                                  .token = malloc(count * rounds * sizeof(double)),
                                  .kept = malloc(count)};
    if (!latencies.first || !latencies.token || !latencies.kept)
        QM_GUARD(QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the latencies of %zu requests", count));
    memset(latencies.kept, KEPT_FIRST | KEPT_TOKEN, count);
    for (size_t round = 0; round < rounds; round++) {
        double seconds = 0;
        QM_GUARD(add_round(deployment, requests, times + round * count, count, round, &latencies, &seconds));
        out->seconds += seconds;
        out->least_seconds = round == 0 || seconds < out->least_seconds ? seconds : out->least_seconds;
        out->most_seconds = seconds > out->most_seconds ? seconds : out->most_seconds;
    }
    count_within(&latencies, count, bootstrap->confidence_permille, out);
    find_rates(requests, count, rounds, out);
    QM_GUARD(qm_latency_percentiles(latencies.first, count * rounds, rounds, bootstrap, &out->first_token));
    if (latencies.several > 0)
        QM_GUARD(qm_latency_percentiles(latencies.token, latencies.several * rounds, rounds, bootstrap, &out->token));
done:
    if (status != QM_OK)
        memset(out, 0, sizeof(*out));
    free(latencies.first);
    free(latencies.token);
    free(latencies.kept);
    return status;
}
