// Devices side by side: bars of the rows that are comparable with each other by the rules of record/compare.h. Whatever is
// not stands in a block of its own, with its own scale and the reason. Beside each bar stands its accuracy.
#include "report/picture_internal.h"

#include "record/compare.h"
#include "record/node.h"
#include "record/result.h"
#include "report/show.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BARS_MAX = 96,  // that are drawn
    NOTES_MAX = 3,  // of comparisons
    MISSING_MAX = 6 // rows without a speed that are named
};

static const char *const phases[] = {"decode", "prefill"};

struct bar {
    size_t entry, block;
    const struct qm_node *scheme;
};

struct block {
    char reason[400]; // why it stands apart; "": the first
    size_t first;     // an entry of it
};

struct bars {
    struct bar bars[BARS_MAX];
    struct block blocks[QM_PICTURE_SOURCES_MAX + BARS_MAX];
    size_t count, more, block_count;
    size_t groups[QM_PICTURE_SOURCES_MAX], group_count;
    struct qm_text notes, missing;
    size_t note_count, missing_count;
    bool is_several[QM_PICTURE_SOURCES_MAX + BARS_MAX]; // entries in a block
};

// ---- What is comparable ---------------------------------------------------------------------------------------------

static enum qm_status group(struct bars *bars, const struct qm_picture_set *set)
{
    struct qm_compare_key *keys = calloc(set->count + 1, sizeof(*keys));
    enum qm_status status = keys ? QM_OK : QM_FAIL(QM_OUT_OF_MEMORY, "no memory to group results");
    for (size_t i = 0; i < set->count && status == QM_OK; i++)
        status = qm_compare_key_of(set->entries[i].result, &keys[i]);
    if (status == QM_OK)
        status = qm_compare_group(keys, set->count, bars->groups, &bars->group_count);
    for (size_t i = 0; keys && i < set->count; i++)
        qm_compare_key_free(&keys[i]);
    free(keys);
    return status;
}

static void tell_difference(const struct qm_difference *difference, char text[400])
{
    char a[48], b[48];
    snprintf(a, sizeof(a), "%.40s%s", difference->a, strlen(difference->a) > 40 ? "..." : "");
    snprintf(b, sizeof(b), "%.40s%s", difference->b, strlen(difference->b) > 40 ? "..." : "");
    snprintf(text, 400, "%.80s is %s there and %s here: %.160s", difference->path, a, b, difference->why);
}

// Why entry `b` may not stand beside entry `a`.
static void reason_of(const struct qm_picture_set *set, size_t a, size_t b, char text[400])
{
    struct qm_comparison comparison;
    char difference[400];
    snprintf(text, 400, "not comparable with %s", set->entries[a].label);
    if (qm_compare(set->entries[a].result, set->entries[b].result, &comparison) != QM_OK)
        return;
    if (comparison.count > 0 && comparison.differences[0].class == QM_DIFFERENCE_FATAL) {
        tell_difference(&comparison.differences[0], difference);
        snprintf(text, 400, "not comparable with %s: %.300s", set->entries[a].label, difference);
    } else if (comparison.scheme_count > 0) {
        snprintf(text, 400, "not comparable with %s: no scheme that both ran is", set->entries[a].label);
    }
    qm_comparison_free(&comparison);
}

static void add_bar(struct bars *bars, size_t entry, const struct qm_node *scheme, size_t block)
{
    if (bars->count == BARS_MAX)
        bars->more++;
    else
        bars->bars[bars->count++] = (struct bar){.entry = entry, .scheme = scheme, .block = block};
}

static size_t add_block(struct bars *bars, size_t first, const char *reason)
{
    struct block *block = &bars->blocks[bars->block_count];
    block->first = first;
    snprintf(block->reason, sizeof(block->reason), "%s", reason);
    return bars->block_count++;
}

static bool has_speed(const struct qm_node *scheme)
{
    return qm_result_row_is_ok(scheme) && (qm_show_point(scheme, phases[0]) || qm_show_point(scheme, phases[1]));
}

struct row {
    size_t scheme, entry, order;
    const struct qm_node *node;
};

