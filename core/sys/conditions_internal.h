// For core/sys/conditions*.c.
#ifndef QM_SYS_CONDITIONS_INTERNAL_H
#define QM_SYS_CONDITIONS_INTERNAL_H

#include "sys/conditions.h"

// Own time and other users of GPUs: looks at every process below ROOT/proc. `out` has no users yet.
QM_MUST_USE enum qm_status qm_conditions_processes(const char *root, struct qm_host_conditions *out);

#endif
