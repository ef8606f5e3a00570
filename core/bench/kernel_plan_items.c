// From a plan to its rows.
#include "bench/kernel_plan.h"

#include "bench/kernel_cases.h"
#include "bench/kernel_shapes.h"
#include "quant/format.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct list {
    const struct qm_kernel_plan *plan;
    struct qm_kernel_plan_item *items;
    size_t count;
};

static bool has(const struct qm_kernel_words *words, const char *word)
{
    for (size_t i = 0; i < words->count; ++i)
        if (strcmp(words->items[i], word) == 0)
            return true;
    return false;
}

// The same row: shape, variant, tier and tile. Which layer it was asked for does not count.
static bool is_same(const struct qm_kernel_item *a, const struct qm_kernel_item *b)
{
    return strcmp(a->name, b->name) == 0 && a->weights == b->weights && a->rows == b->rows && a->n == b->n &&
           a->k == b->k && a->kv_heads == b->kv_heads && a->position == b->position && strcmp(a->tier, b->tier) == 0 &&
           strcmp(a->tile, b->tile) == 0;
}

static enum qm_status add_one(struct list *list, const struct qm_kernel_plan_item *wanted)
{
    for (size_t i = 0; i < list->count; ++i) {
        struct qm_kernel_plan_item *there = &list->items[i];
        if (!is_same(&there->item, &wanted->item))
            continue;
        if (!there->growth[0])
            memcpy(there->growth, wanted->growth, sizeof(there->growth));
        return QM_OK;
    }
    if (list->count == QM_KERNEL_PLAN_ITEMS_MAX)
        return QM_FAIL(QM_INVALID, "the sweep has more than %d rows; leave out formats, rows or models",
                       QM_KERNEL_PLAN_ITEMS_MAX);
    list->items[list->count++] = *wanted;
    return QM_OK;
}

// In every tier, or in every tile where those are named.
static enum qm_status add(struct list *list, const struct qm_kernel_plan_item *wanted)
{
    const struct qm_kernel_plan *plan = list->plan;
    struct qm_kernel_plan_item item = *wanted;
    for (size_t i = 0; i < plan->tiles.count; ++i) {
        snprintf(item.item.tile, sizeof(item.item.tile), "%s", plan->tiles.items[i]);
        QM_TRY(add_one(list, &item));
    }
    for (size_t i = 0; plan->tiles.count == 0 && i < plan->tiers.count; ++i) {
        bool is_best = strcmp(plan->tiers.items[i], "best") == 0;
        snprintf(item.item.tier, sizeof(item.item.tier), "%.11s", is_best ? "" : plan->tiers.items[i]);
        QM_TRY(add_one(list, &item));
    }
    return QM_OK;
}

static enum qm_status check_k(const struct qm_kernel_format *format, uint32_t k)
{
    uint32_t multiple = qm_format_column_multiple(format->weights);
    multiple = multiple > 32 ? multiple : 32;
    if (k % multiple == 0)
        return QM_OK;
    return QM_FAIL(QM_INVALID, "K of %u is no multiple of %u, which format %s takes; %u would do", k, multiple,
                   format->name, (k / multiple + 1) * multiple);
}

static enum qm_status add_product(struct list *list, const char *kernel, const struct qm_kernel_format *format,
                                  uint32_t rows, uint32_t n, uint32_t k, const char *layer, const char *growth)
{
    struct qm_kernel_plan_item item = {.item = {.weights = format->weights, .rows = rows, .n = n, .k = k}};
    QM_TRY(check_k(format, k));
    snprintf(item.kernel, sizeof(item.kernel), "%s", kernel);
    snprintf(item.format, sizeof(item.format), "%s", format->name);
    snprintf(item.item.name, sizeof(item.item.name), "%s-%.24s", kernel, format->parts);
    snprintf(item.layer, sizeof(item.layer), "%s", layer);
    if (*growth)
        snprintf(item.growth, sizeof(item.growth), "%s", growth);
    return add(list, &item);
}

