#include "bench/worker_sweep.h"
#include "bench/request.h"

#include <string.h>

#include "kernel/kernels.h"

enum {
    SAMPLES_MAX = 256 // of one request
};
#define SEED 20261129u

// ---- Items --------------------------------------------------------------------------------------------------------

json_t *qm_kernel_item_json(const struct qm_kernel_item *item)
{
    return json_pack("{s:s, s:s, s:s, s:i, s:I, s:I, s:I, s:I, s:I, s:s, s:s}", "do", "sweep", "step", "item", "name",
                     item->name, "weights", (int)item->weights, "rows", (json_int_t)item->rows, "n",
                     (json_int_t)item->n, "k", (json_int_t)item->k, "kv_heads", (json_int_t)item->kv_heads, "position",
                     (json_int_t)item->position, "tier", item->tier, "tile", item->tile);
}

void qm_kernel_item_read(const json_t *request, struct qm_kernel_item *item)
{
    *item = (struct qm_kernel_item){.weights = QM_WEIGHT_FORMAT_COUNT,
                                    .rows = qm_request_number(request, "rows"),
                                    .n = qm_request_number(request, "n"),
                                    .k = qm_request_number(request, "k"),
                                    .kv_heads = qm_request_number(request, "kv_heads"),
                                    .position = qm_request_number(request, "position")};
    uint32_t weights = qm_request_number(request, "weights");
    if (weights < QM_WEIGHT_FORMAT_COUNT)
        item->weights = (enum qm_weight_format)weights;
    snprintf(item->name, sizeof(item->name), "%s", qm_request_text(request, "name"));
    snprintf(item->tier, sizeof(item->tier), "%s", qm_request_text(request, "tier"));
    snprintf(item->tile, sizeof(item->tile), "%s", qm_request_text(request, "tile"));
}

static void answer_row(const struct qm_kernel_row *row, json_t *answer)
{
    const char *tile = row->variant ? strrchr(row->variant->name, '-') + 1 : "";
    json_object_set_new(answer, "variant", json_string(row->variant ? row->variant->name : ""));
    json_object_set_new(answer, "tile", json_string(tile));
    json_object_set_new(answer, "definitions", json_string(row->variant ? row->variant->definitions : ""));
    json_object_set_new(answer, "tier", json_string(row->variant ? qm_kernel_tier(row->variant) : ""));
    json_object_set_new(answer, "shape", json_string(row->shape));
    json_object_set_new(answer, "weights", json_string(row->format_title));
    json_object_set_new(answer, "row_status", json_string(qm_status_name(row->status)));
    json_object_set_new(answer, "reason", json_string(row->reason));
    json_object_set_new(answer, "row_error", json_real(row->error));
    json_object_set_new(answer, "bound", json_real(row->bound));
    json_object_set_new(answer, "exact", json_boolean(row->is_exact));
    json_object_set_new(answer, "checked", json_integer((json_int_t)row->checked));
    json_object_set_new(answer, "outputs", json_integer((json_int_t)row->outputs));
    json_object_set_new(answer, "operations", json_real(row->operations));
    json_object_set_new(answer, "bytes", json_real(row->bytes));
    json_object_set_new(answer, "arithmetic", json_integer(row->arithmetic));
    json_object_set_new(answer, "memory", json_integer(row->memory));
    json_object_set_new(answer, "parts", json_integer(row->parts));
    json_object_set_new(answer, "dispatch_rows", json_integer(row->dispatch_rows));
    json_object_set_new(answer, "compile_ns", json_integer((json_int_t)row->compile_ns));
    json_object_set_new(answer, "kernel_hash", json_string(row->kernel_hash));
    json_object_set_new(answer, "binary_hash", json_string(row->binary_hash));
    json_t *statistics = json_object();
    for (uint32_t i = 0; i < row->statistics.count; ++i) // a driver's own words
        json_object_set_new(statistics, row->statistics.of[i].name, json_string(row->statistics.of[i].value));
    json_object_set_new(answer, "statistics", statistics);
}

static enum qm_status make_item(struct qm_worker_sweep *worker, struct qm_device *device, const json_t *request,
                                json_t *answer)
{
    struct qm_kernel_item item;
    struct qm_kernel_row row;
    qm_kernel_problem_destroy(&worker->problem);
    if (!worker->bench) {
        struct qm_kernel_bench_params params = {.device = device,
                                                .capabilities = worker->capabilities,
                                                .capability_count = worker->capability_count,
                                                .seed = SEED};
        QM_TRY(qm_kernel_bench_create(&params, &worker->bench));
    }
    qm_kernel_item_read(request, &item);
    QM_TRY(qm_kernel_problem_create(worker->bench, &item, &worker->problem, &row));
    worker->work = row.operations > 0 ? row.operations : row.bytes;
    answer_row(&row, answer);
    return QM_OK;
}

static enum qm_status time_item(struct qm_worker_sweep *worker, const json_t *request, json_t *answer)
{
    double samples[SAMPLES_MAX];
    size_t count = 0, most = qm_request_number(request, "most");
    uint32_t batch = 0;
    bool device_time = false;
    if (!worker->problem)
        return QM_FAIL(QM_INVALID, "there is no item to time");
    most = most > 0 && most < SAMPLES_MAX ? most : SAMPLES_MAX;
    QM_TRY(qm_kernel_problem_time(worker->problem, (uint64_t)json_integer_value(json_object_get(request, "ns")), most,
                                  samples, &count, &batch, &device_time));
    if (worker->simulation) { // the same numbers however long it took
        count = most;
        batch = 1;
        device_time = false;
    }
    for (size_t i = 0; worker->simulation && i < count; ++i)
        samples[i] = qm_simulation_pass_ns(worker->simulation, worker->work);
    json_t *list = json_array();
    for (size_t i = 0; i < count; ++i)
        json_array_append_new(list, json_real(samples[i]));
    json_object_set_new(answer, "samples_ns", list);
    json_object_set_new(answer, "batch", json_integer(batch));
    json_object_set_new(answer, "device_time", json_boolean(device_time));
    return QM_OK;
}

enum qm_status qm_worker_sweep(struct qm_worker_sweep *worker, struct qm_device *device, const json_t *request,
                               json_t *answer)
{
    const char *step = qm_request_text(request, "step");
    if (strcmp(step, "item") == 0)
        return make_item(worker, device, request, answer);
    if (strcmp(step, "time") == 0)
        return time_item(worker, request, answer);
    if (strcmp(step, "drop") != 0)
        return QM_FAIL(QM_INVALID, "unknown step '%s' of a sweep", step);
    qm_kernel_problem_destroy(&worker->problem);
    return QM_OK;
}

void qm_worker_sweep_close(struct qm_worker_sweep *worker)
{
    qm_kernel_problem_destroy(&worker->problem);
    qm_kernel_bench_destroy(&worker->bench);
}
