#include "score/ratio.h"

#include "base/numeric.h"
#include "score/ordered.h"

#include <math.h> // isfinite and sqrt, which is exact to the last bit everywhere
#include <stdlib.h>

const char *qm_estimate_state_name(enum qm_estimate_state state)
{
    static const char *const names[] = {"not measured", "no interval", "interval", "out of range"};
    return (unsigned)state < sizeof(names) / sizeof(names[0]) ? names[state] : "?";
}

// The rank from below, counted from 1, of the lower end among the sorted statistics.
static uint32_t lower_rank(const struct qm_bootstrap *bootstrap)
{
    return (bootstrap->resamples + 1) * (1000 - bootstrap->confidence_permille) / 2000;
}

enum qm_status qm_bootstrap_check(const struct qm_bootstrap *bootstrap)
{
    if (bootstrap->resamples < 99 || bootstrap->resamples > 1000000)
        return QM_FAIL(QM_INVALID, "bootstrap of %u resamples: must be 99 to 1,000,000", bootstrap->resamples);
    if (bootstrap->confidence_permille != 900 && bootstrap->confidence_permille != 950 &&
        bootstrap->confidence_permille != 990)
        return QM_FAIL(QM_INVALID, "bootstrap with confidence %u/1000: must be 900, 950 or 990",
                       bootstrap->confidence_permille);
    if (lower_rank(bootstrap) < 1)
        return QM_FAIL(QM_INVALID, "%u resamples are too few for a confidence of %u/1000", bootstrap->resamples,
                       bootstrap->confidence_permille);
    return QM_OK;
}

void qm_bootstrap_draw(struct qm_random *random, uint32_t clusters, uint32_t *weights)
{
    for (uint32_t c = 0; c < clusters; ++c)
        weights[c] = 0;
    for (uint32_t c = 0; c < clusters; ++c)
        ++weights[qm_random_below(random, clusters)];
}

void qm_bootstrap_interval(const struct qm_bootstrap *bootstrap, double *statistics, double *low, double *high)
{
    qm_values_sort(statistics, bootstrap->resamples);
    uint32_t rank = lower_rank(bootstrap);
    *low = statistics[rank - 1];
    *high = statistics[bootstrap->resamples - rank];
}

static int falling(const void *left, const void *right)
{
    const struct qm_cluster_value *a = left, *b = right;
    return (a->value < b->value) - (a->value > b->value);
}

void qm_cluster_values_sort(struct qm_cluster_value *values, size_t count)
{
    if (count)
        qsort(values, count, sizeof(*values), falling);
}

double qm_cluster_percentile(const struct qm_cluster_value *values, size_t count, const uint32_t *weights,
                             uint64_t total, uint32_t permille)
{
    uint64_t rank = (total * permille + 999) / 1000; // from below, counted from 1
    if (rank < 1)
        rank = 1;
    uint64_t above = total - rank; // values that rank higher
    uint64_t seen = 0;
    for (size_t i = 0; i < count; ++i) {
        seen += weights[values[i].cluster];
        if (seen > above)
            return values[i].value;
    }
    return values[count - 1].value; // only if `total` was too large
}

// How much wider than the percentile interval an interval over few blocks must be; see ratio.h.
static double widening(const struct qm_bootstrap *bootstrap, size_t blocks)
{
    double z = bootstrap->confidence_permille == 900   ? 1.6448536269514722
               : bootstrap->confidence_permille == 950 ? 1.959963984540054
                                                       : 2.5758293035489004;
    double v = (double)(blocks - 1);
    double z2 = z * z, z3 = z2 * z, z5 = z3 * z2, z7 = z5 * z2, z9 = z7 * z2;
    double t = z + (z3 + z) / (4.0 * v) + (5.0 * z5 + 16.0 * z3 + 3.0 * z) / (96.0 * v * v) +
               (3.0 * z7 + 19.0 * z5 + 17.0 * z3 - 15.0 * z) / (384.0 * v * v * v) +
               (79.0 * z9 + 776.0 * z7 + 1482.0 * z5 - 1920.0 * z3 - 945.0 * z) / (92160.0 * v * v * v * v);
    return t / z * sqrt((double)blocks / v);
}

static enum qm_status check_samples(const double *ns, size_t count, size_t block, const char *name)
{
    if (block == 0)
        return QM_FAIL(QM_INVALID, "a block of samples must hold at least 1");
    if (count > UINT32_MAX)
        return QM_FAIL(QM_INVALID, "%zu samples are more than can be judged", count);
    for (size_t i = 0; i < count; ++i)
        if (!isfinite(ns[i]) || ns[i] <= 0.0)
            return QM_FAIL(QM_INVALID, "%s %zu is %g ns: must be a number above 0", name, i, ns[i]);
    return QM_OK;
}

