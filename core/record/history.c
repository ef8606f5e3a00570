// The database of the history: opening it, and SQLite's calls as ours.
#include "record/history.h"
#include "base/text.h"
#include "record/history_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Texts are columns of their own table, so that queries do not read past them. The names stand in docs/HISTORY.md.
static const char schema[] = "CREATE TABLE results (\n"
                             "  id INTEGER PRIMARY KEY,\n"
                             "  hash TEXT NOT NULL UNIQUE,\n"
                             "  bytes_hash TEXT NOT NULL,\n"
                             "  file TEXT NOT NULL,\n"
                             "  added TEXT NOT NULL,\n"
                             "  intact INTEGER NOT NULL,\n"
                             "  started TEXT NOT NULL,\n"
                             "  class TEXT NOT NULL,\n"
                             "  qmark_version TEXT NOT NULL,\n"
                             "  qmark_source TEXT NOT NULL,\n"
                             "  device TEXT NOT NULL,\n"
                             "  device_name TEXT NOT NULL,\n"
                             "  api TEXT NOT NULL,\n"
                             "  uuid TEXT NOT NULL,\n"
                             "  pci TEXT NOT NULL,\n"
                             "  driver TEXT NOT NULL,\n"
                             "  driver_version TEXT NOT NULL,\n"
                             "  model TEXT NOT NULL,\n"
                             "  model_hash TEXT NOT NULL,\n"
                             "  profile TEXT NOT NULL,\n"
                             "  profile_hash TEXT NOT NULL);\n"
                             "CREATE TABLE schemes (\n"
                             "  id INTEGER PRIMARY KEY,\n"
                             "  result_id INTEGER NOT NULL REFERENCES results (id) ON DELETE CASCADE,\n"
                             "  position INTEGER NOT NULL,\n"
                             "  name TEXT NOT NULL,\n"
                             "  status TEXT NOT NULL,\n"
                             "  reason TEXT,\n"
                             "  identity TEXT NOT NULL,\n"
                             "  artifact TEXT NOT NULL,\n"
                             "  kernel_hash TEXT NOT NULL,\n"
                             "  kl_mean REAL, kl_low REAL, kl_high REAL);\n"
                             "CREATE TABLE points (\n"
                             "  id INTEGER PRIMARY KEY,\n"
                             "  scheme_id INTEGER NOT NULL REFERENCES schemes (id) ON DELETE CASCADE,\n"
                             "  position INTEGER NOT NULL,\n"
                             "  phase TEXT NOT NULL,\n"
                             "  batch INTEGER NOT NULL,\n"
                             "  prompt INTEGER, depth INTEGER,\n"
                             "  tier TEXT NOT NULL,\n"
                             "  widen INTEGER NOT NULL,\n"
                             "  protocol TEXT NOT NULL,\n"
                             "  timer TEXT NOT NULL,\n"
                             "  rate REAL NOT NULL, low REAL, high REAL);\n"
                             "CREATE TABLE texts (\n"
                             "  result_id INTEGER PRIMARY KEY REFERENCES results (id) ON DELETE CASCADE,\n"
                             "  yaml TEXT NOT NULL);\n"
                             "CREATE INDEX results_bytes ON results (bytes_hash);\n"
                             "CREATE INDEX results_started ON results (started);\n"
                             "CREATE INDEX results_series ON results (device, model_hash, profile_hash, started);\n"
                             "CREATE INDEX schemes_result ON schemes (result_id, name);\n"
                             "CREATE INDEX schemes_name ON schemes (name);\n"
                             "CREATE INDEX points_scheme ON points (scheme_id);\n";

// ---- SQLite's calls as ours ---------------------------------------------------------------------------------------

enum qm_status qm_history_fail(const struct qm_history *history, const char *doing)
{
    int code = history->database ? sqlite3_errcode(history->database) : SQLITE_NOMEM;
    const char *text = history->database ? sqlite3_errmsg(history->database) : "no memory";
    switch (code) {
    case SQLITE_NOMEM:
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory; close other programs and try again", history->path);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return QM_FAIL(QM_TIMEOUT, "%s: cannot %s: another program is writing into it; try again when it has ended",
                       history->path, doing);
    case SQLITE_NOTADB:
        return QM_FAIL(QM_INVALID, "%s: is no database; name another file with --db", history->path);
    case SQLITE_CORRUPT:
        return QM_FAIL(QM_INVALID, "%s: cannot %s: %s; move it away and add the results again", history->path, doing,
                       text);
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
        return QM_FAIL(QM_INVALID, "%s: cannot %s: %s; choose a file in a directory that you may write to, with --db",
                       history->path, doing, text);
    case SQLITE_FULL:
        return QM_FAIL(QM_FAILED, "%s: cannot %s: %s; free some space", history->path, doing, text);
    default:
        return QM_FAIL(QM_FAILED, "%s: cannot %s: %s (SQLite's code %d)", history->path, doing, text, code);
    }
}

enum qm_status qm_history_execute(struct qm_history *history, const char *sql)
{
    return sqlite3_exec(history->database, sql, NULL, NULL, NULL) == SQLITE_OK ? QM_OK
                                                                               : qm_history_fail(history, "use it");
}

enum qm_status qm_history_prepare(struct qm_history *history, const char *sql, sqlite3_stmt **out)
{
    return sqlite3_prepare_v2(history->database, sql, -1, out, NULL) == SQLITE_OK ? QM_OK
                                                                                  : qm_history_fail(history, "use it");
}

enum qm_status qm_history_step(struct qm_history *history, sqlite3_stmt *statement, bool *has_row)
{
    int code = sqlite3_step(statement);
    *has_row = code == SQLITE_ROW;
    return code == SQLITE_ROW || code == SQLITE_DONE ? QM_OK : qm_history_fail(history, "use it");
}

