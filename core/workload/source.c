#include "workload/source.h"

#include <stdlib.h>
#include <string.h>

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length > tail && strcmp(text + length - tail, end) == 0;
}

static bool is_lines(const char *name)
{
    return ends_with(name, ".jsonl") || ends_with(name, ".ndjson");
}

static bool is_csv(const char *name)
{
    return ends_with(name, ".csv");
}

static bool is_text(const char *name)
{
    return ends_with(name, ".txt");
}

static bool is_dump(const char *name)
{
    return is_lines(name) && strncmp(name, "samples_", strlen("samples_")) == 0;
}

static size_t count_of(const struct qm_name_list *list, bool (*is)(const char *name))
{
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++)
        count += is(list->names[i]);
    return count;
}

// Leaves the names that are wanted, in their order.
static void keep(struct qm_name_list *list, bool (*is)(const char *name))
{
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (is(list->names[i]))
            list->names[kept++] = list->names[i];
        else
            free(list->names[i]);
    }
    list->count = kept;
}

static enum qm_status check_links(const struct qm_source *source)
{
    for (size_t i = 0; i < source->files.count; i++) {
        char path[QM_PATH_BYTES];
        QM_TRY(qm_source_path(source, i, path));
        if (qm_path_is_link(path))
            return QM_FAIL(QM_INVALID,
                           "%s: a symbolic link, which may lead out of the directory; put the file itself there", path);
    }
    return QM_OK;
}

// The task's part of "samples_TASK_2024-05-01T10-00-00.000000.jsonl": its length, from behind "samples_" on.
static size_t task_length(const char *task)
{
    for (const char *at = strchr(task, '_'); at; at = strchr(at + 1, '_'))
        if (strspn(at + 1, "0123456789") == 4 && at[5] == '-')
            return (size_t)(at - task);
    return strlen(task);
}

// A task that was evaluated again has another dump beside the first, with the same questions.
static enum qm_status check_tasks(const struct qm_source *source)
{
    const size_t begin = strlen("samples_");
    for (size_t i = 1; i < source->files.count; i++) {
        const char *before = source->files.names[i - 1] + begin, *task = source->files.names[i] + begin;
        size_t length = task_length(task);
        if (length == task_length(before) && memcmp(before, task, length) == 0)
            return QM_FAIL(QM_INVALID, "%s/samples_%s: a second dump of the task %.*s; leave one of them there",
                           source->folder, task, (int)length, task);
    }
    return QM_OK;
}

static enum qm_status find_in(const char *folder, bool looks_below, struct qm_source *out);

// Where a folder holds dev/ and test/ of questions.
static enum qm_status find_splits(const char *folder, struct qm_source *out, bool *is_there)
{
    char shots[QM_PATH_BYTES], test[QM_PATH_BYTES];
    *is_there = false;
    QM_TRY(qm_path_join(shots, folder, "dev"));
    QM_TRY(qm_path_join(test, folder, "test"));
    if (!qm_directory_exists(shots) || !qm_directory_exists(test))
        return QM_OK;
    *is_there = true;
    qm_name_list_free(&out->files);
    QM_TRY(find_in(test, false, out));
    if (out->kind != QM_SOURCE_CSV)
        return QM_FAIL(QM_INVALID, "%s: a test/ beside a dev/ without .csv files; expected questions in both", folder);
    memcpy(out->shots, shots, sizeof(shots));
    return QM_OK;
}

static enum qm_status find_below(const char *folder, struct qm_source *out)
{
    char path[QM_PATH_BYTES], only[QM_PATH_BYTES] = "";
    size_t folders = 0;
    for (size_t i = 0; i < out->files.count; i++) {
        QM_TRY(qm_path_join(path, folder, out->files.names[i]));
        if (!qm_directory_exists(path) || qm_path_is_link(path))
            continue;
        folders++;
        memcpy(only, path, sizeof(only));
    }
    qm_name_list_free(&out->files);
    if (folders != 1)
        return QM_FAIL(QM_INVALID,
                       "%s: a directory without .txt, .csv or .jsonl files; give one that has some, of one kind",
                       folder);
    return find_in(only, false, out);
}

