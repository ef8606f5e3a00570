// What `qmark kernels` prints of a sweep (bench/kernel_sweep.h): tables and curves for people, rows for programs. Every form
// says that no model's accuracy is in it, and holds each row's error beside its speed.
#ifndef QM_REPORT_KERNEL_REPORT_H
#define QM_REPORT_KERNEL_REPORT_H

#include "base/status.h"
#include "report/form.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct qm_node;

// JSON lines are one of everything but the rows, then one a row. `columns` (0: no limit) and `is_fancy` are for tables.
QM_MUST_USE enum qm_status qm_kernel_report(const struct qm_node *sweep, enum qm_form form, unsigned columns,
                                            bool is_fancy, FILE *file);

// ---- Against another sweep ----------------------------------------------------------------------------------------

// Reads a sweep that was written as JSON. QM_INVALID where the file is none.
QM_MUST_USE enum qm_status qm_kernel_sweep_load(const char *path, struct qm_node **out);

// Adds `compared` to the sweep: a row for each of its own and of the other's, with the ratio of their rates and its interval
// (score/medians.h), or why there is none. Rows are the same where kernel, format, shape, API, driver and tile are; where a
// tile changed and no other tile of the row was timed, that is said and compared. Names of devices may differ: that is said.
QM_MUST_USE enum qm_status qm_kernel_sweep_compare(struct qm_node *sweep, const struct qm_node *before,
                                                   const char *name);

#endif
