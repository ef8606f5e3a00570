// Throughput over time, what sensors told beside it, and where it was throttled; of one result, a line for each scheme.
#include "report/picture_internal.h"

#include "record/node.h"
#include "record/result.h"
#include "report/show.h"
#include "report/show_speed.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LINES_MAX = 6,     // schemes that are drawn
    DOTS_MAX = 160,    // of a line over the whole width; longer runs are drawn by means of neighbours
    BURST_SECONDS = 2, // METHOD.md
};

struct run {
    const struct qm_node *scheme, *sustained;
    struct qm_picture_series series; // owned
    struct qm_picture_value burst, rate;
    bool has_burst, has_rate;
    double seconds, onset_s; // onset below 0: none
    unsigned hue, shape;
};

struct runs {
    struct run runs[LINES_MAX];
    size_t count, more;
    bool has_windows;
    char why[160]; // no windows
    double left, right;
    size_t dots; // of a line
    struct qm_axis time;
};

static void collect(struct runs *runs, const struct qm_picture_set *set, const struct qm_picture_entry *entry)
{
    struct qm_picture_samples *samples = qm_picture_samples_open(entry, runs->why);
    for (size_t i = 0; i < qm_node_count(entry->schemes); i++) {
        const struct qm_node *scheme = qm_node_at(entry->schemes, i);
        const struct qm_node *sustained = qm_node_child(scheme, "sustained");
        struct run run = {.scheme = scheme, .sustained = sustained, .onset_s = -1};
        if (!qm_result_row_is_ok(scheme) || !qm_node_is_mapping(sustained))
            continue;
        run.has_burst = qm_picture_read(qm_node_child(sustained, "burst"), "rate", &run.burst) && run.burst.value > 0;
        run.has_rate = qm_picture_read(sustained, "rate", &run.rate) && run.rate.value > 0;
        if (!run.has_burst && !run.has_rate)
            continue;
        if (runs->count == LINES_MAX) {
            runs->more++;
            continue;
        }
        if (!qm_node_double_at(sustained, "window_s", &run.seconds) || !(run.seconds > 0) || run.seconds > 1e6)
            run.seconds = BURST_SECONDS;
        if (!qm_node_double_at(sustained, "onset_s", &run.onset_s))
            run.onset_s = -1;
        size_t index = qm_picture_scheme_index(set, qm_picture_scheme_name(scheme));
        run.hue = qm_picture_hue(index);
        run.shape = qm_picture_shape(index);
        if (samples && qm_picture_samples_series(samples, entry, scheme, &run.series)) {
            runs->has_windows = true;
            run.seconds = fmax(run.seconds, run.series.windows[run.series.window_count - 1].end_s);
        }
        runs->runs[runs->count++] = run;
    }
    qm_picture_samples_close(samples);
    if (!runs->has_windows && !runs->why[0])
        snprintf(runs->why, sizeof(runs->why), "its samples have no windows of these runs");
}

static void classes_of(const struct run *run, const char *before, char text[32])
{
    snprintf(text, 32, "%s s%u", before, run->hue);
}

// ---- Throughput -----------------------------------------------------------------------------------------------------

// Shows when the rate is pointed at, for windows have no marks of their own.
enum {
    TITLE_BYTES = 640
};
static void run_title(const struct run *run, char text[TITLE_BYTES])
{
    char burst[QM_PICTURE_VALUE_BYTES] = "not measured", rate[QM_PICTURE_VALUE_BYTES] = "not measured";
    char accuracy[QM_PICTURE_VALUE_BYTES], cell[QM_SHOW_SUSTAINED_BYTES];
    if (run->has_burst)
        qm_picture_value_text(&run->burst, burst);
    if (run->has_rate)
        qm_picture_value_text(&run->rate, rate);
    qm_picture_accuracy_text(run->scheme, false, accuracy);
    qm_show_sustained_cell(run->scheme, cell);
    snprintf(text, TITLE_BYTES, "%.60s: burst %s, last third %s tokens/s; %s; %s", qm_picture_scheme_name(run->scheme),
             burst, rate, cell, accuracy);
}

