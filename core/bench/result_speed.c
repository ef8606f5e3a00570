#include "bench/result_speed.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/numeric.h"
#include "bench/result_nodes.h"
#include "kernel/kernels.h"
#include "score/series.h"
#include "score/stop.h"

// ---- Throughput ---------------------------------------------------------------------------------------------------

static void add_place(struct qm_node *row, const struct qm_point_run *point)
{
    qm_node_set_text(row, "phase", point->is_decode ? "decode" : "prefill");
    qm_node_set_u64(row, "batch", point->batch);
    if (point->batch_asked != point->batch)
        qm_node_set_u64(row, "batch_asked", point->batch_asked);
    if (point->is_decode)
        qm_node_set_u64(row, "depth", point->depth);
    else
        qm_node_set_u64(row, "prompt", point->tokens);
}

static bool uses_device(const struct qm_raw *raw, const struct qm_point_run *point)
{
    return point->has_device_time && raw->timer.state != QM_TIMER_VOID;
}

static const double *times_of(const struct qm_raw *raw, const struct qm_point_run *point)
{
    return uses_device(raw, point) ? point->device_ns : point->wall_ns;
}

// Of steps where their own times are worth something, else of blocks, by the step.
static enum qm_status latency_of(const struct qm_raw *raw, const struct qm_point_run *point, struct qm_latency *out)
{
    size_t steps = point->is_decode ? point->steps : 1;
    const struct qm_bootstrap *bootstrap = &raw->profile->bootstrap;
    if (!point->has_device_time || uses_device(raw, point))
        return qm_latency_percentiles(point->step_ns, point->count * steps, steps, bootstrap, out);
    double *each = calloc(point->count + 1, sizeof(*each));
    *out = (struct qm_latency){0};
    if (!each)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for latencies");
    for (size_t i = 0; i < point->count; ++i)
        each[i] = point->wall_ns[i] / (double)steps;
    enum qm_status status = qm_latency_percentiles(each, point->count, 1, bootstrap, out);
    free(each);
    return status;
}

enum {
    TIER_BYTES = 64
};

// A pass is of all tiers above base that its kernels are of.
static void tier_of(const struct qm_raw_scheme *scheme, const char *tile, char text[TIER_BYTES])
{
    text[0] = '\0';
    for (size_t t = 1; t < QM_TIER_COUNT; ++t) {
        const char *name = qm_tier_name((enum qm_tier)t);
        bool is_used = false;
        for (size_t i = 0; i < scheme->variant_count; ++i) {
            const struct qm_kernel_variant *variant = qm_kernel_find(scheme->variants[i], tile);
            is_used = is_used || (variant && strcmp(qm_kernel_tier(variant), name) == 0);
        }
        size_t used = strlen(text);
        if (is_used)
            snprintf(text + used, TIER_BYTES - used, "%s%s", used > 0 ? "+" : "", name);
    }
    if (!text[0])
        snprintf(text, TIER_BYTES, "base");
}

// What a user waits for the first token: a pass of the prompt, by the host's clock, of all sequences together.
static void add_first_token(struct qm_node *row, const struct qm_point_run *point, const struct qm_bootstrap *bootstrap)
{
    struct qm_latency latency = {0};
    if (qm_latency_percentiles(point->wall_ns, point->count, 1, bootstrap, &latency) != QM_OK)
        latency = (struct qm_latency){0};
    struct qm_node *ms = qm_node_add_mapping(row, "time_to_first_token_ms");
    qm_result_set_milliseconds(ms, "p50", &latency.p50);
    qm_result_set_milliseconds(ms, "p95", &latency.p95);
    qm_result_set_milliseconds(ms, "p99", &latency.p99);
}

