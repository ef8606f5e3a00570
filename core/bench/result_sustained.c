// The sustained run of a scheme.
#include "bench/result_speed.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/result_nodes.h"
#include "score/sustained.h"

static enum qm_status summarize(const struct qm_raw *raw, const struct qm_point_run *point,
                                const struct qm_sustained_run *run, struct qm_sustained *out)
{
    double steps = point->is_decode ? point->steps : 1;
    uint8_t *throttled = NULL;
    size_t known = 0, windows = run->window_count > 0 ? run->window_count - 1 : 0;
    throttled = calloc(windows + 1, 1);
    if (!throttled)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for windows");
    for (size_t i = 0; i < windows; ++i) { // a reading ends its window
        double reasons = run->readings[(i + 1) * QM_READING_COUNT + QM_READING_THROTTLE];
        known += isnan(reasons) ? 0 : 1;
        throttled[i] = reasons > 0;
    }
    struct qm_sustained_samples samples = {.count = run->count,
                                           .begin_ns = run->begin_ns,
                                           .wall_ns = run->wall_ns,
                                           .units = (double)point->batch * point->tokens * steps,
                                           .probe_count = run->window_count,
                                           .probe_at_ns = run->at_ns,
                                           .probe_ns = run->probe_ns,
                                           .throttled_count = known > 0 ? windows : 0,
                                           .throttled = known > 0 ? throttled : NULL};
    struct qm_sustained_params params = QM_SUSTAINED_DEFAULT(&raw->profile->bootstrap);
    enum qm_status status = qm_sustained_make(&samples, &params, out);
    free(throttled);
    return status;
}

static void add_latency(struct qm_node *node, const struct qm_raw *raw, const struct qm_point_run *point,
                        const struct qm_sustained_run *run)
{
    struct qm_latency latency = {0};
    double steps = point->is_decode ? point->steps : 1;
    double *each = calloc(run->count + 1, sizeof(*each));
    for (size_t i = 0; each && i < run->count; ++i)
        each[i] = run->wall_ns[i] / steps;
    // Blocks in pieces of ten, for neighbours are alike.
    if (!each || qm_latency_percentiles(each, run->count, 10, &raw->profile->bootstrap, &latency) != QM_OK)
        latency = (struct qm_latency){0};
    free(each);
    struct qm_node *ms = qm_node_add_mapping(node, "latency_ms");
    qm_result_set_milliseconds(ms, "p50", &latency.p50);
    qm_result_set_milliseconds(ms, "p95", &latency.p95);
    qm_result_set_milliseconds(ms, "p99", &latency.p99);
}

static void add_reading(struct qm_node *node, const char *key, const struct qm_sustained_run *run,
                        enum qm_reading which)
{
    double low = INFINITY, high = -INFINITY, sum = 0;
    size_t count = 0;
    for (size_t i = 0; i < run->window_count; ++i) {
        double value = run->readings[i * QM_READING_COUNT + which];
        if (isnan(value))
            continue;
        low = fmin(low, value);
        high = fmax(high, value);
        sum += value;
        ++count;
    }
    if (count == 0) {
        qm_node_set_text(node, key, "not measured");
        return;
    }
    struct qm_node *reading = qm_node_add_mapping(node, key);
    qm_node_set_double(reading, "lowest", low);
    qm_node_set_double(reading, "mean", sum / (double)count);
    qm_node_set_double(reading, "highest", high);
}

// By the energy counter where there is one, else by the mean of the power that was read times the time.
static double energy_of(const struct qm_sustained_run *run, const char **source)
{
    size_t last = run->window_count ? run->window_count - 1 : 0;
    double sum = 0;
    size_t count = 0;
    *source = "";
    if (last == 0)
        return 0;
    double begin = run->readings[QM_READING_ENERGY_J],
           end = run->readings[last * QM_READING_COUNT + QM_READING_ENERGY_J];
    if (!isnan(begin) && !isnan(end) && end > begin) {
        *source = "counter";
        return end - begin;
    }
    for (size_t i = 0; i <= last; ++i) {
        double power = run->readings[i * QM_READING_COUNT + QM_READING_POWER_W];
        if (isnan(power))
            continue;
        sum += power;
        ++count;
    }
    if (count == 0)
        return 0;
    *source = "power";
    return sum / (double)count * (run->at_ns[last] - run->at_ns[0]) * 1e-9;
}

static void add_energy(struct qm_node *node, const struct qm_point_run *point, const struct qm_sustained_run *run)
{
    const char *source;
    double joules = energy_of(run, &source), tokens = 0, steps = point->is_decode ? point->steps : 1;
    double end_ns = run->window_count ? run->at_ns[run->window_count - 1] : 0;
    for (size_t i = 0; i < run->count; ++i) // those between the first and the last reading
        tokens += run->begin_ns[i] + run->wall_ns[i] <= end_ns ? (double)point->batch * point->tokens * steps : 0;
    if (!(joules > 0) || !(tokens > 0)) {
        qm_node_set_text(node, "energy_j", "not measured");
        qm_node_set_text(node, "tokens_per_joule", "not measured");
        return;
    }
    qm_node_set_double(node, "energy_j", joules);
    qm_node_set_double(node, "tokens_per_joule", tokens / joules);
    qm_node_set_text(node, "energy_from", source);
}

