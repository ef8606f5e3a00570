// The data of a kernel's check: inputs, and how far each word of the output may be from the reference's.
#include "bench/kernel_cases.h"

#include "base/numeric.h"
#include "kernel/kernels.h"
#include "kernel_arguments.h"

#include <math.h> // sqrt and fabs only
#include <stdlib.h>
#include <string.h>

const char *qm_case_pattern_name(enum qm_case_pattern pattern)
{
    static const char *const names[] = {"random", "integers", "detour", "static"};
    return names[pattern];
}

// ---- Data ---------------------------------------------------------------------------------------------------------

uint32_t *qm_case_add(struct qm_case_builder *b, size_t count, bool is_output)
{
    struct qm_case_buffer *buffer = &b->c->buffers[b->c->buffer_count++];
    buffer->words = malloc(count * sizeof(*buffer->words));
    buffer->is_output = is_output;
    if (!buffer->words) {
        b->c->failed = true;
        buffer->count = 0;
        return NULL;
    }
    buffer->count = count;
    // Nothing is zero by chance: what a kernel leaves out shows, and so does what it reads too far.
    for (size_t i = 0; i < count; ++i)
        buffer->words[i] = is_output ? 0x7fc0a5a5u ^ (uint32_t)i : qm_random_u32(&b->random);
    return buffer->words;
}

// Bounds of the buffer added last: every word by its bits, until a builder says otherwise.
double *qm_case_absolute(struct qm_case_builder *b)
{
    struct qm_case_buffer *buffer = &b->c->buffers[b->c->buffer_count - 1];
    buffer->absolute = malloc((buffer->count + 1) * sizeof(*buffer->absolute));
    b->c->failed = b->c->failed || !buffer->absolute;
    for (size_t i = 0; buffer->absolute && i < buffer->count; ++i)
        buffer->absolute[i] = -1.0;
    return buffer->absolute;
}

uint8_t *qm_case_near_ties(struct qm_case_builder *b, uint32_t code_bits)
{
    struct qm_case_buffer *buffer = &b->c->buffers[b->c->buffer_count - 1];
    buffer->near_tie = calloc(buffer->count * (32 / code_bits) + 1, 1);
    buffer->code_bits = code_bits;
    b->c->failed = b->c->failed || !buffer->near_tie;
    return buffer->near_tie;
}

float qm_case_unit(struct qm_case_builder *b)
{
    return (float)((int32_t)qm_random_u32(&b->random) >> 7) * 0x1p-24f;
}

void qm_case_parameters(struct qm_case_builder *b, const void *parameters, size_t bytes)
{
    memcpy(b->c->parameters, parameters, bytes);
}

void qm_case_put(uint32_t *words, size_t index, uint32_t bits, uint32_t value)
{
    uint32_t per = 32 / bits, shift = bits * (uint32_t)(index % per);
    uint32_t mask = bits == 32 ? 0xffffffffu : ((1u << bits) - 1) << shift;
    words[index / per] = (words[index / per] & ~mask) | ((value << shift) & mask);
}

// ---- Products and weights -----------------------------------------------------------------------------------------

enum weight_format {
    WEIGHT_F32,
    WEIGHT_F16,
    WEIGHT_W8,
    WEIGHT_W4G32
};

static enum weight_format weight_format_of(const char *name)
{
    if (strstr(name, "-f32"))
        return WEIGHT_F32;
    if (strstr(name, "-w8"))
        return WEIGHT_W8;
    return strstr(name, "-w4g32") ? WEIGHT_W4G32 : WEIGHT_F16;
}

static const uint32_t weight_bits[] = {32, 16, 8, 4};

struct weights {
    uint32_t *words;
    size_t code_words, count;
    double *norms; // [n], of the scaled column
};

static int32_t random_code(struct qm_case_builder *b, int32_t maximum)
{
    return (int32_t)qm_random_below(&b->random, 2 * (uint32_t)maximum + 1) - maximum;
}

