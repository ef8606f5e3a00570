// What stands behind the accuracy of a result's schemes: details, exact match against its thresholds, evaluation sets.
#ifndef QM_REPORT_ACCURACY_H
#define QM_REPORT_ACCURACY_H

#include "report/show.h"

// A table of every detail of every scheme that is ok. Nothing for a result of an older qmark, which has none.
QM_MUST_USE enum qm_status qm_show_details(const struct qm_node *result, const struct qm_show_style *style, FILE *file);

// A table of the answers to the user's examples, beside fp32's: one row a scheme. Nothing where there are none.
QM_MUST_USE enum qm_status qm_show_answers(const struct qm_node *result, const struct qm_show_style *style, FILE *file);
// "12.5 % [8, 19]" of a scheme's right answers; "" where it has none.
void qm_show_answers_share(const struct qm_node *scheme, const char *key, char text[QM_SHOW_INTERVAL_BYTES]);

// A line for each threshold of non-inferiority with what the schemes' verdicts are and how many examples would decide, and
// one on the spread between evaluation sets, where there are several.
void qm_show_accuracy_notes(const struct qm_node *result, FILE *file);

#endif
