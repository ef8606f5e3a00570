// The trade: what a scheme costs in accuracy against what it gains in throughput. A row that is not ok, has no accuracy or
// no gain has no mark: it is counted below the plot.
#include "report/picture_internal.h"

#include "record/node.h"
#include "record/result.h"
#include "report/show.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MARKS_MAX = 400,
    LABELS_MAX = 80,
    BOUNDS_MAX = 3,
};

struct mark {
    size_t entry;
    const struct qm_node *scheme;
    struct qm_picture_value gain, kl;
    bool is_baseline, is_front, is_below; // below: the axis ends above it
    double x, y;
};

struct box {
    double left, top, right, bottom;
};

struct plot {
    struct mark marks[MARKS_MAX];
    size_t count, more; // more: further marks that are not drawn
    size_t unscored, not_ok, no_gain;
    double bounds[BOUNDS_MAX];
    size_t bound_count;
    struct box boxes[3 * MARKS_MAX + LABELS_MAX + BOUNDS_MAX + 1]; // what labels must not touch
    size_t box_count, label_count, named; // named: marks that have a name, or share one beside them
    struct qm_axis x, y;
    char at[96]; // of the points: ", 64 tokens in the cache"
};

// ---- What there is --------------------------------------------------------------------------------------------------

static const struct qm_node *gain_of(const struct qm_node *scheme, const struct qm_picture_point *point)
{
    const struct qm_node *gains = qm_node_child(scheme, "gain");
    for (size_t i = 0; i < qm_node_count(gains); i++) {
        const struct qm_node *gain = qm_node_at(gains, i);
        uint64_t batch = 0;
        if (qm_node_u64_at(gain, "batch", &batch) && batch == point->batch &&
            (strcmp(qm_node_text_at(gain, "phase", ""), "decode") == 0) == point->is_decode)
            return gain;
    }
    return NULL;
}

static void note_place(struct plot *plot, const struct qm_node *gain, bool is_decode)
{
    char at[96];
    snprintf(at, sizeof(at), is_decode ? ", %.12s tokens in the cache" : ", prompts of %.12s tokens",
             qm_node_text_at(gain, is_decode ? "depth" : "prompt", "?"));
    if (!plot->at[0])
        snprintf(plot->at, sizeof(plot->at), "%s", at);
    else if (strcmp(plot->at, at) != 0)
        snprintf(plot->at, sizeof(plot->at),
                 is_decode ? ", with caches of several depths" : ", prompts of several lengths");
}

static void add_bound(struct plot *plot, const struct qm_node *result)
{
    double bound = 0;
    if (!qm_node_double_at(result, "profile.acceptance.at_most.kl_divergence_mean", &bound) || !(bound > 0))
        return;
    for (size_t i = 0; i < plot->bound_count; i++) {
        if (plot->bounds[i] == bound)
            return;
    }
    if (plot->bound_count < BOUNDS_MAX)
        plot->bounds[plot->bound_count++] = bound;
}

static void collect(struct plot *plot, const struct qm_picture_set *set, const struct qm_picture_point *point)
{
    for (size_t e = 0; e < set->count; e++) {
        const struct qm_picture_entry *entry = &set->entries[e];
        const char *baseline = qm_node_text_at(entry->result, "profile.baseline", "");
        size_t before = plot->count;
        for (size_t i = 0; i < qm_node_count(entry->schemes); i++) {
            const struct qm_node *scheme = qm_node_at(entry->schemes, i);
            const struct qm_node *gain = gain_of(scheme, point);
            struct mark mark = {.entry = e, .scheme = scheme};
            mark.is_baseline = strcmp(qm_picture_scheme_name(scheme), baseline) == 0;
            if (!qm_result_row_is_ok(scheme)) {
                plot->not_ok++;
            } else if (!qm_picture_divergence(scheme, &mark.kl)) {
                plot->unscored++;
            } else if (!qm_picture_read(gain, "ratio", &mark.gain) || !(mark.gain.value > 0)) {
                plot->no_gain++;
            } else if (plot->count == MARKS_MAX) {
                plot->more++;
            } else {
                plot->marks[plot->count++] = mark;
                note_place(plot, gain, point->is_decode);
            }
        }
        if (plot->count > before)
            add_bound(plot, entry->result);
    }
}

