#include "score/sustained.h"

#include "base/numeric.h"
#include "score/counts.h"

#include <math.h> // isfinite, fabs, floor, ceil and sqrt, which are exact everywhere
#include <stdlib.h>

#define NS 1e-9
#define WINDOWS_MAX 20000.0 // the search for the onset goes with the square
#define WALL_MIN_NS 1.0
#define UNITS_MAX 1e100
#define PROBE_SLOW 1.05

enum {
    SPAN_WINDOWS_MIN = 10, // for a slope
    PROBES_MIN = 3,
    PERCENTILE_WINDOWS_MIN = 20
};

const char *qm_throttle_cause_name(enum qm_throttle_cause cause)
{
    static const char *const names[] = {"none", "clock", "partly the clock", "not the clock", "unknown"};
    return (unsigned)cause < sizeof(names) / sizeof(names[0]) ? names[cause] : "?";
}

static bool is_positive(double value)
{
    return isfinite(value) && value > 0.0;
}

static enum qm_status check(const struct qm_sustained_samples *samples, const struct qm_sustained_params *params)
{
    QM_TRY(qm_bootstrap_check(params->bootstrap));
    if (!is_positive(params->burst_s) || !is_positive(params->window_s) || !is_positive(params->slope_span_s) ||
        !is_positive(params->slope_limit) || !isfinite(params->seconds_min) || params->seconds_min < 0.0)
        return QM_FAIL(QM_INVALID, "sustained rate: burst, window, span and limit must be numbers above 0");
    if (samples->count > 0 && (!is_positive(samples->units) || samples->units > UNITS_MAX))
        return QM_FAIL(QM_INVALID, "sustained rate: blocks of %g units: must be above 0 and at most 1e100",
                       samples->units);
    double free_from = 0.0;
    for (size_t i = 0; i < samples->count; ++i) {
        double begin = samples->begin_ns[i], wall = samples->wall_ns[i];
        if (!isfinite(wall) || wall < WALL_MIN_NS)
            return QM_FAIL(QM_INVALID, "sustained rate: block %zu took %g ns: must be 1 at least", i, wall);
        if (!isfinite(begin) || begin < free_from - 1.0) // 1 ns: sums of rounded times
            return QM_FAIL(QM_INVALID, "sustained rate: block %zu begins at %g ns, before the one ahead of it ends", i,
                           begin);
        free_from = begin + wall;
        if (!(free_from * NS <= WINDOWS_MAX * params->window_s))
            return QM_FAIL(QM_INVALID, "sustained rate: block %zu ends after 20,000 windows; take longer ones", i);
    }
    for (size_t i = 0; i < samples->probe_count; ++i)
        if (!isfinite(samples->probe_at_ns[i]) || samples->probe_at_ns[i] < 0.0 || !is_positive(samples->probe_ns[i]))
            return QM_FAIL(QM_INVALID, "sustained rate: probe %zu took %g ns at %g ns: must be numbers above 0", i,
                           samples->probe_ns[i], samples->probe_at_ns[i]);
    return QM_OK;
}

// ---- Windows --------------------------------------------------------------------------------------------------------

static size_t window_at(const struct qm_sustained *out, double seconds)
{
    double place = floor(seconds / out->window_s);
    return place >= (double)out->window_count ? out->window_count - 1 : (size_t)place;
}

// Decides how long windows are, and shares the blocks out among them.
static enum qm_status make_windows(const struct qm_sustained_samples *samples, const struct qm_sustained_params *params,
                                   struct qm_sustained *out)
{
    double *walls = calloc(samples->count, sizeof(*walls));
    if (!walls)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %zu blocks", samples->count);
    for (size_t i = 0; i < samples->count; ++i)
        walls[i] = samples->wall_ns[i] * NS;
    qm_values_sort(walls, samples->count);
    double times = ceil(2.0 * qm_sorted_median(walls, samples->count) / params->window_s);
    free(walls);
    out->window_s = params->window_s * (times > 1.0 ? times : 1.0);
    out->seconds = (samples->begin_ns[samples->count - 1] + samples->wall_ns[samples->count - 1]) * NS;

