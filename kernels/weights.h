// Decoders of weights: what a word of codes and its scale stand for. Read by product.h and dequantize.h.
//
// Codes lie in panels of 16 columns (n), packed along k in steps of 32: word (panel, w, lane) at
// (panel * words + w) * 16 + lane; a step has as many words as a code has bits. 3 bits are two planes, the low 2 bits and
// the rest, and so are 6 bits of MX, 4 and 2; 5 and 6 bits of blocks lie by eights. Where scales lie and what they are: core/quant/layout.h.
//
//   QM_DECODE_EIGHT(base, eight)   declares w0..w7: weights 8 eight .. 8 eight + 7 of a step whose first word, for the
//                                  vector's first column, is at `base`; qm_acc of QM_VW columns. Integers where products
//                                  are integer, else floats, exactly. Not scaled
//   QM_SCALES(steps, step, part)   in formats with groups (QM_WEIGHT_GROUPS): declares qm_fv `scale`, and `offset` in
//                                  those with QM_WEIGHT_OFFSET, of block `part` of QM_BLOCK_K values of the step:
//                                  weight = scale * w + offset. Uses `panel`, `column`, `v`, `scale_offset`, `weight_shift`
//   QM_WEIGHT_CHANNEL_SCALE        one float a column instead
//   QM_WEIGHT_FACTOR               a power of two that multiplies everything
#ifndef QM_WEIGHTS_H
#define QM_WEIGHTS_H

#define QM_PANEL 16u
#define QM_WORD(base, i) QM_LOAD_UV(weights, (base) + QM_UINT(i) * QM_PANEL)
#define QM_SIGNED_WORD(base, i) QM_IV_FROM_UV(QM_WORD(base, i))

#if defined(QM_INTEGER_PRODUCT)
#define qm_acc qm_iv
#define QM_CODE(x) (x)
#else
#define qm_acc qm_fv
#define QM_CODE(x) QM_FV_FROM_IV(x)
#endif
#define QM_EIGHT(get)                                                                                                  \
    qm_acc w0 = get(0), w1 = get(1), w2 = get(2), w3 = get(3), w4 = get(4), w5 = get(5), w6 = get(6), w7 = get(7);

// ---- Codes --------------------------------------------------------------------------------------------------------

// Floats of unsigned codes without a conversion, exactly: code c at bit `at` of x, put into the mantissa of 2^(23 - at), is
// 2^(23 - at) + c, of which 2^(23 - at) + offset is taken. Two operations where and-or is one; at most 23 - at bits.
#define QM_BITS_CODE(x, mask, at, offset)                                                                              \
    (QM_FV_BITS(((x) & ((mask) << (at))) | ((150u - (at)) << 23)) - QM_FV(QM_FLOAT(1u << (23u - (at))) + (offset)))
// With QM_PLACED_CODES a code stays at its place, bit `at`, where it counts 2^at as much, for which activations make up
// (QM_AT1 to QM_AT7 of eight, the first being at 0); what would be a sign is moved down. Codes are unsigned, and what is taken
// from them is the block's offset: one operation fewer a weight.
#if defined(QM_PLACED_CODES)
#define QM_PLACED(x, mask, at) QM_FV_FROM_IV(QM_IV_FROM_UV((x) & ((mask) << (at))))
#define QM_MOVED_DOWN(x, at) QM_FV_FROM_IV(QM_IV_FROM_UV((x) >> (at)))
#define QM_NIBBLE_CODES(u, offset)                                                                                     \
    qm_fv w0 = QM_PLACED(u, 15u, 0u), w1 = QM_PLACED(u, 15u, 4u), w2 = QM_PLACED(u, 15u, 8u),                          \
          w3 = QM_PLACED(u, 15u, 12u), w4 = QM_PLACED(u, 15u, 16u), w5 = QM_PLACED(u, 15u, 20u),                       \
          w6 = QM_PLACED(u, 15u, 24u), w7 = QM_MOVED_DOWN(u, 28u);
#define QM_POWER(at) (1.0f / QM_FLOAT(1u << (at)))
#define QM_PLACE_ACTIVATIONS                                                                                           \
    a1 *= QM_POWER(QM_AT1), a2 *= QM_POWER(QM_AT2), a3 *= QM_POWER(QM_AT3), a4 *= QM_POWER(QM_AT4),                    \
        a5 *= QM_POWER(QM_AT5), a6 *= QM_POWER(QM_AT6), a7 *= QM_POWER(QM_AT7);
