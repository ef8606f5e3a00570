// NVIDIA's GPUs through NVML, which comes with the driver and is opened at run time.
//
// Interface: NVML API Reference Guide (docs.nvidia.com/deploy/nvml-api). Energy is counted in millijoules since the
// driver was loaded, Volta and newer. nvmlDeviceGetPowerUsage gives milliwatts: averaged over 1 s on Ampere (except
// GA100) and newer, the moment's on GA100 and older. Reasons for a lower clock are bits
// (nvmlClocksEventReason*, before driver 535 nvmlClocksThrottleReason*).
#include "sys/leaks.h"
#include "sys/library.h"
#include "sys/telemetry_internal.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct nvml_device *device_handle;

enum {
    SUCCESS = 0,
    CLOCK_GRAPHICS = 0, // NVML_CLOCK_GRAPHICS
    CLOCK_MEMORY = 2,   // NVML_CLOCK_MEM
    SENSOR_GPU = 0      // NVML_TEMPERATURE_GPU
};

struct memory_info {
    unsigned long long total, free, used;
};

struct utilization {
    unsigned gpu, memory; // percent
};

struct state {
    device_handle device;
    int (*shutdown)(void);
    const char *(*error_string)(int result);
    int (*energy)(device_handle device, unsigned long long *millijoules);
    int (*power)(device_handle device, unsigned *milliwatts);
    int (*clock)(device_handle device, int type, unsigned *megahertz);
    int (*temperature)(device_handle device, int sensor, unsigned *celsius);
    int (*reasons)(device_handle device, unsigned long long *bits);
    int (*memory)(device_handle device, struct memory_info *out);
    int (*utilization)(device_handle device, struct utilization *out);
    struct qm_counter counter;
};

static uint32_t flags_of(unsigned long long reasons)
{
    static const struct {
        unsigned long long bit;
        uint32_t flags;
    } known[] = {
        {0x001, 0},                    // GpuIdle: nothing to do is no throttling
        {0x002, QM_THROTTLE_SOFTWARE}, // ApplicationsClocksSetting
        {0x004, QM_THROTTLE_POWER},    // SwPowerCap
        {0x010, QM_THROTTLE_SOFTWARE}, // SyncBoost
        {0x020, QM_THROTTLE_THERMAL},  // SwThermalSlowdown
        {0x040, QM_THROTTLE_THERMAL},  // HwThermalSlowdown
        {0x080, QM_THROTTLE_POWER},    // HwPowerBrakeSlowdown
        {0x100, QM_THROTTLE_SOFTWARE}, // DisplayClockSetting
    };
    uint32_t flags = 0;
    unsigned long long left = reasons;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); ++i) {
        flags |= reasons & known[i].bit ? known[i].flags : 0;
        left &= ~known[i].bit;
    }
    // HwSlowdown (8) stands for its own two reasons, where they are told, and for fast protection of the power.
    if ((left & 0x8) && (reasons & (0x40 | 0x80)))
        left &= ~0x8ull;
    return left != 0 ? flags | QM_THROTTLE_OTHER : flags;
}

// Whether the call has a value; else why not.
static bool is_fine(struct qm_telemetry *telemetry, const struct state *state, enum qm_telemetry_quantity quantity,
                    int result)
{
    if (result == SUCCESS)
        return true;
    const char *text = state->error_string ? state->error_string(result) : NULL;
    qm_telemetry_fail(telemetry, quantity, "NVML: %.100s", text ? text : "an error");
    return false;
}

static void read_state(struct qm_telemetry *telemetry, void *reader, struct qm_telemetry_sample *out)
{
    struct state *s = reader;
    unsigned value = 0;
    unsigned long long count = 0;
    struct memory_info memory = {0};
    struct utilization busy = {0};
    if (s->energy && is_fine(telemetry, s, QM_TELEMETRY_ENERGY, s->energy(s->device, &count))) {
        qm_counter_add(&s->counter, count, 0);
        qm_telemetry_set(telemetry, out, QM_TELEMETRY_ENERGY, s->counter.total * 1e-3);
    }
    if (s->power && is_fine(telemetry, s, QM_TELEMETRY_POWER, s->power(s->device, &value)))
        qm_telemetry_set(telemetry, out, QM_TELEMETRY_POWER, value * 1e-3);
    if (s->clock && is_fine(telemetry, s, QM_TELEMETRY_CLOCK, s->clock(s->device, CLOCK_GRAPHICS, &value)))
        qm_telemetry_set(telemetry, out, QM_TELEMETRY_CLOCK, value);
    if (s->clock && is_fine(telemetry, s, QM_TELEMETRY_MEMORY_CLOCK, s->clock(s->device, CLOCK_MEMORY, &value)))
        qm_telemetry_set(telemetry, out, QM_TELEMETRY_MEMORY_CLOCK, value);
    if (s->temperature &&
        is_fine(telemetry, s, QM_TELEMETRY_TEMPERATURE, s->temperature(s->device, SENSOR_GPU, &value)))
        qm_telemetry_set(telemetry, out, QM_TELEMETRY_TEMPERATURE, value);
    if (s->memory && is_fine(telemetry, s, QM_TELEMETRY_MEMORY_USED, s->memory(s->device, &memory)))
        qm_telemetry_set(telemetry, out, QM_TELEMETRY_MEMORY_USED, (double)memory.used);
    if (s->utilization && is_fine(telemetry, s, QM_TELEMETRY_BUSY, s->utilization(s->device, &busy)))
        qm_telemetry_set(telemetry, out, QM_TELEMETRY_BUSY, busy.gpu);
    if (s->reasons && is_fine(telemetry, s, QM_TELEMETRY_THROTTLE, s->reasons(s->device, &count)))
        qm_telemetry_set(telemetry, out, QM_TELEMETRY_THROTTLE, flags_of(count));
}

