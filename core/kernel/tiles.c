// Which tile and which tiers suit a device: one table, by class and limits, the same for both APIs.
#include "kernel/kernels.h"

#include "kernel/configure.h"

#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

// ---- Tiers --------------------------------------------------------------------------------------------------------

// A tier's kernels are those that are compiled with its definition; its capability is what the self-test tries.
static const struct {
    const char *name, *definition, *capability;
} tiers[QM_TIER_COUNT] = {
    [QM_TIER_BASE] = {"base", NULL, NULL},
    [QM_TIER_TEXEL] = {"texel", "-DQM_TEXEL", "texel_buffers"},
    [QM_TIER_F16] = {"f16", "-DQM_FP16", "fp16"},
    [QM_TIER_DOT] = {"dot", "-DQM_PACKED_DOT", "packed_dot"},
    [QM_TIER_SUBGROUP] = {"subgroup", "-DQM_SUBGROUPS", "subgroups"},
    [QM_TIER_MATRIX] = {"matrix", "-DQM_MATRIX", "cooperative_matrix"},
};

const char *qm_tier_name(enum qm_tier tier)
{
    return tiers[tier].name;
}

bool qm_tier_find(const char *name, enum qm_tier *out)
{
    for (size_t t = 0; t < QM_TIER_COUNT; ++t) {
        if (strcmp(tiers[t].name, name) != 0)
            continue;
        *out = (enum qm_tier)t;
        return true;
    }
    return false;
}

const char *qm_kernel_tier(const struct qm_kernel_variant *variant)
{
    for (size_t t = QM_TIER_COUNT; t-- > 1;) {
        const char *at = strstr(variant->definitions, tiers[t].definition);
        size_t length = strlen(tiers[t].definition);
        if (at && (at[length] == ' ' || at[length] == '\0'))
            return tiers[t].name;
    }
    return tiers[QM_TIER_BASE].name;
}

static const struct qm_capability *capability_of(enum qm_tier tier, const struct qm_capability *list, size_t count)
{
    for (size_t i = 0; i < count && tiers[tier].capability; ++i) {
        if (strcmp(list[i].name, tiers[tier].capability) == 0)
            return &list[i];
    }
    return NULL;
}

enum qm_tier_state qm_tier_state(enum qm_tier tier, const struct qm_capability *list, size_t count)
{
    if (tier == QM_TIER_BASE)
        return QM_TIER_WORKS;
    const struct qm_capability *c = capability_of(tier, list, count);
    if (!c || !c->advertised)
        return QM_TIER_UNSUPPORTED;
    return c->tried && c->works ? QM_TIER_WORKS : c->tried ? QM_TIER_FAILED : QM_TIER_UNTRIED;
}

uint32_t qm_tiers_working(const struct qm_capability *list, size_t count)
{
    uint32_t working = 0;
    for (size_t t = 0; t < QM_TIER_COUNT; ++t) {
        if (qm_tier_state((enum qm_tier)t, list, count) == QM_TIER_WORKS)
            working |= 1u << t;
    }
    return working;
}

void qm_tier_text(enum qm_tier tier, const struct qm_capability *list, size_t count, char text[192])
{
    const struct qm_capability *c = capability_of(tier, list, count);
    const char *detail = c && c->detail[0] ? c->detail : "";
    switch (qm_tier_state(tier, list, count)) {
    case QM_TIER_WORKS:
        snprintf(text, 192, "works");
        return;
    case QM_TIER_UNTRIED:
        snprintf(text, 192, "advertised, not tried");
        return;
    case QM_TIER_FAILED:
        snprintf(text, 192, "advertised, failed self-test%s%s", detail[0] ? ": " : "", detail);
        return;
    default:
        snprintf(text, 192, "unsupported: the driver does not offer %s%s%s%s", tiers[tier].capability,
                 detail[0] ? " (" : "", detail, detail[0] ? ")" : "");
    }
}

// ---- Devices ------------------------------------------------------------------------------------------------------

enum {
    MOBILE_LOCAL_BYTES = 32768 // of local memory at most; larger GPUs that share the host's memory have more
};

enum qm_device_class qm_device_class(const struct qm_device_info *info)
{
    switch (info->type) {
    case QM_DEVICE_CPU:
        return QM_CLASS_CPU;
    case QM_DEVICE_DISCRETE:
        return QM_CLASS_DISCRETE;
    case QM_DEVICE_INTEGRATED:
        return info->max_local_bytes <= MOBILE_LOCAL_BYTES ? QM_CLASS_MOBILE : QM_CLASS_INTEGRATED;
    default: // virtual, or of no kind that has a name: what every GPU can run
        return QM_CLASS_INTEGRATED;
    }
}

