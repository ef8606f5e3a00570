// One picture of a report as a file of its own, without a browser: 'qmark report --only trade -o trade.svg'.
#ifndef QM_REPORT_REPORT_ONLY_H
#define QM_REPORT_REPORT_ONLY_H

#include "record/result_set.h"
#include "report/pictures.h"

struct qm_report_only_params {
    enum qm_picture picture;
    uint64_t drawing;                // of those that there are of its kind, from 1; 0 as 1
    uint64_t width;                  // in pixels; 0: QM_PICTURE_WIDE. A PNG has twice as many
    enum qm_picture_colours colours; // QM_PICTURE_FOLLOW is light in a PNG
};

// "follow", "light", "dark".
bool qm_picture_read_colours(const char *text, enum qm_picture_colours *out);

// Writes the file whole or not at all; its name ends in .svg or .png. One that is there is written over only if it is a
// picture of qmark. Appends a line that says what it is of, and how many drawings of its kind there are. QM_INVALID too
// for a PNG where there is no librsvg, with how to get it.
QM_MUST_USE enum qm_status qm_report_only(const struct qm_result_set *set, const struct qm_report_only_params *params,
                                          const char *path, struct qm_text *told);

#endif