#if !defined(QM_WEIGHT_Q5_K) && !defined(QM_WEIGHT_Q6_K)
#define QM_AT1 4u
#define QM_AT2 8u
#define QM_AT3 12u
#define QM_AT4 16u
#define QM_AT5 20u
#define QM_AT6 24u
#define QM_AT7 0u
#endif
#else
#define QM_NIBBLE_CODES(u, offset)                                                                                     \
    qm_uv upper = (u) >> 20;                                                                                          \
    qm_fv w0 = QM_BITS_CODE(u, 15u, 0u, offset), w1 = QM_BITS_CODE(u, 15u, 4u, offset),                                \
          w2 = QM_BITS_CODE(u, 15u, 8u, offset), w3 = QM_BITS_CODE(u, 15u, 12u, offset),                              \
          w4 = QM_BITS_CODE(u, 15u, 16u, offset), w5 = QM_BITS_CODE(upper, 15u, 0u, offset),                            \
          w6 = QM_BITS_CODE(upper, 15u, 4u, offset), w7 = QM_BITS_CODE(upper, 15u, 8u, offset);
#endif

#if defined(QM_WEIGHT_F32)
#define QM_CODE_WORDS 32u
#define QM_DECODE_EIGHT(base, eight)                                                                                   \
    qm_fv w0 = QM_FV_BITS(QM_WORD(base, 8 * (eight))), w1 = QM_FV_BITS(QM_WORD(base, 8 * (eight) + 1)),                \
          w2 = QM_FV_BITS(QM_WORD(base, 8 * (eight) + 2)), w3 = QM_FV_BITS(QM_WORD(base, 8 * (eight) + 3)),            \
          w4 = QM_FV_BITS(QM_WORD(base, 8 * (eight) + 4)), w5 = QM_FV_BITS(QM_WORD(base, 8 * (eight) + 5)),            \
          w6 = QM_FV_BITS(QM_WORD(base, 8 * (eight) + 6)), w7 = QM_FV_BITS(QM_WORD(base, 8 * (eight) + 7));

#elif defined(QM_WEIGHT_F16) || defined(QM_WEIGHT_BF16)
#define QM_CODE_WORDS 16u
#if defined(QM_WEIGHT_F16)
#define QM_LOW(u) qm_half_low(u)
#define QM_HIGH(u) qm_half_high(u)
#else
#define QM_LOW(u) QM_FV_BITS((u) << 16)
#define QM_HIGH(u) QM_FV_BITS((u) & 0xffff0000u)
#endif
#if defined(QM_WEIGHT_F16) && defined(QM_LOAD_HALVES)
#define QM_HALVES_WORD(base, i, low, high) QM_LOAD_HALVES(weights, (base) + QM_UINT(i) * QM_PANEL, low, high)
#define QM_DECODE_EIGHT(base, eight)                                                                                   \
    QM_HALVES_WORD(base, 4 * (eight), w0, w1)                                                                          \
    QM_HALVES_WORD(base, 4 * (eight) + 1, w2, w3)                                                                      \
    QM_HALVES_WORD(base, 4 * (eight) + 2, w4, w5)                                                                      \
    QM_HALVES_WORD(base, 4 * (eight) + 3, w6, w7)
#else
#define QM_DECODE_EIGHT(base, eight)                                                                                   \
    qm_uv u0 = QM_WORD(base, 4 * (eight)), u1 = QM_WORD(base, 4 * (eight) + 1), u2 = QM_WORD(base, 4 * (eight) + 2),   \
          u3 = QM_WORD(base, 4 * (eight) + 3);                                                                         \
    qm_fv w0 = QM_LOW(u0), w1 = QM_HIGH(u0), w2 = QM_LOW(u1), w3 = QM_HIGH(u1), w4 = QM_LOW(u2), w5 = QM_HIGH(u2),     \
          w6 = QM_LOW(u3), w7 = QM_HIGH(u3);
#endif

