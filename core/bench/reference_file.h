// Files of the host's reference in the cache: begin with a kind and a key, end with the hash of all that. And what else
// reference_host.c and reference_check.c share.
#ifndef QM_BENCH_REFERENCE_FILE_H
#define QM_BENCH_REFERENCE_FILE_H

#include "base/hash.h"
#include "bench/reference_host.h"
#include "sys/file.h"

// Bytes that grow.
struct qm_reference_bytes {
    unsigned char *bytes;
    size_t count, room;
};

// `kind` has 8 characters, `key` is the text of a hash.
QM_MUST_USE enum qm_status qm_reference_bytes_begin(struct qm_reference_bytes *out, const char *kind,
                                                    const char key[QM_HASH_TEXT_BYTES]);
QM_MUST_USE enum qm_status qm_reference_bytes_add(struct qm_reference_bytes *out, const void *bytes, size_t count);
// Adds the hash and writes the file.
QM_MUST_USE enum qm_status qm_reference_bytes_write(struct qm_reference_bytes *out, const char *path);
void qm_reference_bytes_free(struct qm_reference_bytes *bytes);

// A file that is being read, mapped.
struct qm_reference_file {
    struct qm_file_map map;
    size_t at, end; // of what is between key and hash
};

// False where the file is not there, larger than `limit`, of another kind or key, or damaged; then nothing is held. Pages that
// were looked at are given back.
bool qm_reference_file_open(const char *path, const char *kind, const char key[QM_HASH_TEXT_BYTES], uint64_t limit,
                            struct qm_reference_file *out);
// The next `count` bytes; NULL, or false, where there are not so many.
const void *qm_reference_file_take(struct qm_reference_file *file, size_t count);
bool qm_reference_file_copy(struct qm_reference_file *file, void *to, size_t count);
bool qm_reference_file_is_taken(const struct qm_reference_file *file); // all of it
void qm_reference_file_close(struct qm_reference_file *file);

// A row, and back. A row that was taken points into the mapping.
QM_MUST_USE enum qm_status qm_reference_bytes_add_row(struct qm_reference_bytes *out,
                                                      const struct qm_reference_row *row);
bool qm_reference_file_take_row(struct qm_reference_file *file, uint32_t vocabulary, struct qm_reference_row *out);
// The most bytes that a row takes.
uint64_t qm_reference_row_bytes(const struct qm_reference_keep *keep, uint32_t vocabulary);

// Sets rows->checked_tokens and ->difference, or ->unchecked; from the file `check` of the directory where the same logits were
// compared before.
QM_MUST_USE enum qm_status qm_reference_host_check(const struct qm_reference_params *params,
                                                   const struct qm_evaluation *evaluation,
                                                   const struct qm_reference_host_options *options,
                                                   const char *directory, const char key[QM_HASH_TEXT_BYTES],
                                                   struct qm_reference_rows *rows);

#endif
