// Adding to the history: reading files, checking them on all cores, and storing them a batch at a time.
#include "record/history.h"
#include "record/history_internal.h"
#include "record/node.h"
#include "record/result.h"
#include "sys/parallel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BATCH = 32, // of at most 4 MiB each, with their trees
    BATCH_MAX = 1024,
    DEPTH_MAX = 8
};

struct item {
    char *path; // owned, as bytes and result
    bool is_named;
    void *bytes;
    size_t count;
    char bytes_hash[QM_HASH_TEXT_BYTES], hash[QM_HASH_TEXT_BYTES];
    bool is_known; // by its bytes: it is not parsed again
    struct qm_node *result;
    bool is_intact;
    enum qm_status status;
    char error[QM_HISTORY_MESSAGE_BYTES]; // of `status`: errors are kept per thread
};

struct import {
    struct qm_history *history;
    struct qm_history_import *out;
    struct item *items;
    size_t count, capacity;
    sqlite3_stmt *is_known;
};

// Checks what was read. Touches nothing but the item, as it runs on several threads.
static void check(struct item *item)
{
    item->status = qm_node_parse(item->bytes, item->count, item->path, &qm_node_result_limits, &item->result);
    if (item->status == QM_OK)
        item->status = qm_result_check(item->result);
    if (item->status == QM_OK)
        item->status = qm_node_hash(item->result, "hash", item->hash);
    if (item->status != QM_OK)
        snprintf(item->error, sizeof(item->error), "%s", qm_error_text());
    else
        item->is_intact = strcmp(item->hash, qm_node_text_at(item->result, "hash", "")) == 0;
}

static void check_range(void *context, size_t begin, size_t end)
{
    struct item *items = context;
    for (size_t i = begin; i < end; i++)
        if (items[i].status == QM_OK && !items[i].is_known)
            check(&items[i]);
}

static void release(struct item *item)
{
    qm_node_destroy(&item->result);
    free(item->bytes);
    free(item->path);
    *item = (struct item){0};
}

// Begins a transaction, and ends it whole or not at all.
static enum qm_status finish(struct qm_history *history, enum qm_status status)
{
    if (status == QM_OK)
        status = qm_history_execute(history, "COMMIT");
    if (status != QM_OK)
        sqlite3_exec(history->database, "ROLLBACK", NULL, NULL, NULL); // the first error counts
    return status;
}

static enum qm_status look_up(struct import *import, struct item *item)
{
    qm_hash_bytes(item->bytes, item->count, item->bytes_hash);
    qm_history_bind(import->is_known, 1, item->bytes_hash);
    enum qm_status status = qm_history_step(import->history, import->is_known, &item->is_known);
    sqlite3_reset(import->is_known);
    return status;
}

static void count_unread(struct import *import, const struct item *item)
{
    struct qm_history_import *out = import->out;
    char *first = item->is_named ? out->first_refused : out->first_skipped;
    *(item->is_named ? &out->refused : &out->skipped) += 1;
    if (!first[0])
        snprintf(first, QM_HISTORY_MESSAGE_BYTES, "%s", item->error);
}

static enum qm_status store(struct import *import, struct item *item)
{
    bool is_new = false;
    if (item->is_known) {
        import->out->known++;
        return QM_OK;
    }
    const struct qm_history_item stored = {.result = item->result,
                                           .bytes = item->bytes,
                                           .count = item->count,
                                           .name = item->path,
                                           .hash = item->hash,
                                           .bytes_hash = item->bytes_hash,
                                           .is_intact = item->is_intact};
    QM_TRY(qm_history_store(import->history, &stored, &is_new));
    *(is_new ? &import->out->added : &import->out->known) += 1;
    return QM_OK;
}

