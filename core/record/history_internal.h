// What the parts of the history share: the open database and calls of SQLite that end in our statuses.
#ifndef QM_RECORD_HISTORY_INTERNAL_H
#define QM_RECORD_HISTORY_INTERNAL_H

#include "base/status.h"

#include <sqlite3.h>

#include <stdbool.h>
#include <stddef.h>

struct qm_node;

struct qm_history {
    sqlite3 *database;
    char *path; // owned
};

// A failure of SQLite's latest call, with a way out; `doing` as in "cannot read".
QM_MUST_USE enum qm_status qm_history_fail(const struct qm_history *history, const char *doing);
QM_MUST_USE enum qm_status qm_history_execute(struct qm_history *history, const char *sql);
QM_MUST_USE enum qm_status qm_history_prepare(struct qm_history *history, const char *sql, sqlite3_stmt **out);
// One step of a query: `*has_row` is false at its end.
QM_MUST_USE enum qm_status qm_history_step(struct qm_history *history, sqlite3_stmt *statement, bool *has_row);

// Binds a cleaned copy of the text; NULL is SQL's NULL. Binding fails visibly only without memory, in the next step.
void qm_history_bind(sqlite3_stmt *statement, int index, const char *text);

// What a qm_history_query says of results `r`: device as ?1, profile hash as ?2.
#define QM_HISTORY_FILTER                                                                                              \
    "(?1 IS NULL OR instr(lower(r.device || char(10) || r.device_name || char(10) || r.driver_version || char(10) || " \
    "r.uuid || char(10) || r.pci), lower(?1)) > 0) AND (?2 IS NULL OR substr(r.profile_hash, 1, length(?2)) = ?2)"

// Stores a result that was parsed and checked, within a transaction of the caller's.
struct qm_history_item {
    const struct qm_node *result;
    const void *bytes;
    size_t count;
    const char *name;
    const char *hash;       // of the content
    const char *bytes_hash; // of the text
    bool is_intact;
};
QM_MUST_USE enum qm_status qm_history_store(struct qm_history *history, const struct qm_history_item *item,
                                            bool *is_new);

#endif
