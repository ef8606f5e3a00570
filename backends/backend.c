#include "backends/backend.h"

const struct qm_backend *const qm_backends[] = {&qm_backend_reference, &qm_backend_opencl, &qm_backend_vulkan, NULL};
