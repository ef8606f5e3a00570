#include "score/timer.h"

#include "score/ordered.h"

#include <math.h> // isfinite, fabs and sqrt, which are exact everywhere
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#define Z95 1.959963984540054
#define SPREAD_MIN 1.5

const char *qm_timer_state_name(enum qm_timer_state state)
{
    static const char *const names[] = {"too few samples", "good", "other pace", "undecidable", "void"};
    return (unsigned)state < sizeof(names) / sizeof(names[0]) ? names[state] : "?";
}

// ---- Pace -----------------------------------------------------------------------------------------------------------

static double two_to(uint32_t power)
{
    double value = 1.0;
    for (uint32_t i = 0; i < power; ++i)
        value *= 2.0;
    return value;
}

static enum qm_status check_pairs(const struct qm_timer_pairs *pairs)
{
    if (pairs->valid_bits > 64)
        return QM_FAIL(QM_INVALID, "timer with %u valid bits: 64 at most", pairs->valid_bits);
    if (!isfinite(pairs->period_ns) || pairs->period_ns <= 0.0)
        return QM_FAIL(QM_INVALID, "timer with a period of %g ns: must be a number above 0", pairs->period_ns);
    double wrap_ns = two_to(pairs->valid_bits) * pairs->period_ns;
    for (size_t i = 1; i < pairs->count; ++i) {
        if (pairs->host_ns[i] < pairs->host_ns[i - 1])
            return QM_FAIL(QM_INVALID, "timer pair %zu is before the one ahead of it", i);
        if (pairs->valid_bits > 0 && (double)(pairs->host_ns[i] - pairs->host_ns[i - 1]) > 0.9 * wrap_ns)
            return QM_FAIL(QM_INVALID,
                           "timer pairs %zu and %zu are %g s apart, and the timer wraps after %g s; read more often",
                           i - 1, i, (double)(pairs->host_ns[i] - pairs->host_ns[i - 1]) * 1e-9, wrap_ns * 1e-9);
    }
    return QM_OK;
}

// Device and host time since the first pair. False if the timer went backwards: a step of more than half of its range in
// host time that is nothing beside it.
static bool unwrap(const struct qm_timer_pairs *pairs, double *host, double *device)
{
    uint64_t mask = pairs->valid_bits == 64 ? UINT64_MAX : (UINT64_C(1) << pairs->valid_bits) - 1;
    double half_ns = 0.5 * two_to(pairs->valid_bits) * pairs->period_ns;
    uint64_t ticks = 0;
    host[0] = device[0] = 0.0;
    for (size_t i = 1; i < pairs->count; ++i) {
        uint64_t step = (pairs->ticks[i] - pairs->ticks[i - 1]) & mask;
        double host_step = (double)(pairs->host_ns[i] - pairs->host_ns[i - 1]);
        if (step > mask / 2 && host_step * 64.0 < half_ns)
            return false;
        ticks += step;
        host[i] = (double)(pairs->host_ns[i] - pairs->host_ns[0]);
        device[i] = (double)ticks * pairs->period_ns;
    }
    return true;
}

// Whether the second half goes at another pace than the first, beyond the limit and both intervals.
static enum qm_status compare_halves(const double *host, const double *device, size_t count, bool *differ,
                                     double paces[2])
{
    struct qm_estimate half[2];
    size_t middle = count / 2;
    *differ = false;
    if (host[middle - 1] <= 0.0 || host[count - 1] <= host[middle])
        return QM_OK;
    QM_TRY(qm_theil_sen(host, device, middle, 950, &half[0]));
    QM_TRY(qm_theil_sen(host + middle, device + middle, count - middle, 950, &half[1]));
    double doubt = 0.5 * (half[0].high - half[0].low + half[1].high - half[1].low);
    double usual = 0.5 * (half[0].value + half[1].value);
    paces[0] = half[0].value;
    paces[1] = half[1].value;
    *differ = fabs(half[1].value - half[0].value) > QM_TIMER_PACE_LIMIT * usual + doubt;
    return QM_OK;
}

