#include "sys/telemetry.h"
#include "sys/host.h"
#include "sys/telemetry_internal.h"

#include <uv.h>

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READERS_MAX 4
#define INPUTS_MAX 1024
#define SLOPE_MIN_NS 10000000u // RAPL counts anew every millisecond: a shorter time would show its steps

struct input {
    struct qm_input what;
    char *path;
    struct qm_counter counter;
};

struct slot {
    bool is_taken;
    enum qm_combine combine;
    char source[128];
    char reason[192];
};

struct qm_telemetry {
    struct qm_telemetry_params params;
    char root[QM_PATH_BYTES];
    char pci_address[20];
    struct slot slots[QM_TELEMETRY_QUANTITIES];
    struct input *inputs;
    size_t input_count;
    struct qm_reader readers[READERS_MAX];
    size_t reader_count;
    bool is_without_memory;
    bool has_slope;
    bool has_slope_begin;
    uint64_t slope_begin_ns;
    double slope_begin_j;
};

// The quantities' names, units and what can be true of them; beyond it the source is broken.
static const struct {
    const char *name, *unit;
    double least, most;
    bool zero_is_none; // the drivers write 0 for what sleeps or is not measured
} quantities[QM_TELEMETRY_QUANTITIES] = {
    [QM_TELEMETRY_CLOCK] = {"clock", "MHz", 0, 100e3, true},
    [QM_TELEMETRY_MEMORY_CLOCK] = {"memory_clock", "MHz", 0, 100e3, true},
    [QM_TELEMETRY_POWER] = {"power", "W", 0, 100e3, true},
    [QM_TELEMETRY_ENERGY] = {"energy", "J", 0, 1e15, false},
    [QM_TELEMETRY_TEMPERATURE] = {"temperature", "C", -100, 250, true},
    [QM_TELEMETRY_MEMORY_USED] = {"memory_used", "bytes", 0, 1e15, false},
    [QM_TELEMETRY_BUSY] = {"busy", "%", 0, 100, false},
    [QM_TELEMETRY_THROTTLE] = {"throttle", "", 0, UINT32_MAX, false},
};

const char *qm_telemetry_quantity_name(enum qm_telemetry_quantity quantity)
{
    return quantities[quantity].name;
}

const char *qm_telemetry_quantity_unit(enum qm_telemetry_quantity quantity)
{
    return quantities[quantity].unit;
}

static const char *const reason_names[QM_THROTTLE_REASONS] = {"thermal",     "power",    "current",
                                                              "reliability", "software", "other"};

const char *qm_throttle_reason_name(enum qm_throttle_reason reason)
{
    for (size_t i = 0; i < QM_THROTTLE_REASONS; ++i) {
        if ((uint32_t)reason == 1u << i)
            return reason_names[i];
    }
    return "";
}

void qm_throttle_text(uint32_t throttle, char text[QM_THROTTLE_TEXT_BYTES])
{
    size_t used = 0;
    snprintf(text, QM_THROTTLE_TEXT_BYTES, "none");
    for (size_t i = 0; i < QM_THROTTLE_REASONS; ++i) {
        if (!(throttle & 1u << i))
            continue;
        used +=
            (size_t)snprintf(text + used, QM_THROTTLE_TEXT_BYTES - used, "%s%s", used > 0 ? ", " : "", reason_names[i]);
    }
}

bool qm_telemetry_has(const struct qm_telemetry_sample *sample, enum qm_telemetry_quantity quantity)
{
    return (sample->known >> quantity & 1u) != 0;
}

const char *qm_telemetry_source(const struct qm_telemetry *telemetry, enum qm_telemetry_quantity quantity)
{
    return telemetry->slots[quantity].source;
}

const char *qm_telemetry_reason(const struct qm_telemetry *telemetry, enum qm_telemetry_quantity quantity)
{
    return telemetry->slots[quantity].reason;
}

// ---- What readers call --------------------------------------------------------------------------------------------

const struct qm_telemetry_params *qm_telemetry_params_of(const struct qm_telemetry *telemetry)
{
    return &telemetry->params;
}

