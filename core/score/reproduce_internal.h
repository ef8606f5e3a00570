// Shared by reproduce.c (rules and conclusion), reproduce_accuracy.c and reproduce_speed.c.
#ifndef QM_SCORE_REPRODUCE_INTERNAL_H
#define QM_SCORE_REPRODUCE_INTERNAL_H

#include "record/node.h"
#include "score/reproduce.h"

struct qm_reproduce_state {
    const struct qm_node *record;
    const struct qm_node *const *runs;
    size_t run_count;
    const struct qm_reproduce_params *params;
    struct qm_reproduction *out;
    // Of speed: what qm_repeated_judge needs, beside the row of the same index; owned.
    struct qm_repeated_claim *measured;
    size_t *measured_rows;
    size_t measured_count, measured_capacity;
};

// A row with everything but what is given 0; NULL without memory.
struct qm_reproduced_claim *qm_reproduce_add(struct qm_reproduce_state *state, const char *scheme,
                                             enum qm_reproduced_kind kind, enum qm_repeated_verdict verdict,
                                             const char *what);
void qm_reproduce_reason(struct qm_reproduced_claim *row, const char *format, ...) QM_PRINTF(2, 3);

const struct qm_node *qm_reproduce_scheme(const struct qm_node *result, const char *name);
// Whether what was run here is not what the record is of, and the first difference in words: scheme, artifact, evaluation
// set, and with `with_kernels`, which are known once a scheme was loaded, the kernels.
bool qm_reproduce_differs(const struct qm_node *claimed, const struct qm_node *here, bool with_kernels, char *text,
                          size_t capacity);

// Claims of one scheme, which is ok on both sides. `index` is its place in the record.
QM_MUST_USE enum qm_status qm_reproduce_accuracy(struct qm_reproduce_state *state, const struct qm_node *claimed,
                                                 size_t index);
QM_MUST_USE enum qm_status qm_reproduce_kernels(struct qm_reproduce_state *state, const struct qm_node *claimed);
QM_MUST_USE enum qm_status qm_reproduce_memory(struct qm_reproduce_state *state, const struct qm_node *claimed);
// Collects claims of speed; qm_reproduce_judge_speed judges all of them together.
QM_MUST_USE enum qm_status qm_reproduce_speed(struct qm_reproduce_state *state, const struct qm_node *claimed);
QM_MUST_USE enum qm_status qm_reproduce_judge_speed(struct qm_reproduce_state *state);

#endif
