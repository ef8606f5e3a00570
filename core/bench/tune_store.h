// Tuned configurations on disk: one JSON file for all devices of a machine, `tuned.json` in the cache directory.
//
// An entry is of one kernel variant on one device and driver, and holds only for the kernel whose hash it names: another
// text or fixed configuration of the kernel, or another driver, make it stale. Stale entries stay until they are tuned again.
#ifndef QM_BENCH_TUNE_STORE_H
#define QM_BENCH_TUNE_STORE_H

#include "backends/backend.h"
#include "base/hash.h"
#include "base/status.h"
#include "kernel/configure.h"

#include <stdbool.h>
#include <stddef.h>

#define QM_TUNED_FILE "tuned.json"
enum {
    QM_TUNED_ENTRIES_MAX = 8192
};

struct qm_tuned_entry {
    char variant[64]; // "matmul-w8-a8-vector": the table's
    char kernel_hash[QM_HASH_TEXT_BYTES];
    char api[16], device[128], driver[160];
    char settings[QM_SETTINGS_BYTES]; // "": the fixed configuration is the fastest
    char shapes[200];                 // that it was measured at
    char reason[200];                 // why there is none: the kernel failed; else ""
    char date[32];                    // UTC
    double ratio, low, high;          // fixed time over tuned time
    unsigned tried;
    bool is_complete; // the search was not cut short
};

struct qm_tuned {
    struct qm_tuned_entry *entries;
    size_t count;
};

// A file that is not there is an empty list. QM_INVALID with the file and what is wrong in it: the caller says so and goes
// on with an empty list, which the next save makes whole again.
QM_MUST_USE enum qm_status qm_tuned_load(const char *path, struct qm_tuned *out);
QM_MUST_USE enum qm_status qm_tuned_parse(const char *text, size_t bytes, const char *file, struct qm_tuned *out);
void qm_tuned_free(struct qm_tuned *tuned);

// Where an entry for that device stands.
enum qm_tuned_match {
    QM_TUNED_NONE,
    QM_TUNED_OTHER_DRIVER, // of this kernel and device, but of another driver
    QM_TUNED_OTHER_KERNEL, // of this device and driver, but the kernel has changed since
    QM_TUNED_CURRENT
};
enum qm_tuned_match qm_tuned_find(const struct qm_tuned *tuned, const struct qm_kernel_variant *right,
                                  const struct qm_device_info *info, const struct qm_tuned_entry **out);

// What the device's current entries change, as qm_kernel_tuned_set takes it, "" for nothing; the caller frees *text.
// `*ignored` counts the kernels that have an entry of this device, but of another driver or of a kernel that has changed.
QM_MUST_USE enum qm_status qm_tuned_text(const struct qm_tuned *tuned, const struct qm_device_info *info, char **text,
                                         size_t *ignored);

// In place of the entry of the same variant, api, device and driver, or behind the others.
QM_MUST_USE enum qm_status qm_tuned_put(struct qm_tuned *tuned, const struct qm_tuned_entry *entry);
// The file's text; free() it. NULL without memory.
QM_MUST_USE char *qm_tuned_write(const struct qm_tuned *tuned);
QM_MUST_USE enum qm_status qm_tuned_save(const struct qm_tuned *tuned, const char *path);

#endif
