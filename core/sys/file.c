// libuv's file calls, made synchronously (no loop), are the same on POSIX systems and Windows.
#include "sys/file.h"
#include "sys/file_internal.h"

#include <uv.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MODE 0666 // less the user's umask
#define SECRET_MODE 0600
#define DIRECTORY_MODE 0777 // likewise
#define STAGED_END ".part"  // of a file that is written beside its place

// What to do about an error, where there is something to do.
static const char *way_out(int error)
{
    switch (error) {
    case UV_ENOENT:
        return "; check the path";
    case UV_EACCES:
    case UV_EPERM:
    case UV_EROFS:
        return "; choose a path that you may use, or change its permissions";
    case UV_ENOSPC:
        return "; free some space or choose another disk";
    case UV_ENOTDIR:
        return "; a part of the path is a file, not a directory";
    case UV_EMFILE:
    case UV_ENFILE:
        return "; close some programs or raise the limit of open files";
    default:
        return "";
    }
}

enum qm_status qm_file_fail(enum qm_status status, const char *doing, const char *path, int error)
{
    char text[128];
    uv_strerror_r(error, text, sizeof(text));
    return QM_FAIL(status, "%s: cannot %s: %s%s", path, doing, text, way_out(error));
}

static int stat_of(const char *path, uv_stat_t *out)
{
    uv_fs_t request;
    int error = uv_fs_stat(NULL, &request, path, NULL);
    *out = request.statbuf;
    uv_fs_req_cleanup(&request);
    return error;
}

static int open_at(const char *path, int flags, int mode)
{
    uv_fs_t request;
    int file = uv_fs_open(NULL, &request, path, flags, mode, NULL);
    uv_fs_req_cleanup(&request);
    return file;
}

static int close_file(int file)
{
    uv_fs_t request;
    int error = uv_fs_close(NULL, &request, file, NULL);
    uv_fs_req_cleanup(&request);
    return error;
}

static int flush(int file)
{
    uv_fs_t request;
    int error = uv_fs_fsync(NULL, &request, file, NULL);
    uv_fs_req_cleanup(&request);
    return error;
}

static int unlink_at(const char *path)
{
    uv_fs_t request;
    int error = uv_fs_unlink(NULL, &request, path, NULL);
    uv_fs_req_cleanup(&request);
    return error;
}

// Bytes read, 0 at the end, or an error below 0.
static ssize_t read_some(int file, void *bytes, size_t count)
{
    uv_fs_t request;
    uv_buf_t buffer = uv_buf_init(bytes, count > (1u << 30) ? 1u << 30 : (unsigned)count);
    ssize_t done;
    do {
        done = uv_fs_read(NULL, &request, file, &buffer, 1, -1, NULL);
        uv_fs_req_cleanup(&request);
    } while (done == UV_EINTR);
    return done;
}

// The planted full disk: how many of the bytes may be written.
static size_t planted_room(const char *path, size_t count)
{
    static uint64_t written;
    const char *fault = getenv("QM_FAULT_FILE"), *under = getenv("QM_FAULT_FILE_UNDER");
    if (!fault || (under && strncmp(path, under, strlen(under)) != 0))
        return count;
    if (strncmp(fault, "stall-ms=", 9) == 0)
        uv_sleep((unsigned)strtoul(fault + 9, NULL, 10));
    if (strncmp(fault, "enospc-after=", 13) != 0)
        return count;
    uint64_t limit = strtoull(fault + 13, NULL, 10), left = limit > written ? limit - written : 0;
    written += count < left ? count : left;
    return count < left ? count : (size_t)left;
}

static int write_all(int file, const char *path, const void *bytes, size_t count)
{
    const char *at = bytes;
    size_t room = planted_room(path, count), beyond = count - room;
    count = room;
    while (count > 0) {
        uv_fs_t request;
        uv_buf_t buffer = uv_buf_init((char *)(uintptr_t)at, count > (1u << 30) ? 1u << 30 : (unsigned)count);
        ssize_t done = uv_fs_write(NULL, &request, file, &buffer, 1, -1, NULL);
        uv_fs_req_cleanup(&request);
        if (done == UV_EINTR)
            continue;
        if (done <= 0)
            return done < 0 ? (int)done : UV_EIO;
        at += done;
        count -= (size_t)done;
    }
    return beyond > 0 ? UV_ENOSPC : 0;
}

