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
QM_WIDE static double sum_of_squares(const float *x, uint32_t width)
{
    double sums[LANES] = {0};
    uint32_t whole = width / LANES * LANES;
    for (uint32_t i = 0; i < whole; i += LANES)
        for (uint32_t j = 0; j < LANES; ++j)
            sums[j] += (double)x[i + j] * (double)x[i + j];
    for (uint32_t i = whole; i < width; ++i)
        sums[i - whole] += (double)x[i] * (double)x[i];
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

static void norm_rows(void *context, size_t begin, size_t end)
{
    const struct qm_host_norm *n = context;
    for (size_t row = begin; row < end; ++row) {
        const float *x = n->x + (n->index ? n->index[row] : row) * n->width;
        float *out = n->out + row * n->width;
        float scale = (float)(1 / sqrt(sum_of_squares(x, n->width) / n->divisor + (double)n->epsilon));
        for (uint32_t i = 0; i < n->width; ++i)
            out[i] = x[i] * scale * n->gain[i];
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

struct swiglu {
    float *gate;
    const float *up;
    size_t count;
};

static void swiglu_blocks(void *context, size_t begin, size_t end)
{
    const struct swiglu *s = context;
    double exponentials[BLOCK];
    for (size_t block = begin; block < end; ++block) {
        float *gate = s->gate + block * BLOCK;
        const float *up = s->up + block * BLOCK;
        size_t count = s->count - block * BLOCK < BLOCK ? s->count - block * BLOCK : BLOCK;
        // Beyond 700 the exponential is infinite as far as a float goes; it would be out of the function's range.
        for (size_t i = 0; i < count; ++i)
            exponentials[i] = gate[i] < -700.0f ? 700.0 : -(double)gate[i];
        qm_exp_many(exponentials, count, exponentials);
        for (size_t i = 0; i < count; ++i)
            gate[i] = (float)((double)gate[i] / (1 + exponentials[i]) * (double)up[i]);
    }
}

void qm_host_swiglu(float *gate, const float *up, size_t count)
{
    struct swiglu swiglu = {gate, up, count};
    qm_parallel_for((count + BLOCK - 1) / BLOCK, swiglu_blocks, &swiglu);
}
