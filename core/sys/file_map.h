// Files as memory: a page is read when it is touched, so that a file may be larger than the memory, and processes that
// map one file share its pages.
//
// A mapping shows the file as it is when it is touched, and others may write it meanwhile. A file that is replaced, as
// careful writers do, stays what it was in the mapping. One that is overwritten in place changes. One that is cut off, or
// lies on a disk that fails, lacks pages, and to touch such a page would end the program with SIGBUS: here it gives
// zeros from that page on. So nothing that came from a mapping counts until qm_file_map_check has said that the file stayed
// as it was.
#ifndef QM_SYS_FILE_MAP_H
#define QM_SYS_FILE_MAP_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

#define QM_FILE_MAPS_MAX 1024 // at one time

// Zeroed, it maps nothing.
struct qm_file_map {
    const void *bytes; // NULL for an empty file
    size_t count;
    uint64_t device, inode;        // which file it is
    int64_t changed_s, changed_ns; // last write
    int64_t status_s, status_ns;   // last change of its status, a write among them
    int slot;
};

// Maps a whole regular file for reading; hints that it is read from begin to end. A file above `limit` bytes is refused.
// QM_INVALID, as qm_file_read, for what may not be read or is no file: the path came from the user.
QM_MUST_USE enum qm_status qm_file_map(const char *path, uint64_t limit, struct qm_file_map *out);
void qm_file_unmap(struct qm_file_map *map);

// QM_INVALID if pages were missing, or the file of this path has another size or time than when it was mapped. Another
// file in its place, or none, is no failure.
QM_MUST_USE enum qm_status qm_file_map_check(const struct qm_file_map *map, const char *path);

// Gives back the memory of pages that were read, all that these bytes touch; they stay in the page cache while there is
// room. Bytes outside the mapping are ignored, touching the bytes again reads them again.
void qm_file_map_drop(const struct qm_file_map *map, const void *bytes, size_t count);

// Memory for what is large and written once, such as an artifact: it lies in a file without a name in `directory`, so that the
// system can put it onto the disk where memory is short, and qm_scratch_drop gives back what is written and not needed
// now. Zeroed, it is none. QM_FAILED where the disk has not room for `count` bytes, which is found out here.
struct qm_scratch {
    void *bytes; // zeros at first
    size_t count;
};
QM_MUST_USE enum qm_status qm_scratch_create(const char *directory, size_t count, struct qm_scratch *out);
void qm_scratch_destroy(struct qm_scratch *scratch);
// Bytes that are not of it are ignored; touching the others again reads them again.
void qm_scratch_drop(const struct qm_scratch *scratch, const void *bytes, size_t count);

// Asks for large pages under memory of one's own that will be filled whole: its first touch then costs a fraction.
void qm_memory_expect_large(void *bytes, size_t count);

#endif