void qm_counter_add(struct qm_counter *counter, uint64_t value, uint64_t range)
{
    uint64_t previous = counter->previous;
    if (counter->has_previous) {
        if (value >= previous)
            counter->total += (double)(value - previous);
        else if (range > 0 && previous <= range)
            counter->total += (double)(range - previous) + (double)value;
        else
            counter->total += (double)value;
    }
    counter->previous = value;
    counter->has_previous = true;
}

bool qm_telemetry_taken(const struct qm_telemetry *telemetry, enum qm_telemetry_quantity quantity)
{
    return telemetry->slots[quantity].is_taken;
}

bool qm_telemetry_take(struct qm_telemetry *telemetry, enum qm_telemetry_quantity quantity, enum qm_combine combine,
                       const char *source, ...)
{
    struct slot *slot = &telemetry->slots[quantity];
    va_list arguments;
    if (slot->is_taken)
        return false;
    slot->is_taken = true;
    slot->combine = combine;
    slot->reason[0] = '\0';
    va_start(arguments, source);
    vsnprintf(slot->source, sizeof(slot->source), source, arguments);
    va_end(arguments);
    return true;
}

void qm_telemetry_fail(struct qm_telemetry *telemetry, enum qm_telemetry_quantity quantity, const char *format, ...)
{
    struct slot *slot = &telemetry->slots[quantity];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(slot->reason, sizeof(slot->reason), format, arguments);
    va_end(arguments);
}

void qm_telemetry_fail_file(struct qm_telemetry *telemetry, enum qm_telemetry_quantity quantity, const char *path,
                            int result)
{
    char why[128];
    qm_tree_why(result, why, sizeof(why));
    qm_telemetry_fail(telemetry, quantity, "%.63s: %s", qm_path_name(path), why);
}

void qm_telemetry_set(struct qm_telemetry *telemetry, struct qm_telemetry_sample *out,
                      enum qm_telemetry_quantity quantity, double value)
{
    if (!(value >= quantities[quantity].least && value <= quantities[quantity].most)) {
        qm_telemetry_fail(telemetry, quantity, "unreadable: %.6g %s cannot be", value, quantities[quantity].unit);
        return;
    }
    if (value == 0 && quantities[quantity].zero_is_none) {
        qm_telemetry_fail(telemetry, quantity, "reads 0: asleep, or not measured");
        return;
    }
    telemetry->slots[quantity].reason[0] = '\0';
    out->known |= 1u << quantity;
    switch (quantity) {
    case QM_TELEMETRY_CLOCK:
        out->clock_mhz = value;
        break;
    case QM_TELEMETRY_MEMORY_CLOCK:
        out->memory_clock_mhz = value;
        break;
    case QM_TELEMETRY_POWER:
        out->power_w = value;
        break;
    case QM_TELEMETRY_ENERGY:
        out->energy_j = value;
        break;
    case QM_TELEMETRY_TEMPERATURE:
        out->temperature_c = value;
        break;
    case QM_TELEMETRY_MEMORY_USED:
        out->memory_used_bytes = (uint64_t)value;
        break;
    case QM_TELEMETRY_BUSY:
        out->busy_percent = value;
        break;
    case QM_TELEMETRY_THROTTLE:
    case QM_TELEMETRY_QUANTITIES:
        out->throttle = (uint32_t)value;
        break;
    }
}

void qm_telemetry_input(struct qm_telemetry *telemetry, const struct qm_input *input)
{
    if (telemetry->input_count == INPUTS_MAX)
        return;
    struct input *grown = realloc(telemetry->inputs, (telemetry->input_count + 1) * sizeof(*grown));
    char *path = strdup(input->path);
    if (grown)
        telemetry->inputs = grown;
    if (!grown || !path) {
        free(path);
        telemetry->is_without_memory = true;
        return;
    }
    telemetry->inputs[telemetry->input_count++] = (struct input){.what = *input, .path = path};
    telemetry->inputs[telemetry->input_count - 1].what.path = path;
}

