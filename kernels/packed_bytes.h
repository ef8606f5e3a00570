// Weights of integer formats as four signed bytes a word, along k, as int8 activations lie in memory; for products of whole
// words (packed_dot.h) and for local memory.
//
//   QM_PACKED_EIGHT(base, eight)   declares qm_uv p0, p1: weights 8 eight .. 8 eight + 7 of a step, of QM_VW columns, as
//                                  QM_DECODE_EIGHT of weights.h gives them one by one
#ifndef QM_PACKED_BYTES_H
#define QM_PACKED_BYTES_H
#if defined(QM_PACKED_DOT)
#include "packed_dot.h"
#endif
#if defined(QM_INTEGER_PRODUCT)
// Bytes of four nibbles, which lie in the low 16 bits of each word: unsigned, and signed.
#define QM_SPREAD_NIBBLES(x) ((((x) & 0x000fu) | (((x) & 0x00f0u) << 4)) | ((((x) & 0x0f00u) << 8) | (((x) & 0xf000u) << 12)))
#define QM_SIGN_NIBBLES(x) ((x) | (((x) & 0x08080808u) * 30u))
#if defined(QM_WEIGHT_W8) || defined(QM_WEIGHT_W8G)
#define QM_PACKED_EIGHT(base, eight) qm_uv p0 = QM_WORD(base, 2 * (eight)), p1 = QM_WORD(base, 2 * (eight) + 1);
#elif defined(QM_WEIGHT_W4)
#define QM_PACKED_EIGHT(base, eight)                                                                                   \
    qm_uv u = QM_WORD(base, eight), low = QM_SPREAD_NIBBLES(u), high = QM_SPREAD_NIBBLES(u >> 16);                     \
    qm_uv p0 = QM_SIGN_NIBBLES(low), p1 = QM_SIGN_NIBBLES(high);
#elif defined(QM_WEIGHT_W4Z) || defined(QM_WEIGHT_W4M) || defined(QM_WEIGHT_Q4_K)
#define QM_PACKED_EIGHT(base, eight)                                                                                   \
    qm_uv u = QM_WORD(base, eight), p0 = QM_SPREAD_NIBBLES(u), p1 = QM_SPREAD_NIBBLES(u >> 16);
#else
#define QM_PACK(a, b, c, d)                                                                                            \
    (QM_UV_FROM_IV((a) & 255) | (QM_UV_FROM_IV((b) & 255) << 8)) |                                                     \
        ((QM_UV_FROM_IV((c) & 255) << 16) | (QM_UV_FROM_IV(d) << 24))
#define QM_PACKED_EIGHT(base, eight)                                                                                   \
    QM_DECODE_EIGHT(base, eight)                                                                                       \
    qm_uv p0 = QM_PACK(w0, w1, w2, w3), p1 = QM_PACK(w4, w5, w6, w7);
#endif
#endif
#endif