#elif defined(QM_WEIGHT_W8) || defined(QM_WEIGHT_W8G)
#define QM_CODE_WORDS 8u
#if !defined(QM_INTEGER_PRODUCT)
// Signed codes are moved by 128.
#define QM_DECODE_EIGHT(base, eight)                                                                                   \
    qm_uv u0 = QM_WORD(base, 2 * (eight)) ^ 0x80808080u, u1 = QM_WORD(base, 2 * (eight) + 1) ^ 0x80808080u;            \
    qm_uv high0 = u0 >> 16, high1 = u1 >> 16;                                                                          \
    qm_fv w0 = QM_BITS_CODE(u0, 255u, 0u, 128.0f), w1 = QM_BITS_CODE(u0, 255u, 8u, 128.0f),                            \
          w2 = QM_BITS_CODE(high0, 255u, 0u, 128.0f), w3 = QM_BITS_CODE(high0, 255u, 8u, 128.0f),                      \
          w4 = QM_BITS_CODE(u1, 255u, 0u, 128.0f), w5 = QM_BITS_CODE(u1, 255u, 8u, 128.0f),                            \
          w6 = QM_BITS_CODE(high1, 255u, 0u, 128.0f), w7 = QM_BITS_CODE(high1, 255u, 8u, 128.0f);
#else
#define QM_DECODE_EIGHT(base, eight)                                                                                   \
    qm_iv u0 = QM_SIGNED_WORD(base, 2 * (eight)), u1 = QM_SIGNED_WORD(base, 2 * (eight) + 1);                          \
    qm_acc w0 = QM_CODE((u0 << 24) >> 24), w1 = QM_CODE((u0 << 16) >> 24), w2 = QM_CODE((u0 << 8) >> 24),              \
           w3 = QM_CODE(u0 >> 24), w4 = QM_CODE((u1 << 24) >> 24), w5 = QM_CODE((u1 << 16) >> 24),                     \
           w6 = QM_CODE((u1 << 8) >> 24), w7 = QM_CODE(u1 >> 24);
#endif

#elif defined(QM_WEIGHT_W4)
#define QM_CODE_WORDS 4u
#if !defined(QM_INTEGER_PRODUCT)
// Signed codes are moved by 8.
#define QM_DECODE_EIGHT(base, eight)                                                                                   \
    qm_uv u0 = QM_WORD(base, eight) ^ 0x88888888u;                                                                     \
    QM_NIBBLE_CODES(u0, 8.0f)
#else
#define QM_DECODE_EIGHT(base, eight)                                                                                   \
    qm_iv u0 = QM_SIGNED_WORD(base, eight);                                                                            \
    qm_acc w0 = QM_CODE((u0 << 28) >> 28), w1 = QM_CODE((u0 << 24) >> 28), w2 = QM_CODE((u0 << 20) >> 28),             \
           w3 = QM_CODE((u0 << 16) >> 28), w4 = QM_CODE((u0 << 12) >> 28), w5 = QM_CODE((u0 << 8) >> 28),              \
           w6 = QM_CODE((u0 << 4) >> 28), w7 = QM_CODE(u0 >> 28);
#endif

#elif defined(QM_WEIGHT_W4Z) || defined(QM_WEIGHT_W4M) || defined(QM_WEIGHT_Q4_K)
#define QM_CODE_WORDS 4u
#if !defined(QM_INTEGER_PRODUCT)
#define QM_DECODE_EIGHT(base, eight)                                                                                   \
    qm_uv u0 = QM_WORD(base, eight);                                                                                   \
    QM_NIBBLE_CODES(u0, 0.0f)
#else
#define QM_NIBBLE(j) QM_CODE((u0 >> (4 * (j))) & 15)
#define QM_DECODE_EIGHT(base, eight)                                                                                   \
    qm_iv u0 = QM_SIGNED_WORD(base, eight);                                                                            \
    QM_EIGHT(QM_NIBBLE)
#endif

#elif defined(QM_WEIGHT_W3) || defined(QM_WEIGHT_W3Z)
#define QM_CODE_WORDS 3u
#if defined(QM_WEIGHT_W3)
#define QM_THREE(j) QM_CODE(((u0 >> (2 * (j))) & 3) - (((u1 >> (j)) & 1) << 2))
#else
#define QM_THREE(j) QM_CODE(((u0 >> (2 * (j))) & 3) + (((u1 >> (j)) & 1) << 2))
#endif
#define QM_DECODE_EIGHT(base, eight)                                                                                   \
    qm_iv u0 = QM_SIGNED_WORD(base, (eight) / 2) >> (16 * ((eight) % 2)), u1 = QM_SIGNED_WORD(base, 2) >> (8 * (eight)); \
    QM_EIGHT(QM_THREE)

