// Values of float tensors as 32-bit floats, in loops that compilers vectorise.
#ifndef QM_MODEL_TENSOR_VALUES_H
#define QM_MODEL_TENSOR_VALUES_H

#include "model/safetensors.h"

#include <stdbool.h>
#include <stddef.h>

// The types that become floats exactly: F32, F16, BF16.
bool qm_dtype_is_float(enum qm_dtype dtype);

// Converts `count` values that lie at `data`, at any alignment, of a dtype for which qm_dtype_is_float holds. Returns the
// index of the first one that is infinite or not a number, else `count`; what stands in `out` from there on is undefined.
size_t qm_values_to_floats(enum qm_dtype dtype, const void *data, size_t count, float *out);

// Whether the value at `at`, of such a dtype and not finite, is not a number rather than infinite.
bool qm_value_is_nan(enum qm_dtype dtype, const void *at);

#endif
