#include "bench/result_derive.h"

#include <stdlib.h>
#include <string.h>

#include "bench/result_details.h"
#include "bench/result_nodes.h"
#include "score/acceptance.h"
#include "score/ordered.h"

// ---- Summaries ----------------------------------------------------------------------------------------------------

enum qm_status qm_derive_accuracy(const struct qm_evaluation *evaluation, const struct qm_bootstrap *bootstrap,
                                  const struct qm_token_scores *scores, struct qm_derived *out)
{
    struct qm_summary_params params = {.scores = scores,
                                       .sequence_count = evaluation->sequence_count,
                                       .cell = evaluation->graded_cell,
                                       .cell_count = evaluation->cell_count,
                                       .bootstrap = *bootstrap};
    QM_TRY(qm_summary_create(&params, &out->summary));
    const struct qm_details_params details = {.scores = scores,
                                              .sequence_count = evaluation->sequence_count,
                                              .is_answer = evaluation->is_answer,
                                              .set = evaluation->set_of,
                                              .set_count = evaluation->set.sets > 1 ? evaluation->set.sets : 1,
                                              .bootstrap = *bootstrap};
    QM_TRY(qm_details_compute(&details, &out->details));
    params.cell = evaluation->cell;
    return qm_summary_create(&params, &out->cells);
}

enum qm_status qm_derive_plain(const struct qm_evaluation *evaluation, const struct qm_bootstrap *bootstrap,
                               const struct qm_token_scores *scores, size_t tokens, struct qm_summary **out)
{
    struct qm_token_scores first = *scores;
    struct qm_summary_params params = {
        .scores = &first, .sequence_count = evaluation->sequence_count, .bootstrap = *bootstrap};
    first.count = tokens;
    return qm_summary_create(&params, out);
}

enum qm_status qm_derive_check(const struct qm_scheme *scheme, uint32_t widen, const struct qm_agreement *agreement,
                               struct qm_agreement_verdict *out)
{
    bool is_float32 = scheme->activations == QM_ACTIVATION_F32 && scheme->kv == QM_KV_F32;
    QM_TRY(qm_agreement_judge(agreement, is_float32, out));
    if (widen > 1) { // sums have more terms than the reference's, which is not widened; see docs/METHOD.md
        out->body_bound *= 2;
        qm_agreement_decide(out);
    }
    return QM_OK;
}

static enum qm_status find_median(const double *values, size_t count, double *out)
{
    double *sorted = malloc((count + 1) * sizeof(*sorted));
    if (!sorted)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a median");
    memcpy(sorted, values, count * sizeof(*sorted));
    qm_values_sort(sorted, count);
    *out = count > 0 ? sorted[count / 2] : 0;
    free(sorted);
    return QM_OK;
}

// Whether nothing but what is stored is rounded: then no value can fall to the other side of a coarse tie.
static bool is_float(const struct qm_scheme *scheme)
{
    return scheme->activations <= QM_ACTIVATION_BF16 && scheme->kv <= QM_KV_F16 && scheme->override_count == 0;
}

#define LARGEST_MEAN 1e-3   // far below what any format of 8 bits costs
#define LARGEST_MEDIAN 1e-5 // what touches every row a little

// Wide sums have more terms and round more. Where activations or cache become codes of a few bits, a value near a tie
// then falls the other way, and others after it; that costs in proportion to what the scheme itself costs.
enum qm_status qm_derive_widening(const struct qm_scheme *scheme, const double *own_kl, const double *kl, size_t tokens,
                                  struct qm_widening_verdict *out)
{
    double own = 0, own_median = 0;
    out->mean_bound = LARGEST_MEAN;
    out->median_bound = LARGEST_MEDIAN;
    QM_TRY(find_median(kl, tokens, &out->median));
    if (is_float(scheme) || tokens == 0)
        return QM_OK;
    for (size_t i = 0; i < tokens; ++i)
        own += own_kl[i] / (double)tokens;
    QM_TRY(find_median(own_kl, tokens, &own_median));
    out->mean_bound = own / 2 > out->mean_bound ? own / 2 : out->mean_bound;
    out->median_bound = own_median / 10 > out->median_bound ? own_median / 10 : out->median_bound;
    return QM_OK;
}

