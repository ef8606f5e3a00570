#include "score/summary.h"

#include "base/numeric.h"
#include "score/noninferiority.h"

#include <math.h> // isfinite and sqrt, which is exact to the last bit everywhere
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

// No fp32 logits give more nats than this: a difference of two floats is at most 6.9e38.
#define NATS_MAX 1e39

static const char *const metric_names[QM_METRIC_COUNT] = {
    [QM_METRIC_KL_MEAN] = "kl_divergence_mean",
    [QM_METRIC_KL_P99] = "kl_divergence_p99",
    [QM_METRIC_KL_MAX] = "kl_divergence_max",
    [QM_METRIC_PERPLEXITY] = "perplexity",
    [QM_METRIC_PERPLEXITY_REFERENCE] = "perplexity_reference",
    [QM_METRIC_PERPLEXITY_RATIO] = "perplexity_ratio",
    [QM_METRIC_TOP1_AGREEMENT] = "top1_agreement",
    [QM_METRIC_RMS_DELTA_P] = "rms_delta_p",
    [QM_METRIC_EXACT_MATCH] = "exact_match",
    [QM_METRIC_EXACT_MATCH_REFERENCE] = "exact_match_reference",
    [QM_METRIC_EXACT_MATCH_RATIO] = "exact_match_ratio",
};

const char *qm_metric_name(enum qm_metric metric)
{
    return (unsigned)metric < QM_METRIC_COUNT ? metric_names[metric] : "?";
}

const char *qm_metric_unit(enum qm_metric metric)
{
    return metric == QM_METRIC_KL_MEAN || metric == QM_METRIC_KL_P99 || metric == QM_METRIC_KL_MAX ? "nats" : "";
}

enum qm_status qm_metric_find(const char *name, enum qm_metric *metric)
{
    char names[400] = "";
    for (unsigned m = 0; m < QM_METRIC_COUNT; ++m) {
        if (strcmp(name, metric_names[m]) == 0) {
            *metric = (enum qm_metric)m;
            return QM_OK;
        }
        if (m)
            strcat(names, ", ");
        strcat(names, metric_names[m]);
    }
    return QM_FAIL(QM_INVALID, "no metric \"%.60s\": must be one of %s", name, names);
}

// Columns of the sums of a sequence. Doubles throughout: counts are exact below 2^53.
enum {
    TOKENS,
    KL,
    NLL,
    NLL_REFERENCE,
    NLL_DIFFERENCE,
    SAME_TOP,
    DELTA_P_SQUARED,
    COLUMNS
};

// The scores reduced to clusters: sequences with at least one token, in rising order of their index.
struct clusters {
    uint32_t count;
    uint32_t *index;              // [sequence_count]: cluster of a sequence, UINT32_MAX if it has no tokens
    double (*sums)[COLUMNS];      // [count]
    uint32_t *cell;               // [count]: or QM_CELL_NONE
    uint8_t *hit, *hit_reference; // [count]: every token is a hit
    struct qm_cluster_value *kl;  // [tokens]: sorted
};

static void clusters_free(struct clusters *c)
{
    free(c->index);
    free(c->sums);
    free(c->cell);
    free(c->hit);
    free(c->hit_reference);
    free(c->kl);
    *c = (struct clusters){0};
}

static enum qm_status check_token(const struct qm_token_scores *s, size_t i, uint32_t sequence_count)
{
    if (s->sequence[i] >= sequence_count)
        return QM_FAIL(QM_INVALID, "scored token %zu belongs to sequence %u of %u", i, s->sequence[i], sequence_count);
    if (!(s->kl[i] >= 0.0 && s->kl[i] <= NATS_MAX))
        return QM_FAIL(QM_INVALID, "kl of scored token %zu is %g: must be a number from 0", i, s->kl[i]);
    if (!(s->nll[i] >= 0.0 && s->nll[i] <= NATS_MAX))
        return QM_FAIL(QM_INVALID, "nll of scored token %zu is %g: must be a number from 0", i, s->nll[i]);
    if (!(s->nll_reference[i] >= 0.0 && s->nll_reference[i] <= NATS_MAX))
        return QM_FAIL(QM_INVALID, "nll_reference of scored token %zu is %g: must be a number from 0", i,
                       s->nll_reference[i]);
    if (!(s->delta_p[i] >= -1.0 && s->delta_p[i] <= 1.0))
        return QM_FAIL(QM_INVALID, "delta_p of scored token %zu is %g: must be from -1 to 1", i, s->delta_p[i]);
    if (s->same_top[i] > 1 || s->hit[i] > 1 || s->hit_reference[i] > 1)
        return QM_FAIL(QM_INVALID, "a flag of scored token %zu is neither 0 nor 1", i);
    return QM_OK;
}

