#include "bench/reference_file.h"

#include <stdlib.h>
#include <string.h>

enum {
    KIND_BYTES = 8,
    KEY_BYTES = QM_HASH_TEXT_BYTES - 1
};

enum qm_status qm_reference_bytes_add(struct qm_reference_bytes *out, const void *bytes, size_t count)
{
    if (count > out->room - out->count) {
        size_t room = out->room + out->room / 4;
        room = room - out->count < count ? out->count + count : room;
        unsigned char *grown = realloc(out->bytes, room);
        if (!grown)
            return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %zu bytes of the reference", room);
        out->bytes = grown;
        out->room = room;
    }
    if (count > 0)
        memcpy(out->bytes + out->count, bytes, count);
    out->count += count;
    return QM_OK;
}

enum qm_status qm_reference_bytes_begin(struct qm_reference_bytes *out, const char *kind,
                                        const char key[QM_HASH_TEXT_BYTES])
{
    *out = (struct qm_reference_bytes){0};
    QM_TRY(qm_reference_bytes_add(out, kind, KIND_BYTES));
    return qm_reference_bytes_add(out, key, KEY_BYTES);
}

enum qm_status qm_reference_bytes_write(struct qm_reference_bytes *out, const char *path)
{
    char hash[QM_HASH_TEXT_BYTES];
    qm_hash_bytes(out->bytes, out->count, hash);
    QM_TRY(qm_reference_bytes_add(out, hash, KEY_BYTES));
    QM_TRY(qm_file_write(path, out->bytes, out->count));
    out->count -= KEY_BYTES;
    out->at = KIND_BYTES + KEY_BYTES;
    return QM_OK;
}

bool qm_reference_bytes_read(const char *path, const char *kind, const char key[QM_HASH_TEXT_BYTES], size_t limit,
                             struct qm_reference_bytes *out)
{
    char hash[QM_HASH_TEXT_BYTES];
    void *bytes = NULL;
    size_t count = 0;
    *out = (struct qm_reference_bytes){0};
    if (!qm_file_exists(path) || qm_file_read(path, limit, &bytes, &count) != QM_OK)
        return false;
    *out = (struct qm_reference_bytes){.bytes = bytes, .room = count, .at = KIND_BYTES + KEY_BYTES};
    bool fits = count >= KIND_BYTES + 2 * KEY_BYTES && memcmp(out->bytes, kind, KIND_BYTES) == 0 &&
                memcmp(out->bytes + KIND_BYTES, key, KEY_BYTES) == 0;
    if (fits) {
        out->count = count - KEY_BYTES;
        qm_hash_bytes(out->bytes, out->count, hash);
        fits = memcmp(out->bytes + out->count, hash, KEY_BYTES) == 0;
    }
    if (!fits)
        qm_reference_bytes_free(out);
    return fits;
}

const void *qm_reference_bytes_take(struct qm_reference_bytes *bytes, size_t count)
{
    if (count > bytes->count - bytes->at)
        return NULL;
    bytes->at += count;
    return bytes->bytes + bytes->at - count;
}

bool qm_reference_bytes_copy(struct qm_reference_bytes *bytes, void *to, size_t count)
{
    const void *from = qm_reference_bytes_take(bytes, count);
    if (from)
        memcpy(to, from, count);
    return from != NULL;
}

bool qm_reference_bytes_are_taken(const struct qm_reference_bytes *bytes)
{
    return bytes->at == bytes->count;
}

void qm_reference_bytes_free(struct qm_reference_bytes *bytes)
{
    free(bytes->bytes);
    *bytes = (struct qm_reference_bytes){0};
}

// ---- Rows -----------------------------------------------------------------------------------------------------------

// Before the ids, if there are any, and the logits. Every part is a multiple of 4 bytes long, so that both are aligned.
struct record {
    uint32_t count, has_ids, top, target;
    float top_logit, target_logit;
    double log_sum, residual, residual_entropy;
};

enum qm_status qm_reference_bytes_add_row(struct qm_reference_bytes *out, const struct qm_reference_row *row)
{
    struct record record;
    memset(&record, 0, sizeof(record)); // padding as well: the file's bytes are to be the same each time
    record.count = row->count;
    record.has_ids = row->ids != NULL;
    record.top = row->top;
    record.target = row->target;
    record.top_logit = row->top_logit;
    record.target_logit = row->target_logit;
    record.log_sum = row->log_sum;
    record.residual = row->residual;
    record.residual_entropy = row->residual_entropy;
    QM_TRY(qm_reference_bytes_add(out, &record, sizeof(record)));
    if (row->ids)
        QM_TRY(qm_reference_bytes_add(out, row->ids, row->count * sizeof(*row->ids)));
    return qm_reference_bytes_add(out, row->logits, row->count * sizeof(*row->logits));
}

bool qm_reference_bytes_take_row(struct qm_reference_bytes *bytes, uint32_t vocabulary, struct qm_reference_row *out)
{
    struct record record;
    *out = (struct qm_reference_row){0};
    if (!qm_reference_bytes_copy(bytes, &record, sizeof(record)) || record.count > vocabulary || record.has_ids > 1 ||
        (!record.has_ids && record.count != vocabulary))
        return false;
    struct qm_reference_row row = {.count = record.count,
                                   .top = record.top,
                                   .top_logit = record.top_logit,
                                   .target = record.target,
                                   .target_logit = record.target_logit,
                                   .log_sum = record.log_sum,
                                   .residual = record.residual,
                                   .residual_entropy = record.residual_entropy};
    if (record.has_ids)
        row.ids = qm_reference_bytes_take(bytes, row.count * sizeof(*row.ids));
    row.logits = qm_reference_bytes_take(bytes, row.count * sizeof(*row.logits));
    if ((record.has_ids && !row.ids) || !row.logits || !qm_reference_row_is_valid(&row, vocabulary))
        return false;
    *out = row;
    return true;
}

uint64_t qm_reference_row_bytes(const struct qm_reference_keep *keep, uint32_t vocabulary)
{
    uint64_t most = keep->most < vocabulary ? keep->most : vocabulary;
    uint64_t numbers = keep->most == 0 ? vocabulary : 2 * most;
    return sizeof(struct record) + numbers * sizeof(float);
}
