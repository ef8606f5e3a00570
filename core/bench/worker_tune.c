#include "bench/worker_tune.h"

#include "bench/request.h"
#include "bench/worker_sweep.h"

#include <stdio.h>
#include <string.h>

#define SEED 20261129u

json_t *qm_tune_request(const struct qm_kernel_item *items, size_t count, uint64_t limit_ns)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; ++i)
        json_array_append_new(list, qm_kernel_item_json(&items[i]));
    return json_pack("{s:s, s:o, s:I}", "do", "tune", "items", list, "limit_ns", (json_int_t)limit_ns);
}

// Every candidate is a line of the answer.
static void note(void *context, const char *candidate, const struct qm_tune_trial *trial, const char *reason)
{
    char line[400];
    if (trial->status == QM_OK)
        snprintf(line, sizeof(line), "%s: %.3f (%.3f to %.3f)", *candidate ? candidate : "fixed", trial->ratio,
                 trial->low, trial->high);
    else
        snprintf(line, sizeof(line), "%s: out, %.160s", *candidate ? candidate : "fixed", reason);
    json_array_append_new(context, json_string(line));
}

enum qm_status qm_worker_tune(struct qm_device *device, const struct qm_capability *capabilities,
                              size_t capability_count, const json_t *request, json_t *answer)
{
    static struct qm_tuned_kernel tuned;
    struct qm_kernel_item items[QM_TUNE_ITEMS_MAX];
    const json_t *list = json_object_get(request, "items");
    size_t count = json_array_size(list);
    if (count == 0 || count > QM_TUNE_ITEMS_MAX)
        return QM_FAIL(QM_INVALID, "%zu shapes to tune a kernel at; 1 to %d are taken", count, QM_TUNE_ITEMS_MAX);
    for (size_t i = 0; i < count; ++i)
        qm_kernel_item_read(json_array_get(list, i), &items[i]);
    json_t *log = json_array();
    struct qm_tune_params params = {.device = device,
                                    .capabilities = capabilities,
                                    .capability_count = capability_count,
                                    .seed = SEED,
                                    .items = items,
                                    .item_count = count,
                                    .limit_ns = (uint64_t)json_integer_value(json_object_get(request, "limit_ns")),
                                    .tell = note,
                                    .context = log};
    json_object_set_new(answer, "log", log);
    QM_TRY(qm_tune_kernel(&params, &tuned));
    const struct qm_tune_found *found = &tuned.found;
    json_object_set_new(answer, "variant", json_string(tuned.right->name));
    json_object_set_new(answer, "kernel_hash", json_string(tuned.kernel_hash));
    json_object_set_new(answer, "api", json_string(device->info->api));
    json_object_set_new(answer, "device", json_string(device->info->name));
    json_object_set_new(answer, "driver", json_string(device->info->driver));
    json_object_set_new(answer, "settings", json_string(found->settings));
    json_object_set_new(answer, "ratio", json_real(found->over_fixed.ratio));
    json_object_set_new(answer, "low", json_real(found->over_fixed.low));
    json_object_set_new(answer, "high", json_real(found->over_fixed.high));
    json_object_set_new(answer, "tried", json_integer(found->tried));
    json_object_set_new(answer, "impossible", json_integer(found->impossible));
    json_object_set_new(answer, "refused", json_integer(found->refused));
    json_object_set_new(answer, "is_complete", json_boolean(found->is_complete));
    return QM_OK;
}

enum qm_status qm_tune_answer(const json_t *answer, struct qm_tuned_entry *out)
{
    memset(out, 0, sizeof(*out));
    snprintf(out->variant, sizeof(out->variant), "%s", qm_request_text(answer, "variant"));
    snprintf(out->kernel_hash, sizeof(out->kernel_hash), "%s", qm_request_text(answer, "kernel_hash"));
    snprintf(out->api, sizeof(out->api), "%s", qm_request_text(answer, "api"));
    snprintf(out->device, sizeof(out->device), "%s", qm_request_text(answer, "device"));
    snprintf(out->driver, sizeof(out->driver), "%s", qm_request_text(answer, "driver"));
    snprintf(out->settings, sizeof(out->settings), "%s", qm_request_text(answer, "settings"));
    out->ratio = json_number_value(json_object_get(answer, "ratio"));
    out->low = json_number_value(json_object_get(answer, "low"));
    out->high = json_number_value(json_object_get(answer, "high"));
    out->tried = (unsigned)json_integer_value(json_object_get(answer, "tried"));
    out->is_complete = json_is_true(json_object_get(answer, "is_complete"));
    return out->variant[0] && out->ratio > 0 ? QM_OK : QM_FAIL(QM_FAILED, "a worker's answer lacks what it found");
}
