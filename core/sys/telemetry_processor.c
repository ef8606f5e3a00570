// The processor's clock, load and throttling, for devices that run on it.
//
// Layout: Documentation/admin-guide/pm/cpufreq.rst: /sys/devices/system/cpu/cpufreq/policy<n>/scaling_cur_freq in kHz;
// Documentation/filesystems/proc.rst: the first line of /proc/stat is the time of all processors in ticks: user nice
// system idle iowait irq softirq steal guest guest_nice, where guest times are in user and nice already;
// Documentation/admin-guide/abi-testing (sysfs-devices-system-cpu): cpu<n>/thermal_throttle/core_throttle_count and
// package_throttle_count, by drivers/thermal/intel/therm_throt.c, which has package_power_limit_count as well.
#include "sys/telemetry_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SPREAD = 16, // processors that are read, evenly spread: each costs some microseconds and a machine may have 512
    NUMBERS_MAX = 1024
};

struct state {
    char stat[QM_PATH_BYTES];
    char cpuinfo[QM_PATH_BYTES]; // "" where cpufreq has the clock
    bool has_previous;
    uint64_t previous_busy, previous_total;
    char text[65536]; // of cpuinfo; of more processors the first count
};

bool qm_proc_stat(const char *text, struct qm_proc_stat *out)
{
    uint64_t fields[8] = {0};
    size_t count = 0;
    *out = (struct qm_proc_stat){0};
    if (strncmp(text, "cpu ", 4) != 0)
        return false;
    for (const char *at = text + 4; count < 8; ++count) {
        at += strspn(at, " ");
        if (!qm_text_unsigned(at, &fields[count]) || fields[count] > UINT64_MAX / 16)
            break;
        at += strcspn(at, " \n");
    }
    if (count < 4)
        return false;
    for (size_t i = 0; i < 8; ++i)
        out->total += fields[i];
    out->idle = fields[3] + fields[4];
    out->steal = fields[7];
    return true;
}

static void read_load(struct qm_telemetry *telemetry, struct state *state, struct qm_telemetry_sample *out)
{
    char text[512];
    struct qm_proc_stat now;
    long count = qm_tree_read(state->stat, text, sizeof(text));
    if (count < 0) {
        qm_telemetry_fail_file(telemetry, QM_TELEMETRY_BUSY, state->stat, (int)count);
        return;
    }
    if (!qm_proc_stat(text, &now)) {
        qm_telemetry_fail(telemetry, QM_TELEMETRY_BUSY, "stat: unreadable: no times of processors");
        return;
    }
    uint64_t busy = now.total - now.idle;
    if (!state->has_previous)
        qm_telemetry_fail(telemetry, QM_TELEMETRY_BUSY, "the first reading has no load");
    else if (now.total <= state->previous_total || busy < state->previous_busy)
        qm_telemetry_fail(telemetry, QM_TELEMETRY_BUSY, "two readings within a tick of /proc/stat have no load");
    else
        qm_telemetry_set(telemetry, out, QM_TELEMETRY_BUSY,
                         (double)(busy - state->previous_busy) / (double)(now.total - state->previous_total) * 100);
    state->has_previous = true;
    state->previous_busy = busy;
    state->previous_total = now.total;
}

// The mean of the lines "cpu MHz : 3400.000", which x86 has.
static bool mean_of_cpuinfo(struct state *state, double *megahertz)
{
    double sum = 0;
    size_t count = 0;
    if (qm_tree_read(state->cpuinfo, state->text, sizeof(state->text)) <= 0)
        return false;
    for (const char *line = state->text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        char value[32];
        if (strncmp(line, "cpu MHz", 7) != 0 || !qm_text_value(line, "cpu MHz", value, sizeof(value)))
            continue;
        sum += strtod(value, NULL);
        ++count;
    }
    *megahertz = count > 0 ? sum / (double)count : 0;
    return count > 0;
}

static void read_state(struct qm_telemetry *telemetry, void *reader, struct qm_telemetry_sample *out)
{
    struct state *state = reader;
    double megahertz;
    if (state->stat[0])
        read_load(telemetry, state, out);
    if (!state->cpuinfo[0])
        return;
    if (mean_of_cpuinfo(state, &megahertz))
        qm_telemetry_set(telemetry, out, QM_TELEMETRY_CLOCK, megahertz);
    else
        qm_telemetry_fail(telemetry, QM_TELEMETRY_CLOCK, "cpuinfo: unreadable: no line \"cpu MHz\"");
}

// The numbers n of the names PREFIXn in a directory, ascending.
static size_t list_numbers(const char *directory, const char *prefix, unsigned numbers[NUMBERS_MAX])
{
    struct qm_name_list list = {0};
    size_t count = 0, length = strlen(prefix);
    qm_tree_list(directory, &list);
    for (size_t i = 0; i < list.count && count < NUMBERS_MAX; ++i) {
        uint64_t number;
        if (strncmp(list.names[i], prefix, length) != 0 || !qm_text_unsigned(list.names[i] + length, &number) ||
            number > 65535)
            continue;
        size_t at = count++;
        for (; at > 0 && numbers[at - 1] > number; --at)
            numbers[at] = numbers[at - 1];
        numbers[at] = (unsigned)number;
    }
    qm_name_list_free(&list);
    return count;
}