    double whole = floor(out->seconds / out->window_s), rest = out->seconds - whole * out->window_s;
    out->window_count = (size_t)whole + (whole < 1.0 || rest >= 0.5 * out->window_s);
    out->windows = calloc(out->window_count, sizeof(*out->windows));
    if (!out->windows)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %zu windows", out->window_count);
    for (size_t w = 0; w < out->window_count; ++w) {
        out->windows[w].begin_s = (double)w * out->window_s;
        out->windows[w].length_s = out->window_s;
    }
    struct qm_sustained_window *last = &out->windows[out->window_count - 1];
    last->length_s = out->seconds - last->begin_s;

    double busy = 0.0;
    for (size_t i = 0; i < samples->count; ++i) {
        double begin = samples->begin_ns[i] * NS, wall = samples->wall_ns[i] * NS, end = begin + wall;
        busy += wall;
        size_t first = window_at(out, begin < 0.0 ? 0.0 : begin);
        for (size_t w = first; w < out->window_count; ++w) {
            struct qm_sustained_window *window = &out->windows[w];
            double border = window->begin_s + window->length_s;
            bool is_end = end <= border || w + 1 == out->window_count;
            double from = w == first ? begin : window->begin_s;
            double part = w == first && is_end ? wall : (is_end ? end : border) - from;
            if (part > 0.0) {
                window->busy_s += part;
                window->units += samples->units * part / wall;
            }
            if (is_end)
                break;
        }
    }
    for (size_t w = 0; w < out->window_count; ++w) {
        struct qm_sustained_window *window = &out->windows[w];
        window->rate = window->busy_s > 0.0 ? window->units / window->busy_s : 0.0;
        window->wall_rate = window->units / window->length_s;
        if (!(window->busy_s > 0.0)) {
            window->tags |= QM_WINDOW_EMPTY;
            ++out->holes;
        }
    }
    out->busy_share = busy / out->seconds;
    return QM_OK;
}

static enum qm_status add_tags(const struct qm_sustained_samples *samples, const struct qm_sustained_params *params,
                               struct qm_sustained *out)
{
    for (size_t i = 0; samples->throttled && i < samples->throttled_count; ++i)
        if (samples->throttled[i] && (double)i * params->window_s < out->seconds)
            out->windows[window_at(out, (double)i * params->window_s)].tags |= QM_WINDOW_THROTTLED_TELEMETRY;
    if (samples->probe_count >= PROBES_MIN) {
        double *room = calloc(samples->probe_count + 2 * out->window_count, sizeof(*room));
        if (!room)
            return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %zu probes", samples->probe_count);
        double *sums = room + samples->probe_count, *counts = sums + out->window_count;
        size_t early = 0;
        for (size_t i = 0; i < samples->probe_count; ++i)
            if (i < PROBES_MIN || samples->probe_at_ns[i] * NS < params->burst_s)
                room[early++] = samples->probe_ns[i];
        qm_values_sort(room, early);
        double usual = qm_sorted_median(room, early);
        for (size_t i = 0; i < samples->probe_count; ++i) {
            size_t w = window_at(out, samples->probe_at_ns[i] * NS);
            sums[w] += samples->probe_ns[i];
            counts[w] += 1.0;
        }
        for (size_t w = 0; w < out->window_count; ++w)
            if (counts[w] > 0.0 && sums[w] > PROBE_SLOW * usual * counts[w])
                out->windows[w].tags |= QM_WINDOW_THROTTLED_PROBE;
        free(room);
    }
    for (size_t w = 0; w < out->window_count; ++w) {
        out->tagged_telemetry += (out->windows[w].tags & QM_WINDOW_THROTTLED_TELEMETRY) != 0;
        out->tagged_probe += (out->windows[w].tags & QM_WINDOW_THROTTLED_PROBE) != 0;
    }
    return QM_OK;
}

// ---- Rates ----------------------------------------------------------------------------------------------------------

// The windows that have a rate, as lists. One allocation, begun by `rate`.
struct list {
    size_t count, third;              // `third`: the first of the last third
    double *rate, *at, *units, *busy; // `at`: middle, in seconds
    double *room;
    size_t *window; // index among all windows
};

