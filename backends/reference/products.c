// Products and decoding of weights. What a kernel sums in float32 is summed here in double, k from 0 upwards.
#include <stdlib.h>
#include <string.h>

#include "backends/reference/oracle.h"
#include "base/numeric.h"
#include "kernel_arguments.h"
#include "sys/parallel.h"

// The loops below run over columns, so wider vectors change no bit; where the compiler can choose at run time, let it.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define QM_WIDE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define QM_WIDE
#endif

enum weight_format {
    WEIGHT_F32,
    WEIGHT_F16,
    WEIGHT_W8,
    WEIGHT_W4G32
};

static enum weight_format weight_format_of(const struct qm_kernel_variant *variant)
{
    if (qm_oracle_has(variant, "QM_WEIGHT_F32"))
        return WEIGHT_F32;
    if (qm_oracle_has(variant, "QM_WEIGHT_F16"))
        return WEIGHT_F16;
    return qm_oracle_has(variant, "QM_WEIGHT_W8") ? WEIGHT_W8 : WEIGHT_W4G32;
}

static int signed_bits(uint32_t word, uint32_t index, uint32_t bits)
{
    uint32_t code = word >> (index * bits) & ((1u << bits) - 1);
    return code >= 1u << (bits - 1) ? (int)code - (int)(1u << bits) : (int)code;
}

// The stored number of column n, index i: the code, not scaled.
static double stored_value(enum weight_format format, const uint32_t *words, uint32_t k, uint32_t n, uint32_t i)
{
    static const uint32_t per_word[] = {1, 2, 4, 8};
    uint32_t per = per_word[format];
    uint32_t word = words[((size_t)(n / 16) * (k / per) + i / per) * 16 + n % 16];
    switch (format) {
    case WEIGHT_F32:
        return (double)qm_float_from_bits(word);
    case WEIGHT_F16:
        return (double)qm_float_from_half((uint16_t)(word >> (16 * (i % 2))));
    case WEIGHT_W8:
        return signed_bits(word, i % 4, 8);
    default:
        return signed_bits(word, i % 8, 4);
    }
}

static double weight_scale(enum weight_format format, const uint32_t *words, uint32_t k, uint32_t n, uint32_t i,
                           uint32_t scale_offset)
{
    if (format == WEIGHT_W8)
        return (double)qm_float_from_bits(words[scale_offset + n]);
    if (format == WEIGHT_W4G32) {
        uint32_t group = i / 32, pairs = (k / 32 + 1) / 2;
        uint32_t pair = words[scale_offset + ((size_t)(n / 16) * pairs + group / 2) * 16 + n % 16];
        return (double)qm_float_from_half((uint16_t)(pair >> (16 * (group % 2))));
    }
    return 1.0;
}

struct product {
    const struct qm_kernel_variant *variant;
    struct qm_matmul_parameters p;
    const uint32_t *weights, *activations;
    const float *activation_scales;
    float *result;
    double *decoded; // [k][n], scaled
    enum weight_format format;
};

static void decode_columns(void *context, size_t begin, size_t end)
{
    struct product *product = context;
    for (size_t i = begin; i < end; ++i) {
        for (uint32_t n = 0; n < product->p.n; ++n) {
            uint32_t k = (uint32_t)i;
            product->decoded[i * product->p.n + n] =
                stored_value(product->format, product->weights, product->p.k, n, k) *
                weight_scale(product->format, product->weights, product->p.k, n, k, product->p.scale_offset);
        }
    }
}

static double activation_value(const struct product *product, uint32_t row, uint32_t i)
{
    const struct qm_kernel_variant *variant = product->variant;
    size_t k = product->p.k;
    if (qm_oracle_has(variant, "QM_ACTIVATION_F32"))
        return (double)qm_float_from_bits(product->activations[row * k + i]);
    if (qm_oracle_has(variant, "QM_ACTIVATION_F16"))
        return (double)qm_float_from_half((uint16_t)(product->activations[(row * k + i) / 2] >> (16 * (i % 2))));
    return signed_bits(product->activations[(row * k + i) / 4], i % 4, 8);
}

QM_WIDE static void add_scaled_row(double *sums, const double *weights, double factor, uint32_t count)
{
    for (uint32_t n = 0; n < count; ++n)
        sums[n] += weights[n] * factor;
}

static void multiply_rows(void *context, size_t begin, size_t end)
{
    struct product *product = context;
    uint32_t k = product->p.k, n = product->p.n;
    // Eight rows at a time, so that a row of weights is fetched once for all of them.
    enum {
        BLOCK = 8
    };
    double *sums = calloc((size_t)BLOCK * n + (size_t)BLOCK * k, sizeof(*sums));
    if (!sums)
        return; // leaves zeros, which no check lets pass
    double *values = sums + (size_t)BLOCK * n;
    bool is_a8 = qm_oracle_has(product->variant, "QM_ACTIVATION_A8");
    for (size_t row0 = begin; row0 < end; row0 += BLOCK) {
        uint32_t rows = (uint32_t)(end - row0 < BLOCK ? end - row0 : BLOCK);
        memset(sums, 0, (size_t)BLOCK * n * sizeof(*sums));
        for (uint32_t r = 0; r < rows; ++r) {
            for (uint32_t i = 0; i < k; ++i)
                values[(size_t)r * k + i] = activation_value(product, (uint32_t)row0 + r, i);
        }
        for (uint32_t i = 0; i < k; ++i) {
            for (uint32_t r = 0; r < rows; ++r)
                add_scaled_row(sums + (size_t)r * n, product->decoded + (size_t)i * n, values[(size_t)r * k + i], n);
        }
        for (uint32_t r = 0; r < rows; ++r) {
            double factor = (double)product->p.multiplier;
            if (is_a8)
                factor *= (double)product->activation_scales[row0 + r];
            for (uint32_t c = 0; c < n; ++c)
                product->result[(row0 + r) * product->p.result_stride + c] = (float)(sums[(size_t)r * n + c] * factor);
        }
    }
    free(sums);
}

enum qm_status qm_oracle_product(const struct qm_oracle_call *call)
{
    struct product product = {.variant = call->variant,
                              .weights = call->buffers[0],
                              .activations = call->buffers[1],
                              .activation_scales = call->buffers[2],
                              .result = call->buffers[3],
                              .format = weight_format_of(call->variant)};
    memcpy(&product.p, call->parameters, sizeof(product.p));
    product.decoded = malloc((size_t)product.p.k * product.p.n * sizeof(double));
    if (!product.decoded)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for %u x %u weights in double", product.p.k, product.p.n);
    qm_parallel_for(product.p.k, decode_columns, &product);
    qm_parallel_for(product.p.rows, multiply_rows, &product);
    free(product.decoded);
    return QM_OK;
}

enum qm_status qm_oracle_dequantize(const struct qm_oracle_call *call)
{
    struct qm_dequantize_parameters p;
    memcpy(&p, call->parameters, sizeof(p));
    enum weight_format format = weight_format_of(call->variant);
    const uint32_t *words = call->buffers[0];
    float *result = call->buffers[1];
    for (uint32_t n = 0; n < p.n; ++n) {
        for (uint32_t i = 0; i < p.k; ++i)
            result[(size_t)n * p.k + i] = (float)(stored_value(format, words, p.k, n, i) *
                                                  weight_scale(format, words, p.k, n, i, p.scale_offset));
    }
    return QM_OK;
}
