#include "model/host_rows.h"

#include <math.h> // sqrt, sin, cos
#include <string.h>

#include "base/numeric.h"
#include "base/wide.h"
#include "sys/parallel.h"

enum {
    LANES = 8,
    BLOCK = 512 // values whose exponentials are taken at one time
};

// In LANES sums, each in rising order.
QM_WIDE static double sum_of_squares(const float *x, uint32_t width, double mean)
{
    double sums[LANES] = {0};
    uint32_t whole = width / LANES * LANES;
    for (uint32_t i = 0; i < whole; i += LANES)
        for (uint32_t j = 0; j < LANES; ++j)
            sums[j] += ((double)x[i + j] - mean) * ((double)x[i + j] - mean);
    for (uint32_t i = whole; i < width; ++i)
        sums[i - whole] += ((double)x[i] - mean) * ((double)x[i] - mean);
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

static void norm_rows(void *context, size_t begin, size_t end)
{
    const struct qm_host_norm *n = context;
    for (size_t row = begin; row < end; ++row) {
        const float *x = n->x + (n->index ? n->index[row] : row) * n->width;
        float *out = n->out + row * n->width;
        double mean = 0;
        if (n->takes_mean_off) {
            for (uint32_t i = 0; i < n->width; ++i)
                mean += (double)x[i];
            mean /= n->divisor;
        }
        uint32_t counted = n->takes_mean_off ? n->divisor : n->width; // of zeros the distance from a mean is none
        float scale = (float)(1 / sqrt(sum_of_squares(x, counted, mean) / n->divisor + (double)n->epsilon));
        for (uint32_t i = 0; i < n->width; ++i)
            out[i] = (float)((double)x[i] - mean) * scale * n->gain[i];
    }
}

void qm_host_norm(const struct qm_host_norm *norm)
{
    struct qm_host_norm copy = *norm;
    qm_parallel_for(norm->count, norm_rows, &copy);
}

void qm_host_add_bias(float *x, size_t count, uint32_t width, const float *bias)
{
    for (size_t row = 0; row < count; ++row)
        for (uint32_t i = 0; i < width; ++i)
            x[row * width + i] += bias[i];
}

void qm_host_rotary_table(float *table, uint32_t positions, uint32_t half, uint32_t turned, const double *frequencies)
{
    for (uint32_t p = 0; p < positions; ++p) {
        float *row = table + (size_t)p * 2 * half;
        for (uint32_t i = 0; i < half; ++i) {
            row[i] = i < turned ? (float)cos(p * frequencies[i]) : 1;
            row[half + i] = i < turned ? (float)sin(p * frequencies[i]) : 0;
        }
    }
}

struct rotation {
    float *x;
    uint32_t heads, half, window_tokens;
    const float *table;
};

static void rotate_rows(void *context, size_t begin, size_t end)
{
    const struct rotation *r = context;
    for (size_t row = begin; row < end; ++row) {
        const float *cosines = r->table + row % r->window_tokens * 2 * r->half, *sines = cosines + r->half;
        for (uint32_t h = 0; h < r->heads; ++h) {
            float *low = r->x + (row * r->heads + h) * 2 * r->half, *high = low + r->half;
            for (uint32_t i = 0; i < r->half; ++i) {
                float a = low[i], b = high[i];
                low[i] = a * cosines[i] - b * sines[i];
                high[i] = b * cosines[i] + a * sines[i];
            }
        }
    }
}

void qm_host_rotate(float *x, size_t count, uint32_t heads, uint32_t half, uint32_t window_tokens, const float *table)
{
    struct rotation rotation = {x, heads, half, window_tokens, table};
    qm_parallel_for(count, rotate_rows, &rotation);
}

struct gated {
    bool is_gelu;
    float *gate;
    const float *up;
    size_t count;
};

// What the exponential is taken of, within what it can take: beyond 700 it is infinite as far as a float goes.
static double exponent_of(bool is_gelu, double g)
{
    const double root = 0.79788456080286535588; // of 2 / pi
    double exponent = is_gelu ? -2 * root * (g + 0.044715 * g * g * g) : -g;
    return exponent > 700 ? 700 : exponent < -700 ? -700 : exponent;
}

static void gate_blocks(void *context, size_t begin, size_t end)
{
    const struct gated *g = context;
    double exponentials[BLOCK];
    for (size_t block = begin; block < end; ++block) {
        float *gate = g->gate + block * BLOCK;
        const float *up = g->up ? g->up + block * BLOCK : NULL;
        size_t count = g->count - block * BLOCK < BLOCK ? g->count - block * BLOCK : BLOCK;
        for (size_t i = 0; i < count; ++i)
            exponentials[i] = exponent_of(g->is_gelu, (double)gate[i]);
        qm_exp_many(exponentials, count, exponentials);
        for (size_t i = 0; i < count; ++i)
            gate[i] = (float)((double)gate[i] / (1 + exponentials[i]) * (up ? (double)up[i] : 1));
    }
}

void qm_host_gate(bool is_gelu, float *gate, const float *up, size_t count)
{
    struct gated gated = {is_gelu, gate, up, count};
    qm_parallel_for((count + BLOCK - 1) / BLOCK, gate_blocks, &gated);
}

struct capped {
    double cap;
    float *x;
    size_t count;
};

static void cap_blocks(void *context, size_t begin, size_t end)
{
    const struct capped *c = context;
    double exponentials[BLOCK];
    for (size_t block = begin; block < end; ++block) {
        float *x = c->x + block * BLOCK;
        size_t count = c->count - block * BLOCK < BLOCK ? c->count - block * BLOCK : BLOCK;
        for (size_t i = 0; i < count; ++i) {
            double twice = 2 * (double)x[i] / c->cap;
            exponentials[i] = twice > 700 ? 700 : twice < -700 ? -700 : twice;
        }
        qm_exp_many(exponentials, count, exponentials);
        for (size_t i = 0; i < count; ++i)
            x[i] = (float)(c->cap - 2 * c->cap / (1 + exponentials[i]));
    }
}

void qm_host_cap_alone(double cap, float *x, size_t count)
{
    struct capped capped = {cap, x, count};
    cap_blocks(&capped, 0, (count + BLOCK - 1) / BLOCK);
}

void qm_host_cap(double cap, float *x, size_t count)
{
    struct capped capped = {cap, x, count};
    qm_parallel_for((count + BLOCK - 1) / BLOCK, cap_blocks, &capped);
}
