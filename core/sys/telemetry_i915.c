// i915, Intel's GPUs up to Alchemist and Meteor Lake.
//
// Layout: drivers/gpu/drm/i915/gt/intel_gt_sysfs_pm.c: card<n>/gt/gt<n>/rps_act_freq_mhz, throttle_reason_status and
// throttle_reason_{pl1,pl2,pl4,thermal,prochot,ratl,vr_thermalert,vr_tdc}; before that card<n>/gt_act_freq_mhz.
// Documentation/ABI/testing/sysfs-driver-intel-i915-hwmon: energy1_input in microjoules, of the whole device in the hwmon
// that is named "i915" (those named "i915_gt<n>" are parts of it).
#include "sys/telemetry_intel.h"

#include <stdlib.h>
#include <string.h>

// ADDRESS/drm/card<n>
static bool find_card(const char *pci, char path[QM_PATH_BYTES])
{
    char folder[QM_PATH_BYTES];
    struct qm_name_list list = {0};
    bool is_found = false;
    if (!qm_tree_path(folder, pci, "/drm"))
        return false;
    qm_tree_list(folder, &list);
    for (size_t i = 0; i < list.count && !is_found; ++i)
        is_found = strncmp(list.names[i], "card", 4) == 0 && qm_tree_path(path, folder, "/%s", list.names[i]);
    qm_name_list_free(&list);
    return is_found;
}

void qm_telemetry_open_i915(struct qm_telemetry *telemetry, const char *pci)
{
    char card[QM_PATH_BYTES], gt[QM_PATH_BYTES], hwmon[QM_PATH_BYTES];
    char(*directories)[QM_PATH_BYTES] = calloc(QM_INTEL_GTS_MAX, sizeof(*directories));
    size_t count = 0;
    for (int q = 0; q < QM_TELEMETRY_QUANTITIES; ++q)
        qm_telemetry_fail(telemetry, (enum qm_telemetry_quantity)q, "i915 shows none in /sys");
    if (directories && find_card(pci, card)) {
        for (int i = 0; i < QM_INTEL_GTS_MAX; ++i) {
            if (!qm_tree_path(gt, card, "/gt/gt%d", i) || !qm_directory_exists(gt))
                continue;
            memcpy(directories[count++], gt, sizeof(gt));
            if (i == 0) // the others may be media engines
                qm_telemetry_gauge(telemetry, QM_TELEMETRY_CLOCK, gt, "rps_act_freq_mhz", 1,
                                   "i915 gt0 rps_act_freq_mhz");
        }
        qm_telemetry_gauge(telemetry, QM_TELEMETRY_CLOCK, card, "gt_act_freq_mhz", 1, "i915 gt_act_freq_mhz");
        qm_telemetry_intel_throttle(telemetry, directories, count, "throttle_reason_status", "throttle_reason_",
                                    "i915 gt throttle_reason_*");
    } else {
        qm_telemetry_fail(telemetry, QM_TELEMETRY_CLOCK, "no drm/card below the PCI device");
        qm_telemetry_fail(telemetry, QM_TELEMETRY_THROTTLE, "no drm/card below the PCI device");
    }
    free(directories);
    if (qm_telemetry_hwmon(pci, "i915", hwmon)) {
        qm_telemetry_energy(telemetry, hwmon, "energy1_input", "i915 hwmon energy1_input");
        qm_telemetry_gauge(telemetry, QM_TELEMETRY_TEMPERATURE, hwmon, "temp1_input", 1e-3, "i915 hwmon temp1_input");
    } else {
        qm_telemetry_fail(telemetry, QM_TELEMETRY_ENERGY, "no hwmon below the PCI device");
        qm_telemetry_fail(telemetry, QM_TELEMETRY_POWER, "no hwmon below the PCI device");
        qm_telemetry_fail(telemetry, QM_TELEMETRY_TEMPERATURE, "no hwmon below the PCI device");
    }
}