void qm_telemetry_reader(struct qm_telemetry *telemetry, const struct qm_reader *reader)
{
    if (!reader->state || telemetry->reader_count == READERS_MAX) {
        telemetry->is_without_memory = true; // a reader's state is what its opening could not allocate
        return;
    }
    telemetry->readers[telemetry->reader_count++] = *reader;
}

static bool add_file(struct qm_telemetry *telemetry, const struct qm_input *input, const char *directory,
                     const char *name, const char *source)
{
    char path[QM_PATH_BYTES];
    int64_t value;
    enum qm_telemetry_quantity quantity = input->quantity;
    if (qm_telemetry_taken(telemetry, quantity) || !qm_tree_path(path, directory, "/%s", name))
        return false;
    int result = qm_tree_signed(path, &value);
    if (result != 0 && result != UV_EBUSY && result != UV_EAGAIN) { // those two pass by, as while a device wakes
        if (result != UV_ENOENT)
            qm_telemetry_fail_file(telemetry, quantity, path, result);
        return false;
    }
    qm_telemetry_take(telemetry, quantity, QM_COMBINE_MAXIMUM, "%s", source);
    struct qm_input placed = *input;
    placed.path = path;
    qm_telemetry_input(telemetry, &placed);
    return true;
}

bool qm_telemetry_gauge(struct qm_telemetry *telemetry, enum qm_telemetry_quantity quantity, const char *directory,
                        const char *name, double scale, const char *source)
{
    const struct qm_input input = {.quantity = quantity, .kind = QM_INPUT_VALUE, .scale = scale};
    return add_file(telemetry, &input, directory, name, source);
}

bool qm_telemetry_energy(struct qm_telemetry *telemetry, const char *directory, const char *name, const char *source)
{
    const struct qm_input input = {.quantity = QM_TELEMETRY_ENERGY, .kind = QM_INPUT_COUNTER, .scale = 1e-6};
    return add_file(telemetry, &input, directory, name, source);
}

void qm_telemetry_slope(struct qm_telemetry *telemetry)
{
    if (!qm_telemetry_taken(telemetry, QM_TELEMETRY_ENERGY))
        return;
    telemetry->has_slope = qm_telemetry_take(telemetry, QM_TELEMETRY_POWER, QM_COMBINE_MAXIMUM, "slope of %s",
                                             telemetry->slots[QM_TELEMETRY_ENERGY].source);
}

bool qm_telemetry_pci(struct qm_telemetry *telemetry, char path[QM_PATH_BYTES])
{
    const char *address = telemetry->pci_address;
    char reason[96] = "";
    if (!*address)
        snprintf(reason, sizeof(reason), "the driver tells no PCI address");
    else if (strspn(address, "0123456789abcdefABCDEF:.") != strlen(address) || strstr(address, "..") ||
             !qm_tree_path(path, telemetry->root, "/sys/bus/pci/devices/%s", address))
        snprintf(reason, sizeof(reason), "the PCI address is malformed");
    else if (!qm_directory_exists(path))
        snprintf(reason, sizeof(reason), "no PCI device %s in /sys", address);
    for (int q = 0; reason[0] && q < QM_TELEMETRY_QUANTITIES; ++q) {
        if (!qm_telemetry_taken(telemetry, (enum qm_telemetry_quantity)q))
            qm_telemetry_fail(telemetry, (enum qm_telemetry_quantity)q, "%s", reason);
    }
    return reason[0] == '\0';
}

// ---- Reading ------------------------------------------------------------------------------------------------------

struct sum {
    double value; // as combined so far
    size_t count;
    uint32_t throttle;
    int failure; // of the latest input that could not be read
    const char *failed_path;
};

