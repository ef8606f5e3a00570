#include "sys/file_map.h"
#include "sys/file.h"
#include "sys/file_internal.h"

#include <uv.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

// The mappings, for a handler of signals: `begin` is written after the other two and cleared before them.
static struct {
    atomic_uintptr_t begin, end; // begin 0: a free slot
    atomic_bool lacks_pages;
} slots[QM_FILE_MAPS_MAX];
static pthread_mutex_t slots_lock = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction handler_before;
static atomic_bool is_passed_on; // to handler_before, which must not hand it back for ever
static uintptr_t page_bytes;

static bool fill_with_zeros(uintptr_t at)
{
    for (int i = 0; i < QM_FILE_MAPS_MAX; ++i) {
        uintptr_t begin = atomic_load(&slots[i].begin), end = atomic_load(&slots[i].end);
        if (begin == 0 || at < begin || at >= end)
            continue;
        atomic_store(&slots[i].lacks_pages, true);
        // To the end and not one page: what is cut off is cut off there, and a fault each would take minutes.
        uintptr_t page = at - at % page_bytes;
        return mmap((void *)page, end - page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED;
    }
    return false;
}

static void on_missing_page(int number, siginfo_t *info, void *context)
{
    (void)context;
    int error = errno;
    // A code above 0 is the kernel's, whose address can be trusted.
    if (info->si_code <= 0 || !fill_with_zeros((uintptr_t)info->si_addr)) {
        const struct sigaction none = {.sa_handler = SIG_DFL};
        sigaction(number, atomic_exchange(&is_passed_on, true) ? &none : &handler_before, NULL);
        raise(number);
    }
    errno = error;
}

// At every mapping, since a library may have put another in its place.
static void install_handler(void)
{
    const struct sigaction action = {.sa_sigaction = on_missing_page, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    struct sigaction found;
    page_bytes = (uintptr_t)sysconf(_SC_PAGESIZE);
    if (sigaction(SIGBUS, NULL, &found) != 0 ||
        ((found.sa_flags & SA_SIGINFO) != 0 && found.sa_sigaction == on_missing_page))
        return;
    handler_before = found;
    sigaction(SIGBUS, &action, NULL);
}

static int take_slot(uintptr_t begin, uintptr_t end)
{
    int slot = 0;
    pthread_mutex_lock(&slots_lock);
    install_handler();
    while (slot < QM_FILE_MAPS_MAX && atomic_load(&slots[slot].begin) != 0)
        ++slot;
    if (slot < QM_FILE_MAPS_MAX) {
        atomic_store(&slots[slot].lacks_pages, false);
        atomic_store(&slots[slot].end, end);
        atomic_store(&slots[slot].begin, begin);
    }
    pthread_mutex_unlock(&slots_lock);
    return slot;
}

static enum qm_status map_open(int file, const char *path, uint64_t limit, struct qm_file_map *out)
{
    struct stat info;
    if (fstat(file, &info) != 0)
        return qm_file_fail(QM_INVALID, "read", path, uv_translate_sys_error(errno));
    if (S_ISDIR(info.st_mode))
        return QM_FAIL(QM_INVALID, "%s: is a directory; name a file in it", path);
    if (!S_ISREG(info.st_mode))
        return QM_FAIL(QM_INVALID, "%s: is a device or a pipe; copy what it gives into a file", path);
    uint64_t count = (uint64_t)info.st_size;
    if (count > limit || count > SIZE_MAX / 2)
        return QM_FAIL(QM_INVALID, "%s:1: the file has %llu bytes; at most %llu are read", path,
                       (unsigned long long)count, (unsigned long long)limit);
    out->device = (uint64_t)info.st_dev;
    out->inode = (uint64_t)info.st_ino;
    out->changed_s = (int64_t)info.st_mtim.tv_sec;
    out->changed_ns = (int64_t)info.st_mtim.tv_nsec;
    out->status_s = (int64_t)info.st_ctim.tv_sec;
    out->status_ns = (int64_t)info.st_ctim.tv_nsec;
    if (count == 0)
        return QM_OK;
    void *bytes = mmap(NULL, (size_t)count, PROT_READ, MAP_SHARED, file, 0);
    if (bytes == MAP_FAILED)
        return qm_file_fail(errno == ENOMEM ? QM_OUT_OF_MEMORY : QM_INVALID, "map", path,
                            uv_translate_sys_error(errno));
    int slot = take_slot((uintptr_t)bytes, (uintptr_t)bytes + (size_t)count);
    if (slot == QM_FILE_MAPS_MAX) {
        munmap(bytes, (size_t)count);
        return QM_FAIL(QM_FAILED, "%s: %d files are mapped already, as many as can be; use a model of fewer files",
                       path, QM_FILE_MAPS_MAX);
    }
    madvise(bytes, (size_t)count, MADV_SEQUENTIAL);
    out->bytes = bytes;
    out->count = (size_t)count;
    out->slot = slot;
    return QM_OK;
}

enum qm_status qm_file_map(const char *path, uint64_t limit, struct qm_file_map *out)
{
    memset(out, 0, sizeof(*out));
    // Without waiting: the name may be that of a pipe.
    int file = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (file < 0)
        return qm_file_fail(QM_INVALID, "read", path, uv_translate_sys_error(errno));
    enum qm_status status = map_open(file, path, limit, out);
    close(file);
    return status;
}

void qm_file_unmap(struct qm_file_map *map)
{
    if (map->bytes) {
        atomic_store(&slots[map->slot].begin, 0);
        munmap((void *)(uintptr_t)map->bytes, map->count);
    }
    memset(map, 0, sizeof(*map));
}

enum qm_status qm_file_map_check(const struct qm_file_map *map, const char *path)
{
    struct stat info;
    if (map->bytes && atomic_load(&slots[map->slot].lacks_pages))
        return QM_FAIL(
            QM_INVALID,
            "%s: pages of it were gone when they were read: it was cut off meanwhile, or its disk fails; try "
            "again when nobody writes it",
            path);
    if (stat(path, &info) != 0 || (uint64_t)info.st_dev != map->device || (uint64_t)info.st_ino != map->inode)
        return QM_OK;
    if ((uint64_t)info.st_size != map->count || (int64_t)info.st_mtim.tv_sec != map->changed_s ||
        (int64_t)info.st_mtim.tv_nsec != map->changed_ns)
        return QM_FAIL(QM_INVALID, "%s: was written while it was read; try again when nobody writes it", path);
    return QM_OK;
}

void qm_file_map_drop(const struct qm_file_map *map, const void *bytes, size_t count)
{
    uintptr_t first = (uintptr_t)map->bytes, last = first + map->count, begin = (uintptr_t)bytes, end = begin + count;
    begin = begin < first ? first : begin;
    end = end > last ? last : end;
    if (!map->bytes || begin >= end)
        return;
    begin -= begin % page_bytes;
    madvise((void *)begin, end - begin, MADV_DONTNEED);
}

enum qm_status qm_scratch_create(const char *directory, size_t count, struct qm_scratch *out)
{
    char path[QM_PATH_BYTES];
    memset(out, 0, sizeof(*out));
    QM_TRY(qm_path_join(path, directory, "scratch-XXXXXX"));
    int file = mkstemp(path);
    if (file < 0)
        return qm_file_fail(QM_FAILED, "write", path, uv_translate_sys_error(errno));
    unlink(path);
    // All of it now: a page for which there is no room would end the program when it is written.
    int error = posix_fallocate(file, 0, (off_t)count);
    void *bytes = error == 0 ? mmap(NULL, count, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) : MAP_FAILED;
    if (error == 0 && bytes == MAP_FAILED)
        error = errno;
    close(file);
    if (error != 0)
        return qm_file_fail(QM_FAILED, "write", path, uv_translate_sys_error(error));
    out->bytes = bytes;
    out->count = count;
    return QM_OK;
}

void qm_scratch_destroy(struct qm_scratch *scratch)
{
    if (scratch->bytes)
        munmap(scratch->bytes, scratch->count);
    memset(scratch, 0, sizeof(*scratch));
}

void qm_scratch_drop(const struct qm_scratch *scratch, const void *bytes, size_t count)
{
    uintptr_t first = (uintptr_t)scratch->bytes, begin = (uintptr_t)bytes, page = (uintptr_t)sysconf(_SC_PAGESIZE);
    if (!scratch->bytes || begin < first || begin - first >= scratch->count || count > scratch->count - (begin - first))
        return;
    count += begin % page;
    begin -= begin % page;
    madvise((void *)begin, count, MADV_DONTNEED);
}

void qm_memory_expect_large(void *bytes, size_t count)
{
#ifdef MADV_HUGEPAGE
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)bytes, end = begin + count;
    begin += (page - begin % page) % page;
    end -= end % page;
    if (begin < end)
        madvise((void *)begin, end - begin, MADV_HUGEPAGE);
#else
    (void)bytes;
    (void)count;
#endif
}
