// A directory for a test's model, and weights written there as a stranger would save them. Include after cmocka.
#ifndef QM_TEST_MODEL_DIRECTORY_H
#define QM_TEST_MODEL_DIRECTORY_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/model.h"
#include "model/safetensors.h"
#include "sys/file.h"

static char directory[] = "/tmp/qmark-model-XXXXXX"; // mkdtemp makes it

// Good until four more were asked for.
static inline const char *in_directory(const char *name)
{
    static char paths[4][QM_PATH_BYTES];
    static int next;
    char *path = paths[next++ % 4];
    assert_int_equal(qm_path_join(path, directory, name), QM_OK);
    return path;
}

static inline int directory_setup(void **state)
{
    (void)state;
    return mkdtemp(directory) ? 0 : -1;
}

static inline int directory_teardown(void **state)
{
    (void)state;
    struct qm_name_list list;
    if (qm_directory_list(directory, &list) == QM_OK)
        for (size_t i = 0; i < list.count; ++i)
            unlink(in_directory(list.names[i]));
    qm_name_list_free(&list);
    return rmdir(directory);
}

// The value number `index` of the tensor that is the file's `tensor`-th.
typedef float (*weight_value)(void *context, enum qm_role role, const char *name, size_t tensor, size_t index);

// Writes model.safetensors for a configuration, F32 or BF16 (whose values are cut off, not rounded). A tied head is not in it.
static inline void write_weights(const struct qm_model_config *config, enum qm_dtype dtype, weight_value value,
                                 void *context)
{
    struct qm_tensor tensors[64] = {0};
    static char names[64][QM_WEIGHT_NAME_BYTES + 8];
    size_t count = 0, width = qm_dtype_bytes(dtype);
    for (size_t i = 0; i < qm_weight_count(config); ++i) {
        enum qm_role role;
        uint32_t layer, rows, columns;
        char name[QM_WEIGHT_NAME_BYTES];
        qm_weight_at(config, i, &role, &layer);
        if (role == QM_ROLE_HEAD && config->tied_head)
            continue;
        qm_role_weight_name(role, layer, name);
        snprintf(names[count], sizeof(names[0]), "%s%s", name, qm_role_name_ending(role));
        qm_role_own_shape(config, role, &rows, &columns);
        size_t values = (size_t)rows * columns;
        unsigned char *data = malloc(values * 4);
        assert_non_null(data);
        for (size_t v = 0; v < values; ++v) {
            float number = value(context, role, names[count], count, v);
            uint32_t bits;
            memcpy(&bits, &number, sizeof(bits)); // its upper half alone is BF16
            memcpy(data + v * width, width == 4 ? (unsigned char *)&bits : (unsigned char *)&bits + 2, width);
        }
        bool is_vector = qm_role_is_vector(role);
        tensors[count] = (struct qm_tensor){.name = names[count],
                                            .dtype = dtype,
                                            .rank = is_vector ? 1 : 2,
                                            .shape = {is_vector ? columns : rows, columns},
                                            .bytes = values * width,
                                            .data = data};
        ++count;
    }
    assert_int_equal(qm_safetensors_write(in_directory("model.safetensors"), tensors, count, NULL, 0), QM_OK);
    for (size_t i = 0; i < count; ++i)
        free((void *)(uintptr_t)tensors[i].data);
}

#endif
