// libFuzzer target: whatever the bytes, the reader refuses them with one line or gives values and tensors that can be read to
// the end; so do the readers of a model's configuration, and of its weights, where they are parts of tensors.
#include "model/gguf.h"
#include "model/gguf_model.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void require_line(void)
{
    require(strncmp(qm_error_text(), "fuzz: ", 6) == 0 && !strchr(qm_error_text(), '\n'));
}

static size_t read_model(const struct qm_gguf *gguf)
{
    struct qm_model_config config;
    size_t sum = 0;
    if (qm_gguf_model_config(gguf, &config) != QM_OK || qm_gguf_model_check(gguf, &config) != QM_OK) {
        require_line();
        return 0;
    }
    for (size_t i = 0; i < qm_weight_count(&config); ++i) {
        enum qm_role role;
        uint32_t layer;
        struct qm_gguf_tensor tensor;
        size_t index = 0;
        qm_weight_at(&config, i, &role, &layer);
        if (role == QM_ROLE_HEAD && config.tied_head)
            continue;
        require(qm_gguf_weight_find(gguf, &config, role, layer, &tensor, &index) == QM_OK);
        const struct qm_gguf_tensor *whole = &gguf->tensors[index];
        require(tensor.data >= whole->data && tensor.data + tensor.bytes <= whole->data + whole->bytes);
        for (uint64_t b = 0; b < tensor.bytes; ++b)
            sum += tensor.data[b];
    }
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct qm_gguf gguf;
    volatile size_t sum = 0;
    if (qm_gguf_view(data, size, "fuzz", &gguf) != QM_OK) {
        require_line();
        require(!gguf.values && !gguf.tensors);
        return 0;
    }
    for (size_t i = 0; i < gguf.value_count; ++i) {
        const struct qm_gguf_value *value = &gguf.values[i];
        require(qm_gguf_find(&gguf, value->key) == value);
        uint64_t at = 0, count, strings = 0, numbers = 0;
        const uint8_t *bytes = value->bytes;
        double number;
        for (uint64_t b = 0; value->kind == QM_GGUF_STRING && b < value->count; ++b)
            sum += bytes[b];
        for (; qm_gguf_next_string(value, &at, &bytes, &count); ++strings)
            for (uint64_t b = 0; b < count; ++b)
                sum += bytes[b];
        for (at = 0; qm_gguf_next_number(value, &at, &number); ++numbers)
            sum += number > 0;
        require(value->kind != QM_GGUF_ARRAY || strings + numbers == value->count);
        uint32_t whole = 0;
        bool flag;
        if (qm_gguf_u32(&gguf, value->key, &whole, NULL) == QM_OK)
            require(value->kind == QM_GGUF_UINT || value->kind == QM_GGUF_INT);
        if (qm_gguf_double(&gguf, value->key, &number, NULL) == QM_OK)
            require(value->kind <= QM_GGUF_FLOAT);
        if (qm_gguf_bool(&gguf, value->key, &flag, NULL) == QM_OK)
            require(value->kind == QM_GGUF_BOOL);
    }
    for (size_t i = 0; i < gguf.tensor_count; ++i) {
        const struct qm_gguf_tensor *tensor = &gguf.tensors[i];
        require(qm_gguf_find_tensor(&gguf, tensor->name) == tensor);
        require(tensor->data >= data && tensor->bytes <= (uint64_t)(data + size - tensor->data));
        for (uint64_t b = 0; b < tensor->bytes; ++b)
            sum += tensor->data[b];
    }
    sum += read_model(&gguf);
    qm_gguf_close(&gguf);
    return 0;
}
