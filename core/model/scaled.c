#include "model/scaled.h"

#include "base/numeric.h"
#include "sys/parallel.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct scaled_weight {
    float *divisors, *factors; // NULL: none
};

struct qm_model_scaling {
    const struct qm_model *of;
    size_t count;
    struct scaled_weight *weights;
};

void qm_scaling_destroy(struct qm_model_scaling *scaling)
{
    if (!scaling)
        return;
    for (size_t i = 0; scaling->weights && i < scaling->count; i++) {
        free(scaling->weights[i].divisors);
        free(scaling->weights[i].factors);
    }
    free(scaling->weights);
    free(scaling);
}

enum qm_status qm_model_scale(const struct qm_model *of, struct qm_model **out)
{
    *out = NULL;
    struct qm_model *model = malloc(sizeof(*model));
    if (!model)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a scaled model");
    *model = *of;
    model->variant = of->variant == of->layers_text ? model->layers_text : of->variant;
    model->file = NULL;
    model->own = NULL;
    model->values = NULL;
    model->quantization = (struct qm_quantization){0};
    model->tensors = calloc(of->tensor_count, sizeof(*model->tensors));
    model->scaling = calloc(1, sizeof(*model->scaling));
    if (model->scaling)
        model->scaling->weights = calloc(of->tensor_count, sizeof(*model->scaling->weights));
    if (!model->tensors || !model->scaling || !model->scaling->weights) {
        qm_model_destroy(&model);
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a table of %zu scaled weights", of->tensor_count);
    }
    model->scaling->of = of;
    model->scaling->count = of->tensor_count;
    for (size_t i = 0; i < of->tensor_count; i++) {
        model->tensors[i] = of->tensors[i];
        model->tensors[i].values = NULL;
    }
    qm_model_untie(model);
    *out = model;
    return QM_OK;
}

static enum qm_status set(float **numbers, const float *from, uint32_t count, const char *name)
{
    float *copy = malloc(count * sizeof(*copy));
    if (!copy)
        return QM_FAIL(QM_OUT_OF_MEMORY, "tensor '%s': no memory for %u scales", name, count);
    memcpy(copy, from, count * sizeof(*copy));
    free(*numbers);
    *numbers = copy;
    return QM_OK;
}

enum qm_status qm_model_set_divisors(struct qm_model *model, enum qm_role role, uint32_t layer, const float *divisors)
{
    size_t index = qm_weight_index(&model->config, role, layer);
    const struct qm_model_tensor *tensor = &model->tensors[index];
    return set(&model->scaling->weights[index].divisors, divisors,
               qm_role_is_vector(role) ? tensor->columns : tensor->rows, tensor->name);
}

enum qm_status qm_model_set_factors(struct qm_model *model, enum qm_role role, uint32_t layer, const float *factors)
{
    size_t index = qm_weight_index(&model->config, role, layer);
    const struct qm_model_tensor *tensor = &model->tensors[index];
    return set(&model->scaling->weights[index].factors, factors, tensor->columns, tensor->name);
}

// ---- Values ---------------------------------------------------------------------------------------------------------

struct scale_work {
    const struct qm_model_tensor *tensor;
    const struct scaled_weight *scales;
    const float *from; // may be `to`
    float *to;
    atomic_size_t first_bad; // the least index of a value that is not finite
};

static bool is_finite(float value)
{
    return (qm_bits_from_float(value) & 0x7f800000u) != 0x7f800000u;
}

static void note_bad(struct scale_work *work, size_t index)
{
    size_t seen = atomic_load(&work->first_bad);
    while (index < seen && !atomic_compare_exchange_weak(&work->first_bad, &seen, index))
        ;
}

static void scale_rows(void *context, size_t begin, size_t end)
{
    struct scale_work *work = context;
    const float *divisors = work->scales->divisors, *factors = work->scales->factors;
    bool is_vector = qm_role_is_vector(work->tensor->role);
    uint32_t columns = work->tensor->columns;
    for (size_t row = begin; row < end; row++) {
        const float *from = work->from + row * columns;
        float *to = work->to + row * columns;
        for (uint32_t j = 0; j < columns; j++) {
            float value = from[j];
            if (divisors)
                value = (float)((double)value / (double)divisors[is_vector ? j : row]);
            if (factors && is_finite(value))
                value = (float)((double)value * (double)factors[j]);
            to[j] = value;
            if (!is_finite(value))
                note_bad(work, row * columns + j);
        }
    }
}

enum qm_status qm_scaled_view_open(const struct qm_model *model, size_t weight, struct qm_model_view *out)
{
    const struct qm_model_scaling *scaling = model->scaling;
    const struct qm_model_tensor *tensor = &model->tensors[weight];
    const struct scaled_weight *scales = &scaling->weights[weight];
    size_t count = (size_t)tensor->rows * tensor->columns;
    QM_TRY(qm_model_view_open(scaling->of, weight, out));
    if (!scales->divisors && !scales->factors)
        return QM_OK;
    const float *from = out->values;
    if (!out->own)
        out->own = malloc(count * sizeof(*out->own));
    if (!out->own) {
        *out = (struct qm_model_view){0};
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the %zu values of '%s' as they are scaled", count,
                       tensor->name);
    }
    struct scale_work work = {.tensor = tensor, .scales = scales, .from = from, .to = out->own};
    atomic_init(&work.first_bad, SIZE_MAX);
    qm_parallel_for(tensor->rows, scale_rows, &work);
    out->values = out->own;
    size_t bad = atomic_load(&work.first_bad);
    if (bad == SIZE_MAX)
        return QM_OK;
    qm_model_view_close(out);
    return QM_FAIL(QM_INVALID,
                   "tensor '%s%s': value %zu would no longer be finite, its channel scaled; use another calibrator",
                   tensor->name, qm_role_name_ending(tensor->role), bad);
}
