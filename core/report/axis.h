// Axes of pictures, linear and logarithmic, with marks at round numbers.
#ifndef QM_REPORT_AXIS_H
#define QM_REPORT_AXIS_H

#include "report/svg.h"

enum {
    QM_AXIS_TICKS_MAX = 24,
    QM_AXIS_LABEL_BYTES = 32,
};

struct qm_axis {
    double low, high; // values at its ends
    double from, to;  // pixels of its ends
    bool is_log;
    size_t tick_count;
    double ticks[QM_AXIS_TICKS_MAX];
};

// From values that are finite, and above 0 where it is logarithmic. `wanted` is about how many ticks there are to be, at
// round numbers within. Equal ends make an axis around the value.
void qm_axis_linear(struct qm_axis *axis, double low, double high, double from, double to, size_t wanted);
void qm_axis_log(struct qm_axis *axis, double low, double high, double from, double to, size_t wanted);

// The pixel of a value; of one beyond its ends (or not finite, or not above 0 on a logarithmic one) that of the end.
double qm_axis_at(const struct qm_axis *axis, double value);

// "0.01", "1,200", "1e-06".
void qm_axis_label(const struct qm_axis *axis, double value, char text[QM_AXIS_LABEL_BYTES]);

// Lines across the plot at the ticks with their labels beside it. Of x: labels below `bottom`, with `unit` after each;
// of y: to the left of `left`.
void qm_axis_draw_x(const struct qm_axis *axis, struct qm_svg *svg, double top, double bottom, const char *unit);
void qm_axis_draw_y(const struct qm_axis *axis, struct qm_svg *svg, double left, double right, const char *unit);

#endif
