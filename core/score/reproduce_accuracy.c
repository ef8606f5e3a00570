// Claims that one run settles: accuracy, kernels' bounds, memory.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "score/reproduce_internal.h"

// ---- Accuracy -------------------------------------------------------------------------------------------------------

struct metric {
    const char *path, *value, *what, *unit;
    bool more_is_worse;
    double ideal; // what loss is counted from: 2 % of the distance to it is tolerated
    double least; // tolerated in any case: so much, or so many of `of`
    const char *of;
};

static const struct metric metrics[] = {
    {"accuracy.kl_divergence", "mean", "KL divergence, mean", "nats", true, 0, 1e-6, NULL},
    {"accuracy.perplexity.ratio", "value", "perplexity ratio", "x", true, 1, 1e-6, NULL},
    {"accuracy.top1_agreement", "value", "top-1 agreement", "", false, 1, 3, "accuracy.tokens"},
    {"accuracy.exact_match", "value", "exact match", "", false, 1, 2, "accuracy.exact_match.examples"},
    {"accuracy.answers.accuracy", "value", "answers", "", false, 1, 2, "accuracy.answers.examples"},
};

// Both sides scored the same tokens, so that the interval of either is far too wide for their difference: one standard
// error of it is taken for three paired ones, and of the mean KL divergence a tenth at most.
static double allowed_of(const struct metric *metric, const struct qm_node *claimed, double value, double paired_error,
                         bool is_kl)
{
    const struct qm_node *holder = qm_node_get(claimed, metric->path);
    double low = 0, high = 0, count = 0, allowed = 0.02 * fabs(value - metric->ideal), spread = 0;
    if (qm_node_double_at(holder, "low", &low) && qm_node_double_at(holder, "high", &high))
        spread = 0.25 * (high - low);
    if (is_kl)
        spread = fmin(spread, 0.1 * value);
    if (is_kl && isfinite(paired_error))
        spread = 3 * paired_error;
    double least = metric->least;
    if (metric->of)
        least = qm_node_double_at(claimed, metric->of, &count) && count > 0 ? metric->least / count : 0;
    return fmax(fmax(allowed, spread), least);
}

// By how much a mean KL divergence may be higher, for what the fp32 reference was not kept whole of.
static double left_out_of(const struct qm_node *scheme)
{
    double left_out = 0;
    return qm_node_double_at(scheme, "disclosure.reference.kl_left_out", &left_out) && left_out > 0 ? left_out : 0;
}

// A mean KL divergence lies between what was measured and that with what was left out: the claim holds where the highest here
// is not worse than the lowest claimed, and does not where the lowest here is worse than the highest claimed.
static void judge_left_out(struct qm_reproduced_claim *row, double claimed_left_out, double here_left_out)
{
    bool is_same = row->margin <= 0 && row->margin >= 0 && claimed_left_out <= here_left_out &&
                   claimed_left_out >= here_left_out; // the same logits
    if ((claimed_left_out <= 0 && here_left_out <= 0) || is_same)
        return;
    double allowed = row->allowed * (1 + 1e-9);
    row->verdict = row->margin + here_left_out <= allowed     ? QM_REPEATED_HOLDS
                   : row->margin - claimed_left_out > allowed ? QM_REPEATED_DOES_NOT_HOLD
                                                              : QM_REPEATED_CANNOT_BE_TOLD;
    qm_reproduce_reason(
        row,
        "%.3g worse is within device tolerance; the fp32 reference left out what may be up to %.3g more in "
        "the record and %.3g here",
        row->allowed, claimed_left_out, here_left_out);
}

static enum qm_status add_metric(struct qm_reproduce_state *state, const struct metric *metric,
                                 const struct qm_node *claimed, const struct qm_node *here, double paired_error)
{
    const struct qm_node *a = qm_node_get(claimed, metric->path), *b = qm_node_get(here, metric->path);
    double value = 0, now = 0;
    if (!qm_node_double_at(a, metric->value, &value))
        return QM_OK; // not claimed
    struct qm_reproduced_claim *row = qm_reproduce_add(
        state, qm_node_text_at(claimed, "name", "?"), QM_REPRODUCED_ACCURACY, QM_REPEATED_CANNOT_BE_TOLD, metric->what);
    if (!row)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for claims");
    if (!qm_node_double_at(b, metric->value, &now)) {
        qm_reproduce_reason(row, "not measured here");
        return QM_OK;
    }
    row->has_numbers = true;
    snprintf(row->unit, sizeof(row->unit), "%s", metric->unit);
    row->claimed = value;
    row->here = now;
    row->margin = now - value;
    row->has_claimed_interval =
        qm_node_double_at(a, "low", &row->claimed_low) && qm_node_double_at(a, "high", &row->claimed_high);
    row->has_here_interval =
        qm_node_double_at(b, "low", &row->here_low) && qm_node_double_at(b, "high", &row->here_high);
    row->allowed = allowed_of(metric, claimed, value, paired_error, metric == &metrics[0]);
    double worse = metric->more_is_worse ? now - value : value - now;
    row->verdict = worse <= row->allowed * (1 + 1e-9) ? QM_REPEATED_HOLDS : QM_REPEATED_DOES_NOT_HOLD;
    qm_reproduce_reason(row, "%.3g worse is within device tolerance", row->allowed);
    if (metric == &metrics[0])
        judge_left_out(row, left_out_of(claimed), left_out_of(here));
    return QM_OK;
}

