// What a model's files have their tensors in: types, how many tensors and how many bytes of each.
#ifndef QM_MODEL_FILE_TYPES_H
#define QM_MODEL_FILE_TYPES_H

#include "model/weights.h"

#define QM_FILE_TYPES_MAX 24

struct qm_file_type {
    const char *name; // as the files' format has it: "Q4_K", "BF16"; static
    uint32_t tensors;
    uint64_t bytes;
};

// Those that occur, in the order in which tensors have them by name; returns how many. Tensors that belong to others, such as
// scales of their own, count as what they are; one of a GGUF file that is several weights counts once.
size_t qm_file_types(const struct qm_weights *weights, struct qm_file_type types[QM_FILE_TYPES_MAX]);

#endif
