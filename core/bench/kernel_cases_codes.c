// Cases of the kernels that turn rows into what products read: rows that are given, and rows that are computed on the way.
#include "bench/kernel_cases.h"

#include "base/minifloat.h"
#include "base/numeric.h"
#include "kernel_arguments.h"

#include <math.h> // sqrt and fabs only
#include <stdlib.h>
#include <string.h>

// E4M3FN: whether a value a little smaller or larger has another code.
static bool is_near_e4m3_tie(double t)
{
    return qm_minifloat_nearest(QM_MINIFLOAT_E4M3FN, t * (1 - 0x1p-13), true) !=
           qm_minifloat_nearest(QM_MINIFLOAT_E4M3FN, t * (1 + 0x1p-13), true);
}

static void mark_e4m3_ties(uint8_t *near_tie, size_t first, const float *x, uint32_t width, float static_scale)
{
    float amax = 0;
    for (uint32_t i = 0; i < width; ++i)
        amax = fabsf(x[i]) > amax ? fabsf(x[i]) : amax;
    float scale = static_scale > 0   ? static_scale
                  : amax < 0x1p-100f ? 0.0f
                                     : amax * qm_float_from_bits(QM_CASE_INVERSE_448);
    for (uint32_t i = 0; i < width && scale > 0; ++i)
        near_tie[first + i] = is_near_e4m3_tie(fabs((double)x[i] / (double)scale));
}

struct conversion {
    bool is_f8, is_a4, is_16, is_bf16, is_grouped, is_static;
    uint32_t bits, shift, group, groups; // of a code; of a row
};

static struct conversion conversion_of(const struct qm_case_builder *b)
{
    const char *part = strrchr(b->c->name, '-') + 1;
    struct conversion v = {.is_f8 = strncmp(part, "f8", 2) == 0,
                           .is_a4 = strcmp(part, "a4") == 0,
                           .is_16 = strstr(part, "f16") != NULL,
                           .is_bf16 = strcmp(part, "bf16") == 0,
                           .is_static = b->c->pattern == QM_CASE_STATIC};
    v.is_grouped = v.is_a4 || part[strlen(part) - 1] == 'g';
    v.bits = v.is_16 ? 16 : v.is_a4 ? 4 : 8;
    v.shift = v.is_grouped && b->shape->k % 64 == 0 ? 1 : 0;
    v.group = v.is_grouped ? 32u << v.shift : b->shape->k;
    v.groups = b->shape->k / v.group;
    return v;
}

static float static_scale_of(uint32_t group)
{
    return 0.019f * (1.0f + (float)(group % 3));
}

void qm_case_activations(struct qm_case_builder *b)
{
    const struct qm_case_shape *s = b->shape;
    struct qm_kernel_case *c = b->c;
    const struct conversion v = conversion_of(b);
    float *x = (float *)qm_case_add(b, (size_t)s->rows * s->k, false);
    qm_case_add(b, (size_t)s->rows * s->k * v.bits / 32, true);
    uint8_t *near_tie = v.is_16 ? NULL : qm_case_near_ties(b, v.bits);
    qm_case_add(b, (size_t)s->rows * v.groups, true);
    float *static_scales = (float *)qm_case_add(b, v.groups, false);
    for (uint32_t g = 0; g < v.groups && !c->failed; ++g)
        static_scales[g] = static_scale_of(g);
    for (uint32_t item = 0; item < s->rows * v.groups && !c->failed; ++item) {
        float *row = x + (size_t)item * v.group;
        // Small cases see other kinds of rows too: the kind starts at the width.
        qm_case_fill_row(b, row, v.group, item + s->k / 8, v.is_a4 ? 7.0f : 127.0f);
        float static_scale = v.is_static ? static_scales[item % v.groups] : 0.0f;
        if (near_tie && v.is_f8)
            mark_e4m3_ties(near_tie, (size_t)item * v.group, row, v.group, static_scale);
        else if (near_tie)
            qm_case_mark_ties(near_tie, (size_t)item * v.group, row, v.group, v.is_a4 ? 7 : 127,
                              qm_float_from_bits(v.is_a4 ? QM_CASE_INVERSE_7 : QM_CASE_INVERSE_127), static_scale);
    }
    struct qm_activations_parameters p = {s->rows, s->k, v.is_static, v.shift};
    qm_case_parameters(b, &p, sizeof(p));
    c->same_bits = true;
    c->bytes = (double)s->rows * s->k * (4 + v.bits / 8.0);
}

// ---- Conversion of rows that are computed ---------------------------------------------------------------------------

static uint32_t bfloat_bits(float value)
{
    uint32_t bits = qm_bits_from_float(value);
    return (bits + 0x7fffu + (bits >> 16 & 1)) >> 16;
}

// Whether values within `relative` of x have other codes than x.
static bool is_near_tie(const struct conversion *v, double x, double scale, double relative)
{
    double low = x * (1 - relative), high = x * (1 + relative), largest = v->is_a4 ? 7 : 127;
    if (v->is_bf16)
        return bfloat_bits((float)low) != bfloat_bits((float)high);
    if (v->is_16)
        return qm_half_from_float((float)low) != qm_half_from_float((float)high);
    if (!(scale > 0))
        return false;
    // The scale is as far off as the row's largest value.
    low = fabs(low) / scale * (1 - relative - 0x1p-13);
    high = fabs(high) / scale * (1 + relative + 0x1p-13);
    if (v->is_f8)
        return qm_minifloat_nearest(QM_MINIFLOAT_E4M3FN, low, true) !=
               qm_minifloat_nearest(QM_MINIFLOAT_E4M3FN, high, true);
    low = low < largest ? low : largest;
    high = high < largest ? high : largest;
    return (int64_t)(low + 0.5) != (int64_t)(high + 0.5);
}