static enum qm_status find_in(const char *folder, bool looks_below, struct qm_source *out)
{
    bool is_there = false;
    if (looks_below)
        QM_TRY(find_splits(folder, out, &is_there));
    if (is_there)
        return QM_OK;
    memcpy(out->folder, folder, strlen(folder) + 1);
    QM_TRY(qm_directory_list(folder, &out->files));
    size_t lines = count_of(&out->files, is_lines), csv = count_of(&out->files, is_csv);
    size_t texts = count_of(&out->files, is_text);
    if (lines + csv + texts == 0) {
        if (looks_below)
            return find_below(folder, out);
        return QM_FAIL(QM_INVALID,
                       "%s: a directory without .txt, .csv or .jsonl files; give one that has some, of one kind",
                       folder);
    }
    if ((lines > 0) + (csv > 0) + (texts > 0) > 1)
        return QM_FAIL(QM_INVALID,
                       "%s: files of more than one kind (%zu .jsonl, %zu .csv, %zu .txt); give a directory with one",
                       folder, lines, csv, texts);
    bool has_dumps = count_of(&out->files, is_dump) > 0;
    out->kind = lines > 0 ? QM_SOURCE_LINES : csv > 0 ? QM_SOURCE_CSV : QM_SOURCE_TEXT;
    keep(&out->files, has_dumps ? is_dump : lines > 0 ? is_lines : csv > 0 ? is_csv : is_text);
    if (out->files.count > QM_SOURCE_FILES_MAX)
        return QM_FAIL(QM_INVALID, "%s: %zu files; at most %d are read", folder, out->files.count, QM_SOURCE_FILES_MAX);
    QM_TRY(check_links(out));
    return has_dumps ? check_tasks(out) : QM_OK;
}

enum qm_status qm_source_find(const char *path, struct qm_source *out)
{
    *out = (struct qm_source){.kind = QM_SOURCE_TEXT};
    if (strlen(path) >= QM_PATH_BYTES)
        return QM_FAIL(QM_INVALID, "%.64s...: a path of more than %d bytes; use a shorter one", path,
                       QM_PATH_BYTES - 1);
    out->is_directory = qm_directory_exists(path);
    if (out->is_directory)
        return find_in(path, true, out);
    out->kind = is_lines(path) || ends_with(path, ".json") ? QM_SOURCE_LINES
                : is_csv(path)                             ? QM_SOURCE_CSV
                                                           : QM_SOURCE_TEXT;
    out->files.names = calloc(1, sizeof(*out->files.names));
    if (out->files.names)
        out->files.names[0] = strdup(path);
    if (!out->files.names || !out->files.names[0])
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory to read it", path);
    out->files.count = 1;
    return QM_OK;
}

void qm_source_free(struct qm_source *source)
{
    qm_name_list_free(&source->files);
    *source = (struct qm_source){.kind = QM_SOURCE_TEXT};
}

enum qm_status qm_source_path(const struct qm_source *source, size_t index, char out[QM_PATH_BYTES])
{
    if (source->is_directory)
        return qm_path_join(out, source->folder, source->files.names[index]);
    memcpy(out, source->files.names[index], strlen(source->files.names[index]) + 1);
    return QM_OK;
}

// ---- Hash -----------------------------------------------------------------------------------------------------------

void qm_source_hash_begin(struct qm_source_hash *hash, bool is_directory)
{
    hash->is_directory = is_directory;
    qm_hash_begin(&hash->hash);
}

void qm_source_hash_add(struct qm_source_hash *hash, const char *name, const void *bytes, size_t count)
{
    char text[QM_HASH_TEXT_BYTES];
    if (!hash->is_directory) {
        qm_hash_add(&hash->hash, bytes, count);
        return;
    }
    qm_hash_bytes(bytes, count, text);
    qm_hash_add_text(&hash->hash, qm_path_name(name));
    qm_hash_add_text(&hash->hash, text);
}

void qm_source_hash_end(struct qm_source_hash *hash, char text[QM_HASH_TEXT_BYTES])
{
    qm_hash_end(&hash->hash, text);
}
