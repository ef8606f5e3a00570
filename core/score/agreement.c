#include "score/agreement.h"

#include "score/ordered.h"

#include <stdlib.h>
#include <string.h>

#define BODY_FRACTION 0.25
#define BODY_LEAVES_OUT 100 // one row in so many
#define MEDIAN_FRACTION 0.1
#define SHAKEN_FACTOR 2.0
#define MEAN_FLOOR 1e-5
#define MEDIAN_FLOOR 1e-6
#define MEAN_FLOOR_FLOAT32 1e-8
#define MEDIAN_FLOOR_FLOAT32 1e-10

enum qm_status qm_agreement_add(struct qm_agreement *agreement, double device_kl, double own_kl, double shaken_kl,
                                uint32_t window, uint32_t position)
{
    if (agreement->count == agreement->capacity) {
        size_t capacity = agreement->capacity * 2 + 512;
        double *device = realloc(agreement->device, capacity * sizeof(double));
        if (device)
            agreement->device = device;
        double *own = realloc(agreement->own, capacity * sizeof(double));
        if (own)
            agreement->own = own;
        double *shaken = realloc(agreement->shaken, capacity * sizeof(double));
        if (shaken)
            agreement->shaken = shaken;
        if (!device || !own || !shaken)
            return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %zu rows of logits compared", capacity);
        agreement->capacity = capacity;
    }
    agreement->device[agreement->count] = device_kl;
    agreement->shaken[agreement->count] = shaken_kl;
    agreement->own[agreement->count++] = own_kl;
    if (device_kl > agreement->worst) {
        agreement->worst = device_kl;
        agreement->worst_window = window;
        agreement->worst_position = position;
    }
    return QM_OK;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// Of one side's rows: the mean of all, the mean without the worst, and the upper of the two in the middle.
static void summarize(const double *values, size_t count, double *sorted, double *mean, double *body, double *median)
{
    *mean = qm_values_mean(values, count);
    *body = *median = 0;
    if (count == 0)
        return;
    memcpy(sorted, values, count * sizeof(*values));
    qsort(sorted, count, sizeof(*sorted), by_value);
    *body = qm_values_mean(sorted, count - count / BODY_LEAVES_OUT);
    *median = sorted[count / 2];
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

enum qm_status qm_agreement_judge(const struct qm_agreement *agreement, bool is_float32,
                                  struct qm_agreement_verdict *out)
{
    const size_t count = agreement->count;
    double *scratch = malloc((count ? count : 1) * sizeof(*scratch));
    if (!scratch)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %zu rows of logits compared", count);
    const double mean_floor = is_float32 ? MEAN_FLOOR_FLOAT32 : MEAN_FLOOR;
    double own_mean, own_body, own_median;
    summarize(agreement->device, count, scratch, &out->mean, &out->body, &out->median);
    summarize(agreement->own, count, scratch, &own_mean, &own_body, &own_median);
    out->mean_bound = larger(mean_floor, own_mean);
    out->body_bound = larger(mean_floor, BODY_FRACTION * own_body);
    out->median_bound = larger(is_float32 ? MEDIAN_FLOOR_FLOAT32 : MEDIAN_FLOOR, MEDIAN_FRACTION * own_median);
    if (agreement->shaken) {
        double mean, body, median;
        summarize(agreement->shaken, count, scratch, &mean, &body, &median);
        out->mean_bound = larger(out->mean_bound, SHAKEN_FACTOR * mean);
        out->body_bound = larger(out->body_bound, SHAKEN_FACTOR * body);
        out->median_bound = larger(out->median_bound, SHAKEN_FACTOR * median);
    }
    qm_agreement_decide(out);
    free(scratch);
    return QM_OK;
}

void qm_agreement_decide(struct qm_agreement_verdict *verdict)
{
    // So that what is no number does not pass.
    verdict->agrees = verdict->mean <= verdict->mean_bound && verdict->body <= verdict->body_bound &&
                      verdict->median <= verdict->median_bound;
}

void qm_agreement_clear(struct qm_agreement *agreement)
{
    free(agreement->device);
    free(agreement->own);
    free(agreement->shaken);
    memset(agreement, 0, sizeof(*agreement));
}
