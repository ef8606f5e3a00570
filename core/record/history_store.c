// Storing a result in the history, and what tells its device from others.
#include "base/text.h"
#include "record/history.h"
#include "record/history_internal.h"
#include "record/node.h"
#include "sys/host.h"

#include <stdio.h>
#include <string.h>

// ---- Identity -----------------------------------------------------------------------------------------------------

static bool is_told(const char *text)
{
    return strcmp(text, "undisclosed") != 0 && text[strspn(text, "0-:.")] != '\0';
}

void qm_history_device(const struct qm_node *result, char text[QM_HISTORY_DEVICE_BYTES])
{
    const char *api = qm_node_text_at(result, "device.api", "undisclosed");
    const char *driver = qm_node_text_at(result, "device.driver", "undisclosed");
    const char *uuid = qm_node_text_at(result, "device.uuid", "undisclosed");
    const char *pci = qm_node_text_at(result, "device.pci", "undisclosed");
    const char *vendor = qm_node_text_at(result, "device.vendor_id", "undisclosed");
    const char *model = qm_node_text_at(result, "device.device_id", "undisclosed");
    const char *name = qm_node_text_at(result, "device.name", "undisclosed");
    const char *end = strstr(name, " ("); // drivers put their own version there: "llvmpipe (LLVM 15.0.6, 256 bits)"
    int name_bytes = end && end > name ? (int)(end - name) : (int)strlen(name);
    name_bytes = name_bytes < 160 ? name_bytes : 160;
    if (strcmp(qm_node_text_at(result, "device.type", ""), "cpu") == 0)
        snprintf(text, QM_HISTORY_DEVICE_BYTES, "%.20s, %.60s, %.*s on %.120s with %.10s cores", api, driver,
                 name_bytes, name, qm_node_text_at(result, "host.processor", "undisclosed"),
                 qm_node_text_at(result, "host.cores", "undisclosed"));
    else if (is_told(uuid))
        snprintf(text, QM_HISTORY_DEVICE_BYTES, "%.20s, %.60s, uuid %.60s", api, driver, uuid);
    else if (is_told(pci))
        snprintf(text, QM_HISTORY_DEVICE_BYTES, "%.20s, %.60s, pci %.40s, %.20s:%.20s", api, driver, pci, vendor,
                 model);
    else
        snprintf(text, QM_HISTORY_DEVICE_BYTES, "%.20s, %.60s, %.*s, %.20s:%.20s, %.10s", api, driver, name_bytes, name,
                 vendor, model, qm_node_text_at(result, "device.ordinal", "1"));
    qm_text_clean(text); // what was cut through a character ends in '?'
}

// ---- Storing ------------------------------------------------------------------------------------------------------

static void bind_at(sqlite3_stmt *statement, int index, const struct qm_node *node, const char *path)
{
    qm_history_bind(statement, index, qm_node_text_at(node, path, "undisclosed"));
}

// NULL for a word.
static void bind_number(sqlite3_stmt *statement, int index, const struct qm_node *node, const char *path)
{
    double value = 0;
    if (qm_node_double_at(node, path, &value))
        sqlite3_bind_double(statement, index, value);
}

static void bind_whole(sqlite3_stmt *statement, int index, const struct qm_node *node, const char *path)
{
    uint64_t value = 0;
    if (qm_node_u64_at(node, path, &value))
        sqlite3_bind_int64(statement, index, value > INT64_MAX ? INT64_MAX : (sqlite3_int64)value);
}

// Runs a statement that gives no rows, and makes it ready for the next values.
static enum qm_status run_once(struct qm_history *history, sqlite3_stmt *statement)
{
    bool has_row = false;
    enum qm_status status = qm_history_step(history, statement, &has_row);
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return status;
}

static enum qm_status store_points(struct qm_history *history, sqlite3_stmt *insert, const struct qm_node *points,
                                   sqlite3_int64 scheme_id)
{
    for (size_t i = 0; i < qm_node_count(points); i++) {
        const struct qm_node *point = qm_node_at(points, i);
        sqlite3_bind_int64(insert, 1, scheme_id);
        sqlite3_bind_int64(insert, 2, (sqlite3_int64)i);
        bind_at(insert, 3, point, "phase");
        bind_whole(insert, 4, point, "batch");
        bind_whole(insert, 5, point, "prompt");
        bind_whole(insert, 6, point, "depth");
        bind_at(insert, 7, point, "tier");
        bind_whole(insert, 8, point, "widen");
        bind_at(insert, 9, point, "protocol");
        bind_at(insert, 10, point, "timer");
        bind_number(insert, 11, point, "rate_tokens_per_s");
        bind_number(insert, 12, point, "low");
        bind_number(insert, 13, point, "high");
        QM_TRY(run_once(history, insert));
    }
    return QM_OK;
}

