// The cache and attention over it.
#include <stdlib.h>
#include <string.h>

#include "backends/reference/oracle.h"
#include "base/minifloat.h"
#include "base/numeric.h"
#include "kernel_arguments.h"
#include "sys/parallel.h"

enum {
    HEAD_MOST = 256,
    BLOCK = 32 // tokens that share the scales of keys (kivi)
};

struct cache_format {
    const char *definition;
    uint32_t bits;    // of a code
    int largest;      // code; 0: floats
    uint32_t inverse; // bits of 1 / largest, rounded up
    enum {
        PLAIN,
        SYMMETRIC,
        FLOAT8,
        AFFINE
    } kind;
    enum qm_minifloat minifloat;
};

static const struct cache_format formats[] = {
    {"QM_KV_F32", 32, 0, 0, PLAIN, 0},
    {"QM_KV_F16", 16, 0, 0, PLAIN, 0},
    {"QM_KV_KV8", 8, 127, 0x3c010206u, SYMMETRIC, 0},
    {"QM_KV_KV4", 4, 7, 0x3e124927u, SYMMETRIC, 0},
    {"QM_KV_E4M3", 8, 0, 0, FLOAT8, QM_MINIFLOAT_E4M3FN},
    {"QM_KV_E5M2", 8, 0, 0, FLOAT8, QM_MINIFLOAT_E5M2},
    {"QM_KV_KIVI4", 4, 15, 0x3d888889u, AFFINE, 0},
    {"QM_KV_KIVI2", 2, 3, 0x3eaaaaabu, AFFINE, 0},
};

static const struct cache_format *format_of(const struct qm_kernel_variant *variant)
{
    for (size_t i = 0; i + 1 < sizeof(formats) / sizeof(formats[0]); ++i)
        if (qm_oracle_has(variant, formats[i].definition))
            return &formats[i];
    return &formats[sizeof(formats) / sizeof(formats[0]) - 1];
}

static bool has_exact(const struct qm_kernel_variant *variant)
{
    return format_of(variant)->kind == AFFINE || qm_oracle_has(variant, "QM_KV_EXACT");
}

// Code number d of a token.
static void put_code(uint32_t *words, uint32_t bits, uint32_t d, uint32_t code)
{
    uint32_t per = 32 / bits, shift = bits * (d % per);
    uint32_t mask = bits == 32 ? UINT32_MAX : ((1u << bits) - 1) << shift;
    words[d / per] = (words[d / per] & ~mask) | (code << shift & mask);
}

static uint32_t code_at(const uint32_t *words, uint32_t bits, uint32_t d)
{
    uint32_t per = 32 / bits;
    return words[d / per] >> (bits * (d % per)) & (bits == 32 ? UINT32_MAX : (1u << bits) - 1);
}

static double limited(double x, double least, double most)
{
    return x < least ? least : x > most ? most : x;
}

// One scale for both signs: a float product. The code is the nearest integer.
static float quantize_symmetric(const struct cache_format *format, uint32_t head, const float *x, uint32_t *words)
{
    float amax = 0.0f;
    for (uint32_t d = 0; d < head; ++d) {
        float magnitude = x[d] < 0 ? -x[d] : x[d];
        amax = magnitude > amax ? magnitude : amax;
    }
    float scale = amax < 0x1p-100f ? 0.0f : amax * qm_float_from_bits(format->inverse);
    for (uint32_t d = 0; d < head; ++d) {
        double code = scale == 0.0f ? 0.0 : qm_round_even((double)x[d] / (double)scale);
        put_code(words, format->bits, d, (uint32_t)(int)limited(code, -format->largest, format->largest));
    }
    return scale;
}

// Scale and minimum in binary16, the scale's word as the cache has it, and the codes of `count` values `stride` apart.
static uint32_t quantize_affine(const struct cache_format *format, const float *x, size_t count, size_t stride,
                                uint32_t *codes)
{
    float least = x[0], most = x[0];
    for (size_t i = 1; i < count; ++i) {
        least = x[i * stride] < least ? x[i * stride] : least;
        most = x[i * stride] > most ? x[i * stride] : most;
    }
    uint16_t minimum_bits = qm_half_from_float((float)limited((double)least, -65504, 65504));
    minimum_bits = minimum_bits == 0x8000 ? 0 : minimum_bits;
    float minimum = qm_float_from_half(minimum_bits);
    float range = (float)limited((double)most, -65504, 65504) - minimum;
    uint16_t scale_bits = range > 0 ? qm_half_from_float(range * qm_float_from_bits(format->inverse)) : 0;
    double scale = (double)qm_float_from_half(scale_bits);
    for (size_t i = 0; i < count; ++i) {
        double code = scale == 0 ? 0 : qm_round_even(((double)x[i * stride] - (double)minimum) / scale);
        codes[i] = (uint32_t)limited(code, 0, format->largest);
    }
    return (uint32_t)minimum_bits << 16 | scale_bits;
}

// Keys or values of a row and head into the cache.
struct cached_part {
    uint32_t base, scale_base, exact_base;
    float inverse_scale;
};

