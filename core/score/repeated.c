#include "score/repeated.h"

#include <math.h>
#include <stdbool.h>

#include "base/numeric.h"
#include "score/gate.h"
#include "score/ordered.h"

const char *qm_repeated_verdict_name(enum qm_repeated_verdict verdict)
{
    static const char *const names[] = {"holds", "does not hold", "cannot be told", "not applicable"};
    return names[verdict];
}

enum qm_status qm_repeated_params_check(const struct qm_repeated_params *params)
{
    const struct qm_gate_params gate = {.false_alarm = params->false_alarm,
                                        .minimum_effect = params->minimum_effect,
                                        .tolerance = params->tolerance,
                                        .rows = params->claims};
    return qm_gate_params_check(&gate);
}

void qm_repeated_spread_of(const struct qm_repeated_claim *claims, size_t count, size_t runs,
                           struct qm_repeated_spread *out)
{
    *out = (struct qm_repeated_spread){0};
    if (count == 0 || runs < 2 || runs > QM_REPEATED_RUNS_MAX)
        return;
    double n = (double)count, k = (double)runs, of_runs[QM_REPEATED_RUNS_MAX] = {0}, all = 0, run = 0;
    for (size_t i = 0; i < count; ++i) {
        double mean = qm_values_mean(claims[i].runs, runs);
        out->within += claims[i].error * claims[i].error / n;
        for (size_t j = 0; j < runs; ++j) {
            double deviation = claims[i].runs[j] - mean;
            of_runs[j] += deviation / n;
            all += deviation * deviation;
        }
    }
    for (size_t j = 0; j < runs; ++j)
        run += of_runs[j] * of_runs[j];
    double a = run / (k - 1), rest = 0;
    if (count > 1)
        rest = fmax(all - n * run, 0) / ((n - 1) * (k - 1)) * (n - 1) / n;
    out->variance = a + rest;
    double terms = a * a / (k - 1) + (count > 1 ? rest * rest / ((n - 1) * (k - 1)) : 0);
    out->freedom = terms > 0 ? fmax(out->variance * out->variance / terms, k - 1) : k - 1;
}

// Above 100 degrees the difference to the normal distribution is below 5 % of t, and the exact one takes long.
static double student(double tail, double freedom)
{
    return freedom < 100 ? qm_student_inverse(tail, (size_t)freedom) : -qm_normal_inverse(tail) * 1.05;
}

// Half the width of the interval of d, were there so many runs of the spread that was found.
static double width_with(const struct qm_repeated_claim *claim, const struct qm_repeated_spread *spread, size_t found,
                         size_t runs, double tail)
{
    double k = (double)runs, more = 1 + 1 / k, excess = fmax(spread->variance - spread->within, 0);
    double own = claim->error * claim->error, theirs = fmax(own, claim->claimed_error * claim->claimed_error);
    double square = excess * more + theirs + own / k, freedom = spread->freedom * (k - 1) / (double)(found - 1);
    double part = spread->variance * more;
    if (part > 0)
        freedom = fmax(freedom, square * square / (part * part) * freedom);
    return student(tail, freedom) * sqrt(square);
}

static enum qm_repeated_verdict decide(double d, double width, const struct qm_repeated_params *params)
{
    if (d + width < -qm_log(1 + params->minimum_effect))
        return QM_REPEATED_DOES_NOT_HOLD;
    return d - width > -qm_log(1 + params->tolerance) ? QM_REPEATED_HOLDS : QM_REPEATED_CANNOT_BE_TOLD;
}

enum {
    RUNS_LOOKED_AT = 200
};

void qm_repeated_judge(const struct qm_repeated_claim *claim, const struct qm_repeated_spread *spread, size_t runs,
                       const struct qm_repeated_params *params, struct qm_repeated_judgement *out)
{
    double mean = qm_values_mean(claim->runs, runs), d = mean - claim->claimed;
    bool all_reach = runs >= 3;
    *out = (struct qm_repeated_judgement){
        .verdict = QM_REPEATED_CANNOT_BE_TOLD, .ratio = qm_exp(d), .high = INFINITY, .runs_needed = runs < 3 ? 3 : 0};
    if (runs < 2 || !(spread->freedom >= 1))
        return;
    double tail = params->false_alarm / (double)params->claims;
    double width = width_with(claim, spread, runs, runs, tail);
    for (size_t j = 0; j < runs; ++j)
        all_reach = all_reach && claim->runs[j] >= claim->claimed;
    out->low = qm_exp(d - width);
    out->high = qm_exp(d + width);
    double excess = fmax(spread->variance - spread->within, 0), own = claim->error * claim->error;
    out->here_error = student(0.025, spread->freedom) * sqrt((excess + own) / (double)runs);
    out->verdict = decide(d, width, params);
    out->runs_needed = 0;
    if (out->verdict == QM_REPEATED_CANNOT_BE_TOLD && all_reach)
        out->verdict = QM_REPEATED_HOLDS;
    out->limit = qm_exp(width_with(claim, spread, runs, RUNS_LOOKED_AT, tail)) - 1;
    for (size_t k = runs + 1; out->verdict == QM_REPEATED_CANNOT_BE_TOLD && k <= RUNS_LOOKED_AT; k += 1 + k / 8) {
        if (decide(d, width_with(claim, spread, runs, k, tail), params) != QM_REPEATED_CANNOT_BE_TOLD) {
            out->runs_needed = k;
            break;
        }
    }
}
