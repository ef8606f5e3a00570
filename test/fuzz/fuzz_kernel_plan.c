// libFuzzer target: any bytes are read as a profile of kernels, and what follows the first zero byte as the list of an option.
// What is accepted keeps its limits, means the same when it is written and read again, and has rows or says why not.
//
//   tools/fuzz.sh 60 kernel_plan
#include "bench/kernel_plan.h"
#include "record/node.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static void require(int condition)
{
    if (!condition)
        abort();
}

static void check_plan(const struct qm_kernel_plan *plan)
{
    static struct qm_kernel_plan again;
    struct qm_kernel_plan_item *items = NULL;
    size_t count = 0;
    require(plan->shape_count <= QM_KERNEL_PLAN_LIST_MAX && plan->format_count <= QM_KERNEL_PLAN_LIST_MAX);
    struct qm_node *expanded = qm_kernel_plan_expand(plan);
    require(qm_node_ok(expanded) && qm_kernel_plan_read(expanded, &again) == QM_OK);
    require(again.format_count == plan->format_count && again.rows.count == plan->rows.count);
    require(memcmp(again.shapes, plan->shapes, sizeof(again.shapes)) == 0);
    qm_node_destroy(&expanded);
    if (qm_kernel_plan_items(plan, &items, &count) != QM_OK) {
        require(!strchr(qm_error_text(), '\n') && !items);
        return;
    }
    require(count >= 1 && count <= QM_KERNEL_PLAN_ITEMS_MAX);
    for (size_t i = 0; i < count; i++) {
        const struct qm_kernel_item *item = &items[i].item;
        require(item->name[0] && item->rows >= 1 && item->n >= 1 && item->k >= 1);
        require(strnlen(item->tile, sizeof(item->tile)) < sizeof(item->tile));
    }
    free(items);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static const char *const keys[] = {"models",  "layers", "shapes", "rows", "kernels",
                                       "formats", "kv",     "tiers",  "tiles"};
    static struct qm_kernel_plan plan;
    const uint8_t *zero = memchr(bytes, 0, count);
    size_t length = zero ? (size_t)(zero - bytes) : count;
    struct qm_node *root = NULL;
    memset(&plan, 0, sizeof(plan));
    if (qm_node_parse(bytes, length, "p", &qm_node_profile_limits, &root) == QM_OK) {
        if (qm_kernel_plan_read(root, &plan) == QM_OK)
            check_plan(&plan);
        else
            require(strncmp(qm_error_text(), "p:", 2) == 0 && !strchr(qm_error_text(), '\n'));
        qm_node_destroy(&root);
    }
    if (!zero || count - length - 1 == 0)
        return 0;
    char list[512];
    snprintf(list, sizeof(list), "%.*s", (int)(count - length - 2 < 500 ? count - length - 2 : 500),
             (const char *)zero + 2);
    if (qm_kernel_plan_set(&plan, keys[zero[1] % 9], list) != QM_OK)
        require(!strchr(qm_error_text(), '\n'));
    return 0;
}