static void read_input(struct input *input, enum qm_combine combine, struct sum *sum)
{
    int64_t number = 0;
    uint64_t count = 0;
    const struct qm_input *what = &input->what;
    bool is_value = what->kind == QM_INPUT_VALUE;
    int result = is_value ? qm_tree_signed(input->path, &number) : qm_tree_unsigned(input->path, &count);
    if (result != 0) {
        sum->failure = result;
        sum->failed_path = input->path;
        return;
    }
    double value = (double)number * what->scale;
    switch (what->kind) {
    case QM_INPUT_VALUE:
        if (combine == QM_COMBINE_MEAN)
            sum->value += value;
        else if (sum->count == 0 || value > sum->value)
            sum->value = value;
        break;
    case QM_INPUT_COUNTER:
        qm_counter_add(&input->counter, count, what->range);
        sum->value += input->counter.total * what->scale;
        break;
    case QM_INPUT_FLAG:
        sum->throttle |= count != 0 ? what->flags : 0;
        break;
    case QM_INPUT_RISE:
        sum->throttle |= input->counter.has_previous && count > input->counter.previous ? what->flags : 0;
        qm_counter_add(&input->counter, count, 0);
        break;
    }
    ++sum->count;
}

static void finish(struct qm_telemetry *telemetry, enum qm_telemetry_quantity quantity, const struct sum *sum,
                   struct qm_telemetry_sample *out)
{
    // A part of the energy is not the energy, and "not throttled" needs all who could say otherwise.
    bool needs_all = quantity == QM_TELEMETRY_ENERGY || (quantity == QM_TELEMETRY_THROTTLE && sum->throttle == 0);
    if (sum->failed_path && (needs_all || sum->count == 0)) {
        qm_telemetry_fail_file(telemetry, quantity, sum->failed_path, sum->failure);
        return;
    }
    if (sum->count == 0)
        return; // a reader of its own
    double value = sum->value;
    if (quantity == QM_TELEMETRY_THROTTLE)
        value = sum->throttle;
    else if (quantity != QM_TELEMETRY_ENERGY && telemetry->slots[quantity].combine == QM_COMBINE_MEAN)
        value /= (double)sum->count;
    qm_telemetry_set(telemetry, out, quantity, value);
}

static void read_slope(struct qm_telemetry *telemetry, struct qm_telemetry_sample *out)
{
    if (!qm_telemetry_has(out, QM_TELEMETRY_ENERGY)) {
        qm_telemetry_fail(telemetry, QM_TELEMETRY_POWER, "%s", telemetry->slots[QM_TELEMETRY_ENERGY].reason);
        telemetry->has_slope_begin = false;
        return;
    }
    uint64_t elapsed = out->time_ns - telemetry->slope_begin_ns;
    if (telemetry->has_slope_begin && elapsed < SLOPE_MIN_NS) {
        qm_telemetry_fail(telemetry, QM_TELEMETRY_POWER, "two readings within 10 ms have no slope");
        return;
    }
    if (telemetry->has_slope_begin)
        qm_telemetry_set(telemetry, out, QM_TELEMETRY_POWER,
                         (out->energy_j - telemetry->slope_begin_j) / ((double)elapsed * 1e-9));
    else
        qm_telemetry_fail(telemetry, QM_TELEMETRY_POWER, "the first reading has no slope");
    telemetry->has_slope_begin = true;
    telemetry->slope_begin_ns = out->time_ns;
    telemetry->slope_begin_j = out->energy_j;
}

void qm_telemetry_read_at(struct qm_telemetry *telemetry, uint64_t time_ns, struct qm_telemetry_sample *out)
{
    struct sum sums[QM_TELEMETRY_QUANTITIES] = {{0}};
    *out = (struct qm_telemetry_sample){.time_ns = time_ns,
                                        .clock_mhz = NAN,
                                        .memory_clock_mhz = NAN,
                                        .power_w = NAN,
                                        .energy_j = NAN,
                                        .temperature_c = NAN,
                                        .memory_used_bytes = UINT64_MAX,
                                        .busy_percent = NAN};
    for (size_t i = 0; i < telemetry->input_count; ++i) {
        enum qm_telemetry_quantity quantity = telemetry->inputs[i].what.quantity;
        read_input(&telemetry->inputs[i], telemetry->slots[quantity].combine, &sums[quantity]);
    }
    for (int q = 0; q < QM_TELEMETRY_QUANTITIES; ++q)
        finish(telemetry, (enum qm_telemetry_quantity)q, &sums[q], out);
    for (size_t i = 0; i < telemetry->reader_count; ++i)
        telemetry->readers[i].read(telemetry, telemetry->readers[i].state, out);
    if (telemetry->has_slope)
        read_slope(telemetry, out);
}

