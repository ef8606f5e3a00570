// Accuracy of one result: exact match of every task and difficulty with its interval, and below mean, 99th percentile and
// maximum of the divergence of every scheme.
#include "report/picture_internal.h"

#include "record/node.h"
#include "record/result.h"
#include "report/show.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SCHEMES_MAX = 8, // in the upper part
    TASKS_MAX = 40,
    TAILS_MAX = 28, // schemes in the lower part
};

struct scheme {
    const struct qm_node *row;
    size_t index; // of its hue and shape
};

struct shown {
    struct scheme schemes[TAILS_MAX];
    size_t count, more;
};

static void collect(struct shown *shown, const struct qm_picture_set *set, const struct qm_picture_entry *entry)
{
    for (size_t i = 0; i < qm_node_count(entry->schemes); i++) {
        const struct qm_node *scheme = qm_node_at(entry->schemes, i);
        struct qm_picture_value kl;
        if (!qm_picture_divergence(scheme, &kl))
            continue;
        if (shown->count == TAILS_MAX)
            shown->more++;
        else
            shown->schemes[shown->count++] =
                (struct scheme){.row = scheme, .index = qm_picture_scheme_index(set, qm_picture_scheme_name(scheme))};
    }
}

// ---- Tasks ----------------------------------------------------------------------------------------------------------

static const struct qm_node *task_of(const struct qm_node *scheme, const struct qm_node *like, size_t index)
{
    const struct qm_node *tasks = qm_node_get(scheme, "accuracy.tasks"), *task = qm_node_at(tasks, index);
    bool is_same = task && strcmp(qm_node_text_at(task, "task", ""), qm_node_text_at(like, "task", "")) == 0 &&
                   strcmp(qm_node_text_at(task, "difficulty", ""), qm_node_text_at(like, "difficulty", "")) == 0;
    return is_same ? task : NULL; // schemes of one run have the same tasks in the same order
}

static void draw_match(struct qm_picture_sheet *sheet, const struct qm_axis *x, const struct scheme *scheme,
                       const struct qm_node *task, const char *who, double y)
{
    struct qm_picture_value value;
    char title[512], text[QM_PICTURE_VALUE_BYTES], classes[32];
    if (!qm_picture_read(task, "value", &value))
        return;
    qm_picture_value_text(&value, text);
    snprintf(title, sizeof(title), "%.60s, %.40s %.40s: exact match %s of %.12s examples; fp32 %.24s", who,
             qm_node_text_at(task, "task", "?"), qm_node_text_at(task, "difficulty", "?"), text,
             qm_node_text_at(task, "examples", "?"), qm_node_text_at(task, "reference", "undisclosed"));
    qm_svg_open(&sheet->svg, "mark", title);
    snprintf(classes, sizeof(classes), "spread s%u", scheme ? qm_picture_hue(scheme->index) : 7);
    if (value.has_interval && value.low < value.high)
        qm_svg_interval_x(&sheet->svg, classes, qm_axis_at(x, value.low), qm_axis_at(x, value.high), y);
    if (scheme)
        qm_svg_mark(&sheet->svg, qm_picture_shape(scheme->index), qm_picture_hue(scheme->index), false,
                    qm_axis_at(x, value.value), y, 4);
    else
        qm_svg_mark(&sheet->svg, 0, 7, true, qm_axis_at(x, value.value), y, 4);
    qm_svg_close(&sheet->svg);
}

