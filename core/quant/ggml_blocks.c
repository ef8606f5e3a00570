// The algorithms are ggml's (MIT license; the functions are named below), the code is not. What must be kept to get its
// bytes is the order of the float operations: sums run over i upwards in float, products from left to right, and nothing
// is contracted (-ffp-contract=off).
#include "quant/ggml_blocks.h"
#include "base/numeric.h"

#include <math.h> // sqrtf, which IEEE 754 rounds correctly on every machine
#include <stdbool.h>
#include <string.h>

#define SMALL 32u   // values in a block of q8_0, q4_0, q4_1 and q5_0, and in a part of q4_k and q5_k
#define LARGE 256u  // values in a block of q4_k, q5_k and q6_k
#define PARTS_4 8u  // parts of q4_k and q5_k
#define PARTS_6 16u // parts of q6_k
#define VALUES_6 16u

// ---- Numbers -------------------------------------------------------------------------------------------------------

static float magnitude(float value)
{
    return qm_float_from_bits(qm_bits_from_float(value) & 0x7fffffffu);
}

static int32_t clamp(int32_t value, int32_t least, int32_t most)
{
    return value < least ? least : value > most ? most : value;
}

// ggml's nearest_int. Adding 1.5 * 2^23 leaves the integer, rounded to nearest even, in the mantissa. Beyond 2^22 it
// gives the mantissa's rest, and for NaN 0: hostile blocks come here, and their bytes are compared too.
static int32_t nearest(float value)
{
    return (int32_t)(qm_bits_from_float(value + 0x1.8p23f) & 0x7fffffu) - 0x400000;
}

// Whether a code can come from it: not infinite nor NaN, see the header.
static bool is_near_codes(float value)
{
    return value > -129.0f && value < 129.0f;
}

static int32_t truncated(float value)
{
    return is_near_codes(value) ? (int32_t)value : 0;
}

// C's roundf: ties away from zero. The difference is exact.
static int32_t nearest_away(float value)
{
    int32_t whole = truncated(value);
    float rest = is_near_codes(value) ? value - (float)whole : 0;
    return rest >= 0.5f ? whole + 1 : rest <= -0.5f ? whole - 1 : whole;
}

static float reciprocal(float d)
{
    return d != 0 ? 1.0f / d : 0.0f;
}

static void put_half(uint8_t *at, float value)
{
    uint16_t half = qm_half_from_float(value);
    at[0] = (uint8_t)(half & 0xff);
    at[1] = (uint8_t)(half >> 8);
}

static float half_at(const uint8_t *at)
{
    return qm_float_from_half((uint16_t)(at[0] | at[1] << 8));
}

static float signed_byte(uint8_t byte)
{
    return (float)((int32_t)(byte ^ 0x80u) - 0x80);
}

// The first value of the largest magnitude; 0 if there are only zeros.
static float peak_of(const float *values, uint32_t count)
{
    float peak = 0;
    for (uint32_t i = 0; i < count; i++)
        if (magnitude(values[i]) > magnitude(peak))
            peak = values[i];
    return peak;
}

struct range {
    float least, most;
};

static struct range range_of(const float *values, uint32_t count)
{
    struct range range = {values[0], values[0]};
    for (uint32_t i = 1; i < count; i++) {
        range.least = values[i] < range.least ? values[i] : range.least;
        range.most = values[i] > range.most ? values[i] : range.most;
    }
    return range;
}

// Nibbles of `half` values from the low ones of `half` bytes, then of as many from the high ones.
static void put_nibbles(uint8_t *bytes, const uint8_t *codes, uint32_t half)
{
    for (uint32_t i = 0; i < half; i++)
        bytes[i] = (uint8_t)(codes[i] | codes[half + i] << 4);
}

static uint32_t nibble(const uint8_t *bytes, uint32_t i, uint32_t half)
{
    return (uint32_t)bytes[i % half] >> (i / half * 4) & 15u;
}

// ---- One scale, no search (quantize_row_q8_0_ref, _q4_0_ref, _q4_1_ref, _q5_0_ref and their inverses) ----------------