void qm_history_bind(sqlite3_stmt *statement, int index, const char *text)
{
    char *copy = text ? strdup(text) : NULL;
    if (!copy) {
        sqlite3_bind_null(statement, index); // without memory: the column takes no NULL, and the step fails
        return;
    }
    qm_text_clean(copy);
    sqlite3_bind_text(statement, index, copy, -1, free);
}

static enum qm_status number_of(struct qm_history *history, const char *sql, sqlite3_int64 *out)
{
    sqlite3_stmt *statement = NULL;
    bool has_row = false;
    *out = 0;
    QM_TRY(qm_history_prepare(history, sql, &statement));
    enum qm_status status = qm_history_step(history, statement, &has_row);
    if (status == QM_OK && has_row)
        *out = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return status;
}

// ---- Opening ------------------------------------------------------------------------------------------------------

enum qm_status qm_history_path(const char *given, char path[QM_PATH_BYTES])
{
    char directory[QM_PATH_BYTES];
    const char *own = getenv("QM_HISTORY");
    if (!given && own && *own)
        given = own;
    if (given)
        return qm_path_join(path, "", given);
    QM_TRY(qm_user_directory(directory));
    return qm_path_join(path, directory, "history.sqlite");
}

// Looks at what is there before anything is changed. `*is_empty`: a new file.
static enum qm_status recognise(struct qm_history *history, bool *is_empty)
{
    sqlite3_int64 id = 0;
    sqlite3_int64 version = 0;
    sqlite3_int64 tables = 0;
    QM_TRY(number_of(history, "PRAGMA application_id", &id));
    QM_TRY(number_of(history, "PRAGMA user_version", &version));
    QM_TRY(number_of(history, "SELECT count(*) FROM sqlite_master", &tables));
    *is_empty = id == 0 && version == 0 && tables == 0;
    if (*is_empty)
        return QM_OK;
    if (id != QM_HISTORY_ID)
        return QM_FAIL(QM_INVALID, "%s: is a database and no history of qmark; name another file with --db",
                       history->path);
    if (version > QM_HISTORY_SCHEMA)
        return QM_FAIL(QM_INVALID,
                       "%s: was written by a newer qmark (schema %lld; this one reads %d); use that one, or another "
                       "file with --db",
                       history->path, (long long)version, QM_HISTORY_SCHEMA);
    if (version != QM_HISTORY_SCHEMA)
        return QM_FAIL(QM_INVALID, "%s: has schema %lld, which no qmark wrote; move it away and add the results again",
                       history->path, (long long)version);
    return QM_OK;
}

static enum qm_status create(struct qm_history *history)
{
    char pragmas[96];
    bool is_empty = false;
    QM_TRY(qm_history_execute(history, "BEGIN IMMEDIATE"));
    enum qm_status status = recognise(history, &is_empty); // again: another process may have been first
    if (status == QM_OK && is_empty) {
        snprintf(pragmas, sizeof(pragmas), "PRAGMA application_id = %d; PRAGMA user_version = %d", QM_HISTORY_ID,
                 QM_HISTORY_SCHEMA);
        status = qm_history_execute(history, schema);
        if (status == QM_OK)
            status = qm_history_execute(history, pragmas);
    }
    if (status == QM_OK)
        return qm_history_execute(history, "COMMIT");
    sqlite3_exec(history->database, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

static enum qm_status make_directory_of(const char *path)
{
    char directory[QM_PATH_BYTES];
    const char *name = qm_path_name(path);
    if (name == path || name == path + 1)
        return QM_OK;
    snprintf(directory, sizeof(directory), "%.*s", (int)(name - path - 1), path);
    return qm_directory_make(directory);
}

enum qm_status qm_history_open(const char *path, bool may_create, struct qm_history **out)
{
    enum qm_status status = QM_OK;
    bool is_empty = false;
    bool is_file = strcmp(path, ":memory:") != 0;
    *out = NULL;
    if (is_file && !may_create && !qm_file_exists(path))
        return QM_FAIL(QM_INVALID, "%s: there is no history yet; 'qmark history add RESULT...' begins one", path);
    if (is_file && may_create)
        QM_TRY(make_directory_of(path));
    struct qm_history *history = calloc(1, sizeof(*history));
    if (history)
        history->path = strdup(path);
    if (!history || !history->path) {
        free(history);
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory; close other programs and try again", path);
    }
    int flags = SQLITE_OPEN_READWRITE | (may_create ? SQLITE_OPEN_CREATE : 0) | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(path, &history->database, flags, NULL) != SQLITE_OK)
        QM_GUARD(qm_history_fail(history, "open it"));
    // The file may be a stranger's: nothing that its schema holds is to run or write by itself.
    sqlite3_db_config(history->database, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(history->database, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(history->database, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    sqlite3_busy_timeout(history->database, 10000);
    QM_GUARD(recognise(history, &is_empty));
    if (is_empty && !may_create)
        QM_GUARD(
            QM_FAIL(QM_INVALID, "%s: there is no history in it yet; 'qmark history add RESULT...' begins one", path));
    if (may_create) {
        // WAL: who reads and who writes do not wait for each other. FULL: results may be deleted once they are added, so
        // that a commit has to outlast a power cut; one flush per batch costs little.
        QM_GUARD(qm_history_execute(history, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; "
                                             "PRAGMA foreign_keys = ON"));
        if (is_empty)
            QM_GUARD(create(history));
    }
    *out = history;
    return QM_OK;
done:
    qm_history_close(&history);
    return status;
}

void qm_history_close(struct qm_history **history)
{
    struct qm_history *h = *history;
    *history = NULL;
    if (!h)
        return;
    sqlite3_close(h->database);
    free(h->path);
    free(h);
}