static const char *steady_word(enum qm_sustained_state state)
{
    return state == QM_SUSTAINED_STEADY        ? "yes"
           : state == QM_SUSTAINED_UNDECIDABLE ? "undecidable"
           : state == QM_SUSTAINED_NOT_STEADY  ? "no"
                                               : "too short";
}

static void set_throttling(struct qm_node *node, const struct qm_sustained *s)
{
    size_t tagged = s->tagged_telemetry + s->tagged_probe;
    if (!s->onset.found && tagged == 0)
        qm_node_set_text(node, "throttling", "none seen");
    else if (!s->onset.found)
        qm_node_set_textf(node, "throttling", "no fall; %zu windows tagged by telemetry, %zu by the probe",
                          s->tagged_telemetry, s->tagged_probe);
    else
        qm_node_set_textf(node, "throttling", "from %.0f s on, %s; %zu windows tagged by telemetry, %zu by the probe",
                          s->onset_s, qm_throttle_cause_name(s->cause), s->tagged_telemetry, s->tagged_probe);
    if (s->onset.found)
        qm_node_set_double(node, "onset_s", s->onset_s);
    else
        qm_node_set_text(node, "onset_s", "none");
    if (s->probe_slowdown > 0)
        qm_node_set_double(node, "probe_slowdown", s->probe_slowdown);
}

static void add_windows(struct qm_node *node, const struct qm_sustained *s)
{
    struct qm_node *windows = qm_node_add_mapping(node, "windows");
    qm_node_set_u64(windows, "count", s->window_count);
    qm_node_set_double(windows, "seconds", s->window_s);
    qm_result_set_value(windows, "p5", &s->p5);
    qm_result_set_value(windows, "p50", &s->p50);
    qm_result_set_value(windows, "p95", &s->p95);
    qm_node_set_double(windows, "deviation", s->noise);
    qm_node_set_double(windows, "change", s->change);
    qm_node_set_double(windows, "low", s->change_low);
    qm_node_set_double(windows, "high", s->change_high);
    qm_node_set_u64(windows, "throttled_by_telemetry", s->tagged_telemetry);
    qm_node_set_u64(windows, "throttled_by_probe", s->tagged_probe);
}

void qm_speed_add_sustained(struct qm_node *row, const struct qm_raw *raw, size_t scheme)
{
    const struct qm_sustained_run *run = raw->schemes[scheme].sustained;
    struct qm_sustained s = {0};
    if (!run || run->count == 0 || run->point >= raw->schemes[scheme].point_count) {
        qm_node_set_text(row, "sustained", "not measured");
        return;
    }
    const struct qm_point_run *point = &raw->schemes[scheme].points[run->point];
    if (summarize(raw, point, run, &s) != QM_OK) {
        qm_node_set_text(row, "sustained", "not measured");
        return;
    }
    struct qm_node *node = qm_node_add_mapping(row, "sustained");
    qm_node_set_text(node, "phase", point->is_decode ? "decode" : "prefill");
    qm_node_set_u64(node, "batch", point->batch);
    qm_node_set_u64(node, point->is_decode ? "depth" : "prompt", point->is_decode ? point->depth : point->tokens);
    qm_result_set_estimate(node, "rate", &s.rate);
    qm_node_set_text(node, "unit", "tokens/s");
    qm_result_set_value(node, "wall_rate", &s.wall_rate);
    qm_node_set_double(node, "window_s", s.seconds);
    qm_node_set_text(node, "steady", steady_word(s.state));
    if (s.state == QM_SUSTAINED_STEADY)
        qm_node_set_double(node, "steady_from_s", s.steady_from_s);
    if (s.state == QM_SUSTAINED_UNDECIDABLE)
        qm_node_set_textf(node, "remark", "undecidable (sd %.2g %%); about %.0f s would tell", 100 * s.noise,
                          s.seconds_needed);
    add_latency(node, raw, point, run);
    struct qm_node *burst = qm_node_add_mapping(node, "burst");
    qm_result_set_estimate(burst, "rate", &s.burst);
    qm_result_set_value(node, "burst_rate", &s.burst);
    struct qm_node *ratio = qm_node_add_mapping(node, "ratio_to_burst");
    qm_result_set_estimate(ratio, "value", &s.ratio);
    set_throttling(node, &s);
    add_windows(node, &s);
    struct qm_node *telemetry = qm_node_add_mapping(node, "telemetry");
    add_reading(telemetry, "clock_mhz", run, QM_READING_CLOCK_MHZ);
    add_reading(telemetry, "power_w", run, QM_READING_POWER_W);
    add_reading(telemetry, "temperature_c", run, QM_READING_TEMPERATURE_C);
    add_reading(telemetry, "memory_used_bytes", run, QM_READING_MEMORY_BYTES);
    add_reading(telemetry, "busy_percent", run, QM_READING_BUSY_PERCENT);
    add_energy(telemetry, point, run);
    qm_sustained_free(&s);
}
