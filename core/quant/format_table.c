// The table of weight formats: what each is, as data. The words are those of results and of `qmark explain`.
#include "base/minifloat.h"
#include "quant/format_codecs.h"
#include "quant/ggml_blocks.h"

#define HALF_STEP "half of the scale"
#define PER_ROW_F32 "one float32 per output row, rounded up"
#define SYMMETRIC(range) "two's complement, symmetric, " range ", round to nearest even, never clipped"
#define ASYMMETRIC(range) "unsigned with a zero point, " range ", round to nearest even, never clipped"
#define ONE_PER(n) "one float16 per " n " values of a row, rounded up"
#define PAIR_PER(n) "one float16, rounded up, and one zero point (a whole number as float16) per " n " values of a row"

#define INTEGER(name_, title_, kernel_, bits_, storage_, scales_, kind_, group_, low_, high_, asymmetric_)             \
    {                                                                                                                  \
        .info = {name_, title_, storage_, scales_, HALF_STEP, bits_, group_, false, asymmetric_, false},               \
        .kernel = kernel_, .family = &qm_family_integer, .code_dtype = bits_ == 8 ? QM_DTYPE_I8 : QM_DTYPE_U8,         \
        .code_bits = bits_, .scale = kind_, .is_integer = true, .group = group_, .low = low_, .high = high_            \
    }
#define SYMMETRIC_GROUPS(name_, title_, bits_, range_, n_, text_)                                                      \
    INTEGER(name_, title_, bits_ == 8 ? "w8g" : name_, bits_, SYMMETRIC(range_), ONE_PER(text_), QM_SCALE_F16, n_,     \
            -(1 << (bits_ - 1)) + 1, (1 << (bits_ - 1)) - 1, false)
#define ASYMMETRIC_GROUPS(name_, title_, kernel_, bits_, range_, n_, text_)                                            \
    INTEGER(name_, title_, kernel_, bits_, ASYMMETRIC(range_), PAIR_PER(text_), QM_SCALE_F16_ZERO, n_, 0,              \
            (1 << bits_) - 1, true)

#define MINIFLOAT(name_, title_, storage_, scales_, error_, bits_, kind_, group_, element_, clip_)                     \
    .info = {name_, title_, storage_, scales_, error_, bits_, group_, false, false, true}, .kernel = name_,            \
    .family = &qm_family_minifloat, .code_dtype = QM_DTYPE_U8, .code_bits = bits_, .scale = kind_, .group = group_,    \
    .minifloat = element_, .may_clip = clip_

#define E8M0_PER_32 "one E8M0 (2^(e - 127)) per 32 values of a row, 2^(floor(log2 amax) - emax), OCP MX 1.0"
#define OFP8 "round to nearest even, saturating"