static enum qm_status make_list(const struct qm_sustained *out, struct list *list)
{
    size_t n = out->window_count;
    list->rate = calloc(5 * n, sizeof(*list->rate));
    list->window = calloc(n, sizeof(*list->window));
    if (!list->rate || !list->window)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %zu windows", n);
    list->at = list->rate + n;
    list->units = list->at + n;
    list->busy = list->units + n;
    list->room = list->busy + n;
    list->third = n;
    for (size_t w = 0; w < n; ++w) {
        const struct qm_sustained_window *window = &out->windows[w];
        if (window->tags & QM_WINDOW_EMPTY)
            continue;
        size_t i = list->count++;
        list->rate[i] = window->rate;
        list->at[i] = window->begin_s + 0.5 * window->length_s;
        list->units[i] = window->units;
        list->busy[i] = window->busy_s;
        list->window[i] = w;
        if (list->third == n && window->begin_s >= out->seconds * 2.0 / 3.0 - 1e-9)
            list->third = i;
    }
    if (list->third >= list->count) // fewer than 3 windows, or holes only
        list->third = list->count - 1;
    return QM_OK;
}

static enum qm_status burst_rate(const struct qm_sustained_samples *samples, const struct qm_sustained_params *params,
                                 struct qm_estimate *burst)
{
    size_t count = 0;
    while (count < samples->count && samples->begin_ns[count] * NS < params->burst_s)
        ++count;
    count = count ? count : 1;
    double *lists = calloc(2 * count, sizeof(*lists));
    if (!lists)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %zu blocks", count);
    for (size_t i = 0; i < count; ++i) {
        lists[i] = samples->units;
        lists[count + i] = samples->wall_ns[i] * NS;
    }
    enum qm_status status = qm_moving_ratio(lists, lists + count, count, params->bootstrap, burst);
    free(lists);
    return status;
}

static struct qm_estimate quotient(const struct qm_estimate *over, const struct qm_estimate *under)
{
    struct qm_estimate out = {0};
    if (over->state == QM_ESTIMATE_NOT_MEASURED || under->state == QM_ESTIMATE_NOT_MEASURED)
        return out;
    if (over->state == QM_ESTIMATE_OUT_OF_RANGE || under->state == QM_ESTIMATE_OUT_OF_RANGE)
        return (struct qm_estimate){.state = QM_ESTIMATE_OUT_OF_RANGE};
    out = (struct qm_estimate){.state = QM_ESTIMATE_POINT, .value = over->value / under->value};
    if (over->state == QM_ESTIMATE_INTERVAL && under->state == QM_ESTIMATE_INTERVAL) {
        double over_down = qm_log(over->value / over->low), over_up = qm_log(over->high / over->value);
        double under_down = qm_log(under->value / under->low), under_up = qm_log(under->high / under->value);
        out.state = QM_ESTIMATE_INTERVAL;
        out.low = out.value * qm_exp(-sqrt(over_down * over_down + under_up * under_up));
        out.high = out.value * qm_exp(sqrt(over_up * over_up + under_down * under_down));
    }
    return out;
}

static struct qm_estimate percentile(const double *sorted, size_t count, size_t percent)
{
    if (percent != 50 && count < PERCENTILE_WINDOWS_MIN)
        return (struct qm_estimate){0};
    size_t rank = (count * percent + 99) / 100; // nearest rank, as in ratio.h
    return (struct qm_estimate){.state = QM_ESTIMATE_POINT, .value = sorted[rank ? rank - 1 : 0]};
}

static enum qm_status sustained_rate(const struct list *list, const struct qm_sustained_params *params,
                                     struct qm_sustained *out)
{
    size_t first = list->third, count = list->count - first;
    QM_TRY(qm_moving_ratio(list->units + first, list->busy + first, count, params->bootstrap, &out->rate));
    double units = 0.0, seconds = 0.0;
    for (size_t w = list->window[first]; w < out->window_count; ++w) {
        units += out->windows[w].units;
        seconds += out->windows[w].length_s;
    }
    out->wall_rate = (struct qm_estimate){.state = QM_ESTIMATE_POINT, .value = units / seconds};
    for (size_t i = 0; i < count; ++i)
        list->room[i] = list->rate[first + i];
    qm_values_sort(list->room, count);
    out->p5 = percentile(list->room, count, 5);
    out->p50 = percentile(list->room, count, 50);
    out->p95 = percentile(list->room, count, 95);
    return QM_OK;
}

// ---- Steadiness -----------------------------------------------------------------------------------------------------

struct change {
    double value, low, high; // relative, over slope_span_s
    double noise, correlation;
};

static struct change change_of(const struct list *list, size_t first, size_t end, double z, double span_s)
{
    struct qm_slope slope;
    qm_slope_fit(list->at + first, list->rate + first, end - first, z, list->room, &slope);
    double scale = span_s / slope.mean;
    return (struct change){slope.slope * scale, slope.low * scale, slope.high * scale, slope.sd / slope.mean,
                           slope.correlation};
}