static enum qm_status clusters_make(const struct qm_summary_params *params, struct clusters *c)
{
    const struct qm_token_scores *s = params->scores;
    enum qm_status status = QM_OK;
    *c = (struct clusters){0};
    for (size_t i = 0; i < s->count; ++i)
        QM_TRY(check_token(s, i, params->sequence_count));

    size_t sequences = params->sequence_count ? params->sequence_count : 1;
    c->index = calloc(sequences, sizeof(*c->index));
    if (!c->index)
        goto no_memory;
    for (size_t i = 0; i < s->count; ++i)
        c->index[s->sequence[i]] = 1;
    for (uint32_t q = 0; q < params->sequence_count; ++q)
        c->index[q] = c->index[q] ? c->count++ : UINT32_MAX;

    size_t room = c->count ? c->count : 1;
    c->sums = calloc(room, sizeof(*c->sums));
    c->cell = calloc(room, sizeof(*c->cell));
    c->hit = calloc(room, sizeof(*c->hit));
    c->hit_reference = calloc(room, sizeof(*c->hit_reference));
    c->kl = calloc(s->count ? s->count : 1, sizeof(*c->kl));
    if (!c->sums || !c->cell || !c->hit || !c->hit_reference || !c->kl)
        goto no_memory;

    for (uint32_t q = 0; q < params->sequence_count; ++q) {
        uint32_t k = c->index[q];
        if (k == UINT32_MAX)
            continue;
        c->hit[k] = c->hit_reference[k] = 1;
        c->cell[k] = params->cell ? params->cell[q] : QM_CELL_NONE;
        if (c->cell[k] != QM_CELL_NONE && c->cell[k] >= params->cell_count) {
            status = QM_FAIL(QM_INVALID, "sequence %u is in cell %u of %u", q, c->cell[k], params->cell_count);
            goto failed;
        }
    }
    for (size_t i = 0; i < s->count; ++i) {
        uint32_t k = c->index[s->sequence[i]];
        double *sums = c->sums[k];
        sums[TOKENS] += 1.0;
        sums[KL] += s->kl[i];
        sums[NLL] += s->nll[i];
        sums[NLL_REFERENCE] += s->nll_reference[i];
        sums[NLL_DIFFERENCE] += s->nll[i] - s->nll_reference[i];
        sums[SAME_TOP] += (double)s->same_top[i];
        sums[DELTA_P_SQUARED] += s->delta_p[i] * s->delta_p[i];
        c->hit[k] &= s->hit[i];
        c->hit_reference[k] &= s->hit_reference[i];
        c->kl[i] = (struct qm_cluster_value){s->kl[i], k};
    }
    qm_cluster_values_sort(c->kl, s->count);
    return QM_OK;

no_memory:
    status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory to summarize %zu tokens", s->count);
failed:
    clusters_free(c);
    return status;
}

// The metrics that are functions of a resample's sums, on the scale on which they are resampled: means, whose exp or
// square root is taken of the interval's ends only (both rise, so that the order stays).
enum {
    TOKEN_METRICS = QM_METRIC_RMS_DELTA_P + 1
};

// What is counted in a cell; the last "cell" of an array of these is all graded cells together.
struct tally {
    uint32_t examples, hits, hits_reference, both;
};

static void statistics_of_tokens(const struct clusters *c, size_t tokens, const uint32_t *weights, double *out)
{
    double sums[COLUMNS] = {0};
    for (uint32_t k = 0; k < c->count; ++k) {
        double weight = (double)weights[k];
        for (int column = 0; column < COLUMNS; ++column)
            sums[column] += weight * c->sums[k][column];
    }
    double total = sums[TOKENS];
    out[QM_METRIC_KL_MEAN] = sums[KL] / total;
    out[QM_METRIC_KL_P99] = qm_cluster_percentile(c->kl, tokens, weights, (uint64_t)total, 990);
    out[QM_METRIC_KL_MAX] = qm_cluster_percentile(c->kl, tokens, weights, (uint64_t)total, 1000);
    out[QM_METRIC_PERPLEXITY] = sums[NLL] / total;
    out[QM_METRIC_PERPLEXITY_REFERENCE] = sums[NLL_REFERENCE] / total;
    out[QM_METRIC_PERPLEXITY_RATIO] = sums[NLL_DIFFERENCE] / total;
    out[QM_METRIC_TOP1_AGREEMENT] = sums[SAME_TOP] / total;
    out[QM_METRIC_RMS_DELTA_P] = sums[DELTA_P_SQUARED] / total;
}

