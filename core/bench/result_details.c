#include "bench/result_details.h"

#include <stdio.h>
#include <stdlib.h>

#include "score/acceptance.h"

static void set_rounded(struct qm_node *node, const char *key, double value)
{
    char text[40];
    snprintf(text, sizeof(text), "%.9e", value);
    qm_node_set_double(node, key, strtod(text, NULL));
}

static bool is_number(const struct qm_estimate *estimate)
{
    return estimate->state == QM_ESTIMATE_POINT || estimate->state == QM_ESTIMATE_INTERVAL;
}

static void set_reference(struct qm_node *row, const struct qm_estimate *reference)
{
    if (is_number(reference))
        set_rounded(row, "reference", reference->value);
}

static struct qm_node *add_row(struct qm_node *list, enum qm_detail detail, const struct qm_estimate *estimate)
{
    struct qm_node *row = qm_node_append_mapping(list);
    qm_node_set_text(row, "metric", qm_detail_name(detail));
    if (is_number(estimate))
        set_rounded(row, "value", estimate->value);
    else
        qm_node_set_text(row, "value", "not measured");
    if (estimate->state == QM_ESTIMATE_INTERVAL) {
        set_rounded(row, "low", estimate->low);
        set_rounded(row, "high", estimate->high);
    } else if (is_number(estimate)) {
        qm_node_set_text(row, "low", "no interval");
        qm_node_set_text(row, "high", "no interval");
    }
    return row;
}

static void add_sets(struct qm_node *accuracy, const struct qm_evaluation *evaluation, const struct qm_details *details)
{
    if (details->set_count < 2)
        return;
    struct qm_node *sets = qm_node_add_mapping(accuracy, "sets");
    bool has_spread = details->spread_expected > 0.0 || details->spread > 0.0;
    if (has_spread) {
        set_rounded(sets, "spread", details->spread);
        set_rounded(sets, "expected", details->spread_expected);
    } else {
        qm_node_set_text(sets, "spread", "not measured");
        qm_node_set_text(sets, "expected", "not measured");
    }
    struct qm_node *list = qm_node_add_sequence(sets, "seeds");
    for (uint32_t set = 0; set < details->set_count; ++set) {
        struct qm_node *row = qm_node_append_mapping(list);
        qm_node_set_u64(row, "seed", evaluation->set.seed + set);
        set_rounded(row, "kl_divergence_mean", details->set_kl[set]);
    }
}

void qm_result_add_details(struct qm_node *accuracy, const struct qm_evaluation *evaluation,
                           const struct qm_details *details)
{
    struct qm_node *list = qm_node_add_sequence(accuracy, "details");
    for (int d = 0; d < QM_DETAIL_COUNT; ++d) {
        const struct qm_estimate *value = &details->values[d];
        struct qm_node *row = NULL;
        if (d == QM_DETAIL_SOURCE_KL_REFERENCE || d == QM_DETAIL_CALIBRATION_ERROR_REFERENCE)
            continue; // stand in the row of what they are the reference of
        row = add_row(list, (enum qm_detail)d, value);
        if (!is_number(value))
            continue;
        if (d == QM_DETAIL_SOURCE_KL) {
            set_reference(row, &details->values[QM_DETAIL_SOURCE_KL_REFERENCE]);
            qm_node_set_u64(row, "tokens", details->source_tokens);
        } else if (d == QM_DETAIL_CALIBRATION_ERROR) {
            set_reference(row, &details->values[QM_DETAIL_CALIBRATION_ERROR_REFERENCE]);
            set_rounded(row, "noise", details->calibration_noise);
        } else if (d == QM_DETAIL_OVERCONFIDENCE && is_number(&details->values[QM_DETAIL_OVERCONFIDENCE_DIFFERENCE])) {
            set_rounded(row, "reference", value->value - details->values[QM_DETAIL_OVERCONFIDENCE_DIFFERENCE].value);
        } else if (d == QM_DETAIL_GREEDY_IDENTICAL) {
            qm_node_set_u64(row, "examples", details->greedy_examples);
        } else if (d == QM_DETAIL_GREEDY_FIRST_DIFFERENCE) {
            qm_node_set_u64(row, "examples", details->greedy_differing);
        }
    }
    add_sets(accuracy, evaluation, details);
}

void qm_result_add_non_inferiority(struct qm_node *exact_match, const struct qm_summary *summary)
{
    struct qm_node *list = qm_node_add_sequence(exact_match, "non_inferiority");
    for (int i = 0; i < QM_NON_INFERIORITY_PRESETS; ++i) {
        struct qm_node *row = qm_node_append_mapping(list);
        uint64_t needed = 0;
        enum qm_verdict verdict = qm_acceptance_non_inferiority(summary, qm_non_inferiority_presets[i], &needed);
        qm_node_set_double(row, "threshold", qm_non_inferiority_presets[i]);
        qm_node_set_text(row, "verdict", qm_verdict_name(verdict));
        if (needed)
            qm_node_set_u64(row, "examples_needed", needed);
        else
            qm_node_set_text(row, "examples_needed", "none");
    }
}
