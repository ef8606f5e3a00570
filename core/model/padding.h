// Where the values of a weight go when a model is padded with zeros (see model.h).
#ifndef QM_MODEL_PADDING_H
#define QM_MODEL_PADDING_H

#include "model/model.h"
#include "quant/format.h"

// Where padding goes among values in a row: the rows of a weight are ordered as the values that it makes.
enum qm_padding {
    QM_PADDING_PLAIN,  // at the end
    QM_PADDING_HEADS,  // at the end of each head
    QM_PADDING_ROTARY, // behind the first half of each head, and at its end
};

// The place on devices of value `i` of the file.
size_t qm_padding_place(const struct qm_model_config *config, enum qm_padding order, uint32_t i);

// From the shape in the file (qm_role_own_shape) to that on devices (qm_role_shape); both row-major, and not the same memory.
// Of a head that the rotary embedding turns, the first half of the values stays at the begin and the second half goes to the
// middle of the padded head, for values i and i + head_dim / 2 are a pair.
void qm_weight_pad(const struct qm_model_config *config, enum qm_role role, const float *own, float *padded);

// The same of codes and scales in a format: whole groups of codes move with their scales, and groups of zeros, which stand for
// zeros, come between them. First the check: QM_UNSUPPORTED, by file and tensor, where a group would be cut.
QM_MUST_USE enum qm_status qm_weight_pad_check(const struct qm_model_config *config,
                                               const struct qm_model_tensor *weight, enum qm_weight_format format,
                                               const char *file);
void qm_weight_pad_codes(const struct qm_model_config *config, enum qm_role role, enum qm_weight_format format,
                         const struct qm_encoded *own, const struct qm_encoded *padded);

#endif
