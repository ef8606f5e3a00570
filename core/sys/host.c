#include "sys/host.h"
#include "sys/tree.h"

#include <uv.h>

#include <langinfo.h>
#include <locale.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

// The value of PRETTY_NAME in /etc/os-release; false where there is none.
static bool read_system_name(char *text, size_t capacity)
{
    char line[256];
    bool found = false;
    FILE *file = fopen("/etc/os-release", "r");
    if (!file)
        return false;
    while (!found && fgets(line, sizeof(line), file)) {
        static const char key[] = "PRETTY_NAME=";
        if (strncmp(line, key, sizeof(key) - 1) != 0)
            continue;
        char *value = line + sizeof(key) - 1;
        value += *value == '"';
        value[strcspn(value, "\"\n")] = '\0';
        snprintf(text, capacity, "%s", value);
        found = *value != '\0';
    }
    fclose(file);
    return found;
}

void qm_host_describe(struct qm_host *out)
{
    uv_utsname_t names;
    uv_cpu_info_t *processors = NULL;
    int count = 0;
    *out = (struct qm_host){.kernel = "undisclosed", .machine = "undisclosed", .processor = "undisclosed"};
    snprintf(out->system, sizeof(out->system), "undisclosed");
    if (uv_os_uname(&names) == 0) {
        snprintf(out->system, sizeof(out->system), "%.127s", names.sysname);
        snprintf(out->kernel, sizeof(out->kernel), "%.120s %.120s", names.sysname, names.release);
        snprintf(out->machine, sizeof(out->machine), "%.63s", names.machine);
    }
    read_system_name(out->system, sizeof(out->system));
    if (uv_cpu_info(&processors, &count) == 0) {
        if (count > 0 && processors[0].model && processors[0].model[0] && strcmp(processors[0].model, "unknown") != 0)
            snprintf(out->processor, sizeof(out->processor), "%.127s", processors[0].model);
        uv_free_cpu_info(processors, count);
    }
    cpu_set_t usable;
    CPU_ZERO(&usable);
    if (sched_getaffinity(0, sizeof(usable), &usable) == 0)
        count = CPU_COUNT(&usable);
    out->cores = count > 0 ? (uint32_t)count : 0;
    out->memory_bytes = uv_get_total_memory();
    out->last_level_cache_bytes = qm_host_cache_bytes("");
}

// Layout: Documentation/ABI/testing/sysfs-devices-system-cpu: cpu0/cache/index<n>/level, type and size as "32768K".
uint64_t qm_host_cache_bytes(const char *root)
{
    uint64_t highest = 0, bytes = 0;
    for (int i = 0; i < 8; ++i) {
        char path[QM_PATH_BYTES], type[32], text[32];
        uint64_t level, size;
        if (!qm_tree_path(path, root, "/sys/devices/system/cpu/cpu0/cache/index%d/level", i) ||
            qm_tree_unsigned(path, &level) != 0 || level <= highest ||
            !qm_tree_path(path, root, "/sys/devices/system/cpu/cpu0/cache/index%d/type", i) ||
            qm_tree_line(path, type, sizeof(type)) != 0 || strcmp(type, "Instruction") == 0 ||
            !qm_tree_path(path, root, "/sys/devices/system/cpu/cpu0/cache/index%d/size", i) ||
            qm_tree_line(path, text, sizeof(text)) != 0)
            continue;
        size_t digits = strspn(text, "0123456789");
        uint64_t unit = text[digits] == 'M' ? 1048576 : 1024; // K
        if (text[digits] != 'K' && text[digits] != 'M')
            continue;
        text[digits] = '\0';
        if (!qm_text_unsigned(text, &size) || size > UINT64_MAX / unit)
            continue;
        highest = level;
        bytes = size * unit;
    }
    return bytes;
}

uint64_t qm_host_available_bytes(void)
{
    char line[128];
    uint64_t available = UINT64_MAX;
    FILE *file = fopen("/proc/meminfo", "r");
    while (file && fgets(line, sizeof(line), file)) {
        static const char key[] = "MemAvailable:";
        if (strncmp(line, key, sizeof(key) - 1) == 0)
            available = strtoull(line + sizeof(key) - 1, NULL, 10) * 1024;
    }
    if (file)
        fclose(file);
    uint64_t limit = uv_get_constrained_memory(); // of a container; 0: none
    return limit > 0 && limit < available ? limit : available;
}

uint64_t qm_clock_ns(void)
{
    return uv_hrtime();
}

void qm_sleep_ns(uint64_t ns)
{
    struct timespec left = {.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};
    while (nanosleep(&left, &left) != 0) {
    }
}

void qm_time_utc(char text[QM_TIME_TEXT_BYTES])
{
    struct tm parts;
    time_t now = time(NULL);
    if (!gmtime_r(&now, &parts) || strftime(text, QM_TIME_TEXT_BYTES, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
        snprintf(text, QM_TIME_TEXT_BYTES, "undisclosed");
}

int64_t qm_time_s(void)
{
    return (int64_t)time(NULL);
}

bool qm_is_terminal(int descriptor)
{
    return isatty(descriptor) == 1;
}

unsigned qm_terminal_columns(int descriptor, unsigned otherwise)
{
    struct winsize size;
    if (!qm_is_terminal(descriptor) || ioctl(descriptor, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return otherwise;
    return size.ws_col;
}

unsigned qm_terminal_rows(int descriptor, unsigned otherwise)
{
    struct winsize size;
    if (!qm_is_terminal(descriptor) || ioctl(descriptor, TIOCGWINSZ, &size) != 0 || size.ws_row == 0)
        return otherwise;
    return size.ws_row;
}

static bool names_utf8(const char *name)
{
    const char *dot = strchr(name, '.');
    return dot && (strncasecmp(dot + 1, "utf-8", 5) == 0 || strncasecmp(dot + 1, "utf8", 4) == 0);
}

bool qm_locale_is_utf8(void)
{
    static const char *const variables[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    locale_t locale = newlocale(LC_CTYPE_MASK, "", (locale_t)0);
    if (locale) {
        bool is_utf8 = strcmp(nl_langinfo_l(CODESET, locale), "UTF-8") == 0;
        freelocale(locale);
        return is_utf8;
    }
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); ++i) {
        const char *value = getenv(variables[i]);
        if (value && *value)
            return names_utf8(value);
    }
    return false;
}

bool qm_terminal_can_move(int descriptor)
{
    const char *terminal = getenv("TERM");
    return qm_is_terminal(descriptor) && terminal && *terminal && strcmp(terminal, "dumb") != 0;
}

bool qm_terminal_has_colour(int descriptor)
{
    const char *none = getenv("NO_COLOR");
    return qm_terminal_can_move(descriptor) && !(none && *none);
}

uint32_t qm_process_id(void)
{
    return (uint32_t)uv_os_getpid();
}