const char *qm_device_class_name(enum qm_device_class class)
{
    static const char *const names[] = {"cpu", "integrated", "discrete", "mobile"};
    return names[class];
}

// ---- Tiles --------------------------------------------------------------------------------------------------------

enum tile {
    NARROW,
    TEXEL,
    VECTOR,
    VECTOR8,
    WIDE,
    LARGE,
    COMPACT
};

#define BIT(tier) (1u << QM_TIER_##tier)

// The first row of a class whose limits the device has. `best` are the tiers that are taken without being asked for, where
// they work: on processors the driver makes shifts and additions of what dot and subgroup are on a GPU, and f16 conversions
// to and fro. f16 is nowhere among them: its sums have fewer bits, so that it is taken when asked for.
static const struct {
    enum qm_device_class class;
    enum tile tile;
    uint32_t vector_width, invocations, local_bytes; // at least
    uint32_t best;
} table[] = {
    {QM_CLASS_CPU, VECTOR, 16, 1, 0, 0},
    {QM_CLASS_CPU, VECTOR8, 4, 1, 0, 0},
    {QM_CLASS_CPU, NARROW, 0, 0, 0, BIT(TEXEL)},
    {QM_CLASS_DISCRETE, LARGE, 0, 256, 32768, BIT(MATRIX) | BIT(DOT) | BIT(SUBGROUP)},
    {QM_CLASS_DISCRETE, WIDE, 0, 128, 16384, BIT(MATRIX) | BIT(DOT) | BIT(SUBGROUP)},
    {QM_CLASS_INTEGRATED, WIDE, 0, 128, 16384, BIT(MATRIX) | BIT(DOT) | BIT(SUBGROUP)},
    {QM_CLASS_MOBILE, COMPACT, 0, 128, 16384, BIT(DOT) | BIT(TEXEL) | BIT(SUBGROUP)},
};

// A tile with its tiers, in the order in which a kernel looks for its variant: indexed by which of them there are.
#define WITH_SUBGROUP(text) text, text "+subgroup"
#define WITH_TEXEL(text) WITH_SUBGROUP(text), WITH_SUBGROUP(text "+texel")
#define WITH_DOT(text) WITH_TEXEL(text), WITH_TEXEL(text "+dot")
#define WITH_ALL(text)                                                                                                 \
    {                                                                                                                  \
        WITH_DOT(text), WITH_DOT(text "+matrix"), text "+f16"                                                          \
    }
enum {
    WITH_F16 = 16
};
static const char *const names[][17] = {
    [NARROW] = WITH_ALL("narrow"),   [TEXEL] = WITH_ALL("texel"), [VECTOR] = WITH_ALL("vector"),
    [WIDE] = WITH_ALL("wide"),       [LARGE] = WITH_ALL("large"), [COMPACT] = WITH_ALL("compact"),
    [VECTOR8] = WITH_ALL("vector8"),
};

static const char *name_of(enum tile tile, uint32_t which)
{
    // For lanes of a processor the tier is a tile of its own, which has other rows and columns.
    if (tile == NARROW && which == BIT(TEXEL))
        return names[TEXEL][0];
    if (which & BIT(F16))
        return names[tile][WITH_F16];
    return names[tile][(which & BIT(SUBGROUP) ? 1u : 0u) + (which & BIT(TEXEL) ? 2u : 0u) +
                       (which & BIT(DOT) ? 4u : 0u) + (which & BIT(MATRIX) ? 8u : 0u)];
}

static bool has_limits(const struct qm_device_info *info, size_t row)
{
    return info->vector_width >= table[row].vector_width && info->max_workgroup_invocations >= table[row].invocations &&
           info->max_local_bytes >= table[row].local_bytes;
}

const char *qm_tiers_best(const struct qm_device_info *info, uint32_t working, uint64_t texel_bytes)
{
    enum qm_device_class class = qm_device_class(info);
    if (texel_bytes > info->max_texel_bytes)
        working &= ~BIT(TEXEL);
    if (!info->has_fast_dot)
        working &= ~BIT(DOT);
    for (size_t i = 0; i < COUNT(table); ++i) {
        if (table[i].class == class && has_limits(info, i))
            return name_of(table[i].tile, working & table[i].best);
    }
    return name_of(class == QM_CLASS_CPU ? NARROW : WIDE, 0);
}

