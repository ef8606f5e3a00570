#include "score/acceptance.h"

#include <math.h> // isfinite
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *qm_verdict_name(enum qm_verdict verdict)
{
    static const char *const names[] = {"not stated", "pass", "fail", "inconclusive"};
    return (unsigned)verdict < sizeof(names) / sizeof(names[0]) ? names[verdict] : "?";
}

// A number with `digits` significant digits, and what a reader takes it for.
struct shown {
    char text[32];
    double value;
};

static struct shown show(double value, int digits)
{
    struct shown shown;
    snprintf(shown.text, sizeof(shown.text), "%.*g", digits, value);
    shown.value = strtod(shown.text, NULL);
    return shown;
}

static int keeps(enum qm_bound_side side, double bound, double value)
{
    return side == QM_BOUND_UPPER ? value <= bound : value >= bound;
}

double qm_left_out_of(const struct qm_left_out *left_out, enum qm_metric metric)
{
    if (!left_out)
        return 0;
    return metric == QM_METRIC_KL_MEAN                                ? left_out->mean
           : metric == QM_METRIC_KL_P99 || metric == QM_METRIC_KL_MAX ? left_out->largest
                                                                      : 0;
}

// Whether the printed interval tells the same story as the true one.
static int faithful(enum qm_bound_side side, double bound, const struct qm_estimate *estimate, double left_out,
                    const struct shown *value, const struct shown *low, const struct shown *high,
                    const struct shown *more)
{
    return (value->value == low->value) == (estimate->value == estimate->low) &&
           (value->value == high->value) == (estimate->value == estimate->high) &&
           keeps(side, bound, low->value) == keeps(side, bound, estimate->low) &&
           keeps(side, bound, high->value) == keeps(side, bound, estimate->high) &&
           keeps(side, bound, high->value + more->value) == keeps(side, bound, estimate->high + left_out);
}

static enum qm_verdict judge(enum qm_bound_side side, double bound, const struct qm_estimate *estimate, double left_out)
{
    if (!isfinite(bound) || !(left_out >= 0))
        return QM_VERDICT_INCONCLUSIVE;
    if (estimate->state == QM_ESTIMATE_OUT_OF_RANGE)
        return side == QM_BOUND_UPPER ? QM_VERDICT_FAIL : QM_VERDICT_INCONCLUSIVE;
    if (estimate->state != QM_ESTIMATE_INTERVAL || !isfinite(estimate->low) || !isfinite(estimate->high))
        return QM_VERDICT_INCONCLUSIVE;
    double high = estimate->high + left_out;
    double worst = side == QM_BOUND_UPPER ? high : estimate->low;
    double best = side == QM_BOUND_UPPER ? estimate->low : high;
    return keeps(side, bound, worst)   ? QM_VERDICT_PASS
           : !keeps(side, bound, best) ? QM_VERDICT_FAIL
                                       : QM_VERDICT_INCONCLUSIVE;
}

struct qm_criterion_verdict qm_criterion_judge(const char *name, enum qm_bound_side side, double bound,
                                               const struct qm_estimate *estimate, double left_out)
{
    struct qm_criterion_verdict out = {.verdict = judge(side, bound, estimate, left_out)};
    const char *sign = side == QM_BOUND_UPPER ? "<=" : ">=";
    const char *verdict = qm_verdict_name(out.verdict);
    struct shown limit = show(bound, 1);
    for (int digits = 2; digits <= 17 && limit.value != bound; ++digits)
        limit = show(bound, digits);
    switch (estimate->state) {
    case QM_ESTIMATE_INTERVAL: {
        struct shown value, low, high, more;
        char beyond[96] = "";
        int digits = 3;
        do {
            value = show(estimate->value, digits);
            low = show(estimate->low, digits);
            high = show(estimate->high, digits);
            more = show(left_out, digits);
        } while (!faithful(side, bound, estimate, left_out, &value, &low, &high, &more) && ++digits <= 17);
        if (left_out > 0)
            snprintf(beyond, sizeof(beyond), ", or up to %s more for what the fp32 reference left out,", more.text);
        snprintf(out.text, sizeof(out.text), "%.60s %s [%s, %s]%s %s %s: %s", name, value.text, low.text, high.text,
                 beyond, sign, limit.text, verdict);
        break;
    }
    case QM_ESTIMATE_POINT:
        snprintf(out.text, sizeof(out.text), "%.60s %s [interval not measured] %s %s: %s", name,
                 show(estimate->value, 4).text, sign, limit.text, verdict);
        break;
    case QM_ESTIMATE_OUT_OF_RANGE:
        snprintf(out.text, sizeof(out.text), "%.60s above 1.79e308 %s %s: %s", name, sign, limit.text, verdict);
        break;
    case QM_ESTIMATE_NOT_MEASURED:
    default:
        snprintf(out.text, sizeof(out.text), "%.60s not measured %s %s: %s", name, sign, limit.text, verdict);
        break;
    }
    return out;
}