enum qm_status qm_file_read(const char *path, size_t limit, void **bytes, size_t *count)
{
    uv_stat_t info;
    *bytes = NULL;
    *count = 0;
    int error = stat_of(path, &info);
    if (error < 0)
        return qm_file_fail(QM_INVALID, "read", path, error);
    if ((info.st_mode & S_IFMT) == S_IFDIR)
        return QM_FAIL(QM_INVALID, "%s: is a directory; name a file in it", path);
    if (info.st_size > limit)
        return QM_FAIL(QM_INVALID, "%s:1: the file has %llu bytes; at most %zu are read", path,
                       (unsigned long long)info.st_size, limit);
    int file = open_at(path, O_RDONLY, 0);
    if (file < 0)
        return qm_file_fail(QM_INVALID, "read", path, file);
    // One byte more than the limit tells a pipe or a growing file that is too large.
    size_t capacity = (info.st_mode & S_IFMT) == S_IFREG ? (size_t)info.st_size + 2 : 65536;
    size_t used = 0;
    char *data = malloc(capacity);
    ssize_t done = data ? 1 : UV_ENOMEM;
    while (done > 0 && used <= limit) {
        if (used + 1 >= capacity) {
            capacity *= 2;
            char *grown = realloc(data, capacity);
            if (!grown) {
                done = UV_ENOMEM;
                break;
            }
            data = grown;
        }
        size_t room = capacity - used - 1;
        size_t wanted = limit - used < room ? limit - used + 1 : room;
        done = read_some(file, data + used, wanted);
        if (done > 0)
            used += (size_t)done;
    }
    close_file(file);
    if (done < 0 || used > limit) {
        free(data);
        if (done < 0)
            return qm_file_fail(done == UV_ENOMEM ? QM_OUT_OF_MEMORY : QM_INVALID, "read", path, (int)done);
        return QM_FAIL(QM_INVALID, "%s:1: holds more than the %zu bytes that are read", path, limit);
    }
    data[used] = '\0';
    *bytes = data;
    *count = used;
    return QM_OK;
}

// So that the rename itself survives a power cut; not every system can, and none loses the file's content by it.
static void flush_directory_of(const char *path)
{
    char directory[QM_PATH_BYTES];
    const char *name = qm_path_name(path);
    snprintf(directory, sizeof(directory), "%.*s", (int)(name - path), path);
    int file = open_at(directory[0] ? directory : ".", O_RDONLY, 0);
    if (file < 0)
        return;
    flush(file);
    close_file(file);
}

// What is staged and not committed, for a handler of signals: names are written before their flags are set.
enum {
    STAGED_MAX = 8
};
static char staged_names[STAGED_MAX][QM_PATH_BYTES];
static volatile sig_atomic_t is_staged[STAGED_MAX];

static void remember(const char *temporary)
{
    for (int i = 0; i < STAGED_MAX; ++i) {
        if (!is_staged[i]) {
            snprintf(staged_names[i], sizeof(staged_names[i]), "%s", temporary);
            is_staged[i] = 1;
            return;
        }
    }
}

static void forget(const char *temporary)
{
    for (int i = 0; i < STAGED_MAX; ++i) {
        if (is_staged[i] && strcmp(staged_names[i], temporary) == 0)
            is_staged[i] = 0;
    }
}

void qm_file_drop_all(void)
{
    for (int i = 0; i < STAGED_MAX; ++i) {
        if (is_staged[i])
            unlink(staged_names[i]);
    }
}

// All of it, flushed to the disk; the file is closed whatever came of it.
static bool next_part(void *context, const void **bytes, size_t *count)
{
    struct qm_file_part *part = context;
    *bytes = part->bytes;
    *count = part->count;
    part->count = 0;
    return *count > 0;
}

static int write_and_close(int file, const char *path, const struct qm_file_source *source)
{
    const void *bytes;
    size_t count;
    int error = 0;
    while (error == 0 && source->next(source->context, &bytes, &count))
        error = write_all(file, path, bytes, count);
    if (error == 0)
        error = flush(file);
    int close_error = close_file(file);
    if (error == 0)
        error = close_error;
    return error;
}

enum qm_status qm_file_stage(const char *path, const void *bytes, size_t count, struct qm_staged_file *out)
{
    struct qm_file_part part = {bytes, count};
    return qm_file_stage_from(path, &(struct qm_file_source){next_part, &part}, out);
}

