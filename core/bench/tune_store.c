#include "bench/tune_store.h"

#include "kernel/kernels.h"
#include "model/json_bound.h"

#include <jansson.h>
#include <math.h> // isfinite only
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SCHEMA = 1
};

// The texts of an entry, by their keys.
#define TEXTS(X) X(variant) X(kernel_hash) X(api) X(device) X(driver) X(settings) X(shapes) X(reason) X(date)

static bool is_printable(const char *text)
{
    for (; *text; ++text)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return false;
    return true;
}

static bool take_text(const json_t *json, const char *key, char *to, size_t bytes)
{
    const char *text = json_string_value(json_object_get(json, key));
    if (!text || strlen(text) >= bytes || !is_printable(text))
        return false;
    memcpy(to, text, strlen(text) + 1);
    return true;
}

static bool take_number(const json_t *json, const char *key, double *to)
{
    *to = json_number_value(json_object_get(json, key));
    return json_is_number(json_object_get(json, key)) && isfinite(*to) && *to > 0 && *to < 1e6;
}

static enum qm_status read_entry(const json_t *json, const char *file, size_t number, struct qm_tuned_entry *e)
{
#define TAKE(key)                                                                                                      \
    if (!take_text(json, #key, e->key, sizeof(e->key)))                                                                \
        return QM_FAIL(QM_INVALID, "%s: entry %zu: no text '" #key "' of less than %zu bytes", file, number,           \
                       sizeof(e->key));
    TEXTS(TAKE)
#undef TAKE
    json_int_t tried = json_integer_value(json_object_get(json, "tried"));
    if (!take_number(json, "ratio", &e->ratio) || !take_number(json, "low", &e->low) ||
        !take_number(json, "high", &e->high) || e->low > e->ratio || e->ratio > e->high)
        return QM_FAIL(QM_INVALID, "%s: entry %zu: low, ratio and high must be numbers above 0 that rise", file,
                       number);
    e->tried = tried > 0 && tried < 1000000 ? (unsigned)tried : 0;
    e->is_complete = json_is_true(json_object_get(json, "is_complete"));
    return QM_OK;
}

enum qm_status qm_tuned_parse(const char *text, size_t bytes, const char *file, struct qm_tuned *out)
{
    json_error_t error;
    enum qm_status status = QM_OK;
    *out = (struct qm_tuned){0};
    if (!qm_json_is_bounded(text, bytes))
        return QM_FAIL(QM_INVALID, "%s: too many values; delete it and tune again", file);
    json_t *root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
    const json_t *list = json_object_get(root, "entries");
    if (!root || !json_is_array(list) || json_integer_value(json_object_get(root, "schema")) != SCHEMA) {
        status =
            QM_FAIL(QM_INVALID, "%s: no list of tuned kernels of schema %d; delete it and tune again", file, SCHEMA);
        goto done;
    }
    size_t count = json_array_size(list);
    if (count > QM_TUNED_ENTRIES_MAX) {
        status = QM_FAIL(QM_INVALID, "%s: more than %d entries; delete it and tune again", file, QM_TUNED_ENTRIES_MAX);
        goto done;
    }
    out->entries = calloc(count + 1, sizeof(*out->entries));
    if (!out->entries) {
        status = QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for %zu entries", file, count);
        goto done;
    }
    for (size_t i = 0; i < count; ++i)
        QM_GUARD(read_entry(json_array_get(list, i), file, i + 1, &out->entries[out->count++]));
done:
    json_decref(root);
    if (status != QM_OK)
        qm_tuned_free(out);
    return status;
}

void qm_tuned_free(struct qm_tuned *tuned)
{
    free(tuned->entries);
    *tuned = (struct qm_tuned){0};
}

enum qm_tuned_match qm_tuned_find(const struct qm_tuned *tuned, const struct qm_kernel_variant *right,
                                  const struct qm_device_info *info, const struct qm_tuned_entry **out)
{
    enum qm_tuned_match best = QM_TUNED_NONE;
    char hash[QM_HASH_TEXT_BYTES] = ""; // made where it is needed: a kernel's text is long
    *out = NULL;
    for (size_t i = 0; i < tuned->count; ++i) {
        const struct qm_tuned_entry *e = &tuned->entries[i];
        if (strcmp(e->variant, right->name) != 0 || strcmp(e->api, info->api) != 0 ||
            strcmp(e->device, info->name) != 0)
            continue;
        if (!hash[0])
            qm_kernel_hash(right, hash);
        enum qm_tuned_match match = strcmp(e->driver, info->driver) != 0 ? QM_TUNED_OTHER_DRIVER
                                    : strcmp(e->kernel_hash, hash) != 0  ? QM_TUNED_OTHER_KERNEL
                                                                         : QM_TUNED_CURRENT;
        if (match <= best)
            continue;
        best = match;
        *out = e;
    }
    return best;
}

enum qm_status qm_tuned_text(const struct qm_tuned *tuned, const struct qm_device_info *info, char **text,
                             size_t *ignored)
{
    const size_t room = sizeof(tuned->entries[0].variant) + QM_SETTINGS_BYTES;
    size_t length = 0;
    *ignored = 0;
    *text = calloc(tuned->count + 1, room);
    if (!*text)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %zu tuned kernels", tuned->count);
    for (size_t i = 0; i < qm_kernel_variant_count && tuned->count > 0; ++i) {
        const struct qm_tuned_entry *e;
        enum qm_tuned_match match = qm_tuned_find(tuned, &qm_kernel_variants[i], info, &e);
        *ignored += match == QM_TUNED_OTHER_DRIVER || match == QM_TUNED_OTHER_KERNEL;
        if (match != QM_TUNED_CURRENT || !e->settings[0])
            continue;
        length += (size_t)snprintf(*text + length, room, "%s%s %s", length ? ";" : "", e->variant, e->settings);
    }
    return QM_OK;
}

enum qm_status qm_tuned_put(struct qm_tuned *tuned, const struct qm_tuned_entry *entry)
{
    for (size_t i = 0; i < tuned->count; ++i) {
        struct qm_tuned_entry *e = &tuned->entries[i];
        if (strcmp(e->variant, entry->variant) != 0 || strcmp(e->api, entry->api) != 0 ||
            strcmp(e->device, entry->device) != 0 || strcmp(e->driver, entry->driver) != 0)
            continue;
        *e = *entry;
        return QM_OK;
    }
    if (tuned->count == QM_TUNED_ENTRIES_MAX)
        return QM_FAIL(QM_INVALID, "more than %d tuned kernels; delete tuned.json and tune again",
                       QM_TUNED_ENTRIES_MAX);
    struct qm_tuned_entry *grown = realloc(tuned->entries, (tuned->count + 1) * sizeof(*grown));
    if (!grown)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %zu tuned kernels", tuned->count + 1);
    grown[tuned->count++] = *entry;
    tuned->entries = grown;
    return QM_OK;
}

char *qm_tuned_write(const struct qm_tuned *tuned)
{
    json_t *root = json_object(), *list = json_array();
    json_object_set_new(root, "schema", json_integer(SCHEMA));
    for (size_t i = 0; i < tuned->count; ++i) {
        const struct qm_tuned_entry *e = &tuned->entries[i];
        json_t *json = json_object();
#define PUT(key) json_object_set_new(json, #key, json_string(e->key));
        TEXTS(PUT)
#undef PUT
        json_object_set_new(json, "ratio", json_real(e->ratio));
        json_object_set_new(json, "low", json_real(e->low));
        json_object_set_new(json, "high", json_real(e->high));
        json_object_set_new(json, "tried", json_integer(e->tried));
        json_object_set_new(json, "is_complete", json_boolean(e->is_complete));
        json_array_append_new(list, json);
    }
    json_object_set_new(root, "entries", list);
    char *text = json_dumps(root, JSON_INDENT(1));
    json_decref(root);
    return text;
}
