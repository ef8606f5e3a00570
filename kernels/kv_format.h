// Formats of the KV cache: 64 values of one token and head.
//
// cache is one buffer of words per layer; codes of (sequence, head, position) begin at
// base + ((sequence * kv_heads + head) * context + position) * QM_KV_WORDS, its scale (kv8, kv4: one float) is at
// scale_base + (sequence * kv_heads + head) * context + position.
#ifndef QM_KV_FORMAT_H
#define QM_KV_FORMAT_H
#if defined(QM_KV_F32)
#define QM_KV_WORDS 64u
#elif defined(QM_KV_F16)
#define QM_KV_WORDS 32u
#elif defined(QM_KV_KV8)
#define QM_KV_WORDS 16u
#define QM_KV_SCALED
#else
#define QM_KV_WORDS 8u
#define QM_KV_SCALED
#endif
#endif
