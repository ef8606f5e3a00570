#include "bench/reference_file.h"

#include <stdlib.h>
#include <string.h>

enum {
    KIND_BYTES = 8,
    KEY_BYTES = QM_HASH_TEXT_BYTES - 1,
    PIECE = 1 << 23 // bytes after which pages are given back
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
    return qm_file_write(path, out->bytes, out->count);
}

void qm_reference_bytes_free(struct qm_reference_bytes *bytes)
{
    free(bytes->bytes);
    *bytes = (struct qm_reference_bytes){0};
}

// ---- Reading --------------------------------------------------------------------------------------------------------

static bool has_hash(const struct qm_reference_file *file)
{
    const unsigned char *bytes = file->map.bytes;
    char text[QM_HASH_TEXT_BYTES];
    struct qm_hash hash;
    qm_hash_begin(&hash);
    for (size_t at = 0; at < file->end; at += PIECE) {
        size_t some = file->end - at < PIECE ? file->end - at : PIECE;
        qm_hash_add(&hash, bytes + at, some);
        qm_file_map_drop(&file->map, bytes + at, some);
    }
    qm_hash_end(&hash, text);
    return memcmp(bytes + file->end, text, KEY_BYTES) == 0;
}

bool qm_reference_file_open(const char *path, const char *kind, const char key[QM_HASH_TEXT_BYTES], uint64_t limit,
                            struct qm_reference_file *out)
{
    *out = (struct qm_reference_file){0};
    if (!qm_file_exists(path) || qm_file_map(path, limit, &out->map) != QM_OK)
        return false;
    const unsigned char *bytes = out->map.bytes;
    bool fits = out->map.count >= KIND_BYTES + 2 * KEY_BYTES && memcmp(bytes, kind, KIND_BYTES) == 0 &&
                memcmp(bytes + KIND_BYTES, key, KEY_BYTES) == 0;
    if (fits) {
        out->at = KIND_BYTES + KEY_BYTES;
        out->end = out->map.count - KEY_BYTES;
        fits = has_hash(out);
    }
    if (!fits)
        qm_reference_file_close(out);
    return fits;
}

const void *qm_reference_file_take(struct qm_reference_file *file, size_t count)
{
    if (count > file->end - file->at)
        return NULL;
    file->at += count;
    return (const unsigned char *)file->map.bytes + file->at - count;
}

bool qm_reference_file_copy(struct qm_reference_file *file, void *to, size_t count)
{
    const void *from = qm_reference_file_take(file, count);
    if (from)
        memcpy(to, from, count);
    return from != NULL;
}

bool qm_reference_file_is_taken(const struct qm_reference_file *file)
{
    return file->at == file->end;
}

void qm_reference_file_close(struct qm_reference_file *file)
{
    qm_file_unmap(&file->map);
    *file = (struct qm_reference_file){0};
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

bool qm_reference_file_take_row(struct qm_reference_file *file, uint32_t vocabulary, struct qm_reference_row *out)
{
    struct record record;
    *out = (struct qm_reference_row){0};
    if (!qm_reference_file_copy(file, &record, sizeof(record)) || record.count > vocabulary || record.has_ids > 1 ||
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
        row.ids = qm_reference_file_take(file, row.count * sizeof(*row.ids));
    row.logits = qm_reference_file_take(file, row.count * sizeof(*row.logits));
    if ((record.has_ids && !row.ids) || !row.logits || !qm_reference_row_is_valid(&row, vocabulary))
        return false;
    qm_file_map_drop(&file->map, row.logits, row.count * sizeof(*row.logits));
    *out = row;
    return true;
}

uint64_t qm_reference_row_bytes(const struct qm_reference_keep *keep, uint32_t vocabulary)
{
    uint64_t most = keep->most < vocabulary ? keep->most : vocabulary;
    uint64_t numbers = keep->most == 0 ? vocabulary : 2 * most;
    return sizeof(struct record) + numbers * sizeof(float);
}
