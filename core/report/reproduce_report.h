// What a reproduction found, for people and for machines. No speed is in either without the accuracy of the same scheme, or
// the words `not measured`.
#ifndef QM_REPORT_REPRODUCE_REPORT_H
#define QM_REPORT_REPRODUCE_REPORT_H

#include "record/node.h"
#include "report/show.h"
#include "score/reproduce.h"

#include <stdio.h>

QM_MUST_USE enum qm_status qm_reproduce_write_table(const struct qm_reproduction *reproduction,
                                                    const struct qm_show_style *style, FILE *file);

// As a tree for JSON; the caller destroys it. NULL without memory.
struct qm_node *qm_reproduce_tree(const struct qm_reproduction *reproduction);

#endif