static enum qm_status derive_widening(const struct qm_raw *raw, const struct qm_raw_scheme *scheme,
                                      struct qm_derived *out)
{
    const struct qm_widening_run *widening = scheme->widening;
    const struct qm_bootstrap *bootstrap = &raw->profile->bootstrap;
    size_t tokens = scheme->scores ? widening->scores->count : widening->before_tokens;
    QM_TRY(qm_derive_plain(raw->evaluation, bootstrap, widening->scores, widening->before_tokens, &out->before));
    if (scheme->scores)
        QM_TRY(qm_derive_plain(raw->evaluation, bootstrap, widening->scores, tokens, &out->all));
    return qm_derive_widening(scheme->scheme, scheme->own_kl, widening->scores->kl, tokens, &out->widening);
}

enum qm_status qm_derive_scheme(const struct qm_raw *raw, size_t s, struct qm_derived *out)
{
    const struct qm_raw_scheme *scheme = &raw->schemes[s];
    const struct qm_bootstrap *bootstrap = &raw->profile->bootstrap;
    enum qm_status status = QM_OK;
    memset(out, 0, sizeof(*out));
    if (scheme->scores)
        QM_GUARD(qm_derive_accuracy(raw->evaluation, bootstrap, scheme->scores, out));
    if (scheme->decode_scores)
        QM_GUARD(qm_derive_plain(raw->evaluation, bootstrap, scheme->decode_scores, scheme->decode_scores->count,
                                 &out->decode));
    if (raw->lacks_reference)
        qm_derived_forget_reference(out);
    if (scheme->agreement)
        QM_GUARD(qm_derive_check(scheme->scheme, raw->widen, scheme->agreement, &out->check));
    if (scheme->widening && scheme->widening->scores)
        QM_GUARD(derive_widening(raw, scheme, out));
done:
    if (status != QM_OK)
        qm_derived_free(out);
    return status;
}

void qm_derived_forget_reference(struct qm_derived *derived)
{
    struct qm_summary *const summaries[] = {derived->summary, derived->cells, derived->decode};
    for (size_t i = 0; i < sizeof(summaries) / sizeof(*summaries); ++i)
        if (summaries[i])
            qm_summary_forget_reference(summaries[i]);
    qm_details_forget_reference(&derived->details);
}

void qm_derived_free(struct qm_derived *derived)
{
    qm_summary_destroy(&derived->summary);
    qm_summary_destroy(&derived->cells);
    qm_summary_destroy(&derived->decode);
    qm_summary_destroy(&derived->before);
    qm_summary_destroy(&derived->all);
    memset(derived, 0, sizeof(*derived));
}

// ---- Accuracy -----------------------------------------------------------------------------------------------------

static void add_tasks(struct qm_node *accuracy, const struct qm_evaluation *evaluation, const struct qm_summary *cells)
{
    struct qm_node *list = qm_node_add_sequence(accuracy, "tasks");
    for (uint32_t c = 0; c < cells->cell_count; ++c) {
        const struct qm_cell_summary *cell = &cells->cells[c];
        if (cell->examples == 0)
            continue;
        struct qm_node *row = qm_node_append_mapping(list);
        qm_node_set_text(row, "task", qm_task_name(evaluation->cells[c].task));
        qm_node_set_text(row, "difficulty",
                         qm_task_difficulty_name(evaluation->cells[c].task, evaluation->cells[c].difficulty));
        qm_node_set_bool(row, "graded", evaluation->cells[c].is_graded);
        qm_node_set_u64(row, "examples", cell->examples);
        qm_result_set_value(row, "reference", &cell->exact_match_reference);
        qm_result_set_estimate(row, "value", &cell->exact_match);
    }
}

static void add_acceptance(struct qm_node *accuracy, const struct qm_profile *profile, const struct qm_summary *summary,
                           const struct qm_left_out *left_out)
{
    struct qm_criterion_verdict verdicts[QM_PROFILE_CRITERIA_MAX];
    enum qm_verdict overall = QM_VERDICT_NOT_STATED;
    if (qm_acceptance_judge(profile->criteria, profile->criterion_count, summary, left_out, verdicts, &overall) !=
        QM_OK)
        return;
    struct qm_node *acceptance = qm_node_add_mapping(accuracy, "acceptance");
    qm_node_set_text(acceptance, "verdict", qm_verdict_name(overall));
    struct qm_node *list = qm_node_add_sequence(acceptance, "criteria");
    for (size_t i = 0; i < profile->criterion_count; ++i) {
        struct qm_node *row = qm_node_append_mapping(list);
        qm_node_set_text(row, "metric", qm_metric_name(profile->criteria[i].metric));
        qm_node_set_text(row, "side", profile->criteria[i].side == QM_BOUND_UPPER ? "at_most" : "at_least");
        qm_node_set_double(row, "bound", profile->criteria[i].bound);
        qm_node_set_text(row, "verdict", qm_verdict_name(verdicts[i].verdict));
        qm_node_set_text(row, "text", verdicts[i].text);
    }
}