static enum qm_status store_schemes(struct qm_history *history, const struct qm_node *schemes, sqlite3_int64 result_id)
{
    enum qm_status status = QM_OK;
    sqlite3_stmt *insert = NULL;
    sqlite3_stmt *insert_point = NULL;
    QM_GUARD(qm_history_prepare(history,
                                "INSERT INTO schemes (result_id, position, name, status, reason, identity, artifact, "
                                "kernel_hash, kl_mean, kl_low, kl_high) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
                                &insert));
    QM_GUARD(qm_history_prepare(history,
                                "INSERT INTO points (scheme_id, position, phase, batch, prompt, depth, tier, widen, "
                                "protocol, timer, rate, low, high) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
                                &insert_point));
    for (size_t i = 0; i < qm_node_count(schemes); i++) {
        const struct qm_node *scheme = qm_node_at(schemes, i);
        sqlite3_bind_int64(insert, 1, result_id);
        sqlite3_bind_int64(insert, 2, (sqlite3_int64)i);
        bind_at(insert, 3, scheme, "name");
        bind_at(insert, 4, scheme, "status");
        qm_history_bind(insert, 5, qm_node_text_at(scheme, "reason", NULL));
        bind_at(insert, 6, scheme, "identity");
        bind_at(insert, 7, scheme, "artifact.id");
        bind_at(insert, 8, scheme, "disclosure.tool_chain.kernel_hash");
        bind_number(insert, 9, scheme, "accuracy.kl_divergence.mean");
        bind_number(insert, 10, scheme, "accuracy.kl_divergence.low");
        bind_number(insert, 11, scheme, "accuracy.kl_divergence.high");
        QM_GUARD(run_once(history, insert));
        QM_GUARD(store_points(history, insert_point, qm_node_child(scheme, "throughput"),
                              sqlite3_last_insert_rowid(history->database)));
    }
done:
    sqlite3_finalize(insert);
    sqlite3_finalize(insert_point);
    return status;
}

static enum qm_status store_result(struct qm_history *history, sqlite3_stmt *insert, const struct qm_history_item *item)
{
    // In the order of the statement below.
    static const char *const paths[] = {
        "run.started",           "run.class",  "qmark.version", "qmark.source", NULL,
        "device.name",           "device.api", "device.uuid",   "device.pci",   "device.driver",
        "device.driver_version", "model.name", "model.sha256",  "profile.name", "run.profile_hash"};
    char device[QM_HISTORY_DEVICE_BYTES];
    char now[QM_TIME_TEXT_BYTES];
    qm_history_device(item->result, device);
    qm_time_utc(now);
    qm_history_bind(insert, 1, item->hash);
    qm_history_bind(insert, 2, item->bytes_hash);
    qm_history_bind(insert, 3, item->name);
    qm_history_bind(insert, 4, now);
    sqlite3_bind_int(insert, 5, item->is_intact);
    for (int i = 0; i < (int)(sizeof(paths) / sizeof(paths[0])); i++) {
        if (paths[i])
            bind_at(insert, 6 + i, item->result, paths[i]);
        else
            qm_history_bind(insert, 6 + i, device);
    }
    return run_once(history, insert);
}

enum qm_status qm_history_store(struct qm_history *history, const struct qm_history_item *item, bool *is_new)
{
    enum qm_status status = QM_OK;
    sqlite3_stmt *insert = NULL;
    sqlite3_stmt *insert_text = NULL;
    *is_new = false;
    QM_GUARD(qm_history_prepare(history,
                                "INSERT INTO results (hash, bytes_hash, file, added, intact, started, class, "
                                "qmark_version, qmark_source, device, device_name, api, uuid, pci, driver, "
                                "driver_version, model, model_hash, profile, profile_hash) "
                                "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (hash) DO NOTHING",
                                &insert));
    QM_GUARD(store_result(history, insert, item));
    if (sqlite3_changes(history->database) == 0)
        goto done;
    sqlite3_int64 id = sqlite3_last_insert_rowid(history->database);
    QM_GUARD(qm_history_prepare(history, "INSERT INTO texts (result_id, yaml) VALUES (?,?)", &insert_text));
    sqlite3_bind_int64(insert_text, 1, id);
    sqlite3_bind_text64(insert_text, 2, item->bytes, item->count, SQLITE_STATIC, SQLITE_UTF8);
    QM_GUARD(run_once(history, insert_text));
    QM_GUARD(store_schemes(history, qm_node_child(item->result, "schemes"), id));
    *is_new = true;
done:
    sqlite3_finalize(insert);
    sqlite3_finalize(insert_text);
    return status;
}
