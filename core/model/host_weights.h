// Where the host's pass takes its weights from, a layer at a time: a model in memory, or the mapped files of one that need
// not fit there, converted to floats in blocks of rows as they are used.
//
// Values in memory are padded as on devices; those of the files are as they are. The pass is the same function of either.
#ifndef QM_MODEL_HOST_WEIGHTS_H
#define QM_MODEL_HOST_WEIGHTS_H

#include "model/model.h"
#include "model/weights.h"

enum {
    QM_HOST_BLOCK_VALUES = 1 << 24 // floats that a block of a file's weight becomes, 64 MB, unless one row is more
};

struct qm_host_weights {
    struct qm_model_config config;
    const struct qm_model *model;   // values in memory; NULL:
    const struct qm_weights *files; // the files, opened and of this configuration
    // What the sizes are here: config.own, or those on devices.
    uint32_t hidden, intermediate, head_dim, attention;
    float *block; // files only
};

// One of `model` and `files` is NULL; both must stay. With files: QM_INVALID for a tensor that is missing or has another shape
// than `config` asks for. qm_host_weights_close may be called on a zeroed structure.
QM_MUST_USE enum qm_status qm_host_weights_open(const struct qm_model_config *config, const struct qm_model *model,
                                                const struct qm_weights *files, struct qm_host_weights *out);
void qm_host_weights_close(struct qm_host_weights *weights);

void qm_host_weights_shape(const struct qm_host_weights *weights, enum qm_role role, uint32_t *rows, uint32_t *columns);
// Rows that qm_host_weights_rows may be asked for at one time.
uint32_t qm_host_weights_rows_max(const struct qm_host_weights *weights, enum qm_role role);
// *values: `count` rows from `first` on, row-major; valid until the next call. A tied head is the embedding.
QM_MUST_USE enum qm_status qm_host_weights_rows(struct qm_host_weights *weights, enum qm_role role, uint32_t layer,
                                                uint32_t first, uint32_t count, const float **values);

#endif
