// Formats of the KV cache: 64 values of one token and head.
//
// cache is one buffer of words per layer; codes of (sequence, head, position) begin at
// base + ((sequence * kv_heads + head) * context + position) * QM_KV_WORDS. Scales are words of their own:
//   kv8, kv4       one float per token and head, at scale_base + (sequence * kv_heads + head) * context + position
//   e4m3, e5m2     none: one scale for all keys and one for all values of a layer, parameters of the kernels
//   kivi4, kivi2   value = minimum + scale * code; a word holds scale (low half) and minimum (high half) in binary16.
//                  Values: one word per token and head, as above. Keys: one word per channel and block of 32 tokens, at
//                  scale_base + ((sequence * kv_heads + head) * ceil(context / 32) + block) * 64 + channel
//
// Variants with QM_KV_EXACT also have binary16 of the tokens with position < exact_length, two to a word, at
// exact_base + ((sequence * kv_heads + head) * exact_length + position) * 32.
#ifndef QM_KV_FORMAT_H
#define QM_KV_FORMAT_H
#define QM_KV_BLOCK 32u
#if defined(QM_KV_F32)
#define QM_KV_WORDS 64u
#elif defined(QM_KV_F16)
#define QM_KV_WORDS 32u
#elif defined(QM_KV_KV8)
#define QM_KV_WORDS 16u
#define QM_KV_SCALED
#elif defined(QM_KV_E4M3) || defined(QM_KV_E5M2)
#define QM_KV_WORDS 16u
#define QM_KV_FLOAT8
#elif defined(QM_KV_KIVI4)
#define QM_KV_WORDS 8u
#define QM_KV_AFFINE
#define QM_KV_LARGEST 15.0f
#define QM_KV_INVERSE_LARGEST QM_INVERSE_15
#elif defined(QM_KV_KIVI2)
#define QM_KV_WORDS 4u
#define QM_KV_AFFINE
#define QM_KV_LARGEST 3.0f
#define QM_KV_INVERSE_LARGEST QM_INVERSE_3
#else
#define QM_KV_WORDS 8u
#define QM_KV_SCALED
#endif
#if defined(QM_KV_AFFINE) && !defined(QM_KV_EXACT)
#define QM_KV_EXACT
#endif
#endif