static void draw_windows(const struct runs *runs, const struct run *run, struct qm_svg *svg, const struct qm_axis *rate)
{
    double x[DOTS_MAX + 1], y[DOTS_MAX + 1];
    char classes[32];
    size_t used = 0, count = run->series.window_count, group = count / runs->dots + 1;
    classes_of(run, "line", classes);
    for (size_t i = 0; i <= count; i += group) {
        double sum = 0, begin = 0, end = 0;
        size_t known = 0;
        for (size_t k = i; k < i + group && k < count; k++) {
            const struct qm_picture_window *window = &run->series.windows[k];
            begin = known == 0 ? window->begin_s : begin;
            end = window->end_s;
            sum += window->rate;
            known += window->rate > 0;
        }
        if (known > 0 && used < DOTS_MAX) {
            x[used] = qm_axis_at(&runs->time, (begin + end) / 2);
            y[used++] = qm_axis_at(rate, sum / (double)known);
        } else { // a hole, or the end
            qm_svg_path(svg, classes, x, y, used, false);
            used = 0;
        }
    }
    qm_svg_path(svg, classes, x, y, used, false);
}

// Burst and last third as thick lines over the time that they are of, with their intervals.
static void draw_level(const struct runs *runs, const struct run *run, struct qm_svg *svg, const struct qm_axis *rate,
                       const struct qm_picture_value *value, double from_s, double to_s)
{
    char classes[32];
    double left = qm_axis_at(&runs->time, from_s), right = qm_axis_at(&runs->time, to_s);
    double y = qm_axis_at(rate, value->value);
    if (value->has_interval) {
        double top = qm_axis_at(rate, value->high), bottom = qm_axis_at(rate, value->low);
        snprintf(classes, sizeof(classes), "f%u area", run->hue);
        qm_svg_rect(svg, classes, left, top, fmax(right - left, 2), fmax(bottom - top, 2));
    }
    classes_of(run, "thick", classes);
    qm_svg_line(svg, classes, left, y, fmax(right, left + 4), y);
}

static void draw_run(const struct runs *runs, const struct run *run, struct qm_svg *svg, const struct qm_axis *rate)
{
    char title[TITLE_BYTES], classes[32];
    run_title(run, title);
    qm_svg_open(svg, "mark", title);
    double third = run->seconds * 2 / 3, burst_s = fmin(BURST_SECONDS, run->seconds);
    if (run->series.window_count > 0) {
        draw_windows(runs, run, svg, rate);
    } else if (run->has_burst && run->has_rate && third > burst_s) {
        double x[2] = {qm_axis_at(&runs->time, burst_s), qm_axis_at(&runs->time, third)};
        double y[2] = {qm_axis_at(rate, run->burst.value), qm_axis_at(rate, run->rate.value)};
        classes_of(run, "thin dash", classes);
        qm_svg_path(svg, classes, x, y, 2, false);
    }
    if (run->has_burst) {
        draw_level(runs, run, svg, rate, &run->burst, 0, burst_s);
        qm_svg_mark(svg, run->shape, run->hue, true, qm_axis_at(&runs->time, burst_s / 2),
                    qm_axis_at(rate, run->burst.value), 4.5);
    }
    if (run->has_rate) {
        draw_level(runs, run, svg, rate, &run->rate, third, run->seconds);
        qm_svg_mark(svg, run->shape, run->hue, false, qm_axis_at(&runs->time, run->seconds),
                    qm_axis_at(rate, run->rate.value), 4.5);
    }
    if (run->onset_s >= 0 && run->series.window_count > 0) { // where the rate begins to fall
        double x = qm_axis_at(&runs->time, run->onset_s);
        classes_of(run, "thin dash", classes);
        qm_svg_line(svg, classes, x, rate->from, x, rate->to);
    }
    qm_svg_close(svg);
}

// Throttled windows, neighbours together, as bands between two heights.
static void draw_throttled(const struct runs *runs, const struct run *run, struct qm_svg *svg, const char *classes,
                           double top, double bottom)
{
    const struct qm_picture_series *series = &run->series;
    for (size_t i = 0; i < series->window_count; i++) {
        size_t end = i;
        while (end < series->window_count && series->windows[end].is_throttled)
            end++;
        if (end == i)
            continue;
        double left = qm_axis_at(&runs->time, series->windows[i].begin_s);
        double right = qm_axis_at(&runs->time, series->windows[end - 1].end_s);
        qm_svg_rect(svg, classes, left, top, fmax(right - left, 1), bottom - top);
        i = end;
    }
}

static bool is_throttled(const struct run *run)
{
    for (size_t i = 0; i < run->series.window_count; i++) {
        if (run->series.windows[i].is_throttled)
            return true;
    }
    return false;
}

// ---- Names ----------------------------------------------------------------------------------------------------------

