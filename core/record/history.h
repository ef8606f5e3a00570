// The history: results kept in an SQLite database, so that what changed over time can be asked for, and so that a gate
// has runs to compare with. docs/HISTORY.md has the tables and examples of queries.
//
// A result is in it whole or not at all, and once: its content hash is unique. Its YAML text is kept as it was read.
// What queries give is cleaned of what steers a terminal (base/text.h), and no row has a speed without its accuracy.
#ifndef QM_RECORD_HISTORY_H
#define QM_RECORD_HISTORY_H

#include "base/hash.h"
#include "base/status.h"
#include "sys/file.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct qm_node;
struct qm_history; // an open database

enum {
    QM_HISTORY_SCHEMA = 1,      // kept in the database's user_version; a newer one is refused
    QM_HISTORY_ID = 0x716d726b, // its application_id: "qmrk"
    QM_HISTORY_MESSAGE_BYTES = 512,
};

// ---- The database -------------------------------------------------------------------------------------------------

// Where it lies: `given` (of --db) if not NULL, else $QM_HISTORY, else history.sqlite in qm_user_directory.
QM_MUST_USE enum qm_status qm_history_path(const char *given, char path[QM_PATH_BYTES]);

// Opens it. With `may_create` it is made where it is not there, with the directories above it; without, that is
// QM_INVALID. ":memory:" is one that ends when it is closed. QM_INVALID too for a file that is no history or one of a
// newer qmark, which is not touched.
QM_MUST_USE enum qm_status qm_history_open(const char *path, bool may_create, struct qm_history **out);
void qm_history_close(struct qm_history **history); // NULL is allowed

// ---- Adding -------------------------------------------------------------------------------------------------------

// Adds the text of one result. `*is_new` is false if a result of the same content is there already, which is left as it
// is. QM_INVALID if the text is no result; `name` stands for the file in messages and in the history.
QM_MUST_USE enum qm_status qm_history_add(struct qm_history *history, const void *bytes, size_t count, const char *name,
                                          bool *is_new);

struct qm_history_import {
    size_t added, known; // results
    size_t skipped;      // files *.yaml of directories that are no results
    size_t refused;      // files that were named and are no results
    size_t folders;      // that could not be listed
    // Of the first that was skipped, refused or could not be listed; "" for none.
    char first_skipped[QM_HISTORY_MESSAGE_BYTES], first_refused[QM_HISTORY_MESSAGE_BYTES];
};

// Adds files, and what lies in directories: every *.yaml that is a result, 8 levels deep, symbolic links to directories
// not followed. Reads `batch` files at a time (0: 32), checks them on all cores and adds them in one transaction; a
// process that is killed loses the batches to come. Fails where the database fails; files that are no results are
// counted.
QM_MUST_USE enum qm_status qm_history_add_files(struct qm_history *history, const char *const *paths, size_t count,
                                                size_t batch, struct qm_history_import *out);

// ---- Asking -------------------------------------------------------------------------------------------------------

// What runs on the same device have in common, through one API and driver, whatever its version: its UUID, else its PCI
// address and ids, else its name up to " (" and ids; of a processor, the processor's name and number of cores, since
// UUIDs of software drivers hold their version. Cleaned.
#define QM_HISTORY_DEVICE_BYTES 512
void qm_history_device(const struct qm_node *result, char text[QM_HISTORY_DEVICE_BYTES]);

struct qm_history_query {
    const char *device;             // part of its identity, name, driver or driver version, in any case; NULL: all
    const char *scheme;             // NULL: all (list only)
    const char *profile_hash;       // its first digits; NULL: all
    const char *phase;              // trend: "prefill" or "decode"
    uint64_t batch;                 // trend
    const uint64_t *prompt, *depth; // trend: NULL: a series for each
    size_t limit;                   // the newest so many: results of a list, runs of a series; 0: all
};

// The results, newest first, each with its schemes: accuracy, and the first point of either phase. The caller destroys
// the tree, as of the next.
QM_MUST_USE enum qm_status qm_history_list(struct qm_history *history, const struct qm_history_query *query,
                                           struct qm_node **out);

// A series for each device, model, prompt or depth, tier, widening and protocol: the rate over time, oldest first, with
// its interval, accuracy, driver version, kernel hash, and `changed`: which of driver, kernels, artifact and profile are
// not those of the run before. Runs in which the scheme was not ok stand in the series with their reason.
QM_MUST_USE enum qm_status qm_history_trend(struct qm_history *history, const struct qm_history_query *query,
                                            struct qm_node **out);

struct qm_history_run {
    char hash[QM_HASH_TEXT_BYTES]; // of the content
    char *started, *file;          // owned, as the next; cleaned
    char *text;                    // its YAML, as it was read
    size_t text_bytes;
};

struct qm_history_runs {
    struct qm_history_run *runs; // newest first
    size_t count;
    char *driver_version; // of all of them; NULL where there are none
    // Why there are none, or fewer than asked for; "" where there are enough.
    char reason[QM_HISTORY_MESSAGE_BYTES];
};

// The runs that a new result is to be compared with, at most `most`: intact, not later than it, of the same device
// identity, model and profile hash; in which every scheme that is ok in the new one is ok, with the same identity and
// kernel hash. All are of one driver version: `driver` if not NULL ("same": the new result's), else the version of the
// newest such run whose version is not that of the new one. The new result may be in the history or not, and is never
// among them. QM_OK with a reason where there are none.
QM_MUST_USE enum qm_status qm_history_baseline(struct qm_history *history, const struct qm_node *result, size_t most,
                                               const char *driver, struct qm_history_runs *out);
void qm_history_runs_free(struct qm_history_runs *runs); // may be called on a zeroed one

// The text of the newest result that fits a query's device and profile hash, as a run that the caller frees with the
// list. `out->count` is 0 where there is none.
QM_MUST_USE enum qm_status qm_history_newest(struct qm_history *history, const struct qm_history_query *query,
                                             struct qm_history_runs *out);

#endif
