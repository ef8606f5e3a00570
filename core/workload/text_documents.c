#include "workload/text_documents.h"

#include "workload/source.h"
#include "workload/text_set.h"

#include <stdlib.h>
#include <string.h>

static enum qm_status check_document(const struct qm_text_document *document)
{
    const char *zero = memchr(document->bytes, 0, document->count);
    if (document->count == 0)
        return QM_FAIL(QM_INVALID, "%s: the file is empty; take it out", document->name);
    if (zero)
        return QM_FAIL(QM_INVALID, "%s: a zero byte at %zu, so that it is no text; take it out", document->name,
                       (size_t)(zero - document->bytes));
    return QM_OK;
}

static enum qm_status load(const struct qm_source *source, struct qm_text_documents *out)
{
    struct qm_source_hash hash;
    size_t total = 0;
    qm_source_hash_begin(&hash, source->is_directory);
    for (size_t i = 0; i < source->files.count; i++) {
        struct qm_text_document *document = &out->documents[i];
        char path[QM_PATH_BYTES];
        void *bytes = NULL;
        QM_TRY(qm_source_path(source, i, path));
        QM_TRY(qm_file_read(path, QM_TEXT_BYTES_MAX - total, &bytes, &document->count));
        document->bytes = bytes;
        document->name = strdup(path);
        out->count = i + 1;
        if (!document->name)
            return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory to read it", path);
        if (source->is_directory)
            QM_TRY(check_document(document));
        qm_source_hash_add(&hash, path, bytes, document->count);
        total += document->count;
    }
    qm_source_hash_end(&hash, out->sha256);
    return QM_OK;
}

enum qm_status qm_text_documents_load(const char *path, struct qm_text_documents *out)
{
    struct qm_source source;
    *out = (struct qm_text_documents){0};
    enum qm_status status = QM_OK;
    QM_GUARD(qm_source_find(path, &source));
    if (source.kind != QM_SOURCE_TEXT)
        QM_GUARD(QM_FAIL(QM_INVALID, "%s: these are examples; expected a text", path));
    out->is_directory = source.is_directory;
    out->documents = calloc(source.files.count, sizeof(*out->documents));
    if (!out->documents)
        QM_GUARD(QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for %zu texts", path, source.files.count));
    QM_GUARD(load(&source, out));
done:
    qm_source_free(&source);
    return status;
}

void qm_text_documents_free(struct qm_text_documents *documents)
{
    for (size_t i = 0; i < documents->count; i++) {
        free(documents->documents[i].name);
        free(documents->documents[i].bytes);
    }
    free(documents->documents);
    *documents = (struct qm_text_documents){0};
}