// A task's line; where all schemes answer alike one mark stands for all.
static void draw_task(struct qm_picture_sheet *sheet, const struct qm_axis *x, const struct shown *shown,
                      size_t schemes, size_t index)
{
    const struct qm_node *first = qm_node_at(qm_node_get(shown->schemes[0].row, "accuracy.tasks"), index);
    bool is_graded = false, is_alike = schemes > 1;
    double value = 0, other = 0, reference = 0;
    char label[96];
    (void)qm_node_double_at(first, "value", &value);
    for (size_t i = 1; i < schemes; i++) {
        const struct qm_node *task = task_of(shown->schemes[i].row, first, index);
        is_alike = is_alike && task && qm_node_double_at(task, "value", &other) && other == value;
    }
    double height = is_alike ? 18 : 9.0 * (double)schemes + 9, middle = sheet->y + height / 2;
    if (!qm_node_bool_at(first, "graded", &is_graded))
        is_graded = false;
    snprintf(label, sizeof(label), "%.40s, %.40s%s", qm_node_text_at(first, "task", "?"),
             qm_node_text_at(first, "difficulty", "?"), is_graded ? " *" : "");
    qm_svg_fit(label, 11.5, x->from - sheet->left - 8);
    qm_svg_text(&sheet->svg, "lab", QM_SVG_START, sheet->left, middle + 4, "%s", label);
    qm_svg_text(&sheet->svg, "tick", QM_SVG_END, sheet->right, middle + 4, "%.8s",
                qm_node_text_at(first, "examples", "?"));
    qm_svg_line(&sheet->svg, "grid", sheet->left, sheet->y + height, sheet->right, sheet->y + height);
    if (qm_node_double_at(first, "reference", &reference))
        qm_svg_line(&sheet->svg, "whisker", qm_axis_at(x, reference), sheet->y + 2, qm_axis_at(x, reference),
                    sheet->y + height - 2);
    if (is_alike) {
        draw_match(sheet, x, NULL, first, "all schemes", middle);
    } else {
        for (size_t i = 0; i < schemes; i++)
            draw_match(sheet, x, &shown->schemes[i], task_of(shown->schemes[i].row, first, index),
                       qm_picture_scheme_name(shown->schemes[i].row), sheet->y + 9 + 9 * (double)i);
    }
    sheet->y += height;
}

static void draw_tasks(struct qm_picture_sheet *sheet, const struct shown *shown)
{
    size_t tasks = qm_node_count(qm_node_get(shown->schemes[0].row, "accuracy.tasks"));
    size_t schemes = shown->count < SCHEMES_MAX ? shown->count : SCHEMES_MAX;
    struct qm_picture_key keys[SCHEMES_MAX + 1];
    struct qm_axis x, percent;
    sheet->y += 8;
    if (tasks == 0) {
        qm_picture_note(sheet, "Exact match: the evaluation set has no tasks.");
        return;
    }
    qm_svg_text(&sheet->svg, "head", QM_SVG_START, sheet->left, sheet->y + 12, "Exact match by task and difficulty");
    qm_svg_text(&sheet->svg, "tick", QM_SVG_END, sheet->right, sheet->y + 12, "examples");
    sheet->y += 28;
    for (size_t i = 0; i < schemes; i++)
        keys[i] = (struct qm_picture_key){.name = shown->schemes[i].index < sheet->set->scheme_count
                                                      ? sheet->set->schemes[shown->schemes[i].index]
                                                      : "another scheme",
                                          .hue = qm_picture_hue(shown->schemes[i].index),
                                          .shape = qm_picture_shape(shown->schemes[i].index)};
    qm_picture_keys(sheet, keys, schemes, false);
    double left = sheet->left + (sheet->is_narrow ? 122 : 170), right = sheet->right - (sheet->is_narrow ? 36 : 60);
    qm_axis_linear(&percent, 0, 100, left, right, sheet->is_narrow ? 2 : 5);
    x = percent;
    x.high = 1;
    double top = sheet->y;
    for (size_t i = 0; i < tasks && i < TASKS_MAX; i++)
        draw_task(sheet, &x, shown, schemes, i);
    for (size_t i = 0; i < percent.tick_count; i++) {
        double at = qm_axis_at(&percent, percent.ticks[i]);
        qm_svg_line(&sheet->svg, "grid", at, top, at, sheet->y);
        qm_svg_text(&sheet->svg, "tick", QM_SVG_MIDDLE, at, sheet->y + 14, "%.0f %%", percent.ticks[i]);
    }
    sheet->y += 24;
    struct qm_text text = {0};
    qm_text_append(&text,
                   "The upright line is fp32's; an open grey mark stands for all schemes where they answer alike; "
                   "* is graded, and counts for acceptance. Without an interval: too few examples for one.");
    if (shown->count + shown->more > schemes)
        qm_text_append(&text, " And %zu more schemes, by name in the result.", shown->count + shown->more - schemes);
    if (tasks > TASKS_MAX)
        qm_text_append(&text, " And %zu more tasks, by name in the result.", tasks - TASKS_MAX);
    qm_picture_note(sheet, qm_text_bytes(&text));
    qm_text_free(&text);
}

