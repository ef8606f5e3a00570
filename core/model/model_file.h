// From a model's files to its weights: which tensor is which weight, whether the files are what config.json says, and values as
// floats, padded.
#ifndef QM_MODEL_MODEL_FILE_H
#define QM_MODEL_MODEL_FILE_H

#include "model/model.h"
#include "model/weights.h"

// Whether the files hold the weights of `config`, with the right types and shapes, and nothing that is no part of a model of
// `layers` layers, of which config.layers are the first. Only headers are looked at. QM_INVALID by tensor.
QM_MUST_USE enum qm_status qm_model_file_check(const struct qm_weights *file, const struct qm_model_config *config,
                                               uint32_t layers);
// The values of a weight into `values`, rows * columns of the padded shape. A tied head's are the embedding's. QM_INVALID for
// a value that is not finite and for a file that is not any more as it was.
QM_MUST_USE enum qm_status qm_model_file_read(const struct qm_weights *file, const struct qm_model_config *config,
                                              const struct qm_model_tensor *weight, float *values);
// The formats of the linear weights as the files have them, in the order of weights; *out is NULL where all of them are floats.
// One piece of memory: free() it.
QM_MUST_USE enum qm_status qm_model_file_own_formats(const struct qm_weights *file,
                                                     const struct qm_model_config *config, struct qm_own_formats **out);
// What qm_model_own_activation_scale gives.
QM_MUST_USE enum qm_status qm_model_file_own_activation_scale(const struct qm_weights *file,
                                                              const struct qm_model_config *config,
                                                              const struct qm_model_tensor *weight, float *scale);
// What qm_model_own_codes gives, in a format that qm_model_file_own_formats gave.
QM_MUST_USE enum qm_status qm_model_file_own_codes(const struct qm_weights *file, const struct qm_model_config *config,
                                                   const struct qm_model_tensor *weight, void *codes, void *scales);
// Whether all values are finite and a tied head that is in the files, too, has the embedding's: reads everything, with little
// memory.
QM_MUST_USE enum qm_status qm_model_file_check_values(const struct qm_weights *file,
                                                      const struct qm_model_config *config);

#endif
