// Results as rows for programs and documents (report/export.h): one for each point of throughput, one for each sustained run,
// and one for each scheme that has neither, with its reason. Accuracy stands in each row before its speed.
#ifndef QM_REPORT_SHOW_EXPORT_H
#define QM_REPORT_SHOW_EXPORT_H

#include "record/result_set.h"
#include "report/export.h"

// Begins an export of the form with the columns of results, or of Markdown with its own.
void qm_show_export_begin(struct qm_export *export, enum qm_form form, FILE *file);

QM_MUST_USE enum qm_status qm_show_export(const struct qm_export *export, const struct qm_result_entry *entry);

// Below the rows of Markdown: of each result the sentence that may be quoted, and what to beware of.
void qm_show_export_sentences(const struct qm_result_entry *entry, FILE *file);

// The names of the columns, NULL beyond the last; for tests and documents.
const char *qm_show_export_column(size_t index);

#endif
