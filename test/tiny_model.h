// The tiny models of test/data/architecture_logits.json, made again: their weights are a hash of their names, as in
// tools/architecture_logits.py. Include after cmocka.
#ifndef QM_TEST_TINY_MODEL_H
#define QM_TEST_TINY_MODEL_H

#include <jansson.h>

#include "test/model_directory.h"

#define TINY_MODELS QM_SOURCE_DIR "/test/data/architecture_logits.json"

// As in tools/architecture_logits.py.
static float hashed(const char *name, uint64_t index)
{
    uint64_t seed = UINT64_C(0xcbf29ce484222325);
    for (; *name; ++name)
        seed = (seed ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
    uint64_t z = seed + (index + 1) * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    z ^= z >> 31;
    return (float)(z >> 40) * 0x1p-24f - 0.5f;
}

static float hashed_value(void *context, enum qm_role role, const char *name, size_t tensor, size_t index)
{
    float value = hashed(name, index);
    (void)context;
    (void)tensor;
    return qm_role_is_norm(role) ? 1 + value : qm_role_is_vector(role) ? value : value * 0.5f;
}

// The model's directory, and the model from it.
static struct qm_model *make_model(const json_t *entry, uint32_t multiple)
{
    struct qm_model_config config;
    char *text = json_dumps(json_object_get(entry, "config"), 0);
    assert_non_null(text);
    if (qm_model_config_parse(text, strlen(text), "config.json", &config) != QM_OK)
        fail_msg("%s", qm_error_text());
    assert_int_equal(qm_file_write(in_directory("config.json"), text, strlen(text)), QM_OK);
    free(text);
    write_weights(&config, QM_DTYPE_F32, hashed_value, NULL);
    struct qm_model *model = NULL;
    if (qm_model_load(directory, multiple, &model) != QM_OK)
        fail_msg("%s", qm_error_text());
    return model;
}

#endif
