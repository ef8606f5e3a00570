#include "quant/histogram.h"
#include "base/numeric.h"

#include <math.h> // INFINITY only
#include <string.h>

#define BINS QM_HISTOGRAM_BINS
#define BINS_LOG2 11
#define LARGEST_CODE 127
#define LEVELS 128 // of the entropy search: codes 0 to 127

// The percentile as a fraction, so that its test is in whole numbers.
#define PERCENTILE_PART 9999u
#define PERCENTILE_WHOLE 10000u

_Static_assert(BINS == 1 << BINS_LOG2, "bins are a power of two");

static double power_of_two(int exponent) // -1022 <= exponent <= 1023
{
    uint64_t bits = (uint64_t)(exponent + 1023) << 52;
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

void qm_histogram_begin(struct qm_histogram *histogram)
{
    memset(histogram, 0, sizeof(*histogram));
    histogram->exponent = QM_HISTOGRAM_EXPONENT_MIN;
}

// Merges bins in pairs until the range is [0, 2^exponent).
static void grow(struct qm_histogram *histogram, int exponent)
{
    for (; histogram->exponent < exponent; histogram->exponent++) {
        for (int i = 0; i < BINS / 2; i++)
            histogram->bins[i] = histogram->bins[2 * i] + histogram->bins[2 * i + 1];
        memset(histogram->bins + BINS / 2, 0, BINS / 2 * sizeof(histogram->bins[0]));
    }
}

// The smallest e, at least QM_HISTOGRAM_EXPONENT_MIN, with amax < 2^e.
static int exponent_for(float amax)
{
    int biased = (int)(qm_bits_from_float(amax) >> 23);
    int exponent = biased - 126; // amax < 2^(biased - 126), and not below half of that unless amax is subnormal
    return exponent > QM_HISTOGRAM_EXPONENT_MIN ? exponent : QM_HISTOGRAM_EXPONENT_MIN;
}

void qm_histogram_add(struct qm_histogram *histogram, const float *values, size_t rows, size_t width, size_t stride)
{
    uint32_t most = qm_bits_from_float(histogram->amax);
    for (size_t row = 0; row < rows; row++)
        for (size_t i = 0; i < width; i++) {
            uint32_t bits = qm_bits_from_float(values[row * stride + i]) & 0x7fffffffu;
            most = bits > most ? bits : most;
        }
    histogram->amax = qm_float_from_bits(most);
    histogram->count += (uint64_t)rows * width;
    grow(histogram, exponent_for(histogram->amax));
    double bins_per_unit = power_of_two(BINS_LOG2 - histogram->exponent); // exact, as is the product
    for (size_t row = 0; row < rows; row++)
        for (size_t i = 0; i < width; i++) {
            uint32_t bits = qm_bits_from_float(values[row * stride + i]) & 0x7fffffffu;
            histogram->bins[(uint32_t)((double)qm_float_from_bits(bits) * bins_per_unit)]++;
        }
}

void qm_histogram_merge(struct qm_histogram *into, const struct qm_histogram *from)
{
    struct qm_histogram other = *from;
    grow(into, other.exponent);
    grow(&other, into->exponent);
    for (int bin = 0; bin < BINS; bin++)
        into->bins[bin] += other.bins[bin];
    into->count += other.count;
    into->amax = other.amax > into->amax ? other.amax : into->amax;
}

// Thresholds: each search gives the number of bins that stay below the threshold -----------------------------------

// Whether `part` of `count` is at least the percentile; without overflow for any number of values.
static bool is_reached(uint64_t part, uint64_t count)
{
    return (unsigned __int128)part * PERCENTILE_WHOLE >= (unsigned __int128)count * PERCENTILE_PART;
}

static int find_percentile(const struct qm_histogram *histogram)
{
    uint64_t below = 0;
    int kept = 0;
    do
        below += histogram->bins[kept++];
    while (kept < BINS && !is_reached(below, histogram->count));
    return kept;
}

static int bins_in_use(const struct qm_histogram *histogram)
{
    int used = BINS;
    while (used > 1 && histogram->bins[used - 1] == 0)
        used--;
    return used;
}

// In units of a bin's width, which is a power of two and changes nothing. The last candidate is the largest magnitude.
static int find_mse(const struct qm_histogram *histogram)
{
    int used = bins_in_use(histogram), best = used;
    double most = (double)histogram->amax * power_of_two(BINS_LOG2 - histogram->exponent), least = INFINITY;
    double middles[BINS], counts[BINS];
    int filled = 0;
    for (int bin = 0; bin < used; bin++)
        if (histogram->bins[bin] > 0) {
            middles[filled] = bin + 0.5;
            counts[filled++] = (double)histogram->bins[bin];
        }
    for (int kept = 1; kept <= used; kept++) {
        double step = (kept < used ? kept : most) / LARGEST_CODE, sum = 0;
        for (int i = 0; i < filled; i++) {
            double code = qm_round_even(middles[i] / step);
            double error = (code < LARGEST_CODE ? code : LARGEST_CODE) * step - middles[i];
            sum += counts[i] * (error * error);
        }
        if (sum <= least) {
            least = sum;
            best = kept;
        }
    }
    return best;
}

static double times_log(double value) // x ln x, by continuity 0 at 0
{
    return value > 0 ? value * qm_log(value) : 0;
}

// Sums over the first n bins, for n up to BINS.
struct running {
    uint64_t values[BINS + 1];  // counts
    uint32_t filled[BINS + 1];  // bins that are not empty
    double times_log[BINS + 1]; // count ln count
};

// KL(P || Q) for the first `kept` bins. With P = p / N and Q = q / M it is sum p ln p / N - ln N - sum p ln q / N + ln M;
// q is constant within a level, so that its sum has one logarithm per level.
static double divergence(const struct running *sums, const uint64_t *bins, int kept, int used)
{
    uint64_t total = sums->values[used], inside = sums->values[kept], last = bins[kept - 1], tail = total - inside;
    if (inside == 0 || (last == 0 && tail > 0))
        return INFINITY;
    double p_log_p = sums->times_log[kept - 1] + times_log((double)(last + tail)), p_log_q = 0;
    for (int level = 0; level < LEVELS; level++) {
        int first = (level * kept + LEVELS - 1) / LEVELS, end = ((level + 1) * kept + LEVELS - 1) / LEVELS;
        uint64_t values = sums->values[end] - sums->values[first];
        uint32_t filled = sums->filled[end] - sums->filled[first];
        if (values > 0)
            p_log_q += (double)(values + (end == kept ? tail : 0)) * qm_log((double)values / filled);
    }
    double n = (double)total, m = (double)inside;
    return (p_log_p - p_log_q) / n - qm_log(n) + qm_log(m);
}

static int find_entropy(const struct qm_histogram *histogram)
{
    int used = bins_in_use(histogram), best = used;
    uint64_t bins[BINS];
    struct running sums = {.values = {0}};
    double least = INFINITY;
    memcpy(bins, histogram->bins, sizeof(bins));
    bins[0] = bins[1];
    for (int bin = 0; bin < used; bin++) {
        sums.values[bin + 1] = sums.values[bin] + bins[bin];
        sums.filled[bin + 1] = sums.filled[bin] + (bins[bin] > 0);
        sums.times_log[bin + 1] = sums.times_log[bin] + times_log((double)bins[bin]);
    }
    for (int kept = LEVELS; kept <= used; kept++) {
        double kl = divergence(&sums, bins, kept, used);
        if (kl <= least) {
            least = kl;
            best = kept;
        }
    }
    return best;
}

static int all_bins(const struct qm_histogram *histogram)
{
    (void)histogram;
    return BINS;
}

static int (*const searches[QM_CALIBRATOR_COUNT])(const struct qm_histogram *) = {
    [QM_CALIBRATOR_ABSMAX] = all_bins,
    [QM_CALIBRATOR_PERCENTILE] = find_percentile,
    [QM_CALIBRATOR_MSE] = find_mse,
    [QM_CALIBRATOR_ENTROPY] = find_entropy,
};

bool qm_calibrator_has_threshold(enum qm_calibrator calibrator)
{
    return searches[calibrator] != NULL;
}

void qm_histogram_find_threshold(const struct qm_histogram *histogram, enum qm_calibrator calibrator,
                                 struct qm_histogram_threshold *out)
{
    *out = (struct qm_histogram_threshold){histogram->amax, 0};
    if (histogram->count == 0)
        return;
    int kept = searches[calibrator](histogram);
    // 12 bits times a power of two: a float exactly, or infinite beyond every amax.
    float edge = (float)((double)kept * power_of_two(histogram->exponent - BINS_LOG2));
    if (edge >= histogram->amax)
        return;
    out->threshold = edge;
    for (int bin = kept; bin < BINS; bin++)
        out->clipped += histogram->bins[bin];
}