static enum qm_status measure_pace(const struct qm_timer_pairs *pairs, const double *host, const double *device,
                                   double *room, struct qm_timer_pace *out)
{
    struct qm_estimate slope;
    bool differ;
    double paces[2] = {0}, squares = 0.0;
    size_t n = pairs->count;
    QM_TRY(qm_theil_sen(host, device, n, 950, &slope));
    if (!(slope.value > 0.0)) {
        out->state = QM_TIMER_VOID;
        snprintf(out->reason, sizeof(out->reason), "the device's timer stands still for %.3g s", out->seconds);
        return QM_OK;
    }
    for (size_t i = 0; i < n; ++i)
        room[i] = device[i] - slope.value * host[i];
    qm_values_sort(room, n);
    out->offset_ns = qm_sorted_median(room, n);
    for (size_t i = 0; i < n; ++i)
        squares += (room[i] - out->offset_ns) * (room[i] - out->offset_ns);
    out->residual_sd_ns = sqrt(squares / ((double)n - 2.0));
    out->ratio = (struct qm_estimate){.state = QM_ESTIMATE_POINT, .value = 1.0 / slope.value};
    out->period_ns = out->ratio.value * pairs->period_ns;
    if (slope.low > 0.0) {
        out->ratio = (struct qm_estimate){QM_ESTIMATE_INTERVAL, 1.0 / slope.value, 1.0 / slope.high, 1.0 / slope.low};
        out->standard_error = (out->ratio.high - out->ratio.low) / (2.0 * Z95);
    }
    QM_TRY(compare_halves(host, device, n, &differ, paces));
    if (differ) {
        out->state = QM_TIMER_VOID;
        snprintf(
            out->reason, sizeof(out->reason),
            "the device's timer changes its pace: %.4g device seconds per second in the first half, %.4g in the second",
            paces[0], paces[1]);
    } else if (slope.low >= 1.0 - QM_TIMER_PACE_LIMIT && slope.high <= 1.0 + QM_TIMER_PACE_LIMIT) {
        out->state = QM_TIMER_GOOD;
    } else if (slope.low > 0.0 && (slope.low > 1.0 + QM_TIMER_PACE_LIMIT || slope.high < 1.0 - QM_TIMER_PACE_LIMIT)) {
        out->state = QM_TIMER_OTHER_PACE;
        snprintf(out->reason, sizeof(out->reason),
                 "a tick of the device's timer takes %.6g ns by the host's clock, and %.6g ns by its driver",
                 out->period_ns, pairs->period_ns);
    } else {
        out->state = QM_TIMER_UNDECIDABLE;
        snprintf(out->reason, sizeof(out->reason),
                 "the pace of the device's timer lies between %.4g and %.4g of the host's; more pairs would tell",
                 slope.low, slope.high);
    }
    return QM_OK;
}

enum qm_status qm_timer_pace(const struct qm_timer_pairs *pairs, struct qm_timer_pace *out)
{
    *out = (struct qm_timer_pace){0};
    QM_TRY(check_pairs(pairs));
    if (pairs->valid_bits == 0) {
        out->state = QM_TIMER_VOID;
        snprintf(out->reason, sizeof(out->reason), "the device has no timer: 0 valid bits");
        return QM_OK;
    }
    if (pairs->count > 0)
        out->seconds = (double)(pairs->host_ns[pairs->count - 1] - pairs->host_ns[0]) * 1e-9;
    if (pairs->count < QM_TIMER_PAIRS_MIN || out->seconds * 1e9 < QM_TIMER_SPAN_MIN_NS) {
        snprintf(out->reason, sizeof(out->reason), "%zu pairs over %.3g s: it takes %d over 1 s", pairs->count,
                 out->seconds, QM_TIMER_PAIRS_MIN);
        return QM_OK;
    }
    double *host = calloc(3 * pairs->count, sizeof(*host));
    if (!host)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %zu pairs", pairs->count);
    double *device = host + pairs->count;
    enum qm_status status = QM_OK;
    if (unwrap(pairs, host, device)) {
        status = measure_pace(pairs, host, device, device + pairs->count, out);
    } else {
        out->state = QM_TIMER_VOID;
        snprintf(out->reason, sizeof(out->reason), "the device's timer runs backwards");
    }
    free(host);
    return status;
}

// ---- Blocks ---------------------------------------------------------------------------------------------------------

static enum qm_status check_blocks(const struct qm_timer_blocks *blocks)
{
    if (!isfinite(blocks->limit) || blocks->limit <= 0.0 || blocks->limit >= 0.5 || !isfinite(blocks->block_ns_min))
        return QM_FAIL(QM_INVALID, "timer check with a limit of %g: must be above 0 and below 0.5", blocks->limit);
    for (size_t i = 0; i < blocks->count; ++i)
        if (!isfinite(blocks->device_ns[i]) || blocks->device_ns[i] < 0.0 || !isfinite(blocks->wall_ns[i]) ||
            blocks->wall_ns[i] <= 0.0)
            return QM_FAIL(QM_INVALID, "timer check: block %zu has %g ns on the device and %g ns on the host", i,
                           blocks->device_ns[i], blocks->wall_ns[i]);
    return QM_OK;
}