// Those that no other mark of the same entry beats in both.
static int by_gain(const void *a, const void *b)
{
    const struct mark *x = *(const struct mark *const *)a, *y = *(const struct mark *const *)b;
    if (x->gain.value != y->gain.value)
        return x->gain.value < y->gain.value ? 1 : -1; // the fastest first
    return (x->kl.value > y->kl.value) - (x->kl.value < y->kl.value);
}

static size_t front_of(struct plot *plot, size_t entry, struct mark *front[MARKS_MAX])
{
    size_t count = 0, kept = 0;
    for (size_t i = 0; i < plot->count; i++) {
        if (plot->marks[i].entry == entry)
            front[count++] = &plot->marks[i];
    }
    qsort(front, count, sizeof(*front), by_gain);
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || front[i]->kl.value < front[kept - 1]->kl.value) {
            front[kept++] = front[i];
            front[i]->is_front = true;
        }
    }
    return kept; // from fast and costly to slow and faithful
}

// ---- Axes -----------------------------------------------------------------------------------------------------------

static void make_axes(struct plot *plot, double left, double right, double top, double bottom, bool is_narrow)
{
    double gain_low = 0.96, gain_high = 1.1, kl_high = 0, costliest = 0, least = INFINITY;
    for (size_t i = 0; i < plot->count; i++) {
        const struct mark *mark = &plot->marks[i];
        gain_low = fmin(gain_low, fmax(mark->gain.low, mark->gain.value / 4));
        gain_high = fmax(gain_high, fmin(mark->gain.high, mark->gain.value * 4));
        kl_high = fmax(kl_high, fmin(mark->kl.high, mark->kl.value * 10));
        costliest = fmax(costliest, mark->kl.value);
    }
    // f32 and the baseline are often a thousand times closer to fp32 than all others: far below them the axis ends, and
    // what is there lies on its foot.
    for (size_t i = 0; i < plot->count; i++) {
        const struct mark *mark = &plot->marks[i];
        if (mark->kl.value > costliest * 1e-5 && !mark->is_baseline)
            least = fmin(least, mark->kl.value);
    }
    least = costliest > 0 ? fmin(least, costliest) : 1e-3;
    kl_high = fmax(kl_high, least);
    double kl_low = least;
    for (size_t i = 0; i < plot->count; i++) {
        struct mark *mark = &plot->marks[i];
        mark->is_below = !(mark->kl.value >= least / 30);
        if (!mark->is_below)
            kl_low = fmin(kl_low, mark->kl.low > 0 ? fmax(mark->kl.low, mark->kl.value / 10) : mark->kl.value);
    }
    for (size_t i = 0; i < plot->bound_count; i++) {
        kl_low = fmin(kl_low, fmax(plot->bounds[i], least / 30));
        kl_high = fmax(kl_high, fmin(plot->bounds[i], kl_high * 1e4));
    }
    if (gain_high / gain_low > 12)
        qm_axis_log(&plot->x, gain_low / 1.1, gain_high * 1.1, left, right, is_narrow ? 5 : 9);
    else
        qm_axis_linear(&plot->x, gain_low - 0.04 * (gain_high - gain_low), gain_high + 0.06 * (gain_high - gain_low),
                       left, right, is_narrow ? 6 : 8);
    qm_axis_log(&plot->y, kl_low / 2.5, kl_high * 1.6, bottom, top, 8);
}

// ---- Labels ---------------------------------------------------------------------------------------------------------

static bool touches(const struct box *a, const struct box *b)
{
    return a->left < b->right && b->left < a->right && a->top < b->bottom && b->top < a->bottom;
}

static bool is_free(const struct plot *plot, const struct box *box, const struct box *ground)
{
    if (box->left < ground->left || box->right > ground->right || box->top < ground->top ||
        box->bottom > ground->bottom)
        return false;
    for (size_t i = 0; i < plot->box_count; i++) {
        if (touches(&plot->boxes[i], box))
            return false;
    }
    return true;
}

