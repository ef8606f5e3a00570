#include "score/series.h"

#include "base/numeric.h"
#include "score/counts.h"
#include "score/ordered.h"

#include <math.h> // isfinite, fabs, ceil and sqrt, which are exact everywhere
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OUTLIER_Z 3.5
#define MODE_SHARE_MIN 0.13
#define VALLEY_SHARE_MAX 0.13
#define MODE_RATIO_MIN 1.01
#define MODE_RATIO_MIN_OF_TWO_VALUES 1.05
#define TICKS_MIN 4.0
#define DRIFT_MIN 0.01
#define CORRELATION_MIN 0.2

// Where samples lie and how far they scatter, on logarithms. `scale` is the standard deviation of a normal distribution
// with that scatter; 0 if all are equal.
struct centre {
    double median, scale;
};

static struct centre centre_of(const double *logs, size_t count, double *room)
{
    struct centre centre;
    double mad, sum = 0.0;
    qm_median_mad(logs, count, room, &centre.median, &mad);
    centre.scale = mad / 0.6745;
    if (!(mad > 0.0)) {
        for (size_t i = 0; i < count; ++i)
            sum += fabs(logs[i] - centre.median);
        centre.scale = 1.2533 * sum / (double)count;
    }
    return centre;
}

static double z_of(double log, const struct centre *centre)
{
    return centre->scale > 0.0 ? (log - centre->median) / centre->scale : 0.0;
}

// ---- Two modes ------------------------------------------------------------------------------------------------------

// The border between two modes on logarithms if there are two. `sorted` are the logarithms, `sums` room for 2 (count + 1).
static bool find_modes(const double *sorted, size_t count, double *sums, double *border, double *separation)
{
    size_t cut = count / 20, inner = count - 2 * cut, least = (size_t)ceil(MODE_SHARE_MIN * (double)count), place = 0;
    const double *y = sorted + cut;
    double *plain = sums, *squares = sums + inner + 1, mean = 0.0, best = 0.0, n = (double)inner;
    least = least < 4 ? 4 : least;
    for (size_t i = 0; i < inner; ++i)
        mean += y[i] / n;
    plain[0] = squares[0] = 0.0;
    for (size_t i = 0; i < inner; ++i) {
        double x = y[i] - mean;
        plain[i + 1] = plain[i] + x;
        squares[i + 1] = squares[i] + x * x;
    }
    for (size_t k = least; k + least <= inner; ++k) {
        if (!(y[k] > y[k - 1]))
            continue; // equal samples stay together
        double left = plain[k], right = plain[inner] - left;
        double within = squares[inner] - left * left / (double)k - right * right / (n - (double)k);
        if (place == 0 || within < best) {
            best = within;
            place = k;
        }
    }
    if (place == 0)
        return false;
    double below = (double)place, above = n - below;
    double low = plain[place] / below, high = (plain[inner] - plain[place]) / above, distance = high - low;
    double low_variance = (squares[place] - below * low * low) / (below - 1.0);
    double high_variance = (squares[inner] - squares[place] - above * high * high) / (above - 1.0);
    double pooled = best / (n - 2.0), both = 0.5 * (low_variance + high_variance);
    double variance = pooled > both ? pooled : both;
    *border = mean + 0.5 * (low + high);
    *separation =
        variance > 1e-24 * distance * distance ? distance / sqrt(variance) : 1e12; // rounding, or two values only

    size_t valley = 0, steps = 0;
    double tick = 0.0;
    for (size_t i = 0; i < inner; ++i)
        valley += y[i] > mean + low + distance / 3.0 && y[i] < mean + high - distance / 3.0;
    for (size_t i = 1; i < count; ++i) {
        double step = sorted[i] - sorted[i - 1];
        if (step > 1e-12) {
            ++steps;
            tick = steps == 1 || step < tick ? step : tick;
        }
    }
    double far_enough = steps > 1 ? TICKS_MIN * tick : qm_log(MODE_RATIO_MIN_OF_TWO_VALUES);
    return *separation > 3.6 + 20.0 / (double)count && (double)valley <= VALLEY_SHARE_MAX * n &&
           distance >= qm_log(MODE_RATIO_MIN) && distance >= far_enough;
}

// ---- All of it ------------------------------------------------------------------------------------------------------

static void describe_modes(const double *logs, size_t count, double *room, double *part, struct centre centres[2],
                           double *border, struct qm_series *out)
{
    for (size_t i = 0; i < count; ++i)
        room[i] = logs[i];
    qm_values_sort(room, count);
    out->has_modes = find_modes(room, count, part, border, &out->separation);
    for (int side = 0; out->has_modes && side < 2; ++side) {
        size_t members = 0;
        for (size_t i = 0; i < count; ++i)
            if ((logs[i] > *border) == (side == 1))
                part[members++] = logs[i];
        centres[side] = centre_of(part, members, room);
        out->modes[side] = qm_exp(centres[side].median);
        out->shares[side] = (double)members / (double)count;
    }
}

static void find_outliers(const double *values, const double *logs, const struct centre centres[2], double border,
                          struct qm_series *out)
{
    for (size_t i = 0; i < out->count; ++i) {
        double z = z_of(logs[i], &centres[out->has_modes && logs[i] > border]), ratio = values[i] / out->median;
        if (z > OUTLIER_Z) {
            ++out->outliers_high;
            out->farthest_high = ratio > out->farthest_high ? ratio : out->farthest_high;
            out->is_first_slow |= i == 0;
        } else if (z < -OUTLIER_Z) {
            out->farthest_low = out->outliers_low == 0 || ratio < out->farthest_low ? ratio : out->farthest_low;
            ++out->outliers_low;
        }
    }
}

