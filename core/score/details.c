#include "score/details.h"

#include "score/counts.h"
#include "score/summary.h"

#include <math.h> // sqrt, which is exact to the last bit everywhere
#include <stdbool.h>
#include <stdlib.h>

// No fp32 logits give more nats than this.
#define NATS_MAX 1e39
#define TWO_OVER_PI 0.6366197723675814
// Likelihoods that vary less than this part of the largest have no correlation: what is left is rounding.
#define VARIATION_MIN 1e-12

static const char *const detail_names[QM_DETAIL_COUNT] = {
    [QM_DETAIL_KL_P50] = "kl_divergence_p50",
    [QM_DETAIL_KL_P90] = "kl_divergence_p90",
    [QM_DETAIL_KL_P95] = "kl_divergence_p95",
    [QM_DETAIL_KL_P99] = "kl_divergence_p99",
    [QM_DETAIL_KL_P999] = "kl_divergence_p99.9",
    [QM_DETAIL_KL_OVER_001] = "kl_divergence_over_0.01",
    [QM_DETAIL_KL_OVER_01] = "kl_divergence_over_0.1",
    [QM_DETAIL_KL_OVER_1] = "kl_divergence_over_1",
    [QM_DETAIL_CORRELATION] = "log_likelihood_correlation",
    [QM_DETAIL_SOURCE_KL] = "source_kl",
    [QM_DETAIL_SOURCE_KL_REFERENCE] = "source_kl_reference",
    [QM_DETAIL_SOURCE_KL_DIFFERENCE] = "source_kl_difference",
    [QM_DETAIL_CALIBRATION_ERROR] = "calibration_error",
    [QM_DETAIL_CALIBRATION_ERROR_REFERENCE] = "calibration_error_reference",
    [QM_DETAIL_OVERCONFIDENCE] = "overconfidence",
    [QM_DETAIL_OVERCONFIDENCE_DIFFERENCE] = "overconfidence_difference",
    [QM_DETAIL_GREEDY_IDENTICAL] = "greedy_identical",
    [QM_DETAIL_GREEDY_FIRST_DIFFERENCE] = "greedy_first_difference",
};

const char *qm_detail_name(enum qm_detail detail)
{
    return (unsigned)detail < QM_DETAIL_COUNT ? detail_names[detail] : "?";
}

enum {
    TAILS = QM_DETAIL_KL_OVER_1 - QM_DETAIL_KL_OVER_001 + 1
};
static const double tail_nats[TAILS] = {0.01, 0.1, 1.0};

// Sums of a sequence.
enum {
    TOKENS,
    TAIL, // tokens with more than each of tail_nats
    TAIL_LAST = TAIL + TAILS - 1,
    NLL, // less its mean over all tokens, so that squares keep their digits
    NLL_REFERENCE,
    NLL_SQUARED,
    NLL_REFERENCE_SQUARED,
    NLL_PRODUCT,
    SOURCE_TOKENS,
    SOURCE_KL,
    SOURCE_KL_REFERENCE,
    GAP, // of each bin: sum of confidence - hit
    GAP_REFERENCE = GAP + QM_DETAILS_BINS,
    COLUMNS = GAP_REFERENCE + QM_DETAILS_BINS
};

static const struct {
    enum qm_detail detail;
    uint32_t permille;
} percentiles[] = { // falling, for the scan of a list that falls
    {QM_DETAIL_KL_P999, 999},
    {QM_DETAIL_KL_P99, 990},
    {QM_DETAIL_KL_P95, 950},
    {QM_DETAIL_KL_P90, 900},
    {QM_DETAIL_KL_P50, 500}};
enum {
    PERCENTILES = sizeof(percentiles) / sizeof(percentiles[0])
};

// What a sequence says of greedy decoding.
struct greedy {
    uint32_t tokens, first_difference; // from 1; 0 if there is none
    bool is_answered;                  // by the reference, exactly
};

