// libFuzzer target: whatever the bytes, the reader refuses them or gives tensors whose data can be read to the end and
// that are written and read again alike. Read in place, as a mapped file is, they give the same or the same line.
#include "model/safetensors.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void require_same(const struct qm_tensors *a, const struct qm_tensors *b)
{
    require(a->count == b->count && a->metadata_count == b->metadata_count);
    for (size_t i = 0; i < a->count; i++) {
        const struct qm_tensor *x = &a->tensors[i], *y = &b->tensors[i];
        require(strcmp(x->name, y->name) == 0 && x->dtype == y->dtype && x->rank == y->rank && x->bytes == y->bytes &&
                memcmp(x->data, y->data, x->bytes) == 0);
    }
    for (size_t i = 0; i < a->metadata_count; i++)
        require(strcmp(a->metadata[i].key, b->metadata[i].key) == 0 &&
                strcmp(a->metadata[i].value, b->metadata[i].value) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct qm_tensors tensors, again, view;
    char line[1024];
    void *bytes = malloc(size + 1);
    size_t count, sum = 0;
    memcpy(bytes, data, size);
    enum qm_status status = qm_tensors_view(data, size, "fuzz", &view);
    strncpy(line, status == QM_OK ? "" : qm_error_text(), sizeof(line) - 1);
    line[sizeof(line) - 1] = '\0';
    if (qm_tensors_parse(&bytes, size, "fuzz", &tensors) != QM_OK) {
        require(strncmp(qm_error_text(), "fuzz: ", 6) == 0 && !strchr(qm_error_text(), '\n'));
        require(status != QM_OK && strcmp(line, qm_error_text()) == 0);
        return 0;
    }
    require(status == QM_OK);
    require_same(&tensors, &view);
    for (size_t i = 0; i < tensors.count; i++)
        for (size_t b = 0; b < tensors.tensors[i].bytes; b++)
            sum += ((const uint8_t *)tensors.tensors[i].data)[b];
    // What is there is found, and as something else refused.
    for (size_t i = 0; i < tensors.count; i++) {
        const struct qm_tensor *tensor = &tensors.tensors[i], *found = NULL;
        require(qm_tensors_find(&tensors, tensor->name) != NULL);
        if (qm_tensors_require(&tensors, tensor->name, tensor->dtype, tensor->rank, tensor->shape, &found) == QM_OK)
            require(found->data == tensor->data);
        enum qm_dtype other = tensor->dtype == QM_DTYPE_F32 ? QM_DTYPE_U8 : QM_DTYPE_F32;
        require(qm_tensors_require(&tensors, tensor->name, other, tensor->rank, tensor->shape, &found) != QM_OK);
    }
    for (size_t i = 0; i < tensors.metadata_count; i++)
        require(qm_tensors_text(&tensors, tensors.metadata[i].key) != NULL);
    require(qm_safetensors_encode("fuzz", tensors.tensors, tensors.count, tensors.metadata, tensors.metadata_count,
                                  &bytes, &count) == QM_OK);
    require(qm_tensors_parse(&bytes, count, "fuzz", &again) == QM_OK);
    require_same(&tensors, &again);
    qm_tensors_free(&again);
    qm_tensors_free(&view);
    qm_tensors_free(&tensors);
    return sum == SIZE_MAX; // sum is used
}
