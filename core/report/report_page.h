// The report: results as one page of HTML that opens from a disk and asks nothing of the network.
#ifndef QM_REPORT_REPORT_PAGE_H
#define QM_REPORT_REPORT_PAGE_H

#include "base/status.h"
#include "record/result_set.h"
#include "report/facts.h"

// Begins every report, so that the verb knows a file of its own.
extern const char qm_report_page_mark[];

// Appends the whole page. Texts of the results are tidied (qm_claim_tidy), which is why the set is not const. A policy in
// the page's head lets nothing run and nothing style but what is in the page and ours, by its hash.
QM_MUST_USE enum qm_status qm_report_page_write(struct qm_result_set *set, struct qm_text *out);

#endif