// What stands beside a line: scheme and accuracy, and below how the rate held.
static void draw_name(struct qm_svg *svg, const struct run *run, double x, double y, double room)
{
    char name[QM_PICTURE_NAME_BYTES + 4], accuracy[QM_PICTURE_VALUE_BYTES + 4];
    char cell[QM_SHOW_SUSTAINED_BYTES + 4], rate[QM_SHOW_NUMBER_BYTES], classes[32];
    snprintf(name, sizeof(name), "%.60s", qm_picture_scheme_name(run->scheme));
    qm_svg_fit(name, 12.5, room);
    qm_picture_accuracy_text(run->scheme, true, accuracy);
    qm_svg_fit(accuracy, 11, room);
    qm_show_sustained_cell(run->scheme, cell);
    qm_svg_fit(cell, 11, room);
    qm_show_double(run->has_rate ? run->rate.value : run->burst.value, rate);
    snprintf(classes, sizeof(classes), "head f%u", run->hue);
    qm_svg_text(svg, classes, QM_SVG_START, x, y, "%s", name);
    qm_svg_text(svg, "tick", QM_SVG_START, x, y + 14, "%s", cell);
    qm_svg_text(svg, "tick", QM_SVG_START, x, y + 27, "%s", accuracy);
}

// Beside the ends of their lines, pushed apart so that none touches another.
static void draw_names_beside(struct runs *runs, struct qm_picture_sheet *sheet, const struct qm_axis *rate, double top)
{
    const double step = 44;
    size_t order[LINES_MAX];
    double y[LINES_MAX];
    for (size_t i = 0; i < runs->count; i++) {
        const struct run *run = &runs->runs[i];
        y[i] = qm_axis_at(rate, run->has_rate ? run->rate.value : run->burst.value) - 8;
        size_t k = i;
        for (; k > 0 && y[order[k - 1]] > y[i]; k--)
            order[k] = order[k - 1];
        order[k] = i;
    }
    double lowest = rate->from - 20; // down first, then up again from the bottom
    for (size_t k = 0; k < runs->count; k++)
        y[order[k]] = fmax(y[order[k]], k > 0 ? y[order[k - 1]] + step : top + 8);
    for (size_t k = runs->count; k-- > 0;) {
        y[order[k]] = fmin(y[order[k]], lowest);
        lowest = y[order[k]] - step;
    }
    for (size_t i = 0; i < runs->count; i++) {
        const struct run *run = &runs->runs[i];
        double end = qm_axis_at(rate, run->has_rate ? run->rate.value : run->burst.value);
        char classes[32];
        classes_of(run, "lead", classes);
        qm_svg_line(&sheet->svg, classes, qm_axis_at(&runs->time, run->seconds) + 7, end, runs->right + 14, y[i] + 4);
        draw_name(&sheet->svg, run, runs->right + 18, y[i] + 8, sheet->right - runs->right - 18);
    }
}

static void draw_names_below(const struct runs *runs, struct qm_picture_sheet *sheet)
{
    double column = (sheet->right - sheet->left) / 2;
    for (size_t i = 0; i < runs->count; i++) {
        double x = sheet->left + (double)(i % 2) * column, y = sheet->y + 14 + (double)(i / 2) * 48;
        qm_svg_mark(&sheet->svg, runs->runs[i].shape, runs->runs[i].hue, false, x + 6, y - 4, 5);
        draw_name(&sheet->svg, &runs->runs[i], x + 17, y, column - 22);
    }
    sheet->y += 48 * (double)((runs->count + 1) / 2) + 8;
}

// ---- Panels ---------------------------------------------------------------------------------------------------------

static void draw_throughput(struct runs *runs, struct qm_picture_sheet *sheet)
{
    struct qm_svg *svg = &sheet->svg;
    struct qm_axis rate;
    double highest = 0, top = sheet->y + 22, height = sheet->is_narrow ? 220 : 290, bottom = top + height;
    for (size_t i = 0; i < runs->count; i++) {
        const struct run *run = &runs->runs[i];
        double level = fmax(run->has_burst ? run->burst.value : 0, run->has_rate ? run->rate.value : 0), peak = level;
        highest = fmax(highest, fmin(fmax(run->burst.high, run->rate.high), 2 * level));
        for (size_t k = 0; k < run->series.window_count; k++)
            peak = fmax(peak, run->series.windows[k].rate);
        highest = fmax(highest, fmin(peak, 4 * level));
    }
    qm_axis_linear(&rate, 0, highest * 1.06, bottom, top, 5);
    qm_svg_text(svg, "head", QM_SVG_START, sheet->left, sheet->y + 12, "Throughput, tokens/s");
    qm_axis_draw_y(&rate, svg, runs->left, runs->right, "");
    if (runs->count == 1)
        draw_throttled(runs, &runs->runs[0], svg, "shade", top, bottom);
    qm_svg_line(svg, "axis", runs->left, bottom, runs->right, bottom);
    for (size_t i = 0; i < runs->count; i++)
        draw_run(runs, &runs->runs[i], svg, &rate);
    if (!sheet->is_narrow)
        draw_names_beside(runs, sheet, &rate, top);
    sheet->y = bottom + 6;
}

