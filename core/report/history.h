// Answers of the history (record/history.h) as tables for people. No row has a speed without its accuracy.
#ifndef QM_REPORT_HISTORY_H
#define QM_REPORT_HISTORY_H

#include "base/status.h"
#include "report/show.h"

#include <stdbool.h>
#include <stdio.h>

struct qm_node;

// A tree of qm_history_list: a row for each result and scheme.
QM_MUST_USE enum qm_status qm_history_list_write(const struct qm_node *list, const struct qm_show_style *style,
                                                 FILE *file);

// A tree of qm_history_trend: a table for each series. `with_blocks`: a line of block characters above it that shows the
// rates from the lowest to the highest, with the range of divergences beside it; for terminals that take UTF-8.
QM_MUST_USE enum qm_status qm_history_trend_write(const struct qm_node *trend, const struct qm_show_style *style,
                                                  bool with_blocks, FILE *file);

#endif