// Which of the two kernels a number of rows is for.
static enum qm_status add_products(struct list *list, uint32_t rows, uint32_t n, uint32_t k, const char *layer,
                                   const char *growth)
{
    const struct qm_kernel_plan *plan = list->plan;
    bool has_matvec = has(&plan->kernels, "matvec"), has_matmul = has(&plan->kernels, "matmul");
    for (size_t i = 0; i < plan->format_count; ++i) {
        if (has_matvec && (rows <= 8 || !has_matmul))
            QM_TRY(add_product(list, "matvec", &plan->formats[i], rows, n, k, layer, growth));
        if (has_matmul && (rows > 1 || !has_matvec))
            QM_TRY(add_product(list, "matmul", &plan->formats[i], rows, n, k, layer, growth));
    }
    return QM_OK;
}

static enum qm_status add_dequantize(struct list *list, uint32_t n, uint32_t k, const char *layer)
{
    const struct qm_kernel_plan *plan = list->plan;
    for (size_t i = 0; has(&plan->kernels, "dequantize") && i < plan->format_count; ++i) {
        struct qm_kernel_format format = plan->formats[i];
        const char *kernel = qm_weight_codec(format.weights)->kernel;
        QM_TRY(check_k(&format, k));
        struct qm_kernel_plan_item item = {.item = {.weights = format.weights, .rows = 1, .n = n, .k = k},
                                           .kernel = "dequantize"};
        snprintf(item.format, sizeof(item.format), "%s", kernel);
        snprintf(item.item.name, sizeof(item.item.name), "dequantize-%.16s", kernel);
        snprintf(item.layer, sizeof(item.layer), "%s", layer);
        QM_TRY(add(list, &item));
    }
    return QM_OK;
}

static enum qm_status add_attention(struct list *list, const char *kernel, const struct qm_known_model *m)
{
    const struct qm_kernel_plan *plan = list->plan;
    for (size_t i = 0; has(&plan->kernels, kernel) && i < plan->kv.count; ++i) {
        for (size_t r = 0; r < plan->rows.count; ++r) {
            // A decode step at the end of the context, or the context's last part as a prompt.
            uint32_t rows = plan->rows.items[r];
            rows = rows < plan->context ? rows : plan->context;
            struct qm_kernel_plan_item item = {
                .item = {.weights = QM_WEIGHT_FORMAT_COUNT,
                         .rows = rows,
                         .n = m->heads,
                         .k = 1,
                         .kv_heads = m->kv_heads,
                         .position = rows <= 8 ? plan->context - 1 : plan->context - rows}};
            snprintf(item.kernel, sizeof(item.kernel), "%s", kernel);
            snprintf(item.format, sizeof(item.format), "%s", plan->kv.items[i]);
            snprintf(item.item.name, sizeof(item.item.name), "%s-%.12s%s", kernel, plan->kv.items[i],
                     m->head == 128 ? "-h128" : "");
            snprintf(item.layer, sizeof(item.layer), "%s", m->name);
            QM_TRY(add(list, &item));
        }
    }
    return QM_OK;
}

// Kernels over rows and single elements.
static enum qm_status add_rows(struct list *list, const char *name, const char *kernel, const char *format,
                               const struct qm_known_model *m, uint32_t rows, uint32_t n, uint32_t k)
{
    if (!has(&list->plan->kernels, kernel))
        return QM_OK;
    struct qm_kernel_plan_item item = {
        .item = {.weights = QM_WEIGHT_FORMAT_COUNT, .rows = rows, .n = n, .k = k, .kv_heads = m->kv_heads}};
    snprintf(item.kernel, sizeof(item.kernel), "%s", kernel);
    snprintf(item.format, sizeof(item.format), "%s", format);
    snprintf(item.item.name, sizeof(item.item.name), "%s", name);
    snprintf(item.layer, sizeof(item.layer), "%s", m->name);
    return add(list, &item);
}

static enum qm_status add_activations(struct list *list, const struct qm_known_model *m, uint32_t rows)
{
    const struct qm_kernel_plan *plan = list->plan;
    for (size_t i = 0; i < plan->format_count; ++i) {
        const char *part = strrchr(plan->formats[i].parts, '-') + 1;
        char name[QM_PROBLEM_NAME_BYTES];
        if (strcmp(part, "f32") == 0) // they are as they come
            continue;
        snprintf(name, sizeof(name), "activations-%.16s", part);
        QM_TRY(add_rows(list, name, "activations", part, m, rows, 1, m->hidden));
        QM_TRY(add_rows(list, name, "activations", part, m, rows, 1, m->intermediate));
    }
    return QM_OK;
}

