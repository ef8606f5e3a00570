// The model in fp32 on the host, layer by layer over all windows at once: each weight is read once for all tokens, so that
// products are large and a model's files need not fit into memory. For the reference at real sizes, where the reference
// backend, written for exactness, would take days. It is another implementation of the same function, and checked against
// that backend on a sample (bench/reference_host.h).
//
//   create; layer() for each layer; logits() for the positions that are wanted
//
// Between two layers all there is to a pass is the residual stream, which may be saved and put back.
//
// Arithmetic: activations float32, products as host_product.h has them; sums of RMSNorm and softmax, exponentials and the
// angles of the rotary embedding in double. The same program on the same machine with as many threads gives the same bits.
#ifndef QM_MODEL_HOST_PASS_H
#define QM_MODEL_HOST_PASS_H

#include "model/host_product.h"
#include "model/host_weights.h"
#include "quant/calibrate.h"

struct qm_host_pass;

// Keys and values of what was passed before, for windows that go on: float32, all windows and layers of one pass after the
// other.
struct qm_host_cache {
    uint32_t windows, positions, layers, width; // room for so many; width: kv_heads * head_dim
    float *keys, *values;                       // [layers][windows][positions][width]; owned
};
QM_MUST_USE enum qm_status qm_host_cache_create(const struct qm_host_weights *weights, uint32_t windows,
                                                uint32_t positions, struct qm_host_cache *out);
void qm_host_cache_free(struct qm_host_cache *cache); // of a zeroed one, too
// Bytes that it takes for each window.
uint64_t qm_host_cache_window_bytes(const struct qm_host_weights *weights, uint32_t positions);

struct qm_host_pass_params {
    struct qm_host_weights *weights; // must stay, as all that this points to
    const struct qm_blas *blas;      // NULL: own loops
    const uint32_t *tokens;          // [windows][window_tokens], each below the vocabulary
    uint32_t windows, window_tokens; // each at least 1
    // Windows go on at `position` where `cache` has what is before it, of passes of as many windows; what is new goes
    // there, too. NULL: windows begin at 0. Not with a calibration.
    struct qm_host_cache *cache;
    uint32_t position;
    // Shown the inputs of linear weights and what goes into the cache, padded as on devices, as qm_pass_observe does. NULL: not
    // wanted.
    struct qm_calibration *calibration;
};

// Bytes that a pass takes for each of its tokens, and beyond that for each thread, at most.
uint64_t qm_host_pass_token_bytes(const struct qm_host_weights *weights);
uint64_t qm_host_pass_thread_bytes(const struct qm_host_weights *weights, uint32_t window_tokens);

// Reads the embedding. QM_INVALID for a token outside the vocabulary, and for windows that go beyond the context or the
// cache.
QM_MUST_USE enum qm_status qm_host_pass_create(const struct qm_host_pass_params *params, struct qm_host_pass **out);
void qm_host_pass_destroy(struct qm_host_pass **pass);

// Layers that are done.
uint32_t qm_host_pass_layers_done(const struct qm_host_pass *pass);
// Runs the next one; there must be one.
QM_MUST_USE enum qm_status qm_host_pass_layer(struct qm_host_pass *pass);

// The residual stream, [windows * window_tokens][weights->hidden]: what to save after a layer, and where to put it back; then
// qm_host_pass_set_layers_done.
float *qm_host_pass_residual(struct qm_host_pass *pass, size_t *count);
void qm_host_pass_set_layers_done(struct qm_host_pass *pass, uint32_t layers);

// After the last layer: logits [count][vocabulary] of tokens by their index, window * window_tokens + position.
QM_MUST_USE enum qm_status qm_host_pass_logits(struct qm_host_pass *pass, const uint32_t *tokens, size_t count,
                                               float *logits);
// Memory that a layer needs and that is the caller's after the last one, such as for logits; in floats.
float *qm_host_pass_room(struct qm_host_pass *pass, size_t *count);
// Shows the calibration what the head reads, of all tokens; once, after the last layer.
QM_MUST_USE enum qm_status qm_host_pass_observe_head(struct qm_host_pass *pass);

// Floating-point operations of the pass's products, attention's included, and of `count` rows of logits; a multiply-add is
// two.
double qm_host_pass_operations(const struct qm_host_weights *weights, uint32_t windows, uint32_t window_tokens,
                               size_t count);

#endif
