// Whole models whose linear weights, but the head, are quantized: written to the directory and loaded. Include after cmocka.
#ifndef QM_TEST_QUANTIZED_MODEL_H
#define QM_TEST_QUANTIZED_MODEL_H

#include "model/model.h"
#include "test/random_model.h"

#include "test/quantized_writer.h"

#define COMPRESSED(form, weights)                                                                                      \
    "{\"quant_method\":\"compressed-tensors\",\"format\":\"" form                                                      \
    "\",\"config_groups\":{\"group_0\":{\"weights\":{" weights                                                         \
    "},\"targets\":[\"Linear\"]}},\"ignore\":[\"lm_head\"]}"

// `scale_of` gives the scale of static activations that a weight of the role gets beside it, 0 for none; may be NULL.
static inline struct qm_model *make_quantized(const struct kind *of, const struct quantized_kind *kind,
                                              float (*scale_of)(enum qm_role))
{
    static struct quantized_file file;
    struct qm_random random;
    struct qm_model_config config;
    qm_random_seed(&random, 17, 0);
    write_quantized_config(of, kind, 96, &config);
    for (size_t i = 0; i < qm_weight_count(&config); ++i) {
        enum qm_role role;
        uint32_t layer, rows, columns;
        char name[QM_WEIGHT_NAME_BYTES];
        qm_weight_at(&config, i, &role, &layer);
        qm_role_weight_name(role, layer, name);
        qm_role_own_shape(&config, role, &rows, &columns);
        size_t count = (size_t)rows * columns;
        if (qm_role_is_linear(role) && role != QM_ROLE_HEAD) {
            float *values = malloc(count * sizeof(*values));
            add_quantized(&file, kind, name, rows, columns, &random, values);
            free(values);
            float scale = scale_of ? scale_of(role) : 0;
            if (scale > 0)
                *(float *)add_tensor(&file, name, ".input_scale", QM_DTYPE_F32, 1, 1, 0) = scale;
        } else {
            bool is_vector = qm_role_is_vector(role);
            uint16_t *data = add_tensor(&file, name, qm_role_name_ending(role), QM_DTYPE_F16, is_vector ? 1 : 2,
                                        is_vector ? columns : rows, columns);
            for (size_t v = 0; v < count; ++v)
                data[v] =
                    qm_half_from_float(((float)qm_random_unit(&random) - 0.5f) * 0.5f + (is_vector ? 1.0f : 0.0f));
        }
    }
    write_file(&file);
    struct qm_model *model = NULL;
    CHECK(qm_model_load(directory, 32, &model));
    return model;
}

#endif