static double from_mean(unsigned metric, double mean)
{
    switch (metric) {
    case QM_METRIC_PERPLEXITY:
    case QM_METRIC_PERPLEXITY_REFERENCE:
    case QM_METRIC_PERPLEXITY_RATIO:
        return qm_exp(mean);
    case QM_METRIC_RMS_DELTA_P:
        return sqrt(mean);
    default:
        return mean;
    }
}

static void tally_cells(const struct clusters *c, const uint32_t *weights, uint32_t cells, struct tally *tallies)
{
    for (uint32_t i = 0; i <= cells; ++i)
        tallies[i] = (struct tally){0};
    for (uint32_t k = 0; k < c->count; ++k) {
        if (c->cell[k] == QM_CELL_NONE)
            continue;
        struct tally *tally = &tallies[c->cell[k]];
        tally->examples += weights[k];
        tally->hits += weights[k] * c->hit[k];
        tally->hits_reference += weights[k] * c->hit_reference[k];
        tally->both += weights[k] * (c->hit[k] & c->hit_reference[k]);
    }
    for (uint32_t i = 0; i < cells; ++i) {
        tallies[cells].examples += tallies[i].examples;
        tallies[cells].hits += tallies[i].hits;
        tallies[cells].hits_reference += tallies[i].hits_reference;
        tallies[cells].both += tallies[i].both;
    }
}

// The two rates of a cell. False where there are none.
static bool statistics_of_tally(const struct tally *tally, double out[2])
{
    out[0] = out[1] = 0.0;
    if (tally->examples == 0)
        return false;
    out[0] = (double)tally->hits / (double)tally->examples;
    out[1] = (double)tally->hits_reference / (double)tally->examples;
    return true;
}

static struct qm_paired_counts counts_of_tally(const struct tally *tally)
{
    uint32_t scheme_only = tally->hits - tally->both, reference_only = tally->hits_reference - tally->both;
    return (struct qm_paired_counts){tally->both, scheme_only, reference_only,
                                     tally->examples - tally->both - scheme_only - reference_only};
}

// Fills the estimates of one cell (or of all graded ones) from its tally and its resampled rates, two rows of
// `resamples`; `defined` says whether every resample had them. The ratio is not resampled: see noninferiority.h.
static void estimate_tally(const struct qm_bootstrap *bootstrap, const struct tally *tally, bool defined,
                           double *statistics, struct qm_estimate *const out[3])
{
    double values[2];
    bool is_known = statistics_of_tally(tally, values);
    for (unsigned i = 0; i < 2; ++i) {
        *out[i] = (struct qm_estimate){0};
        if (!is_known)
            continue;
        out[i]->state = QM_ESTIMATE_POINT;
        out[i]->value = values[i];
        if (tally->examples < QM_SCORE_SEQUENCES_MIN || !defined)
            continue;
        out[i]->state = QM_ESTIMATE_INTERVAL;
        qm_bootstrap_interval(bootstrap, statistics + (size_t)i * bootstrap->resamples, &out[i]->low, &out[i]->high);
    }
    const struct qm_paired_counts counts = counts_of_tally(tally);
    *out[2] = qm_paired_ratio(&counts, bootstrap->confidence_permille);
}

static void estimate_tokens(const struct qm_bootstrap *bootstrap, const struct clusters *c, const double *values,
                            double *statistics, struct qm_estimate *metrics)
{
    for (unsigned m = 0; m < TOKEN_METRICS; ++m) {
        struct qm_estimate *out = &metrics[m];
        out->value = from_mean(m, values[m]);
        out->state = QM_ESTIMATE_POINT;
        if (!isfinite(out->value)) {
            *out = (struct qm_estimate){.state = QM_ESTIMATE_OUT_OF_RANGE};
        } else if (c->count >= QM_SCORE_SEQUENCES_MIN) {
            double low, high;
            qm_bootstrap_interval(bootstrap, statistics + (size_t)m * bootstrap->resamples, &low, &high);
            high = from_mean(m, high);
            if (isfinite(high))
                *out = (struct qm_estimate){QM_ESTIMATE_INTERVAL, out->value, from_mean(m, low), high};
        }
    }
}

