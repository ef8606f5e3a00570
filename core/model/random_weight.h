// Weights of a widened model repeat with the narrow model's period, and a device could profit from that: compress them,
// or switch fewer wires. So the product of its largest weight is timed beside the same product with codes that do not
// repeat: same format, shape and bytes, codes and scales drawn from the weight's own (qm_layout_pack_random).
#ifndef QM_MODEL_RANDOM_WEIGHT_H
#define QM_MODEL_RANDOM_WEIGHT_H

#include "model/engine.h"

enum {
    QM_RANDOM_WEIGHT_PAIRS = 12 // timed; the two take turns, and which comes first too
};

struct qm_random_weight_times {
    uint32_t rows, columns; // of the product
    uint64_t bytes;         // of the weight
    uint32_t products;      // in each time
    bool has_device_time;
    uint64_t tiled_ns[QM_RANDOM_WEIGHT_PAIRS], random_ns[QM_RANDOM_WEIGHT_PAIRS];
};

// `artifact` is the network's. Takes as many bytes on the device as the weight has, and gives them back.
QM_MUST_USE enum qm_status qm_network_time_random(struct qm_network *network, const struct qm_artifact *artifact,
                                                  uint64_t limit_ns, struct qm_random_weight_times *out);

#endif
