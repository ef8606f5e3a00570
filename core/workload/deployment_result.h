// What comes of a deployment's times: latencies, rates, and how many requests kept within the bounds. Arithmetic only.
//
//   first token   first - start                          of each request, in nanoseconds
//   token         (end - first) / (output - 1)           of each request with two output tokens or more: the mean time
//                                                        from one token to the next
// as in MLPerf Inference's TTFT and TPOT and in vLLM's benchmarks. All requests may have been served in several rounds.
// Percentiles are those of score/ratio.h over all of them, each request a block with its rounds, which are no independent
// samples of it. A request is within the bounds if both of its latencies are at most theirs in every round (one with a
// single output token, if its first is), so that there are as many as requests, however many rounds there were.
//
// Rates are over the time from the first start to the last end, summed over rounds. `within_per_s` is the rate of requests that kept within
// the bounds ("goodput"; Zhong et al., "DistServe", OSDI 2024).
#ifndef QM_WORKLOAD_DEPLOYMENT_RESULT_H
#define QM_WORKLOAD_DEPLOYMENT_RESULT_H

#include "score/ratio.h"
#include "workload/deployment.h"

// Of one request, on one clock.
struct qm_request_times {
    double start_ns, first_token_ns, end_ns;
};

struct qm_deployment_result {
    uint32_t requests;
    double seconds;                                           // of all rounds
    double least_seconds, most_seconds;                       // of a round
    double requests_per_s, output_tokens_per_s, tokens_per_s; // the last: of prompts as well
    struct qm_latency first_token, token;                     // nanoseconds
    uint32_t within, within_first_token, within_token;        // of all requests
    struct qm_estimate share_within;                          // Wilson's interval
    double within_per_s;
};

// `times` has an element for each of the requests, round after round; each round has a clock of its own. QM_INVALID for times that are not finite or run backwards (start <
// first token <= end, and <  where there are two tokens or more), with the request's number, for bad bootstrap settings,
// and without requests. QM_OUT_OF_MEMORY.
QM_MUST_USE enum qm_status qm_deployment_judge(const struct qm_deployment *deployment,
                                               const struct qm_request *requests, const struct qm_request_times *times,
                                               size_t count, size_t rounds, const struct qm_bootstrap *bootstrap,
                                               struct qm_deployment_result *out);

#endif
