#include "bench/result_deployment.h"

#include <inttypes.h>

#include "bench/result_nodes.h"

enum {
    BODY_TOKENS_LEAST = 100
};

struct qm_serving_params qm_serving_of(const struct qm_profile *profile, const struct qm_requests *requests)
{
    return (struct qm_serving_params){.requests = requests->requests,
                                      .count = requests->count,
                                      .concurrency = profile->deployment.concurrency,
                                      .chunk_tokens = profile->deployment.chunk_tokens};
}

enum qm_status qm_deployment_check(const struct qm_deployment_run *run, const struct qm_agreement_verdict *check,
                                   struct qm_agreement_verdict *out)
{
    struct qm_agreement agreement = {0};
    enum qm_status status = QM_OK;
    for (size_t i = 0; i < run->check_count; ++i)
        QM_GUARD(qm_agreement_add(&agreement, run->check_kl[i], 0, 0, 0, 0));
    QM_GUARD(qm_agreement_judge(&agreement, false, out));
    out->mean_bound = check->mean_bound;
    out->body_bound = run->check_count < BODY_TOKENS_LEAST ? check->mean_bound : check->body_bound;
    out->median_bound = check->median_bound;
    qm_agreement_decide(out);
done:
    qm_agreement_clear(&agreement);
    return status;
}

// Percentiles in milliseconds, each with its interval.
static void add_latency(struct qm_node *deployment, const char *key, const struct qm_latency *latency)
{
    const struct {
        const char *key;
        const struct qm_estimate *estimate;
    } rows[] = {{"p50", &latency->p50}, {"p95", &latency->p95}, {"p99", &latency->p99}};
    struct qm_node *node = qm_node_add_mapping(deployment, key);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        struct qm_estimate ms = *rows[i].estimate;
        ms.value *= 1e-6;
        ms.low *= 1e-6;
        ms.high *= 1e-6;
        qm_result_add_estimate(node, rows[i].key, &ms);
    }
}

static void add_passes(struct qm_node *deployment, const struct qm_deployment *plan,
                       const struct qm_serving_counts *counts)
{
    qm_node_set_textf(deployment, "policy",
                      "%" PRIu32
                      " at a time; a free place is taken at once, its prompt prefilled alone in chunks of up "
                      "to %" PRIu32 " tokens; then one decode pass of all under way",
                      plan->concurrency, plan->chunk_tokens);
    qm_node_set_u64(deployment, "prefill_passes", counts->prefill_passes);
    qm_node_set_u64(deployment, "decode_passes", counts->decode_passes);
    qm_result_set_number(deployment, "decode_batch_mean", counts->decode_passes > 0,
                         (double)counts->decode_rows / (double)(counts->decode_passes ? counts->decode_passes : 1),
                         "not measured");
}

// The mean of the rounds.
static double pass_seconds(const struct qm_deployment_run *run)
{
    double sum = 0;
    for (size_t i = 0; i < run->rounds; ++i)
        sum += run->pass_ns[i];
    return sum / (double)run->rounds * 1e-9;
}

static void add_check(struct qm_node *deployment, const struct qm_deployment_run *run,
                      const struct qm_agreement_verdict *verdict)
{
    struct qm_node *check = qm_node_add_mapping(deployment, "check");
    qm_node_set_u64(check, "tokens", run->check_count);
    qm_node_set_double(check, "kl_divergence_mean", verdict->mean);
    qm_node_set_double(check, "bound", verdict->mean_bound);
    qm_node_set_double(check, "kl_divergence_median", verdict->median);
    qm_node_set_double(check, "median_bound", verdict->median_bound);
}

void qm_result_add_deployment(struct qm_node *row, const struct qm_raw *raw, size_t scheme,
                              const struct qm_agreement_verdict *check)
{
    const struct qm_deployment_run *run = raw->schemes[scheme].deployment;
    const struct qm_deployment *plan = &raw->profile->deployment;
    const struct qm_requests *requests = raw->requests;
    struct qm_deployment_result result;
    struct qm_serving_counts counts;
    struct qm_agreement_verdict verdict;
    if (!run || run->rounds == 0 || !requests || !raw->schemes[scheme].is_ok)
        return;
    struct qm_node *node = qm_node_add_mapping(row, "deployment");
    const struct qm_serving_params serving = qm_serving_of(raw->profile, requests);
    if (qm_deployment_judge(plan, requests->requests, run->times, requests->count, run->rounds,
                            &raw->profile->bootstrap, &result) != QM_OK ||
        qm_serving_count(&serving, &counts) != QM_OK || qm_deployment_check(run, check, &verdict) != QM_OK) {
        qm_node_set_node(node, "requests", NULL); // the tree counts as failed, as with any other node of it
        return;
    }
    qm_node_set_u64(node, "requests", result.requests);
    qm_node_set_u64(node, "rounds", run->rounds);
    qm_node_set_u64(node, "prompt_tokens", requests->prompt_tokens);
    qm_node_set_u64(node, "output_tokens", requests->output_tokens);
    add_passes(node, plan, &counts);
    qm_node_set_double(node, "seconds", result.seconds / (double)run->rounds);
    qm_node_set_double(node, "seconds_in_passes", pass_seconds(run));
    qm_node_set_double(node, "seconds_least", result.least_seconds);
    qm_node_set_double(node, "seconds_most", result.most_seconds);
    qm_node_set_double(node, "requests_per_s", result.requests_per_s);
    qm_node_set_double(node, "output_tokens_per_s", result.output_tokens_per_s);
    qm_node_set_double(node, "tokens_per_s", result.tokens_per_s);
    add_latency(node, "first_token_ms", &result.first_token);
    add_latency(node, "token_ms", &result.token);
    qm_result_add_estimate(node, "within", &result.share_within);
    qm_node_set_u64(node, "within_first_token", result.within_first_token);
    qm_node_set_u64(node, "within_token", result.within_token);
    qm_node_set_double(node, "within_per_s", result.within_per_s);
    add_check(node, run, &verdict);
    qm_node_set_textf(node, "tokens_fold", "%016" PRIx64, run->tokens);
}
