#include "bench/tune_run.h"

#include "bench/client.h"
#include "bench/request.h"
#include "bench/tune.h"
#include "bench/worker_tune.h"
#include "kernel/kernels.h"
#include "sys/host.h"
#include "sys/process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CANDIDATES_MAX = 256
};
#define NS 1e9

// Items of one name, tier and tile.
struct group {
    const struct qm_kernel_plan_item *first;
    struct qm_kernel_item items[QM_TUNE_ITEMS_MAX];
    size_t count;
};

struct tuning {
    const struct qm_tune_run_params *params;
    struct qm_tune_tally *tally;
    struct qm_tuned tuned;
    struct group *groups;
    size_t group_count;
    struct qm_client *client;
    const struct qm_device_entry *device;
    uint64_t began_ns;
    size_t done, all;
};

static bool is_of(const struct group *group, const struct qm_kernel_item *item)
{
    const struct qm_kernel_item *first = &group->items[0];
    return strcmp(first->name, item->name) == 0 && strcmp(first->tier, item->tier) == 0 &&
           strcmp(first->tile, item->tile) == 0;
}

// The first few shapes of each kernel: a plan names the ones that matter.
static enum qm_status make_groups(struct tuning *t)
{
    t->groups = calloc(t->params->item_count + 1, sizeof(*t->groups));
    if (!t->groups)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a list of kernels");
    for (size_t i = 0; i < t->params->item_count; ++i) {
        const struct qm_kernel_plan_item *item = &t->params->items[i];
        size_t g = 0;
        while (g < t->group_count && !is_of(&t->groups[g], &item->item))
            ++g;
        if (g == t->group_count)
            t->groups[t->group_count++].first = item;
        if (t->groups[g].count < QM_TUNE_ITEMS_MAX)
            t->groups[g].items[t->groups[g].count++] = item->item;
    }
    return QM_OK;
}

static double seconds_left(const struct tuning *t)
{
    double used = (double)(qm_clock_ns() - t->began_ns) / NS;
    return t->params->seconds ? (double)t->params->seconds - used : 1e9;
}

static enum qm_status start(struct tuning *t)
{
    json_t *answer = NULL;
    if (t->client)
        return QM_OK;
    QM_TRY(qm_client_start(NULL, &t->client));
    json_t *request = json_pack("{s:s, s:s}", "do", "open", "device", t->device->id);
    json_object_set_new(request, "cache", t->params->cache_dir ? json_string(t->params->cache_dir) : json_null());
    enum qm_status status = qm_client_ask(t->client, qm_client_timeout_s(), request, &answer);
    json_decref(answer);
    answer = NULL;
    if (status == QM_OK)
        status = qm_client_ask(t->client, qm_client_timeout_s(), json_pack("{s:s}", "do", "selftest"), &answer);
    if (status == QM_OK && strcmp(qm_request_text(json_object_get(answer, "selftest"), "status"), "ok") != 0)
        status = QM_FAIL(QM_WRONG_RESULT, "the device fails its self-test: %s",
                         qm_request_text(json_object_get(answer, "selftest"), "reason"));
    json_decref(answer);
    if (status != QM_OK)
        qm_client_end(&t->client);
    return status;
}

static void write_shapes(const struct group *group, char *text, size_t bytes)
{
    size_t length = 0;
    text[0] = '\0';
    for (size_t i = 0; i < group->count && length < bytes; ++i) {
        const struct qm_kernel_item *item = &group->items[i];
        int written = snprintf(text + length, bytes - length, "%s%ux%ux%u", i ? " " : "", item->rows, item->n, item->k);
        length += written > 0 ? (size_t)written : 0;
    }
}

// What the store has of the kernel on this device, if it is current.
static const struct qm_tuned_entry *find_kept(const struct tuning *t, const struct group *group)
{
    struct qm_device_info info = {0};
    snprintf(info.api, sizeof(info.api), "%s", t->device->api);
    snprintf(info.name, sizeof(info.name), "%s", t->device->name);
    snprintf(info.driver, sizeof(info.driver), "%s", t->device->driver_version);
    const struct qm_kernel_item *item = &group->items[0];
    const size_t length = strlen(item->name);
    for (size_t i = 0; i < t->tuned.count; ++i) {
        const struct qm_tuned_entry *e = &t->tuned.entries[i], *current;
        const char *tile = e->variant + length + 1;
        if (strncmp(e->variant, item->name, length) != 0 || e->variant[length] != '-' || strchr(tile, '-'))
            continue;
        const struct qm_kernel_variant *right = qm_kernel_find(item->name, tile);
        if (right && qm_tuned_find(&t->tuned, right, &info, &current) == QM_TUNED_CURRENT && !current->reason[0])
            return current;
    }
    return NULL;
}