#elif defined(QM_WEIGHT_W2) || defined(QM_WEIGHT_W2Z)
#define QM_CODE_WORDS 2u
#if defined(QM_WEIGHT_W2)
#define QM_TWO(j) QM_CODE((u0 << (30 - 2 * (j))) >> 30)
#else
#define QM_TWO(j) QM_CODE((u0 >> (2 * (j))) & 3)
#endif
#define QM_DECODE_EIGHT(base, eight)                                                                                   \
    qm_iv u0 = QM_SIGNED_WORD(base, (eight) / 2) >> (16 * ((eight) % 2));                                              \
    QM_EIGHT(QM_TWO)

// Eight codes of 5 bits: word `eight` has six, at bits 0, 5, 10, 15, 22 and 27, and the upper two bits of the last code at
// 20; byte `eight` of the fifth word has the seventh code and the last one's lower three. Of 6 bits: five codes at 0, 6, 12,
// 20 and 26 and the upper two bits of the last at 18; half a word for each eight has two codes and the last one's lower
// four. So the parts of the last code meet by an or, and all others are taken as nibbles are.
#elif defined(QM_WEIGHT_Q5_K)
#define QM_CODE_WORDS 5u
#define QM_LOAD_EIGHT(base, eight)                                                                                     \
    qm_uv u0 = QM_WORD(base, eight), u1 = QM_WORD(base, 4);                                                            \
    u1 = (u1 >> (8 * (eight))) << 12;                                                                                  \
    qm_uv last = (u0 & (3u << 20)) | (u1 & (7u << 17));
#if defined(QM_INTEGER_PRODUCT)
#define QM_FIVE(x, at) QM_IV_FROM_UV(((x) >> (at)) & 31u)
#define QM_DECODE_EIGHT(base, eight)                                                                                   \
    QM_LOAD_EIGHT(base, eight)                                                                                         \
    qm_iv w0 = QM_FIVE(u0, 0), w1 = QM_FIVE(u0, 5), w2 = QM_FIVE(u0, 10), w3 = QM_FIVE(u0, 15), w4 = QM_FIVE(u0, 22),  \
          w5 = QM_FIVE(u0, 27), w6 = QM_FIVE(u1, 12), w7 = QM_FIVE(last, 17);
#elif defined(QM_PLACED_CODES)
#define QM_DECODE_EIGHT(base, eight)                                                                                   \
    QM_LOAD_EIGHT(base, eight)                                                                                         \
    qm_fv w0 = QM_PLACED(u0, 31u, 0u), w1 = QM_PLACED(u0, 31u, 5u), w2 = QM_PLACED(u0, 31u, 10u),                      \
          w3 = QM_PLACED(u0, 31u, 15u), w4 = QM_PLACED(u0, 31u, 22u), w5 = QM_MOVED_DOWN(u0, 27u),                     \
          w6 = QM_PLACED(u1, 31u, 12u), w7 = QM_FV_FROM_IV(QM_IV_FROM_UV(last));
#define QM_AT1 5u
#define QM_AT2 10u
#define QM_AT3 15u
#define QM_AT4 22u
#define QM_AT5 0u
#define QM_AT6 12u
#define QM_AT7 17u
#else
#define QM_DECODE_EIGHT(base, eight)                                                                                   \
    QM_LOAD_EIGHT(base, eight)                                                                                         \
    qm_uv upper = u0 >> 22;                                                                                            \
    qm_fv w0 = QM_BITS_CODE(u0, 31u, 0u, 0.0f), w1 = QM_BITS_CODE(u0, 31u, 5u, 0.0f),                                  \
          w2 = QM_BITS_CODE(u0, 31u, 10u, 0.0f), w3 = QM_BITS_CODE(u0, 31u, 15u, 0.0f),                                \
          w4 = QM_BITS_CODE(upper, 31u, 0u, 0.0f), w5 = QM_BITS_CODE(upper, 31u, 5u, 0.0f),                            \
          w6 = QM_BITS_CODE(u1, 31u, 12u, 0.0f), w7 = QM_BITS_CODE(last, 31u, 17u, 0.0f);