static enum qm_status add_model(struct list *list, const struct qm_known_model *m)
{
    const struct qm_kernel_plan *plan = list->plan;
    const char *rope = m->head == 128 ? "rope-h128" : "rope";
    for (size_t i = 0; i < plan->layers.count; ++i) {
        uint32_t n, k;
        char layer[QM_KERNEL_PLAN_WORD_BYTES + 16];
        snprintf(layer, sizeof(layer), "%s %s", m->name, plan->layers.items[i]);
        qm_known_layer(m, plan->layers.items[i], &n, &k);
        for (size_t r = 0; r < plan->rows.count; ++r)
            QM_TRY(add_products(list, plan->rows.items[r], n, k, layer, plan->rows.count > 2 ? layer : ""));
        QM_TRY(add_dequantize(list, n, k, layer));
    }
    QM_TRY(add_attention(list, "attention", m));
    QM_TRY(add_attention(list, "kv_write", m));
    for (size_t r = 0; r < plan->rows.count; ++r) {
        uint32_t rows = plan->rows.items[r];
        QM_TRY(add_activations(list, m, rows));
        QM_TRY(add_rows(list, "rmsnorm", "rmsnorm", "", m, rows, 1, m->hidden));
        QM_TRY(add_rows(list, rope, "rope", "", m, rows, m->heads, 1));
        QM_TRY(add_rows(list, "swiglu", "swiglu", "", m, 1, 1, rows * m->intermediate));
        QM_TRY(add_rows(list, "residual", "residual", "", m, 1, 1, rows * m->hidden));
        QM_TRY(add_rows(list, "copy", "copy", "", m, 1, 1, rows * m->hidden));
        // As much of the table as every device binds: a model's lies in parts.
        uint32_t entries = (1u << 26) / m->hidden < m->vocabulary ? (1u << 26) / m->hidden : m->vocabulary;
        QM_TRY(add_rows(list, "embedding-f16", "embedding", "f16", m, rows, entries, m->hidden));
        QM_TRY(add_rows(list, "log_softmax", "log_softmax", "", m, rows, m->vocabulary, 1));
        QM_TRY(add_rows(list, "argmax", "argmax", "", m, rows, m->vocabulary, 1));
    }
    return QM_OK;
}

static enum qm_status add_growth(struct list *list)
{
    const struct qm_kernel_plan *plan = list->plan;
    if (plan->growth_models.count) {
        const struct qm_known_model *m = qm_known_model_find(plan->growth_models.items[0]);
        uint32_t n, k;
        char layer[QM_KERNEL_PLAN_WORD_BYTES + 16];
        snprintf(layer, sizeof(layer), "%s %s", m->name, plan->growth_layers.items[0]);
        qm_known_layer(m, plan->growth_layers.items[0], &n, &k);
        for (size_t r = 0; r < plan->growth_rows.count; ++r)
            QM_TRY(add_products(list, plan->growth_rows.items[r], n, k, layer, layer));
    }
    for (size_t i = 0; i < plan->growth_sizes.count; ++i) {
        uint32_t size = plan->growth_sizes.items[i];
        QM_TRY(add_products(list, size, size, size, "", "cube"));
    }
    return QM_OK;
}

enum qm_status qm_kernel_plan_items(const struct qm_kernel_plan *plan, struct qm_kernel_plan_item **out, size_t *count)
{
    struct list list = {.plan = plan, .items = calloc(QM_KERNEL_PLAN_ITEMS_MAX, sizeof(*list.items))};
    enum qm_status status = QM_OK;
    *out = NULL;
    *count = 0;
    if (!list.items)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the rows of a sweep");
    for (size_t i = 0; i < plan->shape_count; ++i) {
        const struct qm_kernel_shape *s = &plan->shapes[i];
        QM_GUARD(add_products(&list, s->rows, s->n, s->k, "", ""));
        QM_GUARD(add_dequantize(&list, s->n, s->k, ""));
    }
    for (size_t i = 0; i < plan->models.count; ++i)
        QM_GUARD(add_model(&list, qm_known_model_find(plan->models.items[i])));
    QM_GUARD(add_growth(&list));
    if (list.count == 0)
        status =
            QM_FAIL(QM_INVALID, "the sweep has no row: it needs a model or a shape, a kernel, and a format for it");
done:
    if (status != QM_OK) {
        free(list.items);
        return status;
    }
    *out = list.items;
    *count = list.count;
    return QM_OK;
}
