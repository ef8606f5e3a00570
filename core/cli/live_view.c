#include "cli/live_view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "report/show.h"
#include "report/table.h"
#include "sys/host.h"

enum {
    NARROW = 60, // below it a line that runs takes two
    WIDE = 100,
    TITLE_MOST = 28,
    BAR_WIDE = 16,
    BAR_NARROW = 8,
};

// ---- Texts of a width -----------------------------------------------------------------------------------------------

// Appends at most `columns` terminal columns of a text that was cleaned; what is cut ends with "..". Returns how many.
static size_t say_cut(struct qm_text *out, const char *text, size_t columns, bool is_utf8)
{
    char piece[256];
    size_t used = 0;
    for (const char *c = text; *c && used + 4 < sizeof(piece);) {
        size_t bytes = 1;
        while (((unsigned char)c[bytes] & 0xc0) == 0x80)
            bytes++;
        if ((unsigned char)*c < 0x80 || is_utf8) {
            memcpy(piece + used, c, bytes);
            used += bytes;
        } else {
            piece[used++] = '?';
        }
        c += bytes;
    }
    piece[used] = '\0';
    bool is_cut = qm_text_columns(piece) > columns;
    while (is_cut && used > 0 && qm_text_columns(piece) + 2 > columns) {
        while (used > 0 && ((unsigned char)piece[used - 1] & 0xc0) == 0x80)
            used--;
        piece[used > 0 ? --used : 0] = '\0';
    }
    if (is_cut && columns < 2)
        return 0;
    qm_text_append(out, "%s%s", piece, is_cut ? ".." : "");
    return qm_text_columns(piece) + (is_cut ? 2 : 0);
}

static size_t say_padded(struct qm_text *out, const char *text, size_t columns, bool is_utf8)
{
    size_t used = say_cut(out, text, columns, is_utf8);
    qm_text_append(out, "%*s", (int)(columns - used), "");
    return columns;
}

// ---- A line ---------------------------------------------------------------------------------------------------------

static size_t say_bar(struct qm_text *out, double fraction, size_t columns, const struct qm_live_style *style)
{
    size_t full = (size_t)(fraction * (double)columns + 0.5);
    qm_text_append(out, "%s", style->has_colour ? "\033[32m" : "");
    for (size_t i = 0; i < columns; i++) {
        if (i == full)
            qm_text_append(out, "%s", style->has_colour ? "\033[2m" : "");
        qm_text_append(out, "%s",
                       i < full ? (style->is_utf8 ? "\xe2\x96\x88" : "#") : (style->is_utf8 ? "\xe2\x96\x91" : "."));
    }
    qm_text_append(out, "%s", style->has_colour ? "\033[0m" : "");
    return columns;
}

static void left_of(const struct qm_live_line *line, char text[16])
{
    double s = line->seconds_left;
    if (s < 0)
        snprintf(text, 16, "?");
    else if (s < 100)
        snprintf(text, 16, "%.0f s", s);
    else if (s < 100 * 60)
        snprintf(text, 16, "%.0f min", s / 60);
    else
        snprintf(text, 16, "%.0f h", s < 1e7 ? s / 3600 : 9999);
}

// "KL 0.0021: 255 t/s": the accuracy first.
static void live_of(const struct qm_device_live *live, char text[96])
{
    char rate[QM_SHOW_NUMBER_BYTES], kl[QM_SHOW_NUMBER_BYTES];
    text[0] = '\0';
    if (!live->has_rate)
        return;
    qm_show_double(live->rate_tokens_per_s, rate);
    qm_show_double(live->kl_mean, kl);
    if (live->has_accuracy)
        snprintf(text, 96, "KL %.24s: %.24s t/s", kl, rate);
    else
        snprintf(text, 96, "accuracy: not measured: %.24s t/s", rate);
}

// The stage with what it has come to, in `columns`; the second is left out where it does not fit whole.
static void say_stage(struct qm_text *out, const char *stage, const struct qm_live_line *line, size_t columns,
                      bool is_utf8)
{
    char live[96], first[sizeof(line->text)];
    live_of(&line->live, live);
    snprintf(first, sizeof(first), "%.*s", (int)strcspn(stage, ","), stage);
    size_t wanted = strlen(live);
    if (wanted > 0 && wanted + 8 <= columns) { // a piece of the stage is enough: of "timing w8a8" the scheme
        const char *scheme = strrchr(first, ' ');
        if (scheme && qm_text_columns(first) + wanted + 2 > columns)
            memmove(first, scheme + 1, strlen(scheme));
        say_cut(out, first, columns - wanted - 2, is_utf8);
        qm_text_append(out, ", %s", live);
        return;
    }
    say_cut(out, stage, columns, is_utf8);
}

static const char *colour_of(const struct qm_live_line *line, const struct qm_live_style *style)
{
    if (!style->has_colour)
        return "";
    return line->state == QM_LIVE_FAILED ? "\033[31m" : line->state == QM_LIVE_WAITS ? "\033[2m" : "";
}

static void say_title(char title[256], const struct qm_live_line *line, bool is_narrow)
{
    snprintf(title, 256, "%.60s%s%.150s", line->id, line->name[0] && !is_narrow ? " " : "",
             is_narrow ? "" : line->name);
    qm_text_clean(title);
}

