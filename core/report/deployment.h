// A deployment's requests as the schemes of a result served them, each rate beside what it cost.
#ifndef QM_REPORT_DEPLOYMENT_H
#define QM_REPORT_DEPLOYMENT_H

#include "report/show.h"

// A table with one row a scheme, and what was served above it. Nothing where no scheme served any.
QM_MUST_USE enum qm_status qm_show_deployment(const struct qm_node *result, const struct qm_show_style *style,
                                              FILE *file);

#endif
