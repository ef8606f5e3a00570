#include "score/onset.h"

#include "base/numeric.h"

#include <math.h> // sqrt, which is exact everywhere
#include <stdlib.h>

enum {
    BEFORE_MIN = 2,
    AFTER_MIN = 5,
    LINE_WINDOWS = 20,
    FAR_FROM_IT = 20 // so many larger ones settle that there is no onset
};

struct step {
    size_t place;
    double before, after;
    double statistic, correlation, rss;
};

// The standard deviation of sqrt(n) times the mean of n values.
static double long_run_sd(double variance, double correlation)
{
    double rho = correlation > 0.0 ? correlation : 0.0;
    return sqrt(variance * (1.0 + rho) / (1.0 - rho));
}

// The same beside straight lines through about LINE_WINDOWS windows each: what is left of a slow fall, which a step fits
// badly, is noise there.
static double sd_beside_lines(const double *values, size_t count, double *room, double *correlation)
{
    size_t lines = count / LINE_WINDOWS;
    double squares = 0.0, products = 0.0, length = (double)count / (double)lines;
    for (size_t l = 0; l < lines; ++l) {
        size_t begin = count * l / lines, end = count * (l + 1) / lines;
        double n = (double)(end - begin), middle = (n - 1.0) / 2.0, mean = 0.0, product = 0.0, before = 0.0;
        for (size_t i = begin; i < end; ++i)
            mean += values[i];
        mean /= n;
        for (size_t i = begin; i < end; ++i)
            product += ((double)(i - begin) - middle) * (values[i] - mean);
        double slope = product / (n * (n * n - 1.0) / 12.0);
        for (size_t i = begin; i < end; ++i) {
            room[i] = values[i] - mean - slope * ((double)(i - begin) - middle);
            squares += room[i] * room[i];
            products += room[i] * before;
            before = room[i];
        }
    }
    double rho = squares > 0.0 ? (products / squares + 2.0 / length) / (1.0 - 4.0 / length) : 0.0; // as in ordered.h
    *correlation = rho > 0.95 ? 0.95 : rho;
    return long_run_sd(squares / ((double)count - 2.0 * (double)lines), *correlation);
}

// The step of the largest z_k. `room` holds `count` doubles.
static struct step best_step(const double *values, size_t count, double *room)
{
    double n = (double)count, total = 0.0, sum = 0.0, best = 0.0, squares = 0.0;
    struct step step = {.place = BEFORE_MIN};
    for (size_t i = 0; i < count; ++i)
        total += values[i];
    for (size_t k = 1; k + AFTER_MIN <= count; ++k) {
        sum += values[k - 1];
        if (k < BEFORE_MIN)
            continue;
        double before = sum / (double)k, after = (total - sum) / (n - (double)k);
        double z = (before - after) / sqrt(1.0 / (double)k + 1.0 / (n - (double)k));
        if (k == BEFORE_MIN || z > best) {
            best = z;
            step.place = k;
            step.before = before;
            step.after = after;
        }
    }
    for (size_t i = 0; i < count; ++i) {
        room[i] = values[i] - (i < step.place ? step.before : step.after);
        squares += room[i] * room[i];
    }
    step.rss = squares;
    step.correlation = qm_autocorrelation(room, count, 2);
    double sd = long_run_sd(squares / (n - 2.0), step.correlation);
    double other = 0.0, beside_lines = sd_beside_lines(values, count, room, &other);
    if (beside_lines < sd) {
        sd = beside_lines;
        step.correlation = other;
    }
    step.statistic = sd > 0.0 ? best / sd : best > 0.0 ? 1e300 : 0.0;
    return step;
}

struct ramp {
    size_t first, last; // corners: full level up to the middle of window `first`, the other from that of `last` on
    double rss;
};

