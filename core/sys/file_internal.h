// What the files about files share.
#ifndef QM_SYS_FILE_INTERNAL_H
#define QM_SYS_FILE_INTERNAL_H

#include "base/status.h"

// Fails with "PATH: cannot DOING: the system's text; a way out where there is one". `error` is libuv's, below 0.
QM_MUST_USE enum qm_status qm_file_fail(enum qm_status status, const char *doing, const char *path, int error);

#endif