enum qm_status qm_file_stage_from(const char *path, const struct qm_file_source *source, struct qm_staged_file *out)
{
    out->is_staged = false;
    snprintf(out->path, sizeof(out->path), "%s", path);
    int length = snprintf(out->temporary, sizeof(out->temporary), "%s.%d" STAGED_END, out->path, (int)uv_os_getpid());
    if (length < 0 || (size_t)length >= sizeof(out->temporary))
        return QM_FAIL(QM_INVALID, "%.64s...: the path is too long; use one below %d bytes", path, QM_PATH_BYTES - 32);
    if (qm_directory_exists(path))
        return QM_FAIL(QM_INVALID, "%s: is a directory; name a file in it", path);
    unlink_at(out->temporary); // one that a killed process of the same number left
    remember(out->temporary);
    int file = open_at(out->temporary, O_WRONLY | O_CREAT | O_EXCL, FILE_MODE);
    if (file < 0) {
        forget(out->temporary);
        return qm_file_fail(QM_FAILED, "write", path, file);
    }
    int error = write_and_close(file, path, source);
    out->is_staged = true;
    if (error < 0) {
        qm_file_drop(out);
        return qm_file_fail(QM_FAILED, "write", path, error);
    }
    return QM_OK;
}

enum qm_status qm_file_write_new(const char *path, const void *bytes, size_t count, bool is_secret)
{
    int file = open_at(path, O_WRONLY | O_CREAT | O_EXCL, is_secret ? SECRET_MODE : FILE_MODE);
    if (file == UV_EEXIST)
        return QM_FAIL(QM_INVALID, "%s: is there already and is not replaced; choose another name", path);
    if (file < 0)
        return qm_file_fail(QM_INVALID, "write", path, file);
    struct qm_file_part part = {bytes, count};
    int error = write_and_close(file, path, &(struct qm_file_source){next_part, &part});
    if (error < 0) {
        unlink_at(path);
        return qm_file_fail(QM_FAILED, "write", path, error);
    }
    flush_directory_of(path);
    return QM_OK;
}

enum qm_status qm_file_read_secret(const char *path, size_t limit, void **bytes, size_t *count)
{
    uv_fs_t request;
    *bytes = NULL;
    *count = 0;
    // Without waiting: the name may be that of a pipe.
    int file = open_at(path, O_RDONLY | O_NONBLOCK, 0);
    if (file < 0)
        return qm_file_fail(QM_INVALID, "read", path, file);
    int error = uv_fs_fstat(NULL, &request, file, NULL);
    uv_stat_t info = request.statbuf;
    uv_fs_req_cleanup(&request);
    enum qm_status status = QM_OK;
    char *data = NULL;
    size_t used = 0;
    if (error < 0)
        QM_GUARD(qm_file_fail(QM_INVALID, "read", path, error));
    if ((info.st_mode & S_IFMT) != S_IFREG)
        QM_GUARD(QM_FAIL(QM_INVALID, "%s: is no file; name a file with a secret key", path));
    if (info.st_mode & 077)
        QM_GUARD(QM_FAIL(QM_INVALID, "%s: others may use it (mode %03o) and it is secret; run 'chmod 600 %s'", path,
                         (unsigned)(info.st_mode & 0777), path));
    if (info.st_size > limit)
        QM_GUARD(QM_FAIL(QM_INVALID, "%s:1: the file has %llu bytes; at most %zu are read", path,
                         (unsigned long long)info.st_size, limit));
    data = calloc(1, (size_t)info.st_size + 1); // exactly, so that no copy of it is left behind by growing
    if (!data)
        QM_GUARD(qm_file_fail(QM_OUT_OF_MEMORY, "read", path, UV_ENOMEM));
    while (used < info.st_size) {
        ssize_t done = read_some(file, data + used, (size_t)info.st_size - used);
        if (done < 0)
            QM_GUARD(qm_file_fail(QM_INVALID, "read", path, (int)done));
        if (done == 0)
            break;
        used += (size_t)done;
    }
    *bytes = data;
    *count = used;
    data = NULL;
done:
    close_file(file);
    if (data)
        explicit_bzero(data, used);
    free(data);
    return status;
}

