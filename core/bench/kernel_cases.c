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

void qm_case_place(struct qm_case_builder *b, uint32_t first_sequence, uint32_t position)
{
    uint32_t tokens = b->shape->tokens_per_sequence, count = (b->shape->rows + tokens - 1) / tokens, *step = b->c->step;
    step[0] = position + 7; // not what any sequence has: offsets go below zero as well
    step[1] = first_sequence + 5;
    for (uint32_t s = 0; s < count; ++s) {
        uint32_t *offsets = step + QM_STEP_HEAD_WORDS + 2 * (size_t)s;
        offsets[0] = first_sequence + (count - 1 - s) - (step[1] + s);
        offsets[1] = position - 11 * s % (position + 1) - step[0];
    }
}

uint32_t qm_case_sequence(const struct qm_case_builder *b, uint32_t row)
{
    uint32_t s = row / b->shape->tokens_per_sequence;
    return b->c->step[1] + s + b->c->step[QM_STEP_HEAD_WORDS + 2 * (size_t)s];
}

uint32_t qm_case_position(const struct qm_case_builder *b, uint32_t row)
{
    uint32_t s = row / b->shape->tokens_per_sequence;
    return b->c->step[0] + row % b->shape->tokens_per_sequence + b->c->step[QM_STEP_HEAD_WORDS + 2 * (size_t)s + 1];
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
void qm_case_fill_row(struct qm_case_builder *b, float *x, uint32_t width, uint32_t kind, float maximum_code)
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
void qm_case_mark_ties(uint8_t *near_tie, size_t first, const float *x, uint32_t width, double maximum_code,
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

// ---- The cache ----------------------------------------------------------------------------------------------------

struct cache_kind {
    uint32_t bits; // of a code
    enum {
        CACHE_FLOAT,
        CACHE_SYMMETRIC,
        CACHE_FLOAT8,
        CACHE_AFFINE
    } kind;
    bool has_exact;
    enum qm_minifloat minifloat;
    uint32_t largest, inverse; // code, and 1 / largest as the kernel has it
    uint32_t head;             // values of a token
    uint32_t words;            // of its codes
};

// "kv8" and "kv8x" of "attention-kv8x-h128".
static struct cache_kind cache_kind_of(const struct qm_case_builder *b)
{
    static const struct {
        const char *name;
        struct cache_kind kind;
    } kinds[] = {
        {"f32", {32, CACHE_FLOAT, false, 0, 0, 0, 0, 0}},
        {"f16", {16, CACHE_FLOAT, false, 0, 0, 0, 0, 0}},
        {"e4m3", {8, CACHE_FLOAT8, false, QM_MINIFLOAT_E4M3FN, 0, 0, 0, 0}},
        {"e5m2", {8, CACHE_FLOAT8, false, QM_MINIFLOAT_E5M2, 0, 0, 0, 0}},
        {"kivi4", {4, CACHE_AFFINE, true, 0, 15, 0x3d888889u, 0, 0}},
        {"kivi2", {2, CACHE_AFFINE, true, 0, 3, 0x3eaaaaabu, 0, 0}},
        {"kv8", {8, CACHE_SYMMETRIC, false, 0, 127, QM_CASE_INVERSE_127, 0, 0}},
        {"kv4", {4, CACHE_SYMMETRIC, false, 0, 7, QM_CASE_INVERSE_7, 0, 0}},
    };
    const char *part = strchr(b->c->name, '-') + 1;
    size_t length = strcspn(part, "-"), i = 0;
    bool has_exact = part[length - 1] == 'x';
    while (strlen(kinds[i].name) != length - has_exact || strncmp(kinds[i].name, part, length - has_exact) != 0)
        ++i;
    struct cache_kind kind = kinds[i].kind;
    kind.has_exact = kind.has_exact || has_exact;
    kind.head = qm_kernel_definition(b->variant, "QM_HEAD", 64);
    kind.words = kind.head * kind.bits / 32;
    return kind;
}

// Marks the codes near a tie of `count` values; the first one's code has the number `first`, the next ones `stride` more.
static void mark_affine_ties(uint8_t *near_tie, size_t first, size_t stride, const float *x, size_t count,
                             const struct cache_kind *kind)
{
    double least = 65504, most = -65504;
    for (size_t i = 0; i < count; ++i) {
        least = (double)x[i] < least ? (double)x[i] : least;
        most = (double)x[i] > most ? (double)x[i] : most;
    }
    least = least < -65504 ? -65504 : least;
    most = most > 65504 ? 65504 : most;
    double minimum = (double)qm_float_from_half(qm_half_from_float((float)least));
    float range = (float)most - (float)minimum;
    double scale =
        range > 0 ? (double)qm_float_from_half(qm_half_from_float(range * qm_float_from_bits(kind->inverse))) : 0;
    for (size_t i = 0; i < count && scale > 0; ++i) {
        double t = ((double)x[i] - minimum) / scale;
        if (t > 0 && t < kind->largest + 1)
            near_tie[first + i * stride] = fabs(t - (double)(int64_t)t - 0.5) < 0x1p-13;
    }
}

// Turns by quarters, so that a turned value is one of the pair, exactly.
static void add_quarters(struct qm_case_builder *b, uint32_t positions, uint32_t head)
{
    float *table = (float *)qm_case_add(b, (size_t)positions * head, false);
    for (size_t i = 0; table && i < (size_t)positions * head / 2; ++i) {
        uint32_t turn = qm_random_below(&b->random, 4);
        float *c = table + i / (head / 2) * head + i % (head / 2);
        c[0] = turn == 0 ? 1.0f : turn == 2 ? -1.0f : 0.0f;
        c[head / 2] = turn == 1 ? 1.0f : turn == 3 ? -1.0f : 0.0f;
    }
}

static void turn(const float *angles, uint32_t head, const float *x, float *to)
{
    for (uint32_t i = 0; i < head / 2; ++i) {
        float c = angles[i], s = angles[head / 2 + i], first = x[i], second = x[head / 2 + i];
        to[i] = first * c - second * s;
        to[head / 2 + i] = second * c + first * s;
    }
}

// A cache of keys and values, side by side: codes, then scales, then what is exact, then words that belong to nobody. Some
// or all of the tokens are exact. Cases with position 1 turn nothing and have no queries, one of them has no keys.
void qm_case_kv_write(struct qm_case_builder *b)
{
    const struct qm_case_shape *s = b->shape;
    struct qm_kernel_case *c = b->c;
    const struct cache_kind kind = cache_kind_of(b);
    bool is_turned = s->position % 3 != 1, has_keys = is_turned || s->kv_heads > 1, is_merged = s->rows % 2 == 1;
    uint32_t words = kind.words, head = kind.head, tokens = s->tokens_per_sequence;
    uint32_t first_sequence = 1, sequences = first_sequence + (s->rows + tokens - 1) / tokens;
    uint32_t context = s->position + tokens + 2, lanes = sequences * s->kv_heads, slots = lanes * context;
    uint32_t exact_length = s->kv_heads == 1 ? s->position + 1 : context;
    uint32_t exact = kind.has_exact ? lanes * exact_length * (head / 2) : 0, part = 64 + slots * words + slots + exact;
    uint32_t q_heads = is_turned ? 2 * s->kv_heads : 0, merged = (q_heads + 2 * s->kv_heads) * head + 3;
    // Of FP8: most saturate, none do, and most are subnormal.
    static const float inverses[] = {2922.7f, 37.3f, 0.0021f};
    struct qm_kv_write_parameters p = {
        .rows = s->rows,
        .q_heads = q_heads,
        .k_heads = has_keys ? s->kv_heads : 0,
        .v_heads = s->kv_heads,
        .kv_heads = s->kv_heads,
        .is_turned = is_turned,
        .q_stride = is_merged ? merged : q_heads * head,
        .kv_stride = is_merged ? merged : s->kv_heads * head,
        .k_from = (is_merged ? 1 : s->rows) * q_heads * head,
        .v_from = (is_merged ? 1 : s->rows) * (q_heads + s->kv_heads) * head + 3,
        .tokens_per_sequence = tokens,
        .context = context,
        .exact_length = exact_length,
        .k_base = 64,
        .k_scale_base = 64 + slots * words,
        .k_exact_base = 64 + slots * words + slots,
        .k_inverse_scale = s->kv_heads == 1 ? 1.0f : inverses[s->position % 3],
        .v_base = part + 64,
        .v_scale_base = part + 64 + slots * words,
        .v_exact_base = part + 64 + slots * words + slots,
        .v_inverse_scale = s->kv_heads == 1 ? 1.0f : inverses[(s->position + 1) % 3],
    };
    add_quarters(b, context, head);
    const float *table = (const float *)c->buffers[0].words;
    float *x = (float *)qm_case_add(b, (size_t)s->rows * merged, true);
    qm_case_add(b, (size_t)s->rows * q_heads * head + 4, true);
    qm_case_add(b, 2 * (size_t)part + 16, true);
    qm_case_place(b, first_sequence, s->position);
    bool has_ties = kind.kind == CACHE_SYMMETRIC || kind.kind == CACHE_AFFINE;
    uint8_t *near_tie = has_ties ? qm_case_near_ties(b, kind.bits) : NULL;
    uint32_t heads = q_heads + 2 * s->kv_heads;
    for (uint32_t item = 0; item < s->rows * heads && !c->failed; ++item) {
        uint32_t row = item / heads, number = item % heads, kv_head = (number - q_heads) % s->kv_heads;
        bool is_query = number < q_heads, is_key = !is_query && number < q_heads + s->kv_heads;
        float *values =
            x + (is_query ? (size_t)row * p.q_stride + (size_t)number * head
                          : (size_t)row * p.kv_stride + (is_key ? p.k_from : p.v_from) + (size_t)kv_head * head);
        float turned[256];
        uint32_t row_kind = item + s->position;
        // A turn multiplies, and a device may flush what is subnormal then.
        qm_case_fill_row(b, values, head, is_turned && row_kind % 7 == 3 ? 0 : row_kind,
                         kind.bits == 8 ? 127.0f : 7.0f);
        if (is_query || !near_tie || (is_key && !has_keys))
            continue;
        const float *stored = values;
        if (is_key && is_turned) {
            turn(table + (size_t)qm_case_position(b, row) * head, head, values, turned);
            stored = turned;
        }
        size_t lane = (size_t)qm_case_sequence(b, row) * s->kv_heads + kv_head;
        size_t slot = lane * context + qm_case_position(b, row);
        size_t first_code = ((is_key ? p.k_base : p.v_base) + slot * words) * (32 / kind.bits);
        if (kind.kind == CACHE_SYMMETRIC)
            qm_case_mark_ties(near_tie, first_code, stored, head, kind.largest, qm_float_from_bits(kind.inverse), 0);
        else
            mark_affine_ties(near_tie, first_code, 1, stored, head, &kind);
    }
    qm_case_parameters(b, &p, sizeof(p));
    c->same_bits = true;
    c->bytes = (double)s->rows * ((p.k_heads + p.v_heads) * (head * 4.0 + words * 4.0) + q_heads * head * 8.0);
}

// Keys of all positions lie in the exact part; a pass completes none, one or several blocks of them.
void qm_case_kv_block(struct qm_case_builder *b)
{
    const struct qm_case_shape *s = b->shape;
    struct qm_kernel_case *c = b->c;
    const struct cache_kind kind = cache_kind_of(b);
    // Small cases are moved to where their last token completes a block.
    uint32_t words = kind.words, head = kind.head, tokens = s->tokens_per_sequence,
             batch = (s->rows + tokens - 1) / tokens;
    uint32_t position = s->rows == 1 ? s->position / 32 * 32 + 31 : s->position;
    uint32_t first_sequence = 1, context = position + tokens + 2, blocks = (context + 31) / 32;
    uint32_t lanes = (first_sequence + batch) * s->kv_heads, slots = lanes * context;
    struct qm_kv_block_parameters p = {.items = batch * s->kv_heads * ((tokens + 31) / 32) * words,
                                       .kv_heads = s->kv_heads,
                                       .tokens_per_sequence = tokens,
                                       .context = context,
                                       .base = 64,
                                       .scale_base = 64 + slots * words,
                                       .exact_base = 64 + slots * words + lanes * blocks * head,
                                       .exact_length = context};
    uint32_t *cache = qm_case_add(b, (size_t)p.exact_base + slots * (head / 2), true);
    uint8_t *near_tie = qm_case_near_ties(b, kind.bits);
    float *keys = calloc((size_t)context * head, sizeof(*keys)), row[32];
    c->failed = c->failed || !keys;
    for (uint32_t lane = 0; lane < lanes && !c->failed; ++lane) {
        for (uint32_t from = 0; from < context; from += 32) {
            for (uint32_t d = 0; d < head; ++d) { // hostile rows are channels here
                qm_case_fill_row(b, row, 32, lane + d + from / 32, (float)kind.largest);
                for (uint32_t t = 0; t < 32 && from + t < context; ++t) {
                    uint16_t half = qm_half_from_float(row[t]);
                    half = (half & 0x7fff) < 0x7c00 ? half : (uint16_t)(half - 1); // the largest for infinity
                    qm_case_put(cache + p.exact_base + ((size_t)lane * context + from + t) * (head / 2), d, 16, half);
                    keys[(size_t)(from + t) * head + d] = row[t] = qm_float_from_half(half);
                }
                if (from + 32 <= context)
                    mark_affine_ties(near_tie,
                                     (p.base + ((size_t)lane * context + from) * words) * (32 / kind.bits) + d, head,
                                     row, 32, &kind);
            }
        }
    }
    free(keys);
    qm_case_parameters(b, &p, sizeof(p));
    qm_case_place(b, first_sequence, position);
    c->same_bits = true;
    c->bytes = (double)batch * s->kv_heads * tokens * (head * 2.0 + words * 4.0);
}

// ---- Attention ----------------------------------------------------------------------------------------------------

// What attention's bound takes from a token: the norm of its magnitudes and the largest of them.
struct magnitude {
    double square, most;
};

static void add_magnitude(struct magnitude *to, double value)
{
    to->square += value * value;
    to->most = fabs(value) > to->most ? fabs(value) : to->most;
}

// Random binary16 values of a token.
static void fill_halves(struct qm_case_builder *b, uint32_t head, uint32_t *words, struct magnitude *magnitude)
{
    for (uint32_t d = 0; d < head; ++d) {
        uint16_t half = qm_half_from_float(qm_case_unit(b) * 2.0f);
        qm_case_put(words, d, 16, half);
        add_magnitude(magnitude, (double)qm_float_from_half(half));
    }
}

static uint32_t random_pair(struct qm_case_builder *b, const struct cache_kind *kind)
{
    uint16_t scale = qm_half_from_float((1.25f + qm_case_unit(b)) / (float)kind->largest);
    return (uint32_t)qm_half_from_float(qm_case_unit(b) * 2.0f) << 16 | scale;
}

static double pair_magnitude(uint32_t pair, uint32_t code)
{
    return fabs((double)qm_float_from_half((uint16_t)(pair >> 16))) +
           code * (double)qm_float_from_half((uint16_t)(pair & 0xffff));
}

// Writes a head of random codes at `at`. Scales of affine keys (scale_step 1, one a channel) are there already; others are
// written.
static void fill_head(struct qm_case_builder *b, const struct cache_kind *kind, uint32_t *cache, size_t at,
                      size_t scale_at, uint32_t scale_step, struct magnitude *magnitude)
{
    float scale = (1.25f + qm_case_unit(b)) * (kind->bits == 8 ? 0.01f : 0.15f);
    if (kind->kind == CACHE_AFFINE && scale_step == 0)
        cache[scale_at] = random_pair(b, kind);
    if (kind->kind == CACHE_SYMMETRIC)
        cache[scale_at] = qm_bits_from_float(scale);
    if (kind->bits == 16) {
        fill_halves(b, kind->head, cache + at, magnitude);
        return;
    }
    for (uint32_t d = 0; d < kind->head; ++d) {
        float wanted = qm_case_unit(b) * 2.0f;
        double value = (double)wanted;
        uint32_t code = qm_bits_from_float(wanted);
        if (kind->kind == CACHE_SYMMETRIC) {
            int32_t integer = random_code(b, (int32_t)kind->largest);
            code = (uint32_t)integer;
            value = integer * (double)scale;
        } else if (kind->kind == CACHE_FLOAT8) {
            code = qm_random_below(&b->random, 8) ? qm_minifloat_nearest(kind->minifloat, (double)wanted, true)
                                                  : qm_random_below(&b->random, 16); // subnormal and around
            value = qm_minifloat_value(kind->minifloat, code);
        } else if (kind->kind == CACHE_AFFINE) {
            code = qm_random_below(&b->random, kind->largest + 1);
            value = pair_magnitude(cache[scale_at + d * scale_step], code);
        }
        qm_case_put(cache + at, d, kind->bits, code);
        add_magnitude(magnitude, value);
    }
}

// The parts of a cache one after the other; returns the number of words.
static size_t place_cache(struct qm_attention_parameters *p, const struct cache_kind *kind, uint32_t lanes)
{
    uint32_t slots = lanes * p->context, blocks = (p->context + 31) / 32;
    p->v_base = slots * kind->words;
    p->k_scale_base = 2 * p->v_base;
    p->v_scale_base =
        p->k_scale_base + (kind->kind == CACHE_AFFINE ? lanes * blocks * kind->head : (slots + 3) / 4 * 4);
    p->k_exact_base = (p->v_scale_base + slots + 3) / 4 * 4;
    p->v_exact_base = p->k_exact_base + lanes * p->exact_length * (kind->head / 2);
    return kind->has_exact ? (size_t)p->v_exact_base + lanes * p->exact_length * (kind->head / 2) : p->k_exact_base;
}

void qm_case_attention(struct qm_case_builder *b)
{
    const struct qm_case_shape *s = b->shape;
    struct qm_kernel_case *c = b->c;
    const struct cache_kind kind = cache_kind_of(b);
    uint32_t words = kind.words, head_values = kind.head, tokens = s->tokens_per_sequence, heads = s->n;
    uint32_t first_sequence = 1, sequences = first_sequence + (s->rows + tokens - 1) / tokens;
    uint32_t context = s->position + tokens + 2;
    uint32_t lanes = sequences * s->kv_heads, slots = lanes * context;
    // Of tokens that are looked at; among several sequences of a case some are longer than 45 and some are not.
    // A model's own shapes, which are timed and longer than those of checks, look at all of them.
    static const uint32_t windows[] = {0, 45, 1};
    const bool is_whole = s->is_whole || s->rows > 32 || s->position > 300;
    // Exact tokens: none but kivi's own block, the first ones alone, or both ends, which may meet.
    uint32_t ends = (s->rows + s->n) % 3;
    struct qm_attention_parameters p = {
        .rows = s->rows,
        .heads = heads,
        .kv_heads = s->kv_heads,
        .tokens_per_sequence = tokens,
        .context = context,
        .score_scale = 0.125f,
        .k_scale = s->kv_heads == 1 ? 1.0f : 0.6f,
        .v_scale = s->kv_heads == 1 ? 1.0f : 1.7f,
        .exact_first = ends == 0          ? 0
                       : s->position > 40 ? 37
                                          : 1,
        .exact_last = ends == 2 ? 21 : 0,
        // What models have, and one that most scores reach.
        .score_cap = s->rows % 4 == 1 && !is_whole ? (s->kv_heads == 1 ? 50.0f : 2.0f) : 0.0f,
        .window = is_whole ? 0 : windows[(s->rows + s->position + (tokens < s->rows ? 2 : 0)) % 3],
        .result_stride = heads * head_values + (s->rows > 1 ? 64 : 0)};
    p.cap_inverse = p.score_cap > 0 ? 1.0f / p.score_cap : 0;
    p.exact_length = kind.kind == CACHE_AFFINE || p.exact_last > 0 ? context : p.exact_first;
    float *q = (float *)qm_case_add(b, (size_t)s->rows * heads * head_values, false);
    uint32_t *cache = qm_case_add(b, place_cache(&p, &kind, lanes), false);
    qm_case_add(b, (size_t)s->rows * p.result_stride, true);
    double *bounds = qm_case_absolute(b);
    struct magnitude *keys = calloc(slots, sizeof(*keys)), *values = calloc(slots, sizeof(*values));
    bool *is_read = calloc(slots, sizeof(*is_read));
    c->failed = c->failed || !keys || !values || !is_read;
    for (size_t slot = 0; slot < slots && !c->failed; ++slot) {
        size_t lane = slot / context, position = slot % context, k_scale = p.k_scale_base + slot;
        if (kind.kind == CACHE_AFFINE) {
            k_scale = p.k_scale_base + (lane * ((context + 31) / 32) + position / 32) * head_values;
            for (uint32_t d = 0; d < head_values && position % 32 == 0; ++d)
                cache[k_scale + d] = random_pair(b, &kind);
        }
        fill_head(b, &kind, cache, p.k_base + slot * words, k_scale, kind.kind == CACHE_AFFINE, &keys[slot]);
        fill_head(b, &kind, cache, p.v_base + slot * words, p.v_scale_base + slot, 0, &values[slot]);
        if (kind.kind == CACHE_FLOAT8) {
            keys[slot].square *= (double)p.k_scale * (double)p.k_scale;
            values[slot].most *= (double)p.v_scale;
        }
        if (kind.has_exact && position < p.exact_length) {
            size_t at = (lane * p.exact_length + position) * (head_values / 2);
            fill_halves(b, head_values, cache + p.k_exact_base + at, &keys[slot]);
            fill_halves(b, head_values, cache + p.v_exact_base + at, &values[slot]);
        }
    }
    double positions_read = 0, slots_read = 0;
    qm_case_place(b, first_sequence, s->position);
    for (uint32_t item = 0; item < s->rows * heads && !c->failed; ++item) {
        uint32_t row = item / heads, head = item % heads;
        uint32_t position = qm_case_position(b, row);
        size_t first = ((size_t)qm_case_sequence(b, row) * s->kv_heads + head / (heads / s->kv_heads)) * context;
        double sum = 0, most_k = 0, most_v = 0;
        for (uint32_t d = 0; d < head_values; ++d) {
            float value = qm_case_unit(b) * (row % 3 == 1 ? 0.0f : row % 3 == 2 ? 16.0f : 4.0f);
            q[(size_t)item * head_values + d] = value;
            sum += (double)value * (double)value;
        }
        for (uint32_t j = 0; j <= position; ++j) {
            double norm = sqrt(keys[first + j].square);
            most_k = norm > most_k ? norm : most_k;
            most_v = values[first + j].most > most_v ? values[first + j].most : most_v;
        }
        // A score's error moves its weight by twice as much, relatively: once itself, once through the sum.
        double scores = sqrt(sum) * most_k * (double)p.score_scale;
        double of_cap = 2 * 0x1p-20 * (double)p.score_cap;
        double bound = ((position + 257.0) * 0x1p-23 + 2 * (head_values / 64) * 0x1p-20 * scores + of_cap) * most_v;
        for (uint32_t d = 0; d < head_values; ++d)
            bounds[(size_t)row * p.result_stride + head * head_values + d] = bound;
        uint32_t from = p.window > 0 && position + 1 > p.window ? position + 1 - p.window : 0;
        positions_read += position + 1.0 - from;
        for (uint32_t j = from; j <= position; ++j) {
            slots_read += !is_read[first + j];
            is_read[first + j] = true;
        }
    }
    free(keys);
    free(values);
    free(is_read);
    qm_case_parameters(b, &p, sizeof(p));
    c->operations = positions_read * head_values * 4;
    bool has_scale_per_token = kind.kind == CACHE_SYMMETRIC || kind.kind == CACHE_AFFINE;
    c->bytes = 4.0 * (slots_read * (2 * words + (has_scale_per_token ? 2 : 0)) + 2.0 * s->rows * heads * head_values);
}
