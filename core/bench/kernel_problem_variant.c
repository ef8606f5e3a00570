// Which variant of a kernel a row of a sweep is: of a tile, of a tier, or the best that the device proved.
#include "bench/kernel_problem_internal.h"

#include <string.h>

static const struct qm_kernel_variant *find_exactly(const char *name, const char *tile)
{
    const struct qm_kernel_variant *found = qm_kernel_find(name, tile);
    const char *end = found ? strrchr(found->name, '-') : NULL;
    return end && strcmp(end + 1, tile) == 0 ? found : NULL;
}

static const struct qm_kernel_variant *find_of_tier(const char *name, const char *tier)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < qm_kernel_variant_count; ++i) {
        const struct qm_kernel_variant *v = &qm_kernel_variants[i];
        if (strncmp(v->name, name, length) == 0 && v->name[length] == '-' && !strchr(v->name + length + 1, '-') &&
            strcmp(qm_kernel_tier(v), tier) == 0)
            return v;
    }
    return NULL;
}

static bool works(const struct qm_kernel_bench *bench, const char *name)
{
    for (size_t i = 0; i < bench->params.capability_count; ++i) {
        const struct qm_capability *c = &bench->params.capabilities[i];
        if (strcmp(c->name, name) == 0)
            return c->tried && c->works;
    }
    return false;
}

enum qm_status qm_problem_choose(const struct qm_kernel_bench *bench, const struct qm_kernel_item *item,
                                 uint64_t texel_bytes, const struct qm_kernel_variant **out)
{
    const struct qm_device_info *info = bench->params.device->info;
    bool is_texel = strcmp(item->tier, "texel") == 0, has_texels = works(bench, "texel_buffers");
    *out = NULL;
    if (item->tile[0])
        *out = find_exactly(item->name, item->tile);
    else if (!item->tier[0])
        *out = qm_kernel_find(item->name, qm_kernel_tile(info, has_texels ? texel_bytes : QM_KERNEL_BASE_TIER));
    else if (strcmp(item->tier, "base") == 0)
        *out = qm_kernel_find(item->name, qm_kernel_tile(info, QM_KERNEL_BASE_TIER));
    else
        *out = find_of_tier(item->name, item->tier);
    if (!*out && !qm_kernel_find(item->name, "narrow"))
        return QM_FAIL(QM_INVALID, "there is no kernel %s", item->name);
    if (!*out)
        return QM_FAIL(QM_UNSUPPORTED, "%s has no %s %s", item->name, item->tile[0] ? "tile" : "tier",
                       item->tile[0] ? item->tile : item->tier);
    if (is_texel && !has_texels)
        return QM_FAIL(QM_UNSUPPORTED, "tier texel: %s",
                       info->max_texel_bytes > 0 ? "advertised, failed self-test"
                                                 : "the device has no texel buffers of storage");
    return QM_OK;
}
