// Which variant of a kernel a row of a sweep is: of a tile, of a tier, or the best that the device proved.
#include "bench/kernel_problem_internal.h"

#include <string.h>

static const struct qm_kernel_variant *find_exactly(const char *name, const char *tile)
{
    const struct qm_kernel_variant *found = qm_kernel_find(name, tile);
    const char *end = found ? strrchr(found->name, '-') : NULL;
    return end && strcmp(end + 1, tile) == 0 ? found : NULL;
}

enum qm_status qm_problem_choose(const struct qm_kernel_bench *bench, const struct qm_kernel_item *item,
                                 uint64_t texel_bytes, const struct qm_kernel_variant **out)
{
    const struct qm_device_info *info = bench->params.device->info;
    const struct qm_capability *capabilities = bench->params.capabilities;
    size_t count = bench->params.capability_count;
    const char *tile = item->tile;
    enum qm_tier tier = QM_TIER_BASE;
    *out = NULL;
    if (!qm_kernel_find(item->name, "narrow"))
        return QM_FAIL(QM_INVALID, "there is no kernel %s", item->name);
    if (item->tile[0]) {
        *out = find_exactly(item->name, item->tile);
    } else if (item->tier[0]) {
        if (!qm_tier_find(item->tier, &tier))
            return QM_FAIL(QM_INVALID, "there is no tier %s", item->tier);
        QM_TRY(qm_tiers_force(info, capabilities, count, tier, texel_bytes, &tile));
        *out = qm_kernel_find(item->name, tile);
        if (*out && strcmp(qm_kernel_tier(*out), item->tier) != 0) // it takes its base
            *out = NULL;
    } else {
        *out = qm_kernel_find(item->name, qm_tiers_best(info, qm_tiers_working(capabilities, count), texel_bytes));
    }
    if (!*out)
        return QM_FAIL(QM_UNSUPPORTED, "%s has no %s %s", item->name, item->tile[0] ? "tile" : "tier",
                       item->tile[0] ? item->tile : item->tier);
    return QM_OK;
}
