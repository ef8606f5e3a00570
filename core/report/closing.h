// What a run ends with for people, of one device: a table of all schemes that fits 100 columns and throughput over time; then,
// after whatever else is to be told (qm_show_rest), the sentence that may be quoted, and what to beware of.
#ifndef QM_REPORT_CLOSING_H
#define QM_REPORT_CLOSING_H

#include <stddef.h>

#include "report/facts.h"
#include "report/show.h"

// A scheme's rate over time, in order: means of equal pieces of a sustained run, or of blocks that were timed in turn with
// other schemes.
struct qm_closing_series {
    const char *scheme;
    const double *tokens_per_s; // the caller's
    size_t count;
    double seconds; // of a sustained run; 0: of blocks
};

#define QM_CLOSING_COLUMNS 100

// `result` passed qm_result_check and is as it was built or read. style->columns is the terminal's width (0: of a pipe, which
// gets QM_CLOSING_COLUMNS); below 72 columns each scheme is a block of lines. No line is longer. style->is_fancy: the text may
// hold more than ASCII; where not, what names have of it is '?'. No speed stands without the accuracy of its scheme.
QM_MUST_USE enum qm_status qm_closing_write(const struct qm_node *result, const struct qm_closing_series *series,
                                            size_t count, const struct qm_show_style *style, FILE *file);

// The sentence that may be quoted, and what to beware of, in lines as wide as those.
void qm_closing_advise(const struct qm_node *result, const struct qm_show_style *style, FILE *file);

// Appends one character per value, its height from 0 to the largest: blocks, or in ASCII "_.:-=+*#".
void qm_sparkline(struct qm_text *out, const double *values, size_t count, bool is_fancy);

#endif