#endif

#elif defined(QM_WEIGHT_Q6_K)
// 32 more than the code, as in the file.
#define QM_CODE_WORDS 6u
#define QM_LOAD_EIGHT(base, eight)                                                                                     \
    qm_uv u0 = QM_WORD(base, eight), u1 = QM_WORD(base, 4 + (eight) / 2);                                              \
    u1 = (u1 >> (16 * ((eight) % 2))) << 2;                                                                            \
    qm_uv last = (u0 & (3u << 18)) | (u1 & (15u << 14));
#if defined(QM_INTEGER_PRODUCT)
#define QM_SIX(x, at) QM_IV_FROM_UV(((x) >> (at)) & 63u) - 32
#define QM_DECODE_EIGHT(base, eight)                                                                                   \
    QM_LOAD_EIGHT(base, eight)                                                                                         \
    qm_iv w0 = QM_SIX(u0, 0), w1 = QM_SIX(u0, 6), w2 = QM_SIX(u0, 12), w3 = QM_SIX(u0, 20), w4 = QM_SIX(u0, 26),       \
          w5 = QM_SIX(u1, 2), w6 = QM_SIX(u1, 8), w7 = QM_SIX(last, 14);
#elif defined(QM_PLACED_CODES)
#define QM_DECODE_EIGHT(base, eight)                                                                                   \
    QM_LOAD_EIGHT(base, eight)                                                                                         \
    qm_fv w0 = QM_PLACED(u0, 63u, 0u), w1 = QM_PLACED(u0, 63u, 6u), w2 = QM_PLACED(u0, 63u, 12u),                      \
          w3 = QM_PLACED(u0, 63u, 20u), w4 = QM_MOVED_DOWN(u0, 26u), w5 = QM_PLACED(u1, 63u, 2u),                      \
          w6 = QM_PLACED(u1, 63u, 8u), w7 = QM_FV_FROM_IV(QM_IV_FROM_UV(last));
#define QM_AT1 6u
#define QM_AT2 12u
#define QM_AT3 20u
#define QM_AT4 0u
#define QM_AT5 2u
#define QM_AT6 8u
#define QM_AT7 14u
#else
#define QM_DECODE_EIGHT(base, eight)                                                                                   \
    QM_LOAD_EIGHT(base, eight)                                                                                         \
    qm_uv upper = u0 >> 20;                                                                                            \
    qm_fv w0 = QM_BITS_CODE(u0, 63u, 0u, 32.0f), w1 = QM_BITS_CODE(u0, 63u, 6u, 32.0f),                                \
          w2 = QM_BITS_CODE(u0, 63u, 12u, 32.0f), w3 = QM_BITS_CODE(upper, 63u, 0u, 32.0f),                            \
          w4 = QM_BITS_CODE(upper, 63u, 6u, 32.0f), w5 = QM_BITS_CODE(u1, 63u, 2u, 32.0f),                             \
          w6 = QM_BITS_CODE(u1, 63u, 8u, 32.0f), w7 = QM_BITS_CODE(last, 63u, 14u, 32.0f);
#endif

#elif defined(QM_WEIGHT_E4M3) || defined(QM_WEIGHT_E5M2) || defined(QM_WEIGHT_MXFP8)
#define QM_CODE_WORDS 8u
#if defined(QM_WEIGHT_E5M2)
#define QM_FLOAT8(x) qm_small(((x) >> 3) & 0x0fe00000u, (x) & 0x80000000u, QM_HALF_OFFSET, QM_HALF_LEAST)
#else
#define QM_FLOAT8(x) QM_E4M3_OF(qm_small, x)
#endif
#define QM_DECODE_EIGHT(base, eight)                                                                                   \
    qm_uv u0 = QM_WORD(base, 2 * (eight)), u1 = QM_WORD(base, 2 * (eight) + 1);                                        \
    qm_fv w0 = QM_FLOAT8(u0 << 24), w1 = QM_FLOAT8(u0 << 16), w2 = QM_FLOAT8(u0 << 8), w3 = QM_FLOAT8(u0),             \
          w4 = QM_FLOAT8(u1 << 24), w5 = QM_FLOAT8(u1 << 16), w6 = QM_FLOAT8(u1 << 8), w7 = QM_FLOAT8(u1);

