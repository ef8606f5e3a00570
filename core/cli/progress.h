// Progress of long verbs on standard error: lines that are rewritten on a terminal (live_view.h), a line now and then in a
// pipe; or one JSON object a line; or nothing.
#ifndef QM_CLI_PROGRESS_H
#define QM_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "cli/live_view.h"

enum qm_progress_form {
    QM_PROGRESS_TEXT,
    QM_PROGRESS_NONE,
    // {"device": id or null, "stage": "timing w8a8", "fraction": 0.25, "seconds_left": 12.3 or null, "text": "timing w8a8,
    // decode batch 8, round 3 of 9"}
    QM_PROGRESS_JSON,
};

// For the whole program, from a name: text, none, json. QM_INVALID for others.
QM_MUST_USE enum qm_status qm_progress_choose(const char *name);
// Whether there is room for other lines beside it: not in the forms that programs read.
bool qm_progress_is_text(void);

struct qm_progress_line {
    const char *title;  // "vulkan:0 llvmpipe"; what the fraction is of
    const char *device; // its id; NULL: none
    bool is_terminal;
    uint64_t began_ns, shown_ns;
    int shown_tenth;
    char stage[96];             // that was shown last
    double expected_s;          // from an earlier run; 0: unknown
    struct qm_device_live live; // what it has come to; whoever measures sets it
    struct qm_live_line own;    // what is drawn where nobody gave lines
    struct qm_live_view view;
    size_t index; // of its line there
};

void qm_progress_begin(struct qm_progress_line *line, const char *title, double expected_s);
// The same as one of several lines of a terminal, whose state it sets to QM_LIVE_RUNS; they stay the caller's.
void qm_progress_begin_among(struct qm_progress_line *line, const char *title, double expected_s,
                             struct qm_live_line *lines, size_t count, size_t index);
// A qm_progress (bench/reference.h) with the line as context. The stage is what stands before the first comma.
void qm_progress_show(void *line, const char *what, double fraction);
// Clears what stands on a terminal; returns the seconds since qm_progress_begin.
double qm_progress_end(struct qm_progress_line *line);

#endif
