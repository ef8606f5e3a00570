#include "score/tokens.h"

#include "base/numeric.h"
#include "score/argmax.h"

#include <math.h> // isnan: no function of libm is called
#include <stdlib.h>
#include <string.h>

enum qm_status qm_token_scores_create(size_t count, struct qm_token_scores **out)
{
    *out = NULL;
    struct qm_token_scores *scores = calloc(1, sizeof(*scores));
    if (!scores)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the scores of %zu tokens", count);
    size_t room = count ? count : 1;
    scores->count = count;
    scores->kl = calloc(room, sizeof(*scores->kl));
    scores->nll = calloc(room, sizeof(*scores->nll));
    scores->nll_reference = calloc(room, sizeof(*scores->nll_reference));
    scores->delta_p = calloc(room, sizeof(*scores->delta_p));
    scores->confidence = calloc(room, sizeof(*scores->confidence));
    scores->confidence_reference = calloc(room, sizeof(*scores->confidence_reference));
    scores->source_kl = calloc(room, sizeof(*scores->source_kl));
    scores->source_kl_reference = calloc(room, sizeof(*scores->source_kl_reference));
    scores->has_source = calloc(room, sizeof(*scores->has_source));
    scores->same_top = calloc(room, sizeof(*scores->same_top));
    scores->hit = calloc(room, sizeof(*scores->hit));
    scores->hit_reference = calloc(room, sizeof(*scores->hit_reference));
    scores->sequence = calloc(room, sizeof(*scores->sequence));
    scores->window = calloc(room, sizeof(*scores->window));
    scores->position = calloc(room, sizeof(*scores->position));
    scores->target = calloc(room, sizeof(*scores->target));
    if (!scores->kl || !scores->nll || !scores->nll_reference || !scores->delta_p || !scores->same_top ||
        !scores->hit || !scores->hit_reference || !scores->sequence || !scores->window || !scores->position ||
        !scores->target || !scores->confidence || !scores->confidence_reference || !scores->source_kl ||
        !scores->source_kl_reference || !scores->has_source) {
        qm_token_scores_destroy(&scores);
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the scores of %zu tokens", count);
    }
    *out = scores;
    return QM_OK;
}

void qm_token_scores_destroy(struct qm_token_scores **scores)
{
    struct qm_token_scores *s = *scores;
    if (!s)
        return;
    free(s->kl);
    free(s->nll);
    free(s->nll_reference);
    free(s->delta_p);
    free(s->confidence);
    free(s->confidence_reference);
    free(s->source_kl);
    free(s->source_kl_reference);
    free(s->has_source);
    free(s->same_top);
    free(s->hit);
    free(s->hit_reference);
    free(s->sequence);
    free(s->window);
    free(s->position);
    free(s->target);
    free(s);
    *scores = NULL;
}

// The largest of `logits` and its lowest index.
struct peak {
    double value;
    uint32_t index;
};

static enum qm_status find_peak(const float *logits, uint32_t vocabulary, const char *name,
                                const struct qm_token_place *place, struct peak *peak)
{
    uint32_t top;
    if (!qm_logits_argmax(logits, vocabulary, &top))
        return QM_FAIL(QM_WRONG_RESULT,
                       "logit of token %u at window %u, position %u (sequence %u) from the %s is %s, not a number", top,
                       place->window, place->position, place->sequence, name,
                       isnan(logits[top]) ? "NaN"
                       : logits[top] > 0  ? "infinity"
                                          : "-infinity");
    *peak = (struct peak){(double)logits[top], top};
    return QM_OK;
}

// With a' and b' the logits less their largest: ln p_v - ln q_v = (a'_v - b'_v) + (ln sum e^b' - ln sum e^a'), so that
// KL(p || q) = sum e^a' (a' - b') / sum e^a' + (ln sum e^b' - ln sum e^a'). Equal logits give 0 + 0.
struct pair {
    struct peak p, q;
    double p_sum, q_sum; // of e^(logit - largest): at least 1
    double p_log_sum, q_log_sum;
    double kl;
};

static enum qm_status compare(const float *p_logits, const float *q_logits, uint32_t vocabulary, const char *p_name,
                              const char *q_name, const struct qm_token_place *place, struct pair *out)
{
    struct pair pair = {0};
    if (vocabulary == 0)
        return QM_FAIL(QM_INVALID, "the vocabulary is empty");
    QM_TRY(find_peak(p_logits, vocabulary, p_name, place, &pair.p));
    QM_TRY(find_peak(q_logits, vocabulary, q_name, place, &pair.q));
    double weighted = 0.0;
    for (uint32_t v = 0; v < vocabulary; ++v) {
        double p_logit = (double)p_logits[v] - pair.p.value;
        double q_logit = (double)q_logits[v] - pair.q.value;
        double p_exp = qm_exp(p_logit);
        pair.p_sum += p_exp;
        pair.q_sum += qm_exp(q_logit);
        weighted += p_exp * (p_logit - q_logit);
    }
    pair.p_log_sum = qm_log(pair.p_sum);
    pair.q_log_sum = qm_log(pair.q_sum);
    pair.kl = weighted / pair.p_sum + (pair.q_log_sum - pair.p_log_sum);
    if (pair.kl < 0.0)
        pair.kl = 0.0;
    *out = pair;
    return QM_OK;
}

