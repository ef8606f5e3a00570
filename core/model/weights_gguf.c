// A GGUF file as a model's weights: the names and shapes that Hugging Face's files would have, over the file's own blocks.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/gguf_model.h"
#include "model/gguf_parts.h"
#include "model/weights.h"
#include "sys/file.h"

enum {
    NAME_BYTES = QM_WEIGHT_NAME_BYTES + 8
};

bool qm_weights_is_gguf(const char *path)
{
    struct qm_file_map map = {0};
    if (!qm_file_exists(path) || qm_directory_exists(path) || qm_file_map(path, QM_GGUF_FILE_MAX, &map) != QM_OK)
        return false;
    bool is_gguf = map.count >= 4 && memcmp(map.bytes, "GGUF", 4) == 0;
    qm_file_unmap(&map);
    return is_gguf;
}

// `parts` has room for every weight's tensor.
static enum qm_status list_tensors(const struct qm_model_config *config, struct qm_weights *out,
                                   struct qm_gguf_tensor *parts)
{
    struct qm_tensors *shard = &out->shards[0];
    char(*names)[NAME_BYTES] = shard->texts;
    for (size_t i = 0; i < qm_weight_count(config); ++i) {
        enum qm_role role;
        uint32_t layer;
        char plain[QM_WEIGHT_NAME_BYTES];
        qm_weight_at(config, i, &role, &layer);
        if (role == QM_ROLE_HEAD && config->tied_head)
            continue;
        struct qm_gguf_tensor *from = &parts[shard->count];
        struct qm_tensor *tensor = &shard->tensors[shard->count];
        QM_TRY(qm_gguf_weight_find(out->gguf, config, role, layer, from, NULL));
        qm_role_weight_name(role, layer, plain);
        snprintf(names[shard->count], NAME_BYTES, "%s%s", plain, qm_role_name_ending(role));
        *tensor = (struct qm_tensor){
            .name = names[shard->count], .dtype = QM_DTYPE_U8, .rank = from->rank, .bytes = (size_t)from->bytes};
        memcpy(tensor->shape, from->shape, sizeof(tensor->shape));
        tensor->data = from->data;
        out->entries[out->count++] = (struct qm_weights_entry){.tensor = tensor,
                                                               .shard = &out->shards[from->part],
                                                               .gguf = from,
                                                               .turned_width = qm_gguf_turned_width(config, role)};
        out->bytes += from->bytes;
        ++shard->count;
    }
    (void)qm_weights_sort(out->entries, out->count); // names of roles: there are no two of one
    return QM_OK;
}

enum qm_status qm_weights_open_gguf(const char *path, struct qm_weights *out)
{
    enum qm_status status = QM_OK;
    struct qm_model_config config;
    memset(out, 0, sizeof(*out));
    out->gguf = calloc(1, sizeof(*out->gguf));
    out->file = strdup(path);
    if (!out->gguf || !out->file)
        QM_GUARD(QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory to read it", path));
    QM_GUARD(qm_gguf_map_parts(path, out->gguf));
    out->shards = calloc(1 + out->gguf->part_count, sizeof(*out->shards));
    if (!out->shards)
        QM_GUARD(QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory to read it", path));
    out->shard_count = 1 + out->gguf->part_count;
    QM_GUARD(qm_gguf_model_config(out->gguf, &config));
    QM_GUARD(qm_gguf_model_check(out->gguf, &config));
    struct qm_tensors *shard = &out->shards[0];
    size_t count = qm_weight_count(&config);
    shard->tensors = calloc(count, sizeof(*shard->tensors));
    shard->texts = calloc(count, NAME_BYTES);
    for (size_t i = 0; i < out->shard_count; ++i) {
        struct qm_gguf *part = i == 0 ? out->gguf : &out->gguf->parts[i - 1];
        out->shards[i].file = strdup(part->file);
        out->shards[i].map = part->map; // which the shard's end unmaps
        part->map = (struct qm_file_map){0};
        if (!out->shards[i].file)
            QM_GUARD(QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory to read it", path));
    }
    out->entries = calloc(count + 1, sizeof(*out->entries));
    out->arranged_tensors = calloc(count, sizeof(struct qm_gguf_tensor));
    if (!shard->tensors || !shard->texts || !out->entries || !out->arranged_tensors)
        QM_GUARD(QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for a list of %zu tensors", path, count));
    QM_GUARD(list_tensors(&config, out, out->arranged_tensors));
done:
    if (status != QM_OK)
        qm_weights_close(out);
    return status;
}