// Everything that is resampled, one row of `resamples` numbers per statistic.
struct work {
    uint32_t *weights;
    struct tally *tallies; // [cells + 1]
    bool *defined;         // [cells + 1]
    double *tokens;        // [TOKEN_METRICS][resamples]
    double *cells;         // [cells + 1][2][resamples]
};

static void work_free(struct work *work)
{
    free(work->weights);
    free(work->tallies);
    free(work->defined);
    free(work->tokens);
    free(work->cells);
}

static enum qm_status work_make(uint32_t clusters, uint32_t cells, uint32_t resamples, struct work *work)
{
    size_t rows = (size_t)cells + 1;
    work->weights = calloc(clusters, sizeof(*work->weights));
    work->tallies = calloc(rows, sizeof(*work->tallies));
    work->defined = calloc(rows, sizeof(*work->defined));
    work->tokens = calloc((size_t)TOKEN_METRICS * resamples, sizeof(*work->tokens));
    work->cells = calloc(rows * 2, resamples * sizeof(*work->cells));
    if (!work->weights || !work->tallies || !work->defined || !work->tokens || !work->cells)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a bootstrap of %u sequences in %u cells", clusters, cells);
    return QM_OK;
}

static void resample(const struct qm_bootstrap *bootstrap, const struct clusters *c, size_t tokens, uint32_t cells,
                     struct work *work)
{
    struct qm_random random;
    qm_random_seed(&random, bootstrap->seed, 0);
    for (uint32_t i = 0; i <= cells; ++i)
        work->defined[i] = true;
    for (uint32_t r = 0; r < bootstrap->resamples; ++r) {
        double values[QM_METRIC_COUNT];
        qm_bootstrap_draw(&random, c->count, work->weights);
        statistics_of_tokens(c, tokens, work->weights, values);
        for (size_t m = 0; m < TOKEN_METRICS; ++m)
            work->tokens[m * bootstrap->resamples + r] = values[m];
        tally_cells(c, work->weights, cells, work->tallies);
        for (size_t i = 0; i <= cells; ++i) {
            work->defined[i] &= statistics_of_tally(&work->tallies[i], values);
            for (size_t k = 0; k < 2; ++k)
                work->cells[(2 * i + k) * bootstrap->resamples + r] = values[k];
        }
    }
}

enum qm_status qm_summary_create(const struct qm_summary_params *params, struct qm_summary **out)
{
    enum qm_status status = QM_OK;
    struct clusters c = {0};
    struct work work = {0};
    struct qm_summary *summary = NULL;
    uint32_t cells = params->cell ? params->cell_count : 0;
    size_t tokens = params->scores->count;
    *out = NULL;
    QM_TRY(qm_bootstrap_check(&params->bootstrap));
    QM_TRY(clusters_make(params, &c));
    summary = calloc(1, sizeof(*summary));
    if (summary)
        summary->cells = calloc(cells ? cells : 1, sizeof(*summary->cells));
    if (!summary || !summary->cells) {
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a summary of %u cells", cells);
        goto done;
    }
    summary->tokens = tokens;
    summary->sequences = c.count;
    summary->bootstrap = params->bootstrap;
    summary->cell_count = cells;
    if (tokens == 0)
        goto done;

    QM_GUARD(work_make(c.count, cells, params->bootstrap.resamples, &work));
    if (c.count >= QM_SCORE_SEQUENCES_MIN)
        resample(&params->bootstrap, &c, tokens, cells, &work);
    double values[QM_METRIC_COUNT];
    for (uint32_t k = 0; k < c.count; ++k)
        work.weights[k] = 1;
    statistics_of_tokens(&c, tokens, work.weights, values);
    estimate_tokens(&params->bootstrap, &c, values, work.tokens, summary->metrics);
    tally_cells(&c, work.weights, cells, work.tallies);
    summary->graded = counts_of_tally(&work.tallies[cells]);
    for (uint32_t i = 0; i <= cells; ++i) {
        struct qm_estimate *into[3] = {&summary->metrics[QM_METRIC_EXACT_MATCH],
                                       &summary->metrics[QM_METRIC_EXACT_MATCH_REFERENCE],
                                       &summary->metrics[QM_METRIC_EXACT_MATCH_RATIO]};
        if (i < cells) {
            struct qm_cell_summary *cell = &summary->cells[i];
            cell->examples = work.tallies[i].examples;
            cell->hits = work.tallies[i].hits;
            cell->hits_reference = work.tallies[i].hits_reference;
            into[0] = &cell->exact_match;
            into[1] = &cell->exact_match_reference;
            into[2] = &cell->ratio;
        }
        estimate_tally(&params->bootstrap, &work.tallies[i], work.defined[i],
                       work.cells + (size_t)i * 2 * params->bootstrap.resamples, into);
    }
done:
    clusters_free(&c);
    work_free(&work);
    if (status == QM_OK)
        *out = summary;
    else
        qm_summary_destroy(&summary);
    return status;
}