// ---- Tails ----------------------------------------------------------------------------------------------------------

struct tail {
    struct qm_picture_value mean;
    double p99, max; // 0: not there
};

static struct tail tail_of(const struct qm_node *scheme)
{
    struct tail tail = {.p99 = 0};
    const struct qm_node *kl = qm_node_get(scheme, "accuracy.kl_divergence");
    (void)qm_picture_divergence(scheme, &tail.mean);
    if (!qm_node_double_at(kl, "p99", &tail.p99))
        tail.p99 = 0;
    if (!qm_node_double_at(kl, "max", &tail.max))
        tail.max = 0;
    return tail;
}

static void draw_tail(struct qm_picture_sheet *sheet, const struct qm_axis *x, const struct scheme *scheme)
{
    struct tail tail = tail_of(scheme->row);
    unsigned hue = qm_picture_hue(scheme->index);
    char name[QM_PICTURE_NAME_BYTES + 4], title[512], mean[QM_PICTURE_VALUE_BYTES], p99[QM_SHOW_NUMBER_BYTES],
        max[QM_SHOW_NUMBER_BYTES], classes[32];
    double y = sheet->y + 9, at = qm_axis_at(x, tail.mean.value), end = qm_axis_at(x, fmax(tail.max, tail.p99));
    snprintf(name, sizeof(name), "%.60s", qm_picture_scheme_name(scheme->row));
    qm_svg_fit(name, 11.5, x->from - sheet->left - 8);
    qm_svg_text(&sheet->svg, "lab", QM_SVG_START, sheet->left, y + 4, "%s", name);
    qm_picture_value_text(&tail.mean, mean);
    qm_show_double(tail.p99, p99);
    qm_show_double(tail.max, max);
    snprintf(title, sizeof(title), "%.60s: KL mean %s, 99th percentile %s, largest %s nats a token",
             qm_picture_scheme_name(scheme->row), mean, p99, max);
    qm_svg_line(&sheet->svg, "grid", x->from, y, x->to, y);
    qm_svg_open(&sheet->svg, "mark", title);
    if (tail.mean.value < x->low) {
        qm_show_double(tail.mean.value, mean);
        qm_svg_text(&sheet->svg, "tick halo", QM_SVG_START, x->from + 2, y + 4, "mean %s, below the axis", mean);
        qm_svg_close(&sheet->svg);
        sheet->y += 20;
        return;
    }
    snprintf(classes, sizeof(classes), "front s%u", hue);
    if (end > at)
        qm_svg_line(&sheet->svg, classes, at, y, end, y);
    snprintf(classes, sizeof(classes), "spread s%u", hue);
    if (tail.mean.has_interval && tail.mean.low < tail.mean.high)
        qm_svg_interval_x(&sheet->svg, classes, qm_axis_at(x, tail.mean.low), qm_axis_at(x, tail.mean.high), y);
    qm_svg_mark(&sheet->svg, 0, hue, false, at, y, 4.5);
    if (tail.p99 > 0)
        qm_svg_mark(&sheet->svg, 2, hue, false, qm_axis_at(x, tail.p99), y, 4);
    if (tail.max > 0)
        qm_svg_mark(&sheet->svg, 3, hue, true, qm_axis_at(x, tail.max), y, 4);
    qm_svg_close(&sheet->svg);
    sheet->y += 20;
}

