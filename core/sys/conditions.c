// Layout: Documentation/filesystems/proc.rst (/proc/stat, loadavg, meminfo, cpuinfo), Documentation/accounting/psi.rst
// (/proc/pressure), Documentation/ABI/testing/sysfs-class-power (power_supply: type, online, status, scope),
// Documentation/admin-guide/pm/cpufreq.rst and intel_pstate.rst (scaling_governor, scaling_driver, boost, no_turbo),
// Documentation/ABI/stable/sysfs-hypervisor-xen (/sys/hypervisor/type),
// drivers/firmware/dmi-id.c (/sys/class/dmi/id/product_name, sys_vendor).
#include "sys/conditions.h"
#include "sys/conditions_internal.h"
#include "sys/host.h"
#include "sys/telemetry_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool read_text(const char *root, const char *name, char *text, size_t capacity)
{
    char path[QM_PATH_BYTES];
    return qm_tree_path(path, root, "%s", name) && qm_tree_read(path, text, capacity) > 0;
}

static bool read_line(const char *root, const char *name, char *line, size_t capacity)
{
    char path[QM_PATH_BYTES];
    return qm_tree_path(path, root, "%s", name) && qm_tree_line(path, line, capacity) == 0;
}

static bool read_number(const char *root, const char *name, uint64_t *value)
{
    char path[QM_PATH_BYTES];
    return qm_tree_path(path, root, "%s", name) && qm_tree_unsigned(path, value) == 0;
}

// A decimal number at the begin of the text, not negative; NaN where there is none.
static double decimal(const char *text)
{
    char *end = NULL;
    if (*text < '0' || *text > '9')
        return NAN;
    double value = strtod(text, &end);
    return value >= 0 && value < 1e15 ? value : (double)NAN;
}

static void read_times(const char *root, struct qm_host_conditions *out)
{
    static const size_t capacity = 65536; // 512 processors have a line each of some 100 bytes
    struct qm_proc_stat stat;
    char *text = malloc(capacity);
    if (text && read_text(root, "/proc/stat", text, capacity) && qm_proc_stat(text, &stat)) {
        out->has_times = true;
        out->total_ticks = stat.total;
        out->idle_ticks = stat.idle;
        out->steal_ticks = stat.steal;
        for (const char *at = text; (at = strstr(at, "\ncpu")); at += 4)
            ++out->processors;
    }
    free(text);
}

static uint64_t kilobytes(const char *text, const char *key)
{
    char value[32];
    uint64_t number;
    if (!qm_text_value(text, key, value, sizeof(value)) || !qm_text_unsigned(value, &number) ||
        number > UINT64_MAX / 1024)
        return UINT64_MAX;
    return number * 1024;
}

static void read_memory(const char *root, struct qm_host_conditions *out)
{
    char text[8192];
    if (!read_text(root, "/proc/meminfo", text, sizeof(text)))
        return;
    out->memory_total_bytes = kilobytes(text, "MemTotal");
    out->memory_available_bytes = kilobytes(text, "MemAvailable");
    uint64_t total = kilobytes(text, "SwapTotal"), left = kilobytes(text, "SwapFree");
    if (total != UINT64_MAX && left <= total)
        out->swap_used_bytes = total - left;
}

// "some avg10=0.00 avg60=0.00 avg300=0.00 total=0"
static void read_pressure(const char *root, const char *name, double *percent, uint64_t *total_us)
{
    char text[512];
    if (!read_text(root, name, text, sizeof(text)) || strncmp(text, "some ", 5) != 0)
        return;
    text[strcspn(text, "\n")] = '\0';
    const char *average = strstr(text, " avg10="), *total = strstr(text, " total=");
    if (average)
        *percent = decimal(average + 7);
    if (total && total_us && !qm_text_unsigned(total + 7, total_us))
        *total_us = UINT64_MAX;
}

static void read_scaling(const char *root, struct qm_host_conditions *out)
{
    char folder[QM_PATH_BYTES], path[QM_PATH_BYTES], word[32];
    struct qm_name_list list = {0};
    uint64_t value;
    if (qm_tree_path(folder, root, "/sys/devices/system/cpu/cpufreq"))
        qm_tree_list(folder, &list);
    for (size_t i = 0; i < list.count; ++i) {
        size_t used = strlen(out->governors);
        if (strncmp(list.names[i], "policy", 6) != 0 ||
            !qm_tree_path(path, folder, "/%s/scaling_governor", list.names[i]))
            continue;
        if (qm_tree_line(path, word, sizeof(word)) == 0 && *word && !strstr(out->governors, word))
            snprintf(out->governors + used, sizeof(out->governors) - used, "%s%s", used > 0 ? ", " : "", word);
        if (!out->scaling_driver[0] && qm_tree_path(path, folder, "/%s/scaling_driver", list.names[i]))
            qm_tree_line(path, out->scaling_driver, sizeof(out->scaling_driver));
    }
    qm_name_list_free(&list);
    if (read_number(root, "/sys/devices/system/cpu/intel_pstate/no_turbo", &value))
        out->turbo = value != 0 ? QM_ANSWER_NO : QM_ANSWER_YES;
    else if (read_number(root, "/sys/devices/system/cpu/cpufreq/boost", &value))
        out->turbo = value != 0 ? QM_ANSWER_YES : QM_ANSWER_NO;
}

