// Comparisons of results as text, JSON and rows.
#ifndef QM_REPORT_COMPARE_REPORT_H
#define QM_REPORT_COMPARE_REPORT_H

#include "base/status.h"
#include "record/compare.h"
#include "record/result_set.h"
#include "report/export.h"
#include "report/show.h"

#include <stdio.h>

// One pair at length: both files, verdicts, differences with their reasons, schemes, and ratios beside the accuracy of
// both. Without style->with_points the first point of each phase alone.
QM_MUST_USE enum qm_status qm_compare_show(const struct qm_result_entry *a, const struct qm_result_entry *b,
                                           const struct qm_comparison *comparison, const struct qm_show_style *style,
                                           FILE *file);

// Appends the pair to a sequence, with units in the keys. `with_subjects`: what is compared stands among the
// differences too.
void qm_compare_add_json(struct qm_node *pairs, const struct qm_result_entry *a, const struct qm_result_entry *b,
                         const struct qm_comparison *comparison, bool with_subjects);

// Rows of an export: one per ratio, and one per scheme that has none; accuracy stands beside speed. The columns are these;
// of Markdown the second ones.
enum {
    QM_COMPARE_COLUMNS = 25,
    QM_COMPARE_MARKDOWN_COLUMNS = 11,
};
extern const char *const qm_compare_columns[QM_COMPARE_COLUMNS];
extern const char *const qm_compare_markdown_columns[QM_COMPARE_MARKDOWN_COLUMNS];
QM_MUST_USE enum qm_status qm_compare_export(const struct qm_export *export, const struct qm_result_entry *a,
                                             const struct qm_result_entry *b, const struct qm_comparison *comparison);

// ---- One with many ------------------------------------------------------------------------------------------------

struct qm_table;

// A table of a row per comparison, all with the same A: verdict, the ratios of the first scheme that can be compared, and
// the first reason.
struct qm_table *qm_compare_many_begin(void);
void qm_compare_many_row(struct qm_table *table, const struct qm_result_entry *b,
                         const struct qm_comparison *comparison);

// Groups of results that are comparable with each other: how many, of which devices. `groups[i]` is entry i's.
void qm_compare_show_groups(const struct qm_result_set *set, const size_t *groups, size_t group_count, FILE *file);
void qm_compare_groups_json(struct qm_node *list, const struct qm_result_set *set, const size_t *groups,
                            size_t group_count);

#endif
