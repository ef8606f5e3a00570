// The conditions of the host around a run: who else took the processor and the GPU, what limits clocks, whether memory
// was short. They are read at the begin and at the end; what matters becomes a warning.
//
//     QM_GUARD(qm_conditions_read("", begin));
//     ... the run, and the end of the processes that it started ...
//     QM_GUARD(qm_conditions_read("", end));
//     qm_conditions_warn(begin, end, &warnings);
//
// docs/TELEMETRY.md has the sources and the thresholds.
#ifndef QM_SYS_CONDITIONS_H
#define QM_SYS_CONDITIONS_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum qm_answer {
    QM_ANSWER_UNKNOWN,
    QM_ANSWER_NO,
    QM_ANSWER_YES
};

// A process of others that has a GPU open, as far as this user may see it.
struct qm_gpu_user {
    uint32_t process;
    char name[24];
    char device[24];    // PCI address, or the device file where the driver tells none
    bool has_time;      // the driver tells how long it used the GPU
    uint64_t engine_ns; // busy time of its engines since it opened the GPU, all added
};

enum {
    QM_GPU_USERS_MAX = 32
};

// Doubles are NaN and bytes UINT64_MAX where they are unknown; texts are "".
struct qm_host_conditions {
    uint64_t time_ns;    // qm_clock_ns()
    uint32_t processors; // that /proc/stat lists, 0 where unknown
    double load_1min;
    // Since the machine started, in ticks of /proc/stat (usually 1/100 s), of all processors together.
    bool has_times;
    uint64_t total_ticks, idle_ticks, steal_ticks;
    uint64_t own_ticks; // of this process, its children that have ended, and all that now descend from it
    char governors[96]; // "performance", "powersave, schedutil"
    char scaling_driver[32];
    enum qm_answer turbo;   // may the processor exceed its nominal clock
    enum qm_answer battery; // runs on it
    uint64_t memory_total_bytes, memory_available_bytes;
    uint64_t swap_used_bytes;
    // Pressure: how long since the start of the machine some task waited for it, and the share of the last 10 s.
    double processor_pressure_percent, memory_pressure_percent;
    uint64_t memory_pressure_us; // UINT64_MAX where unknown
    enum qm_answer virtual_machine;
    char hypervisor[64]; // what tells of it: "KVM", "hypervisor flag of the processor"
    double processor_temperature_c;
    struct qm_gpu_user gpu_users[QM_GPU_USERS_MAX];
    size_t gpu_user_count;
    bool gpu_users_are_partial; // there were more, or processes whose files may not be looked at
};

// `root` is "" for this machine, or a directory that has /sys and /proc of another. Fails with QM_OUT_OF_MEMORY only.
// Takes some milliseconds: it looks at every process.
QM_MUST_USE enum qm_status qm_conditions_read(const char *root, struct qm_host_conditions *out);

// The share of all processors' time that others took between two readings, in percent; NaN where it is unknown.
double qm_conditions_others_percent(const struct qm_host_conditions *begin, const struct qm_host_conditions *end);
// The share that the hypervisor took away.
double qm_conditions_steal_percent(const struct qm_host_conditions *begin, const struct qm_host_conditions *end);
// The share of the time between that others kept engines of the GPU at `pci_address` busy ("": of any GPU), added over
// engines and processes; NaN where no driver tells.
double qm_conditions_gpu_percent(const struct qm_host_conditions *begin, const struct qm_host_conditions *end,
                                 const char *pci_address);

struct qm_condition_warning {
    const char *code; // "processor-shared"
    char text[240];   // what, and what to do: "other processes took 38 % of the processor ...; stop them ..."
};

enum {
    QM_CONDITION_WARNINGS_MAX = 16
};

struct qm_condition_warnings {
    struct qm_condition_warning list[QM_CONDITION_WARNINGS_MAX];
    size_t count;
};

// Thresholds, in percent where nothing else is said.
#define QM_CONDITION_OTHERS 5.0          // "processor-shared": of all processors' time, by others
#define QM_CONDITION_LOAD 0.25           // "load": tasks per processor at the begin, where times are unknown
#define QM_CONDITION_STEAL 1.0           // "steal"
#define QM_CONDITION_GPU 1.0             // "gpu-shared": of the time, by engines of others
#define QM_CONDITION_MEMORY 10.0         // "memory-low": available of the total, below that
#define QM_CONDITION_PRESSURE 1.0        // "memory-pressure": of the time, tasks waited for memory
#define QM_CONDITION_SWAP_BYTES 67108864 // "swap": more in use at the end than at the begin
#define QM_CONDITION_HOT_C 80.0          // "hot": the processor at the begin
// Without thresholds: "battery", "governor" (powersave or conservative, where the driver heeds them), "turbo-off",
// "virtual-machine".

// A pure function of what was read.
void qm_conditions_warn(const struct qm_host_conditions *begin, const struct qm_host_conditions *end,
                        struct qm_condition_warnings *out);

#endif
