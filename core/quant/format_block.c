// ggml's blocks: codes and scales together, in ggml's bytes. See ggml_blocks.h, and layout.h for what devices get.
#include "base/numeric.h"
#include "quant/format_codecs.h"

#include <string.h>

static enum qm_weight_format format_of(const struct qm_weight_codec *codec)
{
    static const enum qm_weight_format blocks[] = {QM_WEIGHT_Q8_0, QM_WEIGHT_Q4_0, QM_WEIGHT_Q4_1,
                                                   QM_WEIGHT_Q5_0, QM_WEIGHT_Q4_K, QM_WEIGHT_Q5_K};
    for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++)
        if (qm_weight_codec(blocks[i]) == codec)
            return blocks[i];
    return QM_WEIGHT_Q6_K;
}

static bool is_finite_half(const uint8_t *at)
{
    uint16_t half;
    memcpy(&half, at, sizeof(half));
    return (half & 0x7c00u) != 0x7c00u;
}

static bool is_block(const struct qm_weight_codec *codec, const uint8_t *block)
{
    switch (format_of(codec)) {
    case QM_WEIGHT_Q4_1:
    case QM_WEIGHT_Q4_K:
    case QM_WEIGHT_Q5_K:
        return is_finite_half(block) && is_finite_half(block + 2);
    case QM_WEIGHT_Q6_K:
        return is_finite_half(block + 208);
    default:
        return is_finite_half(block);
    }
}

// In a block of q6_k with a larger value the search's sums, cubes of values, may overflow, and what overflows counts for
// nothing. Nothing is refused for it that has a finite d, which ends below 2^30.
#define Q6_K_LARGEST 0x1p36f

// What ggml would write with a scale that is infinite, or lose, is refused.
static enum qm_status encode_block(const struct qm_weight_codec *codec, const float *values, uint8_t *block)
{
    codec->encode(values, block);
    float amax = qm_absolute_max(values, codec->group);
    if (!is_block(codec, block) || (format_of(codec) == QM_WEIGHT_Q6_K && amax > Q6_K_LARGEST))
        return QM_FAIL(QM_INVALID, "values up to %g are beyond the float16 scale of %s; use scheme w8a16 or f32",
                       (double)amax, codec->info.title);
    return QM_OK;
}

// d and dmin as they are; then for each 32 values the 6-bit scale and minimum, a byte each. Block: scales 0 to 3 and minima 0
// to 3 in the low bits of bytes 4 to 7 and 8 to 11, those of 4 to 7 in the nibbles of bytes 12 to 15, their upper two bits
// at the top of bytes 4 to 11.
static void unpack_scales(const uint8_t *block, uint8_t *scales)
{
    const uint8_t *low = block + 4, *minima = block + 8, *nibbles = block + 12;
    memcpy(scales, block, 4);
    for (uint32_t i = 0; i < 4; i++) {
        uint8_t *to = scales + 4 + 2 * (size_t)i, *later = to + 8;
        to[0] = low[i] & 63;
        to[1] = minima[i] & 63;
        later[0] = (uint8_t)((nibbles[i] & 15) | low[i] >> 6 << 4);
        later[1] = (uint8_t)(nibbles[i] >> 4 | minima[i] >> 6 << 4);
    }
}

// Where ggml keeps value i: Q4_0 and Q4_1 have i and i + 16 in one byte, and so has Q5_0, but for the fifth bits; Q4_K i and
// i + 32 of each 64, and so does Q5_K, but for the fifth bits, of which one byte has those of all i % 32; Q6_K has i, i + 32,
// i + 64 and i + 96 of each 128 in two bytes of low bits and one of high ones.
static void unpack_block(const struct qm_weight_codec *codec, const uint8_t *block, uint8_t *codes, uint8_t *scales)
{
    memset(codes, 0, (size_t)codec->group * codec->code_bits / 8);
    memset(scales, 0, codec->device_scale_bytes);
    switch (format_of(codec)) {
    case QM_WEIGHT_Q8_0:
        memcpy(scales, block, 2);
        memcpy(codes, block + 2, 32);
        break;
    case QM_WEIGHT_Q4_0:
        memcpy(scales, block, 2);
        for (uint32_t i = 0; i < 32; i++) // less 8 is the top bit turned
            qm_stream_put(codes, 4, i, ((uint32_t)block[2 + i % 16] >> (i / 16 * 4) & 15u) ^ 8u);
        break;
    case QM_WEIGHT_Q4_1:
        memcpy(scales, block, 4);
        for (uint32_t i = 0; i < 32; i++)
            qm_stream_put(codes, 4, i, (uint32_t)block[4 + i % 16] >> (i / 16 * 4) & 15u);
        break;
    case QM_WEIGHT_Q5_0: // as int8, for which there are kernels
        memcpy(scales, block, 2);
        for (uint32_t i = 0; i < 32; i++) {
            uint32_t low = (uint32_t)block[6 + i % 16] >> (i / 16 * 4) & 15u;
            codes[i] = (uint8_t)((low | ((uint32_t)block[2 + i / 8] >> i % 8 & 1u) << 4) - 16u);
        }
        break;
    case QM_WEIGHT_Q4_K:
        unpack_scales(block, scales);
        for (uint32_t i = 0; i < 256; i++)
            qm_stream_put(codes, 4, i, (uint32_t)block[16 + i / 64 * 32 + i % 32] >> (i / 32 % 2 * 4) & 15u);
        break;
    case QM_WEIGHT_Q5_K:
        unpack_scales(block, scales);
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t low = (uint32_t)block[48 + i / 64 * 32 + i % 32] >> (i / 32 % 2 * 4) & 15u;
            qm_stream_put(codes, 5, i, low | ((uint32_t)block[16 + i % 32] >> i / 32 & 1u) << 4);
        }
        break;
    default:
        memcpy(scales, block + 208, 2);
        memcpy(scales + 4, block + 192, 16);
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t half = i / 128, quarter = i / 32 % 4, at = i % 32;
            uint32_t low = (uint32_t)block[half * 64 + quarter % 2 * 32 + at] >> (quarter / 2 * 4) & 15u;
            uint32_t high = (uint32_t)block[128 + half * 32 + at] >> (quarter * 2) & 3u;
            qm_stream_put(codes, 6, i, low | high << 4);
        }
    }
}

const struct qm_codec_family qm_family_block = {NULL, NULL, NULL, NULL, encode_block, is_block, unpack_block};