static void write_head(const struct qm_oracle_call *call, const struct qm_kv_write_parameters *p,
                       const struct cached_part *part, size_t lane, uint32_t position, const float *x)
{
    const struct cache_format *format = format_of(call->variant);
    uint32_t *cache = call->buffers[3], bits = format->bits, size = qm_oracle_head(call->variant), codes[HEAD_MOST];
    size_t slot = lane * p->context + position;
    uint32_t *to = cache + part->base + slot * (size * bits / 32);
    if (format->kind == SYMMETRIC)
        cache[part->scale_base + slot] = qm_bits_from_float(quantize_symmetric(format, size, x, to));
    if (format->kind == AFFINE)
        cache[part->scale_base + slot] = quantize_affine(format, x, size, 1, codes);
    for (uint32_t d = 0; d < size && format->kind != SYMMETRIC; ++d)
        put_code(to, bits, d,
                 format->kind == AFFINE ? codes[d]
                 : format->kind == FLOAT8
                     ? qm_minifloat_nearest(format->minifloat, (double)(x[d] * part->inverse_scale), true)
                 : bits == 16 ? qm_half_from_float(x[d])
                              : qm_bits_from_float(x[d]));
    for (uint32_t d = 0; d < size && has_exact(call->variant) && position < p->exact_length; ++d)
        put_code(cache + part->exact_base + (lane * p->exact_length + position) * (size / 2), 16, d,
                 qm_half_from_float(x[d]));
}

enum qm_status qm_oracle_kv_write(const struct qm_oracle_call *call)
{
    struct qm_kv_write_parameters p;
    memcpy(&p, call->parameters, sizeof(p));
    const struct cached_part keys = {p.k_base, p.k_scale_base, p.k_exact_base, p.k_inverse_scale},
                             values = {p.v_base, p.v_scale_base, p.v_exact_base, p.v_inverse_scale};
    uint32_t size = qm_oracle_head(call->variant);
    const float *table = call->buffers[0];
    float *x = call->buffers[1], *q = call->buffers[2];
    for (uint32_t row = 0; row < p.rows; ++row) {
        struct qm_oracle_place place = qm_oracle_row(call, row, p.tokens_per_sequence);
        const float *angles = table + (size_t)place.position * size;
        size_t lane = (size_t)place.sequence * p.kv_heads;
        for (uint32_t head = 0; p.is_turned && head < p.q_heads; ++head)
            qm_oracle_turn(angles, size, x + (size_t)row * p.q_stride + (size_t)head * size,
                           q + ((size_t)row * p.q_heads + head) * size);
        for (uint32_t head = 0; head < p.k_heads; ++head) {
            float *key = x + (size_t)row * p.kv_stride + p.k_from + (size_t)head * size;
            if (p.is_turned)
                qm_oracle_turn(angles, size, key, key);
            write_head(call, &p, &keys, lane + head, place.position, key);
        }
        for (uint32_t head = 0; head < p.v_heads; ++head)
            write_head(call, &p, &values, lane + head, place.position,
                       x + (size_t)row * p.kv_stride + p.v_from + (size_t)head * size);
    }
    return QM_OK;
}

enum qm_status qm_oracle_kv_block(const struct qm_oracle_call *call)
{
    struct qm_kv_block_parameters p;
    memcpy(&p, call->parameters, sizeof(p));
    const struct cache_format *format = format_of(call->variant);
    uint32_t *cache = call->buffers[0];
    uint32_t size = qm_oracle_head(call->variant), words = size * format->bits / 32;
    uint32_t lanes = p.items / words / ((p.tokens_per_sequence + BLOCK - 1) / BLOCK);
    for (uint32_t i = 0; i < lanes; ++i) {
        struct qm_oracle_place place = qm_oracle_sequence(call, i / p.kv_heads);
        uint32_t lane = place.sequence * p.kv_heads + i % p.kv_heads, end = place.position + p.tokens_per_sequence;
        for (uint32_t block = place.position / BLOCK; (block + 1) * BLOCK <= end; ++block) {
            float keys[BLOCK][HEAD_MOST];
            for (uint32_t t = 0; t < BLOCK; ++t)
                for (uint32_t d = 0; d < size; ++d)
                    keys[t][d] = qm_float_from_half((uint16_t)code_at(
                        cache + p.exact_base + ((size_t)lane * p.exact_length + block * BLOCK + t) * (size / 2), 16,
                        d));
            for (uint32_t d = 0; d < size; ++d) {
                uint32_t codes[BLOCK];
                uint32_t pair = quantize_affine(format, &keys[0][d], BLOCK, HEAD_MOST, codes);
                cache[p.scale_base + ((size_t)lane * ((p.context + BLOCK - 1) / BLOCK) + block) * size + d] = pair;
                for (uint32_t t = 0; t < BLOCK; ++t)
                    put_code(cache + p.base + ((size_t)lane * p.context + block * BLOCK + t) * words, format->bits, d,
                             codes[t]);
            }
        }
    }
    return QM_OK;
}

