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

double qm_gate_target_error(const struct qm_gate_params *params)
{
    double z = -qm_normal_inverse(params->false_alarm / (double)params->rows);
    return qm_log(1.0 + params->tolerance) / (z + power_995);
}

static double error_of_batches(const double *values, size_t count, size_t batch)
{
    size_t batches = count / batch;
    if (batches < 2)
        return INFINITY;
    double mean = 0, squares = 0;
    for (size_t b = 0; b < batches * batch; ++b)
        mean += values[b];
    mean /= (double)(batches * batch);
    for (size_t b = 0; b < batches; ++b) {
        double sum = 0;
        for (size_t i = 0; i < batch; ++i)
            sum += values[b * batch + i] - mean;
        squares += sum * sum;
    }
    // Each batch's mean has the variance squares / (batches - 1) / batch^2; their mean has that over the batches.
    return sqrt(squares / (double)(batches - 1) / (double)batches) / (double)batch;
}

double qm_gate_blocks_error(const double *log_ratios, size_t count)
{
    double error = error_of_batches(log_ratios, count, 1);
    for (size_t batch = 2; batch <= 4; batch *= 2) {
        if (count / batch >= 12) // fewer batches say little of their own spread
            error = fmax(error, error_of_batches(log_ratios, count, batch));
    }
    return error;
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
    double tail = params->false_alarm / (double)params->rows, t = qm_student_inverse(tail, freedom);
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
        double wanted = qm_gate_target_error(params);
        out->times_as_many = fmax(error * error / (wanted * wanted), 1.5);
    }
}

static const struct qm_gate_row undecided = {
    .verdict = QM_GATE_INCONCLUSIVE, .ratio = 1, .low = 0, .high = INFINITY, .detectable = INFINITY};

enum qm_status qm_gate_judge_blocks(const double *log_ratios, size_t count, const struct qm_gate_params *params,
                                    struct qm_gate_row *out)
{
    *out = undecided;
    out->count = count;
    QM_TRY(qm_gate_params_check(params));
    QM_TRY(check_values(log_ratios, count, "block"));
    out->ratio = qm_exp(qm_values_mean(log_ratios, count));
    if (count < QM_GATE_BLOCKS_MIN) {
        out->times_as_many = count > 0 ? (double)QM_GATE_BLOCKS_MIN / (double)count : 0;
        return QM_OK;
    }
    judge(qm_values_mean(log_ratios, count), qm_gate_blocks_error(log_ratios, count), count - 1, params, out);
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
