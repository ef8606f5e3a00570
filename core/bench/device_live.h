// What a device's run has come to while it goes on, for whoever shows its progress.
#ifndef QM_BENCH_DEVICE_LIVE_H
#define QM_BENCH_DEVICE_LIVE_H

#include <stdbool.h>

// Of the block that was timed last. A speed is never told without the accuracy of the same scheme on the same device.
struct qm_device_live {
    bool has_rate;     // false: nothing was timed so far
    bool has_accuracy; // false: not measured, or not yet
    double rate_tokens_per_s;
    double kl_mean; // nats per token
};

#endif
