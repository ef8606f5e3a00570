#include "workload/paired.h"

#include "score/counts.h"

#include <inttypes.h>
#include <math.h> // sqrt, which is exact to the last bit everywhere
#include <string.h>

const char *qm_answer_change_name(enum qm_answer_change change)
{
    static const char *const names[QM_CHANGES] = {"same", "right to wrong", "wrong to right", "other, right",
                                                  "other, wrong"};
    return (unsigned)change < QM_CHANGES ? names[change] : "?";
}

enum qm_answer_change qm_answer_change(const struct qm_paired_answer *answer)
{
    bool is_right = answer->scheme == QM_ANSWER_RIGHT, was_right = answer->reference == QM_ANSWER_RIGHT;
    if (is_right != was_right)
        return is_right ? QM_CHANGE_GAINED : QM_CHANGE_LOST;
    if (answer->is_same)
        return QM_CHANGE_NONE;
    return is_right ? QM_CHANGE_OTHER_RIGHT : QM_CHANGE_OTHER_WRONG;
}

struct qm_estimate qm_answer_share(uint32_t right, uint32_t count, uint32_t confidence_permille)
{
    if (count == 0)
        return (struct qm_estimate){0};
    struct qm_estimate out = {.state = QM_ESTIMATE_POINT, .value = (double)right / (double)count};
    if (count < QM_SCORE_SEQUENCES_MIN)
        return out;
    out.state = QM_ESTIMATE_INTERVAL;
    qm_share_interval(right, count, confidence_permille, &out.low, &out.high);
    return out;
}

// T(d), for -1 < d < 1.
static double difference_score(double n, double gained, double lost, double d)
{
    double b = -gained - lost + (2.0 * n - gained + lost) * d, c = -lost * d * (1.0 - d);
    double root = b * b - 8.0 * n * c;
    double q = (sqrt(root > 0.0 ? root : 0.0) - b) / (4.0 * n);
    double variance = n * (2.0 * q + d * (1.0 - d)), distance = gained - lost - n * d;
    if (variance <= 0.0) // where d is what was seen, and nothing scatters
        return distance > 0.0 ? INFINITY : distance < 0.0 ? -INFINITY : 0.0;
    return distance / sqrt(variance);
}

// Where T, which falls, crosses `level`.
static double difference_at(double n, double gained, double lost, double level)
{
    double below = -1.0, above = 1.0;
    for (int i = 0; i < 100; i++) {
        double middle = (below + above) / 2.0;
        if (middle <= below || middle >= above)
            break;
        if (difference_score(n, gained, lost, middle) > level)
            below = middle;
        else
            above = middle;
    }
    return (below + above) / 2.0;
}

struct qm_estimate qm_paired_difference(const struct qm_paired_counts *counts, uint32_t confidence_permille)
{
    double gained = (double)counts->scheme_only, lost = (double)counts->reference_only;
    double n = (double)counts->both + gained + lost + (double)counts->neither;
    if (n == 0.0)
        return (struct qm_estimate){0};
    struct qm_estimate out = {.state = QM_ESTIMATE_POINT, .value = (gained - lost) / n};
    if (n < QM_SCORE_SEQUENCES_MIN)
        return out;
    double z = qm_normal_quantile(confidence_permille);
    out.state = QM_ESTIMATE_INTERVAL;
    out.low = difference_at(n, gained, lost, z);
    out.high = difference_at(n, gained, lost, -z);
    return out;
}

// Coefficients relative to the largest, as in score/counts.c; the tail ends at the middle, so that nothing cancels.
double qm_mcnemar_exact(uint32_t gained, uint32_t lost)
{
    uint64_t n = (uint64_t)gained + lost, least = gained < lost ? gained : lost, middle = n / 2;
    double term = 1.0, below = 0.0, half = 0.0;
    if (n == 0 || least == middle)
        return 1.0;
    for (uint64_t j = middle;; j--) { // C(n, j) / C(n, middle)
        half += term;
        if (j <= least)
            below += term;
        if (j == 0 || term == 0.0)
            break;
        term *= (double)j / (double)(n - j + 1);
    }
    double total = n % 2 ? 2.0 * half : 2.0 * half - 1.0, p = 2.0 * below / total;
    return p < 1.0 ? p : 1.0;
}

enum qm_status qm_paired_summarize(const struct qm_paired_answer *answers, size_t count, uint32_t confidence_permille,
                                   struct qm_paired_summary *out)
{
    memset(out, 0, sizeof(*out));
    if (confidence_permille != 900 && confidence_permille != 950 && confidence_permille != 990)
        return QM_FAIL(QM_INVALID, "a confidence of %" PRIu32 " permille; expected 900, 950 or 990",
                       confidence_permille);
    if (count > UINT32_MAX)
        return QM_FAIL(QM_INVALID, "%zu examples are more than can be counted", count);
    for (size_t i = 0; i < count; i++) {
        enum qm_answer_change change = qm_answer_change(&answers[i]);
        bool is_right = answers[i].scheme == QM_ANSWER_RIGHT, was_right = answers[i].reference == QM_ANSWER_RIGHT;
        out->changes[change]++;
        out->counts.both += is_right && was_right;
        out->counts.scheme_only += is_right && !was_right;
        out->counts.reference_only += !is_right && was_right;
        out->counts.neither += !is_right && !was_right;
        out->unjudged += answers[i].scheme == QM_ANSWER_UNJUDGED;
        out->unjudged_reference += answers[i].reference == QM_ANSWER_UNJUDGED;
    }
    out->examples = (uint32_t)count;
    out->flips = out->changes[QM_CHANGE_LOST] + out->changes[QM_CHANGE_GAINED];
    out->changed = out->examples - out->changes[QM_CHANGE_NONE];
    out->accuracy = qm_answer_share(out->counts.both + out->counts.scheme_only, out->examples, confidence_permille);
    out->accuracy_reference =
        qm_answer_share(out->counts.both + out->counts.reference_only, out->examples, confidence_permille);
    out->ratio = qm_paired_ratio(&out->counts, confidence_permille);
    out->difference = qm_paired_difference(&out->counts, confidence_permille);
    out->p_value = qm_mcnemar_exact(out->counts.scheme_only, out->counts.reference_only);
    return QM_OK;
}
