// The part of a shown result that is about ceilings: what the device gives at best, and how near its kernels come.
#ifndef QM_REPORT_SHOW_ROOFLINE_H
#define QM_REPORT_SHOW_ROOFLINE_H

#include "report/facts.h"
#include "report/show.h"

// Below this share of their ceilings the baseline's products make gains over it look larger than they are.
#define QM_SHOW_WEAK_SHARE 0.5

// Every ceiling, bandwidth over sizes, and every timed kernel under them.
QM_MUST_USE enum qm_status qm_show_roofline(const struct qm_node *result, const struct qm_show_style *style,
                                            FILE *file);

// The ceilings in a line, and in another the share of them that each scheme's products reach in prefill and decode: the least
// time that the ceilings allow for all timed shapes over the time that they took. Nothing where there are no ceilings.
void qm_show_ceilings(const struct qm_node *result, FILE *file);

// A line for each phase in which the baseline's products are below QM_SHOW_WEAK_SHARE.
void qm_weak_baseline_caution(struct qm_text *out, const struct qm_node *result);

#endif