static void draw_strips(const struct runs *runs, struct qm_picture_sheet *sheet)
{
    bool is_any = false;
    for (size_t i = 0; i < runs->count; i++) {
        const struct run *run = &runs->runs[i];
        char fill[16], title[160];
        if (!is_throttled(run))
            continue;
        if (!is_any) {
            qm_svg_text(&sheet->svg, "head", QM_SVG_START, sheet->left, sheet->y + 14, "Throttled");
            sheet->y += 20;
        }
        is_any = true;
        snprintf(fill, sizeof(fill), "f%u", run->hue);
        snprintf(title, sizeof(title), "%.60s: %.80s", qm_picture_scheme_name(run->scheme),
                 qm_node_text_at(run->sustained, "throttling", ""));
        qm_svg_open(&sheet->svg, "mark", title);
        qm_svg_rect(&sheet->svg, "strip", runs->left, sheet->y + 3, runs->right - runs->left, 9);
        draw_throttled(runs, run, &sheet->svg, fill, sheet->y + 3, sheet->y + 12);
        qm_svg_mark(&sheet->svg, run->shape, run->hue, false, runs->left - 10, sheet->y + 7.5, 4);
        qm_svg_close(&sheet->svg);
        sheet->y += 14;
    }
    sheet->y += is_any ? 6 : 0;
}

static double reading_of(const struct qm_picture_reading *reading, int which)
{
    return which == 0 ? reading->clock_mhz : which == 1 ? reading->power_w : reading->temperature_c;
}

// False where no sensor told it.
static bool draw_telemetry(const struct runs *runs, struct qm_picture_sheet *sheet, int which)
{
    static const char *const titles[] = {"Clock, MHz", "Power, W", "Temperature, °C"};
    double low = INFINITY, high = -INFINITY, top = sheet->y + 22, bottom = top + 72;
    struct qm_axis axis;
    for (size_t i = 0; i < runs->count; i++) {
        for (size_t k = 0; k < runs->runs[i].series.reading_count; k++) {
            double value = reading_of(&runs->runs[i].series.readings[k], which);
            if (!isfinite(value))
                continue;
            low = fmin(low, value);
            high = fmax(high, value);
        }
    }
    if (!(low <= high))
        return false;
    double room = fmax((high - low) * 0.1, fabs(high) * 0.005);
    qm_axis_linear(&axis, low - room, high + room, bottom, top, 3);
    qm_svg_text(&sheet->svg, "head", QM_SVG_START, sheet->left, sheet->y + 14, "%s", titles[which]);
    qm_axis_draw_y(&axis, &sheet->svg, runs->left, runs->right, "");
    if (runs->count == 1)
        draw_throttled(runs, &runs->runs[0], &sheet->svg, "shade", top, bottom);
    qm_svg_line(&sheet->svg, "axis", runs->left, bottom, runs->right, bottom);
    for (size_t i = 0; i < runs->count; i++) {
        const struct qm_picture_series *series = &runs->runs[i].series;
        double x[DOTS_MAX + 1], y[DOTS_MAX + 1];
        size_t used = 0, most = runs->count == 1 ? runs->dots : runs->dots / 2,
               group = series->reading_count / most + 1;
        char classes[32];
        for (size_t k = 0; k < series->reading_count && used < DOTS_MAX; k += group) {
            double sum = 0, at_s = 0, known = 0;
            for (size_t j = k; j < k + group && j < series->reading_count; j++) {
                double value = reading_of(&series->readings[j], which);
                if (!isfinite(value))
                    continue;
                sum += value;
                at_s += series->readings[j].at_s;
                known++;
            }
            if (known > 0) {
                x[used] = qm_axis_at(&runs->time, at_s / known);
                y[used++] = qm_axis_at(&axis, sum / known);
            }
        }
        classes_of(&runs->runs[i], "line", classes);
        qm_svg_path(&sheet->svg, classes, x, y, used, false);
    }
    sheet->y = bottom + 6;
    return true;
}