void qm_ggml_q8_0_encode(const float values[32], uint8_t block[34])
{
    float d = magnitude(peak_of(values, SMALL)) / 127.0f, inverse = reciprocal(d);
    put_half(block, d);
    for (uint32_t i = 0; i < SMALL; i++)
        block[2 + i] = (uint8_t)nearest_away(values[i] * inverse);
}

void qm_ggml_q8_0_decode(const uint8_t block[34], float values[32])
{
    float d = half_at(block);
    for (uint32_t i = 0; i < SMALL; i++)
        values[i] = signed_byte(block[2 + i]) * d;
}

// d has the sign that makes the largest value -8, so that value is met; one of its size and the other sign would be 8,
// and becomes 7. The codes come from d before it is rounded to binary16.
void qm_ggml_q4_0_encode(const float values[32], uint8_t block[18])
{
    uint8_t codes[SMALL];
    float d = peak_of(values, SMALL) / -8.0f, inverse = reciprocal(d);
    put_half(block, d);
    for (uint32_t i = 0; i < SMALL; i++)
        codes[i] = (uint8_t)clamp(truncated(values[i] * inverse + 8.5f), 0, 15);
    put_nibbles(block + 2, codes, 16);
}

void qm_ggml_q4_0_decode(const uint8_t block[18], float values[32])
{
    float d = half_at(block);
    for (uint32_t i = 0; i < SMALL; i++)
        values[i] = ((float)nibble(block + 2, i, 16) - 8.0f) * d;
}

void qm_ggml_q4_1_encode(const float values[32], uint8_t block[20])
{
    uint8_t codes[SMALL];
    struct range range = range_of(values, SMALL);
    float d = (range.most - range.least) / 15.0f, inverse = reciprocal(d);
    put_half(block, d);
    put_half(block + 2, range.least);
    for (uint32_t i = 0; i < SMALL; i++)
        codes[i] = (uint8_t)clamp(truncated((values[i] - range.least) * inverse + 0.5f), 0, 15);
    put_nibbles(block + 4, codes, 16);
}

void qm_ggml_q4_1_decode(const uint8_t block[20], float values[32])
{
    float d = half_at(block), least = half_at(block + 2);
    for (uint32_t i = 0; i < SMALL; i++)
        values[i] = (float)nibble(block + 4, i, 16) * d + least;
}

// As q4_0, with one bit more.
void qm_ggml_q5_0_encode(const float values[32], uint8_t block[22])
{
    uint8_t low[SMALL];
    float d = peak_of(values, SMALL) / -16.0f, inverse = reciprocal(d);
    put_half(block, d);
    memset(block + 2, 0, 4);
    for (uint32_t i = 0; i < SMALL; i++) {
        uint8_t code = (uint8_t)clamp(truncated(values[i] * inverse + 16.5f), 0, 31);
        low[i] = code & 15u;
        block[2 + i / 8] |= (uint8_t)(code >> 4 << i % 8);
    }
    put_nibbles(block + 6, low, 16);
}

void qm_ggml_q5_0_decode(const uint8_t block[22], float values[32])
{
    float d = half_at(block);
    for (uint32_t i = 0; i < SMALL; i++) {
        uint32_t code = nibble(block + 6, i, 16) | ((uint32_t)block[2 + i / 8] >> i % 8 & 1u) << 4;
        values[i] = ((float)code - 16.0f) * d;
    }
}

// ---- Q4_K and Q5_K: a scale and a minimum for each 32 values, six bits of each -----------------------------------------

// Codes from 0 to `most`, and the inverse scales that are tried: (before + 0.1 step + most) / range.
struct affine {
    int32_t most;
    float before;
    int steps;
};
static const struct affine four_bits = {15, -1.0f, 20}, five_bits = {31, -0.5f, 15};

static uint8_t affine_code(const struct affine *of, float value, float least, float inverse)
{
    return (uint8_t)clamp(nearest(inverse * (value - least)), 0, of->most);
}

static float affine_error(const float *values, const float *weights, const uint8_t *codes, float scale, float least)
{
    float error = 0;
    for (uint32_t i = 0; i < SMALL; i++) {
        float off = scale * (float)codes[i] + least - values[i];
        error += weights[i] * (off * off);
    }
    return error;
}

// Weighted sums that the best line through (code, value) comes from.
struct line_sums {
    float weight, value;            // of all values; the codes do not matter
    float code, square, code_value; // with the codes that are tried
};

