// libFuzzer target: any bytes are the content of every file of a machine's /sys and /proc. Telemetry opens and reads
// without a value that cannot be, and with a reason where there is none; conditions are read and judged.
//
//   tools/fuzz.sh 60 telemetry
#include "sys/conditions.h"
#include "sys/telemetry_internal.h"

#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

#define CARD "/sys/bus/pci/devices/0000:0%d:00.0/"

static char root[64];

static void require(int condition)
{
    if (!condition)
        abort();
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    (void)info;
    (void)kind;
    (void)where;
    return remove(path);
}

static void remove_tree(void)
{
    nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void place(const char *path, const char *target)
{
    char full[256];
    snprintf(full, sizeof(full), "%s%s", root, path);
    for (char *at = full + strlen(root) + 1; (at = strchr(at, '/')); *at++ = '/') {
        *at = '\0';
        mkdir(full, 0777);
    }
    require(symlink(target, full) == 0);
}

static void place_on_card(int card, const char *name, const char *target)
{
    char path[128];
    snprintf(path, sizeof(path), CARD "%s", card, name);
    place(path, target);
}

// A file in memory, which all links lead to, so that an input is written once.
static char *memory_file(const char *name, int *file)
{
    static char path[64];
    *file = memfd_create(name, 0);
    require(*file >= 0);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", *file);
    return path;
}

static void make_tree(const char *input)
{
    static const char *const drivers[] = {"DRIVER=amdgpu\n", "DRIVER=i915\n", "DRIVER=xe\n", "DRIVER=radeon\n"};
    static const char *const names[] = {"amdgpu\n", "i915\n", "xe\n", "radeon\n"};
    static const char *const of_cards[] = {"gpu_metrics",
                                           "gpu_busy_percent",
                                           "mem_info_vram_used",
                                           "pp_dpm_mclk",
                                           "drm/card0/gt/gt0/rps_act_freq_mhz",
                                           "drm/card0/gt/gt0/throttle_reason_status",
                                           "drm/card0/gt/gt0/throttle_reason_pl1",
                                           "tile0/gt0/freq0/act_freq",
                                           "tile0/gt0/freq0/throttle/status",
                                           "tile0/gt0/freq0/throttle/reason_pl2",
                                           "hwmon/hwmon0/energy1_input",
                                           "hwmon/hwmon0/power1_average",
                                           "hwmon/hwmon0/temp1_input",
                                           "hwmon/hwmon0/temp1_label",
                                           "hwmon/hwmon0/freq1_input"};
    static const char *const others[] = {"/proc/stat",
                                         "/proc/cpuinfo",
                                         "/proc/meminfo",
                                         "/proc/loadavg",
                                         "/proc/self/stat",
                                         "/proc/1/stat",
                                         "/proc/2/stat",
                                         "/proc/2/fdinfo/3",
                                         "/proc/2/comm",
                                         "/proc/pressure/cpu",
                                         "/proc/pressure/memory",
                                         "/sys/class/powercap/intel-rapl:0/energy_uj",
                                         "/sys/class/powercap/intel-rapl:0/max_energy_range_uj",
                                         "/sys/class/thermal/thermal_zone0/type",
                                         "/sys/class/thermal/thermal_zone0/temp",
                                         "/sys/devices/system/cpu/cpufreq/policy0/scaling_governor",
                                         "/sys/devices/system/cpu/cpufreq/boost",
                                         "/sys/class/dmi/id/product_name",
                                         "/sys/class/power_supply/BAT0/type",
                                         "/sys/class/power_supply/BAT0/status"};
    snprintf(root, sizeof(root), "/tmp/qmark-fuzz-XXXXXX");
    require(mkdtemp(root) != NULL && atexit(remove_tree) == 0);
    for (int card = 0; card < 4; ++card) {
        int file;
        const char *path = memory_file("uevent", &file);
        require(write(file, drivers[card], strlen(drivers[card])) > 0);
        place_on_card(card, "uevent", path);
        path = memory_file("name", &file);
        require(write(file, names[card], strlen(names[card])) > 0);
        place_on_card(card, "hwmon/hwmon0/name", path);
        for (size_t i = 0; i < sizeof(of_cards) / sizeof(of_cards[0]); ++i)
            place_on_card(card, of_cards[i], input);
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); ++i)
        place(others[i], input);
    int file;
    const char *path = memory_file("package", &file);
    require(write(file, "package-0\n", 10) == 10);
    place("/sys/class/powercap/intel-rapl:0/name", path);
    place("/proc/2/fd/3", "/dev/dri/renderD128");
}

static void check(const struct qm_telemetry *telemetry, const struct qm_telemetry_sample *sample)
{
    for (int q = 0; q < QM_TELEMETRY_QUANTITIES; ++q) {
        enum qm_telemetry_quantity quantity = (enum qm_telemetry_quantity)q;
        bool has_value = qm_telemetry_has(sample, quantity);
        require(has_value == (qm_telemetry_reason(telemetry, quantity)[0] == '\0'));
        require(!has_value || qm_telemetry_source(telemetry, quantity)[0] != '\0');
    }
    require(isnan(sample->clock_mhz) || sample->clock_mhz > 0);
    require(isnan(sample->power_w) || sample->power_w > 0);
    require(isnan(sample->energy_j) || sample->energy_j >= 0);
    require(isnan(sample->busy_percent) || (sample->busy_percent >= 0 && sample->busy_percent <= 100));
    require(sample->throttle < 1u << QM_THROTTLE_REASONS);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static struct qm_host_conditions begin, end;
    static struct qm_condition_warnings warnings;
    static int file = -1;
    if (file < 0) {
        char path[64];
        snprintf(path, sizeof(path), "%s", memory_file("input", &file));
        make_tree(path);
    }
    // The first half is there at the begin, all of it later.
    require(ftruncate(file, 0) == 0 && pwrite(file, bytes, count, 0) == (ssize_t)count);
    require(qm_conditions_read(root, &begin) == QM_OK);
    for (int device = 0; device < 5; ++device) {
        char address[20] = "";
        struct qm_telemetry *telemetry = NULL;
        struct qm_telemetry_sample sample;
        if (device < 4)
            snprintf(address, sizeof(address), "0000:0%d:00.0", device);
        const struct qm_telemetry_params params = {.root = root, .pci_address = address, .is_cpu = device == 4};
        require(ftruncate(file, (off_t)(count / 2)) == 0);
        require(qm_telemetry_open(&params, &telemetry) == QM_OK);
        require(pwrite(file, bytes, count, 0) == (ssize_t)count);
        for (uint64_t i = 0; i < 3; ++i) {
            qm_telemetry_read_at(telemetry, UINT64_MAX / 2 + i * 20000000u, &sample);
            check(telemetry, &sample);
        }
        qm_telemetry_close(&telemetry);
    }
    require(qm_conditions_read(root, &end) == QM_OK);
    qm_conditions_warn(&begin, &end, &warnings);
    return 0;
}
