// What a backend says of a device, as trees: for the wire between worker and parent and for results.
#ifndef QM_BENCH_DEVICE_NODE_H
#define QM_BENCH_DEVICE_NODE_H

#include "backends/backend.h"
#include "record/node.h"

// "cpu", "integrated", "discrete", "virtual", "other".
const char *qm_device_type_name(enum qm_device_type type);

// The `device` mapping of a result (docs/RESULT_FORMAT.md) without self_test, capabilities and timer, which the
// self-test adds. The caller destroys it; NULL without memory.
QM_MUST_USE struct qm_node *qm_device_node(const struct qm_device_info *info);

#endif
