// Listing devices without trusting drivers: each API is enumerated by a worker of its own, so that a driver that crashes
// when it is looked at costs its own rows only.
#ifndef QM_BENCH_DEVICES_H
#define QM_BENCH_DEVICES_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

enum {
    QM_DEVICE_LIST_MAX = 64
};

struct qm_device_entry {
    char id[24]; // "vulkan:0"
    char api[16];
    char name[128];
    char driver[64]; // short name
    char driver_version[160];
    char type[16]; // "cpu", "discrete", ...
    // By the driver's word; 0: it says nothing.
    uint64_t memory_bytes, max_binding_bytes, max_allocation_bytes;
    unsigned ordinal; // 2, 3 ... for further devices of the same name and API, else 0
};

struct qm_device_list {
    struct qm_device_entry entries[QM_DEVICE_LIST_MAX];
    size_t count, found; // kept, and before names were looked at
    char known[512];     // ids of those that were found, with commas between
    struct {
        char api[16];
        char reason[512]; // why an API has no device; "" where it has
    } apis[4];
    size_t api_count;
};

// Lists the devices of Vulkan and OpenCL, as they are with `environment` ("NAME=value", ends with NULL; may be NULL) set, and
// keeps those that `names` (ids, APIs or drivers, with commas between; NULL: all) names. The reference backend is no driver
// and in no list, but can be named; where nothing else is, no driver is asked.
QM_MUST_USE enum qm_status qm_device_list_make(const char *const *environment, const char *names,
                                               struct qm_device_list *out);

#endif
