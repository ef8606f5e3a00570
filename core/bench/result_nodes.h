// Numbers of a result as nodes: where there is no number, a word stands.
#ifndef QM_BENCH_RESULT_NODES_H
#define QM_BENCH_RESULT_NODES_H

#include "record/node.h"
#include "score/ratio.h"

#include <stdbool.h>

void qm_result_set_number(struct qm_node *node, const char *key, bool has_number, double value, const char *word);

// value, low and high of an estimate, as numbers or words; the first under `value_key`.
void qm_result_set_estimate(struct qm_node *node, const char *value_key, const struct qm_estimate *estimate);

// The same in a mapping of its own, under `value`.
struct qm_node *qm_result_add_estimate(struct qm_node *node, const char *key, const struct qm_estimate *estimate);

// The value alone.
void qm_result_set_value(struct qm_node *node, const char *key, const struct qm_estimate *estimate);

// The value alone, from nanoseconds.
void qm_result_set_milliseconds(struct qm_node *node, const char *key, const struct qm_estimate *estimate);

#endif
