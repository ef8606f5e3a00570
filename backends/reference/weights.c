// What the words of a weight in panels stand for, by the formulas of kernels/weights.h and core/quant/layout.h.
#include "backends/reference/oracle.h"
#include "base/numeric.h"

#include <string.h>

enum code_kind {
    CODE_F32,
    CODE_F16,
    CODE_BF16,
    CODE_SIGNED,
    CODE_UNSIGNED,
    CODE_OFFSET, // unsigned, half of the range more than the value
    CODE_SMALL_FLOAT
};

enum scale_kind {
    SCALE_ONE,
    SCALE_CHANNEL,
    SCALE_HALF,
    SCALE_HALF_ZERO,
    SCALE_HALF_MINIMUM,
    SCALE_Q4_K,
    SCALE_Q6_K,
    SCALE_E8M0,
    SCALE_E4M3
};

static const struct format {
    const char *name;
    enum code_kind code;
    uint32_t bits;
    enum scale_kind scale;
    uint32_t exponent_bits, mantissa_bits; // of small floats
} formats[] = {
    {"QM_WEIGHT_F32", CODE_F32, 32, SCALE_ONE, 0, 0},
    {"QM_WEIGHT_F16", CODE_F16, 16, SCALE_ONE, 0, 0},
    {"QM_WEIGHT_BF16", CODE_BF16, 16, SCALE_ONE, 0, 0},
    {"QM_WEIGHT_W8", CODE_SIGNED, 8, SCALE_CHANNEL, 0, 0},
    {"QM_WEIGHT_W8G", CODE_SIGNED, 8, SCALE_HALF, 0, 0},
    {"QM_WEIGHT_W4", CODE_SIGNED, 4, SCALE_HALF, 0, 0},
    {"QM_WEIGHT_W4Z", CODE_UNSIGNED, 4, SCALE_HALF_ZERO, 0, 0},
    {"QM_WEIGHT_W4M", CODE_UNSIGNED, 4, SCALE_HALF_MINIMUM, 0, 0},
    {"QM_WEIGHT_W3", CODE_SIGNED, 3, SCALE_HALF, 0, 0},
    {"QM_WEIGHT_W3Z", CODE_UNSIGNED, 3, SCALE_HALF_ZERO, 0, 0},
    {"QM_WEIGHT_W2", CODE_SIGNED, 2, SCALE_HALF, 0, 0},
    {"QM_WEIGHT_W2Z", CODE_UNSIGNED, 2, SCALE_HALF_ZERO, 0, 0},
    {"QM_WEIGHT_Q4_K", CODE_UNSIGNED, 4, SCALE_Q4_K, 0, 0},
    {"QM_WEIGHT_Q5_K", CODE_UNSIGNED, 5, SCALE_Q4_K, 0, 0},
    {"QM_WEIGHT_Q6_K", CODE_OFFSET, 6, SCALE_Q6_K, 0, 0},
    {"QM_WEIGHT_E4M3", CODE_SMALL_FLOAT, 8, SCALE_CHANNEL, 4, 3},
    {"QM_WEIGHT_E5M2", CODE_SMALL_FLOAT, 8, SCALE_CHANNEL, 5, 2},
    {"QM_WEIGHT_MXFP8", CODE_SMALL_FLOAT, 8, SCALE_E8M0, 4, 3},
    {"QM_WEIGHT_MXFP6E2M3", CODE_SMALL_FLOAT, 6, SCALE_E8M0, 2, 3},
    {"QM_WEIGHT_MXFP6E3M2", CODE_SMALL_FLOAT, 6, SCALE_E8M0, 3, 2},
    {"QM_WEIGHT_MXFP4", CODE_SMALL_FLOAT, 4, SCALE_E8M0, 2, 1},
    {"QM_WEIGHT_NVFP4", CODE_SMALL_FLOAT, 4, SCALE_E4M3, 2, 1},
};

static double power_of_two(int exponent)
{
    uint64_t bits = (uint64_t)(exponent + 1023) << 52;
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

double qm_oracle_small_float(uint32_t code, uint32_t exponent_bits, uint32_t mantissa_bits)
{
    uint32_t mantissa = code & ((1u << mantissa_bits) - 1);
    uint32_t exponent = code >> mantissa_bits & ((1u << exponent_bits) - 1);
    int bias = (1 << (exponent_bits - 1)) - 1;
    double fraction = (exponent > 0 ? 1.0 : 0.0) + mantissa * power_of_two(-(int)mantissa_bits);
    double value = fraction * power_of_two((exponent > 0 ? (int)exponent : 1) - bias);
    return code >> (exponent_bits + mantissa_bits) & 1 ? -value : value;
}

static uint32_t field(uint32_t word, uint32_t index, uint32_t bits)
{
    return word >> (index * bits) & (bits == 32 ? 0xffffffffu : (1u << bits) - 1);
}

static int sign_extended(uint32_t code, uint32_t bits)
{
    int half = (int)(1u << ((bits - 1) & 15)); // codes have 8 bits at most
    return (int)code >= half ? (int)code - 2 * half : (int)code;
}

void qm_oracle_weights_open(const struct qm_kernel_variant *variant, const uint32_t *words, uint32_t k,
                            uint32_t scale_offset, uint32_t weight_shift, struct qm_oracle_weights *out)
{
    *out = (struct qm_oracle_weights){.words = words, .scales = words + scale_offset, .k = k, .shift = weight_shift};
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); ++i) {
        if (qm_oracle_has(variant, formats[i].name))
            out->format = &formats[i];
    }
}

