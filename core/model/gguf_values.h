// Values of a GGUF file's tensors as 32-bit floats, whatever they are encoded as: to the bit what ggml's own functions give
// (quant/ggml_blocks.h).
#ifndef QM_MODEL_GGUF_VALUES_H
#define QM_MODEL_GGUF_VALUES_H

#include "model/gguf.h"

// `count` whole blocks of a tensor from its block `first` on, all within it, row-major: count * type->block_values floats.
// Returns the index of the first value that is not finite, from the first block on, else how many there are; from a bad one
// on, what stands in `values` is undefined.
size_t qm_gguf_decode(const struct qm_gguf_tensor *tensor, uint64_t first, uint64_t count, float *values);

#endif
