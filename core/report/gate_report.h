// What a gate found, for people and for machines: a table, JSON, JUnit XML, annotations of GitHub's workflows. No speed is
// in any of them without the accuracy of the same row, or the words `not measured`.
#ifndef QM_REPORT_GATE_REPORT_H
#define QM_REPORT_GATE_REPORT_H

#include "record/node.h"
#include "report/show.h"
#include "score/gate_rows.h"

#include <stdio.h>

// Rows that passed are counted and not listed unless `lists_all`.
QM_MUST_USE enum qm_status qm_gate_write_table(const struct qm_gate_report *report, const struct qm_show_style *style,
                                               bool lists_all, FILE *file);

// As a tree for JSON; the caller destroys it. NULL without memory.
struct qm_node *qm_gate_tree(const struct qm_gate_report *report);

// JUnit XML as Jenkins, GitLab and others read it: one test suite, one case a row; REGRESSED and WRONG are failures,
// INCONCLUSIVE and NOT COMPARABLE errors, known failures skipped. To be freed; QM_OUT_OF_MEMORY.
QM_MUST_USE enum qm_status qm_gate_write_junit(const struct qm_gate_report *report, char **text);

// "::error title=...::..." lines, one for each row that counts and did not pass.
void qm_gate_write_annotations(const struct qm_gate_report *report, FILE *file);

#endif