// Codes of 5 and 6 bits of blocks, from the words of a step: by eights.
static uint32_t code_by_eights(const uint32_t *step, uint32_t bits, uint32_t i)
{
    static const uint32_t places[2][6] = {{0, 5, 10, 15, 22, 27}, {0, 6, 12, 20, 26, 0}};
    uint32_t eight = i / 8, j = i % 8, mask = (1u << bits) - 1, own = step[(size_t)eight * 16];
    uint32_t shared =
        bits == 5 ? step[4 * 16] >> (8 * eight) : step[(size_t)(4 + eight / 2) * 16] >> (16 * (eight % 2));
    if (j < 11 - bits)
        return own >> places[bits - 5][j] & mask;
    if (bits == 5)
        return j == 6 ? shared & 31 : (shared >> 5 & 7) | (own >> 20 & 3) << 3;
    return j < 7 ? shared >> (6 * (j - 5)) & 63 : (shared >> 12 & 15) | (own >> 18 & 3) << 4;
}

static uint32_t code_at(const struct qm_oracle_weights *w, uint32_t n, uint32_t i)
{
    uint32_t bits = w->format->bits, steps = w->k / 32, in_step = i % 32;
    const uint32_t *step = w->words + ((size_t)(n / 16) * steps * bits + (size_t)(i / 32) * bits) * 16 + n % 16;
    if (w->format->scale == SCALE_Q6_K || (w->format->scale == SCALE_Q4_K && bits == 5))
        return code_by_eights(step, bits, in_step);
    uint32_t low_bits = bits == 3 ? 2 : bits == 6 ? 4 : bits, per = 32 / low_bits;
    uint32_t code = field(step[(size_t)(in_step / per) * 16], in_step % per, low_bits);
    if (low_bits != bits) {
        uint32_t high_bits = bits - low_bits, high_per = 32 / high_bits;
        code |= field(step[(size_t)(low_bits + in_step / high_per) * 16], in_step % high_per, high_bits) << low_bits;
    }
    return code;
}

// Word `index` of the `count` words that a row's scales take.
static uint32_t scale_word(const struct qm_oracle_weights *w, uint32_t n, uint32_t count, uint32_t index)
{
    return w->scales[((size_t)(n / 16) * count + index) * 16 + n % 16];
}

static double half(uint32_t word, uint32_t which)
{
    return (double)qm_float_from_half((uint16_t)(word >> (16 * which)));
}

static void scale_at(const struct qm_oracle_weights *w, uint32_t n, uint32_t i, double *scale, double *offset)
{
    uint32_t steps = w->k / 32, step = i / 32, groups = steps >> w->shift, group = step >> w->shift, word;
    *scale = 1;
    *offset = 0;
    switch (w->format->scale) {
    case SCALE_CHANNEL:
        *scale = (double)qm_float_from_bits(w->scales[n]);
        break;
    case SCALE_HALF:
        *scale = half(scale_word(w, n, (groups + 1) / 2, group / 2), group % 2);
        break;
    case SCALE_HALF_ZERO:
        word = scale_word(w, n, groups, group);
        *scale = half(word, 0);
        *offset = -*scale * half(word, 1);
        break;
    case SCALE_HALF_MINIMUM:
        word = scale_word(w, n, steps, step);
        *scale = half(word, 0);
        *offset = half(word, 1);
        break;
    case SCALE_Q4_K: {
        uint32_t per_row = steps / 8 * 5, block = step / 8 * 5, at = step % 2 * 2;
        uint32_t both = scale_word(w, n, per_row, block);
        word = scale_word(w, n, per_row, block + 1 + step % 8 / 2);
        *scale = half(both, 0) * field(word, at, 8);
        *offset = -half(both, 1) * field(word, at + 1, 8);
        break;
    }
    case SCALE_Q6_K: {
        uint32_t per_row = steps / 8 * 5, block = step / 8 * 5, j = i % 256 / 16;
        *scale = half(scale_word(w, n, per_row, block), 0) *
                 sign_extended(field(scale_word(w, n, per_row, block + 1 + j / 4), j % 4, 8), 8);
        break;
    }
    case SCALE_E8M0:
        word = field(scale_word(w, n, (steps + 3) / 4, step / 4), step % 4, 8);
        *scale = word == 0 ? 0 : power_of_two((int)word - 127);
        break;
    case SCALE_E4M3:
        word = field(scale_word(w, n, (2 * steps + 3) / 4, i / 64), i / 16 % 4, 8);
        *scale = qm_oracle_small_float(word, 4, 3);
        break;
    default:
        break;
    }
}

static double code_value(const struct format *f, uint32_t code)
{
    switch (f->code) {
    case CODE_F32:
        return (double)qm_float_from_bits(code);
    case CODE_F16:
        return (double)qm_float_from_half((uint16_t)code);
    case CODE_BF16:
        return (double)qm_float_from_bits(code << 16);
    case CODE_SIGNED:
        return sign_extended(code, f->bits);
    case CODE_UNSIGNED:
        return code;
    case CODE_OFFSET:
        return (int)code - (1 << (f->bits - 1));
    default:
        return qm_oracle_small_float(code, f->exponent_bits, f->mantissa_bits);
    }
}

void qm_oracle_weights_read(const struct qm_oracle_weights *w, uint32_t n, uint32_t i,
                            double out[QM_ORACLE_WEIGHTS_READ])
{
    double scale, offset;
    scale_at(w, n, i, &scale, &offset);
    for (uint32_t at = 0; at < QM_ORACLE_WEIGHTS_READ; ++at) {
        double value = code_value(w->format, code_at(w, n, i + at));
        out[at] = offset == 0 ? value * scale : value * scale + offset; // a sum would lose the sign of zero
    }
}
