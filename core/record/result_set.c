#include "record/result_set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "record/result.h"
#include "sys/file.h"
#include "sys/parallel.h"

enum {
    DEPTH_MAX = 4
};

static enum qm_status add_path(struct qm_result_set *set, size_t *capacity, const char *path)
{
    if (set->count == QM_RESULT_SET_MAX)
        return QM_FAIL(QM_INVALID, "more than %d results; name fewer at a time", QM_RESULT_SET_MAX);
    if (set->count == *capacity) {
        size_t wanted = *capacity ? 2 * *capacity : 64;
        struct qm_result_entry *grown = realloc(set->entries, wanted * sizeof(*grown));
        if (!grown)
            return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %zu results", set->count);
        set->entries = grown;
        *capacity = wanted;
    }
    struct qm_result_entry *entry = &set->entries[set->count];
    *entry = (struct qm_result_entry){.path = malloc(strlen(path) + 1), .order = set->count};
    if (!entry->path)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %zu results", set->count);
    strcpy(entry->path, path);
    ++set->count;
    return QM_OK;
}

static bool ends_in_yaml(const char *name)
{
    size_t length = strlen(name);
    return length > 5 && strcmp(name + length - 5, ".yaml") == 0;
}

static enum qm_status walk(struct qm_result_set *set, size_t *capacity, const char *directory, int depth)
{
    struct qm_name_list names = {0};
    enum qm_status status = qm_directory_list(directory, &names);
    for (size_t i = 0; status == QM_OK && i < names.count; ++i) {
        char path[QM_PATH_BYTES];
        status = qm_path_join(path, directory, names.names[i]);
        if (status == QM_OK && qm_directory_exists(path) && !qm_path_is_link(path) && depth < DEPTH_MAX)
            status = walk(set, capacity, path, depth + 1);
        else if (status == QM_OK && ends_in_yaml(names.names[i]))
            status = add_path(set, capacity, path);
    }
    qm_name_list_free(&names);
    return status;
}

static void load_range(void *context, size_t begin, size_t end)
{
    struct qm_result_set *set = context;
    for (size_t i = begin; i < end; ++i) {
        struct qm_result_entry *entry = &set->entries[i];
        if (qm_result_load(entry->path, &entry->result, &entry->is_intact) == QM_OK)
            qm_history_device(entry->result, entry->device);
    }
}

static int compare_entries(const void *a, const void *b)
{
    const struct qm_result_entry *x = a, *y = b;
    int order = strcmp(qm_node_text_at(x->result, "run.started", ""), qm_node_text_at(y->result, "run.started", ""));
    return order ? order : strcmp(x->path, y->path);
}

// What could not be loaded: an error where the file was named, else it is left out.
static enum qm_status sift(struct qm_result_set *set, const bool *is_named)
{
    size_t kept = 0;
    enum qm_status status = QM_OK;
    for (size_t i = 0; i < set->count; ++i) {
        struct qm_result_entry *entry = &set->entries[i];
        if (entry->result) {
            set->entries[kept++] = *entry;
            continue;
        }
        if (is_named[i] && status == QM_OK) // again, on this thread, for its message
            status = qm_result_load(entry->path, &entry->result, NULL);
        qm_node_destroy(&entry->result);
        free(entry->path);
        set->skipped += !is_named[i];
    }
    set->count = kept;
    return status;
}

enum qm_status qm_result_set_load(const char *const *paths, size_t count, struct qm_result_set *out)
{
    size_t capacity = 0;
    enum qm_status status = QM_OK;
    *out = (struct qm_result_set){0};
    bool *is_named = calloc(QM_RESULT_SET_MAX, sizeof(*is_named));
    if (!is_named)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for results");
    for (size_t i = 0; i < count && status == QM_OK; ++i) {
        bool is_directory = qm_directory_exists(paths[i]);
        size_t before = out->count;
        status = is_directory ? walk(out, &capacity, paths[i], 0) : add_path(out, &capacity, paths[i]);
        if (status == QM_OK && !is_directory)
            is_named[before] = true;
    }
    if (status == QM_OK) {
        qm_parallel_for(out->count, load_range, out);
        status = sift(out, is_named);
    }
    if (status == QM_OK && out->count == 0)
        status = QM_FAIL(QM_INVALID, "%s: no result is in it; expected files that qmark run wrote",
                         count > 0 ? paths[0] : "");
    if (status != QM_OK)
        qm_result_set_free(out);
    else
        qsort(out->entries, out->count, sizeof(*out->entries), compare_entries);
    free(is_named);
    return status;
}

void qm_result_set_free(struct qm_result_set *set)
{
    for (size_t i = 0; i < set->count; ++i) {
        qm_node_destroy(&set->entries[i].result);
        free(set->entries[i].path);
    }
    free(set->entries);
    *set = (struct qm_result_set){0};
}

size_t qm_result_set_group(const struct qm_result_set *set, size_t first, size_t *indices)
{
    size_t count = 0;
    for (size_t i = 0; i < set->count; ++i) {
        if (strcmp(set->entries[i].device, set->entries[first].device) == 0)
            indices[count++] = i;
    }
    return count;
}