static void find_drift(const double *logs, const struct centre *all, double *room, double *at, struct qm_series *out)
{
    double reach = OUTLIER_Z * all->scale, last = (double)(out->count - 1), *drawn_in = at + out->count;
    struct qm_slope slope;
    for (size_t i = 0; i < out->count; ++i) {
        double away = logs[i] - all->median;
        drawn_in[i] = away > reach ? reach : away < -reach ? -reach : away;
        at[i] = (double)i;
    }
    qm_slope_fit(at, drawn_in, out->count, qm_normal_quantile(990), room, &slope);
    out->drift = qm_exp(slope.slope * last) - 1.0;
    out->drift_low = qm_exp(slope.low * last) - 1.0;
    out->drift_high = qm_exp(slope.high * last) - 1.0;
    out->has_drift = (out->drift_low > 0.0 || out->drift_high < 0.0) && fabs(out->drift) >= DRIFT_MIN;
    out->correlation = slope.correlation;
    out->is_correlated =
        slope.correlation > CORRELATION_MIN && slope.correlation > qm_normal_quantile(990) / sqrt((double)out->count);
}

enum qm_status qm_series_describe(const double *values, size_t count, struct qm_series *out)
{
    *out = (struct qm_series){.count = count};
    for (size_t i = 0; i < count; ++i)
        if (!isfinite(values[i]) || values[i] <= 0.0)
            return QM_FAIL(QM_INVALID, "sample %zu is %g: must be a number above 0", i, values[i]);
    if (count == 0)
        return QM_OK;
    double *logs = calloc(4 * (count + 1), sizeof(*logs));
    if (!logs)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory to describe %zu samples", count);
    double *room = logs + count + 1, *lists = room + count + 1; // lists: 2 (count + 1)
    for (size_t i = 0; i < count; ++i) {
        logs[i] = qm_log(values[i]);
        room[i] = values[i];
    }
    qm_values_sort(room, count);
    out->median = qm_sorted_median(room, count);
    out->least = room[0];
    out->most = room[count - 1];
    out->first = values[0] / out->median;
    struct centre all = centre_of(logs, count, room), centres[2] = {all, all};
    double border = 0.0;
    if (count >= QM_SERIES_SAMPLES_MIN) {
        describe_modes(logs, count, room, lists, centres, &border, out);
        find_drift(logs, &all, room, lists, out);
    }
    if (count >= QM_SERIES_OUTLIER_SAMPLES_MIN)
        find_outliers(values, logs, centres, border, out);
    free(logs);
    return QM_OK;
}

// ---- Words ----------------------------------------------------------------------------------------------------------

static QM_PRINTF(3, 4) void append(char *buffer, size_t bytes, const char *format, ...)
{
    size_t used = strlen(buffer);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(buffer + used, bytes - used, format, arguments);
    va_end(arguments);
}

static void append_time(char *buffer, size_t bytes, double ns)
{
    static const char *const units[] = {"ns", "us", "ms", "s"};
    size_t unit = 0;
    for (; unit < 3 && ns >= 999.5; ++unit)
        ns /= 1000.0;
    append(buffer, bytes, ns >= 999.5 ? "%.0f %s" : "%.3g %s", ns, units[unit]);
}

void qm_series_text(const struct qm_series *series, char *buffer, size_t bytes)
{
    if (bytes == 0)
        return;
    buffer[0] = 0;
    if (series->count < QM_SERIES_OUTLIER_SAMPLES_MIN) {
        append(buffer, bytes, "too few samples to tell");
        return;
    }
    const char *between = "";
    size_t outliers = series->outliers_high + series->outliers_low;
    if (outliers > 0) {
        append(buffer, bytes, "%zu outlier%s", outliers, outliers == 1 ? "" : "s");
        if (series->outliers_high > 0)
            append(buffer, bytes, ", up to %.2gx the median", series->farthest_high);
        if (series->outliers_low > 0)
            append(buffer, bytes, ", down to %.2gx the median", series->farthest_low);
        between = "; ";
    }
    if (series->has_modes) {
        append(buffer, bytes, "%stwo modes: ", between);
        append_time(buffer, bytes, series->modes[0]);
        append(buffer, bytes, " (%.0f %%) and ", 100.0 * series->shares[0]);
        append_time(buffer, bytes, series->modes[1]);
        append(buffer, bytes, " (%.0f %%)", 100.0 * series->shares[1]);
        between = "; ";
    }
    if (series->is_first_slow) {
        append(buffer, bytes, "%sthe first sample took %.2gx the median", between, series->first);
        between = "; ";
    }
    if (series->has_drift) {
        append(buffer, bytes, "%sdrift of %+.2g %% from first to last (%+.2g to %+.2g %%)", between,
               100.0 * series->drift, 100.0 * series->drift_low, 100.0 * series->drift_high);
        between = "; ";
    }
    if (series->is_correlated) {
        append(buffer, bytes, "%sneighbours are alike (correlation %.2f)", between, series->correlation);
        between = "; ";
    }
    if (*between == 0)
        append(buffer, bytes, "none");
}
