// What the tests of formats share: the tables of test/data/formats, and hostile values.
#ifndef QM_TEST_FORMAT_VALUES_H
#define QM_TEST_FORMAT_VALUES_H

#include "base/numeric.h"
#include "base/random.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// A file of test/data/formats: codes and what they stand for, exactly.
struct format_table {
    uint32_t count;
    uint32_t codes[256];
    double values[256];
};

// Ends the program where the file is not there: no test is one without it.
static inline void format_table_read(const char *name, struct format_table *out)
{
    char path[512], line[256], value[64];
    snprintf(path, sizeof(path), "%s/test/data/formats/%s.txt", QM_SOURCE_DIR, name);
    FILE *file = fopen(path, "r");
    out->count = 0;
    while (file && fgets(line, sizeof(line), file)) {
        if (line[0] == '#' || out->count == 256)
            continue;
        if (sscanf(line, "%x %63s", &out->codes[out->count], value) == 2)
            out->values[out->count++] = strtod(value, NULL);
    }
    if (file)
        fclose(file);
    if (out->count == 0) {
        fprintf(stderr, "%s cannot be read\n", path);
        abort();
    }
}

// A table that has all codes, in their order.
static inline void format_table_read_all(const char *name, uint32_t bits, struct format_table *out)
{
    format_table_read(name, out);
    for (uint32_t code = 0; code < out->count; code++)
        if (out->codes[code] != code || out->count != 1u << bits) {
            fprintf(stderr, "%s.txt lacks codes\n", name);
            abort();
        }
}

// The finite values without a sign, which are those of the codes from 0; returns how many.
static inline uint32_t format_table_points(const struct format_table *table, double points[256])
{
    uint32_t count = 0;
    while (count < table->count && isfinite(table->values[count]) && !signbit(table->values[count])) {
        points[count] = table->values[count];
        count++;
    }
    return count;
}

// The same number of the same sign, and the same zero; any NaN is any other.
static inline bool format_same(double a, double b)
{
    return isnan(a) ? isnan(b) : a == b && !signbit(a) == !signbit(b);
}

// Whether |x - v| is below, at or above `limit`, exactly: -1, 0, 1. The difference's rounding error decides where the
// rounded difference meets the limit (Knuth's two-sum).
static inline int format_compare_distance(double x, double v, double limit)
{
    double difference = x - v, back = difference - x;
    double rest = (x - (difference - back)) - (v + back);
    if (difference < 0) {
        difference = -difference;
        rest = -rest;
    }
    if (difference > limit || difference < limit)
        return difference > limit ? 1 : -1;
    return rest > 0 ? 1 : rest < 0 ? -1 : 0;
}

static inline double format_nudge(double value, int ulps)
{
    for (; ulps > 0; ulps--)
        value = nextafter(value, INFINITY);
    for (; ulps < 0; ulps++)
        value = nextafter(value, -INFINITY);
    return value;
}

static inline float format_nudge_float(float value, int ulps)
{
    for (; ulps > 0; ulps--)
        value = nextafterf(value, INFINITY);
    for (; ulps < 0; ulps++)
        value = nextafterf(value, -INFINITY);
    return value;
}

// A positive value that is hard to round to one of `points`, which ascend from 0: a point, the middle of two, the largest
// and what lies beyond it, powers of two, anything between. The caller nudges it, and gives it a sign.
static inline double format_hostile_point(struct qm_random *random, const double *points, uint32_t count)
{
    uint32_t bits = qm_random_u32(random), at = (bits >> 8) % (count - 1);
    double last = points[count - 1], step = last - points[count - 2];
    switch (bits % 8) {
    case 0:
        return points[at];
    case 1:
    case 2:
    case 3:
        return (points[at] + points[at + 1]) / 2;
    case 4:
        return last + 0.5 * step * (double)(bits >> 8 & 3);
    case 5:
        return ldexp(1, (int)(bits >> 8) % 40 - 20) * (points[1] < 1 ? points[1] : 1);
    case 6:
        return points[1] * ldexp(qm_random_unit(random), -(int)(bits >> 8 & 3));
    default:
        return last * qm_random_unit(random);
    }
}

#endif
