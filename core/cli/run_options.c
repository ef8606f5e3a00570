#include "cli/run_options.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/result_build.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum kind {
    TEXT,
    WHOLE,
    FLAG
};

// The options that make the run what it is.
static const struct row {
    const char *name;
    enum kind kind;
    size_t offset;
} rows[] = {
    {"profile", TEXT, offsetof(struct qm_run_options, profile)},
    {"device", TEXT, offsetof(struct qm_run_options, devices)},
    {"scheme", TEXT, offsetof(struct qm_run_options, schemes)},
    {"model", TEXT, offsetof(struct qm_run_options, model)},
    {"reference", TEXT, offsetof(struct qm_run_options, reference)},
    {"exact-match", TEXT, offsetof(struct qm_run_options, exact_match)},
    {"eval-seed", WHOLE, offsetof(struct qm_run_options, evaluation_seed)},
    {"eval", TEXT, offsetof(struct qm_run_options, evaluation_file)},
    {"calib", TEXT, offsetof(struct qm_run_options, calibration_file)},
    {"deployment", TEXT, offsetof(struct qm_run_options, deployment_file)},
    {"compat", TEXT, offsetof(struct qm_run_options, compat)},
    {"eval-window", WHOLE, offsetof(struct qm_run_options, evaluation_window)},
    {"eval-stride", WHOLE, offsetof(struct qm_run_options, evaluation_stride)},
    {"eval-windows", WHOLE, offsetof(struct qm_run_options, evaluation_windows)},
    {"embed-texts", FLAG, offsetof(struct qm_run_options, embeds_texts)},
    {"tier", TEXT, offsetof(struct qm_run_options, tier)},
    {"tiles", TEXT, offsetof(struct qm_run_options, tiles)},
    {"widen", WHOLE, offsetof(struct qm_run_options, widen)},
    {"layers", WHOLE, offsetof(struct qm_run_options, layers)},
    {"fit", FLAG, offsetof(struct qm_run_options, fits)},
    {"allow-overlap", FLAG, offsetof(struct qm_run_options, allows_overlap)},
    {"reference-on-device", TEXT, offsetof(struct qm_run_options, reference_device)},
    {"debug", FLAG, offsetof(struct qm_run_options, is_debug)},
};

// The option as text; false where it was not given.
static bool option_text(const struct qm_run_options *options, const struct row *row, char *out, size_t capacity)
{
    const char *at = (const char *)options + row->offset;
    const char *text = NULL;
    uint64_t whole = 0;
    bool flag = false;
    switch (row->kind) {
    case TEXT:
        memcpy(&text, at, sizeof(text));
        snprintf(out, capacity, "%s", text ? text : "");
        return text != NULL;
    case WHOLE:
        memcpy(&whole, at, sizeof(whole));
        snprintf(out, capacity, "%" PRIu64, whole);
        return whole != UINT64_MAX;
    case FLAG:
        memcpy(&flag, at, sizeof(flag));
        snprintf(out, capacity, "yes");
        return flag;
    }
    return false;
}

enum qm_status qm_run_options_keep(const struct qm_run_options *options, struct qm_journal *journal)
{
    journal->option_count = 0;
    for (size_t i = 0; i < COUNT(rows); ++i) {
        char text[QM_PATH_BYTES];
        if (!option_text(options, &rows[i], text, sizeof(text)))
            continue;
        struct qm_journal_option *option = &journal->options[journal->option_count++];
        if (strlen(text) >= sizeof(option->value))
            return QM_FAIL(QM_INVALID, "--%s is too long; at most %zu bytes are kept in the journal", rows[i].name,
                           sizeof(option->value) - 1);
        snprintf(option->name, sizeof(option->name), "%s", rows[i].name);
        memcpy(option->value, text, strlen(text) + 1);
    }
    return QM_OK;
}

static void take(struct qm_run_options *options, const struct row *row, const char *value)
{
    char *at = (char *)options + row->offset;
    uint64_t whole = strtoull(value, NULL, 10);
    bool flag = true;
    if (row->kind == TEXT)
        memcpy(at, &value, sizeof(value));
    else if (row->kind == WHOLE)
        memcpy(at, &whole, sizeof(whole));
    else
        memcpy(at, &flag, sizeof(flag));
}

enum qm_status qm_run_options_resume(struct qm_run_options *options, const struct qm_journal *journal)
{
    for (size_t i = 0; i < COUNT(rows); ++i) {
        char now[QM_PATH_BYTES];
        const char *then = NULL;
        for (size_t o = 0; o < journal->option_count; ++o) {
            if (strcmp(journal->options[o].name, rows[i].name) == 0)
                then = journal->options[o].value;
        }
        bool is_given = option_text(options, &rows[i], now, sizeof(now));
        if (is_given && (!then || strcmp(now, then) != 0))
            return QM_FAIL(QM_INVALID,
                           "--%s is not what the run that is resumed had%s%.200s; leave it out, or begin a new run "
                           "without --resume",
                           rows[i].name, then ? ", " : "", then ? then : "");
        if (then)
            take(options, &rows[i], then);
    }
    return QM_OK;
}