enum qm_status qm_file_commit(struct qm_staged_file *staged)
{
    uv_fs_t request;
    if (!staged->is_staged)
        return QM_FAIL(QM_FAILED, "%s: is not staged", staged->path);
    int error = uv_fs_rename(NULL, &request, staged->temporary, staged->path, NULL);
    uv_fs_req_cleanup(&request);
    if (error < 0) {
        qm_file_drop(staged);
        return qm_file_fail(QM_FAILED, "write", staged->path, error);
    }
    forget(staged->temporary);
    staged->is_staged = false;
    flush_directory_of(staged->path);
    return QM_OK;
}

void qm_file_drop(struct qm_staged_file *staged)
{
    if (!staged->is_staged)
        return;
    unlink_at(staged->temporary);
    forget(staged->temporary);
    staged->is_staged = false;
}

void qm_file_remove_staged(const char *directory)
{
    struct qm_name_list list;
    char path[QM_PATH_BYTES];
    if (qm_directory_list(directory, &list) != QM_OK)
        return;
    for (size_t i = 0; i < list.count; ++i) {
        size_t length = strlen(list.names[i]), end = strlen(STAGED_END);
        if (length > end && strcmp(list.names[i] + length - end, STAGED_END) == 0 &&
            strncmp(list.names[i] + (list.names[i][0] == '.'), "qmark-", 6) == 0 &&
            qm_path_join(path, directory, list.names[i]) == QM_OK)
            unlink_at(path);
    }
    qm_name_list_free(&list);
}

enum qm_status qm_file_write(const char *path, const void *bytes, size_t count)
{
    struct qm_staged_file staged;
    QM_TRY(qm_file_stage(path, bytes, count, &staged));
    return qm_file_commit(&staged);
}

enum qm_status qm_file_append_line(const char *path, const char *text)
{
    size_t length = strlen(text);
    char *line = malloc(length + 2);
    if (!line)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory to write", path);
    memcpy(line, text, length);
    memcpy(line + length, "\n", 2);
    int file = open_at(path, O_WRONLY | O_CREAT | O_APPEND, FILE_MODE);
    if (file < 0) {
        free(line);
        return qm_file_fail(QM_FAILED, "write", path, file);
    }
    struct stat before;
    int error = fstat(file, &before) == 0 ? 0 : UV_EIO;
    if (error == 0)
        error = write_all(file, path, line, length + 1);
    if (error == 0)
        error = flush(file);
    if (error < 0)
        (void)!ftruncate(file, before.st_size);
    int close_error = close_file(file);
    free(line);
    if (error == 0)
        error = close_error;
    return error < 0 ? qm_file_fail(QM_FAILED, "write", path, error) : QM_OK;
}

enum qm_status qm_file_append(const char *path, const void *bytes, size_t count)
{
    int file = open_at(path, O_WRONLY | O_CREAT | O_APPEND, FILE_MODE);
    if (file < 0)
        return qm_file_fail(QM_FAILED, "write", path, file);
    int error = write_all(file, path, bytes, count);
    int close_error = close_file(file);
    if (error == 0)
        error = close_error;
    return error < 0 ? qm_file_fail(QM_FAILED, "write", path, error) : QM_OK;
}

enum qm_status qm_file_remove(const char *path)
{
    int error = unlink_at(path);
    return error < 0 && error != UV_ENOENT ? qm_file_fail(QM_FAILED, "remove", path, error) : QM_OK;
}

bool qm_file_exists(const char *path)
{
    uv_stat_t info;
    return stat_of(path, &info) == 0;
}

bool qm_directory_exists(const char *path)
{
    uv_stat_t info;
    return stat_of(path, &info) == 0 && (info.st_mode & S_IFMT) == S_IFDIR;
}

bool qm_file_is_same(const char *a, const char *b)
{
    uv_fs_t first, second;
    bool is_there = uv_fs_stat(NULL, &first, a, NULL) == 0;
    is_there = uv_fs_stat(NULL, &second, b, NULL) == 0 && is_there;
    bool is_same =
        is_there && first.statbuf.st_dev == second.statbuf.st_dev && first.statbuf.st_ino == second.statbuf.st_ino;
    uv_fs_req_cleanup(&first);
    uv_fs_req_cleanup(&second);
    return is_same;
}

