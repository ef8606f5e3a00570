#include "sys/conditions.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

double qm_conditions_others_percent(const struct qm_host_conditions *begin, const struct qm_host_conditions *end)
{
    if (!begin->has_times || !end->has_times || end->total_ticks <= begin->total_ticks)
        return NAN;
    double total = (double)(end->total_ticks - begin->total_ticks);
    double idle = (double)end->idle_ticks - (double)begin->idle_ticks;
    double steal = (double)end->steal_ticks - (double)begin->steal_ticks;
    double own = (double)end->own_ticks - (double)begin->own_ticks;
    double others = total - idle - steal - own;
    // Ticks of processes are rounded in another way than those of processors.
    return others > 0 ? others / total * 100 : 0;
}

double qm_conditions_steal_percent(const struct qm_host_conditions *begin, const struct qm_host_conditions *end)
{
    if (!begin->has_times || !end->has_times || end->total_ticks <= begin->total_ticks)
        return NAN;
    if (end->steal_ticks <= begin->steal_ticks)
        return 0;
    return (double)(end->steal_ticks - begin->steal_ticks) / (double)(end->total_ticks - begin->total_ticks) * 100;
}

double qm_conditions_gpu_percent(const struct qm_host_conditions *begin, const struct qm_host_conditions *end,
                                 const char *pci_address)
{
    double sum_ns = 0;
    bool is_known = false;
    if (end->time_ns <= begin->time_ns)
        return NAN;
    for (size_t i = 0; i < end->gpu_user_count; ++i) {
        const struct qm_gpu_user *user = &end->gpu_users[i];
        uint64_t before = 0;
        if (!user->has_time || (*pci_address && strcmp(pci_address, user->device) != 0))
            continue;
        // One that is not in the first list came since, or was left off there: of the latter nothing is claimed.
        bool was_there = begin->gpu_user_count < QM_GPU_USERS_MAX;
        for (size_t j = 0; j < begin->gpu_user_count; ++j) {
            const struct qm_gpu_user *other = &begin->gpu_users[j];
            if (other->process == user->process && strcmp(other->device, user->device) == 0) {
                before = other->engine_ns;
                was_there = true;
            }
        }
        if (!was_there)
            continue;
        is_known = true;
        sum_ns += user->engine_ns > before ? (double)(user->engine_ns - before) : 0;
    }
    return is_known ? sum_ns / (double)(end->time_ns - begin->time_ns) * 100 : (double)NAN;
}

static void warn(struct qm_condition_warnings *out, const char *code, const char *format, ...) QM_PRINTF(3, 4);

static void warn(struct qm_condition_warnings *out, const char *code, const char *format, ...)
{
    va_list arguments;
    if (out->count == QM_CONDITION_WARNINGS_MAX)
        return;
    struct qm_condition_warning *warning = &out->list[out->count++];
    warning->code = code;
    va_start(arguments, format);
    vsnprintf(warning->text, sizeof(warning->text), format, arguments);
    va_end(arguments);
}

static void warn_of_sharing(const struct qm_host_conditions *begin, const struct qm_host_conditions *end,
                            struct qm_condition_warnings *out)
{
    double others = qm_conditions_others_percent(begin, end);
    double steal = qm_conditions_steal_percent(begin, end);
    double gpu = qm_conditions_gpu_percent(begin, end, "");
    if (others >= QM_CONDITION_OTHERS)
        warn(out, "processor-shared",
             "other processes took %.0f %% of the processor during the run; stop them, or rates of a device on the "
             "processor are too low",
             others);
    if (isnan(others) && begin->processors > 0 && begin->load_1min >= QM_CONDITION_LOAD * begin->processors)
        warn(out, "load",
             "the load was %.1f on %u processors when the run began; stop what else runs, or rates of a device on the "
             "processor are too low",
             begin->load_1min, begin->processors);
    if (steal >= QM_CONDITION_STEAL)
        warn(out, "steal",
             "the hypervisor took %.0f %% of the processor away during the run; use a machine or an instance with "
             "processors of its own",
             steal);
    if (gpu >= QM_CONDITION_GPU)
        warn(out, "gpu-shared",
             "other processes kept engines of a GPU busy for %.0f %% of the run; stop them, such as browsers and "
             "animated desktops, or its rates are too low",
             gpu);
}

