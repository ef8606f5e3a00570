// Listing devices without trusting drivers: each API is enumerated by a worker of its own, so that a driver that crashes
// when it is looked at costs its own rows only.
#ifndef QM_BENCH_DEVICES_H
#define QM_BENCH_DEVICES_H

#include "base/status.h"

#include <stddef.h>

enum {
    QM_DEVICE_LIST_MAX = 64
};

struct qm_device_entry {
    char id[24]; // "vulkan:0"
    char api[16];
    char name[128];
    char driver[64]; // short name
    char driver_version[160];
    char type[16];    // "cpu", "discrete", ...
    unsigned ordinal; // 2, 3 ... for further devices of the same name and API, else 0
};

struct qm_device_list {
    struct qm_device_entry entries[QM_DEVICE_LIST_MAX];
    size_t count;
    struct {
        char api[16];
        char reason[512]; // why an API has no device; "" where it has
    } apis[4];
    size_t api_count;
};

// Lists Vulkan's and OpenCL's devices, without the reference backend.
QM_MUST_USE enum qm_status qm_device_list_make(struct qm_device_list *out);

// Adds the reference backend, which no run takes unless it is named: a device of formulas, slow and never wrong.
void qm_device_list_add_reference(struct qm_device_list *out);

#endif