static void close_state(void *reader)
{
    struct state *state = reader;
    if (state->shutdown)
        state->shutdown();
    free(state); // the library stays: drivers do not survive being unloaded
}

static void fail_all(struct qm_telemetry *telemetry, const char *reason)
{
    for (int q = 0; q < QM_TELEMETRY_QUANTITIES; ++q)
        qm_telemetry_fail(telemetry, (enum qm_telemetry_quantity)q, "%s", reason);
}

// The device by its PCI address; without one the only GPU that there is.
static int find_device(void *library, const char *address, device_handle *device, const char **how)
{
    int (*by_address)(const char *address, device_handle *device);
    int (*by_index)(unsigned index, device_handle *device);
    int (*count_of)(unsigned *count);
    unsigned count = 0;
    *how = "";
    if (*address)
        return qm_library_find(library, "nvmlDeviceGetHandleByPciBusId_v2", &by_address) ? by_address(address, device)
                                                                                         : -1;
    *how = " (the only GPU)";
    if (!qm_library_find(library, "nvmlDeviceGetCount_v2", &count_of) ||
        !qm_library_find(library, "nvmlDeviceGetHandleByIndex_v2", &by_index) || count_of(&count) != SUCCESS ||
        count != 1)
        return -1;
    return by_index(0, device);
}

static void take(struct qm_telemetry *telemetry, enum qm_telemetry_quantity quantity, bool is_there, const char *name,
                 const char *how)
{
    if (is_there)
        qm_telemetry_take(telemetry, quantity, QM_COMBINE_MAXIMUM, "NVML %s%s", name, how);
    else
        qm_telemetry_fail(telemetry, quantity, "NVML has no nvmlDevice%s; a newer driver has", name);
}

void qm_telemetry_open_nvml(struct qm_telemetry *telemetry)
{
    const struct qm_telemetry_params *params = qm_telemetry_params_of(telemetry);
    const char *path = params->nvml_path, *how = "";
    char reason[192];
    int (*init)(void);
    if (!path && params->root[0]) {
        fail_all(telemetry, "NVML is not asked below another root");
        return;
    }
    path = path ? path : "libnvidia-ml.so.1";
    QM_LEAKS_IGNORE();
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    QM_LEAKS_HEED();
    if (!library) {
        snprintf(reason, sizeof(reason), "%.120s cannot be opened; it comes with NVIDIA's driver", path);
        fail_all(telemetry, reason);
        return;
    }
    struct state *s = calloc(1, sizeof(*s));
    const struct qm_reader reader = {.read = read_state, .close = close_state, .state = s};
    if (!s || !qm_library_find(library, "nvmlInit_v2", &init)) {
        fail_all(telemetry, "NVML has no nvmlInit_v2; a newer driver has");
        free(s);
        return;
    }
    qm_library_find(library, "nvmlErrorString", &s->error_string);
    int result = init();
    if (result == SUCCESS) {
        qm_library_find(library, "nvmlShutdown", &s->shutdown);
        result = find_device(library, params->pci_address, &s->device, &how);
    }
    if (result != SUCCESS) {
        const char *text = s->error_string && result > 0 ? s->error_string(result) : NULL;
        snprintf(reason, sizeof(reason), "NVML: %.100s", text ? text : "finds no such GPU");
        fail_all(telemetry, reason);
        close_state(s);
        return;
    }
    take(telemetry, QM_TELEMETRY_ENERGY, qm_library_find(library, "nvmlDeviceGetTotalEnergyConsumption", &s->energy),
         "GetTotalEnergyConsumption", how);
    take(telemetry, QM_TELEMETRY_POWER, qm_library_find(library, "nvmlDeviceGetPowerUsage", &s->power), "GetPowerUsage",
         how);
    bool has_clock = qm_library_find(library, "nvmlDeviceGetClockInfo", &s->clock);
    take(telemetry, QM_TELEMETRY_CLOCK, has_clock, "GetClockInfo graphics", how);
    take(telemetry, QM_TELEMETRY_MEMORY_CLOCK, has_clock, "GetClockInfo memory", how);
    take(telemetry, QM_TELEMETRY_TEMPERATURE, qm_library_find(library, "nvmlDeviceGetTemperature", &s->temperature),
         "GetTemperature", how);
    take(telemetry, QM_TELEMETRY_MEMORY_USED, qm_library_find(library, "nvmlDeviceGetMemoryInfo", &s->memory),
         "GetMemoryInfo", how);
    take(telemetry, QM_TELEMETRY_BUSY, qm_library_find(library, "nvmlDeviceGetUtilizationRates", &s->utilization),
         "GetUtilizationRates", how);
    const char *name = "GetCurrentClocksEventReasons";
    if (!qm_library_find(library, "nvmlDeviceGetCurrentClocksEventReasons", &s->reasons)) {
        name = "GetCurrentClocksThrottleReasons";
        qm_library_find(library, "nvmlDeviceGetCurrentClocksThrottleReasons", &s->reasons);
    }
    take(telemetry, QM_TELEMETRY_THROTTLE, s->reasons != NULL, name, how);
    qm_telemetry_reader(telemetry, &reader);
}
