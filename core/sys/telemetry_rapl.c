// RAPL: the energy of processor packages, for devices that run on the processor. Intel and AMD.
//
// Layout: Documentation/ABI/testing/sysfs-class-powercap and Documentation/power/powercap/powercap.rst:
// /sys/class/powercap/intel-rapl:<n> is a zone of its own, intel-rapl:<n>:<m> a part of it; name is "package-<n>" (with
// "-die-<m>" where packages have several), "psys" is the platform and would count packages twice; energy_uj in
// microjoules begins again behind max_energy_range_uj. AMD's counters have the same names. Since CVE-2020-8694 only root
// may read energy_uj.
#include "sys/telemetry_internal.h"

#include <string.h>

void qm_telemetry_open_rapl(struct qm_telemetry *telemetry)
{
    char folder[QM_PATH_BYTES], zone[QM_PATH_BYTES], path[QM_PATH_BYTES], name[64];
    struct qm_name_list list = {0};
    size_t packages = 0;
    qm_telemetry_fail(telemetry, QM_TELEMETRY_ENERGY, "no RAPL package in /sys/class/powercap");
    qm_telemetry_fail(telemetry, QM_TELEMETRY_POWER, "no RAPL package in /sys/class/powercap");
    if (!qm_tree_path(folder, qm_telemetry_params_of(telemetry)->root, "/sys/class/powercap"))
        return;
    qm_tree_list(folder, &list);
    for (size_t i = 0; i < list.count; ++i) {
        static const char prefix[] = "intel-rapl:";
        uint64_t range = 0, value;
        if (strncmp(list.names[i], prefix, sizeof(prefix) - 1) != 0 || strchr(list.names[i] + sizeof(prefix) - 1, ':'))
            continue;
        if (!qm_tree_path(zone, folder, "/%s", list.names[i]) || !qm_tree_path(path, zone, "/name") ||
            qm_tree_line(path, name, sizeof(name)) != 0 || strncmp(name, "package", 7) != 0)
            continue;
        if (qm_tree_path(path, zone, "/max_energy_range_uj") && qm_tree_unsigned(path, &range) != 0)
            range = 0;
        if (!qm_tree_path(path, zone, "/energy_uj"))
            continue;
        int result = qm_tree_unsigned(path, &value);
        if (result != 0) { // of one package: then the sum would be a part, and finds itself without this too
            qm_telemetry_fail_file(telemetry, QM_TELEMETRY_ENERGY, path, result);
            qm_telemetry_fail_file(telemetry, QM_TELEMETRY_POWER, path, result);
            packages = 0;
            break;
        }
        const struct qm_input input = {
            .quantity = QM_TELEMETRY_ENERGY, .kind = QM_INPUT_COUNTER, .path = path, .scale = 1e-6, .range = range};
        qm_telemetry_input(telemetry, &input);
        ++packages;
    }
    qm_name_list_free(&list);
    if (packages > 0)
        qm_telemetry_take(telemetry, QM_TELEMETRY_ENERGY, QM_COMBINE_MAXIMUM, "RAPL energy_uj of %zu package%s",
                          packages, packages > 1 ? "s" : "");
}