enum qm_status qm_tiers_force(const struct qm_device_info *info, const struct qm_capability *list, size_t count,
                              enum qm_tier tier, uint64_t texel_bytes, const char **tile)
{
    uint32_t working = qm_tiers_working(list, count), chosen = tier == QM_TIER_BASE ? 0 : 1u << tier;
    if (tier == QM_TIER_TEXEL && (working & chosen) && texel_bytes > info->max_texel_bytes)
        return QM_FAIL(QM_UNSUPPORTED,
                       "tier texel: %s reads %llu bytes as texels and a binding here has %llu; take base or best",
                       info->id, (unsigned long long)info->max_texel_bytes, (unsigned long long)texel_bytes);
    if (chosen & ~working) {
        char text[192], has[96] = "base";
        qm_tier_text(tier, list, count, text);
        for (size_t t = 1; t < QM_TIER_COUNT; ++t) {
            size_t used = strlen(has);
            if (working & (1u << t))
                snprintf(has + used, sizeof(has) - used, ", %s", tiers[t].name);
        }
        return QM_FAIL(QM_UNSUPPORTED, "tier %s: %s; %s has %s", tiers[tier].name, text, info->id, has);
    }
    enum tile base = WIDE;
    enum qm_device_class class = qm_device_class(info);
    for (size_t i = COUNT(table); i-- > 0;) {
        if (table[i].class == class && has_limits(info, i))
            base = table[i].tile;
    }
    if (tier == QM_TIER_TEXEL) // whose kernels are those of two tiles
        base = class == QM_CLASS_CPU ? NARROW : COMPACT;
    *tile = name_of(base, chosen);
    return QM_OK;
}

const char *qm_kernel_tile(const struct qm_device_info *info, uint64_t texel_bytes)
{
    return qm_tiers_best(info, info->max_texel_bytes > 0 ? BIT(TEXEL) : 0, texel_bytes);
}

// ---- Finding ------------------------------------------------------------------------------------------------------

// Where a kernel has no row of a tile: the next tile to ask.
static const char *fallback_of(const char *tile)
{
    if (strcmp(tile, "large") == 0 || strcmp(tile, "compact") == 0)
        return "wide";
    if (strcmp(tile, "vector8") == 0)
        return "vector";
    return strcmp(tile, "narrow") == 0 ? NULL : "narrow";
}

static const struct qm_kernel_variant *find_exactly(const char *name, const char *tile)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < qm_kernel_variant_count; ++i) {
        const char *candidate = qm_kernel_variants[i].name;
        if (strncmp(candidate, name, length) == 0 && candidate[length] == '-' &&
            strcmp(candidate + length + 1, tile) == 0)
            return &qm_kernel_variants[i];
    }
    return NULL;
}

static const struct qm_kernel_variant *find_fixed(const char *name, const char *tile)
{
    char base[QM_TILE_BYTES], text[QM_TILE_BYTES];
    const struct qm_kernel_variant *found = find_exactly(name, tile);
    size_t length = strcspn(tile, "+.");
    if (found || length >= sizeof(base))
        return found ? found : find_exactly(name, "narrow");
    snprintf(base, sizeof(base), "%.*s", (int)length, tile);
    // A tier has rows for tiles of GPUs alone; a processor that is asked for one runs that of `wide`.
    for (const char *tier = tile + length; *tier == '+'; tier += 1 + strcspn(tier + 1, "+")) {
        int width = (int)strcspn(tier + 1, "+");
        snprintf(text, sizeof(text), "%.16s.%.*s", base, width, tier + 1);
        found = find_exactly(name, text);
        snprintf(text, sizeof(text), "wide.%.*s", width, tier + 1);
        found = found ? found : find_exactly(name, text);
        if (found)
            return found;
    }
    for (const char *t = base; t && !found; t = fallback_of(t))
        found = find_exactly(name, t);
    return found ? found : find_exactly(name, "narrow");
}

const struct qm_kernel_variant *qm_kernel_find(const char *name, const char *tile)
{
    static const char tuned[] = "+tuned";
    size_t length = strlen(tile), tail = sizeof(tuned) - 1;
    char fixed[QM_TILE_BYTES];
    if (length < tail || length >= sizeof(fixed) || strcmp(tile + length - tail, tuned) != 0)
        return find_fixed(name, tile);
    snprintf(fixed, sizeof(fixed), "%.*s", (int)(length - tail), tile);
    const struct qm_kernel_variant *right = find_fixed(name, fixed);
    return right ? qm_kernel_tuned(right) : NULL;
}
