// A lock that one process holds at a time, as a file with its process number. It goes when the process does, however
// that ends: the system holds the lock, and a file that is left behind locks nobody out.
#ifndef QM_SYS_LOCK_H
#define QM_SYS_LOCK_H

#include "base/status.h"

#include <stdint.h>

struct qm_lock;

// QM_UNAVAILABLE where another process holds it: `*holder` (may be NULL) is its process number, 0 if it has not
// said. QM_INVALID where the file cannot be made.
QM_MUST_USE enum qm_status qm_lock_take(const char *path, struct qm_lock **out, uint32_t *holder);

// Removes the file. NULL is fine.
void qm_lock_release(struct qm_lock **lock);

#endif