void qm_run_identity(const struct qm_preparation *preparation, struct qm_journal_identity *out)
{
    snprintf(out->version, sizeof(out->version), "%s", QM_VERSION);
    snprintf(out->source, sizeof(out->source), "%s", qm_result_source());
    snprintf(out->profile_hash, sizeof(out->profile_hash), "%s", preparation->profile.hash);
    snprintf(out->model_sha256, sizeof(out->model_sha256), "%s", preparation->model->sha256);
    if (preparation->reference_model) { // both
        char both[2 * QM_HASH_TEXT_BYTES];
        snprintf(both, sizeof(both), "%s %s", preparation->model->sha256, preparation->reference_model->sha256);
        qm_hash_bytes(both, strlen(both), out->model_sha256);
    }
}

static enum qm_status fail_changed(const char *what, const char *then, const char *now)
{
    return QM_FAIL(QM_INVALID,
                   "%s has changed since the run began (then %.64s, now %.64s); begin a new run without --resume", what,
                   then, now);
}

enum qm_status qm_run_check_identity(const struct qm_journal_identity *now, const struct qm_journal_identity *then)
{
    if (strcmp(now->version, then->version) != 0)
        return fail_changed("qmark", then->version, now->version);
    if (strcmp(now->source, then->source) != 0)
        return fail_changed("qmark's source", then->source, now->source);
    if (strcmp(now->profile_hash, then->profile_hash) != 0)
        return fail_changed("the profile", then->profile_hash, now->profile_hash);
    if (strcmp(now->model_sha256, then->model_sha256) != 0)
        return fail_changed("the model", then->model_sha256, now->model_sha256);
    return QM_OK;
}

// By what it is: numbers of devices change when one is added.
static bool is_same_device(const struct qm_device_entry *a, const struct qm_device_entry *b)
{
    return strcmp(a->api, b->api) == 0 && strcmp(a->name, b->name) == 0 && a->ordinal == b->ordinal;
}

enum qm_status qm_run_match_devices(const struct qm_journal *journal, struct qm_device_list *list,
                                    size_t journal_rows[QM_DEVICE_LIST_MAX], size_t *absent)
{
    struct qm_device_entry kept[QM_DEVICE_LIST_MAX];
    size_t count = 0;
    *absent = 0;
    for (size_t j = 0; j < journal->device_count; ++j) {
        const struct qm_device_entry *then = &journal->devices[j].entry, *now = NULL;
        for (size_t i = 0; i < list->count && !now; ++i)
            now = is_same_device(then, &list->entries[i]) ? &list->entries[i] : NULL;
        if (!now) {
            fprintf(stderr, "%s %s: is not there any more; its rows stay open until it is\n", then->id, then->name);
            *absent += journal->devices[j].state != QM_JOURNAL_FINISHED;
            continue;
        }
        char what[192];
        snprintf(what, sizeof(what), "the driver of %s %.120s", then->id, then->name);
        if (strcmp(then->driver, now->driver) != 0)
            return fail_changed(what, then->driver, now->driver);
        if (strcmp(then->driver_version, now->driver_version) != 0)
            return fail_changed(what, then->driver_version, now->driver_version);
        journal_rows[count] = j;
        kept[count++] = *now;
    }
    memcpy(list->entries, kept, count * sizeof(*kept));
    list->count = count;
    return QM_OK;
}

enum qm_status qm_run_reference_devices(const struct qm_run_options *options, const struct qm_device_list *devices,
                                        struct qm_device_list *out)
{
    const char *named = options->reference_device;
    static struct qm_device_list list;
    list = *devices;
    if (named[0])
        QM_TRY(qm_device_list_make(NULL, named, &list));
    *out = list;
    out->count = 0;
    for (int stand_ins = 0; stand_ins < 2; ++stand_ins) {
        for (size_t i = 0; i < list.count; ++i) {
            const struct qm_device_entry *entry = &list.entries[i];
            if (strcmp(entry->api, "reference") != 0 && (strcmp(entry->type, "cpu") == 0) == (stand_ins == 1))
                out->entries[out->count++] = *entry;
        }
    }
    if (out->count == 0 && named[0])
        return QM_FAIL(QM_INVALID, "--reference-on-device=%.60s names no device of this machine; there are %s", named,
                       list.known[0] ? list.known : "none");
    if (out->count == 0)
        return QM_FAIL(QM_INVALID,
                       "--reference-on-device: no device of this run computes through a driver; name one with "
                       "--reference-on-device=DEVICE");
    return QM_OK;
}