enum qm_status qm_token_kl(const float *p_logits, const float *q_logits, uint32_t vocabulary, const char *p_name,
                           const char *q_name, const struct qm_token_place *place, double *kl)
{
    struct pair pair;
    *kl = 0.0;
    QM_TRY(compare(p_logits, q_logits, vocabulary, p_name, q_name, place, &pair));
    *kl = pair.kl;
    return QM_OK;
}

enum qm_status qm_token_score(const float *reference, const float *logits, uint32_t vocabulary, uint32_t target,
                              const struct qm_token_place *place, struct qm_token_score *out)
{
    struct pair pair;
    *out = (struct qm_token_score){0};
    if (target >= vocabulary)
        return QM_FAIL(QM_INVALID, "target token %u at window %u, position %u is outside the vocabulary of %u", target,
                       place->window, place->position, vocabulary);
    QM_TRY(compare(reference, logits, vocabulary, "reference", "device", place, &pair));
    double p_logit = (double)reference[target] - pair.p.value;
    double q_logit = (double)logits[target] - pair.q.value;
    out->kl = pair.kl;
    out->nll = pair.q_log_sum - q_logit;
    out->nll_reference = pair.p_log_sum - p_logit;
    out->delta_p = qm_exp(q_logit) / pair.q_sum - qm_exp(p_logit) / pair.p_sum;
    out->confidence = 1.0 / pair.q_sum;
    out->confidence_reference = 1.0 / pair.p_sum;
    out->same_top = pair.p.index == pair.q.index;
    out->hit = pair.q.index == target;
    out->hit_reference = pair.p.index == target;
    return QM_OK;
}

enum qm_status qm_token_scores_put(struct qm_token_scores *scores, size_t index, const struct qm_token_score *score,
                                   uint32_t target, const struct qm_token_place *place)
{
    if (index >= scores->count)
        return QM_FAIL(QM_INVALID, "token %zu is beyond the %zu that there is room for", index, scores->count);
    scores->kl[index] = score->kl;
    scores->nll[index] = score->nll;
    scores->nll_reference[index] = score->nll_reference;
    scores->delta_p[index] = score->delta_p;
    scores->confidence[index] = score->confidence;
    scores->confidence_reference[index] = score->confidence_reference;
    scores->same_top[index] = score->same_top;
    scores->hit[index] = score->hit;
    scores->hit_reference[index] = score->hit_reference;
    scores->sequence[index] = place->sequence;
    scores->window[index] = place->window;
    scores->position[index] = place->position;
    scores->target[index] = target;
    return QM_OK;
}

enum qm_status qm_token_scores_set(struct qm_token_scores *scores, size_t index, const float *reference,
                                   const float *logits, uint32_t vocabulary, uint32_t target,
                                   const struct qm_token_place *place)
{
    struct qm_token_score score;
    if (index >= scores->count)
        return QM_FAIL(QM_INVALID, "token %zu is beyond the %zu that there is room for", index, scores->count);
    QM_TRY(qm_token_score(reference, logits, vocabulary, target, place, &score));
    return qm_token_scores_put(scores, index, &score, target, place);
}

enum qm_status qm_token_source_kl(const struct qm_token_source *source, const float *logits, uint32_t vocabulary,
                                  const char *name, const struct qm_token_place *place, double *kl)
{
    struct peak peak = {0};
    double sum = 0.0, total = 0.0, weighted = 0.0;
    *kl = 0.0;
    if (vocabulary == 0)
        return QM_FAIL(QM_INVALID, "the vocabulary is empty");
    for (uint32_t i = 0; i < source->count; ++i) {
        if (source->tokens[i] >= vocabulary)
            return QM_FAIL(QM_INVALID, "token %u of the source is outside the vocabulary of %u", source->tokens[i],
                           vocabulary);
        if (!(source->probabilities[i] > 0.0 && source->probabilities[i] <= 1.0))
            return QM_FAIL(QM_INVALID, "the source gives token %u the probability %g", source->tokens[i],
                           source->probabilities[i]);
        total += source->probabilities[i];
    }
    if (!(total > 1.0 - 1e-9 && total < 1.0 + 1e-9))
        return QM_FAIL(QM_INVALID, "the source's probabilities add up to %g, not to 1", total);
    QM_TRY(find_peak(logits, vocabulary, name, place, &peak));
    for (uint32_t v = 0; v < vocabulary; ++v)
        sum += qm_exp((double)logits[v] - peak.value);
    double log_sum = qm_log(sum);
    for (uint32_t i = 0; i < source->count; ++i) {
        double log_q = ((double)logits[source->tokens[i]] - peak.value) - log_sum;
        weighted += source->probabilities[i] * (qm_log(source->probabilities[i]) - log_q);
    }
    *kl = weighted > 0.0 ? weighted : 0.0;
    return QM_OK;
}

enum qm_status qm_token_scores_set_source(struct qm_token_scores *scores, size_t index,
                                          const struct qm_token_source *source, const float *reference,
                                          const float *logits, uint32_t vocabulary, const struct qm_token_place *place)
{
    if (index >= scores->count)
        return QM_FAIL(QM_INVALID, "token %zu is beyond the %zu that there is room for", index, scores->count);
    QM_TRY(qm_token_source_kl(source, reference, vocabulary, "reference", place, &scores->source_kl_reference[index]));
    QM_TRY(qm_token_source_kl(source, logits, vocabulary, "device", place, &scores->source_kl[index]));
    scores->has_source[index] = 1;
    return QM_OK;
}