static const struct qm_weight_codec codecs[QM_WEIGHT_FORMAT_COUNT] = {
    [QM_WEIGHT_F32] = {.info = {"f32", "float32", "IEEE 754 binary32", "none", "none: the weights are float32", 32, 0,
                                true, false, false},
                       .kernel = "f32",
                       .family = &qm_family_f32,
                       .code_dtype = QM_DTYPE_F32,
                       .code_bits = 32},
    [QM_WEIGHT_F16] = {.info = {"f16", "float16", "IEEE 754 binary16, round to nearest even, beyond 65504 refused",
                                "none", "2^-11 of the value, 2^-25 where that is more", 16, 0, true, false, false},
                       .kernel = "f16",
                       .family = &qm_family_f16,
                       .code_dtype = QM_DTYPE_F16,
                       .code_bits = 16},
    [QM_WEIGHT_BF16] = {.info = {"bf16", "bfloat16",
                                 "bfloat16 (8 bits of exponent, 7 of mantissa), round to nearest even", "none",
                                 "2^-8 of the value, 2^-134 where that is more", 16, 0, true, false, true},
                        .kernel = "bf16",
                        .family = &qm_family_bf16,
                        .code_dtype = QM_DTYPE_BF16,
                        .code_bits = 16},
    [QM_WEIGHT_W8] =
        INTEGER("w8", "int8", "w8", 8, SYMMETRIC("-127 to 127"), PER_ROW_F32, QM_SCALE_F32, 0, -127, 127, false),
    [QM_WEIGHT_W8G32] = SYMMETRIC_GROUPS("w8", "int8", 8, "-127 to 127", 32, "32"),
    [QM_WEIGHT_W8G64] = SYMMETRIC_GROUPS("w8", "int8", 8, "-127 to 127", 64, "64"),
    [QM_WEIGHT_W8G128] = SYMMETRIC_GROUPS("w8", "int8", 8, "-127 to 127", 128, "128"),
    [QM_WEIGHT_W4G32] = SYMMETRIC_GROUPS("w4", "int4", 4, "-7 to 7", 32, "32"),
    [QM_WEIGHT_W4G64] = SYMMETRIC_GROUPS("w4", "int4", 4, "-7 to 7", 64, "64"),
    [QM_WEIGHT_W4G128] = SYMMETRIC_GROUPS("w4", "int4", 4, "-7 to 7", 128, "128"),
    [QM_WEIGHT_W4ZG32] = ASYMMETRIC_GROUPS("w4", "uint4", "w4z", 4, "0 to 15", 32, "32"),
    [QM_WEIGHT_W4ZG64] = ASYMMETRIC_GROUPS("w4", "uint4", "w4z", 4, "0 to 15", 64, "64"),
    [QM_WEIGHT_W4ZG128] = ASYMMETRIC_GROUPS("w4", "uint4", "w4z", 4, "0 to 15", 128, "128"),
    [QM_WEIGHT_W3G32] = SYMMETRIC_GROUPS("w3", "int3", 3, "-3 to 3", 32, "32"),
    [QM_WEIGHT_W3G64] = SYMMETRIC_GROUPS("w3", "int3", 3, "-3 to 3", 64, "64"),
    [QM_WEIGHT_W3G128] = SYMMETRIC_GROUPS("w3", "int3", 3, "-3 to 3", 128, "128"),
    [QM_WEIGHT_W3ZG32] = ASYMMETRIC_GROUPS("w3", "uint3", "w3z", 3, "0 to 7", 32, "32"),
    [QM_WEIGHT_W3ZG64] = ASYMMETRIC_GROUPS("w3", "uint3", "w3z", 3, "0 to 7", 64, "64"),
    [QM_WEIGHT_W3ZG128] = ASYMMETRIC_GROUPS("w3", "uint3", "w3z", 3, "0 to 7", 128, "128"),
    [QM_WEIGHT_W2G32] = SYMMETRIC_GROUPS("w2", "int2", 2, "-1 to 1", 32, "32"),
    [QM_WEIGHT_W2G64] = SYMMETRIC_GROUPS("w2", "int2", 2, "-1 to 1", 64, "64"),
    [QM_WEIGHT_W2G128] = SYMMETRIC_GROUPS("w2", "int2", 2, "-1 to 1", 128, "128"),
    [QM_WEIGHT_W2ZG32] = ASYMMETRIC_GROUPS("w2", "uint2", "w2z", 2, "0 to 3", 32, "32"),
    [QM_WEIGHT_W2ZG64] = ASYMMETRIC_GROUPS("w2", "uint2", "w2z", 2, "0 to 3", 64, "64"),
    [QM_WEIGHT_W2ZG128] = ASYMMETRIC_GROUPS("w2", "uint2", "w2z", 2, "0 to 3", 128, "128"),
    [QM_WEIGHT_Q8_0] =
        {.info = {"q8_0", "Q8_0",
                  "ggml Q8_0: int8, ties away from zero; scale of the codes unrounded, stored as float16",
                  "one float16 per 32 values", "0.563 of the scale, half of it and 2^-18 where that is more", 8, 32,
                  false, false, false},
         .kernel = "w8g",
         .family = &qm_family_block,
         .code_dtype = QM_DTYPE_U8,
         .code_bits = 8,
         .scale = QM_SCALE_BLOCK,
         .is_integer = true,
         .may_clip = true,
         .group = 32,
         .encode = qm_ggml_q8_0_encode,
         .decode = qm_ggml_q8_0_decode,
         .block_bytes = 34,
         .device_scale_bytes = 2},
    [QM_WEIGHT_Q4_0] =
        {.info = {"q4_0", "Q4_0",
                  "ggml Q4_0: 4 bits less 8, -8 to 7, the largest magnitude becomes -8, its opposite is clipped to 7",
                  "one float16 per 32 values",
                  "1.004 of the scale, 1 and 2^-22 where that is more, by the clipped side", 4, 32, false, false,
                  false},
         .kernel = "w4",
         .family = &qm_family_block,
         .code_dtype = QM_DTYPE_U8,
         .code_bits = 4,
         .scale = QM_SCALE_BLOCK,
         .is_integer = true,
         .may_clip = true,
         .group = 32,
         .encode = qm_ggml_q4_0_encode,
         .decode = qm_ggml_q4_0_decode,
         .block_bytes = 18,
         .device_scale_bytes = 2},
    [QM_WEIGHT_Q4_1] = {.info = {"q4_1", "Q4_1", "ggml Q4_1: 4 bits, value = d q + m",
                                 "one float16 d and one float16 m, the minimum, per 32 values",
                                 "none stated: what was seen is recorded", 4, 32, false, false, false},
                        .kernel = "w4m",
                        .family = &qm_family_block,
                        .code_dtype = QM_DTYPE_U8,
                        .code_bits = 4,
                        .scale = QM_SCALE_BLOCK,
                        .is_integer = true,
                        .may_clip = true,
                        .group = 32,
                        .encode = qm_ggml_q4_1_encode,
                        .decode = qm_ggml_q4_1_decode,
                        .block_bytes = 20,
                        .device_scale_bytes = 4},
    [QM_WEIGHT_Q5_0] =
        {.info = {"q5_0", "Q5_0",
                  "ggml Q5_0: 5 bits less 16, -16 to 15, the largest magnitude becomes -16, its opposite is "
                  "clipped to 15",
                  "one float16 per 32 values",
                  "1.008 of the scale, 1 and 2^-21 where that is more, by the clipped side", 5, 32, false, false,
                  false},
         .kernel = "w8g",
         .family = &qm_family_block,
         .code_dtype = QM_DTYPE_U8,
         .code_bits = 8, // on devices
         .scale = QM_SCALE_BLOCK,
         .is_integer = true,
         .may_clip = true,
         .group = 32,
         .encode = qm_ggml_q5_0_encode,
         .decode = qm_ggml_q5_0_decode,
         .block_bytes = 22,
         .device_scale_bytes = 2},
    [QM_WEIGHT_Q4_K] = {.info = {"q4_k", "Q4_K", "ggml Q4_K: 4 bits, value = d s q - dmin m",
                                 "one float16 d and dmin per 256 values, 6 bits s and m per 32",
                                 "none stated: found by a search; what was seen is recorded", 4, 256, false, false,
                                 false},
                        .kernel = "q4_k",
                        .family = &qm_family_block,
                        .code_dtype = QM_DTYPE_U8,
                        .code_bits = 4,
                        .scale = QM_SCALE_BLOCK,
                        .is_integer = true,
                        .may_clip = true,
                        .group = 256,
                        .encode = qm_ggml_q4_k_encode,
                        .decode = qm_ggml_q4_k_decode,
                        .block_bytes = 144,
                        .device_scale_bytes = 20},
    [QM_WEIGHT_Q5_K] = {.info = {"q5_k", "Q5_K", "ggml Q5_K: 5 bits, value = d s q - dmin m",
                                 "one float16 d and dmin per 256 values, 6 bits s and m per 32",
                                 "none stated: found by a search; what was seen is recorded", 5, 256, false, false,
                                 false},
                        .kernel = "q5_k",
                        .family = &qm_family_block,
                        .code_dtype = QM_DTYPE_U8,
                        .code_bits = 5,
                        .scale = QM_SCALE_BLOCK,
                        .is_integer = true,
                        .may_clip = true,
                        .group = 256,
                        .encode = qm_ggml_q5_k_encode,
                        .decode = qm_ggml_q5_k_decode,
                        .block_bytes = 176,
                        .device_scale_bytes = 20},
    [QM_WEIGHT_Q6_K] = {.info = {"q6_k", "Q6_K", "ggml Q6_K: 6 bits less 32, value = d s q",
                                 "one float16 d per 256 values, int8 s per 16",
                                 "none stated: found by a search; what was seen is recorded", 6, 256, false, false,
                                 false},
                        .kernel = "q6_k",
                        .family = &qm_family_block,
                        .code_dtype = QM_DTYPE_U8,
                        .code_bits = 6,
                        .scale = QM_SCALE_BLOCK,
                        .is_integer = true,
                        .may_clip = true,
                        .group = 256,
                        .encode = qm_ggml_q6_k_encode,
                        .decode = qm_ggml_q6_k_decode,
                        .block_bytes = 210,
                        .device_scale_bytes = 20},
    [QM_WEIGHT_E4M3] = {MINIFLOAT("e4m3", "fp8 E4M3FN", "OCP OFP8 E4M3 (FN: no infinity, largest 448), " OFP8,
                                  PER_ROW_F32, "2^-4 of the value, 2^-10 of the scale where that is more", 8,
                                  QM_SCALE_F32, 0, QM_MINIFLOAT_E4M3FN, false)},
    [QM_WEIGHT_E5M2] = {MINIFLOAT("e5m2", "fp8 E5M2", "OCP OFP8 E5M2 (IEEE-like, largest 57344), " OFP8, PER_ROW_F32,
                                  "2^-3 of the value, 2^-17 of the scale where that is more", 8, QM_SCALE_F32, 0,
                                  QM_MINIFLOAT_E5M2, false)},
    [QM_WEIGHT_MXFP8] = {MINIFLOAT("mxfp8", "MXFP8 E4M3", "OCP MX 1.0, E4M3FN elements, " OFP8, E8M0_PER_32,
                                   "2^-4 of the value, 2^-10 of the scale where that is more; 12.5 % where clipped", 8,
                                   QM_SCALE_E8M0, 32, QM_MINIFLOAT_E4M3FN, true)},
    [QM_WEIGHT_MXFP6E2M3] = {MINIFLOAT("mxfp6e2m3", "MXFP6 E2M3", "OCP MX 1.0, E2M3 elements (largest 7.5), " OFP8,
                                       E8M0_PER_32,
                                       "2^-4 of the value, 2^-4 of the scale where that is more; 6.25 % where clipped",
                                       6, QM_SCALE_E8M0, 32, QM_MINIFLOAT_E2M3, true)},
    [QM_WEIGHT_MXFP6E3M2] = {MINIFLOAT("mxfp6e3m2", "MXFP6 E3M2", "OCP MX 1.0, E3M2 elements (largest 28), " OFP8,
                                       E8M0_PER_32,
                                       "2^-3 of the value, 2^-5 of the scale where that is more; 12.5 % where clipped",
                                       6, QM_SCALE_E8M0, 32, QM_MINIFLOAT_E3M2, true)},
    [QM_WEIGHT_MXFP4] = {MINIFLOAT("mxfp4", "MXFP4 E2M1", "OCP MX 1.0, E2M1 elements (0 .5 1 1.5 2 3 4 6), " OFP8,
                                   E8M0_PER_32,
                                   "2^-2 of the value, 2^-2 of the scale where that is more; 25 % where clipped", 4,
                                   QM_SCALE_E8M0, 32, QM_MINIFLOAT_E2M1, true),
                         .is_integer = true},
    [QM_WEIGHT_NVFP4] =
        {MINIFLOAT(
             "nvfp4", "NVFP4 E2M1", "E2M1 elements (0 .5 1 1.5 2 3 4 6), " OFP8,
             "one E4M3FN per 16 values of a row, to nearest of amax / 6 / tensor scale, and one float32 per tensor",
             "2^-2 of the value, 2^-2 of the scale where that is more; more where the scale was rounded down", 4,
             QM_SCALE_E4M3, 16, QM_MINIFLOAT_E2M1, true),
         .is_integer = true, .has_tensor_scale = true},
};

const struct qm_weight_codec *qm_weight_codec(enum qm_weight_format format)
{
    return &codecs[format];
}

bool qm_formats_multiply(enum qm_weight_format weights, enum qm_activation_format activations)
{
    const struct qm_weight_codec *codec = &codecs[weights];
    switch (activations) {
    case QM_ACTIVATION_F32:
        return weights == QM_WEIGHT_F32;
    case QM_ACTIVATION_BF16:
        return weights == QM_WEIGHT_BF16;
    case QM_ACTIVATION_F16:
        return !codec->info.is_float || weights == QM_WEIGHT_F16;
    case QM_ACTIVATION_A8:
        return codec->is_integer;
    case QM_ACTIVATION_F8:
        return codec->family == &qm_family_minifloat && codec->code_bits == 8;
    default:
        return codec->kernel[0] == 'w' && codec->code_bits == 4 && !codec->info.is_asymmetric && codec->low < 0;
    }
}

const struct qm_format_info *qm_weight_format_info(enum qm_weight_format format)
{
    return &codecs[format].info;
}