// The nearest free place around a mark, further ones with a line to it; false where there is none.
static bool place_label(struct plot *plot, struct qm_svg *svg, const struct mark *mark, const struct box *ground)
{
    static const double far[] = {10, 19, 30, 44, 60};
    static const double turns[][2] = {{1, 0},  {-1, 0}, {.7, -.75}, {-.7, -.75}, {.7, .75}, {-.7, .75},
                                      {0, -1}, {0, 1},  {.95, -.4}, {-.95, -.4}, {.95, .4}, {-.95, .4}};
    char text[QM_PICTURE_NAME_BYTES + QM_PICTURE_VALUE_BYTES], number[QM_SHOW_NUMBER_BYTES];
    snprintf(text, sizeof(text), "%.60s", qm_picture_scheme_name(mark->scheme));
    qm_svg_fit(text, 11.5, 170);
    if (mark->is_below) {
        size_t used = strlen(text);
        qm_show_double(mark->kl.value, number);
        snprintf(text + used, sizeof(text) - used, ": %s, below the axis", number);
    }
    double width = qm_svg_text_width(text, 11.5), height = 13;
    for (size_t d = 0; d < sizeof(far) / sizeof(far[0]); d++) {
        for (size_t t = 0; t < sizeof(turns) / sizeof(turns[0]); t++) {
            double x = mark->x + turns[t][0] * far[d], y = mark->y + turns[t][1] * far[d];
            double left = turns[t][0] > 0.1 ? x : turns[t][0] < -0.1 ? x - width : x - width / 2;
            struct box box = {left - 1, y - height / 2, left + width + 1, y + height / 2};
            if (!is_free(plot, &box, ground))
                continue;
            if (far[d] > 19)
                qm_svg_line(svg, "lead", mark->x, mark->y,
                            turns[t][0] > 0.1    ? x - 1
                            : turns[t][0] < -0.1 ? x + 1
                                                 : x,
                            turns[t][0] == 0 ? y - turns[t][1] * height / 2 : y);
            qm_svg_text(svg, "lab halo", QM_SVG_START, left, y + 4, "%s", text);
            plot->boxes[plot->box_count++] = box;
            return true;
        }
    }
    return false;
}

// ---- Drawing --------------------------------------------------------------------------------------------------------

static void draw_front(struct plot *plot, struct qm_svg *svg, size_t entry, const struct box *ground, bool is_alone)
{
    struct mark *front[MARKS_MAX];
    double x[2 * MARKS_MAX + 2], y[2 * MARKS_MAX + 2];
    char classes[32];
    size_t count = front_of(plot, entry, front), used = 0;
    if (count == 0 || (count == 1 && !is_alone))
        return;
    snprintf(classes, sizeof(classes), "front s%u", qm_picture_hue(entry));
    if (is_alone) { // on to the edges: whatever is faster costs more than the plot shows
        x[used] = front[0]->x;
        y[used++] = ground->top;
    }
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            x[used] = front[i]->x;
            y[used++] = front[i - 1]->y;
        }
        x[used] = front[i]->x;
        y[used++] = front[i]->y;
    }
    if (is_alone) {
        x[used] = ground->left;
        y[used++] = front[count - 1]->y;
    }
    qm_svg_path(svg, classes, x, y, used, false);
}

static void draw_mark(struct plot *plot, struct qm_picture_sheet *sheet, const struct mark *mark)
{
    const struct qm_picture_entry *entry = &sheet->set->entries[mark->entry];
    char title[512], gain[QM_PICTURE_VALUE_BYTES], kl[QM_PICTURE_VALUE_BYTES], classes[32];
    qm_picture_value_text(&mark->gain, gain);
    qm_picture_value_text(&mark->kl, kl);
    snprintf(title, sizeof(title), "%.60s on %s: %s times the baseline's throughput%s; KL %s nats a token",
             qm_picture_scheme_name(mark->scheme), entry->label, gain, mark->is_baseline ? " (it is the baseline)" : "",
             kl);
    qm_svg_open(&sheet->svg, "mark", title);
    snprintf(classes, sizeof(classes), "spread s%u", qm_picture_hue(mark->entry));
    if (mark->gain.has_interval && mark->gain.high > mark->gain.low)
        qm_svg_interval_x(&sheet->svg, classes, qm_axis_at(&plot->x, mark->gain.low),
                          qm_axis_at(&plot->x, mark->gain.high), mark->y);
    if (mark->kl.has_interval && mark->kl.high > mark->kl.low && !mark->is_below)
        qm_svg_interval_y(&sheet->svg, classes, mark->x, qm_axis_at(&plot->y, mark->kl.low),
                          qm_axis_at(&plot->y, mark->kl.high));
    qm_svg_mark(&sheet->svg, qm_picture_shape(mark->entry), qm_picture_hue(mark->entry), mark->is_baseline, mark->x,
                mark->y, 5);
    qm_svg_close(&sheet->svg);
}

