#include "cli/chosen_devices.h"

#include <stdio.h>

enum qm_status qm_chosen_devices(const char *names, struct qm_device_list *list)
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