void qm_telemetry_read(struct qm_telemetry *telemetry, struct qm_telemetry_sample *out)
{
    qm_telemetry_read_at(telemetry, qm_clock_ns(), out);
}

// ---- Opening ------------------------------------------------------------------------------------------------------

static void open_pci(struct qm_telemetry *telemetry, const char *pci)
{
    char path[QM_PATH_BYTES], text[1024], driver[32] = "";
    if (qm_tree_path(path, pci, "/uevent") && qm_tree_read(path, text, sizeof(text)) > 0)
        qm_text_value(text, "DRIVER", driver, sizeof(driver));
    if (strcmp(driver, "amdgpu") == 0)
        qm_telemetry_open_amdgpu(telemetry, pci);
    else if (strcmp(driver, "i915") == 0)
        qm_telemetry_open_i915(telemetry, pci);
    else if (strcmp(driver, "xe") == 0)
        qm_telemetry_open_xe(telemetry, pci);
    else if (strcmp(driver, "nvidia") != 0) // NVML was asked
        qm_telemetry_open_hwmon(telemetry, pci);
}

static void open_readers(struct qm_telemetry *telemetry)
{
    char pci[QM_PATH_BYTES];
    uint32_t vendor = telemetry->params.vendor_id;
    bool has_pci = false;
    if (telemetry->params.is_cpu) {
        qm_telemetry_open_rapl(telemetry);
        qm_telemetry_open_processor(telemetry);
        qm_telemetry_open_thermal(telemetry, true);
        qm_telemetry_slope(telemetry);
        return;
    }
    has_pci = qm_telemetry_pci(telemetry, pci);
    if (vendor == 0x10de)
        qm_telemetry_open_nvml(telemetry);
    if (has_pci) {
        open_pci(telemetry, pci);
    } else if (telemetry->pci_address[0] == '\0' && vendor != 0x10de && vendor != 0x1002 && vendor != 0x8086) {
        // A GPU of a system on a chip: there is one of it.
        for (int q = 0; q < QM_TELEMETRY_QUANTITIES; ++q)
            qm_telemetry_fail(telemetry, (enum qm_telemetry_quantity)q, "no kgsl and no devfreq of a GPU shows it");
        qm_telemetry_open_kgsl(telemetry);
        qm_telemetry_open_devfreq(telemetry);
        qm_telemetry_open_thermal(telemetry, false);
    }
    qm_telemetry_slope(telemetry);
}

enum qm_status qm_telemetry_open(const struct qm_telemetry_params *params, struct qm_telemetry **out)
{
    struct qm_telemetry_sample first;
    struct qm_telemetry *telemetry = calloc(1, sizeof(*telemetry));
    *out = NULL;
    if (!telemetry)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a device's telemetry");
    telemetry->params = *params;
    snprintf(telemetry->root, sizeof(telemetry->root), "%s", params->root ? params->root : "");
    snprintf(telemetry->pci_address, sizeof(telemetry->pci_address), "%s",
             params->pci_address ? params->pci_address : "");
    telemetry->params.root = telemetry->root;
    telemetry->params.pci_address = telemetry->pci_address;
    for (int q = 0; q < QM_TELEMETRY_QUANTITIES; ++q)
        qm_telemetry_fail(telemetry, (enum qm_telemetry_quantity)q, "no source is known for this device");
    open_readers(telemetry);
    if (telemetry->is_without_memory) {
        qm_telemetry_close(&telemetry);
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a device's telemetry");
    }
    qm_telemetry_read(telemetry, &first);
    *out = telemetry;
    return QM_OK;
}

void qm_telemetry_close(struct qm_telemetry **telemetry)
{
    struct qm_telemetry *closed = *telemetry;
    *telemetry = NULL;
    if (!closed)
        return;
    for (size_t i = 0; i < closed->reader_count; ++i) {
        if (closed->readers[i].close)
            closed->readers[i].close(closed->readers[i].state);
    }
    for (size_t i = 0; i < closed->input_count; ++i)
        free(closed->inputs[i].path);
    free(closed->inputs);
    free(closed);
}