struct work {
    const struct qm_details_params *params;
    size_t count;
    uint32_t clusters;
    uint32_t *index;             // [sequence_count]: cluster of a sequence, UINT32_MAX without tokens
    double (*sums)[COLUMNS];     // [clusters]
    struct qm_cluster_value *kl; // [count], falling
    struct greedy *greedy;       // [clusters]
    uint32_t *weights;           // [clusters]
    double *resampled;           // [QM_DETAIL_COUNT][resamples]
    double scale;                // the largest nll of either side
};

static void work_free(struct work *work)
{
    free(work->index);
    free(work->sums);
    free(work->kl);
    free(work->greedy);
    free(work->weights);
    free(work->resampled);
}

static enum qm_status no_memory(size_t count)
{
    return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the details of %zu tokens", count);
}

static bool is_nats(double value)
{
    return value >= 0.0 && value <= NATS_MAX;
}

static bool is_share(double value)
{
    return value >= 0.0 && value <= 1.0;
}

static enum qm_status check(const struct qm_details_params *params)
{
    const struct qm_token_scores *s = params->scores;
    QM_TRY(qm_bootstrap_check(&params->bootstrap));
    if (params->set && (params->set_count == 0 || params->set_count > QM_DETAILS_SETS_MAX))
        return QM_FAIL(QM_INVALID, "%u sets: must be 1 to %d", params->set_count, QM_DETAILS_SETS_MAX);
    for (size_t i = 0; i < s->count; ++i) {
        uint32_t sequence = s->sequence[i];
        if (sequence >= params->sequence_count)
            return QM_FAIL(QM_INVALID, "scored token %zu belongs to sequence %u of %u", i, sequence,
                           params->sequence_count);
        if (params->set && params->set[sequence] >= params->set_count)
            return QM_FAIL(QM_INVALID, "sequence %u is in set %u of %u", sequence, params->set[sequence],
                           params->set_count);
        if (!is_nats(s->kl[i]) || !is_nats(s->nll[i]) || !is_nats(s->nll_reference[i]))
            return QM_FAIL(QM_INVALID, "scored token %zu has kl %g, nll %g and %g: must be numbers from 0", i, s->kl[i],
                           s->nll[i], s->nll_reference[i]);
        if (!is_share(s->confidence[i]) || !is_share(s->confidence_reference[i]))
            return QM_FAIL(QM_INVALID, "scored token %zu has confidences %g and %g: must be from 0 to 1", i,
                           s->confidence[i], s->confidence_reference[i]);
        if (s->has_source[i] > 1 || s->same_top[i] > 1 || s->hit[i] > 1 || s->hit_reference[i] > 1)
            return QM_FAIL(QM_INVALID, "a flag of scored token %zu is neither 0 nor 1", i);
        if (s->has_source[i] && (!is_nats(s->source_kl[i]) || !is_nats(s->source_kl_reference[i])))
            return QM_FAIL(QM_INVALID, "scored token %zu has source_kl %g and %g: must be numbers from 0", i,
                           s->source_kl[i], s->source_kl_reference[i]);
    }
    return QM_OK;
}

static enum qm_status work_make(const struct qm_details_params *params, struct work *work)
{
    const struct qm_token_scores *s = params->scores;
    *work = (struct work){.params = params, .count = s->count};
    work->index = calloc((size_t)params->sequence_count + 1, sizeof(*work->index));
    if (!work->index)
        return no_memory(s->count);
    for (size_t i = 0; i < s->count; ++i)
        work->index[s->sequence[i]] = 1;
    for (uint32_t q = 0; q < params->sequence_count; ++q)
        work->index[q] = work->index[q] ? work->clusters++ : UINT32_MAX;
    work->sums = calloc(work->clusters, sizeof(*work->sums));
    work->kl = calloc(s->count, sizeof(*work->kl));
    work->greedy = calloc(work->clusters, sizeof(*work->greedy));
    work->weights = calloc(work->clusters, sizeof(*work->weights));
    work->resampled = calloc((size_t)QM_DETAIL_COUNT * params->bootstrap.resamples, sizeof(*work->resampled));
    if (!work->sums || !work->kl || !work->greedy || !work->weights || !work->resampled)
        return no_memory(s->count);
    return QM_OK;
}

