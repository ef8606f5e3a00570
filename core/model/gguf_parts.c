#include "model/gguf_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool qm_gguf_part_path(const char *path, uint64_t part, uint64_t parts, char out[QM_PATH_BYTES])
{
    static const char pattern[] = "-00000-of-00000.gguf";
    size_t length = strlen(path), tail = sizeof(pattern) - 1;
    if (length <= tail || length >= QM_PATH_BYTES)
        return false;
    const char *end = path + length - tail;
    for (size_t i = 0; i < tail; i++) {
        bool is_digit = end[i] >= '0' && end[i] <= '9';
        if (pattern[i] == '0' ? !is_digit : end[i] != pattern[i])
            return false;
    }
    return snprintf(out, QM_PATH_BYTES, "%.*s-%05" PRIu64 "-of-%05" PRIu64 ".gguf", (int)(length - tail), path, part,
                    parts) < QM_PATH_BYTES;
}

// The tensors of a part among those of the first.
static enum qm_status add_tensors(struct qm_gguf *first, const struct qm_gguf *part, uint32_t number)
{
    size_t count = first->tensor_count + part->tensor_count;
    struct qm_gguf_tensor *tensors = realloc(first->tensors, (count + 1) * sizeof(*tensors));
    if (!tensors)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for %zu tensors", part->file, count);
    first->tensors = tensors;
    for (size_t i = 0; i < part->tensor_count; i++) {
        tensors[first->tensor_count + i] = part->tensors[i];
        tensors[first->tensor_count + i].part = number;
    }
    first->tensor_count = count;
    return QM_OK;
}

static enum qm_status add_part(struct qm_gguf *first, const char *path, uint32_t number, uint32_t count)
{
    struct qm_gguf *part = &first->parts[first->part_count];
    uint32_t own = UINT32_MAX, parts = 0;
    if (!qm_file_exists(path))
        return QM_FAIL(QM_INVALID,
                       "%s: part %" PRIu32 " of %" PRIu32 " is not there; all parts must lie beside the first", path,
                       number + 1, count);
    QM_TRY(qm_gguf_map(path, part));
    ++first->part_count;
    QM_TRY(qm_gguf_u32(part, "split.no", &own, NULL));
    QM_TRY(qm_gguf_u32(part, "split.count", &parts, NULL));
    if (own != number || parts != count)
        return QM_FAIL(QM_INVALID,
                       "%s: 'split.no' and 'split.count' do not say that it is part %" PRIu32 " of %" PRIu32
                       ", as its name does; get the parts of one model again",
                       path, number + 1, count);
    return add_tensors(first, part, number);
}

static enum qm_status add_parts(const char *path, struct qm_gguf *first)
{
    uint32_t own = 0, count = 1, tensors = 0;
    bool has_tensors = false;
    char name[QM_PATH_BYTES];
    QM_TRY(qm_gguf_u32(first, "split.count", &count, NULL));
    QM_TRY(qm_gguf_u32(first, "split.no", &own, NULL));
    QM_TRY(qm_gguf_u32(first, "split.tensors.count", &tensors, &has_tensors));
    if (count <= 1)
        return QM_OK;
    if (count > QM_GGUF_PARTS_MAX)
        return QM_FAIL(QM_INVALID, "%s: 'split.count' is %" PRIu32 "; at most %d parts are read, merge some of them",
                       path, count, QM_GGUF_PARTS_MAX);
    if (!qm_gguf_part_path(path, (uint64_t)own + 1, count, name) || strcmp(name, path) != 0)
        return QM_FAIL(QM_INVALID,
                       "%s: it is part %" PRIu64 " of %" PRIu32
                       " by its metadata, and not by its name; give it the one "
                       "that it had, such as x-00001-of-00003.gguf, beside the others",
                       path, (uint64_t)own + 1, count);
    if (own != 0) {
        qm_gguf_part_path(path, 1, count, name);
        return QM_FAIL(QM_INVALID, "%s: it is part %" PRIu64 " of %" PRIu32 "; give the first, %s", path,
                       (uint64_t)own + 1, count, name);
    }
    first->parts = calloc(count, sizeof(*first->parts));
    if (!first->parts)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for %" PRIu32 " parts", path, count);
    for (uint32_t part = 1; part < count; part++) {
        qm_gguf_part_path(path, (uint64_t)part + 1, count, name);
        QM_TRY(add_part(first, name, part, count));
    }
    const char *twice = qm_gguf_sort(first);
    if (twice)
        return QM_FAIL(QM_INVALID, "%s: two parts have a tensor '%s'; get the parts of one model again", path, twice);
    if (has_tensors && tensors != first->tensor_count)
        return QM_FAIL(QM_INVALID,
                       "%s: its %" PRIu32 " parts have %zu tensors and 'split.tensors.count' is %" PRIu32
                       "; get the parts of one model again",
                       path, count, first->tensor_count, tensors);
    return QM_OK;
}

enum qm_status qm_gguf_map_parts(const char *path, struct qm_gguf *out)
{
    QM_TRY(qm_gguf_map(path, out));
    enum qm_status status = add_parts(path, out);
    if (status != QM_OK)
        qm_gguf_close(out);
    return status;
}
