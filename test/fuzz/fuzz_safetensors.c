// libFuzzer target: whatever the bytes, the reader refuses them or gives tensors whose data can be read to the end and
// that are written and read again alike.
#include "model/safetensors.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct qm_tensors tensors, again;
    void *bytes = malloc(size + 1);
    size_t count, sum = 0;
    memcpy(bytes, data, size);
    if (qm_tensors_parse(&bytes, size, "fuzz", &tensors) != QM_OK) {
        if (strchr(qm_error_text(), '\n'))
            abort();
        return 0;
    }
    for (size_t i = 0; i < tensors.count; i++)
        for (size_t b = 0; b < tensors.tensors[i].bytes; b++)
            sum += ((const uint8_t *)tensors.tensors[i].data)[b];
    // What is there is found, and as something else refused.
    for (size_t i = 0; i < tensors.count; i++) {
        const struct qm_tensor *tensor = &tensors.tensors[i], *found = NULL;
        if (qm_tensors_find(&tensors, tensor->name) == NULL)
            abort();
        if (qm_tensors_require(&tensors, tensor->name, tensor->dtype, tensor->rank, tensor->shape, &found) == QM_OK &&
            found->data != tensor->data)
            abort();
        enum qm_dtype other = tensor->dtype == QM_DTYPE_F32 ? QM_DTYPE_U8 : QM_DTYPE_F32;
        if (qm_tensors_require(&tensors, tensor->name, other, tensor->rank, tensor->shape, &found) == QM_OK)
            abort();
    }
    for (size_t i = 0; i < tensors.metadata_count; i++)
        if (qm_tensors_text(&tensors, tensors.metadata[i].key) == NULL)
            abort();
    if (qm_safetensors_encode("fuzz", tensors.tensors, tensors.count, tensors.metadata, tensors.metadata_count, &bytes,
                              &count) != QM_OK ||
        qm_tensors_parse(&bytes, count, "fuzz", &again) != QM_OK || again.count != tensors.count)
        abort();
    for (size_t i = 0; i < tensors.count; i++)
        if (memcmp(again.tensors[i].data, tensors.tensors[i].data, tensors.tensors[i].bytes) != 0)
            abort();
    qm_tensors_free(&again);
    qm_tensors_free(&tensors);
    return sum == SIZE_MAX; // sum is used
}
