#include "score/agreement.h"

#include <stdlib.h>
#include <string.h>

#define MEAN_FRACTION 0.25
#define MEDIAN_FRACTION 0.1
#define MEAN_FLOOR 1e-5
#define MEDIAN_FLOOR 1e-6
#define MEAN_FLOOR_FLOAT32 1e-8
#define MEDIAN_FLOOR_FLOAT32 1e-10

enum qm_status qm_agreement_add(struct qm_agreement *agreement, double device_kl, double own_kl, uint32_t window,
                                uint32_t position)
{
    if (agreement->count == agreement->capacity) {
        size_t capacity = agreement->capacity * 2 + 512;
        double *device = realloc(agreement->device, capacity * sizeof(double));
        if (device)
            agreement->device = device;
        double *own = realloc(agreement->own, capacity * sizeof(double));
        if (own)
            agreement->own = own;
        if (!device || !own)
            return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %zu rows of logits compared", capacity);
        agreement->capacity = capacity;
    }
    agreement->device[agreement->count] = device_kl;
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

static double mean_of(const double *values, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += values[i];
    return count ? sum / (double)count : 0;
}

// The upper of the two in the middle.
static double median_of(const double *values, size_t count, double *scratch)
{
    if (count == 0)
        return 0;
    memcpy(scratch, values, count * sizeof(*values));
    qsort(scratch, count, sizeof(*scratch), by_value);
    return scratch[count / 2];
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
    out->mean = mean_of(agreement->device, count);
    out->mean_bound =
        larger(is_float32 ? MEAN_FLOOR_FLOAT32 : MEAN_FLOOR, MEAN_FRACTION * mean_of(agreement->own, count));
    out->median = median_of(agreement->device, count, scratch);
    out->median_bound = larger(is_float32 ? MEDIAN_FLOOR_FLOAT32 : MEDIAN_FLOOR,
                               MEDIAN_FRACTION * median_of(agreement->own, count, scratch));
    // So that what is no number does not pass.
    out->agrees = out->mean <= out->mean_bound && out->median <= out->median_bound;
    free(scratch);
    return QM_OK;
}

void qm_agreement_clear(struct qm_agreement *agreement)
{
    free(agreement->device);
    free(agreement->own);
    memset(agreement, 0, sizeof(*agreement));
}
