#include "model/gguf_values.h"

#include <inttypes.h>

#include "base/numeric.h"
#include "model/tensor_values.h"
#include "quant/ggml_blocks.h"

#define EXPONENT 0x7f800000u // all of it set: infinite or not a number

static enum qm_status refuse(const struct qm_gguf *gguf, const struct qm_gguf_tensor *tensor, uint64_t index)
{
    return QM_FAIL(QM_INVALID, "%s: tensor '%s': value %" PRIu64 " is not finite; get the file again", gguf->file,
                   tensor->name, index);
}

static void decode(uint32_t type, const uint8_t *block, float *values)
{
    switch (type) {
    case QM_GGUF_Q4_0:
        qm_ggml_q4_0_decode(block, values);
        break;
    case QM_GGUF_Q4_1:
        qm_ggml_q4_1_decode(block, values);
        break;
    case QM_GGUF_Q8_0:
        qm_ggml_q8_0_decode(block, values);
        break;
    case QM_GGUF_Q4_K:
        qm_ggml_q4_k_decode(block, values);
        break;
    case QM_GGUF_Q5_K:
        qm_ggml_q5_k_decode(block, values);
        break;
    default:
        qm_ggml_q6_k_decode(block, values);
        break;
    }
}

static size_t first_bad(const float *values, uint32_t count)
{
    uint32_t bad = 0, i = 0;
    for (uint32_t v = 0; v < count; ++v)
        bad |= (qm_bits_from_float(values[v]) & EXPONENT) == EXPONENT;
    while (bad && (qm_bits_from_float(values[i]) & EXPONENT) != EXPONENT)
        ++i;
    return bad ? i : count;
}

size_t qm_gguf_decode(const struct qm_gguf_tensor *tensor, uint64_t first, uint64_t count, float *values)
{
    const struct qm_gguf_type_info *type = tensor->type;
    const uint8_t *block = tensor->data + first * type->block_bytes;
    if (type->block_values == 1) {
        enum qm_dtype dtype = type->type == QM_GGUF_F32   ? QM_DTYPE_F32
                              : type->type == QM_GGUF_F16 ? QM_DTYPE_F16
                                                          : QM_DTYPE_BF16;
        return qm_values_to_floats(dtype, block, (size_t)count, values);
    }
    for (uint64_t b = 0; b < count; ++b, block += type->block_bytes) {
        float *of = values + b * type->block_values;
        decode(type->type, block, of);
        size_t bad = first_bad(of, type->block_values);
        if (bad < type->block_values)
            return (size_t)b * type->block_values + bad;
    }
    return (size_t)count * type->block_values;
}

enum qm_status qm_gguf_floats(const struct qm_gguf *gguf, const struct qm_gguf_tensor *tensor, uint64_t first,
                              uint64_t count, float *values)
{
    size_t good = qm_gguf_decode(tensor, first, count, values);
    return good < count * tensor->type->block_values ? refuse(gguf, tensor, first * tensor->type->block_values + good)
                                                     : QM_OK;
}
