// kv_write: puts the keys or the values of new tokens into the cache, in the cache's format.
//
// f32 as it is; f16 to nearest even; kv8: scale = amax * (1/127, rounded up by 2^-22), code = round_even(x / scale) in
// -127..127, four to a word; kv4: 1/7 and -7..7, eight to a word (two's complement, lowest first). amax over the 64
// values of one token and head; amax < 2^-100 gives scale 0. Same bits on every device for the same input; |x - scale *
// code| <= scale * (0.5 + 2^-14). One invocation per (row, head). Positions as in embedding.h. See kv_format.h.
#include "kv_format.h"
#include "quantize.h"
#ifndef QM_BODY
#define QM_BUFFERS                                                                                                     \
    QM_IN(0, float, x)                                                                                                 \
    QM_OUT(1, uint, cache)
#define QM_PARAMETERS                                                                                                  \
    QM_U32(rows)                                                                                                       \
    QM_U32(kv_heads)                                                                                                   \
    QM_U32(tokens_per_sequence)                                                                                        \
    QM_U32(context)                                                                                                    \
    QM_U32(base)                                                                                                       \
    QM_U32(scale_base)
#define QM_LOCALS
#else
    uint item = QM_GROUP_X * QM_UINT(QM_WORKGROUP_X) + QM_LOCAL_X;
    if (item < rows * kv_heads) {
        uint row = item / kv_heads, head = item % kv_heads;
        uint sequence = step_sequence + row / tokens_per_sequence;
        uint position = step_position + row % tokens_per_sequence;
        uint slot = (sequence * kv_heads + head) * context + position;
        uint from = item * 64u, to = base + slot * QM_KV_WORDS;
#if defined(QM_KV_F32)
        for (uint i = 0u; i < 64u; ++i)
            cache[to + i] = QM_FLOAT_BITS(x[from + i]);
#elif defined(QM_KV_F16)
        for (uint i = 0u; i < 32u; ++i)
            cache[to + i] = qm_half_bits(x[from + 2u * i]) | (qm_half_bits(x[from + 2u * i + 1u]) << 16);
#else
        float amax = 0.0f;
        for (uint i = 0u; i < 64u; ++i)
            amax = QM_MAX(amax, QM_ABS(x[from + i]));
#if defined(QM_KV_KV8)
        float scale = qm_scale_of(amax, QM_INVERSE_127);
#else
        float scale = qm_scale_of(amax, QM_INVERSE_7);
#endif
        float inverse = qm_inverse_scale(scale);
        cache[scale_base + slot] = QM_FLOAT_BITS(scale);
        for (uint i = 0u; i < QM_KV_WORDS; ++i) {
            uint word = 0u;
#if defined(QM_KV_KV8)
            for (uint j = 0u; j < 4u; ++j)
                word |= (qm_integer_code(x[from + 4u * i + j], inverse, 127.0f) & 0xffu) << (8u * j);
#else
            for (uint j = 0u; j < 8u; ++j)
                word |= (qm_integer_code(x[from + 8u * i + j], inverse, 7.0f) & 0xfu) << (4u * j);
#endif
            cache[to + i] = word;
        }
#endif
    }
#endif
