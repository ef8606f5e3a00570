#include "score/reference_row.h"

#include <math.h> // isfinite: no function of libm is called
#include <stdlib.h>

#include "base/numeric.h"
#include "base/wide.h"
#include "score/argmax.h"

enum {
    LANES = QM_REFERENCE_LANES,
    BLOCK = 512 // a multiple of LANES
};

static double add_lanes(const double lanes[LANES])
{
    return ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
}

static enum qm_status find_top(const float *logits, uint32_t vocabulary, const char *name,
                               const struct qm_token_place *place, uint32_t *top)
{
    if (!qm_logits_argmax(logits, vocabulary, top))
        return QM_FAIL(QM_WRONG_RESULT,
                       "logit of token %u at window %u, position %u (sequence %u) from the %s is not finite", *top,
                       place->window, place->position, place->sequence, name);
    return QM_OK;
}

// e^(logit - top) of a block of logits.
static void exponentials(const float *logits, uint32_t count, float top, double out[BLOCK])
{
    for (uint32_t i = 0; i < count; ++i)
        out[i] = (double)logits[i] - (double)top;
    qm_exp_many(out, count, out);
}

// The sum of them over the whole vocabulary.
static double sum_exponentials(const float *logits, uint32_t vocabulary, float top)
{
    double block[BLOCK], lanes[LANES] = {0};
    for (uint32_t first = 0; first < vocabulary; first += BLOCK) {
        uint32_t some = vocabulary - first < BLOCK ? vocabulary - first : BLOCK;
        exponentials(logits + first, some, top, block);
        for (uint32_t i = 0; i < some; ++i)
            lanes[i % LANES] += block[i];
    }
    return add_lanes(lanes);
}

// ---- Making rows ----------------------------------------------------------------------------------------------------

struct ranked {
    float logit;
    uint32_t id;
};