static int by_scheme(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    if (x->scheme != y->scheme)
        return x->scheme < y->scheme ? -1 : 1;
    if (x->entry != y->entry)
        return x->entry < y->entry ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

// Those that have a speed, by scheme, entry and place; the caller frees them. NULL without memory.
static struct row *rows_of(const struct qm_picture_set *set, const size_t *members, size_t member_count, size_t *count)
{
    size_t room = 1;
    for (size_t m = 0; m < member_count; m++)
        room += qm_node_count(set->entries[members[m]].schemes);
    struct row *rows = calloc(room, sizeof(*rows));
    for (size_t m = 0; rows && m < member_count; m++) {
        const struct qm_node *schemes = set->entries[members[m]].schemes;
        for (size_t i = 0; i < qm_node_count(schemes); i++) {
            const struct qm_node *node = qm_node_at(schemes, i);
            if (has_speed(node))
                rows[(*count)++] = (struct row){.scheme = qm_picture_scheme_index(set, qm_picture_scheme_name(node)),
                                                .entry = members[m],
                                                .order = i,
                                                .node = node};
        }
    }
    if (rows)
        qsort(rows, *count, sizeof(*rows), by_scheme);
    return rows;
}

static void add_row(struct bars *bars, const struct qm_picture_set *set, const struct row *row,
                    const struct qm_comparison *comparison, size_t block)
{
    const char *why = "";
    char reason[400];
    for (size_t k = 0; comparison && k < comparison->scheme_count; k++) {
        const struct qm_scheme_comparison *pair = &comparison->schemes[k];
        if (pair->b == row->node && pair->a && pair->verdict == QM_NOT_COMPARABLE)
            why = pair->why[0] ? pair->why : "it is not comparable";
    }
    if (!*why || bars->count == BARS_MAX) {
        add_bar(bars, row->entry, row->node, block);
        return;
    }
    snprintf(reason, sizeof(reason), "%.60s is not comparable with that of %s: %.180s",
             qm_picture_scheme_name(row->node), set->entries[bars->blocks[block].first].label, why);
    add_bar(bars, row->entry, row->node, add_block(bars, row->entry, reason));
}

// The rows of a group's entries, by scheme; those that differ in what concerns the scheme alone get blocks of their own.
static void add_group(struct bars *bars, const struct qm_picture_set *set, size_t group, size_t block)
{
    struct qm_comparison comparisons[QM_PICTURE_SOURCES_MAX];
    bool is_compared[QM_PICTURE_SOURCES_MAX] = {false};
    size_t first = bars->blocks[block].first, members[QM_PICTURE_SOURCES_MAX], count = 0;
    for (size_t e = 0; e < set->count; e++) {
        if (bars->groups[e] != group)
            continue;
        members[count++] = e;
        if (e != first)
            is_compared[e] = qm_compare(set->entries[first].result, set->entries[e].result, &comparisons[e]) == QM_OK;
        for (size_t i = 0; is_compared[e] && i < comparisons[e].count && bars->note_count < NOTES_MAX; i++) {
            char text[400];
            const char *path = comparisons[e].differences[i].path, *end = strrchr(path, '.');
            bool is_row = path[0] && path[strlen(path) - 1] == ']'; // a scheme that one side alone has, as bars show
            if (comparisons[e].differences[i].class != QM_DIFFERENCE_NOTE || is_row ||
                (end && strcmp(end, ".status") == 0))
                continue; // a status is told of below the bars
            tell_difference(&comparisons[e].differences[i], text);
            qm_text_append(&bars->notes, "%s%s beside %s: %s.",
                           bars->note_count++ ? " " : "Note: ", set->entries[first].label, set->entries[e].label, text);
            break; // the first of each
        }
    }
    size_t row_count = 0;
    struct row *rows = rows_of(set, members, count, &row_count);
    for (size_t i = 0; rows && i < row_count; i++)
        add_row(bars, set, &rows[i], is_compared[rows[i].entry] ? &comparisons[rows[i].entry] : NULL, block);
    free(rows);
    for (size_t e = 0; e < set->count; e++) {
        if (is_compared[e])
            qm_comparison_free(&comparisons[e]);
    }
    bars->is_several[block] = count > 1;
}

static void note_missing(struct bars *bars, const struct qm_picture_set *set)
{
    for (size_t e = 0; e < set->count; e++) {
        const struct qm_picture_entry *entry = &set->entries[e];
        for (size_t i = 0; i < qm_node_count(entry->schemes); i++) {
            const struct qm_node *scheme = qm_node_at(entry->schemes, i);
            if (has_speed(scheme))
                continue;
            if (bars->missing_count++ < MISSING_MAX)
                qm_text_append(&bars->missing, "%s%.60s on %s: %.20s (%.120s)", bars->missing_count > 1 ? "; " : "",
                               qm_picture_scheme_name(scheme), entry->label, qm_node_text_at(scheme, "status", "?"),
                               qm_node_text_at(scheme, "reason", "no throughput"));
        }
    }
}

static void collect(struct bars *bars, const struct qm_picture_set *set)
{
    size_t sizes[QM_PICTURE_SOURCES_MAX] = {0}, largest = 0, first_of_largest = 0;
    bool is_done[QM_PICTURE_SOURCES_MAX] = {false};
    if (group(bars, set) != QM_OK) { // without memory: each for itself
        for (size_t e = 0; e < set->count; e++)
            bars->groups[e] = e;
        bars->group_count = set->count;
    }
    for (size_t e = 0; e < set->count; e++)
        sizes[bars->groups[e]]++;
    for (size_t g = 0; g < bars->group_count; g++)
        largest = sizes[g] > sizes[largest] ? g : largest;
    for (size_t e = set->count; e-- > 0;)
        first_of_largest = bars->groups[e] == largest ? e : first_of_largest;
    if (set->count > 0)
        add_group(bars, set, largest, add_block(bars, first_of_largest, ""));
    for (size_t e = 0; e < set->count; e++) {
        size_t own = bars->groups[e];
        char reason[400];
        if (own == largest || is_done[own])
            continue;
        is_done[own] = true;
        reason_of(set, first_of_largest, e, reason);
        add_group(bars, set, own, add_block(bars, e, reason));
    }
    note_missing(bars, set);
}

// ---- Drawing --------------------------------------------------------------------------------------------------------

struct columns {
    double label, bar[2], width[2], accuracy; // left ends, and how long the longest bar is
    struct qm_axis axis[2];
    bool has[2];
};

static bool rate_of(const struct qm_node *scheme, size_t phase, struct qm_picture_value *out)
{
    const struct qm_node *point = qm_show_point(scheme, phases[phase]);
    return point && qm_picture_read(point, "rate_tokens_per_s", out) && out->value > 0;
}

static void make_columns(const struct bars *bars, size_t block, const struct qm_picture_sheet *sheet,
                         struct columns *columns)
{
    double width = sheet->right - sheet->left, highest[2] = {0, 0};
    for (size_t i = 0; i < bars->count; i++) {
        for (size_t p = 0; p < 2; p++) {
            struct qm_picture_value rate;
            if (bars->bars[i].block == block && rate_of(bars->bars[i].scheme, p, &rate))
                highest[p] = fmax(highest[p], fmin(rate.high, rate.value * 1.5));
        }
    }
    columns->label = sheet->left;
    if (sheet->is_narrow) {
        columns->bar[0] = columns->bar[1] = sheet->left + 48;
        columns->width[0] = columns->width[1] = width - 48 - 62;
        columns->accuracy = sheet->right;
    } else {
        double label = 236, accuracy = 166, room = (width - label - accuracy) / 2;
        columns->bar[0] = sheet->left + label;
        columns->bar[1] = sheet->left + label + room;
        columns->width[0] = columns->width[1] = room - 68;
        columns->accuracy = sheet->right - accuracy;
    }
    for (size_t p = 0; p < 2; p++) {
        columns->has[p] = highest[p] > 0;
        qm_axis_linear(&columns->axis[p], 0, columns->has[p] ? highest[p] : 1, columns->bar[p],
                       columns->bar[p] + columns->width[p], 4);
    }
}

static void draw_rate(struct qm_picture_sheet *sheet, const struct columns *columns, const struct bar *bar,
                      size_t phase, double y, double height)
{
    struct qm_picture_value rate;
    char number[QM_SHOW_NUMBER_BYTES], text[QM_PICTURE_VALUE_BYTES], accuracy[QM_PICTURE_VALUE_BYTES], title[512];
    const struct qm_node *point = qm_show_point(bar->scheme, phases[phase]);
    double left = columns->bar[phase];
    if (!rate_of(bar->scheme, phase, &rate)) {
        qm_svg_text(&sheet->svg, "tick", QM_SVG_START, left + 2, y + height - 3, "not measured");
        return;
    }
    double end = qm_axis_at(&columns->axis[phase], rate.value), high = qm_axis_at(&columns->axis[phase], rate.high);
    qm_show_double(rate.value, number);
    qm_picture_value_text(&rate, text);
    qm_picture_accuracy_text(bar->scheme, false, accuracy);
    snprintf(title, sizeof(title), "%.60s on %s: %s, batch %.12s, %s tokens/s; %s", qm_picture_scheme_name(bar->scheme),
             sheet->set->entries[bar->entry].label, phases[phase], qm_node_text_at(point, "batch", "?"), text,
             accuracy);
    qm_svg_open(&sheet->svg, "mark", title);
    qm_svg_bar(&sheet->svg, qm_picture_hue(bar->entry), (unsigned)bar->entry, left, y, fmax(end - left, 1), height);
    if (rate.has_interval)
        qm_svg_interval_x(&sheet->svg, "whisker", qm_axis_at(&columns->axis[phase], rate.low), high, y + height / 2);
    qm_svg_text(&sheet->svg, "num", QM_SVG_START, fmax(end, high) + 6, y + height - 2, "%s", number);
    qm_svg_close(&sheet->svg);
}

static void draw_bar(struct qm_picture_sheet *sheet, const struct columns *columns, const struct bar *bar,
                     bool by_device)
{
    char label[QM_PICTURE_LABEL_BYTES + 8], accuracy[QM_PICTURE_VALUE_BYTES];
    double width = sheet->right - sheet->left;
    snprintf(label, sizeof(label), "%.90s",
             by_device ? sheet->set->entries[bar->entry].label : qm_picture_scheme_name(bar->scheme));
    qm_picture_accuracy_text(bar->scheme, true, accuracy);
    if (!sheet->is_narrow) {
        qm_svg_fit(label, 11.5, 230);
        qm_svg_text(&sheet->svg, "lab", QM_SVG_START, columns->label, sheet->y + 11, "%s", label);
        for (size_t p = 0; p < 2; p++) {
            if (columns->has[p])
                draw_rate(sheet, columns, bar, p, sheet->y, 13);
        }
        qm_svg_text(&sheet->svg, "tick", QM_SVG_START, columns->accuracy, sheet->y + 11, "%s", accuracy);
        sheet->y += 19;
        return;
    }
    double own = qm_svg_text_width(accuracy, 11);
    qm_svg_fit(label, 11.5, width - own - 10);
    qm_svg_text(&sheet->svg, "lab", QM_SVG_START, columns->label, sheet->y + 11, "%s", label);
    qm_svg_text(&sheet->svg, "tick", QM_SVG_END, columns->accuracy, sheet->y + 11, "%s", accuracy);
    sheet->y += 16;
    for (size_t p = 0; p < 2; p++) {
        if (!columns->has[p])
            continue;
        qm_svg_text(&sheet->svg, "tick", QM_SVG_START, columns->label, sheet->y + 10, "%s", phases[p]);
        draw_rate(sheet, columns, bar, p, sheet->y, 12);
        sheet->y += 16;
    }
    sheet->y += 6;
}

// What the bars of a phase are of: "Decode, batch 1, tokens/s".
static void draw_heads(struct qm_picture_sheet *sheet, const struct bars *bars, size_t block,
                       const struct columns *columns)
{
    static const char *const titles[] = {"Decode", "Prefill"};
    const struct qm_node *scheme = NULL;
    for (size_t i = bars->count; i-- > 0;)
        scheme = bars->bars[i].block == block ? bars->bars[i].scheme : scheme;
    sheet->y += 6;
    for (size_t p = 0; p < 2; p++) {
        const struct qm_node *point = qm_show_point(scheme, phases[p]);
        if (!columns->has[p])
            continue;
        double x = sheet->is_narrow ? sheet->left : columns->bar[p];
        if (sheet->is_narrow && p == 1 && columns->has[0])
            sheet->y += 16;
        qm_svg_text(&sheet->svg, "tick", QM_SVG_START, x, sheet->y + 10, "%s, batch %.12s, %s %.12s, tokens/s",
                    titles[p], qm_node_text_at(point, "batch", "?"), p ? "prompt" : "depth",
                    qm_node_text_at(point, p ? "prompt" : "depth", "?"));
    }
    if (!sheet->is_narrow)
        qm_svg_text(&sheet->svg, "tick", QM_SVG_START, columns->accuracy, sheet->y + 10, "Accuracy against fp32");
    sheet->y += 20;
}

static void draw_block(struct qm_picture_sheet *sheet, const struct bars *bars, size_t block)
{
    struct columns columns;
    const char *reason = bars->blocks[block].reason, *last = NULL;
    bool is_several = bars->is_several[block];
    size_t own = 0;
    for (size_t i = 0; i < bars->count; i++)
        own += bars->bars[i].block == block;
    if (own == 0)
        return;
    make_columns(bars, block, sheet, &columns);
    if (*reason) {
        char title[QM_PICTURE_LABEL_BYTES + 20];
        sheet->y += 12;
        qm_svg_line(&sheet->svg, "grid", sheet->left, sheet->y, sheet->right, sheet->y);
        snprintf(title, sizeof(title), "Apart: %s", sheet->set->entries[bars->blocks[block].first].label);
        qm_svg_fit(title, 13.5, sheet->right - sheet->left);
        qm_svg_text(&sheet->svg, "head", QM_SVG_START, sheet->left, sheet->y + 20, "%s", title);
        sheet->y = qm_svg_paragraph(&sheet->svg, "cap", 11, sheet->left, sheet->y + 36, sheet->right - sheet->left, 5,
                                    reason) -
                   10;
    }
    draw_heads(sheet, bars, block, &columns);
    double top = sheet->y;
    for (size_t i = 0; i < bars->count; i++) {
        const struct bar *bar = &bars->bars[i];
        const char *name = qm_picture_scheme_name(bar->scheme);
        if (bar->block != block)
            continue;
        if (is_several && (!last || strcmp(last, name) != 0)) {
            char head[QM_PICTURE_NAME_BYTES + 8];
            snprintf(head, sizeof(head), "%.60s", name);
            qm_svg_fit(head, 13.5, sheet->right - sheet->left);
            sheet->y += last ? 8 : 0;
            qm_svg_text(&sheet->svg, "head", QM_SVG_START, sheet->left, sheet->y + 12, "%s", head);
            sheet->y += 18;
        }
        last = name;
        draw_bar(sheet, &columns, bar, is_several);
    }
    for (size_t p = 0; p < 2 && !sheet->is_narrow; p++)
        qm_svg_line(&sheet->svg, "axis", columns.bar[p], top, columns.bar[p], sheet->y - 3);
}

void qm_picture_vendors(struct qm_picture_sheet *sheet)
{
    const struct qm_picture_set *set = sheet->set;
    struct bars *bars = calloc(1, sizeof(*bars));
    size_t all[QM_PICTURE_SOURCES_MAX];
    struct qm_picture_key keys[QM_PICTURE_SOURCES_MAX];
    if (!bars) {
        sheet->svg.body.failed = true;
        return;
    }
    collect(bars, set);
    size_t apart = bars->block_count > 0 ? bars->block_count - 1 : 0;
    char subtitle[200];
    snprintf(subtitle, sizeof(subtitle),
             "Bars with intervals of rows that are comparable%s. Longer is faster, each phase by a scale of its own; "
             "read it with "
             "the accuracy beside it.",
             apart > 0 ? "; what is not stands apart below, on a scale of its own" : "");
    qm_picture_heading(sheet, "Device beside device", subtitle);
    for (size_t e = 0; e < set->count; e++) {
        all[e] = e;
        keys[e] = (struct qm_picture_key){
            .name = set->entries[e].label, .hue = qm_picture_hue(e), .pattern = (unsigned)e % QM_SVG_PATTERNS};
    }
    if (bars->count > 0) {
        qm_picture_keys(sheet, keys, set->count, true);
        for (size_t b = 0; b < bars->block_count; b++)
            draw_block(sheet, bars, b);
        sheet->y += 8;
    } else {
        qm_picture_nothing(sheet, "No scheme is ok and has a throughput.");
    }
    if (bars->more > 0) {
        char text[96];
        snprintf(text, sizeof(text), "And %zu more rows, by name in the results.", bars->more);
        qm_picture_note(sheet, text);
    }
    if (bars->notes.used > 0)
        qm_picture_note(sheet, qm_text_bytes(&bars->notes));
    if (bars->missing_count > 0) {
        struct qm_text text = {0};
        qm_text_append(&text, "Without a bar: %s", qm_text_bytes(&bars->missing));
        if (bars->missing_count > MISSING_MAX)
            qm_text_append(&text, "; and %zu more", bars->missing_count - MISSING_MAX);
        qm_picture_note(sheet, qm_text_bytes(&text));
        qm_text_free(&text);
    }
    qm_picture_caption(sheet, all, set->count, NULL);
    qm_text_free(&bars->notes);
    qm_text_free(&bars->missing);
    free(bars);
}
