// What all pictures of a report are made of: results, and for each of them the hue, the mark and the pattern that stand
// for it in every picture.
#ifndef QM_REPORT_PICTURE_SET_H
#define QM_REPORT_PICTURE_SET_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>

struct qm_node;

struct qm_picture_source {
    const struct qm_node *result; // borrowed, must outlive the set; has passed qm_result_check
    const char *path;             // borrowed: its file, beside which the samples lie; NULL: there are none
    bool is_changed;              // the file's hash is not that of its content
};

struct qm_picture_set;

// Of at most 64 results; drawings say how many more there are. `count` may be 0.
QM_MUST_USE enum qm_status qm_picture_set_create(const struct qm_picture_source *sources, size_t count,
                                                 struct qm_picture_set **out);
void qm_picture_set_destroy(struct qm_picture_set **set); // nulls; NULL is allowed

#endif