static int by_rank(const void *left, const void *right)
{
    const struct ranked *a = left, *b = right;
    if (a->logit > b->logit || a->logit < b->logit)
        return a->logit > b->logit ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

static int by_id(const void *left, const void *right)
{
    const struct ranked *a = left, *b = right;
    return a->id < b->id ? -1 : a->id > b->id;
}

// Moves the `count` first in rank to the begin, in no order (Hoare's selection, with the middle of three as pivot).
static void select_first(struct ranked *all, uint32_t size, uint32_t count)
{
    int64_t low = 0, high = (int64_t)size - 1, wanted = (int64_t)count - 1;
    while (low < high) {
        struct ranked three[3] = {all[low], all[low + (high - low) / 2], all[high]};
        qsort(three, 3, sizeof(three[0]), by_rank);
        const struct ranked pivot = three[1];
        int64_t i = low, j = high;
        while (i <= j) {
            while (by_rank(&all[i], &pivot) < 0)
                ++i;
            while (by_rank(&all[j], &pivot) > 0)
                --j;
            if (i <= j) {
                struct ranked other = all[i];
                all[i++] = all[j];
                all[j--] = other;
            }
        }
        if (wanted <= j)
            high = j;
        else if (wanted >= i)
            low = i;
        else
            return;
    }
}

// The fewest that leave at most `mass` out, of those sorted by rank.
static uint32_t count_for_mass(const struct ranked *sorted, uint32_t count, float top, double sum, double mass)
{
    double block[BLOCK], left = 1;
    for (uint32_t first = 0; first < count; first += BLOCK) {
        uint32_t some = count - first < BLOCK ? count - first : BLOCK;
        for (uint32_t i = 0; i < some; ++i)
            block[i] = (double)sorted[first + i].logit - (double)top;
        qm_exp_many(block, some, block);
        for (uint32_t i = 0; i < some; ++i) {
            left -= block[i] / sum;
            if (left <= mass)
                return first + i + 1;
        }
    }
    return count;
}

// The sums over what is not kept, and not the target.
static void add_residual(const float *logits, uint32_t vocabulary, double sum, struct qm_reference_row *row)
{
    double block[BLOCK], mass[LANES] = {0}, entropy[LANES] = {0};
    uint32_t next = 0; // of ids
    for (uint32_t first = 0; first < vocabulary; first += BLOCK) {
        uint32_t some = vocabulary - first < BLOCK ? vocabulary - first : BLOCK;
        exponentials(logits + first, some, row->top_logit, block);
        for (uint32_t i = 0; i < some; ++i) {
            uint32_t v = first + i;
            if (next < row->count && row->ids[next] == v) {
                ++next;
                continue;
            }
            if (v == row->target)
                continue;
            double p = block[i] / sum;
            mass[i % LANES] += p;
            entropy[i % LANES] += p * ((double)logits[v] - (double)row->top_logit - row->log_sum);
        }
    }
    row->residual = add_lanes(mass);
    row->residual_entropy = add_lanes(entropy);
}

enum qm_status qm_reference_row_make(const float *logits, uint32_t vocabulary, uint32_t target,
                                     const struct qm_reference_keep *keep, const struct qm_token_place *place,
                                     uint32_t *ids, float *kept, struct qm_reference_row *out)
{
    struct qm_reference_row row = {.ids = ids, .logits = kept, .target = target};
    *out = (struct qm_reference_row){0};
    if (target >= vocabulary)
        return QM_FAIL(QM_INVALID, "target token %u at window %u, position %u is outside the vocabulary of %u", target,
                       place->window, place->position, vocabulary);
    QM_TRY(find_top(logits, vocabulary, "reference", place, &row.top));
    row.top_logit = logits[row.top];
    row.target_logit = logits[target];
    double sum = sum_exponentials(logits, vocabulary, row.top_logit);
    row.log_sum = qm_log(sum);
    struct ranked *all = calloc(vocabulary, sizeof(*all));
    if (!all)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory to rank %u tokens", vocabulary);
    for (uint32_t v = 0; v < vocabulary; ++v)
        all[v] = (struct ranked){logits[v], v};
    uint32_t most = keep->most < vocabulary ? keep->most : vocabulary;
    if (most < vocabulary)
        select_first(all, vocabulary, most);
    qsort(all, most, sizeof(*all), by_rank);
    row.count = count_for_mass(all, most, row.top_logit, sum, keep->mass);
    qsort(all, row.count, sizeof(*all), by_id);
    for (uint32_t i = 0; i < row.count; ++i) {
        ids[i] = all[i].id;
        kept[i] = all[i].logit;
    }
    free(all);
    add_residual(logits, vocabulary, sum, &row);
    *out = row;
    return QM_OK;
}

bool qm_reference_row_is_valid(const struct qm_reference_row *row, uint32_t vocabulary)
{
    if (row->count < 1 || row->count > vocabulary)
        return false;
    for (uint32_t i = 0; i < row->count; ++i)
        if (!isfinite(row->logits[i]) ||
            (row->ids && (row->ids[i] >= vocabulary || (i > 0 && row->ids[i] <= row->ids[i - 1]))))
            return false;
    return !row->ids || (row->top < vocabulary && row->target < vocabulary && isfinite(row->top_logit) &&
                         isfinite(row->target_logit) && row->log_sum >= 0 && row->log_sum < 100 && row->residual >= 0 &&
                         row->residual <= 1 + 1e-9 && row->residual_entropy <= 0 && row->residual_entropy > -1000);
}

// ---- Scoring --------------------------------------------------------------------------------------------------------

// What the device has where the reference kept nothing: sum of q, and the ends of its logits.
struct rest {
    double sum;
    float lowest, highest;
    uint32_t count;
};

// Sums e^(logit - top) of the device over the whole vocabulary, and over the rest.
static double sum_device(const struct qm_reference_row *row, const float *logits, uint32_t vocabulary, float top,
                         struct rest *rest)
{
    double block[BLOCK], lanes[LANES] = {0}, rest_lanes[LANES] = {0};
    uint32_t next = 0;
    *rest = (struct rest){0, top, top, 0};
    for (uint32_t first = 0; first < vocabulary; first += BLOCK) {
        uint32_t some = vocabulary - first < BLOCK ? vocabulary - first : BLOCK;
        exponentials(logits + first, some, top, block);
        for (uint32_t i = 0; i < some; ++i) {
            uint32_t v = first + i;
            lanes[i % LANES] += block[i];
            if (next < row->count && row->ids[next] == v) {
                ++next;
                continue;
            }
            if (v == row->target)
                continue;
            rest_lanes[i % LANES] += block[i];
            rest->lowest = logits[v] < rest->lowest || rest->count == 0 ? logits[v] : rest->lowest;
            rest->highest = logits[v] > rest->highest || rest->count == 0 ? logits[v] : rest->highest;
            ++rest->count;
        }
    }
    rest->sum = add_lanes(rest_lanes);
    return add_lanes(lanes);
}

// p (ln p - ln q) of the kept tokens, the target among them.
static double kept_part(const struct qm_reference_row *row, const float *logits, float top, double log_sum)
{
    double block[BLOCK], lanes[LANES] = {0};
    bool has_target = false;
    for (uint32_t first = 0; first < row->count; first += BLOCK) {
        uint32_t some = row->count - first < BLOCK ? row->count - first : BLOCK;
        for (uint32_t i = 0; i < some; ++i)
            block[i] = (double)row->logits[first + i] - (double)row->top_logit - row->log_sum;
        qm_exp_many(block, some, block);
        for (uint32_t i = 0; i < some; ++i) {
            uint32_t v = row->ids[first + i];
            double log_p = (double)row->logits[first + i] - (double)row->top_logit - row->log_sum;
            lanes[i % LANES] += block[i] * (log_p - ((double)logits[v] - (double)top - log_sum));
            has_target = has_target || v == row->target;
        }
    }
    if (!has_target) {
        double log_p = (double)row->target_logit - (double)row->top_logit - row->log_sum;
        lanes[0] += qm_exp(log_p) * (log_p - ((double)logits[row->target] - (double)top - log_sum));
    }
    return add_lanes(lanes);
}

enum qm_status qm_reference_row_score(const struct qm_reference_row *row, const float *logits, uint32_t vocabulary,
                                      uint32_t target, const struct qm_token_place *place, struct qm_token_score *out,
                                      double *kl_high)
{
    uint32_t top;
    struct rest rest;
    *kl_high = 0;
    *out = (struct qm_token_score){0};
    if (!row->ids) {
        QM_TRY(qm_token_score(row->logits, logits, vocabulary, target, place, out));
        *kl_high = out->kl;
        return QM_OK;
    }
    if (target != row->target || target >= vocabulary)
        return QM_FAIL(QM_INVALID, "target token %u at window %u, position %u; the reference was kept for token %u",
                       target, place->window, place->position, row->target);
    QM_TRY(find_top(logits, vocabulary, "device", place, &top));
    double sum = sum_device(row, logits, vocabulary, logits[top], &rest), log_sum = qm_log(sum);
    double low = kept_part(row, logits, logits[top], log_sum), high = low;
    if (row->residual > 0 && rest.count > 0) {
        double log_lowest = (double)rest.lowest - (double)logits[top] - log_sum;
        double log_highest = (double)rest.highest - (double)logits[top] - log_sum;
        double lumped = rest.sum > 0 ? row->residual * (qm_log(row->residual) - (qm_log(rest.sum) - log_sum)) : 0;
        double flat = row->residual_entropy - row->residual * log_highest;
        high += row->residual_entropy - row->residual * log_lowest;
        low += rest.sum > 0 && lumped > flat ? lumped : flat;
    }
    low = low > 0 ? low : 0;
    high = high > low ? high : low;
    double p_target = (double)row->target_logit - (double)row->top_logit - row->log_sum;
    double q_target = (double)logits[target] - (double)logits[top] - log_sum;
    *out = (struct qm_token_score){.kl = low,
                                   .nll = -q_target,
                                   .nll_reference = -p_target,
                                   .delta_p = qm_exp(q_target) - qm_exp(p_target),
                                   .confidence = 1 / sum,
                                   .confidence_reference = qm_exp(-row->log_sum),
                                   .same_top = top == row->top,
                                   .hit = top == target,
                                   .hit_reference = row->top == target};
    *kl_high = high;
    return QM_OK;
}
