#include "report/svg.h"

#include "base/text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double far_away = 1e5;

static double within(double value)
{
    return isnan(value) ? 0 : fmin(fmax(value, -far_away), far_away);
}

// A coordinate in as few digits as tell tenths of a pixel.
static const char *digits(double value, char text[24])
{
    snprintf(text, 24, "%.1f", within(value));
    size_t length = strlen(text);
    if (length > 2 && strcmp(text + length - 2, ".0") == 0)
        text[length - 2] = '\0';
    return strcmp(text, "-0") == 0 ? "0" : text;
}

static void attribute(struct qm_text *out, const char *name, double value)
{
    char text[24];
    qm_text_append(out, " %s=\"%s\"", name, digits(value, text));
}

static void classes_of(struct qm_text *out, const char *classes)
{
    if (!*classes)
        return;
    qm_text_append(out, " class=\"");
    for (const char *at = classes; *at;) {
        size_t length = strcspn(at, " ");
        qm_text_append(out, "%sqp-%.*s", at == classes ? "" : " ", (int)length, at);
        at += length + (at[length] == ' ');
    }
    qm_text_append(out, "\"");
}

// What stands between tags: cleaned, escaped, and without the two code points that XML has not.
static void escaped(struct qm_text *out, const char *text)
{
    char *copy = strdup(text);
    if (!copy) {
        out->failed = true;
        return;
    }
    qm_text_clean(copy);
    for (char *at = copy; *at;) {
        size_t plain = strcspn(at, "<>&\"'\xef");
        qm_text_append(out, "%.*s", (int)plain, at);
        at += plain;
        if (!*at)
            break;
        if (*at == '\xef') {
            bool is_none = at[1] == '\xbf' && (at[2] == '\xbe' || at[2] == '\xbf'); // U+FFFE, U+FFFF
            qm_text_append(out, is_none ? "?" : "%.3s", at);
            at += 3;
            continue;
        }
        qm_text_append(out, "%s",
                       *at == '<'   ? "&lt;"
                       : *at == '>' ? "&gt;"
                       : *at == '&' ? "&amp;"
                       : *at == '"' ? "&quot;"
                                    : "&#39;");
        at++;
    }
    free(copy);
}

void qm_svg_begin(struct qm_svg *svg, double width, const char *id)
{
    *svg = (struct qm_svg){.width = width, .id = id};
}

static void patterns(const struct qm_svg *svg, struct qm_text *out)
{
    static const char *const paths[QM_SVG_PATTERNS] = {
        NULL,
        "M-2 2L2 -2M0 8L8 0M6 10L10 6",                             // rising
        "M-2 6L2 10M0 0L8 8M6 -2L10 2",                             // falling
        "M0 4H8",                                                   // lying
        "M4 0V8",                                                   // standing
        "M-2 2L2 -2M0 8L8 0M6 10L10 6M-2 6L2 10M0 0L8 8M6 -2L10 2", // crossed
        "M0 4H8M4 0V8",                                             // grid
        "M1 2H3M5 6H7",                                             // dashes
    };
    if (!svg->body.bytes || !strstr(svg->body.bytes, "url(#"))
        return;
    qm_text_append(out, "<defs>");
    for (int i = 1; i < QM_SVG_PATTERNS; i++)
        qm_text_append(out,
                       "<pattern id=\"%s-p%d\" width=\"8\" height=\"8\" patternUnits=\"userSpaceOnUse\">"
                       "<path class=\"qp-weave\" d=\"%s\"/></pattern>",
                       svg->id, i, paths[i]);
    qm_text_append(out, "</defs>\n");
}

void qm_svg_end(struct qm_svg *svg, const struct qm_svg_frame *frame, struct qm_text *out)
{
    double height = ceil(within(frame->height));
    qm_text_append(out,
                   "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"qp\" id=\"%s\" role=\"img\" "
                   "aria-labelledby=\"%s-t %s-d\" width=\"%.0f\" height=\"%.0f\" viewBox=\"0 0 %.0f %.0f\">\n"
                   "<title id=\"%s-t\">",
                   svg->id, svg->id, svg->id, svg->width, height, svg->width, height, svg->id);
    escaped(out, frame->title);
    qm_text_append(out, "</title><desc id=\"%s-d\">", svg->id);
    escaped(out, frame->summary);
    qm_text_append(out, "</desc>\n");
    if (frame->style) {
        qm_text_append(out, "<style>%s</style>\n", frame->style);
        qm_text_append(out, "<rect class=\"qp-ground\" width=\"%.0f\" height=\"%.0f\"/>\n", svg->width, height);
    }
    patterns(svg, out);
    if (svg->body.bytes)
        qm_text_append(out, "%s", svg->body.bytes);
    qm_text_append(out, "</svg>\n");
    out->failed = out->failed || svg->body.failed;
    qm_text_free(&svg->body);
}

