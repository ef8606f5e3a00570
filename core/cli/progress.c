#include "cli/progress.h"

#include <stdio.h>

#include "sys/host.h"

void qm_progress_begin(struct qm_progress_line *line, const char *title, double expected_s)
{
    *line = (struct qm_progress_line){.title = title,
                                      .is_terminal = qm_is_terminal(2),
                                      .began_ns = qm_clock_ns(),
                                      .shown_tenth = -1,
                                      .expected_s = expected_s};
    if (!line->is_terminal) {
        if (expected_s > 0)
            fprintf(stderr, "%s: about %.0f s, as last time\n", title, expected_s);
        else
            fprintf(stderr, "%s\n", title);
    }
}

void qm_progress_show(void *context, const char *what, double fraction)
{
    struct qm_progress_line *line = context;
    uint64_t now_ns = qm_clock_ns();
    double elapsed_s = (double)(now_ns - line->began_ns) * 1e-9;
    double left_s = -1;
    if (fraction > 0.02 && elapsed_s > 1)
        left_s = elapsed_s * (1 - fraction) / fraction;
    else if (line->expected_s > elapsed_s)
        left_s = line->expected_s - elapsed_s;
    char left[48] = "";
    if (left_s >= 0)
        snprintf(left, sizeof(left), ", about %.0f s left", left_s);
    if (line->is_terminal) {
        if (now_ns - line->shown_ns < 100000000u)
            return;
        line->shown_ns = now_ns;
        fprintf(stderr, "\r\033[K%s: %3.0f %%  %s%s", line->title, fraction * 100, what, left);
        fflush(stderr);
        return;
    }
    int tenth = (int)(fraction * 4);
    if (tenth > line->shown_tenth || now_ns - line->shown_ns > 20000000000u) {
        line->shown_tenth = tenth;
        line->shown_ns = now_ns;
        fprintf(stderr, "  %3.0f %%  %s%s\n", fraction * 100, what, left);
    }
}

double qm_progress_end(struct qm_progress_line *line)
{
    if (line->is_terminal)
        fputs("\r\033[K", stderr);
    return (double)(qm_clock_ns() - line->began_ns) * 1e-9;
}
