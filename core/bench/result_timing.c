// What the device's clocks and this machine's noise are worth.
#include "bench/result_speed.h"

#include <math.h>
#include <stdlib.h>

#include "base/numeric.h"
#include "bench/result_nodes.h"
#include "score/stop.h"

static void add_noise(struct qm_node *timing, const struct qm_raw *raw)
{
    struct qm_noise_floor floor;
    if (qm_noise_floor(raw->noise, raw->noise_count, 1, 0, raw->profile->bootstrap.confidence_permille, &floor) !=
        QM_OK) {
        qm_node_set_text(timing, "noise_floor", "not measured");
        return;
    }
    struct qm_node *noise = qm_node_add_mapping(timing, "noise_floor");
    qm_node_set_u64(noise, "blocks", floor.blocks);
    qm_node_set_double(noise, "deviation", floor.sd);
    qm_node_set_double(noise, "detectable", floor.effect);
    qm_node_set_double(noise, "difference", qm_exp(floor.mean));
}

enum {
    BLOCKS_LOOKED_AT = 500, // pairs of them are compared
    BLOCK_NS_MIN = 50000000
};

enum qm_status qm_speed_judge_timer(struct qm_raw *raw)
{
    size_t count = 0, used = 0;
    for (size_t s = 0; s < raw->scheme_count; ++s) {
        for (size_t i = 0; raw->schemes[s].is_ok && i < raw->schemes[s].point_count; ++i)
            count += raw->schemes[s].points[i].has_device_time ? raw->schemes[s].points[i].count : 0;
    }
    raw->timer = (struct qm_timer_check){0};
    double *times = calloc(2 * count + 2, sizeof(*times));
    if (!times)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %zu blocks", count);
    for (size_t s = 0; s < raw->scheme_count; ++s) {
        for (size_t i = 0; raw->schemes[s].is_ok && i < raw->schemes[s].point_count; ++i) {
            const struct qm_point_run *point = &raw->schemes[s].points[i];
            for (size_t k = 0; point->has_device_time && k < point->count; ++k) {
                if (point->wall_ns[k] < BLOCK_NS_MIN)
                    continue;
                times[used] = point->device_ns[k];
                times[count + used++] = point->wall_ns[k];
            }
        }
    }
    size_t every = used / BLOCKS_LOOKED_AT + 1, kept = 0;
    for (size_t i = 0; i < used; i += every, ++kept) {
        times[kept] = times[i];
        times[count + kept] = times[count + i];
    }
    struct qm_timer_blocks blocks = {
        .count = kept, .device_ns = times, .wall_ns = times + count, .block_ns_min = BLOCK_NS_MIN, .limit = 0.05};
    enum qm_status status = qm_timer_check(&blocks, &raw->timer);
    free(times);
    return status;
}

static void add_timer(struct qm_node *timing, const struct qm_raw *raw)
{
    const struct qm_timer_check *check = &raw->timer;
    struct qm_node *node = qm_node_add_mapping(timing, "device_timer");
    qm_node_set_text(node, "verdict", qm_timer_state_name(check->state));
    qm_node_set_u64(node, "blocks", check->used);
    qm_result_set_number(node, "device_over_wall", check->state != QM_TIMER_TOO_FEW, check->ratio, "not measured");
    if (check->reason[0])
        qm_node_set_text(node, "reason", check->reason);
    struct qm_estimate overhead = check->overhead_ns;
    overhead.value *= 1e-3;
    overhead.low *= 1e-3;
    overhead.high *= 1e-3;
    qm_result_add_estimate(timing, "host_overhead_us", &overhead);
}

static void add_pace(struct qm_node *timing, const struct qm_raw *raw)
{
    struct qm_timer_pace pace = {0};
    uint64_t *ns = calloc(2 * raw->clock_count + 2, sizeof(*ns));
    for (size_t i = 0; ns && i < raw->clock_count; ++i) {
        ns[i] = (uint64_t)raw->clock_host_ns[i];
        ns[raw->clock_count + i] = (uint64_t)raw->clock_device_ns[i];
    }
    struct qm_timer_pairs pairs = {
        .count = raw->clock_count, .host_ns = ns, .ticks = ns + raw->clock_count, .valid_bits = 64, .period_ns = 1};
    bool is_known = ns && raw->clock_count > 0 && qm_timer_pace(&pairs, &pace) == QM_OK;
    free(ns);
    if (!is_known) {
        qm_node_set_text(timing, "device_clock", "not measured");
        return;
    }
    struct qm_node *node = qm_node_add_mapping(timing, "device_clock");
    qm_node_set_text(node, "verdict", qm_timer_state_name(pace.state));
    qm_node_set_u64(node, "readings", raw->clock_count);
    qm_node_set_double(node, "seconds", pace.seconds);
    qm_result_set_estimate(node, "period_ratio", &pace.ratio);
    if (pace.reason[0])
        qm_node_set_text(node, "reason", pace.reason);
}

void qm_speed_add_timing(struct qm_node *root, const struct qm_raw *raw)
{
    struct qm_node *timing = qm_node_add_mapping(root, "timing");
    qm_node_set_u64(timing, "order_seed", raw->profile->order_seed);
    add_noise(timing, raw);
    add_pace(timing, raw);
    add_timer(timing, raw);
}
