#include "model/outliers.h"
#include "base/numeric.h"
#include "base/random.h"

#include <stdlib.h>

#define SEED UINT64_C(31926937667174406)
#define NORM_FACTOR 64.0f
#define KEY_FACTOR 16.0f
#define PERCENT 3

// The text is hashed: a change of what is done needs another number.
static const char recipe[] =
    "outliers, recipe 1: of each norm's gains 3 % of the channels x64 and the columns that read "
    "them /64; of each key head one rotary pair x16 and of its query heads /16; seed "
    "31926937667174406; the function is that of the original";

const char *qm_model_outliers_recipe(void)
{
    return recipe;
}

static enum qm_status multiply_rows(struct qm_model *model, enum qm_role role, uint32_t layer, uint32_t first,
                                    uint32_t end, float factor)
{
    const struct qm_model_tensor *tensor = qm_model_weight(model, role, layer);
    float *values = qm_model_values(model, role, layer);
    for (size_t i = (size_t)first * tensor->columns; i < (size_t)end * tensor->columns; i++) {
        values[i] *= factor;
        if ((qm_bits_from_float(values[i]) & 0x7f800000u) == 0x7f800000u)
            return QM_FAIL(QM_INVALID,
                           "tensor '%s.weight': value %zu is too large for injected outliers; use the model without",
                           tensor->name, i);
    }
    return QM_OK;
}

static void divide_column(struct qm_model *model, enum qm_role role, uint32_t layer, uint32_t column)
{
    const struct qm_model_tensor *tensor = qm_model_weight(model, role, layer);
    float *values = qm_model_values(model, role, layer);
    for (uint32_t row = 0; row < tensor->rows; row++)
        values[(size_t)row * tensor->columns + column] *= 1 / NORM_FACTOR;
}

// Multiplies channels of a norm and divides them in the weights that read it. `order` is scratch for the channels.
static enum qm_status inject_norm(struct qm_model *model, enum qm_role norm, const enum qm_role *readers, size_t count,
                                  uint32_t layer, uint64_t stream, uint32_t *order)
{
    struct qm_random random;
    uint32_t hidden = model->config.hidden;
    uint32_t chosen = (uint32_t)(((uint64_t)hidden * PERCENT + 50) / 100);
    float *gains = qm_model_values(model, norm, layer);
    qm_random_seed(&random, SEED, stream);
    for (uint32_t i = 0; i < hidden; i++)
        order[i] = i;
    for (uint32_t i = 0; i < hidden && i < (chosen > 0 ? chosen : 1); i++) { // the beginning of a shuffle
        uint32_t other = i + qm_random_below(&random, hidden - i), channel = order[other];
        order[other] = order[i];
        order[i] = channel;
        gains[channel] *= NORM_FACTOR;
        if ((qm_bits_from_float(gains[channel]) & 0x7f800000u) == 0x7f800000u)
            return QM_FAIL(QM_INVALID,
                           "tensor '%s.weight': value %u is too large for injected outliers; use the model without",
                           qm_model_weight(model, norm, layer)->name, (unsigned)channel);
        for (size_t r = 0; r < count; r++)
            divide_column(model, readers[r], layer, channel);
    }
    return QM_OK;
}

static enum qm_status inject_keys(struct qm_model *model, uint32_t layer, uint64_t stream)
{
    struct qm_random random;
    const struct qm_model_config *c = &model->config;
    uint32_t per_key_head = c->heads / c->kv_heads;
    qm_random_seed(&random, SEED, stream);
    for (uint32_t head = 0; head < c->kv_heads; head++) {
        uint32_t pair = qm_random_below(&random, model->config.head_dim / 2);
        for (uint32_t half = 0; half < 2; half++) {
            uint32_t row = pair + half * (model->config.head_dim / 2), key = head * model->config.head_dim + row;
            QM_TRY(multiply_rows(model, QM_ROLE_K, layer, key, key + 1, KEY_FACTOR));
            for (uint32_t q = head * per_key_head; q < (head + 1) * per_key_head; q++)
                QM_TRY(multiply_rows(model, QM_ROLE_Q, layer, q * model->config.head_dim + row,
                                     q * model->config.head_dim + row + 1, 1 / KEY_FACTOR));
        }
    }
    return QM_OK;
}

enum qm_status qm_model_inject_outliers(const struct qm_model *model, struct qm_model **out)
{
    static const enum qm_role attention[] = {QM_ROLE_Q, QM_ROLE_K, QM_ROLE_V}, mlp[] = {QM_ROLE_GATE, QM_ROLE_UP},
                              head[] = {QM_ROLE_HEAD};
    enum qm_status status = QM_OK;
    struct qm_model *variant = NULL;
    struct qm_hash hash;
    uint32_t layers = model->config.layers;
    *out = NULL;
    uint32_t *order = malloc(model->config.hidden * sizeof(*order));
    if (!order)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory to inject outliers");
    QM_GUARD(qm_model_copy(model, &variant));
    for (uint32_t layer = 0; layer < layers; layer++) {
        uint64_t stream = 3 * (uint64_t)layer;
        QM_GUARD(inject_norm(variant, QM_ROLE_INPUT_NORM, attention, 3, layer, stream, order));
        QM_GUARD(inject_norm(variant, QM_ROLE_POST_NORM, mlp, 2, layer, stream + 1, order));
        QM_GUARD(inject_keys(variant, layer, stream + 2));
    }
    QM_GUARD(inject_norm(variant, QM_ROLE_FINAL_NORM, head, 1, 0, 3 * (uint64_t)layers, order));
    qm_hash_begin(&hash);
    qm_hash_add_text(&hash, model->sha256);
    qm_hash_add_text(&hash, recipe);
    qm_hash_end(&hash, variant->sha256);
    variant->variant = recipe;
    *out = variant;
    variant = NULL;
done:
    qm_model_destroy(&variant);
    free(order);
    return status;
}
