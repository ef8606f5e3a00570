// Cases of products and of dequantize: weights in a format, activations, and the bound of each output.
#include "bench/kernel_cases.h"

#include "base/numeric.h"
#include "kernel_arguments.h"
#include "quant/layout.h"

#include <math.h> // sqrt only
#include <stdlib.h>
#include <string.h>

// The part of a name between the first dash and the next one: "w4" of "matmul-w4-a8".
static bool is_kernel_of(const char *kernel, const char *name)
{
    const char *part = strchr(name, '-');
    size_t length = strlen(kernel);
    return part && strncmp(part + 1, kernel, length) == 0 && (part[1 + length] == '-' || part[1 + length] == '\0');
}

// A weight format that the kernel decodes: of those that differ by their groups, the one with the largest groups that
// divide k; the first of the table for k = 0. Blocks only where no other format is decoded likewise.
enum qm_weight_format qm_case_format_of(const char *name, uint32_t k)
{
    enum qm_weight_format found = QM_WEIGHT_FORMAT_COUNT;
    for (size_t w = 0; w < QM_WEIGHT_FORMAT_COUNT; ++w) {
        enum qm_weight_format format = (enum qm_weight_format)w;
        bool is_block = qm_weight_codec(format)->scale == QM_SCALE_BLOCK;
        if (!is_kernel_of(qm_weight_codec(format)->kernel, name))
            continue;
        if (found == QM_WEIGHT_FORMAT_COUNT || (!is_block && k > 0 && k % qm_format_column_multiple(format) == 0))
            found = format;
    }
    return found;
}

uint32_t qm_case_k_multiple(const char *name)
{
    if (strcmp(name, "copy") == 0)
        return 4;
    enum qm_weight_format format = qm_case_format_of(name, 0);
    uint32_t multiple = format < QM_WEIGHT_FORMAT_COUNT ? qm_format_column_multiple(format) : 1;
    return multiple > 32 ? multiple : 32;
}

struct weights {
    enum qm_weight_format format;
    uint32_t scale_offset, weight_shift;
    float multiplier; // the tensor's scale
    size_t words;
    double *norms;      // [n], of |scale code| + |offset| along the column
    double *magnitudes; // [n][k], the same of each
    double largest_code;
};

// Every 23rd value is large, every 29th tiny, every seventh group of 32 small.
static float random_weight(struct qm_case_builder *b, uint32_t n, uint32_t i)
{
    float value = qm_case_unit(b);
    if ((n + i) % 23 == 0)
        value *= 16.0f;
    if ((n * 3 + i) % 29 == 0)
        value *= 0x1p-16f;
    return (i / 32 + n) % 7 ? value : value * 0x1p-8f;
}

// The detour, with activations of 127 and, in the middle, 1, 3, 5: 49 million upwards, where floats are 4 apart, 256 odd
// steps, the same downwards.
enum {
    DETOUR_UP = 3072,
    DETOUR_DOWN = 4096
};

static int32_t detour_code(uint32_t column, uint32_t i)
{
    if (i < DETOUR_UP)
        return 127;
    if (i >= DETOUR_DOWN)
        return -127;
    return i % 4 == 0 ? (int32_t)(i / 4 % 25 * 2 + 1 + column % 16 * 2) : 0;
}

// Scales of 1, zeros of 5 and random codes, so that every order of summation gives the same bits.
static void fill_with_integers(struct qm_case_builder *b, const struct qm_weight_codec *codec,
                               enum qm_weight_format format, uint32_t n, uint32_t k, struct qm_encoded *encoded)
{
    struct qm_grid_parameters one = {.scale = 1};
    one.stored[0] = codec->scale == QM_SCALE_F32    ? qm_bits_from_float(1.0f)
                    : codec->scale == QM_SCALE_E8M0 ? 127
                    : codec->scale == QM_SCALE_E4M3 ? 0x38
                                                    : qm_half_from_float(1.0f);
    one.stored[1] = qm_half_from_float((float)(codec->high > 5 ? 5 : 1));
    encoded->tensor_scale = 1;
    uint32_t group = codec->group ? codec->group : k;
    for (uint32_t row = 0; row < n; ++row)
        for (uint32_t i = 0; i < k; ++i) {
            double unused;
            if (codec->scale != QM_SCALE_NONE && i % group == 0)
                qm_format_put_grid(format, encoded, row, i / group, k, &one);
            double value = b->c->pattern == QM_CASE_DETOUR ? detour_code(row, i)
                           : codec->info.is_float          ? (double)qm_random_below(&b->random, 31) - 15
                           : codec->high == 0
                               ? (double)qm_random_below(&b->random, 9) - 4
                               : (double)(codec->low + (int32_t)qm_random_below(
                                                           &b->random, (uint32_t)(codec->high - codec->low) + 1));
            struct qm_grid_parameters plain = {.scale = 1};
            qm_format_put_code(format, encoded, row, i, k, codec->family->nearest(codec, &plain, value, &unused));
        }
}

