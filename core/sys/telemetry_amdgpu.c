// amdgpu: sensors of the PCI device, its hwmon and gpu_metrics.
//
// Layout: the documentation comments of drivers/gpu/drm/amd/pm/amdgpu_pm.c, shown as Documentation/gpu/amdgpu/thermal.rst
// (hwmon: freq1_input the gfx/compute clock and freq2_input the memory clock in hertz, power1_average and power1_input
// in microwatts, temp[1-3]_input in millidegrees with temp[1-3]_label edge, junction, mem; pp_dpm_sclk and pp_dpm_mclk:
// levels, the current one with a star; gpu_busy_percent; gpu_metrics), and Documentation/gpu/amdgpu/driver-misc.rst
// (mem_info_vram_used in bytes).
#include "sys/telemetry_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct state {
    char metrics[QM_PATH_BYTES];   // "" where it is not read
    char levels[2][QM_PATH_BYTES]; // pp_dpm_sclk and pp_dpm_mclk, where hwmon has no clock
    bool reads_energy, reads_throttle;
    struct qm_counter energy;
    struct qm_counter residencies[8];
};

// The megahertz in "1: 1311Mhz *", the line with the star; false where there is none.
static bool starred_level(const char *text, double *megahertz)
{
    for (const char *line = text; *line;) {
        size_t length = strcspn(line, "\n");
        const char *colon = memchr(line, ':', length), *star = memchr(line, '*', length);
        if (colon && star && star > colon) {
            char number[24];
            uint64_t value;
            const char *at = colon + 1 + strspn(colon + 1, " ");
            size_t digits = strspn(at, "0123456789");
            bool is_megahertz = strncmp(at + digits, "Mhz", 3) == 0;
            if (!is_megahertz || digits == 0 || digits >= sizeof(number))
                return false;
            snprintf(number, sizeof(number), "%.*s", (int)digits, at);
            if (!qm_text_unsigned(number, &value))
                return false;
            *megahertz = (double)value;
            return true;
        }
        line += length + (line[length] == '\n');
    }
    return false;
}

static void read_level(struct qm_telemetry *telemetry, const char *path, enum qm_telemetry_quantity quantity,
                       struct qm_telemetry_sample *out)
{
    char text[2048];
    double megahertz;
    long count = qm_tree_read(path, text, sizeof(text));
    if (count < 0)
        qm_telemetry_fail_file(telemetry, quantity, path, (int)count);
    else if (!starred_level(text, &megahertz))
        qm_telemetry_fail(telemetry, quantity, "%s: unreadable: no level has a star", qm_path_name(path));
    else
        qm_telemetry_set(telemetry, out, quantity, megahertz);
}

static void read_metrics(struct qm_telemetry *telemetry, struct state *state, struct qm_telemetry_sample *out)
{
    unsigned char bytes[QM_GPU_METRICS_MAX + 1];
    struct qm_gpu_metrics metrics;
    char reason[128];
    long count = qm_tree_read(state->metrics, bytes, sizeof(bytes));
    if (count < 0)
        qm_tree_why((int)count, reason, sizeof(reason));
    if (count < 0 || !qm_gpu_metrics_decode(bytes, (size_t)count, &metrics, reason, sizeof(reason))) {
        if (state->reads_throttle)
            qm_telemetry_fail(telemetry, QM_TELEMETRY_THROTTLE, "gpu_metrics: %s", reason);
        if (state->reads_energy)
            qm_telemetry_fail(telemetry, QM_TELEMETRY_ENERGY, "gpu_metrics: %s", reason);
        return;
    }
    uint32_t throttle = metrics.throttle;
    for (uint32_t i = 0; i < metrics.residency_count; ++i) {
        struct qm_counter *counter = &state->residencies[i];
        if (counter->has_previous && metrics.residencies[i] > counter->previous)
            throttle |= metrics.residency_flags[i];
        qm_counter_add(counter, metrics.residencies[i], UINT32_MAX);
    }
    if (state->reads_throttle && metrics.has_throttle)
        qm_telemetry_set(telemetry, out, QM_TELEMETRY_THROTTLE, throttle);
    if (state->reads_energy && metrics.has_energy) {
        qm_counter_add(&state->energy, metrics.energy, 0);
        qm_telemetry_set(telemetry, out, QM_TELEMETRY_ENERGY, state->energy.total / 65536.0);
    }
}

static void read_state(struct qm_telemetry *telemetry, void *reader, struct qm_telemetry_sample *out)
{
    struct state *state = reader;
    if (state->levels[0][0])
        read_level(telemetry, state->levels[0], QM_TELEMETRY_CLOCK, out);
    if (state->levels[1][0])
        read_level(telemetry, state->levels[1], QM_TELEMETRY_MEMORY_CLOCK, out);
    if (state->metrics[0])
        read_metrics(telemetry, state, out);
}

