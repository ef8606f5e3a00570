#include "score/medians.h"

#include "score/ordered.h"

#include <math.h> // isfinite only
#include <stdlib.h>
#include <string.h>

static enum qm_status check(const double *samples, size_t count)
{
    for (size_t i = 0; i < count; ++i)
        if (!isfinite(samples[i]) || samples[i] <= 0)
            return QM_FAIL(QM_INVALID, "sample %zu is %g; expected a time above 0", i, samples[i]);
    return QM_OK;
}

static double median_of(const double *samples, size_t count, double *room)
{
    memcpy(room, samples, count * sizeof(*room));
    qm_values_sort(room, count);
    return qm_sorted_median(room, count);
}

static double drawn_median(struct qm_random *random, const double *samples, size_t count, double *room)
{
    for (size_t i = 0; i < count; ++i)
        room[i] = samples[qm_random_below(random, (uint32_t)count)];
    qm_values_sort(room, count);
    return qm_sorted_median(room, count);
}

enum qm_status qm_ratio_of_medians(const double *before, size_t before_count, const double *after, size_t after_count,
                                   const struct qm_bootstrap *bootstrap, struct qm_estimate *out)
{
    size_t most = before_count > after_count ? before_count : after_count;
    struct qm_random random;
    enum qm_status status = QM_OK;
    *out = (struct qm_estimate){0};
    QM_TRY(qm_bootstrap_check(bootstrap));
    QM_TRY(check(before, before_count));
    QM_TRY(check(after, after_count));
    if (before_count == 0 || after_count == 0)
        return QM_OK;
    double *room = malloc(most * sizeof(*room)), *statistics = malloc(bootstrap->resamples * sizeof(*statistics));
    if (!room || !statistics) {
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a ratio of %zu samples", most);
        goto done;
    }
    out->state = QM_ESTIMATE_POINT;
    out->value = median_of(before, before_count, room) / median_of(after, after_count, room);
    if (before_count < QM_RATIO_BLOCKS_MIN || after_count < QM_RATIO_BLOCKS_MIN)
        goto done;
    qm_random_seed(&random, bootstrap->seed, 0);
    for (uint32_t i = 0; i < bootstrap->resamples; ++i) {
        double numerator = drawn_median(&random, before, before_count, room);
        statistics[i] = numerator / drawn_median(&random, after, after_count, room);
    }
    qm_bootstrap_interval(bootstrap, statistics, &out->low, &out->high);
    out->state = QM_ESTIMATE_INTERVAL;
done:
    free(room);
    free(statistics);
    return status;
}