static void add_decode_accuracy(struct qm_node *accuracy, const struct qm_summary *decode)
{
    if (!decode) {
        qm_node_set_text(accuracy, "decode", "not measured");
        return;
    }
    struct qm_node *node = qm_node_add_mapping(accuracy, "decode");
    qm_node_set_u64(node, "tokens", decode->tokens);
    qm_result_set_estimate(node, "kl_divergence_mean", &decode->metrics[QM_METRIC_KL_MEAN]);
    qm_result_set_value(node, "top1_agreement", &decode->metrics[QM_METRIC_TOP1_AGREEMENT]);
}

void qm_derive_add_accuracy(struct qm_node *row, const struct qm_raw *raw, size_t scheme,
                            const struct qm_derived *derived)
{
    const struct qm_summary *summary = derived->summary;
    if (!summary) {
        qm_node_set_text(row, "accuracy", "not measured");
        return;
    }
    const struct qm_estimate *m = summary->metrics;
    struct qm_node *accuracy = qm_node_add_mapping(row, "accuracy");
    qm_node_set_u64(accuracy, "tokens", summary->tokens);
    qm_node_set_u64(accuracy, "sequences", summary->sequences);
    if (raw->lacks_reference)
        qm_node_set_text(accuracy, "reference", QM_RESULT_NO_REFERENCE);
    struct qm_node *kl = qm_node_add_mapping(accuracy, "kl_divergence");
    qm_result_set_estimate(kl, "mean", &m[QM_METRIC_KL_MEAN]);
    qm_result_set_value(kl, "p99", &m[QM_METRIC_KL_P99]);
    qm_result_set_value(kl, "max", &m[QM_METRIC_KL_MAX]);
    struct qm_node *perplexity = qm_result_add_estimate(accuracy, "perplexity", &m[QM_METRIC_PERPLEXITY]);
    qm_result_set_value(perplexity, "reference", &m[QM_METRIC_PERPLEXITY_REFERENCE]);
    qm_result_add_estimate(perplexity, "ratio", &m[QM_METRIC_PERPLEXITY_RATIO]);
    qm_result_add_estimate(accuracy, "top1_agreement", &m[QM_METRIC_TOP1_AGREEMENT]);
    qm_result_add_estimate(accuracy, "rms_delta_p", &m[QM_METRIC_RMS_DELTA_P]);
    struct qm_node *exact = qm_result_add_estimate(accuracy, "exact_match", &m[QM_METRIC_EXACT_MATCH]);
    uint64_t examples = 0;
    for (uint32_t c = 0; c < summary->cell_count; ++c)
        examples += summary->cells[c].examples;
    qm_node_set_u64(exact, "examples", examples);
    qm_result_set_value(exact, "reference", &m[QM_METRIC_EXACT_MATCH_REFERENCE]);
    qm_result_add_estimate(exact, "ratio", &m[QM_METRIC_EXACT_MATCH_RATIO]);
    if (!raw->lacks_reference)
        qm_result_add_non_inferiority(exact, summary);
    qm_result_add_details(accuracy, raw->evaluation, &derived->details);
    add_tasks(accuracy, raw->evaluation, derived->cells);
    add_decode_accuracy(accuracy, derived->decode);
    struct qm_node *check = qm_node_add_mapping(accuracy, "backend_check");
    qm_node_set_double(check, "kl_divergence_mean", derived->check.mean);
    qm_node_set_double(check, "bound", derived->check.mean_bound);
    qm_node_set_double(check, "kl_divergence_body", derived->check.body);
    qm_node_set_double(check, "body_bound", derived->check.body_bound);
    qm_node_set_double(check, "kl_divergence_median", derived->check.median);
    qm_node_set_double(check, "median_bound", derived->check.median_bound);
    struct qm_node *bootstrap = qm_node_add_mapping(accuracy, "bootstrap");
    qm_node_set_text(bootstrap, "generator", QM_BOOTSTRAP_GENERATOR);
    qm_node_set_u64(bootstrap, "seed", summary->bootstrap.seed);
    qm_node_set_u64(bootstrap, "resamples", summary->bootstrap.resamples);
    qm_node_set_double(bootstrap, "confidence", summary->bootstrap.confidence_permille / 1000.0);
    add_acceptance(accuracy, raw->profile, summary, &raw->schemes[scheme].left_out);
}
