#include "model/gguf_values.h"

#include "base/numeric.h"
#include "model/tensor_values.h"
#include "quant/format.h"

#define EXPONENT 0x7f800000u // all of it set: infinite or not a number

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
    const struct qm_weight_codec *codec = qm_weight_codec(type->format);
    if (!codec->decode)
        return qm_values_to_floats(codec->code_dtype, block, (size_t)count, values);
    for (uint64_t b = 0; b < count; ++b, block += type->block_bytes) {
        float *of = values + b * type->block_values;
        codec->decode(block, of);
        size_t bad = first_bad(of, type->block_values);
        if (bad < type->block_values)
            return (size_t)b * type->block_values + bad;
    }
    return (size_t)count * type->block_values;
}
