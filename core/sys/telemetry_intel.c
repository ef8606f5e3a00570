#include "sys/telemetry_intel.h"

#include <uv.h>

#include <stdlib.h>
#include <string.h>

struct state {
    char directories[QM_INTEL_GTS_MAX][QM_PATH_BYTES];
    size_t count;
    const char *status, *prefix; // of literals
};

// PL1, PL2: limits of the sustained and of the short power; PL4: of the current that the regulator may give; PSYS: of the
// whole platform. PROCHOT, RATL (running average temperature limit), TDC (design current), after the descriptions in
// drivers/gpu/drm/xe/xe_gt_throttle.c.
static const struct {
    const char *name;
    uint32_t flags;
} reasons[] = {
    {"pl1", QM_THROTTLE_POWER},
    {"pl2", QM_THROTTLE_POWER},
    {"pl4", QM_THROTTLE_CURRENT},
    {"thermal", QM_THROTTLE_THERMAL},
    {"prochot", QM_THROTTLE_THERMAL},
    {"ratl", QM_THROTTLE_THERMAL},
    {"vr_thermalert", QM_THROTTLE_THERMAL},
    {"vr_tdc", QM_THROTTLE_CURRENT},
    {"soc_thermal", QM_THROTTLE_THERMAL},
    {"mem_thermal", QM_THROTTLE_THERMAL},
    {"vr_thermal", QM_THROTTLE_THERMAL},
    {"iccmax", QM_THROTTLE_CURRENT},
    {"soc_avg_thermal", QM_THROTTLE_THERMAL},
    {"fastvmode", QM_THROTTLE_CURRENT},
    {"psys_pl1", QM_THROTTLE_POWER},
    {"psys_pl2", QM_THROTTLE_POWER},
    {"psys_crit", QM_THROTTLE_POWER},
    {"p0_freq", QM_THROTTLE_OTHER},
};

// Each file wakes the GPU and reads a register, so that reasons are read only where the status says that there are any.
static void read_state(struct qm_telemetry *telemetry, void *reader, struct qm_telemetry_sample *out)
{
    const struct state *state = reader;
    uint32_t throttle = 0;
    int failure = 0;
    char path[QM_PATH_BYTES], failed[QM_PATH_BYTES] = "";
    for (size_t i = 0; i < state->count; ++i) {
        uint64_t value = 0;
        uint32_t found = 0;
        if (!qm_tree_path(path, state->directories[i], "/%s", state->status))
            continue;
        int result = qm_tree_unsigned(path, &value);
        if (result != 0) {
            failure = result;
            memcpy(failed, path, sizeof(failed));
            continue;
        }
        for (size_t r = 0; value != 0 && r < sizeof(reasons) / sizeof(reasons[0]); ++r) {
            uint64_t is_set = 0;
            if (qm_tree_path(path, state->directories[i], "/%s%s", state->prefix, reasons[r].name) &&
                qm_tree_unsigned(path, &is_set) == 0 && is_set != 0)
                found |= reasons[r].flags;
        }
        throttle |= value != 0 && found == 0 ? QM_THROTTLE_OTHER : found;
    }
    if (failed[0] && throttle == 0)
        qm_telemetry_fail_file(telemetry, QM_TELEMETRY_THROTTLE, failed, failure);
    else
        qm_telemetry_set(telemetry, out, QM_TELEMETRY_THROTTLE, throttle);
}

void qm_telemetry_intel_throttle(struct qm_telemetry *telemetry, char (*directories)[QM_PATH_BYTES], size_t count,
                                 const char *status, const char *prefix, const char *source)
{
    const struct qm_reader reader = {.read = read_state, .close = free, .state = calloc(1, sizeof(struct state))};
    struct state *state = reader.state;
    for (size_t i = 0; state && i < count && i < QM_INTEL_GTS_MAX; ++i) {
        char path[QM_PATH_BYTES];
        uint64_t value;
        int result = UV_ENOENT;
        if (qm_tree_path(path, directories[i], "/%s", status))
            result = qm_tree_unsigned(path, &value);
        if (result == 0)
            memcpy(state->directories[state->count++], directories[i], QM_PATH_BYTES);
        else
            qm_telemetry_fail_file(telemetry, QM_TELEMETRY_THROTTLE, path, result);
    }
    if (state && state->count == 0) {
        free(state);
        return;
    }
    if (state) {
        state->status = status;
        state->prefix = prefix;
        qm_telemetry_take(telemetry, QM_TELEMETRY_THROTTLE, QM_COMBINE_MAXIMUM, "%s", source);
    }
    qm_telemetry_reader(telemetry, &reader);
}
