// The reading half of the journal: strict, for a file may have been edited, or be no journal at all.
#include "bench/journal.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sys/host.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

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
    while (i < QM_JOURNAL_OUTCOMES && strcmp(outcome, qm_journal_outcome_names[i]) != 0)
        ++i;
    if (i == QM_JOURNAL_OUTCOMES)
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
