#include "bench/tune_search.h"

#include "score/ordered.h"

#include <stdio.h>
#include <string.h>

// A candidate must be faster by this to take the best's place during the search, where pairs are few.
#define STEP 1.02
enum {
    ROUNDS_MAX = 4
};

static bool is_over(const struct qm_tune_search_params *p)
{
    return p->is_over && p->is_over(p->context);
}

static enum qm_status try_candidate(const struct qm_tune_search_params *p, const struct qm_tune_point *candidate,
                                    struct qm_tune_point *best, struct qm_tune_found *found, bool *moved)
{
    char settings[QM_SETTINGS_BYTES], against[QM_SETTINGS_BYTES], reason[160];
    struct qm_tune_trial trial = {.status = QM_UNSUPPORTED};
    qm_tune_settings(p->space, candidate, settings);
    qm_tune_settings(p->space, best, against);
    if (!qm_tune_possible(p->space, candidate, p->info, reason)) {
        ++found->impossible;
        if (p->tell)
            p->tell(p->context, settings, &trial, reason);
        return QM_OK;
    }
    QM_TRY(p->measure(p->context, settings, against, false, &trial));
    if (trial.status == QM_OK)
        ++found->tried;
    else
        ++found->refused;
    if (p->tell)
        p->tell(p->context, settings, &trial, trial.status == QM_OK ? "" : qm_error_text());
    if (trial.status != QM_OK || trial.ratio < STEP)
        return QM_OK;
    *best = *candidate;
    *moved = true;
    return QM_OK;
}

enum qm_status qm_tune_search(const struct qm_tune_search_params *p, struct qm_tune_found *out)
{
    struct qm_tune_point best;
    const size_t knobs = p->space->knob_count;
    *out = (struct qm_tune_found){.over_fixed = {.ratio = 1, .low = 1, .high = 1}};
    qm_tune_fixed(p->space, &best);
    // Round and round, until every other knob has been tried since the last change. Luck could lead in circles.
    size_t quiet = 0, visits = 0;
    for (; quiet < knobs && visits < ROUNDS_MAX * knobs && !is_over(p); ++visits) {
        const size_t k = visits % knobs;
        const struct qm_tune_knob *knob = &p->space->knobs[k];
        const uint32_t begun_at = best.values[k];
        bool moved = false;
        for (size_t v = 0; v < knob->count && !is_over(p); ++v) {
            struct qm_tune_point candidate = best;
            candidate.values[k] = knob->values[v];
            if (knob->values[v] != best.values[k] && knob->values[v] != begun_at)
                QM_TRY(try_candidate(p, &candidate, &best, out, &moved));
        }
        quiet = moved ? 1 : quiet + 1;
    }
    out->is_complete = quiet >= knobs;
    qm_tune_settings(p->space, &best, out->settings);
    if (!out->settings[0])
        return QM_OK;
    struct qm_tune_trial last;
    QM_TRY(p->measure(p->context, out->settings, "", true, &last));
    if (last.status == QM_OK && last.low > 1.0) {
        out->over_fixed = last;
        return QM_OK;
    }
    out->settings[0] = '\0'; // it was luck, or it is no more than equal
    return QM_OK;
}

void qm_tune_summarize(double *ratios, size_t count, struct qm_tune_trial *out)
{
    // Ranks of the sign test at 95 %: the largest r with P(fewer than r of n pairs below the median) <= 0.025, n = 6 .. 25.
    static const unsigned char ranks[] = {1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 5, 5, 5, 6, 6, 6, 7, 7, 8};
    size_t rank = 1;
    *out = (struct qm_tune_trial){.status = QM_OK};
    qm_values_sort(ratios, count);
    if (count >= 6)
        rank = count - 6 < sizeof(ranks) ? ranks[count - 6] : ranks[sizeof(ranks) - 1];
    out->ratio = qm_sorted_median(ratios, count);
    out->low = ratios[rank - 1];
    out->high = ratios[count - rank];
}
