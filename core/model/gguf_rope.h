// Frequencies of the rotary embedding that a GGUF file has of its own: tensor `rope_freqs.weight`, a divisor for each pair of a
// head, as llama.cpp's converter writes it for Llama 3.1 and later; and `rope_factors_short.weight`, which it writes for Phi-3's
// longrope, beside `rope_factors_long.weight` for contexts beyond the one that the model was trained with.
#ifndef QM_MODEL_GGUF_ROPE_H
#define QM_MODEL_GGUF_ROPE_H

#include "model/gguf.h"
#include "model/model.h"

#define QM_GGUF_ROPE_TENSOR "rope_freqs.weight"
#define QM_GGUF_ROPE_SHORT "rope_factors_short.weight"
#define QM_GGUF_ROPE_LONG "rope_factors_long.weight"

// What `rope_scaling` of type llama3 says (model.h), with the other three as all such models have them.
struct qm_gguf_rope {
    double factor; // 0: there is no such tensor
    double low, high;
    uint32_t context;
};

// Which of these the tensor's divisors are, for heads of `width` values and the base `theta`: the file does not keep them. *out
// is zeroed where there is no tensor. QM_INVALID for one of another type or shape, QM_UNSUPPORTED for other divisors.
QM_MUST_USE enum qm_status qm_gguf_rope_find(const struct qm_gguf *gguf, uint32_t width, double theta,
                                             struct qm_gguf_rope *out);

// The divisors in a tensor of one of these names: floats, width / 2 of them. *has is false where there is no such tensor.
// QM_INVALID for one of another type or shape, or values that are not finite.
QM_MUST_USE enum qm_status qm_gguf_rope_read(const struct qm_gguf *gguf, const char *name, uint32_t width,
                                             float divisors[QM_ROPE_PAIRS_MAX], bool *has);
// Whether it is one of the three.
bool qm_gguf_rope_is_tensor(const char *name);

#endif