// |scale code| + |offset| of every weight, the tensor's scale not counted: it is in the multiplier. Where a block's offset is not known from outside, three times its largest value.
bool qm_case_measure_weights(enum qm_weight_format format, uint32_t n, uint32_t k, const struct qm_encoded *encoded,
                             double *norms, double *magnitudes)
{
    const struct qm_weight_codec *codec = qm_weight_codec(format);
    float *values = malloc((size_t)n * k * sizeof(*values));
    if (!values)
        return false;
    qm_format_decode(format, encoded, n, k, values);
    uint32_t group = codec->group ? codec->group : k;
    for (uint32_t row = 0; row < n; ++row) {
        double sum = 0, offset = 0;
        for (uint32_t i = 0; i < k; ++i) {
            size_t at = (size_t)row * k + i;
            if (i % group == 0 && codec->scale == QM_SCALE_BLOCK) {
                offset = 0;
                for (uint32_t j = 0; j < group; ++j)
                    offset = fabs((double)values[at + j]) > offset ? fabs((double)values[at + j]) : offset;
                offset *= 2;
            } else if (i % group == 0) {
                struct qm_grid_parameters grid;
                qm_format_grid(format, encoded, row, i / group, k, &grid);
                offset = 2 * grid.scale * grid.zero;
                if (codec->low == -8) // of four bits, which some tiles count from there on: QM_PLACED_CODES
                    offset = 8 * grid.scale;
            }
            double magnitude = (fabs((double)values[at]) + offset) / (double)encoded->tensor_scale;
            magnitudes[at] = magnitude;
            sum += magnitude * magnitude;
        }
        norms[row] = sqrt(sum);
    }
    free(values);
    return true;
}

// Adds the buffer of weights. Columns of padding are zeros.
static struct weights add_weights(struct qm_case_builder *b, uint32_t n, uint32_t k)
{
    struct weights w = {.format = qm_case_format_of(b->c->name, k), .multiplier = 1, .largest_code = 1};
    const struct qm_weight_codec *codec = qm_weight_codec(w.format);
    struct qm_encoded encoded = {.codes = calloc(1, qm_format_code_bytes(w.format, n, k) + 8),
                                 .scales = calloc(1, qm_format_scale_bytes(w.format, n, k) + 8)};
    float *values = malloc((size_t)n * k * sizeof(*values));
    struct qm_layout layout;
    struct qm_layout_shape shape = {n, k, 1, 1};
    w.norms = calloc(n, sizeof(*w.norms));
    w.magnitudes = calloc((size_t)n * k, sizeof(*w.magnitudes));
    b->c->failed = b->c->failed || !encoded.codes || !encoded.scales || !values || !w.norms || !w.magnitudes ||
                   qm_layout_plan(w.format, &shape, &layout) != QM_OK;
    if (!b->c->failed) {
        if (b->c->pattern != QM_CASE_RANDOM && codec->scale != QM_SCALE_BLOCK) {
            fill_with_integers(b, codec, w.format, n, k, &encoded);
        } else {
            for (size_t at = 0; at < (size_t)n * k; ++at)
                values[at] = random_weight(b, (uint32_t)(at / k), (uint32_t)(at % k));
            b->c->failed = qm_format_encode(w.format, b->c->name, values, n, k, &(struct qm_encode_params){0}, &encoded,
                                            NULL) != QM_OK;
        }
        w.multiplier = encoded.tensor_scale;
        w.scale_offset = (uint32_t)layout.scale_offset_words;
        for (uint32_t steps = codec->group / 32; steps > 1 && codec->scale != QM_SCALE_BLOCK; steps /= 2)
            ++w.weight_shift;
        w.largest_code = codec->info.is_float ? 15 : codec->high > 0 ? codec->high : 6;
        w.largest_code *= codec->low == 0 ? 2 : 1; // with a zero
        w.words = layout.words;
        uint32_t *words = qm_case_add(b, layout.words, false);
        b->c->failed = b->c->failed || qm_layout_pack(w.format, &shape, &encoded, words) != QM_OK ||
                       !qm_case_measure_weights(w.format, n, k, &encoded, w.norms, w.magnitudes);
    }
    free(values);
    free(encoded.codes);
    free(encoded.scales);
    return w;
}

