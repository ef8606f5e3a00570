// What this machine offers to compute APIs, looked at from outside: loaders, drivers' manifests, permissions. Nothing of
// a driver is called; its library is only opened, as the loader would.
#ifndef QM_SYS_INSPECT_H
#define QM_SYS_INSPECT_H

#include <stddef.h>

enum qm_finding_level {
    QM_FINDING_FINE,
    QM_FINDING_NOTE,    // may be meant so, such as a platform that is switched off
    QM_FINDING_PROBLEM, // something installed that cannot work, or nothing installed
};

struct qm_finding {
    enum qm_finding_level level;
    char what[320];
    char repair[320]; // "" where there is nothing to repair
};

#define QM_FINDINGS_MAX 64

struct qm_inspection {
    struct qm_finding findings[QM_FINDINGS_MAX];
    size_t count;
};

// Looks at Vulkan's and OpenCL's loaders and drivers and at the device nodes of GPUs. Never fails: what cannot be looked
// at is a finding. The environment counts as it does for the loaders: VK_DRIVER_FILES, VK_ICD_FILENAMES,
// VK_ADD_DRIVER_FILES, OCL_ICD_VENDORS, OCL_ICD_FILENAMES, RUSTICL_ENABLE.
void qm_inspect(struct qm_inspection *out);

#endif
