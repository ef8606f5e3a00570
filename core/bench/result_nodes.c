#include "bench/result_nodes.h"

void qm_result_set_number(struct qm_node *node, const char *key, bool has_number, double value, const char *word)
{
    if (has_number)
        qm_node_set_double(node, key, value);
    else
        qm_node_set_text(node, key, word);
}

void qm_result_set_estimate(struct qm_node *node, const char *value_key, const struct qm_estimate *estimate)
{
    bool has_value = estimate->state == QM_ESTIMATE_POINT || estimate->state == QM_ESTIMATE_INTERVAL;
    bool has_interval = estimate->state == QM_ESTIMATE_INTERVAL;
    const char *word = estimate->state == QM_ESTIMATE_OUT_OF_RANGE ? "out of range" : "not measured";
    qm_result_set_number(node, value_key, has_value, estimate->value, word);
    qm_result_set_number(node, "low", has_interval, estimate->low, has_value ? "no interval" : word);
    qm_result_set_number(node, "high", has_interval, estimate->high, has_value ? "no interval" : word);
}

struct qm_node *qm_result_add_estimate(struct qm_node *node, const char *key, const struct qm_estimate *estimate)
{
    struct qm_node *child = qm_node_add_mapping(node, key);
    qm_result_set_estimate(child, "value", estimate);
    return child;
}

void qm_result_set_value(struct qm_node *node, const char *key, const struct qm_estimate *estimate)
{
    qm_result_set_number(node, key, estimate->state == QM_ESTIMATE_POINT || estimate->state == QM_ESTIMATE_INTERVAL,
                         estimate->value,
                         estimate->state == QM_ESTIMATE_OUT_OF_RANGE ? "out of range" : "not measured");
}

void qm_result_set_milliseconds(struct qm_node *node, const char *key, const struct qm_estimate *estimate)
{
    qm_result_set_number(node, key, estimate->state == QM_ESTIMATE_POINT || estimate->state == QM_ESTIMATE_INTERVAL,
                         estimate->value * 1e-6, "not measured");
}