// ---- Shapes ---------------------------------------------------------------------------------------------------------

// Paths go from point to point in tenths of pixels, so that they are short and no rounding adds up.
struct pen {
    long x, y; // tenths
};

static long tenths(double value)
{
    return lround(within(value) * 10);
}

// A number with the blank before it that it needs: none before a sign.
static void put_tenths(struct qm_text *out, long value, bool is_first)
{
    long size = labs(value);
    char sign = value < 0 ? '-' : is_first ? '\0' : ' ';
    char text[32];
    int used = 0;
    if (sign)
        text[used++] = sign;
    if (size >= 10 || size == 0)
        used += snprintf(text + used, sizeof(text) - (size_t)used, "%ld", size / 10);
    if (size % 10 != 0)
        used += snprintf(text + used, sizeof(text) - (size_t)used, ".%ld", size % 10);
    qm_text_append(out, "%.*s", used, text);
}

static void move_to(struct qm_text *out, struct pen *pen, double x, double y)
{
    *pen = (struct pen){tenths(x), tenths(y)};
    qm_text_append(out, "M");
    put_tenths(out, pen->x, true);
    put_tenths(out, pen->y, false);
}

// `is_next`: after another line, whose letter serves for this one too.
static void line_to(struct qm_text *out, struct pen *pen, double x, double y, bool is_next)
{
    struct pen to = {tenths(x), tenths(y)};
    if (!is_next)
        qm_text_append(out, "l");
    put_tenths(out, to.x - pen->x, !is_next);
    put_tenths(out, to.y - pen->y, false);
    *pen = to;
}

static void path_begin(struct qm_svg *svg, const char *classes)
{
    qm_text_append(&svg->body, "<path");
    classes_of(&svg->body, classes);
    qm_text_append(&svg->body, " d=\"");
}

static void path_end(struct qm_svg *svg, bool is_closed)
{
    qm_text_append(&svg->body, "%s\"/>", is_closed ? "z" : "");
}

void qm_svg_line(struct qm_svg *svg, const char *classes, double x1, double y1, double x2, double y2)
{
    double x[2] = {x1, x2}, y[2] = {y1, y2};
    qm_svg_path(svg, classes, x, y, 2, false);
}

static void rect(struct qm_svg *svg, const char *extra, double x, double y, double width, double height)
{
    attribute(&svg->body, "x", x);
    attribute(&svg->body, "y", y);
    attribute(&svg->body, "width", fmax(width, 0));
    attribute(&svg->body, "height", fmax(height, 0));
    qm_text_append(&svg->body, "%s/>", extra);
}

void qm_svg_rect(struct qm_svg *svg, const char *classes, double x, double y, double width, double height)
{
    qm_text_append(&svg->body, "<rect");
    classes_of(&svg->body, classes);
    rect(svg, "", x, y, width, height);
}

void qm_svg_path(struct qm_svg *svg, const char *classes, const double *x, const double *y, size_t count, bool is_area)
{
    struct pen pen;
    if (count == 0)
        return;
    path_begin(svg, classes);
    move_to(&svg->body, &pen, x[0], y[0]);
    for (size_t i = 1; i < count; i++)
        line_to(&svg->body, &pen, x[i], y[i], i > 1);
    path_end(svg, is_area);
}

void qm_svg_bar(struct qm_svg *svg, unsigned hue, unsigned pattern, double x, double y, double width, double height)
{
    qm_text_append(&svg->body, "<rect class=\"qp-f%u\"", hue % QM_SVG_HUES);
    rect(svg, "", x, y, width, height);
    if (pattern % QM_SVG_PATTERNS == 0)
        return;
    char fill[96];
    snprintf(fill, sizeof(fill), " fill=\"url(#%s-p%u)\"", svg->id, pattern % QM_SVG_PATTERNS);
    qm_text_append(&svg->body, "<rect");
    rect(svg, fill, x, y, width, height);
}