// Level, straight fall, level: y = a - d f(i), f = clamp((i - first)/(last - first), 0, 1). For each pair of corners the
// least squares of a and d have a closed form over sums of y and i y.
static struct ramp best_ramp(const double *values, size_t count, double *sums)
{
    double n = (double)count, squares = 0.0;
    double *plain = sums, *weighted = sums + count + 1;
    plain[0] = weighted[0] = 0.0;
    double mean = 0.0;
    for (size_t i = 0; i < count; ++i)
        mean += values[i] / n;
    for (size_t i = 0; i < count; ++i) {
        double y = values[i] - mean;
        plain[i + 1] = plain[i] + y;
        weighted[i + 1] = weighted[i] + (double)i * y;
        squares += y * y;
    }
    struct ramp best = {.rss = squares};
    for (size_t first = 1; first + AFTER_MIN < count; ++first) {
        for (size_t last = first + 2; last + AFTER_MIN <= count; ++last) {
            double w = (double)(last - first), tail = n - (double)last;
            // Sums over i from first to last - 1 of f = (i - first)/w, then the tail of ones.
            double sum_f = (w - 1.0) / 2.0 + tail;
            double sum_ff = (w - 1.0) * (2.0 * w - 1.0) / (6.0 * w) + tail;
            double sum_fy = (weighted[last] - weighted[first] - (double)first * (plain[last] - plain[first])) / w +
                            plain[count] - plain[last];
            double spread = sum_ff - sum_f * sum_f / n, product = sum_fy - sum_f * plain[count] / n;
            double rss = squares - product * product / spread;
            if (product < 0.0 && rss < best.rss)
                best = (struct ramp){first, last, rss};
        }
    }
    return best;
}

static double ramp_correlation(const double *values, size_t count, const struct ramp *ramp, double *room)
{
    double n = (double)count, sum_f = 0.0, sum_y = 0.0, ff = 0.0, fy = 0.0, w = (double)(ramp->last - ramp->first);
    for (size_t i = 0; i < count; ++i) {
        double f = i <= ramp->first ? 0.0 : i >= ramp->last ? 1.0 : (double)(i - ramp->first) / w;
        room[i] = f;
        sum_f += f;
        sum_y += values[i];
    }
    for (size_t i = 0; i < count; ++i) {
        ff += (room[i] - sum_f / n) * (room[i] - sum_f / n);
        fy += (room[i] - sum_f / n) * (values[i] - sum_y / n);
    }
    for (size_t i = 0; i < count; ++i)
        room[i] = values[i] - sum_y / n - fy / ff * (room[i] - sum_f / n);
    return qm_autocorrelation(room, count, 2);
}

enum qm_status qm_onset_find(const double *rates, size_t count, uint64_t seed, struct qm_onset *onset)
{
    *onset = (struct qm_onset){.share = 1.0};
    if (count < QM_ONSET_WINDOWS_MIN)
        return QM_OK;
    double *noise = calloc(4 * (count + 1), sizeof(*noise));
    if (!noise)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory to look for throttling in %zu windows", count);
    double *room = noise + count + 1, *sums = room + count + 1; // sums: 2 (count + 1)
    struct step seen = best_step(rates, count, room);
    double rho = seen.correlation > 0.0 ? seen.correlation : 0.0, fresh = sqrt(1.0 - rho * rho);
    struct qm_random random;
    qm_random_seed(&random, seed, 1);
    int larger = 0, simulated = 0;
    while (simulated < QM_ONSET_SIMULATED && larger < FAR_FROM_IT) {
        noise[0] = qm_random_normal(&random);
        for (size_t i = 1; i < count; ++i)
            noise[i] = rho * noise[i - 1] + fresh * qm_random_normal(&random);
        larger += best_step(noise, count, room).statistic >= seen.statistic;
        ++simulated;
    }
    onset->share = (1.0 + larger) / (1.0 + simulated);
    bool is_large = seen.before - seen.after >= QM_ONSET_FALL_MIN * seen.before;
    if (onset->share > QM_ONSET_SHARE || !is_large)
        goto done;
    onset->found = true;
    onset->first = onset->last = seen.place;
    struct ramp ramp = best_ramp(rates, count, sums);
    if (ramp.last > 0 && ramp.rss < seen.rss) {
        double beside = ramp_correlation(rates, count, &ramp, room);
        beside = beside > 0.0 ? beside : 0.0;
        double gain = ramp.rss > 0.0 ? (double)count * qm_log(seen.rss / ramp.rss) : 1e300;
        if (gain > 3.0 * qm_log((double)count) * (1.0 + beside) / (1.0 - beside)) {
            onset->is_ramp = true;
            onset->first = ramp.first + 1; // the corner is in the middle of window `first`, which is still whole
            onset->last = ramp.last;
        }
    }
    double before = 0.0, after = 0.0;
    for (size_t i = 0; i < onset->first; ++i)
        before += rates[i];
    for (size_t i = onset->last; i < count; ++i)
        after += rates[i];
    onset->before = before / (double)onset->first;
    onset->after = after / (double)(count - onset->last);
done:
    free(noise);
    return QM_OK;
}
