#include "cli/over_time.h"

#include <stdlib.h>

static double tokens_of(const struct qm_point_run *point)
{
    return (double)point->batch * point->tokens * (point->is_decode ? point->steps : 1);
}

// Tokens of the blocks that ended in each piece of time, over the time that these blocks took.
static size_t of_sustained(const struct qm_sustained_run *run, const struct qm_point_run *point, double *rates)
{
    double end = run->begin_ns[run->count - 1] + run->wall_ns[run->count - 1], ns[QM_OVER_TIME_PIECES] = {0};
    size_t pieces = run->count < QM_OVER_TIME_PIECES ? run->count : QM_OVER_TIME_PIECES, count = 0;
    for (size_t i = 0; i < pieces; i++)
        rates[i] = 0;
    for (size_t i = 0; i < run->count && end > 0; i++) {
        size_t piece = (size_t)((run->begin_ns[i] + run->wall_ns[i]) / end * (double)pieces);
        piece = piece < pieces ? piece : pieces - 1;
        rates[piece] += tokens_of(point);
        ns[piece] += run->wall_ns[i];
    }
    for (size_t i = 0; i < pieces; i++) // one in which no block ended is no standstill
        if (ns[i] > 0)
            rates[count++] = rates[i] / ns[i] * 1e9;
    return count;
}

static size_t of_blocks(const struct qm_point_run *point, double *rates)
{
    for (size_t i = 0; i < point->count; i++)
        rates[i] = point->wall_ns[i] > 0 ? tokens_of(point) / point->wall_ns[i] * 1e9 : 0;
    return point->count;
}

void qm_over_time_make(const struct qm_prepared *prepared, const struct qm_device_run *run, struct qm_over_time *out)
{
    *out = (struct qm_over_time){.count = 0};
    for (size_t s = 0; s < run->scheme_count; s++) {
        const struct qm_scheme_run *scheme = &run->schemes[s];
        const bool is_sustained = scheme->sustained.is_measured && scheme->sustained.count > 0;
        if (scheme->status != QM_OK || scheme->point_count == 0)
            continue;
        const struct qm_point_run *point =
            &scheme->points[is_sustained ? scheme->sustained.point : scheme->point_count - 1];
        size_t room = is_sustained ? QM_OVER_TIME_PIECES : point->count;
        double *rates = calloc(room + 1, sizeof(*rates));
        if (!rates)
            continue;
        struct qm_closing_series *series = &out->series[out->count];
        series->scheme = prepared->schemes[s].scheme.name;
        series->count = is_sustained ? of_sustained(&scheme->sustained, point, rates) : of_blocks(point, rates);
        if (is_sustained)
            series->seconds = (scheme->sustained.begin_ns[scheme->sustained.count - 1] +
                               scheme->sustained.wall_ns[scheme->sustained.count - 1]) *
                              1e-9;
        series->tokens_per_s = rates;
        out->rates[out->count++] = rates;
    }
}

void qm_over_time_free(struct qm_over_time *over_time)
{
    for (size_t i = 0; i < over_time->count; i++)
        free(over_time->rates[i]);
    over_time->count = 0;
}