static void add_tokens(struct work *work)
{
    const struct qm_token_scores *s = work->params->scores;
    double mean = 0.0, mean_reference = 0.0;
    for (size_t i = 0; i < s->count; ++i) {
        mean += s->nll[i];
        mean_reference += s->nll_reference[i];
        work->scale = s->nll[i] > work->scale ? s->nll[i] : work->scale;
        work->scale = s->nll_reference[i] > work->scale ? s->nll_reference[i] : work->scale;
    }
    mean /= (double)s->count;
    mean_reference /= (double)s->count;
    for (size_t i = 0; i < s->count; ++i) {
        uint32_t k = work->index[s->sequence[i]];
        double *sums = work->sums[k], x = s->nll[i] - mean, y = s->nll_reference[i] - mean_reference;
        sums[TOKENS] += 1.0;
        for (int tail = 0; tail < TAILS; ++tail)
            sums[TAIL + tail] += s->kl[i] > tail_nats[tail] ? 1.0 : 0.0;
        sums[NLL] += x;
        sums[NLL_REFERENCE] += y;
        sums[NLL_SQUARED] += x * x;
        sums[NLL_REFERENCE_SQUARED] += y * y;
        sums[NLL_PRODUCT] += x * y;
        if (s->has_source[i]) {
            sums[SOURCE_TOKENS] += 1.0;
            sums[SOURCE_KL] += s->source_kl[i];
            sums[SOURCE_KL_REFERENCE] += s->source_kl_reference[i];
        }
        work->kl[i] = (struct qm_cluster_value){s->kl[i], k};
    }
    qm_cluster_values_sort(work->kl, s->count);
}

struct ranked {
    double confidence;
    size_t token;
};

static int by_confidence(const void *left, const void *right)
{
    const struct ranked *a = left, *b = right;
    if (a->confidence != b->confidence)
        return a->confidence < b->confidence ? -1 : 1;
    return (a->token > b->token) - (a->token < b->token);
}

// Bins of equal size by rank; equal confidences stay together, in the bin of the first of them, or else how tokens
// happen to be ordered would count as miscalibration.
static enum qm_status add_gaps(struct work *work, const double *confidence, const uint8_t *hit, int column,
                               double *noise)
{
    double variance[QM_DETAILS_BINS] = {0};
    const struct qm_token_scores *s = work->params->scores;
    struct ranked *ranked = calloc(s->count, sizeof(*ranked));
    if (!ranked)
        return no_memory(s->count);
    for (size_t i = 0; i < s->count; ++i)
        ranked[i] = (struct ranked){confidence[i], i};
    qsort(ranked, s->count, sizeof(*ranked), by_confidence);
    size_t bin = 0;
    for (size_t i = 0; i < s->count; ++i) {
        if (i == 0 || ranked[i].confidence != ranked[i - 1].confidence)
            bin = i * QM_DETAILS_BINS / s->count;
        size_t token = ranked[i].token;
        variance[bin] += confidence[token] * (1.0 - confidence[token]);
        work->sums[work->index[s->sequence[token]]][(size_t)column + bin] += confidence[token] - (double)hit[token];
    }
    *noise = 0.0;
    for (int b = 0; b < QM_DETAILS_BINS; ++b)
        *noise += sqrt(TWO_OVER_PI * variance[b]) / (double)s->count;
    free(ranked);
    return QM_OK;
}

static void add_greedy(struct work *work)
{
    const struct qm_details_params *params = work->params;
    const struct qm_token_scores *s = params->scores;
    for (uint32_t q = 0; q < params->sequence_count; ++q) {
        if (work->index[q] != UINT32_MAX)
            work->greedy[work->index[q]].is_answered = !params->is_answer || params->is_answer[q];
    }
    for (size_t i = 0; i < s->count; ++i) {
        struct greedy *greedy = &work->greedy[work->index[s->sequence[i]]];
        ++greedy->tokens;
        greedy->is_answered = greedy->is_answered && s->hit_reference[i];
        if (!s->same_top[i] && greedy->first_difference == 0)
            greedy->first_difference = greedy->tokens;
    }
}

