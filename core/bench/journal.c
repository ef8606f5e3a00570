#include "bench/journal.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "record/result.h"
#include "sys/host.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const outcome_names[] = {"ok", "wrong", "failed"};

// ---- Reading --------------------------------------------------------------------------------------------------------

struct reader {
    const char *name;
    size_t line;
    struct qm_journal *out;
    json_t *object; // of the line
    size_t members; // of it that were asked for
};

static enum qm_status fail_line(const struct reader *reader, const char *what)
{
    return QM_FAIL(QM_INVALID, "%s:%zu: %s; begin a new run without --resume", reader->name, reader->line, what);
}

static enum qm_status read_text(struct reader *reader, const char *key, char *out, size_t capacity)
{
    char what[96];
    const json_t *value = json_object_get(reader->object, key);
    const char *text = json_string_value(value);
    ++reader->members;
    // A zero byte would end the text for us and not for others.
    if (!text || json_string_length(value) != strlen(text) || strlen(text) >= capacity) {
        snprintf(what, sizeof(what), "'%s' is no text below %zu bytes", key, capacity);
        return fail_line(reader, what);
    }
    snprintf(out, capacity, "%s", text);
    return QM_OK;
}

static enum qm_status read_hash(struct reader *reader, const char *key, char out[QM_HASH_TEXT_BYTES])
{
    char what[96];
    QM_TRY(read_text(reader, key, out, QM_HASH_TEXT_BYTES));
    if (strlen(out) == 64 && strspn(out, "0123456789abcdef") == 64)
        return QM_OK;
    snprintf(what, sizeof(what), "'%s' is no hash of 64 hexadecimal digits", key);
    return fail_line(reader, what);
}

static enum qm_status read_whole(struct reader *reader, const char *key, json_int_t most, json_int_t *out)
{
    char what[96];
    const json_t *value = json_object_get(reader->object, key);
    ++reader->members;
    *out = json_integer_value(value);
    if (json_is_integer(value) && *out >= 0 && *out <= most)
        return QM_OK;
    snprintf(what, sizeof(what), "'%s' is no whole number up to %lld", key, (long long)most);
    return fail_line(reader, what);
}

static enum qm_status read_options(struct reader *reader)
{
    json_t *options = json_object_get(reader->object, "options"), *value;
    const char *key;
    ++reader->members;
    if (!json_is_object(options) || json_object_size(options) > QM_JOURNAL_OPTIONS_MAX)
        return fail_line(reader, "'options' is no mapping of a few options");
    json_object_foreach(options, key, value)
    {
        struct qm_journal_option *option = &reader->out->options[reader->out->option_count];
        const char *text = json_string_value(value);
        if (!text || json_string_length(value) != strlen(text) || strlen(text) >= sizeof(option->value) ||
            strlen(key) >= sizeof(option->name))
            return fail_line(reader, "an option is no text, or too long");
        snprintf(option->name, sizeof(option->name), "%s", key);
        snprintf(option->value, sizeof(option->value), "%s", text);
        ++reader->out->option_count;
    }
    return QM_OK;
}

static enum qm_status read_begin(struct reader *reader)
{
    json_int_t number = 0;
    char time[QM_TIME_TEXT_BYTES];
    struct qm_journal_identity *identity = &reader->out->identity;
    if (reader->line != 1)
        return fail_line(reader, "a run begins within another");
    QM_TRY(read_whole(reader, "journal", 1 << 20, &number));
    if (number != QM_JOURNAL_VERSION)
        return fail_line(reader, "it is a journal of another version");
    QM_TRY(read_text(reader, "time", time, sizeof(time)));
    QM_TRY(read_whole(reader, "pid", UINT32_MAX, &number));
    QM_TRY(read_text(reader, "version", identity->version, sizeof(identity->version)));
    QM_TRY(read_text(reader, "source", identity->source, sizeof(identity->source)));
    QM_TRY(read_hash(reader, "profile_hash", identity->profile_hash));
    QM_TRY(read_hash(reader, "model_sha256", identity->model_sha256));
    return read_options(reader);
}

static struct qm_journal_device *find_device(struct qm_journal *journal, const char *id)
{
    for (size_t i = 0; i < journal->device_count; ++i) {
        if (strcmp(journal->devices[i].entry.id, id) == 0)
            return &journal->devices[i];
    }
    return NULL;
}

static enum qm_status read_device(struct reader *reader)
{
    json_int_t ordinal = 0;
    if (reader->out->device_count == QM_DEVICE_LIST_MAX)
        return fail_line(reader, "there are too many devices");
    struct qm_journal_device *device = &reader->out->devices[reader->out->device_count];
    struct qm_device_entry *entry = &device->entry;
    QM_TRY(read_text(reader, "id", entry->id, sizeof(entry->id)));
    QM_TRY(read_text(reader, "api", entry->api, sizeof(entry->api)));
    QM_TRY(read_text(reader, "name", entry->name, sizeof(entry->name)));
    QM_TRY(read_whole(reader, "ordinal", QM_DEVICE_LIST_MAX, &ordinal));
    QM_TRY(read_text(reader, "driver", entry->driver, sizeof(entry->driver)));
    QM_TRY(read_text(reader, "driver_version", entry->driver_version, sizeof(entry->driver_version)));
    entry->ordinal = (unsigned)ordinal;
    if (find_device(reader->out, entry->id))
        return fail_line(reader, "the device stands in the journal already");
    ++reader->out->device_count;
    return QM_OK;
}

