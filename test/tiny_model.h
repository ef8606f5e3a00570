// The tiny models of test/data/architecture_logits.json, made again: their weights are a hash of their names, as in
// tools/architecture_logits.py. Include after cmocka.
#ifndef QM_TEST_TINY_MODEL_H
#define QM_TEST_TINY_MODEL_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/model.h"
#include "model/safetensors.h"
#include "sys/file.h"

#define TINY_MODELS QM_SOURCE_DIR "/test/data/architecture_logits.json"

static char directory[] = "/tmp/qmark-tiny-XXXXXX"; // mkdtemp makes it

static const char *in_directory(const char *name)
{
    static char path[QM_PATH_BYTES];
    assert_int_equal(qm_path_join(path, directory, name), QM_OK);
    return path;
}

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

// The model's directory, as a stranger would save it; and the model from it.
static struct qm_model *make_model(const json_t *entry, uint32_t multiple)
{
    struct qm_model_config config;
    struct qm_tensor tensors[64] = {0};
    static char names[64][QM_WEIGHT_NAME_BYTES + 8];
    size_t count = 0;
    char *text = json_dumps(json_object_get(entry, "config"), 0);
    assert_non_null(text);
    if (qm_model_config_parse(text, strlen(text), "config.json", &config) != QM_OK)
        fail_msg("%s", qm_error_text());
    assert_int_equal(qm_file_write(in_directory("config.json"), text, strlen(text)), QM_OK);
    free(text);
    for (size_t i = 0; i < qm_weight_count(&config); ++i) {
        enum qm_role role;
        uint32_t layer, rows, columns;
        char name[QM_WEIGHT_NAME_BYTES];
        qm_weight_at(&config, i, &role, &layer);
        if (role == QM_ROLE_HEAD && config.tied_head)
            continue;
        qm_role_weight_name(role, layer, name);
        snprintf(names[count], sizeof(names[0]), "%s%s", name, qm_role_name_ending(role));
        qm_role_own_shape(&config, role, &rows, &columns);
        size_t values = (size_t)rows * columns;
        float *weight = malloc(values * sizeof(*weight));
        assert_non_null(weight);
        for (size_t v = 0; v < values; ++v) {
            float value = hashed(names[count], v);
            weight[v] = qm_role_is_norm(role) ? 1 + value : qm_role_is_vector(role) ? value : value * 0.5f;
        }
        bool is_vector = qm_role_is_vector(role);
        tensors[count] = (struct qm_tensor){.name = names[count],
                                            .dtype = QM_DTYPE_F32,
                                            .rank = is_vector ? 1 : 2,
                                            .shape = {is_vector ? columns : rows, columns},
                                            .bytes = values * sizeof(float),
                                            .data = weight};
        ++count;
    }
    assert_int_equal(qm_safetensors_write(in_directory("model.safetensors"), tensors, count, NULL, 0), QM_OK);
    for (size_t i = 0; i < count; ++i)
        free((void *)(uintptr_t)tensors[i].data);
    struct qm_model *model = NULL;
    if (qm_model_load(directory, multiple, &model) != QM_OK)
        fail_msg("%s", qm_error_text());
    return model;
}

#endif