#elif defined(QM_WEIGHT_MXFP6E2M3) || defined(QM_WEIGHT_MXFP6E3M2)
// Low four bits and high two; the sign is the higher of those.
#define QM_CODE_WORDS 6u
#if defined(QM_WEIGHT_MXFP6E2M3)
#define QM_FLOAT6(low, high)                                                                                           \
    qm_small(((low) << 20) | (((high) & 1u) << 24), ((high) << 30) & 0x80000000u, 0x3f000000u, 1.0f)
#else
#define QM_FLOAT6(low, high)                                                                                           \
    qm_small(((low) << 21) | (((high) & 1u) << 25), ((high) << 30) & 0x80000000u, 0x3e000000u, 0.25f)
#endif
#define QM_FLOAT6_AT(j) QM_FLOAT6((u0 >> (4 * (j))) & 15u, u1 >> (2 * (j)))
#define QM_DECODE_EIGHT(base, eight)                                                                                   \
    qm_uv u0 = QM_WORD(base, eight), u1 = QM_WORD(base, 4 + (eight) / 2) >> (16 * ((eight) % 2));                      \
    QM_EIGHT(QM_FLOAT6_AT)

#elif defined(QM_WEIGHT_MXFP4) || defined(QM_WEIGHT_NVFP4)
// Twice the number: 0 1 2 3 4 6 8 12, from a table of nibbles. The factor 1/2 is applied at the end.
#define QM_CODE_WORDS 4u
#define QM_WEIGHT_FACTOR 0.5f
#define QM_FP4_SIGN(j) ((u0 << (28 - 4 * (j))) >> 31)
#define QM_FP4_TWICE(j) QM_IV_FROM_UV((QM_UV(0xc8643210u) >> (QM_UV_FROM_IV(u0 >> (4 * (j))) & 7u) * 4u) & 15u)
#define QM_FP4(j) QM_CODE((QM_FP4_TWICE(j) ^ QM_FP4_SIGN(j)) - QM_FP4_SIGN(j))
#define QM_DECODE_EIGHT(base, eight)                                                                                   \
    qm_iv u0 = QM_SIGNED_WORD(base, eight);                                                                            \
    QM_EIGHT(QM_FP4)
#endif

#ifndef QM_WEIGHT_FACTOR
#define QM_WEIGHT_FACTOR 1.0f
#endif

// ---- Scales -------------------------------------------------------------------------------------------------------

#define QM_BLOCK_K 32
#define QM_SCALE_WORD(words, w) QM_LOAD_UV(weights, scale_offset + (panel * (words) + (w)) * QM_PANEL + column % QM_PANEL + QM_UINT(v * QM_VW))

#if defined(QM_WEIGHT_W8) || defined(QM_WEIGHT_E4M3) || defined(QM_WEIGHT_E5M2)
#define QM_WEIGHT_CHANNEL_SCALE

#elif defined(QM_WEIGHT_W8G) || defined(QM_WEIGHT_W4) || defined(QM_WEIGHT_W3) || defined(QM_WEIGHT_W2)
#define QM_WEIGHT_GROUPS
#if defined(QM_PLACED_CODES)
#define QM_WEIGHT_OFFSET
#define QM_SCALES(steps, step, part)                                                                                   \
    uint group = (step) >> weight_shift;                                                                               \
    qm_uv pair = QM_SCALE_WORD((((steps) >> weight_shift) + 1u) / 2u, group / 2u);                                     \
    qm_fv scale = qm_half_low(pair >> (16u * (group & 1u))), offset = scale * -8.0f;
#else
#define QM_SCALES(steps, step, part)                                                                                   \
    uint group = (step) >> weight_shift;                                                                               \
    qm_uv pair = QM_SCALE_WORD((((steps) >> weight_shift) + 1u) / 2u, group / 2u);                                     \
    qm_fv scale = qm_half_low(pair >> (16u * (group & 1u)));
#endif