static size_t count_blocks(size_t count, size_t block)
{
    return count / block + (count % block != 0);
}

// The mean of `values` and, if there are enough blocks, the percentile interval of the mean.
static enum qm_status bootstrap_mean(const double *values, size_t count, size_t block,
                                     const struct qm_bootstrap *bootstrap, struct qm_estimate *mean)
{
    enum qm_status status = QM_OK;
    size_t blocks = count_blocks(count, block);
    double *sums = NULL, *statistics = NULL;
    uint32_t *weights = NULL;
    double total = 0.0;
    *mean = (struct qm_estimate){0};
    if (count == 0)
        return QM_OK;
    sums = calloc(blocks, sizeof(*sums));
    weights = calloc(blocks, sizeof(*weights));
    statistics = calloc(bootstrap->resamples, sizeof(*statistics));
    if (!sums || !weights || !statistics) {
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the interval of %zu samples", count);
        goto done;
    }
    for (size_t i = 0; i < count; ++i)
        sums[i / block] += values[i];
    for (size_t b = 0; b < blocks; ++b)
        total += sums[b];
    mean->state = QM_ESTIMATE_POINT;
    mean->value = total / (double)count;
    if (blocks < QM_RATIO_BLOCKS_MIN)
        goto done;

    size_t last = count - (blocks - 1) * block; // samples in the last block
    struct qm_random random;
    qm_random_seed(&random, bootstrap->seed, 0);
    for (uint32_t r = 0; r < bootstrap->resamples; ++r) {
        qm_bootstrap_draw(&random, (uint32_t)blocks, weights);
        double sum = 0.0;
        for (size_t b = 0; b < blocks; ++b)
            sum += (double)weights[b] * sums[b];
        double samples = (double)blocks * (double)block - (double)weights[blocks - 1] * (double)(block - last);
        statistics[r] = sum / samples;
    }
    qm_bootstrap_interval(bootstrap, statistics, &mean->low, &mean->high);
    mean->state = QM_ESTIMATE_INTERVAL;
done:
    free(sums);
    free(weights);
    free(statistics);
    return status;
}

// From a number and its percentile interval on the scale of the logarithm: widens, and takes exp.
static struct qm_estimate widened_exp(double value, double low, double high, double factor)
{
    struct qm_estimate out = {
        .state = QM_ESTIMATE_INTERVAL,
        .value = qm_exp(value),
        .low = qm_exp(value + factor * (low - value)),
        .high = qm_exp(value + factor * (high - value)),
    };
    if (!isfinite(out.value) || !isfinite(out.high))
        out = (struct qm_estimate){.state = QM_ESTIMATE_OUT_OF_RANGE};
    return out;
}

enum qm_status qm_ratio_paired(const double *baseline_ns, const double *scheme_ns, size_t count, size_t block,
                               const struct qm_bootstrap *bootstrap, struct qm_estimate *gain)
{
    enum qm_status status = QM_OK;
    struct qm_estimate mean;
    double *logs = NULL;
    *gain = (struct qm_estimate){0};
    QM_TRY(qm_bootstrap_check(bootstrap));
    QM_TRY(check_samples(baseline_ns, count, block, "baseline sample"));
    QM_TRY(check_samples(scheme_ns, count, block, "sample"));
    if (count == 0)
        return QM_OK;
    logs = calloc(count, sizeof(*logs));
    if (!logs)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %zu pairs", count);
    for (size_t i = 0; i < count; ++i)
        logs[i] = qm_log(baseline_ns[i]) - qm_log(scheme_ns[i]);
    QM_GUARD(bootstrap_mean(logs, count, block, bootstrap, &mean));
    if (mean.state == QM_ESTIMATE_INTERVAL) {
        *gain = widened_exp(mean.value, mean.low, mean.high, widening(bootstrap, count_blocks(count, block)));
    } else {
        *gain = widened_exp(mean.value, mean.value, mean.value, 1.0);
        if (gain->state == QM_ESTIMATE_INTERVAL)
            *gain = (struct qm_estimate){.state = QM_ESTIMATE_POINT, .value = gain->value};
    }
done:
    free(logs);
    return status;
}

