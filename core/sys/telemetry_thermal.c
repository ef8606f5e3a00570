// Temperatures and throttling by the kernel's thermal framework, and the processor's own sensors.
//
// Layout: Documentation/ABI/testing/sysfs-class-thermal: thermal_zone<n>/type and temp in millidegrees,
// cooling_device<n>/type and cur_state, 0: no cooling. Types of processors: x86_pkg_temp
// (drivers/thermal/intel/x86_pkg_temp_thermal.c), on ARM names from the device tree such as "cpu-thermal". Others such as
// acpitz measure a place that the maker chose, and are not taken. hwmon: Documentation/hwmon/coretemp.rst
// ("Package id 0"), Documentation/hwmon/k10temp.rst ("Tctl"). Cooling devices: drivers/thermal/cpufreq_cooling.c, type
// "cpufreq-cpu<n>", before Linux 5.13 "thermal-cpufreq-<n>".
#include "sys/telemetry_internal.h"

#include <stdio.h>
#include <string.h>

// The first zone whose type begins with `type`, or holds it where `anywhere`.
static bool find_zone(const char *root, const char *type, bool anywhere, char path[QM_PATH_BYTES], char *source,
                      size_t capacity)
{
    char folder[QM_PATH_BYTES], file[QM_PATH_BYTES], found[64];
    struct qm_name_list list = {0};
    bool is_found = false;
    int64_t value;
    if (!qm_tree_path(folder, root, "/sys/class/thermal"))
        return false;
    qm_tree_list(folder, &list);
    for (size_t i = 0; i < list.count && !is_found; ++i) {
        if (strncmp(list.names[i], "thermal_zone", 12) != 0 || !qm_tree_path(file, folder, "/%s/type", list.names[i]) ||
            qm_tree_line(file, found, sizeof(found)) != 0)
            continue;
        bool is_type = anywhere ? strstr(found, type) != NULL : strncmp(found, type, strlen(type)) == 0;
        is_found =
            is_type && qm_tree_path(path, folder, "/%s/temp", list.names[i]) && qm_tree_signed(path, &value) == 0;
        if (is_found)
            snprintf(source, capacity, "%.40s (%.40s)", list.names[i], found);
    }
    qm_name_list_free(&list);
    return is_found;
}

// The first sensor of the processor's own: coretemp's first is the package, k10temp's first is Tctl.
static bool find_sensor(const char *root, char path[QM_PATH_BYTES], char *source, size_t capacity)
{
    char folder[QM_PATH_BYTES], file[QM_PATH_BYTES], found[64];
    struct qm_name_list list = {0};
    bool is_found = false;
    int64_t value;
    if (!qm_tree_path(folder, root, "/sys/class/hwmon"))
        return false;
    qm_tree_list(folder, &list);
    for (size_t i = 0; i < list.count && !is_found; ++i) {
        if (!qm_tree_path(file, folder, "/%s/name", list.names[i]) || qm_tree_line(file, found, sizeof(found)) != 0)
            continue;
        bool is_processor = strcmp(found, "coretemp") == 0 || strcmp(found, "k10temp") == 0;
        is_found = is_processor && qm_tree_path(path, folder, "/%s/temp1_input", list.names[i]) &&
                   qm_tree_signed(path, &value) == 0;
        if (is_found)
            snprintf(source, capacity, "hwmon %s temp1_input", found);
    }
    qm_name_list_free(&list);
    return is_found;
}

void qm_thermal_processor_path(const char *root, char path[QM_PATH_BYTES], char *source, size_t capacity)
{
    bool is_found =
        find_zone(root, "x86_pkg_temp", false, path, source, capacity) || find_sensor(root, path, source, capacity) ||
        find_zone(root, "cpu", false, path, source, capacity) || find_zone(root, "soc", false, path, source, capacity);
    if (!is_found)
        path[0] = source[0] = '\0';
}

bool qm_telemetry_cooling(struct qm_telemetry *telemetry, const char *const *prefixes)
{
    char folder[QM_PATH_BYTES], path[QM_PATH_BYTES], type[64];
    struct qm_name_list list = {0};
    size_t count = 0;
    if (qm_telemetry_taken(telemetry, QM_TELEMETRY_THROTTLE) ||
        !qm_tree_path(folder, qm_telemetry_params_of(telemetry)->root, "/sys/class/thermal"))
        return false;
    qm_tree_list(folder, &list);
    for (size_t i = 0; i < list.count; ++i) {
        uint64_t state;
        if (strncmp(list.names[i], "cooling_device", 14) != 0 ||
            !qm_tree_path(path, folder, "/%s/type", list.names[i]) || qm_tree_line(path, type, sizeof(type)) != 0)
            continue;
        bool is_wanted = false;
        for (size_t p = 0; prefixes[p]; ++p) // older kernels cut a type off after 19 characters
            is_wanted = is_wanted || strncmp(type, prefixes[p], strlen(prefixes[p])) == 0 ||
                        (strlen(type) == 19 && strncmp(type, prefixes[p], 19) == 0);
        if (!is_wanted || !qm_tree_path(path, folder, "/%s/cur_state", list.names[i]) ||
            qm_tree_unsigned(path, &state) != 0)
            continue;
        const struct qm_input input = {
            .quantity = QM_TELEMETRY_THROTTLE, .kind = QM_INPUT_FLAG, .path = path, .flags = QM_THROTTLE_THERMAL};
        qm_telemetry_input(telemetry, &input);
        ++count;
    }
    qm_name_list_free(&list);
    if (count > 0)
        qm_telemetry_take(telemetry, QM_TELEMETRY_THROTTLE, QM_COMBINE_MAXIMUM, "thermal cooling_device cur_state (%s)",
                          prefixes[0]);
    return count > 0;
}

void qm_telemetry_open_thermal(struct qm_telemetry *telemetry, bool is_cpu)
{
    char path[QM_PATH_BYTES] = "", source[96] = "";
    const char *root = qm_telemetry_params_of(telemetry)->root;
    if (is_cpu)
        qm_thermal_processor_path(root, path, source, sizeof(source));
    else if (!find_zone(root, "gpu", true, path, source, sizeof(source)))
        path[0] = '\0';
    if (qm_telemetry_taken(telemetry, QM_TELEMETRY_TEMPERATURE))
        return;
    if (!path[0]) {
        qm_telemetry_fail(telemetry, QM_TELEMETRY_TEMPERATURE, "no thermal zone or hwmon of the %s",
                          is_cpu ? "processor" : "GPU");
        return;
    }
    qm_telemetry_take(telemetry, QM_TELEMETRY_TEMPERATURE, QM_COMBINE_MAXIMUM, "%s", source);
    const struct qm_input input = {
        .quantity = QM_TELEMETRY_TEMPERATURE, .kind = QM_INPUT_VALUE, .path = path, .scale = 1e-3};
    qm_telemetry_input(telemetry, &input);
}
