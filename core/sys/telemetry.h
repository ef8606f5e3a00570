// Readings of a device while it works: clocks, power, energy, temperature, memory, load, throttling.
//
// A device is found by what its driver says of it (PCI address, vendor, being a processor). Each quantity has at most
// one source, chosen when the telemetry is opened; docs/TELEMETRY.md lists what is read from where. What cannot be read
// has no value and a reason, never a zero.
//
//     QM_GUARD(qm_telemetry_open(&params, &telemetry));
//     qm_telemetry_read(telemetry, &before);
//     ... work ...
//     qm_telemetry_read(telemetry, &after);
//     if (qm_telemetry_has(&before, QM_TELEMETRY_ENERGY) && qm_telemetry_has(&after, QM_TELEMETRY_ENERGY))
//         joules = after.energy_j - before.energy_j;
//     qm_telemetry_close(&telemetry);
//
// One thread at a time may use a telemetry; several telemetries are independent.
#ifndef QM_SYS_TELEMETRY_H
#define QM_SYS_TELEMETRY_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

enum qm_telemetry_quantity {
    QM_TELEMETRY_CLOCK,        // of the units that compute
    QM_TELEMETRY_MEMORY_CLOCK, // of the memory, as its driver counts it
    QM_TELEMETRY_POWER,
    QM_TELEMETRY_ENERGY,
    QM_TELEMETRY_TEMPERATURE,
    QM_TELEMETRY_MEMORY_USED, // by all programs together
    QM_TELEMETRY_BUSY,        // likewise
    QM_TELEMETRY_THROTTLE,
    QM_TELEMETRY_QUANTITIES
};

// Why a device runs below the clock it would choose, as bits. Being idle is none.
enum qm_throttle_reason {
    QM_THROTTLE_THERMAL = 1 << 0,
    QM_THROTTLE_POWER = 1 << 1,
    QM_THROTTLE_CURRENT = 1 << 2,
    QM_THROTTLE_RELIABILITY = 1 << 3,
    QM_THROTTLE_SOFTWARE = 1 << 4, // a limit that someone has set
    QM_THROTTLE_OTHER = 1 << 5,    // throttled for a reason that is not told, or not known here
};
#define QM_THROTTLE_REASONS 6

struct qm_telemetry_params {
    const char *root;        // "" for this machine; a directory: all of /sys, /proc and /dev is read below it
    const char *pci_address; // "0000:01:00.0", "" where unknown
    uint32_t vendor_id;      // as Vulkan and OpenCL give it, 0 where unknown
    bool is_cpu;             // the device runs on the processor
    const char *nvml_path;   // NULL: libnvidia-ml.so.1, and none where `root` is not ""
};

struct qm_telemetry_sample {
    uint64_t time_ns; // qm_clock_ns() when the reading began
    uint32_t known;   // bit (1 << quantity) is set where the quantity has a value; see qm_telemetry_has
    double clock_mhz; // NaN where there is no value, as with all that follow
    double memory_clock_mhz;
    double power_w;  // averaged by the source over its own time: see docs/TELEMETRY.md
    double energy_j; // since the telemetry was opened; never goes back
    double temperature_c;
    uint64_t memory_used_bytes; // UINT64_MAX where there is no value
    double busy_percent;
    uint32_t throttle; // enum qm_throttle_reason bits; 0 says "not throttled" only where it is known
};

struct qm_telemetry;

// Looks for sources and reads each once, so that counters have a begin. A device without any is no error: all of its
// quantities have a reason. Fails with QM_OUT_OF_MEMORY only; *out is NULL then. Ends with qm_telemetry_close.
QM_MUST_USE enum qm_status qm_telemetry_open(const struct qm_telemetry_params *params, struct qm_telemetry **out);

// Never fails: a quantity whose source could not be read this time has no value. Allocates nothing. Some 0.1 ms for a
// device on the processor; a GPU's driver may wait for its firmware, so that no timed pass should have it inside.
void qm_telemetry_read(struct qm_telemetry *telemetry, struct qm_telemetry_sample *out);

void qm_telemetry_close(struct qm_telemetry **telemetry);

bool qm_telemetry_has(const struct qm_telemetry_sample *sample, enum qm_telemetry_quantity quantity);

// "amdgpu hwmon power1_average"; "" where the quantity has no source. Valid until the telemetry is closed.
const char *qm_telemetry_source(const struct qm_telemetry *telemetry, enum qm_telemetry_quantity quantity);
// Why the latest reading has no value: "no hwmon below the PCI device", "energy_uj: permission denied"; "" where it has
// one. Valid until the next reading.
const char *qm_telemetry_reason(const struct qm_telemetry *telemetry, enum qm_telemetry_quantity quantity);

// "clock", "memory_used" ...; and of one bit of enum qm_throttle_reason: "thermal", "power" ...
const char *qm_telemetry_quantity_name(enum qm_telemetry_quantity quantity);
const char *qm_telemetry_quantity_unit(enum qm_telemetry_quantity quantity); // "MHz", "" for throttle
const char *qm_throttle_reason_name(enum qm_throttle_reason reason);
// "thermal, power" in `text`, "none" for 0.
#define QM_THROTTLE_TEXT_BYTES 96
void qm_throttle_text(uint32_t throttle, char text[QM_THROTTLE_TEXT_BYTES]);

#endif