// Outliers, two modes, a slow start: named, and never taken out.
static void add_oddities(struct qm_node *row, const struct qm_point_run *point)
{
    struct qm_series series;
    char text[QM_SERIES_TEXT_BYTES];
    if (qm_series_describe(point->wall_ns, point->count, &series) != QM_OK)
        return;
    qm_series_text(&series, text, sizeof(text));
    qm_node_set_text(row, "oddities", text);
}

static void add_point(struct qm_node *list, const struct qm_raw *raw, const char *tier, const char *stopped,
                      const struct qm_point_run *point)
{
    const struct qm_bootstrap *bootstrap = &raw->profile->bootstrap;
    size_t steps = point->is_decode ? point->steps : 1;
    double tokens = (double)point->batch * point->tokens * (double)steps;
    struct qm_estimate rate = {0}, wall = {0};
    struct qm_latency latency = {0};
    if (qm_rate(times_of(raw, point), point->count, 2, tokens, bootstrap, &rate) != QM_OK ||
        qm_rate(point->wall_ns, point->count, 2, tokens, bootstrap, &wall) != QM_OK ||
        latency_of(raw, point, &latency) != QM_OK || rate.state == QM_ESTIMATE_NOT_MEASURED)
        return;
    struct qm_node *row = qm_node_append_mapping(list);
    add_place(row, point);
    qm_node_set_text(row, "tier", tier);
    qm_node_set_u64(row, "widen", raw->widen);
    qm_node_set_text(row, "protocol", "paired");
    qm_node_set_text(row, "timer", uses_device(raw, point) ? "device" : "wall");
    qm_node_set_u64(row, "passes", point->count * steps);
    qm_node_set_text(row, "stopped", stopped);
    add_oddities(row, point);
    qm_result_set_estimate(row, "rate_tokens_per_s", &rate);
    qm_result_set_value(row, "wall_rate_tokens_per_s", &wall);
    if (point->is_decode)
        qm_node_set_double(row, "rate_per_user_tokens_per_s", rate.value / point->batch);
    else
        add_first_token(row, point, bootstrap);
    struct qm_node *ms = qm_node_add_mapping(row, "latency_ms");
    qm_result_set_milliseconds(ms, "p50", &latency.p50);
    qm_result_set_milliseconds(ms, "p95", &latency.p95);
    qm_result_set_milliseconds(ms, "p99", &latency.p99);
}

static void add_gain(struct qm_node *list, const struct qm_raw *raw, const struct qm_raw_scheme *baseline,
                     const struct qm_point_run *point, size_t index)
{
    struct qm_node *row = qm_node_append_mapping(list);
    add_place(row, point);
    qm_node_set_text(row, "baseline", raw->profile->schemes[raw->profile->baseline].name);
    struct qm_estimate gain = {0};
    if (baseline->is_ok && index < baseline->point_count && baseline->points[index].count == point->count)
        (void)!qm_ratio_paired(times_of(raw, &baseline->points[index]), times_of(raw, point), point->count, 2,
                               &raw->profile->bootstrap, &gain);
    qm_result_set_estimate(row, "ratio", &gain);
}

enum qm_status qm_speed_is_known(const struct qm_profile *profile, const struct qm_point_run *baseline,
                                 const struct qm_point_run *scheme, bool *is_known)
{
    size_t count = baseline->count < scheme->count ? baseline->count : scheme->count, blocks = count / 2;
    size_t least = (profile->repeats + 1) / 2;
    struct qm_stop_params params = {.block = 1,
                                    .look_every = 1,
                                    .blocks_min = least > 4 ? least : 4,
                                    .blocks_max = SIZE_MAX,
                                    .half_width = profile->precision,
                                    .confidence_permille = profile->bootstrap.confidence_permille};
    enum qm_stop decision = QM_STOP_CONTINUE;
    double *logs = calloc(blocks + 1, sizeof(*logs));
    *is_known = false;
    if (!logs)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %zu ratios", blocks);
    for (size_t i = 0; i < blocks; ++i)
        logs[i] = 0.5 * (qm_log(baseline->wall_ns[2 * i]) + qm_log(baseline->wall_ns[2 * i + 1]) -
                         qm_log(scheme->wall_ns[2 * i]) - qm_log(scheme->wall_ns[2 * i + 1]));
    enum qm_status status = qm_stop_decide(&params, logs, blocks, 0, &decision, NULL);
    free(logs);
    *is_known = decision == QM_STOP_NARROW;
    return status;
}