static enum qm_status read_finished(struct reader *reader, struct qm_journal_device *device)
{
    char outcome[16];
    size_t i = 0;
    QM_TRY(read_text(reader, "file", device->file, sizeof(device->file)));
    QM_TRY(read_hash(reader, "hash", device->hash));
    QM_TRY(read_text(reader, "outcome", outcome, sizeof(outcome)));
    while (i < COUNT(outcome_names) && strcmp(outcome, outcome_names[i]) != 0)
        ++i;
    if (i == COUNT(outcome_names))
        return fail_line(reader, "'outcome' is none of ok, wrong and failed");
    device->outcome = (enum qm_journal_outcome)i;
    // The journal is of this directory and names nothing outside.
    if (strchr(device->file, '/') || strncmp(device->file, "qmark-", 6) != 0)
        return fail_line(reader, "'file' is no name of a result");
    return QM_OK;
}

// What happened to a device.
static enum qm_status read_happening(struct reader *reader, enum qm_journal_state state)
{
    char id[sizeof(reader->out->devices[0].entry.id)], time[QM_TIME_TEXT_BYTES], reason[1024];
    QM_TRY(read_text(reader, "time", time, sizeof(time)));
    QM_TRY(read_text(reader, "id", id, sizeof(id)));
    struct qm_journal_device *device = find_device(reader->out, id);
    if (!device)
        return fail_line(reader, "the device was not chosen");
    if (state != QM_JOURNAL_STARTED && device->state != QM_JOURNAL_STARTED)
        return fail_line(reader, "the device ends and was not started");
    if (state == QM_JOURNAL_FINISHED)
        QM_TRY(read_finished(reader, device));
    if (state == QM_JOURNAL_FAILED)
        QM_TRY(read_text(reader, "reason", reason, sizeof(reason)));
    device->state = state;
    reader->out->has_ended = false;
    return QM_OK;
}

static enum qm_status read_event(struct reader *reader)
{
    static const struct {
        const char *name;
        enum qm_journal_state state;
    } happenings[] = {{"started", QM_JOURNAL_STARTED},
                      {"finished", QM_JOURNAL_FINISHED},
                      {"failed", QM_JOURNAL_FAILED},
                      {"interrupted", QM_JOURNAL_INTERRUPTED}};
    char event[16], time[QM_TIME_TEXT_BYTES];
    json_int_t number = 0;
    QM_TRY(read_text(reader, "event", event, sizeof(event)));
    if (strcmp(event, "begin") == 0)
        return read_begin(reader);
    if (reader->line == 1)
        return fail_line(reader, "the first line does not begin a run");
    if (strcmp(event, "device") == 0)
        return read_device(reader);
    for (size_t i = 0; i < COUNT(happenings); ++i) {
        if (strcmp(event, happenings[i].name) == 0)
            return read_happening(reader, happenings[i].state);
    }
    bool is_end = strcmp(event, "ended") == 0;
    if (!is_end && strcmp(event, "resumed") != 0)
        return fail_line(reader, "the event is unknown");
    QM_TRY(read_text(reader, "time", time, sizeof(time)));
    reader->out->has_ended = is_end;
    return is_end ? read_whole(reader, "code", 255, &number) : read_whole(reader, "pid", UINT32_MAX, &number);
}

static enum qm_status read_line(struct reader *reader, const char *line, size_t length)
{
    json_error_t error;
    char what[256];
    ++reader->line;
    reader->members = 0;
    if (length > QM_JOURNAL_LINE_BYTES_MAX || reader->line > QM_JOURNAL_LINES_MAX)
        return fail_line(reader, "the line is too long, or there are too many");
    reader->object = json_loadb(line, length, JSON_REJECT_DUPLICATES, &error);
    if (!reader->object) {
        snprintf(what, sizeof(what), "it is no JSON: %.160s", error.text);
        return fail_line(reader, what);
    }
    enum qm_status status =
        json_is_object(reader->object) ? read_event(reader) : fail_line(reader, "it is no JSON object");
    if (status == QM_OK && json_object_size(reader->object) != reader->members)
        status = fail_line(reader, "it has keys that no such line has");
    json_decref(reader->object);
    return status;
}

enum qm_status qm_journal_parse(const char *bytes, size_t count, const char *name, struct qm_journal *out)
{
    memset(out, 0, sizeof(*out));
    struct reader reader = {.name = name, .out = out};
    for (const char *end; (end = memchr(bytes + out->whole_bytes, '\n', count - out->whole_bytes)) != NULL;) {
        const char *line = bytes + out->whole_bytes;
        QM_TRY(read_line(&reader, line, (size_t)(end - line)));
        out->whole_bytes = (size_t)(end - bytes) + 1;
    }
    if (reader.line == 0)
        return QM_FAIL(QM_INVALID, "%s:1: it holds no whole line; begin a new run without --resume", name);
    return QM_OK;
}

enum qm_status qm_journal_read(const char *directory, struct qm_journal *out)
{
    char path[QM_PATH_BYTES];
    void *bytes = NULL;
    size_t count = 0;
    QM_TRY(qm_path_join(path, directory, QM_JOURNAL_NAME));
    if (!qm_file_exists(path))
        return QM_FAIL(QM_INVALID, "%s: is not there, so there is nothing to resume; begin a run without --resume",
                       path);
    QM_TRY(qm_file_read(path, QM_JOURNAL_BYTES_MAX, &bytes, &count));
    enum qm_status status = qm_journal_parse(bytes, count, path, out);
    free(bytes);
    return status;
}

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

// ---- Writing --------------------------------------------------------------------------------------------------------

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
    json_object_set_new(object, "outcome", json_string(outcome_names[outcome]));
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