enum qm_status qm_reproduce_accuracy(struct qm_reproduce_state *state, const struct qm_node *claimed, size_t index)
{
    const char *name = qm_node_text_at(claimed, "name", "?");
    const struct qm_node *here = qm_reproduce_scheme(state->runs[0], name);
    double paired = state->params->paired_errors ? state->params->paired_errors[index] : (double)NAN;
    for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); ++i)
        QM_TRY(add_metric(state, &metrics[i], claimed, here, paired));
    const char *verdict = qm_node_text_at(claimed, "accuracy.acceptance.verdict", "");
    if (strcmp(verdict, "pass") != 0)
        return QM_OK; // nothing is claimed by it
    const char *now = qm_node_text_at(here, "accuracy.acceptance.verdict", "not measured");
    struct qm_reproduced_claim *row = qm_reproduce_add(state, name, QM_REPRODUCED_ACCURACY,
                                                       strcmp(now, "pass") == 0   ? QM_REPEATED_HOLDS
                                                       : strcmp(now, "fail") == 0 ? QM_REPEATED_DOES_NOT_HOLD
                                                                                  : QM_REPEATED_CANNOT_BE_TOLD,
                                                       "acceptance");
    if (!row)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for claims");
    qm_reproduce_reason(row, "pass in the record, %s here", now);
    return QM_OK;
}

// ---- Kernels and memory ---------------------------------------------------------------------------------------------

enum qm_status qm_reproduce_kernels(struct qm_reproduce_state *state, const struct qm_node *claimed)
{
    const char *name = qm_node_text_at(claimed, "name", "?");
    const struct qm_node *kernels = qm_node_child(qm_reproduce_scheme(state->runs[0], name), "kernels");
    size_t checked = 0, beyond = 0;
    double worst = 0;
    for (size_t i = 0; i < qm_node_count(kernels); ++i) {
        double error = 0, bound = 0;
        if (!qm_node_double_at(qm_node_at(kernels, i), "checked_error", &error) ||
            !qm_node_double_at(qm_node_at(kernels, i), "bound", &bound))
            continue;
        ++checked;
        beyond += error > bound;
        worst = bound > 0 ? fmax(worst, error / bound) : worst;
    }
    if (checked == 0 || qm_node_count(qm_node_child(claimed, "kernels")) == 0)
        return QM_OK;
    struct qm_reproduced_claim *row =
        qm_reproduce_add(state, name, QM_REPRODUCED_KERNELS, beyond > 0 ? QM_REPEATED_DOES_NOT_HOLD : QM_REPEATED_HOLDS,
                         "kernels within bounds");
    if (!row)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for claims");
    state->out->is_wrong = state->out->is_wrong || beyond > 0;
    qm_reproduce_reason(row,
                        "%zu of %zu kernels and shapes within their bounds; the largest error is %.0f %% of its own",
                        checked - beyond, checked, 100 * worst);
    return QM_OK;
}

enum qm_status qm_reproduce_memory(struct qm_reproduce_state *state, const struct qm_node *claimed)
{
    const char *name = qm_node_text_at(claimed, "name", "?");
    double value = 0, now = 0;
    if (!qm_node_double_at(claimed, "memory.total_bytes", &value) ||
        !qm_node_double_at(qm_reproduce_scheme(state->runs[0], name), "memory.total_bytes", &now))
        return QM_OK;
    struct qm_reproduced_claim *row =
        qm_reproduce_add(state, name, QM_REPRODUCED_MEMORY,
                         now <= 1.02 * value ? QM_REPEATED_HOLDS : QM_REPEATED_DOES_NOT_HOLD, "memory on the device");
    if (!row)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for claims");
    snprintf(row->unit, sizeof(row->unit), "MiB");
    row->has_numbers = true;
    row->claimed = value / 1048576;
    row->here = now / 1048576;
    row->margin = row->here - row->claimed;
    row->allowed = 0.02 * row->claimed;
    qm_reproduce_reason(row, "2 %% more is tolerated");
    return QM_OK;
}
