// The runs of the history that a new result may be compared with.
#include "base/text.h"
#include "record/history.h"
#include "record/history_internal.h"
#include "record/node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *copy_of(sqlite3_stmt *row, int column)
{
    const char *text = (const char *)sqlite3_column_text(row, column);
    char *copy = strdup(text ? text : "undisclosed");
    if (copy)
        qm_text_clean(copy);
    return copy;
}

// Appends the row's result: hash, started, file, YAML.
static enum qm_status keep(struct qm_history_runs *out, sqlite3_stmt *row, const char *hash)
{
    struct qm_history_run *grown = realloc(out->runs, (out->count + 1) * sizeof(*grown));
    if (grown) {
        out->runs = grown;
        struct qm_history_run *run = &grown[out->count++];
        const char *text = (const char *)sqlite3_column_text(row, 2);
        *run = (struct qm_history_run){.started = copy_of(row, 0), .file = copy_of(row, 1)};
        run->text_bytes = text ? (size_t)sqlite3_column_bytes(row, 2) : 0;
        run->text = malloc(run->text_bytes + 1);
        snprintf(run->hash, sizeof(run->hash), "%s", hash);
        if (run->text && text)
            memcpy(run->text, text, run->text_bytes);
        if (run->text)
            run->text[run->text_bytes] = '\0';
        if (run->started && run->file && run->text)
            return QM_OK;
    }
    return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the runs to compare with; ask for fewer");
}

void qm_history_runs_free(struct qm_history_runs *runs)
{
    for (size_t i = 0; i < runs->count; i++) {
        free(runs->runs[i].started);
        free(runs->runs[i].file);
        free(runs->runs[i].text);
    }
    free(runs->runs);
    free(runs->driver_version);
    *runs = (struct qm_history_runs){0};
}

struct search {
    struct qm_history *history;
    const struct qm_node *result;
    const char *driver; // as asked for
    size_t most;
    struct qm_history_runs *out;
    sqlite3_stmt *candidates, *scheme, *text;
    // How many were left out, for the reason.
    size_t seen, other_driver, other_kernels;
};

// Whether every scheme that is ok in the new result was ok in the candidate, with the same identity and kernels.
static enum qm_status fits(struct search *search, sqlite3_int64 id, bool *out)
{
    const struct qm_node *schemes = qm_node_child(search->result, "schemes");
    size_t compared = 0;
    *out = true;
    for (size_t i = 0; i < qm_node_count(schemes) && *out; i++) {
        const struct qm_node *scheme = qm_node_at(schemes, i);
        if (strcmp(qm_node_text_at(scheme, "status", ""), "ok") != 0)
            continue;
        sqlite3_bind_int64(search->scheme, 1, id);
        qm_history_bind(search->scheme, 2, qm_node_text_at(scheme, "name", "undisclosed"));
        qm_history_bind(search->scheme, 3, qm_node_text_at(scheme, "identity", "undisclosed"));
        qm_history_bind(search->scheme, 4, qm_node_text_at(scheme, "disclosure.tool_chain.kernel_hash", "undisclosed"));
        enum qm_status status = qm_history_step(search->history, search->scheme, out);
        sqlite3_reset(search->scheme);
        QM_TRY(status);
        compared++;
    }
    *out = *out && compared > 0;
    return QM_OK;
}

static bool is_wanted_driver(const struct search *search, const char *version)
{
    char own[256];
    snprintf(own, sizeof(own), "%.255s", qm_node_text_at(search->result, "device.driver_version", "undisclosed"));
    qm_text_clean(own);
    if (search->out->driver_version)
        return strcmp(search->out->driver_version, version) == 0;
    if (!search->driver)
        return strcmp(own, version) != 0;
    return strcmp(strcmp(search->driver, "same") == 0 ? own : search->driver, version) == 0;
}

static enum qm_status consider(struct search *search)
{
    bool is_fit = false;
    bool has_row = false;
    sqlite3_int64 id = sqlite3_column_int64(search->candidates, 0);
    const char *hash = (const char *)sqlite3_column_text(search->candidates, 1);
    search->seen++;
    char *version = copy_of(search->candidates, 2);
    if (!version || !hash) {
        free(version);
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the runs to compare with; ask for fewer");
    }
    bool is_wanted = is_wanted_driver(search, version);
    enum qm_status status = is_wanted ? fits(search, id, &is_fit) : QM_OK;
    search->other_driver += !is_wanted;
    search->other_kernels += is_wanted && !is_fit;
    if (status == QM_OK && is_fit) {
        if (!search->out->driver_version) {
            search->out->driver_version = version;
            version = NULL;
        }
        sqlite3_bind_int64(search->text, 1, id);
        status = qm_history_step(search->history, search->text, &has_row);
        if (status == QM_OK && has_row)
            status = keep(search->out, search->text, hash);
        sqlite3_reset(search->text);
    }
    free(version);
    return status;
}