// What ended the rounds of a point: every gain known to the profile's precision, or not.
static const char *stopped_by(const struct qm_raw *raw, size_t index)
{
    const struct qm_raw_scheme *baseline = &raw->schemes[raw->profile->baseline];
    bool all_known = baseline->is_ok && index < baseline->point_count;
    for (size_t s = 0; s < raw->scheme_count && all_known; ++s) {
        bool is_known = false;
        if (s == raw->profile->baseline || !raw->schemes[s].is_ok || index >= raw->schemes[s].point_count)
            continue;
        all_known = qm_speed_is_known(raw->profile, &baseline->points[index], &raw->schemes[s].points[index],
                                      &is_known) == QM_OK &&
                    is_known;
    }
    return all_known ? "precision" : raw->profile->seconds > 0 ? "time" : "repeats";
}

// The largest decode batch of which 99 of 100 steps are within the bound, at each depth.
static void add_latency_bounded(struct qm_node *row, const struct qm_raw *raw, const struct qm_raw_scheme *scheme)
{
    const struct qm_point_run *best = NULL;
    struct qm_latency latency = {0};
    struct qm_estimate p99 = {0}, rate = {0};
    bool is_known = false;
    for (size_t i = 0; i < scheme->point_count; ++i) {
        const struct qm_point_run *point = &scheme->points[i];
        if (!point->is_decode || latency_of(raw, point, &latency) != QM_OK)
            continue;
        if (latency.p99.state == QM_ESTIMATE_NOT_MEASURED)
            continue;
        is_known = true;
        if (latency.p99.value * 1e-6 <= raw->profile->latency_p99_ms && (!best || point->batch > best->batch)) {
            best = point;
            p99 = latency.p99;
        }
    }
    if (!is_known) {
        qm_node_set_text(row, "latency_bounded", "not measured");
        return;
    }
    struct qm_node *bounded = qm_node_add_mapping(row, "latency_bounded");
    qm_node_set_double(bounded, "p99_ms_at_most", raw->profile->latency_p99_ms);
    if (!best) {
        qm_node_set_text(bounded, "batch", "none");
        return;
    }
    (void)!qm_rate(times_of(raw, best), best->count, 2, (double)best->batch * best->steps, &raw->profile->bootstrap,
                   &rate);
    qm_node_set_u64(bounded, "batch", best->batch);
    qm_node_set_u64(bounded, "depth", best->depth);
    qm_result_set_milliseconds(bounded, "p99_ms", &p99);
    qm_result_set_estimate(bounded, "rate_tokens_per_s", &rate);
}

void qm_speed_add_scheme(struct qm_node *row, const struct qm_raw *raw, size_t s)
{
    const struct qm_raw_scheme *scheme = &raw->schemes[s], *baseline = &raw->schemes[raw->profile->baseline];
    struct qm_node *throughput = qm_node_add_sequence(row, "throughput");
    char tier[TIER_BYTES];
    tier_of(scheme, raw->tile, tier);
    for (size_t i = 0; i < scheme->point_count; ++i)
        add_point(throughput, raw, tier, stopped_by(raw, i), &scheme->points[i]);
    struct qm_node *gain = qm_node_add_sequence(row, "gain");
    for (size_t i = 0; i < scheme->point_count; ++i) {
        if (scheme->points[i].count > 0)
            add_gain(gain, raw, baseline, &scheme->points[i], i);
    }
    add_latency_bounded(row, raw, scheme);
    qm_speed_add_sustained(row, raw, s);
}
