// GPUs of systems on a chip whose clock the kernel scales: Mali (panfrost, panthor, kbase), Adreno with msm, PowerVR.
//
// Layout: Documentation/ABI/testing/sysfs-class-devfreq: /sys/class/devfreq/<device>/cur_freq, in hertz by the drivers of
// GPUs; the object has the name of its device, such as "ff9a0000.gpu" or "13000000.mali". Cooling devices:
// drivers/thermal/devfreq_cooling.c, type "devfreq-<device>", before Linux 5.13 "thermal-devfreq-<n>".
#include "sys/telemetry_internal.h"

#include <stdio.h>
#include <string.h>

static bool is_gpu(const char *name)
{
    return strstr(name, "gpu") != NULL || strstr(name, "mali") != NULL || strstr(name, "kgsl-3d0") != NULL;
}

void qm_telemetry_open_devfreq(struct qm_telemetry *telemetry)
{
    char path[QM_PATH_BYTES], device[QM_PATH_BYTES], source[128], cooling[96];
    struct qm_name_list list = {0};
    if (!qm_tree_path(path, qm_telemetry_params_of(telemetry)->root, "/sys/class/devfreq"))
        return;
    qm_tree_list(path, &list);
    for (size_t i = 0; i < list.count; ++i) {
        if (!is_gpu(list.names[i]) || !qm_tree_path(device, path, "/%s", list.names[i]))
            continue;
        snprintf(source, sizeof(source), "devfreq %.64s cur_freq", list.names[i]);
        if (!qm_telemetry_gauge(telemetry, QM_TELEMETRY_CLOCK, device, "cur_freq", 1e-6, source))
            continue;
        snprintf(cooling, sizeof(cooling), "devfreq-%.64s", list.names[i]);
        const char *const types[] = {cooling, NULL};
        qm_telemetry_cooling(telemetry, types);
        break;
    }
    qm_name_list_free(&list);
}
