#include "bench/devices.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "backends/backend.h"
#include "bench/client.h"

static void copy_text(char *to, size_t size, json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    snprintf(to, size, "%s", text ? text : "");
}

static uint64_t number_of(const json_t *object, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(object, key));
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
    const json_t *limits = json_object_get(row, "limits");
    entry->memory_bytes = number_of(limits, "memory_bytes");
    entry->max_binding_bytes = number_of(limits, "max_binding_bytes");
    entry->max_allocation_bytes = number_of(limits, "max_allocation_bytes");
    entry->ordinal = 0;
    unsigned same = 1;
    for (size_t i = 0; i < list->count; ++i)
        same += strcmp(list->entries[i].name, entry->name) == 0 && strcmp(list->entries[i].api, entry->api) == 0;
    entry->ordinal = same > 1 ? same : 0;
    ++list->count;
}

static void list_api(struct qm_device_list *list, const char *api, const char *const *environment)
{
    struct qm_client *client = NULL;
    json_t *answer = NULL;
    char *reason = list->apis[list->api_count].reason;
    snprintf(list->apis[list->api_count].api, sizeof(list->apis[0].api), "%s", api);
    size_t reason_size = sizeof(list->apis[0].reason), before = list->count;
    reason[0] = '\0';
    ++list->api_count;
    enum qm_status status = qm_client_start(environment, &client);
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

static bool is_in(const char *names, const char *name)
{
    for (const char *at = names; at;) {
        size_t length = strcspn(at, ",");
        if (strlen(name) == length && strncmp(name, at, length) == 0)
            return true;
        at = at[length] == ',' ? at + length + 1 : NULL;
    }
    return false;
}

static void select_named(struct qm_device_list *list, const char *names)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->count; ++i) {
        const struct qm_device_entry *entry = &list->entries[i];
        if (!names || is_in(names, entry->id) || is_in(names, entry->api) || is_in(names, entry->driver))
            list->entries[kept++] = *entry;
    }
    list->count = kept;
}

enum qm_status qm_device_list_make(const char *const *environment, const char *names, struct qm_device_list *out)
{
    out->count = out->api_count = 0;
    out->known[0] = '\0';
    for (const struct qm_backend *const *backend = qm_backends; *backend; ++backend) {
        if (*backend != &qm_backend_reference && (!names || strcmp(names, qm_backend_reference.name) != 0))
            list_api(out, (*backend)->name, environment);
    }
    for (size_t i = 0; i < out->count; ++i) {
        size_t used = strlen(out->known);
        snprintf(out->known + used, sizeof(out->known) - used, "%s%s", used ? ", " : "", out->entries[i].id);
    }
    out->found = out->count;
    select_named(out, names);
    if (names && is_in(names, qm_backend_reference.name))
        list_api(out, qm_backend_reference.name, environment);
    return QM_OK;
}