static void draw_tails(struct qm_picture_sheet *sheet, const struct shown *shown, const struct qm_picture_entry *entry)
{
    static const struct qm_picture_key keys[] = {{.name = "mean, with its interval", .hue = 7, .shape = 0},
                                                 {.name = "99th percentile", .hue = 7, .shape = 2},
                                                 {.name = "largest", .hue = 7, .shape = 3, .is_open = true}};
    double low = INFINITY, high = 0, bound = 0;
    struct qm_axis x;
    for (size_t i = 0; i < shown->count; i++) {
        struct tail tail = tail_of(shown->schemes[i].row);
        if (tail.mean.value > 0)
            low = fmin(low, tail.mean.value);
        high = fmax(high, fmax(tail.mean.value, fmax(tail.p99, tail.max)));
    }
    if (!(low <= high))
        low = high = 1e-3;
    low = fmax(low, high * 1e-8); // f32 is far below all that matters
    sheet->y += 14;
    qm_svg_text(&sheet->svg, "head", QM_SVG_START, sheet->left, sheet->y + 12, "KL divergence to fp32, nats a token");
    sheet->y += 28;
    qm_picture_keys(sheet, keys, sizeof(keys) / sizeof(keys[0]), false);
    double left = sheet->left + (sheet->is_narrow ? 122 : 170), top = sheet->y, right = sheet->right - 10;
    double bottom = top + 20 * (double)shown->count + 4;
    qm_axis_log(&x, low / 1.6, high * 1.6, left, right, sheet->is_narrow ? 4 : 9);
    qm_axis_draw_x(&x, &sheet->svg, top, bottom, "");
    if (qm_node_double_at(entry->result, "profile.acceptance.at_most.kl_divergence_mean", &bound) && bound > x.low &&
        bound < x.high) {
        double at = qm_axis_at(&x, bound);
        qm_svg_line(&sheet->svg, "bound", at, top - 2, at, bottom);
    }
    for (size_t i = 0; i < shown->count; i++)
        draw_tail(sheet, &x, &shown->schemes[i]);
    sheet->y = bottom + 24;
    if (bound > x.low && bound < x.high) {
        char number[QM_SHOW_NUMBER_BYTES], text[96];
        qm_show_double(bound, number);
        snprintf(text, sizeof(text), "Dashed: the profile accepts a mean of at most %s.", number);
        qm_picture_note(sheet, text);
    }
    if (shown->more > 0) {
        char text[96];
        snprintf(text, sizeof(text), "And %zu more schemes, by name in the result.", shown->more);
        qm_picture_note(sheet, text);
    }
}

void qm_picture_accuracy(struct qm_picture_sheet *sheet, size_t index)
{
    const struct qm_picture_set *set = sheet->set;
    if (index >= set->accuracy_count) {
        size_t all[QM_PICTURE_SOURCES_MAX];
        for (size_t i = 0; i < set->count; i++)
            all[i] = i;
        qm_picture_heading(sheet, "What is lost?", "Exact match by task, and the tails of divergence.");
        qm_picture_nothing(sheet, "No result has a scheme that is ok and whose accuracy was measured.");
        qm_picture_caption(sheet, all, set->count, NULL);
        return;
    }
    const struct qm_picture_entry *entry = &set->entries[set->accuracy[index]];
    struct shown shown = {.count = 0};
    char title[QM_PICTURE_LABEL_BYTES + 32], subtitle[200];
    size_t own = set->accuracy[index];
    collect(&shown, set, entry);
    snprintf(title, sizeof(title), "What is lost? %s", entry->label);
    snprintf(subtitle, sizeof(subtitle), "Evaluated on %.100s.",
             qm_node_text_at(shown.schemes[0].row, "disclosure.evaluation_set.name", "a set that is undisclosed"));
    qm_picture_heading(sheet, title, subtitle);
    draw_tasks(sheet, &shown);
    draw_tails(sheet, &shown, entry);
    qm_picture_caption(sheet, &own, 1, NULL);
}