static void weights_free(struct weights *w)
{
    free(w->norms);
    free(w->magnitudes);
}

// ---- Activations ---------------------------------------------------------------------------------------------------

enum qm_case_activation qm_case_activation_of(const char *name)
{
    const char *part = strrchr(name, '-') + 1;
    return strcmp(part, "f32") == 0      ? QM_CASE_F32
           : strcmp(part, "f16") == 0    ? QM_CASE_F16
           : strcmp(part, "bf16") == 0   ? QM_CASE_BF16
           : strncmp(part, "a8", 2) == 0 ? QM_CASE_A8
           : strncmp(part, "f8", 2) == 0 ? QM_CASE_F8
                                         : QM_CASE_A4;
}

uint32_t qm_case_activation_bits(enum qm_case_activation kind, float value, double *stored)
{
    uint32_t bits = qm_bits_from_float(value);
    switch (kind) {
    case QM_CASE_F32:
        *stored = (double)value;
        return bits;
    case QM_CASE_F16:
        bits = qm_half_from_float(value);
        *stored = (double)qm_float_from_half((uint16_t)bits);
        return bits;
    case QM_CASE_BF16:
        bits >>= 16;
        *stored = (double)qm_float_from_bits(bits << 16);
        return bits;
    case QM_CASE_F8: { // cut to 3 bits of mantissa, of a value from 2^-6 to 448; else 0
        int exponent = (int)(bits >> 23 & 0xff) - 127 + 7;
        uint32_t code = exponent < 1 ? 0 : exponent > 15 ? 0x7e : (uint32_t)exponent << 3 | (bits >> 20 & 7);
        code = code > 0x7e ? 0x7e : code;
        *stored = code == 0 ? 0 : (double)qm_float_from_bits(((code & 0x7f) << 20) + 0x3c000000u);
        *stored = bits >> 31 ? -*stored : *stored;
        return code | (bits >> 31 << 7);
    }
    default: // integers
        *stored = (double)value;
        return (uint32_t)(int32_t)value;
    }
}

static float random_activation(struct qm_case_builder *b, enum qm_case_activation kind, uint32_t row, uint32_t i,
                               int32_t limit)
{
    bool random = b->c->pattern == QM_CASE_RANDOM;
    if (b->c->pattern == QM_CASE_DETOUR)
        return (float)(i >= DETOUR_UP && i < DETOUR_DOWN ? 1 + 2 * (int)row : 127);
    if (random && row % 5 == 1)
        return 0;
    if (!random || kind == QM_CASE_A8 || kind == QM_CASE_A4)
        return (float)((int32_t)qm_random_below(&b->random, 2 * (uint32_t)limit + 1) - limit);
    return random_weight(b, row, i) * (kind == QM_CASE_F8 ? 20.0f : 1.0f);
}

