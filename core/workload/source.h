// What a user gives to be scored or calibrated on: a file, or a directory of files of one kind.
//
// A file's kind goes by its name: .jsonl, .ndjson and .json are examples in JSON lines, .csv are questions with choices, all else
// is text. A directory holds files of one kind, taken in the order of their names' bytes; others in it are passed over:
//   .jsonl, .ndjson   examples; where some are called samples_*, as lm-evaluation-harness calls its dumps, those alone
//   .csv              questions
//   .txt              documents
//   dev/ and test/    of .csv files, as MMLU comes: questions of test/, each behind those of dev/ of the same subject
// One that holds none of these but a single directory is looked into: the harness puts its dumps into a folder of the model.
//
// Refused, by name: files of more than one kind; symbolic links, which may lead out of the directory; two dumps of one task.
#ifndef QM_WORKLOAD_SOURCE_H
#define QM_WORKLOAD_SOURCE_H

#include "base/hash.h"
#include "base/status.h"
#include "sys/file.h"

#include <stdbool.h>

enum qm_source_kind {
    QM_SOURCE_TEXT,
    QM_SOURCE_LINES,
    QM_SOURCE_CSV,
};

#define QM_SOURCE_FILES_MAX 100000

struct qm_source {
    enum qm_source_kind kind;
    bool is_directory;
    char folder[QM_PATH_BYTES]; // where the files lie; "" of a file
    char shots[QM_PATH_BYTES];  // dev/ of such a directory, else ""
    struct qm_name_list files;  // paths where it is a file, else names in `folder`; at least one
};

// QM_INVALID with the path, and what would be right. *out may be freed in any case.
QM_MUST_USE enum qm_status qm_source_find(const char *path, struct qm_source *out);
void qm_source_free(struct qm_source *source);

// The path of a file.
QM_MUST_USE enum qm_status qm_source_path(const struct qm_source *source, size_t index, char out[QM_PATH_BYTES]);

// SHA-256 of what was read: of one file that of its bytes; of a directory over each file's name and the SHA-256 of its bytes, both
// as texts with their terminating zeros. Begin, add each file in order, end.
struct qm_source_hash {
    bool is_directory;
    struct qm_hash hash;
};
void qm_source_hash_begin(struct qm_source_hash *hash, bool is_directory);
void qm_source_hash_add(struct qm_source_hash *hash, const char *name, const void *bytes, size_t count);
void qm_source_hash_end(struct qm_source_hash *hash, char text[QM_HASH_TEXT_BYTES]);

#endif