#elif defined(QM_WEIGHT_W4Z) || defined(QM_WEIGHT_W3Z) || defined(QM_WEIGHT_W2Z)
#define QM_WEIGHT_GROUPS
#define QM_WEIGHT_OFFSET
#define QM_SCALES(steps, step, part)                                                                                   \
    qm_uv pair = QM_SCALE_WORD((steps) >> weight_shift, (step) >> weight_shift);                                       \
    qm_fv scale = qm_half_low(pair), offset = -(scale * qm_half_high(pair));

#elif defined(QM_WEIGHT_W4M)
#define QM_WEIGHT_GROUPS
#define QM_WEIGHT_OFFSET
#define QM_SCALES(steps, step, part)                                                                                   \
    qm_uv pair = QM_SCALE_WORD(steps, step);                                                                           \
    qm_fv scale = qm_half_low(pair), offset = qm_half_high(pair);

#elif defined(QM_WEIGHT_Q4_K) || defined(QM_WEIGHT_Q5_K)
// 5 words for 8 steps: d and dmin, then for each step a byte of its scale and one of its minimum, of 6 bits.
#define QM_WEIGHT_GROUPS
#define QM_WEIGHT_OFFSET
#define QM_SCALES(steps, step, part)                                                                                   \
    uint first_word = (step) / 8u * 5u;                                                                                \
    qm_uv both = QM_SCALE_WORD((steps) / 8u * 5u, first_word);                                                         \
    qm_uv pair = QM_SCALE_WORD((steps) / 8u * 5u, first_word + 1u + ((step) & 7u) / 2u) >> (16u * ((step) & 1u));      \
    qm_fv scale = qm_half_low(both) * QM_FV_FROM_IV(QM_IV_FROM_UV(pair & 255u)),                                       \
          offset = qm_half_high(both) * -QM_FV_FROM_IV(QM_IV_FROM_UV((pair >> 8) & 255u));

#elif defined(QM_WEIGHT_Q6_K)
// 5 words for 8 steps: d and 2 bytes of zero, an int8 for each 16 values.
#undef QM_BLOCK_K
#define QM_BLOCK_K 16
#define QM_WEIGHT_GROUPS
#define QM_SCALE_OF_SIXTEEN(steps, step, part)                                                                         \
    uint first_word = (step) / 8u * 5u;                                                                                \
    qm_uv d = QM_SCALE_WORD((steps) / 8u * 5u, first_word);                                                            \
    qm_uv four = QM_SCALE_WORD((steps) / 8u * 5u, first_word + 1u + ((step) & 7u) / 2u);                               \
    qm_iv byte = QM_IV_FROM_UV(four << (24u - 8u * (2u * ((step) & 1u) + QM_UINT(part)))) >> 24;                       \
    qm_fv scale = qm_half_low(d) * QM_FV_FROM_IV(byte);
#if defined(QM_PLACED_CODES)
#define QM_WEIGHT_OFFSET
#define QM_SCALES(steps, step, part)                                                                                   \
    QM_SCALE_OF_SIXTEEN(steps, step, part)                                                                             \
    qm_fv offset = scale * -32.0f;
#else
#define QM_SCALES(steps, step, part) QM_SCALE_OF_SIXTEEN(steps, step, part)
#endif

#elif defined(QM_WEIGHT_NVFP4)
#undef QM_BLOCK_K
#define QM_BLOCK_K 16
#define QM_WEIGHT_GROUPS
#define QM_SCALES(steps, step, part)                                                                                   \
    uint index = (step) * 2u + QM_UINT(part);                                                                          \
    qm_uv bytes = QM_SCALE_WORD(((steps) + 1u) / 2u, index / 4u) << (24u - 8u * (index & 3u));                         \
    qm_fv scale = QM_E4M3_OF(qm_small, bytes);

#elif defined(QM_WEIGHT_MXFP8) || defined(QM_WEIGHT_MXFP6E2M3) || defined(QM_WEIGHT_MXFP6E3M2) || defined(QM_WEIGHT_MXFP4)
#define QM_WEIGHT_GROUPS
#define QM_SCALES(steps, step, part)                                                                                   \
    qm_fv scale = QM_FV_BITS(((QM_SCALE_WORD(((steps) + 3u) / 4u, (step) / 4u) >> (8u * ((step) & 3u))) & 255u) << 23);
#endif

#endif