void qm_case_product(struct qm_case_builder *b)
{
    static const uint32_t bits_of[] = {32, 16, 16, 8, 8, 4};
    const struct qm_case_shape *s = b->shape;
    struct qm_kernel_case *c = b->c;
    enum qm_case_activation kind = qm_case_activation_of(c->name);
    bool random = c->pattern == QM_CASE_RANDOM, is_grouped = kind == QM_CASE_A4 || c->name[strlen(c->name) - 1] == 'g';
    bool is_integer = kind == QM_CASE_A8 || kind == QM_CASE_A4;
    struct weights w = add_weights(b, s->n, s->k);
    const struct qm_weight_codec *codec = qm_weight_codec(w.format);
    bool is_exact = !random && codec->scale != QM_SCALE_BLOCK;
    uint32_t a_bits = bits_of[kind], shift = is_grouped && kind != QM_CASE_A4 && s->k % 64 == 0 ? 1 : 0;
    uint32_t groups = is_grouped ? s->k / 32 >> shift : 1, group = s->k / groups, stride = s->n + 3;
    uint32_t *activations = qm_case_add(b, ((size_t)s->rows * s->k * a_bits + 31) / 32, false);
    uint32_t *a_scales = qm_case_add(b, (size_t)s->rows * groups, false);
    // Results are added to what is there, or take its place.
    bool is_added = s->n % 2 == 1;
    float *result = (float *)qm_case_add(b, (size_t)s->rows * stride, true);
    for (size_t i = 0; is_added && result && i < (size_t)s->rows * stride; ++i)
        result[i] = is_exact ? (float)((int32_t)qm_random_below(&b->random, 2001) - 1000) : qm_case_unit(b) * 100.0f;
    float multiplier = w.multiplier * (is_exact ? 1.0f : 0.7f);
    double *bounds = is_exact ? NULL : qm_case_absolute(b);
    // Sums of integers stay below 2^24, where every order of float additions is exact.
    int32_t limit = kind == QM_CASE_A8 ? 127 : kind == QM_CASE_A4 ? 7 : kind == QM_CASE_F8 ? 8 : 15;
    while (limit > 1 && (double)limit * w.largest_code * s->k >= 0x1p24)
        --limit;
    for (uint32_t row = 0; row < s->rows && !c->failed; ++row) {
        double sum = 0, scale = 1;
        for (uint32_t i = 0; i < s->k; ++i) {
            if (i % group == 0) {
                float stored_scale = is_exact ? 1.0f : (1.25f + qm_case_unit(b)) * 0.02f;
                a_scales[row * groups + i / group] = qm_bits_from_float(stored_scale);
                scale = is_integer || kind == QM_CASE_F8 ? (double)stored_scale : 1.0;
            }
            double stored;
            float value = random_activation(b, kind, row, i, limit);
            qm_case_put(activations, (size_t)row * s->k + i, a_bits, qm_case_activation_bits(kind, value, &stored));
            sum += stored * scale * stored * scale;
        }
        bool is_exact_inside = is_integer && codec->is_integer;
        double blocks = codec->group || is_grouped ? (double)s->k / (codec->group == 16 ? 16 : 32) : 1;
        double terms = is_exact_inside ? blocks + 8 : s->k + 8.0;
        // kernels/product_halves.h: sums of eight products in binary16, and subnormals that may be lost.
        bool is_half = strstr(b->variant->definitions, "-DQM_FP16") != NULL;
        bool is_matrix = strstr(b->variant->definitions, "-DQM_MATRIX") != NULL; // kernels/matrix/product_matrix.h
        double relative = (terms + is_added) * (is_matrix ? 0x1p-22 : 0x1p-24) + (is_half ? 9 * 0x1p-10 : 0);
        for (uint32_t n = 0; bounds && n < s->n; ++n) {
            double lost = is_half ? 0x1p-14 * sqrt(s->k) * (sqrt(sum) + w.norms[n]) + s->k * 0x1p-24 : 0;
            bounds[(size_t)row * stride + n] =
                (double)multiplier * (relative * sqrt(sum) * w.norms[n] + lost) + (is_added ? 0x1p-23 * 100 : 0x1p-120);
        }
    }
    weights_free(&w);
    struct qm_matmul_parameters p = {s->rows,    s->k,           s->n,  w.scale_offset, stride,
                                     multiplier, w.weight_shift, shift, is_added};
    qm_case_parameters(b, &p, sizeof(p));
    c->same_bits = is_exact;
    c->operations = 2.0 * s->rows * s->n * s->k;
    c->bytes = 4.0 * ((double)w.words + (double)s->rows * s->k * a_bits / 32 + (double)s->rows * s->n);
}

void qm_case_dequantize(struct qm_case_builder *b)
{
    const struct qm_case_shape *s = b->shape;
    struct weights w = add_weights(b, s->n, s->k);
    const struct qm_weight_codec *codec = qm_weight_codec(w.format);
    qm_case_add(b, (size_t)s->n * s->k, true);
    // One rounding, or none, is the same everywhere; more may contract. E2M1 is decoded as integers, without -0.
    bool is_exact = codec->scale != QM_SCALE_BLOCK && codec->scale != QM_SCALE_F16_ZERO &&
                    (codec->info.is_float || codec->high > 0 || !codec->is_integer);
    double *bounds = is_exact ? NULL : qm_case_absolute(b);
    for (size_t at = 0; bounds && !b->c->failed && at < (size_t)s->n * s->k; ++at)
        bounds[at] = 4 * 0x1p-24 * w.magnitudes[at] + 0x1p-120;
    weights_free(&w);
    struct qm_dequantize_parameters p = {s->k, s->n, w.scale_offset, w.weight_shift, w.multiplier};
    qm_case_parameters(b, &p, sizeof(p));
    b->c->same_bits = is_exact;
    b->c->bytes = 4.0 * ((double)w.words + (double)s->n * s->k);
}
