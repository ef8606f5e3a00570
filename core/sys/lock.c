#include "sys/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/file.h"

struct qm_lock {
    int file;
    char path[QM_PATH_BYTES];
};

static uint32_t read_holder(int file)
{
    char text[32] = "";
    ssize_t count = pread(file, text, sizeof(text) - 1, 0);
    return count > 0 ? (uint32_t)strtoul(text, NULL, 10) : 0;
}

// A holder that went removed its file: what we have locked may be a file that no longer stands there.
static bool still_stands(int file, const char *path)
{
    struct stat ours, there;
    return fstat(file, &ours) == 0 && stat(path, &there) == 0 && ours.st_dev == there.st_dev &&
           ours.st_ino == there.st_ino;
}

enum qm_status qm_lock_take(const char *path, struct qm_lock **out, uint32_t *holder)
{
    *out = NULL;
    if (holder)
        *holder = 0;
    for (int attempt = 0; attempt < 100; ++attempt) {
        int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (file < 0)
            return QM_FAIL(QM_INVALID,
                           "%s: cannot lock: %s; choose a directory that may be written, on a file system with locks",
                           path, strerror(errno));
        // Of the open file, not of the process: closing another descriptor of the same file does not end it.
        struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        if (fcntl(file, F_OFD_SETLK, &whole) != 0) {
            int error = errno == EACCES ? EAGAIN : errno;
            uint32_t pid = error == EAGAIN ? read_holder(file) : 0;
            close(file);
            if (holder)
                *holder = pid;
            if (error == EAGAIN)
                return QM_FAIL(QM_UNAVAILABLE, "%s: process %u holds the lock; wait until it has ended", path,
                               (unsigned)pid);
            return QM_FAIL(QM_INVALID,
                           "%s: cannot lock: %s; choose a directory that may be written, on a file system with locks",
                           path, strerror(error));
        }
        if (!still_stands(file, path)) {
            close(file);
            continue;
        }
        struct qm_lock *lock = calloc(1, sizeof(*lock));
        if (!lock) {
            close(file);
            return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a lock");
        }
        lock->file = file;
        snprintf(lock->path, sizeof(lock->path), "%s", path);
        char text[32];
        int length = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
        // For those that are refused; the lock holds without it, on a full disk too.
        if (ftruncate(file, 0) == 0 && pwrite(file, text, (size_t)length, 0) != length)
            (void)!ftruncate(file, 0);
        *out = lock;
        return QM_OK;
    }
    return QM_FAIL(QM_UNAVAILABLE, "%s: others take this lock all the time; try again", path);
}

void qm_lock_release(struct qm_lock **lock)
{
    struct qm_lock *l = *lock;
    if (!l)
        return;
    unlink(l->path); // while it is held, so that nobody locks a file that is about to go
    close(l->file);
    free(l);
    *lock = NULL;
}
