#include "cli/kernel_options.h"

#include <stdio.h>

enum qm_status qm_kernel_option_list(struct qm_kernel_plan *plan, const char *option, const char *key, const char *list)
{
    if (!list || qm_kernel_plan_set(plan, key, list) == QM_OK)
        return QM_OK;
    qm_error_prefix("--%s: ", option);
    return QM_INVALID;
}

enum qm_status qm_kernel_option_devices(const char *names, struct qm_device_list *list)
{
    QM_TRY(qm_device_list_make(NULL, names, list));
    for (size_t i = 0; i < list->api_count; ++i)
        if (list->apis[i].reason[0])
            fprintf(stderr, "%s: %s\n", list->apis[i].api, list->apis[i].reason);
    if (list->count == 0 && list->found == 0)
        return QM_FAIL(QM_UNAVAILABLE,
                       "no device was found through Vulkan or OpenCL; 'qmark devices --check' says why");
    if (list->count == 0)
        return QM_FAIL(QM_INVALID, "--device %s names no device of this machine; there are %s", names, list->known);
    return QM_OK;
}
