// What of a kernel can be set, and which settings are possible at all. A kernel's knobs are the numbers among its variant's
// definitions that the table of tune_space.c has values for; so a new tile is tuned without a line here as long as its
// definitions have known names.
#ifndef QM_BENCH_TUNE_SPACE_H
#define QM_BENCH_TUNE_SPACE_H

#include "backends/backend.h"
#include "kernel/configure.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    QM_TUNE_KNOBS_MAX = 8,
    QM_TUNE_VALUES_MAX = 8
};

struct qm_tune_knob {
    const char *name; // "QM_ROWS"
    uint32_t values[QM_TUNE_VALUES_MAX];
    size_t count;
};

struct qm_tune_space {
    const struct qm_kernel_variant *right;
    struct qm_tune_knob knobs[QM_TUNE_KNOBS_MAX];
    size_t knob_count;
};

// A value of every knob, in the space's order.
struct qm_tune_point {
    uint32_t values[QM_TUNE_KNOBS_MAX];
};

void qm_tune_space_of(const struct qm_kernel_variant *right, struct qm_tune_space *out);
// The point of the fixed configuration.
void qm_tune_fixed(const struct qm_tune_space *space, struct qm_tune_point *out);

// The settings that make the point of `right`: only those that differ; "" for the fixed one. Where a workgroup follows from
// the tile (local-memory products) it is among them.
void qm_tune_settings(const struct qm_tune_space *space, const struct qm_tune_point *point,
                      char settings[QM_SETTINGS_BYTES]);

// Static checks: what the device's limits, the panels of weights or registers forbid. False with the reason.
bool qm_tune_possible(const struct qm_tune_space *space, const struct qm_tune_point *point,
                      const struct qm_device_info *info, char reason[160]);

#endif
