#include "bench/result_widen.h"

#include "score/ordered.h"
#include "score/ratio.h"

#include <stdlib.h>
#include <string.h>

void qm_result_add_size(struct qm_node *model, const struct qm_model_config *config, uint32_t widen,
                        const char *fit_reason)
{
    struct qm_model_config widened;
    qm_node_set_u64(model, "widen", widen);
    if (qm_model_config_widen(config, widen, &widened) == QM_OK) {
        qm_node_set_u64(model, "weights_on_device", qm_model_config_weights(&widened));
        qm_node_set_u64(model, "operations_per_token", 2 * qm_model_config_linear_weights(&widened));
    }
    if (config->own.hidden > 0) {
        char padding[QM_PADDING_TEXT_BYTES];
        qm_node_set_text(model, "architecture", qm_architecture_info(config->architecture)->name);
        qm_model_config_padding_text(config, padding);
        if (padding[0])
            qm_node_set_text(model, "padding", padding);
    }
    if (fit_reason[0])
        qm_node_set_text(model, "fit", fit_reason);
}

static bool is_number(const struct qm_estimate *estimate)
{
    return estimate->state == QM_ESTIMATE_POINT || estimate->state == QM_ESTIMATE_INTERVAL;
}

static void set_estimate(struct qm_node *node, const char *key, const struct qm_estimate *estimate)
{
    const double ends[] = {estimate->low, estimate->high};
    static const char *const end_keys[] = {"low", "high"};
    if (is_number(estimate))
        qm_node_set_double(node, key, estimate->value);
    else
        qm_node_set_text(node, key, "not measured");
    for (int i = 0; i < 2; ++i) {
        if (estimate->state == QM_ESTIMATE_INTERVAL)
            qm_node_set_double(node, end_keys[i], ends[i]);
        else
            qm_node_set_text(node, end_keys[i], is_number(estimate) ? "no interval" : "not measured");
    }
}

static void set_value(struct qm_node *node, const char *key, const struct qm_estimate *estimate)
{
    if (is_number(estimate))
        qm_node_set_double(node, key, estimate->value);
    else
        qm_node_set_text(node, key, "not measured");
}

static void add_divergence(struct qm_node *widening, const char *key, const struct qm_summary *summary)
{
    if (!summary) {
        qm_node_set_text(widening, key, "not measured");
        return;
    }
    struct qm_node *node = qm_node_add_mapping(widening, key);
    set_estimate(node, "mean", &summary->metrics[QM_METRIC_KL_MEAN]);
    set_value(node, "p99", &summary->metrics[QM_METRIC_KL_P99]);
    set_value(node, "max", &summary->metrics[QM_METRIC_KL_MAX]);
    qm_node_set_u64(node, "tokens", summary->tokens);
    qm_node_set_u64(node, "sequences", summary->sequences);
}

// In microseconds, of one product; 0 without memory.
static double median_us(const double *ns, size_t count, uint32_t products)
{
    double *sorted = malloc(count * sizeof(*sorted));
    if (!sorted)
        return 0;
    memcpy(sorted, ns, count * sizeof(*sorted));
    qm_values_sort(sorted, count);
    double median = (sorted[(count - 1) / 2] + sorted[count / 2]) / 2;
    free(sorted);
    return median * 1e-3 / products;
}

static void add_random_codes(struct qm_node *widening, const struct qm_raw *raw, const struct qm_raw_scheme *scheme)
{
    const struct qm_widening_run *run = scheme->widening;
    struct qm_estimate ratio = {0};
    if (!scheme->is_ok || !run || run->pairs == 0 ||
        qm_ratio_paired(run->random_ns, run->tiled_ns, run->pairs, 1, &raw->profile->bootstrap, &ratio) != QM_OK) {
        qm_node_set_text(widening, "random_codes", "not measured");
        return;
    }
    struct qm_node *node = qm_node_add_mapping(widening, "random_codes");
    qm_node_set_textf(node, "shape", "matvec, n %u, k %u", run->rows, run->columns);
    qm_node_set_text(node, "timer", run->has_device_time ? "device" : "wall");
    qm_node_set_u64(node, "pairs", run->pairs);
    qm_node_set_double(node, "tiled_us", median_us(run->tiled_ns, run->pairs, run->products));
    qm_node_set_double(node, "random_us", median_us(run->random_ns, run->pairs, run->products));
    set_estimate(node, "ratio", &ratio);
}

void qm_result_add_widening(struct qm_node *row, const struct qm_raw *raw, size_t scheme,
                            const struct qm_derived *derived)
{
    if (raw->widen == 1)
        return;
    struct qm_node *widening = qm_node_add_mapping(row, "widening");
    add_divergence(widening, "kl_to_narrow", derived->all);
    add_divergence(widening, "before_timing", derived->before);
    if (derived->before)
        qm_node_set_double(widening, "bound", derived->widening.mean_bound);
    else
        qm_node_set_text(widening, "bound", "not measured");
    add_random_codes(widening, raw, &raw->schemes[scheme]);
}
