#include "score/gate.h"

#include <math.h>

#include "base/numeric.h"
#include "score/ordered.h"

const char *qm_gate_verdict_name(enum qm_gate_verdict verdict)
{
    static const char *const names[] = {"PASS", "INCONCLUSIVE", "NOT COMPARABLE", "REGRESSED", "WRONG"};
    return names[verdict];
}

enum qm_status qm_gate_params_check(const struct qm_gate_params *params)
{
    if (!(params->false_alarm >= 1e-9 && params->false_alarm <= 0.1))
        return QM_FAIL(QM_INVALID, "false_alarm is %g; expected 1e-9 to 0.1", params->false_alarm);
    if (!(params->minimum_effect >= 0 && params->minimum_effect <= 0.5))
        return QM_FAIL(QM_INVALID, "minimum_effect is %g; expected 0 to 0.5", params->minimum_effect);
    if (!(params->tolerance > params->minimum_effect && params->tolerance < 0.9))
        return QM_FAIL(QM_INVALID, "tolerance is %g; expected a fraction above minimum_effect (%g) and below 0.9",
                       params->tolerance, params->minimum_effect);
    if (params->rows < 1)
        return QM_FAIL(QM_INVALID, "a gate of no rows decides nothing");
    return QM_OK;
}

// ---- Quantiles ----------------------------------------------------------------------------------------------------

double qm_normal_inverse(double p)
{
    if (p > 0.5)
        return -qm_normal_inverse(1.0 - p);
    double low = -40, high = 0;
    for (int i = 0; i < 100; ++i) {
        double middle = 0.5 * (low + high);
        if (0.5 * erfc(-middle * sqrt(0.5)) < p)
            low = middle;
        else
            high = middle;
    }
    return 0.5 * (low + high);
}

double qm_student_tail(double t, size_t freedom)
{
    if (freedom > 1000)
        return 0.5 * erfc(t * sqrt(0.5));
    double n = (double)freedom, cos2 = n / (n + t * t), sine = t / sqrt(n + t * t), sum = 0;
    if (freedom % 2 == 1) {
        double term = sqrt(cos2); // cos, then cos^3 2/3, ...
        for (size_t k = 1; k < freedom; k += 2) {
            sum += term;
            term *= cos2 * (double)(k + 1) / (double)(k + 2);
        }
        return 0.5 - (atan(t / sqrt(n)) + sine * sum) * 0.31830988618379067154;
    }
    double term = 1;
    for (size_t k = 0; k < freedom; k += 2) {
        sum += term;
        term *= cos2 * (double)(k + 1) / (double)(k + 2);
    }
    return 0.5 - 0.5 * sine * sum;
}

double qm_student_inverse(double tail, size_t freedom)
{
    double low = 0, high = 1;
    while (qm_student_tail(high, freedom) > tail && high < 1e12)
        high *= 2;
    for (int i = 0; i < 200 && high - low > 1e-12 * high; ++i) {
        double middle = 0.5 * (low + high);
        if (qm_student_tail(middle, freedom) > tail)
            low = middle;
        else
            high = middle;
    }
    return 0.5 * (low + high);
}

// ---- Decision -----------------------------------------------------------------------------------------------------

static const double power_80 = 0.8416212335729143;  // of the normal distribution: 4 cases of 5
static const double power_995 = 2.5758293035489004; // 99.5 %

// The mean of the means of both kinds, and its standard error; false below two parts of a kind.
static bool mean_of_parts(const struct qm_gate_part *parts, size_t count, double *x, double *error)
{
    double sums[2] = {0}, squares = 0;
    size_t counts[2] = {0};
    for (size_t p = 0; p < count; ++p) {
        sums[parts[p].b_first] += parts[p].log_ratio;
        ++counts[parts[p].b_first];
    }
    *x = count > 0 ? (sums[0] + sums[1]) / (double)count : 0;
    if (counts[0] < 2 || counts[1] < 2)
        return false;
    double means[2] = {sums[0] / (double)counts[0], sums[1] / (double)counts[1]};
    for (size_t p = 0; p < count; ++p) {
        double off = parts[p].log_ratio - means[parts[p].b_first];
        squares += off * off;
    }
    *x = 0.5 * (means[0] + means[1]);
    *error = 0.5 * sqrt(squares / (double)(count - 2) * (1 / (double)counts[0] + 1 / (double)counts[1]));
    return true;
}