// Every 23rd value of a binary16 or float matrix is large, every 29th a subnormal binary16.
static float random_float_weight(struct qm_case_builder *b, uint32_t n, uint32_t i)
{
    float value = qm_case_unit(b);
    if ((n + i) % 23 == 0)
        value *= 16.0f;
    if ((n * 3 + i) % 29 == 0)
        value *= 0x1p-16f;
    return value;
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

// Weights in panels, as product.h says; columns of padding keep random words. `limit`: largest integer of the pattern.
static struct weights add_weights(struct qm_case_builder *b, enum weight_format format, uint32_t n, uint32_t k,
                                  uint32_t *scale_offset)
{
    struct weights w = {.words = NULL};
    uint32_t bits = weight_bits[format], per = 32 / bits, panels = (n + 15) / 16;
    uint32_t scale_pairs = (k / 32 + 1) / 2;
    bool integers = b->c->pattern != QM_CASE_RANDOM;
    w.code_words = (size_t)panels * 16 * (k / per);
    size_t scale_at = (w.code_words + 63) / 64 * 64;
    *scale_offset = (uint32_t)scale_at;
    w.count = format == WEIGHT_W8      ? scale_at + (size_t)panels * 16
              : format == WEIGHT_W4G32 ? scale_at + (size_t)panels * 16 * scale_pairs
                                       : w.code_words;
    w.words = qm_case_add(b, w.count, false);
    w.norms = calloc(n, sizeof(*w.norms));
    b->c->failed = b->c->failed || !w.norms;
    if (b->c->failed)
        return w;
    uint32_t *scales = w.words + scale_at;
    double scale = 1.0;
    for (uint32_t column = 0; column < n; ++column) {
        double sum = 0;
        size_t panel = column / 16, lane = column % 16;
        for (uint32_t i = 0; i < k; ++i) {
            size_t word = (panel * (k / per) + i / per) * 16 + lane;
            if (format == WEIGHT_W8 && i == 0) {
                float stored = integers ? 1.0f : (1.25f + qm_case_unit(b)) * 0.01f;
                scales[column] = qm_bits_from_float(stored);
                scale = (double)stored;
            } else if (format == WEIGHT_W4G32 && i % 32 == 0) {
                // Every seventh group has a subnormal scale.
                float wanted = integers ? 1.0f : (1.25f + qm_case_unit(b)) * ((i / 32 + column) % 7 ? 0.1f : 0x1p-17f);
                uint16_t half = qm_half_from_float(wanted);
                size_t at = (panel * scale_pairs + i / 64) * 16 + lane;
                qm_case_put(&scales[at], i / 32 % 2, 16, half);
                scale = (double)qm_float_from_half(half);
            }
            double value;
            if (format == WEIGHT_F32 || format == WEIGHT_F16) {
                float wanted = integers ? (float)random_code(b, 15) : random_float_weight(b, column, i);
                uint16_t half = qm_half_from_float(wanted);
                value = format == WEIGHT_F32 ? (double)wanted : (double)qm_float_from_half(half);
                qm_case_put(&w.words[word], i % per, bits, format == WEIGHT_F32 ? qm_bits_from_float(wanted) : half);
            } else {
                int32_t code = b->c->pattern == QM_CASE_DETOUR ? detour_code(column, i)
                               : format == WEIGHT_W8           ? random_code(b, 127)
                                                               : random_code(b, 8);
                code = format == WEIGHT_W4G32 && code == 8 ? -8 : code;
                value = code;
                qm_case_put(&w.words[word], i % per, bits, (uint32_t)code);
            }
            sum += value * scale * value * scale;
        }
        w.norms[column] = sqrt(sum);
    }
    return w;
}

void qm_case_product(struct qm_case_builder *b)
{
    const struct qm_case_shape *s = b->shape;
    struct qm_kernel_case *c = b->c;
    enum weight_format format = weight_format_of(c->name);
    bool is_a8 = strstr(c->name, "-a8") != NULL;
    uint32_t a_bits = is_a8 ? 8 : strcmp(c->name + strlen("matmul"), "-f32-f32") == 0 ? 32 : 16;
    bool random = c->pattern == QM_CASE_RANDOM;
    uint32_t scale_offset;
    struct weights w = add_weights(b, format, s->n, s->k, &scale_offset);
    uint32_t *activations = qm_case_add(b, ((size_t)s->rows * s->k * a_bits + 31) / 32, false);
    uint32_t *a_scales = qm_case_add(b, s->rows, false);
    uint32_t stride = s->n + 3;
    qm_case_add(b, (size_t)s->rows * stride, true);
    float multiplier = random ? 0.7f : 1.0f;
    double *bounds = random ? qm_case_absolute(b) : NULL;
    // Sums of integers stay below 2^24, where every order of float additions is exact.
    double most = is_a8 && format == WEIGHT_W8 ? 127 : is_a8 ? 8 : 15;
    int32_t limit = is_a8 ? 127 : format == WEIGHT_W8 ? 100 : 15;
    most = format == WEIGHT_W8 ? 127 : most;
    while (limit > 1 && (double)limit * most * s->k >= 0x1p24)
        --limit;
    for (uint32_t row = 0; row < s->rows && !c->failed; ++row) {
        float a_scale = random ? (1.25f + qm_case_unit(b)) * 0.02f : 1.0f;
        a_scales[row] = qm_bits_from_float(a_scale);
        double sum = 0;
        bool zero = random && row % 5 == 1;
        for (uint32_t i = 0; i < s->k; ++i) {
            size_t at = (size_t)row * s->k + i;
            if (is_a8) {
                int32_t code = c->pattern == QM_CASE_DETOUR
                                   ? (i >= DETOUR_UP && i < DETOUR_DOWN ? 1 + 2 * (int)row : 127)
                                   : random_code(b, zero ? 0 : limit);
                qm_case_put(activations, at, 8, (uint32_t)code);
                sum += (double)code * code * (double)a_scale * (double)a_scale;
            } else {
                float value = zero ? 0.0f : random ? random_float_weight(b, row, i) : (float)random_code(b, limit);
                uint16_t half = qm_half_from_float(value);
                qm_case_put(activations, at, a_bits, a_bits == 32 ? qm_bits_from_float(value) : half);
                double stored = a_bits == 32 ? (double)value : (double)qm_float_from_half(half);
                sum += stored * stored;
            }
        }
        double terms = !is_a8 ? s->k + 8.0 : format == WEIGHT_W4G32 ? s->k / 32 + 4.0 : 5.0;
        for (uint32_t n = 0; bounds && n < s->n; ++n)
            bounds[(size_t)row * stride + n] = terms * 0x1p-24 * (double)multiplier * sqrt(sum) * w.norms[n] + 0x1p-120;
    }
    free(w.norms);
    struct qm_matmul_parameters p = {s->rows, s->k, s->n, scale_offset, stride, multiplier};
    qm_case_parameters(b, &p, sizeof(p));
    c->same_bits = !random;
    c->operations = 2.0 * s->rows * s->n * s->k;
    c->bytes = 4.0 * ((double)w.count + (double)s->rows * s->k * a_bits / 32 + (double)s->rows * s->n);
}

void qm_case_dequantize(struct qm_case_builder *b)
{
    const struct qm_case_shape *s = b->shape;
    uint32_t scale_offset;
    struct weights w = add_weights(b, weight_format_of(b->c->name), s->n, s->k, &scale_offset);
    free(w.norms);
    qm_case_add(b, (size_t)s->n * s->k, true);
    struct qm_dequantize_parameters p = {s->k, s->n, scale_offset};
    qm_case_parameters(b, &p, sizeof(p));
    b->c->same_bits = true;
    b->c->bytes = 4.0 * ((double)w.count + (double)s->n * s->k);
}

// ---- Quantization on the device -----------------------------------------------------------------------------------

// Rows that codes are made of; `kind` changes from row to row.
static void fill_row(struct qm_case_builder *b, float *x, uint32_t width, uint32_t kind, float maximum_code)
{
    for (uint32_t i = 0; i < width; ++i)
        x[i] = qm_case_unit(b) * 3.0f;
    switch (kind % 7) {
    case 1: // zeros of both signs
        for (uint32_t i = 0; i < width; ++i)
            x[i] = i % 2 ? -0.0f : 0.0f;
        break;
    case 2: // one outlier
        x[qm_random_below(&b->random, width)] = 60000.0f;
        break;
    case 3: // subnormal
        for (uint32_t i = 0; i < width; ++i)
            x[i] = qm_float_from_bits(qm_random_u32(&b->random) & 0x807fffffu);
        break;
    case 4: // ties, or as near as a scale of a little more than 1 lets them be; and ties of binary16
        for (uint32_t i = 0; i < width; ++i)
            x[i] = (float)random_code(b, (int32_t)maximum_code - 1) + 0.5f;
        x[0] = maximum_code;
        x[width / 2] = qm_float_from_bits(0x3f801000u + ((qm_random_u32(&b->random) & 0xffu) << 13));
        break;
    case 5: // just above the smallest maximum that has a scale
        for (uint32_t i = 0; i < width; ++i)
            x[i] *= 0x1p-99f;
        x[0] = 0x1p-98f;
        break;
    case 6: // large; beyond binary16
        for (uint32_t i = 0; i < width; ++i)
            x[i] *= 1e30f;
        break;
    default:
        if (width > 4) // around subnormal binary16
            x[width - 1] *= 0x1p-20f;
    }
}

// Marks the codes of a row that lie near a tie. `first` is the row's first code in near_tie.
static void mark_ties(uint8_t *near_tie, size_t first, const float *x, uint32_t width, double maximum_code,
                      float inverse_maximum, float static_scale)
{
    float amax = 0;
    for (uint32_t i = 0; i < width; ++i)
        amax = fabsf(x[i]) > amax ? fabsf(x[i]) : amax;
    float scale = static_scale > 0 ? static_scale : amax < 0x1p-100f ? 0.0f : amax * inverse_maximum;
    for (uint32_t i = 0; i < width && scale > 0; ++i) {
        double t = fabs((double)x[i] / (double)scale);
        double fraction = t - (double)(int64_t)(t < 1e6 ? t : 1e6);
        near_tie[first + i] = t < maximum_code + 1 && fabs(fraction - 0.5) < 0x1p-13;
    }
}

#define INVERSE_127 0x3c010206u
#define INVERSE_7 0x3e124927u

void qm_case_activations(struct qm_case_builder *b)
{
    const struct qm_case_shape *s = b->shape;
    struct qm_kernel_case *c = b->c;
    bool is_a8 = strstr(c->name, "-a8") != NULL;
    uint32_t bits = is_a8 ? 8 : 16;
    float static_scale = is_a8 && c->pattern == QM_CASE_STATIC ? 0.019f : 0.0f;
    float *x = (float *)qm_case_add(b, (size_t)s->rows * s->k, false);
    qm_case_add(b, (size_t)s->rows * s->k * bits / 32, true);
    uint8_t *near_tie = is_a8 ? qm_case_near_ties(b, 8) : NULL;
    for (uint32_t row = 0; row < s->rows && !c->failed; ++row) {
        // Small cases see other kinds of rows too: the kind starts at the width.
        fill_row(b, x + (size_t)row * s->k, s->k, row + s->k / 8, 127.0f);
        if (near_tie)
            mark_ties(near_tie, (size_t)row * s->k, x + (size_t)row * s->k, s->k, 127, qm_float_from_bits(INVERSE_127),
                      static_scale);
    }
    qm_case_add(b, s->rows, true);
    struct qm_activations_parameters p = {s->rows, s->k, static_scale > 0, static_scale};
    qm_case_parameters(b, &p, sizeof(p));
    c->same_bits = true;
    c->bytes = (double)s->rows * s->k * (4 + bits / 8.0);
}

static uint32_t cache_words_of(const char *name)
{
    if (strstr(name, "-f32"))
        return 64;
    return strstr(name, "-f16") ? 32 : strstr(name, "-kv8") ? 16 : 8;
}

void qm_case_kv_write(struct qm_case_builder *b)
{
    const struct qm_case_shape *s = b->shape;
    struct qm_kernel_case *c = b->c;
    uint32_t words = cache_words_of(c->name), tokens = s->tokens_per_sequence;
    uint32_t first_sequence = 1, sequences = first_sequence + (s->rows + tokens - 1) / tokens;
    uint32_t context = s->position + tokens + 2;
    uint32_t slots = sequences * s->kv_heads * context;
    // Codes, then scales, then words that belong to nobody.
    struct qm_kv_write_parameters p = {s->rows, s->kv_heads, tokens, context, 64, 64 + slots * words};
    float *x = (float *)qm_case_add(b, (size_t)s->rows * s->kv_heads * 64, false);
    qm_case_add(b, (size_t)p.scale_base + slots + 16, true);
    uint8_t *near_tie = words <= 16 ? qm_case_near_ties(b, words == 16 ? 8 : 4) : NULL;
    for (uint32_t item = 0; item < s->rows * s->kv_heads && !c->failed; ++item) {
        uint32_t row = item / s->kv_heads, head = item % s->kv_heads;
        uint32_t sequence = first_sequence + row / tokens, position = s->position + row % tokens;
        size_t slot = ((size_t)sequence * s->kv_heads + head) * context + position;
        fill_row(b, x + (size_t)item * 64, 64, item + s->position, words == 16 ? 127.0f : 7.0f);
        if (near_tie)
            mark_ties(near_tie, (p.base + slot * words) * (64 / words), x + (size_t)item * 64, 64,
                      words == 16 ? 127 : 7, qm_float_from_bits(words == 16 ? INVERSE_127 : INVERSE_7), 0);
    }
    qm_case_parameters(b, &p, sizeof(p));
    c->step[0] = s->position;
    c->step[1] = first_sequence;
    c->same_bits = true;
    c->bytes = (double)s->rows * s->kv_heads * (256.0 + words * 4.0);
}

// ---- Attention ----------------------------------------------------------------------------------------------------

// Writes 64 random values at `at` and their scale; returns what attention's bound takes from them.
static void fill_head(struct qm_case_builder *b, uint32_t *cache, size_t at, size_t scale_at, uint32_t words,
                      double *norm, double *maximum)
{
    double sum = 0, most = 0;
    float scale = (1.25f + qm_case_unit(b)) * (words == 16 ? 0.01f : 0.15f);
    for (uint32_t d = 0; d < 64; ++d) {
        double value;
        if (words >= 32) {
            float wanted = qm_case_unit(b) * 2.0f;
            uint16_t half = qm_half_from_float(wanted);
            value = words == 64 ? (double)wanted : (double)qm_float_from_half(half);
            qm_case_put(cache + at, d, words == 64 ? 32 : 16, words == 64 ? qm_bits_from_float(wanted) : half);
        } else {
            int32_t code = random_code(b, words == 16 ? 127 : 7);
            value = code * (double)scale;
            qm_case_put(cache + at, d, words == 16 ? 8 : 4, (uint32_t)code);
        }
        sum += value * value;
        most = fabs(value) > most ? fabs(value) : most;
    }
    if (words < 32)
        cache[scale_at] = qm_bits_from_float(scale);
    *norm = sqrt(sum);
    *maximum = most;
}

void qm_case_attention(struct qm_case_builder *b)
{
    const struct qm_case_shape *s = b->shape;
    struct qm_kernel_case *c = b->c;
    uint32_t words = cache_words_of(c->name), tokens = s->tokens_per_sequence, heads = s->n;
    uint32_t first_sequence = 1, sequences = first_sequence + (s->rows + tokens - 1) / tokens;
    uint32_t context = s->position + tokens + 2;
    uint32_t slots = sequences * s->kv_heads * context;
    struct qm_attention_parameters p = {.rows = s->rows,
                                        .heads = heads,
                                        .kv_heads = s->kv_heads,
                                        .tokens_per_sequence = tokens,
                                        .context = context,
                                        .k_base = 0,
                                        .k_scale_base = slots * words * 2,
                                        .v_base = slots * words,
                                        .v_scale_base = slots * words * 2 + slots,
                                        .score_scale = 0.125f};
    float *q = (float *)qm_case_add(b, (size_t)s->rows * heads * 64, false);
    uint32_t *cache = qm_case_add(b, (size_t)slots * (2 * words + 2), false);
    qm_case_add(b, (size_t)s->rows * heads * 64, true);
    double *bounds = qm_case_absolute(b);
    double *norms = calloc((size_t)slots * 3, sizeof(*norms)); // |k|, max |v|, unused |v|
    c->failed = c->failed || !norms;
    for (size_t slot = 0; slot < slots && !c->failed; ++slot) {
        double unused;
        fill_head(b, cache, p.k_base + slot * words, p.k_scale_base + slot, words, &norms[slot], &unused);
        fill_head(b, cache, p.v_base + slot * words, p.v_scale_base + slot, words, &unused, &norms[slots + slot]);
    }
    double positions_read = 0;
    for (uint32_t item = 0; item < s->rows * heads && !c->failed; ++item) {
        uint32_t row = item / heads, head = item % heads;
        uint32_t position = s->position + row % tokens;
        size_t first = ((size_t)(first_sequence + row / tokens) * s->kv_heads + head / (heads / s->kv_heads)) * context;
        double sum = 0, most_k = 0, most_v = 0;
        for (uint32_t d = 0; d < 64; ++d) {
            float value = qm_case_unit(b) * (row % 3 == 1 ? 0.0f : row % 3 == 2 ? 16.0f : 4.0f);
            q[(size_t)item * 64 + d] = value;
            sum += (double)value * (double)value;
        }
        for (uint32_t j = 0; j <= position; ++j) {
            most_k = norms[first + j] > most_k ? norms[first + j] : most_k;
            most_v = norms[slots + first + j] > most_v ? norms[slots + first + j] : most_v;
        }
        // A score's error moves its weight by twice as much, relatively: once itself, once through the sum.
        double scores = sqrt(sum) * most_k * (double)p.score_scale;
        double bound = ((position + 257.0) * 0x1p-23 + 2 * 0x1p-20 * scores) * most_v;
        for (uint32_t d = 0; d < 64; ++d)
            bounds[(size_t)item * 64 + d] = bound;
        positions_read += position + 1.0;
    }
    free(norms);
    qm_case_parameters(b, &p, sizeof(p));
    c->step[0] = s->position;
    c->step[1] = first_sequence;
    c->operations = positions_read * 64 * 4;
    c->bytes = 4.0 * (positions_read / (heads / s->kv_heads) * (2 * words + (words < 32 ? 2 : 0)) +
                      2.0 * s->rows * heads * 64);
}
