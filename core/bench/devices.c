#include "bench/devices.h"

#include <stdio.h>
#include <string.h>

#include "backends/backend.h"
#include "bench/client.h"

static void copy_text(char *to, size_t size, json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    snprintf(to, size, "%s", text ? text : "");
}

static void add_entry(struct qm_device_list *list, json_t *row)
{
    if (list->count == QM_DEVICE_LIST_MAX)
        return;
    struct qm_device_entry *entry = &list->entries[list->count];
    copy_text(entry->id, sizeof(entry->id), row, "id");
    copy_text(entry->api, sizeof(entry->api), row, "api");
    copy_text(entry->name, sizeof(entry->name), row, "name");
    copy_text(entry->driver, sizeof(entry->driver), row, "driver");
    copy_text(entry->driver_version, sizeof(entry->driver_version), row, "driver_version");
    copy_text(entry->type, sizeof(entry->type), row, "type");
    entry->ordinal = 0;
    unsigned same = 1;
    for (size_t i = 0; i < list->count; ++i)
        same += strcmp(list->entries[i].name, entry->name) == 0 && strcmp(list->entries[i].api, entry->api) == 0;
    entry->ordinal = same > 1 ? same : 0;
    ++list->count;
}

static void list_api(struct qm_device_list *list, const char *api)
{
    struct qm_client *client = NULL;
    json_t *answer = NULL;
    char *reason = list->apis[list->api_count].reason;
    snprintf(list->apis[list->api_count].api, sizeof(list->apis[0].api), "%s", api);
    size_t reason_size = sizeof(list->apis[0].reason), before = list->count;
    reason[0] = '\0';
    ++list->api_count;
    enum qm_status status = qm_client_start(&client);
    if (status == QM_OK)
        status = qm_client_ask(client, 120, json_pack("{s:s, s:s}", "do", "list", "api", api), &answer);
    if (status == QM_OK) {
        size_t index;
        json_t *row;
        json_array_foreach(json_object_get(answer, "devices"), index, row) add_entry(list, row);
    }
    if (status != QM_OK)
        snprintf(reason, reason_size, "%s", qm_error_text());
    else if (list->count == before)
        snprintf(reason, reason_size, "no device");
    json_decref(answer);
    qm_client_end(&client);
}

enum qm_status qm_device_list_make(struct qm_device_list *out)
{
    out->count = out->api_count = 0;
    for (const struct qm_backend *const *backend = qm_backends; *backend; ++backend) {
        if (*backend != &qm_backend_reference)
            list_api(out, (*backend)->name);
    }
    return QM_OK;
}

void qm_device_list_add_reference(struct qm_device_list *out)
{
    list_api(out, qm_backend_reference.name);
}
