// Products and decoding of weights. What a kernel sums in float32 is summed here in double, k from 0 upwards.
#include <stdlib.h>
#include <string.h>

#include "backends/reference/oracle.h"
#include "base/numeric.h"
#include "base/wide.h"
#include "kernel_arguments.h"
#include "sys/parallel.h"

static int signed_bits(uint32_t word, uint32_t index, uint32_t bits)
{
    uint32_t code = word >> (index * bits) & ((1u << bits) - 1);
    return code >= 1u << (bits - 1) ? (int)code - (int)(1u << bits) : (int)code;
}

enum activation_format {
    ACTIVATION_F32,
    ACTIVATION_F16,
    ACTIVATION_BF16,
    ACTIVATION_A8,
    ACTIVATION_F8,
    ACTIVATION_A4
};

static enum activation_format activation_format_of(const struct qm_kernel_variant *variant)
{
    static const char *const names[] = {"QM_ACTIVATION_F32", "QM_ACTIVATION_F16", "QM_ACTIVATION_BF16",
                                        "QM_ACTIVATION_A8",  "QM_ACTIVATION_F8",  "QM_ACTIVATION_A4"};
    int format = ACTIVATION_F32;
    while (format < ACTIVATION_A4 && !qm_oracle_has(variant, names[format]))
        ++format;
    return (enum activation_format)format;
}

struct product {
    const struct qm_kernel_variant *variant;
    struct qm_matmul_parameters p;
    const uint32_t *weights, *activations;
    const float *activation_scales;
    float *result;
    const double *decoded; // [k][n], scaled
    struct qm_oracle_weights weights_in_panels;
    enum activation_format activation_format;
    bool has_activation_scales, has_activation_groups;
};

struct decoding {
    const struct qm_oracle_weights *weights;
    uint32_t n;
    double *decoded;
};

static void decode_rows(void *context, size_t begin, size_t end)
{
    const struct decoding *decoding = context;
    for (size_t part = begin; part < end; ++part) {
        double *rows = decoding->decoded + part * QM_ORACLE_WEIGHTS_READ * decoding->n;
        for (uint32_t n = 0; n < decoding->n; ++n) {
            double weights[QM_ORACLE_WEIGHTS_READ];
            qm_oracle_weights_read(decoding->weights, n, (uint32_t)part * QM_ORACLE_WEIGHTS_READ, weights);
            for (uint32_t i = 0; i < QM_ORACLE_WEIGHTS_READ; ++i)
                rows[(size_t)i * decoding->n + n] = weights[i];
        }
    }
}

static double activation_value(const struct product *product, uint32_t row, uint32_t i)
{
    size_t at = (size_t)row * product->p.k + i;
    const uint32_t *words = product->activations;
    double value;
    switch (product->activation_format) {
    case ACTIVATION_F32:
        value = (double)qm_float_from_bits(words[at]);
        break;
    case ACTIVATION_F16:
        value = (double)qm_float_from_half((uint16_t)(words[at / 2] >> (16 * (at % 2))));
        break;
    case ACTIVATION_BF16:
        value = (double)qm_float_from_bits(words[at / 2] >> (16 * (at % 2)) << 16);
        break;
    case ACTIVATION_F8:
        value = qm_oracle_small_float(words[at / 4] >> (8 * (at % 4)) & 0xff, 4, 3);
        break;
    case ACTIVATION_A4:
        value = signed_bits(words[at / 8], (uint32_t)(at % 8), 4);
        break;
    default:
        value = signed_bits(words[at / 4], (uint32_t)(at % 4), 8);
    }
    if (product->has_activation_groups) {
        uint32_t steps = product->p.k / 32, groups = steps >> product->p.activation_shift;
        value *= (double)product->activation_scales[(size_t)row * groups + (i / 32 >> product->p.activation_shift)];
    }
    return value;
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
            if (product->has_activation_scales)
                factor *= (double)product->activation_scales[row0 + r];
            float *result = product->result + (row0 + r) * product->p.result_stride;
            for (uint32_t c = 0; c < n; ++c) {
                float value = (float)(sums[(size_t)r * n + c] * factor);
                result[c] = product->p.is_added ? (float)((double)result[c] + (double)value) : value;
            }
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
                              .activation_format = activation_format_of(call->variant),
                              .has_activation_groups = qm_oracle_has(call->variant, "QM_ACTIVATION_GROUPS")};
    memcpy(&product.p, call->parameters, sizeof(product.p));
    product.has_activation_scales =
        product.activation_format >= ACTIVATION_A8 && !product.has_activation_groups; // one a row
    qm_oracle_weights_open(call->variant, product.weights, product.p.k, product.p.scale_offset, product.p.weight_shift,
                           &product.weights_in_panels);
    struct qm_oracle_kept_key key = {.words = product.weights,
                                     .size_bytes = call->sizes[0],
                                     .format = product.weights_in_panels.format,
                                     .k = product.p.k,
                                     .n = product.p.n,
                                     .scale_offset = product.p.scale_offset,
                                     .shift = product.p.weight_shift};
    double *decoded = NULL;
    product.decoded = qm_oracle_kept_find(call->kept, &key);
    if (!product.decoded) {
        decoded = malloc((size_t)product.p.k * product.p.n * sizeof(double));
        if (!decoded)
            return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for %u x %u weights in double", product.p.k, product.p.n);
        struct decoding decoding = {&product.weights_in_panels, product.p.n, decoded};
        qm_parallel_for(product.p.k / QM_ORACLE_WEIGHTS_READ, decode_rows, &decoding);
        product.decoded = decoded;
    }
    qm_parallel_for(product.p.rows, multiply_rows, &product);
    if (decoded && !qm_oracle_kept_add(call->kept, &key, decoded))
        free(decoded);
    return QM_OK;
}

enum qm_status qm_oracle_dequantize(const struct qm_oracle_call *call)
{
    struct qm_dequantize_parameters p;
    memcpy(&p, call->parameters, sizeof(p));
    struct qm_oracle_weights weights;
    float *result = call->buffers[1];
    qm_oracle_weights_open(call->variant, call->buffers[0], p.k, p.scale_offset, p.weight_shift, &weights);
    for (uint32_t n = 0; n < p.n; ++n) {
        for (uint32_t i = 0; i < p.k; i += QM_ORACLE_WEIGHTS_READ) {
            double read[QM_ORACLE_WEIGHTS_READ];
            qm_oracle_weights_read(&weights, n, i, read);
            for (uint32_t at = 0; at < QM_ORACLE_WEIGHTS_READ; ++at)
                result[(size_t)n * p.k + i + at] = (float)(read[at] * (double)p.multiplier);
        }
    }
    return QM_OK;
}
