// A tensor's own codes: what its file has, in the order and the rows that artifacts have.
#include <inttypes.h>
#include <string.h>

#include "model/gguf_model.h"
#include "model/quantized_sets.h"
#include "model/weights.h"
#include "quant/format.h"

static enum qm_weight_format format_of_dtype(enum qm_dtype dtype)
{
    switch (dtype) {
    case QM_DTYPE_F32:
        return QM_WEIGHT_F32;
    case QM_DTYPE_F16:
        return QM_WEIGHT_F16;
    case QM_DTYPE_BF16:
        return QM_WEIGHT_BF16;
    default:
        return QM_WEIGHT_FORMAT_COUNT;
    }
}

enum qm_weight_format qm_weights_own_format(const struct qm_weights_entry *entry)
{
    if (entry->tensor->rank != 2)
        return QM_WEIGHT_FORMAT_COUNT;
    if (entry->quantized)
        return qm_quantized_own_format(entry->quantized);
    return entry->gguf ? entry->gguf->type->format : format_of_dtype(entry->tensor->dtype);
}

// The row of the file that is row `row`.
static size_t row_in_file(const struct qm_weights_entry *entry, size_t row)
{
    return entry->turned_width ? qm_gguf_turned_row(entry->turned_width, (uint32_t)row) : row;
}

enum qm_status qm_weights_own_rows(const struct qm_weights_entry *entry, size_t first_row, size_t rows, void *codes,
                                   void *scales)
{
    const struct qm_tensor *tensor = entry->tensor;
    enum qm_weight_format format = qm_weights_own_format(entry);
    if (format == QM_WEIGHT_FORMAT_COUNT)
        return QM_FAIL(QM_UNSUPPORTED, "%s: tensor '%s': no format has these values as the file has them; use f16",
                       entry->shard->file, tensor->name);
    uint32_t columns = (uint32_t)tensor->shape[1], bad;
    size_t row_bytes = qm_format_code_bytes(format, 1, columns);
    if (entry->quantized)
        QM_TRY(qm_quantized_own_rows(entry->quantized, format, first_row, rows, codes, scales));
    for (size_t r = 0; r < rows && !entry->quantized; ++r) { // blocks hold their scales, floats have none
        const char *from = (const char *)tensor->data + row_in_file(entry, first_row + r) * row_bytes;
        memcpy((char *)codes + r * row_bytes, from, row_bytes);
        qm_file_map_drop(&entry->shard->map, from, row_bytes);
    }
    const struct qm_encoded encoded = {.codes = codes, .scales = scales, .tensor_scale = 1};
    if (!qm_format_is_valid(format, &encoded, (uint32_t)rows, columns, &bad))
        return QM_FAIL(QM_INVALID,
                       "%s: tensor '%s': row %zu has a value or scale that is not finite; every weight must be",
                       entry->shard->file, tensor->name, first_row + bad);
    return QM_OK;
}