static void sum_codes(const float *values, const float *weights, const uint8_t *codes, struct line_sums *sums)
{
    sums->code = sums->square = sums->code_value = 0;
    for (uint32_t i = 0; i < SMALL; i++) {
        float weighted = weights[i] * (float)codes[i];
        sums->code += weighted;
        sums->square += weighted * (float)codes[i];
        sums->code_value += weighted * values[i];
    }
}

// The line of the least weighted square error, through zero where it would begin above. False if there is none.
static bool fit_line(const struct line_sums *s, float *scale, float *least)
{
    float determinant = s->weight * s->square - s->code * s->code;
    if (!(determinant > 0))
        return false;
    *scale = (s->weight * s->code_value - s->value * s->code) / determinant;
    *least = (s->square * s->value - s->code * s->code_value) / determinant;
    if (*least > 0) {
        *least = 0;
        *scale = s->code_value / s->square;
    }
    return true;
}

// make_qkx2_quants: returns the scale, and in *minimum what is subtracted. A better line moves the minimum that the next codes
// are taken from.
static float search_affine(const struct affine *of, const float *values, const float *weights, uint8_t codes[SMALL],
                           float *minimum)
{
    struct range range = range_of(values, SMALL);
    struct line_sums sums = {.weight = weights[0], .value = weights[0] * values[0]};
    for (uint32_t i = 1; i < SMALL; i++) {
        sums.weight += weights[i];
        sums.value += weights[i] * values[i];
    }
    float least = range.least > 0 ? 0 : range.least, most = range.most;
    memset(codes, 0, SMALL);
    *minimum = -least;
    if (most == least)
        return 0;
    float inverse = (float)of->most / (most - least), scale = 1.0f / inverse;
    for (uint32_t i = 0; i < SMALL; i++)
        codes[i] = affine_code(of, values[i], least, inverse);
    float best = affine_error(values, weights, codes, scale, least);
    for (int step = 0; step <= of->steps; step++) {
        uint8_t tried[SMALL];
        float line_scale, line_least;
        inverse = (of->before + 0.1f * (float)step + (float)of->most) / (most - least);
        for (uint32_t i = 0; i < SMALL; i++)
            tried[i] = affine_code(of, values[i], least, inverse);
        sum_codes(values, weights, tried, &sums);
        if (!fit_line(&sums, &line_scale, &line_least))
            continue;
        float error = affine_error(values, weights, tried, line_scale, line_least);
        if (error < best) {
            memcpy(codes, tried, SMALL);
            best = error;
            scale = line_scale;
            least = line_least;
        }
    }
    *minimum = -least;
    return scale;
}

// Six bits of each part's share of the largest one. An 8-bit conversion comes first, in which a negative one turns large.
static void six_bit_shares(const float *parts, float most, uint8_t *shares)
{
    float inverse = most > 0 ? 63.0f / most : 0;
    for (uint32_t part = 0; part < PARTS_4; part++) {
        uint8_t share = (uint8_t)nearest(inverse * parts[part]);
        shares[part] = share > 63 ? 63 : share;
    }
}

static float largest_of(const float *parts, uint32_t count)
{
    float most = 0;
    for (uint32_t part = 0; part < count; part++)
        most = parts[part] > most ? parts[part] : most;
    return most;
}

static void put_six_bits(uint8_t *bytes, const uint8_t *scales, const uint8_t *minima)
{
    for (uint32_t j = 0; j < 4; j++) {
        bytes[j] = (uint8_t)(scales[j] | scales[j + 4] >> 4 << 6);
        bytes[4 + j] = (uint8_t)(minima[j] | minima[j + 4] >> 4 << 6);
        bytes[8 + j] = (uint8_t)((scales[j + 4] & 15u) | (minima[j + 4] & 15u) << 4);
    }
}

// get_scale_min_k4
static void six_bits(const uint8_t *bytes, uint32_t part, float *scale, float *minimum)
{
    uint32_t j = part % 4, low = bytes[j], middle = bytes[4 + j], high = bytes[8 + j];
    *scale = (float)(part < 4 ? low & 63u : (high & 15u) | low >> 6 << 4);
    *minimum = (float)(part < 4 ? middle & 63u : high >> 4 | middle >> 6 << 4);
}

