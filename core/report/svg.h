// The one writer of SVG: shapes and texts by classes of one style, so that a drawing follows light and dark and is small.
//
// Coordinates are pixels from the upper left corner; one that is not finite or beyond 100,000 is brought within. A class
// is a name from the style (svg_style.c) without "qp-", or several with blanks between: a constant, never a text of a
// result. Texts are escaped here, and cleaned: they may come from anybody.
#ifndef QM_REPORT_SVG_H
#define QM_REPORT_SVG_H

#include "report/facts.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    QM_SVG_HUES = 8,     // classes f0..f7 fill with a hue, s0..s7 draw lines of it
    QM_SVG_SHAPES = 8,   // of marks
    QM_SVG_PATTERNS = 8, // of bars; 0 is plain
    QM_SVG_TEXT_BYTES = 256,
};

struct qm_svg {
    struct qm_text body; // owned until qm_svg_end
    double width;
    const char *id;      // borrowed: "qp-trade-0-960", of constants and numbers alone
    bool without_titles; // groups have none: of a drawing for phones, where nothing is pointed at
};

enum qm_svg_anchor {
    QM_SVG_START,
    QM_SVG_MIDDLE,
    QM_SVG_END,
};

void qm_svg_begin(struct qm_svg *svg, double width, const char *id);

struct qm_svg_frame {
    double height;
    const char *title, *summary; // for who does not see it
    const char *style;           // rules of CSS to stand inside, and a ground behind all; NULL: neither
};
// Appends the whole drawing to `out` and frees the body. Without memory `out` is marked as failed.
void qm_svg_end(struct qm_svg *svg, const struct qm_svg_frame *frame, struct qm_text *out);

void qm_svg_line(struct qm_svg *svg, const char *classes, double x1, double y1, double x2, double y2);
void qm_svg_rect(struct qm_svg *svg, const char *classes, double x, double y, double width, double height);
// Through all points, in order; `is_area`: filled, and closed.
void qm_svg_path(struct qm_svg *svg, const char *classes, const double *x, const double *y, size_t count, bool is_area);
// A bar of a hue with a pattern above it.
void qm_svg_bar(struct qm_svg *svg, unsigned hue, unsigned pattern, double x, double y, double width, double height);
// The mark of a shape and hue; `is_open`: only its outline.
void qm_svg_mark(struct qm_svg *svg, unsigned shape, unsigned hue, bool is_open, double x, double y, double radius);
// An interval with short ends, along x and along y.
void qm_svg_interval_x(struct qm_svg *svg, const char *classes, double low, double high, double y);
void qm_svg_interval_y(struct qm_svg *svg, const char *classes, double x, double low, double high);

// A group; with a title, which tells when it is pointed at. Each is closed once.
void qm_svg_open(struct qm_svg *svg, const char *classes, const char *title);
void qm_svg_close(struct qm_svg *svg);

// One line of text; `y` is its base line. At most QM_SVG_TEXT_BYTES are written.
void qm_svg_text(struct qm_svg *svg, const char *classes, enum qm_svg_anchor anchor, double x, double y,
                 const char *format, ...) QM_PRINTF(6, 7);
// The same, turned by 90 degrees so that it is read upwards.
void qm_svg_text_up(struct qm_svg *svg, const char *classes, double x, double y, const char *text);
// Words in lines of at most `width` pixels; `y` is the first base line. Returns the base line after the last; lines beyond
// `lines_most` are left out, and the last one then ends in "...".
double qm_svg_paragraph(struct qm_svg *svg, const char *classes, double size, double x, double y, double width,
                        size_t lines_most, const char *text);

// How wide a text of that size is at most in the fonts of the style, in pixels.
double qm_svg_text_width(const char *text, double size);
// Cuts the text so that it is at most that wide, with "…" at its end. It must have room for 4 bytes more.
void qm_svg_fit(char *text, double size, double width);

#endif
