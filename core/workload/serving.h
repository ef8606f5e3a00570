// The order in which a deployment's requests are worked on: continuous batching, as arithmetic. Which pass comes next depends
// on the requests' lengths and on nothing that a clock or a device says, so that every device does the same passes, a
// run can be repeated to the bit, and its passes can be counted again by who verifies.
//
// There are `concurrency` slots, each with a cache sequence of its own. Requests take them in their order, a free slot with
// the lowest number first. As soon as a request has a slot, its prompt is prefilled, alone, in chunks of `chunk_tokens` and
// one of what is left. When no slot can be filled, one decode pass gives every request that has a slot its next token. The
// first output token comes from the last row of a prompt, each further one from a decode pass; a request ends with its
// last one and leaves its slot, which the next request has from that moment on.
//
// Decode passes have as many rows as there are requests under way, in the order of their slots: none is idle, and no pass is
// padded. The batch falls below `concurrency` only where no request is left to begin.
//
// Scheduling by iteration is Orca's (Yu et al., OSDI 2022); that a waiting prompt goes before decode is how vLLM began (Kwon
// et al., SOSP 2023), chunks are Sarathi's (Agrawal et al., "Taming Throughput-Latency Tradeoff in LLM Inference with
// Sarathi-Serve", OSDI 2024), which also puts them into decode's passes. That is not done here.
#ifndef QM_WORKLOAD_SERVING_H
#define QM_WORKLOAD_SERVING_H

#include "workload/deployment.h"

struct qm_serving_params {
    const struct qm_request *requests; // [count]; must stay. Both lengths of each are 1 or more
    uint32_t count;
    uint32_t concurrency;  // 1 or more
    uint32_t chunk_tokens; // 1 or more
};

#define QM_SERVING_NONE UINT32_MAX

struct qm_serving_row {
    uint32_t request, slot;
    uint32_t position; // of its first token
    uint32_t output; // which of the request's output tokens, from 0, the row's last logits give; QM_SERVING_NONE: none
    bool is_first;   // the request's first pass
    bool is_last;    // it ends with this pass
};

struct qm_serving_pass {
    uint32_t batch, tokens;            // sequences, and new tokens of each: prefill has one sequence, decode one token
    bool is_prefill;                   // a prompt, of one token perhaps
    const struct qm_serving_row *rows; // [batch], until the next call; slots rise
};

struct qm_serving;

// QM_INVALID for parameters that are none, QM_OUT_OF_MEMORY.
QM_MUST_USE enum qm_status qm_serving_begin(const struct qm_serving_params *params, struct qm_serving **out);
// The next pass; false at the end.
bool qm_serving_next(struct qm_serving *serving, struct qm_serving_pass *out);
void qm_serving_end(struct qm_serving **serving);

// What a schedule comes to, found by going through it.
struct qm_serving_counts {
    uint64_t prefill_passes, decode_passes;
    uint64_t decode_rows; // of all decode passes: over them, the mean batch
    uint32_t most_batch;  // of a decode pass; 0 where every output is one token
    uint32_t positions;   // that caches need: the largest of prompt + output - 1
    uint32_t shapes;      // different ones of passes
};
QM_MUST_USE enum qm_status qm_serving_count(const struct qm_serving_params *params, struct qm_serving_counts *out);

#endif