// One name for marks of a scheme that lie side by side, at the fastest of them: on every device it costs the same.
static bool has_its_name(const struct plot *plot, size_t index)
{
    const struct mark *mark = &plot->marks[index];
    for (size_t i = 0; i < plot->count; i++) {
        const struct mark *other = &plot->marks[i];
        if (i != index && fabs(other->y - mark->y) < 14 && (other->x > mark->x || (other->x == mark->x && i < index)) &&
            strcmp(qm_picture_scheme_name(other->scheme), qm_picture_scheme_name(mark->scheme)) == 0)
            return true;
    }
    return false;
}

static void draw_labels(struct plot *plot, struct qm_picture_sheet *sheet, const struct box *ground)
{
    for (int pass = 0; pass < 2; pass++) { // fronts first, they are what is read
        for (size_t i = 0; i < plot->count && plot->label_count < LABELS_MAX; i++) {
            if (plot->marks[i].is_front != (pass == 0))
                continue;
            if (has_its_name(plot, i))
                plot->named++;
            else if (place_label(plot, &sheet->svg, &plot->marks[i], ground))
                plot->named++, plot->label_count++;
        }
    }
}

static void draw_bounds(struct plot *plot, struct qm_svg *svg, const struct box *ground)
{
    for (size_t i = 0; i < plot->bound_count; i++) {
        char number[QM_SHOW_NUMBER_BYTES];
        double y = qm_axis_at(&plot->y, plot->bounds[i]);
        qm_show_double(plot->bounds[i], number);
        qm_svg_line(svg, "bound", ground->left, y, ground->right, y);
        double width = qm_svg_text_width("accepted: at most ", 11) + qm_svg_text_width(number, 11);
        struct box box = {ground->left + 4, y - 16, ground->left + 4 + width, y - 1};
        while (!is_free(plot, &box, ground) && box.right + 12 < ground->right) {
            box.left += 12;
            box.right += 12;
        }
        qm_svg_text(svg, "tick bad halo", QM_SVG_START, box.left, y - 5, "accepted: at most %s", number);
        plot->boxes[plot->box_count++] = box;
    }
}

static void draw_plot(struct plot *plot, struct qm_picture_sheet *sheet)
{
    struct qm_svg *svg = &sheet->svg;
    double left = sheet->left + (sheet->is_narrow ? 58 : 66), top = sheet->y + 8;
    double height = sheet->is_narrow ? 360 : 430;
    struct box ground = {left, top, sheet->right, top + height};
    make_axes(plot, ground.left, ground.right, ground.top, ground.bottom, sheet->is_narrow);
    qm_axis_draw_x(&plot->x, svg, ground.top, ground.bottom, "×");
    qm_axis_draw_y(&plot->y, svg, ground.left, ground.right, "");
    qm_svg_line(svg, "axis", ground.left, ground.bottom, ground.right, ground.bottom);
    double one = qm_axis_at(&plot->x, 1);
    qm_svg_line(svg, "axis", one, ground.top, one, ground.bottom);
    for (size_t i = 0; i < plot->count; i++) {
        struct mark *mark = &plot->marks[i];
        mark->x = qm_axis_at(&plot->x, mark->gain.value);
        mark->y = mark->is_below ? ground.bottom - 1 : qm_axis_at(&plot->y, mark->kl.value);
        plot->boxes[plot->box_count++] = (struct box){mark->x - 6, mark->y - 6, mark->x + 6, mark->y + 6};
        if (mark->gain.has_interval)
            plot->boxes[plot->box_count++] = (struct box){qm_axis_at(&plot->x, mark->gain.low), mark->y - 2,
                                                          qm_axis_at(&plot->x, mark->gain.high), mark->y + 2};
        if (mark->kl.has_interval && !mark->is_below)
            plot->boxes[plot->box_count++] = (struct box){mark->x - 2, qm_axis_at(&plot->y, mark->kl.high), mark->x + 2,
                                                          qm_axis_at(&plot->y, mark->kl.low)};
    }
    draw_bounds(plot, svg, &ground);
    for (size_t e = 0; e < sheet->set->count; e++)
        draw_front(plot, svg, e, &ground, sheet->set->count == 1);
    for (size_t i = 0; i < plot->count; i++)
        draw_mark(plot, sheet, &plot->marks[i]);
    plot->boxes[plot->box_count++] =
        (struct box){ground.right - 60, ground.bottom - 22, ground.right, ground.bottom}; // "better"
    draw_labels(plot, sheet, &ground);
    qm_svg_text_up(svg, "tick", sheet->left + 9, (ground.top + ground.bottom) / 2,
                   "accuracy cost: KL to fp32, nats a token");
    qm_svg_text(svg, "tick", QM_SVG_MIDDLE, (ground.left + ground.right) / 2, ground.bottom + 33,
                "throughput over the baseline's");
    qm_svg_text(svg, "quiet lab halo", QM_SVG_END, ground.right - 6, ground.bottom - 8, "better ↘");
    sheet->y = ground.bottom + 52;
}

