#include "backends/backend.h"

static uint32_t from_cache;

void qm_kernels_count_cached(void)
{
    ++from_cache;
}

uint32_t qm_kernels_from_cache(void)
{
    return from_cache;
}

const struct qm_backend *const qm_backends[] = {&qm_backend_reference, &qm_backend_opencl, &qm_backend_vulkan, NULL};