struct attention {
    const struct qm_oracle_call *call;
    struct qm_attention_parameters p;
    const struct cache_format *format;
    uint32_t head; // values
};

// Whether a query at `position` reads token j in binary16.
static bool is_exact(const struct attention *attention, uint32_t position, uint32_t j)
{
    const struct qm_attention_parameters *p = &attention->p;
    return has_exact(attention->call->variant) &&
           (j < p->exact_first || (uint64_t)j + p->exact_last > position ||
            (attention->format->kind == AFFINE && j / BLOCK == position / BLOCK));
}

// Key or value of token j of a (sequence, head).
static void load_head(const struct attention *attention, bool is_key, size_t lane, uint32_t position, uint32_t j,
                      double *out)
{
    const struct qm_attention_parameters *p = &attention->p;
    const struct cache_format *format = attention->format;
    const uint32_t *cache = attention->call->buffers[1];
    size_t slot = lane * p->context + j;
    const uint32_t *codes = cache + (is_key ? p->k_base : p->v_base) + slot * (attention->head * format->bits / 32);
    const uint32_t *scales = cache + (is_key ? p->k_scale_base : p->v_scale_base);
    uint32_t bits = format->bits;
    if (is_exact(attention, position, j)) {
        codes =
            cache + (is_key ? p->k_exact_base : p->v_exact_base) + (lane * p->exact_length + j) * (attention->head / 2);
        for (uint32_t d = 0; d < attention->head; ++d)
            out[d] = (double)qm_float_from_half((uint16_t)code_at(codes, 16, d));
        return;
    }
    for (uint32_t d = 0; d < attention->head; ++d) {
        uint32_t code = code_at(codes, bits, d), pair = 0;
        switch (format->kind) {
        case PLAIN:
            out[d] = (double)(bits == 32 ? qm_float_from_bits(code) : qm_float_from_half((uint16_t)code));
            break;
        case SYMMETRIC:
            out[d] = ((int)code - ((int)code > format->largest ? 2 * (format->largest + 1) : 0)) *
                     (double)qm_float_from_bits(scales[slot]);
            break;
        case FLOAT8:
            out[d] = qm_minifloat_value(format->minifloat, code) * (double)(is_key ? p->k_scale : p->v_scale);
            break;
        default:
            pair = is_key ? scales[(lane * ((p->context + BLOCK - 1) / BLOCK) + j / BLOCK) * attention->head + d]
                          : scales[slot];
            out[d] = (double)qm_float_from_half((uint16_t)(pair >> 16)) +
                     code * (double)qm_float_from_half((uint16_t)(pair & 0xffff));
        }
    }
}

static void attend(void *context, size_t begin, size_t end)
{
    const struct attention *attention = context;
    const struct qm_attention_parameters *p = &attention->p;
    const float *q = attention->call->buffers[0];
    float *result = attention->call->buffers[2];
    double *scores = malloc(p->context * sizeof(*scores));
    if (!scores)
        return;
    for (size_t item = begin; item < end; ++item) {
        uint32_t row = (uint32_t)(item / p->heads), head = (uint32_t)(item % p->heads);
        struct qm_oracle_place place = qm_oracle_row(attention->call, row, p->tokens_per_sequence);
        uint32_t position = place.position;
        size_t lane = (size_t)place.sequence * p->kv_heads + head / (p->heads / p->kv_heads);
        double maximum = 0, total = 0, values[HEAD_MOST], sums[HEAD_MOST] = {0};
        uint32_t size = attention->head, oldest = 0;
        if (p->window > 0 && position >= p->window)
            oldest = position - p->window + 1;
        for (uint32_t j = oldest; j <= position; ++j) {
            load_head(attention, true, lane, position, j, values);
            double dot = 0;
            for (uint32_t d = 0; d < size; ++d)
                dot += (double)q[item * size + d] * values[d];
            scores[j] = dot * (double)p->score_scale;
            if (p->score_cap > 0)
                scores[j] = (double)p->score_cap * qm_oracle_tanh(scores[j] / (double)p->score_cap);
            maximum = j == oldest || scores[j] > maximum ? scores[j] : maximum;
        }
        for (uint32_t j = oldest; j <= position; ++j) {
            double weight = qm_exp(scores[j] - maximum);
            total += weight;
            load_head(attention, false, lane, position, j, values);
            for (uint32_t d = 0; d < size; ++d)
                sums[d] += weight * values[d];
        }
        for (uint32_t d = 0; d < size; ++d)
            result[(size_t)row * p->result_stride + head * size + d] = (float)(sums[d] / total);
    }
    free(scores);
}

enum qm_status qm_oracle_attention(const struct qm_oracle_call *call)
{
    struct attention attention = {
        .call = call, .format = format_of(call->variant), .head = qm_oracle_head(call->variant)};
    memcpy(&attention.p, call->parameters, sizeof(attention.p));
    qm_parallel_for((size_t)attention.p.rows * attention.p.heads, attend, &attention);
    return QM_OK;
}