static void give_reason(const struct search *search)
{
    struct qm_history_runs *out = search->out;
    if (out->count >= search->most)
        return;
    if (search->seen == 0)
        snprintf(out->reason, sizeof(out->reason),
                 "no intact, earlier run of this device, model and profile is in the history; add some with 'qmark "
                 "history add'");
    else
        snprintf(out->reason, sizeof(out->reason),
                 "of %zu earlier runs of this device, model and profile, %zu are of another driver version than asked "
                 "for%s, and %zu have other kernels or a scheme that was not ok",
                 search->seen, search->other_driver, search->driver ? "" : " (the latest that is not this one's)",
                 search->other_kernels);
}

static enum qm_status prepare(struct search *search, const char *hash)
{
    char device[QM_HISTORY_DEVICE_BYTES];
    const struct qm_node *result = search->result;
    QM_TRY(qm_history_prepare(search->history,
                              "SELECT id, hash, driver_version FROM results WHERE device = ?1 AND model_hash = ?2 AND "
                              "profile_hash = ?3 AND intact = 1 AND hash <> ?4 AND started <= ?5 "
                              "ORDER BY started DESC, id DESC",
                              &search->candidates));
    QM_TRY(qm_history_prepare(search->history,
                              "SELECT 1 FROM schemes WHERE result_id = ?1 AND name = ?2 AND identity = ?3 AND "
                              "kernel_hash = ?4 AND status = 'ok'",
                              &search->scheme));
    QM_TRY(qm_history_prepare(search->history,
                              "SELECT r.started, r.file, t.yaml FROM results r JOIN texts t ON t.result_id = r.id "
                              "WHERE r.id = ?1",
                              &search->text));
    qm_history_device(result, device);
    qm_history_bind(search->candidates, 1, device);
    qm_history_bind(search->candidates, 2, qm_node_text_at(result, "model.sha256", "undisclosed"));
    qm_history_bind(search->candidates, 3, qm_node_text_at(result, "run.profile_hash", "undisclosed"));
    qm_history_bind(search->candidates, 4, hash);
    qm_history_bind(search->candidates, 5, qm_node_text_at(result, "run.started", "undisclosed"));
    return QM_OK;
}

enum qm_status qm_history_baseline(struct qm_history *history, const struct qm_node *result, size_t most,
                                   const char *driver, struct qm_history_runs *out)
{
    enum qm_status status = QM_OK;
    char hash[QM_HASH_TEXT_BYTES];
    bool has_row = false;
    struct search search = {.history = history, .result = result, .driver = driver, .most = most, .out = out};
    *out = (struct qm_history_runs){0};
    QM_GUARD(qm_node_hash(result, "hash", hash));
    QM_GUARD(prepare(&search, hash));
    QM_GUARD(qm_history_step(history, search.candidates, &has_row));
    while (has_row && out->count < most) {
        QM_GUARD(consider(&search));
        QM_GUARD(qm_history_step(history, search.candidates, &has_row));
    }
    give_reason(&search);
done:
    sqlite3_finalize(search.candidates);
    sqlite3_finalize(search.scheme);
    sqlite3_finalize(search.text);
    if (status != QM_OK)
        qm_history_runs_free(out);
    return status;
}

enum qm_status qm_history_newest(struct qm_history *history, const struct qm_history_query *query,
                                 struct qm_history_runs *out)
{
    enum qm_status status = QM_OK;
    sqlite3_stmt *newest = NULL;
    bool has_row = false;
    *out = (struct qm_history_runs){0};
    QM_GUARD(
        qm_history_prepare(history,
                           "SELECT r.started, r.file, t.yaml, r.hash FROM results r JOIN texts t ON t.result_id = r.id "
                           "WHERE " QM_HISTORY_FILTER " ORDER BY r.started DESC, r.id DESC LIMIT 1",
                           &newest));
    qm_history_bind(newest, 1, query->device);
    qm_history_bind(newest, 2, query->profile_hash);
    QM_GUARD(qm_history_step(history, newest, &has_row));
    if (has_row) {
        const char *hash = (const char *)sqlite3_column_text(newest, 3);
        QM_GUARD(keep(out, newest, hash ? hash : ""));
    }
done:
    sqlite3_finalize(newest);
    if (status != QM_OK)
        qm_history_runs_free(out);
    return status;
}