static bool is_outside(const struct change *change, double limit)
{
    return change->low > limit || change->high < -limit;
}

// The normal quantile of each of `tests` two-sided tests that together have the doubt of one (Bonferroni).
static double shared_quantile(const struct qm_sustained_params *params, size_t tests)
{
    return qm_normal_exceeded_by((1000.0 - (double)params->bootstrap->confidence_permille) / 2000.0 / (double)tests);
}

// How many of the consecutive spans of `span` windows, counted back from the end to `first`, changed beyond doubt.
static size_t spans_outside(const struct list *list, size_t first, size_t span,
                            const struct qm_sustained_params *params)
{
    size_t spans = (list->count - first) / span, found = 0;
    double z = shared_quantile(params, spans + 1);
    for (size_t s = 0; s < spans; ++s) {
        size_t end = list->count - s * span;
        struct change change = change_of(list, end - span, end, z, params->slope_span_s);
        found += is_outside(&change, params->slope_limit);
    }
    return found;
}

static void judge_steadiness(const struct list *list, const struct qm_sustained_params *params,
                             struct qm_sustained *out)
{
    size_t first = list->third;
    double z = qm_normal_quantile(params->bootstrap->confidence_permille), limit = params->slope_limit;
    struct change change = {0};
    bool has_slope = list->count - first >= SPAN_WINDOWS_MIN;
    if (has_slope) {
        change = change_of(list, first, list->count, z, params->slope_span_s);
        out->noise = change.noise;
        out->correlation = change.correlation;
        double spans = ceil(params->slope_span_s / out->window_s);
        size_t span = spans > (double)list->count ? list->count : (size_t)spans;
        span = span < SPAN_WINDOWS_MIN ? SPAN_WINDOWS_MIN : span;
        struct change sure = change_of(list, first, list->count,
                                       shared_quantile(params, (list->count - first) / span + 1), params->slope_span_s);
        out->state = is_outside(&sure, limit) || spans_outside(list, first, span, params) > 0
                         ? QM_SUSTAINED_NOT_STEADY
                         : QM_SUSTAINED_UNDECIDABLE;
        for (size_t t = 0; t <= first; ++t) {
            struct change rest = change_of(list, t, list->count, z, params->slope_span_s);
            if (rest.low >= -limit && rest.high <= limit && spans_outside(list, t, span, params) == 0) {
                out->state = QM_SUSTAINED_STEADY;
                out->steady_from_s = out->windows[list->window[t]].begin_s;
                change = rest;
                break;
            }
        }
    } else {
        out->state = QM_SUSTAINED_UNDECIDABLE;
    }
    out->change = change.value;
    out->change_low = change.low;
    out->change_high = change.high;
    if (has_slope && out->state == QM_SUSTAINED_UNDECIDABLE) {
        double wide = 0.5 * (change.high - change.low) / (0.5 * limit);
        double length = out->seconds / 3.0 * qm_exp(qm_log(wide > 1.0 ? wide : 1.0) * 2.0 / 3.0);
        out->seconds_needed = length > out->seconds ? length : out->seconds;
    }
    if (out->seconds < params->seconds_min)
        out->state = QM_SUSTAINED_TOO_SHORT;
}

// ---- Throttling -----------------------------------------------------------------------------------------------------

static void judge_cause(const struct qm_sustained_samples *samples, double fall_begin_s, double fall_end_s,
                        double *room, struct qm_sustained *out)
{
    // Logarithms of the probes before the fall, then of those after it.
    double middle[2], error[2];
    out->cause = QM_THROTTLE_UNKNOWN;
    if (samples->probe_count < 2 * PROBES_MIN)
        return;
    for (int side = 0; side < 2; ++side) {
        double *values = room, *sorted = room + samples->probe_count, mad;
        size_t count = 0;
        for (size_t i = 0; i < samples->probe_count; ++i) {
            double at = samples->probe_at_ns[i] * NS;
            bool is_near = side == 0 ? i < PROBES_MIN : i + PROBES_MIN >= samples->probe_count;
            if (is_near || (side == 0 ? at < fall_begin_s : at >= fall_end_s))
                values[count++] = qm_log(samples->probe_ns[i]);
        }
        qm_median_mad(values, count, sorted, &middle[side], &mad);
        error[side] = 1.2533141373155001 * QM_MAD_TO_SD * mad / sqrt((double)count);
    }
    double slower = middle[1] - middle[0], fall = qm_log(out->onset.before / out->onset.after);
    double doubt = 2.0 * sqrt(error[0] * error[0] + error[1] * error[1]);
    out->probe_slowdown = qm_exp(slower);
    if (slower - doubt > 0.0 && slower >= 0.5 * fall)
        out->cause = QM_THROTTLE_CLOCK;
    else if (slower - doubt > 0.0 && slower >= 0.1 * fall)
        out->cause = QM_THROTTLE_PARTLY_CLOCK;
    else if (slower + doubt < 0.5 * fall)
        out->cause = QM_THROTTLE_NOT_CLOCK;
}