bool qm_path_is_link(const char *path)
{
    uv_fs_t request;
    int error = uv_fs_lstat(NULL, &request, path, NULL);
    bool is_link = error == 0 && (request.statbuf.st_mode & S_IFMT) == S_IFLNK;
    uv_fs_req_cleanup(&request);
    return is_link;
}

enum qm_status qm_file_size(const char *path, uint64_t *bytes)
{
    uv_stat_t info;
    int error = stat_of(path, &info);
    *bytes = error == 0 ? info.st_size : 0;
    return error < 0 ? qm_file_fail(QM_INVALID, "read", path, error) : QM_OK;
}

enum qm_status qm_directory_make(const char *path)
{
    char part[QM_PATH_BYTES];
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof(part))
        return QM_FAIL(QM_INVALID, "%.64s: not the name of a directory; use one below %d bytes", path, QM_PATH_BYTES);
    for (size_t i = 1; i <= length; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        uv_fs_t request;
        memcpy(part, path, i);
        part[i] = '\0';
        int error = uv_fs_mkdir(NULL, &request, part, DIRECTORY_MODE, NULL);
        uv_fs_req_cleanup(&request);
        if (error < 0 && !qm_directory_exists(part))
            return qm_file_fail(QM_INVALID, "make a directory", part, error == UV_EEXIST ? UV_ENOTDIR : error);
    }
    return QM_OK;
}

enum qm_status qm_directory_check_writable(const char *path)
{
    char probe[QM_PATH_BYTES];
    char name[64];
    snprintf(name, sizeof(name), ".qmark-%d.part", (int)uv_os_getpid());
    QM_TRY(qm_path_join(probe, path, name));
    int file = open_at(probe, O_WRONLY | O_CREAT | O_TRUNC, FILE_MODE);
    if (file < 0)
        return qm_file_fail(QM_INVALID, "write into this directory", path, file);
    // A full disk often takes an empty file and refuses its first block.
    char block[4096] = {0};
    int error = write_all(file, path, block, sizeof(block));
    if (error == 0)
        error = flush(file);
    close_file(file);
    unlink_at(probe);
    return error < 0 ? qm_file_fail(QM_INVALID, "write into this directory", path, error) : QM_OK;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

enum qm_status qm_directory_list(const char *path, struct qm_name_list *out)
{
    uv_fs_t request;
    uv_dirent_t entry;
    *out = (struct qm_name_list){0};
    int found = uv_fs_scandir(NULL, &request, path, 0, NULL);
    if (found < 0) {
        uv_fs_req_cleanup(&request);
        return qm_file_fail(QM_INVALID, "list", path, found);
    }
    out->names = calloc((size_t)found + 1, sizeof(*out->names));
    bool complete = out->names != NULL;
    while (complete && uv_fs_scandir_next(&request, &entry) == 0) {
        char *name = strdup(entry.name);
        if (name)
            out->names[out->count++] = name;
        complete = name != NULL;
    }
    uv_fs_req_cleanup(&request);
    if (!complete) {
        qm_name_list_free(out);
        return qm_file_fail(QM_OUT_OF_MEMORY, "list", path, UV_ENOMEM);
    }
    qsort(out->names, out->count, sizeof(*out->names), by_bytes);
    return QM_OK;
}

void qm_name_list_free(struct qm_name_list *list)
{
    for (size_t i = 0; list->names && i < list->count; i++)
        free(list->names[i]);
    free(list->names);
    *list = (struct qm_name_list){0};
}

enum qm_status qm_path_join(char out[QM_PATH_BYTES], const char *directory, const char *name)
{
    size_t length = strlen(directory);
    const char *between = length == 0 || directory[length - 1] == '/' ? "" : "/";
    int count = snprintf(out, QM_PATH_BYTES, "%s%s%s", directory, between, name);
    if (count < 0 || count >= QM_PATH_BYTES)
        return QM_FAIL(QM_INVALID, "%.64s...: the path is too long; use one below %d bytes", directory, QM_PATH_BYTES);
    return QM_OK;
}

const char *qm_path_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

void qm_path_folder(const char *path, char folder[QM_PATH_BYTES])
{
    size_t length = (size_t)(qm_path_name(path) - path);
    if (length == 0)
        snprintf(folder, QM_PATH_BYTES, ".");
    else
        snprintf(folder, QM_PATH_BYTES, "%.*s", (int)(length > 1 ? length - 1 : length), path);
}
