// The parts that all drawings have: heading, keys, notes, and the caption that makes a screenshot a whole claim.
#include "report/picture_internal.h"

#include "record/node.h"
#include "record/result.h"
#include "report/show.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SCHEMES_TOLD_MAX = 12,  // by name in a caption
    SOURCES_TOLD_MAX = 12,  // with their drivers; of further ones the hash
    CAPTION_LINES_MAX = 10, // of each of its sentences
    SOURCES_LINES_MAX = 60  // every hash is told
};

void qm_picture_heading(struct qm_picture_sheet *sheet, const char *title, const char *subtitle)
{
    double width = sheet->right - sheet->left;
    sheet->y = qm_svg_paragraph(&sheet->svg, "title", 18, sheet->left, sheet->y + 28, width / 1.08, 2, title) - 5;
    sheet->y = qm_svg_paragraph(&sheet->svg, "sub", 13, sheet->left, sheet->y, width, 4, subtitle);
}

void qm_picture_keys(struct qm_picture_sheet *sheet, const struct qm_picture_key *keys, size_t count, bool is_bar)
{
    double x = sheet->left, y = sheet->y + 4;
    for (size_t i = 0; i < count; i++) {
        char name[QM_PICTURE_LABEL_BYTES + 8];
        snprintf(name, sizeof(name), "%s", keys[i].name);
        double mark = is_bar ? 26 : 18;
        qm_svg_fit(name, 11.5, sheet->right - sheet->left - mark);
        double width = mark + qm_svg_text_width(name, 11.5) + 16;
        if (x > sheet->left && x + width > sheet->right) {
            x = sheet->left;
            y += 19;
        }
        if (is_bar)
            qm_svg_bar(&sheet->svg, keys[i].hue, keys[i].pattern, x, y - 9, 20, 11);
        else
            qm_svg_mark(&sheet->svg, keys[i].shape, keys[i].hue, keys[i].is_open, x + 6, y - 4, 5);
        qm_svg_text(&sheet->svg, "lab", QM_SVG_START, x + mark, y, "%s", name);
        x += width;
    }
    sheet->y = y + (count > 0 ? 14 : 0);
}

void qm_picture_note(struct qm_picture_sheet *sheet, const char *text)
{
    sheet->y =
        qm_svg_paragraph(&sheet->svg, "cap", 11, sheet->left, sheet->y + 8, sheet->right - sheet->left, 6, text) - 4;
}

void qm_picture_nothing(struct qm_picture_sheet *sheet, const char *why)
{
    double width = sheet->right - sheet->left;
    qm_svg_rect(&sheet->svg, "strip", sheet->left, sheet->y + 8, width, 96);
    qm_svg_text(&sheet->svg, "head", QM_SVG_START, sheet->left + 16, sheet->y + 34, "Nothing to draw");
    double y = qm_svg_paragraph(&sheet->svg, "sub", 13, sheet->left + 16, sheet->y + 54, width - 32, 3, why);
    sheet->y = fmax(y, sheet->y + 104) + 8;
}

// ---- Caption --------------------------------------------------------------------------------------------------------

struct told {
    const struct qm_picture_set *set;
    const size_t *entries;
    size_t count;
    const char *scheme; // NULL: all
};

static bool is_asked(const struct told *told, const struct qm_node *row)
{
    return qm_result_row_is_ok(row) && (!told->scheme || strcmp(qm_picture_scheme_name(row), told->scheme) == 0);
}

// Lines of one kind for schemes: those with the same text share one, "w8a8, w8a16: absmax".
struct line {
    char name[QM_PICTURE_NAME_BYTES], text[320];
};

static void tell_lines(struct qm_text *out, struct line *lines, size_t count, const char *between)
{
    bool is_done[SCHEMES_TOLD_MAX] = {false}, is_first = true;
    for (size_t i = 0; i < count; i++) {
        if (is_done[i])
            continue;
        qm_text_append(out, "%s%s", is_first ? "" : "; ", lines[i].name);
        for (size_t k = i + 1; k < count; k++) {
            if (strcmp(lines[i].text, lines[k].text) == 0) {
                is_done[k] = true;
                qm_text_append(out, ", %s", lines[k].name);
            }
        }
        qm_text_append(out, "%s%s", between, lines[i].text);
        is_first = false;
    }
}

