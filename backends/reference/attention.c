// The cache and attention over it.
#include <stdlib.h>
#include <string.h>

#include "backends/reference/oracle.h"
#include "base/numeric.h"
#include "kernel_arguments.h"
#include "sys/parallel.h"

enum {
    HEAD = 64
};

static uint32_t cache_words(const struct qm_kernel_variant *variant)
{
    if (qm_oracle_has(variant, "QM_KV_F32"))
        return 64;
    if (qm_oracle_has(variant, "QM_KV_F16"))
        return 32;
    return qm_oracle_has(variant, "QM_KV_KV8") ? 16 : 8;
}

// Scale and code of one value; the formula of kv_write: the scale is a float product, the code the nearest integer.
static void quantize_head(const float *x, int maximum_code, float inverse_maximum, float *scale, int codes[HEAD])
{
    float amax = 0.0f;
    for (int d = 0; d < HEAD; ++d) {
        float magnitude = x[d] < 0 ? -x[d] : x[d];
        amax = magnitude > amax ? magnitude : amax;
    }
    *scale = amax < 0x1p-100f ? 0.0f : amax * inverse_maximum;
    for (int d = 0; d < HEAD; ++d) {
        double code = *scale == 0.0f ? 0.0 : qm_round_even((double)x[d] / (double)*scale);
        codes[d] = (int)(code > maximum_code ? maximum_code : code < -maximum_code ? -maximum_code : code);
    }
}

enum qm_status qm_oracle_kv_write(const struct qm_oracle_call *call)
{
    struct qm_kv_write_parameters p;
    memcpy(&p, call->parameters, sizeof(p));
    const float *x = call->buffers[0];
    uint32_t *cache = call->buffers[1];
    uint32_t words = cache_words(call->variant);
    for (uint32_t item = 0; item < p.rows * p.kv_heads; ++item) {
        uint32_t row = item / p.kv_heads, head = item % p.kv_heads;
        uint32_t sequence = call->step[1] + row / p.tokens_per_sequence;
        uint32_t position = call->step[0] + row % p.tokens_per_sequence;
        size_t slot = ((size_t)sequence * p.kv_heads + head) * p.context + position;
        uint32_t *to = cache + p.base + slot * words;
        const float *from = x + (size_t)item * HEAD;
        memset(to, 0, words * sizeof(*to));
        if (words == 64) {
            memcpy(to, from, HEAD * sizeof(*from));
        } else if (words == 32) {
            for (uint32_t d = 0; d < HEAD; ++d)
                to[d / 2] |= (uint32_t)qm_half_from_float(from[d]) << (16 * (d % 2));
        } else {
            bool is_kv8 = words == 16;
            int codes[HEAD];
            float scale;
            quantize_head(from, is_kv8 ? 127 : 7, qm_float_from_bits(is_kv8 ? 0x3c010206u : 0x3e124927u), &scale,
                          codes);
            cache[p.scale_base + slot] = qm_bits_from_float(scale);
            uint32_t per = is_kv8 ? 4 : 8, bits = is_kv8 ? 8 : 4;
            for (uint32_t d = 0; d < HEAD; ++d)
                to[d / per] |= ((uint32_t)codes[d] & ((1u << bits) - 1)) << (bits * (d % per));
        }
    }
    return QM_OK;
}

struct attention {
    const struct qm_oracle_call *call;
    struct qm_attention_parameters p;
    uint32_t words;
};

static void load_head(const struct attention *attention, uint32_t base, uint32_t scale_base, size_t slot,
                      double out[HEAD])
{
    const uint32_t *cache = attention->call->buffers[1];
    const uint32_t *from = cache + base + slot * attention->words;
    for (uint32_t d = 0; d < HEAD; ++d) {
        if (attention->words == 64) {
            out[d] = (double)qm_float_from_bits(from[d]);
        } else if (attention->words == 32) {
            out[d] = (double)qm_float_from_half((uint16_t)(from[d / 2] >> (16 * (d % 2))));
        } else {
            uint32_t per = attention->words == 16 ? 4 : 8, bits = 32 / per;
            int code = (int)(from[d / per] >> (bits * (d % per)) & ((1u << bits) - 1));
            code = code >= 1 << (bits - 1) ? code - (1 << bits) : code;
            out[d] = code * (double)qm_float_from_bits(cache[scale_base + slot]);
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
        uint32_t sequence = attention->call->step[1] + row / p->tokens_per_sequence;
        uint32_t position = attention->call->step[0] + row % p->tokens_per_sequence;
        size_t slot = ((size_t)sequence * p->kv_heads + head / (p->heads / p->kv_heads)) * p->context;
        double maximum = 0, total = 0, values[HEAD], sums[HEAD] = {0};
        for (uint32_t j = 0; j <= position; ++j) {
            load_head(attention, p->k_base, p->k_scale_base, slot + j, values);
            double dot = 0;
            for (int d = 0; d < HEAD; ++d)
                dot += (double)q[item * HEAD + (size_t)d] * values[d];
            scores[j] = dot * (double)p->score_scale;
            maximum = j == 0 || scores[j] > maximum ? scores[j] : maximum;
        }
        for (uint32_t j = 0; j <= position; ++j) {
            double weight = qm_exp(scores[j] - maximum);
            total += weight;
            load_head(attention, p->v_base, p->v_scale_base, slot + j, values);
            for (int d = 0; d < HEAD; ++d)
                sums[d] += weight * values[d];
        }
        for (int d = 0; d < HEAD; ++d)
            result[item * HEAD + (size_t)d] = (float)(sums[d] / total);
    }
    free(scores);
}

enum qm_status qm_oracle_attention(const struct qm_oracle_call *call)
{
    struct attention attention = {.call = call, .words = cache_words(call->variant)};
    memcpy(&attention.p, call->parameters, sizeof(attention.p));
    qm_parallel_for((size_t)attention.p.rows * attention.p.heads, attend, &attention);
    return QM_OK;
}