// What quantize_row_q4_K_ref and _q5_K_ref share: the 16 bytes of scales that a block begins with, and the codes.
static void encode_affine(const struct affine *of, const float values[256], uint8_t *block, uint8_t codes[LARGE])
{
    uint8_t scale_shares[PARTS_4], minimum_shares[PARTS_4];
    float scales[PARTS_4], minima[PARTS_4];
    for (uint32_t part = 0; part < PARTS_4; part++) {
        const float *x = values + SMALL * part;
        float squares = 0, weights[SMALL];
        for (uint32_t i = 0; i < SMALL; i++)
            squares += x[i] * x[i];
        float rms = sqrtf(squares / 32.0f);
        for (uint32_t i = 0; i < SMALL; i++)
            weights[i] = rms + magnitude(x[i]);
        scales[part] = search_affine(of, x, weights, codes + SMALL * part, &minima[part]);
    }
    float most_scale = largest_of(scales, PARTS_4), most_minimum = largest_of(minima, PARTS_4);
    six_bit_shares(scales, most_scale, scale_shares);
    six_bit_shares(minima, most_minimum, minimum_shares);
    put_half(block, most_scale / 63.0f);
    put_half(block + 2, most_minimum / 63.0f);
    put_six_bits(block + 4, scale_shares, minimum_shares);
    // The codes once more, for the scales as they are stored; a part whose scale became 0 keeps those of the search.
    for (uint32_t part = 0; part < PARTS_4; part++) {
        float scale = half_at(block) * (float)scale_shares[part];
        float minimum = half_at(block + 2) * (float)minimum_shares[part];
        for (uint32_t i = SMALL * part; scale != 0 && i < SMALL * (part + 1); i++)
            codes[i] = (uint8_t)clamp(nearest((values[i] + minimum) / scale), 0, of->most);
    }
}

void qm_ggml_q4_k_encode(const float values[256], uint8_t block[144])
{
    uint8_t codes[LARGE];
    encode_affine(&four_bits, values, block, codes);
    for (uint32_t pair = 0; pair < PARTS_4 / 2; pair++)
        put_nibbles(block + 16 + 32 * pair, codes + 64 * pair, 32);
}

void qm_ggml_q5_k_encode(const float values[256], uint8_t block[176])
{
    uint8_t codes[LARGE];
    encode_affine(&five_bits, values, block, codes);
    memset(block + 16, 0, 32);
    for (uint32_t i = 0; i < LARGE; i++) {
        block[16 + i % 32] |= (uint8_t)(codes[i] >> 4 << i / 32);
        codes[i] &= 15u;
    }
    for (uint32_t pair = 0; pair < PARTS_4 / 2; pair++)
        put_nibbles(block + 48 + 32 * pair, codes + 64 * pair, 32);
}

// What q4_k and q5_k begin with: the scale and the minimum of a part.
static void part_scale(const uint8_t *block, uint32_t part, float *scale, float *minimum)
{
    six_bits(block + 4, part, scale, minimum);
    *scale = half_at(block) * *scale;
    *minimum = half_at(block + 2) * *minimum;
}

void qm_ggml_q4_k_decode(const uint8_t block[144], float values[256])
{
    for (uint32_t part = 0; part < PARTS_4; part++) {
        float scale, minimum;
        part_scale(block, part, &scale, &minimum);
        for (uint32_t i = 0; i < SMALL; i++)
            values[SMALL * part + i] =
                scale * (float)nibble(block + 16 + part / 2 * 32, part % 2 * 32 + i, 32) - minimum;
    }
}

// dequantize_row_q5_K
void qm_ggml_q5_k_decode(const uint8_t block[176], float values[256])
{
    for (uint32_t part = 0; part < PARTS_4; part++) {
        float scale, minimum;
        part_scale(block, part, &scale, &minimum);
        for (uint32_t i = 0; i < SMALL; i++) {
            uint32_t code = nibble(block + 48 + part / 2 * 32, part % 2 * 32 + i, 32);
            code |= ((uint32_t)block[16 + i] >> part & 1u) << 4;
            values[SMALL * part + i] = scale * (float)code - minimum;
        }
    }
}

// ---- Q6_K: a signed scale for each 16 values, eight bits of it ---------------------------------------------------------

