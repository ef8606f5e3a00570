// The data of a kernel's check: inputs, and how far each word of the output may be from the reference's.
#include "bench/kernel_cases.h"

#include "base/minifloat.h"
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

static int32_t random_code(struct qm_case_builder *b, int32_t maximum)
{
    return (int32_t)qm_random_below(&b->random, 2 * (uint32_t)maximum + 1) - maximum;
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
#define INVERSE_448 0x3b124927u

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
    float scale = static_scale > 0 ? static_scale : amax < 0x1p-100f ? 0.0f : amax * qm_float_from_bits(INVERSE_448);
    for (uint32_t i = 0; i < width && scale > 0; ++i)
        near_tie[first + i] = is_near_e4m3_tie(fabs((double)x[i] / (double)scale));
}

void qm_case_activations(struct qm_case_builder *b)
{
    const struct qm_case_shape *s = b->shape;
    struct qm_kernel_case *c = b->c;
    const char *part = strrchr(c->name, '-') + 1;
    bool is_f8 = strncmp(part, "f8", 2) == 0, is_a4 = strcmp(part, "a4") == 0, is_16 = strstr(part, "f16") != NULL;
    bool is_grouped = is_a4 || part[strlen(part) - 1] == 'g', is_static = c->pattern == QM_CASE_STATIC;
    uint32_t bits = is_16 ? 16 : is_a4 ? 4 : 8;
    uint32_t shift = is_grouped && s->k % 64 == 0 ? 1 : 0, group = is_grouped ? 32u << shift : s->k;
    uint32_t groups = s->k / group;
    float *x = (float *)qm_case_add(b, (size_t)s->rows * s->k, false), static_scale = 0;
    qm_case_add(b, (size_t)s->rows * s->k * bits / 32, true);
    uint8_t *near_tie = is_16 ? NULL : qm_case_near_ties(b, bits);
    qm_case_add(b, (size_t)s->rows * groups, true);
    float *static_scales = (float *)qm_case_add(b, groups, false);
    for (uint32_t g = 0; g < groups && !c->failed; ++g)
        static_scales[g] = 0.019f * (1.0f + (float)(g % 3));
    for (uint32_t item = 0; item < s->rows * groups && !c->failed; ++item) {
        float *row = x + (size_t)item * group;
        // Small cases see other kinds of rows too: the kind starts at the width.
        fill_row(b, row, group, item + s->k / 8, is_a4 ? 7.0f : 127.0f);
        static_scale = is_static ? static_scales[item % groups] : 0.0f;
        if (near_tie && is_f8)
            mark_e4m3_ties(near_tie, (size_t)item * group, row, group, static_scale);
        else if (near_tie)
            mark_ties(near_tie, (size_t)item * group, row, group, is_a4 ? 7 : 127,
                      qm_float_from_bits(is_a4 ? INVERSE_7 : INVERSE_127), static_scale);
    }
    struct qm_activations_parameters p = {s->rows, s->k, is_static, shift};
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