static void tell(struct tuning *t, const struct qm_tuned_entry *entry, bool is_kept, const json_t *log)
{
    const char *lines[CANDIDATES_MAX];
    size_t count = 0;
    for (size_t i = 0; i < json_array_size(log) && count < CANDIDATES_MAX; ++i)
        lines[count++] = json_string_value(json_array_get(log, i));
    if (is_kept)
        ++t->tally->kept;
    else if (entry->reason[0])
        ++t->tally->failed;
    else if (entry->settings[0])
        ++t->tally->faster;
    else
        ++t->tally->same;
    if (t->params->tell)
        t->params->tell(t->params->context, t->device, entry, is_kept, lines, count);
}

static enum qm_status tune_group(struct tuning *t, const struct group *group)
{
    const struct qm_tuned_entry *kept = t->params->is_anew ? NULL : find_kept(t, group);
    struct qm_tuned_entry entry = {0};
    json_t *answer = NULL;
    if (kept) {
        tell(t, kept, true, NULL);
        return QM_OK;
    }
    double left = seconds_left(t);
    if (left <= 0 || qm_interrupted()) {
        ++t->tally->left;
        return QM_OK;
    }
    size_t open = t->all - t->done;
    uint64_t limit_ns = t->params->seconds ? (uint64_t)(left / (double)(open ? open : 1) * NS) : 0;
    enum qm_status status = start(t);
    if (status == QM_OK)
        status = qm_client_ask(t->client, qm_client_timeout_s(), qm_tune_request(group->items, group->count, limit_ns),
                               &answer);
    if (t->client && !qm_client_is_alive(t->client))
        qm_client_end(&t->client);
    if (status == QM_OK)
        status = qm_tune_answer(answer, &entry);
    if (status == QM_INTERRUPTED) {
        json_decref(answer);
        ++t->tally->left;
        return QM_OK;
    }
    if (status != QM_OK) {
        snprintf(entry.variant, sizeof(entry.variant), "%s", group->items[0].name);
        snprintf(entry.reason, sizeof(entry.reason), "%.199s", qm_error_text());
        tell(t, &entry, false, NULL);
        return QM_OK;
    }
    write_shapes(group, entry.shapes, sizeof(entry.shapes));
    qm_time_utc(entry.date);
    status = qm_tuned_put(&t->tuned, &entry);
    if (status == QM_OK)
        status = qm_tuned_save(&t->tuned, t->params->store);
    tell(t, &entry, false, json_object_get(answer, "log"));
    json_decref(answer);
    return status;
}

enum qm_status qm_tune_run(const struct qm_tune_run_params *params, struct qm_tune_tally *tally)
{
    struct tuning t = {.params = params, .tally = tally, .began_ns = qm_clock_ns()};
    enum qm_status status;
    *tally = (struct qm_tune_tally){0};
    if (qm_tuned_load(params->store, &t.tuned) != QM_OK)
        fprintf(stderr, "%s; it is made anew\n", qm_error_text());
    QM_GUARD(make_groups(&t));
    t.all = t.group_count * params->devices->count;
    for (size_t d = 0; d < params->devices->count; ++d) {
        t.device = &params->devices->entries[d];
        for (size_t g = 0; g < t.group_count; ++g, ++t.done) {
            char what[128];
            snprintf(what, sizeof(what), "%s on %s", t.groups[g].items[0].name, t.device->id);
            if (params->progress)
                params->progress(params->progress_context, what, (double)t.done / (double)t.all);
            QM_GUARD(tune_group(&t, &t.groups[g]));
        }
        qm_client_end(&t.client);
    }
done:
    qm_client_end(&t.client);
    tally->is_interrupted = qm_interrupted();
    free(t.groups);
    qm_tuned_free(&t.tuned);
    return status;
}
