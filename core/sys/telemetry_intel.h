// What the readers of i915 and xe share: throttling of graphics tiles (GTs), told as a status and reasons in files.
#ifndef QM_SYS_TELEMETRY_INTEL_H
#define QM_SYS_TELEMETRY_INTEL_H

#include "sys/telemetry_internal.h"

// Takes throttling from DIRECTORY/STATUS and DIRECTORY/PREFIX<reason> of each directory that has the first. `status` and
// `prefix` stay valid; `source` is a text such as "xe freq0/throttle".
void qm_telemetry_intel_throttle(struct qm_telemetry *telemetry, char (*directories)[QM_PATH_BYTES], size_t count,
                                 const char *status, const char *prefix, const char *source);

enum {
    QM_INTEL_GTS_MAX = 8 // 2 tiles with a compute and a media GT each are the most that exist
};

#endif