// What has been collected becomes part of the history.
static enum qm_status flush(struct import *import)
{
    enum qm_status status = QM_OK;
    struct qm_history_import before = *import->out;
    for (size_t i = 0; i < import->count && status == QM_OK; i++) {
        struct item *item = &import->items[i];
        item->status = qm_file_read(item->path, qm_node_result_limits.bytes, &item->bytes, &item->count);
        if (item->status != QM_OK)
            snprintf(item->error, sizeof(item->error), "%s", qm_error_text());
        else
            status = look_up(import, item);
    }
    if (status == QM_OK) {
        qm_parallel_for(import->count, check_range, import->items);
        status = qm_history_execute(import->history, "BEGIN IMMEDIATE");
    }
    if (status == QM_OK) {
        for (size_t i = 0; i < import->count && status == QM_OK; i++) {
            struct item *item = &import->items[i];
            if (item->status == QM_OK)
                status = store(import, item);
            else if (item->status == QM_OUT_OF_MEMORY)
                status = QM_FAIL(QM_OUT_OF_MEMORY, "%s", item->error);
            else
                count_unread(import, item);
        }
        status = finish(import->history, status);
        if (status != QM_OK)
            *import->out = before;
    }
    for (size_t i = 0; i < import->count; i++)
        release(&import->items[i]);
    import->count = 0;
    return status;
}

static enum qm_status collect_file(struct import *import, const char *path, bool is_named)
{
    if (import->count == import->capacity)
        QM_TRY(flush(import));
    char *copy = strdup(path);
    if (!copy)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory; close other programs and try again", path);
    import->items[import->count++] = (struct item){.path = copy, .is_named = is_named};
    return QM_OK;
}

static bool is_yaml(const char *name)
{
    size_t length = strlen(name);
    return length > 5 && name[0] != '.' && strcmp(name + length - 5, ".yaml") == 0;
}

static enum qm_status collect_directory(struct import *import, const char *path, int depth)
{
    struct qm_name_list list;
    enum qm_status status = qm_directory_list(path, &list);
    if (status == QM_INVALID) {
        struct qm_history_import *out = import->out;
        out->folders++;
        if (!out->first_skipped[0])
            snprintf(out->first_skipped, sizeof(out->first_skipped), "%s", qm_error_text());
        return QM_OK;
    }
    for (size_t i = 0; i < list.count && status == QM_OK; i++) {
        char below[QM_PATH_BYTES];
        status = qm_path_join(below, path, list.names[i]);
        if (status != QM_OK)
            break;
        if (qm_directory_exists(below)) {
            if (depth < DEPTH_MAX && list.names[i][0] != '.' && !qm_path_is_link(below))
                status = collect_directory(import, below, depth + 1);
        } else if (is_yaml(list.names[i])) {
            status = collect_file(import, below, false);
        }
    }
    qm_name_list_free(&list);
    return status;
}

enum qm_status qm_history_add_files(struct qm_history *history, const char *const *paths, size_t count, size_t batch,
                                    struct qm_history_import *out)
{
    enum qm_status status = QM_OK;
    struct import import = {.history = history, .out = out};
    *out = (struct qm_history_import){0};
    import.capacity = batch == 0 ? BATCH : batch < BATCH_MAX ? batch : BATCH_MAX;
    import.items = calloc(import.capacity, sizeof(*import.items));
    if (!import.items)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory to read results; close other programs and try again");
    QM_GUARD(qm_history_prepare(history, "SELECT 1 FROM results WHERE bytes_hash = ?", &import.is_known));
    for (size_t i = 0; i < count && status == QM_OK; i++)
        status = qm_directory_exists(paths[i]) ? collect_directory(&import, paths[i], 1)
                                               : collect_file(&import, paths[i], true);
    if (status == QM_OK)
        status = flush(&import);
done:
    for (size_t i = 0; i < import.count; i++)
        release(&import.items[i]);
    sqlite3_finalize(import.is_known);
    free(import.items);
    return status;
}

enum qm_status qm_history_add(struct qm_history *history, const void *bytes, size_t count, const char *name,
                              bool *is_new)
{
    // Path and bytes stay the caller's.
    struct item item = {.path = (char *)(uintptr_t)name, .bytes = (void *)(uintptr_t)bytes, .count = count};
    enum qm_status status = QM_OK;
    *is_new = false;
    check(&item);
    if (item.status != QM_OK)
        QM_GUARD(item.status);
    qm_hash_bytes(bytes, count, item.bytes_hash);
    const struct qm_history_item stored = {.result = item.result,
                                           .bytes = bytes,
                                           .count = count,
                                           .name = name,
                                           .hash = item.hash,
                                           .bytes_hash = item.bytes_hash,
                                           .is_intact = item.is_intact};
    QM_GUARD(qm_history_execute(history, "BEGIN IMMEDIATE"));
    QM_GUARD(finish(history, qm_history_store(history, &stored, is_new)));
done:
    qm_node_destroy(&item.result);
    return status;
}