static enum qm_status find_throttling(const struct qm_sustained_samples *samples, const struct list *list,
                                      const struct qm_sustained_params *params, struct qm_sustained *out)
{
    QM_TRY(qm_onset_find(list->rate, list->count, params->bootstrap->seed, &out->onset));
    if (!out->onset.found)
        return QM_OK;
    out->onset_s = out->windows[list->window[out->onset.first]].begin_s;
    double *room = calloc(2 * samples->probe_count + 1, sizeof(*room));
    if (!room)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %zu probes", samples->probe_count);
    judge_cause(samples, out->onset_s, out->windows[list->window[out->onset.last]].begin_s, room, out);
    free(room);
    return QM_OK;
}

// The burst is so short that its blocks say nothing of how one second differs from the next; its interval is made at
// least as wide as that of a mean of burst_s of windows with the noise that the windows before the onset have, or those of
// the last third.
static void widen_burst(const struct list *list, const struct qm_sustained_params *params, struct qm_sustained *out)
{
    struct qm_estimate *burst = &out->burst;
    if (burst->state != QM_ESTIMATE_INTERVAL)
        return;
    bool is_before = out->onset.found && out->onset.first >= SPAN_WINDOWS_MIN;
    size_t first = is_before ? 0 : list->third, end = is_before ? out->onset.first : list->count;
    if (end - first < SPAN_WINDOWS_MIN) {
        *burst = (struct qm_estimate){.state = QM_ESTIMATE_POINT, .value = burst->value};
        return;
    }
    double z = qm_normal_quantile(params->bootstrap->confidence_permille);
    struct change around = change_of(list, first, end, z, params->slope_span_s);
    double rho = around.correlation > 0.0 ? around.correlation : 0.0;
    double n = ceil(params->burst_s / out->window_s), factor = 1.0, power = rho;
    for (size_t k = 1; (double)k < n; ++k) { // variance of a mean of n AR(1) values, by that of n independent ones
        factor += 2.0 * (1.0 - (double)k / n) * power;
        power *= rho;
    }
    double counted = (double)(end - first) * (1.0 - rho) / (1.0 + rho), freedom = counted > 3.0 ? counted - 2.0 : 1.0;
    double half = qm_student_quantile(z, freedom) * around.noise * sqrt(factor / n);
    double low = burst->value * qm_exp(-half), high = burst->value * qm_exp(half);
    burst->low = low < burst->low ? low : burst->low;
    burst->high = high > burst->high ? high : burst->high;
}

enum qm_status qm_sustained_make(const struct qm_sustained_samples *samples, const struct qm_sustained_params *params,
                                 struct qm_sustained *out)
{
    enum qm_status status = QM_OK;
    struct list list = {0};
    *out = (struct qm_sustained){.onset.share = 1.0};
    QM_TRY(check(samples, params));
    if (samples->count == 0)
        return QM_OK;
    QM_GUARD(make_windows(samples, params, out));
    QM_GUARD(add_tags(samples, params, out));
    QM_GUARD(make_list(out, &list));
    QM_GUARD(burst_rate(samples, params, &out->burst));
    QM_GUARD(sustained_rate(&list, params, out));
    judge_steadiness(&list, params, out);
    QM_GUARD(find_throttling(samples, &list, params, out));
    widen_burst(&list, params, out);
    out->ratio = quotient(&out->rate, &out->burst);
done:
    free(list.rate);
    free(list.window);
    if (status != QM_OK)
        qm_sustained_free(out);
    return status;
}

void qm_sustained_free(struct qm_sustained *sustained)
{
    free(sustained->windows);
    *sustained = (struct qm_sustained){0};
}
