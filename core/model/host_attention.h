// Causal attention with grouped queries on the host: over whole windows, or of new tokens over what a cache holds of those
// before them.
#ifndef QM_MODEL_HOST_ATTENTION_H
#define QM_MODEL_HOST_ATTENTION_H

#include "base/status.h"
#include "model/host_product.h"

#include <stdint.h>

struct qm_host_attention {
    const float *q; // [windows][window_tokens][heads][head_dim]
    // [windows][kv_tokens][kv_heads][head_dim], of which the first position + window_tokens are read: those of the queries
    // are the last.
    const float *k, *v;
    float *out; // [windows][window_tokens][out_stride], of which heads * head_dim are written
    uint32_t windows, window_tokens, heads, kv_heads, head_dim, out_stride;
    uint32_t position;  // of a window's first query
    uint32_t kv_tokens; // 0: window_tokens
    uint32_t seen;      // tokens that a token sees, its own included; 0: all before it
    float scale;        // of scores, such as 1 / sqrt(head_dim without padding)
    float cap;          // a score s becomes cap tanh(s / cap); 0: it stays
};

// Bytes of scores that a thread holds, for so many positions.
uint64_t qm_host_attention_thread_bytes(uint32_t positions);

QM_MUST_USE enum qm_status qm_host_attend(const struct qm_blas *blas, const struct qm_host_attention *attention);

#endif
