#include "report/axis.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double bounded(double value)
{
    return isnan(value) ? 0 : fmin(fmax(value, -1e300), 1e300);
}

// The step of 1, 2, 2.5 or 5 times a power of ten that makes about so many of a span.
static double step_of(double span, double wanted)
{
    static const double steps[] = {1, 2, 2.5, 5, 10};
    double raw = span / wanted, power = pow(10, floor(log10(raw)));
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        if (steps[i] * power >= raw * 0.999)
            return steps[i] * power;
    }
    return 10 * power;
}

void qm_axis_linear(struct qm_axis *axis, double low, double high, double from, double to, size_t wanted)
{
    low = bounded(low);
    high = bounded(high);
    if (!(high - low > 1e-9 * fmax(fabs(low), fabs(high)))) { // one value, or as good as one
        double around = low != 0 ? fabs(low) * 0.1 : 1;
        low -= around;
        high += around;
    }
    double step = step_of(high - low, wanted > 0 ? (double)wanted : 4);
    *axis = (struct qm_axis){.low = low, .high = high, .from = from, .to = to};
    double first = ceil(low / step - 1e-6);
    while (axis->tick_count < QM_AXIS_TICKS_MAX && (first + (double)axis->tick_count) * step <= high + step * 1e-6) {
        axis->ticks[axis->tick_count] = (first + (double)axis->tick_count) * step;
        axis->tick_count++;
    }
}

void qm_axis_log(struct qm_axis *axis, double low, double high, double from, double to, size_t wanted)
{
    low = fmax(bounded(low), 1e-300);
    high = fmax(bounded(high), low);
    double a = log10(low), b = log10(high);
    if (b - a < 0.3) { // less than a factor of two
        double around = (0.3 - (b - a)) / 2;
        a -= around;
        b += around;
    }
    *axis = (struct qm_axis){.low = pow(10, a), .high = pow(10, b), .from = from, .to = to, .is_log = true};
    double decades = b - a, many = wanted > 0 ? (double)wanted : 4;
    // Within few decades at 1, 2 and 5 of each, else at every power of ten, or every second, third ...
    double every = decades * 3 <= many * 1.5 ? 0 : fmax(1, ceil(decades / many));
    for (int power = (int)floor(a); power <= (int)ceil(b); power++) {
        static const double parts[] = {1, 2, 5};
        for (size_t i = 0; i < (every > 0 ? 1u : 3u); i++) {
            double value = parts[i] * pow(10, power);
            bool is_on = value >= axis->low * 0.999 && value <= axis->high * 1.001;
            bool is_turn = every <= 1 || abs(power) % (int)every == 0;
            if (is_on && is_turn && axis->tick_count < QM_AXIS_TICKS_MAX)
                axis->ticks[axis->tick_count++] = value;
        }
    }
}

double qm_axis_at(const struct qm_axis *axis, double value)
{
    double share;
    if (axis->is_log) {
        double a = log(axis->low), b = log(axis->high);
        share = value > 0 ? (log(fmin(value, 1e300)) - a) / (b - a) : 0;
    } else {
        share = (bounded(value) - axis->low) / (axis->high - axis->low);
    }
    if (isnan(share))
        share = 0;
    return axis->from + (axis->to - axis->from) * fmin(fmax(share, 0), 1);
}

void qm_axis_label(const struct qm_axis *axis, double value, char text[QM_AXIS_LABEL_BYTES])
{
    double size = fabs(value);
    if (!axis->is_log && size < 1e-9 * fmax(fabs(axis->low), fabs(axis->high)))
        value = size = 0;
    if (size != 0 && (size < 1e-4 || size >= 1e7)) {
        snprintf(text, QM_AXIS_LABEL_BYTES, "%.3g", value);
        return;
    }
    char plain[QM_AXIS_LABEL_BYTES];
    snprintf(plain, sizeof(plain), size >= 1000 ? "%.0f" : "%.4g", value);
    size_t whole = strcspn(plain, "."), sign = plain[0] == '-', used = 0;
    for (size_t i = 0; plain[i] && used + 3 < QM_AXIS_LABEL_BYTES; i++) { // thousands apart
        if (i > sign && i < whole && (whole - i) % 3 == 0 && whole - sign > 3)
            text[used++] = ',';
        text[used++] = plain[i];
    }
    text[used] = '\0';
}

void qm_axis_draw_x(const struct qm_axis *axis, struct qm_svg *svg, double top, double bottom, const char *unit)
{
    char label[QM_AXIS_LABEL_BYTES];
    double free_from = -1e9;
    for (size_t i = 0; i < axis->tick_count; i++) {
        double x = qm_axis_at(axis, axis->ticks[i]);
        qm_axis_label(axis, axis->ticks[i], label);
        double half = (qm_svg_text_width(label, 11) + qm_svg_text_width(unit, 11)) / 2;
        qm_svg_line(svg, "grid", x, top, x, bottom);
        if (x - half < free_from)
            continue; // it would touch the one before
        qm_svg_text(svg, "tick", QM_SVG_MIDDLE, fmin(x, svg->width - half - 2), bottom + 15, "%s%s", label, unit);
        free_from = x + half + 8;
    }
}

void qm_axis_draw_y(const struct qm_axis *axis, struct qm_svg *svg, double left, double right, const char *unit)
{
    char label[QM_AXIS_LABEL_BYTES];
    for (size_t i = 0; i < axis->tick_count; i++) {
        double y = qm_axis_at(axis, axis->ticks[i]);
        qm_axis_label(axis, axis->ticks[i], label);
        qm_svg_line(svg, "grid", left, y, right, y);
        qm_svg_text(svg, "tick", QM_SVG_END, left - 6, y + 4, "%s%s", label, unit);
    }
}
