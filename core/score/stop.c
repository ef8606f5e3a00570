#include "score/stop.h"

#include "base/numeric.h"
#include "score/counts.h"
#include "score/ordered.h"

#include <math.h> // isfinite and sqrt, which is exact everywhere
#include <stdlib.h>

enum {
    BLOCKS_MIN = 4
};
#define Z_POWER 0.8416212335729143 // four cases of five

const char *qm_stop_name(enum qm_stop stop)
{
    static const char *const names[] = {"continue", "narrow enough", "most samples", "time is up"};
    return (unsigned)stop < sizeof(names) / sizeof(names[0]) ? names[stop] : "?";
}

static enum qm_status check_confidence(uint32_t permille)
{
    if (permille != 900 && permille != 950 && permille != 990)
        return QM_FAIL(QM_INVALID, "confidence %u/1000: must be 900, 950 or 990", permille);
    return QM_OK;
}

struct spread {
    double mean, sd, half; // `half`: of the interval of the mean
    double stretch;        // what correlation does to the variance of the mean
};

// Of the means of the first `blocks` (>= BLOCKS_MIN) blocks. `room` holds as many doubles.
static struct spread spread_of(const double *logs, size_t block, size_t blocks, uint32_t permille, double *room)
{
    struct spread out = {0};
    double squares = 0.0, n = (double)blocks;
    for (size_t b = 0; b < blocks; ++b) {
        room[b] = 0.0;
        for (size_t i = 0; i < block; ++i)
            room[b] += logs[b * block + i] / (double)block;
        out.mean += room[b] / n;
    }
    for (size_t b = 0; b < blocks; ++b) {
        room[b] -= out.mean;
        squares += room[b] * room[b];
    }
    out.sd = sqrt(squares / (n - 1.0));
    double rho = qm_autocorrelation(room, blocks, 1), stretch = rho > 0.0 ? (1.0 + rho) / (1.0 - rho) : 1.0;
    double freedom = n / stretch - 1.0;
    out.stretch = stretch;
    out.half =
        qm_student_quantile(qm_normal_quantile(permille), freedom > 1.0 ? freedom : 1.0) * out.sd * sqrt(stretch / n);
    return out;
}

static enum qm_status check_logs(const double *logs, size_t count)
{
    for (size_t i = 0; i < count; ++i)
        if (!isfinite(logs[i]))
            return QM_FAIL(QM_INVALID, "the logarithm of pair %zu is no number", i);
    return QM_OK;
}

enum qm_status qm_stop_decide(const struct qm_stop_params *params, const double *logs, size_t count,
                              uint64_t elapsed_ns, enum qm_stop *decision, double *half_width)
{
    *decision = QM_STOP_CONTINUE;
    if (half_width)
        *half_width = 0.0;
    QM_TRY(check_confidence(params->confidence_permille));
    if (params->block < 1 || params->look_every < 1 || params->blocks_min < BLOCKS_MIN ||
        params->blocks_max < params->blocks_min || !isfinite(params->half_width) || params->half_width <= 0.0)
        return QM_FAIL(QM_INVALID, "stopping rule: %d blocks at least before the first look, and a width above 0",
                       BLOCKS_MIN);
    QM_TRY(check_logs(logs, count));
    size_t blocks = count / params->block;
    if (blocks >= params->blocks_min) {
        size_t look = blocks - (blocks - params->blocks_min) % params->look_every;
        double *room = calloc(look, sizeof(*room));
        if (!room)
            return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %zu blocks", look);
        struct spread spread = spread_of(logs, params->block, look, params->confidence_permille, room);
        free(room);
        double width = qm_exp(spread.half) - 1.0;
        if (half_width)
            *half_width = width;
        if (look == blocks && width <= params->half_width)
            *decision = QM_STOP_NARROW;
    }
    if (*decision == QM_STOP_CONTINUE && blocks >= params->blocks_max)
        *decision = QM_STOP_MOST;
    if (*decision == QM_STOP_CONTINUE && params->time_limit_ns > 0 && elapsed_ns >= params->time_limit_ns)
        *decision = QM_STOP_TIME;
    return QM_OK;
}

enum qm_status qm_noise_floor(const double *logs, size_t count, size_t block, size_t blocks,
                              uint32_t confidence_permille, struct qm_noise_floor *out)
{
    *out = (struct qm_noise_floor){0};
    QM_TRY(check_confidence(confidence_permille));
    if (block < 1 || count / block < BLOCKS_MIN)
        return QM_FAIL(QM_INVALID, "noise floor of %zu pairs: it takes %d blocks", count, BLOCKS_MIN);
    QM_TRY(check_logs(logs, count));
    out->blocks = count / block;
    double *room = calloc(out->blocks, sizeof(*room));
    if (!room)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %zu blocks", out->blocks);
    struct spread spread = spread_of(logs, block, out->blocks, confidence_permille, room);
    free(room);
    out->mean = spread.mean;
    out->low = spread.mean - spread.half;
    out->high = spread.mean + spread.half;
    out->sd = spread.sd;
    double n = (double)(blocks ? blocks : out->blocks);
    out->effect =
        qm_exp((qm_normal_quantile(confidence_permille) + Z_POWER) * spread.sd * sqrt(spread.stretch / n)) - 1.0;
    return QM_OK;
}