// On battery: one discharges, and no other supply is connected. A battery of a mouse (scope Device) is none.
static void read_supplies(const char *root, struct qm_host_conditions *out)
{
    char folder[QM_PATH_BYTES], path[QM_PATH_BYTES], type[32], word[32];
    struct qm_name_list list = {0};
    bool is_connected = false, discharges = false;
    if (!qm_tree_path(folder, root, "/sys/class/power_supply") || !qm_directory_exists(folder))
        return;
    qm_tree_list(folder, &list);
    for (size_t i = 0; i < list.count; ++i) {
        uint64_t online = 0;
        if (!qm_tree_path(path, folder, "/%s/type", list.names[i]) || qm_tree_line(path, type, sizeof(type)) != 0)
            continue;
        if (qm_tree_path(path, folder, "/%s/scope", list.names[i]) && qm_tree_line(path, word, sizeof(word)) == 0 &&
            strcmp(word, "Device") == 0)
            continue;
        if (strcmp(type, "Battery") == 0)
            discharges =
                discharges || (qm_tree_path(path, folder, "/%s/status", list.names[i]) &&
                               qm_tree_line(path, word, sizeof(word)) == 0 && strcmp(word, "Discharging") == 0);
        else
            is_connected = is_connected || (qm_tree_path(path, folder, "/%s/online", list.names[i]) &&
                                            qm_tree_unsigned(path, &online) == 0 && online != 0);
    }
    qm_name_list_free(&list);
    out->battery = discharges && !is_connected ? QM_ANSWER_YES : QM_ANSWER_NO;
}

static bool has_word(const char *text, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = text; (at = strstr(at, word)); at += length) {
        bool begins = at == text || at[-1] == ' ' || at[-1] == '\t';
        if (begins && (at[length] == ' ' || at[length] == '\0'))
            return true;
    }
    return false;
}

static void read_machine(const char *root, struct qm_host_conditions *out)
{
    static const char *const products[] = {"KVM",         "QEMU",  "VirtualBox", "VMware", "Virtual Machine",
                                           "Standard PC", "Bochs", "BHYVE"};
    static const char *const files[] = {"/sys/class/dmi/id/product_name", "/sys/class/dmi/id/sys_vendor"};
    char text[8192], flags[4096], line[64];
    if (read_line(root, "/sys/hypervisor/type", line, sizeof(line)) && *line) {
        out->virtual_machine = QM_ANSWER_YES;
        snprintf(out->hypervisor, sizeof(out->hypervisor), "%s", line);
        return;
    }
    bool knows_flags = read_text(root, "/proc/cpuinfo", text, sizeof(text)) &&
                       qm_text_value(text, "flags", flags, sizeof(flags)); // of the first processor; x86 has them
    if (knows_flags)
        out->virtual_machine = has_word(flags, "hypervisor") ? QM_ANSWER_YES : QM_ANSWER_NO;
    if (out->virtual_machine == QM_ANSWER_YES)
        snprintf(out->hypervisor, sizeof(out->hypervisor), "hypervisor flag of the processor");
    for (size_t f = 0; f < sizeof(files) / sizeof(files[0]); ++f) {
        if (!read_line(root, files[f], line, sizeof(line)))
            continue;
        if (out->virtual_machine == QM_ANSWER_UNKNOWN)
            out->virtual_machine = QM_ANSWER_NO;
        for (size_t p = 0; p < sizeof(products) / sizeof(products[0]); ++p) {
            if (!strstr(line, products[p]))
                continue;
            out->virtual_machine = QM_ANSWER_YES;
            snprintf(out->hypervisor, sizeof(out->hypervisor), "%s", line);
            return;
        }
    }
}

enum qm_status qm_conditions_read(const char *root, struct qm_host_conditions *out)
{
    char text[128], path[QM_PATH_BYTES];
    int64_t millidegrees;
    *out = (struct qm_host_conditions){.time_ns = qm_clock_ns(),
                                       .load_1min = NAN,
                                       .memory_total_bytes = UINT64_MAX,
                                       .memory_available_bytes = UINT64_MAX,
                                       .swap_used_bytes = UINT64_MAX,
                                       .processor_pressure_percent = NAN,
                                       .memory_pressure_percent = NAN,
                                       .memory_pressure_us = UINT64_MAX,
                                       .processor_temperature_c = NAN};
    if (read_text(root, "/proc/loadavg", text, sizeof(text)))
        out->load_1min = decimal(text);
    read_times(root, out);
    read_memory(root, out);
    read_pressure(root, "/proc/pressure/cpu", &out->processor_pressure_percent, NULL);
    read_pressure(root, "/proc/pressure/memory", &out->memory_pressure_percent, &out->memory_pressure_us);
    read_scaling(root, out);
    read_supplies(root, out);
    read_machine(root, out);
    qm_thermal_processor_path(root, path, text, sizeof(text));
    if (path[0] && qm_tree_signed(path, &millidegrees) == 0 && millidegrees > -100000 && millidegrees < 250000)
        out->processor_temperature_c = (double)millidegrees * 1e-3;
    return qm_conditions_processes(root, out);
}
