#include "bench/worker_kernels.h"

#include <stdlib.h>

#include "bench/ceilings_node.h"
#include "bench/kernel_check.h"

json_t *qm_worker_json(struct qm_node *node)
{
    char *text = NULL;
    json_t *json = qm_node_write_json(node, &text) == QM_OK ? json_loads(text, 0, NULL) : NULL;
    free(text);
    qm_node_destroy(&node);
    return json ? json : json_null();
}

enum qm_status qm_worker_ceilings(struct qm_device *device, const json_t *request, json_t *answer)
{
    struct qm_ceilings_params params = {.budget_ns =
                                            (uint64_t)json_integer_value(json_object_get(request, "budget_ns"))};
    struct qm_ceilings *ceilings = calloc(1, sizeof(*ceilings));
    if (!ceilings)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory to measure ceilings");
    enum qm_status status = qm_ceilings_measure(device, &params, ceilings);
    if (status == QM_OK)
        json_object_set_new(answer, "ceilings", qm_worker_json(qm_ceilings_node(ceilings)));
    free(ceilings);
    return status;
}

static json_t *json_of_report(const struct qm_kernel_report *report)
{
    json_t *json = json_object();
    json_object_set_new(json, "name", json_string(report->name));
    json_object_set_new(json, "tile", json_string(report->tile));
    json_object_set_new(json, "shape", json_string(report->shape));
    json_object_set_new(json, "hash", json_string(report->kernel_hash));
    json_object_set_new(json, "status", json_string(qm_status_name(report->status)));
    json_object_set_new(json, "reason", json_string(report->reason));
    json_object_set_new(json, "error", json_real(report->worst_error));
    json_object_set_new(json, "bound", json_real(report->worst_bound));
    json_object_set_new(json, "samples", json_integer(report->samples));
    json_object_set_new(json, "median_ns", json_real(report->median_ns));
    json_object_set_new(json, "operations", json_real(report->operations));
    json_object_set_new(json, "bytes", json_real(report->bytes));
    return json;
}

enum qm_status qm_worker_kernels(struct qm_device *device, const struct qm_model_config *c, const char *tile,
                                 const json_t *request, json_t *answer)
{
    struct qm_kernel_shapes shapes = {.hidden = c->hidden,
                                      .intermediate = c->intermediate,
                                      .heads = c->heads,
                                      .kv_heads = c->kv_heads,
                                      .vocabulary = c->vocabulary,
                                      .context = c->context,
                                      .tile = tile,
                                      .rows = (uint32_t)json_integer_value(json_object_get(request, "rows")),
                                      .built_in = true,
                                      .quick = json_is_true(json_object_get(request, "quick")),
                                      .time_ns = (uint64_t)json_integer_value(json_object_get(request, "time_ns"))};
    const json_t *wanted = json_object_get(request, "names");
    const char **names = calloc(json_array_size(wanted) + 1, sizeof(*names));
    if (!names)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory to check kernels");
    for (size_t i = 0; i < json_array_size(wanted); ++i) {
        const char *name = json_string_value(json_array_get(wanted, i));
        if (name)
            names[shapes.name_count++] = name;
    }
    shapes.names = names;
    const char *only = json_string_value(json_object_get(request, "only"));
    struct qm_kernel_report *reports = NULL;
    size_t count = 0;
    enum qm_status status = qm_kernel_check_all(device, &shapes, only ? only : "", &reports, &count);
    json_t *list = json_array();
    for (size_t i = 0; i < count; ++i)
        json_array_append_new(list, json_of_report(&reports[i]));
    json_object_set_new(answer, "reports", list);
    free(names);
    free(reports);
    return status;
}
