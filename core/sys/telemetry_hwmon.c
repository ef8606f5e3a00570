// Sensors below a PCI device in the kernel's common form, of drivers without a reader of their own (nouveau, radeon).
//
// Layout: Documentation/hwmon/sysfs-interface.rst: power1_average and power1_input in microwatts, energy1_input in
// microjoules, temp1_input in millidegrees Celsius, freq1_input in hertz (Documentation/gpu/amdgpu/thermal.rst).
#include "sys/telemetry_internal.h"

#include <string.h>

bool qm_telemetry_hwmon(const char *directory, const char *name, char path[QM_PATH_BYTES])
{
    char folder[QM_PATH_BYTES], file[QM_PATH_BYTES], found[64];
    struct qm_name_list list = {0};
    bool is_found = false;
    if (!qm_tree_path(folder, directory, "/hwmon"))
        return false;
    qm_tree_list(folder, &list);
    for (size_t i = 0; i < list.count && !is_found; ++i) {
        if (!qm_tree_path(path, folder, "/%s", list.names[i]) || !qm_tree_path(file, path, "/name"))
            continue;
        // Without a name that is asked for, any.
        is_found = qm_tree_line(file, found, sizeof(found)) == 0 && (!*name || strcmp(found, name) == 0);
    }
    qm_name_list_free(&list);
    return is_found;
}

void qm_telemetry_open_hwmon(struct qm_telemetry *telemetry, const char *pci)
{
    static const enum qm_telemetry_quantity wanted[] = {QM_TELEMETRY_POWER, QM_TELEMETRY_ENERGY,
                                                        QM_TELEMETRY_TEMPERATURE, QM_TELEMETRY_CLOCK};
    char hwmon[QM_PATH_BYTES];
    for (int q = 0; q < QM_TELEMETRY_QUANTITIES; ++q) {
        if (!qm_telemetry_taken(telemetry, (enum qm_telemetry_quantity)q))
            qm_telemetry_fail(telemetry, (enum qm_telemetry_quantity)q, "this driver shows none");
    }
    if (!qm_telemetry_hwmon(pci, "", hwmon)) {
        for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); ++i) {
            if (!qm_telemetry_taken(telemetry, wanted[i]))
                qm_telemetry_fail(telemetry, wanted[i], "no hwmon below the PCI device");
        }
        return;
    }
    if (!qm_telemetry_gauge(telemetry, QM_TELEMETRY_POWER, hwmon, "power1_average", 1e-6, "hwmon power1_average"))
        qm_telemetry_gauge(telemetry, QM_TELEMETRY_POWER, hwmon, "power1_input", 1e-6, "hwmon power1_input");
    qm_telemetry_gauge(telemetry, QM_TELEMETRY_TEMPERATURE, hwmon, "temp1_input", 1e-3, "hwmon temp1_input");
    qm_telemetry_gauge(telemetry, QM_TELEMETRY_CLOCK, hwmon, "freq1_input", 1e-6, "hwmon freq1_input");
    qm_telemetry_energy(telemetry, hwmon, "energy1_input", "hwmon energy1_input");
}
