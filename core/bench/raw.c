#include "bench/raw.h"

struct qm_point_run qm_point_of_profile(const struct qm_profile *profile, const struct qm_profile *asked, size_t index)
{
    if (index < profile->prefill_count)
        return (struct qm_point_run){.batch = profile->prefill[index].batch,
                                     .batch_asked = profile->prefill[index].batch,
                                     .tokens = profile->prefill[index].prompt};
    const struct qm_profile_decode *decode = &profile->decode[index - profile->prefill_count];
    return (struct qm_point_run){.is_decode = true,
                                 .batch = decode->batch,
                                 .batch_asked = asked->decode[index - profile->prefill_count].batch,
                                 .tokens = 1,
                                 .depth = decode->depth,
                                 .steps = decode->steps};
}
