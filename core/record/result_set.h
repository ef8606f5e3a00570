// Several results at once, from files and directories, grouped by the device that they are of.
#ifndef QM_RECORD_RESULT_SET_H
#define QM_RECORD_RESULT_SET_H

#include "record/history.h"
#include "record/node.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    QM_RESULT_SET_MAX = 20000
};

struct qm_result_entry {
    char *path; // owned
    struct qm_node *result;
    bool is_intact;
    size_t order;                         // in which it was named or found
    char device[QM_HISTORY_DEVICE_BYTES]; // qm_history_device
};

struct qm_result_set {
    struct qm_result_entry *entries; // sorted by when they were started, those of one time by path
    size_t count;
    size_t skipped; // files *.yaml of directories that are no results
};

// Loads and checks. A file that is named must be a result: QM_INVALID with the place. Of a directory every *.yaml that is
// one is taken, 4 levels deep. QM_INVALID too where nothing was found. Uses all cores.
QM_MUST_USE enum qm_status qm_result_set_load(const char *const *paths, size_t count, struct qm_result_set *out);
void qm_result_set_free(struct qm_result_set *set);

// The entries of one device: fills `indices` (room for set->count) with those whose device is that of entry `first`, in
// order; returns how many.
size_t qm_result_set_group(const struct qm_result_set *set, size_t first, size_t *indices);

#endif
