// The index of a model that is in several files, model.safetensors.index.json as Hugging Face writes it:
// {"metadata": {"total_size": BYTES}, "weight_map": {"TENSOR": "FILE", ...}}.
//
// Refused, with one line "INDEX: tensor 'NAME': what is wrong; what would be right": what is no JSON, an empty or missing
// map, names that no tensor may have, a tensor twice, and every file name that is not the plain name of a .safetensors
// file: with it nothing outside the model's directory can be named.
#ifndef QM_MODEL_WEIGHTS_INDEX_H
#define QM_MODEL_WEIGHTS_INDEX_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QM_WEIGHTS_INDEX_MAX (32u * 1024u * 1024u) // bytes; a longer text is refused. The largest models' have 10 MB
#define QM_WEIGHTS_SHARDS_MAX 1000                 // files are mapped at one time; the largest models have 200
#define QM_SHARD_NAME_BYTES_MAX 255

struct qm_weights_place {
    const char *tensor;
    uint32_t shard; // its number in `shards`
};

struct qm_weights_index {
    struct qm_weights_place *places; // in the order of the tensors' names, as bytes
    size_t count;                    // at least 1
    const char **shards;             // each once, in the order of their names
    uint32_t shard_count;
    bool has_total; // metadata.total_size is there
    uint64_t total_bytes;
    void *texts; // what the names point into
};

// `file` stands for the index in messages. *out is zeroed on failure. qm_weights_index_free may be called on a zeroed one.
QM_MUST_USE enum qm_status qm_weights_index_parse(const void *text, size_t bytes, const char *file,
                                                  struct qm_weights_index *out);
void qm_weights_index_free(struct qm_weights_index *index);

#endif