// Of a scheme over several results: the smallest and the largest mean divergence; of one with its interval.
static void accuracy_of(const struct told *told, const char *name, char text[320])
{
    double low = INFINITY, high = -INFINITY;
    size_t count = 0, without = 0;
    const struct qm_node *only = NULL;
    for (size_t e = 0; e < told->count; e++) {
        const struct qm_node *schemes = told->set->entries[told->entries[e]].schemes;
        for (size_t i = 0; i < qm_node_count(schemes); i++) {
            const struct qm_node *row = qm_node_at(schemes, i);
            struct qm_picture_value kl;
            if (!qm_result_row_is_ok(row) || strcmp(qm_picture_scheme_name(row), name) != 0)
                continue;
            if (!qm_picture_divergence(row, &kl)) {
                without++;
                only = only ? only : row;
                continue;
            }
            only = row;
            count++;
            low = fmin(low, kl.value);
            high = fmax(high, kl.value);
        }
    }
    char a[QM_SHOW_NUMBER_BYTES], b[QM_SHOW_NUMBER_BYTES], single[QM_PICTURE_VALUE_BYTES];
    qm_show_double(low, a);
    qm_show_double(high, b);
    if (count + without <= 1 || (count == 0 && without > 0)) {
        qm_picture_accuracy_text(only, false, single);
        snprintf(text, 320, "%s", single);
    } else if (strcmp(a, b) == 0) {
        snprintf(text, 320, "KL %s in %zu results%s", a, count,
                 without > 0 ? ", elsewhere accuracy: not measured" : "");
    } else {
        snprintf(text, 320, "KL %s to %s in %zu results%s", a, b, count,
                 without > 0 ? ", elsewhere accuracy: not measured" : "");
    }
}

static void calibration_of(const struct qm_node *row, char text[320])
{
    const struct qm_node *disclosure = qm_node_child(row, "disclosure");
    const struct qm_node *set = qm_node_child(disclosure, "calibration_set");
    const struct qm_node *method = qm_node_child(disclosure, "calibration_method");
    char set_text[160], method_text[128];
    if (qm_node_is_mapping(set))
        snprintf(set_text, sizeof(set_text), "on %.100s (%.12s)", qm_node_text_at(set, "name", "undisclosed"),
                 qm_node_text_at(set, "sha256", "undisclosed"));
    else
        snprintf(set_text, sizeof(set_text), "set: %.100s",
                 set ? qm_node_text_at(disclosure, "calibration_set", "?") : "undisclosed");
    if (qm_node_is_mapping(method)) {
        const char *parameters = qm_node_text_at(method, "parameters", "undisclosed");
        bool has_some = strcmp(parameters, "none") != 0;
        snprintf(method_text, sizeof(method_text), "%.40s%s%.60s%s", qm_node_text_at(method, "name", "undisclosed"),
                 has_some ? " (" : "", has_some ? parameters : "", has_some ? ")" : "");
    } else {
        snprintf(method_text, sizeof(method_text), "%.60s",
                 method ? qm_node_text_at(disclosure, "calibration_method", "?") : "undisclosed");
    }
    if (strcmp(method_text, "none") == 0 && strcmp(set_text, "set: none") == 0)
        snprintf(text, 320, "none");
    else
        snprintf(text, 320, "%s, %s", method_text, set_text);
}

// The first row that is ok of each name, at most SCHEMES_TOLD_MAX; `*more` counts further rows.
static size_t rows_of(const struct told *told, const struct qm_node *rows[SCHEMES_TOLD_MAX], size_t *more)
{
    size_t count = 0;
    *more = 0;
    for (size_t e = 0; e < told->count; e++) {
        const struct qm_node *schemes = told->set->entries[told->entries[e]].schemes;
        for (size_t i = 0; i < qm_node_count(schemes); i++) {
            const struct qm_node *row = qm_node_at(schemes, i);
            bool is_there = false;
            if (!is_asked(told, row))
                continue;
            for (size_t k = 0; k < count; k++)
                is_there = is_there || strcmp(qm_picture_scheme_name(rows[k]), qm_picture_scheme_name(row)) == 0;
            if (is_there)
                continue;
            if (count < SCHEMES_TOLD_MAX)
                rows[count++] = row;
            else
                ++*more;
        }
    }
    return count;
}

static void tell_schemes(const struct told *told, struct qm_text *accuracy, struct qm_text *calibration)
{
    const struct qm_node *rows[SCHEMES_TOLD_MAX];
    struct line lines[SCHEMES_TOLD_MAX];
    size_t more, count = rows_of(told, rows, &more);
    qm_text_append(accuracy, "Accuracy (mean KL divergence to fp32, nats a token): ");
    qm_text_append(calibration, "Calibration: ");
    for (size_t i = 0; i < count; i++) {
        snprintf(lines[i].name, sizeof(lines[i].name), "%s", qm_picture_scheme_name(rows[i]));
        accuracy_of(told, qm_picture_scheme_name(rows[i]), lines[i].text);
    }
    tell_lines(accuracy, lines, count, " ");
    for (size_t i = 0; i < count; i++)
        calibration_of(rows[i], lines[i].text);
    tell_lines(calibration, lines, count, ": ");
    if (count == 0) {
        qm_text_append(accuracy, "not measured: no scheme is ok");
        qm_text_append(calibration, "none is told of, as no scheme is ok");
    }
    if (more > 0) {
        qm_text_append(accuracy, "; and %zu more, by name in the results", more);
        qm_text_append(calibration, "; and %zu more, by name in the results", more);
    }
}

