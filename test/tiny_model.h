// The tiny models of test/data/architecture_logits.json, made again: their weights are a hash of their names, as in
// tools/architecture_logits.py. Include after cmocka.
#ifndef QM_TEST_TINY_MODEL_H
#define QM_TEST_TINY_MODEL_H

#include <jansson.h>

#include "test/hashed.h"
#include "test/model_directory.h"

#define TINY_MODELS QM_SOURCE_DIR "/test/data/architecture_logits.json"

// As in tools/architecture_logits.py.
static float hashed(const char *name, uint64_t index)
{
    return hash_unit(hash_at(hash_text(HASH_SEED, name), index));
}

static inline float hashed_value(void *context, enum qm_role role, const char *name, size_t tensor, size_t index)
{
    float value = hashed(name, index);
    (void)context;
    (void)tensor;
    return qm_role_is_norm(role) ? 1 + value : qm_role_is_vector(role) ? value : value * 0.5f;
}

// Writes model.safetensors with the tensors that an architecture's files have, as the script names them.
static void write_tensors(const json_t *list)
{
    struct qm_tensor tensors[64] = {0};
    size_t count = json_array_size(list);
    assert_true(count <= sizeof(tensors) / sizeof(tensors[0]));
    for (size_t t = 0; t < count; ++t) {
        const json_t *entry = json_array_get(list, t), *shape = json_array_get(entry, 1);
        const char *name = json_string_value(json_array_get(entry, 0));
        const char *kind = json_string_value(json_array_get(entry, 2));
        struct qm_tensor *tensor = &tensors[t];
        size_t values = 1;
        *tensor = (struct qm_tensor){.name = name, .dtype = QM_DTYPE_F32, .rank = (uint32_t)json_array_size(shape)};
        for (uint32_t i = 0; i < tensor->rank; ++i) {
            tensor->shape[i] = (uint64_t)json_integer_value(json_array_get(shape, i));
            values *= tensor->shape[i];
        }
        float *data = malloc(values * sizeof(*data));
        assert_non_null(data);
        for (size_t v = 0; v < values; ++v)
            data[v] = strcmp(kind, "gain") == 0    ? 1 + hashed(name, v)
                      : strcmp(kind, "plain") == 0 ? hashed(name, v)
                                                   : hashed(name, v) * 0.5f;
        tensor->data = data;
        tensor->bytes = values * sizeof(*data);
    }
    assert_int_equal(qm_safetensors_write(in_directory("model.safetensors"), tensors, count, NULL, 0), QM_OK);
    for (size_t t = 0; t < count; ++t)
        free((void *)(uintptr_t)tensors[t].data);
}

// The model's directory, and the model from it.
static inline struct qm_model *make_model(const json_t *entry, uint32_t multiple)
{
    struct qm_model_config config;
    char *text = json_dumps(json_object_get(entry, "config"), 0);
    assert_non_null(text);
    if (qm_model_config_parse(text, strlen(text), "config.json", &config) != QM_OK)
        fail_msg("%s", qm_error_text());
    assert_int_equal(qm_file_write(in_directory("config.json"), text, strlen(text)), QM_OK);
    free(text);
    if (json_object_get(entry, "tensors"))
        write_tensors(json_object_get(entry, "tensors"));
    else
        write_weights(&config, QM_DTYPE_F32, hashed_value, NULL);
    struct qm_model *model = NULL;
    if (qm_model_load(directory, multiple, &model) != QM_OK)
        fail_msg("%s", qm_error_text());
    return model;
}

#endif