static void draw_panels(struct runs *runs, struct qm_picture_sheet *sheet)
{
    double seconds = BURST_SECONDS;
    int told = 0;
    for (size_t i = 0; i < runs->count; i++)
        seconds = fmax(seconds, runs->runs[i].seconds);
    runs->left = sheet->left + (sheet->is_narrow ? 46 : 56);
    runs->right = sheet->right - (sheet->is_narrow ? 6 : 190);
    qm_axis_linear(&runs->time, 0, seconds, runs->left, runs->right, sheet->is_narrow ? 5 : 8);
    runs->dots = sheet->is_narrow ? DOTS_MAX / 2 : DOTS_MAX;
    draw_throughput(runs, sheet);
    if (runs->count > 1)
        draw_strips(runs, sheet);
    for (int which = 0; which < 3; which++)
        told += draw_telemetry(runs, sheet, which);
    double bottom = sheet->y - 6;
    char label[QM_AXIS_LABEL_BYTES];
    for (size_t i = 0; i < runs->time.tick_count; i++) {
        double x = qm_axis_at(&runs->time, runs->time.ticks[i]);
        qm_axis_label(&runs->time, runs->time.ticks[i], label);
        qm_svg_line(&sheet->svg, "axis", x, bottom, x, bottom + 4);
        qm_svg_text(&sheet->svg, "tick", QM_SVG_MIDDLE, x, bottom + 17, "%s s", label);
    }
    sheet->y = bottom + 30;
    if (sheet->is_narrow)
        draw_names_below(runs, sheet);
    struct qm_text text = {0};
    bool is_any_throttled = false, is_any_falling = false;
    for (size_t i = 0; i < runs->count; i++) {
        is_any_throttled = is_any_throttled || is_throttled(&runs->runs[i]);
        is_any_falling = is_any_falling || (runs->runs[i].onset_s >= 0 && runs->runs[i].series.window_count > 0);
    }
    if (is_any_throttled)
        qm_text_append(&text, "%s: throttled, as a sensor or the multiply-add probe told. ",
                       runs->count == 1 ? "Shaded" : "Filled bars");
    if (is_any_falling)
        qm_text_append(&text, "Upright dashes: where a rate begins to fall. ");
    if (text.used > 0)
        qm_picture_note(sheet, qm_text_bytes(&text));
    qm_text_free(&text);
    if (told == 0 && runs->has_windows)
        qm_picture_note(sheet,
                        "No sensor told clock, power or temperature of this device; the result's telemetry says why.");
}

void qm_picture_sustained(struct qm_picture_sheet *sheet, size_t index)
{
    const struct qm_picture_set *set = sheet->set;
    if (index >= set->sustained_count) {
        size_t all[QM_PICTURE_SOURCES_MAX];
        for (size_t i = 0; i < set->count; i++)
            all[i] = i;
        qm_picture_heading(sheet, "Does it last?", "Throughput of a contiguous run, over time.");
        qm_picture_nothing(sheet, "No result has a sustained run of a scheme that is ok.");
        qm_picture_caption(sheet, all, set->count, NULL);
        return;
    }
    const struct qm_picture_entry *entry = &set->entries[set->sustained[index]];
    struct runs *runs = calloc(1, sizeof(*runs));
    if (!runs) {
        sheet->svg.body.failed = true;
        return;
    }
    collect(runs, set, entry);
    char title[QM_PICTURE_LABEL_BYTES + 32], subtitle[320], note[320];
    snprintf(title, sizeof(title), "Does it last? %s", entry->label);
    const struct qm_node *first = runs->count > 0 ? runs->runs[0].sustained : NULL;
    snprintf(subtitle, sizeof(subtitle),
             "A contiguous run of %.8s, batch %.12s, for each scheme. Open marks: burst, the first 2 s; filled: the "
             "last third. "
             "Bands are intervals.",
             qm_node_text_at(first, "phase", "?"), qm_node_text_at(first, "batch", "?"));
    qm_picture_heading(sheet, title, subtitle);
    if (runs->count > 0)
        draw_panels(runs, sheet);
    else
        qm_picture_nothing(sheet, "Its sustained runs have no rate.");
    if (runs->count > 0 && !runs->has_windows) {
        snprintf(note, sizeof(note),
                 "Windows of a second are not drawn: %s. Dashed lines only join burst and last third.", runs->why);
        qm_picture_note(sheet, note);
    }
    if (runs->more > 0) {
        snprintf(note, sizeof(note), "And %zu more schemes, by name in the result.", runs->more);
        qm_picture_note(sheet, note);
    }
    size_t own = set->sustained[index];
    qm_picture_caption(sheet, &own, 1, NULL);
    for (size_t i = 0; i < runs->count; i++)
        qm_picture_series_free(&runs->runs[i].series);
    free(runs);
}
