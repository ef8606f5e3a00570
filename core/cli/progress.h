// Progress of long verbs on standard error: one line that is rewritten on a terminal, a line now and then in a pipe.
#ifndef QM_CLI_PROGRESS_H
#define QM_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct qm_progress_line {
    const char *title; // "vulkan:0 llvmpipe"; what the fraction is of
    bool is_terminal;
    uint64_t began_ns, shown_ns;
    int shown_tenth;
    double expected_s; // from an earlier run; 0: unknown
};

void qm_progress_begin(struct qm_progress_line *line, const char *title, double expected_s);
// A qm_progress (bench/reference.h) with the line as context.
void qm_progress_show(void *line, const char *what, double fraction);
// Clears the line on a terminal; returns the seconds since qm_progress_begin.
double qm_progress_end(struct qm_progress_line *line);

#endif
