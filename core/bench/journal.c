#include "bench/journal.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "record/result.h"
#include "sys/host.h"

const char *const qm_journal_outcome_names[QM_JOURNAL_OUTCOMES] = {"ok", "wrong", "failed"};

static bool has_samples(const char *directory, const struct qm_node *result)
{
    char path[QM_PATH_BYTES], hash[QM_HASH_TEXT_BYTES];
    const char *file = qm_node_text_at(result, "samples.file", NULL);
    void *bytes = NULL;
    size_t count = 0;
    if (!file)
        return true;
    if (strchr(file, '/') || qm_path_join(path, directory, file) != QM_OK ||
        qm_file_read(path, (size_t)1 << 30, &bytes, &count) != QM_OK)
        return false;
    qm_hash_bytes(bytes, count, hash);
    free(bytes);
    return strcmp(hash, qm_node_text_at(result, "samples.sha256", "")) == 0;
}

bool qm_journal_has_result(const char *directory, const struct qm_journal_device *device)
{
    char path[QM_PATH_BYTES];
    struct qm_node *result = NULL;
    bool is_intact = false;
    if (device->state != QM_JOURNAL_FINISHED || qm_path_join(path, directory, device->file) != QM_OK ||
        qm_result_load(path, &result, &is_intact) != QM_OK)
        return false;
    bool is_same = is_intact && strcmp(qm_node_text_at(result, "hash", ""), device->hash) == 0;
    is_same = is_same && has_samples(directory, result);
    qm_node_destroy(&result);
    return is_same;
}

// Takes the object. The line is the caller's.
static enum qm_status make_line(json_t *object, char **line)
{
    *line = object ? json_dumps(object, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
    json_decref(object);
    if (!*line)
        return QM_FAIL(QM_INVALID, "the journal cannot hold this: out of memory, or a name that is not UTF-8");
    return QM_OK;
}

static enum qm_status add(const char *directory, json_t *object)
{
    char path[QM_PATH_BYTES], *line = NULL;
    QM_TRY(make_line(object, &line));
    enum qm_status status = qm_path_join(path, directory, QM_JOURNAL_NAME);
    if (status == QM_OK)
        status = qm_file_append_line(path, line);
    free(line);
    return status;
}

static json_t *begin_object(const struct qm_journal *journal, const char *time)
{
    const struct qm_journal_identity *identity = &journal->identity;
    json_t *options = json_object();
    for (size_t i = 0; i < journal->option_count; ++i)
        json_object_set_new(options, journal->options[i].name, json_string(journal->options[i].value));
    return json_pack("{s:s, s:i, s:s, s:I, s:s, s:s, s:s, s:s, s:o}", "event", "begin", "journal", QM_JOURNAL_VERSION,
                     "time", time, "pid", (json_int_t)qm_process_id(), "version", identity->version, "source",
                     identity->source, "profile_hash", identity->profile_hash, "model_sha256", identity->model_sha256,
                     "options", options);
}

static json_t *device_object(const struct qm_device_entry *entry)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:i, s:s, s:s}", "event", "device", "id", entry->id, "api", entry->api,
                     "name", entry->name, "ordinal", (int)entry->ordinal, "driver", entry->driver, "driver_version",
                     entry->driver_version);
}

enum qm_status qm_journal_begin(const char *directory, const struct qm_journal *journal)
{
    char time[QM_TIME_TEXT_BYTES], path[QM_PATH_BYTES], *text = NULL;
    size_t used = 0;
    enum qm_status status = QM_OK;
    qm_time_utc(time);
    QM_TRY(qm_path_join(path, directory, QM_JOURNAL_NAME));
    for (size_t i = 0; i <= journal->device_count; ++i) {
        char *line = NULL;
        QM_GUARD(
            make_line(i == 0 ? begin_object(journal, time) : device_object(&journal->devices[i - 1].entry), &line));
        size_t length = strlen(line);
        char *grown = realloc(text, used + length + 1);
        if (grown) {
            text = grown;
            memcpy(text + used, line, length);
            text[used + length] = '\n';
            used += length + 1;
        }
        free(line);
        if (!grown)
            QM_GUARD(QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the journal"));
    }
    status = qm_file_write(path, text, used);
done:
    free(text);
    return status;
}

enum qm_status qm_journal_resume(const char *directory, const struct qm_journal *journal)
{
    char time[QM_TIME_TEXT_BYTES], path[QM_PATH_BYTES];
    void *bytes = NULL;
    size_t count = 0;
    qm_time_utc(time);
    QM_TRY(qm_path_join(path, directory, QM_JOURNAL_NAME));
    QM_TRY(qm_file_read(path, QM_JOURNAL_BYTES_MAX, &bytes, &count));
    enum qm_status status = count > journal->whole_bytes ? qm_file_write(path, bytes, journal->whole_bytes) : QM_OK;
    free(bytes);
    QM_TRY(status);
    return add(directory,
               json_pack("{s:s, s:s, s:I}", "event", "resumed", "time", time, "pid", (json_int_t)qm_process_id()));
}

static json_t *happening(const char *event, const char *id)
{
    char time[QM_TIME_TEXT_BYTES];
    qm_time_utc(time);
    return json_pack("{s:s, s:s, s:s}", "event", event, "time", time, "id", id);
}

enum qm_status qm_journal_add_started(const char *directory, const char *id)
{
    return add(directory, happening("started", id));
}

enum qm_status qm_journal_add_finished(const char *directory, const char *id, const char *file, const char *hash,
                                       enum qm_journal_outcome outcome)
{
    json_t *object = happening("finished", id);
    json_object_set_new(object, "file", json_string(file));
    json_object_set_new(object, "hash", json_string(hash));
    json_object_set_new(object, "outcome", json_string(qm_journal_outcome_names[outcome]));
    return add(directory, object);
}

enum qm_status qm_journal_add_failed(const char *directory, const char *id, const char *reason)
{
    char kept[1000];
    json_t *object = happening("failed", id);
    snprintf(kept, sizeof(kept), "%s", reason);
    // A reason may quote what a driver wrote, in whatever encoding.
    json_t *text = json_string(kept);
    json_object_set_new(object, "reason", text ? text : json_string("undisclosed"));
    return add(directory, object);
}

enum qm_status qm_journal_add_interrupted(const char *directory, const char *id)
{
    return add(directory, happening("interrupted", id));
}

enum qm_status qm_journal_add_ended(const char *directory, int code)
{
    char time[QM_TIME_TEXT_BYTES];
    qm_time_utc(time);
    return add(directory, json_pack("{s:s, s:s, s:i}", "event", "ended", "time", time, "code", code));
}
