// The binary table gpu_metrics of amdgpu.
//
// Layout: drivers/gpu/drm/amd/include/kgd_pp_interface.h, structures gpu_metrics_v1_0 ... v1_8, v2_0 ... v2_4 and v3_0:
// a header {uint16 structure_size, uint8 format_revision, uint8 content_revision}, then natural alignment and the byte
// order of the machine. Fields that the driver does not fill are all ones (smu_cmn_init_soft_gpu_metrics). A revision
// has changed its layout between kernels, so that the size must be the known one too.
//
// Read here:
//   indep_throttle_status       v1.3, v2.2, v2.3, v2.4: bits of drivers/gpu/drm/amd/pm/swsmu/inc/amdgpu_smu.h
//                               (SMU_THROTTLER_*): 0-15 power, 16-31 current, 32-55 temperature, 56 PPM, 57 FIT
//   throttle_status             v1.0 - v1.2, v1.4, v2.0, v2.1, and where the former is not filled: bits that each chip
//                               numbers in its own way, so that only "throttled" can be told
//   *_residency_acc             v1.6 - v1.8: time throttled by PROCHOT, package power, socket, regulator, memory
//   throttle_residency_*        v3.0: the same by PROCHOT, SPL, fast and slow package power, core, gfx, soc temperature
//   energy_accumulator          v1.4, v1.6 - v1.8 in 2^-16 J; earlier ones name no unit
#include "sys/telemetry_internal.h"

#include <stdio.h>
#include <string.h>

enum {
    NONE = 0 // no field begins at 0: the header does
};

struct layout {
    uint8_t format, content;
    uint16_t size;
    uint16_t throttle;            // where throttle_status begins, uint32
    uint16_t independent, energy; // uint64 each
    uint16_t residencies;         // uint32 each
    uint32_t flags[8];            // of each residency; 0 ends them
};

static const struct layout layouts[] = {
    {1, 0, 80, 68, NONE, NONE, NONE, {0}},
    {1, 1, 96, 68, NONE, NONE, NONE, {0}},
    {1, 2, 104, 68, NONE, NONE, NONE, {0}},
    {1, 3, 120, 68, 112, NONE, NONE, {0}},
    {1, 4, 288, 40, NONE, 24, NONE, {0}},
    {1,
     6,
     1664,
     NONE,
     NONE,
     16,
     36,
     {QM_THROTTLE_THERMAL, QM_THROTTLE_POWER, QM_THROTTLE_THERMAL, QM_THROTTLE_THERMAL, QM_THROTTLE_THERMAL}},
    {1,
     7,
     2208,
     NONE,
     NONE,
     24,
     44,
     {QM_THROTTLE_THERMAL, QM_THROTTLE_POWER, QM_THROTTLE_THERMAL, QM_THROTTLE_THERMAL, QM_THROTTLE_THERMAL}},
    {1,
     8,
     3360,
     NONE,
     NONE,
     24,
     44,
     {QM_THROTTLE_THERMAL, QM_THROTTLE_POWER, QM_THROTTLE_THERMAL, QM_THROTTLE_THERMAL, QM_THROTTLE_THERMAL}},
    {2, 0, 120, 112, NONE, NONE, NONE, {0}},
    {2, 1, 120, 108, NONE, NONE, NONE, {0}},
    {2, 2, 128, 108, 120, NONE, NONE, {0}},
    {2, 3, 152, 108, 120, NONE, NONE, {0}},
    {2, 4, 168, 108, 120, NONE, NONE, {0}},
    {3,
     0,
     264,
     NONE,
     NONE,
     NONE,
     228,
     {QM_THROTTLE_THERMAL, QM_THROTTLE_POWER, QM_THROTTLE_POWER, QM_THROTTLE_POWER, QM_THROTTLE_THERMAL,
      QM_THROTTLE_THERMAL, QM_THROTTLE_THERMAL}},
};

static uint32_t word_at(const unsigned char *bytes, size_t offset)
{
    uint32_t value;
    memcpy(&value, bytes + offset, sizeof(value));
    return value;
}

static uint64_t long_at(const unsigned char *bytes, size_t offset)
{
    uint64_t value;
    memcpy(&value, bytes + offset, sizeof(value));
    return value;
}

static uint32_t flags_of_independent(uint64_t status)
{
    uint32_t flags = 0;
    flags |= status & UINT64_C(0xffff) ? QM_THROTTLE_POWER : 0;
    flags |= status & UINT64_C(0xffff) << 16 ? QM_THROTTLE_CURRENT : 0;
    flags |= status & UINT64_C(0xffffff) << 32 ? QM_THROTTLE_THERMAL : 0;
    flags |= status & UINT64_C(1) << 57 ? QM_THROTTLE_RELIABILITY : 0;
    flags |= status & (UINT64_C(1) << 56 | UINT64_C(0x3f) << 58) ? QM_THROTTLE_OTHER : 0;
    return flags;
}

bool qm_gpu_metrics_decode(const void *bytes, size_t count, struct qm_gpu_metrics *out, char *reason, size_t capacity)
{
    const unsigned char *table = bytes;
    const struct layout *layout = NULL;
    uint16_t size = 0;
    *out = (struct qm_gpu_metrics){0};
    reason[0] = '\0';
    if (count < 4) {
        snprintf(reason, capacity, "unreadable: %zu bytes are no table", count);
        return false;
    }
    memcpy(&size, table, sizeof(size));
    snprintf(out->version, sizeof(out->version), "v%u.%u", table[2], table[3]);
    for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); ++i) {
        if (layouts[i].format == table[2] && layouts[i].content == table[3] && layouts[i].size == size)
            layout = &layouts[i];
    }
    if (!layout) {
        snprintf(reason, capacity, "%s with %u bytes is a layout that is not known here", out->version, size);
        return false;
    }
    if (count < size) {
        snprintf(reason, capacity, "unreadable: ends after %zu of %u bytes", count, size);
        return false;
    }
    if (layout->throttle != NONE && word_at(table, layout->throttle) != UINT32_MAX) {
        out->has_throttle = true;
        out->throttle = word_at(table, layout->throttle) != 0 ? QM_THROTTLE_OTHER : 0;
    }
    if (layout->independent != NONE && long_at(table, layout->independent) != UINT64_MAX) {
        out->has_throttle = true;
        out->throttle = flags_of_independent(long_at(table, layout->independent));
    }
    for (uint32_t i = 0; i < 8 && layout->residencies != NONE && layout->flags[i] != 0; ++i) {
        uint32_t residency = word_at(table, layout->residencies + 4 * (size_t)i);
        if (residency == UINT32_MAX)
            continue;
        out->residencies[out->residency_count] = residency;
        out->residency_flags[out->residency_count++] = layout->flags[i];
        out->has_throttle = true;
    }
    if (layout->energy != NONE && long_at(table, layout->energy) != UINT64_MAX) {
        out->has_energy = true;
        out->energy = long_at(table, layout->energy);
    }
    return true;
}
