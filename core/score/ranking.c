#include "score/ranking.h"
#include "score/summary.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// Sums of sequences with at least one token, in rising order of their index, as the summary has them: the same seed then
// draws the same, and a pass has the same interval in both.
struct sums {
    uint32_t clusters;
    double *tokens; // [clusters]
    double *kl;     // [passes][clusters]
};

static enum qm_status sums_make(const struct qm_token_scores *const *passes, size_t count, uint32_t sequence_count,
                                struct sums *out)
{
    const struct qm_token_scores *first = passes[0];
    uint32_t *cluster = calloc((size_t)sequence_count + 1, sizeof(*cluster));
    if (!cluster)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory to rank %zu passes", count);
    for (size_t i = 0; i < first->count; ++i)
        cluster[first->sequence[i]] = 1;
    for (uint32_t q = 0; q < sequence_count; ++q)
        cluster[q] = cluster[q] ? out->clusters++ : UINT32_MAX;
    out->tokens = calloc((size_t)out->clusters + 1, sizeof(*out->tokens));
    out->kl = calloc(count * ((size_t)out->clusters + 1), sizeof(*out->kl));
    if (!out->tokens || !out->kl) {
        free(cluster);
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory to rank %zu passes", count);
    }
    for (size_t i = 0; i < first->count; ++i)
        out->tokens[cluster[first->sequence[i]]] += 1.0;
    for (size_t p = 0; p < count; ++p)
        for (size_t i = 0; i < first->count; ++i)
            out->kl[p * out->clusters + cluster[first->sequence[i]]] += passes[p]->kl[i];
    free(cluster);
    return QM_OK;
}

// means[pass * stride] for every pass.
static void means_of(const struct sums *sums, size_t count, const uint32_t *weights, size_t stride, double *means)
{
    double total = 0.0;
    for (uint32_t c = 0; c < sums->clusters; ++c)
        total += (double)weights[c] * sums->tokens[c];
    for (size_t p = 0; p < count; ++p) {
        double sum = 0.0;
        for (uint32_t c = 0; c < sums->clusters; ++c)
            sum += (double)weights[c] * sums->kl[p * sums->clusters + c];
        means[p * stride] = sum / total;
    }
}

// The interval of a's mean less b's, from the resampled means of both.
static void difference(const struct qm_bootstrap *bootstrap, const double *a, const double *b, double *work,
                       double *low, double *high)
{
    for (uint32_t r = 0; r < bootstrap->resamples; ++r)
        work[r] = a[r] - b[r];
    qm_bootstrap_interval(bootstrap, work, low, high);
}

// Ranges of ranks, and differences from the best, from the means of all resamples, [count][resamples].
static void compare_all(const struct qm_bootstrap *bootstrap, const double *means, size_t count, size_t best,
                        double *work, struct qm_ranked *ranked)
{
    const size_t resamples = bootstrap->resamples;
    double low, high;
    for (size_t a = 0; a < count; ++a) {
        for (size_t b = a + 1; b < count; ++b) {
            difference(bootstrap, means + a * resamples, means + b * resamples, work, &low, &high);
            ranked[a].rank_first += low > 0.0;
            ranked[b].rank_last -= low > 0.0;
            ranked[b].rank_first += high < 0.0;
            ranked[a].rank_last -= high < 0.0;
        }
        struct qm_estimate *over = &ranked[a].over_best;
        difference(bootstrap, means + a * resamples, means + best * resamples, work, &over->low, &over->high);
        over->state = QM_ESTIMATE_INTERVAL;
    }
}

static enum qm_status check(const struct qm_token_scores *const *passes, size_t count, uint32_t sequence_count,
                            const struct qm_bootstrap *bootstrap)
{
    struct qm_cluster_mean mean;
    QM_TRY(qm_bootstrap_check(bootstrap));
    if (count == 0 || count > UINT32_MAX || passes[0]->count == 0)
        return QM_FAIL(QM_INVALID, "no scored tokens to rank by");
    for (size_t p = 0; p < count; ++p)
        QM_TRY(qm_paired_kl(passes[p], passes[0], sequence_count, &mean));
    return QM_OK;
}

enum qm_status qm_ranking_make(const struct qm_token_scores *const *passes, size_t count, uint32_t sequence_count,
                               const struct qm_bootstrap *bootstrap, struct qm_ranked *ranked)
{
    enum qm_status status = QM_OK;
    struct sums sums = {0};
    uint32_t *weights = NULL;
    double *means = NULL, *work = NULL;
    size_t best = 0;
    memset(ranked, 0, count * sizeof(*ranked));
    QM_TRY(check(passes, count, sequence_count, bootstrap));
    QM_GUARD(sums_make(passes, count, sequence_count, &sums));
    weights = calloc(sums.clusters, sizeof(*weights));
    means = calloc(count * bootstrap->resamples, sizeof(*means));
    work = calloc(bootstrap->resamples, sizeof(*work));
    if (!weights || !means || !work) {
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory to rank %zu passes", count);
        goto done;
    }
    for (uint32_t c = 0; c < sums.clusters; ++c)
        weights[c] = 1;
    means_of(&sums, count, weights, bootstrap->resamples, means);
    for (size_t p = 0; p < count; ++p) {
        ranked[p].kl = means[p * bootstrap->resamples];
        ranked[p].rank_first = 1;
        ranked[p].rank_last = (uint32_t)count;
        best = ranked[p].kl < ranked[best].kl ? p : best;
    }
    ranked[best].is_best = 1;
    for (size_t p = 0; p < count; ++p)
        ranked[p].over_best = (struct qm_estimate){QM_ESTIMATE_POINT, ranked[p].kl - ranked[best].kl, 0, 0};
    if (sums.clusters < QM_SCORE_SEQUENCES_MIN)
        goto done;
    struct qm_random random;
    qm_random_seed(&random, bootstrap->seed, 0);
    for (uint32_t r = 0; r < bootstrap->resamples; ++r) {
        qm_bootstrap_draw(&random, sums.clusters, weights);
        means_of(&sums, count, weights, bootstrap->resamples, means + r);
    }
    compare_all(bootstrap, means, count, best, work, ranked);
done:
    free(sums.tokens);
    free(sums.kl);
    free(weights);
    free(means);
    free(work);
    return status;
}