static void open_clock(struct qm_telemetry *telemetry, const char *root)
{
    char folder[QM_PATH_BYTES], path[QM_PATH_BYTES];
    unsigned numbers[NUMBERS_MAX];
    size_t added = 0;
    int64_t value;
    if (!qm_tree_path(folder, root, "/sys/devices/system/cpu/cpufreq"))
        return;
    size_t count = list_numbers(folder, "policy", numbers);
    size_t wanted = count < SPREAD ? count : SPREAD;
    for (size_t i = 0; i < wanted; ++i) {
        if (!qm_tree_path(path, folder, "/policy%u/scaling_cur_freq", numbers[i * count / wanted]) ||
            qm_tree_signed(path, &value) != 0)
            continue;
        const struct qm_input input = {
            .quantity = QM_TELEMETRY_CLOCK, .kind = QM_INPUT_VALUE, .path = path, .scale = 1e-3};
        qm_telemetry_input(telemetry, &input);
        ++added;
    }
    if (added > 0)
        qm_telemetry_take(telemetry, QM_TELEMETRY_CLOCK, QM_COMBINE_MEAN,
                          "cpufreq scaling_cur_freq, mean of %zu of %zu policies", added, count);
}

static void open_throttle(struct qm_telemetry *telemetry, const char *root)
{
    static const struct {
        const char *name;
        uint32_t flags;
    } counts[] = {
        {"core_throttle_count", QM_THROTTLE_THERMAL},
        {"package_throttle_count", QM_THROTTLE_THERMAL},
        {"package_power_limit_count", QM_THROTTLE_POWER},
    };
    static const char *const cooling[] = {"cpufreq-", "thermal-cpufreq-", NULL};
    char folder[QM_PATH_BYTES], path[QM_PATH_BYTES];
    unsigned numbers[NUMBERS_MAX];
    uint64_t value;
    size_t added = 0;
    qm_telemetry_fail(telemetry, QM_TELEMETRY_THROTTLE, "this processor's driver counts none");
    if (!qm_tree_path(folder, root, "/sys/devices/system/cpu"))
        return;
    size_t count = list_numbers(folder, "cpu", numbers);
    size_t wanted = count < SPREAD ? count : SPREAD;
    for (size_t i = 0; i < wanted; ++i) {
        for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); ++c) {
            if (!qm_tree_path(path, folder, "/cpu%u/thermal_throttle/%s", numbers[i * count / wanted],
                              counts[c].name) ||
                qm_tree_unsigned(path, &value) != 0)
                continue;
            const struct qm_input input = {
                .quantity = QM_TELEMETRY_THROTTLE, .kind = QM_INPUT_RISE, .path = path, .flags = counts[c].flags};
            qm_telemetry_input(telemetry, &input);
            ++added;
        }
    }
    if (added > 0)
        qm_telemetry_take(telemetry, QM_TELEMETRY_THROTTLE, QM_COMBINE_MAXIMUM,
                          "thermal_throttle counts of %zu of %zu processors", wanted, count);
    else
        qm_telemetry_cooling(telemetry, cooling);
}

void qm_telemetry_open_processor(struct qm_telemetry *telemetry)
{
    const char *root = qm_telemetry_params_of(telemetry)->root;
    const struct qm_reader reader = {.read = read_state, .close = free, .state = calloc(1, sizeof(struct state))};
    struct state *state = reader.state;
    char text[512];
    struct qm_proc_stat stat;
    double megahertz;
    qm_telemetry_fail(telemetry, QM_TELEMETRY_CLOCK, "no cpufreq in /sys and no \"cpu MHz\" in /proc/cpuinfo");
    qm_telemetry_fail(telemetry, QM_TELEMETRY_MEMORY_CLOCK, "the system shows none");
    qm_telemetry_fail(telemetry, QM_TELEMETRY_MEMORY_USED, "a processor has the host's memory; see the conditions");
    open_clock(telemetry, root);
    open_throttle(telemetry, root);
    if (state) {
        if (!qm_telemetry_taken(telemetry, QM_TELEMETRY_CLOCK) && qm_tree_path(state->cpuinfo, root, "/proc/cpuinfo") &&
            mean_of_cpuinfo(state, &megahertz))
            qm_telemetry_take(telemetry, QM_TELEMETRY_CLOCK, QM_COMBINE_MEAN, "/proc/cpuinfo, mean of \"cpu MHz\"");
        else
            state->cpuinfo[0] = '\0';
        qm_telemetry_fail(telemetry, QM_TELEMETRY_BUSY, "/proc/stat: not there, or unreadable");
        if (qm_tree_path(state->stat, root, "/proc/stat") && qm_tree_read(state->stat, text, sizeof(text)) > 0 &&
            qm_proc_stat(text, &stat))
            qm_telemetry_take(telemetry, QM_TELEMETRY_BUSY, QM_COMBINE_MAXIMUM, "/proc/stat");
        else
            state->stat[0] = '\0';
    }
    qm_telemetry_reader(telemetry, &reader);
}
