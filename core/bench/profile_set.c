// What options of the command line put in the place of a profile's keys.
#include "bench/profile.h"

#include <string.h>

enum qm_status qm_profile_set_tier(struct qm_profile *profile, const char *name)
{
    for (int i = 0; i <= QM_PROFILE_TIER_BEST; ++i) {
        if (strcmp(qm_profile_tier_name((enum qm_profile_tier)i), name) != 0)
            continue;
        profile->tier = (enum qm_profile_tier)i;
        return qm_profile_update(profile);
    }
    return QM_FAIL(QM_INVALID, "--tier '%.40s' is none; use best, base, texel, f16, dot, subgroup or matrix", name);
}

enum qm_status qm_profile_set_tiles(struct qm_profile *profile, const char *name)
{
    if (strcmp(name, "fixed") != 0 && strcmp(name, "tuned") != 0)
        return QM_FAIL(QM_INVALID, "--tiles '%.40s' is none; use fixed or tuned", name);
    profile->is_tuned = strcmp(name, "tuned") == 0;
    return qm_profile_update(profile);
}
