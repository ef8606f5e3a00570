// What readers of telemetry share; for core/sys/telemetry*.c and their tests.
//
// A reader looks once for what its device offers and adds inputs: a file with a number and what becomes of it. What is
// no such file it reads by a function of its own. Of several readers the first that finds a source for a quantity keeps
// it.
#ifndef QM_SYS_TELEMETRY_INTERNAL_H
#define QM_SYS_TELEMETRY_INTERNAL_H

#include "sys/telemetry.h"
#include "sys/tree.h"

#include <stddef.h>

enum qm_input_kind {
    QM_INPUT_VALUE,   // number x scale; of several inputs what the quantity's `combine` says
    QM_INPUT_COUNTER, // energy: number x scale, summed over readings and inputs, through wraps
    QM_INPUT_FLAG,    // throttle: not 0 means `flags`
    QM_INPUT_RISE,    // throttle: a count that is higher than at the reading before means `flags`
};

enum qm_combine {
    QM_COMBINE_MAXIMUM,
    QM_COMBINE_MEAN,
};

struct qm_input {
    enum qm_telemetry_quantity quantity;
    enum qm_input_kind kind;
    const char *path; // in full; copied
    double scale;
    uint32_t flags;
    uint64_t range; // a counter begins again behind it; 0: it does not
};

// A counter through its wraps.
struct qm_counter {
    bool has_previous;
    uint64_t previous;
    double total; // of what was added since the first reading, in the counter's unit
};
// A value below the one before is a wrap where `range` is not 0 and both are within it; else the counter was set back,
// and what it has now was added since.
void qm_counter_add(struct qm_counter *counter, uint64_t value, uint64_t range);

struct qm_reader {
    // Sets values with qm_telemetry_set or reasons with qm_telemetry_fail, for quantities that it has taken.
    void (*read)(struct qm_telemetry *telemetry, void *state, struct qm_telemetry_sample *out);
    void (*close)(void *state); // frees the state; may be NULL
    void *state;
};

const struct qm_telemetry_params *qm_telemetry_params_of(const struct qm_telemetry *telemetry);

// False where the quantity has a source already. Else it has this one from now on.
bool qm_telemetry_take(struct qm_telemetry *telemetry, enum qm_telemetry_quantity quantity, enum qm_combine combine,
                       const char *source, ...) QM_PRINTF(4, 5);
// Whether the quantity has a source.
bool qm_telemetry_taken(const struct qm_telemetry *telemetry, enum qm_telemetry_quantity quantity);
// Why there is no source, or no value this time. Of several reasons the latest stands.
void qm_telemetry_fail(struct qm_telemetry *telemetry, enum qm_telemetry_quantity quantity, const char *format, ...)
    QM_PRINTF(3, 4);
// "NAME: permission denied" for a result of sys/tree.h; `path` gives the name.
void qm_telemetry_fail_file(struct qm_telemetry *telemetry, enum qm_telemetry_quantity quantity, const char *path,
                            int result);
void qm_telemetry_set(struct qm_telemetry *telemetry, struct qm_telemetry_sample *out,
                      enum qm_telemetry_quantity quantity, double value);

// Adds an input to a quantity that was taken. Where memory runs out the telemetry is marked and its opening fails.
void qm_telemetry_input(struct qm_telemetry *telemetry, const struct qm_input *input);
void qm_telemetry_reader(struct qm_telemetry *telemetry, const struct qm_reader *reader);
// The most usual case: where DIRECTORY/NAME holds a number and the quantity has no source, takes it and adds the one
// input of kind QM_INPUT_VALUE. Where the file is there and cannot be read, that is the reason. `source` is a text
// such as "amdgpu hwmon power1_average".
bool qm_telemetry_gauge(struct qm_telemetry *telemetry, enum qm_telemetry_quantity quantity, const char *directory,
                        const char *name, double scale, const char *source);
// The same for a counter of microjoules that does not wrap.
bool qm_telemetry_energy(struct qm_telemetry *telemetry, const char *directory, const char *name, const char *source);
// Power as the slope of the energy between two readings, where energy has a source and power has none.
void qm_telemetry_slope(struct qm_telemetry *telemetry);

// The reading as if the clock showed `time_ns`: what depends on time can be tested.
void qm_telemetry_read_at(struct qm_telemetry *telemetry, uint64_t time_ns, struct qm_telemetry_sample *out);

// ---- The readers; each takes what it finds ----

// ROOT/sys/bus/pci/devices/ADDRESS in `path`; false where the address is unknown, malformed or not there, with a reason
// for every quantity.
bool qm_telemetry_pci(struct qm_telemetry *telemetry, char path[QM_PATH_BYTES]);
// DIRECTORY/hwmon/hwmonN whose file `name` holds `name`; false where there is none.
bool qm_telemetry_hwmon(const char *directory, const char *name, char path[QM_PATH_BYTES]);

void qm_telemetry_open_nvml(struct qm_telemetry *telemetry);
void qm_telemetry_open_amdgpu(struct qm_telemetry *telemetry, const char *pci);
void qm_telemetry_open_i915(struct qm_telemetry *telemetry, const char *pci);
void qm_telemetry_open_xe(struct qm_telemetry *telemetry, const char *pci);
void qm_telemetry_open_hwmon(struct qm_telemetry *telemetry, const char *pci); // of any other driver
void qm_telemetry_open_kgsl(struct qm_telemetry *telemetry);
void qm_telemetry_open_devfreq(struct qm_telemetry *telemetry);
void qm_telemetry_open_rapl(struct qm_telemetry *telemetry);
void qm_telemetry_open_processor(struct qm_telemetry *telemetry);
void qm_telemetry_open_thermal(struct qm_telemetry *telemetry, bool is_cpu);

// Cooling devices that the kernel slows a device down with, whose type begins with one of `prefixes` (NULL ends them):
// an input each; true where there is one.
bool qm_telemetry_cooling(struct qm_telemetry *telemetry, const char *const *prefixes);

// The times of all processors together, of the first line of /proc/stat, in ticks since the machine started. `idle` has
// the waits for disks in it. False where the text is no such line.
struct qm_proc_stat {
    uint64_t total, idle, steal;
};
bool qm_proc_stat(const char *text, struct qm_proc_stat *out);

// The temperature of the processor for sys/conditions.h: a path of a file in millidegrees, "" where there is none.
void qm_thermal_processor_path(const char *root, char path[QM_PATH_BYTES], char *source, size_t capacity);

// ---- gpu_metrics of amdgpu ----

#define QM_GPU_METRICS_MAX 4096

struct qm_gpu_metrics {
    bool has_throttle; // with `throttle`, or with counters below
    uint32_t throttle;
    // Since v1.6 and in v3.0 the time throttled is counted per reason instead: one that rose throttled.
    uint32_t residency_count;
    uint32_t residencies[8];
    uint32_t residency_flags[8];
    bool has_energy;
    uint64_t energy;  // in 2^-16 J
    char version[16]; // "v1.3"
};
// False with a reason where the layout is not one that is known, by version and size.
bool qm_gpu_metrics_decode(const void *bytes, size_t count, struct qm_gpu_metrics *out, char *reason, size_t capacity);

#endif
