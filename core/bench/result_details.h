// What stands behind a scheme's accuracy in a result: details of its distribution (score/details.h), the spread between
// evaluation sets, and whether exact match is not inferior to the reference's at the preset thresholds.
#ifndef QM_BENCH_RESULT_DETAILS_H
#define QM_BENCH_RESULT_DETAILS_H

#include "bench/evaluation.h"
#include "record/node.h"

// Adds `details` and, where there is more than one evaluation set, `sets` to an `accuracy`. Numbers have 10 significant
// digits: enough to compare with what is recomputed to 1e-9, and half as long.
void qm_result_add_details(struct qm_node *accuracy, const struct qm_evaluation *evaluation,
                           const struct qm_details *details);

// Adds `non_inferiority` to an `exact_match`: one row for each of qm_non_inferiority_presets.
void qm_result_add_non_inferiority(struct qm_node *exact_match, const struct qm_summary *summary);

#endif
