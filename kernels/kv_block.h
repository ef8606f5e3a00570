// kv_block: quantizes the keys of the blocks of 32 tokens that a pass completes, per channel (kivi4, kivi2).
//
// Block b holds positions 32 b to 32 b + 31; a pass completes those whose last position is one of its own. Of each channel
// of a (sequence, head, block), over the 32 keys as they lie in the exact part of the cache: minimum, scale and codes as
// kv_write.h has them for the values of a token, with the same bound. Reads and writes the same buffer, different words.
// Same bits on every device for the same input. One invocation per (sequence, head, block, word of a token's codes);
// items = sequences * kv_heads * floor((tokens_per_sequence + 31) / 32) * QM_KV_WORDS. See kv_format.h.
//
// After KIVI (Liu et al. 2024, arXiv:2402.02750): outliers of keys stay in their channels, those of values do not.
#include "kv_format.h"
#include "quantize.h"
#ifndef QM_BODY
#define QM_BUFFERS QM_INOUT(0, uint, cache)
#define QM_PARAMETERS                                                                                                  \
    QM_U32(items)                                                                                                      \
    QM_U32(kv_heads)                                                                                                   \
    QM_U32(tokens_per_sequence)                                                                                        \
    QM_U32(context)                                                                                                    \
    QM_U32(base)                                                                                                       \
    QM_U32(scale_base)                                                                                                 \
    QM_U32(exact_base)                                                                                                 \
    QM_U32(exact_length)
#define QM_LOCALS
#define QM_CHANNELS (32u / QM_UINT(QM_KV_BITS)) // of a word
#else
    uint item = QM_GROUP_X * QM_UINT(QM_WORKGROUP_X) + QM_LOCAL_X;
    if (item < items) {
        uint part = item % QM_KV_WORDS, rest = item / QM_KV_WORDS;
        uint candidates = (tokens_per_sequence + QM_KV_BLOCK - 1u) / QM_KV_BLOCK;
        uint candidate = rest % candidates;
        rest = rest / candidates;
        uint first = QM_STEP_POSITION(rest / kv_heads), block = first / QM_KV_BLOCK + candidate;
        uint lane = QM_STEP_SEQUENCE(rest / kv_heads) * kv_heads + rest % kv_heads; // of sequence and head
        if ((block + 1u) * QM_KV_BLOCK <= first + tokens_per_sequence) {
            uint exact = exact_base + (lane * exact_length + block * QM_KV_BLOCK) * QM_HEAD_HALF + part * (QM_CHANNELS / 2u);
            uint scales = scale_base + (lane * ((context + QM_KV_BLOCK - 1u) / QM_KV_BLOCK) + block) * QM_HEAD_VALUES;
            uint words[32];
            for (uint token = 0u; token < QM_KV_BLOCK; ++token)
                words[token] = 0u;
            for (uint channel = 0u; channel < QM_CHANNELS; ++channel) {
                uint from = exact + channel / 2u, shift = 16u * (channel & 1u);
                float least = 65504.0f, most = -65504.0f;
                for (uint token = 0u; token < QM_KV_BLOCK; ++token) {
                    float value = qm_half_value((cache[from + token * QM_HEAD_HALF] >> shift) & 0xffffu);
                    least = QM_MIN(least, value);
                    most = QM_MAX(most, value);
                }
                uint pair = qm_affine_pair(least, most, QM_KV_INVERSE_LARGEST);
                float minimum = qm_half_value(pair >> 16), inverse = qm_inverse_scale(qm_half_value(pair & 0xffffu));
                cache[scales + part * QM_CHANNELS + channel] = pair;
                for (uint token = 0u; token < QM_KV_BLOCK; ++token) {
                    float value = qm_half_value((cache[from + token * QM_HEAD_HALF] >> shift) & 0xffffu);
                    words[token] |= qm_affine_code(value, minimum, inverse, QM_KV_LARGEST) << (QM_UINT(QM_KV_BITS) * channel);
                }
            }
            uint to = base + (lane * context + block * QM_KV_BLOCK) * QM_KV_WORDS + part;
            for (uint token = 0u; token < QM_KV_BLOCK; ++token)
                cache[to + token * QM_KV_WORDS] = words[token];
        }
    }
#endif
