// A line for each device that is rewritten in place while they are measured: stage, bar, what is left, and the current rate
// with its accuracy. For terminals alone; pipes get lines (progress.h).
//
// The terminal's modes are never changed, so that nothing is to be restored but the place of the cursor: what ends the
// program, by a signal or an error, leaves a terminal that works. No line reaches the last columns, so that none is broken
// and the ^C that a terminal echoes breaks none. The width is asked anew for every drawing.
#ifndef QM_CLI_LIVE_VIEW_H
#define QM_CLI_LIVE_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/device_live.h"
#include "report/facts.h"

enum qm_live_state {
    QM_LIVE_WAITS,
    QM_LIVE_RUNS,
    QM_LIVE_DONE,
    QM_LIVE_FAILED,
};

struct qm_live_line {
    const char *id, *name; // "vulkan:0", "llvmpipe"; a name of "" is left out
    enum qm_live_state state;
    char text[160];      // of one that runs, its stage; else how it ended
    double fraction;     // 0..1
    double seconds_left; // below 0: unknown
    struct qm_device_live live;
};

struct qm_live_style {
    unsigned columns; // of the terminal
    bool is_utf8, has_colour;
};

enum {
    QM_LIVE_COLUMNS_LEFT = 3, // at the right, never written to
    QM_LIVE_LINES_MAX = 64,
};

// Appends the line, ended by '\n', or two where there are less than 60 columns and it runs. Names and texts are cleaned.
// A rate never stands without its KL mean or the words `accuracy: not measured`: both are left out where one does not fit.
void qm_live_line_write(struct qm_text *out, const struct qm_live_line *line, const struct qm_live_style *style);

struct qm_live_view {
    struct qm_live_line *lines; // the caller's
    size_t count;
    size_t drawn;                     // rows on the terminal; 0: nothing is there
    size_t widths[QM_LIVE_LINES_MAX]; // of these
};

// Draws on standard error, over what was drawn before. Of more lines than the terminal has rows those are drawn that run, and as many of the
// others as there is room for.
void qm_live_view_draw(struct qm_live_view *view);
// Takes away what was drawn; the cursor is where it was before.
void qm_live_view_clear(struct qm_live_view *view);

#endif