// The hottest place is what the firmware throttles by; older parts have "edge" only, or no label.
static void open_temperature(struct qm_telemetry *telemetry, const char *hwmon)
{
    static const char *const labels[] = {"junction", "edge", ""};
    for (size_t l = 0; l < sizeof(labels) / sizeof(labels[0]); ++l) {
        for (int i = 1; i <= 3; ++i) {
            char path[QM_PATH_BYTES], label[32], name[32], source[96];
            if (!qm_tree_path(path, hwmon, "/temp%d_label", i))
                return;
            qm_tree_line(path, label, sizeof(label)); // "" where there is none
            if (strcmp(label, labels[l]) != 0)
                continue;
            snprintf(name, sizeof(name), "temp%d_input", i);
            snprintf(source, sizeof(source), "amdgpu hwmon %s%s%s%s", name, *label ? " (" : "", label,
                     *label ? ")" : "");
            if (qm_telemetry_gauge(telemetry, QM_TELEMETRY_TEMPERATURE, hwmon, name, 1e-3, source))
                return;
        }
    }
}

static void open_level(struct qm_telemetry *telemetry, const char *pci, const char *name,
                       enum qm_telemetry_quantity quantity, char path[QM_PATH_BYTES])
{
    char text[2048];
    double megahertz;
    if (!qm_telemetry_taken(telemetry, quantity) && qm_tree_path(path, pci, "/%s", name) &&
        qm_tree_read(path, text, sizeof(text)) > 0 && starred_level(text, &megahertz))
        qm_telemetry_take(telemetry, quantity, QM_COMBINE_MAXIMUM, "amdgpu %s", name);
    else
        path[0] = '\0';
}

static void open_metrics(struct qm_telemetry *telemetry, const char *pci, struct state *state)
{
    unsigned char bytes[QM_GPU_METRICS_MAX + 1];
    struct qm_gpu_metrics metrics = {0};
    char reason[128] = "not there";
    if (!qm_tree_path(state->metrics, pci, "/gpu_metrics"))
        return;
    long count = qm_tree_read(state->metrics, bytes, sizeof(bytes));
    bool is_known = false;
    if (count < 0)
        qm_tree_why((int)count, reason, sizeof(reason));
    else
        is_known = qm_gpu_metrics_decode(bytes, (size_t)count, &metrics, reason, sizeof(reason));
    if (is_known && !metrics.has_throttle)
        snprintf(reason, sizeof(reason), "%s does not say", metrics.version);
    qm_telemetry_fail(telemetry, QM_TELEMETRY_THROTTLE, "gpu_metrics: %s", reason);
    if (is_known && metrics.has_throttle)
        state->reads_throttle = qm_telemetry_take(telemetry, QM_TELEMETRY_THROTTLE, QM_COMBINE_MAXIMUM,
                                                  "amdgpu gpu_metrics %s", metrics.version);
    if (is_known && metrics.has_energy)
        state->reads_energy = qm_telemetry_take(telemetry, QM_TELEMETRY_ENERGY, QM_COMBINE_MAXIMUM,
                                                "amdgpu gpu_metrics %s energy_accumulator", metrics.version);
    else
        qm_telemetry_fail(telemetry, QM_TELEMETRY_ENERGY, "amdgpu counts no energy for this GPU");
    if (!state->reads_throttle && !state->reads_energy)
        state->metrics[0] = '\0';
}

void qm_telemetry_open_amdgpu(struct qm_telemetry *telemetry, const char *pci)
{
    char hwmon[QM_PATH_BYTES];
    for (int q = 0; q < QM_TELEMETRY_QUANTITIES; ++q)
        qm_telemetry_fail(telemetry, (enum qm_telemetry_quantity)q, "amdgpu shows none for this GPU");
    if (qm_telemetry_hwmon(pci, "amdgpu", hwmon)) {
        qm_telemetry_gauge(telemetry, QM_TELEMETRY_CLOCK, hwmon, "freq1_input", 1e-6, "amdgpu hwmon freq1_input");
        qm_telemetry_gauge(telemetry, QM_TELEMETRY_MEMORY_CLOCK, hwmon, "freq2_input", 1e-6,
                           "amdgpu hwmon freq2_input");
        if (!qm_telemetry_gauge(telemetry, QM_TELEMETRY_POWER, hwmon, "power1_average", 1e-6,
                                "amdgpu hwmon power1_average"))
            qm_telemetry_gauge(telemetry, QM_TELEMETRY_POWER, hwmon, "power1_input", 1e-6, "amdgpu hwmon power1_input");
        open_temperature(telemetry, hwmon);
    } else {
        qm_telemetry_fail(telemetry, QM_TELEMETRY_POWER, "no hwmon below the PCI device");
        qm_telemetry_fail(telemetry, QM_TELEMETRY_TEMPERATURE, "no hwmon below the PCI device");
    }
    qm_telemetry_gauge(telemetry, QM_TELEMETRY_BUSY, pci, "gpu_busy_percent", 1, "amdgpu gpu_busy_percent");
    qm_telemetry_gauge(telemetry, QM_TELEMETRY_MEMORY_USED, pci, "mem_info_vram_used", 1, "amdgpu mem_info_vram_used");
    const struct qm_reader reader = {.read = read_state, .close = free, .state = calloc(1, sizeof(struct state))};
    struct state *state = reader.state;
    if (state) {
        open_level(telemetry, pci, "pp_dpm_sclk", QM_TELEMETRY_CLOCK, state->levels[0]);
        open_level(telemetry, pci, "pp_dpm_mclk", QM_TELEMETRY_MEMORY_CLOCK, state->levels[1]);
        open_metrics(telemetry, pci, state);
    }
    qm_telemetry_reader(telemetry, &reader);
}