static void tell_left_out(const struct plot *plot, struct qm_picture_sheet *sheet)
{
    struct qm_text text = {0};
    size_t out = plot->not_ok + plot->unscored + plot->no_gain;
    if (plot->named < plot->count)
        qm_text_append(&text, "%zu of %zu marks have no room for a name; each tells its own when pointed at. ",
                       plot->count - plot->named, plot->count);
    if (plot->more > 0)
        qm_text_append(&text, "And %zu more schemes are not drawn, by name in the results. ", plot->more);
    if (out > 0) {
        qm_text_append(&text, "Without a mark: ");
        const char *comma = "";
        if (plot->not_ok > 0) {
            qm_text_append(&text, "%zu wrong, failed or unsupported", plot->not_ok);
            comma = ", ";
        }
        if (plot->unscored > 0) {
            qm_text_append(&text, "%s%zu whose accuracy was not measured", comma, plot->unscored);
            comma = ", ";
        }
        if (plot->no_gain > 0)
            qm_text_append(&text, "%s%zu without a gain here", comma, plot->no_gain);
        qm_text_append(&text, ".");
    }
    if (text.used > 0)
        qm_picture_note(sheet, qm_text_bytes(&text));
    qm_text_free(&text);
}

void qm_picture_trade(struct qm_picture_sheet *sheet, size_t index)
{
    const struct qm_picture_set *set = sheet->set;
    struct plot *plot = calloc(1, sizeof(*plot));
    size_t drawn[QM_PICTURE_SOURCES_MAX], count = 0;
    struct qm_picture_key keys[QM_PICTURE_SOURCES_MAX];
    char subtitle[320];
    if (!plot) {
        sheet->svg.body.failed = true;
        return;
    }
    static const struct qm_picture_point none = {.is_decode = true, .batch = 1};
    const struct qm_picture_point *point = index < set->point_count ? &set->points[index] : &none;
    collect(plot, set, point);
    snprintf(subtitle, sizeof(subtitle),
             "%s, batch %u%s. To the right is faster, down is closer to fp32; lines join the best trades of a device.",
             point->is_decode ? "Decode" : "Prefill", point->batch, plot->at);
    qm_picture_heading(sheet, "What speed costs in accuracy", subtitle);
    for (size_t e = 0; e < set->count; e++) {
        bool has_mark = false;
        for (size_t i = 0; i < plot->count; i++)
            has_mark = has_mark || plot->marks[i].entry == e;
        if (has_mark) {
            keys[count] = (struct qm_picture_key){
                .name = set->entries[e].label, .hue = qm_picture_hue(e), .shape = qm_picture_shape(e)};
            drawn[count++] = e;
        }
    }
    qm_picture_keys(sheet, keys, count, false);
    if (plot->count > 0)
        draw_plot(plot, sheet);
    else
        qm_picture_nothing(sheet, "No scheme has both a measured accuracy and a gain over the baseline.");
    tell_left_out(plot, sheet);
    if (count == 0) {
        for (size_t e = 0; e < set->count; e++)
            drawn[count++] = e;
    }
    qm_picture_caption(sheet, drawn, count, NULL);
    free(plot);
}
