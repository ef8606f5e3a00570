// xe, Intel's GPUs since Lunar Lake and Battlemage.
//
// Layout: drivers/gpu/drm/xe/xe_gt_freq.c: tile<n>/gt<n>/freq0/act_freq in MHz, 0 while the GT sleeps;
// drivers/gpu/drm/xe/xe_gt_throttle.c: freq0/throttle/status and reason_*; the first GT of a tile is the one that
// computes, a second is for media. Documentation/ABI/testing/sysfs-driver-intel-xe-hwmon: energy1_input of the card and
// energy2_input of the package in microjoules, temp2_input of the package in millidegrees.
#include "sys/telemetry_intel.h"

#include <stdlib.h>

enum {
    TILES_MAX = 4,
    GT_NUMBERS = 16
};

void qm_telemetry_open_xe(struct qm_telemetry *telemetry, const char *pci)
{
    char path[QM_PATH_BYTES], hwmon[QM_PATH_BYTES];
    char(*directories)[QM_PATH_BYTES] = calloc(QM_INTEL_GTS_MAX, sizeof(*directories));
    size_t count = 0, tiles = 0;
    for (int q = 0; q < QM_TELEMETRY_QUANTITIES; ++q)
        qm_telemetry_fail(telemetry, (enum qm_telemetry_quantity)q, "xe shows none in /sys");
    qm_telemetry_fail(telemetry, QM_TELEMETRY_CLOCK, "no tile0/gt0/freq0 below the PCI device");
    struct qm_input clocks[TILES_MAX];
    char paths[TILES_MAX][QM_PATH_BYTES];
    for (int tile = 0; directories && tile < TILES_MAX; ++tile) {
        bool has_clock = false;
        for (int gt = 0; gt < GT_NUMBERS && count < QM_INTEL_GTS_MAX; ++gt) {
            int64_t value;
            if (!qm_tree_path(path, pci, "/tile%d/gt%d/freq0", tile, gt) || !qm_directory_exists(path))
                continue;
            if (!has_clock && qm_tree_path(paths[tiles], path, "/act_freq")) {
                int result = qm_tree_signed(paths[tiles], &value);
                has_clock = result == 0;
                if (result != 0)
                    qm_telemetry_fail_file(telemetry, QM_TELEMETRY_CLOCK, paths[tiles], result);
            }
            if (qm_tree_path(directories[count], path, "/throttle"))
                ++count;
        }
        if (has_clock) {
            clocks[tiles] = (struct qm_input){
                .quantity = QM_TELEMETRY_CLOCK, .kind = QM_INPUT_VALUE, .path = paths[tiles], .scale = 1};
            ++tiles;
        }
    }
    if (tiles > 0)
        qm_telemetry_take(telemetry, QM_TELEMETRY_CLOCK, QM_COMBINE_MAXIMUM, "xe act_freq%s",
                          tiles > 1 ? ", the highest of the tiles" : "");
    for (size_t i = 0; i < tiles; ++i)
        qm_telemetry_input(telemetry, &clocks[i]);
    qm_telemetry_intel_throttle(telemetry, directories, count, "status", "reason_", "xe freq0/throttle");
    free(directories);
    if (!qm_telemetry_hwmon(pci, "xe", hwmon)) {
        qm_telemetry_fail(telemetry, QM_TELEMETRY_ENERGY, "no hwmon below the PCI device");
        qm_telemetry_fail(telemetry, QM_TELEMETRY_POWER, "no hwmon below the PCI device");
        qm_telemetry_fail(telemetry, QM_TELEMETRY_TEMPERATURE, "no hwmon below the PCI device");
        return;
    }
    if (!qm_telemetry_energy(telemetry, hwmon, "energy1_input", "xe hwmon energy1_input (card)"))
        qm_telemetry_energy(telemetry, hwmon, "energy2_input", "xe hwmon energy2_input (package)");
    qm_telemetry_gauge(telemetry, QM_TELEMETRY_TEMPERATURE, hwmon, "temp2_input", 1e-3,
                       "xe hwmon temp2_input (package)");
}
