#include "score/counts.h"

#include <math.h> // sqrt, which is exact to the last bit everywhere

double qm_normal_quantile(uint32_t confidence_permille)
{
    return confidence_permille == 900   ? 1.6448536269514722
           : confidence_permille == 950 ? 1.959963984540054
                                        : 2.5758293035489004;
}

void qm_share_interval(uint32_t hits, uint32_t count, uint32_t confidence_permille, double *low, double *high)
{
    double n = (double)count, k = (double)hits, z = qm_normal_quantile(confidence_permille);
    double middle = k + z * z / 2.0, half = z * sqrt(k * (n - k) / n + z * z / 4.0);
    *low = hits == 0 ? 0.0 : (middle - half) / (n + z * z);
    *high = hits == count ? 1.0 : (middle + half) / (n + z * z);
}

// Binomial coefficients relative to the largest, C(n, j) / C(n, n / 2): 1 in the middle, and below it each is the next
// times (j + 1) / (n - j). Those that underflow are too small to matter.
uint32_t qm_median_rank(uint32_t count, uint32_t confidence_permille)
{
    double n = (double)count, term = 1.0, lower = 0.0, tail = (1000.0 - (double)confidence_permille) / 2000.0;
    uint32_t middle = count / 2;
    for (uint32_t j = middle; j > 0 && term > 0.0; --j) {
        lower += term;
        term *= (double)j / (n - (double)j + 1.0);
    }
    lower += term; // C(n, 0)
    double total = count % 2 ? 2.0 * lower : 2.0 * lower - 1.0;
    double below = lower; // of j heads and fewer
    term = 1.0;
    for (uint32_t j = middle;; --j) {
        if (below <= tail * total)
            return j + 1;
        if (j == 0)
            return 0;
        below -= term;
        term *= (double)j / (n - (double)j + 1.0);
    }
}
