// Adreno with Qualcomm's driver kgsl, as on Android.
//
// Layout: drivers/gpu/msm/kgsl_pwrctrl.c of Qualcomm's kernels: below /sys/class/kgsl/kgsl-3d0: gpuclk in hertz,
// gpu_busy_percentage as "12 %", temp in millidegrees (the hottest of the GPU's thermal zones), thermal_pwrlevel: the
// fastest level that thermal mitigation leaves, 0 where it takes none. Writing max_gpuclk sets the same level, so that a
// limit of the user's shows as a thermal one.
#include "sys/telemetry_internal.h"

void qm_telemetry_open_kgsl(struct qm_telemetry *telemetry)
{
    char path[QM_PATH_BYTES], file[QM_PATH_BYTES];
    uint64_t level;
    if (!qm_tree_path(path, qm_telemetry_params_of(telemetry)->root, "/sys/class/kgsl/kgsl-3d0") ||
        !qm_directory_exists(path))
        return;
    for (int q = 0; q < QM_TELEMETRY_QUANTITIES; ++q)
        qm_telemetry_fail(telemetry, (enum qm_telemetry_quantity)q, "kgsl shows none");
    qm_telemetry_gauge(telemetry, QM_TELEMETRY_CLOCK, path, "gpuclk", 1e-6, "kgsl gpuclk");
    qm_telemetry_gauge(telemetry, QM_TELEMETRY_BUSY, path, "gpu_busy_percentage", 1, "kgsl gpu_busy_percentage");
    qm_telemetry_gauge(telemetry, QM_TELEMETRY_TEMPERATURE, path, "temp", 1e-3, "kgsl temp");
    if (!qm_tree_path(file, path, "/thermal_pwrlevel"))
        return;
    int result = qm_tree_unsigned(file, &level);
    if (result != 0) {
        qm_telemetry_fail_file(telemetry, QM_TELEMETRY_THROTTLE, file, result);
        return;
    }
    qm_telemetry_take(telemetry, QM_TELEMETRY_THROTTLE, QM_COMBINE_MAXIMUM, "kgsl thermal_pwrlevel");
    const struct qm_input input = {
        .quantity = QM_TELEMETRY_THROTTLE, .kind = QM_INPUT_FLAG, .path = file, .flags = QM_THROTTLE_THERMAL};
    qm_telemetry_input(telemetry, &input);
}
