// What of a result tells of the answers to a user's examples: from raw arrays alone, for a run and for `qmark verify`.
#ifndef QM_BENCH_RESULT_ANSWERS_H
#define QM_BENCH_RESULT_ANSWERS_H

#include "bench/raw.h"
#include "record/node.h"

// Adds `answers` to a scheme's row that has a mapping `accuracy`; nothing where it answered nothing.
void qm_result_add_answers(struct qm_node *row, const struct qm_raw *raw, size_t scheme);

#endif