static void warn_of_memory(const struct qm_host_conditions *begin, const struct qm_host_conditions *end,
                           struct qm_condition_warnings *out)
{
    uint64_t total = end->memory_total_bytes, available = end->memory_available_bytes;
    if (begin->memory_available_bytes < available)
        available = begin->memory_available_bytes;
    if (total != UINT64_MAX && total > 0 && available != UINT64_MAX &&
        (double)available / (double)total * 100 < QM_CONDITION_MEMORY)
        warn(out, "memory-low",
             "%.0f %% of the host's memory was available; close programs, or the system may move memory to disk while "
             "a device is timed",
             (double)available / (double)total * 100);
    if (begin->swap_used_bytes != UINT64_MAX && end->swap_used_bytes != UINT64_MAX &&
        end->swap_used_bytes > begin->swap_used_bytes &&
        end->swap_used_bytes - begin->swap_used_bytes >= QM_CONDITION_SWAP_BYTES)
        warn(out, "swap", "the system moved %.0f MiB to disk during the run; close programs or run a smaller profile",
             (double)(end->swap_used_bytes - begin->swap_used_bytes) / 1048576.0);
    if (begin->memory_pressure_us != UINT64_MAX && end->memory_pressure_us != UINT64_MAX &&
        end->memory_pressure_us > begin->memory_pressure_us && end->time_ns > begin->time_ns) {
        double percent = (double)(end->memory_pressure_us - begin->memory_pressure_us) * 1e3 /
                         (double)(end->time_ns - begin->time_ns) * 100;
        if (percent >= QM_CONDITION_PRESSURE)
            warn(out, "memory-pressure",
                 "tasks waited for memory for %.0f %% of the run; close programs or run a smaller profile", percent);
    }
}

// In their active modes these drivers call "powersave" what follows the load as others do.
static bool heeds_governor(const char *driver)
{
    return strcmp(driver, "intel_pstate") != 0 && strcmp(driver, "amd-pstate-epp") != 0 &&
           strcmp(driver, "amd_pstate_epp") != 0;
}

static void warn_of_clocks(const struct qm_host_conditions *begin, const struct qm_host_conditions *end,
                           struct qm_condition_warnings *out)
{
    if (begin->battery == QM_ANSWER_YES || end->battery == QM_ANSWER_YES)
        warn(out, "battery", "the machine ran on battery, which lowers clocks; connect its power supply");
    bool is_slow = strstr(begin->governors, "conservative") != NULL ||
                   (strstr(begin->governors, "powersave") != NULL && heeds_governor(begin->scaling_driver));
    if (is_slow)
        warn(out, "governor",
             "the processor's governor is %s, which keeps its clock low; 'cpupower frequency-set -g performance' sets "
             "another",
             begin->governors);
    if (begin->turbo == QM_ANSWER_NO)
        warn(out, "turbo-off",
             "the processor may not exceed its nominal clock; switch turbo or boost on, or compare only with runs "
             "that lack it too");
    if (begin->processor_temperature_c >= QM_CONDITION_HOT_C)
        warn(out, "hot", "the processor had %.0f C when the run began; let it cool, and look at its fan",
             begin->processor_temperature_c);
    if (begin->virtual_machine == QM_ANSWER_YES)
        warn(out, "virtual-machine",
             "this is a virtual machine (%s): clocks and neighbours of the host cannot be seen; run on the hardware "
             "where rates of its processor matter",
             begin->hypervisor);
}

void qm_conditions_warn(const struct qm_host_conditions *begin, const struct qm_host_conditions *end,
                        struct qm_condition_warnings *out)
{
    out->count = 0;
    warn_of_sharing(begin, end, out);
    warn_of_memory(begin, end, out);
    warn_of_clocks(begin, end, out);
}
