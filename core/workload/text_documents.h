// A user's texts as they lie in files: one file is one document, in any encoding; a directory (source.h) is a document for each of
// its .txt files, in the order of their names.
#ifndef QM_WORKLOAD_TEXT_DOCUMENTS_H
#define QM_WORKLOAD_TEXT_DOCUMENTS_H

#include "base/hash.h"
#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>

struct qm_text_document {
    char *name;  // its path, for messages
    char *bytes; // ended by a zero that is not counted
    size_t count;
};

struct qm_text_documents {
    struct qm_text_document *documents; // owned
    size_t count;
    bool is_directory;
    char sha256[QM_HASH_TEXT_BYTES]; // as of qm_source_hash
};

// QM_INVALID with the path and what would be right: what source.h refuses, texts of more than QM_TEXT_BYTES_MAX together; of a
// directory also, by its name, a file that is empty or holds a zero byte. *out may be freed in any case.
QM_MUST_USE enum qm_status qm_text_documents_load(const char *path, struct qm_text_documents *out);
void qm_text_documents_free(struct qm_text_documents *documents);

#endif
