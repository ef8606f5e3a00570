// Formats of the KV cache: QM_HEAD values of one token and head.
//
// cache is one buffer of words per layer; codes of (sequence, head, position) begin at
// base + ((sequence * kv_heads + head) * context + position) * QM_KV_WORDS. Scales are words of their own:
//   kv8, kv4       one float per token and head, at scale_base + (sequence * kv_heads + head) * context + position
//   e4m3, e5m2     none: one scale for all keys and one for all values of a layer, parameters of the kernels
//   kivi4, kivi2   value = minimum + scale * code; a word holds scale (low half) and minimum (high half) in binary16.
//                  Values: one word per token and head, as above. Keys: one word per channel and block of 32 tokens, at
//                  scale_base + ((sequence * kv_heads + head) * ceil(context / 32) + block) * QM_HEAD + channel
//
// Variants with QM_KV_EXACT also have binary16 of the tokens with position < exact_length, two to a word, at
// exact_base + ((sequence * kv_heads + head) * exact_length + position) * QM_HEAD / 2.
#include "head.h"
#ifndef QM_KV_FORMAT_H
#define QM_KV_FORMAT_H
#define QM_KV_BLOCK 32u
#if defined(QM_KV_F32)
#define QM_KV_BITS 32
#elif defined(QM_KV_F16)
#define QM_KV_BITS 16
#elif defined(QM_KV_KV8)
#define QM_KV_BITS 8
#define QM_KV_SCALED
#define QM_KV_INVERSE_LARGEST QM_INVERSE_127
#elif defined(QM_KV_E4M3) || defined(QM_KV_E5M2)
#define QM_KV_BITS 8
#define QM_KV_FLOAT8
#elif defined(QM_KV_KIVI4)
#define QM_KV_BITS 4
#define QM_KV_AFFINE
#define QM_KV_LARGEST 15.0f
#define QM_KV_INVERSE_LARGEST QM_INVERSE_15
#elif defined(QM_KV_KIVI2)
#define QM_KV_BITS 2
#define QM_KV_AFFINE
#define QM_KV_LARGEST 3.0f
#define QM_KV_INVERSE_LARGEST QM_INVERSE_3
#else
#define QM_KV_BITS 4
#define QM_KV_SCALED
#define QM_KV_INVERSE_LARGEST QM_INVERSE_7
#endif
#define QM_KV_WORDS QM_UINT(QM_HEAD * QM_KV_BITS / 32) // of a token and head
#if defined(QM_KV_AFFINE) && !defined(QM_KV_EXACT)
#define QM_KV_EXACT
#endif
#endif