void qm_svg_mark(struct qm_svg *svg, unsigned shape, unsigned hue, bool is_open, double x, double y, double radius)
{
    // Corners around the middle, as shares of the radius; areas are about alike.
    static const struct {
        size_t count;
        double x[12], y[12];
    } corners[QM_SVG_SHAPES] = {
        {0, {0}, {0}}, // a circle
        {4, {-.9, .9, .9, -.9}, {-.9, -.9, .9, .9}},
        {4, {0, 1.25, 0, -1.25}, {-1.25, 0, 1.25, 0}},
        {3, {0, 1.2, -1.2}, {-1.25, .95, .95}},
        {3, {0, 1.2, -1.2}, {1.25, -.95, -.95}},
        {12,
         {-.4, .4, .4, 1.2, 1.2, .4, .4, -.4, -.4, -1.2, -1.2, -.4},
         {-1.2, -1.2, -.4, -.4, .4, .4, 1.2, 1.2, .4, .4, -.4, -.4}},
        {6, {-.55, .55, 1.1, .55, -.55, -1.1}, {-.95, -.95, 0, .95, .95, 0}},
        {4, {-1.2, 1.2, -1.2, 1.2}, {-.95, -.95, .95, .95}}, // an hourglass
    };
    char class[32];
    snprintf(class, sizeof(class), is_open ? "s%u open" : "f%u edge", hue % QM_SVG_HUES);
    size_t count = corners[shape % QM_SVG_SHAPES].count;
    if (count == 0) {
        qm_text_append(&svg->body, "<circle");
        classes_of(&svg->body, class);
        attribute(&svg->body, "cx", x);
        attribute(&svg->body, "cy", y);
        attribute(&svg->body, "r", radius);
        qm_text_append(&svg->body, "/>");
        return;
    }
    double xs[12], ys[12];
    for (size_t i = 0; i < count; i++) {
        xs[i] = x + radius * corners[shape % QM_SVG_SHAPES].x[i];
        ys[i] = y + radius * corners[shape % QM_SVG_SHAPES].y[i];
    }
    qm_svg_path(svg, class, xs, ys, count, true);
}

// A line between two points, and across each a short one.
static void interval(struct qm_svg *svg, const char *classes, double x1, double y1, double x2, double y2)
{
    const double end = 3;
    double across_x = x1 == x2 ? end : 0, across_y = x1 == x2 ? 0 : end;
    struct pen pen;
    path_begin(svg, classes);
    move_to(&svg->body, &pen, x1 - across_x, y1 - across_y);
    line_to(&svg->body, &pen, x1 + across_x, y1 + across_y, false);
    move_to(&svg->body, &pen, x1, y1);
    line_to(&svg->body, &pen, x2, y2, false);
    move_to(&svg->body, &pen, x2 - across_x, y2 - across_y);
    line_to(&svg->body, &pen, x2 + across_x, y2 + across_y, false);
    path_end(svg, false);
}

void qm_svg_interval_x(struct qm_svg *svg, const char *classes, double low, double high, double y)
{
    interval(svg, classes, low, y, fabs(high - low) < 0.1 ? low + 0.1 : high, y);
}

void qm_svg_interval_y(struct qm_svg *svg, const char *classes, double x, double low, double high)
{
    interval(svg, classes, x, low, x, high);
}

void qm_svg_open(struct qm_svg *svg, const char *classes, const char *title)
{
    qm_text_append(&svg->body, "<g");
    classes_of(&svg->body, classes);
    qm_text_append(&svg->body, ">");
    if (title && !svg->without_titles) {
        qm_text_append(&svg->body, "<title>");
        escaped(&svg->body, title);
        qm_text_append(&svg->body, "</title>");
    }
}

void qm_svg_close(struct qm_svg *svg)
{
    qm_text_append(&svg->body, "</g>\n");
}

// ---- Texts ----------------------------------------------------------------------------------------------------------

// Advances of DejaVu Sans in thousandths of its size, from ' ' to '~': the widest of the fonts that the style names.
static const unsigned short advances[] = {
    318, 401, 460, 838, 636, 950, 780, 275, 390, 390, 500, 838, 318, 361,  318, 337, 636, 636, 636,
    636, 636, 636, 636, 636, 636, 636, 337, 337, 838, 838, 838, 531, 1000, 684, 686, 698, 770, 632,
    575, 775, 752, 295, 295, 656, 557, 863, 748, 787, 603, 787, 695, 635,  611, 732, 684, 989, 685,
    611, 685, 390, 337, 390, 838, 500, 500, 613, 635, 550, 635, 615, 352,  635, 634, 278, 278, 579,
    278, 974, 634, 612, 635, 635, 411, 521, 392, 634, 592, 818, 592, 592,  525, 636, 337, 636, 838};