static void find_overhead(const double *device, const double *wall, size_t count, double *room, double *sorted,
                          struct qm_timer_check *out)
{
    bool has_slope = out->slope.state == QM_ESTIMATE_INTERVAL;
    double b = has_slope ? out->slope.value : 1.0, middle, mad, usual, ignored;
    for (size_t i = 0; i < count; ++i)
        room[i] = wall[i] - b * device[i];
    qm_median_mad(room, count, sorted, &middle, &mad);
    qm_median_mad(device, count, sorted, &usual, &ignored);
    double own = Z95 * 1.2533141373155001 * QM_MAD_TO_SD * mad / sqrt((double)count);
    double of_slope = has_slope ? 0.5 * (out->slope.high - out->slope.low) * usual : 0.0;
    double half = sqrt(own * own + of_slope * of_slope);
    out->overhead_ns = (struct qm_estimate){QM_ESTIMATE_INTERVAL, middle, middle - half, middle + half};
}

static void judge_blocks(double limit, struct qm_timer_check *out)
{
    const struct qm_estimate *b = &out->slope;
    bool has_slope = b->state == QM_ESTIMATE_INTERVAL;
    out->state = QM_TIMER_GOOD;
    if (out->ratio > 1.0 + limit) {
        out->state = QM_TIMER_VOID;
        snprintf(
            out->reason, sizeof(out->reason),
            "the device's timer shows %.3g times the time that passed on the host; nothing the host does explains that",
            out->ratio);
    } else if (out->ratio < 1.0 - limit && has_slope && (b->low > 1.0 + limit || b->high < 1.0 - limit)) {
        out->state = QM_TIMER_VOID;
        snprintf(
            out->reason, sizeof(out->reason),
            "the device's timer shows %.3g of the time that passed on the host, and the longer a block the more is "
            "missing: %.3g s on the host for each second on the device, which no fixed overhead explains",
            out->ratio, b->value);
    } else if (out->ratio < 1.0 - limit && !(has_slope && b->low > 1.0 - 2.0 * limit && b->high < 1.0 + 2.0 * limit)) {
        out->state = QM_TIMER_UNDECIDABLE;
        snprintf(
            out->reason, sizeof(out->reason),
            "the device's timer shows %.3g of the time that passed on the host; blocks of more different lengths would "
            "tell whether the rest is the host's",
            out->ratio);
    }
}

enum qm_status qm_timer_check(const struct qm_timer_blocks *blocks, struct qm_timer_check *out)
{
    enum qm_status status = QM_OK;
    *out = (struct qm_timer_check){0};
    QM_TRY(check_blocks(blocks));
    double *device = calloc(4 * (blocks->count + 1), sizeof(*device));
    if (!device)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %zu blocks", blocks->count);
    double *wall = device + blocks->count + 1, *room = wall + blocks->count + 1, *sorted = room + blocks->count + 1;
    double shortest = 0.0, longest = 0.0;
    size_t used = 0;
    for (size_t i = 0; i < blocks->count; ++i) {
        if (blocks->wall_ns[i] < blocks->block_ns_min)
            continue;
        device[used] = blocks->device_ns[i];
        wall[used] = blocks->wall_ns[i];
        room[used] = device[used] / wall[used];
        shortest = used == 0 || wall[used] < shortest ? wall[used] : shortest;
        longest = wall[used] > longest ? wall[used] : longest;
        ++used;
    }
    out->used = used;
    if (used < QM_TIMER_BLOCKS_MIN) {
        snprintf(out->reason, sizeof(out->reason), "%zu blocks of %.3g ms or more: it takes %d", used,
                 blocks->block_ns_min * 1e-6, QM_TIMER_BLOCKS_MIN);
        goto done;
    }
    qm_values_sort(room, used);
    out->ratio = qm_sorted_median(room, used);
    bool are_equal = true; // a timer that stands still has no slope
    for (size_t i = 1; i < used; ++i)
        are_equal = are_equal && device[i] == device[0];
    if (longest >= SPREAD_MIN * shortest && !are_equal)
        QM_GUARD(qm_theil_sen(device, wall, used, 950, &out->slope));
    find_overhead(device, wall, used, room, sorted, out);
    judge_blocks(blocks->limit, out);
    if (out->state == QM_TIMER_UNDECIDABLE && longest >= SPREAD_MIN * shortest && are_equal) {
        out->state = QM_TIMER_VOID;
        snprintf(out->reason, sizeof(out->reason),
                 "the device's timer shows the same time for blocks of %.3g and %.3g ms", shortest * 1e-6,
                 longest * 1e-6);
    }
done:
    free(device);
    return status;
}