void qm_live_line_write(struct qm_text *out, const struct qm_live_line *line, const struct qm_live_style *style)
{
    const size_t columns = style->columns > QM_LIVE_COLUMNS_LEFT + 20 ? style->columns - QM_LIVE_COLUMNS_LEFT : 20;
    const bool is_narrow = style->columns < NARROW;
    const char *colour = colour_of(line, style);
    char title[256], text[sizeof(line->text)], left[16];
    double fraction = line->fraction < 0 ? 0 : line->fraction > 1 ? 1 : line->fraction;
    size_t used = 0, most = is_narrow ? columns / 2 : style->columns < WIDE ? columns / 4 : TITLE_MOST;
    say_title(title, line, is_narrow);
    snprintf(text, sizeof(text), "%s", line->text);
    qm_text_clean(text);
    qm_text_append(out, "%s", colour);
    if (is_narrow)
        used = say_cut(out, title, most, style->is_utf8);
    else
        used = say_padded(out, title, most, style->is_utf8);
    qm_text_append(out, "  ");
    used += 2;
    if (line->state != QM_LIVE_RUNS) {
        say_cut(out, line->state == QM_LIVE_WAITS && !text[0] ? "waits" : text, columns - used, style->is_utf8);
        qm_text_append(out, "%s\n", *colour ? "\033[0m" : "");
        return;
    }
    left_of(line, left);
    qm_text_append(out, "%3.0f %% ", fraction * 100);
    used += 6;
    size_t bar = style->columns < WIDE ? BAR_NARROW : BAR_WIDE;
    if (used + bar + 1 + strlen(left) <= columns)
        used += say_bar(out, fraction, bar, style);
    if (used + 1 + strlen(left) <= columns) {
        qm_text_append(out, is_narrow ? " %s" : " %6s", left);
        used += 1 + (is_narrow || strlen(left) > 6 ? strlen(left) : 6);
    }
    if (is_narrow) {
        qm_text_append(out, "\n  ");
        say_stage(out, text, line, columns - 2, style->is_utf8);
    } else if (used + 10 <= columns) {
        qm_text_append(out, "  ");
        say_stage(out, text, line, columns - used - 2, style->is_utf8);
    }
    qm_text_append(out, "\n");
}

// ---- The view -------------------------------------------------------------------------------------------------------

// Terminal columns of a line as it is drawn: colours take none.
static size_t drawn_columns(const char *line, size_t length)
{
    struct qm_text plain = {0};
    for (size_t i = 0; i < length; i++) {
        if (line[i] == '\033')
            i += strcspn(line + i, "m");
        else
            qm_text_append(&plain, "%c", line[i]);
    }
    size_t columns = qm_text_columns(qm_text_bytes(&plain));
    qm_text_free(&plain);
    return columns;
}

// To the first column of the first row that was drawn. A terminal that became narrower has broken its lines since.
static void go_back(struct qm_text *out, struct qm_live_view *view, unsigned columns)
{
    size_t rows = 0;
    for (size_t i = 0; i < view->drawn; i++)
        rows += columns > 0 && view->widths[i] > columns ? (view->widths[i] + columns - 1) / columns : 1;
    qm_text_append(out, "\r");
    if (rows > 1)
        qm_text_append(out, "\033[%zuA", rows - 1);
}

static void send(struct qm_text *out)
{
    fputs(qm_text_bytes(out), stderr);
    fflush(stderr);
    qm_text_free(out);
}

void qm_live_view_draw(struct qm_live_view *view)
{
    struct qm_text lines = {0}, out = {0};
    const struct qm_live_style style = {
        .columns = qm_terminal_columns(2, 80), .is_utf8 = qm_locale_is_utf8(), .has_colour = qm_terminal_has_colour(2)};
    size_t rows = qm_terminal_rows(2, 24), room = rows > 4 ? rows - 2 : 2, others = 0, running = 0;
    room = room < QM_LIVE_LINES_MAX ? room : QM_LIVE_LINES_MAX;
    for (size_t i = 0; i < view->count; i++)
        running += view->lines[i].state == QM_LIVE_RUNS;
    size_t for_others = room > 2 * running ? room - 2 * running : 0;
    for (size_t i = 0; i < view->count; i++) {
        if (view->lines[i].state == QM_LIVE_RUNS || others++ < for_others)
            qm_live_line_write(&lines, &view->lines[i], &style);
    }
    if (view->drawn > 0)
        go_back(&out, view, style.columns);
    qm_text_append(&out, "\r\033[J");
    view->drawn = 0;
    for (const char *line = qm_text_bytes(&lines); *line && view->drawn < room;) {
        size_t length = strcspn(line, "\n");
        qm_text_append(&out, "%s%.*s", view->drawn > 0 ? "\n" : "", (int)length, line);
        view->widths[view->drawn++] = drawn_columns(line, length);
        line += length + (line[length] == '\n');
    }
    qm_text_free(&lines);
    send(&out);
}

void qm_live_view_clear(struct qm_live_view *view)
{
    struct qm_text out = {0};
    if (view->drawn == 0)
        return;
    go_back(&out, view, qm_terminal_columns(2, 80));
    qm_text_append(&out, "\033[J");
    view->drawn = 0;
    send(&out);
}
