// Files and directories. Messages name the path, the cause and a way out.
#ifndef QM_SYS_FILE_H
#define QM_SYS_FILE_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QM_PATH_BYTES 4096

// Reads a whole file, followed by a zero byte that is not counted; free() it. A file above `limit` bytes is refused
// with QM_INVALID, a regular one by its size, unread. QM_INVALID also when it is not there, is a directory or may not
// be read: the path came from the user.
QM_MUST_USE enum qm_status qm_file_read(const char *path, size_t limit, void **bytes, size_t *count);

// Writes the file whole or not at all: into a new file beside it, flushed to the disk, then renamed over it.
QM_MUST_USE enum qm_status qm_file_write(const char *path, const void *bytes, size_t count);

// Makes a file that is not there yet; with `is_secret`, nobody but its owner may read it from the first moment on.
// QM_INVALID if anything of that name is there, which stays as it is. What a failure left half written is removed.
QM_MUST_USE enum qm_status qm_file_write_new(const char *path, const void *bytes, size_t count, bool is_secret);

// As qm_file_read, for what only its owner may read: QM_INVALID, with what to do, if others may. The file that is read
// is the one that was looked at. The caller overwrites the bytes before it frees them.
QM_MUST_USE enum qm_status qm_file_read_secret(const char *path, size_t limit, void **bytes, size_t *count);
// The same in two steps, for files that belong together: all are staged, then all are committed, so that a full disk
// leaves the old ones as they were. A staged file lies beside its place; dropping one that was committed does nothing.
struct qm_staged_file {
    char path[QM_PATH_BYTES], temporary[QM_PATH_BYTES];
    bool is_staged;
};
QM_MUST_USE enum qm_status qm_file_stage(const char *path, const void *bytes, size_t count, struct qm_staged_file *out);
// The same of bytes that come part by part, such as those of a file larger than memory should be: `next` gives the next part,
// which stays until it is called again, and false after the last.
struct qm_file_part {
    const void *bytes;
    size_t count;
};
struct qm_file_source {
    bool (*next)(void *context, const void **bytes, size_t *count);
    void *context;
};
QM_MUST_USE enum qm_status qm_file_stage_from(const char *path, const struct qm_file_source *source,
                                              struct qm_staged_file *out);
QM_MUST_USE enum qm_status qm_file_commit(struct qm_staged_file *staged);
void qm_file_drop(struct qm_staged_file *staged);

// Removes what this process has staged and not committed. May be called from a signal's handler.
void qm_file_drop_all(void);

// Removes from a directory what writers that were killed have staged there. Call it where nobody else writes.
void qm_file_remove_staged(const char *directory);

// Puts bytes at the end of a file, which is made if it is not there. Not atomic: for logs.
QM_MUST_USE enum qm_status qm_file_append(const char *path, const void *bytes, size_t count);

// Puts the text and a newline at the end of a file and onto the disk. Where that fails the file is cut to what it was.
QM_MUST_USE enum qm_status qm_file_append_line(const char *path, const char *text);

// For tests of a full disk, from the environment: QM_FAULT_FILE "enospc-after=BYTES" lets this process write so many
// bytes and no more, into files whose path begins with QM_FAULT_FILE_UNDER (all, if that is not set); "stall-ms=N" makes
// each write take so long, between making the file and writing it.

// No error when it was not there.
QM_MUST_USE enum qm_status qm_file_remove(const char *path);

bool qm_file_exists(const char *path); // of any kind
bool qm_directory_exists(const char *path);
bool qm_path_is_link(const char *path);             // a symbolic link, wherever it leads
bool qm_file_is_same(const char *a, const char *b); // one file, by whatever names; false where one is not there
QM_MUST_USE enum qm_status qm_file_size(const char *path, uint64_t *bytes);

// Makes the directory and those above it that are missing. QM_INVALID where that cannot be, as with the next.
QM_MUST_USE enum qm_status qm_directory_make(const char *path);
// Fails unless files can be made in the directory; tries it, so that a long run does not find out at its end.
QM_MUST_USE enum qm_status qm_directory_check_writable(const char *path);

// The names in a directory, without "." and "..", sorted by bytes. qm_name_list_free may be called on a zeroed list.
struct qm_name_list {
    char **names;
    size_t count;
};
QM_MUST_USE enum qm_status qm_directory_list(const char *path, struct qm_name_list *out);
void qm_name_list_free(struct qm_name_list *list);

// $XDG_CACHE_HOME/qmark, else ~/.cache/qmark; QM_CACHE_DIR goes before both. Not made; see qm_cache_open.
QM_MUST_USE enum qm_status qm_cache_directory(char path[QM_PATH_BYTES]);

// The same, made and tried. Where there is no home, or nothing can be written there (a read-only file system, another
// user's files), a directory of this user's own under $TMPDIR or /tmp takes its place: one line on stderr says so, once,
// and QM_CACHE_DIR is set for this process and its workers. Fails where that cannot be written either, and where
// QM_CACHE_DIR was set and cannot be used: what the user asked for is not replaced.
QM_MUST_USE enum qm_status qm_cache_open(char path[QM_PATH_BYTES]);

// $XDG_DATA_HOME/qmark, else ~/.local/share/qmark: what is kept until the user removes it. Not made.
QM_MUST_USE enum qm_status qm_user_directory(char path[QM_PATH_BYTES]);

// "a/b" from "a" and "b". QM_INVALID if that is longer than QM_PATH_BYTES.
QM_MUST_USE enum qm_status qm_path_join(char out[QM_PATH_BYTES], const char *directory, const char *name);
// The part after the last '/'.
const char *qm_path_name(const char *path);
void qm_path_folder(const char *path, char folder[QM_PATH_BYTES]); // what stands before its name; "." for a name alone
// The directory that holds the running program.
QM_MUST_USE enum qm_status qm_program_directory(char path[QM_PATH_BYTES]);

// The directory of what comes with qmark: profiles/ and models/. The first that holds them of: the program's directory
// and those above it (a build folder of the source tree), share/qmark beside each of these (an installation under any
// prefix, wherever it was moved), qmark/ in $XDG_DATA_DIRS, or in /usr/local/share and /usr/share (a program copied
// elsewhere). QM_DATA_DIR, if set, is taken in place of all. QM_INVALID if there is none; the text says where it was
// looked for.
QM_MUST_USE enum qm_status qm_data_directory(char path[QM_PATH_BYTES]);

// A file or directory there, such as "profiles/quick.yaml". QM_INVALID if it is not there.
QM_MUST_USE enum qm_status qm_data_path(const char *name, char path[QM_PATH_BYTES]);

#endif
