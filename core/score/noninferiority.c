#include "score/noninferiority.h"

#include "score/counts.h"

#include <math.h> // sqrt, which is exact to the last bit everywhere

static const double power_z = 0.8416212335729143; // the normal distribution's 80th percentile

const double qm_non_inferiority_presets[QM_NON_INFERIORITY_PRESETS] = {0.99, 0.999};

// Shares of all examples: as they were seen.
struct shares {
    double n, both, scheme, reference;
};

static struct shares shares_of(const struct qm_paired_counts *counts)
{
    double a = (double)counts->both, b = (double)counts->scheme_only, c = (double)counts->reference_only;
    double n = a + b + c + (double)counts->neither;
    double one = n > 0 ? 1.0 / n : 0.0;
    return (struct shares){n, a * one, b * one, c * one};
}

// R (u_b + u_c): the variance of one example's (right in scheme) - R (right in reference) where the true ratio is R.
// u_b and u_c are written without the difference of nearly equal numbers that u_c - (1 - R) s would be.
static double null_variance(const struct shares *p, double ratio)
{
    double s = p->both + p->scheme + p->reference;
    if (s <= 0.0)
        return 0.0;
    double linear = (1.0 - ratio * ratio) * (p->both + p->reference) + p->scheme + p->reference;
    double root = linear * linear - 4.0 * (1.0 + ratio) * s * p->reference * (1.0 - ratio);
    double t = (linear + sqrt(root > 0.0 ? root : 0.0)) / (2.0 * (1.0 + ratio) * s);
    double only_reference = t > 0.0 ? t : 0.0, only_scheme = (t - (1.0 - ratio)) / ratio;
    if (only_scheme < 0.0)
        only_scheme = 0.0;
    return ratio * s * (only_reference + only_scheme);
}

double qm_paired_ratio_score(const struct qm_paired_counts *counts, double ratio)
{
    struct shares p = shares_of(counts);
    double distance = p.both + p.scheme - ratio * (p.both + p.reference);
    double variance = null_variance(&p, ratio);
    if (distance == 0.0 || variance <= 0.0)
        return 0.0;
    return distance * sqrt(p.n) / sqrt(variance);
}

// Where T crosses `level`, by bisection of R / (1 + R): T falls from above to below all levels in between.
static double crossing(const struct qm_paired_counts *counts, double level)
{
    double below = 0.0, above = 1.0;
    for (int i = 0; i < 100; ++i) {
        double middle = (below + above) / 2.0;
        if (middle <= below || middle >= above)
            break;
        if (qm_paired_ratio_score(counts, middle / (1.0 - middle)) > level)
            below = middle;
        else
            above = middle;
    }
    return below / (1.0 - below);
}

struct qm_estimate qm_paired_ratio(const struct qm_paired_counts *counts, uint32_t confidence_permille)
{
    struct shares p = shares_of(counts);
    double reference = (double)counts->both + (double)counts->reference_only;
    double scheme = (double)counts->both + (double)counts->scheme_only;
    if (reference == 0.0)
        return (struct qm_estimate){0};
    struct qm_estimate out = {.state = QM_ESTIMATE_POINT, .value = scheme / reference};
    if (p.n < QM_SCORE_SEQUENCES_MIN)
        return out;
    double z = qm_normal_quantile(confidence_permille);
    out.state = QM_ESTIMATE_INTERVAL;
    out.low = scheme == 0.0 ? 0.0 : crossing(counts, z);
    out.high = crossing(counts, -z);
    return out;
}

uint64_t qm_paired_examples_needed(const struct qm_paired_counts *counts, double threshold,
                                   uint32_t confidence_permille)
{
    struct shares p = shares_of(counts);
    double z = qm_normal_quantile(confidence_permille);
    double distance = p.both + p.scheme - threshold * (p.both + p.reference);
    if (p.n == 0.0 || p.both + p.reference == 0.0 || distance == 0.0)
        return 0;
    uint64_t at_hand =
        (uint64_t)counts->both + counts->scheme_only + counts->reference_only + (uint64_t)counts->neither;
    double score = qm_paired_ratio_score(counts, threshold);
    if (at_hand >= QM_SCORE_SEQUENCES_MIN && (score > z || score < -z))
        return at_hand;
    double miss = 1.0 - threshold;
    double spread = p.scheme + threshold * threshold * p.reference + miss * miss * p.both - distance * distance;
    double root = (z * sqrt(null_variance(&p, threshold)) + power_z * sqrt(spread > 0.0 ? spread : 0.0)) / distance;
    double needed = root * root;
    if (!(needed < 1e15))
        return 0;
    uint64_t examples = (uint64_t)needed + 1;
    return examples > at_hand ? examples : at_hand + 1;
}
