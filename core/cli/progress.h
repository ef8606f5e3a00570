// Progress of long verbs on standard error: one line that is rewritten on a terminal, a line now and then in a pipe; or
// one JSON object a line; or nothing.
#ifndef QM_CLI_PROGRESS_H
#define QM_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

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
    char stage[96];    // that was shown last
    double expected_s; // from an earlier run; 0: unknown
};

void qm_progress_begin(struct qm_progress_line *line, const char *title, double expected_s);
// A qm_progress (bench/reference.h) with the line as context. The stage is what stands before the first comma.
void qm_progress_show(void *line, const char *what, double fraction);
// Clears the line on a terminal; returns the seconds since qm_progress_begin.
double qm_progress_end(struct qm_progress_line *line);

#endif