enum qm_status qm_rate(const double *sample_ns, size_t count, size_t block, double units,
                       const struct qm_bootstrap *bootstrap, struct qm_estimate *rate)
{
    struct qm_estimate mean;
    *rate = (struct qm_estimate){0};
    QM_TRY(qm_bootstrap_check(bootstrap));
    QM_TRY(check_samples(sample_ns, count, block, "sample"));
    if (!isfinite(units) || units <= 0.0)
        return QM_FAIL(QM_INVALID, "a sample of %g units of work has no rate: must be a number above 0", units);
    if (count == 0)
        return QM_OK;
    QM_TRY(bootstrap_mean(sample_ns, count, block, bootstrap, &mean));
    double scale = units * 1e9;
    double value = scale / mean.value;
    if (!isfinite(scale) || !isfinite(mean.value) || !isfinite(value)) {
        rate->state = QM_ESTIMATE_OUT_OF_RANGE;
    } else if (mean.state == QM_ESTIMATE_POINT) {
        *rate = (struct qm_estimate){.state = QM_ESTIMATE_POINT, .value = value};
    } else {
        // Deviations of the logarithm of the mean time; the long time gives the low rate.
        double centre = qm_log(mean.value);
        struct qm_estimate time = widened_exp(0.0, qm_log(mean.low) - centre, qm_log(mean.high) - centre,
                                              widening(bootstrap, count_blocks(count, block)));
        if (time.state == QM_ESTIMATE_INTERVAL && isfinite(value / time.low))
            *rate = (struct qm_estimate){QM_ESTIMATE_INTERVAL, value, value / time.high, value / time.low};
        else
            rate->state = QM_ESTIMATE_OUT_OF_RANGE;
    }
    return QM_OK;
}

enum qm_status qm_latency_percentiles(const double *sample_ns, size_t count, size_t block,
                                      const struct qm_bootstrap *bootstrap, struct qm_latency *latency)
{
    enum qm_status status = QM_OK;
    struct qm_cluster_value *values = NULL;
    uint32_t *weights = NULL;
    double *statistics = NULL;
    *latency = (struct qm_latency){0};
    QM_TRY(qm_bootstrap_check(bootstrap));
    QM_TRY(check_samples(sample_ns, count, block, "sample"));
    if (count == 0)
        return QM_OK;

    size_t blocks = count_blocks(count, block);
    size_t last = count - (blocks - 1) * block;
    uint32_t resamples = bootstrap->resamples;
    const uint32_t permille[3] = {500, 950, 990};
    struct qm_estimate *out[3] = {&latency->p50, &latency->p95, &latency->p99};
    values = calloc(count, sizeof(*values));
    weights = calloc(blocks, sizeof(*weights));
    statistics = calloc(3 * (size_t)resamples, sizeof(*statistics));
    if (!values || !weights || !statistics) {
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the percentiles of %zu samples", count);
        goto done;
    }
    for (size_t i = 0; i < count; ++i)
        values[i] = (struct qm_cluster_value){sample_ns[i], (uint32_t)(i / block)};
    qm_cluster_values_sort(values, count);
    for (size_t b = 0; b < blocks; ++b)
        weights[b] = 1;
    int intervals = 0;
    for (int p = 0; p < 3; ++p) {
        uint64_t beyond = (uint64_t)count * (1000 - permille[p]); // in thousandths of a sample
        if (beyond < 1000 * QM_PERCENTILE_BEYOND_MIN)
            continue;
        out[p]->state = QM_ESTIMATE_POINT;
        out[p]->value = qm_cluster_percentile(values, count, weights, count, permille[p]);
        if (beyond >= 1000 * QM_PERCENTILE_INTERVAL_MIN && blocks >= QM_RATIO_BLOCKS_MIN) {
            out[p]->state = QM_ESTIMATE_INTERVAL;
            intervals = 1;
        }
    }
    if (!intervals)
        goto done;

    struct qm_random random;
    qm_random_seed(&random, bootstrap->seed, 0);
    for (uint32_t r = 0; r < resamples; ++r) {
        qm_bootstrap_draw(&random, (uint32_t)blocks, weights);
        uint64_t total = (uint64_t)blocks * block - (uint64_t)weights[blocks - 1] * (block - last);
        for (size_t p = 0; p < 3; ++p)
            if (out[p]->state == QM_ESTIMATE_INTERVAL)
                statistics[p * resamples + r] = qm_cluster_percentile(values, count, weights, total, permille[p]);
    }
    for (size_t p = 0; p < 3; ++p)
        if (out[p]->state == QM_ESTIMATE_INTERVAL)
            qm_bootstrap_interval(bootstrap, statistics + p * resamples, &out[p]->low, &out[p]->high);
done:
    free(values);
    free(weights);
    free(statistics);
    return status;
}