#define AS_ZERO 1e-15f // ggml's GROUP_MAX_EPS

static int32_t symmetric_code(float value, float inverse)
{
    return clamp(nearest(inverse * value), -32, 31);
}

// Sums for the scale of the least square error, in which each value weighs its own square.
static void sum_symmetric(const float *values, float inverse, float *code_value, float *square)
{
    *code_value = *square = 0;
    for (uint32_t i = 0; i < VALUES_6; i++) {
        float weight = values[i] * values[i], code = (float)symmetric_code(values[i], inverse);
        *code_value += weight * values[i] * code;
        *square += weight * code * code;
    }
}

// make_qx_quants with nmax 32, rmse_type 1 and no weights from outside. Codes are stored with 32 added; where all values
// count as zeros they are 0, without it.
static float search_symmetric(const float *values, uint8_t codes[VALUES_6])
{
    float peak = peak_of(values, VALUES_6), code_value, square;
    memset(codes, 0, VALUES_6);
    if (magnitude(peak) < AS_ZERO)
        return 0;
    float best_inverse = -32.0f / peak;
    sum_symmetric(values, best_inverse, &code_value, &square);
    float scale = square != 0 ? code_value / square : 0, best = scale * code_value;
    for (int step = -9; step <= 9; step++) {
        float inverse = -(32.0f + 0.1f * (float)step) / peak;
        if (step == 0)
            continue;
        sum_symmetric(values, inverse, &code_value, &square);
        if (square > 0 && code_value * code_value > best * square) {
            best_inverse = inverse;
            scale = code_value / square;
            best = scale * code_value;
        }
    }
    for (uint32_t i = 0; i < VALUES_6; i++)
        codes[i] = (uint8_t)(symmetric_code(values[i], best_inverse) + 32);
    return scale;
}

static void put_sixes(uint8_t *block, const uint8_t codes[LARGE])
{
    memset(block, 0, 192);
    for (uint32_t i = 0; i < LARGE; i++) {
        uint32_t half = i / 128, quarter = i / 32 % 4;
        block[half * 64 + i % 64] |= (uint8_t)((codes[i] & 15u) << (quarter / 2 * 4));
        block[128 + half * 32 + i % 32] |= (uint8_t)(codes[i] >> 4 << (quarter * 2));
    }
}

static uint32_t six_at(const uint8_t *block, uint32_t i)
{
    uint32_t half = i / 128, quarter = i / 32 % 4;
    uint32_t low = (uint32_t)block[half * 64 + i % 64] >> (quarter / 2 * 4) & 15u;
    return low | ((uint32_t)block[128 + half * 32 + i % 32] >> (quarter * 2) & 3u) << 4;
}

// quantize_row_q6_K_ref
void qm_ggml_q6_k_encode(const float values[256], uint8_t block[210])
{
    uint8_t codes[LARGE];
    float scales[PARTS_6];
    for (uint32_t part = 0; part < PARTS_6; part++)
        scales[part] = search_symmetric(values + VALUES_6 * part, codes + VALUES_6 * part);
    float peak = peak_of(scales, PARTS_6);
    if (magnitude(peak) < AS_ZERO) {
        memset(block, 0, 210);
        return;
    }
    float inverse = -128.0f / peak;
    put_half(block + 208, 1.0f / inverse);
    for (uint32_t part = 0; part < PARTS_6; part++) {
        int32_t share = nearest(inverse * scales[part]);
        block[192 + part] = (uint8_t)(share > 127 ? 127 : share);
        // The codes once more, as in q4_k.
        float scale = half_at(block + 208) * signed_byte(block[192 + part]);
        for (uint32_t i = VALUES_6 * part; scale != 0 && i < VALUES_6 * (part + 1); i++)
            codes[i] = (uint8_t)(clamp(nearest(values[i] / scale), -32, 31) + 32);
    }
    put_sixes(block, codes);
}

void qm_ggml_q6_k_decode(const uint8_t block[210], float values[256])
{
    float d = half_at(block + 208);
    for (uint32_t i = 0; i < LARGE; i++)
        values[i] = d * signed_byte(block[192 + i / VALUES_6]) * ((float)six_at(block, i) - 32.0f);
}