static void tell_sources(const struct told *told, struct qm_text *out)
{
    qm_text_append(out, "%s: ", told->count == 1 ? "Result" : "Results");
    for (size_t e = 0; e < told->count; e++) {
        const struct qm_picture_entry *entry = &told->set->entries[told->entries[e]];
        if (e >= SOURCES_TOLD_MAX) {
            qm_text_append(out, "; %s, %s%s", entry->label, entry->hash, entry->is_changed ? " - CHANGED since" : "");
            continue;
        }
        qm_text_append(out, "%s%s (%.40s %.60s), result %s%s", e ? "; " : "", entry->label,
                       qm_node_text_at(entry->result, "device.driver", "driver undisclosed"),
                       qm_node_text_at(entry->result, "device.driver_version", ""), entry->hash,
                       entry->is_changed ? " - CHANGED since: its content has another hash" : "");
    }
}

static void tell_model(const struct told *told, struct qm_text *out)
{
    const struct qm_node *first = told->set->entries[told->entries[0]].result;
    bool differs = false;
    static const char *const paths[] = {"model.name", "model.sha256", "model.variant", "model.layers_run"};
    bool differs_wide = false, differs_version = false;
    for (size_t e = 1; e < told->count; e++) {
        const struct qm_node *other = told->set->entries[told->entries[e]].result;
        for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
            differs =
                differs || strcmp(qm_node_text_at(first, paths[i], ""), qm_node_text_at(other, paths[i], "")) != 0;
        differs_wide = differs_wide || strcmp(qm_node_text_at(first, "model.widen", "1"),
                                              qm_node_text_at(other, "model.widen", "1")) != 0;
        differs_version = differs_version || strcmp(qm_node_text_at(first, "qmark.version", ""),
                                                    qm_node_text_at(other, "qmark.version", "")) != 0;
    }
    if (differs) {
        qm_text_append(out, "Models differ between the results");
    } else {
        const char *variant = qm_node_text_at(first, "model.variant", NULL);
        const char *part = qm_node_text_at(first, "model.layers_run", NULL);
        qm_text_append(out, "Model %.60s%s%.60s%s%.40s (%.12s)", qm_node_text_at(first, "model.name", "undisclosed"),
                       variant ? ", " : "", variant ? variant : "", part ? ", layers " : "", part ? part : "",
                       qm_node_text_at(first, "model.sha256", "undisclosed"));
    }
    if (differs_wide)
        qm_text_append(out, ", of several widths");
    else
        qm_text_append(out, ", widen %.12s", qm_node_text_at(first, "model.widen", "undisclosed"));
    if (differs_version)
        qm_text_append(out, ". qmark, several versions");
    else
        qm_text_append(out, ". qmark %.24s", qm_node_text_at(first, "qmark.version", "undisclosed"));
}

void qm_picture_caption(struct qm_picture_sheet *sheet, const size_t *entries, size_t count, const char *scheme)
{
    struct told told = {.set = sheet->set, .entries = entries, .count = count, .scheme = scheme};
    struct qm_text texts[4] = {{0}, {0}, {0}, {0}};
    double width = sheet->right - sheet->left;
    sheet->y += 10;
    qm_svg_line(&sheet->svg, "axis", sheet->left, sheet->y, sheet->right, sheet->y);
    sheet->y += 17;
    if (count == 0) {
        qm_text_append(&texts[0], "No result was given, so nothing is claimed.");
    } else {
        tell_schemes(&told, &texts[0], &texts[1]);
        tell_sources(&told, &texts[2]);
        tell_model(&told, &texts[3]);
    }
    if (sheet->set->left_out > 0)
        qm_text_append(&texts[3], ". %zu further results are not drawn: at most %d are", sheet->set->left_out,
                       QM_PICTURE_SOURCES_MAX);
    for (size_t i = 0; i < 4; i++) {
        size_t lines_most = i == 2 ? SOURCES_LINES_MAX : CAPTION_LINES_MAX;
        if (texts[i].used > 0)
            sheet->y = qm_svg_paragraph(&sheet->svg, "cap", 11, sheet->left, sheet->y, width,
                                        sheet->is_narrow ? 2 * lines_most : lines_most, qm_text_bytes(&texts[i]));
        sheet->svg.body.failed = sheet->svg.body.failed || texts[i].failed;
        qm_text_free(&texts[i]);
    }
    sheet->y += 4;
}
