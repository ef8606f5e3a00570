// The journal of a run, `qmark-journal.jsonl` in the directory of its results: what was chosen, what has begun and what
// is done, so that `qmark run --resume` goes on where a run ended, however it ended.
//
// One JSON object per line, each appended whole and flushed to the disk. The first line begins the run, then comes one line
// per device, then what happened:
//   {"event": "begin", "journal": 1, "time", "pid", "version", "source", "profile_hash", "model_sha256", "options": {..}}
//   {"event": "device", "id", "api", "name", "ordinal", "driver", "driver_version"}
//   {"event": "started", "time", "id"}
//   {"event": "finished", "time", "id", "file", "hash", "outcome": "ok" | "wrong" | "failed"}
//   {"event": "failed", "time", "id", "reason"}        nothing was written
//   {"event": "interrupted", "time", "id"}             by the user; what was written is not whole
//   {"event": "resumed", "time", "pid"}
//   {"event": "ended", "time", "code"}                 the exit code
// A last line without its newline is one that was being written when the process ended; it is passed over. Anything else
// that is not as above is refused.
#ifndef QM_BENCH_JOURNAL_H
#define QM_BENCH_JOURNAL_H

#include "base/hash.h"
#include "base/status.h"
#include "bench/devices.h"
#include "sys/file.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QM_JOURNAL_NAME "qmark-journal.jsonl"

enum {
    QM_JOURNAL_VERSION = 1,
    QM_JOURNAL_BYTES_MAX = 4 << 20,
    QM_JOURNAL_LINE_BYTES_MAX = 64 << 10,
    QM_JOURNAL_LINES_MAX = 20000,
    QM_JOURNAL_OPTIONS_MAX = 32,
    QM_JOURNAL_FILE_BYTES = 128,
};

enum qm_journal_state {
    QM_JOURNAL_CHOSEN,
    QM_JOURNAL_STARTED,
    QM_JOURNAL_FINISHED,
    QM_JOURNAL_FAILED,
    QM_JOURNAL_INTERRUPTED,
};

enum qm_journal_outcome {
    QM_JOURNAL_OK,
    QM_JOURNAL_WRONG,       // a row was wrong
    QM_JOURNAL_ROWS_FAILED, // none was wrong, and one failed
    QM_JOURNAL_OUTCOMES
};
extern const char *const qm_journal_outcome_names[QM_JOURNAL_OUTCOMES]; // "ok", "wrong", "failed"

struct qm_journal_device {
    struct qm_device_entry entry; // without `type`
    enum qm_journal_state state;
    // Of QM_JOURNAL_FINISHED: the result's name in the directory, and its content hash.
    char file[QM_JOURNAL_FILE_BYTES];
    char hash[QM_HASH_TEXT_BYTES];
    enum qm_journal_outcome outcome;
};

struct qm_journal_option {
    char name[32];
    char value[1024];
};

// What a run must have in common with the one that it goes on with.
struct qm_journal_identity {
    char version[32], source[64]; // of the program
    char profile_hash[QM_HASH_TEXT_BYTES];
    char model_sha256[QM_HASH_TEXT_BYTES];
};

struct qm_journal {
    struct qm_journal_identity identity;
    struct qm_journal_option options[QM_JOURNAL_OPTIONS_MAX]; // those that were given
    size_t option_count;
    struct qm_journal_device devices[QM_DEVICE_LIST_MAX];
    size_t device_count;
    bool has_ended;     // with all devices done, by its last line
    size_t whole_bytes; // of the lines that are whole
};

// Reads a journal. QM_INVALID with "file:line: what is wrong". Large: put `out` on the heap.
QM_MUST_USE enum qm_status qm_journal_parse(const char *bytes, size_t count, const char *name, struct qm_journal *out);
QM_MUST_USE enum qm_status qm_journal_read(const char *directory, struct qm_journal *out);

// Whether a device's result is there, whole, and what the journal says it is; its samples likewise.
bool qm_journal_has_result(const char *directory, const struct qm_journal_device *device);

// Writes a new journal in place of one that is there: identity, options and devices of `journal`.
QM_MUST_USE enum qm_status qm_journal_begin(const char *directory, const struct qm_journal *journal);
// Takes a torn last line off and says that the run goes on.
QM_MUST_USE enum qm_status qm_journal_resume(const char *directory, const struct qm_journal *journal);

QM_MUST_USE enum qm_status qm_journal_add_started(const char *directory, const char *id);
QM_MUST_USE enum qm_status qm_journal_add_finished(const char *directory, const char *id, const char *file,
                                                   const char *hash, enum qm_journal_outcome outcome);
QM_MUST_USE enum qm_status qm_journal_add_failed(const char *directory, const char *id, const char *reason);
QM_MUST_USE enum qm_status qm_journal_add_interrupted(const char *directory, const char *id);
QM_MUST_USE enum qm_status qm_journal_add_ended(const char *directory, int code);

#endif