static void percentiles_of(const struct work *work, uint64_t total, double *out)
{
    uint64_t seen = 0;
    unsigned next = 0;
    for (size_t i = 0; i < work->count && next < PERCENTILES; ++i) {
        seen += work->weights[work->kl[i].cluster];
        while (next < PERCENTILES) {
            uint64_t rank = (total * percentiles[next].permille + 999) / 1000;
            if (seen <= total - (rank ? rank : 1))
                break;
            out[percentiles[next++].detail] = work->kl[i].value;
        }
    }
}

// Pearson's r from sums of n pairs; false where one side does not vary.
static bool correlation_of(const double *sums, double scale, double *out)
{
    double n = sums[TOKENS], x = sums[NLL] / n, y = sums[NLL_REFERENCE] / n;
    double variance = sums[NLL_SQUARED] / n - x * x, variance_reference = sums[NLL_REFERENCE_SQUARED] / n - y * y;
    double least = VARIATION_MIN * scale * (VARIATION_MIN * scale);
    if (!(variance > least && variance_reference > least))
        return false;
    double r = (sums[NLL_PRODUCT] / n - x * y) / sqrt(variance * variance_reference);
    *out = r > 1.0 ? 1.0 : r < -1.0 ? -1.0 : r;
    return true;
}

// All statistics of one resample; returns a bit for each that is defined.
static unsigned statistics_of(const struct work *work, double *out)
{
    double sums[COLUMNS] = {0};
    unsigned defined = (1u << QM_DETAIL_GREEDY_IDENTICAL) - 1; // what follows from counts is no business of resamples
    for (uint32_t k = 0; k < work->clusters; ++k) {
        double weight = (double)work->weights[k];
        if (work->weights[k] == 0)
            continue;
        for (int column = 0; column < COLUMNS; ++column)
            sums[column] += weight * work->sums[k][column];
    }
    for (unsigned d = 0; d < QM_DETAIL_COUNT; ++d)
        out[d] = 0.0;
    percentiles_of(work, (uint64_t)sums[TOKENS], out);
    for (int tail = 0; tail < TAILS; ++tail)
        out[QM_DETAIL_KL_OVER_001 + tail] = sums[TAIL + tail] / sums[TOKENS];
    if (!correlation_of(sums, work->scale, &out[QM_DETAIL_CORRELATION]))
        defined &= ~(1u << QM_DETAIL_CORRELATION);
    if (sums[SOURCE_TOKENS] > 0.0) {
        out[QM_DETAIL_SOURCE_KL] = sums[SOURCE_KL] / sums[SOURCE_TOKENS];
        out[QM_DETAIL_SOURCE_KL_REFERENCE] = sums[SOURCE_KL_REFERENCE] / sums[SOURCE_TOKENS];
        out[QM_DETAIL_SOURCE_KL_DIFFERENCE] = (sums[SOURCE_KL] - sums[SOURCE_KL_REFERENCE]) / sums[SOURCE_TOKENS];
    } else {
        defined &= ~(7u << QM_DETAIL_SOURCE_KL);
    }
    double error = 0.0, error_reference = 0.0, over = 0.0, over_reference = 0.0;
    for (int bin = 0; bin < QM_DETAILS_BINS; ++bin) {
        double gap = sums[GAP + bin], gap_reference = sums[GAP_REFERENCE + bin];
        over += gap;
        over_reference += gap_reference;
        error += gap < 0 ? -gap : gap;
        error_reference += gap_reference < 0 ? -gap_reference : gap_reference;
    }
    out[QM_DETAIL_CALIBRATION_ERROR] = error / sums[TOKENS];
    out[QM_DETAIL_CALIBRATION_ERROR_REFERENCE] = error_reference / sums[TOKENS];
    out[QM_DETAIL_OVERCONFIDENCE] = over / sums[TOKENS];
    out[QM_DETAIL_OVERCONFIDENCE_DIFFERENCE] = (over - over_reference) / sums[TOKENS];
    return defined;
}