// What follows from rows that the device computes to within `relative` of `rows`: codes, added last but one, and scales,
// added last.
static void expect_conversion(struct qm_case_builder *b, const struct conversion *v, const double *rows,
                              double relative)
{
    const struct qm_case_shape *s = b->shape;
    struct qm_kernel_case *c = b->c;
    qm_case_add(b, (size_t)s->rows * s->k * v->bits / 32, true);
    uint8_t *near_tie = qm_case_near_ties(b, v->bits);
    qm_case_add(b, (size_t)s->rows * v->groups, true);
    double *bounds = qm_case_absolute(b);
    float inverse = qm_float_from_bits(v->is_f8   ? QM_CASE_INVERSE_448
                                       : v->is_a4 ? QM_CASE_INVERSE_7
                                                  : QM_CASE_INVERSE_127);
    c->buffers[c->buffer_count - 1].relative = v->is_16 || v->is_static ? 0 : relative + 0x1p-23;
    for (uint32_t item = 0; item < s->rows * v->groups && !c->failed; ++item) {
        const double *row = rows + (size_t)item * v->group;
        double amax = 0;
        for (uint32_t i = 0; i < v->group; ++i)
            amax = fabs(row[i]) > amax ? fabs(row[i]) : amax;
        double scale = v->is_static ? (double)static_scale_of(item % v->groups) : amax * (double)inverse;
        bounds[item] = 0;
        for (uint32_t i = 0; i < v->group; ++i)
            near_tie[(size_t)item * v->group + i] = is_near_tie(v, row[i], scale, relative);
    }
    c->bytes = (double)s->rows * s->k * (4 + v->bits / 8.0);
}

void qm_case_norm_activations(struct qm_case_builder *b)
{
    const struct qm_case_shape *s = b->shape;
    const struct conversion v = conversion_of(b);
    float *x = (float *)qm_case_add(b, (size_t)s->rows * s->k, false);
    float *gain = (float *)qm_case_add(b, (size_t)s->k + v.groups, false);
    double *rows = calloc((size_t)s->rows * s->k + 1, sizeof(*rows));
    struct qm_norm_activations_parameters p = {
        .rows = s->rows, .width = s->k, .inverse_width = 1.0f / (float)s->k, .epsilon = 1e-5f, .shift = v.shift};
    p.is_static = v.is_static;
    b->c->failed = b->c->failed || !rows;
    for (uint32_t i = 0; i < s->k && !b->c->failed; ++i)
        gain[i] = qm_case_unit(b) * 2.0f;
    for (uint32_t g = 0; g < v.groups && !b->c->failed; ++g)
        gain[s->k + g] = static_scale_of(g);
    for (uint32_t row = 0; row < s->rows && !b->c->failed; ++row) {
        float *from = x + (size_t)row * s->k;
        double sum = 0;
        for (uint32_t i = 0; i < s->k; ++i)
            from[i] = qm_case_unit(b) * (row % 4 == 1 ? 0.0f : 1.0f);
        if (row % 4 == 3)
            from[qm_random_below(&b->random, s->k)] = 1e6f;
        for (uint32_t i = 0; i < s->k; ++i)
            sum += (double)from[i] * (double)from[i];
        for (uint32_t i = 0; i < s->k; ++i)
            rows[(size_t)row * s->k + i] = (double)from[i] * (double)gain[i] / sqrt(sum / s->k + (double)p.epsilon);
    }
    expect_conversion(b, &v, rows, (s->k / 4 + 16) * 0x1p-24);
    free(rows);
    qm_case_parameters(b, &p, sizeof(p));
}

void qm_case_swiglu_activations(struct qm_case_builder *b)
{
    const struct qm_case_shape *s = b->shape;
    const struct conversion v = conversion_of(b);
    // Gate and up side by side in a row, or one after the other.
    uint32_t stride = s->rows % 2 ? 2 * s->k + 3 : s->k, up_from = s->rows % 2 ? s->k + 1 : s->rows * s->k;
    uint32_t gated_from = s->rows * (2 * s->k + 3);
    float *x = (float *)qm_case_add(b, gated_from + (size_t)s->rows * s->k, true);
    double *bounds = qm_case_absolute(b);
    b->c->buffers[0].relative = 0x1p-20;
    double *rows = calloc((size_t)s->rows * s->k + 1, sizeof(*rows));
    b->c->failed = b->c->failed || !rows;
    for (uint32_t at = 0; at < s->rows * s->k && !b->c->failed; ++at) {
        float *gate = x + (size_t)(at / s->k) * stride + at % s->k, *up = gate + up_from;
        *gate = at % 97 == 5 ? -60.0f : qm_case_unit(b) * 20.0f;
        *up = at / s->k % 5 == 1 ? 0.0f : qm_case_unit(b) * 3.0f;
        rows[at] = (double)*gate / (1.0 + qm_exp(-(double)*gate)) * (double)*up;
        x[gated_from + at] = 0; // what was there does not matter
        bounds[gated_from + at] = 0x1p-100;
    }
    expect_conversion(b, &v, rows, 0x1p-20);
    free(rows);
    float *static_scales = (float *)qm_case_add(b, v.groups, false);
    for (uint32_t g = 0; g < v.groups && !b->c->failed; ++g)
        static_scales[g] = static_scale_of(g);
    struct qm_swiglu_activations_parameters p = {.rows = s->rows,
                                                 .width = s->k,
                                                 .is_static = v.is_static,
                                                 .shift = v.shift,
                                                 .row_stride = stride,
                                                 .up_from = up_from,
                                                 .gated_from = gated_from};
    qm_case_parameters(b, &p, sizeof(p));
    b->c->bytes += 4.0 * s->rows * s->k;
}