static enum qm_status check_values(const double *values, size_t count, const char *what)
{
    for (size_t i = 0; i < count; ++i) {
        if (!isfinite(values[i]))
            return QM_FAIL(QM_INVALID, "%s %zu is no number; each must be the logarithm of a ratio or rate above 0",
                           what, i);
    }
    return QM_OK;
}

static void judge(double x, double error, size_t freedom, const struct qm_gate_params *params, struct qm_gate_row *out)
{
    double t = qm_student_inverse(params->false_alarm / (double)params->rows, freedom);
    double effect = -qm_log(1.0 + params->minimum_effect), limit = -qm_log(1.0 + params->tolerance);
    out->standard_error = error;
    out->ratio = qm_exp(x);
    out->low = qm_exp(x - t * error);
    out->high = qm_exp(x + t * error);
    out->detectable = fmax(qm_exp((t + power_80) * error) - 1.0, params->minimum_effect);
    if (out->high < 1.0 && x <= effect) {
        out->verdict = QM_GATE_REGRESSED;
    } else if (x - t * error >= limit) {
        out->verdict = QM_GATE_PASS;
    } else {
        out->verdict = QM_GATE_INCONCLUSIVE;
        // The error at which a row where nothing changed is passed in 99.5 % of the cases.
        double wanted = qm_log(1.0 + params->tolerance) / (t + power_995);
        out->times_as_many = fmax(error * error / (wanted * wanted), 1.5);
    }
}

static const struct qm_gate_row undecided = {
    .verdict = QM_GATE_INCONCLUSIVE, .ratio = 1, .low = 0, .high = INFINITY, .detectable = INFINITY};

enum qm_status qm_gate_judge_parts(const struct qm_gate_part *parts, size_t count, const struct qm_gate_params *params,
                                   struct qm_gate_row *out)
{
    double x, error;
    *out = undecided;
    out->count = count;
    QM_TRY(qm_gate_params_check(params));
    for (size_t p = 0; p < count; ++p)
        QM_TRY(check_values(&parts[p].log_ratio, 1, "part"));
    bool has_error = mean_of_parts(parts, count, &x, &error);
    out->ratio = qm_exp(x);
    if (!has_error || count < QM_GATE_PARTS_MIN)
        out->times_as_many = count > 0 ? fmax((double)QM_GATE_PARTS_MIN / (double)count, 1.5) : 0;
    else
        judge(x, error, count - 2, params, out);
    return QM_OK;
}

enum qm_status qm_gate_judge_runs(const double *log_a, size_t count_a, const double *log_b, size_t count_b,
                                  const struct qm_gate_params *params, struct qm_gate_row *out)
{
    *out = undecided;
    out->count = count_a + count_b;
    QM_TRY(qm_gate_params_check(params));
    QM_TRY(check_values(log_a, count_a, "run of A"));
    QM_TRY(check_values(log_b, count_b, "run of B"));
    if (count_a == 0 || count_b == 0)
        return QM_OK;
    double a = qm_values_mean(log_a, count_a), x = qm_values_mean(log_b, count_b) - a, squares = 0;
    out->ratio = qm_exp(x);
    if (count_a < QM_GATE_RUNS_MIN)
        return QM_OK;
    for (size_t i = 0; i < count_a; ++i)
        squares += (log_a[i] - a) * (log_a[i] - a);
    double error = sqrt(squares / (double)(count_a - 1) * (1.0 / (double)count_a + 1.0 / (double)count_b));
    judge(x, error, count_a - 1, params, out);
    return QM_OK;
}