static int rising(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

static enum qm_status tell_greedy(const struct work *work, struct qm_details *out)
{
    uint32_t *first = calloc(work->clusters, sizeof(*first));
    uint64_t tokens = 0;
    if (!first)
        return no_memory(work->count);
    for (uint32_t k = 0; k < work->clusters; ++k) {
        const struct greedy *greedy = &work->greedy[k];
        if (!greedy->is_answered)
            continue;
        ++out->greedy_examples;
        tokens += greedy->tokens;
        if (greedy->first_difference)
            first[out->greedy_differing++] = greedy->first_difference;
    }
    uint32_t confidence = work->params->bootstrap.confidence_permille, examples = out->greedy_examples;
    bool has_intervals = examples >= QM_SCORE_SEQUENCES_MIN;
    if (examples) {
        struct qm_estimate *identical = &out->values[QM_DETAIL_GREEDY_IDENTICAL];
        out->greedy_tokens = (double)tokens / (double)examples;
        identical->state = has_intervals ? QM_ESTIMATE_INTERVAL : QM_ESTIMATE_POINT;
        identical->value = (double)(examples - out->greedy_differing) / (double)examples;
        if (has_intervals)
            qm_share_interval(examples - out->greedy_differing, examples, confidence, &identical->low,
                              &identical->high);
    }
    if (out->greedy_differing) {
        struct qm_estimate *median = &out->values[QM_DETAIL_GREEDY_FIRST_DIFFERENCE];
        uint32_t differing = out->greedy_differing;
        uint32_t rank = qm_median_rank(differing, confidence);
        qsort(first, differing, sizeof(*first), rising);
        out->greedy_first_least = first[0];
        *median = (struct qm_estimate){.state = QM_ESTIMATE_POINT, .value = first[(differing + 1) / 2 - 1]};
        if (rank && has_intervals)
            *median =
                (struct qm_estimate){QM_ESTIMATE_INTERVAL, median->value, first[rank - 1], first[differing - rank]};
    }
    free(first);
    return QM_OK;
}

// The mean KL of each set with its error, one set after another through qm_cluster_mean.
static enum qm_status tell_sets(const struct work *work, struct qm_details *out)
{
    const struct qm_details_params *params = work->params;
    const struct qm_token_scores *s = params->scores;
    uint32_t sets = params->set ? params->set_count : 1;
    double *kl = calloc(s->count, sizeof(*kl)), sum = 0.0, squares = 0.0, errors = 0.0;
    uint32_t *sequence = calloc(s->count, sizeof(*sequence));
    enum qm_status status = kl && sequence ? QM_OK : no_memory(s->count);
    bool has_errors = true;
    for (uint32_t set = 0; set < sets && status == QM_OK; ++set) {
        size_t count = 0;
        struct qm_cluster_mean mean;
        for (size_t i = 0; i < s->count; ++i) {
            if (params->set && params->set[s->sequence[i]] != set)
                continue;
            kl[count] = s->kl[i];
            sequence[count++] = s->sequence[i];
        }
        if (count == 0)
            continue;
        status = qm_cluster_mean(kl, sequence, count, params->sequence_count, &mean);
        out->set_kl[out->set_count++] = mean.mean;
        errors += mean.standard_error * mean.standard_error;
        has_errors = has_errors && mean.has_error;
    }
    free(kl);
    free(sequence);
    if (status != QM_OK || out->set_count < 2 || !has_errors)
        return status;
    for (uint32_t set = 0; set < out->set_count; ++set)
        sum += out->set_kl[set];
    for (uint32_t set = 0; set < out->set_count; ++set) {
        double rest = out->set_kl[set] - sum / (double)out->set_count;
        squares += rest * rest;
    }
    out->spread = sqrt(squares / (double)(out->set_count - 1));
    out->spread_expected = sqrt(errors / (double)out->set_count);
    return QM_OK;
}

// Resamples everything; the bits of what every resample had.
static unsigned resample(const struct work *work)
{
    const struct qm_bootstrap *bootstrap = &work->params->bootstrap;
    struct qm_random random;
    unsigned defined = UINT32_MAX;
    qm_random_seed(&random, bootstrap->seed, 0);
    for (uint32_t r = 0; r < bootstrap->resamples; ++r) {
        double values[QM_DETAIL_COUNT];
        qm_bootstrap_draw(&random, work->clusters, work->weights);
        defined &= statistics_of(work, values);
        for (size_t d = 0; d < QM_DETAIL_COUNT; ++d)
            work->resampled[d * bootstrap->resamples + r] = values[d];
    }
    return defined;
}

static void estimate(const struct work *work, struct qm_details *out)
{
    const struct qm_bootstrap *bootstrap = &work->params->bootstrap;
    unsigned everywhere = work->clusters >= QM_SCORE_SEQUENCES_MIN ? resample(work) : 0;
    double values[QM_DETAIL_COUNT];
    for (uint32_t k = 0; k < work->clusters; ++k)
        work->weights[k] = 1;
    unsigned defined = statistics_of(work, values);
    everywhere &= ~(1u << QM_DETAIL_CALIBRATION_ERROR | 1u << QM_DETAIL_CALIBRATION_ERROR_REFERENCE);
    if (out->source_sequences < QM_SCORE_SEQUENCES_MIN)
        everywhere &= ~(7u << QM_DETAIL_SOURCE_KL);
    for (int i = 0; i < PERCENTILES; ++i) {
        uint64_t beyond = (uint64_t)work->count * (1000 - percentiles[i].permille);
        if (beyond < 1000 * QM_PERCENTILE_BEYOND_MIN)
            defined &= ~(1u << percentiles[i].detail);
        if (beyond < 1000 * QM_PERCENTILE_INTERVAL_MIN)
            everywhere &= ~(1u << percentiles[i].detail);
    }
    for (unsigned d = 0; d < QM_DETAIL_COUNT; ++d) {
        struct qm_estimate *value = &out->values[d];
        if (!(defined >> d & 1))
            continue;
        *value = (struct qm_estimate){.state = QM_ESTIMATE_POINT, .value = values[d]};
        if (!(everywhere >> d & 1))
            continue;
        value->state = QM_ESTIMATE_INTERVAL;
        qm_bootstrap_interval(bootstrap, work->resampled + (size_t)d * bootstrap->resamples, &value->low, &value->high);
    }
}

enum qm_status qm_details_compute(const struct qm_details_params *params, struct qm_details *out)
{
    enum qm_status status = QM_OK;
    struct work work = {0};
    double noise_reference = 0.0;
    *out = (struct qm_details){0};
    QM_TRY(check(params));
    if (params->scores->count == 0)
        return QM_OK;
    QM_GUARD(work_make(params, &work));
    add_tokens(&work);
    QM_GUARD(add_gaps(&work, params->scores->confidence, params->scores->hit, GAP, &out->calibration_noise));
    QM_GUARD(add_gaps(&work, params->scores->confidence_reference, params->scores->hit_reference, GAP_REFERENCE,
                      &noise_reference));
    add_greedy(&work);
    for (uint32_t k = 0; k < work.clusters; ++k) {
        out->source_tokens += (uint64_t)work.sums[k][SOURCE_TOKENS];
        out->source_sequences += work.sums[k][SOURCE_TOKENS] > 0.0;
    }
    QM_GUARD(tell_greedy(&work, out));
    QM_GUARD(tell_sets(&work, out));
    estimate(&work, out);
done:
    work_free(&work);
    if (status != QM_OK)
        *out = (struct qm_details){0};
    return status;
}

void qm_details_forget_reference(struct qm_details *details)
{
    for (int d = 0; d < QM_DETAIL_COUNT; ++d)
        if (d != QM_DETAIL_SOURCE_KL && d != QM_DETAIL_CALIBRATION_ERROR && d != QM_DETAIL_OVERCONFIDENCE)
            details->values[d] = (struct qm_estimate){.state = QM_ESTIMATE_NOT_MEASURED};
    details->greedy_examples = details->greedy_differing = details->greedy_first_least = 0;
    details->greedy_tokens = 0;
    details->set_count = 0; // whose means are of KL divergences
}