enum qm_verdict qm_verdict_overall(const struct qm_criterion_verdict *verdicts, size_t count)
{
    enum qm_verdict overall = QM_VERDICT_NOT_STATED;
    for (size_t i = 0; i < count; ++i) {
        if (verdicts[i].verdict == QM_VERDICT_FAIL)
            return QM_VERDICT_FAIL;
        if (verdicts[i].verdict == QM_VERDICT_INCONCLUSIVE || overall == QM_VERDICT_NOT_STATED)
            overall = verdicts[i].verdict;
    }
    return overall;
}

// "; 3,400 graded examples would tell", where more of the same would.
static void tell_needed(const struct qm_paired_counts *counts, double bound, uint32_t confidence_permille,
                        struct qm_criterion_verdict *verdict)
{
    uint64_t needed = bound > 0.0 && verdict->verdict == QM_VERDICT_INCONCLUSIVE
                          ? qm_paired_examples_needed(counts, bound, confidence_permille)
                          : 0;
    size_t used = strlen(verdict->text);
    if (needed)
        snprintf(verdict->text + used, sizeof(verdict->text) - used, "; %llu graded examples would tell",
                 (unsigned long long)needed);
}

enum qm_verdict qm_acceptance_non_inferiority(const struct qm_summary *summary, double threshold, uint64_t *needed)
{
    const struct qm_estimate *ratio = &summary->metrics[QM_METRIC_EXACT_MATCH_RATIO];
    *needed = qm_paired_examples_needed(&summary->graded, threshold, summary->bootstrap.confidence_permille);
    return judge(QM_BOUND_LOWER, threshold, ratio, 0);
}

enum qm_status qm_acceptance_judge(const struct qm_criterion *criteria, size_t count, const struct qm_summary *summary,
                                   const struct qm_left_out *left_out, struct qm_criterion_verdict *verdicts,
                                   enum qm_verdict *overall)
{
    *overall = QM_VERDICT_NOT_STATED;
    for (size_t i = 0; i < count; ++i) {
        if ((unsigned)criteria[i].metric >= QM_METRIC_COUNT)
            return QM_FAIL(QM_INVALID, "criterion %zu names no metric", i);
        if (!isfinite(criteria[i].bound))
            return QM_FAIL(QM_INVALID, "the bound of %s must be a number", qm_metric_name(criteria[i].metric));
        verdicts[i] =
            qm_criterion_judge(qm_metric_name(criteria[i].metric), criteria[i].side, criteria[i].bound,
                               &summary->metrics[criteria[i].metric], qm_left_out_of(left_out, criteria[i].metric));
        if (criteria[i].metric == QM_METRIC_EXACT_MATCH_RATIO && criteria[i].side == QM_BOUND_LOWER)
            tell_needed(&summary->graded, criteria[i].bound, summary->bootstrap.confidence_permille, &verdicts[i]);
    }
    *overall = qm_verdict_overall(verdicts, count);
    return QM_OK;
}
