// The sets of a preparation: built in, or from a user's files.
#ifndef QM_BENCH_PREPARE_SETS_H
#define QM_BENCH_PREPARE_SETS_H

#include "bench/prepare.h"

// Reads both sets into the preparation, whose profile and model are there, and says in the profile what they are. QM_INVALID
// with what to give instead: a file that is none, a set that is not the one of the record, overlapping sets, built-in
// tasks for a model that does not have their tokens.
QM_MUST_USE enum qm_status qm_preparation_read_sets(struct qm_preparation *preparation,
                                                    const struct qm_preparation_params *params);
void qm_preparation_free_sets(struct qm_preparation *preparation);

#endif