void qm_summary_forget_reference(struct qm_summary *summary)
{
    const struct qm_estimate none = {.state = QM_ESTIMATE_NOT_MEASURED};
    for (int m = 0; m < QM_METRIC_COUNT; ++m)
        if (m != QM_METRIC_PERPLEXITY && m != QM_METRIC_EXACT_MATCH)
            summary->metrics[m] = none;
    for (uint32_t c = 0; c < summary->cell_count; ++c) {
        summary->cells[c].hits_reference = 0;
        summary->cells[c].exact_match_reference = summary->cells[c].ratio = none;
    }
    summary->graded = (struct qm_paired_counts){0};
}

void qm_summary_destroy(struct qm_summary **summary)
{
    if (!*summary)
        return;
    free((*summary)->cells);
    free(*summary);
    *summary = NULL;
}

enum qm_status qm_cluster_mean(const double *values, const uint32_t *sequence, size_t count, uint32_t sequence_count,
                               struct qm_cluster_mean *out)
{
    double *sums = NULL, *counts = NULL, total = 0.0, squares = 0.0;
    *out = (struct qm_cluster_mean){0};
    for (size_t i = 0; i < count; ++i) {
        if (sequence[i] >= sequence_count)
            return QM_FAIL(QM_INVALID, "value %zu belongs to sequence %u of %u", i, sequence[i], sequence_count);
        if (!(values[i] >= -NATS_MAX && values[i] <= NATS_MAX))
            return QM_FAIL(QM_INVALID, "value %zu is %g: no difference of scores", i, values[i]);
    }
    if (count == 0)
        return QM_OK;
    sums = calloc(sequence_count, sizeof(*sums));
    counts = calloc(sequence_count, sizeof(*counts));
    if (!sums || !counts) {
        free(sums);
        free(counts);
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the mean of %zu values", count);
    }
    for (size_t i = 0; i < count; ++i) {
        sums[sequence[i]] += values[i];
        counts[sequence[i]] += 1.0;
    }
    for (uint32_t s = 0; s < sequence_count; ++s) {
        total += sums[s];
        out->sequences += counts[s] > 0.0;
    }
    out->tokens = count;
    out->mean = total / (double)count;
    for (uint32_t s = 0; s < sequence_count; ++s) {
        double rest = sums[s] - out->mean * counts[s];
        squares += rest * rest;
    }
    if (out->sequences >= 2) {
        double n = (double)out->sequences;
        out->standard_error = sqrt(n / (n - 1.0) * squares) / (double)count;
        out->has_error = 1;
    }
    free(sums);
    free(counts);
    return QM_OK;
}

enum qm_status qm_paired_kl(const struct qm_token_scores *a, const struct qm_token_scores *b, uint32_t sequence_count,
                            struct qm_cluster_mean *out)
{
    *out = (struct qm_cluster_mean){0};
    if (a->count != b->count)
        return QM_FAIL(QM_INVALID, "passes of %zu and %zu tokens cannot be paired", a->count, b->count);
    for (size_t i = 0; i < a->count; ++i)
        if (a->sequence[i] != b->sequence[i] || a->window[i] != b->window[i] || a->position[i] != b->position[i] ||
            a->target[i] != b->target[i])
            return QM_FAIL(QM_INVALID, "scored token %zu is not the same in both passes", i);
    double *difference = calloc(a->count ? a->count : 1, sizeof(*difference));
    if (!difference)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory to pair %zu tokens", a->count);
    for (size_t i = 0; i < a->count; ++i)
        difference[i] = a->kl[i] - b->kl[i];
    enum qm_status status = qm_cluster_mean(difference, a->sequence, a->count, sequence_count, out);
    free(difference);
    return status;
}