// Of the character at `at`; `*length` receives its bytes. Beyond ASCII: up to 2 bytes as a wide Latin letter, else as broad
// as high, which East Asian ones are.
static double advance_of(const char *at, size_t *length)
{
    unsigned char lead = (unsigned char)*at;
    *length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    for (size_t i = 1; i < *length; i++) {
        if (at[i] == '\0')
            *length = i;
    }
    if (lead >= ' ' && lead < 127)
        return advances[lead - ' '] / 1000.0;
    return lead < 0x80 ? 0.32 : lead < 0xe0 ? 0.75 : 1.0;
}

double qm_svg_text_width(const char *text, double size)
{
    double sum = 0;
    size_t length;
    for (const char *at = text; *at; at += length)
        sum += advance_of(at, &length);
    return sum * size;
}

void qm_svg_fit(char *text, double size, double width)
{
    double sum = 0;
    size_t length, keep = 0;
    for (char *at = text; *at; at += length) {
        sum += advance_of(at, &length) * size;
        if (sum + size <= width) // room for the dots
            keep = (size_t)(at - text) + length;
        if (sum > width) {
            memcpy(text + keep, "…", sizeof("…"));
            return;
        }
    }
}

static void write_text(struct qm_svg *svg, const char *classes, enum qm_svg_anchor anchor, double x, double y,
                       bool is_upward, const char *text)
{
    char a[24], b[24];
    qm_text_append(&svg->body, "<text");
    classes_of(&svg->body, classes);
    if (is_upward) {
        qm_text_append(&svg->body, " transform=\"translate(%s %s) rotate(-90)\"", digits(x, a), digits(y, b));
    } else {
        attribute(&svg->body, "x", x);
        attribute(&svg->body, "y", y);
    }
    if (anchor != QM_SVG_START)
        qm_text_append(&svg->body, " text-anchor=\"%s\"", anchor == QM_SVG_MIDDLE ? "middle" : "end");
    qm_text_append(&svg->body, ">");
    escaped(&svg->body, text);
    qm_text_append(&svg->body, "</text>");
}

void qm_svg_text(struct qm_svg *svg, const char *classes, enum qm_svg_anchor anchor, double x, double y,
                 const char *format, ...)
{
    char text[QM_SVG_TEXT_BYTES + 4];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, QM_SVG_TEXT_BYTES, format, arguments);
    va_end(arguments);
    if (length >= QM_SVG_TEXT_BYTES) { // not in the middle of a character
        size_t end = QM_SVG_TEXT_BYTES - 1;
        while (end > 0 && ((unsigned char)text[end - 1] & 0xc0) == 0x80)
            end--;
        text[end > 0 ? end - 1 : 0] = '\0';
    }
    write_text(svg, classes, anchor, x, y, false, text);
}

void qm_svg_text_up(struct qm_svg *svg, const char *classes, double x, double y, const char *text)
{
    write_text(svg, classes, QM_SVG_MIDDLE, x, y, true, text);
}

// Bytes of the text that fit into a line: up to a blank, or, of a word that is wider than a line, up to a character.
static size_t line_of(const char *text, double size, double width)
{
    double sum = 0;
    size_t length, word = 0, used = 0;
    for (const char *at = text; *at; at += length) {
        sum += advance_of(at, &length) * size;
        if (*at == ' ')
            word = (size_t)(at - text);
        if (sum > width && used > 0 && *at != ' ')
            return word > 0 ? word : used;
        used = (size_t)(at - text) + length;
    }
    return used;
}

double qm_svg_paragraph(struct qm_svg *svg, const char *classes, double size, double x, double y, double width,
                        size_t lines_most, const char *text)
{
    char *copy = strdup(text);
    if (!copy) {
        svg->body.failed = true;
        return y;
    }
    qm_text_clean(copy);
    double step = floor(size * 1.4);
    char *at = copy + strspn(copy, " ");
    for (size_t line = 0; *at && line < lines_most; line++) {
        size_t used = line_of(at, size, width);
        char *next = at + used + strspn(at + used, " ");
        bool is_cut = *next && line + 1 == lines_most;
        if (is_cut)
            used = line_of(at, size, width - qm_svg_text_width("...", size));
        char *words = NULL;
        if (asprintf(&words, "%.*s%s", (int)used, at, is_cut ? "..." : "") < 0)
            svg->body.failed = true;
        else
            write_text(svg, classes, QM_SVG_START, x, y, false, words);
        free(words);
        at = next;
        y += step;
    }
    free(copy);
    return y;
}
